//! Does the log go where it is kept, come back whole, and name whoever touched it? Through the binary.

use super::{World, json_of, schema};
use bartizan_store::{Durability, Entry, Event, Ledger, Store};
use serde_json::{Value, json};
use std::fs;

/// A log with so many records more.
fn add(store: &Store, from: u64, count: u64) {
    for number in from..from + count {
        let entry = Entry::new(if number % 9 == 8 { Event::Finding } else { Event::Refusal })
            .session("5e5510")
            .call(format!("c.{number}"))
            .with("agent", "coder")
            .with("tool", "Read")
            .with("effect", "read")
            .with("verdict", "deny")
            .with("code", "path-out-of-scope")
            .with("kind", "secret")
            .with("reason", "\u{1b}]0;x");
        let _receipt = store.append(entry, Durability::Soon).unwrap();
    }
    store.checkpoint().unwrap();
}

fn seqs(text: &str, place: &str) -> Vec<u64> {
    let values = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    values.filter_map(|value| value.pointer(place)?.as_u64()).collect()
}

#[test]
fn an_export_to_a_file_goes_on_where_it_was_broken_off() {
    let world = World::new();
    let store = world.store();
    add(&store, 0, 100);
    let file = world.path("log.jsonl");
    let path = file.to_str().unwrap();
    let export = || world.run(&["audit", "export", "--to", path]);
    assert_eq!(export().code, 0);
    // The machine went down in the middle of a line.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.split("\"c.70\"").next().unwrap()).unwrap();
    add(&store, 100, 30);
    assert_eq!(export().code, 0);
    assert_eq!(export().code, 0, "with nothing new it stays as it is");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(seqs(&text, "/seq"), (0..130).collect::<Vec<_>>());
    let key = store.public_key().to_string();
    let bare = world.run(&["audit", "verify", "--file", path]);
    assert!(bare.code == 3 && bare.err.contains("give it with --key"), "{bare:?}");
    let verified = world.run(&["audit", "verify", "--key", &key, "--file", path]);
    assert_eq!(verified.code, 0, "{verified:?}");
    // A file that holds another log, or something else, is not touched.
    for other in [text.replacen("5e5510", "5e5511", 1000), "a shopping list\n".to_owned()] {
        fs::write(&file, &other).unwrap();
        let refused = export();
        assert_eq!(refused.code, 1, "{refused:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), other);
    }
}

#[test]
fn a_part_of_the_log_is_verified_as_a_part() {
    let world = World::new();
    let store = world.store();
    add(&store, 0, 128);
    add(&store, 128, 22);
    let part = world.run(&["audit", "export", "--from", "140"]).out;
    let first = seqs(&part, "/seq")[0];
    assert!(first <= 140 && first > 0, "{first}");
    let file = world.path("part");
    fs::write(&file, &part).unwrap();
    let key = store.public_key().to_string();
    let verify = ["audit", "verify", "--key", &key, "--file", file.to_str().unwrap()];
    let alone = world.run(&verify);
    assert_eq!(alone.code, 1);
    assert!(alone.out.contains("no record says that they were pruned"), "{alone:?}");
    let known = world.run(&[&verify[..], &["--from", "140"]].concat());
    assert_eq!(known.code, 0, "{known:?}");
    assert!(known.out.contains(&format!("begins       at record {first}")), "{known:?}");
}

#[test]
fn an_event_for_another_system_holds_the_record_and_names_what_was_decided() {
    let world = World::new();
    let store = world.store();
    add(&store, 0, 10);
    let events = world.run(&["audit", "export", "--format", "ocsf", "--from", "3"]).out;
    assert_eq!(seqs(&events, "/metadata/sequence"), (3..10).collect::<Vec<_>>());
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let number = |key: &str| event[key].as_u64().unwrap();
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
        assert_eq!(number("class_uid") / 1000, number("category_uid"));
        assert!((1..=6).contains(&number("severity_id")) && number("time") > 1_700_000_000_000);
        let raw = event["raw_data"].as_str().unwrap();
        let leaf = bartizan_store::Digest::of_parts(&[&[0], raw.as_bytes()]);
        assert_eq!(event["metadata"]["uid"], leaf.to_string(), "the record can be checked");
        let record: Value = serde_json::from_str(raw).unwrap();
        if record["event"] == "finding" {
            assert_eq!(
                (number("class_uid"), &event["finding_info"]["title"]),
                (2004, &json!("secret"))
            );
            continue;
        }
        assert_eq!(number("class_uid"), 6003);
        assert_eq!(
            (&event["action"], &event["disposition"]),
            (&json!("Denied"), &json!("Blocked"))
        );
        assert_eq!(event["api"]["operation"], "Read");
        assert_eq!(
            (&event["actor"]["app_name"], &event["src_endpoint"]["name"]),
            (&json!("coder"), &json!("5e5510"))
        );
    }
    let file = world.path("events");
    let export = ["audit", "export", "--format", "ocsf", "--to", file.to_str().unwrap()];
    assert_eq!(world.run(&export).code, 0);
    add(&store, 10, 5);
    assert_eq!(world.run(&export).code, 0);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(seqs(&text, "/metadata/sequence"), (0..15).collect::<Vec<_>>());
    // A file of records does not go on as a file of events.
    fs::write(&file, world.run(&["audit", "export"]).out).unwrap();
    assert_eq!(world.run(&export).code, 1);
}

#[test]
fn an_anchor_shows_a_log_that_was_cut_off_or_written_anew() {
    let world = World::new();
    add(&world.store(), 0, 10);
    let anchor = world.path("anchor");
    let path = anchor.to_str().unwrap();
    let set = || world.run(&["audit", "anchor", "--to", path]);
    assert_eq!(set().code, 0, "{:?}", set());
    let old = world.state();
    let copy = world.path("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["bartizan.db", "checkpoint.key", "checkpoint.pub"] {
        fs::copy(old.join(name), copy.join(name)).unwrap();
    }
    add(&world.store(), 10, 10);
    assert_eq!(set().code, 0);
    let listed = world.run(&["audit", "list", "--event", "checkpoint", "--json"]).out;
    assert!(listed.lines().count() >= 2 && listed.contains("ROOT/anchor"), "{listed}");
    let kept = fs::read_to_string(&anchor).unwrap();
    // The older copy comes back, with nothing beside it that would tell.
    fs::remove_dir_all(&old).unwrap();
    fs::rename(&copy, &old).unwrap();
    let bits = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&old, bits).unwrap();
    assert_eq!(world.run(&["audit", "verify"]).code, 0, "nothing here tells");
    let refused = set();
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("cut off"), "{refused:?}");
    assert_eq!(fs::read_to_string(&anchor).unwrap(), kept, "the evidence stays");
    assert_eq!(world.run(&["audit", "verify", "--anchor", path]).code, 2);
    // Other records take the place of those.
    add(&world.store(), 500, 40);
    assert_eq!(set().code, 1);
    assert_eq!(world.run(&["audit", "verify", "--anchor", path]).code, 1);
}

#[test]
fn the_oldest_records_go_to_an_archive_and_the_log_says_so() {
    let world = World::new();
    let store = world.store();
    add(&store, 0, 100);
    let archive = world.path("archive");
    let path = archive.to_str().unwrap();
    let prune = ["audit", "prune", "--older-than", "1d", "--archive", path];
    let young = world.run(&prune);
    assert_eq!(young.code, 0);
    assert!(young.err.contains("nothing to prune") && !archive.exists(), "{young:?}");
    assert_eq!(
        world.run(&["audit", "prune", "--older-than", "0s"]).code,
        2,
        "say what becomes of it"
    );
    let done = world.run(&["audit", "prune", "--older-than", "0s", "--archive", path]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains("pruned records 0 to 99"), "{done:?}");
    assert_eq!(world.run(&["audit", "verify"]).code, 0);
    let said = json_of(&world.run(&["audit", "list", "--event", "prune", "--json"]));
    assert!(said["by"].as_str().unwrap().starts_with("local:"), "{said}");
    let digest = bartizan_store::Digest::of(&fs::read(&archive).unwrap());
    assert_eq!(said["archive_sha256"], digest.to_string());
    assert!(world.run(&["audit", "list"]).out.starts_with("   100  "));
    // The archive is the front of the log, and goes on with what came since.
    add(&store, 100, 10);
    assert_eq!(world.run(&["audit", "export", "--to", path]).code, 0);
    let key = store.public_key().to_string();
    assert_eq!(world.run(&["audit", "verify", "--key", &key, "--file", path]).code, 0);
    assert_eq!(seqs(&fs::read_to_string(&archive).unwrap(), "/seq"), (0..111).collect::<Vec<_>>());
    // Nobody prunes from inside a box, nor one who may not approve.
    let inside = world.command(&prune).env("BARTIZAN_BOX", "1").output().unwrap();
    assert_eq!(inside.status.code(), Some(69));
    world.configure("[approvers]\npeople = [\"local:somebody-else\"]\n");
    let refused = world.run(&prune);
    assert_ne!(refused.code, 0, "{refused:?}");
}

#[test]
fn the_published_schema_knows_every_event_and_tells_a_bad_record() {
    let listed = schema::published()["$defs"]["events"]["enum"].clone();
    let known: Vec<&str> = Event::ALL.iter().map(|event| event.as_str()).collect();
    assert_eq!(listed, json!(known));
    let world = World::new();
    let store = world.store();
    let refusal = Entry::new(Event::Refusal).session("s").call("c").with("verdict", "deny");
    let refusal =
        refusal.with("door", "run").with("tool", "Read").with("code", "x").with("reason", "y");
    let refusal = refusal.with("policies", json!([]));
    let _receipt = store.append(refusal, Durability::Durable).unwrap();
    let good = json_of(&world.run(&["audit", "list", "--json"]));
    schema::check(&good).unwrap();
    let bad = |change: &dyn Fn(&mut Value)| {
        let mut record = good.clone();
        change(&mut record);
        assert!(schema::check(&record).is_err(), "{record}");
    };
    bad(&|record| record["v"] = json!(2));
    bad(&|record| record["seq"] = json!("0"));
    bad(&|record| record["prev"] = json!("00"));
    bad(&|record| record["log_id"] = json!("G".repeat(32)));
    bad(&|record| record["verdict"] = json!("allow"));
    bad(&|record| record["session"] = json!(""));
    bad(&|record| record["leaf"] = json!("00"));
    bad(&|record| record["Shout"] = json!(1));
    bad(&|record| drop(record.as_object_mut().unwrap().remove("code")));
    bad(&|record| drop(record.as_object_mut().unwrap().remove("log_id")));
}

#[test]
fn records_at_the_end_that_nothing_signs_have_a_code_of_their_own() {
    let world = World::new();
    let store = world.store();
    add(&store, 0, 70);
    drop(store);
    let exported = world.run(&["audit", "export"]).out;
    let key = fs::read_to_string(world.state().join("checkpoint.pub")).unwrap();
    // The end without the last checkpoint, as a copy is that was taken in between.
    let signed = exported.rfind("{\"checkpoint\"").unwrap();
    let file = world.path("copy.jsonl");
    fs::write(&file, exported.get(..signed).unwrap()).unwrap();
    let args = ["audit", "verify", "--key", key.trim(), "--file", file.to_str().unwrap()];
    let done = world.run(&args);
    assert_eq!(done.code, 3, "{done:?}");
    fs::write(&file, &exported).unwrap();
    assert_eq!(world.run(&args).code, 0);
}
