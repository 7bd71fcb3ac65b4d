//! What becomes of a call that nobody answered in time? Where the client can make it again in its next run it is put off,
//! and the person is told how to go on.

use crate::app::Gate;
use crate::cli::{RunArgs, exit};
use crate::client::Client;
use crate::clock::left;
use crate::config::approvals::{self, Approvals};
use crate::desk::telling::short;
use crate::doors::calls::{Calls, PutOff, Terms};
use crate::report::{Failure, Problem, Voice, safe};
use bartizan_store::{Question, QuestionState};
use serde_json::{Value, json};
use std::ffi::OsString;

/// Takes in what the command line says of it.
pub(super) fn said(args: &RunArgs, approvals: &mut Approvals) -> Result<(), Failure> {
    let Some(text) = &args.defer_after else { return Ok(()) };
    approvals.defer_after = approvals::defer_after(text).map_err(|(what, hint)| {
        let problem = Problem::new(what);
        let problem = match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        };
        Failure::new(exit::USAGE, problem)
    })?;
    Ok(())
}

/// On what terms this run puts calls off; nothing where somebody sits before the client, or it cannot.
pub(super) fn terms(
    args: &RunArgs,
    client: Option<Client>,
    approvals: &Approvals,
) -> Option<Terms> {
    let after = approvals.defer_after?;
    let can = client.is_some_and(Client::puts_calls_off) && is_alone(&args.command);
    can.then_some(Terms { after, life: approvals.defer_for })
}

/// Whether the client runs without a person, and leaves a conversation that can go on.
fn is_alone(command: &[OsString]) -> bool {
    let said =
        |words: &[&str]| command.iter().skip(1).any(|word| words.iter().any(|one| word == one));
    said(&["-p", "--print"]) && !said(&["--no-session-persistence"])
}

/// A call whose question outlives the run.
#[derive(Debug)]
pub(super) struct Off {
    call: PutOff,
    question: Question,
    resume: String,
}

/// What this run has put off, if its question still stands.
pub(super) fn put_off(args: &RunArgs, gate: &Gate, calls: &Calls) -> Option<Off> {
    let call = calls.put_off()?;
    let question = gate.pipeline().asked(&call.question)?;
    let stands = matches!(
        question.state,
        QuestionState::Approved | QuestionState::Denied | QuestionState::Pending
    );
    let resume = resume(args, &call.conversation);
    (stands && question.deferred.is_some()).then_some(Off { call, question, resume })
}

impl Off {
    /// Whether a refusal of this run is of this call: what the agent was told of it.
    pub(super) fn is_told_by(&self, sentence: &str) -> bool {
        self.call.sentence.ends_with(sentence)
    }

    /// For a person: what waits, and how to go on.
    pub(super) fn tell(&self, voice: &mut Voice) -> Result<(), Failure> {
        let (id, tool) = (short(&self.question.id), safe(&self.call.tool));
        let expires = left(self.question.expires_ms);
        voice.say(&format!(
            "  waits   {tool}: put off until a person has answered question {id} (expires {expires})"
        ))?;
        voice.say(&format!(
            "            hint: `bartizan approvals approve {id}`, or `deny {id}`; then, with the flags of this run: {}",
            self.resume
        ))?;
        Ok(())
    }

    /// The same for a program.
    pub(super) fn json(&self) -> Value {
        json!({
            "question": self.question.id, "tool": self.call.tool, "conversation": self.call.conversation,
            "expires_ms": self.question.expires_ms, "resume": self.resume,
        })
    }
}

/// The command that goes on.
fn resume(args: &RunArgs, conversation: &str) -> String {
    let program = args.command.first().map(|word| word.to_string_lossy().into_owned());
    let role = args.agent.as_ref().map(|role| format!(" --agent {role}")).unwrap_or_default();
    let program = program.unwrap_or_default();
    safe(&format!("bartizan run{role} -- {program} -p --resume {conversation}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_runs_without_a_person_when_it_prints() {
        let alone = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            is_alone(&words)
        };
        assert!(alone(&["claude", "-p", "do it"]) && alone(&["claude", "do it", "--print"]));
        assert!(!alone(&["claude"]) && !alone(&["claude", "what does -p do?"]) && !alone(&["-p"]));
        assert!(!alone(&["claude", "-p", "x", "--no-session-persistence"]));
    }
}
