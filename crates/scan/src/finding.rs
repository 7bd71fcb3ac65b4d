//! What was found, where, and how sure are we? Never the secret itself.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One thing that a scan found in its input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Where it stands, in bytes of the *input* (of the whole stream, for a stream).
    pub span: Range<usize>,
    /// What it is.
    pub kind: Kind,
    /// How sure the scan is.
    pub confidence: Confidence,
}

impl Finding {
    pub(crate) const fn new(span: Range<usize>, kind: Kind, confidence: Confidence) -> Self {
        Self { span, kind, confidence }
    }
}

/// The name of what was found: a rule's kind, or the name of a known secret, as lower-case letters, digits,
/// `.`, `_` and `-` only, so that it is safe to print anywhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Arc<str>);

impl Kind {
    /// Makes a kind of any name: what is outside the alphabet becomes `-`, what is too long is cut.
    pub(crate) fn slug(name: &str) -> Self {
        let mut slug: String = name
            .chars()
            .take(MAX_KIND_CHARS)
            .map(|c| match c.to_ascii_lowercase() {
                c @ ('a'..='z' | '0'..='9' | '.' | '_' | '-') => c,
                _ => '-',
            })
            .collect();
        if slug.is_empty() {
            slug.push_str("secret");
        }
        Self(slug.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.0)
    }
}

/// How sure a scan is of a finding, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Only the text around it says what it is: a header, a key name, a place in a URL.
    Medium,
    /// It has a vendor's own shape, but no checksum that we know, or one that does not hold.
    High,
    /// It is a value this session has resolved, its checksum holds, or it is exactly a control character.
    Certain,
}

const MAX_KIND_CHARS: usize = 48;
