//! How does the request of a declared tool reach its one host, and what of the answer comes back?
//!
//! The request is whole when it comes here, but for its secret: that is put in at the last moment, on the way to the
//! host that the warrant names. A redirect is an answer like any other. What comes back is read to its end or not
//! shown at all, and has passed a redactor that knows the value.
//!
//! INVARIANT: whoever sent something knows whether it left. [`Lost::Unsent`] is said only of a request of which no byte
//! was handed to the connection.

mod answer;

pub use answer::Answer;

use crate::name::HostPort;
use crate::refuse::{Refusal, Status};
use crate::resolve::{Reach, Resolver};
use crate::secret::SecretValue;
use crate::terminate::Place;
use crate::terminate::put;
use crate::tls::Clients;
use crate::upstream::is_loopback;
use crate::vault::Vault;
use bartizan_gate::effect::Warrant;
use bartizan_scan::{KnownSecret, Redactor, ScanKey};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Carries the requests of declared tools.
#[expect(missing_debug_implementations, reason = "it holds the way to secrets")]
pub struct Courier {
    vault: Vault,
    resolver: Resolver,
    clients: Arc<Clients>,
    key: ScanKey,
}

/// A request with everything but its secret.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Whether it goes over TLS. Without it nothing leaves this machine.
    pub secure: bool,
    /// Where it goes.
    pub target: HostPort,
    /// In capitals.
    pub method: String,
    /// As it is sent.
    pub path: String,
    /// Without `?`.
    pub query: Option<String>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The content's type, and the content.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// Where the secret goes that the warrant grants.
    pub place: Option<Place>,
    /// Which addresses the host may lead to.
    pub reach: Reach,
    /// Bytes of the answer.
    pub answer: usize,
    /// From the beginning to the end of the answer.
    pub time: Duration,
}

/// An answer without the secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// What it said, when that was JSON.
    pub json: Option<Value>,
    /// How long it was.
    pub bytes_in: u64,
    /// How many echoes of the secret were taken out.
    pub hidden: usize,
}

/// Why there is no answer to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// It was sent, and whether it arrived nobody knows.
    Unanswered(Refusal),
    /// Nothing was sent.
    Unsent(Refusal),
    /// It was answered with this status, and the answer cannot be shown.
    Unshown(u16, Refusal),
}

impl Courier {
    /// A courier that takes secrets from `vault`; `key` colours the labels that stand where a value was echoed.
    pub fn new(vault: Vault, resolver: Resolver, clients: Arc<Clients>, key: ScanKey) -> Self {
        Self { vault, resolver, clients, key }
    }

    /// Carries one request, under the warrant that grants its host and its secret.
    pub async fn send(&self, warrant: &Warrant<'_>, errand: Errand) -> Result<Reply, Lost> {
        let secret = self.secret(warrant, &errand).await?;
        let redactor = secret.as_ref().map(|value| self.redactor(warrant, value)).transpose();
        let redactor = redactor.map_err(Lost::Unsent)?;
        let request = build(&errand, secret.as_deref()).map_err(Lost::Unsent)?;
        let trip = Trip::default();
        let carried = timeout(errand.time, self.carry(&errand, request, &trip)).await;
        let (status, body) =
            carried.unwrap_or_else(|_| Err(late())).map_err(|why| trip.lost(why))?;
        let bytes_in = u64::try_from(body.len()).unwrap_or(u64::MAX);
        if status == 401
            && let Some(name) = warrant.secret().filter(|_| secret.is_some())
        {
            // The call is not made twice: the next one has the new value.
            self.vault.turned_away(name);
        }
        let Ok(mut json) = serde_json::from_slice::<Value>(&body) else {
            return Ok(Reply { status, json: None, bytes_in, hidden: 0 });
        };
        // After its escapes were undone: a value that was echoed as `\u0073…` is found as well.
        let hidden = redactor.map_or(0, |redactor| redactor.redact_json(&mut json).len());
        Ok(Reply { status, json: Some(json), bytes_in, hidden })
    }

    /// The secret that goes with an errand, if it is the one that the warrant is for.
    async fn secret(
        &self,
        warrant: &Warrant<'_>,
        errand: &Errand,
    ) -> Result<Option<Arc<SecretValue>>, Lost> {
        if warrant.host() != Some(&errand.target) {
            let text = "this request was not the one that was judged";
            return Err(Lost::Unsent(Refusal::new(Status::Forbidden, "warrant-mismatch", text)));
        }
        if errand.place.is_none() {
            return Ok(None);
        }
        let opened = self.vault.open(warrant).await;
        opened.map(Some).map_err(|error| Lost::Unsent(error.refusal()))
    }

    /// Knows the value; one that could not be kept out of an answer is not sent.
    fn redactor(&self, warrant: &Warrant<'_>, value: &SecretValue) -> Result<Redactor, Refusal> {
        let unfit = || {
            let text =
                "the credential of this tool cannot be kept out of answers, so it is not used";
            Refusal::new(Status::Forbidden, "secret-unfit", text)
        };
        let name = warrant.secret().map(ToString::to_string).unwrap_or_default();
        let text = value.text().ok_or_else(unfit)?.to_owned();
        let known = KnownSecret { name, value: text.into() };
        Redactor::of_values(self.key.clone(), [known]).map_err(|_| unfit())
    }

    async fn carry(
        &self,
        errand: &Errand,
        request: Request<Full<Bytes>>,
        trip: &Trip,
    ) -> Result<(u16, Bytes), Refusal> {
        let stream = self.dial(errand).await?;
        if errand.secure {
            let stream = self.secured(&errand.target, stream).await?;
            exchange(stream, request, errand.answer, trip).await
        } else {
            exchange(stream, request, errand.answer, trip).await
        }
    }

    async fn dial(&self, errand: &Errand) -> Result<TcpStream, Refusal> {
        let pinned = self.resolver.resolve(&errand.target, errand.reach).await;
        let pinned = pinned.map_err(|error| error.refusal())?;
        let here = pinned.addresses().iter().all(|address| address.ip().is_loopback());
        let stays = here && is_loopback(&errand.target);
        if !errand.secure && !stays {
            let text = "plain http is for this machine alone";
            return Err(Refusal::new(Status::Forbidden, "plain-http", text));
        }
        let (stream, _) = pinned.dial(DIAL).await.map_err(|error| error.refusal())?;
        Ok(stream)
    }

    async fn secured(
        &self,
        target: &HostPort,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Refusal> {
        let refused = |why: &str| {
            let text = format!("the TLS handshake with `{target}` failed: {why}");
            Refusal::new(Status::BadGateway, "upstream-tls", text)
        };
        let config = self.clients.config(false).await.map_err(|_| refused("no roots"))?;
        let name = match target.host().address() {
            Some(address) => ServerName::IpAddress(address.into()),
            None => {
                ServerName::try_from(target.host().to_string()).map_err(|_| refused("its name"))?
            }
        };
        let secured = TlsConnector::from(config).connect(name, stream).await;
        secured.map_err(|error| refused(&error.to_string()))
    }
}

/// How far a request came.
#[derive(Default)]
struct Trip {
    sent: AtomicBool,
    status: AtomicU16,
}

impl Trip {
    /// Sends the request, and notes how far it came.
    async fn answered(
        &self,
        sender: &mut http1::SendRequest<Full<Bytes>>,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Refusal> {
        self.sent.store(true, Ordering::Relaxed);
        let response = sender.try_send_request(request).await.map_err(|mut error| {
            // It comes back only when nothing of it was written.
            if error.take_message().is_some() {
                self.sent.store(false, Ordering::Relaxed);
            }
            let text = "the server closed the connection without an answer";
            Refusal::new(Status::BadGateway, "upstream-failed", text)
        })?;
        self.status.store(response.status().as_u16(), Ordering::Relaxed);
        Ok(response)
    }

    fn lost(&self, why: Refusal) -> Lost {
        match (self.sent.load(Ordering::Relaxed), self.status.load(Ordering::Relaxed)) {
            (false, _) => Lost::Unsent(why),
            (true, 0) => Lost::Unanswered(why),
            (true, status) => Lost::Unshown(status, why),
        }
    }
}

fn build(errand: &Errand, secret: Option<&SecretValue>) -> Result<Request<Full<Bytes>>, Refusal> {
    let malformed = || {
        Refusal::new(Status::BadRequest, "malformed-request", "the request cannot be sent as it is")
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &errand.headers {
        let name: HeaderName = name.parse().map_err(|_| malformed())?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| malformed())?);
    }
    let usual = if errand.secure { 443 } else { 80 };
    let host = crate::http::host_value(&errand.target, usual);
    headers.insert(header::HOST, HeaderValue::from_str(&host).map_err(|_| malformed())?);
    // An answer that was packed could not be looked into.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("bartizan"));
    headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    let body = match &errand.body {
        Some((kind, body)) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            Bytes::from(body.clone())
        }
        None => Bytes::new(),
    };
    let mut query = errand.query.clone();
    if let (Some(place), Some(value)) = (&errand.place, secret) {
        put(place, value.bytes(), &mut headers, &mut query)?;
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let request =
        Request::builder().method(errand.method.as_str()).uri(format!("{}{query}", errand.path));
    let mut request = request.body(Full::new(body)).map_err(|_| malformed())?;
    *request.headers_mut() = headers;
    Ok(request)
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    most: usize,
    trip: &Trip,
) -> Result<(u16, Bytes), Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |text: &'static str| Refusal::new(Status::BadGateway, "upstream-failed", text);
    let handshake = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) =
        handshake.map_err(|_| failed("the server does not speak HTTP"))?;
    let talk = async {
        sender.ready().await.map_err(|_| failed("the server does not speak HTTP"))?;
        let response = trip.answered(&mut sender, request).await?;
        Ok((response.status().as_u16(), whole(response, most).await?))
    };
    tokio::pin!(connection, talk);
    tokio::select! {
        answer = &mut talk => answer,
        // The answer may have come with the last bytes.
        _ = &mut connection => talk.await,
    }
}

/// The content, whole, plain and no longer than it may be.
async fn whole(response: Response<Incoming>, most: usize) -> Result<Bytes, Refusal> {
    plain(response.headers())?;
    let body = Limited::new(response.into_body(), most).collect().await;
    let body = body.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            let text = format!("the answer has more than {most} bytes, and is withheld");
            return Refusal::new(Status::BadGateway, "answer-too-large", text);
        }
        Refusal::new(Status::BadGateway, "answer-cut", "the answer did not arrive whole")
    })?;
    Ok(body.to_bytes())
}

/// Refuses an answer that was packed.
fn plain(headers: &HeaderMap) -> Result<(), Refusal> {
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Ok(());
    }
    let text = "the answer came in an encoding that cannot be looked into, and is withheld";
    Err(Refusal::new(Status::BadGateway, "unscannable", text))
}

fn late() -> Refusal {
    let text = "the server gave no answer in time";
    Refusal::new(Status::GatewayTimeout, "upstream-timeout", text)
}

const DIAL: Duration = Duration::from_secs(10);
/// The longest head of an answer.
const HEAD: usize = 64 << 10;
