//! Are sessions taken down once, ended once, and found when they died?
use crate::util::{again, assert_whole, role, state};
use bartizan_store::{
    Ending, Event, Filter, NewSession, SessionFilter, Sessions as _, Store, StoreError,
};
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

fn new(id: &str) -> NewSession {
    NewSession {
        id: id.to_owned(),
        agent: "build".to_owned(),
        workspace: "/w".to_owned(),
        argv: vec!["bash".to_owned(), "-c".to_owned(), "true".to_owned()],
        facts: json!({ "policy": "p-1" }).as_object().unwrap().clone(),
    }
}

#[test]
fn a_session_begins_and_ends_with_its_records() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    let begun = store.begin(new("20261121-a")).unwrap();
    assert_eq!((begun.pid, begun.ended_ms, begun.is_leftover()), (std::process::id(), None, false));
    assert_eq!(store.sessions(SessionFilter::Open).unwrap(), [begun]);
    assert!(matches!(store.begin(new("20261121-a")), Err(StoreError::SessionExists { .. })));
    let ending = Ending { exit: Some(3), report: json!({ "files": ["a"], "seconds": 1.5 }) };
    let ended = store.end("20261121-a", ending.clone()).unwrap();
    assert_eq!((ended.exit, ended.report), (Some(3), Some(ending.report.clone())));
    assert!(matches!(store.end("20261121-a", ending), Err(StoreError::Ended { .. })));
    assert!(store.sessions(SessionFilter::Open).unwrap().is_empty());
    let records = store.reader().page(&Filter::default(), 10).unwrap();
    let events: Vec<_> = records.iter().map(|record| record.value()["event"].clone()).collect();
    assert_eq!(events, [Event::SessionStart.as_str(), Event::SessionEnd.as_str()]);
    assert_eq!(records[0].value()["policy"], "p-1");
    let found = assert_whole(dir.path()).completeness;
    assert_eq!((found.open_sessions.len(), found.unanchored), (0, 0));
}

#[test]
fn a_beginning_of_an_id_finds_the_one_session_and_never_one_of_two() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    for id in ["ab", "abc", "xyz%"] {
        store.begin(new(id)).unwrap();
    }
    assert_eq!(store.session("x").unwrap().id, "xyz%");
    assert_eq!(store.session("ab").unwrap().id, "ab");
    assert!(matches!(store.session("a"), Err(StoreError::Ambiguous { count: 2, .. })));
    for id in ["", "%", "y", "abcd", "_b"] {
        assert!(matches!(store.session(id), Err(StoreError::NotFound { .. })), "{id}");
    }
}

#[test]
fn bad_sessions_are_refused_and_leave_nothing() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    for bad in [
        NewSession { id: String::new(), ..new("a") },
        NewSession { agent: "a\n".into(), ..new("a") },
    ] {
        assert!(store.begin(bad).is_err());
    }
    let shadow = json!({ "prev": "x" }).as_object().unwrap().clone();
    assert!(store.begin(NewSession { facts: shadow, ..new("a") }).is_err());
    assert!(store.sessions(SessionFilter::All).unwrap().is_empty());
    assert_eq!(store.reader().size().unwrap(), 0);
}

#[test]
fn a_session_whose_process_died_is_leftover_and_can_be_ended_by_another() {
    if let Some(dir) = role() {
        let store = Store::open(&dir).unwrap();
        store.begin(new("dies")).unwrap();
        println!("\nbegun");
        std::thread::sleep(std::time::Duration::from_mins(1));
        return;
    }
    let dir = state();
    let name = "sessions::a_session_whose_process_died_is_leftover_and_can_be_ended_by_another";
    let mut child = again(name, dir.path()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "begun"));
    let store = Store::open(dir.path()).unwrap();
    assert!(store.sessions(SessionFilter::Leftover).unwrap().is_empty(), "it still runs");
    child.kill().unwrap();
    child.wait().unwrap();
    let left = store.sessions(SessionFilter::Leftover).unwrap();
    assert_eq!(left.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(), ["dies"]);
    let ended = store.end("dies", Ending::default()).unwrap();
    assert_eq!((ended.exit, ended.is_leftover()), (None, false));
    let last = &store.reader().tail(&Filter::default(), 1).unwrap()[0];
    assert_eq!(last.value()["leftover"], true);
}
