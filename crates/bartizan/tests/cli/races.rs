//! What becomes of an answer when two give it at once, when who gives it is killed, and when the disk is full?

use super::{Done, World, ask};
use bartizan_store::{Desk as _, Event, Filter, Question, QuestionState, Store};
use serde_json::json;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// How many answers the question has, and how many the log has of it.
fn answers(store: &Store, question: &Question) -> (usize, usize) {
    let now = store.question(&question.id).unwrap();
    let filter = Filter { event: Some(Event::Approval), ..Filter::default() };
    let records = store.reader().page(&filter, 1000).unwrap();
    let of_it = |record: &&bartizan_store::Record| record.value()["question"] == json!(question.id);
    (now.answers.len(), records.iter().filter(of_it).count())
}

#[test]
fn of_two_who_answer_at_once_one_is_taken_and_the_other_told() {
    let world = World::new();
    let store = world.store();
    for turn in 0..3 {
        let question = ask(&store, &format!("race-{turn}"), 1, json!({ "effect": "write" }));
        let say =
            |word: &str| world.command(&["approvals", word, &question.id, "-y"]).spawn().unwrap();
        let both = [say("approve"), say("approve")];
        let done: Vec<Done> = both.into_iter().map(|child| world.finish(child)).collect();
        let mut codes: Vec<i32> = done.iter().map(|done| done.code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [0, 1], "{done:?}");
        let told = done.iter().find(|done| done.code == 1).unwrap();
        assert!(told.err.contains("has answered question"), "{told:?}");
        assert_eq!(answers(&store, &question), (1, 1));
    }
    assert_eq!(world.run(&["audit", "verify"]).code, 0);
}

#[test]
fn an_answer_is_there_with_its_record_or_not_at_all_when_its_giver_is_killed() {
    let world = World::new();
    let store = world.store();
    for turn in 0..12_u64 {
        let question = ask(&store, &format!("killed-{turn}"), 1, json!({ "effect": "write" }));
        let mut giver =
            world.command(&["approvals", "approve", &question.id, "-y"]).spawn().unwrap();
        // Each is killed somewhat later than the one before; wherever that is, the same holds.
        thread::sleep(Duration::from_millis(turn * 7));
        giver.kill().unwrap();
        giver.wait().unwrap();
        let (taken, recorded) = answers(&store, &question);
        assert_eq!(taken, recorded, "turn {turn}");
        let state = store.question(&question.id).unwrap().state;
        let approved = state == QuestionState::Approved;
        assert!(
            approved == (taken == 1) && (approved || state == QuestionState::Pending),
            "{state:?}"
        );
        // Whoever comes after is served: the killed one holds nothing. The same person answers once.
        let after = world.run(&["approvals", "deny", &question.id, "-y"]);
        assert_eq!(after.code, i32::from(approved), "{after:?}");
        assert!(!approved || after.err.contains("has answered question"), "{after:?}");
    }
    drop(store);
    assert_eq!(world.run(&["audit", "verify"]).code, 0);
}

#[test]
fn a_question_that_expires_while_somebody_answers_takes_no_yes() {
    let world = World::new();
    let store = world.store();
    let new = bartizan_store::NewQuestion {
        session: "s-1".to_owned(),
        agent: "coder".to_owned(),
        tool: "WebFetch".to_owned(),
        digest: bartizan_store::Digest::of(b"call"),
        policy: bartizan_store::Digest::of(b"policy"),
        quorum: 1,
        shown: json!({}),
        expires_in: Duration::from_millis(1),
    };
    let question = store.ask(new).unwrap();
    super::until("its end", || {
        store.question(&question.id).unwrap().state == QuestionState::Expired
    });
    let late = world.run(&["approvals", "approve", &question.id, "-y"]);
    assert!(late.code == 1 && late.err.contains("has expired"), "{late:?}");
    assert_eq!(answers(&store, &question), (0, 0));
}

/// On a disk of its own that is full, and then not: in namespaces, where whoever tests may mount one.
#[test]
fn a_full_disk_takes_no_answer_and_says_so_and_loses_nothing() {
    // Where an ordinary user maps itself to root, the folders above the state belong to nobody, and are refused for it.
    if !rustix::process::geteuid().is_root() {
        return skipped("it takes root");
    }
    let world = World::new();
    let store = world.store();
    let question = ask(&store, "full", 1, json!({ "effect": "write" }));
    store.checkpoint().unwrap();
    drop(store);
    let bartizan = env!("CARGO_BIN_EXE_bartizan");
    let script = format!(
        "mount -t tmpfs -o size=4m none {disk} || exit 77\n\
         cp -a {state} {disk}/state && cd {disk} || exit 78\n\
         run() {{ {bartizan} --state {disk}/state \"$@\"; }}\n\
         run audit export --to {disk}/log.jsonl || exit 79\n\
         dd if=/dev/zero of=fill bs=4k 2>/dev/null; sync\n\
         run approvals approve {id} -y; [ $? = 74 ] || exit 80\n\
         run audit export --format ocsf --to {disk}/ocsf.jsonl; [ $? = 74 ] || exit 81\n\
         rm fill\n\
         run approvals show {id} --json | grep -q '\"state\": *\"pending\"' || exit 82\n\
         run approvals approve {id} -y || exit 83\n\
         run audit export --format ocsf --to {disk}/ocsf.jsonl || exit 84\n\
         run audit verify || exit 85\n",
        disk = world.path("project").display(),
        state = world.state().display(),
        id = question.id,
    );
    #[expect(clippy::disallowed_methods, reason = "the person's own shell, which may mount a disk")]
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    command
        .env_clear()
        .env("HOME", world.path("home"))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(child) = child else { return skipped("there is no `unshare`") };
    let done = world.finish(child);
    if done.code == 77 || done.err.contains("unshare failed") || done.err.contains("unshare: ") {
        return skipped(&done.err);
    }
    assert_eq!(done.code, 0, "{done:?}");
}

#[expect(clippy::print_stderr, reason = "whoever reads the tests shall know")]
fn skipped(why: &str) {
    eprintln!("SKIPPED: answers on a full disk, since none can be mounted here: {why}");
}
