//! How much may clients have in memory that nobody has answered yet? Long requests to a server that does not answer must not
//! fill it, and no few identities may keep out the others'.

use crate::conversation::Who;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Room for the bytes of long bodies.
#[derive(Debug)]
pub(super) struct Room(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    left: u64,
    /// What each has taken of it who has taken any.
    each: Vec<(Arc<Who>, u64)>,
}

/// What one body holds until its request is answered.
#[derive(Debug)]
pub(super) struct Held {
    room: Arc<Mutex<State>>,
    who: Arc<Who>,
    size: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = locked(&self.room);
        state.left = state.left.saturating_add(self.size);
        if let Some((_, own)) = state.each.iter_mut().find(|(known, _)| *known == self.who) {
            *own = own.saturating_sub(self.size);
        }
        state.each.retain(|(_, own)| *own > 0);
    }
}

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { left: ALL, each: Vec::new() })))
    }

    /// Takes room for a body of `size` bytes: nothing is held for a short one, and there is none when too much waits. Whoever
    /// holds some gets more only while that is no more than half of what it leaves to the others, so that it takes many
    /// to fill it, and one who comes late and holds none has a share as long as there is any.
    pub(super) fn take(&self, who: &Arc<Who>, size: u64) -> Result<Option<Held>, ()> {
        if size <= SMALL {
            return Ok(None);
        }
        let mut state = locked(&self.0);
        let left = state.left.checked_sub(size).ok_or(())?;
        let known = state.each.iter_mut().find(|(known, _)| known == who);
        let own = known.as_ref().map_or(0, |(_, own)| *own).saturating_add(size);
        let is_fair = known.is_none() || own <= left / 2;
        if own > EACH || !is_fair {
            return Err(());
        }
        match known {
            Some((_, held)) => *held = own,
            None => state.each.push((Arc::clone(who), own)),
        }
        state.left = left;
        Ok(Some(Held { room: Arc::clone(&self.0), who: Arc::clone(who), size }))
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes in all, and of one identity. Each is held several times over on its way.
const ALL: u64 = 256 << 20;
const EACH: u64 = 64 << 20;
/// A body of so many bytes needs no room.
const SMALL: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Evidence;

    const BODY: u64 = 8 << 20;

    fn who(name: usize) -> Arc<Who> {
        let by = Evidence::Token(name.to_string());
        Arc::new(Who { role: "soc".to_owned(), by, tools: None })
    }

    /// All that one identity gets.
    fn fill(room: &Room, name: usize) -> Vec<Held> {
        std::iter::from_fn(|| room.take(&who(name), BODY).ok().flatten()).collect()
    }

    #[test]
    fn four_that_take_all_they_get_keep_nobody_else_out() {
        let room = Room::new();
        let greedy: Vec<Vec<Held>> = (0..4).map(|name| fill(&room, name)).collect();
        let counts: Vec<usize> = greedy.iter().map(Vec::len).collect();
        assert_eq!(counts, [8, 8, 5, 3], "64 MiB each while there is much");
        let late: Vec<Held> =
            (4..12).map(|name| room.take(&who(name), BODY).unwrap().unwrap()).collect();
        assert!(room.take(&who(12), BODY).is_err(), "256 MiB in all");
        assert!(room.take(&who(0), SMALL).unwrap().is_none(), "a short one needs none");
        drop((greedy, late));
        assert_eq!(locked(&room.0).left, ALL);
        assert!(locked(&room.0).each.is_empty());
        assert_eq!(fill(&room, 0).len(), 8);
    }

    #[test]
    fn what_was_refused_takes_nothing() {
        let room = Room::new();
        let held = fill(&room, 0);
        let left = locked(&room.0).left;
        assert!(room.take(&who(0), BODY).is_err());
        assert!(room.take(&who(1), EACH + 1).is_err());
        assert!(room.take(&who(1), u64::MAX).is_err());
        assert_eq!(locked(&room.0).left, left);
        assert_eq!(locked(&room.0).each.len(), 1);
        drop(held);
    }
}
