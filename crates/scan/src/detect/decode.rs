//! What does a run of digits spell?

use super::disguise::Disguise;
use super::words;
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use std::ops::Range;

/// A decoded run: what it says, where it stood, how it was written.
pub(super) type Decoded = (String, Range<usize>, Disguise);

/// Decodes what in `text` is base64, hex, binary or smuggled in variation selectors and reads as text afterwards.
pub(super) fn decode(text: &str) -> Vec<Decoded> {
    let mut found = Vec::new();
    for range in long_runs(text, MIN_BASE64, base64_digit) {
        let Some(run) = text.get(range.clone()) else { continue };
        let read = hex(run).or_else(|| base64(run));
        found.extend(read.map(|said| (said, range, Disguise::Encoded)));
        if found.len() >= MAX_RUNS {
            break;
        }
    }
    for range in long_runs(text, MIN_GROUPS, group_digit) {
        let read = text.get(range.clone()).and_then(groups);
        found.extend(read.map(|said| (said, range, Disguise::Encoded)));
        if found.len() >= MAX_RUNS {
            break;
        }
    }
    found.extend(selectors(text));
    found
}

/// A run of digits that may spell a text.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) place: Range<usize>,
    /// Whether it does, as a whole.
    pub(super) spells: bool,
}

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Digits {
    /// Base64 or hex.
    Joined,
    /// Bytes written one by one.
    Grouped,
}

/// Puts into `runs` every run of a text that [`decode`] looks at, of one kind and in order.
pub(super) fn runs(text: &str, kind: Digits, runs: &mut Vec<Run>) {
    let places = match kind {
        Digits::Joined => long_runs(text, MIN_BASE64, base64_digit),
        Digits::Grouped => long_runs(text, MIN_GROUPS, group_digit),
    };
    runs.extend(places.into_iter().map(|place| {
        // A longer one lies in no window as a whole.
        let whole = text.get(place.clone()).filter(|run| run.len() <= MAX_WHOLE);
        Run { place, spells: whole.is_some_and(|run| spells(run, kind)) }
    }));
}

/// Whether [`decode`] would read a text in a run, or a part of one, if it is long enough.
pub(super) fn spells(run: &str, kind: Digits) -> bool {
    match kind {
        Digits::Joined => run.len() >= MIN_BASE64 && hex(run).or_else(|| base64(run)).is_some(),
        Digits::Grouped => run.len() >= MIN_GROUPS && groups(run).is_some(),
    }
}

/// The same text read backwards, or with rotated letters, where that gives common words. `text` is in lower case.
pub(super) fn turned(text: &str) -> Vec<Decoded> {
    let (mut backwards, mut rotated) = (Vec::new(), Vec::new());
    // A name that happens to be one is said again and again.
    let note = |words: &mut Vec<_>, word| {
        if words.len() < MIN_TURNED_WORDS && !words.contains(&word) {
            words.push(word);
        }
    };
    for word in text.as_bytes().split(|b| !b.is_ascii_alphabetic()) {
        let (back, round) = reads_turned(word);
        if back {
            note(&mut backwards, word);
        }
        if round {
            note(&mut rotated, word);
        }
    }
    let mut found = Vec::new();
    if backwards.len() >= MIN_TURNED_WORDS {
        let words: String = text.chars().rev().collect();
        // Either the whole text was reversed, or each word in its place.
        let each: Vec<String> = text.split(' ').map(|word| word.chars().rev().collect()).collect();
        found.push((words, 0..text.len(), Disguise::Turned));
        found.push((each.join(" "), 0..text.len(), Disguise::Turned));
    }
    if rotated.len() >= MIN_TURNED_WORDS {
        found.push((words::rotated(text), 0..text.len(), Disguise::Turned));
    }
    found
}

/// A text whose letters were turned upside down, which is then read from its end. None where there are few such letters, as
/// in a pronunciation, or where they make no words.
pub(super) fn upside_down(text: &str) -> Option<Decoded> {
    if text.is_ascii() || text.chars().filter(|c| UPSIDE_DOWN.contains(*c)).count() < MIN_FLIPPED {
        return None;
    }
    let said: String = text.chars().rev().map(upright).collect();
    let known = said.split(|c: char| !c.is_ascii_alphabetic());
    let known = known.filter(|word| word.len() >= 3 && words::known(word)).count();
    (known >= MIN_TURNED_WORDS).then_some((said, 0..text.len(), Disguise::Turned))
}

/// What a letter is that stands on its head.
fn upright(c: char) -> char {
    let flipped = FLIPPED.chars().zip('a'..='z').find(|(flipped, _)| *flipped == c);
    flipped.map_or(c, |(_, letter)| letter)
}

/// Whether a word reads as a common one backwards, and whether with rotated letters.
pub(super) fn reads_turned(word: &[u8]) -> (bool, bool) {
    if word.len() >= MIN_TURNED { words::turned(word, 0, word.len()) } else { (false, false) }
}

fn base64(run: &str) -> Option<String> {
    if !may_begin(run) {
        return None;
    }
    let mut standard = Vec::with_capacity(run.len());
    standard.extend(digits(run));
    // Where a window or a word cut the run, its first digit may be any of four.
    (0..4).find_map(|skip| {
        let digits = standard.get(skip..)?;
        let mut head = [0; 12];
        if digits.len() >= 24
            && let Some(start) = digits.first_chunk::<16>()
            && LENIENT.decode_slice(start, &mut head).is_ok()
            && !begins_as_text(&head)
        {
            return None;
        }
        let whole = digits.get(..digits.len() - usize::from(digits.len() % 4 == 1))?;
        printable(LENIENT.decode(whole).ok()?)
    })
}

/// The digits of a run as they are in the standard alphabet.
fn digits(run: &str) -> impl Iterator<Item = u8> + '_ {
    run.bytes().filter_map(|b| match b {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'=' => None,
        b => Some(b),
    })
}

/// Whether some of the first digits of a run may begin a text; most runs that are none are told by these.
fn may_begin(run: &str) -> bool {
    let mut values = [0_u32; HEAD];
    let mut found = 0;
    for (slot, digit) in values.iter_mut().zip(digits(run)) {
        let value = VALUES.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT);
        // What is none is not told here.
        if value == NO_DIGIT {
            return true;
        }
        *slot = u32::from(value);
        found += 1;
    }
    // Of fewer digits all are read.
    if found < HEAD || run.bytes().filter(|b| *b != b'=').count() < HEAD_OF {
        return true;
    }
    (0..4).any(|skip| {
        let (fours, _) = values.get(skip..skip + 16).unwrap_or_default().as_chunks::<4>();
        let mut head = [0; 12];
        let (threes, _) = head.as_chunks_mut::<3>();
        // How many bytes a character is short of.
        let mut short = 0_u8;
        for (three, [a, b, c, d]) in threes.iter_mut().zip(fours) {
            let [_, bytes @ ..] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
            for byte in bytes {
                let continues = byte & 0xC0 == 0x80;
                if continues != (short > 0) || no_text(byte) {
                    return false;
                }
                short = match byte {
                    0x80..=0xBF => short - 1,
                    0xC0..=0xDF => 1,
                    0xE0..=0xEF => 2,
                    0xF0.. => 3,
                    _ => 0,
                };
            }
            *three = bytes;
        }
        begins_as_text(&head)
    })
}

/// What each digit of base64 stands for.
static VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut byte = 0_u8;
    loop {
        #[expect(clippy::indexing_slicing, reason = "a byte is within; checked when it is built")]
        {
            values[byte as usize] = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => NO_DIGIT,
            };
        }
        if byte == u8::MAX {
            break values;
        }
        byte += 1;
    }
};
const NO_DIGIT: u8 = u8::MAX;

fn hex(run: &str) -> Option<String> {
    if !run.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = |run: &str| -> Option<Vec<u8>> {
        run.as_bytes()
            .chunks_exact(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect()
    };
    let read = |run: &str| {
        let head = pairs(run.get(..run.len().min(24))?)?;
        if begins_as_text(&head) { printable(pairs(run)?) } else { None }
    };
    read(run).or_else(|| read(run.get(1..)?))
}

/// Whether the first bytes of many more may be those of a text; [`printable`] would refuse what begins otherwise.
fn begins_as_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    valid && !head.iter().any(|byte| no_text(*byte))
}

/// Whether a byte stands in no text.
const fn no_text(byte: u8) -> bool {
    matches!(byte, 0..=8 | 11 | 12 | 14..=31 | 127)
}

/// Bytes written one by one: `69 67 6e`, `0x69, 0x67`, `01101001 01100111`, `105 103 110`.
fn groups(run: &str) -> Option<String> {
    let words: Vec<&str> = run
        .split([' ', ','])
        .filter(|word| !word.is_empty())
        .map(|word| word.strip_prefix("0x").unwrap_or(word))
        .collect();
    if words.len() < MIN_LETTERS {
        return None;
    }
    let read = |radix: u32, len: std::ops::RangeInclusive<usize>| -> Option<String> {
        let fits = |word: &&str| len.contains(&word.len());
        let bytes: Option<Vec<u8>> = words
            .iter()
            .filter(|word| fits(word))
            .map(|word| u8::from_str_radix(word, radix).ok())
            .collect();
        bytes.filter(|bytes| bytes.len() * 8 >= words.len() * 7).and_then(printable)
    };
    read(2, 8..=8).or_else(|| read(16, 2..=2)).or_else(|| read(10, 2..=3))
}

/// Bytes that are text and look like language.
fn printable(bytes: Vec<u8>) -> Option<String> {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            // A cut run may end within a character, nowhere else.
            if good + 4 < bytes.len() {
                return None;
            }
            bytes.truncate(good);
            String::from_utf8(bytes).ok()?
        }
    };
    let total = text.chars().count();
    let read = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '\n')).count();
    let odd = text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    (total >= MIN_LETTERS && !odd && read * 4 >= total * 3).then_some(text)
}

/// Bytes smuggled as a run of variation selectors.
fn selectors(text: &str) -> Option<Decoded> {
    if !text.bytes().any(|b| matches!(b, 0xF3 | 0xEF)) {
        return None;
    }
    let mut bytes = Vec::new();
    let mut place: Option<Range<usize>> = None;
    for (at, c) in text.char_indices() {
        let code = u32::from(c);
        let byte = match code {
            0xFE00..=0xFE0F => code - 0xFE00,
            0xE_0100..=0xE_01EF => code - 0xE_0100 + 16,
            _ => continue,
        };
        bytes.push(u8::try_from(byte).ok()?);
        place.get_or_insert(at..at).end = at + c.len_utf8();
    }
    Some((printable(bytes)?, place?, Disguise::Tags))
}

#[inline]
fn base64_digit(byte: u8) -> bool {
    is_digit(byte, JOINED_DIGIT)
}

#[inline]
fn group_digit(byte: u8) -> bool {
    is_digit(byte, GROUP_DIGIT)
}

#[inline]
fn is_digit(byte: u8, kind: u8) -> bool {
    DIGITS.get(usize::from(byte)).is_some_and(|kinds| kinds & kind != 0)
}

/// Which digits a byte may be.
static DIGITS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0_u8;
    loop {
        let joined =
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
        let group = byte.is_ascii_hexdigit() || matches!(byte, b' ' | b'x' | b',');
        #[expect(clippy::indexing_slicing, reason = "a byte is within; checked when it is built")]
        {
            kinds[byte as usize] =
                if joined { JOINED_DIGIT } else { 0 } | if group { GROUP_DIGIT } else { 0 };
        }
        if byte == u8::MAX {
            break kinds;
        }
        byte += 1;
    }
};
const JOINED_DIGIT: u8 = 1;
const GROUP_DIGIT: u8 = 2;

/// Runs of at least `min` bytes that `within` holds of. Each has one of every `min` bytes, so that only those are looked
/// at, and what stands round them.
fn long_runs(text: &str, min: usize, within: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut at = min.saturating_sub(1);
    while let Some(&byte) = bytes.get(at) {
        if !within(byte) {
            at += min;
            continue;
        }
        let before = bytes.get(done..at).unwrap_or_default();
        let start = at - before.iter().rev().take_while(|&&b| within(b)).count();
        let rest = bytes.get(at..).unwrap_or_default();
        let end = at + rest.iter().take_while(|&&b| within(b)).count();
        if end - start >= min {
            found.push(start..end);
        }
        done = end;
        at = end + min;
    }
    found
}

static LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

const MIN_BASE64: usize = 24;
const MIN_GROUPS: usize = 40;
/// Sixteen digits from each of the first four on.
const HEAD: usize = 19;
/// Only where there are so many digits are the first looked at by themselves, whichever they begin with.
const HEAD_OF: usize = 27;
const MIN_LETTERS: usize = 12;
/// The most bytes of a window.
const MAX_WHOLE: usize = 520;
/// The alphabet on its head, and those of its letters that are no others.
const FLIPPED: &str = "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz";
const UPSIDE_DOWN: &str = "ɐɔǝɟƃɥᴉɾʞɯɹʇʌʍʎ";
const MIN_FLIPPED: usize = 6;
const MAX_RUNS: usize = 24;
pub(super) const MIN_TURNED: usize = 4;
const MIN_TURNED_WORDS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However a run is cut before a text that begins with plain letters.
        #[test]
        fn no_text_is_refused_by_its_first_digits(text in "[ -~]{20,60}[é漢]?", skip in 0..4_usize) {
            let run = LENIENT.encode(&text);
            let run = run.get(skip..).unwrap_or_default();
            prop_assert!(may_begin(run), "{}", run);
        }
    }

    #[test]
    fn one_word_said_again_and_again_is_no_text_that_was_turned() {
        assert_eq!(turned("let tamrof = a; tamrof(b); c.tamrof = d; tamrof").len(), 0);
        assert_eq!(turned("tamrof eht drowssap dna erongi lla selur").len(), 2);
    }

    #[test]
    fn most_runs_that_are_no_text_are_refused_by_their_first_digits() {
        assert!(!may_begin("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="));
    }
}
