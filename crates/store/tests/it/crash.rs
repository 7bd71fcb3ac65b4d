//! Is every acknowledged record still there after `kill -9` at any moment, and the chain whole?
use crate::util::{again, append, assert_whole, role, state};
use bartizan_store::{Durability, Filter, Ledger as _, Store};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// The process that is killed: four threads append and say what was acknowledged.
#[test]
fn appender() {
    let Some(dir) = role() else { return };
    let store = Store::open(&dir).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for number in 0.. {
                    if number % 5 == 4 {
                        let soon = crate::util::entry(number);
                        let _receipt = store.append(soon, Durability::Soon).unwrap();
                        continue;
                    }
                    let seq = append(store, thread * 1_000_000 + number);
                    let line = format!("ack {seq} {}\n", thread * 1_000_000 + number);
                    // One write, so that a kill never leaves half a line that reads as another number.
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    std::io::stdout().flush().unwrap();
                }
            });
        }
    });
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    if role().is_some() {
        return;
    }
    let dir = state();
    let mut acked = 0;
    for turn in 0..64_u64 {
        // Every third is killed somewhere in its start, the others somewhere after their first commit.
        let since = if turn % 3 == 0 { Since::Start } else { Since::FirstAck };
        acked += kill_one(dir.path(), since, Duration::from_micros(turn * 7919 % 61_000));
        if acked > 0 {
            assert_whole(dir.path());
        }
        // A start takes up whatever the killed one left, a half-made directory too.
        if turn % 2 == 0 {
            drop(Store::open(dir.path()).unwrap());
            assert_whole(dir.path());
        }
    }
    assert!(acked > 500, "only {acked} acknowledged: the test tries nothing");
    // A start after all this goes on where the log ends.
    let store = Store::open(dir.path()).unwrap();
    let size = store.reader().size().unwrap();
    assert_eq!(append(&store, 0), size);
}

#[derive(Clone, Copy, PartialEq)]
enum Since {
    Start,
    FirstAck,
}

/// Runs an appender, kills it `time` after its start or first acknowledgement, and looks for each record it said it had.
fn kill_one(dir: &Path, since: Since, time: Duration) -> usize {
    let mut child =
        again("crash::appender", dir).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (first, acked) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let lines = stdout.lines().map_while(Result::ok);
        let acks = lines.filter_map(|line| {
            // The test harness puts its own words before the first.
            let (_, ack) = line.split_once("ack ")?;
            let (seq, number) = ack.split_once(' ')?;
            first.send(()).ok();
            Some((seq.parse::<u64>().ok()?, number.parse::<u64>().ok()?))
        });
        acks.collect::<Vec<_>>()
    });
    if since == Since::FirstAck {
        acked.recv_timeout(Duration::from_mins(1)).unwrap();
    }
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
    let acks = reader.join().unwrap();
    if acks.is_empty() {
        return 0;
    }
    let store = Store::open(dir).unwrap();
    let first = acks.iter().map(|(seq, _)| *seq).min();
    let records =
        store.reader().page(&Filter { from_seq: first, ..Filter::default() }, usize::MAX).unwrap();
    for (seq, number) in &acks {
        let found = records.iter().find(|record| record.seq == *seq);
        let found = found.unwrap_or_else(|| panic!("record {seq} was acknowledged and is lost"));
        assert_eq!(found.value()["args"]["n"], *number, "record {seq}");
    }
    acks.len()
}
