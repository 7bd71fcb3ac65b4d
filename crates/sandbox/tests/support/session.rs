//! What came of a box's changes, and what does the person's git make of it?
use super::{Outcome, Place, drain, open_place};
use bartizan_sandbox::Running;
use bartizan_sandbox::writeback::{self, Applied, Change, HoldReason, Verdict};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::process::Command;

/// What came of one box: how it ended, what the gate made of its changes, and what was done with them.
pub(crate) struct Session {
    pub(crate) outcome: Outcome,
    /// The verdict on each path.
    verdicts: BTreeMap<Vec<u8>, Verdict>,
    /// The changes line by line, for comparing.
    pub(crate) lines: Vec<String>,
    applied: Applied,
}

impl Session {
    /// Runs a box and leads its changes through the gate.
    pub(crate) fn of(place: &Place, start: impl FnOnce() -> Running) -> Self {
        // What was made just now must be older than the session by the kernel's coarse clock.
        std::thread::sleep(std::time::Duration::from_millis(30));
        let since = writeback::session_start();
        let mut running = start();
        let outcome = drain(&mut running).succeeded();
        let (upper, workspace) =
            (running.upper.as_ref().unwrap().as_fd(), running.workspace.as_fd());
        let changes = writeback::list(upper, workspace, since).unwrap();
        let (journal, held) = (place.path("journal"), place.path("held"));
        let options = writeback::Options {
            owner: None,
            journal: &journal,
            held: &held,
            progress: &mut |_, _| {},
        };
        let applied = writeback::apply(&changes, upper, workspace, options).unwrap();
        let line = |change: &Change| {
            let lands = if change.lands() { "" } else { " (held)" };
            format!("{} {}{lands}", change.kind(), change.path())
        };
        let mut lines: Vec<_> = changes.iter().map(line).collect();
        lines.sort();
        let verdicts = changes
            .iter()
            .map(|one| (one.path().as_bytes().to_vec(), one.verdict().clone()))
            .collect();
        Self { outcome, verdicts, lines, applied }
    }

    #[track_caller]
    pub(crate) fn why_held(&self, path: &str) -> &HoldReason {
        match self.verdicts.get(path.as_bytes()) {
            Some(Verdict::Hold(reason)) => reason,
            other => panic!("{path}: {other:?}\n{:#?}", self.lines),
        }
    }

    pub(crate) fn has_landed(&self, path: &str) -> bool {
        self.applied.landed().iter().any(|one| one.path.to_string() == path)
    }

    /// What was held, for the table.
    pub(crate) fn held(&self) -> String {
        self.lines
            .iter()
            .filter(|line| line.ends_with("(held)"))
            .cloned()
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// A place whose workspace is a repository of the person's with one commit.
pub(crate) fn repository() -> Place {
    let place = open_place();
    on_host(&place, "git init -q . && git add -A && git commit -qm one");
    place
}

/// Does something outside the box, in the workspace, and returns what it said.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a test plays the person outside")]
pub(crate) fn on_host(place: &Place, script: &str) -> String {
    let output = Command::new("bash")
        .args(["-ec", script])
        .current_dir(&place.workspace)
        .env("HOME", place.path("person"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "person")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "p@example.org")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names at the top of the workspace.
pub(crate) fn top(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(&place.workspace).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// So that `git commit` knows an author in the box.
pub(crate) const AUTHOR: &str =
    "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b;";
