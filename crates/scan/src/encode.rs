//! In which shapes could a known value be echoed?

use crate::key::hex;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// Every form of `value` that is searched for, sorted, each once: verbatim, in upper or lower case,
/// reversed, hex, base64, URL-, JSON-,
/// HTML- and unicode-escaped, and the long lines of a value that has several (a PEM key printed line by line).
pub(crate) fn forms(value: &str) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    one(value, &mut all);
    if value.contains('\n') {
        for line in value.lines().map(str::trim) {
            if line.len() >= MIN_LINE_BYTES
                && !line.contains(char::is_whitespace)
                && !line.starts_with("--")
            {
                one(line, &mut all);
            }
        }
    }
    all
}

fn one(value: &str, all: &mut BTreeSet<Vec<u8>>) {
    let mut add = |form: String| {
        all.insert(form.into_bytes());
    };
    add(value.to_owned());
    add(value.to_ascii_uppercase());
    add(value.to_ascii_lowercase());
    add(value.chars().rev().collect());
    let lower = hex(value.as_bytes());
    add(lower.to_ascii_uppercase());
    add(lower);
    for text in percent(value).into_iter().chain(json(value)) {
        add(text);
    }
    for quote in ["&#39;", "&#x27;", "&apos;"] {
        add(html(value, quote));
    }
    if value.len() <= MAX_BULKY_BYTES {
        add(value
            .bytes()
            .fold(String::new(), |out, b| out + "%" + &hex(&[b]).to_ascii_uppercase()));
        add(units(value, |unit| format!("\\u{unit:04x}")));
        add(units(value, |unit| format!("\\u{unit:04X}")));
    }
    base64(value.as_bytes(), &mut add);
}

/// The three alignments that base64 of a longer text can give the value, in both alphabets, each as it stands in
/// the middle of a text and as it stands at its end, where the last digit and the padding belong to it too.
fn base64(value: &[u8], add: &mut impl FnMut(String)) {
    for before in 0..3_usize {
        let mut padded = Zeroizing::new(vec![0; before]);
        padded.extend_from_slice(value);
        // Digits that also hold bits of what stands before or after cannot be known.
        let (skip, sure) = (before.div_ceil(3) + before, padded.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&*padded), URL_SAFE_NO_PAD.encode(&*padded)] {
            add(text.chars().take(sure).skip(skip).collect());
            add(text.chars().skip(skip).collect());
        }
        for text in [STANDARD.encode(&*padded), URL_SAFE.encode(&*padded)] {
            add(text.chars().skip(skip).collect());
        }
    }
}

/// Percent-encodings: RFC 3986 in both cases, JavaScript's `encodeURIComponent`, and HTML forms with `+`.
fn percent(value: &str) -> [String; 4] {
    let escape = |keep: &dyn Fn(u8) -> bool, upper: bool| {
        value.bytes().fold(String::with_capacity(value.len() * 2), |mut out, b| {
            if b.is_ascii_alphanumeric() || keep(b) {
                out.push(char::from(b));
            } else {
                let digits = hex(&[b]);
                out.push('%');
                out.push_str(&if upper { digits.to_ascii_uppercase() } else { digits });
            }
            out
        })
    };
    let strict = |b: u8| b"-._~".contains(&b);
    let script = |b: u8| b"-._~!*'()".contains(&b);
    let form = |b: u8| b"-._* ".contains(&b);
    [
        escape(&strict, true),
        escape(&strict, false),
        escape(&script, true),
        escape(&form, true).replace(' ', "+"),
    ]
}

/// JSON strings as the common writers escape them: plain, with `\/`, ASCII only, with HTML's characters as
/// `\u003c`, and a JSON string inside a JSON string.
fn json(value: &str) -> Vec<String> {
    let quote = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap_or(&quoted).to_owned()
    };
    let plain = quote(value);
    let ascii = plain.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.push_str(&units(c.encode_utf8(&mut [0; 4]), |unit| format!("\\u{unit:04x}")));
        }
        out
    });
    let slashed = plain.replace('/', "\\/");
    let nested = quote(&plain);
    let safe = plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    vec![plain, ascii, slashed, nested, safe]
}

fn html(value: &str, quote: &str) -> String {
    value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', quote)
}

/// Each UTF-16 unit of the value through `show`.
fn units(value: &str, show: impl Fn(u16) -> String) -> String {
    value.encode_utf16().map(show).collect()
}

/// Shorter lines of a value with several are too likely to be ordinary text.
const MIN_LINE_BYTES: usize = 32;
/// Values above this are not searched for in the forms that are six times as long.
const MAX_BULKY_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &str, text: &str) -> bool {
        forms(value).iter().any(|form| memchr::memmem::find(text.as_bytes(), form).is_some())
    }

    #[test]
    fn base64_of_a_longer_text_holds_the_value_at_every_alignment() {
        let value = "s3cr3t/v+lue?";
        for before in ["", "u", "us", "usr", "user:"] {
            for after in ["", "\n", "ab", "abc"] {
                let blob = format!("{before}{value}{after}");
                assert!(found(value, &STANDARD.encode(&blob)), "{before}|{after}");
                assert!(found(value, &URL_SAFE_NO_PAD.encode(&blob)), "{before}|{after}");
            }
        }
    }

    #[test]
    fn a_multi_line_value_is_also_looked_for_line_by_line() {
        let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj";
        let value = format!("-----BEGIN X-----\n{line}\nshort\n-----END X-----");
        assert!(found(&value, line));
        assert!(!found(&value, "short"));
        assert!(!found(&value, "-----BEGIN X-----"));
    }
}
