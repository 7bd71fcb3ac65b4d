//! For how long does a yes stand, when it is not for one call alone? As long as everyone who gave it said, and no longer.
use crate::StoreError;
use crate::clock;
use crate::desk::{Answer, Desk as _, Question, QuestionFilter, QuestionState, Verdict};
use crate::lives;
use crate::questions;
use crate::store::Store;
use rusqlite::{Connection, params};
use std::time::Duration;

impl Store {
    /// Approves a question for every call that is exactly the one it asks about, in its session and under its policy,
    /// for so long: at most a day. It takes effect when as many as are needed have said so; the shortest time counts,
    /// and a single answer without a time makes it an approval for one call. Whoever approved may deny later, which
    /// ends it.
    pub fn approve_for(
        &self,
        id: &str,
        approver: &str,
        reason: &str,
        life: Duration,
    ) -> Result<Question, StoreError> {
        let life_ms = life_ms(life)?;
        let answer = Answer {
            approver: approver.to_owned(),
            verdict: Verdict::Approve,
            reason: reason.to_owned(),
        };
        questions::answer(self, id, answer, Some(life_ms), None)
    }

    /// The approvals that stand now, newest first.
    pub fn standing(&self) -> Result<Vec<Question>, StoreError> {
        let filter =
            QuestionFilter { state: Some(QuestionState::Approved), ..QuestionFilter::default() };
        let mut approved = self.questions(&filter)?;
        approved.retain(|question| question.until_ms.is_some());
        Ok(approved)
    }
}

/// For how long a yes may stand, in milliseconds.
pub(crate) fn life_ms(life: Duration) -> Result<u64, StoreError> {
    let life_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    if life_ms == 0 || life > MAX_LIFE {
        let why = format!("is {life:?}; it is above 0 and at most a day");
        return Err(StoreError::Invalid { what: "the time", why });
    }
    Ok(life_ms)
}

/// Takes down that this approver's yes stands until then. When that makes it stand, the question lives as long.
pub(crate) fn write(
    db: &Connection,
    question: &str,
    approver: &str,
    until_ms: u64,
) -> rusqlite::Result<()> {
    db.prepare_cached(INSERT)?.execute(params![question, approver, until_ms])?;
    let now = questions::fetch(db, question)?;
    let enough = now.approvers().len() >= usize::try_from(now.quorum).unwrap_or(usize::MAX);
    if let (true, Some(until_ms)) = (enough, now.until_ms) {
        let sql = "UPDATE questions SET expires_ms = ?2 WHERE id = ?1";
        db.prepare_cached(sql)?.execute(params![question, until_ms])?;
        lives::bound(db, question, until_ms.saturating_sub(clock::now_ms()))?;
    }
    Ok(())
}

/// For how long the yes of a question's approvers is good.
#[derive(Debug, Default)]
pub(crate) struct Span {
    /// Until when the approval stands: `None` unless each of them gave a time.
    pub(crate) until_ms: Option<u64>,
    /// When the first of them stops to approve.
    pub(crate) lapses_ms: Option<u64>,
}

pub(crate) fn span(
    db: &Connection,
    question: &str,
    approvers: &[String],
) -> rusqlite::Result<Span> {
    let mut statement = db.prepare_cached(SELECT)?;
    let mut times = Vec::new();
    for approver in approvers {
        let mut rows = statement.query(params![question, approver])?;
        if let Some(row) = rows.next()? {
            times.push(row.get(0)?);
        }
    }
    let lapses_ms = times.iter().min().copied();
    Ok(Span { until_ms: lapses_ms.filter(|_| times.len() == approvers.len()), lapses_ms })
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS standing (
  question TEXT    NOT NULL,
  approver TEXT    NOT NULL,
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (question, approver)
) STRICT, WITHOUT ROWID;";
const INSERT: &str = "INSERT INTO standing (question, approver, until_ms) VALUES (?1, ?2, ?3)
    ON CONFLICT DO NOTHING";
const SELECT: &str = "SELECT until_ms FROM standing WHERE question = ?1 AND approver = ?2";
const MAX_LIFE: Duration = Duration::from_hours(24);
