//! What does each request on a granted connection ask for? It is a proposal of its own.
//!
//! The connection was judged when it was opened; what travels on it is judged here, against the policy as it
//! stands at that moment.

use crate::app::Gate;
use crate::config::CANARY;
use crate::doors::told::told;
use bartizan_egress::{
    Allowed, Closing, HttpEnded, HttpOutcome, HttpRequest, Refusal as Told, RequestJudge, Status,
};
use bartizan_gate::call::{Door, Outcome, Proposed};
use bartizan_gate::effect::{Effector, Warrant};
use bartizan_gate::name::{HostPort, SecretName};
use bartizan_gate::seat::Caller;
use bartizan_gate::watch::OnFlag;
use bartizan_scan::display_line;
use bartizan_store::Event;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::block_in_place;

/// The judge of one box's requests.
#[derive(Debug)]
pub(crate) struct RequestDoor {
    gate: Arc<Gate>,
    caller: Caller,
    /// Whose box it is, if not the session's: a subagent's kind and id.
    subagent: Option<(String, String)>,
    /// Whether a person has said yes to the connection, and so to what travels on it.
    approved: bool,
    /// Tells of the client's end of the connection.
    closing: Option<Arc<Closing>>,
}

impl RequestDoor {
    /// A judge for the box of `caller`.
    pub(crate) fn new(gate: Arc<Gate>, caller: Caller) -> Arc<Self> {
        Arc::new(Self { gate, caller, subagent: None, approved: false, closing: None })
    }

    /// A judge for the box of a subagent's command.
    pub(crate) fn of_subagent(
        gate: Arc<Gate>,
        caller: Caller,
        subagent: (String, String),
    ) -> Arc<Self> {
        let subagent = Some(subagent);
        Arc::new(Self { gate, caller, subagent, approved: false, closing: None })
    }

    /// The same judge for the requests on one connection, whether a person has approved it or not; where requests can be
    /// held, `closing` tells of a client that gives up.
    pub(crate) fn on(self: &Arc<Self>, approved: bool, closing: Option<Arc<Closing>>) -> Arc<Self> {
        if !approved && closing.is_none() {
            return Arc::clone(self);
        }
        let (gate, caller) = (Arc::clone(&self.gate), self.caller.clone());
        Arc::new(Self { gate, caller, subagent: self.subagent.clone(), approved, closing })
    }

    /// What a request is, as a proposal that can be made again while a person is asked.
    fn proposal(
        &self,
        target: &HostPort,
        request: &HttpRequest,
    ) -> impl Fn() -> Proposed + Send + use<> {
        let mut arguments = Map::new();
        let mut put = |name: &str, value: Value| arguments.insert(name.to_owned(), value);
        put("host", json!(target.host().to_string()));
        put("port", json!(target.port()));
        put("scheme", json!(if request.is_secure() { "https" } else { "http" }));
        put("path", json!(request.path()));
        if let Some(query) = request.query() {
            put("query", json!(query));
        }
        if !request.is_websocket() {
            put("method", json!(request.method()));
            if let Some(size) = request.size() {
                put("size", json!(size));
            }
            if self.approved {
                put("approved", json!(true));
            }
        }
        let tool = if request.is_websocket() { "net.websocket" } else { "net.request" };
        let (caller, subagent) = (self.caller.clone(), self.subagent.clone());
        let arguments = Value::Object(arguments);
        move || {
            let proposed = Proposed::new(&caller, Door::Net, tool, arguments.clone());
            match &subagent {
                Some((kind, id)) => proposed.by_subagent(kind, id),
                None => proposed,
            }
        }
    }
}

impl RequestDoor {
    /// Puts an alarm of this kind on the log, and whatever it means for the run in force, before anything else is judged;
    /// whether that was done. A program that gives one alarm after the other fills no disk by it.
    fn note(&self, alarm: &'static str, about: Value) -> bool {
        let Value::Object(mut about) = about else { return false };
        about.insert("alarm".to_owned(), json!(alarm));
        let pipeline = self.gate.pipeline();
        // It must not be overtaken by the next request, so the log is waited for here; honest runs never come here.
        let noted =
            block_in_place(|| pipeline.remark_of(&self.caller, alarm, Event::Egress, about));
        noted.is_ok()
    }
}

impl RequestJudge for RequestDoor {
    type Ticket = oneshot::Sender<HttpOutcome>;

    async fn before(
        &self,
        target: &HostPort,
        request: &HttpRequest,
    ) -> Result<Allowed<Self::Ticket>, Told> {
        let propose = self.proposal(target, request);
        let decided = tokio::select! {
            decided = self.gate.held(propose) => decided,
            () = closed(self.closing.as_deref()) => {
                return Err(Told::new(Status::Forbidden, "abandoned", "the client has gone"));
            }
        };
        let failed = || Told::new(Status::Forbidden, "gate-failed", "the gate failed");
        let granted = decided.map_err(|_| failed())?.map_err(|refused| told(&refused))?;
        let authorized = granted.authorized;
        let (ticket, ended) = oneshot::channel();
        let (granted, warranted) = oneshot::channel();
        let gate = Arc::clone(&self.gate);
        tokio::spawn(async move {
            let passage = Passage { granted, ended };
            let executed = gate.pipeline().perform(authorized, passage).await;
            // A log that fails here stops the next request.
            drop(gate.pipeline().release(executed));
        });
        let (host, secret) = warranted.await.map_err(|_| failed())?;
        if host.as_ref() != Some(target) {
            let text = "this request was not the one that was judged";
            return Err(Told::new(Status::Forbidden, "warrant-mismatch", text));
        }
        Ok(Allowed { ticket, secret })
    }

    fn stopped(&self, target: &HostPort, what: &str, refusal: &Told) {
        let (gate, caller) = (Arc::clone(&self.gate), self.caller.clone());
        let what = display_line(&format!("{target} {what}: {}", refusal.sentence()), 400);
        let code = refusal.code().to_owned();
        // The log may wait for its disk, and this is called from within I/O.
        tokio::task::spawn_blocking(move || gate.unreadable(&caller, Door::Net, &code, &what));
    }

    fn alarm(&self, secret: &SecretName, target: &HostPort, place: &str) {
        let canary = secret.as_str().starts_with(CANARY);
        let what = if canary { "canary-sent" } else { "placeholder-misplaced" };
        let about = json!({
            "secret": secret,
            "host": target.to_string(),
            "place": display_line(place, 128),
        });
        self.note(what, about);
    }

    fn unread(&self, target: &HostPort, why: &str) -> bool {
        let about = json!({
            "host": target.to_string(),
            "place": "body",
            "why": why,
        });
        // Where a run that turns is held, what may be a planted value does not leave either.
        self.note("body-unread", about) && self.gate.pipeline().on_flag() == OnFlag::Note
    }

    fn after(&self, ticket: Self::Ticket, outcome: HttpOutcome) {
        // The receiver lives until it has heard; it is gone only when the session is.
        drop(ticket.send(outcome));
    }
}

/// A request that passes while its warrant is held; the egress says when it has ended.
struct Passage {
    granted: oneshot::Sender<(Option<HostPort>, Option<SecretName>)>,
    ended: oneshot::Receiver<HttpOutcome>,
}

impl Effector for Passage {
    type Output = ();

    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, ()) {
        drop(self.granted.send((warrant.host().cloned(), warrant.secret().cloned())));
        let Ok(outcome) = self.ended.await else {
            return (Outcome::failed("request-unknown", json!({})), ());
        };
        let mut details = json!({
            "status": outcome.status,
            "bytes_out": outcome.bytes_out,
            "bytes_in": outcome.bytes_in,
            "took_ms": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        });
        if outcome.hidden > 0
            && let Value::Object(details) = &mut details
        {
            details.insert("hidden".to_owned(), json!(outcome.hidden));
        }
        let outcome = match outcome.ended {
            HttpEnded::Finished => Outcome::succeeded(details),
            HttpEnded::Broken => Outcome::failed("answer-broken", details),
            HttpEnded::Abandoned => Outcome::failed("abandoned", details),
            HttpEnded::Refused(refusal) => Outcome::stopped(refusal.code(), details),
        };
        (outcome, ())
    }
}

/// Returns once a client has given up, if that is watched.
pub(crate) async fn closed(closing: Option<&Closing>) {
    match closing {
        Some(closing) => closing.closed().await,
        None => std::future::pending().await,
    }
}
