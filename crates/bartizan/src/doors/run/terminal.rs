//! Whose terminal is it? The person's stays ours: the box gets a terminal or pipes of its own, and we
//! carry the bytes between the two.

use rustix::termios::{self, OptionalActions, Termios};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
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
pub(crate) fn feed(into: OwnedFd) {
    std::thread::spawn(move || carry(io::stdin().lock(), File::from(into)));
}

/// Carries what the box writes to our standard output or error, until the box is gone.
pub(crate) fn drain(from: OwnedFd, stream: Stream) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let from = File::from(from);
        match stream {
            Stream::Output => carry(from, io::stdout()),
            Stream::Error => carry(from, io::stderr()),
        }
    })
}

/// One of our own streams.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    /// Standard error.
    Error,
    /// Standard output.
    Output,
}

fn carry(mut from: impl Read, mut to: impl Write) {
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        // A terminal whose last process is gone reads as EIO: the end, like any other error here.
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        let written = buffer.get(..read).map(|bytes| to.write_all(bytes).and_then(|()| to.flush()));
        if !matches!(written, Some(Ok(()))) {
            return;
        }
    }
}
