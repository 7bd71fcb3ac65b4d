//! What did a person accept of each MCP server, and what was last seen of it?
use crate::StoreError;
use crate::clock;
use crate::digest::Digest;
use crate::entry::{Entry, Event, Prepared};
use crate::store::Store;
use rusqlite::{Row, params};
use serde_json::Value;

/// One item of a server: a tool, or something else that it says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct PinnedItem {
    /// The item's name.
    pub name: String,
    /// What was last seen, with its digest; `None` when the server does not list it any more.
    pub seen: Option<(Digest, Value)>,
    /// What was accepted, with its digest.
    pub accepted: Option<(Digest, Value)>,
    /// Who accepted it.
    pub by: Option<String>,
}

impl Store {
    /// Takes down what a server lists now, all that it has of what is `listed`; what was accepted stays. Whatever is not
    /// as it was seen before is on the log.
    pub fn see_items(
        &self,
        server: &str,
        listed: impl Fn(&str) -> bool,
        items: Vec<(String, Digest, Value)>,
    ) -> Result<(), StoreError> {
        let known = self.pinned(server)?;
        let seen = |name: &str| known.iter().find(|item| item.name == name)?.seen.as_ref();
        let is_new = |(name, digest, _): &(String, Digest, Value)| {
            seen(name).is_none_or(|(known, _)| known != digest)
        };
        let gone = known.iter().filter(|item| item.seen.is_some() && listed(&item.name));
        let gone = gone.filter(|item| !items.iter().any(|(name, ..)| *name == item.name));
        let gone: Vec<String> = gone.map(|item| item.name.clone()).collect();
        let fresh: Vec<_> = items.into_iter().filter(is_new).collect();
        if fresh.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let new = names(fresh.iter().map(|(name, ..)| name));
        let entry = entry("seen", server).with("new", new).with("gone", names(&gone));
        let prepared = self.prepare(entry)?;
        let server = server.to_owned();
        self.work(move |batch| {
            for name in &gone {
                batch.transaction.prepare_cached(UNSEE)?.execute(params![server, name])?;
            }
            for (name, digest, content) in &fresh {
                batch.transaction.prepare_cached(SEE)?.execute(params![
                    server,
                    name,
                    digest.as_bytes(),
                    content.to_string()
                ])?;
            }
            let _receipt = batch.append(&prepared)?;
            Ok(Ok(()))
        })
    }

    /// A person's word that items are to be taken as they were seen. Each is named by its digest, so
    /// that what changes meanwhile is not accepted with it; how many were is the answer.
    pub fn accept_items(
        &self,
        server: &str,
        items: &[(String, Digest)],
        by: &str,
    ) -> Result<usize, StoreError> {
        let named = names(items.iter().map(|(name, _)| name));
        let entry = entry("accept", server).with("items", named).with("approver", by);
        let digests: Vec<String> = items.iter().map(|(_, digest)| digest.to_string()).collect();
        let prepared = self.prepare(entry.with("digests", Value::from(digests)))?;
        let (server, by, items) = (server.to_owned(), by.to_owned(), items.to_vec());
        self.work(move |batch| {
            let mut accepted = 0;
            for (name, digest) in &items {
                accepted += batch.transaction.prepare_cached(ACCEPT)?.execute(params![
                    server,
                    name,
                    digest.as_bytes(),
                    by,
                    clock::now_ms()
                ])?;
            }
            let _receipt = batch.append(&prepared)?;
            Ok(Ok(accepted))
        })
    }

    /// Takes back what was accepted of these items.
    pub fn forget_items(&self, server: &str, names: &[String], by: &str) -> Result<(), StoreError> {
        let entry = entry("forget", server).with("items", self::names(names));
        let prepared: Prepared = self.prepare(entry.with("approver", by))?;
        let (server, names) = (server.to_owned(), names.to_vec());
        self.work(move |batch| {
            for name in &names {
                batch.transaction.prepare_cached(FORGET)?.execute(params![server, name])?;
            }
            let _receipt = batch.append(&prepared)?;
            Ok(Ok(()))
        })
    }

    /// Everything that is known of a server, by name.
    pub fn pinned(&self, server: &str) -> Result<Vec<PinnedItem>, StoreError> {
        self.reader().read(|db| {
            let mut statement = db.prepare_cached(SELECT)?;
            statement.query_map([server], read)?.collect()
        })
    }

    /// Stands for everything that is known of all servers: another one as soon as an item is seen that was not, is gone, is
    /// accepted or is forgotten.
    pub fn pins_digest(&self) -> Result<Digest, StoreError> {
        self.reader().read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT server, name, seen_digest, accepted_digest FROM pins ORDER BY server, name",
            )?;
            let mut rows = statement.query([])?;
            let mut whole = Vec::new();
            while let Some(row) = rows.next()? {
                let texts: [String; 2] = [row.get(0)?, row.get(1)?];
                let digests: [Option<Vec<u8>>; 2] = [row.get(2)?, row.get(3)?];
                let parts = texts.iter().map(|text| Some(text.as_bytes()));
                for part in parts.chain(digests.iter().map(Option::as_deref)) {
                    // Each by its length, so that no two tables read the same; one that is not there has none.
                    whole.extend(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
                    whole.extend(part.unwrap_or_default());
                }
            }
            Ok(Digest::of(&whole))
        })
    }

    /// The servers of which anything is known, by name.
    pub fn pinned_servers(&self) -> Result<Vec<String>, StoreError> {
        self.reader().read(|db| {
            let mut statement =
                db.prepare_cached("SELECT DISTINCT server FROM pins ORDER BY server")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })
    }
}

fn entry(act: &str, server: &str) -> Entry {
    Entry::new(Event::ConfigChange).with("act", format!("mcp_{act}")).with("server", server)
}

/// Names for the log; a long list is cut there, since the table has all of it.
fn names<'a>(names: impl IntoIterator<Item = &'a String>) -> Value {
    names.into_iter().take(NAMED_MAX).map(|name| Value::from(name.as_str())).collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<PinnedItem> {
    Ok(PinnedItem {
        name: row.get(0)?,
        seen: content(row, 1)?,
        accepted: content(row, 3)?,
        by: row.get(5)?,
    })
}

fn content(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<(Digest, Value)>> {
    let (digest, text): (Option<Vec<u8>>, Option<String>) = (row.get(at)?, row.get(at + 1)?);
    let Some((digest, text)) = digest.zip(text) else { return Ok(None) };
    let damaged = |column| {
        let why = "a row of the pinned tools is damaged".into();
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, why)
    };
    let digest = Digest::try_from(digest.as_slice()).map_err(|_| damaged(at))?;
    Ok(Some((digest, serde_json::from_str(&text).map_err(|_| damaged(at + 1))?)))
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS pins (
  server          TEXT    NOT NULL,
  name            TEXT    NOT NULL,
  seen_digest     BLOB,
  seen            TEXT,
  accepted_digest BLOB,
  accepted        TEXT,
  approver        TEXT,
  accepted_ms     INTEGER,
  PRIMARY KEY (server, name)
) STRICT;";
const SEE: &str = "INSERT INTO pins (server, name, seen_digest, seen) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (server, name) DO UPDATE SET seen_digest = excluded.seen_digest, seen = excluded.seen";
const UNSEE: &str =
    "UPDATE pins SET seen = NULL, seen_digest = NULL WHERE server = ?1 AND name = ?2";
const ACCEPT: &str = "UPDATE pins SET accepted_digest = seen_digest, accepted = seen, approver = ?4, accepted_ms = ?5
    WHERE server = ?1 AND name = ?2 AND seen_digest = ?3";
const FORGET: &str =
    "UPDATE pins SET accepted_digest = NULL, accepted = NULL, approver = NULL, accepted_ms = NULL
    WHERE server = ?1 AND name = ?2";
const SELECT: &str = "SELECT name, seen_digest, seen, accepted_digest, accepted, approver FROM pins WHERE server = ?1 ORDER BY name";
const NAMED_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(name: &str, text: &str) -> (String, Digest, Value) {
        (name.to_owned(), Digest::of(text.as_bytes()), json!({ "description": text }))
    }

    #[test]
    fn a_list_says_nothing_of_what_it_does_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let is_a = |name: &str| name.starts_with('a');
        store.see_items("s", is_a, vec![item("a1", "x"), item("a2", "x")]).unwrap();
        store.see_items("s", |name| !is_a(name), vec![item("b", "x")]).unwrap();
        store.see_items("s", is_a, vec![item("a2", "x")]).unwrap();
        let seen = store.pinned("s").unwrap();
        let seen: Vec<_> = seen.iter().filter(|item| item.seen.is_some()).collect();
        assert_eq!(seen.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), ["a2", "b"]);
    }

    #[test]
    fn whatever_changes_of_what_is_pinned_changes_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (mut known, a) = (vec![store.pins_digest().unwrap()], item("a", "one"));
        let mut turns = |what: &str| {
            let now = store.pins_digest().unwrap();
            assert!(!known.contains(&now), "{what}");
            known.push(now);
        };
        store.see_items("s", |_| true, vec![a.clone()]).unwrap();
        turns("seen");
        store.accept_items("s", &[("a".to_owned(), a.1)], "local:anna").unwrap();
        turns("accepted");
        store.see_items("s", |_| true, vec![item("a", "other")]).unwrap();
        turns("changed");
        store.see_items("s", |_| true, Vec::new()).unwrap();
        turns("gone");
        store.see_items("another", |_| true, vec![item("a", "other")]).unwrap();
        turns("another's");
        store.see_items("another", |_| true, vec![item("a", "other")]).unwrap();
        assert_eq!(store.pins_digest().unwrap(), *known.last().unwrap(), "nothing changed");
        store.forget_items("s", &["a".to_owned()], "local:anna").unwrap();
        assert!(!known.contains(&store.pins_digest().unwrap()), "forgotten");
    }

    #[test]
    fn what_was_accepted_outlives_what_is_seen_and_each_step_is_on_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (one, two) = (item("a", "one"), item("b", "two"));
        store.see_items("s", |_| true, vec![one.clone(), two.clone()]).unwrap();
        store.see_items("s", |_| true, vec![one.clone(), two.clone()]).unwrap();
        let accepted = store.accept_items("s", &[("a".to_owned(), one.1)], "local:anna").unwrap();
        assert_eq!(accepted, 1);
        // What changed between the look and the word is not accepted.
        let changed = item("b", "evil");
        store.see_items("s", |_| true, vec![changed.clone()]).unwrap();
        let late = store.accept_items("s", &[("b".to_owned(), two.1)], "local:anna").unwrap();
        assert_eq!(late, 0);
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        let known = store.pinned("s").unwrap();
        assert_eq!(known[0].accepted, Some((one.1, one.2)));
        assert_eq!((known[0].seen.clone(), known[0].by.as_deref()), (None, Some("local:anna")));
        assert_eq!(
            (known[1].seen.clone(), known[1].accepted.clone()),
            (Some((changed.1, changed.2)), None)
        );
        store.forget_items("s", &["a".to_owned()], "local:anna").unwrap();
        assert_eq!(store.pinned("s").unwrap()[0].accepted, None);
        assert_eq!(store.pinned_servers().unwrap(), ["s"]);
        assert_eq!(store.pinned("other").unwrap(), []);
        let filter = crate::Filter { event: Some(Event::ConfigChange), ..crate::Filter::default() };
        assert_eq!(
            store.reader().page(&filter, 10).unwrap().len(),
            5,
            "seen, accept, seen, accept, forget"
        );
    }
}
