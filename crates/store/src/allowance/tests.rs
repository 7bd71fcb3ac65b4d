//! Does a count hold, whatever the clock, the order and the number of those who count?

use super::*;
use crate::entry::Event;
use crate::sessions::{Ending, NewSession, Sessions as _};
use crate::{Filter, Store};
use serde_json::Map;
use std::thread;

const NOON: u64 = 20_000 * DAY_MS + DAY_MS / 2;

fn allowance(per: Per, most: u32) -> Allowance {
    Allowance { key: "tool t".to_owned(), per, most: NonZeroU32::new(most).unwrap() }
}

fn entry() -> Entry {
    Entry::new(Event::Call).with("tool", "t")
}

/// How many calls have room, one after another at this time.
fn room(allowance: &Allowance, count: &mut Count, now_ms: u64) -> usize {
    let mut taken = 0;
    while let Ok(next) = allowance.take_one(*count, now_ms) {
        *count = next;
        taken += 1;
    }
    taken
}

#[test]
fn a_bucket_is_full_at_first_and_fills_evenly_again() {
    for most in [1, 3, 7, 60, 999, 60_000] {
        let allowance = allowance(Per::Minute, most);
        let (mut count, whole) = (Count::default(), usize::try_from(most).unwrap());
        assert_eq!(room(&allowance, &mut count, NOON), whole, "{most} at once");
        let wait = allowance.take_one(count, NOON).unwrap_err().unwrap();
        assert!(wait <= 60_000_u64.div_ceil(u64::from(most)) + 1, "{most}: {wait} ms");
        assert!(allowance.take_one(count, NOON + wait).is_ok(), "{most}: free when it said so");
        let half = room(&allowance, &mut count.clone(), NOON + 30_000);
        assert!(half.abs_diff(whole / 2) <= 1, "{most}: {half} after half a minute");
        assert_eq!(room(&allowance, &mut count, NOON + 61_000), whole, "{most} a minute later");
    }
}

#[test]
fn a_clock_that_is_put_back_neither_locks_a_bucket_nor_begins_a_day_anew() {
    let minute = allowance(Per::Minute, 10);
    let mut count = Count::default();
    room(&minute, &mut count, NOON);
    let earlier = NOON - 50 * DAY_MS;
    let wait = minute.take_one(count, earlier).unwrap_err().unwrap();
    assert!(wait <= 6_001, "{wait}");
    let day = allowance(Per::Day, 2);
    let mut count = Count::default();
    assert_eq!(room(&day, &mut count, NOON), 2);
    assert!(day.take_one(count, NOON - DAY_MS).is_err());
}

#[test]
fn a_clock_that_was_years_ahead_for_a_moment_locks_no_day_for_years() {
    let day = allowance(Per::Day, 2);
    let mut count = Count::default();
    assert_eq!(room(&day, &mut count, NOON + 20_000 * DAY_MS), 2);
    for back in 0..=7 {
        let then = NOON + (20_000 - back) * DAY_MS;
        assert!(day.take_one(count, then).is_err(), "{back} days back begin none anew");
    }
    assert_eq!(room(&day, &mut count, NOON), 2);
    assert!(day.take_one(count, NOON).unwrap_err().unwrap() <= DAY_MS);
    assert_eq!(room(&day, &mut count, NOON + DAY_MS), 2, "and tomorrow is tomorrow");
}

#[test]
fn a_day_ends_at_midnight() {
    let day = allowance(Per::Day, 2);
    let mut count = Count::default();
    assert_eq!(room(&day, &mut count, NOON), 2);
    assert_eq!(day.take_one(count, NOON), Err(Some(DAY_MS / 2)));
    assert_eq!(room(&day, &mut count, NOON + DAY_MS / 2), 2);
}

#[test]
fn of_many_at_once_no_more_than_the_allowance_are_counted_and_on_the_log() {
    let dir = tempfile::tempdir().unwrap();
    // Two stores on one directory, as two processes have it.
    let stores = [Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap()];
    let of = vec![allowance(Per::Day, 20), allowance(Per::Session("s1".to_owned()), 50)];
    let taken: usize = thread::scope(|scope| {
        let callers: Vec<_> = (0..64)
            .map(|number| {
                let (store, of) = (&stores[number % 2], of.clone());
                scope.spawn(move || usize::from(store.spend(of, entry()).unwrap().is_ok()))
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!(taken, 20);
    let filter = Filter { event: Some(Event::Call), ..Filter::default() };
    assert_eq!(stores[0].reader().page(&filter, 100).unwrap().len(), 20);
}

#[test]
fn a_day_survives_a_restart_and_a_session_ends_with_itself() {
    let dir = tempfile::tempdir().unwrap();
    let of = |session: &str| {
        vec![allowance(Per::Session(session.to_owned()), 1), allowance(Per::Day, 3)]
    };
    let store = Store::open(dir.path()).unwrap();
    let new = NewSession {
        id: "s1".to_owned(),
        agent: "coder".to_owned(),
        workspace: "/w".to_owned(),
        argv: Vec::new(),
        facts: Map::new(),
    };
    store.begin(new).unwrap();
    assert!(store.spend(of("s1"), entry()).unwrap().is_ok());
    let spent = store.spend(of("s1"), entry()).unwrap().unwrap_err();
    assert_eq!(spent, Spent { which: 0, free_in_ms: None });
    assert!(store.spend(of("s2"), entry()).unwrap().is_ok(), "another session has its own");
    store.end("s1", Ending::default()).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.spent(&of("s1")).unwrap(), None, "forgotten with its session");
    assert!(store.spend(of("s3"), entry()).unwrap().is_ok());
    let spent = store.spent(&of("s4")).unwrap().unwrap();
    assert_eq!(spent.which, 1, "three in one day, before and after the restart");
    assert!(spent.free_in_ms.is_some_and(|wait| wait <= DAY_MS));
}
