use super::super::{Api, Budget, Conversation, Scrub};
use super::*;
use crate::config::Limits;
use crate::doors::trial::Trial;
use bartizan_scan::{Form, Frames, Redactor, Sanitiser, ScanKey};
use bartizan_store::{Durability, Entry, Event, Ledger, LedgerError, Receipt, Store};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What happened to a log that a request stands on, in order.
type Order = Arc<Mutex<Vec<&'static str>>>;

/// A log that tells what is done while it takes an intent, and that may break right after.
struct Told {
    store: Store,
    order: Order,
    breaks: bool,
}

impl Told {
    fn note(&self, what: &'static str) {
        self.order.lock().unwrap().push(what);
    }
}

impl Ledger for Told {
    fn append(&self, entry: Entry, durability: Durability) -> Result<Receipt, LedgerError> {
        self.store.append(entry, durability)
    }

    fn append_during(
        &self,
        entry: Entry,
        durability: Durability,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Receipt, LedgerError> {
        assert_eq!(entry.event, Event::Call);
        assert_eq!(durability, Durability::Durable);
        self.note("taken");
        meanwhile();
        self.note("read");
        if self.breaks {
            return Err(LedgerError::Failed { why: "the disk is full".into() });
        }
        let receipt = self.store.append(entry, durability)?;
        self.note("durable");
        Ok(receipt)
    }
}

fn told(rules: [&[&str]; 2], breaks: bool) -> (Trial, Order) {
    let order = Order::default();
    let [allow, ask] = rules;
    let to = Arc::clone(&order);
    let trial = Trial::on([allow, ask, &[]], |store| Arc::new(Told { store, order: to, breaks }));
    (trial, order)
}

fn side(trial: &Trial, requests: Option<u64>) -> Side {
    let redactor = Redactor::new(ScanKey::new([1; 32]), None).unwrap();
    let frames = Frames::new(ScanKey::new([2; 32]), Form::Plain);
    let limits = Limits { model_requests: requests, ..Limits::default() };
    let budget = Budget::new([(trial.caller.seat().role.clone(), limits)]);
    let (stopped, canaries, wary) = Default::default();
    Side {
        gate: Arc::clone(&trial.gate),
        caller: trial.caller.clone(),
        api: Api::Messages,
        conversation: Conversation {
            scrub: Scrub::new(redactor, frames, Sanitiser::default()),
            calls: Arc::default(),
            budget: Arc::new(budget),
        },
        host: "api.anthropic.com".to_owned(),
        port: 443,
        stopped,
        canaries,
        wary,
    }
}

fn asked(body: &Value) -> Asked {
    Asked {
        method: "POST".to_owned(),
        path: "/v1/messages".to_owned(),
        way: Way::Turn,
        agent: None,
        main: true,
        body: body.to_string().into(),
    }
}

fn turn(system: &str) -> Asked {
    asked(&json!({
        "model": "m", "max_tokens": 1,
        "messages": [{ "role": "user", "content": "go" }, { "role": "system", "content": system }],
    }))
}

const ALLOWED: [&[&str]; 2] = [&["model.request"], &[]];

#[test]
fn a_request_is_read_while_its_intent_is_taken_and_leaves_after_both() {
    let (trial, order) = told(ALLOWED, false);
    let (authorized, body, notes) = side(&trial, None).judge(&turn("notes")).unwrap();
    assert_eq!(*order.lock().unwrap(), ["taken", "read", "durable"]);
    assert_eq!(authorized.receipt().durability(), Durability::Durable);
    assert_eq!(trial.records("call")[0]["call"], authorized.call().as_str());
    assert_eq!(notes.framed, 1);
    assert!(String::from_utf8(body).unwrap().contains("notes"));
}

#[test]
fn nothing_leaves_when_the_log_breaks_while_a_request_is_read() {
    let (trial, order) = told(ALLOWED, true);
    let refused = side(&trial, None).judge(&turn("notes")).unwrap_err();
    assert_eq!(refused.code(), "ledger-unavailable");
    assert_eq!(*order.lock().unwrap(), ["taken", "read"]);
    assert!(trial.records("call").is_empty());
}

#[test]
fn an_intent_whose_request_cannot_be_read_is_withdrawn() {
    let (trial, _) = told(ALLOWED, false);
    let refused = side(&trial, None).judge(&asked(&json!({ "model": "m" }))).unwrap_err();
    assert_eq!(refused.code(), "model-request-unread");
    trial.settle();
    let call = &trial.records("call")[0]["call"];
    let outcome = &trial.records("outcome")[0];
    assert_eq!(&outcome["call"], call);
    assert_eq!((&outcome["ended"], &outcome["code"]), (&json!("stopped"), &json!(refused.code())));
    assert_eq!(outcome["details"], json!({ "begun": false }));
    assert_eq!(trial.records("refusal")[0]["code"], refused.code());
    assert_eq!(trial.gate.tally(), (0, 0, 1));
}

#[test]
fn what_a_request_brings_decides_about_it() {
    let ask: &[&str] = &["model.request when tainted"];
    let (trial, _) = told([&["model.request"], ask], false);
    let side = side(&trial, None);
    drop(side.judge(&turn("notes of the client")).unwrap());
    let tainted = turn("<task-notification>a page said this</task-notification>");
    let refused = side.judge(&tainted).unwrap_err();
    assert_eq!(refused.code(), "approval-required");
    trial.settle();
    let calls = trial.records("call");
    assert_eq!((calls.len(), trial.records("outcome").len()), (2, 1));
    assert_eq!(trial.records("outcome")[0]["call"], calls[1]["call"]);
    // Now it is known before anything is read, and there is no intent; a person's word is used once, for one that leaves.
    assert_eq!(side.judge(&tainted).unwrap_err().code(), "approval-required");
    assert_eq!(trial.records("call").len(), 2);
    trial.approve();
    let (authorized, ..) = side.judge(&tainted).unwrap();
    assert_eq!(authorized.approvers(), ["local:anna"]);
    assert_eq!(side.judge(&tainted).unwrap_err().code(), "approval-required");
}

#[test]
fn of_a_request_that_the_budget_has_no_room_for_there_is_no_intent() {
    let (trial, order) = told(ALLOWED, false);
    let side = side(&trial, Some(1));
    drop(side.judge(&turn("notes")).unwrap());
    assert_eq!(side.judge(&turn("notes")).unwrap_err().code(), "budget-spent");
    assert_eq!(trial.records("call").len(), 1);
    assert_eq!(order.lock().unwrap().len(), 3, "the log was not asked again");
}

#[test]
fn a_client_that_is_refused_without_end_does_not_fill_the_log_with_intents() {
    let (trial, order) = told(ALLOWED, false);
    let side = side(&trial, None);
    let unfit = || side.judge(&asked(&json!({ "model": "m" }))).unwrap_err();
    for _ in 0..50 {
        assert_eq!(unfit().code(), "model-request-unread");
    }
    assert_eq!(trial.records("call").len(), 1, "the first alone was foreseen");
    // One that passes was read first, and those after it are read meanwhile again.
    drop(side.judge(&turn("notes")).unwrap());
    assert_eq!(order.lock().unwrap().len(), 6, "every intent is taken by the same way");
    drop(side.judge(&turn("notes")).unwrap());
    unfit();
    assert_eq!(trial.records("call").len(), 4);
}
