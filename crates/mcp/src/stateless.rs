//! How is a client of the revision without sessions (2026-07-28) served by a conversation that has one? What it says is
//! translated on the way in, and what comes back on the way out.
//!
//! The conversation behind is begun once, with no capabilities of the client's, so that its server has nothing to ask:
//! what one client may answer is not another's, and here no request belongs to a conversation. Where the server itself has
//! no sessions, requests and answers pass as they are, for a server that asks in an answer asks whoever gets it. A client
//! that begins with `initialize` is passed through as it is.

mod answer;
mod listens;

pub(crate) use answer::unsupported;

use crate::conversation::{Conversation, Outbox, Revision};
use crate::era::{self, CAPABILITIES, CLIENT, LEVEL, VERSION};
use crate::wire::{INVALID_PARAMS, INVALID_REQUEST, Id, Kind, METHOD_NOT_FOUND, Message};
use answer::Begun;
use bartizan_scan::json::{View, quoted};
use listens::Listens;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OnceCell, mpsc};

/// A conversation for clients of every revision.
#[derive(Debug)]
pub struct Stateless<C> {
    inner: Arc<C>,
    /// Whether the client has begun a session, as in the revisions that have them.
    in_session: AtomicBool,
    begun: OnceCell<Begun>,
    listens: Listens,
    logs: Mutex<Logs>,
}

/// Who hears what the server logs.
#[derive(Debug, Default)]
struct Logs {
    /// The requests under way whose client wants to.
    open: Vec<(Id, Outbox)>,
    /// How much was asked for last.
    level: Option<String>,
}

impl<C: Conversation> Conversation for Stateless<C> {
    async fn take(self: Arc<Self>, message: Message, out: Outbox) {
        let (id, method) = match message.kind() {
            Kind::Request { id, method } => (id.clone(), method.to_owned()),
            Kind::Notification { method } => {
                let ended = method == "notifications/cancelled" && self.listens.end(&message);
                if !ended {
                    Arc::clone(&self.inner).take(message, out).await;
                }
                return;
            }
            Kind::Response { .. } => return Arc::clone(&self.inner).take(message, out).await,
        };
        if !era::is_stateless(&message) {
            if method == "initialize" && self.begun.initialized() {
                let what = "requests without a session were made here; begin elsewhere";
                return drop(out.send(Message::failure(Some(&id), INVALID_REQUEST, what)).await);
            }
            self.in_session.fetch_or(method == "initialize", Ordering::AcqRel);
            return Arc::clone(&self.inner).take(message, out).await;
        }
        let message = message.unpacked();
        if let Err(refused) = self.answer(&id, &method, &message, &out).await {
            drop(out.send(refused).await);
        }
    }

    fn listen(&self, out: Outbox) {
        if !self.begun.initialized() {
            self.inner.listen(out);
        }
    }

    fn close(&self) {
        self.listens.end_all();
        self.inner.close();
    }
}

impl<C: Conversation> Stateless<C> {
    /// The same conversation for clients of every revision.
    pub fn over(inner: Arc<C>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            in_session: AtomicBool::new(false),
            begun: OnceCell::new(),
            listens: Listens::default(),
            logs: Mutex::default(),
        })
    }

    /// Answers one request, or says why not.
    async fn answer(
        self: &Arc<Self>,
        id: &Id,
        method: &str,
        message: &Message,
        out: &Outbox,
    ) -> Result<(), Message> {
        let refuse = |code, what: &str| Err(Message::failure(Some(id), code, what));
        let meta = message.meta();
        let version = meta.and_then(|meta| meta.text_of(VERSION)).unwrap_or_default();
        if Revision::parse(&version).is_none_or(Revision::has_sessions) {
            return Err(unsupported(message, &version));
        }
        if meta.and_then(|meta| meta.get(CAPABILITIES)).is_none_or(|said| !said.is_table()) {
            return refuse(INVALID_PARAMS, "`_meta` says which capabilities the client has");
        }
        if self.in_session.load(Ordering::Acquire) {
            return refuse(INVALID_REQUEST, "a session was begun here; requests are made in it");
        }
        let unknown = "there is no such method in this revision";
        if !METHODS.contains(&method) && !TASKS.contains(&method) {
            return refuse(METHOD_NOT_FOUND, unknown);
        }
        let begun = self.begun.get_or_try_init(|| self.begin(meta)).await;
        let begun = begun.map_err(|failed| failed.with_id(id).unwrap_or(failed))?;
        if TASKS.contains(&method) && !begun.extends(TASKS_EXTENSION) {
            return refuse(METHOD_NOT_FOUND, unknown);
        }
        match method {
            "server/discover" => drop(out.send(begun.discovered(id)).await),
            "subscriptions/listen" => {
                self.listens.attend(&self.inner, begun, (id, message), out).await?;
            }
            // Nobody was asked, so there is nothing to answer; a server with sessions would not know what it is.
            _ if !begun.passes() && answers(message) => return refuse(INVALID_PARAMS, UNASKED),
            _ => self.pass(begun, (id, method), message, out).await,
        }
        Ok(())
    }

    /// Begins the conversation behind, as the client that asks first.
    async fn begin(self: &Arc<Self>, meta: Option<View<'_>>) -> Result<Begun, Message> {
        let who = meta.and_then(|meta| meta.get(CLIENT)).filter(|who| who.is_table());
        let who =
            who.map_or_else(|| r#"{"name":"client","version":"0"}"#.to_owned(), View::compact);
        let params = format!(
            r#"{{"protocolVersion":{},"capabilities":{{}},"clientInfo":{who},"_meta":{{"{VERSION}":{}}}}}"#,
            quoted(Revision::NEWEST_OF_SESSIONS.as_str()),
            // Whoever reads this and can do without a session, does.
            quoted(Revision::V2026_07_28.as_str()),
        );
        let answer = ask(&self.inner, "initialize", &params).await?;
        let begun = Begun::of(&answer)?;
        if let Some(told) = Message::notification("notifications/initialized", None) {
            Arc::clone(&self.inner).take(told, nowhere()).await;
        }
        let (to, from) = mpsc::channel(HEARD);
        self.inner.listen(to);
        drop(tokio::spawn(Arc::clone(self).hear(from)));
        Ok(begun)
    }

    /// Hands on what the server says of its own accord, to those who asked for it.
    async fn hear(self: Arc<Self>, mut from: mpsc::Receiver<Message>) {
        while let Some(message) = from.recv().await {
            match message.kind() {
                Kind::Request { id, .. } => {
                    // Which of the requests under way it belongs to, a session does not say.
                    let what = "this client has no session, and cannot be asked";
                    let refused = Message::failure(Some(id), METHOD_NOT_FOUND, what);
                    Arc::clone(&self.inner).take(refused, nowhere()).await;
                }
                Kind::Notification { method: "notifications/message" } => {
                    let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
                    drop(logs.open.last().map(|(_, out)| out.try_send(message)));
                }
                Kind::Notification { .. } => self.listens.tell(&message),
                Kind::Response { .. } => {}
            }
        }
    }

    /// Passes a request on, and its answer back.
    async fn pass(
        &self,
        begun: &Begun,
        (id, method): (&Id, &str),
        message: &Message,
        out: &Outbox,
    ) {
        let level = message.meta().and_then(|meta| meta.text_of(LEVEL));
        if let Some(level) = &level {
            if !begun.passes() {
                self.log_at(begun, level).await;
            }
            self.logs_mut(|logs| logs.push((id.clone(), out.clone())));
        }
        let (to, mut from) = mpsc::channel::<Message>(HEARD);
        let back = async {
            while let Some(message) = from.recv().await {
                let is_answer = matches!(message.kind(), Kind::Response { .. });
                let message =
                    if is_answer { begun.answered(id, method, &message) } else { message };
                drop(out.send(message).await);
            }
        };
        let inward = if begun.passes() { message.clone() } else { answer::without_era(message) };
        tokio::join!(Arc::clone(&self.inner).take(inward, to), back);
        if level.is_some() {
            self.logs_mut(|logs| logs.retain(|(open, _)| open != id));
        }
    }

    fn logs_mut(&self, change: impl FnOnce(&mut Vec<(Id, Outbox)>)) {
        change(&mut self.logs.lock().unwrap_or_else(PoisonError::into_inner).open);
    }

    /// Sets how much the server logs, when that is not as it was.
    async fn log_at(&self, begun: &Begun, level: &str) {
        let last = {
            let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
            logs.level.replace(level.to_owned())
        };
        if begun.can("logging") && last.as_deref() != Some(level) {
            let params = format!(r#"{{"level":{}}}"#, quoted(level));
            // A server that does not take it logs as it likes.
            drop(ask(&self.inner, "logging/setLevel", &params).await);
        }
    }
}

/// Asks the conversation behind something of our own; an error is an `Err`.
async fn ask<C: Conversation>(
    inner: &Arc<C>,
    method: &str,
    params: &str,
) -> Result<Message, Message> {
    // No client of this revision has the conversation's ids but through us.
    let id = Id::Text(format!("stateless {method} {}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let gone = || Message::failure(Some(&id), crate::wire::INTERNAL_ERROR, "there is no answer");
    let request = Message::request(&id, method, Some(params)).ok_or_else(gone)?;
    let (to, mut from) = mpsc::channel::<Message>(HEARD);
    let answer = async {
        let mut answer = None;
        while let Some(message) = from.recv().await {
            if matches!(message.kind(), Kind::Response { .. }) {
                answer = Some(message);
            }
        }
        answer
    };
    let ((), answer) = tokio::join!(Arc::clone(inner).take(request, to), answer);
    let answer = answer.ok_or_else(gone)?;
    if answer.error().is_some() { Err(answer) } else { Ok(answer) }
}

/// Whether a request answers what a server wanted to know before it answers.
fn answers(message: &Message) -> bool {
    let said = |key| message.params().is_some_and(|params| params.get(key).is_some());
    ["inputResponses", "requestState"].into_iter().any(said)
}

fn nowhere() -> Outbox {
    mpsc::channel(1).0
}

static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

/// What a client of this revision may ask.
const METHODS: [&str; 10] = [
    "completion/complete",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "server/discover",
    "subscriptions/listen",
    "tools/call",
    "tools/list",
];
/// What it may ask besides of a server that has tasks, which are an extension.
const TASKS: [&str; 3] = ["tasks/cancel", "tasks/get", "tasks/update"];
const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Why a request that answers something is not passed on to a server with sessions.
const UNASKED: &str = "this server has sessions, and asks nothing in the middle of a request; leave out `inputResponses` and `requestState`";
/// Messages that wait to be handed on.
const HEARD: usize = 64;
