//! Where is the value that a name, a header or a sentence gives?

use crate::before;
use crate::beside::MAX_MEMBER;
use crate::bytes::{is, kind};
use crate::extent::quoted_len;
use crate::found::{Found, value_after};
use crate::memo::Memo;
use crate::names::{self, Word};
use crate::shown;
use crate::spoken;
use crate::typed::passphrase;
use crate::values::{Place, is_secret, labelled, placeholder};
use std::ops::Range;

/// A value that stands where a name says that a secret stands.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) value: Range<usize>,
    pub(crate) place: Place,
}

/// The secret that the name around `word`, found at `at`, is given.
pub(crate) fn secret(
    text: &[u8],
    word: &Word,
    at: usize,
    budget: &mut usize,
    memo: &mut Memo,
) -> Option<Given> {
    let left =
        text.get(..at)?.iter().rev().take(names::MAX_PART).take_while(|b| in_name(**b)).count();
    // The word itself may have signs that names have not: `mot de passe`.
    let end = at + word.text.len();
    let right = text.get(end..)?.iter().take(names::MAX_PART).take_while(|b| in_name(**b)).count();
    let right = word.text.len() + right;
    let name = text.get(at - left..at + right)?;
    let mut place = names::judge(name, word, left)?;
    // `API key`, `access key`: the word before says which key it is.
    if word.text == "key" && left == 0 && names::strong_before(text.get(..at)?) {
        place = Place::Secret;
    }
    let behind = at + right;
    // `arn:aws:secretsmanager:…:123456789012:secret:name`.
    let numbered = text.get(..at - left).is_some_and(|head| {
        head.strip_suffix(b":").and_then(<[u8]>::last).is_some_and(u8::is_ascii_digit)
    });
    if numbered && text.get(behind) == Some(&b':') {
        return None;
    }
    let flag = name.starts_with(b"-");
    let speaks = place != Place::Likely || word.speaks();
    match value_after(text, behind, at - left, memo) {
        // A login that is long and random is no name of a person.
        Some(found)
            if place == Place::Near
                && word.text == "login"
                && found.range.len() >= MIN_LOGIN
                && memo.is_secret(text, &found.range, Place::Likely) =>
        {
            Some(Given { value: found.range, place: Place::Secret })
        }
        // `login=ann:…`.
        Some(found) if place == Place::Near && word.text == "login" => {
            let value = text.get(found.range.clone())?;
            let colon = memchr::memchr(b':', value)?;
            let password = found.range.start + colon + 1..found.range.end;
            (colon > 0
                && memo.is_secret(text, &password, Place::Password)
                && memo.is_secret(text, &password, Place::Secret))
            .then_some(Given { value: password, place: Place::Password })
        }
        Some(found) if place > Place::Near => {
            *budget = budget.saturating_sub(found.range.len());
            let place = if found.weak { place.min(Place::Likely) } else { place };
            given(text, place, found, memo)
                .or_else(|| shown::shown(text, (at - left, behind), place))
        }
        None if speaks => spoken::secret(text, behind, place, flag, memo)
            .or_else(|| shown::shown(text, (at - left, behind), place))
            .or_else(|| before::secret(text, (at - left, behind), place, memo)),
        _ => None,
    }
}

/// The secret that what was found behind a name is, or that stands in its place.
fn given(text: &[u8], place: Place, found: Found, memo: &mut Memo) -> Option<Given> {
    let value = text.get(found.range.clone())?;
    if memo.is_secret(text, &found.range, place) || phrase(value, place, &found) || webhook(value) {
        return Some(Given { value: found.range, place });
    }
    let other = otherwise(text, found.range.end);
    if other.is_none() && found.called && !labelled(value) {
        let secret = argument(text, found.range.end, memo)?;
        return Some(Given { value: secret, place: Place::Password });
    }
    let other = other?;
    memo.is_secret(text, &other, place).then_some(Given { value: other, place })
}

/// The next string that a call is given which is a password, as in `login("ann", "…")`, whose first ends at `at`.
fn argument(text: &[u8], mut at: usize, memo: &mut Memo) -> Option<Range<usize>> {
    let mut chosen = None;
    for _ in 0..MAX_ARGUMENTS {
        let rest = text.get(at..(at + MAX_MEMBER).min(text.len()))?;
        let Some([quote @ (b'"' | b'\''), b',', more @ ..]) = rest.get(..) else { break };
        let spaces = more.iter().take(8).take_while(|b| b.is_ascii_whitespace()).count();
        if more.get(spaces) != Some(quote) {
            break;
        }
        let from = at + 3 + spaces;
        let len = quoted_len(text.get(from..)?, *quote, 0)?;
        let value = from..from + len;
        // What has a label has been read already.
        if labelled(text.get(value.clone())?) {
            return None;
        }
        at = value.end;
        if chosen.is_none() && memo.is_secret(text, &value, Place::Password) {
            chosen = Some(value);
        }
    }
    chosen
}

/// What stands in quotes behind an expression, for when that gives nothing: `os.getenv("PW") or "…"`, `x || '…'`.
fn otherwise(text: &[u8], at: usize) -> Option<Range<usize>> {
    let ahead = text.get(at..(at + MAX_OTHERWISE).min(text.len()))?;
    // The first may be a string itself: `"old" -> "new"`.
    let quoted = usize::from(matches!(ahead.first(), Some(b'"' | b'\'' | b'`')));
    let spaces = quoted + ahead.iter().skip(quoted).take_while(|b| **b == b' ').count();
    let rest = ahead.get(spaces..)?;
    let signs = [&b"|| "[..], b"?? ", b"or ", b"?: ", b"-> "];
    let sign = signs.iter().find(|sign| rest.starts_with(sign))?;
    let value = rest.get(sign.len()..)?;
    let quote = *value.first().filter(|b| matches!(b, b'"' | b'\'' | b'`'))?;
    let from = at + spaces + sign.len() + 1;
    let len = quoted_len(text.get(from..)?, quote, 0)?;
    (len > 0).then_some(from..from + len)
}

/// Words in quotes behind a password's name are a passphrase when there are several.
fn phrase(value: &[u8], place: Place, found: &Found) -> bool {
    let words = value.split(|b| matches!(b, b' ' | b'-')).filter(|word| word.len() >= 3).count();
    let plain = value.iter().all(|b| b.is_ascii_lowercase() || matches!(b, b' ' | b'-'));
    let joined = || {
        [b'-', b'.', b'_'].iter().any(|sign| passphrase(value, *sign))
            || (found.quoted && passphrase(value, b' '))
    };
    if place == Place::Password && joined() {
        return !placeholder(value);
    }
    place == Place::Password
        && found.quoted
        && plain
        && words >= 4
        && value.contains(&b'-')
        && !placeholder(value)
        || place == Place::Password && words >= 12 && plain
}

/// A URL that is itself the credential: its path has a long random part.
fn webhook(value: &[u8]) -> bool {
    let Some(body) = value.strip_prefix(b"https://") else { return false };
    body.split(|b| matches!(b, b'/' | b'?' | b'=' | b'&')).skip(1).any(|part| {
        part.len() >= 16
            && is_secret(part, Place::Likely)
            && !part.iter().all(u8::is_ascii_hexdigit)
    })
}

fn in_name(byte: u8) -> bool {
    is(byte, kind::NAME)
}

/// So far behind an expression what it is replaced by begins.
const MAX_OTHERWISE: usize = 16;
/// A shorter login may be somebody's name.
const MIN_LOGIN: usize = 20;
/// So many strings of a call may follow the first.
const MAX_ARGUMENTS: usize = 4;
