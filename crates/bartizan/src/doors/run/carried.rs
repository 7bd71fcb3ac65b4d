//! How do the box's streams reach the person's, and theirs the box? Threads carry them; on a terminal where questions are
//! asked, in turns.

use super::asks::Asks;
use super::stage::Stage;
use super::terminal::{self, Spout, Stream};
use crate::app::Gate;
use bartizan_sandbox::StdioEnds;
use rustix::termios::{Winsize, tcsetwinsize};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The streams of one box, on their way.
#[derive(Default)]
pub(super) struct Carried {
    draining: Vec<JoinHandle<()>>,
    screen: Option<Arc<Screen>>,
    asking: Option<(Arc<Asks>, JoinHandle<()>)>,
}

impl Carried {
    /// Starts the threads that carry the streams; the terminal's controlling side is kept for its size. Where both the
    /// person's keyboard and screen are a terminal, questions of the gate are put there.
    pub(super) fn start(
        stdio: StdioEnds,
        spout: &Arc<Spout>,
        asks: Option<(Arc<Asks>, &Gate)>,
    ) -> Self {
        let mut carried = Self::default();
        if let Some(pty) = stdio.pty {
            let [input, output, error] = terminal::terminals();
            let stage = asks.filter(|_| input && (output || error)).map(|asks| {
                let screen: Box<dyn Write + Send> =
                    if output { Box::new(io::stdout()) } else { Box::new(io::stderr()) };
                (Arc::new(Stage::new(screen)), asks)
            });
            if let (true, Ok(copy)) = (input, pty.try_clone()) {
                match &stage {
                    Some((stage, _)) => terminal::feed_in_turns(copy, stage),
                    None => terminal::feed(copy),
                }
            }
            if let Ok(copy) = pty.try_clone() {
                let stream = if output { Stream::Output } else { Stream::Error };
                let turns = stage.as_ref().map(|(stage, _)| Arc::clone(stage));
                carried.draining.push(terminal::drain(copy, stream, (Arc::clone(spout), turns)));
            }
            let screen = Arc::new(Screen(pty));
            if let Some((stage, (asks, gate))) = stage {
                let shown = Arc::clone(&screen);
                let asking = asks.attend(stage, move || shown.redraw());
                gate.asks(Arc::<Asks>::clone(&asks));
                carried.asking = Some((asks, asking));
            }
            carried.screen = Some(screen);
        }
        if let Some(stdin) = stdio.stdin {
            terminal::feed(stdin);
        }
        let piped = [(stdio.stdout, Stream::Output), (stdio.stderr, Stream::Error)];
        carried.draining.extend(piped.into_iter().filter_map(|(end, stream)| {
            Some(terminal::drain(end?, stream, (Arc::clone(spout), None)))
        }));
        carried
    }

    /// Gives the box's terminal the size of the person's.
    pub(super) fn resize(&self) {
        if let Some(screen) = &self.screen {
            screen.fits();
        }
    }

    /// Asks nothing more, and lets the last output through. Every writer is dead, so this ends; the bound is for a
    /// person's terminal that nobody reads.
    pub(super) async fn finish(self) {
        let Self { draining, screen, asking } = self;
        let all = tokio::task::spawn_blocking(move || {
            if let Some((asks, asking)) = asking {
                asks.close();
                drop(asking.join());
            }
            for stream in draining {
                drop(stream.join());
            }
        });
        drop(tokio::time::timeout(LAST_OUTPUT, all).await);
        drop(screen);
    }
}

/// The box's terminal, from our side.
struct Screen(OwnedFd);

impl Screen {
    fn fits(&self) {
        if let Some((rows, cols)) = terminal::size() {
            self.resize(rows, cols);
        }
    }

    /// Makes the program draw its screen anew: it looks at it when its size changes.
    fn redraw(&self) {
        if let Some((rows, cols)) = terminal::size() {
            self.resize(rows.saturating_sub(1).max(1), cols);
            self.resize(rows, cols);
        }
    }

    /// A box that is just ending has no terminal left to tell.
    fn resize(&self, rows: u16, cols: u16) {
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.0, size).unwrap_or_default();
    }
}

/// How long the last output may take to reach whoever reads ours.
const LAST_OUTPUT: Duration = Duration::from_secs(5);
