//! Which runs may have turned, and what does a person make of each? Their last word, until a rule speaks again.

use super::Visit;
use super::html::Html;
use super::page::{Room, carried, see};
use crate::cli::exit;
use crate::clock::{age, date};
use crate::report::{Failure, Problem};
use bartizan_egress::Page;
use bartizan_store::{
    Desk as _, Opinion, QuestionFilter, QuestionState, Review, Reviewed, Session, Sessions as _,
};
use std::collections::BTreeSet;

/// Those that nobody has judged; with `all`, the judged ones too.
pub(super) fn list(visit: &Visit<'_>) -> Result<Page, Failure> {
    let store = &visit.console.store;
    let all = visit.request.asked("all").is_some();
    let mut runs = store.reader().reviewed()?;
    runs.retain(|run| all || run.settled().is_none() && !run.flags.is_empty());
    let waiting = QuestionFilter {
        state: Some(QuestionState::Pending),
        tool: Some(RESUME.to_owned()),
        ..QuestionFilter::default()
    };
    let paused: BTreeSet<String> =
        store.questions(&waiting)?.into_iter().map(|question| question.session).collect();
    let mut body = Html::default();
    body.raw("<h1>Flagged</h1><p class=\"lead\">Runs that a rule has flagged, and what people made of them. ");
    body.raw(if all {
        "<a href=\"/flagged\">Only what nobody has judged</a></p>"
    } else {
        "<a href=\"/flagged?all=1\">Judged ones too</a></p>"
    });
    if runs.is_empty() {
        body.raw("<div class=\"panel empty\">No flagged run waits to be judged.</div>");
        return Ok(visit.page("Flagged", Room::Flagged, &body));
    }
    body.raw("<div class=\"panel scroll\"><table class=\"cards\"><thead><tr><th>Run</th><th>Verdict</th>")
        .raw("<th>What was flagged</th><th>Agent and command</th><th>When</th></tr></thead><tbody>");
    for run in runs.iter().take(SHOWN) {
        let session = store.session(&run.session).ok();
        row(&mut body, run, session.as_ref(), paused.contains(&run.session));
    }
    body.raw("</tbody></table></div>");
    Ok(visit.page("Flagged", Room::Flagged, &body))
}

fn row(body: &mut Html, run: &Reviewed, session: Option<&Session>, paused: bool) {
    body.raw("<tr><td class=\"n\"><a class=\"mono\" href=\"/runs/").segment(&run.session);
    body.raw("\">").brief(&run.session, 12).raw("</a></td><td>");
    match run.settled() {
        Some(word) => verdict(body, word.verdict),
        None => drop(body.raw("<span class=\"tag mark\">not judged</span>")),
    }
    if paused {
        body.raw(" <span class=\"tag ask\">paused</span>");
    }
    body.raw("</td><td class=\"wide\">");
    for flag in run.flags.iter().take(FLAGS) {
        severity(body, &flag.severity);
        body.raw(" ").brief(&flag.rule, 40).raw(": ").brief(&flag.says, 160).raw("<br>");
    }
    if let Some(more) = run.flags.len().checked_sub(FLAGS).filter(|more| *more > 0) {
        body.raw("<span class=\"dim\">and ").number(more).raw(" more</span>");
    }
    body.raw("</td><td class=\"wide\">");
    if let Some(session) = session {
        body.brief(&session.agent, 40).raw("<br><code>").brief(&session.argv.join(" "), 120);
        body.raw("</code>");
    }
    body.raw("</td><td class=\"n\">");
    let last = run.flags.last().map(|flag| flag.time_ms);
    let last = last.or_else(|| run.reviews.last().map(|review| review.time_ms));
    body.text(&last.map(age).unwrap_or_default()).raw("</td></tr>");
}

/// What was flagged in a run, what people made of it, and the form for one's own word.
pub(super) fn panel(visit: &Visit<'_>, body: &mut Html, session: &str) -> Result<(), Failure> {
    let run = visit.console.store.reader().reviewed_run(session)?;
    if !run.flags.is_empty() {
        body.raw("<h2>Flagged moments</h2><div class=\"panel\"><ul class=\"marks\">");
        for flag in &run.flags {
            body.raw("<li>");
            severity(body, &flag.severity);
            body.raw(" <a href=\"/log/").number(flag.seq).raw("\">").brief(&flag.rule, 60);
            body.raw("</a>: ").text(&flag.says).raw(" <span class=\"dim\">");
            body.text(&date(flag.time_ms)).raw("</span></li>");
        }
        body.raw("</ul></div>");
    }
    body.raw("<h2>What people make of it</h2>");
    words(body, &run.reviews);
    let fold = run.flags.is_empty() || run.settled().is_some();
    body.raw(if fold {
        "<details class=\"panel own\"><summary>Your verdict"
    } else {
        "<details class=\"panel own\" open><summary>Your verdict"
    });
    body.raw(", as ")
        .text(visit.visitor().0)
        .raw("</summary><form method=\"post\" action=\"/runs/");
    body.segment(session).raw("\">");
    carried(body, visit.form);
    body.raw("<label>It was<select name=\"verdict\" required><option value=\"\">choose</option>")
        .raw("<option value=\"harmless\">harmless: it did what it was meant to</option>")
        .raw("<option value=\"attack\">an attack: somebody steered it</option>")
        .raw("<option value=\"unsure\">unsure: it cannot be told</option></select></label>")
        .raw("<label>Note<textarea name=\"note\" maxlength=\"1000\" rows=\"2\"></textarea></label>")
        .raw("<button>Put it on the log</button></form></details>");
    Ok(())
}

fn words(body: &mut Html, reviews: &[Review]) {
    if reviews.is_empty() {
        body.raw("<p class=\"lead\">Nobody has judged this run.</p>");
        return;
    }
    body.raw("<div class=\"panel\"><ul class=\"marks\">");
    for review in reviews {
        body.raw("<li>");
        verdict(body, review.verdict);
        body.raw(" by ").brief(&review.by, 60).raw(" <a href=\"/log/").number(review.seq);
        body.raw("\">").text(&date(review.time_ms)).raw("</a>");
        if !review.note.is_empty() {
            body.raw("<br>").text(&review.note);
        }
        body.raw("</li>");
    }
    body.raw("</ul></div>");
}

/// Takes the word of a form down. The same form sent twice is one word.
pub(super) fn judge(visit: &Visit<'_>, id: &str) -> Result<Page, Failure> {
    let store = &visit.console.store;
    let session = store.session(id)?;
    let given = visit.request.given("verdict").unwrap_or_default();
    let opinion = Opinion::of(given)
        .ok_or_else(|| Failure::new(exit::USAGE, Problem::new("the form gives no verdict")))?;
    let by = visit.approver()?;
    let note = visit.request.given("note").unwrap_or_default();
    let run = store.reader().reviewed_run(&session.id)?;
    let same = |word: &Review| word.by == by && word.verdict == opinion && word.note == note;
    if !run.settled().is_some_and(same) {
        store.review(&session.id, opinion, note, &by)?;
        store.checkpoint()?;
    }
    Ok(see(&format!("/runs/{}", session.id)))
}

fn verdict(body: &mut Html, opinion: Opinion) {
    body.raw(match opinion {
        Opinion::Attack => "<span class=\"tag no\">attack</span>",
        Opinion::Harmless => "<span class=\"tag go\">harmless</span>",
        Opinion::Unsure => "<span class=\"tag ask\">unsure</span>",
    });
}

fn severity(body: &mut Html, severity: &str) {
    body.raw(if severity == "high" {
        "<span class=\"tag no\">high</span>"
    } else {
        "<span class=\"tag ask\">low</span>"
    });
}

/// The question that lets a paused run go on.
const RESUME: &str = "run.resume";
/// Runs on a page, and flags of each.
const SHOWN: usize = 200;
const FLAGS: usize = 5;
