//! What does a test of declared tools stand on? A person's machine, a server, and the binary.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A key that no answer, log or file may hold.
pub(crate) const KEY: &str = "qk7-Zt4vNw9sLd2hXc8bYm3gRf6p";

/// A person's machine: a home, a project, a state.
pub(crate) struct World {
    root: TempDir,
    env: Vec<(String, String)>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// The answer that an agent gets.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Refused with this code, and nothing answered.
    pub(crate) fn is_refused(&self, code: &str) {
        assert!(
            self.code != 0 && self.out.is_empty() && self.err.contains(&format!("[{code}]")),
            "{self:?}"
        );
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["home/.config/bartizan", "project"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        let keys = ["CRM_KEY", "PAYMENTS_KEY", "MAIL_KEY", "FIREWALL_KEY", "EDR_KEY"];
        Self { root, env: keys.map(|name| (name.to_owned(), KEY.to_owned())).into() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn configure(&self, text: &str) -> &Self {
        fs::write(self.path("home/.config/bartizan/bartizan.toml"), text).unwrap();
        self
    }

    /// One of the examples that ship, its host exchanged for `server`, which is declared.
    pub(crate) fn example(&self, name: &str, server: &Server) -> &Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../examples/tools")
            .join(format!("{name}.toml"));
        let text = fs::read_to_string(path).unwrap();
        let start = text.find("https://").unwrap();
        let host = text[start + 8..].split('/').next().unwrap();
        let text = text.replace(&format!("https://{host}"), &server.origin());
        self.configure(&format!("{text}\n{}", server.declared()))
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        #[expect(clippy::disallowed_methods, reason = "the binary under test")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
        command.args(args).env_clear().env("HOME", self.path("home")).env("PATH", PATH);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.path("project")).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let done = Done {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        assert!(!format!("{done:?}").contains(KEY), "the key is shown: {done:?}");
        done
    }

    pub(crate) fn call(&self, tool: &str, arguments: &Value) -> Done {
        self.run(&["tool", "call", tool, "--no-wait", "--json", &arguments.to_string()])
    }

    /// A call that waits for a person.
    pub(crate) fn begin(&self, tool: &str, arguments: &Value) -> Child {
        self.command(&["tool", "call", tool, "--json", &arguments.to_string()]).spawn().unwrap()
    }

    /// The one question that waits, once it does.
    pub(crate) fn question(&self) -> Value {
        loop {
            let listed = self.run(&["approvals", "list", "--json"]);
            let questions: Value = serde_json::from_str(&listed.out).unwrap();
            if let Some(question) = questions.get(0) {
                return question.clone();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Answers the one question that waits, as the one approver that there is.
    pub(crate) fn answer(&self, verdict: &str) {
        let id = self.question()["id"].as_str().unwrap().to_owned();
        assert_eq!(self.run(&["approvals", verdict, &id, "--yes"]).code, 0);
    }

    /// The irreversible acts, newest first.
    pub(crate) fn effects(&self) -> Vec<Value> {
        let listed = self.run(&["effects", "list", "--all", "--json"]);
        serde_json::from_str(&listed.out).unwrap_or_else(|_| panic!("{listed:?}"))
    }

    /// The log, as text; it holds, and is whole.
    pub(crate) fn log(&self) -> String {
        assert_eq!(self.run(&["audit", "verify"]).code % 3, 0);
        self.run(&["audit", "list", "--json"]).out
    }

    /// No file of the machine holds the key.
    pub(crate) fn holds_no_key(&self) {
        let mut folders = vec![self.path("home")];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let bytes = fs::read(&path).unwrap();
                assert!(
                    !bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()),
                    "{}",
                    path.display()
                );
            }
        }
    }
}

/// A server that does what it is told to, and tells what it was sent.
pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    secure: bool,
    child: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::launch(&[])
    }

    /// One with this certificate and key.
    pub(crate) fn secured(certificate: &Path, key: &Path) -> Self {
        Self::launch(&[certificate, key])
    }

    fn launch(tls: &[&Path]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/server.py");
        #[expect(clippy::disallowed_methods, reason = "a server to test against")]
        let mut command = Command::new("python3");
        command.arg(script).arg(folder.path()).args(tls).stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let mut server = Self { folder, port: 0, secure: !tls.is_empty(), child };
        while server.port == 0 {
            std::thread::sleep(Duration::from_millis(20));
            let text = fs::read_to_string(server.folder.path().join("port")).unwrap_or_default();
            server.port = text.parse().unwrap_or(0);
            assert!(server.child.try_wait().unwrap().is_none(), "the server died");
        }
        server
    }

    pub(crate) fn host(&self) -> String {
        let name = if self.secure { "localhost" } else { "127.0.0.1" };
        format!("{name}:{}", self.port)
    }

    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.host())
    }

    pub(crate) fn declared(&self) -> String {
        format!("[hosts.\"{}\"]\nprivate = true\n", self.host())
    }

    pub(crate) fn mode(&self, mode: &str) -> &Self {
        fs::write(self.folder.path().join("mode"), mode).unwrap();
        self
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("seen")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn wait_for(&self, requests: usize) {
        while self.seen().len() < requests {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// One header of the last request.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let last = self.seen().pop()?;
        let headers = last["headers"].as_array().unwrap().clone();
        let mut found = headers.iter().filter(|pair| pair[0] == name);
        let value = found.next().map(|pair| pair[1].as_str().unwrap().to_owned());
        assert!(found.next().is_none(), "{name} was sent twice");
        value
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// As far as the tests' own programs need it.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
