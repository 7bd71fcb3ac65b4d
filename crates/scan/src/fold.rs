//! What is left of a text when case, separators, line breaks and terminal colours no longer count?

use crate::bytes::byte_table;
use crate::label::OPEN;
use crate::work;
use std::ops::Range;
use std::sync::LazyLock;

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
        work::count(text.len());
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

/// The letters and digits of short stretches of text, in lower case, one stretch after another.
pub(crate) struct Letters {
    bytes: [u8; Self::ROOM],
    len: u8,
}

impl Letters {
    /// A stretch may be so long.
    pub(crate) const STRETCH: usize = 240;
    /// With what is carried over, and what is read behind the last letter.
    const ROOM: usize = 272;

    pub(crate) const fn new() -> Self {
        Self { bytes: [0; Self::ROOM], len: 0 }
    }

    /// Takes the last five letters of what came before, and the next stretch.
    pub(crate) fn take(&mut self, before: Window, stretch: &[u8]) {
        let before = before.0.to_be_bytes();
        let last = before.iter().skip(before.len() - usize::from(CARRIED));
        self.bytes.iter_mut().zip(last).for_each(|(to, from)| *to = *from);
        self.len = CARRIED;
        let pairs = &**PAIRS;
        let (blocks, rest) = stretch.as_chunks::<8>();
        // Four at a time, so that there are fewer turns to count.
        for block in blocks {
            for pair in block.as_chunks().0 {
                self.add(pairs, *pair);
            }
        }
        let (rest, one) = rest.as_chunks();
        for pair in rest {
            self.add(pairs, *pair);
        }
        for byte in one {
            self.add(pairs, [*byte, 0]);
        }
    }

    fn add(&mut self, pairs: &[u16; 1 << 16], pair: [u8; 2]) {
        let folded = pairs.get(usize::from(u16::from_le_bytes(pair))).copied().unwrap_or(0);
        // Written in any case, and kept if they are letters: to ask would cost more.
        let at = usize::from(self.len);
        if let Some(to) = self.bytes.get_mut(at..at + 2) {
            to.copy_from_slice(&folded.to_le_bytes());
        }
        self.len =
            self.len.wrapping_add(u8::from(folded > 0)).wrapping_add(u8::from(folded > 0xFF));
    }

    /// What has been taken: five letters, and those of the stretch.
    pub(crate) fn all(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// So many bytes from a letter on; behind the last letter they may be anything. `None` where nothing is read.
    pub(crate) fn ahead<const LEN: usize>(&self, from: usize) -> Option<&[u8; LEN]> {
        self.bytes.get(from..)?.first_chunk()
    }

    /// The window over the last six.
    pub(crate) fn window(&self) -> Window {
        let all = self.all();
        Window::over(all.get(all.len().saturating_sub(WINDOW)..).unwrap_or_default())
    }
}

/// For two bytes, the letters and digits among them, the first in the lower half.
static PAIRS: LazyLock<Box<[u16; 1 << 16]>> = LazyLock::new(|| {
    let mut all = Box::new([0; 1 << 16]);
    for (pair, to) in (0..=u16::MAX).zip(all.iter_mut()) {
        *to = match pair.to_le_bytes().map(fold) {
            [0, letter] | [letter, 0] => u16::from(letter),
            both => u16::from_le_bytes(both),
        };
    }
    all
});

/// How many letters of what came before a window in a stretch may begin with.
const CARRIED: u8 = 5;

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

    /// The last few of its letters, fewer than six.
    pub(crate) const fn last(self, letters: usize) -> u64 {
        self.0 & (MASK >> (8 * (WINDOW - letters)))
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
