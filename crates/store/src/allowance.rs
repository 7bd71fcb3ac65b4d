//! How much of an allowance is used up, by every process that shares the store?
use crate::StoreError;
use crate::clock;
use crate::entry::Entry;
use crate::ledger::Receipt;
use crate::store::Store;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::num::NonZeroU32;

/// So many calls of a kind, and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// What is counted; the same text is the same count.
    pub key: String,
    /// In which span of time.
    pub per: Per,
    /// How many.
    pub most: NonZeroU32,
}

/// In which span calls are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Per {
    /// A minute: a bucket that is full at first and fills evenly again.
    Minute,
    /// A day, which begins at midnight UTC.
    Day,
    /// The session of this id.
    Session(String),
}

/// An allowance that is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Its place among those that were given.
    pub which: usize,
    /// In how many milliseconds the next call is free; `None` is never, in this span.
    pub free_in_ms: Option<u64>,
}

/// The allowances of every process that uses the store.
pub trait Allowances: Send + Sync {
    /// Which of these is used up now, the one that is free last; nothing is counted.
    fn spent(&self, of: &[Allowance]) -> Result<Option<Spent>, StoreError>;

    /// Counts one call under each of these and puts `entry` on the log, both in one commit; or does neither, and says
    /// which is used up.
    fn spend(&self, of: Vec<Allowance>, entry: Entry)
    -> Result<Result<Receipt, Spent>, StoreError>;
}

impl Allowances for Store {
    fn spent(&self, of: &[Allowance]) -> Result<Option<Spent>, StoreError> {
        let now_ms = clock::now_ms();
        self.reader().read(|db| Ok(look(db, of, now_ms)?.err()))
    }

    fn spend(
        &self,
        of: Vec<Allowance>,
        entry: Entry,
    ) -> Result<Result<Receipt, Spent>, StoreError> {
        let prepared = self.prepare(entry)?;
        self.work(move |batch| {
            let counted = match look(batch.transaction, &of, clock::now_ms())? {
                Ok(counted) => counted,
                Err(spent) => return Ok(Ok(Err(spent))),
            };
            for (allowance, count) in of.iter().zip(counted) {
                let key = params![allowance.key, allowance.per.span(), count.mark, count.used];
                batch.transaction.prepare_cached(WRITE)?.execute(key)?;
            }
            batch.append(&prepared).map(|receipt| Ok(Ok(receipt)))
        })
    }
}

/// Forgets what was counted of a session that is over.
pub(crate) fn forget(db: &Connection, session: &str) -> rusqlite::Result<()> {
    let span = Per::Session(session.to_owned()).span();
    db.prepare_cached("DELETE FROM allowances WHERE span = ?1")?.execute([span]).map(drop)
}

/// The counts with one call more, or which allowance has no room for it.
fn look(
    db: &Connection,
    of: &[Allowance],
    now_ms: u64,
) -> rusqlite::Result<Result<Vec<Count>, Spent>> {
    let mut statement = db.prepare_cached(SELECT)?;
    let (mut counts, mut last): (_, Option<Spent>) = (Vec::new(), None);
    for (which, allowance) in of.iter().enumerate() {
        let row = |row: &rusqlite::Row<'_>| Ok(Count { mark: row.get(0)?, used: row.get(1)? });
        let found = statement.query_row([&allowance.key, &allowance.per.span()], row).optional()?;
        match allowance.take_one(found.unwrap_or_default(), now_ms) {
            Ok(count) => counts.push(count),
            Err(free_in_ms) => {
                let spent = Spent { which, free_in_ms };
                let later = |known: &Spent| known.wait() < spent.wait();
                if last.as_ref().is_none_or(later) {
                    last = Some(spent);
                }
            }
        }
    }
    Ok(last.map_or(Ok(counts), Err))
}

impl Spent {
    fn wait(&self) -> u64 {
        self.free_in_ms.unwrap_or(u64::MAX)
    }
}

/// What is written down of one allowance.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    /// The day that is counted, or the time in microseconds at which the bucket is full again.
    mark: u64,
    used: u64,
}

impl Allowance {
    /// The count with one call more, or in how many milliseconds there is room for it.
    fn take_one(&self, count: Count, now_ms: u64) -> Result<Count, Option<u64>> {
        let most = u64::from(self.most.get());
        match self.per {
            Per::Minute => {
                let (step, now) = (MINUTE_US.div_ceil(most), now_ms.saturating_mul(1000));
                let whole = step * most;
                // A clock that was put back must not keep the bucket empty for longer than it takes to fill.
                let full_at = count.mark.clamp(now, now.saturating_add(whole)) + step;
                let over = full_at.saturating_sub(now.saturating_add(whole));
                if over > 0 {
                    return Err(Some(over.div_ceil(1000)));
                }
                Ok(Count { mark: full_at, used: 0 })
            }
            Per::Day => {
                let day = now_ms / DAY_MS;
                // Nor does a clock that was put back begin a day anew; but one that was years ahead for a moment must not
                // end all days until then.
                let today =
                    if count.mark > day + SET_BACK_DAYS { day } else { count.mark.max(day) };
                let used = if count.mark == today { count.used } else { 0 };
                if used >= most {
                    return Err(Some(((today + 1) * DAY_MS).saturating_sub(now_ms)));
                }
                Ok(Count { mark: today, used: used + 1 })
            }
            Per::Session(_) if count.used >= most => Err(None),
            Per::Session(_) => Ok(Count { mark: 0, used: count.used + 1 }),
        }
    }
}

impl Per {
    /// The name under which it is written down.
    fn span(&self) -> String {
        match self {
            Self::Minute => "minute".to_owned(),
            Self::Day => "day".to_owned(),
            Self::Session(id) => format!("session {id}"),
        }
    }
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS allowances (
  key  TEXT    NOT NULL,
  span TEXT    NOT NULL,
  mark INTEGER NOT NULL,
  used INTEGER NOT NULL,
  PRIMARY KEY (key, span)
) STRICT, WITHOUT ROWID;";
const SELECT: &str = "SELECT mark, used FROM allowances WHERE key = ?1 AND span = ?2";
const WRITE: &str = "INSERT INTO allowances (key, span, mark, used) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (key, span) DO UPDATE SET mark = excluded.mark, used = excluded.used";
const MINUTE_US: u64 = 60_000_000;
const DAY_MS: u64 = 86_400_000;
/// A clock that goes back further than this was wrong before. Whoever can set it had days enough by setting it forward.
const SET_BACK_DAYS: u64 = 7;

#[cfg(test)]
mod tests;
