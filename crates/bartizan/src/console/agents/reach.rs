//! What can a role get at? The servers, hosts and secrets that the configuration has, and what the policies say of each.

use super::may::{self, May, Said, Standing};
use super::verdict;
use crate::cmd::policy::judge::Bench;
use crate::config::{Config, Reach};
use crate::console::html::Html;
use bartizan_gate::name::{HostPort, RoleName};
use bartizan_gate::policy::{RuleVerdict, ShortForm};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The MCP servers, and how many of their tools stand where.
pub(super) fn servers(body: &mut Html, config: &Config, mays: &[May]) {
    if config.servers.is_empty() {
        return;
    }
    body.raw("<h2>Servers</h2><div class=\"panel scroll\"><table class=\"cards\"><thead><tr><th>Server</th>")
        .raw("<th>Where</th><th>Alone</th><th>With approval</th><th>Where a rule says so</th><th>Never</th></tr></thead><tbody>");
    for (name, server) in &config.servers {
        body.raw("<tr><td>").text(name.as_str()).raw("</td><td class=\"wide\"><code>");
        match &server.reach {
            Reach::Command(argv) => body.brief(&argv.join(" "), 120),
            Reach::Url(upstream) => body.brief(&upstream.target().to_string(), 120),
        };
        body.raw("</code></td>");
        let of = |standing| {
            let own = mays.iter().filter(|may| may.tool.server() == name);
            own.filter(|may| may.standing == standing).count()
        };
        for standing in [Standing::Alone, Standing::Asked, Standing::Named, Standing::Never] {
            body.raw("<td class=\"n\">").number(of(standing)).raw("</td>");
        }
        body.raw("</tr>");
    }
    body.raw("</tbody></table></div>");
}

/// The hosts that the lists name.
pub(super) fn hosts(body: &mut Html, config: &Config, role: &RoleName) {
    let lineage = lineage(config, role);
    let holds = |rule: &&ShortForm| rule.role.as_ref().is_none_or(|role| lineage.contains(role));
    let rules = config.rules.iter().filter(holds);
    let rules: Vec<_> = rules.filter(|rule| rule.pattern.trim_start().starts_with("net")).collect();
    body.raw("<h2>Hosts</h2>");
    if rules.is_empty() {
        body.raw("<p class=\"lead\">No list names a host; <code>net.connect</code> below says what any host gets.</p>");
        return;
    }
    body.raw("<div class=\"panel scroll\"><table class=\"cards\"><thead><tr><th>Verdict</th><th>Rule</th>")
        .raw("<th>Stands in</th></tr></thead><tbody>");
    for rule in rules {
        body.raw("<tr><td>");
        match rule.verdict {
            RuleVerdict::Allow => body.raw("<span class=\"tag go\">allow</span>"),
            RuleVerdict::Ask { quorum } => {
                body.raw("<span class=\"tag ask\">ask ").number(quorum).raw("</span>")
            }
            RuleVerdict::Deny => body.raw("<span class=\"tag no\">deny</span>"),
        };
        body.raw("</td><td class=\"wide\"><code>").text(&rule.pattern);
        body.raw("</code></td><td class=\"wide dim\">").text(&rule.place.to_string());
        body.raw("</td></tr>");
    }
    body.raw("</tbody></table></div>");
}

/// The secrets by name, where each would go, and whether the role could have it sent there.
pub(super) fn secrets(body: &mut Html, config: &Config, bench: &Bench, mays: &[May]) {
    let mut found: Vec<(String, String, Said)> = Vec::new();
    for entry in &config.egress.injections {
        let binding = &entry.binding;
        let method = binding.methods.first().map_or("GET", String::as_str);
        // Something that lies below: a rule for `/path/*` does not mean the path itself.
        let path = format!("{}/x", binding.below.trim_end_matches('/'));
        let given = [("scheme", "https"), ("method", method), ("path", path.as_str())];
        let said = at(bench, "net.request", &binding.target, &given);
        let place = format!("requests to {}{}", binding.target, binding.below);
        found.extend(said.map(|said| (binding.secret.to_string(), place, said)));
    }
    for (target, secret) in config.logins() {
        let said = at(bench, "net.connect", &target, &[]);
        let place = format!("the login at {target}");
        found.extend(said.map(|said| (secret.to_string(), place, said)));
    }
    body.raw("<h2>Secrets</h2>");
    let tools: Vec<&May> = mays.iter().filter(|may| may.tool.secret().is_some()).collect();
    if found.is_empty() && tools.is_empty() {
        body.raw("<p class=\"lead\">No secret goes with what agents do here, but for the model's own key.</p>");
        return;
    }
    body.raw("<div class=\"panel scroll\"><table class=\"cards\"><thead><tr><th>Secret</th><th>Goes with</th>")
        .raw("<th>Such a call</th></tr></thead><tbody>");
    for (secret, place, said) in &found {
        row(body, secret, place, Some(said));
    }
    for may in tools {
        let secret = may.tool.secret().map(ToString::to_string).unwrap_or_default();
        row(body, &secret, &format!("the tool {}", may.tool.name()), may.said.first());
    }
    body.raw("</tbody></table></div>");
}

fn row(body: &mut Html, secret: &str, place: &str, said: Option<&Said>) {
    body.raw("<tr><td><code>").text(secret).raw("</code></td><td class=\"wide\">").text(place);
    body.raw("</td><td>");
    match said {
        Some(said) => verdict(body, said),
        None => drop(body.raw("<span class=\"tag no\">never</span>")),
    }
    body.raw("</td></tr>");
}

fn at(bench: &Bench, tool: &str, target: &HostPort, given: &[(&str, &str)]) -> Option<Said> {
    let mut all: Map<String, Value> =
        given.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    all.insert("host".to_owned(), json!(target.host().to_string()));
    all.insert("port".to_owned(), json!(target.port()));
    let tool = bench.catalogue().get(tool)?;
    Some(may::ask(bench, tool, "such a call", &all))
}

/// The role and all that it extends.
fn lineage(config: &Config, role: &RoleName) -> BTreeSet<RoleName> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![role.clone()]);
    while let Some(role) = next.pop() {
        if let Some(known) = config.roles.get(&role).filter(|_| !seen.contains(&role)) {
            next.extend(known.parents.iter().cloned());
        }
        seen.insert(role);
    }
    seen
}
