//! How many refusals of a kind, and remarks, go on the log? As many as tell what an agent tried; one that tries without end must not fill
//! the disk of whoever runs it. What is left out is counted, and the rules see it all the same.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The refusals of one run, by their code, or its remarks, by their kind: one kind's flood hides no other.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<BTreeMap<&'static str, Bucket>>);

#[derive(Debug)]
struct Bucket {
    /// Records that may be written now.
    room: u64,
    filled: Instant,
    /// Since the last that was written, and in all.
    left_out: u64,
    ever: u64,
}

impl Pace {
    /// Whether a refusal with this code goes on the log at `now`: how many before it did not, or nothing if it does not
    /// either.
    pub(super) fn turn(&self, code: &'static str, now: Instant) -> Option<u64> {
        self.turn_of(code, 1, now)
    }

    /// The same for one that is as long as `weight` others.
    pub(super) fn turn_of(&self, code: &'static str, weight: u64, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Bucket { room: BURST, filled: now, left_out: 0, ever: 0 };
        let bucket = kinds.entry(code).or_insert_with(fresh);
        let seconds = now.saturating_duration_since(bucket.filled).as_secs();
        if seconds > 0 {
            bucket.room = BURST.min(bucket.room.saturating_add(seconds * PER_SECOND));
            bucket.filled = now;
        }
        if bucket.room < weight {
            bucket.left_out += 1;
            bucket.ever += 1;
            return None;
        }
        bucket.room -= weight;
        Some(std::mem::take(&mut bucket.left_out))
    }

    /// How many were left out in all.
    pub(super) fn left_out(&self) -> u64 {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.values().map(|bucket| bucket.ever).sum()
    }
}

/// How long a record is that weighs as one.
pub(super) const USUAL_BYTES: usize = 4096;
/// Refusals of one code that are written at once, and over time: some tens of megabytes a day at most.
const BURST: u64 = 1000;
const PER_SECOND: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_long_counts_as_much_as_what_is_short_and_many() {
        let (pace, start) = (Pace::default(), Instant::now());
        let written = (0..100).filter(|_| pace.turn_of("client", 60, start).is_some()).count();
        assert_eq!(written, 16);
        assert_eq!(pace.turn_of("client", 1, start), Some(84), "a short one still has room");
        assert_eq!(pace.turn_of("client", 2000, start + Duration::from_hours(9)), None);
    }

    #[test]
    fn a_flood_is_counted_and_another_kind_is_not_hidden_by_it() {
        let (pace, start) = (Pace::default(), Instant::now());
        let written = (0..50_000).filter(|_| pace.turn("denied", start).is_some()).count();
        assert_eq!((written, pace.left_out()), (1000, 49_000));
        assert_eq!(pace.turn("unseen-act", start), Some(0));
        let later = start + Duration::from_secs(2);
        assert_eq!(pace.turn("denied", later), Some(49_000), "told with the next that is written");
        assert_eq!(pace.turn("denied", later), Some(0));
        assert_eq!(pace.turn("denied", later), None);
        let rested = start + Duration::from_hours(9);
        let written = (0..5000).filter(|_| pace.turn("denied", rested).is_some()).count();
        assert_eq!(written, 1000, "rest gives no more than at the start");
    }
}
