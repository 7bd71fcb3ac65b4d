//! Which runs were flagged, and what has a person made of each?
use crate::StoreError;
use crate::entry::{Entry, Event, check_id};
use crate::export::{Reader, Record};
use crate::ledger::{Durability, Ledger as _};
use crate::sessions::Sessions as _;
use crate::store::Store;
use rusqlite::params;
use serde::Serialize;
use serde_json::Value;

/// What a person makes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "a person says one of three things")]
pub enum Opinion {
    /// Somebody steered it.
    Attack,
    /// It did what it was meant to.
    Harmless,
    /// It cannot be told.
    Unsure,
}

impl Opinion {
    /// Every one, by its word.
    pub const ALL: [(&'static str, Self); 3] =
        [("attack", Self::Attack), ("harmless", Self::Harmless), ("unsure", Self::Unsure)];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, one)| *one == self).map_or("", |(word, _)| word)
    }

    /// The one of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == word).map(|(_, one)| one)
    }
}

/// What a rule found in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Raised {
    /// The place of its record on the log.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// The rule.
    pub rule: String,
    /// What it means.
    pub says: String,
    /// How much it weighs.
    pub severity: String,
}

/// What a person said of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Review {
    /// The place of its record on the log.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// What they make of it.
    pub verdict: Opinion,
    /// Why.
    pub note: String,
    /// Who.
    pub by: String,
}

/// A run that was flagged or reviewed, each in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reviewed {
    /// The session.
    pub session: String,
    /// What rules found.
    pub flags: Vec<Raised>,
    /// What people said; the last word counts.
    pub reviews: Vec<Review>,
}

impl Reviewed {
    /// The last word, unless something was flagged after it.
    pub fn settled(&self) -> Option<&Review> {
        let last = self.reviews.last()?;
        self.flags.last().is_none_or(|flag| flag.seq < last.seq).then_some(last)
    }
}

impl Store {
    /// Takes down what a person makes of a run, with a `review` record that is durable when this returns.
    pub fn review(
        &self,
        session: &str,
        verdict: Opinion,
        note: &str,
        by: &str,
    ) -> Result<(), StoreError> {
        check_id(by).map_err(|why| invalid("the reviewer", why.to_owned()))?;
        if note.len() > NOTE_MAX {
            return Err(invalid("the note", format!("has more than {NOTE_MAX} bytes")));
        }
        let session = self.session(session)?;
        let entry = Entry::new(Event::Review)
            .session(session.id)
            .with("verdict", verdict.as_str())
            .with("note", note)
            .with("by", by);
        let _receipt = self.append(entry, Durability::Durable)?;
        Ok(())
    }
}

impl Reader {
    /// The runs that were flagged or reviewed, by the newest of it, as far as the last 10,000 such records tell.
    pub fn reviewed(&self) -> Result<Vec<Reviewed>, StoreError> {
        let mut found: Vec<Reviewed> = Vec::new();
        for record in self.marked(ALL, None)? {
            let value = record.value();
            let session = text(&value, "session");
            let at = found.iter().position(|run| run.session == session);
            let mut run = match at {
                Some(at) => found.remove(at),
                None => Reviewed { session, flags: Vec::new(), reviews: Vec::new() },
            };
            run.take(record.seq, &value);
            // The newest stands last here, and first in what is handed out.
            found.push(run);
        }
        found.reverse();
        found.retain(|run| !run.flags.is_empty() || !run.reviews.is_empty());
        Ok(found)
    }

    /// What was flagged in one run, and what people said of it.
    pub fn reviewed_run(&self, session: &str) -> Result<Reviewed, StoreError> {
        let mut run =
            Reviewed { session: session.to_owned(), flags: Vec::new(), reviews: Vec::new() };
        for record in self.marked(OF_SESSION, Some(session))? {
            run.take(record.seq, &record.value());
        }
        Ok(run)
    }

    fn marked(&self, sql: &str, session: Option<&str>) -> Result<Vec<Record>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(sql)?;
            statement.query_map(params![session], crate::export::record)?.collect()
        })
    }
}

impl Reviewed {
    fn take(&mut self, seq: u64, value: &Value) {
        let time_ms = value.get("time_ms").and_then(Value::as_u64).unwrap_or_default();
        let text = |key| text(value, key);
        if text("event") == "flag" && text("act") == "raise" {
            let (rule, says, severity) = (text("rule"), text("says"), text("severity"));
            self.flags.push(Raised { seq, time_ms, rule, says, severity });
        }
        if let ("review", Some(verdict)) = (&*text("event"), Opinion::of(&text("verdict"))) {
            let (note, by) = (text("note"), text("by"));
            self.reviews.push(Review { seq, time_ms, verdict, note, by });
        }
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn invalid(what: &'static str, why: String) -> StoreError {
    StoreError::Invalid { what, why }
}

/// Made at each start, since a database of an earlier version has no such index.
pub(crate) const INDEX: &str = "CREATE INDEX IF NOT EXISTS records_marked ON records (seq)
    WHERE event IN ('flag', 'review');";
const ALL: &str = "SELECT seq, record, leaf FROM (SELECT seq, record, leaf FROM records
    WHERE event IN ('flag', 'review') AND ?1 IS NULL ORDER BY seq DESC LIMIT 10000) ORDER BY seq";
const OF_SESSION: &str = "SELECT seq, record, leaf FROM records
    WHERE session = ?1 AND event IN ('flag', 'review') ORDER BY seq LIMIT 1000";
const NOTE_MAX: usize = 4000;
