//! Is a run found that was flagged, and does a person's last word stand until the next flag?
use crate::util::{assert_whole, state};
use bartizan_store::{
    Durability, Entry, Event, Ledger as _, NewSession, Opinion, Sessions as _, Store, StoreError,
};
use serde_json::{Map, json};

fn session(store: &Store, id: &str) {
    let new = NewSession {
        id: id.to_owned(),
        agent: "build".to_owned(),
        workspace: "/w".to_owned(),
        argv: vec!["true".to_owned()],
        facts: Map::new(),
    };
    store.begin(new).unwrap();
}

fn flag(store: &Store, session: &str, act: &str, rule: &str) {
    let entry = Entry::new(Event::Flag).session(session).with("act", act).with("rule", rule);
    let entry = entry.with("says", "odd").with("severity", "high");
    let _receipt = store.append(entry, Durability::Durable).unwrap();
}

#[test]
fn a_verdict_stands_until_the_run_is_flagged_again() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    for id in ["s-1", "s-2", "s-3"] {
        session(&store, id);
    }
    flag(&store, "s-1", "raise", "first");
    flag(&store, "s-2", "raise", "other");
    flag(&store, "s-3", "resume", "none");
    let names = || -> Vec<String> {
        store.reader().reviewed().unwrap().into_iter().map(|run| run.session).collect()
    };
    assert_eq!(names(), ["s-2", "s-1"], "the newest first; who lets a run go on flags nothing");
    store.review("s-1", Opinion::Harmless, "a <b>test</b>", "local:ann").unwrap();
    assert_eq!(names(), ["s-1", "s-2"]);
    let run = store.reader().reviewed_run("s-1").unwrap();
    assert_eq!((run.flags.len(), run.reviews.len()), (1, 1));
    let word = run.settled().unwrap();
    assert_eq!(
        (word.verdict, &*word.note, &*word.by),
        (Opinion::Harmless, "a <b>test</b>", "local:ann")
    );
    flag(&store, "s-1", "raise", "second");
    assert_eq!(store.reader().reviewed_run("s-1").unwrap().settled(), None);
    store.review("s-1", Opinion::Attack, "", "local:ben").unwrap();
    let run = store.reader().reviewed_run("s-1").unwrap();
    assert_eq!(run.settled().map(|word| word.verdict), Some(Opinion::Attack));
    assert!(store.reader().reviewed_run("s-2").unwrap().settled().is_none());
    assert_whole(dir.path());
}

#[test]
fn a_verdict_on_nothing_or_by_nobody_is_refused() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    session(&store, "s-1");
    let say = |id: &str, note: &str, by: &str| store.review(id, Opinion::Unsure, note, by);
    assert!(matches!(say("s-9", "", "local:ann"), Err(StoreError::NotFound { .. })));
    assert!(matches!(say("s-1", "", ""), Err(StoreError::Invalid { .. })));
    assert!(matches!(say("s-1", &"x".repeat(4001), "local:ann"), Err(StoreError::Invalid { .. })));
    assert!(store.reader().reviewed().unwrap().is_empty());
}

#[test]
fn calls_are_counted_by_role_tool_and_host() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    let put = |event, role: &str, verdict: &str, host: Option<&str>| {
        let entry = Entry::new(event).session("s-1").call("c").with("role", role);
        let entry = entry.with("tool", "net.connect").with("verdict", verdict);
        let entry = entry.with("arguments", json!({ "host": "b.example", "port": 443 }));
        let entry = match host {
            Some(host) => entry.with("host", host).with("effect", "write"),
            None => entry,
        };
        let _receipt = store.append(entry, Durability::Durable).unwrap();
    };
    put(Event::Call, "coder", "allow", Some("a.example:443"));
    put(Event::Call, "coder", "approved", Some("a.example:443"));
    put(Event::Refusal, "coder", "ask", Some("a.example:443"));
    put(Event::Refusal, "coder", "deny", None);
    put(Event::Call, "writer", "allow", Some("a.example:443"));
    put(Event::Outcome, "coder", "allow", Some("a.example:443"));
    let ties = store.reader().ties(None).unwrap();
    let told: Vec<_> = ties
        .iter()
        .map(|tie| (&*tie.role, &*tie.host, &*tie.effect, (tie.made, tie.asked, tie.denied)))
        .collect();
    assert_eq!(
        told,
        [
            ("coder", "a.example:443", "write", (2, 1, 0)),
            ("coder", "b.example:443", "", (0, 0, 1)),
            ("writer", "a.example:443", "write", (1, 0, 0)),
        ]
    );
    assert_eq!(store.reader().ties(Some("writer")).unwrap().len(), 1);
    assert!(store.reader().ties(Some("nobody")).unwrap().is_empty());
}
