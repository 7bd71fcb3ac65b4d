//! What passes of a body, and when has it passed whole?

use super::link::Seat;
use super::{Case, Counts, Judge, ModelEnded};
use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep};

/// Changes an answer's body as it streams through, chunk by chunk.
pub trait Filter: Send + Sync {
    /// Takes a chunk and gives what may pass on now; it may hold back what it cannot judge yet.
    fn pass(&mut self, chunk: Bytes) -> Bytes;

    /// Gives what was held back, at the end.
    fn end(&mut self) -> Bytes;
}

/// Why a body broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum BodyFlaw {
    #[error("the body broke off")]
    Broken,
    #[error("the body is over the limit")]
    TooLarge,
}

/// A request's body on its way out: counted, limited, and without trailers, which could carry a credential
/// past the stripping of headers (ATTACKS K04).
pub(crate) struct Outgoing {
    inner: Incoming,
    left: u64,
    counts: Arc<Counts>,
}

impl Outgoing {
    pub(super) fn new(inner: Incoming, limit: u64, counts: Arc<Counts>) -> Self {
        Self { inner, left: limit, counts }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyFlaw;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFlaw>>> {
        let this = self.get_mut();
        loop {
            let Some(frame) = ready!(Pin::new(&mut this.inner).poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            let frame = frame.map_err(|_| BodyFlaw::Broken)?;
            let Ok(data) = frame.into_data() else { continue };
            let length = data.remaining() as u64;
            let Some(left) = this.left.checked_sub(length) else {
                this.counts.over.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(BodyFlaw::TooLarge)));
            };
            this.left = left;
            this.counts.out.fetch_add(length, Ordering::Relaxed);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body on its way to the box.
pub(crate) struct Returning<J: Judge> {
    inner: Incoming,
    filter: Option<Box<dyn Filter>>,
    case: Case<J>,
    seat: Option<Seat>,
    limit: Duration,
    idle: Pin<Box<Sleep>>,
    done: bool,
}

impl<J: Judge> Returning<J> {
    pub(super) fn new(
        inner: Incoming,
        seat: Seat,
        filter: Option<Box<dyn Filter>>,
        case: Case<J>,
        limit: Duration,
    ) -> Self {
        let mut body = Self {
            inner,
            filter,
            case,
            seat: Some(seat),
            limit,
            idle: Box::pin(sleep(limit)),
            done: false,
        };
        // hyper does not poll a body that says it is at its end.
        if body.is_end_stream() {
            body.finish();
        }
        body
    }

    fn finish(&mut self) {
        self.done = true;
        self.case.close(ModelEnded::Finished);
        if let Some(seat) = self.seat.take() {
            seat.give_back();
        }
    }

    fn fail(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyFlaw>>> {
        self.done = true;
        self.seat = None;
        self.case.close(ModelEnded::Broken);
        Poll::Ready(Some(Err(BodyFlaw::Broken)))
    }
}

// Nothing of it is pinned in place but what is boxed or moves freely.
impl<J: Judge> Unpin for Returning<J> {}

impl<J: Judge> Body for Returning<J> {
    type Data = Bytes;
    type Error = BodyFlaw;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFlaw>>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        loop {
            let polled = Pin::new(&mut this.inner).poll_frame(cx);
            let Poll::Ready(frame) = polled else {
                ready!(this.idle.as_mut().poll(cx));
                return this.fail();
            };
            this.idle.as_mut().reset(Instant::now() + this.limit);
            match frame {
                Some(Err(_)) => return this.fail(),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    this.case.outcome.bytes_in += data.len() as u64;
                    let data = match &mut this.filter {
                        Some(filter) => filter.pass(data),
                        None => data,
                    };
                    // With a known length hyper may not ask for the end once it has every byte.
                    if this.filter.is_none() && this.inner.is_end_stream() {
                        this.finish();
                    }
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    if this.done {
                        return Poll::Ready(None);
                    }
                }
                None => {
                    let rest = this.filter.as_mut().map(|filter| filter.end()).unwrap_or_default();
                    this.finish();
                    return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done || (self.filter.is_none() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.filter.is_some() { SizeHint::default() } else { self.inner.size_hint() }
    }
}
