//! What do the tests share? A directory, entries, a second process, a disk of its own.
use bartizan_store::verify::{self, Integrity, Report, Trust};
use bartizan_store::{Durability, Entry, Event, Ledger as _, Store};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A state directory that is removed at the end of the test.
pub(crate) fn state() -> TempDir {
    let dir = tempfile::Builder::new().prefix("bartizan-store-").tempdir().unwrap();
    set_mode(dir.path(), 0o700);
    dir
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn entry(number: u64) -> Entry {
    Entry::new(Event::Call).session("s-1").call(format!("c-{number}")).with("tool", "Bash").with(
        "args",
        serde_json::json!({ "command": "cargo test", "n": number, "é": ["\n", null] }),
    )
}

pub(crate) fn append(store: &Store, number: u64) -> u64 {
    store.append(entry(number), Durability::Durable).unwrap().seq().unwrap()
}

/// A closed log of `count` records with its directory.
pub(crate) fn log_of(count: u64) -> TempDir {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    for number in 0..count {
        append(&store, number);
    }
    dir
}

pub(crate) fn verified(dir: &Path) -> Report {
    verify::dir(dir, &Trust::default()).unwrap()
}

pub(crate) fn assert_whole(dir: &Path) -> Report {
    let report = verified(dir);
    assert_eq!(report.integrity, Integrity::Whole);
    report
}

/// The path of the database.
pub(crate) fn database(dir: &Path) -> PathBuf {
    dir.join("bartizan.db")
}

/// Opens the database behind the store's back.
pub(crate) fn tamper(dir: &Path, sql: &str) {
    let db = rusqlite::Connection::open(database(dir)).unwrap();
    db.execute_batch(sql).unwrap();
}

/// This test program again, running only the test `name`, which finds `dir` in [`role`].
#[expect(
    clippy::disallowed_methods,
    reason = "the promises hold across processes, so the tests need some"
)]
pub(crate) fn again(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env(ROLE, dir).stdin(Stdio::null());
    command
}

/// The directory given by [`again`]; `None` in the ordinary run of the tests.
pub(crate) fn role() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(PathBuf::from)
}

/// Runs the test `name` again in namespaces of its own, after `mount` has been run there by a shell with `$1` a
/// directory to mount on. False, and loudly so, when this machine allows no such namespaces.
#[expect(
    clippy::disallowed_methods,
    reason = "a disk of its own needs a mount namespace of its own"
)]
pub(crate) fn on_own_disk(name: &str, mount: &str) -> bool {
    let works =
        Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED `{name}`: `unshare -Urm` cannot mount a tmpfs on this machine")
            .unwrap();
        return false;
    }
    let dir = state();
    let output = Command::new("unshare")
        .args([
            "-Urm",
            "sh",
            "-euc",
            &format!("{mount}\nexec \"$2\" --exact \"$3\" --nocapture"),
            "sh",
        ])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(ROLE, dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
    true
}

const ROLE: &str = "BARTIZAN_STORE_TEST_DIR";
