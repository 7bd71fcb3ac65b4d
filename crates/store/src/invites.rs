//! Who was asked to come in, and has not come yet? The hash of a link, and the person it is for.
use crate::StoreError;
use crate::clock;
use crate::digest::Digest;
use crate::entry::{Entry, Event, Prepared, check_id};
use crate::store::Store;
use rusqlite::{OptionalExtension as _, params};
use std::time::Duration;

impl Store {
    /// Lets in, once and for so long, whoever has what this is the hash of: as `person`. One that was made for them before is
    /// worth nothing from now on.
    pub fn invite(
        &self,
        hash: Digest,
        person: &str,
        by: &str,
        lives: Duration,
    ) -> Result<(), StoreError> {
        for (what, text) in [("the person", person), ("who invites them", by)] {
            check_id(text).map_err(|why| StoreError::Invalid { what, why: why.to_owned() })?;
        }
        let now = clock::now_ms();
        let expires_ms = now.saturating_add(u64::try_from(lives.as_millis()).unwrap_or(u64::MAX));
        let entry = Entry::new(Event::ConfigChange)
            .with("act", "invite")
            .with("person", person)
            .with("by", by)
            .with("expires_ms", expires_ms);
        let prepared = self.prepare(entry)?;
        let person = person.to_owned();
        self.work(move |batch| {
            let gone = "DELETE FROM invites WHERE person = ?1 OR expires_ms <= ?2";
            batch.transaction.prepare_cached(gone)?.execute(params![person, now])?;
            let insert = "INSERT INTO invites (hash, person, expires_ms) VALUES (?1, ?2, ?3)";
            batch.transaction.prepare_cached(insert)?.execute(params![
                hash.as_bytes(),
                person,
                expires_ms
            ])?;
            let _receipt = batch.append(&prepared)?;
            Ok(Ok(()))
        })
    }

    /// The person whom what has this hash lets in; `None` when it lets in nobody, or nobody any more. It is used up by that,
    /// in however many processes.
    pub fn redeem(&self, hash: Digest) -> Result<Option<String>, StoreError> {
        let now = clock::now_ms();
        // Whoever guesses writes nothing.
        let good = "SELECT person FROM invites WHERE hash = ?1 AND expires_ms > ?2";
        let found: Option<String> = self.reader().read(|db| {
            let mut statement = db.prepare_cached(good)?;
            statement.query_row(params![hash.as_bytes(), now], |row| row.get(0)).optional()
        })?;
        let Some(person) = found else { return Ok(None) };
        let entry = Entry::new(Event::ConfigChange).with("act", "enter").with("person", &*person);
        let prepared: Prepared = self.prepare(entry)?;
        self.work(move |batch| {
            let take = "DELETE FROM invites WHERE hash = ?1 AND expires_ms > ?2";
            let taken =
                batch.transaction.prepare_cached(take)?.execute(params![hash.as_bytes(), now])?;
            if taken == 0 {
                return Ok(Ok(None));
            }
            let _receipt = batch.append(&prepared)?;
            Ok(Ok(Some(person)))
        })
    }
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS invites (
  hash       BLOB    PRIMARY KEY,
  person     TEXT    NOT NULL,
  expires_ms INTEGER NOT NULL
) STRICT;";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_lets_one_person_in_once_and_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state")).unwrap();
        let hash = |text: &str| Digest::of(text.as_bytes());
        let invite = |text: &str, person: &str, lives| {
            store.invite(hash(text), person, "local:ann", lives).unwrap();
        };
        invite("a", "web:ben", Duration::from_mins(10));
        invite("b", "web:cleo", Duration::from_mins(10));
        invite("c", "web:dora", Duration::ZERO);
        assert_eq!(store.redeem(hash("x")).unwrap(), None);
        assert_eq!(store.redeem(hash("c")).unwrap(), None, "its time is over");
        assert_eq!(store.redeem(hash("a")).unwrap().as_deref(), Some("web:ben"));
        assert_eq!(store.redeem(hash("a")).unwrap(), None, "it was used");
        invite("d", "web:cleo", Duration::from_mins(10));
        assert_eq!(store.redeem(hash("b")).unwrap(), None, "there is a newer one");
        let other = Store::open(&dir.path().join("state")).unwrap();
        assert_eq!(other.redeem(hash("d")).unwrap().as_deref(), Some("web:cleo"));
        assert!(store.invite(hash("e"), "", "local:ann", Duration::from_mins(1)).is_err());
    }
}
