//! Where in a text stand the words by which patterns are told?
//!
//! One automaton for all of them, as Aho and Corasick have it. Each step waits for the one before, mostly for memory, so
//! that several parts of a text are read at once: while one waits, the others go on. Rows are as short as the letters
//! of the words allow and stand in the order of their depth, which keeps those together that most texts need.

use super::effort;
use std::collections::VecDeque;
use std::ops::Range;

/// Words to be sought together, each known by its number.
#[derive(Debug)]
pub(super) struct Landmarks {
    /// For each byte its column; bytes that no word has share the first.
    columns: [u8; 256],
    /// For each state a row: the state that follows each byte, and whether words end there.
    rows: Vec<u16>,
    /// How many columns a row has, as a power of two.
    width: u32,
    /// For each state where in `ending` its words begin; one more at the end.
    ends: Vec<u32>,
    /// The words that end in a state, the longest first, and how long they are.
    ending: Vec<(u16, u16)>,
    longest: usize,
}

/// One place of one word, in bytes of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) word: usize,
}

impl Default for Landmarks {
    /// No words.
    fn default() -> Self {
        let (ends, ending) = (vec![0; 2], Vec::new());
        Self { columns: [0; 256], rows: vec![0], width: 0, ends, ending, longest: 0 }
    }
}

impl Landmarks {
    /// Readies words to be sought; too many of them are an error.
    pub(super) fn of(words: &[Vec<u8>]) -> Result<Self, String> {
        let longest = words.iter().map(Vec::len).max().unwrap_or(0);
        let mut marks = Self { longest, ..Self::default() };
        let mut used = [false; 256];
        for &byte in words.iter().flatten() {
            if let Some(slot) = used.get_mut(usize::from(byte)) {
                *slot = true;
            }
        }
        let mut count: u32 = 0;
        for (column, _) in marks.columns.iter_mut().zip(used).filter(|(_, used)| *used) {
            count += 1;
            *column = u8::try_from(count).map_err(|_| TOO_MANY.to_owned())?;
        }
        marks.width = (count + 1).next_power_of_two().ilog2();
        marks.grow(words)?;
        Ok(marks)
    }

    /// Makes the states, the less deep first: each stands for what some words begin with.
    fn grow(&mut self, words: &[Vec<u8>]) -> Result<(), String> {
        let mut order: Vec<u16> = (0..=u16::MAX).take(words.len()).collect();
        if order.len() < words.len() {
            return Err(TOO_MANY.to_owned());
        }
        let word = |number: &u16| words.get(usize::from(*number)).map_or(&[][..], Vec::as_slice);
        order.sort_unstable_by_key(word);
        self.rows.clear();
        self.ends = vec![0];
        let mut states: u16 = 1;
        // The words that begin alike, how many of their bytes that is, and the state of the longest ending of these that
        // is a state.
        let mut queue = VecDeque::from([(0..order.len(), 0, 0_u16)]);
        while let Some((range, depth, back)) = queue.pop_front() {
            let alike = order.get(range.clone()).unwrap_or_default();
            let whole = alike.partition_point(|number| word(number).len() <= depth);
            let len = u16::try_from(depth).map_err(|_| TOO_MANY)?;
            self.ending.extend(alike.iter().take(whole).map(|number| (*number, len)));
            let row = self.begin_row(back);
            let mut from = range.start + whole;
            let more = alike.get(whole..).unwrap_or_default();
            for group in more.chunk_by(|one, two| word(one).get(depth) == word(two).get(depth)) {
                let byte = group.first().and_then(|number| word(number).get(depth));
                let column = byte.and_then(|byte| self.columns.get(usize::from(*byte)));
                let at = row + column.copied().map_or(0, usize::from);
                if let Some(slot) = self.rows.get_mut(at) {
                    queue.push_back((from..from + group.len(), depth + 1, *slot));
                    *slot = states;
                }
                from += group.len();
                states = states.checked_add(1).filter(|n| *n < ENDS).ok_or(TOO_MANY)?;
            }
        }
        let ends = &self.ends;
        for slot in &mut self.rows {
            let state = usize::from(*slot);
            if ends.get(state) != ends.get(state + 1) {
                *slot |= ENDS;
            }
        }
        Ok(())
    }

    /// Begins the row of the next state as that of the one it falls back to, whose words end in it as well.
    fn begin_row(&mut self, back: u16) -> usize {
        let (row, back) = (self.rows.len(), usize::from(back));
        if row == 0 {
            self.rows.resize(1 << self.width, 0);
        } else {
            let from = back << self.width;
            self.rows.extend_from_within(from..from + (1 << self.width));
            if let (Some(&first), Some(&last)) = (self.ends.get(back), self.ends.get(back + 1)) {
                self.ending.extend_from_within(first as usize..last as usize);
            }
        }
        self.ends.push(u32::try_from(self.ending.len()).unwrap_or(u32::MAX));
        row
    }

    /// Puts every place of every word into `hits`, in the order in which they end.
    pub(super) fn find(&self, text: &str, hits: &mut Vec<Hit>) {
        effort::took(text.len());
        let bytes = text.as_bytes();
        let part = bytes.len() / STREAMS;
        if part < self.longest * FEW {
            let mut state = 0;
            for (at, &byte) in bytes.iter().enumerate() {
                state = self.step(state, byte);
                if state & ENDS != 0 {
                    self.told(state, at + 1, hits);
                }
            }
            return;
        }
        // What ends in a part began in it or a little before.
        let mut states = [0, 1, 2, 3].map(|n| {
            let before = bytes.get((n * part).saturating_sub(self.longest)..n * part);
            before.unwrap_or_default().iter().fold(0, |state, byte| self.step(state, *byte))
        });
        let mut found = [const { Vec::new() }; STREAMS];
        let mut ends = [const { Ends { set: 0, states: [0; BLOCK] } }; STREAMS];
        let mut from = 0;
        while from < part {
            let to = (from + BLOCK).min(part);
            let blocks =
                [0, 1, 2, 3].map(|n| bytes.get(n * part + from..n * part + to).unwrap_or_default());
            self.read(&mut states, blocks, &mut ends);
            for (n, (found, ends)) in found.iter_mut().zip(&ends).enumerate() {
                for (at, state) in ends.told(to - from) {
                    self.told(state, n * part + from + at + 1, found);
                }
            }
            from = to;
        }
        hits.extend(found.iter().flatten());
        let [.., mut state] = states;
        for (at, &byte) in bytes.iter().enumerate().skip(part * STREAMS) {
            state = self.step(state, byte);
            if state & ENDS != 0 {
                self.told(state, at + 1, hits);
            }
        }
    }

    /// Reads a block of each stream.
    fn read(
        &self,
        states: &mut [u16; STREAMS],
        blocks: [&[u8]; STREAMS],
        ends: &mut [Ends; STREAMS],
    ) {
        let [ends_1, ends_2, ends_3, ends_4] = ends;
        let [mut state_1, mut state_2, mut state_3, mut state_4] = *states;
        let [block_1, block_2, block_3, block_4] = blocks;
        let bytes = block_1.iter().zip(block_2).zip(block_3.iter().zip(block_4));
        let slots_1 = ends_1.states.iter_mut().zip(&mut ends_2.states);
        let slots_2 = ends_3.states.iter_mut().zip(&mut ends_4.states);
        let [mut set_1, mut set_2, mut set_3, mut set_4] = [0; STREAMS];
        for (((one, two), (three, four)), ((slot_1, slot_2), (slot_3, slot_4))) in
            bytes.zip(slots_1.zip(slots_2))
        {
            state_1 = self.step(state_1, *one);
            state_2 = self.step(state_2, *two);
            state_3 = self.step(state_3, *three);
            state_4 = self.step(state_4, *four);
            (*slot_1, *slot_2) = (state_1, state_2);
            (*slot_3, *slot_4) = (state_3, state_4);
            set_1 = (set_1 << 1) | u64::from(state_1 >> 15);
            set_2 = (set_2 << 1) | u64::from(state_2 >> 15);
            set_3 = (set_3 << 1) | u64::from(state_3 >> 15);
            set_4 = (set_4 << 1) | u64::from(state_4 >> 15);
        }
        (ends_1.set, ends_2.set, ends_3.set, ends_4.set) = (set_1, set_2, set_3, set_4);
        *states = [state_1, state_2, state_3, state_4];
    }

    /// The state behind one more byte.
    fn step(&self, state: u16, byte: u8) -> u16 {
        let row = usize::from(state & !ENDS) << self.width;
        let column = self.columns.get(usize::from(byte)).copied().map_or(0, usize::from);
        self.rows.get(row + column).copied().unwrap_or(0)
    }

    /// Puts the words that end in a state into `hits`.
    fn told(&self, state: u16, end: usize, hits: &mut Vec<Hit>) {
        let at = usize::from(state & !ENDS);
        let place = |at: usize| self.ends.get(at).map_or(0, |n| *n as usize);
        let words = self.ending.get(place(at)..place(at + 1)).unwrap_or_default();
        for &(word, len) in words {
            let start = end.saturating_sub(usize::from(len));
            hits.push(Hit { start, end, word: usize::from(word) });
        }
    }
}

/// The states of a block, and a bit for each in which words end, the lowest for the last.
struct Ends {
    set: u64,
    states: [u16; BLOCK],
}

impl Ends {
    /// Those in which words end, in order, and where they stand in a block of so many bytes.
    fn told(&self, count: usize) -> impl Iterator<Item = (usize, u16)> + '_ {
        let mut rest = self.set << (BLOCK - count);
        std::iter::from_fn(move || {
            let at = (rest != 0).then(|| rest.leading_zeros() as usize)?;
            rest &= !(1 << (BLOCK - 1 - at));
            Some((at, self.states.get(at).copied().unwrap_or(0)))
        })
    }
}

/// Those of `hits` that lie within a part of the text, in the order in which they end.
pub(super) fn within(hits: &[Hit], part: Range<usize>) -> impl Iterator<Item = Hit> + Clone + '_ {
    let from = hits.partition_point(|hit| hit.end <= part.start);
    let rest = hits.get(from..).unwrap_or_default().iter();
    rest.take_while(move |hit| hit.end <= part.end)
        .filter(move |hit| hit.start >= part.start)
        .copied()
}

/// The bit of a state in which words end.
const ENDS: u16 = 0x8000;
const STREAMS: usize = 4;
/// So many bytes are read of each stream at a time, a bit for each.
const BLOCK: usize = 64;
/// In texts in which parts would be shorter than so many times the longest word it would not be worth it.
const FEW: usize = 4;
const TOO_MANY: &str = "too many words";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_place_of_every_word_is_found_in_order() {
        let words: Vec<Vec<u8>> = ["end", "send", "sends", "in"].map(Vec::from).to_vec();
        let marks = Landmarks::of(&words).unwrap();
        let mut hits = Vec::new();
        marks.find("sends in", &mut hits);
        let places: Vec<_> = hits.iter().map(|hit| (hit.start..hit.end, hit.word)).collect();
        let mut expected = [(0..4, 1), (1..4, 0), (0..5, 2), (6..8, 3)].to_vec();
        expected.sort_by_key(|(place, word)| (place.end, *word));
        let mut sorted = places.clone();
        sorted.sort_by_key(|(place, word)| (place.end, *word));
        assert_eq!(sorted, expected);
        assert!(places.is_sorted_by_key(|(place, _)| place.end));
        let inner: Vec<_> = within(&hits, 1..8).map(|hit| hit.word).collect();
        assert_eq!(inner, [0, 3], "what begins before a part does not lie within it");
        assert_eq!(within(&hits, 0..4).count(), 2);
        assert_eq!(within(&hits, 5..7).count(), 0);
    }

    proptest! {
        /// Whether it is read at once or in several parts.
        #[test]
        fn every_word_is_found_wherever_it_stands(
            words in prop::collection::hash_set("[ab]{1,6}|[a-cé]{2,5}", 0..12),
            text in "[abcé]{0,40}|[ab]{100,1200}|[a-dé]{0,3000}",
        ) {
            let words: Vec<String> = words.into_iter().collect();
            let list: Vec<Vec<u8>> = words.iter().map(|word| word.clone().into_bytes()).collect();
            let mut hits = Vec::new();
            Landmarks::of(&list).unwrap().find(&text, &mut hits);
            prop_assert!(hits.is_sorted_by_key(|hit| hit.end));
            let mut found: Vec<_> = hits.iter().map(|hit| (hit.start, hit.end, hit.word)).collect();
            found.sort_unstable();
            let mut expected = Vec::new();
            for (number, word) in words.iter().enumerate() {
                let bytes = text.as_bytes().windows(word.len()).enumerate();
                let places = bytes.filter(|(_, bytes)| *bytes == word.as_bytes());
                expected.extend(places.map(|(at, _)| (at, at + word.len(), number)));
            }
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn more_words_than_can_be_told_apart_are_an_error() {
        let words: Vec<Vec<u8>> = (0..40_000_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        assert!(Landmarks::of(&words).is_err());
    }
}
