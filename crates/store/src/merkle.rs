//! What single hash stands for all records so far, in the tree of RFC 6962?
use crate::Digest;

/// The right edge of the tree: the roots of its perfect subtrees, largest first. It is all that is needed to append
/// and to know the root, and it holds one hash for each bit set in the size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

impl Frontier {
    pub(crate) const fn empty() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// Reads what [`Frontier::to_bytes`] wrote; `None` when the bytes cannot belong to a tree of `size` leaves.
    pub(crate) fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let peaks: Vec<Digest> =
            bytes.chunks(32).map(Digest::try_from).collect::<Result<_, _>>().ok()?;
        (peaks.len() == usize::try_from(size.count_ones()).ok()?).then_some(Self { size, peaks })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.peaks.iter().flat_map(|peak| *peak.as_bytes()).collect()
    }

    /// How many leaves the tree has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn push(&mut self, leaf: Digest) {
        let mut node = leaf;
        let mut rest = self.size;
        while rest & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                node = parent(&left, &node);
            }
            rest >>= 1;
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root of the perfect subtree over the leaves from `start` to `end`, if that is one of the edge's.
    pub(crate) fn peak(&self, start: u64, end: u64) -> Option<Digest> {
        let mut begins = 0;
        let mut rest = self.size;
        for peak in &self.peaks {
            let width = rest.checked_ilog2().map(|log| 1_u64 << log)?;
            if (begins, begins + width) == (start, end) {
                return Some(*peak);
            }
            begins += width;
            rest -= width;
        }
        None
    }

    pub(crate) fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Digest::of(b"") };
        peaks.fold(*last, |right, left| parent(left, &right))
    }
}

/// The leaf hash of RFC 6962; its first byte keeps a leaf from being taken for an inner node.
pub(crate) fn leaf(record: &[u8]) -> Digest {
    Digest::of_parts(&[&[0], record])
}

pub(crate) fn parent(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts(&[&[1], left.as_bytes(), right.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 6962 section 2.1, word for word.
    fn naive(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [one] => *one,
            many => {
                let split = many.len().next_power_of_two() / 2;
                parent(&naive(&many[..split]), &naive(&many[split..]))
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_frontier_has_the_root_of_the_whole_tree(
            records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..8), 0..70)
        ) {
            let leaves: Vec<Digest> = records.iter().map(|record| leaf(record)).collect();
            let mut frontier = Frontier::empty();
            for (at, leaf) in leaves.iter().enumerate() {
                prop_assert_eq!(frontier.root(), naive(&leaves[..at]));
                frontier = Frontier::from_bytes(frontier.size(), &frontier.to_bytes()).unwrap();
                frontier.push(*leaf);
            }
            prop_assert_eq!(frontier.root(), naive(&leaves));
        }

        #[test]
        fn bytes_of_another_size_are_no_frontier(size in 0_u64..1000, len in 0_usize..400) {
            let fits = len == 32 * size.count_ones() as usize;
            prop_assert_eq!(Frontier::from_bytes(size, &vec![7; len]).is_some(), fits);
        }
    }

    #[test]
    fn the_known_answers_of_certificate_transparency_hold() {
        // The leaves and roots of certificate-transparency-go's merkle tree tests.
        let leaves: [&[u8]; 3] = [b"", b"\x00", b"\x10"];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        ];
        let mut frontier = Frontier::empty();
        for (bytes, root) in leaves.iter().zip(roots) {
            frontier.push(leaf(bytes));
            assert_eq!(frontier.root().to_string(), root);
        }
    }
}
