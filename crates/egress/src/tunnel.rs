//! Do the bytes speak to the host that was judged, and how much passed?
//!
//! [`Tunnel::carry`] takes a connection whose intent policy has allowed. It checks the first bytes before
//! they leave, resolves and dials the target, and relays until an end, a limit, or a drop of the future,
//! which closes both sides at once.

use crate::budget::Allowances;
use crate::capture::{Captured, Intent, Kind, more};
use crate::hello::{self, HELLO_LIMIT, Hello, HelloError};
use crate::http;
use crate::name::{Host, HostPort, SecretName};
use crate::refuse::{ACCESS_DENIED, Refusal, Status, hang_up};
use crate::resolve::{Reach, Resolver};
use crate::socks;
use crate::stream::{Meter, Metered, Rewound};
use crate::terminate::{
    Allowed, HttpOutcome, HttpRequest, Making, RequestJudge, Session, Terminator,
};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional_with_sizes,
};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Carries allowed connections to their targets.
#[derive(Debug, Clone)]
pub struct Tunnel {
    resolver: Resolver,
    limits: TunnelLimits,
    allowances: Arc<Allowances>,
}

/// What was granted with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// Which addresses it may lead to.
    pub reach: Reach,
    /// What is done with TLS on it.
    pub tls: Tls,
}

/// What is done with a connection's TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It passes as it is, once its hello has named the target: nobody reads the requests in it.
    PassThrough,
    /// It ends here, and each request in it is judged.
    Terminate,
    /// The same, and nothing but TLS passes, whatever the port.
    TerminateOnly,
}

/// Bounds on one tunnel.
#[derive(Debug, Clone)]
pub struct TunnelLimits {
    /// From the client's first byte (on a TLS port: from the verdict) until it is clear what it speaks.
    pub opening: Duration,
    /// For all dials together.
    pub dial: Duration,
    /// Without a byte either way.
    pub idle: Duration,
    /// In all.
    pub lifetime: Duration,
    /// Bytes that may leave.
    pub bytes_out: u64,
    /// Ports on which only TLS passes, and nothing is dialled before its hello has named the target.
    pub tls_ports: Vec<u16>,
    /// Ports on which only HTTP/1.1 and TLS pass.
    pub http_ports: Vec<u16>,
    /// What is done with a client hello that is encrypted in part.
    pub encrypted_hello: EncryptedHello,
}

/// What is done with a client hello that carries an encrypted one (ECH, RFC 9849).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptedHello {
    /// Let it pass when the readable name is the target's. Browsers send a meaningless one with every
    /// connection, which cannot be told from a real one; a real one may name any host of the same provider.
    Pass,
    /// Refuse it.
    Refuse,
}

impl Default for TunnelLimits {
    /// Limits that an honest program does not meet; encrypted hellos are refused.
    fn default() -> Self {
        Self {
            opening: Duration::from_secs(10),
            dial: Duration::from_secs(10),
            idle: Duration::from_mins(15),
            lifetime: Duration::from_hours(12),
            bytes_out: u64::MAX,
            tls_ports: vec![443],
            http_ports: vec![80],
            encrypted_hello: EncryptedHello::Refuse,
        }
    }
}

/// How a tunnel ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Either side failed in mid-stream.
    Broken(io::ErrorKind),
    /// Both sides were done.
    Finished,
    /// Nothing passed for too long.
    Idle,
    /// The bytes that may leave have left.
    OverBudget,
    /// It was refused; nothing of what was refused has left.
    Refused(Refusal),
    /// It lasted too long.
    TooLong,
}

/// What a tunnel did, for the audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelReport {
    /// Bytes that went to the target.
    pub bytes_out: u64,
    /// Bytes that came back.
    pub bytes_in: u64,
    /// The address that was dialled.
    pub address: Option<SocketAddr>,
    /// The server name of the TLS client, when it gave one.
    pub sni: Option<Host>,
    /// How it ended.
    pub ended: Ended,
}

impl Tunnel {
    /// A tunnel-maker.
    pub fn new(resolver: Resolver, limits: TunnelLimits) -> Self {
        Self { resolver, limits, allowances: Arc::default() }
    }

    /// The same, drawing on the allowances of a session.
    #[must_use = "a tunnel-maker is a value"]
    pub fn drawing_on(self, allowances: Arc<Allowances>) -> Self {
        Self { allowances, ..self }
    }

    /// Whether on this port nothing passes but requests that can be judged.
    pub fn carries_requests_only(&self, port: u16) -> bool {
        self.limits.tls_ports.contains(&port) || self.limits.http_ports.contains(&port)
    }

    /// Carries `captured`, which was allowed, to its target within `reach`.
    ///
    /// Every failure is in the report, and the client was told where its protocol can tell. Dropping the
    /// future closes both sides.
    pub async fn carry<S>(&self, captured: Captured<S>, reach: Reach) -> TunnelReport
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let passage = Passage { reach, tls: Tls::PassThrough };
        self.pass::<S, Nobody>(captured, passage, None).await
    }

    /// The same for a connection whose requests are judged, each by itself.
    pub async fn carry_judged<S, J>(
        &self,
        captured: Captured<S>,
        passage: Passage,
        terminator: Arc<Terminator>,
        judge: Arc<J>,
    ) -> TunnelReport
    where
        S: AsyncRead + AsyncWrite + Unpin,
        J: RequestJudge,
    {
        self.pass(captured, passage, Some((terminator, judge))).await
    }

    async fn pass<S, J>(
        &self,
        captured: Captured<S>,
        passage: Passage,
        court: Option<(Arc<Terminator>, Arc<J>)>,
    ) -> TunnelReport
    where
        S: AsyncRead + AsyncWrite + Unpin,
        J: RequestJudge,
    {
        let (intent, client) = captured.into_parts();
        let allowances = self.allowances.of(intent.target());
        let meter = Meter::new(self.limits.bytes_out, allowances);
        let mut trip = Trip {
            tunnel: self,
            target: intent.target().clone(),
            kind: intent.kind(),
            passage,
            court,
            meter: Arc::clone(&meter),
            address: None,
            sni: None,
        };
        let running = Box::pin(trip.run(client, &intent));
        let lifetime = sleep(self.limits.lifetime);
        let ended = tokio::select! {
            ended = running => ended,
            () = lifetime => Err(Ended::TooLong),
        };
        let ended = match ended {
            _ if meter.is_spent() => Ended::OverBudget,
            Ok(()) => Ended::Finished,
            Err(ended) => ended,
        };
        TunnelReport {
            bytes_out: meter.bytes_out(),
            bytes_in: meter.bytes_in(),
            address: trip.address,
            sni: trip.sni,
            ended,
        }
    }
}

/// The judge of a connection whose requests are not judged: there is never a case.
struct Nobody;

impl RequestJudge for Nobody {
    type Ticket = ();

    async fn before(&self, _: &HostPort, _: &HttpRequest) -> Result<Allowed<()>, Refusal> {
        Err(unclear("nobody judges requests here"))
    }

    fn stopped(&self, _: &HostPort, _: &str, _: &Refusal) {}

    fn alarm(&self, _: &SecretName, _: &HostPort, _: &str) {}

    fn after(&self, (): (), _: HttpOutcome) {}
}

struct Trip<'a, J> {
    tunnel: &'a Tunnel,
    target: HostPort,
    kind: Kind,
    passage: Passage,
    court: Option<(Arc<Terminator>, Arc<J>)>,
    meter: Arc<Meter>,
    address: Option<SocketAddr>,
    sni: Option<Host>,
}

/// What the first bytes of a client are.
enum Opening {
    Http,
    Other,
    Tls(Hello),
}

impl<J: RequestJudge> Trip<'_, J> {
    async fn run<S>(&mut self, client: Rewound<S>, intent: &Intent) -> Result<(), Ended>
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

    fn is_tls_port(&self) -> bool {
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
                crate::refuse::refuse(client, self.kind, &refusal).await;
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

    /// Tells the client that its tunnel is there.
    async fn welcome<S: AsyncWrite + Unpin>(&self, client: &mut S) -> Result<(), Ended> {
        let text: &[u8] = match self.kind {
            Kind::Connect => b"HTTP/1.1 200 Connection Established\r\n\r\n",
            Kind::Socks => &socks::reply(0),
            Kind::Absolute | Kind::Transparent => return Ok(()),
        };
        client.write_all(text).await.map_err(|error| Ended::Broken(error.kind()))
    }

    /// Collects the client's first bytes, and meanwhile passes on what the server says.
    async fn listen<S, U>(
        &self,
        client: &mut S,
        upstream: &mut U,
    ) -> (Vec<u8>, Result<Opening, Ended>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + Unpin,
    {
        let mut first = Vec::new();
        let mut deadline = None;
        let mut server_spoke = false;
        let mut said = vec![0u8; 8192];
        loop {
            match self.opening(&first) {
                // An HTTP server does not speak first; this one would take for a request what its
                // protocol means otherwise.
                Ok(Some(Opening::Http)) if server_spoke => {
                    return (
                        first,
                        Err(Ended::Refused(unclear("the server spoke before an HTTP request"))),
                    );
                }
                Ok(Some(opening)) => return (first, Ok(opening)),
                Ok(None) => {}
                Err(ended) => return (first, Err(ended)),
            }
            let until =
                *deadline.get_or_insert_with(|| Instant::now() + self.tunnel.limits.opening);
            tokio::select! {
                read = more(client, &mut first, HELLO_LIMIT) => {
                    if let Err(error) = read {
                        return (first, at_end(&error));
                    }
                }
                read = upstream.read(&mut said) => match read {
                    Ok(0) => return (first, Err(Ended::Finished)),
                    Ok(count) => {
                        server_spoke = true;
                        if let Err(error) = client.write_all(said.get(..count).unwrap_or_default()).await {
                            return (first, Err(Ended::Broken(error.kind())));
                        }
                    }
                    Err(error) => return (first, Err(Ended::Broken(error.kind()))),
                },
                () = sleep_until(until), if !first.is_empty() => return (first, Err(Ended::Refused(slow()))),
                () = self.meter.idle(self.tunnel.limits.idle) => return (first, Err(Ended::Idle)),
            }
            if first.is_empty() {
                deadline = None;
            }
        }
    }

    /// What `first` begins; `None` while it could still be several things.
    fn opening(&self, first: &[u8]) -> Result<Option<Opening>, Ended> {
        if first.is_empty() {
            return Ok(None);
        }
        match hello::parse(first) {
            Ok(hello) => return Ok(hello.map(Opening::Tls)),
            Err(HelloError::NotTls) => {}
            Err(error) => {
                return Err(Ended::Refused(misdirected("malformed-tls", error.to_string())));
            }
        }
        if self.is_tls_port() {
            return Err(Ended::Refused(misdirected("not-tls", "on this port only TLS passes")));
        }
        match http::looks_like(first) {
            http::Looks::Http1 => Ok(Some(Opening::Http)),
            http::Looks::Http2 => {
                Err(Ended::Refused(misdirected("h2c-refused", "HTTP/2 passes only inside TLS")))
            }
            http::Looks::Unclear => Ok(None),
            http::Looks::Other if self.tunnel.limits.http_ports.contains(&self.target.port()) => {
                Err(Ended::Refused(misdirected(
                    "not-http",
                    "on this port only HTTP/1.1 and TLS pass",
                )))
            }
            http::Looks::Other => Ok(Some(Opening::Other)),
        }
    }

    /// Holds a TLS client to the host that was judged (ATTACKS N10).
    fn check(&mut self, opening: Opening) -> Result<Opening, Refusal> {
        let Opening::Tls(hello) = opening else { return Ok(opening) };
        self.sni.clone_from(&hello.server_name);
        match &hello.server_name {
            Some(name) if name == self.target.host() => {}
            Some(_) => {
                return Err(misdirected(
                    "sni-mismatch",
                    "the TLS server name is not the host of the connection",
                ));
            }
            // A client that dials an address has no name to give; the address itself was judged.
            None if self.target.host().address().is_some() => {}
            None => return Err(misdirected("sni-missing", "the TLS client names no server")),
        }
        if hello.encrypted && self.tunnel.limits.encrypted_hello == EncryptedHello::Refuse {
            return Err(misdirected(
                "ech-refused",
                "an encrypted client hello may name another host; turn ECH off",
            ));
        }
        Ok(Opening::Tls(hello))
    }

    /// Closes the client's side after a tunnel was opened, with an alert if it speaks TLS.
    async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut client: Rewound<S>,
        ended: Ended,
    ) -> Ended {
        let answer: &[u8] = match &ended {
            Ended::Refused(refusal) => match refusal.code() {
                "h2c-refused" | "not-http" | "unclear-protocol" | "opening-timeout" | "not-tls" => {
                    &[]
                }
                _ => &ACCESS_DENIED,
            },
            _ => return ended,
        };
        hang_up(&mut client, answer).await;
        ended
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

/// A client that ends before its first bytes are clear has still said them; they were not HTTP, which
/// ends its first line.
fn at_end(error: &io::Error) -> Result<Opening, Ended> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Ok(Opening::Other),
        kind => Err(Ended::Broken(kind)),
    }
}

fn misdirected(code: &'static str, sentence: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Status::Misdirected, code, sentence)
}

fn unclear(sentence: &'static str) -> Refusal {
    misdirected("unclear-protocol", sentence)
}

fn slow() -> Refusal {
    Refusal::new(
        Status::RequestTimeout,
        "opening-timeout",
        "the first bytes did not arrive in time",
    )
}

const CHUNK: usize = 32 * 1024;
