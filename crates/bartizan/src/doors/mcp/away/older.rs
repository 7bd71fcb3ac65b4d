//! How is a server spoken to that knows only the first way of HTTP (2024-11-05)? One stream (GET) carries all that it says;
//! its first event names where messages to it go, each in a request that is answered with nothing but a status.
//!
//! Such a server turns down what begins the newer way, and is then tried with this one. What it names is held to its own
//! origin ([`Endpoint`]), is judged like any other request of its role, and is named once: a server that could move it later
//! would choose anew where each message goes. When the stream ends, so does the conversation, and who waits is told.

use super::{Away, Failed, Spot, streams, turned, unanswered};
use bartizan_egress::Answer;
use bartizan_gate::call::Outcome;
use bartizan_gate::effect::{Content, Effector, Warrant};
use bartizan_mcp::endpoint::{Base, Endpoint};
use bartizan_mcp::events::{Event, Events};
use bartizan_mcp::wire::{Id, Kind, Limits, Message};
use serde_json::json;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;

/// What is known of the older way.
#[derive(Default)]
pub(super) struct Older {
    way: watch::Sender<Way>,
    wanted: Notify,
    tried: AtomicBool,
    /// Who waits for an answer; dropped when it was heard.
    open: Mutex<HashMap<Id, Unanswered>>,
}

type Unanswered = oneshot::Sender<Infallible>;

#[derive(Clone, Default)]
enum Way {
    /// Nobody has tried it, or its stream has not begun.
    #[default]
    Untried,
    /// It has begun, and messages go there.
    Found(Endpoint),
    /// It leads nowhere: why.
    Lost(Failed),
}

impl Older {
    /// Resolves when somebody wants it tried.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Where messages go, if it is the way to this server.
    pub(super) fn place(&self) -> Option<Endpoint> {
        match &*self.way.borrow() {
            Way::Found(place) => Some(place.clone()),
            Way::Untried | Way::Lost(_) => None,
        }
    }

    fn wait(&self, id: &Id) -> Waits<'_> {
        let (answered, heard) = oneshot::channel();
        self.open().insert(id.clone(), answered);
        Waits { older: self, id: id.clone(), heard }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Id, Unanswered>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose answer is to come on the stream.
struct Waits<'o> {
    older: &'o Older,
    id: Id,
    heard: oneshot::Receiver<Infallible>,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.older.open().remove(&self.id);
    }
}

impl Away {
    /// Begins in the older way with a server that has turned down the newer one.
    pub(super) async fn begin_older(&self, hello: &Message, status: u16) -> Result<(), Failed> {
        let mut way = self.older.way.subscribe();
        self.older.wanted.notify_one();
        let known = way.wait_for(|way| !matches!(way, Way::Untried)).await;
        let known = known.map_or(Way::Untried, |way| way.clone());
        match known {
            Way::Found(place) => self.post_older(hello, &place).await,
            Way::Untried => Err(turned(status)),
            Way::Lost(why) => Err(format!("{}, and over HTTP with SSE {why}", turned(status))),
        }
    }

    /// Sends one message, and waits for its answer on the stream if it has one.
    pub(super) async fn post_older(
        &self,
        message: &Message,
        place: &Endpoint,
    ) -> Result<(), Failed> {
        let id = message.id().filter(|_| message.method().is_some());
        let waits = id.map(|id| self.older.wait(id));
        let goal = ("POST", spot(place));
        let authorized = self.judged(goal, message.as_str().len(), message.id())?;
        let gate = self.parts.gate.pipeline();
        let executed = gate.perform(authorized, Sent { away: self, message, place }).await;
        gate.release(executed).map_err(|refused| refused.to_string())?.into_output().0?;
        if let Some(mut waits) = waits {
            // When the stream ends before that, so does everything.
            drop((&mut waits.heard).await);
        }
        Ok(())
    }

    /// Listens for as long as the server's stream lasts, once.
    pub(super) async fn attend_older(self: Arc<Self>) {
        if self.older.tried.swap(true, Ordering::AcqRel) {
            return;
        }
        let why = match self.stream_older().await {
            Ok(()) => "the server's stream has ended".to_owned(),
            Err(why) => why,
        };
        if matches!(self.older.way.send_replace(Way::Lost(why.clone())), Way::Found(_)) {
            self.lose(&why);
        }
    }

    async fn stream_older(&self) -> Result<(), Failed> {
        let replaced = self.parts.gate.replaced();
        let authorized = self.judged(("GET", self.spot()), 0, None)?;
        let gate = self.parts.gate.pipeline();
        let executed = tokio::select! {
            executed = gate.perform(authorized, Stream { away: self }) => executed,
            // What is dropped here is closed, and its record says that it was abandoned.
            () = self.withdrawn(replaced) => return Err(WITHDRAWN.to_owned()),
        };
        gate.release(executed).map_err(|refused| refused.to_string())?.into_output().0
    }

    async fn listen_older(&self, warrant: &Warrant<'_>) -> Result<u16, Failed> {
        let mut errand = self.errand(warrant, ("GET", self.spot()), None);
        // All of a conversation comes here: what is bounded is each event.
        errand.answer = usize::MAX;
        errand.time = errand.time.min(BEGIN);
        let mut answer = self.parts.courier.open(warrant, errand).await.map_err(unanswered)?;
        let status = answer.status();
        if !streams(&answer) {
            return Err(format!("it answered with status {status}"));
        }
        let mut events = Events::new(Limits::default().bytes);
        let begun = timeout(BEGIN, self.first_events(&mut answer, &mut events)).await;
        let mut rest = begun.unwrap_or_else(|_| Err(NO_PLACE.to_owned()))?;
        loop {
            for event in std::mem::take(&mut rest) {
                self.hear_older(&event).await?;
            }
            let Some(piece) = answer.piece().await else { return Ok(status) };
            let piece = piece.map_err(|why| why.sentence().to_owned())?;
            rest = events.feed(&piece).map_err(|why| why.to_string())?;
        }
    }

    /// Learns where messages go, which is the first thing to be said; gives what came with it.
    async fn first_events(
        &self,
        answer: &mut Answer,
        events: &mut Events,
    ) -> Result<Vec<Event>, Failed> {
        while let Some(piece) = answer.piece().await {
            let piece = piece.map_err(|why| why.sentence().to_owned())?;
            let mut came = events.feed(&piece).map_err(|why| why.to_string())?.into_iter();
            let Some(first) = came.next() else { continue };
            if first.kind.as_deref() != Some(ENDPOINT) {
                break;
            }
            let base = Base {
                secure: self.parts.secure,
                target: &self.parts.target,
                path: &self.parts.path,
            };
            let place = Endpoint::read(base, &first.data).map_err(|why| why.to_string())?;
            self.older.way.send_replace(Way::Found(place));
            return Ok(came.collect());
        }
        Err(NO_PLACE.to_owned())
    }

    async fn hear_older(&self, event: &Event) -> Result<(), Failed> {
        match event.kind.as_deref() {
            None => {}
            Some(ENDPOINT) => {
                return Err("the server names a second place to send to".to_owned());
            }
            // Whatever else there may be says nothing to us.
            Some(_) => return Ok(()),
        }
        if event.data.trim_ascii().is_empty() {
            return Ok(());
        }
        let message = Message::parse(event.data.trim_ascii(), &Limits::default());
        let message =
            message.map_err(|error| format!("what the server says is no message: {error}"))?;
        if let Kind::Response { id } = message.kind() {
            // An answer to what nobody asked meets nobody.
            let Some(waits) = id.and_then(|id| self.older.open().remove(id)) else { return Ok(()) };
            self.pass_on(message).await?;
            drop(waits);
            return Ok(());
        }
        self.pass_on(message).await
    }

    async fn send_older(
        &self,
        warrant: &Warrant<'_>,
        message: &Message,
        place: &Endpoint,
    ) -> Result<u16, Failed> {
        let errand = self.errand(warrant, ("POST", spot(place)), Some(message));
        let answer = self.parts.courier.open(warrant, errand).await.map_err(unanswered)?;
        // What it says besides is no message: those come on the stream.
        match answer.status() {
            status @ 200..300 => Ok(status),
            status => Err(turned(status)),
        }
    }
}

fn spot(place: &Endpoint) -> Spot<'_> {
    Spot { path: place.path(), query: place.query() }
}

/// The stream, from its beginning to its end.
struct Stream<'a> {
    away: &'a Away,
}

/// One message on its way.
struct Sent<'a> {
    away: &'a Away,
    message: &'a Message,
    place: &'a Endpoint,
}

/// Whether it went well, or why not, in words of ours.
struct Went(Result<(), Failed>);

impl Went {
    fn of(went: Result<u16, Failed>) -> (Outcome, Self) {
        match went {
            Ok(status) => (Outcome::succeeded(json!({ "status": status })), Self(Ok(()))),
            Err(why) => (Outcome::failed("upstream-failed", json!({ "why": why })), Self(Err(why))),
        }
    }
}

impl Content for Went {
    fn scrub(self, scrub: &dyn Fn(&str) -> String) -> Self {
        Self(self.0.map_err(|why| scrub(&why)))
    }
}

impl Effector for Stream<'_> {
    type Output = Went;

    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, Went) {
        Went::of(self.away.listen_older(warrant).await)
    }
}

impl Effector for Sent<'_> {
    type Output = Went;

    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, Went) {
        Went::of(self.away.send_older(warrant, self.message, self.place).await)
    }
}

/// The event that says where messages go.
const ENDPOINT: &str = "endpoint";
/// Why a stream of something else is none of ours.
const NO_PLACE: &str = "it does not say first where messages go";
/// Why a stream ends that was allowed.
const WITHDRAWN: &str =
    "another policy is in force, which does not allow the server's stream any more";
/// How long a server may take to begin its stream, and again to say where messages go.
const BEGIN: Duration = Duration::from_secs(10);
