//! Which MCP servers did not start, or ended before they listed anything, and why? Kept until they are there again.
use crate::StoreError;
use crate::entry::{Entry, Event};
use crate::store::Store;
use rusqlite::{OptionalExtension, params};

impl Store {
    /// Takes down that a server is not there, and puts it on the log unless the same was the last that was said of it.
    pub fn outage(&self, server: &str, why: &str) -> Result<(), StoreError> {
        if self.why_down(server)?.is_some_and(|known| known == why) {
            return Ok(());
        }
        let entry = Entry::new(Event::ConfigChange).with("act", "mcp_down").with("server", server);
        let prepared = self.prepare(entry.with("why", why))?;
        let (server, why) = (server.to_owned(), why.to_owned());
        self.work(move |batch| {
            batch.transaction.prepare_cached(WRITE)?.execute(params![server, why])?;
            let _receipt = batch.append(&prepared)?;
            Ok(Ok(()))
        })
    }

    /// A server has begun: what was said of it is of the past.
    pub fn no_outage(&self, server: &str) -> Result<(), StoreError> {
        if self.why_down(server)?.is_none() {
            return Ok(());
        }
        let server = server.to_owned();
        self.work(move |batch| {
            batch.transaction.prepare_cached(CLEAR)?.execute([server])?;
            Ok(Ok(()))
        })
    }

    /// Why a server was not there when it was last needed; `None` when it was, or never was needed.
    pub fn why_down(&self, server: &str) -> Result<Option<String>, StoreError> {
        self.reader()
            .read(|db| db.prepare_cached(SELECT)?.query_row([server], |row| row.get(0)).optional())
    }
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS outages (
  server TEXT PRIMARY KEY,
  why    TEXT NOT NULL
) STRICT, WITHOUT ROWID;";
const WRITE: &str = "INSERT INTO outages (server, why) VALUES (?1, ?2)
    ON CONFLICT (server) DO UPDATE SET why = excluded.why";
const CLEAR: &str = "DELETE FROM outages WHERE server = ?1";
const SELECT: &str = "SELECT why FROM outages WHERE server = ?1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_server_is_not_there_is_known_until_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.why_down("fw").unwrap(), None);
        store.outage("fw", "it ended with code 3").unwrap();
        store.outage("fw", "it ended with code 3").unwrap();
        store.outage("other", "no such program").unwrap();
        assert_eq!(store.why_down("fw").unwrap().as_deref(), Some("it ended with code 3"));
        let said = || {
            let records = store.reader().tail(&crate::Filter::default(), 100).unwrap();
            records.iter().filter(|record| record.json.contains("mcp_down")).count()
        };
        assert_eq!(said(), 2, "once each");
        store.no_outage("fw").unwrap();
        assert_eq!(store.why_down("fw").unwrap(), None);
        assert!(store.why_down("other").unwrap().is_some());
        store.outage("fw", "it ended with code 3").unwrap();
        assert_eq!(said(), 3);
    }
}
