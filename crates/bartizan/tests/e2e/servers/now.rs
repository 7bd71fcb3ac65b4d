//! Does whoever asks learn how the servers fare, from the gateways that live now and from no others?

use super::{Client, PATIENCE, project, tool};
use crate::support::project::Project;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn listed(project: &Project) -> Vec<Value> {
    let ran = project.bartizan(&["servers", "list", "--json"]).finish();
    assert!(ran.status.success(), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

fn of<'l>(list: &'l [Value], server: &str) -> Vec<&'l Value> {
    list.iter().filter(|row| row["server"] == server).collect()
}

/// The rows once they are so; on a busy machine that may be late.
fn once(project: &Project, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = listed(project);
        if is_so(&list) {
            return list;
        }
        assert!(Instant::now() < deadline, "{list:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn how_each_server_fares_is_told_by_the_gateways_that_live_now() {
    let project = project(
        &[("dead", &[], &[]), ("notes", &[tool("keep", "Keeps a note.")], &[])],
        "idle_after = \"3s\"\n[roles.default]\nallow = [\"mcp__notes__*\"]\n",
    );
    let absent = listed(&project);
    assert!(absent.iter().all(|row| row["state"] == "absent") && absent.len() == 2, "{absent:?}");
    let said = project.bartizan(&["servers", "list"]).finish();
    assert!(said.stderr.contains("no gateway lives now"), "{said:?}");
    let mut client = Client::of(&project);
    client.calls("notes__keep", &json!({}));
    let has = |list: &[Value], server: &str, state: &str| {
        of(list, server).iter().any(|row| row["state"] == state)
    };
    let list = once(&project, |list| has(list, "notes", "up") && has(list, "dead", "down"));
    let (up, down) = (of(&list, "notes")[0], of(&list, "dead")[0]);
    assert_eq!(
        (&up["why"], &up["again_ms"], &up["agent"]),
        (&json!(null), &json!(null), &json!("default"))
    );
    assert!(down["why"].as_str().unwrap().contains("code 3"), "{down}");
    assert!(down["again_ms"].as_u64() > down["since_ms"].as_u64(), "{down}");
    assert_eq!(up["session"], down["session"]);
    let said = project.bartizan(&["servers", "list"]).finish();
    assert!(said.stdout.contains("notes") && !said.stderr.contains("no gateway"), "{said:?}");
    // Another gateway has its own, and its end takes nothing of the first one's along.
    let mut other = Client::of(&project);
    other.calls("notes__keep", &json!({}));
    once(&project, |list| of(list, "notes").len() == 2);
    other.ends();
    once(&project, |list| of(list, "notes").len() == 1);
    once(&project, |list| has(list, "notes", "resting"));
    client.calls("notes__keep", &json!({}));
    once(&project, |list| has(list, "notes", "up"));
    client.ends();
    let list = once(&project, |list| has(list, "notes", "absent"));
    let dead = of(&list, "dead")[0];
    assert!(dead["last_down"].as_str().unwrap().contains("code 3"), "{dead}");
}
