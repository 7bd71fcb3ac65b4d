//! Does the policy engine say what it should? Case files, mistakes, and properties that must hold for
//! every set of policies.

#[path = "policy/support.rs"]
mod support;

use bartizan_gate::policy::{Layer, Policy, Roles, RuleVerdict, Verdict};
use bartizan_gate::tool::Catalogue;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Call, allow, ask, cases, cedar, deny, errors, load, roles};

#[test]
fn the_case_files_decide_as_reviewed() {
    for (name, case) in cases() {
        let (policy, calls) = case.load();
        let mut out = Vec::new();
        for call in calls {
            let judged = call.judge(&policy);
            let tool = call.tool();
            out.push(format!(
                "{}\n{}\n",
                call.title(),
                policy.explain(call.role(), &tool, &judged)
            ));
        }
        insta::assert_snapshot!(name, out.join("\n"));
    }
}

#[test]
fn every_payload_that_the_client_was_seen_to_send_fits_its_tool() {
    let payloads: Vec<(String, Value)> =
        serde_json::from_str(include_str!("policy/payloads.json")).unwrap();
    let catalogue = Catalogue::builtin().unwrap();
    for (tool, input) in &payloads {
        let tool = catalogue.get(tool).unwrap_or_else(|| panic!("no tool {tool}"));
        tool.shape()
            .check(input)
            .unwrap_or_else(|error| panic!("{} {input}: {error}", tool.name()));
        let Value::Object(mut more) = input.clone() else { panic!("{input}") };
        more.insert("sudo".to_owned(), json!(true));
        assert!(
            tool.shape().check(&Value::Object(more)).is_err(),
            "{} took an unknown argument",
            tool.name()
        );
    }
    assert!(payloads.len() > 30);
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place_and_remedy() {
    let text = r#"
@id("typo") permit(principal in Role::"codr", action == Action::"Raed", resource);
permit(principal, action == Action::"Read", resource) when { context.host == "x" };
@id("twice") forbid(principal, action == Action::"Bash", resource);
@id("twice") forbid(principal, action == Action::"Bash", resource);
permit(principal == User::"anna", action, resource);
permit(principal, action == Action::"Bash", resource) when { context.input.timeout like "1*" };
permit(principal, action == Action::"Read", resource) when { context.approvals == "two" };
@id("bad id") forbid(principal, action, resource == Server::"gihub");
permit(principal == ?principal, action, resource);
"#;
    let forms = [
        allow("Raed"),
        deny("Agent(x)"),
        ask(9, "Read"),
        support::form("ghost", RuleVerdict::Allow, "Read"),
    ];
    insta::assert_snapshot!(errors(&[cedar(Layer::User, text)], &forms));
}

#[test]
fn what_does_not_parse_is_reported_with_its_place() {
    for text in [
        "permit(principal, action, resource)",
        "permit(principal, action resource);",
        "x",
        "\"",
        "@id(\"a\")",
    ] {
        assert!(errors(&[cedar(Layer::User, text)], &[]).contains("t.cedar:1:"), "{text}");
    }
}

#[test]
fn a_policy_that_can_never_match_is_a_mistake() {
    let text = r#"forbid(principal, action == Action::"Read", resource) when { context.approvals < 1 && context has command };"#;
    assert!(!errors(&[cedar(Layer::User, text)], &[]).is_empty());
}

#[test]
fn a_project_can_only_narrow() {
    let permit = cedar(Layer::Project, "permit(principal, action, resource);");
    assert!(errors(&[permit], &[]).contains("may not permit"));
    let mut form = allow("Bash");
    form.layer = Layer::Project;
    assert!(errors(&[], &[form]).contains("may not allow"));

    // An ask in a project does not permit what nobody else permits, even after approval.
    let mut form = ask(1, "Bash");
    form.layer = Layer::Project;
    let policy = load(&[], &[form]);
    let call = Call::bash("ls").approved_by(&["local:anna"]);
    assert_eq!(call.judge(&policy).verdict, Verdict::Deny);
}

#[test]
fn a_form_for_one_method_opens_no_other_in_the_role_default() {
    let form = support::form("default", RuleVerdict::Allow, "net(GET a.com)");
    let policy = load(&Policy::builtin_sources(), &[form]);
    let request = |host: &str, method: &str, approved: Option<bool>| {
        let mut input =
            json!({ "host": host, "port": 443, "scheme": "https", "method": method, "path": "/" });
        if let Some(approved) = approved {
            input["approved"] = json!(approved);
        }
        Call::of("net.request", input, &format!("{host}:443")).in_role("default")
    };
    let judged = |call: Call| call.judge(&policy).verdict;
    assert_eq!(judged(request("a.com", "GET", None)), Verdict::Allow);
    for (host, method) in [("a.com", "POST"), ("a.com", "DELETE"), ("b.com", "GET")] {
        let [unsaid, no, yes] = [None, Some(false), Some(true)];
        let open = request(host, method, unsaid);
        assert_eq!(judged(open), Verdict::Ask { quorum: 1 }, "{method} {host}");
        assert_eq!(judged(request(host, method, no)), Verdict::Ask { quorum: 1 });
        assert_eq!(judged(request(host, method, yes)), Verdict::Allow, "a person said yes to it");
        let asked = request(host, method, unsaid).approved_by(&["local:anna"]);
        assert_eq!(judged(asked), Verdict::Allow);
    }
}

#[test]
fn no_permit_undoes_what_is_built_in() {
    let everything = cedar(Layer::System, "permit(principal, action, resource);");
    let policy = load(&[everything], &[allow("*")]);
    for call in
        [Call::read("/etc/shadow").outside(), Call::write(".git/hooks/pre-commit").guarded()]
    {
        let judged = call.judge(&policy);
        assert_eq!(judged.verdict, Verdict::Deny, "{}", call.title());
        assert!(judged.policies.iter().all(|policy| policy.file == "builtin/base.cedar"));
    }
    assert_eq!(
        Call::read(".git/hooks/pre-commit").guarded().judge(&policy).verdict,
        Verdict::Allow
    );
}

#[test]
fn a_policy_that_fails_denies_even_when_another_permits() {
    // Overflow is the one mistake that strict validation cannot see.
    let text = r#"@id("sum") forbid(principal, action == Action::"Read", resource)
        when { context.input has offset && context.input.offset + 9223372036854775807 < 0 };"#;
    let policy = load(&[cedar(Layer::User, text)], &[allow("Read")]);
    assert_eq!(Call::read("a").judge(&policy).verdict, Verdict::Allow);
    let judged = Call::of("Read", json!({ "file_path": "a", "offset": 1 }), "a").judge(&policy);
    assert_eq!(judged.verdict, Verdict::Deny);
    assert!(judged.policies.is_empty() && judged.errors.len() == 1, "{judged:?}");
    assert!(judged.errors[0].contains("`sum` (t.cedar:1)"), "{judged:?}");
}

#[test]
fn a_fact_that_nobody_worked_out_denies() {
    let policy = load(&[], &[allow("*")]);
    for call in [Call::read("a"), Call::bash("ls"), Call::net("ok.com", 443)] {
        assert_eq!(call.clone().judge(&policy).verdict, Verdict::Allow);
        let judged = call.without_facts().judge(&policy);
        assert_eq!(judged.verdict, Verdict::Deny);
        assert!(!judged.errors.is_empty());
    }
}

#[test]
fn an_unknown_role_is_denied() {
    let policy = load(&[], &[allow("*")]);
    let judged = Call::read("a").in_role("ghost").judge(&policy);
    assert_eq!(judged.verdict, Verdict::Deny);
}

#[test]
fn a_role_may_not_do_what_a_role_it_extends_may_not() {
    let catalogue = Catalogue::builtin().unwrap();
    let roles = Roles::new([
        (support::role("base"), vec![]),
        (support::role("coder"), vec![support::role("base")]),
    ]);
    let forms = [
        support::form("base", RuleVerdict::Deny, "Read(secret/*)"),
        support::form("base", RuleVerdict::Allow, "Read"),
        allow("Bash"),
    ];
    let policy = Policy::load(&[], &forms, &roles.unwrap(), &catalogue, &[]).unwrap();
    assert_eq!(Call::read("a").judge(&policy).verdict, Verdict::Allow);
    assert_eq!(Call::read("secret/a").judge(&policy).verdict, Verdict::Deny);
    assert_eq!(Call::bash("ls").judge(&policy).verdict, Verdict::Allow);
    assert_eq!(Call::bash("ls").in_role("base").judge(&policy).verdict, Verdict::Deny);
}

#[test]
fn a_policy_may_want_a_certain_person() {
    let text = r#"permit(principal, action == Action::"Bash", resource) when { context.approvers.contains("local:anna") };"#;
    let policy = load(&[cedar(Layer::User, text)], &[]);
    assert_eq!(Call::bash("x").judge(&policy).verdict, Verdict::Ask { quorum: 1 });
    assert_eq!(
        Call::bash("x").approved_by(&["local:ben"]).judge(&policy).verdict,
        Verdict::Ask { quorum: 2 }
    );
    assert_eq!(Call::bash("x").approved_by(&["local:anna"]).judge(&policy).verdict, Verdict::Allow);
    let text = text.replace("local:anna", "local:nobody");
    let policy = load(&[cedar(Layer::User, &text)], &[]);
    assert_eq!(
        Call::bash("x").judge(&policy).verdict,
        Verdict::Deny,
        "nobody of that name can be asked"
    );
}

#[test]
fn one_person_is_one_person_however_often_named() {
    let policy = load(&[], &[ask(2, "Bash")]);
    let judge = |approvers: &[&str]| Call::bash("x").approved_by(approvers).judge(&policy).verdict;
    assert_eq!(judge(&[]), Verdict::Ask { quorum: 2 });
    assert_eq!(judge(&["local:anna", "local:anna"]), Verdict::Ask { quorum: 2 });
    assert_eq!(judge(&["local:anna", "local:ben"]), Verdict::Allow);
}

#[test]
fn the_digest_changes_with_whatever_could_change_a_verdict() {
    let catalogue = Catalogue::builtin().unwrap();
    let load = |forms: &[_], approvers: &[String], roles: &Roles| {
        Policy::load(&[], forms, roles, &catalogue, approvers).unwrap().digest()
    };
    let coder = roles();
    let more = Roles::new([(support::role("coder"), vec![support::role("default")])]).unwrap();
    let all = [
        load(&[], &[], &coder),
        load(&[allow("Read")], &[], &coder),
        load(&[deny("Read")], &[], &coder),
        load(&[ask(1, "Read")], &[], &coder),
        load(&[], &["local:anna".to_owned()], &coder),
        load(&[], &[], &more),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(all[..at].iter().all(|other| other != one), "{at}");
    }
    assert_eq!(all[1], load(&[allow("Read")], &[], &coder));
}

#[test]
fn show_prints_cedar_that_says_where_each_policy_is_from() {
    let policy = load(&[], &[allow("Read(src/*)"), ask(2, "net(*.github.com:443)")]);
    insta::assert_snapshot!(policy.show());
}

#[test]
fn a_thousand_hosts_are_told_apart() {
    let forms: Vec<_> = (0..1_000).map(|n| allow(&format!("net(h{n}.example.com:443)"))).collect();
    let policy = load(&[], &forms);
    for n in [0, 1, 999] {
        let judged = Call::net(&format!("h{n}.example.com"), 443).judge(&policy);
        assert_eq!(judged.verdict, Verdict::Allow);
        assert_eq!(judged.policies[0].id, format!("roles.coder.allow[{n}]"));
        assert_eq!(
            Call::net(&format!("h{n}.example.com"), 80).judge(&policy).verdict,
            Verdict::Deny
        );
    }
    assert_eq!(Call::net("h1000.example.com", 443).judge(&policy).verdict, Verdict::Deny);
}

/// How much a verdict lets happen; more is stricter.
fn rank(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Allow => 0,
        Verdict::Ask { quorum } => quorum,
        Verdict::Deny => u32::MAX,
    }
}

fn any_pattern() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "*",
        "Read",
        "Read(src/*)",
        "Read(a.txt)",
        "Read(*.env)",
        "Write",
        "Bash",
        "Bash(git *)",
        "Bash(ls)",
        "net(*)",
        "net(*.github.com)",
        "net(github.com:443)",
        "WebFetch(docs.rs)",
        "server:net",
        "effect:write",
        "Task*",
    ])
}

fn any_form() -> impl Strategy<Value = bartizan_gate::policy::ShortForm> {
    (
        any_pattern(),
        prop_oneof![
            Just(RuleVerdict::Allow),
            Just(RuleVerdict::Deny),
            (1..4u32).prop_map(|quorum| RuleVerdict::Ask { quorum })
        ],
    )
        .prop_map(|(pattern, verdict)| support::form("coder", verdict, pattern))
}

fn any_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        prop::sample::select(vec!["a.txt", "src/a.rs", "x.env", "src/.env"]).prop_map(Call::read),
        prop::sample::select(vec!["a.txt", "src/a.rs"]).prop_map(Call::write),
        prop::sample::select(vec!["ls", "git push", "git", "rm -rf /"]).prop_map(Call::bash),
        (
            prop::sample::select(vec!["github.com", "api.github.com", "evil.com"]),
            prop::sample::select(vec![80, 443])
        )
            .prop_map(|(host, port)| Call::net(host, port)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn adding_a_forbid_never_allows(forms in prop::collection::vec(any_form(), 0..6), forbid in any_pattern(), call in any_call()) {
        let before = call.judge(&load(&[], &forms)).verdict;
        let after = call.judge(&load(&[], &[forms, vec![deny(forbid)]].concat())).verdict;
        prop_assert!(rank(after) >= rank(before), "{:?} became {:?}", before, after);
    }

    #[test]
    fn adding_an_ask_never_allows_without_a_person(forms in prop::collection::vec(any_form(), 0..6), asked in any_pattern(), call in any_call()) {
        let before = call.judge(&load(&[], &forms)).verdict;
        let after = call.judge(&load(&[], &[forms, vec![ask(1, asked)]].concat())).verdict;
        prop_assert!(after != Verdict::Allow || before == Verdict::Allow);
    }

    #[test]
    fn a_projects_ask_only_narrows(forms in prop::collection::vec(any_form(), 0..6), asked in any_pattern(), call in any_call()) {
        let before = call.judge(&load(&[], &forms)).verdict;
        let mut form = ask(1, asked);
        form.layer = Layer::Project;
        let after = call.judge(&load(&[], &[forms, vec![form]].concat())).verdict;
        prop_assert!(rank(after) >= rank(before));
    }

    #[test]
    fn the_quorum_is_exactly_enough(forms in prop::collection::vec(any_form(), 0..6), call in any_call()) {
        let policy = load(&[], &forms);
        let people = ["p1", "p2", "p3", "p4", "p5"];
        match call.judge(&policy).verdict {
            Verdict::Ask { quorum } => {
                let quorum = quorum as usize;
                prop_assert_eq!(call.clone().approved_by(&people[..quorum]).judge(&policy).verdict, Verdict::Allow);
                for fewer in 0..quorum {
                    let judged = call.clone().approved_by(&people[..fewer]).judge(&policy).verdict;
                    prop_assert_eq!(judged, Verdict::Ask { quorum: u32::try_from(quorum).unwrap() });
                }
            }
            // More people never take back what none were needed for, nor open what nobody can.
            fixed => for more in 1..=people.len() {
                prop_assert_eq!(call.clone().approved_by(&people[..more]).judge(&policy).verdict, fixed);
            },
        }
    }

    #[test]
    fn the_order_of_policies_means_nothing(forms in prop::collection::vec(any_form(), 0..6), call in any_call()) {
        let mut backwards = forms.clone();
        backwards.reverse();
        prop_assert_eq!(call.judge(&load(&[], &forms)).verdict, call.judge(&load(&[], &backwards)).verdict);
    }
}
