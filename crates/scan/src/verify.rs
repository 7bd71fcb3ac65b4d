//! Is what has a secret's shape really likely to be one?

use crate::finding::Confidence;
use crate::memo::Memo;
use crate::rules::Rule;
use crate::values::{Place, reference};
use crate::words::{gibberish, gibberish_of};
use serde::Deserialize;
use std::ops::Range;

/// What else must hold of what a pattern found.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Check {
    /// A checksum as GitHub's and npm's: when it holds, the finding is certain.
    Crc62,
    /// A checksum as Grafana's: eight hexadecimal digits behind the last `_`.
    Crc16,
    /// Digits of a payment card.
    Luhn,
    /// Groups of letters and digits that are no words, as codes are written for people.
    Groups,
    /// A letter and a digit.
    Mixed,
    /// Random by itself, whatever stands around it.
    Near,
    /// No documentation word, no reference.
    Password,
    /// A password by its looks, too.
    Strong,
    /// Long and random, and no UUID.
    Random,
}

/// The confidence that the value in `range`, which `rule` found, is a secret; `None` for documentation placeholders,
/// references, labels of ours and what the rule's own check refuses.
pub(crate) fn judge(
    rule: &Rule,
    text: &[u8],
    range: &Range<usize>,
    memo: &mut Memo,
) -> Option<Confidence> {
    let value = text.get(range.clone())?;
    let holds = match rule.check {
        // A token with a wrong checksum is still hidden, unless it looks made up: it may be a new format.
        Some(Check::Crc62) if crc62(value) => return Some(Confidence::Certain),
        Some(Check::Crc16) if crc16(value) => return Some(Confidence::Certain),
        Some(Check::Luhn) => return luhn(value).then_some(rule.confidence),
        Some(Check::Groups) => groups(value),
        Some(Check::Mixed) => mixed(value),
        Some(Check::Password) => password(value),
        Some(Check::Random) => memo.is_secret(text, range, Place::Likely),
        Some(Check::Near) => memo.is_secret(text, range, Place::Near),
        Some(Check::Strong) => memo.is_secret(text, range, Place::Password),
        Some(Check::Crc62 | Check::Crc16) | None => true,
    };
    (holds && !memo.placeholder(text, range)).then_some(rule.confidence)
}

/// Whether groups of letters and digits are a code, and no words of the same length: digits stand in them, or the letters
/// have no sense.
pub(crate) fn groups(value: &[u8]) -> bool {
    let parts = || value.split(|b| matches!(b, b' ' | b'-'));
    let dated = parts().all(|part| part.iter().all(u8::is_ascii_digit)) && parts().count() < 4;
    let odd = parts().filter(|part| part.iter().any(u8::is_ascii_digit)).count();
    !dated
        && (odd * 3 >= parts().count()
            || gibberish_of(value.iter().copied().filter(u8::is_ascii_alphabetic)))
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

/// Grafana's service account tokens: the CRC-32 of all but the last part is that part.
fn crc16(token: &[u8]) -> bool {
    let Some(at) = memchr::memrchr(b'_', token) else { return false };
    let (body, sum) = token.split_at_checked(at).unwrap_or((token, &[]));
    let sum = std::str::from_utf8(sum.get(1..).unwrap_or_default()).unwrap_or_default();
    let random =
        body.iter().position(|b| *b == b'_').and_then(|at| body.get(at + 1..)).unwrap_or_default();
    u32::from_str_radix(sum, 16).is_ok_and(|sum| sum == crc32(body) || sum == crc32(random))
}

/// The check digit of card numbers.
fn luhn(number: &[u8]) -> bool {
    let digits: Vec<u32> = number.iter().filter_map(|b| char::from(*b).to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { *digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    (13..=19).contains(&digits.len()) && sum.is_multiple_of(10) && digits.iter().any(|d| *d != 0)
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
    let cased = || {
        value
            .iter()
            .zip(value.iter().skip(1))
            .filter(|(a, b)| a.is_ascii_lowercase() && b.is_ascii_uppercase())
    };
    value.iter().any(u8::is_ascii_alphabetic)
        && (value.iter().any(u8::is_ascii_digit) || cased().count() >= 3 || gibberish(value))
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
    let number = value.len() <= 5 && value.iter().all(u8::is_ascii_digit);
    value.len() >= 3 && !word && !number && !reference(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_zip_uses() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_card_number_has_its_check_digit() {
        assert!(luhn(b"4111 1111 1111 1111"));
        assert!(!luhn(b"4111 1111 1111 1112"));
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
}
