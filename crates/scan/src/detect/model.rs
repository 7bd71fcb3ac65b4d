//! How much does a reading look like an order to a machine?

use super::disguise::Disguise;
use super::features::features;
use super::signatures;
use std::cell::RefCell;

/// The trained weights. `scripts/train-injection` writes the file.
pub(super) static TABLE: Table = Table { bytes: include_bytes!("table.bin") };

/// Two linear tables over hashed features, and above them a second layer over their results and the signatures.
pub(super) struct Table {
    bytes: &'static [u8],
}

/// What the second layer looks at, for one reading.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// What the table of words says.
    pub(super) linear: f32,
    /// What the table of ideas says.
    pub(super) ideas: f32,
    /// Which signatures matched, a bit for each.
    pub(super) signatures: u32,
    /// What hid the text, a bit for each disguise.
    pub(super) disguises: u32,
}

impl Table {
    /// What the first layer says of a text: the log odds by its words and by the ideas they stand for.
    pub(super) fn linear(&self, text: &str) -> (f32, f32) {
        SEEN.with_borrow_mut(|(seen_words, seen_ideas)| {
            let mut words = Sum::new(seen_words, self.weights(0, WORD_SLOTS));
            let mut ideas = Sum::new(seen_ideas, self.weights(WORD_SLOTS, IDEA_SLOTS));
            features(text, &mut |hash| words.add(hash), &mut |hash| ideas.add(hash));
            (
                self.number(BIAS) + self.number(SCALE) * words.mean(),
                self.number(IDEAS_BIAS) + self.number(IDEAS_SCALE) * ideas.mean(),
            )
        })
    }

    fn weights(&self, from: usize, count: usize) -> &[u8] {
        self.bytes.get(HEADER_BYTES + from..HEADER_BYTES + from + count).unwrap_or_default()
    }

    /// The log odds of all the evidence together.
    pub(super) fn odds(&self, evidence: &Evidence) -> f32 {
        let mut odds = self.number(FINAL_BIAS)
            + self.number(FINAL_LINEAR) * evidence.linear.clamp(-8.0, 8.0)
            + self.number(FINAL_IDEAS) * evidence.ideas.clamp(-8.0, 8.0);
        for n in 0..signatures::COUNT {
            if evidence.signatures & (1 << n) != 0 {
                odds += self.number(FINAL_SIGNATURES + n);
            }
        }
        let several = evidence.signatures.count_ones();
        odds += self.number(FINAL_SEVERAL) * if several >= 2 { 1.0 } else { 0.0 };
        odds += self.number(FINAL_MANY) * if several >= 4 { 1.0 } else { 0.0 };
        for n in 0..Disguise::ALL.len() {
            if evidence.disguises & (1 << n) != 0 {
                odds += self.number(FINAL_DISGUISES + n);
            }
        }
        if evidence.disguises != 0 && (several > 0 || evidence.linear > 0.0) {
            odds += self.number(FINAL_DISGUISED);
        }
        odds
    }

    /// What is taken off the highest of so many windows: of a longer text, honest or not, one scores higher by chance. Bounded,
    /// so that nobody hides an order by writing much around it.
    pub(super) fn chances(&self, windows: usize) -> f32 {
        let windows = u8::try_from(windows).unwrap_or(MOST_CHANCES).clamp(1, MOST_CHANCES);
        self.number(FINAL_CHANCES) * f32::from(windows).ln()
    }

    fn number(&self, n: usize) -> f32 {
        let bytes = self.bytes.get(n * 4..n * 4 + 4).and_then(|b| b.try_into().ok());
        f32::from_le_bytes(bytes.unwrap_or_default())
    }
}

/// Log odds as a probability.
pub(super) fn probability(odds: f32) -> f32 {
    1.0 / (1.0 + (-odds).exp())
}

/// The weights of one reading's features in one table.
struct Sum<'a> {
    seen: &'a mut Seen,
    weights: &'a [u8],
    total: i32,
    count: u32,
}

impl<'a> Sum<'a> {
    fn new(seen: &'a mut Seen, weights: &'a [u8]) -> Self {
        seen.clear();
        Self { seen, weights, total: 0, count: 0 }
    }

    fn add(&mut self, hash: u32) {
        let slot = hash & self.seen.mask;
        if self.seen.add(slot) {
            self.count += 1;
            let weight = self.weights.get(slot as usize).copied().unwrap_or(0);
            self.total += i32::from(weight.cast_signed());
        }
    }

    /// The sum as of a reading of length one, whatever the number of its features.
    fn mean(&self) -> f32 {
        // Sums of some thousand bytes are exact in this type.
        #[expect(
            clippy::cast_precision_loss,
            reason = "a few thousand features of at most 127 each"
        )]
        let (sum, count) = (self.total as f32, self.count.max(1) as f32);
        sum / count.sqrt()
    }
}

/// Which slots a reading has touched: a feature counts once, however often it occurs.
struct Seen {
    mask: u32,
    bits: Vec<u64>,
}

impl Seen {
    fn of(slots: usize) -> Self {
        let mask = u32::try_from(slots - 1).unwrap_or(u32::MAX);
        Self { mask, bits: vec![0; slots / 64] }
    }

    fn add(&mut self, slot: u32) -> bool {
        let bit = 1_u64 << (slot & 63);
        match self.bits.get_mut((slot >> 6) as usize) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                true
            }
            _ => false,
        }
    }

    fn clear(&mut self) {
        self.bits.fill(0);
    }
}

thread_local! {
    static SEEN: RefCell<(Seen, Seen)> =
        RefCell::new((Seen::of(WORD_SLOTS), Seen::of(IDEA_SLOTS)));
}

const WORD_SLOTS: usize = 1 << 16;
const IDEA_SLOTS: usize = 1 << 14;
const SCALE: usize = 0;
const BIAS: usize = 1;
const FINAL_BIAS: usize = 2;
const FINAL_LINEAR: usize = 3;
const FINAL_DISGUISED: usize = 4;
const FINAL_SEVERAL: usize = 5;
const FINAL_MANY: usize = 6;
const FINAL_CHANCES: usize = 7;
const FINAL_SIGNATURES: usize = 8;
const FINAL_DISGUISES: usize = FINAL_SIGNATURES + signatures::COUNT;
const IDEAS_SCALE: usize = 32;
const IDEAS_BIAS: usize = 33;
const FINAL_IDEAS: usize = 34;
const HEADER_BYTES: usize = 40 * 4;
/// Windows beyond so many, 1.75 KB, change nothing.
const MOST_CHANCES: u8 = 6;
const _: () = assert!(FINAL_DISGUISES + Disguise::ALL.len() <= IDEAS_SCALE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signature_speaks_for_honesty() {
        let weights = (FINAL_SIGNATURES..FINAL_DISGUISES).chain([FINAL_SEVERAL, FINAL_MANY]);
        for n in weights {
            assert!(TABLE.number(n) >= 0.0, "{n}");
        }
    }
}
