//! Whose turn is it on the person's terminal: the program's in the box, or ours? While it is ours, nothing that the program
//! writes is shown, and no key reaches it.

use super::modes::Modes;
use rustix::termios::{QueueSelector, tcflush};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The person's terminal, as it is shared.
pub(crate) struct Stage {
    shown: Mutex<Shown>,
    is_free: Condvar,
    typed: Mutex<Typed>,
    has_typed: Condvar,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

/// The way to the screen; whoever holds the lock writes there.
struct Shown {
    is_ours: bool,
    modes: Modes,
    screen: Box<dyn Write + Send>,
}

impl Shown {
    /// A terminal that has gone away is noticed by whoever reads it.
    fn put(&mut self, text: &[u8]) {
        drop(self.screen.write_all(text).and_then(|()| self.screen.flush()));
    }
}

/// The way of the keys.
#[derive(Debug, Default)]
struct Typed {
    /// Where they go while it is our turn.
    ours: Option<Sender<Vec<u8>>>,
    /// What the program has not taken yet.
    theirs: VecDeque<u8>,
}

impl Stage {
    /// The program's turn, on the terminal that `screen` writes to.
    pub(super) fn new(screen: Box<dyn Write + Send>) -> Self {
        let shown = Shown { is_ours: false, modes: Modes::default(), screen };
        Self {
            shown: Mutex::new(shown),
            is_free: Condvar::new(),
            typed: Mutex::default(),
            has_typed: Condvar::new(),
        }
    }

    /// Shows what the program writes, once it is its turn. What comes meanwhile waits in its terminal, which is bounded.
    pub(super) fn shows(
        &self,
        bytes: &[u8],
        write: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut shown = self.shown();
        while shown.is_ours {
            shown = self.is_free.wait(shown).unwrap_or_else(PoisonError::into_inner);
        }
        write(shown.modes.follow(bytes))
    }

    /// Takes what was typed to whose turn it is. A program that does not read what it gets makes the person wait, unless
    /// it is our turn.
    pub(super) fn types(&self, bytes: &[u8]) {
        let mut typed = self.typed();
        loop {
            if let Some(ours) = &typed.ours {
                // Nobody listens any more: then it is nobody's.
                drop(ours.send(bytes.to_vec()));
                return;
            }
            if typed.theirs.len() < TYPED_MAX {
                typed.theirs.extend(bytes);
                self.has_typed.notify_all();
                return;
            }
            typed = self.has_typed.wait(typed).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What was typed for the program, as soon as there is some.
    pub(super) fn typed_for_them(&self) -> Vec<u8> {
        let mut typed = self.typed();
        while typed.theirs.is_empty() {
            typed = self.has_typed.wait(typed).unwrap_or_else(PoisonError::into_inner);
        }
        let taken = typed.theirs.drain(..).collect();
        self.has_typed.notify_all();
        taken
    }

    /// Makes it our turn until the turn is dropped.
    pub(super) fn turn(&self) -> Turn<'_> {
        let (ours, keys) = channel();
        self.typed().ours = Some(ours);
        self.has_typed.notify_all();
        let mut shown = self.shown();
        shown.is_ours = true;
        let (is_alternate, is_torn) = (shown.modes.is_alternate(), shown.modes.tear());
        shown.put(if is_alternate { "" } else { ENTER }.as_bytes());
        shown.put(FIRST_STATE.as_bytes());
        drop(shown);
        Turn { stage: self, keys, is_alternate, is_torn }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn typed(&self) -> MutexGuard<'_, Typed> {
        self.typed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Our turn.
#[derive(Debug)]
pub(super) struct Turn<'s> {
    stage: &'s Stage,
    /// What is typed meanwhile.
    pub(super) keys: Receiver<Vec<u8>>,
    is_alternate: bool,
    is_torn: bool,
}

impl Turn<'_> {
    /// Draws on the screen.
    pub(super) fn draws(&self, text: &str) {
        self.stage.shown().put(text.as_bytes());
    }

    /// Throws away what was typed until now.
    pub(super) fn forgets_keys(&self) {
        // Without this, what the kernel still has is read later, and then does not fit the code.
        tcflush(io::stdin(), QueueSelector::IFlush).unwrap_or_default();
        while self.keys.try_recv().is_ok() {}
    }

    /// Whether the program has to draw its screen anew when this turn is over.
    pub(super) fn spoils(&self) -> bool {
        self.is_alternate || self.is_torn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.forgets_keys();
        let mut shown = self.stage.shown();
        let again = shown.modes.again();
        shown.put(FIRST_STATE.as_bytes());
        shown.put(CLEAR.as_bytes());
        shown.put(&again);
        shown.put(if self.is_alternate { "" } else { LEAVE }.as_bytes());
        shown.is_ours = false;
        drop(shown);
        self.stage.is_free.notify_all();
        self.stage.typed().ours = None;
        self.stage.has_typed.notify_all();
    }
}

/// The alternate screen, after the end of whatever the program had begun.
const ENTER: &str = "\x18\x1b\\\x1b[?1046h\x1b[?1049h";
/// And back, with the cursor where it was.
const LEAVE: &str = "\x1b[?1049l";
const CLEAR: &str = "\x1b[H\x1b[2J";
/// A terminal as it first was, whatever a program made of it: no sequence under way, no foreign letters, no margins, no reports
/// of a mouse, plain keys, the person's own colours, no pictures, a cursor that is seen.
const FIRST_STATE: &str = concat!(
    "\x18\x1b\\\x1b[?2026l\x1b[!p\x1b(B\x1b)B\x1b*B\x1b+B\x0f\x1b[2l\x1b[4l\x1b[12h\x1b[20l",
    "\x1b[?1l\x1b[?5l\x1b[?6l\x1b[?66l\x1b[?69l\x1b[r\x1b>",
    "\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l",
    "\x1b[?2004l\x1b[?2031l\x1b[=0;1u\x1b[>4m\x1b[0 q",
    "\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\\x1b]117\x1b\\\x1b]119\x1b\\\x1b_Ga=d\x1b\\",
    "\x1b[0m\x1b[?7h\x1b[?25h",
);
/// Most bytes that a person may be ahead of the program.
const TYPED_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_program_that_reads_no_key_does_not_keep_ours_from_us() {
        let stage = Stage::new(Box::new(io::sink()));
        let all = vec![b'x'; TYPED_MAX];
        stage.types(&all);
        let turn = stage.turn();
        stage.types(b"ours");
        assert_eq!(turn.keys.recv().unwrap(), b"ours");
        drop(turn);
        assert_eq!(stage.typed_for_them(), all, "and none of ours reaches the program");
    }

    #[test]
    fn nothing_of_the_program_is_shown_in_our_turn() {
        let stage = Arc::new(Stage::new(Box::new(io::sink())));
        let was_shown = Arc::new(AtomicBool::new(false));
        let turn = stage.turn();
        let (theirs, flag) = (Arc::clone(&stage), Arc::clone(&was_shown));
        let writer = std::thread::spawn(move || {
            theirs.shows(b"theirs", |_| {
                flag.store(true, Ordering::SeqCst);
                Ok(())
            })
        });
        // Whoever looks while it is our turn finds nothing, however long the writer had.
        assert!(!was_shown.load(Ordering::SeqCst));
        drop(turn);
        writer.join().unwrap().unwrap();
        assert!(was_shown.load(Ordering::SeqCst));
    }
}
