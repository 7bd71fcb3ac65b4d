//! How does the scripted model answer a client that speaks Gemini's API?

use super::api::{Block, Request, Script};
use serde_json::{Value, json};

/// The whole streamed answer.
pub(super) fn stream_of(body: &Value, script: &Script) -> String {
    format!("data: {}\r\n\r\n", answer_of(body, script))
}

/// An answer: as many turns are over as the model has in the request. One that offers no functions is the client's own.
pub(super) fn answer_of(body: &Value, script: &Script) -> Value {
    let contents = body["contents"].as_array().cloned().unwrap_or_default();
    let turn = contents.iter().filter(|content| content["role"] == "model").count();
    let over = vec![Block::Text("Done.".to_owned())];
    let offers = !body["tools"][0]["functionDeclarations"].is_null();
    let blocks = script.main.get(turn).filter(|_| offers).unwrap_or(&over);
    // Without ids, as the vendor's models mostly write their calls.
    let part = |block: &Block| match block {
        Block::Text(text) => json!({ "text": text }),
        Block::Tool { name, input } => json!({ "functionCall": { "name": name, "args": input } }),
        Block::Wait(_) => json!({ "text": "" }),
    };
    let parts: Vec<Value> = blocks.iter().map(part).collect();
    let usage = json!({ "promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14 });
    let content = json!({ "role": "model", "parts": parts });
    json!({
        "candidates": [{ "content": content, "finishReason": "STOP", "index": 0 }],
        "usageMetadata": usage, "modelVersion": "scripted", "responseId": format!("r{turn}"),
    })
}

/// What the model reads of its calls, in order: the name that it knows each by, and what came back.
pub(crate) fn results_of(request: &Request) -> Vec<(String, String)> {
    let contents = request.json()["contents"].as_array().cloned().unwrap_or_default();
    let parts = contents.iter().filter_map(|content| content["parts"].as_array()).flatten();
    let results = parts.map(|part| &part["functionResponse"]).filter(|result| !result.is_null());
    results
        .map(|result| {
            (result["name"].as_str().unwrap_or_default().to_owned(), result["response"].to_string())
        })
        .collect()
}
