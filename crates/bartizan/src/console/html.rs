//! How does foreign text get onto a page without becoming part of it? Only literals are markup; everything else is escaped.

use bartizan_scan::display_line;
use std::fmt::{Display, Write as _};

/// A page, or a part of one, being written.
// INVARIANT: nothing gets in but literals of this program, numbers, and text through `escape`.
#[derive(Debug, Default)]
pub(super) struct Html(String);

/// What is written as the digits, the sign and the point that it is.
pub(super) trait Number: Copy + Display {}

impl Number for f64 {}
impl Number for u32 {}
impl Number for u64 {}
impl Number for usize {}

impl Html {
    /// Markup of our own.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, from wherever: as content, or as the value of an attribute in quotes. Invisible and steering characters
    /// are shown as what they are, and all of it stays on one line.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        escape(&mut self.0, &display_line(text, usize::MAX - 1));
        self
    }

    /// The beginning of a text, and how long it is if that is not all.
    pub(super) fn brief(&mut self, text: &str, most: usize) -> &mut Self {
        escape(&mut self.0, &display_line(text, most));
        self
    }

    /// Text with lines and tabs of its own, all else made visible as [`Html::text`] does it.
    pub(super) fn lines(&mut self, text: &str) -> &mut Self {
        for (number, line) in text.split('\n').enumerate() {
            self.raw(if number == 0 { "" } else { "\n" });
            for (number, part) in line.split('\t').enumerate() {
                self.raw(if number == 0 { "" } else { "\t" }).text(part);
            }
        }
        self
    }

    /// A number.
    pub(super) fn number(&mut self, number: impl Number) -> &mut Self {
        self.0.push_str(&number.to_string());
        self
    }

    /// One part of a path, or a value in a query, of an address of ours.
    pub(super) fn segment(&mut self, text: &str) -> &mut Self {
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
                self.0.push(char::from(byte));
            } else {
                // Writing into a string cannot fail.
                _ = write!(self.0, "%{byte:02X}");
            }
        }
        self
    }

    /// A part that was written before.
    pub(super) fn part(&mut self, part: &Self) -> &mut Self {
        self.0.push_str(&part.0);
        self
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Writer = for<'a, 'b> fn(&'a mut Html, &'b str) -> &'a mut Html;

    fn written(write: Writer, text: &str) -> String {
        let mut html = Html::default();
        write(&mut html, text);
        html.0
    }

    #[test]
    fn foreign_text_never_becomes_markup() {
        for text in ["<script>", "\"><img src=x>", "' onload='x", "<!--", "]]>", "\u{202e}<b>\u{0}"]
        {
            for write in [Html::text as Writer, Html::lines] {
                let html = written(write, text);
                assert!(!html.contains(['<', '>', '"', '\'', '\u{202e}', '\u{0}']), "{html:?}");
            }
        }
        assert_eq!(written(Html::text, "&#60;b>"), "&amp;#60;b&gt;");
        let lines = written(Html::lines, "a\tb\n\u{1b}[2Jc\n");
        assert!(lines.starts_with("a\tb\n") && lines.ends_with("c\n"), "{lines:?}");
        assert!(!lines.contains('\u{1b}'), "{lines:?}");
    }

    #[test]
    fn nothing_leaves_its_place_in_an_address() {
        let segment = |text: &str| written(Html::segment, text);
        assert_eq!(segment("s-1_A"), "s-1_A");
        assert_eq!(segment("../x?a=b&c#d\"é"), "%2E%2E%2Fx%3Fa%3Db%26c%23d%22%C3%A9");
        assert_eq!(segment("\u{11}%"), "%11%25");
    }
}
