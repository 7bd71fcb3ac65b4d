//! How does a workspace become a private copy, and what of the copy is still as it was made?
use crate::sys;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What the copy was made of: one entry for each path below the workspace, by its bytes.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    pub(crate) entries: BTreeMap<Vec<u8>, Mark>,
}

/// What tells an entry that nobody touched: its inode and the time the kernel stamped on it, which no program can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) inode: u64,
    pub(crate) changed: (i64, i64),
    pub(crate) directory: bool,
    pub(crate) mode: u32,
    /// The mode of what it was copied from.
    pub(crate) original: u32,
}

impl Mark {
    pub(crate) fn of(stat: &Stat, original: u32) -> Self {
        Self {
            inode: stat.st_ino,
            changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            directory: is(stat, FileType::Directory),
            mode: stat.st_mode & 0o7777,
            original,
        }
    }
}

/// Copies what is below `from` into the empty directory `to`; everything is given to `owner`, if there is one. Devices, fifos
/// and sockets, other file systems, and what may not be read are left out.
pub(crate) fn copy(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    owner: Option<(u32, u32)>,
) -> io::Result<Baseline> {
    let device = rustix::fs::fstat(from)?.st_dev;
    let mut copier = Copier { device, owner, bytes: 0, baseline: Baseline::default() };
    let root = rustix::fs::fstat(from)?;
    let mut waiting = vec![(Vec::new(), reopen(from)?, reopen(to)?)];
    while let Some((path, from, to)) = waiting.pop() {
        for name in names(from.as_fd())? {
            let below = join(&path, &name);
            if let Some(directories) = copier.entry(&below, &name, from.as_fd(), to.as_fd())? {
                waiting.push((below, directories.0, directories.1));
            }
        }
    }
    rustix::fs::fchmod(to, Mode::from_raw_mode(root.st_mode & 0o777 | 0o700))?;
    copier.settle(to)?;
    Ok(copier.baseline)
}

struct Copier {
    device: u64,
    owner: Option<(u32, u32)>,
    bytes: u64,
    baseline: Baseline,
}

impl Copier {
    /// Copies one entry; a directory is returned to be gone through.
    fn entry(
        &mut self,
        path: &[u8],
        name: &[u8],
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
    ) -> io::Result<Option<(OwnedFd, OwnedFd)>> {
        let Some(stat) = look(from, name)? else { return Ok(None) };
        if stat.st_dev != self.device {
            return Ok(None);
        }
        if self.baseline.entries.len() >= MOST_ENTRIES {
            return Err(too_large("more than a million files"));
        }
        let directories = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => match open(from, name, OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(from) => {
                    rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                    Some((from, open(to, name, OFlags::RDONLY | OFlags::DIRECTORY)?))
                }
                Err(_) => return Ok(None),
            },
            FileType::RegularFile => {
                let Ok(file) = open(from, name, OFlags::RDONLY | OFlags::NONBLOCK) else {
                    return Ok(None);
                };
                self.file(file.as_fd(), &stat, to, name)?;
                None
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&target, to, name)?;
                None
            }
            _ => return Ok(None),
        };
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
            rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        // Its times and mode are set last, when nothing more is put into it.
        let mark = Mark::of(&stat, stat.st_mode & 0o777);
        self.baseline.entries.insert(path.to_vec(), mark);
        Ok(directories)
    }

    fn file(
        &mut self,
        from: BorrowedFd<'_>,
        stat: &Stat,
        to: BorrowedFd<'_>,
        name: &[u8],
    ) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o777);
        let made = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
        if rustix::fs::ioctl_ficlone(&made, from).is_err() {
            self.bytes = self.bytes.saturating_add(contents(from, made.as_fd())?);
            if self.bytes > MOST_BYTES {
                return Err(too_large("more than 8 GiB"));
            }
        }
        rustix::fs::fchmod(&made, mode)?;
        let times = Timestamps {
            last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: 0 },
            last_modification: Timespec {
                tv_sec: stat.st_mtime,
                tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
            },
        };
        Ok(rustix::fs::futimens(&made, &times)?)
    }

    /// Gives directories their modes, deepest first, and takes the marks of the finished copy.
    fn settle(&mut self, to: BorrowedFd<'_>) -> io::Result<()> {
        for (path, mark) in self.baseline.entries.iter_mut().rev() {
            let (parent, name) = split(path);
            let parent = if parent.is_empty() { reopen(to)? } else { beneath(to, parent)? };
            if mark.directory {
                let directory = open(parent.as_fd(), name, OFlags::RDONLY | OFlags::DIRECTORY)?;
                // Ours to enter and to empty, whatever it was: it is a copy.
                rustix::fs::fchmod(&directory, Mode::from_raw_mode(mark.original | 0o700))?;
            }
            let stat = look(parent.as_fd(), name)?.ok_or(io::ErrorKind::NotFound)?;
            *mark = Mark::of(&stat, mark.original);
        }
        Ok(())
    }
}

/// Copies the contents; returns how many bytes.
fn contents(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<u64> {
    let mut total = 0_u64;
    loop {
        let copied = match rustix::fs::copy_file_range(from, None, to, None, CHUNK) {
            Ok(copied) => copied,
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM)
                if total == 0 =>
            {
                let mut from = std::fs::File::from(reopen_file(from)?);
                let mut to = std::fs::File::from(to.try_clone_to_owned()?);
                return io::copy(&mut from, &mut to);
            }
            Err(errno) => return Err(errno.into()),
        };
        if copied == 0 {
            return Ok(total);
        }
        total = total.saturating_add(u64::try_from(copied).unwrap_or(u64::MAX));
        if total > MOST_BYTES {
            return Err(too_large("more than 8 GiB"));
        }
    }
}

fn too_large(what: &str) -> io::Error {
    let remedy = "work on the folder itself with `--direct`, or allow user namespaces";
    io::Error::other(format!("the workspace is too large to be copied: {what}; {remedy}"))
}

/// The names in a directory, without `.` and `..`.
pub(crate) fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

/// What `name` is, itself; `None` when it is not there.
pub(crate) fn look(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens `name` in a directory, never through a link.
pub(crate) fn open(
    directory: BorrowedFd<'_>,
    name: &[u8],
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

/// Opens the directory `path` below another, through no link.
pub(crate) fn beneath(top: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let mut at = reopen(top)?;
    for name in path.split(|byte| *byte == b'/') {
        at = open(at.as_fd(), name, OFlags::RDONLY | OFlags::DIRECTORY)?;
    }
    Ok(at)
}

pub(crate) fn reopen(directory: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    open(directory, b".", OFlags::RDONLY | OFlags::DIRECTORY)
}

fn reopen_file(file: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", sys::number(file));
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

pub(crate) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}

/// A path's directory (empty for the top) and its last name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

pub(crate) fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

/// Makes a directory for `copy`, opened.
pub(crate) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

const MOST_ENTRIES: usize = 1_000_000;
const MOST_BYTES: u64 = 8 << 30;
const CHUNK: usize = 1 << 30;
