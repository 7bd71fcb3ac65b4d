//! What does the gateway cost a call? One small server, directly and through each gateway, over standard streams and
//! streamable HTTP, with one call at a time and with 64.
//!
//! Server and gateways are processes of their own. Each figure is taken in rounds that go through all ways in turn, so
//! that what else the machine does falls on all of them; medians are printed, and their ratio to `direct`. One call at a
//! time is taken twice: on the machine as it is, and while no core sleeps (`awake`).
//! `MCP_PEERS="NAME=COMMAND {server};…"` adds other gateways over standard streams, `MCP_HTTP_PEERS` those over streamable
//! HTTP, which listen at `{port}` of 127.0.0.1 (`scripts/mcp-peers` does both). `MCP_QUICK=1` makes it short. Who answers
//! nothing for two minutes ends it.
#![expect(
    clippy::exit,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a benchmark may fail loudly, starts what it compares, and prints"
)]

#[path = "../common/awake.rs"]
mod awake;
mod client;
mod memory;
mod server;
mod watch;

use awake::Awake;
use client::{Http, Pipe};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let tools = || args.get(2).and_then(|text| text.parse().ok()).unwrap_or(1);
    match args.get(1).map(String::as_str) {
        Some("stdio") => server::stdio(tools()),
        Some("http") => server::http(tools()),
        _ => {
            watch::begin();
            compare(&Size::chosen());
        }
    }
}

/// How much is measured.
struct Size {
    rounds: usize,
    calls: usize,
    at_once: usize,
    policies: usize,
}

impl Size {
    fn chosen() -> Self {
        if std::env::var_os("MCP_QUICK").is_some() {
            Self { rounds: 2, calls: 50, at_once: 4, policies: 100 }
        } else {
            Self { rounds: 7, calls: 2_000, at_once: 64, policies: 10_000 }
        }
    }
}

/// Where everything of one bench lies: homes, and the server as a program that a box can see.
struct Place {
    folder: tempfile::TempDir,
    server: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let server = folder.path().join("work/server");
        std::fs::copy(std::env::current_exe().unwrap(), &server).unwrap();
        Self { folder, server }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// A home of its own, with so many rules besides that the call does not meet.
    fn bartizan(&self, name: &str, policies: usize) -> Command {
        let home = self.folder.path().join(name);
        let config = home.join(".config/bartizan");
        std::fs::create_dir_all(&config).unwrap();
        let mut text = String::from("[roles.default]\ndeny = [\n");
        for number in 0..policies {
            writeln!(text, "  \"Read(private/{number}/*)\",").unwrap();
        }
        std::fs::write(config.join("bartizan.toml"), text + "]\n").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", home);
        command.current_dir(self.work());
        command
    }

    fn direct(&self, tools: usize) -> Command {
        let mut command = Command::new(&self.server);
        command.args(["stdio", &tools.to_string()]);
        command
    }

    fn gateway(&self, name: &str, (tools, policies): (usize, usize)) -> Command {
        let mut command = self.bartizan(name, policies);
        command.args(["mcp", "--read", "*", "--", "./server", "stdio", &tools.to_string()]);
        command
    }

    /// Other gateways, as this variable names them, each with the address of a port that it may have.
    fn peers(&self, variable: &str) -> Vec<(String, String, Command)> {
        let said = std::env::var(variable).unwrap_or_default();
        let peer = |text: &str| {
            let (name, line) = text.split_once('=')?;
            let line = line.replace("{server}", &format!("{} stdio 1", self.server.display()));
            let port = free_port();
            let line = line.replace("{port}", &port);
            let mut words = line.split_whitespace();
            let mut command = Command::new(words.next()?);
            command.args(words);
            Some((name.trim().to_owned(), format!("127.0.0.1:{port}"), command))
        };
        said.split(';').filter_map(peer).collect()
    }
}

fn compare(size: &Size) {
    let place = Place::new();
    println!("standard streams");
    let mut ways = vec![
        ("direct".to_owned(), place.direct(1)),
        ("bartizan mcp".to_owned(), place.gateway("plain", (1, 0))),
        ("  1,000 tools".to_owned(), place.gateway("tools", (1_000, 0))),
        (format!("  {} policies", size.policies), place.gateway("policies", (1, size.policies))),
    ];
    let peers = place.peers("MCP_PEERS").into_iter();
    ways.extend(peers.map(|(name, _, command)| (name, command)));
    let mut pipes: Vec<(String, Pipe, Figures)> = ways
        .into_iter()
        .map(|(name, mut command)| {
            watch::turns_to(&name);
            (name, Pipe::start(&mut command), Figures::default())
        })
        .collect();
    for _ in 0..size.rounds {
        for (name, pipe, figures) in &mut pipes {
            watch::turns_to(name);
            figures.alone(size.calls, || pipe.call());
            figures.awake(size.calls, || pipe.call());
            figures.together(size.calls, || pipe.calls(size.calls, size.at_once));
        }
    }
    for (name, pipe, _) in &pipes {
        println!("  {name:<18} {:6.1} MB when idle", memory::tree(pipe.id()));
    }
    tell(pipes.iter().map(|(name, _, figures)| (name.as_str(), figures)));
    drop(pipes);
    over_http(&place, size);
}

fn over_http(place: &Place, size: &Size) {
    println!("streamable HTTP, a session for each client");
    let mut server = Command::new(&place.server);
    server.args(["http", "1"]);
    let mut gateway = place.bartizan("serve", 0);
    gateway.args(["serve", "--listen", "127.0.0.1:0", "--dev-no-auth", "--read", "*", "--"]);
    gateway.args(["./server", "stdio", "1"]);
    let mut started = vec![
        ("direct".to_owned(), client::listening(&mut server)),
        ("bartizan serve".to_owned(), client::listening(&mut gateway)),
    ];
    for (name, address, mut command) in place.peers("MCP_HTTP_PEERS") {
        watch::turns_to(&name);
        started.push((name, (client::listening_at(&mut command, &address), address)));
    }
    let mut ways: Vec<(&str, Vec<Http>, Figures)> = Vec::new();
    for (name, (process, address)) in &started {
        watch::turns_to(name);
        let first = Http::begin(address);
        let one = memory::tree(process.id());
        let mut clients = vec![first];
        clients.extend((1..size.at_once).map(|_| Http::begin(address)));
        let each = (memory::tree(process.id()) - one) / (size.at_once - 1) as f64;
        println!("  {name:<18} {each:6.1} MB for each idle session");
        ways.push((name, clients, Figures::default()));
    }
    let each = size.calls / size.at_once;
    for _ in 0..size.rounds {
        for (name, clients, figures) in &mut ways {
            watch::turns_to(name);
            figures.alone(size.calls, || clients[0].call());
            figures.awake(size.calls, || clients[0].call());
            figures.together(each * size.at_once, || {
                thread::scope(|scope| {
                    for client in clients.iter_mut() {
                        scope.spawn(move || (0..each).for_each(|_| client.call()));
                    }
                });
            });
        }
    }
    tell(ways.iter().map(|(name, _, figures)| (*name, figures)));
}

/// A port that nobody listened at a moment ago.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

/// What was measured of one way, a value for each round.
#[derive(Default)]
struct Figures {
    alone: Latency,
    awake: Latency,
    a_second: Vec<f64>,
}

/// Of one call at a time, in milliseconds: the median, and what one of a hundred exceeds.
#[derive(Default)]
struct Latency {
    half: Vec<f64>,
    most: Vec<f64>,
}

impl Figures {
    /// One call after the other.
    fn alone(&mut self, calls: usize, call: impl FnMut()) {
        self.alone.take(calls, call);
    }

    /// The same while no core sleeps.
    fn awake(&mut self, calls: usize, call: impl FnMut()) {
        if let Some(_awake) = Awake::begin() {
            self.awake.take(calls, call);
        }
    }

    /// Many at once.
    fn together(&mut self, calls: usize, all: impl FnOnce()) {
        let began = Instant::now();
        all();
        self.a_second.push(calls as f64 / began.elapsed().as_secs_f64());
    }
}

impl Latency {
    fn take(&mut self, calls: usize, mut call: impl FnMut()) {
        let mut took: Vec<Duration> = (0..calls)
            .map(|_| {
                let began = Instant::now();
                call();
                began.elapsed()
            })
            .collect();
        took.sort_unstable();
        let ms =
            |part: usize| took[(took.len() * part / 100).min(took.len() - 1)].as_secs_f64() * 1e3;
        self.half.push(ms(50));
        self.most.push(ms(99));
    }

    /// Beside that of the first way.
    fn beside(&self, first: &Self) -> String {
        if self.half.is_empty() {
            return "not taken: no `chrt` here".to_owned();
        }
        let (half, most) = (median(&self.half), median(&self.most));
        let (direct, direct_most) = (median(&first.half), median(&first.most));
        format!(
            "p50 {half:7.3} ms (+{:.3}, {:.1}x)   p99 {most:7.3} ms (+{:.3})",
            half - direct,
            half / direct,
            most - direct_most,
        )
    }
}

fn median(of: &[f64]) -> f64 {
    let mut of = of.to_vec();
    of.sort_unstable_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Each way beside the first.
fn tell<'f>(ways: impl Iterator<Item = (&'f str, &'f Figures)>) {
    let ways: Vec<_> = ways.collect();
    let Some((_, first)) = ways.first() else { return };
    for (name, figures) in &ways {
        let (alone, a_second) = (figures.alone.beside(&first.alone), median(&figures.a_second));
        println!("  {name:<18} {alone}   {a_second:8.0} calls/s");
    }
    println!("  while no core sleeps");
    for (name, figures) in &ways {
        println!("  {name:<18} {}", figures.awake.beside(&first.awake));
    }
}

/// The call that everything here makes.
fn call(id: usize) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"tool0","arguments":{{"text":"what the harbour master said of the tide, and when"}}}}}}"#
    )
}

const HELLO: &str = r#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
const BEGUN: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Whether a line is the answer to the request of this id, with a result.
fn answers(line: &str, id: &str) -> bool {
    let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { return false };
    let said = message["id"].to_string();
    let ours = said == id;
    watch::answered();
    assert!(
        !ours || message["result"].is_object() && message["result"]["isError"] != true,
        "{line}"
    );
    ours
}
