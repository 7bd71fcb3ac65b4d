use super::*;
use crate::doors::calls::{STAND_IN, TakeUp};
use crate::doors::model::answer::Shared;
use crate::doors::model::answer::tests::{bench, passed, whole_of};
use crate::doors::model::verdict::Bench;
use crate::doors::trial::Trial;
use serde_json::{Value, json};

fn event(kind: &str, mut data: Value) -> String {
    data["type"] = json!(kind);
    format!("event: {kind}\ndata: {data}\n\n")
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({ "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name,
        "arguments": arguments, "status": "completed" })
}

fn shell(id: &str, command: &str) -> Value {
    call(id, "exec_command", &json!({ "cmd": command }).to_string())
}

fn custom(id: &str, name: &str, input: &str) -> Value {
    json!({ "type": "custom_tool_call", "id": format!("ct_{id}"), "call_id": id, "name": name,
        "input": input, "status": "completed" })
}

fn words(text: &str) -> Value {
    json!({ "type": "message", "id": "msg_1", "role": "assistant",
        "content": [{ "type": "output_text", "text": text }] })
}

/// A part as the API streams it: its beginning, its text in two pieces and at once, and the whole.
fn streamed(index: usize, item: &Value) -> String {
    let (key, kind) = match item["type"].as_str().unwrap() {
        "function_call" => ("arguments", "response.function_call_arguments"),
        "custom_tool_call" => ("input", "response.custom_tool_call_input"),
        _ => ("", ""),
    };
    let mut begun = item.clone();
    let mut between = String::new();
    if let Some(text) = item[key].as_str() {
        begun[key] = json!("");
        let (one, two) = text.split_at(text.len() / 2);
        for piece in [one, two] {
            between +=
                &event(&format!("{kind}.delta"), json!({ "output_index": index, "delta": piece }));
        }
        between += &event(&format!("{kind}.done"), json!({ "output_index": index, key: text }));
    }
    event(
        "response.output_item.added",
        json!({ "output_index": index, "item": begun, "sequence_number": 1 }),
    ) + &between
        + &event(
            "response.output_item.done",
            json!({ "output_index": index, "item": item, "sequence_number": 2 }),
        )
}

fn answer(items: &[Value]) -> String {
    let parts: String = items.iter().enumerate().map(|(at, item)| streamed(at, item)).collect();
    begin() + &parts + &end(items)
}

fn begin() -> String {
    event(
        "response.created",
        json!({ "response": { "id": "resp_1", "object": "response", "output": [] } }),
    )
}

fn end(items: &[Value]) -> String {
    let usage = json!({ "input_tokens": 100, "input_tokens_details": { "cached_tokens": 20 }, "output_tokens": 7 });
    let response = json!({ "id": "resp_1", "object": "response", "output": items, "usage": usage });
    event("response.completed", json!({ "response": response }))
}

async fn pass(bench: &Bench, answer: &str) -> String {
    passed::<Responses>(bench, &Shared::default(), answer, 4096).await
}

fn events(passed: &str) -> Vec<Value> {
    let data = passed.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn what_is_allowed_passes_byte_for_byte_however_it_is_cut() {
    let patch = "*** Begin Patch\n*** Add File: a\n+x\n*** Add File: b\n+y\n*** End Patch\n";
    let items = [
        json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA" }),
        words("I will"),
        shell("c1", "echo hi"),
        custom("c2", "apply_patch", patch),
        custom("c3", "exec", "await tools.exec_command({cmd: 'ls'})"),
        call("c4", "wait", "{\"cell_id\":\"1\"}"),
    ];
    let text = event("response.output_text.delta", json!({ "output_index": 1, "delta": "I" }));
    let whole = begin()
        + ": a comment\n\n"
        + &items.iter().enumerate().map(|(at, item)| streamed(at, item)).collect::<String>()
        + &text
        + &end(&items);
    for size in [1, 7, 100_000] {
        let trial = Trial::new(&["Bash", "Write", "codex.script", "codex.inside"], &[]);
        let tally = Shared::default();
        assert_eq!(passed::<Responses>(&bench(&trial), &tally, &whole, size).await, whole);
        let tally = tally.lock().unwrap().clone();
        assert_eq!((tally.input, tally.cache_read, tally.output), (80, 20, 7));
        assert_eq!((tally.calls, tally.refused), (4, 0));
        // What only reads is on the log soon, not at once.
        let mut calls = Vec::new();
        while calls.len() < 5 {
            calls = trial.records("call");
        }
        let tools: Vec<&str> = calls.iter().map(|call| call["tool"].as_str().unwrap()).collect();
        assert_eq!(tools, ["Bash", "Write", "Write", "codex.script", "codex.inside"]);
        assert_eq!(
            (&calls[0]["door"], &calls[0]["reference"], &calls[0]["arguments"]["command"]),
            (&json!("model"), &json!("c1"), &json!("echo hi"))
        );
    }
}

#[tokio::test]
async fn a_refused_call_never_reaches_the_client_and_the_end_agrees() {
    let items = [
        words("I will"),
        shell("c1", "rm -rf precious"),
        shell("c2", "ls"),
        custom(
            "c3",
            "apply_patch",
            "*** Begin Patch\n*** Add File: /precious\n+x\n*** End Patch\n",
        ),
        custom("c4", "nonsense", "precious"),
        call("c5", "exec_command", "precious"),
        call("c6", STAND_IN, "{\"precious\":1}"),
    ];
    let trial = Trial::new(&["Bash(ls)"], &[]);
    let bench = bench(&trial);
    let passed = pass(&bench, &answer(&items)).await;
    assert!(!passed.contains("precious"), "{passed}");
    assert!(passed.contains(&streamed(2, &items[2])), "its neighbour passes as it came: {passed}");
    let events = events(&passed);
    let last = events.last().unwrap();
    for (at, item) in items.iter().enumerate() {
        let of = |kind: &str| {
            events
                .iter()
                .find(|event| event["type"] == kind && event["output_index"] == at)
                .unwrap()
        };
        let (added, done) = (of("response.output_item.added"), of("response.output_item.done"));
        assert_eq!(done["item"], last["response"]["output"][at], "{at}");
        assert_eq!((&added["sequence_number"], &done["sequence_number"]), (&json!(1), &json!(2)));
        assert_eq!(done["item"]["id"], item["id"]);
        assert_eq!(done["item"]["type"], item["type"]);
        assert_eq!(done["item"]["call_id"], item["call_id"]);
        assert_eq!(done["item"]["name"] == STAND_IN, ![0, 2].contains(&at), "{at}");
    }
    let input = events.iter().find(|event| event["item"]["call_id"] == "c1").unwrap();
    let input: Value = serde_json::from_str(input["item"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(
        input,
        json!({ "tool": "exec_command", "refusal": "policy-denied", "question": null })
    );
    assert_eq!(trial.records("refusal")[0]["reference"], "c1");
}

#[tokio::test]
async fn an_answer_that_tells_a_call_in_two_ways_ends_before_it() {
    let trial = Trial::new(&["Bash"], &[]);
    let (ls, rm) = (shell("c1", "ls"), shell("c1", "rm precious"));
    let added = |item: &Value| {
        event("response.output_item.added", json!({ "output_index": 0, "item": item }))
    };
    let done = |item: &Value| {
        event("response.output_item.done", json!({ "output_index": 0, "item": item }))
    };
    let bit = |kind: &str, key: &str| {
        event(
            &format!("response.function_call_arguments.{kind}"),
            json!({ "output_index": 0, key: "{\"cmd\":\"precious\"}" }),
        )
    };
    let mut begun = ls.clone();
    begun["arguments"] = json!("");
    let other = call("c2", "exec_command", "");
    let bad = [
        added(&begun) + &bit("delta", "delta") + &done(&ls),
        added(&begun) + &bit("done", "arguments") + &done(&ls),
        added(&other) + &done(&ls),
        added(&words("")) + &done(&rm),
        added(&begun) + &done(&words("precious")),
        added(&begun) + &added(&begun),
        bit("delta", "delta"),
        added(&words("")) + &bit("delta", "delta"),
        begin() + &end(std::slice::from_ref(&rm)),
        done(&ls) + &end(std::slice::from_ref(&rm)),
        done(&ls) + &event("response.output_item.done", json!({ "output_index": 1, "item": rm })),
        added(&begun) + &end(&[]),
        event("response.something_new", json!({ "item": rm })),
        event("response.something_new", json!({ "response": { "output": [rm] } })),
        event("response.created", json!({ "response": { "output": [rm] } })),
        event("response.completed", json!({ "response": { "output": { "0": rm } } })),
        "event: response.created\ndata: {\"type\":\"response.output_item.done\"}\n\n".to_owned(),
        "data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"message\",\"Type\":\"function_call\"}}\n\n".to_owned(),
    ];
    for bad in bad {
        let passed =
            pass(&bench(&trial), &(bad.clone() + &streamed(7, &shell("c9", "echo")))).await;
        assert!(passed.contains("answer-unread"), "{bad}: {passed}");
        assert!(!passed.contains("precious") && !passed.contains("c9"), "{bad}: {passed}");
        let last = events(&passed).pop().unwrap();
        assert_eq!(last["type"], "response.failed");
    }
}

#[tokio::test]
async fn a_call_that_breaks_off_does_not_reach_the_client() {
    let trial = Trial::new(&["Bash"], &[]);
    let whole = begin() + &streamed(0, &shell("c1", "echo hi"));
    let (cut, _) = whole.split_at(whole.len() - 30);
    let passed = pass(&bench(&trial), cut).await;
    assert!(passed.starts_with(&begin()) && !passed.contains("c1"), "{passed}");
    assert!(passed.contains("answer-unread"), "{passed}");
}

#[tokio::test]
async fn acts_of_others_than_the_client_are_withheld() {
    let trial = Trial::new(&["*"], &[]);
    for kind in [
        "mcp_call",
        "web_search_call",
        "computer_call",
        "shell_call",
        "apply_patch_call",
        "tool_search_call",
        "compaction",
    ] {
        let strange = json!({ "type": kind, "id": "x", "call_id": "c1", "name": "precious", "action": "precious" });
        let running = event(
            &format!("response.{kind}.in_progress"),
            json!({ "output_index": 0, "item_id": "precious" }),
        );
        let items = [strange.clone(), words("bye")];
        let added =
            event("response.output_item.added", json!({ "output_index": 0, "item": strange }));
        let done =
            event("response.output_item.done", json!({ "output_index": 0, "item": strange }));
        let passed = pass(
            &bench(&trial),
            &(begin() + &added + &running + &done + &streamed(1, &items[1]) + &end(&items)),
        )
        .await;
        assert!(!passed.contains("precious"), "{kind}: {passed}");
        assert!(passed.contains(&format!("a part of type `{kind}`")), "{kind}: {passed}");
        let events = events(&passed);
        assert_eq!(events[2]["item"], events.last().unwrap()["response"]["output"][0], "{kind}");
    }
    assert_eq!(trial.records("call").len(), 0);
}

#[tokio::test]
async fn calls_whose_events_come_mixed_are_judged_each_by_itself() {
    let trial = Trial::new(&["Bash(ls)"], &[]);
    let items = [shell("c1", "rm precious"), shell("c2", "ls")];
    let [one, two] = [0, 1].map(|at| {
        let part = streamed(at, &items[at]);
        part.split_inclusive("\n\n").map(str::to_owned).collect::<Vec<_>>()
    });
    let mixed: String = one.iter().zip(&two).flat_map(|(one, two)| [one.as_str(), two]).collect();
    let passed = pass(&bench(&trial), &(begin() + &mixed + &end(&items))).await;
    assert!(passed.contains(&two.concat()) && !passed.contains("precious"), "{passed}");
    assert!(events(&passed).last().unwrap()["type"] == "response.completed", "{passed}");
}

#[tokio::test]
async fn one_yes_is_one_act_at_both_doors() {
    let trial = Trial::new(&[], &["Bash"]);
    let bench = bench(&trial);
    let asked = pass(&bench, &answer(&[shell("c1", "echo hi")])).await;
    assert!(asked.contains("approval-required") && !asked.contains("echo hi"), "{asked}");
    trial.approve();
    let allowed = answer(&[shell("c2", "echo hi")]);
    assert_eq!(pass(&bench, &allowed).await, allowed);
    // As the hook tells it.
    let act = Act::of("Bash", &json!({ "command": "echo hi" }), "/w");
    assert_eq!(bench.calls.take_up("c2", None, &act), TakeUp::Joined);
    assert_eq!(bench.calls.take_up("c2", None, &act), TakeUp::Unjudged, "once is once");
    assert!(matches!(bench.calls.take_up("c1", None, &act), TakeUp::Refused(_)));
    assert_eq!(trial.records("call").len(), 1);
}

#[tokio::test]
async fn an_answer_that_comes_whole_is_judged_as_one_that_streams() {
    let trial = Trial::new(&["Bash(ls)"], &[]);
    let bench = bench(&trial);
    let local = json!({ "type": "local_shell_call", "id": "l", "call_id": "c3", "status": "completed",
        "action": { "type": "exec", "command": ["ls"], "env": { "X": "precious" } } });
    let items = [
        words("hi"),
        shell("c1", "ls"),
        shell("c2", "rm precious"),
        local,
        json!({ "type": "mcp_call", "name": "precious" }),
    ];
    let body = json!({ "object": "response", "output": items, "usage": { "input_tokens": 3, "output_tokens": 4 } });
    let tally = Shared::default();
    let judged = whole_of::<Responses>(&bench, &tally, body.to_string().as_bytes()).await;
    let judged: Value = serde_json::from_str(&judged).unwrap();
    let output = &judged["output"];
    assert_eq!((&output[0], &output[1]), (&items[0], &items[1]));
    assert_eq!((&output[2]["name"], &output[3]["name"]), (&json!(STAND_IN), &json!(STAND_IN)));
    assert_eq!(
        (&output[3]["type"], &output[4]["type"]),
        (&json!("function_call"), &json!("message"))
    );
    assert!(!judged.to_string().contains("precious"), "{judged}");
    assert_eq!(tally.lock().unwrap().tokens(0), 7);
    for bad in ["{}", "nonsense", r#"{"object":"response","output":[],"output":[]}"#] {
        assert!(
            whole_of::<Responses>(&bench, &tally, bad.as_bytes()).await.contains("answer-unread")
        );
    }
}

#[tokio::test]
async fn of_a_mangled_stream_no_call_passes_unjudged() {
    let trial = Trial::new(&["Bash(ls)"], &[]);
    let items = [words("hello"), shell("c1", "rm precious"), shell("c2", "ls")];
    let parts: String = items.iter().enumerate().map(|(at, item)| streamed(at, item)).collect();
    let whole = (parts + &end(&[])).into_bytes();
    // Bytes lost, or turned into one that ends something.
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        match at % 3 {
            0 => drop(bytes.remove(at)),
            1 => bytes[at] = b'"',
            _ => bytes[at] = b'\n',
        }
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let passed = pass(&bench(&trial), &text).await;
        assert!(!passed.contains("precious"), "{at}: {passed}");
    }
}
