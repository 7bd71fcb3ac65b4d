//! Which of many patterns could stand in a text, by the words that each cannot do without?

use super::landmarks::Hit;
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Hir, HirKind};
use std::collections::HashMap;

/// A set of patterns, a bit for each.
pub(super) type Patterns = u128;

/// What each pattern needs: words one behind the other, one of each of some groups. What several ways of matching
/// have in common at their beginning is kept once: a step leads on from another.
#[derive(Debug, Default)]
pub(super) struct Needs {
    steps: Vec<Step>,
    /// For each word, the patterns that need it, and the steps that it takes.
    taken: Vec<(Patterns, Vec<Steps>)>,
    /// For each word, the patterns of which it may be the first that is needed, and those of which it may be the last.
    ends: Vec<(Patterns, Patterns)>,
    /// The patterns that need nothing.
    free: Patterns,
}

/// Steps of one pattern.
#[derive(Debug)]
struct Steps {
    of: Patterns,
    all: Vec<u32>,
}

#[derive(Debug)]
struct Step {
    /// The step before it, none for a first one.
    from: Option<u32>,
    group: usize,
    /// The patterns that may stand where this step has been taken.
    opens: Patterns,
    pattern: usize,
}

/// Groups of words, of each of which one is needed, in this order.
type Way = Vec<Vec<Vec<u8>>>;

/// Numbers words, the same word by the same number.
pub(super) type Words = HashMap<Vec<u8>, usize>;

impl Needs {
    /// The needs of patterns, which are numbered in this order. Puts the words into `words`.
    pub(super) fn of(patterns: &[Hir], words: &mut Words) -> Self {
        let mut needs = Self::default();
        let mut groups: HashMap<Vec<Vec<u8>>, usize> = HashMap::new();
        let mut known: HashMap<(usize, Option<u32>, usize), u32> = HashMap::new();
        for (number, tree) in patterns.iter().enumerate() {
            for way in ways_of(tree) {
                let mut from = None;
                for group in way {
                    let next = groups.len();
                    let group = *groups.entry(group).or_insert(next);
                    let next = u32::try_from(needs.steps.len()).unwrap_or(u32::MAX);
                    let step = *known.entry((number, from, group)).or_insert(next);
                    if step == next {
                        needs.steps.push(Step { from, group, opens: 0, pattern: number });
                    }
                    from = Some(step);
                }
                match from.and_then(|last| needs.steps.get_mut(last as usize)) {
                    Some(last) => last.opens |= 1 << number,
                    None => needs.free |= 1 << number,
                }
            }
        }
        needs.index(groups, words);
        needs
    }

    /// Which steps each word takes. What a pattern that needs nothing else may need is left out.
    fn index(&mut self, groups: HashMap<Vec<Vec<u8>>, usize>, words: &mut Words) {
        let mut steps: HashMap<usize, Vec<u32>> = HashMap::new();
        for (number, step) in (0_u32..).zip(&self.steps) {
            if self.free & (1 << step.pattern) == 0 && !self.opened_before(step) {
                steps.entry(step.group).or_default().push(number);
            }
        }
        for (group, number) in groups {
            let Some(own) = steps.get(&number) else { continue };
            let all = own.iter().filter_map(|number| self.steps.get(*number as usize));
            let patterns = all.clone().fold(0, |all, step| all | (1 << step.pattern));
            let ends = all.fold((0, 0), |(first, last), step| {
                let begins = if step.from.is_none() { 1 << step.pattern } else { 0 };
                (first | begins, last | step.opens)
            });
            for word in group {
                let next = words.len();
                let word = *words.entry(word).or_insert(next);
                self.taken.resize_with(self.taken.len().max(word + 1), Default::default);
                if let Some((of, taken)) = self.taken.get_mut(word) {
                    *of |= patterns;
                    let pattern =
                        |number: &u32| self.steps.get(*number as usize).map(|s| s.pattern);
                    for steps in own.chunk_by(|one, two| pattern(one) == pattern(two)) {
                        let of = steps.first().and_then(pattern).map_or(0, |number| 1 << number);
                        taken.push(Steps { of, all: steps.to_vec() });
                    }
                }
                self.ends.resize(self.ends.len().max(word + 1), (0, 0));
                if let Some(slot) = self.ends.get_mut(word) {
                    *slot = (slot.0 | ends.0, slot.1 | ends.1);
                }
            }
        }
    }

    /// Whether a step that leads to this one is enough by itself.
    fn opened_before(&self, step: &Step) -> bool {
        let before = step.from.and_then(|from| self.steps.get(from as usize));
        before.is_some_and(|before| before.opens != 0 || self.opened_before(before))
    }

    /// As [`Self::possible`], and others; at a fraction of the cost.
    pub(super) fn thinkable(&self, ends: Ends) -> Patterns {
        self.free | ends.both
    }

    /// What some hits begin and end, in the order of their ends.
    pub(super) fn ends(&self, hits: impl Iterator<Item = Hit>) -> Ends {
        hits.fold(Ends::default(), |before, hit| {
            let (first, last) = self.ends.get(hit.word).copied().unwrap_or_default();
            before.and(Ends { first, last, both: first & last })
        })
    }

    /// Those of the patterns `among` that may stand where `hits` are all the words in the order of their ends; no other does.
    pub(super) fn possible(
        &self,
        hits: impl Iterator<Item = Hit>,
        among: Patterns,
        way: &mut Taken,
    ) -> Patterns {
        way.reset(self.steps.len());
        let mut possible = self.free;
        for hit in hits {
            let Some((_, taken)) = self.taken.get(hit.word).filter(|(of, _)| of & among != 0)
            else {
                continue;
            };
            let wanted = taken.iter().filter(|steps| steps.of & among != 0);
            for &number in wanted.flat_map(|steps| &steps.all) {
                // The earliest end of a step leaves the most room for those behind it.
                if way.end(number).is_some() {
                    continue;
                }
                let Some(step) = self.steps.get(number as usize) else { continue };
                if step.from.is_none_or(|from| way.end(from).is_some_and(|e| e <= hit.start)) {
                    way.take(number, hit.end);
                    possible |= step.opens;
                }
            }
        }
        possible & among
    }
}

/// The patterns that a part of a text may have the first or the last word of that they need.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    first: Patterns,
    last: Patterns,
    /// Those of which it may have the first and, not before that, the last.
    both: Patterns,
}

impl Ends {
    /// Those of two parts, one behind the other.
    pub(super) const fn and(self, next: Self) -> Self {
        // What comes first ends first.
        Self {
            first: self.first | next.first,
            last: self.last | next.last,
            both: self.both | next.both | (self.first & next.last),
        }
    }
}

/// Which steps have been taken in one text; kept from one to the next for its memory.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Where each step first ended, counted from one.
    ends: Vec<usize>,
    all: Vec<u32>,
}

impl Taken {
    fn reset(&mut self, steps: usize) {
        for number in self.all.drain(..) {
            if let Some(end) = self.ends.get_mut(number as usize) {
                *end = 0;
            }
        }
        self.ends.resize(steps, 0);
    }

    fn end(&self, number: u32) -> Option<usize> {
        self.ends.get(number as usize).and_then(|end| end.checked_sub(1))
    }

    fn take(&mut self, number: u32, end: usize) {
        if let Some(slot) = self.ends.get_mut(number as usize) {
            *slot = end + 1;
            self.all.push(number);
        }
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
const MOST_WORDS: usize = 400;
const LEAST: usize = 3;

#[cfg(test)]
mod tests {
    use super::super::landmarks::Landmarks;
    use super::*;

    fn possible(patterns: &[&str], text: &str) -> Patterns {
        let trees: Vec<Hir> = patterns.iter().map(|p| regex_syntax::parse(p).unwrap()).collect();
        let mut words = Words::new();
        let needs = Needs::of(&trees, &mut words);
        let mut list = vec![Vec::new(); words.len()];
        for (word, number) in words {
            list[number] = word;
        }
        let mut hits = Vec::new();
        Landmarks::of(&list).unwrap().find(text, &mut hits);
        let thinkable = needs.thinkable(needs.ends(hits.iter().copied()));
        let among = |among| needs.possible(hits.iter().copied(), among, &mut Taken::default());
        let possible = among(Patterns::MAX);
        assert_eq!(possible, among(thinkable), "{text}");
        assert_eq!(possible & !thinkable, 0, "{text}");
        for cut in 0..=hits.len() {
            let [one, two] = [&hits[..cut], &hits[cut..]].map(|part| part.iter().copied());
            let parts = needs.ends(one).and(needs.ends(two));
            assert_eq!(needs.thinkable(parts), thinkable, "{text}");
        }
        possible
    }

    #[test]
    fn a_pattern_is_possible_where_all_that_it_needs_stands_in_order() {
        let all = |text| {
            let patterns = [
                "(?:send|mail) {1,8}(?:[a-z]+ ){0,3}(?:keys|tokens)",
                "(?:drop this|(?:new|next) task)",
                "[a-z]{3}",
            ];
            possible(&patterns, text)
        };
        assert_eq!(all("nothing of the kind"), 0b100, "what needs no word is possible anywhere");
        assert_eq!(all("send it"), 0b100);
        assert_eq!(all("the keys: mail them"), 0b100);
        assert_eq!(all("the keys: mail them, the tokens"), 0b101);
        assert_eq!(all("drop this"), 0b110);
        assert_eq!(all("a new task"), 0b110);
        assert_eq!(all("a new one"), 0b100);
    }

    #[test]
    fn words_that_share_letters_are_not_one_behind_the_other() {
        assert_eq!(possible(&["pass.{0,3}sword"], "password"), 0);
        assert_eq!(possible(&["pass.{0,3}sword"], "pass sword"), 1);
        assert_eq!(possible(&["over.{0,9}over"], "over and out"), 0);
        assert_eq!(possible(&["over.{0,9}over"], "over and over"), 1);
    }

    #[test]
    fn a_short_way_makes_the_longer_ones_needless() {
        let pattern = "take(?: note|)(?: now|)";
        assert_eq!(possible(&[pattern], "take"), 1);
        assert_eq!(possible(&[pattern], "note"), 0);
    }
}
