//! Whose terminal is it? The person's stays ours: the box gets a terminal or pipes of its own, and we
//! carry the bytes between the two.

use super::stage::Stage;
use crate::report::plain;
use bartizan_sandbox::Killer;
use rustix::termios::{self, OptionalActions, Termios};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

/// The size of the person's terminal, as rows and columns, when there is one.
pub(crate) fn size() -> Option<(u16, u16)> {
    let window =
        termios::tcgetwinsize(io::stdout()).or_else(|_| termios::tcgetwinsize(io::stdin())).ok()?;
    Some((window.ws_row, window.ws_col))
}

/// Which of standard input, output and error are the person's terminal.
pub(crate) fn terminals() -> [bool; 3] {
    [io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal()]
}

/// The person's terminal in raw mode; put back as it was when dropped.
#[derive(Debug)]
pub(crate) struct Raw(Option<Termios>);

impl Raw {
    /// Turns raw mode on, when standard input is a terminal.
    pub(crate) fn enter() -> Self {
        let stdin = io::stdin();
        let Ok(before) = termios::tcgetattr(&stdin) else { return Self(None) };
        let mut raw = before.clone();
        raw.make_raw();
        match termios::tcsetattr(&stdin, OptionalActions::Flush, &raw) {
            Ok(()) => Self(Some(before)),
            Err(_) => Self(None),
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Nothing more can be done for a terminal that has gone away.
            termios::tcsetattr(io::stdin(), OptionalActions::Flush, before).unwrap_or_default();
        }
    }
}

/// Carries standard input into the box until either end closes. The thread ends with the process:
/// nothing can interrupt a read of the person's terminal.
pub(super) fn feed(into: OwnedFd) {
    // A program that reads no more of it loses nothing.
    std::thread::spawn(move || drop(carry(io::stdin().lock(), File::from(into))));
}

/// The same on a terminal that is shared: a thread takes every key, whatever the box does with its own.
pub(super) fn feed_in_turns(into: OwnedFd, stage: &Arc<Stage>) {
    let (theirs, keys) = (Arc::clone(stage), Arc::clone(stage));
    std::thread::spawn(move || drop(carry(io::stdin().lock(), Keys(keys))));
    std::thread::spawn(move || {
        let mut into = File::from(into);
        while into.write_all(&theirs.typed_for_them()).is_ok() {}
    });
}

/// Carries what the box writes to our standard output or error, until the box is gone; on a terminal that is shared, in its
/// turns.
pub(super) fn drain(
    from: OwnedFd,
    stream: Stream,
    (spout, stage): (Arc<Spout>, Option<Arc<Stage>>),
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let (from, measure) = (File::from(from), Arc::clone(&spout));
        let carried = match stream {
            Stream::Output => carry(from, Measured(Turns(io::stdout(), stage), measure)),
            Stream::Error => carry(from, Measured(Turns(io::stderr(), stage), measure)),
        };
        if let Err(error) = carried {
            spout.loses(stream, &error);
        }
    })
}

/// The keyboard's way onto a shared terminal.
struct Keys(Arc<Stage>);

impl Write for Keys {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.types(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream of ours on a terminal that may be shared.
struct Turns<W>(W, Option<Arc<Stage>>);

impl<W: Write> Write for Turns<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self(stream, stage) = self;
        let mut whole = |bytes: &[u8]| stream.write_all(bytes).and_then(|()| stream.flush());
        match stage {
            Some(stage) => stage.shows(bytes, whole)?,
            None => whole(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// How much a box may print. What goes beyond ends the box.
#[derive(Debug)]
pub(crate) struct Spout {
    left: AtomicU64,
    is_over: AtomicBool,
    lost: OnceLock<String>,
    killer: Arc<Killer>,
}

impl Spout {
    /// A spout for so many bytes; without a limit, for as many as may come.
    pub(crate) fn new(limit: Option<u64>, killer: &Arc<Killer>) -> Arc<Self> {
        let left = AtomicU64::new(limit.unwrap_or(u64::MAX));
        let (is_over, lost) = (AtomicBool::new(false), OnceLock::new());
        Arc::new(Self { left, is_over, lost, killer: Arc::clone(killer) })
    }

    /// Which output did not reach where ours goes, and why, if any was lost.
    pub(crate) fn lost(&self) -> Option<String> {
        self.lost.get().cloned()
    }

    /// A reader that has gone wants no more (`bartizan run -- CMD | head`), and what is beyond the limit is told as that; any
    /// other output that did not arrive is lost, and the first such loss is remembered.
    fn loses(&self, stream: Stream, error: &io::Error) {
        if error.kind() != io::ErrorKind::BrokenPipe && !self.is_over() {
            let what = match stream {
                Stream::Error => "standard error",
                Stream::Output => "standard output",
            };
            self.lost.get_or_init(|| format!("{what}: {}", plain(error)));
        }
    }

    /// Whether more came than may.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// How many of `wanted` bytes may still pass.
    fn take(&self, wanted: usize) -> usize {
        let wanted = wanted as u64;
        let spend =
            |left: u64| Some(if left == u64::MAX { left } else { left.saturating_sub(wanted) });
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
        let given = left.unwrap_or_else(|left| left).min(wanted);
        if given < wanted {
            self.is_over.store(true, Ordering::Relaxed);
            // It is gone already when this fails.
            drop(self.killer.kill());
        }
        usize::try_from(given).unwrap_or(usize::MAX)
    }
}

/// A stream of ours behind a spout.
struct Measured<W>(W, Arc<Spout>);

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let given = self.1.take(bytes.len());
        let written = self.0.write_all(bytes.get(..given).unwrap_or_default());
        written.and(if given == bytes.len() {
            Ok(given)
        } else {
            Err(io::ErrorKind::QuotaExceeded.into())
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// One of our own streams.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    /// Standard error.
    Error,
    /// Standard output.
    Output,
}

/// Carries until either side ends; an error is the other side's, which took less than there was.
fn carry(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        // A terminal whose last process is gone reads as EIO: the end, like any other error here.
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => return Ok(()),
            Ok(read) => read,
        };
        to.write_all(buffer.get(..read).unwrap_or_default())?;
        to.flush()?;
    }
}
