//! Does every record arrive, at least once, when whoever exports is killed, wherever it is in its work?

use super::World;
use super::collector::{Answer, Came, Collector};
use bartizan_store::{Durability, Entry, Event, Ledger as _, Store};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

const COUNT: u64 = 1300;

fn filled(world: &World) -> Store {
    let store = world.store();
    for number in 0..COUNT {
        let entry = Entry::new(Event::Refusal).session("s-1").with("number", number);
        let _receipt = store.append(entry, Durability::Soon).unwrap();
    }
    store.checkpoint().unwrap();
    store
}

/// The places of the records in the lines of a file, as far as the last line is whole.
fn places(text: &str) -> Vec<u64> {
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let values = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    values.filter_map(|value| value["seq"].as_u64()).collect()
}

#[test]
fn a_file_has_each_record_once_however_often_its_writer_is_killed() {
    let world = World::new();
    let store = filled(&world);
    let file = world.path("log.jsonl");
    let export = ["audit", "export", "--to", file.to_str().unwrap()];
    for turn in 0..10 {
        let mut writer = world.command(&export).spawn().unwrap();
        // Each is killed somewhat later than the one before; wherever that is, the same holds.
        thread::sleep(Duration::from_millis(turn * 6));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let text = fs::read_to_string(&file).unwrap_or_default();
        let so_far = places(&text);
        assert_eq!(so_far, (0..so_far.len() as u64).collect::<Vec<_>>(), "turn {turn}");
    }
    assert_eq!(world.run(&export).code, 0);
    assert_eq!(places(&fs::read_to_string(&file).unwrap()), (0..COUNT).collect::<Vec<_>>());
    let key = store.public_key().to_string();
    let verify = ["audit", "verify", "--key", &key, "--file", file.to_str().unwrap()];
    assert_eq!(world.run(&verify).code, 0);
}

/// The places of the records in one request of OTLP.
fn sent(came: &Came) -> Vec<u64> {
    let body: Value = serde_json::from_str(&came.body).unwrap();
    let records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap();
    let record = |log: &Value| -> Value {
        serde_json::from_str(log["body"]["stringValue"].as_str().unwrap()).unwrap()
    };
    records.iter().map(|log| record(log)["seq"].as_u64().unwrap()).collect()
}

#[test]
fn a_collector_gets_each_record_when_the_sender_is_killed_before_its_answer() {
    let world = World::new();
    let _store = filled(&world);
    let (go_on, waits) = channel::<()>();
    let mut number = 0;
    let collector = Collector::by(move |_| {
        number += 1;
        if number == 2 {
            // Taken, and not answered before the sender is dead.
            waits.recv().unwrap();
        }
        Answer::Status(200, String::new(), "{}".to_owned())
    });
    let url = format!("http://127.0.0.1:{}/v1/logs", collector.port);
    let push = ["audit", "export", "--format", "otlp", "--url", &url];
    let mut sender = world.command(&push).spawn().unwrap();
    super::until("the second batch", || collector.came().len() == 2);
    sender.kill().unwrap();
    sender.wait().unwrap();
    go_on.send(()).unwrap();
    let done = world.run(&push);
    assert_eq!(done.code, 0, "{done:?}");
    let batches: Vec<Vec<u64>> = collector.came().iter().map(sent).collect();
    assert_eq!(batches[1], batches[2], "what was not answered is sent again");
    let all: BTreeSet<u64> = batches.iter().flatten().copied().collect();
    assert_eq!(all, (0..COUNT).collect(), "and nothing is left out");
}
