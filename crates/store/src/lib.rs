//! What must survive a crash? The audit log, the approvals, the sessions and the tokens; this crate is the only mint of receipts.
//!
//! A [`Store`] in a state directory promises, through five traits:
//!
//! - [`Ledger`]: an entry that was acknowledged as durable is on the log after `kill -9` at any point, and the log can
//!   always be verified. An entry that was not acknowledged may be on it or not. After a failed commit nothing more
//!   is taken.
//! - [`Desk`]: a question is put once, answered at most once by each approver, and an approval is used at most once,
//!   in however many processes.
//! - [`Sessions`]: what was started, what has ended, and what died without ending.
//! - [`Allowances`]: of calls that are counted no more happen than are allowed, in however many processes; a call is
//!   counted in the commit that puts it on the log.
//! - [`Tokens`]: who may come in over the network; a token that was revoked is refused from the next look on.
//!
//! Each change at the desk, to a session or to a token is committed in one transaction with its audit record, so neither is ever
//! there without the other.
//!
//! It does not promise that the log cannot be changed by who owns the directory and the key. [`verify`] finds every
//! change to what a checkpoint signed; a cut-off tail is found only against a checkpoint that was kept elsewhere.
//!
//! Time stamps are the host's clock. The records' form is in `docs/audit-record.md`.
#![forbid(unsafe_code)]

mod activity;
mod allowance;
mod base;
mod clock;
mod database;
mod deferred;
mod desk;
mod digest;
mod dir;
mod effects;
mod endorsements;
mod entry;
mod error;
mod export;
mod gateways;
mod invites;
mod leases;
mod ledger;
mod links;
mod lives;
mod lookup;
mod marks;
mod merkle;
mod note;
mod outages;
mod passkeys;
mod pins;
mod proof;
mod questions;
mod queue;
mod reviews;
mod room;
mod search;
mod sessions;
mod standing;
mod store;
mod ties;
mod tokens;
pub mod verify;
mod waiting;
mod withdrawn;
mod witness;
mod writer;

pub use activity::Activity;
pub use allowance::{Allowance, Allowances, Per, Spent};
pub use base::Pruned;
pub use clock::started_ticks;
pub use desk::{
    Answer, Answered, ApprovalKey, Consumed, Deferral, Desk, Endorsement, Given, NewQuestion,
    Question, QuestionFilter, QuestionState, Verdict,
};
pub use digest::{BadDigest, Digest};
pub use effects::{Begun, Effect, EffectEnd, EffectState, NewEffect, Resolution};
pub use entry::{Entry, Event, MAX_RECORD_BYTES, UnknownEvent};
pub use error::StoreError;
pub use export::{Covers, ExportError, Filter, Reader, Record, Start};
pub use gateways::{Fares, Kept};
pub use leases::Lease;
pub use ledger::{Durability, Ledger, LedgerError, Receipt};
pub use marks::Mark;
pub use note::{Checkpoint, NoteError, PublicKey};
pub use passkeys::{NewPasskey, Passkey, PasskeyKey, PasskeyUse};
pub use pins::PinnedItem;
pub use reviews::{Opinion, Raised, Review, Reviewed};
pub use search::Found;
pub use sessions::{Ending, NewSession, Session, SessionFilter, Sessions};
pub use store::Store;
pub use ties::Tie;
pub use tokens::{NewToken, Token, TokenState, Tokens};
pub use waiting::Waiting;
pub use witness::{WitnessKey, submission};
