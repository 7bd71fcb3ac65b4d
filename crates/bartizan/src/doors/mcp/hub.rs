//! What does one client see of several servers? What each has under its name, the declared tools beside it. Every
//! request goes on to whoever has it, and a server that is slow or gone keeps nobody else waiting.

mod branch;
mod declared;
mod names;
pub(crate) mod remembered;
mod routes;

use super::rest::Rests;
use super::{Talk, no_such, read_on, unmade};
use crate::app::Gate;
use crate::config::Tool;
use crate::doors::calls::Whose;
use crate::doors::tools::ToolsDoor;
use bartizan_gate::call::Door;
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Caller;
use bartizan_mcp::conversation::{Conversation, Outbox, Revision};
use bartizan_mcp::wire::{
    INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Id, Kind, Message, WireError,
};
use bartizan_scan::Frames;
use bartizan_scan::json::quoted;
use bartizan_store::Desk;
use branch::Branch;
use names::List;
use remembered::Mark;
use routes::kind_of;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// What a hub stands on.
pub(crate) struct Parts {
    /// Whose conversation it is.
    pub(crate) caller: Caller,
    /// The gate for what no server has.
    pub(crate) gate: Arc<Gate>,
    /// The door of the declared tools.
    pub(crate) door: Arc<ToolsDoor>,
    /// The declared tools.
    pub(crate) tools: BTreeMap<String, Tool>,
    /// Where people answer.
    pub(crate) desk: Arc<dyn Desk>,
    /// The session's markers.
    pub(crate) frames: Frames,
    /// How long a call waits for a person.
    pub(crate) hold: Duration,
    /// The servers' names.
    pub(crate) servers: Vec<String>,
    /// Whether the client knows what the one server has by the server's own words.
    pub(crate) alone: bool,
    /// Whether what comes back stands between markers; where a door that is nearer to the model makes them, it does not.
    pub(crate) framing: bool,
    /// Whose a request is, and whether it may still be made, as far as that is counted.
    pub(crate) reckon: Option<Reckon>,
    /// What lists are judged by now.
    pub(crate) mark: Mark,
    /// Whether an operator has made the pages of some server's answers short.
    pub(crate) paged: bool,
}

/// What is asked of a server, as far as it counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted<'a> {
    /// The method.
    pub(crate) method: &'a str,
    /// The tool that is called, by the client's name of it.
    pub(crate) tool: Option<&'a str>,
    /// What is judged.
    pub(crate) arguments: &'a Value,
    /// The client's id of the call that its model proposed, where it says so.
    pub(crate) proposal: Option<&'a str>,
}

/// Counts what is asked, and says whose it is, or why it is one too many.
pub(crate) type Reckon = Arc<dyn Fn(Counted<'_>) -> Result<Whose, Refusal> + Send + Sync>;

/// One client's conversation with all servers.
pub(crate) struct Hub {
    parts: Parts,
    branches: Vec<Arc<Branch>>,
    hello: watch::Sender<Option<Message>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listener: Option<Outbox>,
    /// Requests of the client that wait, by its ids.
    open: HashMap<Id, Arc<Notify>>,
    /// Questions to the client: our id of each, and whose it is.
    asked: HashMap<i64, (Arc<Talk>, Id)>,
    next: i64,
    /// Whether a list of tools was given without a server that had not started yet.
    lacks: bool,
    /// What the client wants to hear of, as it said it.
    level: Option<Message>,
}

impl Conversation for Hub {
    async fn take(self: Arc<Self>, message: Message, out: Outbox) {
        let (id, method) = match message.kind() {
            Kind::Response { .. } => return self.answered(&message, out).await,
            Kind::Notification { method: "notifications/cancelled" } => {
                let id = message.params().and_then(|params| params.get("requestId"));
                let open = id.and_then(super::id_of);
                let open = open.and_then(|id| self.lock().open.get(&id).cloned());
                return open.map_or((), |open| open.notify_one());
            }
            Kind::Notification { .. } => return,
            Kind::Request { id, method } => (id.clone(), method),
        };
        let cancelled = Arc::new(Notify::new());
        if let Err(why) = self.open(&id, &cancelled) {
            let refused = Message::failure(Some(&id), INVALID_REQUEST, why);
            return drop(out.send(refused).await);
        }
        // What is dropped in mid-way is cancelled at its server, and on the log.
        let answer = tokio::select! {
            answer = self.answer(&id, method, &message, &out) => answer,
            () = cancelled.notified() => None,
        };
        self.lock().open.remove(&id);
        if let Some(answer) = answer {
            drop(out.send(answer).await);
        }
    }

    fn listen(&self, out: Outbox) {
        self.lock().listener = Some(out);
    }

    fn close(&self) {
        let open: Vec<_> = {
            let mut state = self.lock();
            state.listener = None;
            state.asked.clear();
            state.open.values().cloned().collect()
        };
        for open in open {
            open.notify_one();
        }
    }
}

impl Hub {
    /// A conversation that has not begun.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let branches = parts.servers.iter().map(|name| Branch::new(name, parts.alone)).collect();
        let (hello, _) = watch::channel(None);
        Arc::new(Self { parts, branches, hello, state: Mutex::default() })
    }

    /// How the client begins, once it has.
    pub(crate) async fn hello(&self) -> Option<Message> {
        let mut hello = self.hello.subscribe();
        hello.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Whether it is one of ours.
    pub(crate) fn serves(&self, server: &str) -> bool {
        self.branch(server).is_some()
    }

    /// What is kept of a server's answers.
    pub(crate) fn rests(&self, server: &str) -> Arc<Rests> {
        self.branch(server).map(|branch| Arc::clone(branch.rests())).unwrap_or_default()
    }

    /// Whether our tool to read on is offered: always where pages are short, else once there is something to read.
    fn reads_on(&self) -> bool {
        self.parts.paged || self.branches.iter().any(|branch| !branch.rests().is_empty())
    }

    /// A server has started: its conversation is one of ours now.
    pub(crate) fn join(self: &Arc<Self>, server: &str, talk: &Arc<Talk>) {
        let (to, from) = mpsc::channel(RELAYED);
        talk.listen(to);
        drop(tokio::spawn(Arc::clone(self).relay(Arc::clone(talk), from)));
        let Some(branch) = self.branch(server) else { return };
        let slept = branch.up(talk);
        self.repeat(talk);
        let lacks = std::mem::take(&mut self.lock().lacks);
        // One that is started anew has lost what it knew, however it ended.
        if lacks || slept {
            self.tell_changed();
        }
    }

    /// Lets a server fall asleep that nobody has needed for so long, so that it may be ended; else says when to ask again.
    pub(crate) fn rest(&self, server: &str, after: Duration) -> Result<(), Duration> {
        let talk = self.branch(server).map_or(Err(after), |branch| branch.rest(after))?;
        self.quieten(&talk);
        Ok(())
    }

    /// Resolves when somebody needs a server that is asleep.
    pub(crate) async fn wanted(&self, server: &str) {
        match self.branch(server) {
            Some(branch) => branch.wanted().await,
            None => std::future::pending().await,
        }
    }

    /// Nothing more is heard from a server, whose open requests end by themselves, each with an answer.
    fn quieten(&self, talk: &Arc<Talk>) {
        let (nowhere, _) = mpsc::channel(1);
        talk.listen(nowhere);
        self.lock().asked.retain(|_, (whose, _)| !Arc::ptr_eq(whose, talk));
    }

    /// A server has ended.
    pub(crate) fn leave(&self, server: &str, why: &str) {
        let Some(branch) = self.branch(server) else { return };
        let Some(talk) = branch.down(why) else { return };
        self.quieten(&talk);
        self.tell_changed();
    }

    /// Puts on the log that the client sent what has no single reading.
    pub(crate) fn unreadable(&self, error: &WireError) {
        let code = format!("mcp{}", error.code());
        self.parts.gate.unreadable(&self.parts.caller, Door::Mcp, &code, &error.to_string());
    }

    /// What a server says, as the client knows it.
    fn told(&self, server: &str, message: Message) -> Option<Message> {
        if self.parts.alone { Some(message) } else { names::told(server, &message) }
    }

    /// Which server a request is for, and what it asks of it.
    fn asked(&self, method: &str, message: &Message) -> Option<names::Asked> {
        let alone = self.branches.first().filter(|_| self.parts.alone);
        match alone {
            Some(only) => {
                Some(names::Asked { server: only.name().to_owned(), message: message.clone() })
            }
            None => names::asked(method, message),
        }
    }

    fn branch(&self, server: &str) -> Option<&Arc<Branch>> {
        self.branches.iter().find(|branch| branch.name() == server)
    }

    fn open(&self, id: &Id, cancelled: &Arc<Notify>) -> Result<(), &'static str> {
        let mut state = self.lock();
        if state.open.contains_key(id) {
            return Err("a request with this id waits already");
        }
        if state.open.len() >= super::OPEN_MAX {
            return Err("too many requests wait for an answer");
        }
        state.open.insert(id.clone(), Arc::clone(cancelled));
        Ok(())
    }

    /// The answer, unless it goes out by itself.
    async fn answer(
        &self,
        id: &Id,
        method: &str,
        message: &Message,
        out: &Outbox,
    ) -> Option<Message> {
        match method {
            "ping" => Message::success(id, "{}"),
            "initialize" => Some(self.begin(id, message)),
            "logging/setLevel" => self.loud(id, message),
            "tools/call" => self.call(id, message, out).await,
            method => match (List::of(method), kind_of(method)) {
                (Some(list), _) => Some(self.list(id, list).await),
                (None, Some(act)) => self.asks(id, act, message, out).await,
                (None, None) => Some(no_such(id)),
            },
        }
    }

    fn begin(&self, id: &Id, message: &Message) -> Message {
        let Some(params) = message.params() else {
            return Message::failure(Some(id), INVALID_PARAMS, "`initialize` has parameters");
        };
        let asked = params.text_of("protocolVersion");
        let asked = asked.and_then(|text| Revision::parse(&text));
        let revision = asked.filter(|revision| revision.has_sessions());
        let revision = revision.unwrap_or(Revision::NEWEST_OF_SESSIONS);
        self.hello.send_replace(Some(message.clone()));
        let result = format!(
            r#"{{"protocolVersion":{},"capabilities":{},"serverInfo":{{"name":"bartizan","version":{}}}}}"#,
            quoted(revision.as_str()),
            self.capabilities(),
            quoted(env!("CARGO_PKG_VERSION")),
        );
        Message::success(id, &result).unwrap_or_else(|| unmade(id))
    }

    /// What all servers offer this role, as far as they answer in time.
    async fn list(&self, id: &Id, list: &'static List) -> Message {
        let mut asked = JoinSet::new();
        for (at, branch) in self.branches.iter().enumerate() {
            let branch = Arc::clone(branch);
            let mark = Arc::clone(&self.parts.mark);
            asked.spawn(async move { (at, branch.listed(list, &mark).await) });
        }
        let mut lists = Vec::new();
        while let Some(list) = asked.join_next().await {
            lists.extend(list.ok());
        }
        lists.sort_by_key(|(at, _)| *at);
        if lists.iter().any(|(_, list)| list.is_none()) {
            self.lock().lacks = true;
        }
        let declared = self.declared_tools().filter(|_| list.kind.is_none());
        let (mut entries, mut flaw) = (declared.collect::<Vec<String>>(), None);
        for offered in lists.into_iter().filter_map(|(_, offered)| offered) {
            match offered {
                Ok(offered) => entries.extend(offered),
                Err(why) => flaw = flaw.or(Some(why)),
            }
        }
        // A list with nothing on it would read as if there were nothing.
        if let Some(why) = flaw.filter(|_| entries.is_empty()) {
            return Message::failure(Some(id), INTERNAL_ERROR, &why);
        }
        if list.kind.is_none() && !entries.is_empty() && self.reads_on() {
            entries.push(read_on::offered());
        }
        let result = format!("{{\"{}\":[{}]}}", list.key, entries.join(","));
        Message::success(id, &result).unwrap_or_else(|| unmade(id))
    }

    /// The client's answer to a question of some server, and to no other.
    async fn answered(&self, message: &Message, out: Outbox) {
        let Some(Id::Number(own)) = message.id() else { return };
        let Some((talk, theirs)) = self.lock().asked.remove(own) else { return };
        if let Some(answer) = message.with_id(&theirs) {
            talk.take(answer, out).await;
        }
    }

    /// Passes on what a server says of its own accord, its questions under ids of ours.
    async fn relay(self: Arc<Self>, talk: Arc<Talk>, mut from: mpsc::Receiver<Message>) {
        let branch = self.branch(talk.server()).cloned();
        while let Some(message) = from.recv().await {
            if let Some(branch) = &branch {
                branch.stirs(&message);
            }
            let Kind::Request { id, .. } = message.kind() else {
                let listener = self.lock().listener.clone();
                let told = self.told(talk.server(), message);
                drop(listener.zip(told).map(|(to, message)| to.try_send(message)));
                continue;
            };
            let (own, listener) = {
                let mut state = self.lock();
                state.next += 1;
                let own = state.next;
                if state.asked.len() < ASKED_MAX {
                    state.asked.insert(own, (Arc::clone(&talk), id.clone()));
                }
                (own, state.listener.clone())
            };
            let asked = message.with_id(&Id::Number(own)).zip(listener);
            let known = self.lock().asked.contains_key(&own);
            let sent = known && asked.is_some_and(|(asked, to)| to.try_send(asked).is_ok());
            if !sent {
                self.lock().asked.remove(&own);
                let refused = Message::failure(Some(id), INTERNAL_ERROR, "nobody can be asked");
                let (nowhere, _) = mpsc::channel(1);
                Arc::clone(&talk).take(refused, nowhere).await;
            }
        }
    }

    fn tell_changed(&self) {
        let Some(to) = self.lock().listener.clone() else { return };
        for kind in ["tools", "prompts", "resources"] {
            let method = format!("notifications/{kind}/list_changed");
            drop(Message::notification(&method, None).map(|changed| to.try_send(changed)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a server says of its own accord and nobody has passed on yet.
const RELAYED: usize = 64;
/// Questions of all servers that may wait for the client.
const ASKED_MAX: usize = 32;
