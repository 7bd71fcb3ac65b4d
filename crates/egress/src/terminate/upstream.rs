//! Which connection to the judged host carries the next request of this client?

use super::body::{BodyFlaw, Outgoing};
use super::ca::Alpn;
use super::tasks::Tasks;
use crate::name::HostPort;
use crate::refuse::{Refusal, Status};
use crate::resolve::{Reach, Resolver};
use crate::stream::{Meter, Metered};
use crate::tls::Clients;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The way from one client connection to its target: at most one connection at a time, made when it is needed.
pub(super) struct Upstream {
    pub(super) target: HostPort,
    pub(super) reach: Reach,
    pub(super) resolver: Resolver,
    pub(super) dial: Duration,
    pub(super) answer: Duration,
    /// `None` for plain HTTP.
    pub(super) tls: Option<Arc<Clients>>,
    pub(super) meter: Arc<Meter>,
    pub(super) tasks: Tasks,
    pub(super) slot: AsyncMutex<Slot>,
    pub(super) address: Mutex<Option<SocketAddr>>,
}

/// The open connection, and whether the client may be spoken to in HTTP/2.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) http2: bool,
    pub(super) dialled: Option<Metered<TcpStream>>,
    sender: Option<Sender>,
}

enum Sender {
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

impl Sender {
    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

impl Slot {
    /// A slot for a connection that is open already.
    pub(super) fn with(dialled: Option<Metered<TcpStream>>) -> Self {
        Self { dialled, ..Self::default() }
    }
}

impl Upstream {
    /// Connects ahead of the first request, and says what the target chose of what the client offers.
    pub(super) async fn negotiate(&self, http2: bool) -> Result<Alpn, Refusal> {
        let mut slot = self.slot.lock().await;
        slot.http2 = http2;
        let sender = self.open(&mut slot, false).await?;
        let alpn = match &sender {
            Sender::Http1(_) => Alpn::Http1,
            Sender::Http2(_) => Alpn::Http2,
        };
        slot.sender = Some(sender);
        Ok(alpn)
    }

    /// The address that was dialled last.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends `request`, whose URI is absolute, and waits for the head of its answer.
    pub(super) async fn send(
        &self,
        mut request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, Refusal> {
        loop {
            let mut slot = self.slot.lock().await;
            let waiting = slot.sender.take().filter(|sender| !sender.is_closed());
            let reused = waiting.is_some();
            let sender = match waiting {
                Some(sender) => sender,
                None => self.open(&mut slot, false).await?,
            };
            let sent = match sender {
                Sender::Http2(sender) => {
                    slot.sender = Some(Sender::Http2(sender.clone()));
                    drop(slot);
                    self.send_http2(sender, request).await
                }
                Sender::Http1(sender) => {
                    // One after the other: the lock is held until the answer's head is there.
                    let (sender, sent) = self.send_http1(sender, request).await;
                    slot.sender = Some(Sender::Http1(sender));
                    sent
                }
            };
            match sent {
                Ok(response) => return Ok(response),
                Err(Unsent { message: Some(back), .. }) if reused => request = *back,
                Err(Unsent { refusal, .. }) => return Err(refusal),
            }
        }
    }

    /// Sends a request that turns its connection into something else; that connection is this request's own.
    pub(super) async fn upgrade(
        &self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, Refusal> {
        let mut own = Slot::default();
        match self.open(&mut own, true).await? {
            Sender::Http1(sender) => {
                let (_, sent) = self.send_http1(sender, request).await;
                sent.map_err(|unsent| unsent.refusal)
            }
            Sender::Http2(_) => Err(unreachable()),
        }
    }

    async fn send_http2(
        &self,
        mut sender: http2::SendRequest<Outgoing>,
        mut request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, Unsent> {
        request.headers_mut().remove(hyper::header::HOST);
        *request.version_mut() = hyper::Version::HTTP_2;
        if sender.ready().await.is_err() {
            return Err(Unsent::back(request));
        }
        let sent = timeout(self.answer, sender.try_send_request(request)).await;
        Unsent::of(sent)
    }

    async fn send_http1(
        &self,
        mut sender: http1::SendRequest<Outgoing>,
        mut request: Request<Outgoing>,
    ) -> (http1::SendRequest<Outgoing>, Result<Response<Incoming>, Unsent>) {
        let whole = request.uri().clone();
        *request.version_mut() = hyper::Version::HTTP_11;
        let path = whole.path_and_query().map_or("/", |path| path.as_str()).parse();
        let Ok(path) = path else { return (sender, Err(Unsent::refused(unreachable()))) };
        *request.uri_mut() = path;
        // A connection that was used may take a moment to notice that it is free, or that it is closed.
        if sender.ready().await.is_err() {
            *request.uri_mut() = whole;
            return (sender, Err(Unsent::back(request)));
        }
        let sent = timeout(self.answer, sender.try_send_request(request)).await;
        let mut sent = Unsent::of(sent);
        if let Err(Unsent { message: Some(back), .. }) = &mut sent {
            *back.uri_mut() = whole;
        }
        (sender, sent)
    }

    async fn open(&self, slot: &mut Slot, upgrades: bool) -> Result<Sender, Refusal> {
        timeout(self.dial, self.connect(slot, upgrades)).await.unwrap_or_else(|_| {
            Err(Refusal::new(
                Status::GatewayTimeout,
                "upstream-timeout",
                format!("`{}` took no connection in time", self.target),
            ))
        })
    }

    async fn connect(&self, slot: &mut Slot, upgrades: bool) -> Result<Sender, Refusal> {
        let stream = match slot.dialled.take() {
            Some(stream) => stream,
            None => self.dial_pinned().await?,
        };
        let Some(clients) = &self.tls else {
            return self.handshake(stream, Alpn::Http1, upgrades).await;
        };
        let config = clients.config(slot.http2).await.map_err(|_| unreachable())?;
        let name =
            ServerName::try_from(self.target.host().to_string()).map_err(|_| unreachable())?;
        let secured = TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
            // rustls's words name a reason such as an unknown issuer, and nothing of ours.
            let why = error.to_string();
            Refusal::new(
                Status::BadGateway,
                "upstream-tls",
                format!("the TLS handshake with `{}` failed: {why}", self.target),
            )
        })?;
        let chosen = secured.get_ref().1.alpn_protocol();
        let alpn = if chosen == Some(Alpn::Http2.id()) { Alpn::Http2 } else { Alpn::Http1 };
        self.handshake(secured, alpn, upgrades).await
    }

    async fn dial_pinned(&self) -> Result<Metered<TcpStream>, Refusal> {
        let pinned = self.resolver.resolve(&self.target, self.reach).await;
        let pinned = pinned.map_err(|error| error.refusal())?;
        let dialled = pinned.dial(self.dial).await.map_err(|error| error.refusal())?;
        let (stream, address) = dialled;
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        Ok(Metered::new(stream, Arc::clone(&self.meter)))
    }

    async fn handshake<S>(&self, stream: S, alpn: Alpn, upgrades: bool) -> Result<Sender, Refusal>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let io = TokioIo::new(stream);
        match alpn {
            Alpn::Http1 => {
                let handshake = http1::Builder::new().max_buf_size(BUFFER).handshake(io).await;
                let (sender, connection) = handshake.map_err(|_| unreachable())?;
                if upgrades {
                    self.tasks.spawn(async move { drop(connection.with_upgrades().await) });
                } else {
                    self.tasks.spawn(async move { drop(connection.await) });
                }
                Ok(Sender::Http1(sender))
            }
            Alpn::Http2 => {
                let mut builder = http2::Builder::new(self.tasks.clone());
                builder
                    .timer(TokioTimer::new())
                    .max_header_list_size(HEADERS)
                    .initial_stream_window_size(WINDOW)
                    .initial_connection_window_size(WINDOW * 2)
                    .max_concurrent_reset_streams(32);
                let (sender, connection) =
                    builder.handshake(io).await.map_err(|_| unreachable())?;
                self.tasks.spawn(async move { drop(connection.await) });
                Ok(Sender::Http2(sender))
            }
        }
    }
}

/// A request that did not get an answer, and itself when it was not even sent.
struct Unsent {
    message: Option<Box<Request<Outgoing>>>,
    refusal: Refusal,
}

type Sent = Result<
    Result<Response<Incoming>, hyper::client::conn::TrySendError<Request<Outgoing>>>,
    tokio::time::error::Elapsed,
>;

impl Unsent {
    fn back(request: Request<Outgoing>) -> Self {
        Self { message: Some(Box::new(request)), refusal: unreachable() }
    }

    fn refused(refusal: Refusal) -> Self {
        Self { message: None, refusal }
    }

    fn of(sent: Sent) -> Result<Response<Incoming>, Self> {
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => {
                let message = error.take_message().map(Box::new);
                Err(Self { message, refusal: failed(error.error()) })
            }
            Err(_) => Err(Self::refused(Refusal::new(
                Status::GatewayTimeout,
                "upstream-timeout",
                "the server gave no answer in time",
            ))),
        }
    }
}

fn unreachable() -> Refusal {
    Refusal::new(Status::BadGateway, "upstream-failed", "the server does not speak HTTP with us")
}

fn failed(error: &hyper::Error) -> Refusal {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(flaw) = cause.downcast_ref::<BodyFlaw>() {
            return flaw.refusal();
        }
        source = cause.source();
    }
    let text = "the server closed the connection without an answer";
    Refusal::new(Status::BadGateway, "upstream-failed", text)
}

const BUFFER: usize = 256 * 1024;
const HEADERS: u32 = 64 * 1024;
/// What may be on its way in one stream: enough for a fast link, small enough for many streams.
const WINDOW: u32 = 1 << 20;
