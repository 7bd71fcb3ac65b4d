//! Does each plain HTTP request go to the host that was judged?
//!
//! Requests are parsed and written anew, never passed on as they came: so no difference between two
//! parsers' ideas of where a request ends can carry a second one past us.

use crate::head;
use crate::name::HostPort;
use crate::refuse::{REASON_HEADER, Refusal, Status};
use crate::stream::Rewound;
use crate::terms::Ended;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, client, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::pending;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;

/// Whether a connection may carry more than one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// One request; the next one is judged afresh on a connection of its own.
    Never,
    /// Any number to the same host.
    SameHost,
}

/// What bytes look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    Http1,
    Http2,
    Other,
    Unclear,
}

/// Tells whether `bytes` begin an HTTP request: whether an HTTP version stands in their first line.
///
/// Any method counts, and any bytes beside it, since servers take what we would not: what is taken for HTTP
/// here must pass the strict parser next. What begins with no printable character, or has a NUL where a
/// method would be, is another protocol.
pub(crate) fn looks_like(bytes: &[u8]) -> Looks {
    // Servers skip empty lines before a request.
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    let rest = bytes.get(start..).unwrap_or_default();
    if rest.first().is_some_and(|first| !matches!(first, b'\t' | b' '..=b'~')) {
        return Looks::Other;
    }
    let end = rest.iter().position(|b| matches!(b, b'\n' | 0));
    let line = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
    match end.and_then(|end| rest.get(end)) {
        None if bytes.len() >= head::HEAD_LIMIT => Looks::Other,
        None => Looks::Unclear,
        Some(0) if begins_with_method(line) => Looks::Http1,
        Some(0) => Looks::Other,
        Some(_) if line.starts_with(b"PRI * HTTP/2") => Looks::Http2,
        Some(_) if line.windows(5).any(|part| part.eq_ignore_ascii_case(b"HTTP/")) => Looks::Http1,
        Some(_) => Looks::Other,
    }
}

fn begins_with_method(line: &[u8]) -> bool {
    line.iter()
        .position(|b| !b.is_ascii_alphabetic())
        .is_some_and(|at| at >= 3 && line.get(at) == Some(&b' '))
}

/// Relays requests from `client` to `upstream`, each of them held to `target`.
pub(crate) async fn relay<S, U>(
    mut client: Rewound<S>,
    upstream: U,
    target: &HostPort,
    repeat: Repeat,
) -> Result<(), Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    if let Err(ended) = check_first(&mut client).await {
        if let Ended::Refused(refusal) = &ended {
            crate::turn_away::hang_up(&mut client, &refusal.to_http()).await;
        }
        return Err(ended);
    }
    let handshake = client::conn::http1::Builder::new().handshake(TokioIo::new(upstream)).await;
    let (sender, connection) = handshake.map_err(|_| Ended::Broken(io::ErrorKind::NotConnected))?;
    let link = Link { sender: tokio::sync::Mutex::new(sender), refused: Mutex::new(None), target };
    let service = service_fn(|request| link.forward(request));
    let served = server::conn::http1::Builder::new()
        .keep_alive(repeat == Repeat::SameHost)
        .half_close(true)
        .max_buf_size(head::HEAD_LIMIT)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(client), service);
    let upstream_end = async {
        // Its errors show in the request that meets them; when it ends, the server has still to finish.
        drop(connection.await);
        pending::<()>().await;
    };
    let served = tokio::select! { served = served => served, () = upstream_end => Ok(()) };
    if let Some(refusal) = link.refused.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(Ended::Refused(refusal));
    }
    served.map_err(|error| {
        let refusal =
            Refusal::new(Status::BadRequest, "malformed-request", "a request could not be parsed");
        if error.is_parse() {
            Ended::Refused(refusal)
        } else {
            Ended::Broken(io::ErrorKind::ConnectionReset)
        }
    })
}

/// Reads the first head strictly, then puts it back.
async fn check_first<S: AsyncRead + Unpin>(client: &mut Rewound<S>) -> Result<(), Ended> {
    let mut bytes = Vec::new();
    let read = timeout(HEAD_TIME, async {
        loop {
            if head::parse(&bytes).map_err(Ended::Refused)?.is_some() {
                return Ok(());
            }
            let mut chunk = [0u8; 4096];
            let count =
                client.read(&mut chunk).await.map_err(|error| Ended::Broken(error.kind()))?;
            if count == 0 {
                return Err(Ended::Broken(io::ErrorKind::UnexpectedEof));
            }
            bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    });
    let slow = || {
        Refusal::new(Status::RequestTimeout, "front-timeout", "the request did not arrive in time")
    };
    let checked = read.await.unwrap_or_else(|_| Err(Ended::Refused(slow())));
    client.unread(bytes);
    checked
}

type Answer = Response<Either<Incoming, Full<Bytes>>>;

struct Link<'a> {
    sender: tokio::sync::Mutex<SendRequest<Incoming>>,
    refused: Mutex<Option<Refusal>>,
    target: &'a HostPort,
}

impl Link<'_> {
    async fn forward(&self, request: Request<Incoming>) -> Result<Answer, hyper::Error> {
        let request = match rewrite(request, self.target) {
            Ok(request) => request,
            Err(refusal) => {
                let answer = to_response(&refusal);
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
                return Ok(answer);
            }
        };
        let mut sender = self.sender.lock().await;
        let sent = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let Ok(response) = sent.await else {
            let text = "the server closed the connection without an answer";
            return Ok(to_response(&Refusal::new(Status::BadGateway, "upstream-failed", text)));
        };
        let (mut parts, body) = response.into_parts();
        strip_hop_by_hop(&mut parts.headers);
        parts.headers.remove(REASON_HEADER);
        Ok(Response::from_parts(parts, Either::Left(body)))
    }
}

/// Checks `request` against `target` and makes of it what is sent on.
fn rewrite(request: Request<Incoming>, target: &HostPort) -> Result<Request<Incoming>, Refusal> {
    let (mut parts, body) = request.into_parts();
    check(&parts.method, &parts.uri, &parts.headers, (target, 80))?;
    refuse_upgrade(&parts.headers)?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let bad = |_| Refusal::new(Status::BadRequest, "malformed-request", "the path is malformed");
    parts.uri = path.parse::<Uri>().map_err(bad)?;
    strip_hop_by_hop(&mut parts.headers);
    let host = host_value(target, 80);
    parts.headers.insert(header::HOST, HeaderValue::from_str(&host).map_err(|_| wrong_host())?);
    parts.version = hyper::Version::HTTP_11;
    Ok(Request::from_parts(parts, body))
}

/// What no request may do, whatever the policy says. An authority without a port has the scheme's own.
pub(crate) fn check(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    (target, default_port): (&HostPort, u16),
) -> Result<(), Refusal> {
    if matches!(method.as_str(), "CONNECT" | "TRACE" | "TRACK") {
        return Err(Refusal::new(
            Status::MethodNotAllowed,
            "method-refused",
            "this method never passes",
        ));
    }
    if headers.contains_key(header::TRANSFER_ENCODING)
        && headers.contains_key(header::CONTENT_LENGTH)
    {
        return Err(Refusal::new(
            Status::BadRequest,
            "malformed-request",
            "the request has two lengths",
        ));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = hosts.next().and_then(|host| host.to_str().ok());
    if hosts.next().is_some() {
        return Err(Refusal::new(
            Status::BadRequest,
            "malformed-request",
            "the request has more than one Host",
        ));
    }
    let said = [uri.authority().map(hyper::http::uri::Authority::as_str), named];
    if said.iter().all(Option::is_none) {
        return Err(wrong_host());
    }
    for authority in said.into_iter().flatten() {
        match head::authority(authority, default_port) {
            Ok(named) if named == *target => {}
            _ => return Err(wrong_host()),
        }
    }
    Ok(())
}

/// Refuses a WebSocket where only plain requests are carried. Any other offer, such as h2c, may be ignored
/// (RFC 9110 section 7.8) and is stripped.
pub(crate) fn refuse_upgrade(headers: &HeaderMap) -> Result<(), Refusal> {
    if asks_for_websocket(headers) {
        return Err(Refusal::new(
            Status::Forbidden,
            "upgrade-refused",
            "this connection carries plain HTTP requests only",
        ));
    }
    Ok(())
}

/// Whether a request wants to turn its connection into a WebSocket.
pub(crate) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let is_websocket =
        |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().starts_with(b"websocket");
    headers.get_all(header::UPGRADE).iter().any(is_websocket)
}

/// The value of `Host` for `target`, without the scheme's own port.
pub(crate) fn host_value(target: &HostPort, default_port: u16) -> String {
    let whole = target.to_string();
    match whole.strip_suffix(&format!(":{default_port}")) {
        Some(host) if target.port() == default_port => host.to_owned(),
        _ => whole,
    }
}

/// Removes what belongs to one hop (RFC 9110 section 7.6.1), the fields that `Connection` names included.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        // The framing is ours: a client that names it here would make a body out of a request's end. And how a body is
        // written is what it is read by, here too.
        if !END_TO_END.contains(&name) {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Whether a header by this name says where a request ends, where it goes, or what holds for one hop.
pub(crate) fn is_framing(name: &str) -> bool {
    HOP_BY_HOP.contains(&name) || ["content-length", "host", "transfer-encoding"].contains(&name)
}

/// A refusal as a response.
pub(crate) fn to_response(refusal: &Refusal) -> Answer {
    let text = format!("bartizan: {} [{}]\n", refusal.sentence(), refusal.code());
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status().code()).unwrap_or(StatusCode::FORBIDDEN);
    if let Ok(code) = HeaderValue::from_str(refusal.code()) {
        response.headers_mut().insert(REASON_HEADER, code);
    }
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn wrong_host() -> Refusal {
    let text = "the request names another host than its connection; open a connection to that host";
    Refusal::new(Status::Misdirected, "host-mismatch", text)
}

/// `transfer-encoding` stays out of this list: hyper frames the body anew by it.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];
/// What nobody may name as one of its connection's alone.
const END_TO_END: [HeaderName; 3] =
    [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::HOST];
const HEAD_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_its_version_whatever_its_method() {
        let http: [&[u8]; 9] = [
            b"GET / HTTP/1.1\r\n",
            b"\r\n\r\nfoo bar HTTP/1.0\n",
            b"x HTTP/1.1 \r\n",
            b"a\tb\tHTTP/1.1\r\n",
            b"a HTTP/9.9\r\n",
            b"GET /\xc3\xa9 HTTP/1.1\r\n",
            b"GET /\x01 HTTP/1.1\r\n",
            b" GET / http/1.1\r\n",
            b"GET /\0 HTTP/1.1\r\n",
        ];
        for bytes in http {
            assert_eq!(looks_like(bytes), Looks::Http1, "{bytes:?}");
        }
        assert_eq!(looks_like(b"PRI * HTTP/2.0\r\n"), Looks::Http2);
        for bytes in [&b""[..], b"\r\n", b"GET / HTTP/1.1", b"G", b"SSH-2.0"] {
            assert_eq!(looks_like(bytes), Looks::Unclear, "{bytes:?}");
        }
        let other: [&[u8]; 7] = [
            b"SSH-2.0-x\r\n",
            b"\0\0\0\x08",
            b"EHLO x\r\n",
            b"\xffGET",
            b"*1\r\n",
            b"T\0\0\x01",
            b"AMQP\0\0\x09\x01",
        ];
        for bytes in other {
            assert_eq!(looks_like(bytes), Looks::Other, "{bytes:?}");
        }
    }

    #[test]
    fn fields_that_connection_names_do_not_pass() {
        let mut headers = HeaderMap::new();
        headers.append("connection", HeaderValue::from_static("close, X-Secret"));
        headers.append("x-secret", HeaderValue::from_static("1"));
        headers.append("proxy-authorization", HeaderValue::from_static("1"));
        headers.append("content-length", HeaderValue::from_static("1"));
        headers.append("connection", HeaderValue::from_static("content-length"));
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["content-length"]);
    }

    #[test]
    fn the_host_header_leaves_out_only_the_schemes_own_port() {
        let value = |text| host_value(&HostPort::parse(text).unwrap(), 80);
        assert_eq!(value("ok.com:80"), "ok.com");
        assert_eq!(value("ok.com:8080"), "ok.com:8080");
        assert_eq!(value("[2606:4700::80]:80"), "[2606:4700::80]");
    }
}
