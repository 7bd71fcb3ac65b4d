//! Is whoever is configured told of questions and flags: each, signed, harmless to show, also after a failure and a crash?

use super::collector::{Answer, Collector};
use super::{Done, World, ask, json_of};
use bartizan_store::{
    Desk as _, Digest, Durability, Entry, Event, Ledger as _, NewQuestion, Store,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const KEY: &str = "kq3vZr0Tn8YbLw5XcUd2";

fn told(world: &World, args: &[&str]) -> Done {
    let mut command = world.command(&[&["notify"], args].concat());
    command.env("HOOK_KEY", KEY);
    world.finish(command.spawn().unwrap())
}

/// A world whose questions go to `collector`, and who was told of everything so far.
fn world(collector: &Collector, more: &str) -> (World, Store) {
    let world = World::new();
    world.configure(&format!(
        "[secrets.hook]\nfrom = \"env://HOOK_KEY\"\n[notify]\nconsole = \"https://desk.example\"\n\
         [notify.webhooks.ops]\nurl = \"http://127.0.0.1:{}/hook\"\nsecret = \"hook\"\n{more}",
        collector.port
    ));
    let store = world.store();
    let first = told(&world, &[]);
    assert_eq!((first.code, collector.came().len()), (0, 0), "{first:?}");
    (world, store)
}

fn body(collector: &Collector, at: usize) -> Value {
    serde_json::from_str(&collector.came()[at].body).unwrap()
}

#[test]
fn a_question_is_told_after_two_failures_once_signed_and_harmless() {
    let failing = [Answer::status(500), Answer::Nothing, Answer::status(204)];
    let collector = Collector::answering(&failing);
    let (world, store) = world(&collector, "");
    let token = ["ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
    let target =
        format!("https://x.example/\u{1b}[2J\u{202e}<!channel> `{token}` &{}", "a".repeat(900));
    let shown = json!({ "effect": "irreversible", "target": target, "arguments": { "to": "never-leaves" } });
    let question = ask(&store, "one", 2, shown);
    let done = told(&world, &[]);
    assert_eq!(done.code, 0, "{done:?}");
    let came = collector.came();
    assert_eq!(came.len(), 3, "{came:?}");
    for came in &came {
        let (id, time) = (came.field("webhook-id"), came.field("webhook-timestamp"));
        assert_eq!(id, collector.came()[0].field("webhook-id"), "the same each time");
        let signature = came.field("webhook-signature").strip_prefix("v1,").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
        let signed = format!("{id}.{time}.{}", came.body);
        hmac::verify(&key, signed.as_bytes(), &BASE64.decode(signature).unwrap()).unwrap();
        for never in ["\u{1b}", "\u{202e}", "<", "&", &token, "never-leaves", KEY] {
            assert!(!came.body.contains(never), "{never}: {}", came.body);
        }
        assert!(came.body.len() < 4096, "{}", came.body.len());
    }
    let body = body(&collector, 2);
    assert_eq!((&body["type"], &body["question"]["quorum"]), (&json!("question"), &json!(2)));
    assert_eq!(body["question"]["id"], question.id.as_str());
    let link = body["link"].as_str().unwrap();
    assert!(body["text"].as_str().unwrap().ends_with(link), "{body}");
    let end = link.strip_prefix("https://desk.example/open/").unwrap();
    assert_eq!(store.follow(end).unwrap(), question.id);
    assert_eq!((told(&world, &[]).code, collector.came().len()), (0, 3), "and no more");
}

#[test]
fn what_nobody_took_waits_in_its_order_also_when_the_teller_is_killed() {
    let collector = Collector::answering(&[Answer::status(503)]);
    let (world, store) = world(&collector, "");
    let one = ask(&store, "one", 1, json!({}));
    let mut command = world.command(&["notify", "--follow"]);
    let mut teller = command.env("HOOK_KEY", KEY).spawn().unwrap();
    super::until("the first try", || !collector.came().is_empty());
    teller.kill().unwrap();
    teller.wait().unwrap();
    let settled = ask(&store, "two", 1, json!({}));
    let three = ask(&store, "three", 1, json!({}));
    let late = told(&world, &["--for", "1s"]);
    assert!(late.code == 1 && late.err.contains("stays on the log"), "{late:?}");
    assert_eq!(world.run(&["approvals", "deny", &settled.id]).code, 0);
    collector.then_always(Answer::status(200));
    let before = collector.came().len();
    assert_eq!(told(&world, &[]).code, 0);
    let ids: Vec<Value> = (before..collector.came().len())
        .map(|at| body(&collector, at)["question"]["id"].clone())
        .collect();
    assert_eq!(ids, [json!(one.id), json!(three.id)], "and not what was settled meanwhile");
}

/// Questions of as many runs as it takes, since one may put only so many.
fn flood(store: &Store, count: u64) {
    for number in 0..count {
        let new = NewQuestion {
            session: format!("run-{}", number / 30),
            agent: "coder".to_owned(),
            tool: "WebFetch".to_owned(),
            digest: Digest::of(&number.to_be_bytes()),
            policy: Digest::of(b"policy"),
            quorum: 1,
            shown: json!({ "effect": "write" }),
            expires_in: Duration::from_hours(1),
        };
        store.ask(new).unwrap();
    }
}

#[test]
fn a_hundred_questions_are_ten_notices_and_one_of_how_many_more() {
    let collector = Collector::answering(&[Answer::status(200)]);
    let (world, store) = world(&collector, "");
    flood(&store, 100);
    assert_eq!(told(&world, &[]).code, 0);
    let bodies: Vec<Value> = (0..collector.came().len()).map(|at| body(&collector, at)).collect();
    assert_eq!(bodies.len(), 11);
    assert!(bodies[..10].iter().all(|body| body["type"] == "question"), "{bodies:?}");
    let more = &bodies[10];
    assert_eq!(
        (&more["type"], &more["link"]),
        (&json!("summary"), &json!("https://desk.example/"))
    );
    assert_eq!(more["summary"], json!({ "questions": 90, "notes": 0, "runs": 4 }));
    assert!(more["text"].as_str().unwrap().contains("90 more questions"), "{more}");
    let waits = json_of(&world.run(&["approvals", "list", "--json"]));
    assert_eq!(waits.as_array().unwrap().len(), 100, "nothing is lost on the desk");
    assert_eq!((told(&world, &[]).code, collector.came().len()), (0, 11), "and no more is told");
    // A flood that nobody took is told as one again, and not lost.
    flood(&store, 130);
    collector.then_always(Answer::status(503));
    assert_eq!(told(&world, &["--for", "1s"]).code, 1);
    collector.then_always(Answer::status(200));
    let before = collector.came().len();
    assert_eq!(told(&world, &[]).code, 0);
    let last = body(&collector, collector.came().len() - 1);
    assert_eq!((collector.came().len() - before, &last["summary"]["questions"]), (11, &json!(20)));
}

#[test]
fn a_flood_does_not_hold_up_a_flag() {
    let collector = Collector::answering(&[Answer::status(200)]);
    let (world, store) = world(&collector, "");
    let mut command = world.command(&["notify", "--follow"]);
    let mut teller = command.env("HOOK_KEY", KEY).spawn().unwrap();
    flood(&store, 25);
    super::until("the first ten", || collector.came().len() >= 10);
    let flag = Entry::new(Event::Flag).session("run-0").with("act", "raise").with("rule", "canary");
    let flag = flag.with("severity", "high").with("says", "a canary was seen");
    let _receipt = store.append(flag, Durability::Durable).unwrap();
    let is_flag = |came: &super::collector::Came| came.body.contains("\"type\":\"flag\"");
    // Long before the minute is over: `until` gives up by then.
    super::until("the flag", || collector.came().iter().any(is_flag));
    teller.kill().unwrap();
    teller.wait().unwrap();
    let types: Vec<Value> =
        (0..collector.came().len()).map(|at| body(&collector, at)["type"].clone()).collect();
    assert_eq!(types[10..], [json!("summary"), json!("flag")], "{types:?}");
    assert_eq!(body(&collector, 10)["summary"]["questions"], 15);
}

#[test]
fn a_redirect_is_not_followed() {
    let away = |port| {
        Answer::Status(307, format!("location: http://127.0.0.1:{port}/evil\r\n"), String::new())
    };
    let evil = Collector::answering(&[Answer::status(200)]);
    let collector = Collector::answering(&[away(evil.port)]);
    let (world, store) = world(&collector, "");
    ask(&store, "one", 1, json!({}));
    assert_eq!(told(&world, &["--for", "1s"]).code, 1);
    assert!(!collector.came().is_empty() && evil.came().is_empty(), "{:?}", evil.came());
}

#[test]
fn a_flag_is_an_alert_and_a_note_only_for_who_wants_notes() {
    let collector = Collector::answering(&[Answer::status(200)]);
    let notes = Collector::answering(&[Answer::status(200)]);
    let more = format!(
        "on = [\"flag\"]\n[notify.webhooks.notes]\nurl = \"http://localhost:{}\"\nsecret = \"hook\"\non = [\"note\"]\n",
        notes.port
    );
    let (world, store) = world(&collector, &more);
    for (act, rule, severity) in [
        ("raise", "carried-out", "high"),
        ("raise", "ordered-target", "low"),
        ("resume", "canary", "high"),
    ] {
        let flag = Entry::new(Event::Flag).session("s-1").with("act", act).with("rule", rule);
        let flag = flag.with("severity", severity).with("says", "40 bytes leave <b>");
        let _receipt = store.append(flag, Durability::Durable).unwrap();
    }
    ask(&store, "one", 1, json!({}));
    assert_eq!(told(&world, &[]).code, 0);
    assert_eq!((collector.came().len(), notes.came().len()), (1, 1));
    let alert = body(&collector, 0);
    assert_eq!((&alert["type"], &alert["flag"]["rule"]), (&json!("flag"), &json!("carried-out")));
    assert_eq!(alert["link"], "https://desk.example/runs/s-1");
    assert!(
        alert["text"].as_str().unwrap().contains("40 bytes leave \u{2039}b\u{203a}"),
        "{alert}"
    );
    assert_eq!(body(&notes, 0)["flag"]["severity"], "low");
}

#[test]
fn the_desktop_is_told_by_its_own_program() {
    let world = World::new();
    let (program, heard) = (world.path("home/notify"), world.path("home/heard"));
    fs::write(&program, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\n", heard.display()))
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    world.configure(&format!("[notify]\ndesktop = \"{}\"\n", program.display()));
    let store = world.store();
    assert_eq!(told(&world, &[]).code, 0);
    ask(&store, "one", 1, json!({ "effect": "write", "target": "$(reboot) -h <b>" }));
    assert_eq!(told(&world, &[]).code, 0);
    let heard = fs::read_to_string(heard).unwrap();
    let lines: Vec<&str> = heard.lines().collect();
    assert_eq!(lines[..3], ["--app-name=Bartizan", "--", "Bartizan"], "{heard}");
    assert!(lines[3].contains("`$(reboot) -h \u{2039}b\u{203a}`"), "{heard}");
}

#[test]
fn nobody_configured_and_a_secret_that_is_none_are_errors_with_a_remedy() {
    let world = World::new();
    let nobody = world.run(&["notify"]);
    assert!(nobody.code == 78 && nobody.err.contains("[notify.webhooks.NAME]"), "{nobody:?}");
    world.configure("[secrets.hook]\nfrom = \"env://A\"\n[notify.webhooks.a]\nurl = \"https://x.example\"\nsecret = \"hok\"\n");
    let wrong = world.run(&["notify"]);
    assert!(wrong.code == 78 && wrong.err.contains("did you mean `hook`?"), "{wrong:?}");
}
