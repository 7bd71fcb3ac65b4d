//! How much may a session, and each role in it, use up? Counted at the model door, where every turn passes.

use super::answer::in_tokens;
use crate::config::Limits;
use crate::doors::calls::Subagent;
use bartizan_gate::name::RoleName;
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Seat;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;
use tokio::time::timeout_at;

/// The counts of one session.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    roles: BTreeMap<RoleName, Purse>,
    /// What the turns under way may still use up, by role.
    open: Mutex<BTreeMap<RoleName, u64>>,
    closed: Notify,
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
        Self { roles: limits.into_iter().map(purse).collect(), ..Self::default() }
    }

    /// Waits until the turns under way leave room for one more, so that many begun at once do not use up together what was
    /// left for one; at most until `until`, when a client that has heard nothing gives up. The first of them always has
    /// room: what is used up already is for [`Budget::request`] to refuse.
    pub(super) async fn begin(
        self: &Arc<Self>,
        (seat, agent): (&Seat, Option<&Subagent>),
        body: &[u8],
        until: Instant,
    ) -> Result<Option<Turn>, Refusal> {
        let limited = |(role, purse): (&RoleName, &Purse)| {
            purse.limits.model_tokens.map(|limit| (role.clone(), limit))
        };
        let limits: Vec<_> = self.purses(seat, agent).filter_map(limited).collect();
        if limits.is_empty() {
            return Ok(None);
        }
        let most = most(body);
        loop {
            let closed = self.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            let Some((role, limit)) = self.take(&limits, most) else {
                let roles = limits.into_iter().map(|(role, _)| role).collect();
                return Ok(Some(Turn { budget: Arc::clone(self), roles, most }));
            };
            if timeout_at(until.into(), closed).await.is_err() {
                let (role, of) = (role.to_string(), "model tokens");
                return Err(Refusal::BudgetSpent { role, of, limit });
            }
        }
    }

    /// Takes room for a turn, or gives the role that has none.
    fn take(&self, limits: &[(RoleName, u64)], most: u64) -> Option<(RoleName, u64)> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let full = limits.iter().find(|(role, limit)| {
            let under_way = open.get(role).copied().unwrap_or(0);
            let used = self.roles.get(role).map_or(0, |purse| purse.tokens.load(Ordering::Relaxed));
            // Where nothing is left at all, waiting does not help.
            under_way > 0 && used < *limit && used.saturating_add(under_way) >= *limit
        });
        if full.is_none() {
            for (role, _) in limits {
                let held = open.entry(role.clone()).or_default();
                *held = held.saturating_add(most);
            }
        }
        full.cloned()
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

    /// Whether nothing is left for one more request, which is not counted.
    pub(super) fn is_spent(&self, seat: &Seat, agent: Option<&Subagent>) -> bool {
        self.purses(seat, agent).any(|(_, purse)| {
            let used = |count: &AtomicU64| count.load(Ordering::Relaxed);
            let gone = |limit: Option<u64>, used| limit.is_some_and(|limit| used >= limit);
            gone(purse.limits.model_tokens, used(&purse.tokens))
                || gone(purse.limits.model_requests, used(&purse.requests))
        })
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

/// A turn under way, and what it may use up at most. When this goes, its tokens are counted.
#[derive(Debug)]
pub(super) struct Turn {
    budget: Arc<Budget>,
    roles: Vec<RoleName>,
    most: u64,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut open = self.budget.open.lock().unwrap_or_else(PoisonError::into_inner);
        for role in &self.roles {
            if let Some(held) = open.get_mut(role) {
                *held = held.saturating_sub(self.most);
            }
        }
        drop(open);
        self.budget.closed.notify_waiters();
    }
}

/// What a turn may use up: what is sent, and what it asks for at most, by the name that each API has for that.
fn most(body: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Asked {
        max_tokens: Option<f64>,
        max_output_tokens: Option<f64>,
        #[serde(rename = "generationConfig")]
        generation: Option<Generation>,
    }
    #[derive(Deserialize)]
    struct Generation {
        #[serde(rename = "maxOutputTokens")]
        most: Option<f64>,
    }
    // What cannot be read so is refused, or asks for as much as there is.
    let asked = serde_json::from_slice::<Asked>(body).ok().and_then(|asked| {
        let generation = asked.generation.and_then(|generation| generation.most);
        asked.max_tokens.or(asked.max_output_tokens).or(generation)
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let asked = asked.map_or(UNSAID, |asked| asked.ceil() as u64);
    let sent = u64::try_from(body.len()).map_or(u64::MAX, in_tokens);
    sent.saturating_add(asked).max(1)
}

/// What a turn that sets itself no limit is taken for.
const UNSAID: u64 = 32_000;

fn within(role: &RoleName, of: &'static str, limit: Option<u64>, used: u64) -> Result<(), Refusal> {
    match limit {
        Some(limit) if used >= limit => {
            Err(Refusal::BudgetSpent { role: role.to_string(), of, limit })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
