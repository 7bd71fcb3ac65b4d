//! Does a call live its life as the types say? Proposals through the real gate, on a real store.

#[path = "life/foreseen.rs"]
mod foreseen;
#[path = "life/servers.rs"]
mod servers;
mod support;

use bartizan_gate::call::{Decision, Door, Outcome, Proposed};
use bartizan_gate::name::{CanonicalPath, RoleName};
use bartizan_gate::policy::{Policy, Roles, ShortForm, Verdict};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Confines;
use bartizan_store::{Answer, Desk, Durability, Event, Sessions as _, Verdict as Word};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;
use support::{Fixture, rules};

fn read(path: &str) -> (&'static str, Value) {
    ("Read", json!({ "file_path": path }))
}

#[test]
fn an_allowed_call_is_on_the_log_before_it_exists() {
    let fixture = Fixture::new(&rules("allow", &["Write"]));
    let write = ("Write", json!({ "file_path": "./src/../src/a.rs", "content": "x" }));
    let Decision::Allow(call) = fixture.decide(write).unwrap() else { panic!("not allowed") };
    assert_eq!(call.receipt().durability(), Durability::Durable);
    let record = fixture.record(call.call().as_str(), "call");
    assert_eq!(record["tool"], "Write");
    assert_eq!(record["target"], "src/a.rs");
    assert_eq!(record["arguments"]["content"], "x");
}

#[test]
fn a_doubt_has_a_person_asked_and_opens_nothing() {
    let fixture = Fixture::new(&rules("allow", &["Write"]));
    let write = |content: &str| {
        let arguments = json!({ "file_path": "a", "content": content });
        Proposed::new(&fixture.caller, Door::Model, "Write", arguments)
    };
    let why = "judge-1, which was asked (97 of 100)";
    let ask = || fixture.pipeline.decide(write("x").doubted(why));
    let Ok(Decision::Ask(pending)) = ask() else { panic!("nobody is asked") };
    let Refusal::ApprovalRequired { question, .. } = fixture.pipeline.ask(pending) else {
        panic!("not asked")
    };
    assert_eq!(fixture.store.question(&question).unwrap().shown["doubted"], why);
    // A person's yes is for that one call, whoever doubts it.
    fixture.approve(&question, "local:anna");
    assert!(matches!(ask(), Ok(Decision::Allow(_))));
    assert!(matches!(ask(), Ok(Decision::Ask(_))), "used up");
    assert!(matches!(fixture.pipeline.decide(write("y")), Ok(Decision::Allow(_))));
    // What policy refuses stays refused.
    let read = Proposed::new(&fixture.caller, Door::Model, "Read", json!({ "file_path": "a" }));
    assert_eq!(fixture.pipeline.decide(read.doubted(why)).unwrap_err().code(), "tool-not-listed");
}

#[test]
fn only_what_policy_lets_through_is_weighed_and_nothing_is_recorded() {
    let fixture = Fixture::new(&[rules("allow", &["Write"]), rules("ask", &["Bash"])].concat());
    let weigh = |tool: &str, arguments: Value| {
        fixture.pipeline.weigh(&Proposed::new(&fixture.caller, Door::Model, tool, arguments))
    };
    let call = weigh("Write", json!({ "file_path": "./src/../a", "content": "x" })).unwrap();
    assert_eq!((call.tool.as_str(), call.effect.as_str()), ("Write", "write"));
    assert_eq!(call.arguments["content"], "x");
    assert!(!call.origins.taint.tainted);
    assert!(weigh("Bash", json!({ "command": "ls" })).is_none(), "a person is asked anyway");
    assert!(weigh("Read", json!({ "file_path": "a" })).is_none(), "it is refused");
    assert!(weigh("Write", json!({ "file_path": 7 })).is_none());
    assert!(weigh("model.request", json!({ "host": "a.test" })).is_none());
    let log = fixture.whole_log();
    assert!(!log.contains("Write") && !log.contains("Bash"), "{log}");
}

#[test]
fn a_refusal_says_why_and_is_on_the_log() {
    let fixture = Fixture::new(&rules("allow", &["Read"]));
    let cases = [
        (("Write", json!({ "file_path": "a", "content": "b" })), "tool-not-listed"),
        (("Frobnicate", json!({})), "tool-unknown"),
        (("Read", json!({ "file_path": 7 })), "arguments-invalid"),
        (("Read", json!({ "file_path": "a", "sudo": true })), "arguments-invalid"),
        (("Read", json!({ "file_path": "../../../../../../../../etc/shadow" })), "path-invalid"),
        (("Read", json!({ "file_path": "a\u{0}b" })), "path-invalid"),
    ];
    for ((tool, arguments), code) in cases {
        let refused = fixture.decide((tool, arguments.clone())).unwrap_err();
        assert_eq!(refused.code(), code, "{tool} {arguments}");
        let record = fixture.last("refusal");
        assert_eq!(record["code"], code);
        assert_eq!(record["verdict"], "deny");
    }
}

#[test]
fn refusals_without_end_are_counted_and_what_is_of_another_kind_is_on_the_log() {
    let fixture = Fixture::new(&rules("allow", &["Read"]));
    for n in 0..1500 {
        let write = ("Write", json!({ "file_path": format!("{n}"), "content": "" }));
        assert_eq!(fixture.outcome_code(write), "tool-not-listed");
    }
    assert_eq!(fixture.outcome_code(("Frobnicate", json!({}))), "tool-unknown");
    let of = |code: &str| {
        let records = fixture.records();
        records.iter().filter(|one| one["event"] == "refusal" && one["code"] == code).count()
    };
    // A few more than at once, if the machine was slow.
    assert!((1000..1100).contains(&of("tool-not-listed")), "{}", of("tool-not-listed"));
    assert_eq!(of("tool-unknown"), 1);
    assert_eq!(fixture.outcome_code(read("a.txt")), "allowed");
    fixture.pipeline.dismiss(&fixture.caller, Some(0), json!({ "calls": 1 })).unwrap();
    let session = fixture.store.session(fixture.caller.seat().session.as_str()).unwrap();
    let report = session.report.unwrap();
    let left_out = report["refusals_left_out"].as_u64().unwrap();
    assert!((400..=500).contains(&left_out), "{report}");
}

#[test]
fn what_the_agents_side_tells_without_end_is_counted() {
    let fixture = Fixture::new(&rules("allow", &["Read"]));
    let tell = |event: Event, text: &str| {
        let about = json!({ "hook": "Notification", "prompt": text });
        let about = about.as_object().unwrap().clone();
        fixture.pipeline.remark(&fixture.caller, event, about).unwrap();
    };
    (0..3000).for_each(|_| tell(Event::Client, "x"));
    tell(Event::Finding, "of another kind");
    fixture.pipeline.dismiss(&fixture.caller, Some(0), json!({})).unwrap();
    let of =
        |event: &str| fixture.records().iter().filter(|record| record["event"] == event).count();
    assert!((1000..1100).contains(&of("client")), "{}", of("client"));
    assert_eq!(of("finding"), 1);
    // Nor is what is long told as often as what is short.
    let fixture = Fixture::new(&rules("allow", &["Read"]));
    let long = "x".repeat(200_000);
    for _ in 0..100 {
        let about = json!({ "prompt": long }).as_object().unwrap().clone();
        fixture.pipeline.remark(&fixture.caller, Event::Client, about).unwrap();
    }
    fixture.pipeline.dismiss(&fixture.caller, Some(0), json!({})).unwrap();
    let told = fixture.records().iter().filter(|record| record["event"] == "client").count();
    assert!((20..25).contains(&told), "{told}");
}

#[test]
fn one_kind_of_what_is_told_hides_no_other() {
    let fixture = Fixture::new(&rules("allow", &["Read"]));
    let tell = |kind: &'static str| {
        let about = json!({ "alarm": kind }).as_object().unwrap().clone();
        fixture.pipeline.remark_of(&fixture.caller, kind, Event::Egress, about).unwrap();
    };
    (0..3000).for_each(|_| tell("placeholder-misplaced"));
    tell("body-unread");
    fixture.pipeline.dismiss(&fixture.caller, Some(0), json!({})).unwrap();
    let records = fixture.records();
    let of = |kind: &str| records.iter().filter(|record| record["alarm"] == kind).count();
    assert!((1000..1100).contains(&of("placeholder-misplaced")));
    assert_eq!(of("body-unread"), 1);
}

/// The reasons of a denial are what denies; where nothing permits a part of a call, they are none.
#[test]
fn what_permits_a_part_of_a_call_is_no_reason_why_it_was_denied() {
    let mut all = rules("allow", &["Read(src/a.rs)", "Read(src/b.rs)"]);
    all[1].role = Some(RoleName::parse("leaf").unwrap());
    let fixture = Fixture::with_roles(&all, "coder", "leaf");
    let (tool, arguments) = read("src/b.rs");
    let proposed = Proposed::new(&fixture.caller, Door::Hook, tool, arguments);
    let refused = fixture.pipeline.decide(proposed.by_subagent("Explore", "a1")).unwrap_err();
    assert_eq!((refused.code(), refused.policies()), ("policy-denied", &[][..]));
    assert!(!fixture.last("refusal").to_string().contains("test.toml"));
}

#[test]
fn a_path_outside_the_workspace_is_refused_by_name() {
    let fixture = Fixture::builtin();
    for path in ["~/.ssh/id_rsa", "/etc/shadow", "../other/.env"] {
        let refused = fixture.decide(read(path)).unwrap_err();
        assert_eq!(refused.code(), "path-out-of-scope", "{path}: {refused}");
    }
}

#[test]
fn a_private_host_is_refused_whatever_policy_says() {
    let fixture = Fixture::new(&rules("allow", &["*"]));
    for host in [
        "127.0.0.1",
        "localhost",
        "169.254.169.254",
        "[::1]",
        "10.0.0.1",
        "metadata.google.internal",
    ] {
        let call = ("net.connect", json!({ "host": host, "port": 80, "protocol": "tcp" }));
        assert_eq!(fixture.decide(call).unwrap_err().code(), "host-private", "{host}");
    }
    for host in ["ok.com\u{0}.evil.com", "0x7f.1", "2130706433", "user@ok.com", "ok.com%00"] {
        let call = ("net.connect", json!({ "host": host, "port": 80, "protocol": "tcp" }));
        assert_eq!(fixture.decide(call).unwrap_err().code(), "host-invalid", "{host}");
    }
}

#[test]
fn the_models_own_address_is_for_model_requests_alone() {
    let fixture = Fixture::new(&rules("allow", &["*"]));
    let request =
        json!({ "host": "127.0.0.1", "port": 8080, "method": "POST", "path": "/v1/messages" });
    assert_eq!(fixture.outcome_code(("model.request", request)), "allowed");
    let connect = json!({ "host": "127.0.0.1", "port": 8080, "protocol": "tcp" });
    assert_eq!(fixture.outcome_code(("net.connect", connect)), "host-private");
    let elsewhere =
        json!({ "host": "127.0.0.1", "port": 9090, "method": "POST", "path": "/v1/messages" });
    assert_eq!(fixture.outcome_code(("model.request", elsewhere)), "host-private");
}

#[test]
fn an_approval_is_for_exactly_one_call() {
    let fixture = Fixture::new(&rules("ask", &["Read"]));
    let asked = fixture.asked(read("a.txt"));
    fixture.approve(&asked, "local:anna");
    assert_eq!(fixture.outcome_code(read("b.txt")), "approval-required", "other arguments used it");
    assert_eq!(fixture.outcome_code(read("a.txt")), "allowed");
    assert_eq!(fixture.outcome_code(read("a.txt")), "approval-required", "it was used twice");
}

#[test]
fn a_subagent_cannot_use_its_parents_approval() {
    let fixture = Fixture::new(&rules("ask", &["Read"]));
    let asked = fixture.asked(read("a.txt"));
    fixture.approve(&asked, "local:anna");
    let (tool, arguments) = read("a.txt");
    let child =
        Proposed::new(&fixture.caller, Door::Hook, tool, arguments).by_subagent("Explore", "a1");
    assert!(matches!(fixture.pipeline.decide(child).unwrap(), Decision::Ask(_)));
}

#[test]
fn a_denial_reaches_the_agent_with_its_reason() {
    let fixture = Fixture::new(&rules("ask", &["Read"]));
    let asked = fixture.asked(read("a.txt"));
    let answer =
        Answer { approver: "local:anna".into(), verdict: Word::Deny, reason: "not today".into() };
    fixture.store.answer(&asked, answer).unwrap();
    let refused = fixture.decide(read("a.txt")).unwrap_err();
    assert_eq!(refused.code(), "approval-denied");
    assert!(refused.to_string().contains("not today"));
}

#[test]
fn two_people_means_two_different_people() {
    let fixture = Fixture::new(&[support::ask_of("Read", 2)]);
    let asked = fixture.asked(read("a.txt"));
    fixture.approve(&asked, "local:anna");
    assert_eq!(fixture.outcome_code(read("a.txt")), "approval-required");
    let again =
        Answer { approver: "local:anna".into(), verdict: Word::Approve, reason: String::new() };
    assert!(fixture.store.answer(&asked, again).is_err(), "one person counted twice");
    fixture.approve(&asked, "local:ben");
    assert_eq!(fixture.outcome_code(read("a.txt")), "allowed");
}

#[test]
fn a_stranger_s_word_does_not_count() {
    let fixture = Fixture::with_approvers(&rules("ask", &["Read"]), &["local:anna"]);
    let asked = fixture.asked(read("a.txt"));
    fixture.approve(&asked, "local:mallory");
    assert_eq!(fixture.outcome_code(read("a.txt")), "approval-required");
    let asked = fixture.asked(read("b.txt"));
    fixture.approve(&asked, "local:anna");
    assert_eq!(fixture.outcome_code(read("b.txt")), "allowed");
}

#[test]
fn no_log_means_no_act() {
    let fixture = Fixture::without_log(&rules("allow", &["Read", "Bash"]));
    for call in [("Bash", json!({ "command": "true" })), read("a"), ("Write", json!({}))] {
        assert_eq!(fixture.decide(call).unwrap_err().code(), "ledger-unavailable");
    }
}

#[test]
fn what_a_client_returns_is_scrubbed() {
    let fixture = Fixture::new(&rules("allow", &["Bash"]));
    let Decision::Allow(call) = fixture.decide(("Bash", json!({ "command": "env" }))).unwrap()
    else {
        panic!()
    };
    let delegated = fixture.pipeline.delegate(call);
    let raw = format!("KEY={}", support::SECRET);
    let executed = fixture.pipeline.returned(delegated, Outcome::succeeded(json!({})), raw);
    let released = fixture.pipeline.release(executed).unwrap();
    assert!(!released.output().contains(support::SECRET), "{}", released.output());
}

#[test]
fn a_secret_in_the_arguments_does_not_reach_the_log() {
    let fixture = Fixture::new(&rules("allow", &["Bash"]));
    let command = format!("curl -H 'x-api-key: {}' https://x.example", support::SECRET);
    let Decision::Allow(_call) = fixture.decide(("Bash", json!({ "command": command }))).unwrap()
    else {
        panic!()
    };
    assert!(!fixture.whole_log().contains(support::SECRET));
    assert!(fixture.whole_log().contains("curl -H"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the rules of the two roles are, a subagent is never allowed what its parent is not.
    #[test]
    fn a_subagent_is_never_allowed_what_its_parent_is_not(
        parent in support::any_rules("parent"),
        child in support::any_rules("child"),
        call in support::any_call(),
    ) {
        let mut rules = parent;
        rules.extend(child);
        let fixture = Fixture::with_roles(&rules, "parent", "child");
        let (tool, arguments) = call;
        let ask = |subagent: bool| {
            let mut proposed = Proposed::new(&fixture.caller, Door::Explain, tool, arguments.clone());
            if subagent {
                proposed = proposed.by_subagent("Explore", "a1");
            }
            strictness(&fixture.pipeline.explain(proposed).map(|judged| judged.verdict))
        };
        prop_assert!(ask(true) >= ask(false));
    }
}

/// Allow < ask(1) < ask(2) < … < deny.
fn strictness(verdict: &Result<Verdict, Refusal>) -> u32 {
    match verdict {
        Ok(Verdict::Allow) => 0,
        Ok(Verdict::Ask { quorum }) => *quorum,
        Ok(Verdict::Deny) | Err(_) => u32::MAX,
    }
}

#[test]
fn a_subagent_of_a_narrower_box_does_nothing_that_its_own_box_would_not_let_it_do() {
    let docs = CanonicalPath::absolute(Path::new("/home/anna/project/docs"));
    let confines = Confines { commands: false, network: false, reads: docs.clone(), writes: docs };
    let fixture = Fixture::with_narrower(rules("allow", &["*"]), confines.clone());
    let child = |tool: &str, arguments: Value| {
        let proposed = Proposed::new(&fixture.caller, Door::Hook, tool, arguments);
        fixture.pipeline.decide(proposed.by_subagent("Explore", "a1"))
    };
    let refused = [
        ("Bash", json!({ "command": "ls" })),
        ("Monitor", json!({ "command": "ls", "description": "x" })),
        ("Agent", json!({ "description": "x", "prompt": "x", "subagent_type": "other" })),
        ("WebFetch", json!({ "url": "https://example.com/", "prompt": "x" })),
        ("Read", json!({ "file_path": "/home/anna/project/src/a.rs" })),
        ("Write", json!({ "file_path": "docs/../src/a.rs", "content": "x" })),
        ("Write", json!({ "file_path": "docsx/a", "content": "x" })),
    ];
    for (tool, arguments) in refused {
        let refusal = child(tool, arguments.clone()).unwrap_err();
        assert_eq!(refusal.code(), "box-narrower", "{tool} {arguments}: {refusal}");
    }
    // What its own box would let it do flows, and its parent is as free as before.
    assert!(child("Read", json!({ "file_path": "/home/anna/project/docs/a.md" })).is_ok());
    assert!(child("Write", json!({ "file_path": "docs/a.md", "content": "x" })).is_ok());
    assert!(fixture.decide(("Bash", json!({ "command": "ls" }))).is_ok());
    // Where its commands get a box of its own, it may run them, by the shell alone.
    let boxed =
        Fixture::with_narrower(rules("allow", &["*"]), Confines { commands: true, ..confines });
    for (tool, arguments, may) in [
        ("Bash", json!({ "command": "ls" }), true),
        ("Monitor", json!({ "command": "ls", "description": "x" }), false),
        ("Agent", json!({ "description": "x", "prompt": "x", "subagent_type": "other" }), false),
    ] {
        let proposed = Proposed::new(&boxed.caller, Door::Hook, tool, arguments);
        assert_eq!(
            boxed.pipeline.decide(proposed.by_subagent("Explore", "a1")).is_ok(),
            may,
            "{tool}"
        );
    }
}

/// What a policy no longer allows is refused from its very replacement on, and what it begins to allow is allowed; a word
/// that a person gave under the old one counts no more.
#[test]
fn another_policy_takes_the_place_of_the_old_one_once_it_is_on_the_log() {
    let fixture = Fixture::new(&rules("allow", &["Read"]));
    let old = fixture.pipeline.policy().digest();
    assert!(matches!(fixture.decide(read("a")), Ok(Decision::Allow(_))));
    let roles = Roles::new([(RoleName::parse("coder").unwrap(), Vec::new())]).unwrap();
    let load = |rules: &[ShortForm]| {
        Policy::load(&[], rules, &roles, fixture.pipeline.catalogue(), &[]).unwrap()
    };
    fixture.pipeline.replace(&fixture.caller, load(&rules("ask", &["Read"]))).unwrap();
    let record = fixture.last("config_change");
    assert_eq!(record["from"], old.to_string());
    assert_eq!(record["to"], fixture.pipeline.policy().digest().to_string());
    let Ok(Decision::Ask(pending)) = fixture.decide(read("a")) else { panic!("not asked") };
    // A question that was put while the policy changed is about the policy that asked.
    fixture.pipeline.replace(&fixture.caller, load(&rules("ask", &["Read", "Write"]))).unwrap();
    let Refusal::ApprovalRequired { question, .. } = fixture.pipeline.ask(pending) else {
        panic!("no question")
    };
    fixture.approve(&question, "local:anna");
    assert!(matches!(fixture.decide(read("a")), Ok(Decision::Ask(_))));
}
