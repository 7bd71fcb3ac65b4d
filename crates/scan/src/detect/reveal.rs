//! Which characters does a reader not see, or see as others?

use super::disguise::{Disguise, Disguises};
use super::effort;
use super::trace::Traced;
use unicode_normalization::char::decompose_compatible;

/// Rewrites a text as a reader sees it, in lower case and without accents: tag characters become letters, terminal
/// escapes and invisible characters go, a run behind a right-to-left override is turned round, styled letters become
/// plain ones.
pub(super) fn reveal(input: &Traced, seen: &mut Disguises) -> Traced {
    let mut out = input.blank();
    let text = input.text();
    effort::took(text.len());
    let mut overridden: Option<Vec<(char, usize)>> = None;
    let (mut flag, mut soft, mut at) = (false, None, 0);
    while let Some(c) = char_at(text, at) {
        // Most characters are what they seem.
        let plain_to = if overridden.is_some() { at } else { seeming_to(text, at) };
        if plain_to > at {
            out.copy_in_lower_case(input, at..plain_to);
            (at, flag) = (plain_to, false);
            continue;
        }
        let origin = input.origin(at);
        at += c.len_utf8();
        match c {
            '\u{1B}' | '\u{9B}' => {
                let (len, hides) = terminal(text.get(at..).unwrap_or_default(), c, out.last());
                at += len;
                for _ in 0..if hides { 2 } else { 0 } {
                    seen.note(Disguise::Terminal, origin);
                }
                continue;
            }
            '\u{202E}' => {
                seen.note(Disguise::Bidi, origin);
                overridden.get_or_insert_default();
                continue;
            }
            '\u{202C}' | '\u{202D}' => {
                turn(&mut out, overridden.take());
                continue;
            }
            // A flag of a region is a black flag and tag characters.
            '\u{1F3F4}' => flag = true,
            '\u{E0020}'..='\u{E007E}' if !flag => {
                seen.note(Disguise::Tags, origin);
                if let Some(plain) = char::from_u32(u32::from(c) - 0xE_0000) {
                    out.push(plain.to_ascii_lowercase(), origin);
                }
                continue;
            }
            '\u{E0000}'..='\u{E007F}' => continue,
            c if invisible(c) => {
                if parts(c, &mut soft, &out) && inside(out.last(), char_at(text, at)) {
                    seen.note(Disguise::ZeroWidth, origin);
                }
                continue;
            }
            _ => flag = false,
        }
        match overridden.as_mut() {
            Some(run) if c != '\n' => run.push((c, origin)),
            _ => {
                turn(&mut out, overridden.take());
                plain(&mut out, c, origin, seen);
            }
        }
    }
    turn(&mut out, overridden.take());
    out
}

/// What [`reveal`] makes of a text in which every character is what it seems: nothing invisible, styled or turned.
pub(super) fn plainly(text: &str) -> Option<String> {
    let (mut out, mut odd) = (String::with_capacity(text.len()), Vec::new());
    fold_plainly(text, &mut out, &mut odd);
    odd.is_empty().then_some(out)
}

/// Appends what [`plainly`] makes of a text, and to `odd` the places of what is not what it seems; something stands at each of them.
pub(super) fn fold_plainly(text: &str, out: &mut String, odd: &mut Vec<usize>) {
    let mut rest = text;
    while !rest.is_empty() {
        let plain = if rest.is_ascii() {
            rest.len()
        } else {
            rest.bytes().position(|byte| !byte.is_ascii()).unwrap_or(rest.len())
        };
        let (ascii, behind) = rest.split_at_checked(plain).unwrap_or((rest, ""));
        fold_ascii(ascii, out, odd);
        let mut chars = behind.chars();
        let mut left = behind;
        while let Some(c) = chars.next().filter(|c| !c.is_ascii()) {
            left = chars.as_str();
            let at = out.len();
            let mut seems = common(c) && !invisible(c);
            if seems {
                seems = look(c, &mut |c| out.push(c)) == 0;
            }
            if !seems {
                odd.push(at);
                if out.len() == at {
                    out.push('\u{1}');
                }
            }
        }
        rest = left;
    }
}

fn fold_ascii(text: &str, out: &mut String, odd: &mut Vec<usize>) {
    let from = out.len();
    out.push_str(text);
    if let Some(new) = out.get_mut(from..) {
        new.make_ascii_lowercase();
    }
    // Without a branch for each byte this is done many bytes at a time.
    if text.bytes().fold(false, |any, byte| any | hides(byte)) {
        odd.extend(text.bytes().enumerate().filter(|(_, b)| hides(*b)).map(|(n, _)| from + n));
    }
}

fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..).and_then(|rest| rest.chars().next())
}

/// Where the characters of ASCII end that begin at a place and are what they seem.
fn seeming_to(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    let other = |byte: &u8| !byte.is_ascii() || hides(*byte);
    rest.iter().position(other).map_or(text.len(), |count| at + count)
}

/// Whether a byte is an invisible character, or begins a terminal escape.
const fn hides(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// Letters with accents, punctuation, signs, and the scripts of east Asia: none of it steers how others are read.
const fn common(c: char) -> bool {
    matches!(c, '\u{A0}'..='\u{17F}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205E}' | '\u{20A0}'..='\u{245F}'
        | '\u{2500}'..='\u{2BFF}' | '\u{3000}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}')
}

/// Folds the letters of a pattern as [`reveal`] folds those of a text.
pub(super) fn fold(text: &str) -> String {
    let mut out = Traced::default();
    for c in text.chars() {
        plain(&mut out, c, 0, &mut Disguises::default());
    }
    out.text().to_owned()
}

/// Appends what a character looks like when texts are compared: lower case, without accents, plain letters for styled
/// ones, nothing for what is invisible, one kind of space.
pub(super) fn fold_char(c: char, out: &mut String) {
    if c.is_ascii() {
        return match c {
            '\0'..=' ' if out.ends_with(' ') => {}
            '\0'..=' ' => out.push(' '),
            c => out.push(c.to_ascii_lowercase()),
        };
    }
    if !invisible(c) {
        let mut one = Traced::default();
        plain(&mut one, c, 0, &mut Disguises::default());
        out.push_str(one.text());
    }
}

fn turn(out: &mut Traced, run: Option<Vec<(char, usize)>>) {
    for (c, origin) in run.into_iter().flatten().rev() {
        plain(out, c, origin, &mut Disguises::default());
    }
}

/// Whether an invisible character parts letters that belong together. Soft hyphens part the syllables of words, but one letter
/// alone between two of them is no syllable; `soft` is how much was written at the last.
fn parts(c: char, soft: &mut Option<usize>, out: &Traced) -> bool {
    let written = out.text().len();
    c != '\u{AD}' || soft.replace(written) == written.checked_sub(1)
}

/// Whether something stands between two letters.
fn inside(before: Option<char>, after: Option<char>) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic());
    // What follows may be hidden as well; then the letter before says enough.
    letter(before) && (letter(after) || after.is_some_and(invisible))
}

/// The length of a terminal escape after its introducer, and whether it conceals what follows or stands within a word.
fn terminal(rest: &str, introducer: char, before: Option<char>) -> (usize, bool) {
    let (len, conceals) = escape(rest, introducer);
    (len, conceals || inside(before, char_at(rest, len)))
}

/// The length of a terminal escape after its introducer, and whether it conceals what follows.
fn escape(rest: &str, introducer: char) -> (usize, bool) {
    let bytes = rest.as_bytes();
    match (introducer, bytes.first()) {
        ('\u{9B}', _) | (_, Some(b'[')) => {
            let skip = usize::from(introducer == '\u{1B}');
            let body = bytes.get(skip..).unwrap_or_default();
            let len = body.iter().take(MAX_ESCAPE).position(|b| (0x40..=0x7E).contains(b));
            let Some(len) = len else { return (skip, false) };
            let parameters = body.get(..len).unwrap_or_default();
            let conceal =
                body.get(len) == Some(&b'm') && parameters.split(|&b| b == b';').any(|p| p == b"8");
            (skip + len + 1, conceal)
        }
        (_, Some(b']')) => {
            let end = bytes.iter().take(MAX_ESCAPE).position(|&b| b == 7 || b == 0x1B);
            // What an operating-system command says stays in sight: a title or a link is text.
            (end.map_or(1, |_| 1), false)
        }
        _ => (0, false),
    }
}

const fn invisible(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1A}' | '\u{1C}'..='\u{1F}' | '\u{7F}'..='\u{9A}'
        | '\u{9C}'..='\u{9F}' | '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}' | '\u{202B}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{E0080}'..='\u{E0FFF}')
}

/// Appends what a character looks like.
fn plain(out: &mut Traced, c: char, origin: usize, seen: &mut Disguises) {
    for _ in 0..look(c, &mut |c| out.push(c, origin)) {
        seen.note(Disguise::Styled, origin);
    }
}

/// Hands on what a character looks like, and gives how many styled letters it stood for.
fn look(c: char, put: &mut impl FnMut(char)) -> usize {
    match c {
        '\0'..='\u{7F}' => put(c.to_ascii_lowercase()),
        // Syllables and ideographs are letters as they stand.
        '\u{3040}'..='\u{D7AF}' => put(c),
        '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{2BC}' => put('\''),
        '\u{201C}'..='\u{201F}' => put('"'),
        '\u{2010}'..='\u{2015}' => put('-'),
        _ => match styled(c) {
            Some(letter) => {
                put(letter);
                return 1;
            }
            None => return decomposed(c, put),
        },
    }
    0
}

fn decomposed(c: char, put: &mut impl FnMut(char)) -> usize {
    let mut letters = 0;
    decompose_compatible(c, |part| {
        if matches!(part, '\u{300}'..='\u{36F}') {
            return;
        }
        letters += usize::from(part.is_ascii_alphabetic() && strange(c));
        for low in part.to_lowercase() {
            put(low);
        }
    });
    letters
}

/// Whether a letter that decomposes into a plain one is a matter of style, not of spelling.
const fn strange(c: char) -> bool {
    matches!(c, '\u{1D400}'..='\u{1D7FF}' | '\u{FF21}'..='\u{FF5A}' | '\u{2460}'..='\u{24FF}' | '\u{1F110}'..='\u{1F14F}')
}

/// Styled letters that Unicode does not decompose.
fn styled(c: char) -> Option<char> {
    let letter = |first: u32| char::from_u32(u32::from(c) - first + 0x61);
    match c {
        '\u{1F150}'..='\u{1F169}' => letter(0x1_F150),
        '\u{1F170}'..='\u{1F189}' => letter(0x1_F170),
        'ᴀ' => Some('a'),
        'ʙ' => Some('b'),
        'ᴄ' => Some('c'),
        'ᴅ' => Some('d'),
        'ᴇ' => Some('e'),
        'ꜰ' => Some('f'),
        'ɢ' => Some('g'),
        'ʜ' => Some('h'),
        'ɪ' => Some('i'),
        'ᴊ' => Some('j'),
        'ᴋ' => Some('k'),
        'ʟ' => Some('l'),
        'ᴍ' => Some('m'),
        'ɴ' => Some('n'),
        'ᴏ' => Some('o'),
        'ᴘ' => Some('p'),
        'ʀ' => Some('r'),
        'ꜱ' => Some('s'),
        'ᴛ' => Some('t'),
        'ᴜ' => Some('u'),
        'ᴠ' => Some('v'),
        'ᴡ' => Some('w'),
        'ʏ' => Some('y'),
        'ᴢ' => Some('z'),
        _ => None,
    }
}

const MAX_ESCAPE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_in_one_piece_keeps_its_places() {
        let text = "IGN\u{1b}[0mORE \u{200b}É\n\u{7f}All \u{202e}tXeT\u{202c} BUT\u{e0041}x";
        let mut seen = Disguises::default();
        let out = reveal(&Traced::of(text, 7), &mut seen);
        assert_eq!(out.text(), "ignore e\nall text butax");
        let from = |at: usize| text.get(out.origin(at) - 7..).and_then(|rest| rest.chars().next());
        for (at, c) in out.text().char_indices() {
            let original = from(at).map(|c| match c {
                'É' => 'e',
                '\u{e0041}' => 'a',
                c => c.to_ascii_lowercase(),
            });
            assert_eq!(original, Some(c), "{at}");
        }
    }
}
