//! Is each request on a connection read in one way, judged by itself, and sent as it was judged?

use crate::court::{Judge, Making, Site, Way, echo, no};
use crate::support::{soon, until};
use bartizan_egress::terminate::RequestLimits;
use bartizan_egress::{Allowances, Ended, HttpEnded, Limits, Tls};
use bartizan_gate::name::HostPort;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const BOTH: [&[u8]; 2] = [b"h2", b"http/1.1"];
const OLDER: [&[u8]; 1] = [b"http/1.1"];
/// Nothing is ever said where this stands: an answer means that a request got through.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn get_only() -> Arc<Judge> {
    Judge::new(|request| if request.method() == "GET" { Ok(None) } else { Err(no()) })
}

pub(crate) async fn http2_client(way: &Way) -> SendRequest<Full<Bytes>> {
    let stream = way.tls(&[b"h2"]).await;
    assert_eq!(
        stream.get_ref().1.alpn_protocol(),
        Some(&b"h2"[..]),
        "the site's choice is mirrored"
    );
    let builder = http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = soon(builder.handshake(TokioIo::new(stream))).await.unwrap();
    drop(tokio::spawn(connection));
    sender
}

pub(crate) fn h2(method: &str, uri: String) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(uri).body(Full::default()).unwrap()
}

#[tokio::test]
async fn get_passes_and_post_does_not_on_one_kept_connection() {
    let site = Site::start(&OLDER, echo).await;
    let mut way = Way::to(&site, get_only()).await;
    let mut stream = way.tls(&BOTH).await;
    assert_eq!(
        stream.get_ref().1.alpn_protocol(),
        Some(&b"http/1.1"[..]),
        "the site's choice is mirrored"
    );
    let host = site.port;
    for round in 0..3 {
        let get = format!("GET /a{round}?q=1 HTTP/1.1\r\nHost: ok.test:{host}\r\n\r\n");
        stream.write_all(get.as_bytes()).await.unwrap();
        let answer = until(&mut stream, "\n\n").await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains(&format!("GET /a{round}?q=1")),
            "{answer}"
        );
        let post = format!(
            "POST /a{round} HTTP/1.1\r\nHost: ok.test:{host}\r\nContent-Length: 5\r\n\r\nhello"
        );
        stream.write_all(post.as_bytes()).await.unwrap();
        let answer = until(&mut stream, "}}\n").await;
        assert!(
            answer.starts_with("HTTP/1.1 403") && answer.contains("bartizan-approval: 1a2b3c4d"),
            "{answer}"
        );
        let json = "{\"error\":{\"by\":\"bartizan\",\"code\":\"policy-denied\",\"message\":\"policy does not allow it\",\"approval\":\"1a2b3c4d\"}}";
        assert!(
            answer.contains(json) && answer.contains("bartizan-reason: policy-denied"),
            "{answer}"
        );
    }
    drop(stream);
    assert_eq!(site.lines(), ["GET /a0?q=1", "GET /a1?q=1", "GET /a2?q=1"]);
    let report = way.report().await;
    assert_eq!(report.sni.unwrap().to_string(), "ok.test");
    assert!(report.address.is_some() && report.bytes_out > 0 && report.bytes_in > 0);
    let outcomes = way.judge.outcomes.lock().unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.status == Some(200)) && outcomes.len() == 3);
}

#[tokio::test]
async fn http2_passes_on_both_sides_and_is_judged_stream_by_stream() {
    let site = Site::start(&BOTH, echo).await;
    let way = Way::to(&site, get_only()).await;
    let mut sender = http2_client(&way).await;
    let at = |path: &str| format!("https://ok.test:{}{path}", site.port);
    let mut several = Vec::new();
    for n in 0..20 {
        sender.ready().await.unwrap();
        let method = if n % 4 == 3 { "POST" } else { "GET" };
        several.push(sender.send_request(h2(method, at(&format!("/{n}")))));
    }
    for (n, sent) in several.into_iter().enumerate() {
        let response = soon(sent).await.unwrap();
        let refused = n % 4 == 3;
        assert_eq!(response.status(), if refused { 403 } else { 200 }, "{n}");
        let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains(if refused { "policy-denied" } else { "GET /" }), "{text}");
    }
    assert!(site.arrived.lock().unwrap().iter().all(|one| one.version == Version::HTTP_2));
    assert_eq!(site.lines().len(), 15);
}

#[tokio::test]
async fn a_body_streams_both_ways_and_is_counted() {
    let site =
        Site::start(&BOTH, |arrived| Response::new(Full::new(arrived.body.clone().into()))).await;
    let way = Way::to(&site, Judge::yes()).await;
    let body = Bytes::from(vec![b'x'; 3 << 20]);
    let mut sender = http2_client(&way).await;
    let request =
        Request::put(format!("https://ok.test:{}/up", site.port)).body(Full::new(body.clone()));
    let response = soon(sender.send_request(request.unwrap())).await.unwrap();
    assert_eq!(soon(response.into_body().collect()).await.unwrap().to_bytes(), body);
    let text = String::from_utf8(body.to_vec()).unwrap();
    let answer = way.ask("PUT /up", "", &text).await;
    assert!(answer.ends_with(&text), "{} bytes came back", answer.len());
    for outcome in way.judge.outcomes.lock().unwrap().iter() {
        assert_eq!((outcome.bytes_out, outcome.bytes_in), (3 << 20, 3 << 20));
    }
}

/// ATTACKS N13.
#[tokio::test]
async fn a_kept_connection_is_no_licence_once_policy_has_changed() {
    let site = Site::start(&OLDER, echo).await;
    let open = Arc::new(AtomicBool::new(true));
    let gate = Arc::clone(&open);
    let judge = Judge::new(move |_| if gate.load(Ordering::SeqCst) { Ok(None) } else { Err(no()) });
    let way = Way::to(&site, judge).await;
    let mut stream = way.tls(&OLDER).await;
    let get = format!("GET / HTTP/1.1\r\nHost: ok.test:{}\r\n\r\n", site.port);
    stream.write_all(get.as_bytes()).await.unwrap();
    assert!(until(&mut stream, "\n\n").await.starts_with("HTTP/1.1 200"));
    open.store(false, Ordering::SeqCst);
    stream.write_all(get.as_bytes()).await.unwrap();
    assert!(until(&mut stream, "}}\n").await.starts_with("HTTP/1.1 403"));
    assert_eq!(site.lines().len(), 1);
}

/// ATTACKS N14.
#[tokio::test]
async fn a_path_is_judged_and_sent_in_its_one_reading() {
    let site = Site::start(&OLDER, echo).await;
    let judge =
        Judge::new(|request| if request.path().starts_with("/ok/") { Ok(None) } else { Err(no()) });
    let way = Way::to(&site, judge).await;
    for path in ["/ok/../admin", "/ok/%2e%2e/admin", "/ok/.%2E/admin", "/%6fk/../admin"] {
        let answer = way.ask(&format!("GET {path}"), "", "").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
    }
    for path in [
        "/ok/..%2fadmin",
        "/ok//admin",
        "/ok/..;/admin",
        "/ok/..%5cadmin",
        "/ok/%252e%252e/admin",
        "/ok/%00",
    ] {
        let answer = way.ask(&format!("GET {path}"), "", "").await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("path-ambiguous"),
            "{path}: {answer}"
        );
    }
    for header in [
        "X-HTTP-Method-Override: DELETE\r\n",
        "X-HTTP-Method: PUT\r\n",
        "X-Method-Override: PUT\r\n",
        "X_HTTP_Method_Override: PUT\r\n",
    ] {
        let answer = way.ask("GET /ok/a", header, "").await;
        assert!(answer.contains("method-override"), "{header}: {answer}");
    }
    for query in ["_method=DELETE", "a=1;_method=PUT", "%5Fmethod=PUT", "a&_method[]=PUT"] {
        let answer = way.ask(&format!("POST /ok/a?{query}"), "", "").await;
        assert!(answer.contains("method-override"), "{query}: {answer}");
    }
    for header in
        ["X-Original-URL: /admin\r\n", "X-Rewrite-Url: /admin\r\n", "x_original_url: /admin\r\n"]
    {
        let answer = way.ask("GET /ok/a", header, "").await;
        assert!(answer.contains("path-override"), "{header}: {answer}");
    }
    assert!(site.lines().is_empty(), "{:?}", site.lines());
    for (path, sent) in
        [("/ok/a", "/ok/a"), ("/x/../ok/%61?q=/../", "/ok/a?q=/../"), ("/ok/@s%2fp", "/ok/@s%2Fp")]
    {
        let answer = way.ask(&format!("GET {path}"), "", "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert_eq!(site.lines().last().unwrap(), &format!("GET {sent}"));
    }
}

/// What a server would take for the host's, the sender's or the framing, by another spelling or another header.
#[tokio::test]
async fn what_says_a_second_time_where_a_request_goes_is_left_out() {
    let site = Site::start(&OLDER, echo).await;
    let way = Way::to(&site, Judge::yes()).await;
    let headers = "X-Forwarded-Host: evil\r\nX-Forwarded-Prefix: /admin\r\nX_Forwarded_Host: evil\r\nX-Host: evil\r\n\
                   Content_Length: 0\r\nTransfer_Encoding: chunked\r\nX_Plain: 1\r\n";
    let answer = way.ask("GET /ok", headers, "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut got: Vec<String> = site.last().headers.iter().map(|(name, _)| name.clone()).collect();
    got.sort();
    assert_eq!(got, ["host", "x_plain"]);
}

/// ATTACKS N10, above TLS.
#[tokio::test]
async fn a_request_for_another_host_is_misdirected() {
    let site = Site::start(&BOTH, echo).await;
    let way = Way::to(&site, Judge::yes()).await;
    let port = site.port;
    for text in [
        "GET / HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: ok.test\r\nConnection: close\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: ok.test:{port}@evil.test\r\nConnection: close\r\n\r\n"),
        format!(
            "GET https://evil.test/ HTTP/1.1\r\nHost: ok.test:{port}\r\nConnection: close\r\n\r\n"
        ),
        format!(
            "GET http://ok.test:{port}/ HTTP/1.1\r\nHost: ok.test:{port}\r\nConnection: close\r\n\r\n"
        ),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
    ] {
        let answer = way.raw(text.as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 421") || answer.starts_with("HTTP/1.0 421"),
            "{text}: {answer}"
        );
    }
    let mut sender = http2_client(&way).await;
    for uri in [
        "https://evil.test/".to_owned(),
        format!("http://ok.test:{port}/"),
        "https://ok.test/".to_owned(),
    ] {
        let response = soon(sender.send_request(h2("GET", uri.clone()))).await.unwrap();
        assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{uri}");
    }
    let mut other = h2("GET", format!("https://ok.test:{port}/"));
    other.headers_mut().insert("host", "evil.test".parse().unwrap());
    assert_eq!(soon(sender.send_request(other)).await.unwrap().status(), 421);
    assert!(site.lines().is_empty(), "{:?}", site.lines());
    let good =
        soon(sender.send_request(h2("GET", format!("https://ok.test:{port}/")))).await.unwrap();
    assert_eq!(good.status(), 200);
}

#[tokio::test]
async fn nothing_is_smuggled_behind_a_request() {
    let site = Site::start(&OLDER, echo).await;
    let way = Way::to(&site, get_only()).await;
    let host = format!("Host: ok.test:{}\r\n", site.port);
    let evil = format!("GET /smuggled HTTP/1.1\r\n{host}\r\n");
    for head in [
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", evil.len()),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n Content-Length: 3\r\n".to_owned(),
        "Content-Length: 5\r\nContent-Length: 0\r\n".to_owned(),
        "Content-Length: 0x5\r\n".to_owned(),
        "X: y\nContent-Length: 0\r\n".to_owned(),
        host.clone(),
    ] {
        let answer = way
            .raw(format!("GET /first HTTP/1.1\r\n{host}{head}\r\n0\r\n\r\n{evil}").as_bytes())
            .await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer}");
        assert!(answer.contains("malformed-request"), "{head:?}: {answer}");
    }
    assert!(site.lines().is_empty(), "{:?}", site.lines());
    // A request in the body of another is its body, and its own judge says no.
    let body = format!("POST /inner HTTP/1.1\r\n{host}\r\n");
    let text =
        format!("GET /outer HTTP/1.1\r\n{host}Content-Length: {}\r\n\r\n{body}{body}", body.len());
    let answer = way.raw(text.as_bytes()).await;
    assert!(answer.contains("HTTP/1.1 200") && answer.contains("HTTP/1.1 403"), "{answer}");
    assert_eq!(site.lines(), ["GET /outer"]);
    assert_eq!(site.last().body, body.as_bytes());
}

#[tokio::test]
async fn methods_and_upgrades_that_never_pass_do_not() {
    let site = Site::start(&OLDER, echo).await;
    let way = Way::to(&site, Judge::yes()).await;
    for line in ["TRACE /", "TRACK /"] {
        assert!(way.ask(line, "", "").await.starts_with("HTTP/1.1 405"), "{line}");
    }
    assert!(
        way.raw(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 4")
    );
    let preface = way.raw(PREFACE).await;
    assert!(preface.starts_with("HTTP/1.1 400"), "{preface}");
    let offer = "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    assert!(way.ask("GET /plain", offer, "").await.starts_with("HTTP/1.1 200"));
    let got = site.last();
    assert!(got.all("upgrade").is_empty() && got.all("http2-settings").is_empty(), "{got:?}");
    assert_eq!(site.lines(), ["GET /plain"]);
}

/// ATTACKS N15.
#[tokio::test]
async fn a_websocket_has_a_rule_of_its_own() {
    let (listener, port) = crate::support::listen().await;
    let (config, roots) = crate::court::certified("ok.test", &OLDER);
    let server = tokio::spawn(async move {
        // The handshake's answer, then whatever comes, back.
        let acceptor = tokio_rustls::TlsAcceptor::from(config);
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let head = until(&mut stream, "\r\n\r\n").await;
                assert!(head.to_lowercase().contains("upgrade: websocket"), "{head}");
                let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                let (mut read, mut write) = tokio::io::split(stream);
                drop(tokio::io::copy(&mut read, &mut write).await);
                drop(write.shutdown().await);
            });
        }
    });
    let site = Site::start(&OLDER, echo).await.moved(port, roots);
    let ask = format!(
        "GET /chat HTTP/1.1\r\nHost: ok.test:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    let refusing = Judge::new(|request| if request.is_websocket() { Err(no()) } else { Ok(None) });
    let way = Way::to(&site, refusing).await;
    let mut stream = way.tls(&OLDER).await;
    stream.write_all(ask.as_bytes()).await.unwrap();
    assert!(until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 403"));
    drop((stream, way));
    let way = Way::to(&site, Judge::yes()).await;
    let mut stream = way.tls(&OLDER).await;
    stream.write_all(ask.replacen("GET", "POST", 1).as_bytes()).await.unwrap();
    assert!(until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    drop((stream, way));
    let mut way = Way::to(&site, Judge::yes()).await;
    let mut stream = way.tls(&OLDER).await;
    stream.write_all(ask.as_bytes()).await.unwrap();
    let head = until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    // Frames are any bytes: these would be a request to a sloppy reader.
    let bytes = b"\x82\x05GET / HTTP/1.1\r\n\r\n";
    stream.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    soon(stream.read_exact(&mut back)).await.unwrap();
    assert_eq!(back, bytes);
    stream.shutdown().await.unwrap();
    drop(stream);
    let report = way.report().await;
    assert!(report.bytes_out > bytes.len() as u64 && report.ended == Ended::Finished, "{report:?}");
    server.abort();
}

#[tokio::test]
async fn plain_http_is_judged_request_by_request_too() {
    let site = Site::plain().await;
    let making = Making { tls: Tls::Terminate, ..Making::default() };
    let way = Way::made(&site, get_only(), making).await;
    let mut stream = way.tunnel().await;
    let host = format!("Host: ok.test:{}\r\n", site.port);
    let both = format!(
        "GET /a HTTP/1.1\r\n{host}\r\nPOST /b HTTP/1.1\r\n{host}Content-Length: 1\r\nConnection: close\r\n\r\nx"
    );
    stream.write_all(both.as_bytes()).await.unwrap();
    let answer = crate::support::rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("HTTP/1.1 403"), "{answer}");
    assert_eq!(site.lines(), ["GET /a"]);
}

#[tokio::test]
async fn a_passthrough_host_shows_its_own_certificate() {
    let site = Site::start(&OLDER, echo).await;
    let making = Making { tls: Tls::PassThrough, ..Making::default() };
    let way = Way::made(&site, Judge::yes(), making).await;
    let name = rustls::pki_types::ServerName::try_from("ok.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(way.client(&OLDER));
    let error = soon(connector.connect(name, way.tunnel().await)).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(way.judge.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_site_that_is_not_believed_is_not_spoken_to() {
    let site = Site::start(&BOTH, echo).await;
    let making = Making { believed: false, ..Making::default() };
    let way = Way::made(&site, Judge::yes(), making).await;
    let answer = way.ask("GET /", "", "").await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("upstream-tls"), "{answer}");
    assert!(site.lines().is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_believe_us_is_told_apart() {
    let site = Site::start(&OLDER, echo).await;
    let mut way = Way::to(&site, Judge::yes()).await;
    let (_, stranger) = crate::tls::pair("ok.test");
    let name = rustls::pki_types::ServerName::try_from("ok.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(stranger);
    assert!(soon(connector.connect(name, way.tunnel().await)).await.is_err());
    let Ended::Refused(refusal) = way.report().await.ended else { panic!("not refused") };
    assert_eq!(refusal.code(), "client-tls");
}

#[tokio::test]
async fn a_budget_that_is_used_up_refuses() {
    let site = Site::start(&OLDER, echo).await;
    let target = HostPort::parse(&format!("ok.test:{}", site.port)).unwrap();
    let two = Limits { requests: Some(2), ..Limits::default() };
    let allowances = Allowances::new(Limits::default(), [(target.clone(), two)]);
    let way = Way::made(&site, Judge::yes(), Making { allowances, ..Making::default() }).await;
    for _ in 0..2 {
        assert!(way.ask("GET /", "", "").await.starts_with("HTTP/1.1 200"));
    }
    let answer = way.ask("GET /", "", "").await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("budget-spent"), "{answer}");
    assert_eq!(way.judge.stopped(), ["budget-spent"]);
    // Bytes are counted while they go.
    let few = Limits { bytes_out: Some(20_000), ..Limits::default() };
    let allowances = Allowances::new(Limits::default(), [(target, few)]);
    let way = Way::made(&site, Judge::yes(), Making { allowances, ..Making::default() }).await;
    assert!(way.ask("PUT /small", "", "x").await.starts_with("HTTP/1.1 200"));
    let before = site.lines().len();
    let answer = way.ask("PUT /large", "", &"x".repeat(100_000)).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(site.lines().len(), before, "it arrived whole");
    assert!(way.ask("GET /", "", "").await.contains("budget-spent"));
}

/// ATTACKS N16: what is allowed to be sent is not allowed to be endless, whether it says its length or not.
#[tokio::test]
async fn a_body_over_its_limit_does_not_arrive() {
    let site = Site::start(&BOTH, echo).await;
    let target = HostPort::parse(&format!("ok.test:{}", site.port)).unwrap();
    let limited = Limits { body: Some(1000), ..Limits::default() };
    let allowances = Allowances::new(Limits::default(), [(target, limited)]);
    let way = Way::made(&site, Judge::yes(), Making { allowances, ..Making::default() }).await;
    let answer = way.ask("POST /fits", "", &"x".repeat(1000)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = way.ask("POST /announced", "", &"x".repeat(1001)).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body-too-large"), "{answer}");
    assert_eq!(way.judge.stopped(), ["body-too-large"]);
    let chunks = |count: usize| {
        let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
        format!(
            "POST /chunked HTTP/1.1\r\nHost: ok.test:{}\r\nConnection: close\r\n\
             Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            site.port,
            chunk.repeat(count)
        )
    };
    assert!(way.raw(chunks(10).as_bytes()).await.starts_with("HTTP/1.1 200"));
    let answer = way.raw(chunks(11).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body-too-large"), "{answer}");
    assert_eq!(site.lines(), ["POST /fits", "POST /chunked"], "it arrived whole");
    let outcomes = way.judge.outcomes.lock().unwrap();
    let last = outcomes.last().unwrap();
    assert!(matches!(&last.ended, HttpEnded::Refused(why) if why.code() == "body-too-large"));
    assert!(last.bytes_out <= 1000, "{last:?}");
}

#[tokio::test]
async fn a_slow_head_is_not_waited_for() {
    let site = Site::start(&OLDER, echo).await;
    let limits = RequestLimits { head: Duration::from_millis(200), ..RequestLimits::default() };
    let way = Way::made(&site, Judge::yes(), Making { limits, ..Making::default() }).await;
    let mut stream = way.tls(&OLDER).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ok").await.unwrap();
    let mut answer = Vec::new();
    drop(soon(stream.read_to_end(&mut answer)).await);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("head-timeout"), "{answer}");
    // Idling before a request is not slowness.
    let mut stream = way.tls(&OLDER).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let get = format!("GET / HTTP/1.1\r\nHost: ok.test:{}\r\n\r\n", site.port);
    stream.write_all(get.as_bytes()).await.unwrap();
    assert!(until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn huge_heads_are_refused() {
    let site = Site::start(&BOTH, echo).await;
    let way = Way::to(&site, Judge::yes()).await;
    let answer = way.ask("GET /", &format!("X: {}\r\n", "a".repeat(20_000)), "").await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = way.ask("GET /", &"X: a\r\n".repeat(150), "").await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let mut sender = http2_client(&way).await;
    let mut huge = h2("GET", format!("https://ok.test:{}/", site.port));
    for n in 0..40 {
        let name: hyper::header::HeaderName = format!("x-{n}").parse().unwrap();
        huge.headers_mut().insert(name, "a".repeat(1000).parse().unwrap());
    }
    if let Ok(response) = soon(sender.send_request(huge)).await {
        assert_eq!(response.status(), 431);
    }
    assert!(site.lines().is_empty(), "{:?}", site.lines());
}

/// ATTACKS N09: what a redirect leads to is asked for afresh, by whoever follows it.
#[tokio::test]
async fn a_redirect_is_not_followed_by_us() {
    let site = Site::start(&OLDER, |_| {
        let response =
            Response::builder().status(302).header("location", "https://169.254.169.254/latest");
        response.body(Full::default()).unwrap()
    })
    .await;
    let way = Way::to(&site, Judge::yes()).await;
    let answer = way.ask("GET /", "", "").await;
    assert!(answer.starts_with("HTTP/1.1 302") && answer.contains("169.254.169.254"), "{answer}");
    assert_eq!(site.lines().len(), 1);
}

#[tokio::test]
async fn the_end_of_a_client_is_the_end_of_its_request() {
    let site = Site::start(&BOTH, echo).await;
    let mut way = Way::to(&site, Judge::yes()).await;
    let stream = way.tls(&[b"h2"]).await;
    let builder = http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) =
        builder.handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.unwrap();
    let running = tokio::spawn(connection);
    let request =
        Request::get(format!("https://ok.test:{}/", site.port)).body(Empty::new()).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    drop((response, sender));
    running.abort();
    let report = way.report().await;
    assert!(report.bytes_in > 0, "{report:?}");
    assert_eq!(way.judge.outcomes.lock().unwrap().len(), 1);
}
