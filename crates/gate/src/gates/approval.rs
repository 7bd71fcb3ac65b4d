//! Does policy permit it, and did a person say yes where one must? Judged for the agent and for every
//! ancestor; an approval is used up by the call that it was given for.

use crate::gates::identity::Principal;
use crate::gates::{Identified, Listed, Scoped};
use crate::policy::{Judgement, Policy, PolicyRef, Query, Verdict};
use crate::refusal::Refusal;
use bartizan_store::{ApprovalKey, Consumed, Deferral, Desk, Endorsement, Given, StoreError};
use std::collections::BTreeSet;

/// Proof that policy permits the call with the approvals that it carries.
#[derive(Debug)]
pub(crate) struct Cleared {
    policies: Vec<PolicyRef>,
    approvers: Vec<String>,
    /// Who vouched for a value of it, where the call was let through for that.
    endorsers: Vec<String>,
    /// Held so that the approval cannot be used for a second call.
    _consumed: Option<Consumed>,
}

impl Cleared {
    pub(crate) fn policies(&self) -> &[PolicyRef] {
        &self.policies
    }

    pub(crate) fn approvers(&self) -> &[String] {
        &self.approvers
    }

    pub(crate) fn endorsers(&self) -> &[String] {
        &self.endorsers
    }
}

/// The gate's answer short of a refusal.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is moved at once")]
pub(crate) enum Clearance {
    Clear(Cleared),
    Wait { quorum: u32 },
}

/// What makes a call wait for people, beside the policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits<'a> {
    /// Whether a person has to look at it whatever the policy says.
    pub(crate) asks: bool,
    /// What an earlier run may have deferred it for.
    pub(crate) deferred: Option<&'a Deferral>,
    /// Whether people's words are used for it.
    pub(crate) people: People,
}

/// Whether a call may be cleared by what people say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum People {
    /// What they have said is used, and used up.
    Count,
    /// By the policy alone; their words are left for whoever asks for them.
    LeftOut,
}

pub(crate) fn clear(
    policy: &Policy,
    desk: &dyn Desk,
    who: &Identified,
    listed: &Listed,
    scoped: &mut Scoped,
    waits: Waits<'_>,
) -> Result<Clearance, Refusal> {
    let mut judged = judge(policy, who, listed, scoped, &[]);
    let mut endorsers = Vec::new();
    let quorum = match judged.verdict {
        Verdict::Ask { quorum } => Some(quorum),
        Verdict::Allow => waits.asks.then_some(1),
        Verdict::Deny => None,
    };
    if let (Some(quorum), People::LeftOut) = (quorum, waits.people) {
        return Ok(Clearance::Wait { quorum });
    }
    if matches!(judged.verdict, Verdict::Ask { .. }) {
        endorsers = endorse(policy, desk, who, scoped)?;
        if !endorsers.is_empty() {
            judged = judge(policy, who, listed, scoped, &[]);
        }
    }
    let quorum = match judged.verdict {
        Verdict::Allow if !waits.asks => return Ok(clearance(judged, Vec::new(), endorsers, None)),
        Verdict::Deny => return Err(denied(listed, scoped, judged)),
        Verdict::Ask { quorum } => quorum,
        // The run is flagged, or the call comes from an earlier one: a person looks at what policy alone would let through.
        Verdict::Allow => 1,
    };
    let key = ApprovalKey {
        session: who.session().to_string(),
        digest: scoped.digest(),
        policy: policy.digest(),
    };
    let given = given(desk, &key, waits.deferred)?;
    if let Some(reason) = given.denied {
        return Err(Refusal::ApprovalDenied { reason: bartizan_scan::display_line(&reason, 300) });
    }
    // Whoever can write the store can put a name there; only configured people count.
    let approvers: Vec<String> =
        given.approvers.into_iter().filter(|name| policy.may_approve(name)).collect();
    if approvers.is_empty() {
        return Ok(Clearance::Wait { quorum });
    }
    let judged = judge(policy, who, listed, scoped, &approvers);
    match judged.verdict {
        Verdict::Deny => Err(denied(listed, scoped, judged)),
        Verdict::Ask { .. } => Ok(Clearance::Wait { quorum }),
        Verdict::Allow => {
            let consumed = desk
                .consume(&key)
                .map_err(|error| Refusal::DeskUnavailable { cause: error.to_string() })?;
            Ok(clearance(judged, approvers, endorsers, Some(consumed)))
        }
    }
}

/// What has been answered; where this session has not asked, what an earlier run was answered to the same call.
fn given(
    desk: &dyn Desk,
    key: &ApprovalKey,
    deferred: Option<&Deferral>,
) -> Result<Given, Refusal> {
    let down = |error: StoreError| Refusal::DeskUnavailable { cause: error.to_string() };
    let given = desk.given(key).map_err(down)?;
    match deferred {
        Some(deferred)
            if given.question.is_none() && desk.adopt(key, deferred).map_err(down)? =>
        {
            desk.given(key).map_err(down)
        }
        _ => Ok(given),
    }
}

/// Takes what people have vouched for in this session as the person's own, and says who did.
fn endorse(
    policy: &Policy,
    desk: &dyn Desk,
    who: &Identified,
    scoped: &mut Scoped,
) -> Result<Vec<String>, Refusal> {
    if !scoped.origins().provenance.worst().is_unnamed() {
        return Ok(Vec::new());
    }
    let known = desk
        .endorsed(who.session().as_str())
        .map_err(|error| Refusal::DeskUnavailable { cause: error.to_string() })?;
    let known: Vec<Endorsement> =
        known.into_iter().filter(|one| policy.may_approve(&one.approver)).collect();
    let keys: BTreeSet<_> = known.iter().map(|one| one.key).collect();
    if !scoped.endorse(&keys) {
        return Ok(Vec::new());
    }
    let endorsers: BTreeSet<String> = known.into_iter().map(|one| one.approver).collect();
    Ok(endorsers.into_iter().collect())
}

/// Judges for every ancestor and every target, and takes the strictest verdict.
pub(crate) fn judge(
    policy: &Policy,
    who: &Identified,
    listed: &Listed,
    scoped: &Scoped,
    approvers: &[String],
) -> Judgement {
    let mut whole = Judgement { verdict: Verdict::Allow, policies: Vec::new(), errors: Vec::new() };
    let chain = who.chain().iter().enumerate();
    for ((depth, Principal { agent, role }), facts) in
        chain.flat_map(|above| scoped.facts().iter().map(move |facts| (above, facts)))
    {
        let depth = u32::try_from(depth).unwrap_or(u32::MAX);
        let query = Query {
            role,
            agent,
            depth,
            tool: listed.tool(),
            input: scoped.checked(),
            facts,
            approvers,
        };
        merge(&mut whole, policy.evaluate(&query));
    }
    whole
}

fn merge(whole: &mut Judgement, one: Judgement) {
    let stricter = match (&whole.verdict, &one.verdict) {
        (Verdict::Deny, _) | (_, Verdict::Allow) => false,
        (Verdict::Allow, _) | (Verdict::Ask { .. }, Verdict::Deny) => true,
        (Verdict::Ask { quorum: held }, Verdict::Ask { quorum: new }) => new > held,
    };
    // A verdict's reasons are its own: what permits one part of a call is none why another was denied.
    let unexplained = whole.policies.is_empty() && whole.verdict == one.verdict;
    if stricter || unexplained {
        whole.verdict = one.verdict;
        whole.policies = one.policies;
    }
    whole.errors.extend(one.errors);
}

fn clearance(
    judged: Judgement,
    approvers: Vec<String>,
    endorsers: Vec<String>,
    consumed: Option<Consumed>,
) -> Clearance {
    Clearance::Clear(Cleared {
        policies: judged.policies,
        approvers,
        endorsers,
        _consumed: consumed,
    })
}

fn denied(listed: &Listed, scoped: &Scoped, judged: Judgement) -> Refusal {
    if let Some(path) = scoped.paths().find(|path| !path.visible) {
        return Refusal::PathOutOfScope { path: path.path.clone(), policies: judged.policies };
    }
    Refusal::PolicyDenied {
        tool: listed.tool().name().to_string(),
        target: scoped.on_target(),
        policies: judged.policies,
        errors: judged.errors,
    }
}
