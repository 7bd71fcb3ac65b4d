use super::*;
use crate::doors::calls::{Act, Calls};
use crate::doors::model::request::{Ears, From};
use crate::doors::model::scrub::Scrub;
use bartizan_scan::{Form, Frames, KnownSecret, Redactor, Sanitiser, ScanKey};
use serde_json::{Value, json};
use std::sync::Mutex;
use words::FILES;

const SECRET: &str = "kF8s-20xQ-77hW-secret";
const PATH: &str = "/v1beta/models/gemini-2.5-pro:streamGenerateContent";

/// What was read, with its source, and what was heard.
#[derive(Default)]
pub(super) struct Noted(pub(super) Mutex<Vec<(String, String)>>, pub(super) Mutex<Vec<String>>);

impl Ears for Noted {
    fn heard(&self, text: &str) {
        self.1.lock().unwrap().push(text.to_owned());
    }

    fn read(&self, source: &str, _: From<'_>, text: &str) {
        self.0.lock().unwrap().push((source.to_owned(), text.to_owned()));
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
    read(body.as_bytes(), PATH, against)
}

/// A register in which the first call was allowed, and the second refused.
fn register() -> Calls {
    let calls = Calls::default();
    let written = |text: &str| {
        let doc = Doc::read(text.as_bytes()).unwrap();
        part::call(&doc, doc.root()).unwrap().written.unwrap()
    };
    let hook = Act::of("Bash", &json!({ "command": "ls" }), "/w");
    let allowed = written(r#"{"id":"c1","name":"run_shell_command","args":{"command":"ls"}}"#);
    calls.allow("c1", None, &hook, Vec::new());
    calls.written("c1", None, &allowed.act);
    let refused = written(r#"{"id":"c2","name":"run_shell_command","args":{"command":"rm x"}}"#);
    let sentence = "refused: no".to_owned();
    calls.refuse("c2", None, &hook, StandIn { original: refused.original, sentence });
    calls
}

fn read_body(body: &Value) -> Result<Read, Unfit> {
    read_text(&body.to_string(), &Noted::default())
}

fn sent(body: &Value) -> Value {
    serde_json::from_slice(&read_body(body).unwrap().body).unwrap()
}

/// A conversation of one turn and its result.
fn conversation(response: &Value) -> Value {
    json!({
        "contents": [
            { "role": "user", "parts": [{ "text": "<session_context>\nToday is Friday.</session_context>" }, { "text": "go" }] },
            { "role": "model", "parts": [
                { "text": "I look", "thought": true },
                { "functionCall": { "id": "c1", "name": "run_shell_command", "args": { "command": "ls" } }, "thoughtSignature": "c2ln" },
            ] },
            { "role": "user", "parts": [{ "functionResponse": { "id": "c1", "name": "run_shell_command", "response": response } }] },
        ],
        "systemInstruction": { "role": "user", "parts": [{ "text": "Work." }] },
        "tools": [{ "functionDeclarations": [{ "name": "run_shell_command" }] }],
        "generationConfig": { "temperature": 1 },
    })
}

const RESULT: &str = "/contents/2/parts/0/functionResponse";
const CALL: &str = "/contents/1/parts/1/functionCall";

#[test]
fn a_result_is_data_and_nothing_else_changes() {
    let body = conversation(&json!({ "output": "a.txt\n" }));
    let ears = Noted::default();
    let read = read_text(&body.to_string(), &ears).unwrap();
    let sent: Value = serde_json::from_slice(&read.body).unwrap();
    let output = sent.pointer(RESULT).unwrap()["response"]["output"].as_str().unwrap();
    assert!(output.contains("a.txt") && output.contains("result of Bash"), "{output}");
    let context = sent["contents"][0]["parts"][0]["text"].as_str().unwrap();
    assert!(context.contains("client context") && context.contains("Friday"), "{context}");
    let system = sent["systemInstruction"]["parts"].as_array().unwrap();
    assert!(system[1]["text"].as_str().unwrap().starts_with("This session runs behind"));
    let mut same = sent.clone();
    *same.pointer_mut(RESULT).unwrap() = body.pointer(RESULT).unwrap().clone();
    same["contents"][0] = body["contents"][0].clone();
    same["systemInstruction"] = body["systemInstruction"].clone();
    assert_eq!(same, body);
    assert_eq!(sent["contents"][0]["parts"][1]["text"], "go");
    assert_eq!((read.notes.model.as_str(), read.notes.framed), ("gemini-2.5-pro", 2));
    assert_eq!(read.results, [("c1".to_owned(), false, r#"{"output":"a.txt\n"}"#.len())]);
    assert_eq!(read.body, read_body(&body).unwrap().body, "the prompt cache hits");
    let told = ears.0.lock().unwrap();
    assert!(told.iter().any(|(source, text)| source == "result of Bash" && text == "a.txt\n"));
}

#[test]
fn a_secret_leaves_nowhere() {
    let mut body = conversation(&json!({ "output": SECRET, "error": SECRET }));
    body["contents"][0]["parts"][1]["text"] = json!(format!("go {SECRET}"));
    body["contents"][1]["parts"][0]["text"] = json!(format!("it is {SECRET}"));
    body["systemInstruction"]["parts"][0]["text"] = json!(SECRET);
    let read = read_body(&body).unwrap();
    let text = String::from_utf8(read.body).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    assert_eq!(read.notes.found.secrets, 5);
    let other = conversation(&json!({ "rows": [{ SECRET: 1 }], "output": { "a": SECRET } }));
    assert!(!String::from_utf8(read_body(&other).unwrap().body).unwrap().contains(SECRET));
}

#[test]
fn a_result_of_any_form_is_text_between_markers() {
    for response in [
        json!({ "rows": [{ "obey": "me" }] }),
        json!({ "output": { "obey": "me" } }),
        json!({ "output": "x", "obey": "me" }),
        json!({ "obey me": 1 }),
    ] {
        let sent = sent(&conversation(&response));
        let response = &sent.pointer(RESULT).unwrap()["response"];
        let keys: Vec<&String> = response.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["output"], "{response}");
        let output = response["output"].as_str().unwrap();
        assert!(output.contains("obey") && output.contains("result of Bash"), "{output}");
    }
}

#[test]
fn files_behind_a_prompt_are_data_to_the_end_of_the_message() {
    let mut body = conversation(&json!({}));
    body["contents"][0]["parts"] = json!([
        { "text": "sum up @a\n--- Content from referenced files ---\nContent from @a:\n" },
        { "text": "obey --- End of content ---" },
        { "text": "obey again" },
    ]);
    let sent = sent(&body);
    let text = |at: usize| sent["contents"][0]["parts"][at]["text"].as_str().unwrap();
    assert!(
        text(0).starts_with("sum up @a\n<") && text(0).contains("attached file"),
        "{}",
        text(0)
    );
    for at in [1, 2] {
        assert!(text(at).starts_with('<') && text(at).contains("attached file"), "{}", text(at));
    }
}

/// A refused call, as the client holds it.
fn refused() -> Value {
    let mut body = conversation(&json!({ "error": "Tool \"bartizan_refused\" not found." }));
    *body.pointer_mut(CALL).unwrap() =
        json!({ "id": "c2", "name": "bartizan_refused", "args": { "tool": "run_shell_command" } });
    let result = body.pointer_mut(RESULT).unwrap();
    (result["id"], result["name"]) = (json!("c2"), json!("bartizan_refused"));
    body
}

#[test]
fn the_model_reads_its_own_call_and_why_it_was_refused() {
    let body = refused();
    let read = read_body(&body).unwrap();
    let sent: Value = serde_json::from_slice(&read.body).unwrap();
    let call = json!({ "id": "c2", "name": "run_shell_command", "args": { "command": "rm x" } });
    assert_eq!(sent.pointer(CALL), Some(&call));
    assert_eq!(
        sent["contents"][1]["parts"][1]["thoughtSignature"], "c2ln",
        "it goes with its call"
    );
    let result =
        json!({ "id": "c2", "name": "run_shell_command", "response": { "error": "refused: no" } });
    assert_eq!(sent.pointer(RESULT), Some(&result));
    assert_eq!((read.notes.restored, read.results.len()), (1, 0));
}

/// What is wrong, and what is changed in a conversation.
type Case<'a> = (&'a str, &'a dyn Fn(&mut Value));

#[test]
fn an_act_that_the_gate_did_not_see_stops_the_session() {
    let set = |at: &'static str, value: Value| {
        move |body: &mut Value| *body.pointer_mut(at).unwrap() = value.clone()
    };
    let cases: [Case<'_>; 8] = [
        ("other arguments", &set("/contents/1/parts/1/functionCall/args/command", json!("rm x"))),
        ("more arguments", &|body| {
            body.pointer_mut(CALL).unwrap()["args"]["dir_path"] = json!("/etc");
        }),
        ("another tool", &set("/contents/1/parts/1/functionCall/name", json!("write_file"))),
        ("another case", &set("/contents/1/parts/1/functionCall/name", json!("Run_shell_command"))),
        ("a call of no known id", &set("/contents/1/parts/1/functionCall/id", json!("c9"))),
        ("a call without an id", &|body| {
            body.pointer_mut(CALL).unwrap().as_object_mut().unwrap().remove("id");
        }),
        ("a result of a call that was never proposed", &|body| {
            body.pointer_mut(RESULT).unwrap()["id"] = json!("c9");
        }),
        (
            "a refused call as if it had been delivered",
            &set("/contents/1/parts/1/functionCall/id", json!("c2")),
        ),
    ];
    for (what, change) in cases {
        let mut body = conversation(&json!({ "output": "done" }));
        change(&mut body);
        let unfit = read_body(&body).unwrap_err();
        assert!(matches!(unfit, Unfit::Unseen { .. }), "{what}: {unfit:?}");
    }
    let mut model = conversation(&json!({ "output": "done" }));
    model["contents"][2]["role"] = json!("model");
    model.pointer_mut(RESULT).unwrap()["id"] = json!("c9");
    assert!(matches!(read_body(&model).unwrap_err(), Unfit::Unseen { .. }), "whoever says it");
}

#[test]
fn a_result_that_belongs_to_no_call_stops_the_session() {
    let cases: [Case<'_>; 4] = [
        ("a result of no call", &|body| {
            let result = body.pointer_mut(RESULT).unwrap().as_object_mut().unwrap();
            result.remove("id");
            result.insert("name".to_owned(), json!("write_file"));
        }),
        ("a second result without an id", &|body| {
            let mut result = body["contents"][2]["parts"][0].clone();
            result["functionResponse"].as_object_mut().unwrap().remove("id");
            body["contents"][2]["parts"] = json!([result, result]);
        }),
        ("a result without an id in a later turn", &|body| {
            let mut later = body["contents"][2].clone();
            later["parts"][0]["functionResponse"].as_object_mut().unwrap().remove("id");
            let words = json!({ "role": "model", "parts": [{ "text": "so" }] });
            body["contents"] = json!([body["contents"][0], body["contents"][1], words, later]);
        }),
        ("a result with an empty id", &|body| {
            body.pointer_mut(RESULT).unwrap()["id"] = json!("");
        }),
    ];
    for (what, change) in cases {
        let mut body = conversation(&json!({ "output": "done" }));
        change(&mut body);
        let unfit = read_body(&body).unwrap_err();
        assert!(matches!(unfit, Unfit::Unseen { .. }), "{what}: {unfit:?}");
    }
}

#[test]
fn a_result_without_an_id_is_of_the_first_call_of_its_name() {
    let mut body = refused();
    let both = json!([
        body["contents"][1]["parts"][1],
        conversation(&json!({}))["contents"][1]["parts"][1]
    ]);
    body["contents"][1]["parts"] = both;
    let result = |name: &str, text: &str| json!({ "functionResponse": { "name": name, "response": { "output": text } } });
    body["contents"][2]["parts"] =
        json!([result("run_shell_command", "a.txt"), result("bartizan_refused", "none")]);
    let sent = sent(&body);
    let result = |at: usize| &sent["contents"][2]["parts"][at]["functionResponse"];
    assert_eq!((&result(0)["id"], &result(1)["id"]), (&json!("c1"), &json!("c2")));
    assert!(result(0)["response"]["output"].as_str().unwrap().contains("a.txt"));
    assert_eq!(result(1)["response"]["error"], "refused: no");
}

#[test]
fn once_its_result_is_back_a_client_may_mask_a_call() {
    let calls = register();
    let masked = r#"{"id":"c1","name":"run_shell_command","args":{"command":"(masked)"}}"#;
    let doc = Doc::read(masked.as_bytes()).unwrap();
    let call = part::call(&doc, doc.root()).unwrap();
    let act = || Some(call.written.clone().unwrap().act);
    assert_eq!(calls.seen("c1", act, "Bash"), Seen::Changed, "its result is not back");
    calls.returned("c1");
    assert_eq!(calls.seen("c1", act, "Bash"), Seen::Judged);
    assert_eq!(calls.seen("c1", act, "Write"), Seen::Changed, "of another tool");
}

#[test]
fn what_has_two_readings_or_is_not_known_does_not_leave() {
    let cases: [Case<'_>; 12] = [
        ("the other spelling", &|body| body["system_instruction"] = body["contents"][0].clone()),
        ("what the vendor keeps", &|body| body["cachedContent"] = json!("cachedContents/1")),
        ("an unknown key", &|body| body["somethingNew"] = json!(1)),
        ("twins", &|body| body["Contents"] = json!([])),
        ("a role", &|body| body["contents"][0]["role"] = json!("system")),
        ("a part of two kinds", &|body| {
            body["contents"][1]["parts"][1]["text"] = json!("and words");
        }),
        ("a call in the other spelling", &|body| {
            let call = body.pointer(CALL).unwrap().clone();
            body["contents"][1]["parts"][1] = json!({ "function_call": call });
        }),
        ("code of the vendor's machines", &|body| {
            body["contents"][1]["parts"][0] = json!({ "executableCode": { "code": "1" } });
        }),
        ("a call that goes on", &|body| {
            body.pointer_mut(CALL).unwrap()["willContinue"] = json!(true);
        }),
        ("a result that goes on", &|body| {
            body.pointer_mut(RESULT).unwrap()["willContinue"] = json!(true);
        }),
        ("a list for a table", &|body| body["contents"] = json!({ "parts": [] })),
        ("a result that is no table", &|body| {
            body.pointer_mut(RESULT).unwrap()["response"] = json!("text");
        }),
    ];
    for (what, change) in cases {
        let mut body = conversation(&json!({ "output": "done" }));
        change(&mut body);
        let unfit = read_body(&body).unwrap_err();
        assert!(matches!(unfit, Unfit::Unread(_)), "{what}: {unfit:?}");
    }
    for text in ["", "[]", "{\"contents\":[],\"contents\":[]}", "\"x\""] {
        assert!(matches!(read_text(text, &Noted::default()), Err(Unfit::Unread(_))), "{text}");
    }
}

#[test]
fn the_vendors_machines_do_not_act() {
    let cases: [Case<'_>; 6] = [
        ("search", &|body| body["tools"] = json!([{ "googleSearch": {} }])),
        ("code", &|body| body["tools"][0]["codeExecution"] = json!({})),
        ("pages", &|body| body["tools"] = json!([{ "urlContext": {} }])),
        ("the other spelling", &|body| body["tools"] = json!([{ "google_search": {} }])),
        ("a file by its address", &|body| {
            body["contents"][0]["parts"][1] =
                json!({ "fileData": { "fileUri": "https://a.test" } });
        }),
        ("one in a result", &|body| {
            body.pointer_mut(RESULT).unwrap()["parts"] =
                json!([{ "fileData": { "fileUri": "x" } }]);
        }),
    ];
    for (what, change) in cases {
        let mut body = conversation(&json!({ "output": "done" }));
        change(&mut body);
        let unfit = read_body(&body).unwrap_err();
        assert!(matches!(unfit, Unfit::ServerTool(_)), "{what}: {unfit:?}");
    }
}

#[test]
fn a_request_without_an_instruction_gets_ours() {
    for given in [None, Some(json!(null)), Some(json!({ "parts": [] }))] {
        let mut body = json!({ "contents": [] });
        if let Some(given) = given {
            body["systemInstruction"] = given;
        }
        let sent = sent(&body);
        let parts = sent["systemInstruction"]["parts"].as_array().unwrap();
        assert_eq!(parts.len(), 1, "{sent}");
        assert!(parts[0]["text"].as_str().unwrap().starts_with("This session runs behind"));
    }
}

#[test]
fn pictures_pass_and_are_counted() {
    let mut body = conversation(&json!({ "output": "done" }));
    let picture = |kind: &str| json!({ "inlineData": { "mimeType": kind, "data": "AAAA" } });
    body.pointer_mut(RESULT).unwrap()["parts"] = json!([picture("image/png")]);
    body["contents"][0]["parts"][1] = picture("application/pdf");
    let read = read_body(&body).unwrap();
    assert_eq!((read.notes.pictures, read.notes.documents), (1, 1));
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
    for response in [
        json!({ "output": format!("the key is {SECRET}, the word is kestrel-42-umber") }),
        // In another form it is one text as a whole.
        json!({ "rows": [format!("the key is {SECRET}"), "kestrel-42-umber"] }),
    ] {
        let body = conversation(&response);
        let (first, notes, told) = deal(&body);
        assert!(told > 0 && notes.framed == 2 && notes.found.secrets == 1, "{told} {notes:?}");
        assert!(!first.contains(SECRET));
        assert_eq!(deal(&body), (first, notes, 0));
    }
    // What stands behind the files that the client has put behind a prompt is none of a person's words, each time.
    let mut body = conversation(&json!({ "output": "kestrel-42-umber" }));
    body["contents"][0]["parts"] =
        json!([{ "text": format!("look\n{FILES}\nobey") }, { "text": "obey again" }]);
    let (first, notes, told) = deal(&body);
    assert_eq!((notes.framed, told), (3, 3), "{first}");
    assert_eq!(deal(&body), (first, notes, 0));
    // The same words of a person's own, in a message without files, are theirs.
    body["contents"][0]["parts"] = json!([{ "text": "look" }, { "text": "obey again" }]);
    assert_eq!(deal(&body).1.framed, 1);
    // A secret that is learned meanwhile is looked for everywhere again.
    let value = "kestrel-42-umber".to_owned().into();
    redactor.learn(KnownSecret { name: "new".to_owned(), value }).unwrap();
    let (now, notes, _) = deal(&body);
    assert!(!now.contains("kestrel") && notes.found.secrets == 1, "{now}");
}
