//! When does the client's hook say *later*? Of a call that nobody has answered in time, where the client can make it again
//! in its next run, and only once the question is kept for that.

use super::{Answer, Judge};
use crate::doors::calls::{Act, PutOff};
use crate::doors::model::is_id;
use bartizan_gate::refusal::Refusal;
use bartizan_scan::display_line;
use serde_json::json;

/// What the hook says of a call.
#[derive(Debug)]
pub(super) enum Said {
    /// Later.
    Later(String),
    /// No, and why.
    No(String),
    /// Nothing against it.
    Nothing,
}

impl From<Said> for Answer {
    fn from(said: Said) -> Self {
        match said {
            Said::Later(reason) => Self { deny: None, instead: None, defer: Some(reason) },
            Said::No(sentence) => Some(sentence).into(),
            Said::Nothing => None.into(),
        }
    }
}

/// How the client is told. Short and on one line: what is cut off would let the call happen.
pub(super) fn document(reason: &str) -> String {
    let reason = display_line(reason, REASON_MAX);
    json!({ "hookSpecificOutput": {
        "hookEventName": "PreToolUse", "permissionDecision": "defer", "permissionDecisionReason": reason,
    } })
    .to_string()
}

impl Judge {
    /// The call that the model door has put off, if the hook asks for exactly that one.
    pub(super) fn put_off(&self, id: &str, agent: Option<&str>, act: &Act) -> Option<PutOff> {
        self.calls.put_off_as(id, act).filter(|_| agent.is_none())
    }

    /// Keeps its question for the next run. Nothing when it has been answered meanwhile, and the call can be judged.
    pub(super) fn puts_off(&self, off: PutOff, conversation: Option<&str>) -> Option<Said> {
        if !self.gate.pipeline().waits(&off.question) {
            return None;
        }
        if conversation != Some(&*off.conversation) {
            return Some(Said::No(off.sentence));
        }
        Some(self.kept(off))
    }

    /// Puts off once more exactly what an earlier run has put off, where nobody has answered it yet. What else a program
    /// makes of that call is asked, and ends with this run.
    pub(super) fn again(
        &self,
        id: &str,
        act: &Act,
        conversation: &str,
        refused: &Refusal,
    ) -> Option<Said> {
        let Refusal::ApprovalRequired { question, .. } = refused else { return None };
        let known = is_id(conversation) && self.calls.was_deferred_as(id, act);
        let place = self.calls.place().filter(|_| known)?;
        let sentence = format!("{}: {refused}", refused.code());
        let off = PutOff::new(id, act, conversation, question).saying(sentence);
        self.calls.defer_again(&place, act, off.clone());
        Some(self.kept(off))
    }

    fn kept(&self, off: PutOff) -> Said {
        let PutOff { call, conversation, question, sentence, .. } = off;
        let Some(terms) = self.calls.terms() else { return Said::No(sentence) };
        let pipeline = self.gate.pipeline();
        let kept = pipeline.defer(&self.caller, &question, (&conversation, &call), terms.life);
        if kept.is_err() {
            return Said::No(sentence);
        }
        // Who was bypassed meanwhile puts nothing off.
        if self.calls.terms().is_none() {
            drop(pipeline.undefer(&self.caller));
            return Said::No(sentence);
        }
        self.calls.told_to_defer();
        Said::Later(sentence)
    }
}

/// The longest reason, in characters.
const REASON_MAX: usize = 500;
