//! Has this irreversible act happened? Begun, then committed, failed, or in doubt until a person has found out.
use crate::StoreError;
use crate::clock;
use crate::digest::{Digest, hex};
use crate::dir::fill_random;
use crate::entry::{Entry, Event, Prepared, check_id};
use crate::leases::Owner;
use crate::store::Store;
use crate::writer::Batch;
use rusqlite::{Connection, Row, params};
use serde::Serialize;

/// An irreversible act that is about to begin.
#[derive(Debug, Clone)]
pub struct NewEffect {
    /// The session.
    pub session: String,
    /// The call, as the log knows it.
    pub call: String,
    /// The tool.
    pub tool: String,
    /// SHA-256 of the tool and its arguments: what makes two acts the same, whoever asks for them.
    pub digest: Digest,
    /// The arguments in short, redacted.
    pub shown: String,
}

/// An irreversible act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Its id, which is also its idempotency key.
    pub id: String,
    /// The session.
    pub session: String,
    /// The call.
    pub call: String,
    /// The tool.
    pub tool: String,
    /// What makes two acts the same.
    #[serde(serialize_with = "as_text")]
    pub digest: Digest,
    /// The arguments in short.
    pub shown: String,
    /// Where it stands.
    pub state: EffectState,
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// When its state last changed.
    pub changed_ms: u64,
    /// Who said what came of it, if a person had to.
    pub resolved_by: Option<String>,
}

fn as_text<S: serde::Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

/// Where an irreversible act stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectState {
    /// It was sent, and nobody knows whether it happened.
    Ambiguous,
    /// It happened.
    Committed,
    /// It did not happen.
    Failed,
    /// It is under way.
    Started,
}

/// How an act ended, as its effector saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectEnd {
    /// It was sent, and no answer says whether it happened.
    Ambiguous,
    /// It happened.
    Committed,
    /// It did not happen.
    Failed,
}

/// What a person found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It happened.
    Committed,
    /// It did not happen, so it may be tried again.
    Failed,
}

/// Whether an act may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an act that may not begin must not be made"]
pub enum Begun {
    /// The same act was begun before, and is under way or in doubt.
    Blocked(Effect),
    /// It may, and is written down.
    Started(Effect),
}

impl EffectState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Committed => "committed",
            Self::Failed => "failed",
            Self::Started => "started",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Ambiguous, Self::Committed, Self::Failed, Self::Started]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

impl Store {
    /// Writes down that an irreversible act begins, unless the same one is under way or in doubt. Committed, with its
    /// record, when this returns.
    pub fn begin_effect(&self, new: NewEffect) -> Result<Begun, StoreError> {
        for (what, text) in
            [("the session", &new.session), ("the call", &new.call), ("the tool", &new.tool)]
        {
            check_id(text).map_err(|why| StoreError::Invalid { what, why: why.to_owned() })?;
        }
        let (id, log_id) = (new_id()?, self.public_key().log_id().to_owned());
        self.work(move |batch| {
            let under_way = unresolved(batch.transaction, Some(new.digest))?;
            if let Some((effect, owner)) = under_way.into_iter().next() {
                let orphaned = effect.state == EffectState::Started && !owner.lives();
                if !orphaned {
                    return Ok(Ok(Begun::Blocked(effect)));
                }
                return match doubt(batch, &effect, &log_id)? {
                    Ok(()) => fetch(batch.transaction, &effect.id)
                        .map(|effect| Ok(Begun::Blocked(effect))),
                    Err(error) => Ok(Err(error)),
                };
            }
            let NewEffect { session, call, tool, digest, shown } = new;
            let (owner, now) = (Owner::this(), clock::now_ms());
            batch.transaction.prepare_cached(INSERT)?.execute(params![
                id,
                session,
                call,
                tool,
                digest.as_bytes(),
                shown,
                now,
                owner.pid,
                owner.started_ticks,
                owner.boot_id,
            ])?;
            let effect = fetch(batch.transaction, &id)?;
            Ok(record(batch, "begin", &effect, &log_id)?.map(|()| Begun::Started(effect)))
        })
    }

    /// Writes down how an act ended.
    pub fn end_effect(&self, id: &str, end: EffectEnd) -> Result<Effect, StoreError> {
        let state = match end {
            EffectEnd::Ambiguous => EffectState::Ambiguous,
            EffectEnd::Committed => EffectState::Committed,
            EffectEnd::Failed => EffectState::Failed,
        };
        self.settle(id, ("end", state), None)
    }

    /// Takes a person's word for what came of an act that is in doubt.
    pub fn resolve_effect(
        &self,
        id: &str,
        resolution: Resolution,
        by: &str,
    ) -> Result<Effect, StoreError> {
        check_id(by).map_err(|why| StoreError::Invalid {
            what: "the person's name",
            why: why.to_owned(),
        })?;
        let state = match resolution {
            Resolution::Committed => EffectState::Committed,
            Resolution::Failed => EffectState::Failed,
        };
        self.doubt_the_dead()?;
        self.settle(id, ("resolve", state), Some(by.to_owned()))
    }

    /// The acts, the newest first; with `open`, those alone that are under way or in doubt.
    pub fn effects(&self, open: bool) -> Result<Vec<Effect>, StoreError> {
        self.reader().read(|db| {
            let sql = format!(
                "{SELECT} WHERE NOT ?1 OR state IN ('started', 'ambiguous') ORDER BY started_ms DESC, rowid DESC LIMIT {MAX_LISTED}"
            );
            let mut statement = db.prepare_cached(&sql)?;
            let found = statement.query_map([open], |row| read(row).map(|(effect, _)| effect))?;
            found.collect::<rusqlite::Result<Vec<_>>>()
        })
    }

    /// The one act that stands in the way of another like it: under way, or in doubt.
    pub fn open_effect(&self, digest: Digest) -> Result<Option<Effect>, StoreError> {
        let found = self.reader().read(|db| unresolved(db, Some(digest)))?;
        Ok(found.into_iter().next().map(|(effect, _)| effect))
    }

    /// Puts every act in doubt whose process died under it, and says how many.
    pub fn doubt_the_dead(&self) -> Result<usize, StoreError> {
        let log_id = self.public_key().log_id().to_owned();
        self.work(move |batch| {
            let mut doubted = 0;
            for (effect, owner) in unresolved(batch.transaction, None)? {
                if effect.state == EffectState::Started && !owner.lives() {
                    if let Err(error) = doubt(batch, &effect, &log_id)? {
                        return Ok(Err(error));
                    }
                    doubted += 1;
                }
            }
            Ok(Ok(doubted))
        })
    }

    fn settle(
        &self,
        id: &str,
        (act, state): (&'static str, EffectState),
        by: Option<String>,
    ) -> Result<Effect, StoreError> {
        let (id, log_id) = (id.to_owned(), self.public_key().log_id().to_owned());
        self.work(move |batch| {
            let effect = match complete(batch.transaction, &id)? {
                Ok(id) => fetch(batch.transaction, &id)?,
                Err(error) => return Ok(Err(error)),
            };
            let wanted = if by.is_some() { EffectState::Ambiguous } else { EffectState::Started };
            if effect.state != wanted {
                let why = format!(
                    "`{}` is {}, not {}",
                    short(&effect.id),
                    effect.state.as_str(),
                    wanted.as_str()
                );
                return Ok(Err(StoreError::Invalid { what: "the effect", why }));
            }
            update(batch, &effect.id, state, by.as_deref())?;
            let effect = fetch(batch.transaction, &effect.id)?;
            Ok(record(batch, act, &effect, &log_id)?.map(|()| effect))
        })
    }
}

fn doubt(
    batch: &mut Batch<'_>,
    effect: &Effect,
    log_id: &str,
) -> rusqlite::Result<Result<(), StoreError>> {
    update(batch, &effect.id, EffectState::Ambiguous, None)?;
    let effect = fetch(batch.transaction, &effect.id)?;
    record(batch, "doubt", &effect, log_id)
}

fn update(
    batch: &Batch<'_>,
    id: &str,
    state: EffectState,
    by: Option<&str>,
) -> rusqlite::Result<()> {
    let sql = "UPDATE effects SET state = ?2, changed_ms = ?3, resolved_by = ?4 WHERE id = ?1";
    let mut statement = batch.transaction.prepare_cached(sql)?;
    statement.execute(params![id, state.as_str(), clock::now_ms(), by]).map(drop)
}

fn record(
    batch: &mut Batch<'_>,
    act: &str,
    effect: &Effect,
    log_id: &str,
) -> rusqlite::Result<Result<(), StoreError>> {
    let entry = Entry::new(Event::Effect)
        .session(&effect.session)
        .call(&effect.call)
        .with("act", act)
        .with("effect", effect.id.as_str())
        .with("tool", effect.tool.as_str())
        .with("digest", effect.digest.to_string())
        .with("state", effect.state.as_str())
        .with("by", effect.resolved_by.as_deref());
    let prepared = match Prepared::new(entry, log_id) {
        Ok(prepared) => prepared,
        Err(error) => return Ok(Err(error.into())),
    };
    batch.append(&prepared).map(|_receipt| Ok(()))
}

fn unresolved(db: &Connection, digest: Option<Digest>) -> rusqlite::Result<Vec<(Effect, Owner)>> {
    let sql = format!(
        "{SELECT} WHERE state IN ('started', 'ambiguous') AND (?1 IS NULL OR digest = ?1) ORDER BY rowid"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let digest = digest.as_ref().map(Digest::as_bytes);
    statement.query_map([digest], read)?.collect()
}

fn fetch(db: &Connection, id: &str) -> rusqlite::Result<Effect> {
    let mut statement = db.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    statement.query_row([id], |row| read(row).map(|(effect, _)| effect))
}

/// The whole of an id of which the beginning was given.
fn complete(db: &Connection, id: &str) -> rusqlite::Result<Result<String, StoreError>> {
    let not_found = || StoreError::NotFound { what: "effect", id: id.chars().take(32).collect() };
    if id.is_empty() || id.len() > ID_DIGITS || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Err(not_found()));
    }
    let low = id.to_ascii_lowercase();
    let high = format!("{low}g");
    let mut statement = db.prepare_cached("SELECT id FROM effects WHERE id >= ?1 AND id < ?2")?;
    let mut ids: Vec<String> =
        statement.query_map([low, high], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(match (ids.pop(), ids.len()) {
        (Some(id), 0) => Ok(id),
        (None, _) => Err(not_found()),
        (Some(_), more) => Err(StoreError::Ambiguous { id: id.to_owned(), count: more + 1 }),
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Effect, Owner)> {
    let damaged = |column: usize| {
        let why = "the row of an effect is damaged".into();
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, why)
    };
    let state: String = row.get(6)?;
    let effect = Effect {
        id: row.get(0)?,
        session: row.get(1)?,
        call: row.get(2)?,
        tool: row.get(3)?,
        digest: Digest::try_from(row.get_ref(4)?.as_blob()?).map_err(|_| damaged(4))?,
        shown: row.get(5)?,
        state: EffectState::parse(&state).ok_or_else(|| damaged(6))?,
        started_ms: row.get(7)?,
        changed_ms: row.get(8)?,
        resolved_by: row.get(9)?,
    };
    let owner = Owner { pid: row.get(10)?, started_ticks: row.get(11)?, boot_id: row.get(12)? };
    Ok((effect, owner))
}

fn new_id() -> Result<String, StoreError> {
    let mut bytes = [0; ID_DIGITS / 2];
    fill_random(&mut bytes).map_err(|error| StoreError::Invalid {
        what: "the effect",
        why: format!("has no id: {error}"),
    })?;
    Ok(hex(&bytes))
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS effects (
  id            TEXT    PRIMARY KEY,
  session       TEXT    NOT NULL,
  call          TEXT    NOT NULL,
  tool          TEXT    NOT NULL,
  digest        BLOB    NOT NULL,
  shown         TEXT    NOT NULL,
  state         TEXT    NOT NULL,
  started_ms    INTEGER NOT NULL,
  changed_ms    INTEGER NOT NULL,
  resolved_by   TEXT,
  pid           INTEGER NOT NULL,
  started_ticks INTEGER NOT NULL,
  boot_id       TEXT    NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS effects_open ON effects (digest) WHERE state IN ('started', 'ambiguous');";
const INSERT: &str = "INSERT INTO effects
    (id, session, call, tool, digest, shown, state, started_ms, changed_ms, pid, started_ticks, boot_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'started', ?7, ?7, ?8, ?9, ?10)";
const SELECT: &str =
    "SELECT id, session, call, tool, digest, shown, state, started_ms, changed_ms, resolved_by,
    pid, started_ticks, boot_id FROM effects";
const ID_DIGITS: usize = 32;
const MAX_LISTED: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn new(digest: &[u8]) -> NewEffect {
        NewEffect {
            session: "s".to_owned(),
            call: "s.0".to_owned(),
            tool: "charge_card".to_owned(),
            digest: Digest::of(digest),
            shown: "{}".to_owned(),
        }
    }

    fn started(begun: Begun) -> Effect {
        match begun {
            Begun::Started(effect) => effect,
            Begun::Blocked(effect) => panic!("{effect:?}"),
        }
    }

    fn is_blocked(store: &Store, digest: &[u8]) -> bool {
        matches!(store.begin_effect(new(digest)).unwrap(), Begun::Blocked(_))
    }

    #[test]
    fn the_same_act_is_not_begun_twice_until_it_is_known_what_came_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let first = started(store.begin_effect(new(b"a")).unwrap());
        assert!(is_blocked(&store, b"a") && store.open_effect(Digest::of(b"a")).unwrap().is_some());
        started(store.begin_effect(new(b"b")).unwrap());
        store.end_effect(&first.id, EffectEnd::Committed).unwrap();
        let second = started(store.begin_effect(new(b"a")).unwrap());
        assert_ne!(first.id, second.id, "another act has another key");
        store.end_effect(&second.id, EffectEnd::Ambiguous).unwrap();
        assert!(is_blocked(&store, b"a"));
        assert!(store.end_effect(&second.id, EffectEnd::Failed).is_err(), "only a person may say");
        assert!(store.resolve_effect(&first.id, Resolution::Failed, "local:anna").is_err());
        let resolved = store
            .resolve_effect(second.id.get(..8).unwrap(), Resolution::Failed, "local:anna")
            .unwrap();
        assert_eq!(
            (resolved.state, resolved.resolved_by.as_deref()),
            (EffectState::Failed, Some("local:anna"))
        );
        assert!(!is_blocked(&store, b"a"));
        assert_eq!(store.effects(true).unwrap().len(), 2);
    }

    #[test]
    fn an_act_whose_process_died_is_in_doubt_and_all_of_it_is_on_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        started(store.begin_effect(new(b"a")).unwrap());
        started(store.begin_effect(new(b"b")).unwrap());
        assert_eq!(store.doubt_the_dead().unwrap(), 0, "it lives");
        let dies = |batch: &mut Batch<'_>| {
            batch.transaction.execute("UPDATE effects SET started_ticks = 1", [])?;
            Ok(Ok(()))
        };
        store.work(dies).unwrap();
        let Begun::Blocked(blocked) = store.begin_effect(new(b"a")).unwrap() else {
            panic!("begun twice")
        };
        assert_eq!(blocked.state, EffectState::Ambiguous);
        assert_eq!(store.doubt_the_dead().unwrap(), 1);
        assert!(
            store
                .effects(true)
                .unwrap()
                .iter()
                .all(|effect| effect.state == EffectState::Ambiguous)
        );
        let filter = crate::Filter { event: Some(Event::Effect), ..crate::Filter::default() };
        assert_eq!(
            store.reader().page(&filter, 10).unwrap().len(),
            4,
            "begin, begin, doubt, doubt"
        );
    }
}
