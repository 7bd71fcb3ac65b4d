//! Where are the objects of a repository, those of the host and those that the session made?

use super::super::host::{names, open_dir, open_file, read_bounded};
use super::super::path::RelPath;
use super::super::upper::open_regular;
use super::Unread;
use super::oid::{Algo, Kind, Oid};
use super::pack::Pack;
use super::zlib::{MAX_OBJECT, Work, inflate};
use rustix::fs::OFlags;
use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

/// The two sides of a workspace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides<'a> {
    pub(super) upper: BorrowedFd<'a>,
    pub(super) host: BorrowedFd<'a>,
}

impl Sides<'_> {
    /// A file of the host, if it is there and can be read.
    pub(super) fn host_file(self, path: &[u8]) -> Option<File> {
        let path = RelPath::new(path).ok()?;
        let dir = open_dir(self.host, path.parent().as_ref(), OFlags::PATH).ok()?;
        open_file(dir.as_fd(), path.name()).ok().map(|(file, _)| file)
    }

    /// A file that the session wrote.
    pub(super) fn upper_file(self, path: &[u8]) -> Option<File> {
        let path = RelPath::new(path).ok()?;
        let dir = open_dir(self.upper, path.parent().as_ref(), OFlags::PATH).ok()?;
        open_regular(dir.as_fd(), path.name(), 0).ok()
    }

    pub(super) fn host_text(self, path: &[u8], limit: u64) -> Option<Vec<u8>> {
        read_bounded(&mut self.host_file(path)?, limit).ok()?
    }

    pub(super) fn upper_text(self, path: &[u8], limit: u64) -> Result<Vec<u8>, Unread> {
        let file = self.upper_file(path).and_then(|mut file| read_bounded(&mut file, limit).ok());
        file.flatten().ok_or(Unread("a file of the repository cannot be read"))
    }

    /// What is in a directory of the host.
    pub(super) fn host_names(self, path: &[u8]) -> Vec<Vec<u8>> {
        let dir = RelPath::new(path).ok();
        let dir = dir.and_then(|dir| open_dir(self.host, Some(&dir), OFlags::RDONLY).ok());
        dir.and_then(|dir| names(&dir, super::super::MAX_ENTRIES).ok()).unwrap_or_default()
    }
}

/// The objects of one repository.
#[derive(Debug)]
pub(super) struct Store<'a> {
    pub(super) algo: Algo,
    sides: Sides<'a>,
    /// The directory of objects, below the workspace.
    dir: Vec<u8>,
    packs: Vec<Pack>,
    /// Objects by themselves that the session made, and that are what their names say.
    loose: HashSet<Oid>,
    work: Work,
}

impl<'a> Store<'a> {
    /// With the host's packs.
    pub(super) fn new(algo: Algo, sides: Sides<'a>, dir: Vec<u8>) -> Self {
        let folder = join(&dir, b"pack");
        let mut packs = Vec::new();
        for name in sides.host_names(&folder) {
            let Some(stem) = name.strip_suffix(b".idx") else { continue };
            let pair = sides
                .host_file(&join(&folder, &name))
                .zip(sides.host_file(&join(&folder, &[stem, b".pack"].concat())));
            // One that cannot be read has objects that will be missed.
            packs.extend(pair.and_then(|(idx, pack)| Pack::open(algo, idx, pack).ok()));
        }
        Self { algo, sides, dir, packs, loose: HashSet::new(), work: Work::new() }
    }

    /// Takes up what the session wrote at `path` in the directory of objects, if it is what it says.
    pub(super) fn admit(&mut self, path: &[&[u8]]) -> Result<(), Unread> {
        match path {
            [b"pack", name] => {
                let stem = name.strip_suffix(b".idx").or_else(|| name.strip_suffix(b".pack"));
                stem.map_or(Ok(()), |stem| self.admit_pack(stem))
            }
            [folder, rest] => match Oid::from_hex(self.algo, &[*folder, *rest].concat()) {
                Some(oid) if folder.len() == 2 => self.admit_loose(oid, path),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn admit_loose(&mut self, oid: Oid, path: &[&[u8]]) -> Result<(), Unread> {
        let path = join(&self.dir, &path.join(&b'/'));
        let file = self.sides.upper_text(&path, MAX_OBJECT)?;
        let (kind, data) = loose(&file, &mut self.work)?;
        if self.algo.name(kind, &data) != oid {
            return Err(Unread("an object is not what its name says"));
        }
        self.loose.insert(oid);
        Ok(())
    }

    /// The pair of a pack and its index, of which either may be the host's.
    fn admit_pack(&mut self, stem: &[u8]) -> Result<(), Unread> {
        let folder = join(&self.dir, b"pack");
        let open = |end: &[u8]| {
            let path = join(&folder, &[stem, end].concat());
            self.sides.upper_file(&path).or_else(|| self.sides.host_file(&path))
        };
        // Git does not look at the one without the other.
        let Some((idx, pack)) = open(b".idx").zip(open(b".pack")) else { return Ok(()) };
        let pack = Pack::open(self.algo, idx, pack)?;
        pack.verify(&mut self.work)?;
        self.packs.push(pack);
        Ok(())
    }

    /// An object, which is what its name says.
    pub(super) fn read(&mut self, oid: &Oid) -> Result<(Kind, Vec<u8>), Unread> {
        let found = self.find(oid)?;
        let (kind, data) = found.ok_or(Unread("an object is missing"))?;
        if self.algo.name(kind, &data) == *oid {
            Ok((kind, data))
        } else {
            Err(Unread("an object is not what its name says"))
        }
    }

    /// The contents of an object that is to be of this kind.
    pub(super) fn read_as(&mut self, kind: Kind, oid: &Oid) -> Result<Vec<u8>, Unread> {
        match self.read(oid)? {
            (found, data) if found == kind => Ok(data),
            _ => Err(Unread("an object is of another kind than it should be")),
        }
    }

    fn find(&mut self, oid: &Oid) -> Result<Option<(Kind, Vec<u8>)>, Unread> {
        let hex = oid.hex();
        let (folder, rest) = hex.split_at_checked(2).unwrap_or_default();
        let path = join(&self.dir, format!("{folder}/{rest}").as_bytes());
        let ours = if self.loose.contains(oid) {
            Some(self.sides.upper_text(&path, MAX_OBJECT)?)
        } else {
            self.sides.host_text(&path, MAX_OBJECT)
        };
        if let Some(file) = ours {
            return loose(&file, &mut self.work).map(Some);
        }
        for pack in &self.packs {
            if let Some(found) = pack.read(oid, &mut self.work)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// An object that lies by itself.
fn loose(file: &[u8], work: &mut Work) -> Result<(Kind, Vec<u8>), Unread> {
    let damaged = || Unread("an object is damaged");
    let mut data = inflate(file, MAX_OBJECT)?;
    work.spend(data.len() as u64)?;
    let end = data.iter().take(64).position(|b| *b == 0).ok_or_else(damaged)?;
    let contents = data.split_off(end + 1);
    let head = data.get(..end).ok_or_else(damaged)?;
    let space = head.iter().position(|b| *b == b' ').ok_or_else(damaged)?;
    let (word, size) = head.split_at_checked(space).ok_or_else(damaged)?;
    let kind = Kind::from_word(word).ok_or_else(damaged)?;
    if size != format!(" {}", contents.len()).as_bytes() {
        return Err(damaged());
    }
    Ok((kind, contents))
}

/// A path below another; the workspace itself is empty.
pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, name].join(&b'/') }
}
