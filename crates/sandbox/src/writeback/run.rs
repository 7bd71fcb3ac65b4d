//! How do the changes that may land get there, all of them, also when we are killed in between?

use super::change::{Change, Clash, Digest, DropReason, Kind, Notable, Verdict};
use super::held::{Aside, Home, Kept, Shelf};
use super::host::{digest, open_dir, proc_path};
use super::journal::{After, Journal, Plan, Step, Stretch, steps, steps_of};
use super::land::{Ground, Landing, land, tidy};
use super::links::Links;
use super::path::RelPath;
use super::upper::open_regular;
use super::{Changes, Options, WritebackError, judge, release};
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What a write-back did.
#[derive(Debug, Default)]
pub struct Applied {
    landed: Vec<Landed>,
    kept: Vec<Kept>,
    dropped: Vec<(RelPath, DropReason)>,
    stripped: Vec<RelPath>,
}

impl Landed {
    /// What a person should know of it: that a build, a tool or an agent will run or read it.
    #[must_use]
    pub fn notable(&self) -> Option<Notable> {
        judge::notable(&self.path, &self.kind)
    }
}

impl Applied {
    /// The changes that are on the host now.
    #[must_use]
    pub fn landed(&self) -> &[Landed] {
        &self.landed
    }

    /// The changes that are kept in the held directory: held for what they are, or in conflict with the host's own.
    #[must_use]
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// The changes that exist nowhere any more.
    #[must_use]
    pub fn dropped(&self) -> &[(RelPath, DropReason)] {
        &self.dropped
    }

    /// What lost permission bits on its way: setuid, setgid, sticky, or what would have let others do more with it than before.
    #[must_use]
    pub fn stripped(&self) -> &[RelPath] {
        &self.stripped
    }

    /// Of changes none of which was to land.
    pub(super) fn kept_only(kept: Vec<Kept>, changes: &Changes) -> Self {
        let mut applied = Self { kept, ..Self::default() };
        applied.tell_dropped(changes);
        applied
    }

    fn tell_dropped(&mut self, changes: &Changes) {
        for change in &changes.items {
            if let Verdict::Drop(reason) = change.verdict {
                self.dropped.push((change.path.clone(), reason));
            }
        }
    }
}

/// A change that is on the host now.
#[derive(Debug, Clone)]
pub struct Landed {
    /// Where.
    pub path: RelPath,
    /// What was done.
    pub kind: Kind,
    /// SHA-256 of the new contents, for a file that has new contents.
    pub digest: Option<Digest>,
}

/// What became of a write-back that was interrupted.
#[derive(Debug)]
#[must_use = "an interrupted write-back must be reported to the person"]
pub enum Recovery {
    /// Another process is still working on it.
    Busy,
    /// There was none, or one that had only begun to land what is still on the shelf.
    Nothing,
    /// It had not begun to touch the host, and does not: what was staged by then stays in the journal (`contents`, described by `names.txt`: offset, size, path).
    NotApplied,
    /// It was finished.
    Resumed(Applied),
}

pub(super) fn apply(
    changes: &Changes,
    upper: BorrowedFd<'_>,
    workspace: BorrowedFd<'_>,
    options: Options<'_>,
) -> Result<Applied, WritebackError> {
    let Options { owner, journal: dir, held, progress } = options;
    let home = home(changes, workspace, owner)?;
    if changes.items.is_empty() {
        return Ok(Applied::default());
    }
    let busy = || WritebackError::JournalBusy { path: dir.to_owned() };
    let journal = Journal::open(dir, true)?.ok_or_else(busy)?;
    if !journal.is_empty()? {
        return Err(busy());
    }
    let mut steps = steps(&changes.items);
    let total = steps.len() as u64 * 2;
    let mut done = 0;
    let mut tick = || {
        done += 1;
        progress(done, total);
    };
    let (path, inode) = (home.path().unwrap_or_default(), home.inode);
    let mut shelf = Shelf::open(held)?.at_home(home);
    let staged =
        stage_all(changes, &journal, upper, &mut steps, &mut shelf, &mut tick).and_then(|()| {
            let plan = Plan::new(random_tag()?, &path, inode, owner, held, steps);
            journal.commit(&plan).map(|()| plan)
        });
    let plan = match staged {
        Ok(plan) => plan,
        // The host is untouched and the upper layer still there: the caller may try again.
        Err(e) => {
            shelf.give_up();
            return journal.remove().and(Err(e));
        }
    };
    let mut applied = run(&journal, &plan, workspace, shelf, false, &mut tick)?;
    applied.tell_dropped(changes);
    for change in &changes.items {
        if change.stripped && change.lands() {
            applied.stripped.push(change.path.clone());
        }
    }
    journal.complete()?;
    Ok(applied)
}

/// The workspace as the changes were listed against it.
pub(super) fn home(
    changes: &Changes,
    workspace: BorrowedFd<'_>,
    owner: Option<(u32, u32)>,
) -> Result<Home, WritebackError> {
    let stat = fstat(workspace).map_err(|e| WritebackError::io("look at", None, e))?;
    if (stat.st_dev, stat.st_ino) != changes.workspace {
        return Err(WritebackError::OtherWorkspace);
    }
    let path = std::fs::read_link(proc_path(workspace))
        .map_err(|e| WritebackError::file("find the path of", None, e))?;
    Ok(Home::new(&path, stat.st_ino, owner))
}

/// Takes everything out of the upper layer that is to survive it.
fn stage_all(
    changes: &Changes,
    journal: &Journal,
    upper: BorrowedFd<'_>,
    steps: &mut [Step],
    shelf: &mut Shelf,
    tick: &mut dyn FnMut(),
) -> Result<(), WritebackError> {
    let contents = journal.begin(steps)?;
    keep_all(&changes.items, upper, shelf, false, &mut || {})?;
    let seen: BTreeMap<&RelPath, Digest> =
        changes.items.iter().filter_map(|c| Some((&c.path, c.seen?))).collect();
    for step in steps {
        stage(&contents, upper, step, seen.get(&step.path).copied())?;
        tick();
    }
    shelf.save()
}

pub(super) fn recover(
    dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Recovery, WritebackError> {
    if !dir.exists() {
        return Ok(Recovery::Nothing);
    }
    let Some(journal) = Journal::open(dir, false)? else { return Ok(Recovery::Busy) };
    if journal.is_complete() {
        journal.complete()?;
        return Ok(Recovery::Nothing);
    }
    let Some(plan) = journal.plan()? else {
        if journal.is_on_shelf() {
            journal.remove()?;
            return Ok(Recovery::Nothing);
        }
        return Ok(if journal.is_empty()? { Recovery::Nothing } else { Recovery::NotApplied });
    };
    let gone =
        || WritebackError::WorkspaceGone { path: plan.workspace.clone(), journal: dir.to_owned() };
    let (Some(path), Some(held)) = (plan.workspace(), plan.held()) else { return Err(gone()) };
    let workspace =
        open(&path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(|_| gone())?;
    if fstat(&workspace).map_err(|_| gone())?.st_ino != plan.inode {
        return Err(gone());
    }
    let total = plan.steps.len() as u64;
    let mut done = 0;
    let mut tick = || {
        done += 1;
        progress(done, total);
    };
    let shelf = Shelf::open(&held)?.at_home(Home::new(&path, plan.inode, plan.owner));
    let applied = run(&journal, &plan, workspace.as_fd(), shelf, true, &mut tick)?;
    journal.complete()?;
    Ok(Recovery::Resumed(applied))
}

/// Throws away what a write-back that was never applied left behind.
pub(super) fn discard(dir: &Path) -> Result<(), WritebackError> {
    let journal = Journal::open(dir, false)?
        .ok_or_else(|| WritebackError::JournalBusy { path: dir.to_owned() })?;
    journal.remove()
}

/// Puts what does not land on the shelf; and what may land too, when `waits`.
pub(super) fn keep_all(
    items: &[Change],
    upper: BorrowedFd<'_>,
    shelf: &mut Shelf,
    waits: bool,
    tick: &mut dyn FnMut(),
) -> Result<(), WritebackError> {
    for item in items {
        tick();
        let why = match (&item.verdict, item.conflict) {
            (Verdict::Apply, None) if waits => waiting(item),
            (Verdict::Drop(_), _) | (Verdict::Apply, None) => continue,
            (Verdict::Hold(reason), None) => reason.to_string(),
            (Verdict::Hold(reason), Some(clash)) => format!("{reason}; also {clash}"),
            (Verdict::Apply, Some(clash)) => clash.to_string(),
        };
        let mut contents = if matches!(item.kind, Kind::Created | Kind::Modified) {
            open_upper(upper, &item.path).ok()
        } else {
            None
        };
        let aside = Aside {
            path: &item.path,
            what: item.kind.to_string(),
            why,
            conflict: item.conflict.is_some(),
            waiting: item.lands(),
            mode: item.mode,
            steps: steps_of(item),
            unit: item.git_unit.as_ref().and_then(|unit| RelPath::new(unit).ok()),
        };
        shelf.keep(aside, contents.as_mut().map(|file| file as &mut dyn Read))?;
    }
    Ok(())
}

/// What a person should know of a change that nothing speaks against.
fn waiting(item: &Change) -> String {
    item.notable().map_or_else(|| "waits for a look".to_owned(), |notable| notable.to_string())
}

/// Copies a file's new contents out of the upper layer, which does not outlive us.
fn stage(
    contents: &File,
    upper: BorrowedFd<'_>,
    step: &mut Step,
    seen: Option<Digest>,
) -> Result<(), WritebackError> {
    let After::File { at, digest: staged, size, .. } = &mut step.after else { return Ok(()) };
    let mut from = open_upper(upper, &step.path)
        .map_err(|e| WritebackError::io("read the change to", Some(&step.path), e))?;
    let mut end = *at;
    let (found, length) = digest(&mut from, |chunk| {
        contents.write_all_at(chunk, end)?;
        end += chunk.len() as u64;
        Ok(())
    })
    .map_err(|e| WritebackError::file("stage the change to", Some(&step.path), e))?;
    // A file that grew would also run into its neighbour.
    if length != *size || seen.is_some_and(|seen| seen != found) {
        return Err(WritebackError::Moved { path: step.path.clone() });
    }
    *staged = found;
    Ok(())
}

fn open_upper(upper: BorrowedFd<'_>, path: &RelPath) -> rustix::io::Result<File> {
    let dir = open_dir(upper, path.parent().as_ref(), OFlags::PATH)?;
    open_regular(dir.as_fd(), path.name(), 0)
}

/// Carries out a committed plan, for the first time or again after a crash.
pub(super) fn run(
    journal: &Journal,
    plan: &Plan,
    workspace: BorrowedFd<'_>,
    mut shelf: Shelf,
    again: bool,
    tick: &mut dyn FnMut(),
) -> Result<Applied, WritebackError> {
    let contents = File::open(journal.contents())
        .map_err(|e| WritebackError::state("read the staged contents in", journal.dir(), e))?;
    let ground = Ground { workspace, owner: plan.owner, tag: &plan.tag };
    let (mut applied, mut ended) = (Applied::default(), Vec::new());
    let mut links = Links::of(&plan.steps);
    for (number, step) in plan.steps.iter().enumerate() {
        let step = links.expect(number, step);
        let stopped = |source| WritebackError::Stopped {
            path: step.path.clone(),
            journal: journal.dir().to_owned(),
            source,
        };
        if again && let Some(mut found) = tidy(&ground, number, &step).map_err(stopped)? {
            let why = "it was being changed on this machine at the moment of a crash".to_owned();
            let what = "the host's own file".to_owned();
            let (path, conflict, mode) = (&step.path, true, 0o600);
            let (waiting, steps, unit) = (false, Vec::new(), None);
            let aside = Aside { path, what, why, conflict, waiting, mode, steps, unit };
            shelf.keep(aside, Some(&mut found))?;
        }
        let others = links.untouched(workspace, number);
        let landing =
            land(&ground, number, &step, Stretch::of(&step, &contents)).map_err(stopped)?;
        links.touched(workspace, &others);
        if let Some(id) = step.shelved {
            let clash = if let Landing::Clash(clash) = landing { Some(clash) } else { None };
            ended.push((id, clash));
        }
        match landing {
            Landing::Clash(_) if step.shelved.is_some() => {}
            Landing::Done => applied.landed.extend(step.kind.clone().map(|kind| Landed {
                path: step.path.clone(),
                kind,
                digest: step.digest(),
            })),
            Landing::Clash(clash) => set_aside(&mut shelf, &step, clash, &contents, again)?,
        }
        tick();
    }
    // The journal is forgotten only when the host's disk has it all.
    open_dir(workspace, None, OFlags::RDONLY)
        .and_then(rustix::fs::syncfs)
        .map_err(|e| WritebackError::io("make the changes durable in", None, e))?;
    release::outcome(&mut shelf, &ended)?;
    shelf.save()?;
    applied.kept = shelf.fresh;
    Ok(applied)
}

/// Keeps a change that met something on the host after it was listed.
fn set_aside(
    shelf: &mut Shelf,
    step: &Step,
    clash: Clash,
    contents: &File,
    again: bool,
) -> Result<(), WritebackError> {
    let (what, mode) = match &step.after {
        After::Absent => ("deleted".to_owned(), 0),
        After::Dir { mode } | After::Mode { mode } | After::File { mode, .. } => {
            (step.kind.as_ref().map(Kind::to_string).unwrap_or_default(), *mode)
        }
        After::Link { target } => (format!("link to `{target}`"), 0o777),
    };
    // Resumed, it may meet again what it kept before the crash.
    if again && shelf.has(&step.path, &what, step.digest()) {
        return Ok(());
    }
    let mut stretch = Stretch::of(step, contents);
    let stretch = stretch.as_mut().map(|stretch| stretch as &mut dyn Read);
    let (path, why, conflict, waiting) = (&step.path, clash.to_string(), true, false);
    let (steps, unit) = (vec![step.clone()], None);
    let aside = Aside { path, what, why, conflict, waiting, mode, steps, unit };
    shelf.keep(aside, stretch)
}

pub(super) fn random_tag() -> Result<String, WritebackError> {
    let mut bytes = [0u8; 16];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|e| WritebackError::io("get random numbers for", None, e))?;
    let number = u128::from_ne_bytes(bytes);
    if filled == bytes.len() {
        Ok(format!("{number:032x}"))
    } else {
        Err(WritebackError::io("get random numbers for", None, Errno::IO))
    }
}
