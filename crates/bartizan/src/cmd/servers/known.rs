//! What does the store know of each MCP server: what was seen of it, what a person accepted, and so what the gate judges by?

use crate::cli::exit;
use crate::config::{Config, Pin};
use crate::doors::mcp::tools::add_pseudo;
use crate::report::{Failure, Problem, safe};
use bartizan_gate::name::ServerName;
use bartizan_gate::tool::{Catalogue, UpstreamTool};
use bartizan_mcp::catalog::{Accepted, Fingerprint, Judged, Kind, Memory, Sight};
use bartizan_store::{Digest, PinnedItem, Store};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Takes down what a server lists now, all that it has of one kind.
pub(super) fn record(
    store: &Store,
    server: &ServerName,
    kind: Kind,
    sight: &Sight,
) -> Result<(), Failure> {
    let items =
        sight.items().map(|(name, item, digest)| (name.to_owned(), kept(digest), item.clone()));
    let listed = |name: &str| Kind::of(name).0 == kind;
    Ok(store.see_items(server.as_str(), listed, items.collect())?)
}

/// Takes down what a server lists now, and tells where each item stands. At the first sight of a server that is trusted
/// on first use, what gives no reason for a second look is accepted.
pub(crate) fn take_down(
    store: &Store,
    server: &ServerName,
    (kind, pin): (Kind, Pin),
    (sight, memory): (&Sight, &Memory),
) -> Result<Vec<Judged>, Failure> {
    let pinned = store.pinned(server.as_str())?;
    let first = pinned.iter().all(|item| Kind::of(&item.name).0 != kind);
    record(store, server, kind, sight)?;
    let judged = judged(store, server.as_str(), sight, memory)?;
    if !first || pin != Pin::FirstUse {
        return Ok(judged);
    }
    let plain = judged.iter().filter(|item| item.is_open(true));
    let plain: Vec<(String, Digest)> =
        plain.map(|item| (item.name.clone(), kept(item.digest))).collect();
    store.accept_items(server.as_str(), &plain, "first-use")?;
    self::judged(store, server.as_str(), sight, memory)
}

/// Where each item of a server stands, beside those of all other servers.
fn judged(
    store: &Store,
    server: &str,
    sight: &Sight,
    memory: &Memory,
) -> Result<Vec<Judged>, Failure> {
    let mut elsewhere = BTreeSet::new();
    for other in store.pinned_servers()?.iter().filter(|other| *other != server) {
        elsewhere.extend(known(store, other)?.seen.into_keys());
    }
    Ok(sight.judge(&known(store, server)?.accepted, &elsewhere, memory))
}

/// The same hash as the store keeps it.
pub(super) fn kept(digest: Fingerprint) -> Digest {
    Digest::from_bytes(*digest.as_bytes())
}

/// The tools that Bartizan knows by itself, and those of the configured servers that somebody accepted, as they
/// were then. What cannot be taken in is left out, and said.
pub(crate) fn catalogue(
    config: &Config,
    store: Option<&Store>,
) -> Result<(Catalogue, Vec<Problem>), Failure> {
    let (mut catalogue, mut problems) = (config.catalogue()?, Vec::new());
    for (server, said) in &config.servers {
        add_pseudo(&mut catalogue, server.as_str())
            .map_err(|why| Failure::new(exit::CONFIG, Problem::new(why)))?;
        let Some(store) = store else { break };
        for (name, Accepted { content, .. }) in known(store, server.as_str())?.accepted {
            let own = said.tools.get(&name).cloned().unwrap_or_default();
            // What a server says of itself as a whole has a name in parentheses.
            let is_tool = Kind::of(&name).0 == Kind::Tool && !name.starts_with('(');
            if own.hidden || !is_tool {
                continue;
            }
            let tool = UpstreamTool {
                server,
                tool: &name,
                schema: content.get("inputSchema").unwrap_or(&Value::Null),
                annotations: content.get("annotations"),
                effect: own.effect,
                targets: &own.targets,
            };
            if let Err(error) = catalogue.add_upstream(&tool) {
                let problem =
                    Problem::new(format!("server `{server}`: {}", safe(&error.to_string())));
                let hint =
                    format!("nobody can call it; mend or hide it under [servers.{server}.tools]");
                problems.push(problem.hint(hint));
            }
        }
    }
    problems.extend(config.unmet(&catalogue).map(|rule| {
        let what = format!(
            "`{}` ({}:{}) speaks of no tool that was accepted",
            rule.pattern, rule.place.file, rule.place.line
        );
        Problem::new(what).hint("it decides nothing until then: bartizan servers tools")
    }));
    Ok((catalogue, problems))
}

/// What the store knows of one server.
pub(crate) struct Known {
    pub(super) seen: BTreeMap<String, Value>,
    pub(super) accepted: BTreeMap<String, Accepted>,
}

pub(crate) fn known(store: &Store, server: &str) -> Result<Known, Failure> {
    let (mut seen, mut accepted) = (BTreeMap::new(), BTreeMap::new());
    for PinnedItem { name, seen: now, accepted: then, .. } in store.pinned(server)? {
        seen.extend(now.map(|(_, content)| (name.clone(), content)));
        accepted.extend(then.map(|(digest, content)| {
            let digest = Fingerprint::from_bytes(*digest.as_bytes());
            (name, Accepted { digest, content })
        }));
    }
    Ok(Known { seen, accepted })
}

impl Known {
    pub(super) fn judged(&self, store: &Store, server: &str) -> Result<Vec<Judged>, Failure> {
        judged(store, server, &Sight::of_items(self.seen.clone()), &Memory::default())
    }

    /// Tools that somebody accepted, whether they are listed now or not.
    pub(crate) fn accepted_tools(&self) -> impl Iterator<Item = &String> {
        self.accepted.keys().filter(|name| Kind::of(name).0 == Kind::Tool)
    }

    pub(super) fn gone(&self) -> Vec<String> {
        self.accepted.keys().filter(|name| !self.seen.contains_key(*name)).cloned().collect()
    }
}
