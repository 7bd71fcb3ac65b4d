//! Does a write-back stay whole when it is killed, raced, refused or lied to?

use crate::play::{Play, at, is_held, open, put, tree, verdicts};
use bartizan_sandbox::writeback::{
    self, Clash, HoldReason, Kind, Options, Recovery, Verdict, WritebackError,
};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A workspace and a session in which something of every kind happens.
fn busy_play(files: usize) -> (Play, std::collections::BTreeMap<PathBuf, String>) {
    let mut host = vec![
        ("gone/a/b".to_owned(), "old".to_owned()),
        ("gone/c".to_owned(), "old".to_owned()),
        ("swap/in".to_owned(), "old".to_owned()),
        ("file".to_owned(), "old".to_owned()),
    ];
    host.extend((0..files).map(|n| (format!("m/{n}"), "old".to_owned())));
    let host: Vec<(&str, &str)> =
        host.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let play = Play::in_memory(&host);
    let wanted = play.path("wanted");
    for root in [play.path("upper"), wanted.clone()] {
        for n in 0..files {
            put(&root.join(format!("m/{n}")), &format!("new {n}"));
            put(&root.join(format!("n/{}/{n}", n % 7)), &"x".repeat(n * 37));
        }
        put(&root.join("swap"), "now a file");
        put(&root.join("file/in"), "now a directory");
        symlink("m/0", root.join("link")).unwrap();
    }
    play.whiteout("gone");
    (play, tree(&wanted))
}

/// A moment that no file of this test is younger than: inode times run ahead of the ordinary clock by a
/// few milliseconds, and a conflict is not what the crash tests are about.
fn after_all_edits() -> std::time::SystemTime {
    std::time::SystemTime::now() + Duration::from_mins(1)
}

/// Not a test of its own: the process that the crash tests kill. It applies, and kills itself after so many units.
#[test]
fn helper_that_dies_in_the_middle() {
    let (Ok(root), Ok(at)) = (std::env::var("WRITEBACK_ROOT"), std::env::var("WRITEBACK_DIE_AT"))
    else {
        return;
    };
    let (root, die_at): (PathBuf, u64) = (root.into(), at.parse().unwrap());
    let (upper, workspace) = (open(&root.join("upper")), open(&root.join("ws")));
    let changes = writeback::list(upper.as_fd(), workspace.as_fd(), after_all_edits()).unwrap();
    let progress = &mut |done, _| {
        if done == die_at {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
                .unwrap();
        }
    };
    let options = Options {
        owner: None,
        journal: &root.join("state/journal"),
        held: &root.join("state/held"),
        progress,
    };
    writeback::apply(&changes, upper.as_fd(), workspace.as_fd(), options).unwrap();
}

fn helper(root: &Path, die_at: u64) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the test needs a process to kill")]
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "whole::helper_that_dies_in_the_middle"])
        .env("WRITEBACK_ROOT", root)
        .env("WRITEBACK_DIE_AT", die_at.to_string());
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command
}

/// After a crash: finished by recovery and equal to what the session left, or never begun and as it was.
fn assert_all_or_nothing(
    play: &Play,
    before: &std::collections::BTreeMap<PathBuf, String>,
    wanted: &std::collections::BTreeMap<PathBuf, String>,
    note: &str,
) -> bool {
    let journal = play.path("state/journal");
    match writeback::recover(&journal, &mut |_, _| {}).unwrap() {
        Recovery::NotApplied => {
            assert_eq!(tree(&play.host("")), *before, "{note}");
            writeback::discard(&journal).unwrap();
            false
        }
        Recovery::Nothing => {
            assert!([before, wanted].contains(&&tree(&play.host(""))), "{note}");
            tree(&play.host("")) == *wanted
        }
        Recovery::Resumed(applied) => {
            assert!(applied.kept().is_empty(), "{note}: {:?}", applied.kept());
            assert_eq!(tree(&play.host("")), *wanted, "{note}");
            assert!(!journal.exists());
            true
        }
        Recovery::Busy => panic!("{note}: nobody works on it"),
    }
}

#[test]
fn killed_after_any_unit_of_work_it_is_finished_or_was_never_begun() {
    let (mut resumed, mut never) = (0, 0);
    for die_at in 1.. {
        let (play, wanted) = busy_play(3);
        let before = tree(&play.host(""));
        let status = helper(&play.path(""), die_at).status().unwrap();
        if status.signal().is_none() {
            assert!(status.success());
            assert_eq!(tree(&play.host("")), wanted);
            break;
        }
        if assert_all_or_nothing(&play, &before, &wanted, &format!("killed at {die_at}")) {
            resumed += 1;
        } else {
            never += 1;
        }
    }
    assert!(resumed > 10 && never > 10, "{resumed} resumed, {never} never begun");
}

#[test]
fn killed_at_any_moment_it_is_finished_or_was_never_begun() {
    let mut resumed = 0;
    for round in 0..40_u64 {
        let (play, wanted) = busy_play(60);
        let before = tree(&play.host(""));
        let mut child = helper(&play.path(""), u64::MAX).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        // Every second round dies at some moment after the plan is committed.
        while round % 2 == 0
            && !play.path("state/journal/plan.json").exists()
            && child.try_wait().unwrap().is_none()
            && Instant::now() < deadline
        {
            std::hint::spin_loop();
        }
        std::thread::sleep(Duration::from_micros(round * 400));
        child.kill().unwrap();
        child.wait().unwrap();
        resumed +=
            u32::from(assert_all_or_nothing(&play, &before, &wanted, &format!("round {round}")));
    }
    assert!(resumed > 5, "{resumed}");
}

#[test]
fn recovery_does_not_overwrite_what_the_host_changed_after_the_crash() {
    let (play, _) = busy_play(3);
    let steps = play.list().iter().count() as u64;
    assert!(helper(&play.path(""), steps + 9).status().unwrap().signal().is_some());
    let untouched = (0..3)
        .map(|n| play.host(&format!("m/{n}")))
        .find(|path| fs::read_to_string(path).unwrap() == "old");
    let mine = untouched.unwrap_or_else(|| play.host("m/2"));
    fs::write(&mine, "the person's").unwrap();
    let Recovery::Resumed(applied) =
        writeback::recover(&play.path("state/journal"), &mut |_, _| {}).unwrap()
    else {
        panic!("not resumed")
    };
    assert_eq!(fs::read_to_string(&mine).unwrap(), "the person's");
    assert_eq!(applied.kept().len(), 1);
    assert!(applied.kept()[0].is_conflict());
    let kept = play.path("state/held").join(applied.kept()[0].contents().unwrap());
    assert!(fs::read_to_string(kept).unwrap().starts_with("new "));
}

#[test]
fn recovery_leaves_a_journal_alone_that_someone_works_on_or_that_is_damaged() {
    let (play, _) = busy_play(2);
    let mut seen = None;
    let changes = play.list();
    play.try_apply(&changes, &mut |_, _| {
        seen.get_or_insert_with(|| {
            matches!(
                writeback::recover(&play.path("state/journal"), &mut |_, _| {}),
                Ok(Recovery::Busy)
            )
        });
    })
    .unwrap();
    assert_eq!(seen, Some(true));
    put(&play.path("state/journal/plan.json"), "{\"version\":1");
    let before = tree(&play.host(""));
    assert!(matches!(
        writeback::recover(&play.path("state/journal"), &mut |_, _| {}),
        Err(WritebackError::Corrupt { .. })
    ));
    assert!(matches!(
        play.try_apply(&changes, &mut |_, _| {}),
        Err(WritebackError::JournalBusy { .. })
    ));
    assert_eq!(tree(&play.host("")), before);
}

#[test]
fn a_staged_copy_that_was_tampered_with_does_not_land() {
    let (play, _) = busy_play(2);
    let steps = play.list().iter().count() as u64 + 5;
    assert!(helper(&play.path(""), steps).status().unwrap().signal().is_some());
    let contents = play.path("state/journal/contents");
    let length = fs::metadata(&contents).unwrap().len();
    fs::write(&contents, "evil".repeat(usize::try_from(length).unwrap())).unwrap();
    assert!(matches!(
        writeback::recover(&play.path("state/journal"), &mut |_, _| {}),
        Err(WritebackError::Stopped { .. })
    ));
    assert!(tree(&play.host("")).values().all(|what| !what.contains("evil")));
}

#[test]
fn what_the_host_changed_while_the_session_ran_stays_and_the_sessions_version_is_kept() {
    let play = Play::new(&[
        ("edit", "0"),
        ("del", "0"),
        ("dir/x", "0"),
        ("swap/x", "0"),
        ("mode", "0"),
        ("calm", "0"),
    ]);
    for path in ["edit", "both", "calm"] {
        put(&play.upper(path), "session");
    }
    play.whiteout("del");
    play.whiteout("dir");
    put(&play.upper("swap"), "session");
    put(&play.upper("mode"), "0");
    fs::set_permissions(play.upper("mode"), fs::Permissions::from_mode(0o755)).unwrap();
    for path in ["edit", "del", "dir/x", "both", "swap/y"] {
        put(&play.host(path), "person");
    }
    fs::set_permissions(play.host("mode"), fs::Permissions::from_mode(0o600)).unwrap();
    let changes = play.list();
    for path in ["edit", "both", "del", "mode"] {
        assert_eq!(at(&changes, path).conflict(), Some(Clash::ChangedOnHost), "{path}");
    }
    for path in ["dir", "swap"] {
        assert_eq!(at(&changes, path).conflict(), Some(Clash::InsideChanged), "{path}");
    }
    let before = tree(&play.host(""));
    play.apply(&changes);
    assert_eq!(play.kept(), ["both", "del", "dir", "edit", "mode", "swap"]);
    let after = tree(&play.host(""));
    assert_eq!(after[Path::new("calm")], "file 644 session");
    let changed: Vec<_> = before
        .iter()
        .filter(|(path, what)| after.get(*path) != Some(what))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_eq!(changed, ["calm"]);
}

#[test]
fn what_the_host_changed_between_listing_and_landing_stays() {
    let play =
        Play::new(&[("edit", "0"), ("del", "0"), ("dir/x", "0"), ("calm", "0"), ("up/a", "0")]);
    for path in ["edit", "new", "calm", "up/a", "newdir/f"] {
        put(&play.upper(path), "session");
    }
    play.whiteout("del");
    play.whiteout("dir");
    let changes = play.list();
    assert!(changes.iter().all(writeback::Change::lands));
    for path in ["edit", "new", "del", "dir/y"] {
        put(&play.host(path), "person");
    }
    fs::rename(play.host("up"), play.host("elsewhere")).unwrap();
    let applied = play.apply(&changes);
    assert!(applied.kept().iter().all(writeback::Kept::is_conflict));
    assert_eq!(play.kept(), ["del", "dir", "edit", "new", "up/a"]);
    for path in ["edit", "new", "del", "dir/y"] {
        assert_eq!(play.read(path), "person");
    }
    assert_eq!(
        (play.read("calm"), play.read("newdir/f"), play.read("elsewhere/a")),
        ("session".into(), "session".into(), "0".into())
    );
    assert!(!play.exists("up") && !play.exists("dir/x"));
}

#[test]
fn a_directory_swapped_for_a_link_while_landing_lets_nothing_out() {
    let play = Play::new(&[("d/sub/keep", "0")]);
    let outside = play.path("outside");
    fs::create_dir_all(outside.join("sub")).unwrap();
    for n in 0..400 {
        put(&play.upper(&format!("d/sub/{n}")), "session");
        put(&play.upper(&format!("d/{n}")), "session");
    }
    let changes = play.list();
    let stop = AtomicBool::new(false);
    let applied = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (dir, aside) = (play.host("d"), play.host("aside"));
            while !stop.load(Ordering::Relaxed) {
                fs::rename(&dir, &aside).unwrap();
                symlink(&outside, &dir).unwrap();
                fs::remove_file(&dir).unwrap();
                fs::rename(&aside, &dir).unwrap();
            }
        });
        let applied = play.try_apply(&changes, &mut |_, _| {});
        stop.store(true, Ordering::Relaxed);
        applied
    })
    .unwrap();
    assert_eq!(tree(&outside).len(), 1, "{:?}", tree(&outside));
    assert_eq!(applied.landed().len() + applied.kept().len(), 800);
    assert_eq!(
        tree(&play.host("d")).values().filter(|what| what.contains("session")).count(),
        applied.landed().len()
    );
    assert!(tree(&play.host("")).keys().all(|path| !path.to_string_lossy().contains(".bartizan-")));
}

#[test]
fn a_file_edited_all_the_time_while_landing_loses_no_edit() {
    let files: Vec<String> = (0..300).map(|n| format!("f{n}")).collect();
    let host: Vec<(&str, &str)> = files.iter().map(|f| (f.as_str(), "old")).collect();
    let play = Play::new(&host);
    for file in &files {
        put(&play.upper(file), "session");
    }
    let changes = play.list();
    let stop = AtomicBool::new(false);
    let edited = std::thread::scope(|scope| {
        let editor = scope.spawn(|| {
            // Edits as editors do, and only what it has just read as the old text.
            let mut edited = Vec::new();
            for file in files.iter().cycle().take(files.len() * 200) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                if fs::read_to_string(play.host(file)).is_ok_and(|text| text == "old")
                    && edited.len() * 4 < files.len()
                    && file.ends_with('7')
                {
                    put(&play.path("draft"), "person");
                    fs::rename(play.path("draft"), play.host(file)).unwrap();
                    edited.push(file.clone());
                }
            }
            edited
        });
        play.apply(&changes);
        stop.store(true, Ordering::Relaxed);
        editor.join().unwrap()
    });
    let kept = play.kept();
    for file in &files {
        let text = play.read(file);
        // An edit may also come after the landing, when the editor looked just before it; it is then on top of it.
        assert!(
            text == "session" && !kept.contains(file) || text == "person" && edited.contains(file),
            "{file}: {text}"
        );
    }
}

#[test]
fn ten_thousand_files_land_in_seconds() {
    let mut host = Vec::new();
    for n in 0..5_000 {
        host.push((format!("src/{}/{n}.txt", n % 100), format!("old {n}")));
    }
    let host: Vec<(&str, &str)> =
        host.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    // In memory: the figure is to be ours, not the disk's.
    let play = Play::in_memory(&host);
    for n in 0..10_000 {
        put(&play.upper(&format!("src/{}/{n}.txt", n % 100)), &format!("new {n}"));
    }
    let started = Instant::now();
    let changes = play.list();
    let listed = started.elapsed();
    let mut last = (0, 0);
    let applied = play.try_apply(&changes, &mut |done, total| last = (done, total)).unwrap();
    let took = started.elapsed();
    eprintln!("10,000 files: listed in {listed:?}, landed after {took:?}");
    assert_eq!(applied.landed().len(), 10_000);
    assert_eq!(last, (20_000, 20_000));
    assert_eq!(play.read("src/99/9999.txt"), "new 9999");
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn the_unchanged_workspace_is_not_walked() {
    let play = Play::new(&[("a", "0"), ("deep/never/looked/at", "0")]);
    put(&play.upper("a"), "1");
    // A directory that nobody could list would fail a walk.
    let closed = play.host("deep");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let atime = |path: &Path| fs::metadata(path).map(|m| (m.atime(), m.atime_nsec()));
    let before = atime(&closed).unwrap();
    play.finish();
    assert_eq!(atime(&closed).unwrap(), before);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(play.read("a"), "1");
}

#[test]
fn overlay_forms_whose_contents_cannot_be_told_are_held() {
    let play = Play::new(&[("x", "0"), ("w/gone", "0")]);
    put(&play.upper("meta"), "1");
    play.mark("meta", "metacopy", b"");
    put(&play.upper("moved/f"), "1");
    play.mark("moved", "redirect", b"/etc");
    put(&play.upper("future"), "1");
    play.mark("future", "verity2", b"");
    put(&play.upper("escaped"), "1");
    play.mark("escaped", "overlay.opaque", b"y");
    put(&play.upper("w/gone"), "");
    play.mark("w", "opaque", b"x");
    play.mark("w/gone", "whiteout", b"");
    let changes = play.list();
    for path in ["meta", "moved", "moved/f", "future"] {
        assert_eq!(*at(&changes, path).verdict(), Verdict::Hold(HoldReason::OverlayForm), "{path}");
    }
    assert_eq!(*at(&changes, "w/gone").kind(), Kind::Deleted);
    play.apply(&changes);
    assert!(
        play.exists("escaped")
            && !play.exists("w/gone")
            && !play.exists("meta")
            && !play.exists("moved")
    );
}

#[test]
fn removing_or_replacing_what_is_protected_is_held_too() {
    let play = Play::new(&[
        (".claude/settings.json", "{}"),
        (".github/workflows/ci.yml", "x"),
        (".git/hooks/pre-commit", "scan"),
        (".git/config", "[core]\n\tbare = false\n"),
        (".git/HEAD", "x"),
        ("free", "x"),
    ]);
    play.whiteout(".claude/settings.json");
    play.whiteout(".github/workflows");
    play.whiteout("free");
    put(&play.upper(".git/hooks/new.sample"), "x");
    play.mark(".git/hooks", "opaque", b"y");
    play.whiteout(".git/config");
    let changes = play.list();
    for path in [".claude/settings.json", ".github/workflows", ".git/hooks", ".git/config"] {
        assert!(is_held(&changes, path), "{path} {:#?}", verdicts(&changes));
    }
    play.apply(&changes);
    assert!(
        play.exists(".git/hooks/pre-commit")
            && play.exists(".github/workflows/ci.yml")
            && play.exists(".claude/settings.json")
            && play.exists(".git/config")
            && !play.exists("free")
    );
}

#[test]
fn what_is_kept_lies_where_no_tool_would_find_it() {
    let play = Play::new(&[("a", "0")]);
    put(&play.upper(".git/hooks/pre-commit"), "#!/bin/sh\n");
    put(&play.upper(".git/config"), "[core]\n\tfsmonitor = ./p\n");
    fs::set_permissions(play.upper(".git/hooks/pre-commit"), fs::Permissions::from_mode(0o755))
        .unwrap();
    play.finish();
    let state = tree(&play.path("state"));
    let names: Vec<_> = state.keys().map(|path| path.display().to_string()).collect();
    assert_eq!(names, ["held", "held/000001", "held/000003", "held/held.json"]);
    assert!(state.values().all(|what| what.starts_with("dir 700") || what.starts_with("file 600")));
    let kept = writeback::held(&play.path("state/held")).unwrap();
    assert!(kept.iter().any(|k| k.why().contains("core.fsmonitor = ./p")));
}

#[test]
fn a_second_listing_of_another_directory_is_not_applied_here() {
    let (play, other) = (Play::new(&[("a", "0")]), Play::new(&[("a", "0")]));
    put(&play.upper("a"), "1");
    assert!(matches!(
        other.try_apply(&play.list(), &mut |_, _| {}),
        Err(WritebackError::OtherWorkspace)
    ));
    assert_eq!(other.read("a"), "0");
}

#[test]
fn a_path_too_deep_to_be_meant_is_dropped_and_the_rest_lands() {
    let play = Play::new(&[("a", "0")]);
    let deep = "d/".repeat(200);
    put(&play.upper(&format!("{deep}f")), "x");
    put(&play.upper("a"), "1");
    let changes = play.list();
    assert!(
        changes
            .iter()
            .any(|c| matches!(c.verdict(), Verdict::Drop(writeback::DropReason::TooDeep)))
    );
    play.apply(&changes);
    assert_eq!(play.read("a"), "1");
}

#[test]
fn when_we_run_as_root_new_files_belong_to_the_workspaces_owner() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let play = Play::new(&[("mine", "0")]);
    std::os::unix::fs::chown(play.host("mine"), Some(4242), Some(4343)).unwrap();
    put(&play.upper("mine"), "1");
    put(&play.upper("d/new"), "1");
    symlink("mine", play.upper("link")).unwrap();
    let options = Options {
        owner: Some((1234, 2345)),
        journal: &play.path("state/j"),
        held: &play.path("state/h"),
        progress: &mut |_, _| {},
    };
    writeback::apply(
        &play.list(),
        open(&play.path("upper")).as_fd(),
        open(&play.host("")).as_fd(),
        options,
    )
    .unwrap();
    let owner =
        |path: &str| fs::symlink_metadata(play.host(path)).map(|m| (m.uid(), m.gid())).unwrap();
    assert_eq!(
        (owner("mine"), owner("d"), owner("d/new"), owner("link")),
        ((4242, 4343), (1234, 2345), (1234, 2345), (1234, 2345))
    );
}

#[test]
fn a_full_disk_stops_it_before_the_host_is_touched() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let play = Play::new(&[("a", "0")]);
    put(&play.upper("a"), &"x".repeat(4 << 20));
    fs::create_dir(play.path("state")).unwrap();
    rustix::mount::mount(
        "tmpfs",
        play.path("state"),
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        Some(c"size=1m"),
    )
    .unwrap();
    let result = play.try_apply(&play.list(), &mut |_, _| {});
    let recovered = writeback::recover(&play.path("state/journal"), &mut |_, _| {});
    rustix::mount::unmount(play.path("state"), rustix::mount::UnmountFlags::DETACH).unwrap();
    assert!(matches!(result, Err(WritebackError::Io { .. })), "{result:?}");
    assert!(matches!(recovered, Ok(Recovery::Nothing)));
    assert_eq!(play.read("a"), "0");
}

#[test]
fn what_a_full_disk_had_no_room_for_is_not_left_on_it() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let play = Play::new(&[]);
    for name in ["a", "b", "c"] {
        put(&play.upper(&format!(".claude/{name}")), &"x".repeat(1500 << 10));
    }
    let state = play.path("state");
    fs::create_dir(&state).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", &state, "tmpfs", flags, Some(c"size=4m")).unwrap();
    assert_eq!(play.list().weight(), (3 * (1500 << 10), 4));
    let applied = play.try_apply(&play.list(), &mut |_, _| {});
    let left = tree(&state);
    let shelved = play.try_shelve();
    let left_then = tree(&state);
    rustix::mount::unmount(&state, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert!(applied.is_err() && shelved.is_err(), "{applied:?} {shelved:?}");
    assert!(left.is_empty() && left_then.is_empty(), "{left:?} {left_then:?}");
}
