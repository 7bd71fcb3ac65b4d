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
        Self { master, screen, program }
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

    /// Everything that was written to the screen so far.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }
}

/// How long the person looks at a screen that does not change.
const PATIENCE: Duration = Duration::from_mins(1);
