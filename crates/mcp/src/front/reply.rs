//! What goes back over HTTP: one JSON document, nothing, or a stream of events.

use super::events::Events;
use crate::wire::Message;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The body of an answer.
#[derive(Debug)]
pub struct Reply(Kind);

#[derive(Debug)]
enum Kind {
    Stream(Box<Events>),
    Whole(Option<Bytes>),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().0 {
            Kind::Stream(events) => {
                events.poll_next(cx).map(|next| next.map(|b| Ok(Frame::data(b))))
            }
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Stream(_) => SizeHint::default(),
            Kind::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}

/// A message alone.
pub(super) fn json(status: StatusCode, message: &Message) -> Response<Reply> {
    document(status, message.to_bytes())
}

/// A JSON document.
pub(super) fn document(status: StatusCode, bytes: Vec<u8>) -> Response<Reply> {
    let mut response = bare(status, Kind::Whole(Some(bytes.into())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// No body.
pub(super) fn empty(status: StatusCode) -> Response<Reply> {
    bare(status, Kind::Whole(None))
}

/// An error about a request that did not get as far as a conversation.
pub(super) fn refused(status: StatusCode, code: i64, what: &str) -> Response<Reply> {
    json(status, &Message::failure(None, code, what))
}

/// A stream of events.
pub(super) fn stream(events: Events) -> Response<Reply> {
    let mut response = bare(StatusCode::OK, Kind::Stream(Box::new(events)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that hold back what they have would hold back an approval's progress.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

fn bare(status: StatusCode, kind: Kind) -> Response<Reply> {
    let mut response = Response::new(Reply(kind));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    response
}
