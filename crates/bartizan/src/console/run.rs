//! What did one run do, from its beginning? Its records in their order, with what a reviewer should look at marked.

use super::html::Html;
use super::log::{events, table};
use super::page::Room;
use super::runs::state;
use super::{Visit, flagged, servers};
use crate::clock::{date, distance, now_ms};
use crate::desk::record::is_flagged;
use crate::report::Failure;
use bartizan_egress::Page;
use bartizan_store::{
    Desk as _, Filter, QuestionFilter, QuestionState, Reader, Record, Session, Sessions as _,
};
use serde_json::Value;
use std::ops::ControlFlow;

/// A run's page.
pub(super) fn show(visit: &Visit<'_>, id: &str) -> Result<Page, Failure> {
    let store = &visit.console.store;
    let session = store.session(id)?;
    let asked = |name: &str| visit.request.asked(name).map(str::to_owned);
    let filter = Filter {
        session: Some(session.id.clone()),
        event: asked("event").and_then(|event| event.parse().ok()),
        text: asked("text"),
        from_seq: asked("from").and_then(|from| from.parse().ok()),
        ..Filter::default()
    };
    let marked = visit.request.asked("flagged").is_some();
    let (records, next) = page(store.reader(), &filter, marked)?;
    let mut body = Html::default();
    body.raw("<h1>").text(&session.argv.join(" ")).raw("</h1><p class=\"lead\">");
    state(&mut body, &session);
    body.raw(" run <code>").text(&session.id).raw("</code></p>");
    let waiting = QuestionFilter {
        session: Some(session.id.clone()),
        state: Some(QuestionState::Pending),
        ..QuestionFilter::default()
    };
    for question in store.questions(&waiting)? {
        body.raw("<div class=\"note\">It waits for a person: <a href=\"/questions/");
        body.segment(&question.id).raw("\">").text(&question.tool).raw("</a></div>");
    }
    facts(&mut body, &session);
    let kept = store.kept_servers()?;
    servers::now(&mut body, kept.iter().filter(|kept| kept.session == session.id));
    flagged::panel(visit, &mut body, &session.id)?;
    filters(&mut body, visit, &session);
    table(&mut body, &records, Some(session.started_ms));
    if records.is_empty() {
        body.raw("<p class=\"empty\">Nothing fits.</p>");
    }
    if let Some(next) = next {
        onward(&mut body, visit, &session, next);
    }
    Ok(visit.page("Run", Room::Runs, &body))
}

/// As many records as fit on a page, and where the next one begins.
fn page(
    reader: &Reader,
    filter: &Filter,
    marked: bool,
) -> Result<(Vec<Record>, Option<u64>), Failure> {
    let (mut records, mut next) = (Vec::new(), None);
    reader.each(filter, |record| {
        if marked && !is_flagged(&record.value()) {
            return ControlFlow::Continue(());
        }
        if records.len() == PAGE {
            next = Some(record.seq);
            return ControlFlow::Break(());
        }
        records.push(record);
        ControlFlow::Continue(())
    })?;
    Ok((records, next))
}

fn facts(body: &mut Html, session: &Session) {
    let end = session.ended_ms.unwrap_or_else(now_ms);
    body.raw("<div class=\"panel\"><dl class=\"facts\"><dt>Agent</dt><dd><a href=\"/agents/");
    body.segment(&session.agent).raw("\">").text(&session.agent).raw("</a>");
    body.raw("</dd><dt>Workspace</dt><dd><code>").text(&session.workspace);
    body.raw("</code></dd><dt>Began</dt><dd>").text(&date(session.started_ms));
    body.raw("</dd><dt>Took</dt><dd>").text(&distance(end.saturating_sub(session.started_ms)));
    body.raw("</dd>");
    let report = session.report.as_ref().unwrap_or(&Value::Null);
    for (name, label) in [("allowed", "Allowed"), ("asked", "Asked"), ("denied", "Denied")] {
        if let Some(count) = report.get(name).and_then(Value::as_u64) {
            body.raw("<dt>").raw(label).raw("</dt><dd>").number(count).raw("</dd>");
        }
    }
    body.raw("</dl></div>");
}

fn filters(body: &mut Html, visit: &Visit<'_>, session: &Session) {
    body.raw("<h2>Timeline</h2><form class=\"filters panel\" action=\"/runs/").segment(&session.id);
    body.raw("\">");
    events(body, visit.request.asked("event").unwrap_or_default());
    body.raw("<label>Text<input name=\"text\" value=\"");
    body.text(visit.request.asked("text").unwrap_or_default());
    body.raw(
        "\"></label><label class=\"tick\"><input type=\"checkbox\" name=\"flagged\" value=\"1\"",
    );
    body.raw(if visit.request.asked("flagged").is_some() { " checked" } else { "" });
    body.raw("> Only what is marked</label><button>Show</button></form>");
}

fn onward(body: &mut Html, visit: &Visit<'_>, session: &Session, next: u64) {
    body.raw("<p class=\"pages\"><a href=\"/runs/").segment(&session.id).raw("?from=").number(next);
    for name in ["event", "text", "flagged"] {
        if let Some(value) = visit.request.asked(name) {
            body.raw("&amp;").raw(name).raw("=").segment(value);
        }
    }
    body.raw("\">Later</a></p>");
}

const PAGE: usize = 200;
