//! What does a text say once its escapes are undone, its lines joined, its dump read?

use crate::bytes::{is, kind};
use miniz_oxide::inflate::{
    DecompressError, decompress_to_vec_with_limit, decompress_to_vec_zlib_with_limit,
};
use std::ops::Range;

/// Another reading of a text, and where each of its bytes came from.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) bytes: Vec<u8>,
    from: Vec<Range<usize>>,
    /// How many bytes were written in another way than plainly.
    pub(crate) changed: usize,
}

impl View {
    pub(crate) fn push(&mut self, byte: u8, from: Range<usize>) {
        self.bytes.push(byte);
        self.from.push(from);
    }

    /// The source behind a range of the view.
    pub(crate) fn span(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let first = self.from.get(range.start)?;
        let last = self.from.get(range.end.checked_sub(1)?)?;
        Some(first.start..last.end)
    }
}

/// Undoes percent-, backslash-, entity- and quoted-printable escapes, and leaves out what nobody sees: colours and
/// zero-width characters.
pub(crate) fn unescaped(text: &[u8]) -> View {
    let mut view = View::default();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        let written = match byte {
            b'%' => percent(rest),
            b'\\' => backslash(rest),
            b'&' => entity(rest),
            b'=' => quoted(rest),
            0x1B => Some((Vec::new(), crate::fold::escape_len(rest).max(1))),
            0xE2 | 0xEF | 0xC2 | 0xF0 | 0xF3 => styled(rest),
            _ => None,
        };
        let Some((bytes, len)) = written else {
            view.push(byte, at..at + 1);
            at += 1;
            continue;
        };
        view.changed += usize::from(len > 1);
        for out in bytes {
            view.push(out, at..at + len);
        }
        at += len;
    }
    view
}

fn percent(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    if let [_, b'u' | b'U', ..] = rest {
        return number(rest.get(2..6)?, 16).map(|c| (utf8(c), 6));
    }
    number(rest.get(1..3)?, 16).map(|c| (u8::try_from(c).map(|b| vec![b]).unwrap_or_default(), 3))
}

fn backslash(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    // Text in a string in a string has its backslashes doubled.
    let slashes = rest.iter().take(16).take_while(|b| **b == b'\\').count();
    let body = rest.get(slashes..)?;
    let (bytes, len) = match body {
        [b'u', b'{', digits @ ..] => {
            let len = digits.iter().take(7).position(|b| *b == b'}')?;
            (utf8(number(digits.get(..len)?, 16)?), len + 3)
        }
        [b'u', digits @ ..] => (utf8(number(digits.get(..4)?, 16)?), 5),
        [b'U', digits @ ..] => (utf8(number(digits.get(..8)?, 16)?), 9),
        [b'x', digits @ ..] => (vec![u8::try_from(number(digits.get(..2)?, 16)?).ok()?], 3),
        [b'0'..=b'7', ..] => {
            let len = body.iter().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
            (vec![u8::try_from(number(body.get(..len)?, 8)?).ok()?], len)
        }
        [b'n', ..] => (vec![b'\n'], 1),
        [b't', ..] => (vec![b'\t'], 1),
        [b'r', ..] => (vec![b'\r'], 1),
        [b'\n', ..] => {
            let indent =
                body.iter().skip(1).take(40).take_while(|b| matches!(b, b' ' | b'\t')).count();
            (Vec::new(), indent + 1)
        }
        [
            sign @ (b'"' | b'\'' | b'/' | b'&' | b'$' | b'#' | b'!' | b'(' | b')' | b'*' | b';'
            | b'<' | b'>' | b'?' | b'@' | b'=' | b'+' | b'-' | b'.' | b':'),
            ..,
        ] => (vec![*sign], 1),
        _ => return None,
    };
    Some((bytes, slashes + len))
}

fn entity(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    let len = rest.iter().take(12).position(|b| *b == b';')?;
    let name = rest.get(1..len)?;
    let bytes = match name {
        [b'#', b'x' | b'X', digits @ ..] => utf8(number(digits, 16)?),
        [b'#', digits @ ..] => utf8(number(digits, 10)?),
        b"amp" => vec![b'&'],
        b"lt" => vec![b'<'],
        b"gt" => vec![b'>'],
        b"quot" => vec![b'"'],
        b"apos" => vec![b'\''],
        b"sol" => vec![b'/'],
        b"plus" => vec![b'+'],
        b"equals" => vec![b'='],
        b"colon" => vec![b':'],
        b"lowbar" => vec![b'_'],
        b"hyphen" | b"dash" | b"minus" => vec![b'-'],
        b"nbsp" => vec![b' '],
        b"commat" => vec![b'@'],
        b"excl" => vec![b'!'],
        b"num" => vec![b'#'],
        b"dollar" => vec![b'$'],
        b"percnt" => vec![b'%'],
        b"period" => vec![b'.'],
        _ => return None,
    };
    Some((bytes, len + 1))
}

/// Quoted-printable: `=3D`, and `=` at the end of a line.
fn quoted(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    match rest {
        [_, a @ (b'2'..=b'7'), b @ (b'0'..=b'9' | b'A'..=b'F'), ..] => {
            let byte = u8::try_from(number(&[*a, *b], 16)?).ok()?;
            // `=41` is more often a value than an A.
            (!byte.is_ascii_alphanumeric()).then_some((vec![byte], 3))
        }
        _ => None,
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    (!digits.is_empty()).then_some(())?;
    digits.iter().try_fold(0_u32, |value, digit| {
        value.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?)
    })
}

fn utf8(code: u32) -> Vec<u8> {
    char::from_u32(code).map(|c| c.to_string().into_bytes()).unwrap_or_default()
}

/// A character that is not seen, or an ASCII character in another dress: full-width, mathematical, circled, a tag.
fn styled(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    let len = match rest.first() {
        Some(0xF0..) => 4,
        Some(0xC2) => 2,
        _ => 3,
    };
    let code = u32::from(std::str::from_utf8(rest.get(..len)?).ok()?.chars().next()?);
    let plain = match code {
        0xAD | 0x200B..=0x200F | 0x2060..=0x2064 | 0xFEFF => return Some((Vec::new(), len)),
        0xFF01..=0xFF5E => code - 0xFF01 + 0x21,
        0xE0020..=0xE007E => code - 0xE0000,
        0x24B6..=0x24CF => code - 0x24B6 + 0x41,
        0x24D0..=0x24E9 => code - 0x24D0 + 0x61,
        0x1D400..=0x1D6A3 => match (code - 0x1D400) % 52 {
            capital @ 0..26 => capital + 0x41,
            small => small - 26 + 0x61,
        },
        0x1D7CE..=0x1D7FF => (code - 0x1D7CE) % 10 + 0x30,
        _ => return None,
    };
    Some((vec![u8::try_from(plain).ok()?], len))
}

/// Joins what was cut in pieces: string concatenations, and values wrapped over lines. `None` if nothing was.
pub(crate) fn joined(text: &[u8]) -> Option<View> {
    // Most texts have no seam, and up to the first one the view is the text.
    let first = (0..text.len()).find(|at| {
        may_part(text, *at)
            && text.split_at_checked(*at).is_some_and(|(before, rest)| seam(before, rest) > 0)
    })?;
    let mut view = View::default();
    for (at, byte) in text.iter().take(first).enumerate() {
        view.push(*byte, at..at + 1);
    }
    let mut at = first;
    while let Some(&byte) = text.get(at) {
        let len =
            if parts(byte) { seam(&view.bytes, text.get(at..).unwrap_or_default()) } else { 0 };
        if len > 0 {
            view.changed += 1;
            at += len;
        } else {
            view.push(byte, at..at + 1);
            at += 1;
        }
    }
    Some(view)
}

/// Whether a seam may begin with this byte.
const fn parts(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'\\' | b'=' | b'\n' | b'\r')
}

/// Whether a seam may begin here, before which nothing was joined.
fn may_part(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|b| parts(*b))
        && at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(|b| in_value(*b))
}

/// How long the seam is that begins here, 0 if none does: between `"ab" + "cd"`, `'ab''cd'`, or over a line's end.
fn seam(before: &[u8], rest: &[u8]) -> usize {
    let inside = before.last().is_some_and(|b| in_value(*b));
    let Some(first) = rest.first().filter(|_| inside) else { return 0 };
    let count = |from: usize, member: fn(&u8) -> bool| {
        rest.get(from..).unwrap_or_default().iter().take(48).take_while(|b| member(b)).count()
    };
    match first {
        b'"' | b'\'' => {
            let between = count(1, |b| {
                matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'+' | b'.' | b'\\' | b'&')
            });
            let open = rest.get(1 + between) == Some(first);
            let next = rest.get(2 + between).is_some_and(|b| in_value(*b));
            if open && next { between + 2 } else { 0 }
        }
        // A line's end that says itself that the line goes on.
        b'\\' | b'=' if matches!(rest, [_, b'\n', ..] | [_, b'\r', b'\n', ..]) => {
            // A mail that is quoted has `> ` before each line.
            1 + count(1, |b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'>'))
        }
        b'\n' | b'\r' => {
            let between = count(0, |b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
            let lines = memchr::memchr_iter(b'\n', rest.get(..between).unwrap_or_default()).count();
            if lines == 1 && continues(before, rest.get(between..).unwrap_or_default()) {
                between
            } else {
                0
            }
        }
        _ => 0,
    }
}

/// Whether the next line goes on with the value at the end of the last: it is one token alone, of no shape of its
/// own, and either as long as lines are wrapped, or visibly the rest of something random.
pub(crate) fn continues(before: &[u8], next: &[u8]) -> bool {
    let line = memchr::memchr(b'\n', next).and_then(|end| next.get(..end)).unwrap_or(next);
    let line = line.trim_ascii_end();
    let closes = line
        .iter()
        .rev()
        .take_while(|b| matches!(b, b'"' | b'\'' | b',' | b';' | b'}' | b')' | b'\\'))
        .count();
    let token = line.get(..line.len() - closes).unwrap_or_default();
    if token.is_empty() || !token.iter().all(|b| in_value(*b)) {
        return false;
    }
    let last = before.iter().rev().take(200).take_while(|b| in_value(**b)).count();
    let last = before.get(before.len() - last..).unwrap_or_default();
    let name = memchr::memrchr(b'=', token).is_some_and(|at| at + 2 < token.len());
    !name
        && last.len() >= 12
        && mixed(last)
        && (mixed(token) || token.len() <= 4 || token.len() >= 20)
}

/// Whether a part of a value is more than a word: it has digits, both cases, or no sense.
pub(crate) fn mixed(part: &[u8]) -> bool {
    let cased =
        part.iter().skip(1).any(u8::is_ascii_uppercase) && part.iter().any(u8::is_ascii_lowercase);
    part.iter().any(u8::is_ascii_digit) || cased || crate::words::gibberish(part)
}

fn in_value(byte: u8) -> bool {
    is(byte, kind::TOKEN) || byte == b'%'
}

/// Takes off what the lines of a stream of events have in common, and joins what is left.
pub(crate) fn unframed(text: &[u8]) -> View {
    let lines = || {
        text.split(|b| *b == b'\n')
            .map(<[u8]>::trim_ascii_end)
            .filter(|line| line.starts_with(b"data:"))
    };
    let first = lines().next().unwrap_or_default();
    let common = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let head = lines().fold(first.len(), |len, line| len.min(common(first, line)));
    let tail = lines().fold(first.len(), |len, line| {
        len.min(first.iter().rev().zip(line.iter().rev()).take_while(|(a, b)| a == b).count())
    });
    let mut view = View::default();
    let mut at = 0;
    for line in text.split_inclusive(|b| *b == b'\n') {
        let body = if line.starts_with(b"data:") { line.trim_ascii_end() } else { &[] };
        let middle = body.get(head..body.len().saturating_sub(tail)).unwrap_or_default();
        for (number, byte) in middle.iter().enumerate() {
            view.push(*byte, at + head + number..at + head + number + 1);
        }
        view.changed += 1;
        at += line.len();
    }
    view
}

/// Reads a list of character codes: `115, 101, 99`, `0x73 0x65`, `[115,101]`.
pub(crate) fn listed(text: &[u8]) -> View {
    let mut view = View::default();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let hex = matches!(text.get(at..at + 2), Some(b"0x" | b"0X"));
        let from = at + if hex { 2 } else { 0 };
        let digits = text.get(from..).unwrap_or_default();
        let radix = if hex { 16 } else { 10 };
        let len = digits.iter().take(4).take_while(|b| char::from(**b).is_digit(radix)).count();
        let code = digits.get(..len).and_then(|d| number(d, radix));
        match code.and_then(|c| u8::try_from(c).ok()).filter(|c| matches!(c, 9 | 10 | 32..=126)) {
            Some(code) if len <= 3 => {
                view.push(code, at..from + len);
                view.changed += 1;
                at = from + len;
            }
            _ if matches!(byte, b',' | b' ' | b'[' | b']' | b'(' | b')' | b';' | b'\n' | b'\t') => {
                at += 1;
            }
            _ => {
                // Anything else ends a list.
                if view.bytes.last() != Some(&0) {
                    view.push(0, at..at + 1);
                }
                at += len.max(1);
            }
        }
    }
    view
}

/// A body that was compressed: gzip, zlib, or deflate alone. `Err` when it is one but too large to look into.
pub(crate) fn inflated(bytes: &[u8]) -> Result<Option<Vec<u8>>, TooLarge> {
    let result = match bytes {
        [0x1F, 0x8B, 8, flags, _, _, _, _, _, _, body @ ..] => {
            decompress_to_vec_with_limit(gzip_body(body, *flags), MAX_INFLATED)
        }
        [0x78, 0x01 | 0x5E | 0x9C | 0xDA, ..] => {
            decompress_to_vec_zlib_with_limit(bytes, MAX_INFLATED)
        }
        _ => decompress_to_vec_with_limit(bytes, MAX_INFLATED),
    };
    match result {
        Ok(body) => Ok(Some(body)),
        Err(DecompressError { status, output }) => match status {
            miniz_oxide::inflate::TINFLStatus::HasMoreOutput => Err(TooLarge),
            // A body that is cut short still says something.
            _ => Ok((output.len() >= 8).then_some(output)),
        },
    }
}

/// Whether a body was packed in a way that is not undone here, so that nothing can be said of what is in it: bzip2, xz,
/// zstd, lz4, 7z, rar.
pub(crate) fn packed(bytes: &[u8]) -> bool {
    const HEADS: [&[u8]; 5] = [
        b"\xFD7zXZ\0",
        b"\x28\xB5\x2F\xFD",
        b"\x04\x22\x4D\x18",
        b"7z\xBC\xAF\x27\x1C",
        b"Rar!\x1A\x07",
    ];
    let bzip2 = matches!(bytes, [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
        if rest.starts_with(b"1AY&SY"));
    bzip2 || HEADS.iter().any(|head| bytes.starts_with(head))
}

/// The members of a zip file, one after another, stored or deflated; what is encrypted or packed otherwise is left out.
/// Each is told by its own header, so a file that is cut short still says something.
pub(crate) fn unzipped(bytes: &[u8]) -> impl Iterator<Item = Result<Vec<u8>, TooLarge>> {
    let member = |at: usize| {
        let head = bytes.get(at..)?.first_chunk::<30>()?;
        let [.., name, more_name, extra, more_extra] = *head;
        let [_, _, _, _, _, _, flags, _, method, ..] = *head;
        let long = |low, high| usize::from(u16::from_le_bytes([low, high]));
        let body = at + head.len() + long(name, more_name) + long(extra, more_extra);
        let body = bytes.get(body..)?;
        match (flags & 1, method) {
            (0, 0) => {
                // A member that was written as a stream does not say its size here.
                let size = u32::from_le_bytes(*head.get(18..)?.first_chunk()?);
                let size = usize::try_from(size).ok().filter(|size| *size > 0);
                let end = size.unwrap_or(body.len()).min(body.len());
                Some(Ok(body.get(..end.min(MAX_INFLATED))?.to_vec()))
            }
            (0, 8) => match decompress_to_vec_with_limit(body, MAX_INFLATED) {
                Ok(body) => Some(Ok(body)),
                Err(DecompressError { status, output }) => match status {
                    miniz_oxide::inflate::TINFLStatus::HasMoreOutput => Some(Err(TooLarge)),
                    _ => Some(Ok(output)),
                },
            },
            _ => None,
        }
    };
    memchr::memmem::find_iter(bytes, ZIP).take(MAX_MEMBERS).filter_map(member)
}

/// How a member of a zip file begins.
pub(crate) const ZIP: &[u8] = b"PK\x03\x04";
/// So many members are looked at.
const MAX_MEMBERS: usize = 64;

/// More than there is time to look at.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// What follows gzip's optional fields.
fn gzip_body(mut body: &[u8], flags: u8) -> &[u8] {
    if flags & 4 != 0 {
        let len = body.first().map_or(0, |a| usize::from(*a))
            + body.get(1).map_or(0, |b| usize::from(*b) << 8);
        body = body.get(2 + len..).unwrap_or_default();
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let end = memchr::memchr(0, body).map_or(body.len(), |at| at + 1);
            body = body.get(end..).unwrap_or_default();
        }
    }
    if flags & 2 != 0 { body.get(2..).unwrap_or_default() } else { body }
}

const MAX_INFLATED: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_every_kind_are_undone_and_their_places_kept() {
        for text in [
            "p%61ss",
            "p\\u0061ss",
            "p\\x61ss",
            "p\\141ss",
            "p&#97;ss",
            "p&#x61;ss",
            "p\\\\u0061ss",
            "pa\u{200b}ss",
            "p\u{1b}[1mass",
        ] {
            let view = unescaped(text.as_bytes());
            assert_eq!(view.bytes, b"pass", "{text}");
            assert_eq!(view.span(&(0..4)), Some(0..text.len()));
        }
        assert_eq!(unescaped(b"b=3Dc").bytes, b"b=c");
    }

    #[test]
    fn pieces_are_joined_only_where_a_value_goes_on() {
        for (text, whole) in [
            ("x = \"abc\" + \"def\"", "x = \"abcdef\""),
            ("abc''def", "abcdef"),
            ("abc=\ndef", "abcdef"),
            ("abc\\\n  def", "abcdef"),
            (
                "T=rk_prod_WqgiQrcJyDuj\nmxLSFsLCWy2IN\nplease do",
                "T=rk_prod_WqgiQrcJyDujmxLSFsLCWy2IN\nplease do",
            ),
            ("A=1\nB=2", "A=1\nB=2"),
            ("T=rk_prod_WqgiQrcJyDuj\nPATH=/usr/bin", "T=rk_prod_WqgiQrcJyDuj\nPATH=/usr/bin"),
        ] {
            let read = joined(text.as_bytes()).map_or_else(|| text.into(), |view| view.bytes);
            assert_eq!(String::from_utf8_lossy(&read), whole);
        }
    }

    #[test]
    fn what_has_no_seam_is_not_read_again_and_what_has_keeps_its_places() {
        assert!(joined(b"let x = \"abc\"; // it's\nand y = 'd'\n").is_none());
        let view = joined(b"see \"abc\" + \"def\"").unwrap();
        assert_eq!(view.bytes, b"see \"abcdef\"");
        assert_eq!((view.span(&(0..3)), view.span(&(5..11))), (Some(0..3), Some(5..16)));
    }

    #[test]
    fn members_of_a_zip_file_are_read_whatever_their_header_leaves_out() {
        let member = |method: u8, flags: u8, size: u32, body: &[u8]| {
            let mut all = [ZIP, &[20, 0, flags, 0, method, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
            all.extend(size.to_le_bytes());
            all.extend([9, 0, 0, 0, 1, 0, 2, 0, b'n', b'x', b'x']);
            all.extend(body);
            all
        };
        let packed = miniz_oxide::deflate::compress_to_vec(b"deflated", 6);
        let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0; MAX_INFLATED + 1], 6);
        let file = [
            member(0, 0, 6, b"stored"),
            member(8, 8, 0, &packed),
            member(8, 1, 0, &packed),
            member(8, 0, 7, &bomb),
        ]
        .concat();
        let read: Vec<_> = unzipped(&file).map(Result::ok).collect();
        assert_eq!(read, [Some(b"stored".to_vec()), Some(b"deflated".to_vec()), None]);
        for cut in 0..file.len() {
            assert!(unzipped(&file[..cut]).count() <= 3);
        }
    }

    #[test]
    fn lists_are_read() {
        assert_eq!(listed(b"[115, 101, 99]").bytes, b"sec");
    }
}
