//! Does a call that one run put off go through in a later one on a person's word alone, once, and as the same call?

#![expect(clippy::unwrap_used, reason = "a question that is not there fails its test")]

mod support;

use bartizan_gate::call::{Decision, Door, Proposed};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Caller;
use bartizan_store::{
    Answer, ApprovalKey, Consumed, Deferral, Desk, Digest, Endorsement, Given, NewQuestion,
    Question, QuestionFilter, QuestionState, Store, StoreError,
};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
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

/// A burst of refusals is a flag.
fn gets_flagged(fixture: &Fixture) {
    for n in 0..6 {
        fixture.outcome_code(("Read", json!({ "file_path": format!("/root/{n}") })));
    }
    assert!(!fixture.pipeline.flags(&fixture.caller).is_empty());
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
    gets_flagged(&fixture);
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

#[test]
fn a_run_that_is_flagged_while_it_puts_a_question_off_has_not_put_it_off() {
    let fixture = Fixture::new(&rules("ask", &["Bash"]));
    let (store, then) = (fixture.store.clone(), Arc::new(OnceLock::new()));
    let fixture = Arc::new(fixture.at(Meanwhile { store, then: Arc::clone(&then) }));
    let again = Arc::downgrade(&fixture);
    let flags = move || again.upgrade().as_deref().map_or((), gets_flagged);
    assert!(then.set(Box::new(flags) as Then).is_ok());
    let question = fixture.asked(call());
    assert!(fixture.pipeline.defer(&fixture.caller, &question, IDS, DAY).is_err());
    assert_eq!(fixture.store.question(&question).unwrap().deferred, None);
}

#[test]
fn nobody_is_asked_about_what_is_too_long_to_be_read() {
    let fixture = Fixture::new(&rules("ask", &["Bash"]));
    let command = |bytes| ("Bash", json!({ "command": "x".repeat(bytes) }));
    assert_eq!(fixture.outcome_code(command(120 << 10)), "approval-required");
    assert_eq!(fixture.outcome_code(command(130 << 10)), "arguments-invalid");
}

type Then = Box<dyn Fn() + Send + Sync>;

/// A desk where something happens while a question is being put off.
struct Meanwhile {
    store: Store,
    then: Arc<OnceLock<Then>>,
}

impl Desk for Meanwhile {
    fn defer(&self, id: &str, to: &Deferral, life: Duration) -> Result<Question, StoreError> {
        // Whoever is flagged loses what is put off by then, which this is not yet.
        if let Some(then) = self.then.get() {
            then();
        }
        self.store.defer(id, to, life)
    }

    fn ask(&self, new: NewQuestion) -> Result<Question, StoreError> {
        self.store.ask(new)
    }

    fn questions(&self, filter: &QuestionFilter) -> Result<Vec<Question>, StoreError> {
        self.store.questions(filter)
    }

    fn question(&self, id: &str) -> Result<Question, StoreError> {
        self.store.question(id)
    }

    fn answer(&self, id: &str, answer: Answer) -> Result<Question, StoreError> {
        self.store.answer(id, answer)
    }

    fn given(&self, key: &ApprovalKey) -> Result<Given, StoreError> {
        self.store.given(key)
    }

    fn consume(&self, key: &ApprovalKey) -> Result<Consumed, StoreError> {
        self.store.consume(key)
    }

    fn withdraw(&self, id: &str) -> Result<Question, StoreError> {
        self.store.withdraw(id)
    }

    fn adopt(&self, key: &ApprovalKey, from: &Deferral) -> Result<bool, StoreError> {
        self.store.adopt(key, from)
    }

    fn undefer(&self, session: &str) -> Result<(), StoreError> {
        self.store.undefer(session)
    }

    fn endorse(&self, id: &str, approver: &str, keys: &[Digest]) -> Result<(), StoreError> {
        self.store.endorse(id, approver, keys)
    }

    fn endorsed(&self, session: &str) -> Result<Vec<Endorsement>, StoreError> {
        self.store.endorsed(session)
    }
}
