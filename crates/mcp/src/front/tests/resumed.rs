//! Does a client whose connection breaks get the rest of its answer, and nobody else?

use super::world::*;
use crate::front::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Asks for what takes long, and goes once it has heard of progress. What it has heard.
async fn cut_off(world: &World, session: &str, id: u8) -> String {
    let mut wire = world.connect();
    let call = call("slow").replace("\"id\":7", &format!("\"id\":{id}"));
    let asked = request("ann", &[("Mcp-Session-Id", session)], &call);
    wire.write_all(asked.as_bytes()).await.unwrap();
    let mut heard = String::new();
    while !heard.contains("progress") {
        let mut bytes = [0; 4096];
        let count = wire.read(&mut bytes).await.unwrap();
        assert_ne!(count, 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    heard
}

async fn come_back(world: &World, token: &str, session: &str, event: &str) -> Got {
    let headers = [("Mcp-Session-Id", session), ("Last-Event-ID", event)];
    world.send(&request(token, &headers, "").replacen("POST", "GET", 1)).await
}

/// Waits until the session's stream is parked, which happens as the front notices that nobody reads.
async fn settled() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_was_cut_off_comes_back_for_the_rest_and_misses_nothing() {
    let world = World::new(Caps::default());
    let session = world.begin("ann").await;
    let heard = cut_off(&world, &session, 7).await;
    let first = heard.find("id: 1-0\nretry: 1000\ndata: \n\n").unwrap();
    assert!(heard.find("id: 1-1\nevent: message\n").unwrap() > first, "{heard}");
    settled().await;
    // A session opens nothing for another identity, nor does the name of an event that never was.
    assert_eq!(come_back(&world, "bob", &session, "1-1").await.status, 404);
    for never in ["1-2", "2-0", "1", "-", "1-x", "", "1-18446744073709551615", "0-0"] {
        assert_eq!(come_back(&world, "ann", &session, never).await.status, 400, "{never}");
    }
    let talk = world.talk(0);
    talk.go.notify_one();
    let got = come_back(&world, "ann", &session, "1-1").await;
    assert_eq!((got.status, got.header("content-type")), (200, Some("text/event-stream")));
    assert!(
        got.body.contains("id: 1-2\nevent: message\n") && got.body.contains("hello"),
        "{got:?}"
    );
    assert!(!got.body.contains("progress"), "{got:?}");
    // Also what was sent whole may not have come.
    let got = come_back(&world, "ann", &session, "1-0").await;
    assert!(got.body.contains("progress") && got.body.contains("hello"), "{got:?}");
    assert!(!locked(&talk.heard).iter().any(|heard| heard.contains("cancelled")));
}

#[tokio::test]
async fn a_client_that_names_streams_first_can_come_back_for_any_answer() {
    let world = World::new(Caps::default());
    let session = world.begin("ann").await;
    let headers =
        [("Mcp-Session-Id", session.as_str()), ("Accept", "text/event-stream, application/json")];
    let got = world.post("ann", &headers, &call("echo")).await;
    assert!(got.body.contains("id: 1-0\n") && got.body.contains("id: 1-1\n"), "{got:?}");
    settled().await;
    let again = come_back(&world, "ann", &session, "1-0").await;
    assert!(again.body.contains("hello") && !again.body.contains("id: 1-0\n"), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_longer_than_a_while() {
    let world = World::new(Caps::default());
    let session = world.begin("ann").await;
    cut_off(&world, &session, 7).await;
    settled().await;
    let talk = world.talk(0);
    let cancelled = || locked(&talk.heard).iter().any(|heard| heard.contains("cancelled"));
    tokio::time::advance(Duration::from_secs(59)).await;
    world.front.patrol();
    settled().await;
    assert!(!cancelled());
    tokio::time::advance(Duration::from_secs(2)).await;
    world.front.patrol();
    settled().await;
    assert!(cancelled());
    assert_eq!(come_back(&world, "ann", &session, "1-1").await.status, 400);
}

#[tokio::test]
async fn an_older_client_is_told_nothing_that_it_does_not_know() {
    let world = World::new(Caps::default());
    let begin = INITIALIZE.replace("2025-11-25", "2025-06-18");
    let got = world.post("ann", &[], &begin).await;
    let session = got.header("mcp-session-id").unwrap().to_owned();
    let heard = cut_off(&world, &session, 7).await;
    assert!(!heard.contains("id: ") && !heard.contains("retry: "), "{heard}");
    let talk = world.talk(0);
    while !locked(&talk.heard).iter().any(|heard| heard.contains("cancelled")) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn few_streams_wait_and_an_ended_session_keeps_none() {
    let world = World::new(Caps::default());
    let session = world.begin("ann").await;
    for id in 1..=5 {
        cut_off(&world, &session, id).await;
        settled().await;
    }
    let talk = world.talk(0);
    let cancelled = |id: u8| {
        let wanted = format!("\"requestId\":{id}");
        locked(&talk.heard).iter().any(|heard| heard.contains(&wanted))
    };
    assert!(cancelled(1) && !cancelled(2), "the oldest went");
    assert_eq!(come_back(&world, "ann", &session, "1-0").await.status, 400);
    talk.go.notify_waiters();
    assert_eq!(come_back(&world, "ann", &session, "5-0").await.status, 200);
    settled().await;
    let end =
        request("ann", &[("Mcp-Session-Id", session.as_str())], "").replacen("POST", "DELETE", 1);
    assert_eq!(world.send(&end).await.status, 204);
    assert_eq!(come_back(&world, "ann", &session, "5-0").await.status, 404);
    settled().await;
    assert!(locked(&talk.heard).len() > 6, "{:?}", locked(&talk.heard));
}
