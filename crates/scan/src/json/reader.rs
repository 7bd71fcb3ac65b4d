//! Which bytes are which value? One pass, one reading.

use super::{Bounds, Flaw, Kind, Node};
use std::collections::HashSet;

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    parts: usize,
    bounds: Bounds,
}

impl<'a> Reader<'a> {
    /// Reads bytes that must be one value and nothing else.
    pub(super) fn whole(bytes: &'a [u8], bounds: Bounds) -> Result<Node, Flaw> {
        let mut reader = Reader { bytes, at: 0, parts: 0, bounds };
        let root = reader.value(0)?;
        reader.space();
        if reader.at == bytes.len() { Ok(root) } else { Err(Flaw::Malformed) }
    }

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
        if depth > self.bounds.depth || self.parts > self.bounds.parts {
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
            self.plain();
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(Flaw::Malformed),
            }
        }
        self.at += 1;
        Ok(escaped)
    }

    /// Goes over what means itself in a string. Most of a long document is that, so it is looked at many bytes at a time.
    fn plain(&mut self) {
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (blocks, _) = rest.as_chunks::<32>();
        // Without a way out in the middle, a block is one comparison of all its bytes.
        let free = |block: &&[u8; 32]| !block.iter().fold(false, |any, byte| any | special(byte));
        self.at += blocks.iter().take_while(free).count() * 32;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(special).unwrap_or(rest.len());
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
