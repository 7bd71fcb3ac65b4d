//! What has been worked out about a word before?

use super::concepts::{self, Concept};
use super::features::{NUMBER, grams, hash_of};

/// What the features of one plain word are made of.
#[derive(Clone, Debug)]
pub(super) struct Word {
    letters: [u8; LONGEST],
    /// Its hash, the same for all numbers.
    pub(super) hash: u32,
    /// What it stands for.
    pub(super) idea: Option<Concept>,
    grams: [u32; MOST_GRAMS],
    count: usize,
    /// The last text that it stood in.
    text: u64,
}

impl Word {
    fn of(letters: [u8; LONGEST], word: &[u8]) -> Self {
        let numeric = word.iter().all(|b| *b == b'0');
        let chars = || word.iter().map(|b| char::from(*b));
        let mut all = [0; MOST_GRAMS];
        let mut count = 0;
        if !numeric {
            grams(word.len(), |at| word.get(at).map(|b| u32::from(*b)), &mut |gram| {
                if let Some(slot) = all.get_mut(count) {
                    *slot = gram;
                    count += 1;
                }
            });
        }
        Self {
            letters,
            hash: if numeric { NUMBER } else { hash_of(chars()) },
            idea: if numeric { None } else { concepts::of_word(chars(), word.len()) },
            grams: all,
            count,
            text: 0,
        }
    }

    /// The hashes of its pieces.
    pub(super) fn grams(&self) -> &[u32] {
        self.grams.get(..self.count).unwrap_or_default()
    }
}

/// Words as they were met, a newer one in the place of an older where there is no room for both.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    /// For each hash, where in `words` its word is, counted from one.
    places: Vec<u16>,
    words: Vec<Word>,
    text: u64,
}

impl Vocabulary {
    /// What is asked for from here on stands in another text than what was asked for before.
    pub(super) fn next_text(&mut self) {
        self.text += 1;
        self.places.resize(PLACES, 0);
    }

    /// A word of ASCII letters and noughts, and whether it is new in this text. None if it is longer than those that are kept.
    pub(super) fn look_up(&mut self, word: &[u8]) -> Option<(&Word, bool)> {
        if word.len() > LONGEST {
            return None;
        }
        let mut letters = [0; LONGEST];
        for (slot, byte) in letters.iter_mut().zip(word) {
            *slot = *byte;
        }
        let place = self.places.get_mut(place_of(&letters))?;
        if *place == 0 {
            self.words.push(Word::of(letters, word));
            *place = u16::try_from(self.words.len()).ok()?;
        }
        let known = self.words.get_mut(usize::from(*place) - 1)?;
        if known.letters != letters {
            *known = Word::of(letters, word);
        }
        let new = known.text != self.text;
        known.text = self.text;
        Some((known, new))
    }
}

fn place_of(letters: &[u8; LONGEST]) -> usize {
    let [one, two] = halves(letters).map(|half| half.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    ((one.rotate_left(23) ^ two).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> (64 - PLACE_BITS)) as usize
}

fn halves(letters: &[u8; LONGEST]) -> [u64; 2] {
    let half = |bytes: Option<&[u8; 8]>| u64::from_le_bytes(bytes.copied().unwrap_or_default());
    [half(letters.first_chunk()), half(letters.last_chunk())]
}

/// The longest words that are kept; hardly any are longer.
const LONGEST: usize = 16;
/// A word of the longest has so many pieces.
const MOST_GRAMS: usize = 3 * LONGEST - 3;
const PLACE_BITS: u32 = 11;
const PLACES: usize = 1 << PLACE_BITS;
