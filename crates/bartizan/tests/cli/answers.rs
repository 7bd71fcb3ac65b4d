//! Is an approval shown exactly, given once, and by nobody but those who may?

use super::{World, ask, json_of, start};
use bartizan_store::{Answer, Desk, Verdict};
use serde_json::json;

#[test]
fn an_approval_is_shown_exactly_and_given_once() {
    let world = World::new();
    let store = world.store();
    let shown = json!({ "target": "https://x.example/", "arguments": { "url": "https://x.example/\u{1b}[2J", "body": "one\ntwo\u{202e}" } });
    let question = ask(&store, "a", 1, shown);
    let listed = world.run(&["approvals", "list"]);
    assert!(
        listed.out.contains(start(&question, 8))
            && listed.out.contains("WebFetch https://x.example/"),
        "{listed:?}"
    );
    let seen = world.run(&["approvals", "show", start(&question, 6)]);
    assert!(seen.out.contains("    | one\n"), "{seen:?}");
    for text in [&listed.out, &seen.out] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
    let approved = world.run(&["approvals", "approve", start(&question, 6), "--json"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    let approver = json_of(&approved)["answers"][0]["approver"].as_str().unwrap().to_owned();
    assert!(approver.starts_with("local:"));
    let again = world.run(&["approvals", "approve", &question.id]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("already"), "{again:?}");
    assert_eq!(json_of(&world.run(&["approvals", "list", "--json"])), json!([]));
    assert_eq!(
        json_of(&world.run(&["approvals", "list", "--all", "--json"]))[0]["state"],
        "approved"
    );
}

#[test]
fn a_denial_carries_its_reason_and_ends_the_question() {
    let world = World::new();
    let store = world.store();
    let question = ask(&store, "a", 2, json!({}));
    assert_eq!(world.run(&["approvals", "deny", &question.id, "--reason", "not today"]).code, 0);
    let shown = json_of(&world.run(&["approvals", "show", &question.id, "--json"]));
    assert_eq!(
        (&shown["state"], &shown["answers"][0]["reason"]),
        (&json!("denied"), &json!("not today"))
    );
    assert_eq!(world.run(&["approvals", "approve", &question.id]).code, 1);
    assert_eq!(world.run(&["approvals", "approve", "ffffffff"]).code, 1);
}

#[test]
fn only_who_is_named_can_approve_and_nobody_inside_a_box() {
    let world = World::new();
    let store = world.store();
    let question = ask(&store, "a", 1, json!({}));
    world.configure("[approvers]\npeople = [\"local:nobody-of-this-name\"]\n");
    let stranger = world.run(&["approvals", "approve", &question.id]);
    assert_eq!(stranger.code, 1);
    assert!(stranger.err.contains("is not an approver"), "{stranger:?}");
    world.configure("");
    for args in
        [&["approvals", "approve", &question.id][..], &["approvals", "list"], &["trust"], &["init"]]
    {
        let inside = world.finish(world.command(args).env("BARTIZAN_BOX", "1").spawn().unwrap());
        assert_eq!(inside.code, 69, "{args:?}: {inside:?}");
    }
    assert!(store.question(&question.id).unwrap().answers.is_empty());
}

#[test]
fn the_name_of_an_approver_is_not_taken_from_the_environment() {
    let world = World::new();
    let question = ask(&world.store(), "a", 1, json!({}));
    let mut command = world.command(&["approvals", "approve", &question.id, "--json"]);
    let done =
        world.finish(command.env("USER", "mallory").env("LOGNAME", "mallory").spawn().unwrap());
    assert_ne!(json_of(&done)["answers"][0]["approver"], "local:mallory");
}

#[test]
fn an_answer_by_another_terminal_is_seen_at_once() {
    let world = World::new();
    let store = world.store();
    let question = ask(&store, "a", 1, json!({}));
    let answer = Answer {
        approver: "local:other".to_owned(),
        verdict: Verdict::Approve,
        reason: String::new(),
    };
    store.answer(&question.id, answer).unwrap();
    assert_eq!(json_of(&world.run(&["approvals", "list", "--json"])), json!([]));
}
