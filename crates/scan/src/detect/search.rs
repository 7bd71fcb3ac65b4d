//! Which of many patterns stand in a text, and where first?
//!
//! One automaton for all of them grows without bound over ordinary prose, since the patterns have gaps. Each match
//! begins with one of a few stems, though: those are sought together, and where one stands its patterns are tried.

use super::effort;
use super::landmarks::{Hit, Landmarks};
use super::needs::{Ends, Needs, Patterns, Taken, Words};
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::Extractor;
use std::ops::Range;
use std::sync::OnceLock;

/// Patterns, ready to be sought together.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// The stems of the patterns and the words that they cannot do without.
    landmarks: Landmarks,
    needs: Needs,
    /// For each word, the patterns that may begin with it.
    owners: Vec<Patterns>,
    patterns: Vec<Pattern>,
    /// The patterns that have no stems.
    stemless: Patterns,
}

/// A pattern is compiled when it is first needed: most never are, and compiling is what a short run waits for.
#[derive(Debug)]
struct Pattern {
    written: String,
    /// Behind one byte, which a boundary may look at.
    here: OnceLock<Option<Regex>>,
    anywhere: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// The end of the match at `at`.
    fn end_at(&self, text: &str, at: usize) -> Option<usize> {
        let here = self.here.get_or_init(|| compiled(&behind_a_byte(&self.written)));
        let here = here.as_ref()?;
        match at.checked_sub(1) {
            Some(before) => Some(before + here.find(text.as_bytes().get(before..)?)?.end()),
            // A byte before the first, so that each place has one before it.
            None => Some(here.find(&[b"\n", text.as_bytes()].concat())?.end() - 1),
        }
    }

    /// The first place in all of a text.
    fn find(&self, text: &str) -> Option<Range<usize>> {
        let anywhere = self.anywhere.get_or_init(|| compiled(&self.written));
        anywhere.as_ref()?.find(text.as_bytes()).map(|found| found.range())
    }
}

/// How far the search for one pattern has come.
#[derive(Clone, Default)]
struct Trial {
    tries: usize,
    last: Option<usize>,
    found: Option<Range<usize>>,
}

impl Search {
    /// Reads the patterns; what is none is an error, and what may begin with anything costs a search each.
    pub(super) fn new(patterns: &[String]) -> Result<Self, String> {
        let trees = patterns.iter().map(|p| regex_syntax::parse(p).map_err(|e| e.to_string()));
        let trees = trees.collect::<Result<Vec<Hir>, _>>()?;
        let mut words = Words::new();
        let mut search = Self { needs: Needs::of(&trees, &mut words), ..Self::default() };
        for (number, tree) in trees.iter().enumerate() {
            let Some(own) = stems_of(tree) else {
                search.stemless |= 1 << number;
                continue;
            };
            for stem in own {
                let next = words.len();
                let word = *words.entry(stem).or_insert(next);
                search.owners.resize(words.len(), 0);
                if let Some(owners) = search.owners.get_mut(word) {
                    *owners |= 1 << number;
                }
            }
        }
        let mut list = vec![Vec::new(); words.len()];
        for (word, number) in words {
            if let Some(slot) = list.get_mut(number) {
                *slot = word;
            }
        }
        search.landmarks = Landmarks::of(&list)?;
        search.patterns = patterns
            .iter()
            .map(|written| Pattern {
                written: written.clone(),
                here: OnceLock::new(),
                anywhere: OnceLock::new(),
            })
            .collect();
        Ok(search)
    }

    /// Puts into `hits` what [`Self::possible`] and [`Self::find`] want to know of a text.
    pub(super) fn hits(&self, text: &str, hits: &mut Vec<Hit>) {
        self.landmarks.find(text, hits);
    }

    /// Those of the patterns `among` that may stand where `hits` are; no other does.
    pub(super) fn possible(
        &self,
        hits: impl Iterator<Item = Hit>,
        among: Patterns,
        taken: &mut Taken,
    ) -> Patterns {
        self.needs.possible(hits, among, taken)
    }

    /// As [`Self::possible`], and others; at a fraction of the cost.
    pub(super) fn thinkable(&self, ends: Ends) -> Patterns {
        self.needs.thinkable(ends)
    }

    /// What is to be known of hits for [`Self::thinkable`].
    pub(super) fn ends(&self, hits: impl Iterator<Item = Hit>) -> Ends {
        self.needs.ends(hits)
    }

    /// The first place of each pattern of `among` that stands in `text`, with its number and in the order of the numbers. `hits` are of this text.
    pub(super) fn find(
        &self,
        text: &str,
        hits: impl Iterator<Item = Hit>,
        among: Patterns,
    ) -> Vec<(usize, Range<usize>)> {
        let mut trials: Vec<(usize, Trial)> =
            bits(among).map(|number| (number, Trial::default())).collect();
        for hit in hits {
            let owners = self.owners.get(hit.word).copied().unwrap_or(0);
            for number in bits(owners & among) {
                if let Some(pattern) = self.patterns.get(number)
                    && let Some((_, trial)) = trials.iter_mut().find(|(n, _)| *n == number)
                {
                    trial.at(pattern, hit.start, text);
                }
            }
        }
        for number in bits(self.stemless & among) {
            if let Some(pattern) = self.patterns.get(number)
                && let Some((_, trial)) = trials.iter_mut().find(|(n, _)| *n == number)
            {
                trial.found = pattern.find(text);
            }
        }
        trials.into_iter().filter_map(|(number, trial)| Some((number, trial.found?))).collect()
    }
}

/// The numbers of the patterns of a set.
pub(super) fn bits(mut set: Patterns) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let next = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(next)
    })
}

impl Trial {
    /// A stem of the pattern stands at `at`.
    fn at(&mut self, pattern: &Pattern, at: usize, text: &str) {
        let known = self.found.as_ref().is_some_and(|found| found.start <= at);
        if known || self.last == Some(at) || self.tries > MAX_TRIES {
            return;
        }
        self.last = Some(at);
        self.tries += 1;
        effort::took(TRY);
        // A text of stems alone must not cost more than its length.
        if self.tries > MAX_TRIES {
            self.found = pattern.find(text);
        } else if let Some(end) = pattern.end_at(text, at) {
            self.found = Some(at..end);
        }
    }
}

/// What every match of a pattern begins with, if that can be told.
fn stems_of(tree: &Hir) -> Option<Vec<Vec<u8>>> {
    let found = Extractor::new().limit_total(MAX_STEMS).extract(tree);
    let literals = found.literals()?;
    let long = literals.iter().all(|literal| literal.len() >= MIN_STEM);
    long.then(|| literals.iter().map(|literal| literal.as_bytes().to_vec()).collect())
}

/// A pattern that matches where the text begins, but for one byte.
pub(super) fn behind_a_byte(pattern: &str) -> String {
    format!("^(?s-u:.)(?:{pattern})")
}

/// Every pattern is ours, and a test compiles each.
pub(super) fn compiled(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).dfa_size_limit(LAZY_BYTES).build().ok()
}

/// What a try costs, in bytes looked at, more or less.
const TRY: usize = 100;
const MIN_STEM: usize = 2;
const MAX_STEMS: usize = 1000;
/// After so many places in one text a pattern is sought in all of it at once.
const MAX_TRIES: usize = 24;
/// How large the engine's memory of one pattern may become; it takes what a text needs.
const LAZY_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of each pattern, whether or not it seems possible.
    fn places(patterns: &[&str], text: &str) -> Vec<Option<Range<usize>>> {
        let all: Vec<_> = patterns.iter().map(|p| (*p).to_owned()).collect();
        let search = Search::new(&all).unwrap();
        let mut hits = Vec::new();
        search.hits(text, &mut hits);
        let found = search.find(text, hits.iter().copied(), (1 << all.len()) - 1);
        let thinkable = search.thinkable(search.ends(hits.iter().copied()));
        let among = |among| search.possible(hits.iter().copied(), among, &mut Taken::default());
        let possible = among(Patterns::MAX);
        assert_eq!(possible, among(thinkable), "{text}");
        assert_eq!(found, search.find(text, hits.into_iter(), possible), "{text}");
        let mut each = vec![None; all.len()];
        for (number, place) in found {
            each[number] = Some(place);
        }
        each
    }

    #[test]
    fn each_pattern_is_found_where_it_first_stands() {
        let all =
            |text| places(&[r"(?-u:\b)send (?:it|them)", "to us", r"(?:^|\n)x", "ordn"], text);
        assert_eq!(
            all("resend it, send it to us, send them"),
            [Some(11..18), Some(19..24), None, None]
        );
        assert_eq!(all("x"), [None, None, Some(0..1), None]);
        assert_eq!(all("unordnung to us"), [None, Some(10..15), None, Some(2..6)]);
        assert_eq!(all(""), vec![None; 4]);
    }

    #[test]
    fn a_text_of_stems_alone_hides_nothing() {
        let text = format!("{}send them", "send ".repeat(100));
        assert_eq!(places(&[r"(?-u:\b)send (?:it|them)"], &text), [Some(500..509)]);
    }

    #[test]
    fn a_pattern_that_does_not_compile_is_an_error() {
        assert!(Search::new(&["(".to_owned()]).is_err());
    }
}
