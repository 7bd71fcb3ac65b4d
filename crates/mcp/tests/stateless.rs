//! What does a client of the revision without sessions get from a server that has them?
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

use bartizan_mcp::conversation::{Conversation, Outbox};
use bartizan_mcp::stateless::Stateless;
use bartizan_mcp::wire::{Kind, Limits, Message};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{self, Receiver};

/// A conversation of 2025-11-25, and what it heard.
#[derive(Default)]
struct Legacy {
    heard: Mutex<Vec<Value>>,
    listener: Mutex<Option<Outbox>>,
}

fn message(value: &Value) -> Message {
    Message::parse(value.to_string().as_bytes(), &Limits::default()).unwrap()
}

impl Legacy {
    fn heard(&self, method: &str) -> Vec<Value> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|message| message["method"] == method).cloned().collect()
    }

    /// Says something of its own accord.
    async fn says(&self, value: &Value) {
        let to = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        to.unwrap().send(message(value)).await.unwrap();
    }
}

impl Conversation for Legacy {
    async fn take(self: Arc<Self>, message: Message, out: Outbox) {
        let value: Value = serde_json::from_str(message.as_str()).unwrap();
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(value.clone());
        let Kind::Request { id, method } = message.kind() else { return };
        let result = match method {
            "initialize" => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": { "tools": { "listChanged": true }, "logging": {}, "resources": { "subscribe": true }, "tasks": {} },
                "serverInfo": { "name": "old", "version": "1" },
                "instructions": "Be kind.",
            }),
            "tools/list" => {
                json!({ "tools": [], "ttlMs": 9, "cacheScope": "public", "_meta": { "own": 1.50 } })
            }
            "resources/read" => {
                drop(out.send(Message::failure(Some(id), -32002, "no such resource")).await);
                return;
            }
            "tools/call" => {
                json!({ "content": [], "resultType": "input_required", "inputRequests": {} })
            }
            _ => json!({}),
        };
        drop(out.send(Message::success(id, &result.to_string()).unwrap()).await);
    }

    fn listen(&self, out: Outbox) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(out);
    }

    fn close(&self) {}
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "sampling": {} },
        "io.modelcontextprotocol/clientInfo": { "name": "new", "version": "2" },
    })
}

fn request(id: u32, method: &str, params: &Value) -> Message {
    let mut params = params.clone();
    if params.get("_meta").is_none() {
        params["_meta"] = meta();
    }
    message(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
}

fn value(message: &Message) -> Value {
    serde_json::from_str(message.as_str()).unwrap()
}

struct World {
    legacy: Arc<Legacy>,
    both: Arc<Stateless<Legacy>>,
}

impl World {
    fn new() -> Self {
        let legacy = Arc::<Legacy>::default();
        let both = Stateless::over(Arc::clone(&legacy));
        Self { legacy, both }
    }

    async fn asks(&self, message: Message) -> Value {
        let (to, mut from) = mpsc::channel(16);
        Arc::clone(&self.both).take(message, to).await;
        let answer = value(&from.recv().await.unwrap());
        assert!(from.recv().await.is_none());
        answer
    }

    /// A request that stays open; what it hears.
    fn opens(&self, message: Message) -> Receiver<Message> {
        let (to, from) = mpsc::channel(16);
        drop(tokio::spawn(Arc::clone(&self.both).take(message, to)));
        from
    }
}

#[tokio::test]
async fn a_conversation_is_begun_once_and_said_to_be_none() {
    let world = World::new();
    let discovered = world.asks(request(1, "server/discover", &json!({}))).await;
    let result = &discovered["result"];
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["supportedVersions"][0], "2026-07-28");
    assert_eq!(result["instructions"], "Be kind.");
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "old");
    assert_eq!(result["capabilities"]["tools"]["listChanged"], true);
    assert!(result["capabilities"].get("tasks").is_none(), "{discovered}");
    let listed = world.asks(request(2, "tools/list", &json!({}))).await;
    assert_eq!(listed["result"]["ttlMs"], 0);
    assert_eq!(listed["result"]["cacheScope"], "private");
    assert_eq!(listed["result"]["_meta"]["own"], 1.5);
    // What the server would have the client asked is not asked, whatever it says.
    let called = world.asks(request(3, "tools/call", &json!({ "name": "t" }))).await;
    assert_eq!(called["result"]["resultType"], "complete");
    assert!(called["result"].get("inputRequests").is_none(), "{called}");
    let missing = world.asks(request(4, "resources/read", &json!({ "uri": "x" }))).await;
    assert_eq!(missing["error"]["code"], -32602);
    let begun = world.legacy.heard("initialize");
    assert_eq!(begun.len(), 1);
    assert_eq!(begun[0]["params"]["capabilities"], json!({}));
    assert_eq!(begun[0]["params"]["clientInfo"]["name"], "new");
    assert_eq!(world.legacy.heard("notifications/initialized").len(), 1);
    assert_eq!(world.legacy.heard("tools/call")[0]["params"]["_meta"], json!({}));
}

#[tokio::test]
async fn what_this_revision_does_not_have_is_refused() {
    let world = World::new();
    for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "tasks/list"] {
        let refused = world.asks(request(1, method, &json!({}))).await;
        assert_eq!(refused["error"]["code"], -32601, "{method}");
    }
    let mut other = meta();
    other["io.modelcontextprotocol/protocolVersion"] = json!("1900-01-01");
    let refused = world.asks(request(1, "tools/list", &json!({ "_meta": other }))).await;
    assert_eq!(refused["error"]["code"], -32022);
    assert_eq!(refused["error"]["data"]["requested"], "1900-01-01");
    let mut other = meta();
    other.as_object_mut().unwrap().remove("io.modelcontextprotocol/clientCapabilities");
    let refused = world.asks(request(1, "tools/list", &json!({ "_meta": other }))).await;
    assert_eq!(refused["error"]["code"], -32602);
    assert!(world.legacy.heard("tools/list").is_empty());
}

#[tokio::test]
async fn a_session_and_requests_without_one_do_not_mix() {
    let begin =
        message(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {} }));
    let world = World::new();
    // With a session everything passes as it is.
    let began = world.asks(begin.clone()).await;
    assert_eq!(began["result"]["protocolVersion"], "2025-11-25");
    let refused = world.asks(request(2, "tools/list", &json!({}))).await;
    assert_eq!(refused["error"]["code"], -32600);
    let world = World::new();
    world.asks(request(2, "tools/list", &json!({}))).await;
    assert_eq!(world.asks(begin).await["error"]["code"], -32600);
}

#[tokio::test]
async fn a_client_hears_of_the_changes_that_it_asked_for_until_it_ends_the_stream() {
    let world = World::new();
    let wants = json!({ "notifications": { "toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": ["u:1"] } });
    let mut stream = world.opens(request(7, "subscriptions/listen", &wants));
    let tag = json!({ "io.modelcontextprotocol/subscriptionId": 7 });
    let told = value(&stream.recv().await.unwrap());
    assert_eq!(told["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(told["params"]["_meta"], tag);
    // Of prompts the server tells nothing, so nothing is promised.
    let honoured = json!({ "toolsListChanged": true, "resourceSubscriptions": ["u:1"] });
    assert_eq!(told["params"]["notifications"], honoured);
    for (method, params) in [
        ("notifications/resources/updated", json!({ "uri": "u:2" })),
        ("notifications/prompts/list_changed", json!({})),
        ("notifications/message", json!({ "level": "info", "data": "x" })),
        ("notifications/resources/updated", json!({ "uri": "u:1" })),
    ] {
        let told = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        world.legacy.says(&told).await;
    }
    world
        .legacy
        .says(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }))
        .await;
    let told = value(&stream.recv().await.unwrap());
    assert_eq!(told["params"], json!({ "_meta": tag, "uri": "u:1" }));
    let told = value(&stream.recv().await.unwrap());
    assert_eq!(
        (&told["method"], &told["params"]["_meta"]),
        (&json!("notifications/tools/list_changed"), &tag)
    );
    let ended = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    let (nowhere, _) = mpsc::channel(1);
    Arc::clone(&world.both).take(message(&ended), nowhere).await;
    assert!(stream.recv().await.is_none());
    assert_eq!(world.legacy.heard("resources/unsubscribe").len(), 1);
    assert!(world.legacy.heard("notifications/cancelled").is_empty());
}

#[tokio::test]
async fn a_server_that_asks_is_told_that_nobody_can_be_asked() {
    let world = World::new();
    world.asks(request(1, "tools/list", &json!({}))).await;
    let question = json!({ "jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": { "message": "?" } });
    world.legacy.says(&question).await;
    let refused = loop {
        let heard = world.legacy.heard.lock().unwrap().last().cloned().unwrap();
        if heard["id"] == "q" {
            break heard;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused["error"]["code"], -32601);
    let why = refused["error"]["message"].as_str().unwrap();
    assert!(why.contains("no session, and cannot be asked"), "{refused}");
}

#[tokio::test]
async fn an_answer_to_what_no_server_asked_is_refused() {
    let world = World::new();
    let call = |more: &Value| {
        let mut params = json!({ "name": "t", "arguments": {} });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request(1, "tools/call", &params)
    };
    for more in [
        json!({ "requestState": "bartizan-1" }),
        json!({ "inputResponses": { "a": { "action": "accept", "content": {} } } }),
    ] {
        let refused = world.asks(call(&more)).await;
        assert_eq!(refused["error"]["code"], -32602);
        let why = refused["error"]["message"].as_str().unwrap();
        assert!(why.contains("asks nothing in the middle of a request"), "{refused}");
    }
    assert!(world.legacy.heard("tools/call").is_empty());
    assert_eq!(world.asks(call(&json!({}))).await["result"]["resultType"], "complete");
    assert_eq!(world.legacy.heard("tools/call").len(), 1);
}

#[tokio::test]
async fn what_a_server_logs_is_for_those_who_asked() {
    let world = World::new();
    let mut loud = meta();
    loud["io.modelcontextprotocol/logLevel"] = json!("info");
    for id in 1..=2 {
        world.asks(request(id, "tools/call", &json!({ "name": "t", "_meta": loud }))).await;
    }
    let levels = world.legacy.heard("logging/setLevel");
    assert_eq!(levels.len(), 1);
    assert_eq!(levels[0]["params"], json!({ "level": "info" }));
}
