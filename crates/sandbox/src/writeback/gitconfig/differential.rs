//! Does git read a configuration as we do? Where the two differ, a key could hide from the judge.

use super::parse;
use proptest::prelude::*;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// What git itself reads: each key, and its value as far as it has one. `None` where git gives up.
fn git_reads(config: &str) -> Option<Vec<(String, Option<String>)>> {
    #[expect(clippy::disallowed_methods, reason = "the test asks the real git")]
    let mut git = Command::new("git");
    git.args(["config", "--null", "--file", "-", "--list"]);
    let mut child = git
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git is installed");
    // A git that has given up no longer listens.
    drop(child.stdin.take().unwrap().write_all(config.as_bytes()));
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return None;
    }
    let listed = String::from_utf8(output.stdout).unwrap();
    let entry = |line: &str| match line.split_once('\n') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (line.to_owned(), None),
    };
    Some(listed.split_terminator('\0').map(entry).collect())
}

/// Sections, entries and stray bytes, most of them as git writes them, so that both sides have something to read.
fn piece() -> impl Strategy<Value = String> {
    let header = prop::sample::select(vec![
        "[core]",
        "[CoRe]\n",
        "[alias]\n",
        "[remote \"origin\"]\n",
        "[remote \"o\\\"r\\i\"] ",
        "[branch.Main]\n",
        "[include]\n",
        "[core \"x]y\"]\t",
        "[a-b.c.d] ",
        "[core ]",
        "[ core]",
    ]);
    let name = prop::sample::select(vec![
        "fsmonitor",
        "path",
        "k",
        "sshCommand",
        "URL",
        "a-b",
        "x1",
        "-x",
        "p_q",
    ]);
    let space = prop::sample::select(vec!["", " ", "\t", " \t ", "\u{b}", "\u{a0}"]);
    let value = prop::collection::vec(
        prop::sample::select(vec![
            "./p",
            "true",
            " ",
            "\t",
            "\"",
            "\\\\",
            "\\\"",
            "\\n",
            "\\t",
            "\\b",
            "\\x",
            "\\\n",
            "#",
            ";",
            "=",
            "[x]",
            "!sh",
            "\"a # b\"",
            "é",
            "\u{b}",
            "\r",
        ]),
        0..5,
    );
    let end = prop::sample::select(vec!["\n", "\r\n", "", " ; c\n", "\\\n"]);
    let entry = (space, name, prop::sample::select(vec!["=", " = ", "", " "]), value, end)
        .prop_map(|(space, name, is, value, end)| {
            format!("{space}{name}{is}{}{end}", value.concat())
        });
    let stray =
        prop::sample::select(vec!["\u{feff}", "\0", "\r", "# x\n", "; [core]\n", "]", "\\"]);
    prop_oneof![4 => header.prop_map(str::to_owned), 8 => entry, 1 => stray.prop_map(str::to_owned)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// We may give up where git does not, never read something else than git does.
    #[test]
    fn what_we_read_git_reads_too(pieces in prop::collection::vec(piece(), 0..5)) {
        let config = format!("[core]\n{}", pieces.concat());
        let (Some(ours), Some(gits)) = (parse(config.as_bytes()), git_reads(&config)) else {
            return Ok(());
        };
        let ours: Vec<_> = ours
            .iter()
            .map(|entry| {
                let key = match &entry.sub {
                    Some(sub) => format!("{}.{sub}.{}", entry.section, entry.name),
                    None => format!("{}.{}", entry.section, entry.name),
                };
                (key, entry.value.clone())
            })
            .collect();
        // For us a key without a value is `true`, which is what git takes it for.
        let gits: Vec<_> = gits
            .into_iter()
            .map(|(key, value)| (key, value.unwrap_or_else(|| "true".to_owned())))
            .collect();
        prop_assert_eq!(ours, gits);
    }
}

#[test]
fn the_comparison_sees_what_git_sees() {
    let read = git_reads("[core]\n\tfsmonitor = ./p\n\tbare\n").unwrap();
    assert_eq!(
        read,
        [("core.fsmonitor".to_owned(), Some("./p".to_owned())), ("core.bare".to_owned(), None)]
    );
    assert!(git_reads("[core").is_none());
}
