//! Where in a document does each value stand? A strict reader that keeps every place, so that a change
//! touches the bytes of one string and leaves all others as they came.
//!
//! Strict means: what two parsers could read differently is no document. Duplicate keys are refused
//! wherever they stand; keys that differ in case alone are told (`Node::has_twins`), because a schema
//! may hold such, and an envelope may not.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use thiserror::Error;

/// Why bytes are no document that has one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Flaw {
    #[error("an object has the same key twice")]
    Duplicate,
    #[error("it is nested too deeply, or has too many parts")]
    TooMuch,
    #[error("it is not JSON in UTF-8")]
    Malformed,
}

/// A document and its root.
#[derive(Debug)]
pub(super) struct Doc<'a> {
    text: &'a str,
    root: Node,
}

/// One value in it.
#[derive(Debug)]
pub(super) struct Node {
    start: usize,
    end: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    List(Vec<Node>),
    Scalar,
    Table { members: Vec<(String, Node)>, twins: bool },
    Text { escaped: bool },
}

impl Node {
    /// Its bytes in the document.
    pub(super) fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The member of this key, if it is an object that has one.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.members().find(|(name, _)| *name == key).map(|(_, node)| node)
    }

    /// The members, if it is an object.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Self)> {
        let members = match &self.kind {
            Kind::Table { members, .. } => members.as_slice(),
            Kind::List(_) | Kind::Scalar | Kind::Text { .. } => &[],
        };
        members.iter().map(|(name, node)| (name.as_str(), node))
    }

    /// The items, if it is an array.
    pub(super) fn items(&self) -> Option<&[Self]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            Kind::Scalar | Kind::Table { .. } | Kind::Text { .. } => None,
        }
    }

    /// Whether it is an object.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.kind, Kind::Table { .. })
    }

    /// Whether it is an object of which two keys differ in case alone.
    pub(super) fn has_twins(&self) -> bool {
        matches!(self.kind, Kind::Table { twins: true, .. })
    }

    fn text_parts(&self) -> Option<bool> {
        match self.kind {
            Kind::Text { escaped } => Some(escaped),
            Kind::List(_) | Kind::Scalar | Kind::Table { .. } => None,
        }
    }
}

impl<'a> Doc<'a> {
    /// Reads bytes that must be one document and nothing else.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Flaw> {
        let text = std::str::from_utf8(bytes).map_err(|_| Flaw::Malformed)?;
        let mut reader = Reader { bytes, at: 0, parts: 0 };
        let root = reader.value(0)?;
        reader.space();
        if reader.at == bytes.len() { Ok(Self { text, root }) } else { Err(Flaw::Malformed) }
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// The value as it is written.
    pub(super) fn raw(&self, node: &Node) -> &'a str {
        self.text.get(node.span()).unwrap_or_default()
    }

    /// What a string says. A half of a surrogate pair, which is no character, reads as U+FFFD.
    pub(super) fn text(&self, node: &Node) -> Option<Cow<'a, str>> {
        let escaped = node.text_parts()?;
        let inner = self.text.get(node.start + 1..node.end.saturating_sub(1)).unwrap_or_default();
        Some(if escaped { Cow::Owned(unescape(inner)) } else { Cow::Borrowed(inner) })
    }

    /// What the string member of this key says.
    pub(super) fn text_of(&self, node: &Node, key: &str) -> Option<Cow<'a, str>> {
        node.get(key).and_then(|member| self.text(member))
    }
}

/// Changes to a document, each to the bytes of one value.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Puts `json` in the place of a value.
    pub(super) fn replace(&mut self, node: &Node, json: String) {
        self.0.push((node.span(), json));
    }

    /// Puts `json` right before the end of an array or object.
    pub(super) fn append(&mut self, node: &Node, json: String) {
        let end = node.end.saturating_sub(1);
        self.0.push((end..end, json));
    }

    /// Whether nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The document with all changes. Places that lie in others that are replaced go with them.
    pub(super) fn apply(mut self, text: &[u8]) -> Vec<u8> {
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
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    parts: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: u8) -> Result<(), Flaw> {
        if self.peek() != Some(wanted) {
            return Err(Flaw::Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Node, Flaw> {
        self.parts += 1;
        if depth > DEPTH_MAX || self.parts > PARTS_MAX {
            return Err(Flaw::TooMuch);
        }
        self.space();
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.table(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Kind::Text { escaped: self.string()? },
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(Flaw::Malformed),
        };
        Ok(Node { start, end: self.at, kind })
    }

    fn table(&mut self, depth: usize) -> Result<Kind, Flaw> {
        self.take(b'{')?;
        let mut members = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Kind::Table { members, twins: false });
        }
        loop {
            self.space();
            let key = self.key()?;
            self.space();
            self.take(b':')?;
            members.push((key, self.value(depth + 1)?));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(Flaw::Malformed),
            }
        }
        self.at += 1;
        let twins = twins(&members)?;
        Ok(Kind::Table { members, twins })
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Flaw> {
        self.take(b'[')?;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Kind::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(Flaw::Malformed),
            }
        }
        self.at += 1;
        Ok(Kind::List(items))
    }

    /// A key has one reading: a half surrogate in it has none.
    fn key(&mut self) -> Result<String, Flaw> {
        let start = self.at;
        let escaped = self.string()?;
        let raw = self.bytes.get(start..self.at).unwrap_or_default();
        if escaped {
            return serde_json::from_slice(raw).map_err(|_| Flaw::Malformed);
        }
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        String::from_utf8(inner.to_vec()).map_err(|_| Flaw::Malformed)
    }

    /// Goes over a string; tells whether it has escapes.
    fn string(&mut self) -> Result<bool, Flaw> {
        self.take(b'"')?;
        let mut escaped = false;
        loop {
            match self.peek() {
                None | Some(0..0x20) => return Err(Flaw::Malformed),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(escaped)
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        self.at += 1;
        let length = match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 1..self.at + 5).unwrap_or_default();
                if digits.len() != 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Flaw::Malformed);
                }
                5
            }
            _ => return Err(Flaw::Malformed),
        };
        self.at += length;
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<Kind, Flaw> {
        if self.bytes.get(self.at..self.at + word.len()) != Some(word) {
            return Err(Flaw::Malformed);
        }
        self.at += word.len();
        Ok(Kind::Scalar)
    }

    fn number(&mut self) -> Result<Kind, Flaw> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.digits();
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with(b"0")) {
            return Err(Flaw::Malformed);
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits().is_empty() {
                return Err(Flaw::Malformed);
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits().is_empty() {
                return Err(Flaw::Malformed);
            }
        }
        Ok(Kind::Scalar)
    }

    fn digits(&mut self) -> &[u8] {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.bytes.get(start..self.at).unwrap_or_default()
    }
}

/// Whether two keys differ in case alone; two that do not differ at all are a flaw.
fn twins(members: &[(String, Node)]) -> Result<bool, Flaw> {
    let mut exact = HashSet::with_capacity(members.len());
    if !members.iter().all(|(key, _)| exact.insert(key.as_str())) {
        return Err(Flaw::Duplicate);
    }
    let mut folded = HashSet::with_capacity(members.len());
    Ok(!members.iter().all(|(key, _)| folded.insert(key.to_lowercase())))
}

/// The inside of a string whose escapes are well formed.
fn unescape(inner: &str) -> String {
    if let Ok(text) = serde_json::from_str(&format!("\"{inner}\"")) {
        return text;
    }
    // Only half surrogates are left to fail: each run of escapes is read as UTF-16.
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

/// Deeper than any request of a client; serde reads as deep.
const DEPTH_MAX: usize = 120;
/// Values in one document, so that its places fit in memory whatever its bytes are.
const PARTS_MAX: usize = 1_000_000;

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
