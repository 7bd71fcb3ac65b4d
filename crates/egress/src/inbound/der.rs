//! What stands in a certificate that was verified already: whom it names, and whether it was made for clients?
//!
//! The chain is for the verifier to judge; this reads two extensions of a certificate that it accepted, strictly: lengths in
//! their shortest form, nothing left over, no extension twice.

/// What is read of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Its names of hosts (`dNSName`), in lower case.
    pub(super) dns: Vec<String>,
    /// Its other addresses (`uniformResourceIdentifier`), to the letter.
    pub(super) uris: Vec<String>,
    /// Whether its extended key usage says `clientAuth`. One without that extension was made for anything, and so not for this.
    pub(super) for_clients: bool,
}

/// Reads a certificate (RFC 5280 section 4.1); `None` when it is none, or can be read in two ways.
pub(super) fn read(certificate: &[u8]) -> Option<Said> {
    let (body, []) = expect(certificate, SEQUENCE)? else { return None };
    let (mut fields, _) = expect(body, SEQUENCE)?;
    let mut said = Said::default();
    while !fields.is_empty() {
        let (tag, inner, rest) = element(fields)?;
        fields = rest;
        if tag == EXTENSIONS {
            extensions(inner, &mut said)?;
            // They are the last.
            return fields.is_empty().then_some(said);
        }
    }
    Some(said)
}

fn extensions(explicit: &[u8], said: &mut Said) -> Option<()> {
    let (mut list, []) = expect(explicit, SEQUENCE)? else { return None };
    let (mut names, mut usage) = (None, None);
    while !list.is_empty() {
        let (extension, rest) = expect(list, SEQUENCE)?;
        list = rest;
        let (id, mut after) = expect(extension, OID)?;
        if let Some((_, rest)) = expect(after, BOOLEAN) {
            after = rest;
        }
        let (value, []) = expect(after, OCTETS)? else { return None };
        let place = match id {
            ALTERNATIVE_NAMES => &mut names,
            EXTENDED_USAGE => &mut usage,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    if let Some(names) = names {
        alternative_names(names, said)?;
    }
    if let Some(usage) = usage {
        let (mut purposes, []) = expect(usage, SEQUENCE)? else { return None };
        while !purposes.is_empty() {
            let (purpose, rest) = expect(purposes, OID)?;
            purposes = rest;
            said.for_clients |= purpose == CLIENT_AUTH;
        }
    }
    Some(())
}

fn alternative_names(value: &[u8], said: &mut Said) -> Option<()> {
    let (mut names, []) = expect(value, SEQUENCE)? else { return None };
    while !names.is_empty() {
        let (tag, name, rest) = element(names)?;
        names = rest;
        // Both are ASCII (IA5String) that can be seen. A name with a NUL or a space in it is nobody's.
        let text = || {
            let plain = name.iter().all(u8::is_ascii_graphic) && !name.is_empty();
            plain.then(|| String::from_utf8_lossy(name).into_owned())
        };
        match tag {
            DNS_NAME => said.dns.push(text()?.to_ascii_lowercase()),
            URI => said.uris.push(text()?),
            _ => {}
        }
    }
    Some(())
}

/// The content of an element of this tag, and what comes after it.
fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, inner, rest) = element(input)?;
    (found == tag).then_some((inner, rest))
}

/// One element: its tag, its content, and what comes after it.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], after) = input.split_first_chunk::<2>()?;
    // Tags of several bytes do not stand in certificates.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, after) = match first {
        0..=0x7f => (usize::from(first), after),
        0x81 => {
            let (&[length], after) = after.split_first_chunk::<1>()?;
            (usize::from(length), after)
        }
        0x82 => {
            let (length, after) = after.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), after)
        }
        // No certificate of 64 KiB came through a handshake.
        _ => return None,
    };
    let shortest = match first {
        0x81 => length >= 0x80,
        0x82 => length >= 0x100,
        _ => true,
    };
    let (inner, rest) = after.split_at_checked(length).filter(|_| shortest)?;
    Some((tag, inner, rest))
}

const BOOLEAN: u8 = 0x01;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// The fourth and last optional part of a certificate's body.
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.29.37
const EXTENDED_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// 1.3.6.1.5.5.7.3.2
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType};

    fn certificate(uri: &str, usages: &[ExtendedKeyUsagePurpose]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["Agent.Example".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        params.extended_key_usages = usages.to_vec();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_and_purpose_are_read_and_nothing_else_is_taken_for_them() {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
        for (usages, for_clients) in [
            (vec![ClientAuth], true),
            (vec![ServerAuth, ClientAuth], true),
            (vec![ServerAuth], false),
            (vec![Any], false),
            (vec![], false),
        ] {
            let said = read(&certificate("spiffe://Example/a", &usages)).unwrap();
            let dns = vec!["agent.example".to_owned()];
            let uris = vec!["spiffe://Example/a".to_owned()];
            assert_eq!(said, Said { dns, uris, for_clients }, "{usages:?}");
        }
    }

    #[test]
    fn what_has_two_readings_has_none() {
        assert_eq!(read(&certificate("spiffe://a b", &[])), None, "a space in a name");
        let good = certificate("spiffe://example/a", &[]);
        let longer = [good.as_slice(), &[0]].concat();
        assert_eq!(read(&longer), None, "something left over");
        for at in 0..good.len() {
            assert_eq!(read(good.get(..at).unwrap()), None, "cut at {at}");
        }
        // 5 bytes, written with a length of two.
        assert_eq!(element(&[OCTETS, 0x81, 1, 7]), None);
        assert_eq!(element(&[OCTETS, 0x82, 0, 1, 7]), None);
        assert_eq!(element(&[OCTETS, 1, 7]), Some((OCTETS, &[7][..], &[][..])));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_it_comes_to_an_end(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            (at, to) in (0usize..2000, any::<u8>()),
        ) {
            drop(read(&bytes));
            let mut bent = certificate("spiffe://example/a", &[ExtendedKeyUsagePurpose::ClientAuth]);
            let at = at % bent.len();
            bent[at] = to;
            drop(read(&bent));
        }
    }
}
