//! What does the caller ask of a box, in the caller's own terms?
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a box is made from. Nothing that is not named here reaches the program inside. `Debug` shows neither the
/// values of the environment nor the contents of files.
#[derive(Clone)]
pub struct BoxSpec {
    /// The host directory the program works in; it keeps its own path inside. Canonical: no symlink, no `..`.
    pub workspace: PathBuf,
    /// How writes below [`BoxSpec::workspace`] are treated.
    pub workspace_mode: WorkspaceMode,
    /// The program, as an absolute path inside the box.
    pub program: PathBuf,
    /// The full argument vector, the program's own name first.
    pub argv: Vec<OsString>,
    /// The whole environment; nothing is added from the launching shell.
    pub env: Vec<(OsString, OsString)>,
    /// Where the program starts; the workspace or a directory below it.
    pub cwd: PathBuf,
    /// The home directory inside: an empty, size-capped tmpfs at this absolute path.
    pub home: PathBuf,
    /// Host files and directories bound read-only at their own path. Symlinks are resolved and reproduced; a path that
    /// does not exist is left out and said so in the report. A path below the workspace is pinned read-only there.
    pub readable: Vec<PathBuf>,
    /// Files that exist only in the box.
    pub synthetic: Vec<SyntheticFile>,
    /// Unix sockets of the host that the box may connect to.
    pub sockets: Vec<BoundSocket>,
    /// What of the world the box can call.
    pub network: Reach,
    /// Whether narrower boxes may be made in this one's view later; see [`spawn_within`](crate::spawn_within).
    pub inner_boxes: bool,
    /// Whether the supervisor keeps hold of the home directory, to read it after the end; see
    /// [`Running::home`](crate::Running::home).
    pub keep_home: bool,
    /// Host directories that no workspace and no readable path may contain or lie in: our state, our configuration.
    pub never_visible: Vec<PathBuf>,
    /// Resource limits.
    pub limits: Limits,
    /// The login name inside (`USER`, `/etc/passwd`): lower-case letters, digits, `_`, `-`.
    pub user: String,
    /// What the program's standard streams are.
    pub stdio: Stdio,
}

impl fmt::Debug for BoxSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("BoxSpec")
            .field("workspace", &self.workspace)
            .field("workspace_mode", &self.workspace_mode)
            .field("program", &self.program)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .field("home", &self.home)
            .field("readable", &self.readable)
            .field("synthetic", &self.synthetic)
            .field("sockets", &self.sockets)
            .field("network", &self.network)
            .field("inner_boxes", &self.inner_boxes)
            .field("keep_home", &self.keep_home)
            .field("never_visible", &self.never_visible)
            .field("limits", &self.limits)
            .field("user", &self.user)
            .field("stdio", &self.stdio)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SyntheticFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyntheticFile")
            .field("path", &self.path)
            .field("bytes", &self.contents.len())
            .field("mode", &format_args!("{:04o}", self.mode))
            .field("access", &self.access)
            .finish()
    }
}

/// How writes to the workspace are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkspaceMode {
    /// Writes go straight to the host's directory, save to what the host's tools execute or obey at its top.
    Direct,
    /// Writes go straight to the host's directory, to all of it: for a program that the operator has chosen, with the
    /// arguments that they have laid down.
    Entire,
    /// Writes land in a layer in memory, bounded in size and inodes, for write-back to judge after the box has ended.
    Overlay {
        /// Most bytes the layer may hold.
        size_bytes: u64,
        /// Most inodes (files, directories, links) the layer may hold.
        inodes: u64,
    },
    /// Writes are refused.
    ReadOnly,
}

/// A file that exists only in the box.
#[derive(Clone)]
pub struct SyntheticFile {
    /// Absolute path inside; below `/etc`, the home directory, `/tmp`, or a directory that only this file brings about.
    pub path: PathBuf,
    /// What the file holds.
    pub contents: Vec<u8>,
    /// Permission bits, without setuid, setgid and sticky.
    pub mode: u32,
    /// Whether the program inside may change the file.
    pub access: Access,
}

/// Whether a synthetic file may be changed from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Not by anyone in the box: the file lies on a read-only mount.
    ReadOnly,
    /// Like any file of the program's own.
    Writable,
}

/// A unix socket of the host, bound into the box.
#[derive(Clone, Debug)]
pub struct BoundSocket {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where the box finds it.
    pub inside: PathBuf,
}

/// What of the world a box can call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Whatever it calls lands on the sockets of [`Capture`](crate::Capture).
    Captured,
    /// Nothing: there is loopback, for its own servers, and no socket of ours.
    Loopback,
}

/// Resource limits of one box, for all its processes together unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// CPU time as a percentage of one core (150 = one and a half), if limited.
    pub cpu_percent: Option<u32>,
    /// Largest file that may be written, in bytes; per file.
    pub file_size: u64,
    /// Open file descriptors; per process.
    pub open_files: u64,
    /// Bytes in each of `/tmp`, the home directory and `/dev/shm`.
    pub scratch_bytes: u64,
    /// Time from start to a forced end, if limited.
    pub wall: Option<Duration>,
}

impl Limits {
    /// How much each scratch space holds. It is memory: where nobody counts it with the box's, none holds more than the box
    /// may have.
    pub(crate) fn scratch(&self, counted: bool) -> u64 {
        if counted { self.scratch_bytes } else { self.scratch_bytes.min(self.memory_bytes) }
    }

    /// Limits under which ordinary development work fits: 4 GiB, 512 processes, 1 GiB of scratch space each, no wall clock.
    pub const fn ordinary() -> Self {
        Self {
            memory_bytes: 4 << 30,
            pids: 512,
            cpu_percent: None,
            file_size: 2 << 30,
            open_files: 4096,
            scratch_bytes: 1 << 30,
            wall: None,
        }
    }
}

/// The program's standard streams; never the caller's own files or terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stdio {
    /// Standard input.
    pub stdin: Stream,
    /// Standard output.
    pub stdout: Stream,
    /// Standard error.
    pub stderr: Stream,
    /// Size of the terminal at the start, when any stream is [`Stream::Pty`].
    pub size: WindowSize,
}

impl Stdio {
    /// Three pipes.
    pub const fn piped() -> Self {
        Self {
            stdin: Stream::Piped,
            stdout: Stream::Piped,
            stderr: Stream::Piped,
            size: WindowSize { rows: 24, cols: 80 },
        }
    }

    /// One terminal for all three.
    pub const fn pty(size: WindowSize) -> Self {
        Self { stdin: Stream::Pty, stdout: Stream::Pty, stderr: Stream::Pty, size }
    }

    pub(crate) fn wants_pty(self) -> bool {
        [self.stdin, self.stdout, self.stderr].contains(&Stream::Pty)
    }
}

/// What one standard stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// A pipe made for this box.
    Piped,
    /// The pseudo-terminal made in the box; it is then the controlling terminal.
    Pty,
}

/// Terminal size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
}
