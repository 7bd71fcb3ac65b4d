//! Why was a box not planned or not started, and what can the person do about it?
use std::io;
use std::path::PathBuf;

/// A box that cannot be planned as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A path in the specification is relative or holds `.`, `..` or a NUL.
    #[error("{what} `{}` is not a plain absolute path\n  hint: give it from `/`, without `.` and `..`", path.display())]
    BadPath {
        /// Which path of the specification.
        what: &'static str,
        /// The path as given.
        path: PathBuf,
    },
    /// The host could not be asked.
    #[error("cannot look at {what} `{}`: {source}", path.display())]
    Io {
        /// What was looked at.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The program is not in the box's view.
    #[error(
        "program `{}` would not exist in the box\n  hint: add the directory that holds it to the readable paths",
        program.display()
    )]
    ProgramNotVisible {
        /// The program.
        program: PathBuf,
    },
    /// A readable path would show what no box may see.
    #[error("readable path `{}` would show `{}`, which no box may see\n  hint: name a narrower path", path.display(), private.display())]
    ReadableTooWide {
        /// The readable path.
        path: PathBuf,
        /// What it would show.
        private: PathBuf,
    },
    /// A box without namespaces cannot do what is asked.
    #[error("a box of tier B cannot {what}\n  hint: {remedy}")]
    TierB {
        /// What it cannot do.
        what: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A synthetic file or socket lies where the box has no directory of its own.
    #[error("`{}` cannot be placed in the box: {reason}", path.display())]
    Unplaceable {
        /// The path inside.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The user name would break `/etc/passwd`.
    #[error("user name `{name}` is not made of lower-case letters, digits, `_` and `-`")]
    UserName {
        /// The name as given.
        name: String,
    },
    /// The working directory is outside the workspace.
    #[error("working directory `{}` is outside the workspace `{}`", cwd.display(), workspace.display())]
    CwdOutside {
        /// The working directory.
        cwd: PathBuf,
        /// The workspace.
        workspace: PathBuf,
    },
    /// The workspace cannot be boxed.
    #[error("workspace `{}` {problem}\n  hint: {remedy}", path.display())]
    Workspace {
        /// The workspace.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// A box that was neither planned nor started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It cannot be planned as asked.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// This host carries neither tier, so nothing was run (tier C).
    #[error("no box can be had here. Tier A: {a}\n  and tier B: {b}")]
    NoTier {
        /// Why not tier A, with the remedy.
        a: Box<Self>,
        /// Why not tier B, with the remedy.
        b: Box<Self>,
    },
}

/// A box that did not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The program could not be executed; the box itself stood.
    #[error("cannot run `{}` in the box: {source}", program.display())]
    Exec {
        /// The program.
        program: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The program is a script, and what runs it is not in the box's view.
    #[error("cannot run `{}` in the box: {source}; it is run by `{}`, {way}\n  hint: {remedy}", program.display(), interpreter.display())]
    Interpreter {
        /// The script.
        program: PathBuf,
        /// What its first line names.
        interpreter: PathBuf,
        /// Where that leads.
        way: String,
        /// What to do about it.
        remedy: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A wall could not be raised, so nothing was run.
    #[error("the box was refused at {mechanism}: {fault}\n  hint: {remedy}")]
    Refused {
        /// The mechanism that failed.
        mechanism: Mechanism,
        /// The step and the kernel's answer.
        fault: Fault,
        /// What to do about it.
        remedy: String,
    },
    /// The supervisor's own side failed.
    #[error("cannot start the box: {what}: {source}")]
    Supervisor {
        /// What was being done.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// The step of a mechanism that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}")]
pub struct Fault {
    pub(crate) step: String,
    pub(crate) source: io::Error,
}

impl Fault {
    /// The step, in words, with its path if it has one.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// The error number the kernel gave, if it gave one.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

/// The mechanisms a box is built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// Emptying and locking capabilities.
    Capabilities,
    /// Memory, process and CPU groups.
    Cgroup,
    /// The program's standard streams.
    Descriptors,
    /// User-id mapping of the workspace's mount.
    IdMappedMount,
    /// The Landlock rules.
    Landlock,
    /// The new root and what is bound into it.
    Mounts,
    /// Namespaces as such.
    Namespaces,
    /// The private network and its listeners.
    Network,
    /// `setrlimit`.
    ResourceLimits,
    /// The system-call filter.
    Seccomp,
    /// The user and group the box runs as.
    UserMapping,
}

impl std::fmt::Display for Mechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Capabilities => "capabilities",
            Self::Cgroup => "cgroup",
            Self::Descriptors => "standard streams",
            Self::IdMappedMount => "id-mapped mount",
            Self::Landlock => "landlock",
            Self::Mounts => "mounts",
            Self::Namespaces => "namespaces",
            Self::Network => "network",
            Self::ResourceLimits => "resource limits",
            Self::Seccomp => "seccomp",
            Self::UserMapping => "user mapping",
        })
    }
}
