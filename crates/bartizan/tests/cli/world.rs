//! What do the tests of the command line share? A person's machine, and what came of one command.

use bartizan_store::{Desk, Digest, NewQuestion, Question, Store};
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A person's machine: a home, a project, and nothing configured.
pub(crate) struct World {
    pub(crate) root: TempDir,
}

/// What came of one command.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

impl World {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["home/.config/bartizan/policy", "project"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        Self { root }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("home/.local/state/bartizan")
    }

    pub(crate) fn store(&self) -> Store {
        fs::create_dir_all(self.path("home/.local/state")).unwrap();
        Store::open(&self.state()).unwrap()
    }

    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.path("home/.config/bartizan/bartizan.toml"), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        #[expect(
            clippy::disallowed_methods,
            reason = "the binary under test is what this file is about"
        )]
        let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
        command.args(args).env_clear().env("HOME", self.path("home")).env("PATH", "/usr/bin:/bin");
        command
            .current_dir(self.path("project"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        self.finish(self.command(args).spawn().unwrap())
    }

    pub(crate) fn finish(&self, mut child: Child) -> Done {
        let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let out = std::thread::spawn(move || read(&mut stdout));
        let err = std::thread::spawn(move || read(&mut stderr));
        let code = wait(&mut child);
        // What changes from run to run is taken out, so that the rest can be compared.
        let root = self.root.path().canonicalize().unwrap().display().to_string();
        let tame = |text: String| text.replace(&root, "ROOT");
        Done { code, out: tame(out.join().unwrap()), err: tame(err.join().unwrap()) }
    }
}

pub(crate) fn read(from: &mut impl Read) -> String {
    let mut text = String::new();
    from.take(1 << 24).read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn wait(child: &mut Child) -> i32 {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the command did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for something that is bound to come to pass.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn json_of(done: &Done) -> Value {
    serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}"))
}

pub(crate) fn ask(store: &Store, call: &str, quorum: u32, shown: Value) -> Question {
    let new = NewQuestion {
        session: "5e5510".to_owned(),
        agent: "main".to_owned(),
        tool: "WebFetch".to_owned(),
        digest: Digest::of(call.as_bytes()),
        policy: Digest::of(b"policy"),
        quorum,
        shown,
        expires_in: Duration::from_mins(10),
    };
    store.ask(new).unwrap()
}

pub(crate) fn start(question: &Question, length: usize) -> &str {
    question.id.get(..length).unwrap()
}
