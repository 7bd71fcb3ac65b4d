//! Does a deferred question outlive its session, and reach exactly one later session that makes the same call?
use crate::util::{again, assert_whole, role, state};
use bartizan_store::{
    Answer, ApprovalKey, Deferral, Desk as _, Digest, Ending, Filter, NewQuestion, NewSession,
    Question, QuestionState, Sessions as _, Store, StoreError, Verdict,
};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

const DAY: Duration = Duration::from_hours(24);

fn open() -> (TempDir, Store) {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    begin(&store, "s-1");
    (dir, store)
}

fn begin(store: &Store, id: &str) {
    let session = NewSession {
        id: id.to_owned(),
        agent: "build".to_owned(),
        workspace: "/w".to_owned(),
        argv: vec!["true".to_owned()],
        facts: serde_json::Map::new(),
    };
    store.begin(session).unwrap();
}

fn ask(store: &Store, session: &str, call: &str) -> Question {
    let new = NewQuestion {
        session: session.to_owned(),
        agent: "main".to_owned(),
        tool: "Bash".to_owned(),
        digest: Digest::of(call.as_bytes()),
        policy: Digest::of(b"policy 1"),
        quorum: 1,
        shown: json!({ "command": call }),
        expires_in: Duration::from_mins(10),
    };
    store.ask(new).unwrap()
}

fn key(session: &str, call: &str) -> ApprovalKey {
    ApprovalKey {
        session: session.to_owned(),
        digest: Digest::of(call.as_bytes()),
        policy: Digest::of(b"policy 1"),
    }
}

fn to(conversation: &str) -> Deferral {
    Deferral {
        role: "default".to_owned(),
        workspace: "/w".to_owned(),
        conversation: conversation.to_owned(),
        call: "toolu_1".to_owned(),
    }
}

fn answer(store: &Store, question: &Question, verdict: Verdict) -> Question {
    let (approver, reason) = ("anna".to_owned(), "because".to_owned());
    store.answer(&question.id, Answer { approver, verdict, reason }).unwrap()
}

/// A question of a session that is over, deferred to conversation `c-1`.
fn deferred(store: &Store) -> Question {
    let question = ask(store, "s-1", "rm");
    store.defer(&question.id[..8], &to("c-1"), DAY).unwrap();
    store.end("s-1", Ending::default()).unwrap();
    store.question(&question.id).unwrap()
}

#[test]
fn a_deferred_question_outlives_its_session_and_its_answer_is_used_once_by_the_next() {
    let (dir, store) = open();
    let question = deferred(&store);
    assert_eq!((question.state, &question.deferred), (QuestionState::Pending, &Some(to("c-1"))));
    let day = u64::try_from(DAY.as_millis()).unwrap();
    assert!(question.expires_ms > question.asked_ms + day - 60_000, "it has a time of its own");
    assert_eq!(answer(&store, &question, Verdict::Approve).state, QuestionState::Approved);
    begin(&store, "s-2");
    assert_eq!(store.given(&key("s-2", "rm")).unwrap().question, None, "not by itself");
    assert!(store.adopt(&key("s-2", "rm"), &to("c-1")).unwrap());
    assert_eq!(store.given(&key("s-2", "rm")).unwrap().approvers, ["anna"]);
    assert!(store.consume(&key("s-2", "rm")).is_ok());
    // Neither this run nor another gets it again.
    assert!(store.consume(&key("s-2", "rm")).is_err());
    begin(&store, "s-3");
    assert!(!store.adopt(&key("s-3", "rm"), &to("c-1")).unwrap());
    assert!(store.consume(&key("s-3", "rm")).is_err() && store.consume(&key("s-1", "rm")).is_err());
    let told: Vec<(Value, Value)> = acts(&store);
    let expected = [("defer", "s-1"), ("approve", "s-1"), ("adopt", "s-2"), ("use", "s-2")];
    assert_eq!(told, expected.map(|(act, session)| (json!(act), json!(session))));
    assert_whole(dir.path());
}

fn acts(store: &Store) -> Vec<(Value, Value)> {
    let records = store.reader().page(&Filter::default(), 100).unwrap();
    let approvals = records.iter().map(bartizan_store::Record::value);
    approvals
        .filter(|record| record["event"] == "approval")
        .map(|record| (record["act"].clone(), record["session"].clone()))
        .collect()
}

#[test]
fn a_no_is_taken_over_too_and_what_nobody_answered_is_the_same_question() {
    let (_dir, store) = open();
    let question = deferred(&store);
    begin(&store, "s-2");
    assert!(store.adopt(&key("s-2", "rm"), &to("c-1")).unwrap());
    assert_eq!(ask(&store, "s-2", "rm").id, question.id, "nobody is asked twice");
    store.defer(&question.id, &to("c-1"), DAY).unwrap();
    store.end("s-2", Ending::default()).unwrap();
    answer(&store, &question, Verdict::Deny);
    begin(&store, "s-3");
    assert!(store.adopt(&key("s-3", "rm"), &to("c-1")).unwrap());
    assert_eq!(store.given(&key("s-3", "rm")).unwrap().denied.as_deref(), Some("because"));
}

#[test]
fn nothing_but_exactly_the_same_call_of_the_same_conversation_role_and_workspace_takes_it_over() {
    let (_dir, store) = open();
    answer(&store, &deferred(&store), Verdict::Approve);
    begin(&store, "s-2");
    let others = [
        to("c-2"),
        Deferral { role: "other".to_owned(), ..to("c-1") },
        Deferral { workspace: "/elsewhere".to_owned(), ..to("c-1") },
        Deferral { call: "toolu_2".to_owned(), ..to("c-1") },
    ];
    for other in others {
        assert!(!store.adopt(&key("s-2", "rm"), &other).unwrap(), "{other:?}");
    }
    assert!(store.adopt(&key("s-2", "rm"), &to("c-1")).unwrap(), "its twin");
}

#[test]
fn changed_arguments_or_another_policy_withdraw_it_instead() {
    for changed in
        [key("s-2", "rm -rf"), ApprovalKey { policy: Digest::of(b"policy 2"), ..key("s-2", "rm") }]
    {
        let (dir, store) = open();
        let question = answer(&store, &deferred(&store), Verdict::Approve);
        begin(&store, "s-2");
        assert!(!store.adopt(&changed, &to("c-1")).unwrap());
        assert!(store.consume(&changed).is_err());
        assert_eq!(store.question(&question.id).unwrap().state, QuestionState::Expired);
        assert!(!store.adopt(&key("s-2", "rm"), &to("c-1")).unwrap(), "it is gone");
        assert_whole(dir.path());
    }
}

#[test]
fn nobody_takes_a_question_from_a_session_that_goes_on() {
    let (_dir, store) = open();
    let question = ask(&store, "s-1", "rm");
    store.defer(&question.id, &to("c-1"), DAY).unwrap();
    answer(&store, &question, Verdict::Approve);
    begin(&store, "s-2");
    assert!(!store.adopt(&key("s-2", "rm"), &to("c-1")).unwrap());
    assert!(store.consume(&key("s-1", "rm")).is_ok(), "it is still its own");
    store.end("s-1", Ending::default()).unwrap();
    assert!(!store.adopt(&key("s-2", "rm"), &to("c-1")).unwrap(), "it is used");
}

#[test]
fn a_session_that_dies_with_an_adopted_answer_takes_it_with_it() {
    let (_dir, store) = open();
    answer(&store, &deferred(&store), Verdict::Approve);
    begin(&store, "s-2");
    assert!(store.adopt(&key("s-2", "rm"), &to("c-1")).unwrap());
    // As the next run does with what a killed one left.
    store.end("s-2", Ending::default()).unwrap();
    begin(&store, "s-3");
    assert!(!store.adopt(&key("s-3", "rm"), &to("c-1")).unwrap());
    assert!(store.consume(&key("s-3", "rm")).is_err());
}

#[test]
fn what_a_session_deferred_is_withdrawn_when_it_turns_out_not_to_be_trusted() {
    let (dir, store) = open();
    let question = ask(&store, "s-1", "rm");
    store.defer(&question.id, &to("c-1"), DAY).unwrap();
    store.undefer("s-1").unwrap();
    let stands = store.question(&question.id).unwrap();
    assert_eq!((stands.state, stands.deferred), (QuestionState::Expired, None));
    let late = store.answer(
        &question.id,
        Answer { approver: "anna".to_owned(), verdict: Verdict::Approve, reason: String::new() },
    );
    assert!(matches!(late, Err(StoreError::Withdrawn { .. })), "{late:?}");
    assert_whole(dir.path());
}

#[test]
fn only_what_waits_is_deferred_and_not_without_end() {
    let (_dir, store) = open();
    let question = ask(&store, "s-1", "rm");
    for life in [Duration::ZERO, Duration::from_hours(169)] {
        assert!(store.defer(&question.id, &to("c-1"), life).is_err(), "{life:?}");
    }
    assert!(store.defer(&question.id, &to(""), DAY).is_err());
    answer(&store, &question, Verdict::Approve);
    assert!(store.defer(&question.id, &to("c-1"), DAY).is_err(), "it is answered");
    let mut count = 0;
    for session in 0..3 {
        let session = format!("many-{session}");
        begin(&store, &session);
        for call in 0..20 {
            let question = ask(&store, &session, &format!("call {call}"));
            count += u32::from(store.defer(&question.id, &to("c-1"), DAY).is_ok());
        }
    }
    assert_eq!(count, 32, "an agent that floods the desk would tire its people");
}

#[test]
fn of_many_processes_one_takes_it_over() {
    const RUNS: usize = 6;
    if let Some(dir) = role() {
        let store = Store::open(&dir).unwrap();
        let own = std::env::var("BARTIZAN_TEST_SESSION").unwrap();
        let adopted = store.adopt(&key(&own, "rm"), &to("c-1")).unwrap();
        let used = store.consume(&key(&own, "rm")).is_ok();
        assert_eq!(adopted, used);
        println!("{}", if used { "USED" } else { "NOT" });
        return;
    }
    let (dir, store) = open();
    answer(&store, &deferred(&store), Verdict::Approve);
    (0..RUNS).for_each(|run| begin(&store, &format!("r-{run}")));
    let children: Vec<_> = (0..RUNS)
        .map(|run| {
            let mut child = again("deferred::of_many_processes_one_takes_it_over", dir.path());
            child.env("BARTIZAN_TEST_SESSION", format!("r-{run}"));
            child.stdout(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut used = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        used += usize::from(String::from_utf8_lossy(&output.stdout).contains("USED"));
    }
    assert_eq!(used, 1);
    assert_whole(dir.path());
}

#[test]
fn what_a_session_deferred_goes_with_it_when_its_process_died() {
    if let Some(dir) = role() {
        let store = Store::open(&dir).unwrap();
        begin(&store, "died");
        let question = ask(&store, "died", "rm");
        store.defer(&question.id, &to("c-1"), DAY).unwrap();
        return;
    }
    let (dir, store) = open();
    let name = "deferred::what_a_session_deferred_goes_with_it_when_its_process_died";
    assert!(again(name, dir.path()).status().unwrap().success());
    let questions = || store.questions(&bartizan_store::QuestionFilter::default()).unwrap();
    assert_eq!(questions()[0].state, QuestionState::Pending);
    store.end("died", Ending::default()).unwrap();
    assert_eq!(questions()[0].state, QuestionState::Expired);
    begin(&store, "s-2");
    assert!(!store.adopt(&key("s-2", "rm"), &to("c-1")).unwrap());
    assert_whole(dir.path());
}
