//! What does the first layer say of windows that have half of their words in common?
//!
//! Each half is walked once. What is cut by the ends of a window, or has to do with what stands on both sides of its
//! middle, is walked for each window.

use super::concepts::Mentions;
use super::features::{self, EveryHash, Place};
use super::model::{TABLE, with_tally};
use super::shape::Shape;
use super::tally::{NOBODY, Part, Parts, Rest, Rests, Tally};
use std::iter::once;
use std::ops::Range;

/// The halves that were walked last; kept from one window to the next.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    halves: [Half; 2],
    /// All that is mentioned in a window.
    mentions: Mentions,
    /// How often parts had been forgotten when these were counted.
    forgotten: u64,
}

/// Where a window and its halves begin and end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Halves {
    pub(super) start: usize,
    pub(super) middle: usize,
    /// Where the second half ends; the window may end within the next character.
    pub(super) last: usize,
    pub(super) end: usize,
}

/// Half a window, but for the words at its ends.
#[derive(Debug, Default)]
struct Half {
    start: usize,
    /// What of it is the same however the windows are cut that it is in.
    inner: Range<usize>,
    /// What matters to the words behind it.
    place: Place,
    words: Part,
    ideas: Part,
    mentions: Mentions,
}

impl Overlap {
    /// Forgets the halves: what comes next is another text.
    pub(super) fn clear(&mut self) {
        for half in &mut self.halves {
            half.inner = 0..0;
        }
    }

    /// What [`TABLE`] says of a part of a text, which has this shape. None where it has to be walked as a whole: where there are hardly any spaces.
    pub(super) fn linear(&mut self, text: (&str, &Shape), window: Halves) -> Option<(f32, f32)> {
        with_tally(|tally| {
            let forgotten = tally.make_room();
            if std::mem::replace(&mut self.forgotten, forgotten) != forgotten {
                self.clear();
            }
            self.walk_halves(tally, text, window)?;
            let [first, second] = &self.halves;
            let mark = tally.next();
            let mut words = Rest::beside(mark, [first.words.mark, second.words.mark]);
            let mut ideas = Rest::beside(mark, [first.ideas.mark, second.ideas.mark]);
            let all = &mut self.mentions;
            all.clear();
            let sink = &mut Rests { tally, rest: &mut words };
            let mut rest = |part: Range<usize>, mut place: Place, all: &mut Mentions| {
                features::walk(text, part, &mut place, all, sink);
                all.count()
            };
            let one = rest(window.start..first.inner.start, Place::default(), all);
            all.append(&first.mentions);
            let two = rest(first.inner.end..second.inner.start, first.place, all);
            all.append(&second.mentions);
            rest(second.inner.end..window.end, second.place, all);
            if all.full() {
                return None;
            }
            let put = &mut |hash| tally.ideas.add(once(hash), &mut ideas);
            all.chains(0..one, put);
            all.chains(one + first.mentions.settled()..two, put);
            all.chains(two + second.mentions.settled()..all.count(), put);
            all.densities(put);
            let both = |one: &Part, two: &Part| one.own.and(two.own.without(two.shared));
            Some(TABLE.of_totals(
                both(&first.words, &second.words).and(words.total),
                both(&first.ideas, &second.ideas).and(ideas.total),
            ))
        })
    }

    /// Sees to it that the halves are those of a window, and that the second was counted behind the first.
    fn walk_halves(
        &mut self,
        tally: &mut Tally,
        text: (&str, &Shape),
        window: Halves,
    ) -> Option<()> {
        let [first, second] = &mut self.halves;
        if second.is(window.start) {
            std::mem::swap(first, second);
        } else if !first.is(window.start) {
            first.walk(tally, text, window.start..window.middle, NOBODY)?;
        }
        if !(second.is(window.middle) && second.words.before == first.words.mark) {
            second.walk(tally, text, window.middle..window.last, first.words.mark)?;
        }
        Some(())
    }
}

impl Half {
    fn is(&self, start: usize) -> bool {
        self.start == start && !self.inner.is_empty()
    }

    /// Walks a part of a text, behind what has the mark `before`. None if nothing of it is the same in all windows.
    fn walk(
        &mut self,
        tally: &mut Tally,
        text: (&str, &Shape),
        part: Range<usize>,
        before: u32,
    ) -> Option<()> {
        self.start = part.start;
        self.inner = 0..0;
        let (anchor, inner) = inner(text.0.as_bytes(), part)?;
        self.place = Place::default();
        self.mentions.clear();
        // The word before it tells what comes before, whatever that is.
        let none = &mut EveryHash(&mut |_| {});
        features::walk(text, anchor..inner.start, &mut self.place, &mut self.mentions, none);
        self.mentions.clear();
        let mark = tally.next();
        (self.words, self.ideas) = (Part::behind(mark, before), Part::behind(mark, before));
        let sink = &mut Parts { tally, part: &mut self.words };
        features::walk(text, inner.clone(), &mut self.place, &mut self.mentions, sink);
        let settled = 0..self.mentions.settled();
        self.mentions.chains(settled, &mut |hash| tally.ideas.touch(once(hash), &mut self.ideas));
        self.inner = inner;
        Some(())
    }
}

/// What of a part of a text is the same wherever the text is cut that begins in the part or ends behind it: what stands
/// between the first word that has a space before it and the last space. With it, where that word begins.
fn inner(bytes: &[u8], part: Range<usize>) -> Option<(usize, Range<usize>)> {
    let own = bytes.get(part.clone())?;
    let end = part.start + own.iter().rposition(|b| features::space(*b))?;
    let mut at = part.start + own.iter().position(|b| features::space(*b))?;
    while at < end {
        let rest = bytes.get(at..end)?;
        at += rest.iter().position(|b| !features::space(*b))?;
        let anchor = at;
        let rest = bytes.get(at..end)?;
        at += rest.iter().position(|b| features::space(*b))?;
        if bytes.get(anchor..at)?.iter().any(u8::is_ascii_alphanumeric) {
            return Some((anchor, at..end));
        }
    }
    None
}
