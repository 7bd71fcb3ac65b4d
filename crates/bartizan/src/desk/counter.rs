//! How does another user of this machine see what waits, and answer it? Through a socket of whoever keeps the desk; who they
//! are the kernel says, and whether they may the configuration.

use super::answering::{Say, Word, named, user_name};
use super::lineup::lineup;
use crate::cli::{Endorse, exit};
use crate::config::{self, Places, Purpose};
use crate::report::{Failure, Problem};
use bartizan_store::{Desk as _, Digest, Question, Store};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// What is asked for, one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub(crate) enum Ask {
    /// As whom one stands here.
    Who,
    /// What waits; with `all`, the settled ones too.
    List { all: bool },
    /// One question.
    Show { id: String },
    /// To take down an answer to exactly this call, as it was shown.
    Answer {
        id: String,
        digest: Digest,
        policy: Digest,
        yes: bool,
        life_ms: Option<u64>,
        endorse: Option<Endorse>,
        reason: String,
    },
}

/// What is answered, one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Reply {
    /// These questions, and as whom one stands at the counter.
    Told { questions: Vec<Question>, by: String },
    /// Nothing was done.
    Refused { code: u8, what: String, hint: Option<String> },
}

/// The desk's side.
#[derive(Debug)]
pub(crate) struct Counter {
    pub(crate) store: Store,
    pub(crate) places: Places,
    pub(crate) folder: PathBuf,
}

impl Counter {
    /// Answers one line from a process of this user.
    pub(crate) fn reply(&self, uid: u32, line: &[u8]) -> Reply {
        match self.serve(uid, line) {
            Ok(told) => told,
            Err(Failure { code, problems }) => {
                let problem = problems.into_iter().next();
                let (what, hint) = problem.map(Problem::into_parts).unwrap_or_default();
                Reply::Refused { code, what, hint }
            }
        }
    }

    fn serve(&self, uid: u32, line: &[u8]) -> Result<Reply, Failure> {
        let by = self.person(uid)?;
        let ask: Ask = serde_json::from_slice(line).map_err(|_| {
            let problem = Problem::new("what was asked for is not understood");
            Failure::new(exit::USAGE, problem.hint("use the same version of Bartizan as the desk"))
        })?;
        let questions = match ask {
            Ask::Who => Vec::new(),
            Ask::List { all } => lineup(&self.store, all, (0, LISTED))?.questions,
            Ask::Show { id } => vec![self.store.question(&id)?],
            Ask::Answer { .. } => vec![self.take_down(ask, &by)?],
        };
        Ok(Reply::Told { questions, by })
    }

    /// Who asks. The desk's own user is not let in: each process of an agent's may be one of that user's, and whoever it is
    /// has the store itself.
    fn person(&self, uid: u32) -> Result<String, Failure> {
        if uid == rustix::process::getuid().as_raw() {
            let problem =
                Problem::new("this socket is for others than the user who keeps the desk");
            let hint = "as this user, leave out --socket";
            return Err(Failure::new(exit::NO, problem.hint(hint)));
        }
        let config = config::load_own(&self.places, &self.folder, Purpose::Look)?;
        named(&config, &format!("local:{}", user_name(uid)))
    }

    fn take_down(&self, ask: Ask, by: &str) -> Result<Question, Failure> {
        let Ask::Answer { id, digest, policy, yes, life_ms, endorse, reason } = ask else {
            return Err(Failure::new(exit::USAGE, Problem::new("it is no answer")));
        };
        let question = self.store.question(&id)?;
        if (question.id.as_str(), question.digest, question.policy) != (id.as_str(), digest, policy)
        {
            let problem = Problem::new("the question is not the one that was shown");
            return Err(Failure::new(exit::NO, problem.hint("look at it again")));
        }
        let life = life_ms.map(Duration::from_millis);
        let say = if yes { Say::Yes { life, endorse } } else { Say::No };
        Word::new(&question, say, reason)?.give(&self.store, &question, by)
    }
}

/// So many are told at a time, in the fair order.
const LISTED: usize = 1000;
