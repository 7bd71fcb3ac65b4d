//! Does whoever asks learn how the servers fare, from the gateways that live now and from no others?

use super::away::Away;
use super::{Client, HELLO, PATIENCE, SERVER, project, tool};
use crate::support::project::Project;
use rustix::process::Signal;
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

#[test]
fn a_server_that_a_command_line_names_is_told_of_as_well() {
    let project = Project::new();
    project.write("server.py", SERVER);
    let lists = json!({ "first": [tool("keep", "Keeps a note.")], "turned": [] });
    project.write("probe.json", &lists.to_string());
    let flags = ["mcp", "--name", "probe", "--allow", "keep", "--idle-after", "3s"];
    let command = ["--", "/usr/bin/python3", "server.py", "probe"];
    let mut gateway = project.bartizan(&[&flags[..], &command].concat()).typing();
    let is =
        |list: &[Value], state: &str| of(list, "probe").iter().any(|row| row["state"] == state);
    // Nobody has begun with it yet.
    once(&project, |list| is(list, "starting"));
    gateway.adds(HELLO);
    let mut client = Client { gateway, turn: 0 };
    let up = once(&project, |list| is(list, "up"));
    assert_eq!((up.len(), &up[0]["agent"], &up[0]["why"]), (1, &json!("default"), &json!(null)));
    assert!(up[0]["since_ms"].is_u64() && up[0]["session"].is_string(), "{up:?}");
    once(&project, |list| is(list, "resting"));
    client.calls("keep", &json!({}));
    once(&project, |list| is(list, "up"));
    client.ends();
    assert_eq!(listed(&project), [] as [Value; 0], "it is in no configuration");
}

#[test]
fn a_server_that_lives_as_long_as_its_client_is_told_of_until_then() {
    let project = Project::new();
    project.write("server.py", SERVER);
    project.write("probe.json", &json!({ "first": [], "turned": [] }).to_string());
    let command = ["mcp", "--name", "probe", "--", "/usr/bin/python3", "server.py", "probe"];
    let client = Client::begin(project.bartizan(&command).typing());
    let list = once(&project, |list| list.iter().any(|row| row["state"] == "up"));
    assert_eq!(list[0]["server"], "probe");
    client.gateway.signal(Signal::KILL);
    once(&project, <[Value]>::is_empty);
}

#[test]
fn a_server_elsewhere_that_a_command_line_names_is_told_of_as_well() {
    let away = Away::start(true);
    away.project.configure("");
    let url = format!("https://localhost:{}/mcp", away.port);
    let client = Client::begin(away.gateway(&["mcp", "--url", &url, "--name", "crm"]));
    let list = once(&away.project, |list| list.iter().any(|row| row["state"] == "up"));
    assert_eq!((list.len(), &list[0]["server"]), (1, &json!("crm")));
    client.ends();
    assert_eq!(listed(&away.project), [] as [Value; 0]);
}
