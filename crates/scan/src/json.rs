//! Where in a document does each value stand? A strict reader that keeps every place, so that a change
//! touches the bytes of one string and leaves all others as they came.
//!
//! Strict means: what two parsers could read differently is no document. Duplicate keys are refused
//! wherever they stand; keys that differ in case alone are told (`Node::has_twins`), because a schema
//! may hold such, and an envelope may not.

mod reader;
mod view;

pub use view::View;

use reader::Reader;
use std::borrow::Cow;
use std::ops::Range;
use thiserror::Error;

/// Why bytes are no document that has one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A key twice in one object.
    #[error("an object has the same key twice")]
    Duplicate,
    /// Beyond the [`Bounds`].
    #[error("it is nested too deeply, or has too many parts")]
    TooMuch,
    /// No JSON, or not in UTF-8.
    #[error("it is not JSON in UTF-8")]
    Malformed,
}

/// How deep a document may be, and how many values it may have.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a reader without one of its bounds has none")]
pub struct Bounds {
    /// Levels below the root.
    pub depth: usize,
    /// Values in all, so that their places fit in memory whatever the bytes are.
    pub parts: usize,
}

impl Default for Bounds {
    /// Deeper than any request of a client; serde reads as deep.
    fn default() -> Self {
        Self { depth: 120, parts: 1_000_000 }
    }
}

/// A document and its root.
#[derive(Debug)]
pub struct Doc<'a> {
    text: &'a str,
    root: Node,
}

/// One value in it; by default a value that is nowhere.
#[derive(Debug, Default)]
pub struct Node {
    start: usize,
    end: usize,
    kind: Kind,
}

#[derive(Debug, Default)]
enum Kind {
    List(Vec<Node>),
    #[default]
    Scalar,
    Table {
        members: Vec<(String, Node)>,
        twins: bool,
    },
    Text {
        escaped: bool,
    },
}

impl Node {
    /// Its bytes in the document.
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The member of this key, if it is an object that has one.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.members().find(|(name, _)| *name == key).map(|(_, node)| node)
    }

    /// The members, if it is an object.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Self)> {
        let members = match &self.kind {
            Kind::Table { members, .. } => members.as_slice(),
            Kind::List(_) | Kind::Scalar | Kind::Text { .. } => &[],
        };
        members.iter().map(|(name, node)| (name.as_str(), node))
    }

    /// The items, if it is an array.
    pub fn items(&self) -> Option<&[Self]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            Kind::Scalar | Kind::Table { .. } | Kind::Text { .. } => None,
        }
    }

    /// Whether it is an object.
    pub fn is_table(&self) -> bool {
        matches!(self.kind, Kind::Table { .. })
    }

    /// Whether it is an object of which two keys differ in case alone.
    pub fn has_twins(&self) -> bool {
        matches!(self.kind, Kind::Table { twins: true, .. })
    }

    /// Whether it is a string.
    pub fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Text { .. })
    }

    fn text_parts(&self) -> Option<bool> {
        match self.kind {
            Kind::Text { escaped } => Some(escaped),
            Kind::List(_) | Kind::Scalar | Kind::Table { .. } => None,
        }
    }
}

impl Node {
    /// Reads a text that must be one document and nothing else, and gives its root.
    pub fn read(text: &str, bounds: Bounds) -> Result<Self, Flaw> {
        Reader::whole(text.as_bytes(), bounds)
    }

    /// This value in the document whose root it came from.
    pub fn within<'a>(&'a self, text: &'a str) -> View<'a> {
        View { text, node: self }
    }
}

impl<'a> Doc<'a> {
    /// Reads bytes that must be one document and nothing else.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Flaw> {
        let text = std::str::from_utf8(bytes).map_err(|_| Flaw::Malformed)?;
        let root = Reader::whole(bytes, Bounds::default())?;
        Ok(Self { text, root })
    }

    /// The whole document as a value.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// The value as it is written.
    pub fn raw(&self, node: &Node) -> &'a str {
        self.text.get(node.span()).unwrap_or_default()
    }

    /// What a string says. A half of a surrogate pair, which is no character, reads as U+FFFD.
    pub fn text(&self, node: &Node) -> Option<Cow<'a, str>> {
        text_of(self.text, node)
    }

    /// What the string member of this key says.
    pub fn text_of(&self, node: &Node, key: &str) -> Option<Cow<'a, str>> {
        node.get(key).and_then(|member| self.text(member))
    }
}

/// Changes to a document, each to the bytes of one value.
#[derive(Debug, Default)]
pub struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Puts `json` in the place of a value.
    pub fn replace(&mut self, node: &Node, json: String) {
        self.0.push((node.span(), json));
    }

    /// Puts `json` right before the end of an array or object.
    pub fn append(&mut self, node: &Node, json: String) {
        let end = node.end.saturating_sub(1);
        self.0.push((end..end, json));
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The document with all changes. Places that lie in others that are replaced go with them.
    pub fn apply(mut self, text: &[u8]) -> Vec<u8> {
        self.0.sort_by_key(|(place, _)| (place.start, std::cmp::Reverse(place.end)));
        let added: usize = self.0.iter().map(|(_, json)| json.len()).sum();
        let mut out = Vec::with_capacity(text.len() + added);
        let mut copied = 0;
        for (place, json) in self.0 {
            if place.start < copied {
                continue;
            }
            out.extend_from_slice(text.get(copied..place.start).unwrap_or_default());
            out.extend_from_slice(json.as_bytes());
            copied = place.end;
        }
        out.extend_from_slice(text.get(copied..).unwrap_or_default());
        out
    }
}

/// A text as a JSON string.
pub fn quoted(text: &str) -> String {
    // A string is written to memory, which does not fail.
    serde_json::to_string(text).unwrap_or_default()
}

fn text_of<'a>(text: &'a str, node: &Node) -> Option<Cow<'a, str>> {
    let escaped = node.text_parts()?;
    let inner = text.get(node.start + 1..node.end.saturating_sub(1)).unwrap_or_default();
    if !escaped {
        return Some(Cow::Borrowed(inner));
    }
    let whole = text.get(node.span()).unwrap_or_default();
    Some(Cow::Owned(serde_json::from_str(whole).unwrap_or_else(|_| unescape(inner))))
}

/// The inside of a string whose escapes are well formed, half surrogates among them: each run of escapes is read as UTF-16.
fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut units = Vec::new();
    let mut rest = inner;
    while !rest.is_empty() {
        let unit = rest.strip_prefix("\\u").and_then(|after| after.split_at_checked(4));
        if let Some((digits, after)) = unit {
            units.push(u16::from_str_radix(digits, 16).unwrap_or(0xFFFD));
            rest = after;
            continue;
        }
        out.push_str(&String::from_utf16_lossy(&std::mem::take(&mut units)));
        let length = if rest.starts_with('\\') { 2 } else { rest.find('\\').unwrap_or(rest.len()) };
        let (part, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let plain = serde_json::from_str::<String>(&format!("\"{part}\""));
        out.push_str(&plain.unwrap_or_default());
        rest = after;
    }
    out.push_str(&String::from_utf16_lossy(&units));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_keeps_its_place() {
        let text = r#" {"a": [1, "x\n"], "b":{"c":null}} "#;
        let doc = Doc::read(text.as_bytes()).unwrap();
        let list = doc.root().get("a").unwrap();
        assert_eq!(doc.raw(list), r#"[1, "x\n"]"#);
        let item = &list.items().unwrap()[1];
        assert_eq!(doc.text(item).unwrap(), "x\n");
        let mut edits = Edits::default();
        edits.replace(item, quoted("\"y\""));
        edits.append(list, ",2".to_owned());
        assert_eq!(
            String::from_utf8(edits.apply(text.as_bytes())).unwrap(),
            r#" {"a": [1, "\"y\"",2], "b":{"c":null}} "#
        );
    }

    #[test]
    fn nothing_that_has_two_readings_is_a_document() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"x":{"a":1,"\u0061":2}}"#,
            "{\"a\":1,}",
            "[1 2]",
            "{} {}",
            "01",
            "1.",
            "-",
            "+1",
            "NaN",
            "tru",
            "\"\\x\"",
            "\"\\u12\"",
            "\"a\nb\"",
            "\"a",
            "{\"\\ud800\":1}",
            "",
            "\u{feff}{}",
        ] {
            assert!(Doc::read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Doc::read(b"\"\xff\"").is_err());
        let deep = "[".repeat(5000);
        assert_eq!(Doc::read(deep.as_bytes()).unwrap_err(), Flaw::TooMuch);
    }

    #[test]
    fn keys_that_differ_in_case_alone_are_told() {
        let doc = Doc::read(br#"{"role":1,"Role":2}"#).unwrap();
        assert!(doc.root().has_twins());
        assert!(!Doc::read(br#"{"role":1,"roles":2}"#).unwrap().root().has_twins());
    }

    #[test]
    fn half_a_surrogate_pair_reads_as_no_character() {
        let doc = Doc::read(br#""a\ud83d\\b\ud83d\ude00\n\udc00""#).unwrap();
        assert_eq!(doc.text(doc.root()).unwrap(), "a\u{fffd}\\b😀\n\u{fffd}");
    }

    #[test]
    fn a_string_ends_where_it_ends_wherever_that_is() {
        for length in 0..100 {
            let plain = "a".repeat(length);
            for (inside, sound) in [
                ("", true),
                ("\\n", true),
                ("é", true),
                ("\n", false),
                ("\\x", false),
                ("\u{1f}", false),
            ] {
                for text in [format!("\"{plain}{inside}{plain}\""), format!("\"{inside}{plain}\"")]
                {
                    let doc = Doc::read(text.as_bytes());
                    assert_eq!(doc.is_ok(), sound, "{text}");
                    if let Ok(doc) = doc {
                        let said: String = serde_json::from_str(&text).unwrap();
                        assert_eq!(doc.text(doc.root()).unwrap(), said);
                        assert!(doc.root().is_text());
                    }
                }
                assert!(Doc::read(format!("\"{plain}{inside}").as_bytes()).is_err(), "{inside}");
            }
        }
    }

    #[test]
    fn it_reads_what_serde_reads() {
        for text in [
            r#"{"a":[true,false,null,-0.5e+10,"é\u00e9\"\/"],"":{}}"#,
            "[]",
            "0",
            "\"\"",
            " [ { } , [ ] ] ",
        ] {
            let doc = Doc::read(text.as_bytes()).unwrap();
            let whole: serde_json::Value = serde_json::from_str(text).unwrap();
            let raw: serde_json::Value = serde_json::from_str(doc.raw(doc.root())).unwrap();
            assert_eq!(raw, whole, "{text}");
            assert_eq!(Edits::default().apply(text.as_bytes()), text.as_bytes());
        }
    }
}
