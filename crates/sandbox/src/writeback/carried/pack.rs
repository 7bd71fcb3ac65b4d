//! Which objects does a pack hold, and what are they?

use super::Unread;
use super::oid::{Algo, Kind, Oid};
use super::zlib::{Work, inflate};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A pack and its index, read where they lie.
#[derive(Debug)]
pub(super) struct Pack {
    algo: Algo,
    idx: File,
    data: File,
    /// How many objects have a name whose first byte is at most this.
    fan: Vec<u32>,
    /// Bytes of the pack before its checksum.
    end: u64,
}

impl Pack {
    /// Opens a pair that must be of the second version, which git has written since 2008.
    pub(super) fn open(algo: Algo, idx: File, pack: File) -> Result<Self, Unread> {
        let mut head = [0; 8 + 256 * 4];
        idx.read_exact_at(&mut head, 0).map_err(|_| BROKEN)?;
        let (magic, fan) = head.split_at_checked(8).ok_or(BROKEN)?;
        if magic != b"\xfftOc\0\0\0\x02" {
            return Err(Unread("the index of a pack is of a version that is not read here"));
        }
        let fan: Vec<u32> = fan.chunks_exact(4).filter_map(be32).collect();
        if fan.len() != 256 || !fan.is_sorted() {
            return Err(BROKEN);
        }
        let mut head = [0; 12];
        pack.read_exact_at(&mut head, 0).map_err(|_| BROKEN)?;
        let length = pack.metadata().map_err(|_| BROKEN)?.len();
        let end = length.checked_sub(algo.len() as u64).ok_or(BROKEN)?;
        let count = head.get(8..).and_then(be32);
        if !head.starts_with(b"PACK\0\0\0\x02") || count != fan.last().copied() {
            return Err(BROKEN);
        }
        Ok(Self { algo, idx, data: pack, fan, end })
    }

    pub(super) fn count(&self) -> u32 {
        self.fan.last().copied().unwrap_or_default()
    }

    /// The name at a place of the index.
    fn name(&self, at: u32) -> Result<Oid, Unread> {
        let mut bytes = vec![0; self.algo.len()];
        let from = NAMES + u64::from(at) * self.algo.len() as u64;
        self.idx.read_exact_at(&mut bytes, from).map_err(|_| BROKEN)?;
        Oid::new(self.algo, &bytes).ok_or(BROKEN)
    }

    fn offset(&self, at: u32) -> Result<u64, Unread> {
        let count = u64::from(self.count());
        let short = NAMES + count * (self.algo.len() as u64 + 4);
        let mut bytes = [0; 4];
        self.idx.read_exact_at(&mut bytes, short + u64::from(at) * 4).map_err(|_| BROKEN)?;
        let offset = u32::from_be_bytes(bytes);
        if offset & 1 << 31 == 0 {
            return Ok(u64::from(offset));
        }
        let (mut bytes, far) = ([0; 8], u64::from(offset & !(1 << 31)));
        self.idx.read_exact_at(&mut bytes, short + count * 4 + far * 8).map_err(|_| BROKEN)?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Where an object of this name lies, if one does.
    fn find(&self, oid: &Oid) -> Result<Option<u64>, Unread> {
        let first = usize::from(oid.bytes().first().copied().ok_or(BROKEN)?);
        let mut low = match first.checked_sub(1) {
            None => 0,
            Some(before) => self.fan.get(before).copied().ok_or(BROKEN)?,
        };
        let mut high = self.fan.get(first).copied().ok_or(BROKEN)?;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.name(middle)?.cmp(oid) {
                std::cmp::Ordering::Equal => return self.offset(middle).map(Some),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// The object of this name, if it is here.
    pub(super) fn read(
        &self,
        oid: &Oid,
        work: &mut Work,
    ) -> Result<Option<(Kind, Vec<u8>)>, Unread> {
        let Some(offset) = self.find(oid)? else { return Ok(None) };
        self.resolve(offset, work, &mut Bases::default()).map(Some)
    }

    /// Whether every object is the one that its name says: git itself believes the index.
    pub(super) fn verify(&self, work: &mut Work) -> Result<(), Unread> {
        let mut objects = Vec::new();
        let mut last = None;
        for at in 0..self.count() {
            let name = self.name(at)?;
            // A search must find what a walk finds.
            let first = usize::from(name.bytes().first().copied().ok_or(BROKEN)?);
            let from = first.checked_sub(1).and_then(|b| self.fan.get(b)).copied().unwrap_or(0);
            let to = self.fan.get(first).copied().ok_or(BROKEN)?;
            if !(from..to).contains(&at) || last.as_ref().is_some_and(|last| *last >= name) {
                return Err(BROKEN);
            }
            objects.push((self.offset(at)?, name.clone()));
            last = Some(name);
        }
        objects.sort_unstable();
        let mut bases = Bases::default();
        for (offset, name) in objects {
            let (kind, data) = self.resolve(offset, work, &mut bases)?;
            if self.algo.name(kind, &data) != name {
                return Err(Unread("an object is not what its name says"));
            }
            bases.keep(offset, kind, data);
        }
        Ok(())
    }

    /// An object, with the deltas that it is made by carried out.
    fn resolve(
        &self,
        offset: u64,
        work: &mut Work,
        bases: &mut Bases,
    ) -> Result<(Kind, Vec<u8>), Unread> {
        let (mut deltas, mut at) = (Vec::new(), offset);
        let (kind, mut data) = loop {
            if let Some((kind, data)) = bases.get(at) {
                break (kind, data.clone());
            }
            let entry = self.entry(at)?;
            let data = self.contents(&entry, work)?;
            let base = match entry.made {
                Made::Whole(kind) => break (kind, data),
                Made::Before(back) => at.checked_sub(back).ok_or(BROKEN)?,
                Made::Of(name) => self.find(&name)?.ok_or(BROKEN)?,
            };
            deltas.push(data);
            if deltas.len() > MAX_CHAIN {
                return Err(Unread("an object is made by too many steps"));
            }
            at = base;
        };
        while let Some(delta) = deltas.pop() {
            data = apply(&delta, &data, work)?;
        }
        Ok((kind, data))
    }

    fn entry(&self, offset: u64) -> Result<Entry, Unread> {
        let mut bytes = [0; 64];
        let room = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(64).min(64);
        let head = bytes.get_mut(..room).ok_or(BROKEN)?;
        self.data.read_exact_at(head, offset).map_err(|_| BROKEN)?;
        let mut head = &*head;
        let first = take(&mut head)?;
        let (mut size, mut shift, mut more) = (u64::from(first & 15), 4, first & 0x80 != 0);
        while more {
            let byte = take(&mut head)?;
            if shift > 57 {
                return Err(BROKEN);
            }
            size |= u64::from(byte & 0x7f) << shift;
            (shift, more) = (shift + 7, byte & 0x80 != 0);
        }
        let made = match first >> 4 & 7 {
            1 => Made::Whole(Kind::Commit),
            2 => Made::Whole(Kind::Tree),
            3 => Made::Whole(Kind::Blob),
            4 => Made::Whole(Kind::Tag),
            6 => {
                let mut byte = take(&mut head)?;
                let mut back = u64::from(byte & 0x7f);
                while byte & 0x80 != 0 {
                    byte = take(&mut head)?;
                    if back >= 1 << 55 {
                        return Err(BROKEN);
                    }
                    back = (back + 1) << 7 | u64::from(byte & 0x7f);
                }
                if back == 0 {
                    return Err(BROKEN);
                }
                Made::Before(back)
            }
            7 => {
                let (name, rest) = head.split_at_checked(self.algo.len()).ok_or(BROKEN)?;
                head = rest;
                Made::Of(Oid::new(self.algo, name).ok_or(BROKEN)?)
            }
            _ => return Err(BROKEN),
        };
        Ok(Entry { made, size, from: offset + (room - head.len()) as u64 })
    }

    fn contents(&self, entry: &Entry, work: &mut Work) -> Result<Vec<u8>, Unread> {
        work.spend(entry.size)?;
        // Deflate grows what it cannot shrink by a thousandth at most; what is longer was not written by git.
        let most = entry.size + entry.size / 500 + 1024;
        let length = usize::try_from(most.min(self.end.saturating_sub(entry.from)));
        let mut packed = vec![0; length.map_err(|_| BROKEN)?];
        self.data.read_exact_at(&mut packed, entry.from).map_err(|_| BROKEN)?;
        let data = inflate(&packed, entry.size)?;
        if data.len() as u64 == entry.size { Ok(data) } else { Err(BROKEN) }
    }
}

struct Entry {
    made: Made,
    /// Bytes of what is packed: the object, or the delta.
    size: u64,
    from: u64,
}

enum Made {
    Whole(Kind),
    /// By a delta on the object that begins so many bytes before.
    Before(u64),
    Of(Oid),
}

/// Objects that others are made of, so that each is unpacked about once.
#[derive(Default)]
struct Bases {
    known: HashMap<u64, (Kind, Vec<u8>)>,
    bytes: usize,
}

impl Bases {
    fn get(&self, offset: u64) -> Option<(Kind, &Vec<u8>)> {
        self.known.get(&offset).map(|(kind, data)| (*kind, data))
    }

    fn keep(&mut self, offset: u64, kind: Kind, data: Vec<u8>) {
        if data.len() > MAX_KEPT / 8 {
            return;
        }
        if self.bytes + data.len() > MAX_KEPT {
            self.known.clear();
            self.bytes = 0;
        }
        self.bytes += data.len();
        self.known.insert(offset, (kind, data));
    }
}

/// Carries a delta out.
fn apply(delta: &[u8], base: &[u8], work: &mut Work) -> Result<Vec<u8>, Unread> {
    let mut delta = delta;
    if number(&mut delta)? != base.len() as u64 {
        return Err(BROKEN);
    }
    let size = number(&mut delta)?;
    work.spend(size)?;
    let size = usize::try_from(size).map_err(|_| BROKEN)?;
    let mut made = Vec::new();
    while !delta.is_empty() {
        let order = take(&mut delta)?;
        let piece = if order & 0x80 != 0 {
            let (mut from, mut length) = (0usize, 0usize);
            for bit in 0..4 {
                if order & 1 << bit != 0 {
                    from |= usize::from(take(&mut delta)?) << (8 * bit);
                }
            }
            for bit in 0..3 {
                if order & 0x10 << bit != 0 {
                    length |= usize::from(take(&mut delta)?) << (8 * bit);
                }
            }
            let length = if length == 0 { 0x10000 } else { length };
            base.get(from..from.checked_add(length).ok_or(BROKEN)?).ok_or(BROKEN)?
        } else {
            let length = usize::from(order);
            let (piece, rest) = delta.split_at_checked(length).ok_or(BROKEN)?;
            if length == 0 {
                return Err(BROKEN);
            }
            delta = rest;
            piece
        };
        if made.len() + piece.len() > size {
            return Err(BROKEN);
        }
        made.extend_from_slice(piece);
    }
    if made.len() == size { Ok(made) } else { Err(BROKEN) }
}

/// A number of seven bits a byte, the lowest first.
fn number(bytes: &mut &[u8]) -> Result<u64, Unread> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = take(bytes)?;
        if shift > 56 {
            return Err(BROKEN);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
        shift += 7;
    }
}

fn take(bytes: &mut &[u8]) -> Result<u8, Unread> {
    let (first, rest) = bytes.split_first().ok_or(BROKEN)?;
    *bytes = rest;
    Ok(*first)
}

pub(super) fn be32(bytes: &[u8]) -> Option<u32> {
    bytes.get(..4)?.try_into().ok().map(u32::from_be_bytes)
}

const BROKEN: Unread = Unread("a pack is damaged");
/// Where the names begin in an index.
const NAMES: u64 = 8 + 256 * 4;
/// Deltas upon deltas; git itself makes at most 4095 of them, and 50 unless it is told to.
const MAX_CHAIN: usize = 4096;
/// Bytes of objects kept while a pack is looked through.
const MAX_KEPT: usize = 128 << 20;
