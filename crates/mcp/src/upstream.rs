//! Which answer belongs to which question? One MCP server's end of the line: every request of ours has an id of our
//! own, so that an answer to a question that nobody asked, or a second answer, meets nobody.

mod shortened;

use crate::stdio::{Flawed, Line};
use crate::wire::{INTERNAL_ERROR, INVALID_REQUEST, Id, Kind, METHOD_NOT_FOUND, Message};
use bartizan_scan::json::Edits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::{Notify, oneshot};

/// One server.
#[derive(Debug)]
pub struct Upstream {
    to: Sender<Message>,
    state: Mutex<State>,
    answers: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: i64,
    open: HashMap<i64, Open>,
    gone: Option<Gone>,
}

#[derive(Debug)]
struct Open {
    answer: oneshot::Sender<Message>,
    progress: Option<Progress>,
}

/// Where progress of a request goes.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "one without the other leads nowhere")]
pub struct Progress {
    /// The token that the client knows it by, as JSON.
    pub token: String,
    /// Who hears of it.
    pub to: Sender<Message>,
}

/// What a server says that is no answer and no progress.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a message is one of three kinds")]
pub enum Heard {
    /// It asks something; the answer goes to [`Upstream::tell`].
    Asked(Message),
    /// It tells something.
    Told(Message),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Gone {
    /// The server closed its end.
    #[error("the server has ended")]
    Ended,
    /// Too many requests wait.
    #[error("too many requests of the server wait for an answer")]
    Busy,
    /// It said more in one message than it may.
    #[error(
        "the server sent a message that is larger than one may be, and is not listened to any more"
    )]
    Endless,
    /// The way to it has ended, for this reason.
    #[error("{0}")]
    Over(String),
    /// It does not take what is sent.
    #[error("the server does not read what it is sent")]
    Stuck,
}

impl Upstream {
    /// A server that hears what is sent to `to`.
    pub fn new(to: Sender<Message>) -> Arc<Self> {
        Arc::new(Self { to, state: Mutex::default(), answers: Notify::new() })
    }

    /// Listens to the server until it ends; then every open request has its end as well.
    pub async fn attend(self: Arc<Self>, mut from: Receiver<Line>, heard: Sender<Heard>) -> Gone {
        let mut flaws = 0usize;
        let gone = loop {
            match from.recv().await {
                None => break Gone::Ended,
                Some(Ok(message)) => self.hear(message, &heard),
                Some(Err(Flawed::Endless(_))) => break Gone::Endless,
                Some(Err(Flawed::Over(why))) => break Gone::Over(why),
                // Careless servers print to their output; that is no message and passes nowhere.
                Some(Err(Flawed::Unread(_))) => {
                    flaws += 1;
                    if flaws > FLAWS_MAX {
                        break Gone::Endless;
                    }
                }
            }
        };
        let mut state = self.lock();
        state.gone = Some(gone.clone());
        // Dropping the senders is the answer.
        state.open.clear();
        gone
    }

    /// Asks the server. `params` is the JSON of an object, and `id` came from [`Upstream::next`]; where progress is
    /// wanted, `id` is the progress token in `params`.
    pub fn ask(
        self: &Arc<Self>,
        id: i64,
        method: &str,
        params: Option<&str>,
        progress: Option<Progress>,
    ) -> Result<Ticket, Gone> {
        let message = Message::request(&Id::Number(id), method, params).ok_or(Gone::Busy)?;
        let (answer, reply) = oneshot::channel();
        {
            let mut state = self.lock();
            if let Some(gone) = &state.gone {
                return Err(gone.clone());
            }
            if state.open.len() >= OPEN_MAX {
                return Err(Gone::Busy);
            }
            state.open.insert(id, Open { answer, progress });
        }
        if self.to.try_send(message).is_err() {
            self.lock().open.remove(&id);
            return Err(Gone::Stuck);
        }
        Ok(Ticket { upstream: Arc::clone(self), id, reply: Some(reply) })
    }

    /// Resolves when it has answered something that was asked, after this was called.
    pub fn answered(&self) -> impl Future<Output = ()> {
        self.answers.notified()
    }

    /// Why it answers no more, once that is so.
    pub fn gone(&self) -> Option<Gone> {
        self.lock().gone.clone()
    }

    /// The id of the next request, which is its progress token as well.
    pub fn next(&self) -> i64 {
        let mut state = self.lock();
        state.next += 1;
        state.next
    }

    /// Sends what needs no answer: a notification, or an answer to the server's question.
    pub fn tell(&self, message: Message) {
        // A server that does not read misses it; its next question shows that it is stuck.
        drop(self.to.try_send(message));
    }

    fn hear(&self, message: Message, heard: &Sender<Heard>) {
        match message.kind() {
            Kind::Response { id: Some(Id::Number(id)) } => {
                let open = self.lock().open.remove(id);
                if open.is_some() {
                    self.answers.notify_waiters();
                }
                // Whoever asked may have gone meanwhile.
                drop(open.map(|open| open.answer.send(message)));
            }
            Kind::Response { .. } => {}
            Kind::Notification { .. } if message.size() > UNASKED_MAX => {
                if let Some(short) = shortened::shortened(&message, UNASKED_MAX) {
                    self.hear(short, heard);
                }
            }
            Kind::Notification { method: "notifications/progress" } => self.progress(&message),
            Kind::Notification { .. } => drop(heard.try_send(Heard::Told(message))),
            Kind::Request { .. } => self.asked(message, heard),
        }
    }

    fn asked(&self, message: Message, heard: &Sender<Heard>) {
        let Some(id) = message.id().cloned() else { return };
        if message.method() == Some("ping") {
            if let Some(answer) = Message::success(&id, "{}") {
                self.tell(answer);
            }
            return;
        }
        // What the client's model is to answer may hold a whole conversation.
        if message.size() > UNASKED_MAX && message.method() != Some("sampling/createMessage") {
            let what = format!("a question may have {UNASKED_MAX} bytes");
            self.tell(Message::failure(Some(&id), INVALID_REQUEST, &what));
            return;
        }
        if heard.try_send(Heard::Asked(message)).is_err() {
            let what = "too many questions of this server wait";
            self.tell(Message::failure(Some(&id), INTERNAL_ERROR, what));
        }
    }

    fn progress(&self, message: &Message) {
        let Some(token) = message.params().and_then(|params| params.get("progressToken")) else {
            return;
        };
        let Ok(id) = token.raw().parse::<i64>() else { return };
        let progress = self.lock().open.get(&id).and_then(|open| open.progress.clone());
        let Some(progress) = progress else { return };
        let mut edits = Edits::default();
        edits.replace(token.node(), progress.token);
        // A client that does not read misses progress, and nobody waits for it.
        drop(message.edited(edits).map(|message| progress.to.try_send(message)));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to a question of the server that does not pass.
pub fn not_allowed(id: &Id, method: &str) -> Message {
    Message::failure(Some(id), METHOD_NOT_FOUND, &format!("`{method}` is not allowed here"))
}

/// A question that waits for its answer. Dropped before that, it is cancelled at the server.
#[derive(Debug)]
pub struct Ticket {
    upstream: Arc<Upstream>,
    id: i64,
    reply: Option<oneshot::Receiver<Message>>,
}

impl Ticket {
    /// Waits for the answer.
    pub async fn answer(mut self) -> Result<Message, Gone> {
        let Some(reply) = self.reply.as_mut() else { return Err(Gone::Ended) };
        let came = reply.await;
        self.reply = None;
        came.map_err(|_| self.upstream.lock().gone.clone().unwrap_or(Gone::Ended))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.reply.is_none() {
            return;
        }
        self.upstream.lock().open.remove(&self.id);
        let params = format!(r#"{{"requestId":{},"reason":"the client cancelled it"}}"#, self.id);
        let told = Message::notification("notifications/cancelled", Some(&params));
        if let Some(told) = told {
            self.upstream.tell(told);
        }
    }
}

/// Requests that may wait at one server.
const OPEN_MAX: usize = 1024;
/// What a server may say at a time without being asked, in bytes: it is looked through between the calls of all servers, and
/// waits in memory for whoever listens.
const UNASKED_MAX: usize = 64 * 1024;
/// Lines that are no messages, before a server is not listened to any more.
const FLAWS_MAX: usize = 1000;
