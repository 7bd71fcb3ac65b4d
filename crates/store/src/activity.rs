//! How much was done, asked and denied, and when? Counted over the end of the log.
use crate::StoreError;
use crate::export::Reader;
use rusqlite::params;

/// What one stretch of time saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is handed back whole")]
pub struct Activity {
    /// Calls that were made.
    pub made: u64,
    /// Calls for which a person was asked.
    pub asked: u64,
    /// Calls that were denied.
    pub denied: u64,
}

impl Reader {
    /// Each of `count` stretches of `step_ms` from `since_ms` on. Only the last 200,000 records are counted, so that it takes no
    /// longer on a log of millions.
    pub fn activity(
        &self,
        since_ms: u64,
        step_ms: u64,
        count: usize,
    ) -> Result<Vec<Activity>, StoreError> {
        let low = self.size()?.saturating_sub(REACH);
        let step_ms = step_ms.max(1);
        let mut told = vec![Activity::default(); count];
        self.read(|db| {
            let mut statement = db.prepare_cached(COUNT)?;
            let mut rows = statement.query(params![since_ms, step_ms, low])?;
            while let Some(row) = rows.next()? {
                let place = row.get::<_, u64>(0)?;
                let Some(one) = usize::try_from(place).ok().and_then(|at| told.get_mut(at)) else {
                    continue;
                };
                (one.made, one.asked, one.denied) = (row.get(1)?, row.get(2)?, row.get(3)?);
            }
            Ok(())
        })?;
        Ok(told)
    }
}

const COUNT: &str = "SELECT (time_ms - ?1) / ?2,
    count(*) FILTER (WHERE event = 'call'),
    count(*) FILTER (WHERE event = 'pending'),
    count(*) FILTER (WHERE event = 'refusal' AND instr(record, '\"verdict\":\"deny\"') > 0)
    FROM records WHERE seq >= ?3 AND +time_ms >= ?1 AND event IN ('call', 'pending', 'refusal') GROUP BY 1";
/// Records that are counted at most.
const REACH: u64 = 200_000;
