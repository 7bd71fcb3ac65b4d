//! How does an answer pass that Amazon Bedrock sends in frames of its own? Each is read strictly, its event is judged as
//! Anthropic's own stream is, and what may pass is framed anew: no byte of a frame that came goes on as it was.

mod frame;

use super::answer::{Messages, Shared, Streamed, fields};
use super::verdict::Bench;
use bartizan_egress::model::Filter;
use bartizan_scan::json::{Doc, quoted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use frame::Frame;
use std::task::{Context, Poll, ready};

/// The content type of such an answer.
pub(super) const TYPE: &str = "application/vnd.amazon.eventstream";

/// A streamed answer of Bedrock's on its way to the client.
pub(super) struct Framed {
    inner: Streamed<Messages>,
    /// What has arrived of a frame that is not whole.
    arrived: Vec<u8>,
    /// What has passed of an event that is not whole.
    passed: Vec<u8>,
    broken: bool,
}

impl Framed {
    pub(super) fn new(bench: Bench, tally: Shared) -> Self {
        let inner = Streamed::new(bench, tally);
        Self { inner, arrived: Vec::new(), passed: Vec::new(), broken: false }
    }

    /// Hands each whole frame on as an event.
    fn take(&mut self) -> Result<(), &'static str> {
        let mut taken = 0;
        while let Some((frame, length)) =
            frame::first(self.arrived.get(taken..).unwrap_or_default())?
        {
            taken += length;
            self.inner.push(event(&frame)?.into());
        }
        self.arrived.drain(..taken);
        Ok(())
    }
}

impl Filter for Framed {
    fn push(&mut self, chunk: Bytes) {
        if self.broken {
            return;
        }
        self.arrived.extend_from_slice(&chunk);
        if let Err(what) = self.take() {
            self.broken = true;
            self.arrived = Vec::new();
            self.inner.break_off(what);
        }
    }

    fn end(&mut self) {
        if !self.arrived.is_empty() {
            self.inner.break_off("the answer broke off in the middle");
        }
        self.inner.end();
    }

    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            let passed = ready!(self.inner.poll_pass(cx));
            if passed.is_empty() {
                return Poll::Ready(passed);
            }
            self.passed.extend_from_slice(&passed);
            let mut out = Vec::new();
            while let Some(end) = self.passed.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.passed.drain(..end + 2).collect();
                out.extend(framed(&event));
            }
            if !out.is_empty() {
                return Poll::Ready(out.into());
            }
        }
    }
}

/// The event of Anthropic's stream that a frame holds.
fn event(frame: &Frame<'_>) -> Result<Vec<u8>, &'static str> {
    let doc = Doc::read(frame.payload).map_err(|_| "a frame is not JSON with one reading")?;
    if doc.root().has_twins() {
        return Err("a frame has two readings");
    }
    let header = |name: &str| frame.header(name).unwrap_or_default();
    let text = |name: &str| doc.text_of(doc.root(), name).unwrap_or_default();
    match (header(":message-type"), header(":event-type")) {
        ("event", "chunk") => {
            let data = STANDARD.decode(text("bytes").as_bytes());
            let data = data.map_err(|_| "a frame holds no bytes")?;
            let data = String::from_utf8(data).map_err(|_| "an event is not UTF-8")?;
            // A line break in JSON is space between its parts.
            Ok(format!("data: {}\n\n", data.replace(['\r', '\n'], " ")).into_bytes())
        }
        ("exception", _) => {
            let (kind, message) = (quoted(header(":exception-type")), quoted(&text("message")));
            let error = format!("{{\"type\":{kind},\"message\":{message}}}");
            let data = format!("{{\"type\":\"error\",\"error\":{error}}}");
            Ok(format!("event: error\ndata: {data}\n\n").into_bytes())
        }
        _ => Err("a frame is of a kind that is not known"),
    }
}

/// The frame for an event that has passed; nothing for a comment.
fn framed(event: &[u8]) -> Vec<u8> {
    let Ok(Some((_, data))) = fields(event) else { return Vec::new() };
    let json = "application/json";
    let error = Doc::read(data.as_bytes()).ok().and_then(|doc| {
        let is_error = doc.text_of(doc.root(), "type").as_deref() == Some("error");
        let error = doc.root().get("error").filter(|_| is_error)?;
        let text = |name: &str| doc.text_of(error, name).unwrap_or_default().into_owned();
        Some((text("type"), text("message")))
    });
    let Some((kind, message)) = error else {
        let payload = format!("{{\"bytes\":\"{}\"}}", STANDARD.encode(data));
        let headers =
            [(":event-type", "chunk"), (":content-type", json), (":message-type", "event")];
        return frame::write(&headers, payload.as_bytes());
    };
    let kind = EXCEPTIONS.iter().find(|known| **known == kind).unwrap_or(&EXCEPTIONS[0]);
    let payload = format!("{{\"message\":{}}}", quoted(&message));
    let headers =
        [(":exception-type", *kind), (":content-type", json), (":message-type", "exception")];
    frame::write(&headers, payload.as_bytes())
}

/// What Bedrock calls the ways in which a stream can fail. Source: its API reference, `InvokeModelWithResponseStream`. The
/// first stands for whatever else it is.
const EXCEPTIONS: [&str; 6] = [
    "modelStreamErrorException",
    "internalServerException",
    "modelTimeoutException",
    "serviceUnavailableException",
    "throttlingException",
    "validationException",
];

#[cfg(test)]
mod tests;
