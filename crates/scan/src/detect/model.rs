//! How much does a reading look like an order to a machine?

use super::disguise::Disguise;
use super::features::features;
use super::signatures;
use std::cell::RefCell;

/// The trained weights. `scripts/train-injection` writes the file.
pub(super) static TABLE: Table = Table { bytes: include_bytes!("table.bin") };

/// A linear table over hashed features, and above it a second one over its result and the signatures.
pub(super) struct Table {
    bytes: &'static [u8],
}

/// What the second table looks at, for one reading.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// The result of the first table.
    pub(super) linear: f32,
    /// Which signatures matched, a bit for each.
    pub(super) signatures: u32,
    /// What hid the text, a bit for each disguise.
    pub(super) disguises: u32,
}

impl Table {
    /// The log odds of the first table, by features alone.
    pub(super) fn linear(&self, text: &str) -> f32 {
        SEEN.with_borrow_mut(|seen| {
            seen.clear();
            let mut sum = 0_i32;
            let mut count = 0_u32;
            features(text, &mut |hash| {
                let slot = hash & SLOT_MASK;
                if seen.add(slot) {
                    count += 1;
                    let weight = self.bytes.get(HEADER_BYTES + slot as usize).copied().unwrap_or(0);
                    sum += i32::from(weight.cast_signed());
                }
            });
            // Sums of some thousand bytes are exact in this type.
            #[expect(
                clippy::cast_precision_loss,
                reason = "a few thousand features of at most 127 each"
            )]
            let (sum, count) = (sum as f32, count.max(1) as f32);
            self.number(BIAS) + self.number(SCALE) * sum / count.sqrt()
        })
    }

    /// The log odds of all the evidence together.
    pub(super) fn odds(&self, evidence: &Evidence) -> f32 {
        let mut odds =
            self.number(FINAL_BIAS) + self.number(FINAL_LINEAR) * evidence.linear.clamp(-8.0, 8.0);
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

    fn number(&self, n: usize) -> f32 {
        let bytes = self.bytes.get(n * 4..n * 4 + 4).and_then(|b| b.try_into().ok());
        f32::from_le_bytes(bytes.unwrap_or_default())
    }
}

/// Log odds as a probability.
pub(super) fn probability(odds: f32) -> f32 {
    1.0 / (1.0 + (-odds).exp())
}

/// Which slots a reading has touched: a feature counts once, however often it occurs.
struct Seen {
    bits: Vec<u64>,
    touched: Vec<u32>,
}

impl Seen {
    fn add(&mut self, slot: u32) -> bool {
        let bit = 1_u64 << (slot & 63);
        match self.bits.get_mut((slot >> 6) as usize) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                self.touched.push(slot >> 6);
                true
            }
            _ => false,
        }
    }

    fn clear(&mut self) {
        for slot in self.touched.drain(..) {
            if let Some(word) = self.bits.get_mut(slot as usize) {
                *word = 0;
            }
        }
    }
}

thread_local! {
    static SEEN: RefCell<Seen> =
        RefCell::new(Seen { bits: vec![0; (SLOT_MASK as usize + 1) / 64], touched: Vec::new() });
}

const SLOT_MASK: u32 = 0xFFFF;
const SCALE: usize = 0;
const BIAS: usize = 1;
const FINAL_BIAS: usize = 2;
const FINAL_LINEAR: usize = 3;
const FINAL_DISGUISED: usize = 4;
const FINAL_SEVERAL: usize = 5;
const FINAL_MANY: usize = 6;
const FINAL_SIGNATURES: usize = 8;
const FINAL_DISGUISES: usize = FINAL_SIGNATURES + signatures::COUNT;
const HEADER_BYTES: usize = 32 * 4;
const _: () = assert!(FINAL_DISGUISES + Disguise::ALL.len() <= HEADER_BYTES / 4);
