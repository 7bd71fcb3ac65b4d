//! Does a reference become a value, and everything that goes wrong a refusal with its reason?
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

mod age_tool;
mod exec;
mod fake;
mod hashi;
mod keyring;
mod postgres;
mod sharing;
mod token;

/// Says aloud that something could not be tried here.
#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}
