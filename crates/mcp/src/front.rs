//! What does an HTTP client get? One request in, one answer out, whichever socket carries it (MCP's streamable HTTP).
//!
//! In this order, and nothing skips one: is the request meant for us ([`hosts`](Names)); who sends it ([`Doorman`]); is it
//! well-formed; do its headers say what its body says; whose conversation is it for. Only then is a message taken.
//!
//! Two eras share the path: `initialize` begins a session (2025-03-26 to 2025-11-25), bound to the identity that began it;
//! a request that carries its version in `_meta` (2026-07-28) needs none. A client that goes cancels what it waits for; only
//! a stream of 2025-11-25 waits a while for its client to come back.

mod doorman;
mod events;
mod hosts;
mod mirror;
mod parked;
mod post;
mod reply;
mod room;
mod serve;
mod sessions;
#[cfg(test)]
mod tests;

pub use doorman::{Certificate, Doorman, Pass, Shown, Turned};
pub use hosts::Names;
pub use reply::Reply;
pub use serve::{Served, Times};
pub use sessions::Caps;

use crate::conversation::{Conversation, Host};
use crate::wire::{INTERNAL_ERROR, INVALID_REQUEST, Limits};
use bytes::Bytes;
use events::Events;
use hyper::body::Body;
use hyper::header::{ACCEPT, ALLOW, AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use room::Room;
use sessions::{Full, Sessions};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// A session, and its id.
type Named<H> = (String, Arc<sessions::Entry<<H as Host>::Conversation>>);

/// Answers HTTP requests with what a [`Host`]'s conversations say.
pub struct Front<H: Host, D> {
    host: H,
    doorman: D,
    names: Names,
    limits: Limits,
    times: Times,
    sessions: Sessions<H::Conversation>,
    room: Room,
}

impl<H: Host, D> std::fmt::Debug for Front<H, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("names", &self.names).finish_non_exhaustive()
    }
}

impl<H: Host, D: Doorman> Front<H, D> {
    /// A front for `host`, whose door `doorman` keeps.
    pub fn new(host: H, doorman: D, names: Names, caps: Caps) -> Arc<Self> {
        let limits = Limits { bytes: BODY, ..Limits::default() };
        let (sessions, times) = (Sessions::new(caps), Times::default());
        Arc::new(Self { host, doorman, names, limits, times, sessions, room: Room::new() })
    }

    /// Answers one request of a connection that began with this certificate, if with any.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        certificate: Option<&Certificate>,
    ) -> Response<Reply>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        if let Err(code) = self.names.check(&head.headers, &head.uri) {
            self.doorman.noted(None, code);
            let what = "this request is for another host, or from a page of another origin";
            return reply::refused(StatusCode::FORBIDDEN, INVALID_REQUEST, what);
        }
        match head.uri.path() {
            ENDPOINT => {}
            METADATA | METADATA_OF_ENDPOINT => return self.metadata(&head.method),
            _ => return reply::empty(StatusCode::NOT_FOUND),
        }
        let pass = match self.identify(&head.headers, certificate).await {
            Ok(pass) => pass,
            Err(turned) => return self.turn_away(turned),
        };
        match head.method {
            Method::POST => self.post(&head, body, &pass).await,
            Method::GET => self.listen(&head, &pass),
            Method::DELETE => self.end(&head, &pass),
            _ => not_allowed("GET, POST, DELETE"),
        }
    }

    /// Closes what was idle for too long or belongs to somebody who is welcome no more; to be called every second.
    pub fn patrol(&self) {
        self.sessions.patrol(now_s(), |who| self.doorman.stands(who));
    }

    /// Ends every conversation.
    pub fn close(&self) {
        self.sessions.close();
    }

    /// Tells the doorman of something that the wire below us found.
    pub fn noted(&self, code: &'static str) {
        self.doorman.noted(None, code);
    }

    /// How many conversations are open.
    pub fn open(&self) -> usize {
        self.sessions.count()
    }

    async fn identify(
        &self,
        headers: &HeaderMap,
        certificate: Option<&Certificate>,
    ) -> Result<Pass, Turned> {
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let authorization = match (shown.next(), shown.next()) {
            (None, _) => None,
            (Some(one), None) => Some(one.to_str().map_err(|_| Turned::Worthless)?),
            (Some(_), Some(_)) => return Err(Turned::Worthless),
        };
        self.doorman.identify(Shown { authorization, certificate }).await
    }

    fn turn_away(&self, turned: Turned) -> Response<Reply> {
        let status = match turned {
            Turned::NoRole | Turned::Uncertified => StatusCode::FORBIDDEN,
            Turned::Nothing | Turned::Worthless => StatusCode::UNAUTHORIZED,
            Turned::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = reply::refused(status, INVALID_REQUEST, &turned.to_string());
        if let Ok(challenge) = HeaderValue::from_str(&self.doorman.challenge(turned)) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// Where a client learns who issues tokens for us. It is no secret, and a browser may read it.
    fn metadata(&self, method: &Method) -> Response<Reply> {
        if *method != Method::GET {
            return not_allowed("GET");
        }
        match self.doorman.metadata() {
            Some(text) => reply::document(StatusCode::OK, text.into_bytes()),
            None => reply::empty(StatusCode::NOT_FOUND),
        }
    }

    /// GET: the stream of what belongs to no request of a session, or the rest of one that was cut off.
    fn listen(&self, head: &Parts, pass: &Pass) -> Response<Reply> {
        if !accepts(&head.headers, &["text/event-stream"]) {
            return reply::refused(
                StatusCode::NOT_ACCEPTABLE,
                INVALID_REQUEST,
                "accept `text/event-stream`",
            );
        }
        let entry = match self.session(&head.headers, pass) {
            Ok(Some((_, entry))) => entry,
            // Without sessions there is no such stream (2026-07-28).
            Ok(None) => return not_allowed("POST"),
            Err(response) => return *response,
        };
        match mirror::one(&head.headers, LAST_EVENT) {
            Ok(None) => {}
            Ok(Some(event)) if let Some(stream) = entry.parked.resume(event) => {
                return reply::stream(Events::resumed(stream, entry.closed()));
            }
            _ => {
                let what = "there is no stream of this `Last-Event-ID` to go on with";
                return reply::refused(StatusCode::BAD_REQUEST, INVALID_REQUEST, what);
            }
        }
        let (out, rest) = mpsc::channel(OUTBOX);
        entry.conversation.listen(out);
        reply::stream(Events::new(None, rest, entry.closed(), Some(entry.streaming())))
    }

    /// DELETE: the session ends.
    fn end(&self, head: &Parts, pass: &Pass) -> Response<Reply> {
        match self.session(&head.headers, pass) {
            Ok(Some((id, _))) => {
                self.sessions.end(&id);
                reply::empty(StatusCode::NO_CONTENT)
            }
            Ok(None) => not_allowed("POST"),
            Err(response) => *response,
        }
    }

    /// The session that a request names, if it names one and it is this identity's. A session of somebody else is not
    /// there: the answer is the same, and the log says what it was.
    fn session(
        &self,
        headers: &HeaderMap,
        pass: &Pass,
    ) -> Result<Option<Named<H>>, Box<Response<Reply>>> {
        let gone = || {
            let what = "there is no such session; begin a new one with `initialize`";
            Box::new(reply::refused(StatusCode::NOT_FOUND, INVALID_REQUEST, what))
        };
        let Some(id) = mirror::one(headers, SESSION).map_err(|()| gone())? else { return Ok(None) };
        match self.sessions.named(id, pass) {
            Ok(entry) => Ok(Some((id.to_owned(), entry))),
            Err(of_another) => {
                if of_another {
                    self.doorman.noted(Some(&pass.who), "session-of-another");
                }
                Err(gone())
            }
        }
    }

    fn full(&self, pass: &Pass, full: &Full) -> Response<Reply> {
        let (status, what) = match full {
            Full::Each => (
                StatusCode::TOO_MANY_REQUESTS,
                "this identity has too many sessions or requests open",
            ),
            Full::Share => (
                StatusCode::TOO_MANY_REQUESTS,
                "this identity has as many sessions open as are left for all others; end one first",
            ),
            Full::Total => (StatusCode::SERVICE_UNAVAILABLE, "too many sessions are open"),
            Full::NoRandom => (StatusCode::SERVICE_UNAVAILABLE, "the kernel gives no random bytes"),
            Full::Host(error) => {
                return reply::refused(
                    StatusCode::SERVICE_UNAVAILABLE,
                    INTERNAL_ERROR,
                    &error.to_string(),
                );
            }
        };
        self.doorman.noted(Some(&pass.who), "too-many-sessions");
        reply::refused(status, INTERNAL_ERROR, what)
    }
}

impl<H: Host, D> Drop for Front<H, D> {
    fn drop(&mut self) {
        self.sessions.close();
    }
}

fn not_allowed(methods: &'static str) -> Response<Reply> {
    let mut response = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// What a client takes, in its order.
fn listed(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect()
}

/// Whether `Accept` takes every one of these types.
fn accepts(headers: &HeaderMap, kinds: &[&str]) -> bool {
    let listed = listed(headers);
    let takes = |kind: &&str| {
        let group = kind.split('/').next().unwrap_or_default();
        listed
            .iter()
            .any(|range| range == kind || range == "*/*" || range.strip_suffix("/*") == Some(group))
    };
    kinds.iter().all(takes)
}

/// Seconds since 1970.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Where MCP is spoken.
pub const ENDPOINT: &str = "/mcp";
const METADATA: &str = "/.well-known/oauth-protected-resource";
const METADATA_OF_ENDPOINT: &str = "/.well-known/oauth-protected-resource/mcp";
const LAST_EVENT: &str = "last-event-id";
const SESSION: &str = "mcp-session-id";
/// The longest request, in bytes.
const BODY: usize = 8 << 20;
/// Messages that wait for a client that reads slowly; then its upstream waits too.
const OUTBOX: usize = 64;
/// How long an answer is waited for before a stream is begun, so that signs of life can be given.
const QUIET: Duration = Duration::from_secs(2);
