//! Does the model's API get its requests, the key with them, and the box never the key?

use crate::support::{Here, listen, rest, soon, until};
use crate::tls;
use bartizan_egress::model::{Filter, ModelEnded};
use bartizan_egress::resolve::Lookup;
use bartizan_egress::vault::Declared;
use bartizan_egress::{
    Arrival, Ended, FrontLimits, Judge, KeyPlace, ModelKey, ModelLimits, ModelOutcome,
    ModelRequest, ModelRoute, Refusal, Resolver, SecretRef, Status, SyntheticNames, Upstream,
    Vault, capture,
};
use bartizan_gate::name::SecretName;
use bartizan_scan::ScanKey;
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub(crate) const KEY: &str = "sk-ant-real-0123456789";

#[derive(Default)]
pub(crate) struct Clerk {
    refuse: bool,
    filter: bool,
    rewrite: bool,
    pub(crate) seen: Mutex<Vec<String>>,
    walls: Mutex<Vec<String>>,
    pub(crate) done: Mutex<Vec<(usize, ModelOutcome)>>,
}

impl Judge for Clerk {
    type Ticket = usize;

    async fn before(&self, request: &ModelRequest, body: Bytes) -> Result<(usize, Bytes), Refusal> {
        let agent = request.header("x-claude-code-agent-id").unwrap_or("-");
        assert_eq!(request.header("x-api-key"), None, "the judge saw a credential");
        let line = format!("{} {} {:?} {agent}", request.method(), request.path(), request.query());
        let mut seen = self.seen.lock().unwrap();
        seen.push(line);
        if self.refuse {
            return Err(Refusal::new(
                Status::Forbidden,
                "budget-spent",
                "the \"token\" budget of this session is spent",
            ));
        }
        let body = if self.rewrite { Bytes::from_static(b"{\"rewritten\":true}") } else { body };
        Ok((seen.len(), body))
    }

    fn stopped(&self, method: &str, path: &str, refusal: &Refusal) {
        self.walls.lock().unwrap().push(format!("{method} {path} {}", refusal.code()));
    }

    fn after(&self, ticket: usize, outcome: ModelOutcome) {
        self.done.lock().unwrap().push((ticket, outcome));
    }

    fn filter(
        &self,
        _: &usize,
        _: u16,
        _: Option<&str>,
    ) -> Result<Option<Box<dyn Filter>>, Refusal> {
        Ok(self.filter.then(|| Box::new(Upper::default()) as Box<dyn Filter>))
    }
}

impl Clerk {
    async fn outcome(&self) -> ModelOutcome {
        soon(async {
            loop {
                if let Some((_, outcome)) = self.done.lock().unwrap().first() {
                    return outcome.clone();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }
}

/// Holds back one byte, makes letters large, and takes a moment to judge each chunk.
#[derive(Default)]
struct Upper {
    held: Option<u8>,
    ready: Vec<u8>,
    judging: bool,
    ended: bool,
}

impl Filter for Upper {
    fn push(&mut self, chunk: Bytes) {
        let mut all: Vec<u8> = self.held.take().into_iter().chain(chunk).collect();
        self.held = all.pop();
        self.ready = all.to_ascii_uppercase();
        self.judging = true;
    }

    fn end(&mut self) {
        self.ended = true;
    }

    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if std::mem::take(&mut self.judging) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut ready = std::mem::take(&mut self.ready);
        if self.ended {
            ready.extend(self.held.take());
        }
        Poll::Ready(ready.into())
    }
}

/// A key that does not change.
async fn key(place: KeyPlace) -> ModelKey {
    let variables = [("KEY".to_owned(), KEY.into())].into();
    let name = SecretName::parse("model").unwrap();
    let declared = Declared::new(SecretRef::parse("env://KEY").unwrap());
    let vault = Vault::builder().environment(variables).declare(name.clone(), declared).build();
    ModelKey::open(vault, name, place, ScanKey::new([7; 32])).await.unwrap().0
}

async fn route(upstream: &str, limits: ModelLimits) -> ModelRoute {
    route_with(upstream, key(KeyPlace::ApiKey).await, limits)
}

pub(crate) fn route_with(upstream: &str, key: ModelKey, limits: ModelLimits) -> ModelRoute {
    let resolver = Resolver::new(Arc::new(Here::default()) as Arc<dyn Lookup>);
    ModelRoute::new(Upstream::parse(upstream).unwrap(), key, resolver, limits).unwrap()
}

/// Lets a client of the box talk to `route`.
#[expect(clippy::disallowed_methods, reason = "the route is what is tested")]
pub(crate) async fn box_end(
    route: Arc<ModelRoute>,
    clerk: &Arc<Clerk>,
) -> (TcpStream, JoinHandle<Ended>) {
    let (listener, port) = listen().await;
    let client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let names = SyntheticNames::new(|_| {});
    let original = (names.address_of(&"model.bartizan".parse().unwrap()).unwrap(), 80).into();
    let captured =
        capture(accepted, Arrival::Transparent { original }, &names, &FrontLimits::default())
            .await
            .unwrap();
    let clerk = Arc::clone(clerk);
    (client, tokio::spawn(async move { route.serve(captured, clerk).await }))
}

pub(crate) fn post(fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/messages?beta=true HTTP/1.1\r\nHost: model.bartizan\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Reads one request with a body of a known length or in chunks.
async fn request<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut text = until(stream, "\r\n\r\n").await;
    if text.contains("transfer-encoding: chunked") {
        text.push_str(&until(stream, "0\r\n\r\n").await);
    } else if let Some((_, rest)) = text.split_once("content-length: ") {
        let length = rest.split_once("\r\n").unwrap().0.parse().unwrap();
        let mut body = vec![0u8; length];
        soon(stream.read_exact(&mut body)).await.unwrap();
        text.push_str(&String::from_utf8(body).unwrap());
    }
    text
}

async fn answer_one<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, answer: &str) -> String {
    let text = request(stream).await;
    stream.write_all(answer.as_bytes()).await.unwrap();
    text
}

const OK: &str = "HTTP/1.1 200 OK\r\nrequest-id: req_011\r\nContent-Length: 2\r\n\r\n{}";

#[tokio::test]
async fn the_placeholder_is_stripped_and_the_key_is_added() {
    let (listener, port) = listen().await;
    let upstream =
        tokio::spawn(async move { answer_one(&mut listener.accept().await.unwrap().0, OK).await });
    let clerk = Arc::new(Clerk::default());
    let route =
        Arc::new(route(&format!("http://127.0.0.1:{port}/gw/"), ModelLimits::default()).await);
    let (mut client, served) = box_end(route, &clerk).await;
    let fields = "X-Api-Key: sk-ant-dummy\r\nx-api-key: second\r\nAuthorization: Bearer dummy\r\nCookie: a=b\r\n\
                  Proxy-Authorization: Basic x\r\nX-Forwarded-For: 10.0.0.1\r\nAccept-Encoding: gzip\r\nConnection: close, X-Drop\r\n\
                  X-Drop: 1\r\nX-HTTP-Method-Override: DELETE\r\nanthropic-version: 2023-06-01\r\nX-Claude-Code-Agent-Id: a1\r\n";
    client.write_all(post(fields, "{\"a\":1}").as_bytes()).await.unwrap();
    let answer = rest(&mut client).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n{}"),
        "{answer}"
    );
    let sent = soon(upstream).await.unwrap();
    assert!(sent.starts_with("POST /gw/v1/messages?beta=true HTTP/1.1\r\n"), "{sent}");
    assert!(
        sent.contains(&format!("host: 127.0.0.1:{port}\r\n")) && sent.ends_with("{\"a\":1}"),
        "{sent}"
    );
    assert_eq!(sent.matches("x-api-key").count(), 1, "{sent}");
    assert!(
        sent.contains(&format!("x-api-key: {KEY}\r\n"))
            && sent.contains("anthropic-version: 2023-06-01"),
        "{sent}"
    );
    for gone in [
        "dummy",
        "second",
        "cookie",
        "proxy-",
        "x-forwarded",
        "accept-encoding",
        "x-drop",
        "override",
        "authorization",
    ] {
        assert!(!sent.contains(gone), "{gone} passed: {sent}");
    }
    assert_eq!(*clerk.seen.lock().unwrap(), ["POST /v1/messages Some(\"beta=true\") a1"]);
    assert_eq!(soon(served).await.unwrap(), Ended::Finished);
    let outcome = clerk.outcome().await;
    assert_eq!((outcome.status, outcome.request_id.as_deref()), (Some(200), Some("req_011")));
    assert_eq!(
        (outcome.bytes_out, outcome.bytes_in, &outcome.ended),
        (7, 2, &ModelEnded::Finished)
    );
    assert!(outcome.first_byte.unwrap() <= outcome.took);
}

#[tokio::test]
async fn an_answer_streams_as_it_arrives() {
    let (listener, port) = listen().await;
    let (release, released) = tokio::sync::oneshot::channel();
    drop(tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\none\n\n\r\n";
        answer_one(&mut stream, head).await;
        released.await.unwrap();
        stream.write_all(b"5\r\ntwo\n\n\r\n0\r\n\r\n").await.unwrap();
    }));
    let clerk = Arc::new(Clerk::default());
    let (mut client, _served) = box_end(
        Arc::new(route(&format!("http://127.0.0.1:{port}"), ModelLimits::default()).await),
        &clerk,
    )
    .await;
    client.write_all(post("", "{}").as_bytes()).await.unwrap();
    let first = until(&mut client, "one\n\n").await;
    assert!(first.contains("text/event-stream"), "{first}");
    assert!(clerk.done.lock().unwrap().is_empty(), "it was done before the upstream was");
    release.send(()).unwrap();
    until(&mut client, "two\n\n\r\n0\r\n\r\n").await;
    assert_eq!(clerk.outcome().await.bytes_in, 10);
}

#[tokio::test]
async fn a_refused_request_gets_an_error_the_client_can_show_and_goes_nowhere() {
    let (listener, port) = listen().await;
    let clerk = Arc::new(Clerk { refuse: true, ..Clerk::default() });
    let (mut client, _served) = box_end(
        Arc::new(route(&format!("http://127.0.0.1:{port}"), ModelLimits::default()).await),
        &clerk,
    )
    .await;
    client.write_all(post("Connection: close\r\n", "{}").as_bytes()).await.unwrap();
    let answer = rest(&mut client).await;
    assert!(
        answer.starts_with("HTTP/1.1 403 Forbidden\r\n")
            && answer.contains("bartizan-reason: budget-spent"),
        "{answer}"
    );
    let json = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(
        json,
        r#"{"type":"error","error":{"type":"permission_error","message":"bartizan: the \"token\" budget of this session is spent [budget-spent]"}}"#
    );
    assert!(
        tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err(),
        "the upstream was dialled"
    );
    assert!(clerk.done.lock().unwrap().is_empty(), "a refused request has no outcome");
}

/// One request that must be refused before the judge is asked.
async fn stopped(text: &str, limits: ModelLimits) -> String {
    let (_listener, port) = listen().await;
    let clerk = Arc::new(Clerk::default());
    let (mut client, _served) =
        box_end(Arc::new(route(&format!("http://127.0.0.1:{port}"), limits).await), &clerk).await;
    client.write_all(text.as_bytes()).await.unwrap();
    let answer = until(&mut client, "}}").await;
    assert!(clerk.seen.lock().unwrap().is_empty(), "{text:?} reached the judge");
    assert_eq!(clerk.walls.lock().unwrap().len(), 1, "{text:?} went unreported");
    answer
}

#[tokio::test]
async fn only_the_api_is_behind_the_route() {
    for path in ["/", "/v1/../admin", "/v1/%2e%2e/admin", "/v1/a%2fb", "/v2/x", "/v1//x", "/v1/a;b"]
    {
        let answer = stopped(
            &format!("GET {path} HTTP/1.1\r\nHost: model.bartizan\r\n\r\n"),
            ModelLimits::default(),
        )
        .await;
        assert!(
            answer.starts_with("HTTP/1.1 403 ") && answer.contains("path-refused"),
            "{path}: {answer}"
        );
    }
    for text in [
        "GET /v1/models HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET http://evil.test/v1/models HTTP/1.1\r\nHost: model.bartizan\r\n\r\n",
    ] {
        assert!(
            stopped(text, ModelLimits::default()).await.starts_with("HTTP/1.1 421 "),
            "{text:?}"
        );
    }
    let answer = stopped(
        "TRACE /v1/models HTTP/1.1\r\nHost: model.bartizan\r\n\r\n",
        ModelLimits::default(),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_cut_off_however_it_is_announced() {
    let limits = ModelLimits { request: 10, ..ModelLimits::default() };
    let answer = stopped(&post("", "eleven byte"), limits.clone()).await;
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("request_too_large"),
        "{answer}"
    );

    let text = "POST /v1/messages HTTP/1.1\r\nHost: model.bartizan\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nghijkl\r\n0\r\n\r\n";
    let answer = stopped(text, limits).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_stops_on_its_way_in_goes_nowhere() {
    let limits = ModelLimits { upload: Duration::from_millis(80), ..ModelLimits::default() };
    let text =
        "POST /v1/messages HTTP/1.1\r\nHost: model.bartizan\r\nContent-Length: 9\r\n\r\nhalf";
    let answer = stopped(text, limits).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("request-cut"), "{answer}");
}

#[tokio::test]
async fn what_leaves_is_the_body_that_the_judge_gave() {
    let (listener, port) = listen().await;
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = answer_one(&mut stream, OK).await;
        while !sent.ends_with('}') {
            let mut more = [0; 64];
            let count = stream.read(&mut more).await.unwrap();
            sent.push_str(std::str::from_utf8(&more[..count]).unwrap());
        }
        sent
    });
    let clerk = Arc::new(Clerk { rewrite: true, ..Clerk::default() });
    let (mut client, _served) = box_end(
        Arc::new(route(&format!("http://127.0.0.1:{port}"), ModelLimits::default()).await),
        &clerk,
    )
    .await;
    client.write_all(post("", "{\"secret\":1}").as_bytes()).await.unwrap();
    until(&mut client, "{}").await;
    let sent = soon(upstream).await.unwrap();
    assert!(sent.ends_with("\r\n\r\n{\"rewritten\":true}") && !sent.contains("secret"), "{sent}");
    assert!(sent.to_lowercase().contains("content-length: 18\r\n"), "{sent}");
    assert_eq!(clerk.outcome().await.bytes_out, 18);
}

#[tokio::test]
async fn trailers_carry_no_credential_past_the_stripping() {
    let (listener, port) = listen().await;
    let upstream =
        tokio::spawn(async move { answer_one(&mut listener.accept().await.unwrap().0, OK).await });
    let clerk = Arc::new(Clerk::default());
    let (mut client, _served) = box_end(
        Arc::new(route(&format!("http://127.0.0.1:{port}"), ModelLimits::default()).await),
        &clerk,
    )
    .await;
    let text = "POST /v1/messages HTTP/1.1\r\nHost: model.bartizan\r\nTE: trailers\r\nTrailer: Authorization\r\n\
                Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer mine\r\n\r\n";
    client.write_all(text.as_bytes()).await.unwrap();
    until(&mut client, "{}").await;
    let sent = soon(upstream).await.unwrap();
    assert!(!sent.to_lowercase().contains("authorization") && !sent.contains("mine"), "{sent}");
}

#[tokio::test]
async fn no_header_of_the_answer_echoes_the_key() {
    let (listener, port) = listen().await;
    let answer = format!(
        "HTTP/1.1 401 Not with {KEY}\r\nX-Echo: you sent {KEY}!\r\nSet-Cookie: a=b\r\nAlt-Svc: h3=\":443\"\r\n\
         Bartizan-Reason: forged\r\nX-Fine: yes\r\nContent-Length: 0\r\n\r\n"
    );
    drop(tokio::spawn(async move {
        answer_one(&mut listener.accept().await.unwrap().0, &answer).await
    }));
    let clerk = Arc::new(Clerk::default());
    let (mut client, _served) = box_end(
        Arc::new(route(&format!("http://127.0.0.1:{port}"), ModelLimits::default()).await),
        &clerk,
    )
    .await;
    client.write_all(post("Connection: close\r\n", "{}").as_bytes()).await.unwrap();
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("x-fine: yes"), "{answer}");
    for gone in [KEY, "set-cookie", "alt-svc", "forged"] {
        assert!(!answer.contains(gone), "{gone} passed: {answer}");
    }
    assert_eq!(clerk.outcome().await.ended, ModelEnded::Finished);
}

#[tokio::test]
async fn a_filter_sees_the_whole_body_and_what_it_cannot_read_is_withheld() {
    for (encoding, wanted) in [("", "HELLO WORLd"), ("Content-Encoding: gzip\r\n", "unscannable")] {
        let (listener, port) = listen().await;
        let head = format!("HTTP/1.1 200 OK\r\n{encoding}Content-Length: 11\r\n\r\n");
        drop(tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer_one(&mut stream, &head).await;
            stream.write_all(b"hello ").await.unwrap();
            stream.flush().await.unwrap();
            stream.write_all(b"world").await.unwrap();
        }));
        let clerk = Arc::new(Clerk { filter: true, ..Clerk::default() });
        let (mut client, _served) = box_end(
            Arc::new(route(&format!("http://127.0.0.1:{port}"), ModelLimits::default()).await),
            &clerk,
        )
        .await;
        client.write_all(post("Connection: close\r\n", "{}").as_bytes()).await.unwrap();
        let answer = rest(&mut client).await;
        let body: String =
            answer.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').collect();
        assert!(body.contains(wanted) || answer.contains(wanted), "{answer}");
        assert!(!answer.contains("hello"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_reported_once_as_abandoned() {
    let (listener, port) = listen().await;
    let (heard, hearing) = tokio::sync::oneshot::channel();
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        answer_one(
            &mut stream,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\none\n\n\r\n",
        )
        .await;
        heard.send(()).unwrap();
        rest(&mut stream).await
    });
    let clerk = Arc::new(Clerk::default());
    let (mut client, served) = box_end(
        Arc::new(route(&format!("http://127.0.0.1:{port}"), ModelLimits::default()).await),
        &clerk,
    )
    .await;
    client.write_all(post("", "{}").as_bytes()).await.unwrap();
    until(&mut client, "one\n\n").await;
    hearing.await.unwrap();
    served.abort();
    drop(client);
    assert_eq!(clerk.outcome().await.ended, ModelEnded::Abandoned);
    soon(upstream).await.unwrap();
    assert_eq!(clerk.done.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_while_the_model_thinks_ends_the_request() {
    let (listener, port) = listen().await;
    let (heard, hearing) = tokio::sync::oneshot::channel();
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        heard.send(()).unwrap();
        rest(&mut stream).await
    });
    let clerk = Arc::new(Clerk::default());
    let (mut client, _served) = box_end(
        Arc::new(route(&format!("http://127.0.0.1:{port}"), ModelLimits::default()).await),
        &clerk,
    )
    .await;
    client.write_all(post("", "{}").as_bytes()).await.unwrap();
    hearing.await.unwrap();
    drop(client);
    let outcome = clerk.outcome().await;
    assert_eq!((outcome.ended, outcome.status), (ModelEnded::Abandoned, None));
    assert_eq!(soon(upstream).await.unwrap(), "", "the upstream connection stayed open");
}

#[tokio::test]
async fn an_upstream_that_is_down_silent_or_broken_is_an_error_and_not_a_hang() {
    let (listener, port) = listen().await;
    drop(listener);
    let clerk = Arc::new(Clerk::default());
    let (mut client, _served) = box_end(
        Arc::new(route(&format!("http://127.0.0.1:{port}"), ModelLimits::default()).await),
        &clerk,
    )
    .await;
    client.write_all(post("", "{}").as_bytes()).await.unwrap();
    let answer = until(&mut client, "}}").await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("api_error"), "{answer}");

    let (listener, port) = listen().await;
    let limits = ModelLimits { first_byte: Duration::from_millis(80), ..ModelLimits::default() };
    let clerk = Arc::new(Clerk::default());
    let (mut client, _served) =
        box_end(Arc::new(route(&format!("http://127.0.0.1:{port}"), limits).await), &clerk).await;
    client.write_all(post("", "{}").as_bytes()).await.unwrap();
    let answer = until(&mut client, "}}").await;
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("upstream-timeout"), "{answer}");
    drop(listener);

    let (listener, port) = listen().await;
    drop(tokio::spawn(async move {
        answer_one(
            &mut listener.accept().await.unwrap().0,
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        )
        .await
    }));
    let clerk = Arc::new(Clerk::default());
    let (mut client, _served) = box_end(
        Arc::new(route(&format!("http://127.0.0.1:{port}"), ModelLimits::default()).await),
        &clerk,
    )
    .await;
    client.write_all(post("", "{}").as_bytes()).await.unwrap();
    assert!(rest(&mut client).await.ends_with("half"));
    assert_eq!(clerk.outcome().await.ended, ModelEnded::Broken);
}

#[tokio::test]
async fn upstream_connections_are_used_again_and_a_stale_one_does_no_harm() {
    let (listener, port) = listen().await;
    let upstream = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        answer_one(&mut first, OK).await;
        answer_one(&mut first, OK).await;
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        answer_one(&mut second, OK).await;
    });
    let clerk = Arc::new(Clerk::default());
    let (mut client, _served) = box_end(
        Arc::new(route(&format!("http://127.0.0.1:{port}"), ModelLimits::default()).await),
        &clerk,
    )
    .await;
    for _ in 0..3 {
        client.write_all(post("", "{}").as_bytes()).await.unwrap();
        assert!(until(&mut client, "{}").await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    soon(upstream).await.unwrap();
}

async fn over_tls(trusted: bool) -> String {
    let (server, client_config) = tls::pair("api.test");
    let (_, stranger) = tls::pair("api.test");
    let (listener, port): (TcpListener, u16) = listen().await;
    drop(tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = TlsAcceptor::from(server).accept(stream).await {
            let sent = answer_one(&mut stream, OK).await;
            assert!(sent.contains(KEY));
        }
    }));
    let route = ModelRoute::with_tls(
        Upstream::parse(&format!("https://api.test:{port}")).unwrap(),
        key(KeyPlace::Bearer).await,
        Resolver::new(Arc::new(Here::default()) as Arc<dyn Lookup>),
        ModelLimits::default(),
        if trusted { client_config } else { stranger },
    );
    let clerk = Arc::new(Clerk::default());
    let (mut client, _served) = box_end(Arc::new(route), &clerk).await;
    client.write_all(post("", "{}").as_bytes()).await.unwrap();
    until(&mut client, "}").await
}

#[tokio::test]
async fn the_key_goes_only_to_an_upstream_that_proves_its_name() {
    assert!(over_tls(true).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let answer = over_tls(false).await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("upstream-tls"), "{answer}");
}
