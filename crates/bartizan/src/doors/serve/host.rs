//! What stands behind each client's conversation? A `bartizan mcp` of its own: its gate, its box, its server. So no client
//! meets what another has left in a server, and one that dies or hangs takes nobody with it.

mod behind;
mod lines;

use crate::config::own;
use bartizan_mcp::conversation::{Conversation, Host, OpenError, Outbox, Revision, Who};
use bartizan_mcp::wire::{INTERNAL_ERROR, INVALID_PARAMS, Id, Kind, Message};
use bartizan_scan::json::{Edits, View};
pub(crate) use behind::Doors;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

/// Starts a `bartizan mcp` for each conversation.
#[derive(Debug)]
pub(crate) struct Behind {
    /// This program.
    pub(crate) program: PathBuf,
    /// What comes before `mcp`: where configuration and state are.
    pub(crate) global: Vec<OsString>,
    /// What comes after it: its flags, `--`, and the server's command.
    pub(crate) rest: Vec<OsString>,
    /// What the server is called in the names of its tools; `None` when it is all that are configured.
    pub(crate) server: Option<String>,
    /// Those that were started.
    pub(crate) doors: Doors,
}

impl Behind {
    pub(crate) fn new(
        program: PathBuf,
        global: Vec<OsString>,
        rest: Vec<OsString>,
        server: Option<String>,
    ) -> Self {
        Self { program, global, rest, server, doors: Doors::default() }
    }
}

/// One client's conversation.
pub(crate) struct Talk {
    to: Mutex<Option<mpsc::Sender<Message>>>,
    state: Mutex<State>,
    /// The only tools, by the server's own names.
    tools: Option<BTreeSet<String>>,
}

#[derive(Default)]
struct State {
    open: HashMap<Id, Open>,
    listener: Option<Outbox>,
    asked: u64,
    gone: bool,
}

/// A request that has no answer yet.
struct Open {
    out: Outbox,
    /// The progress token that it came with, as it is written, and the one that it went on with.
    token: Option<(String, String)>,
    lists_tools: bool,
    turn: u64,
    /// Dropped when the answer is out.
    _done: oneshot::Sender<()>,
}

impl Open {
    /// Whether progress under this token is its own.
    fn goes_by(&self, raw: &str) -> bool {
        self.token.as_ref().is_some_and(|(_, own)| own == raw)
    }
}

impl Host for Behind {
    type Conversation = Talk;

    fn open(&self, who: &Who, _: Revision) -> Result<Arc<Talk>, OpenError> {
        let unavailable = |_| OpenError::Unavailable("the server cannot be started".to_owned());
        #[expect(
            clippy::disallowed_methods,
            reason = "it is this very program; the box that it starts is the sandbox's"
        )]
        let mut command = Command::new(&self.program);
        command.args(&self.global).args(["mcp", "--agent", &who.role]).args(&self.rest);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(unavailable)?;
        self.doors.add(child.id());
        let ends = child.stdin.take().zip(child.stdout.take());
        let piped = ends.and_then(|(stdin, stdout)| {
            let to = pipe::Sender::from_owned_fd(OwnedFd::from(stdin)).ok()?;
            Some((to, pipe::Receiver::from_owned_fd(OwnedFd::from(stdout)).ok()?))
        });
        let Some((stdin, stdout)) = piped else {
            reap(child);
            return Err(OpenError::Unavailable("the server has no pipes".to_owned()));
        };
        let (to, sent) = mpsc::channel(WAITING);
        let (heard, from) = mpsc::channel(WAITING);
        drop(tokio::spawn(lines::write(stdin, sent)));
        drop(tokio::spawn(lines::read(stdout, heard)));
        let own = |name: &String| match &self.server {
            Some(server) => name.strip_prefix(&format!("mcp__{server}__")).map(str::to_owned),
            // Those of servers are `SERVER__TOOL` there, and the declared ones what they are.
            None => Some(name.strip_prefix("mcp__").unwrap_or(name).to_owned()),
        };
        let tools = who.tools.as_ref().map(|tools| tools.iter().filter_map(own).collect());
        let talk = Talk { to: Mutex::new(Some(to)), state: Mutex::default(), tools };
        let talk = Arc::new(talk);
        drop(tokio::spawn(Arc::clone(&talk).attend(from, child)));
        Ok(talk)
    }
}

impl Conversation for Talk {
    async fn take(self: Arc<Self>, message: Message, out: Outbox) {
        let Some(message) = message.packed() else {
            let what = "what its headers say cannot be passed on";
            return drop(out.send(Message::failure(message.id(), INVALID_PARAMS, what)).await);
        };
        let (message, done) = match message.kind() {
            Kind::Request { id, method } => {
                let id = id.clone();
                if let Some(refused) = self.refuses(&message, method) {
                    drop(out.send(Message::failure(Some(&id), INVALID_PARAMS, &refused)).await);
                    return;
                }
                let Some((message, done)) = self.register(id.clone(), message, out.clone()) else {
                    drop(out.send(ended(&id)).await);
                    return;
                };
                (message, Some(done))
            }
            Kind::Notification { method: "notifications/cancelled" } => {
                // No answer follows, so nobody waits for one.
                let id = message.params().and_then(|params| params.get("requestId")).map(View::raw);
                self.state().open.retain(|known, _| Some(known.to_json().as_str()) != id);
                (message, None)
            }
            Kind::Notification { .. } | Kind::Response { .. } => (message, None),
        };
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(to) = to {
            drop(to.send(message).await);
        }
        drop(out);
        if let Some(done) = done {
            // It fails when the answer is out, which is what is waited for.
            drop(done.await);
        }
    }

    fn listen(&self, out: Outbox) {
        self.state().listener = Some(out);
    }

    fn close(&self) {
        // The door behind us ends when nobody writes to it any more, and its box with it.
        drop(self.to.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut state = self.state();
        state.gone = true;
        state.open.clear();
        state.listener = None;
    }
}

impl Talk {
    /// Why this request is beyond what its token is narrowed to.
    fn refuses(&self, message: &Message, method: &str) -> Option<String> {
        let tools = self.tools.as_ref()?;
        match method {
            "tools/call" => {
                let name = message.params().and_then(|params| params.text_of("name"));
                // To read on is part of the call whose answer it is.
                let good = |name: &str| tools.contains(name) || name == own::READ_ON;
                let listed = name.as_ref().is_some_and(|name| good(name));
                (!listed).then(|| "this token is not good for that tool".to_owned())
            }
            "initialize" | "logging/setLevel" | "ping" | "server/discover" | "tools/list" => None,
            // A token for some tools is one for nothing else, whatever else there may be one day.
            _ => Some("this token is good for tools alone".to_owned()),
        }
    }

    /// Takes up a request, which goes on as it comes, but for a progress token that another one has: two clients that show
    /// the same credential count alike, and each is to hear of its own.
    fn register(
        &self,
        id: Id,
        message: Message,
        out: Outbox,
    ) -> Option<(Message, oneshot::Receiver<()>)> {
        let (done, answered) = oneshot::channel();
        let mut state = self.state();
        if state.gone {
            return None;
        }
        state.asked += 1;
        let (turn, lists_tools) = (state.asked, message.method() == Some("tools/list"));
        let token = message.meta().and_then(|meta| meta.get("progressToken"));
        let raw = token.map(|token| token.raw().to_owned());
        let taken = |raw: &String| state.open.values().any(|open| open.goes_by(raw));
        let own = raw.as_ref().filter(|raw| taken(raw)).map(|_| format!("\"{OWN}{turn}\""));
        let edited = token.zip(own.as_ref()).and_then(|(token, own)| {
            let mut edits = Edits::default();
            edits.replace(token.node(), own.clone());
            message.edited(edits)
        });
        let token = raw.map(|raw| (raw.clone(), own.unwrap_or(raw)));
        state.open.insert(id, Open { out, token, lists_tools, turn, _done: done });
        Some((edited.unwrap_or(message), answered))
    }

    /// Hands on what the door behind says, until it has ended.
    async fn attend(self: Arc<Self>, mut from: mpsc::Receiver<Message>, child: Child) {
        while let Some(message) = from.recv().await {
            self.hand_on(message).await;
        }
        let left: Vec<_> = {
            let mut state = self.state();
            state.gone = true;
            state.listener = None;
            state.open.drain().collect()
        };
        for (id, open) in left {
            drop(open.out.send(ended(&id)).await);
        }
        drop(self.to.lock().unwrap_or_else(PoisonError::into_inner).take());
        reap(child);
    }

    async fn hand_on(&self, message: Message) {
        if let Kind::Response { id: Some(id) } = message.kind() {
            let open = self.state().open.remove(id);
            if let Some(open) = open {
                let message = if open.lists_tools { self.narrowed(message) } else { message };
                drop(open.out.send(message).await);
            }
            return;
        }
        if let Some((message, out)) = self.progress(&message) {
            drop(out.send(message).await);
            return;
        }
        let (to, listener) = self.whom(&message);
        match (to, listener) {
            (Some(out), _) => drop(out.send(message).await),
            // Who listens and does not read misses what it does not read.
            (None, Some(listener)) => drop(listener.try_send(message)),
            (None, None) => {}
        }
    }

    /// Progress of an open request, under the token that its client knows, and who hears of it.
    fn progress(&self, message: &Message) -> Option<(Message, Outbox)> {
        let token = match message.kind() {
            Kind::Notification { method: "notifications/progress" } => {
                message.params()?.get("progressToken")?
            }
            _ => return None,
        };
        let state = self.state();
        let open = state.open.values().find(|open| open.goes_by(token.raw()))?;
        let (theirs, own) = open.token.as_ref()?;
        let out = open.out.clone();
        if theirs == own {
            return Some((message.clone(), out));
        }
        let mut edits = Edits::default();
        edits.replace(token.node(), theirs.clone());
        Some((message.edited(edits)?, out))
    }

    /// The request that a message belongs to, as far as that can be told, and who listens to the rest.
    fn whom(&self, message: &Message) -> (Option<Outbox>, Option<Outbox>) {
        let state = self.state();
        let listener = state.listener.clone();
        let newest = || {
            let newest = state.open.values().max_by_key(|open| open.turn);
            newest.map(|open| open.out.clone())
        };
        let to = match message.kind() {
            Kind::Notification { method: "notifications/message" } | Kind::Request { .. } => {
                newest()
            }
            Kind::Notification { .. } => {
                // What a request asked to hear of names it.
                let meta = message.meta();
                let own = meta.and_then(|meta| meta.get("io.modelcontextprotocol/subscriptionId"));
                let own = own.map(View::raw);
                let open = state.open.iter().find(|(id, _)| Some(id.to_json().as_str()) == own);
                open.map(|(_, open)| open.out.clone())
            }
            Kind::Response { .. } => None,
        };
        (to, listener)
    }

    /// A list of tools without those that the token is not good for.
    fn narrowed(&self, message: Message) -> Message {
        let Some(tools) = &self.tools else { return message };
        let Some(list) = message.result().and_then(|result| result.get("tools")) else {
            return message;
        };
        let kept = list.items().into_iter().flatten().filter(|tool| {
            let good = |name: &str| tools.contains(name) || name == own::READ_ON;
            tool.text_of("name").is_some_and(|name| good(&name))
        });
        let kept: Vec<&str> = kept.map(View::raw).collect();
        let mut edits = Edits::default();
        edits.replace(list.node(), format!("[{}]", kept.join(",")));
        let failure = || {
            Message::failure(message.id(), INTERNAL_ERROR, "the list of tools cannot be narrowed")
        };
        message.edited(edits).unwrap_or_else(failure)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended(id: &Id) -> Message {
    Message::failure(Some(id), INTERNAL_ERROR, "the server has ended; begin a new session")
}

/// Waits for a door's end, and makes it when it does not come.
fn reap(mut child: Child) {
    drop(std::thread::spawn(move || {
        let begun = Instant::now();
        while matches!(child.try_wait(), Ok(None)) {
            if begun.elapsed() > LAST_WORDS {
                // Its keeper ends the box when the door is gone.
                drop(child.kill());
                drop(child.wait());
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }));
}

/// How a progress token of ours begins.
const OWN: &str = "bartizan-token-";
const WAITING: usize = 256;
/// How long a door may take to end with its box and what that has changed.
const LAST_WORDS: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
