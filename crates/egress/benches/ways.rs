//! What does each way out cost? One origin, one client, five ways: direct, squid, mitmproxy, our tunnel, and our
//! terminating way.
//!
//! Origin and ways are processes of their own. Each figure is taken in rounds that go through all ways in turn, so
//! that what else the machine does falls on all of them; medians are printed, and their ratio to `direct`.
//! `squid` is taken from the path, mitmproxy from `MITMDUMP`; what is not there is left out.
//! `WAYS_QUICK=1` makes the rounds short.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::exit,
    reason = "a benchmark may fail loudly, starts what it compares, and prints"
)]

use bartizan_egress::{
    Allowed, Arrival, Clients, FrontLimits, HttpOutcome, HttpRequest, Injector, Passage, Reach,
    Refusal, RequestJudge, Resolver, SessionCa, SyntheticNames, Terminator, Tls, Tunnel,
    TunnelLimits, capture,
};
use bartizan_gate::name::{HostPort, SecretName};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match args.get(1).map(String::as_str) {
        Some("origin") => runtime.block_on(origin()),
        Some("way") => runtime.block_on(way(&args[2])),
        _ => runtime.block_on(compare()),
    }
}

// The origin.

async fn origin() {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let acceptor = acceptor.clone();
        drop(tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut head = Vec::new();
            let mut piece = [0u8; 4096];
            while let Ok(count @ 1..) = stream.read(&mut piece).await {
                head.extend_from_slice(&piece[..count]);
                if !head.ends_with(b"\r\n\r\n") {
                    continue;
                }
                let size: usize = match head.split(|&b| b == b' ').nth(1).unwrap_or_default() {
                    b"/10m" => 10 << 20,
                    b"/1g" => 1 << 30,
                    _ => 1024,
                };
                head.clear();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
                let mut first = answer.into_bytes();
                first.resize(first.len() + size.min(1024), b'x');
                if stream.write_all(&first).await.is_err() {
                    return;
                }
                let chunk = vec![b'x'; 64 * 1024];
                let mut left = size.saturating_sub(1024);
                while left > 0 {
                    let part = left.min(chunk.len());
                    if stream.write_all(&chunk[..part]).await.is_err() {
                        return;
                    }
                    left -= part;
                }
            }
        }));
    }
}

// Our own ways.

struct Yes;

impl RequestJudge for Yes {
    type Ticket = ();

    async fn before(&self, _: &HostPort, _: &HttpRequest) -> Result<Allowed<()>, Refusal> {
        Ok(Allowed { ticket: (), secret: None })
    }

    fn stopped(&self, _: &HostPort, _: &str, _: &Refusal) {}

    fn alarm(&self, _: &SecretName, _: &HostPort, _: &str) {}

    fn unread(&self, _: &HostPort, _: &str) -> bool {
        false
    }

    fn after(&self, (): (), _: HttpOutcome) {}
}

async fn way(kind: &str) {
    let tls = if kind == "tunnel" { Tls::PassThrough } else { Tls::TerminateOnly };
    let passage = Passage { reach: Reach::public().and_this_host(), tls };
    let clients = Clients::with(&trusting());
    let ca = Arc::new(SessionCa::new("bench").unwrap());
    let terminator = Arc::new(Terminator::new(ca, clients, Injector::none()));
    let tunnel = Tunnel::new(Resolver::system(), TunnelLimits::default());
    let (names, judge) = (Arc::new(SyntheticNames::new(|_| {})), Arc::new(Yes));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (tunnel, terminator, names, judge) =
            (tunnel.clone(), Arc::clone(&terminator), Arc::clone(&names), Arc::clone(&judge));
        drop(tokio::spawn(async move {
            let limits = FrontLimits::default();
            let Ok(captured) = capture(stream, Arrival::HttpProxy, &names, &limits).await else {
                return;
            };
            drop(Box::pin(tunnel.carry_judged(captured, passage, terminator, judge)).await);
        }));
    }
}

// The client.

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let provider = rustls::crypto::ring::default_provider();
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let provider = rustls::crypto::ring::default_provider();
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Every way is measured with the handshake's signatures checked, and nobody's name.
fn trusting() -> ClientConfig {
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting))
            .with_no_client_auth();
    // A new connection is to cost what a first one costs.
    config.resumption = rustls::client::Resumption::disabled();
    config
}

#[derive(Clone)]
struct Route {
    proxy: Option<u16>,
    origin: u16,
    tls: TlsConnector,
}

type Connection = TlsStream<TcpStream>;

impl Route {
    async fn connect(&self) -> Connection {
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.proxy.unwrap_or(self.origin))).await.unwrap();
        stream.set_nodelay(true).unwrap();
        if self.proxy.is_some() {
            let to = format!("127.0.0.1:{}", self.origin);
            let front = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
            stream.write_all(front.as_bytes()).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("the way closed"));
            }
            assert!(head.starts_with(b"HTTP/1.1 200") || head.starts_with(b"HTTP/1.0 200"));
        }
        let name = ServerName::try_from("127.0.0.1").unwrap();
        self.tls.connect(name, stream).await.unwrap()
    }

    async fn get(&self, stream: &mut Connection, path: &str, scratch: &mut [u8]) -> usize {
        let ask = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.origin);
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut have = 0;
        let (end, length) = loop {
            let count = stream.read(&mut scratch[have..]).await.unwrap();
            assert!(count > 0, "the answer broke off");
            have += count;
            if let Some(end) = scratch[..have].windows(4).position(|part| part == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&scratch[..end]).to_lowercase();
                assert!(head.contains(" 200"), "{head}");
                let length = head.split("content-length: ").nth(1).unwrap();
                break (end + 4, length.split('\r').next().unwrap().parse::<usize>().unwrap());
            }
        };
        let mut left = (end + length) - have;
        while left > 0 {
            let count = stream.read(scratch).await.unwrap();
            assert!(count > 0, "the answer broke off");
            left -= count;
        }
        length
    }

    /// Requests per second over `connections` kept connections, for about `time`.
    async fn rate(&self, connections: usize, time: Duration) -> f64 {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(self.connect().await);
        }
        let begun = Instant::now();
        let tasks: Vec<_> = open
            .into_iter()
            .map(|mut stream| {
                let route = self.clone();
                tokio::spawn(async move {
                    let mut scratch = vec![0u8; 16 * 1024];
                    let mut done = 0u64;
                    while begun.elapsed() < time {
                        route.get(&mut stream, "/", &mut scratch).await;
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += task.await.unwrap();
        }
        done as f64 / begun.elapsed().as_secs_f64()
    }

    async fn latency(&self, count: usize) -> f64 {
        let mut stream = self.connect().await;
        let mut scratch = vec![0u8; 16 * 1024];
        let mut times = Vec::new();
        for _ in 0..count {
            let begun = Instant::now();
            self.get(&mut stream, "/", &mut scratch).await;
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        median(times)
    }

    async fn new_connection(&self, count: usize) -> f64 {
        let mut scratch = vec![0u8; 16 * 1024];
        let mut times = Vec::new();
        for _ in 0..count {
            let begun = Instant::now();
            let mut stream = self.connect().await;
            self.get(&mut stream, "/", &mut scratch).await;
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        median(times)
    }

    async fn transfer(&self, path: &str) -> f64 {
        let mut stream = self.connect().await;
        let mut scratch = vec![0u8; 256 * 1024];
        let begun = Instant::now();
        let bytes = self.get(&mut stream, path, &mut scratch).await;
        bytes as f64 / begun.elapsed().as_secs_f64() / 1e6
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

// The comparison.

struct Way {
    name: &'static str,
    route: Route,
    child: Option<Child>,
}

impl Way {
    /// Resident and peak memory in MB.
    fn memory(&self) -> (f64, f64) {
        let Some(child) = &self.child else { return (0.0, 0.0) };
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let kilo = line
                .and_then(|line| line.split_whitespace().nth(1))
                .and_then(|kilo| kilo.parse::<f64>().ok());
            kilo.unwrap_or(0.0) / 1024.0
        };
        (field("VmRSS:"), field("VmHWM:"))
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn own(args: &[&str]) -> (Child, u16) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().unwrap())
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn squid(dir: &Path) -> Option<(Child, u16)> {
    let port = free_port();
    let config = dir.join("squid.conf");
    let text = format!(
        "http_port 127.0.0.1:{port}\nacl all_ports port 1-65535\nhttp_access allow all\ncache deny all\n\
         access_log none\ncache_log /dev/null\npid_filename none\ncoredump_dir /tmp\nmax_filedescriptors 8192\n"
    );
    std::fs::write(&config, text).unwrap();
    let child = Command::new("squid")
        .arg("-N")
        .arg("-f")
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Some((child.ok()?, port))
}

fn mitmproxy(dir: &Path) -> Option<(Child, u16)> {
    let (program, port) = (std::env::var("MITMDUMP").ok()?, free_port());
    let child = Command::new(program)
        .args([
            "-q",
            "--ssl-insecure",
            "--listen-host",
            "127.0.0.1",
            "--set",
            "stream_large_bodies=1m",
            "-p",
        ])
        .arg(port.to_string())
        .arg("--set")
        .arg(format!("confdir={}", dir.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Some((child.ok()?, port))
}

async fn listens(port: u16) -> bool {
    for _ in 0..300 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

async fn compare() {
    let quick = std::env::var_os("WAYS_QUICK").is_some();
    let dir = tempfile::tempdir().unwrap();
    let (mut source, origin) = own(&["origin"]);
    let ways = ways(dir.path(), origin).await;
    let mut table = Table::default();
    let (rounds, time, count) = if quick { (2, 300, 100) } else { (5, 1000, 400) };
    let time = Duration::from_millis(time);
    for _ in 0..rounds {
        for (n, Way { route, .. }) in ways.iter().enumerate() {
            table.note("latency, 1 connection, us", n, route.latency(count).await);
            table.note("requests/s, 1 connection", n, route.rate(1, time).await);
            table.note("requests/s, 16 connections", n, route.rate(16, time).await);
            table.note("requests/s, 256 connections", n, route.rate(256, time).await);
            table.note("new connection, us", n, route.new_connection(count / 10).await);
            table.note("10 MB, MB/s", n, route.transfer("/10m").await);
        }
    }
    for (n, way) in ways.iter().enumerate() {
        table.note("RSS, 1000 idle, MB", n, idle(way).await);
    }
    for (n, way) in ways.iter().enumerate() {
        let before = way.memory().1;
        table.note("1 GB, MB/s", n, way.route.transfer("/1g").await);
        table.note("peak RSS grown by 1 GB, MB", n, way.memory().1 - before);
    }
    table.print(&ways);
    drop(ways);
    drop(source.kill());
    drop(source.wait());
    std::process::exit(0);
}

/// The ways that are installed here, each of them listening.
async fn ways(dir: &Path, origin: u16) -> Vec<Way> {
    let tls = TlsConnector::from(Arc::new(trusting()));
    let route = |proxy| Route { proxy, origin, tls: tls.clone() };
    let mut ways = vec![Way { name: "direct", route: route(None), child: None }];
    let started = [
        ("squid", squid(dir)),
        ("mitmproxy", mitmproxy(dir)),
        ("our tunnel", Some(own(&["way", "tunnel"]))),
        ("ours, terminating", Some(own(&["way", "terminate"]))),
    ];
    for (name, started) in started {
        let Some((child, port)) = started else { continue };
        let way = Way { name, route: route(Some(port)), child: Some(child) };
        if listens(port).await {
            ways.push(way);
        }
    }
    ways
}

/// Resident memory with a thousand connections that wait, in MB.
async fn idle(way: &Way) -> f64 {
    let mut open = Vec::new();
    let mut scratch = vec![0u8; 16 * 1024];
    for _ in 0..1000 {
        let mut stream = way.route.connect().await;
        way.route.get(&mut stream, "/", &mut scratch).await;
        open.push(stream);
    }
    way.memory().0
}

/// Each row's values, by way.
#[derive(Default)]
struct Table(Vec<(String, Vec<Vec<f64>>)>);

impl Table {
    fn note(&mut self, row: &str, way: usize, value: f64) {
        let known = self.0.iter().position(|(name, _)| name == row);
        let at = known.unwrap_or_else(|| {
            self.0.push((row.to_owned(), vec![Vec::new(); 5]));
            self.0.len() - 1
        });
        self.0[at].1[way].push(value);
    }

    /// Medians, and their ratio to the first way.
    fn print(&self, ways: &[Way]) {
        print!("{:30}", "");
        for way in ways {
            print!("{:>26}", way.name);
        }
        println!();
        for (name, values) in &self.0 {
            print!("{name:30}");
            let base = median(values[0].clone());
            for value in values.iter().take(ways.len()) {
                let middle = median(value.clone());
                print!("{:>26}", format!("{middle:.0} ({:.2}x)", middle / base));
            }
            println!();
        }
    }
}
