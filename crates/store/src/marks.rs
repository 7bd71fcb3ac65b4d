//! How far has somebody elsewhere been told what is on the log? Each has a mark, so that a restart loses nothing.
use crate::StoreError;
use crate::clock;
use crate::entry::Event;
use crate::export::{Filter, Reader, Record};
use crate::store::Store;
use rusqlite::{OptionalExtension as _, Row, params};

/// How far somebody was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is handed back whole")]
pub struct Mark {
    /// Every record before this place.
    pub seq: u64,
    /// When that was, in milliseconds since 1970.
    pub set_ms: u64,
}

impl Store {
    /// Up to where `reader` was told; `None` before the first time.
    pub fn mark(&self, reader: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.marked(reader)?.map(|mark| mark.seq))
    }

    /// Up to where `reader` was told, and when; `None` before the first time.
    pub fn marked(&self, reader: &str) -> Result<Option<Mark>, StoreError> {
        self.reader().read(|db| {
            let sql = "SELECT seq, set_ms FROM marks WHERE reader = ?1";
            let read = |row: &Row<'_>| Ok(Mark { seq: row.get(0)?, set_ms: row.get(1)? });
            db.prepare_cached(sql)?.query_row([reader], read).optional()
        })
    }

    /// `reader` was told everything before the record at `seq`. A mark never goes back.
    pub fn set_mark(&self, reader: &str, seq: u64) -> Result<(), StoreError> {
        if reader.is_empty() || reader.len() > READER_MAX {
            let why = format!("has {} bytes; it has 1 to {READER_MAX}", reader.len());
            return Err(StoreError::Invalid { what: "the reader's name", why });
        }
        let reader = reader.to_owned();
        self.work(move |batch| {
            let mut statement = batch.transaction.prepare_cached(SET)?;
            statement.execute(params![reader, seq, clock::now_ms()])?;
            Ok(Ok(()))
        })
    }
}

impl Reader {
    /// The first record of one of these events at `from_seq` or after it.
    pub fn first_of(&self, events: &[Event], from_seq: u64) -> Result<Option<Record>, StoreError> {
        let mut first: Option<Record> = None;
        for event in events {
            let before_seq = first.as_ref().map(|record| record.seq);
            let filter = Filter {
                event: Some(*event),
                from_seq: Some(from_seq),
                before_seq,
                ..Filter::default()
            };
            first = self.page(&filter, 1)?.pop().or(first);
        }
        Ok(first)
    }
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS marks (
  reader TEXT    PRIMARY KEY,
  seq    INTEGER NOT NULL,
  set_ms INTEGER NOT NULL
) STRICT;";
const SET: &str = "INSERT INTO marks (reader, seq, set_ms) VALUES (?1, ?2, ?3)
    ON CONFLICT (reader) DO UPDATE SET seq = max(seq, excluded.seq), set_ms = excluded.set_ms";
const READER_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, Entry, Ledger as _};

    #[test]
    fn a_mark_survives_and_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.mark("hook").unwrap(), None);
        store.set_mark("hook", 7).unwrap();
        store.set_mark("hook", 3).unwrap();
        store.set_mark("other", 1).unwrap();
        drop(store);
        let again = Store::open(dir.path()).unwrap();
        assert_eq!(again.mark("hook").unwrap(), Some(7));
        assert_eq!(again.mark("other").unwrap(), Some(1));
        for bad in ["", &"x".repeat(129)] {
            assert!(again.set_mark(bad, 1).is_err());
        }
    }

    #[test]
    fn the_first_of_several_events_is_found_whichever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for event in [Event::Fault, Event::Flag, Event::Fault, Event::Finding] {
            let _receipt = store.append(Entry::new(event), Durability::Durable).unwrap();
        }
        let first = |events: &[Event], from| {
            store.reader().first_of(events, from).unwrap().map(|record| record.seq)
        };
        assert_eq!(first(&[Event::Finding, Event::Flag], 0), Some(1));
        assert_eq!(first(&[Event::Flag, Event::Finding], 0), Some(1));
        assert_eq!(first(&[Event::Flag, Event::Finding], 2), Some(3));
        assert_eq!(first(&[Event::Flag], 2), None);
    }
}
