//! What stands on the audit log? Searched newest first, as far back as a person waits for; and one record, whole.

use super::Visit;
use super::html::Html;
use super::page::Room;
use crate::cli::exit;
use crate::clock::{date, distance, now_ms};
use crate::config::units;
use crate::desk::record::{is_flagged, outcome, what};
use crate::report::{Failure, Paint, Problem};
use bartizan_egress::Page;
use bartizan_store::{Filter, Record};
use serde_json::Value;
use std::time::Duration;

/// The search, and what it found.
pub(super) fn search(visit: &Visit<'_>) -> Result<Page, Failure> {
    let asked = |name: &str| visit.request.asked(name).map(str::to_owned);
    let filter = Filter {
        session: asked("session"),
        event: asked("event").and_then(|event| event.parse().ok()),
        since_ms: visit.request.asked("since").map(since).transpose()?,
        text: asked("text"),
        before_seq: asked("before").and_then(|before| before.parse().ok()),
        agent: asked("agent"),
        tool: asked("tool"),
        host: asked("host"),
        verdict: asked("verdict"),
        ..Filter::default()
    };
    let found = visit.console.store.reader().search(&filter, PAGE, PATIENCE)?;
    let mut body = Html::default();
    body.raw("<h1>Log</h1><p class=\"lead\">Every record, newest first. What is shown here proves nothing: ")
        .raw("<code>bartizan audit verify</code> does.</p>");
    filters(&mut body, visit);
    table(&mut body, &found.records, None);
    if found.records.is_empty() {
        body.raw("<p class=\"empty\">Nothing fits");
        body.raw(if found.rest.is_some() { " so far.</p>" } else { ".</p>" });
    }
    if let Some(before) = found.rest {
        body.raw("<p class=\"pages\"><a href=\"/log?before=").number(before);
        for name in FIELDS.iter().map(|(name, _)| *name).chain(["event", "verdict"]) {
            if let Some(value) = visit.request.asked(name) {
                body.raw("&amp;").raw(name).raw("=").segment(value);
            }
        }
        body.raw("\">Search further back, before record ").number(before).raw("</a></p>");
    }
    Ok(visit.page("Log", Room::Log, &body))
}

/// One record, as it was hashed, in lines.
pub(super) fn show(visit: &Visit<'_>, seq: &str) -> Result<Page, Failure> {
    let missing = || Failure::new(exit::NO, Problem::new("there is no such record"));
    let seq: u64 = seq.parse().map_err(|_| missing())?;
    let filter =
        Filter { from_seq: Some(seq), before_seq: seq.checked_add(1), ..Filter::default() };
    let record = visit.console.store.reader().page(&filter, 1)?.pop().ok_or_else(missing)?;
    let value = record.value();
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let mut body = Html::default();
    body.raw("<h1>Record ").number(seq).raw("</h1><p class=\"lead\">");
    body.text(text("event").unwrap_or("damaged"));
    if let Some(session) = text("session") {
        body.raw(" of <a href=\"/runs/").segment(session).raw("\">its run</a>");
        if let Some(call) = text("call") {
            body.raw(", <a href=\"/log?session=").segment(session).raw("&amp;text=").segment(call);
            body.raw("\">all of its call</a>");
        }
    }
    body.raw("</p><div class=\"panel\"><pre class=\"value\">");
    body.lines(&serde_json::to_string_pretty(&value).unwrap_or(record.json));
    body.raw("</pre></div><p class=\"lead\">leaf <code>sha256:").text(&record.leaf.to_string());
    body.raw("</code></p>");
    Ok(visit.page("Record", Room::Log, &body))
}

/// Records, a line each: since when the run went, or else the date.
pub(super) fn table(body: &mut Html, records: &[Record], began_ms: Option<u64>) {
    body.raw(
        "<div class=\"panel scroll\"><table class=\"cards\"><thead><tr><th>Time</th><th>Event</th>",
    )
    .raw("<th>What</th><th>How it ended</th></tr></thead><tbody>");
    for record in records {
        row(body, record, began_ms);
    }
    body.raw("</tbody></table></div>");
}

fn row(body: &mut Html, record: &Record, began_ms: Option<u64>) {
    let value = record.value();
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let when = value.get("time_ms").and_then(Value::as_u64).unwrap_or_default();
    body.raw(if is_flagged(&value) { "<tr class=\"flag\">" } else { "<tr>" });
    body.raw("<td class=\"n\">");
    body.raw(if is_flagged(&value) { "<span class=\"unseen\">Marked: </span>" } else { "" });
    body.raw("<a href=\"/log/").number(record.seq).raw("\">");
    match began_ms {
        Some(began_ms) => body.raw("+").text(&distance(when.saturating_sub(began_ms))),
        None => body.text(&date(when)),
    };
    body.raw("</a></td><td><span class=\"tag\">").brief(text("event"), 20);
    body.raw("</span></td><td class=\"wide\"><code>").brief(&what(&value), 300).raw("</code>");
    for (name, label) in [("secret", "secret "), ("reason", "")] {
        if !text(name).is_empty() {
            body.raw("<br><span class=\"dim\">").raw(label).brief(text(name), 200).raw("</span>");
        }
    }
    let (word, paint) = outcome(&value);
    body.raw("</td><td>");
    if !word.is_empty() {
        body.raw(match paint {
            Paint::Green => "<span class=\"tag go\">",
            Paint::Red => "<span class=\"tag no\">",
            Paint::Yellow => "<span class=\"tag ask\">",
            Paint::Bold | Paint::Dim => "<span class=\"tag\">",
        });
        body.brief(&word, 60).raw("</span>");
    }
    body.raw("</td></tr>");
}

fn filters(body: &mut Html, visit: &Visit<'_>) {
    body.raw("<form class=\"filters panel\" action=\"/log\">");
    events(body, visit.request.asked("event").unwrap_or_default());
    choice(
        body,
        ("verdict", "Verdict"),
        &VERDICTS,
        visit.request.asked("verdict").unwrap_or_default(),
    );
    for (name, label) in FIELDS {
        body.raw("<label>")
            .raw(label)
            .raw("<input name=\"")
            .raw(name)
            .raw("\" size=\"14\" value=\"");
        body.text(visit.request.asked(name).unwrap_or_default()).raw("\"></label>");
    }
    body.raw("<button>Search</button></form>");
}

/// The choice of an event.
pub(super) fn events(body: &mut Html, chosen: &str) {
    choice(body, ("event", "Event"), &EVENTS, chosen);
}

fn choice(
    body: &mut Html,
    (name, label): (&'static str, &'static str),
    words: &[&'static str],
    chosen: &str,
) {
    body.raw("<label>")
        .raw(label)
        .raw("<select name=\"")
        .raw(name)
        .raw("\"><option value=\"\">any</option>");
    for word in words {
        body.raw(if *word == chosen { "<option selected>" } else { "<option>" });
        body.raw(word).raw("</option>");
    }
    body.raw("</select></label>");
}

fn since(text: &str) -> Result<u64, Failure> {
    let age = units::duration(text).map_err(|why| {
        let problem = Problem::new(format!("`{text}` is not a time: {why}"));
        Failure::new(exit::USAGE, problem.hint("write it as 15m, 12h or 30d"))
    })?;
    Ok(now_ms().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
}

const FIELDS: [(&str, &str); 6] = [
    ("text", "Text"),
    ("tool", "Tool"),
    ("host", "Host"),
    ("agent", "Agent"),
    ("session", "Run"),
    ("since", "Not older than"),
];
const VERDICTS: [&str; 4] = ["allow", "approved", "ask", "deny"];
const EVENTS: [&str; 14] = [
    "call",
    "outcome",
    "refusal",
    "pending",
    "approval",
    "egress",
    "secret_use",
    "finding",
    "flag",
    "review",
    "effect",
    "write_back",
    "fault",
    "config_change",
];
const PAGE: usize = 100;
/// How long a search looks before it says how far it came.
const PATIENCE: Duration = Duration::from_millis(120);
