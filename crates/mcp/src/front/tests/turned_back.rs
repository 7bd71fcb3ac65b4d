//! Who is turned back? Strangers, pages of other sites, whoever holds another's session, and what is malformed.

use super::world::*;
use crate::front::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
async fn without_a_session_nobody_gets_into_the_conversation_of_another_identity() {
    let world = World::new(Caps::default());
    let names = ["ann", "bob", "cid", "dan"];
    let said_by = |name: &str, call: &str, id: &str| {
        let (headers, body) = modern(call);
        let mark = format!(r#""mark":"of {name}","_meta""#);
        (headers, body.replace(r#""_meta""#, &mark).replace(r#""id":7"#, &format!(r#""id":{id}"#)))
    };
    // All with one id, and each while the others' requests are open; twice, so that each has two conversations.
    let owners: Vec<&str> = names.iter().chain(&names).copied().collect();
    let mut open = Vec::new();
    for name in &owners {
        let (headers, body) = said_by(name, "never", "7");
        let mut wire = world.connect();
        wire.write_all(request(name, &borrowed(&headers), &body).as_bytes()).await.unwrap();
        open.push(wire);
        while locked(&world.toy.opened).len() < open.len() {
            tokio::task::yield_now().await;
        }
    }
    // One that is free for it is used again, and by its own identity alone.
    for name in names {
        let (headers, body) = said_by(name, "echo", "8");
        assert_eq!(world.post(name, &borrowed(&headers), &body).await.status, 200);
    }
    assert_eq!(world.front.open(), owners.len());
    for (at, owner) in owners.iter().enumerate() {
        let heard = locked(&world.talk(at).heard).clone();
        assert!(!heard.is_empty());
        for said in heard {
            assert!(said.contains(&format!(r#""of {owner}""#)), "{owner} has heard {said}");
        }
    }
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
