//! How do the MCP servers fare that gateways keep now? As each gateway says of its own; one that nobody keeps is not started.

use super::html::Html;
use crate::clock::{age, left};
use bartizan_store::Kept;

/// Some of them, a line each; nothing where there are none.
pub(super) fn now<'k>(body: &mut Html, kept: impl Iterator<Item = &'k Kept>) {
    let mut kept = kept.peekable();
    if kept.peek().is_none() {
        return;
    }
    body.raw("<h2>Servers now</h2><p class=\"lead\">MCP servers of the gateways that live, as each says of its own.</p>");
    body.raw("<div class=\"panel scroll\"><table class=\"cards\"><thead><tr><th>Server</th><th>State</th><th>Since</th>")
        .raw("<th>For</th><th>Run</th><th>Why</th></tr></thead><tbody>");
    for one in kept.take(SHOWN) {
        row(body, one);
    }
    body.raw("</tbody></table></div>");
}

fn row(body: &mut Html, kept: &Kept) {
    body.raw("<tr><td>").brief(&kept.server, 60).raw("</td><td>");
    body.raw(match kept.state.as_str() {
        "up" => "<span class=\"tag go\">",
        "down" => "<span class=\"tag no\">",
        "starting" => "<span class=\"tag ask\">",
        _ => "<span class=\"tag\">",
    });
    body.text(&kept.state).raw("</span></td><td class=\"n\">").text(&age(kept.since_ms));
    body.raw("</td><td><a href=\"/agents/").segment(&kept.agent).raw("\">");
    body.brief(&kept.agent, 40).raw("</a></td><td class=\"n\"><a class=\"mono\" href=\"/runs/");
    body.segment(&kept.session).raw("\">").brief(&kept.session, 12);
    body.raw("</a></td><td class=\"wide\">").brief(kept.why.as_deref().unwrap_or_default(), WHY);
    if let Some(at) = kept.again_ms {
        body.raw("<br><span class=\"dim\">it is started again ").text(&left(at)).raw("</span>");
    }
    body.raw("</td></tr>");
}

/// So many are shown.
const SHOWN: usize = 200;
/// So many characters of why a server is down are shown.
const WHY: usize = 600;
