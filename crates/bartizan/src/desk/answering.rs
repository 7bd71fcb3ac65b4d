//! What does a person say to a question, and who are they? Taken down in one way, wherever it is said.

use super::origins;
use super::telling::votes;
use crate::cli::{Endorse, exit};
use crate::clock::date;
use crate::config::Config;
use crate::report::{Failure, Problem, safe};
use bartizan_store::{
    Answer, Desk as _, Digest, Question, QuestionState, Store, StoreError, Verdict,
};
use serde_json::Value;
use std::fs;
use std::time::Duration;

/// Yes or no, and how far a yes goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Say {
    /// It may not be made.
    No,
    /// It may be made.
    Yes {
        /// For how long, when not for one call.
        life: Option<Duration>,
        /// What else the person vouches for.
        endorse: Option<Endorse>,
    },
}

/// An answer to one question, as the person has seen it.
#[derive(Debug)]
pub(crate) struct Word {
    say: Say,
    reason: String,
    vouched: Option<Vec<Digest>>,
    /// What shows that it is theirs, where they have signed it.
    proof: Option<Value>,
}

impl Word {
    /// Fails when the question has nothing of what would be vouched for.
    pub(crate) fn new(question: &Question, say: Say, reason: String) -> Result<Self, Failure> {
        let vouched = match say {
            Say::Yes { endorse: Some(endorse), .. } => Some(origins::keys(question, endorse)?),
            Say::Yes { endorse: None, .. } | Say::No => None,
        };
        Ok(Self { say, reason, vouched, proof: None })
    }

    /// With what shows that it is its approver's.
    pub(crate) fn signed(mut self, proof: Value) -> Self {
        self.proof = Some(proof);
        self
    }

    /// What is said, and why, for somebody who takes it down elsewhere.
    pub(crate) fn into_parts(self) -> (Say, String) {
        (self.say, self.reason)
    }

    /// What it means.
    pub(crate) fn in_words(&self) -> String {
        let Say::Yes { life, endorse } = self.say else { return "deny this call".to_owned() };
        let act = match life {
            None => "approve exactly this call, once".to_owned(),
            Some(life) => {
                let minutes = life.as_secs().div_ceil(60);
                format!(
                    "approve exactly this call in this session, as often as it is made within {minutes} min"
                )
            }
        };
        match endorse {
            None => act,
            Some(Endorse::Host) => {
                format!("{act}, and vouch for every address of its host in this session")
            }
            Some(Endorse::Value) => format!("{act}, and vouch for its values in this session"),
            Some(Endorse::Source) => {
                format!("{act}, and vouch for every value of the same text in this session")
            }
        }
    }

    /// Takes it down, durable and under a signed checkpoint when this returns. By the full id: what was shown is what is
    /// answered.
    pub(crate) fn give(
        self,
        store: &Store,
        question: &Question,
        approver: &str,
    ) -> Result<Question, Failure> {
        let Self { say, reason, vouched, proof } = self;
        let id = &question.id;
        let (verdict, life) = match say {
            Say::Yes { life, .. } => (Verdict::Approve, life),
            Say::No => (Verdict::Deny, None),
        };
        let answer = Answer { approver: approver.to_owned(), verdict, reason };
        let answered = match (proof, life) {
            (Some(proof), life) => store.answer_signed(id, answer, life, proof)?,
            (None, Some(life)) => store.approve_for(id, approver, &answer.reason, life)?,
            (None, None) => store.answer(id, answer)?,
        };
        // The answer is on the log by now, and goes no further than it says.
        let but = |what: &str, error: &StoreError| {
            Failure::new(
                exit::STATE,
                Problem::new(format!("the answer stands, but {what}: {error}")),
            )
        };
        if let Some(keys) = vouched {
            let vouched = store.endorse(id, approver, &keys);
            vouched.map_err(|error| but("vouches for nothing", &error))?;
        }
        let covered = store.checkpoint();
        covered.map_err(|error| but("no signed checkpoint covers it yet", &error))?;
        Ok(answered)
    }
}

/// What became of a question by an answer.
pub(crate) fn outcome(question: &Question) -> String {
    let said = said(question);
    let is_settled = matches!(question.state, QuestionState::Approved | QuestionState::Denied);
    match &question.deferred {
        Some(to) if is_settled => {
            let (conversation, workspace) = (&to.conversation, &to.workspace);
            safe(&format!(
                "{said}; it goes on with `bartizan run -- claude -p --resume {conversation}` in {workspace}"
            ))
        }
        _ => said,
    }
}

fn said(question: &Question) -> String {
    match question.state {
        QuestionState::Approved => match question.until_ms {
            None => "approved: the agent may make this call once".to_owned(),
            Some(until_ms) => {
                format!("approved: the agent may make this call until {}", date(until_ms))
            }
        },
        QuestionState::Denied => "denied".to_owned(),
        _ => format!("{} approvals are given", votes(question)),
    }
}

/// Who answers in this process: the user that the kernel says runs it, if the configuration lets them.
pub(crate) fn approver(config: &Config) -> Result<String, Failure> {
    let name = local_user();
    // Where nobody is named, whoever can write the state may answer. Somebody from elsewhere is always named.
    if config.approvers.is_empty() { Ok(name) } else { named(config, &name) }
}

/// This person, if the configuration names them.
pub(crate) fn named(config: &Config, name: &str) -> Result<String, Failure> {
    if config.approvers.iter().any(|known| known.as_str() == name) {
        return Ok(name.to_owned());
    }
    let problem = Problem::new(format!("`{name}` is not an approver"));
    Err(Failure::new(exit::NO, problem.hint("the configuration names them under [approvers]")))
}

/// The user that the kernel says runs this process.
pub(crate) fn local_user() -> String {
    format!("local:{}", user_name(rustix::process::getuid().as_raw()))
}

/// The name that /etc/passwd gives a user; the number itself when it gives none. The environment is
/// not asked: it says what it was told to say.
pub(crate) fn user_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| uid.to_string())
}
