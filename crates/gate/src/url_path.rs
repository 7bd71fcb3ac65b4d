//! Which resource does a request's path name? The one reading on which it is judged.
//!
//! Servers differ in what they make of `..`, `%2e`, `//`, `;x` and `\`. Here a path has one reading or none:
//! dot segments are resolved, escapes that change nothing are undone, and what two servers could still read
//! differently is refused (ATTACKS N14).

use std::fmt::{self, Write as _};
use thiserror::Error;

/// A canonical path: what policy compares, and what is sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UrlPath {
    judged: String,
    sent: String,
}

/// Why a path has no single reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the path of the request has more than one reading: {0}")]
pub struct UrlPathError(&'static str);

impl UrlPath {
    /// Parses the path of a request, without its query.
    pub fn parse(text: &str) -> Result<Self, UrlPathError> {
        let rest = text.strip_prefix('/').ok_or(UrlPathError("it does not begin with `/`"))?;
        if text.len() > PATH_MAX {
            return Err(UrlPathError("it is over 8 KiB"));
        }
        let mut segments: Vec<String> = Vec::new();
        let mut ends_open = false;
        let mut parts = rest.split('/').peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let segment = segment(part)?;
            ends_open = last && matches!(segment.as_str(), "" | "." | "..");
            match segment.as_str() {
                "." => {}
                ".." => drop(segments.pop()),
                "" if last => {}
                "" => return Err(UrlPathError("it has an empty segment (`//`)")),
                _ => segments.push(segment),
            }
        }
        let mut sent = format!("/{}", segments.join("/"));
        if ends_open && sent.len() > 1 {
            sent.push('/');
        }
        let judged = sent.replace("%2F", "/");
        // An escaped slash names a sub-resource on one server and nothing on another. It is judged as the slash;
        // what the two readings could make of dots and doubled slashes is not to be guessed.
        let odd = |part: &str| matches!(part, "" | "." | "..");
        let mut pieces = judged.split('/').skip(1).peekable();
        while let Some(piece) = pieces.next() {
            let is_open_end = piece.is_empty() && pieces.peek().is_none() && ends_open;
            if odd(piece) && !is_open_end {
                return Err(UrlPathError("an escaped slash stands beside a slash or a dot"));
            }
        }
        Ok(Self { judged, sent })
    }

    /// The path that policy compares: every `%2F` in it is read as `/`.
    pub fn judged(&self) -> &str {
        &self.judged
    }

    /// The path that is sent: the same, its escaped slashes kept.
    pub fn sent(&self) -> &str {
        &self.sent
    }
}

impl fmt::Display for UrlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.judged)
    }
}

/// One segment: needless escapes undone, the others in upper case.
fn segment(text: &str) -> Result<String, UrlPathError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'%' => {
                let escaped = escaped(&mut rest)?;
                match escaped {
                    b'%' if doubly_escaped(rest.as_slice()) => {
                        return Err(UrlPathError("it is escaped twice"));
                    }
                    0x00..=0x1f | 0x7f => {
                        return Err(UrlPathError("it has an escaped control character"));
                    }
                    b'\\' => return Err(UrlPathError("it has a backslash")),
                    byte if is_unreserved(byte) => out.push(char::from(byte)),
                    byte => drop(write!(out, "%{byte:02X}")),
                }
            }
            b'\\' => return Err(UrlPathError("it has a backslash")),
            b';' => return Err(UrlPathError("it has a path parameter (`;`)")),
            b'!'..=b'~' if !matches!(byte, b'#' | b'?') => out.push(char::from(byte)),
            _ => return Err(UrlPathError("it has a character that a path cannot have")),
        }
    }
    Ok(out)
}

fn escaped(rest: &mut std::slice::Iter<'_, u8>) -> Result<u8, UrlPathError> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    match (digit(rest.next()), digit(rest.next())) {
        (Some(high), Some(low)) => u8::try_from(high * 16 + low).map_err(|_| MALFORMED),
        _ => Err(MALFORMED),
    }
}

/// Whether what follows an escaped `%` would be an escape that changes a path's structure.
fn doubly_escaped(rest: &[u8]) -> bool {
    let [high, low, ..] = rest else { return false };
    let pair = [high.to_ascii_lowercase(), low.to_ascii_lowercase()];
    matches!(&pair, b"2e" | b"2f" | b"5c" | b"25" | b"3b" | [b'0' | b'1', _])
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const MALFORMED: UrlPathError = UrlPathError("it has a malformed escape");
const PATH_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judged(text: &str) -> String {
        UrlPath::parse(text).map_or_else(|error| format!("error: {error}"), |path| path.judged)
    }

    #[test]
    fn a_path_has_the_reading_that_every_server_gives_it() {
        for (text, reading) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/ok/../admin", "/admin"),
            ("/ok/%2e%2E/admin", "/admin"),
            ("/ok/.%2e/admin", "/admin"),
            ("/../../etc", "/etc"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/%61dmin", "/admin"),
            ("/a%3ab", "/a%3Ab"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a/...", "/a/..."),
            ("/@babel%2fcore", "/@babel/core"),
            ("/100%25", "/100%25"),
            ("/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,="),
        ] {
            assert_eq!(judged(text), reading, "{text}");
        }
        assert_eq!(UrlPath::parse("/@babel%2fcore").unwrap().sent(), "/@babel%2Fcore");
    }

    #[test]
    fn a_path_that_servers_read_differently_is_refused() {
        for text in [
            "",
            "a",
            "*",
            "//",
            "/a//b",
            "//a",
            "/a\\..\\b",
            "/a%5cb",
            "/a;x=1/b",
            "/a;/../b",
            "/%00",
            "/a%0ab",
            "/a%7f",
            "/%",
            "/%2",
            "/%zz",
            "/a%252e%252e/b",
            "/a%252fb",
            "/%2525",
            "/a#b",
            "/a?b",
            "/a b",
            "/ä",
            "/a%2f..%2fb",
            "/a%2f%2e%2e%2fb",
            "/a/%2f",
            "/a%2f",
            "/%2fa",
            "/a%2f%2fb",
            "/%2f",
        ] {
            assert!(UrlPath::parse(text).is_err(), "{text} passed as {}", judged(text));
        }
    }

    proptest! {
        #[test]
        fn reading_a_path_again_changes_nothing(text in "/([a-z.%2efEF/5;~-]|%2[ef]|\\.\\.|%41){0,24}") {
            if let Ok(path) = UrlPath::parse(&text) {
                let again = UrlPath::parse(path.sent()).unwrap();
                prop_assert_eq!(&again, &path);
                let judged = UrlPath::parse(path.judged()).unwrap();
                prop_assert_eq!(judged.judged(), path.judged());
                prop_assert!(!path.judged().split('/').any(|part| part == ".." || part == "."));
            }
        }
    }
}
