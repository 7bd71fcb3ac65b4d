//! What do a commit, a tag and a tree say?

use super::Unread;
use super::oid::{Algo, Oid};

/// An entry of a tree, or of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) mode: u32,
    pub(super) oid: Oid,
}

impl Node {
    pub(super) fn is_dir(&self) -> bool {
        self.mode & TYPE == DIR
    }

    pub(super) fn is_link(&self) -> bool {
        self.mode & TYPE == LINK
    }

    pub(super) fn is_file(&self) -> bool {
        self.mode & TYPE == FILE
    }
}

/// The tree of a commit, and its parents.
pub(super) fn commit(algo: Algo, data: &[u8]) -> Result<(Oid, Vec<Oid>), Unread> {
    let mut lines = data.split(|b| *b == b'\n');
    let named = |line: Option<&[u8]>, word: &[u8]| {
        line.and_then(|line| line.strip_prefix(word)).and_then(|hex| Oid::from_hex(algo, hex))
    };
    let tree = named(lines.next(), b"tree ").ok_or(Unread("a commit names no tree"))?;
    let parents = lines.map_while(|line| named(Some(line), b"parent ")).collect();
    Ok((tree, parents))
}

/// What a tag is put on.
pub(super) fn tag(algo: Algo, data: &[u8]) -> Result<Oid, Unread> {
    let line = data.split(|b| *b == b'\n').next();
    line.and_then(|line| line.strip_prefix(b"object "))
        .and_then(|hex| Oid::from_hex(algo, hex))
        .ok_or(Unread("a tag names no object"))
}

/// The entries of a tree, by name.
pub(super) fn tree(algo: Algo, mut data: &[u8]) -> Result<Vec<(Vec<u8>, Node)>, Unread> {
    let broken = || Unread("a tree is damaged");
    let mut entries = Vec::new();
    while !data.is_empty() {
        let space = data.iter().position(|b| *b == b' ').ok_or_else(broken)?;
        let (mode, rest) = data.split_at_checked(space).ok_or_else(broken)?;
        let rest = rest.get(1..).ok_or_else(broken)?;
        let end = rest.iter().position(|b| *b == 0).ok_or_else(broken)?;
        let (name, rest) = rest.split_at_checked(end).ok_or_else(broken)?;
        let (oid, rest) =
            rest.get(1..).and_then(|rest| rest.split_at_checked(algo.len())).ok_or_else(broken)?;
        if mode.is_empty() || mode.len() > 7 || name.is_empty() || name.contains(&b'/') {
            return Err(broken());
        }
        let mode = std::str::from_utf8(mode).ok().and_then(|m| u32::from_str_radix(m, 8).ok());
        let mode = mode.ok_or_else(broken)?;
        let oid = Oid::new(algo, oid).ok_or_else(broken)?;
        entries.push((name.to_vec(), Node { mode, oid }));
        data = rest;
    }
    Ok(entries)
}

const TYPE: u32 = 0o170_000;
const DIR: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const FILE: u32 = 0o100_000;
