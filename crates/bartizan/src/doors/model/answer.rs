//! What of the model's answer may reach the client, and when? Everything passes as it arrives, but a call is
//! held until it is whole, and judged before the client has heard of it.

mod messages;
mod tally;
mod whole;

use super::verdict::{Bench, Call, Verdict};
use crate::desk::patience::Waiter;
use bartizan_egress::model::Filter;
use bartizan_gate::call::Door;
use bartizan_scan::json::Doc;
use bytes::Bytes;
use std::borrow::Cow;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, interval_at};

pub(super) use messages::Messages;
pub(super) use tally::{Shared, Tally, in_tokens};
pub(super) use whole::{Judged, Whole};

/// How one API writes an answer.
pub(super) trait Dialect: Default + Send + Sync + 'static {
    /// What goes to the client while nothing else does, so that it takes no silence for an end.
    const PING: &'static [u8];

    /// What an event is, by the one word that it has for it.
    fn kind<'d>(doc: &Doc<'d>, name: Option<&str>) -> Result<Cow<'d, str>, &'static str> {
        let kind = doc.text_of(doc.root(), "type").ok_or("an event has no type")?;
        if name.is_some_and(|name| name != kind) {
            return Err("an event has two readings");
        }
        Ok(kind)
    }

    /// Takes one event, and lets of it go onward what may. Gives the first call that is whole by it; nothing else is taken
    /// before that and those that follow it are judged.
    fn event(
        &mut self,
        event: &Event<'_>,
        onward: &mut Onward,
    ) -> Result<Option<Call>, &'static str>;

    /// How many bytes of the model's own words and arguments an event brings.
    fn written(event: &Event<'_>) -> usize;

    /// The call that was given last is judged. Gives the next one of the same event.
    fn judged(&mut self, verdict: Verdict, onward: &mut Onward) -> Option<Call>;

    /// Whether a call has begun and is not whole.
    fn is_held(&self) -> bool;

    /// The event that ends an answer with this message.
    fn last(message: &str, onward: &mut Onward);

    /// Judges an answer that comes whole, and gives what of it passes.
    fn whole(answer: &Judged<'_>) -> Result<Vec<u8>, &'static str>;

    /// What takes the place of such an answer.
    fn instead(message: &str) -> Vec<u8>;
}

/// One event of a stream, read in its one way.
pub(super) struct Event<'a> {
    pub(super) doc: &'a Doc<'a>,
    pub(super) kind: &'a str,
    /// As it came, with the empty line that ends it.
    pub(super) bytes: &'a [u8],
    pub(super) data: &'a str,
}

/// What is on its way to the client.
pub(super) struct Onward {
    out: Vec<u8>,
    tally: Shared,
}

impl Onward {
    pub(super) fn pass(&mut self, event: &[u8]) {
        self.out.extend_from_slice(event);
    }

    pub(super) fn write(&mut self, kind: &str, data: &str) {
        // A line break in JSON is space between its parts.
        let data = data.replace(['\r', '\n'], " ");
        self.pass(format!("event: {kind}\ndata: {data}\n\n").as_bytes());
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A streamed answer on its way to the client.
pub(super) struct Streamed<D> {
    bench: Bench,
    dialect: D,
    onward: Onward,
    /// What has arrived, how much of it has been taken, and how far the rest has been searched.
    arrived: Vec<u8>,
    taken: usize,
    searched: usize,
    judging: Option<Judging>,
    /// How often a client that waits for a verdict hears that we are still there.
    beat: Duration,
    ended: bool,
    /// Why nothing that can be read follows what has arrived.
    broken: Option<&'static str>,
    dead: bool,
}

/// A call that is being judged, perhaps by a person.
struct Judging {
    verdict: JoinHandle<Verdict>,
    /// Dropped with the answer when the client goes.
    _waiter: Waiter,
    beats: Interval,
}

impl<D: Dialect> Filter for Streamed<D> {
    fn push(&mut self, chunk: Bytes) {
        if !self.dead {
            self.arrived.extend_from_slice(&chunk);
        }
    }

    fn end(&mut self) {
        self.ended = true;
    }

    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            if let Some(judging) = &mut self.judging {
                if let Poll::Ready(verdict) = Pin::new(&mut judging.verdict).poll(cx) {
                    // Another call of the same event may be judged now.
                    self.judged(verdict.ok());
                    continue;
                }
                if !self.onward.out.is_empty() {
                    return Poll::Ready(std::mem::take(&mut self.onward.out).into());
                }
                if judging.beats.poll_tick(cx).is_ready() {
                    return Poll::Ready(Bytes::from_static(D::PING));
                }
                return Poll::Pending;
            }
            match self.next_event() {
                Some(event) => {
                    if let Err(what) = self.event(&event) {
                        self.fail(what);
                    }
                }
                None => break,
            }
        }
        if let Some(what) = self.broken.take().filter(|_| !self.dead) {
            self.fail(what);
        }
        let rest = !self.arrived.trim_ascii().is_empty();
        if self.ended && !self.dead && (self.dialect.is_held() || rest) {
            self.fail("the answer broke off in the middle");
        }
        Poll::Ready(std::mem::take(&mut self.onward.out).into())
    }
}

impl<D: Dialect> Streamed<D> {
    pub(super) fn new(bench: Bench, tally: Shared) -> Self {
        Self {
            bench,
            dialect: D::default(),
            onward: Onward { out: Vec::new(), tally },
            arrived: Vec::new(),
            taken: 0,
            searched: 0,
            judging: None,
            beat: BEAT,
            ended: false,
            broken: None,
            dead: false,
        }
    }

    /// Says that what follows cannot be read. What has arrived before is judged first.
    pub(super) fn break_off(&mut self, what: &'static str) {
        self.broken.get_or_insert(what);
    }

    /// The next whole event with the empty line that ends it.
    fn next_event(&mut self) -> Option<Vec<u8>> {
        let from = self.searched.saturating_sub(2).max(self.taken);
        let rest = self.arrived.get(from..)?;
        let end = rest.iter().enumerate().find_map(|(at, byte)| {
            let after = |text: &[u8]| rest.get(at + 1..).is_some_and(|rest| rest.starts_with(text));
            match byte {
                b'\n' if after(b"\n") => Some(from + at + 2),
                b'\n' if after(b"\r\n") => Some(from + at + 3),
                _ => None,
            }
        });
        if let Some(end) = end {
            let event = self.arrived.get(self.taken..end).map(<[u8]>::to_vec);
            self.taken = end;
            return event;
        }
        self.arrived.drain(..self.taken);
        self.taken = 0;
        self.searched = self.arrived.len();
        if self.arrived.len() > EVENT_MAX {
            self.fail("an event is larger than any that is known");
        }
        None
    }

    fn event(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        let Some((name, data)) = fields(bytes)? else {
            self.onward.pass(bytes);
            return Ok(());
        };
        let doc =
            Doc::read(data.as_bytes()).map_err(|_| "an event is not JSON with one reading")?;
        let root = doc.root();
        let kind = D::kind(&doc, name)?;
        if root.has_twins() {
            return Err("an event has two readings");
        }
        let event = Event { doc: &doc, kind: &kind, bytes, data: &data };
        let written = u64::try_from(D::written(&event)).unwrap_or(u64::MAX);
        self.onward.note(|tally| tally.written = tally.written.saturating_add(written));
        if let Some(call) = self.dialect.event(&event, &mut self.onward)? {
            self.judge(call);
        }
        Ok(())
    }

    fn judge(&mut self, call: Call) {
        let bench = self.bench.clone();
        let waiter = bench.gate.waiter();
        let patience = waiter.patience();
        // The log may wait for its disk, and a person for their mind.
        let verdict = tokio::task::spawn_blocking(move || bench.judge(&call, &patience));
        let beats = interval_at(Instant::now() + self.beat, self.beat);
        self.judging = Some(Judging { verdict, _waiter: waiter, beats });
    }

    fn judged(&mut self, verdict: Option<Verdict>) {
        self.judging = None;
        // The judge panicked: nobody said yes.
        let Some(verdict) = verdict else { return self.fail("the gate failed") };
        let refused = matches!(verdict, Verdict::StandIn { .. });
        self.onward.note(|tally| {
            tally.calls += 1;
            tally.refused += u64::from(refused);
        });
        if let Some(call) = self.dialect.judged(verdict, &mut self.onward) {
            self.judge(call);
        }
    }

    /// Ends the answer: what cannot be understood does not pass, nor does anything after it.
    fn fail(&mut self, what: &'static str) {
        self.dead = true;
        self.dialect = D::default();
        self.arrived = Vec::new();
        (self.taken, self.searched) = (0, 0);
        D::last(&withheld(what), &mut self.onward);
        let bench = self.bench.clone();
        drop(tokio::task::spawn_blocking(move || {
            bench.gate.unreadable(&bench.caller, Door::Model, "answer-unread", what);
        }));
    }
}

/// What a client hears in the place of an answer.
fn withheld(what: &str) -> String {
    format!("bartizan: the model's answer is withheld: {what} [answer-unread]")
}

/// The name and the data of an event; `None` for one without data, such as a comment.
pub(super) fn fields(event: &[u8]) -> Result<Option<(Option<&str>, String)>, &'static str> {
    let text = std::str::from_utf8(event).map_err(|_| "an event is not UTF-8")?;
    let mut name = None;
    let mut data: Option<String> = None;
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains('\r') {
            return Err("an event has two readings");
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => data = Some(value.to_owned()),
            },
            "event" if name.is_some() => return Err("an event has two names"),
            "event" => name = Some(value),
            // A comment, an empty line, or what only steers reconnecting.
            "" | "id" | "retry" => {}
            _ => return Err("an event has a line that is not known"),
        }
    }
    match (name, data) {
        (name, Some(data)) => Ok(Some((name, data))),
        (None, None) => Ok(None),
        (Some(_), None) => Err("an event has a name and nothing else"),
    }
}

/// Between two pings.
const BEAT: Duration = Duration::from_secs(10);
/// Largest event, and largest call of a streamed answer, in bytes.
pub(super) const EVENT_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
pub(super) mod tests;
