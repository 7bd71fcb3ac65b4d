//! Where do changes wait that did not land?

use super::WritebackError;
use super::change::{Clash, Digest};
use super::host::digest;
use super::journal::{After, Step};
use super::path::{RelPath, escape, unescape};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A change that was kept aside.
///
/// Contents are stored under a number, never under their own name: a tree with `.git/hooks` in it would be as dangerous in the state directory as in
/// the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Told from the place in the index by those that version 1 wrote.
    #[serde(default)]
    id: u64,
    path: RelPath,
    what: String,
    why: String,
    conflict: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    waiting: bool,
    mode: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contents: Option<Contents>,
    /// How it would land; none for what version 1 wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Step>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<RelPath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    number: u64,
    size: u64,
    digest: Digest,
}

impl Kept {
    /// Its number on the shelf.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where it would have landed.
    #[must_use]
    pub fn path(&self) -> &RelPath {
        &self.path
    }

    /// What was done there, in words ([`super::Kind`]'s).
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Why it did not land, in words.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Whether it met a change on the host's side (and was not held for what it is).
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.conflict
    }

    /// Whether nothing speaks against it, and it only waits for a person to look first.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Whether it is known how it would land.
    #[must_use]
    pub fn can_land(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The git directory whose references and index land together with this, when it is one of them.
    #[must_use]
    pub fn git_dir(&self) -> Option<&RelPath> {
        self.unit.as_ref()
    }

    /// The permission bits it would have had.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// The file in the held directory with its contents, for what has contents.
    #[must_use]
    pub fn contents(&self) -> Option<PathBuf> {
        self.contents.map(|contents| PathBuf::from(file_name(contents.number)))
    }

    /// SHA-256 of the contents.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.contents.map(|contents| contents.digest)
    }

    /// Length of the contents, in bytes.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.contents.map(|contents| contents.size)
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// Reads what a held directory keeps; an absent directory keeps nothing.
///
/// # Errors
/// When its index cannot be read or is not one of ours.
pub fn held(dir: &Path) -> Result<Vec<Kept>, WritebackError> {
    read(dir).map(|index| index.items)
}

/// How many changes a held directory keeps, without reading more of each than it takes to tell them apart.
///
/// # Errors
/// As [`held`].
pub fn tally(dir: &Path) -> Result<Tally, WritebackError> {
    let Some(file) = open(dir)? else { return Ok(Tally::default()) };
    let index: Flags = serde_json::from_reader(BufReader::new(file)).map_err(|e| unread(dir, e))?;
    check_version(dir, index.version)?;
    let mut tally = Tally::default();
    for item in index.items {
        let count = match item {
            Flag { conflict: true, .. } => &mut tally.conflicts,
            Flag { waiting: true, .. } => &mut tally.waiting,
            Flag { .. } => &mut tally.held,
        };
        *count += 1;
    }
    Ok(tally)
}

/// How many changes wait, are held for what they are, and are in conflict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a change is kept for one of three reasons")]
pub struct Tally {
    /// Nothing speaks against them.
    pub waiting: usize,
    /// They are held for what they are.
    pub held: usize,
    /// They met a change on the host's side.
    pub conflicts: usize,
}

/// As much of an [`Index`] as [`tally`] counts.
#[derive(Deserialize)]
struct Flags {
    version: u32,
    items: Vec<Flag>,
}

#[derive(Deserialize)]
struct Flag {
    conflict: bool,
    #[serde(default)]
    waiting: bool,
}

fn read(dir: &Path) -> Result<Index, WritebackError> {
    let Some(mut file) = open(dir)? else { return Ok(Index::default()) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| unopened(dir, e))?;
    let mut index: Index = serde_json::from_slice(&bytes).map_err(|e| unread(dir, e))?;
    check_version(dir, index.version)?;
    if index.version == 1 {
        (0..).zip(&mut index.items).for_each(|(place, item)| item.id = place);
    }
    Ok(index)
}

fn open(dir: &Path) -> Result<Option<File>, WritebackError> {
    match File::open(dir.join(INDEX)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).map_err(|e| unopened(dir, e)),
    }
}

fn unopened(dir: &Path, error: io::Error) -> WritebackError {
    WritebackError::state("read the index of held changes", dir, error)
}

fn unread(dir: &Path, error: serde_json::Error) -> WritebackError {
    if error.is_io() {
        return unopened(dir, error.into());
    }
    WritebackError::Corrupt { path: dir.join(INDEX), why: error.to_string() }
}

fn check_version(dir: &Path, version: u32) -> Result<(), WritebackError> {
    if matches!(version, 1 | VERSION) {
        return Ok(());
    }
    Err(WritebackError::Corrupt {
        path: dir.join(INDEX),
        why: format!("unknown version {version}"),
    })
}

/// The workspace that held changes belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Home {
    path: String,
    pub(crate) inode: u64,
    pub(crate) owner: Option<(u32, u32)>,
}

impl Home {
    pub(crate) fn new(path: &Path, inode: u64, owner: Option<(u32, u32)>) -> Self {
        Self { path: escape(path.as_os_str().as_bytes()), inode, owner }
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        unescape(&self.path).map(|bytes| OsString::from_vec(bytes).into())
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    home: Option<Home>,
    /// The number that the next item gets; none is given twice.
    #[serde(default)]
    next: u64,
    items: Vec<Kept>,
}

/// What is to be put on the shelf.
pub(crate) struct Aside<'a> {
    pub(crate) path: &'a RelPath,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) conflict: bool,
    pub(crate) waiting: bool,
    pub(crate) mode: u32,
    pub(crate) steps: Vec<Step>,
    pub(crate) unit: Option<RelPath>,
}

/// The held directory of one session, being filled or emptied.
#[derive(Debug)]
pub(crate) struct Shelf {
    dir: PathBuf,
    home: Option<Home>,
    next: u64,
    /// The first number that no index on the disk names yet.
    unnamed: u64,
    items: Vec<Kept>,
    is_changed: bool,
    /// Those put there, or given another reason, since it was opened.
    pub(crate) fresh: Vec<Kept>,
}

impl Shelf {
    pub(crate) fn open(dir: &Path) -> Result<Self, WritebackError> {
        let Index { home, next, items, .. } = read(dir)?;
        let next = items.iter().map(|item| item.id + 1).max().unwrap_or_default().max(next);
        let (dir, fresh) = (dir.to_owned(), Vec::new());
        Ok(Self { dir, home, next, unnamed: next, items, is_changed: false, fresh })
    }

    /// The same, of changes to this workspace.
    pub(crate) fn at_home(mut self, home: Home) -> Self {
        self.home = Some(home);
        self
    }

    pub(crate) fn home(&self) -> Option<&Home> {
        self.home.as_ref()
    }

    pub(crate) fn items(&self) -> &[Kept] {
        &self.items
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn has(&self, path: &RelPath, what: &str, digest: Option<Digest>) -> bool {
        self.items
            .iter()
            .any(|kept| kept.path == *path && kept.what == what && kept.digest() == digest)
    }

    /// Keeps a change, with its contents if it has any.
    pub(crate) fn keep(
        &mut self,
        aside: Aside<'_>,
        contents: Option<&mut dyn Read>,
    ) -> Result<(), WritebackError> {
        let failed = |e| WritebackError::state("keep a held change in", &self.dir, e);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(failed)?;
        let contents = match contents {
            None => None,
            Some(mut file) => {
                let number = self.next;
                let mut options = OpenOptions::new();
                let mut copy = options
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(self.dir.join(file_name(number)))
                    .map_err(failed)?;
                let (digest, size) =
                    digest(&mut file, |chunk| copy.write_all(chunk)).map_err(failed)?;
                Some(Contents { number, size, digest })
            }
        };
        let Aside { path, what, why, conflict, waiting, mode, steps, unit } = aside;
        let path = path.clone();
        let steps = sealed(steps, self.next, contents);
        let id = self.next;
        let kept = Kept { id, path, what, why, conflict, waiting, mode, contents, steps, unit };
        self.next += 1;
        self.is_changed = true;
        self.items.push(kept.clone());
        self.fresh.push(kept);
        Ok(())
    }

    /// Says of a change that it met one of the host's.
    pub(crate) fn clashes(&mut self, id: u64, clash: Clash) {
        if let Some(item) = self.items.iter_mut().find(|item| item.id == id) {
            (item.why, item.conflict, item.waiting) = (clash.to_string(), true, false);
            self.fresh.push(item.clone());
            self.is_changed = true;
        }
    }

    /// Takes changes off the shelf. Their contents go when the index no longer names them.
    pub(crate) fn remove(&mut self, ids: &BTreeSet<u64>) -> Result<(), WritebackError> {
        let (gone, rest): (Vec<Kept>, Vec<Kept>) =
            std::mem::take(&mut self.items).into_iter().partition(|item| ids.contains(&item.id));
        self.items = rest;
        if gone.is_empty() {
            return Ok(());
        }
        self.is_changed = true;
        self.save()?;
        for file in gone.iter().filter_map(Kept::contents) {
            // What stays behind is named by nothing, and goes with the directory.
            drop(std::fs::remove_file(self.dir.join(file)));
        }
        Ok(())
    }

    /// Makes what was kept durable.
    pub(crate) fn save(&mut self) -> Result<(), WritebackError> {
        if !self.is_changed {
            return Ok(());
        }
        let Self { home, next, items, .. } = self;
        let index =
            Index { version: VERSION, home: home.clone(), next: *next, items: items.clone() };
        let bytes = serde_json::to_vec(&index).map_err(|e| WritebackError::Corrupt {
            path: self.dir.join(INDEX),
            why: e.to_string(),
        })?;
        replace_file(&self.dir, INDEX, &bytes)?;
        self.unnamed = self.next;
        self.is_changed = false;
        Ok(())
    }

    /// Removes what was put there and is named by no index: a disk that is full of it stays full for everybody else too.
    pub(crate) fn give_up(&self) {
        for number in self.unnamed..=self.next {
            drop(std::fs::remove_file(self.dir.join(file_name(number))));
        }
        drop(std::fs::remove_file(self.dir.join(format!("{INDEX}.part"))));
        // Only if it is empty.
        drop(std::fs::remove_dir(&self.dir));
    }
}

/// Steps with the digest of what was really kept; without contents, a file has no way to land.
fn sealed(steps: Vec<Step>, id: u64, contents: Option<Contents>) -> Vec<Step> {
    let mut sealed = Vec::new();
    for mut step in steps {
        if let After::File { at, digest, size, .. } = &mut step.after {
            let Some(kept) = contents else { return Vec::new() };
            (*at, *digest, *size) = (0, kept.digest, kept.size);
        }
        step.shelved = Some(id);
        sealed.push(step);
    }
    sealed
}

/// Writes a whole file of the state directory so that after a crash it is the old one or the new one; all earlier writes to the same
/// file system are durable before it appears.
pub(crate) fn replace_file(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), WritebackError> {
    let write = || -> io::Result<()> {
        let part = dir.join(format!("{name}.part"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        rustix::fs::syncfs(&file)?;
        std::fs::rename(&part, dir.join(name))?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|e| WritebackError::state("write to", dir, e))
}

fn file_name(number: u64) -> String {
    format!("{number:06}")
}

const INDEX: &str = "held.json";
const VERSION: u32 = 2;
