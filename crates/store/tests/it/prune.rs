//! Can the front of the log be taken off without anyone being able to do so unseen?
use crate::util::{append, assert_whole, log_of, state, tamper, verified};
use bartizan_store::verify::{self, Integrity, Trust, Verdict};
use bartizan_store::{
    Covers, Digest, Event, Filter, NewSession, Pruned, PublicKey, Sessions as _, Start, Store,
};
use serde_json::Map;
use std::path::Path;

fn export(dir: &Path, start: Start) -> String {
    let mut out = Vec::new();
    Store::open(dir).unwrap().reader().export(start, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn key(dir: &Path) -> PublicKey {
    Store::open(dir).unwrap().public_key().clone()
}

fn trust(dir: &Path, from: Option<u64>) -> Trust {
    Trust { key: Some(key(dir)), from, ..Trust::default() }
}

/// A log of 150 records with checkpoints after 64, 128 and 150 of them, and others wherever a second went by.
fn log() -> tempfile::TempDir {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    for number in 0..150 {
        append(&store, number);
        if matches!(number, 63 | 127) {
            store.checkpoint().unwrap();
        }
    }
    dir
}

/// Such a log, the first 128 of which are pruned.
fn pruned() -> tempfile::TempDir {
    let dir = log();
    let store = Store::open(dir.path()).unwrap();
    let place = store.prunable(140).unwrap();
    assert!(
        (128..=140).contains(&place.to),
        "at a checkpoint, not beyond what was asked: {place:?}"
    );
    assert_eq!(store.prunable(128).unwrap(), Pruned { from: 0, to: 128 });
    store.prune(128, "local:ann", Some(&Digest::of(b"archive"))).unwrap();
    dir
}

#[test]
fn a_pruned_log_is_whole_says_what_is_gone_and_goes_on() {
    let dir = pruned();
    let report = assert_whole(dir.path());
    assert_eq!((report.completeness.begins, report.records), (128, 151));
    let store = Store::open(dir.path()).unwrap();
    let reader = store.reader();
    assert_eq!(reader.begins().unwrap(), 128);
    assert_eq!(reader.page(&Filter::default(), 1).unwrap()[0].seq, 128);
    let filter = Filter { event: Some(Event::Prune), ..Filter::default() };
    let said = reader.page(&filter, 9).unwrap()[0].value();
    assert_eq!(
        (&said["from"], &said["to"], &said["by"]),
        (&0.into(), &128.into(), &"local:ann".into())
    );
    assert_eq!(said["archive_sha256"], Digest::of(b"archive").to_string());
    assert_eq!(append(&store, 7), 151);
    // Once more, right up to the newest checkpoint, and the log is still one that can be opened.
    store.checkpoint().unwrap();
    let place = store.prunable(u64::MAX >> 1).unwrap();
    store.prune(place.to, "local:ann", None).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    append(&store, 8);
    store.checkpoint().unwrap();
    assert_eq!(verified(dir.path()).verdict(), Verdict::Whole);
    assert!(store.prune(3, "local:ann", None).is_err(), "behind where the log begins");
}

#[test]
fn what_is_pruned_is_not_in_the_file_any_more() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    for number in 0..64 {
        let entry = crate::util::entry(number).with("note", "PRUNED-AWAY-7f3a");
        let _receipt =
            bartizan_store::Ledger::append(&store, entry, bartizan_store::Durability::Durable);
    }
    store.checkpoint().unwrap();
    for number in 0..64 {
        append(&store, number);
    }
    store.prune(64, "local:ann", None).unwrap();
    drop(store);
    let bytes = std::fs::read(crate::util::database(dir.path())).unwrap();
    assert!(!bytes.windows(16).any(|window| window == b"PRUNED-AWAY-7f3a"));
}

#[test]
fn a_front_that_nobody_declared_pruned_is_missed() {
    let cut = "INSERT INTO pruned SELECT 1, 64, leaf FROM records WHERE seq = 63;
               DELETE FROM records WHERE seq < 64; DELETE FROM checkpoints WHERE size < 64";
    let dir = log();
    tamper(dir.path(), cut);
    let report = verified(dir.path());
    let Integrity::Broken { seq: 0, why } = &report.integrity else { panic!("{report:?}") };
    assert!(why.contains("no record says that they were pruned"), "{why}");
    // Nor can the beginning be moved beyond what was declared, or to where nothing is signed.
    for sql in [
        "UPDATE pruned SET size = 150, leaf = (SELECT leaf FROM records WHERE seq = 149);
         DELETE FROM records WHERE seq < 150; DELETE FROM checkpoints WHERE size < 150",
        "UPDATE pruned SET size = 130, leaf = (SELECT leaf FROM records WHERE seq = 129);
         DELETE FROM records WHERE seq < 130",
        "UPDATE pruned SET leaf = zeroblob(32)",
        "UPDATE checkpoints SET frontier = zeroblob(32) WHERE size = 128",
        "DELETE FROM checkpoints WHERE size = 128",
        "DELETE FROM records WHERE seq = 128",
        "DELETE FROM pruned",
    ] {
        let dir = pruned();
        tamper(dir.path(), sql);
        assert_eq!(verified(dir.path()).verdict(), Verdict::Broken, "{sql}");
    }
}

#[test]
fn nothing_of_a_session_that_still_runs_is_pruned() {
    let dir = log_of(70);
    let store = Store::open(dir.path()).unwrap();
    let session = |id: &str| NewSession {
        id: id.to_owned(),
        agent: "coder".to_owned(),
        workspace: "/w".to_owned(),
        argv: vec![],
        facts: Map::new(),
    };
    let begun = store.begin(session("running")).unwrap();
    for number in 0..100 {
        append(&store, number);
    }
    store.checkpoint().unwrap();
    let place = store.prunable(170).unwrap();
    assert!(place.to <= 70, "{place:?}");
    assert!(store.prune(128, "local:ann", None).is_err());
    store.end(&begun.id, bartizan_store::Ending::default()).unwrap();
    assert_eq!(store.prunable(171).unwrap().to, 171);
}

#[test]
fn parts_of_an_export_are_verified_alone_and_together() {
    let dir = log();
    let whole = export(dir.path(), Start::At(0));
    let part = export(dir.path(), Start::At(64));
    assert!(part.starts_with("{\"base\":"), "{part}");
    let check =
        |text: &str, from| verify::lines(text.as_bytes(), &trust(dir.path(), from)).unwrap();
    // A part that begins later than the reader expects is a log whose front is missing.
    assert_eq!(check(&part, None).verdict(), Verdict::Broken);
    assert_eq!(check(&part, Some(63)).verdict(), Verdict::Broken);
    let report = check(&part, Some(64));
    assert_eq!((report.verdict(), report.completeness.begins), (Verdict::Whole, 64));
    // The same records, and two parts one behind the other.
    let note = |line: &str| line.starts_with("{\"checkpoint\"") && line.contains("\\n64\\n");
    let end = whole.lines().position(note).unwrap() + 1;
    let first: String = whole.lines().take(end).flat_map(|line| [line, "\n"]).collect();
    let both = format!("{first}{part}");
    assert_eq!(check(&both, None).verdict(), Verdict::Whole);
    assert_eq!(check(&both, None).root, check(&whole, None).root);
    // A part in the wrong place, a part of another log, a forged beginning.
    assert_eq!(check(&format!("{whole}{part}"), None).verdict(), Verdict::Broken);
    let other = log();
    let swapped = export(other.path(), Start::At(64));
    assert_eq!(check(&format!("{first}{swapped}"), None).verdict(), Verdict::Broken);
    assert_eq!(check(&swapped, Some(64)).verdict(), Verdict::Broken);
    let line = part.lines().next().unwrap();
    for (old, new) in [
        ("\"leaf\":\"", "\"leaf\":\"00"),
        ("\"frontier\":\"", "\"frontier\":\"00"),
        ("time_ms 1", "time_ms 2"),
    ] {
        let forged = part.replacen(line, &line.replacen(old, new, 1), 1);
        assert_ne!(forged, part);
        assert_eq!(check(&forged, Some(64)).verdict(), Verdict::Broken, "{new}");
    }
    let leaf = line.find("\"leaf\":\"").unwrap() + 8;
    let mut forged = part.clone();
    forged.replace_range(leaf..leaf + 64, &"0".repeat(64));
    assert_eq!(check(&forged, Some(64)).verdict(), Verdict::Broken, "another leaf before it");
    let keyless = Trust { from: Some(64), ..Trust::default() };
    assert_eq!(verify::lines(part.as_bytes(), &keyless).unwrap().verdict(), Verdict::Broken);
}

#[test]
fn the_export_of_a_pruned_log_needs_no_word_of_the_readers() {
    let dir = pruned();
    let text = export(dir.path(), Start::At(0));
    let report = verify::lines(text.as_bytes(), &trust(dir.path(), None)).unwrap();
    assert_eq!((report.verdict(), report.completeness.begins), (Verdict::Whole, 128));
    let silent: String = text
        .lines()
        .filter(|line| !line.contains("\"event\":\"prune\""))
        .flat_map(|l| [l, "\n"])
        .collect();
    let report = verify::lines(silent.as_bytes(), &trust(dir.path(), None)).unwrap();
    assert_ne!(report.verdict(), Verdict::Whole);
}

#[test]
fn a_checkpoint_kept_elsewhere_is_held_against_the_log() {
    let dir = log();
    let store = Store::open(dir.path()).unwrap();
    let signed = |note: &str| store.public_key().open(note).unwrap();
    let mut kept = signed(&store.checkpoint().unwrap().unwrap());
    assert_eq!(store.reader().covers(&kept).unwrap(), Covers::Same);
    kept.root = Digest::of(b"other");
    assert_eq!(store.reader().covers(&kept).unwrap(), Covers::Other);
    kept.size = 151;
    assert_eq!(store.reader().covers(&kept).unwrap(), Covers::Beyond);
    store.prune(128, "local:ann", None).unwrap();
    kept.size = 100;
    assert_eq!(store.reader().covers(&kept).unwrap(), Covers::Pruned);
}
