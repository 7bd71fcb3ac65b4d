//! Is the log whole, and does it tell the whole story? Two questions, answered apart.
//!
//! *Integrity*: every record is the one that was hashed, hangs on the one before, and the roots are those that were
//! signed. *Completeness*: what a whole log still leaves open. Nothing here needs the writer or the network.
mod replay;

use crate::StoreError;
use crate::base::Base;
use crate::database::{self, Head};
use crate::digest::Digest;
use crate::dir::StateDir;
use crate::entry::MAX_RECORD_BYTES;
use crate::note::PublicKey;
use replay::{Columns, Replay};
use serde::Serialize;
use serde_json::Value;
use std::io::{self, BufRead, Read as _};
use std::path::Path;

/// What the verifier may take for true.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The log's public key, got by another way than the log itself.
    pub key: Option<PublicKey>,
    /// Checkpoints that were kept elsewhere.
    pub anchors: Vec<String>,
    /// That the log may begin at this record, or before it, without saying that what came before was pruned: what is
    /// verified is known to be a later part.
    pub from: Option<u64>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many records there are, up to the last that was read and found right; those before its beginning count too.
    pub records: u64,
    /// The log's id, from its first record.
    pub log_id: Option<String>,
    /// The root over those records.
    pub root: Digest,
    /// Whether anything was changed.
    pub integrity: Integrity,
    /// What a whole log still leaves open.
    pub completeness: Completeness,
}

/// Whether anything was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Integrity {
    /// Something is not as it was hashed or signed.
    Broken {
        /// The first record at which it shows.
        seq: u64,
        /// What does not fit.
        why: String,
    },
    /// What is there fits, but more was signed than is there.
    Truncated {
        /// How many records a checkpoint has signed.
        signed: u64,
    },
    /// Everything fits.
    Whole,
}

/// What a log leaves open. None of it is proof of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Completeness {
    /// The first record that is at hand: 0, unless those before it were pruned or are in another part.
    pub begins: u64,
    /// How many of the checkpoints that were kept elsewhere are of records before that, and show nothing any more.
    pub early_anchors: u64,
    /// Calls with an intent and no outcome: what became of them is unknown. At most 1000 are listed.
    pub open_calls: Vec<OpenCall>,
    /// Sessions that began and have no end: running, or died. At most 1000 are listed.
    pub open_sessions: Vec<String>,
    /// How many records at the end no checkpoint covers.
    pub unanchored: u64,
    /// How many checkpoints were verified.
    pub checkpoints: u64,
    /// Records whose clock is more than two seconds behind the record before: the first 100.
    pub clock_steps: Vec<u64>,
    /// Whether the key came from beside the log, where whoever changed the log could change it too.
    pub key_from_log: bool,
}

/// A call whose outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenCall {
    /// The record of its intent.
    pub seq: u64,
    /// The session it belongs to.
    pub session: Option<String>,
    /// The call's id.
    pub call: String,
}

/// A report in one word; [`Verdict::code`] is its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Something was changed.
    Broken,
    /// Whole as far as it goes, but the end was cut off.
    Truncated,
    /// Whole, but no checkpoint covers its end yet.
    Unanchored,
    /// Whole, and signed to its end.
    Whole,
}

impl Verdict {
    /// The exit status for scripts: 0 whole, 1 broken, 2 truncated, 3 unanchored.
    pub const fn code(self) -> u8 {
        match self {
            Self::Broken => 1,
            Self::Truncated => 2,
            Self::Unanchored => 3,
            Self::Whole => 0,
        }
    }
}

impl Report {
    /// The report in one word.
    pub const fn verdict(&self) -> Verdict {
        match self.integrity {
            Integrity::Broken { .. } => Verdict::Broken,
            Integrity::Truncated { .. } => Verdict::Truncated,
            Integrity::Whole if self.completeness.unanchored > 0 => Verdict::Unanchored,
            Integrity::Whole => Verdict::Whole,
        }
    }
}

/// Verifies the log in a state directory. An error means that it could not be read at all; everything else, damage to
/// the database file included, is in the report. Without a key in `trust`, the one beside the log is taken.
pub fn dir(dir: &Path, trust: &Trust) -> Result<Report, StoreError> {
    let dir = StateDir::unchecked(dir);
    let kept = dir.anchor()?;
    let path = dir.database();
    let connection = database::open_reader(&path)?;
    let mut trust = trust.clone();
    let key_from_log = trust.key.is_none();
    if key_from_log {
        trust.key = Some(dir.public()?);
    }
    trust.anchors.extend(kept);
    let mut replay = Replay::new(&trust);
    let outcome = read_rows(&connection, &mut replay);
    let integrity = match outcome {
        Ok(()) => Ok(()),
        Err(Stop::Broken(why)) => Err(why),
        Err(Stop::Unreadable(error)) => Err(format!("it cannot be read: {error}")),
    };
    let mut report = replay.finish(integrity);
    report.completeness.key_from_log = key_from_log;
    Ok(report)
}

/// Verifies an exported log: one record a line, with `{"checkpoint":"…"}` lines after the records they cover. Without a
/// key in `trust`, no checkpoint counts.
pub fn lines(mut from: impl BufRead, trust: &Trust) -> io::Result<Report> {
    let mut replay = Replay::new(trust);
    let mut line = Vec::new();
    let integrity = loop {
        line.clear();
        from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break Ok(());
        }
        if line.pop_if(|byte| *byte == b'\n').is_none() {
            break Err("its line has no end: it was cut off, or is too long".to_owned());
        }
        if let Err(why) = take_line(&mut replay, &line) {
            break Err(why);
        }
    };
    Ok(replay.finish(integrity))
}

fn take_line(replay: &mut Replay, line: &[u8]) -> Result<(), String> {
    if line.starts_with(b"{\"base\":") {
        return replay.begin(&Base::parse(line, replay.key.as_ref())?);
    }
    if !line.starts_with(b"{\"checkpoint\":") {
        return replay.record(line, None);
    }
    let value: Value = serde_json::from_slice(line)
        .map_err(|error| format!("the checkpoint's line cannot be read: {error}"))?;
    let note = value.get("checkpoint").and_then(Value::as_str).unwrap_or("");
    replay.checkpoint(note).map(|_size| ())
}

enum Stop {
    Broken(String),
    Unreadable(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

fn read_rows(connection: &rusqlite::Connection, replay: &mut Replay) -> Result<(), Stop> {
    let snapshot = connection.unchecked_transaction()?;
    let log_id: String = snapshot.query_row("SELECT log_id FROM log", [], |row| row.get(0))?;
    replay.log_id = Some(log_id);
    if let Some(base) = Base::of_log(&snapshot)? {
        if let Some(key) = &replay.key {
            base.check(key)?;
        }
        replay.begin(&base)?;
    }
    let mut notes =
        snapshot.prepare("SELECT size, note, frontier FROM checkpoints ORDER BY size")?;
    let mut notes = notes.query([])?;
    let mut note = notes.next()?;
    let mut records = snapshot
        .prepare("SELECT seq, time_ms, event, session, record, leaf FROM records ORDER BY seq")?;
    let mut records = records.query([])?;
    loop {
        while let Some(row) = note
            && row.get::<_, u64>(0)? <= replay.tree.size()
        {
            checkpoint_row(replay, row)?;
            note = notes.next()?;
        }
        let Some(row) = records.next()? else { break };
        let seq: u64 = row.get(0)?;
        if seq != replay.tree.size() {
            return Err(format!("it is missing: the next on the log is record {seq}").into());
        }
        let columns = Columns {
            time_ms: row.get(1)?,
            event: row.get_ref(2)?.as_bytes().unwrap_or_default(),
            session: row.get_ref(3)?.as_bytes_or_null().unwrap_or_default(),
            leaf: row.get_ref(5)?.as_bytes().unwrap_or_default(),
        };
        replay.record(row.get_ref(4)?.as_bytes().unwrap_or_default(), Some(&columns))?;
    }
    while let Some(row) = note {
        checkpoint_row(replay, row)?;
        note = notes.next()?;
    }
    check_head(&Head::read(&snapshot)?, replay)
}

fn check_head(head: &Head, replay: &mut Replay) -> Result<(), Stop> {
    if head.tree.size() > replay.tree.size() {
        return Err(format!("it is missing: {} records are counted", head.tree.size()).into());
    }
    let same =
        head.tree == replay.tree && head.leaf == replay.last && head.anchored == replay.anchored;
    if same {
        Ok(())
    } else {
        Err("the row that says where the log ends does not fit".to_owned().into())
    }
}

fn checkpoint_row(replay: &mut Replay, row: &rusqlite::Row<'_>) -> Result<(), Stop> {
    let size: u64 = row.get(0)?;
    let signed = replay.checkpoint(row.get_ref(1)?.as_str().unwrap_or(""))?;
    let frontier = row.get_ref(2)?.as_bytes().unwrap_or_default();
    let fits = size > replay.tree.size() || frontier == replay.tree.to_bytes();
    if fits && signed.is_none_or(|signed| signed == size) {
        Ok(())
    } else {
        Err(ALTERED.to_owned().into())
    }
}

const ALTERED: &str = "the row of the checkpoint at this place was altered";
/// A record, or a checkpoint as JSON, with room to spare.
const MAX_LINE: u64 = MAX_RECORD_BYTES as u64 + 4096;
