//! Is the log listed, shown and followed as it is written?

use super::{World, json_of, read, wait};
use bartizan_store::{Durability, Entry, Event, Ledger};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};

#[test]
fn the_log_is_listed_shown_exported_and_verified() {
    let world = World::new();
    let store = world.store();
    for number in 0..5 {
        let entry = Entry::new(Event::Refusal)
            .session("5e5510")
            .call(format!("c.{number}"))
            .with("tool", "Read")
            .with("verdict", "deny")
            .with("code", "path-out-of-scope")
            .with("reason", "\u{1b}]0;x");
        let _receipt = store.append(entry, Durability::Durable).unwrap();
    }
    store.checkpoint().unwrap();
    let listed = world.run(&["audit", "list"]);
    assert_eq!(listed.out.lines().count(), 5, "{listed:?}");
    assert!(listed.out.contains("deny path-out-of-scope"), "{listed:?}");
    let lines = world.run(&["audit", "list", "--json", "-n", "2"]).out;
    let seqs: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].clone())
        .collect();
    assert_eq!(seqs, [3, 4]);
    let shown = world.run(&["audit", "show", "c.2"]);
    assert!(shown.out.contains("\"seq\": 2") && !shown.out.contains('\u{1b}'), "{shown:?}");
    assert_eq!(world.run(&["audit", "show", "99"]).code, 1);
    assert_eq!(world.run(&["audit", "list", "--event", "call"]).out, "");
    let verified = world.run(&["audit", "verify", "--json"]);
    assert_eq!(
        (verified.code, &json_of(&verified)["verdict"]),
        (0, &json!("whole")),
        "{verified:?}"
    );
    let exported = world.run(&["audit", "export"]).out;
    let key = store.public_key().to_string();
    let verify = |name: &str, text: &str| {
        fs::write(world.path(name), text).unwrap();
        world.run(&["audit", "verify", "--key", &key, "--file", world.path(name).to_str().unwrap()])
    };
    assert_eq!(verify("whole", &exported).code, 0);
    let tampered =
        verify("tampered", &exported.replacen("path-out-of-scope", "path-out-of-scopE", 1));
    assert_eq!(tampered.code, 1);
    assert!(tampered.out.starts_with("broken: record "), "{tampered:?}");
    let mut cut: Vec<&str> = exported.lines().collect();
    cut.retain(|line| !line.contains("\"seq\":4"));
    assert_ne!(verify("cut", &format!("{}\n", cut.join("\n"))).code, 0);
}

#[test]
fn a_log_that_nobody_wrote_yet_lists_as_empty_and_is_not_made_by_looking() {
    let world = World::new();
    for args in
        [&["audit", "list"][..], &["audit", "tail"], &["approvals", "list"], &["audit", "export"]]
    {
        let done = world.run(args);
        assert_eq!((done.code, done.out.as_str()), (0, ""), "{args:?}: {done:?}");
    }
    assert!(!world.state().exists());
    assert_eq!(world.run(&["audit", "verify"]).code, 74);
}

#[test]
fn tail_follows_what_is_appended() {
    let world = World::new();
    let store = world.store();
    let first = Entry::new(Event::Fault).with("what", "first");
    let _receipt = store.append(first, Durability::Durable).unwrap();
    let mut child = world.command(&["audit", "tail", "--follow", "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("first"));
    let second = Entry::new(Event::Fault).with("what", "second");
    let _receipt = store.append(second, Durability::Durable).unwrap();
    assert!(lines.next().unwrap().unwrap().contains("second"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let world = World::new();
    let store = world.store();
    for _ in 0..300 {
        let entry = Entry::new(Event::Fault).with("what", "x".repeat(1000));
        let _receipt = store.append(entry, Durability::Soon).unwrap();
    }
    store.checkpoint().unwrap();
    let mut child = world.command(&["audit", "list", "--json"]).spawn().unwrap();
    drop(child.stdout.take());
    let err = read(&mut child.stderr.take().unwrap());
    assert_eq!((wait(&mut child), err.as_str()), (0, ""));
}
