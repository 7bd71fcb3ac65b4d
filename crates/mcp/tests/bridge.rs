//! Is a server without sessions reached from a session, and is one that has them left alone?
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

use bartizan_mcp::bridge::{self, Ends};
use bartizan_mcp::stdio::Line;
use bartizan_mcp::wire::{Limits, Message};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Both ends of a bridge, as a test holds them.
struct Ground {
    /// What the conversation says goes here.
    says: Sender<Message>,
    /// What it hears.
    hears: Receiver<Line>,
    /// What the server hears.
    server: Receiver<Message>,
    /// What it says goes here.
    answers: Sender<Line>,
}

fn message(value: &Value) -> Message {
    Message::parse(value.to_string().as_bytes(), &Limits::default()).unwrap()
}

fn value(message: &Message) -> Value {
    serde_json::from_str(message.as_str()).unwrap()
}

fn request(id: &Value, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn result(id: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

impl Ground {
    fn lay() -> Self {
        let (says, sent) = mpsc::channel(64);
        let (lines, hears) = mpsc::channel(64);
        let (to_server, server) = mpsc::channel(64);
        let (answers, came) = mpsc::channel(64);
        tokio::spawn(bridge::carry(sent, came, Ends { server: to_server, lines }));
        Self { says, hears, server, answers }
    }

    async fn say(&self, value: &Value) {
        self.says.send(message(value)).await.unwrap();
    }

    async fn heard(&mut self) -> Value {
        value(&self.hears.recv().await.unwrap().unwrap())
    }

    async fn asked(&mut self) -> Value {
        value(&self.server.recv().await.unwrap())
    }

    async fn answer(&self, value: &Value) {
        self.answers.send(Ok(message(value))).await.unwrap();
    }

    /// A conversation that has begun with a server without sessions, which tells of changes.
    async fn stateless() -> Self {
        let mut ground = Self::lay();
        ground.say(&hello()).await;
        let begun = ground.asked().await;
        let refused = json!({ "jsonrpc": "2.0", "id": begun["id"], "error": { "code": -32601, "message": "no initialize" } });
        ground.answer(&refused).await;
        let probe = ground.asked().await;
        assert_eq!(probe["method"], "server/discover");
        assert_eq!(probe["params"]["_meta"][VERSION], "2026-07-28");
        ground.answer(&result(&probe["id"], &discovered())).await;
        let begun = ground.heard().await;
        assert_eq!(begun["id"], 1, "{begun}");
        assert_eq!(begun["result"]["protocolVersion"], "2025-11-25");
        assert_eq!(begun["result"]["serverInfo"]["name"], "new");
        assert_eq!(begun["result"]["capabilities"]["tools"]["listChanged"], true);
        assert!(begun["result"]["capabilities"].get("extensions").is_none(), "{begun}");
        ground
    }

    /// One request of the conversation, as the server gets it.
    async fn asks(&mut self, id: u32, method: &str, params: &Value) -> Value {
        self.say(&request(&json!(id), method, params)).await;
        self.asked().await
    }
}

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

fn hello() -> Value {
    let client = json!({ "name": "old", "version": "1" });
    let can = json!({ "elicitation": { "form": {} }, "tasks": {} });
    let params =
        json!({ "protocolVersion": "2025-11-25", "capabilities": can, "clientInfo": client });
    request(&json!(1), "initialize", &params)
}

fn discovered() -> Value {
    json!({
        "resultType": "complete", "ttlMs": 1, "cacheScope": "public",
        "supportedVersions": ["2026-07-28"],
        "capabilities": { "tools": { "listChanged": true }, "resources": { "subscribe": true }, "extensions": { "x/y": {} } },
        "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "new", "version": "2" } },
    })
}

#[tokio::test]
async fn a_server_with_sessions_is_spoken_to_as_if_there_were_no_bridge() {
    let mut ground = Ground::lay();
    let exact = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"z":1.50,"protocolVersion":"2025-11-25"}}"#;
    ground.says.send(Message::parse(exact.as_bytes(), &Limits::default()).unwrap()).await.unwrap();
    assert_eq!(ground.server.recv().await.unwrap().as_str(), exact);
    ground.answer(&result(&json!(1), &json!({ "protocolVersion": "2025-11-25" }))).await;
    assert_eq!(ground.heard().await["result"]["protocolVersion"], "2025-11-25");
    let call = request(&json!(2), "tools/call", &json!({ "name": "t" }));
    ground.say(&call).await;
    assert_eq!(ground.asked().await, call);
    let asks = request(&json!("q"), "elicitation/create", &json!({ "message": "?" }));
    ground.answer(&asks).await;
    assert_eq!(ground.heard().await, asks);
}

#[tokio::test]
async fn a_server_that_speaks_neither_says_why_in_its_own_words() {
    let mut ground = Ground::lay();
    ground.say(&hello()).await;
    ground.asked().await;
    let no = |id: &Value, what: &str| json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32000, "message": what } });
    ground.answer(&no(&json!(1), "closed for lunch")).await;
    let probe = ground.asked().await;
    ground.answer(&no(&probe["id"], "what is that")).await;
    let heard = ground.heard().await;
    assert_eq!((&heard["id"], &heard["error"]["message"]), (&json!(1), &json!("closed for lunch")));
}

#[tokio::test]
async fn a_server_that_turns_down_a_revision_that_it_names_is_asked_once_more() {
    let no = |id: &Value| {
        let data = json!({ "supported": ["2026-07-28"], "requested": "2026-07-28" });
        json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32022, "message": "no", "data": data } })
    };
    for comes_to_it in [true, false] {
        let mut ground = Ground::lay();
        let mut begun = hello();
        begun["params"]["_meta"] = json!({ VERSION: "2026-07-28" });
        ground.say(&begun).await;
        let first = ground.asked().await;
        ground.answer(&no(&first["id"])).await;
        let again = ground.asked().await;
        assert_eq!(
            (&first["method"], &again["method"]),
            (&json!("server/discover"), &first["method"])
        );
        assert_ne!(first["id"], again["id"]);
        if comes_to_it {
            ground.answer(&result(&again["id"], &discovered())).await;
            assert_eq!(ground.heard().await["id"], 1);
        } else {
            ground.answer(&no(&again["id"])).await;
            assert_eq!(ground.asked().await["method"], "initialize");
        }
    }
}

#[tokio::test]
async fn requests_are_translated_and_so_are_answers() {
    let mut ground = Ground::stateless().await;
    let params = json!({ "name": "t", "arguments": { "n": 1 }, "_meta": { "progressToken": 7 }, "requestState": "forged" });
    let call = ground.asks(2, "tools/call", &params).await;
    assert_eq!(call["params"]["arguments"], json!({ "n": 1 }));
    let meta = &call["params"]["_meta"];
    assert_eq!((&meta["progressToken"], &meta[VERSION]), (&json!(7), &json!("2026-07-28")));
    assert_eq!(meta[CAPABILITIES], json!({ "elicitation": { "form": {} } }));
    assert!(call["params"].get("requestState").is_none(), "{call}");
    let said = json!({ "resultType": "complete", "content": [], "_meta": { "own": 1 } });
    ground.answer(&result(&call["id"], &said)).await;
    let heard = ground.heard().await;
    assert_eq!(heard, result(&json!(2), &json!({ "content": [], "_meta": { "own": 1 } })));
    // Answers to what nobody asked, and questions of the server's own, meet nobody.
    ground.answer(&result(&call["id"], &json!({ "forged": 1 }))).await;
    ground.answer(&request(&json!("q"), "sampling/createMessage", &json!({}))).await;
    for (id, method, code) in [(3, "tasks/get", -32601), (4, "server/discover", -32601)] {
        ground.say(&request(&json!(id), method, &json!({}))).await;
        assert_eq!(ground.heard().await["error"]["code"], code);
    }
    ground.say(&request(&json!(5), "logging/setLevel", &json!({ "level": "info" }))).await;
    assert_eq!(ground.heard().await["result"], json!({}));
    let list = ground.asks(6, "tools/list", &json!({})).await;
    assert_eq!(list["params"]["_meta"]["io.modelcontextprotocol/logLevel"], "info");
    ground.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 6 } })).await;
    assert_eq!(ground.asked().await["params"]["requestId"], list["id"]);
}

#[tokio::test]
async fn what_a_server_wants_in_the_middle_is_asked_and_the_request_made_again() {
    let mut ground = Ground::stateless().await;
    let params = json!({ "name": "t", "arguments": { "n": 1 } });
    let call = ground.asks(2, "tools/call", &params).await;
    let form = json!({ "method": "elicitation/create", "params": { "message": "who?" } });
    let page = json!({ "method": "elicitation/create", "params": { "mode": "url", "message": "there", "url": "https://x" } });
    let wants = json!({ "resultType": "input_required", "requestState": "s-1", "inputRequests": { "a": form, "b": page } });
    ground.answer(&result(&call["id"], &wants)).await;
    let (first, second) = (ground.heard().await, ground.heard().await);
    assert_eq!(first["params"], json!({ "message": "who?" }));
    assert!(second["params"]["elicitationId"].is_string(), "{second}");
    let said = json!({ "action": "accept", "content": { "name": "me" } });
    ground.say(&result(&first["id"], &said)).await;
    // Who answers with an error was not to be asked.
    ground.say(&json!({ "jsonrpc": "2.0", "id": second["id"], "error": { "code": -32601, "message": "no" } })).await;
    let again = ground.asked().await;
    assert_ne!(again["id"], call["id"]);
    assert_eq!(again["params"]["arguments"], json!({ "n": 1 }));
    assert_eq!(again["params"]["requestState"], "s-1");
    assert_eq!(
        again["params"]["inputResponses"],
        json!({ "a": said, "b": { "action": "cancel" } })
    );
    ground.answer(&result(&again["id"], &json!({ "resultType": "complete", "content": [] }))).await;
    assert_eq!(ground.heard().await, result(&json!(2), &json!({ "content": [] })));
}

#[tokio::test]
async fn a_server_that_never_has_enough_is_given_up() {
    let mut ground = Ground::stateless().await;
    let mut call = ground.asks(2, "tools/call", &json!({ "name": "t" })).await;
    let wants = json!({ "resultType": "input_required", "requestState": "more" });
    for _ in 0..16 {
        ground.answer(&result(&call["id"], &wants)).await;
        call = ground.asked().await;
    }
    ground.answer(&result(&call["id"], &wants)).await;
    assert!(ground.heard().await["error"]["message"].as_str().unwrap().contains("too much"));
}

#[tokio::test]
async fn changes_are_heard_of_by_one_stream_at_a_time() {
    let mut ground = Ground::stateless().await;
    ground.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    let first = ground.asked().await;
    assert_eq!(first["method"], "subscriptions/listen");
    assert_eq!(first["params"]["notifications"], json!({ "toolsListChanged": true }));
    let of = |id: &Value| json!({ "_meta": { "io.modelcontextprotocol/subscriptionId": id } });
    let tell = |what: &str, params: Value| json!({ "jsonrpc": "2.0", "method": format!("notifications/{what}"), "params": params });
    ground.answer(&tell("subscriptions/acknowledged", of(&first["id"]))).await;
    ground.answer(&tell("tools/list_changed", of(&first["id"]))).await;
    assert_eq!(ground.heard().await["method"], "notifications/tools/list_changed");
    ground.say(&request(&json!(3), "resources/subscribe", &json!({ "uri": "a:b" }))).await;
    let second = ground.asked().await;
    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": ["a:b"] });
    assert_eq!(second["params"]["notifications"], wanted);
    assert_eq!(ground.heard().await["result"], json!({}));
    // The first goes once the second is there.
    ground.answer(&tell("subscriptions/acknowledged", of(&second["id"]))).await;
    let gone = ground.asked().await;
    assert_eq!(
        (&gone["method"], &gone["params"]["requestId"]),
        (&json!("notifications/cancelled"), &first["id"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_asked_for_again_and_one_that_is_refused_is_not() {
    let mut ground = Ground::stateless().await;
    ground.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    let first = ground.asked().await;
    let failed = |id: &Value, code: i64| json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": "" } });
    ground.answer(&failed(&first["id"], -32603)).await;
    let second = ground.asked().await;
    assert_eq!(second["method"], "subscriptions/listen");
    ground.answer(&failed(&second["id"], -32601)).await;
    let list = ground.asks(2, "tools/list", &json!({})).await;
    assert_eq!(list["method"], "tools/list");
    tokio::time::sleep(std::time::Duration::from_hours(1)).await;
    assert!(ground.server.try_recv().is_err());
}

#[tokio::test]
async fn whoever_has_no_session_is_served_without_one_where_the_server_can() {
    let mut ground = Ground::lay();
    let mut first = hello();
    first["params"]["_meta"] = json!({ VERSION: "2026-07-28" });
    ground.say(&first).await;
    let probe = ground.asked().await;
    ground.answer(&result(&probe["id"], &discovered())).await;
    let begun = ground.heard().await;
    assert_eq!(begun["result"]["protocolVersion"], "2026-07-28");
    assert!(begun["result"]["capabilities"]["extensions"].is_object(), "{begun}");
    let params =
        json!({ "name": "t", "requestState": "s", "_meta": { VERSION: "2026-07-28", "x": 1 } });
    let call = ground.asks(2, "tools/call", &params).await;
    assert_eq!(call["params"], params);
    let said = json!({ "resultType": "input_required", "requestState": "t", "inputRequests": {} });
    ground.answer(&result(&call["id"], &said)).await;
    assert_eq!(ground.heard().await, result(&json!(2), &said));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_no_session_is_given_one_where_the_server_needs_it() {
    for silent in [false, true] {
        let mut ground = Ground::lay();
        let mut first = hello();
        first["params"]["_meta"] = json!({ VERSION: "2026-07-28" });
        ground.say(&first).await;
        let probe = ground.asked().await;
        if !silent {
            let no = json!({ "jsonrpc": "2.0", "id": probe["id"], "error": { "code": -32601, "message": "" } });
            ground.answer(&no).await;
        }
        assert_eq!(ground.asked().await, hello());
        ground.answer(&result(&json!(1), &json!({ "protocolVersion": "2025-11-25" }))).await;
        assert_eq!(ground.heard().await["result"]["protocolVersion"], "2025-11-25");
    }
}
