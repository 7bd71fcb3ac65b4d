//! What has been worked out about a word before?

use super::concepts::{self, Concept};
use super::features::{EDGE_BYTE, NUMBER, finish, grams};

/// A word of ASCII letters and digits, a byte each from the lowest on; all digits are noughts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letters {
    halves: [u64; 2],
    len: usize,
}

impl PartialEq for Letters {
    /// No letter is nought, so that those there are tell how many.
    fn eq(&self, other: &Self) -> bool {
        self.halves == other.halves
    }
}

impl Eq for Letters {}

impl Letters {
    /// The word that is this part of `bytes`; none if it is empty or longer than those that are kept.
    #[inline]
    pub(super) fn of(bytes: &[u8], start: usize, end: usize) -> Option<Self> {
        let len = end.checked_sub(start).filter(|len| (1..=LONGEST).contains(len))?;
        let rest = bytes.get(start..)?;
        let [low, high] = rest.first_chunk().map_or_else(|| last(rest), halves);
        let halves = if len > HALF {
            [noughts(low), noughts(high & (u64::MAX >> (8 * (LONGEST - len))))]
        } else {
            [noughts(low & (u64::MAX >> (8 * (HALF - len)))), 0]
        };
        Some(Self { halves, len })
    }

    fn place(self) -> usize {
        let [one, two] = self.halves.map(|half| half.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let hash = (one.rotate_left(23) ^ two).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (hash >> (64 - PLACE_BITS)) as usize
    }

    fn bytes(self) -> impl Iterator<Item = u8> {
        self.halves.into_iter().flat_map(u64::to_le_bytes).take(self.len)
    }
}

/// As [`halves`], of a text that ends before.
#[cold]
fn last(rest: &[u8]) -> [u64; 2] {
    let mut whole = [0; LONGEST];
    for (slot, byte) in whole.iter_mut().zip(rest) {
        *slot = *byte;
    }
    halves(&whole)
}

fn halves(word: &[u8; LONGEST]) -> [u64; 2] {
    let (halves, _) = word.as_chunks::<HALF>();
    let half = |n: usize| halves.get(n).copied().map_or(0, u64::from_le_bytes);
    [half(0), half(1)]
}

/// Puts noughts in the place of digits. Bytes in which there is neither a letter nor a digit are nought themselves.
const fn noughts(letters: u64) -> u64 {
    // Of the three, digits alone have the first of these bits without the second.
    let digits = (letters >> 5) & !(letters >> 6) & EACH;
    let all = digits.wrapping_mul(0xFF);
    (letters & !all) | (all & (EACH * 0x30))
}

/// What the features of one plain word are made of.
#[derive(Clone, Debug)]
pub(super) struct Word {
    letters: Letters,
    /// Its hash, the same for all numbers.
    pub(super) hash: u32,
    /// The last text in which all its slots were touched.
    pub(super) text: u32,
    /// What it stands for.
    pub(super) idea: Option<Concept>,
    count: u8,
    slots: [u16; MOST_SLOTS],
}

impl Word {
    fn of(letters: Letters) -> Self {
        let mut padded = [EDGE_BYTE; LONGEST + 2];
        for (slot, byte) in padded.iter_mut().skip(1).zip(letters.bytes()) {
            *slot = byte;
        }
        let plain = padded.get(1..=letters.len).unwrap_or_default();
        let numeric = plain.iter().all(|byte| *byte == b'0');
        let (hash, idea) = if numeric { (NUMBER, None) } else { concepts::of_plain(plain) };
        let mut word = Self { letters, hash, text: 0, idea, count: 0, slots: [0; MOST_SLOTS] };
        word.put(finish(word.hash));
        if !numeric {
            let padded = padded.get(..letters.len + 2).unwrap_or_default();
            let mut all = [0; MOST_SLOTS];
            let count = grams(padded, &mut all);
            for gram in all.iter().take(count) {
                word.put(*gram);
            }
        }
        word
    }

    fn put(&mut self, hash: u32) {
        if let Some(slot) = self.slots.get_mut(usize::from(self.count)) {
            #[expect(clippy::cast_possible_truncation, reason = "a table has as many slots")]
            {
                *slot = hash as u16;
            }
            self.count += 1;
        }
    }

    /// The slots of its hash and of those of its pieces.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        let slots = self.slots.get(..usize::from(self.count)).unwrap_or_default();
        slots.iter().map(|slot| u32::from(*slot))
    }
}

/// Words as they were met, a newer one in the place of an older where there is no room for both.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// For each hash, where in `words` its word is, counted from one.
    places: Box<[u16; PLACES]>,
    words: Vec<Word>,
}

impl Default for Vocabulary {
    /// No words.
    fn default() -> Self {
        Self { places: Box::new([0; PLACES]), words: Vec::new() }
    }
}

impl Vocabulary {
    /// What is known of a word.
    #[inline]
    pub(super) fn look_up(&mut self, letters: Letters) -> Option<&mut Word> {
        let at = usize::from(*self.places.get(letters.place())?).wrapping_sub(1);
        let known = self.words.get(at).is_some_and(|word| word.letters == letters);
        let at = if known { at } else { self.meet(letters)? };
        self.words.get_mut(at)
    }

    /// Puts a word that was not met before into its place.
    #[cold]
    fn meet(&mut self, letters: Letters) -> Option<usize> {
        let place = self.places.get_mut(letters.place())?;
        let word = Word::of(letters);
        if *place == 0 {
            self.words.push(word);
            *place = u16::try_from(self.words.len()).ok()?;
        } else if let Some(known) = self.words.get_mut(usize::from(*place) - 1) {
            *known = word;
        }
        Some(usize::from(*place) - 1)
    }

    /// Forgets in which texts words stood.
    pub(super) fn forget(&mut self) {
        for word in &mut self.words {
            word.text = 0;
        }
    }
}

/// The longest words that are kept; hardly any are longer.
const LONGEST: usize = 2 * HALF;
const HALF: usize = 8;
/// A word of the longest has so many pieces, and is one itself.
const MOST_SLOTS: usize = 3 * LONGEST - 2;
/// One in each byte.
const EACH: u64 = u64::MAX / 0xFF;
const PLACE_BITS: u32 = 11;
const PLACES: usize = 1 << PLACE_BITS;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever stands round it.
        #[test]
        fn a_word_is_its_letters_and_how_many_digits_it_has(
            before in "[ -~]{0,3}", word in "[a-zA-Z0-9]{1,18}", behind in "[ -~é]{0,20}",
        ) {
            let text = format!("{before}{word}{behind}");
            let letters = Letters::of(text.as_bytes(), before.len(), before.len() + word.len());
            let plain: Vec<u8> =
                word.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b }).collect();
            let expected = (word.len() <= LONGEST).then_some(plain);
            prop_assert_eq!(letters.map(|letters| letters.bytes().collect::<Vec<_>>()), expected);
        }
    }
}
