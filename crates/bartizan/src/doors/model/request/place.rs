//! Where does a text of a request come from, and how far is it trusted?

use super::super::scrub::SKILL;
use bartizan_scan::Trust;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Component, Path};

/// Where text from outside stands: what its markers are made from, and what they say.
pub(in super::super) struct Place {
    pub(in super::super) call: Option<String>,
    pub(in super::super) source: String,
    pub(in super::super) trust: Trust,
    pub(in super::super) tool: Option<String>,
}

impl Place {
    pub(in super::super) fn user() -> Self {
        let source = "attachment".to_owned();
        Self { call: None, source, trust: Trust::Untrusted, tool: None }
    }

    pub(in super::super) fn result(id: &str, tool: &str) -> Self {
        let trust =
            if WORKSPACE_TOOLS.contains(&tool) { Trust::Workspace } else { Trust::Untrusted };
        let (call, source) = (Some(format!("call {id}")), format!("result of {tool}"));
        Self { call, source, trust, tool: Some(tool.to_owned()) }
    }

    /// What an earlier call brought back, read from the file in which the client keeps what is too long to be shown. It may be
    /// of any tool.
    pub(in super::super) fn kept(id: &str) -> Self {
        let (call, source) = (Some(format!("call {id}")), "output that the client kept".to_owned());
        Self { call, source, trust: Trust::Untrusted, tool: None }
    }

    /// One part of it, with markers of its own.
    pub(in super::super) fn part(&self, at: usize) -> Self {
        let call = self.call.as_ref().map(|call| {
            let mut call = call.clone();
            // Writing to a string cannot fail.
            write!(call, " {at}").unwrap_or_default();
            call
        });
        Self { call, source: self.source.clone(), trust: self.trust, tool: self.tool.clone() }
    }
}

/// Whether a path leads to what Claude Code keeps of earlier calls: under its own folder, or where its tasks write.
pub(super) fn is_kept(path: &str, workspace: &str) -> bool {
    let whole = Path::new(workspace).join(path);
    let mut names: Vec<&OsStr> = Vec::new();
    for component in whole.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => drop(names.pop()),
            Component::CurDir | Component::Prefix(_) | Component::RootDir => {}
        }
    }
    let in_folder = names.windows(2).any(|pair| pair == KEEPS);
    let [tmp, tasks, ..] = &*names else { return in_folder };
    in_folder || (*tmp == "tmp" && tasks.to_str().is_some_and(|name| name.starts_with("claude-")))
}

/// Where in a home directory.
const KEEPS: [&str; 2] = [".claude", "projects"];

/// Whose words stand in a text that the client wrote.
pub(super) fn origin(text: &str) -> (&'static str, Trust) {
    let from_outside =
        ["<task-notification", "SYSTEM NOTIFICATION", "<teammate-message", "<untrusted-content"];
    if text.starts_with(SKILL) {
        ("skill", Trust::Workspace)
    } else if from_outside.iter().any(|mark| text.contains(mark)) {
        ("client notification", Trust::Untrusted)
    } else if text.contains("# MCP Server Instructions") {
        ("MCP server instructions", Trust::Untrusted)
    } else {
        ("client context", Trust::Workspace)
    }
}

/// What a text of the client says once its own wrapping is off: the same words come with every session, and read like
/// orders. Only what stands at the very ends is taken for the client's.
pub(super) fn said(text: &str) -> &str {
    let Some(inner) = text
        .trim()
        .strip_prefix("<system-reminder>")
        .and_then(|text| text.strip_suffix("</system-reminder>"))
    else {
        return text;
    };
    let inner = inner.trim_start();
    OPENINGS.iter().find_map(|opening| inner.strip_prefix(opening)).unwrap_or(inner)
}

/// How the client's reminders begin, as its releases write them.
const OPENINGS: [&str; 2] = [
    "Codebase and user instructions are shown below. Be sure to adhere to these instructions. IMPORTANT: These instructions OVERRIDE any default behavior and you MUST follow them exactly as written.",
    "As you answer the user's questions, you can use the following context:",
];

/// Tools that return what is in the workspace.
const WORKSPACE_TOOLS: [&str; 6] = ["Edit", "Glob", "Grep", "NotebookEdit", "Read", "Write"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_keeps_is_known_by_where_it_is() {
        for path in [
            "/home/anna/.claude/projects/-w/1/tool-results/a.txt",
            "../anna/.claude/projects",
            "/home/anna/.claude/x/../projects/a",
            "/tmp/claude-1000/-w/1/tasks/a.output",
        ] {
            assert!(is_kept(path, "/home/w"), "{path}");
        }
        for path in
            ["a.txt", ".claude/settings.json", "/tmp/a", "/home/w/projects/.claude", "/claude-1"]
        {
            assert!(!is_kept(path, "/home/w"), "{path}");
        }
    }

    #[test]
    fn only_the_clients_own_wrapping_is_taken_off() {
        for opening in OPENINGS {
            let whole = format!("<system-reminder>\n{opening}\n\n# Rules\n</system-reminder>\n");
            assert_eq!(said(&whole), "\n\n# Rules\n");
        }
        for text in [
            "ignore this <system-reminder>x</system-reminder>",
            "<system-reminder>never ended",
            OPENINGS[0],
        ] {
            assert_eq!(said(text), text);
        }
        let twice =
            "<system-reminder>a</system-reminder> obey <system-reminder>b</system-reminder>";
        assert_eq!(said(twice), "a</system-reminder> obey <system-reminder>b");
    }
}
