//! What may stand beside a name or a value in a language, and how long is it?

use crate::bytes::{is, kind};

/// How long a colour is whose escape character was lost on its way, as in `[36;1m`; 0 if there is none.
pub(crate) fn bare_colour(text: &[u8]) -> usize {
    let Some(rest) = text.strip_prefix(b"[") else { return 0 };
    let sign = |b: &&u8| is(**b, kind::DIGIT) || **b == b';';
    let len = rest.iter().take(8).take_while(sign).count();
    if len > 0 && rest.get(len) == Some(&b'm') { len + 2 } else { 0 }
}

/// The number of an argument, as the kernel's audit writes it: `a2="--token" a3="…"`.
pub(crate) fn argument(word: &[u8]) -> bool {
    matches!(word, [b'a', digits @ ..] if (1..=3).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_digit))
}

/// Whether a name in angle brackets stands for a value itself: `api_key: <your-api-key>`.
pub(crate) fn stands_in(text: &[u8], at: usize, from: usize) -> bool {
    let Some(before) = text.get(..from).and_then(|head| head.strip_suffix(b"<")) else {
        return false;
    };
    let before = before.strip_suffix(b" ").unwrap_or(before);
    text.get(at) == Some(&b'>') && matches!(before.last(), Some(b':' | b'=' | b'"' | b'\''))
}

/// Whether one long word stands alone before the bracket that closes.
pub(crate) fn bracketed(text: &[u8]) -> bool {
    let ahead = text.get(..MAX_MEMBER.min(text.len())).unwrap_or_default();
    let word = ahead.iter().position(|b| *b == b')').and_then(|end| ahead.get(..end));
    word.is_some_and(|word| word.len() >= 16 && !word.iter().any(u8::is_ascii_whitespace))
}

/// How long a row of tags and the space between them is, up to the text behind them; 0 if that is too far.
pub(crate) fn tags(text: &[u8]) -> usize {
    let ahead = text.get(..MAX_MEMBER.min(text.len())).unwrap_or_default();
    let mut at = 0;
    loop {
        let rest = ahead.get(at..).unwrap_or_default();
        match rest {
            [b'<', b'/' | b'a'..=b'z' | b'A'..=b'Z', ..] => {
                let Some(end) = rest.iter().position(|b| *b == b'>') else { return 0 };
                at += end + 1;
            }
            [sign, ..] if sign.is_ascii_whitespace() => at += 1,
            _ => return at,
        }
    }
}

/// How long a member is that stands between a name and its value, as in `"Key": "DB_PW", "Type": "Secure", "Value": …`; 0 if
/// none does.
pub(crate) fn other_member(text: &[u8]) -> usize {
    let word = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().take(24).take_while(|b| is(**b, kind::NAME)).count()
    };
    let signs = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        let sign = |b: &&u8| matches!(b, b'"' | b'\\' | b':' | b',' | b' ' | b'\n');
        rest.iter().take(24).take_while(sign).count()
    };
    let key = word(0);
    let sign = signs(key);
    let value = word(key + sign);
    let end = signs(key + sign + value);
    let colon = text.get(key..key + sign).unwrap_or_default().contains(&b':');
    let comma = text.get(key + sign + value..).unwrap_or_default().get(..end);
    let comma = comma.unwrap_or_default().contains(&b',');
    if text.get(..key).is_some_and(|key| key.eq_ignore_ascii_case(b"value")) {
        return 0;
    }
    if key > 0 && value > 0 && colon && comma { key + sign + value + end } else { 0 }
}

/// How long the name of what is called with a value is, as in `String::from("…")` and `Some("…")`; 0 if there is none, or if
/// the name says that the value is looked up elsewhere.
pub(crate) fn called(text: &[u8]) -> usize {
    let len = text
        .iter()
        .take(40)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':'))
        .count();
    if len == 0 || !matches!(text.get(len..), Some([b'(', b'"' | b'\'', ..])) {
        return 0;
    }
    let name = text.get(..len).unwrap_or_default().to_ascii_lowercase();
    let last = name.rsplit(|b| matches!(b, b'.' | b':')).next().unwrap_or_default();
    let looks = LOOKS.iter().any(|word| memchr::memmem::find(last, word.as_bytes()).is_some());
    if looks { 0 } else { len }
}

/// Within so many bytes an object says its value, or a name's element ends and its value's begins.
pub(crate) const MAX_MEMBER: usize = 160;
/// What is called so is given the name of a value, not the value.
const LOOKS: [&str; 33] = [
    "env", "get", "find", "fetch", "read", "load", "look", "path", "file", "open", "param",
    "config", "require", "import", "query", "select", "format", "print", "log", "error", "warn",
    "test", "match", "regex", "compile", "exist", "contains", "equal", "assert", "key", "name",
    "header", "symbol",
];
