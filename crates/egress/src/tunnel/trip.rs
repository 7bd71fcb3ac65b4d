//! How does one connection get to its target? By what it is: a TLS port, one plain request, or anything else.

use super::opening::{Opening, slow};
use super::{Ended, Passage, Tls, Tunnel, unclear};
use crate::capture::{Intent, more};
use crate::front::Kind;
use crate::hello::HELLO_LIMIT;
use crate::http;
use crate::name::{Host, HostPort};
use crate::refuse::Refusal;
use crate::stream::{Meter, Metered, Rewound};
use crate::terminate::{Making, RequestJudge, Session, Terminator};
use crate::turn_away::hang_up;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(super) struct Trip<'a, J> {
    pub(super) tunnel: &'a Tunnel,
    pub(super) target: HostPort,
    pub(super) kind: Kind,
    pub(super) passage: Passage,
    pub(super) court: Option<(Arc<Terminator>, Arc<J>)>,
    pub(super) meter: Arc<Meter>,
    pub(super) address: Option<SocketAddr>,
    pub(super) sni: Option<Host>,
}

impl<J: RequestJudge> Trip<'_, J> {
    pub(super) async fn run<S>(&mut self, client: Rewound<S>, intent: &Intent) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if intent.kind() == Kind::Absolute {
            self.run_absolute(client).await
        } else if self.is_tls_port() {
            self.run_tls(client).await
        } else {
            self.run_any(client).await
        }
    }

    pub(super) fn is_tls_port(&self) -> bool {
        self.passage.tls == Tls::TerminateOnly
            || self.tunnel.limits.tls_ports.contains(&self.target.port())
    }

    /// One plain HTTP request, whose head was judged.
    async fn run_absolute<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut client: Rewound<S>,
    ) -> Result<(), Ended> {
        if self.court.is_some() {
            return Box::pin(self.judge_plain(client, None)).await;
        }
        match self.dial().await {
            Ok(upstream) => self.relay_http(client, upstream, http::Repeat::Never).await,
            Err(refusal) => {
                hang_up(&mut client, &refusal.to_http()).await;
                Err(Ended::Refused(refusal))
            }
        }
    }

    /// A TLS port: nothing is looked up or dialled before the hello has named the target.
    async fn run_tls<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut client: Rewound<S>,
    ) -> Result<(), Ended> {
        self.welcome(&mut client).await?;
        let mut first = Vec::new();
        let opening = timeout(self.tunnel.limits.opening, async {
            loop {
                if let Some(opening) = self.opening(&first)? {
                    return Ok(opening);
                }
                more(&mut client, &mut first, HELLO_LIMIT)
                    .await
                    .map_err(|error| Ended::Broken(error.kind()))?;
            }
        });
        let checked = match opening.await {
            Ok(Ok(opening)) => self.check(opening).map(drop).map_err(Ended::Refused),
            Ok(Err(ended)) => Err(ended),
            Err(_) => Err(Ended::Refused(slow())),
        };
        if let Err(ended) = checked {
            return Err(self.turn_away(client, ended).await);
        }
        if self.terminates() {
            client.unread(first);
            return Box::pin(self.judge_tls(client, None)).await;
        }
        let upstream = match self.dial().await {
            Ok(upstream) => upstream,
            Err(refusal) => return Err(self.turn_away(client, Ended::Refused(refusal)).await),
        };
        client.unread(first);
        self.relay(client, upstream).await
    }

    /// Any other port: the server may speak first, so both directions run while the client's first bytes are
    /// held back until it is clear what they are.
    async fn run_any<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut client: Rewound<S>,
    ) -> Result<(), Ended> {
        let mut upstream = match self.dial().await {
            Ok(upstream) => upstream,
            Err(refusal) => {
                crate::turn_away::refuse(client, self.kind, &refusal).await;
                return Err(Ended::Refused(refusal));
            }
        };
        self.welcome(&mut client).await?;
        let (first, opened) = self.listen(&mut client, &mut upstream).await;
        let opening = match opened.and_then(|opening| self.check(opening).map_err(Ended::Refused)) {
            Ok(opening) => opening,
            Err(ended) => return Err(self.turn_away(client, ended).await),
        };
        client.unread(first);
        match opening {
            Opening::Http if self.court.is_some() => {
                Box::pin(self.judge_plain(client, Some(upstream))).await
            }
            Opening::Tls(_) if self.terminates() => {
                Box::pin(self.judge_tls(client, Some(upstream))).await
            }
            Opening::Http => self.relay_http(client, upstream, http::Repeat::SameHost).await,
            Opening::Other | Opening::Tls(_) => self.relay(client, upstream).await,
        }
    }

    /// Whether this connection's TLS ends here.
    fn terminates(&self) -> bool {
        self.court.is_some() && self.passage.tls != Tls::PassThrough
    }

    async fn judge_plain<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: Rewound<S>,
        dialled: Option<Metered<TcpStream>>,
    ) -> Result<(), Ended> {
        let Some(session) = self.session(false, dialled) else { return Err(nobody()) };
        let served = Served(session);
        let ended = self.until_idle(served.0.serve_plain(client)).await;
        self.address = self.address.or(served.0.address());
        ended
    }

    async fn judge_tls<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: Rewound<S>,
        dialled: Option<Metered<TcpStream>>,
    ) -> Result<(), Ended> {
        let Some(session) = self.session(true, dialled) else { return Err(nobody()) };
        let served = Served(session);
        let opening = self.tunnel.limits.opening;
        let ended = self.until_idle(served.0.serve_tls(client, opening)).await;
        self.address = self.address.or(served.0.address());
        ended
    }

    async fn until_idle(
        &self,
        served: impl Future<Output = Result<(), Ended>>,
    ) -> Result<(), Ended> {
        tokio::select! {
            ended = served => ended,
            () = self.meter.idle(self.tunnel.limits.idle) => Err(Ended::Idle),
        }
    }

    fn session(
        &self,
        secure: bool,
        dialled: Option<Metered<TcpStream>>,
    ) -> Option<Arc<Session<J>>> {
        let (terminator, judge) = self.court.as_ref()?;
        Some(Session::new(Making {
            target: self.target.clone(),
            secure,
            reach: self.passage.reach,
            resolver: self.tunnel.resolver.clone(),
            dial: self.tunnel.limits.dial,
            dialled,
            meter: Arc::clone(&self.meter),
            terminator: Arc::clone(terminator),
            allowances: Arc::clone(&self.tunnel.allowances),
            judge: Arc::clone(judge),
        }))
    }

    async fn dial(&mut self) -> Result<Metered<TcpStream>, Refusal> {
        let pinned = self.tunnel.resolver.resolve(&self.target, self.passage.reach).await;
        let pinned = pinned.map_err(|error| error.refusal())?;
        let dialled = pinned.dial(self.tunnel.limits.dial).await;
        let (stream, address) = dialled.map_err(|error| error.refusal())?;
        self.address = Some(address);
        Ok(Metered::new(stream, Arc::clone(&self.meter)))
    }

    async fn relay_http<S>(
        &self,
        client: Rewound<S>,
        up: Metered<TcpStream>,
        repeat: http::Repeat,
    ) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let relayed = http::relay(client, up, &self.target, repeat);
        tokio::select! {
            ended = relayed => ended,
            () = self.meter.idle(self.tunnel.limits.idle) => Err(Ended::Idle),
        }
    }

    async fn relay<S>(
        &self,
        mut client: Rewound<S>,
        mut upstream: Metered<TcpStream>,
    ) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let copied = copy_bidirectional_with_sizes(&mut client, &mut upstream, CHUNK, CHUNK);
        tokio::select! {
            copied = copied => copied.map(drop).map_err(|error| Ended::Broken(error.kind())),
            () = self.meter.idle(self.tunnel.limits.idle) => Err(Ended::Idle),
        }
    }
}

/// What runs beside a session's connection ends with it, however it ends.
struct Served<J: RequestJudge>(Arc<Session<J>>);

impl<J: RequestJudge> Drop for Served<J> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn nobody() -> Ended {
    Ended::Refused(unclear("nobody judges requests here"))
}

const CHUNK: usize = 32 * 1024;
