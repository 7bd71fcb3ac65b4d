//! What does a compressed answer say? What nobody can read back is not passed on.
//!
//! A host with a credential is asked for plain answers. One that compresses all the same could hide an echo of the
//! credential from the redactor, so its answer is decoded on the way, a small piece at a time, and the box gets it
//! plain. A coding that is not known here, or more than one, is refused before anything passes.

mod brotli;
mod gzip;
mod zstd;

use crate::refuse::{Refusal, Status};
use bytes::{Buf as _, BytesMut};
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::response::Parts;

/// One coding, undone step by step.
trait Coded: Send {
    /// Reads from the front of `input`, appends what it says to `out`, and tells how much of `input` is done with. Neither
    /// is more than [`STEP`] bytes, or a little over. Nothing done and nothing said: more input is needed.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Garbled>;

    /// Whether it may end here.
    fn is_whole(&self) -> bool;
}

/// What came is not in the coding that was announced, or says far more than its length lets expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbled;

impl Garbled {
    pub(super) fn refusal() -> Refusal {
        unscannable("the answer could not be decoded, and was cut off")
    }
}

/// An answer's body, being decoded.
pub(super) struct Decoder {
    coded: Box<dyn Coded>,
    input: BytesMut,
    /// It has said all that it can before more comes.
    dry: bool,
    came: u64,
    gave: u64,
}

impl Decoder {
    /// What decodes the answer with this head, if it is coded; the head is changed to what the box will get.
    pub(super) fn of(head: &mut Parts) -> Result<Option<Self>, Refusal> {
        let Some(name) = coding(&head.headers)? else { return Ok(None) };
        // A part of a coded body begins anywhere.
        if head.status == StatusCode::PARTIAL_CONTENT {
            return Err(unscannable("a part of a compressed answer cannot be looked into"));
        }
        let known = Self::named(&name);
        let decoder = known.ok_or_else(|| unscannable("the answer came in an unknown encoding"))?;
        plain(&mut head.headers);
        Ok(Some(decoder))
    }

    /// What decodes the request with this head, if it is coded; nothing else is known of a coding that is not known here.
    pub(super) fn of_request(headers: &HeaderMap) -> Result<Option<Self>, Garbled> {
        let Some(name) = coding(headers).map_err(|_| Garbled)? else { return Ok(None) };
        Self::named(&name).map(Some).ok_or(Garbled)
    }

    /// What decodes bytes that begin so, if they say by themselves that they are coded.
    pub(super) fn by_mark(beginning: &[u8]) -> Option<Self> {
        match beginning {
            [0x1F, 0x8B, 8, ..] => Self::named("gzip"),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::named("zstd"),
            _ => None,
        }
    }

    fn named(coding: &str) -> Option<Self> {
        let coded: Box<dyn Coded> = match coding {
            "br" => Box::new(brotli::Brotli::new()),
            "deflate" => Box::new(gzip::Deflate::new()),
            "gzip" | "x-gzip" => Box::new(gzip::Gzip::new()),
            "zstd" => Box::new(zstd::Zstd::new()),
            _ => return None,
        };
        Some(Self { coded, input: BytesMut::new(), dry: true, came: 0, gave: 0 })
    }

    /// Takes what came over the wire.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.dry = false;
        self.came += bytes.len() as u64;
        self.input.extend_from_slice(bytes);
    }

    /// The next piece of what it says; `None` when more must come first.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Garbled> {
        let mut out = Vec::new();
        while !self.dry {
            let done = self.coded.step(&self.input, &mut out)?;
            self.input.advance(done.min(self.input.len()));
            self.gave += out.len() as u64;
            if self.gave > FREE + self.came.saturating_mul(RATIO) {
                return Err(Garbled);
            }
            match (out.is_empty(), done) {
                (false, _) => return Ok(Some(out)),
                (true, 0) if self.input.len() > HELD => return Err(Garbled),
                (true, 0) => self.dry = true,
                (true, _) => {}
            }
        }
        Ok(None)
    }

    /// Whether the body may end here.
    pub(super) fn is_whole(&self) -> bool {
        self.input.is_empty() && (self.came == 0 || self.coded.is_whole())
    }
}

/// The coding that is announced, in lower case; none for a plain body.
fn coding(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut found = None;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let text = value.to_str().map_err(|_| unscannable("its encoding is malformed"))?;
        for name in text.split(',').map(|name| name.trim().to_ascii_lowercase()) {
            if name.is_empty() || name == "identity" {
                continue;
            }
            if found.replace(name).is_some() {
                return Err(unscannable("the answer came encoded more than once"));
            }
        }
    }
    Ok(found)
}

/// Takes out of a head what was said of the coded bytes.
fn plain(headers: &mut HeaderMap) {
    let about = |name: &HeaderName| {
        let name = name.as_str();
        matches!(
            name,
            "content-encoding" | "content-length" | "content-md5" | "content-digest" | "digest"
        ) || name.starts_with("x-amz-checksum-")
    };
    let gone: Vec<HeaderName> = headers.keys().filter(|name| about(name)).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
    // A strong tag names the bytes themselves.
    let tag = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    let weak = tag.map(|tag| [b"W/", tag.as_bytes()].concat());
    if let Some(Ok(weak)) = weak.map(|weak| HeaderValue::from_bytes(&weak)) {
        headers.insert(header::ETAG, weak);
    }
}

fn unscannable(sentence: &'static str) -> Refusal {
    Refusal::new(Status::BadGateway, "unscannable", sentence)
}

/// About how much is said at once.
const STEP: usize = 64 * 1024;
/// What may wait to be understood: the largest block of zstd, and a gzip head with a long name in it.
const HELD: usize = 512 * 1024;
/// Every body may say so much.
const FREE: u64 = 16 * 1024 * 1024;
/// Beyond that, nothing that people send is so many times longer than its coded form.
const RATIO: u64 = 256;

#[cfg(test)]
mod tests;
