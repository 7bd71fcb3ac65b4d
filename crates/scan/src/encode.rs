//! In which shapes could a known value be echoed?

use crate::codes::codes;
use crate::fold::folded;
use crate::key::hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// One way to write a value, as the letters and digits that it leaves (see [`crate::fold::Skeleton`]).
pub(crate) struct Form {
    pub(crate) skeleton: Vec<u8>,
    pub(crate) script: Script,
    /// Length of the form as it is written without any separator.
    pub(crate) written: usize,
}

/// What a form is written in, and so how far a match in it may reach beyond what was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// The value itself: pieces of it count too.
    Plain,
    /// A code in which every character of the value stands by itself.
    Spelled,
    /// Digits that hold a neighbour's bits too: the whole run of them is hidden.
    Packed,
    /// The same, where nearly every sign is a digit.
    Dense,
}

/// Every form of `value` that is searched for; `more` adds those in which nothing but malice would write it.
pub(crate) fn forms(value: &str, more: bool) -> Vec<Form> {
    let mut all = Forms(Vec::new());
    all.add(value, Script::Plain);
    all.add(&backwards(value), Script::Spelled);
    spelled(value, &mut all);
    shifted(value, &mut all);
    packed(value, &mut all);
    for text in more.then(|| codes(value)).into_iter().flatten() {
        all.add(&text, Script::Spelled);
    }
    all.0
}

/// The long lines of a value that has several: a PEM key is printed line by line.
pub(crate) fn lines(value: &str) -> impl Iterator<Item = &str> {
    let several = value.contains('\n');
    value.lines().map(str::trim).filter(move |line| {
        several
            && line.len() >= MIN_LINE_BYTES
            && !line.contains(char::is_whitespace)
            && !line.starts_with("--")
    })
}

struct Forms(Vec<Form>);

impl Forms {
    fn add(&mut self, text: &str, script: Script) {
        let skeleton = folded(text.as_bytes());
        let least = if script == Script::Plain { 1 } else { MIN_SKELETON };
        let known = |form: &Form| form.skeleton == skeleton;
        if skeleton.len() >= least && !self.0.iter().any(known) {
            self.0.push(Form { skeleton, script, written: text.len() });
        }
    }
}

/// Codes that write character by character.
fn spelled(value: &str, all: &mut Forms) {
    if value.len() > MAX_BULKY_BYTES {
        return;
    }
    let bytes = value.as_bytes();
    let each = |show: &dyn Fn(u8) -> String| bytes.iter().map(|b| show(*b)).collect::<String>();
    let reversed = |text: &str| text.chars().rev().collect::<String>();
    let wide: Vec<u8> = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let plain_hex = hex(bytes);
    for text in [
        reversed(&plain_hex),
        each(&|b| hex(&[b]).chars().rev().collect()),
        plain_hex,
        hex(&wide),
        each(&|b| format!("x{b:02x}")),
        each(&|b| format!("0x{b:02x}")),
        each(&|b| format!("u{b:04x}")),
        each(&|b| format!("{b:06x}")),
        each(&|b| format!("char{b}")),
        each(&|b| format!("0o{b:o}")),
        each(&|b| format!("{b}")),
        each(&|b| format!("{b:03}")),
        each(&|b| format!("{b:03o}")),
        each(&|b| format!("{b:o}")),
        each(&|b| format!("{b:08b}")),
        each(&|b| if b.is_ascii_alphanumeric() { char::from(b).into() } else { hex(&[b]) }),
        each(&|b| {
            if b.is_ascii_alphanumeric() { char::from(b).into() } else { format!("25{b:02x}") }
        }),
        each(&|b| {
            if b.is_ascii_alphanumeric() { char::from(b).into() } else { format!("u{b:04x}") }
        }),
    ] {
        all.add(&text, Script::Spelled);
    }
    for text in regrouped(bytes) {
        all.add(&text, Script::Spelled);
    }
    // What is not escaped in a URL, by RFC 3986 and by `encodeURIComponent`, leaves nothing in a skeleton.
    for kept in ["-._~", "-._~!*'()"] {
        let text = each(&|b| match char::from(b) {
            letter if letter.is_ascii_alphanumeric() => letter.into(),
            sign if kept.contains(sign) => String::new(),
            _ => hex(&[b]),
        });
        all.add(&text, Script::Spelled);
    }
    // Undoing the entities would undo what looks like an escape in the value itself, too.
    for (single, double) in [("39", "quot"), ("39", "34"), ("x27", "quot"), ("apos", "quot")] {
        let text = value.replace('&', "amp").replace('<', "lt").replace('>', "gt");
        all.add(&text.replace('"', double).replace('\'', single), Script::Spelled);
    }
}

/// Letters replaced by others: the alphabet rotated (rot13), all signs (rot47), the alphabet backwards.
fn shifted(value: &str, all: &mut Forms) {
    let map = |change: &dyn Fn(u8) -> u8| {
        value
            .bytes()
            .map(|b| char::from(if b.is_ascii() { change(b) } else { b'-' }))
            .collect::<String>()
    };
    let within = |b: u8, from: u8, count: u8, by: u8| from + (b - from + by) % count;
    for by in 1..26 {
        let rotated = map(&|b| match b {
            b'a'..=b'z' => within(b, b'a', 26, by),
            b'A'..=b'Z' => within(b, b'A', 26, by),
            b => b,
        });
        all.add(&rotated, Script::Spelled);
    }
    let rot47 = map(&|b| if b.is_ascii_graphic() { within(b, b'!', 94, 47) } else { b });
    let mirrored = map(&|b| match b {
        b'a'..=b'z' => b'z' - (b - b'a'),
        b'A'..=b'Z' => b'Z' - (b - b'A'),
        b => b,
    });
    for text in [rot47, mirrored] {
        all.add(&text, Script::Spelled);
    }
}

/// Codes whose digits do not fall on the value's bytes, in each alignment that a longer text could give it.
fn packed(value: &str, all: &mut Forms) {
    let back = backwards(value);
    let wide: Vec<u8> = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for before in 0..3 {
        for bytes in [value.as_bytes(), back.as_bytes(), &wide] {
            let core = aligned64(bytes, before);
            all.add(&backwards(&core), Script::Packed);
            all.add(&core, Script::Packed);
        }
    }
    if value.len() > MAX_BULKY_BYTES {
        return;
    }
    all.add(&backwards(&aligned32(value.as_bytes(), 0, BASE32)), Script::Packed);
    for before in 0..5 {
        all.add(&aligned32(value.as_bytes(), before, BASE32), Script::Packed);
        all.add(&aligned32(value.as_bytes(), before, BASE32_HEX), Script::Packed);
    }
    for before in 0..3 {
        let shifted = aligned64(hex(value.as_bytes()).as_bytes(), before);
        all.add(&shifted, Script::Packed);
    }
    for digits in [CROCKFORD, Z_BASE32] {
        all.add(&aligned32(value.as_bytes(), 0, digits), Script::Packed);
    }
    for digits in [BASE58, BASE62, BASE62_SMALL, BASE36] {
        all.add(&in_radix(value.as_bytes(), digits), Script::Spelled);
    }
    all.add(&base45(value.as_bytes()), Script::Spelled);
    for text in base85(value.as_bytes()) {
        all.add(&text, Script::Spelled);
    }
    for before in 1..4 {
        // The groups of four bytes that lie in the value whole, if so many bytes of it belong to the one before.
        let whole = (value.len().saturating_sub(before)) / 4 * 4;
        let core = value.as_bytes().get(before..before + whole).unwrap_or_default();
        for text in base85(core) {
            all.add(&text, Script::Dense);
        }
    }
    let whole = value.len() / 4 * 4;
    for text in base85(value.as_bytes().get(..whole).unwrap_or_default()) {
        all.add(&text, Script::Dense);
    }
    all.add(&uuencoded(value.as_bytes()), Script::Spelled);
}

fn backwards(text: &str) -> String {
    text.chars().rev().collect()
}

/// The base64 digits that hold nothing but `bytes`, of a text with `before` bytes (modulo 3) in front.
fn aligned64(bytes: &[u8], before: usize) -> String {
    let mut text = vec![0; before];
    text.extend_from_slice(bytes);
    let (skip, sure) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
    STANDARD_NO_PAD.encode(text).chars().take(sure).skip(skip).collect()
}

fn aligned32(bytes: &[u8], before: usize, digits: &[u8; 32]) -> String {
    let (skip, sure) = ((before * 8).div_ceil(5), (before + bytes.len()) * 8 / 5);
    let bit = |at: usize| {
        let byte = (at / 8).checked_sub(before).and_then(|n| bytes.get(n)).copied().unwrap_or(0);
        usize::from(byte >> (7 - at % 8) & 1)
    };
    (skip..sure)
        .filter_map(|digit| digits.get((0..5).fold(0, |v, n| v << 1 | bit(digit * 5 + n))))
        .map(|d| char::from(*d))
        .collect()
}

/// The bytes two and two, four and four: swapped pairs, every second of them, words as dumps of memory show them.
fn regrouped(bytes: &[u8]) -> [String; 4] {
    let shown = |all: Vec<u8>| String::from_utf8_lossy(&all).into_owned();
    let swapped = bytes.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect();
    let parted =
        [0, 1].iter().flat_map(|from| bytes.iter().skip(*from).step_by(2).copied()).collect();
    let little = bytes.chunks(4).flat_map(|word| word.iter().rev().copied()).collect::<Vec<u8>>();
    let words = bytes.chunks(4).map(|word| ["0x", &hex(word)].concat()).collect();
    [shown(swapped), shown(parted), hex(&little), words]
}

/// The bytes as one number, in so many digits.
fn in_radix(bytes: &[u8], digits: &[u8]) -> String {
    let radix = digits.len();
    let mut number: Vec<usize> = Vec::new();
    for &byte in bytes {
        let mut carry = usize::from(byte);
        for digit in &mut number {
            carry += *digit << 8;
            *digit = carry % radix;
            carry /= radix;
        }
        while carry > 0 {
            number.push(carry % radix);
            carry /= radix;
        }
    }
    number.iter().rev().filter_map(|d| digits.get(*d)).map(|d| char::from(*d)).collect()
}

/// As in the codes of certificates of health: two bytes in three digits (RFC 9285).
fn base45(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
    let digits = |pair: &[u8]| {
        let number = pair.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        [number % 45, number / 45 % 45, number / 2025].into_iter().take(pair.len() + 1)
    };
    let all = bytes.chunks(2).flat_map(digits);
    all.filter_map(|digit| DIGITS.get(digit)).map(|d| char::from(*d)).collect()
}

/// Ascii85, the form that git and Python's `b85encode` use, and Z85; of groups of four bytes that are whole.
fn base85(bytes: &[u8]) -> [String; 3] {
    const GIT: &[u8; 85] =
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    const ZMQ: &[u8; 85] =
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    let mut ascii = [0; 85];
    for (slot, digit) in ascii.iter_mut().zip(b'!'..) {
        *slot = digit;
    }
    [&ascii, GIT, ZMQ].map(|digits| {
        let mut out = String::new();
        for group in bytes.chunks(4) {
            let value = (0..4)
                .fold(0_usize, |v, n| v << 8 | usize::from(group.get(n).copied().unwrap_or(0)));
            let powers = [52_200_625, 614_125, 7225, 85, 1];
            let shown =
                powers.iter().take(group.len() + 1).filter_map(|p| digits.get(value / p % 85));
            out.extend(shown.map(|d| char::from(*d)));
        }
        out
    })
}

/// The body of one uuencoded line.
fn uuencoded(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(3).take(15) {
        let byte = |n: usize| group.get(n).copied().unwrap_or(0);
        let (a, b, c) = (byte(0), byte(1), byte(2));
        for six in [a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63] {
            out.push(char::from(if six == 0 { b'`' } else { six + 32 }));
        }
    }
    out
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE32_HEX: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const Z_BASE32: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
const BASE36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE62_SMALL: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Shorter lines of a value with several are too likely to be ordinary text.
const MIN_LINE_BYTES: usize = 32;
/// Values above this are not searched for in the forms that are several times as long.
const MAX_BULKY_BYTES: usize = 1024;
/// A form with fewer letters and digits would be met by accident.
const MIN_SKELETON: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use memchr::memmem;

    fn found(value: &str, text: &str) -> bool {
        let text = folded(text.as_bytes());
        forms(value, true).iter().any(|form| memmem::find(&text, &form.skeleton).is_some())
    }

    #[test]
    fn base64_of_a_longer_text_holds_the_value_at_every_alignment() {
        let value = "s3cr3t/v+lue?";
        for before in ["", "u", "us", "usr", "user:"] {
            for after in ["", "\n", "ab", "abc"] {
                let blob = format!("{before}{value}{after}");
                assert!(found(value, &STANDARD.encode(&blob)), "{before}|{after}");
            }
        }
    }

    #[test]
    fn other_codes_are_the_ones_that_tools_write() {
        for (value, text) in [
            ("hello world!", "NBSWY3DPEB3W64TMMQQQ===="),
            ("Hello World!", "87cURD]i,\"Ebo80"),
            ("hello world!", "Xk~0{Zy<MXa%^NF"),
            ("Hello World!", "2NEpo7TZRRrLZSi2U"),
            ("the quick brown", "=&AE('%U:6-K(&)R;W=N"),
            ("hello-world", "uryyb-jbeyq"),
            ("Hello World!", "T8dgcjRGkZ3aysdN"),
            ("Hello!!", "%69 VD92EX0"),
            ("hello world!", "D1JPRV3F41VPYWKCCGG"),
            ("hello-world", "ehll-oowlrd"),
            ("hello-world", "6c6c6568 6f772d6f 646c72"),
            ("hello-world", "0x68656c6c 0x6f2d776f 0x726c64"),
            (
                "hello-world",
                "[char]104+[char]101+[char]108+[char]108+[char]111+[char]45+[char]119+[char]111+[char]114+[char]108+[char]100",
            ),
            ("hello-world", "150 145 154 154 157 055 167 157 162 154 144"),
            ("hello-world", "104, 101, 108, 108, 111, 45, 119, 111, 114, 108, 100"),
        ] {
            assert!(found(value, text), "{text}");
        }
    }

    #[test]
    fn the_long_lines_of_a_value_stand_for_themselves() {
        let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj";
        let value = format!("-----BEGIN X-----\n{line}\nshort\n-----END X-----");
        assert_eq!(lines(&value).collect::<Vec<_>>(), [line]);
        assert_eq!(lines(line).count(), 0);
    }
}
