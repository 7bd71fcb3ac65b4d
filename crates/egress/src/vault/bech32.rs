//! How is a key written down? Bech32 (BIP 173) without its limit on length, as age uses it.

use zeroize::Zeroizing;

/// Writes `bytes` under the prefix, in the prefix's case.
pub(super) fn encode(prefix: &str, bytes: &[u8]) -> Zeroizing<String> {
    let low = prefix.to_ascii_lowercase();
    let mut digits = Zeroizing::new(Vec::new());
    regroup(bytes, 8, 5, true, &mut digits);
    let sum = checksum(&low, &digits, 1);
    let mut text = Zeroizing::new(format!("{low}1"));
    let symbol =
        |digit: u8| ALPHABET.get(usize::from(digit)).map_or('?', |&symbol| char::from(symbol));
    text.extend(digits.iter().copied().map(symbol));
    text.extend((0..6).map(|at| symbol(u8::try_from(sum >> (5 * (5 - at)) & 31).unwrap_or(0))));
    if prefix != low {
        text.make_ascii_uppercase();
    }
    text
}

/// Reads what was written under the prefix, in the prefix's case and no other.
pub(super) fn decode(prefix: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let symbols = text.strip_prefix(prefix)?.strip_prefix('1')?;
    let low = prefix.to_ascii_lowercase();
    let upper = prefix != low;
    let digit = |symbol: u8| {
        let known = if upper { symbol.is_ascii_lowercase() } else { symbol.is_ascii_uppercase() };
        let at = ALPHABET.iter().position(|&own| own == symbol.to_ascii_lowercase());
        at.filter(|_| !known).and_then(|at| u8::try_from(at).ok())
    };
    let digits: Option<Vec<u8>> = symbols.bytes().map(digit).collect();
    let digits = Zeroizing::new(digits?);
    let data = digits.get(..digits.len().checked_sub(6)?)?;
    if polymod(&low, digits.iter().copied()) != 1 {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::new());
    regroup(data, 5, 8, false, &mut bytes).then_some(bytes)
}

fn checksum(prefix: &str, digits: &[u8], constant: u32) -> u32 {
    polymod(prefix, digits.iter().copied().chain([0; 6])) ^ constant
}

fn polymod(prefix: &str, digits: impl Iterator<Item = u8>) -> u32 {
    let high = prefix.bytes().map(|b| b >> 5);
    let low = prefix.bytes().map(|b| b & 31);
    let all = high.chain([0]).chain(low).chain(digits);
    all.fold(1, |sum: u32, digit| {
        let top = sum >> 25;
        let sum = (sum & 0x01ff_ffff) << 5 ^ u32::from(digit);
        (0..5)
            .filter(|bit| top >> bit & 1 == 1)
            .fold(sum, |sum, bit| sum ^ GENERATOR.get(bit).copied().unwrap_or(0))
    })
}

/// Makes groups of `to` bits out of groups of `from`; false when what is left over is not padding.
fn regroup(groups: &[u8], from: u32, to: u32, pad: bool, out: &mut Vec<u8>) -> bool {
    let (mut held, mut bits) = (0u32, 0);
    let mask = (1u32 << to) - 1;
    for &group in groups {
        held = (held << from | u32::from(group)) & 0xffff;
        bits += from;
        while bits >= to {
            bits -= to;
            out.push(u8::try_from(held >> bits & mask).unwrap_or(0));
        }
    }
    let left = held & ((1 << bits) - 1);
    if pad {
        if bits > 0 {
            out.push(u8::try_from(left << (to - bits) & mask).unwrap_or(0));
        }
        return true;
    }
    bits < from && left == 0
}

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];

#[cfg(test)]
mod tests {
    use super::*;

    /// From the age specification's own example identity.
    #[test]
    fn a_known_key_is_read_and_written() {
        let key = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        let bytes = decode("AGE-SECRET-KEY-", key).unwrap();
        assert_eq!(bytes.as_slice(), [0x42; 32]);
        assert_eq!(encode("AGE-SECRET-KEY-", &bytes).as_str(), key);
        assert!(decode("AGE-SECRET-KEY-", &key.replace("GFPYY", "GFPYQ")).is_none());
        assert!(decode("age", key).is_none());
    }

    #[test]
    fn bytes_of_every_length_come_back() {
        for length in 0..70u8 {
            let bytes: Vec<u8> = (0..length).map(|at| at.wrapping_mul(37)).collect();
            assert_eq!(*decode("age", &encode("age", &bytes)).unwrap(), bytes);
        }
    }
}
