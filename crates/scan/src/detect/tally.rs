//! What do the weights of a text's features add up to, each counted once?

use super::concepts::Concept;
use super::features::Sink;
use super::shape::Shape;
use super::vocabulary::{Letters, Vocabulary};

/// The weights of some features: their sum, and below it how many they are. Both are added up at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Total {
    both: i64,
}

impl Total {
    const NONE: Self = Self { both: 0 };

    /// Those of two that have nothing in common.
    pub(super) const fn and(self, other: Self) -> Self {
        Self { both: self.both + other.both }
    }

    /// Those that are not among others, all of which are within.
    pub(super) const fn without(self, other: Self) -> Self {
        Self { both: self.both - other.both }
    }

    const fn of(weight: i8) -> Self {
        Self { both: ((weight as i64) << 32) + 1 }
    }

    // Without a branch, since nothing tells beforehand whether a feature is new.
    const fn add(&mut self, one: Self, counts: bool) {
        self.both += one.both & (counts as i64).wrapping_neg();
    }

    /// The sum as of a reading of length one, whatever the number of its features.
    pub(super) fn mean(self) -> f32 {
        let (sum, count) = (self.both >> 32, self.both & 0xFFFF_FFFF);
        // Sums of some thousand bytes are exact in this type.
        #[expect(
            clippy::cast_precision_loss,
            reason = "a few thousand features of at most 127 each"
        )]
        let (sum, count) = (sum as f32, count.max(1) as f32);
        sum / count.sqrt()
    }
}

/// The number of a text, or of a part of one.
pub(super) type Mark = u32;

/// A table: for each slot its weight, and above it the mark of the last text that touched it.
#[derive(Debug)]
pub(super) struct Layer<const SLOTS: usize> {
    // Of a known length, so that no place in it need be checked.
    cells: Box<[u32; SLOTS]>,
}

impl<const SLOTS: usize> Layer<SLOTS> {
    fn of(weights: &[u8]) -> Self {
        let mut cells = Box::new([0; SLOTS]);
        for (cell, weight) in cells.iter_mut().zip(weights) {
            *cell = u32::from(*weight);
        }
        Self { cells }
    }

    fn forget(&mut self) {
        for cell in self.cells.iter_mut() {
            *cell &= 0xFF;
        }
    }

    /// The mark of a slot, its weight, and the slot.
    fn cell(&mut self, hash: u32) -> Option<(Mark, Total, &mut u32)> {
        let cell = self.cells.get_mut(hash as usize & (SLOTS - 1))?;
        let [weight, ..] = cell.to_le_bytes();
        Some((*cell >> 8, Total::of(weight.cast_signed()), cell))
    }

    /// Counts features of a part of a text, and those that the part before it has as well.
    pub(super) fn touch(&mut self, hashes: impl Iterator<Item = u32>, part: &mut Part) {
        let (mut own, mut shared) = (Total::default(), Total::default());
        let own_mark = part.mark << 8;
        for hash in hashes {
            let Some((mark, weight, cell)) = self.cell(hash) else { return };
            own.add(weight, mark != part.mark);
            shared.add(weight, mark == part.before);
            *cell = own_mark | (*cell & 0xFF);
        }
        part.own = part.own.and(own);
        part.shared = part.shared.and(shared);
    }

    /// Counts features of a text unless they were counted for it before, or for two parts of it.
    pub(super) fn add(&mut self, hashes: impl Iterator<Item = u32>, rest: &mut Rest) {
        let [one, two] = rest.parts;
        for hash in hashes {
            let Some((mark, weight, cell)) = self.cell(hash) else { return };
            if mark != rest.mark && mark != one && mark != two {
                rest.total.add(weight, true);
                *cell = (rest.mark << 8) | (*cell & 0xFF);
            }
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
        Self { mark, before, own: Total::NONE, shared: Total::NONE }
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
        Self { mark, parts, total: Total::NONE }
    }
}

/// Both tables, and the words that were met.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) words: Layer<WORD_SLOTS>,
    pub(super) ideas: Layer<IDEA_SLOTS>,
    /// Of the text that is read; kept for its memory.
    pub(super) shape: Shape,
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
            shape: Shape::default(),
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
        self.tally.words.touch(std::iter::once(hash), self.part);
    }

    fn put_all(&mut self, hashes: &[u32]) {
        self.tally.words.touch(hashes.iter().copied(), self.part);
    }

    fn known(&mut self, word: Letters) -> Option<(u32, Option<Concept>)> {
        let word = self.tally.vocabulary.look_up(word)?;
        if word.text != self.part.mark {
            word.text = self.part.mark;
            self.tally.words.touch(word.slots(), self.part);
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
        self.tally.words.add(std::iter::once(hash), self.rest);
    }

    fn put_all(&mut self, hashes: &[u32]) {
        self.tally.words.add(hashes.iter().copied(), self.rest);
    }

    fn known(&mut self, word: Letters) -> Option<(u32, Option<Concept>)> {
        let word = self.tally.vocabulary.look_up(word)?;
        let [one, two] = self.rest.parts;
        if word.text != self.rest.mark && word.text != one && word.text != two {
            word.text = self.rest.mark;
            self.tally.words.add(word.slots(), self.rest);
        }
        Some((word.hash, word.idea))
    }
}

/// How many slots the table of words has.
pub(super) const WORD_SLOTS: usize = 1 << 16;
/// How many slots the table of ideas has.
pub(super) const IDEA_SLOTS: usize = 1 << 14;
/// A mark that nothing is counted under. Cells that nothing has touched are marked by nought.
pub(super) const NOBODY: Mark = 1;
/// A mark has three bytes.
const LAST: Mark = 0xFF_FFFF;
const FEW: Mark = 16;
