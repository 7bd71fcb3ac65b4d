//! Is what was acknowledged on the log, in order, once, from however many threads and processes?
use crate::util::{again, append, assert_whole, entry, log_of, role, state, verified};
use bartizan_store::verify::{self, Integrity, Trust, Verdict};
use bartizan_store::{Durability, Entry, Event, Filter, Ledger, LedgerError, Store};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

#[test]
fn a_durable_record_is_readable_when_append_returns() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    let receipt = store.append(entry(7), Durability::Durable).unwrap();
    assert_eq!((receipt.seq(), receipt.durability()), (Some(0), Durability::Durable));
    let record = &store.reader().page(&Filter::default(), 10).unwrap()[0];
    assert_eq!(Some(record.leaf), receipt.leaf());
    let value = record.value();
    assert_eq!(value["event"], "call");
    assert_eq!(value["session"], "s-1");
    assert_eq!(value["args"]["n"], 7);
    assert_eq!(value["prev"], "0".repeat(64));
    assert_eq!(value["log_id"], store.public_key().log_id());
}

#[test]
fn what_is_done_while_the_disk_takes_a_record_is_done_once_and_proves_nothing() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    for durability in [Durability::Durable, Durability::Soon] {
        let mut done = 0;
        // What is done may itself write to the log, and wait for it.
        let mut more = || {
            done += 1;
            append(&store, 1);
        };
        let receipt = store.append_during(entry(0), durability, &mut more).unwrap();
        assert_eq!((receipt.durability(), done), (durability, 1));
    }
    let mut done = 0;
    let refused =
        store.append_during(entry(0).with("seq", 1), Durability::Durable, &mut || done += 1);
    assert!(matches!(refused, Err(LedgerError::Unrecordable { .. })), "{refused:?}");
    assert_eq!(done, 0, "it was not taken");
    // A row where the next record belongs makes the commit fail.
    let next = store.reader().size().unwrap();
    let row = format!("INSERT INTO records VALUES ({next}, 0, 'call', NULL, 'x', x'00')");
    crate::util::tamper(dir.path(), &row);
    let failed = store.append_during(entry(2), Durability::Durable, &mut || done += 1);
    assert!(matches!(failed, Err(LedgerError::Failed { .. })), "{failed:?}");
    assert_eq!(done, 1, "it was under way by then");
    let failed = store.append_during(entry(3), Durability::Durable, &mut || done += 1);
    assert!(failed.is_err());
    assert_eq!(done, 1);
}

#[test]
fn a_soon_record_is_on_the_log_within_50_ms() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    append(&store, 0);
    // The best of several: the machine may be busy, the promise of the code is what is tried.
    let best = (1..20_u64).map(|number| {
        let start = Instant::now();
        let receipt = store.append(entry(number), Durability::Soon).unwrap();
        assert_eq!((receipt.seq(), receipt.durability()), (None, Durability::Soon));
        while store.reader().size().unwrap() == number {
            assert!(start.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
        start.elapsed()
    });
    assert!(best.min().unwrap() < Duration::from_millis(50));
}

#[test]
fn soon_records_are_kept_in_order_and_flushed_at_the_end() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    for number in 0..2000 {
        let _receipt = store.append(entry(number), Durability::Soon).unwrap();
    }
    drop(store);
    assert_eq!(assert_whole(dir.path()).verdict(), Verdict::Whole);
    let store = Store::open(dir.path()).unwrap();
    let mut next = 0;
    let see = |record: bartizan_store::Record| {
        assert_eq!(record.value()["args"]["n"], next);
        next += 1;
        ControlFlow::Continue(())
    };
    store.reader().each(&Filter::default(), see).unwrap();
    assert_eq!(next, 2000);
}

#[test]
fn who_has_to_wait_long_for_another_process_is_not_lost() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    append(&store, 0);
    let database = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.path());
    let database = database.filter(|path| path.extension().is_some_and(|ending| ending == "db"));
    let other = rusqlite::Connection::open(database.last().unwrap()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waits = std::thread::spawn({
        let store = store.clone();
        move || append(&store, 1)
    });
    std::thread::sleep(Duration::from_secs(15));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(waits.join().unwrap(), 1);
}

#[test]
fn thirty_two_threads_lose_nothing_and_get_a_place_each() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    let each = 100;
    let seqs: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..32)
            .map(|thread| {
                let store = store.clone();
                scope.spawn(move || {
                    (0..each).map(|n| append(&store, thread * each + n)).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(seqs.iter().copied().collect::<BTreeSet<_>>().len(), 3200);
    drop(store);
    let report = assert_whole(dir.path());
    assert_eq!((report.records, report.completeness.unanchored), (3200, 0));
}

#[test]
fn two_processes_share_one_chain() {
    if let Some(dir) = role() {
        let store = Store::open(&dir).unwrap();
        for number in 0..200 {
            append(&store, number);
        }
        return;
    }
    let dir = state();
    // Three processes, started together on an empty directory: they must also agree on key and database.
    let mut others: Vec<_> = (0..3)
        .map(|_| again("ledger::two_processes_share_one_chain", dir.path()).spawn().unwrap())
        .collect();
    for other in &mut others {
        assert!(other.wait().unwrap().success());
    }
    let report = assert_whole(dir.path());
    assert_eq!((report.records, report.completeness.unanchored), (600, 0));
}

#[test]
fn a_second_store_in_the_same_process_shares_the_chain() {
    let dir = state();
    let (first, second) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
    for number in 0..50 {
        assert_eq!(append(&first, number), number * 2);
        assert_eq!(append(&second, number), number * 2 + 1);
    }
    drop(first);
    assert_eq!(append(&second, 9), 100);
    drop(second);
    assert_eq!(assert_whole(dir.path()).records, 101);
}

#[test]
fn an_unrecordable_entry_is_refused_and_harms_nothing() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    for durability in [Durability::Durable, Durability::Soon] {
        let refused = store.append(entry(0).with("seq", 1), durability);
        assert!(matches!(refused, Err(LedgerError::Unrecordable { .. })), "{refused:?}");
    }
    assert_eq!(append(&store, 0), 0);
}

#[test]
fn after_a_failed_commit_nothing_more_is_taken() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    append(&store, 0);
    // A row where the next record belongs makes the commit fail.
    crate::util::tamper(dir.path(), "INSERT INTO records VALUES (1, 0, 'call', NULL, 'x', x'00')");
    for number in 1..20 {
        let durability = if number % 2 == 0 { Durability::Soon } else { Durability::Durable };
        let refused = store.append(entry(number), durability);
        assert!(matches!(refused, Err(LedgerError::Failed { .. })), "{refused:?}");
    }
    let LedgerError::Failed { why } = store.append(entry(1), Durability::Durable).unwrap_err()
    else {
        panic!("another error")
    };
    assert!(why.contains("bartizan.db") && why.contains("hint"), "{why}");
    assert!(store.checkpoint().is_err());
}

#[test]
fn a_failed_soon_record_is_told_at_the_next_append() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    append(&store, 0);
    crate::util::tamper(dir.path(), "INSERT INTO records VALUES (1, 0, 'call', NULL, 'x', x'00')");
    let _receipt = store.append(entry(1), Durability::Soon).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.append(entry(2), Durability::Soon).is_ok() {
        assert!(Instant::now() < deadline, "the failure was never told");
        std::thread::yield_now();
    }
    assert!(store.append(entry(3), Durability::Soon).is_err());
}

#[test]
fn a_checkpoint_covers_the_log_within_a_second_of_rest_and_at_the_end() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    append(&store, 0);
    assert_eq!(verified(dir.path()).verdict(), Verdict::Unanchored);
    let deadline = Instant::now() + Duration::from_secs(15);
    while verified(dir.path()).verdict() != Verdict::Whole {
        assert!(Instant::now() < deadline, "no checkpoint came");
        std::thread::sleep(Duration::from_millis(50));
    }
    append(&store, 1);
    let note = store.checkpoint().unwrap().unwrap();
    let signed = store.public_key().open(&note).unwrap();
    assert_eq!((signed.size, signed.root), (2, verified(dir.path()).root));
    append(&store, 2);
    drop(store);
    assert_eq!(verified(dir.path()).verdict(), Verdict::Whole);
}

#[test]
fn an_empty_log_is_whole_and_has_no_checkpoint() {
    let dir = log_of(0);
    let report = assert_whole(dir.path());
    assert_eq!((report.records, report.verdict()), (0, Verdict::Whole));
    assert_eq!(Store::open(dir.path()).unwrap().checkpoint().unwrap(), None);
}

#[test]
fn the_filters_find_what_they_name_and_no_more() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    for number in 0..10 {
        append(&store, number);
    }
    let other =
        Entry::new(Event::Refusal).session("s-2").call("c-1").with("why", "Egress to 'evil%host'");
    let _receipt = store.append(other, Durability::Durable).unwrap();
    let seqs = |filter: &Filter| -> Vec<u64> {
        store.reader().page(filter, 100).unwrap().iter().map(|record| record.seq).collect()
    };
    let all = Filter::default();
    assert_eq!(seqs(&Filter { session: Some("s-2".into()), ..all.clone() }), [10]);
    assert_eq!(seqs(&Filter { call: Some("c-1".into()), ..all.clone() }), [1, 10]);
    assert_eq!(seqs(&Filter { event: Some(Event::Refusal), ..all.clone() }), [10]);
    assert_eq!(seqs(&Filter { text: Some("EVIL%HOST".into()), ..all.clone() }), [10]);
    assert_eq!(seqs(&Filter { text: Some("evil_host".into()), ..all.clone() }), [0_u64; 0]);
    assert_eq!(seqs(&Filter { from_seq: Some(9), ..all.clone() }), [9, 10]);
    assert_eq!(seqs(&Filter { since_ms: Some(1 << 50), ..all.clone() }), [0_u64; 0]);
    assert_eq!(seqs(&Filter { session: Some("' OR 1=1 --".into()), ..all.clone() }), [0_u64; 0]);
    let tail = store.reader().tail(&all, 3).unwrap();
    assert_eq!(tail.iter().map(|record| record.seq).collect::<Vec<_>>(), [8, 9, 10]);
}

#[test]
fn completeness_tells_calls_without_outcome_and_sessions_without_end() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    append(&store, 1);
    append(&store, 2);
    for (event, call) in
        [(Event::SessionStart, None), (Event::Outcome, Some("c-1")), (Event::Outcome, Some("c-9"))]
    {
        let mut entry = Entry::new(event).session("s-1");
        entry.call = call.map(str::to_owned);
        let _receipt = store.append(entry, Durability::Durable).unwrap();
    }
    // An outcome of the same call id in another session closes nothing.
    let other = Entry::new(Event::Outcome).session("s-2").call("c-2");
    let _receipt = store.append(other, Durability::Durable).unwrap();
    let found = assert_whole(dir.path()).completeness;
    assert_eq!(found.open_calls.iter().map(|call| call.call.as_str()).collect::<Vec<_>>(), ["c-2"]);
    assert_eq!(found.open_sessions, ["s-1"]);
}

#[test]
fn an_export_is_verified_elsewhere_and_a_cut_off_one_is_not_taken_for_whole() {
    let dir = log_of(200);
    let store = Store::open(dir.path()).unwrap();
    let mut out = Vec::new();
    store.reader().export(bartizan_store::Start::At(0), &mut out).unwrap();
    let trust = Trust {
        key: Some(store.public_key().clone()),
        anchors: vec![store.checkpoint().unwrap().unwrap()],
        ..Trust::default()
    };
    let report = verify::lines(out.as_slice(), &trust).unwrap();
    assert_eq!((report.records, report.verdict()), (200, Verdict::Whole));
    assert_eq!(report.root, assert_whole(dir.path()).root);
    for keep in [0, 1, 5000, out.len() / 2, out.len() - 1] {
        let report = verify::lines(&out[..keep], &trust).unwrap();
        assert_ne!(report.integrity, Integrity::Whole, "{keep} bytes");
    }
}

#[test]
fn the_ledger_can_be_used_behind_its_trait() {
    let dir = state();
    let ledger: Box<dyn Ledger> = Box::new(Store::open(dir.path()).unwrap());
    assert_eq!(ledger.append(entry(0), Durability::Durable).unwrap().seq(), Some(0));
}
