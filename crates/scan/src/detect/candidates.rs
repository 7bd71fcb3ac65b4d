//! Which parts of a long text deserve a closer look?

use super::bits::{Bits, among};
use super::words::{SEED, step, weight};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::ops::Range;

/// The overlapping windows of a text in which an order could stand, in any disguise. What is left out has next to
/// none of the words that orders are made of.
pub(super) fn candidates(text: &str) -> Vec<Range<usize>> {
    if text.len() <= SHORT {
        return every(text).collect();
    }
    let mut kinds = Kinds::default();
    let blocks: Vec<u32> =
        text.as_bytes().chunks(BLOCK).map(|block| interest(block, &mut kinds)).collect();
    let mut found = Vec::new();
    for (n, &here) in blocks.iter().enumerate() {
        let next = blocks.get(n + 1).copied().unwrap_or(0);
        // The second half of the last window was the first half of none, but it has been seen.
        if n > 0 && n + 1 == blocks.len() {
            break;
        }
        if here + next >= ENOUGH {
            let start = text.floor_char_boundary(n * BLOCK);
            let end = text.ceil_char_boundary(((n + 2) * BLOCK).min(text.len()));
            found.push(start..end);
        }
    }
    found
}

/// Which bytes of a block are of which kind.
#[derive(Default)]
struct Kinds {
    words: Bits,
    digits: Bits,
    signs: Bits,
}

/// How much a block speaks for a closer look; no more than what is enough by itself.
fn interest(block: &[u8], kinds: &mut Kinds) -> u32 {
    kinds.words.read(block, |byte| byte.is_ascii_alphanumeric());
    kinds.digits.read(block, |byte| byte.is_ascii_digit());
    kinds.signs.read(block, |byte| among(byte, *b"\\&%\x1B") | !byte.is_ascii());
    let mut total = Interest::default();
    for (start, end) in kinds.words.runs() {
        let word = block.get(start..end).unwrap_or_default();
        match word.len() {
            1 => total.single += 1,
            16.. => total.odd += long(word),
            _ if kinds.digits.any(start..end) => total.words += leet(word),
            _ => total.words += weight(word.iter().fold(SEED, |hash, b| step(hash, b | 0x20))),
        }
        if total.words + total.odd * 2 >= ENOUGH {
            return ENOUGH;
        }
    }
    for at in kinds.signs.places() {
        total.sign(block, at, block.get(at).copied().unwrap_or(b' '));
    }
    total.sum().min(ENOUGH)
}

#[derive(Default)]
struct Interest {
    words: u32,
    odd: u32,
    single: u32,
    foreign: u32,
}

impl Interest {
    fn sign(&mut self, block: &[u8], at: usize, byte: u8) {
        let next = block.get(at + 1).copied().unwrap_or(b' ');
        match byte {
            // Escapes of letters.
            b'\\' if matches!(next, b'u' | b'x' | b'1') => self.odd += 1,
            b'&' if next == b'#' => self.odd += 1,
            b'%' if next.is_ascii_digit() => self.odd += 1,
            // Letters of other scripts; punctuation and pictures of lines are elsewhere.
            0xC3..=0xCB | 0xCE..=0xDF | 0xE0 | 0xE1 | 0xE3..=0xED => self.foreign += 1,
            // Zero-width and bidirectional characters, circled letters, full-width letters.
            0xE2 => {
                let third = block.get(at + 2).copied().unwrap_or(0);
                let hidden = (next == 0x80 && matches!(third, 0x8B..=0x8F | 0xAA..=0xAE))
                    || (next == 0x81 && third >= 0xA0)
                    || matches!(next, 0x91..=0x93);
                self.odd += u32::from(hidden) * 2;
            }
            0xEF if matches!(next, 0xBB..=0xBD) => self.odd += 1,
            // Tag characters, mathematical and enclosed letters.
            0xF3 => self.odd += 2,
            0xF0 if matches!(next, 0x9D | 0x9F) => self.foreign += 2,
            0x1B => {
                self.odd +=
                    u32::from(at > 0 && block.get(at - 1).is_some_and(u8::is_ascii_alphabetic));
            }
            _ => {}
        }
    }

    const fn sum(&self) -> u32 {
        let spaced = if self.single >= 14 { ENOUGH } else { 0 };
        let foreign = if self.foreign >= 24 { ENOUGH } else { 0 };
        // A soft mixture of scripts is odd in itself, since each foreign letter cuts a word in two.
        self.words + self.odd * 2 + spaced + foreign
    }
}

/// The weight of a word with digits in the place of letters.
fn leet(word: &[u8]) -> u32 {
    let letter = |byte: u8| LETTERS.get(usize::from(byte)).copied().unwrap_or(byte);
    weight(word.iter().fold(SEED, |hash, &byte| step(hash, letter(byte))))
}

/// The letter that a letter or digit may stand for.
static LETTERS: [u8; 256] = {
    let mut letters = [0; 256];
    let mut byte = 0_u8;
    loop {
        #[expect(clippy::indexing_slicing, reason = "a byte is within; checked when it is built")]
        {
            letters[byte as usize] = match byte {
                b'0' => b'o',
                b'1' => b'i',
                b'3' => b'e',
                b'4' => b'a',
                b'5' => b's',
                b'7' => b't',
                byte => byte | 0x20,
            };
        }
        if byte == u8::MAX {
            break letters;
        }
        byte += 1;
    }
};

/// A long run of letters and digits: hex or base64 that spells text, or words run together.
fn long(run: &[u8]) -> u32 {
    if run.iter().all(u8::is_ascii_alphabetic)
        && run.len() < 60
        && run.iter().all(u8::is_ascii_lowercase)
    {
        return ENOUGH;
    }
    let text = |bytes: &[u8]| bytes.iter().all(|b| matches!(b, b' '..=b'~' | b'\n' | 0x80..));
    let head = run.get(..24).unwrap_or_default();
    let hex = head.chunks_exact(2).map(|pair| {
        std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
    });
    let spelled = hex.collect::<Option<Vec<u8>>>().filter(|bytes| !bytes.is_empty());
    let mut bytes = [0; 18];
    let found = spelled.is_some_and(|bytes| bytes.iter().all(|b| matches!(b, b' '..=b'~')))
        || (head.len() == 24
            && STANDARD_NO_PAD.decode_slice(head, &mut bytes).is_ok()
            && text(&bytes)
            && bytes.iter().filter(|b| b.is_ascii()).count() >= 9);
    if found { ENOUGH } else { 0 }
}

/// Every window of a text, whether it deserves a closer look or not.
pub(super) fn every(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    (0..count(text)).map(|n| {
        let start = text.floor_char_boundary(n * BLOCK);
        start..text.ceil_char_boundary(((n + 2) * BLOCK).min(text.len()))
    })
}

/// Where the second half of a window begins, and where it ends but for what is left of a character.
pub(super) fn halves(text: &str, window: &Range<usize>) -> (usize, usize) {
    // A window begins up to three bytes before its place, lest it begin within a character.
    let block = (window.start + 3) / BLOCK;
    let cut = |block: usize| text.floor_char_boundary((block * BLOCK).min(text.len()));
    (cut(block + 1), cut(block + 2))
}

/// How many windows a text has.
pub(super) fn count(text: &str) -> usize {
    let blocks = text.len().div_ceil(BLOCK);
    blocks.saturating_sub(1).max(blocks.min(1))
}

/// Half a window: a few sentences, so that what stands around an order does not drown it.
const BLOCK: usize = 256;
/// Up to this length all of a text is looked at closely.
const SHORT: usize = 2048;
const ENOUGH: u32 = 6;
