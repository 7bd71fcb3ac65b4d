//! Which runs were flagged, and what does a person make of one?

use crate::cli::{DetectJudgeArgs, DetectRunsArgs, Judged, exit};
use crate::clock::age;
use crate::cmd::Desk;
use crate::cmd::approvals::approver;
use crate::report::{Failure, Paint};
use bartizan_scan::display_line;
use bartizan_store::{Opinion, Review, Reviewed, Store};
use serde_json::json;

/// `bartizan detect runs`.
pub(super) fn list(args: &DetectRunsArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let mut runs = if desk.places.state.exists() {
        Store::open(&desk.places.state)?.reader().reviewed()?
    } else {
        Vec::new()
    };
    if !args.all {
        runs.retain(|run| run.settled().is_none() && !run.flags.is_empty());
    }
    if args.json {
        let all: Vec<_> = runs
            .iter()
            .map(|run| json!({ "session": run.session, "flags": run.flags, "reviews": run.reviews, "settled": run.settled().map(|word| word.verdict) }))
            .collect();
        writeln!(desk.voice.out(), "{}", json!(all))?;
        return Ok(exit::DONE);
    }
    if runs.is_empty() {
        desk.voice.say("no flagged run waits to be judged")?;
    }
    for run in &runs {
        line(run, desk)?;
    }
    if runs.iter().any(|run| run.settled().is_none()) {
        desk.voice.say("  hint: look with `bartizan audit list --session SESSION`, then: bartizan detect judge SESSION harmless, attack or unsure")?;
    }
    Ok(exit::DONE)
}

fn line(run: &Reviewed, desk: &mut Desk<'_>) -> Result<(), Failure> {
    let verdict = match run.settled() {
        Some(Review { verdict, .. }) => {
            let paint = match verdict {
                Opinion::Attack => Paint::Red,
                Opinion::Harmless => Paint::Green,
                Opinion::Unsure => Paint::Yellow,
            };
            desk.voice.paint(paint, &format!("{:<8}", verdict.as_str()))
        }
        None => desk.voice.paint(Paint::Bold, &format!("{:<8}", "flagged")),
    };
    let newest = run.flags.iter().map(|flag| flag.time_ms).max();
    let when = newest.or_else(|| run.reviews.last().map(|review| review.time_ms)).map(age);
    let rules: Vec<&str> = run.flags.iter().map(|flag| flag.rule.as_str()).collect();
    let (session, rules) = (display_line(&run.session, 40), display_line(&rules.join(", "), 100));
    let said = run.settled().map(|word| {
        let note = display_line(&word.note, 80);
        format!("  {}: {note}", display_line(&word.by, 40))
    });
    let (when, said) = (when.unwrap_or_default(), said.unwrap_or_default());
    writeln!(desk.voice.out(), "{session}  {verdict}  {when:<10}  {rules}{said}")?;
    Ok(())
}

/// `bartizan detect judge`.
pub(super) fn judge(args: &DetectJudgeArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let by = approver(desk)?;
    let store = Store::open(&desk.places.state)?;
    let opinion = match args.verdict {
        Judged::Attack => Opinion::Attack,
        Judged::Harmless => Opinion::Harmless,
        Judged::Unsure => Opinion::Unsure,
    };
    store.review(&args.session, opinion, &args.note, &by)?;
    store.checkpoint()?;
    let (word, by) = (opinion.as_str(), display_line(&by, 40));
    desk.voice.say(&format!("{}: {word} (as {by})", display_line(&args.session, 40)))?;
    Ok(exit::DONE)
}
