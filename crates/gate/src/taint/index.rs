//! Does this value stand in a text that was seen? An index of tokens of bounded size; what falls out of it was
//! never seen, which is the careful answer for either of its uses.

use super::spell::{Mark, Token};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Tokens in the order in which they were seen, and where each of them stands.
#[derive(Debug, Default)]
pub(super) struct Index {
    tokens: Vec<Token>,
    /// The same token's place before.
    before: Vec<u32>,
    last: HashMap<u64, Last, BuildHasherDefault<Keyed>>,
    /// Where each text begins, and its number.
    texts: Vec<(u32, u32)>,
    /// How many texts there have been.
    number: u32,
    most: usize,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    place: u32,
    count: u32,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    /// The number of the text.
    pub(super) text: u32,
    /// Its first byte in that text.
    pub(super) at: u32,
    /// The place of its first token.
    pub(super) place: usize,
}

impl Index {
    pub(super) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Adds a text and gives its number. Of a text larger than the whole index its beginning is kept.
    pub(super) fn add(&mut self, tokens: &[Token]) -> u32 {
        let tokens = tokens.get(..self.most / 2).unwrap_or(tokens);
        if self.tokens.len() + tokens.len() >= self.most {
            self.forget();
        }
        let number = self.number;
        self.number = self.number.wrapping_add(1);
        self.texts.push((place(self.tokens.len()), number));
        for token in tokens {
            self.push(*token);
        }
        // Nothing runs on from one text into the next.
        self.push(END);
        number
    }

    /// Whether nothing was ever seen.
    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The places where `value` stands, newest first, as far as `fits` says that it ends there as a value does.
    pub(super) fn find<'a>(
        &'a self,
        value: &'a [Token],
        fits: impl Fn(Around) -> bool + 'a,
    ) -> impl Iterator<Item = Hit> + 'a {
        // Begin with the rarest token: spaces and dots are everywhere.
        let rarest = value.iter().enumerate().map(|(at, token)| (self.count(token.hash), at));
        let (lead, start) = match rarest.min() {
            Some((count, at)) if count > 0 => {
                (at, value.get(at).and_then(|t| self.last.get(&t.hash)))
            }
            _ => (0, None),
        };
        let mut next = start.map(|last| last.place);
        let places = std::iter::from_fn(move || {
            let here = next? as usize;
            next = self.before.get(here).copied().filter(|before| *before != NONE);
            Some(here)
        });
        places.take(STEPS_MAX).filter_map(move |here| {
            let first = here.checked_sub(lead)?;
            let run = self.tokens.get(first..first + value.len())?;
            let same = run.iter().zip(value).all(|(one, other)| one.hash == other.hash);
            if !same || !fits(self.around(first, value.len())) {
                return None;
            }
            let at = run.first()?.at;
            Some(Hit { text: self.text_of(first)?, at, place: first })
        })
    }

    /// The token before a place.
    pub(super) fn word_before(&self, place: usize) -> Option<u64> {
        let mut before = self.tokens.get(..place)?.iter().rev();
        before.find(|token| token.kind == Mark::Word).map(|token| token.hash)
    }

    /// How many tokens from `from` on stand in one text in this order, and where that is.
    pub(super) fn longest(&self, value: &[Token]) -> Option<(usize, Hit)> {
        let mut next = self.last.get(&value.first()?.hash).map(|last| last.place);
        let mut best: Option<(usize, Hit)> = None;
        for _ in 0..RUNS_MAX {
            let Some(here) = next.map(|next| next as usize) else { break };
            let run = self.tokens.get(here..).unwrap_or_default();
            let length =
                run.iter().zip(value).take_while(|(one, other)| one.hash == other.hash).count();
            if best.is_none_or(|(longest, _)| length > longest)
                && let (Some(text), Some(first)) = (self.text_of(here), run.first())
            {
                best = Some((length, Hit { text, at: first.at, place: here }));
            }
            next = self.before.get(here).copied().filter(|before| *before != NONE);
        }
        best
    }

    fn count(&self, hash: u64) -> u32 {
        self.last.get(&hash).map_or(0, |last| last.count)
    }

    fn around(&self, first: usize, length: usize) -> Around {
        let kind = |place: Option<usize>| {
            place
                .and_then(|place| self.tokens.get(place))
                .filter(|token| **token != END)
                .map(|t| t.kind)
        };
        let before = first.checked_sub(1);
        let after = first + length;
        Around {
            before: [kind(before), kind(first.checked_sub(2))],
            after: [kind(Some(after)), kind(Some(after + 1))],
        }
    }

    fn text_of(&self, place: usize) -> Option<u32> {
        let after = self.texts.partition_point(|(start, _)| *start as usize <= place);
        self.texts.get(after.checked_sub(1)?).map(|(_, number)| *number)
    }

    fn push(&mut self, token: Token) {
        let here = place(self.tokens.len());
        self.tokens.push(token);
        if token == END {
            self.before.push(NONE);
            return;
        }
        let last = self.last.entry(token.hash).or_insert(Last { place: NONE, count: 0 });
        self.before.push(last.place);
        *last = Last { place: here, count: last.count.saturating_add(1) };
    }

    /// Forgets the older half.
    fn forget(&mut self) {
        let half = self.texts.iter().find(|(start, _)| *start as usize >= self.most / 2);
        let from = half.map_or(self.tokens.len(), |(start, _)| *start as usize);
        let kept = self.tokens.split_off(from);
        let texts = std::mem::take(&mut self.texts);
        self.tokens.clear();
        self.before.clear();
        self.last.clear();
        let moved = |start: u32| start.checked_sub(place(from));
        self.texts =
            texts.into_iter().filter_map(|(start, number)| Some((moved(start)?, number))).collect();
        for token in kept {
            self.push(token);
        }
    }
}

/// What stands next to a value, nearest first; nothing is the end of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub(super) before: [Option<Mark>; 2],
    pub(super) after: [Option<Mark>; 2],
}

fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}

/// The keys are keyed hashes already.
#[derive(Debug, Default)]
struct Keyed(u64);

impl Hasher for Keyed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

const NONE: u32 = u32::MAX;
/// The end of a text.
const END: Token = Token { hash: 0, at: NONE, kind: Mark::Other };
/// Most places of one token that are looked at; further back counts as not seen.
const STEPS_MAX: usize = 2048;
/// As [`STEPS_MAX`], where runs are compared.
const RUNS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::super::spell;
    use super::*;
    use std::hash::RandomState;

    #[test]
    fn a_value_is_found_in_one_text_and_not_across_two() {
        let key = RandomState::new();
        let mut index = Index::new(1000);
        let first = index.add(&spell::loose("pay a b", &key));
        let second = index.add(&spell::loose("c and a b again", &key));
        let find = |text: &str| {
            let tokens = spell::loose(text, &key);
            index.find(&tokens, |_| true).map(|hit| hit.text).collect::<Vec<_>>()
        };
        assert_eq!(find("a b"), [second, first]);
        assert_eq!(find("a b c"), [0; 0]);
        assert_eq!(find("nothing"), [0; 0]);
        let run = spell::loose("x and a b again y", &key);
        assert!(index.longest(&run).is_none());
        assert_eq!(index.longest(&run[1..]).map(|(length, _)| length), Some(4));
    }

    #[test]
    fn a_flood_is_forgotten_from_its_old_end_and_finds_nothing_false() {
        let key = RandomState::new();
        let mut index = Index::new(200);
        index.add(&spell::loose("eve@evil.org", &key));
        for round in 0..100 {
            let flood: Vec<String> = (0..30).map(|n| format!("w{round}x{n}")).collect();
            index.add(&spell::loose(&flood.join(" "), &key));
            assert!(index.tokens.len() <= 200 && index.before.len() == index.tokens.len());
        }
        let found = |text: &str| index.find(&spell::loose(text, &key), |_| true).count();
        assert_eq!(
            (found("eve@evil.org"), found("w99x28 w99x29"), found("w98x29 w99x0")),
            (0, 1, 0)
        );
        let mut huge = Index::new(100);
        huge.add(&spell::loose(&"a b ".repeat(1000), &key));
        assert!(huge.tokens.len() <= 100);
    }
}
