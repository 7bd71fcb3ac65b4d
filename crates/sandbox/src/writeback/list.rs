//! What did the session change, and may each of it land?

use super::change::{Change, Clash, DropReason, HoldReason, Kind, Verdict};
use super::compare::Item;
use super::host::{Print, Shape, kernel_time, look, names, open_dir};
use super::judge::{Entry, Form, Judgement, Place};
use super::path::RelPath;
use super::settle::settle;
use super::upper::{self, Found, Marks};
use super::{Changes, MAX_DEPTH, MAX_ENTRIES, WritebackError, carried, configured};
use rustix::fs::{OFlags, Stat, fstat};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::SystemTime;

pub(super) fn list(
    upper: BorrowedFd<'_>,
    workspace: BorrowedFd<'_>,
    since: SystemTime,
) -> Result<Changes, WritebackError> {
    let stat = fstat(workspace).map_err(|e| WritebackError::io("look at", None, e))?;
    upper::open_up(upper).map_err(|e| WritebackError::io("list the changes in", None, e))?;
    let mut walk = Walk {
        upper,
        workspace,
        since: kernel_time(since),
        items: Vec::new(),
        copies: Vec::new(),
        holes: 0,
        seen: 0,
        configured: configured::paths(workspace),
    };
    let mut stack = vec![Frame::default()];
    while let Some(frame) = stack.pop() {
        let mut below = walk.dir(frame)?;
        // The stack turns the order round; the report is to read from a to z.
        below.reverse();
        stack.append(&mut below);
    }
    let Walk { mut items, copies, configured, .. } = walk;
    carried::judge(&mut items, upper, workspace, &configured);
    settle(&mut items, &copies);
    Ok(Changes { items, workspace: (stat.st_dev, stat.st_ino) })
}

/// A directory of the upper layer that is still to be walked.
#[derive(Default)]
pub(super) struct Frame {
    /// `None` is the workspace itself.
    pub(super) path: Option<RelPath>,
    pub(super) place: Place,
    /// The host has no directory here, so nothing in it is to be compared.
    pub(super) is_new: bool,
    pub(super) clash: Option<Clash>,
    /// Set when it replaces the host's directory: the verdict on removing what that held.
    pub(super) replaced: Option<Verdict>,
}

/// The comparison, under way.
pub(super) struct Walk<'a> {
    upper: BorrowedFd<'a>,
    pub(super) workspace: BorrowedFd<'a>,
    pub(super) since: (i64, i64),
    pub(super) items: Vec<Change>,
    /// Those of the items that began as copies of host entries and that the host does not have, though its directory changed meanwhile.
    pub(super) copies: Vec<usize>,
    /// Bytes of holes in all files so far.
    pub(super) holes: u64,
    seen: usize,
    configured: Vec<configured::Used>,
}

impl Walk<'_> {
    fn dir(&mut self, mut frame: Frame) -> Result<Vec<Frame>, WritebackError> {
        let path = frame.path.clone();
        let dir = match (upper::open(self.upper, path.as_ref()), &path) {
            (Ok(dir), _) => dir,
            (Err(_), Some(path)) => {
                let mut change = Change::new(path.clone(), Kind::CreatedDir, None);
                change.verdict = Verdict::Drop(DropReason::TooDeep);
                self.items.push(change);
                return Ok(Vec::new());
            }
            (Err(errno), None) => {
                return Err(WritebackError::io("list the changes in", None, errno));
            }
        };
        let names = names(&dir, MAX_ENTRIES)
            .map_err(|e| WritebackError::io("list the changes in", path.as_ref(), e))?;
        let host = self.host_dir(&mut frame);
        look_for_bare(&mut frame, &names, host.as_ref());
        if let (Some(path), Some(host), Some(verdict)) =
            (path.as_ref(), host.as_ref(), frame.replaced.clone())
        {
            self.replaced(path, &names, host, verdict)?;
        }
        let mut below = Vec::new();
        for name in &names {
            self.count()?;
            let Ok(path) = RelPath::child(path.as_ref(), name) else { continue };
            below.extend(self.entry(&frame, &dir, host.as_ref(), path, name)?);
        }
        Ok(below)
    }

    fn count(&mut self) -> Result<(), WritebackError> {
        self.seen += 1;
        if self.seen > MAX_ENTRIES {
            return Err(WritebackError::TooMany { limit: MAX_ENTRIES });
        }
        Ok(())
    }

    /// The host's directory of the same path; where something else stands there now, nothing below can land.
    fn host_dir(&self, frame: &mut Frame) -> Option<OwnedFd> {
        if frame.is_new {
            return None;
        }
        match open_dir(self.workspace, frame.path.as_ref(), OFlags::RDONLY) {
            Ok(dir) => Some(dir),
            Err(Errno::ACCESS | Errno::PERM | Errno::XDEV) => {
                frame.clash.get_or_insert(Clash::Refused);
                None
            }
            Err(_) => {
                frame.clash.get_or_insert(Clash::ParentMoved);
                None
            }
        }
    }

    fn entry(
        &mut self,
        frame: &Frame,
        dir: &OwnedFd,
        host: Option<&OwnedFd>,
        path: RelPath,
        name: &[u8],
    ) -> Result<Option<Frame>, WritebackError> {
        let failed = |e| WritebackError::io("look at the change to", Some(&path), e);
        let Some(stat) = look(dir.as_fd(), name).map_err(failed)? else { return Ok(None) };
        let found = upper::read(dir.as_fd(), name, &stat);
        let mut clash = frame.clash;
        let beside = match host.map(|host| look(host.as_fd(), name)) {
            None => None,
            Some(Ok(beside)) => beside,
            Some(Err(_)) => {
                clash.get_or_insert(Clash::Refused);
                None
            }
        };
        let judged = self.judge(frame, name, &found, beside.as_ref(), &path);
        self.compare(frame, host, Item { path, name, stat, host: beside, judged, clash }, found)
    }

    fn judge(
        &self,
        frame: &Frame,
        name: &[u8],
        found: &Found,
        host: Option<&Stat>,
        path: &RelPath,
    ) -> Judgement {
        let marks = match found {
            Found::Dir(marks) | Found::File(_, marks) => *marks,
            Found::Gone | Found::Link(_) | Found::Special | Found::Unreadable => Marks::default(),
        };
        let replaces = |stat| Print::of(stat).shape != Shape::Dir || is_opaque(frame, marks);
        let form = match found {
            Found::Dir(_) if host.is_some_and(replaces) => Form::NewDir,
            Found::Dir(_) => Form::Dir,
            Found::Gone => Form::Gone,
            Found::Link(target) => Form::Link(target),
            Found::File(..) | Found::Special | Found::Unreadable => Form::File,
        };
        let mut judged = frame.place.judge(Entry { name, form, is_new: host.is_none() });
        if marks.odd {
            judged.hold(HoldReason::OverlayForm);
        }
        if let Some(used) = self
            .configured
            .iter()
            .find(|u| u.covers(&judged.inside.folded) || u.covers(&judged.leads_to))
        {
            judged.hold(HoldReason::Configured { key: used.key.clone() });
        }
        if matches!(found, Found::Unreadable) {
            judged.hold(HoldReason::Unreadable);
        }
        if matches!(found, Found::Dir(_)) && path.depth() + 1 >= MAX_DEPTH {
            judged.discard(DropReason::TooDeep);
        }
        judged
    }

    /// Everything below a directory of the host, children before parents.
    pub(super) fn subtree(
        &mut self,
        top: &RelPath,
    ) -> Result<Vec<(RelPath, Print)>, WritebackError> {
        let (mut all, mut dirs) = (Vec::new(), vec![top.clone()]);
        while let Some(path) = dirs.pop() {
            let failed = |e| WritebackError::io("list what the session removed in", Some(&path), e);
            let dir = match open_dir(self.workspace, Some(&path), OFlags::RDONLY) {
                // Not ours to empty: the removal fails at this directory and is reported there.
                Err(Errno::ACCESS | Errno::PERM | Errno::XDEV) => continue,
                result => result.map_err(failed)?,
            };
            for (child, print) in self.entries(&path, &dir)? {
                if print.shape == Shape::Dir {
                    dirs.push(child.clone());
                }
                all.push((child, print));
            }
        }
        all.reverse();
        Ok(all)
    }

    /// The host's entries that an opaque directory hides.
    fn replaced(
        &mut self,
        path: &RelPath,
        ours: &[Vec<u8>],
        host: &OwnedFd,
        verdict: Verdict,
    ) -> Result<(), WritebackError> {
        let mut clear = Vec::new();
        for (child, print) in self.entries(path, host)? {
            if ours.binary_search_by(|name| name.as_slice().cmp(child.name())).is_ok() {
                continue;
            }
            if print.shape == Shape::Dir {
                clear.append(&mut self.subtree(&child)?);
            }
            clear.push((child, print));
        }
        let newer = clear.iter().filter(|(_, print)| print.is_newer(self.since)).count();
        // All of it came meanwhile: session and host each made a directory of this name, and nothing was replaced.
        if newer == clear.len() {
            return Ok(());
        }
        let stat = fstat(host).map_err(|e| WritebackError::io("look at", Some(path), e))?;
        let mut change = Change::new(path.clone(), Kind::ReplacedDir, Some(Print::of(&stat)));
        change.verdict = verdict;
        change.conflict = (newer > 0).then_some(Clash::InsideChanged);
        change.clear = clear;
        self.items.push(change);
        Ok(())
    }

    /// The entries of a directory of the host.
    fn entries(
        &mut self,
        path: &RelPath,
        dir: &OwnedFd,
    ) -> Result<Vec<(RelPath, Print)>, WritebackError> {
        let failed = |e| WritebackError::io("list what the session removed in", Some(path), e);
        let mut entries = Vec::new();
        for name in names(dir, MAX_ENTRIES).map_err(failed)? {
            self.count()?;
            let Some(stat) = look(dir.as_fd(), &name).map_err(failed)? else { continue };
            if let Ok(child) = RelPath::child(Some(path), &name) {
                entries.push((child, Print::of(&stat)));
            }
        }
        Ok(entries)
    }
}

/// Whether a directory hides the host's: because the overlay says so, or because one above it does.
pub(super) fn is_opaque(frame: &Frame, marks: Marks) -> bool {
    marks.opaque || frame.replaced.is_some()
}

/// A directory with `HEAD`, `objects` and `refs` is a repository to git, whatever its name.
fn look_for_bare(frame: &mut Frame, names: &[Vec<u8>], host: Option<&OwnedFd>) {
    if frame.place.git_root.is_some() || frame.place.withheld.is_some() {
        return;
    }
    let ours: Vec<String> = names.iter().map(|name| super::fold::fold(name)).collect();
    if !ours.iter().any(|name| BARE_PARTS.contains(&name.as_str())) {
        return;
    }
    let on_host = |name: &str| {
        host.is_some_and(|host| !matches!(look(host.as_fd(), name.as_bytes()), Ok(None)))
    };
    let anywhere = |name: &str| on_host(name) || ours.contains(&name.to_lowercase());
    let complete = |has: &dyn Fn(&str) -> bool| {
        has("HEAD") && (has("objects") && has("refs") || has("commondir"))
    };
    if complete(&on_host) {
        frame.place.git_root = Some(frame.place.folded.len());
    } else {
        frame.place.bare = complete(&anywhere);
    }
}

/// What makes a directory a repository to git, or steers one (folded).
pub(super) const BARE_PARTS: [&str; 10] = [
    "head",
    "objects",
    "refs",
    "commondir",
    "config",
    "config.worktree",
    "hooks",
    "info",
    "modules",
    "worktrees",
];
