//! Servers that come and go behind one conversation.
use super::*;
use crate::wire::Limits;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};

const AFTER: Duration = Duration::from_secs(10);

/// A conversation, and whoever starts its servers.
struct World {
    to: Sender<Message>,
    heard: Receiver<Line>,
    wanted: Receiver<oneshot::Sender<Life>>,
    carried: JoinHandle<()>,
}

/// The server's own ends.
struct Server {
    heard: Receiver<Message>,
    says: Sender<Line>,
    over: oneshot::Receiver<()>,
}

fn message(value: &Value) -> Message {
    Message::parse(value.to_string().as_bytes(), &Limits::default()).unwrap()
}

fn request(id: i64, method: &str, params: &Value) -> Message {
    message(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
}

impl World {
    fn new() -> Self {
        let ((to, sent), (lines, heard)) = (mpsc::channel(8), mpsc::channel(8));
        let (births, wanted) = mpsc::channel(1);
        let carried = tokio::spawn(carry(sent, lines, AFTER, births));
        Self { to, heard, wanted, carried }
    }

    async fn born(&mut self) -> Server {
        let birth = self.wanted.recv().await.unwrap();
        let ((to, heard), (says, from)) = (mpsc::channel(8), mpsc::channel(8));
        let (over, ends) = oneshot::channel();
        assert!(birth.send(Life { to, from, over }).is_ok());
        Server { heard, says, over: ends }
    }

    async fn hears(&mut self) -> Value {
        let line = self.heard.recv().await.unwrap();
        serde_json::from_str(line.unwrap().as_str()).unwrap()
    }

    /// The first server, begun with.
    async fn begun(&mut self) -> Server {
        let mut server = self.born().await;
        self.to.send(request(1, "initialize", &json!({ "clientInfo": "me" }))).await.unwrap();
        server.begins(&json!({ "tools": {} })).await;
        assert_eq!(self.hears().await["id"], 1);
        let told = message(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        self.to.send(told).await.unwrap();
        assert_eq!(server.hears().await["method"], "notifications/initialized");
        server
    }
}

impl Server {
    async fn hears(&mut self) -> Value {
        serde_json::from_str(self.heard.recv().await.unwrap().as_str()).unwrap()
    }

    async fn says(&self, value: &Value) {
        self.says.send(Ok(message(value))).await.unwrap();
    }

    async fn begins(&mut self, capabilities: &Value) {
        let hello = self.hears().await;
        assert_eq!(
            (&hello["method"], &hello["params"]["clientInfo"]),
            (&json!("initialize"), &json!("me"))
        );
        let result = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "instructions": "x" });
        self.says(&json!({ "jsonrpc": "2.0", "id": hello["id"], "result": result })).await;
    }

    fn is_over(&mut self) -> bool {
        matches!(self.over.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }
}

async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_request_finds_another_that_was_begun_with_in_the_same_words() {
    let mut world = World::new();
    let mut first = world.begun().await;
    world.to.send(request(2, "logging/setLevel", &json!({ "level": "info" }))).await.unwrap();
    assert_eq!(first.hears().await["id"], 2);
    tokio::time::sleep(AFTER * 3).await;
    assert!(!first.is_over(), "it owes an answer");
    first.says(&json!({ "jsonrpc": "2.0", "id": 2, "result": {} })).await;
    world.hears().await;
    tokio::time::sleep(AFTER / 2).await;
    assert!(!first.is_over(), "too early");
    tokio::time::sleep(AFTER).await;
    assert!(first.is_over());
    // News wakes nobody.
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
    world.to.send(message(&told)).await.unwrap();
    settle().await;
    assert!(world.wanted.try_recv().is_err());
    world.to.send(request(3, "tools/call", &json!({ "name": "t" }))).await.unwrap();
    let mut second = world.born().await;
    second.begins(&json!({ "tools": {} })).await;
    assert_eq!(second.hears().await["method"], "notifications/initialized");
    assert_eq!(second.hears().await["params"]["level"], "info");
    assert_eq!(second.hears().await["id"], 3);
    for list in ["tools", "prompts", "resources"] {
        assert_eq!(world.hears().await["method"], format!("notifications/{list}/list_changed"));
    }
    second.says(&json!({ "jsonrpc": "2.0", "id": 3, "result": { "ok": 1 } })).await;
    assert_eq!(world.hears().await["result"]["ok"], 1);
    drop(second);
    world.carried.await.unwrap();
    assert!(world.heard.recv().await.is_none(), "one that ends by itself is the end");
}

#[tokio::test(start_paused = true)]
async fn one_that_says_another_thing_of_itself_is_not_gone_on_with() {
    let mut world = World::new();
    let mut first = world.begun().await;
    tokio::time::sleep(AFTER * 2).await;
    assert!(first.is_over());
    world.to.send(request(2, "tools/call", &json!({}))).await.unwrap();
    let mut second = world.born().await;
    second.begins(&json!({ "tools": {}, "logging": {} })).await;
    let line = world.heard.recv().await.unwrap();
    assert!(matches!(line, Err(Flawed::Over(why)) if why.contains("not what it said")));
    world.carried.await.unwrap();
    assert!(second.heard.recv().await.is_none(), "it is not asked anything");
    assert!(second.is_over());
}

#[tokio::test(start_paused = true)]
async fn whoever_holds_something_or_waits_for_an_answer_does_not_rest() {
    for (holding, method, params) in [
        (true, "resources/subscribe", json!({ "uri": "demo://1" })),
        (true, "tools/call", json!({ "name": "t", "task": {} })),
        (false, "resources/read", json!({ "uri": "demo://1" })),
    ] {
        let mut world = World::new();
        let mut server = world.begun().await;
        world.to.send(request(2, method, &params)).await.unwrap();
        server.hears().await;
        server.says(&json!({ "jsonrpc": "2.0", "id": 2, "result": {} })).await;
        world.hears().await;
        tokio::time::sleep(AFTER * 3).await;
        assert_eq!(server.is_over(), !holding, "{method}");
    }
    let mut world = World::new();
    let mut server = world.begun().await;
    server.says(&json!({ "jsonrpc": "2.0", "id": "q", "method": "elicitation/create" })).await;
    world.hears().await;
    tokio::time::sleep(AFTER * 3).await;
    assert!(!server.is_over(), "it waits for its client's person");
    world.to.send(message(&json!({ "jsonrpc": "2.0", "id": "q", "result": {} }))).await.unwrap();
    server.hears().await;
    // A request that was given up owes nothing.
    world.to.send(request(2, "tools/call", &json!({}))).await.unwrap();
    let gone = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 2 } });
    world.to.send(message(&gone)).await.unwrap();
    tokio::time::sleep(AFTER * 2).await;
    assert!(server.is_over());
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_started_again_is_the_end() {
    let mut world = World::new();
    let first = world.begun().await;
    tokio::time::sleep(AFTER * 2).await;
    drop(first);
    world.to.send(request(2, "tools/call", &json!({}))).await.unwrap();
    drop(world.wanted.recv().await.unwrap());
    world.carried.await.unwrap();
    assert!(world.heard.recv().await.is_none());
}
