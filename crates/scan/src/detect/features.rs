//! Which numbers stand for a text in the linear tables?

use super::bits::among;
use super::concepts::{self, Concept, Mentions};
use super::effort;
use super::shape::Shape;
use super::vocabulary::Letters;
use std::ops::Range;

/// Hands the hash of every feature of a reading to `put`, some more than once: words, pairs of words, first words of
/// sentences, and pieces of three to five letters. Numbers, addresses and links count as one word each, so that the
/// table knows that there is one, not which. To `put_idea` it hands those of the ideas the words stand for.
pub(super) fn features(text: &str, put: &mut impl FnMut(u32), put_idea: &mut impl FnMut(u32)) {
    let mut mentions = Mentions::default();
    let mut shape = Shape::default();
    shape.read(text.as_bytes());
    let all = 0..text.len();
    walk((text, &shape), all, &mut Place::default(), &mut mentions, &mut EveryHash(put));
    mentions.features(put_idea);
}

/// Where the hashes of words go.
pub(super) trait Sink {
    /// One more hash.
    fn put(&mut self, hash: u32);

    /// Several.
    fn put_all(&mut self, hashes: &[u32]) {
        for &hash in hashes {
            self.put(hash);
        }
    }

    /// Takes a word that was worked out before, with its pieces and by itself: its hash and the idea it stands for. None
    /// if it has to be worked out.
    fn known(&mut self, word: Letters) -> Option<(u32, Option<Concept>)>;
}

/// Hands every hash on and knows no word.
pub(super) struct EveryHash<'a, F>(pub(super) &'a mut F);

impl<F: FnMut(u32)> Sink for EveryHash<'_, F> {
    fn put(&mut self, hash: u32) {
        (self.0)(hash);
    }

    fn known(&mut self, _: Letters) -> Option<(u32, Option<Concept>)> {
        None
    }
}

/// What of the words before a place matters to those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    before: u32,
    sentence: bool,
}

impl Default for Place {
    /// The beginning of a text.
    fn default() -> Self {
        Self { before: START, sentence: true }
    }
}

/// The words of a part of a text, which has this shape, one after the other, from a place between spaces on.
pub(super) fn walk(
    (text, shape): (&str, &Shape),
    part: Range<usize>,
    place: &mut Place,
    mentions: &mut Mentions,
    sink: &mut impl Sink,
) {
    effort::took(part.len());
    let bytes = text.as_bytes();
    let mut state = State { place: *place, mentions, sink };
    let mut words = shape.words.runs_within(part.clone());
    let mut word = words.next();
    for (start, end) in shape.chunks.runs_within(part) {
        let chunk = bytes.get(start..end).unwrap_or_default();
        let kinds = if shape.special.any(start..end) {
            chunk.iter().fold(0, |kinds, byte| kinds | kind(*byte))
        } else {
            0
        };
        if state.whole(text, start..end, kinds) {
            while word.is_some_and(|(start, _)| start < end) {
                word = words.next();
            }
        } else {
            let mut signs = chunk.len();
            while let Some((from, to)) = word.filter(|(start, _)| *start < end) {
                let mut first = from;
                while first < to {
                    let last = (first + MAX_WORD).min(to);
                    state.plain_word(bytes, first, last);
                    first = last;
                }
                signs -= (to - from).min(signs);
                word = words.next();
            }
            let questions =
                if kinds & QUESTION == 0 { 0 } else { memchr::memchr_iter(b'?', chunk).count() };
            state.mentions.signs(signs, questions);
        }
        state.place.sentence |= chunk.last().is_some_and(|last| kind(*last) & ENDING != 0);
    }
    *place = state.place;
}

struct State<'a, S> {
    place: Place,
    mentions: &'a mut Mentions,
    sink: &'a mut S,
}

impl<S: Sink> State<'_, S> {
    /// What stands between two spaces, if it is more than words and signs; `kinds` are those of its bytes.
    fn whole(&mut self, text: &str, place: Range<usize>, kinds: u8) -> bool {
        // Most is settled by its first letter. It is cut between characters.
        let first = text.as_bytes().get(place.start).copied().unwrap_or(b' ');
        if kinds & (COLON | AT | HIGH | QUOTE) == 0 && first != b'w' {
            return false;
        }
        let said = text.get(place).unwrap_or_default();
        if (kinds & COLON != 0 && said.contains("://")) || said.starts_with("www.") {
            self.word(LINK, None);
        } else if kinds & AT != 0 && is_address(said) {
            self.word(ADDRESS, None);
        } else if kinds & HIGH != 0 {
            self.foreign(said);
        } else if kinds & QUOTE != 0 {
            self.quoted(said.as_bytes());
        } else {
            return false;
        }
        true
    }

    /// One word, the pair it makes with the word before, and its place at the beginning of a sentence.
    fn word(&mut self, word: u32, idea: Option<Concept>) {
        self.sink.put(finish(word));
        self.placed(word, idea);
    }

    #[inline]
    fn placed(&mut self, word: u32, idea: Option<Concept>) {
        let pair = mix(mix(word, PAIR), self.place.before);
        self.sink.put(finish(pair));
        self.mentions.word(concepts::of_pair(pair).or(idea), self.place.sentence);
        if self.place.sentence {
            self.sink.put(finish(mix(word, FIRST)));
        }
        self.place = Place { before: word, sentence: false };
    }

    /// The words of a chunk of ASCII, where an apostrophe within a word is none of its letters.
    fn quoted(&mut self, chunk: &[u8]) {
        let mut word = [0_u8; MAX_WORD];
        let mut len = 0;
        for &byte in chunk {
            if byte.is_ascii_alphanumeric() {
                if let Some(slot) = word.get_mut(len) {
                    *slot = byte;
                    len += 1;
                }
                if len == MAX_WORD {
                    self.plain_word(&word, 0, len);
                    len = 0;
                }
            } else if byte != b'\'' {
                self.plain_word(&word, 0, len);
                len = 0;
                self.mentions.sign(char::from(byte));
            } else if word.get(..len).is_some_and(elided) {
                self.plain_word(&word, 0, len);
                len = 0;
            }
        }
        self.plain_word(&word, 0, len);
    }

    /// A word of ASCII letters and digits, no longer than [`MAX_WORD`].
    #[inline]
    fn plain_word(&mut self, bytes: &[u8], start: usize, end: usize) {
        if start >= end {
            return;
        }
        match Letters::of(bytes, start, end).and_then(|word| self.sink.known(word)) {
            Some((hash, idea)) => self.placed(hash, idea),
            None => self.new_word(bytes, start, end),
        }
    }

    /// A word that has to be worked out.
    #[inline(never)]
    fn new_word(&mut self, bytes: &[u8], start: usize, end: usize) {
        let word = bytes.get(start..end).unwrap_or_default();
        if word.iter().all(u8::is_ascii_digit) {
            return self.word(NUMBER, None);
        }
        let mut padded = [EDGE_BYTE; MAX_WORD + 2];
        for (slot, &byte) in padded.iter_mut().skip(1).zip(word) {
            *slot = if byte.is_ascii_digit() { b'0' } else { byte };
        }
        let (hash, idea) = concepts::of_plain(padded.get(1..=word.len()).unwrap_or_default());
        self.word(hash, idea);
        self.pieces(padded.get(..word.len() + 2).unwrap_or_default());
    }

    /// The words of a chunk without spaces.
    fn foreign(&mut self, chunk: &str) {
        let mut word = Vec::with_capacity(MAX_WORD);
        for c in chunk.chars() {
            if ideograph(c) {
                self.letters(&mut word);
                word.push(c);
                self.letters(&mut word);
            } else if c.is_alphanumeric() || !c.is_ascii() {
                word.push(letter(c));
                if word.len() >= MAX_WORD {
                    self.letters(&mut word);
                }
            } else if c != '\'' {
                self.letters(&mut word);
                self.mentions.sign(c);
            } else if word.len() <= MAX_ELIDED {
                let mut plain = [0; MAX_ELIDED];
                for (slot, &c) in plain.iter_mut().zip(&word) {
                    *slot = u8::try_from(c).unwrap_or(0);
                }
                if plain.get(..word.len()).is_some_and(elided) {
                    self.letters(&mut word);
                }
            }
        }
        self.letters(&mut word);
    }

    /// A word, which is gone afterwards.
    fn letters(&mut self, word: &mut Vec<char>) {
        if word.is_empty() {
            return;
        }
        if word.iter().all(|&c| c == '0') {
            word.clear();
            return self.word(NUMBER, None);
        }
        let (hash, idea) = concepts::of_word(word.iter().copied(), word.len());
        self.word(hash, idea.or_else(|| behind_particles(word)));
        let mut padded = [EDGE; MAX_WORD + 2];
        for (slot, &c) in padded.iter_mut().skip(1).zip(word.iter()) {
            *slot = u32::from(c);
        }
        self.pieces(padded.get(..word.len() + 2).unwrap_or_default());
        word.clear();
    }

    fn pieces<T: Copy + Into<u32>>(&mut self, padded: &[T]) {
        let mut all = [0; 3 * MAX_WORD];
        let count = grams(padded, &mut all);
        self.sink.put_all(all.get(..count).unwrap_or_default());
    }
}

/// Puts into `all` the hashes of pieces of three, four and five letters of a word that has three, the ends of the word
/// counted as letters: `padded` has an [`EDGE`] at each. Gives how many there are; what finds no room is left out.
pub(super) fn grams<T: Copy + Into<u32>>(padded: &[T], all: &mut [u32]) -> usize {
    if padded.len() < 5 {
        return 0;
    }
    let begun = |one: T, two: T| mix(mix(GRAM, one.into()), two.into());
    let most = all.len() / 3;
    let (threes, _) = all.as_chunks_mut::<3>();
    let mut threes = threes.iter_mut();
    for (piece, slots) in padded.windows(5).zip(&mut threes) {
        let &[one, two, three, four, five] = piece else { continue };
        let short = mix(begun(one, two), three.into());
        let longer = mix(short, four.into());
        *slots = [finish(short), finish(longer), finish(mix(longer, five.into()))];
    }
    if let (Some(&[one, two, three, four]), Some(slots)) = (padded.last_chunk(), threes.next()) {
        let short = mix(begun(one, two), three.into());
        let last = mix(begun(two, three), four.into());
        *slots = [finish(short), finish(mix(short, four.into())), finish(last)];
    }
    3 * (padded.len() - 3).min(most)
}

/// Whether a word before an apostrophe is an article or the like that lost its vowel: what follows is a word of its own.
fn elided(word: &[u8]) -> bool {
    const ELIDED: [&[u8]; 17] = [
        b"l", b"d", b"qu", b"n", b"c", b"j", b"m", b"t", b"s", b"dell", b"nell", b"all", b"sull",
        b"dall", b"un", b"quest", b"quell",
    ];
    ELIDED.contains(&word)
}

/// The idea of an Arabic word behind the particles and the article that are written together with it.
fn behind_particles(word: &[char]) -> Option<Concept> {
    const PARTICLES: [char; 7] = ['و', 'ف', 'ب', 'ل', 'ك', 'س', 'ا'];
    let led = word.iter().take_while(|c| PARTICLES.contains(c)).count().min(MAX_PARTICLES);
    (1..=led).find_map(|from| {
        let rest = word.get(from..).filter(|rest| rest.len() >= 3)?;
        concepts::of_word(rest.iter().copied(), rest.len()).1
    })
}

fn is_address(chunk: &str) -> bool {
    chunk.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

/// Whether a byte stands between words, as a space does.
pub(super) fn space(byte: u8) -> bool {
    among(byte, [b' ', b'\n', b'\t', b'\r'])
}

/// Whether what stands between spaces has to be looked at more closely for a byte; for `://` as well.
pub(super) fn special(byte: u8) -> bool {
    among(byte, [b'@', b'\'', b'?']) | !byte.is_ascii()
}

fn kind(byte: u8) -> u8 {
    KINDS.get(usize::from(byte)).copied().unwrap_or(0)
}

const COLON: u8 = 4;
const AT: u8 = 8;
const HIGH: u8 = 16;
const QUOTE: u8 = 32;
/// What a sentence ends with.
const ENDING: u8 = 64;
const QUESTION: u8 = 128;

static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0_u8;
    loop {
        let ends =
            matches!(byte, b'.' | b'!' | b'?' | b':' | b'"' | b'\'' | b'>' | b';' | b')' | b']');
        let kind = match byte {
            b':' => COLON,
            b'@' => AT,
            b'\'' => QUOTE,
            b'?' => QUESTION,
            0x80.. => HIGH,
            _ => 0,
        };
        #[expect(clippy::indexing_slicing, reason = "a byte is within; checked when it is built")]
        {
            kinds[byte as usize] = if ends { kind | ENDING } else { kind };
        }
        if byte == u8::MAX {
            break kinds;
        }
        byte += 1;
    }
};

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
/// What stands before and behind a word.
pub(super) const EDGE_BYTE: u8 = 1;
const EDGE: u32 = EDGE_BYTE as u32;
const MAX_WORD: usize = 28;
const MAX_ELIDED: usize = 5;
/// And the, to the, so with the.
const MAX_PARTICLES: usize = 4;
