//! Clients of all kinds against the real door: sockets, tokens in a real store, an issuer with real keys.
use super::*;
use crate::config::serve::{Claim, Keys, Oauth};
use crate::identity::bearer::Bearer;
use crate::identity::oauth::Issuer;
use bartizan_gate::name::RoleName;
use bartizan_mcp::conversation::{Conversation, OpenError, Outbox, Revision, Who};
use bartizan_mcp::front::{Caps, Names};
use bartizan_mcp::signed::{Algorithm, Expected};
use bartizan_mcp::wire::{Kind, Message};
use bartizan_store::{NewToken, Store, Tokens as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A host that answers every request, and keeps whoever listens waiting.
struct Echo;
struct Talk(Mutex<Vec<Outbox>>);

impl Conversation for Talk {
    async fn take(self: Arc<Self>, message: Message, out: Outbox) {
        if let Kind::Request { id, .. } = message.kind() {
            drop(out.send(Message::success(id, r#"{"said":"echo"}"#).unwrap()).await);
        }
    }

    fn listen(&self, out: Outbox) {
        self.0.lock().unwrap().push(out);
    }

    fn close(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl Host for Echo {
    type Conversation = Talk;

    fn open(&self, _: &Who, _: Revision) -> Result<Arc<Talk>, OpenError> {
        Ok(Arc::new(Talk(Mutex::default())))
    }
}

struct World {
    dir: TempDir,
    store: Store,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Got {
    status: u16,
    text: String,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.text.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl World {
    async fn new(crowd: Crowd) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state")).unwrap();
        let keys = dir.path().join("jwks.json");
        std::fs::write(&keys, jwks().to_string()).unwrap();
        let role = |name| RoleName::parse(name).unwrap();
        let issuer = Issuer::new(Oauth {
            expected: Expected {
                issuer: "https://id.example".to_owned(),
                audience: "https://mcp.example/mcp".to_owned(),
                algorithms: Algorithm::ALL.to_vec(),
                leeway_s: 0,
            },
            keys: Keys::File(keys),
            roles: vec![Claim {
                path: "scope".to_owned(),
                has: "mcp".to_owned(),
                role: role("reader"),
            }],
        });
        issuer.begin().await.unwrap();
        let roles = ["reader".to_owned(), "coder".to_owned()].into();
        let porter = Porter::new(store.clone(), roles, Some(issuer));
        let front = Front::new(Echo, porter, Names::default().and_loopback(), Caps::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let until = async move { drop(stopped.await) };
        drop(tokio::spawn(serve(listener, Inbound::plain(), front, crowd, until)));
        Self { dir, store, address, stop: Some(stop) }
    }

    fn issue(&self, name: &str, lives: Duration) -> (String, String) {
        let mut entropy = [0; 32];
        entropy[..name.len()].copy_from_slice(name.as_bytes());
        let token = Bearer::mint(entropy);
        let issued = self
            .store
            .issue(NewToken {
                hash: token.hash(),
                name: name.to_owned(),
                role: "reader".to_owned(),
                tools: Vec::new(),
                lives,
                by: "local:test".to_owned(),
            })
            .unwrap();
        (token.danger_text().to_owned(), issued.id)
    }

    async fn raw(&self, bytes: &str) -> Got {
        let mut wire = TcpStream::connect(self.address).await.unwrap();
        wire.write_all(bytes.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        // A connection that is reset has said all it will.
        drop(timeout(PATIENCE, wire.read_to_end(&mut all)).await.unwrap());
        let text = String::from_utf8_lossy(&all).into_owned();
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Got { status, text }
    }

    async fn post(&self, token: &str, headers: &[(&str, &str)], body: &str) -> Got {
        self.raw(&request(token, headers, body)).await
    }

    async fn begin(&self, token: &str) -> String {
        let got = self.post(token, &[], INITIALIZE).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.header("mcp-session-id").unwrap().to_owned()
    }

    fn log(&self) -> Vec<Value> {
        self.store.checkpoint().unwrap();
        let filter = bartizan_store::Filter::default();
        let records = self.store.reader().page(&filter, 1000).unwrap();
        records.iter().map(|record| serde_json::from_str(&record.json).unwrap()).collect()
    }
}

fn request(token: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut all = vec![
        ("Host", "127.0.0.1:1".to_owned()),
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

fn issuer_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap()
}

fn jwks() -> Value {
    let x = URL_SAFE_NO_PAD.encode(issuer_key().public_key());
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x }] })
}

fn signed(header: &str, claims: &Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let whole = format!("{}.{}", part(header), part(&claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(issuer_key().sign(whole.as_bytes()));
    format!("{whole}.{signature}")
}

fn claims() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({ "iss": "https://id.example", "aud": "https://mcp.example/mcp", "sub": "ann",
            "scope": "openid mcp", "exp": now + 600, "iat": now })
}

const HEADER: &str = r#"{"alg":"EdDSA","kid":"k","typ":"at+jwt"}"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
const HOUR: Duration = Duration::from_hours(1);
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_revoked_token_is_out_at_once_from_open_streams_too() {
    let world = World::new(Crowd::default()).await;
    let (token, id) = world.issue("ann", HOUR);
    let session = world.begin(&token).await;
    let session = [("Mcp-Session-Id", session.as_str())];
    assert_eq!(world.post(&token, &session, LIST).await.status, 200);
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let listen = request(&token, &session, "").replacen("POST", "GET", 1);
    stream.write_all(listen.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    // By another process, as far as the server can tell.
    Store::open(world.store.dir()).unwrap().revoke(&id, "local:test").unwrap();
    let out = world.post(&token, &session, LIST).await;
    assert_eq!(out.status, 401, "{out:?}");
    assert!(out.header("www-authenticate").unwrap().contains("invalid_token"));
    let mut rest = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the stream ends"));
    let refused: Vec<_> =
        world.log().into_iter().filter(|record| record["code"] == "token-revoked").collect();
    assert_eq!(refused.len(), 1);
}

#[tokio::test]
async fn a_token_that_expires_in_mid_session_is_out() {
    let world = World::new(Crowd::default()).await;
    let (token, _) = world.issue("short", Duration::from_secs(5));
    let (other, _) = world.issue("long", HOUR);
    let id = world.begin(&token).await;
    let session = [("Mcp-Session-Id", id.as_str())];
    let expired = async {
        while world.post(&token, &session, LIST).await.status != 401 {
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, expired).await.unwrap();
    assert_eq!(world.post(&token, &[], INITIALIZE).await.status, 401);
    world.begin(&other).await;
}

#[tokio::test]
async fn an_issuers_token_is_good_for_us_alone() {
    let world = World::new(Crowd::default()).await;
    let good = signed(HEADER, &claims());
    let id = world.begin(&good).await;
    // The same subject with a newer token is the same identity.
    let mut newer = claims();
    newer["jti"] = json!("2");
    let session = [("Mcp-Session-Id", id.as_str())];
    assert_eq!(world.post(&signed(HEADER, &newer), &session, LIST).await.status, 200);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        signed(HEADER, &claims)
    };
    for bad in [
        with("aud", json!("https://other.example/mcp")),
        with("iss", json!("https://evil.example")),
        with("exp", json!(1)),
        with("nbf", json!(4_000_000_000_u64)),
        // Bound to a key of whoever it was stolen from.
        with("cnf", json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" })),
        with("cnf", json!({ "x5t#S256": URL_SAFE_NO_PAD.encode([7; 32]) })),
        signed(r#"{"alg":"none"}"#, &claims()),
        signed(r#"{"alg":"HS256","kid":"k"}"#, &claims()),
        signed(r#"{"alg":"EdDSA","kid":"other"}"#, &claims()),
        format!("{good}x"),
    ] {
        let got = world.post(&bad, &session, LIST).await;
        assert_eq!(got.status, 401, "{got:?}");
        let challenge = got.header("www-authenticate").unwrap();
        let url =
            "resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/mcp\"";
        assert!(challenge.contains(url) && challenge.contains("invalid_token"), "{challenge}");
    }
    let poor = world.post(&with("scope", json!("openid")), &[], INITIALIZE).await;
    assert_eq!(poor.status, 403);
    let challenge = poor.header("www-authenticate").unwrap();
    assert!(challenge.contains("insufficient_scope") && challenge.contains("scope=\"mcp\""));
    let other = with("sub", json!("bob"));
    assert_eq!(world.post(&other, &session, LIST).await.status, 404, "ann's session");
    let codes: Vec<_> =
        world.log().iter().filter_map(|r| r["code"].as_str().map(str::to_owned)).collect();
    for code in [
        "jwt-audience",
        "jwt-issuer",
        "jwt-expired",
        "jwt-not-yet",
        "jwt-algorithm",
        "jwt-bound",
        "jwt-key-unknown",
        "scope-insufficient",
        "session-of-another",
    ] {
        assert!(codes.iter().any(|known| known == code), "{code} in {codes:?}");
    }
    let metadata = world
        .raw("GET /.well-known/oauth-protected-resource/mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await;
    assert!(
        metadata.text.contains(r#""authorization_servers":["https://id.example"]"#),
        "{metadata:?}"
    );
}

#[tokio::test]
async fn keys_that_are_new_are_found_and_not_at_the_pace_of_an_attacker() {
    let world = World::new(Crowd::default()).await;
    let mut renamed = jwks();
    renamed["keys"][0]["kid"] = json!("new");
    std::fs::write(world.dir.path().join("jwks.json"), renamed.to_string()).unwrap();
    let rotated = signed(r#"{"alg":"EdDSA","kid":"new"}"#, &claims());
    assert_eq!(world.post(&rotated, &[], INITIALIZE).await.status, 200);
    renamed["keys"][0]["kid"] = json!("newer");
    std::fs::write(world.dir.path().join("jwks.json"), renamed.to_string()).unwrap();
    let again = signed(r#"{"alg":"EdDSA","kid":"newer"}"#, &claims());
    assert_eq!(world.post(&again, &[], INITIALIZE).await.status, 401, "asked a moment ago");
    assert_eq!(world.post(&rotated, &[], INITIALIZE).await.status, 200);
}

#[tokio::test]
async fn a_token_is_in_no_answer_no_file_and_no_record() {
    let world = World::new(Crowd::default()).await;
    let (token, id) = world.issue("ann", HOUR);
    let jwt = signed(HEADER, &claims());
    let broken = format!("{token}0");
    let mut said = String::new();
    for shown in [token.as_str(), &jwt, &broken, "bzt_x"] {
        said.push_str(&world.post(shown, &[], INITIALIZE).await.text);
        said.push_str(&world.post(shown, &[("Mcp-Session-Id", shown)], LIST).await.text);
        said.push_str(&world.post(shown, &[("Origin", shown)], LIST).await.text);
    }
    world.store.revoke(&id, "local:test").unwrap();
    said.push_str(&world.post(&token, &[], INITIALIZE).await.text);
    let log = format!("{:?}", world.log());
    let mut files = Vec::new();
    for file in std::fs::read_dir(world.store.dir()).unwrap() {
        files.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let secret = token.as_bytes().get(8..40).unwrap();
    assert!(!files.windows(secret.len()).any(|part| part == secret));
    let signature = jwt.rsplit('.').next().unwrap();
    for text in [&said, &log] {
        assert!(!text.contains(token.get(8..40).unwrap()) && !text.contains(signature));
    }
    assert!(log.contains("\"use\"") && log.contains("\"refuse\"") && log.contains(&id));
}

#[tokio::test]
async fn what_two_parsers_could_read_differently_ends_the_connection() {
    let world = World::new(Crowd::default()).await;
    let (token, _) = world.issue("ann", HOUR);
    let good = request(&token, &[], INITIALIZE);
    let hidden = "GET /.well-known/oauth-protected-resource HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (from, to) in [
        ("Connection: close", "Transfer-Encoding: chunked"),
        ("Connection: close", "Content-Length: 0"),
        ("Connection: close", "Transfer-Encoding: identity"),
        ("Connection: close", "X: y\r\n folded"),
        ("Host: 127.0.0.1:1", "Host : 127.0.0.1:1"),
        ("Host: 127.0.0.1:1", "Host: 127.0.0.1:1\r\nHost: evil.example"),
        ("HTTP/1.1\r\n", "HTTP/1.1\n"),
    ] {
        let got = world.raw(&format!("{}{hidden}", good.replacen(from, to, 1))).await;
        assert_eq!(got.status, 400, "{to:?} {got:?}");
        assert_eq!(got.text.matches("HTTP/1.1 4").count(), 1, "{got:?}");
        assert!(!got.text.contains("HTTP/1.1 200"), "one answer: {got:?}");
    }
    let long =
        good.replacen("Connection", &format!("X-Long: {}\r\nConnection", "x".repeat(20_000)), 1);
    assert_eq!(world.raw(&long).await.status, 431);
    assert_eq!(world.raw(&good).await.status, 200);
    for (name, value) in [("Host", "evil.example"), ("Origin", "https://evil.example")] {
        assert_eq!(world.post(&token, &[(name, value)], INITIALIZE).await.status, 403, "{name}");
    }
}

#[tokio::test]
async fn one_address_cannot_take_every_place() {
    let world = World::new(Crowd { total: 10, each: 4 }).await;
    let (token, _) = world.issue("ann", HOUR);
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut wire = TcpStream::connect(world.address).await.unwrap();
        wire.write_all(b"POST /mcp HTTP/1.1\r\n").await.unwrap();
        idle.push(wire);
    }
    let served = async {
        while world.post(&token, &[], INITIALIZE).await.status != 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, served).await.expect("a fifth is let go");
    idle.clear();
    let served = async {
        while world.post(&token, &[], INITIALIZE).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, served).await.expect("there is room again");
}

#[tokio::test]
async fn whoever_knocks_in_vain_does_not_fill_the_log() {
    let world = World::new(Crowd::default()).await;
    for _ in 0..200 {
        assert_eq!(world.post("nope", &[], INITIALIZE).await.status, 401);
    }
    let refused = world.log().iter().filter(|record| record["act"] == "refuse").count();
    assert!((1..=120).contains(&refused), "{refused}");
}

#[tokio::test]
async fn the_end_is_told_to_whoever_is_in() {
    let mut world = World::new(Crowd::default()).await;
    let (token, _) = world.issue("ann", HOUR);
    let id = world.begin(&token).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let listen = request(&token, &[("Mcp-Session-Id", &id)], "").replacen("POST", "GET", 1);
    stream.write_all(listen.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    world.stop.take().unwrap().send(()).unwrap();
    let mut rest = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the stream ends"));
}
