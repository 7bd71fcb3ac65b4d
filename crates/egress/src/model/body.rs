//! What passes of a body, and when has it passed whole?

use super::link::Seat;
use super::{Case, Counts, Judge, ModelEnded};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// Judges and changes an answer's body as it streams through, chunk by chunk.
pub trait Filter: Send + Sync {
    /// Takes the next chunk of the answer. Called only when [`Filter::poll_pass`] has nothing more to give.
    fn push(&mut self, chunk: Bytes);

    /// Says that nothing follows; what is held back and may pass is given by [`Filter::poll_pass`] then.
    fn end(&mut self);

    /// What may pass on now; empty when the next chunk is wanted. Pending while something is being judged.
    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Bytes>;
}

/// Why a body broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum BodyFlaw {
    #[error("the body broke off")]
    Broken,
    #[error("the body is over the limit")]
    TooLarge,
}

/// Reads a request's body whole, without trailers, which could carry a credential past the stripping of
/// headers (ATTACKS K04).
pub(super) async fn read(
    mut body: Incoming,
    limit: u64,
    idle: Duration,
) -> Result<Bytes, BodyFlaw> {
    let mut whole = Vec::new();
    loop {
        let frame = match timeout(idle, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(whole.into()),
            Ok(Some(Err(_))) | Err(_) => return Err(BodyFlaw::Broken),
        };
        let Ok(data) = frame.into_data() else { continue };
        if (whole.len() as u64).saturating_add(data.len() as u64) > limit {
            return Err(BodyFlaw::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
}

/// A request's body on its way out, counted when it is taken.
pub(crate) struct Outgoing {
    data: Option<Bytes>,
    counts: Arc<Counts>,
}

impl Outgoing {
    pub(super) fn new(data: Bytes, counts: Arc<Counts>) -> Self {
        Self { data: Some(data).filter(|data| !data.is_empty()), counts }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let data = this.data.take();
        Poll::Ready(data.map(|data| {
            this.counts.out.fetch_add(data.len() as u64, Ordering::Relaxed);
            Ok(Frame::data(data))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
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
    /// The filter was judging: the upstream is not what was waited for.
    held: bool,
    /// The upstream's side is at its end; the filter may still give.
    drained: bool,
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
            held: false,
            drained: false,
            done: false,
        };
        // hyper does not poll a body that says it is at its end.
        if body.filter.is_none() && body.is_end_stream() {
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
            if let Some(filter) = &mut this.filter {
                let Poll::Ready(passed) = filter.poll_pass(cx) else {
                    this.held = true;
                    return Poll::Pending;
                };
                if std::mem::take(&mut this.held) {
                    this.idle.as_mut().reset(Instant::now() + this.limit);
                }
                if !passed.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(passed))));
                }
            }
            if this.drained {
                this.finish();
                return Poll::Ready(None);
            }
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
                    if let Some(filter) = &mut this.filter {
                        filter.push(data);
                        continue;
                    }
                    // With a known length hyper may not ask for the end once it has every byte.
                    if this.inner.is_end_stream() {
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
                    this.drained = true;
                    if let Some(filter) = &mut this.filter {
                        filter.end();
                    }
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
