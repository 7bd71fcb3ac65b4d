//! Is this a name at all? Every name is parsed once, at the edge, and is canonical from then on.

use serde::Serialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use thiserror::Error;

/// Why a piece of text is not the name it was offered as.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{given}` is not a {kind}: {why}")]
pub struct NameError {
    kind: &'static str,
    given: String,
    why: &'static str,
}

impl NameError {
    pub(crate) fn new(kind: &'static str, given: &str, why: &'static str) -> Self {
        // The rejected text is foreign; `escape_default` keeps it harmless on any terminal.
        let given = given.chars().take(80).flat_map(char::escape_default).collect();
        Self { kind, given, why }
    }

    /// The reason alone, in words.
    pub fn why(&self) -> &'static str {
        self.why
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Parses a ", $kind, " of at most ", $max, " bytes.")]
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() {
                    return Err(NameError::new($kind, text, "it is empty"));
                }
                if text.len() > $max {
                    return Err(NameError::new($kind, text, concat!("it is longer than ", $max, " bytes")));
                }
                if !text.chars().all(allowed) {
                    return Err(NameError::new($kind, text, "it has a character that such a name cannot have"));
                }
                Ok(Self(text.to_owned()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
    };
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

name! {
    /// An agent in one session: `main`, or `main/Explore.a1b2` for a subagent (parents first).
    AgentId, "agent id", 200, |c| word(c) || c == '/'
}
name! {
    /// A role of the configuration: what agents of that role may do.
    RoleName, "role name", 64, word
}
name! {
    /// A tool, as its definition spells it: `Read`, `net.connect`, `mcp__github__create_issue`.
    ToolName, "tool name", 128, word
}
name! {
    /// What offers a tool: `claude-code`, `net`, `process`, `model`, or an upstream MCP server.
    ServerName, "server name", 64, word
}
name! {
    /// One run of one agent program behind the gate.
    SessionId, "session id", 64, word
}
name! {
    /// One proposed call within a log.
    CallId, "call id", 64, word
}
name! {
    /// The name of a secret in the configuration, never its value.
    SecretName, "secret name", 64, word
}
name! {
    /// A person who may answer a question: `local:anna`.
    Approver, "approver", 128, |c| word(c) || matches!(c, ':' | '@')
}

impl AgentId {
    /// The agent that the session itself is.
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// The id of a subagent of this agent; foreign characters in `kind` and `id` become `_`.
    pub fn child(&self, kind: &str, id: &str) -> Result<Self, NameError> {
        let tame = |text: &str| -> String {
            text.chars().take(40).map(|c| if word(c) { c } else { '_' }).collect()
        };
        Self::parse(&format!("{}/{}.{}", self.0, tame(kind), tame(id)))
    }
}

/// A network host in its one canonical form: a lower-case DNS name without trailing dot, or an address.
///
/// Whatever two parsers could read differently is refused: control characters, user info, percent
/// escapes, non-ASCII (write punycode), and every spelling of an IPv4 address but four decimal parts.
/// Host-name differentials are the commonest hole of egress filters (ATTACKS N05, N06).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Kind);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Name(String),
    Address(IpAddr),
}

impl Host {
    /// Parses `text`, with or without the brackets of an IPv6 literal.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fail = |why| Err(NameError::new("host", text, why));
        if text.is_empty() {
            return fail("it is empty");
        }
        if text.len() > 255 {
            return fail("it is longer than 255 bytes");
        }
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return match inner.parse::<Ipv6Addr>() {
                Ok(address) => Ok(Self::from(IpAddr::V6(address))),
                Err(_) => fail("the brackets do not hold an IPv6 address"),
            };
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::from(address));
        }
        if !text.is_ascii() {
            return fail("it is not ASCII; write an international name in punycode");
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if let Some(why) = flaw(&name) {
            return fail(why);
        }
        Ok(Self(Kind::Name(name)))
    }

    /// The address, when the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        match &self.0 {
            Kind::Address(address) => Some(*address),
            Kind::Name(_) => None,
        }
    }

    /// The DNS name, when the host is one.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Kind::Name(name) => Some(name),
            Kind::Address(_) => None,
        }
    }

    /// Whether the host means this machine or a network that is not the public internet, by its
    /// spelling alone; what a name resolves to is judged again by the egress.
    pub fn is_private(&self) -> bool {
        match &self.0 {
            Kind::Address(address) => !is_public(*address),
            Kind::Name(name) => {
                let last = name.rsplit('.').next().unwrap_or(name);
                matches!(last, "localhost" | "local" | "internal" | "localdomain" | "home" | "lan")
                    || !name.contains('.')
            }
        }
    }
}

/// What keeps a lower-case text from being a DNS name.
fn flaw(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > 253 {
        return Some("a DNS name has 1 to 253 bytes");
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Some("a label has 1 to 63 bytes");
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
        {
            return Some("a label has only letters, digits, `-` and `_`");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Some("a label neither starts nor ends with `-`");
        }
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal =
        last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if last.bytes().all(|b| b.is_ascii_digit()) || hexadecimal {
        return Some("it is an address in an unusual spelling; write four decimal parts");
    }
    None
}

/// Whether `address` is a unicast address of the public internet (RFC 6890 and its registries).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => embedded_v4(v6).map_or_else(|| is_public_v6(v6), is_public_v4),
    }
}

/// Global unicast is `2000::/3`; out of it, documentation and special-purpose blocks.
fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [a, b, ..] = v6.segments();
    a & 0xe000 == 0x2000
        && !(a == 0x2001 && (b < 0x0200 || b == 0x0db8))
        && a != 0x2002
        && !(a == 0x3fff && b < 0x1000)
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    !(a == 0
        || v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
        // Azure's host agent lives at a public-looking address (ATTACKS N07).
        || v4.octets() == [168, 63, 129, 16])
}

/// The IPv4 address inside a mapped, compatible or NAT64 IPv6 address.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = v6.segments();
    let [.., high, low] = segments;
    let tail = || {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    let mapped = v6.to_ipv4_mapped().is_some();
    let nat64 = segments.starts_with(&[0x64, 0xff9b, 0, 0, 0, 0])
        || segments.starts_with(&[0x64, 0xff9b, 1]);
    (mapped || nat64).then(tail)
}

impl From<IpAddr> for Host {
    /// A mapped IPv6 address is the IPv4 address it stands for.
    fn from(address: IpAddr) -> Self {
        Self(Kind::Address(address.to_canonical()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Name(name) => f.write_str(name),
            Kind::Address(address) => address.fmt(f),
        }
    }
}

impl FromStr for Host {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl Serialize for Host {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A host and a port, the target of a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct HostPort {
    host: Host,
    port: u16,
}

impl HostPort {
    /// Joins the two; port 0 is no port.
    pub fn new(host: Host, port: u16) -> Result<Self, NameError> {
        if port == 0 {
            return Err(NameError::new("port", "0", "a port is 1 to 65535"));
        }
        Ok(Self { host, port })
    }

    /// Parses `host:port`, an IPv6 host in brackets.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fail = |why| NameError::new("host:port", text, why);
        let (host, port) = text.rsplit_once(':').ok_or_else(|| fail("it has no port"))?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(fail("an IPv6 address stands in brackets"));
        }
        if port.is_empty() || port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(fail("the port is not a number"));
        }
        let port = port.parse().map_err(|_| fail("a port is 1 to 65535"))?;
        Self::new(Host::parse(host)?, port)
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, 1 to 65535.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.address() {
            Some(IpAddr::V6(v6)) => write!(f, "[{v6}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// An absolute path without `.`, `..`, empty parts or NUL, made by text alone.
///
/// What symlinks make of it is the box's matter: a path that is canonical here and still leads out
/// of the view by a link finds nothing there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanonicalPath(PathBuf);

impl CanonicalPath {
    /// Resolves `text` against `base`, with `~` meaning `home`. A `..` above the root is refused,
    /// since no honest caller writes one.
    pub fn resolve(text: &str, base: &Self, home: &Path) -> Result<Self, NameError> {
        let fail = |why| NameError::new("path", text, why);
        if text.is_empty() || text.len() > 4096 {
            return Err(fail("a path has 1 to 4096 bytes"));
        }
        if text.contains('\0') {
            return Err(fail("it has a NUL byte"));
        }
        let path = match text.strip_prefix('~') {
            Some("") => home.to_path_buf(),
            Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
            Some(_) => return Err(fail("another user's home is not in the box")),
            None => base.0.join(text),
        };
        Self::absolute(&path).ok_or_else(|| fail("it climbs above the root"))
    }

    /// Takes an absolute path; `None` when it is relative or climbs above the root.
    pub fn absolute(path: &Path) -> Option<Self> {
        let mut parts = PathBuf::from("/");
        let mut depth = 0usize;
        if !path.is_absolute() {
            return None;
        }
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Prefix(_) => return None,
                Component::ParentDir => {
                    depth = depth.checked_sub(1)?;
                    parts.pop();
                }
                Component::Normal(part) => {
                    depth += 1;
                    parts.push(part);
                }
            }
        }
        Some(Self(parts))
    }

    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The part below `root`, when the path is `root` or below it; `.` for `root` itself.
    pub fn below(&self, root: &Self) -> Option<String> {
        let rest = self.0.strip_prefix(&root.0).ok()?;
        let text = rest.to_string_lossy();
        Some(if text.is_empty() { ".".to_owned() } else { text.into_owned() })
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_host_has_one_spelling() {
        assert_eq!(Host::parse("GitHub.COM.").unwrap(), Host::parse("github.com").unwrap());
        assert_eq!(Host::parse("[::ffff:10.0.0.1]").unwrap(), Host::parse("10.0.0.1").unwrap());
    }

    #[test]
    fn what_parsers_could_read_differently_is_no_host() {
        for text in [
            "",
            ".",
            "a..b",
            "user@ok.com",
            "ok.com\0.evil.com",
            "ok.com%00",
            "ok.com/",
            "ok.com#x",
            "ok com",
            "-a.com",
            "0x7f.1",
            "2130706433",
            "017700000001",
            "127.1",
            "0x7f000001",
            "1.2.3.4.5",
            "[1.2.3.4]",
            "fe80::1%eth0",
            "exämple.com",
            "ok.com\r\nhost: evil",
            "a:80",
            "ok.com..",
            "127.0.0.0x1",
        ] {
            assert!(Host::parse(text).is_err(), "{text:?} was taken for a host");
        }
    }

    #[test]
    fn no_private_address_is_public() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "::127.0.0.1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text} passed for public");
            assert!(Host::parse(text).unwrap().is_private(), "{text}");
        }
        for text in ["1.1.1.1", "140.82.121.4", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(is_public(text.parse().unwrap()), "{text} passed for private");
        }
    }

    #[test]
    fn a_path_cannot_climb() {
        let base = CanonicalPath::absolute(Path::new("/w/p")).unwrap();
        let resolve = |text| CanonicalPath::resolve(text, &base, Path::new("/h"));
        assert_eq!(resolve("a/../b").unwrap().below(&base).unwrap(), "b");
        assert_eq!(resolve("../x").unwrap().below(&base), None);
        assert_eq!(resolve("~/.ssh/id").unwrap().to_string(), "/h/.ssh/id");
        assert_eq!(resolve("/w/p-evil").unwrap().below(&base), None);
        assert!(resolve("../../../../etc").is_err());
        assert!(resolve("a\0b").is_err());
        assert!(resolve("~root/x").is_err());
    }

    proptest! {
        #[test]
        fn parsing_a_host_twice_changes_nothing(text in "\\PC{0,40}") {
            if let Ok(host) = Host::parse(&text) {
                prop_assert_eq!(Host::parse(&host.to_string()).unwrap(), host);
            }
        }
    }
}
