//! How does a declared tool come to act? Its arguments are fitted, the call is judged, and what was judged is performed.
//!
//! An irreversible act is written down before it is sent. Whoever dies between, or gets no answer, leaves it in doubt,
//! and the same act is not made again until a person has said what came of it.

mod boxed;
mod sent;

pub(crate) use boxed::Boxes;

use crate::app::Gate;
use crate::config::Tool;
use crate::doors::calls::Whose;
use bartizan_egress::Courier;
use bartizan_gate::call::{Door, Outcome, Proposed};
use bartizan_gate::effect::{Content, Effector, Warrant};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Caller;
use bartizan_gate::tool::Effect;
use bartizan_mcp::declare::{Act, Filled};
use bartizan_mcp::way_out::Hiding;
use bartizan_scan::Sanitiser;
use bartizan_store::{Begun, Digest, EffectEnd, NewEffect, Store};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The declared tools, for one session.
pub(crate) struct ToolsDoor {
    gate: Arc<Gate>,
    /// The session.
    caller: Caller,
    /// Whoever calls in it, who may be narrowed to some of what it may do.
    client: Caller,
    tools: BTreeMap<String, Tool>,
    courier: Courier,
    boxes: Boxes,
    store: Store,
}

/// What an agent gets of a call.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The result: scrubbed, and of an answer no more than the fields that were declared.
    pub(crate) value: Value,
    /// Whether the tool did what it was to do.
    pub(crate) succeeded: bool,
}

impl ToolsDoor {
    /// The door of `caller`'s session.
    pub(crate) fn new(
        gate: Arc<Gate>,
        caller: Caller,
        tools: BTreeMap<String, Tool>,
        (courier, boxes, store): (Courier, Boxes, Store),
    ) -> Self {
        Self { gate, client: caller.clone(), caller, tools, courier, boxes, store }
    }

    /// The same, for a client of that session that may use some tools alone.
    pub(crate) fn called_by(self, client: Caller) -> Self {
        Self { client, ..self }
    }

    /// Proposes a call, and performs it once it may happen.
    pub(crate) async fn call(
        self: &Arc<Self>,
        door: Door,
        whose: &Whose,
        (name, arguments): (&str, Value),
    ) -> Result<Answer, Refusal> {
        let source = format!("result of {name}");
        let (this, name, whose) = (Arc::clone(self), name.to_owned(), whose.clone());
        let decide = move || this.decide(door, &whose, (&name, arguments));
        let decided = tokio::task::spawn_blocking(decide).await;
        let failed = || Refusal::LedgerUnavailable { cause: "the gate failed".to_owned() };
        let authorized = decided.map_err(|_| failed())??;
        let effector = Deed { door: self };
        let executed = self.gate.pipeline().perform(authorized, effector).await;
        let released = self.gate.pipeline().release(executed)?;
        let succeeded = released.outcome().code().is_none();
        let Shown { value, hiding, .. } = released.into_output();
        self.gate.sanitised(&self.caller, &source, &hiding);
        Ok(Answer { value, succeeded })
    }

    fn decide(
        &self,
        door: Door,
        whose: &Whose,
        (name, arguments): (&str, Value),
    ) -> Result<bartizan_gate::call::Authorized, Refusal> {
        if let Some(refused) = self.unfit(name, &arguments) {
            return Err(self.gate.refused_by_door(
                &self.caller,
                door,
                name,
                &arguments,
                None,
                refused,
            ));
        }
        let proposal = || Proposed::new(&self.client, door, name, arguments.clone());
        self.gate.decide(whose.propose(&self.gate, proposal))
    }

    /// Why the call cannot be made as it is, before anybody is asked. The gate judges the rest.
    fn unfit(&self, name: &str, arguments: &Value) -> Option<Refusal> {
        let tool = self.tools.get(name)?;
        if let Err(unfit) = tool.declared.fill(arguments) {
            return Some(Refusal::ArgumentsInvalid {
                tool: name.to_owned(),
                what: unfit.to_string(),
            });
        }
        if tool.declared.effect() != Effect::Irreversible {
            return None;
        }
        let open = digest(name, arguments)
            .and_then(|digest| self.store.open_effect(digest).map_err(|error| error.to_string()));
        match open {
            Ok(None) => None,
            Ok(Some(effect)) => Some(unresolved(name, &effect.id)),
            Err(cause) => Some(Refusal::LedgerUnavailable { cause }),
        }
    }

    async fn act(&self, warrant: &Warrant<'_>) -> (Outcome, Value) {
        let name = warrant.tool().as_str();
        let Some(tool) = self.tools.get(name) else {
            return stopped("tool-gone", "this tool is not there any more");
        };
        // From the warrant's own arguments: what was judged is what is filled in.
        let filled = match tool.declared.fill(warrant.arguments()) {
            Ok(filled) => filled,
            Err(unfit) => return stopped("arguments-invalid", &unfit.to_string()),
        };
        if tool.declared.effect() != Effect::Irreversible {
            return self.perform(tool, filled, warrant, None).await.told();
        }
        match self.begin(warrant) {
            Ok(Begun::Started(effect)) => {
                let doubt = Doubt { store: &self.store, id: Some(effect.id.clone()) };
                let done = self.perform(tool, filled, warrant, Some(&effect.id)).await;
                doubt.settle(done)
            }
            Ok(Begun::Blocked(effect)) => {
                let refused = unresolved(name, &effect.id);
                stopped(refused.code(), &refused.to_string())
            }
            Err(cause) => {
                let (outcome, value) = stopped(
                    "effect-unrecorded",
                    "this act could not be written down, so it was not made",
                );
                drop(outcome);
                (Outcome::stopped("effect-unrecorded", json!({ "why": cause })), value)
            }
        }
    }

    async fn perform(
        &self,
        tool: &Tool,
        filled: Filled,
        warrant: &Warrant<'_>,
        key: Option<&str>,
    ) -> Done {
        match (filled, tool.declared.act()) {
            (Filled::Http(call), Act::Http(_)) => {
                let declared = self.caller.seat().private.contains(&call.target);
                let errand = sent::errand(tool, call, declared, key);
                sent::done(tool, self.courier.send(warrant, errand).await)
            }
            (Filled::Command(argv), Act::Command(command)) => {
                self.boxes.run(&self.gate, &self.caller, tool, command, argv).await
            }
            (Filled::Http(_), Act::Command(_)) | (Filled::Command(_), Act::Http(_)) => {
                Done::not("tool-gone", "this tool is not what it was")
            }
        }
    }

    fn begin(&self, warrant: &Warrant<'_>) -> Result<Begun, String> {
        let tool = warrant.tool().to_string();
        let digest = digest(&tool, warrant.arguments())?;
        let new = NewEffect {
            session: warrant.session().to_string(),
            call: warrant.call().to_string(),
            tool,
            digest,
            // The arguments are on the log, redacted; this is for a list.
            shown: warrant.host().map(ToString::to_string).unwrap_or_default(),
        };
        self.store.begin_effect(new).map_err(|error| error.to_string())
    }
}

/// The act, under its warrant.
struct Deed<'a> {
    door: &'a ToolsDoor,
}

/// What is released: every text of it is scrubbed.
struct Shown {
    value: Value,
    sanitiser: Sanitiser,
    /// What hid in it, once it has gone the way out.
    hiding: Hiding,
}

impl Content for Shown {
    fn scrub(self, scrub: &dyn Fn(&str) -> String) -> Self {
        let Self { value, sanitiser, mut hiding } = self;
        let mut wash = |text: &str| sanitiser.wash(text, &mut |text| scrub(text), &mut hiding);
        let value = each_text(value, &mut wash);
        Self { value, sanitiser, hiding }
    }
}

impl Effector for Deed<'_> {
    type Output = Shown;

    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, Shown) {
        let (outcome, value) = self.door.act(warrant).await;
        let boxes = &self.door.boxes;
        let sanitiser = boxes.config.way_out_of(&boxes.role).sanitiser();
        (outcome, Shown { value, sanitiser, hiding: Hiding::new() })
    }
}

/// What came of an act.
struct Done {
    end: EffectEnd,
    /// A stable code, unless it did what it was to do.
    code: Option<&'static str>,
    details: Value,
    value: Map<String, Value>,
}

impl Done {
    /// Nothing was done.
    fn not(code: &'static str, note: &str) -> Self {
        let value = Map::from_iter([("note".to_owned(), json!(note))]);
        Self { end: EffectEnd::Failed, code: Some(code), details: json!({}), value }
    }

    fn told(self) -> (Outcome, Value) {
        let outcome = match self.code {
            None => Outcome::succeeded(self.details),
            Some(code) => Outcome::failed(code, self.details),
        };
        (outcome, Value::Object(self.value))
    }
}

/// An irreversible act under way. If nobody settles it, because the client went away, it is in doubt.
struct Doubt<'a> {
    store: &'a Store,
    id: Option<String>,
}

impl Doubt<'_> {
    fn settle(mut self, mut done: Done) -> (Outcome, Value) {
        let Some(id) = self.id.take() else { return done.told() };
        let settled = self.store.end_effect(&id, done.end);
        if let Value::Object(details) = &mut done.details {
            details.insert("effect".to_owned(), json!(id));
        }
        if settled.is_err() || done.end == EffectEnd::Ambiguous {
            let note = "whether this happened is not known; a person must find out before the same call is made again";
            done.value.insert("state".to_owned(), json!("ambiguous"));
            done.value.insert("note".to_owned(), json!(note));
            done.value.insert("effect".to_owned(), json!(short(&id)));
            done.code = Some("effect-ambiguous");
        }
        done.told()
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            // If even this fails, the act stays begun, and the next start puts it in doubt.
            drop(self.store.end_effect(&id, EffectEnd::Ambiguous));
        }
    }
}

/// What makes two acts the same: the tool and its arguments, whoever asks.
fn digest(tool: &str, arguments: &Value) -> Result<Digest, String> {
    let call = json!({ "tool": tool, "arguments": arguments });
    let bytes = serde_json_canonicalizer::to_vec(&call).map_err(|error| error.to_string())?;
    Ok(Digest::of(&bytes))
}

fn unresolved(tool: &str, effect: &str) -> Refusal {
    Refusal::EffectUnresolved { tool: tool.to_owned(), effect: short(effect).to_owned() }
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn stopped(code: &str, note: &str) -> (Outcome, Value) {
    (Outcome::stopped(code, json!({})), json!({ "note": note }))
}

fn each_text(value: Value, change: &mut dyn FnMut(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(&text)),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| each_text(item, change)).collect())
        }
        Value::Object(fields) => {
            let changed = fields.into_iter().map(|(name, value)| (name, each_text(value, change)));
            Value::Object(changed.collect())
        }
        Value::Bool(_) | Value::Null | Value::Number(_) => value,
    }
}
