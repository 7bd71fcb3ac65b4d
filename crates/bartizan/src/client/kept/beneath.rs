//! How is a tree read that a hostile program has made, without being led out of it?

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;

/// A directory whose contents are somebody else's.
pub(crate) struct Beneath<'a>(&'a OwnedFd);

impl<'a> Beneath<'a> {
    pub(crate) fn of(root: &'a OwnedFd) -> Self {
        Self(root)
    }

    /// The names in a directory, in order, at most so many; none when it is no plain directory.
    pub(crate) fn names(&self, path: &str, most: usize) -> Vec<String> {
        let Ok(opened) = self.open(path, OFlags::DIRECTORY) else { return Vec::new() };
        let Ok(entries) = Dir::new(opened) else { return Vec::new() };
        let names =
            entries.flatten().filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned()));
        let mut names: Vec<String> = names.take(most).collect();
        names.sort();
        names
    }

    /// A plain file of at most so many bytes, as text.
    pub(crate) fn read(&self, path: &str, most: u64) -> Result<String, &'static str> {
        // A pipe in its place must not keep us waiting.
        let opened = self.open(path, OFlags::NONBLOCK).map_err(|errno| match errno {
            Errno::NOENT => "it is not there",
            _ => "it is no plain file",
        })?;
        let plain = fstat(&opened).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1
        });
        if !plain {
            return Err("it is no plain file");
        }
        let mut bytes = Vec::new();
        let read = File::from(opened).take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|_| "it cannot be read")?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
            return Err("it is too large");
        }
        String::from_utf8(bytes).map_err(|_| "it is not text")
    }

    fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat2(self.0, path, flags, Mode::empty(), INSIDE)
    }
}

const INSIDE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);
