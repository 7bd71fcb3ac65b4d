//! Is every change to a log found, and named by its record?
use crate::util::{append, database, log_of, state, tamper, verified};
use bartizan_store::verify::{self, Integrity, Trust, Verdict};
use bartizan_store::{
    Allowance, Allowances as _, Answer, ApprovalKey, Desk as _, Digest, Entry, Event, NewQuestion,
    NewToken, Per, Store, StoreError, TokenState, Tokens as _, Verdict as Answered,
};
use proptest::prelude::*;
use rusqlite::{Connection, params};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

const COUNT: u64 = 150;

fn broken_at(dir: &Path) -> u64 {
    match verified(dir).integrity {
        Integrity::Broken { seq, .. } => seq,
        other => panic!("not found: {other:?}"),
    }
}

#[test]
fn each_changed_record_is_named() {
    for sql in [
        "UPDATE records SET record = replace(record, 'cargo', 'crago') WHERE seq = 70",
        "UPDATE records SET record = ' ' || record WHERE seq = 70",
        "UPDATE records SET record = '' WHERE seq = 70",
        "UPDATE records SET leaf = zeroblob(32) WHERE seq = 70",
        "UPDATE records SET leaf = x'' WHERE seq = 70",
        "UPDATE records SET session = 'other' WHERE seq = 70",
        "UPDATE records SET session = NULL WHERE seq = 70",
        "UPDATE records SET event = 'outcome' WHERE seq = 70",
        "UPDATE records SET time_ms = 1 WHERE seq = 70",
        "DELETE FROM records WHERE seq = 70",
        "DELETE FROM records WHERE seq >= 70",
        "UPDATE records SET seq = 1000 WHERE seq = 70",
        "UPDATE records SET seq = -1 WHERE seq = 70;
         UPDATE records SET seq = 70 WHERE seq = 71; UPDATE records SET seq = 71 WHERE seq = -1",
        "UPDATE records SET seq = seq + 1000 WHERE seq >= 70;
         INSERT INTO records SELECT 70, time_ms, event, session, record, leaf FROM records WHERE seq = 3;
         UPDATE records SET seq = seq - 999 WHERE seq >= 1000",
        "UPDATE records SET (record, leaf) = (SELECT record, leaf FROM records WHERE seq = 69) WHERE seq = 70",
    ] {
        let dir = log_of(COUNT);
        tamper(dir.path(), sql);
        assert_eq!(broken_at(dir.path()), 70, "{sql}");
    }
}

#[test]
fn a_record_that_was_changed_with_its_hash_is_named() {
    // Who can write the database can compute hashes too: the next record, or the checkpoint, gives it away.
    for (seq, found) in [(70_i64, 71), (149, COUNT)] {
        let dir = log_of(COUNT);
        let db = Connection::open(database(dir.path())).unwrap();
        let record: String = db
            .query_row("SELECT record FROM records WHERE seq = ?1", [seq], |row| row.get(0))
            .unwrap();
        let forged = record.replace("cargo test", "rm -rf / #");
        let leaf = Digest::of_parts(&[&[0], forged.as_bytes()]);
        let sql = "UPDATE records SET record = ?1, leaf = ?2 WHERE seq = ?3";
        db.execute(sql, params![forged, leaf.as_bytes(), seq]).unwrap();
        drop(db);
        assert_eq!(broken_at(dir.path()), found);
    }
}

#[test]
fn each_byte_of_a_record_counts() {
    let dir = log_of(3);
    let db = Connection::open(database(dir.path())).unwrap();
    let record: String =
        db.query_row("SELECT record FROM records WHERE seq = 1", [], |row| row.get(0)).unwrap();
    for at in 0..record.len() {
        let mut bytes = record.clone().into_bytes();
        bytes[at] ^= 1;
        db.execute("UPDATE records SET record = CAST(?1 AS TEXT) WHERE seq = 1", [&bytes]).unwrap();
        assert_eq!(broken_at(dir.path()), 1, "byte {at}");
    }
    db.execute("UPDATE records SET record = ?1 WHERE seq = 1", [&record]).unwrap();
    assert_eq!(verified(dir.path()).integrity, Integrity::Whole);
}

#[test]
fn changed_checkpoints_and_counts_are_found() {
    for sql in [
        "UPDATE checkpoints SET note = replace(note, 'time_ms 1', 'time_ms 2') WHERE size = FIRST",
        "UPDATE checkpoints SET note = 'x' WHERE size = FIRST",
        "UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = FIRST) WHERE size = 150",
        "UPDATE checkpoints SET frontier = zeroblob(32) WHERE size = FIRST",
        "UPDATE checkpoints SET size = size + 1 WHERE size = FIRST",
        "UPDATE checkpoints SET size = 900 WHERE size = 150",
        "DELETE FROM checkpoints WHERE size = 150",
        "UPDATE log SET size = 149",
        "UPDATE log SET leaf = zeroblob(32)",
        "UPDATE log SET anchored = 3",
        "UPDATE log SET frontier = zeroblob(128)",
        "UPDATE log SET log_id = 'other'",
        "DELETE FROM log",
    ] {
        let dir = log_of(COUNT);
        // On a slow machine the first one was signed before there were 64.
        let first = "(SELECT min(size) FROM checkpoints)";
        tamper(dir.path(), &sql.replace("FIRST", first));
        let verdict = verified(dir.path()).verdict();
        assert_eq!(verdict, Verdict::Broken, "{sql}");
    }
}

#[test]
fn a_log_that_was_changed_at_its_end_is_not_built_upon() {
    for sql in [
        "UPDATE records SET record = replace(record, 'cargo', 'crago') WHERE seq = 149",
        "DELETE FROM records WHERE seq = 149",
        "DELETE FROM checkpoints WHERE size = 150",
        "UPDATE checkpoints SET note = replace(note, 'time_ms 1', 'time_ms 2') WHERE size = 150",
        "UPDATE log SET size = 149",
        "UPDATE log SET leaf = zeroblob(32)",
    ] {
        // The log goes on for a few records after the last checkpoint, as after a crash.
        let dir = log_of(COUNT);
        tamper(dir.path(), sql);
        let error = Store::open(dir.path()).err().or_else(|| {
            // What lies before the newest checkpoint is for `verify` to find.
            (verified(dir.path()).verdict() == Verdict::Broken)
                .then(|| StoreError::Ended { id: String::new() })
        });
        assert!(error.is_some(), "{sql}");
    }
}

#[test]
fn an_old_copy_put_back_is_found() {
    let dir = state();
    let (old, store) = (state(), Store::open(dir.path()).unwrap());
    append(&store, 0);
    drop(store);
    fs::copy(database(dir.path()), database(old.path())).unwrap();
    let store = Store::open(dir.path()).unwrap();
    append(&store, 1);
    drop(store);
    fs::copy(database(old.path()), database(dir.path())).unwrap();
    assert_eq!(verified(dir.path()).integrity, Integrity::Truncated { signed: 2 });
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("cut off"), "{error}");
    fs::remove_file(database(dir.path())).unwrap();
    assert!(
        matches!(Store::open(dir.path()), Err(StoreError::Changed { .. })),
        "the whole log was removed"
    );
}

#[test]
fn a_log_written_anew_does_not_fit_a_checkpoint_kept_elsewhere() {
    let dir = log_of(5);
    let note = Store::open(dir.path()).unwrap().checkpoint().unwrap().unwrap();
    for file in ["bartizan.db", "checkpoint.latest"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    let store = Store::open(dir.path()).unwrap();
    for number in 0..9 {
        append(&store, number + 100);
    }
    drop(store);
    assert_eq!(verified(dir.path()).integrity, Integrity::Whole, "nothing here tells");
    let trust = Trust { anchors: vec![note], ..Trust::default() };
    let Integrity::Broken { why, .. } = verify::dir(dir.path(), &trust).unwrap().integrity else {
        panic!("not found")
    };
    assert!(why.contains("kept elsewhere"), "{why}");
}

#[test]
fn a_log_signed_with_another_key_is_not_taken() {
    let (dir, other) = (log_of(5), log_of(5));
    let key = Store::open(other.path()).unwrap().public_key().clone();
    let trust = Trust { key: Some(key), ..Trust::default() };
    assert_eq!(verify::dir(dir.path(), &trust).unwrap().verdict(), Verdict::Broken);
}

#[test]
fn no_damage_to_the_file_makes_anything_panic_or_pass_for_whole() {
    let dir = log_of(COUNT);
    let whole = fs::read(database(dir.path())).unwrap();
    let right = export(dir.path()).unwrap();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for round in 0..160 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let at = usize::try_from(random).unwrap() % whole.len();
        let mut damaged = whole.clone();
        match round % 4 {
            0 => damaged[at] ^= 1 << (random % 8),
            1 => damaged[at..].fill(0),
            2 => damaged.truncate(at),
            _ => damaged[at..whole.len().min(at + 600)].fill(0xa5),
        }
        fs::write(database(dir.path()), damaged).unwrap();
        for side in ["bartizan.db-wal", "bartizan.db-shm"] {
            fs::remove_file(dir.path().join(side)).ok();
        }
        if let Ok(report) = verify::dir(dir.path(), &Trust::default())
            && report.integrity == Integrity::Whole
        {
            assert_eq!(export(dir.path()).unwrap(), right, "round {round}, byte {at}");
        }
        drop(Store::open(dir.path()));
    }
}

fn export(dir: &Path) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    bartizan_store::Reader::open(dir).ok()?.export(bartizan_store::Start::At(0), &mut out).ok()?;
    Some(out)
}

#[test]
fn each_damaged_line_of_an_export_is_found() {
    let dir = log_of(70);
    let key = Store::open(dir.path()).unwrap().public_key().clone();
    let whole = String::from_utf8(export(dir.path()).unwrap()).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let trust = Trust { key: Some(key), ..Trust::default() };
    let verdict = |lines: &[&str]| {
        let text = lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
        verify::lines(text.as_bytes(), &trust).unwrap().verdict()
    };
    assert_eq!(verdict(&lines), Verdict::Whole);
    for at in 0..lines.len() {
        let without: Vec<&str> = [&lines[..at], &lines[at + 1..]].concat();
        let found = verdict(&without);
        let note = lines[at].starts_with("{\"checkpoint\"");
        // A checkpoint that is left out leaves a log that is whole up to another one.
        assert!(
            note || matches!(found, Verdict::Broken | Verdict::Truncated),
            "line {at} left out: {found:?}"
        );
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        assert!(note || verdict(&twice) == Verdict::Broken, "line {at} twice");
        let changed = lines[at].replacen('1', "7", 1);
        let mut other = lines.clone();
        other[at] = &changed;
        assert_eq!(verdict(&other), Verdict::Broken, "line {at} changed");
    }
    for garbage in [
        &b"\n"[..],
        b"{}\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b"{\"checkpoint\":\n",
        b"{\"checkpoint\":1}\n",
    ] {
        let found = verify::lines(garbage, &trust).unwrap();
        assert_eq!(found.verdict(), Verdict::Broken, "{garbage:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_input_makes_the_verifier_panic(
        lines in proptest::collection::vec(
            prop_oneof![
                "[ -~]{0,40}",
                "\\{\"checkpoint\":\"[ -~]{0,40}\"\\}",
                "\\{\"event\":\"call\",\"log_id\":\"l\",\"prev\":\"0{64}\",\"seq\":0,\"time_ms\":[0-9]{1,20},\"v\":1\\}",
            ],
            0..6,
        ),
        noise in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let text = [lines.join("\n").into_bytes(), noise].concat();
        for key in [None, Some(key)] {
            let report = verify::lines(text.as_slice(), &Trust { key, ..Trust::default() }).unwrap();
            prop_assert!(report.records <= 1);
            prop_assert_eq!(report.completeness.checkpoints, 0);
        }
    }
}

/// What is used up, taken back or spent, and so is good for nothing any more.
struct Gone {
    used: ApprovalKey,
    denied: ApprovalKey,
    token: Digest,
    allowance: Allowance,
}

fn gone(dir: &Path) -> Gone {
    let store = Store::open(dir).unwrap();
    let answered = |call: &str, verdict| {
        let digest = Digest::of(call.as_bytes());
        let key =
            ApprovalKey { session: "s-1".to_owned(), digest, policy: Digest::of(b"policy 1") };
        let question = store
            .ask(NewQuestion {
                session: key.session.clone(),
                agent: "build".to_owned(),
                tool: "Bash".to_owned(),
                digest,
                policy: key.policy,
                quorum: 1,
                shown: json!({ "command": call }),
                expires_in: Duration::from_mins(10),
            })
            .unwrap();
        let answer = Answer { approver: "anna".to_owned(), verdict, reason: String::new() };
        drop(store.answer(&question.id, answer).unwrap());
        key
    };
    let used = answered("used", Answered::Approve);
    drop(store.consume(&used).unwrap());
    let denied = answered("denied", Answered::Deny);
    let token = Digest::of(b"token");
    let new = NewToken {
        hash: token,
        name: "ci".to_owned(),
        role: "default".to_owned(),
        tools: Vec::new(),
        lives: Duration::from_mins(10),
        by: "anna".to_owned(),
    };
    let issued = store.issue(new).unwrap();
    drop(store.revoke(&issued.id, "anna").unwrap());
    let most = 1.try_into().unwrap();
    let allowance = Allowance { key: "Bash".to_owned(), per: Per::Session("s-1".to_owned()), most };
    let entry = || Entry::new(Event::Refusal).session("s-1");
    drop(store.spend(vec![allowance.clone()], entry()).unwrap().unwrap());
    assert!(store.spend(vec![allowance.clone()], entry()).unwrap().is_err());
    Gone { used, denied, token, allowance }
}

#[test]
fn no_damage_to_the_file_makes_good_again_what_is_used_up_or_taken_back() {
    let dir = log_of(3);
    let Gone { used, denied, token, allowance } = gone(dir.path());
    let kept = fs::read(dir.path().join("checkpoint.latest")).unwrap();
    let whole = fs::read(database(dir.path())).unwrap();
    let (mut taken, mut refused) = (0, 0);
    // What a disk did not write is zero, by the sector. What lies last in a page was put there first.
    for page in 0..whole.len() / PAGE {
        let end = (page + 1) * PAGE;
        let mut torn = whole.clone();
        torn[end - 512..end].fill(0);
        fs::write(database(dir.path()), torn).unwrap();
        for side in ["bartizan.db-wal", "bartizan.db-shm"] {
            fs::remove_file(dir.path().join(side)).ok();
        }
        fs::write(dir.path().join("checkpoint.latest"), &kept).unwrap();
        let Ok(store) = Store::open(dir.path()) else {
            refused += 1;
            continue;
        };
        taken += 1;
        assert!(store.consume(&used).is_err(), "page {page}");
        assert!(store.consume(&denied).is_err(), "page {page}");
        let token = store.token_of(&token).ok().flatten();
        assert!(token.is_none_or(|token| token.state() != TokenState::Good), "page {page}");
        let entry = Entry::new(Event::Refusal).session("s-1");
        let spent = store.spend(vec![allowance.clone()], entry);
        assert!(!spent.is_ok_and(|spent| spent.is_ok()), "page {page}");
    }
    assert!(taken > 0 && refused > 0, "{taken} {refused}");
}

const PAGE: usize = 4096;
