//! What was started, what has ended, and what died without ending?
use crate::StoreError;
use crate::allowance;
use crate::clock;
use crate::digest::Digest;
use crate::entry::{Entry, Event, MAX_RECORD_BYTES, Prepared, check_id};
use crate::store::Store;
use crate::withdrawn;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde_json::{Map, Value};

/// The sessions of every process that uses the store.
pub trait Sessions: Send + Sync {
    /// Takes down that a session begins, in this process, with its `session_start` record.
    fn begin(&self, new: NewSession) -> Result<Session, StoreError>;

    /// Takes down that a session has ended, with its `session_end` record, and signs a checkpoint. What it still asks is
    /// withdrawn, and what was approved and is not used with it, but for what is deferred if the session has not died. Any process may end a session, so that a leftover one
    /// can be closed.
    fn end(&self, id: &str, ending: Ending) -> Result<Session, StoreError>;

    /// The session whose id is, or begins with, `id`; refused when several do.
    fn session(&self, id: &str) -> Result<Session, StoreError>;

    /// The sessions that fit the filter, newest first, at most 1000.
    fn sessions(&self, filter: SessionFilter) -> Result<Vec<Session>, StoreError>;
}

/// A session to begin. Its strings are redacted already, as those of an [`Entry`] are.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id: 1 to 128 bytes of printable text, never used before.
    pub id: String,
    /// The agent's role.
    pub agent: String,
    /// The workspace's path.
    pub workspace: String,
    /// The command that is run.
    pub argv: Vec<String>,
    /// What else belongs in the `session_start` record: digests of policy and configuration, versions.
    pub facts: Map<String, Value>,
}

/// How a session ended.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// The exit status of its command; `None` when it has none.
    pub exit: Option<i32>,
    /// The summary that is kept; at most 256 KiB as JSON. Its digest is on the log.
    pub report: Value,
}

/// A session as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The agent's role.
    pub agent: String,
    /// The process that ran it.
    pub pid: u32,
    /// When that process was started, in clock ticks since boot.
    pub started_ticks: u64,
    /// The boot in which it was.
    pub boot_id: String,
    /// The workspace's path.
    pub workspace: String,
    /// The command that was run.
    pub argv: Vec<String>,
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it ended, in milliseconds since 1970; `None` as long as nobody said so.
    pub ended_ms: Option<u64>,
    /// The exit status of its command.
    pub exit: Option<i32>,
    /// The summary.
    pub report: Option<Value>,
}

impl Session {
    /// Whether the session's process died without ending it.
    pub fn is_leftover(&self) -> bool {
        let alive = || {
            self.boot_id == clock::boot_id()
                && clock::started_ticks(self.pid) == Some(self.started_ticks)
        };
        self.ended_ms.is_none() && !alive()
    }
}

/// Which sessions are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionFilter {
    /// Every one.
    All,
    /// Those whose process died without ending them.
    Leftover,
    /// Those that have not ended, leftover ones too.
    Open,
}

impl Sessions for Store {
    fn begin(&self, new: NewSession) -> Result<Session, StoreError> {
        let NewSession { id, agent, workspace, argv, facts } = new;
        for (what, text) in [("the session's id", &id), ("the agent", &agent)] {
            check_id(text).map_err(|why| StoreError::Invalid { what, why: why.to_owned() })?;
        }
        let pid = std::process::id();
        let started_ticks = clock::started_ticks(pid).unwrap_or(0);
        let mut entry = Entry::new(Event::SessionStart).session(&id);
        entry.body = facts;
        let entry = entry
            .with("agent", agent.as_str())
            .with("workspace", workspace.as_str())
            .with("argv", argv.clone());
        let prepared = self.prepare(entry)?;
        let argv = Value::from(argv).to_string();
        self.work(move |batch| {
            if fetch(batch.transaction, &id)?.is_some() {
                return Ok(Err(StoreError::SessionExists { id }));
            }
            batch.transaction.prepare_cached(INSERT)?.execute(params![
                id,
                agent,
                pid,
                started_ticks,
                clock::boot_id(),
                workspace,
                argv,
                prepared.time_ms,
            ])?;
            let _receipt = batch.append(&prepared)?;
            Ok(fetch(batch.transaction, &id)?.ok_or_else(|| not_found(&id)))
        })
    }

    fn end(&self, id: &str, ending: Ending) -> Result<Session, StoreError> {
        let report = ending.report.to_string();
        if report.len() > MAX_RECORD_BYTES {
            let why = format!("has {} bytes, more than {MAX_RECORD_BYTES}", report.len());
            return Err(StoreError::Invalid { what: "the session's report", why });
        }
        let (id, log_id) = (id.to_owned(), self.public_key().log_id().to_owned());
        self.work(move |batch| {
            let session = match complete(batch.transaction, &id)? {
                Ok(session) => session,
                Err(refused) => return Ok(Err(refused)),
            };
            if session.ended_ms.is_some() {
                return Ok(Err(StoreError::Ended { id: session.id }));
            }
            let died = session.is_leftover();
            let entry = Entry::new(Event::SessionEnd)
                .session(&session.id)
                .with("exit", ending.exit)
                .with("report_sha256", Digest::of(report.as_bytes()).to_string())
                .with("leftover", died);
            let prepared = match Prepared::new(entry, &log_id) {
                Ok(prepared) => prepared,
                Err(error) => return Ok(Err(error.into())),
            };
            batch
                .transaction
                .prepare_cached(
                    "UPDATE sessions SET ended_ms = ?2, exit = ?3, report = ?4 WHERE id = ?1",
                )?
                .execute(params![session.id, prepared.time_ms, ending.exit, report])?;
            allowance::forget(batch.transaction, &session.id)?;
            if let Err(error) = withdrawn::with_session(batch, &session.id, &log_id, died)? {
                return Ok(Err(error));
            }
            let _receipt = batch.append(&prepared)?;
            batch.anchor();
            Ok(fetch(batch.transaction, &session.id)?.ok_or_else(|| not_found(&id)))
        })
    }

    fn session(&self, id: &str) -> Result<Session, StoreError> {
        self.reader().read(|db| complete(db, id))?
    }

    fn sessions(&self, filter: SessionFilter) -> Result<Vec<Session>, StoreError> {
        let open = if filter == SessionFilter::All { "" } else { "WHERE ended_ms IS NULL" };
        let sql =
            format!("{SELECT} {open} ORDER BY started_ms DESC, rowid DESC LIMIT {MAX_LISTED}");
        let mut found = self.reader().read(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            statement.query_map([], read_session)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        if filter == SessionFilter::Leftover {
            found.retain(Session::is_leftover);
        }
        Ok(found)
    }
}

fn fetch(db: &Connection, id: &str) -> rusqlite::Result<Option<Session>> {
    let mut statement = db.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    statement.query_row([id], read_session).optional()
}

/// The session whose id begins with `id`; a whole id always wins.
fn complete(db: &Connection, id: &str) -> rusqlite::Result<Result<Session, StoreError>> {
    if let Some(session) = fetch(db, id)? {
        return Ok(Ok(session));
    }
    let sql = format!("{SELECT} WHERE ?1 <> '' AND substr(id, 1, length(?1)) = ?1 LIMIT 100");
    let mut statement = db.prepare_cached(&sql)?;
    let mut found =
        statement.query_map([id], read_session)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(match (found.pop(), found.len()) {
        (Some(session), 0) => Ok(session),
        (None, _) => Err(not_found(id)),
        (Some(_), more) => Err(StoreError::Ambiguous { id: id.to_owned(), count: more + 1 }),
    })
}

fn not_found(id: &str) -> StoreError {
    StoreError::NotFound { what: "session", id: id.chars().take(128).collect() }
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let report: Option<String> = row.get(10)?;
    Ok(Session {
        id: row.get(0)?,
        agent: row.get(1)?,
        pid: row.get(2)?,
        started_ticks: row.get(3)?,
        boot_id: row.get(4)?,
        workspace: row.get(5)?,
        argv: serde_json::from_str(row.get_ref(6)?.as_str()?).unwrap_or_default(),
        started_ms: row.get(7)?,
        ended_ms: row.get(8)?,
        exit: row.get(9)?,
        report: report.and_then(|report| serde_json::from_str(&report).ok()),
    })
}

const SELECT: &str = "SELECT id, agent, pid, started_ticks, boot_id, workspace, argv, started_ms, ended_ms, exit, report FROM sessions";
const INSERT: &str = "INSERT INTO sessions
    (id, agent, pid, started_ticks, boot_id, workspace, argv, started_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const MAX_LISTED: usize = 1000;
