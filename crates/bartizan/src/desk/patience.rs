//! Does anybody still wait for a call that is held?

use super::Ear;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whoever waits for a held call. When it is dropped, they have given up, or have their answer.
#[must_use = "dropping it gives the call up"]
#[derive(Debug)]
pub(crate) struct Waiter {
    patience: Patience,
    ear: Option<Arc<dyn Ear>>,
}

/// What the thread that holds a call knows of its waiter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patience(Arc<AtomicBool>);

impl Waiter {
    /// One whose call may be held by `ear`.
    pub(crate) fn new(ear: Option<Arc<dyn Ear>>) -> Self {
        Self { patience: Patience::default(), ear }
    }

    /// For the thread that holds the call.
    pub(crate) fn patience(&self) -> Patience {
        self.patience.clone()
    }
}

impl Patience {
    /// Whether nobody waits any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.patience.0.store(true, Ordering::SeqCst);
        if let Some(ear) = &self.ear {
            ear.stirs();
        }
    }
}
