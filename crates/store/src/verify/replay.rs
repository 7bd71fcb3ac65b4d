//! Does each record hang on the one before, and is the tree the one that was signed? The log, built up again.
use super::{Completeness, Integrity, OpenCall, Report, Trust};
use crate::base::Base;
use crate::digest::Digest;
use crate::entry::{Event, MAX_DEPTH, MAX_RECORD_BYTES, VERSION, check_value};
use crate::merkle::{self, Frontier};
use crate::note::PublicKey;
use serde_json::Value;
use std::collections::BTreeMap;

/// What the database says of a record beside its bytes.
pub(super) struct Columns<'a> {
    pub(super) time_ms: u64,
    pub(super) event: &'a [u8],
    pub(super) session: Option<&'a [u8]>,
    pub(super) leaf: &'a [u8],
}

/// The log so far, as it must have been built.
pub(super) struct Replay {
    pub(super) key: Option<PublicKey>,
    /// The roots that were kept elsewhere, by size; or what is wrong with one of them.
    anchors: Result<BTreeMap<u64, Digest>, String>,
    pub(super) log_id: Option<String>,
    pub(super) tree: Frontier,
    pub(super) last: Digest,
    last_ms: u64,
    pub(super) anchored: u64,
    signed: u64,
    /// Where the reader is content that it begins.
    from: u64,
    /// Up to where a record on the log says that it was pruned.
    pruned: u64,
    calls: BTreeMap<String, OpenCall>,
    sessions: BTreeMap<String, u64>,
    seen: Completeness,
}

impl Replay {
    pub(super) fn new(trust: &Trust) -> Self {
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
            from: trust.from.unwrap_or(0),
            pruned: 0,
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

    /// Takes the place where a part begins: at its front, or, between two parts, the very place that was reached.
    pub(super) fn begin(&mut self, base: &Base) -> Result<(), String> {
        let reached = (&self.tree, &self.last) == (&base.tree, &base.leaf);
        if self.tree.size() > 0 && !reached {
            let (size, here) = (base.tree.size(), self.tree.size());
            return Err(format!("a part begins here that belongs after record {size}, not {here}"));
        }
        (self.tree, self.last) = (base.tree.clone(), base.leaf);
        if !reached {
            self.seen.begins = self.tree.size();
            self.anchored = self.tree.size();
        }
        self.check_anchor()
    }

    pub(super) fn record(
        &mut self,
        bytes: &[u8],
        columns: Option<&Columns<'_>>,
    ) -> Result<(), String> {
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
            (Some(Event::Prune), ..) => {
                let to = record.get("to").and_then(Value::as_u64).unwrap_or(0);
                // What is said to be gone was there before this was said.
                self.pruned = self.pruned.max(to.min(self.tree.size()));
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
    pub(super) fn checkpoint(&mut self, note: &str) -> Result<Option<u64>, String> {
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

    pub(super) fn finish(mut self, integrity: Result<(), String>) -> Report {
        let records = self.tree.size();
        let integrity = integrity.and_then(|()| self.check_anchor());
        let begins = self.seen.begins;
        let integrity = match integrity {
            Err(why) => Integrity::Broken { seq: records, why },
            Ok(()) if begins > self.pruned.max(self.from) => {
                Integrity::Broken { seq: 0, why: format!("the records before {begins} {UNSAID}") }
            }
            Ok(()) if self.signed > records => Integrity::Truncated { signed: self.signed },
            Ok(()) => Integrity::Whole,
        };
        let mut calls: Vec<OpenCall> = self.calls.into_values().collect();
        calls.sort_unstable_by_key(|call| call.seq);
        calls.truncate(MAX_LISTED);
        self.seen.open_calls = calls;
        self.seen.open_sessions = self.sessions.into_keys().take(MAX_LISTED).collect();
        let early = |roots: &BTreeMap<u64, Digest>| roots.range(..begins).count();
        let early = self.anchors.as_ref().map_or(0, early);
        self.seen.early_anchors = u64::try_from(early).unwrap_or(u64::MAX);
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

const MAX_LISTED: usize = 1000;
const MAX_CLOCK_STEPS: usize = 100;
const MAX_CLOCK_STEP_MS: u64 = 2000;
const UNSAID: &str = "are missing, and no record says that they were pruned";
