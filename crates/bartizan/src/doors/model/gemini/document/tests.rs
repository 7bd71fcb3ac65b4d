use super::*;
use crate::doors::calls::STAND_IN;
use crate::doors::model::answer::tests::{bench, drain};
use crate::doors::trial::Trial;
use serde_json::{Value, json};

fn document(parts: &Value) -> Value {
    json!({ "candidates": [{ "content": { "parts": parts, "role": "model" }, "index": 0 }] })
}

fn shell(id: &str, command: &str) -> Value {
    json!({ "functionCall": { "id": id, "name": "run_shell_command", "args": { "command": command } } })
}

/// What reaches the client, chunk by chunk.
async fn chunks(trial: &Trial, answer: &str, size: usize) -> Vec<String> {
    let mut filter = Document::new(bench(trial), Shared::default(), Instant::now());
    let mut got = Vec::new();
    for chunk in answer.as_bytes().chunks(size) {
        let mut out = Vec::new();
        filter.push(Bytes::copy_from_slice(chunk));
        drain(&mut filter, &mut out).await;
        got.push(String::from_utf8(out).unwrap());
    }
    let mut out = Vec::new();
    filter.end();
    drain(&mut filter, &mut out).await;
    got.push(String::from_utf8(out).unwrap());
    got
}

async fn passed(trial: &Trial, answer: &str, size: usize) -> String {
    chunks(trial, answer, size).await.concat()
}

#[tokio::test]
async fn each_document_of_a_list_passes_when_it_is_judged() {
    let list = json!([
        document(&json!([{ "text": "a \"quoted\" ] } [ { \\" }])),
        document(&json!([shell("c1", "echo hi"), shell("c2", "rm x")])),
        document(&json!([{ "text": "end" }])),
    ]);
    for text in [list.to_string(), format!(" \n{list:#}\r\n")] {
        for size in [1, 7, 100_000] {
            let trial = Trial::new(&["Bash(echo *)"], &[]);
            let passed = passed(&trial, &text, size).await;
            let got: Value = serde_json::from_str(&passed).unwrap();
            assert_eq!((&got[0], &got[2]), (&list[0], &list[2]));
            let call = |at: usize| &got[1]["candidates"][0]["content"]["parts"][at];
            assert_eq!(call(0), &shell("c1", "echo hi"));
            assert_eq!(call(1)["functionCall"]["name"], STAND_IN);
            assert!(!passed.contains("rm x"), "{passed}");
        }
    }
    let trial = Trial::new(&[], &[]);
    let whole = list.to_string();
    let first = whole.find(r#"},{"cand"#).unwrap() + 1;
    let got = chunks(&trial, &whole, first).await;
    assert!(got[0].contains("quoted"), "it does not wait for the rest: {got:?}");
}

#[tokio::test]
async fn an_empty_list_and_one_document_are_what_they_are() {
    let trial = Trial::new(&["Bash"], &[]);
    for size in [1, 100] {
        assert_eq!(passed(&trial, " [ ]\n", size).await, "[]");
        let one = document(&json!([{ "text": "a" }])).to_string();
        assert_eq!(passed(&trial, &one, size).await, one);
    }
    assert!(passed(&trial, "", 1).await.contains("[answer-unread]"));
}

#[tokio::test]
async fn what_is_no_list_of_documents_ends_it() {
    let fine = document(&json!([{ "text": "fine" }])).to_string();
    let call = document(&json!([shell("c1", "echo hi")])).to_string();
    for (what, answer) in [
        ("it breaks off in a document", format!("[{fine},{}", call.trim_end_matches(['}', ']']))),
        ("it breaks off between two", format!("[{fine},")),
        ("it has no end", format!("[{fine}")),
        ("no comma", format!("[{fine}{call}]")),
        ("a comma too many", format!("[{fine},]")),
        ("no document", format!("[{fine},1]")),
        ("a list in it", format!("[{fine},[{call}]]")),
        ("two lists", format!("[{fine}][{call}]")),
        ("more behind it", format!("[{fine}]{call}")),
        ("brackets that do not fit", format!("[{fine},{{\"a\":[}}]")),
        (
            "a line break in a text",
            format!("[{fine},{{\"a\":\"\n\",{}]", call.trim_start_matches('{')),
        ),
        ("a key twice", format!("[{fine},{{\"candidates\":1,{}]", call.trim_start_matches('{'))),
    ] {
        for size in [1, 100_000] {
            let trial = Trial::new(&["Bash"], &[]);
            let passed = passed(&trial, &answer, size).await;
            assert!(passed.contains("[answer-unread]"), "{what}: {passed}");
            assert!(!passed.contains("echo hi"), "{what}: {passed}");
            let got: Value = serde_json::from_str(&passed).unwrap();
            assert_eq!(got[0]["candidates"][0]["content"]["parts"][0]["text"], "fine", "{what}");
        }
    }
}
