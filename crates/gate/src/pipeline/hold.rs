//! What happens to a run that a rule has flagged? It is told of, and goes on with a person's word alone.

use super::{Pipeline, SHORT_ID};
use crate::call::CheckedCall;
use crate::gates::{Identified, Listed};
use crate::name::SessionId;
use crate::policy::Policy;
use crate::record;
use crate::refusal::Refusal;
use crate::seat::Caller;
use crate::tool::Effect;
use crate::watch::{Flag, Held, MODEL_REQUEST, OnFlag};
use bartizan_store::{ApprovalKey, Digest, Durability, Event, NewQuestion, StoreError};
use serde_json::{Map, Value, json};

impl Pipeline {
    /// Puts flags on the log.
    pub(super) fn raise(&self, session: &SessionId, flags: &[Flag]) -> Result<(), Refusal> {
        for flag in flags {
            self.tell_flag(session, "raise", flag, Map::new())?;
        }
        if flags.is_empty() {
            return Ok(());
        }
        // Nobody looks at a deferred question with what made this run suspicious before them.
        self.withdraw_deferred(session.as_str())
    }

    /// Whether this call has to be asked of a person because its run is flagged. One that is paused is refused.
    pub(super) fn stands(
        &self,
        policy: &Policy,
        who: &Identified,
        listed: &Listed,
        effect: Effect,
    ) -> Result<bool, Refusal> {
        if listed.tool().name().as_str() == MODEL_REQUEST {
            return Ok(false);
        }
        let session = who.session();
        while let Some(held) = self.watches.held(session.as_str()) {
            if held.how == OnFlag::Ask {
                return Ok(effect != Effect::Read);
            }
            if !self.released(policy, session, &held)? {
                return Err(self.paused(policy, who, &held));
            }
        }
        Ok(false)
    }

    /// Whether whoever sits there may read on in what this tool returned, which is no call: not while the run is paused, nor
    /// once no call of the tool could be allowed any more.
    pub fn may_read_on(&self, caller: &Caller, tool: &str) -> bool {
        let held = self.watches.held(caller.seat().session.as_str());
        held.is_none_or(|held| held.how != OnFlag::Pause) && self.offers(caller, tool)
    }

    /// As [`Pipeline::stands`], for a call that was cleared before its own record raised a flag.
    pub(super) fn hold(&self, call: &CheckedCall) -> Result<bool, Refusal> {
        self.stands(&call.policy, &call.identified, &call.listed, call.rated.effect())
    }

    /// Whether a person has said that the run may go on after this flag.
    fn released(&self, policy: &Policy, session: &SessionId, held: &Held) -> Result<bool, Refusal> {
        let down = |error: StoreError| Refusal::DeskUnavailable { cause: error.to_string() };
        let key = ApprovalKey {
            session: session.to_string(),
            digest: digest(session, held),
            policy: policy.digest(),
        };
        let given = self.parts.desk.given(&key).map_err(down)?;
        let approvers: Vec<String> =
            given.approvers.into_iter().filter(|name| policy.may_approve(name)).collect();
        if given.denied.is_some() || approvers.is_empty() {
            return Ok(false);
        }
        let _consumed = self.parts.desk.consume(&key).map_err(down)?;
        let about = Map::from_iter([("approvers".to_owned(), json!(approvers))]);
        self.tell_flag(session, "resume", &held.flag, about)?;
        self.watches.resume(session.as_str(), held.number);
        Ok(true)
    }

    /// The refusal of a paused run, with the question that a person answers to let it go on.
    fn paused(&self, policy: &Policy, who: &Identified, held: &Held) -> Refusal {
        let session = who.session();
        let shown = json!({
            "agent": who.agent(),
            "role": who.role(),
            "tool": RESUME,
            "arguments": { "rule": held.flag.rule, "says": held.flag.says },
        });
        let asked = self.parts.desk.ask(NewQuestion {
            session: session.to_string(),
            agent: who.agent().to_string(),
            tool: RESUME.to_owned(),
            digest: digest(session, held),
            policy: policy.digest(),
            quorum: 1,
            shown: self.redacted(shown),
            expires_in: self.parts.question_lifetime,
        });
        match asked {
            Ok(question) => Refusal::RunPaused {
                rule: held.flag.rule.clone(),
                says: held.flag.says.clone(),
                question: question.id.chars().take(SHORT_ID).collect(),
            },
            Err(StoreError::TooManyPending { .. }) => Refusal::DeskFull,
            Err(error) => Refusal::DeskUnavailable { cause: error.to_string() },
        }
    }

    fn tell_flag(
        &self,
        session: &SessionId,
        act: &str,
        flag: &Flag,
        mut about: Map<String, Value>,
    ) -> Result<(), Refusal> {
        about.insert("act".to_owned(), json!(act));
        about.insert("rule".to_owned(), json!(flag.rule));
        about.insert("says".to_owned(), json!(flag.says));
        about.insert("severity".to_owned(), json!(flag.severity));
        let entry = record::plain(&self.parts.redactor, Event::Flag, session, about);
        self.commit(entry, Durability::Durable).map(drop)
    }
}

/// What a person approves who lets a flagged run go on: after this flag, in this session.
fn digest(session: &SessionId, held: &Held) -> Digest {
    Digest::of_parts(&[
        RESUME.as_bytes(),
        session.as_str().as_bytes(),
        held.flag.rule.as_bytes(),
        &held.number.to_be_bytes(),
    ])
}

/// The name under which the question stands.
const RESUME: &str = "run.resume";
