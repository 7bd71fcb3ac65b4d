//! How do messages go out as they come? As server-sent events, with a sign of life while there are none.

use super::parked::{Stream, Thread};
use super::sessions::Asking;
use crate::wire::{Kind, Message};
use bytes::Bytes;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// A stream of events. It ends with the answer to its request, when the conversation ends, or when the client goes; then
/// what is still asked is cancelled, unless the stream has a thread by which the client can take it up again.
#[derive(Debug)]
pub(super) struct Events {
    first: Option<Message>,
    /// Goes out before all else.
    again: VecDeque<Bytes>,
    /// Is there until the stream is parked.
    rest: Option<mpsc::Receiver<Message>>,
    closed: Closed,
    alive: Interval,
    asking: Option<Asking>,
    thread: Option<Thread>,
    over: bool,
}

/// Resolves when the conversation has ended.
pub(super) struct Closed(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl std::fmt::Debug for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Closed")
    }
}

impl Closed {
    pub(super) fn new(mut closed: watch::Receiver<bool>) -> Self {
        Self(Box::pin(async move {
            // A sender that is gone has closed too.
            drop(closed.wait_for(|closed| *closed).await);
        }))
    }

    pub(super) async fn wait(&mut self) {
        (&mut self.0).await;
    }
}

impl Events {
    /// The stream of a request, or without `asking` of what belongs to none.
    pub(super) fn new(
        first: Option<Message>,
        rest: mpsc::Receiver<Message>,
        closed: Closed,
        asking: Option<Asking>,
    ) -> Self {
        let mut alive = interval(SIGN_OF_LIFE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (again, thread, rest) = (VecDeque::new(), None, Some(rest));
        Self { first, again, rest, closed, alive, asking, thread, over: false }
    }

    /// The same stream, which the client can take up again. Its first event holds nothing but the name to come back with.
    pub(super) fn on(mut self, mut thread: Thread) -> Self {
        let text = format!("id: {}\nretry: {RETRY_MS}\ndata: \n\n", thread.next_id());
        let bytes = Bytes::from(text);
        thread.keep(bytes.clone());
        self.again = [bytes].into();
        self.thread = Some(thread);
        self
    }

    /// What a client has not had of a stream, from the event after this one on.
    pub(super) fn resumed((stream, event): (Stream, u64), closed: Closed) -> Self {
        let Stream { thread, rest, asking } = stream;
        let mut events = Self::new(None, rest, closed, asking);
        events.again = thread.after(event).unwrap_or_default();
        events.thread = Some(thread);
        events
    }

    /// The next bytes of the stream.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.over || self.closed.0.as_mut().poll(cx).is_ready() {
            self.over = true;
            return Poll::Ready(None);
        }
        if let Some(again) = self.again.pop_front() {
            return Poll::Ready(Some(again));
        }
        let next = match (self.first.take(), &mut self.rest) {
            (Some(first), _) => Poll::Ready(Some(first)),
            (None, Some(rest)) => rest.poll_recv(cx),
            (None, None) => Poll::Ready(None),
        };
        match next {
            Poll::Ready(Some(message)) => {
                if let (Some(asking), Kind::Response { .. }) = (&mut self.asking, message.kind())
                    && message.id() == Some(asking.id())
                {
                    asking.answered();
                    self.over = true;
                }
                Poll::Ready(Some(self.said(&message)))
            }
            Poll::Ready(None) => {
                // The door dropped its end without an answer: nothing is left to cancel.
                if let Some(asking) = &mut self.asking {
                    asking.answered();
                }
                self.over = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                if self.alive.poll_tick(cx).is_ready() {
                    return Poll::Ready(Some(Bytes::from_static(b": \n\n")));
                }
                Poll::Pending
            }
        }
    }
}

impl Events {
    fn said(&mut self, message: &Message) -> Bytes {
        let Some(thread) = &mut self.thread else { return event(message) };
        let mut bytes = format!("id: {}\n", thread.next_id()).into_bytes();
        bytes.extend_from_slice(&event(message));
        let bytes = Bytes::from(bytes);
        thread.keep(bytes.clone());
        bytes
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(first) = self.first.take() {
            self.said(&first);
        }
        let (Some(thread), Some(rest)) = (self.thread.take(), self.rest.take()) else { return };
        // Nobody knows how much of it has come, also when all of it was sent.
        let asking = self.asking.take().filter(|_| !self.over);
        Stream { thread, rest, asking }.park();
    }
}

/// A message as one event.
pub(super) fn event(message: &Message) -> Bytes {
    let mut bytes = b"event: message\ndata: ".to_vec();
    // One line; its own end is the line's.
    bytes.extend_from_slice(&message.to_line());
    bytes.push(b'\n');
    bytes.into()
}

/// When a client that was cut off is to come back, in milliseconds.
const RETRY_MS: u32 = 1000;
/// Below the idle limits of the proxies in use, which begin at 30 s.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
