//! Where does one of many keywords stand, in any case?

use std::ops::Range;

/// A search for keywords that costs nearly the same for ten as for a thousand: three bytes at a time, without case, are
/// looked up in a table that says which bytes may follow, and only where one does the keywords that begin so are compared.
pub(crate) struct Keywords {
    /// For each hash of three bytes, which groups of bytes may follow in a keyword that begins so.
    follow: Box<[u8; SLOTS]>,
    /// For each such hash, where its keywords are in `all`.
    slots: Vec<Range<u16>>,
    /// The keywords, those of a hash together.
    all: Vec<Keyword>,
}

struct Keyword {
    text: Vec<u8>,
    /// Its first eight bytes folded, and which of them it has.
    head: u64,
    mask: u64,
    number: usize,
}

impl Keywords {
    /// Takes keywords of at least three bytes, in lower case.
    pub(crate) fn new(all: Vec<Vec<u8>>) -> Self {
        let mut all: Vec<Keyword> = all.into_iter().enumerate().map(Keyword::new).collect();
        all.sort_by_key(|keyword| (keyword.slot(), keyword.number));
        let (mut follow, mut slots) = (Box::new([0; SLOTS]), vec![0..0; SLOTS]);
        for (at, keyword) in all.iter().enumerate() {
            let (Some(groups), Some(range)) =
                (follow.get_mut(keyword.slot()), slots.get_mut(keyword.slot()))
            else {
                continue;
            };
            let start = if *groups == 0 { u16::try_from(at).unwrap_or(0) } else { range.start };
            *range = start..u16::try_from(at + 1).unwrap_or(u16::MAX);
            *groups |= keyword.text.get(3).map_or(u8::MAX, |byte| 1 << (byte & 7));
        }
        Self { follow, slots, all }
    }

    /// Reports each keyword in `text` as (number, place, length).
    pub(crate) fn each(&self, text: &[u8], mut hit: impl FnMut(usize, usize, usize)) {
        for (at, window) in text.array_windows().enumerate() {
            let head = u32::from_le_bytes(*window);
            if self.groups(head) >> (head >> 24 & 7) & 1 != 0 {
                self.compare(head, text, at, &mut hit);
            }
        }
        if let [.., a, b, c] = text {
            let head = u32::from_le_bytes([*a, *b, *c, 0]);
            if self.groups(head) != 0 {
                self.compare(head, text, text.len() - 3, &mut hit);
            }
        }
    }

    /// Whether any keyword stands in `text`.
    pub(crate) fn any(&self, text: &[u8]) -> bool {
        let mut any = false;
        self.each(text, |_, _, _| any = true);
        any
    }

    fn groups(&self, head: u32) -> u8 {
        self.follow.get(slot(head)).copied().unwrap_or(0)
    }

    fn compare(
        &self,
        head: u32,
        text: &[u8],
        at: usize,
        hit: &mut impl FnMut(usize, usize, usize),
    ) {
        let here = text.get(at..).unwrap_or_default();
        let first = first_eight(here);
        let range = self.slots.get(slot(head)).cloned().unwrap_or_default();
        let range = usize::from(range.start)..usize::from(range.end);
        for keyword in self.all.get(range).unwrap_or_default() {
            if first & keyword.mask == keyword.head
                && here
                    .get(..keyword.text.len())
                    .is_some_and(|h| h.eq_ignore_ascii_case(&keyword.text))
            {
                hit(keyword.number, at, keyword.text.len());
            }
        }
    }
}

impl Keyword {
    fn new((number, text): (usize, Vec<u8>)) -> Self {
        let mask = u64::MAX >> (64 - 8 * text.len().clamp(1, 8));
        Self { head: first_eight(&text) & mask, mask, text, number }
    }

    fn slot(&self) -> usize {
        slot(u32::try_from(first_eight(&self.text) & u64::from(u32::MAX)).unwrap_or(0))
    }
}

/// The first bytes of a text without case. Signs that differ in the same bit look the same.
fn first_eight(text: &[u8]) -> u64 {
    let bytes = text.first_chunk().copied().unwrap_or_else(|| {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        bytes
    });
    u64::from_le_bytes(bytes) | 0x2020_2020_2020_2020
}

/// Where the first three of four bytes have their place, whatever their case. Signs that differ in the same bit share it.
const fn slot(head: u32) -> usize {
    let folded = (head | 0x20_2020) << 8;
    (folded.wrapping_mul(0x9E37_79B1) >> (32 - SLOTS.trailing_zeros())) as usize
}

/// So few that the table stays in the processor's nearest cache.
const SLOTS: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_met_in_any_case_and_at_either_end() {
        let keywords = Keywords::new(
            ["token", "tok", "%20", "secret"].map(|k| k.as_bytes().to_vec()).to_vec(),
        );
        let found = |text: &str| {
            let mut all = Vec::new();
            keywords.each(text.as_bytes(), |number, at, len| all.push((number, at, len)));
            all
        };
        assert_eq!(found("TOKEN x"), [(0, 0, 5), (1, 0, 3)]);
        assert_eq!(found("a%20"), [(2, 1, 3)]);
        assert_eq!(found("my Secret"), [(3, 3, 6)]);
        assert_eq!(found("se tok"), [(1, 3, 3)]);
        assert!(found("").is_empty() && found("t").is_empty());
    }
}
