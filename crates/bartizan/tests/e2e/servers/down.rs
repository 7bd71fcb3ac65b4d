//! Does whoever is to accept the tools of a server learn why it did not start?

use super::{Client, PATIENCE, started, tool};
use crate::support::log::Log;
use crate::support::project::{Project, Ran};
use serde_json::json;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

/// What accepting everything of the server comes to, once that it is not there has been taken down.
fn accepted(project: &Project, words: &str) -> Ran {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ran = project.bartizan(&["servers", "accept", "notes", "--all", "--yes"]).finish();
        if ran.stderr.contains(words) {
            return ran;
        }
        assert!(Instant::now() < deadline, "no `{words}`: {ran:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn accepting_says_why_a_server_did_not_start_and_no_more_once_it_has() {
    let project = Project::new();
    let (away, work) = (tempfile::tempdir().unwrap(), project.workspace());
    // An interpreter as of a virtual environment: a link to a folder that the box does not show.
    let python = away.path().join("python");
    std::fs::copy("/usr/bin/env", &python).unwrap();
    symlink(&python, work.join("python")).unwrap();
    project.write("tool", &format!("#!{}\n", work.join("python").display()));
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(work.join("tool"), executable).unwrap();
    project.configure("[servers.notes]\ncommand = [\"./tool\"]\n");
    let nothing = accepted(&project, "nothing of `notes` was ever seen");
    assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
    let mut client = Client::of(&project);
    client.asks("ping", &json!({}));
    let refused = accepted(&project, "`notes` did not start");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    for word in ["is run by `", "/python`, a link to `", "readable = ["] {
        assert!(refused.stderr.contains(word), "{word}: {refused:?}");
    }
    client.ends();
    let down = Log::await_record(&project, "config_change", |record| record["act"] == "mcp_down");
    assert_eq!(down["server"], "notes");
    // Of one that is not configured any more, nobody is told what they could mend.
    let whole = std::fs::read_to_string(project.config().join("bartizan.toml")).unwrap();
    project.configure("[servers.other]\ncommand = [\"./tool\"]\n");
    let gone = accepted(&project, "nothing of `notes` was ever seen");
    assert!(!gone.stderr.contains("did not start"), "{gone:?}");
    project.configure(&whole);
    accepted(&project, "`notes` did not start");
    // Mended, it is seen, and nothing is said of what was.
    project.write("server.py", super::SERVER);
    let lists = json!({ "first": [tool("keep", "Keeps a note.")], "turned": [] });
    project.write("notes.json", &lists.to_string());
    project.configure(&started("notes").replace("first-use", "review"));
    let client = Client::of(&project);
    let accepted = accepted(&project, "1 item accepted");
    assert!(!accepted.stderr.contains("not there"), "{accepted:?}");
    client.ends();
}
