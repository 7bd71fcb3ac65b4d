//! Who is behind the front in its tests, and what does a client get that sends raw bytes?

use crate::conversation::{Conversation, Evidence, OpenError, Outbox, Revision, Who};
use crate::front::*;
use crate::wire::{Kind, Message};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::Notify;

/// A host whose tools do what a test needs.
#[derive(Default)]
pub(super) struct Toy {
    pub(super) opened: Mutex<Vec<Arc<Talk>>>,
}

#[derive(Default)]
pub(super) struct Talk {
    pub(super) heard: Mutex<Vec<String>>,
    pub(super) cancelled: Notify,
    pub(super) go: Notify,
    pub(super) listeners: Mutex<Vec<Outbox>>,
    pub(super) closed: Mutex<bool>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
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
            ("tools/call", Some("slow")) => {
                let told =
                    Message::notification("notifications/progress", Some(r#"{"progress":1}"#));
                drop(out.send(told.unwrap()).await);
                self.go.notified().await;
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
pub(super) struct Porter {
    pub(super) gone: Mutex<HashSet<String>>,
    pub(super) noted: Mutex<Vec<&'static str>>,
}

impl Doorman for Arc<Porter> {
    async fn identify(&self, shown: Shown<'_>) -> Result<Pass, Turned> {
        let token = shown.authorization.ok_or(Turned::Nothing)?;
        let token = token.strip_prefix("Bearer ").ok_or(Turned::Worthless)?;
        let by = Evidence::Token(token.to_owned());
        let who = Who { role: "reader".to_owned(), by, tools: None };
        match token {
            "ann" | "bob" | "cid" | "dan" | "eve" | "fay" if self.stands(&who) => {
                Ok(Pass { who: Arc::new(who), ends_s: None })
            }
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

pub(super) struct World {
    pub(super) front: Arc<Front<Arc<Toy>, Arc<Porter>>>,
    pub(super) toy: Arc<Toy>,
    pub(super) porter: Arc<Porter>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl World {
    pub(super) fn new(caps: Caps) -> Self {
        let (toy, porter) = (Arc::<Toy>::default(), Arc::<Porter>::default());
        let names = Names::default().and_loopback();
        let front = Front::new(Arc::clone(&toy), Arc::clone(&porter), names, caps);
        Self { front, toy, porter }
    }

    pub(super) fn connect(&self) -> DuplexStream {
        let (ours, theirs) = duplex(1 << 20);
        drop(tokio::spawn(Arc::clone(&self.front).serve(theirs, None)));
        ours
    }

    pub(super) async fn send(&self, request: &str) -> Got {
        let mut wire = self.connect();
        wire.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        wire.read_to_end(&mut bytes).await.unwrap();
        read(&bytes)
    }

    pub(super) async fn post(&self, token: &str, headers: &[(&str, &str)], body: &str) -> Got {
        self.send(&request(token, headers, body)).await
    }

    pub(super) async fn begin(&self, token: &str) -> String {
        let got = self.post(token, &[], INITIALIZE).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.header("mcp-session-id").unwrap().to_owned()
    }

    pub(super) fn talk(&self, at: usize) -> Arc<Talk> {
        Arc::clone(locked(&self.toy.opened).get(at).unwrap())
    }
}

pub(super) fn read(bytes: &[u8]) -> Got {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Got { status, head: head.to_owned(), body: body.to_owned() }
}

pub(super) fn request(token: &str, headers: &[(&str, &str)], body: &str) -> String {
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

pub(super) fn call(name: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}"}}}}"#)
}

pub(super) fn modern(name: &str) -> (Vec<(&'static str, String)>, String) {
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

pub(super) fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

pub(super) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
