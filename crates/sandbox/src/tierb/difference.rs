//! What did the box do to its copy of the workspace, said as an overlay would have said it?
//!
//! Whatever differs from the baseline is moved into an upper layer: new and changed entries as they are, removed ones as
//! whiteouts. The write-back gate reads that layer as it reads a real one. It runs when every process of the box is dead.
use super::copy::{Baseline, Mark, beneath, is, join, look, names, open, reopen, split};
use rustix::fs::{FileType, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Moves every difference from the copy into the empty directory `upper`.
pub(crate) fn extract(
    copy: BorrowedFd<'_>,
    upper: BorrowedFd<'_>,
    baseline: &Baseline,
) -> io::Result<()> {
    let known = baseline.entries.values().filter(|mark| !mark.directory).map(|mark| mark.inode);
    let mut work =
        Work { upper, baseline, known: known.collect(), modes: BTreeMap::new(), seen: 0 };
    let mut waiting = vec![(Vec::new(), openable(copy, b".")?)];
    while let Some((path, directory)) = waiting.pop() {
        let present: BTreeSet<Vec<u8>> = names(directory.as_fd())?.into_iter().collect();
        work.missing(&path, &present)?;
        for name in present {
            work.count()?;
            let below = join(&path, &name);
            if let Some(directory) = work.entry(&below, &name, directory.as_fd())? {
                waiting.push((below, directory));
            }
        }
    }
    work.set_modes()
}

struct Work<'a> {
    upper: BorrowedFd<'a>,
    baseline: &'a Baseline,
    /// Inodes of files that the copy was made of, whatever their name is now.
    known: BTreeSet<u64>,
    /// What the upper layer's directories shall have in the end; until then all of them are ours to fill.
    modes: BTreeMap<Vec<u8>, u32>,
    seen: usize,
}

impl Work<'_> {
    fn count(&mut self) -> io::Result<()> {
        self.seen += 1;
        if self.seen > MOST_ENTRIES {
            return Err(io::Error::other("the box left more than two million files"));
        }
        Ok(())
    }

    /// Whites out what was in a directory and is no more.
    fn missing(&mut self, path: &[u8], present: &BTreeSet<Vec<u8>>) -> io::Result<()> {
        let prefix = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
        let below = self.baseline.entries.range(prefix.clone()..);
        let below = below.take_while(|(entry, _)| entry.starts_with(&prefix));
        for (entry, _) in below {
            let rest = entry.get(prefix.len()..).unwrap_or_default();
            if rest.contains(&b'/') || present.contains(rest) {
                continue;
            }
            let parent = self.parent(path)?;
            rustix::fs::mknodat(&parent, rest, FileType::CharacterDevice, Mode::empty(), 0)?;
        }
        Ok(())
    }

    /// Takes over one entry if it differs; a directory is returned to be gone through.
    fn entry(
        &mut self,
        path: &[u8],
        name: &[u8],
        directory: BorrowedFd<'_>,
    ) -> io::Result<Option<OwnedFd>> {
        let Some(stat) = look(directory, name)? else { return Ok(None) };
        let before = self.baseline.entries.get(path).copied();
        if is(&stat, FileType::Directory) {
            // A directory in the place of another is told as the same one with other contents.
            let same = before.is_some_and(|mark| mark.directory);
            if !same || before.is_some_and(|mark| mark.mode != stat.st_mode & 0o7777) {
                self.directory(path, &stat)?;
            }
            return Ok(Some(openable(directory, name)?));
        }
        if before.is_some_and(|mark| mark == Mark::of(&stat, mark.original)) {
            return Ok(None);
        }
        let (parent, _) = split(path);
        let parent = self.parent(parent)?;
        rustix::fs::renameat(directory, name, &parent, name)?;
        if self.known.contains(&stat.st_ino) && is(&stat, FileType::RegularFile) {
            Self::mark_copied(parent.as_fd(), name, &stat)?;
        }
        Ok(None)
    }

    /// The upper layer's directory for `path`, made with those above it as far as they are not there.
    fn parent(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        if path.is_empty() {
            return Ok(reopen(self.upper)?);
        }
        match beneath(self.upper, path) {
            Err(Errno::NOENT) => {}
            opened => return Ok(opened?),
        }
        let mut at = reopen(self.upper)?;
        let mut whole = Vec::new();
        for name in path.split(|byte| *byte == b'/') {
            whole = join(&whole, name);
            let mode = self.baseline.entries.get(&whole).map_or(0o755, |mark| mark.original);
            self.modes.entry(whole.clone()).or_insert(mode);
            at = made(at.as_fd(), name)?;
        }
        Ok(at)
    }

    fn directory(&mut self, path: &[u8], stat: &Stat) -> io::Result<()> {
        let (parent, name) = split(path);
        let parent = self.parent(parent)?;
        made(parent.as_fd(), name)?;
        self.modes.insert(path.to_vec(), stat.st_mode & 0o777);
        Ok(())
    }

    fn set_modes(&self) -> io::Result<()> {
        // The deeper ones first, while those above can still be entered.
        for (path, mode) in self.modes.iter().rev() {
            let directory = beneath(self.upper, path)?;
            rustix::fs::fchmod(&directory, Mode::from_raw_mode(*mode))?;
        }
        Ok(())
    }

    /// What began as a copy of a host file carries the overlay's mark of one.
    fn mark_copied(parent: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> io::Result<()> {
        let mode = stat.st_mode & 0o777;
        let mark = |parent: BorrowedFd<'_>| -> rustix::io::Result<()> {
            let file = open(parent, name, OFlags::RDONLY | OFlags::NONBLOCK)?;
            rustix::fs::fsetxattr(&file, ORIGIN, b"", XattrFlags::empty())
        };
        match mark(parent) {
            Err(Errno::ACCESS) => {
                let wide = Mode::from_raw_mode(mode | 0o600);
                rustix::fs::chmodat(parent, name, wide, rustix::fs::AtFlags::empty())?;
                mark(parent)?;
                let narrow = Mode::from_raw_mode(mode);
                Ok(rustix::fs::chmodat(parent, name, narrow, rustix::fs::AtFlags::empty())?)
            }
            marked => Ok(marked?),
        }
    }
}

/// Makes a directory if it is not there, and opens it.
fn made(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(open(parent, name, OFlags::RDONLY | OFlags::DIRECTORY)?)
}

/// Opens a directory of the copy whatever mode the box gave it.
fn openable(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let open = || open(parent, name, OFlags::RDONLY | OFlags::DIRECTORY);
    let closed = look(parent, name)?.is_none_or(|stat| stat.st_mode & 0o700 != 0o700);
    if closed && !rustix::process::geteuid().is_root() {
        // Nobody else is left who could put something in its place.
        rustix::fs::chmodat(parent, name, Mode::RWXU, rustix::fs::AtFlags::empty())?;
    }
    Ok(open()?)
}

/// Whether the file system of `directory` can carry the mark of a copied file.
pub(crate) fn can_mark(directory: BorrowedFd<'_>) -> bool {
    rustix::fs::fsetxattr(directory, ORIGIN, b"", XattrFlags::empty()).is_ok()
        && rustix::fs::fremovexattr(directory, ORIGIN).is_ok()
}

const ORIGIN: &str = "user.overlay.origin";
const MOST_ENTRIES: usize = 2_000_000;

#[cfg(test)]
mod tests;
