//! How does the scripted model answer a client that speaks the Responses API?

use super::api::{Block, Request, Script, Turn};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The whole streamed answer: as many turns are over as results are in the request.
pub(super) fn stream_of(body: &Value, script: &Script) -> String {
    let turn = outputs(body).len();
    let over = vec![Block::Text("Done.".to_owned())];
    let items = script.main.get(turn).unwrap_or(&over);
    let id = format!("resp_{turn}");
    let mut out = String::new();
    let mut event = |mut data: Value, kind: &str| {
        data["type"] = json!(kind);
        write!(out, "event: {kind}\ndata: {data}\n\n").unwrap();
    };
    event(json!({ "response": { "id": id } }), "response.created");
    for (index, item) in items_of(turn, items).into_iter().enumerate() {
        event(json!({ "output_index": index, "item": item }), "response.output_item.done");
    }
    let usage = json!({
        "input_tokens": 10, "input_tokens_details": null,
        "output_tokens": 5, "output_tokens_details": null, "total_tokens": 15,
    });
    event(json!({ "response": { "id": id, "usage": usage } }), "response.completed");
    out
}

fn items_of(turn: usize, blocks: &Turn) -> Vec<Value> {
    let item = |(index, block): (usize, &Block)| {
        let call = format!("call_{turn}_{index}");
        match block {
            Block::Text(text) => json!({
                "type": "message", "role": "assistant", "id": format!("msg_{turn}_{index}"),
                "content": [{ "type": "output_text", "text": text }],
            }),
            Block::Tool { name, input: Value::String(input) } => json!({
                "type": "custom_tool_call", "id": format!("ct_{turn}_{index}"),
                "call_id": call, "name": name, "input": input,
            }),
            Block::Tool { name, input } => {
                let mut item = json!({
                    "type": "function_call", "id": format!("fc_{turn}_{index}"),
                    "call_id": call, "name": name, "arguments": input.to_string(),
                });
                // A server is a group of functions to this client.
                if let Some((server, own)) =
                    name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__"))
                {
                    item["namespace"] = json!(format!("mcp__{server}"));
                    item["name"] = json!(own);
                }
                item
            }
            Block::Wait(_) => Value::Null,
        }
    };
    blocks.iter().enumerate().map(item).collect()
}

/// What the model reads of its calls, in order.
pub(crate) fn outputs_of(request: &Request) -> Vec<String> {
    outputs(&request.json())
}

fn outputs(body: &Value) -> Vec<String> {
    let items = body["input"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .map(|item| &item["output"])
        .filter(|output| !output.is_null())
        .map(Value::to_string)
        .collect()
}
