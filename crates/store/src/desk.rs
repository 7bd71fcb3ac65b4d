//! Did a person say yes to exactly this call, under exactly this policy, in time, and has it been used?
use crate::StoreError;
use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// Where questions wait for people. The store cannot tell who asks: that an agent never reaches
/// [`Desk::answer`] is for the doors to see to.
pub trait Desk: Send + Sync {
    /// Puts a question. The same call under the same policy in the same session is one question for as long as it is
    /// neither used nor expired, so asking again gives the one there is, a denied one too.
    fn ask(&self, new: NewQuestion) -> Result<Question, StoreError>;

    /// The questions that fit the filter, newest first, at most 1000.
    fn questions(&self, filter: &QuestionFilter) -> Result<Vec<Question>, StoreError>;

    /// The question whose id is, or begins with, `id`; refused when several do.
    fn question(&self, id: &str) -> Result<Question, StoreError>;

    /// Answers a question that is neither used, denied nor expired. One answer for each approver; one *deny* is enough
    /// to deny. `id` may be a unique beginning.
    fn answer(&self, id: &str, answer: Answer) -> Result<Question, StoreError>;

    /// What has been answered for this key, as far as it is unexpired and unused. Nothing asked reads as nothing given.
    fn given(&self, key: &ApprovalKey) -> Result<Given, StoreError>;

    /// Uses up an approval, if enough have approved and nobody has denied. Of any number of callers, in any number of
    /// processes, exactly one gets it.
    fn consume(&self, key: &ApprovalKey) -> Result<Consumed, StoreError>;

    /// Ends a question that still waits for answers, because whoever asked has given up: it reads as expired, and the same
    /// call made again is another question. One that is answered stays as it is. `id` may be a unique beginning.
    fn withdraw(&self, id: &str) -> Result<Question, StoreError>;

    /// Lets a question that waits outlive its session: from now on it expires in `life` (at most 7 days), unless its own
    /// time is longer. Only [`Desk::adopt`] makes it a question of another session. `id` may be a unique beginning.
    fn defer(&self, id: &str, to: &Deferral, life: Duration) -> Result<Question, StoreError>;

    /// Makes what was deferred for exactly this call, under this policy, a question of the session that `key` names, if the
    /// session that had it is over; tells whether there was one. An answer comes with it, and is that session's alone. What
    /// else was deferred for this call of the conversation is withdrawn.
    fn adopt(&self, key: &ApprovalKey, from: &Deferral) -> Result<bool, StoreError>;

    /// Withdraws what this session has deferred.
    fn undefer(&self, session: &str) -> Result<(), StoreError>;

    /// Takes down that someone who has approved the question vouches for values or sources, in its session alone. What
    /// the keys stand for is the asker's business.
    fn endorse(&self, id: &str, approver: &str, keys: &[Digest]) -> Result<(), StoreError>;

    /// What people vouch for in a session, and who.
    fn endorsed(&self, session: &str) -> Result<Vec<Endorsement>, StoreError>;
}

/// A value or a source that a person vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsement {
    /// What it is bound to.
    pub key: Digest,
    /// Who says so.
    pub approver: String,
}

/// The call that a question is deferred for, beside its digest and its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferral {
    /// The role of the session that asked.
    pub role: String,
    /// The workspace's path.
    pub workspace: String,
    /// The client's id of the conversation.
    pub conversation: String,
    /// The client's id of the call.
    pub call: String,
}

/// What an approval is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApprovalKey {
    /// The session that asked.
    pub session: String,
    /// The exact canonical call.
    pub digest: Digest,
    /// The policy version under which it was judged.
    pub policy: Digest,
}

/// A question to put.
#[derive(Debug, Clone)]
pub struct NewQuestion {
    /// The session that asks.
    pub session: String,
    /// The agent in it.
    pub agent: String,
    /// The tool it wants to use.
    pub tool: String,
    /// The exact canonical call.
    pub digest: Digest,
    /// The policy version.
    pub policy: Digest,
    /// How many different people have to approve: 1 to 16.
    pub quorum: u32,
    /// What an approver sees; at most 256 KiB as JSON.
    pub shown: Value,
    /// For how long the question and the approval are good: at most 7 days.
    pub expires_in: Duration,
}

/// A question as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// 16 hexadecimal digits.
    pub id: String,
    /// The session that asked.
    pub session: String,
    /// The agent in it.
    pub agent: String,
    /// The tool it wants to use.
    pub tool: String,
    /// The exact canonical call.
    pub digest: Digest,
    /// The policy version.
    pub policy: Digest,
    /// How many different people have to approve.
    pub quorum: u32,
    /// What an approver sees.
    pub shown: Value,
    /// When it was asked, in milliseconds since 1970.
    pub asked_ms: u64,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: u64,
    /// Where it stands now.
    pub state: QuestionState,
    /// Until when its approval is for every such call; `None` when it is for one.
    pub until_ms: Option<u64>,
    /// What was answered, in order.
    pub answers: Vec<Answered>,
    /// What it was deferred for, as long as no later run has taken it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<Deferral>,
    /// Whether nobody waits for it any more, though its time was not over; it stands as expired.
    #[serde(default)]
    pub withdrawn: bool,
}

impl Question {
    /// Those who approved, in order.
    pub fn approvers(&self) -> Vec<String> {
        let approved = self.answers.iter().filter(|answer| answer.verdict == Verdict::Approve);
        approved.map(|answer| answer.approver.clone()).collect()
    }

    /// The answer that denied it, if one did.
    pub fn denial(&self) -> Option<&Answered> {
        self.answers.iter().find(|answer| answer.verdict == Verdict::Deny)
    }
}

/// Where a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionState {
    /// Enough have approved; the call may be made once.
    Approved,
    /// Somebody has denied.
    Denied,
    /// Its time is over.
    Expired,
    /// It waits for answers.
    Pending,
    /// The approval was used.
    Used,
}

/// Which questions are wanted; each field that is set narrows the choice.
#[derive(Debug, Clone, Default)]
pub struct QuestionFilter {
    /// Of this session.
    pub session: Option<String>,
    /// That stand like this.
    pub state: Option<QuestionState>,
    /// About a call of this tool.
    pub tool: Option<String>,
}

/// An approver's word.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who says it: 1 to 128 bytes of printable text.
    pub approver: String,
    /// Yes or no.
    pub verdict: Verdict,
    /// Why; may be empty, at most 2048 bytes.
    pub reason: String,
}

/// An approver's word that was taken down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Who said it.
    pub approver: String,
    /// Yes or no.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub answered_ms: u64,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The call may be made, once.
    Approve,
    /// It may not.
    Deny,
}

impl Verdict {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// What has been answered, unexpired and unused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The question, if there is a live one.
    pub question: Option<String>,
    /// Those who approved, in order, each once.
    pub approvers: Vec<String>,
    /// The reason that came with a denial; may be empty.
    pub denied: Option<String>,
}

/// The proof that an approval was there and is used up. Only this crate can make one.
#[must_use = "it stands for one act, and is gone"]
#[derive(Debug, PartialEq, Eq)]
pub struct Consumed {
    pub(crate) key: ApprovalKey,
    pub(crate) question: String,
    pub(crate) approvers: Vec<String>,
}

impl Consumed {
    /// What was approved.
    pub fn key(&self) -> &ApprovalKey {
        &self.key
    }

    /// The question's id.
    pub fn question(&self) -> &str {
        &self.question
    }

    /// Those who approved, in order.
    pub fn approvers(&self) -> &[String] {
        &self.approvers
    }
}
