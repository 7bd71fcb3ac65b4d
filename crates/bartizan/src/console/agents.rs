//! What may the agents of a role do? As the policies in force say it, not as somebody remembers them.

mod may;
mod reach;

use super::html::Html;
use super::inbox::effect;
use super::page::Room;
use super::servers::now;
use super::{Visit, log, map, runs};
use crate::clock::age;
use crate::cmd::policy::judge::Bench;
use crate::cmd::servers;
use crate::config::{self, Config, Network, Purpose, WorkspaceMode};
use crate::report::{Failure, Problem};
use bartizan_egress::Page;
use bartizan_gate::name::RoleName;
use bartizan_gate::policy::{Policy, Verdict};
use bartizan_store::{Event, Filter, Session, SessionFilter, Sessions as _};
use may::{May, Said, Standing};
use std::time::Duration;

/// The roles that are configured.
pub(super) fn list(visit: &Visit<'_>) -> Result<Page, Failure> {
    let config = configured(visit)?;
    let sessions = visit.console.store.sessions(SessionFilter::All)?;
    let mut body = Html::default();
    body.raw("<h1>Agents</h1><p class=\"lead\">The roles of a run that is started in <code>");
    body.text(&visit.console.folder.display().to_string()).raw("</code>.</p>");
    notes(&mut body, &config.warnings);
    body.raw("<div class=\"panel scroll\"><table class=\"cards\"><thead><tr><th>Role</th><th>Extends</th>")
        .raw("<th>Workspace</th><th>Network</th><th>Runs</th><th>Last one</th></tr></thead><tbody>");
    for (name, role) in &config.roles {
        body.raw("<tr><td><a href=\"/agents/")
            .segment(name.as_str())
            .raw("\">")
            .text(name.as_str());
        body.raw("</a>");
        if config.default_role.as_ref() == Some(name) {
            body.raw(" <span class=\"dim\">(unless another is named)</span>");
        }
        let parents: Vec<&str> = role.parents.iter().map(RoleName::as_str).collect();
        body.raw("</td><td>").text(&parents.join(", ")).raw("</td><td>");
        enclosed(&mut body, role.enclosure.workspace, role.enclosure.network);
        let mut own = sessions.iter().filter(|session| session.agent == name.as_str());
        let last = own.next().map(|session| age(session.started_ms));
        let count = own.count() + usize::from(last.is_some());
        body.raw("</td><td class=\"n\">").number(count).raw("</td><td class=\"n\">");
        body.text(&last.unwrap_or_default()).raw("</td></tr>");
    }
    body.raw("</tbody></table></div>");
    now(&mut body, visit.console.store.kept_servers()?.iter());
    map::draw(&mut body, visit.console.store.reader(), None)?;
    Ok(visit.page("Agents", Room::Agents, &body))
}

/// One role's page.
pub(super) fn show(visit: &Visit<'_>, name: &str) -> Result<Page, Failure> {
    let config = configured(visit)?;
    let role = config.role(Some(name))?;
    let (catalogue, problems) = servers::catalogue(&config, Some(&visit.console.store))?;
    let policy = config.policy(&catalogue)?;
    let bench = Bench::new(&role, &config, (catalogue, policy), &visit.console.places)?;
    let mays = may::all(&bench);
    let mut body = Html::default();
    body.raw("<h1>").text(role.as_str()).raw(
        "</h1><p class=\"lead\">What the policies in force say of this role, as of sha256:<code>",
    );
    body.brief(&bench.policy().digest().to_string(), 12);
    body.raw(
        "</code>, for a run that has read nothing yet. One call of each kind was put to the gate; ",
    )
    .raw("<code>bartizan policy explain</code> puts any other.</p>");
    notes(&mut body, &problems);
    notes(&mut body, &config.warnings);
    for (standing, title, lead) in LISTS {
        let mut own: Vec<&May> = mays.iter().filter(|may| may.standing == standing).collect();
        // What weighs most stands first.
        own.sort_by_key(|may| std::cmp::Reverse(may.tool.effect()));
        tools(&mut body, (title, lead), &own, (&role, &bench.policy()));
    }
    never(&mut body, &mays);
    reach::servers(&mut body, &config, &mays);
    let kept = visit.console.store.kept_servers()?;
    now(&mut body, kept.iter().filter(|kept| kept.agent == role.as_str()));
    reach::hosts(&mut body, &config, &role);
    reach::secrets(&mut body, &config, &bench, &mays);
    map::draw(&mut body, visit.console.store.reader(), Some(role.as_str()))?;
    past(&mut body, visit, &role)?;
    Ok(visit.page(role.as_str(), Room::Agents, &body))
}

fn configured(visit: &Visit<'_>) -> Result<Config, Failure> {
    config::load(&visit.console.places, &visit.console.folder, Purpose::Look)
}

fn notes(body: &mut Html, problems: &[Problem]) {
    for problem in problems {
        let (what, hint) = problem.clone().into_parts();
        body.raw("<div class=\"note\">").text(&what);
        body.raw("<br><span class=\"dim\">").text(&hint.unwrap_or_default()).raw("</span></div>");
    }
}

fn tools(
    body: &mut Html,
    (title, lead): (&'static str, &'static str),
    mays: &[&May],
    (role, policy): (&RoleName, &Policy),
) {
    if mays.is_empty() {
        return;
    }
    // On a phone a long one is many screens.
    body.raw(if mays.len() > UNFOLDED {
        "<details class=\"fold\"><summary><h2>"
    } else {
        "<details class=\"fold\" open><summary><h2>"
    });
    body.raw(title).raw("</h2> ").number(mays.len()).raw("</summary><p class=\"lead\">");
    body.raw(lead).raw("</p>");
    body.raw("<div class=\"panel scroll\"><table class=\"cards\"><thead><tr><th>Tool</th><th>Effect</th>")
        .raw("<th>An ordinary call</th><th>Other calls</th><th>By</th></tr></thead><tbody>");
    for may in mays {
        body.raw("<tr><td><code>").text(may.tool.name().as_str()).raw("</code></td><td>");
        effect(body, may.tool.effect().as_str());
        body.raw("</td><td>");
        let mut said = may.said.iter();
        if let Some(ordinary) = said.next() {
            verdict(body, ordinary);
            body.raw("<br><span class=\"dim\">").raw(ordinary.call).raw("</span>");
        }
        body.raw("</td><td>");
        for (number, other) in said.enumerate() {
            body.raw(if number == 0 { "" } else { "<br>" });
            verdict(body, other);
            body.raw(" <span class=\"dim\">").raw(other.call).raw("</span>");
        }
        body.raw("</td><td class=\"wide\">");
        deciding(body, may, role, policy);
        body.raw("</td></tr>");
    }
    body.raw("</tbody></table></div></details>");
}

/// Which policy decided the ordinary call; folded, all that have a say.
fn deciding(body: &mut Html, may: &May, role: &RoleName, policy: &Policy) {
    for at in may.said.first().map(|said| said.policies.as_slice()).unwrap_or_default() {
        body.raw("<code>").brief(&at.id, 60).raw("</code> ");
    }
    let bearing = policy.bearing(role, may.tool.name());
    body.raw("<details><summary>").number(bearing.len()).raw(" policies</summary>");
    for one in bearing {
        body.raw(if one.permits {
            "<p><span class=\"tag go\">permit</span> "
        } else {
            "<p><span class=\"tag no\">forbid</span> "
        });
        body.raw("<span class=\"dim\">").text(&one.at.place()).raw("</span></p>");
        body.raw("<pre class=\"value\">").lines(one.text.trim()).raw("</pre>");
    }
    body.raw("</details>");
}

/// What no call of can ever be made: their names are enough.
fn never(body: &mut Html, mays: &[May]) {
    let never = || mays.iter().filter(|may| may.standing == Standing::Never);
    body.raw("<h2>Never</h2><p class=\"lead\">No call of these can be made, whatever its arguments are and whoever approves.</p>");
    body.raw("<div class=\"panel names\">");
    for may in never() {
        body.raw("<code>").text(may.tool.name().as_str()).raw("</code> ");
    }
    body.raw(if never().next().is_none() {
        "<span class=\"dim\">none</span></div>"
    } else {
        "</div>"
    });
}

/// A verdict in a word.
fn verdict(body: &mut Html, said: &Said) {
    match said.verdict {
        Verdict::Allow => body.raw("<span class=\"tag go\">allow</span>"),
        Verdict::Ask { quorum: 1 } => body.raw("<span class=\"tag ask\">ask</span>"),
        Verdict::Ask { quorum } => {
            body.raw("<span class=\"tag ask\">ask ").number(quorum).raw(" people</span>")
        }
        Verdict::Deny => body.raw("<span class=\"tag no\">deny</span>"),
    };
    if let Some(code) = said.refused {
        body.raw(" <span class=\"dim\">").raw(code).raw("</span>");
    }
}

/// What agents of the role did of late, and what they were denied.
fn past(body: &mut Html, visit: &Visit<'_>, role: &RoleName) -> Result<(), Failure> {
    let mut sessions = visit.console.store.sessions(SessionFilter::All)?;
    sessions.retain(|session: &Session| session.agent == role.as_str());
    body.raw("<h2>Last runs</h2>");
    if sessions.is_empty() {
        body.raw("<p class=\"lead\">None yet.</p>");
        return Ok(());
    }
    runs::table(body, sessions.iter().take(SHOWN));
    let filter = Filter {
        event: Some(Event::Refusal),
        verdict: Some("deny".to_owned()),
        // A record names the agent within its run; its role stands beside it.
        text: Some(format!("\"role\":\"{role}\"")),
        ..Filter::default()
    };
    let denied = visit.console.store.reader().search(&filter, SHOWN, PATIENCE)?;
    body.raw("<h2>Last denials</h2>");
    if denied.records.is_empty() {
        body.raw("<p class=\"lead\">None that were found.</p>");
    } else {
        log::table(body, &denied.records, None);
    }
    Ok(())
}

fn enclosed(body: &mut Html, workspace: WorkspaceMode, network: Network) {
    body.raw(match workspace {
        WorkspaceMode::ReadOnly => "read only",
        WorkspaceMode::Overlay => "written back at the end",
        WorkspaceMode::Direct => "written at once",
    });
    body.raw("</td><td>").raw(match network {
        Network::None => "none",
        Network::Model => "the model alone",
        Network::Gated => "what the gate lets through",
    });
}

/// The lists of a page, but for the last.
const LISTS: [(Standing, &str, &str); 3] = [
    (Standing::Alone, "Alone", "An ordinary call of these is made, and nobody is asked."),
    (
        Standing::Asked,
        "With approval",
        "An ordinary call of these waits until people have said yes.",
    ),
    (
        Standing::Named,
        "Where a rule says so",
        "An ordinary call of these is denied. A call that a rule names may be allowed or asked.",
    ),
];
/// Tools that a list shows unasked; a longer one is unfolded by who reads it.
const UNFOLDED: usize = 8;
/// Runs and denials that are shown.
const SHOWN: usize = 10;
/// How long denials are looked for.
const PATIENCE: Duration = Duration::from_millis(120);
