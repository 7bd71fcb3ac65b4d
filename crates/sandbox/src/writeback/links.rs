//! Which steps are about several names of one file? Landing one of them changes the times of the others, and that is no change of the
//! host's.

use super::host::{Print, Shape, look, open_dir};
use super::journal::Step;
use super::path::RelPath;
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

/// The steps of one write-back that meet files with several names.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// The places of the steps, by the file's number.
    groups: BTreeMap<u64, Vec<(usize, RelPath)>>,
    /// What a step is to meet instead of what was listed.
    now: BTreeMap<usize, Print>,
    listed: BTreeMap<usize, Print>,
}

impl Links {
    pub(super) fn of(steps: &[Step]) -> Self {
        let mut links = Self::default();
        for (number, step) in steps.iter().enumerate() {
            if let Some(before) = step.before.filter(|print| print.shape == Shape::File) {
                links.groups.entry(before.ino).or_default().push((number, step.path.clone()));
                links.listed.insert(number, before);
            }
        }
        links.groups.retain(|_, names| names.len() > 1);
        links
    }

    /// The step, with what it is to meet by now.
    pub(super) fn expect(&self, number: usize, step: &Step) -> Step {
        let before = self.now.get(&number).copied().or(step.before);
        Step { before, ..step.clone() }
    }

    /// The later names of the file that this step is about, as far as they are what they are expected to be. Asked before the step.
    pub(super) fn untouched(&self, workspace: BorrowedFd<'_>, number: usize) -> Vec<usize> {
        let Some(group) = self.listed.get(&number).and_then(|print| self.groups.get(&print.ino))
        else {
            return Vec::new();
        };
        let later = group.iter().filter(|(other, _)| *other > number);
        let is_untouched = |(other, path): &&(usize, RelPath)| {
            let expected = self.now.get(other).or_else(|| self.listed.get(other));
            let found = print_at(workspace, path);
            expected.zip(found).is_some_and(|(expected, found)| expected.is_still(&found))
        };
        later.filter(is_untouched).map(|(other, _)| *other).collect()
    }

    /// Takes what the step did to these names for granted: nothing but the time of the last change may differ.
    pub(super) fn touched(&mut self, workspace: BorrowedFd<'_>, others: &[usize]) {
        for other in others {
            let Some(listed) = self.listed.get(other) else { continue };
            let group = self.groups.get(&listed.ino).into_iter().flatten();
            let path = group.clone().find(|(number, _)| number == other).map(|(_, path)| path);
            let found = path.and_then(|path| print_at(workspace, path));
            if let Some(found) = found.filter(|found| listed.is_still_renamed(found)) {
                self.now.insert(*other, found);
            }
        }
    }
}

fn print_at(workspace: BorrowedFd<'_>, path: &RelPath) -> Option<Print> {
    let dir = open_dir(workspace, path.parent().as_ref(), OFlags::PATH).ok()?;
    look(dir.as_fd(), path.name()).ok().flatten().map(|stat| Print::of(&stat))
}
