//! Which secret stands before what says so: `hunter2 is the password`, `… (API key)`, `use … as the token`?

use crate::assign::Given;
use crate::bytes::{is, kind};
use crate::label::OPEN;
use crate::memo::Memo;
use crate::names::turned_by;
use crate::spoken::{said_of, stops, stripped};
use crate::values::{Place, is_secret, regular_case};
use crate::work;
use std::ops::Range;

/// The secret that stands before the name in `name`, in the same line: a few plain words before it a word or a sign says
/// that what stands before that is meant.
///
/// What stands behind the name is asked first; when that is a label already, the name has been read.
pub(crate) fn secret(
    text: &[u8],
    name: (usize, usize),
    place: Place,
    memo: &mut Memo,
) -> Option<Given> {
    if place < Place::Secret {
        return None;
    }
    let from = name.0.saturating_sub(MAX_BEFORE);
    let head = text.get(from..name.0)?;
    work::count(head.len());
    let line = memchr::memrchr(b'\n', head).map_or(0, |at| at + 1);
    let (from, head) = (from + line, head.get(line..)?);
    // `client.token`: the path to the name.
    let path = |b: &&u8| is(**b, kind::NAME) || matches!(b, b'.' | b'$');
    let path =
        if head.last() == Some(&b'.') { head.iter().rev().take_while(path).count() } else { 0 };
    let head = head.get(..head.len() - path)?;
    let Some((pivot, sure)) = pivot(head) else {
        return (place == Place::Password).then(|| near(text, from, head, name.1)).flatten();
    };
    let value = last_token(head.get(..pivot)?)?;
    let range = stripped(text, from + value.start..from + value.end);
    let before = head.get(..value.start)?;
    if last_token(before).is_some_and(|token| before.get(token).is_some_and(stops)) {
        return None;
    }
    if other_meant(text, name.1) {
        return None;
    }
    let value = text.get(range.clone())?;
    // Words have gone out already when this is asked of a stream.
    let plain = value.iter().all(u8::is_ascii_alphabetic);
    let short_hex = value.len() < 32 && value.iter().all(|b| is(*b, kind::HEX) || *b == b'-');
    // Many a sign stands between things that have nothing to do with each other.
    let place = if sure || place == Place::Password { place } else { Place::Near };
    let secret = !plain
        && (!short_hex || place == Place::Password && value.len() < 16)
        && said_of(value, place)
        && memo.is_secret(text, &range, place);
    secret.then_some(Given { value: range, place })
}

/// A random word anywhere before the name in its sentence: `get in with …, it is the same password`.
fn near(text: &[u8], from: usize, head: &[u8], behind: usize) -> Option<Given> {
    let name = text.get(from + head.len()..behind)?;
    let word = name.iter().all(|b| is(*b, kind::LETTER)) && regular_case(name);
    if !word || other_meant(text, behind) {
        return None;
    }
    let mut end = head.len();
    for _ in 0..MAX_NEAR {
        let token = last_token(head.get(..end)?)?;
        let range = stripped(text, from + token.start..from + token.end);
        let value = text.get(range.clone())?;
        let plain = value.iter().all(u8::is_ascii_alphabetic);
        let signs = value.iter().any(|b| matches!(b, b'=' | b':' | b'/' | b',' | b'\'' | b'"'));
        if !plain
            && !signs
            && !value.starts_with(b"0x")
            && said_of(value, Place::Near)
            && is_secret(value, Place::Near)
        {
            let before = head.get(..token.start)?;
            let stopped = last_token(before).is_some_and(|t| before.get(t).is_some_and(stops));
            return (!stopped).then_some(Given { value: range, place: Place::Password });
        }
        end = token.start;
    }
    None
}

/// Where in what stands before a name the word or sign begins that points further back, and whether it surely does; up to
/// it there are only words.
fn pivot(head: &[u8]) -> Option<(usize, bool)> {
    let mut end = head.len();
    // A quote or a bracket may stand before the name itself.
    if let Some(open) = head.last().filter(|b| matches!(b, b'(' | b'[' | b'"' | b'`')) {
        if matches!(open, b'(' | b'[') && head.get(end.checked_sub(2)?) == Some(&b' ') {
            return Some((end - 1, false));
        }
        end -= 1;
    }
    for _ in 0..MAX_WORDS {
        let token = last_token(head.get(..end)?)?;
        let word = head.get(token.clone())?;
        // `assert '…' == token`.
        if matches!(word, b"==" | b"!=" | b"===") {
            let quoted = matches!(head.get(token.start.checked_sub(2)?), Some(b'\'' | b'"'));
            return quoted.then_some((token.start, true));
        }
        if points(word) {
            return Some((token.start, is(*word.first()?, kind::LETTER)));
        }
        // `(the root password)`.
        let inner = word.strip_prefix(b"(").unwrap_or(word);
        if inner.is_empty()
            || !inner.iter().all(|b| is(*b, kind::LETTER) || matches!(b, b'\'' | b'-'))
        {
            return None;
        }
        if inner.len() < word.len() {
            return Some((token.start, false));
        }
        end = token.start;
    }
    None
}

/// Whether a word or a sign points to what stands before it.
fn points(word: &[u8]) -> bool {
    matches!(word, b"is" | b"was" | b"as" | b"->" | b"<-" | b"<--" | b"#" | b"//" | b"--" | b"-")
        || matches!(word, [0xE2, 0x80, 0x93 | 0x94] | [0xE2, 0x86, 0x90])
        || matches!(word, b"est" | b"ist" | b"es")
}

/// Whether what stands behind the name makes it another, or has been read as its value.
fn other_meant(text: &[u8], at: usize) -> bool {
    let ahead = text.get(at..(at + MAX_BEHIND).min(text.len())).unwrap_or_default();
    let line = memchr::memchr(b'\n', ahead).and_then(|end| ahead.get(..end)).unwrap_or(ahead);
    let next = line.strip_prefix(b" ").unwrap_or_default();
    let word = next.iter().take_while(|b| is(**b, kind::LETTER)).count();
    turned_by(next.get(..word).unwrap_or_default())
        || memchr::memmem::find(line, OPEN.as_bytes()).is_some()
}

/// The last token of a text, in which no space is.
fn last_token(text: &[u8]) -> Option<Range<usize>> {
    let end = text.iter().rposition(|b| !is(*b, kind::SPACE))? + 1;
    let head = text.get(..end)?;
    let start = head.iter().rposition(|b| is(*b, kind::SPACE)).map_or(0, |at| at + 1);
    Some(start..end)
}

/// So far before a name its value may begin.
const MAX_BEFORE: usize = 200;
/// So many words may stand between the name and what points back.
const MAX_WORDS: usize = 6;
/// So many words before a password's name may be it.
const MAX_NEAR: usize = 12;
/// So far behind a name its value is looked for.
const MAX_BEHIND: usize = 120;
