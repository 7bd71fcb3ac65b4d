//! What does an entry of the overlay's upper layer mean?

use super::host::{link_target, make_handle_readable, make_readable, open_dir, open_file};
use super::path::RelPath;
use rustix::fs::{FileType, OFlags, Stat, fgetxattr, flistxattr, fstat};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One entry of the upper layer.
#[derive(Debug)]
pub(crate) enum Found {
    /// A whiteout: the session removed what the host has by this name.
    Gone,
    /// A directory.
    Dir(Marks),
    /// A regular file, open.
    File(File, Marks),
    /// A symbolic link and where it points.
    Link(Vec<u8>),
    /// A device, fifo or socket.
    Special,
    /// Nothing we could read.
    Unreadable,
}

/// What the overlay noted about an entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Marks {
    /// The directory replaces the host's instead of adding to it.
    pub(crate) opaque: bool,
    /// It began as a copy of a host entry (which may have had another name).
    pub(crate) copied: bool,
    /// Its contents are elsewhere: redirected, metadata only, or a mark unknown to us.
    pub(crate) odd: bool,
}

/// Reads the entry `name`, whose metadata is `stat`, in the directory `dir` of the upper layer.
pub(crate) fn read(dir: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> Found {
    let mode = stat.st_mode;
    let found = match FileType::from_raw_mode(mode) {
        FileType::CharacterDevice if stat.st_rdev == 0 => Ok(Found::Gone),
        FileType::Directory => {
            open_child(dir, name, mode).and_then(|fd| Ok(Found::Dir(marks(fd.as_fd())?.0)))
        }
        FileType::RegularFile => open_regular(dir, name, mode).and_then(|file| {
            let (marks, whiteout) = marks(file.as_fd())?;
            Ok(if whiteout && stat.st_size == 0 { Found::Gone } else { Found::File(file, marks) })
        }),
        FileType::Symlink => link_target(dir, name).map(Found::Link),
        _ => Ok(Found::Special),
    };
    found.unwrap_or(Found::Unreadable)
}

/// Opens the directory `path` of the upper layer for listing.
pub(crate) fn open(upper: BorrowedFd<'_>, path: Option<&RelPath>) -> rustix::io::Result<OwnedFd> {
    open_dir(upper, path, OFlags::RDONLY)
}

/// Opens a regular file of the upper layer whatever its permissions are.
pub(crate) fn open_regular(
    dir: BorrowedFd<'_>,
    name: &[u8],
    mode: u32,
) -> rustix::io::Result<File> {
    match open_file(dir, name) {
        Err(Errno::ACCESS) => {
            make_readable(dir, name, mode)?;
            open_file(dir, name).map(|(file, _)| file)
        }
        result => result.map(|(file, _)| file),
    }
}

fn open_child(dir: BorrowedFd<'_>, name: &[u8], mode: u32) -> rustix::io::Result<OwnedFd> {
    let path = RelPath::new(name).map_err(|_| Errno::INVAL)?;
    if is_shut(mode) {
        make_readable(dir, name, mode)?;
    }
    open(dir, Some(&path))
}

/// Makes the layer's own directory readable, which the session may have shut.
pub(crate) fn open_up(upper: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let mode = fstat(upper)?.st_mode;
    if is_shut(mode) { make_handle_readable(upper, mode) } else { Ok(()) }
}

/// Without search permission a directory opens and then shows nothing.
fn is_shut(mode: u32) -> bool {
    mode & 0o500 != 0o500 && !rustix::process::geteuid().is_root()
}

/// The overlay's own attributes on an entry, and whether they make it a whiteout. What the session itself set under these names, the overlay stores with a further prefix.
fn marks(fd: BorrowedFd<'_>) -> rustix::io::Result<(Marks, bool)> {
    let mut list = vec![0; 4096];
    let length = match flistxattr(fd, list.as_mut_slice()) {
        Err(Errno::RANGE) => {
            list.resize(64 * 1024, 0);
            flistxattr(fd, list.as_mut_slice())?
        }
        Err(Errno::NOTSUP) => 0,
        result => result?,
    };
    let (mut marks, mut whiteout) = (Marks::default(), false);
    for name in list.get(..length).unwrap_or_default().split(|b| *b == 0) {
        let ours =
            name.strip_prefix(b"user.overlay.").or_else(|| name.strip_prefix(b"trusted.overlay."));
        match ours {
            // `x` says that whiteouts in the form of attributes lie in it.
            Some(b"opaque") => marks.opaque = value(fd, name)?.as_slice() != b"x",
            Some(b"origin") => marks.copied = true,
            Some(b"whiteout") => whiteout = true,
            None | Some(b"impure" | b"nlink" | b"upper" | b"uuid" | b"protattr") => {}
            Some(escaped) if escaped.starts_with(b"overlay.") => {}
            Some(_) => marks.odd = true,
        }
    }
    Ok((marks, whiteout))
}

fn value(fd: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 64];
    let length = fgetxattr(fd, name, buffer.as_mut_slice())?;
    buffer.truncate(length);
    Ok(buffer)
}
