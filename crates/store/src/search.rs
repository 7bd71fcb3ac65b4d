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
        let filter = self.narrowed(filter, Some(GLANCE))?;
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

    /// The first record that is not older than this; `None` when all are. A clock that was set back hides none.
    pub fn first_since(&self, since_ms: u64) -> Result<Option<u64>, StoreError> {
        Ok(self.young(since_ms, None)?.0)
    }

    /// The same filter, not beginning before the first record that is young enough; unchanged when more than `glance`
    /// are, since then one is soon met.
    pub(crate) fn narrowed(
        &self,
        filter: &Filter,
        glance: Option<u32>,
    ) -> Result<Filter, StoreError> {
        let mut filter = filter.clone();
        let Some(since_ms) = filter.since_ms else { return Ok(filter) };
        let (first, count) = self.young(since_ms, glance)?;
        if glance.is_none_or(|glance| count < glance) {
            let first = first.unwrap_or(u64::MAX);
            filter.from_seq = Some(filter.from_seq.map_or(first, |from| from.max(first)));
        }
        Ok(filter)
    }

    /// The first of those that are young enough, and how many they are: of `glance` of them, where one is given. Time is
    /// not the order of the log, so each is looked at, in the index alone.
    fn young(&self, since_ms: u64, glance: Option<u32>) -> Result<(Option<u64>, u32), StoreError> {
        let sql =
            "SELECT min(seq), count(*) FROM (SELECT seq FROM records WHERE time_ms >= ?1 LIMIT ?2)";
        let since_ms = i64::try_from(since_ms).unwrap_or(i64::MAX);
        let limit = glance.map_or(-1, i64::from);
        self.read(|db| {
            let mut statement = db.prepare_cached(sql)?;
            statement.query_row([since_ms, limit], |row| Ok((row.get(0)?, row.get(1)?)))
        })
    }
}

/// Records that are looked at between two looks at the clock.
const STEP: u64 = 4096;
/// So many entries of the index of times take a millisecond or two.
pub(crate) const GLANCE: u32 = 20_000;
