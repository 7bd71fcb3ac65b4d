//! Can a person see the rules, try them on records, and add their own? Through the binary.

use super::World;
use serde_json::{Value, json};
use std::fs;

fn log(world: &World) -> String {
    let refused = |n: u64| {
        json!({ "event": "refusal", "tool": "Bash", "verdict": "deny", "seq": n, "arguments": { "command": n } })
            .to_string()
    };
    let lines: Vec<String> = (0..5).map(refused).collect();
    let path = world.path("log.jsonl");
    fs::write(&path, lines.join("\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn rules_are_listed_and_tried_on_a_file_of_records() {
    let world = World::new();
    let listed = world.run(&["detect", "list"]);
    assert_eq!(listed.code, 0, "{}", listed.err);
    assert!(listed.out.contains("denial-burst"), "{}", listed.out);
    let log = log(&world);
    let tried = world.run(&["detect", "test", &log, "--json", "--check"]);
    assert_eq!(tried.code, 1, "{}", tried.err);
    let flag: Value = serde_json::from_str(&tried.out).unwrap();
    assert_eq!((&flag["rule"], &flag["seq"]), (&json!("denial-burst"), &json!(4)));
    fs::write(world.path("bad.jsonl"), "{}\n").unwrap();
    let bad = world.run(&["detect", "test", world.path("bad.jsonl").to_str().unwrap()]);
    assert_ne!(bad.code, 0);
    assert!(bad.err.contains("bad.jsonl:1: no record of the log"), "{}", bad.err);
}

#[test]
fn a_person_s_own_rules_count_and_a_mistake_in_them_is_told_before_anything_runs() {
    let world = World::new();
    let (log, own) = (log(&world), world.path("home/.config/bartizan/detect.toml"));
    let rule = "[[rule]]\nid = \"denial-burst\"\nsays = \"mine\"\nseverity = \"low\"\non = [\"refusal\"]\nwhen = { seq = 3 }\n";
    fs::write(&own, format!("on_flag = \"pause\"\n{rule}")).unwrap();
    let tried = world.run(&["detect", "test", &log]);
    assert_eq!(tried.out.lines().count(), 2, "{}{}", tried.out, tried.err);
    assert!(tried.out.starts_with("record 4 (Bash): denial-burst: mine"), "{}", tried.out);
    fs::write(&own, "on_flag = \"explode\"\n").unwrap();
    let broken = world.run(&["policy", "check"]);
    assert_ne!(broken.code, 0);
    assert!(broken.err.contains("explode") && broken.err.contains("detect.toml"), "{}", broken.err);
}

#[test]
fn a_flagged_run_is_listed_until_a_person_has_judged_it() {
    use bartizan_store::{Durability, Entry, Event, Ledger as _, NewSession, Sessions as _};
    let world = World::new();
    assert!(world.run(&["detect", "runs"]).err.contains("no flagged run"));
    let store = world.store();
    let new = NewSession {
        id: "s-1".to_owned(),
        agent: "coder".to_owned(),
        workspace: "/w".to_owned(),
        argv: vec!["true".to_owned()],
        facts: serde_json::Map::new(),
    };
    store.begin(new).unwrap();
    let flag =
        Entry::new(Event::Flag).session("s-1").with("act", "raise").with("rule", "odd\u{1b}[2J");
    let _receipt = store.append(flag, Durability::Durable).unwrap();
    let listed = world.run(&["detect", "runs"]);
    assert!(listed.out.contains("s-1") && listed.out.contains("flagged"), "{listed:?}");
    assert!(!listed.out.contains('\u{1b}'), "{listed:?}");
    assert_eq!(world.run(&["detect", "judge", "s-9", "attack"]).code, 1);
    assert_eq!(world.run(&["detect", "judge", "s-1", "perhaps"]).code, 2);
    assert_eq!(world.run(&["detect", "judge", "s-1", "harmless", "--note", "a drill"]).code, 0);
    assert!(!world.run(&["detect", "runs"]).out.contains("s-1"));
    let all: Value =
        serde_json::from_str(&world.run(&["detect", "runs", "--all", "--json"]).out).unwrap();
    assert_eq!(all[0]["settled"], "harmless");
    assert_eq!(all[0]["reviews"][0]["note"], "a drill");
    let logged = world.run(&["audit", "list", "--event", "review", "--json"]).out;
    super::schema::check(&serde_json::from_str(&logged).unwrap()).unwrap();
    // Nobody judges from inside a box, nor one who may not approve.
    let inside =
        world.command(&["detect", "judge", "s-1", "attack"]).env("BARTIZAN_BOX", "1").output();
    assert_eq!(inside.unwrap().status.code(), Some(69));
    world.configure("[approvers]\npeople = [\"local:somebody-else\"]\n");
    assert_eq!(world.run(&["detect", "judge", "s-1", "attack"]).code, 1);
}
