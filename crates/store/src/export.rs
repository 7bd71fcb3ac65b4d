//! What does the log say? Its records, line by line, as they were hashed.
use crate::StoreError;
use crate::base::Base;
use crate::database::{self, Head};
use crate::digest::Digest;
use crate::dir::StateDir;
use crate::entry::Event;
use crate::lookup;
use crate::merkle::Frontier;
use crate::note::{Checkpoint, PublicKey};
use crate::search::GLANCE;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension as _, Row};
use std::fmt;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Which records are wanted; each field that is set narrows the choice.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this session.
    pub session: Option<String>,
    /// Of this call.
    pub call: Option<String>,
    /// Of this kind.
    pub event: Option<Event>,
    /// Not older than this, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Holding this text anywhere; ASCII letters match in either case.
    pub text: Option<String>,
    /// At this place on the log or after it.
    pub from_seq: Option<u64>,
    /// Before this place on the log.
    pub before_seq: Option<u64>,
    /// Of this agent, by the name that the record gives.
    pub agent: Option<String>,
    /// Of this tool.
    pub tool: Option<String>,
    /// Of this host, as the record writes it.
    pub host: Option<String>,
    /// With this verdict.
    pub verdict: Option<String>,
}

/// Where an export begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the record at this place, or with one before it from which on the part can be verified.
    At(u64),
    /// Behind the record at this place, which the reader has: as the continuation of a part.
    After(u64),
}

/// What a log has to say of a checkpoint that was kept elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// It has fewer records than were signed: its end was cut off.
    Beyond,
    /// Its records are not those that were signed.
    Other,
    /// The records that would show it were pruned.
    Pruned,
    /// It was that log.
    Same,
}

/// A record as it stands on the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place, from 0.
    pub seq: u64,
    /// Its canonical JSON, on one line without the line's end; the very bytes that were hashed.
    pub json: String,
    /// Its leaf hash, as stored.
    pub leaf: Digest,
}

impl Record {
    /// The record as a JSON value; `Null` when somebody has damaged it.
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }
}

/// Reads a store without being able to change it, beside any number of writers.
pub struct Reader {
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl Reader {
    /// Opens the database in `dir` for reading. Who owns the directory does not matter here: what a reader believes is
    /// what [`crate::verify`] has verified.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = StateDir::unchecked(dir).database();
        let connection = Mutex::new(database::open_reader(&path)?);
        Ok(Self { connection, path })
    }

    /// How many records there are.
    pub fn size(&self) -> Result<u64, StoreError> {
        self.read(|db| db.query_row("SELECT size FROM log", [], |row| row.get(0)))
    }

    /// Up to `limit` records, oldest first. For the next page set `from_seq` to one more than the last `seq`.
    pub fn page(&self, filter: &Filter, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.select(filter, "ASC", limit)
    }

    /// The last `limit` records, oldest first.
    pub fn tail(&self, filter: &Filter, limit: usize) -> Result<Vec<Record>, StoreError> {
        let filter = self.narrowed(filter, Some(GLANCE))?;
        let mut records = self.select(&filter, "DESC", limit)?;
        records.reverse();
        Ok(records)
    }

    /// Shows every record to `see`, oldest first, until it breaks off. The log may grow meanwhile.
    pub fn each<F>(&self, filter: &Filter, mut see: F) -> Result<(), StoreError>
    where
        F: FnMut(Record) -> ControlFlow<()>,
    {
        let mut filter = self.narrowed(filter, None)?;
        loop {
            let page = self.page(&filter, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            filter.from_seq = Some(last.seq + 1);
            if page.into_iter().try_for_each(&mut see).is_break() {
                return Ok(());
            }
        }
    }

    /// Writes the log so that it can be verified elsewhere: each record on its line, and after the last record that a
    /// checkpoint covers a line `{"checkpoint":"…"}`. A part that does not begin with the first record says on a line
    /// `{"base":{…}}` where it begins. Gives the place of the next record. Give the public key by another way.
    pub fn export(&self, start: Start, out: &mut dyn Write) -> Result<u64, ExportError> {
        let db = self.lock();
        let read = |error| ExportError::Store(database::explain(&self.path, &error));
        let snapshot = db.unchecked_transaction().map_err(read)?;
        let (base, mut next) = match start {
            Start::At(seq) => {
                let base = Base::before(&snapshot, seq).map_err(read)?;
                let first = base.as_ref().map_or(0, |base| base.tree.size());
                (base, first)
            }
            Start::After(seq) => (None, seq.saturating_add(1)),
        };
        if let Some(base) = base {
            writeln!(out, "{}", base.line())?;
        }
        let mut records = snapshot
            .prepare("SELECT seq, record FROM records WHERE seq >= ?1 ORDER BY seq")
            .map_err(read)?;
        let mut notes = snapshot
            .prepare("SELECT size, note FROM checkpoints WHERE size >= ?1 ORDER BY size")
            .map_err(read)?;
        let mut records = records.query([next]).map_err(read)?;
        let mut notes = notes.query([next.max(1)]).map_err(read)?;
        let mut note = next_note(&mut notes).map_err(read)?;
        loop {
            // Those of more records than there are stay for the end: they are evidence that it was cut off.
            while let Some((_, text)) = note.take_if(|(size, _)| *size <= next) {
                writeln!(out, "{}", serde_json::json!({ "checkpoint": text }))?;
                note = next_note(&mut notes).map_err(read)?;
            }
            let Some(row) = records.next().map_err(read)? else { break };
            next = row.get::<_, u64>(0).map_err(read)?.saturating_add(1);
            out.write_all(row.get_ref(1).map_err(read)?.as_bytes().unwrap_or_default())?;
            out.write_all(b"\n")?;
        }
        while let Some((_, text)) = note {
            writeln!(out, "{}", serde_json::json!({ "checkpoint": text }))?;
            note = next_note(&mut notes).map_err(read)?;
        }
        out.flush()?;
        Ok(next)
    }

    /// The first record that is at hand: 0, unless those before it were pruned.
    pub fn begins(&self) -> Result<u64, StoreError> {
        self.read(|db| Ok(Base::of_log(db)?.map_or(0, |base| base.tree.size())))
    }

    /// The hash of the record at this place, as it is stored; `None` when there is none (any more).
    pub fn leaf(&self, seq: u64) -> Result<Option<Digest>, StoreError> {
        let sql = "SELECT leaf FROM records WHERE seq = ?1";
        let read = |row: &Row<'_>| Ok(Digest::try_from(row.get_ref(0)?.as_bytes()?).ok());
        Ok(self.read(|db| db.query_row(sql, [seq], read).optional())?.flatten())
    }

    /// Whether the log was once the one that this checkpoint signs.
    pub fn covers(&self, signed: &Checkpoint) -> Result<Covers, StoreError> {
        self.read(|db| {
            if signed.size > Head::read(db)?.tree.size() {
                return Ok(Covers::Beyond);
            }
            if signed.size < Base::of_log(db)?.map_or(0, |base| base.tree.size()) {
                return Ok(Covers::Pruned);
            }
            let mut tree =
                Base::before(db, signed.size)?.map_or_else(Frontier::empty, |base| base.tree);
            let sql = "SELECT leaf FROM records WHERE seq >= ?1 AND seq < ?2 ORDER BY seq";
            let mut leaves = db.prepare_cached(sql)?;
            let mut leaves = leaves.query([tree.size(), signed.size])?;
            while let Some(row) = leaves.next()? {
                tree.push(Digest::try_from(row.get_ref(0)?.as_bytes()?).unwrap_or(Digest::ZERO));
            }
            let same = (tree.size(), tree.root()) == (signed.size, signed.root);
            Ok(if same { Covers::Same } else { Covers::Other })
        })
    }

    /// The public key that lies beside the database.
    pub fn public_key(&self) -> Result<PublicKey, StoreError> {
        StateDir::unchecked(self.path.parent().unwrap_or(Path::new("."))).public()
    }

    /// The newest signed checkpoint; `None` while there is none.
    pub fn newest_checkpoint(&self) -> Result<Option<String>, StoreError> {
        let newest = "SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1";
        self.read(|db| db.query_row(newest, [], |row| row.get(0)).optional())
    }

    /// One question to the database.
    pub(crate) fn read<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        ask(&self.lock()).map_err(|error| database::explain(&self.path, &error))
    }

    fn select(
        &self,
        filter: &Filter,
        order: &str,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let (conditions, mut values) = filter.to_sql();
        values.push(Sql::from(i64::try_from(limit).unwrap_or(i64::MAX)));
        let sql = format!(
            "SELECT seq, record, leaf FROM records{conditions} ORDER BY seq {order} LIMIT ?"
        );
        self.read(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            statement.query_map(rusqlite::params_from_iter(values), record)?.collect()
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Filter {
    /// The conditions with a placeholder for each value: nothing of the filter's own text becomes SQL.
    pub(crate) fn to_sql(&self) -> (String, Vec<Sql>) {
        let number = |value: u64| Sql::from(i64::try_from(value).unwrap_or(i64::MAX));
        let text = |value: &Option<String>| value.clone().map(Sql::from);
        let parts = [
            ("session = ?#".to_owned(), text(&self.session)),
            (lookup::condition("call"), text(&self.call)),
            ("event = ?#".to_owned(), self.event.map(|event| Sql::from(event.as_str().to_owned()))),
            (lookup::condition("agent"), text(&self.agent)),
            (lookup::condition("tool"), text(&self.tool)),
            (lookup::condition("host"), text(&self.host)),
            (lookup::condition("verdict"), text(&self.verdict)),
            // Not by its index, which knows nothing of the order: where to begin is looked up apart (`search::young`).
            ("+time_ms >= ?#".to_owned(), self.since_ms.map(number)),
            ("seq >= ?#".to_owned(), self.from_seq.map(number)),
            ("seq < ?#".to_owned(), self.before_seq.map(number)),
            ("instr(lower(record), lower(?#)) > 0".to_owned(), text(&self.text)),
        ];
        let (mut sql, mut values) = (String::new(), Vec::new());
        for (condition, value) in parts {
            let Some(value) = value else { continue };
            sql.push_str(if values.is_empty() { " WHERE " } else { " AND " });
            values.push(value);
            sql.push_str(&condition.replace('#', &values.len().to_string()));
        }
        (sql, values)
    }
}

pub(crate) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let json = String::from_utf8_lossy(row.get_ref(1)?.as_bytes()?).into_owned();
    let leaf = Digest::try_from(row.get_ref(2)?.as_bytes()?).unwrap_or(Digest::ZERO);
    Ok(Record { seq: row.get(0)?, json, leaf })
}

fn next_note(rows: &mut rusqlite::Rows<'_>) -> rusqlite::Result<Option<(u64, String)>> {
    rows.next()?.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lines could not be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

const PAGE: usize = 512;
