//! What is known of a text already that the next place in it would ask again?

use crate::values::{self, Place};
use crate::work;
use std::ops::Range;

/// Answers about one text, kept so that many names or rules close together do not each walk over what follows them.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// From a place up to the end of its line.
    line: Option<Range<usize>>,
    /// From a place up to the end of what has no sign that ends a bare value; one for values in queries.
    bare: [Range<usize>; 2],
    /// Whether the values that were looked at last only stand for one.
    blanks: Recent<Range<usize>>,
    /// Whether they are secrets, given where they stand.
    secrets: Recent<(Range<usize>, Place)>,
}

/// The last few questions and their answers.
#[derive(Debug)]
struct Recent<Q> {
    all: [Option<(Q, bool)>; 4],
    next: usize,
}

impl<Q> Default for Recent<Q> {
    fn default() -> Self {
        Self { all: [const { None }; 4], next: 0 }
    }
}

impl<Q: PartialEq> Recent<Q> {
    fn answer(&self, question: &Q) -> Option<bool> {
        self.all.iter().flatten().find(|(asked, _)| asked == question).map(|(_, answer)| *answer)
    }

    fn keep(&mut self, question: Q, answer: bool) {
        if let Some(slot) = self.all.get_mut(self.next % 4) {
            *slot = Some((question, answer));
        }
        self.next += 1;
    }
}

impl Memo {
    /// Where the line ends that `at` stands in: at its `\n`, or at the text's end.
    pub(crate) fn line_end(&mut self, text: &[u8], at: usize) -> usize {
        if let Some(line) = &self.line
            && (line.start..=line.end).contains(&at)
        {
            return line.end;
        }
        let rest = text.get(at..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).map_or(text.len(), |len| at + len);
        work::count(end - at);
        self.line = Some(at..end);
        end
    }

    /// Whether the value in this range of the text only stands for one: see [`values::placeholder`].
    pub(crate) fn placeholder(&mut self, text: &[u8], range: &Range<usize>) -> bool {
        self.blanks.answer(range).unwrap_or_else(|| {
            work::count(range.len());
            let answer = text.get(range.clone()).is_some_and(values::placeholder);
            self.blanks.keep(range.clone(), answer);
            answer
        })
    }

    /// Whether the value in this range of the text is a secret: see [`values::is_secret`].
    pub(crate) fn is_secret(&mut self, text: &[u8], range: &Range<usize>, place: Place) -> bool {
        let question = (range.clone(), place);
        self.secrets.answer(&question).unwrap_or_else(|| {
            let begin = range.start..range.end.min(range.start.saturating_add(values::MAX_JUDGED));
            work::count(begin.len());
            let answer = text.get(begin.clone()).is_some_and(|value| {
                values::shaped(value, place)
                    && !self.placeholder(text, &begin)
                    && !values::mundane(value, place)
            });
            self.secrets.keep(question, answer);
            answer
        })
    }

    /// The first place from `from` on, and before `to`, at which `stops` says that a bare value ends; `to` if there is
    /// none. `stops` must not depend on more than `AHEAD` bytes behind the place.
    pub(crate) fn bare_end(
        &mut self,
        in_query: bool,
        (from, to, len): (usize, usize, usize),
        stops: impl Fn(usize) -> bool,
    ) -> usize {
        let Some(told) = self.bare.get_mut(usize::from(in_query)) else { return from };
        let begin = if (told.start..=told.end).contains(&from) { told.end.min(to) } else { from };
        let end = (begin..to).find(|at| stops(*at)).unwrap_or(to);
        work::count(end - begin.min(end));
        // What lies close before `to` was told without all that follows it.
        let sure = if to == len { end } else { end.min(to.saturating_sub(AHEAD)) };
        if sure > begin || begin == from {
            *told = if begin == from { from..sure.max(from) } else { told.start..sure };
        }
        end
    }
}

/// How far ahead the end of a bare value may be told by.
pub(crate) const AHEAD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_walked_over_once() {
        let text = b"first line\nsecond line\n";
        let mut memo = Memo::default();
        for at in 0..=text.len() {
            let slow =
                text.iter().skip(at).position(|b| *b == b'\n').map_or(text.len(), |n| at + n);
            assert_eq!(memo.line_end(text, at), slow, "{at}");
        }
        assert_eq!(memo.line_end(text, 3), 10);
        assert_eq!(work::of(|| assert_eq!(memo.line_end(text, 7), 10)), 0);
    }

    #[test]
    fn a_value_is_judged_once_for_each_place() {
        let text = b"x = kV9pQ2zLr7Xw, y = changeme1";
        let mut memo = Memo::default();
        for _ in 0..2 {
            assert!(memo.is_secret(text, &(4..16), Place::Password));
            assert!(!memo.is_secret(text, &(4..16), Place::Likely));
            assert!(!memo.is_secret(text, &(22..31), Place::Password));
            assert!(memo.placeholder(text, &(22..31)));
            assert!(!memo.placeholder(text, &(4..16)));
        }
        assert_eq!(work::of(|| assert!(memo.is_secret(text, &(4..16), Place::Password))), 0);
        // What was asked long ago is forgotten, and judged anew.
        for from in 0..4 {
            memo.is_secret(text, &(from..from + 8), Place::Secret);
        }
        assert!(work::of(|| assert!(memo.is_secret(text, &(4..16), Place::Password))) > 0);
    }

    #[test]
    fn the_end_of_a_value_is_the_same_whatever_was_asked_before() {
        let text = b"abc&def ghi&jkl&mno pqr";
        let stops =
            |in_query: bool| move |at: usize| text[at] == b' ' || (in_query && text[at] == b'&');
        for first in 0..text.len() {
            for second in 0..text.len() {
                let mut memo = Memo::default();
                for (from, in_query) in [(first, false), (second, true), (second, false)] {
                    let told =
                        memo.bare_end(in_query, (from, text.len(), text.len()), stops(in_query));
                    let slow = (from..text.len()).find(|at| stops(in_query)(*at));
                    assert_eq!(told, slow.unwrap_or(text.len()), "{first} {second}");
                }
            }
        }
    }

    #[test]
    fn values_that_overlap_are_walked_over_once() {
        let text = vec![b'a'; 10_000];
        let mut memo = Memo::default();
        let done = work::of(|| {
            for from in 0..text.len() {
                let end = memo.bare_end(false, (from, text.len(), text.len()), |_| false);
                assert_eq!(end, text.len());
            }
        });
        assert_eq!(done, text.len());
    }
}
