//! Where in a text stand the words by which patterns are told?

use super::effort;
use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::{Builder, DFA};
use aho_corasick::{Anchored, MatchKind};
use std::ops::Range;

/// Words to be sought together, each known by its number.
#[derive(Debug, Default)]
pub(super) struct Landmarks {
    automaton: Option<DFA>,
}

/// One place of one word, in bytes of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) word: usize,
}

impl Landmarks {
    /// Readies words to be sought; too many of them are an error.
    pub(super) fn of(words: &[Vec<u8>]) -> Result<Self, String> {
        // Every text is read by it, so that speed counts for more than memory.
        let built = Builder::new().match_kind(MatchKind::Standard).build(words);
        Ok(Self { automaton: Some(built.map_err(|error| error.to_string())?) })
    }

    /// Puts every place of every word into `hits`, in the order in which they end.
    pub(super) fn find(&self, text: &str, hits: &mut Vec<Hit>) {
        let Some(automaton) = &self.automaton else { return };
        effort::took(text.len());
        let Ok(mut state) = automaton.start_state(Anchored::No) else { return };
        for (at, &byte) in text.as_bytes().iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, byte);
            if automaton.is_special(state) && automaton.is_match(state) {
                for n in 0..automaton.match_len(state) {
                    let word = automaton.match_pattern(state, n);
                    let end = at + 1;
                    let start = end - automaton.pattern_len(word).min(end);
                    hits.push(Hit { start, end, word: word.as_usize() });
                }
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
