//! Does write-back read the changes of a copy as it reads those of an overlay?
use super::super::copy::{copy, open_directory};
use super::*;
use crate::writeback;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

/// Copies a workspace, lets `change` loose on the copy, and returns what write-back makes of it, line by line.
fn changes(lay_out: fn(&Path), change: fn(&Path)) -> Vec<String> {
    let place = tempfile::tempdir().unwrap();
    let directory = |name: &str| {
        let path = place.path().join(name);
        fs::create_dir(&path).unwrap();
        let fd = open_directory(&path).unwrap();
        (path, fd)
    };
    let ((host, host_fd), (work, work_fd), (_, upper_fd)) =
        (directory("host"), directory("copy"), directory("upper"));
    lay_out(&host);
    // So that the clock that inodes are stamped with has moved on.
    std::thread::sleep(std::time::Duration::from_millis(30));
    let since = writeback::session_start();
    let baseline = copy(host_fd.as_fd(), work_fd.as_fd(), None).unwrap();
    change(&work);
    extract(work_fd.as_fd(), upper_fd.as_fd(), &baseline).unwrap();
    let listed = writeback::list(upper_fd.as_fd(), host_fd.as_fd(), since).unwrap();
    let line = |change: &writeback::Change| {
        let lands = if change.lands() { "" } else { " (held)" };
        format!("{} {}{lands}", change.kind(), change.path())
    };
    let mut lines: Vec<String> = listed.iter().map(line).collect();
    lines.sort();
    lines
}

fn project(host: &Path) {
    for directory in ["src/deep", "docs", ".git/hooks"] {
        fs::create_dir_all(host.join(directory)).unwrap();
    }
    for file in ["src/main.rs", "src/deep/a", "src/deep/b", "docs/guide", "readme"] {
        fs::write(host.join(file), file).unwrap();
    }
    std::os::unix::fs::symlink("readme", host.join("link")).unwrap();
    fs::set_permissions(host.join("docs"), fs::Permissions::from_mode(0o555)).unwrap();
}

#[test]
fn an_untouched_copy_changes_nothing() {
    assert_eq!(changes(project, |_| ()), [""; 0]);
    let read = |work: &Path| drop(fs::read(work.join("src/main.rs")).unwrap());
    assert_eq!(changes(project, read), [""; 0]);
}

#[test]
fn edits_new_files_and_removals_are_told_one_by_one() {
    let told = changes(project, |work| {
        fs::write(work.join("src/main.rs"), "other").unwrap();
        fs::write(work.join("src/new.rs"), "new").unwrap();
        fs::remove_file(work.join("readme")).unwrap();
        fs::remove_dir_all(work.join("src/deep")).unwrap();
        fs::create_dir_all(work.join("made/below")).unwrap();
        fs::write(work.join("made/below/x"), "x").unwrap();
    });
    assert_eq!(
        told,
        [
            "changed src/main.rs",
            "deleted directory src/deep",
            "deleted readme",
            "new directory made",
            "new directory made/below",
            "new made/below/x",
            "new src/new.rs",
        ]
    );
}

#[test]
fn a_directory_moved_or_replaced_is_told_by_what_it_holds() {
    let told = changes(project, |work| {
        fs::rename(work.join("src/deep"), work.join("moved")).unwrap();
        fs::create_dir(work.join("src/deep")).unwrap();
        fs::write(work.join("src/deep/a"), "another").unwrap();
    });
    assert_eq!(
        told,
        [
            "changed src/deep/a",
            "deleted src/deep/b",
            "new directory moved",
            "new moved/a",
            "new moved/b"
        ]
    );
    let told = changes(project, |work| {
        fs::remove_dir_all(work.join("src/deep")).unwrap();
        fs::write(work.join("src/deep"), "a file now").unwrap();
        fs::remove_file(work.join("link")).unwrap();
        fs::create_dir(work.join("link")).unwrap();
    });
    assert_eq!(told, ["new directory link", "new src/deep"]);
}

#[test]
fn what_the_host_would_obey_is_held_as_ever() {
    let told = changes(project, |work| {
        fs::write(work.join(".git/hooks/pre-commit"), "#!/bin/sh").unwrap();
        fs::create_dir(work.join(".claude")).unwrap();
        fs::write(work.join(".claude/settings.json"), "{}").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", work.join("out")).unwrap();
    });
    assert_eq!(
        told,
        [
            "link to `/etc/passwd` out (held)",
            "new .claude/settings.json (held)",
            "new .git/hooks/pre-commit (held)",
            "new directory .claude (held)",
        ]
    );
}

#[test]
fn a_mode_alone_is_a_change_and_a_forged_time_hides_none() {
    let told = changes(project, |work| {
        fs::set_permissions(work.join("readme"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = work.join("src/main.rs");
        let before = path.metadata().unwrap().modified().unwrap();
        fs::write(&path, "SRC/main.rs").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    });
    assert_eq!(told, ["changed src/main.rs", "permissions changed readme"]);
}

#[test]
fn directories_that_were_closed_are_told_all_the_same() {
    let told = changes(project, |work| {
        fs::write(work.join("docs/guide"), "changed").unwrap();
        fs::write(work.join("src/deep/a"), "changed").unwrap();
        fs::set_permissions(work.join("src/deep/a"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(work.join("src/deep"), fs::Permissions::from_mode(0o000)).unwrap();
    });
    assert!(told.contains(&"changed docs/guide".to_owned()), "{told:?}");
    assert!(told.contains(&"changed src/deep/a".to_owned()), "{told:?}");
}

#[test]
fn a_copy_takes_no_devices_sockets_or_fifos_along() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::create_dir(&to).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, from.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::write(from.join("file"), "kept").unwrap();
    let (from, to_fd) = (open_directory(&from).unwrap(), open_directory(&to).unwrap());
    copy(from.as_fd(), to_fd.as_fd(), None).unwrap();
    let kept: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(matches!(kept.as_slice(), [one] if one.file_name() == "file"), "{kept:?}");
    assert!(!kept[0].file_type().unwrap().is_socket());
}
