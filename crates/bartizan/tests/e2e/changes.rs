//! Does a person get at what a run changed: look first, land one by one, settle a conflict, lose nothing?

use crate::support::log::Log;
use crate::support::project::{Project, Ran};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Runs a shell script in a box and tells its session.
fn session(project: &Project, flags: &[&str], script: &str) -> (String, Ran) {
    let mut args = vec!["run", "--json"];
    args.extend(flags);
    args.extend(["--", "bash", "-c", script]);
    let ran = project.bartizan(&args).finish();
    let line = ran.stderr.lines().find(|line| line.starts_with('{'));
    let told: Value = serde_json::from_str(line.unwrap_or_else(|| panic!("{ran:?}"))).unwrap();
    (told["session"].as_str().unwrap().to_owned(), ran)
}

fn changes(project: &Project, args: &[&str]) -> Ran {
    let mut all = vec!["changes"];
    all.extend(args);
    project.bartizan(&all).finish()
}

fn kept(project: &Project, session: &str) -> Vec<Value> {
    let shown = changes(project, &["show", session, "--json"]);
    let told: Value = serde_json::from_str(&shown.stdout).unwrap_or_else(|_| panic!("{shown:?}"));
    told["kept"].as_array().unwrap().clone()
}

#[test]
fn with_review_nothing_lands_until_a_person_says_so() {
    let project = Project::new();
    let (id, ran) = session(&project, &["--review"], "echo better >> notes.txt; echo n > new.txt");
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert!(!project.file("notes.txt").unwrap().contains("better"));
    assert_eq!(project.file("new.txt"), None);
    let listed = changes(&project, &["list"]);
    assert!(listed.stdout.contains(&id) && listed.stdout.contains("2 waiting"), "{listed:?}");
    let shown = changes(&project, &["show", &id]);
    assert!(shown.stdout.contains("+better") && shown.stdout.contains("new.txt"), "{shown:?}");
    let applied = changes(&project, &["apply", &id]);
    assert_eq!(applied.status.code(), Some(0), "{applied:?}");
    assert!(project.file("notes.txt").unwrap().ends_with("better\n"));
    assert_eq!(project.file("new.txt").as_deref(), Some("n\n"));
    let listed = changes(&project, &["list"]);
    assert!(listed.stdout.is_empty(), "{listed:?}");
    let log = Log::read(&project);
    let said = log.find("write_back", |record| record["act"] == "apply");
    assert!(said["who"].as_str().unwrap().starts_with("local:"), "{said}");
    let chosen = said["chosen"].as_array().unwrap();
    assert!(chosen.iter().all(|one| one["digest"].as_str().unwrap().starts_with("sha256:")));
    log.find("write_back", |record| record["act"] == "applied");
    log.is_whole(&project);
}

#[test]
fn what_this_machines_tools_would_run_is_told_before_a_hundred_other_files() {
    let project = Project::new();
    let script = "for i in $(seq 100); do echo > a$i; done; mkdir z; echo x > z/package.json; echo x > z/x; chmod 666 z/x";
    let ran = project.bartizan(&["run", "--", "bash", "-c", script]).finish();
    assert!(
        ran.stderr.contains("new z/package.json: runs when you build, test or install"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("z/x: permissions that would reach further"), "{ran:?}");
    let landed = Log::read(&project).find("write_back", |_| true)["landed"].clone();
    let told: Vec<_> =
        landed.as_array().unwrap().iter().filter(|one| one.get("notable").is_some()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let (id, ran) = session(
        &project,
        &[],
        "echo y > Makefile; echo x > .envrc; for i in $(seq 100); do echo 1 > a$i; done",
    );
    let line = ran.stderr.lines().find(|line| line.starts_with('{')).unwrap();
    let told: Value = serde_json::from_str(line).unwrap();
    assert_eq!(told["files"]["notable"][0]["path"], "Makefile", "{told}");
    let shown = changes(&project, &["show", &id]);
    assert!(shown.stdout.contains("new Makefile: runs when you build"), "{shown:?}");
}

#[test]
fn what_is_held_lands_by_name_and_only_that() {
    let project = Project::new();
    let script = "mkdir -p .vscode .claude; echo t > .vscode/tasks.json; echo '{}' > .claude/settings.json; echo x > x";
    let (id, _) = session(&project, &[], script);
    assert_eq!(project.file("x").as_deref(), Some("x\n"), "ordinary work landed");
    assert_eq!(project.file(".vscode/tasks.json"), None);
    let nothing = changes(&project, &["apply", &id]);
    assert!(nothing.stderr.contains("nothing of session"), "{nothing:?}");
    let applied = changes(&project, &["apply", &id, "--path", ".vscode/tasks.json"]);
    assert_eq!(applied.status.code(), Some(0), "{applied:?}");
    assert_eq!(project.file(".vscode/tasks.json").as_deref(), Some("t\n"));
    assert_eq!(project.file(".claude/settings.json"), None);
    let gone = changes(&project, &["discard", &id]);
    assert_eq!(gone.status.code(), Some(0), "{gone:?}");
    assert!(kept(&project, &id).is_empty());
    assert_eq!(project.file(".claude/settings.json"), None);
    let log = Log::read(&project);
    log.find("write_back", |record| record["act"] == "discard");
}

#[test]
fn a_conflict_is_shown_with_both_versions_and_overwrites_nothing_unless_told() {
    let project = Project::new();
    let running = project
        .bartizan(&[
            "run",
            "--json",
            "--",
            "bash",
            "-c",
            "echo from the box > notes.txt; echo ready; read -r",
        ])
        .typing();
    running.says("ready");
    project.write("notes.txt", "from the person\n");
    let ran = running.types("go\n").finish();
    let line = ran.stderr.lines().find(|line| line.starts_with('{')).unwrap();
    let told: Value = serde_json::from_str(line).unwrap();
    let id = told["session"].as_str().unwrap();
    assert_eq!(project.file("notes.txt").as_deref(), Some("from the person\n"));
    let shown = changes(&project, &["show", id]);
    for wanted in
        ["conflict", "-from the person", "+from the box", "--- this machine", "+++ session"]
    {
        assert!(shown.stdout.contains(wanted), "`{wanted}` in {shown:?}");
    }
    let refused = changes(&project, &["apply", id, "--path", "notes.txt"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("--overwrite"), "{refused:?}");
    assert_eq!(project.file("notes.txt").as_deref(), Some("from the person\n"));
    let settled = changes(&project, &["apply", id, "--path", "notes.txt", "--overwrite"]);
    assert_eq!(settled.status.code(), Some(0), "{settled:?}");
    assert_eq!(project.file("notes.txt").as_deref(), Some("from the box\n"));
    // The person's version is not lost: it can be put back.
    let back = changes(&project, &["apply", id, "--path", "notes.txt", "--overwrite"]);
    assert_eq!(back.status.code(), Some(0), "{back:?}");
    assert_eq!(project.file("notes.txt").as_deref(), Some("from the person\n"));
}

#[test]
fn a_name_or_a_text_from_the_box_cannot_steer_the_terminal() {
    let project = Project::new();
    let script = r"printf 'a\033[2Jb\n' > $'x\e[31m.txt'";
    let (id, _) = session(&project, &["--review"], script);
    for args in [vec!["show", id.as_str()], vec!["list"], vec!["apply", id.as_str()]] {
        let said = changes(&project, &args);
        assert!(!said.stdout.contains('\u{1b}') && !said.stderr.contains('\u{1b}'), "{said:?}");
    }
}

#[test]
fn what_a_killed_supervisor_had_not_written_back_is_kept_for_a_person() {
    let project = Project::new();
    let script = "echo made > made.txt; echo changed > notes.txt; echo ready; exec sleep 517263";
    let started = project.bartizan(&["run", "--", "bash", "-c", script]).start();
    started.says("ready");
    started.signal(Signal::KILL);
    started.finish();
    let deadline = Instant::now() + Duration::from_mins(1);
    let id = loop {
        let listed = changes(&project, &["list", "--json"]);
        let all: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap_or_default();
        // Until it is done, the keeper's work shows as an interrupted one.
        if let Some(one) = all.iter().find(|one| one["waiting"] == 2) {
            break one["session"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "nothing was kept: {listed:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(project.file("made.txt"), None, "nothing is written behind the gate's back");
    let applied = changes(&project, &["apply", &id]);
    assert_eq!(applied.status.code(), Some(0), "{applied:?}");
    assert_eq!(project.file("made.txt").as_deref(), Some("made\n"));
    assert_eq!(project.file("notes.txt").as_deref(), Some("changed\n"));
    Log::read(&project).is_whole(&project);
}

#[test]
fn an_interrupted_write_back_that_cannot_go_on_is_thrown_away_by_a_person_alone() {
    let project = Project::new();
    let (id, _) = session(&project, &[], "echo x > x");
    let journal = project.state().join("sessions").join(&id).join("journal");
    fs::create_dir_all(&journal).unwrap();
    assert!(changes(&project, &["list"]).stdout.is_empty(), "one that has just begun is none");
    fs::write(journal.join("names.txt"), "0 7 staged\n").unwrap();
    fs::write(journal.join("contents"), "staged\n").unwrap();
    let listed = changes(&project, &["list"]);
    assert!(listed.stdout.contains("interrupted"), "{listed:?}");
    for args in [vec!["apply", id.as_str()], vec!["discard", &id, "--path", "x"]] {
        let said = changes(&project, &args);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stderr.contains(&format!("changes discard {id}")), "{said:?}");
    }
    assert_eq!(fs::read_to_string(journal.join("contents")).unwrap(), "staged\n");
    let gone = changes(&project, &["discard", &id]);
    assert!(gone.status.success() && !journal.exists(), "{gone:?}");
    assert!(changes(&project, &["list"]).stdout.is_empty());
    let log = Log::read(&project);
    let said = log.find("write_back", |record| record["act"] == "discard");
    assert!(said["interrupted"].as_str().unwrap().contains("before it had changed"), "{said}");
}

#[test]
fn what_a_killed_supervisor_leaves_does_not_fill_the_disk() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let project = Project::new();
    let disk = OwnDisk::at(&project.state());
    let script = "head -c 100M /dev/urandom > big; echo x > small; echo ready; exec sleep 517264";
    let started = project.bartizan(&["run", "--", "bash", "-c", script]).start();
    started.says("ready");
    started.signal(Signal::KILL);
    started.finish();
    // The keeper waits for room, and does not take what is there.
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        let free = disk.free();
        assert!(free > 40 << 20, "{free} bytes are left");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ran = project.bartizan(&["run", "--", "true"]).finish();
    assert!(ran.status.success(), "{ran:?}");
    Log::read(&project).is_whole(&project);
}

#[test]
fn what_lands_leaves_room_on_the_disk_that_it_is_staged_on() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let project = Project::new();
    let disk = OwnDisk::at(&project.home().join("disk"));
    let at = project.home().join("disk");
    let (state, workspace) = (at.join("state"), at.join("shop"));
    fs::create_dir(&workspace).unwrap();
    // 16 MiB are kept. Staged it has room, landed beside that it has none.
    let run = |size: &str| {
        let script = format!("head -c {size} /dev/urandom > big");
        let args = ["--state", state.to_str().unwrap(), "run", "--", "sh", "-c", &script];
        project.bartizan(&args).within(&workspace)
    };
    let mut started = run("33M").start();
    started.complaint(&|line| line.contains("are kept for refusals"));
    assert!(disk.free() > 48 << 20 && !workspace.join("big").exists());
    started.signal(Signal::KILL);
    started.finish();
    let ran = run("5M").finish();
    assert!(ran.status.success() && workspace.join("big").exists(), "{ran:?}");
}

/// A disk of 64 MiB.
struct OwnDisk(PathBuf);

impl OwnDisk {
    fn at(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", folder, "tmpfs", flags, Some(c"size=64m,mode=700")).unwrap();
        Self(folder.to_owned())
    }

    fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.0).unwrap();
        found.f_bavail * found.f_frsize
    }
}

impl Drop for OwnDisk {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn a_box_cannot_land_its_own_changes() {
    let project = Project::new();
    let bartizan = env!("CARGO_BIN_EXE_bartizan");
    let (id, _) = session(&project, &["--review"], "echo x > x");
    // Bound into a box that has a client; a copy in the workspace serves the attacker as well.
    fs::copy(bartizan, project.workspace().join("b")).unwrap();
    let script = format!(
        "./b changes apply {id} -y; echo code $?; env -u BARTIZAN_BOX ./b changes apply {id} -y; echo code $?"
    );
    let (_, ran) = session(&project, &[], &script);
    assert!(ran.stdout.starts_with("code 69") && !ran.stdout.contains("code 0"), "{ran:?}");
    assert_eq!(project.file("x"), None);
}
