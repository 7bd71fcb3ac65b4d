//! How much may clients have in memory that nobody has answered yet? Long requests to a server that does not answer must not
//! fill it, and one identity's must not keep out the others'.

use crate::conversation::Who;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for the bytes of long bodies.
#[derive(Debug)]
pub(super) struct Room {
    all: Arc<Semaphore>,
    each: Mutex<Vec<(Arc<Who>, Arc<Semaphore>)>>,
}

/// What one body holds until its request is answered.
#[derive(Debug)]
pub(super) struct Held {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), each: Mutex::default() }
    }

    /// Takes room for a body of `size` bytes: nothing is held for a short one, and there is none when too much waits.
    pub(super) fn take(&self, who: &Arc<Who>, size: u64) -> Result<Option<Held>, ()> {
        if size <= SMALL {
            return Ok(None);
        }
        let size = u32::try_from(size).map_err(drop)?;
        let own = self.of(who).try_acquire_many_owned(size).map_err(drop)?;
        let all = Arc::clone(&self.all).try_acquire_many_owned(size).map_err(drop)?;
        Ok(Some(Held { _own: own, _all: all }))
    }

    fn of(&self, who: &Arc<Who>) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever holds nothing has all of it.
        each.retain(|(_, own)| Arc::strong_count(own) > 1);
        if let Some((_, own)) = each.iter().find(|(known, _)| known == who) {
            return Arc::clone(own);
        }
        let own = Arc::new(Semaphore::new(EACH));
        each.push((Arc::clone(who), Arc::clone(&own)));
        own
    }
}

/// Bytes in all, and of one identity. Each is held several times over on its way.
const ALL: usize = 256 << 20;
const EACH: usize = 64 << 20;
/// A body of so many bytes needs no room.
const SMALL: u64 = 64 << 10;
