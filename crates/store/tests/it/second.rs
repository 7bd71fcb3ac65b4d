//! Does a second verifier, written from the document alone and in another language, agree?
use crate::util::{log_of, state};
use bartizan_store::verify::{self, Trust};
use bartizan_store::{Start, Store};
use std::path::Path;
use std::process::{Command, Output};

#[expect(clippy::disallowed_methods, reason = "the second verifier is a Python program")]
fn run(arguments: &[String]) -> Option<Output> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify.py");
    let output = Command::new("python3").arg("-I").arg(script).args(arguments).output();
    match output {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED the second verifier: python3 does not start: {error}");
            None
        }
    }
}

#[test]
fn the_python_verifier_agrees_about_whole_and_broken_logs() {
    let dir = log_of(140);
    let store = Store::open(dir.path()).unwrap();
    let mut whole = Vec::new();
    store.reader().export(Start::At(0), &mut whole).unwrap();
    let key = store.public_key().to_string();
    let files = state();
    let file = files.path().join("log.jsonl");
    let judged = |content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        run(&[file.display().to_string(), key.clone()])
    };
    let Some(output) = judged(&whole) else { return };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.starts_with("whole: 140 records, ") && text.contains(" 0 unanchored"), "{text}");
    assert!(text.contains(&verify::dir(dir.path(), &Trust::default()).unwrap().root.to_string()));
    let text = String::from_utf8(whole).unwrap();
    let notes = text.match_indices("\\n\\n\u{2014}").map(|(at, _)| at);
    let at = notes.last().unwrap();
    for changed in [
        text.replacen("cargo test", "crago test", 1),
        text.replacen("\"n\":77", "\"n\":78", 1),
        text.lines()
            .filter(|line| !line.contains("\"n\":50,"))
            .flat_map(|line| [line, "\n"])
            .collect(),
        format!("{}0{}", &text[..at], &text[at..]),
    ] {
        assert!(changed != text, "the change changes nothing");
        let output = judged(changed.as_bytes()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Both verifiers' exit codes for one text.
fn codes(text: &str, trust: &Trust) -> Option<(u8, i32)> {
    let files = state();
    let (file, kept) = (files.path().join("log.jsonl"), files.path().join("kept"));
    std::fs::write(&file, text).unwrap();
    let key = trust.key.as_ref().unwrap().to_string();
    let mut arguments = vec![file.display().to_string(), key];
    if let Some(from) = trust.from {
        arguments.extend(["--from".to_owned(), from.to_string()]);
    }
    if let [anchor] = trust.anchors.as_slice() {
        std::fs::write(&kept, anchor).unwrap();
        arguments.push(kept.display().to_string());
    }
    let theirs = run(&arguments)?.status.code().unwrap();
    Some((verify::lines(text.as_bytes(), trust).unwrap().verdict().code(), theirs))
}

/// The lines, changed and put together again.
fn edit<'a>(lines: &[&'a str], change: impl Fn(&mut Vec<&'a str>)) -> String {
    let mut lines = lines.to_vec();
    change(&mut lines);
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

fn text_of(dir: &Path, start: Start) -> String {
    let mut out = Vec::new();
    Store::open(dir).unwrap().reader().export(start, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn both_verifiers_give_the_same_code_for_each_kind_of_tampering() {
    let (dir, other) = (log_of(70), log_of(70));
    let whole = text_of(dir.path(), Start::At(0));
    let part = text_of(dir.path(), Start::At(66));
    let foreign = text_of(other.path(), Start::At(0));
    let store = Store::open(dir.path()).unwrap();
    let key = Some(store.public_key().clone());
    let newest = store.checkpoint().unwrap().unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let number = |seq: u64| format!("\"seq\":{seq},");
    let at = |seq: u64| lines.iter().position(|line| line.contains(&number(seq))).unwrap();
    let swapped = foreign.lines().find(|line| line.contains(&number(50))).unwrap();
    let last_note = |line: &&str| line.starts_with("{\"checkpoint\"") && line.contains("\\n70\\n");
    let cases = [
        ("untouched", whole.clone(), None, 0),
        ("changed", whole.replacen("\"n\":50,", "\"n\":51,", 1), None, 1),
        (
            "dropped",
            edit(&lines, |lines| lines.retain(|line| !line.contains(&number(50)))),
            None,
            1,
        ),
        ("inserted", edit(&lines, |lines| lines.insert(at(50), "{\"event\":\"call\"}")), None, 1),
        ("reordered", edit(&lines, |lines| lines.swap(at(50), at(51))), None, 1),
        ("replayed", edit(&lines, |lines| lines.insert(at(50), lines[at(49)])), None, 1),
        ("swapped with another log's", edit(&lines, |lines| lines[at(50)] = swapped), None, 1),
        (
            "moved to another session",
            whole.replacen("\"session\":\"s-1\"", "\"session\":\"s-2\"", 1),
            None,
            1,
        ),
        ("cut off, its checkpoints too", edit(&lines, |lines| lines.truncate(at(66))), None, 2),
        (
            "not signed to its end",
            edit(&lines, |lines| lines.retain(|line| !last_note(line))),
            None,
            3,
        ),
        ("a part, as such", part.clone(), Some(66), 0),
        ("a part, as the whole", part.clone(), None, 1),
        ("a part, behind itself", format!("{part}{part}"), Some(66), 1),
        (
            "a part, with another's beginning",
            part.replacen("\"leaf\":\"", "\"leaf\":\"0", 1),
            Some(66),
            1,
        ),
    ];
    for (what, text, from, code) in cases {
        // The newest checkpoint was kept elsewhere; where the log is only unsigned, it was not.
        let anchors = if code == 3 { vec![] } else { vec![newest.clone()] };
        let trust = Trust { key: key.clone(), anchors, from };
        let Some((ours, theirs)) = codes(&text, &trust) else { return };
        assert_eq!((ours, theirs), (code, i32::from(code)), "{what}");
    }
}
