//! Whose question may outlive its run? That of a call which its client puts off until a person has answered, as long as
//! nothing speaks against the run.

use super::Pipeline;
use crate::refusal::Refusal;
use crate::seat::{Caller, Seat};
use bartizan_store::{Deferral, Question, QuestionState, StoreError};
use std::time::Duration;

impl Pipeline {
    /// Lets a question of this session outlive it for `life`: a later run of the same role in the same workspace that makes
    /// exactly this call again, in this conversation and under this policy, takes it over with its answer. Refused for a
    /// run that is flagged.
    ///
    /// # Errors
    /// The run is flagged, the question is answered, too many are deferred, or the store fails.
    pub fn defer(
        &self,
        caller: &Caller,
        question: &str,
        (conversation, call): (&str, &str),
        life: Duration,
    ) -> Result<Question, Refusal> {
        let seat = caller.seat();
        let down = |cause: String| Refusal::DeskUnavailable { cause };
        if !self.flags(caller).is_empty() {
            return Err(down("the run is flagged, so nothing of it is deferred".to_owned()));
        }
        let known = self.asked(question).ok_or_else(|| down("no such question".to_owned()))?;
        if known.session != seat.session.as_str() {
            return Err(down("the question is another session's".to_owned()));
        }
        let to = of(seat, conversation.to_owned(), call.to_owned());
        let deferred =
            self.parts.desk.defer(&known.id, &to, life).map_err(|error| match error {
                StoreError::TooManyPending { .. } => Refusal::DeskFull,
                error => down(error.to_string()),
            })?;
        // A rule that looked at the log meanwhile has not seen this one.
        if !self.flags(caller).is_empty() {
            self.undefer(caller)?;
            return Err(down("the run is flagged, so nothing of it is deferred".to_owned()));
        }
        Ok(deferred)
    }

    /// Withdraws what this session has deferred: nothing of it is to be trusted any more.
    ///
    /// # Errors
    /// The store fails.
    pub fn undefer(&self, caller: &Caller) -> Result<(), Refusal> {
        self.withdraw_deferred(caller.seat().session.as_str())
    }

    pub(super) fn withdraw_deferred(&self, session: &str) -> Result<(), Refusal> {
        let undeferred = self.parts.desk.undefer(session);
        undeferred.map_err(|error| Refusal::DeskUnavailable { cause: error.to_string() })
    }

    /// Whether a question waits for an answer; its id may be the beginning that people type.
    pub fn waits(&self, question: &str) -> bool {
        self.asked(question).is_some_and(|question| question.state == QuestionState::Pending)
    }

    /// A question as it stands, by the id that people type.
    pub fn asked(&self, id: &str) -> Option<Question> {
        self.parts.desk.question(id).ok()
    }
}

/// What binds a question to the one call that may take it over.
pub(super) fn of(seat: &Seat, conversation: String, call: String) -> Deferral {
    let (role, workspace) = (seat.role.to_string(), seat.workspace.to_string());
    Deferral { role, workspace, conversation, call }
}
