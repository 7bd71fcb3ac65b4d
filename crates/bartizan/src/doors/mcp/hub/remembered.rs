//! What did a server that is at rest say last that it has? Given again as long as nothing has changed that it was judged by;
//! whoever is unsure wakes it.

use super::names::List;
use bartizan_store::Digest;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a list was judged by: which policy, counted since the session began, and what is pinned of all servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// How often another policy has come into force.
    pub(crate) turns: u64,
    /// Everything that was seen and accepted.
    pub(crate) pins: Digest,
}

/// Tells what lists are judged by now; `None` when that cannot be found out.
pub(crate) type Mark = Arc<dyn Fn() -> Option<Stamp> + Send + Sync>;

/// The lists of one server.
#[derive(Default)]
pub(super) struct Remembered(Mutex<State>);

#[derive(Default)]
struct State {
    lists: HashMap<&'static str, (Stamp, Vec<String>)>,
    /// How often all was forgotten.
    times: u64,
}

/// A list that is being asked for.
pub(super) struct Asking {
    stamp: Option<Stamp>,
    times: u64,
}

impl Remembered {
    /// From now on the server's answer is what it is judged by now.
    pub(super) fn asks(&self, mark: &Mark) -> Asking {
        Asking { stamp: mark(), times: self.state().times }
    }

    /// The list as it was said last, if it would be judged as it was then.
    pub(super) fn said(&self, list: &List, asking: &Asking) -> Option<Vec<String>> {
        let state = self.state();
        let (stamp, entries) = state.lists.get(list.method)?;
        (Some(*stamp) == asking.stamp).then(|| entries.clone())
    }

    /// Keeps a list, unless something has changed while it was asked for.
    pub(super) fn keep(&self, list: &List, entries: &[String], (asked, mark): (&Asking, &Mark)) {
        let now = mark();
        let mut state = self.state();
        if let Some(stamp) = now.filter(|_| now == asked.stamp && state.times == asked.times) {
            state.lists.insert(list.method, (stamp, entries.to_vec()));
        }
    }

    /// Nothing that was said counts any more: the server says so, or it is another one.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.lists.clear();
        state.times += 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn a_list_is_given_again_only_while_nothing_has_changed_since_it_was_asked_for() {
        let (tools, prompts) = (List::of("tools/list").unwrap(), List::of("prompts/list").unwrap());
        let turns = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&turns);
        let mark: Mark = Arc::new(move || {
            let turns = counted.load(Ordering::Relaxed);
            (turns < 9).then(|| Stamp { turns, pins: Digest::of(b"") })
        });
        let (remembered, entries) = (Remembered::default(), ["{}".to_owned()]);
        let keep = |asked: &Asking| remembered.keep(tools, &entries, (asked, &mark));
        let said = |list| remembered.said(list, &remembered.asks(&mark));
        assert_eq!(said(tools), None);
        keep(&remembered.asks(&mark));
        assert_eq!((said(tools).as_deref(), said(prompts)), (Some(&entries[..]), None));
        // Another policy; the old one's list is not its.
        turns.store(1, Ordering::Relaxed);
        assert_eq!(said(tools), None);
        // It came into force while the list was asked for.
        let asked = remembered.asks(&mark);
        turns.store(2, Ordering::Relaxed);
        keep(&asked);
        assert_eq!(said(tools), None);
        // The server said that its lists have changed, while it was asked.
        let asked = remembered.asks(&mark);
        remembered.forget();
        keep(&asked);
        assert_eq!(said(tools), None);
        keep(&remembered.asks(&mark));
        assert!(said(tools).is_some());
        // What it is judged by cannot be found out.
        turns.store(9, Ordering::Relaxed);
        assert_eq!(said(tools), None);
        keep(&remembered.asks(&mark));
        assert_eq!(said(tools), None);
    }
}
