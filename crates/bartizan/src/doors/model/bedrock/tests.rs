use super::*;
use crate::doors::calls::STAND_IN;
use crate::doors::model::answer::tests::{bench, drain};
use crate::doors::trial::Trial;
use serde_json::{Value, json};
use std::sync::Arc;

fn chunk(data: &Value) -> Vec<u8> {
    let bytes = STANDARD.encode(data.to_string());
    let payload = json!({ "bytes": bytes, "p": "abcdefgh" }).to_string();
    frame::write(
        &[
            (":event-type", "chunk"),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ],
        payload.as_bytes(),
    )
}

fn begin() -> Vec<u8> {
    let usage = json!({ "input_tokens": 100, "output_tokens": 1 });
    chunk(&json!({"type": "message_start", "message": {"id": "m", "content": [], "usage": usage}}))
}

fn call(index: u64, id: &str, name: &str, input: &Value) -> Vec<u8> {
    let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    let delta = json!({"type": "input_json_delta", "partial_json": input.to_string()});
    [
        json!({"type": "content_block_start", "index": index, "content_block": block}),
        json!({"type": "content_block_delta", "index": index, "delta": delta}),
        json!({"type": "content_block_stop", "index": index}),
    ]
    .iter()
    .flat_map(chunk)
    .collect()
}

fn end() -> Vec<u8> {
    let usage = json!({ "output_tokens": 7 });
    let delta =
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage});
    [chunk(&delta), chunk(&json!({"type": "message_stop"}))].concat()
}

/// What reaches the client of an answer that arrives in chunks of this size: the events, and what stands for an exception.
async fn passed(bench: &Bench, tally: &Shared, answer: &[u8], size: usize) -> Vec<(String, Value)> {
    let mut filter = Framed::new(bench.clone(), Arc::clone(tally));
    let mut out = Vec::new();
    for chunk in answer.chunks(size) {
        filter.push(Bytes::copy_from_slice(chunk));
        drain(&mut filter, &mut out).await;
    }
    filter.end();
    drain(&mut filter, &mut out).await;
    let (mut rest, mut events) = (&*out, Vec::new());
    while let Some((frame, length)) = frame::first(rest).unwrap() {
        let payload: Value = serde_json::from_slice(frame.payload).unwrap();
        let kind = frame.header(":exception-type").or(frame.header(":event-type")).unwrap();
        let value = match payload["bytes"].as_str() {
            Some(bytes) => serde_json::from_slice(&STANDARD.decode(bytes).unwrap()).unwrap(),
            None => payload.clone(),
        };
        events.push((kind.to_owned(), value));
        rest = &rest[length..];
    }
    assert!(rest.is_empty(), "half a frame reached the client");
    events
}

#[tokio::test]
async fn calls_in_frames_are_judged_however_they_arrive() {
    let trial = Trial::new(&["Bash"], &[]);
    for size in [1, 7, 4096] {
        let (bench, tally) = (bench(&trial), Shared::default());
        let allowed = call(0, "toolu_a", "Bash", &json!({ "command": "ls" }));
        let refused = call(1, "toolu_r", "Nonsense", &json!({}));
        let answer = [begin(), allowed, refused, end()].concat();
        let events = passed(&bench, &tally, &answer, size).await;
        let calls: Vec<&str> = events
            .iter()
            .filter_map(|(_, event)| event["content_block"]["name"].as_str())
            .collect();
        assert_eq!(calls, ["Bash", STAND_IN], "{size}");
        assert!(events.iter().all(|(kind, _)| kind == "chunk"), "{events:?}");
        assert_eq!(events.last().unwrap().1["type"], "message_stop");
        let tally = tally.lock().unwrap();
        assert_eq!((tally.calls, tally.refused), (2, 1));
    }
}

#[tokio::test]
async fn what_cannot_be_read_ends_the_answer_and_nothing_follows() {
    let trial = Trial::new(&["Bash"], &[]);
    let (good, late) = (begin(), call(0, "toolu_a", "Bash", &json!({ "command": "ls" })));
    let mut damaged = chunk(&json!({ "type": "ping" }));
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let payload = json!({ "bytes": "%%%" }).to_string();
    let strange = |headers: &[(&str, &str)]| frame::write(headers, payload.as_bytes());
    let bad = [
        ("damaged", damaged),
        ("no base64", strange(&[(":event-type", "chunk"), (":message-type", "event")])),
        ("an event of another kind", strange(&[(":event-type", "x"), (":message-type", "event")])),
        ("no kind", strange(&[])),
        ("no frame", b"event: ping\ndata: {}\n\n".repeat(4)),
        ("a document that is not JSON", {
            let payload = json!({ "bytes": STANDARD.encode("{\"type\":\"ping\"} {}") }).to_string();
            frame::write(
                &[(":event-type", "chunk"), (":message-type", "event")],
                payload.as_bytes(),
            )
        }),
    ];
    for (what, bad) in bad {
        let (bench, tally) = (bench(&trial), Shared::default());
        let answer = [good.clone(), bad, late.clone()].concat();
        let events = passed(&bench, &tally, &answer, 64).await;
        let (kind, error) = events.last().unwrap();
        assert_eq!(kind, "modelStreamErrorException", "{what}: {events:?}");
        assert!(error["message"].as_str().unwrap().contains("answer-unread"), "{what}: {error}");
        assert!(events.iter().all(|(_, event)| event["content_block"].is_null()), "{what}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_in_a_frame_gives_no_half_call() {
    let trial = Trial::new(&["Bash"], &[]);
    let whole = [begin(), call(0, "toolu_a", "Bash", &json!({ "command": "ls" })), end()].concat();
    for cut in [begin().len() + 3, whole.len() - end().len() - 1] {
        let (bench, tally) = (bench(&trial), Shared::default());
        let events = passed(&bench, &tally, &whole[..cut], 64).await;
        assert_eq!(events.last().unwrap().0, "modelStreamErrorException", "{cut}");
        assert!(events.iter().all(|(_, event)| event["content_block"].is_null()), "{cut}");
    }
}

#[tokio::test]
async fn an_exception_of_the_vendors_is_told_by_its_name_and_its_words_alone() {
    let trial = Trial::new(&["Bash"], &[]);
    let (bench, tally) = (bench(&trial), Shared::default());
    let payload = json!({ "message": "too \"many\"\nrequests", "other": "x" }).to_string();
    let headers = [(":exception-type", "throttlingException"), (":message-type", "exception")];
    let answer = [begin(), frame::write(&headers, payload.as_bytes())].concat();
    let events = passed(&bench, &tally, &answer, 64).await;
    let (kind, told) = events.last().unwrap();
    assert_eq!(kind, "throttlingException");
    assert_eq!(*told, json!({ "message": "too \"many\"\nrequests" }));
}
