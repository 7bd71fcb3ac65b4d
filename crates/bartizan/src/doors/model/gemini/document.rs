//! What of an answer may pass that comes as JSON, not as events? One document is judged as a whole. A list of documents is how
//! Google's API streams to who did not ask for events: each passes when it is judged, as if it were one.

use super::answer::Gemini;
use crate::doors::model::answer::{Shared, Streamed, Whole};
use crate::doors::model::verdict::Bench;
use bartizan_egress::model::Filter;
use bytes::Bytes;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// An answer in JSON; its first byte says which kind it is.
pub(in crate::doors::model) enum Document {
    Unknown { bench: Bench, tally: Shared, until: Instant },
    List(Box<List>),
    Whole(Whole<Gemini>),
}

impl Document {
    /// As [`Whole::new`].
    pub(in crate::doors::model) fn new(bench: Bench, tally: Shared, until: Instant) -> Self {
        Self::Unknown { bench, tally, until }
    }

    fn settle(&mut self, first: Option<u8>) {
        let Self::Unknown { bench, tally, until } = self else { return };
        let (bench, tally) = (bench.clone(), Arc::clone(tally));
        *self = match first {
            Some(b'[') => Self::List(Box::new(List::new(bench, tally))),
            _ => Self::Whole(Whole::new(bench, tally, *until)),
        };
    }
}

impl Filter for Document {
    fn push(&mut self, chunk: Bytes) {
        if let Some(first) = chunk.trim_ascii_start().first() {
            self.settle(Some(*first));
        }
        match self {
            // Space before the first byte says nothing.
            Self::Unknown { .. } => {}
            Self::List(list) => list.push(&chunk),
            Self::Whole(whole) => whole.push(chunk),
        }
    }

    fn end(&mut self) {
        self.settle(None);
        match self {
            Self::Unknown { .. } => {}
            Self::List(list) => list.end(),
            Self::Whole(whole) => whole.end(),
        }
    }

    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        match self {
            Self::Unknown { .. } => Poll::Ready(Bytes::new()),
            Self::List(list) => list.poll_pass(cx),
            Self::Whole(whole) => whole.poll_pass(cx),
        }
    }
}

/// A list whose documents are judged as the events of a stream.
pub(in crate::doors::model) struct List {
    events: Streamed<Gemini>,
    at: At,
    depth: usize,
    over: bool,
    toward: Toward,
}

/// Where in the list its next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    /// Where a document begins; the first may be missing.
    First,
    Next,
    Inside,
    /// In a text of a document, and behind a backslash in one.
    Text,
    Escaped,
    After,
    End,
    /// It is no such list.
    Broken,
}

/// How far the list is that the client has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toward {
    Start,
    Begun,
    Closed,
}

impl List {
    fn new(bench: Bench, tally: Shared) -> Self {
        let events = Streamed::new(bench, tally);
        Self { events, at: At::Start, depth: 0, over: false, toward: Toward::Start }
    }

    fn push(&mut self, chunk: &[u8]) {
        let mut events = Vec::with_capacity(chunk.len() + 16);
        for byte in chunk {
            self.at = self.take(*byte, &mut events);
        }
        self.events.push(events.into());
    }

    /// Only as much is understood as tells where a document ends; what it says is read with the event.
    fn take(&mut self, byte: u8, events: &mut Vec<u8>) -> At {
        match (self.at, byte) {
            (At::Inside, _) => self.inside(byte, events),
            // A line break in a text is no JSON, and must not become some.
            (At::Text | At::Escaped, b'\n' | b'\r') => At::Broken,
            (At::Text | At::Escaped, _) => {
                events.push(byte);
                match (self.at, byte) {
                    (At::Text, b'"') => At::Inside,
                    (At::Text, b'\\') => At::Escaped,
                    _ => At::Text,
                }
            }
            (at, b' ' | b'\t' | b'\r' | b'\n') => at,
            (At::Start, b'[') => At::First,
            (At::First | At::Next, b'{') => {
                events.extend(b"data: {");
                self.depth = 1;
                At::Inside
            }
            (At::After, b',') => At::Next,
            (At::First | At::After, b']') => At::End,
            _ => At::Broken,
        }
    }

    fn inside(&mut self, byte: u8, events: &mut Vec<u8>) -> At {
        // A line break is space between parts here, and the end of an event there.
        events.push(if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
        match byte {
            b'"' => return At::Text,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        if self.depth > 0 {
            return At::Inside;
        }
        events.extend(b"\n\n");
        At::After
    }

    fn end(&mut self) {
        if self.at != At::End {
            // An event that is not whole ends the answer as one that broke off.
            self.events.push(Bytes::from_static(b"data: "));
        }
        self.events.end();
        self.over = true;
    }

    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let passed = ready!(self.events.poll_pass(cx));
        let mut out = Vec::with_capacity(passed.len() + 8);
        // Whole events come, each of one line, and space between them while a call waits.
        let lines = passed.split(|byte| *byte == b'\n');
        for document in lines.filter_map(|line| line.strip_prefix(b"data: ")) {
            out.extend(if self.toward == Toward::Start { &b"["[..] } else { b",\n" });
            out.extend(document);
            self.toward = Toward::Begun;
        }
        if out.is_empty() && !passed.is_empty() {
            out.push(b'\n');
        }
        if passed.is_empty() && self.over && self.toward != Toward::Closed {
            out.extend(if self.toward == Toward::Start { &b"[]"[..] } else { b"]" });
            self.toward = Toward::Closed;
        }
        Poll::Ready(out.into())
    }
}

#[cfg(test)]
mod tests;
