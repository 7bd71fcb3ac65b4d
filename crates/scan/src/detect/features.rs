//! Which numbers stand for a text in the linear tables?

use super::concepts::{self, Concept, Mentions};
use super::vocabulary::Vocabulary;
use std::cell::RefCell;

/// Hands the hash of every feature of a reading to `put`, some more than once: words, pairs of words, first words of
/// sentences, and pieces of three to five letters. Numbers, addresses and links count as one word each, so that the
/// table knows that there is one, not which. To `put_idea` it hands those of the ideas the words stand for.
pub(super) fn features(text: &str, put: &mut impl FnMut(u32), put_idea: &mut impl FnMut(u32)) {
    let mut mentions = Mentions::default();
    walk(text, &mut mentions, put);
    mentions.features(put_idea);
}

/// The words of a text, one after the other.
pub(super) fn walk(text: &str, mentions: &mut Mentions, put: &mut impl FnMut(u32)) {
    VOCABULARY.with_borrow_mut(|vocabulary| {
        vocabulary.next_text();
        let mut state = State { before: START, sentence: true, vocabulary, mentions };
        for chunk in text.as_bytes().split(|b| matches!(b, b' ' | b'\n' | b'\t' | b'\r')) {
            let Some(last) = chunk.last() else { continue };
            // A chunk is cut between characters.
            let said = || std::str::from_utf8(chunk).unwrap_or_default();
            if (chunk.contains(&b':') && said().contains("://")) || chunk.starts_with(b"www.") {
                state.word(LINK, None, put);
            } else if chunk.contains(&b'@') && is_address(said()) {
                state.word(ADDRESS, None, put);
            } else if chunk.is_ascii() {
                state.plain(chunk, put);
            } else {
                state.foreign(said(), put);
            }
            state.sentence |= ends_sentence(*last);
        }
    });
}

struct State<'a> {
    before: u32,
    sentence: bool,
    vocabulary: &'a mut Vocabulary,
    mentions: &'a mut Mentions,
}

impl State<'_> {
    /// One word, the pair it makes with the word before, and its place at the beginning of a sentence.
    fn word(&mut self, word: u32, idea: Option<Concept>, put: &mut impl FnMut(u32)) {
        let pair = mix(mix(word, PAIR), self.before);
        put(finish(word));
        put(finish(pair));
        self.mentions.word(concepts::of_pair(pair).or(idea), self.sentence);
        if self.sentence {
            put(finish(mix(word, FIRST)));
        }
        self.sentence = false;
        self.before = word;
    }

    /// The words of a chunk of ASCII without spaces.
    fn plain(&mut self, chunk: &[u8], put: &mut impl FnMut(u32)) {
        let mut word = [0_u8; MAX_WORD];
        let mut len = 0;
        for &byte in chunk {
            if byte.is_ascii_alphanumeric() {
                if let Some(slot) = word.get_mut(len) {
                    *slot = if byte.is_ascii_digit() { b'0' } else { byte };
                    len += 1;
                }
                if len == MAX_WORD {
                    self.plain_word(&word, put);
                    len = 0;
                }
            } else if byte != b'\'' {
                self.plain_word(word.get(..len).unwrap_or_default(), put);
                len = 0;
                self.mentions.sign(char::from(byte));
            }
        }
        self.plain_word(word.get(..len).unwrap_or_default(), put);
    }

    fn plain_word(&mut self, word: &[u8], put: &mut impl FnMut(u32)) {
        if word.is_empty() {
            return;
        }
        let Some((known, new)) = self.vocabulary.look_up(word) else {
            let letters: Vec<char> = word.iter().map(|b| char::from(*b)).collect();
            return self.letters(&letters, put);
        };
        if new {
            for gram in known.grams() {
                put(*gram);
            }
        }
        let (hash, idea) = (known.hash, known.idea);
        self.word(hash, idea, put);
    }

    /// The words of a chunk without spaces.
    fn foreign(&mut self, chunk: &str, put: &mut impl FnMut(u32)) {
        let mut word = Vec::with_capacity(MAX_WORD);
        for c in chunk.chars() {
            if ideograph(c) {
                self.letters(&std::mem::take(&mut word), put);
                self.letters(&[c], put);
            } else if c.is_alphanumeric() || !c.is_ascii() {
                word.push(letter(c));
                if word.len() >= MAX_WORD {
                    self.letters(&std::mem::take(&mut word), put);
                }
            } else if c != '\'' {
                self.letters(&std::mem::take(&mut word), put);
                self.mentions.sign(c);
            }
        }
        self.letters(&word, put);
    }

    fn letters(&mut self, word: &[char], put: &mut impl FnMut(u32)) {
        if word.is_empty() {
            return;
        }
        if word.iter().all(|&c| c == '0') {
            return self.word(NUMBER, None, put);
        }
        let chars = || word.iter().copied();
        self.word(hash_of(chars()), concepts::of_word(chars(), word.len()), put);
        grams(word.len(), |at| word.get(at).map(|&c| u32::from(c)), put);
    }
}

/// The hash of a word.
pub(super) fn hash_of(word: impl Iterator<Item = char>) -> u32 {
    word.fold(START, |hash, c| mix(hash, u32::from(c)))
}

/// Pieces of three, four and five letters of a word that has three, the ends of the word counted as letters.
pub(super) fn grams(len: usize, at: impl Fn(usize) -> Option<u32>, put: &mut impl FnMut(u32)) {
    if len < 3 {
        return;
    }
    let last = len + 1;
    let letter = |n: usize| n.checked_sub(1).and_then(&at).unwrap_or(EDGE);
    for start in 0..last.saturating_sub(1) {
        let mut hash = mix(GRAM, letter(start));
        hash = mix(hash, letter(start + 1));
        for end in start + 2..=(start + 4).min(last) {
            hash = mix(hash, letter(end));
            put(finish(hash));
        }
    }
}

const fn ends_sentence(byte: u8) -> bool {
    matches!(byte, b'.' | b'!' | b'?' | b':' | b'"' | b'\'' | b'>' | b';' | b')' | b']')
}

fn is_address(chunk: &str) -> bool {
    chunk.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

/// Digits are all alike.
pub(super) const fn letter(c: char) -> char {
    if c.is_ascii_digit() { '0' } else { c }
}

pub(super) const fn ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}')
}

pub(super) const fn mix(hash: u32, value: u32) -> u32 {
    (hash.rotate_left(5) ^ value).wrapping_mul(0x9E37_79B1)
}

pub(super) const fn finish(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 15)).wrapping_mul(0x85EB_CA77);
    hash ^ (hash >> 13)
}

pub(super) const START: u32 = 0x2545_F491;
pub(super) const PAIR: u32 = 0x51ED_270B;
const FIRST: u32 = 0x3C6E_F372;
const GRAM: u32 = 0xA511_E9B3;
const LINK: u32 = 0x1B87_3593;
const ADDRESS: u32 = 0xCC9E_2D51;
pub(super) const NUMBER: u32 = 0x27D4_EB2F;
const EDGE: u32 = 1;
const MAX_WORD: usize = 28;

thread_local! {
    static VOCABULARY: RefCell<Vocabulary> = RefCell::default();
}
