//! How long does a question live, whatever somebody does to the clock? Beside its time by the calendar, a question has one by the
//! clock that counts since the machine booted and that nobody can set back. After a boot the calendar alone tells.
use crate::clock;
use rusqlite::{Connection, OptionalExtension as _, params};

/// The question lives for so long from now, or as long as it did if that was longer.
pub(crate) fn begin(db: &Connection, question: &str, life_ms: u64) -> rusqlite::Result<()> {
    set(db, question, life_ms, LONGER)
}

/// The question lives for so long from now, and no longer.
pub(crate) fn bound(db: &Connection, question: &str, life_ms: u64) -> rusqlite::Result<()> {
    set(db, question, life_ms, ANEW)
}

/// Whether the question is over by this clock.
pub(crate) fn over(db: &Connection, question: &str) -> rusqlite::Result<bool> {
    let mut statement = db.prepare_cached(SELECT)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?));
    let found = statement.query_row([question], read).optional()?;
    Ok(found
        .is_some_and(|(boot, until_us)| boot == clock::boot_id() && clock::mono_us() >= until_us))
}

fn set(db: &Connection, question: &str, life_ms: u64, sql: &str) -> rusqlite::Result<()> {
    // What SQLite counts in is signed.
    let until_us = clock::mono_us().saturating_add(life_ms.saturating_mul(1000)).min(1 << 62);
    db.prepare_cached(sql)?.execute(params![question, clock::boot_id(), until_us]).map(drop)
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS lives (
  question TEXT    PRIMARY KEY,
  boot     TEXT    NOT NULL,
  until_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;";
const SELECT: &str = "SELECT boot, until_us FROM lives WHERE question = ?1";
const ANEW: &str = "INSERT INTO lives (question, boot, until_us) VALUES (?1, ?2, ?3)
    ON CONFLICT (question) DO UPDATE SET boot = excluded.boot, until_us = excluded.until_us";
const LONGER: &str = "INSERT INTO lives (question, boot, until_us) VALUES (?1, ?2, ?3)
    ON CONFLICT (question) DO UPDATE SET boot = excluded.boot,
      until_us = CASE WHEN boot = excluded.boot THEN max(until_us, excluded.until_us) ELSE excluded.until_us END";
