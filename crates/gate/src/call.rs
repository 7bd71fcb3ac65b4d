//! What is this proposal by now? The life of a call as types; each step consumes the one before.
//!
//! `Proposed → (Pending) → Authorized → Executed → Released`, and `Authorized → Delegated` for doors
//! that only answer. Every field is private, and each type is made in one place, so what was checked
//! is what runs, once, with a record, and nothing unscrubbed comes back.

use crate::gates::{Cleared, Granted, Identified, Limited, Listed, Rated, Scoped};
use crate::name::{AgentId, CallId, RoleName, SessionId};
use crate::policy::Policy;
use crate::seat::Caller;
use crate::tool::Effect;
use bartizan_store::Receipt;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// The door that a proposal came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Door {
    /// `bartizan policy explain` and other questions that lead to no act.
    Explain,
    /// A client's own hook; it only asks, the client acts.
    Hook,
    /// The MCP gateway.
    Mcp,
    /// The model API.
    Model,
    /// A connection that left the box.
    Net,
    /// `bartizan run`.
    Run,
    /// `bartizan tool call`: a person tries a declared tool as an agent of a role would call it.
    Tool,
}

/// What an agent wants to do: words only, nothing has been checked.
#[derive(Debug)]
#[must_use = "a proposal that is not decided is lost without a record"]
pub struct Proposed {
    pub(crate) caller: Caller,
    pub(crate) door: Door,
    pub(crate) subagent: Option<Subagent>,
    pub(crate) tool: String,
    pub(crate) arguments: Value,
    pub(crate) reference: Option<String>,
    pub(crate) veiled: Option<&'static str>,
    pub(crate) again: Option<Again>,
    pub(crate) doubted: Option<String>,
}

/// A client's word that a call comes from a subagent. It can only narrow what the call may do,
/// because the call is judged for every ancestor as well.
#[derive(Debug, Clone)]
pub(crate) struct Subagent {
    pub(crate) kind: String,
    pub(crate) id: String,
}

/// A call of an earlier run, made again in a conversation that goes on: the client's ids of both.
#[derive(Debug, Clone)]
pub(crate) struct Again {
    pub(crate) conversation: String,
    pub(crate) call: String,
}

impl Proposed {
    /// A proposal by the agent of `caller`'s session.
    pub fn new(caller: &Caller, door: Door, tool: impl Into<String>, arguments: Value) -> Self {
        Self {
            caller: caller.clone(),
            door,
            subagent: None,
            tool: tool.into(),
            arguments,
            reference: None,
            veiled: None,
            again: None,
            doubted: None,
        }
    }

    /// The same proposal, made by a subagent of that agent.
    pub fn by_subagent(mut self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.subagent = Some(Subagent { kind: kind.into(), id: id.into() });
        self
    }

    /// Adds the client's own id of the call, by which the log can be joined with the client's.
    pub fn referring_to(mut self, id: impl Into<String>) -> Self {
        self.reference = Some(id.into());
        self
    }

    /// The same call was proposed in an earlier run of this conversation and did not happen. Only a person lets it through:
    /// what that run had read, and whose words these were, this one does not know. What a person answered to it when it
    /// was [deferred](crate::pipeline::Pipeline::defer) counts.
    pub fn made_again(mut self, conversation: impl Into<String>, call: impl Into<String>) -> Self {
        self.again = Some(Again { conversation: conversation.into(), call: call.into() });
        self
    }

    /// Somebody who was asked about the call doubts it, or could not be asked: a person looks at it whatever policy says,
    /// and is shown `why`. It makes no call possible that would not be.
    pub fn doubted(mut self, why: impl Into<String>) -> Self {
        self.doubted = Some(why.into());
        self
    }

    /// Whose proposal it is.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The door that it came in by.
    pub fn door(&self) -> Door {
        self.door
    }

    /// Keeps the value of one argument off the log: it opens something for whoever reads it, such as the name of a
    /// session at a server. It is judged like any other, it is in the digest, and people who are asked see it.
    pub fn veiling(mut self, argument: &'static str) -> Self {
        self.veiled = Some(argument);
        self
    }
}

/// What the gate makes of a proposal that it does not refuse.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third answer must break every door that does not know it"
)]
#[must_use = "an authorised call that is dropped is recorded and never happens"]
pub enum Decision {
    /// It may happen now.
    Allow(Authorized),
    /// It may happen once enough people have said yes.
    Ask(Pending),
}

/// A call that waits for people. It cannot be performed: it has no receipt.
#[derive(Debug)]
#[must_use = "nobody is asked until the pending call is handed to `Pipeline::ask`"]
pub struct Pending {
    pub(crate) call: CallId,
    pub(crate) checked: CheckedCall,
    pub(crate) quorum: u32,
}

impl Pending {
    /// How many different people must agree.
    pub fn quorum(&self) -> u32 {
        self.quorum
    }
}

/// The proofs of the gates that come before approval.
#[derive(Debug)]
pub(crate) struct CheckedCall {
    /// The policy that judged it.
    pub(crate) policy: Arc<Policy>,
    pub(crate) door: Door,
    pub(crate) reference: Option<String>,
    /// The argument whose value is not for the log.
    pub(crate) veiled: Option<&'static str>,
    /// Why a person looks at it whatever policy says.
    pub(crate) doubted: Option<String>,
    pub(crate) identified: Identified,
    pub(crate) listed: Listed,
    pub(crate) scoped: Scoped,
    pub(crate) rated: Rated,
    pub(crate) granted: Granted,
    pub(crate) limited: Limited,
}

/// A call that passed every gate and is on the log. One field per gate: leave a gate out and this
/// cannot be built.
#[derive(Debug)]
#[must_use = "an authorised call that is dropped is recorded and never happens"]
pub struct Authorized {
    pub(crate) call: CallId,
    pub(crate) door: Door,
    pub(crate) reference: Option<String>,
    pub(crate) identified: Identified,
    pub(crate) listed: Listed,
    pub(crate) scoped: Scoped,
    pub(crate) rated: Rated,
    pub(crate) cleared: Cleared,
    pub(crate) granted: Granted,
    pub(crate) _limited: Limited,
    pub(crate) receipt: Receipt,
}

impl Authorized {
    /// The call's id in the log.
    pub fn call(&self) -> &CallId {
        &self.call
    }

    /// The session it belongs to.
    pub fn session(&self) -> &SessionId {
        self.identified.session()
    }

    /// Who proposed it.
    pub fn agent(&self) -> &AgentId {
        self.identified.agent()
    }

    /// The role it was judged under.
    pub fn role(&self) -> &RoleName {
        self.identified.role()
    }

    /// The door it came in by.
    pub fn door(&self) -> Door {
        self.door
    }

    /// The client's own id of the call, if it gave one.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// What the call can do to the world.
    pub fn effect(&self) -> Effect {
        self.rated.effect()
    }

    /// Who said yes, where somebody had to.
    pub fn approvers(&self) -> &[String] {
        self.cleared.approvers()
    }

    /// The record that was durable before this value existed.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }
}

/// A call that the client, not we, carries out: no secret, no box, no warrant comes with it.
#[derive(Debug)]
#[must_use = "hand it to `Pipeline::returned` when the client reports the result"]
pub struct Delegated {
    pub(crate) authorized: Authorized,
}

impl Delegated {
    /// The call's id in the log.
    pub fn call(&self) -> &CallId {
        &self.authorized.call
    }
}

/// How an act ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ended {
    /// It was dropped in mid-effect; what it had done by then is unknown.
    Abandoned,
    /// It failed by itself.
    Failed,
    /// A wall that stands behind the gate stopped it.
    Stopped,
    /// It did what it was to do.
    Succeeded,
}

/// What an effector says of its act, for the log.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub(crate) ended: Ended,
    pub(crate) code: Option<String>,
    pub(crate) details: Value,
}

impl Outcome {
    /// The act succeeded; `details` is a JSON object of figures for the log.
    pub fn succeeded(details: Value) -> Self {
        Self { ended: Ended::Succeeded, code: None, details }
    }

    /// The act failed by itself.
    pub fn failed(code: impl Into<String>, details: Value) -> Self {
        Self { ended: Ended::Failed, code: Some(code.into()), details }
    }

    /// A wall behind the gate stopped it: the wrong SNI, a private address, a limit.
    pub fn stopped(code: impl Into<String>, details: Value) -> Self {
        Self { ended: Ended::Stopped, code: Some(code.into()), details }
    }

    /// The stable code of a failure or a stop.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// How it ended.
    pub fn ended(&self) -> &Ended {
        &self.ended
    }
}

/// An act that has happened and whose output nobody has read yet.
#[derive(Debug)]
#[must_use = "only `Pipeline::release` makes the output readable"]
pub struct Executed<T> {
    pub(crate) call: CallId,
    pub(crate) session: SessionId,
    pub(crate) outcome: Outcome,
    pub(crate) output: T,
}

/// Output that has gone the way out and is on the log: the only thing a door writes toward an agent.
#[derive(Debug)]
#[must_use = "this is what the door was waiting for"]
pub struct Released<T> {
    pub(crate) output: T,
    pub(crate) outcome: Outcome,
}

impl<T> Released<T> {
    /// The scrubbed output.
    pub fn output(&self) -> &T {
        &self.output
    }

    /// The scrubbed output, by value.
    pub fn into_output(self) -> T {
        self.output
    }

    /// How the act ended.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}
