//! Is a number one of many, told quickly and at times wrongly yes?

use std::hash::{BuildHasherDefault, Hasher};

/// A set of numbers that answers quickly and may be wrong when it says yes.
pub(crate) struct Filter {
    bits: Vec<u64>,
    shift: u32,
}

impl Filter {
    /// A set with at least `each` bits for each member.
    pub(crate) fn new(members: impl ExactSizeIterator<Item = u64>, each: usize) -> Self {
        let size = (members.len() * each).next_power_of_two().clamp(1 << 12, 1 << 24);
        let mut filter = Self { bits: vec![0; size / 64], shift: 64 - size.trailing_zeros() };
        for member in members {
            let (word, bit) = filter.place(member);
            if let Some(word) = filter.bits.get_mut(word) {
                *word |= bit;
            }
        }
        filter
    }

    fn place(&self, member: u64) -> (usize, u64) {
        let mixed = member.wrapping_mul(SPREAD);
        let hash = mixed >> self.shift;
        // Three bits of one word: a wrong yes is then rare, and costs no second look into memory.
        let bits = 1 << (hash & 63) | 1 << (mixed >> 24 & 63) | 1 << (mixed >> 32 & 63);
        (usize::try_from(hash >> 6).unwrap_or(0), bits)
    }

    pub(crate) fn has(&self, member: u64) -> bool {
        let (word, bit) = self.place(member);
        self.bits.get(word).is_some_and(|word| word & bit == bit)
    }
}

/// Hashes one number. What is hashed is chosen by nobody who could gain from collisions: the keys are the session's own.
pub(crate) type Spread = BuildHasherDefault<SpreadHasher>;

#[derive(Default)]
pub(crate) struct SpreadHasher(u64);

impl Hasher for SpreadHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(SPREAD);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// An odd number whose bits are as good as random: two to the power of 64 by the golden ratio.
pub(crate) const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_every_member_and_hardly_another() {
        let number = |n: u64| n.wrapping_mul(0xD134_2543_DE82_EF95) >> 16;
        let filter = Filter::new((0..100_000).map(number).collect::<Vec<_>>().into_iter(), 8);
        assert!((0..100_000).all(|n| filter.has(number(n))));
        let wrong = (100_000..200_000).filter(|n| filter.has(number(*n))).count();
        assert!(wrong < 10_000, "{wrong} of 100000");
    }
}
