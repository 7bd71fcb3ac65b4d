//! Which words are spelled so that only a person reads them?

use super::bits::among;
use super::disguise::{Disguise, Disguises};
use super::trace::Traced;
use super::words;
use std::ops::Range;
use unicode_security::skeleton;

/// Writes words as they are read: look-alike letters of other scripts, digits for letters, and letters that were set
/// apart are put right. The input is in lower case.
pub(super) fn respell(input: Traced, seen: &mut Disguises) -> Traced {
    let folded = unmixed(&input, seen).unwrap_or(input);
    let joined = unspaced(&folded, seen).unwrap_or(folded);
    unleet(&joined, seen).unwrap_or(joined)
}

/// Whether [`respell`] would leave a text as it is; where that is not plain at once, no.
pub(super) fn as_written(text: &str) -> bool {
    if !text.is_ascii() && text.chars().any(foreign) {
        return false;
    }
    let mut single = 0;
    for run in text.as_bytes().split(|b| !(b.is_ascii_alphanumeric() || leet_sign(*b))) {
        // A sign may set letters apart as well as stand for one.
        single += if run.len() == 1 || run.iter().any(|b| leet_sign(*b)) { run.len() } else { 0 };
        if respells(run) {
            return false;
        }
    }
    single < MIN_SPACED || !spaced(text)
}

/// Whether a run of letters, digits and signs for letters reads as something else.
pub(super) fn respells(run: &[u8]) -> bool {
    let letters = run.iter().all(u8::is_ascii_alphabetic);
    let may_change = if letters { run.len() >= MIN_JOINED } else { run.len() >= MIN_LEET };
    may_change
        && (letters || leet(run).is_some())
        && std::str::from_utf8(run).is_ok_and(|run| read(run).is_some())
}

/// Whether letters of a text were set apart.
pub(super) fn spaced(text: &str) -> bool {
    spaced_run(text, 0).is_some()
}

/// Puts into `places` where single letters stand of which some others stand before them: in no part of the text without
/// such a place, wherever it is cut, have letters been set apart. `alone` are the places of all letters and digits that
/// stand by themselves.
pub(super) fn letters_apart(
    text: &[u8],
    alone: impl Iterator<Item = usize>,
    places: &mut Vec<usize>,
) {
    // The ends of a part make single letters of the first and the last of a longer word.
    let (mut letters, mut end) = (0, 0);
    for at in alone {
        let gap = text.get(end..at).unwrap_or_default();
        // One sign more is let pass before it is missed.
        let together =
            gap.len() <= MAX_APART + 1 && gap.iter().all(|&byte| byte != b'\n' && separator(byte));
        letters = if together { letters + 1 } else { 1 };
        end = at + 1;
        if letters + 2 >= MIN_SPACED {
            places.push(at);
        }
    }
}

/// Replaces look-alikes in words that mix scripts, and, once there is such a word, in all words made of look-alikes.
/// None where there is no such word.
fn unmixed(input: &Traced, seen: &mut Disguises) -> Option<Traced> {
    let text = input.text();
    let mixed = |word: &str| {
        let foreign = word.chars().filter(|&c| lookalike(c).is_some()).count();
        let latin = word.chars().filter(char::is_ascii_alphabetic).count();
        foreign > 0 && latin > 0 && foreign + latin == word.chars().count()
    };
    if text.is_ascii() || !words_of(text).any(|range| text.get(range).is_some_and(mixed)) {
        return None;
    }
    let mut out = input.blank();
    for (at, c) in text.char_indices() {
        match lookalike(c) {
            Some(plain) => {
                seen.note(Disguise::Confusable, input.origin(at));
                out.push(plain, input.origin(at));
            }
            None => out.push(c, input.origin(at)),
        }
    }
    Some(out)
}

/// The plain letter that a letter of another script looks like.
fn lookalike(c: char) -> Option<char> {
    if !foreign(c) {
        return None;
    }
    let mut buffer = [0; 4];
    let mut looks = skeleton(c.encode_utf8(&mut buffer));
    let first = looks.next()?;
    // Some letters look like one with a mark on it.
    let rest_is_marks = looks.all(|c| matches!(c, '\u{300}'..='\u{36F}'));
    (rest_is_marks && first.is_ascii_alphabetic()).then(|| first.to_ascii_lowercase())
}

/// The scripts whose letters may look like plain ones.
pub(super) const fn foreign(c: char) -> bool {
    matches!(c, '\u{180}'..='\u{5FF}' | '\u{13A0}'..='\u{13FF}' | '\u{1D00}'..='\u{1DFF}' | '\u{2C80}'..='\u{2CFF}' | '\u{A4D0}'..='\u{A7FF}')
}

/// Joins runs of single letters with one separator: `i g n o r e  a l l`, `i-g-n-o-r-e`. None where there are none.
fn unspaced(input: &Traced, seen: &mut Disguises) -> Option<Traced> {
    let text = input.text();
    let mut next = Some(spaced_run(text, 0)?);
    let mut out = input.blank();
    let mut copied = 0;
    while let Some(run) = next {
        out.copy(input, copied..run.start);
        let part = text.get(run.clone()).unwrap_or_default();
        let origin = input.origin(run.start);
        seen.note(Disguise::Spaced, origin);
        out.push_str(&despace(part), origin);
        copied = run.end;
        next = spaced_run(text, run.end);
    }
    out.copy(input, copied..text.len());
    Some(out)
}

/// The next run of at least [`MIN_SPACED`] single letters that are set apart.
fn spaced_run(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut start = None;
    let mut letters = 0;
    let mut end = from;
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        let next = bytes.get(at + 1).copied().unwrap_or(b' ');
        let single =
            byte.is_ascii_alphanumeric() && !next.is_ascii_alphanumeric() && next.is_ascii();
        let apart = separator(byte) && byte != b'\n';
        if single {
            start.get_or_insert(at);
            letters += 1;
            end = at + 1;
        } else if !apart || start.is_some() && at - end > MAX_APART {
            if letters >= MIN_SPACED {
                break;
            }
            start = None;
            letters = 0;
            // The letters of a longer word are no single ones.
            if !apart && (byte.is_ascii_alphanumeric() || !byte.is_ascii()) {
                let word = |b: &u8| b.is_ascii_alphanumeric() || !b.is_ascii();
                at +=
                    bytes.get(at + 1..).unwrap_or_default().iter().take_while(|b| word(b)).count();
            }
        }
        at += 1;
    }
    let start = start.filter(|_| letters >= MIN_SPACED)?;
    if spoken(text.get(start..end)?) {
        return Some(start..end);
    }
    spaced_run(text, end.max(from + 1))
}

/// Whether single letters make words: a column of flags, a formula, the letters of an alphabet or of a gene make none.
fn spoken(run: &str) -> bool {
    let letters = run.bytes().filter(u8::is_ascii_alphanumeric).count();
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    let vowels = run.bytes().filter(|b| matches!(b, b'a' | b'e' | b'i' | b'o' | b'u')).count();
    if vowels * 6 < letters || digits * 4 > letters {
        return false;
    }
    let said = despace(run);
    let is_known =
        |word: &&str| word.len() >= 3 && (words::known(word) || leet(word.as_bytes()).is_some());
    if said.split(' ').filter(is_known).map(str::len).sum::<usize>() * 5 >= letters {
        return true;
    }
    // Of other languages the words are not known, but they have vowels, many different letters, and gaps between them.
    let alphabet = b'a'..=b'z';
    let different = alphabet.filter(|letter| run.as_bytes().contains(letter)).count();
    let (enough, varied) = if said.contains(' ') { UNKNOWN_WORDS } else { UNKNOWN_RUN };
    vowels * 10 >= letters * 3 && letters >= enough && different >= varied
}

const fn separator(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'.' | b'-' | b'_' | b'*' | b'|' | b'/' | b'+' | b'~' | b',' | b'\n' | b':'
    )
}

/// The words of a run of single letters: wider gaps part words; where there are none, common words do.
fn despace(run: &str) -> String {
    let mut gaps: Vec<usize> = Vec::new();
    let mut letters: Vec<(char, usize)> = Vec::new();
    let mut gap = 0;
    for c in run.chars() {
        if c.is_ascii_alphanumeric() {
            letters.push((c, gap));
            gaps.push(gap);
            gap = 0;
        } else {
            gap += 1;
        }
    }
    let narrow = gaps.iter().skip(1).copied().min().unwrap_or(1);
    let mut joined = String::new();
    for (n, (c, gap)) in letters.into_iter().enumerate() {
        if n > 0 && gap > narrow {
            joined.push(' ');
        }
        joined.push(c);
    }
    joined.split(' ').map(apart).collect::<Vec<_>>().join(" ")
}

/// A word, or the words that were run together in it.
fn apart(word: &str) -> String {
    match words::split(word) {
        Some(words) if word.len() > 10 => words.join(" "),
        _ => word.to_owned(),
    }
}

/// Replaces digits and signs by letters where that gives a common word, and splits words run together. None where
/// that gives nothing.
fn unleet(input: &Traced, seen: &mut Disguises) -> Option<Traced> {
    let text = input.text();
    let mut changed: Option<Traced> = None;
    let mut copied = 0;
    for range in leet_words(text) {
        let word = text.get(range.clone()).unwrap_or_default();
        let origin = input.origin(range.start);
        let Some((disguise, plain)) = read(word) else { continue };
        seen.note(disguise, origin);
        let out = changed.get_or_insert_with(|| input.blank());
        out.copy(input, copied..range.start);
        out.push_str(&plain, origin);
        copied = range.end;
    }
    let mut out = changed?;
    out.copy(input, copied..text.len());
    Some(out)
}

/// What a word says that is spelled with digits, or is several words run together.
fn read(word: &str) -> Option<(Disguise, String)> {
    if !word.bytes().all(|b| b.is_ascii_alphabetic()) {
        return leet(word.as_bytes()).map(|plain| (Disguise::Leet, plain));
    }
    let words = (word.len() >= MIN_JOINED).then(|| words::split(word)).flatten()?;
    (words.len() >= 3).then(|| (Disguise::Joined, words.join(" ")))
}

fn leet(word: &[u8]) -> Option<String> {
    if !(MIN_LEET..=MAX_LEET).contains(&word.len()) {
        return None;
    }
    let mut plain = [0; MAX_LEET];
    let (mut letters, mut ones) = (0, 0);
    for (slot, byte) in plain.iter_mut().zip(word) {
        *slot = LETTERS.get(usize::from(*byte)).copied().unwrap_or(NO_LETTER);
        // No common word has a digit that stands for no letter.
        if *slot == NO_LETTER {
            return None;
        }
        letters += usize::from(byte.is_ascii_alphabetic());
        ones += usize::from(*slot == ONE);
    }
    if letters * 3 < word.len() {
        return None;
    }
    let tries: &[u8] = if ones > 0 { b"il" } else { b"i" };
    tries.iter().find_map(|&one| {
        let mut plain = plain;
        for slot in plain.iter_mut().filter(|slot| **slot == ONE) {
            *slot = one;
        }
        if !words::may_be_known(&plain, word.len()) {
            return None;
        }
        let plain = std::str::from_utf8(plain.get(..word.len())?).ok()?;
        words::known(plain).then(|| plain.to_owned())
    })
}

/// The letter that each letter, digit or sign may stand for.
static LETTERS: [u8; 256] = {
    let mut letters = [0; 256];
    let mut byte = 0_u8;
    loop {
        #[expect(clippy::indexing_slicing, reason = "a byte is within; checked when it is built")]
        {
            letters[byte as usize] = match byte {
                b'0' => b'o',
                b'1' | b'!' | b'|' => ONE,
                b'3' => b'e',
                b'4' | b'@' => b'a',
                b'5' | b'$' => b's',
                b'7' | b'+' => b't',
                b'8' => b'b',
                b'9' => b'g',
                b'2' | b'6' => NO_LETTER,
                byte => byte,
            };
        }
        if byte == u8::MAX {
            break letters;
        }
        byte += 1;
    }
};
/// What stands for one letter or another.
const ONE: u8 = b'1';
const NO_LETTER: u8 = b'2';

fn leet_words(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    runs(text, |c| c.is_ascii_alphanumeric() || u8::try_from(c).is_ok_and(leet_sign))
}

/// The signs that may stand for a letter.
pub(super) fn leet_sign(byte: u8) -> bool {
    among(byte, [b'@', b'$', b'!', b'|', b'+'])
}

fn words_of(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    runs(text, char::is_alphabetic)
}

/// The longest runs of characters that `within` holds of.
fn runs(text: &str, within: impl Fn(char) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut chars = text.char_indices().peekable();
    let end = text.len();
    std::iter::from_fn(move || {
        let start = loop {
            let (at, c) = chars.next()?;
            if within(c) {
                break at;
            }
        };
        while chars.next_if(|&(_, c)| within(c)).is_some() {}
        Some(start..chars.peek().map_or(end, |&(at, _)| at))
    })
}

const MIN_SPACED: usize = 6;
/// So many letters, and so many different ones, speak where no word is known, with gaps between words and without.
const UNKNOWN_WORDS: (usize, usize) = (8, 6);
const UNKNOWN_RUN: (usize, usize) = (16, 9);
/// So far apart at most are letters that belong together.
const MAX_APART: usize = 4;
pub(super) const MIN_LEET: usize = 3;
const MAX_LEET: usize = 16;
pub(super) const MIN_JOINED: usize = 12;
