//! What do the digits of a dump say: `xxd`, `hexdump`, `od`?

use crate::runs::hex;
use crate::views::View;

/// Reads the column of digits or characters of a dump: bytes as written, or each group of digits backwards.
pub(crate) fn read(text: &[u8], swapped: bool) -> View {
    let mut view = View::default();
    let mut at = 0;
    for line in text.split_inclusive(|b| *b == b'\n') {
        if dump_address(line) && !characters(line.trim_ascii_end(), at, &mut view) {
            digits(line, at, swapped, &mut view);
        }
        at += line.len();
    }
    view
}

/// A line of groups of digits behind an address.
fn digits(line: &[u8], at: usize, swapped: bool, view: &mut View) {
    let address = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let mut position = address + usize::from(line.get(address) == Some(&b':'));
    let mut written = 0;
    while written < 16 {
        let rest = line.get(position..).unwrap_or_default();
        let gap = rest.iter().take_while(|b| **b == b' ').count();
        let group = rest.iter().skip(gap).take_while(|b| b.is_ascii_hexdigit()).count();
        let close = rest.get(gap + group).is_none_or(u8::is_ascii_whitespace);
        let Some(mut bytes) = rest.get(gap..gap + group).and_then(group_bytes) else { return };
        if gap == 0 || gap > 3 || !close {
            return;
        }
        let start = at + position + gap;
        if swapped {
            bytes.reverse();
        }
        let width = group / bytes.len().max(1);
        for (number, byte) in bytes.into_iter().enumerate() {
            let place = if swapped { 0..group } else { number * width..(number + 1) * width };
            view.push(byte, start + place.start..start + place.end);
            view.changed += 1;
            written += 1;
        }
        position += gap + group;
    }
}

/// The bytes of one group: hexadecimal, or octal as `od` writes one byte or two.
fn group_bytes(group: &[u8]) -> Option<Vec<u8>> {
    let octal = || group.iter().try_fold(0_u32, |v, b| Some(v << 3 | char::from(*b).to_digit(8)?));
    match group.len() {
        2 | 4 | 8 => Some(hex(group)),
        3 => Some(vec![u8::try_from(octal()?).ok()?]),
        6 => Some(u16::try_from(octal()?).ok()?.to_be_bytes().to_vec()),
        _ => None,
    }
}

/// A line of `od -c`: cells of four, with a character, an escape or three octal digits in each.
fn characters(line: &[u8], at: usize, view: &mut View) -> bool {
    let address = line.get(..7).is_some_and(|a| a.iter().all(u8::is_ascii_digit));
    let Some(cells) = line.get(7..).filter(|_| address) else { return false };
    let read = |cell: &[u8]| match cell.trim_ascii_start() {
        [c] => Some(*c),
        [b'\\', b'n'] => Some(b'\n'),
        [b'\\', b't'] => Some(b'\t'),
        [b'\\', _] => Some(0),
        [] => Some(b' '),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = cells.chunks(4).map(read).collect();
    let Some(bytes) = bytes.filter(|bytes| bytes.len() > 1) else { return false };
    for (number, byte) in bytes.into_iter().enumerate() {
        let start = at + 7 + number * 4;
        view.push(byte, start..(start + 4).min(at + line.len()));
        view.changed += 1;
    }
    true
}

/// Whether a line begins as a dump's does: an address, then digits.
pub(crate) fn dump_address(line: &[u8]) -> bool {
    let address = line.iter().take(17).take_while(|b| b.is_ascii_hexdigit()).count();
    (4..=16).contains(&address)
        && matches!(
            line.get(address..address + 2),
            Some([b':' | b' ', b' '] | [b' ', b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F'])
        )
        && line.get(..address).is_some_and(|a| a.last() == Some(&b'0') || a.len() >= 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_bytes_is_read() {
        let xxd = "00000000: 7365 6372 6574 2d76  secret-v\n00000008: 616c 7565            alue\n";
        assert_eq!(read(xxd.as_bytes(), false).bytes, b"secret-value");
        let canonical =
            "00000000  73 65 63 72 65 74 2d 76  61 6c 75 65              |secret-value|\n";
        assert_eq!(read(canonical.as_bytes(), false).bytes, b"secret-value");
        assert_eq!(read(b"0000000 6573 7263 7465\n", true).bytes, b"secret");
        assert_eq!(read(b"0000000 062563 071143\n", true).bytes, b"secr");
        assert_eq!(read(b"0000000 163 145 143\n", false).bytes, b"sec");
        assert_eq!(read(b"0000000   s   e   c  \\n\n", false).bytes, b"sec\n");
    }
}
