//! Is this one address: of a machine, or of a mailbox? Each has one reading, or is refused.

use bartizan_gate::name::{Host, is_public};
use std::net::IpAddr;

/// One IP address in its usual form. A range, a wrapped or an oddly written address is none.
pub(super) fn ip(text: &str, public: bool) -> Result<(), &'static str> {
    let address: IpAddr =
        text.parse().map_err(|_| "must be one IP address, without a range or a port")?;
    if address.to_canonical() != address || address.to_string() != text {
        return Err("must be an IP address in its usual form");
    }
    if public && !is_public(address) {
        return Err("must be an address of the public internet");
    }
    Ok(())
}

/// One mailbox, `local@domain`, and nothing round it; of these domains, if any are named. A domain that begins
/// with a dot stands for all below it.
pub(super) fn email(text: &str, domains: &[String]) -> Result<(), &'static str> {
    const SHAPE: &str = "must be one plain e-mail address, such as name@example.com";
    let (local, domain) = text.split_once('@').ok_or(SHAPE)?;
    let tame = |b: u8| b.is_ascii_alphanumeric() || b"._+-=~'".contains(&b);
    let dotted = local.split('.').all(|part| !part.is_empty());
    if local.len() > 64 || !dotted || !local.bytes().all(tame) || local.starts_with('-') {
        return Err(SHAPE);
    }
    let host = Host::parse(domain).map_err(|_| SHAPE)?;
    // The canonical form is what is compared, so it must be what is sent.
    let name = host.name().filter(|name| name.contains('.')).ok_or(SHAPE)?;
    if !domain.eq_ignore_ascii_case(name) {
        return Err(SHAPE);
    }
    let within = |allowed: &String| match allowed.strip_prefix('.') {
        Some(_) => name.ends_with(allowed.as_str()),
        None => name == allowed,
    };
    if domains.is_empty() || domains.iter().any(within) {
        return Ok(());
    }
    Err("is of another domain than those that the tool may write to")
}

/// A domain as configured: `example.com`, or `.example.com` for all below it.
pub(super) fn domain(text: &str) -> Option<String> {
    let name = text.strip_prefix('.').unwrap_or(text);
    let host = Host::parse(name).ok()?;
    let plain = host.name().filter(|plain| plain.contains('.') && *plain == name)?;
    Some(if text.starts_with('.') { format!(".{plain}") } else { plain.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_address_and_says_so_in_one_way() {
        for text in ["8.8.8.8", "2606:4700:4700::1111"] {
            assert_eq!(ip(text, true), Ok(()), "{text}");
        }
        assert_eq!(ip("10.0.0.1", false), Ok(()));
        for text in [
            "10.0.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.0.0.0/0",
            "8.8.8.8/0",
            "11.255.255.255/0",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "::1",
            "fd00::1",
            "fe80::1%eth0",
            "0x8.8.8.8",
            "134744072",
            "8.8.8.8 ",
            "8.8.8.8:53",
            "010.8.8.8",
            "2606:4700:4700:0::1111",
            "",
            "8.8.8",
        ] {
            assert!(ip(text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mailbox_is_one_mailbox_of_a_domain_that_may_be_written_to() {
        let ours = ["example.com".to_owned(), ".corp.example".to_owned()];
        for text in ["a@example.com", "a.b+c@EXAMPLE.com", "x@mail.corp.example"] {
            assert_eq!(email(text, &ours), Ok(()), "{text}");
        }
        for text in [
            "a@evil.com",
            "a@example.com.evil.com",
            "a@evil-example.com",
            "a@sub.example.com",
            "x@corp.example",
            "a@example.com,b@evil.com",
            "a@example.com\nbcc: b@evil.com",
            "\"a@evil.com\" <a@example.com>",
            "a@evil.com@example.com",
            "a@example.com ",
            "@example.com",
            "a@",
            "a@[10.0.0.1]",
            "a@exämple.com",
            "a@example.com\0",
            "a b@example.com",
            "..@example.com",
            "a%b@example.com",
            "-f@example.com",
            "a@example.com.",
        ] {
            assert!(email(text, &ours).is_err(), "{text}");
        }
        assert!(domain("example.com").is_some() && domain(".example.com").is_some());
        for text in ["", ".", "com", "Example.com", "a b.com", "*.example.com", "10.0.0.1"] {
            assert!(domain(text).is_none(), "{text}");
        }
    }
}
