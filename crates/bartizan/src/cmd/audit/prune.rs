//! For how long is a record kept? What is older is taken off the front, and the log says who did that.

use super::export::{digest, to_file};
use super::{Desk, Verdict, no_log, usage, verify};
use crate::cli::{AuditPruneArgs, ExportFormat, exit};
use crate::clock::now_ms;
use crate::cmd::approvals::approver;
use crate::config::units;
use crate::report::{Failure, Problem};
use bartizan_store::Store;
use bartizan_store::verify::Trust;
use std::path::Path;

/// `bartizan audit prune`.
pub(super) fn run(args: &AuditPruneArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    super::super::outside_a_box("pruning the log")?;
    let age = units::duration(&args.older_than)
        .map_err(|why| usage(&format!("`{}` is not an age: {why}", args.older_than)))?;
    if !desk.places.state.exists() {
        return Err(no_log(&desk.places.state));
    }
    let by = approver(desk)?;
    let store = Store::open(&desk.places.state)?;
    // What is broken is evidence, and stays.
    whole(&desk.places.state)?;
    store.checkpoint()?;
    let since_ms = now_ms().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let first_young = store.reader().first_since(since_ms)?;
    let keep = first_young.map_or_else(|| store.reader().size(), Ok)?;
    let place = store.prunable(keep)?;
    if place.to == place.from {
        desk.voice.say(&format!("nothing to prune: no checkpoint has only records older than {} before it, from which no session still runs", args.older_than))?;
        return Ok(exit::DONE);
    }
    let what = format!("take records {} to {} off the log, as {by}?", place.from, place.to - 1);
    if !args.yes && !desk.confirms(&what)? {
        desk.voice.say("nothing was pruned")?;
        return Ok(exit::NO);
    }
    let archive = match &args.archive {
        Some(path) => {
            let (_, file) = to_file(store.reader(), path, ExportFormat::Jsonl)?;
            Some(digest(&file)?)
        }
        None => None,
    };
    let done = store.prune(place.to, &by, archive.as_ref())?;
    let kept = args.archive.as_ref().map_or_else(
        || "no copy was kept".to_owned(),
        |path| format!("they are in {}", path.display()),
    );
    desk.voice.say(&format!("pruned records {} to {}; {kept}", done.from, done.to - 1))?;
    Ok(exit::DONE)
}

fn whole(state: &Path) -> Result<(), Failure> {
    let report = verify::dir(state, &Trust::default())?;
    match report.verdict() {
        Verdict::Whole | Verdict::Unanchored => Ok(()),
        Verdict::Broken | Verdict::Truncated => {
            let problem = Problem::new("the log is not whole, so nothing of it is pruned");
            Err(Failure::new(exit::NO, problem.hint("run `bartizan audit verify`")))
        }
    }
}
