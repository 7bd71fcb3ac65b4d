//! What becomes of a question that nobody waits for any more, because who asked has given up or is gone? It can be answered
//! no longer, and the log says why.
use crate::StoreError;
use crate::clock;
use crate::deferred;
use crate::desk::{Question, QuestionState};
use crate::entry::Prepared;
use crate::questions::{approval, complete, fetch};
use crate::store::Store;
use crate::writer::Batch;
use rusqlite::{Connection, params};

/// Ends a question that still waits for answers; one that is answered stays as it is.
pub(crate) fn withdraw(store: &Store, id: &str) -> Result<Question, StoreError> {
    let (id, log_id) = (id.to_owned(), store.public_key().log_id().to_owned());
    store.work(move |batch| {
        let id = match complete(batch.transaction, &id)? {
            Ok(id) => id,
            Err(refused) => return Ok(Err(refused)),
        };
        let question = fetch(batch.transaction, &id)?;
        if question.state != QuestionState::Pending {
            return Ok(Ok(question));
        }
        let prepared = match Prepared::new(approval(&question, "withdraw"), &log_id) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error.into())),
        };
        close(batch, &id, &prepared)?;
        fetch(batch.transaction, &id).map(Ok)
    })
}

/// Ends what a session still asks, and what it was allowed and has not done: nobody is there any more to do it. What is
/// deferred waits for another, unless the session died: then its client has left nothing to go on with.
pub(crate) fn with_session(
    batch: &mut Batch<'_>,
    session: &str,
    log_id: &str,
    died: bool,
) -> rusqlite::Result<Result<(), StoreError>> {
    let ids: Vec<String> = batch
        .transaction
        .prepare_cached(OPEN)?
        .query_map(params![session, clock::now_ms(), died], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in ids {
        let question = fetch(batch.transaction, &id)?;
        if !matches!(question.state, QuestionState::Pending | QuestionState::Approved) {
            continue;
        }
        match Prepared::new(approval(&question, "withdraw"), log_id) {
            Ok(prepared) => close(batch, &id, &prepared)?,
            Err(error) => return Ok(Err(error.into())),
        }
    }
    Ok(Ok(()))
}

pub(crate) fn close(batch: &mut Batch<'_>, id: &str, prepared: &Prepared) -> rusqlite::Result<()> {
    let now_ms = clock::now_ms();
    batch.transaction.prepare_cached(CLOSE)?.execute(params![id, now_ms])?;
    batch.transaction.prepare_cached(INSERT)?.execute(params![id, now_ms])?;
    deferred::forget(batch.transaction, id)?;
    let _receipt = batch.append(prepared)?;
    Ok(())
}

/// Whether a question was withdrawn, and has not just run out of time.
pub(crate) fn is_withdrawn(db: &Connection, question: &str) -> rusqlite::Result<bool> {
    db.prepare_cached(SELECT)?.exists([question])
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS withdrawn (
  question     TEXT    PRIMARY KEY REFERENCES questions (id),
  withdrawn_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;";
const INSERT: &str = "INSERT OR IGNORE INTO withdrawn (question, withdrawn_ms) VALUES (?1, ?2)";
const SELECT: &str = "SELECT 1 FROM withdrawn WHERE question = ?1";
const OPEN: &str =
    "SELECT id FROM questions WHERE session = ?1 AND used_ms IS NULL AND expires_ms > ?2
      AND (?3 OR id NOT IN (SELECT question FROM deferred))
    ORDER BY asked_ms, rowid";
const CLOSE: &str = "UPDATE questions SET expires_ms = min(expires_ms, ?2) WHERE id = ?1";
