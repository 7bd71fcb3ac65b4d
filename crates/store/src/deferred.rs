//! Which questions outlive the run that asked them, and which later run may take one over? Each is for one call of one
//! conversation, and has one session at a time: whoever takes it over is the only one who can use its answer.
use crate::StoreError;
use crate::clock;
use crate::desk::{ApprovalKey, Deferral, Question, QuestionState};
use crate::entry::{Entry, Prepared, check_id};
use crate::lives;
use crate::questions::{MAX_LIFE, approval, complete, fetch};
use crate::store::Store;
use crate::withdrawn::close;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::time::Duration;

/// Lets a question outlive its session, for `life` from now.
pub(crate) fn defer(
    store: &Store,
    id: &str,
    to: &Deferral,
    life: Duration,
) -> Result<Question, StoreError> {
    check(to)?;
    let invalid = |why| StoreError::Invalid { what: "the life of a deferred question", why };
    if life.as_millis() == 0 || life > MAX_LIFE {
        return Err(invalid(format!("is {life:?}; it is above 0 and at most 7 days")));
    }
    let life_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    let (id, to, log_id) = (id.to_owned(), to.clone(), store.public_key().log_id().to_owned());
    store.work(move |batch| {
        let id = match complete(batch.transaction, &id)? {
            Ok(id) => id,
            Err(refused) => return Ok(Err(refused)),
        };
        let question = fetch(batch.transaction, &id)?;
        match question.state {
            QuestionState::Pending => {}
            QuestionState::Used => return Ok(Err(StoreError::Used { id })),
            QuestionState::Approved | QuestionState::Denied | QuestionState::Expired => {
                return Ok(Err(StoreError::Expired { id }));
            }
        }
        forget_the_dead(batch.transaction)?;
        if count(batch.transaction, &to)? >= MAX_DEFERRED {
            let session = question.session;
            return Ok(Err(StoreError::TooManyPending { session, cap: MAX_DEFERRED }));
        }
        let expires_ms = clock::now_ms().saturating_add(life_ms);
        let entry = told(approval(&question, "defer"), &to).with("expires_ms", expires_ms);
        let prepared = match Prepared::new(entry, &log_id) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error.into())),
        };
        let Deferral { role, workspace, conversation, call } = &to;
        batch.transaction.prepare_cached(INSERT)?.execute(params![
            id,
            role,
            workspace,
            conversation,
            call
        ])?;
        batch.transaction.prepare_cached(EXTEND)?.execute(params![id, expires_ms])?;
        lives::begin(batch.transaction, &id, life_ms)?;
        let _receipt = batch.append(&prepared)?;
        fetch(batch.transaction, &id).map(Ok)
    })
}

/// Gives the question that was deferred for exactly this call to the session of `key`, answered or not. What else was
/// deferred for the call, under another policy or with other arguments, is withdrawn: nobody will ask for it.
pub(crate) fn adopt(store: &Store, key: &ApprovalKey, from: &Deferral) -> Result<bool, StoreError> {
    check(from)?;
    // Nearly every call was never deferred, and needs no turn of the writer's.
    let (looked, now_ms) = (from.clone(), clock::now_ms());
    if store.reader().read(|db| of(db, &looked, now_ms))?.is_empty() {
        return Ok(false);
    }
    let (key, from, log_id) = (key.clone(), from.clone(), store.public_key().log_id().to_owned());
    store.work(move |batch| {
        let mut adopted = false;
        for id in of(batch.transaction, &from, clock::now_ms())? {
            let question = fetch(batch.transaction, &id)?;
            let same = (question.digest, question.policy) == (key.digest, key.policy);
            let act = if same && !adopted { "adopt" } else { "withdraw" };
            let mut entry = approval(&question, act);
            if act == "adopt" {
                entry = told(entry.session(&key.session), &from)
                    .with("from", question.session.as_str());
            }
            let prepared = match Prepared::new(entry, &log_id) {
                Ok(prepared) => prepared,
                Err(error) => return Ok(Err(error.into())),
            };
            if act == "withdraw" {
                close(batch, &id, &prepared)?;
                continue;
            }
            adopted = true;
            forget(batch.transaction, &id)?;
            batch.transaction.prepare_cached(MOVE)?.execute(params![id, key.session])?;
            let _receipt = batch.append(&prepared)?;
        }
        Ok(Ok(adopted))
    })
}

/// Withdraws what a session has deferred, because it turned out not to be trusted.
pub(crate) fn undefer(store: &Store, session: &str) -> Result<(), StoreError> {
    let (session, log_id) = (session.to_owned(), store.public_key().log_id().to_owned());
    store.work(move |batch| {
        let ids: Vec<String> = batch
            .transaction
            .prepare_cached(OF_SESSION)?
            .query_map(params![session], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for id in ids {
            let question = fetch(batch.transaction, &id)?;
            match Prepared::new(approval(&question, "withdraw"), &log_id) {
                Ok(prepared) => close(batch, &id, &prepared)?,
                Err(error) => return Ok(Err(error.into())),
            }
        }
        Ok(Ok(()))
    })
}

/// What a question was deferred to, if it was.
pub(crate) fn read(db: &Connection, question: &str) -> rusqlite::Result<Option<Deferral>> {
    let mut statement = db.prepare_cached(SELECT)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Deferral {
            role: row.get(0)?,
            workspace: row.get(1)?,
            conversation: row.get(2)?,
            call: row.get(3)?,
        })
    };
    statement.query_row([question], read).optional()
}

/// It is deferred no longer.
pub(crate) fn forget(db: &Connection, question: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM deferred WHERE question = ?1")?.execute([question]).map(drop)
}

fn of(db: &Connection, to: &Deferral, now_ms: u64) -> rusqlite::Result<Vec<String>> {
    let Deferral { role, workspace, conversation, call } = to;
    db.prepare_cached(OF_CALL)?
        .query_map(params![role, workspace, conversation, call, now_ms], |row| row.get(0))?
        .collect()
}

fn count(db: &Connection, to: &Deferral) -> rusqlite::Result<u32> {
    let mut statement = db.prepare_cached(COUNT)?;
    statement.query_row(params![to.role, to.workspace], |row| row.get(0))
}

fn forget_the_dead(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached(FORGET_DEAD)?.execute([clock::now_ms()]).map(drop)
}

fn told(entry: Entry, to: &Deferral) -> Entry {
    // Digest and policy stand there; the workspace and the role are those of the session.
    entry.with("conversation", to.conversation.as_str()).with("reference", to.call.as_str())
}

fn check(to: &Deferral) -> Result<(), StoreError> {
    for (what, text) in
        [("the role", &to.role), ("the conversation", &to.conversation), ("the call", &to.call)]
    {
        check_id(text).map_err(|why| StoreError::Invalid { what, why: why.to_owned() })?;
    }
    Ok(())
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS deferred (
  question     TEXT PRIMARY KEY REFERENCES questions (id),
  role         TEXT NOT NULL,
  workspace    TEXT NOT NULL,
  conversation TEXT NOT NULL,
  call         TEXT NOT NULL
) STRICT, WITHOUT ROWID;";
const INSERT: &str =
    "INSERT OR REPLACE INTO deferred (question, role, workspace, conversation, call)
    VALUES (?1, ?2, ?3, ?4, ?5)";
const EXTEND: &str = "UPDATE questions SET expires_ms = max(expires_ms, ?2) WHERE id = ?1";
const MOVE: &str = "UPDATE questions SET session = ?2 WHERE id = ?1";
const SELECT: &str = "SELECT role, workspace, conversation, call FROM deferred WHERE question = ?1";
/// Of sessions that are over: one that goes on has its question itself.
const OF_CALL: &str = "SELECT question FROM deferred JOIN questions ON questions.id = question
    JOIN sessions ON sessions.id = questions.session
    WHERE role = ?1 AND deferred.workspace = ?2 AND conversation = ?3 AND call = ?4
      AND used_ms IS NULL AND expires_ms > ?5 AND sessions.ended_ms IS NOT NULL
    ORDER BY asked_ms DESC, questions.rowid DESC";
const OF_SESSION: &str = "SELECT question FROM deferred JOIN questions ON id = question
    WHERE session = ?1 AND used_ms IS NULL";
const COUNT: &str = "SELECT count(*) FROM deferred WHERE role = ?1 AND workspace = ?2";
const FORGET_DEAD: &str = "DELETE FROM deferred WHERE question IN
    (SELECT id FROM questions WHERE used_ms IS NOT NULL OR expires_ms <= ?1)";
/// So many may wait for the runs of one role in one workspace.
const MAX_DEFERRED: u32 = 32;
