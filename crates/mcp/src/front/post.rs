//! What does one POST say, and in which conversation is it answered?

use super::doorman::{Doorman, Pass};
use super::events::Events;
use super::reply::{self, Reply};
use super::room::Held;
use super::sessions::{Asking, Entry, Full};
use super::{Front, OUTBOX, QUIET, SESSION, accepts, mirror};
use crate::conversation::{Conversation, Host, Revision};
use crate::era;
use crate::stateless::unsupported;
use crate::wire::{INTERNAL_ERROR, INVALID_REQUEST, Kind, METHOD_NOT_FOUND, Message};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::timeout;

impl<H: Host, D: Doorman> Front<H, D> {
    pub(super) async fn post<B>(&self, head: &Parts, body: B, pass: &Pass) -> Response<Reply>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // One that announces nothing may be as long as any; what announces more than it may is not read.
        let most = self.limits.bytes as u64;
        let size = body.size_hint().exact().unwrap_or(most).min(most);
        let Ok(room) = self.room.take(&pass.who, size) else {
            self.doorman.noted(Some(&pass.who), "too-much-waits");
            let what = "too many long requests wait for their answers; try again later";
            return reply::refused(StatusCode::SERVICE_UNAVAILABLE, INTERNAL_ERROR, what);
        };
        let message = match self.read(head, body).await {
            Ok(message) => message,
            Err(response) => return *response,
        };
        let headers = &head.headers;
        let stateless = era::is_stateless(&message);
        let version = mirror::one(headers, mirror::VERSION).ok().flatten();
        let newest = version.and_then(Revision::parse).is_some_and(|it| !it.has_sessions());
        match self.session(headers, pass) {
            // A session's id means nothing to the revision without sessions (it says to ignore one).
            _ if stateless || newest => self.stateless(headers, (message, room), pass).await,
            Ok(Some((_, entry))) => {
                in_session(headers, (message, room), &entry, self.sessions.caps().asking).await
            }
            Ok(None) if message.method() == Some("initialize") => {
                self.initialize((message, room), pass).await
            }
            Ok(None) => no_session(version, &message),
            Err(response) => *response,
        }
    }

    /// The message, if the request is one that can carry any.
    async fn read<B>(&self, head: &Parts, body: B) -> Result<Message, Box<Response<Reply>>>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let refuse = |status, what: &str| Box::new(reply::refused(status, INVALID_REQUEST, what));
        if !is_json(&head.headers) {
            let what = "the body is `application/json`, and not compressed";
            return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
        }
        if !accepts(&head.headers, &["application/json", "text/event-stream"]) {
            let what = "accept both `application/json` and `text/event-stream`";
            return Err(refuse(StatusCode::NOT_ACCEPTABLE, what));
        }
        let most = self.limits.bytes;
        if body.size_hint().lower() > most as u64 {
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long"));
        }
        let read = timeout(self.times.body, Limited::new(body, most).collect()).await;
        let bytes = match read {
            Ok(Ok(read)) => read.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long"));
            }
            Ok(Err(_)) => return Err(refuse(StatusCode::BAD_REQUEST, "the body broke off")),
            Err(_) => {
                return Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"));
            }
        };
        Message::parse(&bytes, &self.limits).map_err(|error| {
            Box::new(reply::json(StatusCode::BAD_REQUEST, &Message::refusing(&error)))
        })
    }

    async fn stateless(
        &self,
        headers: &HeaderMap,
        (message, room): (Message, Option<Held>),
        pass: &Pass,
    ) -> Response<Reply> {
        let id = match message.kind() {
            Kind::Request { id, .. } => id.clone(),
            // No notification of a client's has a meaning here; to go is to cancel.
            Kind::Notification { .. } => return reply::empty(StatusCode::ACCEPTED),
            Kind::Response { .. } => {
                let what = "a client does not send responses in this revision";
                return reply::refused(StatusCode::BAD_REQUEST, INVALID_REQUEST, what);
            }
        };
        if let Err(mismatch) = mirror::check(headers, &message) {
            return reply::json(StatusCode::BAD_REQUEST, &mismatch);
        }
        let message = message.with_beside(mirror::params(headers));
        match self.sessions.lane(&self.host, pass, (Revision::V2026_07_28, &id)) {
            Ok((entry, asking)) => {
                let alone = Some(reply::alone(headers));
                let mut response = ask(&entry, (message, room), asking, alone).await;
                if let (Some(status), true) = (response.1, response.0.status() == StatusCode::OK) {
                    *response.0.status_mut() = status;
                }
                response.0
            }
            Err(full) => self.full(pass, &full),
        }
    }

    async fn initialize(
        &self,
        (message, room): (Message, Option<Held>),
        pass: &Pass,
    ) -> Response<Reply> {
        let Kind::Request { id, .. } = message.kind() else {
            return reply::refused(
                StatusCode::BAD_REQUEST,
                INVALID_REQUEST,
                "`initialize` is a request",
            );
        };
        let id = id.clone();
        let asked = message.params().and_then(|params| params.text_of("protocolVersion"));
        let revision =
            asked.as_deref().and_then(Revision::parse).filter(|known| known.has_sessions());
        let revision = revision.unwrap_or(Revision::NEWEST_OF_SESSIONS);
        let (name, entry) = match self.sessions.begin(&self.host, pass, revision) {
            Ok(begun) => begun,
            Err(full) => return self.full(pass, &full),
        };
        let Some(asking) = entry.ask(&id, false, 1) else { return self.full(pass, &Full::Each) };
        let (mut response, failed) = ask(&entry, (message, room), asking, Some(reply::json)).await;
        if failed.is_some() {
            self.sessions.end(&name);
            return response;
        }
        if let Ok(value) = HeaderValue::from_str(&name) {
            response.headers_mut().insert(HeaderName::from_static(SESSION), value);
        }
        response
    }
}

/// One message in a session.
async fn in_session<C: Conversation>(
    headers: &HeaderMap,
    (message, room): (Message, Option<Held>),
    entry: &Arc<Entry<C>>,
    cap: usize,
) -> Response<Reply> {
    let known = |text: &str| Revision::parse(text).is_some_and(Revision::has_sessions);
    match mirror::one(headers, mirror::VERSION) {
        // Clients of before 2025-06-18 do not send it.
        Ok(None) => {}
        Ok(Some(text)) if known(text) => {}
        _ => {
            let what = "`MCP-Protocol-Version` is not one of this session's";
            return reply::refused(StatusCode::BAD_REQUEST, INVALID_REQUEST, what);
        }
    }
    let Kind::Request { id, .. } = message.kind() else {
        let (out, _) = mpsc::channel(1);
        Arc::clone(&entry.conversation).take(message, out).await;
        return reply::empty(StatusCode::ACCEPTED);
    };
    let Some(asking) = entry.ask(id, true, cap) else {
        let what = "a request of this id is open, or too many are";
        let answer = Message::failure(message.id(), INVALID_REQUEST, what);
        return reply::json(StatusCode::BAD_REQUEST, &answer);
    };
    // A stream that can be taken up again says so before it says anything else.
    let alone =
        Some(reply::alone(headers)).filter(|_| !(resumes(entry) && reply::prefers_events(headers)));
    ask(entry, (message, room), asking, alone).await.0
}

/// Whether the client of this session can take a stream up again: only since 2025-11-25 it expects an event that is empty.
fn resumes<C>(entry: &Entry<C>) -> bool {
    entry.revision == Revision::V2025_11_25
}

/// Puts a request to its conversation: answered `alone`, if that is how, when the answer is the first thing that comes and comes
/// soon; else by a stream. Beside it, the status that an error is given where statuses tell errors apart.
async fn ask<C: Conversation>(
    entry: &Arc<Entry<C>>,
    (message, room): (Message, Option<Held>),
    mut asking: Asking,
    alone: Option<fn(StatusCode, &Message) -> Response<Reply>>,
) -> (Response<Reply>, Option<StatusCode>) {
    let stream = |first, rest, closed, asking| {
        let events = Events::new(first, rest, closed, Some(asking));
        let thread = resumes(entry).then(|| entry.parked.begin());
        let events = match thread {
            Some(thread) => events.on(thread),
            None => events,
        };
        (reply::stream(events), None)
    };
    let (out, mut rest) = mpsc::channel(OUTBOX);
    let mut closed = entry.closed();
    // On its own: a stream goes on after this has returned, and a client that goes is told by `asking`.
    let taken = Arc::clone(&entry.conversation).take(message, out);
    drop(tokio::spawn(async move {
        taken.await;
        drop(room);
    }));
    let first = tokio::select! {
        first = timeout(QUIET, rest.recv()) => first,
        () = closed.wait() => {
            let what = Message::failure(Some(asking.id()), INVALID_REQUEST, "the session has ended");
            return (reply::json(StatusCode::NOT_FOUND, &what), None);
        }
    };
    match first {
        Ok(Some(first)) if matches!(first.kind(), Kind::Response { id } if id == Some(asking.id())) =>
        {
            // Only a document has a status that says something.
            let alone =
                if first.error().is_some() { Some(reply::json as fn(_, &_) -> _) } else { alone };
            let Some(alone) = alone else { return stream(Some(first), rest, closed, asking) };
            asking.answered();
            (alone(StatusCode::OK, &first), status_of(&first))
        }
        Ok(None) => {
            asking.answered();
            let what = Message::failure(Some(asking.id()), INTERNAL_ERROR, "there is no answer");
            (reply::json(StatusCode::OK, &what), Some(StatusCode::INTERNAL_SERVER_ERROR))
        }
        Ok(first) => stream(first, rest, closed, asking),
        Err(_) => stream(None, rest, closed, asking),
    }
}

/// The status that an error has in the revision without sessions.
fn status_of(answer: &Message) -> Option<StatusCode> {
    let code: i64 = answer.error()?.get("code")?.raw().parse().ok()?;
    Some(match code {
        METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        -32022..=-32020 => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    })
}

fn no_session(version: Option<&str>, message: &Message) -> Response<Reply> {
    if let Some(version) = version
        && Revision::parse(version).is_none()
    {
        return reply::json(StatusCode::BAD_REQUEST, &unsupported(message, version));
    }
    let what = "there is no session: begin one with `initialize`, and send its `Mcp-Session-Id`";
    reply::json(StatusCode::BAD_REQUEST, &Message::failure(message.id(), INVALID_REQUEST, what))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return false };
    let kind = kind.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    parts.next() == Some("application/json")
        && parts.all(|part| matches!(part, "charset=utf-8" | "charset=\"utf-8\""))
        && !headers.contains_key(CONTENT_ENCODING)
}
