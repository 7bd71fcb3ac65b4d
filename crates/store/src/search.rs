//! Which records fit, newest first, as far back as a person waits for?
use crate::StoreError;
use crate::export::{Filter, Reader, Record};
use std::time::{Duration, Instant};

/// What a search has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is handed back whole")]
pub struct Found {
    /// What fits, newest first.
    pub records: Vec<Record>,
    /// Where it stopped: records before this place were not looked at. `None` when all were.
    pub rest: Option<u64>,
}

impl Reader {
    /// Up to `limit` records that fit, newest first. However large the log is, it stops when `patience` is over, and the
    /// next search goes on with `before_seq` set to where it stopped.
    pub fn search(
        &self,
        filter: &Filter,
        limit: usize,
        patience: Duration,
    ) -> Result<Found, StoreError> {
        let begun = Instant::now();
        let low = filter.from_seq.unwrap_or(0).max(self.begins()?);
        let mut high = filter.before_seq.unwrap_or(u64::MAX).min(self.size()?);
        let mut records = Vec::new();
        while high > low && records.len() < limit {
            let from = high.saturating_sub(STEP).max(low);
            let part = Filter { from_seq: Some(from), before_seq: Some(high), ..filter.clone() };
            let page = self.tail(&part, limit - records.len())?;
            records.extend(page.into_iter().rev());
            high = match records.last() {
                Some(last) if records.len() == limit => last.seq,
                _ => from,
            };
            if begun.elapsed() >= patience {
                break;
            }
        }
        Ok(Found { records, rest: (high > low).then_some(high) })
    }
}

/// Records that are looked at between two looks at the clock.
const STEP: u64 = 8192;
