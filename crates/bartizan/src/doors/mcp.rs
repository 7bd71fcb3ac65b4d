//! What do a client and the server behind us say to each other through the gate? One conversation, one server.

pub(crate) mod away;
mod beyond;
mod call;
pub(crate) mod entry;
pub(crate) mod hub;
mod judged;
mod offer;
mod plain;
pub(crate) mod read_on;
mod rest;
mod rounds;
pub(crate) mod tools;
mod unasked;
pub(crate) mod words;

use crate::app::Gate;
use crate::config::Asks;
use crate::config::own::READ_ON;
use crate::doors::calls::Whose;
use bartizan_gate::call::Door;
use bartizan_gate::seat::Caller;
use bartizan_mcp::conversation::{Conversation, Outbox, Revision};
use bartizan_mcp::era;
use bartizan_mcp::headers::HEADER_MISMATCH;
use bartizan_mcp::method::{self, Side};
use bartizan_mcp::upstream::{Heard, Progress, Upstream};
use bartizan_mcp::way_out::{self, Framing};
use bartizan_mcp::wire::{
    INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Id, Kind, METHOD_NOT_FOUND, Message, WireError,
};
use bartizan_scan::json::{Bounds, Edits, Node, View, quoted};
use bartizan_scan::{Frames, Redactor, Sanitiser};
use bartizan_store::Desk;
use call::Act;
use judged::Judged;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;
use tools::{Maker, pseudo};

/// What a conversation stands on.
pub(crate) struct Parts {
    /// The server's name here.
    pub(crate) server: String,
    /// The server.
    pub(crate) upstream: Arc<Upstream>,
    /// Whose conversation it is.
    pub(crate) caller: Caller,
    /// The gate that stands before the server's tools are known.
    pub(crate) gate: Arc<Gate>,
    /// Makes the gate for the server's tools.
    pub(crate) make: Maker,
    /// Holds what else the server has against what was accepted, where anything is.
    pub(crate) look: Option<words::Look>,
    /// Where people answer.
    pub(crate) desk: Arc<dyn Desk>,
    /// Hides secrets in what belongs to no call.
    pub(crate) redactor: Redactor,
    /// The session's markers.
    pub(crate) frames: Frames,
    /// What becomes of what hides in it.
    pub(crate) sanitiser: Sanitiser,
    /// Whether results are framed.
    pub(crate) framing: bool,
    /// What the server may ask of the client.
    pub(crate) asks: Asks,
    /// How long a call waits for a person.
    pub(crate) hold: Duration,
    /// How long a call waits for the server.
    pub(crate) patience: Duration,
    /// How many bytes of an answer pass at once.
    pub(crate) page: usize,
    /// What is kept of the answers of the client's conversation.
    pub(crate) rests: Arc<rest::Rests>,
}

/// One client's conversation with one server.
pub(crate) struct Talk {
    parts: Parts,
    state: Mutex<State>,
    judged: tokio::sync::Mutex<Judged>,
    stale: AtomicBool,
    seen: words::Seen,
    memory: rounds::Memory,
}

#[derive(Default)]
struct State {
    listener: Option<Outbox>,
    /// Requests of the client that wait, by its ids.
    open: HashMap<Id, Arc<Notify>>,
    /// The server's questions to the client: our id of each, and the server's.
    asked: HashMap<i64, Id>,
    next: i64,
    generations: u64,
    /// How often the server has changed its lists.
    changes: u64,
    cursors: plain::Cursors,
}

/// One of the client's requests, for as long as it waits.
struct Open<'t> {
    talk: &'t Talk,
    id: Id,
    cancelled: Arc<Notify>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.talk.lock().open.remove(&self.id);
    }
}

impl Conversation for Talk {
    async fn take(self: Arc<Self>, message: Message, out: Outbox) {
        self.take_of(Whose::default(), message, out).await;
    }

    fn listen(&self, out: Outbox) {
        self.lock().listener = Some(out);
    }

    fn close(&self) {
        let mut state = self.lock();
        state.listener = None;
        state.open.values().for_each(|open| open.notify_one());
    }
}

impl Talk {
    /// Takes what a client says; a request is judged as one of whoever may have made it.
    pub(crate) async fn take_of(self: Arc<Self>, whose: Whose, message: Message, out: Outbox) {
        match message.kind() {
            Kind::Response { .. } => self.answered(&message),
            Kind::Notification { method } => self.told(method, &message),
            Kind::Request { id, method } => {
                let asked = self.permitted(&message);
                let answer = match self.open(id) {
                    Err(why) => Some(Message::failure(Some(id), INVALID_REQUEST, why)),
                    Ok(open) => tokio::select! {
                        answer = self.answer(id, (method, &whose), &asked, &out) => Some(answer),
                        // Nobody waits for an answer to what was cancelled.
                        () = open.cancelled.notified() => None,
                    },
                };
                if let Some(answer) = answer {
                    drop(out.send(answer).await);
                }
            }
        }
    }

    /// A conversation that has not begun.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let (state, judged) = (Mutex::default(), tokio::sync::Mutex::default());
        let (stale, seen, memory) = Default::default();
        Arc::new(Self { parts, state, judged, stale, seen, memory })
    }

    /// The client's gate.
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.parts.gate
    }

    /// The server's name here.
    pub(crate) fn server(&self) -> &str {
        &self.parts.server
    }

    /// The server.
    pub(crate) fn upstream(&self) -> Arc<Upstream> {
        Arc::clone(&self.parts.upstream)
    }

    /// Puts on the log that the client sent what has no single reading.
    pub(crate) fn unreadable(&self, error: &WireError) {
        let code = format!("mcp{}", error.code());
        self.parts.gate.unreadable(&self.parts.caller, Door::Mcp, &code, &error.to_string());
    }

    /// Listens to what the server says of its own accord, until it ends.
    pub(crate) async fn attend(self: Arc<Self>, mut heard: Receiver<Heard>) {
        while let Some(heard) = heard.recv().await {
            match heard {
                Heard::Asked(message) => self.ask_client(&message),
                Heard::Told(message) => self.tell_client(&message),
            }
        }
    }

    fn open(&self, id: &Id) -> Result<Open<'_>, &'static str> {
        let cancelled = Arc::new(Notify::new());
        let mut state = self.lock();
        if state.open.contains_key(id) {
            return Err("a request with this id waits already");
        }
        if state.open.len() >= OPEN_MAX {
            return Err("too many requests wait for an answer");
        }
        state.open.insert(id.clone(), Arc::clone(&cancelled));
        Ok(Open { talk: self, id: id.clone(), cancelled })
    }

    async fn answer(
        &self,
        id: &Id,
        (method, whose): (&str, &Whose),
        message: &Message,
        out: &Outbox,
    ) -> Message {
        let params = message.params();
        let other = |method: &'static str, kind: &str| {
            Act::of_other(method, pseudo(&self.parts.server, kind), params)
        };
        let act = match method {
            "ping" => return Message::success(id, "{}").unwrap_or_else(|| unmade(id)),
            "initialize" => return self.begin(id, message).await,
            "tools/list" => return self.list(id, message).await,
            "tools/call" if is_called(params, READ_ON) => {
                return self.read_on(id, whose, message, out).await;
            }
            "tools/call" => match self.tool(message).await {
                Ok(act) => act,
                Err(answer) => return answer(id),
            },
            "completion/complete" => other("completion/complete", "completion"),
            "prompts/get" => other("prompts/get", "prompt"),
            "resources/read" => match params.and_then(|params| params.text_of("uri")) {
                Some(uri) if rest::is_rest(&uri) && self.parts.rests.beyond(&uri).is_none() => {
                    return self.rest(id, (&uri, whose), message).await;
                }
                _ => other("resources/read", "resource"),
            },
            "resources/subscribe" => other("resources/subscribe", "resource"),
            "resources/unsubscribe" => other("resources/unsubscribe", "resource"),
            "tasks/cancel" => other("tasks/cancel", "task"),
            "tasks/get" => other("tasks/get", "task"),
            "tasks/list" => other("tasks/list", "task"),
            "tasks/result" => other("tasks/result", "task"),
            "tasks/update" => other("tasks/update", "task"),
            "server/discover" | "subscriptions/listen" => return no_such(id),
            method if method::is_request(Side::Client, method) => {
                return self.pass(id, method, message, out).await;
            }
            _ => return no_such(id),
        };
        match act.and_then(|act| self.resumed(act, message)) {
            Ok(act) => self.act(id, (act, whose), message, out).await,
            Err(why) => Message::failure(Some(id), INVALID_PARAMS, why),
        }
    }

    /// Finds the tool that a call names.
    async fn tool(
        &self,
        message: &Message,
    ) -> Result<Result<Act, call::Misread>, impl FnOnce(&Id) -> Message + use<>> {
        let failed = |code: i64, why: String| move |id: &Id| Message::failure(Some(id), code, &why);
        let name = message.params().and_then(|params| params.text_of("name"));
        let (Some(params), Some(name)) = (message.params(), name) else {
            return Err(failed(INVALID_PARAMS, "`tools/call` names a tool".to_owned()));
        };
        let generation = self.generation(message.meta()).await;
        let generation = generation.map_err(|why| failed(INTERNAL_ERROR, why))?;
        let marks = generation.marks.get(&*name);
        if let Some(header) = marks.and_then(|marks| marks.contradicted(message)) {
            let what = format!("Header mismatch: `{header}` does not say what the body says");
            self.parts.gate.unreadable(&self.parts.caller, Door::Mcp, "mcp-32020", &what);
            return Err(failed(HEADER_MISMATCH, what));
        }
        // A name that nobody offers is proposed all the same, so that the attempt is on the log.
        let tool = match generation.tools.get(&*name) {
            Some(offered) => offered.to_string(),
            None => format!("mcp__{}__{name}", self.parts.server),
        };
        Ok(Act::of_tool(tool, &name, params))
    }

    /// Passes a request that asks for no act, and its answer the way out.
    async fn pass(&self, id: &Id, method: &str, message: &Message, out: &Outbox) -> Message {
        match self.nothing_of(method, message).await {
            Ok(None) => {}
            Ok(Some(list)) => return Message::success(id, list).unwrap_or_else(|| unmade(id)),
            Err(why) => return Message::failure(Some(id), INTERNAL_ERROR, &why),
        }
        let params = match self.plain(method, message) {
            Ok(params) => params,
            Err(why) => return Message::failure(Some(id), INVALID_PARAMS, why),
        };
        let token = message.meta().and_then(|meta| meta.get("progressToken"));
        let progress =
            token.map(|token| Progress { token: token.raw().to_owned(), to: out.clone() });
        let own = self.parts.upstream.next();
        let params = match (params, &progress) {
            (Some(params), Some(_)) => own_token(&params, own),
            (params, _) => params,
        };
        let answer = self.question(id, own, method, params.as_deref(), progress).await;
        self.goes_on(&answer);
        answer
    }

    async fn question(
        &self,
        id: &Id,
        own: i64,
        method: &str,
        params: Option<&str>,
        progress: Option<Progress>,
    ) -> Message {
        let asked = self.parts.upstream.ask(own, method, params, progress);
        let answer = match asked {
            Ok(ticket) => tokio::time::timeout(self.parts.patience, ticket.answer()).await,
            Err(gone) => return Message::failure(Some(id), INTERNAL_ERROR, &gone.to_string()),
        };
        match answer {
            Ok(Ok(answer)) => match answer.with_id(id) {
                Some(answer) => self.cleaned(&answer, None).unwrap_or_else(|| unmade(id)),
                None => unmade(id),
            },
            Ok(Err(gone)) => Message::failure(Some(id), INTERNAL_ERROR, &gone.to_string()),
            Err(_) => {
                Message::failure(Some(id), INTERNAL_ERROR, "the server did not answer in time")
            }
        }
    }

    /// Passes the beginning, without what the server may not ask of the client, and in a revision that we read.
    async fn begin(&self, id: &Id, message: &Message) -> Message {
        let Some(params) = message.params() else {
            return Message::failure(Some(id), INVALID_PARAMS, "`initialize` has parameters");
        };
        let spoken = |view: View<'_>| {
            let version = view.text_of("protocolVersion").and_then(|text| Revision::parse(&text));
            version.filter(|revision| revision.has_sessions())
        };
        let revision = spoken(params).unwrap_or(Revision::NEWEST_OF_SESSIONS);
        let kept = params.members().map(|(key, value)| {
            let value = match key {
                "capabilities" => without(value, &self.forbidden()),
                "protocolVersion" => quoted(revision.as_str()),
                _ => value.compact(),
            };
            format!("{}:{value}", quoted(key))
        });
        let params = format!("{{{}}}", kept.collect::<Vec<_>>().join(","));
        let own = self.parts.upstream.next();
        let answer = self.question(id, own, "initialize", Some(&params), None).await;
        let stateless = |result: View<'_>| {
            let version = result.text_of("protocolVersion");
            era::is_stateless(message) && version.as_deref() == Some(Revision::V2026_07_28.as_str())
        };
        let unread = |result| spoken(result).is_none() && !stateless(result);
        if answer.result().is_some_and(unread) {
            return Message::failure(
                Some(id),
                INTERNAL_ERROR,
                "the server speaks no revision that is spoken here",
            );
        }
        let frame = self.parts.frames.of("instructions");
        let source = format!("mcp server {}", self.parts.server);
        let framing = Framing { frame, source };
        self.cleaned(&answer, Some(&framing)).unwrap_or_else(|| unmade(id))
    }

    /// Begins with the server as the client began with us.
    pub(crate) async fn greet(&self, hello: &Message) -> Result<(), String> {
        let mut edits = Edits::default();
        if let Some(meta) = hello.meta() {
            // The hub keeps a session with each of its servers, whether its client has one or not.
            edits.replace(meta.node(), "{}".to_owned());
        }
        let hello = hello.edited(edits).unwrap_or_else(|| hello.clone());
        let answer = self.begin(&Id::Number(0), &hello).await;
        if let Some(error) = answer.error() {
            let why = error.text_of("message").unwrap_or_default();
            return Err(format!("it does not begin: {why}"));
        }
        let told = Message::notification("notifications/initialized", None);
        if let Some(told) = told {
            self.parts.upstream.tell(told);
        }
        Ok(())
    }

    /// Asks the server for something whose answer nobody waits for.
    fn says(&self, method: &str, params: Option<&str>) {
        let own = self.parts.upstream.next();
        let Ok(ticket) = self.parts.upstream.ask(own, method, params, None) else { return };
        let patience = self.parts.patience;
        drop(tokio::spawn(
            async move { drop(tokio::time::timeout(patience, ticket.answer()).await) },
        ));
    }

    /// The client's capabilities that the server may make no use of.
    fn forbidden(&self) -> Vec<&'static str> {
        let Asks { elicitation, roots, sampling } = self.parts.asks;
        let all = [("elicitation", elicitation), ("roots", roots), ("sampling", sampling)];
        all.into_iter().filter(|(_, may)| !may).map(|(capability, _)| capability).collect()
    }

    /// One of the server's lists, all of its pages.
    async fn pages(&self, method: &str, meta: Option<View<'_>>) -> Result<Vec<Message>, String> {
        let meta = meta.map(|meta| plain::meta(meta, false));
        let mut pages: Vec<Message> = Vec::new();
        let mut cursor: Option<String> = None;
        while pages.len() < PAGES_MAX {
            let parts = [("_meta", meta.clone()), ("cursor", cursor.take())];
            let parts =
                parts.into_iter().filter_map(|(key, json)| Some(format!("\"{key}\":{}", json?)));
            let params = format!("{{{}}}", parts.collect::<Vec<_>>().join(","));
            let own = self.parts.upstream.next();
            let ticket = self.parts.upstream.ask(own, method, Some(&params), None);
            let ticket = ticket.map_err(|gone| gone.to_string())?;
            let page = tokio::time::timeout(self.parts.patience, ticket.answer()).await;
            let page = page.map_err(|_| "the server did not list in time".to_owned())?;
            let page = page.map_err(|gone| gone.to_string())?;
            let next = page.result().and_then(|result| result.get("nextCursor"));
            cursor = next.filter(|next| !next.is_null()).map(View::compact);
            pages.push(page);
            if cursor.is_none() {
                return Ok(pages);
            }
        }
        Err("the server's list does not end".to_owned())
    }

    fn cleaned(&self, message: &Message, framing: Option<&Framing>) -> Option<Message> {
        let scrub = |text: &str| self.parts.redactor.redact(text).text;
        let released = way_out::release(message, framing, &scrub, self.parts.sanitiser);
        let (message, hiding) = released.ok()?;
        let source = format!("mcp server {}", self.parts.server);
        self.parts.gate.sanitised(&self.parts.caller, &source, &hiding);
        Some(message)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_called(params: Option<View<'_>>, name: &str) -> bool {
    params.and_then(|params| params.text_of("name")).is_some_and(|called| called == name)
}

fn no_such(id: &Id) -> Message {
    Message::failure(Some(id), METHOD_NOT_FOUND, "there is no such method here")
}

fn unmade(id: &Id) -> Message {
    Message::failure(Some(id), INTERNAL_ERROR, "the server's answer cannot be shown")
}

/// An object without some of its members.
fn without(object: View<'_>, keys: &[&str]) -> String {
    let kept = object.members().filter(|(key, _)| !keys.contains(key));
    let kept: Vec<String> =
        kept.map(|(key, value)| format!("{}:{}", quoted(key), value.compact())).collect();
    format!("{{{}}}", kept.join(","))
}

/// An object with another value for one of its members.
fn replaced(object: View<'_>, key: &str, json: &str) -> String {
    let parts = object.members().map(|(name, value)| {
        let value = if name == key { json.to_owned() } else { value.compact() };
        format!("{}:{value}", quoted(name))
    });
    format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
}

/// Parameters with our own progress token in the place of the client's.
fn own_token(params: &str, token: i64) -> Option<String> {
    let root = Node::read(params, Bounds::default()).ok()?;
    let params = root.within(params);
    let meta = params.get("_meta")?.compact();
    Some(replaced(params, "_meta", &with_token(&meta, token)))
}

/// A `_meta` with our own progress token in the place of the client's.
fn with_token(meta: &str, token: i64) -> String {
    let Ok(root) = Node::read(meta, Bounds::default()) else { return "{}".to_owned() };
    replaced(root.within(meta), "progressToken", &token.to_string())
}

fn id_of(value: View<'_>) -> Option<Id> {
    if let Some(text) = value.text() {
        return Some(Id::Text(text.into_owned()));
    }
    value.raw().parse().ok().map(Id::Number)
}

/// Requests of one client that may wait.
const OPEN_MAX: usize = 256;
/// Pages of one list of tools.
const PAGES_MAX: usize = 100;
/// How often a server may change its lists in one conversation.
const CHANGES_MAX: u64 = 1000;
