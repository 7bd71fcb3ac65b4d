//! What does somebody read who mistypes a word, or whose disk is full?

use super::{World, read, wait};
use std::fs::{self, File, OpenOptions};
use std::process::Stdio;

#[test]
fn a_program_that_cannot_be_started_is_told_apart_from_a_misspelt_option() {
    let world = World::new();
    fs::write(world.path("project/notes.txt"), "no program").unwrap();
    let cases: [(&[&str], i32, &str); 5] = [
        (
            &["--reveiw", "--", "true"],
            2,
            "there is no option `--reveiw`\n  hint: did you mean `--review`?",
        ),
        (&["--", "--zzzzzzzz"], 2, "hint: see those that there are with --help"),
        (
            &["--", "no-such-program"],
            127,
            "there is no program `no-such-program` on the search path",
        ),
        (&["--", "./no-such"], 127, "there is no program `./no-such`\n"),
        (
            &["--", "./notes.txt"],
            127,
            "`./notes.txt` may not be executed\n  hint: chmod +x ./notes.txt, or",
        ),
    ];
    for (words, code, told) in cases {
        let done = world.run(&[&["run"], words].concat());
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.err.contains(told), "{told}: {done:?}");
    }
}

#[test]
fn output_that_does_not_arrive_is_no_success() {
    let world = World::new();
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    // The one is short enough to be held back until the end; the other is not.
    for words in [["policy", "check"], ["policy", "show"]] {
        assert_eq!(world.run(&words).code, 0);
        let mut child = world.command(&words).stdout(full()).spawn().unwrap();
        let told = read(&mut child.stderr.take().unwrap());
        assert_eq!(wait(&mut child), 74, "{told}");
        assert!(told.contains("error: cannot write the output: no space left"), "{told}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = world.command(&["policy", "show"]).stdout(Stdio::from(writer)).spawn().unwrap();
    assert_eq!(read(&mut child.stderr.take().unwrap()), "", "a reader that has enough is no error");
    assert_eq!(wait(&mut child), 0);
}

#[test]
fn who_looks_for_what_is_not_there_learns_where_to_look() {
    let world = World::new();
    drop(world.store());
    drop(File::create(world.path("project/empty")).unwrap());
    let cases: [(&[&str], i32, &str); 5] = [
        (&["secret", "list"], 0, "no secret is configured; docs/secrets.md says how"),
        (&["approvals", "deny", "abc"], 1, "hint: see what waits: bartizan approvals list"),
        (
            &["changes", "show", "abc"],
            1,
            "hint: see the newest: bartizan audit list --event session_start",
        ),
        (
            &["agent", "token", "revoke", "abc"],
            1,
            "hint: see those that are good: bartizan agent token list",
        ),
        (
            &["effects", "resolve", "abc", "--failed"],
            1,
            "hint: see them all: bartizan effects list --all",
        ),
    ];
    for (words, code, told) in cases {
        let done = world.run(words);
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.err.contains(told), "{told}: {done:?}");
    }
}
