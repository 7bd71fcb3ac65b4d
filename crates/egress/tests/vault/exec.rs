//! What may a host command do for us? Real processes.

use bartizan_egress::vault::{Declared, FaultKind};
use bartizan_egress::{SecretError, SecretRef, SecretValue, Vault};
use bartizan_gate::name::SecretName;
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A folder with one executable script in it.
fn script(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tool");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (dir, path)
}

/// The script by way of its shell: a file that was just written may still be open for writing in a child that
/// another test has forked, and cannot be started itself as long as it is.
fn reference(path: &Path, rest: &str) -> SecretRef {
    SecretRef::parse(&format!("exec:///bin/sh {}{rest}", path.display())).unwrap()
}

fn direct(path: &Path) -> SecretRef {
    SecretRef::parse(&format!("exec://{} fine", path.display())).unwrap()
}

fn fault(outcome: Result<Arc<SecretValue>, SecretError>) -> (FaultKind, String) {
    match outcome {
        Err(SecretError::BackEnd { fault, .. }) => (fault.kind(), fault.to_string()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a value"),
    }
}

fn shown(value: &SecretValue) -> String {
    value.danger_expose(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn a_command_gives_what_it_prints_without_the_line_end() {
    for (text, expected) in [
        ("printf 'v4lue\\n'", "v4lue"),
        ("printf 'v4lue\\r\\n'", "v4lue"),
        ("printf 'a\\nb\\n\\n'", "a\nb\n"),
    ] {
        let (_dir, tool) = script(text);
        let value = Vault::system().resolve(&reference(&tool, "")).await.unwrap();
        assert_eq!(shown(&value), expected);
    }
}

#[tokio::test]
async fn arguments_reach_it_as_they_are_and_no_shell_sees_them() {
    let (dir, tool) = script("printf '<%s>' \"$@\"");
    let value =
        Vault::system().resolve(&reference(&tool, " a%20b $(touch%20x) ;id *")).await.unwrap();
    assert_eq!(shown(&value), "<a b><$(touch x)><;id><*>");
    assert_eq!(dir.path().read_dir().unwrap().count(), 1);
}

#[tokio::test]
async fn it_finds_a_fixed_environment_and_what_was_passed() {
    let (_dir, tool) = script("/usr/bin/env | /usr/bin/sort | /usr/bin/tr '\\n' ' '; pwd");
    let ours = HashMap::from(
        [
            ("HOME", "/home/anna"),
            ("LD_PRELOAD", "/x.so"),
            ("GITHUB_TOKEN", "t0ken"),
            ("OP_SESSION", "s"),
        ]
        .map(|(name, value)| (name.to_owned(), OsString::from(value))),
    );
    let name = SecretName::parse("x").unwrap();
    let declared =
        Declared { pass: vec!["OP_SESSION".to_owned()], ..Declared::new(reference(&tool, "")) };
    let vault = Vault::builder().environment(ours).declare(name.clone(), declared).build();
    let seen = shown(&vault.named(&name).await.unwrap());
    for present in ["HOME=/home/anna ", "OP_SESSION=s ", "PATH=/usr/local/sbin:", "LANG=C.UTF-8 "] {
        assert!(seen.contains(present), "{present} in {seen}");
    }
    for absent in ["LD_PRELOAD", "GITHUB_TOKEN"] {
        assert!(!seen.contains(absent), "{absent} in {seen}");
    }
    assert!(seen.ends_with(" /"), "it stands in the root directory: {seen}");
}

#[tokio::test]
async fn failure_is_told_without_what_the_command_said() {
    let (_dir, tool) = script("echo s3cr3t-in-stderr >&2; echo s3cr3t-in-stdout; exit 3");
    let (kind, text) = fault(Vault::system().resolve(&reference(&tool, "")).await);
    assert_eq!(kind, FaultKind::Denied);
    assert!(text.contains("exit code 3") && !text.contains("s3cr3t"), "{text}");
    let (_dir, silent) = script("exit 0");
    assert_eq!(fault(Vault::system().resolve(&reference(&silent, "")).await).0, FaultKind::Missing);
    let (_dir, loud) = script("exec /usr/bin/head -c 70000 /dev/zero");
    assert_eq!(fault(Vault::system().resolve(&reference(&loud, "")).await).0, FaultKind::Malformed);
    let absent = SecretRef::parse("exec:///no/such/tool").unwrap();
    assert_eq!(fault(Vault::system().resolve(&absent).await).0, FaultKind::Missing);
}

#[tokio::test]
async fn one_that_hangs_is_ended_with_all_that_it_started() {
    let (dir, tool) = script("/bin/sleep 600 & echo $! > \"$0.pid\"; wait");
    let name = SecretName::parse("x").unwrap();
    let declared =
        Declared { timeout: Duration::from_secs(3), ..Declared::new(reference(&tool, "")) };
    let vault = Vault::builder().declare(name.clone(), declared).build();
    let (kind, _) = fault(vault.named(&name).await);
    assert_eq!(kind, FaultKind::Slow);
    let Ok(pid) = std::fs::read_to_string(dir.path().join("tool.pid")) else {
        crate::skipped("the machine was too slow for the script to begin");
        return;
    };
    let process = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    let gone = || std::fs::read_to_string(&process).map_or(true, |stat| stat.contains(") Z "));
    for _ in 0..600 {
        if gone() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("its child lives on");
}

#[tokio::test]
async fn what_an_agent_could_have_written_is_not_started() {
    let (dir, tool) = script("echo planted");
    let workspace = dir.path().canonicalize().unwrap();
    let vault = Vault::builder().workspace(workspace).build();
    assert_eq!(fault(vault.resolve(&direct(&tool)).await).0, FaultKind::Unsafe);
    let elsewhere = tempfile::tempdir().unwrap();
    let (link, twin) = (elsewhere.path().join("link"), elsewhere.path().join("twin"));
    std::os::unix::fs::symlink(&tool, &link).unwrap();
    std::os::unix::fs::symlink("/bin/echo", &twin).unwrap();
    assert_eq!(fault(vault.resolve(&direct(&link)).await).0, FaultKind::Unsafe);
    assert_eq!(shown(&vault.resolve(&direct(&twin)).await.unwrap()), "fine");
    let (_dir, open) = script("echo anybody wrote this");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(fault(vault.resolve(&direct(&open)).await).0, FaultKind::Unsafe);
}
