//! Is what has a secret's shape really likely to be one?

use crate::finding::Confidence;
use crate::label::is_label;
use crate::rules::{Check, Rule};
use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

/// The confidence that `value`, which `rule`'s pattern found, is a secret; `None` for documentation placeholders,
/// references, labels of ours and what the rule's own check refuses.
pub(crate) fn judge(rule: &Rule, value: &[u8]) -> Option<Confidence> {
    if is_label(value) {
        return None;
    }
    match rule.check {
        // A token with a wrong checksum is still hidden, unless it looks made up: it may be a new format.
        Some(Check::Crc62) if crc62(value) => return Some(Confidence::Certain),
        Some(Check::Mixed) if !mixed(value) => return None,
        Some(Check::Password) if !password(value) => return None,
        _ => {}
    }
    (!made_up(value)).then_some(rule.confidence)
}

/// GitHub's and npm's classic tokens: a prefix up to `_`, 30 random characters, then their CRC-32 in base 62.
fn crc62(token: &[u8]) -> bool {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let Some(body) = memchr::memchr(b'_', token).and_then(|at| token.get(at + 1..)) else {
        return false;
    };
    let Some((random, sum)) = body.split_at_checked(30) else { return false };
    let value = sum.iter().try_fold(0_u64, |value, digit| {
        let digit = DIGITS.iter().position(|d| d == digit)?;
        value.checked_mul(62)?.checked_add(digit as u64)
    });
    sum.len() == 6 && value == Some(u64::from(crc32(random)))
}

/// CRC-32 as in zip and png.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// Prose and identifiers seldom mix letters and digits; random values nearly always do.
fn mixed(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic)
}

/// Whether what stands between `user:` and `@` is more than a reference or a word from documentation.
fn password(value: &[u8]) -> bool {
    const WORDS: [&str; 20] = [
        "admin",
        "guest",
        "hunter2",
        "mypassword",
        "mysecret",
        "pass",
        "passwd",
        "password",
        "postgres",
        "pw",
        "pwd",
        "redis",
        "root",
        "secret",
        "token",
        "user",
        "username",
        "yourpassword",
        "minioadmin",
        "x-oauth-basic",
    ];
    let word = WORDS.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    value.len() >= 3 && !word && !reference(value)
}

/// Whether a value only names where the real one comes from: `$PASSWORD`, `${x}`, `{{ x }}`, `%PW%`, `[x]`, `***`.
fn reference(value: &[u8]) -> bool {
    match value {
        [b'$', b'{' | b'(', .., b'}' | b')']
        | [b'{', .., b'}']
        | [b'[', .., b']']
        | [b'%', .., b'%'] => true,
        [b'$', name @ ..] => name.iter().all(|b| matches!(b, b'A'..=b'Z' | b'_' | b'0'..=b'9')),
        stars => stars.iter().all(|b| *b == b'*'),
    }
}

/// Whether a value carries the marks of one invented for documentation.
fn made_up(value: &[u8]) -> bool {
    // Built once: building a searcher costs more than searching a token. Without it nothing counts as made up.
    static SEARCH: LazyLock<Option<AhoCorasick>> =
        LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(MARKS).ok());
    if value.starts_with(PEM.as_bytes()) {
        return !has_body(value);
    }
    SEARCH.as_ref().is_some_and(|marks| marks.is_match(value)) || monotonous(value)
}

/// Whether a PEM block holds a key: documentation and search patterns show the lines around it only.
fn has_body(block: &[u8]) -> bool {
    let Some(body) = memchr::memmem::find(block.get(PEM.len()..).unwrap_or_default(), b"-----")
        .and_then(|at| block.get(PEM.len() + at + 5..))
    else {
        return false;
    };
    body.iter().take_while(|b| **b != b'-').filter(|b| b.is_ascii_alphanumeric()).count() >= 32
        || body.iter().filter(|b| b.is_ascii_alphanumeric()).count() >= 128
}

/// Few different characters, or mostly each the successor of the one before (`abcdefgh12345678`).
fn monotonous(value: &[u8]) -> bool {
    // The vendor's prefix is not random; what follows its last separator, if that is long, is.
    let body = value
        .iter()
        .take(12)
        .rposition(|b| matches!(b, b'_' | b'-' | b'.'))
        .and_then(|at| value.get(at + 1..))
        .filter(|body| body.len() >= 8)
        .unwrap_or(value);
    if body.len() < 8 {
        return false;
    }
    let mut seen = [false; 256];
    for &byte in body {
        if let Some(slot) = seen.get_mut(usize::from(byte)) {
            *slot = true;
        }
    }
    let different = seen.iter().filter(|s| **s).count();
    let steps =
        body.iter().zip(body.iter().skip(1)).filter(|(a, b)| a.checked_add(1) == Some(**b)).count();
    different <= 4 || steps * 10 >= body.len() * 6
}

const PEM: &str = "-----BEGIN";
/// What invented values contain, in any case.
const MARKS: [&str; 14] = [
    "example",
    "xxxxx",
    "*****",
    ".....",
    "-----",
    "placeholder",
    "changeme",
    "dummy",
    "your-",
    "your_",
    "yourkey",
    "yourtoken",
    "notareal",
    "deadbeefdeadbeef",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_zip_uses() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn documentation_words_are_no_passwords_and_random_ones_are() {
        for word in ["password", "PASS", "$DB_PASSWORD", "${PW}", "%PW%", "{password}", "***", "x"]
        {
            assert!(!password(word.as_bytes()), "{word}");
        }
        for word in ["s3cr3t-9f", "Tr0ub4dor", "$ecret9!x", "$ecrets"] {
            assert!(password(word.as_bytes()), "{word}");
        }
    }

    #[test]
    fn invented_values_are_told_from_random_ones() {
        for value in [
            "sk-ant-api03-xxxxxxxxxxxxxxxx",
            "AKIAIOSFODNN7EXAMPLE",
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        ] {
            assert!(made_up(value.as_bytes()), "{value}");
        }
        assert!(!made_up(b"kV9pQ2zLr7XwB4nT6mYc"));
    }
}
