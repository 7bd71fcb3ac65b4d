//! Which connection to the upstream carries the next request?

use super::body::Outgoing;
use crate::refuse::{Refusal, Status};
use crate::resolve::{Reach, Resolver};
use crate::upstream::{Upstream, is_loopback};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

/// The upstream, and the connections to it that wait for work.
pub(super) struct Link {
    upstream: Upstream,
    resolver: Resolver,
    tls: Option<TlsConnector>,
    connect: Duration,
    idle: Arc<Mutex<Vec<Idle>>>,
}

struct Idle {
    sender: Sender,
    since: Instant,
}

type Sender = SendRequest<Outgoing>;

/// An answer, and the place of its connection.
pub(super) struct Reply {
    pub(super) response: Response<Incoming>,
    pub(super) seat: Seat,
}

/// A connection in use. It is used again only if [`Seat::give_back`] is called, after a whole answer.
pub(super) struct Seat {
    sender: Sender,
    idle: Arc<Mutex<Vec<Idle>>>,
}

impl Seat {
    pub(super) fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(Idle { sender: self.sender, since: Instant::now() });
        }
    }
}

impl Link {
    pub(super) fn new(
        upstream: Upstream,
        resolver: Resolver,
        tls: Option<Arc<ClientConfig>>,
        connect: Duration,
    ) -> Self {
        Self { upstream, resolver, tls: tls.map(TlsConnector::from), connect, idle: Arc::default() }
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Sends `request` and waits for the head of its answer.
    pub(super) async fn send(
        &self,
        mut request: Request<Outgoing>,
        first_byte: Duration,
    ) -> Result<Reply, Refusal> {
        loop {
            let waiting = self.waiting();
            let reused = waiting.is_some();
            let mut sender = match waiting {
                Some(sender) => sender,
                None => timeout(self.connect, self.open())
                    .await
                    .unwrap_or_else(|_| Err(slow("connect")))?,
            };
            let sent = async {
                // A pooled connection may take a moment to notice that it is free, or that it is closed.
                if sender.ready().await.is_err() {
                    return Err(None);
                }
                Ok(sender.try_send_request(request).await)
            };
            match timeout(first_byte, sent).await {
                Err(_) => return Err(slow("answer")),
                Ok(Ok(Ok(response))) => {
                    return Ok(Reply {
                        response,
                        seat: Seat { sender, idle: Arc::clone(&self.idle) },
                    });
                }
                Ok(Ok(Err(mut error))) => match error.take_message().filter(|_| reused) {
                    Some(unsent) => request = unsent,
                    None => return Err(failed()),
                },
                Ok(Err(never)) => return Err(never.unwrap_or_else(unreachable)),
            }
        }
    }

    /// A connection that is open and free.
    fn waiting(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < IDLE_AGE);
        idle.pop().map(|idle| idle.sender)
    }

    async fn open(&self) -> Result<Sender, Refusal> {
        let target = self.upstream.target();
        // The operator named this host: it may be a gateway on a private network. Unencrypted it may not
        // leave the machine, whatever the name resolves to.
        let reach = Reach::public().and_this_host();
        let reach = if self.upstream.is_secure() { reach.and_network() } else { reach };
        let pinned = self.resolver.resolve(target, reach).await.map_err(|error| error.refusal())?;
        let on_this_host = pinned.addresses().iter().all(|address| address.ip().is_loopback());
        let may_be_plain = is_loopback(target) && on_this_host;
        if !self.upstream.is_secure() && !may_be_plain {
            return Err(unreachable());
        }
        let (stream, _) = pinned.dial(self.connect).await.map_err(|error| error.refusal())?;
        let io: Box<dyn Io> = match &self.tls {
            Some(tls) if self.upstream.is_secure() => {
                let name =
                    ServerName::try_from(target.host().to_string()).map_err(|_| unreachable())?;
                let secured = tls.connect(name, stream).await;
                Box::new(secured.map_err(|_| {
                    Refusal::new(
                        Status::BadGateway,
                        "upstream-tls",
                        "the TLS handshake with the model API failed",
                    )
                })?)
            }
            _ => Box::new(stream),
        };
        let (sender, connection) =
            Builder::new().handshake(TokioIo::new(io)).await.map_err(|_| unreachable())?;
        // Ends when its sender and the body it feeds are gone, or the upstream closes.
        drop(tokio::spawn(connection));
        Ok(sender)
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

fn unreachable() -> Refusal {
    Refusal::new(
        Status::BadGateway,
        "upstream-unreachable",
        "the model API does not take a connection",
    )
}

fn slow(what: &'static str) -> Refusal {
    Refusal::new(
        Status::GatewayTimeout,
        "upstream-timeout",
        format!("the model API gave no {what} in time"),
    )
}

fn failed() -> Refusal {
    Refusal::new(
        Status::BadGateway,
        "upstream-failed",
        "the model API closed the connection without an answer",
    )
}

const MAX_IDLE: usize = 8;
/// Under the idle time-outs that upstreams commonly have.
const IDLE_AGE: Duration = Duration::from_secs(30);
