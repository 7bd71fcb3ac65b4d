//! What of the credential may an answer show that is passed on as it comes? Nothing: each value is hidden.

use super::body::Filter;
use bartizan_scan::{RedactStream, Redactor};
use bytes::Bytes;
use std::task::{Context, Poll};

/// An answer's body without the values that its requests went with.
pub(super) struct Mask {
    stream: Option<RedactStream>,
    ready: Vec<u8>,
}

impl Mask {
    pub(super) fn new(known: &Redactor) -> Self {
        Self { stream: Some(known.stream()), ready: Vec::new() }
    }
}

impl Filter for Mask {
    fn push(&mut self, chunk: Bytes) {
        if let Some(stream) = &mut self.stream {
            stream.push(&chunk, &mut self.ready);
        }
    }

    fn end(&mut self) {
        if let Some(stream) = self.stream.take() {
            // What an API says of a wrong credential is nobody's doing in the box.
            drop(stream.finish(&mut self.ready));
        }
    }

    fn poll_pass(&mut self, _: &mut Context<'_>) -> Poll<Bytes> {
        Poll::Ready(std::mem::take(&mut self.ready).into())
    }
}
