//! How long does a call of a client without a person wait for an answer, and for how long may one still be given?
//! `[approvals]`.

use super::check::Flaw;
use super::page::Page;
use super::raw::At;
use super::units;
use serde::Deserialize;
use std::time::Duration;

/// `[approvals]` as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApprovals {
    defer_after: Option<At<String>>,
    defer_for: Option<At<String>>,
}

/// When a call is put off, and for how long its question then stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Approvals {
    /// How long a call waits before it is put off; `None` never puts one off.
    pub(crate) defer_after: Option<Duration>,
    /// How long its question can be answered after that, and the answer be used.
    pub(crate) defer_for: Duration,
}

impl Default for Approvals {
    /// Long enough for somebody who has just been told of the question, short enough for a job that nobody watches; and a
    /// day, so that what a night's run asked is answered in the morning.
    fn default() -> Self {
        Self { defer_after: Some(Duration::from_mins(1)), defer_for: Duration::from_hours(24) }
    }
}

impl Approvals {
    /// Takes in one layer's words; a later layer's count.
    pub(super) fn add(&mut self, page: &mut Page<'_>, raw: Option<&RawApprovals>) {
        let Some(raw) = raw else { return };
        if let Some(after) = page.take_option(raw.defer_after.as_ref(), |text| defer_after(text)) {
            self.defer_after = after;
        }
        if let Some(life) = page.take_option(raw.defer_for.as_ref(), |text| defer_for(text)) {
            self.defer_for = life;
        }
    }
}

/// A time up to an hour, or `never`.
pub(crate) fn defer_after(text: &str) -> Result<Option<Duration>, Flaw> {
    if text == "never" {
        return Ok(None);
    }
    let after = units::duration(text).map_err(|why| {
        (format!("`{text}` is no time: {why}"), Some("a time such as 30s, or never".to_owned()))
    })?;
    if after > LONGEST {
        return Err((format!("`{text}` is more than 1h"), None));
    }
    Ok(Some(after))
}

fn defer_for(text: &str) -> Result<Duration, Flaw> {
    let life =
        units::duration(text).map_err(|why| (format!("`{text}` is no time: {why}"), None))?;
    if life.is_zero() || life > MOST {
        return Err((format!("`{text}` is not above 0 and at most 7d"), None));
    }
    Ok(life)
}

/// Each call that waits takes a thread of ours, and its client a run's time.
const LONGEST: Duration = Duration::from_hours(1);
/// The longest life of a question in the store.
const MOST: Duration = Duration::from_hours(168);
