//! How is the new root put together and made the only one?
//!
//! INVARIANT: as in `child`: nothing here allocates, frees, panics or takes a lock.
use super::PATH_ONLY;
use crate::op::Op;
use crate::sys;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Makes the new root the only one. The stage, which lies over the old root, is moved into it first, so that both go at once:
/// each unmounting makes the kernel wait for all its readers. Were one left, `/..` would cross onto it.
pub(super) fn pivot() -> Result<(), Errno> {
    let stage = rustix::fs::open(c"/..", PATH_ONLY | OFlags::DIRECTORY, Mode::empty())?;
    place(stage.as_fd(), c"/proc")?;
    drop(stage);
    rustix::process::pivot_root(c".", c".")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")?;
    let (root, above) = (rustix::fs::stat(c"/")?, rustix::fs::stat(c"/..")?);
    if (root.st_dev, root.st_ino) == (above.st_dev, above.st_ino) {
        Ok(())
    } else {
        Err(Errno::BUSY)
    }
}

/// Lays the stage over the old root and goes there; absolute paths still lead through the old one.
pub(super) fn stage(options: &CStr) -> Result<(), Errno> {
    tmpfs(c"/", options)?;
    // `..` of the root crosses onto what is mounted over it; a plain `/` would not.
    let stage = rustix::fs::open(c"/..", PATH_ONLY | OFlags::DIRECTORY, Mode::empty())?;
    rustix::process::fchdir(&stage)
}

pub(super) fn tmpfs(path: &CStr, options: &CStr) -> Result<(), Errno> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount(c"tmpfs", path, c"tmpfs", flags, options)
}

pub(super) fn mask(path: &CStr, with: &CStr) -> Result<(), Errno> {
    match rustix::fs::access(path, rustix::fs::Access::EXISTS) {
        Ok(()) => {}
        // This kernel has nothing of that name to hide.
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    }
    let tree = rustix::mount::open_tree(CWD, with, CLONE_TREE)?;
    let attributes = crate::op::RDONLY | crate::op::NOSUID | crate::op::NOEXEC;
    sys::mount_attributes(tree.as_fd(), false, attributes, None)?;
    place(tree.as_fd(), path)
}

/// Mounts a new file system.
pub(super) fn mount_new(op: &Op) -> Result<(), Errno> {
    let (kind, path, flags, options) = match op {
        Op::Tmpfs { path, options } => {
            (c"tmpfs", path.as_c_str(), MountFlags::NODEV, options.as_c_str())
        }
        Op::Overlay { path, options } => {
            (c"overlay", path.as_c_str(), MountFlags::NODEV, options.as_c_str())
        }
        Op::Proc => (c"proc", c"proc", MountFlags::NODEV | MountFlags::NOEXEC, c"hidepid=2"),
        Op::Pts => {
            let options = c"newinstance,ptmxmode=0666,mode=620";
            (c"devpts", c"dev/pts", MountFlags::NOEXEC, options)
        }
        // Every other act is carried out by `act` and `mount`.
        _ => return Err(Errno::NOSYS),
    };
    rustix::mount::mount(kind, path, kind, MountFlags::NOSUID | flags, options)
}

/// Opens a host path without following a symlink anywhere and clones the mounts from there down.
pub(crate) fn open_tree(path: &CStr, identity: Option<(u64, u64)>) -> Result<OwnedFd, Errno> {
    let at = rustix::fs::openat2(
        CWD,
        path,
        PATH_ONLY,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )?;
    if let Some(expected) = identity {
        let stat = rustix::fs::fstat(&at)?;
        if (stat.st_dev, stat.st_ino) != expected {
            return Err(Errno::STALE);
        }
    }
    rustix::mount::open_tree(at.as_fd(), c"", CLONE_TREE)
}

pub(super) fn place(tree: BorrowedFd<'_>, path: &CStr) -> Result<(), Errno> {
    rustix::mount::move_mount(tree, c"", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

pub(super) fn make_file(path: &CStr, contents: &[u8], mode: u32) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(mode))?;
    let mut rest = contents;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).ok_or(Errno::IO)?;
    }
    Ok(())
}

pub(super) const CLONE_TREE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::AT_RECURSIVE)
    .union(OpenTreeFlags::AT_EMPTY_PATH);
