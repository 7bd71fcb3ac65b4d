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

#[tokio::test]
async fn a_crowd_of_identities_cannot_take_every_session_by_coming_first() {
    let world = World::new(Caps { total: 32, each: 8, ..Caps::default() });
    let mut taken = Vec::new();
    for who in ["ann", "bob", "cid", "dan", "eve"] {
        let mut full = Vec::new();
        for _ in 0..10 {
            match world.post(who, &[], INITIALIZE).await.status {
                200 => {}
                other => full.push(other),
            }
        }
        assert!(full.iter().all(|status| *status == 429), "{who}: {full:?}");
        taken.push(10 - full.len());
    }
    // Each takes its eight as long as as many are left, then half of the rest: there is always one for who comes next.
    assert_eq!(taken, [8, 8, 8, 4, 2]);
    assert_eq!(world.post("fay", &[], INITIALIZE).await.status, 200);
    let body = world.post("dan", &[], INITIALIZE).await.body;
    assert!(body.contains("as are left for all others"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn what_lies_idle_of_whoever_has_the_most_makes_room_for_who_has_less() {
    let world = World::new(Caps { total: 4, each: 3, ..Caps::default() });
    let first = world.begin("ann").await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let second = world.begin("ann").await;
    let (mine, next) = (world.begin("bob").await, world.begin("cid").await);
    // Nothing is idle for long yet, so there is no room, and nobody is put out.
    let full = world.post("dan", &[], INITIALIZE).await;
    assert_eq!((full.status, world.front.open()), (503, 4), "{full:?}");
    assert!(locked(&world.porter.noted).contains(&"too-many-sessions"));
    tokio::time::advance(Duration::from_mins(2)).await;
    let alive = async |who: &str, id: &str| {
        world.post(who, &[("Mcp-Session-Id", id)], &call("echo")).await.status == 200
    };
    // `ann` uses her older one, so the other is the one that gives way; nobody else loses theirs.
    assert!(alive("ann", &first).await);
    assert_eq!(world.post("dan", &[], INITIALIZE).await.status, 200);
    assert!(!alive("ann", &second).await && alive("ann", &first).await);
    assert!(alive("bob", &mine).await && alive("cid", &next).await);
    tokio::time::advance(Duration::from_mins(2)).await;
    // All have one, and one more than those is no reason to take anything from them.
    assert_eq!(world.post("eve", &[], INITIALIZE).await.status, 503);
    // Who has an idle one of their own changes it for another, and takes from nobody.
    assert_eq!(world.post("ann", &[], INITIALIZE).await.status, 200);
    assert!(!alive("ann", &first).await && alive("bob", &mine).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_use_is_never_taken_for_anybody() {
    let world = World::new(Caps { total: 3, each: 3, ..Caps::default() });
    let mut used = Vec::new();
    for _ in 0..2 {
        let id = world.begin("ann").await;
        let mut wire = world.connect();
        let asked = request("ann", &[("Mcp-Session-Id", id.as_str())], &call("never"));
        wire.write_all(asked.as_bytes()).await.unwrap();
        used.push(wire);
    }
    let mine = world.begin("bob").await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_mins(10)).await;
    assert_eq!(world.post("cid", &[], INITIALIZE).await.status, 503);
    assert_eq!(world.front.open(), 3);
    let alive = world.post("bob", &[("Mcp-Session-Id", mine.as_str())], &call("echo")).await;
    assert_eq!(alive.status, 200);
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
    // On a slow machine they were given streams meanwhile, four of which are kept for who may come back; the session's end
    // takes those along.
    let before = heard();
    drop(waiting);
    while heard() < before + 5 {
        tokio::task::yield_now().await;
    }
    let end = request("ann", &[("Mcp-Session-Id", &ann)], "").replacen("POST", "DELETE", 1);
    assert_eq!(world.send(&end).await.status, 204);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let ann = world.begin("ann").await;
    for id in 0..9 {
        let again = world.send(&long("ann", &ann, ("echo", 40 + id))).await;
        assert_eq!(again.status, 200, "{id}");
    }
}
