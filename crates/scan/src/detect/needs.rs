//! Which of many patterns could stand in a text, by the words that each cannot do without?

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Hir, HirKind};
use std::collections::HashMap;

/// A set of patterns, a bit for each.
pub(super) type Patterns = u128;

/// What each pattern needs: one of the words of each of some groups.
#[derive(Debug, Default)]
pub(super) struct Needs {
    words: Option<AhoCorasick>,
    /// For each word, the groups it is of.
    groups: Vec<Groups>,
    /// The ways in which patterns match, and the groups that each way needs. A pattern may have several.
    ways: Vec<(Patterns, Groups)>,
}

/// Groups of words, of each of which one is needed.
type Way = Vec<Vec<Vec<u8>>>;

/// A set of groups, a bit for each.
type Groups = [u64; WIDTH];

impl Needs {
    /// The needs of patterns, which are numbered in this order.
    pub(super) fn of(patterns: &[String]) -> Result<Self, String> {
        let mut known: HashMap<Vec<Vec<u8>>, usize> = HashMap::new();
        let mut ways = Vec::new();
        for (number, pattern) in patterns.iter().enumerate() {
            let tree = regex_syntax::parse(pattern).map_err(|error| error.to_string())?;
            for way in ways_of(&tree) {
                let mut needed = Groups::default();
                for group in way {
                    let next = known.len();
                    // A group that there is no room for is not asked for.
                    set(&mut needed, *known.entry(group).or_insert(next));
                }
                ways.push((1 << number, needed));
            }
        }
        let mut words: HashMap<Vec<u8>, Groups> = HashMap::new();
        for (group, number) in known {
            for word in group {
                set(words.entry(word).or_default(), number);
            }
        }
        let (words, groups): (Vec<_>, Vec<_>) = words.into_iter().unzip();
        // Every text is read by it, so that speed counts for more than a megabyte.
        let words = AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(words);
        Ok(Self { words: Some(words.map_err(|error| error.to_string())?), groups, ways })
    }

    /// The patterns that may stand in a text. What is missing stands nowhere in it.
    pub(super) fn possible(&self, text: &str) -> Patterns {
        let mut here = Groups::default();
        for hit in self.words.iter().flat_map(|words| words.find_overlapping_iter(text)) {
            if let Some(groups) = self.groups.get(hit.pattern().as_usize()) {
                for (all, more) in here.iter_mut().zip(groups) {
                    *all |= more;
                }
            }
        }
        let met = |needed: &Groups| needed.iter().zip(&here).all(|(need, has)| need & !has == 0);
        self.ways.iter().filter(|(_, needed)| met(needed)).fold(0, |all, (one, _)| all | one)
    }
}

fn set(groups: &mut Groups, number: usize) {
    if let Some(bits) = groups.get_mut(number / 64) {
        *bits |= 1 << (number % 64);
    }
}

/// The ways in which a tree matches, each with the groups of words that it needs.
fn ways_of(tree: &Hir) -> Vec<Way> {
    match tree.kind() {
        HirKind::Alternation(ways) => ways.iter().flat_map(ways_of).collect(),
        HirKind::Concat(parts) => {
            parts.iter().map(ways_of_part).fold(vec![Way::new()], |all, more| both(all, &more))
        }
        HirKind::Capture(capture) => ways_of(&capture.sub),
        _ => vec![group_of(tree).into_iter().collect()],
    }
}

/// As [`ways_of`], but words to choose from are one way.
fn ways_of_part(part: &Hir) -> Vec<Way> {
    group_of(part).map_or_else(|| ways_of(part), |group| vec![vec![group]])
}

/// The ways to match one thing and another behind it; if they are too many, those of the first alone.
fn both(first: Vec<Way>, second: &[Way]) -> Vec<Way> {
    if first.len() * second.len() > MOST_WAYS {
        return first;
    }
    let pairs = first.iter().flat_map(|one| second.iter().map(move |two| (one, two)));
    pairs.map(|(one, two)| one.iter().chain(two).cloned().collect()).collect()
}

/// Words one of which stands in every match of a tree, if they are few and long enough to tell something.
fn group_of(tree: &Hir) -> Option<Vec<Vec<u8>>> {
    let found = Extractor::new().limit_total(MOST_WORDS).extract(tree);
    let mut words: Vec<_> = found.literals()?.iter().map(|word| word.as_bytes().to_vec()).collect();
    words.sort_unstable();
    words.dedup();
    (!words.is_empty() && words.iter().all(|word| tells(word))).then_some(words)
}

/// Whether a text without a word is nothing unusual.
fn tells(word: &[u8]) -> bool {
    word.len() >= LEAST || (word.len() == 2 && word.iter().all(u8::is_ascii_punctuation))
}

const MOST_WAYS: usize = 32;
const WIDTH: usize = 4;
const MOST_WORDS: usize = 400;
const LEAST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(patterns: &[&str]) -> Needs {
        Needs::of(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_pattern_is_possible_where_all_that_it_needs_stands() {
        let all = needs(&[
            "(?:send|mail) {1,8}(?:[a-z]+ ){0,3}(?:keys|tokens)",
            "(?:drop this|(?:new|next) task)",
            "[a-z]{3}",
        ]);
        assert_eq!(
            all.possible("nothing of the kind"),
            0b100,
            "what needs no word is possible anywhere"
        );
        assert_eq!(all.possible("send it"), 0b100);
        assert_eq!(all.possible("the keys: mail them"), 0b101, "in whatever order they stand");
        assert_eq!(all.possible("drop this"), 0b110);
        assert_eq!(all.possible("a new task"), 0b110);
        assert_eq!(all.possible("a new one"), 0b100);
    }
}
