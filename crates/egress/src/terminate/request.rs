//! What is asked for, in the one reading on which it is judged?

use super::strip::parameter;
use crate::head::HEAD_LIMIT;
use crate::http;
use crate::name::HostPort;
use crate::refuse::{Refusal, Status};
use bartizan_gate::url_path::UrlPath;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Uri, Version};

/// A request as the judge sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    secure: bool,
    method: String,
    path: UrlPath,
    query: Option<String>,
    size: Option<u64>,
    websocket: bool,
}

impl HttpRequest {
    /// Whether it travels in TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The canonical path.
    pub fn path(&self) -> &str {
        self.path.judged()
    }

    /// The path as it is sent.
    pub(super) fn sent_path(&self) -> &str {
        self.path.sent()
    }

    /// The query, as it will be sent, before any credential is added.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The announced length of its body in bytes; `None` when it comes in pieces of unknown number.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether it asks for a WebSocket instead of an answer.
    pub fn is_websocket(&self) -> bool {
        self.websocket
    }

    /// Whether it may be sent a second time: it asks for something, changes nothing, and has no body.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD") && self.size == Some(0)
    }

    pub(super) fn set_query(&mut self, query: Option<String>) {
        self.query = query;
    }

    /// The URI that is sent, absolute, with `query` in place of the judged one.
    pub(super) fn uri(&self, target: &HostPort, query: Option<&str>) -> Result<Uri, Refusal> {
        let (scheme, port) = if self.secure { ("https", 443) } else { ("http", 80) };
        let authority = http::host_value(target, port);
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{scheme}://{authority}{}{query}", self.path.sent())
            .parse()
            .map_err(|_| malformed("the URL is malformed"))
    }
}

/// Reads a request on a connection to `target`, or refuses it: what no policy opens stands here.
pub(super) fn read(
    (parts, body): (&mut Parts, &Incoming),
    target: &HostPort,
    secure: bool,
) -> Result<HttpRequest, Refusal> {
    let default_port = if secure { 443 } else { 80 };
    http::check(&parts.method, &parts.uri, &parts.headers, (target, default_port))?;
    check_scheme(parts, secure)?;
    check_overrides(parts)?;
    let websocket = http::asks_for_websocket(&parts.headers);
    if websocket && (parts.version != Version::HTTP_11 || parts.method != "GET") {
        return Err(malformed("a WebSocket is asked for by GET in HTTP/1.1"));
    }
    let size = size(parts, body)?;
    // Nobody would look into it, nor count it.
    if websocket && size != Some(0) {
        return Err(malformed("a WebSocket is asked for without a body"));
    }
    let path = UrlPath::parse(parts.uri.path())
        .map_err(|error| Refusal::new(Status::BadRequest, "path-ambiguous", error.to_string()))?;
    let query = parts.uri.query().map(str::to_owned);
    if query.as_ref().is_some_and(|query| query.len() > HEAD_LIMIT) {
        return Err(malformed("the query is over 16 KiB"));
    }
    tidy(&mut parts.headers, websocket);
    let method = parts.method.as_str().to_owned();
    Ok(HttpRequest { secure, method, path, query, size, websocket })
}

/// Refuses what asks a server to take the request for another than the one that is judged.
fn check_overrides(parts: &Parts) -> Result<(), Refusal> {
    let refused = |code, name: &str, what| {
        let text =
            format!("`{name}` asks for another {what} than the request's own; use that {what}");
        Refusal::new(Status::BadRequest, code, text)
    };
    for name in parts.headers.keys() {
        let dashed = dashed(name);
        if METHOD_OVERRIDES.contains(&dashed.as_str()) {
            return Err(refused("method-override", &dashed, "method"));
        }
        if PATH_OVERRIDES.contains(&dashed.as_str()) {
            return Err(refused("path-override", &dashed, "path"));
        }
    }
    let mut query = parts.uri.query().unwrap_or_default().split(['&', ';']);
    if query.any(|pair| parameter(pair) == "_method") {
        return Err(refused("method-override", "_method", "method"));
    }
    Ok(())
}

/// A header's name as servers read it that hand headers on as variables: `x_http_method` is `x-http-method` there.
fn dashed(name: &HeaderName) -> String {
    name.as_str().replace('_', "-")
}

/// Sets what the connection to the target says of itself.
pub(super) fn set_host(
    headers: &mut HeaderMap,
    target: &HostPort,
    secure: bool,
) -> Result<(), Refusal> {
    let host = http::host_value(target, if secure { 443 } else { 80 });
    let host = HeaderValue::from_str(&host).map_err(|_| malformed("the host is malformed"))?;
    headers.insert(header::HOST, host);
    Ok(())
}

/// A scheme that differs from the connection's own is read as another site by some servers.
fn check_scheme(parts: &Parts, secure: bool) -> Result<(), Refusal> {
    let own = if secure { "https" } else { "http" };
    match parts.uri.scheme_str() {
        Some(scheme) if scheme != own => Err(Refusal::new(
            Status::Misdirected,
            "scheme-mismatch",
            "the request names another scheme than its connection has",
        )),
        _ => Ok(()),
    }
}

fn size(parts: &Parts, body: &Incoming) -> Result<Option<u64>, Refusal> {
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    let announced = lengths.next();
    if lengths.next().is_some() {
        return Err(malformed("the request has two lengths"));
    }
    let parsed = announced.map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
    match parsed {
        Some(None) => Err(malformed("Content-Length is not a number")),
        Some(size) => Ok(size),
        None if hyper::body::Body::is_end_stream(body) => Ok(Some(0)),
        None => Ok(None),
    }
}

/// Removes what belongs to one hop, and what would tell the target who is behind us.
fn tidy(headers: &mut HeaderMap, websocket: bool) {
    let grpc =
        headers.get(header::TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    http::strip_hop_by_hop(headers);
    let ours = |name: &HeaderName| {
        let dashed = dashed(name);
        let is_double = dashed != name.as_str() && http::is_framing(&dashed);
        is_double || OURS.contains(&dashed.as_str()) || dashed.starts_with("x-forwarded")
    };
    let ours: Vec<HeaderName> = headers.keys().filter(|name| ours(name)).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
    if grpc {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if websocket {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    }
}

fn malformed(sentence: &'static str) -> Refusal {
    Refusal::new(Status::BadRequest, "malformed-request", sentence)
}

/// By these a server is asked to take the request for one of another method.
const METHOD_OVERRIDES: [&str; 3] =
    ["x-http-method-override", "x-http-method", "x-method-override"];
/// By these, for one of another path.
const PATH_OVERRIDES: [&str; 4] =
    ["x-original-uri", "x-original-url", "x-override-url", "x-rewrite-url"];
/// What is between us and the target, or would tell who is behind us and by which name they called.
const OURS: [&str; 8] = [
    "expect",
    "forwarded",
    "http2-settings",
    "via",
    "x-host",
    "x-http-host-override",
    "x-original-host",
    "x-real-ip",
];
