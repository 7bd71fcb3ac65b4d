use super::*;
use crate::doors::calls::{Act, STAND_IN, Seen};
use crate::doors::model::answer::Shared;
use crate::doors::model::answer::tests::{bench, passed, whole_of};
use crate::doors::model::gemini::part;
use crate::doors::model::verdict::Bench;
use crate::doors::trial::Trial;
use serde_json::{Value, json};

fn document(parts: &Value) -> Value {
    json!({
        "candidates": [{ "content": { "parts": parts, "role": "model" }, "index": 0 }],
        "usageMetadata": { "promptTokenCount": 100, "cachedContentTokenCount": 20, "candidatesTokenCount": 4, "thoughtsTokenCount": 3 },
        "modelVersion": "gemini-2.5-pro", "responseId": "r",
    })
}

fn event(parts: &Value) -> String {
    format!("data: {}\r\n\r\n", document(parts))
}

fn end() -> String {
    let end = json!({ "candidates": [{ "content": { "parts": [{ "text": "" }], "role": "model" }, "finishReason": "STOP" }] });
    format!("data: {end}\r\n\r\n")
}

fn call(id: &str, name: &str, arguments: &Value) -> Value {
    json!({ "functionCall": { "id": id, "name": name, "args": arguments } })
}

fn shell(id: &str, command: &str) -> Value {
    call(id, "run_shell_command", &json!({ "command": command }))
}

async fn whole(bench: &Bench, answer: &str) -> (String, Tally) {
    let tally = Shared::default();
    let passed = whole_of::<Gemini>(bench, &tally, answer.as_bytes()).await;
    let tally = tally.lock().unwrap().clone();
    (passed, tally)
}

async fn pass(bench: &Bench, answer: &str) -> String {
    passed::<Gemini>(bench, &Shared::default(), answer, 4096).await
}

/// The parts of all events that passed.
fn parts(passed: &str) -> Vec<Value> {
    let data = passed.lines().filter_map(|line| line.strip_prefix("data: "));
    let documents = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
    let parts = documents.map(|document| document["candidates"][0]["content"]["parts"].clone());
    parts.flat_map(|parts| parts.as_array().cloned().unwrap_or_default()).collect()
}

#[tokio::test]
async fn what_is_allowed_passes_byte_for_byte_however_it_is_cut() {
    let whole = event(&json!([{ "text": "I think", "thought": true }]))
        + ": a comment\n\n"
        + &event(
            &json!([{ "text": "now" }, shell("c1", "echo hi"), call("c2", "write_file", &json!({ "file_path": "a", "content": "x" }))]),
        )
        + &event(&json!([call("c3", "update_topic", &json!({ "title": "t" }))]))
        + &end();
    for size in [1, 7, 100_000] {
        let trial = Trial::new(&["Bash", "Write", "gemini.inside"], &[]);
        let tally = Shared::default();
        assert_eq!(passed::<Gemini>(&bench(&trial), &tally, &whole, size).await, whole);
        let tally = tally.lock().unwrap().clone();
        assert_eq!((tally.input, tally.cache_read, tally.output), (80, 20, 7));
        assert_eq!((tally.calls, tally.refused), (3, 0));
        let mut calls = Vec::new();
        while calls.len() < 3 {
            calls = trial.records("call");
        }
        let tools: Vec<&str> = calls.iter().map(|call| call["tool"].as_str().unwrap()).collect();
        assert_eq!(tools, ["Bash", "Write", "gemini.inside"]);
        assert_eq!(
            (&calls[0]["door"], &calls[0]["reference"], &calls[0]["arguments"]["command"]),
            (&json!("model"), &json!("c1"), &json!("echo hi"))
        );
    }
}

#[tokio::test]
async fn of_two_calls_the_denied_one_never_reaches_the_client() {
    let trial = Trial::new(&["Bash(echo *)"], &[]);
    let bench = bench(&trial);
    let mut denied = shell("c1", "rm -rf precious");
    denied["thoughtSignature"] = json!("c2ln");
    let answer = event(&json!([{ "text": "both" }, denied, shell("c2", "echo hi")])) + &end();
    let passed = pass(&bench, &answer).await;
    assert!(!passed.contains("precious"), "{passed}");
    let parts = parts(&passed);
    assert_eq!((&parts[0]["text"], &parts[2]), (&json!("both"), &shell("c2", "echo hi")));
    let stand_in = &parts[1]["functionCall"];
    assert_eq!((&stand_in["id"], &stand_in["name"]), (&json!("c1"), &json!(STAND_IN)));
    assert_eq!(stand_in["args"]["refusal"], "policy-denied");
    assert_eq!(parts[1]["thoughtSignature"], "c2ln");
    assert!(passed.contains("\"finishReason\":\"STOP\""), "the conversation goes on: {passed}");
    let Seen::StandIn(kept) = bench.calls.seen("c1", || None, STAND_IN) else { panic!("kept") };
    let original: Value = serde_json::from_str(&kept.original.unwrap()).unwrap();
    assert_eq!(original["args"]["command"], "rm -rf precious");
}

#[tokio::test]
async fn an_id_that_the_client_would_change_is_another_one() {
    let trial = Trial::new(&["Bash"], &[]);
    let bench = bench(&trial);
    let passed =
        pass(&bench, &(event(&json!([shell("run_shell_command__1", "ls")])) + &end())).await;
    let id = parts(&passed)[0]["functionCall"]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("call-"), "{passed}");
    assert_eq!(bench.calls.seen(&id, || None, ""), Seen::Changed, "it is known");
    assert_eq!(bench.calls.seen("run_shell_command__1", || None, ""), Seen::Unknown);
}

#[tokio::test]
async fn a_call_without_an_id_gets_one_and_twins_are_told_apart() {
    let trial = Trial::new(&["Bash"], &[]);
    let bench = bench(&trial);
    let same =
        json!({ "functionCall": { "name": "run_shell_command", "args": { "command": "ls" } } });
    let passed = pass(&bench, &(event(&json!([same, same])) + &end())).await;
    let ids: Vec<String> = parts(&passed)
        .iter()
        .filter_map(|part| Some(part["functionCall"]["id"].as_str()?.to_owned()))
        .collect();
    assert_eq!(ids.len(), 2, "{passed}");
    assert_ne!(ids[0], ids[1]);
    for part in &parts(&passed)[..2] {
        let text = part["functionCall"].to_string();
        let doc = Doc::read(text.as_bytes()).unwrap();
        let call = part::call(&doc, doc.root()).unwrap();
        let act = || Some(call.written.clone().unwrap().act);
        assert_eq!(bench.calls.seen(&call.id, act, ""), Seen::Judged);
    }
    // Each is taken up once by a hook, which names no id.
    let act = Act::of("Bash", &json!({ "command": "ls" }), "/w");
    let first = bench.calls.waiting(&act).unwrap();
    bench.calls.take_up(&first, None, &act);
    let second = bench.calls.waiting(&act).unwrap();
    assert_ne!(first, second);
    assert_eq!(bench.calls.under_way(&act), Some(first));
    bench.calls.take_up(&second, None, &act);
    assert_eq!(bench.calls.waiting(&act), None);
}

#[tokio::test]
async fn a_tool_in_odd_case_is_no_tool_and_malformed_arguments_are_refused() {
    for odd in [
        call("c1", "Run_Shell_Command", &json!({ "command": "ls" })),
        call("c1", "run_shell_command ", &json!({ "command": "ls" })),
        call("c1", "", &json!({})),
        call("c1", "FileMention", &json!({ "path": "a" })),
        call("c1", "net.connect", &json!({ "host": "a.test", "port": 443 })),
        call("c1", STAND_IN, &json!({})),
        call("c1", "run_shell_command", &json!(["ls"])),
        call("c1", "run_shell_command", &json!("ls")),
        call("c1", "run_shell_command", &json!({ "command": ["ls"] })),
        json!({ "functionCall": { "name": "run_shell_command", "id": "c1" } }),
    ] {
        let trial = Trial::new(&["Bash", "Read"], &[]);
        let bench = bench(&trial);
        let passed = pass(&bench, &(event(&json!([odd])) + &end())).await;
        let stand_in = &parts(&passed)[0]["functionCall"];
        assert_eq!(stand_in["name"], STAND_IN, "{odd}: {passed}");
        assert!(stand_in["args"]["refusal"].is_string(), "{passed}");
        assert_eq!(trial.records("refusal").len(), 1, "{odd}");
        assert!(trial.records("call").is_empty(), "{odd}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_in_one_way_ends_the_answer() {
    let twice =
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a","name":"b"}}]}}]}"#;
    let document = |document: Value| format!("data: {document}\n\n");
    let pieces = json!([{ "functionCall": { "name": "run_shell_command", "partialArgs": [], "willContinue": true } }]);
    for (what, answer) in [
        ("a key twice", format!("data: {twice}\n\n")),
        ("a call in pieces", event(&pieces)),
        (
            "two things in one part",
            event(&json!([{ "text": "x", "functionCall": { "name": "a" } }])),
        ),
        ("two calls of one id", event(&json!([shell("c1", "ls"), shell("c1", "rm x")]))),
        ("an id that is none", event(&json!([shell("c 1", "ls")]))),
        ("a name that is no text", event(&json!([{ "functionCall": { "name": 1 } }]))),
        (
            "twins in a part",
            event(&json!([{ "functionCall": { "name": "a" }, "FunctionCall": {} }])),
        ),
        ("twins in a call", event(&json!([{ "functionCall": { "name": "a", "Name": "b" } }]))),
        (
            "content beside the parts",
            document(json!({ "candidates": [{ "content": { "parts": [], "calls": [] } }] })),
        ),
        ("twins of the answer", document(json!({ "candidates": [], "Candidates": [] }))),
        (
            "a call in an unknown place",
            document(json!({ "candidates": [], "response": { "functionCall": { "name": "a" } } })),
        ),
        (
            "a call beside the content",
            document(json!({ "candidates": [{ "extra": [{ "function_call": {} }] }] })),
        ),
        (
            "a call beside the content, its key escaped",
            "data: {\"candidates\":[{\"extra\":[{\"\\u0066unctionCall\":{\"name\":\"a\"}}]}]}\n\n"
                .to_owned(),
        ),
        ("a call as the answer's own part", document(json!({ "functionCall": { "name": "a" } }))),
        ("an event with a name", format!("event: x\n{}", event(&json!([])))),
        ("no JSON", "data: x\n\n".to_owned()),
        ("no table", "data: [1]\n\n".to_owned()),
        ("an end in the middle", "data: {\"candidates\":[".to_owned()),
    ] {
        let trial = Trial::new(&["Bash"], &[]);
        let answer = answer + &event(&json!([shell("c8", "echo after")]));
        let passed = pass(&bench(&trial), &answer).await;
        assert!(passed.contains("[answer-unread]"), "{what}: {passed}");
        assert!(passed.contains("\"finishReason\":\"OTHER\""), "{what}: {passed}");
        assert!(!passed.contains("after") && !passed.contains("functionCall"), "{what}: {passed}");
        assert!(trial.records("call").iter().all(|call| call["reference"] != "c8"), "{what}");
    }
}

#[tokio::test]
async fn acts_of_the_vendors_machines_are_withheld() {
    let trial = Trial::new(&["Bash"], &[]);
    let tally = Shared::default();
    let strange = json!([
        { "executableCode": { "language": "PYTHON", "code": "import os" } },
        { "text": "between" },
        { "function_call": { "name": "run_shell_command", "args": { "command": "rm x" } } },
        shell("c1", "ls"),
    ]);
    let passed = passed::<Gemini>(&bench(&trial), &tally, &(event(&strange) + &end()), 50).await;
    assert!(!passed.contains("import os") && !passed.contains("rm x"), "{passed}");
    let parts = parts(&passed);
    assert!(parts[0]["text"].as_str().unwrap().contains("withheld by bartizan"));
    assert_eq!((&parts[1]["text"], &parts[3]), (&json!("between"), &shell("c1", "ls")));
    let withheld = tally.lock().unwrap().withheld.clone();
    assert_eq!(withheld.len(), 2, "{withheld:?}");
    // Without a call beside it, too.
    let alone = pass(&bench(&trial), &event(&json!([{ "toolCall": { "x": 1 } }]))).await;
    assert!(alone.contains("withheld by bartizan") && !alone.contains("\"x\""), "{alone}");
}

#[tokio::test]
async fn an_answer_that_comes_whole_is_judged_the_same() {
    let trial = Trial::new(&["Bash(echo *)"], &[]);
    let bench = bench(&trial);
    let one = document(&json!([{ "text": "a" }, shell("c1", "echo hi")]));
    let other = document(&json!([shell("c2", "rm x"), { "toolCall": {} }]));
    let (passed, tally) = whole(&bench, &one.to_string()).await;
    assert_eq!(serde_json::from_str::<Value>(&passed).unwrap(), one, "nothing of it changes");
    assert_eq!((tally.calls, tally.refused, tally.input), (1, 0, 80));
    let (passed, tally) = whole(&bench, &other.to_string()).await;
    assert!(!passed.contains("rm x") && passed.contains(STAND_IN), "{passed}");
    assert_eq!((tally.calls, tally.refused, tally.withheld.len()), (1, 1, 1));
    for unread in ["[1]", "{\"candidates\":1}", "x", "[[]]", "\"x\""] {
        let (passed, _) = whole(&bench, unread).await;
        assert!(passed.contains("[answer-unread]"), "{unread}: {passed}");
    }
    let twice = document(&json!([shell("c5", "echo 1"), shell("c5", "echo 2")]));
    let (passed, _) = whole(&bench, &twice.to_string()).await;
    assert!(passed.contains("[answer-unread]") && !passed.contains("echo"), "{passed}");
}
