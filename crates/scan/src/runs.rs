//! What is written in digits of a code, and what does it say?

use crate::bytes::{byte_table, is, kind};
use std::ops::Range;

/// A code in which bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Base32,
    Base64,
    Hex,
}

/// Reports each run of base-64 digits, hexadecimal digits included, of at least `MIN_RUN` bytes.
///
/// Where a run may begin, it looks at the last of its first `MIN_RUN` bytes first: most of them are never looked at.
pub(crate) fn each_long(text: &[u8], mut found: impl FnMut(Range<usize>)) {
    // From `start` up to `told`, all bytes are digits.
    let (mut start, mut told) = (0, 0);
    while let Some(ahead) = text.get(told..start + MIN_RUN) {
        if let Some(at) = ahead.iter().rposition(|b| !digit(*b)) {
            (start, told) = (told + at + 1, start + MIN_RUN);
            continue;
        }
        let rest = text.get(start + MIN_RUN..).unwrap_or_default();
        let end = start + MIN_RUN + rest.iter().take_while(|b| digit(**b)).count();
        each_part(text, start..end, &mut found);
        (start, told) = (end + 1, end + 1);
    }
}

/// Reports the parts of a run that are long enough: what stands before a padding that goes on is a name, or a code of its
/// own, as in `data=aGVsbG8…`.
fn each_part(text: &[u8], run: Range<usize>, found: &mut impl FnMut(Range<usize>)) {
    let mut start = run.start;
    for sign in memchr::memchr_iter(
        b'=',
        text.get(..run.end).unwrap_or_default().get(run.start..).unwrap_or_default(),
    ) {
        let next = run.start + sign + 1;
        if next < run.end && text.get(next) != Some(&b'=') {
            if next - start >= MIN_RUN {
                found(start..next);
            }
            start = next;
        }
    }
    if run.end - start >= MIN_RUN {
        found(start..run.end);
    }
}

/// A run without the `0x`, or the `x` of `\x`, that says that it is in hexadecimal digits.
pub(crate) fn without_mark(text: &[u8], run: Range<usize>) -> Range<usize> {
    let digits = text.get(run.clone()).unwrap_or_default();
    let mark = match digits {
        [b'0', b'x' | b'X', ..] => 2,
        [b'x', ..] if run.start.checked_sub(1).and_then(|at| text.get(at)) == Some(&b'\\') => 1,
        _ => 0,
    };
    let rest = digits.get(mark..).unwrap_or_default();
    let hex = mark > 0 && rest.len() >= MIN_RUN && rest.iter().all(|b| is(*b, kind::HEX));
    if hex { run.start + mark..run.end } else { run }
}

/// Which code a run may be in and whether it says something: its first bytes are text or begin a compressed body.
pub(crate) fn worth(run: &[u8]) -> Option<Code> {
    let first = run.get(..64).unwrap_or(run);
    if first.iter().all(u8::is_ascii_hexdigit) {
        let head = Head::of(run, Code::Hex);
        return (run.len().is_multiple_of(2) && telling(head.bytes())).then_some(Code::Hex);
    }
    let [lower, upper, digits, _] = first
        .iter()
        .fold(0, |all, byte| all + SORTS.get(usize::from(*byte)).copied().unwrap_or(0))
        .to_le_bytes();
    if lower == 0 && base32_digits(run) && telling(Head::of(run, Code::Base32).bytes()) {
        return Some(Code::Base32);
    }
    // Words and paths have one case; base64 of any text has both, or digits.
    let two = [lower, upper, digits].iter().filter(|n| **n > 0).count() >= 2;
    let says = two && {
        let head = Head::of(run, Code::Base64);
        telling(head.bytes()) || deflated(run, head.bytes(), lower, upper, digits)
    };
    says.then_some(Code::Base64)
}

/// Whether a run is base64 of a text that was deflated, without a header that would say so.
fn deflated(run: &[u8], head: &[u8], lower: u8, upper: u8, digits: u8) -> bool {
    let short = run.len() < 24 || lower == 0 || upper == 0 || digits == 0;
    if short || run.len() > MAX_DEFLATED {
        return false;
    }
    // Most runs are random, and inflating costs more than all else that is done to one.
    if !head.try_into().is_ok_and(may_inflate) {
        return false;
    }
    let bytes = base64(run);
    crate::views::inflated(&bytes)
        .ok()
        .flatten()
        .is_some_and(|body| body.len() >= 8 && body.iter().take(32).all(|b| plain(*b)))
}

/// Whether a deflated text may begin so: the head of its one block says nothing impossible (RFC 1951, 3.2.3).
fn may_inflate(head: [u8; 12]) -> bool {
    let bits = head.iter().rev().fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    match bits & 7 {
        // Stored: the length, then its complement.
        1 => (bits >> 8 & 0xFFFF) ^ (bits >> 24 & 0xFFFF) == 0xFFFF,
        // Fixed codes.
        3 => may_say(bits >> 3),
        // Its own codes: at most 286 for literals and lengths, at most 30 for distances; the codes in which their
        // lengths are written leave no gap.
        5 => {
            let lengths = (bits >> 13 & 0xF) + 4;
            let space: u32 = (0..lengths)
                .map(|n| bits >> (17 + 3 * n) & 7)
                .filter(|length| *length > 0)
                .map(|length| 128 >> length)
                .sum();
            bits >> 3 & 0x1F <= 29 && bits >> 8 & 0x1F <= 29 && space == 128
        }
        _ => false,
    }
}

/// Whether signs in fixed codes, eleven at least, may begin a text: first come literals.
fn may_say(mut bits: u128) -> bool {
    for count in 0..11 {
        // The bits of a code stand in reverse.
        match u8::try_from(bits & 0xFF).unwrap_or(0).reverse_bits() {
            code @ 0x30..=0xBF if plain(code - 0x30) => bits >>= 8,
            // The end, or what repeats something.
            0..=0x2F | 0xC0..=0xC7 => return count > 0,
            _ => return false,
        }
    }
    true
}

/// Whether a byte is one that texts have.
const fn plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\t' | b'\r')
}

/// Whether bytes look like the beginning of a text, of a compressed body, or of a text in UTF-16.
fn telling(head: &[u8]) -> bool {
    let squeezed = head.starts_with(crate::views::ZIP)
        || matches!(head, [0x1F, 0x8B, 8, ..] | [0x78, 0x01 | 0x5E | 0x9C | 0xDA, ..]);
    let wide = head.len() >= 8
        && (head.chunks_exact(2).all(|pair| matches!(pair, [a, 0] if plain(*a)))
            || head.chunks_exact(2).all(|pair| matches!(pair, [0, a] if plain(*a))));
    !head.is_empty()
        && (head.iter().all(|b| plain(*b)) || squeezed || wide || crate::views::packed(head))
}

/// What the first digits of a run say.
struct Head {
    bytes: [u8; 12],
    len: usize,
}

impl Head {
    fn of(run: &[u8], code: Code) -> Self {
        let mut head = Self { bytes: [0; 12], len: 0 };
        unpack(run.get(..16).unwrap_or(run), code, |byte| {
            if let Some(slot) = head.bytes.get_mut(head.len) {
                *slot = byte;
                head.len += 1;
            }
        });
        head
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// What a run says, up to the first padding; signs outside of its alphabet are left out. Base64 is read in either of
/// its alphabets.
pub(crate) fn decode(code: Code, run: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(run.len());
    unpack(run, code, |byte| out.push(byte));
    out
}

pub(crate) fn base64(run: &[u8]) -> Vec<u8> {
    decode(Code::Base64, run)
}

pub(crate) fn hex(run: &[u8]) -> Vec<u8> {
    decode(Code::Hex, run)
}

fn base32_digits(run: &[u8]) -> bool {
    run.len() >= 16 && run.iter().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7' | b'='))
}

fn unpack(run: &[u8], code: Code, mut out: impl FnMut(u8)) {
    let (width, values) = match code {
        Code::Base32 => (5, &BASE32),
        Code::Base64 => (6, &BASE64),
        Code::Hex => (4, &HEX),
    };
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in run {
        let digit = values.get(usize::from(*byte)).copied().unwrap_or(NONE);
        if digit == NONE {
            continue;
        }
        bits = bits << width | u32::from(digit);
        count += width;
        if count >= 8 {
            count -= 8;
            let [byte, ..] = (bits >> count).to_le_bytes();
            out(byte);
        }
    }
}

fn digit(byte: u8) -> bool {
    is(byte, kind::CODE)
}

const fn base64_value(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => NONE,
    }
}

const fn base32_value(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => byte - b'A',
        b'2'..=b'7' => byte - b'2' + 26,
        _ => NONE,
    }
}

const fn hex_value(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => NONE,
    }
}

/// One for a small letter, a capital or a digit, each in a byte of its own, so that few of them are counted at once.
const fn sort(byte: u8) -> u32 {
    match byte {
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 1 << 8,
        b'0'..=b'9' => 1 << 16,
        _ => 0,
    }
}

static SORTS: [u32; 256] = byte_table!(sort);
/// What a byte is worth that is no digit.
const NONE: u8 = 0xFF;
const BASE32: [u8; 256] = byte_table!(base32_value);
const BASE64: [u8; 256] = byte_table!(base64_value);
const HEX: [u8; 256] = byte_table!(hex_value);
/// A shorter run says too little.
pub(crate) const MIN_RUN: usize = 16;
/// A longer run is not inflated on the chance that it was deflated.
const MAX_DEFLATED: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn runs(text: &str) -> Vec<Range<usize>> {
        let mut all = Vec::new();
        each_long(text.as_bytes(), |span| all.push(span));
        all
    }

    #[test]
    fn every_long_run_is_met_wherever_it_stands() {
        for before in 0..40 {
            let text = format!("{}{} x", ". ".repeat(before), "A".repeat(16));
            assert_eq!(runs(&text), vec![before * 2..before * 2 + 16]);
        }
        assert!(runs("words that are all short and nothing else").is_empty());
    }

    #[test]
    fn a_run_ends_where_a_padding_goes_on() {
        let code = "aGVsbG8gd29ybGQhIQ==";
        assert_eq!(runs(&format!("data={code} x")), vec![5..25]);
        assert_eq!(runs(&format!("{code}{code}")), vec![0..20, 20..40]);
        assert!(runs("a=b=c=d=e=f=g=h=i=j=k=l=").is_empty());
    }

    #[test]
    fn what_was_deflated_is_met_by_its_head() {
        let texts = [
            "password=hunter2-and-more-of-it".to_owned(),
            "\tindented, and a tab".repeat(9),
            (0..400).map(|n| (n * 7919).to_string()).collect::<Vec<_>>().join("\n"),
        ];
        for text in &texts {
            for level in 0..=10 {
                let body = miniz_oxide::deflate::compress_to_vec(text.as_bytes(), level);
                let run = STANDARD.encode(&body);
                assert!(
                    run.len() > MAX_DEFLATED
                        || deflated(
                            run.as_bytes(),
                            Head::of(run.as_bytes(), Code::Base64).bytes(),
                            1,
                            1,
                            1
                        ),
                    "{level}: {text}"
                );
            }
        }
    }

    #[test]
    fn what_is_told_by_its_head_is_no_text() {
        let (mut state, mut may) = (1_u64, 0);
        for _ in 0..3000 {
            let mut body: Vec<u8> = (0..24)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()[3]
                })
                .collect();
            // One block, in fixed codes.
            body[0] = body[0] & !7 | 3;
            let says = crate::views::inflated(&body)
                .ok()
                .flatten()
                .is_some_and(|text| text.len() >= 8 && text.iter().take(32).all(|b| plain(*b)));
            let head = may_inflate(body[..12].try_into().unwrap());
            assert!(head || !says, "{body:?}");
            may += usize::from(head);
        }
        assert!((1..600).contains(&may), "{may}");
        // A text of one sign repeats its first.
        let body = miniz_oxide::deflate::compress_to_vec(&[b'a'; 9000], 9);
        assert!(body.len() < 12 || may_inflate(body[..12].try_into().unwrap()));
    }

    #[test]
    fn only_a_run_that_says_something_is_worth_decoding() {
        for run in [
            "cGFzc3dvcmQ9aHVudGVyMg==",
            "70617373776f72643d68756e74657232",
            "H4sIAAAAAAAAA0s",
            "OBQXG43XN5ZGIPLIOVXHIZLS",
            "cABhAHMAcwB3AG8A",
        ] {
            assert!(worth(run.as_bytes()).is_some(), "{run}");
        }
        for run in
            ["4acc24bc6c609ed1430a748e43fd536d", "cnQeGP0wC7JvPqgPC3Tpmaw5", "src/module_name/file"]
        {
            assert_eq!(worth(run.as_bytes()), None, "{run}");
        }
    }
}
