//! Does a text have the form that a schema asks for?

use regex::bytes::{Regex, RegexBuilder};

/// A pattern of a schema, as far as this engine and JavaScript's, which schemas mean, read it alike:
/// what fits there is never refused here.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    /// Whether the two may differ on text that is not ASCII.
    ascii: bool,
}

impl Pattern {
    /// `None` for one that is not understood: it is left to the server, which can only refuse more.
    pub(super) fn new(text: &str) -> Option<Self> {
        if text.len() > PATTERN_MAX || text.contains("(?") {
            return None;
        }
        let regex = RegexBuilder::new(text)
            .unicode(false)
            .size_limit(PATTERN_BYTES)
            .nest_limit(32)
            .build()
            .ok()?;
        let wide = [".", "[^", "\\s", "\\S", "\\W", "\\D"];
        Some(Self { regex, ascii: wide.iter().any(|part| text.contains(part)) })
    }

    pub(super) fn fits(&self, text: &str) -> bool {
        (self.ascii && !text.is_ascii()) || self.regex.is_match(text.as_bytes())
    }
}

/// Longest pattern that is checked.
const PATTERN_MAX: usize = 1024;
/// How large one may become when it is compiled.
const PATTERN_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_it_means_to_the_server() {
        let id = Pattern::new("^\\d{1,8}$").unwrap();
        assert!(id.fits("42") && !id.fits("42x") && !id.fits("42\n") && !id.fits("\u{664}"));
        let any = Pattern::new("^.{2}$").unwrap();
        assert!(any.fits("ab") && any.fits("\u{e9}\u{e9}") && !any.fits("abc"));
        for text in ["(", "(?=x)", "(?i)x", "a{100000}", "\\p{L}", "(a)\\1"] {
            assert!(Pattern::new(text).is_none(), "{text}");
        }
    }
}
