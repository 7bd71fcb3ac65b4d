//! Do a session's commits, or its index, carry what would be held in the workspace?
//!
//! What is held as a file would come all the same with the next `git checkout`, `stash` or `push`, if a reference that lands names a
//! commit with it. So the references, the index and the trees behind them are read as git reads them, and judged by the same rules as
//! files. And git believes the names of objects and the indexes of packs: those that the session wrote are looked through first.

mod compare;
mod index;
mod oid;
mod pack;
mod parse;
mod store;
#[cfg(test)]
mod tests;
mod tips;
mod zlib;

use super::change::{Change, HoldReason, Kind, Verdict};
use super::configured::Used;
use super::fold::fold;
use super::host::{look, open_dir};
use super::path::RelPath;
use compare::Compare;
use oid::Algo;
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use store::{Sides, Store, join};

/// What could not be read, and so is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unread(pub(super) &'static str);

impl From<Unread> for HoldReason {
    fn from(Unread(what): Unread) -> Self {
        Self::GitUnread { what: what.to_owned() }
    }
}

/// Holds what the repositories of a workspace would bring in by another way.
pub(super) fn judge(
    items: &mut [Change],
    upper: BorrowedFd<'_>,
    workspace: BorrowedFd<'_>,
    configured: &[Used],
) {
    let sides = Sides { upper, host: workspace };
    for (dir, repository) in repositories(items, sides) {
        let algo = algo(sides, &dir);
        let mut store = Store::new(algo, sides, join(&dir, b"objects"));
        for (at, path) in &repository.objects {
            let names: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
            if let (Err(unread), Some(item)) = (store.admit(&names), items.get_mut(*at)) {
                hold(item, &unread.into());
            }
        }
        let Some(unit) = repository.unit else { continue };
        let mut compare = Compare::new(sides, store, &dir, configured);
        let files = repository.files.iter().filter_map(|at| items.get(*at));
        let judged = files.map(|item| (item.path.clone(), rest(&item.path, &dir)));
        let judged: Vec<_> = judged.collect();
        let reason = judged.iter().find_map(|(path, names)| {
            compare.file(path.as_bytes(), names).unwrap_or_else(|unread| Some(unread.into()))
        });
        let Some(reason) = reason else { continue };
        for item in items.iter_mut().filter(|item| item.git_unit.as_ref() == Some(&unit)) {
            hold(item, &reason);
        }
    }
}

fn hold(item: &mut Change, reason: &HoldReason) {
    if item.verdict == Verdict::Apply {
        item.verdict = Verdict::Hold(reason.clone());
    }
}

/// What changed in one repository.
#[derive(Default)]
struct Repository {
    /// The unit that its references and its index land in.
    unit: Option<Vec<u8>>,
    /// Places in the list, and the names below the directory of objects.
    objects: Vec<(usize, Vec<Vec<u8>>)>,
    /// References and indexes.
    files: Vec<usize>,
}

/// The changed git directories, by path. One in `modules` may have any name, so each directory above a change that looks like one counts.
fn repositories(items: &[Change], sides: Sides<'_>) -> BTreeMap<Vec<u8>, Repository> {
    let mut known = BTreeMap::new();
    let mut found: BTreeMap<Vec<u8>, Repository> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        let Some(root) = item.git_root.filter(|_| item.verdict == Verdict::Apply) else { continue };
        if !matches!(item.kind, Kind::Created | Kind::Modified | Kind::ModeChanged) {
            continue;
        }
        let names: Vec<&[u8]> = item.path.names().collect();
        for depth in root..names.len() {
            let (above, below) = names.split_at_checked(depth).unwrap_or_default();
            let dir = above.join(&b'/');
            if depth != root && !*known.entry(dir.clone()).or_insert_with(|| is_git(sides, &dir)) {
                continue;
            }
            let repository = found.entry(dir).or_default();
            match below.split_first() {
                Some((first, rest)) if fold(first) == "objects" => {
                    let rest = rest.iter().map(|name| name.to_ascii_lowercase()).collect();
                    repository.objects.push((at, rest));
                }
                Some((first, _)) if fold(first) == "modules" => {}
                _ => {
                    let Some(unit) = &item.git_unit else { continue };
                    repository.unit = Some(unit.clone());
                    repository.files.push(at);
                }
            }
        }
    }
    found
}

fn is_git(sides: Sides<'_>, dir: &[u8]) -> bool {
    let has = |side: BorrowedFd<'_>, name: &[u8]| {
        let path = RelPath::new(dir).ok();
        open_dir(side, path.as_ref(), OFlags::PATH)
            .is_ok_and(|dir| matches!(look(dir.as_fd(), name), Ok(Some(_))))
    };
    [b"HEAD".as_slice(), b"objects", b"refs"]
        .iter()
        .all(|name| has(sides.upper, name) || has(sides.host, name))
}

/// The names of a path below a directory, folded.
fn rest(path: &RelPath, dir: &[u8]) -> Vec<String> {
    let depth = if dir.is_empty() { 0 } else { dir.split(|b| *b == b'/').count() };
    path.names().skip(depth).map(fold).collect()
}

/// By the host's configuration, which a session cannot change; by its own in a repository that is new.
fn algo(sides: Sides<'_>, dir: &[u8]) -> Algo {
    let path = join(dir, b"config");
    let config = sides
        .host_text(&path, MAX_CONFIG)
        .or_else(|| sides.upper_text(&path, MAX_CONFIG).ok())
        .unwrap_or_default();
    let config = config.to_ascii_lowercase();
    let mut lines = config.split(|b| *b == b'\n');
    let is_256 = |line: &[u8]| {
        let line: Vec<u8> = line.iter().copied().filter(|b| !b" \t\r\"".contains(b)).collect();
        line.ends_with(b"objectformat=sha256")
    };
    if lines.any(is_256) { Algo::Sha256 } else { Algo::Sha1 }
}

/// Bytes of a configuration that are read.
const MAX_CONFIG: u64 = 1 << 20;
