//! What passes of a body, and when has it passed whole?

use super::decode::{Decoder, Garbled};
use super::inject::{Masked, Watch, withheld};
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
            Self::Withheld => withheld(),
        }
    }
}

/// A request's body: as it comes, or read whole because it had to be signed.
pub(super) enum Payload {
    Streamed(Incoming),
    Whole(Full<Bytes>),
}

impl Payload {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFlaw>>> {
        match self {
            Self::Streamed(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| Some(frame?.map_err(|_| BodyFlaw::Cut)))
            }
            Self::Whole(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| Some(frame?.map_err(|never| match never {}))),
        }
    }
}

/// A request's body on its way out: counted and bounded, watched for placeholders, and without trailers, which could carry a
/// credential past the stripping of headers (ATTACKS K04).
pub(super) struct Outgoing {
    inner: Payload,
    count: Arc<AtomicU64>,
    limit: u64,
    watch: Option<Watch>,
}

impl Outgoing {
    /// A body of at most `limit` bytes; each that leaves is added to `count`.
    pub(super) fn new(
        inner: Payload,
        (count, limit): (Arc<AtomicU64>, u64),
        watch: Option<Watch>,
    ) -> Self {
        Self { inner, count, limit, watch }
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
            let Some(frame) = ready!(this.inner.poll(cx)) else {
                return Poll::Ready(None);
            };
            let Ok(data) = frame?.into_data() else { continue };
            let length = data.remaining() as u64;
            if this.count.load(Ordering::Relaxed).saturating_add(length) > this.limit {
                return Poll::Ready(Some(Err(BodyFlaw::TooLarge)));
            }
            this.count.fetch_add(length, Ordering::Relaxed);
            if let Some(watch) = &mut this.watch
                && !watch.see(&data)
            {
                return Poll::Ready(Some(Err(BodyFlaw::Withheld)));
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Payload::Streamed(body) => body.is_end_stream(),
            Payload::Whole(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Payload::Streamed(body) => body.size_hint(),
            Payload::Whole(body) => body.size_hint(),
        }
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
