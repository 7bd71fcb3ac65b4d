//! How do messages go out as they come? As server-sent events, with a sign of life while there are none.

use super::sessions::Asking;
use crate::wire::{Kind, Message};
use bytes::Bytes;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// A stream of events. It ends with the answer to its request, when the conversation ends, or when the client goes; then
/// what is still asked is cancelled.
#[derive(Debug)]
pub(super) struct Events {
    first: Option<Message>,
    rest: mpsc::Receiver<Message>,
    closed: Closed,
    alive: Interval,
    asking: Option<Asking>,
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
        Self { first, rest, closed, alive, asking, over: false }
    }

    /// The next bytes of the stream.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.over || self.closed.0.as_mut().poll(cx).is_ready() {
            self.over = true;
            return Poll::Ready(None);
        }
        let next = match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => self.rest.poll_recv(cx),
        };
        match next {
            Poll::Ready(Some(message)) => {
                if let (Some(asking), Kind::Response { .. }) = (&mut self.asking, message.kind())
                    && message.id() == Some(asking.id())
                {
                    asking.answered();
                    self.over = true;
                }
                Poll::Ready(Some(event(&message)))
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

/// A message as one event.
pub(super) fn event(message: &Message) -> Bytes {
    let mut bytes = b"event: message\ndata: ".to_vec();
    // One line; its own end is the line's.
    bytes.extend_from_slice(&message.to_line());
    bytes.push(b'\n');
    bytes.into()
}

/// Below the idle limits of the proxies in use, which begin at 30 s.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
