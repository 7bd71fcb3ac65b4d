//! What is in a frame of Amazon's event streams? A length, headers and a payload, under two checksums.
//!
//! Source: AWS, "Amazon event stream specification" (Smithy, `amazon-eventstream`).

/// A frame, read in its one way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    headers: Vec<(&'a str, &'a str)>,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}

/// The first frame of `bytes` and its length; nothing while it is not whole.
///
/// # Errors
/// It is no frame, or one with a header that is no text, or that is there twice.
pub(super) fn first(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, &'static str> {
    let Some((prelude, after)) = bytes.split_at_checked(PRELUDE) else { return Ok(None) };
    let front = prelude.get(..8).unwrap_or_default();
    if number(prelude, 8)? != crc(front) {
        return Err("a frame's length is damaged");
    }
    let (total, headers) = (number(prelude, 0)? as usize, number(prelude, 4)? as usize);
    let rest = total.checked_sub(PRELUDE + TAIL).and_then(|body| body.checked_sub(headers));
    if rest.is_none() || total > FRAME_MAX {
        return Err("a frame is larger or smaller than any that is known");
    }
    let Some(whole) = bytes.get(..total) else { return Ok(None) };
    let (checked, tail) = whole.split_at_checked(total - TAIL).ok_or(DAMAGED)?;
    if number(tail, 0)? != crc(checked) {
        return Err(DAMAGED);
    }
    let body = after.get(..total - PRELUDE - TAIL).ok_or(DAMAGED)?;
    let (headers, payload) = body.split_at_checked(headers).ok_or(DAMAGED)?;
    Ok(Some((Frame { headers: read(headers)?, payload }, total)))
}

/// Writes a frame.
pub(super) fn write(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        head.extend_from_slice(name.as_bytes());
        head.push(TEXT);
        head.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let total = PRELUDE + head.len() + payload.len() + TAIL;
    let mut frame = Vec::with_capacity(total);
    frame.extend_from_slice(&length(total));
    frame.extend_from_slice(&length(head.len()));
    let front = crc(&frame);
    frame.extend_from_slice(&front.to_be_bytes());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(payload);
    let whole = crc(&frame);
    frame.extend_from_slice(&whole.to_be_bytes());
    frame
}

fn read(mut bytes: &[u8]) -> Result<Vec<(&str, &str)>, &'static str> {
    const STRANGE: &str = "a frame has a header that is not known";
    let mut headers: Vec<(&str, &str)> = Vec::new();
    while let Some((&length, rest)) = bytes.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(length)).ok_or(STRANGE)?;
        let (&kind, rest) = rest.split_first().ok_or(STRANGE)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(STRANGE)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (value, rest) = rest.split_at_checked(length).ok_or(STRANGE)?;
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| STRANGE);
        let (name, value) = (text(name)?, text(value)?);
        if kind != TEXT || headers.iter().any(|(known, _)| *known == name) {
            return Err(STRANGE);
        }
        headers.push((name, value));
        bytes = rest;
    }
    Ok(headers)
}

fn number(bytes: &[u8], at: usize) -> Result<u32, &'static str> {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(DAMAGED)?;
    Ok(u32::from_be_bytes(*four))
}

/// CRC-32 as in IEEE 802.3.
fn crc(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        let low = usize::from(u8::try_from(sum & 0xff).unwrap_or_default() ^ byte);
        TABLE.get(low).copied().unwrap_or_default() ^ (sum >> 8)
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[expect(clippy::indexing_slicing, reason = "worked out when it is compiled, within its length")]
#[expect(clippy::cast_possible_truncation, reason = "it counts to 256")]
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut sum = at as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 };
            bit += 1;
        }
        table[at] = sum;
        at += 1;
    }
    table
};

const DAMAGED: &str = "a frame is damaged";
/// The type of a header that is text.
const TEXT: u8 = 7;
/// Both lengths, and the checksum of these.
const PRELUDE: usize = 12;
/// The checksum at the end.
const TAIL: usize = 4;
/// Largest frame, in bytes.
const FRAME_MAX: usize = 24 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// From the vectors of the AWS SDKs (`int8_header`'s sibling with a text header, and `empty_message`).
    #[test]
    fn frames_are_read_and_written_as_amazon_has_them() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        let empty = [0, 0, 0, 16, 0, 0, 0, 0, 5, 194, 72, 235, 125, 152, 200, 255];
        assert_eq!(write(&[], b""), empty);
        let (frame, length) = first(&empty).unwrap().unwrap();
        assert_eq!((frame.payload, length), (&b""[..], 16));
        let two = [write(&[("a", "b")], b"one"), write(&[], b"two")].concat();
        let (frame, length) = first(&two).unwrap().unwrap();
        assert_eq!((frame.header("a"), frame.payload), (Some("b"), &b"one"[..]));
        let (frame, _) = first(&two[length..]).unwrap().unwrap();
        assert_eq!((frame.header("a"), frame.payload), (None, &b"two"[..]));
    }

    #[test]
    fn a_frame_that_is_not_whole_is_waited_for_and_a_damaged_one_is_none() {
        let frame = write(&[(":event-type", "chunk")], b"{}");
        for end in 0..frame.len() {
            assert_eq!(first(&frame[..end]), Ok(None), "{end}");
        }
        for at in 0..frame.len() {
            let mut damaged = frame.clone();
            damaged[at] ^= 1;
            assert!(first(&damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn lengths_and_headers_that_lie_are_refused() {
        let with = |total: u32, headers: u32| {
            let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            let sum = crc(&bytes);
            bytes.extend(sum.to_be_bytes());
            bytes
        };
        for (total, headers) in [(0, 0), (15, 0), (16, 1), (u32::MAX, 0), (20, u32::MAX)] {
            assert!(first(&with(total, headers)).is_err(), "{total} {headers}");
        }
        assert!(first(&write(&[("a", "b"), ("a", "c")], b"")).is_err(), "one header twice");
        let mut other = write(&[("a", "b")], b"");
        let kind = 12 + 2;
        other[kind] = 6;
        let end = other.len() - 4;
        let sum = crc(&other[..end]);
        other[end..].copy_from_slice(&sum.to_be_bytes());
        assert!(first(&other).is_err(), "a header that is no text");
    }
}
