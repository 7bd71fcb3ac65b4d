//! Which bearer tokens were issued, to whom, and which of them are still good? Their hashes, never themselves.
use crate::StoreError;
use crate::clock;
use crate::digest::Digest;
use crate::entry::{Entry, Event, Prepared, check_id};
use crate::questions::MAX_CLOCK_STEP_MS;
use crate::store::Store;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// Issues, finds and revokes bearer tokens. A token is known by the hash of its text alone.
pub trait Tokens: Send + Sync {
    /// Writes a token down, with a `token` record.
    fn issue(&self, new: NewToken) -> Result<Token, StoreError>;

    /// The token whose text has this hash, good or not; whether it is good, [`Token::state`] tells.
    fn token_of(&self, hash: &Digest) -> Result<Option<Token>, StoreError>;

    /// The token whose id is, or begins with, `id`; refused when several do.
    fn token(&self, id: &str) -> Result<Token, StoreError>;

    /// Every token that was issued, newest first, at most 1000.
    fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// Makes a token worthless from now on, with a `token` record. A second time changes nothing.
    fn revoke(&self, id: &str, by: &str) -> Result<Token, StoreError>;
}

/// A token to issue. Its strings are redacted already, as those of an [`Entry`] are.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// SHA-256 of the token's text.
    pub hash: Digest,
    /// What people call it: 1 to 128 bytes of printable text.
    pub name: String,
    /// The role whose rights it carries.
    pub role: String,
    /// The tools that it is narrowed to; empty = all that the role has.
    pub tools: Vec<String>,
    /// How long it is good; above 0, at most 366 days.
    pub lives: Duration,
    /// Who issues it.
    pub by: String,
}

/// A token that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its id, by which it is listed, logged and revoked; tells nothing of its text.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The role whose rights it carries.
    pub role: String,
    /// The tools that it is narrowed to; empty = all that the role has.
    pub tools: Vec<String>,
    /// Who issued it.
    pub by: String,
    /// When it was issued, in milliseconds since 1970.
    pub issued_ms: u64,
    /// When it stops being good, in milliseconds since 1970.
    pub expires_ms: u64,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_ms: Option<u64>,
}

/// Whether a token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Its time is over, or has not come: who set the clock back gains nothing by it.
    Expired,
    /// It is good.
    Good,
    /// It was taken back.
    Revoked,
}

impl Token {
    /// Whether it is good now.
    pub fn state(&self) -> TokenState {
        match self.revoked_ms {
            Some(_) => TokenState::Revoked,
            None if self.lives_at(clock::now_ms()) => TokenState::Good,
            None => TokenState::Expired,
        }
    }

    fn lives_at(&self, now_ms: u64) -> bool {
        now_ms < self.expires_ms && now_ms.saturating_add(MAX_CLOCK_STEP_MS) >= self.issued_ms
    }
}

impl Tokens for Store {
    fn issue(&self, new: NewToken) -> Result<Token, StoreError> {
        let token = check(&new)?;
        let prepared = self.prepare(entry("issue", &token, &new.by))?;
        let tools = Value::from(token.tools.clone()).to_string();
        self.work(move |batch| {
            let taken = "SELECT count(*) FROM tokens WHERE hash = ?1 OR id = ?2";
            let taken: u32 = batch
                .transaction
                .prepare_cached(taken)?
                .query_row(params![new.hash.as_bytes(), token.id], |row| row.get(0))?;
            if taken > 0 {
                return Ok(Err(invalid("the token", "was issued before".to_owned())));
            }
            batch.transaction.prepare_cached(INSERT)?.execute(params![
                token.id,
                new.hash.as_bytes(),
                token.name,
                token.role,
                tools,
                token.by,
                token.issued_ms,
                token.expires_ms,
            ])?;
            let _receipt = batch.append(&prepared)?;
            Ok(Ok(token))
        })
    }

    fn token_of(&self, hash: &Digest) -> Result<Option<Token>, StoreError> {
        self.reader().read(|db| {
            let mut statement = db.prepare_cached(&format!("{SELECT} WHERE hash = ?1"))?;
            statement.query_row([hash.as_bytes()], read).optional()
        })
    }

    fn token(&self, id: &str) -> Result<Token, StoreError> {
        self.reader().read(|db| complete(db, id))?
    }

    fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.reader().read(|db| {
            let sql = format!("{SELECT} ORDER BY issued_ms DESC, rowid DESC LIMIT {MAX_LISTED}");
            let mut statement = db.prepare_cached(&sql)?;
            statement.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>()
        })
    }

    fn revoke(&self, id: &str, by: &str) -> Result<Token, StoreError> {
        check_id(by).map_err(|why| invalid("the name of who revokes", why.to_owned()))?;
        let (id, by) = (id.to_owned(), by.to_owned());
        let log_id = self.public_key().log_id().to_owned();
        self.work(move |batch| {
            let mut token = match complete(batch.transaction, &id)? {
                Ok(token) => token,
                Err(refused) => return Ok(Err(refused)),
            };
            if token.revoked_ms.is_some() {
                return Ok(Ok(token));
            }
            let prepared = match Prepared::new(entry("revoke", &token, &by), &log_id) {
                Ok(prepared) => prepared,
                Err(error) => return Ok(Err(error.into())),
            };
            let now = clock::now_ms();
            batch
                .transaction
                .prepare_cached("UPDATE tokens SET revoked_ms = ?2 WHERE id = ?1")?
                .execute(params![token.id, now])?;
            let _receipt = batch.append(&prepared)?;
            token.revoked_ms = Some(now);
            Ok(Ok(token))
        })
    }
}

fn check(new: &NewToken) -> Result<Token, StoreError> {
    let NewToken { hash, name, role, tools, lives, by } = new;
    for (what, text) in [("the token's name", name), ("the role", role), ("the issuer", by)] {
        check_id(text).map_err(|why| invalid(what, why.to_owned()))?;
    }
    for tool in tools {
        check_id(tool).map_err(|why| invalid("a tool's name", why.to_owned()))?;
    }
    if tools.len() > MAX_TOOLS {
        let why = format!("names {} tools; {MAX_TOOLS} is the most", tools.len());
        return Err(invalid("the token", why));
    }
    if lives.as_millis() == 0 || *lives > MAX_LIFE {
        let why = format!("is {} s; it is above 0 and at most 366 days", lives.as_secs());
        return Err(invalid("the token's life", why));
    }
    let issued_ms = clock::now_ms();
    let lives_ms = u64::try_from(lives.as_millis()).unwrap_or(u64::MAX);
    // Of the hash of a hash: the id stands in logs, and must be no help in finding the text.
    let id: String = Digest::of_parts(&[b"token id", hash.as_bytes()])
        .to_string()
        .chars()
        .take(ID_DIGITS)
        .collect();
    Ok(Token {
        id,
        name: name.clone(),
        role: role.clone(),
        tools: tools.clone(),
        by: by.clone(),
        issued_ms,
        expires_ms: issued_ms.saturating_add(lives_ms),
        revoked_ms: None,
    })
}

fn entry(act: &str, token: &Token, by: &str) -> Entry {
    Entry::new(Event::Token)
        .with("act", act)
        .with("token", token.id.as_str())
        .with("name", token.name.as_str())
        .with("role", token.role.as_str())
        .with("tools", token.tools.clone())
        .with("expires_ms", token.expires_ms)
        .with("by", by)
}

/// The token whose id begins with `id`; a whole id always wins.
fn complete(db: &Connection, id: &str) -> rusqlite::Result<Result<Token, StoreError>> {
    let sql = format!("{SELECT} WHERE ?1 <> '' AND substr(id, 1, length(?1)) = ?1 LIMIT 100");
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query_map([id], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    if let Some(whole) = found.iter().position(|token| token.id == id) {
        return Ok(Ok(found.swap_remove(whole)));
    }
    Ok(match (found.pop(), found.len()) {
        (Some(token), 0) => Ok(token),
        (None, _) => {
            Err(StoreError::NotFound { what: "token", id: id.chars().take(128).collect() })
        }
        (Some(_), more) => Err(StoreError::Ambiguous { id: id.to_owned(), count: more + 1 }),
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<Token> {
    // A list that cannot be read would widen the token to every tool.
    let tools = serde_json::from_str(row.get_ref(3)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(Token {
        id: row.get(0)?,
        name: row.get(1)?,
        role: row.get(2)?,
        tools,
        by: row.get(4)?,
        issued_ms: row.get(5)?,
        expires_ms: row.get(6)?,
        revoked_ms: row.get(7)?,
    })
}

fn invalid(what: &'static str, why: String) -> StoreError {
    StoreError::Invalid { what, why }
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS tokens (
  id         TEXT    PRIMARY KEY,
  hash       BLOB    NOT NULL UNIQUE,
  name       TEXT    NOT NULL,
  role       TEXT    NOT NULL,
  tools      TEXT    NOT NULL,
  by         TEXT    NOT NULL,
  issued_ms  INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  revoked_ms INTEGER
) STRICT;";
const SELECT: &str =
    "SELECT id, name, role, tools, by, issued_ms, expires_ms, revoked_ms FROM tokens";
const INSERT: &str = "INSERT INTO tokens (id, hash, name, role, tools, by, issued_ms, expires_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const ID_DIGITS: usize = 16;
const MAX_LISTED: usize = 1000;
const MAX_TOOLS: usize = 256;
const MAX_LIFE: Duration = Duration::from_hours(366 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn new(text: &str) -> NewToken {
        NewToken {
            hash: Digest::of(text.as_bytes()),
            name: "laptop".to_owned(),
            role: "reader".to_owned(),
            tools: vec!["echo".to_owned()],
            lives: Duration::from_hours(1),
            by: "local:ann".to_owned(),
        }
    }

    #[test]
    fn a_token_is_found_by_its_hash_until_it_is_revoked_for_every_process() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let issued = store.issue(new("secret")).unwrap();
        let other = Store::open(dir.path()).unwrap();
        let found = other.token_of(&Digest::of(b"secret")).unwrap();
        assert_eq!(found.as_ref(), Some(&issued));
        assert_eq!(issued.state(), TokenState::Good);
        assert_eq!(other.token_of(&Digest::of(b"secrets")).unwrap(), None);
        store.revoke(issued.id.get(..6).unwrap(), "local:bob").unwrap();
        store.revoke(&issued.id, "local:bob").unwrap();
        let found = other.token_of(&Digest::of(b"secret")).unwrap().unwrap();
        assert_eq!(found.state(), TokenState::Revoked);
        let filter = crate::Filter { event: Some(Event::Token), ..crate::Filter::default() };
        let records = store.reader().page(&filter, 10).unwrap();
        assert_eq!(records.len(), 2, "issue and one revoke");
        let bytes = std::fs::read(dir.path().join("bartizan.db")).unwrap();
        let shown = format!("{:?}", store.tokens().unwrap());
        assert!(!shown.contains("secret") && !bytes.windows(6).any(|part| part == b"secret"));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_token_good_that_was_not_issued_yet() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let token = store.issue(new("a")).unwrap();
        let (issued, expires) = (token.issued_ms, token.expires_ms);
        for good in [issued, issued - 4000, expires - 1] {
            assert!(token.lives_at(good), "{good}");
        }
        // A machine without a battery begins in 1970.
        for bad in [0, issued - 60_000, expires, expires + 60_000] {
            assert!(!token.lives_at(bad), "{bad}");
        }
    }

    #[test]
    fn a_token_ends_with_its_time_and_must_have_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let short = NewToken { lives: Duration::from_millis(1), ..new("a") };
        store.issue(short).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        let found = store.token_of(&Digest::of(b"a")).unwrap().unwrap();
        assert_eq!(found.state(), TokenState::Expired);
        for lives in [Duration::ZERO, Duration::from_hours(367 * 24)] {
            assert!(store.issue(NewToken { lives, ..new("b") }).is_err());
        }
        assert!(store.issue(new("a")).is_err(), "the same text twice");
        for name in ["", "a\nb"] {
            assert!(store.issue(NewToken { name: name.to_owned(), ..new("c") }).is_err());
        }
    }
}
