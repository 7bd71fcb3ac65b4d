//! What does the client want done, and may it be? Each act is a proposal; what was judged is what is sent.

use super::Talk;
use super::rest::{self, Shape};
use super::tools::Generation;
use crate::config::AT_ONCE_MAX;
use crate::doors::calls::Whose;
use bartizan_gate::call::{Authorized, Door, Outcome, Proposed};
use bartizan_gate::effect::{Content, Effector, Warrant};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::taint::Reading;
use bartizan_gate::tool::Effect;
use bartizan_mcp::conversation::Outbox;
use bartizan_mcp::era;
use bartizan_mcp::upstream::Progress;
use bartizan_mcp::way_out::{self, Framing, Hiding};
use bartizan_mcp::wire::{INTERNAL_ERROR, INVALID_PARAMS, Id, Message};
use bartizan_scan::json::{View, quoted};
use bartizan_scan::{Sanitiser, display_line};
use bartizan_store::{Desk, QuestionState};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;
use tokio::time::sleep;

/// One act, read from a request.
pub(super) struct Act {
    /// The method that it is sent by.
    method: &'static str,
    /// The gate's name of it.
    tool: String,
    /// The server's own name, for a tool.
    own: Option<String>,
    /// What is judged, for the gate.
    value: Value,
    /// The same as it was sent.
    text: String,
    /// The other parameters, which no policy judges: `_meta`, `task`.
    rest: Vec<(String, String)>,
}

/// Why a request is no act.
pub(super) type Misread = &'static str;

impl Act {
    /// Reads `tools/call`.
    pub(super) fn of_tool(tool: String, own: &str, params: View<'_>) -> Result<Self, Misread> {
        let mut rest = Vec::new();
        let (mut value, mut text) = (json!({}), "{}".to_owned());
        for (key, member) in params.members() {
            match key {
                "name" => {}
                "arguments" if member.is_table() && !member.node().has_twins() => {
                    value = member.exact().ok_or(ROUNDED)?;
                    text = member.compact();
                }
                "_meta" | "task" | "inputResponses" | "requestState" => {
                    rest.push((key.to_owned(), member.compact()));
                }
                _ => return Err("`tools/call` takes `name`, `arguments`, `task` and `_meta`"),
            }
        }
        Ok(Self { method: "tools/call", tool, own: Some(own.to_owned()), value, text, rest })
    }

    /// Reads any other act, of which every parameter is judged.
    pub(super) fn of_other(
        method: &'static str,
        tool: String,
        params: Option<View<'_>>,
    ) -> Result<Self, Misread> {
        let (mut value, mut parts, mut rest) = (serde_json::Map::new(), Vec::new(), Vec::new());
        // What a client answers in the middle of a request goes to whoever asked it, as it does where there are sessions.
        let answers = matches!(method, "prompts/get" | "resources/read");
        for (key, member) in params.into_iter().flat_map(View::members) {
            if matches!(key, "_meta" | "requestState") || (answers && key == "inputResponses") {
                rest.push((key.to_owned(), member.compact()));
                continue;
            }
            value.insert(key.to_owned(), member.exact().ok_or(ROUNDED)?);
            parts.push(format!("{}:{}", quoted(key), member.compact()));
        }
        let text = format!("{{{}}}", parts.join(","));
        Ok(Self { method, tool, own: None, value: Value::Object(value), text, rest })
    }

    /// Whether it is a call of a tool.
    pub(super) fn is_tool(&self) -> bool {
        self.own.is_some()
    }

    /// The method that it is sent by, and what is judged.
    pub(super) fn asked(&self) -> (&'static str, &Value) {
        (self.method, &self.value)
    }

    /// What it is, to tell whether another is the same: the gate's name of the tool, and the arguments.
    pub(super) fn what(&self) -> (String, String) {
        (self.tool.clone(), self.text.clone())
    }

    /// It with what the server remembers it by, as JSON.
    pub(super) fn remembered_by(mut self, state: String) -> Self {
        self.rest.retain(|(key, _)| key != "requestState");
        self.rest.push(("requestState".to_owned(), state));
        self
    }

    /// What is judged: the gate's name of the tool, and the arguments.
    pub(super) fn judged(self) -> (String, Value) {
        (self.tool, self.value)
    }

    /// The parameters as they are sent, the judged ones from the warrant.
    fn params(&self, warrant: &Warrant<'_>, token: Option<i64>) -> String {
        let judged = match warrant.arguments() {
            same if *same == self.value => self.text.clone(),
            other => other.to_string(),
        };
        let mut parts = Vec::new();
        if let Some(own) = &self.own {
            parts.push(format!("\"name\":{},\"arguments\":{judged}", quoted(own)));
        } else if let Some(inner) = judged.strip_prefix('{').and_then(|text| text.strip_suffix('}'))
            && !inner.is_empty()
        {
            parts.push(inner.to_owned());
        }
        for (key, json) in &self.rest {
            let json = match (key.as_str(), token) {
                ("_meta", Some(token)) => super::with_token(json, token),
                _ => json.clone(),
            };
            parts.push(format!("{}:{json}", quoted(key)));
        }
        format!("{{{}}}", parts.join(","))
    }
}

impl Talk {
    /// Leads an act through the gate and, when it may be, to the server; gives the client's answer.
    pub(super) async fn act(
        &self,
        id: &Id,
        (act, whose): (Act, &Whose),
        message: &Message,
        out: &Outbox,
    ) -> Message {
        let token = message.meta().and_then(|meta| meta.get("progressToken"));
        let progress =
            token.map(|token| Progress { token: token.raw().to_owned(), to: out.clone() });
        let generation = match self.generation(message.meta()).await {
            Ok(generation) => generation,
            Err(why) => return Message::failure(Some(id), INTERNAL_ERROR, &why),
        };
        let (is_tool, tool) = (act.is_tool(), act.tool.clone());
        let shape = generation.shape(act.own.as_deref());
        let gate = &generation.gate;
        let held = match self.held(&act, &generation) {
            Some(held) => Some(held),
            None => match self.waits(&act).await {
                Ok(waits) => waits,
                Err(why) => return Message::failure(Some(id), INTERNAL_ERROR, &why),
            },
        };
        if let Some(refused) = held {
            let (caller, id_shown) = (&self.parts.caller, id.to_string());
            let refused = gate.refused_by_door(
                caller,
                Door::Mcp,
                &tool,
                &act.value,
                Some(&id_shown),
                refused,
            );
            return refusal(id, is_tool, &refused);
        }
        let proposal = || {
            Proposed::new(&self.parts.caller, Door::Mcp, act.tool.clone(), act.value.clone())
                .referring_to(display_line(&id.to_string(), 64))
        };
        let propose = || whose.propose(gate, proposal);
        let authorized = match self.judged(gate, (&tool, &propose), progress.as_ref()).await {
            Ok(authorized) => authorized,
            Err(refused) => return refusal(id, is_tool, &refused),
        };
        let source = format!("mcp {}", act.tool);
        let frame = self.parts.frames.of(&authorized.call().to_string());
        let framing = self.parts.framing.then_some(Framing { frame, source });
        let stateless = era::is_stateless(message);
        let (talk, id_sent) = (self, id.clone());
        let forward = Forward { talk, id: id_sent, act, progress, framing, stateless, shape };
        let executed = gate.pipeline().perform(authorized, forward).await;
        let answer = match gate.pipeline().release(executed) {
            Ok(released) => released.into_output(),
            Err(refused) => return refusal(id, is_tool, &refused),
        };
        self.passing(id, &generation, answer, (&tool, shape))
    }

    /// What the client gets of an answer that was released, once the run knows what it reads.
    fn passing(
        &self,
        id: &Id,
        generation: &Generation,
        answer: Carried,
        (tool, shape): (&str, Shape),
    ) -> Message {
        let gate = &generation.gate;
        let Carried { message: answer, framing, hiding, .. } = answer;
        let Some(answer) = self.paged(answer, framing.as_ref(), (tool, shape)) else {
            return Message::failure(Some(id), INTERNAL_ERROR, TOO_LARGE);
        };
        let (source, trust) = (format!("result of {tool}"), gate.pipeline().trust_of(tool));
        gate.sanitised(&self.parts.caller, &source, &hiding);
        aside(is_large(&answer), || {
            for text in way_out::spoken(&answer) {
                let reading = Reading { source: &source, trust, text: &text };
                gate.read(&self.parts.caller, &reading);
            }
        });
        answer
    }

    /// Why a tool that the gate may know is not to be called: it is not, or not any more, what was accepted.
    fn held(&self, act: &Act, generation: &Generation) -> Option<Refusal> {
        let own = act.own.as_ref().filter(|own| generation.held.contains(*own))?;
        // The next call looks whether somebody has accepted it.
        self.stale.store(true, Ordering::Release);
        let tool = display_line(&format!("mcp__{}__{own}", self.parts.server), 160);
        Some(Refusal::ToolHeld { tool, server: self.parts.server.clone() })
    }

    /// Asks the gate; while people are asked, a client that wants to hear of progress is kept waiting.
    async fn judged(
        &self,
        gate: &crate::app::Gate,
        (tool, propose): (&str, &(dyn Fn() -> Proposed + Sync)),
        progress: Option<&Progress>,
    ) -> Result<Authorized, Refusal> {
        let mut wait = Wait::new(gate, &*self.parts.desk, self.parts.hold);
        let known = gate.pipeline().catalogue().get(tool);
        // What changes something is on the disk before it happens, and a disk is waited for.
        let waits = known.is_none_or(|tool| tool.effect() != Effect::Read);
        loop {
            let refused = match aside(waits, || gate.decide(propose())) {
                Ok(authorized) => return Ok(authorized),
                Err(refused) => refused,
            };
            if !wait.over(&refused, progress).await {
                return Err(refused);
            }
        }
    }
}

/// How a client is kept while people are asked.
pub(super) struct Wait<'d> {
    gate: &'d crate::app::Gate,
    desk: &'d dyn Desk,
    hold: Duration,
    until: Instant,
    beats: u32,
}

impl<'d> Wait<'d> {
    pub(super) fn new(gate: &'d crate::app::Gate, desk: &'d dyn Desk, hold: Duration) -> Self {
        Self { gate, desk, hold, until: Instant::now() + hold, beats: 0 }
    }

    /// Waits until people have answered what `refused` asks them. `false` when there is nothing to wait for, nobody
    /// who hears of it, or no time left.
    pub(super) async fn over(&mut self, refused: &Refusal, progress: Option<&Progress>) -> bool {
        let (Refusal::ApprovalRequired { question, .. }, Some(progress)) = (refused, progress)
        else {
            return false;
        };
        if self.beats == 0 && !self.hold.is_zero() {
            let most = self.hold.as_secs();
            self.gate.say(&format!("bartizan: the call of question {question} is kept waiting for its answer, {most} s at most"));
        }
        loop {
            let state = self.desk.question(question).map(|question| question.state);
            match state {
                Ok(QuestionState::Pending) if Instant::now() < self.until => {}
                Ok(QuestionState::Pending) | Err(_) => {
                    self.gave_up(question);
                    return false;
                }
                Ok(_) => return Instant::now() < self.until,
            }
            if self.beats.is_multiple_of(BEAT) {
                heartbeat(progress, self.beats, question);
            }
            self.beats = self.beats.saturating_add(1);
            sleep(POLL).await;
        }
    }

    /// A call that nobody waited for has gone back at once; this one did not.
    fn gave_up(&self, question: &str) {
        if self.beats > 0 {
            self.gate.say(&format!("bartizan: the call of question {question} waits no more; its client was told to make it again once a person has answered"));
        }
    }
}

/// Tells the client that a person is asked. The figure grows by so little that whatever the server tells
/// later is more.
fn heartbeat(progress: &Progress, beats: u32, question: &str) {
    let params = format!(
        "{{\"progressToken\":{},\"progress\":{:.9},\"message\":{}}}",
        progress.token,
        f64::from(beats + 1) * 1e-9,
        quoted(&format!("waiting for a person: bartizan approvals approve {question}"))
    );
    if let Some(told) = Message::notification("notifications/progress", Some(&params)) {
        drop(progress.to.try_send(told));
    }
}

/// A refusal as the client reads it: the code and one sentence.
pub(super) fn refusal(id: &Id, is_tool: bool, refused: &Refusal) -> Message {
    let said = format!("{}: {refused}", refused.code());
    if !is_tool {
        return Message::failure(Some(id), INVALID_PARAMS, &said);
    }
    let mut meta = json!({ "bartizan/code": refused.code() });
    if let (Refusal::ApprovalRequired { question, .. }, Some(meta)) =
        (refused, meta.as_object_mut())
    {
        meta.insert("bartizan/question".to_owned(), json!(question));
    }
    let result =
        json!({ "content": [{ "type": "text", "text": said }], "isError": true, "_meta": meta });
    Message::success(id, &result.to_string())
        .unwrap_or_else(|| Message::failure(Some(id), INTERNAL_ERROR, refused.code()))
}

/// Sends the act to the server, under its warrant.
struct Forward<'t> {
    talk: &'t Talk,
    id: Id,
    act: Act,
    progress: Option<Progress>,
    framing: Option<Framing>,
    stateless: bool,
    shape: Shape,
}

/// The client's answer, before it has gone the way out.
struct Carried {
    message: Message,
    id: Id,
    framing: Option<Framing>,
    sanitiser: Sanitiser,
    /// How many bytes of it pass at once.
    page: usize,
    /// What hid in it, once it has gone the way out.
    hiding: Hiding,
}

impl Carried {
    fn new(message: Message, id: Id, framing: Option<Framing>, talk: &Talk) -> Self {
        let (sanitiser, page) = (talk.parts.sanitiser, talk.parts.page);
        Self { message, id, framing, sanitiser, page, hiding: Hiding::new() }
    }
}

impl Content for Carried {
    fn scrub(self, scrub: &dyn Fn(&str) -> String) -> Self {
        let Self { message, id, framing, sanitiser, page, .. } = self;
        // What does not pass at once gets its markers page by page.
        let (now, later) = match framing {
            framing if message.as_str().len() > page => (None, framing),
            framing => (framing, None),
        };
        let released = aside(is_large(&message), || {
            way_out::release(&message, now.as_ref(), scrub, sanitiser)
        });
        let (message, hiding) = released.unwrap_or_else(|why| {
            (Message::failure(Some(&id), INTERNAL_ERROR, &why.to_string()), Hiding::new())
        });
        Self { message, id, framing: later, sanitiser, page, hiding }
    }
}

impl Effector for Forward<'_> {
    type Output = Carried;

    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, Carried) {
        let Self { talk, id, act, progress, framing, stateless, shape } = self;
        let failed = |code: &str, what: &str| {
            let answer = Message::failure(Some(&id), INTERNAL_ERROR, what);
            let carried = Carried::new(answer, id.clone(), None, talk);
            (Outcome::failed(code, json!({ "by": "server" })), carried)
        };
        let own = talk.parts.upstream.next();
        let params = act.params(warrant, progress.is_some().then_some(own));
        let ticket = match talk.parts.upstream.ask(own, act.method, Some(&params), progress) {
            Ok(ticket) => ticket,
            Err(gone) => return failed("server-gone", &gone.to_string()),
        };
        let answer = match tokio::time::timeout(talk.parts.patience, ticket.answer()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(gone)) => return failed("server-gone", &gone.to_string()),
            Err(_) => return failed("server-silent", "the server did not answer in time"),
        };
        let bytes = answer.as_str().len();
        if !rest::may_pass(&answer, talk.parts.page, shape) {
            let what = format!(
                "the server's answer has {bytes} bytes, of which {AT_ONCE_MAX} pass; ask for less"
            );
            return failed("result-too-large", &what);
        }
        let Some(answer) = answer.with_id(&id) else {
            return failed("result-unread", "the server's answer cannot be read");
        };
        // A server that has sessions asks by itself; to whoever is in one, this says nothing.
        let answer = match if stateless { talk.wanting(&act, answer) } else { Ok(answer) } {
            Ok(answer) => answer,
            Err(why) => return failed("question-refused", &why),
        };
        let is_error = answer.result().and_then(|result| result.get("isError"));
        let is_error =
            answer.error().is_some() || is_error.is_some_and(|flag| flag.raw() == "true");
        let details = json!({ "bytes": bytes });
        let outcome = if is_error {
            Outcome::failed("tool-failed", details)
        } else {
            Outcome::succeeded(details)
        };
        (outcome, Carried::new(answer, id, framing, talk))
    }
}

/// Does what takes long without keeping other messages waiting, as far as the runtime has a thread for that.
pub(super) fn aside<T>(takes_long: bool, what: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    if takes_long && matches!(flavor, Ok(RuntimeFlavor::MultiThread)) {
        block_in_place(what)
    } else {
        what()
    }
}

pub(super) fn is_large(message: &Message) -> bool {
    message.as_str().len() > LARGE
}

const ROUNDED: Misread = "a number in it has more digits than can be judged, or a text is no text";
// What was asked for may be done, and must not be done again for the sake of its answer.
const TOO_LARGE: &str =
    "the call was made; its answer is larger than may pass, and cannot be read in pages";
/// From so many bytes on, the way out of a message takes longer than another thread takes to wake.
const LARGE: usize = 16 * 1024;
/// How often the desk is looked at.
const POLL: Duration = Duration::from_millis(250);
/// Looks between two words to the client.
const BEAT: u32 = 20;
