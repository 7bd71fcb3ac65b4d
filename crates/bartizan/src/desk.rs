//! What passes between an agent's question and the person who answers it? The same wherever people answer; nothing here
//! draws or reads a key.

pub(crate) mod anchored;
pub(crate) mod answering;
mod burst;
pub(crate) mod chance;
pub(crate) mod counter;
pub(crate) mod herald;
pub(crate) mod lineup;
mod notice;
pub(crate) mod origins;
pub(crate) mod patience;
pub(crate) mod record;
pub(crate) mod rows;
pub(crate) mod telling;

use patience::Patience;

/// Somebody who is asked while a run goes on, at its own terminal.
pub(crate) trait Ear: std::fmt::Debug + Send + Sync {
    /// Puts a question before them.
    fn hears(&self, question: &str);

    /// Puts a question before them and waits. `true` when it has been answered, so that the call may be judged again;
    /// `false` when nobody answers here or in time, or nobody waits for it any more: a question of theirs alone is
    /// withdrawn then.
    fn answers(&self, question: &str, patience: &Patience) -> bool;

    /// Somebody's patience may have come to its end.
    fn stirs(&self);
}
