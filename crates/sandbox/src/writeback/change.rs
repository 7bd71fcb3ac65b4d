//! What did the session do to one path, and may it land?

use super::host::Print;
use super::path::RelPath;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A SHA-256 over the contents of a file.
pub type Digest = [u8; 32];

/// One thing the session did to the workspace.
#[derive(Debug, Clone)]
pub struct Change {
    pub(crate) path: RelPath,
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) mtime: (i64, i64),
    pub(crate) verdict: Verdict,
    pub(crate) conflict: Option<Clash>,
    pub(crate) notable: Option<Notable>,
    pub(crate) stripped: bool,
    /// What stood on the host at this path when the change was listed.
    pub(crate) before: Option<Print>,
    /// Host entries below this path that go with it, children before parents.
    pub(crate) clear: Vec<(RelPath, Print)>,
    /// The contents the verdict was reached on, where it depends on contents or a person is asked about them.
    pub(crate) seen: Option<Digest>,
    /// The git directory (its depth in names) whose references and index must land together with this.
    pub(crate) git_unit: Option<Vec<u8>>,
    /// How many names lead to the git directory that it lies in.
    pub(crate) git_root: Option<usize>,
}

impl Change {
    pub(crate) fn new(path: RelPath, kind: Kind, before: Option<Print>) -> Self {
        Self {
            path,
            kind,
            size: 0,
            mode: 0,
            mtime: (0, 0),
            verdict: Verdict::Apply,
            conflict: None,
            notable: None,
            stripped: false,
            before,
            clear: Vec::new(),
            seen: None,
            git_unit: None,
            git_root: None,
        }
    }

    /// Where, relative to the workspace.
    #[must_use]
    pub fn path(&self) -> &RelPath {
        &self.path
    }

    /// What was done.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Size in bytes of the new contents; 0 for what has none.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The permission bits it will have on the host, always without setuid, setgid and sticky.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// Whether it may land.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Set when the host's side changed too while the session ran: it then does not land, whatever the verdict.
    #[must_use]
    pub fn conflict(&self) -> Option<Clash> {
        self.conflict
    }

    /// Set when it lands and a build or a tool of the host will run or read it the next time someone builds.
    #[must_use]
    pub fn notable(&self) -> Option<Notable> {
        self.notable.filter(|_| self.verdict == Verdict::Apply)
    }

    /// Whether permission bits were taken off it: setuid, setgid, sticky, or what would let others do more with it than before.
    #[must_use]
    pub fn stripped(&self) -> bool {
        self.stripped
    }

    /// How many entries of the host a deleted or replaced directory takes with it.
    #[must_use]
    pub fn clears(&self) -> usize {
        self.clear.len()
    }

    /// Whether [`super::apply`] will carry it out.
    #[must_use]
    pub fn lands(&self) -> bool {
        self.verdict == Verdict::Apply && self.conflict.is_none()
    }
}

/// What was done to a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A new regular file, or one in the place of something that was no regular file.
    Created,
    /// A new directory.
    CreatedDir,
    /// A regular file with other contents.
    Modified,
    /// The same contents or directory with other permission bits.
    ModeChanged,
    /// A file, link or other single entry was removed.
    Deleted,
    /// A directory was removed with all that was in it.
    DeletedDir,
    /// A directory was removed and made anew: what it held before goes, its new entries are changes of their own.
    ReplacedDir,
    /// A symbolic link, new or changed.
    Symlink {
        /// Where it points, escaped as [`RelPath`] does.
        target: String,
    },
    /// A device, fifo, socket or other entry that is no file, directory or link.
    Special,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("new"),
            Self::CreatedDir => f.write_str("new directory"),
            Self::Modified => f.write_str("changed"),
            Self::ModeChanged => f.write_str("permissions changed"),
            Self::Deleted => f.write_str("deleted"),
            Self::DeletedDir => f.write_str("deleted directory"),
            Self::ReplacedDir => f.write_str("replaced directory"),
            Self::Symlink { target } => write!(f, "link to `{target}`"),
            Self::Special => f.write_str("special file"),
        }
    }
}

/// Whether a change may land.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It lands.
    Apply,
    /// It does not land; it is kept aside until a person has looked.
    Hold(HoldReason),
    /// It never lands and is not kept.
    Drop(DropReason),
}

/// Why a change is kept aside: what on the host would execute or obey it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldReason {
    /// Coding agents, MCP clients and Bartizan itself read it as settings.
    AgentSettings,
    /// It completes or changes a repository that git would find without a `.git` name.
    BareRepository,
    /// A continuous-integration service or runner executes it.
    Ci,
    /// A commit-hook manager executes it.
    CommitHooks,
    /// The host already uses this path as something that is held: its git configuration or a link there says so.
    Configured {
        /// The key in `.git/config`, or the link.
        key: String,
    },
    /// Its name holds characters that end a line, or that a terminal obeys.
    ControlName,
    /// A git attribute hands file contents to a configured program.
    GitAttributes {
        /// The line, escaped and shortened.
        line: String,
    },
    /// The commits or the index that land with it hold what would be held as a file: the next checkout or push brings it.
    GitCarries {
        /// Where, in the repository; escaped.
        path: String,
        /// Why it would be held, in words.
        why: String,
    },
    /// A git configuration key outside the list of harmless ones was set, changed or removed.
    GitConfig {
        /// Section, subsection and key.
        key: String,
        /// The new value, escaped and shortened; `None` when the entry was removed (the host's value is not repeated).
        value: Option<String>,
    },
    /// A git configuration that our reader does not follow, so nobody can say what it sets.
    GitConfigUnreadable,
    /// `.git` itself was removed, replaced, or made something other than a directory.
    GitDir,
    /// The index tells git not to look whether a file has changed.
    GitHidden {
        /// The file; escaped.
        path: String,
    },
    /// Git executes it.
    GitHook,
    /// Submodule settings: the addresses and paths `git submodule update` follows.
    GitModules,
    /// It redirects where git looks for a repository's parts.
    GitRedirect,
    /// It gives other contents to an object that is there.
    GitReplace,
    /// An unfinished rebase or sequence, whose to-do list may hold commands that `git rebase --continue` runs.
    GitTodo,
    /// Nothing that git is known to write in its directory.
    GitUnknown,
    /// A program that the host's git attributes name, which may be what encrypts a file, no longer gets it.
    GitUnfiltered {
        /// The line, new or taken away, escaped and shortened.
        line: String,
    },
    /// Objects, references or an index that our reader does not follow, so nobody can say what they bring.
    GitUnread {
        /// What is wrong.
        what: String,
    },
    /// An editor or development environment executes or obeys it.
    IdeSettings,
    /// The link leads to what is held; whoever writes to it on this machine would write there.
    InwardLink {
        /// Where it points, escaped.
        to: String,
    },
    /// The name is not, but could be taken for, a name that is held.
    Lookalike {
        /// The name it could be taken for.
        of: String,
    },
    /// A repository of another version control, whose configuration names programs and hooks.
    OtherRepository,
    /// The link is absolute, leaves the workspace, or climbs through another link.
    OutwardLink,
    /// It is in a form of overlay entry whose contents cannot be told.
    OverlayForm,
    /// A shell, or a tool that a shell calls on entering a directory, executes it.
    ShellStartup,
    /// A directory that is removed or replaced, and in which tools of the host look for what is held.
    TakesHeld,
    /// It could not be read.
    Unreadable,
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.about_one() {
            Some(words) => f.write_str(&words),
            None => f.write_str(self.words()),
        }
    }
}

impl HoldReason {
    /// The words of a reason that is about a value in it.
    fn about_one(&self) -> Option<String> {
        match self {
            Self::Configured { key } => {
                Some(format!("this machine already executes or obeys it: `{key}`"))
            }
            Self::GitAttributes { line } => {
                Some(format!("it hands files to a program named in git's configuration: `{line}`"))
            }
            Self::GitCarries { path, why } => {
                Some(format!("the next checkout or push would bring `{path}` with it: {why}"))
            }
            Self::GitConfig { key, value: Some(value) } => {
                Some(format!("it sets `{key} = {value}` in git's configuration"))
            }
            Self::GitConfig { key, value: None } => {
                Some(format!("it removes `{key}` from git's configuration"))
            }
            Self::GitHidden { path } => {
                Some(format!("git would no longer tell that `{path}` has changed"))
            }
            Self::GitUnfiltered { line } => Some(format!(
                "files would be committed without the program that they go through by `{line}`"
            )),
            Self::GitUnread { what } => {
                Some(format!("nobody can say what git would read in it: {what}"))
            }
            Self::InwardLink { to } => {
                Some(format!("what is written to it would be written to `{to}`, which is held"))
            }
            Self::Lookalike { of } => Some(format!("its name could be taken for `{of}`")),
            _ => None,
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::AgentSettings => "coding agents obey it as settings",
            Self::BareRepository => {
                "git would take its directory for a bare repository and obey the configuration and hooks there"
            }
            Self::Ci => "a continuous-integration service executes it",
            Self::CommitHooks => "a commit-hook manager executes it",
            Self::Configured { .. } => "this machine already executes or obeys it",
            Self::ControlName => {
                "its name holds characters that end a line or that a terminal obeys"
            }
            Self::GitAttributes { .. } | Self::GitUnfiltered { .. } => {
                "it changes which program git hands files to"
            }
            Self::GitCarries { .. } => "the next checkout or push would bring what is held",
            Self::GitConfig { .. } => "it changes git's configuration",
            Self::GitConfigUnreadable => {
                "it is a git configuration that cannot be read with certainty"
            }
            Self::GitDir => "it takes the place of a repository's `.git` directory",
            Self::GitHidden { .. } => "git would no longer tell what has changed",
            Self::GitHook => "git executes it as a hook",
            Self::GitModules => "`git submodule` follows the addresses and paths in it",
            Self::GitRedirect => "it redirects where git looks for a repository's parts",
            Self::GitReplace => "git would show other contents for an object that is there",
            Self::GitTodo => "`git rebase --continue` would execute the commands in it",
            Self::GitUnknown => "it is not a file that git is known to keep there",
            Self::GitUnread { .. } => "nobody can say what git would read in it",
            Self::IdeSettings => "editors and development environments execute or obey it",
            Self::InwardLink { .. } => "it leads to what is held",
            Self::Lookalike { .. } => "its name could be taken for another",
            Self::OtherRepository => {
                "it is of a repository that is not git's, whose tools execute what its settings name"
            }
            Self::OutwardLink => "the link is absolute or leads out of the workspace",
            Self::OverlayForm => "the overlay recorded it in a form whose contents cannot be told",
            Self::ShellStartup => "a shell, or a tool that a shell calls, executes it",
            Self::TakesHeld => "settings or jobs in it would go with it",
            Self::Unreadable => "it could not be read",
        }
    }
}

/// Why a change is neither landed nor kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// What git keeps beside its objects only to be faster, and believes.
    GitCache,
    /// A lock left in a git directory by a process that ended with the box.
    GitLock,
    /// Deeper than [`super::MAX_DEPTH`] directories or longer than the kernel takes as one path.
    TooDeep,
    /// A device, fifo, socket or the like.
    Special,
    /// A file that is almost all holes and claims a size that could not be copied.
    Sparse,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GitCache => "git makes it anew, and would believe it",
            Self::GitLock => "a lock that git left behind",
            Self::TooDeep => "it lies too deep",
            Self::Special => "devices, fifos and sockets never leave the box",
            Self::Sparse => "it claims a size it does not have",
        })
    }
}

/// How the host's side and the session's disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clash {
    /// The host's entry changed while the session ran.
    ChangedOnHost,
    /// The host removed what the session changed.
    DeletedOnHost,
    /// The git directory's references or index changed on the host, and these land together or not at all.
    GitMoved,
    /// The host changed something inside a directory that the session removed or replaced.
    InsideChanged,
    /// A directory above it clashes or is something else on the host now.
    ParentMoved,
    /// The host refused it: permissions, another file system mounted there, a full directory.
    Refused,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChangedOnHost => "changed on this machine while the session ran",
            Self::DeletedOnHost => "deleted on this machine while the session changed it",
            Self::GitMoved => "the repository moved on this machine while the session ran",
            Self::InsideChanged => "something in it changed on this machine while the session ran",
            Self::ParentMoved => "a directory above it is not what it was",
            Self::Refused => "this machine's file system refused it",
        })
    }
}

/// What will run or read a change that lands, the next time someone builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notable {
    /// A build, test or package tool executes it.
    BuildEntry,
    /// Programs load it as environment settings.
    Environment,
    /// Git's configuration of a repository: which remotes there are, and which branch goes to which.
    GitConfig,
    /// Agents read it as instructions.
    Instructions,
    /// A repository of its own, nested in the workspace.
    NestedRepository,
    /// Its name begins with `-`.
    OptionName,
}

impl fmt::Display for Notable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuildEntry => "runs when you build, test or install",
            Self::Environment => "is loaded as environment settings",
            Self::Instructions => "is read by agents as instructions",
            Self::NestedRepository => "is a repository of its own",
            Self::GitConfig => "says where git fetches from and pushes to",
            Self::OptionName => "reads as an option where a shell writes out `*`",
        })
    }
}
