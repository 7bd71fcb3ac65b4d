//! Where does a server of the first revision (2024-11-05, HTTP with SSE) want to be sent messages? It says so itself, which
//! makes it a word to distrust: one that could name another host would have us carry requests into networks that it does not
//! reach, with the rights that its own address was given.

use bartizan_gate::name::{Host, HostPort};
use thiserror::Error;

/// Where a server's stream was asked for.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "an address has no other part")]
pub struct Base<'a> {
    /// Whether it is reached over TLS.
    pub secure: bool,
    /// Its host.
    pub target: &'a HostPort,
    /// The path of the stream.
    pub path: &'a str,
}

/// A place at the server's own origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    path: String,
    query: Option<String>,
}

/// Why nothing is sent where a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misplaced {
    /// It holds a name or a password.
    #[error("it names a place with credentials in it to send to")]
    Credentials,
    /// It is somewhere else.
    #[error("it names a place of another origin to send to")]
    Elsewhere,
    /// It can be read in more than one way, or not at all.
    #[error("it names a place to send to that has no plain reading")]
    Unplain,
}

impl Endpoint {
    /// Reads what the event `endpoint` says: an address of the base's scheme, host and port, or a path there. Only what every
    /// reader takes for the same is read: no `..`, no `\`, no `//` in a path, no fragment, nothing escaped in a path.
    pub fn read(base: Base<'_>, said: &[u8]) -> Result<Self, Misplaced> {
        let said = std::str::from_utf8(said).map_err(|_| Misplaced::Unplain)?;
        if said.is_empty() || said.len() > LONGEST || !said.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Misplaced::Unplain);
        }
        let rest = base.within(said)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let path = match path {
            "" if rest.len() == said.len() => base.path.to_owned(),
            "" => "/".to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            path => {
                let above = base.path.rsplit_once('/').map_or("", |(above, _)| above);
                format!("{above}/{path}")
            }
        };
        if !is_path(&path) || !query.is_none_or(is_query) {
            return Err(Misplaced::Unplain);
        }
        Ok(Self { path, query: query.map(str::to_owned) })
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What follows the `?`. A server tells its sessions apart by it, so it is for nobody else to see.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
}

impl Base<'_> {
    /// The path and query of an address of this origin.
    fn within<'t>(&self, said: &'t str) -> Result<&'t str, Misplaced> {
        let end = said.find(['/', '?', '#', '\\']).unwrap_or(said.len());
        let (head, tail) = said.split_at_checked(end).ok_or(Misplaced::Unplain)?;
        let rest = match (head.strip_suffix(':'), tail.strip_prefix("//")) {
            // `//host/…` is of the same scheme.
            (None, Some(rest)) if head.is_empty() => rest,
            (Some(scheme), Some(rest)) => {
                let own = if self.secure { "https" } else { "http" };
                if !scheme.eq_ignore_ascii_case(own) {
                    return Err(Misplaced::Elsewhere);
                }
                rest
            }
            // What stands before a colon may be a scheme.
            _ if head.contains(':') => return Err(Misplaced::Unplain),
            _ => return Ok(said),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end).ok_or(Misplaced::Unplain)?;
        if authority.contains('@') {
            return Err(Misplaced::Credentials);
        }
        let port = if self.secure { 443 } else { 80 };
        let bare = !authority.contains(':') || authority.ends_with(']');
        let named = if bare {
            Host::parse(authority).and_then(|host| HostPort::new(host, port))
        } else {
            HostPort::parse(authority)
        };
        match named {
            Ok(named) if named == *self.target => Ok(tail),
            Ok(_) => Err(Misplaced::Elsewhere),
            Err(_) => Err(Misplaced::Unplain),
        }
    }
}

fn is_path(path: &str) -> bool {
    let tame = |b: u8| b.is_ascii_alphanumeric() || b"/._-~=+:".contains(&b);
    let whole = path.strip_prefix('/').unwrap_or_default();
    let whole = whole.strip_suffix('/').unwrap_or(whole);
    let parts = |part: &str| !matches!(part, "" | "." | "..");
    path.starts_with('/') && path.bytes().all(tame) && (path == "/" || whole.split('/').all(parts))
}

fn is_query(query: &str) -> bool {
    query.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-~=+:&%,;@!$*()".contains(&b))
}

/// Bytes of what a server may say where it is to be sent messages.
const LONGEST: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(secure: bool, target: &str, path: &str, said: &str) -> Result<String, Misplaced> {
        let target = HostPort::parse(target).unwrap();
        let read = Endpoint::read(Base { secure, target: &target, path }, said.as_bytes())?;
        let query = read.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(format!("{}{query}", read.path()))
    }

    #[test]
    fn a_place_of_the_same_origin_is_read() {
        for (path, said, place) in [
            ("/sse", "/messages/?session_id=0f1e", "/messages/?session_id=0f1e"),
            ("/sse", "/message?sessionId=a-b_c.~%3D", "/message?sessionId=a-b_c.~%3D"),
            ("/v1/sse", "messages?s=1", "/v1/messages?s=1"),
            ("/v1/sse", "?s=1", "/v1/sse?s=1"),
            ("/", "messages", "/messages"),
            ("/sse", "https://mcp.example.com/messages", "/messages"),
            ("/sse", "HTTPS://MCP.example.com:443/messages", "/messages"),
            ("/sse", "https://mcp.example.com?s=1", "/?s=1"),
            ("/sse", "https://mcp.example.com", "/"),
            ("/sse", "//mcp.example.com/messages", "/messages"),
        ] {
            let read = read(true, "mcp.example.com:443", path, said);
            assert_eq!(read.as_deref(), Ok(place), "{said}");
        }
        let here = read(false, "127.0.0.1:8080", "/sse", "http://127.0.0.1:8080/m");
        assert_eq!(here.as_deref(), Ok("/m"));
        let here = read(false, "[::1]:8080", "/sse", "http://[::1]:8080/m");
        assert_eq!(here.as_deref(), Ok("/m"));
    }

    #[test]
    fn a_place_of_another_origin_is_none() {
        for said in [
            "https://169.254.169.254/latest/meta-data",
            "https://evil.example/messages",
            "//evil.example/messages",
            "http://mcp.example.com/messages",
            "http://mcp.example.com:443/messages",
            "https://mcp.example.com:8443/messages",
            "https://mcp.example.com.evil.example/messages",
            "https://evil.example/https://mcp.example.com/",
            "https://evil.example?https://mcp.example.com/",
            "//messages",
            "ftp://mcp.example.com/",
        ] {
            let read = read(true, "mcp.example.com:443", "/sse", said);
            assert_eq!(read, Err(Misplaced::Elsewhere), "{said}");
        }
        for said in [
            "https://me:key@mcp.example.com/",
            "https://mcp.example.com@evil.example/",
            "https://evil.example:443@mcp.example.com/",
            "//me@mcp.example.com/messages",
        ] {
            let read = read(true, "mcp.example.com:443", "/sse", said);
            assert_eq!(read, Err(Misplaced::Credentials), "{said}");
        }
    }

    #[test]
    fn a_place_with_two_readings_is_none() {
        let long = format!("/{}", "x".repeat(LONGEST));
        for said in [
            "",
            "/a/../admin",
            "../admin",
            "./messages",
            "/a//b",
            "/%2e%2e/admin",
            "/a%2fb",
            "/messages#x",
            "/\\evil.example/",
            "\\\\evil.example/",
            "https:\\\\evil.example/",
            "https:/evil.example/",
            "https:evil.example",
            "javascript:alert(1)",
            "mcp.example.com:443/messages",
            "https:///messages",
            "https://mcp.example.com:/messages",
            "https://mcp.example.com:0443x/",
            "/messages?x=a b",
            "/messages?x=\r\nHost: evil",
            "/messages?a=1#b",
            "/messages?a=?",
            "/caf\u{e9}",
            &long,
        ] {
            let read = read(true, "mcp.example.com:443", "/sse", said);
            assert_eq!(read, Err(Misplaced::Unplain), "{said}");
        }
    }
}
