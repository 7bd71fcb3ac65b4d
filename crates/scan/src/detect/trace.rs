//! Where did this byte of the copy stand in the original?

use std::ops::Range;

/// A rewritten copy of a text that knows, for each of its bytes, where the original of it began.
#[derive(Clone, Debug, Default)]
pub(super) struct Traced {
    text: String,
    from: Vec<usize>,
    end: usize,
}

impl Traced {
    /// A copy without a change. `base` is added to every place.
    pub(super) fn of(text: &str, base: usize) -> Self {
        Self {
            text: text.to_owned(),
            from: (base..base + text.len()).collect(),
            end: base + text.len(),
        }
    }

    /// A copy whose every byte comes from the same place: a decoded run.
    pub(super) fn at(text: String, place: &Range<usize>) -> Self {
        let from = vec![place.start; text.len()];
        Self { text, from, end: place.end }
    }

    /// A part of the copy as it is.
    pub(super) fn part(&self, part: Range<usize>) -> Self {
        let end = self.origin(part.end);
        let mut out = Self { end, ..Self::default() };
        out.copy(self, part);
        out
    }

    /// An empty copy of the same original, to be filled.
    pub(super) fn blank(&self) -> Self {
        Self {
            text: String::with_capacity(self.text.len()),
            from: Vec::with_capacity(self.text.len()),
            end: self.end,
        }
    }

    /// The copy.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where the byte `at` of the copy comes from; the end of the original for the end of the copy.
    pub(super) fn origin(&self, at: usize) -> usize {
        self.from.get(at).copied().unwrap_or(self.end)
    }

    /// The part of the original that a part of the copy comes from.
    pub(super) fn source(&self, part: &Range<usize>) -> Range<usize> {
        let start = self.origin(part.start);
        // A run that was turned round, or decoded from one place, ends before it begins or where it began.
        let end = self.origin(part.end);
        if end > start { start..end } else { start..self.end.max(start) }
    }

    /// Appends a character that comes from `origin`.
    pub(super) fn push(&mut self, c: char, origin: usize) {
        self.text.push(c);
        self.from.resize(self.text.len(), origin);
    }

    /// Appends a text that comes, as a whole, from `origin`.
    pub(super) fn push_str(&mut self, text: &str, origin: usize) {
        self.text.push_str(text);
        self.from.resize(self.text.len(), origin);
    }

    /// Appends a part of another copy as it is.
    pub(super) fn copy(&mut self, other: &Self, part: Range<usize>) {
        if let (Some(text), Some(from)) = (other.text.get(part.clone()), other.from.get(part)) {
            self.text.push_str(text);
            self.from.extend_from_slice(from);
        }
    }

    /// Appends a part of another copy, its ASCII letters in lower case.
    pub(super) fn copy_in_lower_case(&mut self, other: &Self, part: Range<usize>) {
        let from = self.text.len();
        self.copy(other, part);
        if let Some(new) = self.text.get_mut(from..) {
            new.make_ascii_lowercase();
        }
    }

    /// The last character.
    pub(super) fn last(&self) -> Option<char> {
        self.text.chars().next_back()
    }
}
