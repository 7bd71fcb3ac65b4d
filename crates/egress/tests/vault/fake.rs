//! A server that answers as it is told to, for back ends that no package brings.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) whole_head: String,
    pub(crate) body: String,
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status and a body.
    Json(u16, String),
    /// A body of which half is missing.
    Cut(String),
    /// Nothing, ever.
    Silence,
    /// The connection ends.
    HangUp,
    /// A redirect to this address.
    Elsewhere(String),
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

/// The server, and what it was asked.
pub(crate) struct Fake {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, script): (_, Arc<Script>) = (Arc::clone(&asked), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&script)));
            }
        });
        Self { port, asked }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The request lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<Asked>>>, script: Arc<Script>) {
    let Some(asked) = read(&mut stream).await else { return };
    log.lock().unwrap().push(asked.clone());
    let respond = |status: u16, extra: &str, length: usize, body: &str| {
        format!("HTTP/1.1 {status} X\r\n{extra}content-length: {length}\r\n\r\n{body}")
    };
    let text = match script(&asked) {
        Reply::Json(status, body) => respond(status, "", body.len(), &body),
        Reply::Cut(body) => respond(200, "", body.len() * 2, &body),
        Reply::Elsewhere(to) => respond(307, &format!("location: {to}\r\n"), 0, ""),
        Reply::HangUp => return,
        Reply::Silence => {
            tokio::time::sleep(Duration::from_mins(10)).await;
            return;
        }
    };
    drop(stream.write_all(text.as_bytes()).await);
    drop(stream.shutdown().await);
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.ok().filter(|&count| count > 0)?;
        bytes.extend_from_slice(chunk.get(..count)?);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
        });
        if body.len() >= length.unwrap_or(0) {
            let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
            return Some(Asked {
                line,
                head: head.to_ascii_lowercase(),
                whole_head: head.to_owned(),
                body: body.to_owned(),
            });
        }
    }
}
