//! Which letters are spelled by their numbers?

use super::bits::among;
use super::disguise::{Disguise, Disguises};
use super::trace::Traced;

/// Undoes HTML entities, `\u`, `\x` and JSON escapes and percent-encoding, and takes markup out of words. None where
/// there is none of it.
pub(super) fn unescape(input: &Traced, seen: &mut Disguises) -> Option<Traced> {
    let text = input.text();
    if nothing_escaped(text) {
        return None;
    }
    let mut out = input.blank();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        // What nothing begins with stays as it is, and so does a mark by which nothing is meant.
        let plain = rest.bytes().position(begins).unwrap_or(rest.len());
        if plain > 0 {
            out.copy(input, at..at + plain);
            at += plain;
            continue;
        }
        let origin = input.origin(at);
        if let Some((decoded, len)) = escaped(rest) {
            if decoded.is_ascii_alphabetic() {
                seen.note(Disguise::Escaped, origin);
            }
            out.push(decoded, origin);
            at += len;
        } else if let Some((decoded, len)) = percent(rest) {
            for _ in decoded.chars().filter(char::is_ascii_alphabetic) {
                seen.note(Disguise::Escaped, origin);
            }
            out.push_str(&decoded, origin);
            at += len;
        } else if let Some((len, within)) = markup(rest, out.last()) {
            if within {
                seen.note(Disguise::Markup, origin);
            }
            at += len;
        } else {
            // A mark is one byte.
            out.copy(input, at..at + 1);
            at += 1;
        }
    }
    Some(out)
}

/// Whether [`unescape`] would leave a text as it is.
pub(super) fn nothing_escaped(text: &str) -> bool {
    let marks = text.bytes().enumerate().filter(|(_, b)| begins(*b));
    !marks.map(|(at, _)| text.split_at_checked(at).unwrap_or_default()).any(|(before, rest)| {
        escaped(rest).is_some()
            || percent(rest).is_some()
            || markup(rest, before.chars().next_back()).is_some()
    })
}

/// Something that [`unescape`] undoes.
#[derive(Debug)]
pub(super) struct Escape {
    /// Where its mark stands.
    pub(super) at: usize,
    /// What has to stand in a part of the text for it to be undone there: less, and it may or may not be.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What begins at a place, if something is undone there. In a part of the text nothing else is.
pub(super) fn undone_at(text: &str, at: usize) -> Option<Escape> {
    let (before, rest) = text.split_at_checked(at)?;
    let ends = |len: usize| Escape { at, start: at, end: at + len };
    match rest.as_bytes().first()? {
        b'\\' | b'&' => escaped(rest).map(|(_, len)| ends(len)),
        b'%' => {
            // Whether there is a character at all is told by four bytes.
            let first = rest
                .char_indices()
                .nth(12)
                .map_or(rest, |(end, _)| rest.get(..end).unwrap_or(rest));
            percent(first).map(|(_, len)| ends(len))
        }
        _ => {
            let before = before.chars().next_back().filter(char::is_ascii_alphabetic);
            let start = at - before?.len_utf8();
            // How much of a comment is looked at depends on where the text ends.
            if rest.starts_with("<!--") {
                return Some(Escape { at, start, end: usize::MAX });
            }
            // What follows tells whether it stands within a word.
            markup(rest, before).map(|(len, _)| Escape { at, start, end: at + len + 1 })
        }
    }
}

/// Whether something may begin with a byte that is undone.
pub(super) fn begins(byte: u8) -> bool {
    among(byte, [b'\\', b'&', b'%', b'<', b'*', b'`'])
}

/// A character written as an escape, and how long the escape is.
fn escaped(rest: &str) -> Option<(char, usize)> {
    if let Some(body) = rest.strip_prefix('\\') {
        return match body.as_bytes().first()? {
            b'n' | b'r' => Some(('\n', 2)),
            b't' => Some((' ', 2)),
            b'"' => Some(('"', 2)),
            b'\'' => Some(('\'', 2)),
            b'/' => Some(('/', 2)),
            b'u' => match body.strip_prefix("u{") {
                Some(digits) => {
                    let end = digits.bytes().take(7).position(|b| b == b'}')?;
                    Some((number(digits.get(..end)?, 16)?, end + 4))
                }
                None => unit(body, 1),
            },
            b'x' => Some((number(body.get(1..3)?, 16)?, 4)),
            b'0'..=b'3' => Some((number(body.get(0..3)?, 8)?, 4)),
            _ => None,
        };
    }
    let body = rest.strip_prefix('&')?;
    let end = body.bytes().take(10).position(|b| b == b';')?;
    let name = body.get(..end)?;
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" | "ensp" | "emsp" | "thinsp" => ' ',
        "shy" | "zwnj" | "zwj" => '\u{200B}',
        _ => match name.strip_prefix('#')? {
            hex if hex.starts_with('x') => number(hex.get(1..)?, 16)?,
            decimal => number(decimal, 10)?,
        },
    };
    Some((c, end + 2))
}

/// `uXXXX` in `body` from `skip` on, with the second half of a pair where there is one.
fn unit(body: &str, skip: usize) -> Option<(char, usize)> {
    let first = u32::from_str_radix(body.get(skip..skip + 4)?, 16).ok()?;
    if !(0xD800..0xDC00).contains(&first) {
        return Some((char::from_u32(first)?, 6));
    }
    let second = body.get(skip + 4..)?.strip_prefix("\\u")?;
    let second = u32::from_str_radix(second.get(..4)?, 16).ok()?;
    let low = second.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + low)?, 12))
}

fn number(digits: &str, radix: u32) -> Option<char> {
    let code = u32::from_str_radix(digits, radix).ok()?;
    char::from_u32(code).filter(|c| *c >= ' ' || *c == '\n')
}

/// Percent-encoded bytes that are text.
fn percent(rest: &str) -> Option<(String, usize)> {
    if !rest.starts_with('%') {
        return None;
    }
    let mut bytes = Vec::new();
    let mut at = 0;
    while bytes.len() < MAX_PERCENT
        && let Some(hex) = rest.get(at..).and_then(|r| r.strip_prefix('%')).and_then(|r| r.get(..2))
        && let Ok(byte) = u8::from_str_radix(hex, 16)
        && byte >= b' '
    {
        bytes.push(byte);
        at += 3;
    }
    while !bytes.is_empty() {
        match String::from_utf8(bytes) {
            Ok(text) => return Some((text.to_lowercase(), at)),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                bytes = error.into_bytes();
                bytes.truncate(good);
                at = good * 3;
            }
        }
    }
    None
}

/// The length of a tag, a comment or emphasis that stands after a letter, and whether a letter follows it.
fn markup(rest: &str, before: Option<char>) -> Option<(usize, bool)> {
    if !before.is_some_and(|c| c.is_ascii_alphabetic()) {
        return None;
    }
    let tag = rest.starts_with('<');
    let len = if rest.starts_with("<!--") {
        rest.get(..MAX_TAG.min(rest.len())).and_then(|r| r.find("-->")).map(|end| end + 3)?
    } else if let Some(tag) = rest.strip_prefix('<') {
        let name = tag.strip_prefix('/').unwrap_or(tag);
        let end = tag.bytes().take(MAX_TAG).position(|b| b == b'>')?;
        // Tags that make a new word or line are no disguise.
        let inline =
            ["b>", "i>", "u>", "em", "strong", "span", "font", "wbr", "s>", "a>", "sup", "sub"];
        inline.iter().any(|start| name.starts_with(start)).then_some(end + 2)?
    } else {
        rest.bytes().take_while(|b| matches!(b, b'*' | b'`')).count()
    };
    let follows = rest.get(len..).and_then(|r| r.chars().next());
    let within = follows.is_some_and(|c| c.is_ascii_alphabetic());
    (len > 0 && (tag || within)).then_some((len, within))
}

const MAX_PERCENT: usize = 256;
const MAX_TAG: usize = 120;
