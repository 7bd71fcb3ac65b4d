//! Which doors run behind this one? Those of the clients that are here, so that they can be told of another policy.

use crate::reload::{Heeder, Told};
use std::sync::{Arc, Mutex, PoisonError};

/// Clones share what they know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doors(Arc<Mutex<Vec<Arc<Heeder>>>>);

impl Doors {
    /// One more, which nobody has waited for yet.
    pub(super) fn add(&self, pid: u32) {
        let heeder = Heeder::of(pid).map(Arc::new);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(heeder);
    }

    /// Has each read its policy anew, and forgets those that are gone. May wait for one that has only begun.
    pub(crate) fn tell(&self) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let gone: Vec<_> = known.into_iter().filter(|door| door.tell() == Told::Gone).collect();
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doors.retain(|door| !gone.iter().any(|gone| Arc::ptr_eq(gone, door)));
    }
}
