//! What kind of byte is this? Told by one look into a table, since it is asked of every byte that goes by.

/// A table of what a `const fn` says of each byte.
macro_rules! byte_table {
    ($value:path) => {{
        let mut table = [$value(0); 256];
        let mut rest = table.as_mut_slice();
        let mut byte = 0_u8;
        while let Some((slot, more)) = rest.split_first_mut() {
            *slot = $value(byte);
            byte = byte.wrapping_add(1);
            rest = more;
        }
        table
    }};
}
pub(crate) use byte_table;

/// Kinds of bytes; one byte may be of several.
pub(crate) mod kind {
    pub(crate) const LOWER: u8 = 1;
    pub(crate) const UPPER: u8 = 1 << 1;
    pub(crate) const DIGIT: u8 = 1 << 2;
    /// A hexadecimal digit.
    pub(crate) const HEX: u8 = 1 << 3;
    /// `_` and `-`, of which names are made besides letters and digits.
    pub(crate) const JOINS: u8 = 1 << 4;
    /// The other signs of base64: `+`, `/`, `=`.
    pub(crate) const CODE_SIGN: u8 = 1 << 5;
    /// ASCII white space.
    pub(crate) const SPACE: u8 = 1 << 6;
    /// The other signs of tokens: `.` and `~`.
    pub(crate) const TOKEN_SIGN: u8 = 1 << 7;
    pub(crate) const LETTER: u8 = LOWER | UPPER;
    pub(crate) const ALNUM: u8 = LETTER | DIGIT;
    /// What names are made of.
    pub(crate) const NAME: u8 = ALNUM | JOINS;
    /// What codes are written in: base64 of either alphabet, base32, hexadecimal.
    pub(crate) const CODE: u8 = NAME | CODE_SIGN;
    /// What tokens are made of.
    pub(crate) const TOKEN: u8 = CODE | TOKEN_SIGN;
}

/// The kinds of a byte, as bits of [`kind`].
pub(crate) fn kinds(byte: u8) -> u8 {
    KINDS.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Whether a byte is of any of these kinds.
pub(crate) fn is(byte: u8, any: u8) -> bool {
    kinds(byte) & any != 0
}

/// How many of some bytes are of a kind. Counted in numbers of one byte, which is done many at a time.
pub(crate) fn count(bytes: &[u8], of: impl Fn(u8) -> bool) -> usize {
    let (chunks, rest) = bytes.as_chunks::<16>();
    let chunk = |chunk: &[u8; 16]| chunk.iter().fold(0, |n, byte| n + u8::from(of(*byte)));
    let whole: usize = chunks.iter().map(|bytes| usize::from(chunk(bytes))).sum();
    whole + rest.iter().filter(|byte| of(**byte)).count()
}

const fn told(byte: u8) -> u8 {
    let kind = match byte {
        b'a'..=b'z' => kind::LOWER,
        b'A'..=b'Z' => kind::UPPER,
        b'0'..=b'9' => kind::DIGIT,
        b'_' | b'-' => kind::JOINS,
        b'+' | b'/' | b'=' => kind::CODE_SIGN,
        b'.' | b'~' => kind::TOKEN_SIGN,
        b if b.is_ascii_whitespace() => kind::SPACE,
        _ => 0,
    };
    if byte.is_ascii_hexdigit() { kind | kind::HEX } else { kind }
}

static KINDS: [u8; 256] = byte_table!(told);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_however_many_they_are() {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(600).collect();
        for len in 0..bytes.len() {
            let bytes = &bytes[..len];
            let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
            assert_eq!(count(bytes, |b| b.is_ascii_digit()), digits);
            assert_eq!(count(bytes, |_| true), len);
        }
    }

    #[test]
    fn the_table_says_what_the_library_says() {
        for byte in 0..=u8::MAX {
            assert_eq!(is(byte, kind::LOWER), byte.is_ascii_lowercase());
            assert_eq!(is(byte, kind::UPPER), byte.is_ascii_uppercase());
            assert_eq!(is(byte, kind::DIGIT), byte.is_ascii_digit());
            assert_eq!(is(byte, kind::HEX), byte.is_ascii_hexdigit());
            assert_eq!(is(byte, kind::SPACE), byte.is_ascii_whitespace());
            let sign = b"_-.+/=~".contains(&byte);
            assert_eq!(is(byte, kind::TOKEN), byte.is_ascii_alphanumeric() || sign);
        }
    }
}
