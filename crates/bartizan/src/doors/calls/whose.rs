//! Whose call is it that reaches the gateway? Nobody says so there: what a model has proposed is known from the register, and what no
//! model has proposed may be of any agent that starts programs in the session's box.

use crate::app::Gate;
use bartizan_gate::call::Proposed;
use bartizan_gate::name::RoleName;
use bartizan_gate::policy::Verdict;
use bartizan_gate::seat::Seat;

/// The client's word on which of its agents asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subagent {
    pub(crate) id: String,
    pub(crate) kind: String,
}

impl Subagent {
    /// Its role in this session.
    pub(crate) fn role<'s>(&self, seat: &'s Seat) -> &'s RoleName {
        seat.subagents.get(&(seat.role.clone(), self.kind.clone())).unwrap_or(&seat.role)
    }
}

/// The subagents that a call may be of, besides the session's own agent: none, where it is that one's for certain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Whose(Vec<Subagent>);

impl Whose {
    /// A call that this agent's model has proposed.
    pub(crate) fn of(agent: Option<Subagent>) -> Self {
        Self(agent.into_iter().collect())
    }

    /// A call that no model has proposed, where programs of subagents of these kinds may run.
    pub(super) fn unproposed<'k>(kinds: impl IntoIterator<Item = &'k String>) -> Self {
        let agent = |kind: &String| Subagent { id: UNPROPOSED.to_owned(), kind: kind.clone() };
        Self(kinds.into_iter().map(agent).collect())
    }

    /// The roles of these subagents.
    pub(crate) fn roles<'s>(&'s self, seat: &'s Seat) -> impl Iterator<Item = &'s RoleName> {
        self.0.iter().map(|agent| agent.role(seat))
    }

    /// The proposal, of the one that may do the least. Each is judged together with the session's agent.
    pub(crate) fn propose(&self, gate: &Gate, proposal: impl Fn() -> Proposed) -> Proposed {
        let by = |agent: &Subagent| proposal().by_subagent(&*agent.kind, &*agent.id);
        let strictness = |agent: &&Subagent| match gate.pipeline().explain(by(agent)) {
            Ok(judged) => match judged.verdict {
                Verdict::Allow => 0,
                Verdict::Ask { quorum } => u64::from(quorum),
                Verdict::Deny => u64::MAX,
            },
            Err(_) => u64::MAX,
        };
        match &*self.0 {
            [] => proposal(),
            [only] => by(only),
            several => several.iter().max_by_key(strictness).map_or_else(&proposal, by),
        }
    }
}

/// The id on the log of a subagent that may have made a call by a program of its own.
const UNPROPOSED: &str = "unproposed";
