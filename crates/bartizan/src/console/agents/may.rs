//! What may a role do alone, with approval, and never? Asked of the gate, one call of each kind.

use crate::cmd::policy::judge::Bench;
use bartizan_gate::policy::{PolicyRef, Verdict};
use bartizan_gate::tool::{TargetKind, ToolDef};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// One tool, and what the gate says of calls of it.
#[derive(Debug)]
pub(super) struct May {
    pub(super) tool: Arc<ToolDef>,
    pub(super) standing: Standing,
    /// An ordinary call first, then calls that differ from it in one thing.
    pub(super) said: Vec<Said>,
}

/// In which of the lists a tool stands: by its ordinary call, unless no call of it can ever be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// An ordinary call is allowed.
    Alone,
    /// An ordinary call is asked.
    Asked,
    /// An ordinary call is denied; another one may not be.
    Named,
    /// No call can be made, whoever approves. This one is certain.
    Never,
}

/// What the gate says of one call.
#[derive(Debug)]
pub(super) struct Said {
    /// What kind of call it is.
    pub(super) call: &'static str,
    pub(super) verdict: Verdict,
    /// What decided; none when nothing permits the call.
    pub(super) policies: Vec<PolicyRef>,
    /// Which gate refused it, when it did not reach the policies.
    pub(super) refused: Option<&'static str>,
}

/// Asks about every tool there is.
pub(super) fn all(bench: &Bench) -> Vec<May> {
    bench.catalogue().iter().map(|tool| one(bench, tool)).collect()
}

fn one(bench: &Bench, tool: &Arc<ToolDef>) -> May {
    let name = tool.name().as_str();
    if !bench.offers(name) {
        return May { tool: Arc::clone(tool), standing: Standing::Never, said: Vec::new() };
    }
    let probes = probes(tool).into_iter();
    let said: Vec<Said> = probes.map(|(call, given)| ask(bench, tool, call, &given)).collect();
    let standing = match said.first().map(|said| said.verdict) {
        Some(Verdict::Allow) => Standing::Alone,
        Some(Verdict::Ask { .. }) => Standing::Asked,
        Some(Verdict::Deny) | None => Standing::Named,
    };
    May { tool: Arc::clone(tool), standing, said }
}

/// Asks about one call of a tool: with these arguments, and whatever else it needs.
pub(super) fn ask(
    bench: &Bench,
    tool: &ToolDef,
    call: &'static str,
    given: &Map<String, Value>,
) -> Said {
    match bench.ask(tool.name().as_str(), tool.shape().sample(given), None) {
        Ok(judged) => {
            Said { call, verdict: judged.verdict, policies: judged.policies, refused: None }
        }
        Err(refusal) => Said {
            call,
            verdict: Verdict::Deny,
            policies: refusal.policies().to_vec(),
            refused: Some(refusal.code()),
        },
    }
}

/// An ordinary call, and others that differ from it in one thing.
fn probes(tool: &ToolDef) -> Vec<(&'static str, Map<String, Value>)> {
    let mut ordinary = Map::new();
    if WIRE.contains(&tool.server().as_str()) {
        let fixed = [
            ("port", json!(443)),
            ("scheme", json!("https")),
            ("method", json!("GET")),
            ("path", json!("/")),
        ];
        ordinary.extend(fixed.map(|(name, value)| (name.to_owned(), value)));
    }
    let mut label = "any call";
    for (number, target) in tool.targets().iter().enumerate() {
        let Some((kind, value)) = usual(target.kind()) else { continue };
        label = if number == 0 { kind } else { label };
        ordinary.insert(target.field().to_owned(), value);
    }
    let with = |field: &str, value: Value| {
        let mut given = ordinary.clone();
        given.insert(field.to_owned(), value);
        given
    };
    let targets = tool.targets().iter();
    let mut others: Vec<_> = targets
        .filter_map(|target| {
            unusual(target.kind()).map(|(kind, value)| (kind, with(target.field(), value)))
        })
        .collect();
    if tool.name().as_str() == "net.request" {
        others.push(("a POST", with("method", json!("POST"))));
        others.push(("on a connection a person allowed", with("approved", json!(true))));
    }
    let mut all = vec![(label, ordinary)];
    all.append(&mut others);
    all
}

fn usual(kind: TargetKind) -> Option<(&'static str, Value)> {
    Some(match kind {
        TargetKind::Amount => ("a sum of 1", json!(1)),
        TargetKind::Command => ("a plain command", json!("true")),
        // As many as it takes.
        TargetKind::Count => return None,
        TargetKind::Email => ("a stranger's address", json!("somebody@example.com")),
        TargetKind::Host => ("a public host", json!("example.com")),
        TargetKind::Ip => ("a public address", json!("93.184.215.14")),
        TargetKind::Name => ("some name", json!("example")),
        TargetKind::Path => ("a file of the workspace", json!("bartizan-probe.txt")),
        TargetKind::Url => ("a public host", json!("https://example.com/")),
    })
}

fn unusual(kind: TargetKind) -> Option<(&'static str, Value)> {
    Some(match kind {
        TargetKind::Command => ("a command that names credentials", json!("cat ~/.ssh/id_ed25519")),
        TargetKind::Host | TargetKind::Ip => ("a private address", json!("10.0.0.1")),
        TargetKind::Path => ("a file elsewhere", json!("/var/lib/bartizan-probe")),
        TargetKind::Url => ("a private address", json!("https://10.0.0.1/")),
        TargetKind::Amount | TargetKind::Count | TargetKind::Email | TargetKind::Name => {
            return None;
        }
    })
}

/// What speaks of connections, and what travels on them.
const WIRE: [&str; 2] = ["model", "net"];
