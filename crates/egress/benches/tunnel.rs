//! What does a tunnel cost? A small HTTP exchange over a kept TLS connection, direct and through CONNECT.
//!
//! Both connections stand side by side and are timed in turn within one run, so that what else the machine
//! does falls on both. Beside criterion's figures it prints the medians and their ratio.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark may fail loudly, and prints"
)]

use bartizan_egress::resolve::{Looked, Lookup};
use bartizan_egress::{
    Arrival, FrontLimits, Reach, Resolver, SyntheticNames, Tunnel, TunnelLimits, capture,
};
use criterion::{Criterion, criterion_group, criterion_main};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: ok.test\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct Here;

impl Lookup for Here {
    fn lookup<'a>(&'a self, _: &'a str) -> Looked<'a> {
        Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap()]) })
    }
}

fn pair() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["ok.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let server =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
    (Arc::new(server), bartizan_egress::tls::with_roots(roots).unwrap())
}

async fn serve(listener: TcpListener, config: Arc<ServerConfig>) {
    let acceptor = TlsAcceptor::from(config);
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let acceptor = acceptor.clone();
        drop(tokio::spawn(async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = [0u8; REQUEST.len()];
            while stream.read_exact(&mut request).await.is_ok() {
                stream.write_all(ANSWER).await.unwrap();
            }
        }));
    }
}

#[expect(clippy::disallowed_methods, reason = "the tunnel is what is measured")]
async fn proxy(listener: TcpListener) {
    let tunnel = Tunnel::new(Resolver::new(Arc::new(Here)), TunnelLimits::default());
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let tunnel = tunnel.clone();
        drop(tokio::spawn(async move {
            let names = SyntheticNames::new(|_| {});
            let captured =
                capture(stream, Arrival::HttpProxy, &names, &FrontLimits::default()).await.unwrap();
            tunnel.carry(captured, Reach::public().and_this_host()).await
        }));
    }
}

async fn open(port: u16, proxy: Option<u16>, config: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.unwrap_or(port))).await.unwrap();
    stream.set_nodelay(true).unwrap();
    if proxy.is_some() {
        stream
            .write_all(format!("CONNECT ok.test:{port} HTTP/1.1\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut welcome = [0u8; 39];
        stream.read_exact(&mut welcome).await.unwrap();
        assert!(welcome.ends_with(b"\r\n\r\n"));
    }
    TlsConnector::from(Arc::clone(config))
        .connect(ServerName::try_from("ok.test").unwrap(), stream)
        .await
        .unwrap()
}

async fn exchange(stream: &mut TlsStream<TcpStream>) {
    stream.write_all(REQUEST).await.unwrap();
    let mut answer = [0u8; ANSWER.len()];
    stream.read_exact(&mut answer).await.unwrap();
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn requests(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (server, client) = pair();
    let (port, proxy_port) = runtime.block_on(async {
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ports = (origin.local_addr().unwrap().port(), front.local_addr().unwrap().port());
        drop(tokio::spawn(serve(origin, server)));
        drop(tokio::spawn(proxy(front)));
        ports
    });
    let mut direct = runtime.block_on(open(port, None, &client));
    let mut tunnelled = runtime.block_on(open(port, Some(proxy_port), &client));

    let (mut plain, mut through) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        for _ in 0..5_000 {
            let start = Instant::now();
            exchange(&mut direct).await;
            plain.push(start.elapsed());
            let start = Instant::now();
            exchange(&mut tunnelled).await;
            through.push(start.elapsed());
        }
    });
    let (plain, through) = (median(plain), median(through));
    let ratio = through.as_secs_f64() / plain.as_secs_f64();
    println!(
        "keep-alive request, medians interleaved: direct {plain:?}, tunnel {through:?}, ratio {ratio:.2}"
    );

    let mut group = criterion.benchmark_group("keep-alive request");
    group.bench_function("direct", |b| b.iter(|| runtime.block_on(exchange(&mut direct))));
    group.bench_function("tunnel", |b| b.iter(|| runtime.block_on(exchange(&mut tunnelled))));
    group.finish();
    let mut group = criterion.benchmark_group("new connection");
    group.sample_size(30);
    group.bench_function("direct", |b| b.iter(|| runtime.block_on(open(port, None, &client))));
    group.bench_function("tunnel", |b| {
        b.iter(|| runtime.block_on(open(port, Some(proxy_port), &client)));
    });
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
