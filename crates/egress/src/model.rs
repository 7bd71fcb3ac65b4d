//! How does the model's API get its requests without the box ever holding a key?
//!
//! In the box the client is told that the API lives at `http://model.bartizan` and that some placeholder is
//! its key. Each request that arrives here is read whole, stripped of every credential it brought, offered to a
//! [`Judge`], given the real one, and sent to the configured upstream; the answer streams back as it comes.

mod body;
mod key;
mod link;
mod mask;
mod request;

pub use crate::upstream::{Upstream, UpstreamError};
pub use body::Filter;
pub use key::{KeyPlace, ModelKey};
pub use request::ModelRequest;

use crate::capture::Captured;
use crate::head::HEAD_LIMIT;
use crate::http;
use crate::name::HostPort;
use crate::refuse::{REASON_HEADER, Refusal, Status};
use crate::resolve::Resolver;
use crate::terms::Ended;
use crate::tls::{self, TlsError};
use body::{BodyFlaw, Outgoing, Returning};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use key::{Lent, turns_away};
use link::Link;
use request::{bad_path, canonical, strip_credentials};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Bounds on the model route.
#[derive(Debug, Clone)]
pub struct ModelLimits {
    /// Bytes of one request's body.
    pub request: u64,
    /// For resolving, dialling and the TLS handshake with the upstream.
    pub connect: Duration,
    /// Between two chunks of a request's body.
    pub upload: Duration,
    /// From sending a request to the first byte of its answer; a model may think for minutes.
    pub first_byte: Duration,
    /// Between two chunks of an answer.
    pub idle: Duration,
    /// Between two requests on one connection of the box.
    pub keep_alive: Duration,
}

impl Default for ModelLimits {
    fn default() -> Self {
        Self {
            request: 32 << 20,
            connect: Duration::from_secs(15),
            upload: Duration::from_mins(1),
            first_byte: Duration::from_mins(10),
            idle: Duration::from_mins(5),
            keep_alive: Duration::from_secs(75),
        }
    }
}

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOutcome {
    /// The upstream's status, when it answered.
    pub status: Option<u16>,
    /// The upstream's `request-id`, cut to 128 visible characters.
    pub request_id: Option<String>,
    /// Bytes of the request's body that were sent.
    pub bytes_out: u64,
    /// Bytes of the answer's body that were received.
    pub bytes_in: u64,
    /// Whether the API turned the credential away, and the request left again with another.
    pub renewed: bool,
    /// From the verdict to the head of the answer.
    pub first_byte: Option<Duration>,
    /// From the verdict to the end.
    pub took: Duration,
    /// How it ended.
    pub ended: ModelEnded,
}

/// How a model request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelEnded {
    /// The box went away, or the session ended, in mid-request.
    Abandoned,
    /// The upstream failed in mid-answer.
    Broken,
    /// The answer passed whole.
    Finished,
    /// No answer came; the box was told this.
    Refused(Refusal),
}

/// Judges each request, and learns what came of it.
pub trait Judge: Send + Sync + 'static {
    /// What the judge wants back in [`Judge::after`].
    type Ticket: Send + Sync + 'static;

    /// Decides before anything of the request leaves, and says which body leaves in its place; a refusal becomes
    /// an error that the client shows (403 is not retried by Claude Code; see [`Status`]).
    fn before(
        &self,
        request: &ModelRequest,
        body: Bytes,
    ) -> impl Future<Output = Result<(Self::Ticket, Bytes), Refusal>> + Send;

    /// Told of a request that a wall of this route stopped, so that the judge was not asked: another host, a
    /// path outside the API, an oversized body. `path` is as sent and may hold anything printable.
    fn stopped(&self, method: &str, path: &str, refusal: &Refusal);

    /// Told exactly once for each allowed request, also when it is cut off. Called from within I/O and from
    /// `drop`: it must not block.
    fn after(&self, ticket: Self::Ticket, outcome: ModelOutcome);

    /// What the answer's body passes through on its way to the box: the place for judging what the model proposes.
    /// With a filter, an answer in an encoding that could not be looked into is withheld; a refusal withholds it too.
    fn filter(
        &self,
        ticket: &Self::Ticket,
        status: u16,
        content_type: Option<&str>,
    ) -> Result<Option<Box<dyn Filter>>, Refusal> {
        let _ = (ticket, status, content_type);
        Ok(None)
    }
}

/// The way from the box to the model's API.
#[expect(missing_debug_implementations, reason = "it holds the credential")]
pub struct ModelRoute {
    link: Link,
    key: ModelKey,
    limits: ModelLimits,
    /// Bytes of request bodies held at the same time, in [`UNIT`]s.
    room: Semaphore,
}

impl ModelRoute {
    /// A route to `upstream` that adds `key`; an https upstream is checked against the system's roots.
    pub fn new(
        upstream: Upstream,
        key: ModelKey,
        resolver: Resolver,
        limits: ModelLimits,
    ) -> Result<Self, TlsError> {
        let tls = if upstream.is_secure() { Some(tls::system()?) } else { None };
        let link = Link::new(upstream, resolver, tls, limits.connect);
        Ok(Self { link, key, limits, room: Semaphore::new(ROOM) })
    }

    /// As [`ModelRoute::new`], over a TLS configuration of one's own.
    pub fn with_tls(
        upstream: Upstream,
        key: ModelKey,
        resolver: Resolver,
        limits: ModelLimits,
        tls: Arc<rustls::ClientConfig>,
    ) -> Self {
        let link = Link::new(upstream, resolver, Some(tls), limits.connect);
        Self { link, key, limits, room: Semaphore::new(ROOM) }
    }

    /// Serves one connection of the box, which the door has recognised as meant for the model.
    ///
    /// Runs until the box closes it or a limit does. Dropping the future closes everything and reports the
    /// requests under way as abandoned.
    pub async fn serve<S, J>(&self, captured: Captured<S>, judge: Arc<J>) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin,
        J: Judge,
    {
        let (intent, stream) = captured.into_parts();
        let target = intent.target().clone();
        let service = service_fn(|request| self.answer(request, &target, &judge));
        let served = server::conn::http1::Builder::new()
            // An end of the client's side ends the request, also while the model still thinks.
            .half_close(false)
            .max_buf_size(HEAD_LIMIT * 4)
            .max_header_size(HEAD_LIMIT)
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.keep_alive)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        match served {
            Ok(()) => Ended::Finished,
            Err(error) if error.is_timeout() => Ended::Idle,
            Err(error) if error.is_parse() => Ended::Refused(Refusal::new(
                Status::BadRequest,
                "malformed-request",
                "a request could not be parsed",
            )),
            Err(_) => Ended::Broken(io::ErrorKind::ConnectionReset),
        }
    }

    async fn answer<J: Judge>(
        &self,
        request: Request<Incoming>,
        target: &HostPort,
        judge: &Arc<J>,
    ) -> Result<Answer<J>, hyper::Error> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let stop = |refusal: Refusal| {
            judge.stopped(method.as_str(), &path, &refusal);
            Ok(refuse(&refusal))
        };
        let (seen, outgoing) = match self.prepare(request, target) {
            Ok(prepared) => prepared,
            Err(refusal) => return stop(refusal),
        };
        let announced = seen.content_length.unwrap_or(self.limits.request).min(self.limits.request);
        let units = u32::try_from(announced / UNIT).unwrap_or(u32::MAX).clamp(1, ROOM_AT_ONCE);
        // The semaphore is never closed, so this waits until earlier bodies have gone.
        let room = self.room.acquire_many(units).await;
        let (parts, body) = outgoing.into_parts();
        let body = match body::read(body, self.limits.request, self.limits.upload).await {
            Ok(body) => body,
            Err(BodyFlaw::TooLarge) => return stop(too_large()),
            Err(BodyFlaw::Broken) => return stop(cut()),
        };
        let (ticket, body) = match judge.before(&seen, body).await {
            Ok(allowed) => allowed,
            Err(refusal) => return Ok(refuse(&refusal)),
        };
        let mut case = Case::open(Arc::clone(judge), ticket);
        let sent = self.forward((parts, body), &mut case).await;
        drop(room);
        let handed = match sent {
            Ok(reply) => self.hand_back(reply, case),
            Err(refusal) => Err(case.refuse(refusal)),
        };
        Ok(handed.unwrap_or_else(|refusal| refuse(&refusal)))
    }

    /// Checks a request and makes of it what the judge sees and what is sent.
    fn prepare(
        &self,
        request: Request<Incoming>,
        target: &HostPort,
    ) -> Result<(ModelRequest, Request<Incoming>), Refusal> {
        let (mut parts, body) = request.into_parts();
        http::check(&parts.method, &parts.uri, &parts.headers, (target, 80))?;
        http::refuse_upgrade(&parts.headers)?;
        let path = canonical(parts.uri.path())?;
        let query = parts.uri.query().map(str::to_owned);
        let content_length = number(&parts.headers, &header::CONTENT_LENGTH);
        if content_length.is_some_and(|length| length > self.limits.request) {
            return Err(too_large());
        }
        http::strip_hop_by_hop(&mut parts.headers);
        strip_credentials(&mut parts.headers);
        // The body may be another when it leaves; hyper frames it anew.
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::TRANSFER_ENCODING);
        let seen = ModelRequest {
            method: parts.method.as_str().to_owned(),
            path: path.clone(),
            query: query.clone(),
            headers: parts.headers.clone(),
            content_length,
        };
        let upstream = self.link.upstream();
        let full = format!(
            "{}{path}{}",
            upstream.prefix(),
            query.map(|query| format!("?{query}")).unwrap_or_default()
        );
        parts.uri = full.parse::<Uri>().map_err(|_| bad_path())?;
        parts.version = hyper::Version::HTTP_11;
        let host = HeaderValue::from_str(&upstream.host_value()).map_err(|_| bad_path())?;
        parts.headers.insert(header::HOST, host);
        Ok((seen, Request::from_parts(parts, body)))
    }

    /// Sends a request with the credential as it is now. One that the API turns away, before anything of an answer has gone
    /// to the box, is sent once more if there is another by then.
    async fn forward<J: Judge>(
        &self,
        (parts, body): (Parts, Bytes),
        case: &mut Case<J>,
    ) -> Result<link::Reply, Refusal> {
        let lent = self.key.lend().await?;
        let mut reply = self.dispatch((parts.clone(), body.clone()), &lent, case).await?;
        if turns_away(reply.response.status())
            && let Some(other) = self.key.another(&lent).await?
        {
            case.outcome.renewed = true;
            // The first one's connection ends with it.
            reply = self.dispatch((parts, body), &other, case).await?;
        }
        Ok(reply)
    }

    async fn dispatch<J: Judge>(
        &self,
        (mut parts, body): (Parts, Bytes),
        lent: &Lent,
        case: &mut Case<J>,
    ) -> Result<link::Reply, Refusal> {
        self.key.put(lent, &mut parts, &body)?;
        let body = Outgoing::new(body, Arc::clone(&case.counts));
        let request = Request::from_parts(parts, body);
        let reply = self.link.send(request, self.limits.first_byte).await?;
        case.outcome.first_byte = Some(case.started.elapsed());
        case.outcome.status = Some(reply.response.status().as_u16());
        case.outcome.request_id = request_id(reply.response.headers());
        Ok(reply)
    }

    /// Makes of the upstream's answer what the box gets.
    fn hand_back<J: Judge>(&self, reply: link::Reply, case: Case<J>) -> Result<Answer<J>, Refusal> {
        let (mut parts, body) = reply.response.into_parts();
        if let Some(skewed) = self.key.skewed(parts.status, &parts.headers) {
            return Err(case.refuse(skewed));
        }
        http::strip_hop_by_hop(&mut parts.headers);
        for name in ["alt-svc", "set-cookie", REASON_HEADER] {
            parts.headers.remove(name);
        }
        self.key.strip_echoes(&mut parts.headers);
        // The words beside the status could hold the credential as well.
        parts.extensions.remove::<ReasonPhrase>();
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let filter = match &case.ticket {
            Some(ticket) => case.judge.filter(ticket, parts.status.as_u16(), kind),
            None => Ok(None),
        };
        let is_error = parts.status.as_u16() >= 400;
        let mask = || is_error.then(|| Box::new(self.key.mask()) as Box<dyn Filter>);
        let filter = match filter {
            Ok(filter) => filter.or_else(mask),
            Err(refusal) => return Err(case.refuse(refusal)),
        };
        if filter.is_some() {
            let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
            if !parts.headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
                let text =
                    "the answer came in an encoding that cannot be looked into, and is withheld";
                return Err(case.refuse(Refusal::new(Status::BadGateway, "unscannable", text)));
            }
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        let body = Returning::new(body, reply.seat, filter, case, self.limits.idle);
        Ok(Response::from_parts(parts, Either::Left(body)))
    }
}

type Answer<J> = Response<Either<Returning<J>, Full<Bytes>>>;

/// One allowed request: whatever happens to it, the judge hears of it once.
struct Case<J: Judge> {
    judge: Arc<J>,
    ticket: Option<J::Ticket>,
    outcome: ModelOutcome,
    counts: Arc<Counts>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Counts {
    out: AtomicU64,
}

impl<J: Judge> Case<J> {
    fn open(judge: Arc<J>, ticket: J::Ticket) -> Self {
        let outcome = ModelOutcome {
            status: None,
            request_id: None,
            bytes_out: 0,
            bytes_in: 0,
            renewed: false,
            first_byte: None,
            took: Duration::ZERO,
            ended: ModelEnded::Abandoned,
        };
        Self {
            judge,
            ticket: Some(ticket),
            outcome,
            counts: Arc::default(),
            started: Instant::now(),
        }
    }

    /// Closes the case with `refusal`, which the box is told.
    fn refuse(mut self, refusal: Refusal) -> Refusal {
        self.close(ModelEnded::Refused(refusal.clone()));
        refusal
    }

    fn close(&mut self, ended: ModelEnded) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut outcome = self.outcome.clone();
        outcome.ended = ended;
        outcome.took = self.started.elapsed();
        outcome.bytes_out = self.counts.out.load(Ordering::Relaxed);
        self.judge.after(ticket, outcome);
    }
}

impl<J: Judge> Drop for Case<J> {
    fn drop(&mut self) {
        self.close(ModelEnded::Abandoned);
    }
}

/// A refusal in the shape of the API's own errors (CONTRACTS section 6).
fn refuse<J: Judge>(refusal: &Refusal) -> Answer<J> {
    let kind = match refusal.status() {
        Status::Forbidden => "permission_error",
        Status::BodyTooLarge => "request_too_large",
        Status::BadGateway | Status::GatewayTimeout => "api_error",
        Status::BadRequest
        | Status::HeadTooLarge
        | Status::MethodNotAllowed
        | Status::Misdirected
        | Status::RequestTimeout => "invalid_request_error",
    };
    // A refusal is printable ASCII: these two are all that JSON wants escaped.
    let sentence = refusal.sentence().replace('\\', "\\\\").replace('"', "\\\"");
    let code = refusal.code().replace('\\', "\\\\").replace('"', "\\\"");
    let text = format!(
        "{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"bartizan: {sentence} [{code}]\"}}}}"
    );
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status().code()).unwrap_or(StatusCode::FORBIDDEN);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(code) = HeaderValue::from_str(refusal.code()) {
        response.headers_mut().insert(REASON_HEADER, code);
    }
    response
}

fn too_large() -> Refusal {
    Refusal::new(Status::BodyTooLarge, "request-too-large", "the request body is over the limit")
}

fn cut() -> Refusal {
    Refusal::new(Status::BadRequest, "request-cut", "the request body did not arrive whole")
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let names = ["request-id", "x-request-id", "x-amzn-requestid"];
    let value = names.iter().find_map(|name| headers.get(*name))?;
    let visible = value.as_bytes().iter().filter(|b| b.is_ascii_graphic()).take(128);
    Some(visible.map(|&b| char::from(b)).collect())
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok())
}

/// What bodies in memory are counted in.
const UNIT: u64 = 64 * 1024;
/// Of all bodies at the same time: 128 MiB. What a box sends beyond waits for its own requests.
const ROOM: usize = 2048;
/// Of one request, so that any request can have its room.
const ROOM_AT_ONCE: u32 = 1024;
