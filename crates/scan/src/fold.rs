//! What is left of a text when case, separators, line breaks and terminal colours no longer count?

use crate::bytes::byte_table;
use crate::label::OPEN;
use std::ops::Range;

/// The letters and digits of a text in lower case, and where each stood. A value that was spaced out, wrapped,
/// quoted piece by piece or written in another case has the same skeleton as the value itself.
#[derive(Debug, Default)]
pub(crate) struct Skeleton {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Skeleton {
    /// The skeleton of `text`. Ranges in `walls` (labels of ours) count as one byte that nothing matches.
    pub(crate) fn of(text: &[u8], walls: &[Range<usize>]) -> Self {
        let mut skeleton = Self::default();
        skeleton.bytes.reserve(text.len());
        skeleton.places.reserve(text.len());
        let mut from = 0;
        for wall in walls {
            skeleton.add(text, from..wall.start);
            skeleton.bytes.push(WALL);
            skeleton.places.push(wall.start);
            from = wall.end;
        }
        skeleton.add(text, from..text.len());
        skeleton
    }

    fn add(&mut self, text: &[u8], range: Range<usize>) {
        let mut at = range.start;
        while let Some(&byte) = text.get(..range.end).and_then(|t| t.get(at)) {
            if byte == ESCAPE {
                at += escape_len(text.get(at..range.end).unwrap_or_default()).max(1);
                continue;
            }
            let folded = fold(byte);
            if folded != 0 {
                self.bytes.push(folded);
                self.places.push(at);
            }
            at += 1;
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the skeleton's byte `at` stood.
    pub(crate) fn place(&self, at: usize) -> usize {
        self.places.get(at).copied().unwrap_or(usize::MAX)
    }

    /// The text's range behind a range of the skeleton.
    pub(crate) fn span(&self, range: &Range<usize>) -> Range<usize> {
        self.place(range.start)..self.place(range.end.saturating_sub(1)).saturating_add(1)
    }
}

/// The lower-case letter or digit that a byte is, or 0.
pub(crate) const fn fold(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' => byte,
        b'A'..=b'Z' => byte | 0x20,
        _ => 0,
    }
}

/// The letters and digits of `text`, in lower case.
pub(crate) fn folded(text: &[u8]) -> Vec<u8> {
    text.iter().map(|b| fold(*b)).filter(|b| *b != 0).collect()
}

/// How long the terminal escape sequence at the beginning of `text` is; 0 if there is none. A label of ours is never
/// part of one, though ESC and its bracket look it.
pub(crate) fn escape_len(text: &[u8]) -> usize {
    let ends = |body: &[u8], last: fn(&u8) -> bool| body.iter().take(64).position(last);
    match text {
        [ESCAPE, label @ ..] if label.starts_with(OPEN.as_bytes()) => 1,
        [ESCAPE, b'[', body @ ..] => ends(body, |b| matches!(*b, 0x40..=0x7E)).map_or(2, |n| n + 3),
        [ESCAPE, b']', body @ ..] => {
            ends(body, |b| matches!(*b, 0x07 | ESCAPE)).map_or(2, |n| n + 3)
        }
        [ESCAPE, ..] => 1,
        _ => 0,
    }
}

/// Follows the last six letters and digits that went by, as one number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window(u64);

impl Window {
    /// Takes one more byte, which only counts if it is a letter or digit.
    pub(crate) fn push(&mut self, byte: u8) -> bool {
        let folded = FOLD.get(usize::from(byte)).copied().unwrap_or(0);
        let next = ((self.0 << 8) | u64::from(folded)) & MASK;
        self.0 = if folded == 0 { self.0 } else { next };
        folded != 0
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }

    /// The window over the first six bytes of a skeleton.
    pub(crate) fn over(bytes: &[u8]) -> Self {
        Self(bytes.iter().take(WINDOW).fold(0, |v, b| (v << 8 | u64::from(*b)) & MASK))
    }
}

/// How many letters and digits a window holds.
pub(crate) const WINDOW: usize = 6;
const MASK: u64 = (1 << (8 * WINDOW)) - 1;
const WALL: u8 = 0xFF;
const ESCAPE: u8 = 0x1B;
const FOLD: [u8; 256] = byte_table!(fold);
