//! When may the caller act? When the ledger has answered with a receipt.
use crate::digest::Digest;
use crate::entry::Entry;
use std::sync::Arc;

/// The audit log, as those see it who write to it.
pub trait Ledger: Send + Sync {
    /// Puts an entry on the log. No receipt, no act: an error means that the entry is not known to be on the log (it
    /// may be, if the failure was in the last step), and that the caller must not do what it was about to record.
    fn append(&self, entry: Entry, durability: Durability) -> Result<Receipt, LedgerError> {
        self.append_during(entry, durability, &mut || {})
    }

    /// As [`Ledger::append`], and does `meanwhile` once the entry is handed over, while the disk takes it. It is no act:
    /// there is no receipt yet, and there may never be one. It is not done when the entry is not taken at all.
    fn append_during(
        &self,
        entry: Entry,
        durability: Durability,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Receipt, LedgerError>;
}

/// How soon an entry must survive a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The entry is committed and synced before `append` returns: for every act that changes something.
    Durable,
    /// The entry is taken by the writer, which commits it within 50 ms: for reads, and for what follows on something
    /// already granted. When the log lags behind, `append` waits as for [`Durability::Durable`]; when it has failed,
    /// this and every later `append` fails.
    Soon,
}

/// The proof that the log has taken an entry. Only this crate can make one.
#[must_use = "the act may go ahead only with this in hand"]
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    place: Option<(u64, Digest)>,
}

impl Receipt {
    pub(crate) const fn committed(seq: u64, leaf: Digest) -> Self {
        Self { place: Some((seq, leaf)) }
    }

    pub(crate) const fn accepted() -> Self {
        Self { place: None }
    }

    /// What is promised: `Durable` when the entry is committed, `Soon` when the writer has it.
    pub const fn durability(&self) -> Durability {
        if self.place.is_some() { Durability::Durable } else { Durability::Soon }
    }

    /// The record's place on the log, from 0; known once it is committed.
    pub fn seq(&self) -> Option<u64> {
        self.place.map(|(seq, _)| seq)
    }

    /// The record's leaf hash; known once it is committed.
    pub fn leaf(&self) -> Option<Digest> {
        self.place.map(|(_, leaf)| leaf)
    }
}

/// Why the ledger gave no receipt.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// A commit failed; the log takes nothing more in this process.
    #[error("the audit log has failed and takes no more records: {why}")]
    Failed {
        /// The first failure, with its path and the remedy.
        why: Arc<str>,
    },
    /// The log did not answer in time; whether the entry is on it is unknown.
    #[error(
        "the audit log did not answer within {waited_s} s; is its disk alive, or another process holding its lock?"
    )]
    NoAnswer {
        /// How long was waited, in seconds.
        waited_s: u64,
    },
    /// The disk has little room left, and what begins something gets none of it. The log itself is well.
    #[error(
        "{} MiB are free where `{dir}` is, {} MiB are wanted, and {} MiB are kept for refusals, answers and ends; make room, or lower `keep_free` under `[audit]`",
        free >> 20,
        more.div_ceil(1 << 20),
        kept.div_ceil(1 << 20)
    )]
    NoRoom {
        /// The state directory.
        dir: String,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are kept.
        kept: u64,
        /// Bytes that are wanted at once; 0 is a record.
        more: u64,
    },
    /// The disk has room for few files more, and what begins something gets none of it. The log itself is well.
    #[error(
        "{free} files more can be made where `{dir}` is, {more} are wanted, and {kept} are kept; remove some there"
    )]
    NoFiles {
        /// The state directory.
        dir: String,
        /// How many can be made.
        free: u64,
        /// How many are kept.
        kept: u64,
        /// How many are wanted at once; 0 is a record.
        more: u64,
    },
    /// An anchor elsewhere is required, and the newest lags too far behind.
    #[error(
        "the audit log is not anchored as `[audit]` requires: {why}; run `bartizan audit anchor`"
    )]
    Unanchored {
        /// How far it lags.
        why: String,
    },
    /// The entry cannot be recorded as it is; the log itself is well.
    #[error("the entry cannot be recorded: {why}")]
    Unrecordable {
        /// What is wrong with it.
        why: String,
    },
}
