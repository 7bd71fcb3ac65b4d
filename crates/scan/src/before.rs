//! Which secret stands before what says so: `hunter2 is the password`, `… (API key)`, `use … as the token`?

use crate::assign::Given;
use crate::bytes::{is, kind};
use crate::label::OPEN;
use crate::memo::Memo;
use crate::names::turned_by;
use crate::spoken::{said_of, stops, stripped};
use crate::values::Place;
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
    let (pivot, sure) = pivot(head)?;
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
/// So far behind a name its value is looked for.
const MAX_BEHIND: usize = 120;
