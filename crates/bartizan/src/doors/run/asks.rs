//! Which question stands before the person at the terminal, and what becomes of the calls that wait for it?
//!
//! The trusted path: the supervisor owns the terminal, so what is drawn and typed here passes no program of the box. A yes
//! takes a code that is made up for this question, shown when all of it has been on the screen, and not before keys
//! have been quiet: nothing that is typed ahead, or sent by a terminal in answer to the program, can hold it.

use super::panel::{Act, Panel};
use super::stage::{Stage, Turn};
use super::terminal;
use crate::desk::answering::{Word, outcome};
use crate::desk::patience::Patience;
use crate::desk::telling::Telling;
use crate::desk::{Ear, chance};
use bartizan_store::{Desk as _, Question, QuestionState, Store};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The questions of one run, for the person who started it.
pub(crate) struct Asks {
    store: Store,
    approver: String,
    /// Chosen for this run; no program of the box has seen it.
    mark: String,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// By the id that people type, oldest first; the first is before the person.
    waiting: VecDeque<String>,
    /// Those that the person leaves for later, or that others have to answer too.
    left: BTreeSet<String>,
    /// How many calls are held for each.
    held: BTreeMap<String, usize>,
    is_attended: bool,
}

impl std::fmt::Debug for Asks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asks").field("approver", &self.approver).finish_non_exhaustive()
    }
}

impl Asks {
    /// Asks `approver`, under a mark of the run's own.
    pub(crate) fn new(store: Store, approver: String, mark: String) -> Arc<Self> {
        let (queue, changed) = (Mutex::default(), Condvar::new());
        Arc::new(Self { store, approver, mark, queue, changed })
    }

    /// Puts questions before the person until [closed](Self::close). `nudge` makes the program draw its screen anew.
    pub(super) fn attend(
        self: &Arc<Self>,
        stage: Arc<Stage>,
        nudge: impl Fn() + Send + 'static,
    ) -> JoinHandle<()> {
        let this = Arc::clone(self);
        this.queue().is_attended = true;
        std::thread::spawn(move || {
            let _closing = Closing(&this);
            while let Some(first) = this.next() {
                let turn = stage.turn();
                let spoils = turn.spoils();
                let mut next = Some(first);
                while let Some(id) = next {
                    let answered = this.put(&id, &turn);
                    next = this.done(&id, answered);
                }
                drop(turn);
                if spoils {
                    nudge();
                }
            }
        })
    }

    /// Nobody is asked any more, and no call is held.
    pub(super) fn close(&self) {
        let mut queue = self.queue();
        queue.is_attended = false;
        queue.waiting.clear();
        drop(queue);
        self.changed.notify_all();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next question, as soon as there is one; nothing when closed.
    fn next(&self) -> Option<String> {
        let mut queue = self.queue();
        while queue.is_attended && queue.waiting.is_empty() {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.waiting.front().cloned()
    }

    /// Takes a question off, lets go of the calls that wait for it, and gives the next.
    fn done(&self, id: &str, answered: bool) -> Option<String> {
        let mut queue = self.queue();
        queue.waiting.retain(|waiting| waiting != id);
        if !answered {
            queue.left.insert(id.to_owned());
        }
        let next = queue.waiting.front().cloned();
        drop(queue);
        self.changed.notify_all();
        next
    }

    /// Shows one question until it is answered, here or elsewhere. `false` when it stays open.
    fn put(&self, id: &str, turn: &Turn<'_>) -> bool {
        let (Ok(question), Some(code)) = (self.store.question(id), chance::code()) else {
            return false;
        };
        let mut size = place();
        let title = format!(" Bartizan asks [{}]  {} more wait", self.mark, self.behind());
        let mut panel = Panel::new(title, Telling::of(&question), code, size);
        let mut is_open = false;
        turn.forgets_keys();
        loop {
            if size != place() {
                size = place();
                panel.fits(size);
            }
            turn.draws(&panel.drawn());
            let act = match turn.keys.recv_timeout(QUIET) {
                Ok(bytes) => panel.keys(&bytes),
                // Nobody types: what comes from now on is meant for this question.
                Err(RecvTimeoutError::Timeout) if !is_open => {
                    turn.forgets_keys();
                    is_open = true;
                    panel.open();
                    None
                }
                Err(_) => None,
            };
            match act.map(|act| self.obey(act, &question, &mut panel)) {
                Some(Some(answered)) => return answered,
                Some(None) => {}
                None => match self.state(&question) {
                    Some(QuestionState::Pending) => {}
                    stands => {
                        return matches!(
                            stands,
                            Some(QuestionState::Approved | QuestionState::Denied)
                        );
                    }
                },
            }
        }
    }

    /// Does what the person wants; tells whether the question is answered, unless it stays before them.
    fn obey(&self, act: Act, question: &Question, panel: &mut Panel) -> Option<bool> {
        let (say, reason) = match act {
            Act::Answer(say, reason) => (say, reason),
            Act::Leave => return Some(false),
            Act::Quiet => {
                self.close();
                return Some(false);
            }
        };
        let given = Word::new(question, say, reason)
            .and_then(|word| word.give(&self.store, question, &self.approver));
        match given {
            Ok(now) if now.state == QuestionState::Pending => {
                panel.says(outcome(&now));
                Some(false)
            }
            Ok(_) => Some(true),
            Err(failure) => {
                panel.says(failure.in_words());
                None
            }
        }
    }

    /// Where a question stands while this run still goes on.
    fn state(&self, question: &Question) -> Option<QuestionState> {
        if !self.queue().is_attended {
            return None;
        }
        self.store.question(&question.id).ok().map(|now| now.state)
    }

    fn behind(&self) -> usize {
        self.queue().waiting.len().saturating_sub(1)
    }
}

impl Ear for Asks {
    fn hears(&self, question: &str) {
        let mut queue = self.queue();
        let is_known =
            queue.waiting.iter().any(|id| id == question) || queue.left.contains(question);
        if queue.is_attended && !is_known {
            queue.waiting.push_back(question.to_owned());
            drop(queue);
            self.changed.notify_all();
        }
    }

    fn answers(&self, question: &str, patience: &Patience) -> bool {
        self.hears(question);
        let mut queue = self.queue();
        if queue.held() >= HELD_MAX || !queue.is_attended {
            return false;
        }
        *queue.held.entry(question.to_owned()).or_default() += 1;
        while queue.waits(question) && !patience.is_over() {
            queue = match patience.left() {
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                // The question stays: a yes to it is for the next such call.
                Some(Duration::ZERO) => break,
                Some(left) => {
                    let woken = self.changed.wait_timeout(queue, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let is_last = queue.lets_go(question);
        if patience.is_over() {
            let is_open = queue.waits(question);
            drop(queue);
            if is_last && is_open {
                // The panel sees that it is gone. If it stays, a yes to it is for the next such call.
                drop(self.store.withdraw(question));
            }
            return false;
        }
        queue.is_attended && !queue.waits(question) && !queue.left.contains(question)
    }

    fn stirs(&self) {
        // Whoever looked before the end of their patience is waiting now, or has not looked yet.
        drop(self.queue());
        self.changed.notify_all();
    }
}

impl Queue {
    /// How many calls are held.
    fn held(&self) -> usize {
        self.held.values().sum()
    }

    /// Whether a question is, or will be, before the person.
    fn waits(&self, question: &str) -> bool {
        self.is_attended && self.waiting.iter().any(|id| id == question)
    }

    /// One call less is held for a question; tells whether that was the last.
    fn lets_go(&mut self, question: &str) -> bool {
        let left = self.held.get_mut(question).map_or(0, |held| {
            *held = held.saturating_sub(1);
            *held
        });
        if left == 0 {
            self.held.remove(question);
        }
        left == 0
    }
}

/// However the thread that asks ends, no call waits for it.
struct Closing<'a>(&'a Asks);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Rows and columns of the terminal.
fn place() -> (usize, usize) {
    let (rows, columns) = terminal::size().unwrap_or((24, 80));
    (rows.into(), columns.into())
}

/// So long must the keys be quiet before they count; also how often the store is looked at.
const QUIET: Duration = Duration::from_millis(400);
/// Most calls that are held: each takes a thread of ours.
const HELD_MAX: usize = 32;

#[cfg(test)]
mod tests;
