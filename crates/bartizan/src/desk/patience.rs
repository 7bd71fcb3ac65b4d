//! Does anybody still wait for a call that is held?

use super::Ear;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whoever waits for a held call. When it is dropped, they have given up, or have their answer.
#[must_use = "dropping it gives the call up"]
#[derive(Debug)]
pub(crate) struct Waiter {
    patience: Patience,
    ear: Option<Arc<dyn Ear>>,
}

/// What the thread that holds a call knows of its waiter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patience {
    is_over: Arc<AtomicBool>,
    until: Option<Instant>,
}

impl Waiter {
    /// One whose call may be held by `ear`.
    pub(crate) fn new(ear: Option<Arc<dyn Ear>>) -> Self {
        Self { patience: Patience::default(), ear }
    }

    /// The same for a caller that takes silence for an end: by `until` it is told something.
    pub(crate) fn until(mut self, until: Instant) -> Self {
        self.patience.until = Some(until);
        self
    }

    /// For the thread that holds the call.
    pub(crate) fn patience(&self) -> Patience {
        self.patience.clone()
    }
}

impl Patience {
    /// Whether nobody waits any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// The same, for so long at most.
    pub(crate) fn within(&self, time: Duration) -> Self {
        let end = Instant::now() + time;
        let until = Some(self.until.map_or(end, |until| until.min(end)));
        Self { is_over: Arc::clone(&self.is_over), until }
    }

    /// For how long the call may still be held, if there is an end to it. The question outlives it.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.patience.is_over.store(true, Ordering::SeqCst);
        if let Some(ear) = &self.ear {
            ear.stirs();
        }
    }
}
