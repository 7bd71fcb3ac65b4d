//! Whom does this connection want to reach?
//!
//! Reads the front of a connection that the box made, within strict bounds of size and time. Nothing is
//! resolved and nothing is dialled here: what comes out is only an [`Intent`], to be judged.

use crate::closing::Closing;
use crate::front::Kind;
use crate::head::{self, HEAD_LIMIT, Head};
use crate::name::{Host, HostPort};
use crate::names::SyntheticNames;
use crate::refuse::{Refusal, Status};
use crate::socks;
use crate::stream::Rewound;
use crate::turn_away::{hang_up, refuse};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// On which of the box's listeners a connection arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The explicit HTTP proxy port.
    HttpProxy,
    /// The SOCKS5 port.
    Socks,
    /// Any other connect, caught on its way to `original`.
    Transparent {
        /// The destination that the program in the box dialled.
        original: SocketAddr,
    },
}

/// What a connection wants: the target to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    target: HostPort,
    kind: Kind,
    request: Option<RequestLine>,
}

impl Intent {
    /// The canonical target.
    pub fn target(&self) -> &HostPort {
        &self.target
    }

    /// How it was said.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The request that is known already; only for [`Kind::Absolute`].
    pub fn request(&self) -> Option<&RequestLine> {
        self.request.as_ref()
    }
}

/// Method and path of an absolute-form request, as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine {
    /// The method.
    pub method: String,
    /// The path with its query; at least `/`.
    pub path: String,
}

/// Bounds on reading a front.
#[derive(Debug, Clone)]
pub struct FrontLimits {
    /// How long the whole front may take, from accept.
    pub front: Duration,
}

impl Default for FrontLimits {
    /// Ten seconds: a client on the same machine needs milliseconds.
    fn default() -> Self {
        Self { front: Duration::from_secs(10) }
    }
}

/// A connection whose intent is known and not yet judged.
///
/// Dropping it closes the connection without a word; say why with [`Captured::refuse`].
#[must_use = "a captured connection waits for its verdict"]
#[derive(Debug)]
pub struct Captured<S> {
    intent: Intent,
    stream: Rewound<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Captured<S> {
    /// What the connection wants.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// Tells the client why not, and closes.
    pub async fn refuse(self, refusal: &Refusal) {
        refuse(self.stream, self.intent.kind, refusal).await;
    }

    pub(crate) fn into_parts(self) -> (Intent, Rewound<S>) {
        (self.intent, self.stream)
    }
}

impl Captured<TcpStream> {
    /// Watches whether the client gives up, also once the connection has been carried away.
    pub fn closing(&self) -> io::Result<Closing> {
        Closing::of(self.stream.inner())
    }
}

/// A connection whose front is unacceptable.
#[derive(Debug, Error)]
#[error("{refusal}")]
pub struct BadFront<S> {
    refusal: Refusal,
    answer: Vec<u8>,
    stream: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> BadFront<S> {
    /// Why, for the log.
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// Tells the client, and closes.
    pub async fn answer(mut self) {
        hang_up(&mut self.stream, &self.answer).await;
    }
}

/// Reads the front of `stream`, which arrived as `arrival`.
///
/// Errors when the front is malformed, ambiguous, too long or too slow; nothing was looked up then.
pub async fn capture<S>(
    mut stream: S,
    arrival: Arrival,
    names: &SyntheticNames,
    limits: &FrontLimits,
) -> Result<Captured<S>, BadFront<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let reading = async {
        match arrival {
            Arrival::HttpProxy => read_http(&mut stream).await,
            Arrival::Socks => read_socks(&mut stream).await,
            Arrival::Transparent { original } => transparent(original, names),
        }
    };
    let read = timeout(limits.front, reading).await.unwrap_or_else(|_| {
        let refusal = Refusal::new(
            Status::RequestTimeout,
            "front-timeout",
            "the request did not arrive in time",
        );
        let answer = if arrival == Arrival::HttpProxy { refusal.to_http() } else { Vec::new() };
        Err(Flaw { refusal, answer })
    });
    match read {
        Ok((intent, rest)) => Ok(Captured { intent, stream: Rewound::new(rest, stream) }),
        Err(Flaw { refusal, answer }) => Err(BadFront { refusal, answer, stream }),
    }
}

struct Flaw {
    refusal: Refusal,
    answer: Vec<u8>,
}

impl Flaw {
    fn http(refusal: Refusal) -> Self {
        let answer = refusal.to_http();
        Self { refusal, answer }
    }

    fn lost(_: io::Error) -> Self {
        let refusal = Refusal::new(
            Status::BadRequest,
            "front-cut",
            "the connection ended before its request did",
        );
        Self { refusal, answer: Vec::new() }
    }
}

type Front = Result<(Intent, Vec<u8>), Flaw>;

fn transparent(original: SocketAddr, names: &SyntheticNames) -> Front {
    let flaw = |code, sentence| Flaw {
        refusal: Refusal::new(Status::Forbidden, code, sentence),
        answer: Vec::new(),
    };
    let host = if SyntheticNames::covers(original.ip()) {
        names.name_of(original.ip()).ok_or_else(|| {
            flaw("unknown-name", "the address stands for no name that this box has looked up")
        })?
    } else {
        Host::from(original.ip())
    };
    let target =
        HostPort::new(host, original.port()).map_err(|_| flaw("bad-port", "port 0 is no port"))?;
    Ok((Intent { target, kind: Kind::Transparent, request: None }, Vec::new()))
}

async fn read_http<S: AsyncRead + Unpin>(stream: &mut S) -> Front {
    let mut bytes = Vec::with_capacity(1024);
    let head = loop {
        if let Some(head) = head::parse(&bytes).map_err(Flaw::http)? {
            break head;
        }
        more(stream, &mut bytes, HEAD_LIMIT).await.map_err(Flaw::lost)?;
    };
    let intent = if head.method() == "CONNECT" { connect(&head) } else { absolute(&head) }
        .map_err(Flaw::http)?;
    if intent.kind == Kind::Connect {
        bytes.drain(..head.len());
    }
    Ok((intent, bytes))
}

fn connect(head: &Head) -> Result<Intent, Refusal> {
    let target = HostPort::parse(head.target()).map_err(|_| bad_host())?;
    if head.body() != head::Body::Length(0) {
        return Err(Refusal::new(Status::BadRequest, "malformed-request", "a CONNECT has no body"));
    }
    agree(head, &target)?;
    Ok(Intent { target, kind: Kind::Connect, request: None })
}

fn absolute(head: &Head) -> Result<Intent, Refusal> {
    let bad = |sentence| Refusal::new(Status::BadRequest, "malformed-request", sentence);
    if matches!(head.method(), "TRACE" | "TRACK") {
        return Err(Refusal::new(Status::MethodNotAllowed, "trace-refused", "TRACE never passes"));
    }
    let (scheme, rest) = head
        .target()
        .split_once("://")
        .ok_or_else(|| bad("a request to this proxy names its whole URL, or uses CONNECT"))?;
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(bad("a proxied request has the scheme http; use CONNECT for https"));
    }
    if rest.contains(['#', '\\']) {
        return Err(bad_host());
    }
    let split = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(split).ok_or_else(bad_host)?;
    let target = head::authority(authority, 80).map_err(|_| bad_host())?;
    if head.minor() == 1 && head.only("host").is_none() {
        return Err(bad("the request has no Host"));
    }
    agree(head, &target)?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let request = Some(RequestLine { method: head.method().to_owned(), path });
    Ok(Intent { target, kind: Kind::Absolute, request })
}

/// A `Host` that names another target than the first line is an attempt to be judged as one host and
/// served as another.
fn agree(head: &Head, target: &HostPort) -> Result<(), Refusal> {
    let Some(host) = head.only("host") else { return Ok(()) };
    match head::authority(host, target.port()) {
        Ok(named) if named == *target => Ok(()),
        _ => Err(Refusal::new(
            Status::BadRequest,
            "host-mismatch",
            "Host names another target than the request line",
        )),
    }
}

fn bad_host() -> Refusal {
    Refusal::new(
        Status::BadRequest,
        "bad-host",
        "the host is not in canonical form; write a plain DNS name or address",
    )
}

async fn read_socks<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Front {
    let mut bytes = Vec::with_capacity(300);
    let greeting = loop {
        let read = socks::greeting(&bytes)
            .map_err(|refusal| Flaw { refusal, answer: socks::NO_METHOD.to_vec() })?;
        if let Some(length) = read {
            break length;
        }
        more(stream, &mut bytes, SOCKS_LIMIT).await.map_err(Flaw::lost)?;
    };
    bytes.drain(..greeting);
    stream.write_all(&socks::NO_AUTHENTICATION).await.map_err(Flaw::lost)?;
    loop {
        let read = socks::request(&bytes).map_err(|flaw| Flaw {
            answer: socks::reply(flaw.reply).to_vec(),
            refusal: flaw.refusal,
        })?;
        if let Some((target, length)) = read {
            bytes.drain(..length);
            return Ok((Intent { target, kind: Kind::Socks, request: None }, bytes));
        }
        more(stream, &mut bytes, SOCKS_LIMIT).await.map_err(Flaw::lost)?;
    }
}

/// Reads once; the end of the stream and a full buffer are errors.
pub(crate) async fn more<S: AsyncRead + Unpin>(
    stream: &mut S,
    bytes: &mut Vec<u8>,
    limit: usize,
) -> io::Result<()> {
    let mut chunk = [0u8; 4096];
    let room = limit.saturating_sub(bytes.len()).min(chunk.len());
    let into = chunk.get_mut(..room).unwrap_or_default();
    let count = stream.read(into).await?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.extend_from_slice(into.get(..count).unwrap_or_default());
    Ok(())
}

/// Over any greeting (257 bytes) and any request (262 bytes) together.
const SOCKS_LIMIT: usize = 1024;
