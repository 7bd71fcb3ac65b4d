//! Where do changes wait that did not land?

use super::WritebackError;
use super::change::Digest;
use super::host::digest;
use super::path::RelPath;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A change that was kept aside.
///
/// Contents are stored under a number, never under their own name: a tree with `.git/hooks` in it would be as dangerous in the state directory as in
/// the workspace.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    path: RelPath,
    what: String,
    why: String,
    conflict: bool,
    mode: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contents: Option<Contents>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    number: u64,
    size: u64,
    digest: Digest,
}

impl Kept {
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
}

/// Reads what a held directory keeps; an absent directory keeps nothing.
///
/// # Errors
/// When its index cannot be read or is not one of ours.
pub fn held(dir: &Path) -> Result<Vec<Kept>, WritebackError> {
    let bytes = match std::fs::read(dir.join(INDEX)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => {
            result.map_err(|e| WritebackError::state("read the index of held changes", dir, e))?
        }
    };
    let index: Index = serde_json::from_slice(&bytes)
        .map_err(|e| WritebackError::Corrupt { path: dir.join(INDEX), why: e.to_string() })?;
    if index.version == VERSION {
        Ok(index.items)
    } else {
        Err(WritebackError::Corrupt {
            path: dir.join(INDEX),
            why: format!("unknown version {}", index.version),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    version: u32,
    items: Vec<Kept>,
}

/// The held directory of one session, being filled.
#[derive(Debug)]
pub(crate) struct Shelf {
    dir: PathBuf,
    items: Vec<Kept>,
    /// Those put there since it was opened.
    pub(crate) fresh: Vec<Kept>,
}

impl Shelf {
    pub(crate) fn open(dir: &Path) -> Result<Self, WritebackError> {
        Ok(Self { dir: dir.to_owned(), items: held(dir)?, fresh: Vec::new() })
    }

    pub(crate) fn has(&self, path: &RelPath, what: &str, digest: Option<Digest>) -> bool {
        self.items
            .iter()
            .any(|kept| kept.path == *path && kept.what == what && kept.digest() == digest)
    }

    /// Keeps a change, with its contents if it has any.
    pub(crate) fn keep(
        &mut self,
        path: &RelPath,
        what: String,
        why: String,
        conflict: bool,
        mode: u32,
        contents: Option<&mut dyn Read>,
    ) -> Result<(), WritebackError> {
        let failed = |e| WritebackError::state("keep a held change in", &self.dir, e);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(failed)?;
        let contents = match contents {
            None => None,
            Some(mut file) => {
                let number = self.items.len() as u64;
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
        let kept = Kept { path: path.clone(), what, why, conflict, mode, contents };
        self.items.push(kept.clone());
        self.fresh.push(kept);
        Ok(())
    }

    /// Makes what was kept durable.
    pub(crate) fn save(&self) -> Result<(), WritebackError> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let index = Index { version: VERSION, items: self.items.clone() };
        let bytes = serde_json::to_vec_pretty(&index).map_err(|e| WritebackError::Corrupt {
            path: self.dir.join(INDEX),
            why: e.to_string(),
        })?;
        replace_file(&self.dir, INDEX, &bytes)
    }
}

/// Writes a whole file of the state directory so that after a crash it is the old one or the new one; all earlier writes to the same
/// file system are durable before it appears.
pub(crate) fn replace_file(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), WritebackError> {
    let write = || -> std::io::Result<()> {
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
const VERSION: u32 = 1;
