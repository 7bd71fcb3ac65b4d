//! Where in the input does a place in the half-redacted text lie?

use std::collections::VecDeque;
use std::ops::Range;

/// Follows a copy in which some ranges are replaced, and translates places in the copy back.
#[derive(Debug, Default)]
pub(crate) struct OffsetMap {
    from: usize,
    to: usize,
    marks: VecDeque<Mark>,
}

#[derive(Debug)]
struct Mark {
    from: Range<usize>,
    to: Range<usize>,
}

impl OffsetMap {
    /// Notes that `len` bytes were copied as they are.
    pub(crate) const fn copied(&mut self, len: usize) {
        self.from += len;
        self.to += len;
    }

    /// Notes that `from` bytes of the input were replaced by `to` bytes.
    pub(crate) fn replaced(&mut self, from: usize, to: usize) {
        self.marks.push_back(Mark { from: self.from..self.from + from, to: self.to..self.to + to });
        self.from += from;
        self.to += to;
    }

    /// The input's range behind a range of the copy; a replacement counts whole.
    pub(crate) fn back(&self, range: Range<usize>) -> Range<usize> {
        let before = |place: usize, inclusive: bool| {
            let count = self.marks.partition_point(|m| m.to.start < place + usize::from(inclusive));
            count.checked_sub(1).and_then(|i| self.marks.get(i))
        };
        let start = match before(range.start, true) {
            Some(m) if range.start < m.to.end => m.from.start,
            Some(m) => m.from.end + (range.start - m.to.end),
            None => self.unmarked(range.start),
        };
        let end = match before(range.end, false) {
            Some(m) if range.end <= m.to.end => m.from.end,
            Some(m) => m.from.end + (range.end - m.to.end),
            None => self.unmarked(range.end),
        };
        start..end
    }

    /// Forgets marks that end before `to`, except the last, from which later places are counted.
    pub(crate) fn forget_before(&mut self, to: usize) {
        while self.marks.get(1).is_some_and(|next| next.to.start < to) {
            self.marks.pop_front();
        }
    }

    /// A place before the first mark: as long as none was forgotten, nothing before it was replaced.
    fn unmarked(&self, place: usize) -> usize {
        self.marks.front().map_or_else(
            || place + self.from - self.to,
            |m| (m.from.start + place).saturating_sub(m.to.start),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_again_across_replacements() {
        // input:  aaaaa SSSSSSSS bbb TTTT c   copy: aaaaa [x] bbb [yyyyyy] c
        let mut map = OffsetMap::default();
        map.copied(5);
        map.replaced(8, 3);
        map.copied(3);
        map.replaced(4, 8);
        map.copied(1);
        assert_eq!(map.back(0..5), 0..5);
        assert_eq!(map.back(4..6), 4..13);
        assert_eq!(map.back(5..8), 5..13);
        assert_eq!(map.back(8..11), 13..16);
        assert_eq!(map.back(9..12), 14..20);
        assert_eq!(map.back(19..20), 20..21);
        map.forget_before(19);
        assert_eq!(map.back(19..20), 20..21);
    }
}
