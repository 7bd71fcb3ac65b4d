//! Does what was kept land later exactly as it was looked at, and never over anything else?
use crate::play::{Play, put, tree};
use bartizan_sandbox::writeback::{self, Conflicts, Recovery, Tally, WritebackError};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn a_session_to_be_looked_at_first_lands_nothing_until_it_is_told_to() {
    let play = Play::new(&[("a", "1"), ("gone", "x"), ("dir/b", "2")]);
    play.session("echo 11 > a; rm gone; mkdir new; echo n > new/f; rm -r dir; ln -s a link; mkdir -p .claude; echo {} > .claude/settings.json");
    let before = tree(&play.host(""));
    let applied = play.shelve();
    assert!(applied.landed().is_empty());
    assert_eq!(tree(&play.host("")), before);
    assert!(!play.path("state/journal").exists());
    let all = writeback::held(&play.path("state/held")).unwrap();
    let waiting: Vec<_> = all.iter().filter(|kept| kept.is_waiting()).collect();
    assert!(all.len() > waiting.len(), "the agent's settings are held, not waiting");
    let held = play.path("state/held");
    let chosen: Vec<_> = waiting.into_iter().cloned().collect();
    let journal = play.path("state/journal");
    let done =
        writeback::release(&held, &chosen, Conflicts::Leave, &journal, &mut |_, _| {}).unwrap();
    assert!(done.kept().is_empty(), "{:?}", done.kept());
    assert_eq!((play.read("a"), play.read("new/f")), ("11\n".to_owned(), "n\n".to_owned()));
    assert!(!play.exists("gone") && !play.exists("dir") && play.exists("link"));
    assert!(!play.exists(".claude/settings.json"));
    assert_eq!(play.kept(), [".claude", ".claude/settings.json"]);
    let left: Vec<_> = fs::read_dir(&held).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 2, "contents of what landed are gone: {left:?}");
}

#[test]
fn a_held_file_lands_alone_with_the_new_directories_above_it() {
    let play = Play::new(&[(".git/HEAD", "ref: refs/heads/main\n")]);
    play.session("mkdir -p .vscode .git/hooks; echo t > .vscode/tasks.json; echo s > .vscode/settings.json; echo h > .git/hooks/pre-commit");
    play.finish();
    assert!(!play.exists(".vscode"));
    let done = play.release(&[".vscode/tasks.json"], Conflicts::Leave).unwrap();
    assert!(done.landed().iter().any(|one| one.digest.is_some()));
    assert_eq!(play.read(".vscode/tasks.json"), "t\n");
    assert!(!play.exists(".vscode/settings.json") && !play.exists(".git/hooks/pre-commit"));
    assert!(!play.kept().contains(&".vscode/tasks.json".to_owned()));
}

#[test]
fn what_the_host_changed_after_it_was_shelved_stays_and_becomes_a_conflict() {
    let play = Play::new(&[("a", "1"), ("b", "1")]);
    play.session("echo session > a; echo session > b");
    play.shelve();
    put(&play.host("a"), "host's own");
    let done = play.release(&["a", "b"], Conflicts::Overwrite).unwrap();
    assert_eq!(play.read("a"), "host's own");
    assert_eq!(play.read("b"), "session\n");
    assert!(done.kept().iter().any(writeback::Kept::is_conflict), "{:?}", done.kept());
    let refused = play.release(&["a"], Conflicts::Leave).unwrap_err();
    assert!(matches!(refused, WritebackError::Clashes { .. }), "{refused}");
    assert_eq!(play.read("a"), "host's own");
}

#[test]
fn overwriting_a_conflict_keeps_the_hosts_version_and_can_be_taken_back() {
    let mut play = Play::new(&[("a", "1")]);
    play.begin();
    play.session("echo session > a");
    put(&play.host("a"), "host's own");
    assert!(play.finish().kept()[0].is_conflict());
    play.release(&["a"], Conflicts::Overwrite).unwrap();
    assert_eq!(play.read("a"), "session\n");
    let kept = writeback::held(&play.path("state/held")).unwrap();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let contents = play.path("state/held").join(kept[0].contents().unwrap());
    assert_eq!(fs::read_to_string(contents).unwrap(), "host's own");
    play.release(&["a"], Conflicts::Overwrite).unwrap();
    assert_eq!(play.read("a"), "host's own");
}

#[test]
fn contents_that_were_tampered_with_on_the_shelf_do_not_land() {
    let play = Play::new(&[("a", "1")]);
    play.session("mkdir .vscode; echo t > .vscode/tasks.json");
    play.finish();
    let kept = writeback::held(&play.path("state/held")).unwrap();
    let file = kept.iter().find_map(writeback::Kept::contents).unwrap();
    fs::write(play.path("state/held").join(file), "u\n").unwrap();
    let refused = play.release(&[".vscode/tasks.json"], Conflicts::Leave).unwrap_err();
    assert!(matches!(refused, WritebackError::Moved { .. }), "{refused}");
    assert!(!play.exists(".vscode/tasks.json") && !play.path("state/journal").exists());
}

#[test]
fn a_release_that_was_interrupted_anywhere_is_finished_by_recovery() {
    for stop_at in 1..=4 {
        let play = Play::new(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]);
        play.session("for f in a b c d; do echo session > $f; done");
        play.shelve();
        let mut progress = |done, _| assert!(done < stop_at, "killed");
        let paths = ["a", "b", "c", "d"];
        let killed = catch_unwind(AssertUnwindSafe(|| {
            play.try_release(&paths, Conflicts::Leave, &mut progress)
        }));
        assert!(killed.is_err());
        let recovered = writeback::recover(&play.path("state/journal"), &mut |_, _| {}).unwrap();
        assert!(matches!(recovered, Recovery::Resumed(_)), "{recovered:?}");
        for path in paths {
            assert_eq!(play.read(path), "session\n");
        }
        assert!(play.kept().is_empty(), "what landed is off the shelf: {:?}", play.kept());
    }
}

#[test]
fn helper_that_releases() {
    let Some(root) = std::env::var_os("WRITEBACK_RELEASES").map(std::path::PathBuf::from) else {
        return;
    };
    let (held, journal) = (root.join("state/held"), root.join("state/journal"));
    let chosen = writeback::held(&held).unwrap();
    drop(writeback::release(&held, &chosen, Conflicts::Leave, &journal, &mut |_, _| {}));
}

#[test]
fn a_release_that_was_killed_before_it_began_leaves_all_on_the_shelf_and_nothing_else() {
    let play = Play::new(&[("a", "1"), ("b", "1")]);
    play.session("echo session > a; echo session > b");
    play.shelve();
    let (held, journal) = (play.path("state/held"), play.path("state/journal"));
    let kept = writeback::held(&held).unwrap();
    // It waits for the contents of the second for ever.
    let second = held.join(kept[1].contents().unwrap());
    let aside = play.path("aside");
    fs::rename(&second, &aside).unwrap();
    mknodat(CWD, &second, FileType::Fifo, Mode::RWXU, 0).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test needs a process to kill")]
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "shelf::helper_that_releases"]);
    command.env("WRITEBACK_RELEASES", play.path("")).stdout(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    while !journal.join("contents").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    fs::rename(&aside, &second).unwrap();
    let recovered = writeback::recover(&journal, &mut |_, _| {}).unwrap();
    assert!(matches!(recovered, Recovery::Nothing) && !journal.exists(), "{recovered:?}");
    assert_eq!(writeback::held(&held).unwrap(), kept);
    play.release(&["a", "b"], Conflicts::Leave).unwrap();
    assert_eq!((play.read("a"), play.read("b")), ("session\n".to_owned(), "session\n".to_owned()));
}

#[test]
fn what_was_staged_for_a_session_and_is_nowhere_else_is_thrown_away_by_nobody_but_a_person() {
    let play = Play::new(&[("a", "1")]);
    let journal = play.path("state/journal");
    put(&journal.join("names.txt"), "0 8 a\n");
    put(&journal.join("contents"), "session\n");
    for _ in 0..2 {
        let recovered = writeback::recover(&journal, &mut |_, _| {}).unwrap();
        assert!(matches!(recovered, Recovery::NotApplied), "{recovered:?}");
    }
    assert_eq!(fs::read_to_string(journal.join("contents")).unwrap(), "session\n");
    writeback::discard(&journal).unwrap();
    assert!(!journal.exists());
}

#[test]
fn the_changes_on_a_shelf_are_counted_by_what_keeps_them_there() {
    let play = Play::new(&[("a", "1"), ("b", "1")]);
    let held = play.path("state/held");
    assert_eq!(writeback::tally(&held).unwrap(), Tally::default(), "there is none");
    play.session("echo session > a; echo session > b; mkdir .vscode; echo t > .vscode/tasks.json");
    put(&play.host("a"), "host's own");
    play.shelve();
    let kept = writeback::held(&held).unwrap();
    let conflicts = kept.iter().filter(|kept| kept.is_conflict()).count();
    let waiting = kept.iter().filter(|kept| kept.is_waiting()).count();
    let held_back = kept.len() - conflicts - waiting;
    assert!(conflicts > 0 && waiting > 0 && held_back > 0, "{kept:?}");
    let tally = writeback::tally(&held).unwrap();
    assert_eq!(tally, Tally { waiting, held: held_back, conflicts });
    for broken in ["", "{\"version\":3,\"items\":[]}", "{\"version\":2,\"items\":[{}]}"] {
        put(&held.join("held.json"), broken);
        let refused = writeback::tally(&held).unwrap_err();
        assert!(matches!(refused, WritebackError::Corrupt { .. }), "{broken}: {refused}");
    }
}

#[test]
fn a_commit_lands_whole_or_not_at_all() {
    let play = Play::new(&[("a", "1")]);
    play.on_host("git init -q . && git add a && git commit -qm one");
    let mut play = play;
    play.begin();
    play.session("echo 2 > a; git commit -qam two");
    play.shelve();
    let refused = play.release(&[".git/index"], Conflicts::Leave).unwrap_err();
    assert!(matches!(refused, WritebackError::Apart { .. }), "{refused}");
    let all = play.kept();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    play.release(&all, Conflicts::Leave).unwrap();
    let log = String::from_utf8(play.on_host("git log --format=%s && git status --short").stdout);
    assert_eq!(log.unwrap(), "two\none\n");
}

#[test]
fn a_repository_that_moved_on_both_sides_is_never_overwritten() {
    let play = Play::new(&[("a", "1")]);
    play.on_host("git init -q -b main . && git add a && git commit -qm one");
    let mut play = play;
    play.begin();
    play.session("echo 2 > b; git add b; git commit -qm session");
    play.on_host("echo 3 > c; git add c; git commit -qm host");
    let applied = play.finish();
    let main = applied
        .kept()
        .iter()
        .find(|kept| kept.path().to_string().ends_with(".git/refs/heads/main"));
    let id = fs::read_to_string(play.path("state/held").join(main.unwrap().contents().unwrap()));
    let refused = play.release(&[".git/refs/heads/main"], Conflicts::Overwrite).unwrap_err();
    assert!(matches!(refused, WritebackError::GitMoved { .. }), "{refused}");
    // Both sides' commits are there: an ordinary merge brings them together.
    let id = id.unwrap();
    play.on_host(&format!("rm -f b; git merge -q --no-edit {}", id.trim()));
    let log = String::from_utf8(play.on_host("git log --format=%s").stdout).unwrap();
    assert!(log.contains("session\n") && log.contains("host\n"), "{log}");
}

#[test]
fn forgetting_takes_a_change_off_the_shelf_and_no_other() {
    let play = Play::new(&[("a", "1")]);
    play.session("echo x > a; echo y > b");
    play.shelve();
    let held = play.path("state/held");
    let chosen: Vec<_> = writeback::held(&held)
        .unwrap()
        .into_iter()
        .filter(|kept| kept.path().to_string() == "a")
        .collect();
    writeback::forget(&held, &chosen, &play.path("state/journal")).unwrap();
    assert_eq!(play.kept(), ["b"]);
    let again = writeback::forget(&held, &chosen, &play.path("state/journal")).unwrap_err();
    assert!(matches!(again, WritebackError::Moved { .. }), "{again}");
    play.release(&["b"], Conflicts::Leave).unwrap();
    assert_eq!((play.read("a"), play.read("b")), ("1".to_owned(), "y\n".to_owned()));
}
