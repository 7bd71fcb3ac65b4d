//! Do limits hold at the gate, whichever door a call comes by, and however many come at once?

#![expect(clippy::unwrap_used, reason = "a limit for a role that is none fails its test")]

mod support;

use bartizan_gate::call::{Decision, Door, Proposed};
use bartizan_gate::limit::{Counted, Limits, Most};
use bartizan_gate::name::RoleName;
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::thread;
use support::{Fixture, rules};

/// Limits of a session; a day might end while a test runs.
fn per_session(limits: &[(Option<&str>, &str, u32)]) -> Limits {
    let mut all = Limits::default();
    for (role, tools, most) in limits {
        let role = role.map(|role| RoleName::parse(role).unwrap());
        let most = Most { per_session: NonZeroU32::new(*most), ..Most::default() };
        all.add(Counted::new(role, *tools), most);
    }
    all
}

fn read(path: &str) -> (&'static str, Value) {
    ("Read", json!({ "file_path": path }))
}

#[test]
fn a_limit_is_refused_by_name_and_on_the_log_and_other_tools_go_on() {
    let limits = per_session(&[(Some("coder"), "Read", 2)]);
    let fixture = Fixture::new(&rules("allow", &["Read", "Bash"])).limited(limits);
    assert_eq!(fixture.outcome_code(read("a")), "allowed");
    // What does not happen does not count.
    assert_eq!(fixture.outcome_code(read("~/.ssh/id_rsa")), "path-out-of-scope");
    assert_eq!(fixture.outcome_code(read("b")), "allowed");
    let refused = fixture.decide(read("c")).unwrap_err();
    assert_eq!(refused.code(), "limit-reached");
    let sentence = refused.to_string();
    let known = "`Read` has reached its limit of 2 calls of `Read` by role `coder` a session; nothing more of it happens in this session";
    assert_eq!(sentence, known);
    let record = fixture.last("refusal");
    assert_eq!((&record["code"], &record["verdict"]), (&json!("limit-reached"), &json!("deny")));
    assert_eq!(fixture.outcome_code(("Bash", json!({ "command": "ls" }))), "allowed");
}

#[test]
fn a_session_has_its_own_count_and_a_day_has_one_for_all_of_them() {
    let mut limits = per_session(&[(None, "Read", 2)]);
    let most = Most { per_day: NonZeroU32::new(3), ..Most::default() };
    limits.add(Counted::new(None, "Read"), most);
    let fixture = Fixture::new(&rules("allow", &["Read"])).limited(limits);
    let other = fixture.another("s2", &[]);
    let by_other = || {
        let (tool, arguments) = read("a");
        fixture.pipeline.decide(Proposed::new(&other, Door::Mcp, tool, arguments))
    };
    assert_eq!(fixture.outcome_code(read("a")), "allowed");
    assert_eq!(fixture.outcome_code(read("a")), "allowed");
    let refused = fixture.decide(read("a")).unwrap_err().to_string();
    assert!(refused.ends_with("nothing more of it happens in this session"), "{refused}");
    assert!(matches!(by_other(), Ok(Decision::Allow(_))), "another door, another session");
    assert!(
        by_other().unwrap_err().to_string().contains(" a day; "),
        "the third of the day was it"
    );
}

#[test]
fn an_approval_is_not_used_up_by_a_call_that_has_no_room() {
    let limits = per_session(&[(None, "Read", 1)]);
    let fixture = Fixture::new(&rules("ask", &["Read"])).limited(limits);
    let asked = fixture.asked(read("a"));
    fixture.approve(&asked, "local:anna");
    assert_eq!(fixture.outcome_code(read("a")), "allowed");
    assert_eq!(fixture.outcome_code(read("b")), "limit-reached", "nobody is asked in vain");
}

#[test]
fn a_subagents_calls_count_for_its_parent_too() {
    let both = rules("allow", &["Read"]).into_iter().map(|mut rule| {
        rule.role = None;
        rule
    });
    let fixture = Fixture::with_roles(&both.collect::<Vec<_>>(), "coder", "reader")
        .limited(per_session(&[(Some("coder"), "*", 2), (Some("reader"), "*", 1)]));
    let by_child = || {
        let (tool, arguments) = read("a");
        let proposed = Proposed::new(&fixture.caller, Door::Hook, tool, arguments);
        fixture.pipeline.decide(proposed.by_subagent("Explore", "e1"))
    };
    assert!(by_child().is_ok());
    assert!(by_child().unwrap_err().to_string().contains("by role `reader`"));
    assert_eq!(fixture.outcome_code(read("a")), "allowed");
    assert!(fixture.decide(read("a")).unwrap_err().to_string().contains("by role `coder`"));
}

#[test]
fn of_sixty_four_at_once_no_more_than_the_limit_get_through() {
    let limits = per_session(&[(None, "Read", 10)]);
    let fixture = Fixture::new(&rules("allow", &["Read"])).limited(limits);
    let allowed = thread::scope(|scope| {
        let calls: Vec<_> =
            (0..64).map(|_| scope.spawn(|| fixture.outcome_code(read("a")))).collect();
        let codes: Vec<&str> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        assert!(codes.iter().all(|code| matches!(*code, "allowed" | "limit-reached")), "{codes:?}");
        codes.into_iter().filter(|code| *code == "allowed").count()
    });
    assert_eq!(allowed, 10);
    let on_log = |event: &str| fixture.records().iter().filter(|r| r["event"] == event).count();
    assert_eq!((on_log("call"), on_log("refusal")), (10, 54));
}
