//! How is a value written by who wants it to be read, and not to be recognised?

use crate::key::hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Ways to write `value` that keep its characters apart or change all of them alike: spelled out in words, numbered,
/// shifted, as numbers of another base, under a mask of one byte. Values above [`MAX_BYTES`], and those of digits, are not written so.
pub(crate) fn codes(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    // Numbers that are moved are other numbers, which a text may have.
    let letters = bytes.iter().filter(|b| b.is_ascii_alphabetic()).count();
    if value.len() > MAX_BYTES || letters < MIN_LETTERS || !value.is_ascii() {
        return Vec::new();
    }
    let mut all = voiced(bytes);
    all.extend(numbered(bytes));
    all.extend(moved(bytes));
    all.extend(numbers(bytes));
    all.extend(masked(bytes));
    all.extend(TAGS.map(|tag| each(bytes, |b| format!("{tag}{}{tag}", char::from(b)))));
    all
}

fn each(bytes: &[u8], show: impl Fn(u8) -> String) -> String {
    bytes.iter().map(|b| show(*b)).collect()
}

/// Character by character in words: `tango`, `capital tango`, `t as in tango`, digits as `one`.
fn voiced(bytes: &[u8]) -> Vec<String> {
    let letter = |b: u8| SPOKEN.get(usize::from(b.to_ascii_lowercase().wrapping_sub(b'a')));
    let digit = |b: u8| DIGITS.get(usize::from(b.wrapping_sub(b'0')));
    let sign = |b: u8| SIGNS.iter().find(|(sign, _)| *sign == b).map(|(_, name)| name);
    let own = |b: u8| char::from(b).to_string();
    let word = |b: u8| letter(b).or(digit(b)).map(|word| (*word).to_owned());
    let named = |b: u8| word(b).or(sign(b).map(|name| (*name).to_owned())).unwrap_or(own(b));
    let case = |b: u8, word: &str| {
        let large = if b.is_ascii_uppercase() { word } else { "" };
        [large, &named(b)].concat()
    };
    vec![
        each(bytes, named),
        each(bytes, |b| word(b).unwrap_or_default()),
        each(bytes, |b| case(b, "capital")),
        each(bytes, |b| case(b, "upper")),
        each(bytes, |b| [&own(b), "asin", &named(b)].concat()),
        each(bytes, |b| [&own(b), "for", &named(b)].concat()),
        each(bytes, |b| digit(b).map_or(own(b), |word| (*word).to_owned())),
        each(
            bytes,
            |b| if b.is_ascii_uppercase() { ["capital", &own(b)].concat() } else { own(b) },
        ),
    ]
}

/// In pieces with a number before each: `1. abcd`, `part2="efgh"`.
fn numbered(bytes: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    let kinds: [(&[usize], &[&str]); 3] =
        [(&[1, 2, 3, 4, 5, 6, 8, 10], &[""]), (&[4, 5, 8], &PIECES), (&[1], &MEMBERS)];
    for (sizes, names) in kinds {
        for (size, name) in
            sizes.iter().flat_map(|size| names.iter().map(move |name| (*size, name)))
        {
            if size >= bytes.len() {
                continue;
            }
            all.extend([0, 1].map(|first| {
                let pieces = bytes.chunks(size).enumerate();
                let show = |(number, piece): (usize, &[u8])| {
                    format!("{name}{}{}", number + first, String::from_utf8_lossy(piece))
                };
                pieces.map(show).collect::<String>()
            }));
        }
    }
    // `1. capital A`
    let read = |(number, b): (usize, &u8)| {
        let large = if b.is_ascii_uppercase() { "capital" } else { "" };
        format!("{}{large}{}", number + 1, char::from(*b))
    };
    all.push(bytes.iter().enumerate().map(read).collect());
    all
}

/// Each character by its neighbour, or all of them in another order.
fn moved(bytes: &[u8]) -> Vec<String> {
    let shown = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let by = |step: u8| each(bytes, |b| char::from(b.wrapping_add(step)).to_string());
    let key = |b: u8, step: usize| {
        let row = KEYS.iter().find(|row| row.contains(&b.to_ascii_lowercase()))?;
        let at = row.iter().position(|key| *key == b.to_ascii_lowercase())?;
        row.get((at + step) % row.len()).map(|key| char::from(*key))
    };
    let keys = |back: bool| {
        each(bytes, |b| {
            let row = KEYS.iter().find(|row| row.contains(&b.to_ascii_lowercase()));
            let step = if back { row.map_or(1, |row| row.len() - 1) } else { 1 };
            key(b, step).unwrap_or(char::from(b)).to_string()
        })
    };
    let half = |b: u8, from: u8, count: u8| from + (b - from + count / 2) % count;
    let turned = each(bytes, |b| {
        char::from(match b {
            b'a'..=b'z' => half(b, b'a', 26),
            b'A'..=b'Z' => half(b, b'A', 26),
            b'0'..=b'9' => half(b, b'0', 10),
            b => b,
        })
        .to_string()
    });
    let like = each(bytes, |b| {
        let at = b"aeiost".iter().position(|letter| *letter == b.to_ascii_lowercase());
        at.and_then(|at| b"431057".get(at)).map_or(char::from(b), |digit| char::from(*digit)).into()
    });
    let braille = each(bytes, |b| match b {
        b'1'..=b'9' => char::from(b - b'1' + b'a').into(),
        b'0' => "j".into(),
        b => char::from(b).into(),
    });
    let flipped = each(bytes, upside_down);
    let mut all = vec![by(1), by(u8::MAX), keys(false), keys(true), turned, like, braille];
    all.extend([flipped.chars().rev().collect(), flipped]);
    all.push(each(bytes, |b| char::from(b).to_string().repeat(2)));
    for size in 3..=8 {
        all.push(shown(bytes.chunks(size).flat_map(|piece| piece.iter().rev().copied()).collect()));
    }
    // With the same letter behind each.
    all.extend(["x", "z", "0"].map(|sign| each(bytes, |b| format!("{}{sign}", char::from(b)))));
    for columns in 3..=6 {
        let read = (0..columns).flat_map(|from| bytes.iter().skip(from).step_by(columns).copied());
        all.push(shown(read.collect()));
    }
    for size in 2..=8 {
        all.push(shown(bytes.chunks(size).rev().flatten().copied().collect()));
    }
    all
}

/// A character upside down, if that is another plain one; the others are told by their look (`dress.rs`).
fn upside_down(byte: u8) -> String {
    const PAIRS: [(u8, u8); 5] =
        [(b'b', b'q'), (b'd', b'p'), (b'n', b'u'), (b'6', b'9'), (b'M', b'W')];
    let other = PAIRS.iter().find_map(|(one, two)| match byte {
        b if b == *one => Some(*two),
        b if b == *two => Some(*one),
        _ => None,
    });
    char::from(other.unwrap_or(byte)).into()
}

/// As numbers: places in the alphabet, squares of five, codes that were moved, words and all of it in another base.
fn numbers(bytes: &[u8]) -> Vec<String> {
    let place = |b: u8| {
        let letter = b.to_ascii_lowercase();
        letter.is_ascii_lowercase().then(|| u32::from(letter - b'a'))
    };
    let own = |b: u8| char::from(b).to_string();
    let square = |b: u8| {
        // The square has one place for I and J.
        place(b).map(|at| if at > 8 { at - 1 } else { at }).map(|at| (at / 5 + 1, at % 5 + 1))
    };
    let bacon = |at: u32| -> String {
        (0..5).rev().map(|bit| if at >> bit & 1 == 0 { 'a' } else { 'b' }).collect()
    };
    let word = |bytes: &[u8], little: bool| {
        let order = |all: u64, b: &u8| all << 8 | u64::from(*b);
        let value =
            if little { bytes.iter().rev().fold(0, order) } else { bytes.iter().fold(0, order) };
        value.to_string()
    };
    let words = |little: bool| bytes.chunks(8).map(|eight| word(eight, little)).collect::<String>();
    let back: Vec<u8> = bytes.iter().rev().copied().collect();
    let little = |four: &[u8]| {
        let digits = hex(&four.iter().rev().copied().collect::<Vec<u8>>());
        format!("0x{digits:0>8}")
    };
    vec![
        each(bytes, |b| place(b).map_or(own(b), |at| (at + 1).to_string())),
        each(bytes, |b| place(b).map_or(own(b), |at| at.to_string())),
        each(bytes, |b| place(b).map_or(own(b), |at| format!("{:02}", at + 1))),
        each(bytes, |b| square(b).map_or(own(b), |(row, column)| format!("{row}{column}"))),
        each(bytes, |b| place(b).map_or(own(b), bacon)),
        each(bytes, |b| b.saturating_sub(32).to_string()),
        each(bytes, |b| format!("{b:07b}")),
        each(bytes, |b| format!("0b{b:b}")),
        each(bytes, |b| format!("0b{b:08b}")),
        each(bytes, |b| format!("{b:02x}000000")),
        each(bytes, |b| format!("000000{b:02x}")),
        each(bytes, |b| format!("00{b:02x}")),
        each(bytes, |b| format!("{b:02x}h")),
        each(bytes, |b| format!("{:02x}", ebcdic(b))),
        words(true),
        words(false),
        hex(&back),
        bytes.chunks(4).map(little).collect(),
        decimal(bytes),
        base91(bytes),
    ]
}

/// Under a mask of one byte that is often taken, in hex and base64; and in base64 of letters that were turned.
fn masked(bytes: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    for mask in MASKS {
        let under: Vec<u8> = bytes.iter().map(|b| b ^ mask).collect();
        all.extend([hex(&under), STANDARD_NO_PAD.encode(&under)]);
        all.push(each(&under, |b| b.to_string()));
    }
    let turn = |text: &str| -> String {
        let by = |b: u8, from: u8| char::from(from + (b - from + 13) % 26);
        let one = |b: u8| match b {
            b'a'..=b'z' => by(b, b'a'),
            b'A'..=b'Z' => by(b, b'A'),
            b => char::from(b),
        };
        text.bytes().map(one).collect()
    };
    all.push(turn(&STANDARD_NO_PAD.encode(bytes)));
    let wide = |before: usize, behind: usize| {
        let one = |b: &u8| [vec![0; before], vec![*b], vec![0; behind]].concat();
        STANDARD_NO_PAD.encode(bytes.iter().flat_map(one).collect::<Vec<u8>>())
    };
    all.extend([wide(1, 0), wide(3, 0), wide(0, 3)]);
    all
}

/// Letters, digits and a few signs in EBCDIC: those on which code pages 37 and 500 agree.
const fn ebcdic(byte: u8) -> u8 {
    match byte {
        b'a'..=b'i' => byte - b'a' + 0x81,
        b'j'..=b'r' => byte - b'j' + 0x91,
        b's'..=b'z' => byte - b's' + 0xA2,
        b'A'..=b'I' => byte - b'A' + 0xC1,
        b'J'..=b'R' => byte - b'J' + 0xD1,
        b'S'..=b'Z' => byte - b'S' + 0xE2,
        b'0'..=b'9' => byte - b'0' + 0xF0,
        b'-' => 0x60,
        b'_' => 0x6D,
        b'.' => 0x4B,
        b'+' => 0x4E,
        b'*' => 0x5C,
        b'=' => 0x7E,
        b'/' => 0x61,
        b':' => 0x7A,
        b'@' => 0x7C,
        b'#' => 0x7B,
        b'%' => 0x6C,
        b'&' => 0x50,
        b'~' => 0xA1,
        _ => 0x40,
    }
}

/// The bytes as one number, the first foremost.
fn decimal(bytes: &[u8]) -> String {
    let mut digits: Vec<u32> = vec![0];
    for &byte in bytes {
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 10;
            carry /= 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    digits.iter().rev().filter_map(|digit| char::from_digit(*digit, 10)).collect()
}

/// Thirteen or fourteen bits in two digits (basE91).
fn base91(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 91] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789\
        !#$%&()*+,./:;<=>?@[]^_`{|}~\"";
    let (mut bits, mut count, mut out) = (0_usize, 0, String::new());
    let mut show = |number: usize| {
        out.extend(DIGITS.get(number).map(|digit| char::from(*digit)));
    };
    for &byte in bytes {
        bits |= usize::from(byte) << count;
        count += 8;
        if count > 13 {
            let wide = bits & 8191 <= 88;
            let (mask, taken) = if wide { (16383, 14) } else { (8191, 13) };
            let number = bits & mask;
            bits >>= taken;
            count -= taken;
            show(number % 91);
            show(number / 91);
        }
    }
    if count > 0 {
        show(bits % 91);
        if count > 7 || bits > 90 {
            show(bits / 91);
        }
    }
    out
}

/// A longer value would take too much room in so many forms.
const MAX_BYTES: usize = 256;
const MIN_LETTERS: usize = 4;
const TAGS: [&str; 4] = ["b", "td", "li", "span"];
const PIECES: [&str; 3] = ["p", "part", "k"];
const MEMBERS: [&str; 4] = ["x", "s", "c", "a"];
const MASKS: [u8; 7] = [0x20, 0x2A, 0x42, 0x55, 0x5A, 0xAA, 0xFF];
const KEYS: [&[u8]; 4] = [b"qwertyuiop", b"asdfghjkl", b"zxcvbnm", b"1234567890"];
const SPOKEN: [&str; 26] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett",
    "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango",
    "uniform", "victor", "whiskey", "xray", "yankee", "zulu",
];
const DIGITS: [&str; 10] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const SIGNS: [(u8, &str); 16] = [
    (b'-', "dash"),
    (b'_', "underscore"),
    (b'.', "dot"),
    (b'!', "exclamation"),
    (b'@', "at"),
    (b'#', "hash"),
    (b'$', "dollar"),
    (b'%', "percent"),
    (b'^', "caret"),
    (b'&', "ampersand"),
    (b'*', "asterisk"),
    (b'=', "equals"),
    (b'+', "plus"),
    (b'/', "slash"),
    (b':', "colon"),
    (b'~', "tilde"),
];
#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::folded;
    use memchr::memmem;

    #[test]
    fn codes_are_those_that_others_write() {
        for (value, text) in [
            ("Tk-9qa", "Tango kilo dash nine quebec alpha"),
            ("Tk9qa", "capital tango, kilo, nine, quebec, alpha"),
            ("tkqa9", "t as in tango, k as in kilo, q as in quebec, a as in alpha, 9 as in nine"),
            ("abbz19", "1-2-2-26-1-9"),
            ("hello-world", "1. hell\n2. o-wo\n3. rld"),
            ("hello-world", "part0=\"hello\"\npart1=\"-worl\"\npart2=\"d\""),
            ("hello", "ifmmp"),
            ("abcdefgh", "adgbehcf"),
            ("abcdefgh", "efghabcd"),
            ("Tb6-nuWq", "bMnu-9qT"),
            ("Hello-42", "C885939396 60F4F2"),
            ("hello", "448378203247"),
            ("hello-wo", "8031938417022231912"),
            ("hello", "42 4f 46 46 45"),
            ("test", "fPNKd"),
            ("abcd", "<b>a</b><b>b</b><b>c</b><b>d</b>"),
        ] {
            let text = folded(text.as_bytes());
            let found = codes(value).iter().any(|code| {
                let code = folded(code.as_bytes());
                !code.is_empty() && memmem::find(&text, &code).is_some()
            });
            assert!(found, "{value}: {}", String::from_utf8_lossy(&text));
        }
    }
}
