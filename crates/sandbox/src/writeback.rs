//! Which of the session's changes reach the workspace, and how do they get there whole?
//!
//! The box works on an overlay. When it is dead, the supervisor holds the overlay's upper layer, which is the complete list of what
//! the session changed, and the workspace itself. [`list`] compares the two and judges each change; a person may look and
//! [`Changes::release`] what was held; [`apply`] lands what may land and keeps the rest aside.
//!
//! - What a tool of the host would later execute or obey is held (see [`HoldReason`]), whatever its spelling. Names are judged, contents only
//!   of git configuration and attributes, so that ordinary commits pass.
//! - What the host changed meanwhile is never overwritten or removed: the session's version is kept beside it, as in a merge conflict.
//! - Nothing on the host is followed: every directory is opened with `openat2(RESOLVE_BENEATH | NO_SYMLINKS | NO_XDEV)`, every entry is
//!   made under an unpredictable name and moved into place atomically, in exchange for exactly what was looked at.
//! - Everything is staged and journalled before the host is touched. After a crash [`recover`] finishes it, or says that it never began.
//!
//! The cost is that of the changes: the unchanged workspace is never walked (only a directory that the session removed or replaced is).

mod attributes;
mod carried;
mod change;
mod compare;
mod configured;
mod contents;
mod fold;
mod git;
mod gitconfig;
mod held;
mod host;
mod journal;
mod judge;
pub mod keeper;
mod land;
mod links;
mod list;
mod names;
mod path;
mod release;
mod run;
mod settle;
mod upper;

pub use change::{Change, Clash, Digest, DropReason, HoldReason, Kind, Notable, Verdict};
pub use held::{Kept, Tally, held, tally};
pub(crate) use names::{is_obeyed, obeyed_names};

pub use path::{BadRelPath, RelPath};
pub use release::{Conflicts, Shelved};
pub use run::{Applied, Landed, Recovery};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// Entries that one write-back looks at, in the upper layer and in removed directories together.
pub const MAX_ENTRIES: usize = 1_000_000;
/// Directories below one another that a change may lie in; npm's deepest trees have a few dozen.
pub const MAX_DEPTH: usize = 128;

/// What the session changed, in the order of the paths, and the verdict on each.
#[derive(Debug)]
#[must_use = "changes reach the workspace only by `apply`"]
pub struct Changes {
    items: Vec<Change>,
    workspace: (u64, u64),
}

impl Changes {
    /// Each change. A path that went from one kind of entry to another may be there twice.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.items.iter()
    }

    /// Whether the session changed nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// How many bytes, in how many files, are to be put somewhere: on the shelf, or in the workspace by way of the journal.
    #[must_use]
    pub fn weight(&self) -> (u64, u64) {
        let makes = |change: &&Change| {
            !matches!(change.verdict, Verdict::Drop(_))
                && !matches!(change.kind, Kind::Deleted | Kind::DeletedDir | Kind::ModeChanged)
        };
        let made = self.items.iter().filter(makes);
        made.fold((0, 0), |(bytes, files), made| (made.size.saturating_add(bytes), files + 1))
    }

    /// Lets a held change land after all, because a person approved it. The directories above it that were held only with it land too.
    ///
    /// The approval is for the contents as they were listed: [`apply`] refuses when they are others by then.
    ///
    /// # Errors
    /// [`WritebackError::NotHeld`] when there is no held change at this path; a conflict or a dropped entry cannot be released.
    pub fn release(&mut self, path: &RelPath) -> Result<(), WritebackError> {
        let is_held =
            |item: &Change| matches!(item.verdict, Verdict::Hold(_)) && item.conflict.is_none();
        if !self.items.iter().any(|item| item.path == *path && is_held(item)) {
            return Err(WritebackError::NotHeld { path: path.clone() });
        }
        for item in self.items.iter_mut().filter(|item| is_held(item)) {
            if item.path == *path || (item.kind == Kind::CreatedDir && path.is_inside(&item.path)) {
                item.verdict = Verdict::Apply;
            }
        }
        Ok(())
    }
}

/// Where and for whom [`apply`] works.
pub struct Options<'a> {
    /// User and group that new entries are given to: the workspace's owner when we run as root, else `None`.
    pub owner: Option<(u32, u32)>,
    /// A directory of this write-back alone in the state directory; made if absent, refused if not empty, removed at the end.
    pub journal: &'a Path,
    /// Where what does not land is kept; made when there is something to keep.
    pub held: &'a Path,
    /// Called with (units done, units in all): each change counts once when it is staged and once when it lands.
    pub progress: &'a mut dyn FnMut(u64, u64),
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("owner", &self.owner)
            .field("journal", &self.journal)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

/// The moment to pass to [`list`] as `since`, taken when the overlay is mounted, by the clock that the kernel stamps inodes with.
///
/// The ordinary clock runs up to ten milliseconds ahead of that one: an edit made just after it was read would look older than it is.
#[must_use]
pub fn session_start() -> SystemTime {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
    UNIX_EPOCH + Duration::new(seconds, nanos)
}

/// Compares the overlay's upper layer with the workspace and judges each change. Reads only; the upper layer must no longer be written to.
///
/// `since` is when the session began ([`session_start`]): what changed on the host from then on is a conflict.
///
/// # Errors
/// When something cannot be read, or there are more than [`MAX_ENTRIES`] entries. Nothing was changed then.
pub fn list(
    upper: BorrowedFd<'_>,
    workspace: BorrowedFd<'_>,
    since: SystemTime,
) -> Result<Changes, WritebackError> {
    list::list(upper, workspace, since)
}

/// Lands every change whose verdict is [`Verdict::Apply`] and that is in no conflict; keeps the others in [`Options::held`].
///
/// What turns out to have changed on the host since the listing is kept as a conflict too.
///
/// # Errors
/// Before the host is touched: when the journal is in use, the changes are no longer those listed, or staging fails (disk full). After that only
/// [`WritebackError::Stopped`], which leaves the journal for [`recover`].
pub fn apply(
    changes: &Changes,
    upper: BorrowedFd<'_>,
    workspace: BorrowedFd<'_>,
    options: Options<'_>,
) -> Result<Applied, WritebackError> {
    run::apply(changes, upper, workspace, options)
}

/// Keeps every change in [`Options::held`] and lands none: a person looks first, and says what lands ([`release`]).
///
/// # Errors
/// When the journal is in use or the changes cannot be kept (disk full); the upper layer still has them then.
pub fn shelve(
    changes: &Changes,
    upper: BorrowedFd<'_>,
    workspace: BorrowedFd<'_>,
    options: Options<'_>,
) -> Result<Applied, WritebackError> {
    release::shelve(changes, upper, workspace, options)
}

/// Lands changes that are kept in `held`, because a person says so, with the same care as [`apply`]: journalled, beneath the workspace, and only
/// in exchange for exactly what stood there when they were kept. What meets a change of the host stays, as a conflict.
///
/// # Errors
/// Before the host is touched: when one of the chosen is no longer what it was shown as, is in a conflict that is not to be overwritten, or lands
/// only together with others. After that only [`WritebackError::Stopped`], which leaves the journal for [`recover`].
pub fn release(
    held: &Path,
    chosen: &[Kept],
    conflicts: Conflicts,
    journal: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Applied, WritebackError> {
    release::release(held, chosen, conflicts, journal, progress)
}

/// Throws kept changes away, because a person says so.
///
/// # Errors
/// When one of them is no longer what it was shown as, or the shelf is in use or cannot be written.
pub fn forget(held: &Path, chosen: &[Kept], journal: &Path) -> Result<(), WritebackError> {
    release::forget(held, chosen, journal)
}

/// Finishes a write-back that was interrupted, given its journal directory. Harmless at any time and any number of times.
///
/// # Errors
/// When the journal is damaged, the workspace is no longer where it was, or the host stops us again; the journal then stays.
pub fn recover(
    journal: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Recovery, WritebackError> {
    run::recover(journal, progress)
}

/// Throws away a journal: what was staged and not applied is lost, what was half applied stays so. Only when a person says so.
///
/// # Errors
/// When another process works on it, or it cannot be removed.
pub fn discard(journal: &Path) -> Result<(), WritebackError> {
    run::discard(journal)
}

/// Why a write-back did not go through.
#[derive(Debug, Error)]
pub enum WritebackError {
    /// It makes no sense without the rest of its repository.
    #[error("`{path}` lands only together with all that waits in `{unit}`; name `{unit}` instead")]
    Apart {
        /// What was chosen alone.
        path: RelPath,
        /// The git directory.
        unit: RelPath,
    },
    /// The conflict is not one file against one file.
    #[error(
        "`{path}` is a conflict that cannot be settled by putting one file in the place of another; settle it by hand"
    )]
    ByHand {
        /// Where.
        path: RelPath,
    },
    /// The host's own changes stand against it.
    #[error(
        "`{path}` is in conflict with what this machine has there now; nothing is overwritten unless you say so"
    )]
    Clashes {
        /// Where.
        path: RelPath,
    },
    /// References that moved on both sides are merged, not overwritten.
    #[error(
        "`{path}` belongs to a repository that moved on this machine too; its commits are there, merge them with git"
    )]
    GitMoved {
        /// Where.
        path: RelPath,
    },
    /// The workspace that kept changes belong to is not where it was.
    #[error("the workspace `{}` that these changes belong to is gone or another", path.display())]
    HomeGone {
        /// Where it was.
        path: PathBuf,
    },
    /// Kept by a version that did not note where the changes belong.
    #[error("`{}` does not say which workspace its changes belong to; copy them by hand", held.display())]
    NoHome {
        /// The held directory.
        held: PathBuf,
    },
    /// Kept without what it takes to land it.
    #[error("`{path}` was kept without a way to land it; copy it by hand")]
    NoWay {
        /// Where.
        path: RelPath,
    },
    /// A file of ours in the state directory does not read as what it should be.
    #[error("`{}` is damaged: {why}; move it away to go on without it", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The workspace or the upper layer could not be read or written.
    #[error("could not {what} `{path}`: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Where, relative to the workspace; `.` is the workspace itself.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The journal directory is in use or holds another write-back.
    #[error("another write-back uses `{}`; finish it with `recover` first", path.display())]
    JournalBusy {
        /// The journal directory.
        path: PathBuf,
    },
    /// The change is not the one that was listed and judged.
    #[error("`{path}` changed after it was judged; list the changes again")]
    Moved {
        /// Where.
        path: RelPath,
    },
    /// The disk that changes are kept on has not enough room.
    #[error("there was no room to keep what the session changed: {bytes} bytes in {files} files")]
    NoRoom {
        /// How many bytes.
        bytes: u64,
        /// How many files.
        files: u64,
    },
    /// There is nothing to release.
    #[error("no held change at `{path}`")]
    NotHeld {
        /// Where.
        path: RelPath,
    },
    /// The changes were listed against another directory.
    #[error("the workspace is not the directory that the changes were listed against")]
    OtherWorkspace,
    /// The state directory could not be read or written.
    #[error("could not {what} `{}`: {source}", path.display())]
    State {
        /// What was being done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The write-back had begun and cannot go on; nothing is lost, the journal has it all.
    #[error("the write-back stopped at `{path}`: {source}; once that is put right, the next start finishes it from `{}`", journal.display())]
    Stopped {
        /// The change that could not be carried out.
        path: RelPath,
        /// Where the rest is staged.
        journal: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More entries than one write-back looks at.
    #[error(
        "the session changed or removed more than {limit} files and directories; nothing was written back"
    )]
    TooMany {
        /// [`MAX_ENTRIES`].
        limit: usize,
    },
    /// The workspace of an interrupted write-back is not where it was.
    #[error("the workspace `{path}` of an interrupted write-back is gone or another; its changes are staged in `{}`", journal.display())]
    WorkspaceGone {
        /// Where it was.
        path: String,
        /// Where the changes are.
        journal: PathBuf,
    },
}

impl WritebackError {
    fn io(what: &'static str, path: Option<&RelPath>, source: Errno) -> Self {
        Self::file(what, path, source.into())
    }

    fn file(what: &'static str, path: Option<&RelPath>, source: io::Error) -> Self {
        Self::Io { what, path: path.map_or_else(|| ".".to_owned(), RelPath::to_string), source }
    }

    fn state(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::State { what, path: path.to_owned(), source }
    }
}
