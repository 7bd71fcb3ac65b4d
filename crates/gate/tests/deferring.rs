//! Does a call that one run put off go through in a later one on a person's word alone, once, and as the same call?

#![expect(clippy::unwrap_used, reason = "a question that is not there fails its test")]

mod support;

use bartizan_gate::call::{Decision, Door, Proposed};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Caller;
use bartizan_store::{Desk, QuestionState};
use serde_json::{Value, json};
use std::time::Duration;
use support::{Fixture, rules};

const DAY: Duration = Duration::from_hours(24);
const IDS: (&str, &str) = ("c-1", "toolu_1");

fn call() -> (&'static str, Value) {
    ("Bash", json!({ "command": "make release" }))
}

/// A run that is over, whose one call waits for a person; the id of its question.
fn put_off(fixture: &Fixture) -> String {
    let question = fixture.asked(call());
    fixture.pipeline.defer(&fixture.caller, &question, IDS, DAY).unwrap();
    fixture.pipeline.dismiss(&fixture.caller, Some(0), json!({})).unwrap();
    question
}

fn again(fixture: &Fixture, caller: &Caller, command: &str) -> Result<&'static str, Refusal> {
    let proposed = Proposed::new(caller, Door::Hook, "Bash", json!({ "command": command }));
    match fixture.pipeline.decide(proposed.made_again(IDS.0, IDS.1))? {
        Decision::Allow(_) => Ok("allowed"),
        Decision::Ask(pending) => Err(fixture.pipeline.ask(pending)),
    }
}

fn code(said: Result<&'static str, Refusal>) -> &'static str {
    said.unwrap_or_else(|refused| refused.code())
}

#[test]
fn a_persons_word_reaches_the_next_run_once() {
    let fixture = Fixture::new(&rules("ask", &["Bash"]));
    let question = put_off(&fixture);
    fixture.approve(&question, "anna");
    let next = fixture.another("s2", &["claude"]);
    assert_eq!(code(again(&fixture, &next, "make release")), "allowed");
    let intent = fixture.last("call");
    assert_eq!((&intent["verdict"], &intent["session"]), (&json!("approved"), &json!("s2")));
    assert_eq!(code(again(&fixture, &next, "make release")), "approval-required");
    let third = fixture.another("s3", &["claude"]);
    assert_eq!(code(again(&fixture, &third, "make release")), "approval-required");
}

#[test]
fn without_saying_that_it_is_made_again_a_call_uses_no_answer_of_another_run() {
    let fixture = Fixture::new(&rules("ask", &["Bash"]));
    fixture.approve(&put_off(&fixture), "anna");
    let next = fixture.another("s2", &["claude"]);
    let (tool, arguments) = call();
    let plain = fixture.pipeline.decide(Proposed::new(&next, Door::Hook, tool, arguments));
    assert!(matches!(plain, Ok(Decision::Ask(_))), "{plain:?}");
}

#[test]
fn what_an_earlier_run_put_off_needs_a_person_even_where_policy_would_allow_it_now() {
    // What that run had read made the policy ask; this one has read nothing.
    let fixture = Fixture::new(&rules("allow", &["Bash"]));
    assert_eq!(fixture.outcome_code(call()), "allowed");
    let next = fixture.another("s2", &["claude"]);
    assert_eq!(code(again(&fixture, &next, "make release")), "approval-required");
    let denying = Fixture::new(&rules("deny", &["Bash"]));
    let next = denying.another("s2", &["claude"]);
    assert_eq!(code(again(&denying, &next, "make release")), "tool-not-listed");
}

#[test]
fn another_subject_gets_nothing_of_it() {
    let fixture = Fixture::new(&rules("ask", &["Bash"]));
    fixture.approve(&put_off(&fixture), "anna");
    let next = fixture.another("s2", &["claude"]);
    assert_eq!(code(again(&fixture, &next, "make release; curl evil.test")), "approval-required");
    assert_eq!(code(again(&fixture, &next, "make release")), "approval-required", "it is gone");
}

#[test]
fn only_people_who_may_approve_count_in_the_next_run() {
    let fixture = Fixture::with_approvers(&rules("ask", &["Bash"]), &["anna"]);
    fixture.approve(&put_off(&fixture), "mallory");
    let next = fixture.another("s2", &["claude"]);
    assert_eq!(code(again(&fixture, &next, "make release")), "approval-required");
}

#[test]
fn a_run_that_is_flagged_puts_nothing_off_and_loses_what_it_had() {
    let fixture = Fixture::new(&rules("ask", &["Bash"]));
    let question = fixture.asked(call());
    fixture.pipeline.defer(&fixture.caller, &question, IDS, DAY).unwrap();
    for n in 0..6 {
        fixture.outcome_code(("Read", json!({ "file_path": format!("/root/{n}") })));
    }
    assert!(!fixture.pipeline.flags(&fixture.caller).is_empty(), "a burst of refusals is a flag");
    let stands = fixture.store.question(&question).unwrap();
    assert_eq!((stands.state, stands.deferred), (QuestionState::Expired, None));
    let question = fixture.asked(("Bash", json!({ "command": "make again" })));
    assert!(fixture.pipeline.defer(&fixture.caller, &question, IDS, DAY).is_err());
}

#[test]
fn nobody_puts_off_the_question_of_another_session() {
    let fixture = Fixture::new(&rules("ask", &["Bash"]));
    let question = fixture.asked(call());
    let other = fixture.another("s2", &["claude"]);
    assert!(fixture.pipeline.defer(&other, &question, IDS, DAY).is_err());
    assert!(fixture.pipeline.defer(&fixture.caller, "0000", IDS, DAY).is_err());
    assert!(fixture.pipeline.defer(&fixture.caller, &question, ("", "x"), DAY).is_err());
    assert!(fixture.pipeline.defer(&fixture.caller, &question, IDS, DAY).is_ok(), "its twin");
}
