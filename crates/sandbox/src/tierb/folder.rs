//! What does a box of tier B keep on the host's disk, and who clears it away?
use crate::error::SpawnError;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The private folder of one box: its copy of the workspace, its home directory, its `/tmp`. Removed when dropped; should
/// the supervisor be killed, the next start removes it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Locked for as long as this lives.
    _lock: OwnedFd,
}

impl Folder {
    /// Makes a folder below `place`, and clears away what supervisors that are gone have left there.
    pub(crate) fn make(place: &Path, name: &str) -> Result<Self, SpawnError> {
        let failed = |source| SpawnError::Supervisor { what: "making the box's folder", source };
        let root = rustix::process::geteuid().is_root();
        // A box of root's has a user of its own, who must be able to come by here.
        let place = if root { Path::new(ROOTS_PLACE) } else { place };
        if !root {
            DirBuilder::new().recursive(true).mode(0o700).create(place).map_err(failed)?;
        }
        // Spelled out, since Landlock and the walk to it follow no link of somebody else's.
        let place = place.canonicalize().map_err(failed)?;
        sweep(&place);
        let path = place.join(format!("{PREFIX}{name}"));
        let mode = if root { 0o711 } else { 0o700 };
        // It bears a name that others sweep only once it is locked.
        let unborn = place.join(format!(".{PREFIX}{name}"));
        DirBuilder::new().mode(mode).create(&unborn).map_err(failed)?;
        let lock = open(&unborn).map_err(failed)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|e| failed(e.into()))?;
        fs::rename(&unborn, &path).map_err(failed)?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory in it, given to `owner`.
    pub(crate) fn directory(&self, name: &str, owner: Option<(u32, u32)>) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::lchown(&path, Some(uid), Some(gid))?;
        }
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes folders that nobody holds any more.
fn sweep(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let path = entry.path();
        let Ok(metadata) = path.symlink_metadata() else { continue };
        let uid = rustix::process::geteuid().as_raw();
        if !ours || !metadata.is_dir() || metadata.uid() != uid {
            continue;
        }
        let Ok(lock) = open(&path) else { continue };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            remove(&path);
        }
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Removes a tree that a box has left, whatever permissions it gave to what is in it.
fn remove(path: &Path) {
    if fs::remove_dir_all(path).is_ok() {
        return;
    }
    let mut waiting = vec![path.to_owned()];
    while let Some(directory) = waiting.pop() {
        let closed = directory.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        if !closed || fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).is_err() {
            continue;
        }
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        waiting.extend(entries.flatten().map(|entry| entry.path()));
    }
    // What stays even so is swept, or tried, at the next start.
    drop(fs::remove_dir_all(path));
}

const PREFIX: &str = "bartizan-box-";
const ROOTS_PLACE: &str = "/var/tmp";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_box_and_a_left_one_at_the_next_start() {
        let place = tempfile::tempdir().unwrap();
        let held = Folder::make(place.path(), "one").unwrap();
        let inner = held.directory("tmp", None).unwrap();
        fs::write(inner.join("x"), "x").unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o000)).unwrap();
        let left = held.path().parent().unwrap().join(format!("{PREFIX}left-by-a-test"));
        fs::create_dir_all(left.join("deep")).unwrap();
        let other = Folder::make(place.path(), "two").unwrap();
        assert!(!left.exists() && held.path().exists() && other.path().exists());
        let path = held.path().to_owned();
        drop(held);
        assert!(!path.exists() && other.path().exists());
    }
}
