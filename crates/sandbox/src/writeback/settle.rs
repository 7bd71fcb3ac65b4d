//! Which changes stand or fall together?

use super::change::{Change, Clash, Kind, Verdict};
use super::host::Shape;
use super::path::RelPath;
use std::collections::{BTreeMap, BTreeSet};

/// Carries verdicts and conflicts from one change to those that make no sense without it.
pub(super) fn settle(items: &mut [Change], copies: &[usize]) {
    tell_renamed_from_deleted(items, copies);
    clash_git_units(items);
    withhold_empty_dirs(items);
}

/// A file that began as a copy of a host entry and that the host does not have was renamed by the session, or deleted by the host. A rename
/// leaves the old name removed; without a removed file of the same last name, or the same size and time, the host deleted it.
fn tell_renamed_from_deleted(items: &mut [Change], copies: &[usize]) {
    if copies.is_empty() {
        return;
    }
    let mut by_name = BTreeSet::new();
    let mut by_print = BTreeSet::new();
    for item in items.iter() {
        let own = item
            .before
            .map(|print| (&item.path, print))
            .filter(|_| matches!(item.kind, Kind::Deleted));
        let inside = item.clear.iter().map(|(path, print)| (path, *print));
        for (path, print) in
            own.into_iter().chain(inside).filter(|(_, print)| print.shape == Shape::File)
        {
            by_name.insert(path.name().to_vec());
            by_print.insert((print.size, print.mtime));
        }
    }
    for index in copies {
        if let Some(item) = items.get_mut(*index)
            && !by_name.contains(item.path.name())
            && !by_print.contains(&(item.size, item.mtime))
        {
            item.conflict.get_or_insert(Clash::DeletedOnHost);
        }
    }
}

/// A branch that moved with an index that did not is a repository that shows the session's work as undone: references, logs and index
/// of one git directory land together or not at all. Objects always land; without a reference they are inert.
fn clash_git_units(items: &mut [Change]) {
    let clashing: BTreeSet<Vec<u8>> = items
        .iter()
        .filter(|item| item.conflict.is_some())
        .filter_map(|item| item.git_unit.clone())
        .collect();
    for item in items
        .iter_mut()
        .filter(|item| item.git_unit.as_ref().is_some_and(|unit| clashing.contains(unit)))
    {
        item.conflict.get_or_insert(Clash::GitMoved);
    }
}

/// A new directory in which nothing lands would be a ghost on the host, so it does not land either.
fn withhold_empty_dirs(items: &mut [Change]) {
    let mut below: BTreeMap<RelPath, Below> = BTreeMap::new();
    // Children come after their parents.
    for item in items.iter_mut().rev() {
        if item.kind == Kind::CreatedDir
            && item.lands()
            && let Some(Below { lands: false, withheld: Some((verdict, clash)) }) =
                below.get(&item.path)
        {
            item.verdict = verdict.clone();
            item.conflict = *clash;
        }
        if let Some(parent) = item.path.parent() {
            let entry = below.entry(parent).or_default();
            entry.lands |= item.lands();
            // What is dropped is gone for good: the directory may as well stand empty.
            if !matches!(item.verdict, Verdict::Drop(_)) {
                entry.withheld = Some((item.verdict.clone(), item.conflict));
            }
        }
    }
}

/// What became of the entries of a directory.
#[derive(Default)]
struct Below {
    lands: bool,
    withheld: Option<(Verdict, Option<Clash>)>,
}
