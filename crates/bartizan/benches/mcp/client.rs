//! How does a client ask? Over standard streams, or over streamable HTTP, with as little of its own as can be.

use super::{BEGUN, HELLO, answers, call, watch};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A program, ended when this goes.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        watch::started(&child);
        Self(child)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A gateway that is told to end takes its boxes with it.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ended = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _reaped = self.0.wait();
        watch::ended(&self.0);
    }
}

/// A client on a program's standard streams.
pub(crate) struct Pipe {
    process: Process,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    next: usize,
}

impl Pipe {
    /// Starts the program and begins with it.
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Process::start(command);
        let (to, from) = (process.0.stdin.take().unwrap(), process.0.stdout.take().unwrap());
        let mut pipe = Self { process, to, from: BufReader::new(from), next: 0 };
        pipe.says(&format!("{HELLO}\n"));
        pipe.hears("\"hello\"");
        pipe.says(&format!("{BEGUN}\n"));
        pipe.call();
        pipe
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// One call and its answer.
    pub(crate) fn call(&mut self) {
        self.next += 1;
        let id = self.next;
        self.says(&format!("{}\n", call(id)));
        self.hears(&id.to_string());
    }

    /// So many calls, of which so many wait at any time.
    pub(crate) fn calls(&mut self, calls: usize, at_once: usize) {
        let mut line = String::new();
        for number in 0..calls + at_once {
            if number < calls {
                self.next += 1;
                let id = self.next;
                self.says(&format!("{}\n", call(id)));
            }
            if number >= at_once {
                self.next_answer(&mut line);
            }
        }
    }

    /// The next answer, whosever it is; what is only told is left out. A refusal is an answer too, and none that counts.
    fn next_answer(&mut self, line: &mut String) {
        loop {
            line.clear();
            assert_ne!(self.from.read_line(line).unwrap(), 0, "it ended before it answered");
            if !line.contains("\"method\"") {
                break;
            }
        }
        let flat = line.replace(": ", ":");
        let good = flat.contains("\"result\"") && !flat.contains("\"isError\":true");
        assert!(good, "{line}");
        watch::answered();
    }

    fn says(&mut self, text: &str) {
        self.to.write_all(text.as_bytes()).unwrap();
    }

    fn hears(&mut self, id: &str) {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.from.read_line(&mut line).unwrap(), 0, "it ended before it answered");
            if answers(&line, id) {
                return;
            }
        }
    }
}

/// Starts a program that says on standard error where it listens.
pub(crate) fn listening(command: &mut Command) -> (Process, String) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = Process::start(command);
    let mut said = BufReader::new(process.0.stderr.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it never said where it listens");
        if let Some(rest) = line.trim().strip_prefix("serving at http://") {
            break rest.trim_end_matches("/mcp").to_owned();
        }
    };
    // Whatever else it says must not fill its pipe.
    thread::spawn(move || drop(std::io::copy(&mut said, &mut std::io::sink())));
    (process, address)
}

/// Starts a peer that is told its port, and waits until somebody listens there.
pub(crate) fn listening_at(command: &mut Command, address: &str) -> Process {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process::start(command);
    while TcpStream::connect(address).is_err() {
        let ended = process.0.try_wait().unwrap();
        assert!(ended.is_none(), "{command:?} ended before it listened at {address}");
        thread::sleep(Duration::from_millis(50));
    }
    process
}

/// A client with a session of its own, on one connection at a time.
pub(crate) struct Http {
    stream: BufReader<TcpStream>,
    host: String,
    session: String,
    next: usize,
    /// When it last asked. A server closes a connection on which nothing is asked for a while, and the rounds of the other
    /// ways may take longer than that.
    used: Instant,
}

impl Http {
    /// Begins a session.
    pub(crate) fn begin(address: &str) -> Self {
        let (stream, host) = (connected(address), address.to_owned());
        let mut http = Self { stream, host, session: String::new(), next: 0, used: Instant::now() };
        http.session = http.asks(HELLO, Some("\"hello\"")).session;
        http.asks(BEGUN, None);
        http.call();
        http
    }

    /// One call and its answer.
    pub(crate) fn call(&mut self) {
        self.next += 1;
        let id = self.next;
        self.asks(&call(id), Some(&id.to_string()));
    }

    fn asks(&mut self, body: &str, id: Option<&str>) -> Head {
        if self.used.elapsed() > KEPT {
            self.stream = connected(&self.host);
        }
        self.used = Instant::now();
        let session = match self.session.as_str() {
            "" => String::new(),
            session => format!("Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-11-25\r\n"),
        };
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n{session}Content-Length: {}\r\n\r\n{body}",
            self.host,
            body.len(),
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let head = head(&mut self.stream);
        let answer = self.body(&head);
        let answered = |id: &str| {
            let mut lines = answer.lines().map(|line| line.strip_prefix("data:").unwrap_or(line));
            lines.any(|line| answers(line.trim(), id))
        };
        assert!(id.is_none_or(answered), "{}: {answer}", head.status);
        head
    }

    fn body(&mut self, head: &Head) -> String {
        let mut body = Vec::new();
        let mut take = |stream: &mut BufReader<TcpStream>, length: usize| {
            let begun = body.len();
            body.resize(begun + length, 0);
            stream.read_exact(&mut body[begun..]).unwrap();
        };
        match head.length {
            Some(length) => take(&mut self.stream, length),
            None => loop {
                let mut line = String::new();
                self.stream.read_line(&mut line).unwrap();
                let length = usize::from_str_radix(line.trim(), 16).unwrap();
                take(&mut self.stream, length);
                self.stream.read_line(&mut line).unwrap();
                if length == 0 {
                    break;
                }
            },
        }
        String::from_utf8(body).unwrap()
    }
}

fn connected(address: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    BufReader::new(stream)
}

/// What matters of a head; everything is empty when nobody sent one.
#[derive(Default)]
pub(crate) struct Head {
    status: String,
    session: String,
    /// `None` is a body in chunks, or the end of the connection.
    pub(crate) length: Option<usize>,
}

/// Reads one head.
pub(crate) fn head(reader: &mut impl BufRead) -> Head {
    let mut head = Head::default();
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap_or(0) > 0 && line.trim() != "" {
        match line.trim().split_once(": ") {
            None => head.status.clone_from(&line),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                head.length = value.parse().ok();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("mcp-session-id") => {
                value.clone_into(&mut head.session);
            }
            Some(_) => {}
        }
        line.clear();
    }
    head
}

/// How long a connection on which nothing is asked is counted on. Ours are kept for a minute.
const KEPT: Duration = Duration::from_secs(20);
