//! Who asks? Known by the socket the request came in on; a client's word can only narrow it.

use crate::call::Subagent;
use crate::name::{AgentId, RoleName, SessionId};
use crate::refusal::Refusal;
use crate::seat::Caller;

/// Proof of who asks, and of everybody it must be judged for.
#[derive(Debug)]
pub(crate) struct Identified {
    session: SessionId,
    /// Ancestors first, the asking agent last; never empty.
    chain: Vec<Principal>,
    asking: Principal,
}

/// An agent and the role it acts in.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) agent: AgentId,
    pub(crate) role: RoleName,
}

impl Identified {
    pub(crate) fn session(&self) -> &SessionId {
        &self.session
    }

    pub(crate) fn agent(&self) -> &AgentId {
        &self.asking.agent
    }

    pub(crate) fn role(&self) -> &RoleName {
        &self.asking.role
    }

    /// INVARIANT: whoever reads a verdict asks for every one of these, so that a subagent can never
    /// do what its parent may not.
    pub(crate) fn chain(&self) -> &[Principal] {
        &self.chain
    }
}

pub(crate) fn check(caller: &Caller, subagent: Option<&Subagent>) -> Result<Identified, Refusal> {
    let seat = caller.seat();
    let main = Principal { agent: AgentId::main(), role: seat.role.clone() };
    let Some(subagent) = subagent else {
        return Ok(Identified {
            session: seat.session.clone(),
            chain: vec![main.clone()],
            asking: main,
        });
    };
    let agent =
        main.agent.child(&subagent.kind, &subagent.id).map_err(|_| Refusal::AgentUnknown)?;
    let role = seat
        .subagents
        .get(&(main.role.clone(), subagent.kind.clone()))
        .unwrap_or(&main.role)
        .clone();
    let asking = Principal { agent, role };
    Ok(Identified { session: seat.session.clone(), chain: vec![main, asking.clone()], asking })
}
