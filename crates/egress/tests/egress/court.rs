//! What do the request tests need: a site that says what it got, a judge who remembers, and a way between.

use crate::support::{Here, soon};
use bartizan_egress::terminate::RequestLimits;
use bartizan_egress::{
    Allowances, Allowed, Arrival, Clients, FrontLimits, HttpOutcome, HttpRequest, Injector,
    Passage, Reach, Refusal, RequestJudge, Resolver, SessionCa, Status, SyntheticNames, Terminator,
    Tls, TrustStore, Tunnel, TunnelLimits, TunnelReport, capture,
};
use bartizan_gate::name::{HostPort, SecretName};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A request as the site got it.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) line: String,
    pub(crate) version: Version,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Arrived {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

type Answering = dyn Fn(&Arrived) -> Response<Full<Bytes>> + Send + Sync;

/// An https site on loopback.
pub(crate) struct Site {
    pub(crate) port: u16,
    pub(crate) arrived: Arc<Mutex<Vec<Arrived>>>,
    roots: RootCertStore,
    _serving: JoinSet<()>,
}

/// Says what came, headers and body.
pub(crate) fn echo(arrived: &Arrived) -> Response<Full<Bytes>> {
    let lines: Vec<String> =
        arrived.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let headers = lines.concat();
    let body = String::from_utf8_lossy(&arrived.body).into_owned();
    Response::new(Full::new(format!("{}\n{headers}\n{body}", arrived.line).into()))
}

impl Site {
    pub(crate) async fn start(
        protocols: &[&[u8]],
        answering: impl Fn(&Arrived) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let (config, roots) = certified("ok.test", protocols);
        Self::serve(Some(TlsAcceptor::from(config)), roots, Arc::new(answering)).await
    }

    /// A site that speaks plain HTTP.
    pub(crate) async fn plain() -> Self {
        Self::plainly(echo).await
    }

    /// The same with answers of its own.
    pub(crate) async fn plainly(
        answering: impl Fn(&Arrived) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(None, RootCertStore::empty(), Arc::new(answering)).await
    }

    async fn serve(
        acceptor: Option<TlsAcceptor>,
        roots: RootCertStore,
        answering: Arc<Answering>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let arrived = Arc::<Mutex<Vec<Arrived>>>::default();
        let log = Arc::clone(&arrived);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, log, answering) =
                    (acceptor.clone(), Arc::clone(&log), Arc::clone(&answering));
                open.spawn(async move {
                    match acceptor {
                        None => converse(stream, false, log, answering).await,
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            let newer = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                            converse(stream, newer, log, answering).await;
                        }
                    }
                });
            }
        });
        Self { port, arrived, roots, _serving: serving }
    }

    /// The same, but what listens at `port` under `roots` is spoken to.
    pub(crate) fn moved(self, port: u16, roots: RootCertStore) -> Self {
        Self { port, roots, ..self }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.arrived.lock().unwrap().iter().map(|arrived| arrived.line.clone()).collect()
    }

    pub(crate) fn last(&self) -> Arrived {
        self.arrived.lock().unwrap().last().expect("nothing arrived").clone()
    }
}

async fn converse<S>(
    stream: S,
    newer: bool,
    log: Arc<Mutex<Vec<Arrived>>>,
    answering: Arc<Answering>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (log, answering) = (Arc::clone(&log), Arc::clone(&answering));
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes().to_vec();
            let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
            let headers = parts.headers.iter();
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let arrived = Arrived {
                line: format!("{} {path}", parts.method),
                version: parts.version,
                headers: headers
                    .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
                    .collect(),
                body,
            };
            log.lock().unwrap().push(arrived.clone());
            Ok::<_, hyper::Error>(answering(&arrived))
        }
    });
    let io = TokioIo::new(stream);
    if newer {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        drop(builder.serve_connection(io, service).await);
    } else {
        let builder = hyper::server::conn::http1::Builder::new();
        drop(builder.serve_connection(io, service).await);
    }
}

/// A server's configuration for `name`, and the roots that believe it.
pub(crate) fn certified(name: &str, protocols: &[&[u8]]) -> (Arc<ServerConfig>, RootCertStore) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let mut config = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    (Arc::new(config), roots)
}

type Deciding = dyn Fn(&HttpRequest) -> Result<Option<SecretName>, Refusal> + Send + Sync;

/// A judge that decides by a function and remembers everything.
pub(crate) struct Judge {
    deciding: Box<Deciding>,
    pub(crate) seen: Mutex<Vec<String>>,
    pub(crate) stopped: Mutex<Vec<String>>,
    pub(crate) alarms: Mutex<Vec<String>>,
    pub(crate) outcomes: Mutex<Vec<HttpOutcome>>,
}

impl Judge {
    pub(crate) fn new(
        deciding: impl Fn(&HttpRequest) -> Result<Option<SecretName>, Refusal> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            deciding: Box::new(deciding),
            seen: Mutex::default(),
            stopped: Mutex::default(),
            alarms: Mutex::default(),
            outcomes: Mutex::default(),
        })
    }

    /// One that says yes.
    pub(crate) fn yes() -> Arc<Self> {
        Self::new(|_| Ok(None))
    }

    pub(crate) fn stopped(&self) -> Vec<String> {
        self.stopped.lock().unwrap().clone()
    }

    pub(crate) fn alarms(&self) -> Vec<String> {
        self.alarms.lock().unwrap().clone()
    }
}

impl RequestJudge for Judge {
    type Ticket = ();

    async fn before(&self, _: &HostPort, request: &HttpRequest) -> Result<Allowed<()>, Refusal> {
        self.seen.lock().unwrap().push(format!("{} {}", request.method(), request.path()));
        (self.deciding)(request).map(|secret| Allowed { ticket: (), secret })
    }

    fn stopped(&self, _: &HostPort, _: &str, refusal: &Refusal) {
        self.stopped.lock().unwrap().push(refusal.code().to_owned());
    }

    fn alarm(&self, secret: &SecretName, target: &HostPort, place: &str) {
        self.alarms.lock().unwrap().push(format!("{secret} at {} in {place}", target.host()));
    }

    fn unread(&self, target: &HostPort, why: &str) -> bool {
        self.alarms.lock().unwrap().push(format!("unread at {}: {why}", target.host()));
        false
    }

    fn after(&self, (): (), outcome: HttpOutcome) {
        self.outcomes.lock().unwrap().push(outcome);
    }
}

/// What a `no` looks like in these tests.
pub(crate) fn no() -> Refusal {
    Refusal::new(Status::Forbidden, "policy-denied", "policy does not allow it").asking("1a2b3c4d")
}

/// The way out between a client and a site.
pub(crate) struct Way {
    pub(crate) judge: Arc<Judge>,
    pub(crate) trust: TrustStore,
    pub(crate) proxy: u16,
    pub(crate) site: u16,
    own: RootCertStore,
    reports: mpsc::UnboundedReceiver<TunnelReport>,
    _serving: JoinSet<()>,
}

/// How a [`Way`] is made.
pub(crate) struct Making {
    pub(crate) tls: Tls,
    pub(crate) injector: Injector,
    pub(crate) allowances: Allowances,
    pub(crate) limits: RequestLimits,
    pub(crate) believed: bool,
}

impl Default for Making {
    fn default() -> Self {
        Self {
            tls: Tls::TerminateOnly,
            injector: Injector::none(),
            allowances: Allowances::default(),
            limits: RequestLimits::default(),
            believed: true,
        }
    }
}

impl Way {
    pub(crate) async fn to(site: &Site, judge: Arc<Judge>) -> Self {
        Self::made(site, judge, Making::default()).await
    }

    /// A way on which every connection was dialled to `host:port` by a program that knows of no proxy.
    pub(crate) async fn transparent(host: &str, port: u16, judge: Arc<Judge>) -> Self {
        let names = Arc::new(SyntheticNames::new(|_| {}));
        let target = HostPort::parse(&format!("{host}:{port}")).unwrap();
        let address = names.address_of(target.host()).unwrap();
        let original = std::net::SocketAddr::new(address.into(), port);
        let making = Making { tls: Tls::Terminate, ..Making::default() };
        let arrival = Arrival::Transparent { original };
        Self::open((port, RootCertStore::empty()), judge, making, (arrival, names)).await
    }

    pub(crate) async fn made(site: &Site, judge: Arc<Judge>, making: Making) -> Self {
        let names = Arc::new(SyntheticNames::new(|_| {}));
        let site = (site.port, site.roots.clone());
        Self::open(site, judge, making, (Arrival::HttpProxy, names)).await
    }

    #[expect(clippy::disallowed_methods, reason = "the way out is what is tested")]
    async fn open(
        (site, believed_roots): (u16, RootCertStore),
        judge: Arc<Judge>,
        making: Making,
        (arrival, names): (Arrival, Arc<SyntheticNames>),
    ) -> Self {
        let Making { tls, injector, allowances, limits, believed } = making;
        let ca = Arc::new(SessionCa::new("test").unwrap());
        let mut own = RootCertStore::empty();
        own.add(ca.certificate().clone()).unwrap();
        let trust = TrustStore::new(&ca, b"");
        let roots = if believed { believed_roots } else { own.clone() };
        let clients = Clients::with(&bartizan_egress::tls::with_roots(roots).unwrap());
        let terminator = Arc::new(Terminator::new(ca, clients, injector).within(limits));
        let tunnel = Tunnel::new(Resolver::new(Arc::new(Here::default())), TunnelLimits::default())
            .drawing_on(Arc::new(allowances));
        let passage = Passage { reach: Reach::public().and_this_host(), tls };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = listener.local_addr().unwrap().port();
        let (told, reports) = mpsc::unbounded_channel();
        let court = Arc::clone(&judge);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (tunnel, terminator, judge) =
                    (tunnel.clone(), Arc::clone(&terminator), Arc::clone(&court));
                let (names, told) = (Arc::clone(&names), told.clone());
                open.spawn(async move {
                    stream.set_nodelay(true).unwrap();
                    let limits = FrontLimits::default();
                    let Ok(captured) = capture(stream, arrival, &names, &limits).await else {
                        return;
                    };
                    let report = tunnel.carry_judged(captured, passage, terminator, judge).await;
                    drop(told.send(report));
                });
            }
        });
        Self { judge, trust, proxy, site, own, reports, _serving: serving }
    }

    /// A CONNECT to the site, answered.
    pub(crate) async fn tunnel(&self) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.proxy)).await.unwrap();
        let front = crate::support::connect("ok.test", self.site);
        stream.write_all(front.as_bytes()).await.unwrap();
        crate::support::until(&mut stream, "\r\n\r\n").await;
        stream
    }

    /// A TLS connection that believes the session's authority alone.
    pub(crate) async fn tls(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let config = self.client(protocols);
        let name = ServerName::try_from("ok.test").unwrap();
        soon(TlsConnector::from(config).connect(name, self.tunnel().await)).await.unwrap()
    }

    pub(crate) fn client(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let config = bartizan_egress::tls::with_roots(self.own.clone()).unwrap();
        let mut config = Arc::unwrap_or_clone(config);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// Sends raw bytes in one TLS connection and reads until it is closed.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.tls(&[b"http/1.1"]).await;
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// One request by the text of its head, with `Host` and `Connection: close` added.
    pub(crate) async fn ask(&self, line: &str, headers: &str, body: &str) -> String {
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let host = self.site;
        let text = format!(
            "{line} HTTP/1.1\r\nHost: ok.test:{host}\r\nConnection: close\r\n{headers}{length}\r\n{body}"
        );
        self.raw(text.as_bytes()).await
    }

    pub(crate) async fn report(&mut self) -> TunnelReport {
        soon(self.reports.recv()).await.unwrap()
    }
}
