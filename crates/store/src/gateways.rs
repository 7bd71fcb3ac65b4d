//! How do the MCP servers fare that some gateway keeps now? Each gateway says so of its own, and what it said is gone with it.
//!
//! It is no part of the log, which has each life of a server as a session and each outage as a change; it is for whoever wants to
//! know how things stand at this moment.
use crate::StoreError;
use crate::clock;
use crate::sessions::{SessionFilter, Sessions as _};
use crate::store::Store;
use rusqlite::{Row, params};
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;

/// How one server fares.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a new one must break whoever shows them")]
pub enum Fares {
    /// It cannot be used now: why, and how long after this it is started again.
    Down {
        /// What its client was told.
        why: String,
        /// The pause before it is started again.
        again_in: Duration,
    },
    /// It was ended because nobody needed it, and is started for the next who does.
    Resting,
    /// It is being started.
    Starting,
    /// It has begun.
    Up,
}

/// One server of one gateway's, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Kept {
    /// The server's name.
    pub server: String,
    /// `down`, `resting`, `starting` or `up`.
    pub state: String,
    /// Why it is down.
    pub why: Option<String>,
    /// Since when it is so, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it is started again, in the same.
    pub again_ms: Option<u64>,
    /// The session of its client.
    pub session: String,
    /// The role of that client.
    pub agent: String,
    /// The gateway's process.
    pub pid: u32,
}

impl Store {
    /// Says how a server fares that `keeper` keeps for a session: one of its own for each, since a session may have the same
    /// server several times. What was said of it before is of the past.
    pub fn fares(
        &self,
        keeper: &str,
        (session, server): (&str, &str),
        how: &Fares,
    ) -> Result<(), StoreError> {
        let now = clock::now_ms();
        let (state, why, again_ms) = match how {
            Fares::Down { why, again_in } => {
                let pause = u64::try_from(again_in.as_millis()).unwrap_or(u64::MAX);
                // What SQLite counts in is signed.
                ("down", Some(why.clone()), Some(now.saturating_add(pause).min(1 << 62)))
            }
            Fares::Resting => ("resting", None, None),
            Fares::Starting => ("starting", None, None),
            Fares::Up => ("up", None, None),
        };
        let (keeper, session, server) = (keeper.to_owned(), session.to_owned(), server.to_owned());
        self.work(move |batch| {
            // What those have left that died.
            batch.transaction.prepare_cached(SWEEP)?.execute([])?;
            batch
                .transaction
                .prepare_cached(WRITE)?
                .execute(params![keeper, session, server, state, why, now, again_ms])?;
            Ok(Ok(()))
        })
    }

    /// Nothing is kept there any more.
    pub fn keeps_no_more(&self, keeper: &str) -> Result<(), StoreError> {
        let keeper = keeper.to_owned();
        self.work(move |batch| {
            batch.transaction.prepare_cached(CLEAR)?.execute([keeper])?;
            Ok(Ok(()))
        })
    }

    /// The servers of all gateways that live now, by name. What a gateway has left that died is not among them.
    pub fn kept_servers(&self) -> Result<Vec<Kept>, StoreError> {
        let open = self.sessions(SessionFilter::Open)?;
        let living = open.into_iter().filter(|session| !session.is_leftover());
        let living: HashMap<String, (String, u32)> =
            living.map(|session| (session.id, (session.agent, session.pid))).collect();
        let rows = self.reader().read(|db| {
            let mut statement = db.prepare_cached(SELECT)?;
            statement.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let kept = rows.into_iter().filter_map(|kept| {
            let (agent, pid) = living.get(&kept.session)?.clone();
            Some(Kept { agent, pid, ..kept })
        });
        Ok(kept.collect())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        session: row.get(0)?,
        server: row.get(1)?,
        state: row.get(2)?,
        why: row.get(3)?,
        since_ms: row.get(4)?,
        again_ms: row.get(5)?,
        agent: String::new(),
        pid: 0,
    })
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS kept_servers (
  keeper   TEXT    PRIMARY KEY,
  session  TEXT    NOT NULL,
  server   TEXT    NOT NULL,
  state    TEXT    NOT NULL,
  why      TEXT,
  since_ms INTEGER NOT NULL,
  again_ms INTEGER
) STRICT, WITHOUT ROWID;";
const WRITE: &str = "INSERT INTO kept_servers (keeper, session, server, state, why, since_ms, again_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (keeper) DO UPDATE SET
      state = excluded.state, why = excluded.why, since_ms = excluded.since_ms, again_ms = excluded.again_ms";
const CLEAR: &str = "DELETE FROM kept_servers WHERE keeper = ?1";
const SWEEP: &str = "DELETE FROM kept_servers WHERE session IN
    (SELECT id FROM sessions WHERE ended_ms IS NOT NULL)";
const SELECT: &str = "SELECT session, server, state, why, since_ms, again_ms FROM kept_servers
    ORDER BY server, since_ms, keeper LIMIT 10000";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ending, NewSession};
    use serde_json::Map;

    fn begin(store: &Store, id: &str) {
        let new = NewSession {
            id: id.to_owned(),
            agent: "soc".to_owned(),
            workspace: "/w".to_owned(),
            argv: vec!["bartizan".to_owned()],
            facts: Map::new(),
        };
        store.begin(new).unwrap();
    }

    fn states(store: &Store) -> Vec<(String, String, String)> {
        let kept = store.kept_servers().unwrap();
        kept.into_iter().map(|kept| (kept.server, kept.state, kept.session)).collect()
    }

    #[test]
    fn what_a_gateway_says_last_of_a_server_is_how_it_fares() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        begin(&store, "s1");
        begin(&store, "s2");
        store.fares("k1", ("s1", "fw"), &Fares::Starting).unwrap();
        store.fares("k2", ("s2", "fw"), &Fares::Up).unwrap();
        store.fares("k3", ("s1", "docs"), &Fares::Resting).unwrap();
        let again_in = Duration::from_secs(8);
        let why = "it ended with code 3".to_owned();
        store.fares("k1", ("s1", "fw"), &Fares::Down { why: why.clone(), again_in }).unwrap();
        let kept = store.kept_servers().unwrap();
        assert_eq!(kept.len(), 3);
        let down = kept.iter().find(|kept| kept.state == "down").unwrap();
        assert_eq!(
            (down.server.as_str(), down.agent.as_str(), down.pid),
            ("fw", "soc", std::process::id())
        );
        assert_eq!(down.why.as_deref(), Some(&*why));
        assert_eq!(down.again_ms, Some(down.since_ms + 8000));
        store.fares("k1", ("s1", "fw"), &Fares::Up).unwrap();
        let up = store.kept_servers().unwrap();
        assert!(up.iter().all(|kept| kept.why.is_none() && kept.again_ms.is_none()), "{up:?}");
        store.keeps_no_more("k3").unwrap();
        assert!(states(&store).iter().all(|(server, state, _)| server == "fw" && state == "up"));
    }

    #[test]
    fn what_is_left_of_a_gateway_that_has_ended_or_died_is_nothing_that_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for id in ["ended", "died", "lives"] {
            begin(&store, id);
            store.fares(id, (id, "fw"), &Fares::Up).unwrap();
        }
        store.end("ended", Ending::default()).unwrap();
        store
            .work(|batch| {
                let died =
                    "UPDATE sessions SET started_ticks = started_ticks + 1 WHERE id = 'died'";
                batch.transaction.execute(died, [])?;
                Ok(Ok(()))
            })
            .unwrap();
        store.fares("nobody", ("none", "fw"), &Fares::Up).unwrap();
        assert_eq!(states(&store), [("fw".to_owned(), "up".to_owned(), "lives".to_owned())]);
        let left = || {
            let count = "SELECT count(*) FROM kept_servers WHERE session = 'ended'";
            store.reader().read(|db| db.query_row(count, [], |row| row.get::<_, u32>(0))).unwrap()
        };
        assert_eq!(left(), 0, "it was swept");
    }
}
