//! Does the store refuse a directory or a disk on which its word would be worth nothing?
use crate::util::{
    append, assert_whole, database, entry, log_of, on_own_disk, role, set_mode, state,
};
use bartizan_store::{
    Durability, Entry, Filter, Ledger as _, NewSession, Sessions as _, Store, StoreError,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn everything_is_made_for_the_owner_only() {
    let parent = state();
    let dir = parent.path().join("a/b");
    let store = Store::open(&dir).unwrap();
    append(&store, 0);
    store.checkpoint().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&parent.path().join("a")), 0o700);
    let mut seen = 0;
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        // The database makes and removes files of its own meanwhile.
        if path.exists() {
            assert_eq!(mode(&path), 0o600, "{path:?}");
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} files");
}

#[test]
fn a_directory_that_others_can_write_is_refused_with_the_remedy() {
    for mode in [0o770, 0o702, 0o777, 0o1777] {
        let dir = state();
        set_mode(dir.path(), mode);
        let error = Store::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("chmod 700") && error.contains(dir.path().to_str().unwrap()),
            "{error}"
        );
    }
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let dir = state();
    // Root can give its directory away; anybody else finds that of root.
    let path =
        if chown(dir.path(), Some(12345), None).is_ok() { dir.path() } else { Path::new("/usr") };
    let error = Store::open(path).unwrap_err().to_string();
    assert!(error.contains("belongs to user"), "{error}");
}

#[test]
fn a_database_or_key_of_another_user_or_open_to_others_is_refused() {
    for (file, mode) in [("bartizan.db", 0o644), ("checkpoint.key", 0o640), ("bartizan.db", 0o660)]
    {
        let dir = log_of(1);
        set_mode(&dir.path().join(file), mode);
        let error = Store::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && error.contains(file), "{error}");
        if chown(dir.path().join(file), Some(12345), None).is_ok() {
            set_mode(&dir.path().join(file), 0o600);
            assert!(Store::open(dir.path()).unwrap_err().to_string().contains("user 12345"));
        }
    }
}

#[test]
fn a_link_in_the_place_of_database_or_key_is_refused() {
    for file in ["bartizan.db", "checkpoint.key"] {
        let (dir, other) = (log_of(1), log_of(1));
        fs::remove_file(dir.path().join(file)).unwrap();
        symlink(other.path().join(file), dir.path().join(file)).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Directory { .. })), "{file}");
    }
}

#[test]
fn a_file_where_the_directory_should_be_is_refused() {
    let dir = state();
    fs::write(dir.path().join("f"), "x").unwrap();
    assert!(Store::open(&dir.path().join("f")).is_err());
    assert!(Store::open(&dir.path().join("f/g")).is_err());
}

#[test]
fn a_log_without_its_key_is_not_signed_with_a_new_one() {
    let dir = log_of(3);
    fs::remove_file(dir.path().join("checkpoint.key")).unwrap();
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("signing key is gone"), "{error}");
    let other = log_of(3);
    fs::copy(other.path().join("checkpoint.key"), dir.path().join("checkpoint.key")).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Changed { .. })));
}

#[test]
fn a_file_that_is_no_database_or_not_ours_is_refused() {
    let dir = log_of(3);
    for content in [
        &b"not a database, but long enough to be read as one"[..],
        &[0xff; 8192],
        b"SQLite format 3\0",
    ] {
        fs::write(database(dir.path()), content).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Database { .. }), "{error:?}");
    }
    fs::remove_file(database(dir.path())).unwrap();
    crate::util::tamper(dir.path(), "CREATE TABLE mine (a)");
    set_mode(&database(dir.path()), 0o600);
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("no Bartizan database"), "{error}");
}

#[test]
fn a_newer_form_is_refused() {
    let dir = log_of(3);
    crate::util::tamper(dir.path(), "PRAGMA user_version = 2");
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("newer Bartizan"), "{error}");
}

#[test]
fn a_full_disk_fails_closed_and_loses_nothing() {
    let name = "dirs::a_full_disk_fails_closed_and_loses_nothing";
    let Some(dir) = role() else {
        on_own_disk(name, "mount -t tmpfs -o size=3m,mode=700 none \"$1\"");
        return;
    };
    let store = Store::open(&dir).unwrap();
    // It is to fill, and not to stop before.
    store.keep_free(0);
    let mut acked = 0;
    let error = loop {
        match store.append(big(acked), Durability::Durable) {
            Ok(receipt) => {
                assert_eq!(receipt.seq(), Some(acked));
                acked += 1;
                assert!(acked < 10_000, "the disk never filled");
            }
            Err(error) => break error.to_string(),
        }
    };
    assert!(acked > 10 && error.contains("free room"), "{acked}: {error}");
    assert!(
        store.append(entry(0), Durability::Durable).is_err(),
        "a small one went through after the failure"
    );
    assert!(store.append(entry(0), Durability::Soon).is_err());
    drop(store);
    assert_whole_with(&dir, acked);
    assert!(Store::open(&dir).is_err() || assert_whole(&dir).records >= acked);
}

#[test]
fn once_there_is_room_again_the_log_goes_on_with_no_hole() {
    let name = "dirs::once_there_is_room_again_the_log_goes_on_with_no_hole";
    let Some(dir) = role() else {
        on_own_disk(name, "mount -t tmpfs -o size=6m,mode=700 none \"$1\"");
        return;
    };
    let store = Store::open(&dir).unwrap();
    // It is to fill, and not to stop before.
    store.keep_free(0);
    let mut taken = Vec::new();
    for round in 0..3_u64 {
        let mut number = round * 100_000;
        let ballast = dir.join("ballast");
        let mut file = fs::File::create(&ballast).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        drop(file);
        // What nobody waits for has happened once it was taken, whatever becomes of the commit.
        let deadline = Instant::now() + Duration::from_secs(20);
        while store.append(big(number), Durability::Soon).is_ok() {
            taken.push(number);
            number += 1;
            assert!(Instant::now() < deadline, "the disk never filled");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(store.append(entry(9), Durability::Durable).is_err());
        // No room to speak of: it stays shut.
        std::thread::sleep(Duration::from_millis(1200));
        let refused = store.append(entry(9), Durability::Soon).unwrap_err().to_string();
        assert!(refused.contains("free room"), "{refused}");
        fs::remove_file(&ballast).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = store.append(big(number + 1), Durability::Durable) {
            assert!(Instant::now() < deadline, "round {round}: it never went on: {error}");
            std::thread::sleep(Duration::from_millis(50));
        }
        taken.push(number + 1);
    }
    store.checkpoint().unwrap();
    let records = store.reader().tail(&Filter::default(), 10_000).unwrap();
    let records: Vec<Value> =
        records.iter().map(|record| serde_json::from_str(&record.json).unwrap()).collect();
    let number = |record: &Value| record["call"].as_str()?.strip_prefix("c-")?.parse().ok();
    let mut kept: Vec<u64> = records.iter().filter_map(number).collect();
    kept.sort_unstable();
    assert_eq!(kept, taken, "each once, and what was refused not at all");
    let shut: Vec<&Value> = records.iter().filter(|record| record["event"] == "fault").collect();
    assert_eq!(shut.len(), 3, "{shut:?}");
    for record in shut {
        assert_eq!(record["part"], "log");
        assert!(record["turned_away"].as_u64().unwrap() >= 2, "{record}");
        let gone = record["time_ms"].as_u64().unwrap() - record["shut_ms"].as_u64().unwrap();
        assert!(gone >= 1000, "{record}");
    }
    drop(store);
    assert_whole(&dir);
}

/// A record that fills a page or five.
fn big(number: u64) -> Entry {
    entry(number).with("blob", "x".repeat(20_000))
}

/// On a full disk `SQLite` may lack the room to read its own log back, so the check is done on a copy elsewhere.
fn assert_whole_with(dir: &Path, acked: u64) {
    let copy = state();
    for file in fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let report = assert_whole(copy.path());
    assert!(report.records >= acked, "{} of {acked}", report.records);
    let store = Store::open(copy.path()).unwrap();
    assert_eq!(append(&store, 0), report.records);
}

#[test]
fn a_read_only_directory_is_refused_but_its_log_can_be_verified() {
    let name = "dirs::a_read_only_directory_is_refused_but_its_log_can_be_verified";
    let Some(dir) = role() else {
        on_own_disk(name, "mount -t tmpfs -o mode=700 none \"$1\"");
        return;
    };
    let store = Store::open(&dir).unwrap();
    append(&store, 0);
    drop(store);
    remount_read_only(&dir);
    let error = Store::open(&dir).unwrap_err().to_string();
    assert!(error.contains(dir.to_str().unwrap()) && error.contains("hint"), "{error}");
    assert!(Store::open(&dir.join("new")).is_err());
    assert_eq!(assert_whole(&dir).records, 1);
}

#[test]
fn a_disk_that_takes_no_more_writes_stops_the_log() {
    let name = "dirs::a_disk_that_takes_no_more_writes_stops_the_log";
    let Some(dir) = role() else {
        // Without the signal's default action, so that a write fails instead of killing the process.
        on_own_disk(name, "trap '' XFSZ");
        return;
    };
    let store = Store::open(&dir).unwrap();
    append(&store, 0);
    let no_bytes = Rlimit { current: Some(0), ..getrlimit(Resource::Fsize) };
    setrlimit(Resource::Fsize, no_bytes).unwrap();
    assert!(store.append(entry(1), Durability::Durable).is_err());
    assert!(store.append(entry(2), Durability::Soon).is_err());
    let session = NewSession {
        id: "s".into(),
        agent: "a".into(),
        workspace: "/w".into(),
        argv: vec![],
        facts: serde_json::Map::default(),
    };
    assert!(store.begin(session).is_err());
    assert_eq!(store.reader().size().unwrap(), 1);
}

/// Only the mount: the whole file system's options name ids that an ordinary user's namespace does not have.
#[expect(clippy::disallowed_methods, reason = "a read-only disk needs a mount")]
fn remount_read_only(dir: &Path) {
    let status = std::process::Command::new("mount")
        .args(["-o", "remount,bind,ro"])
        .arg(dir)
        .status()
        .unwrap();
    assert!(status.success());
    assert!(fs::metadata(dir).unwrap().is_dir() && fs::metadata(dir).unwrap().uid() == 0);
}
