//! What do frames of HTTP/2 achieve that no client writes? Each is made by hand.

use crate::court::{Judge, Site, Way, echo};
use crate::requests::{BOTH, PREFACE, h2, http2_client};
use crate::support::soon;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Frames of HTTP/2 by hand: a length, a type, flags, a stream, a payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block without indexing: each name and value as a literal.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// Sends frames after the preface and reads until the connection ends or says nothing for a while.
async fn frames(way: &Way, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut stream = way.tls(&[b"h2"]).await;
    let hello = [PREFACE, &frame(4, 0, 0, &[])].concat();
    stream.write_all(&hello).await.unwrap();
    // The peer may close before it has read all: that is what some of these are for.
    drop(stream.write_all(bytes).await);
    drop(stream.flush().await);
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let closed = tokio::time::timeout(Duration::from_secs(3), reading).await.is_ok();
    (answer, closed)
}

#[tokio::test]
async fn pseudo_headers_that_are_abused_reach_nobody() {
    let site = Site::start(&BOTH, echo).await;
    let way = Way::to(&site, Judge::yes()).await;
    let host = format!("ok.test:{}", site.port);
    let good = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", host.as_str()),
        (":path", "/good"),
    ];
    let (answer, _) = frames(&way, &frame(1, 5, 1, &block(&good))).await;
    assert!(String::from_utf8_lossy(&answer).contains("GET /good"), "the frames are sound");
    let before = site.lines().len();
    let swapped = |name: &'static str, value: &'static str| {
        let mut fields = good.to_vec();
        for field in &mut fields {
            if field.0 == name {
                field.1 = value;
            }
        }
        fields
    };
    let with = |name: &'static str, value: &'static str| {
        let mut fields = good.to_vec();
        fields.push((name, value));
        fields
    };
    for fields in [
        with(":path", "/second"),
        with(":authority", "evil.test"),
        with(":evil", "x"),
        with("Upper", "x"),
        with("transfer-encoding", "chunked"),
        with("connection", "close"),
        with("x", "a\r\nget /smuggled http/1.1"),
        with("host", "evil.test"),
        swapped(":path", "/a b"),
        swapped(":path", "/a\r\nX: y"),
        swapped(":path", "evil"),
        swapped(":scheme", "http"),
        swapped(":authority", "evil.test"),
        swapped(":method", "G ET"),
        swapped(":method", "CONNECT"),
        vec![(":method", "GET"), (":path", "/")],
        vec![
            ("x", "first"),
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "ok.test"),
            (":path", "/"),
        ],
    ] {
        let (answer, _) = frames(&way, &frame(1, 5, 1, &block(&fields))).await;
        assert!(!String::from_utf8_lossy(&answer).contains("GET /"), "{fields:?}");
    }
    assert_eq!(site.lines().len(), before, "{:?}", site.lines());
}

#[tokio::test]
async fn a_flood_of_resets_or_continuations_closes_the_connection() {
    let site = Site::start(&BOTH, echo).await;
    let way = Way::to(&site, Judge::yes()).await;
    let host = format!("ok.test:{}", site.port);
    let good =
        block(&[(":method", "GET"), (":scheme", "https"), (":authority", &host), (":path", "/r")]);
    let mut flood = Vec::new();
    for n in 0..2_000 {
        flood.extend(frame(1, 5, n * 2 + 1, &good));
        flood.extend(frame(3, 0, n * 2 + 1, &8u32.to_be_bytes()));
    }
    let (_, closed) = frames(&way, &flood).await;
    assert!(closed, "2000 streams were opened and reset");
    assert!(site.lines().len() < 1_000, "{}", site.lines().len());
    // A head that never ends.
    let mut flood = frame(1, 1, 1, &good);
    for _ in 0..2_000 {
        flood.extend(frame(9, 0, 1, &block(&[("x", &"a".repeat(100))])));
    }
    let before = site.lines().len();
    let (_, closed) = frames(&way, &flood).await;
    assert!(closed, "an endless head was read on");
    assert_eq!(site.lines().len(), before);
    // The next client is served as ever.
    let mut sender = http2_client(&way).await;
    let response = soon(sender.send_request(h2("GET", format!("https://{host}/")))).await.unwrap();
    assert_eq!(response.status(), 200);
}
