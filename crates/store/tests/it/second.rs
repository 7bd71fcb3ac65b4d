//! Does a second verifier, written from the document alone and in another language, agree?
use crate::util::{log_of, state};
use bartizan_store::Store;
use bartizan_store::verify::Trust;
use std::path::Path;
use std::process::{Command, Output};

#[expect(clippy::disallowed_methods, reason = "the second verifier is a Python program")]
fn python(arguments: &[&Path], key: &str) -> Option<Output> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify.py");
    let output = Command::new("python3").arg("-I").arg(script).args(arguments).arg(key).output();
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
    store.reader().export(&mut whole).unwrap();
    let key = store.public_key().to_string();
    let files = state();
    let file = files.path().join("log.jsonl");
    let run = |content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        python(&[&file], &key)
    };
    let Some(output) = run(&whole) else { return };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.starts_with("whole: 140 records, ") && text.contains(" 0 unanchored"), "{text}");
    assert!(text.contains(
        &bartizan_store::verify::dir(dir.path(), &Trust::default()).unwrap().root.to_string()
    ));
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
        let output = run(changed.as_bytes()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
