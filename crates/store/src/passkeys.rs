//! With which passkeys do people show that it is them, and which of those are still good? Public keys, never a secret.
use crate::StoreError;
use crate::clock;
use crate::desk::{Answer, Question};
use crate::digest::Digest;
use crate::entry::{Entry, Event, Prepared, check_id};
use crate::questions;
use crate::standing;
use crate::store::Store;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::time::Duration;

/// A passkey to take down. Whoever gives it has seen that the person holds it.
#[derive(Debug, Clone)]
pub struct NewPasskey {
    /// By which the authenticator knows it: 1 to 1023 bytes.
    pub credential: Vec<u8>,
    /// Whose it is.
    pub person: String,
    /// The name of the host that it was made for, and that it works at alone.
    pub host: String,
    /// What its owner calls it: 1 to 128 bytes of printable text.
    pub name: String,
    /// Its public key.
    pub key: PasskeyKey,
    /// How often the authenticator says it was used; 0 when it does not count.
    pub counter: u32,
    /// Whether it can be copied to other devices of its owner.
    pub synced: bool,
}

/// A passkey's public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PasskeyKey {
    /// Its number in COSE: -7 for ECDSA with P-256, -8 for Ed25519.
    pub algorithm: i64,
    /// The key itself: an uncompressed point, or 32 bytes.
    #[serde(serialize_with = "in_text")]
    pub bytes: Vec<u8>,
}

/// A passkey that was taken down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Passkey {
    /// 16 hexadecimal digits, by which it is listed, logged and revoked.
    pub id: String,
    /// By which the authenticator knows it.
    #[serde(serialize_with = "in_text")]
    pub credential: Vec<u8>,
    /// Whose it is.
    pub person: String,
    /// Where it works.
    pub host: String,
    /// What its owner calls it.
    pub name: String,
    /// Its public key.
    pub key: PasskeyKey,
    /// How often the authenticator said it was used, the last time.
    pub counter: u32,
    /// Whether it can be copied to other devices of its owner.
    pub synced: bool,
    /// When it was taken down, in milliseconds since 1970.
    pub registered_ms: u64,
    /// When it was used last, in milliseconds since 1970.
    pub used_ms: Option<u64>,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_ms: Option<u64>,
}

/// What a passkey is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasskeyUse {
    /// Its owner comes in by it; that is put on the log.
    Enter,
    /// Its owner confirms something that has a record of its own.
    Confirm,
}

impl Store {
    /// Takes a passkey down, with a record. `at_most` others of this person may be good: 0 for somebody's first.
    pub fn register_passkey(&self, new: NewPasskey, at_most: u32) -> Result<Passkey, StoreError> {
        let passkey = check(new)?;
        let prepared = self.prepare(registered(&passkey))?;
        self.work(move |batch| {
            if find(batch.transaction, &passkey.credential)?.is_some() {
                return Ok(Err(invalid("was taken down before".to_owned())));
            }
            let sql = "SELECT count(*) FROM passkeys WHERE person = ?1 AND revoked_ms IS NULL";
            let others: u32 = batch
                .transaction
                .prepare_cached(sql)?
                .query_row([&passkey.person], |row| row.get(0))?;
            if others > at_most {
                let why = format!("is one too many: `{}` has {others} already", passkey.person);
                return Ok(Err(invalid(why)));
            }
            batch.transaction.prepare_cached(INSERT)?.execute(params![
                passkey.id,
                passkey.credential,
                passkey.person,
                passkey.host,
                passkey.name,
                passkey.key.algorithm,
                passkey.key.bytes,
                passkey.counter,
                passkey.synced,
                passkey.registered_ms,
            ])?;
            let _receipt = batch.append(&prepared)?;
            Ok(Ok(passkey))
        })
    }

    /// The passkey that an authenticator knows by this, good or not.
    pub fn passkey(&self, credential: &[u8]) -> Result<Option<Passkey>, StoreError> {
        self.reader().read(|db| find(db, credential))
    }

    /// All passkeys, the newest first; of one person, when they are named.
    pub fn passkeys(&self, person: Option<&str>) -> Result<Vec<Passkey>, StoreError> {
        self.reader().read(|db| {
            let sql = format!(
                "{SELECT} WHERE ?1 IS NULL OR person = ?1 ORDER BY registered_ms DESC, rowid DESC LIMIT 1000"
            );
            let mut statement = db.prepare_cached(&sql)?;
            statement.query_map([person], read)?.collect::<rusqlite::Result<Vec<_>>>()
        })
    }

    /// Takes down that a passkey was used, and what its authenticator counts. Refused, and put on the log, when that is not
    /// more than before: somebody else has a copy of it, then.
    pub fn use_passkey(
        &self,
        credential: &[u8],
        counter: u32,
        whereto: PasskeyUse,
    ) -> Result<Passkey, StoreError> {
        let (credential, log_id) = (credential.to_vec(), self.public_key().log_id().to_owned());
        let used = self.work(move |batch| {
            let found = find(batch.transaction, &credential)?;
            let Some(mut passkey) = found.filter(|found| found.revoked_ms.is_none()) else {
                return Ok(Err(invalid("is unknown here, or was revoked".to_owned())));
            };
            let ahead = counter > passkey.counter || (counter, passkey.counter) == (0, 0);
            let entry = match (ahead, whereto) {
                (false, _) => Some(backwards(&passkey, counter)),
                (true, PasskeyUse::Enter) => Some(entered(&passkey)),
                (true, PasskeyUse::Confirm) => None,
            };
            let prepared = match entry.map(|entry| Prepared::new(entry, &log_id)).transpose() {
                Ok(prepared) => prepared,
                Err(error) => return Ok(Err(error.into())),
            };
            if ahead {
                let now = clock::now_ms();
                batch
                    .transaction
                    .prepare_cached(USE)?
                    .execute(params![passkey.id, counter, now])?;
                (passkey.counter, passkey.used_ms) = (counter, Some(now));
            }
            if let Some(prepared) = prepared {
                let _receipt = batch.append(&prepared)?;
            }
            Ok(Ok(ahead.then_some(passkey)))
        })?;
        let copied = "has counted backwards, so that there is a copy of it: revoke it";
        used.ok_or_else(|| invalid(copied.to_owned()))
    }

    /// Makes a passkey worthless from now on, with a record. A second time changes nothing. `id` may be a unique beginning.
    pub fn revoke_passkey(&self, id: &str, by: &str) -> Result<Passkey, StoreError> {
        check_id(by).map_err(|why| StoreError::Invalid {
            what: "the name of who revokes",
            why: why.to_owned(),
        })?;
        let (id, by) = (id.to_owned(), by.to_owned());
        let log_id = self.public_key().log_id().to_owned();
        self.work(move |batch| {
            let mut passkey = match complete(batch.transaction, &id)? {
                Ok(passkey) => passkey,
                Err(refused) => return Ok(Err(refused)),
            };
            if passkey.revoked_ms.is_some() {
                return Ok(Ok(passkey));
            }
            let entry = about("passkey-revoked", &passkey).with("by", by.as_str());
            let prepared = match Prepared::new(entry, &log_id) {
                Ok(prepared) => prepared,
                Err(error) => return Ok(Err(error.into())),
            };
            let now = clock::now_ms();
            batch
                .transaction
                .prepare_cached("UPDATE passkeys SET revoked_ms = ?2 WHERE id = ?1")?
                .execute(params![passkey.id, now])?;
            let _receipt = batch.append(&prepared)?;
            passkey.revoked_ms = Some(now);
            Ok(Ok(passkey))
        })
    }

    /// Answers a question as [`Desk::answer`](crate::Desk::answer) and [`Store::approve_for`] do, and puts beside the answer
    /// the proof that it is its approver's. Whoever gives it has verified it.
    pub fn answer_signed(
        &self,
        id: &str,
        answer: Answer,
        life: Option<Duration>,
        proof: Value,
    ) -> Result<Question, StoreError> {
        let life_ms = life.map(standing::life_ms).transpose()?;
        questions::answer(self, id, answer, life_ms, Some(proof))
    }
}

fn check(new: NewPasskey) -> Result<Passkey, StoreError> {
    let NewPasskey { credential, person, host, name, key, counter, synced } = new;
    for (what, text) in
        [("the person", &person), ("the passkey's host", &host), ("the passkey's name", &name)]
    {
        check_id(text).map_err(|why| StoreError::Invalid { what, why: why.to_owned() })?;
    }
    if credential.is_empty() || credential.len() > MAX_CREDENTIAL || key.bytes.len() > MAX_KEY {
        return Err(invalid("is too long, or has no id".to_owned()));
    }
    let digest = Digest::of_parts(&[b"passkey id", &credential]).to_string();
    Ok(Passkey {
        id: digest.chars().take(ID_DIGITS).collect(),
        credential,
        person,
        host,
        name,
        key,
        counter,
        synced,
        registered_ms: clock::now_ms(),
        used_ms: None,
        revoked_ms: None,
    })
}

/// The beginning of every record about a passkey.
fn about(act: &str, passkey: &Passkey) -> Entry {
    Entry::new(Event::ConfigChange)
        .with("act", act)
        .with("person", passkey.person.as_str())
        .with("passkey", passkey.id.as_str())
}

fn registered(passkey: &Passkey) -> Entry {
    about("passkey", passkey)
        .with("name", passkey.name.as_str())
        .with("host", passkey.host.as_str())
        .with("credential", BASE64.encode(&passkey.credential))
        .with("algorithm", passkey.key.algorithm)
        .with("key", BASE64.encode(&passkey.key.bytes))
        .with("synced", passkey.synced)
}

fn entered(passkey: &Passkey) -> Entry {
    about("enter", passkey)
}

fn backwards(passkey: &Passkey, counter: u32) -> Entry {
    about("passkey-refused", passkey).with("counter", counter).with("before", passkey.counter)
}

fn find(db: &Connection, credential: &[u8]) -> rusqlite::Result<Option<Passkey>> {
    let mut statement = db.prepare_cached(&format!("{SELECT} WHERE credential = ?1"))?;
    statement.query_row([credential], read).optional()
}

/// The passkey whose id begins with `id`.
fn complete(db: &Connection, id: &str) -> rusqlite::Result<Result<Passkey, StoreError>> {
    let sql = format!("{SELECT} WHERE ?1 <> '' AND substr(id, 1, length(?1)) = ?1 LIMIT 100");
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query_map([id], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(match (found.pop(), found.len()) {
        (Some(passkey), 0) => Ok(passkey),
        (None, _) => {
            Err(StoreError::NotFound { what: "passkey", id: id.chars().take(128).collect() })
        }
        (Some(_), more) => Err(StoreError::Ambiguous { id: id.to_owned(), count: more + 1 }),
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<Passkey> {
    Ok(Passkey {
        id: row.get(0)?,
        credential: row.get(1)?,
        person: row.get(2)?,
        host: row.get(3)?,
        name: row.get(4)?,
        key: PasskeyKey { algorithm: row.get(5)?, bytes: row.get(6)? },
        counter: row.get(7)?,
        synced: row.get(8)?,
        registered_ms: row.get(9)?,
        used_ms: row.get(10)?,
        revoked_ms: row.get(11)?,
    })
}

fn in_text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(bytes))
}

fn invalid(why: String) -> StoreError {
    StoreError::Invalid { what: "the passkey", why }
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS passkeys (
  id            TEXT    PRIMARY KEY,
  credential    BLOB    NOT NULL UNIQUE,
  person        TEXT    NOT NULL,
  host          TEXT    NOT NULL,
  name          TEXT    NOT NULL,
  algorithm     INTEGER NOT NULL,
  key           BLOB    NOT NULL,
  counter       INTEGER NOT NULL,
  synced        INTEGER NOT NULL,
  registered_ms INTEGER NOT NULL,
  used_ms       INTEGER,
  revoked_ms    INTEGER
) STRICT;";
const SELECT: &str = "SELECT id, credential, person, host, name, algorithm, key, counter, synced,
    registered_ms, used_ms, revoked_ms FROM passkeys";
const INSERT: &str =
    "INSERT INTO passkeys (id, credential, person, host, name, algorithm, key, counter, synced,
    registered_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const USE: &str = "UPDATE passkeys SET counter = ?2, used_ms = ?3 WHERE id = ?1";
const ID_DIGITS: usize = 16;
/// What the standard allows.
const MAX_CREDENTIAL: usize = 1023;
const MAX_KEY: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::{Desk as _, NewQuestion, QuestionState, Verdict};
    use serde_json::json;

    fn new(credential: &[u8], person: &str) -> NewPasskey {
        NewPasskey {
            credential: credential.to_vec(),
            person: person.to_owned(),
            host: "c.example".to_owned(),
            name: "phone".to_owned(),
            key: PasskeyKey { algorithm: -8, bytes: vec![7; 32] },
            counter: 0,
            synced: true,
        }
    }

    fn acts(store: &Store) -> Vec<String> {
        let filter = crate::Filter::default();
        let found = store.reader().search(&filter, 100, Duration::from_mins(1)).unwrap().records;
        let act = |record: &crate::Record| {
            record.value().get("act").and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        found.iter().map(act).collect()
    }

    #[test]
    fn a_passkey_is_one_persons_until_it_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let first = store.register_passkey(new(b"a", "web:ben"), 0).unwrap();
        assert_eq!(store.passkey(b"a").unwrap().as_ref(), Some(&first));
        assert!(store.register_passkey(new(b"a", "web:cleo"), 9).is_err(), "it is Ben's");
        let why = store.register_passkey(new(b"b", "web:ben"), 0).unwrap_err().to_string();
        assert!(why.contains("one too many"), "his first was another: {why}");
        store.register_passkey(new(b"b", "web:ben"), 1).unwrap();
        store.register_passkey(new(b"c", "web:cleo"), 0).unwrap();
        assert_eq!(store.passkeys(Some("web:ben")).unwrap().len(), 2);
        assert_eq!(store.passkeys(None).unwrap().len(), 3);
        let gone = store.revoke_passkey(first.id.get(..6).unwrap(), "local:ann").unwrap();
        assert!(gone.id == first.id && gone.revoked_ms.is_some());
        assert!(store.revoke_passkey(&first.id, "local:ann").is_ok(), "twice is once");
        assert!(store.use_passkey(b"a", 1, PasskeyUse::Enter).is_err());
        assert!(store.register_passkey(new(b"a", "web:ben"), 9).is_err(), "gone for good");
        for missing in ["", "zz"] {
            assert!(store.revoke_passkey(missing, "local:ann").is_err());
        }
        let told = acts(&store);
        let count = |act: &str| told.iter().filter(|told| *told == act).count();
        assert_eq!((count("passkey"), count("passkey-revoked"), count("enter")), (3, 1, 0));
    }

    #[test]
    fn a_counter_that_goes_back_is_refused_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.register_passkey(NewPasskey { counter: 4, ..new(b"a", "web:ben") }, 0).unwrap();
        let count = |counter| store.use_passkey(b"a", counter, PasskeyUse::Confirm);
        for back in [0, 3, 4] {
            assert!(count(back).unwrap_err().to_string().contains("backwards"), "{back}");
        }
        assert_eq!(count(5).unwrap().counter, 5);
        assert!(count(5).is_err(), "the same again is a copy, too");
        assert!(store.use_passkey(b"a", u32::MAX, PasskeyUse::Enter).unwrap().used_ms.is_some());
        // One that does not count stays at 0.
        store.register_passkey(new(b"b", "web:cleo"), 0).unwrap();
        for _ in 0..2 {
            assert!(store.use_passkey(b"b", 0, PasskeyUse::Confirm).is_ok());
        }
        let told = acts(&store);
        let count = |act: &str| told.iter().filter(|told| *told == act).count();
        assert_eq!((count("passkey-refused"), count("enter")), (4, 1));
    }

    #[test]
    fn a_signed_answer_carries_its_proof_onto_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let question = NewQuestion {
            session: "s-1".to_owned(),
            agent: "main".to_owned(),
            tool: "Pay".to_owned(),
            digest: Digest::of(b"pay"),
            policy: Digest::of(b"policy"),
            quorum: 1,
            shown: json!({}),
            expires_in: Duration::from_mins(5),
        };
        let question = store.ask(question).unwrap();
        let answer = || Answer {
            approver: "web:ben".to_owned(),
            verdict: Verdict::Approve,
            reason: String::new(),
        };
        let long = Some(Duration::from_hours(25));
        let proof = json!({ "credential": "YQ" });
        assert!(store.answer_signed(&question.id, answer(), long, proof.clone()).is_err());
        let life = Some(Duration::from_mins(1));
        let now = store.answer_signed(&question.id, answer(), life, proof.clone()).unwrap();
        assert!(now.state == QuestionState::Approved && now.until_ms.is_some());
        let filter = crate::Filter { event: Some(Event::Approval), ..crate::Filter::default() };
        let found = store.reader().search(&filter, 9, Duration::from_mins(1)).unwrap().records;
        assert_eq!(found[0].value().get("passkey"), Some(&proof));
    }
}
