//! What does the agent ask the model, and what may it hear? Each request is a proposal, what it brings from
//! outside is made data, and each call that the model proposes is judged before the client has it. The key is
//! added behind this door.

mod answer;
mod api;
mod bedrock;
mod budget;
mod deferring;
mod early;
mod gemini;
mod request;
mod responses;
mod scrub;
mod silence;
mod verdict;

pub(crate) use api::Api;
pub(crate) use budget::Budget;
pub(crate) use deferring::is_id;
pub(crate) use scrub::Scrub;

use crate::app::{Gate, by_name};
use crate::doors::calls::{Calls, Subagent};
use crate::doors::told::told;
use answer::{Dialect, Messages, Shared, Streamed, Tally, Whole};
use api::{Way, model_of, way};
use bartizan_egress::model::{Filter, ModelEnded};
use bartizan_egress::{
    Captured, Judge, ModelOutcome, ModelRequest, ModelRoute, Refusal as Told, Status, Upstream,
};
use bartizan_gate::call::{Authorized, Door, Outcome, Proposed};
use bartizan_gate::effect::{Effector, Warrant};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Caller;
use bartizan_gate::taint::{Reading, Trust};
use bartizan_scan::display_line;
use bartizan_store::Event;
use bedrock::Framed;
use bytes::Bytes;
use gemini::{Document, Gemini};
use request::{Against, Ears, From, Notes, Unfit};
use responses::Responses;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use verdict::Bench;

/// What a session's conversation with its model is held against.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    /// The way out, towards the model.
    pub(crate) scrub: Scrub,
    /// The calls that were judged; the hook knows them too.
    pub(crate) calls: Arc<Calls>,
    /// What may be used up.
    pub(crate) budget: Arc<Budget>,
}

/// The model door of one box.
pub(crate) struct ModelDoor {
    route: ModelRoute,
    judge: Arc<ModelJudge>,
}

impl ModelDoor {
    /// A door for the box of `caller`, onto `route`, which leads to `upstream` and speaks `api`.
    pub(crate) fn new(
        gate: Arc<Gate>,
        caller: Caller,
        (route, upstream, api): (ModelRoute, &Upstream, Api),
        conversation: Conversation,
    ) -> Self {
        let target = upstream.target();
        let (host, port) = (target.host().to_string(), target.port());
        let (stopped, canaries, wary) = Default::default();
        let side = Side { gate, caller, api, conversation, host, port, stopped, canaries, wary };
        let side = Arc::new(side);
        Self { route, judge: Arc::new(ModelJudge(side)) }
    }

    /// Serves one connection that was meant for the model.
    #[expect(clippy::disallowed_methods, reason = "each request is judged by `ModelJudge`")]
    pub(crate) async fn serve(&self, captured: Captured<TcpStream>) {
        // Each request has its own record; how the connection ended adds nothing.
        drop(self.route.serve(captured, Arc::clone(&self.judge)).await);
    }
}

#[derive(Debug)]
struct ModelJudge(Arc<Side>);

/// Our side of the conversation.
#[derive(Debug)]
struct Side {
    gate: Arc<Gate>,
    caller: Caller,
    api: Api,
    conversation: Conversation,
    host: String,
    port: u16,
    /// Set once the client has been bypassed: nothing passes any more.
    stopped: OnceLock<String>,
    /// The planted values that have been told of.
    canaries: Mutex<BTreeSet<String>>,
    /// Whether an intent was withdrawn since a request last passed: they are read first then, so that a client which is
    /// refused without end does not fill the log with intents.
    wary: AtomicBool,
}

/// A request as it is judged.
struct Asked {
    method: String,
    path: String,
    way: Way,
    agent: Option<Subagent>,
    /// Whether its user is a person, and no agent that has sent another.
    main: bool,
    body: Bytes,
}

impl Side {
    /// Waits until a turn has room beside those under way.
    async fn room(&self, asked: &Asked, until: Instant) -> Result<Option<budget::Turn>, Refusal> {
        if asked.way != Way::Turn {
            return Ok(None);
        }
        let who = (self.caller.seat(), asked.agent.as_ref());
        self.conversation.budget.begin(who, &asked.body, until).await
    }

    /// Judges a request, and gives the body that leaves. It may wait for the disk.
    fn judge(&self, asked: &Asked) -> Result<(Authorized, Vec<u8>, Notes), Refusal> {
        if let Some(call) = self.stopped.get() {
            let refused = Refusal::SessionStopped { call: call.clone() };
            return Err(self.refused(asked, refused));
        }
        if asked.way == Way::Look {
            let authorized = self.gate.decide(self.proposal(asked))?;
            return Ok((authorized, Vec::new(), Notes::default()));
        }
        let (authorized, read) = if let Some(judged) = self.early(asked) {
            judged?
        } else {
            let read = self.counted(asked)?;
            let authorized = self.gate.decide(self.proposal(asked))?;
            self.wary.store(false, Ordering::Relaxed);
            (authorized, read)
        };
        Ok((authorized, read.body, read.notes))
    }

    /// Reads a request that the budget has room for.
    fn counted(&self, asked: &Asked) -> Result<request::Read, Refusal> {
        let read = self.read(asked)?;
        let (seat, budget) = (self.caller.seat(), &self.conversation.budget);
        if asked.way == Way::Turn {
            let counted = budget.request(seat, asked.agent.as_ref());
            counted.map_err(|refused| self.refused(asked, refused))?;
        }
        Ok(read)
    }

    fn read(&self, asked: &Asked) -> Result<request::Read, Refusal> {
        let Conversation { scrub, calls, .. } = &self.conversation;
        let workspace = self.caller.seat().workspace.to_string();
        let main = asked.main;
        let against = Against { scrub, calls, workspace: &workspace, ears: self, main };
        let read = match self.api {
            Api::Gemini => gemini::read(&asked.body, &asked.path, against),
            Api::Bedrock | Api::Messages | Api::Vertex(_) => request::read(&asked.body, against),
            Api::Responses => responses::read(&asked.body, against),
        };
        let mut read = read.map_err(|unfit| self.unfit(asked, unfit))?;
        if read.notes.model.is_empty() {
            read.notes.model = display_line(model_of(&asked.path), 128);
        }
        self.seen(&read.notes.found.canaries);
        for (call, failed, bytes) in &read.results {
            self.returned(call, *failed, *bytes).map_err(|refused| self.refused(asked, refused))?;
        }
        Ok(read)
    }

    /// Puts each planted value that comes to the model on the log, once: it was hidden from the model, but read in the box.
    fn seen(&self, canaries: &BTreeSet<String>) {
        let mut told = self.canaries.lock().unwrap_or_else(PoisonError::into_inner);
        for canary in canaries.difference(&told.clone()) {
            let about = json!({
                "kind": "canary", "alarm": "canary-read", "secret": canary, "source": "model request",
            });
            if let Value::Object(about) = about {
                drop(self.gate.pipeline().note(&self.caller, Event::Finding, about));
            }
            told.insert(canary.clone());
        }
    }

    /// A result has come back: what is still open of its call ends here.
    fn returned(&self, call: &str, failed: bool, bytes: usize) -> Result<(), Refusal> {
        let Some(met_hook) = self.conversation.calls.returned(call) else { return Ok(()) };
        let pipeline = self.gate.pipeline();
        for delegated in self.conversation.calls.close(call) {
            let details =
                json!({ "by": "client", "seen": "model", "bytes": bytes, "met_hook": met_hook });
            let outcome = if failed {
                Outcome::failed("tool-failed", details)
            } else {
                Outcome::succeeded(details)
            };
            drop(pipeline.release(pipeline.returned(delegated, outcome, String::new()))?);
        }
        Ok(())
    }

    fn unfit(&self, asked: &Asked, unfit: Unfit) -> Refusal {
        match unfit {
            Unfit::Unread(what) => self.refused(asked, Refusal::ModelRequestUnread { what }),
            Unfit::ServerTool(kind) => self.refused(asked, Refusal::ServerTool { kind }),
            Unfit::Unseen { tool, call, what } => {
                // The first one is the one that the log and every later refusal name.
                let named = self.stopped.get_or_init(|| call.clone()).clone();
                self.conversation.calls.stop();
                // Where this fails, so does whoever would use what was deferred.
                drop(self.gate.pipeline().undefer(&self.caller));
                let refused = Refusal::UnseenAct { tool, call, what: what.to_owned() };
                self.refused_as(asked, Some(&named), refused)
            }
        }
    }

    fn refused(&self, asked: &Asked, refused: Refusal) -> Refusal {
        self.refused_as(asked, None, refused)
    }

    fn refused_as(&self, asked: &Asked, call: Option<&str>, refused: Refusal) -> Refusal {
        let arguments = self.arguments(asked);
        self.gate.refused_by_door(
            &self.caller,
            Door::Model,
            "model.request",
            &arguments,
            call,
            refused,
        )
    }

    fn arguments(&self, asked: &Asked) -> Value {
        json!({ "host": self.host, "port": self.port, "method": asked.method, "path": asked.path })
    }

    fn proposal(&self, asked: &Asked) -> Proposed {
        let proposed =
            Proposed::new(&self.caller, Door::Model, "model.request", self.arguments(asked));
        match &asked.agent {
            Some(agent) => proposed.by_subagent(&*agent.kind, &*agent.id),
            None => proposed,
        }
    }

    fn bench(&self, agent: Option<Subagent>, conversation: Option<String>) -> Bench {
        Bench {
            gate: Arc::clone(&self.gate),
            caller: self.caller.clone(),
            calls: Arc::clone(&self.conversation.calls),
            budget: Arc::clone(&self.conversation.budget),
            agent,
            conversation,
        }
    }

    /// Performs what was allowed: it passes while its warrant is held, until the route says how it ended.
    fn attend(self: &Arc<Self>, authorized: Authorized, passage: Passage) {
        let side = Arc::clone(self);
        tokio::spawn(async move {
            let executed = side.gate.pipeline().perform(authorized, passage).await;
            // A log that fails here stops the next request.
            drop(side.gate.pipeline().release(executed));
        });
    }
}

/// What a conversation tells goes to the gate, which knows by it whose words a call's values are.
impl Ears for Side {
    fn heard(&self, text: &str) {
        self.gate.heard(&self.caller, text);
    }

    fn read(&self, source: &str, from: From<'_>, text: &str) {
        let pipeline = self.gate.pipeline();
        let trust = match from {
            From::Tool(tool) => pipeline.trust_of(tool),
            From::Client(bartizan_scan::Trust::Workspace) => Trust::Workspace,
            From::Client(bartizan_scan::Trust::Untrusted) => Trust::Untrusted,
        };
        self.gate.read(&self.caller, &Reading { source, trust, text });
    }
}

/// What the route hands back with an answer.
struct Ticket {
    way: Way,
    bench: Bench,
    tally: Shared,
    bytes: u64,
    /// When a client that has heard nothing by then gives up.
    silence: Instant,
    /// What it may use up; counted, and free again for others, when this goes.
    turn: Option<budget::Turn>,
    ended: oneshot::Sender<ModelOutcome>,
}

impl Judge for ModelJudge {
    type Ticket = Ticket;

    async fn before(&self, request: &ModelRequest, body: Bytes) -> Result<(Ticket, Bytes), Told> {
        let side = Arc::clone(&self.0);
        let way = match way(&side.api, request) {
            Ok(way) => way,
            Err(refusal) => {
                self.stopped(request.method(), request.path(), &refusal);
                return Err(refusal);
            }
        };
        let agent = request.header("x-claude-code-agent-id").map(|id| Subagent {
            id: id.to_owned(),
            kind: request.header("x-claude-code-agent-type").unwrap_or("agent").to_owned(),
        });
        let conversation = deferring::conversation(request);
        let silence = Instant::now() + silence::borne(request.header("x-stainless-timeout"));
        let (method, path) = (request.method().to_owned(), request.path().to_owned());
        let main = agent.is_none() && responses::is_main(request);
        let asked = Asked { method, path, way, agent: agent.clone(), main, body };
        let turn = self.0.room(&asked, silence).await;
        let judged = tokio::task::spawn_blocking(move || match turn {
            Ok(turn) => side.judge(&asked).map(|judged| (judged, turn)),
            Err(refused) => Err(side.refused(&asked, refused)),
        });
        let failed = || Told::new(Status::Forbidden, "gate-failed", "the gate failed");
        let ((authorized, body, notes), turn) =
            judged.await.map_err(|_| failed())?.map_err(|refused| told(&refused))?;
        let (ended, end) = oneshot::channel();
        let tally = Shared::default();
        self.0.attend(authorized, Passage { end, notes, tally: Arc::clone(&tally) });
        let bytes = body.len() as u64;
        let bench = self.0.bench(agent, conversation);
        Ok((Ticket { way, bench, tally, bytes, silence, turn, ended }, body.into()))
    }

    fn stopped(&self, method: &str, path: &str, refusal: &Told) {
        let (gate, caller) = (Arc::clone(&self.0.gate), self.0.caller.clone());
        let what = display_line(&format!("{method} {path}: {}", refusal.sentence()), 400);
        let code = refusal.code().to_owned();
        // The log may wait for its disk, and this is called from within I/O.
        tokio::task::spawn_blocking(move || gate.unreadable(&caller, Door::Model, &code, &what));
    }

    fn after(&self, ticket: Ticket, outcome: ModelOutcome) {
        let side = &self.0;
        let tally = ticket.tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if ticket.way == Way::Turn && outcome.status.is_none_or(|status| status < 400) {
            let tokens = tally.tokens(ticket.bytes);
            side.conversation.budget.spent(side.caller.seat(), ticket.bench.agent.as_ref(), tokens);
        }
        drop(ticket.turn);
        // The receiver lives until it has heard; it is gone only when the session is.
        drop(ticket.ended.send(outcome));
    }

    fn filter(
        &self,
        ticket: &Ticket,
        status: u16,
        content_type: Option<&str>,
    ) -> Result<Option<Box<dyn Filter>>, Told> {
        // An error holds no call, nor does what is no turn.
        if ticket.way != Way::Turn || status >= 400 {
            return Ok(None);
        }
        match self.0.api {
            Api::Gemini if is_json(content_type) => {
                let (bench, tally) = (ticket.bench.clone(), Arc::clone(&ticket.tally));
                Ok(Some(Box::new(Document::new(bench, tally, ticket.silence))))
            }
            Api::Bedrock if kind(content_type) == bedrock::TYPE => {
                let (bench, tally) = (ticket.bench.clone(), Arc::clone(&ticket.tally));
                Ok(Some(Box::new(Framed::new(bench, tally))))
            }
            Api::Gemini => filter::<Gemini>(ticket, content_type),
            Api::Bedrock | Api::Messages | Api::Vertex(_) => {
                filter::<Messages>(ticket, content_type)
            }
            Api::Responses => filter::<Responses>(ticket, content_type),
        }
    }
}

/// What looks into an answer of this type.
fn filter<D: Dialect>(
    ticket: &Ticket,
    content_type: Option<&str>,
) -> Result<Option<Box<dyn Filter>>, Told> {
    let (bench, tally) = (ticket.bench.clone(), Arc::clone(&ticket.tally));
    match kind(content_type).as_str() {
        "text/event-stream" => Ok(Some(Box::new(Streamed::<D>::new(bench, tally)))),
        "application/json" => Ok(Some(Box::new(Whole::<D>::new(bench, tally, ticket.silence)))),
        _ => {
            let text = "the answer came in a form that cannot be looked into, and is withheld";
            Err(Told::new(Status::BadGateway, "unscannable", text))
        }
    }
}

fn is_json(content_type: Option<&str>) -> bool {
    kind(content_type) == "application/json"
}

fn kind(content_type: Option<&str>) -> String {
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// A request that passes while its warrant is held.
struct Passage {
    end: oneshot::Receiver<ModelOutcome>,
    notes: Notes,
    tally: Shared,
}

impl Effector for Passage {
    type Output = ();

    async fn run(self, _: &Warrant<'_>) -> (Outcome, ()) {
        let Ok(outcome) = self.end.await else {
            return (Outcome::failed("model-unknown", json!({})), ());
        };
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let details = details(&outcome, &self.notes, &tally);
        match outcome.ended {
            ModelEnded::Finished => (Outcome::succeeded(details), ()),
            ended => (Outcome::failed(code(&ended), details), ()),
        }
    }
}

/// What the log says of a turn.
fn details(outcome: &ModelOutcome, notes: &Notes, tally: &Tally) -> Value {
    let tokens = tally.counted.then(|| {
        json!({
            "input": tally.input, "cache_write": tally.cache_write,
            "cache_read": tally.cache_read, "output": tally.output,
        })
    });
    let withheld: Vec<&String> = notes.withheld.iter().chain(&tally.withheld).collect();
    json!({
        "status": outcome.status,
        "request_id": outcome.request_id.as_deref().map(|id| display_line(id, 128)),
        "bytes_out": outcome.bytes_out,
        "bytes_in": outcome.bytes_in,
        "first_byte_ms": outcome.first_byte.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        "credential_renewed": outcome.renewed,
        "took_ms": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        "model": notes.model,
        "tokens": tokens,
        "calls": tally.calls,
        "calls_refused": tally.refused,
        "sent": {
            "framed": notes.framed, "secrets_hidden": notes.found.secrets,
            "sanitised": by_name(&notes.found.hiding), "calls_restored": notes.restored,
            "pictures": notes.pictures, "documents": notes.documents,
        },
        "withheld": withheld,
        "server_tools": { "offered": notes.server_tools, "calls": tally.server_calls },
    })
}

fn code(ended: &ModelEnded) -> String {
    match ended {
        ModelEnded::Abandoned => "model-abandoned".to_owned(),
        ModelEnded::Broken => "model-broken".to_owned(),
        ModelEnded::Finished => "model-finished".to_owned(),
        ModelEnded::Refused(refusal) => display_line(&format!("model-{}", refusal.code()), 64),
    }
}
