//! Whose machine is it? A person's home with secrets in it, a workspace inside, and the built
//! program, run as that person would run it.

use rustix::process::{Pid, Signal};
use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A private key that stands in a file outside the workspace.
pub(crate) const SSH_KEY: &str = "CANARY-ssh-4f1c9a7be2d05386";
/// A cloud credential that stands in a file outside the workspace.
pub(crate) const AWS_SECRET: &str = "CANARY-aws-b80d3e6f51a2c974";
/// A token that stands in the launching shell's environment.
pub(crate) const GITHUB_TOKEN: &str = "CANARY-env-ghp-77e0d1c2b3a49586";
/// The person's real model key: only the scripted API may ever see it.
pub(crate) const MODEL_KEY: &str = "sk-ant-api03-CANARY-real-key-2c9e41f7d0";
/// All that must never be seen in the box, nor reach the model.
pub(crate) const SECRETS: [&str; 4] = [SSH_KEY, AWS_SECRET, GITHUB_TOKEN, MODEL_KEY];
/// What a file of the workspace holds.
pub(crate) const NOTES: &str = "the harbour opens at seven";

/// A temporary home with a workspace, removed when dropped.
#[derive(Debug)]
pub(crate) struct Project {
    root: TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        // Not in `/tmp`, which a box has for itself: a home there would be no realistic target.
        let place = std::env::var_os("BARTIZAN_TEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let project = Self { root: tempfile::tempdir_in(place).unwrap() };
        for dir in [project.home(), project.config(), project.state(), project.workspace()] {
            private_dir(&dir);
        }
        project.plant(".ssh/id_rsa", &format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{SSH_KEY}\n"));
        project.plant(
            ".aws/credentials",
            &format!("[default]\naws_secret_access_key = {AWS_SECRET}\n"),
        );
        project.write("notes.txt", &format!("{NOTES}\n"));
        project
    }

    fn plant(&self, name: &str, contents: &str) {
        let path = self.home().join(name);
        private_dir(path.parent().unwrap());
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.home().join("shop")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.home().join(".config/bartizan")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.home().join(".local/state/bartizan")
    }

    /// A file of the workspace as the host sees it.
    pub(crate) fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.workspace().join(name)).ok()
    }

    /// Puts a file into the workspace, as the host's side does.
    pub(crate) fn write(&self, name: &str, contents: &str) {
        let path = self.workspace().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    /// Writes the person's configuration.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.config().join("bartizan.toml"), text).unwrap();
    }

    /// Puts what [`Program::on_own_disk`] has left back into the folder.
    pub(crate) fn from_own_disk(folder: &Path) {
        fs::remove_dir_all(folder).unwrap();
        fs::rename(folder.with_extension("left"), folder).unwrap();
    }

    /// `bartizan ARGS…` in the workspace, in the environment of a person's shell.
    pub(crate) fn bartizan<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Program {
        self.program(Path::new(env!("CARGO_BIN_EXE_bartizan")), args)
    }

    /// The same of any program.
    pub(crate) fn program<S: AsRef<std::ffi::OsStr>>(&self, program: &Path, args: &[S]) -> Program {
        #[expect(
            clippy::disallowed_methods,
            reason = "the test stands where the person's shell does"
        )]
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.workspace())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm")
            .env("SHELL", "/bin/bash")
            .env("GITHUB_TOKEN", GITHUB_TOKEN)
            .env("ANTHROPIC_API_KEY", MODEL_KEY)
            .stdin(Stdio::null());
        Program(command)
    }

    /// `bartizan run -- CMD…` against this model.
    pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(&self, model: &str, command: &[S]) -> Ran {
        let mut args: Vec<&std::ffi::OsStr> = vec!["run".as_ref(), "--".as_ref()];
        args.extend(command.iter().map(AsRef::as_ref));
        self.bartizan(&args).env("ANTHROPIC_BASE_URL", model).finish()
    }
}

/// A command that is about to run.
#[derive(Debug)]
pub(crate) struct Program(Command);

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it where no user namespace can be made: `unshare` and `clone` refuse, as with `AppArmor` and in containers.
    pub(crate) fn without_namespaces(self) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the test stands where the person's shell does"
        )]
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", NO_USER_NAMESPACES]).arg(self.0.get_program()).args(self.0.get_args());
        command.current_dir(self.0.get_current_dir().unwrap()).env_clear();
        command.envs(self.0.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null());
        Self(command)
    }

    /// Runs it as from a terminal, so that a hang-up ends it, also where the tests themselves were started to outlive theirs.
    pub(crate) fn at_terminal(self) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the test stands where the person's shell does"
        )]
        let mut command = Command::new("/usr/bin/env");
        command.arg("--default-signal=HUP").arg(self.0.get_program()).args(self.0.get_args());
        command.current_dir(self.0.get_current_dir().unwrap()).env_clear();
        command.envs(self.0.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null());
        Self(command)
    }

    /// Runs it where `folder` is a disk of its own of 24 MiB with what is in the folder, and at the end leaves what is on it
    /// beside the folder. It takes root, and says `no disk of its own` where none can be mounted.
    pub(crate) fn on_own_disk(self, folder: &Path) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the test stands where the person's shell does"
        )]
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", OWN_DISK, "sh"]);
        command.arg(folder).arg(self.0.get_program()).args(self.0.get_args());
        command.current_dir(self.0.get_current_dir().unwrap()).env_clear();
        command.envs(self.0.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self(command)
    }

    /// Runs it in another folder than the workspace.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs it to its end, which must come within [`PATIENCE`].
    pub(crate) fn finish(self) -> Ran {
        self.start().finish()
    }

    /// Starts it with a pipe to read from.
    pub(crate) fn typing(mut self) -> Started {
        self.0.stdin(Stdio::piped());
        self.start()
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> Started {
        let mut child = self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = drain(child.stdout.take().unwrap());
        let stderr = drain(child.stderr.take().unwrap());
        Started { child: Held(child), stdout, stderr }
    }
}

impl Program {
    /// The same as words that anybody could start, in its folder and with its environment.
    pub(crate) fn words(&self) -> Vec<String> {
        let text = |text: &std::ffi::OsStr| text.to_str().unwrap().to_owned();
        let folder = self.0.get_current_dir().unwrap().as_os_str();
        let mut words = ["env", "-i", "-C"].map(str::to_owned).to_vec();
        words.push(text(folder));
        for (name, value) in self.0.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            words.push(format!("{}={}", text(name), text(value)));
        }
        words.push(text(self.0.get_program()));
        words.extend(self.0.get_args().map(text));
        words
    }

    /// Starts it on a terminal, as the leader of a session of its own.
    pub(crate) fn start_on(self, terminal: &str) -> Started {
        let open = || fs::File::options().read(true).write(true).open(terminal).unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "the test stands where the person's shell does"
        )]
        let mut leader = Command::new("setsid");
        leader.args(["--ctty", "--wait"]).arg(self.0.get_program()).args(self.0.get_args());
        leader.current_dir(self.0.get_current_dir().unwrap()).env_clear();
        leader.envs(self.0.get_envs().filter_map(|(name, value)| Some((name, value?))));
        leader.stdin(open()).stdout(open()).stderr(open());
        let child = leader.spawn().unwrap();
        Started {
            child: Held(child),
            stdout: drain(std::io::empty()),
            stderr: drain(std::io::empty()),
        }
    }
}

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Started {
    child: Held,
    stdout: Drain,
    stderr: Drain,
}

/// A process that does not outlive a test that fails.
#[derive(Debug)]
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Started {
    /// What it has said by now.
    pub(crate) fn so_far(&self) -> String {
        self.stdout.so_far()
    }

    /// Waits until its output holds `text`, for at most [`PATIENCE`].
    pub(crate) fn says(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.stdout.so_far().contains(text) {
            assert!(Instant::now() < deadline, "`{text}` was never said: {self:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for a whole line of its output that fits, while it runs and for at most [`PATIENCE`].
    pub(crate) fn line(&mut self, fits: &dyn Fn(&str) -> bool) -> String {
        self.line_of(|this| &this.stdout, fits)
    }

    /// The same of its standard error.
    pub(crate) fn complaint(&mut self, fits: &dyn Fn(&str) -> bool) -> String {
        self.line_of(|this| &this.stderr, fits)
    }

    fn line_of(&mut self, of: fn(&Self) -> &Drain, fits: &dyn Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.has_ended() && of(self).reader.is_finished();
            let said = of(self).so_far();
            let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(line) = whole.lines().find(|line| fits(line)) {
                return line.to_owned();
            }
            assert!(!ended && Instant::now() < deadline, "no such line was ever said: {self:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it has said `text` on standard error, for at most [`PATIENCE`].
    pub(crate) fn complains(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.stderr.so_far().contains(text) {
            assert!(Instant::now() < deadline, "`{text}` was never said: {self:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Writes to its standard input, and leaves it open.
    pub(crate) fn adds(&mut self, text: &str) {
        self.child.0.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Writes to its standard input, and closes it.
    pub(crate) fn types(mut self, text: &str) -> Self {
        let mut stdin = self.child.0.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        self
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child.0), signal).unwrap();
    }

    pub(crate) fn finish(mut self) -> Ran {
        let status = wait(&mut self.child.0);
        let Some(status) = status else { panic!("it did not end within {PATIENCE:?}: {self:?}") };
        Ran { status, stdout: self.stdout.all(), stderr: self.stderr.all() }
    }
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// A pipe that is read as it fills.
struct Drain {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: thread::JoinHandle<()>,
}

impl Drain {
    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// Everything, once the other end is closed; what outlives the program must not hold it open.
    fn all(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.reader.is_finished() {
            assert!(Instant::now() < deadline, "something still holds the output: {self:?}");
            thread::sleep(Duration::from_millis(5));
        }
        self.so_far()
    }
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.so_far())
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> Drain {
    let bytes = Arc::<Mutex<Vec<u8>>>::default();
    let into = Arc::clone(&bytes);
    let reader = thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            into.lock().unwrap().extend(&buffer[..count]);
        }
    });
    Drain { bytes, reader }
}

fn private_dir(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
}

/// How long any run may take; generous, since the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_mins(3);

const OWN_DISK: &str = "folder=$1; shift
cp -a $folder $folder.kept && mount -t tmpfs -o size=24m,mode=700 none $folder || { echo 'no disk of its own'; exit 1; }
cp -a $folder.kept/. $folder && \"$@\"; code=$?
cp -a $folder $folder.left; exit $code";

const NO_USER_NAMESPACES: &str = r"
import ctypes, os, platform, struct, sys
clone, unshare = (56, 272) if platform.machine() == 'x86_64' else (220, 97)
i = lambda code, jt, jf, k: struct.pack('HBBI', code, jt, jf, k)
code = [i(0x20, 0, 0, 0), i(0x15, 0, 1, 435), i(6, 0, 0, 0x50000 | 38), i(0x15, 1, 0, clone), i(0x15, 0, 3, unshare),
        i(0x20, 0, 0, 16), i(0x45, 0, 1, 0x10000000), i(6, 0, 0, 0x50001), i(6, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b''.join(code))
program = struct.pack('HxxxxxxP', len(code), ctypes.addressof(text))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
";
