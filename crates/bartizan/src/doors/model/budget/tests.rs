//! What a client that goes early, or comes many times at once, pays for what it got.
use super::*;
use crate::doors::model::answer::tests::{bench, passed};
use crate::doors::model::answer::{Messages, Shared};
use crate::doors::model::gemini::Gemini;
use crate::doors::model::responses::Responses;
use crate::doors::trial::Trial;
use serde_json::{Value, json};
use std::time::Duration;

fn event(data: &Value) -> String {
    let name = data["type"].as_str().map(|kind| format!("event: {kind}\n")).unwrap_or_default();
    format!("{name}data: {data}\n\n")
}

/// What such an answer of each API costs that is cut off before its last event.
async fn cut_off(sent: u64) -> [u64; 3] {
    let trial = Trial::new(&[], &[]);
    let (bench, text) = (bench(&trial), "word ".repeat(800));
    let usage = json!({ "input_tokens": 50, "output_tokens": 1 });
    let messages = [
        json!({ "type": "message_start", "message": { "id": "m", "content": [], "usage": usage } }),
        json!({ "type": "content_block_start", "index": 0,
                "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0,
                "delta": { "type": "text_delta", "text": text } }),
    ];
    let responses = [
        json!({ "type": "response.created",
                "response": { "object": "response", "output": [], "usage": null } }),
        json!({ "type": "response.output_text.delta", "output_index": 0, "delta": text }),
    ];
    let gemini = [json!({
        "candidates": [{ "content": { "role": "model", "parts": [{ "text": text }] } }],
        "usageMetadata": { "promptTokenCount": 50 },
    })];
    let stream = |events: &[Value]| events.iter().map(event).collect::<Vec<_>>().concat();
    let tallies: [Shared; 3] = Default::default();
    let [first, second, third] = &tallies;
    let came = [
        passed::<Messages>(&bench, first, &stream(&messages), 4096).await,
        passed::<Responses>(&bench, second, &stream(&responses), 4096).await,
        passed::<Gemini>(&bench, third, &stream(&gemini), 4096).await,
    ];
    for came in came {
        assert!(came.contains(&text), "the client has it all: {}", came.get(..200).unwrap());
    }
    tallies.map(|tally| tally.lock().unwrap().tokens(sent))
}

#[tokio::test]
async fn an_answer_that_is_cut_off_before_its_last_word_costs_what_came() {
    // The text has 4000 bytes, some thousand tokens.
    for (tokens, input) in cut_off(800).await.into_iter().zip([50, 200, 50]) {
        assert!((input + 1000..input + 1100).contains(&tokens), "{tokens}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_costs_what_it_says() {
    let trial = Trial::new(&[], &[]);
    let text = "word ".repeat(800);
    let end = [
        json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": text }] } }],
                "usageMetadata": { "promptTokenCount": 50 } }),
        json!({ "candidates": [{ "finishReason": "STOP" }],
                "usageMetadata": { "promptTokenCount": 50, "candidatesTokenCount": 9 } }),
    ];
    let tally = Shared::default();
    let stream = end.iter().map(event).collect::<Vec<_>>().concat();
    drop(passed::<Gemini>(&bench(&trial), &tally, &stream, 4096).await);
    assert_eq!(tally.lock().unwrap().tokens(800), 59);
}

const ASKS_FOR_100: &[u8] = br#"{"max_tokens":100}"#;

/// A budget of 250 tokens, and who uses it.
fn limited(trial: &Trial) -> Arc<Budget> {
    let limits = Limits { model_tokens: Some(250), ..Limits::default() };
    Arc::new(Budget::new([(trial.caller.seat().role.clone(), limits)]))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(50)
}

#[tokio::test]
async fn turns_at_once_do_not_use_up_together_what_was_left_for_one() {
    let trial = Trial::new(&[], &[]);
    let (budget, who) = (limited(&trial), (trial.caller.seat(), None));
    let mut under_way = Vec::new();
    let refused = loop {
        match budget.begin(who, ASKS_FOR_100, soon()).await {
            Ok(turn) => under_way.push(turn.expect("there is a limit")),
            Err(refused) => break refused,
        }
        assert!(under_way.len() < 10, "100 tokens each");
    };
    assert_eq!((under_way.len(), refused.code()), (3, "budget-spent"));
    // One ends that has used up little: another has room, and was waiting for it.
    let later = Instant::now() + Duration::from_secs(30);
    let waits = budget.begin(who, ASKS_FOR_100, later);
    let ends = async {
        tokio::task::yield_now().await;
        budget.spent(who.0, who.1, 20);
        drop(under_way.pop());
    };
    let (waited, ()) = tokio::join!(waits, ends);
    let waited = waited.unwrap();
    budget.spent(who.0, who.1, 300);
    // Nothing is left: it is told at once, by the count itself.
    assert!(budget.begin(who, ASKS_FOR_100, soon()).await.is_ok());
    assert_eq!(budget.request(who.0, who.1).unwrap_err().code(), "budget-spent");
    drop((waited, under_way));
    assert!(budget.open.lock().unwrap().values().all(|held| *held == 0));
}

#[tokio::test]
async fn one_turn_has_room_however_much_it_asks_for_and_without_a_limit_all_have() {
    let trial = Trial::new(&[], &[]);
    let (budget, who) = (limited(&trial), (trial.caller.seat(), None));
    let alone = budget.begin(who, br#"{"max_tokens":1e300}"#, soon()).await.unwrap();
    assert!(budget.begin(who, b"{}", soon()).await.is_err());
    drop(alone);
    assert!(budget.begin(who, b"{}", soon()).await.is_ok());
    let free = Arc::new(Budget::default());
    assert!(free.begin(who, ASKS_FOR_100, soon()).await.unwrap().is_none());
}

#[test]
fn what_a_turn_asks_for_is_read_by_each_apis_name() {
    assert_eq!(most(br#"{"max_tokens":7}"#), 7 + 4);
    assert_eq!(most(br#"{"max_output_tokens":7}"#), 7 + 5);
    assert_eq!(most(br#"{"generationConfig":{"maxOutputTokens":7}}"#), 7 + 10);
    for unsaid in [&b"{}"[..], b"nonsense", br#"{"max_tokens":"7"}"#] {
        assert!(most(unsaid) >= UNSAID);
    }
    assert_eq!(most(br#"{"max_tokens":-7}"#), 4);
}
