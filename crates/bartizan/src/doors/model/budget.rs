//! How much may a session, and each role in it, use up? Counted at the model door, where every turn passes.

use crate::config::Limits;
use crate::doors::calls::Subagent;
use bartizan_gate::name::RoleName;
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Seat;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of one session.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    roles: BTreeMap<RoleName, Purse>,
}

#[derive(Debug, Default)]
struct Purse {
    limits: Limits,
    tokens: AtomicU64,
    requests: AtomicU64,
    calls: AtomicU64,
}

impl Budget {
    /// A session's counts, all at nothing.
    pub(crate) fn new(limits: impl IntoIterator<Item = (RoleName, Limits)>) -> Self {
        let purse = |(role, limits)| (role, Purse { limits, ..Purse::default() });
        Self { roles: limits.into_iter().map(purse).collect() }
    }

    /// Counts a request, or refuses it. What a subagent uses up, its parent does too.
    pub(super) fn request(&self, seat: &Seat, agent: Option<&Subagent>) -> Result<(), Refusal> {
        for (role, purse) in self.purses(seat, agent) {
            within(
                role,
                "model tokens",
                purse.limits.model_tokens,
                purse.tokens.load(Ordering::Relaxed),
            )?;
            let made = purse.requests.fetch_add(1, Ordering::Relaxed);
            within(role, "model requests", purse.limits.model_requests, made)?;
        }
        Ok(())
    }

    /// Counts a call that no model has proposed, or refuses it.
    pub(crate) fn unproposed(&self, seat: &Seat) -> Result<(), Refusal> {
        self.call(seat, None)
    }

    /// Counts a proposed call, or refuses it.
    pub(super) fn call(&self, seat: &Seat, agent: Option<&Subagent>) -> Result<(), Refusal> {
        for (role, purse) in self.purses(seat, agent) {
            let made = purse.calls.fetch_add(1, Ordering::Relaxed);
            within(role, "tool calls", purse.limits.tool_calls, made)?;
        }
        Ok(())
    }

    /// Counts tokens.
    pub(super) fn spent(&self, seat: &Seat, agent: Option<&Subagent>, tokens: u64) {
        for (_, purse) in self.purses(seat, agent) {
            purse.tokens.fetch_add(tokens, Ordering::Relaxed);
        }
    }

    /// The session's own role, and the subagent's where that is another.
    fn purses<'a>(
        &'a self,
        seat: &'a Seat,
        agent: Option<&'a Subagent>,
    ) -> impl Iterator<Item = (&'a RoleName, &'a Purse)> {
        let of_agent = agent.map(|agent| agent.role(seat)).filter(|role| **role != seat.role);
        std::iter::once(&seat.role)
            .chain(of_agent)
            .filter_map(|role| self.roles.get(role).map(|purse| (role, purse)))
    }
}

fn within(role: &RoleName, of: &'static str, limit: Option<u64>, used: u64) -> Result<(), Refusal> {
    match limit {
        Some(limit) if used >= limit => {
            Err(Refusal::BudgetSpent { role: role.to_string(), of, limit })
        }
        _ => Ok(()),
    }
}
