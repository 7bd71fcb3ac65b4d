//! How is a back end asked? One request on one connection, over TLS, never redirected, bounded in time and length.

use crate::fault::{Fault, FaultKind};
use crate::resolve::{Reach, Resolver};
use crate::tls;
use crate::upstream::Upstream;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::{Zeroize as _, Zeroizing};

/// Asks back ends over HTTP.
pub(crate) struct Client {
    resolver: Resolver,
    reach: Reach,
    tls: OnceLock<Result<Arc<ClientConfig>, ()>>,
}

/// What is asked.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Below the base URL's own path, with its query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    body: Zeroizing<Vec<u8>>,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: Zeroizing::default() }
    }

    /// Adds a header whose value is no secret, or a secret that must not be printed.
    pub(crate) fn header(mut self, name: &'static str, value: &[u8]) -> Result<Self, Fault> {
        let bad =
            |_| Fault::new(FaultKind::Malformed, "a value has characters that no header carries");
        let mut value = HeaderValue::from_bytes(value).map_err(bad)?;
        value.set_sensitive(true);
        self.headers.push((HeaderName::from_static(name), value));
        Ok(self)
    }

    pub(crate) fn body(self, body: Vec<u8>) -> Self {
        Self { body: Zeroizing::new(body), ..self }
    }
}

impl Answer {
    /// The body as JSON; wiped when it is dropped.
    pub(in crate::vault) fn json(&self) -> Result<Json, Fault> {
        let parsed = serde_json::from_slice(&self.body).map(Json);
        parsed.map_err(|_| Fault::new(FaultKind::Malformed, "the answer is no JSON, or cut short"))
    }

    /// The body.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.body
    }
}

/// JSON whose texts are wiped in the end.
pub(super) struct Json(pub(super) Value);

impl Json {
    /// The text at a JSON pointer, if there is one and it is not empty.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

impl Drop for Json {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Wipes every text of `value`.
pub(super) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Bool(_) | Value::Null | Value::Number(_) => {}
    }
}

impl Client {
    pub(crate) fn new(resolver: Resolver) -> Self {
        // The person configured this address, so it may be a private one.
        let reach = Reach::public().and_network().and_this_host();
        Self { resolver, reach, tls: OnceLock::new() }
    }

    /// Believes this configuration's roots instead of the machine's.
    pub(crate) fn believing(resolver: Resolver, tls: Arc<ClientConfig>) -> Self {
        Self { tls: OnceLock::from(Ok(tls)), ..Self::new(resolver) }
    }

    /// Reaches these addresses alone.
    pub(crate) fn within(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// Sends one call to `base`. A redirect is an answer like any other: it is never followed, since a
    /// credential is in the request.
    pub(crate) async fn send(&self, base: &Upstream, call: Call) -> Result<Answer, Fault> {
        let slow =
            || Fault::new(FaultKind::Slow, format!("`{}` does not answer in time", base.target()));
        timeout(CALL_LIMIT, self.exchange(base, call)).await.unwrap_or_else(|_| Err(slow()))
    }

    async fn exchange(&self, base: &Upstream, call: Call) -> Result<Answer, Fault> {
        let target = base.target();
        let down = |what: &str| Fault::new(FaultKind::Down, format!("`{target}` {what}"));
        let pinned = self.resolver.resolve(target, self.reach).await;
        let pinned = pinned.map_err(|_| down("does not resolve to an address within reach"))?;
        let dialled = pinned.dial(DIAL_LIMIT).await;
        let (stream, _) = dialled.map_err(|_| down("does not take a connection"))?;
        if !base.is_secure() {
            return carry(base, stream, call).await;
        }
        let tls = self.tls.get_or_init(|| tls::system().map_err(drop)).clone();
        let tls = tls.map_err(|()| down("cannot be asked: TLS cannot be set up"))?;
        let name = match (target.host().address(), target.host().name()) {
            (Some(address), _) => ServerName::IpAddress(address.into()),
            (None, name) => ServerName::try_from(name.unwrap_or_default().to_owned())
                .map_err(|_| down("has a name that TLS does not take"))?,
        };
        let stream = TlsConnector::from(tls).connect(name, stream).await;
        carry(base, stream.map_err(|_| down("does not prove over TLS that it is that host"))?, call)
            .await
    }
}

async fn carry<S>(base: &Upstream, stream: S, call: Call) -> Result<Answer, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let down = |what: &str| Fault::new(FaultKind::Down, format!("`{}` {what}", base.target()));
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| down("does not speak HTTP"))?;
    let mut request = Request::builder()
        .method(call.method)
        .uri(format!("{}{}", base.prefix(), call.path))
        .header(HOST, base.host_value())
        .body(Full::new(Bytes::from(call.body.to_vec())))
        .map_err(|_| Fault::new(FaultKind::Malformed, "the path cannot be asked for"))?;
    request.headers_mut().extend(call.headers);
    let talk = async {
        let response = sender.send_request(request).await;
        let response = response.map_err(|_| down("ends the connection without an answer"))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body =
            body.map_err(|_| down("does not finish its answer, or sends more than 1 MiB"))?;
        Ok(Answer { status, body: Zeroizing::new(body.to_bytes().to_vec()) })
    };
    tokio::pin!(connection, talk);
    tokio::select! {
        answer = &mut talk => answer,
        // The answer may have come with the last bytes.
        _ = &mut connection => talk.await,
    }
}

const CALL_LIMIT: Duration = Duration::from_secs(15);
const DIAL_LIMIT: Duration = Duration::from_secs(5);
const LONGEST: usize = 1 << 20;
