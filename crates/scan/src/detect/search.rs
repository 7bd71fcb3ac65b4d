//! Which of many patterns stand in a text, and where first?
//!
//! One automaton for all of them grows without bound over ordinary prose, since the patterns have gaps. Each match
//! begins with one of a few stems, though: those are sought together, and where one stands its patterns are tried.

use super::needs::Patterns;
use aho_corasick::AhoCorasick;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::literal::Extractor;
use std::ops::Range;
use std::sync::OnceLock;

/// Patterns, ready to be sought together.
pub(super) struct Search {
    stems: Option<AhoCorasick>,
    /// For each stem, the patterns that may begin with it.
    owners: Vec<Vec<usize>>,
    patterns: Vec<Pattern>,
    /// The patterns that have no stems.
    stemless: Vec<usize>,
}

struct Pattern {
    written: String,
    /// Behind one byte, which a boundary may look at.
    here: Regex,
    /// Compiled when it is first needed: most never are, and compiling is what a short run waits for.
    anywhere: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn new(written: &str) -> Result<Self, String> {
        let here = compiled(&format!("^(?s-u:.)(?:{written})"))?;
        Ok(Self { written: written.to_owned(), here, anywhere: OnceLock::new() })
    }

    /// The first place in all of a text.
    fn find(&self, text: &str) -> Option<Range<usize>> {
        // It compiled behind a byte, so it does without.
        let anywhere = self.anywhere.get_or_init(|| compiled(&self.written).ok());
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
    /// Compiles the patterns; what does not compile, or may begin with anything, is an error or costs a search each.
    pub(super) fn new(patterns: &[String]) -> Result<Self, String> {
        let mut all = Vec::with_capacity(patterns.len());
        let mut stemless = Vec::new();
        let (mut stems, mut owners): (Vec<Vec<u8>>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
        for (number, pattern) in patterns.iter().enumerate() {
            all.push(Pattern::new(pattern)?);
            let Some(own) = stems_of(pattern)? else {
                stemless.push(number);
                continue;
            };
            for stem in own {
                if let Some(owner) =
                    stems.iter().position(|known| *known == stem).and_then(|at| owners.get_mut(at))
                {
                    owner.push(number);
                } else {
                    stems.push(stem);
                    owners.push(vec![number]);
                }
            }
        }
        let stems = AhoCorasick::new(&stems).map_err(|error| error.to_string())?;
        Ok(Self { stems: Some(stems), owners, patterns: all, stemless })
    }

    /// A search for nothing.
    pub(super) const fn none() -> Self {
        Self { stems: None, owners: Vec::new(), patterns: Vec::new(), stemless: Vec::new() }
    }

    /// The first place of each pattern of `among` that stands in `text`, by the pattern's number.
    pub(super) fn find(&self, text: &str, among: Patterns) -> Vec<Option<Range<usize>>> {
        let mut trials = vec![Trial::default(); self.patterns.len()];
        let sought = |number: usize| among & (1 << number) != 0;
        // A byte before the first, so that each place has one before it.
        let behind: Vec<u8> = [b"\n", text.as_bytes()].concat();
        let hits = self.stems.iter().flat_map(|stems| stems.find_overlapping_iter(text));
        for hit in hits {
            let owners = self.owners.get(hit.pattern().as_usize()).map_or(&[][..], Vec::as_slice);
            for &number in owners {
                if sought(number)
                    && let (Some(pattern), Some(trial)) =
                        (self.patterns.get(number), trials.get_mut(number))
                {
                    trial.at(pattern, hit.start(), text, &behind);
                }
            }
        }
        for &number in &self.stemless {
            if sought(number)
                && let (Some(pattern), Some(trial)) =
                    (self.patterns.get(number), trials.get_mut(number))
            {
                trial.found = pattern.find(text);
            }
        }
        trials.into_iter().map(|trial| trial.found).collect()
    }
}

impl Trial {
    /// A stem of the pattern stands at `at`.
    fn at(&mut self, pattern: &Pattern, at: usize, text: &str, behind: &[u8]) {
        let known = self.found.as_ref().is_some_and(|found| found.start <= at);
        if known || self.last == Some(at) || self.tries > MAX_TRIES {
            return;
        }
        self.last = Some(at);
        self.tries += 1;
        // A text of stems alone must not cost more than its length.
        if self.tries > MAX_TRIES {
            self.found = pattern.find(text);
        } else if let Some(found) = behind.get(at..).and_then(|rest| pattern.here.find(rest)) {
            self.found = Some(at..at + found.end() - 1);
        }
    }
}

/// What every match of a pattern begins with, if that can be told.
fn stems_of(pattern: &str) -> Result<Option<Vec<Vec<u8>>>, String> {
    let tree = regex_syntax::parse(pattern).map_err(|error| error.to_string())?;
    let found = Extractor::new().limit_total(MAX_STEMS).extract(&tree);
    let Some(literals) = found.literals() else { return Ok(None) };
    let long = literals.iter().all(|literal| literal.len() >= MIN_STEM);
    Ok(long.then(|| literals.iter().map(|literal| literal.as_bytes().to_vec()).collect()))
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).dfa_size_limit(LAZY_BYTES).build().map_err(|error| error.to_string())
}

const MIN_STEM: usize = 2;
const MAX_STEMS: usize = 1000;
/// After so many places in one text a pattern is sought in all of it at once.
const MAX_TRIES: usize = 24;
/// How large the engine's memory of one pattern may become; it takes what a text needs.
const LAZY_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn search(patterns: &[&str]) -> Search {
        Search::new(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn each_pattern_is_found_where_it_first_stands() {
        let all = search(&[r"(?-u:\b)send (?:it|them)", "to us", r"(?:^|\n)x", "ordn"]);
        assert_eq!(
            all.find("resend it, send it to us, send them", Patterns::MAX),
            [Some(11..18), Some(19..24), None, None]
        );
        assert_eq!(all.find("x", Patterns::MAX), [None, None, Some(0..1), None]);
        assert_eq!(
            all.find("unordnung to us", Patterns::MAX),
            [None, Some(10..15), None, Some(2..6)]
        );
        assert_eq!(all.find("", Patterns::MAX), vec![None; 4]);
    }

    #[test]
    fn a_text_of_stems_alone_hides_nothing() {
        let all = search(&[r"(?-u:\b)send (?:it|them)"]);
        let text = format!("{}send them", "send ".repeat(100));
        assert_eq!(all.find(&text, Patterns::MAX), [Some(500..509)]);
    }

    #[test]
    fn a_pattern_that_does_not_compile_is_an_error() {
        assert!(Search::new(&["(".to_owned()]).is_err());
    }
}
