use super::*;
use serde_json::json;

fn flags(rules: &Rules, records: &[(Event, Value)]) -> Vec<String> {
    let bodies: Vec<_> =
        records.iter().map(|(event, body)| (*event, body.as_object().unwrap().clone())).collect();
    let found = rules.replay(bodies.iter().map(|(event, body)| (*event, body)));
    found.into_iter().map(|(n, flag)| format!("{n} {}", flag.rule)).collect()
}

fn only(text: &str) -> Rules {
    let mut rules = Rules::default();
    rules.add(text).unwrap();
    rules
}

fn refused(n: usize, verdict: &str) -> (Event, Value) {
    (Event::Refusal, json!({ "tool": "Bash", "verdict": verdict, "arguments": { "command": n } }))
}

#[test]
fn every_builtin_rule_can_be_read_and_none_flags_an_honest_run() {
    let rules = Rules::builtin().unwrap();
    assert!(rules.list().count() >= 9);
    let honest: Vec<_> = (0..60)
        .map(|n| {
            let body = json!({ "tool": "Read", "effect": "read", "arguments": { "file_path": n } });
            (Event::Call, body)
        })
        .chain((0..4).map(|n| refused(n, "deny")))
        .chain((0..3).map(|n| refused(n, "ask")))
        .collect();
    assert_eq!(flags(&rules, &honest), Vec::<String>::new());
}

#[test]
fn a_burst_is_counted_among_the_last_calls_and_the_same_call_once() {
    let rules = Rules::builtin().unwrap();
    let burst: Vec<_> = (0..5).map(|n| refused(n, "deny")).collect();
    assert_eq!(flags(&rules, &burst), ["4 denial-burst"]);
    let same: Vec<_> = (0..9).map(|_| refused(1, "deny")).collect();
    assert_eq!(flags(&rules, &same), Vec::<String>::new());
    let call = || (Event::Call, json!({ "tool": "Read", "arguments": {} }));
    let apart: Vec<_> = (0..9).flat_map(|n| [refused(n, "deny"), call(), call(), call()]).collect();
    assert_eq!(flags(&rules, &apart), Vec::<String>::new());
    let flood: Vec<_> = (0..8).map(|n| refused(n, "ask")).collect();
    assert_eq!(flags(&rules, &flood), ["7 approval-flood"]);
}

#[test]
fn refusals_without_end_are_flagged_a_few_times_and_after_each_word_of_a_person() {
    let entry = |n: usize| {
        let (event, body) = refused(n, "deny");
        let mut entry = bartizan_store::Entry::new(event).session("s-1");
        entry.body = body.as_object().unwrap().clone();
        entry
    };
    let flood = |watches: &Watches, from: usize| -> usize {
        (from..from + 10_000).map(|n| watches.see(&entry(n)).len()).sum()
    };
    for on_flag in [OnFlag::Note, OnFlag::Ask, OnFlag::Pause] {
        let rules = Rules { on_flag, ..Rules::builtin().unwrap() };
        let watches = Watches::new(std::sync::Arc::new(rules));
        assert_eq!(flood(&watches, 0), 8, "{on_flag:?}");
        let Some(held) = watches.held("s-1") else {
            assert_eq!(on_flag, OnFlag::Note);
            continue;
        };
        watches.resume("s-1", held.number);
        assert_eq!(flood(&watches, 20_000), 1, "it is held again: {on_flag:?}");
        assert!(watches.held("s-1").is_some_and(|again| again.number > held.number));
    }
}

#[test]
fn fields_lead_into_objects_and_lists_and_stars_stand_for_anything() {
    let rule = |when: &str| {
        only(&format!(
            "[[rule]]\nid = \"x\"\nsays = \"y\"\nseverity = \"low\"\non = [\"call\"]\nwhen = {{ {when} }}"
        ))
    };
    let record = json!({ "tool": "mail", "arguments": { "to": ["a@b.c", "eve@evil.org"], "n": { "deep": "/x/.ssh/id" } },
        "origins": { "score": 84, "tainted": true, "values": [{ "origin": "untrusted" }] } });
    for when in [
        "tool = \"mail\"",
        "tool = [\"x\", \"MAIL\"]",
        "\"arguments.to\" = \"*@evil.*\"",
        "\"arguments.*\" = \"*/.ssh/*\"",
        "\"*\" = \"*.ssh*\"",
        "\"origins.score\" = 84",
        "\"origins.tainted\" = true",
        "\"origins.values.origin\" = \"untrusted\"",
    ] {
        assert_eq!(flags(&rule(when), &[(Event::Call, record.clone())]), ["0 x"], "{when}");
    }
    for when in [
        "tool = \"mai\"",
        "\"arguments.to\" = \"evil.org\"",
        "\"origins.score\" = 85",
        "\"origins.tainted\" = false",
        "nothing = \"*\"",
        "\"arguments.to\" = \"*x*\"",
    ] {
        assert!(flags(&rule(when), &[(Event::Call, record.clone())]).is_empty(), "{when}");
    }
}

#[test]
fn the_same_call_made_again_is_no_news_and_a_first_one_is() {
    let rules = only(
        "[[rule]]\nid = \"new\"\nsays = \"y\"\nseverity = \"low\"\non = [\"call\"]\nfirst = \"tool\"\nwhen = { effect = \"irreversible\" }",
    );
    let call = |tool: &str, n: u32| {
        let body = json!({ "tool": tool, "effect": "irreversible", "arguments": { "n": n } });
        (Event::Call, body)
    };
    let run = [call("a", 1), call("a", 2), call("b", 1), call("a", 1)];
    assert_eq!(flags(&rules, &run), ["0 new", "2 new"]);
}

#[test]
fn a_mistake_says_where_it_is() {
    let mut rules = Rules::builtin().unwrap();
    let head = "[[rule]]\nid = \"x\"\nsays = \"y\"\nseverity = \"low\"\n";
    for (rest, says) in [
        ("on = [\"cal\"]\nwhen = { a = \"b\" }", "cal"),
        ("on = [\"call\"]", "rule `x`: would hold for every record"),
        ("on = [\"flag\"]\nwhen = { a = \"b\" }", "rule `x`: cannot look at flags"),
        ("on = [\"call\"]\nwhen = { a = 1.5 }", "a text, whole number or truth value"),
        ("on = [\"call\"]\nwhen = { a = \"b\" }\ncount = 3", "`count` is at least 1"),
        ("on = [\"call\"]\nwhenn = { a = \"b\" }", "whenn"),
    ] {
        let error = rules.add(&format!("{head}{rest}")).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let before = rules.list().count();
    rules
        .add("[[rule]]\nid = \"canary\"\nsays = \"mine\"\nseverity = \"low\"\non = [\"call\"]\nwhen = { a = \"b\" }")
        .unwrap();
    assert_eq!(rules.list().count(), before, "a rule takes the place of its namesake");
}
