//! Has this text been cleaned before? A conversation brings all of its texts with each turn, and the longer it is, the more
//! time it would take to look through what has been looked through already.

use super::Found;
use bartizan_store::Digest;
use std::collections::HashMap;
use std::sync::Arc;

/// What became of texts, as far back as there is room: those of the last turns, and of the ones before them.
#[derive(Debug, Default)]
pub(super) struct Past {
    young: HashMap<Digest, Arc<Cleaned>>,
    old: HashMap<Digest, Arc<Cleaned>>,
    /// Bytes of the young ones.
    bytes: usize,
}

/// A text as it goes to the model, and what was found in it.
#[derive(Debug)]
pub(in super::super) struct Cleaned {
    pub(in super::super) text: String,
    pub(in super::super) found: Found,
    /// How many parts of it stand between markers.
    pub(in super::super) framed: usize,
    /// Whether what stands behind it is none of a person's words.
    pub(in super::super) opens: bool,
}

/// All that decides what becomes of a text, the text itself among it. Only its digest, since no secret of it shall stay.
pub(super) fn key(edition: usize, form: &str, text: &str) -> Digest {
    let head = format!("{edition} {} {form} ", form.len());
    Digest::of_parts(&[head.as_bytes(), text.as_bytes()])
}

impl Past {
    pub(super) fn get(&mut self, key: &Digest) -> Option<Arc<Cleaned>> {
        if let Some(cleaned) = self.young.get(key) {
            return Some(Arc::clone(cleaned));
        }
        let (key, cleaned) = self.old.remove_entry(key)?;
        self.put(key, Arc::clone(&cleaned));
        Some(cleaned)
    }

    pub(super) fn keep(&mut self, key: Digest, cleaned: &Arc<Cleaned>) {
        self.put(key, Arc::clone(cleaned));
    }

    fn put(&mut self, key: Digest, cleaned: Arc<Cleaned>) {
        let bytes = ENTRY_BYTES + cleaned.text.len();
        if self.bytes + bytes > YOUNG_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        if bytes <= YOUNG_BYTES {
            self.bytes += bytes;
            self.young.insert(key, cleaned);
        }
    }
}

/// About what is held of a text beside it: its key and its place in a table that is half empty, and what was found in it.
/// Most strings of a conversation are shorter.
const ENTRY_BYTES: usize = 2 * (size_of::<Digest>() + size_of::<Arc<Cleaned>>())
    + size_of::<Cleaned>()
    + 4 * size_of::<usize>();
/// A session keeps twice as much at the most: more of a conversation than any model reads.
const YOUNG_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(bytes: usize) -> Arc<Cleaned> {
        Arc::new(Cleaned {
            text: "x".repeat(bytes),
            found: Found::default(),
            framed: 0,
            opens: false,
        })
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut past = Past::default();
        past.keep(key(0, "f", "used"), &cleaned(1));
        past.keep(key(0, "f", "unused"), &cleaned(1));
        for turn in 0..8 {
            past.keep(key(0, "f", &turn.to_string()), &cleaned(YOUNG_BYTES / 3));
            assert!(past.get(&key(0, "f", "used")).is_some(), "{turn}");
        }
        assert!(past.get(&key(0, "f", "unused")).is_none());
        let held = |map: &HashMap<Digest, Arc<Cleaned>>| {
            map.values().map(|cleaned| ENTRY_BYTES + cleaned.text.len()).sum::<usize>()
        };
        assert!(held(&past.young) <= YOUNG_BYTES && held(&past.old) <= YOUNG_BYTES);
        past.keep(key(0, "f", "huge"), &cleaned(YOUNG_BYTES + 1));
        assert!(past.get(&key(0, "f", "huge")).is_none());
    }

    #[test]
    fn what_is_short_counts_with_all_that_is_held_of_it() {
        let mut past = Past::default();
        for number in 0_u32..300_000 {
            past.keep(key(0, "f", &number.to_string()), &cleaned(1));
        }
        let entry = size_of::<(Digest, Arc<Cleaned>)>() + size_of::<Cleaned>();
        assert!(past.young.capacity() * entry <= 2 * YOUNG_BYTES, "{}", past.young.capacity());
        assert!(past.old.len() * entry <= YOUNG_BYTES, "{}", past.old.len());
    }

    #[test]
    fn no_two_share_a_key() {
        assert_ne!(key(1, "a b", "c"), key(1, "a", "b c"));
        assert_ne!(key(1, "a", "b"), key(11, "a", "b"));
    }
}
