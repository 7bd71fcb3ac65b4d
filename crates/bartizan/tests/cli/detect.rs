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
