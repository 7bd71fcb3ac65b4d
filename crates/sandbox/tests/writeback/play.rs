//! How does a test play a session: a workspace, an overlay on which something was done, and the write-back?
use bartizan_sandbox::writeback::{
    self, Applied, Change, Changes, Conflicts, Options, RelPath, Verdict, WritebackError,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, XattrFlags, mknodat, setxattr};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

pub(crate) struct Play {
    dir: TempDir,
    since: SystemTime,
}

impl Play {
    /// A workspace with these files; the session has not begun.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self::new_in(&std::env::temp_dir(), files)
    }

    /// The same in memory, where the disk of the machine does not count.
    pub(crate) fn in_memory(files: &[(&str, &str)]) -> Self {
        let shm = Path::new("/dev/shm");
        if shm.is_dir() { Self::new_in(shm, files) } else { Self::new(files) }
    }

    fn new_in(place: &Path, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new().prefix("writeback-").tempdir_in(place).unwrap();
        for part in ["ws", "upper", "work", "merged"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        let mut play = Self { dir, since: SystemTime::UNIX_EPOCH };
        for (path, text) in files {
            put(&play.host(path), text);
        }
        play.begin();
        play
    }

    /// The session begins: what the host did until now is older, by the kernel's clock too.
    pub(crate) fn begin(&mut self) {
        let before = SystemTime::now();
        let patience = Instant::now() + Duration::from_secs(5);
        while writeback::session_start() <= before && Instant::now() < patience {
            std::thread::yield_now();
        }
        self.since = writeback::session_start();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn host(&self, path: &str) -> PathBuf {
        self.dir.path().join("ws").join(path)
    }

    pub(crate) fn upper(&self, path: &str) -> PathBuf {
        self.dir.path().join("upper").join(path)
    }

    /// Runs a shell script on the host, in the workspace.
    pub(crate) fn on_host(&self, script: &str) -> Output {
        finish(shell(script).current_dir(self.host("")))
    }

    /// Runs a shell script in the workspace on a real overlay in a user namespace, as the box does.
    pub(crate) fn session(&self, script: &str) -> Output {
        let mount = "mount -t overlay overlay -o userxattr,lowerdir=ws,upperdir=upper,workdir=work merged && cd merged && sh -e script.sh && chmod 700 ../work/work";
        put(&self.path("merged/../script"), &format!("set -e\n{script}\n"));
        let mount = mount.replace("script.sh", "../script");
        #[expect(clippy::disallowed_methods, reason = "the test plays the session")]
        let mut command = Command::new("unshare");
        finish(
            environment(command.args(["-Urm", "sh", "-ec", &mount])).current_dir(self.dir.path()),
        )
    }

    /// What git itself reads in a configuration file.
    pub(crate) fn git_reads(&self, config: &Path) -> String {
        let script = format!("git config --file '{}' --list --no-includes", config.display());
        String::from_utf8(finish(shell(&script).current_dir(self.host(""))).stdout).unwrap()
    }

    /// A whiteout in the upper layer.
    pub(crate) fn whiteout(&self, path: &str) {
        let path = self.upper(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    }

    /// Sets one of the overlay's own attributes.
    pub(crate) fn mark(&self, path: &str, name: &str, value: &[u8]) {
        setxattr(self.upper(path), format!("user.overlay.{name}"), value, XattrFlags::empty())
            .unwrap();
    }

    pub(crate) fn list(&self) -> Changes {
        self.try_list().unwrap()
    }

    pub(crate) fn try_list(&self) -> Result<Changes, WritebackError> {
        writeback::list(open(&self.path("upper")).as_fd(), open(&self.host("")).as_fd(), self.since)
    }

    pub(crate) fn apply(&self, changes: &Changes) -> Applied {
        self.try_apply(changes, &mut |_, _| {}).unwrap()
    }

    pub(crate) fn try_apply(
        &self,
        changes: &Changes,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Applied, WritebackError> {
        let (journal, held) = (self.path("state/journal"), self.path("state/held"));
        let options = Options { owner: None, journal: &journal, held: &held, progress };
        writeback::apply(
            changes,
            open(&self.path("upper")).as_fd(),
            open(&self.host("")).as_fd(),
            options,
        )
    }

    /// Lists, and keeps everything for a person to look at.
    pub(crate) fn shelve(&self) -> Applied {
        self.try_shelve().unwrap()
    }

    pub(crate) fn try_shelve(&self) -> Result<Applied, WritebackError> {
        let (journal, held) = (self.path("state/journal"), self.path("state/held"));
        let options =
            Options { owner: None, journal: &journal, held: &held, progress: &mut |_, _| {} };
        let (upper, host) = (open(&self.path("upper")), open(&self.host("")));
        writeback::shelve(&self.list(), upper.as_fd(), host.as_fd(), options)
    }

    /// Lands what is kept at these paths.
    pub(crate) fn release(
        &self,
        paths: &[&str],
        conflicts: Conflicts,
    ) -> Result<Applied, WritebackError> {
        self.try_release(paths, conflicts, &mut |_, _| {})
    }

    pub(crate) fn try_release(
        &self,
        paths: &[&str],
        conflicts: Conflicts,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Applied, WritebackError> {
        let held = self.path("state/held");
        let mut chosen = writeback::held(&held).unwrap();
        chosen.retain(|kept| paths.contains(&kept.path().to_string().as_str()));
        writeback::release(&held, &chosen, conflicts, &self.path("state/journal"), progress)
    }

    /// Lists and applies.
    pub(crate) fn finish(&self) -> Applied {
        self.apply(&self.list())
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.host(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.host(path)).is_ok()
    }

    pub(crate) fn kept(&self) -> Vec<String> {
        let mut kept: Vec<String> = writeback::held(&self.path("state/held"))
            .unwrap()
            .iter()
            .map(|kept| kept.path().to_string())
            .collect();
        kept.sort();
        kept
    }
}

/// The change at a path.
pub(crate) fn at<'a>(changes: &'a Changes, path: &str) -> &'a Change {
    let path = RelPath::new(path.as_bytes()).unwrap();
    changes
        .iter()
        .find(|change| *change.path() == path)
        .unwrap_or_else(|| panic!("no change at {path}: {:#?}", verdicts(changes)))
}

pub(crate) fn is_held(changes: &Changes, path: &str) -> bool {
    matches!(at(changes, path).verdict(), Verdict::Hold(_))
}

pub(crate) fn verdicts(changes: &Changes) -> Vec<String> {
    changes
        .iter()
        .map(|c| format!("{} {:?} {:?} {:?}", c.path(), c.kind(), c.verdict(), c.conflict()))
        .collect()
}

pub(crate) fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// As a path alone: what the box hands over stays open, whatever mode the session gives it.
pub(crate) fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Every entry of a tree with what it is and holds.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let what = if meta.is_dir() {
                dirs.push(path.clone());
                format!("dir {:o}", meta.mode() & 0o7777)
            } else if meta.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else if meta.is_file() {
                format!(
                    "file {:o} {}",
                    meta.mode() & 0o7777,
                    String::from_utf8_lossy(&fs::read(&path).unwrap())
                )
            } else {
                "special".to_owned()
            };
            all.insert(path.strip_prefix(root).unwrap().to_owned(), what);
        }
    }
    all
}

fn shell(script: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the test plays the person at the host")]
    let mut command = Command::new("sh");
    environment(command.args(["-ec", script]));
    command
}

fn environment(command: &mut Command) -> &mut Command {
    let who = [
        ("GIT_AUTHOR_NAME", "a"),
        ("GIT_AUTHOR_EMAIL", "a@example.org"),
        ("GIT_COMMITTER_NAME", "a"),
        ("GIT_COMMITTER_EMAIL", "a@example.org"),
    ];
    command.envs(who).envs([
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("HOME", "/nonexistent"),
        ("LC_ALL", "C.UTF-8"),
    ])
}

fn finish(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
