//! How does the desk keep its questions in `SQLite`, each change together with its audit record?
use crate::StoreError;
use crate::clock;
use crate::deferred;
use crate::desk::{
    Answer, Answered, ApprovalKey, Consumed, Deferral, Desk, Endorsement, Given, NewQuestion,
    Question, QuestionFilter, QuestionState, Verdict,
};
use crate::digest::{Digest, hex};
use crate::dir::fill_random;
use crate::endorsements;
use crate::entry::{Entry, Event, MAX_RECORD_BYTES, Prepared, check_id};
use crate::lives;
use crate::standing;
use crate::store::Store;
use crate::withdrawn;
use crate::writer::Batch;
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};
use serde_json::Value;
use std::time::Duration;

impl Desk for Store {
    fn ask(&self, new: NewQuestion) -> Result<Question, StoreError> {
        let (new, shown) = check_question(new)?;
        let id = new_id()?;
        let asked_ms = clock::now_ms();
        let life_ms = u64::try_from(new.expires_in.as_millis()).unwrap_or(u64::MAX);
        let expires_ms = asked_ms.saturating_add(life_ms);
        let entry = Entry::new(Event::Pending)
            .session(&new.session)
            .with("question", id.as_str())
            .with("agent", new.agent.as_str())
            .with("tool", new.tool.as_str())
            .with("digest", new.digest.to_string())
            .with("policy", new.policy.to_string())
            .with("quorum", new.quorum)
            .with("shown_sha256", Digest::of(shown.as_bytes()).to_string())
            .with("expires_ms", expires_ms);
        let prepared = self.prepare(entry)?;
        self.work(move |batch| {
            let NewQuestion { session, agent, tool, digest, policy, quorum, .. } = new;
            let key = ApprovalKey { session, digest, policy };
            if let Some(question) = find_live(batch.transaction, &key)? {
                return raise_quorum(batch.transaction, question, quorum).map(Ok);
            }
            if let Some(full) = too_many(batch.transaction, &key.session)? {
                return Ok(Err(full));
            }
            batch.transaction.prepare_cached(INSERT_QUESTION)?.execute(params![
                id,
                key.session,
                agent,
                tool,
                digest.as_bytes(),
                policy.as_bytes(),
                quorum,
                shown,
                asked_ms,
                expires_ms,
            ])?;
            lives::begin(batch.transaction, &id, life_ms)?;
            let _receipt = batch.append(&prepared)?;
            fetch(batch.transaction, &id).map(Ok)
        })
    }

    fn questions(&self, filter: &QuestionFilter) -> Result<Vec<Question>, StoreError> {
        self.reader().read(|db| {
            // The live ones are few, and need no search through all that ever was.
            let past_counts =
                matches!(filter.state, None | Some(QuestionState::Expired | QuestionState::Used));
            let (which, after_ms) =
                if past_counts { (NEWEST, 0) } else { (NEWEST_LIVE, clock::now_ms()) };
            let mut statement = db.prepare_cached(&format!("{SELECT_QUESTION} {which}"))?;
            let mut rows = statement.query(params![filter.session, filter.tool, after_ms])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()?
                && found.len() < MAX_LISTED
            {
                let question = read_question(db, row)?;
                if filter.state.is_none_or(|state| state == question.state) {
                    found.push(question);
                }
            }
            Ok(found)
        })
    }

    fn question(&self, id: &str) -> Result<Question, StoreError> {
        self.reader().read(|db| match complete(db, id)? {
            Ok(id) => fetch(db, &id).map(Ok),
            Err(refused) => Ok(Err(refused)),
        })?
    }

    fn answer(&self, id: &str, answer: Answer) -> Result<Question, StoreError> {
        self::answer(self, id, answer, None, None)
    }

    fn given(&self, key: &ApprovalKey) -> Result<Given, StoreError> {
        let live = self.reader().read(|db| find_live(db, key))?;
        Ok(live.map_or_else(Given::default, |question| Given {
            approvers: question.approvers(),
            denied: question.denial().map(|answer| answer.reason.clone()),
            question: Some(question.id),
        }))
    }

    fn consume(&self, key: &ApprovalKey) -> Result<Consumed, StoreError> {
        let (key, log_id) = (key.clone(), self.public_key().log_id().to_owned());
        self.work(move |batch| consume(batch, key, &log_id))
    }

    fn withdraw(&self, id: &str) -> Result<Question, StoreError> {
        withdrawn::withdraw(self, id)
    }

    fn defer(&self, id: &str, to: &Deferral, life: Duration) -> Result<Question, StoreError> {
        deferred::defer(self, id, to, life)
    }

    fn adopt(&self, key: &ApprovalKey, from: &Deferral) -> Result<bool, StoreError> {
        deferred::adopt(self, key, from)
    }

    fn undefer(&self, session: &str) -> Result<(), StoreError> {
        deferred::undefer(self, session)
    }

    fn endorse(&self, id: &str, approver: &str, keys: &[Digest]) -> Result<(), StoreError> {
        endorsements::endorse(self, id, approver, keys)
    }

    fn endorsed(&self, session: &str) -> Result<Vec<Endorsement>, StoreError> {
        self.reader().read(|db| endorsements::of(db, session))
    }
}

/// Takes an answer down; a yes that stands for `life_ms` is for every such call until then. `proof` is what shows that it
/// is its approver's.
pub(crate) fn answer(
    store: &Store,
    id: &str,
    answer: Answer,
    life_ms: Option<u64>,
    proof: Option<Value>,
) -> Result<Question, StoreError> {
    check_answer(&answer)?;
    let (id, log_id) = (id.to_owned(), store.public_key().log_id().to_owned());
    let until_ms = life_ms.map(|life_ms| clock::now_ms().saturating_add(life_ms));
    store.work(move |batch| {
        let id = match complete(batch.transaction, &id)? {
            Ok(id) => id,
            Err(refused) => return Ok(Err(refused)),
        };
        let question = fetch(batch.transaction, &id)?;
        if let Err(refused) = check_open(&question, &answer) {
            return Ok(Err(refused));
        }
        let mut entry = approval(&question, answer.verdict.as_str())
            .with("approver", answer.approver.as_str())
            .with("reason", answer.reason.as_str());
        if let Some(until_ms) = until_ms {
            entry = entry.with("until_ms", until_ms);
        }
        if let Some(proof) = proof {
            entry = entry.with("passkey", proof);
        }
        let prepared = match Prepared::new(entry, &log_id) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error.into())),
        };
        batch.transaction.prepare_cached(INSERT_ANSWER)?.execute(params![
            id,
            answer.approver,
            answer.verdict.as_str(),
            answer.reason,
            clock::now_ms(),
        ])?;
        if let Some(until_ms) = until_ms {
            standing::write(batch.transaction, &id, &answer.approver, until_ms)?;
        }
        let _receipt = batch.append(&prepared)?;
        fetch(batch.transaction, &id).map(Ok)
    })
}

fn consume(
    batch: &mut Batch<'_>,
    key: ApprovalKey,
    log_id: &str,
) -> rusqlite::Result<Result<Consumed, StoreError>> {
    let Some(question) = find_live(batch.transaction, &key)? else {
        return Ok(Err(StoreError::NotApproved { given: 0, quorum: 0 }));
    };
    if let Some(denial) = question.denial() {
        return Ok(Err(denied(&question, denial)));
    }
    let approvers = question.approvers();
    if question.state != QuestionState::Approved {
        let given = u32::try_from(approvers.len()).unwrap_or(u32::MAX);
        return Ok(Err(StoreError::NotApproved { given, quorum: question.quorum }));
    }
    let mut entry = approval(&question, "use").with("approvers", approvers.clone());
    if let Some(until_ms) = question.until_ms {
        entry = entry.with("until_ms", until_ms);
    }
    let prepared = match Prepared::new(entry, log_id) {
        Ok(prepared) => prepared,
        Err(error) => return Ok(Err(error.into())),
    };
    if question.until_ms.is_none() {
        let used = "UPDATE questions SET used_ms = ?2 WHERE id = ?1 AND used_ms IS NULL";
        batch.transaction.prepare_cached(used)?.execute(params![question.id, clock::now_ms()])?;
    }
    let _receipt = batch.append(&prepared)?;
    Ok(Ok(Consumed { key, question: question.id, approvers }))
}

/// The beginning of every record about an answer.
pub(crate) fn approval(question: &Question, act: &str) -> Entry {
    Entry::new(Event::Approval)
        .session(&question.session)
        .with("act", act)
        .with("question", question.id.as_str())
        .with("digest", question.digest.to_string())
        .with("policy", question.policy.to_string())
}

fn check_question(new: NewQuestion) -> Result<(NewQuestion, String), StoreError> {
    let invalid = |what, why: String| Err(StoreError::Invalid { what, why });
    for (what, text) in
        [("the session", &new.session), ("the agent", &new.agent), ("the tool", &new.tool)]
    {
        if let Err(why) = check_id(text) {
            return invalid(what, why.to_owned());
        }
    }
    if new.quorum == 0 || new.quorum > MAX_QUORUM {
        return invalid("the quorum", format!("is {}; it is 1 to {MAX_QUORUM}", new.quorum));
    }
    if new.expires_in.as_millis() == 0 || new.expires_in > MAX_LIFE {
        return invalid(
            "the expiry",
            format!("is {:?}; it is above 0 and at most 7 days", new.expires_in),
        );
    }
    let shown = new.shown.to_string();
    if shown.len() > MAX_RECORD_BYTES {
        return invalid(
            "what is shown",
            format!("has {} bytes, more than {MAX_RECORD_BYTES}", shown.len()),
        );
    }
    Ok((new, shown))
}

fn check_answer(answer: &Answer) -> Result<(), StoreError> {
    check_id(&answer.approver)
        .map_err(|why| StoreError::Invalid { what: "the approver's name", why: why.to_owned() })?;
    if answer.reason.len() > MAX_REASON {
        let why = format!("has {} bytes; {MAX_REASON} is the most", answer.reason.len());
        return Err(StoreError::Invalid { what: "the reason", why });
    }
    Ok(())
}

/// Whether this may still be answered. An approved question may be denied until it is used, and one whose approval
/// stands also by those who approved it.
fn check_open(question: &Question, answer: &Answer) -> Result<(), StoreError> {
    let approver = &answer.approver;
    let takes_back = question.until_ms.is_some() && answer.verdict == Verdict::Deny;
    let id = question.id.clone();
    match question.state {
        QuestionState::Used => return Err(StoreError::Used { id }),
        QuestionState::Expired if question.withdrawn => {
            return Err(StoreError::Withdrawn { id });
        }
        QuestionState::Expired => return Err(StoreError::Expired { id }),
        QuestionState::Approved | QuestionState::Denied | QuestionState::Pending => {}
    }
    if let Some(denial) = question.denial() {
        return Err(denied(question, denial));
    }
    if !takes_back && question.answers.iter().any(|given| given.approver == *approver) {
        return Err(StoreError::AnsweredAlready { id, approver: approver.clone() });
    }
    Ok(())
}

fn denied(question: &Question, denial: &Answered) -> StoreError {
    let Answered { approver, reason, .. } = denial.clone();
    StoreError::Denied { id: question.id.clone(), approver, reason }
}

/// The question for this key that is neither used nor expired; there is never more than one.
fn find_live(db: &Connection, key: &ApprovalKey) -> rusqlite::Result<Option<Question>> {
    let sql = format!(
        "{SELECT_QUESTION} WHERE session = ?1 AND digest = ?2 AND policy = ?3 AND used_ms IS NULL
         ORDER BY asked_ms DESC, rowid DESC LIMIT 1"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let found = statement
        .query_row(params![key.session, key.digest.as_bytes(), key.policy.as_bytes()], |row| {
            read_question(db, row)
        })
        .optional()?;
    Ok(found.filter(|question| question.state != QuestionState::Expired))
}

/// Asking for more people than before holds for the question that is there; asking for fewer does not.
fn raise_quorum(db: &Connection, question: Question, quorum: u32) -> rusqlite::Result<Question> {
    if quorum <= question.quorum {
        return Ok(question);
    }
    db.prepare_cached("UPDATE questions SET quorum = ?2 WHERE id = ?1")?
        .execute(params![question.id, quorum])?;
    fetch(db, &question.id)
}

/// An agent that floods the desk would tire its people into saying yes.
fn too_many(db: &Connection, session: &str) -> rusqlite::Result<Option<StoreError>> {
    let now_ms = clock::now_ms();
    let count = |more: &str, values: &[&dyn ToSql]| -> rusqlite::Result<u32> {
        db.prepare_cached(&format!("{COUNT_OPEN}{more}"))?.query_row(values, |row| row.get(0))
    };
    let ours = count(&format!("{OF_SESSION}{UNDENIED}"), &[&now_ms, &session])?;
    // Those that were denied are taken off only where it matters.
    let full = ours >= MAX_OPEN_IN_SESSION
        || count("", &[&now_ms])? >= MAX_OPEN && count(UNDENIED, &[&now_ms])? >= MAX_OPEN;
    let session = session.to_owned();
    Ok(full.then_some(StoreError::TooManyPending { session, cap: ours.min(MAX_OPEN_IN_SESSION) }))
}

/// The whole id that begins with `id`.
pub(crate) fn complete(db: &Connection, id: &str) -> rusqlite::Result<Result<String, StoreError>> {
    let not_found = || StoreError::NotFound { what: "question", id: id.chars().take(32).collect() };
    if id.is_empty() || id.len() > ID_DIGITS || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Err(not_found()));
    }
    let (low, high) = (id.to_ascii_lowercase(), format!("{}g", id.to_ascii_lowercase()));
    let mut statement = db.prepare_cached("SELECT id FROM questions WHERE id >= ?1 AND id < ?2")?;
    let mut ids: Vec<String> =
        statement.query_map([low, high], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(match (ids.pop(), ids.len()) {
        (Some(id), 0) => Ok(id),
        (None, _) => Err(not_found()),
        (Some(_), more) => Err(StoreError::Ambiguous { id: id.to_owned(), count: more + 1 }),
    })
}

pub(crate) fn fetch(db: &Connection, id: &str) -> rusqlite::Result<Question> {
    let mut statement = db.prepare_cached(&format!("{SELECT_QUESTION} WHERE id = ?1"))?;
    statement.query_row([id], |row| read_question(db, row))
}

fn read_question(db: &Connection, row: &Row<'_>) -> rusqlite::Result<Question> {
    let id: String = row.get(0)?;
    let mut answers = db.prepare_cached(SELECT_ANSWERS)?;
    let answers = answers.query_map([&id], read_answer)?.collect::<rusqlite::Result<_>>()?;
    let used: Option<u64> = row.get(10)?;
    let mut question = Question {
        id,
        session: row.get(1)?,
        agent: row.get(2)?,
        tool: row.get(3)?,
        digest: read_digest(row, 4)?,
        policy: read_digest(row, 5)?,
        quorum: row.get(6)?,
        shown: serde_json::from_str(row.get_ref(7)?.as_str()?).unwrap_or_default(),
        asked_ms: row.get(8)?,
        expires_ms: row.get(9)?,
        state: QuestionState::Used,
        until_ms: None,
        answers,
        deferred: None,
        withdrawn: false,
    };
    question.deferred = deferred::read(db, &question.id)?;
    question.withdrawn = withdrawn::is_withdrawn(db, &question.id)?;
    let span = standing::span(db, &question.id, &question.approvers())?;
    question.until_ms = span.until_ms;
    if used.is_none() {
        let now_ms = clock::now_ms();
        let lapsed = span.lapses_ms.is_some_and(|lapses_ms| now_ms >= lapses_ms)
            || question.withdrawn
            || lives::over(db, &question.id)?;
        question.state = if lapsed { QuestionState::Expired } else { state_at(now_ms, &question) };
    }
    Ok(question)
}

fn state_at(now_ms: u64, question: &Question) -> QuestionState {
    // A clock that was set back must not give a question more time than it was given.
    let set_back = now_ms.saturating_add(MAX_CLOCK_STEP_MS) < question.asked_ms;
    if now_ms >= question.expires_ms || set_back {
        QuestionState::Expired
    } else if question.denial().is_some() {
        QuestionState::Denied
    } else if question.approvers().len() >= usize::try_from(question.quorum).unwrap_or(usize::MAX) {
        QuestionState::Approved
    } else {
        QuestionState::Pending
    }
}

fn read_answer(row: &Row<'_>) -> rusqlite::Result<Answered> {
    // Whatever is not an approval denies.
    let verdict = match row.get_ref(1)?.as_str()? {
        "approve" => Verdict::Approve,
        _ => Verdict::Deny,
    };
    Ok(Answered { approver: row.get(0)?, verdict, reason: row.get(2)?, answered_ms: row.get(3)? })
}

fn read_digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    Ok(Digest::from_bytes(row.get(column)?))
}

fn new_id() -> Result<String, StoreError> {
    let mut bytes = [0; ID_DIGITS / 2];
    fill_random(&mut bytes).map_err(|error| StoreError::Invalid {
        what: "the question",
        why: format!("has no id: {error}"),
    })?;
    Ok(hex(&bytes))
}

const SELECT_QUESTION: &str = "SELECT id, session, agent, tool, digest, policy, quorum, shown, asked_ms, expires_ms, used_ms FROM questions";
/// Those of `?1` and of tool `?2`, where these are given, newest first; and only those that live after `?3`.
const NEWEST: &str =
    "WHERE (?1 IS NULL OR session = ?1) AND (?2 IS NULL OR tool = ?2) AND +expires_ms > ?3
    ORDER BY asked_ms DESC, rowid DESC";
const NEWEST_LIVE: &str =
    "WHERE (?1 IS NULL OR session = ?1) AND (?2 IS NULL OR tool = ?2) AND expires_ms > ?3
    ORDER BY +asked_ms DESC, rowid DESC";
const COUNT_OPEN: &str = "SELECT count(*) FROM questions WHERE used_ms IS NULL AND expires_ms > ?1";
const OF_SESSION: &str = " AND session = ?2";
const UNDENIED: &str =
    " AND NOT EXISTS (SELECT 1 FROM answers WHERE question = id AND verdict = 'deny')";
const SELECT_ANSWERS: &str = "SELECT approver, verdict, reason, answered_ms FROM answers WHERE question = ?1 ORDER BY answered_ms, rowid";
const INSERT_QUESTION: &str = "INSERT INTO questions
    (id, session, agent, tool, digest, policy, quorum, shown, asked_ms, expires_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
/// An approver's second answer can only be a no that takes a standing yes back.
const INSERT_ANSWER: &str = "INSERT INTO answers (question, approver, verdict, reason, answered_ms) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (question, approver) DO UPDATE
    SET verdict = excluded.verdict, reason = excluded.reason, answered_ms = excluded.answered_ms";
const ID_DIGITS: usize = 16;
const MAX_QUORUM: u32 = 16;
pub(crate) const MAX_LIFE: Duration = Duration::from_hours(168);
const MAX_REASON: usize = 2048;
const MAX_LISTED: usize = 1000;
/// How many questions one session may have open, and all sessions together.
const MAX_OPEN_IN_SESSION: u32 = 32;
const MAX_OPEN: u32 = 16_384;
/// How far a clock may be set back.
pub(crate) const MAX_CLOCK_STEP_MS: u64 = 5000;
