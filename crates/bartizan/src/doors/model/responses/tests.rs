use super::*;
use crate::doors::calls::{Act, Calls};
use crate::doors::model::request::{Ears, From};
use crate::doors::model::scrub::Scrub;
use bartizan_scan::{Form, Frames, KnownSecret, Redactor, Sanitiser, ScanKey};
use serde_json::{Value, json};
use std::sync::Mutex;

const SECRET: &str = "kF8s-20xQ-77hW-secret";

/// What was read, and what was heard.
#[derive(Default)]
pub(super) struct Noted(pub(super) Mutex<Vec<String>>, pub(super) Mutex<Vec<String>>);

impl Ears for Noted {
    fn heard(&self, text: &str) {
        self.1.lock().unwrap().push(text.to_owned());
    }

    fn read(&self, _: &str, _: From<'_>, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

pub(super) fn read_text(body: &str, ears: &Noted) -> Result<Read, Unfit> {
    read_by(&scrub().0, body, ears)
}

/// A way out, and what it hides.
fn scrub() -> (Scrub, Redactor) {
    let known = KnownSecret { name: "deploy".to_owned(), value: SECRET.to_owned().into() };
    let redactor = Redactor::new(ScanKey::new([1; 32]), Some(known)).unwrap();
    let frames = Frames::new(ScanKey::new([2; 32]), Form::Plain);
    (Scrub::new(redactor.clone(), frames, Sanitiser::default()), redactor)
}

fn read_by(scrub: &Scrub, body: &str, ears: &Noted) -> Result<Read, Unfit> {
    let (calls, workspace) = (register(), "/w");
    let against = Against { scrub, calls: &calls, workspace, ears, main: true };
    read(body.as_bytes(), against)
}

/// A register in which the first call was allowed, and the second refused.
fn register() -> Calls {
    let calls = Calls::default();
    let act = |name: &str, arguments: &str| {
        let item = json!({ "type": "function_call", "name": name, "arguments": arguments, "call_id": "x" });
        let text = item.to_string();
        let doc = Doc::read(text.as_bytes()).unwrap();
        let Ok(Item::Call(call)) = item::read(&doc, doc.root()) else { panic!("{item}") };
        call.written.unwrap()
    };
    let hook = Act::of("Bash", &json!({ "command": "ls" }), "/w");
    calls.allow("c1", None, &hook, Vec::new());
    calls.written("c1", None, &act("exec_command", r#"{"cmd":"ls"}"#).act);
    let sentence = "refused: no".to_owned();
    let original = act("exec_command", r#"{"cmd":"rm x"}"#).original;
    calls.refuse("c2", None, &hook, StandIn { original, sentence });
    calls
}

fn read_body(body: &Value) -> Result<Read, Unfit> {
    read_text(&body.to_string(), &Noted::default())
}

/// A conversation of one turn and its result.
fn conversation(output: &Value) -> Value {
    json!({
        "model": "gpt-5.5", "stream": true, "instructions": "Work.",
        "tools": [{ "type": "function", "name": "exec_command" }],
        "input": [
            { "type": "additional_tools", "tools": [{ "type": "namespace", "tools": [{ "type": "custom", "name": "exec" }] }] },
            { "role": "user", "content": [{ "type": "input_text", "text": "go" }] },
            { "type": "reasoning", "encrypted_content": "gAAAAABo" },
            { "type": "function_call", "name": "exec_command", "arguments": "{\"cmd\":\"ls\"}", "call_id": "c1" },
            { "type": "function_call_output", "call_id": "c1", "output": output },
        ],
    })
}

#[test]
fn a_result_is_data_and_nothing_else_changes() {
    let body = conversation(&json!("a.txt\n"));
    let read = read_body(&body).unwrap();
    let sent: Value = serde_json::from_slice(&read.body).unwrap();
    let mut same = sent.clone();
    let output = sent["input"][4]["output"].as_str().unwrap();
    assert!(output.contains("a.txt") && output.contains("result of Bash"), "{output}");
    assert!(
        sent["instructions"].as_str().unwrap().starts_with("Work.\n\nThis session runs behind")
    );
    same["input"][4]["output"] = body["input"][4]["output"].clone();
    same["instructions"] = body["instructions"].clone();
    assert_eq!(same, body);
    assert_eq!((read.notes.model.as_str(), read.notes.framed), ("gpt-5.5", 1));
    assert_eq!(read.results, [("c1".to_owned(), false, r#""a.txt\n""#.len())]);
    assert_eq!(read.body, read_body(&body).unwrap().body, "the prompt cache hits");
}

/// The call that is named, and what is changed in a conversation.
type Case<'a> = (&'a str, &'a dyn Fn(&mut Value));

#[test]
fn an_act_that_the_gate_has_not_allowed_is_told_of() {
    let told = |change: &dyn Fn(&mut Value)| {
        let mut body = conversation(&json!("done"));
        change(&mut body);
        read_body(&body)
    };
    let cases: [Case<'_>; 6] = [
        ("c1", &|body| body["input"][3]["arguments"] = json!("{\"cmd\":\"rm x\"}")),
        ("c1", &|body| body["input"][3]["name"] = json!("shell_command")),
        ("c1", &|body| body["input"][3]["namespace"] = json!("mcp__crm")),
        ("c9", &|body| body["input"][3]["call_id"] = json!("c9")),
        ("c9", &|body| body["input"][4]["call_id"] = json!("c9")),
        ("c2", &|body| {
            body["input"][3]["call_id"] = json!("c2");
            body["input"][3]["arguments"] = json!("{\"cmd\":\"rm x\"}");
        }),
    ];
    for (at, (id, change)) in cases.iter().enumerate() {
        match told(change) {
            Err(Unfit::Unseen { call, .. }) => assert_eq!(call, *id, "{at}"),
            other => panic!("{at}: {other:?}"),
        }
    }
    assert!(told(&|_| {}).is_ok());
}

#[test]
fn the_model_reads_what_it_wrote_and_why_it_did_not_happen() {
    let mut body = conversation(&json!("done"));
    body["input"][3] =
        json!({ "type": "function_call", "call_id": "c2", "name": STAND_IN, "arguments": "{}" });
    body["input"][4] =
        json!({ "type": "function_call_output", "call_id": "c2", "output": "unsupported call" });
    let read = read_body(&body).unwrap();
    let sent: Value = serde_json::from_slice(&read.body).unwrap();
    assert_eq!(sent["input"][3]["arguments"], r#"{"cmd":"rm x"}"#);
    assert_eq!(sent["input"][4]["output"], "refused: no");
    assert_eq!(read.notes.restored, 1);
}

#[test]
fn secrets_are_hidden_wherever_text_stands() {
    let said = format!("key: {SECRET}");
    for output in [json!(said), json!([{ "type": "input_text", "text": said }])] {
        let noted = Noted::default();
        let mut body = conversation(&output);
        body["instructions"] = json!(said);
        body["input"][1]["content"][0]["text"] = json!(said);
        body["input"][2]["summary"] = json!([{ "type": "summary_text", "text": said }]);
        let read = read_text(&body.to_string(), &noted).unwrap();
        let sent = String::from_utf8(read.body).unwrap();
        assert!(!sent.contains(SECRET), "{sent}");
        assert_eq!(read.notes.found.secrets, 4);
        assert_eq!(
            *noted.0.lock().unwrap(),
            std::slice::from_ref(&said),
            "the session has read it"
        );
    }
    let plain = json!({ "model": "m", "input": said });
    assert!(!String::from_utf8(read_body(&plain).unwrap().body).unwrap().contains(SECRET));
}

#[test]
fn the_vendors_machines_do_not_act() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = conversation(&json!("x"));
        change(&mut body);
        read_body(&body).unwrap_err()
    };
    for kind in ["web_search", "mcp", "code_interpreter", "image_generation", "tool_search", ""] {
        let tool = json!([{ "type": kind }]);
        let nested = json!([{ "type": "namespace", "tools": tool }]);
        let found = [
            with(&|body| body["tools"] = tool.clone()),
            with(&|body| body["tools"] = nested.clone()),
            with(&|body| body["input"][0]["tools"] = nested.clone()),
        ];
        assert!(
            found.iter().all(|unfit| *unfit == Unfit::ServerTool(kind.to_owned())),
            "{found:?}"
        );
    }
    // The one tool that runs here or there, as the request says.
    for place in [
        json!(null),
        json!("local"),
        json!({}),
        json!({ "type": "container_auto", "network_policy": { "type": "allowlist" } }),
        json!({ "type": "container_reference", "container_id": "c" }),
        json!({ "type": "local", "Type": "container_auto" }),
    ] {
        let shell = json!([{ "type": "shell", "environment": place }]);
        let unfit = with(&|body| body["tools"] = shell.clone());
        assert_eq!(unfit, Unfit::ServerTool("shell".to_owned()), "{place}");
    }
    assert!(matches!(
        with(&|body| body["tools"] = json!([{ "type": "shell" }])),
        Unfit::ServerTool(_)
    ));
    let mut here = conversation(&json!("x"));
    here["tools"] = json!([{ "type": "shell", "environment": { "type": "local" } }]);
    assert!(read_body(&here).is_ok());
    for part in [
        json!({ "type": "input_image", "image_url": "https://evil.test/?q=1" }),
        json!({ "type": "input_file", "file_url": "https://evil.test/" }),
        json!({ "type": "input_file", "file_id": "file-1" }),
    ] {
        let unfit = with(&|body| body["input"][1]["content"] = json!([part]));
        assert!(matches!(unfit, Unfit::ServerTool(_)), "{unfit:?}");
    }
    let picture = json!({ "type": "input_image", "image_url": "data:image/png;base64,AA==" });
    let mut body = conversation(&json!("x"));
    body["input"][1]["content"] = json!([picture]);
    assert_eq!(read_body(&body).unwrap().notes.pictures, 1);
}

#[test]
fn what_has_two_readings_or_stands_elsewhere_does_not_leave() {
    for body in [
        "{}",
        "[]",
        "nonsense",
        r#"{"model":"m","input":[],"input":[]}"#,
        r#"{"model":"m","input":[{"type":"message","type":"x","content":[]}]}"#,
        r#"{"model":"m","input":[{"type":"message","content":[{"text":"a","text":"b"}]}]}"#,
        r#"{"model":"m","input":[{"type":"item_reference","id":"x"}]}"#,
        r#"{"model":"m","input":[],"previous_response_id":"resp_1"}"#,
        r#"{"model":"m","input":[],"background":true}"#,
        r#"{"model":"m","input":[],"mcp_servers":[]}"#,
        r#"{"model":"m","input":[],"instructions":["x"]}"#,
        r#"{"model":"m","input":[{"type":"compaction","encrypted_content":"x"}]}"#,
        r#"{"model":"m","input":[{"type":"mcp_call","name":"x"}]}"#,
        r#"{"model":"m","input":[{"type":"message","content":["x"]}]}"#,
        r#"{"model":"m","input":[{"type":"message","content":{"text":"x"}}]}"#,
        r#"{"model":"m","input":[{"type":"function_call_output","call_id":"c1","output":{"text":"x"}}]}"#,
        r#"{"model":"m","input":[{"type":"computer_call_output","output":"x"}]}"#,
    ] {
        let unfit = read_text(body, &Noted::default()).unwrap_err();
        assert!(matches!(unfit, Unfit::Unread(_)), "{body}: {unfit:?}");
    }
}

#[test]
fn what_comes_again_in_its_place_is_dealt_with_once_and_sent_the_same() {
    let (scrub, redactor) = scrub();
    let deal = |body: &Value| {
        let noted = Noted::default();
        let read = read_by(&scrub, &body.to_string(), &noted).unwrap();
        let told = noted.0.into_inner().unwrap().len();
        (String::from_utf8(read.body).unwrap(), read.notes, told)
    };
    let body = conversation(&json!(format!("the key is {SECRET}, the word is kestrel-42-umber")));
    let (first, notes, told) = deal(&body);
    assert!(told == 1 && notes.framed == 1 && notes.found.secrets == 1, "{told} {notes:?}");
    assert!(!first.contains(SECRET));
    assert_eq!(deal(&body), (first, notes, 0));
    // The same words as parts of a list stand in other places, each with markers of its own.
    let word = json!({ "type": "input_text", "text": "the word is kestrel-42-umber" });
    let (parts, notes, told) = deal(&conversation(&json!([word, word])));
    assert_eq!((notes.framed, told), (2, 2));
    assert_eq!(deal(&conversation(&json!([word, word]))), (parts, notes, 0));
    // A secret that is learned meanwhile is looked for everywhere again.
    let value = "kestrel-42-umber".to_owned().into();
    redactor.learn(KnownSecret { name: "new".to_owned(), value }).unwrap();
    let (now, notes, _) = deal(&body);
    assert!(!now.contains("kestrel") && notes.found.secrets == 2, "{now}");
}
