//! May the client carry out what the model proposes? Each call is a proposal of the agent's, judged before
//! the client has heard of it.

use super::budget::Budget;
use super::scrub::refusal_sentence;
use crate::app::Gate;
use crate::desk::patience::Patience;
use crate::doors::calls::carried::By;
use crate::doors::calls::{Act, Calls, PutOff, StandIn, Subagent};
use crate::doors::codex;
use crate::doors::gemini;
use bartizan_gate::call::{Delegated, Door, Outcome, Proposed};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Caller;
use bartizan_scan::display_line;
use bartizan_scan::json::{Doc, quoted};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Who judges the calls of one answer, and for whom.
#[derive(Debug, Clone)]
pub(super) struct Bench {
    pub(super) gate: Arc<Gate>,
    pub(super) caller: Caller,
    pub(super) calls: Arc<Calls>,
    pub(super) budget: Arc<Budget>,
    pub(super) agent: Option<Subagent>,
    /// The conversation, where its client can put a call off.
    pub(super) conversation: Option<String>,
}

/// A call as the model wrote it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// The arguments, as JSON.
    pub(super) input: String,
    /// How another API than Messages writes it.
    pub(super) written: Option<Written>,
}

/// A call as a client's history holds it.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) act: Act,
    /// The call as it came, to be shown to the model again; `None` when that cannot be.
    pub(super) original: Option<String>,
    /// Whose names of tools and arguments it has.
    pub(super) words: Words,
}

/// A client with names of its own for what the gate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Codex,
    Gemini,
}

/// What the client gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The call.
    Pass,
    /// A call that no client has a tool for, with these arguments.
    StandIn { input: String },
}

impl Bench {
    /// Judges one call; it is on the log when this returns. It may wait for the disk, and for a person while the client
    /// waits for them.
    pub(super) fn judge(&self, call: &Call, patience: &Patience) -> Verdict {
        let read = Doc::read(call.input.as_bytes());
        let arguments: Option<Value> = match &read {
            Ok(doc) if doc.root().is_table() => serde_json::from_str(&call.input).ok(),
            _ => None,
        };
        let workspace = self.caller.seat().workspace.to_string();
        let act = told(call, arguments.as_ref().unwrap_or(&Value::Null), &workspace);
        let agent = self.agent.as_ref().map(|agent| agent.id.as_str());
        let decided = match arguments {
            Some(arguments) => self.decide(call, &arguments, (agent, &act), patience),
            None => Err(self.malformed(call)),
        };
        match decided {
            Ok(()) => Verdict::Pass,
            Err(refused) => self.refuse(call, agent, &act, &refused),
        }
    }

    fn decide(
        &self,
        call: &Call,
        arguments: &Value,
        (agent, act): (Option<&str>, &Act),
        patience: &Patience,
    ) -> Result<(), Refusal> {
        let reference = display_line(&call.id, 128);
        if !self.calls.callable(&call.name) {
            let refused = Refusal::ToolUnknown { tool: display_line(&call.name, 128) };
            return Err(self.gate.refused_by_door(
                &self.caller,
                Door::Model,
                &call.name,
                arguments,
                Some(&reference),
                refused,
            ));
        }
        if let Err(refused) = self.budget.call(self.caller.seat(), self.agent.as_ref()) {
            return Err(self.gate.refused_by_door(
                &self.caller,
                Door::Model,
                &call.name,
                arguments,
                Some(&reference),
                refused,
            ));
        }
        let named = |tool: String| self.proposed(tool, arguments.clone(), &reference);
        let by = By { seat: self.caller.seat(), agent: self.agent.as_ref() };
        if let Some(left) = self.calls.leaves(&self.gate, (&call.name, arguments), by, named) {
            self.calls.leave(&call.id, by, act, left);
        } else {
            match self.waited(call, (&reference, self.means(call, arguments)), act, patience)? {
                Some(acts) => {
                    self.calls.acts(by);
                    self.calls.allow(&call.id, agent, act, acts);
                }
                // It has not happened, and its hook tells the client not to carry it out.
                None => return Ok(()),
            }
        }
        if let Some(written) = &call.written {
            self.calls.written(&call.id, agent, &written.act);
        }
        Ok(())
    }

    /// The acts that a call stands for: one, or more where a tool of Codex's does several things.
    fn means(&self, call: &Call, arguments: &Value) -> Vec<(String, Value)> {
        let one = |name: String| vec![(name, arguments.clone())];
        if let Some(known) = self.calls.known_as(&self.gate, &call.name) {
            return one(known);
        }
        let workspace = || self.caller.seat().workspace.to_string();
        let is_known = || self.gate.pipeline().catalogue().get(&call.name).is_some();
        match call.written.as_ref().map(|written| written.words) {
            Some(Words::Codex) if !is_known() => codex::means(&call.name, arguments, &workspace()),
            Some(Words::Gemini) => vec![gemini::means(&call.name, arguments, &workspace())],
            Some(Words::Codex) | None => one(call.name.clone()),
        }
    }

    /// What comes of the acts once people have been waited for. Nothing when the client shall put the call off.
    fn waited(
        &self,
        call: &Call,
        (reference, acts): (&str, Vec<(String, Value)>),
        act: &Act,
        patience: &Patience,
    ) -> Result<Option<Vec<Delegated>>, Refusal> {
        let conversation = self.conversation.as_ref().filter(|_| self.agent.is_none());
        let Some((conversation, place)) = conversation.zip(self.calls.place()) else {
            return self.each(reference, acts, patience).map(Some);
        };
        let patience = patience.within(place.terms().after);
        loop {
            let refused = match self.each(reference, acts.clone(), &patience) {
                Ok(allowed) => return Ok(Some(allowed)),
                Err(refused) => refused,
            };
            let Refusal::ApprovalRequired { question, .. } = &refused else { return Err(refused) };
            // Somebody elsewhere may answer.
            while self.gate.pipeline().waits(question) && !patience.is_over() {
                let left = patience.left().unwrap_or_default();
                if left.is_zero() {
                    let sentence = format!("{}: {refused}", refused.code());
                    let off = PutOff::new(&call.id, act, conversation, question).saying(sentence);
                    self.calls.defer(&place, act, off);
                    return Ok(None);
                }
                std::thread::sleep(left.min(LOOKS));
            }
            if patience.is_over() {
                return Err(refused);
            }
        }
    }

    /// Proposes each act; the first refusal ends those before it, because a call happens whole or not at all.
    fn each(
        &self,
        reference: &str,
        acts: Vec<(String, Value)>,
        patience: &Patience,
    ) -> Result<Vec<Delegated>, Refusal> {
        let pipeline = self.gate.pipeline();
        let mut allowed = Vec::new();
        for (tool, arguments) in acts {
            let propose = || self.proposed(tool.clone(), arguments.clone(), reference);
            match self.gate.decide_held(propose, patience) {
                Ok(granted) => allowed.push(pipeline.delegate(granted.authorized)),
                Err(refused) => {
                    for delegated in allowed {
                        let outcome = Outcome::stopped("part-refused", json!({ "by": "gate" }));
                        let executed = pipeline.returned(delegated, outcome, String::new());
                        drop(pipeline.release(executed)?);
                    }
                    return Err(refused);
                }
            }
        }
        Ok(allowed)
    }

    /// A proposal of the agent that this answer is for.
    fn proposed(&self, tool: String, arguments: Value, reference: &str) -> Proposed {
        let proposed = Proposed::new(&self.caller, Door::Model, tool, arguments);
        let proposed = proposed.referring_to(reference);
        match &self.agent {
            Some(agent) => proposed.by_subagent(&*agent.kind, &*agent.id),
            None => proposed,
        }
    }

    fn malformed(&self, call: &Call) -> Refusal {
        let refused = Refusal::ArgumentsInvalid {
            tool: display_line(&call.name, 128),
            what: "they are not one JSON object with one reading".to_owned(),
        };
        let arguments = json!({ "text": call.input });
        let reference = display_line(&call.id, 128);
        self.gate.refused_by_door(
            &self.caller,
            Door::Model,
            &call.name,
            &arguments,
            Some(&reference),
            refused,
        )
    }

    fn refuse(&self, call: &Call, agent: Option<&str>, act: &Act, refused: &Refusal) -> Verdict {
        let tool = display_line(&call.name, 128);
        let sentence = refusal_sentence(&tool, refused);
        let original = match &call.written {
            Some(written) => written.original.clone(),
            None => tool_use(call),
        };
        let original = original.filter(|original| original.len() <= ORIGINAL_MAX);
        // Not the sentence: it may quote the call, and no part of that is the client's.
        let question = match refused {
            Refusal::ApprovalRequired { question, .. } => Some(question),
            _ => None,
        };
        let input = json!({ "tool": tool, "refusal": refused.code(), "question": question });
        let input = input.to_string();
        self.calls.refuse(&call.id, agent, act, StandIn { original, sentence });
        Verdict::StandIn { input }
    }
}

/// The act as the client's hook will tell it.
fn told(call: &Call, arguments: &Value, workspace: &str) -> Act {
    let (tool, arguments) = match call.written.as_ref().map(|written| written.words) {
        Some(Words::Codex) => codex::told(&call.name, arguments, workspace),
        Some(Words::Gemini) => gemini::means(&call.name, arguments, workspace),
        None => return Act::of(&call.name, arguments, workspace),
    };
    Act::of(&tool, &arguments, workspace)
}

/// The block of Messages that a call stood in.
fn tool_use(call: &Call) -> Option<String> {
    Doc::read(call.input.as_bytes()).ok()?;
    let (id, name) = (quoted(&call.id), quoted(&call.name));
    Some(format!("{{\"type\":\"tool_use\",\"id\":{id},\"name\":{name},\"input\":{}}}", call.input))
}

/// How often is looked whether somebody has answered.
const LOOKS: Duration = Duration::from_millis(250);
/// Larger refused calls are not kept to be shown to the model again.
const ORIGINAL_MAX: usize = 64 * 1024;
