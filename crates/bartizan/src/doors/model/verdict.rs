//! May the client carry out what the model proposes? Each call is a proposal of the agent's, judged before
//! the client has heard of it.

use super::budget::Budget;
use super::scrub::refusal_sentence;
use crate::app::Gate;
use crate::desk::patience::Patience;
use crate::doors::calls::{Act, Calls, StandIn, callable};
use bartizan_gate::call::{Door, Proposed};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Caller;
use bartizan_scan::display_line;
use bartizan_scan::json::{Doc, quoted};
use serde_json::{Value, json};
use std::sync::Arc;

/// Who judges the calls of one answer, and for whom.
#[derive(Debug, Clone)]
pub(super) struct Bench {
    pub(super) gate: Arc<Gate>,
    pub(super) caller: Caller,
    pub(super) calls: Arc<Calls>,
    pub(super) budget: Arc<Budget>,
    pub(super) agent: Option<Subagent>,
}

/// The client's word on which of its agents asks.
#[derive(Debug, Clone)]
pub(super) struct Subagent {
    pub(super) id: String,
    pub(super) kind: String,
}

/// A call as the model wrote it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// The arguments, as JSON.
    pub(super) input: String,
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
        let act = Act::of(&call.name, arguments.as_ref().unwrap_or(&Value::Null), &workspace);
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
        if !callable(&call.name) {
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
        let propose = || {
            let proposed = Proposed::new(&self.caller, Door::Model, &*call.name, arguments.clone())
                .referring_to(&*reference);
            match &self.agent {
                Some(agent) => proposed.by_subagent(&*agent.kind, &*agent.id),
                None => proposed,
            }
        };
        let granted = self.gate.decide_held(propose, patience)?;
        let delegated = self.gate.pipeline().delegate(granted.authorized);
        self.calls.allow(&call.id, agent, act, delegated);
        Ok(())
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
        let original = (call.input.len() <= ORIGINAL_MAX
            && Doc::read(call.input.as_bytes()).is_ok())
        .then(|| {
            format!(
                "{{\"type\":\"tool_use\",\"id\":{},\"name\":{},\"input\":{}}}",
                quoted(&call.id),
                quoted(&call.name),
                call.input
            )
        });
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

/// Larger refused calls are not kept to be shown to the model again.
const ORIGINAL_MAX: usize = 64 * 1024;
