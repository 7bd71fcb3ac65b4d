//! How does what was kept aside land after all, when a person says so, as safely as the rest did?

use super::change::Clash;
use super::held::{Aside, Home, Kept, Shelf};
use super::host::{Print, Shape, digest, look, open_dir, open_file};
use super::journal::{After, Journal, Plan, Step};
use super::run::{Applied, random_tag, run};
use super::{Changes, Options, WritebackError};
use rustix::fs::{Mode, OFlags, fstat, open};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What is kept of one session, for a person to look at.
#[derive(Debug)]
pub struct Shelved {
    shelf: Shelf,
    workspace: Option<OwnedFd>,
}

impl Shelved {
    /// Reads a held directory; an absent one keeps nothing.
    ///
    /// # Errors
    /// When its index cannot be read or is not one of ours.
    pub fn open(held: &Path) -> Result<Self, WritebackError> {
        let shelf = Shelf::open(held)?;
        let workspace = shelf.home().and_then(|home| open_home(home).ok());
        Ok(Self { shelf, workspace })
    }

    /// Everything on it, in the order in which it was kept.
    #[must_use]
    pub fn items(&self) -> &[Kept] {
        self.shelf.items()
    }

    /// The workspace that it belongs to.
    #[must_use]
    pub fn workspace(&self) -> Option<PathBuf> {
        self.shelf.home().and_then(Home::path)
    }

    /// The session's version of a file.
    #[must_use]
    pub fn ours(&self, kept: &Kept) -> Option<File> {
        File::open(self.shelf.dir().join(kept.contents()?)).ok()
    }

    /// What stands at its path on this machine now, when that is a regular file.
    #[must_use]
    pub fn theirs(&self, kept: &Kept) -> Option<File> {
        let workspace = self.workspace.as_ref()?;
        let dir = open_dir(workspace.as_fd(), kept.path().parent().as_ref(), OFlags::PATH).ok()?;
        open_file(dir.as_fd(), kept.path().name()).ok().map(|(file, _)| file)
    }
}

/// What becomes of changes that the host's own changes stand against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflicts {
    /// They stay where they are.
    Leave,
    /// They take the host's place; the host's own version is kept in their stead.
    Overwrite,
}

/// Puts every change on the shelf, and lands none: a person looks first.
pub(super) fn shelve(
    changes: &Changes,
    upper: BorrowedFd<'_>,
    workspace: BorrowedFd<'_>,
    options: Options<'_>,
) -> Result<Applied, WritebackError> {
    let Options { owner, journal, held, progress } = options;
    let home = super::run::home(changes, workspace, owner)?;
    if changes.is_empty() {
        return Ok(Applied::default());
    }
    let journal = empty_journal(journal)?;
    let mut shelf = Shelf::open(held)?.at_home(home);
    let mut done = 0;
    let total = changes.len() as u64;
    let kept = super::run::keep_all(&changes.items, upper, &mut shelf, true, &mut || {
        done += 1;
        progress(done, total);
    });
    let saved = kept.and_then(|()| shelf.save());
    if saved.is_err() {
        shelf.give_up();
    }
    journal.remove().and(saved)?;
    Ok(Applied::kept_only(shelf.fresh, changes))
}

/// Lands what was chosen, exactly as it was looked at.
pub(super) fn release(
    held: &Path,
    chosen: &[Kept],
    conflicts: Conflicts,
    journal: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Applied, WritebackError> {
    let journal = empty_journal(journal)?;
    match prepare(&journal, held, chosen, conflicts) {
        Ok((shelf, plan, workspace)) => {
            let (mut done, total) = (0, plan.steps.len() as u64);
            let mut tick = || {
                done += 1;
                progress(done, total);
            };
            let applied = run(&journal, &plan, workspace.as_fd(), shelf, false, &mut tick)?;
            journal.complete()?;
            Ok(applied)
        }
        // The host is untouched, and the shelf holds what it held.
        Err(e) => journal.remove().and(Err(e)),
    }
}

/// Forgets what was chosen.
pub(super) fn forget(held: &Path, chosen: &[Kept], journal: &Path) -> Result<(), WritebackError> {
    let journal = empty_journal(journal)?;
    let forgotten = Shelf::open(held).and_then(|mut shelf| {
        let ids = as_shown(&shelf, chosen)?;
        shelf.remove(&ids)
    });
    journal.remove().and(forgotten)
}

fn empty_journal(dir: &Path) -> Result<Journal, WritebackError> {
    let busy = || WritebackError::JournalBusy { path: dir.to_owned() };
    let journal = Journal::open(dir, true)?.ok_or_else(busy)?;
    if journal.is_empty()? { Ok(journal) } else { Err(busy()) }
}

/// The numbers of the chosen, each of which must still be what the person saw.
fn as_shown(shelf: &Shelf, chosen: &[Kept]) -> Result<BTreeSet<u64>, WritebackError> {
    let by_id = by_id(shelf);
    let same = |kept: &Kept| {
        if by_id.get(&kept.id()).is_some_and(|now| *now == kept) {
            Ok(kept.id())
        } else {
            Err(WritebackError::Moved { path: kept.path().clone() })
        }
    };
    chosen.iter().map(same).collect()
}

fn by_id(shelf: &Shelf) -> BTreeMap<u64, &Kept> {
    shelf.items().iter().map(|kept| (kept.id(), kept)).collect()
}

/// Stages the contents and commits the plan.
fn prepare(
    journal: &Journal,
    held: &Path,
    chosen: &[Kept],
    conflicts: Conflicts,
) -> Result<(Shelf, Plan, OwnedFd), WritebackError> {
    let mut shelf = Shelf::open(held)?;
    let ids = as_shown(&shelf, chosen)?;
    let unknown = || WritebackError::NoHome { held: held.to_owned() };
    let home = shelf.home().cloned().ok_or_else(unknown)?;
    let path = home.path().ok_or_else(unknown)?;
    let workspace = open_home(&home)?;
    let chosen = with_parents(&shelf, &ids);
    check_units(&shelf, &chosen)?;
    let mut steps = Vec::new();
    for kept in &chosen {
        if !kept.can_land() {
            return Err(WritebackError::NoWay { path: kept.path().clone() });
        }
        let mut own = kept.steps().to_vec();
        if kept.is_conflict() {
            match conflicts {
                Conflicts::Leave => {
                    return Err(WritebackError::Clashes { path: kept.path().clone() });
                }
                Conflicts::Overwrite => own = over(&mut shelf, workspace.as_fd(), kept, own)?,
            }
        }
        steps.extend(own);
    }
    steps.sort_by_key(|step| step.phase);
    let mut end = 0;
    for step in &mut steps {
        let size = step.size().unwrap_or_default();
        *step = step.clone().moved_to(end);
        end += size;
    }
    journal.repeats_shelf()?;
    stage(journal, &shelf, &steps)?;
    shelf.save()?;
    let plan = Plan::new(random_tag()?, &path, home.inode, home.owner, held, steps);
    journal.commit(&plan)?;
    Ok((shelf, plan, workspace))
}

/// What was chosen, and the new directories that it lies in.
fn with_parents(shelf: &Shelf, ids: &BTreeSet<u64>) -> Vec<Kept> {
    let is_chosen = |kept: &&Kept| ids.contains(&kept.id());
    let mut dirs = BTreeSet::new();
    for kept in shelf.items().iter().filter(is_chosen) {
        let mut above = kept.path().parent();
        // Those above a directory that was met before were met with it.
        while let Some(dir) = above.filter(|dir| !dirs.contains(dir)) {
            above = dir.parent();
            dirs.insert(dir);
        }
    }
    let above = |dir: &Kept| {
        let makes_dir = dir.steps().iter().any(|step| matches!(step.after, After::Dir { .. }));
        makes_dir && !dir.is_conflict() && dirs.contains(dir.path())
    };
    shelf.items().iter().filter(|kept| is_chosen(kept) || above(kept)).cloned().collect()
}

/// References and index of a repository land with all that waits in it, and never over references that moved.
fn check_units(shelf: &Shelf, chosen: &[Kept]) -> Result<(), WritebackError> {
    let ids: BTreeSet<u64> = chosen.iter().map(Kept::id).collect();
    let mut whole = BTreeSet::new();
    for kept in chosen {
        let Some(unit) = kept.git_dir() else { continue };
        if kept.is_conflict() {
            return Err(WritebackError::GitMoved { path: kept.path().clone() });
        }
        if whole.contains(unit) {
            continue;
        }
        let left_out = |item: &&Kept| {
            item.path().is_inside(unit)
                && (item.is_waiting() || item.git_dir() == Some(unit))
                && !ids.contains(&item.id())
        };
        if shelf.items().iter().any(|item| left_out(&item)) {
            return Err(WritebackError::Apart { path: kept.path().clone(), unit: unit.clone() });
        }
        whole.insert(unit);
    }
    Ok(())
}

/// The step that puts the session's version in the place of what the host has now, whose version goes on the shelf first.
fn over(
    shelf: &mut Shelf,
    workspace: BorrowedFd<'_>,
    kept: &Kept,
    mut steps: Vec<Step>,
) -> Result<Vec<Step>, WritebackError> {
    let by_hand = || WritebackError::ByHand { path: kept.path().clone() };
    let [step] = steps.as_mut_slice() else { return Err(by_hand()) };
    if matches!(step.after, After::Dir { .. } | After::Mode { .. }) {
        return Err(by_hand());
    }
    let dir =
        open_dir(workspace, kept.path().parent().as_ref(), OFlags::PATH).map_err(|_| by_hand())?;
    let failed = |e| WritebackError::io("look at", Some(kept.path()), e);
    let now = look(dir.as_fd(), kept.path().name()).map_err(failed)?;
    step.before = now.as_ref().map(Print::of);
    match step.before.map(|print| print.shape) {
        None | Some(Shape::Link) => Ok(steps),
        Some(Shape::Dir | Shape::Other) => Err(by_hand()),
        Some(Shape::File) => {
            let (mut file, stat) = open_file(dir.as_fd(), kept.path().name()).map_err(failed)?;
            let print = Print::of(&stat);
            if step.before != Some(print) {
                return Err(WritebackError::Moved { path: kept.path().clone() });
            }
            let mode = stat.st_mode & 0o777;
            let after = After::File { at: 0, digest: [0; 32], size: 0, mode, mtime: print.mtime };
            let back = Step { after, before: None, shelved: None, phase: 3, ..step.clone() };
            let what = "this machine's own version".to_owned();
            let why = "the session's version was put in its place".to_owned();
            let aside = Aside {
                path: kept.path(),
                what,
                why,
                conflict: true,
                waiting: false,
                mode,
                steps: vec![back],
                unit: None,
            };
            shelf.keep(aside, Some(&mut file))?;
            Ok(steps)
        }
    }
}

/// Copies the contents from the shelf into the journal, and checks that they are what was kept.
fn stage(journal: &Journal, shelf: &Shelf, steps: &[Step]) -> Result<(), WritebackError> {
    let contents = journal.begin(steps)?;
    let by_id = by_id(shelf);
    for step in steps {
        let After::File { at, digest: wanted, size, .. } = step.after else { continue };
        let kept = step.shelved.and_then(|id| by_id.get(&id));
        let moved = || WritebackError::Moved { path: step.path.clone() };
        let file = kept.and_then(|kept| kept.contents()).ok_or_else(moved)?;
        let failed = |e| WritebackError::state("read a held change in", shelf.dir(), e);
        let mut file = File::open(shelf.dir().join(file)).map_err(failed)?;
        let mut end = at;
        let found = digest(&mut file, |chunk| {
            contents.write_all_at(chunk, end)?;
            end += chunk.len() as u64;
            Ok(())
        })
        .map_err(failed)?;
        if found != (wanted, size) {
            return Err(moved());
        }
    }
    Ok(())
}

/// The workspace that the changes on a shelf belong to, if it is still that one.
fn open_home(home: &Home) -> Result<OwnedFd, WritebackError> {
    let path = home.path().unwrap_or_default();
    let gone = || WritebackError::HomeGone { path: path.clone() };
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let workspace = open(&path, flags, Mode::empty()).map_err(|_| gone())?;
    if fstat(&workspace).map_err(|_| gone())?.st_ino == home.inode {
        Ok(workspace)
    } else {
        Err(gone())
    }
}

/// Why a step that began on the shelf stays there.
pub(super) fn outcome(
    shelf: &mut Shelf,
    ended: &[(u64, Option<Clash>)],
) -> Result<(), WritebackError> {
    let mut landed: BTreeSet<u64> = ended.iter().map(|(id, _)| *id).collect();
    for (id, clash) in ended {
        if let Some(clash) = clash {
            landed.remove(id);
            shelf.clashes(*id, *clash);
        }
    }
    shelf.remove(&landed)
}
