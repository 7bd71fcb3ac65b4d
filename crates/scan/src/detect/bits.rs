//! Which bytes of a text are of one kind, a bit for each?

use std::ops::Range;

/// One bit for each byte of a text.
#[derive(Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Those of a text of which `is` holds; what was known before is forgotten.
    pub(super) fn read(&mut self, text: &[u8], is: impl Fn(u8) -> bool) {
        self.words.clear();
        let (whole, rest) = text.as_chunks::<64>();
        self.words.extend(whole.iter().map(|chunk| bits(chunk, &is)));
        if !rest.is_empty() {
            let mut chunk = [0; 64];
            for (slot, byte) in chunk.iter_mut().zip(rest) {
                *slot = *byte;
            }
            self.words.push(bits(&chunk, &is) & !(u64::MAX << rest.len()));
        }
    }

    /// Those that are among one of two sets of the same text.
    pub(super) fn either(&mut self, one: &Self, two: &Self) {
        self.words.clear();
        self.words.extend(one.words.iter().zip(&two.words).map(|(one, two)| one | two));
    }

    /// Adds those of a set behind which two of another stand.
    pub(super) fn add_followed(&mut self, set: &Self, by: &Self) {
        let next = by.words.iter().skip(1).chain([&0]);
        let own = self.words.iter_mut().zip(&set.words);
        for ((own, set), (here, next)) in own.zip(by.words.iter().zip(next)) {
            *own |= set & ((here >> 1) | (next << 63)) & ((here >> 2) | (next << 62));
        }
    }

    /// Whether there is one in a part. Nothing else is looked at, however far the next is.
    #[inline]
    pub(super) fn any(&self, part: Range<usize>) -> bool {
        let (first, last) = (part.start / 64, part.end / 64);
        let from = u64::MAX << (part.start % 64);
        let to = !(u64::MAX << (part.end % 64));
        let word = |n: usize| self.words.get(n).copied().unwrap_or(0);
        // Most parts are words, and most words are within one of these.
        if first == last {
            return word(first) & from & to != 0;
        }
        word(first) & from != 0 || (first + 1..last).any(|n| word(n) != 0) || word(last) & to != 0
    }

    /// All places, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(n, &word)| ones(word).map(move |at| n * 64 + at))
    }

    /// The longest runs, in order: where each begins and ends.
    pub(super) fn runs(&self) -> Runs<'_> {
        self.runs_within(0..usize::MAX)
    }

    /// The longest runs of a part: as if nothing stood before and behind it.
    pub(super) fn runs_within(&self, part: Range<usize>) -> Runs<'_> {
        let at = part.start / 64;
        let first = self.words.get(at).copied().unwrap_or(0);
        Runs {
            words: &self.words,
            at,
            rest: first & (u64::MAX << (part.start % 64)),
            end: part.end,
        }
    }

    /// Those that are by themselves: of which no `other` is next to one.
    pub(super) fn alone<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let other = |n: Option<usize>| n.and_then(|n| other.words.get(n)).copied().unwrap_or(0);
        self.words.iter().enumerate().flat_map(move |(n, &word)| {
            let here = other(Some(n));
            let before = (here << 1) | (other(n.checked_sub(1)) >> 63);
            let behind = (here >> 1) | (other(Some(n + 1)) << 63);
            ones(word & !before & !behind).map(move |at| n * 64 + at)
        })
    }
}

/// See [`Bits::runs`].
#[derive(Debug)]
pub(super) struct Runs<'a> {
    words: &'a [u64],
    at: usize,
    /// Those of the word at `at` that have not been seen.
    rest: u64,
    end: usize,
}

impl Iterator for Runs<'_> {
    type Item = (usize, usize);

    #[inline]
    fn next(&mut self) -> Option<(usize, usize)> {
        while self.rest == 0 {
            self.at += 1;
            self.rest = *self.words.get(self.at)?;
        }
        let first = self.rest.trailing_zeros();
        let start = self.at * 64 + first as usize;
        if start >= self.end {
            return None;
        }
        let mut len = (!(self.rest >> first)).trailing_zeros();
        let mut end = start + len as usize;
        if first + len >= 64 {
            // It goes on in the words that follow.
            self.rest = 0;
            while end < self.end {
                self.at += 1;
                let word = self.words.get(self.at).copied().unwrap_or(0);
                len = (!word).trailing_zeros();
                end += len as usize;
                if len < 64 {
                    self.rest = word & (u64::MAX << len);
                    break;
                }
            }
        } else {
            self.rest &= u64::MAX << (first + len);
        }
        Some((start, end.min(self.end)))
    }
}

fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let next = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(next)
    })
}

/// Whether a byte is one of a few. Each is compared with, as that is done with many bytes at a time.
#[inline]
pub(super) fn among<const N: usize>(byte: u8, few: [u8; N]) -> bool {
    few.iter().fold(0, |any, one| any | u8::from(byte == *one)) != 0
}

/// A bit for each of 64 bytes.
pub(super) fn bits(bytes: &[u8; 64], is: impl Fn(u8) -> bool) -> u64 {
    // Both loops are done many bytes at a time.
    let mut flags = [0_u8; 64];
    for (flag, byte) in flags.iter_mut().zip(bytes) {
        *flag = u8::from(is(*byte));
    }
    let (eights, _) = flags.as_chunks::<8>();
    // Most kinds are rare.
    if eights.iter().fold(0, |any, eight| any | u64::from_le_bytes(*eight)) == 0 {
        return 0;
    }
    eights.iter().rev().fold(0, |all, eight| {
        // Gathers the lowest bits of eight bytes in the highest byte.
        (all << 8) | (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_what_the_bytes_are(text in "[ab .]{0,200}|a{60,140}[ab]{0,3}|[ab]{64}") {
            let bytes = text.as_bytes();
            let is = |byte: u8| byte == b'a';
            let mut all = Bits::default();
            all.read(bytes, is);
            let places: Vec<usize> = (0..bytes.len()).filter(|&at| is(bytes[at])).collect();
            prop_assert_eq!(all.places().collect::<Vec<_>>(), places.clone());
            let mut runs = Vec::new();
            for &at in &places {
                match runs.last_mut() {
                    Some((_, end)) if *end == at => *end = at + 1,
                    _ => runs.push((at, at + 1)),
                }
            }
            prop_assert_eq!(all.runs().collect::<Vec<_>>(), runs.clone());
            let mut letters = Bits::default();
            letters.read(bytes, |byte| byte.is_ascii_alphabetic());
            let letter = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphabetic);
            let alone: Vec<usize> = places
                .iter()
                .copied()
                .filter(|&at| !letter(at.checked_sub(1)) && !letter(Some(at + 1)))
                .collect();
            let mut blanks = Bits::default();
            blanks.read(bytes, |byte| byte == b' ');
            let mut either = Bits::default();
            either.either(&letters, &blanks);
            let expected = (0..bytes.len()).filter(|&at| bytes[at] != b'.');
            prop_assert_eq!(either.places().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            prop_assert_eq!(all.alone(&letters).collect::<Vec<_>>(), alone);
            let mut followed = Bits::default();
            followed.read(bytes, |byte| byte == b'.');
            followed.add_followed(&all, &letters);
            let is = |at: usize| {
                bytes[at] == b'.'
                    || (bytes[at] == b'a' && letter(Some(at + 1)) && letter(Some(at + 2)))
            };
            let expected: Vec<usize> = (0..bytes.len()).filter(|&at| is(at)).collect();
            prop_assert_eq!(followed.places().collect::<Vec<_>>(), expected);
            for from in 0..=bytes.len() {
                for to in [from, from + 1, from + 64, bytes.len()] {
                    if from % 8 == 7 {
                        let cut = runs.iter().map(|&(one, two)| (one.max(from), two.min(to)));
                        let cut: Vec<_> = cut.filter(|(start, end)| start < end).collect();
                        prop_assert_eq!(all.runs_within(from..to).collect::<Vec<_>>(), cut);
                    }
                    let within = places.iter().any(|at| (from..to).contains(at));
                    prop_assert_eq!(all.any(from..to), within, "{}..{}", from, to);
                }
            }
        }
    }
}
