//! How far does a value reach that begins here?

use crate::bytes::{byte_table, is, kind};
use crate::memo::{AHEAD, Memo};

/// How long a quoted value is: up to the quote, with as many backslashes before it as the first had.
pub(crate) fn quoted_len(text: &[u8], quote: u8, slashes: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        let step =
            memchr::memchr2(quote, b'\n', text.get(at..)?.get(..MAX_VALUE.min(text.len() - at))?)?;
        at += step;
        if text.get(at) == Some(&b'\n') {
            return None;
        }
        let before = text.get(..at)?.iter().rev().take_while(|b| **b == b'\\').count();
        if before <= slashes {
            return Some(at - before);
        }
        at += 1;
    }
}

/// How long a value without quotes is, which begins at `from`.
pub(crate) fn bare_len(text: &[u8], from: usize, in_query: bool, memo: &mut Memo) -> usize {
    let line = text.get(..(from + MAX_VALUE).min(text.len())).unwrap_or_default();
    let bounds = (from, line.len(), text.len());
    let end = memo.bare_end(in_query, bounds, |at| ends_bare(line, at, in_query));
    let value = line.get(from..end).unwrap_or_default();
    let mut len = value.len();
    // Where each opening sign is met first.
    let mut openers = [None; 3];
    while let Some(last) = len.checked_sub(1).and_then(|at| value.get(at)) {
        let pair = match last {
            b')' => Some((0, b'(')),
            b']' => Some((1, b'[')),
            b'}' => Some((2, b'{')),
            b',' | b';' | b'.' | b':' | b'!' | b'?' | b'|' | b'\\' => None,
            _ => break,
        };
        if let Some((which, sign)) = pair
            && let Some(opener) = openers.get_mut(which)
            && *opener.get_or_insert_with(|| memchr::memchr(sign, value).unwrap_or(len)) < len
        {
            break;
        }
        len -= 1;
    }
    len
}

/// Whether a value without quotes ends before `at`.
fn ends_bare(line: &[u8], at: usize, in_query: bool) -> bool {
    let Some(byte) = line.get(at).filter(|b| MAY_END.get(usize::from(**b)) == Some(&true)) else {
        return false;
    };
    let behind = line.get(at + 1..).unwrap_or_default();
    let next = behind.first().copied();
    match byte {
        b'&' => in_query || named(behind) || behind.starts_with(b"quot;"),
        b',' | b';' => {
            next.is_none_or(|n| n.is_ascii_whitespace() || matches!(n, b'"' | b'\'' | b'}' | b']'))
                || named(behind)
        }
        // `密码是…，请…`: the signs of scripts that set no spaces; kana and their like end a value anyway.
        0xEF => matches!(behind, [0xBC, 0x80..=0x8F | 0x9A..=0x9F, ..]),
        b'\\' => matches!(next, Some(b'n' | b'r' | b't' | b'"' | b'\'' | b'\\') | None),
        _ => true,
    }
}

const fn may_end(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || byte.is_ascii_control()
        || matches!(
            byte,
            b'"' | b'\'' | b'`' | b'<' | b'>' | b'&' | b',' | b';' | b'\\' | 0xE3 | 0xEF
        )
}

static MAY_END: [bool; 256] = byte_table!(may_end);

/// Whether a name and a sign begin here, as in `&next=`.
pub(crate) fn named(text: &[u8]) -> bool {
    let name =
        text.iter().take(MAX_NAMED).take_while(|b| is(**b, kind::NAME) || **b == b'.').count();
    let sign = name > 0 && matches!(text.get(name), Some(b'=' | b':'));
    let digits = text.iter().take(name).filter(|b| b.is_ascii_digit()).count();
    sign && digits <= 4
}

/// A longer name ends no value. What follows must be within what a memo looks ahead.
const MAX_NAMED: usize = 40;
const _: () = assert!(MAX_NAMED + 2 < AHEAD);
/// No value is longer.
const MAX_VALUE: usize = 8192;
