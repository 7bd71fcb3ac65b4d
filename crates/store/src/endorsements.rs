//! Which values and sources has a person vouched for, for the rest of one session?
use crate::StoreError;
use crate::clock;
use crate::desk::{Endorsement, Question};
use crate::digest::Digest;
use crate::entry::{Entry, Event, Prepared};
use crate::questions;
use crate::store::Store;
use rusqlite::{Connection, params};

/// Takes down that `approver`, who has approved question `id`, vouches for these keys in its session.
pub(crate) fn endorse(
    store: &Store,
    id: &str,
    approver: &str,
    keys: &[Digest],
) -> Result<(), StoreError> {
    if keys.is_empty() || keys.len() > KEYS_MAX {
        let why = format!("has {} keys; it has 1 to {KEYS_MAX}", keys.len());
        return Err(StoreError::Invalid { what: "the endorsement", why });
    }
    let (id, approver, keys) = (id.to_owned(), approver.to_owned(), keys.to_vec());
    let log_id = store.public_key().log_id().to_owned();
    store.work(move |batch| {
        let question = match questions::complete(batch.transaction, &id)? {
            Ok(id) => questions::fetch(batch.transaction, &id)?,
            Err(refused) => return Ok(Err(refused)),
        };
        if !question.approvers().contains(&approver) {
            let why = format!("`{approver}` has not approved question {}", question.id);
            return Ok(Err(StoreError::Invalid { what: "the endorsement", why }));
        }
        let prepared = match Prepared::new(entry(&question, &approver, &keys), &log_id) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error.into())),
        };
        for key in &keys {
            batch.transaction.prepare_cached(INSERT)?.execute(params![
                question.session,
                key.as_bytes(),
                approver,
                question.id,
                clock::now_ms()
            ])?;
        }
        let _receipt = batch.append(&prepared)?;
        Ok(Ok(()))
    })
}

pub(crate) fn of(db: &Connection, session: &str) -> rusqlite::Result<Vec<Endorsement>> {
    let mut statement = db.prepare_cached(SELECT)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Endorsement { key: Digest::from_bytes(row.get(0)?), approver: row.get(1)? })
    };
    statement.query_map([session], read)?.collect()
}

fn entry(question: &Question, approver: &str, keys: &[Digest]) -> Entry {
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    Entry::new(Event::Approval)
        .session(&question.session)
        .with("act", "endorse")
        .with("question", question.id.as_str())
        .with("approver", approver)
        .with("keys", keys)
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS endorsements (
  session     TEXT    NOT NULL,
  key         BLOB    NOT NULL,
  approver    TEXT    NOT NULL,
  question    TEXT    NOT NULL,
  endorsed_ms INTEGER NOT NULL,
  PRIMARY KEY (session, key, approver)
) STRICT, WITHOUT ROWID;";
const INSERT: &str = "INSERT INTO endorsements (session, key, approver, question, endorsed_ms)
    VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
const SELECT: &str = "SELECT key, approver FROM endorsements WHERE session = ?1 LIMIT 4096";
/// Keys of one answer.
const KEYS_MAX: usize = 64;
