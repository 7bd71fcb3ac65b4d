//! Does a short form become the rule that it reads like, and nothing wider?

use super::*;
use crate::name::RoleName;
use crate::policy::source::{Layer, Place};
use proptest::prelude::*;

fn form(verdict: RuleVerdict, pattern: &str) -> ShortForm {
    let place = Place { file: "t.toml".to_owned(), line: 1 };
    let role = Some(RoleName::parse("coder").unwrap());
    ShortForm { layer: Layer::User, role, verdict, pattern: pattern.to_owned(), when: None, place }
}

fn cedar(verdict: RuleVerdict, pattern: &str) -> String {
    match draft(&form(verdict, pattern), &Catalogue::builtin().unwrap(), false) {
        Ok(Drafted { permit, forbid, literal, .. }) => {
            let literal = literal.map(|literal| format!("only {literal}"));
            [permit, forbid, literal].into_iter().flatten().collect::<Vec<_>>().join("\n")
        }
        Err(Flaw { message, remedy }) => format!("error: {message}\n  hint: {remedy}"),
    }
}

#[test]
fn short_forms_become_cedar() {
    let cases = [
        "Read",
        "Read(src/*)",
        "Read(./a.txt)",
        "Read(/usr/share/*)",
        "net(github.com:443)",
        "net(*.GitHub.com)",
        "net([2606:4700::1111]:443)",
        "net(2606:4700::1111)",
        "net(*)",
        "WebFetch(docs.rs)",
        "Bash(git *)",
        "Bash(echo \\* \"a\" \\ b)",
        "*",
        "server:net",
        "effect:irreversible",
        "Task*",
        "*(x)",
        "Task*(x)",
        "Read(",
        "Read()",
        "",
        "Raed",
        "bash",
        "server:nett",
        "effect:none",
        "Read(~/x)",
        "Read(src/**)",
        "Read(src/)",
        "Read(../x)",
        "Read(a//b)",
        "net(*github.com)",
        "net(git*)",
        "net(github.com:0)",
        "net(github.com:https)",
        "net(https://github.com)",
        "net",
        "net.connect(github.com)",
        "net(GET github.com)",
        "net(GET,HEAD *.github.com:443/repos/*)",
        "net(github.com/acme/shop)",
        "net(* github.com)",
        "net(get github.com)",
        "net(GET github.com/a/../b)",
        "net(GET github.com/a?b)",
        "net.websocket(github.com)",
        "Bash(npm run:*)",
        "Agent(x)",
        "mcp__none__*",
        "R\u{202e}ead",
        "Read when tainted",
    ];
    let all: Vec<String> = cases
        .iter()
        .map(|case| format!("{case:?}\n{}\n", cedar(RuleVerdict::Allow, case)))
        .collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn ask_permits_with_approval_and_forbids_without() {
    insta::assert_snapshot!(cedar(RuleVerdict::Ask { quorum: 2 }, "Bash(git push*)"), @r#"
    permit(principal in Role::"coder", action == Action::"Bash", resource) when { context.command like "git push*" && context.approvals >= 2 };
    forbid(principal in Role::"coder", action == Action::"Bash", resource) when { context.command like "git push*" && context.approvals < 2 };
    "#);
    for quorum in [0, 6, u32::MAX] {
        assert!(cedar(RuleVerdict::Ask { quorum }, "Bash").starts_with("error"));
    }
}

#[test]
fn a_condition_narrows_and_never_allows() {
    let ask = RuleVerdict::Ask { quorum: 1 };
    insta::assert_snapshot!(cedar(ask, "Bash(git push*) when lifted"));
    insta::assert_snapshot!(cedar(ask, "net(POST *.example.com) when unnamed"));
    insta::assert_snapshot!(cedar(RuleVerdict::Deny, "effect:irreversible when carries"));
    insta::assert_snapshot!(cedar(RuleVerdict::Deny, "Bash(x when y)"));
    assert!(cedar(RuleVerdict::Allow, "Bash when tainted").starts_with("error"));
    assert!(cedar(ask, "Bash when hungry").starts_with("error"));
}

#[test]
fn asking_for_requests_leaves_the_connection_to_others() {
    insta::assert_snapshot!(cedar(
        RuleVerdict::Ask { quorum: 1 },
        "net(POST github.com/*/git-receive-pack)"
    ));
    insta::assert_snapshot!(cedar(RuleVerdict::Ask { quorum: 2 }, "net(github.com:443)"));
    insta::assert_snapshot!(cedar(RuleVerdict::Deny, "net(POST github.com)"));
}

#[test]
fn a_broad_host_pattern_may_deny_and_may_not_allow() {
    assert!(cedar(RuleVerdict::Deny, "net(*evil*)").starts_with("forbid"));
    assert!(cedar(RuleVerdict::Allow, "net(*evil*)").starts_with("error"));
    assert!(cedar(RuleVerdict::Ask { quorum: 1 }, "net(*evil*)").starts_with("error"));
}

proptest! {
    #[test]
    fn no_pattern_breaks_out_of_its_literal(pattern in "\\PC{1,40}|[\"\\\\*)}{; a-z&|]{1,40}") {
        if let Ok(Drafted { permit: Some(text), .. }) =
            draft(&form(RuleVerdict::Allow, &format!("Bash({pattern})")), &Catalogue::builtin().unwrap(), false)
        {
            let policy = cedar_policy::Policy::parse(None, &text).unwrap();
            prop_assert_eq!(policy.effect(), cedar_policy::Effect::Permit);
            let json = policy.to_json().unwrap();
            // One condition, one comparison: nothing that was in the pattern became syntax.
            let body = &json["conditions"][0]["body"];
            prop_assert!(body.get("==").is_some() || body.get("like").is_some(), "{}", text);
            prop_assert_eq!(json["conditions"].as_array().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_quoted_text_reads_back_as_itself(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        let policy = format!("permit(principal, action, resource == Server::{});", quote(&text));
        let policy = cedar_policy::Policy::parse(None, policy).unwrap();
        let cedar_policy::ResourceConstraint::Eq(server) = policy.resource_constraint() else { panic!() };
        prop_assert_eq!(server.id().unescaped(), text);
    }

    #[test]
    fn a_glob_matches_what_its_parts_surround(head in "[a-z]{0,4}", middle in "[a-z]{0,6}", tail in "[a-z]{0,4}") {
        let pattern = format!("{head}*{tail}");
        let name = format!("{head}{middle}{tail}");
        prop_assert!(glob(&pattern, &name));
        let longer = format!("{name}Z");
        prop_assert!(!glob(&pattern, &longer) || tail.is_empty());
    }
}
