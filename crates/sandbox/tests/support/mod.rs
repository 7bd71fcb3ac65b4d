//! What does every test of the box need?
#![allow(
    clippy::allow_attributes,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "a test may stop, and each test binary uses a part of this"
)]
pub(crate) mod session;
pub(crate) mod table;
use bartizan_sandbox::{
    Accept, BoxSpec, Exit, HostFacts, Limits, Plan, Running, SpawnError, Stdio, Strength, Tier,
    WorkspaceMode, spawn,
};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use table::WITHOUT;

/// A directory of this test alone, with a workspace in it; gone when dropped.
pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) workspace: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("box-").tempdir().unwrap();
        let workspace = directory.path().canonicalize().unwrap().join("project");
        std::fs::create_dir(&workspace).unwrap();
        std::fs::write(workspace.join("readme.txt"), "hello from the host\n").unwrap();
        Self { directory, workspace }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    /// A box that runs `script` in bash.
    pub(crate) fn spec(&self, script: &str) -> BoxSpec {
        BoxSpec {
            workspace: self.workspace.clone(),
            workspace_mode: WorkspaceMode::Overlay { size_bytes: 64 << 20, inodes: 10_000 },
            program: "/bin/bash".into(),
            argv: ["bash", "-c", script].map(OsString::from).to_vec(),
            env: [("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"), ("HOME", HOME), ("LANG", "C")]
                .map(|(name, value)| (name.into(), value.into()))
                .to_vec(),
            cwd: self.workspace.clone(),
            home: HOME.into(),
            readable: Vec::new(),
            synthetic: Vec::new(),
            sockets: Vec::new(),
            network: bartizan_sandbox::Reach::Captured,
            inner_boxes: false,
            keep_home: false,
            never_visible: vec![self.path("state")],
            limits: Limits {
                memory_bytes: 512 << 20,
                pids: 128,
                scratch_bytes: 64 << 20,
                file_size: 256 << 20,
                wall: Some(Duration::from_mins(1)),
                ..Limits::ordinary()
            },
            user: "agent".into(),
            stdio: Stdio::piped(),
        }
    }

    pub(crate) fn run(&self, script: &str) -> Outcome {
        run(&self.spec(script))
    }

    /// A box that runs `script` in python.
    pub(crate) fn python(&self, script: &str) -> BoxSpec {
        let mut spec = self.spec("");
        spec.program = "/usr/bin/python3".into();
        spec.argv = ["python3", "-c", script].map(OsString::from).to_vec();
        spec
    }
}

/// How a box ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.exit.code(), 0, "{self:#?}");
        self
    }
}

pub(crate) fn plan(spec: &BoxSpec) -> Plan {
    Plan::from_spec(spec, &HostFacts::gather(spec).unwrap()).unwrap()
}

pub(crate) fn start(spec: &BoxSpec) -> Result<Running, SpawnError> {
    spawn(&plan(spec))
}

#[track_caller]
pub(crate) fn run(spec: &BoxSpec) -> Outcome {
    let mut running = match start(spec) {
        Ok(running) => running,
        Err(e) => panic!("{e}"),
    };
    drain(&mut running)
}

/// Reads everything the box writes and waits for its end.
pub(crate) fn drain(running: &mut Running) -> Outcome {
    let began = Instant::now();
    drop(running.stdio.stdin.take());
    let stdout = reader(running.stdio.stdout.take());
    let stderr = reader(running.stdio.stderr.take());
    let exit = running.life.wait().unwrap();
    let took = began.elapsed();
    Outcome { exit, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap(), took }
}

fn reader(fd: Option<OwnedFd>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(fd) = fd {
            std::fs::File::from(fd).take(1 << 20).read_to_end(&mut bytes).unwrap();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

pub(crate) fn write_to(fd: OwnedFd, text: &str) {
    std::fs::File::from(fd).write_all(text.as_bytes()).unwrap();
}

/// Runs `body` as who we are, and, when that is root, the test called `name` once more as an ordinary user.
pub(crate) fn everyone(name: &str, body: fn()) {
    body();
    if rustix::process::geteuid().is_root() {
        as_ordinary(name);
    }
}

/// Runs the test called `name` as an ordinary user; only root can.
#[expect(clippy::disallowed_methods, reason = "the test starts itself as another user")]
pub(crate) fn as_ordinary(name: &str) {
    let home = tempfile::Builder::new().prefix("home-").tempdir().unwrap();
    std::os::unix::fs::chown(home.path(), Some(ORDINARY), Some(ORDINARY)).unwrap();
    let output = Command::new("setpriv")
        .args([
            format!("--reuid={ORDINARY}"),
            format!("--regid={ORDINARY}"),
            "--clear-groups".into(),
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("TMPDIR", home.path())
        .env("HOME", home.path().join("home"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "as an ordinary user:\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Attack P21: eight processes that spin under 30 % of a core, and a box without such a limit that must get its work done
/// beside them. Returns what the report says of the limit, and how much CPU time the spinning took.
pub(crate) fn spin_beside(
    start: impl Fn(&BoxSpec) -> Running,
    place: &Place,
) -> (Strength, Duration) {
    // Until its standard input ends; then all are waited for, so that their time is counted.
    let mut spec = place.python(
        "import os, sys\nspinning = []\nfor _ in range(8):\n  child = os.fork()\n  while child == 0: pass\n  spinning.append(child)\n\
         sys.stdin.read()\nfor child in spinning: os.kill(child, 9); os.waitpid(child, 0)\nprint('stopped')",
    );
    spec.limits.cpu_percent = Some(30);
    let began = Instant::now();
    let mut spinning = start(&spec);
    let strength = spinning.report.item("cpu").unwrap().strength;
    let work = place.python("print(sum(i * i for i in range(1_000_000)))");
    let worked = drain(&mut start(&work)).succeeded();
    assert_eq!(worked.stdout, "333332833333500000\n");
    // A time to measure over, not one to wait for anything.
    std::thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
    let stopped = drain(&mut spinning).succeeded();
    let took = began.elapsed();
    assert_eq!(stopped.stdout, "stopped\n");
    let used = stopped.exit.peak.cpu.unwrap();
    assert!(used > Duration::from_millis(20), "it did not spin: {used:?} of {took:?}");
    match strength {
        // A tenth more, and one period.
        Strength::Kernel => {
            let most = took.mul_f64(0.33) + Duration::from_millis(150);
            assert!(used < most, "{used:?} of {took:?}");
        }
        // Said to be absent; how much a busy machine then gives shows nothing.
        Strength::Absent => {}
        Strength::Watched => panic!("nothing watches CPU time"),
    }
    (strength, used)
}

/// Waits for something that must come about soon.
#[track_caller]
pub(crate) fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < until, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs the test called `name` where no user namespace can be made: as who we are and, when that is root, as an ordinary
/// user too. `body` runs in the processes started for it.
#[expect(clippy::disallowed_methods, reason = "the test starts itself under a filter")]
pub(crate) fn without_namespaces(name: &str, body: fn()) {
    if std::env::var_os(WITHOUT).is_some() {
        return body();
    }
    let root = rustix::process::geteuid().is_root();
    for user in [None, Some(ORDINARY)].into_iter().take(if root { 2 } else { 1 }) {
        let home = tempfile::Builder::new().prefix("home-").tempdir().unwrap();
        let mut command = Command::new("setpriv");
        if let Some(user) = user {
            std::os::unix::fs::chown(home.path(), Some(user), Some(user)).unwrap();
            command.args([
                format!("--reuid={user}"),
                format!("--regid={user}"),
                "--clear-groups".into(),
            ]);
        }
        let output = command
            .args(["/usr/bin/python3", "-c", NO_USER_NAMESPACES])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(WITHOUT, "1")
            .env("TMPDIR", home.path())
            .env("HOME", home.path().join("home"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "without user namespaces, user {user:?}:\n{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// A box of tier B; there is no other where the test runs.
#[track_caller]
pub(crate) fn start_b(place: &Place, spec: &BoxSpec) -> Running {
    let accept = Accept::OrB { folders: place.path("state") };
    match bartizan_sandbox::start(spec, &accept) {
        Ok(running) => {
            assert_eq!(running.report.tier(), Tier::B);
            running
        }
        Err(e) => panic!("{e}"),
    }
}

#[track_caller]
pub(crate) fn run_b(place: &Place, spec: &BoxSpec) -> Outcome {
    drain(&mut start_b(place, spec))
}

/// Refuses `unshare` and `clone` of a user namespace, as `AppArmor` and containers do, and hides `clone3`, whose flags no filter
/// sees; then becomes the rest of the arguments.
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

/// A place that every user of this machine may enter, so that only the box's walls keep it out.
pub(crate) fn open_place() -> Place {
    let place = Place::new();
    std::fs::set_permissions(
        place.directory.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    place
}

/// A file of the person's that anybody may read and write.
pub(crate) fn victim(place: &Place, name: &str) -> PathBuf {
    let path = place.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "TOP-SECRET").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    path
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// A test that holds for root and for an ordinary user.
#[macro_export]
macro_rules! for_everyone {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => {
        $($(#[$attribute])* #[test] fn $name() {
            fn body() $body
            support::everyone(stringify!($name), body);
        })*
    };
}

/// A test that holds in tier B, for root and for an ordinary user.
#[macro_export]
macro_rules! in_tier_b {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => {
        $($(#[$attribute])* #[test] fn $name() {
            fn body() $body
            support::without_namespaces(stringify!($name), body);
        })*
    };
}

pub(crate) const HOME: &str = "/home/agent";
const ORDINARY: u32 = 54_321;
