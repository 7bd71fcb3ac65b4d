//! Is there room on the disk for what follows from an act? Some of it is kept free: what is allowed writes records too, and an
//! agent whose calls are all allowed must not fill the disk of whoever runs it, nor push the log to where it fails.
use crate::entry::Event;
use crate::ledger::LedgerError;
use rustix::fs::statvfs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much is kept free, and what was seen when it was last looked at.
#[derive(Debug)]
pub(crate) struct Room {
    /// In bytes; [`USUAL`] until somebody says.
    kept: AtomicU64,
    seen: Mutex<Option<(Instant, Seen)>>,
}

/// A file system: bytes, and how many files it has numbers for.
#[derive(Debug, Clone, Copy)]
struct Seen {
    free: u64,
    all: u64,
    files_free: u64,
    /// 0 where there is no such number.
    files: u64,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { kept: AtomicU64::new(USUAL), seen: Mutex::default() }
    }

    pub(crate) fn keep(&self, bytes: u64) {
        self.kept.store(bytes, Ordering::Relaxed);
    }

    /// What [`Room::keep`] was told.
    pub(crate) fn said(&self) -> Option<u64> {
        Some(self.kept.load(Ordering::Relaxed)).filter(|kept| *kept != USUAL)
    }

    /// Refuses what begins something, and what the agent's side tells, where less is free than is to be kept. Refusals, answers
    /// and ends have that room.
    pub(crate) fn check(&self, dir: &Path, event: Event) -> Result<(), LedgerError> {
        let told = matches!(event, Event::Client | Event::Finding);
        if !told && !matches!(event, Event::Call | Event::SessionStart) {
            return Ok(());
        }
        self.has(dir, 0)?;
        self.has_files(dir, 0)
    }

    /// Refuses so many bytes more of what a run has made where they would leave less than half of what is to be kept: its acts
    /// ended where less than all of it was free, and what it made must not be lost for that.
    pub(crate) fn has(&self, dir: &Path, more: u64) -> Result<(), LedgerError> {
        let Seen { free, all, .. } = self.look(dir)?;
        let kept = match self.kept.load(Ordering::Relaxed) {
            USUAL => usual(all),
            bytes => bytes,
        };
        let least = if more == 0 { kept } else { (kept / 2).saturating_add(more) };
        if free >= least {
            return Ok(());
        }
        Err(LedgerError::NoRoom { dir: dir.display().to_string(), free, kept, more })
    }

    /// The same for so many files: those without contents take no room but what the disk has for names.
    pub(crate) fn has_files(&self, dir: &Path, more: u64) -> Result<(), LedgerError> {
        let Seen { files_free: free, files, .. } = self.look(dir)?;
        let kept = usual_files(files);
        let least = if more == 0 { kept } else { (kept / 2).saturating_add(more) };
        if files == 0 || free >= least {
            return Ok(());
        }
        Err(LedgerError::NoFiles { dir: dir.display().to_string(), free, kept, more })
    }

    fn look(&self, dir: &Path) -> Result<Seen, LedgerError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, seen)) = *seen
            && at.elapsed() < LOOKS_EVERY
        {
            return Ok(seen);
        }
        let found = statvfs(dir).map_err(|error| {
            let why = format!("nobody knows how much room there is: {error}");
            LedgerError::Unrecordable { why }
        })?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        let now = Seen {
            free: bytes(found.f_bavail),
            all: bytes(found.f_blocks),
            files_free: found.f_favail,
            files: found.f_files,
        };
        *seen = Some((Instant::now(), now));
        Ok(now)
    }
}

/// A twentieth of the disk, and at most 256 MiB. At least what `SQLite`'s own log takes before it is carried over, and a burst
/// of refusals, where that leaves most of a small disk.
fn usual(all: u64) -> u64 {
    (all / 20).max(USUAL_LEAST.min(all / 4)).min(USUAL_MOST)
}

/// A twentieth of the files that the disk has room for, and at most 65,536.
fn usual_files(all: u64) -> u64 {
    (all / 20).min(1 << 16)
}

/// Stands for [`usual`].
const USUAL: u64 = u64::MAX;
const USUAL_LEAST: u64 = 48 << 20;
const USUAL_MOST: u64 = 256 << 20;
/// In between the busiest run writes a few megabytes.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Allowances, Durability, Entry, Ledger, NewSession, Sessions, Store};

    #[test]
    fn a_large_disk_keeps_a_little_and_a_small_one_a_quarter() {
        let mib = |all: u64| usual(all << 20) >> 20;
        assert_eq!([8, 100, 400, 1000, 4000, 1 << 20].map(mib), [2, 25, 48, 50, 200, 256]);
        assert_eq!(usual(0), 0, "where the kernel does not say");
    }

    #[test]
    fn some_files_can_always_be_made() {
        let (room, dir) = (Room::new(), Path::new("/d"));
        let with = |files_free, files| {
            let seen = Seen { free: 1 << 40, all: 1 << 40, files_free, files };
            *room.seen.lock().unwrap() = Some((Instant::now() + Duration::from_hours(1), seen));
        };
        with(50_000, 1_000_000);
        assert!(room.check(dir, Event::Call).is_ok() && room.has_files(dir, 25_000).is_ok());
        let refused = room.has_files(dir, 25_001).unwrap_err();
        let LedgerError::NoFiles { free, kept, more, .. } = &refused else { panic!("{refused}") };
        assert_eq!((*free, *kept, *more), (50_000, 50_000, 25_001));
        with(49_999, 1_000_000);
        assert!(room.check(dir, Event::Call).is_err() && room.check(dir, Event::Outcome).is_ok());
        with(65_536, u64::MAX);
        assert!(room.check(dir, Event::SessionStart).is_ok());
        with(0, 0);
        assert!(room.check(dir, Event::Call).is_ok(), "a file system that counts none");
    }

    #[test]
    fn no_way_of_an_act_onto_the_log_takes_the_room_that_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state")).unwrap();
        let intent = || Entry::new(Event::Call).with("tool", "Bash");
        let session = |id: &str| NewSession {
            id: id.to_owned(),
            agent: "main".to_owned(),
            workspace: "/w".to_owned(),
            argv: Vec::new(),
            facts: serde_json::Map::new(),
        };
        let ways = |id: &str| {
            [
                store.append(intent(), Durability::Durable).is_ok(),
                store.append(intent(), Durability::Soon).is_ok(),
                store.spend(Vec::new(), intent()).is_ok_and(|spent| spent.is_ok()),
                store.begin(session(id)).is_ok(),
            ]
        };
        assert_eq!(ways("a"), [true; 4], "there is room");
        // No disk is this large.
        store.keep_free(1 << 62);
        assert_eq!(ways("b"), [false; 4]);
        let refused = store.append(intent(), Durability::Durable).unwrap_err();
        assert!(matches!(&refused, LedgerError::NoRoom { kept, .. } if *kept == 1 << 62));
        let said = refused.to_string();
        assert!(said.contains("keep_free") && said.contains("MiB"), "{said}");
        for event in [Event::Client, Event::Finding] {
            assert!(store.append(Entry::new(event), Durability::Soon).is_err(), "{event:?}");
        }
        for event in [Event::Refusal, Event::Outcome, Event::Egress, Event::Pending, Event::Fault] {
            assert!(store.append(Entry::new(event), Durability::Durable).is_ok(), "{event:?}");
        }
        store.keep_free(0);
        assert!(store.has_room_for(1 << 62, 0).is_err() && store.has_room_for(1, 1).is_ok());
        store.keep_free(1 << 62);
        assert!(
            store.has_room_for(1, 0).is_err() && store.has_room_for(0, 1).is_ok(),
            "nothing takes nothing"
        );
        store.keep_free(0);
        assert_eq!(ways("c"), [true; 4], "the log itself was well all the time");
    }
}
