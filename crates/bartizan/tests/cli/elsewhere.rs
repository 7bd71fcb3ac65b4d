//! Does the log reach another machine: the anchor that is required, and each record, once a collector has failed too?

use super::collector::{Answer, Collector};
use super::{World, json_of};
use bartizan_store::{Durability, Entry, Event, Ledger as _, Store};
use serde_json::{Value, json};
use std::fs;

fn add(store: &Store, from: u64, count: u64) {
    for number in from..from + count {
        let entry = Entry::new(Event::Call).session("s-1").call(format!("c-{number}"));
        let entry =
            entry.with("agent", "coder").with("tool", "WebFetch").with("host", "x.example:443");
        let _receipt = store.append(entry, Durability::Durable).unwrap();
    }
}

#[test]
fn a_checkpoint_is_put_to_an_address_that_takes_it_and_a_no_is_none() {
    let keeper = Collector::answering(&[Answer::status(403), Answer::status(201)]);
    let world = World::new();
    add(&world.store(), 0, 5);
    let url = format!("http://127.0.0.1:{}/anchor", keeper.port);
    let set = || {
        let mut command =
            world.command(&["audit", "anchor", "--url", &url, "--bearer", "env://ANCHOR_TOKEN"]);
        command.env("ANCHOR_TOKEN", "t0ken-of-the-keeper");
        world.finish(command.spawn().unwrap())
    };
    let refused = set();
    assert!(refused.code == 74 && refused.err.contains("status 403"), "{refused:?}");
    let mark = || world.store().marked("anchor").unwrap();
    assert_eq!(mark(), None);
    let done = set();
    assert_eq!(done.code, 0, "{done:?}");
    let came = keeper.came().pop().unwrap();
    assert!(came.head.starts_with("PUT /anchor "), "{came:?}");
    assert_eq!(came.field("authorization"), "Bearer t0ken-of-the-keeper");
    assert_eq!(mark().unwrap().seq, 5);
    let kept = world.path("kept");
    fs::write(&kept, &came.body).unwrap();
    assert_eq!(world.run(&["audit", "verify", "--anchor", kept.to_str().unwrap()]).code, 0);
    assert!(!world.run(&["audit", "list", "--json"]).out.contains("t0ken"));
}

#[test]
fn a_collector_that_fails_in_the_middle_gets_every_record_in_the_end() {
    let failing = [
        Answer::status(200),
        Answer::status(503),
        Answer::Nothing,
        Answer::Status(200, String::new(), "{}".into()),
    ];
    let collector = Collector::answering(&failing);
    let world = World::new();
    let store = world.store();
    add(&store, 0, 1300);
    let url = format!("http://127.0.0.1:{}/v1/logs", collector.port);
    let push = || world.run(&["audit", "export", "--format", "otlp", "--url", &url]);
    let failed = push();
    assert!(failed.code == 74 && failed.err.contains("status 503"), "{failed:?}");
    assert_eq!(push().code, 74, "it closes the connection");
    let done = push();
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!((push().code, collector.came().len()), (0, 5), "nothing new, nothing sent");
    add(&store, 1300, 1);
    assert_eq!(push().code, 0);
    let mut taken = Vec::new();
    for (at, came) in collector.came().iter().enumerate() {
        if at == 1 || at == 2 {
            continue;
        }
        let body: Value = serde_json::from_str(&came.body).unwrap();
        taken.extend(
            body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap().clone(),
        );
    }
    let seq = |log: &Value| {
        let record: Value =
            serde_json::from_str(log["body"]["stringValue"].as_str().unwrap()).unwrap();
        record["seq"].as_u64().unwrap()
    };
    assert_eq!(taken.iter().map(seq).collect::<Vec<_>>(), (0..1301).collect::<Vec<_>>());
    let last = taken.last().unwrap();
    let attribute = |name: &str| {
        let all = last["attributes"].as_array().unwrap();
        all.iter()
            .find(|one| one["key"] == name)
            .map(|one| one["value"]["stringValue"].clone())
            .unwrap()
    };
    assert_eq!(attribute("gen_ai.operation.name"), "execute_tool");
    assert_eq!(attribute("gen_ai.tool.name"), "WebFetch");
    assert_eq!(attribute("gen_ai.conversation.id"), "s-1");
    assert_eq!(last["traceId"].as_str().unwrap().len(), 32);
    assert_eq!(taken[0]["traceId"], last["traceId"], "one session is one trace");
    assert_ne!(taken[0]["spanId"], last["spanId"]);
}

#[test]
fn a_file_of_otlp_goes_on_where_it_was_broken_off() {
    let world = World::new();
    let store = world.store();
    add(&store, 0, 3);
    let file = world.path("logs.jsonl");
    let export =
        || world.run(&["audit", "export", "--format", "otlp", "--to", file.to_str().unwrap()]);
    assert_eq!(export().code, 0);
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, whole.get(..whole.len() - 9).unwrap()).unwrap();
    add(&store, 3, 1);
    assert_eq!(export().code, 0);
    let lines = fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().count(), 4);
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");
    assert_eq!(
        world.run(&["audit", "export", "--format", "ocsf", "--url", "https://x.example"]).code,
        2
    );
}

#[test]
fn where_little_of_the_disk_is_free_nothing_begins_and_the_log_stays_well() {
    let world = World::new();
    let run = || world.run(&["run", "--no-summary", "--", "true"]);
    // No disk is so large.
    world.configure("[audit]\nkeep_free = \"8000TiB\"\n");
    let refused = run();
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.err.contains("`keep_free` under `[audit]`"), "{refused:?}");
    assert_eq!(world.run(&["audit", "verify"]).code, 0);
    world.configure("[audit]\nkeep_free = \"1MiB\"\n");
    let done = run();
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(world.run(&["audit", "verify"]).code, 0);
}

#[test]
fn nothing_is_done_while_the_required_anchor_lags() {
    let world = World::new();
    world.configure("[audit]\nrequire_anchor = \"1h\"\nrequire_anchor_records = 40\n");
    let anchor = world.path("anchor");
    let run =
        |args: &[&str]| world.run(&[&["run", "--no-summary"], args, &["--", "true"]].concat());
    let denied = |args: &[&str], why: &str| {
        let done = run(args);
        assert!(done.code == 126 && done.err.contains(why), "{why}: {done:?}");
    };
    denied(&[], "it was never anchored");
    let log = world.run(&["audit", "list", "--event", "refusal", "--json"]);
    assert!(log.out.contains("ledger-unavailable"), "what was refused is on the log: {log:?}");
    let set =
        || assert_eq!(world.run(&["audit", "anchor", "--to", anchor.to_str().unwrap()]).code, 0);
    set();
    let done = run(&[]);
    assert_eq!(done.code, 0, "{done:?}");
    denied(&["--require-anchor", "0s"], "old");
    add(&world.store(), 0, 50);
    denied(&[], "lacks");
    set();
    assert_eq!(run(&[]).code, 0);
    // What went to standard output may have gone nowhere.
    add(&world.store(), 0, 50);
    assert_eq!(world.run(&["audit", "anchor"]).code, 0);
    denied(&[], "lacks");
    let wrong = run(&["--require-anchor", "soon"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    let status = json_of(&world.run(&["audit", "verify", "--json"]));
    assert_eq!(status["verdict"], json!("whole"), "{status}");
}
