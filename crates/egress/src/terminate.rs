//! What does each request on a connection ask for, and may it?
//!
//! A connection to a judged host is not a tunnel: its TLS ends here, under a certificate of the session's own
//! authority, and each request that it carries is read, judged, and written anew toward the real host, whose
//! certificate is checked as any client would. Bodies stream through as they come.
//!
//! The first thing that is checked is that nothing can be read in two ways: framing (`strict`), host and scheme
//! (`request`), path ([`UrlPath`](bartizan_gate::url_path::UrlPath)). Only then is the [`RequestJudge`] asked.

mod body;
mod ca;
mod case;
mod decode;
mod exchange;
mod inject;
mod planted;
mod refused;
mod request;
mod sign;
pub(crate) mod strict;
mod strip;
mod tasks;
mod upstream;
mod websocket;

pub use ca::{CaError, SessionCa};
pub(crate) use inject::put;
pub use inject::{Bound, Injector, Place, PlaceError};
pub use request::HttpRequest;
pub(crate) use strip::names_credential;

use crate::budget::Allowances;
use crate::name::{HostPort, SecretName};
use crate::refuse::{Refusal, Status};
use crate::stream::Rewound;
use crate::terms::Ended;
use crate::tls::Clients;
use crate::turn_away::hang_up;
use body::Returning;
use bytes::Bytes;
use ca::Alpn;
use case::Case;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::{Future, poll_fn};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use strict::{Signals, Strict};
use tasks::Tasks;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use upstream::Upstream;

/// Bounds on the requests of one connection.
#[derive(Debug, Clone)]
pub struct RequestLimits {
    /// For one head, from its first byte to its last.
    pub head: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// From a request to the head of its answer.
    pub answer: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub streams: u32,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(90),
            answer: Duration::from_mins(5),
            idle: Duration::from_mins(5),
            streams: 100,
        }
    }
}

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOutcome {
    /// The target's status, when it answered.
    pub status: Option<u16>,
    /// Bytes of the request's body that were sent.
    pub bytes_out: u64,
    /// Bytes of the answer's body that were received.
    pub bytes_in: u64,
    /// How many secret values were taken out of the answer.
    pub hidden: usize,
    /// From the verdict to the end.
    pub took: Duration,
    /// How it ended.
    pub ended: HttpEnded,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpEnded {
    /// The box went away, or the session ended, in mid-request.
    Abandoned,
    /// The target failed in mid-answer.
    Broken,
    /// The answer passed whole, or the connection became a WebSocket.
    Finished,
    /// No answer came; the box was told this.
    Refused(Refusal),
}

/// A judge's yes.
#[derive(Debug)]
pub struct Allowed<T> {
    /// What the judge wants back in [`RequestJudge::after`].
    pub ticket: T,
    /// The secret that was granted with it.
    pub secret: Option<SecretName>,
}

/// Judges each request, and learns what came of it.
pub trait RequestJudge: Send + Sync + 'static {
    /// What the judge wants back in [`RequestJudge::after`].
    type Ticket: Send + Sync + 'static;

    /// Decides before anything of the request leaves.
    fn before(
        &self,
        target: &HostPort,
        request: &HttpRequest,
    ) -> impl Future<Output = Result<Allowed<Self::Ticket>, Refusal>> + Send;

    /// Told of a request that a wall stopped, so that the judge was not asked. `what` may hold anything printable.
    fn stopped(&self, target: &HostPort, what: &str, refusal: &Refusal);

    /// Told of a placeholder that was on its way where it is worth nothing. When it returns, what follows from it holds
    /// for every later [`RequestJudge::before`].
    fn alarm(&self, secret: &SecretName, target: &HostPort, place: &str);

    /// Told of a body in which planted values are sought and that cannot be read, and why; whether it may leave all the same.
    fn unread(&self, target: &HostPort, why: &str) -> bool;

    /// Told exactly once for each allowed request, also when it is cut off. Called from within I/O and from
    /// `drop`: it must not block.
    fn after(&self, ticket: Self::Ticket, outcome: HttpOutcome);
}

/// All that the connections of one session need to be read.
#[expect(missing_debug_implementations, reason = "it holds a private key and the way to secrets")]
pub struct Terminator {
    ca: Arc<SessionCa>,
    clients: Arc<Clients>,
    injector: Injector,
    limits: RequestLimits,
}

impl Terminator {
    /// One that answers as `ca`, and believes the hosts that `clients` believe.
    pub fn new(ca: Arc<SessionCa>, clients: Arc<Clients>, injector: Injector) -> Self {
        Self { ca, clients, injector, limits: RequestLimits::default() }
    }

    /// The same within other limits.
    #[must_use = "a terminator is a value"]
    pub fn within(self, limits: RequestLimits) -> Self {
        Self { limits, ..self }
    }

    /// Whether a secret is bound to `target`.
    pub fn binds(&self, target: &HostPort) -> bool {
        self.injector.binds(target)
    }

    pub(crate) fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }
}

/// One connection of the box, and what serves its requests.
pub(crate) struct Session<J> {
    upstream: Upstream,
    terminator: Arc<Terminator>,
    allowances: Arc<Allowances>,
    judge: Arc<J>,
    signals: Arc<Signals>,
    upgraded: Mutex<Option<Upgraded>>,
}

/// What a session is made from.
pub(crate) struct Making<J> {
    pub(crate) target: HostPort,
    pub(crate) secure: bool,
    pub(crate) reach: crate::resolve::Reach,
    pub(crate) resolver: crate::resolve::Resolver,
    pub(crate) dial: Duration,
    pub(crate) dialled: Option<crate::stream::Metered<tokio::net::TcpStream>>,
    pub(crate) meter: Arc<crate::stream::Meter>,
    pub(crate) terminator: Arc<Terminator>,
    pub(crate) allowances: Arc<Allowances>,
    pub(crate) judge: Arc<J>,
}

type Answer<J> = Response<Either<Returning<J>, Full<Bytes>>>;

impl<J: RequestJudge> Session<J> {
    pub(crate) fn new(making: Making<J>) -> Arc<Self> {
        let Making {
            target,
            secure,
            reach,
            resolver,
            dial,
            dialled,
            meter,
            terminator,
            allowances,
            judge,
        } = making;
        let upstream = Upstream {
            target,
            reach,
            resolver,
            dial,
            answer: terminator.limits.answer,
            tls: secure.then(|| Arc::clone(terminator.clients())),
            meter,
            tasks: Tasks::default(),
            slot: tokio::sync::Mutex::new(upstream::Slot::with(dialled)),
            address: Mutex::default(),
        };
        let (signals, upgraded) = (Arc::default(), Mutex::default());
        Arc::new(Self { upstream, terminator, allowances, judge, signals, upgraded })
    }

    /// The address that was dialled last.
    pub(crate) fn address(&self) -> Option<std::net::SocketAddr> {
        self.upstream.address()
    }

    /// Ends all that runs beside the connection.
    pub(crate) fn end(&self) {
        self.upstream.tasks.end();
    }

    /// Serves a client that speaks plain HTTP/1.1.
    pub(crate) async fn serve_plain<S>(self: &Arc<Self>, client: S) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.serve_http1(client).await
    }

    /// Serves a client that begins with TLS; its hello was checked and stands at the front of `client`.
    pub(crate) async fn serve_tls<S>(
        self: &Arc<Self>,
        client: Rewound<S>,
        opening: Duration,
    ) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = rustls::server::Acceptor::default();
        let start = timeout(opening, LazyConfigAcceptor::new(acceptor, client)).await;
        let start = start.map_err(|_| refused_tls())?.map_err(|_| refused_tls())?;
        let hello = start.client_hello();
        let offers: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
        let (newer, older) =
            (offers.contains(&Alpn::Http2.id()), offers.contains(&Alpn::Http1.id()));
        let alpn = match self.upstream.negotiate(newer).await {
            Ok(alpn) => alpn,
            // The client hears of it as the answer to its first request, in a protocol that it offers.
            Err(_) if newer && !older => Alpn::Http2,
            Err(_) => Alpn::Http1,
        };
        let config = self.terminator.ca.server(self.upstream.target.host(), alpn);
        let config = config.map_err(|_| {
            Ended::Refused(Refusal::new(
                Status::BadGateway,
                "certificate-failed",
                "no certificate could be made for this host",
            ))
        })?;
        let secured = timeout(opening, start.into_stream(config)).await;
        let secured = secured.map_err(|_| refused_tls())?.map_err(|_| refused_tls())?;
        match alpn {
            Alpn::Http1 => self.serve_http1(secured).await,
            Alpn::Http2 => self.serve_http2(secured).await,
        }
    }

    async fn serve_http1<S>(self: &Arc<Self>, client: S) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limits = &self.terminator.limits;
        let strict = Strict::new(client, Arc::clone(&self.signals), limits.head);
        let service = service_fn(|request| {
            let session = Arc::clone(self);
            Box::pin(async move { Ok::<_, hyper::Error>(session.answer(request).await) })
        });
        let mut connection = server::conn::http1::Builder::new()
            .half_close(true)
            .max_buf_size(BUFFER)
            .timer(TokioTimer::new())
            .header_read_timeout(limits.keep_alive)
            .serve_connection(TokioIo::new(strict), service);
        let served = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
        let parts = connection.into_parts();
        let (mut client, rest) = parts.io.into_inner().into_parts();
        if let Some(upstream) = self.take_upgraded() {
            let early = [parts.read_buf.as_ref(), &rest].concat();
            return websocket::relay(client, early, upstream).await;
        }
        if let Some(refusal) = self.signals.take_flaw() {
            self.judge.stopped(&self.upstream.target, "an HTTP request", &refusal);
            hang_up(&mut client, &refusal.to_http()).await;
            return Err(Ended::Refused(refusal));
        }
        hang_up(&mut client, b"").await;
        served.or_else(|error| ended(&error))
    }

    async fn serve_http2<S>(self: &Arc<Self>, client: S) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limits = &self.terminator.limits;
        let service = service_fn(|request| {
            let session = Arc::clone(self);
            async move { Ok::<_, hyper::Error>(session.answer(request).await) }
        });
        let mut builder = server::conn::http2::Builder::new(self.upstream.tasks.clone());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(HEADERS)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * 2)
            .keep_alive_interval(limits.keep_alive)
            .keep_alive_timeout(limits.head);
        let served = builder.serve_connection(TokioIo::new(client), service).await;
        served.or_else(|error| ended(&error))
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer<J> {
        let target = &self.upstream.target;
        let what = format!("{} {}", request.method(), request.uri().path());
        let (mut parts, body) = request.into_parts();
        let read = request::read((&mut parts, &body), target, self.upstream.tls.is_some());
        let checked = read.and_then(|mut seen| {
            self.alarms(&parts)?;
            let bound = self.terminator.injector.binds(target);
            if bound {
                let signs = self.terminator.injector.signs(target);
                let query = strip::strip(&mut parts, seen.query(), signs)?;
                seen.set_query(query);
            }
            self.allowances.take_request(target, seen.size())?;
            Ok(seen)
        });
        let seen = match checked {
            Ok(seen) => seen,
            Err(refusal) => {
                self.judge.stopped(target, &what, &refusal);
                return refused::unsent(&refusal, &parts, body).await;
            }
        };
        let allowed = match self.judge.before(target, &seen).await {
            Ok(allowed) => allowed,
            Err(refusal) => return refused::unsent(&refusal, &parts, body).await,
        };
        let Allowed { ticket, secret } = allowed;
        let mut case = Case::open(Arc::clone(&self.judge), ticket);
        let sent = if seen.is_websocket() {
            self.upgrade(&seen, (parts, body)).await
        } else {
            self.forward(&seen, (parts, body), secret.as_ref(), &mut case).await
        };
        let handed = match sent {
            Ok(response) => self.hand_back(response, case),
            // A body that broke off because its framing was bad is the client's flaw, not the server's.
            Err(refusal) => Err(case.refuse(self.signals.take_flaw().unwrap_or(refusal))),
        };
        handed.unwrap_or_else(|refusal| refused::answer(&refusal))
    }

    fn take_upgraded(&self) -> Option<Upgraded> {
        self.upgraded.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells of placeholders in a request's head. What was planted goes nowhere.
    fn alarms(&self, parts: &Parts) -> Result<(), Refusal> {
        let target = &self.upstream.target;
        let injector = &self.terminator.injector;
        let mut planted = false;
        for (secret, place) in injector.placeholders_in(target, parts) {
            self.judge.alarm(&secret, target, &place);
            planted |= injector.is_canary(&secret);
        }
        if planted { Err(planted::withheld()) } else { Ok(()) }
    }
}

fn refused_tls() -> Ended {
    let text =
        "the client did not finish the TLS handshake; does it trust /etc/bartizan/roots.pem?";
    Ended::Refused(Refusal::new(Status::Misdirected, "client-tls", text))
}

fn ended(error: &hyper::Error) -> Result<(), Ended> {
    if error.is_timeout() {
        return Err(Ended::Idle);
    }
    if error.is_parse() {
        let text = "a request could not be parsed";
        return Err(Ended::Refused(Refusal::new(Status::BadRequest, "malformed-request", text)));
    }
    Err(Ended::Broken(io::ErrorKind::ConnectionReset))
}

const BUFFER: usize = 64 * 1024;
const HEADERS: u32 = 16 * 1024;
/// Streams that a client may open and reset at once before it is taken for a flood.
const RESETS: usize = 20;
const WINDOW: u32 = 1 << 20;
