//! What becomes of an answer's stream whose client has gone? It waits a while for the client to come back for the rest
//! (2025-11-25, "Resumability and Redelivery"); then what is still asked is cancelled.

use super::sessions::Asking;
use crate::wire::Message;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The streams of one session that nobody reads now.
#[derive(Debug, Default)]
pub(super) struct Parked(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    begun: u64,
    closed: bool,
    streams: VecDeque<(Instant, Stream)>,
}

/// What is left of a stream, and what it said last.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) thread: Thread,
    pub(super) rest: mpsc::Receiver<Message>,
    /// The request, while it waits for its answer.
    pub(super) asking: Option<Asking>,
}

/// How a stream is taken up again: by the number of the last event that has come.
#[derive(Debug)]
pub(super) struct Thread {
    home: Arc<Parked>,
    number: u64,
    /// The last events, the newest at the end.
    sent: VecDeque<Bytes>,
    /// How many there were before those.
    forgotten: u64,
}

impl Thread {
    /// The name of the next event, for its `id` line.
    pub(super) fn next_id(&self) -> String {
        format!("{}-{}", self.number, self.forgotten + self.sent.len() as u64)
    }

    /// An event goes out: it may have to be said again.
    pub(super) fn keep(&mut self, event: Bytes) {
        self.sent.push_back(event);
        while self.sent.len() > EVENTS || self.sent.iter().map(Bytes::len).sum::<usize>() > BYTES {
            self.sent.pop_front();
            self.forgotten += 1;
        }
    }

    /// What was said after this event; `None` if not all of it is known any more.
    pub(super) fn after(&self, event: u64) -> Option<VecDeque<Bytes>> {
        let from = event.checked_add(1)?.checked_sub(self.forgotten)?;
        let from = usize::try_from(from).ok()?;
        (from <= self.sent.len()).then(|| self.sent.iter().skip(from).cloned().collect())
    }
}

impl Parked {
    /// The thread of a stream that begins.
    pub(super) fn begin(self: &Arc<Self>) -> Thread {
        let mut state = self.state();
        state.begun += 1;
        Thread { home: Arc::clone(self), number: state.begun, sent: VecDeque::new(), forgotten: 0 }
    }

    /// The stream that an event of this name belongs to, and the event's number.
    pub(super) fn resume(&self, event: &str) -> Option<(Stream, u64)> {
        let (stream, event) = event.split_once('-')?;
        let (number, event): (u64, u64) = (stream.parse().ok()?, event.parse().ok()?);
        let mut state = self.state();
        let here = |(_, stream): &(Instant, Stream)| {
            stream.thread.number == number && stream.thread.after(event).is_some()
        };
        let at = state.streams.iter().position(here)?;
        state.streams.remove(at).map(|(_, stream)| (stream, event))
    }

    /// Lets go of what nobody came back for.
    pub(super) fn sweep(&self, now: Instant) {
        let gone: Vec<_> = {
            let mut state = self.state();
            let old =
                |(since, _): &(Instant, Stream)| now.saturating_duration_since(*since) >= KEPT;
            let old = state.streams.iter().filter(|stream| old(stream)).count();
            state.streams.drain(..old).collect()
        };
        // What is still asked is cancelled as it is dropped, and that takes other locks.
        drop(gone);
    }

    /// The session ends.
    pub(super) fn close(&self) {
        let gone = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.streams)
        };
        drop(gone);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// The client has gone, and may come back.
    pub(super) fn park(self) {
        let home = Arc::clone(&self.thread.home);
        let mut state = home.state();
        let mut gone = None;
        if state.closed {
            gone = Some(self);
        } else {
            state.streams.push_back((Instant::now(), self));
            if state.streams.len() > STREAMS {
                gone = state.streams.pop_front().map(|(_, stream)| stream);
            }
        }
        drop(state);
        drop(gone);
    }
}

/// How long a client may stay away.
const KEPT: Duration = Duration::from_mins(1);
/// Streams of one session that wait; one more takes the place of the oldest.
const STREAMS: usize = 4;
/// What of each is remembered, so that it can be said again.
const EVENTS: usize = 64;
const BYTES: usize = 256 << 10;
