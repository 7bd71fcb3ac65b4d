//! How far is it? A bar for what takes longer than a moment, on a terminal only.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// A bar on standard error, drawn when there is something to wait for and gone when it is done.
#[derive(Debug)]
pub(crate) struct Bar {
    doing: &'static str,
    begun: Instant,
    drawn: Option<Instant>,
    is_shown: bool,
}

impl Bar {
    /// A bar that is shown only when `wanted` and standard error is a terminal.
    pub(crate) fn new(doing: &'static str, wanted: bool) -> Self {
        let is_shown = wanted && io::stderr().is_terminal();
        Self { doing, begun: Instant::now(), drawn: None, is_shown }
    }

    /// Says that `done` of `total` units are done.
    pub(crate) fn at(&mut self, done: u64, total: u64) {
        if !self.is_shown || self.begun.elapsed() < SILENCE {
            return;
        }
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < PAUSE) && done < total {
            return;
        }
        self.drawn = Some(Instant::now());
        write(&format!("\r{}\u{1b}[K", line(self.doing, done, total)));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            write("\r\u{1b}[K");
        }
    }
}

fn write(text: &str) {
    // Whoever closed the terminal does not wait.
    drop(io::stderr().write_all(text.as_bytes()));
}

fn line(doing: &str, done: u64, total: u64) -> String {
    let total = total.max(1);
    let done = done.min(total);
    let full = usize::try_from(done.saturating_mul(WIDTH) / total).unwrap_or_default();
    let width = usize::try_from(WIDTH).unwrap_or_default();
    let percent = done.saturating_mul(100) / total;
    format!("{doing} [{}{}] {percent} %", "#".repeat(full), ".".repeat(width - full.min(width)))
}

/// Cells of the bar.
const WIDTH: u64 = 30;
/// What is done sooner needs no bar.
const SILENCE: Duration = Duration::from_millis(400);
/// Between two drawings.
const PAUSE: Duration = Duration::from_millis(80);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_from_nothing_to_all_and_never_beyond() {
        assert_eq!(line("x", 0, 0), format!("x [{}] 0 %", ".".repeat(30)));
        assert_eq!(line("x", 5, 10), format!("x [{}{}] 50 %", "#".repeat(15), ".".repeat(15)));
        assert_eq!(line("x", 99, 10), format!("x [{}] 100 %", "#".repeat(30)));
        assert!(line("x", u64::MAX, u64::MAX).ends_with('%'));
    }

    #[test]
    fn what_is_no_terminal_gets_no_bar() {
        let mut bar = Bar { is_shown: false, ..Bar::new("x", true) };
        bar.begun = bar.begun.checked_sub(SILENCE).unwrap_or(bar.begun);
        bar.at(1, 2);
        assert!(bar.drawn.is_none());
    }
}
