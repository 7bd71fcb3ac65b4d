//! Is a value that stands where secrets stand one, or a word, a number, a reference, a piece of code?

use crate::bytes::{byte_table, count, is, kind};
use crate::keywords::Keywords;
use crate::label::OPEN;
use crate::typed::typed;
use crate::words::{gibberish, gibberish_of};
use std::sync::LazyLock;

/// How far the place of a value tells what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A secret may be meant somewhere near: only a value that is nothing else counts.
    Near,
    /// A name that is often one of a secret, as `key` is.
    Likely,
    /// The name of a secret.
    Secret,
    /// The name of a password: it may be short, and made up by a person.
    Password,
}

/// Whether `value` is a secret, given where it stands.
pub(crate) fn is_secret(value: &[u8], place: Place) -> bool {
    // The beginning of a long value says enough.
    let value = value.get(..MAX_JUDGED).unwrap_or(value);
    // The cheap question first: most values are words.
    shaped(value, place) && !placeholder(value) && !mundane(value, place)
}

/// Whether a value looks like a secret, given where it stands.
pub(crate) fn shaped(value: &[u8], place: Place) -> bool {
    let shape = Shape::of(value);
    match place {
        Place::Password => shape.len >= 6 && shape.password(value),
        Place::Secret => {
            shape.len >= 8 && (shape.random(value) || shape.opaque() || shape.chaotic(value))
        }
        Place::Likely => shape.len >= 16 && !uuid(value) && shape.random(value),
        Place::Near => {
            let cased = shape.lower > 0 && shape.upper > 0;
            shape.len >= 10
                && !uuid(value)
                && !shape.hex_only
                && (shape.digits >= 2 || (cased && gibberish(value)))
                && shape.kinds() >= 2
                && shape.random(value)
                && !host_or_path(value)
        }
    }
}

/// What a value is made of.
struct Shape {
    len: usize,
    lower: usize,
    upper: usize,
    digits: usize,
    signs: usize,
    /// How often neighbours are of different kinds.
    turns: usize,
    hex_only: bool,
}

impl Shape {
    fn of(value: &[u8]) -> Self {
        let (mut counts, mut turns, mut hex_only) = ([0_usize; 4], 0, true);
        let mut last = value.first().map_or(0, |byte| sort(*byte));
        for byte in value {
            let sort = sort(*byte);
            if let Some(count) = counts.get_mut(sort) {
                *count += 1;
            }
            turns += usize::from(last != sort);
            last = sort;
            hex_only &= is(*byte, kind::HEX) || *byte == b'-';
        }
        let [lower, upper, digits, signs] = counts;
        Self { len: value.len(), lower, upper, digits, signs, turns, hex_only }
    }

    fn kinds(&self) -> usize {
        [self.lower, self.upper, self.digits, self.signs].iter().filter(|n| **n > 0).count()
    }

    /// What nobody would write by hand: letters and digits in turns, or letters that are no words.
    fn random(&self, value: &[u8]) -> bool {
        let letters = self.lower + self.upper;
        let mixed = self.digits >= 1 && letters >= 1 && self.turns >= 2;
        let dense = self.turns * 6 >= self.len || gibberish(value) || self.hex_only;
        (mixed && dense)
            || (letters >= 16 && gibberish(value))
            || (self.len >= 32 && self.digits * 10 >= self.len)
    }

    /// Has letters and digits, and is no name with a number behind it.
    fn opaque(&self) -> bool {
        let letters = self.lower + self.upper;
        self.digits >= 2 && letters >= 4 && self.turns >= 3 && (self.len >= 12 || self.kinds() >= 3)
    }

    /// Capitals and small letters in turns that no name has.
    fn chaotic(&self, value: &[u8]) -> bool {
        let mixed = self.lower >= 2 && self.upper >= 3 && self.turns >= 5;
        self.len >= 12
            && mixed
            && !value.contains(&b'.')
            && !regular_case(value)
            && gibberish(value)
    }

    fn password(&self, value: &[u8]) -> bool {
        let letters = self.lower + self.upper;
        let inner =
            value.iter().any(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'_' | b'-' | b'.'));
        (self.digits >= 1 && letters >= 1 && (self.kinds() >= 3 || self.digits >= 2 || inner))
            || (self.digits == self.len)
            || (inner && letters >= 3 && self.kinds() >= 3)
            || (letters >= 10 && gibberish(value))
            || (self.lower >= 2 && self.upper >= 3 && self.turns >= 5)
    }
}

/// Small letter, capital, digit or sign, as a number.
fn sort(byte: u8) -> usize {
    SORTS.get(usize::from(byte)).map_or(3, |sort| usize::from(*sort))
}

const fn sorted(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    }
}

static SORTS: [u8; 256] = byte_table!(sorted);

/// Whether a value only stands for one: a reference, a label of ours, a mask, or invented for documentation.
pub(crate) fn placeholder(value: &[u8]) -> bool {
    labelled(value) || reference(value) || made_up(value)
}

/// Whether a label of ours begins in a value.
pub(crate) fn labelled(value: &[u8]) -> bool {
    memchr::memchr_iter(b'[', value)
        .any(|at| value.get(at..).is_some_and(|rest| rest.starts_with(OPEN.as_bytes())))
}

/// Whether a value only names where the real one comes from: `$PASSWORD`, `${x}`, `{{ x }}`, `%PW%`, `[x]`, `***`.
pub(crate) fn reference(value: &[u8]) -> bool {
    let name = |b: &u8| matches!(b, b'A'..=b'Z' | b'_' | b'0'..=b'9');
    match value {
        [b'$', b'{' | b'(', ..]
        | [b'{' | b'#', b'{', ..]
        | [b'{', .., b'}']
        | [b'[', .., b']']
        | [b'<', .., b'>']
        | [b'%', .., b'%'] => true,
        [b'$', rest @ ..] if rest.iter().all(name) => true,
        stars => stars.iter().all(|b| matches!(b, b'*' | b'.' | b'x' | b'X' | b'-' | b'_' | b'#')),
    }
}

/// Whether a value carries the marks of one invented for documentation.
pub(crate) fn made_up(value: &[u8]) -> bool {
    // Built once: building a searcher costs more than searching a token.
    static SEARCH: LazyLock<Keywords> =
        LazyLock::new(|| Keywords::new(MARKS.map(|mark| mark.as_bytes().to_vec()).to_vec()));
    if value.starts_with(PEM.as_bytes()) {
        return !has_body(value);
    }
    monotonous(value) || SEARCH.any(value)
}

/// Whether a value is something ordinary: a number, a time, a version, an address, code.
pub(crate) fn mundane(value: &[u8], place: Place) -> bool {
    let reference = || {
        let signed = value.iter().take(SIGN_WITHIN).any(|b| !b.is_ascii_alphanumeric());
        signed
            && REFERENCES.iter().any(|word| {
                value
                    .get(..word.len())
                    .is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
            })
    };
    let number =
        |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b',' | b':' | b'-' | b'+' | b'/' | b'_');
    let digits = count(value, |b| b.is_ascii_digit());
    let time = digits >= 8
        && value.iter().all(|b| number(b) || matches!(b, b'T' | b'Z'))
        && (digits < value.len() || matches!(value, [b'1', b'6'..=b'9', ..] | [b'2', b'0', ..]));
    let bare = value.strip_prefix(b"v").unwrap_or(value);
    let looks = || code(value) || host_or_path(value) || versioned(value, digits);
    (bare.iter().all(number) && digits < value.len())
        || time
        || (value.len() <= LONGEST_WORD
            && WORDS.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes())))
        || reference()
        || (looks() && !typed(value, place))
        || pointer(value)
        || release(bare)
        || algorithm(value)
}

/// An address in memory: `0xc0000b4018`.
fn pointer(value: &[u8]) -> bool {
    value
        .strip_prefix(b"0x")
        .is_some_and(|digits| digits.len() <= 16 && digits.iter().all(u8::is_ascii_hexdigit))
}

/// The number of a release: `1.19.8-rc.3+6c26a4f`.
fn release(value: &[u8]) -> bool {
    // Most values end here.
    if !value.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let mut parts = value.splitn(3, |b| *b == b'.');
    let number = |part: Option<&[u8]>, whole: bool| {
        part.is_some_and(|part| {
            let digits = part.iter().take_while(|b| b.is_ascii_digit()).count();
            let sign = part.get(digits).is_none_or(|b| matches!(b, b'-' | b'+' | b'.'));
            (1..=4).contains(&digits) && if whole { digits == part.len() } else { sign }
        })
    };
    number(parts.next(), true) && number(parts.next(), true) && number(parts.next(), false)
}

/// The name of an algorithm: `HKDF-SHA256`, `aes-256-gcm`.
fn algorithm(value: &[u8]) -> bool {
    let part = |part: &[u8]| {
        let letters = part.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let (name, number) = part.split_at_checked(letters).unwrap_or((part, &[]));
        number.len() <= 5
            && number.iter().all(u8::is_ascii_alphanumeric)
            && (name.is_empty()
                || ALGORITHMS.iter().any(|word| name.eq_ignore_ascii_case(word.as_bytes())))
    };
    value.len() <= 40
        && value.first().is_some_and(u8::is_ascii_alphabetic)
        && value.split(|b| matches!(b, b'-' | b'_' | b'/' | b'@' | b'.')).all(part)
}

/// A word with a number behind it or before it: `token2`, `v1.2.3`, `sha256`, `30s`, `my-secret-name-1`.
fn versioned(value: &[u8], digits: usize) -> bool {
    let mut parts = value.split(|b| !b.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let plain = |part: &[u8]| {
        let letters = part.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let (head, tail) = part.split_at_checked(letters).unwrap_or((part, &[]));
        let numbers = tail.iter().take_while(|b| b.is_ascii_digit()).count();
        let rest = tail.len() - numbers;
        rest <= 2
            && numbers <= 4
            && tail.iter().skip(numbers).all(u8::is_ascii_alphabetic)
            && (head.len() >= 3 || numbers + rest <= 3)
            && !gibberish(head)
    };
    let sign = |b: &u8| {
        !b.is_ascii_alphanumeric() && !matches!(b, b'-' | b'_' | b'.' | b'/' | b':' | b' ')
    };
    digits <= 4
        && digits * 4 <= value.len()
        && !value.iter().any(sign)
        && regular_case(value)
        && parts.all(plain)
        && !gibberish_of(value.iter().copied().filter(u8::is_ascii_alphabetic))
}

/// Whether capitals stand as names have them: all letters of a word, or its first.
pub(crate) fn regular_case(value: &[u8]) -> bool {
    value.split(|b| !b.is_ascii_alphanumeric()).all(|part| {
        let capital = |at: usize| part.get(at).is_some_and(u8::is_ascii_uppercase);
        let small = |at: usize| part.get(at).is_some_and(u8::is_ascii_lowercase);
        !part.iter().any(u8::is_ascii_lowercase)
            || (0..part.len()).all(|at| !capital(at) || (small(at + 1) && small(at + 2)))
    })
}

/// A call, an index, a path of members, an expression.
fn code(value: &[u8]) -> bool {
    let member = |part: &[u8]| {
        part.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
            && part.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
            && part.iter().filter(|b| b.is_ascii_digit()).count() <= 1
            && !gibberish(part)
    };
    let name = value
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'!'))
        .count();
    let (head, tail) = value.split_at_checked(name).unwrap_or((value, &[]));
    let call = head.len() >= 2
        && matches!(tail, [b'(' | b'[', ..])
        && head
            .split(|b| matches!(b, b'.' | b':' | b'!'))
            .all(|part| part.is_empty() || member(part));
    let mut parts = head.split(|b| matches!(b, b'.' | b':'));
    let path = tail.len() <= 1
        && head.contains(&b'.')
        && parts.all(|part| part.is_empty() || (member(part) && part.len() < 24))
        && !gibberish_of(head.iter().copied());
    call || path
        || matches!(value, [b'(' | b'=' | b'>' | b'|', ..])
        || matches!(value, [b'!', b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'(' | b'!', ..])
        || value.ends_with(b"()")
}

/// `/usr/share`, `./x`, `C:\x`, `https://host/path`, `name.example.com:443`, `user@host`.
fn host_or_path(value: &[u8]) -> bool {
    let url = memchr::memchr_iter(b':', value)
        .any(|at| value.get(at..).is_some_and(|rest| rest.starts_with(b"://")));
    let path =
        matches!(value, [b'/' | b'~', b'a'..=b'z' | b'/' | b'.', ..] | [b'.', b'/' | b'.', ..])
            && memchr::memchr_iter(b'/', value).count() >= 2
            && !value.contains(&b'+')
            && !value.contains(&b'=');
    // `users/17/avatar-5eb9d2.png`: no code has both signs.
    let file = memchr::memrchr(b'/', value).is_some_and(|at| {
        let name = value.get(at..).unwrap_or_default();
        let dot = memchr::memrchr(b'.', name).map(|dot| name.get(dot + 1..).unwrap_or_default());
        dot.is_some_and(|end| {
            (2..=5).contains(&end.len()) && end.iter().all(|b| is(*b, kind::LOWER | kind::DIGIT))
        })
    });
    let drive = matches!(value, [b'A'..=b'Z' | b'a'..=b'z', b':', b'\\' | b'/', ..]);
    let host = value
        .iter()
        .take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
        .count();
    let ends = [
        ".com",
        ".org",
        ".net",
        ".io",
        ".dev",
        ".internal",
        ".local",
        ".svc",
        ".yaml",
        ".yml",
        ".json",
        ".txt",
        ".py",
        ".rs",
        ".ts",
        ".js",
        ".go",
        ".pem",
        ".key",
        ".crt",
        ".toml",
    ];
    let named = value.get(host).is_none_or(|b| matches!(b, b':' | b'/' | b'?'))
        && value.get(..host).is_some_and(|h| ends.iter().any(|end| h.ends_with(end.as_bytes())));
    url || path || file || drive || named
}

/// Whether a value is a UUID.
pub(crate) fn uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value.iter().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
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
    let mut seen = [0_u64; 4];
    for &byte in body {
        if let Some(word) = seen.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }
    let different: u32 = seen.iter().map(|word| word.count_ones()).sum();
    let steps =
        body.iter().zip(body.iter().skip(1)).filter(|(a, b)| a.checked_add(1) == Some(**b)).count();
    different <= 4 || steps * 10 >= body.len() * 6
}

/// How much of a value is judged.
pub(crate) const MAX_JUDGED: usize = 512;
const PEM: &str = "-----BEGIN";
/// What invented values contain, in any case.
const MARKS: [&str; 24] = [
    "example",
    "xxxxx",
    "*****",
    ".....",
    "-----",
    "placeholder",
    "changeme",
    "change-me",
    "change_me",
    "replace-me",
    "replace_me",
    "replaceme",
    "dummy",
    "your-",
    "your_",
    "yourkey",
    "yourtoken",
    "yourpassword",
    "notareal",
    "not-a-real",
    "redacted",
    "insert-",
    "insert_",
    "deadbeefdeadbeef",
];
/// Words that stand where a value is missing or is somewhere else.
const WORDS: [&str; 48] = [
    "base64",
    "http2",
    "md5",
    "oauth2",
    "sha1",
    "sha256",
    "sha512",
    "utf8",
    "admin",
    "administrator",
    "anonymous",
    "bearer",
    "boolean",
    "default",
    "disabled",
    "enabled",
    "false",
    "filtered",
    "guest",
    "hidden",
    "hunter2",
    "masked",
    "minioadmin",
    "mypassword",
    "mysecret",
    "nil",
    "none",
    "null",
    "pass",
    "passwd",
    "password",
    "password1",
    "password123",
    "postgres",
    "required",
    "root",
    "secret",
    "string",
    "test",
    "test123",
    "token",
    "true",
    "undefined",
    "unset",
    "user",
    "username",
    "optional",
    "x-oauth-basic",
];
const LONGEST_WORD: usize = 13;
/// Of which names of algorithms are made.
const ALGORITHMS: [&str; 26] = [
    "aes", "argon", "bcrypt", "blake", "cbc", "chacha", "cmac", "crc", "ctr", "ecdh", "ecdsa",
    "ed", "gcm", "hkdf", "hmac", "md", "p", "pbkdf", "poly", "rsa", "scrypt", "secp", "sha", "siv",
    "with", "x",
];
/// How references to stores, digests and public things begin.
const REFERENCES: [&str; 30] = [
    "op://",
    "ref://",
    "ref+",
    "vault:",
    "vault://",
    "arn:",
    "ssm:",
    "secret://",
    "file:",
    "env:",
    "env.",
    "keyring:",
    "projects/",
    "sha1:",
    "sha256:",
    "sha384-",
    "sha512:",
    "sha256-",
    "sha512-",
    "md5:",
    "ssh-rsa ",
    "ssh-ed25519",
    "process.env",
    "os.environ",
    "os.getenv",
    "import.meta",
    "std::",
    "system.",
    "var.",
    "data.",
];
/// Each of them has a sign that is neither letter nor digit among so many of its first bytes.
const SIGN_WITHIN: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_by_is_in_no_list() {
        for word in REFERENCES {
            let sign = word.bytes().position(|b| !b.is_ascii_alphanumeric());
            assert!(sign.is_some_and(|at| at < SIGN_WITHIN), "{word}");
        }
        assert_eq!(WORDS.iter().map(|word| word.len()).max(), Some(LONGEST_WORD));
    }

    #[test]
    fn words_numbers_code_and_references_are_no_secrets() {
        for word in [
            "password",
            "PASS",
            "$DB_PASSWORD",
            "${PW}",
            "%PW%",
            "{password}",
            "***",
            "x",
            "self.batch.next_token()?",
            "os.environ[\"X\"]",
            "token2",
            "sha256",
            "my-secret-name-1",
            "2026-11-21T10:00:00Z",
            "12.5",
            "v1.2.3",
            "https://example.org/token",
            "/run/secrets/db_password",
            "build_header(profile)",
            "config.token",
            "<TOKEN>",
            "db.internal.example.com:5432",
            "req.headers.authorization",
            "HKDF-SHA256",
            "chacha20-poly1305",
            "0xc000315fc7",
            "users/816996/avatar-a5eb9d273fa30bb7b26e.png",
        ] {
            assert!(!is_secret(word.as_bytes(), Place::Password), "{word}");
        }
    }

    #[test]
    fn random_and_typed_passwords_are_secrets() {
        for word in [
            "s3cr3t-9f",
            "Tr0ub4dor&3",
            "$ecret9!x",
            "rblq-ekgaxz-lyyzb-63",
            "rqejuuafjhsvkyse",
            "93847261",
        ] {
            assert!(is_secret(word.as_bytes(), Place::Password), "{word}");
        }
        for value in [
            "izat5aax0xl6vz6elc1rd46f",
            "0b14aa4a6c9ba4c2ea9eac897a644781",
            "bzfxj4srj9w72zgc9byeo8",
        ] {
            assert!(is_secret(value.as_bytes(), Place::Likely), "{value}");
        }
        assert!(!is_secret(b"0b14aa4a6c9ba4c2ea9eac897a644781", Place::Near));
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
