//! How many notices is somebody sent in a minute? A few, each by itself; of the rest they are told how many they are.

use bartizan_store::Record;
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// When the last ones were told.
#[derive(Debug, Default)]
pub(super) struct Burst {
    told: VecDeque<Instant>,
}

impl Burst {
    /// Whether so many were told in the last minute that another by itself would be one too many.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        while self.told.front().is_some_and(|told| now.duration_since(*told) >= WINDOW) {
            self.told.pop_front();
        }
        self.told.len() >= MOST
    }

    /// One was told.
    pub(super) fn note(&mut self, now: Instant) {
        self.told.push_back(now);
    }
}

/// What came too fast to be told one by one.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    pub(super) questions: usize,
    pub(super) notes: usize,
    pub(super) runs: BTreeSet<String>,
    /// The places of the first and the last on the log.
    pub(super) places: Option<(u64, u64)>,
    /// When the first came to pass.
    pub(super) time_ms: u64,
}

impl Crowd {
    /// One more, a question or a note.
    pub(super) fn add(&mut self, record: &Record, is_question: bool) {
        let value = record.value();
        if self.places.is_none() {
            self.time_ms = value.get("time_ms").and_then(Value::as_u64).unwrap_or_default();
        }
        let first = self.places.map_or(record.seq, |(first, _)| first);
        self.places = Some((first, record.seq));
        self.runs.extend(value.get("session").and_then(Value::as_str).map(str::to_owned));
        *if is_question { &mut self.questions } else { &mut self.notes } += 1;
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.questions + self.notes
    }
}

/// Whoever looks at more than this in a minute looks at none.
const MOST: usize = 10;
const WINDOW: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_ten_are_told_in_any_minute() {
        let (mut burst, begun) = (Burst::default(), Instant::now());
        let mut told = Vec::new();
        for tenth in 0..1800 {
            let now = begun + Duration::from_millis(tenth * 100);
            if !burst.is_full(now) {
                burst.note(now);
                told.push(now);
            }
        }
        assert_eq!(told.len(), 30, "three minutes");
        assert!(told.windows(11).all(|eleven| eleven[10] - eleven[0] >= WINDOW));
    }
}
