//! What does a text say that is written in other letters than plain ones: look-alikes, styled letters, Braille, Morse?

use crate::detect::fold_char;
use crate::views::View;

/// Whether letters that look like plain ones stand beside plain ones, as a Cyrillic `а` in `pаss`; or letters that are
/// styled, in Braille or unseen; or so many with accents that they may hide a value.
pub(crate) fn mixes(line: &[u8]) -> bool {
    let mut accents = 0;
    // Most of a line is ASCII, and quickly passed over.
    for (number, part) in line.chunks(PART).enumerate().filter(|(_, part)| !part.is_ascii()) {
        for (at, &byte) in part.iter().enumerate().filter(|(_, byte)| !byte.is_ascii()) {
            let at = number * PART + at;
            let before = at.checked_sub(1).and_then(|at| line.get(at)).copied().unwrap_or(0);
            let next = line.get(at + 1..).unwrap_or_default();
            let there = match byte {
                // Greek and Cyrillic.
                0xCD..=0xD4 => {
                    let plain = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
                    before.is_ascii_alphanumeric() || plain(next.get(1))
                }
                0xE1 => matches!(next, [0xB4..=0xB6, ..]),
                0xE2 => matches!(
                    next,
                    [0x81, 0xB0..=0xBF, ..] | [0x82, 0x80..=0x89, ..] | [0x91..=0x93 | 0xA0, ..]
                ),
                0xEA => matches!(next, [0x9C, 0xB0..=0xB1, ..]),
                0xF0 => matches!(next, [0x9F, 0x84..=0x87, ..]),
                0xF3 => true,
                0xC3..=0xCB => {
                    accents += 1;
                    accents >= MIN_ACCENTS
                }
                _ => false,
            };
            if there {
                return true;
            }
        }
    }
    false
}

/// The text in plain letters, and where each came from.
pub(crate) fn plain(text: &[u8]) -> View {
    let (mut view, mut at) = (View::default(), 0);
    let mut folded = String::new();
    let mut fresh = true;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        if byte.is_ascii() {
            let len = if fresh { morse_len(rest) } else { 0 };
            let letter = rest.get(..len).and_then(morse);
            if let Some(letter) = letter {
                view.push(letter, at..at + len);
                view.changed += 1;
                at += len;
            } else {
                view.push(byte, at..at + 1);
                fresh = matches!(byte, b' ' | b'/' | b'\n' | b'|' | b'\t' | b'`' | b'"');
                at += 1;
            }
            continue;
        }
        let len = match byte {
            0xF0.. => 4,
            0xE0.. => 3,
            _ => 2,
        };
        let c = rest.get(..len).and_then(|c| std::str::from_utf8(c).ok()?.chars().next());
        let Some(c) = c else {
            view.push(byte, at..at + 1);
            at += 1;
            continue;
        };
        if let Some(plain) = in_code(c) {
            view.push(plain, at..at + len);
        } else {
            folded.clear();
            fold_char(c, &mut folded);
            for plain in folded.bytes() {
                view.push(plain, at..at + len);
            }
        }
        view.changed += 1;
        at += len;
    }
    view
}

/// The letter or byte that a character of a code of its own stands for.
fn in_code(c: char) -> Option<u8> {
    let code = u32::from(c);
    let from = |base: u32, to: u8| u8::try_from(code - base).ok().map(|n| n.wrapping_add(to));
    match code {
        0x2801..=0x283F => {
            // Each of the six dots is one bit.
            let at = BRAILLE.iter().position(|dots| u32::from(*dots) == code - 0x2800)?;
            u8::try_from(at).ok().map(|at| b'a' + at)
        }
        0x1F1E6..=0x1F1FF => from(0x1F1E6, b'a'),
        0x1F150..=0x1F169 => from(0x1F150, b'a'),
        0x1F170..=0x1F189 => from(0x1F170, b'a'),
        // Variation selectors, by which bytes are carried unseen.
        0xFE00..=0xFE0F => from(0xFE00, 0),
        0xE0100..=0xE01EF => from(0xE0100, 16),
        0xE0020..=0xE007E => from(0xE0000, 0),
        _ => ALIKE.iter().find_map(|(foreign, plain)| {
            plain.as_bytes().get(foreign.chars().position(|letter| letter == c)?).copied()
        }),
    }
}

/// How many signs of Morse stand here, if nothing else does up to a space or the end; 0 otherwise.
fn morse_len(text: &[u8]) -> usize {
    let len = text.iter().take(7).take_while(|b| matches!(b, b'.' | b'-')).count();
    let ends = text
        .get(len)
        .is_none_or(|b| matches!(b, b' ' | b'/' | b'\n' | b'\r' | b'|' | b'\t' | b'`' | b'"'));
    if ends { len } else { 0 }
}

/// The letter or digit that signs of Morse stand for.
fn morse(signs: &[u8]) -> Option<u8> {
    let at = MORSE.iter().position(|known| known.as_bytes() == signs)?;
    b"abcdefghijklmnopqrstuvwxyz0123456789".get(at).copied()
}

const PART: usize = 32;
/// So many letters with accents may be most of a value's.
const MIN_ACCENTS: usize = 4;
/// Letters of other scripts, and the plain ones that they look like.
const ALIKE: [(&str, &str); 6] = [
    (
        "\u{430}\u{441}\u{435}\u{43e}\u{440}\u{445}\u{443}\u{456}\u{458}\u{455}\u{501}\u{51b}\u{51d}",
        "aceopxyijsdqw",
    ),
    (
        "\u{410}\u{412}\u{421}\u{415}\u{41d}\u{41a}\u{41c}\u{41e}\u{420}\u{422}\u{425}\u{406}\u{405}",
        "abcehkmoptxis",
    ),
    (
        "\u{3bf}\u{3b1}\u{3c1}\u{3bd}\u{391}\u{392}\u{395}\u{397}\u{39a}\u{39c}\u{39f}\u{a730}\u{a731}",
        "oapvabehkmofs",
    ),
    // Upside down.
    (
        "\u{250}\u{254}\u{1dd}\u{25f}\u{183}\u{265}\u{131}\u{1d09}\u{27e}\u{29e}\u{5df}\u{26f}\u{279}\u{287}\u{28c}\u{28d}\u{28e}",
        "acefghiijklmrtvwy",
    ),
    (
        "\u{2200}\u{186}\u{18e}\u{2132}\u{2141}\u{17f}\u{2e5}\u{500}\u{1d1a}\u{22a5}\u{2229}\u{39b}\u{2144}",
        "acefgjlprtuvy",
    ),
    ("\u{196}\u{1105}\u{190}\u{3123}\u{3db}\u{3125}", "123457"),
];
const MORSE: [&str; 36] = [
    ".-", "-...", "-.-.", "-..", ".", "..-.", "--.", "....", "..", ".---", "-.-", ".-..", "--",
    "-.", "---", ".--.", "--.-", ".-.", "...", "-", "..-", "...-", ".--", "-..-", "-.--", "--..",
    "-----", ".----", "..---", "...--", "....-", ".....", "-....", "--...", "---..", "----.",
];
/// Which dots the letters from `a` to `z` have.
const BRAILLE: [u8; 26] = [
    0x01, 0x03, 0x09, 0x19, 0x11, 0x0B, 0x1B, 0x13, 0x0A, 0x1A, 0x05, 0x07, 0x0D, 0x1D, 0x15, 0x0F,
    0x1F, 0x17, 0x0E, 0x1E, 0x25, 0x27, 0x3A, 0x2D, 0x3D, 0x35,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_letters_are_read_as_plain_ones_in_their_place() {
        for (text, plain_text) in [
            ("\u{2801}\u{2803}\u{2835}", "abz"),
            (".- / -... / ----. / .----", "a / b / 9 / 1"),
            ("\u{1F1E6}\u{1F1FF}", "az"),
            ("p\u{430}ss", "pass"),
            ("\u{24E3}\u{2460}", "t1"),
            ("\u{1D57}\u{2071}\u{2079}", "ti9"),
            ("\u{18E}\u{250}\u{287}\u{190}", "eat3"),
        ] {
            let view = plain(text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&view.bytes), plain_text, "{text}");
            assert_eq!(view.span(&(0..view.bytes.len())), Some(0..text.len()), "{text}");
            assert!(view.changed > 0);
        }
    }

    #[test]
    fn only_letters_that_look_like_others_beside_plain_ones_mix() {
        for line in
            ["a plain line", "gr\u{f6}\u{df}er", "\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}: abc"]
        {
            assert!(!mixes(line.as_bytes()), "{line}");
        }
        assert!(mixes("p\u{430}ss".as_bytes()));
    }
}
