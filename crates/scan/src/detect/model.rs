//! How much does a reading look like an order to a machine?

use super::concepts::Mentions;
use super::disguise::Disguise;
use super::features::{self, Place};
use super::signatures;
use super::tally::{IDEA_SLOTS, Rest, Rests, Tally, Total, WORD_SLOTS};
use std::cell::RefCell;
use std::iter::once;

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

impl Evidence {
    /// What the first layer says, and nothing else.
    pub(super) fn of((linear, ideas): (f32, f32)) -> Self {
        Self { linear, ideas, ..Self::default() }
    }
}

impl Table {
    /// What the first layer says of a text: the log odds by its words and by the ideas they stand for.
    pub(super) fn linear(&self, text: &str) -> (f32, f32) {
        with_tally(|tally| {
            tally.forget();
            let mark = tally.next();
            let (mut words, mut ideas) = (Rest::all(mark), Rest::all(mark));
            let mut mentions = Mentions::default();
            let sink = &mut Rests { tally, rest: &mut words };
            let mut shape = std::mem::take(&mut sink.tally.shape);
            shape.read(text.as_bytes());
            let all = 0..text.len();
            features::walk((text, &shape), all, &mut Place::default(), &mut mentions, sink);
            tally.shape = shape;
            mentions.features(&mut |hash| tally.ideas.add(once(hash), &mut ideas));
            self.of_totals(words.total, ideas.total)
        })
    }

    /// As [`Self::linear`], of the weights of all its words and of all its ideas.
    pub(super) fn of_totals(&self, words: Total, ideas: Total) -> (f32, f32) {
        (
            self.number(BIAS) + self.number(SCALE) * words.mean(),
            self.number(IDEAS_BIAS) + self.number(IDEAS_SCALE) * ideas.mean(),
        )
    }

    fn weights(&self, from: usize, count: usize) -> &[u8] {
        self.bytes.get(HEADER_BYTES + from..HEADER_BYTES + from + count).unwrap_or_default()
    }

    /// The log odds of all the evidence together.
    pub(super) fn odds(&self, evidence: &Evidence) -> f32 {
        let mut odds = self.number(FINAL_BIAS)
            + self.number(FINAL_LINEAR) * evidence.linear.clamp(-8.0, 8.0)
            + self.number(FINAL_IDEAS) * evidence.ideas.clamp(-8.0, 8.0);
        for n in each(evidence.signatures) {
            odds += self.number(FINAL_SIGNATURES + n);
        }
        let several = evidence.signatures.count_ones();
        odds += self.number(FINAL_SEVERAL) * if several >= 2 { 1.0 } else { 0.0 };
        odds += self.number(FINAL_MANY) * if several >= 4 { 1.0 } else { 0.0 };
        for n in each(evidence.disguises) {
            odds += self.number(FINAL_DISGUISES + n);
        }
        let strange = evidence.disguises & !EVERYDAY;
        if strange != 0 && (several > 0 || evidence.linear > 0.0) {
            odds += self.number(FINAL_DISGUISED);
        }
        if evidence.disguises & EVERYDAY != 0
            && (several > 0 || evidence.linear + evidence.ideas > 0.0)
        {
            odds += self.number(FINAL_EVERYDAY);
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

/// The numbers of the bits that are set, from the lowest on: mostly there are none.
fn each(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let next = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(next)
    })
}

/// Log odds as a probability.
pub(super) fn probability(odds: f32) -> f32 {
    1.0 / (1.0 + (-odds).exp())
}

/// Lets the weights of texts be added up.
pub(super) fn with_tally<T>(count: impl FnOnce(&mut Tally) -> T) -> T {
    TALLY.with_borrow_mut(count)
}

thread_local! {
    static TALLY: RefCell<Tally> = RefCell::new(Tally::of(
        TABLE.weights(0, WORD_SLOTS),
        TABLE.weights(WORD_SLOTS, IDEA_SLOTS),
    ));
}

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
const IDEAS_SCALE: usize = 40;
const IDEAS_BIAS: usize = 41;
const FINAL_IDEAS: usize = 42;
const FINAL_EVERYDAY: usize = 43;
const HEADER_BYTES: usize = 48 * 4;
/// The disguises that honest texts have too.
const EVERYDAY: u32 = {
    let (mut bits, mut n) = (0, 0);
    while n < Disguise::ALL.len() {
        #[expect(clippy::indexing_slicing, reason = "checked when it is built")]
        if Disguise::ALL[n].everyday() {
            bits |= 1 << n;
        }
        n += 1;
    }
    bits
};
/// Windows beyond so many, 1.75 KB, change nothing.
const MOST_CHANCES: u8 = 6;
const _: () = assert!(FINAL_DISGUISES + Disguise::ALL.len() <= IDEAS_SCALE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signature_speaks_for_honesty() {
        let weights = (FINAL_SIGNATURES..FINAL_DISGUISES).chain([
            FINAL_SEVERAL,
            FINAL_MANY,
            FINAL_DISGUISED,
            FINAL_EVERYDAY,
        ]);
        for n in weights {
            assert!(TABLE.number(n) >= 0.0, "{n}");
        }
    }
}
