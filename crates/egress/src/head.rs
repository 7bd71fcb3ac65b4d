//! Is this a request head that no two parsers can read differently?
//!
//! Stricter than RFC 9112 asks, since every leniency is a place where we and the server behind us could
//! disagree about where a request goes or ends: bare line feeds, folded lines, spaces before a colon,
//! two `Host` lines, and a length together with a transfer encoding are all refused.

use crate::name::{Host, HostPort, NameError};
use crate::refuse::{Refusal, Status};

/// How many bytes a head may have, its blank line included.
pub const HEAD_LIMIT: usize = 16 * 1024;

const MAX_FIELDS: usize = 100;

/// A parsed request head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    method: String,
    target: String,
    minor: u8,
    fields: Vec<(String, String)>,
    body: Body,
    length: usize,
}

/// How the body after a head is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// In chunks.
    Chunked,
    /// By its length in bytes; 0 when no body was announced.
    Length(u64),
}

/// Parses the head at the start of `bytes`; `None` when it is not complete yet.
///
/// A refusal is final: no further byte could make the head acceptable.
pub fn parse(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    let seen = bytes.get(..HEAD_LIMIT).unwrap_or(bytes);
    let Some(end) = find_end(seen)? else {
        return if bytes.len() >= HEAD_LIMIT {
            Err(Refusal::new(
                Status::HeadTooLarge,
                "head-too-large",
                "the request head is over 16 KiB",
            ))
        } else {
            Ok(None)
        };
    };
    let text = seen.get(..end).unwrap_or_default();
    let mut lines =
        text.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let (method, target, minor) = request_line(lines.next().unwrap_or_default())?;
    let mut fields = Vec::new();
    for line in lines {
        if fields.len() == MAX_FIELDS {
            return Err(Refusal::new(
                Status::HeadTooLarge,
                "head-too-large",
                "the request has over 100 header fields",
            ));
        }
        fields.push(field(line)?);
    }
    let body = framing(&fields, minor)?;
    let head = Head { method, target, minor, fields, body, length: end + 4 };
    if head.fields.iter().filter(|(name, _)| name == "host").count() > 1 {
        return Err(bad("the request has more than one Host"));
    }
    Ok(Some(head))
}

impl Head {
    /// The method as sent; methods are case-sensitive.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The request target as sent.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The minor version: 0 or 1.
    pub fn minor(&self) -> u8 {
        self.minor
    }

    /// The value of a field by its lower-case name, when it occurs exactly once.
    pub fn only(&self, name: &str) -> Option<&str> {
        let mut values =
            self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_none() { first } else { None }
    }

    /// How the body is delimited.
    pub fn body(&self) -> Body {
        self.body
    }

    /// How many bytes the head took.
    #[expect(clippy::len_without_is_empty, reason = "a head is never empty")]
    pub fn len(&self) -> usize {
        self.length
    }
}

/// Parses an authority, `host` or `host:port`, without user info.
pub fn authority(text: &str, default_port: u16) -> Result<HostPort, NameError> {
    let tail = text.rsplit_once(']').map_or(text, |(_, tail)| tail);
    if tail.contains(':') {
        HostPort::parse(text)
    } else {
        HostPort::new(Host::parse(text)?, default_port)
    }
}

/// Where the blank line begins; a line feed without its carriage return is refused as soon as it is seen.
fn find_end(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut previous = 0u8;
    let mut line_start = 0usize;
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if previous != b'\r' => return Err(bad("a line ends without a carriage return")),
            b'\n' if at == line_start + 1 => {
                return if line_start == 0 {
                    Err(bad("the request begins with an empty line"))
                } else {
                    Ok(Some(line_start.saturating_sub(2)))
                };
            }
            b'\n' => line_start = at + 1,
            _ if previous == b'\r' => return Err(bad("a carriage return stands inside a line")),
            b'\t' | b'\r' | 0x20..=0x7e | 0x80..=0xff => {}
            _ => return Err(bad("the request head has a control character")),
        }
        previous = byte;
    }
    Ok(None)
}

fn request_line(line: &[u8]) -> Result<(String, String, u8), Refusal> {
    let line = std::str::from_utf8(line).map_err(|_| bad("the request line is not ASCII"))?;
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad("the request line has not three parts"));
    };
    if method.is_empty() || method.len() > 32 || !method.bytes().all(is_token) {
        return Err(bad("the method is not a token"));
    }
    if target.is_empty() || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(bad("the request target has a character that it cannot have"));
    }
    let minor = match version {
        "HTTP/1.1" => 1,
        "HTTP/1.0" => 0,
        _ => return Err(bad("the version is neither HTTP/1.0 nor HTTP/1.1")),
    };
    Ok((method.to_owned(), target.to_owned(), minor))
}

fn field(line: &[u8]) -> Result<(String, String), Refusal> {
    let colon =
        line.iter().position(|&b| b == b':').ok_or_else(|| bad("a header line has no colon"))?;
    let (name, value) =
        line.split_at_checked(colon).ok_or_else(|| bad("a header line has no colon"))?;
    // A space before the colon or at the start of a line (folding) is not a token character.
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(bad("a header name is not a token"));
    }
    let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default());
    let value = value.trim_matches([' ', '\t']).to_owned();
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value))
}

fn framing(fields: &[(String, String)], minor: u8) -> Result<Body, Refusal> {
    let mut length = None;
    let mut chunked = false;
    for (name, value) in fields {
        match name.as_str() {
            "content-length" => {
                let digits = !value.is_empty()
                    && value.len() <= 18
                    && value.bytes().all(|b| b.is_ascii_digit());
                let parsed = digits.then(|| value.parse::<u64>().ok()).flatten();
                if length.is_some() || parsed.is_none() {
                    return Err(bad("Content-Length is repeated or not a number"));
                }
                length = parsed;
            }
            "transfer-encoding" => {
                if chunked || minor == 0 || !value.eq_ignore_ascii_case("chunked") {
                    return Err(bad("Transfer-Encoding may only be `chunked`, once, in HTTP/1.1"));
                }
                chunked = true;
            }
            _ => {}
        }
    }
    match (length, chunked) {
        (Some(_), true) => Err(bad("the request has both Content-Length and Transfer-Encoding")),
        (None, true) => Ok(Body::Chunked),
        (length, false) => Ok(Body::Length(length.unwrap_or(0))),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn bad(sentence: &'static str) -> Refusal {
    Refusal::new(Status::BadRequest, "malformed-request", sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accept(text: &str) -> Head {
        parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn an_ordinary_head_is_read_whole() {
        let head = accept(
            "POST http://ok.com/a?b HTTP/1.1\r\nHost:  ok.com \r\nContent-Length: 3\r\n\r\nabc",
        );
        assert_eq!((head.method(), head.target(), head.minor()), ("POST", "http://ok.com/a?b", 1));
        assert_eq!(head.only("host"), Some("ok.com"));
        assert_eq!(head.body(), Body::Length(3));
        assert_eq!(
            head.len(),
            "POST http://ok.com/a?b HTTP/1.1\r\nHost:  ok.com \r\nContent-Length: 3\r\n\r\n".len()
        );
    }

    #[test]
    fn a_head_without_fields_is_a_head() {
        assert_eq!(accept("CONNECT ok.com:443 HTTP/1.0\r\n\r\n").target(), "ok.com:443");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\0\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "G(T / HTTP/1.1\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: identity, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?} passed");
        }
    }

    #[test]
    fn a_head_over_the_limit_is_refused_even_without_an_end() {
        let mut text = b"GET / HTTP/1.1\r\nX: ".to_vec();
        text.resize(HEAD_LIMIT, b'a');
        assert_eq!(parse(&text).unwrap_err().code(), "head-too-large");
        text.truncate(HEAD_LIMIT - 1);
        assert_eq!(parse(&text), Ok(None));
    }

    #[test]
    fn an_authority_has_no_second_reading() {
        assert_eq!(authority("OK.com.", 80).unwrap().to_string(), "ok.com:80");
        assert_eq!(authority("[2606:4700::1]", 443).unwrap().to_string(), "[2606:4700::1]:443");
        for text in [
            "u@ok.com",
            "ok.com:",
            "ok.com:0",
            "ok.com:99999",
            "::1",
            "ok.com:80:80",
            "ok.com:+1",
            "[::1]x",
            "",
        ] {
            assert!(authority(text, 80).is_err(), "{text:?} passed");
        }
    }

    proptest! {
        #[test]
        fn a_prefix_never_decides_otherwise_than_the_whole(cut in 0usize..80) {
            let text = b"POST http://ok.com/a HTTP/1.1\r\nHost: ok.com\r\nTransfer-Encoding: chunked\r\n\r\n";
            let part = &text[..cut.min(text.len() - 1)];
            prop_assert_eq!(parse(part), Ok(None));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Some(head)) = parse(&bytes) {
                prop_assert!(head.len() <= bytes.len());
            }
        }
    }
}
