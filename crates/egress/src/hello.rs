//! Which host does this TLS client say it speaks to?
//!
//! Reads a whole `ClientHello`, however it is cut into records and segments (a client that splits it is a
//! known way round filters that look at one packet), and gives the server name out of it.

use crate::name::Host;
use thiserror::Error;

/// How many bytes of records a hello may take; post-quantum key shares make 2 KiB common.
pub const HELLO_LIMIT: usize = 64 * 1024;

/// What a `ClientHello` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The server name, when one is given.
    pub server_name: Option<Host>,
    /// Whether the client offers an encrypted hello, which may carry another name than `server_name`.
    pub encrypted: bool,
}

/// Why bytes are not an acceptable `ClientHello`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HelloError {
    /// The structure is broken.
    #[error("the TLS client hello is malformed: {0}")]
    Malformed(&'static str),
    /// It is no TLS at all.
    #[error("the connection does not begin with TLS")]
    NotTls,
    /// It is longer than [`HELLO_LIMIT`].
    #[error("the TLS client hello is over 64 KiB")]
    TooLong,
}

/// Parses the `ClientHello` at the start of `bytes`; `None` when it is not complete yet.
pub fn parse(bytes: &[u8]) -> Result<Option<Hello>, HelloError> {
    let mut message = Vec::new();
    let mut rest = bytes.get(..HELLO_LIMIT).unwrap_or(bytes);
    loop {
        if let Some(body) = complete(&message)? {
            return client_hello(body).map(Some);
        }
        let Some(fragment) = record(&mut rest)? else {
            return if bytes.len() >= HELLO_LIMIT { Err(HelloError::TooLong) } else { Ok(None) };
        };
        message.extend_from_slice(fragment);
    }
}

/// Takes one handshake record off `rest`; `None` when it is not complete yet.
fn record<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, HelloError> {
    match *rest {
        [kind, ..] if *kind != 22 => Err(HelloError::NotTls),
        [_, major, ..] if *major != 3 => Err(HelloError::NotTls),
        [_, _, _, high, low, after @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if length == 0 || length > 1 << 14 {
                return Err(HelloError::Malformed("a record has an impossible length"));
            }
            let Some((fragment, after)) = after.split_at_checked(length) else { return Ok(None) };
            *rest = after;
            Ok(Some(fragment))
        }
        _ => Ok(None),
    }
}

/// The body of the handshake message, once all of it is there.
fn complete(message: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    match message {
        [kind, ..] if *kind != 1 => {
            Err(HelloError::Malformed("the first handshake message is not a client hello"))
        }
        [_, a, b, c, body @ ..] => {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            if length > HELLO_LIMIT {
                return Err(HelloError::TooLong);
            }
            if body.len() > length {
                // What follows the hello in its record would be read by nobody here.
                return Err(HelloError::Malformed(
                    "something follows the client hello in its record",
                ));
            }
            Ok((body.len() == length).then_some(body))
        }
        _ => Ok(None),
    }
}

fn client_hello(body: &[u8]) -> Result<Hello, HelloError> {
    let mut at = Cursor(body);
    at.take(2 + 32)?;
    at.vector8()?;
    let suites = at.vector16()?;
    if suites.is_empty() || suites.len() % 2 != 0 {
        return Err(HelloError::Malformed("the cipher suites"));
    }
    at.vector8()?;
    let mut hello = Hello { server_name: None, encrypted: false };
    if at.0.is_empty() {
        return Ok(hello);
    }
    let mut extensions = Cursor(at.vector16()?);
    if !at.0.is_empty() {
        return Err(HelloError::Malformed("something follows the extensions"));
    }
    let mut seen = Vec::new();
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.vector16()?;
        if seen.contains(&kind) || seen.len() == 256 {
            return Err(HelloError::Malformed("an extension is repeated"));
        }
        seen.push(kind);
        match kind {
            SERVER_NAME => hello.server_name = Some(server_name(data)?),
            // 0xffce was the number of the drafts' encrypted server name.
            ENCRYPTED_CLIENT_HELLO | 0xffce => hello.encrypted = true,
            _ => {}
        }
    }
    Ok(hello)
}

fn server_name(data: &[u8]) -> Result<Host, HelloError> {
    let bad = HelloError::Malformed("the server name");
    let mut outer = Cursor(data);
    let mut list = Cursor(outer.vector16()?);
    let kind = list.take(1)?;
    let name = list.vector16()?;
    // Exactly one name: with two, we and the server could each take another.
    if kind != [0] || !list.0.is_empty() || !outer.0.is_empty() || name.ends_with(b".") {
        return Err(bad);
    }
    let host = std::str::from_utf8(name).ok().and_then(|name| Host::parse(name).ok()).ok_or(bad)?;
    if host.name().is_none() {
        return Err(bad);
    }
    Ok(host)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or(HelloError::Malformed("a field is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, HelloError> {
        Ok(self.take(2)?.iter().fold(0, |number, byte| number << 8 | u16::from(*byte)))
    }

    fn vector8(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.take(1)?.first().copied().unwrap_or_default();
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

const SERVER_NAME: u16 = 0;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A hello with the given extensions, in one record.
    fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut list = Vec::new();
        for (kind, data) in extensions {
            list.extend_from_slice(&kind.to_be_bytes());
            list.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            list.extend_from_slice(data);
        }
        let mut body = vec![3, 3];
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[0, 0, 2, 0x13, 0x01, 1, 0]);
        body.extend_from_slice(&u16::try_from(list.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&list);
        let mut message = vec![1, 0];
        message.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        message.extend_from_slice(&body);
        message
    }

    fn name(text: &[u8]) -> (u16, Vec<u8>) {
        let length = u16::try_from(text.len()).unwrap();
        let mut data = (length + 3).to_be_bytes().to_vec();
        data.push(0);
        data.extend_from_slice(&length.to_be_bytes());
        data.extend_from_slice(text);
        (SERVER_NAME, data)
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for part in message.chunks(size) {
            out.extend_from_slice(&[22, 3, 1]);
            out.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
            out.extend_from_slice(part);
        }
        out
    }

    #[test]
    fn the_name_is_found_however_the_hello_is_cut() {
        let message = hello(&[(43, vec![2, 3, 4]), name(b"OK.com")]);
        for size in [1, 2, 3, 7, 50, 16384] {
            let bytes = records(&message, size);
            let found = parse(&bytes).unwrap().unwrap();
            assert_eq!(
                found.server_name,
                Some(Host::parse("ok.com").unwrap()),
                "records of {size}"
            );
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "cut at {cut} of records of {size}");
            }
        }
    }

    #[test]
    fn no_name_and_an_encrypted_hello_are_seen() {
        assert_eq!(parse(&records(&hello(&[]), 999)).unwrap().unwrap().server_name, None);
        let both = hello(&[name(b"ok.com"), (ENCRYPTED_CLIENT_HELLO, vec![0])]);
        assert!(parse(&records(&both, 999)).unwrap().unwrap().encrypted);
    }

    #[test]
    fn a_name_with_a_second_reading_is_refused() {
        for text in [
            &b"ok.com\0evil.com"[..],
            b"ok.com.",
            b"1.2.3.4",
            b"",
            b"[::1]",
            b"\xe9.com",
            b"ok.com:443",
        ] {
            assert!(parse(&records(&hello(&[name(text)]), 999)).is_err(), "{text:?}");
        }
        let twice = hello(&[name(b"ok.com"), name(b"evil.com")]);
        assert!(parse(&records(&twice, 999)).is_err());
        let mut two = name(b"ok.com");
        two.1[1] += 11;
        two.1.extend_from_slice(&[0, 0, 8]);
        two.1.extend_from_slice(b"evil.com");
        assert!(parse(&records(&hello(&[two]), 999)).is_err());
    }

    #[test]
    fn what_is_not_tls_is_told_at_the_first_byte() {
        assert_eq!(parse(b"S"), Err(HelloError::NotTls));
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Err(HelloError::NotTls));
        assert_eq!(parse(&[22, 2]), Err(HelloError::NotTls));
        assert!(parse(&[22, 3, 1, 0, 0]).is_err());
        assert!(parse(&[22, 3, 1, 0, 1, 2]).is_err());
    }

    #[test]
    fn a_hello_without_end_is_cut_off() {
        let mut message = vec![1, 0, 0xff, 0xff];
        message.resize(1 << 17, 0);
        let bytes = records(&message, 16000);
        assert!(parse(&bytes[..HELLO_LIMIT]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ignored = parse(&bytes);
            bytes.splice(0..0, [22, 3, 1, 0, 200, 1, 0, 0, 196]);
            let _ignored = parse(&bytes);
        }
    }
}
