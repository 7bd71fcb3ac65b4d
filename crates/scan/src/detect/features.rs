//! Which numbers stand for a text in the linear tables?

use super::concepts::{self, Mentions};

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
    let mut state =
        State { before: START, sentence: true, pieces: Vec::with_capacity(32), mentions };
    for chunk in text.split([' ', '\n', '\t', '\r']) {
        if chunk.is_empty() {
            continue;
        }
        if chunk.contains("://") || chunk.starts_with("www.") {
            state.word(LINK, None, put);
        } else if is_address(chunk) {
            state.word(ADDRESS, None, put);
        } else {
            pieces_of(chunk, &mut state, put);
        }
        state.sentence |= chunk.ends_with(['.', '!', '?', ':', '"', '\'', '>', ';', ')', ']']);
    }
}

struct State<'a> {
    before: u32,
    sentence: bool,
    pieces: Vec<char>,
    mentions: &'a mut Mentions,
}

impl State<'_> {
    /// One word, the pair it makes with the word before, and its place at the beginning of a sentence.
    fn word(&mut self, word: u32, idea: Option<concepts::Concept>, put: &mut impl FnMut(u32)) {
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
}

/// The words of a chunk without spaces.
fn pieces_of(chunk: &str, state: &mut State<'_>, put: &mut impl FnMut(u32)) {
    state.pieces.clear();
    for c in chunk.chars() {
        if ideograph(c) {
            flush(state, put);
            state.pieces.push(c);
            flush(state, put);
        } else if c.is_alphanumeric() || !c.is_ascii() {
            state.pieces.push(letter(c));
            if state.pieces.len() >= MAX_WORD {
                flush(state, put);
            }
        } else if c != '\'' {
            flush(state, put);
            state.mentions.sign(c);
        }
    }
    flush(state, put);
}

fn flush(state: &mut State<'_>, put: &mut impl FnMut(u32)) {
    if state.pieces.is_empty() {
        return;
    }
    let mut pieces = std::mem::take(&mut state.pieces);
    let numeric = pieces.iter().all(|&c| c == '0');
    let word = if numeric {
        NUMBER
    } else {
        pieces.iter().fold(START, |hash, &c| mix(hash, u32::from(c)))
    };
    let idea = if numeric { None } else { concepts::of_word(&pieces) };
    state.word(word, idea, put);
    if !numeric && pieces.len() > 2 {
        grams(&pieces, put);
    }
    pieces.clear();
    state.pieces = pieces;
}

/// Pieces of three, four and five letters, the ends of the word counted as letters.
fn grams(word: &[char], put: &mut impl FnMut(u32)) {
    let last = word.len() + 1;
    let letter = |at: usize| match at.checked_sub(1).and_then(|at| word.get(at)) {
        Some(&c) => u32::from(c),
        None => EDGE,
    };
    for start in 0..last.saturating_sub(1) {
        let mut hash = mix(GRAM, letter(start));
        hash = mix(hash, letter(start + 1));
        for end in start + 2..=(start + 4).min(last) {
            hash = mix(hash, letter(end));
            put(finish(hash));
        }
    }
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
const NUMBER: u32 = 0x27D4_EB2F;
const EDGE: u32 = 1;
const MAX_WORD: usize = 28;
