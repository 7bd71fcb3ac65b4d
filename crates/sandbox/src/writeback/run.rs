//! How do the changes that may land get there, all of them, also when we are killed in between?

use super::change::{Change, Clash, Digest, DropReason, Kind, Verdict};
use super::held::{Kept, Shelf};
use super::host::{digest, open_dir, proc_path};
use super::journal::{After, Journal, Plan, Step, steps};
use super::land::{Ground, Landing, land, tidy};
use super::path::RelPath;
use super::upper::open_regular;
use super::{Changes, Options, WritebackError};
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What a write-back did.
#[derive(Debug, Default)]
pub struct Applied {
    landed: Vec<Landed>,
    kept: Vec<Kept>,
    dropped: Vec<(RelPath, DropReason)>,
    stripped: Vec<RelPath>,
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

    /// The files that lost a setuid, setgid or sticky bit.
    #[must_use]
    pub fn stripped(&self) -> &[RelPath] {
        &self.stripped
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
    /// There was none.
    Nothing,
    /// It had not begun to touch the host, and does not: what was staged by then stays in the journal (`data/`, named in `names.txt`).
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
    let stat =
        fstat(workspace).map_err(|e| WritebackError::io("look at the workspace", None, e))?;
    if (stat.st_dev, stat.st_ino) != changes.workspace {
        return Err(WritebackError::OtherWorkspace);
    }
    let journal = Journal::open(dir, true)?
        .ok_or_else(|| WritebackError::JournalBusy { path: dir.to_owned() })?;
    if !journal.is_empty()? {
        return Err(WritebackError::JournalBusy { path: dir.to_owned() });
    }
    let mut plan_steps = steps(&changes.items);
    let total = plan_steps.len() as u64 * 2;
    let mut done = 0;
    let mut tick = || {
        done += 1;
        progress(done, total);
    };
    let names: Vec<(u64, &RelPath)> = plan_steps
        .iter()
        .filter_map(|s| {
            if let After::File { data, .. } = s.after { Some((data, &s.path)) } else { None }
        })
        .collect();
    journal.begin(&names)?;
    let mut shelf = Shelf::open(held)?;
    keep_all(&changes.items, upper, &mut shelf)?;
    let seen: std::collections::BTreeMap<&RelPath, Digest> =
        changes.items.iter().filter_map(|c| Some((&c.path, c.seen?))).collect();
    for step in &mut plan_steps {
        stage(&journal, upper, step, seen.get(&step.path).copied())?;
        tick();
    }
    shelf.save()?;
    let path = std::fs::read_link(proc_path(workspace))
        .map_err(|e| WritebackError::file("find the path of the workspace", None, e))?;
    let plan = Plan::new(random_tag()?, &path, stat.st_ino, owner, held, plan_steps);
    journal.commit(&plan)?;
    let mut applied = run(&journal, &plan, workspace, shelf, false, &mut tick)?;
    for change in &changes.items {
        if let Verdict::Drop(reason) = change.verdict {
            applied.dropped.push((change.path.clone(), reason));
        }
        if change.stripped && change.lands() {
            applied.stripped.push(change.path.clone());
        }
    }
    journal.remove()?;
    Ok(applied)
}

pub(super) fn recover(
    dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Recovery, WritebackError> {
    if !dir.exists() {
        return Ok(Recovery::Nothing);
    }
    let Some(journal) = Journal::open(dir, false)? else { return Ok(Recovery::Busy) };
    let Some(plan) = journal.plan()? else {
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
    let applied = run(&journal, &plan, workspace.as_fd(), Shelf::open(&held)?, true, &mut tick)?;
    journal.remove()?;
    Ok(Recovery::Resumed(applied))
}

/// Throws away what a write-back that was never applied left behind.
pub(super) fn discard(dir: &Path) -> Result<(), WritebackError> {
    let journal = Journal::open(dir, false)?
        .ok_or_else(|| WritebackError::JournalBusy { path: dir.to_owned() })?;
    journal.remove()
}

/// Puts what does not land on the shelf.
fn keep_all(
    items: &[Change],
    upper: BorrowedFd<'_>,
    shelf: &mut Shelf,
) -> Result<(), WritebackError> {
    for item in items {
        let why = match (&item.verdict, item.conflict) {
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
        shelf.keep(
            &item.path,
            item.kind.to_string(),
            why,
            item.conflict.is_some(),
            item.mode,
            contents.as_mut(),
        )?;
    }
    Ok(())
}

/// Copies a file's new contents out of the upper layer, which does not outlive us.
fn stage(
    journal: &Journal,
    upper: BorrowedFd<'_>,
    step: &mut Step,
    seen: Option<Digest>,
) -> Result<(), WritebackError> {
    let After::File { data, digest: staged, size, .. } = &mut step.after else { return Ok(()) };
    let mut from = open_upper(upper, &step.path)
        .map_err(|e| WritebackError::io("read the change to", Some(&step.path), e))?;
    let path = journal.data(*data);
    let failed = |e| WritebackError::state("stage a change in", &path, e);
    let mut to =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    let (found, length) = digest(&mut from, |chunk| to.write_all(chunk)).map_err(failed)?;
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

/// Carries out a committed plan.
fn run(
    journal: &Journal,
    plan: &Plan,
    workspace: BorrowedFd<'_>,
    mut shelf: Shelf,
    again: bool,
    tick: &mut dyn FnMut(),
) -> Result<Applied, WritebackError> {
    let ground = Ground { workspace, owner: plan.owner, tag: &plan.tag };
    let mut applied = Applied::default();
    for (number, step) in plan.steps.iter().enumerate() {
        let stopped = |e| WritebackError::Stopped {
            path: step.path.clone(),
            journal: journal
                .data(0)
                .parent()
                .and_then(Path::parent)
                .map(Path::to_owned)
                .unwrap_or_default(),
            source: e,
        };
        if again && let Some(mut found) = tidy(&ground, number, step).map_err(stopped)? {
            shelf.keep(
                &step.path,
                "the host's own file".to_owned(),
                "it was being changed on this machine at the moment of a crash".to_owned(),
                true,
                0o600,
                Some(&mut found),
            )?;
        }
        let (data, digest) = match &step.after {
            After::File { data, digest, .. } => (Some(journal.data(*data)), Some(*digest)),
            _ => (None, None),
        };
        match land(&ground, number, step, data.as_deref()).map_err(stopped)? {
            Landing::Done => applied.landed.extend(step.kind.clone().map(|kind| Landed {
                path: step.path.clone(),
                kind,
                digest,
            })),
            Landing::Clash(clash) => set_aside(&mut shelf, step, clash, data.as_deref())?,
        }
        tick();
    }
    // The journal is forgotten only when the host's disk has it all.
    rustix::fs::syncfs(workspace)
        .map_err(|e| WritebackError::io("make the changes durable in", None, e))?;
    shelf.save()?;
    applied.kept = shelf.fresh;
    Ok(applied)
}

/// Keeps a change that met something on the host after it was listed.
fn set_aside(
    shelf: &mut Shelf,
    step: &Step,
    clash: Clash,
    data: Option<&Path>,
) -> Result<(), WritebackError> {
    // A resumed write-back may meet again what it kept before.
    if shelf.has(&step.path) {
        return Ok(());
    }
    let (what, mode) = match &step.after {
        After::Absent => ("deleted".to_owned(), 0),
        After::Dir { mode } | After::Mode { mode } | After::File { mode, .. } => {
            (step.kind.as_ref().map(Kind::to_string).unwrap_or_default(), *mode)
        }
        After::Link { target } => (format!("link to `{target}`"), 0o777),
    };
    let mut contents = match data {
        Some(data) => Some(
            File::open(data).map_err(|e| WritebackError::state("read the staged copy", data, e))?,
        ),
        None => None,
    };
    shelf.keep(&step.path, what, clash.to_string(), true, mode, contents.as_mut())
}

fn random_tag() -> Result<String, WritebackError> {
    let mut bytes = [0u8; 16];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|e| WritebackError::io("get random numbers for", None, e))?;
    Ok(bytes.iter().take(filled).map(|b| format!("{b:02x}")).collect())
}
