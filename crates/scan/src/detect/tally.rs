//! What do the weights of a text's features add up to, each counted once?

use super::concepts::Concept;
use super::features::Sink;
use super::vocabulary::{Letters, Vocabulary};

/// The weights of some features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) sum: i32,
    pub(super) count: u32,
}

impl Total {
    /// Those of two that have nothing in common.
    pub(super) const fn and(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, count: self.count + other.count }
    }

    /// Those that are not among others, all of which are within.
    pub(super) const fn without(self, other: Self) -> Self {
        Self { sum: self.sum - other.sum, count: self.count - other.count }
    }

    const fn add(&mut self, cell: u32, counts: bool) {
        // Without a branch, since nothing tells beforehand whether a feature is new.
        let mask = (counts as i32).wrapping_neg();
        let [weight, ..] = cell.to_le_bytes();
        self.sum += weight.cast_signed() as i32 & mask;
        self.count += counts as u32;
    }

    /// The sum as of a reading of length one, whatever the number of its features.
    pub(super) fn mean(self) -> f32 {
        // Sums of some thousand bytes are exact in this type.
        #[expect(
            clippy::cast_precision_loss,
            reason = "a few thousand features of at most 127 each"
        )]
        let (sum, count) = (self.sum as f32, self.count.max(1) as f32);
        sum / count.sqrt()
    }
}

/// The number of a text, or of a part of one.
pub(super) type Mark = u32;

/// A table: for each slot its weight, and above it the mark of the last text that touched it.
#[derive(Debug)]
pub(super) struct Layer {
    cells: Vec<u32>,
    mask: u32,
}

impl Layer {
    fn of(weights: &[u8]) -> Self {
        let cells: Vec<u32> = weights.iter().map(|weight| u32::from(*weight)).collect();
        Self { mask: u32::try_from(cells.len().saturating_sub(1)).unwrap_or(0), cells }
    }

    fn forget(&mut self) {
        for cell in &mut self.cells {
            *cell &= 0xFF;
        }
    }

    /// Counts a feature of a part of a text, and those that the part before it has as well.
    pub(super) fn touch(&mut self, hash: u32, part: &mut Part) {
        let Some(cell) = self.cells.get_mut((hash & self.mask) as usize) else { return };
        let mark = *cell >> 8;
        part.own.add(*cell, mark != part.mark);
        part.shared.add(*cell, mark == part.before);
        *cell = (part.mark << 8) | (*cell & 0xFF);
    }

    /// Counts a feature of a text unless it was counted for it before, or for two parts of it.
    pub(super) fn add(&mut self, hash: u32, rest: &mut Rest) {
        let Some(cell) = self.cells.get_mut((hash & self.mask) as usize) else { return };
        let mark = *cell >> 8;
        let [one, two] = rest.parts;
        if mark != rest.mark && mark != one && mark != two {
            rest.total.add(*cell, true);
            *cell = (rest.mark << 8) | (*cell & 0xFF);
        }
    }
}

/// One of the parts of a text, each of which is counted once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub(super) mark: Mark,
    /// The mark of the part before it, or [`NOBODY`].
    pub(super) before: Mark,
    /// All its features.
    pub(super) own: Total,
    /// Those that the part before has as well.
    pub(super) shared: Total,
}

impl Part {
    /// Nothing yet of a part that follows another.
    pub(super) const fn behind(mark: Mark, before: Mark) -> Self {
        let none = Total { sum: 0, count: 0 };
        Self { mark, before, own: none, shared: none }
    }
}

/// What of a text is in no part, or all of it where there are none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    mark: Mark,
    parts: [Mark; 2],
    pub(super) total: Total,
}

impl Rest {
    /// Nothing yet of a text without parts.
    pub(super) const fn all(mark: Mark) -> Self {
        Self::beside(mark, [mark; 2])
    }

    /// Nothing yet of what is in none of these two parts.
    pub(super) const fn beside(mark: Mark, parts: [Mark; 2]) -> Self {
        Self { mark, parts, total: Total { sum: 0, count: 0 } }
    }
}

/// Both tables, and the words that were met.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) words: Layer,
    pub(super) ideas: Layer,
    vocabulary: Vocabulary,
    mark: Mark,
    /// How often all that was counted has been forgotten.
    forgotten: u64,
}

impl Tally {
    /// Nothing counted yet of two tables.
    pub(super) fn of(words: &[u8], ideas: &[u8]) -> Self {
        Self {
            words: Layer::of(words),
            ideas: Layer::of(ideas),
            vocabulary: Vocabulary::default(),
            mark: NOBODY,
            forgotten: 0,
        }
    }

    /// Forgets what was counted of parts: what is counted next may be of another text.
    pub(super) fn forget(&mut self) {
        self.forgotten += 1;
        self.make_room();
    }

    /// Sees to it that there are marks for a few parts more, and tells how often parts have been forgotten.
    pub(super) fn make_room(&mut self) -> u64 {
        if self.mark > LAST - FEW {
            self.words.forget();
            self.ideas.forget();
            self.vocabulary.forget();
            self.mark = NOBODY;
            self.forgotten += 1;
        }
        self.forgotten
    }

    /// A mark that nothing has. Few of them may be taken until room is made again.
    pub(super) const fn next(&mut self) -> Mark {
        self.mark += 1;
        self.mark
    }
}

/// Counts the words of a part.
pub(super) struct Parts<'a> {
    pub(super) tally: &'a mut Tally,
    pub(super) part: &'a mut Part,
}

impl Sink for Parts<'_> {
    fn put(&mut self, hash: u32) {
        self.tally.words.touch(hash, self.part);
    }

    fn known(&mut self, word: Letters) -> Option<(u32, Option<Concept>)> {
        let word = self.tally.vocabulary.look_up(word)?;
        if word.text != self.part.mark {
            word.text = self.part.mark;
            for &slot in word.slots() {
                self.tally.words.touch(u32::from(slot), self.part);
            }
        }
        Some((word.hash, word.idea))
    }
}

/// Counts the words that are in no part.
pub(super) struct Rests<'a> {
    pub(super) tally: &'a mut Tally,
    pub(super) rest: &'a mut Rest,
}

impl Sink for Rests<'_> {
    fn put(&mut self, hash: u32) {
        self.tally.words.add(hash, self.rest);
    }

    fn known(&mut self, word: Letters) -> Option<(u32, Option<Concept>)> {
        let word = self.tally.vocabulary.look_up(word)?;
        let [one, two] = self.rest.parts;
        if word.text != self.rest.mark && word.text != one && word.text != two {
            word.text = self.rest.mark;
            for &slot in word.slots() {
                self.tally.words.add(u32::from(slot), self.rest);
            }
        }
        Some((word.hash, word.idea))
    }
}

/// A mark that nothing is counted under. Cells that nothing has touched are marked by nought.
pub(super) const NOBODY: Mark = 1;
/// A mark has three bytes.
const LAST: Mark = 0xFF_FFFF;
const FEW: Mark = 16;
