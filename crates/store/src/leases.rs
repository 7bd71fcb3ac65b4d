//! Which credentials live outside this process, and who must take them back if it dies?
use crate::StoreError;
use crate::clock;
use crate::entry::{Entry, Event};
use crate::store::Store;
use rusqlite::{Row, params};

/// A credential that was minted, or is about to be. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its id, never used before.
    pub id: String,
    /// Which back end can take it back.
    pub back_end: String,
    /// What it is for.
    pub subject: String,
    /// What the back end calls it; `None` until it has answered.
    pub handle: Option<String>,
}

impl Store {
    /// Writes a lease down, or fills in its handle, with a `secret_use` record. Committed when it returns.
    pub fn write_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        let act = if lease.handle.is_some() { "hold" } else { "mint" };
        let prepared = self.prepare(entry(act, lease))?;
        let Lease { id, back_end, subject, handle } = lease.clone();
        let pid = std::process::id();
        let ticks = clock::started_ticks(pid).unwrap_or(0);
        self.work(move |batch| {
            batch.transaction.prepare_cached(WRITE)?.execute(params![
                id,
                back_end,
                subject,
                handle,
                pid,
                ticks,
                clock::boot_id()
            ])?;
            let _receipt = batch.append(&prepared)?;
            Ok(Ok(()))
        })
    }

    /// Strikes out a lease that is gone, with a `secret_use` record. One that is not there is struck out already.
    pub fn strike_lease(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        let log_id = self.public_key().log_id().to_owned();
        self.work(move |batch| {
            let found = {
                let mut statement =
                    batch.transaction.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
                let mut rows = statement.query_map([&id], read)?;
                rows.next().transpose()?
            };
            let Some((lease, _)) = found else { return Ok(Ok(())) };
            let prepared = match crate::entry::Prepared::new(entry("end", &lease), &log_id) {
                Ok(prepared) => prepared,
                Err(error) => return Ok(Err(error.into())),
            };
            for table in ["leases", "lease_faults"] {
                let sql = format!("DELETE FROM {table} WHERE id = ?1");
                batch.transaction.prepare_cached(&sql)?.execute([&id])?;
            }
            let _receipt = batch.append(&prepared)?;
            Ok(Ok(()))
        })
    }

    /// Takes down why a lease cannot be taken back. Whether that is news: it is not what was taken down of it last, or that
    /// was a day ago.
    pub fn lease_fault(&self, id: &str, why: &str) -> Result<bool, StoreError> {
        let (id, why, now_ms) = (id.to_owned(), why.to_owned(), clock::now_ms());
        self.work(move |batch| {
            let since = now_ms.saturating_sub(SAID_AGAIN_MS);
            let mut statement = batch.transaction.prepare_cached(FAULT)?;
            Ok(Ok(statement.execute(params![id, why, now_ms, since])? > 0))
        })
    }

    /// The leases of processes that are no more.
    pub fn orphaned_leases(&self) -> Result<Vec<Lease>, StoreError> {
        let all = self.reader().read(|db| {
            let mut statement = db.prepare_cached(SELECT)?;
            statement.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        Ok(all.into_iter().filter(|(_, owner)| !owner.lives()).map(|(lease, _)| lease).collect())
    }
}

/// The process that wrote something down.
pub(crate) struct Owner {
    pub(crate) pid: u32,
    pub(crate) started_ticks: u64,
    pub(crate) boot_id: String,
}

impl Owner {
    /// This process.
    pub(crate) fn this() -> Self {
        let pid = std::process::id();
        let started_ticks = clock::started_ticks(pid).unwrap_or(0);
        Self { pid, started_ticks, boot_id: clock::boot_id().to_owned() }
    }

    /// Whether it still runs.
    pub(crate) fn lives(&self) -> bool {
        self.boot_id == clock::boot_id()
            && clock::started_ticks(self.pid) == Some(self.started_ticks)
    }
}

fn entry(act: &str, lease: &Lease) -> Entry {
    Entry::new(Event::SecretUse)
        .with("act", act)
        .with("lease", lease.id.as_str())
        .with("back_end", lease.back_end.as_str())
        .with("subject", lease.subject.as_str())
        .with("handle", lease.handle.as_deref())
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Lease, Owner)> {
    let lease =
        Lease { id: row.get(0)?, back_end: row.get(1)?, subject: row.get(2)?, handle: row.get(3)? };
    Ok((lease, Owner { pid: row.get(4)?, started_ticks: row.get(5)?, boot_id: row.get(6)? }))
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS leases (
  id            TEXT    PRIMARY KEY,
  back_end      TEXT    NOT NULL,
  subject       TEXT    NOT NULL,
  handle        TEXT,
  pid           INTEGER NOT NULL,
  started_ticks INTEGER NOT NULL,
  boot_id       TEXT    NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS lease_faults (
  id      TEXT    PRIMARY KEY,
  why     TEXT    NOT NULL,
  told_ms INTEGER NOT NULL
) STRICT;";
const FAULT: &str = "INSERT INTO lease_faults (id, why, told_ms) VALUES (?1, ?2, ?3)
    ON CONFLICT (id) DO UPDATE SET why = excluded.why, told_ms = excluded.told_ms
    WHERE why <> excluded.why OR told_ms < ?4";
/// After so long a person is told again that a credential is out.
const SAID_AGAIN_MS: u64 = 24 * 60 * 60 * 1000;
const WRITE: &str =
    "INSERT INTO leases (id, back_end, subject, handle, pid, started_ticks, boot_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (id) DO UPDATE SET handle = excluded.handle";
const SELECT: &str =
    "SELECT id, back_end, subject, handle, pid, started_ticks, boot_id FROM leases";

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(id: &str, handle: Option<&str>) -> Lease {
        Lease {
            id: id.to_owned(),
            back_end: "vault".to_owned(),
            subject: "database/creds/app".to_owned(),
            handle: handle.map(str::to_owned),
        }
    }

    #[test]
    fn only_what_a_dead_process_left_is_an_orphan_and_each_step_is_on_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.write_lease(&lease("a", None)).unwrap();
        store.write_lease(&lease("a", Some("h"))).unwrap();
        store.write_lease(&lease("b", None)).unwrap();
        assert_eq!(store.orphaned_leases().unwrap(), []);
        let dies = |batch: &mut crate::writer::Batch<'_>| {
            batch.transaction.execute("UPDATE leases SET started_ticks = 1", [])?;
            Ok(Ok(()))
        };
        store.work(dies).unwrap();
        let left = store.orphaned_leases().unwrap();
        assert_eq!(left, [lease("a", Some("h")), lease("b", None)]);
        store.strike_lease("a").unwrap();
        store.strike_lease("a").unwrap();
        assert_eq!(store.orphaned_leases().unwrap(), [lease("b", None)]);
        drop(store);
        let again = Store::open(dir.path()).unwrap();
        assert_eq!(again.orphaned_leases().unwrap(), [lease("b", None)]);
        let filter = crate::Filter { event: Some(Event::SecretUse), ..crate::Filter::default() };
        let records = again.reader().page(&filter, 10).unwrap();
        assert_eq!(records.len(), 4, "mint, hold, mint, end");
    }

    #[test]
    fn why_a_lease_is_still_out_is_news_once_until_it_is_another_reason_or_another_lease() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for id in ["a", "b"] {
            store.write_lease(&lease(id, Some("h"))).unwrap();
            assert!(store.lease_fault(id, "down").unwrap());
            assert!(!store.lease_fault(id, "down").unwrap());
        }
        assert!(
            store.lease_fault("a", "denied").unwrap() && store.lease_fault("a", "down").unwrap()
        );
        drop(store);
        let again = Store::open(dir.path()).unwrap();
        assert!(!again.lease_fault("a", "down").unwrap(), "nor in another process");
        again.strike_lease("a").unwrap();
        assert!(again.lease_fault("a", "down").unwrap(), "nothing is left of one that is gone");
    }
}
