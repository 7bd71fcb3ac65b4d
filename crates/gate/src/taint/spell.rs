//! When are two spellings the same value? Strictly, where sameness would let a call through; loosely, where it
//! would tell on one.
//!
//! Strict spelling composes characters (NFC) and lowers case, and keeps everything else: an address that only looks
//! like the person's, or has an invisible character in it, is another address. Loose spelling also opens escapes,
//! drops what is invisible and keeps words alone, since an attacker chooses how text is dressed.

use std::hash::{BuildHasher, RandomState};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// A word or a mark of a text, as a keyed hash, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) hash: u64,
    pub(super) at: u32,
    pub(super) kind: Mark,
}

/// What a token is, as far as the ends of values are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Word,
    Space,
    /// A character that a longer name could go on with: `evil-corp.com`, `alice.bob@corp.com`.
    Joiner(char),
    Other,
}

/// The words and marks of a text in strict spelling.
pub(super) fn strict(text: &str, key: &RandomState) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 3);
    let mut word = String::new();
    let mut start = 0;
    let end_word = |word: &mut String, start: usize, tokens: &mut Vec<Token>| {
        if !word.is_empty() {
            tokens.push(Token { hash: key.hash_one(&*word), at: offset(start), kind: Mark::Word });
            word.clear();
        }
    };
    let composed = composed(text);
    for (at, c) in composed.char_indices() {
        if c.is_alphanumeric() || is_mark(c) {
            if word.is_empty() {
                start = at;
            }
            word.extend(c.to_lowercase());
            continue;
        }
        end_word(&mut word, start, &mut tokens);
        let kind = match c {
            c if c.is_whitespace() => Mark::Space,
            '.' | '-' | '_' | '@' | '+' | '/' | '\\' | '%' | '~' | '&' | '#' | ':' | '=' | '?' => {
                Mark::Joiner(c)
            }
            _ => Mark::Other,
        };
        if kind == Mark::Space && tokens.last().is_some_and(|last| last.kind == Mark::Space) {
            continue;
        }
        let shown = if kind == Mark::Space { ' ' } else { c };
        tokens.push(Token { hash: key.hash_one(shown), at: offset(at), kind });
    }
    end_word(&mut word, start, &mut tokens);
    tokens
}

/// The words of a text in loose spelling. Places are those of the text itself.
pub(super) fn loose(text: &str, key: &RandomState) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 5);
    let mut word = String::new();
    let mut folded = String::new();
    let mut start = 0;
    let mut at = 0;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let (c, len) = escaped(text, at, c);
        folded.clear();
        if c.is_ascii() {
            folded.push(c.to_ascii_lowercase());
        } else {
            bartizan_scan::fold_char(c, &mut folded);
        }
        for c in folded.chars() {
            if c.is_alphanumeric() {
                if word.is_empty() {
                    start = at;
                }
                word.push(c);
            } else if !word.is_empty() {
                tokens.push(Token {
                    hash: key.hash_one(&*word),
                    at: offset(start),
                    kind: Mark::Word,
                });
                word.clear();
            }
        }
        at += len;
    }
    if !word.is_empty() {
        tokens.push(Token { hash: key.hash_one(&*word), at: offset(start), kind: Mark::Word });
    }
    tokens
}

/// A text with its URL escapes opened, when it has any and they spell text.
pub(super) fn opened(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    let mut changed = false;
    while let [first, tail @ ..] = rest {
        let pair = hex_pair(rest);
        bytes.push(pair.unwrap_or(*first));
        rest = if pair.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
        changed |= pair.is_some();
    }
    changed.then(|| String::from_utf8(bytes).ok()).flatten()
}

/// One value by which endorsements know it: strict, without quotes and sentence marks round it.
pub(super) fn canonical(value: &str) -> String {
    composed(trimmed(value)).to_lowercase()
}

/// The host of a web address, in lower case; `None` where there is any doubt which one it is.
pub(super) fn web_host(value: &str) -> Option<String> {
    let value = trimmed(value);
    let web = |scheme: &str| ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    let rest = match value.split_once("://") {
        Some((scheme, rest)) if web(scheme) => rest,
        _ => value.get(..4).filter(|begin| begin.eq_ignore_ascii_case("www.")).map(|_| value)?,
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    // No user, no port, no escape, no backslash: those are where readers of an address part company.
    let sure = host.len() <= 253 && host.chars().all(plain) && !host.starts_with('.');
    let behind = rest.get(host.len()..).unwrap_or_default();
    let all = !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\')
        && (behind.starts_with('/') || !behind.contains('@'));
    (sure && all && host.contains('.') && !host.ends_with('.')).then(|| host.to_ascii_lowercase())
}

/// A value without the quotes, brackets and sentence marks that stand round it.
pub(super) fn trimmed(value: &str) -> &str {
    let round = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '[' | ']' | '“' | '”' | '‘' | '’'
            )
    };
    let end = |c: char| round(c) || matches!(c, ',' | ';' | '!');
    value.trim_start_matches(round).trim_end_matches(end)
}

fn composed(text: &str) -> std::borrow::Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return text.into();
    }
    text.nfc().collect::<String>().into()
}

/// Combining marks belong to the letter before them.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// The character at `at` with a URL escape opened, and how many bytes it takes up.
fn escaped(text: &str, at: usize, c: char) -> (char, usize) {
    if c == '%'
        && let Some(byte) = text.as_bytes().get(at..).and_then(hex_pair)
        && byte.is_ascii()
    {
        return (char::from(byte), 3);
    }
    (c, c.len_utf8())
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_address_is_known_or_it_is_none() {
        for (text, host) in [
            ("https://A.Example.com/x?y=1#z", "a.example.com"),
            ("www.resume_templates.com", "www.resume_templates.com"),
            ("HTTP://a.example.com", "a.example.com"),
            ("www.a.com/https://b.com", "www.a.com"),
            ("https://a.com/@somebody", "a.com"),
        ] {
            assert_eq!(web_host(text).as_deref(), Some(host), "{text}");
        }
        for text in [
            "https://a.com@b.com/",
            "https://a.com?@b.com/",
            "https://a.com#@b.com/",
            "https://a.com:8443/",
            "https://a.com\\@b.com/",
            "https://a.com%2eb.com/",
            "https://a.com /b",
            "https://a.com\u{200b}.b.com",
            "https://a\u{2024}com.b.com",
            "https:///a.com",
            "ftp://a.com/",
            "javascript://a.com/",
            "a.com/x",
            "https://localhost/",
            "https://.a.com/",
            "https://a.com./",
            "eve@www.a.com",
            "report.pdf",
            "",
        ] {
            assert_eq!(web_host(text), None, "{text}");
        }
    }
}
