//! Which runs are there, and how did each end?

use super::Visit;
use super::html::Html;
use super::page::{Room, pages};
use super::plot;
use crate::clock::{age, distance, now_ms};
use crate::report::Failure;
use bartizan_egress::Page;
use bartizan_store::{Session, SessionFilter, Sessions as _};
use serde_json::Value;

/// All of them, the newest first.
pub(super) fn list(visit: &Visit<'_>) -> Result<Page, Failure> {
    let from = visit.request.number("from");
    let sessions = visit.console.store.sessions(SessionFilter::All)?;
    let mut body = Html::default();
    body.raw("<h1>Runs</h1><p class=\"lead\">What agents did here, newest first. ");
    body.raw(if visit.request.asked("live").is_some() {
        "<a href=\"/runs\">Stop following</a></p>"
    } else {
        "<a href=\"/runs?live=1\">Follow</a></p>"
    });
    if sessions.is_empty() {
        body.raw("<div class=\"panel empty\">Nothing has run yet: <code>bartizan run -- CMD</code></div>");
        return Ok(visit.page("Runs", Room::Runs, &body));
    }
    plot::day(&mut body, visit.console.store.reader())?;
    table(&mut body, sessions.iter().skip(from).take(PAGE));
    pages(&mut body, "/runs?from=", (from, PAGE, sessions.len()));
    Ok(visit.page("Runs", Room::Runs, &body))
}

/// Some of them, a line each.
pub(super) fn table<'a>(body: &mut Html, sessions: impl Iterator<Item = &'a Session>) {
    body.raw("<div class=\"panel scroll\"><table class=\"cards\"><thead><tr><th>Run</th><th>State</th>")
        .raw("<th>Agent</th><th>Command</th><th>Began</th><th>Took</th><th>Calls</th></tr></thead><tbody>");
    for session in sessions {
        row(body, session);
    }
    body.raw("</tbody></table></div>");
}

fn row(body: &mut Html, session: &Session) {
    body.raw("<tr><td class=\"n\"><a class=\"mono\" href=\"/runs/").segment(&session.id);
    body.raw("\">").brief(&session.id, 12).raw("</a></td><td>");
    state(body, session);
    body.raw("</td><td><a href=\"/agents/").segment(&session.agent).raw("\">");
    body.brief(&session.agent, 40).raw("</a></td><td class=\"wide\"><code>");
    body.brief(&session.argv.join(" "), 160).raw("</code><br><span class=\"dim\">");
    body.brief(&session.workspace, 120).raw("</span></td><td class=\"n\">");
    body.text(&age(session.started_ms)).raw("</td><td class=\"n\">");
    let end = session.ended_ms.unwrap_or_else(now_ms);
    body.text(&distance(end.saturating_sub(session.started_ms))).raw("</td><td class=\"n\">");
    counts(body, session);
    body.raw("</td></tr>");
}

/// Where a run stands.
pub(super) fn state(body: &mut Html, session: &Session) {
    if session.ended_ms.is_none() {
        let died = session.is_leftover();
        body.raw(if died {
            "<span class=\"tag no\">died</span>"
        } else {
            "<span class=\"tag mark\">running</span>"
        });
        return;
    }
    match session.exit {
        None | Some(0) => body.raw("<span class=\"tag go\">ended</span>"),
        Some(code) => {
            body.raw("<span class=\"tag ask\">exit ").text(&code.to_string()).raw("</span>")
        }
    };
}

/// What its summary says of its calls; a run that goes on has none yet.
fn counts(body: &mut Html, session: &Session) {
    let count = |name: &str| session.report.as_ref()?.get(name).and_then(Value::as_u64);
    let (Some(allowed), Some(asked), Some(denied)) =
        (count("allowed"), count("asked"), count("denied"))
    else {
        body.raw("<span class=\"dim\">–</span>");
        return;
    };
    body.number(allowed);
    if asked > 0 {
        body.raw(" <span class=\"tag ask\">").number(asked).raw(" asked</span>");
    }
    if denied > 0 {
        body.raw(" <span class=\"tag no\">").number(denied).raw(" denied</span>");
    }
}

const PAGE: usize = 50;
