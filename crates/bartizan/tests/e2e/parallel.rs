//! Several agents on one repository at once: does none see another, and is nothing overwritten?

use crate::support::log::Log;
use crate::support::project::{Project, Ran, Started};
use serde_json::Value;
use std::process::Command;

/// A run that has done `script` and waits to be let go.
fn begin(project: &Project, script: &str) -> Started {
    let script = format!("{script}\necho ready; read -r go; eval \"$go\"");
    let run = project.bartizan(&["run", "--json", "--", "bash", "-ec", &script]).typing();
    run.says("ready");
    run
}

/// Lets it go, perhaps with a last word, and tells its session and summary.
fn end(run: Started, last: &str) -> (String, Value, Ran) {
    let ran = run.types(&format!("{last}\n")).finish();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let line = ran.stderr.lines().find(|line| line.starts_with('{'));
    let told: Value = serde_json::from_str(line.unwrap_or_else(|| panic!("{ran:?}"))).unwrap();
    (told["session"].as_str().unwrap().to_owned(), told, ran)
}

fn conflicts(told: &Value) -> Vec<&str> {
    let kept = told["files"]["kept"].as_array().unwrap().iter();
    kept.filter(|one| one["conflict"] == true).map(|one| one["path"].as_str().unwrap()).collect()
}

fn changes(project: &Project, args: &[&str]) -> Ran {
    let mut all = vec!["changes"];
    all.extend(args);
    project.bartizan(&all).finish()
}

/// A command of the person's, in the workspace.
fn host(project: &Project, script: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test stands where the person does")]
    let mut command = Command::new("bash");
    command.args(["-ec", script]).current_dir(project.workspace()).envs(WHO);
    let output = command.env("HOME", project.home()).output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

const WHO: [(&str, &str); 5] = [
    ("GIT_AUTHOR_NAME", "a"),
    ("GIT_AUTHOR_EMAIL", "a@example.org"),
    ("GIT_COMMITTER_NAME", "a"),
    ("GIT_COMMITTER_EMAIL", "a@example.org"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
];
const GIT: &str =
    "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@e GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@e";

#[test]
fn two_runs_that_edit_one_file_end_in_a_conflict_that_shows_both() {
    let project = Project::new();
    let one = begin(&project, "echo from one > notes.txt; echo 1 > only-one.txt");
    let two =
        begin(&project, "cat notes.txt; ls; echo from two > notes.txt; echo 2 > only-two.txt");
    let (_, told, _) = end(one, "! grep -q two notes.txt");
    assert!(conflicts(&told).is_empty(), "{told}");
    // The first has landed while the second still runs, whose own version stays before its eyes.
    let (id, told, ran) = end(two, "grep -q 'from two' notes.txt");
    assert!(ran.stdout.contains("harbour") && !ran.stdout.contains("one"), "{ran:?}");
    assert_eq!(conflicts(&told), ["notes.txt"]);
    assert_eq!(project.file("notes.txt").as_deref(), Some("from one\n"), "nothing is overwritten");
    assert_eq!(project.file("only-one.txt").as_deref(), Some("1\n"));
    assert_eq!(project.file("only-two.txt").as_deref(), Some("2\n"), "the rest lands");
    let shown = changes(&project, &["show", &id]);
    for wanted in ["conflict", "--- this machine", "-from one", "+++ session", "+from two"] {
        assert!(shown.stdout.contains(wanted), "`{wanted}` in {shown:?}");
    }
    Log::read(&project).is_whole(&project);
}

#[test]
fn what_one_deletes_and_another_edits_is_lost_by_neither() {
    for deleted_first in [true, false] {
        let project = Project::new();
        let delete = begin(&project, "rm notes.txt");
        let edit = begin(&project, "echo edited >> notes.txt");
        let (first, second) = if deleted_first { (delete, edit) } else { (edit, delete) };
        let (_, told, _) = end(first, "true");
        assert!(conflicts(&told).is_empty(), "{told}");
        let (id, told, _) = end(second, "true");
        assert_eq!(conflicts(&told), ["notes.txt"], "deleted first: {deleted_first}");
        assert_eq!(project.file("notes.txt").is_none(), deleted_first);
        // The person decides for the second after all.
        let settled = changes(&project, &["apply", &id, "--path", "notes.txt", "--overwrite"]);
        assert_eq!(settled.status.code(), Some(0), "{settled:?}");
        let now = project.file("notes.txt");
        assert_eq!(now.is_some_and(|text| text.ends_with("edited\n")), deleted_first);
    }
}

#[test]
fn a_directory_that_one_moves_while_another_adds_to_it_loses_nothing() {
    let project = Project::new();
    project.write("lib/a.txt", "a\n");
    let moves = begin(&project, "mv lib core");
    let adds = begin(&project, "echo new > lib/b.txt; echo more >> lib/a.txt");
    let (_, told, _) = end(adds, "true");
    assert!(conflicts(&told).is_empty(), "{told}");
    let (_, told, _) = end(moves, "true");
    assert!(!conflicts(&told).is_empty(), "{told}");
    assert_eq!(project.file("lib/b.txt").as_deref(), Some("new\n"));
    assert_eq!(project.file("lib/a.txt").as_deref(), Some("a\nmore\n"));
}

#[test]
fn commits_of_two_boxes_both_survive_and_the_second_is_merged_by_name() {
    let project = Project::new();
    host(&project, "git init -q -b main; git add .; git commit -qm start");
    let one =
        begin(&project, &format!("{GIT}; echo 1 > one.txt; git add one.txt; git commit -qm one"));
    let two =
        begin(&project, &format!("{GIT}; echo 2 > two.txt; git add two.txt; git commit -qm two"));
    let (_, told, _) = end(one, "git log --format=%s | grep -q one");
    assert!(conflicts(&told).is_empty(), "{told}");
    assert_eq!(host(&project, "git log --format=%s; git status --short"), "one\nstart\n");
    let (id, told, _) = end(two, "! git log --format=%s | grep -q one");
    assert!(conflicts(&told).contains(&".git/refs/heads/main"), "{told}");
    assert_eq!(host(&project, "git log --format=%s"), "one\nstart\n", "the first stands");
    let refused = changes(&project, &["apply", &id, "--path", ".git", "--overwrite"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let shown = changes(&project, &["show", &id]);
    let merge = shown.stdout.lines().find_map(|line| line.split_once("git merge "));
    let commit = merge.unwrap_or_else(|| panic!("{shown:?}")).1;
    // `two.txt` itself has landed as a file; the merge brings it under git.
    host(&project, &format!("rm -f two.txt; git merge -q --no-edit {commit}; git fsck --strict"));
    let log = host(&project, "git log --format=%s; git status --short; cat one.txt two.txt");
    assert!(log.contains("one\n") && log.contains("two\n") && log.ends_with("1\n2\n"), "{log}");
}

#[test]
fn five_runs_at_once_all_land() {
    let project = Project::new();
    let runs: Vec<Started> = (0..5)
        .map(|n| begin(&project, &format!("mkdir d{n}; echo {n} > d{n}/f; ls -d d* | wc -l")))
        .collect();
    for (n, run) in runs.into_iter().enumerate() {
        let (_, told, ran) = end(run, "true");
        assert!(ran.stdout.starts_with("1\n"), "run {n} sees its own work alone: {ran:?}");
        assert!(conflicts(&told).is_empty(), "{told}");
    }
    for n in 0..5 {
        assert_eq!(project.file(&format!("d{n}/f")), Some(format!("{n}\n")));
    }
    Log::read(&project).is_whole(&project);
}
