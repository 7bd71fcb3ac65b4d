//! What does a SOCKS5 client ask for? (RFC 1928, `CONNECT` without authentication; identity is the socket.)

use crate::name::{Host, HostPort};
use crate::refuse::{Refusal, Status};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const GENERAL_FAILURE: u8 = 1;
pub(crate) const NOT_ALLOWED: u8 = 2;
pub(crate) const HOST_UNREACHABLE: u8 = 4;
const COMMAND_NOT_SUPPORTED: u8 = 7;
const ADDRESS_NOT_SUPPORTED: u8 = 8;

/// The server's choice of "no authentication required".
pub const NO_AUTHENTICATION: [u8; 2] = [5, 0];

/// The server's "no acceptable methods".
pub const NO_METHOD: [u8; 2] = [5, 0xff];

/// Why a message is refused, and the reply field to say it with (`None` before a request was understood).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The refusal for the log.
    pub refusal: Refusal,
    /// The SOCKS5 reply field.
    pub reply: u8,
}

/// Parses the greeting; `Ok(None)` means more bytes are needed, else its length in bytes.
pub fn greeting(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let bad = |sentence| Refusal::new(Status::BadRequest, "malformed-socks", sentence);
    match bytes {
        [] | [5] => Ok(None),
        [5, 0, ..] => Err(bad("the client offers no authentication method")),
        [5, count, rest @ ..] => {
            let Some(methods) = rest.get(..usize::from(*count)) else { return Ok(None) };
            if methods.contains(&0) {
                Ok(Some(2 + methods.len()))
            } else {
                Err(bad("the client does not offer to go without authentication; use no user name"))
            }
        }
        _ => Err(bad("this is not SOCKS version 5")),
    }
}

/// Parses the request; `Ok(None)` means more bytes are needed, else the target and the length in bytes.
pub fn request(bytes: &[u8]) -> Result<Option<(HostPort, usize)>, Flaw> {
    let flaw = |sentence: &'static str, reply| Flaw {
        refusal: Refusal::new(Status::BadRequest, "malformed-socks", sentence),
        reply,
    };
    match bytes {
        [5, 1, 0, kind, ..] if !matches!(kind, 1 | 3 | 4) => {
            Err(flaw("the address type is not known", ADDRESS_NOT_SUPPORTED))
        }
        [5, 1, 0, ..] => address(bytes),
        [] | [5] | [5, 1] => Ok(None),
        [5, 1, ..] => Err(flaw("the reserved byte is not zero", GENERAL_FAILURE)),
        [5, ..] => Err(flaw("only CONNECT is supported", COMMAND_NOT_SUPPORTED)),
        _ => Err(flaw("this is not SOCKS version 5", GENERAL_FAILURE)),
    }
}

fn address(bytes: &[u8]) -> Result<Option<(HostPort, usize)>, Flaw> {
    let (host, rest) = match bytes {
        [_, _, _, 1, a, b, c, d, rest @ ..] => {
            (Host::from(IpAddr::V4(Ipv4Addr::new(*a, *b, *c, *d))), rest)
        }
        [_, _, _, 3, 0, ..] => return Err(bad_host()),
        [_, _, _, 3, length, rest @ ..] => {
            let Some((name, rest)) = rest.split_at_checked(usize::from(*length)) else {
                return Ok(None);
            };
            let host = std::str::from_utf8(name).ok().and_then(|name| Host::parse(name).ok());
            (host.ok_or_else(bad_host)?, rest)
        }
        [_, _, _, 4, rest @ ..] => {
            let Some((octets, rest)) = rest.split_first_chunk::<16>() else { return Ok(None) };
            (Host::from(IpAddr::V6(Ipv6Addr::from(*octets))), rest)
        }
        _ => return Ok(None),
    };
    let [high, low, rest @ ..] = rest else { return Ok(None) };
    let target = HostPort::new(host, u16::from_be_bytes([*high, *low])).map_err(|_| Flaw {
        refusal: Refusal::new(Status::BadRequest, "malformed-socks", "port 0 is no port"),
        reply: GENERAL_FAILURE,
    })?;
    Ok(Some((target, bytes.len() - rest.len())))
}

fn bad_host() -> Flaw {
    Flaw {
        refusal: Refusal::new(Status::BadRequest, "bad-host", "the host is not in canonical form"),
        reply: GENERAL_FAILURE,
    }
}

/// A reply with the given field and no bound address.
pub fn reply(field: u8) -> [u8; 10] {
    [5, field, 0, 1, 0, 0, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn domain(name: &[u8]) -> Vec<u8> {
        let mut bytes = vec![5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&[1, 187]);
        bytes
    }

    #[test]
    fn a_request_by_name_and_by_address_is_read() {
        let bytes = domain(b"OK.com");
        let (target, length) = request(&bytes).unwrap().unwrap();
        assert_eq!((target.to_string().as_str(), length), ("ok.com:443", bytes.len()));
        let (target, _) = request(&[5, 1, 0, 1, 1, 2, 3, 4, 0, 80]).unwrap().unwrap();
        assert_eq!(target.to_string(), "1.2.3.4:80");
        let mut v6 = vec![5, 1, 0, 4];
        v6.extend_from_slice(&"::ffff:10.0.0.1".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend_from_slice(&[0, 22]);
        assert_eq!(request(&v6).unwrap().unwrap().0.to_string(), "10.0.0.1:22");
    }

    #[test]
    fn a_host_with_a_hidden_part_is_refused() {
        for name in [
            &b"ok.com\0.evil.com"[..],
            b"u@ok.com",
            b"ok.com%00",
            b"evil.com#.ok.com",
            b"ok.com\r\n",
            b"0x7f.1",
            b"\xff",
        ] {
            assert_eq!(request(&domain(name)).unwrap_err().refusal.code(), "bad-host", "{name:?}");
        }
    }

    #[test]
    fn other_commands_and_methods_are_refused() {
        assert_eq!(request(&[5, 2, 0, 1]).unwrap_err().reply, COMMAND_NOT_SUPPORTED);
        assert_eq!(request(&[5, 3, 0, 1]).unwrap_err().reply, COMMAND_NOT_SUPPORTED);
        assert_eq!(request(&[5, 1, 0, 2]).unwrap_err().reply, ADDRESS_NOT_SUPPORTED);
        assert!(request(&[5, 1, 9]).is_err());
        assert!(greeting(&[4, 1]).is_err());
        assert!(greeting(&[5, 1, 2]).is_err());
        assert!(greeting(&[5, 0]).is_err());
        assert_eq!(greeting(&[5, 2, 2, 0, 9]), Ok(Some(4)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Some(length)) = greeting(&bytes) {
                prop_assert!(length <= bytes.len());
            }
            if let Ok(Some((_, length))) = request(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
