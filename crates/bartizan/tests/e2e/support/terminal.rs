//! What does a person at a terminal see? A pseudo-terminal with the program on the other side.

use super::project::{Program, Started};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The person's side of it.
#[derive(Debug)]
pub(crate) struct Terminal {
    master: File,
    screen: Arc<Mutex<Vec<u8>>>,
    program: Started,
    /// How much of the screen is old news.
    old: usize,
}

impl Terminal {
    /// Starts the program on a new terminal of 40 rows and 120 columns.
    pub(crate) fn start(program: Program) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let program = program.start_on(name.to_str().unwrap());
        let master = File::from(master);
        let screen = Arc::<Mutex<Vec<u8>>>::default();
        let (mut from, into) = (master.try_clone().unwrap(), Arc::clone(&screen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                into.lock().unwrap().extend(&buffer[..count]);
            }
        });
        Self { master, screen, program, old: 0 }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text`, one word of it, has been on the screen.
    pub(crate) fn shows(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown().contains(text) {
            assert!(Instant::now() < deadline, "`{text}` never shows:\n{}", self.shown());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses the same keys, as an impatient person would, until the program has ended.
    pub(crate) fn types_until_ended(&mut self, keys: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.program.has_ended() {
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.shown());
            self.types(keys);
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Gives the terminal another size, as a person does with a window.
    pub(crate) fn resize(&self, rows: u16, cols: u16) {
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    /// What comes from now on is news.
    pub(crate) fn looks_away(&mut self) {
        self.old = self.screen.lock().unwrap().len();
    }

    /// What was written since the person looked away.
    pub(crate) fn news(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()[self.old..]).into_owned()
    }

    /// Waits until the news hold `text`.
    pub(crate) fn tells(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.news().contains(text) {
            assert!(Instant::now() < deadline, "`{text}` is no news:\n{}", self.news());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses the same keys until the news hold `text`.
    pub(crate) fn types_until(&mut self, keys: &str, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.news().contains(text) {
            assert!(Instant::now() < deadline, "`{text}` is no news:\n{}", self.news());
            self.types(keys);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets it run to its end.
    pub(crate) fn ends(mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.program.has_ended() {
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.shown());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything that was written to the screen so far.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }
}

/// How long the person looks at a screen that does not change.
const PATIENCE: Duration = Duration::from_mins(1);
