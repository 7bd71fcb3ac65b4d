//! What is done while the disk takes an intent?

use super::support::{Fixture, rules};
use bartizan_gate::call::{Door, Proposed};
use bartizan_store::Durability;
use serde_json::json;

fn bash(fixture: &Fixture) -> Proposed {
    Proposed::new(&fixture.caller, Door::Hook, "Bash", json!({ "command": "ls" }))
}

#[test]
fn a_foreseen_call_is_durable_before_it_exists_and_an_end_is_put_to_one_that_is_withdrawn() {
    let fixture = Fixture::new(&rules("allow", &["Bash"]));
    let mut done = 0;
    let call = fixture.pipeline.foresee(bash(&fixture), &mut || done += 1).unwrap().unwrap();
    assert_eq!((done, call.receipt().durability()), (1, Durability::Durable));
    let id = call.call().to_string();
    assert_eq!(fixture.record(&id, "call")["verdict"], "allow");
    fixture.pipeline.withdraw(call, "no-longer").unwrap();
    drop(fixture.store.checkpoint().unwrap());
    let outcome = fixture.record(&id, "outcome");
    assert_eq!((&outcome["ended"], &outcome["code"]), (&json!("stopped"), &json!("no-longer")));
}

#[test]
fn what_is_refused_or_asked_is_not_foreseen_and_nobodys_word_is_used_for_it() {
    let foreseen = |fixture: &Fixture| {
        let mut done = false;
        let call = fixture.pipeline.foresee(bash(fixture), &mut || done = true).unwrap();
        assert!(call.is_none() && !done);
    };
    let denied = Fixture::new(&rules("deny", &["Bash"]));
    foreseen(&denied);
    let recorded = |fixture: &Fixture, event: &str| {
        fixture.records().iter().filter(|record| record["event"] == event).count()
    };
    assert_eq!((recorded(&denied, "call"), recorded(&denied, "refusal")), (0, 0));
    let asked = Fixture::with_approvers(&rules("ask", &["Bash"]), &["local:anna"]);
    foreseen(&asked);
    let call = ("Bash", json!({ "command": "ls" }));
    let question = asked.asked(call.clone());
    asked.approve(&question, "local:anna");
    foreseen(&asked);
    assert!(asked.decide(call.clone()).is_ok(), "her word is still there");
    assert_eq!(recorded(&asked, "call"), 1);
    let without = Fixture::without_log(&rules("allow", &["Bash"]));
    let mut done = false;
    let refused = without.pipeline.foresee(bash(&without), &mut || done = true).unwrap_err();
    assert_eq!((refused.code(), done), ("ledger-unavailable", false));
}
