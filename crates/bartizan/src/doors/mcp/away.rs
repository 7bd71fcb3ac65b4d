//! How does a server that is somewhere else hear and answer? Each message is a request of its own, judged as the server's
//! role; what comes back is a message like any other.

mod news;
mod older;
mod resume;

use crate::app::Gate;
use bartizan_egress::{Answer, Courier, Errand, Lost, Place, Reach};
use bartizan_gate::call::{Authorized, Door, Outcome, Proposed};
use bartizan_gate::effect::{Content, Effector, Warrant};
use bartizan_gate::name::HostPort;
use bartizan_gate::seat::{Binding, Caller};
use bartizan_mcp::era;
use bartizan_mcp::events::Events;
use bartizan_mcp::headers::Headers;
use bartizan_mcp::stdio::{Flawed, Line};
use bartizan_mcp::wire::{INTERNAL_ERROR, Id, Kind, Limits, Message};
use bartizan_scan::display_line;
use older::Older;
use resume::Mark;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Where a server is, and how it is reached.
pub(crate) struct Parts {
    /// The gate.
    pub(crate) gate: Arc<Gate>,
    /// The server's own session.
    pub(crate) caller: Caller,
    /// Carries the requests.
    pub(crate) courier: Courier,
    /// Whether they go over TLS.
    pub(crate) secure: bool,
    /// The server's host.
    pub(crate) target: HostPort,
    /// The path of its endpoint.
    pub(crate) path: String,
    /// Which secret goes where with a request.
    pub(crate) places: Vec<(Binding, Place)>,
    /// How long an answer may take.
    pub(crate) patience: Duration,
    /// Where its messages go.
    pub(crate) lines: Sender<Line>,
}

/// A server that is somewhere else.
pub(crate) struct Away {
    parts: Parts,
    state: Mutex<State>,
    headers: Headers,
    older: Older,
    /// Why there is no more to say to it, once that is so.
    lost: watch::Sender<Option<String>>,
}

/// What the server has told of itself.
#[derive(Default, Clone)]
struct State {
    session: Option<String>,
    revision: Option<String>,
}

/// Why a request came to nothing, for whoever waits for it.
type Failed = String;

/// What was said to a message.
enum Heard {
    /// The answer that is waited for.
    Answer,
    /// No answer.
    Nothing,
    /// No answer so far: the stream may be taken up again.
    Until(Mark),
    /// It takes no beginning here: it may be one of the older transport.
    Turned(u16),
}

/// A place at the server.
#[derive(Clone, Copy)]
struct Spot<'a> {
    path: &'a str,
    query: Option<&'a str>,
}

impl Away {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let (state, headers, older) = Default::default();
        Arc::new(Self { parts, state, headers, older, lost: watch::Sender::default() })
    }

    /// Carries messages until there are no more, or the way to the server is lost. Once the conversation has begun, listens to
    /// what the server says of its own accord as well.
    pub(crate) async fn carry(self: Arc<Self>, sent: Receiver<Message>) {
        let mut lost = self.lost.subscribe();
        let why = tokio::select! {
            () = Arc::clone(&self).attend_all(sent) => return,
            why = lost.wait_for(Option::is_some) => why.ok().and_then(|why| why.clone()),
        };
        if let Some(why) = why {
            drop(self.parts.lines.send(Err(Flawed::Over(why))).await);
        }
    }

    async fn attend_all(self: Arc<Self>, mut sent: Receiver<Message>) {
        let (mut under_way, mut news) = (JoinSet::new(), JoinSet::new());
        let mut ends: HashMap<String, AbortHandle> = HashMap::new();
        loop {
            let message = tokio::select! {
                message = sent.recv() => message,
                () = self.older.wanted() => {
                    news.spawn(Arc::clone(&self).attend_older());
                    continue;
                }
            };
            let Some(message) = message else { return };
            while under_way.try_join_next().is_some() {}
            ends.retain(|_, end| !end.is_finished());
            let cancelled = cancelled(&message).and_then(|id| ends.remove(id));
            if let Some(end) = cancelled {
                // Where there are no sessions, to go is to cancel.
                end.abort();
                continue;
            }
            let Kind::Request { id, method } = message.kind() else {
                // It keeps its place among the requests, though not for ever.
                drop(timeout(TOLD, self.post(&message)).await);
                if message.method() == Some("notifications/initialized") && news.is_empty() {
                    news.spawn(Arc::clone(&self).attend());
                }
                continue;
            };
            if under_way.len() >= UNDER_WAY {
                self.failed(id, "too many requests of the server wait for an answer").await;
                continue;
            }
            let (name, stateless) = (id.to_json(), era::is_stateless(&message));
            // A stream of changes ends when the server ends it.
            let patience = (method != "subscriptions/listen").then_some(self.parts.patience);
            let end = under_way.spawn(Arc::clone(&self).answer(message, patience));
            if stateless {
                ends.insert(name, end);
            }
        }
    }

    async fn answer(self: Arc<Self>, message: Message, patience: Option<Duration>) {
        let Kind::Request { id, .. } = message.kind() else { return };
        let posted = match patience {
            Some(patience) => timeout(patience, self.post(&message)).await,
            None => Ok(self.post(&message).await),
        };
        let posted = posted.unwrap_or_else(|_| Err("the server did not answer in time".to_owned()));
        if let Err(why) = posted {
            self.failed(id, &why).await;
        }
    }

    async fn failed(&self, id: &Id, why: &str) {
        let answer = Message::failure(Some(id), INTERNAL_ERROR, why);
        drop(self.parts.lines.send(Ok(answer)).await);
    }

    async fn post(&self, message: &Message) -> Result<(), Failed> {
        if let Some(place) = self.older.place() {
            return self.post_older(message, &place).await;
        }
        let (size, id) = (message.as_str().len(), message.id());
        let authorized = self.judged(("POST", self.spot()), size, id)?;
        let gate = self.parts.gate.pipeline();
        let executed = gate.perform(authorized, Post { away: self, message }).await;
        let released = gate.release(executed).map_err(|refused| refused.to_string())?;
        match released.into_output().0? {
            Heard::Until(mark) => self.resume(message, mark).await,
            Heard::Turned(status) => self.begin_older(message, status).await,
            Heard::Answer | Heard::Nothing => Ok(()),
        }
    }

    /// Where the configuration says that it is.
    fn spot(&self) -> Spot<'_> {
        Spot { path: &self.parts.path, query: None }
    }

    /// Says that there is no way to the server any more.
    fn lose(&self, why: &str) {
        self.lost.send_replace(Some(why.to_owned()));
    }

    fn judged(
        &self,
        goal: (&str, Spot<'_>),
        size: usize,
        about: Option<&Id>,
    ) -> Result<Authorized, Failed> {
        let decided = self.parts.gate.decide(self.proposed(goal, size, about));
        decided.map_err(|refused| format!("{}: {refused}", refused.code()))
    }

    /// Resolves when a policy is in force that does not allow the stream that is listened to.
    async fn withdrawn(&self, replaced: watch::Receiver<()>) {
        let proposed = || self.proposed(("GET", self.spot()), 0, None);
        self.parts.gate.withdrawn(replaced, proposed).await;
    }

    fn proposed(
        &self,
        (method, Spot { path, query }): (&str, Spot<'_>),
        size: usize,
        about: Option<&Id>,
    ) -> Proposed {
        let Parts { caller, secure, target, .. } = &self.parts;
        let mut arguments = json!({
            "host": target.host().to_string(),
            "port": target.port(),
            "scheme": if *secure { "https" } else { "http" },
            "method": method,
            "path": path,
            "size": size,
        });
        if let (Value::Object(arguments), Some(query)) = (&mut arguments, query) {
            arguments.insert("query".to_owned(), json!(query));
        }
        // What a server names there is what tells its sessions apart: whoever has it is in.
        let proposed = Proposed::new(caller, Door::Mcp, "net.request", arguments).veiling("query");
        match about {
            Some(id) => proposed.referring_to(display_line(&id.to_string(), 64)),
            None => proposed,
        }
    }

    fn errand(
        &self,
        warrant: &Warrant<'_>,
        (method, Spot { path, query }): (&str, Spot<'_>),
        message: Option<&Message>,
    ) -> Errand {
        let Parts { secure, target, places, patience, caller, .. } = &self.parts;
        let State { session, revision } = self.lock().clone();
        let mut headers =
            vec![("accept".to_owned(), "application/json, text/event-stream".to_owned())];
        let told = [("mcp-session-id", session), ("mcp-protocol-version", revision)];
        let mirrored = message.map(|message| self.headers.of(message)).unwrap_or_default();
        if mirrored.is_empty() {
            let told = told.into_iter();
            headers.extend(told.filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        headers.extend(mirrored);
        let body = message.map(|message| message.as_str().as_bytes().to_vec());
        let place = warrant.secret().and_then(|secret| {
            let covers = |binding: &Binding| {
                binding.secret == *secret && binding.covers(*secure, target, method, path)
            };
            places.iter().find(|(binding, _)| covers(binding)).map(|(_, place)| place.clone())
        });
        // Policy never opens a private address by itself: the configuration must have named this one.
        let declared = caller.seat().private.contains(target);
        let reach =
            if declared { Reach::public().and_network().and_this_host() } else { Reach::public() };
        Errand {
            secure: *secure,
            target: target.clone(),
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            headers,
            body: body.map(|body| ("application/json", body)),
            place,
            reach,
            answer: STREAM_MAX,
            time: *patience,
        }
    }

    /// Sends one message, and hears what is said to it.
    async fn exchange(
        &self,
        warrant: &Warrant<'_>,
        message: &Message,
    ) -> Result<(u16, Heard), Failed> {
        let errand = self.errand(warrant, ("POST", self.spot()), Some(message));
        let mut answer = self.parts.courier.open(warrant, errand).await.map_err(unanswered)?;
        let status = answer.status();
        let begins = message.method() == Some("initialize");
        let stateless = era::is_stateless(message);
        if status == 404 && !begins && !stateless && self.lock().session.is_some() {
            self.lose(FORGOTTEN);
            return Err(FORGOTTEN.to_owned());
        }
        if begins && !stateless && matches!(status, 400 | 404 | 405) {
            return Ok((status, Heard::Turned(status)));
        }
        // Without sessions, an error has a status of its own.
        let told = (200..300).contains(&status) || stateless && (400..500).contains(&status);
        if !told {
            return Err(turned(status));
        }
        if begins {
            let session = answer.header("mcp-session-id").map(str::to_owned);
            *self.lock() = State { session, revision: None };
        }
        let kind = answer.header("content-type").unwrap_or_default().to_ascii_lowercase();
        let asked = message.id().and(message.method()).map(|_| message);
        let heard = match kind.split(';').next().unwrap_or_default().trim() {
            "text/event-stream" => self.hear_events(&mut answer, asked, Mark::default()).await?,
            "application/json" => self.hear_one(&mut answer, asked).await?,
            _ => Heard::Nothing,
        };
        if asked.is_some() && matches!(heard, Heard::Nothing) {
            return Err(match status {
                200..300 => "the server gave no answer".to_owned(),
                status => turned(status),
            });
        }
        Ok((status, heard))
    }

    async fn hear_one(
        &self,
        answer: &mut Answer,
        asked: Option<&Message>,
    ) -> Result<Heard, Failed> {
        let (mut whole, most) = (Vec::new(), Limits::default().bytes);
        while let Some(piece) = answer.piece().await {
            whole.extend_from_slice(&piece.map_err(|why| why.sentence().to_owned())?);
            if whole.len() > most {
                return Err("the server's answer is larger than one may be".to_owned());
            }
        }
        if whole.trim_ascii().is_empty() {
            return Ok(Heard::Nothing);
        }
        Ok(if self.hear(&whole, asked).await? { Heard::Answer } else { Heard::Nothing })
    }

    async fn hear_events(
        &self,
        answer: &mut Answer,
        asked: Option<&Message>,
        mut mark: Mark,
    ) -> Result<Heard, Failed> {
        let mut events = Events::new(Limits::default().bytes);
        let mut heard = false;
        while let Some(piece) = answer.piece().await {
            let piece = piece.map_err(|why| why.sentence().to_owned())?;
            for event in events.feed(&piece).map_err(|why| why.to_string())? {
                if !event.data.trim_ascii().is_empty() {
                    heard |= self.hear(&event.data, asked).await?;
                }
            }
            // Whatever it would say after its answer, nobody waits for it.
            if heard {
                return Ok(Heard::Answer);
            }
        }
        mark.moves(&events);
        // Where there are no sessions, no stream is taken up.
        let resumes = asked.is_some_and(|asked| !era::is_stateless(asked)) && mark.after.is_some();
        Ok(if resumes { Heard::Until(mark) } else { Heard::Nothing })
    }

    /// Hears one message; says whether it is the answer that is waited for.
    async fn hear(&self, text: &[u8], asked: Option<&Message>) -> Result<bool, Failed> {
        let message = Message::parse(text.trim_ascii(), &Limits::default());
        let message = message.map_err(|error| format!("the server's answer is none: {error}"))?;
        let is_answer = asked.is_some_and(|asked| {
            matches!(message.kind(), Kind::Response { id } if id.is_some() && id == asked.id())
        });
        if let Some(revision) =
            message.result().and_then(|result| result.text_of("protocolVersion"))
            && is_answer
        {
            let mut state = self.lock();
            state.revision.get_or_insert_with(|| revision.into_owned());
        }
        // An answer belongs to its question's own stream.
        if matches!(message.kind(), Kind::Response { .. }) && !is_answer {
            return Ok(false);
        }
        let lists = asked.is_some_and(|asked| asked.method() == Some("tools/list"));
        let message = if is_answer && lists && asked.is_some_and(era::is_stateless) {
            // A tool that wants what no header can say is one that cannot be called.
            self.headers.learn(&message).ok_or("the server's list of tools cannot be read")?
        } else {
            message
        };
        self.pass_on(message).await?;
        Ok(is_answer)
    }

    async fn pass_on(&self, message: Message) -> Result<(), Failed> {
        let sent: Result<(), _> = self.parts.lines.send(Ok(message)).await.map_err(|_| ());
        sent.map_err(|()| "nobody listens any more".to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id, as JSON, of the request that a message cancels.
fn cancelled(message: &Message) -> Option<&str> {
    let cancels = message.method() == Some("notifications/cancelled");
    let params = message.params().filter(|_| cancels)?;
    Some(params.get("requestId")?.raw())
}

fn turned(status: u16) -> Failed {
    format!("the server answered with status {status}")
}

/// Whether an answer is a stream of events.
fn streams(answer: &Answer) -> bool {
    let kind = answer.header("content-type").unwrap_or_default().to_ascii_lowercase();
    answer.status() == 200
        && kind.split(';').next().unwrap_or_default().trim() == "text/event-stream"
}

fn unanswered(lost: Lost) -> Failed {
    match lost {
        Lost::Unanswered(why) | Lost::Unsent(why) | Lost::Unshown(_, why) => {
            why.sentence().to_owned()
        }
    }
}

/// One message under way.
struct Post<'a> {
    away: &'a Away,
    message: &'a Message,
}

/// What was heard, or why there is no answer, in words of ours.
struct Ended(Result<Heard, Failed>);

impl Ended {
    /// How an exchange ended, for the log and for whoever waits.
    fn of(heard: Result<(u16, Heard), Failed>) -> (Outcome, Self) {
        match heard {
            Ok((status, heard @ Heard::Turned(_))) => {
                let why = json!({ "status": status, "why": turned(status) });
                (Outcome::failed("upstream-failed", why), Self(Ok(heard)))
            }
            Ok((status, heard)) => {
                (Outcome::succeeded(json!({ "status": status })), Self(Ok(heard)))
            }
            Err(why) => (Outcome::failed("upstream-failed", json!({ "why": why })), Self(Err(why))),
        }
    }
}

impl Content for Ended {
    fn scrub(self, scrub: &dyn Fn(&str) -> String) -> Self {
        Self(self.0.map_err(|why| scrub(&why)))
    }
}

impl Effector for Post<'_> {
    type Output = Ended;

    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, Ended) {
        Ended::of(self.away.exchange(warrant, self.message).await)
    }
}

/// Why a conversation ends whose session is no more.
const FORGOTTEN: &str = "the server has forgotten the session";
/// Requests of one server that may be under way.
const UNDER_WAY: usize = 64;
/// How long something that needs no answer may take to be taken.
const TOLD: Duration = Duration::from_secs(10);
/// Bytes of everything that is said to one request.
const STREAM_MAX: usize = 64 * 1024 * 1024;
