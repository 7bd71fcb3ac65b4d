//! A session bus with one keeper of secrets on it, who says what a test tells it to.
#![expect(clippy::indexing_slicing, reason = "the helpers of tests fail as tests do")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// What the fake says to a call.
pub(super) enum Says {
    Answer(&'static str, Body),
    Error(&'static str),
    Raw(Vec<u8>),
    Nothing,
}

/// The bytes of an answer, written by other code than the one that reads them.
#[derive(Default)]
pub(super) struct Body(pub(super) Vec<u8>);

impl Body {
    pub(super) fn number(mut self, number: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.0.extend(u32::try_from(number).unwrap().to_le_bytes());
        self
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let mut body = self.number(bytes.len());
        body.0.extend(bytes);
        body
    }

    pub(super) fn text(self, text: &str) -> Self {
        let mut body = self.bytes(text.as_bytes());
        body.0.push(0);
        body
    }

    pub(super) fn paths(self, paths: &[&str]) -> Self {
        let all = paths.iter().fold(Self::default(), |body, path| body.text(path));
        self.bytes(&all.0)
    }
}

pub(super) fn session() -> Says {
    let mut body = Body(b"\x01s\0".to_vec()).text("");
    body = body.text("/s/1");
    Says::Answer("vo", body)
}

pub(super) fn found(open: &[&str], shut: &[&str]) -> Says {
    Says::Answer("aoao", Body::default().paths(open).paths(shut))
}

pub(super) fn secret(value: &[u8]) -> Says {
    Says::Answer(
        "(oayays)",
        Body::default().text("/s/1").bytes(b"").bytes(value).text("text/plain"),
    )
}

pub(super) fn unlocked(opened: &[&str], prompt: &str) -> Says {
    Says::Answer("aoo", Body::default().paths(opened).text(prompt))
}

/// The member that was called, and the message after its first 16 bytes.
type Calls = Mutex<Vec<(String, Vec<u8>)>>;
type Script = dyn FnMut(&str) -> Says + Send;

/// A bus with one keeper of secrets on it, and the calls that came.
pub(super) struct Fake {
    pub(super) dir: TempDir,
    pub(super) calls: Arc<Calls>,
}

impl Fake {
    pub(super) fn start(mut script: impl FnMut(&str) -> Says + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("bus")).unwrap();
        let calls = Arc::<Calls>::default();
        let kept = calls.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // An end in the middle is the client's to notice.
                drop(serve(&mut stream.unwrap(), &mut script, &kept));
            }
        });
        Self { dir, calls }
    }

    pub(super) fn bus(&self) -> PathBuf {
        self.dir.path().join("bus")
    }

    pub(super) fn members(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(member, _)| member.clone()).collect()
    }
}

fn serve(stream: &mut UnixStream, script: &mut Script, calls: &Calls) -> std::io::Result<()> {
    for (begin, answer) in [("\0AUTH EXTERNAL ", "OK 0123456789abcdef\r\n"), ("BEGIN", "")] {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            stream.read_exact(&mut byte)?;
            line.extend(byte);
        }
        assert!(line.starts_with(begin.as_bytes()), "{}", line.escape_ascii());
        stream.write_all(answer.as_bytes())?;
    }
    loop {
        let mut head = [0; 16];
        stream.read_exact(&mut head)?;
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        let fields = usize::try_from(number(12)).unwrap().next_multiple_of(8);
        let mut rest = vec![0; fields + usize::try_from(number(4)).unwrap()];
        stream.read_exact(&mut rest)?;
        let member = text_of(&rest[..fields], b"\x03\x01s\0");
        calls.lock().unwrap().push((member.clone(), rest));
        let says = match member.as_str() {
            "Hello" => Says::Answer("s", Body::default().text(":1.1")),
            _ => script(&member),
        };
        match says {
            Says::Nothing => {}
            Says::Raw(bytes) => stream.write_all(&bytes)?,
            Says::Answer(signature, body) => {
                // A signal that nobody asked for comes before each answer, as on a real bus.
                stream.write_all(&message(4, 0, None, "", &[]))?;
                stream.write_all(&message(2, number(8), None, signature, &body.0))?;
            }
            Says::Error(name) => stream.write_all(&message(3, number(8), Some(name), "", &[]))?,
        }
    }
}

fn text_of(fields: &[u8], mark: &[u8]) -> String {
    let at = fields.windows(4).position(|part| part == mark).unwrap() + 4;
    let length = u32::from_le_bytes(fields[at..at + 4].try_into().unwrap());
    let text = &fields[at + 4..at + 4 + usize::try_from(length).unwrap()];
    String::from_utf8(text.to_vec()).unwrap()
}

pub(super) fn message(
    kind: u8,
    answers: u32,
    error: Option<&str>,
    signature: &str,
    body: &[u8],
) -> Vec<u8> {
    let mut fields = Body(b"\x05\x01u\0".to_vec()).number(usize::try_from(answers).unwrap());
    if let Some(name) = error {
        fields.0.extend(b"\x04\x01s\0");
        fields = fields.text(name);
    }
    if !signature.is_empty() {
        fields.0.extend(b"\x08\x01g\0");
        fields.0.push(u8::try_from(signature.len()).unwrap());
        fields.0.extend(signature.as_bytes());
        fields.0.push(0);
    }
    let mut out = Body(vec![b'l', kind, 0, 1]).number(body.len()).number(9).number(fields.0.len());
    out.0.extend(&fields.0);
    out.0.resize(out.0.len().next_multiple_of(8), 0);
    out.0.extend(body);
    out.0
}
