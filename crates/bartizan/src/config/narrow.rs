//! What may a project add? Only `ask`, `deny` and smaller limits; everything else in it is an error.

use super::Config;
use super::enclosure::BoxDraft;
use super::files::Source;
use super::limit;
use super::page::{Page, Subject};
use super::places::Places;
use super::raw::{self, At, RawConfig, RawRole};
use super::trust::Project;
use crate::report::{Problem, did_you_mean};
use bartizan_gate::name::RoleName;
use bartizan_gate::policy::Layer;
use std::ops::Range;

/// Adds a trusted project's word to what stands above it.
pub(super) fn apply(
    config: &mut Config,
    places: &Places,
    project: Project,
) -> Result<(), Vec<Problem>> {
    if let Some(source) = &project.config {
        let raw = raw::parse(&source.path, &source.text)?;
        apply_file(config, places, source, &raw)?;
        obeyed(config, source);
    }
    for source in project.policies {
        obeyed(config, &source);
        config.policies.push(source.into_policy(Layer::Project));
    }
    Ok(())
}

fn obeyed(config: &mut Config, source: &Source) {
    config.files.push((Layer::Project, source.path.clone()));
    config.pages.push(source.clone());
}

fn apply_file(
    config: &mut Config,
    places: &Places,
    source: &Source,
    raw: &RawConfig,
) -> Result<(), Vec<Problem>> {
    let mut page = Page::new(source);
    for (key, span) in foreign(raw) {
        complain_foreign(&mut page, key, span);
    }
    let mut limits = limit::Draft::default();
    limits.read(&mut page, &raw.limits);
    let mut unknown = Vec::new();
    config.limits.add_all(limits.finish(&config.roles, &mut unknown));
    for (name, role) in &raw.roles {
        apply_role(config, places, &mut page, name, role);
    }
    page.problems.extend(unknown);
    if page.problems.is_empty() { Ok(()) } else { Err(page.problems) }
}

/// The keys that only the person's own configuration may hold.
fn foreign(raw: &RawConfig) -> Vec<(&'static str, Range<usize>)> {
    let RawConfig {
        default_role,
        roles: _,
        model,
        secrets,
        canaries,
        vault,
        approvers,
        approvals,
        hosts,
        inject,
        egress,
        serve,
        audit,
        console,
        notify,
        second_opinion,
        tools,
        // Another limit can only narrow.
        limits: _,
        servers,
    } = raw;
    let mut found = Vec::new();
    found.extend(default_role.as_ref().map(|value| ("default_role", value.span())));
    found.extend(model.as_ref().map(|value| ("model", value.span())));
    found.extend(secrets.keys().map(|name| ("secrets", name.span())));
    found.extend(canaries.keys().map(|name| ("canaries", name.span())));
    found.extend(vault.as_ref().map(|value| ("vault", value.span())));
    found.extend(approvers.as_ref().map(|value| ("approvers", value.span())));
    found.extend(approvals.as_ref().map(|value| ("approvals", value.span())));
    found.extend(hosts.keys().map(|name| ("hosts", name.span())));
    found.extend(inject.iter().map(|entry| ("inject", entry.span())));
    found.extend(egress.as_ref().map(|value| ("egress", value.span())));
    found.extend(serve.as_ref().map(|value| ("serve", value.span())));
    found.extend(audit.as_ref().map(|value| ("audit", value.span())));
    found.extend(console.as_ref().map(|value| ("console", value.span())));
    found.extend(notify.as_ref().map(|value| ("notify", value.span())));
    found.extend(second_opinion.as_ref().map(|value| ("second_opinion", value.span())));
    found.extend(tools.keys().map(|name| ("tools", name.span())));
    found.extend(servers.keys().map(|name| ("servers", name.span())));
    found
}

fn complain_foreign(page: &mut Page<'_>, key: &str, span: Range<usize>) {
    let problem = Problem::new(format!("a project can only narrow, so `{key}` has no place in it"));
    page.complain(span, problem.hint("put it into your own configuration (`bartizan init`)"));
}

fn apply_role(
    config: &mut Config,
    places: &Places,
    page: &mut Page<'_>,
    key: &At<String>,
    raw: &RawRole,
) {
    let Some(subject) = page.subject(key) else { return };
    let RawRole { extends, allow, ask, deny, subagents, enclosure, budget, way_out } = raw;
    if let Some(list) = extends {
        complain_foreign(page, "extends", list.span());
    }
    if let Some(table) = subagents {
        complain_foreign(page, "subagents", table.span());
    }
    if let Some(table) = way_out {
        complain_foreign(page, "way_out", table.span());
    }
    for entry in allow {
        complain_foreign(page, "allow", entry.span());
    }
    for (list, entries) in [("ask", ask), ("deny", deny)] {
        config.rules.extend(page.rules(Layer::Project, &subject, list, entries));
    }
    config.rules.extend(page.network_rules(Layer::Project, &subject, enclosure));
    let draft = BoxDraft::read(page, enclosure, places);
    let Subject::Role(name) = subject else {
        // Every role: each box is narrowed, which is what a project will mostly want.
        for role in config.roles.values_mut() {
            draft.clone().narrow(&mut role.enclosure, enclosure, page);
            if let Some(budget) = budget {
                role.budget.narrow(budget.get_ref(), page);
            }
        }
        return;
    };
    match config.roles.get_mut(&name) {
        Some(role) => {
            draft.narrow(&mut role.enclosure, enclosure, page);
            if let Some(budget) = budget {
                role.budget.narrow(budget.get_ref(), page);
            }
        }
        None => complain_unknown(page, key, &name, config),
    }
}

fn complain_unknown(page: &mut Page<'_>, key: &At<String>, name: &RoleName, config: &Config) {
    let problem = Problem::new(format!("there is no role `{name}` that could be narrowed"));
    let likely = did_you_mean(name.as_str(), config.roles.keys().map(RoleName::as_str));
    let hint = likely.map_or_else(
        || "`[roles.\"*\"]` means every role".to_owned(),
        |likely| format!("did you mean `{likely}`?"),
    );
    page.complain(key.span(), problem.hint(hint));
}
