//! What of an answer reaches the box when the host compresses it, or began it before the secret was used?

use crate::court::{Arrived, Making, Site, Way, certified};
use crate::credentials::{VALUE, granting, injector, placeholders, way};
use crate::support::{listen, rest, soon, until};
use bartizan_egress::HttpEnded;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A text that holds the value, as `gzip`, `zstd` and Node write it.
const TEXT: &str = include_str!("../coded/text");
const CODED: [(&str, &str, &[u8]); 5] = [
    ("br", "br", include_bytes!("../coded/text.br")),
    ("raw", "deflate", include_bytes!("../coded/text.raw")),
    ("zlib", "deflate", include_bytes!("../coded/text.zz")),
    ("gzip", "x-gzip", include_bytes!("../coded/text.gz")),
    ("zstd", "zstd", include_bytes!("../coded/text.zst")),
];

/// Answers in the coding that the path names.
fn compressing(arrived: &Arrived) -> Response<Full<Bytes>> {
    let asked = arrived.line.rsplit('/').next().unwrap_or_default();
    let (asked, named) = asked.split_once('+').unwrap_or((asked, "keep-alive"));
    let known = CODED.iter().find(|(name, ..)| *name == asked);
    let (coding, body) = match asked {
        "lie" => ("gzip", Bytes::from_static(b"ghp_realValue0123456789abcdefghijklmn")),
        "cut" => ("gzip", Bytes::from_static(CODED[3].2).slice(..2000)),
        "twice" => ("gzip, br", Bytes::from_static(CODED[0].2)),
        "compress" => ("compress", Bytes::from_static(b"\x1F\x9Dghp_realValue0123456789")),
        _ => known.map_or(("identity", Bytes::new()), |(_, coding, body)| {
            (*coding, Bytes::from_static(body))
        }),
    };
    let response = Response::builder().header("content-encoding", coding).header("etag", "\"1\"");
    let response = response.header("connection", named);
    response.body(Full::new(body)).unwrap()
}

/// ATTACKS K03: the box's client may ask for what it likes, and the host may answer as it likes.
#[tokio::test]
async fn a_compressed_echo_is_read_and_taken_out() {
    assert!(TEXT.contains(VALUE));
    let site = Site::start(&[b"http/1.1"], compressing).await;
    let way = way(&site, "bearer", Some(VALUE)).await;
    for (name, ..) in CODED {
        let line = format!("GET /api/{name}");
        let answer = way.ask(&line, "Accept-Encoding: gzip, br, zstd\r\n", "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
        assert_eq!(site.last().all("accept-encoding"), ["identity"]);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(!head.contains("content-encoding") && head.contains("etag: w/"), "{name}: {head}");
        assert!(!body.contains(VALUE) && body.contains("[REDACTED:github:"), "{name}: {body}");
        for line in TEXT.lines().filter(|line| !line.contains(VALUE)) {
            assert!(body.contains(line), "{name} lost {line}");
        }
        assert_eq!(way.judge.outcomes.lock().unwrap().last().unwrap().hidden, 1, "{name}");
    }
}

/// A host may call any header one of its connection's alone, and that one says how the rest is read.
#[tokio::test]
async fn an_echo_is_read_also_when_the_host_would_have_its_coding_dropped() {
    let site = Site::start(&[b"http/1.1"], compressing).await;
    let way = way(&site, "bearer", Some(VALUE)).await;
    let answer = way.ask("GET /api/gzip+content-encoding", "", "").await;
    assert!(answer.contains("[REDACTED:github:") && !answer.contains(VALUE), "{answer}");
    let answer = way.ask("GET /api/compress+content-encoding", "", "").await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("unscannable"), "{answer}");
}

#[tokio::test]
async fn what_cannot_be_decoded_is_withheld_with_a_reason() {
    let site = Site::start(&[b"http/1.1"], compressing).await;
    let way = way(&site, "bearer", Some(VALUE)).await;
    for name in ["compress", "twice"] {
        let answer = way.ask(&format!("GET /api/{name}"), "", "").await;
        assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("unscannable"), "{answer}");
    }
    for name in ["lie", "cut"] {
        let answer = way.ask(&format!("GET /api/{name}"), "", "").await;
        assert!(!answer.contains("ghp_real"), "{name}: {answer}");
        assert!(!answer.ends_with("0\r\n\r\n"), "{name} looks whole: {answer}");
    }
    let outcomes = way.judge.outcomes.lock().unwrap();
    let ends: Vec<&HttpEnded> = outcomes.iter().map(|outcome| &outcome.ended).collect();
    let [HttpEnded::Refused(_), HttpEnded::Refused(_), HttpEnded::Refused(lie), HttpEnded::Broken] =
        ends.as_slice()
    else {
        panic!("{ends:?}");
    };
    assert_eq!(lie.code(), "unscannable");
}

/// A host whose answer to `/slow` goes on with what another request told it.
struct Gossip {
    told: watch::Sender<Option<String>>,
}

impl Gossip {
    async fn serve(self: Arc<Self>, mut stream: TlsStream<TcpStream>) {
        let head = until(&mut stream, "\r\n\r\n").await;
        let start = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nbegun\n";
        stream.write_all(start.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        if head.starts_with("GET /slow") {
            assert!(!head.to_lowercase().contains("authorization"), "{head}");
            let mut told = self.told.subscribe();
            let value = soon(told.wait_for(Option::is_some)).await.unwrap().clone().unwrap();
            stream
                .write_all(format!("the token is {value}, says another\n").as_bytes())
                .await
                .unwrap();
        } else {
            let (_, value) = head.split_once("Bearer ").or(head.split_once("bearer ")).unwrap();
            let value = value.lines().next().unwrap().to_owned();
            self.told.send_replace(Some(value));
        }
        drop(stream.shutdown().await);
    }
}

/// ATTACKS K03: an answer that began before the secret was first used does not know it yet, and must learn it.
#[tokio::test]
async fn a_value_first_used_later_is_hidden_in_an_answer_that_streams_already() {
    let (listener, port) = listen().await;
    let (config, roots) = certified("ok.test", &[b"http/1.1"]);
    let gossip = Arc::new(Gossip { told: watch::channel(None).0 });
    let (host, mut told) = (Arc::clone(&gossip), gossip.told.subscribe());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, host) = (TlsAcceptor::from(Arc::clone(&config)), Arc::clone(&host));
            open.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                host.serve(stream).await;
            });
        }
    });
    let site = Site::plain().await.moved(port, roots);
    let injector = injector(port, "bearer", "/api", (Some(VALUE), &placeholders()));
    let judge = granting(&site, "/api");
    let way = Way::made(&site, judge, Making { injector, ..Making::default() }).await;

    let mut slow = way.tls(&[b"http/1.1"]).await;
    let ask = format!("GET /slow HTTP/1.1\r\nHost: ok.test:{port}\r\nConnection: close\r\n\r\n");
    slow.write_all(ask.as_bytes()).await.unwrap();
    until(&mut slow, "begun\n").await;
    assert!(way.ask("GET /api", "", "").await.contains("begun"));
    let value = soon(told.wait_for(Option::is_some)).await.unwrap().clone().unwrap();
    assert_eq!(value, VALUE);
    let answer = rest(&mut slow).await;
    assert!(answer.contains("the token is [REDACTED:github:"), "{answer}");
    assert!(answer.contains("says another") && !answer.contains("realValue"), "{answer}");
}
