//! What is an entry of the session beside the host's entry of the same name?

use super::WritebackError;
use super::change::{Change, Clash, Digest, DropReason, HoldReason, Kind, Verdict};
use super::contents::{Contents, Theirs, is_named};
use super::host::{Print, Shape, digest, link_target, open_file, read_bounded, same_contents};
use super::judge::{Entry, Form, Judgement, notable};
use super::list::{Frame, Walk, is_opaque};
use super::path::{RelPath, escape};
use super::upper::{Found, Marks};
use rustix::fs::{Stat, fstat};
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One entry on its way to becoming a change.
pub(super) struct Item<'a> {
    pub(super) path: RelPath,
    pub(super) name: &'a [u8],
    pub(super) stat: Stat,
    pub(super) host: Option<Stat>,
    pub(super) judged: Judgement,
    pub(super) clash: Option<Clash>,
}

impl Item<'_> {
    fn mode(&self) -> u32 {
        self.stat.st_mode & 0o777
    }

    /// The permission bits that it gets: nobody but the owner may do more with it than with what stood there, and what is new is not for
    /// everybody to write. Whoever may read a file may execute it.
    fn granted(&self) -> u32 {
        let as_before = self.host.as_ref().filter(|host| {
            let (ours, theirs) = (Print::of(&self.stat).shape, Print::of(host).shape);
            ours == theirs && matches!(ours, Shape::File | Shape::Dir)
        });
        let bound = match as_before.map(|host| host.st_mode & 0o777) {
            None => 0o775,
            Some(had) if Print::of(&self.stat).shape == Shape::File => had | (had & 0o444) >> 2,
            Some(had) => had,
        };
        self.mode() & (bound | 0o700)
    }
}

impl Walk<'_> {
    /// Records what the entry changes, if anything; gives the directory that is to be walked next.
    pub(super) fn compare(
        &mut self,
        frame: &Frame,
        host: Option<&OwnedFd>,
        mut item: Item<'_>,
        found: Found,
    ) -> Result<Option<Frame>, WritebackError> {
        let before = item.host.as_ref().map(Print::of);
        // A directory's times move with every entry in it; it is looked into instead.
        if before.is_some_and(|print| print.shape != Shape::Dir && print.is_newer(self.since)) {
            item.clash.get_or_insert(Clash::ChangedOnHost);
        }
        match found {
            Found::Gone => self.gone(host, item, before)?,
            Found::Dir(marks) => return Ok(self.directory(frame, item, marks, before)),
            Found::File(file, marks) => self.file(host, item, file, marks, before)?,
            Found::Link(target) => self.link(host, item, &target, before)?,
            Found::Unreadable => self.push(item, Kind::Created, before, Vec::new()),
            Found::Special => {
                item.judged.discard(DropReason::Special);
                self.push(item, Kind::Special, before, Vec::new());
            }
        }
        Ok(None)
    }

    fn gone(
        &mut self,
        host: Option<&OwnedFd>,
        mut item: Item<'_>,
        before: Option<Print>,
    ) -> Result<(), WritebackError> {
        let Some(print) = before else { return Ok(()) };
        if let Some(contents) = item.judged.contents {
            let theirs = host.and_then(|host| open_file(host.as_fd(), item.name).ok());
            let old = theirs.and_then(|(mut file, _)| read_bounded(&mut file, MAX_JUDGED).ok());
            let gone = match old.flatten() {
                Some(old) => contents.judge_gone(&old),
                None if print.shape == Shape::File => Err(HoldReason::Unreadable),
                None => Ok(()),
            };
            if let Err(reason) = gone {
                item.judged.hold(reason);
            }
        }
        let clear = self.contents_of(&mut item, before)?;
        let kind = if print.shape == Shape::Dir { Kind::DeletedDir } else { Kind::Deleted };
        self.push(item, kind, before, clear);
        Ok(())
    }

    /// What must go before a directory of the host can: everything in it, unless the host changed some of it meanwhile.
    fn contents_of(
        &mut self,
        item: &mut Item<'_>,
        before: Option<Print>,
    ) -> Result<Vec<(RelPath, Print)>, WritebackError> {
        let Some(top) = before.filter(|print| print.shape == Shape::Dir) else {
            return Ok(Vec::new());
        };
        let clear = self.subtree(&item.path)?;
        if clear.iter().map(|(_, print)| print).chain([&top]).any(|p| p.is_newer(self.since)) {
            item.clash.get_or_insert(Clash::InsideChanged);
        }
        Ok(clear)
    }

    fn directory(
        &mut self,
        frame: &Frame,
        mut item: Item<'_>,
        marks: Marks,
        before: Option<Print>,
    ) -> Option<Frame> {
        let is_dir = before.is_some_and(|print| print.shape == Shape::Dir);
        let mut next = Frame {
            path: Some(item.path.clone()),
            place: item.judged.inside.clone(),
            is_new: !is_dir,
            clash: item.clash,
            replaced: None,
        };
        if is_dir {
            if is_opaque(frame, marks) {
                let gone =
                    frame.place.judge(Entry { name: item.name, form: Form::Gone, is_new: false });
                let verdicts = [item.judged.verdict.clone(), gone.verdict];
                next.replaced =
                    verdicts.into_iter().find(|v| *v != Verdict::Apply).or(Some(Verdict::Apply));
            }
            if item.host.as_ref().is_some_and(|host| host.st_mode & 0o777 != item.mode()) {
                if before.is_some_and(|print| print.is_newer(self.since)) {
                    item.clash.get_or_insert(Clash::ChangedOnHost);
                }
                self.push(item, Kind::ModeChanged, before, Vec::new());
            }
        } else {
            // Directories are not renamed but copied, so one that began as the host's had this name there.
            if before.is_none() && marks.copied {
                item.clash.get_or_insert(Clash::DeletedOnHost);
            }
            next.clash = item
                .clash
                .map(|clash| if clash == Clash::Refused { clash } else { Clash::ParentMoved });
            self.push(item, Kind::CreatedDir, before, Vec::new());
        }
        if matches!(next.place.withheld, Some(Verdict::Drop(_))) { None } else { Some(next) }
    }

    fn link(
        &mut self,
        host: Option<&OwnedFd>,
        mut item: Item<'_>,
        target: &[u8],
        before: Option<Print>,
    ) -> Result<(), WritebackError> {
        let theirs = host.filter(|_| before.is_some_and(|print| print.shape == Shape::Link));
        let theirs = theirs.and_then(|host| link_target(host.as_fd(), item.name).ok());
        if theirs.is_some_and(|theirs| theirs == target) {
            return Ok(());
        }
        let clear = self.contents_of(&mut item, before)?;
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
        let size = Print::of(&item.stat).size;
        if self.is_hollow(&item.stat) {
            item.judged.discard(DropReason::Sparse);
            self.push(item, Kind::Created, before, Vec::new());
            return Ok(());
        }
        let path = item.path.clone();
        let failed = |e| WritebackError::file("read the change to", Some(&path), e);
        let theirs = host.filter(|_| before.is_some_and(|print| print.shape == Shape::File));
        let mut theirs = theirs.and_then(|host| open_file(host.as_fd(), item.name).ok());
        let same = match &mut theirs {
            Some((theirs, stat)) if Print::of(stat).size == size => {
                same_contents(&mut file, theirs).map_err(failed)?
            }
            _ => false,
        };
        if same && theirs.as_ref().is_some_and(|(_, stat)| stat.st_mode == item.stat.st_mode) {
            return Ok(());
        }
        let kind = match before {
            _ if same => Kind::ModeChanged,
            Some(Print { shape: Shape::File, .. }) => Kind::Modified,
            _ => Kind::Created,
        };
        file.rewind().map_err(failed)?;
        if kind != Kind::ModeChanged {
            let theirs = theirs.map(|(file, _)| file);
            judge_contents(self.workspace, &mut item, &mut file, theirs).map_err(failed)?;
        }
        let seen = digest_judged(&item, &mut file).map_err(failed)?;
        let clear = self.contents_of(&mut item, before)?;
        let unsure = before.is_none() && marks.copied && item.clash.is_none();
        if unsure
            && host.is_some_and(|host| {
                fstat(host).is_ok_and(|dir| Print::of(&dir).mtime >= self.since)
            })
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

    /// Whether a file has holes beyond what all files together may have.
    fn is_hollow(&mut self, stat: &Stat) -> bool {
        let held = u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512);
        let holes = Print::of(stat).size.saturating_sub(held);
        if self.holes.saturating_add(holes) > MAX_HOLES {
            return holes > 0;
        }
        self.holes += holes;
        false
    }

    fn push(
        &mut self,
        item: Item<'_>,
        kind: Kind,
        before: Option<Print>,
        clear: Vec<(RelPath, Print)>,
    ) {
        let print = Print::of(&item.stat);
        let (mode, asked) = (item.granted(), item.mode());
        let mut change = Change::new(item.path, kind, before);
        change.mode = mode;
        change.mtime = print.mtime;
        change.stripped = print.shape == Shape::File && item.stat.st_mode & 0o7000 != 0
            || matches!(print.shape, Shape::File | Shape::Dir) && mode != asked;
        change.git_root = item.judged.inside.git_root;
        if item.judged.in_git_unit {
            let depth = item.judged.inside.git_root.unwrap_or_default();
            change.git_unit = Some(change.path.names().take(depth).collect::<Vec<_>>().join(&b'/'));
        }
        change.verdict = item.judged.verdict;
        change.conflict = item.clash;
        change.clear = clear;
        change.notable = notable(&change.path, &change.kind);
        self.items.push(change);
    }
}

/// Reads what the verdict depends on.
fn judge_contents(
    workspace: BorrowedFd<'_>,
    item: &mut Item<'_>,
    file: &mut File,
    theirs: Option<File>,
) -> io::Result<()> {
    let Some(contents) = item.judged.contents.filter(|_| item.judged.verdict == Verdict::Apply)
    else {
        return Ok(());
    };
    if contents == Contents::LfsObject {
        // Git LFS takes an object that is there for what its name says.
        let (found, _) = digest(file, |_| Ok(()))?;
        file.rewind()?;
        if !is_named(item.name, found) {
            let what = "an object of Git LFS is not what its name says".to_owned();
            item.judged.hold(HoldReason::GitUnread { what });
        }
        return Ok(());
    }
    let new = read_bounded(file, MAX_JUDGED)?;
    file.rewind()?;
    let old = match theirs {
        None => None,
        Some(mut theirs) => {
            theirs.rewind()?;
            read_bounded(&mut theirs, MAX_JUDGED)?
        }
    };
    let verdict = match (new, contents) {
        (None, _) => Err(HoldReason::Unreadable),
        // An old file that is there and cannot be read must not pass for a new repository.
        (Some(_), Contents::GitConfig) if item.host.is_some() && old.is_none() => {
            Err(HoldReason::GitConfigUnreadable)
        }
        (Some(new), contents) => {
            let theirs = Theirs { workspace, dir: item.path.parent() };
            contents.judge(&new, old.as_deref(), &theirs)
        }
    };
    if let Err(reason) = verdict {
        item.judged.hold(reason);
    }
    Ok(())
}

/// The digest that a landing must still match: of what was judged by its contents, and of what a person may be asked about.
fn digest_judged(item: &Item<'_>, file: &mut File) -> io::Result<Option<Digest>> {
    let asked = matches!(item.judged.verdict, Verdict::Hold(_));
    if asked || item.judged.contents.is_some() {
        Ok(Some(digest(file, |_| Ok(()))?.0))
    } else {
        Ok(None)
    }
}

/// Holes, in bytes, that all files together may have: reading them costs as much as reading data and no quota counts them.
const MAX_HOLES: u64 = 1 << 30;
/// The largest file whose contents decide whether it lands, in bytes.
const MAX_JUDGED: u64 = 1 << 20;
