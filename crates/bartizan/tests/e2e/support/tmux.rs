//! What does a real terminal make of it? tmux draws the screen, and tells what stands on it.

use super::project::Program;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

/// A server of its own with one window of 40 rows and 120 columns.
#[derive(Debug)]
pub(crate) struct Tmux(String);

impl Tmux {
    /// Starts the program in it; nothing where there is no tmux.
    pub(crate) fn start(name: &str, program: &Program) -> Option<Self> {
        let tmux = Self(format!("bartizan-{name}-{}", std::process::id()));
        let words = program.words();
        let mut args: Vec<&str> =
            vec!["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40"];
        args.extend(words.iter().map(String::as_str));
        let started = tmux.run(&args)?;
        assert!(started.status.success(), "{started:?}");
        // The last screen stays to be looked at.
        tmux.run(&["set-option", "-w", "remain-on-exit", "on"])?;
        Some(tmux)
    }

    /// What stands on the screen now.
    pub(crate) fn screen(&self) -> String {
        let shown = self.run(&["capture-pane", "-p"]).unwrap();
        String::from_utf8(shown.stdout).unwrap()
    }

    /// Waits until `text` stands on the screen.
    pub(crate) fn shows(&self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return screen;
            }
            assert!(Instant::now() < deadline, "`{text}` never stands there:\n{screen}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Types a text and Enter.
    pub(crate) fn types(&self, text: &str) {
        self.run(&["send-keys", "-l", text]).unwrap();
        self.run(&["send-keys", "Enter"]).unwrap();
    }

    fn run(&self, args: &[&str]) -> Option<Output> {
        #[expect(clippy::disallowed_methods, reason = "the test stands where the person sits")]
        let mut command = Command::new("tmux");
        command.args(["-L", &self.0]).args(args).env_remove("TMUX");
        command.env("TERM", "xterm-256color").output().ok()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        drop(self.run(&["kill-server"]));
    }
}
