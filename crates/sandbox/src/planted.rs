//! What came about at the top of a directly used workspace that the host's tools would obey, and where is it now?
//!
//! No mount holds a name that is not there. So the names are looked at before the program runs, and again when every
//! process of the box is gone. What came about in between is renamed: nothing obeys it until a person has looked.
use crate::host;
use crate::writeback::is_obeyed;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// One entry that was renamed when the box had ended, or should have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Its name at the top of the workspace.
    pub name: OsString,
    /// Its name there now, or why it still has the old one.
    pub now: Result<OsString, String>,
}

/// The names at the top of a workspace, as they were before the program ran.
#[derive(Debug)]
pub(crate) struct Top {
    workspace: OwnedFd,
    mode: Mode,
    before: BTreeMap<Vec<u8>, Mark>,
}

/// What tells an entry from another of its name. Only of a link: nothing holds it, while files and directories are mounts
/// that cannot be moved, and a tool that is obeyed may write to them from outside.
type Mark = Option<(u64, i64, u64)>;

impl Top {
    pub(crate) fn look(workspace: BorrowedFd<'_>) -> io::Result<Self> {
        // Opened for reading: the mode of a descriptor that is a path alone cannot be set.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let workspace = rustix::fs::openat(workspace, ".", flags, Mode::empty())?;
        let (before, mode) = (obeyed(workspace.as_fd())?, mode(workspace.as_fd())?);
        Ok(Self { workspace, mode, before })
    }

    /// Renames what was planted. Every process of the box is dead, so nobody races with this.
    pub(crate) fn settle(&self) -> io::Result<Vec<SetAside>> {
        self.open_up()?;
        let after = obeyed(self.workspace.as_fd())?;
        let planted = after.into_iter().filter(|(name, mark)| self.before.get(name) != Some(mark));
        let rename = |(number, (name, _)): (usize, (Vec<u8>, Mark))| {
            let now = self.set_aside(&name, number);
            let now = now.map_err(|error| error.to_string());
            SetAside { name: OsStr::from_bytes(&name).to_owned(), now }
        };
        Ok(planted.enumerate().map(rename).collect())
    }

    /// A workspace that can be entered and not listed, or not changed, would keep what was planted where it is.
    fn open_up(&self) -> io::Result<()> {
        if mode(self.workspace.as_fd())?.contains(self.mode & Mode::RWXU) {
            return Ok(());
        }
        Ok(rustix::fs::fchmod(&self.workspace, self.mode)?)
    }

    fn set_aside(&self, name: &[u8], number: usize) -> io::Result<OsString> {
        // Not to be foreseen in the box, and without what makes the old name obeyed.
        let nonce = host::nonce().map_err(io::Error::other)?;
        let aside = format!("set-aside-{nonce:016x}-{number}");
        let top = self.workspace.as_fd();
        rustix::fs::renameat_with(top, name, top, &aside, RenameFlags::NOREPLACE)?;
        Ok(aside.into())
    }
}

fn mode(workspace: BorrowedFd<'_>) -> io::Result<Mode> {
    Ok(Mode::from_raw_mode(rustix::fs::fstat(workspace)?.st_mode))
}

fn obeyed(workspace: BorrowedFd<'_>) -> io::Result<BTreeMap<Vec<u8>, Mark>> {
    let mut found = BTreeMap::new();
    for entry in Dir::read_from(workspace)? {
        let entry = entry?;
        let name = entry.file_name();
        if !is_obeyed(name.to_bytes()) {
            continue;
        }
        match rustix::fs::statat(workspace, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => drop(found.insert(name.to_bytes().to_vec(), mark(&stat))),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(found)
}

fn mark(stat: &Stat) -> Mark {
    let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    is_link.then_some((stat.st_ino, stat.st_ctime, stat.st_ctime_nsec))
}
