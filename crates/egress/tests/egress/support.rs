//! What do these tests have in common?

use bartizan_egress::resolve::{Looked, Lookup};
use bartizan_egress::{
    Arrival, BadFront, Captured, FrontLimits, Reach, Resolver, SyntheticNames, Tunnel,
    TunnelLimits, TunnelReport, capture,
};
use bartizan_gate::name::HostPort;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Resolves every name to this machine, and counts how often it was asked.
#[derive(Default)]
pub(crate) struct Here(AtomicUsize);

impl Here {
    pub(crate) fn asked(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Lookup for Here {
    fn lookup<'a>(&'a self, _: &'a str) -> Looked<'a> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap()]) })
    }
}

/// A listener on loopback and its port.
pub(crate) async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// No test waits longer than this for anything.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("it took too long")
}

/// Reads to the end, as text; a reset counts as an end.
pub(crate) async fn rest<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut bytes = Vec::new();
    drop(soon(stream.read_to_end(&mut bytes)).await);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `mark` was seen.
pub(crate) async fn until<S: AsyncRead + Unpin>(stream: &mut S, mark: &str) -> String {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(mark) {
        let byte = soon(stream.read_u8()).await;
        match byte {
            Ok(byte) => bytes.push(byte),
            Err(error) => {
                panic!("no {mark:?} but {:?} and {error}", String::from_utf8_lossy(&bytes))
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Sends `bytes` as the front of a connection and captures it; the sending end comes back.
pub(crate) async fn front(
    bytes: &[u8],
    arrival: Arrival,
) -> (DuplexStream, Result<Captured<DuplexStream>, BadFront<DuplexStream>>) {
    let (mut near, far) = tokio::io::duplex(1 << 20);
    near.write_all(bytes).await.unwrap();
    let names = SyntheticNames::new(|_| {});
    let captured = soon(capture(far, arrival, &names, &FrontLimits::default())).await;
    (near, captured)
}

/// A running tunnel: the box's end of the connection, the report to come, and the resolver's count.
pub(crate) struct Running {
    pub(crate) client: TcpStream,
    pub(crate) report: JoinHandle<TunnelReport>,
    pub(crate) lookup: Arc<Here>,
}

impl Running {
    pub(crate) async fn report(self) -> TunnelReport {
        drop(self.client);
        soon(self.report).await.unwrap()
    }
}

pub(crate) fn connect(host: &str, port: u16) -> String {
    format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")
}

/// Sends `front` over a real socket to the proxy listener and carries it.
pub(crate) async fn tunnel(front: &str, reach: Reach, limits: TunnelLimits) -> Running {
    run(front.as_bytes(), Arrival::HttpProxy, Arc::new(SyntheticNames::new(|_| {})), reach, limits)
        .await
}

/// A transparent connection to `host:port`.
pub(crate) async fn transparent(
    host: &str,
    port: u16,
    reach: Reach,
    limits: TunnelLimits,
) -> Running {
    let names = Arc::new(SyntheticNames::new(|_| {}));
    let target = HostPort::parse(&format!("{host}:{port}")).unwrap();
    let address = names.address_of(target.host()).unwrap();
    run(
        b"",
        Arrival::Transparent { original: SocketAddr::new(address.into(), port) },
        names,
        reach,
        limits,
    )
    .await
}

#[expect(clippy::disallowed_methods, reason = "the tunnel is what is tested")]
pub(crate) async fn run(
    front: &[u8],
    arrival: Arrival,
    names: Arc<SyntheticNames>,
    reach: Reach,
    limits: TunnelLimits,
) -> Running {
    let (listener, port) = listen().await;
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    client.write_all(front).await.unwrap();
    let lookup = Arc::new(Here::default());
    let tunnel = Tunnel::new(Resolver::new(Arc::clone(&lookup) as Arc<dyn Lookup>), limits);
    let report = tokio::spawn(async move {
        let captured = capture(accepted, arrival, &names, &FrontLimits::default())
            .await
            .expect("a good front");
        tunnel.carry(captured, reach).await
    });
    Running { client, report, lookup }
}

/// Limits under which `port` is a port for TLS only.
pub(crate) fn tls_only(port: u16) -> TunnelLimits {
    TunnelLimits { tls_ports: vec![port], ..TunnelLimits::default() }
}

/// Limits under which `port` is a port for HTTP.
pub(crate) fn http_only(port: u16) -> TunnelLimits {
    TunnelLimits { http_ports: vec![port], ..TunnelLimits::default() }
}

pub(crate) const HERE: Reach = Reach::public().and_this_host();
