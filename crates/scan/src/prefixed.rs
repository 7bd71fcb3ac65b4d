//! Is this a token of some vendor whom no rule knows, by its prefix and what follows: `acme_live_…`?

use crate::bytes::{is, kind, kinds};
use crate::finding::{Confidence, Kind};
use crate::memo::Memo;
use crate::scanner::{Hit, What};
use crate::spoken::identifier;
use std::ops::Range;
use std::sync::LazyLock;

/// The last part of a path that a run of digits of codes is, or all of it: `/v1/keys/acme_live_…`.
pub(crate) fn last_part(text: &[u8], run: &Range<usize>) -> Range<usize> {
    let slash = text.get(run.clone()).and_then(|run| memchr::memrchr(b'/', run));
    slash.map_or(run.clone(), |at| run.start + at + 1..run.end)
}

/// Whether a run of digits of codes is a short word or two, each with `_` or `-` behind, and then many letters and digits
/// in no order. What identifies an object is shorter (24 to 29) and has no word in its prefix that only keys have; what a build
/// adds to a file's name has a dot behind.
pub(crate) fn token(text: &[u8], run: &Range<usize>) -> bool {
    let Some(token) = text.get(run.clone()).filter(|token| token.len() <= MAX_BYTES) else {
        return false;
    };
    let Some((body, telling)) = body(token) else { return false };
    let edge = |at: Option<usize>| at.and_then(|at| text.get(at)).copied();
    let before = edge(run.start.checked_sub(1));
    // `sha256=…`: a digest.
    let head = text.get(run.start.saturating_sub(7)..run.start).unwrap_or_default();
    if memchr::memmem::find(head, b"sha").is_some() {
        return false;
    }
    let apart = before.is_none_or(|b| !matches!(b, b'.' | b'~' | b'%' | b'@' | b':' | 0x80..));
    let file = edge(Some(run.end)) == Some(b'.')
        && edge(Some(run.end + 1)).is_some_and(|b| is(b, kind::LOWER));
    apart
        && !file
        && (random(body) || telling && keyed(body))
        && !identifier(token)
        && !token.starts_with(b"ey")
}

/// The hit that such a token is.
pub(crate) fn hit(text: &[u8], span: Range<usize>, memo: &mut Memo) -> Option<Hit> {
    static KIND: LazyLock<Kind> = LazyLock::new(|| Kind::slug("token"));
    (!memo.placeholder(text, &span)).then(|| Hit {
        from: span.start,
        span,
        what: What::Kind(KIND.clone()),
        confidence: Confidence::Medium,
    })
}

/// What follows the prefix: one to three parts of small letters, of which the first has no digit; and whether one of them is
/// a word that only prefixes of keys have.
fn body(token: &[u8]) -> Option<(&[u8], bool)> {
    let (mut rest, mut telling) = (token, false);
    for number in 0..MAX_PARTS {
        let len = rest.iter().take(MAX_PART + 1).take_while(|b| is(**b, kind::LOWER)).count();
        let parted = matches!(rest.get(len), Some(b'_' | b'-'));
        if !parted || !(2..=MAX_PART).contains(&len) {
            return (number > 0).then_some((rest, telling));
        }
        telling |= rest.get(len) == Some(&b'_')
            && rest.get(..len).is_some_and(|part| TELLING.iter().any(|w| part == w.as_bytes()));
        rest = rest.get(len + 1..)?;
    }
    Some((rest, telling))
}

/// Whether letters and digits stand in turns, with no sign among them, as in shorter keys and those of one case.
fn keyed(body: &[u8]) -> bool {
    let digits = body.iter().filter(|b| b.is_ascii_digit()).count();
    let turns = body.iter().zip(body.iter().skip(1));
    let turns = turns.filter(|(a, b)| a.is_ascii_digit() != b.is_ascii_digit()).count();
    body.len() >= MIN_KEYED
        && body.iter().all(u8::is_ascii_alphanumeric)
        && digits >= 3
        && digits + 3 <= body.len()
        && turns * 5 >= body.len()
}

/// Whether letters of both cases and digits stand in no order, with hardly any sign among them.
fn random(body: &[u8]) -> bool {
    if body.len() < MIN_BODY {
        return false;
    }
    let (mut lower, mut upper, mut digits, mut turns, mut last) = (0, 0, 0, 0, 0);
    for byte in body {
        let sort = kinds(*byte) & kind::ALNUM;
        lower += usize::from(sort & kind::LOWER != 0);
        upper += usize::from(sort & kind::UPPER != 0);
        digits += usize::from(sort & kind::DIGIT != 0);
        turns += usize::from(sort != last);
        last = sort;
    }
    let signs = body.len() - lower - upper - digits;
    lower >= 4
        && upper >= 4
        && digits >= 2
        && signs * 8 <= body.len()
        && turns * 5 >= body.len() * 2
        && !body.iter().any(|b| matches!(b, b'/' | b'+'))
}

const MAX_BYTES: usize = 256;
const MAX_PARTS: usize = 3;
const MAX_PART: usize = 10;
/// Shorter ones are mostly numbers of objects.
const MIN_BODY: usize = 30;
/// With a word of a key's prefix before it, so many letters and digits are enough.
const MIN_KEYED: usize = 20;
/// Words that prefixes of keys have, and names of objects do not.
const TELLING: [&str; 17] = [
    "access",
    "admin",
    "api",
    "apikey",
    "auth",
    "key",
    "live",
    "pat",
    "personal",
    "prod",
    "production",
    "sandbox",
    "secret",
    "server",
    "sk",
    "tok",
    "token",
];
