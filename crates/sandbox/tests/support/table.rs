//! Which attack was stopped, by which wall, and what shows it? Told by the tests themselves, once they hold.
//!
//! `just attack-table` names a file in `ATTACK_TABLE`; each attack test adds a line to it. Without that variable nothing
//! happens here.
use std::fmt::Debug;
use std::io::Write;

/// Notes that attack `id` was tried and what stopped it. Called last in a test, so that a line stands for a test that held.
#[track_caller]
pub(crate) fn stopped(id: &str, tried: &str, wall: &str, evidence: &impl Debug) {
    let Some(path) = std::env::var_os("ATTACK_TABLE") else { return };
    let seen = shortened(&format!("{evidence:?}"));
    let user = if rustix::process::geteuid().is_root() { "root" } else { "user" };
    let line = [id, tier(), user, tried, wall, &seen].map(|text| text.replace(['\t', '\n'], " "));
    let mut table = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    // One write: other tests add lines at the same time.
    table.write_all((line.join("\t") + "\n").as_bytes()).unwrap();
}

/// The tier that the tests of this process run in.
fn tier() -> &'static str {
    if std::env::var_os(WITHOUT).is_some() { "B" } else { "A" }
}

/// What fits into a column, without the quotes of `Debug` around the whole.
fn shortened(text: &str) -> String {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let text = text.trim_end_matches("\\n").replace("\\n", "; ").replace("\\\"", "\"");
    if text.chars().count() <= WIDTH {
        return text;
    }
    text.chars().take(WIDTH).chain(['…']).collect()
}

/// Set where a test runs without user namespaces, which makes its boxes tier B.
pub(crate) const WITHOUT: &str = "BARTIZAN_TEST_WITHOUT_USER_NAMESPACES";
const WIDTH: usize = 110;
