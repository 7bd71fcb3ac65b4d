//! Did the log only grow since it had so many records? The consistency proof of RFC 6962, section 2.1.2.
use crate::StoreError;
use crate::base::Base;
use crate::digest::Digest;
use crate::export::Reader;
use crate::merkle::Frontier;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::ops::Range;

impl Reader {
    /// The proof that the log of `new` records goes on from that of `old`. `None` when the records that it takes were pruned,
    /// or are not there yet. It reads those from the checkpoint before `old` on, and no others.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Option<Vec<Digest>>, StoreError> {
        if old == 0 || old == new {
            return Ok(Some(Vec::new()));
        }
        self.read(|db| {
            let Some(before) = tree_at(db, old)?.filter(|_| old < new) else { return Ok(None) };
            let parts = parts(old, new);
            let later = parts.iter().filter(|part| part.start >= old).cloned().collect();
            let Some(later) = roots(db, later)? else { return Ok(None) };
            let node = |part: &Range<u64>| {
                let known = if part.start < old {
                    before.peak(part.start, part.end)
                } else {
                    later.get(&part.start).copied()
                };
                // A node that is missing makes a proof that proves nothing, and nobody takes.
                known.unwrap_or(Digest::ZERO)
            };
            Ok(Some(parts.iter().map(node).collect()))
        })
    }
}

/// The tree as it was with `size` records.
fn tree_at(db: &Connection, size: u64) -> rusqlite::Result<Option<Frontier>> {
    let base = Base::before(db, size)?.map_or_else(Frontier::empty, |base| base.tree);
    if base.size() > size {
        return Ok(None);
    }
    grown(db, base, size)
}

/// The roots over these ranges of records, by where they begin; `None` when a record is missing.
fn roots(
    db: &Connection,
    ranges: Vec<Range<u64>>,
) -> rusqlite::Result<Option<BTreeMap<u64, Digest>>> {
    let mut roots = BTreeMap::new();
    for range in ranges {
        let mut tree = Frontier::empty();
        if !push(db, &mut tree, range.clone())? {
            return Ok(None);
        }
        roots.insert(range.start, tree.root());
    }
    Ok(Some(roots))
}

fn grown(db: &Connection, mut tree: Frontier, size: u64) -> rusqlite::Result<Option<Frontier>> {
    let range = tree.size()..size;
    Ok(push(db, &mut tree, range)?.then_some(tree))
}

/// Whether all of these records were there to be put into the tree.
fn push(db: &Connection, tree: &mut Frontier, range: Range<u64>) -> rusqlite::Result<bool> {
    let sql = "SELECT leaf FROM records WHERE seq >= ?1 AND seq < ?2 ORDER BY seq";
    let mut leaves = db.prepare_cached(sql)?;
    let mut leaves = leaves.query([range.start, range.end])?;
    let mut left = range.end - range.start;
    while let Some(row) = leaves.next()? {
        tree.push(Digest::try_from(row.get_ref(0)?.as_bytes()?).unwrap_or(Digest::ZERO));
        left = left.saturating_sub(1);
    }
    Ok(left == 0)
}

/// The ranges of records whose roots are the proof, in its order, for 0 < `old` < `new`.
///
/// Those before `old` are perfect subtrees of the old tree's right edge; the others hold new records alone.
fn parts(old: u64, new: u64) -> Vec<Range<u64>> {
    let (mut low, mut high, mut is_whole) = (0, new, true);
    let mut up = Vec::new();
    // Down to where the old tree ends; what stands beside the way is the proof, from below.
    while high > old {
        let split = low + (high - low).next_power_of_two() / 2;
        if old <= split {
            up.push(split..high);
            high = split;
        } else {
            up.push(low..split);
            low = split;
            is_whole = false;
        }
    }
    if !is_whole {
        up.push(low..high);
    }
    up.reverse();
    up
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{leaf, parent};
    use crate::{Durability, Entry, Event, Ledger as _, Store};
    use proptest::prelude::*;

    fn root(leaves: &[Digest]) -> Digest {
        let mut tree = Frontier::empty();
        for leaf in leaves {
            tree.push(*leaf);
        }
        tree.root()
    }

    /// The verifier of RFC 9162, section 2.1.4.2, step by step.
    fn holds(sizes: (u64, u64), roots: (Digest, Digest), proof: &[Digest]) -> bool {
        let (old, new) = sizes;
        let mut proof = proof.to_vec();
        if old.is_power_of_two() {
            proof.insert(0, roots.0);
        }
        let (mut first, mut second) = (old - 1, new - 1);
        while first & 1 == 1 {
            (first, second) = (first >> 1, second >> 1);
        }
        let Some((start, rest)) = proof.split_first() else { return false };
        let (mut from_old, mut from_new) = (*start, *start);
        for node in rest {
            if second == 0 {
                return false;
            }
            if first & 1 == 1 || first == second {
                from_old = parent(node, &from_old);
                from_new = parent(node, &from_new);
                while first & 1 == 0 && first != 0 {
                    (first, second) = (first >> 1, second >> 1);
                }
            } else {
                from_new = parent(&from_new, node);
            }
            (first, second) = (first >> 1, second >> 1);
        }
        second == 0 && (from_old, from_new) == roots
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn every_proof_holds_and_for_no_other_tree(old in 1_u64..90, more in 1_u64..90, bad in 0_u64..180) {
            let new = old + more;
            let leaves: Vec<Digest> = (0..new).map(|n| leaf(&n.to_be_bytes())).collect();
            let range = |from: u64, to: u64| &leaves[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
            let proof: Vec<Digest> = parts(old, new).into_iter().map(|part| root(range(part.start, part.end))).collect();
            let roots = (root(range(0, old)), root(&leaves));
            prop_assert!(holds((old, new), roots, &proof));
            prop_assert!(proof.len() <= 63);
            let mut edge = Frontier::empty();
            for leaf in range(0, old) {
                edge.push(*leaf);
            }
            for part in parts(old, new).iter().filter(|part| part.start < old) {
                prop_assert_eq!(edge.peak(part.start, part.end), Some(root(range(part.start, part.end))));
            }
            let mut changed = leaves.clone();
            let at = usize::try_from(bad % new).unwrap();
            changed[at] = leaf(b"changed");
            prop_assert!(!holds((old, new), (roots.0, root(&changed)), &proof));
        }
    }

    #[test]
    fn the_log_proves_that_it_grew_until_what_that_takes_is_pruned() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let add = |count: u64| {
            for _ in 0..count {
                let _receipt = store.append(Entry::new(Event::Fault), Durability::Durable).unwrap();
            }
            store.public_key().open(&store.checkpoint().unwrap().unwrap()).unwrap()
        };
        let old = [add(3), add(80), add(1)];
        let new = add(150);
        for old in &old {
            let proof = store.reader().consistency(old.size, new.size).unwrap().unwrap();
            assert!(holds((old.size, new.size), (old.root, new.root), &proof), "{old:?}");
        }
        assert_eq!(store.reader().consistency(0, new.size).unwrap(), Some(Vec::new()));
        assert_eq!(store.reader().consistency(new.size, new.size).unwrap(), Some(Vec::new()));
        assert_eq!(store.reader().consistency(new.size + 1, new.size).unwrap(), None);
        assert_eq!(store.reader().consistency(new.size, new.size + 9).unwrap(), None);
        store.prune(84, "local:anna", None).unwrap();
        assert_eq!(store.reader().consistency(83, new.size).unwrap(), None);
        let proof = store.reader().consistency(84, new.size).unwrap().unwrap();
        assert!(holds((84, new.size), (old[2].root, new.root), &proof));
    }
}
