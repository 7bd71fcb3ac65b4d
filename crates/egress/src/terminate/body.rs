//! What passes of a body, and when has it passed whole?

use super::decode::{Decoder, Garbled};
use super::inject::Masked;
use super::planted::{self, Watch};
use super::{Case, RequestJudge};
use crate::budget;
use crate::refuse::{Refusal, Status};
use bytes::{Buf, Bytes};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep};

/// Why a body broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum BodyFlaw {
    #[error("the body broke off")]
    Broken,
    #[error("the request body did not arrive whole")]
    Cut,
    #[error("the request body is too large")]
    TooLarge,
    #[error("the request body cannot be looked into")]
    Unread,
    #[error("the request body holds what must not leave")]
    Withheld,
}

impl BodyFlaw {
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Self::Broken => {
                Refusal::new(Status::BadGateway, "upstream-failed", "the answer broke off")
            }
            Self::Cut => Refusal::new(
                Status::BadRequest,
                "request-cut",
                "the request body did not arrive whole",
            ),
            Self::TooLarge => budget::too_large(),
            Self::Unread => planted::unread(),
            Self::Withheld => planted::withheld(),
        }
    }
}

/// A request's body: as it comes, or read whole.
pub(super) enum Payload {
    /// What has been read of it, and looked into; the rest; and what looks into that.
    Streamed { front: Option<Bytes>, rest: Incoming, watch: Option<Watch> },
    /// All of it.
    Whole(Full<Bytes>),
}

impl Payload {
    /// A body of which nothing has been read.
    pub(super) fn streamed(rest: Incoming, watch: Option<Watch>) -> Self {
        Self::Streamed { front: None, rest, watch }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BodyFlaw;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFlaw>>> {
        let (front, rest, watch) = match self.get_mut() {
            Self::Streamed { front, rest, watch } => (front, rest, watch),
            Self::Whole(body) => {
                let polled = Pin::new(body).poll_frame(cx);
                return polled.map(|frame| Some(frame?.map_err(|never| match never {})));
            }
        };
        if let Some(front) = front.take() {
            return Poll::Ready(Some(Ok(Frame::data(front))));
        }
        let frame = ready!(Pin::new(&mut *rest).poll_frame(cx));
        if let Some(watch) = watch {
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            let mut seen = data.map_or(Ok(()), |data| watch.see(data));
            // With a known length nobody may ask for the end once every byte is there.
            if frame.is_none() || rest.is_end_stream() {
                seen = seen.and_then(|()| watch.end());
            }
            if let Err(flaw) = seen {
                return Poll::Ready(Some(Err(flaw)));
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|_| BodyFlaw::Cut)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Streamed { front: Some(_), .. } => false,
            Self::Streamed { rest, .. } => rest.is_end_stream(),
            Self::Whole(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Streamed { front, rest, .. } => {
                let ahead = front.as_ref().map_or(0, |front| front.len() as u64);
                let rest = rest.size_hint();
                let mut whole = SizeHint::new();
                whole.set_lower(rest.lower().saturating_add(ahead));
                if let Some(upper) = rest.upper() {
                    whole.set_upper(upper.saturating_add(ahead));
                }
                whole
            }
            Self::Whole(body) => body.size_hint(),
        }
    }
}

/// A request's body on its way out: counted and bounded, and without trailers, which could carry a credential past the
/// stripping of headers (ATTACKS K04).
pub(super) struct Outgoing {
    inner: Payload,
    count: Arc<AtomicU64>,
    limit: u64,
}

impl Outgoing {
    /// A body of at most `limit` bytes; each that leaves is added to `count`.
    pub(super) fn new(inner: Payload, (count, limit): (Arc<AtomicU64>, u64)) -> Self {
        Self { inner, count, limit }
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
            let Ok(data) = frame?.into_data() else { continue };
            let length = data.remaining() as u64;
            if this.count.load(Ordering::Relaxed).saturating_add(length) > this.limit {
                return Poll::Ready(Some(Err(BodyFlaw::TooLarge)));
            }
            this.count.fetch_add(length, Ordering::Relaxed);
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
pub(super) struct Returning<J: RequestJudge> {
    inner: Incoming,
    decoder: Option<Decoder>,
    mask: Option<Masked>,
    case: Case<J>,
    limit: Duration,
    idle: Pin<Box<Sleep>>,
    done: bool,
}

impl<J: RequestJudge> Returning<J> {
    pub(super) fn new(
        inner: Incoming,
        (decoder, mask): (Option<Decoder>, Option<Masked>),
        case: Case<J>,
        limit: Duration,
    ) -> Self {
        let idle = Box::pin(sleep(limit));
        let mut body = Self { inner, decoder, mask, case, limit, idle, done: false };
        // hyper does not poll a body that says it is at its end.
        if body.is_end_stream() {
            body.finish();
        }
        body
    }

    fn finish(&mut self) {
        self.done = true;
        self.case.finish(self.mask.as_ref().map_or(0, Masked::found));
    }

    fn fail(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyFlaw>>> {
        self.done = true;
        self.case.broken();
        Poll::Ready(Some(Err(BodyFlaw::Broken)))
    }
}

impl<J: RequestJudge> Returning<J> {
    /// What came, as it is passed on: decoded and without values. Empty when more must come first.
    fn pass(&mut self, data: Bytes) -> Result<Bytes, Garbled> {
        match (&mut self.decoder, &mut self.mask) {
            (Some(decoder), _) => {
                decoder.take(&data);
                self.decoded()
            }
            (None, Some(mask)) => Ok(mask.pass(&data)),
            (None, None) => Ok(data),
        }
    }

    /// What the decoder has to say yet.
    fn decoded(&mut self) -> Result<Bytes, Garbled> {
        while let Some(plain) = self.decoder.as_mut().map_or(Ok(None), Decoder::next)? {
            let passed = match &mut self.mask {
                Some(mask) => mask.pass(&plain),
                None => plain.into(),
            };
            if !passed.is_empty() {
                return Ok(passed);
            }
        }
        Ok(Bytes::new())
    }

    fn garbled(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyFlaw>>> {
        self.done = true;
        self.case.cut_off(Garbled::refusal());
        Poll::Ready(Some(Err(BodyFlaw::Broken)))
    }
}

// Nothing of it is pinned in place but what is boxed or moves freely.
impl<J: RequestJudge> Unpin for Returning<J> {}

impl<J: RequestJudge> Body for Returning<J> {
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
            match this.decoded() {
                Ok(rest) if !rest.is_empty() => return Poll::Ready(Some(Ok(Frame::data(rest)))),
                Ok(_) => {}
                Err(Garbled) => return this.garbled(),
            }
            let polled = Pin::new(&mut this.inner).poll_frame(cx);
            let Poll::Ready(frame) = polled else {
                ready!(this.idle.as_mut().poll(cx));
                return this.fail();
            };
            match frame {
                Some(Err(_)) => return this.fail(),
                Some(Ok(frame)) => {
                    this.idle.as_mut().reset(Instant::now() + this.limit);
                    let data = match (frame.into_data(), &this.mask) {
                        (Ok(data), _) => data,
                        // gRPC says in its trailers how a call ended; what cannot be looked into stays out.
                        (Err(trailers), None) => return Poll::Ready(Some(Ok(trailers))),
                        (Err(_), Some(_)) => continue,
                    };
                    this.case.received(data.len() as u64);
                    let Ok(data) = this.pass(data) else { return this.garbled() };
                    // With a known length hyper may not ask for the end once it has every byte.
                    if this.mask.is_none() && this.inner.is_end_stream() {
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
                    if this.decoder.as_ref().is_some_and(|decoder| !decoder.is_whole()) {
                        return this.fail();
                    }
                    let rest = this.mask.as_mut().map(Masked::end).unwrap_or_default();
                    this.finish();
                    return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done || (self.mask.is_none() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.mask.is_some() { SizeHint::default() } else { self.inner.size_hint() }
    }
}
