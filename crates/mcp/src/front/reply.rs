//! What goes back over HTTP: one JSON document, nothing, or a stream of events.

use super::events::{Events, event};
use super::listed;
use crate::wire::Message;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
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

/// How a message is sent that comes alone: in the form that the client names first.
pub(super) fn alone(headers: &HeaderMap) -> fn(StatusCode, &Message) -> Response<Reply> {
    if prefers_events(headers) { one_event } else { json }
}

/// Whether the client names a stream of events before all else.
pub(super) fn prefers_events(headers: &HeaderMap) -> bool {
    listed(headers).first().is_some_and(|first| first == EVENTS)
}

/// A stream of one event, all of it.
fn one_event(status: StatusCode, message: &Message) -> Response<Reply> {
    let mut response = bare(status, Kind::Whole(Some(event(message))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENTS));
    response
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
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENTS));
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

const EVENTS: &str = "text/event-stream";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Limits;
    use http_body_util::BodyExt as _;
    use hyper::header::ACCEPT;

    #[tokio::test]
    async fn an_answer_that_comes_alone_has_the_form_that_is_named_first() {
        let answer = br#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        let answer = Message::parse(answer, &Limits::default()).unwrap();
        for (accept, kind, begins) in [
            ("application/json, text/event-stream", "application/json", "{"),
            ("*/*", "application/json", "{"),
            ("text/event-stream, application/json", EVENTS, "event: message\ndata: {"),
            ("Text/Event-Stream;q=0.9, application/json", EVENTS, "event: message\ndata: {"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            let response = alone(&headers)(StatusCode::OK, &answer);
            assert_eq!(response.headers()[CONTENT_TYPE], kind, "{accept}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body.starts_with(begins.as_bytes()), "{accept}: {body:?}");
        }
    }
}
