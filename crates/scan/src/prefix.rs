//! Could the end of what we have be the beginning of something we look for?

use zeroize::Zeroizing;

/// A sorted list of patterns that answers how many bytes of a text's end may not be let go yet.
pub(crate) struct PrefixIndex {
    sorted: Vec<Zeroizing<Vec<u8>>>,
    /// Which pairs of first bytes occur: it spares nearly every search.
    pairs: Vec<bool>,
    longest: usize,
}

impl PrefixIndex {
    /// Takes the patterns, which must be sorted and without doubles.
    pub(crate) fn new(sorted: Vec<Zeroizing<Vec<u8>>>) -> Self {
        let mut pairs = vec![false; 1 << 16];
        for pattern in &sorted {
            if let [a, b, ..] = ***pattern
                && let Some(slot) = pairs.get_mut(pair(a, b))
            {
                *slot = true;
            }
        }
        let longest = sorted.iter().map(|p| p.len()).max().unwrap_or(0);
        Self { sorted, pairs, longest }
    }

    pub(crate) fn patterns(&self) -> &[Zeroizing<Vec<u8>>] {
        &self.sorted
    }

    /// The length of the longest end of `text` that is a beginning, but not the whole, of a pattern.
    pub(crate) fn held(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.longest.saturating_sub(1));
        let tail = text.get(from..).unwrap_or_default();
        (0..tail.len())
            .find(|&at| tail.get(at..).is_some_and(|end| self.may_begin(end)))
            .map_or(0, |at| tail.len() - at)
    }

    fn may_begin(&self, end: &[u8]) -> bool {
        if let [a, b, ..] = *end
            && self.pairs.get(pair(a, b)) != Some(&true)
        {
            return false;
        }
        let at = self.sorted.partition_point(|p| p.as_slice() < end);
        // The pattern that equals `end`, if any, stands right before those that go on from it.
        self.sorted.iter().skip(at).take(2).any(|p| p.len() > end.len() && p.starts_with(end))
    }
}

fn pair(a: u8, b: u8) -> usize {
    usize::from(a) << 8 | usize::from(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_live_beginning_is_held() {
        let index =
            PrefixIndex::new(["abc", "abcdef", "xy"].map(|p| Zeroizing::new(p.into())).to_vec());
        for (text, held) in
            [("", 0), ("zza", 1), ("zabc", 3), ("abcde", 5), ("abcdef", 0), ("abx", 1), ("xy", 0)]
        {
            assert_eq!(index.held(text.as_bytes()), held, "{text}");
        }
    }
}
