//! What does git's index say?

use super::Unread;
use super::oid::{Algo, Oid};
use super::pack::be32;
use super::parse::Node;

/// The index of a working tree.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By path; of a conflict, each side is one.
    pub(super) entries: Vec<Entry>,
    /// The trees that git remembers of directories, and makes the next commit of.
    pub(super) trees: Vec<(Vec<u8>, Oid)>,
}

/// A path in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) node: Node,
    /// Git is told not to look whether the file has changed.
    pub(super) is_hidden: bool,
}

/// Reads an index in the form that git writes unless it is told otherwise.
pub(super) fn read(algo: Algo, bytes: &[u8]) -> Result<Index, Unread> {
    let end = bytes.len().checked_sub(algo.len()).ok_or(BROKEN)?;
    let mut rest = bytes.get(..end).ok_or(BROKEN)?;
    let head = cut(&mut rest, 12)?;
    let word = |at: usize| head.get(at..).and_then(be32).ok_or(BROKEN);
    let version = word(4)?;
    if !head.starts_with(b"DIRC") || !(2..=4).contains(&version) {
        return Err(BROKEN);
    }
    let mut index = Index::default();
    let mut before = Vec::new();
    for _ in 0..word(8)? {
        let entry = entry(algo, version, &mut rest, &before)?;
        before.clone_from(&entry.path);
        index.entries.push(entry);
    }
    while !rest.is_empty() {
        let head = cut(&mut rest, 8)?;
        let (name, size) = head.split_at_checked(4).ok_or(BROKEN)?;
        let size = usize::try_from(be32(size).ok_or(BROKEN)?).map_err(|_| BROKEN)?;
        let mut data = cut(&mut rest, size)?;
        match name {
            b"TREE" => trees(algo, &mut data, &mut index.trees)?,
            // The first two would have git read the entries from other places than here.
            b"EOIE" | b"IEOT" => return Err(Unread("the index is in parts")),
            [b'A'..=b'Z', ..] => {}
            _ => return Err(Unread("the index is split or sparse")),
        }
    }
    Ok(index)
}

fn entry(algo: Algo, version: u32, rest: &mut &[u8], before: &[u8]) -> Result<Entry, Unread> {
    let start = rest.len();
    let stat = cut(rest, 40)?;
    let mode = stat.get(24..).and_then(be32).ok_or(BROKEN)?;
    let oid = Oid::new(algo, cut(rest, algo.len())?).ok_or(BROKEN)?;
    let flags = be16(cut(rest, 2)?)?;
    let more = if version > 2 && flags & EXTENDED != 0 { be16(cut(rest, 2)?)? } else { 0 };
    let mut path = Vec::new();
    if version == 4 {
        let kept = before.len().checked_sub(varint(rest)?).ok_or(BROKEN)?;
        path.extend_from_slice(before.get(..kept).ok_or(BROKEN)?);
    }
    let length = rest.iter().position(|b| *b == 0).ok_or(BROKEN)?;
    path.extend_from_slice(cut(rest, length)?);
    if flags & LENGTH != LENGTH && usize::from(flags & LENGTH) != path.len() {
        return Err(BROKEN);
    }
    let used = start - rest.len();
    let padding = if version == 4 { 1 } else { 8 - used % 8 };
    if cut(rest, padding)?.iter().any(|b| *b != 0) || path.is_empty() {
        return Err(BROKEN);
    }
    let is_hidden = flags & ASSUME_VALID != 0 || more & SKIP_WORKTREE != 0;
    Ok(Entry { path, node: Node { mode, oid }, is_hidden })
}

/// The remembered trees: each says how many there are below it.
fn trees(algo: Algo, data: &mut &[u8], found: &mut Vec<(Vec<u8>, Oid)>) -> Result<(), Unread> {
    // Paths of the trees above, and how many each still has below it.
    let mut above: Vec<(Vec<u8>, usize)> = Vec::new();
    loop {
        let name = line(data, 0)?;
        let count = number(line(data, b' ')?)?;
        let below = usize::try_from(number(line(data, b'\n')?)?).map_err(|_| BROKEN)?;
        let mut path = above.last().map(|(path, _)| path.clone()).unwrap_or_default();
        if !path.is_empty() && !name.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        if count >= 0 {
            let oid = Oid::new(algo, cut(data, algo.len())?).ok_or(BROKEN)?;
            found.push((path.clone(), oid));
        }
        if let Some((_, left)) = above.last_mut() {
            *left = left.checked_sub(1).ok_or(BROKEN)?;
        }
        above.push((path, below));
        if above.len() > MAX_DEPTH {
            return Err(BROKEN);
        }
        while above.last().is_some_and(|(_, left)| *left == 0) {
            above.pop();
        }
        if above.is_empty() {
            return if data.is_empty() { Ok(()) } else { Err(BROKEN) };
        }
    }
}

fn line<'a>(data: &mut &'a [u8], end: u8) -> Result<&'a [u8], Unread> {
    let length = data.iter().position(|b| *b == end).ok_or(BROKEN)?;
    let line = cut(data, length)?;
    cut(data, 1)?;
    Ok(line)
}

fn number(digits: &[u8]) -> Result<i64, Unread> {
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(BROKEN)
}

/// A number of seven bits a byte, the highest first, each step one further on.
fn varint(rest: &mut &[u8]) -> Result<usize, Unread> {
    let mut byte = cut(rest, 1)?.first().copied().ok_or(BROKEN)?;
    let mut value = usize::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        byte = cut(rest, 1)?.first().copied().ok_or(BROKEN)?;
        if value >= 1 << 24 {
            return Err(BROKEN);
        }
        value = (value + 1) << 7 | usize::from(byte & 0x7f);
    }
    Ok(value)
}

fn cut<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Unread> {
    let (first, last) = rest.split_at_checked(length).ok_or(BROKEN)?;
    *rest = last;
    Ok(first)
}

fn be16(bytes: &[u8]) -> Result<u16, Unread> {
    bytes.try_into().map(u16::from_be_bytes).map_err(|_| BROKEN)
}

const BROKEN: Unread = Unread("the index is damaged");
const ASSUME_VALID: u16 = 0x8000;
const EXTENDED: u16 = 0x4000;
const SKIP_WORKTREE: u16 = 0x4000;
const LENGTH: u16 = 0x0fff;
const MAX_DEPTH: usize = 4096;
