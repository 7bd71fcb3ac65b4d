//! What went wrong in the store, where, and what is to be done?
use crate::ledger::LedgerError;
use std::path::PathBuf;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Two or more ids begin like this.
    #[error("`{id}` is the beginning of {count} ids; give more of it")]
    Ambiguous {
        /// What was given.
        id: String,
        /// How many begin like it.
        count: usize,
    },
    /// The approver has answered this question before.
    #[error("`{approver}` has answered question `{id}` already; each approver answers once")]
    AnsweredAlready {
        /// The question.
        id: String,
        /// Who answered.
        approver: String,
    },
    /// The log in the directory is not the one that was signed.
    #[error(
        "the audit log `{path}` has been changed: {why}\n  hint: run `bartizan audit verify`; to start a new log, move the state directory away and keep it as evidence"
    )]
    Changed {
        /// The database.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// The database cannot be used.
    #[error("the database `{path}` cannot be used: {why}\n  hint: {fix}")]
    Database {
        /// The database.
        path: PathBuf,
        /// What `SQLite` says.
        why: String,
        /// The remedy.
        fix: String,
    },
    /// The question was answered with no.
    #[error("question `{id}` was denied by `{approver}`")]
    Denied {
        /// The question.
        id: String,
        /// Who denied it.
        approver: String,
        /// The reason that was given.
        reason: String,
    },
    /// The state directory, or a file in it, cannot be used.
    #[error("state directory: `{path}` cannot be used: {why}\n  hint: {fix}")]
    Directory {
        /// The directory or the file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The remedy.
        fix: String,
    },
    /// The session has ended already.
    #[error("session `{id}` has ended already")]
    Ended {
        /// The session.
        id: String,
    },
    /// The question's time is over.
    #[error("question `{id}` has expired; the agent has to ask again")]
    Expired {
        /// The question.
        id: String,
    },
    /// Nobody waits for the answer any more.
    #[error(
        "question `{id}` was withdrawn: who asked it waits no more; the agent has to ask again"
    )]
    Withdrawn {
        /// The question.
        id: String,
    },
    /// Something given cannot be taken as it is.
    #[error("{what} {why}")]
    Invalid {
        /// What was given.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The audit log did not take the record that belongs to the change.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Too few have approved, or nobody was asked.
    #[error("{given} of {quorum} approvals are given")]
    NotApproved {
        /// How many have approved.
        given: u32,
        /// How many are needed; 0 when nobody was asked.
        quorum: u32,
    },
    /// There is no question, session or token whose id begins like this.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// `question`, `session` or `token`.
        what: &'static str,
        /// What was given.
        id: String,
    },
    /// There is a session of this id already.
    #[error("there is a session `{id}` already")]
    SessionExists {
        /// The session.
        id: String,
    },
    /// The session has too many open questions.
    #[error(
        "session `{session}` has {cap} open questions, which is the most; answer some first (`bartizan approvals list`)"
    )]
    TooManyPending {
        /// The session.
        session: String,
        /// The most it may have.
        cap: u32,
    },
    /// The approval was used.
    #[error("the approval of question `{id}` was used; each is good for one call")]
    Used {
        /// The question.
        id: String,
    },
}
