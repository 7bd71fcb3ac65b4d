//! Can a person grant for a time, see what stands, and keep the overview while an agent floods the desk?

use super::{World, ask, json_of, start};
use bartizan_store::{ApprovalKey, Desk, Digest, NewQuestion, QuestionState, Store};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::time::Duration;

fn put(store: &Store, session: &str, call: &str, effect: &str) -> NewQuestion {
    let new = NewQuestion {
        session: session.to_owned(),
        agent: "coder".to_owned(),
        tool: "WebFetch".to_owned(),
        digest: Digest::of(call.as_bytes()),
        policy: Digest::of(b"policy"),
        quorum: 1,
        shown: json!({ "target": call, "effect": effect }),
        expires_in: Duration::from_hours(1),
    };
    store.ask(new.clone()).unwrap();
    new
}

#[test]
fn a_yes_for_a_time_is_listed_with_the_policy_and_taken_back() {
    let world = World::new();
    let store = world.store();
    let new = put(&store, "s-1", "https://x.example/\u{1b}[2J\u{202e}", "write");
    let key = ApprovalKey { session: new.session, digest: new.digest, policy: new.policy };
    let id = store.given(&key).unwrap().question.unwrap();
    let question = store.question(&id).unwrap();
    assert_eq!(world.run(&["approvals", "approve", &id, "--for", "soon"]).code, 2);
    assert_eq!(world.run(&["approvals", "approve", &id, "--for", "2d"]).code, 1);
    let shown = |world: &World| world.run(&["policy", "show"]).out;
    assert!(!shown(&world).contains("// granted"));
    let approved = world.run(&["approvals", "approve", &id, "--for", "30m"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    assert!(approved.err.contains("may make this call until 20"), "{approved:?}");
    for _ in 0..3 {
        let _used = store.consume(&key).unwrap();
    }
    let policy = shown(&world);
    let line = policy.lines().find(|line| line.starts_with("// granted: ")).unwrap();
    for part in [
        start(&question, 8),
        "coder may call WebFetch https://x.example/",
        "session s-1",
        "by local:",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!policy.contains(['\u{1b}', '\u{202e}']), "{line:?}");
    let seen = world.run(&["approvals", "show", &id]);
    assert!(seen.out.contains("every such call until 20"), "{seen:?}");
    assert_eq!(world.run(&["approvals", "deny", &id, "--reason", "enough"]).code, 0);
    assert!(store.consume(&key).is_err());
    assert!(!shown(&world).contains("// granted"));
    assert_eq!(world.run(&["audit", "verify"]).code, 0);
}

/// K08: the flood is bounded, and nothing in it can hide what weighs more.
#[test]
fn a_flood_of_one_session_does_not_bury_the_question_of_another() {
    let world = World::new();
    let store = world.store();
    put(&store, "quiet", "https://quiet.example/", "read");
    for number in 0..30 {
        put(&store, "flood", &format!("https://flood.example/{number}"), "read");
    }
    put(&store, "flood", "https://flood.example/delete", "irreversible");
    let listed = world.run(&["approvals", "list"]).out;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 32, "nothing is hidden");
    assert!(lines[0].contains("quiet.example"), "{listed}");
    assert!(
        lines[1].contains("flood.example/delete"),
        "what cannot be undone comes next: {listed}"
    );
    // And a session may not put any number.
    put(&store, "flood", "https://flood.example/last", "read");
    let new = put(&store, "quiet", "https://quiet.example/2", "read");
    let over = store.ask(NewQuestion { session: "flood".to_owned(), ..new });
    assert!(over.is_err(), "{over:?}");
}

#[test]
fn whoever_watches_sees_each_question_come_and_be_settled() {
    let world = World::new();
    let store = world.store();
    let first = ask(&store, "first", 1, json!({ "target": "https://first.example/" }));
    let mut child = world.command(&["approvals", "watch", "--json"]).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut next = || {
        let question = seen.next().unwrap();
        (question["id"].as_str().unwrap().to_owned(), question["state"].clone())
    };
    assert_eq!(next(), (first.id.clone(), json!("pending")));
    let second = ask(&store, "second", 1, json!({ "target": "https://second.example/" }));
    assert_eq!(next(), (second.id.clone(), json!("pending")));
    assert_eq!(world.run(&["approvals", "deny", start(&first, 8)]).code, 0);
    assert_eq!(next(), (first.id.clone(), json!("denied")));
    assert_eq!(store.question(&first.id).unwrap().state, QuestionState::Denied);
    child.kill().unwrap();
    child.wait().unwrap();
    let inside = world.command(&["approvals", "watch"]).env("BARTIZAN_BOX", "1").output().unwrap();
    assert_eq!(inside.status.code(), Some(69));
    assert_eq!(json_of(&world.run(&["approvals", "list", "--json"])).as_array().unwrap().len(), 1);
}

#[test]
fn nothing_of_a_long_value_is_hidden_from_whoever_approves() {
    let world = World::new();
    let store = world.store();
    let long = format!("{}rm -rf ~{}", "\u{200b}x".repeat(9000), " ".repeat(5000));
    let shown = json!({ "target": "x", "arguments": { "command": long, "list": ["y".repeat(9000), "HIDDEN-END"] } });
    let question = ask(&store, "long", 1, shown);
    let seen = world.run(&["approvals", "show", &question.id]).out;
    for part in ["rm -rf ~", "HIDDEN-END"] {
        assert!(seen.contains(part), "{part}");
    }
    assert!(!seen.contains('\u{200b}'));
    let end = seen.lines().filter(|line| line.starts_with("    | ")).count();
    assert!(end > 40, "{end}");
}
