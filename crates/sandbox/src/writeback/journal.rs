//! What is about to be done to the host, so that a crash in the middle can be finished?

use super::WritebackError;
use super::change::{Change, Digest, Kind};
use super::held::replace_file;
use super::host::{Print, Shape};
use super::path::{RelPath, escape, unescape};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One entry of the host and what it is to become. Carrying it out twice comes to the same as once, so recovery needs no record of how far it got:
/// what already is as it should be is done, what still is as it was is to do, and anything else was changed by someone else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) path: RelPath,
    pub(crate) before: Option<Print>,
    pub(crate) after: After,
    /// What a report calls it; `None` for what goes with a directory.
    pub(crate) kind: Option<Kind>,
    /// Its turn among the steps of one write-back.
    #[serde(default)]
    pub(crate) phase: u8,
    /// The number on the shelf of what is landed with it, when it comes from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shelved: Option<u64>,
}

impl Step {
    fn new(path: RelPath, before: Option<Print>, after: After, phase: u8) -> Self {
        Self { path, before, after, kind: None, phase, shelved: None }
    }

    /// Length of the new contents, where there are any.
    pub(crate) fn size(&self) -> Option<u64> {
        if let After::File { size, .. } = self.after { Some(size) } else { None }
    }

    /// The same step with its contents at another place.
    pub(crate) fn moved_to(mut self, place: u64) -> Self {
        if let After::File { at, .. } = &mut self.after {
            *at = place;
        }
        self
    }

    /// SHA-256 of the new contents, where there are any.
    pub(crate) fn digest(&self) -> Option<Digest> {
        if let After::File { digest, .. } = &self.after { Some(*digest) } else { None }
    }
}

/// What a path is to become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum After {
    Absent,
    Dir { mode: u32 },
    File { at: u64, digest: Digest, size: u64, mode: u32, mtime: (i64, i64) },
    Link { target: String },
    Mode { mode: u32 },
}

/// Everything one write-back does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    version: u32,
    /// Random, in the names of our temporary files: nobody can have put anything there.
    pub(crate) tag: String,
    pub(crate) workspace: String,
    pub(crate) inode: u64,
    pub(crate) owner: Option<(u32, u32)>,
    held: String,
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    pub(crate) fn new(
        tag: String,
        workspace: &Path,
        inode: u64,
        owner: Option<(u32, u32)>,
        held: &Path,
        steps: Vec<Step>,
    ) -> Self {
        let text = |path: &Path| escape(path.as_os_str().as_bytes());
        Self {
            version: VERSION,
            tag,
            workspace: text(workspace),
            inode,
            owner,
            held: text(held),
            steps,
        }
    }

    pub(crate) fn workspace(&self) -> Option<PathBuf> {
        unescape(&self.workspace).map(|bytes| OsString::from_vec(bytes).into())
    }

    pub(crate) fn held(&self) -> Option<PathBuf> {
        unescape(&self.held).map(|bytes| OsString::from_vec(bytes).into())
    }
}

/// The directory in the state directory that belongs to one write-back, locked while a process works on it.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: PathBuf,
    lock: File,
}

impl Drop for Journal {
    /// Gives the lock back by name. Closing would not do: a process that another thread is just starting holds a
    /// copy of the descriptor until it runs its program, and the lock with it.
    fn drop(&mut self) {
        match flock(&self.lock, FlockOperation::Unlock) {
            // Closing gives it back at the latest.
            Ok(()) | Err(_) => {}
        }
    }
}

impl Journal {
    /// Opens the journal, or `None` when another process works on it.
    pub(crate) fn open(dir: &Path, create: bool) -> Result<Option<Self>, WritebackError> {
        let failed = |e| WritebackError::state("open the journal", dir, e);
        if create {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        }
        let lock = File::open(dir).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { dir: dir.to_owned(), lock })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(failed(e.into())),
        }
    }

    pub(crate) fn is_empty(&self) -> Result<bool, WritebackError> {
        let mut entries = std::fs::read_dir(&self.dir)
            .map_err(|e| WritebackError::state("read the journal", &self.dir, e))?;
        Ok(entries.next().is_none())
    }

    /// Makes the file for staged contents and notes, for a person who finds it after a crash, what lies where in it.
    ///
    /// One file for all: ten thousand would cost more to make and remove than the whole rest of a write-back.
    pub(crate) fn begin(&self, steps: &[Step]) -> Result<File, WritebackError> {
        let failed = |e| WritebackError::state("write to the journal", &self.dir, e);
        let mut lines = String::new();
        for step in steps {
            if let After::File { at, size, .. } = step.after {
                // INVARIANT: writing to a String cannot fail.
                let _written = writeln!(lines, "{at} {size} {}", step.path);
            }
        }
        std::fs::write(self.dir.join("names.txt"), lines).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(self.contents()).map_err(failed)
    }

    /// Notes that all that is staged is on the shelf as well, and stays there until it has landed.
    pub(crate) fn repeats_shelf(&self) -> Result<(), WritebackError> {
        let noted = File::create(self.dir.join(SHELVED)).map(drop);
        noted.map_err(|e| WritebackError::state("write to the journal", &self.dir, e))
    }

    /// Whether nothing is lost with it: see [`Journal::repeats_shelf`].
    pub(crate) fn is_on_shelf(&self) -> bool {
        self.dir.join(SHELVED).exists()
    }

    /// The file with the staged contents, one after the other.
    pub(crate) fn contents(&self) -> PathBuf {
        self.dir.join("contents")
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// From here on the write-back will be finished, now or by recovery.
    pub(crate) fn commit(&self, plan: &Plan) -> Result<(), WritebackError> {
        let bytes = serde_json::to_vec(plan).map_err(|e| WritebackError::Corrupt {
            path: self.dir.join(PLAN),
            why: e.to_string(),
        })?;
        replace_file(&self.dir, PLAN, &bytes)
    }

    pub(crate) fn plan(&self) -> Result<Option<Plan>, WritebackError> {
        let path = self.dir.join(PLAN);
        let bytes = match std::fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => {
                result.map_err(|e| WritebackError::state("read the journal", &self.dir, e))?
            }
        };
        let plan: Plan = serde_json::from_slice(&bytes)
            .map_err(|e| WritebackError::Corrupt { path: path.clone(), why: e.to_string() })?;
        if plan.version == VERSION {
            Ok(Some(plan))
        } else {
            Err(WritebackError::Corrupt { path, why: format!("unknown version {}", plan.version) })
        }
    }

    /// Removes the journal of a write-back that was carried out. The plan goes by another name first and
    /// that name goes last, so that a kill in between never makes it look as if nothing had landed.
    pub(crate) fn complete(self) -> Result<(), WritebackError> {
        let failed = |e| WritebackError::state("remove the journal", &self.dir, e);
        let done = self.dir.join(DONE);
        match std::fs::rename(self.dir.join(PLAN), &done) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
        for entry in std::fs::read_dir(&self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path != done {
                std::fs::remove_file(path).map_err(failed)?;
            }
        }
        std::fs::remove_dir_all(&self.dir).map_err(failed)
    }

    /// Whether it was carried out and only not removed any more.
    pub(crate) fn is_complete(&self) -> bool {
        self.dir.join(DONE).exists()
    }

    /// Forgets it all. The plan goes first: without it nothing is resumed.
    pub(crate) fn remove(self) -> Result<(), WritebackError> {
        let failed = |e| WritebackError::state("remove the journal", &self.dir, e);
        match std::fs::remove_file(self.dir.join(PLAN)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        std::fs::remove_dir_all(&self.dir).map_err(failed)
    }
}

/// A stretch of the file of contents.
#[derive(Debug)]
pub(crate) struct Stretch<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl<'a> Stretch<'a> {
    /// The staged contents of a step, for a step that has contents.
    pub(crate) fn of(step: &Step, file: &'a File) -> Option<Self> {
        if let After::File { at, size, .. } = step.after {
            Some(Self { file, at, left: size })
        } else {
            None
        }
    }
}

impl Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.file.read_at(buffer.get_mut(..want).unwrap_or_default(), self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// The steps that carry out the changes that land, in the order in which any prefix of them leaves the workspace usable: room is made,
/// then directories, then git objects before what refers to them, then removals, children before parents.
pub(crate) fn steps(items: &[Change]) -> Vec<Step> {
    let mut end = 0;
    let mut ordered = Vec::new();
    for item in items.iter().filter(|item| item.lands()) {
        for step in steps_of(item) {
            let size = step.size().unwrap_or_default();
            ordered.push(step.moved_to(end));
            end += size;
        }
    }
    ordered.sort_by_key(|step| step.phase);
    ordered
}

/// The steps of one change, whether it may land or not.
pub(crate) fn steps_of(item: &Change) -> Vec<Step> {
    let replaces_dir = item.before.is_some_and(|print| print.shape == Shape::Dir)
        && matches!(item.kind, Kind::Created | Kind::Symlink { .. });
    let clearing = if replaces_dir { 0 } else { 4 };
    let gone = |(path, print): &(RelPath, Print)| {
        Step::new(path.clone(), Some(*print), After::Absent, clearing)
    };
    let mut all: Vec<Step> = item.clear.iter().map(gone).collect();
    let (phase, after) = match &item.kind {
        Kind::CreatedDir => (1, After::Dir { mode: item.mode | 0o700 }),
        Kind::Created | Kind::Modified => {
            let (size, mode, mtime) = (item.size, item.mode, item.mtime);
            let after = After::File { at: 0, digest: [0; 32], size, mode, mtime };
            (if item.path.names().any(|name| name == b"objects") { 2 } else { 3 }, after)
        }
        Kind::Symlink { target } => (3, After::Link { target: target.clone() }),
        Kind::ModeChanged => {
            (if item.mode & 0o300 == 0o300 { 1 } else { 5 }, After::Mode { mode: item.mode })
        }
        Kind::Deleted | Kind::DeletedDir => (4, After::Absent),
        Kind::ReplacedDir | Kind::Special => return all,
    };
    let own = Step::new(item.path.clone(), item.before, after, phase);
    all.push(Step { kind: Some(item.kind.clone()), ..own });
    all
}

/// The plan; while it stands, the write-back is to be finished.
pub(super) const PLAN: &str = "plan.json";
/// The plan of a write-back that was carried out, while the rest of its journal is being removed.
const DONE: &str = "done.json";
/// The mark of a journal that has nothing which is not on the shelf.
const SHELVED: &str = "shelved";
const VERSION: u32 = 1;
