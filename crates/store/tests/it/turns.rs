//! Does everybody get a turn who writes to one log?
use crate::util::{assert_whole, entry, state};
use bartizan_store::{Durability, Ledger as _, Store};
use std::sync::Barrier;
use std::time::{Duration, Instant};

const WRITERS: u64 = 64;
const WHILE: Duration = Duration::from_secs(3);

/// Each writer has a store of its own, as sessions of `serve` have, each a process.
#[test]
fn of_many_who_write_to_one_log_each_gets_its_turn() {
    let dir = state();
    drop(Store::open(dir.path()).unwrap());
    let ready = Barrier::new(usize::try_from(WRITERS).unwrap());
    let write = |writer: u64| {
        let store = Store::open(dir.path()).unwrap();
        ready.wait();
        let (begun, mut longest, mut count) = (Instant::now(), Duration::ZERO, 0u64);
        while begun.elapsed() < WHILE {
            let asked = Instant::now();
            let _receipt = store.append(entry(writer), Durability::Durable).unwrap();
            longest = longest.max(asked.elapsed());
            count += 1;
        }
        (count, longest)
    };
    let write = &write;
    let done: Vec<(u64, Duration)> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all: u64 = done.iter().map(|(count, _)| count).sum();
    let fewest = done.iter().map(|(count, _)| *count).min().unwrap();
    assert!(fewest * 4 >= all / WRITERS, "{done:?}");
    assert_whole(dir.path());
}
