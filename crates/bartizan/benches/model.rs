//! What does the model door cost a turn? The same client asks a scripted API, by itself and from a box, in
//! turn and in one run: to the first byte of an answer, and to the end of one that streams. What the disk takes for one
//! durable record stands beside it: a turn waits for at least one, and on a busy disk for little else.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints, and may stop"
)]

#[path = "common/awake.rs"]
mod awake;

use awake::Awake;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Turns of one batch, and batches of each kind; with `--test` just enough to see that all of it works.
fn counts() -> (usize, usize) {
    if std::env::args().any(|argument| argument == "--test") { (3, 1) } else { (17, 6) }
}

/// Parts of a streamed answer, and the pause between two: some 500 tokens a second, faster than models are.
const PARTS: usize = 150;
const PAUSE: Duration = Duration::from_millis(2);
/// Records of a batch that the disk is measured by.
const RECORDS: usize = 5;
/// What a client does between two turns takes longer, in seconds: at the least a hook and a tool.
const MOMENT: &str = "0.02";

/// Asks on one connection, as clients do, and prints µs to the first byte and to the end of each answer.
const CLIENT: &str = r#"
import socket, sys, time
host, port, turns, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
body = open("body.json", "rb").read()
head = ("POST /v1/messages?beta=true HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nx-api-key: k\r\n"
        "Content-Length: %d\r\n\r\n" % (host if port == 80 else "%s:%d" % (host, port), len(body))).encode()
link = socket.create_connection((host, port), timeout=60)
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for turn in range(turns):
    # All of the conversation comes again each time, and something new behind it.
    asked = head + body.replace(b"TURN", b"%04d" % turn)
    time.sleep(pause)
    began = time.perf_counter()
    link.sendall(asked)
    answer, first = b"", None
    while not answer.endswith(b"0\r\n\r\n"):
        more = link.recv(65536)
        assert more, answer
        answer += more
        if first is None and b"message_start" in answer:
            first = time.perf_counter()
    assert b"message_stop" in answer, answer
    print(round((first - began) * 1e6), round((time.perf_counter() - began) * 1e6), flush=True)
"#;

fn main() {
    let place = tempfile::tempdir().unwrap();
    let workspace = place.path().join("work");
    std::fs::create_dir(&workspace).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(&stream));
        }
    });
    let (turns, batches) = counts();
    let turns = turns.to_string();
    let place = place.path();
    let mut disk = Disk::at(place);
    for (name, size, pause, sleepless) in [
        ("50 KB, each turn right after the last", 50_000, "0", false),
        ("50 KB, a moment between turns", 50_000, MOMENT, false),
        ("50 KB, a moment between turns, while no core sleeps", 50_000, MOMENT, true),
        ("1 MB, a moment between turns", 1_000_000, MOMENT, false),
    ] {
        let awake = sleepless.then(Awake::begin);
        if let Some(None) = awake {
            println!("request of {name}: not taken, no `chrt` here");
            continue;
        }
        std::fs::write(workspace.join("body.json"), body(size)).unwrap();
        let (mut bare, mut ours) = (Figures::default(), Figures::default());
        for batch in 0..batches {
            // Who is first takes turns too.
            if batch % 2 == 0 {
                bare.add(&direct(&workspace, [&port, &turns, pause]));
            }
            ours.add(&boxed(place, &workspace, [&port, &turns, pause]));
            if batch % 2 == 1 {
                bare.add(&direct(&workspace, [&port, &turns, pause]));
            }
            disk.measure();
        }
        tell(name, bare, ours);
        println!("  disk         {:8.2} ms for one durable record", disk.median());
    }
}

/// What the disk takes until a record of 4 KB is there to stay, as the log has it before a request leaves.
struct Disk {
    file: File,
    took: Vec<u64>,
}

impl Disk {
    fn at(place: &Path) -> Self {
        Self { file: File::create(place.join("disk")).unwrap(), took: Vec::new() }
    }

    /// A turn comes to a disk that has been at rest for as long as the answer before it streamed, and a disk at rest takes
    /// longer.
    fn measure(&mut self) {
        for _ in 0..RECORDS {
            thread::sleep(PAUSE * u32::try_from(PARTS).unwrap());
            let began = Instant::now();
            self.file.write_all(&[0; 4_096]).unwrap();
            self.file.sync_all().unwrap();
            self.took.push(u64::try_from(began.elapsed().as_micros()).unwrap());
        }
    }

    /// In milliseconds, of what was measured since it was last asked.
    fn median(&mut self) -> f64 {
        middle(std::mem::take(&mut self.took))
    }
}

/// The median of µs, in milliseconds.
fn middle(mut all: Vec<u64>) -> f64 {
    all.sort_unstable();
    f64::from(u32::try_from(*all.get(all.len() / 2).unwrap()).unwrap()) / 1e3
}

/// µs to the first byte, and to the end.
#[derive(Default)]
struct Figures(Vec<u64>, Vec<u64>);

impl Figures {
    fn add(&mut self, text: &str) {
        // The first turn of a connection is the connection's.
        for line in text.lines().skip(1) {
            let (first, whole) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            self.0.push(first.parse().unwrap());
            self.1.push(whole.parse().unwrap());
        }
    }

    fn medians(self) -> (f64, f64) {
        (middle(self.0), middle(self.1))
    }
}

fn tell(name: &str, bare: Figures, ours: Figures) {
    let ((bare_first, bare_whole), (first, whole)) = (bare.medians(), ours.medians());
    println!("request of {name}");
    println!(
        "  first byte   direct {bare_first:8.2} ms   door {first:8.2} ms   added {:6.2} ms",
        first - bare_first
    );
    println!(
        "  whole answer direct {bare_whole:8.2} ms   door {whole:8.2} ms   added {:6.2} %",
        (whole / bare_whole - 1.0) * 100.0
    );
}

/// A conversation of about so many bytes: half of it the client's own words, half notes that are framed.
fn body(size: usize) -> Vec<u8> {
    let note = "the harbour opens at seven, and <b>closes</b> at nine; token = none\\n".repeat(60);
    let mut messages = String::from("{\"role\":\"user\",\"content\":\"go\"}");
    while messages.len() < size {
        // No text is another's: what was looked through once is not looked through again.
        let at = messages.len();
        write!(
            messages,
            ",{{\"role\":\"system\",\"content\":\"# Environment {at}\\n{note}\"}},{{\"role\":\"user\",\"content\":\"{at} {note}\"}}"
        )
        .unwrap();
    }
    let news = "TURN: a boat came in, and another one left".repeat(50);
    write!(messages, ",{{\"role\":\"system\",\"content\":\"# Environment\\n{news}\"}}").unwrap();
    format!("{{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"system\":\"be brief\",\"messages\":[{messages}]}}").into_bytes()
}

/// Answers each request on a connection with a stream of events.
fn answer(mut stream: &TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut send = |text: &str| {
            // A client that has gone ends the thread at its next read.
            drop(stream.write_all(text.as_bytes()));
        };
        let event = |kind: &str, members: &str| {
            let text = format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{members}}}\n\n");
            format!("{:x}\r\n{text}\r\n", text.len())
        };
        send(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        );
        send(&event(
            "message_start",
            ",\"message\":{\"id\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":9}}",
        ));
        send(&event(
            "content_block_start",
            ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}",
        ));
        for _ in 0..PARTS {
            thread::sleep(PAUSE);
            send(&event(
                "content_block_delta",
                ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"four words of it \"}",
            ));
        }
        send(&event("content_block_stop", ",\"index\":0"));
        send(&event(
            "message_delta",
            ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":600}",
        ));
        send(&(event("message_stop", "") + "0\r\n\r\n"));
    }
}

fn direct(workspace: &Path, [port, turns, pause]: [&str; 3]) -> String {
    let client = ["-c", CLIENT, "127.0.0.1", port, turns, pause];
    run(command("python3").args(client).current_dir(workspace))
}

fn boxed(home: &Path, workspace: &Path, [port, turns, pause]: [&str; 3]) -> String {
    run(command(env!("CARGO_BIN_EXE_bartizan"))
        .args([
            "run",
            "--no-summary",
            "--",
            "python3",
            "-c",
            CLIENT,
            "model.bartizan",
            "80",
            turns,
            pause,
        ])
        .current_dir(workspace)
        .env("HOME", home)
        .env("ANTHROPIC_API_KEY", format!("sk-ant-{}", "bench-".repeat(6)))
        .env("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{port}")))
}

#[expect(clippy::disallowed_methods, reason = "the programs that are measured")]
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
