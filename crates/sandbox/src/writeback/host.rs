//! How is a directory tree reached without following anything that lies in it?

use super::change::Digest;
use super::path::RelPath;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, chmodat, fstat, openat, openat2,
    readlinkat, statat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

/// What kind of entry stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Shape {
    File,
    Dir,
    Link,
    Other,
}

/// An entry as it was at one moment: enough to know later whether it is still that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Print {
    pub(crate) shape: Shape,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    pub(crate) mtime: (i64, i64),
    pub(crate) ctime: (i64, i64),
}

impl Print {
    pub(crate) fn of(stat: &Stat) -> Self {
        let shape = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Shape::File,
            FileType::Directory => Shape::Dir,
            FileType::Symlink => Shape::Link,
            _ => Shape::Other,
        };
        let nanos = |n| i64::try_from(n).unwrap_or_default();
        Self {
            shape,
            ino: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            mtime: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            ctime: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }

    /// Whether the same entry, unchanged, now has this print.
    ///
    /// A directory is the same as long as it is one: its own times move with every entry that lands in it.
    pub(crate) fn is_still(&self, now: &Self) -> bool {
        if self.shape == Shape::Dir {
            now.shape == Shape::Dir && now.ino == self.ino
        } else {
            self == now
        }
    }

    /// The same, for an entry that was renamed in between, which moves its change time.
    pub(crate) fn is_still_renamed(&self, now: &Self) -> bool {
        self.is_still(&Self { ctime: self.ctime, ..*now })
    }

    /// Whether it changed at or after a moment.
    pub(crate) fn is_newer(&self, since: (i64, i64)) -> bool {
        self.ctime >= since
    }
}

/// A moment as the kernel writes it into inodes.
pub(crate) fn kernel_time(time: SystemTime) -> (i64, i64) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(past) => {
            (i64::try_from(past.as_secs()).unwrap_or(i64::MAX), i64::from(past.subsec_nanos()))
        }
        // Before 1970 everything is newer: nothing would be overwritten.
        Err(_) => (i64::MIN, 0),
    }
}

/// Opens the directory at `path` below `root` (`None` = `root` itself), passing through real directories of the same file system only.
pub(crate) fn open_dir(
    root: BorrowedFd<'_>,
    path: Option<&RelPath>,
    extra: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let name = path.map_or(b".".as_slice(), RelPath::as_bytes);
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | extra;
    let mut tries = 0;
    loop {
        match openat2(root, name, flags, Mode::empty(), BENEATH) {
            // The kernel asks for another try when something was renamed under its feet.
            Err(Errno::AGAIN | Errno::INTR) if tries < 100 => tries += 1,
            result => return result,
        }
    }
}

/// What stands at `name`, or `None` when nothing does.
pub(crate) fn look(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Option<Stat>> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The names in a directory, sorted.
pub(crate) fn names(dir: &OwnedFd, limit: usize) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            if names.len() >= limit {
                return Err(Errno::OVERFLOW);
            }
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Where the link `name` points.
pub(crate) fn link_target(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Vec<u8>> {
    Ok(readlinkat(dir, name, Vec::new())?.into_bytes())
}

/// Opens a regular file for reading; anything else that stands there is an error.
pub(crate) fn open_file(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<(File, Stat)> {
    // NONBLOCK: a fifo put in its place must not hold us.
    let fd = openat(
        dir,
        name,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let stat = fstat(&fd)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        Ok((File::from(fd), stat))
    } else {
        Err(Errno::INVAL)
    }
}

/// The same for a file or directory of the upper layer, which is ours to open even where the session took our read permission away.
pub(crate) fn make_readable(dir: BorrowedFd<'_>, name: &[u8], mode: u32) -> rustix::io::Result<()> {
    let handle =
        openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&handle)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    make_handle_readable(handle.as_fd(), mode)
}

/// The same for one that is open, if only as a path, which `fchmod` does not take.
pub(crate) fn make_handle_readable(handle: BorrowedFd<'_>, mode: u32) -> rustix::io::Result<()> {
    chmodat(CWD, proc_path(handle), Mode::from_raw_mode(mode & 0o777 | 0o500), AtFlags::empty())
}

/// The path by which the kernel reaches an open file.
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Whether two files hold the same bytes from where they stand.
pub(crate) fn same_contents(one: &mut impl Read, other: &mut impl Read) -> io::Result<bool> {
    let (mut a, mut b) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let (x, y) = (fill(one, &mut a)?, fill(other, &mut b)?);
        if x != y || a.get(..x) != b.get(..y) {
            return Ok(false);
        }
        if x == 0 {
            return Ok(true);
        }
    }
}

/// The digest and length of a file's remaining contents, each chunk handed to `sink` on the way.
pub(crate) fn digest(
    file: &mut impl Read,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(Digest, u64)> {
    let (mut hash, mut length, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let n = fill(file, &mut buffer)?;
        let chunk = buffer.get(..n).unwrap_or_default();
        if chunk.is_empty() {
            return Ok((hash.finalize().into(), length));
        }
        hash.update(chunk);
        sink(chunk)?;
        length += n as u64;
    }
}

/// At most `limit` bytes of a file, or `None` when it holds more.
pub(crate) fn read_bounded(file: &mut impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);
const CHUNK: usize = 128 * 1024;
