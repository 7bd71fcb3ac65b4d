//! Whom does a message go to, and which network is meant? Text that two programs could read
//! differently is refused, so that what a policy saw is what the tool gets.

use crate::name::{Host, NameError, is_public};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A mail address in its canonical form: `local@domain`, all lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mailbox {
    local: String,
    domain: String,
}

impl Mailbox {
    /// Every recipient that a text names: addresses between commas or semicolons, each plain or as
    /// `Name <address>`. Quotes, comments, routes and groups are refused: mail programs disagree on them.
    pub fn list(text: &str) -> Result<Vec<Self>, NameError> {
        text.split([',', ';']).map(|part| Self::parse(part.trim())).collect()
    }

    /// Parses one address, plain or as `Name <address>`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fail = |why| NameError::new("mail address", text, why);
        let bare = match text.strip_suffix('>') {
            None => text,
            Some(rest) => {
                let (name, address) = rest.split_once('<').ok_or_else(|| fail("it has no `<`"))?;
                let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '\'');
                if !name.chars().all(plain) {
                    return Err(fail(
                        "the name before it has more than letters, digits and spaces",
                    ));
                }
                address
            }
        };
        let (local, domain) = bare.split_once('@').ok_or_else(|| fail("it has no `@`"))?;
        if domain.contains('@') {
            return Err(fail("it has two `@`"));
        }
        // `%` and `!` are routes to some relays: `eve%evil.com@ok.com` may end at evil.com.
        let tame = |b: u8| b.is_ascii_alphanumeric() || b"#$&'*+-/=?^_{|}~.".contains(&b);
        let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
        if local.is_empty() || local.len() > 64 || !local.bytes().all(tame) || dots {
            return Err(fail("the part before `@` is not a plain one"));
        }
        let host = Host::parse(domain).map_err(|error| fail(error.why()))?;
        let whole = host.name().filter(|name| name.contains('.') && !domain.ends_with('.'));
        let domain = whole.ok_or_else(|| fail("its domain is not a full DNS name"))?.to_owned();
        Ok(Self { local: local.to_ascii_lowercase(), domain })
    }

    /// The domain, lower case, in punycode.
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// One address or a block of them, its host bits cleared; an IPv4 address inside an IPv6 one is the
/// IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// Parses `1.2.3.4`, `1.2.3.0/24`, or the same in IPv6. Zones, odd spellings and leading zeros
    /// are refused.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fail = |why| NameError::new("network address", text, why);
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let address: IpAddr =
            address.parse().map_err(|_| fail("it is not an IPv4 or IPv6 address"))?;
        let width = width(address);
        let prefix = match prefix {
            None => width,
            Some(text) => {
                let plain = text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
                let canonical = plain && (text == "0" || !text.starts_with('0'));
                let prefix = text.parse::<u8>().ok().filter(|n| canonical && *n <= width);
                prefix.ok_or_else(|| fail("what stands after `/` is not the length of a prefix"))?
            }
        };
        Ok(Self::new(address, prefix))
    }

    fn new(address: IpAddr, prefix: u8) -> Self {
        if let (IpAddr::V6(v6), 96..) = (address, prefix)
            && let Some(v4) = v6.to_ipv4_mapped()
        {
            return Self::new(v4.into(), prefix - 96);
        }
        let first = match address {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & mask_v4(prefix)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & mask_v6(prefix)).into(),
        };
        Self { first, prefix }
    }

    /// Whether it is one address.
    pub fn is_single(self) -> bool {
        self.prefix == width(self.first)
    }

    /// Whether every address in it is a unicast address of the public internet.
    pub fn is_public(self) -> bool {
        if self.is_single() {
            return is_public(self.first);
        }
        // A block holds no address that is not public exactly when it meets none of their blocks.
        let known: &[&str] = if self.first.is_ipv4() { SPECIAL_V4 } else { SPECIAL_V6 };
        let apart = known
            .iter()
            .filter_map(|text| Self::parse(text).ok())
            .all(|special| !self.meets(special));
        apart && is_public(self.first)
    }

    /// Whether the two have an address in common.
    pub fn meets(self, other: Self) -> bool {
        let prefix = self.prefix.min(other.prefix);
        let cut = |network: Self| Self::new(network.first, prefix).first;
        self.first.is_ipv4() == other.first.is_ipv4() && cut(self) == cut(other)
    }

    /// The bits that its addresses share, behind `4:` or `6:`. One network lies in another exactly
    /// when its bits begin with the other's, which is how policies compare them.
    pub fn bits(self) -> String {
        let (family, all) = match self.first {
            IpAddr::V4(v4) => ('4', format!("{:032b}", v4.to_bits())),
            IpAddr::V6(v6) => ('6', format!("{:0128b}", v6.to_bits())),
        };
        let shared: String = all.chars().take(self.prefix.into()).collect();
        format!("{family}:{shared}")
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            return self.first.fmt(f);
        }
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0)
}

/// The blocks whose addresses [`is_public`] refuses, for IPv4.
const SPECIAL_V4: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// The same for IPv6, with all that is outside `2000::/3`.
const SPECIAL_V6: &[&str] =
    &["::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mailboxes(text: &str) -> Vec<String> {
        Mailbox::list(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_recipient_of_a_text_is_seen() {
        assert_eq!(mailboxes("Anna@ACME.com"), ["anna@acme.com"]);
        assert_eq!(mailboxes("Anna B. <anna+x@acme.com>"), ["anna+x@acme.com"]);
        let several = ["a@acme.com", "b@evil.com", "c@d.org"];
        assert_eq!(mailboxes("a@acme.com, b@evil.com;c@d.org"), several);
        let international = Mailbox::parse("x@xn--bcher-kva.example").unwrap();
        assert_eq!(international.domain(), "xn--bcher-kva.example");
    }

    #[test]
    fn what_mail_programs_read_differently_is_no_address() {
        for text in [
            "",
            "acme.com",
            "@acme.com",
            "a@",
            "a@acme",
            "a@acme.com.",
            "a@@acme.com",
            "a@evil.com@acme.com",
            "\"a@evil.com\"@acme.com",
            "\"boss@acme.com\" <eve@evil.com>",
            "boss@acme.com <eve@evil.com>",
            "eve@evil.com <boss@acme.com>",
            "<eve@evil.com> boss@acme.com",
            "eve%evil.com@acme.com",
            "evil.com!eve@acme.com",
            "a@acme.com(@evil.com)",
            "a@[10.0.0.1]",
            "a@10.0.0.1",
            "a@аcme.com",
            "a@acme.com\r\nBcc: eve@evil.com",
            "a@acme.com\0",
            "group: eve@evil.com",
            ".a@acme.com",
            "a..b@acme.com",
            "a b@acme.com",
            "a@acme.com, ",
        ] {
            assert!(Mailbox::list(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_block_that_holds_an_internal_address_is_not_public() {
        for text in [
            "10.0.0.1",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "11.255.255.255/0",
            "8.0.0.0/6",
            "::ffff:10.0.0.1",
            "::ffff:10.0.0.0/104",
            "::/0",
            "::ffff:0:0/95",
            "64:ff9b::a00:1",
            "fd00::/8",
            "2000::/3",
            "2001:db8::1",
            "169.254.169.254",
            "172.0.0.0/8",
            "203.0.113.7/32",
        ] {
            assert!(!Network::parse(text).unwrap().is_public(), "{text} passed for public");
        }
        for text in ["1.1.1.1", "8.8.8.0/24", "2606:4700::/32", "::ffff:8.8.8.8", "9.0.0.0/8"] {
            assert!(Network::parse(text).unwrap().is_public(), "{text}");
        }
    }

    #[test]
    fn a_network_has_one_spelling() {
        let shown = |text: &str| Network::parse(text).unwrap().to_string();
        assert_eq!(shown("11.255.255.255/0"), "0.0.0.0/0");
        assert_eq!(shown("::ffff:8.8.8.8"), "8.8.8.8");
        assert_eq!(shown("8.8.8.8/32"), "8.8.8.8");
        for text in [
            "",
            "8.8.8",
            "08.8.8.8",
            "0x8.8.8.8",
            "134744072",
            "8.8.8.8/33",
            "8.8.8.8/08",
            "8.8.8.8/",
            "8.8.8.8/+8",
            "fe80::1%eth0",
            " 8.8.8.8",
            "8.8.8.8/8/8",
            "::1/129",
        ] {
            assert!(Network::parse(text).is_err(), "{text:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn networks_meet_when_the_bits_of_one_begin_with_the_others(a: u32, b: u32, p in 0u8..=32, q in 0u8..=32) {
            let (a, b) = (Network::new(Ipv4Addr::from_bits(a).into(), p), Network::new(Ipv4Addr::from_bits(b).into(), q));
            let nested = a.bits().starts_with(&b.bits()) || b.bits().starts_with(&a.bits());
            prop_assert_eq!(a.meets(b), nested);
        }

        #[test]
        fn a_public_block_holds_public_addresses_alone(bits: u32, prefix in 0u8..=32, pick: u32) {
            let network = Network::new(Ipv4Addr::from_bits(bits).into(), prefix);
            let inside = (bits & mask_v4(prefix)) | (pick & !mask_v4(prefix));
            if network.is_public() {
                prop_assert!(is_public(Ipv4Addr::from_bits(inside).into()));
            }
        }

        #[test]
        fn a_public_block_of_ipv6_holds_public_addresses_alone(bits: u128, prefix in 0u8..=128, pick: u128) {
            let bits = (bits >> 3) | (1 << 125);
            let network = Network::new(Ipv6Addr::from_bits(bits).into(), prefix);
            let inside = (bits & mask_v6(prefix)) | (pick & !mask_v6(prefix));
            if network.is_public() {
                prop_assert!(is_public(Ipv6Addr::from_bits(inside).into()));
            }
        }

        #[test]
        fn a_mailbox_reads_the_same_twice(text in "\\PC{0,40}") {
            for mailbox in Mailbox::list(&text).unwrap_or_default() {
                prop_assert_eq!(Mailbox::parse(&mailbox.to_string()).unwrap(), mailbox);
            }
        }
    }
}
