//! What clients get, good ones and others, over connections of real bytes.
use super::*;
use crate::conversation::{Conversation, Evidence, OpenError, Outbox, Revision, Who};
use crate::wire::{Kind, Message};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::Notify;

/// A host whose tools do what a test needs.
#[derive(Default)]
struct Toy {
    opened: Mutex<Vec<Arc<Talk>>>,
}

#[derive(Default)]
struct Talk {
    heard: Mutex<Vec<String>>,
    cancelled: Notify,
    listeners: Mutex<Vec<Outbox>>,
    closed: Mutex<bool>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Conversation for Talk {
    async fn take(self: Arc<Self>, message: Message, out: Outbox) {
        locked(&self.heard).push(message.as_str().to_owned());
        if message.method() == Some("notifications/cancelled") {
            self.cancelled.notify_one();
        }
        let Kind::Request { id, method } = message.kind() else { return };
        let name = message.params().and_then(|params| params.text_of("name"));
        match (method, name.as_deref()) {
            ("tools/call", Some("never")) => {
                self.cancelled.notified().await;
                return;
            }
            ("tools/call", Some("chatty")) => {
                let told =
                    Message::notification("notifications/progress", Some(r#"{"progress":1}"#));
                drop(out.send(told.unwrap()).await);
            }
            ("nope", _) => {
                drop(out.send(Message::failure(Some(id), -32601, "no such method")).await);
                return;
            }
            _ => {}
        }
        drop(out.send(Message::success(id, r#"{"said":"hello\nthere"}"#).unwrap()).await);
    }

    fn listen(&self, out: Outbox) {
        locked(&self.listeners).push(out);
    }

    fn close(&self) {
        *locked(&self.closed) = true;
        locked(&self.listeners).clear();
    }
}

impl Host for Arc<Toy> {
    type Conversation = Talk;

    fn open(&self, _: &Who, _: Revision) -> Result<Arc<Talk>, OpenError> {
        let talk = Arc::<Talk>::default();
        locked(&self.opened).push(Arc::clone(&talk));
        Ok(talk)
    }
}

#[derive(Default)]
struct Porter {
    gone: Mutex<HashSet<String>>,
    noted: Mutex<Vec<&'static str>>,
}

impl Doorman for Arc<Porter> {
    async fn identify(&self, shown: Shown<'_>) -> Result<Pass, Turned> {
        let token = shown.authorization.ok_or(Turned::Nothing)?;
        let token = token.strip_prefix("Bearer ").ok_or(Turned::Worthless)?;
        let by = Evidence::Token(token.to_owned());
        let who = Who { role: "reader".to_owned(), by, tools: None };
        match token {
            "ann" | "bob" if self.stands(&who) => Ok(Pass { who: Arc::new(who), ends_s: None }),
            "stranger" => Err(Turned::NoRole),
            _ => Err(Turned::Worthless),
        }
    }

    fn stands(&self, who: &Who) -> bool {
        let Evidence::Token(name) = &who.by else { return false };
        !locked(&self.gone).contains(name)
    }

    fn challenge(&self, turned: Turned) -> String {
        format!("Bearer error=\"{turned:?}\"")
    }

    fn metadata(&self) -> Option<String> {
        Some(r#"{"resource":"https://mcp.example/mcp"}"#.to_owned())
    }

    fn noted(&self, _: Option<&Who>, code: &'static str) {
        locked(&self.noted).push(code);
    }
}

struct World {
    front: Arc<Front<Arc<Toy>, Arc<Porter>>>,
    toy: Arc<Toy>,
    porter: Arc<Porter>,
}

/// What came back.
#[derive(Debug)]
struct Got {
    status: u16,
    head: String,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl World {
    fn new(caps: Caps) -> Self {
        let (toy, porter) = (Arc::<Toy>::default(), Arc::<Porter>::default());
        let names = Names::default().and_loopback();
        let front = Front::new(Arc::clone(&toy), Arc::clone(&porter), names, caps);
        Self { front, toy, porter }
    }

    fn connect(&self) -> DuplexStream {
        let (ours, theirs) = duplex(1 << 20);
        drop(tokio::spawn(Arc::clone(&self.front).serve(theirs)));
        ours
    }

    async fn send(&self, request: &str) -> Got {
        let mut wire = self.connect();
        wire.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        wire.read_to_end(&mut bytes).await.unwrap();
        read(&bytes)
    }

    async fn post(&self, token: &str, headers: &[(&str, &str)], body: &str) -> Got {
        self.send(&request(token, headers, body)).await
    }

    async fn begin(&self, token: &str) -> String {
        let got = self.post(token, &[], INITIALIZE).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.header("mcp-session-id").unwrap().to_owned()
    }

    fn talk(&self, at: usize) -> Arc<Talk> {
        Arc::clone(locked(&self.toy.opened).get(at).unwrap())
    }
}

fn read(bytes: &[u8]) -> Got {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Got { status, head: head.to_owned(), body: body.to_owned() }
}

fn request(token: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut all = vec![
        ("Host", "localhost:1".to_owned()),
        ("Authorization", format!("Bearer {token}")),
        ("Content-Type", "application/json".to_owned()),
        ("Accept", "application/json, text/event-stream".to_owned()),
        ("Content-Length", body.len().to_string()),
        ("Connection", "close".to_owned()),
    ];
    for (name, value) in headers {
        all.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        all.push((name, (*value).to_owned()));
    }
    let mut lines = String::new();
    for (name, value) in all {
        lines = format!("{lines}{name}: {value}\r\n");
    }
    format!("POST /mcp HTTP/1.1\r\n{lines}\r\n{body}")
}

fn call(name: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}"}}}}"#)
}

fn modern(name: &str) -> (Vec<(&'static str, String)>, String) {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}","_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    );
    let headers = vec![
        ("MCP-Protocol-Version", "2026-07-28".to_owned()),
        ("Mcp-Method", "tools/call".to_owned()),
        ("Mcp-Name", name.to_owned()),
    ];
    (headers, body)
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

#[tokio::test]
async fn a_session_is_begun_used_and_ended() {
    let world = World::new(Caps::default());
    let id = world.begin("ann").await;
    assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let session = [("Mcp-Session-Id", id.as_str()), ("MCP-Protocol-Version", "2025-11-25")];
    let told = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(world.post("ann", &session, told).await.status, 202);
    let got = world.post("ann", &session, &call("echo")).await;
    assert_eq!((got.status, got.header("content-type")), (200, Some("application/json")));
    assert!(got.body.contains(r#""id":7"#) && got.body.contains("hello"), "{got:?}");
    let got = world.post("ann", &session, &call("chatty")).await;
    assert_eq!(got.header("content-type"), Some("text/event-stream"));
    assert!(
        got.body.contains("event: message\ndata: {") && got.body.contains("progress"),
        "{got:?}"
    );
    let wrong = [session[0], ("MCP-Protocol-Version", "1900-01-01")];
    assert_eq!(world.post("ann", &wrong, &call("echo")).await.status, 400);
    let end = request("ann", &session, "").replacen("POST", "DELETE", 1);
    assert_eq!(world.send(&end).await.status, 204);
    assert_eq!(world.post("ann", &session, &call("echo")).await.status, 404);
    assert!(*locked(&world.talk(0).closed));
}

#[tokio::test]
async fn a_session_opens_nothing_for_another_identity() {
    let world = World::new(Caps::default());
    let id = world.begin("ann").await;
    let session = [("Mcp-Session-Id", id.as_str())];
    let stolen = world.post("bob", &session, &call("echo")).await;
    let guessed = world.post("bob", &[("Mcp-Session-Id", "0000")], &call("echo")).await;
    assert_eq!((stolen.status, &stolen.body), (404, &guessed.body), "the same for both");
    for method in ["GET", "DELETE"] {
        let request = request("bob", &session, "").replacen("POST", method, 1);
        assert_eq!(world.send(&request).await.status, 404, "{method}");
    }
    assert_eq!(*locked(&world.porter.noted), ["session-of-another"; 3]);
    assert_eq!(locked(&world.talk(0).heard).len(), 1, "only what ann said");
    assert_eq!(world.post("ann", &session, &call("echo")).await.status, 200);
}

#[tokio::test]
async fn nobody_is_heard_who_shows_nothing_good() {
    let world = World::new(Caps::default());
    for token in ["mallory", "", "ann\tx"] {
        let got = world.post(token, &[], INITIALIZE).await;
        assert_eq!(got.status, 401, "{token:?}");
        assert!(got.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer ")));
        assert!(!got.body.contains("mallory"));
    }
    let bare = request("", &[], INITIALIZE).replace("Authorization: Bearer \r\n", "");
    assert_eq!(world.send(&bare).await.status, 401);
    let twice =
        request("ann", &[], INITIALIZE).replacen("Host", "Authorization: Bearer bob\r\nHost", 1);
    assert_eq!(world.send(&twice).await.status, 401);
    assert_eq!(world.post("stranger", &[], INITIALIZE).await.status, 403);
    assert!(locked(&world.toy.opened).is_empty());
}

#[tokio::test]
async fn a_page_of_somebody_elses_is_refused_token_or_not() {
    let world = World::new(Caps::default());
    for (name, value) in [
        ("Host", "evil.example"),
        ("Host", "localhost.evil.example:1"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
    ] {
        let got = world.post("ann", &[(name, value)], INITIALIZE).await;
        assert_eq!(got.status, 403, "{name} {value}");
    }
    assert!(locked(&world.toy.opened).is_empty());
    let own = world.post("ann", &[("Origin", "http://localhost:1")], INITIALIZE).await;
    assert_eq!(own.status, 200);
}

#[tokio::test]
async fn what_is_taken_back_is_out_at_once_streams_too() {
    let world = World::new(Caps::default());
    let id = world.begin("ann").await;
    let session = [("Mcp-Session-Id", id.as_str())];
    let listen = request("ann", &session, "").replacen("POST", "GET", 1);
    let mut stream = world.connect();
    stream.write_all(listen.as_bytes()).await.unwrap();
    let mut some = [0; 4096];
    let count = stream.read(&mut some).await.unwrap();
    assert!(String::from_utf8_lossy(&some[..count]).contains("200 OK"));
    locked(&world.porter.gone).insert("ann".to_owned());
    assert_eq!(world.post("ann", &session, &call("echo")).await.status, 401);
    world.front.patrol();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(*locked(&world.talk(0).closed) && world.front.open() == 0);
}

#[tokio::test]
async fn what_belongs_to_no_request_comes_on_the_listening_stream() {
    let world = World::new(Caps::default());
    let id = world.begin("ann").await;
    let listen = request("ann", &[("Mcp-Session-Id", id.as_str())], "").replacen("POST", "GET", 1);
    let mut stream = world.connect();
    stream.write_all(listen.as_bytes()).await.unwrap();
    let talk = world.talk(0);
    while locked(&talk.listeners).is_empty() {
        tokio::task::yield_now().await;
    }
    let out = locked(&talk.listeners).pop().unwrap();
    out.send(Message::notification("notifications/tools/list_changed", None).unwrap())
        .await
        .unwrap();
    drop(out);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert!(read(&bytes).body.contains("list_changed"));
}

#[tokio::test]
async fn a_client_that_goes_cancels_what_it_waited_for() {
    let world = World::new(Caps::default());
    let id = world.begin("ann").await;
    let mut wire = world.connect();
    let asked = request("ann", &[("Mcp-Session-Id", id.as_str())], &call("never"));
    wire.write_all(asked.as_bytes()).await.unwrap();
    let talk = world.talk(0);
    while locked(&talk.heard).len() < 2 {
        tokio::task::yield_now().await;
    }
    drop(wire);
    while locked(&talk.heard).len() < 3 {
        tokio::task::yield_now().await;
    }
    let last = locked(&talk.heard).last().cloned().unwrap();
    assert!(
        last.contains("notifications/cancelled") && last.contains(r#""requestId":7"#),
        "{last}"
    );
}

#[tokio::test]
async fn a_request_without_a_session_says_the_same_in_head_and_body() {
    let world = World::new(Caps::default());
    let (headers, body) = modern("echo");
    let got = world.post("ann", &borrowed(&headers), &body).await;
    assert_eq!((got.status, got.header("mcp-session-id")), (200, None), "{got:?}");
    let other = world.post("ann", &borrowed(&modern("rm").0), &body).await;
    assert!(other.status == 400 && other.body.contains("-32020"), "{other:?}");
    let none = world.post("ann", &[], &body).await;
    assert!(none.status == 400 && none.body.contains("-32020"), "{none:?}");
    let unknown = body.replace("tools/call", "nope");
    let mut headers = modern("echo").0;
    headers[1].1 = "nope".to_owned();
    assert_eq!(world.post("ann", &borrowed(&headers), &unknown).await.status, 404);
    assert_eq!(world.front.open(), 1, "one conversation for one identity");
    let get = request("ann", &[], "").replacen("POST", "GET", 1);
    assert_eq!(world.send(&get).await.status, 405);
}

#[tokio::test]
async fn two_clients_of_one_identity_may_use_the_same_ids() {
    let world = World::new(Caps::default());
    let (headers, body) = modern("never");
    let mut waiting = world.connect();
    waiting.write_all(request("ann", &borrowed(&headers), &body).as_bytes()).await.unwrap();
    while world.front.open() < 1 {
        tokio::task::yield_now().await;
    }
    let (headers, body) = modern("echo");
    assert_eq!(world.post("ann", &borrowed(&headers), &body).await.status, 200);
    assert_eq!(world.front.open(), 2, "a lane of its own");
    assert_eq!(world.post("bob", &borrowed(&headers), &body).await.status, 200);
    assert_eq!(world.front.open(), 3);
}

#[tokio::test]
async fn ten_thousand_sessions_of_one_identity_are_a_few() {
    let world = World::new(Caps { total: 20, each: 8, ..Caps::default() });
    let mut wire = world.connect();
    let begin = request("ann", &[("Connection", "keep-alive")], INITIALIZE);
    let (mut good, mut full) = (0, 0);
    let mut bytes = vec![0; 4096];
    for _ in 0..10_000 {
        wire.write_all(begin.as_bytes()).await.unwrap();
        let count = wire.read(&mut bytes).await.unwrap();
        match read(&bytes[..count]).status {
            200 => good += 1,
            429 => full += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((good, full, world.front.open()), (8, 9_992, 8));
    assert_eq!(world.post("bob", &[], INITIALIZE).await.status, 200, "others are not kept out");
}

#[tokio::test(start_paused = true)]
async fn what_lies_idle_is_closed_and_makes_room_for_its_own() {
    let world = World::new(Caps { each: 1, ..Caps::default() });
    let first = world.begin("ann").await;
    assert_eq!(world.post("ann", &[], INITIALIZE).await.status, 429);
    tokio::time::advance(Duration::from_mins(2)).await;
    let second = world.begin("ann").await;
    let gone = world.post("ann", &[("Mcp-Session-Id", first.as_str())], &call("echo")).await;
    assert_eq!(gone.status, 404);
    assert_eq!(
        world.post("ann", &[("Mcp-Session-Id", second.as_str())], &call("echo")).await.status,
        200
    );
    tokio::time::advance(Duration::from_mins(31)).await;
    world.front.patrol();
    assert_eq!(world.front.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_is_cut_off_and_a_quiet_call_gives_signs_of_life() {
    let world = World::new(Caps::default());
    let id = world.begin("ann").await;
    let mut slow = world.connect();
    slow.write_all(b"POST /mcp HTTP/1.1\r\nHost: local").await.unwrap();
    let mut end = Vec::new();
    slow.read_to_end(&mut end).await.unwrap();
    let mut body = world.connect();
    let whole = request("ann", &[], INITIALIZE);
    body.write_all(whole.get(..whole.len() - 5).unwrap().as_bytes()).await.unwrap();
    let mut end = vec![0; 4096];
    let count = body.read(&mut end).await.unwrap();
    assert_eq!(read(&end[..count]).status, 408);
    let mut quiet = world.connect();
    let asked = request("ann", &[("Mcp-Session-Id", id.as_str())], &call("never"));
    quiet.write_all(asked.as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.contains(": \n\n") {
        let mut some = [0; 4096];
        let count = quiet.read(&mut some).await.unwrap();
        seen.push_str(&String::from_utf8_lossy(&some[..count]));
    }
    assert!(seen.contains("text/event-stream"), "{seen}");
}

#[tokio::test]
async fn malformed_requests_are_turned_back_each_with_its_status() {
    let world = World::new(Caps::default());
    for (status, headers, body) in [
        (415, [("Content-Type", "text/plain")].as_slice(), INITIALIZE),
        (415, &[("Content-Type", "application/json; charset=utf-16")], INITIALIZE),
        (415, &[("Content-Encoding", "gzip")], INITIALIZE),
        (406, &[("Accept", "application/json")], INITIALIZE),
        (400, &[], "{"),
        (400, &[], "[]"),
        (400, &[], r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"initialize"}"#),
        (400, &[], r#"{"jsonrpc":"2.0","id":1,"method":"initialize","Method":"tools/call"}"#),
        (400, &[], r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#),
        (413, &[("Content-Length", "99999999")], ""),
        (200, &[("Content-Type", "application/json; charset=UTF-8")], INITIALIZE),
    ] {
        let got = world.post("ann", headers, body).await;
        assert_eq!(got.status, status, "{headers:?} {body}");
    }
    let other = request("ann", &[], INITIALIZE).replacen("/mcp", "/mcp/../etc", 1);
    assert_eq!(world.send(&other).await.status, 404);
    let put = request("ann", &[], INITIALIZE).replacen("POST", "PUT", 1);
    assert_eq!(world.send(&put).await.status, 405);
    let metadata = request("ann", &[], "").replacen(
        "POST /mcp",
        "GET /.well-known/oauth-protected-resource/mcp",
        1,
    );
    assert!(world.send(&metadata).await.body.contains("https://mcp.example/mcp"));
    assert_eq!(world.front.open(), 1, "one of them was good");
}
