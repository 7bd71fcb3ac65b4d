use super::*;
use bartizan_scan::{Form, Frames, KnownSecret, Redactor, Sanitiser, ScanKey};
use serde_json::{Value, json};
use std::sync::Mutex;

const SECRET: &str = "kF8s-20xQ-77hW-secret";

#[derive(Default)]
struct Noted(Mutex<Vec<String>>);

impl Ears for Noted {
    fn heard(&self, _: &str) {}

    fn read(&self, _: &str, _: From<'_>, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

fn read_text(body: &str, ears: &Noted) -> Result<Read, Unfit> {
    let known = KnownSecret { name: "deploy".to_owned(), value: SECRET.to_owned().into() };
    let redactor = Redactor::new(ScanKey::new([1; 32]), Some(known)).unwrap();
    let frames = Frames::new(ScanKey::new([2; 32]), Form::Plain);
    let scrub = Scrub::new(redactor, frames, Sanitiser::default());
    read(body.as_bytes(), &scrub, ears)
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
fn what_needs_no_change_leaves_as_it_came() {
    let body = conversation(&json!("a.txt\n"));
    let read = read_body(&body).unwrap();
    assert_eq!(read.body, body.to_string().into_bytes());
    assert_eq!(read.notes.model, "gpt-5.5");
}

#[test]
fn secrets_are_hidden_wherever_text_stands() {
    let said = format!("key: {SECRET}");
    for output in [json!(said), json!([{ "type": "input_text", "text": said }])] {
        let noted = Noted::default();
        let mut body = conversation(&output);
        body["instructions"] = json!(said);
        body["input"][1]["content"][0]["text"] = json!(said);
        let read = read_text(&body.to_string(), &noted).unwrap();
        let sent = String::from_utf8(read.body).unwrap();
        assert!(!sent.contains(SECRET), "{sent}");
        assert_eq!(read.notes.found.secrets, 3);
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
    for kind in ["web_search", "mcp", "code_interpreter", "image_generation", ""] {
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
    ] {
        let unfit = read_text(body, &Noted::default()).unwrap_err();
        assert!(matches!(unfit, Unfit::Unread(_)), "{body}: {unfit:?}");
    }
}
