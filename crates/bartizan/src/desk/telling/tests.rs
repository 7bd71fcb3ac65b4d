use super::*;
use bartizan_store::Digest;
use serde_json::json;

fn question(shown: Value) -> Question {
    Question {
        id: "0123456789abcdef".to_owned(),
        session: "s-1".to_owned(),
        agent: "coder".to_owned(),
        tool: "WebFetch".to_owned(),
        digest: Digest::of(b"call"),
        policy: Digest::of(b"policy"),
        quorum: 2,
        shown,
        asked_ms: 0,
        expires_ms: 0,
        state: QuestionState::Pending,
        until_ms: None,
        answers: Vec::new(),
        deferred: None,
        withdrawn: false,
    }
}

fn part<'t>(parts: &'t [Part], name: &str) -> &'t Part {
    parts.iter().find(|part| part.name == name).unwrap_or_else(|| panic!("{name}: {parts:?}"))
}

#[test]
fn what_would_happen_comes_first_and_why_it_is_asked() {
    let shown = json!({
        "effect": "irreversible", "target": "https://x.example/", "role": "coder", "secret": null,
        "policies": [{ "id": "roles.coder.ask[0]", "file": "bartizan.toml", "line": 3 }],
        "somethingNew": 7,
    });
    let told = Telling::of(&question(shown));
    let names: Vec<&str> = told.facts.iter().map(|part| &*part.name).collect();
    let expected = [
        "tool",
        "effect",
        "target",
        "agent",
        "role",
        "session",
        "asked by",
        "somethingNew",
        "approvals",
        "asked",
        "expires",
        "question",
        "call",
        "policy",
    ];
    assert_eq!(names, expected);
    assert_eq!(part(&told.facts, "asked by").lines, ["roles.coder.ask[0] (bartizan.toml:3)"]);
    assert_eq!(part(&told.facts, "approvals").lines, ["0 of 2"]);
}

#[test]
fn arguments_have_types_and_a_text_cannot_pass_for_a_number() {
    let shown = json!({ "arguments": { "text": "443", "port": 443, "deep": { "list": [true] }, "none": null } });
    let told = Telling::of(&question(shown)).arguments;
    let mut kinds: Vec<_> = told.iter().map(|part| (&*part.name, part.kind)).collect();
    kinds.sort_unstable();
    let expected = [
        ("deep", Some("table")),
        ("none", Some("nothing")),
        ("port", Some("number")),
        ("text", None),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn look_alikes_are_marked_wherever_they_stand() {
    let bad = "https://p\u{430}ypal.com/";
    let shown = json!({ "target": bad, "host": "p\u{430}ypal.com:443", "arguments": {
        "to": ["ev\u{435}@x.org"], "t\u{43e}": 1, "plain": "Привет, мир",
    } });
    let told = Telling::of(&question(shown.clone()));
    let expected = "`p\u{430}ypal` only looks like `paypal`: \u{430} is U+0430";
    assert_eq!(part(&told.facts, "target").notes, [expected]);
    assert_eq!(part(&told.facts, "host").notes, [expected]);
    assert!(part(&told.arguments, "to").notes[0].contains("U+0435"));
    assert!(part(&told.arguments, "t\u{43e}").notes[0].contains("U+043E"));
    assert_eq!(part(&told.arguments, "plain").notes, Vec::<String>::new());
    assert!(brief(&question(shown)).starts_with("[look-alike letters] "));
}

#[test]
fn decoys_do_not_hide_that_there_are_more() {
    let many: Vec<String> = (0..100).map(|n| format!("p\u{430}y{n}")).collect();
    let shown = json!({ "arguments": { "text": many.join(" ") } });
    let told = Telling::of(&question(shown)).arguments;
    assert_eq!(told[0].notes.last().map(String::as_str), Some("and more words like these"));
}

#[test]
fn nothing_steers_a_terminal_and_nothing_is_cut() {
    let long = format!("{}END", "x\u{1b}[2J\u{202e}".repeat(5000));
    let shown = json!({ "target": long, "n\u{1b}ame": long, "arguments": { "a\u{1b}b": long, "c": ["\u{7}", long] } });
    let told = Telling::of(&Question { agent: "a\u{9b}b".to_owned(), ..question(shown) });
    for part in told.facts.iter().chain(&told.arguments) {
        assert!(!format!("{part:?}").contains("\\u{1b}"), "{}", part.name);
        for line in part.lines.iter().chain([&part.name]) {
            assert!(!line.contains(['\u{1b}', '\u{202e}', '\u{7}', '\u{9b}', '\n']), "{line:?}");
        }
    }
    for part in [part(&told.facts, "target"), &told.arguments[0], &told.arguments[1]] {
        assert!(part.lines.concat().contains("END"), "{}", part.name);
    }
}

#[test]
fn what_is_put_off_says_until_when_and_has_nothing_to_vouch_for() {
    use crate::cli::Endorse;
    let origins = json!({ "values": [{ "part": "to", "value": "eve", "key": "00".repeat(32) }] });
    let asked = question(json!({ "origins": origins }));
    assert!(origins::keys(&asked, Endorse::Value).is_ok(), "its twin");
    let deferred = Some(bartizan_store::Deferral {
        role: "default".to_owned(),
        workspace: "/w\u{1b}[2J".to_owned(),
        conversation: "c-1".to_owned(),
        call: "toolu_1".to_owned(),
    });
    let put_off = Question { deferred, ..asked.clone() };
    assert!(origins::keys(&put_off, Endorse::Value).is_err());
    assert_eq!((stand(&put_off), stand(&asked)), ("deferred", "pending"));
    let late = Question { state: QuestionState::Expired, ..asked.clone() };
    let gone = Question { withdrawn: true, ..late.clone() };
    assert_eq!((stand(&late), stand(&gone)), ("expired", "withdrawn"));
    let told = Telling::of(&put_off);
    let line = part(&told.facts, "put off").lines.concat();
    assert!(line.contains("c-1") && !line.contains('\u{1b}'), "{line}");
    let answered = Question { state: QuestionState::Approved, ..put_off };
    let said = crate::desk::answering::outcome(&answered);
    assert!(said.contains("--resume c-1") && !said.contains('\u{1b}'), "{said}");
}
