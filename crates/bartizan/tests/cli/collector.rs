//! Somebody elsewhere who is sent something: a real HTTP server on this machine, which answers as it was told to.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// One request that came.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// By closing the connection.
    Nothing,
    /// By this status, these further lines of the head, and this content.
    Status(u16, String, String),
}

/// The server.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) port: u16,
    came: Arc<Mutex<Vec<Came>>>,
    answers: Arc<Mutex<Vec<Answer>>>,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, String::new(), String::new())
    }
}

impl Collector {
    /// Gives these answers in turn, and the last one for ever.
    pub(crate) fn answering(answers: &[Answer]) -> Self {
        let answers = Arc::new(Mutex::new(answers.iter().rev().cloned().collect::<Vec<_>>()));
        let told = Arc::clone(&answers);
        let next = move |_: &Came| {
            let mut answers = told.lock().unwrap();
            if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() }
        };
        Self { answers, ..Self::by(next) }
    }

    /// Answers each request by what came.
    pub(crate) fn by(mut answer: impl FnMut(&Came) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let came = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&came);
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &noted, &mut answer);
            }
        });
        Self { port, came, answers: Arc::default() }
    }

    /// From now on gives this answer.
    pub(crate) fn then_always(&self, answer: Answer) {
        *self.answers.lock().unwrap() = vec![answer];
    }

    /// What has come so far.
    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }
}

impl Came {
    /// The value of a line of the head.
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
    }
}

fn serve(mut stream: TcpStream, came: &Mutex<Vec<Came>>, answer: &mut impl FnMut(&Came) -> Answer) {
    let Some(request) = request(&mut stream) else { return };
    came.lock().unwrap().push(request.clone());
    let answer = answer(&request);
    if let Answer::Status(status, lines, content) = answer {
        let length = content.len();
        let head = format!(
            "HTTP/1.1 {status} x\r\n{lines}content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        // Who asked may be gone by now.
        drop(stream.write_all(format!("{head}{content}").as_bytes()));
    }
}

fn request(stream: &mut TcpStream) -> Option<Came> {
    let (mut read, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(Came { head: head.to_owned(), body: body.to_owned() });
            }
        }
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => read.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
}
