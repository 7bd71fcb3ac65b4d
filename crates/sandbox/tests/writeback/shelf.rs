//! Does what was kept land later exactly as it was looked at, and never over anything else?
use crate::play::{Play, put, tree};
use bartizan_sandbox::writeback::{self, Conflicts, Recovery, WritebackError};
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
