//! Where does one of many keywords stand, in any case?

/// A search for keywords that costs nearly the same for ten as for a thousand: three bytes at a time are looked up in
/// a bit table, and only where that says yes the keywords that begin so are compared.
pub(crate) struct Keywords {
    all: Vec<Vec<u8>>,
    /// One bit for each hash of three bytes that may begin a keyword.
    bits: Box<[u64; SLOTS / 64]>,
    /// For each such hash, which of `heads` it leads to, and which bytes may follow.
    slots: Vec<(u16, u32)>,
    /// The keywords with equal hashes.
    heads: Vec<Vec<usize>>,
}

impl Keywords {
    /// Takes keywords of at least three bytes, in lower case.
    pub(crate) fn new(all: Vec<Vec<u8>>) -> Self {
        let mut bits = Box::new([0; SLOTS / 64]);
        let mut slots = vec![(0, 0); SLOTS];
        let mut heads: Vec<Vec<usize>> = Vec::new();
        for (number, keyword) in all.iter().enumerate() {
            let slot = slot(keyword.iter().take(3).fold(0, |v, b| v << 8 | u32::from(*b)));
            let (Some(word), Some((which, follow))) =
                (bits.get_mut(slot / 64), slots.get_mut(slot))
            else {
                continue;
            };
            if *word >> (slot % 64) & 1 == 0 {
                *word |= 1 << (slot % 64);
                *which = u16::try_from(heads.len()).unwrap_or(u16::MAX);
                heads.push(Vec::new());
            }
            *follow |= keyword.get(3).map_or(u32::MAX, |b| 1 << (b & 31));
            if let Some(head) = heads.get_mut(usize::from(*which)) {
                head.push(number);
            }
        }
        Self { all, bits, slots, heads }
    }

    /// Reports each keyword in `text` as (number, place, length).
    pub(crate) fn each(&self, text: &[u8], mut hit: impl FnMut(usize, usize, usize)) {
        let mut head = 0_u32;
        for (at, &byte) in text.iter().enumerate() {
            head = (head << 8 | u32::from(byte.to_ascii_lowercase())) & 0xFF_FFFF;
            if self.may_begin(head) && at >= 2 {
                self.compare(head, text, at - 2, &mut hit);
            }
        }
    }

    fn may_begin(&self, head: u32) -> bool {
        let slot = slot(head);
        self.bits.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 != 0)
    }

    fn compare(
        &self,
        head: u32,
        text: &[u8],
        at: usize,
        hit: &mut impl FnMut(usize, usize, usize),
    ) {
        let here = text.get(at..).unwrap_or_default();
        let follow = here.get(3).map_or(u32::MAX, |b| 1 << (b & 31));
        let Some((which, _)) = self.slots.get(slot(head)).filter(|(_, may)| may & follow != 0)
        else {
            return;
        };
        for &number in self.heads.get(usize::from(*which)).map_or(&[][..], Vec::as_slice) {
            let Some(keyword) = self.all.get(number) else { continue };
            if here.get(..keyword.len()).is_some_and(|h| h.eq_ignore_ascii_case(keyword)) {
                hit(number, at, keyword.len());
            }
        }
    }
}

/// Where three bytes have their bit.
const fn slot(head: u32) -> usize {
    (head.wrapping_mul(0x9E37_79B1) >> (32 - SLOTS.trailing_zeros())) as usize
}

const SLOTS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_met_in_any_case_and_at_either_end() {
        let keywords = Keywords::new(
            ["token", "tok", "%20", "secret"].map(|k| k.as_bytes().to_vec()).to_vec(),
        );
        let found = |text: &str| {
            let mut all = Vec::new();
            keywords.each(text.as_bytes(), |number, at, len| all.push((number, at, len)));
            all
        };
        assert_eq!(found("TOKEN x"), [(0, 0, 5), (1, 0, 3)]);
        assert_eq!(found("a%20"), [(2, 1, 3)]);
        assert_eq!(found("my Secret"), [(3, 3, 6)]);
        assert_eq!(found("se tok"), [(1, 3, 3)]);
        assert!(found("").is_empty() && found("t").is_empty());
    }
}
