//! What can one client take from the others? A few sessions, and a little time.

use super::world::*;
use crate::front::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
async fn long_requests_that_nobody_answers_do_not_fill_the_memory_nor_keep_others_out() {
    let world = World::new(Caps::default());
    let (ann, bob) = (world.begin("ann").await, world.begin("bob").await);
    let long = |who: &str, session: &str, (name, id): (&str, usize)| {
        let padding = "x".repeat(7 << 20);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{{"x":"{padding}"}}}}}}"#
        );
        request(who, &[("Mcp-Session-Id", session)], &body)
    };
    let heard = || locked(&world.talk(0).heard).len();
    let mut waiting = Vec::new();
    for id in 0..9 {
        let mut wire = world.connect();
        wire.write_all(long("ann", &ann, ("never", 20 + id)).as_bytes()).await.unwrap();
        waiting.push(wire);
        while heard() < id + 2 {
            tokio::task::yield_now().await;
        }
    }
    // Nine times seven of 64 MiB; another seven have no room.
    let mut tenth = world.connect();
    tenth
        .write_all(
            request("ann", &[("Mcp-Session-Id", &ann), ("Content-Length", "7000000")], "")
                .as_bytes(),
        )
        .await
        .unwrap();
    let mut bytes = vec![0; 4096];
    let count = tenth.read(&mut bytes).await.unwrap();
    assert_eq!(read(&bytes[..count]).status, 503);
    assert!(locked(&world.porter.noted).contains(&"too-much-waits"));
    let short = world.post("ann", &[("Mcp-Session-Id", &ann)], &call("echo")).await;
    assert_eq!(short.status, 200, "a short one needs none");
    assert_eq!(world.send(&long("bob", &bob, ("echo", 1))).await.status, 200, "nor does another");
    // Those who wait have gone: what they asked is cancelled, and all that they held is free.
    let before = heard();
    drop(waiting);
    while heard() < before + 9 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    for id in 0..9 {
        let again = world.send(&long("ann", &ann, ("echo", 40 + id))).await;
        assert_eq!(again.status, 200, "{id}");
    }
}
