//! Is the log whole, and does it tell the whole story? Two questions, answered apart.
//!
//! *Integrity*: every record is the one that was hashed, hangs on the one before, and the roots are those that were
//! signed. *Completeness*: what a whole log still leaves open. Nothing here needs the writer or the network.
use crate::StoreError;
use crate::database::{self, Head};
use crate::digest::Digest;
use crate::dir::StateDir;
use crate::entry::{Event, MAX_DEPTH, MAX_RECORD_BYTES, VERSION, check_value};
use crate::merkle::{self, Frontier};
use crate::note::PublicKey;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};
use std::path::Path;

/// What the verifier may take for true.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The log's public key, got by another way than the log itself.
    pub key: Option<PublicKey>,
    /// Checkpoints that were kept elsewhere.
    pub anchors: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many records were read and found right.
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
        let checkpoint =
            line.starts_with(b"{\"checkpoint\":").then(|| serde_json::from_slice::<Value>(&line));
        let step = match checkpoint {
            None => replay.record(&line, None),
            Some(Ok(value)) => {
                let note = value.get("checkpoint").and_then(Value::as_str).unwrap_or("");
                replay.checkpoint(note).map(|_size| ())
            }
            Some(Err(error)) => Err(format!("the checkpoint's line cannot be read: {error}")),
        };
        if let Err(why) = step {
            break Err(why);
        }
    };
    Ok(replay.finish(integrity))
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
            replay.checkpoint_row(row)?;
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
        replay.checkpoint_row(row)?;
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

/// What the database says of a record beside its bytes.
struct Columns<'a> {
    time_ms: u64,
    event: &'a [u8],
    session: Option<&'a [u8]>,
    leaf: &'a [u8],
}

/// The log so far, as it must have been built.
struct Replay {
    key: Option<PublicKey>,
    /// The roots that were kept elsewhere, by size; or what is wrong with one of them.
    anchors: Result<BTreeMap<u64, Digest>, String>,
    log_id: Option<String>,
    tree: Frontier,
    last: Digest,
    last_ms: u64,
    anchored: u64,
    signed: u64,
    calls: BTreeMap<String, OpenCall>,
    sessions: BTreeMap<String, u64>,
    seen: Completeness,
}

impl Replay {
    fn new(trust: &Trust) -> Self {
        let anchors: Result<BTreeMap<u64, Digest>, String> =
            trust.key.iter().try_fold(BTreeMap::new(), |mut roots, key| {
                for note in &trust.anchors {
                    let signed = key
                        .open(note)
                        .map_err(|error| format!("a checkpoint kept elsewhere: {error}"))?;
                    if roots
                        .insert(signed.size, signed.root)
                        .is_some_and(|root| root != signed.root)
                    {
                        return Err(format!(
                            "two different logs of {} records were signed",
                            signed.size
                        ));
                    }
                }
                Ok(roots)
            });
        let newest = anchors.as_ref().ok().and_then(|roots| roots.keys().next_back().copied());
        Self {
            key: trust.key.clone(),
            anchors,
            signed: newest.unwrap_or(0),
            log_id: None,
            tree: Frontier::empty(),
            last: Digest::ZERO,
            last_ms: 0,
            anchored: 0,
            calls: BTreeMap::new(),
            sessions: BTreeMap::new(),
            seen: Completeness::default(),
        }
    }

    fn record(&mut self, bytes: &[u8], columns: Option<&Columns<'_>>) -> Result<(), String> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(format!("it has {} bytes, more than any record has", bytes.len()));
        }
        let leaf = merkle::leaf(bytes);
        if columns.is_some_and(|columns| columns.leaf != leaf.as_bytes()) {
            return Err("its bytes are not those that were hashed".to_owned());
        }
        let record: Value =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON: {error}"))?;
        let canonical =
            serde_json_canonicalizer::to_vec(&record).map_err(|error| error.to_string())?;
        if canonical != bytes {
            return Err("its bytes are not in canonical form".to_owned());
        }
        check_value("record", &record, MAX_DEPTH + 1)
            .map_err(|_| "it holds a number, or a nesting, that no record has".to_owned())?;
        self.check_fields(&record, columns)?;
        self.note_story(&record);
        self.tree.push(leaf);
        self.last = leaf;
        self.check_anchor()
    }

    fn check_anchor(&self) -> Result<(), String> {
        let size = self.tree.size();
        match self.anchors.as_ref().map_err(String::clone)?.get(&size) {
            Some(root) if *root != self.tree.root() => Err(format!(
                "the log is not the one that was signed at {size} records and kept elsewhere"
            )),
            _ => Ok(()),
        }
    }

    fn check_fields(
        &mut self,
        record: &Value,
        columns: Option<&Columns<'_>>,
    ) -> Result<(), String> {
        let seq = self.tree.size();
        let number = |key: &str| record.get(key).and_then(Value::as_u64);
        let text = |key: &str| record.get(key).and_then(Value::as_str);
        if number("v") != Some(VERSION) {
            return Err(format!("its version is not {VERSION}"));
        }
        if number("seq") != Some(seq) {
            return Err(format!(
                "it is missing or moved: the record here says it is {:?}",
                number("seq")
            ));
        }
        if text("prev") != Some(&self.last.to_string()) {
            return Err("it does not hang on the record before it".to_owned());
        }
        let log_id = text("log_id").ok_or("it names no log")?;
        if self.log_id.get_or_insert_with(|| log_id.to_owned()) != log_id {
            return Err("it is of another log".to_owned());
        }
        if self.key.as_ref().is_some_and(|key| key.log_id() != log_id) {
            return Err("it is of another log than the key".to_owned());
        }
        let (Some(event), Some(time_ms)) = (text("event"), number("time_ms")) else {
            return Err("it has no event or no time".to_owned());
        };
        let session = text("session").map(str::as_bytes);
        if columns.is_some_and(|columns| {
            (columns.time_ms, columns.event, columns.session)
                != (time_ms, event.as_bytes(), session)
        }) {
            return Err("its row names another time, event or session than its bytes".to_owned());
        }
        Ok(())
    }

    /// Remembers what is begun and not ended.
    fn note_story(&mut self, record: &Value) {
        let text = |key: &str| record.get(key).and_then(Value::as_str).map(str::to_owned);
        let event = text("event").and_then(|name| name.parse::<Event>().ok());
        let (session, call) = (text("session"), text("call"));
        match (event, session, call) {
            (Some(Event::Call), session, Some(call)) => {
                let open = OpenCall {
                    seq: self.tree.size(),
                    session: session.clone(),
                    call: call.clone(),
                };
                self.calls.insert(key_of(session.as_deref(), &call), open);
            }
            (Some(Event::Outcome), session, Some(call)) => {
                self.calls.remove(&key_of(session.as_deref(), &call));
            }
            (Some(Event::SessionStart), Some(session), _) => {
                self.sessions.insert(session, self.tree.size());
            }
            (Some(Event::SessionEnd), Some(session), _) => {
                self.sessions.remove(&session);
            }
            _ => {}
        }
        let time_ms = record.get("time_ms").and_then(Value::as_u64).unwrap_or(0);
        if time_ms.saturating_add(MAX_CLOCK_STEP_MS) < self.last_ms
            && self.seen.clock_steps.len() < MAX_CLOCK_STEPS
        {
            self.seen.clock_steps.push(self.tree.size());
        }
        self.last_ms = time_ms;
    }

    /// Verifies a checkpoint at its place; gives the size it signs, unless there is no key to tell by.
    fn checkpoint(&mut self, note: &str) -> Result<Option<u64>, String> {
        let Some(key) = &self.key else { return Ok(None) };
        let signed =
            key.open(note).map_err(|error| format!("the checkpoint at this place: {error}"))?;
        if signed.size > self.tree.size() {
            self.signed = self.signed.max(signed.size);
            return Ok(Some(signed.size));
        }
        if (signed.size, signed.root) != (self.tree.size(), self.tree.root()) {
            return Err(format!(
                "the records before it are not those signed at {} records",
                signed.size
            ));
        }
        self.anchored = signed.size;
        self.seen.checkpoints += 1;
        Ok(Some(signed.size))
    }

    fn checkpoint_row(&mut self, row: &rusqlite::Row<'_>) -> Result<(), Stop> {
        let size: u64 = row.get(0)?;
        let signed = self.checkpoint(row.get_ref(1)?.as_str().unwrap_or(""))?;
        let frontier = row.get_ref(2)?.as_bytes().unwrap_or_default();
        let fits = size > self.tree.size() || frontier == self.tree.to_bytes();
        if fits && signed.is_none_or(|signed| signed == size) {
            Ok(())
        } else {
            Err(ALTERED.to_owned().into())
        }
    }

    fn finish(mut self, integrity: Result<(), String>) -> Report {
        let records = self.tree.size();
        let integrity = integrity.and_then(|()| self.check_anchor());
        let integrity = match integrity {
            Err(why) => Integrity::Broken { seq: records, why },
            Ok(()) if self.signed > records => Integrity::Truncated { signed: self.signed },
            Ok(()) => Integrity::Whole,
        };
        let mut calls: Vec<OpenCall> = self.calls.into_values().collect();
        calls.sort_unstable_by_key(|call| call.seq);
        calls.truncate(MAX_LISTED);
        self.seen.open_calls = calls;
        self.seen.open_sessions = self.sessions.into_keys().take(MAX_LISTED).collect();
        self.seen.unanchored = records.saturating_sub(self.anchored);
        Report {
            records,
            log_id: self.log_id,
            root: self.tree.root(),
            integrity,
            completeness: self.seen,
        }
    }
}

fn key_of(session: Option<&str>, call: &str) -> String {
    format!("{}\n{call}", session.unwrap_or(""))
}

const ALTERED: &str = "the row of the checkpoint at this place was altered";
const MAX_LISTED: usize = 1000;
const MAX_CLOCK_STEPS: usize = 100;
const MAX_CLOCK_STEP_MS: u64 = 2000;
/// A record, or a checkpoint as JSON, with room to spare.
const MAX_LINE: u64 = MAX_RECORD_BYTES as u64 + 4096;
