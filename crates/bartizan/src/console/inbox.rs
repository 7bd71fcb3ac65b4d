//! What waits for an answer? The fair order that every list of questions has, so that a flood buries nobody's.

use super::Visit;
use super::html::Html;
use super::page::{Room, pages};
use crate::clock::{age, left};
use crate::desk::lineup::lineup;
use crate::desk::telling::{brief, stand, votes};
use crate::report::Failure;
use bartizan_egress::Page;
use bartizan_store::{Question, QuestionState};
use serde_json::Value;

/// Those that wait; with `all`, those that were settled too.
pub(super) fn list(visit: &Visit<'_>) -> Result<Page, Failure> {
    let all = visit.request.asked("all").is_some();
    let from = visit.request.number("from");
    let list = lineup(&visit.console.store, all, (from, PAGE))?;
    let mut body = Html::default();
    body.raw("<h1>Inbox</h1><p class=\"lead\">What agents ask a person for. ");
    body.raw(if all {
        "<a href=\"/\">Only what waits</a>"
    } else {
        "<a href=\"/?all=1\">Settled ones too</a>"
    });
    body.raw(if visit.request.asked("live").is_some() {
        " · <a href=\"/\">Stop following</a></p>"
    } else {
        " · <a href=\"/?live=1\">Follow</a></p>"
    });
    if list.questions.is_empty() {
        body.raw("<div class=\"panel empty\">Nothing waits for an answer.</div>");
        return Ok(visit.page("Inbox", Room::Inbox, &body));
    }
    body.raw("<div class=\"panel scroll\"><table class=\"cards tags\"><thead><tr><th>State</th><th>Effect</th>")
        .raw("<th>What</th><th>Who</th><th>Approvals</th><th>Time</th></tr></thead><tbody>");
    for question in &list.questions {
        row(&mut body, question);
    }
    body.raw("</tbody></table></div>");
    pages(&mut body, if all { "/?all=1&amp;from=" } else { "/?from=" }, (from, PAGE, list.all));
    Ok(visit.page("Inbox", Room::Inbox, &body))
}

fn row(body: &mut Html, question: &Question) {
    body.raw("<tr><td>");
    stands(body, question);
    body.raw("</td><td>");
    effect(body, question.shown.get("effect").and_then(Value::as_str).unwrap_or_default());
    body.raw("</td><td class=\"wide\"><a href=\"/questions/").segment(&question.id).raw("\">");
    body.brief(&question.tool, 60).raw("</a><br><code>").brief(&brief(question), 200);
    body.raw("</code></td><td>")
        .brief(&question.agent, 40)
        .raw("<br><a class=\"mono\" href=\"/runs/");
    body.segment(&question.session).raw("\">").brief(&question.session, 12).raw("</a></td>");
    body.raw("<td class=\"n\">").text(&votes(question)).raw("</td><td class=\"n\">asked ");
    body.text(&age(question.asked_ms));
    if question.state == QuestionState::Pending {
        body.raw("<br><span class=\"dim\">expires ")
            .text(&left(question.expires_ms))
            .raw("</span>");
    }
    body.raw("</td></tr>");
}

/// Where a question stands.
pub(super) fn stands(body: &mut Html, question: &Question) {
    body.raw(match question.state {
        QuestionState::Approved => "<span class=\"tag go\">",
        QuestionState::Denied => "<span class=\"tag no\">",
        QuestionState::Expired | QuestionState::Used => "<span class=\"tag\">",
        QuestionState::Pending => "<span class=\"tag ask\">",
    });
    body.raw(stand(question)).raw("</span>");
}

/// What an act does to the world.
pub(super) fn effect(body: &mut Html, effect: &str) {
    body.raw(match effect {
        "read" => "<span class=\"tag\">",
        "write" => "<span class=\"tag ask\">",
        // What is not known counts as what cannot be undone.
        _ => "<span class=\"tag no\">",
    });
    body.brief(if effect.is_empty() { "unknown" } else { effect }, 20).raw("</span>");
}

const PAGE: usize = 50;
