//! Do we and the real `age` tool open each other's files? Skipped, and said so, where it is not installed.

use crate::skipped;
use bartizan_egress::SecretValue;
use bartizan_egress::vault::{Folder, Identity};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs the tool with `input`; `None` when it is not installed.
fn age(arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    #[expect(clippy::disallowed_methods, reason = "the tool we compare ourselves with")]
    let mut command = Command::new("age");
    let started = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = started else {
        skipped("`age` is not installed (Debian: age)");
        return None;
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "age {arguments:?}");
    Some(output.stdout)
}

#[test]
fn the_real_tool_opens_what_we_seal() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    folder.set("x", &SecretValue::new(b"the value".to_vec())).unwrap();
    let key = folder.identity_path();
    let file = folder.path("x").unwrap();
    let arguments = ["--decrypt", "-i", key.to_str().unwrap(), file.to_str().unwrap()];
    if let Some(opened) = age(&arguments, b"") {
        assert_eq!(opened, b"the value");
    }
}

#[test]
fn we_open_what_the_real_tool_seals_for_us_and_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    folder.set("own", &SecretValue::new(b"x".to_vec())).unwrap();
    let key = std::fs::read_to_string(folder.identity_path()).unwrap();
    let ours = Identity::parse(&key).unwrap().recipient();
    let other = Identity::generate().unwrap().recipient();
    for length in [0, 1, 4000, 65536] {
        let value = vec![b'v'; length];
        let Some(sealed) = age(&["-r", &other, "-r", &ours], &value) else { return };
        let file = dir.path().join("theirs.age");
        write(&file, &sealed);
        assert!(folder.open_at(&file).unwrap().danger_expose(|opened| opened == value));
    }
    let sealed = age(&["-r", &ours], &vec![0; 65537]).unwrap();
    write(&dir.path().join("long.age"), &sealed);
    assert!(folder.open_at(&dir.path().join("long.age")).is_err());
}

fn write(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
