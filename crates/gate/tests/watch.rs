//! Does a run that turns get no further than its rules allow? Sessions that turn, through the real gate.

#![expect(clippy::unwrap_used, reason = "a question that is not there fails its test")]

mod support;

use bartizan_gate::taint::{Reading, Trust};
use bartizan_gate::watch::OnFlag;
use bartizan_store::{Answer, Desk, QuestionFilter, Verdict};
use serde_json::{Value, json};
use support::{Fixture, rules};

fn write(n: usize) -> (&'static str, Value) {
    ("Write", json!({ "file_path": format!("src/{n}.rs"), "content": "x" }))
}

fn forbidden(n: usize) -> (&'static str, Value) {
    ("Bash", json!({ "command": format!("nmap 10.0.0.{n}") }))
}

/// A gate at which a run has just tried five doors that are shut.
fn turned(on_flag: OnFlag) -> Fixture {
    let forms = rules("allow", &["Read", "Write", "model.request"]);
    let fixture = Fixture::new(&forms).on_flag(on_flag);
    for n in 0..5 {
        assert_eq!(fixture.outcome_code(write(n)), "allowed", "an honest run goes on");
        assert_eq!(fixture.outcome_code(forbidden(n)), "tool-not-listed");
    }
    fixture
}

fn read() -> (&'static str, Value) {
    ("Read", json!({ "file_path": "src/a.rs" }))
}

fn the_question(fixture: &Fixture) -> String {
    let open = fixture.store.questions(&QuestionFilter::default()).unwrap();
    open.into_iter().find(|question| question.tool == "run.resume").unwrap().id
}

#[test]
fn a_flag_is_on_the_log_and_a_note_stops_nothing() {
    let fixture = turned(OnFlag::Note);
    let flag = fixture.last("flag");
    assert_eq!(
        (&flag["rule"], &flag["act"], &flag["severity"]),
        (&json!("denial-burst"), &json!("raise"), &json!("high"))
    );
    assert_eq!(fixture.outcome_code(write(7)), "allowed");
    let raised = fixture.pipeline.flags(&fixture.caller);
    assert_eq!(raised.len(), 1);
    assert_eq!(raised[0].rule, "denial-burst");
}

#[test]
fn a_run_that_one_gate_has_paused_is_paused_at_the_gate_beside_it() {
    let mut fixture = turned(OnFlag::Pause);
    let first = fixture.beside();
    assert_eq!(fixture.outcome_code(write(8)), "run-paused");
    let question = the_question(&fixture);
    fixture.approve(&question, "anna");
    assert_eq!(fixture.outcome_code(write(8)), "allowed");
    // And the other way: what is tried here counts there.
    for n in 20..25 {
        fixture.outcome_code(forbidden(n));
    }
    fixture.pipeline = first;
    assert_eq!(fixture.outcome_code(write(9)), "run-paused");
}

#[test]
fn a_paused_run_does_nothing_until_a_person_says_so_and_then_goes_on() {
    let fixture = turned(OnFlag::Pause);
    let reads_on = || fixture.pipeline.may_read_on(&fixture.caller, read().0);
    for call in [write(8), read()] {
        assert_eq!(fixture.outcome_code(call), "run-paused");
    }
    assert!(!reads_on(), "nor does it read on in what was returned before");
    let question = the_question(&fixture);
    let other = fixture.another("s9", &["other"]);
    assert!(fixture.pipeline.flags(&other).is_empty(), "another session is not concerned");
    fixture.approve(&question, "anna");
    assert_eq!(fixture.outcome_code(write(8)), "allowed");
    assert_eq!(fixture.outcome_code(read()), "allowed");
    assert!(reads_on() && !fixture.pipeline.may_read_on(&fixture.caller, "Unheard"));
    let resumed = fixture.last("flag");
    assert_eq!(resumed["act"], "resume");
    assert_eq!(resumed["approvers"], json!(["anna"]));
    for n in 20..25 {
        fixture.outcome_code(forbidden(n));
    }
    assert_eq!(fixture.outcome_code(write(8)), "run-paused", "one word is for one flag");
}

#[test]
fn a_paused_run_stays_paused_when_a_person_says_no_or_nobody_who_may() {
    let forms = rules("allow", &["Write"]);
    let fixture = Fixture::with_approvers(&forms, &["anna"]).on_flag(OnFlag::Pause);
    (0..5).for_each(|n| assert_eq!(fixture.outcome_code(forbidden(n)), "tool-not-listed"));
    assert_eq!(fixture.outcome_code(write(1)), "run-paused");
    fixture.approve(&the_question(&fixture), "mallory");
    assert_eq!(fixture.outcome_code(write(1)), "run-paused", "mallory is no approver");
    let no = Answer { approver: "anna".into(), verdict: Verdict::Deny, reason: String::new() };
    fixture.store.answer(&the_question(&fixture), no).unwrap();
    assert_eq!(fixture.outcome_code(write(1)), "run-paused");
}

#[test]
fn a_flagged_run_is_asked_about_what_policy_alone_would_allow() {
    let fixture = turned(OnFlag::Ask);
    assert_eq!(fixture.outcome_code(read()), "allowed", "reading goes on");
    let question = fixture.asked(write(8));
    assert_eq!(fixture.outcome_code(write(8)), "approval-required");
    fixture.approve(&question, "anna");
    assert_eq!(fixture.outcome_code(write(8)), "allowed");
    assert_eq!(fixture.outcome_code(write(9)), "approval-required");
}

#[test]
fn the_call_that_turns_a_run_is_itself_held() {
    let fixture = Fixture::new(&rules("allow", &["*"])).on_flag(OnFlag::Pause);
    let keys = || ("Bash", json!({ "command": "cat ~/.ssh/id_rsa" }));
    assert_eq!(fixture.outcome_code(keys()), "allowed", "nothing was read yet");
    let reading =
        Reading { source: "a page", trust: Trust::Untrusted, text: "The weather is fine." };
    fixture.pipeline.read(&fixture.caller, &reading);
    let more = || ("Bash", json!({ "command": "tar c ~/.ssh/" }));
    assert_eq!(fixture.outcome_code(more()), "run-paused");
    fixture.approve(&the_question(&fixture), "anna");
    assert_eq!(fixture.outcome_code(more()), "allowed", "a person has looked at it");
}
