//! What does a good client get, in a session and without one?

use super::world::*;
use crate::front::*;
use crate::wire::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
