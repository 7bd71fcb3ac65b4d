//! What does an authenticator say? CBOR in the one form that CTAP2 has authenticators write; anything else has no reading.

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Bool(bool),
    Null,
}

impl<'a> Value<'a> {
    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub(super) fn int(&self) -> Option<i64> {
        if let Self::Int(int) = self { Some(*int) } else { None }
    }

    /// The pairs of a map.
    pub(super) fn pairs(&self) -> Option<&[(Self, Self)]> {
        if let Self::Map(pairs) = self { Some(pairs) } else { None }
    }

    /// What a map has under this key.
    pub(super) fn get(&self, key: &Value<'_>) -> Option<&Self> {
        self.pairs()?.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }
}

/// Reads one value from the beginning, and gives what stands behind it.
pub(super) fn read(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let mut reader = Reader(bytes);
    let value = reader.value(DEPTH)?;
    Some((value, reader.0))
}

/// Reads one value that is all there is.
pub(super) fn whole(bytes: &[u8]) -> Option<Value<'_>> {
    read(bytes).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        let depth = depth.checked_sub(1)?;
        let [first] = *self.take(1)? else { return None };
        let (major, info) = (first >> 5, first & 31);
        if major == 7 {
            return match info {
                20 => Some(Value::Bool(false)),
                21 => Some(Value::Bool(true)),
                22 => Some(Value::Null),
                _ => None,
            };
        }
        let argument = self.argument(info)?;
        match major {
            0 => i64::try_from(argument).ok().map(Value::Int),
            // -1 - argument.
            1 => i64::try_from(argument).ok().map(|argument| Value::Int(!argument)),
            2 => self.take(usize::try_from(argument).ok()?).map(Value::Bytes),
            3 => {
                let text = self.take(usize::try_from(argument).ok()?)?;
                std::str::from_utf8(text).ok().map(Value::Text)
            }
            4 => (0..argument).map(|_| self.value(depth)).collect::<Option<_>>().map(Value::Array),
            5 => self.map(argument, depth),
            _ => None,
        }
    }

    fn map(&mut self, count: u64, depth: usize) -> Option<Value<'a>> {
        let mut pairs: Vec<(Value<'a>, Value<'a>)> = Vec::new();
        for _ in 0..count {
            let key = self.value(depth)?;
            // What is said twice has two readings.
            if pairs.iter().any(|(known, _)| *known == key) {
                return None;
            }
            pairs.push((key, self.value(depth)?));
        }
        Some(Value::Map(pairs))
    }

    /// The number behind the first byte, in as few bytes as it needs.
    fn argument(&mut self, info: u8) -> Option<u64> {
        let (length, least) = match info {
            0..24 => return Some(u64::from(info)),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return None,
        };
        let number = self.take(length)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        (number >= least).then_some(number)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

/// As deep as CTAP2 nests.
const DEPTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_the_one_form_is_read() {
        let text = b"\xa3\x01\x02\x63key\x42\x07\x08\x38\x18\x82\xf5\xf6";
        let Some(Value::Map(pairs)) = whole(text) else { panic!() };
        assert_eq!(pairs[0], (Value::Int(1), Value::Int(2)));
        assert_eq!(pairs[1], (Value::Text("key"), Value::Bytes(&[7, 8])));
        let array = Value::Array(vec![Value::Bool(true), Value::Null]);
        assert_eq!(pairs[2], (Value::Int(-25), array));
        assert_eq!(read(b"\x00rest"), Some((Value::Int(0), b"rest".as_slice())));
        assert_eq!(whole(b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff"), Some(Value::Int(i64::MAX)));
    }

    #[test]
    fn what_has_another_form_is_not() {
        for bad in [
            b"".as_slice(),
            b"\x00\x00",                             // more behind it
            b"\x18\x17",                             // longer than it need be
            b"\x19\x00\xff",                         //
            b"\x1a\x00\x00\xff\xff",                 //
            b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff", //
            b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", // beyond what is counted with
            b"\x5f\x41\x00\xff",                     // of no told length
            b"\x9f\xff",                             //
            b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", // longer than all there is
            b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", //
            b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff", //
            b"\x62\xff\xff",                         // no text
            b"\xc0\x00",                             // a tag
            b"\xf9\x00\x00",                         // a number with a point
            b"\xf7",                                 // undefined
            b"\xa2\x01\x00\x01\x00",                 // a key twice
            b"\x81\x81\x81\x81\x00",                 // too deep
        ] {
            assert_eq!(whole(bad), None, "{bad:x?}");
        }
    }

    #[test]
    fn garbage_is_refused_or_read_and_never_more() {
        // xorshift: the same bytes at each run.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..4).flat_map(|_| next()).collect();
            if let Some((_, rest)) = read(&bytes) {
                assert!(rest.len() < bytes.len());
            }
        }
    }
}
