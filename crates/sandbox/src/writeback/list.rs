//! What did the session change, and may each of it land?

use super::change::{Change, Clash, Digest, DropReason, HoldReason, Kind, Verdict};
use super::gitconfig::{judge_attributes, judge_config};
use super::host::{
    Print, Shape, digest, kernel_time, link_target, look, names, open_dir, open_file, read_bounded,
    same_contents,
};
use super::judge::{Contents, Entry, Judgement, Place};
use super::path::{RelPath, escape};
use super::settle;
use super::upper::{self, Found, Marks};
use super::{Changes, MAX_DEPTH, MAX_ENTRIES, WritebackError, configured};
use rustix::fs::{OFlags, Stat, fstat};
use rustix::io::Errno;
use std::fs::File;
use std::io::Seek;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::SystemTime;

pub(super) fn list(
    upper: BorrowedFd<'_>,
    workspace: BorrowedFd<'_>,
    since: SystemTime,
) -> Result<Changes, WritebackError> {
    let stat =
        fstat(workspace).map_err(|e| WritebackError::io("look at the workspace", None, e))?;
    let mut walk = Walk {
        upper,
        workspace,
        since: kernel_time(since),
        items: Vec::new(),
        copies: Vec::new(),
        seen: 0,
        holes: 0,
        configured: configured::paths(workspace),
    };
    let mut stack = vec![Frame {
        path: None,
        place: Place::default(),
        host: HostDir::Present,
        clash: None,
        replaced: None,
    }];
    while let Some(frame) = stack.pop() {
        let mut below = walk.dir(frame)?;
        // The stack turns the order round; the report is to read from a to z.
        below.reverse();
        stack.append(&mut below);
    }
    let Walk { mut items, copies, .. } = walk;
    settle::settle(&mut items, &copies);
    Ok(Changes { items, workspace: (stat.st_dev, stat.st_ino) })
}

/// A directory of the upper layer that is still to be walked.
struct Frame {
    path: Option<RelPath>,
    place: Place,
    host: HostDir,
    clash: Option<Clash>,
    /// Set when it replaces the host's directory: the verdict on removing what that held.
    replaced: Option<Verdict>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HostDir {
    Present,
    Absent,
}

struct Walk<'a> {
    upper: BorrowedFd<'a>,
    workspace: BorrowedFd<'a>,
    since: (i64, i64),
    items: Vec<Change>,
    /// New paths that began as copies of host entries, where the host's directory changed meanwhile: renamed, or deleted on the host?
    copies: Vec<usize>,
    seen: usize,
    holes: u64,
    configured: Vec<configured::Used>,
}

/// One entry on its way to becoming a change.
struct Item<'a> {
    path: RelPath,
    name: &'a [u8],
    stat: Stat,
    found: Found,
    host: Option<Stat>,
    judged: Judgement,
    clash: Option<Clash>,
}

impl Walk<'_> {
    fn dir(&mut self, mut frame: Frame) -> Result<Vec<Frame>, WritebackError> {
        let at = frame.path.clone();
        let failed = |what| move |e: Errno| WritebackError::io(what, at.as_ref(), e);
        let Ok(dir) = upper::open(self.upper, frame.path.as_ref()) else {
            self.refuse(&frame, DropReason::TooDeep);
            return Ok(Vec::new());
        };
        let names = names(&dir, MAX_ENTRIES).map_err(failed("list the changes in"))?;
        let host = self.host_dir(&mut frame);
        self.look_for_bare(&mut frame, &names, host.as_ref());
        if let (Some(path), Some(host), Some(verdict)) =
            (frame.path.clone(), host.as_ref(), frame.replaced.clone())
        {
            self.replaced(&path, &names, host, verdict)?;
        }
        let mut below = Vec::new();
        for name in &names {
            self.count(1)?;
            let Ok(path) = RelPath::child(frame.path.as_ref(), name) else { continue };
            if let Some(next) = self.entry(&frame, &dir, host.as_ref(), path, name)? {
                below.push(next);
            }
        }
        Ok(below)
    }

    fn count(&mut self, n: usize) -> Result<(), WritebackError> {
        self.seen += n;
        if self.seen > MAX_ENTRIES {
            Err(WritebackError::TooMany { limit: MAX_ENTRIES })
        } else {
            Ok(())
        }
    }

    /// The host's directory of the same path; where something else stands there now, nothing below can land.
    fn host_dir(&self, frame: &mut Frame) -> Option<OwnedFd> {
        if frame.host == HostDir::Absent {
            return None;
        }
        match open_dir(self.workspace, frame.path.as_ref(), OFlags::RDONLY) {
            Ok(dir) => Some(dir),
            Err(errno) => {
                let clash = if matches!(errno, Errno::ACCESS | Errno::PERM | Errno::XDEV) {
                    Clash::Refused
                } else {
                    Clash::ParentMoved
                };
                frame.clash.get_or_insert(clash);
                None
            }
        }
    }

    /// A directory with `HEAD`, `objects` and `refs` is a repository to git, whatever its name.
    fn look_for_bare(&self, frame: &mut Frame, names: &[Vec<u8>], host: Option<&OwnedFd>) {
        if frame.place.git_root.is_some() || frame.place.withheld.is_some() {
            return;
        }
        let ours: Vec<String> = names.iter().map(|name| super::fold::fold(name)).collect();
        if !ours.iter().any(|name| BARE_PARTS.contains(&name.as_str())) {
            return;
        }
        let on_host = |name: &str| {
            host.is_some_and(|host| {
                matches!(look(host.as_fd(), name.as_bytes()), Ok(Some(_)) | Err(_))
            })
        };
        let anywhere = |name: &str| on_host(name) || ours.contains(&name.to_lowercase());
        let complete = |has: &dyn Fn(&str) -> bool| {
            has("HEAD") && (has("objects") && has("refs") || has("commondir"))
        };
        if complete(&on_host) {
            frame.place.git_root = Some(frame.place.folded.len());
        } else if complete(&anywhere) {
            frame.place.bare = true;
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
        let Some(stat) = look(dir.as_fd(), name)
            .map_err(|e| WritebackError::io("look at the change to", Some(&path), e))?
        else {
            return Ok(None);
        };
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
        let item = Item { path, name, stat, found, host: beside, judged, clash };
        self.sort(frame, host, item)
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
            _ => Marks::default(),
        };
        let host_is_dir = host.is_some_and(|stat| Print::of(stat).shape == Shape::Dir);
        let is_dir = matches!(found, Found::Dir(_));
        let opaque = marks.opaque || frame.replaced.is_some();
        let mut judged = frame.place.judge(Entry {
            name,
            is_dir,
            link: if let Found::Link(target) = found { Some(target) } else { None },
            is_gone: matches!(found, Found::Gone),
            is_new: host.is_none(),
            is_replaced: is_dir && host.is_some() && (opaque || !host_is_dir),
        });
        if marks.odd {
            judged.hold(HoldReason::OverlayForm);
        }
        if let Some(used) = self.configured.iter().find(|used| used.covers(&judged.inside.folded)) {
            judged.hold(HoldReason::Configured { key: used.key.clone() });
        }
        if matches!(found, Found::Unreadable) {
            judged.hold(HoldReason::Unreadable);
        }
        if is_dir && path.depth() + 1 >= MAX_DEPTH {
            judged.discard(DropReason::TooDeep);
        }
        judged
    }

    /// Tells what the entry is beside the host's and records it.
    fn sort(
        &mut self,
        frame: &Frame,
        host: Option<&OwnedFd>,
        mut item: Item<'_>,
    ) -> Result<Option<Frame>, WritebackError> {
        let before = item.host.as_ref().map(Print::of);
        if item.clash.is_none()
            && before.is_some_and(|print| print.shape != Shape::Dir && print.is_newer(self.since))
        {
            item.clash = Some(Clash::ChangedOnHost);
        }
        match std::mem::replace(&mut item.found, Found::Special) {
            Found::Gone => self.gone(item, before)?,
            Found::Dir(marks) => return self.directory(frame, item, marks, before),
            Found::File(file, marks) => self.file(host, item, file, marks, before)?,
            Found::Link(target) => self.link(host, item, &target, before)?,
            Found::Unreadable => self.push(item, Kind::Created, before, Vec::new()),
            Found::Special => {
                item.judged.verdict = Verdict::Drop(DropReason::Special);
                self.push(item, Kind::Special, before, Vec::new());
            }
        }
        Ok(None)
    }

    fn gone(&mut self, mut item: Item<'_>, before: Option<Print>) -> Result<(), WritebackError> {
        let Some(print) = before else { return Ok(()) };
        let clear = self.contents_of(&mut item, print)?;
        let kind = if print.shape == Shape::Dir { Kind::DeletedDir } else { Kind::Deleted };
        self.push(item, kind, before, clear);
        Ok(())
    }

    /// What must go before a directory of the host can: everything in it, unless the host changed some of it meanwhile.
    fn contents_of(
        &mut self,
        item: &mut Item<'_>,
        print: Print,
    ) -> Result<Vec<(RelPath, Print)>, WritebackError> {
        if print.shape != Shape::Dir {
            return Ok(Vec::new());
        }
        let clear = self.subtree(&item.path)?;
        if item.clash.is_none()
            && clear
                .iter()
                .map(|(_, print)| print)
                .chain([&print])
                .any(|print| print.is_newer(self.since))
        {
            item.clash = Some(Clash::InsideChanged);
        }
        Ok(clear)
    }

    /// Everything below a directory of the host, children before parents.
    fn subtree(&mut self, top: &RelPath) -> Result<Vec<(RelPath, Print)>, WritebackError> {
        let (mut all, mut dirs) = (Vec::new(), vec![top.clone()]);
        while let Some(path) = dirs.pop() {
            let failed = |e| WritebackError::io("list what the session removed in", Some(&path), e);
            let dir = match open_dir(self.workspace, Some(&path), OFlags::RDONLY) {
                // Not ours to empty: the removal fails at this directory and is reported there.
                Err(Errno::ACCESS | Errno::PERM | Errno::XDEV) => continue,
                result => result.map_err(failed)?,
            };
            for name in names(&dir, MAX_ENTRIES).map_err(failed)? {
                self.count(1)?;
                let Some(stat) = look(dir.as_fd(), &name).map_err(failed)? else { continue };
                let Ok(child) = RelPath::child(Some(&path), &name) else { continue };
                if Print::of(&stat).shape == Shape::Dir {
                    dirs.push(child.clone());
                }
                all.push((child, Print::of(&stat)));
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
        let failed = |e| WritebackError::io("list what the session replaced in", Some(path), e);
        let mut clear = Vec::new();
        for name in names(host, MAX_ENTRIES).map_err(failed)? {
            self.count(1)?;
            if ours.binary_search(&name).is_ok() {
                continue;
            }
            let Some(stat) = look(host.as_fd(), &name).map_err(failed)? else { continue };
            let Ok(child) = RelPath::child(Some(path), &name) else { continue };
            if Print::of(&stat).shape == Shape::Dir {
                clear.append(&mut self.subtree(&child)?);
            }
            clear.push((child, Print::of(&stat)));
        }
        let newer = clear.iter().filter(|(_, print)| print.is_newer(self.since)).count();
        // All of it came meanwhile: session and host each made a directory of this name, and nothing was replaced.
        if newer == clear.len() {
            return Ok(());
        }
        let stat = fstat(host).map_err(failed)?;
        let mut change = Change::new(path.clone(), Kind::ReplacedDir, Some(Print::of(&stat)));
        change.verdict = verdict;
        change.conflict = (newer > 0).then_some(Clash::InsideChanged);
        change.clear = clear;
        self.items.push(change);
        Ok(())
    }

    fn directory(
        &mut self,
        frame: &Frame,
        mut item: Item<'_>,
        marks: Marks,
        before: Option<Print>,
    ) -> Result<Option<Frame>, WritebackError> {
        let opaque = marks.opaque || frame.replaced.is_some();
        let mut next = Frame {
            path: Some(item.path.clone()),
            place: item.judged.inside.clone(),
            host: HostDir::Absent,
            clash: item.clash,
            replaced: None,
        };
        let mode = item.stat.st_mode & 0o777;
        match before.map(|print| print.shape) {
            Some(Shape::Dir) => {
                next.host = HostDir::Present;
                if opaque {
                    let gone = Entry {
                        name: item.name,
                        is_dir: false,
                        link: None,
                        is_gone: true,
                        is_new: false,
                        is_replaced: false,
                    };
                    let verdict = frame.place.judge(gone).verdict;
                    next.replaced = Some(if verdict == Verdict::Apply {
                        item.judged.verdict.clone()
                    } else {
                        verdict
                    });
                }
                if item.host.as_ref().is_some_and(|host| host.st_mode & 0o777 != mode) {
                    if before.is_some_and(|print| print.is_newer(self.since)) {
                        item.clash.get_or_insert(Clash::ChangedOnHost);
                    }
                    self.push(item, Kind::ModeChanged, before, Vec::new());
                }
            }
            // The host had the directory when the session began, for it was copied from there.
            None if marks.copied && item.clash.is_none() => {
                item.clash = Some(Clash::DeletedOnHost);
                next.clash = Some(Clash::ParentMoved);
                self.push(item, Kind::CreatedDir, before, Vec::new());
            }
            _ => self.push(item, Kind::CreatedDir, before, Vec::new()),
        }
        if next.clash.is_some_and(|clash| clash == Clash::ChangedOnHost) {
            next.clash = Some(Clash::ParentMoved);
        }
        Ok((!matches!(next.place.withheld, Some(Verdict::Drop(_)))).then_some(next))
    }

    fn link(
        &mut self,
        host: Option<&OwnedFd>,
        mut item: Item<'_>,
        target: &[u8],
        before: Option<Print>,
    ) -> Result<(), WritebackError> {
        let same = before.is_some_and(|print| print.shape == Shape::Link)
            && host.is_some_and(|host| {
                link_target(host.as_fd(), item.name).is_ok_and(|theirs| theirs == target)
            });
        if same {
            return Ok(());
        }
        let clear =
            before.map(|print| self.contents_of(&mut item, print)).transpose()?.unwrap_or_default();
        self.push(item, Kind::Symlink { target: escape(target) }, before, clear);
        Ok(())
    }

    fn file(
        &mut self,
        host: Option<&OwnedFd>,
        mut item: Item<'_>,
        mut file: File,
        marks: Marks,
        before: Option<Print>,
    ) -> Result<(), WritebackError> {
        let failed = |path: &RelPath| {
            let path = path.clone();
            move |e: std::io::Error| WritebackError::file("read the change to", Some(&path), e)
        };
        let size = u64::try_from(item.stat.st_size).unwrap_or_default();
        let held = u64::try_from(item.stat.st_blocks).unwrap_or_default().saturating_mul(512);
        self.holes = self.holes.saturating_add(size.saturating_sub(held));
        if self.holes > MAX_HOLES && size.saturating_sub(held) > 0 {
            item.judged.discard(DropReason::Sparse);
            self.push(item, Kind::Created, before, Vec::new());
            return Ok(());
        }
        let mut theirs = host
            .filter(|_| before.is_some_and(|p| p.shape == Shape::File))
            .and_then(|host| open_file(host.as_fd(), item.name).ok());
        let same = match &mut theirs {
            Some((theirs, stat)) if u64::try_from(stat.st_size) == Ok(size) => {
                same_contents(&mut file, theirs).map_err(failed(&item.path))?
            }
            _ => false,
        };
        if same
            && theirs
                .as_ref()
                .is_some_and(|(_, stat)| stat.st_mode & 0o7777 == item.stat.st_mode & 0o7777)
        {
            return Ok(());
        }
        let kind = match before {
            _ if same => Kind::ModeChanged,
            Some(Print { shape: Shape::File, .. }) => Kind::Modified,
            _ => Kind::Created,
        };
        file.rewind().map_err(failed(&item.path))?;
        let seen = self
            .judge_contents(&mut item, &mut file, theirs.map(|(file, _)| file), &kind)
            .map_err(failed(&item.path))?;
        let clear =
            before.map(|print| self.contents_of(&mut item, print)).transpose()?.unwrap_or_default();
        if before.is_none()
            && marks.copied
            && item.clash.is_none()
            && host.is_some_and(|host| self.moved_since(host))
        {
            self.copies.push(self.items.len());
        }
        self.push(item, kind, before, clear);
        if let Some(change) = self.items.last_mut() {
            change.size = size;
            change.seen = seen;
        }
        Ok(())
    }

    /// Reads what the verdict depends on, and takes the digest that a landing must still match.
    fn judge_contents(
        &self,
        item: &mut Item<'_>,
        file: &mut File,
        theirs: Option<File>,
        kind: &Kind,
    ) -> std::io::Result<Option<Digest>> {
        if item.judged.verdict == Verdict::Apply
            && let Some(contents) = item.judged.contents.filter(|_| *kind != Kind::ModeChanged)
        {
            let new = read_bounded(file, MAX_JUDGED)?;
            let old = match theirs {
                None => None,
                Some(mut theirs) => {
                    theirs.rewind()?;
                    read_bounded(&mut theirs, MAX_JUDGED)?
                }
            };
            // An old file that is there and cannot be read must not pass for a new repository.
            let unreadable = item.host.is_some() && old.is_none();
            let verdict = match (new, contents) {
                (None, _) => Err(HoldReason::Unreadable),
                (Some(_), Contents::GitConfig) if unreadable => {
                    Err(HoldReason::GitConfigUnreadable)
                }
                (Some(new), Contents::GitConfig) => judge_config(&new, old.as_deref()),
                (Some(new), Contents::GitAttributes) => judge_attributes(&new, old.as_deref()),
            };
            if let Err(reason) = verdict {
                item.judged.verdict = Verdict::Hold(reason);
            }
            file.rewind()?;
        }
        if item.judged.contents.is_some() || matches!(item.judged.verdict, Verdict::Hold(_)) {
            return Ok(Some(digest(file, |_| Ok(()))?.0));
        }
        Ok(None)
    }

    fn moved_since(&self, dir: &OwnedFd) -> bool {
        fstat(dir).map_or(true, |stat| Print::of(&stat).mtime >= self.since)
    }

    fn push(
        &mut self,
        item: Item<'_>,
        kind: Kind,
        before: Option<Print>,
        clear: Vec<(RelPath, Print)>,
    ) {
        let mut change = Change::new(item.path, kind, before);
        let print = Print::of(&item.stat);
        change.mode = item.stat.st_mode & 0o777;
        change.mtime = print.mtime;
        change.stripped = print.shape == Shape::File && item.stat.st_mode & 0o7000 != 0;
        change.notable = item.judged.notable.filter(|_| item.judged.verdict == Verdict::Apply);
        change.verdict = item.judged.verdict;
        change.conflict = item.clash;
        change.clear = clear;
        if item.judged.in_git_unit {
            change.git_unit = item.judged.inside.git_root.map(|depth| {
                change.path.names().take(depth).flat_map(|n| [n, b"/"].concat()).collect()
            });
        }
        self.items.push(change);
    }

    /// Records a directory that cannot be walked.
    fn refuse(&mut self, frame: &Frame, reason: DropReason) {
        if let Some(path) = &frame.path {
            let mut change = Change::new(path.clone(), Kind::CreatedDir, None);
            change.verdict = Verdict::Drop(reason);
            self.items.push(change);
        }
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
/// Holes, in bytes, that all files together may have: reading them costs as much as reading data and no quota counts them.
const MAX_HOLES: u64 = 1 << 30;
/// The largest file whose contents decide whether it lands, in bytes.
const MAX_JUDGED: u64 = 1 << 20;
