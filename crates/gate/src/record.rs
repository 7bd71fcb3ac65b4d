//! What does the log say of a call? The bodies of audit records, redacted before the store sees them.

use crate::call::{CheckedCall, Outcome};
use crate::gates::Cleared;
use crate::name::{CallId, SessionId};
use crate::policy::PolicyRef;
use crate::refusal::Refusal;
use crate::taint::{Origins, Traced};
use bartizan_scan::Redactor;
use bartizan_store::{Entry, Event};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The intent: written before the act, by the call that is about to happen.
pub(crate) fn intent(
    redactor: &Redactor,
    id: &CallId,
    call: &CheckedCall,
    cleared: &Cleared,
) -> Entry {
    let mut body = described(call);
    insert(
        &mut body,
        "verdict",
        json!(if cleared.approvers().is_empty() { "allow" } else { "approved" }),
    );
    insert(&mut body, "policies", places(cleared.policies()));
    if !cleared.approvers().is_empty() {
        insert(&mut body, "approvers", json!(cleared.approvers()));
    }
    if !cleared.endorsers().is_empty() {
        insert(&mut body, "endorsers", json!(cleared.endorsers()));
    }
    entry(redactor, Event::Call, call.identified.session(), Some(id), body)
}

/// A refusal, with whatever is known of the call by then.
pub(crate) fn refusal(
    redactor: &Redactor,
    session: &SessionId,
    id: &CallId,
    known: Known,
    refused: &Refusal,
) -> Entry {
    let mut body = known.0;
    let verdict = if matches!(refused, Refusal::ApprovalRequired { .. }) { "ask" } else { "deny" };
    insert(&mut body, "verdict", json!(verdict));
    if let Refusal::ApprovalRequired { question, quorum, .. } = refused {
        insert(&mut body, "question", json!(question));
        insert(&mut body, "quorum", json!(quorum));
    }
    insert(&mut body, "code", json!(refused.code()));
    insert(&mut body, "reason", json!(refused.to_string()));
    insert(&mut body, "policies", places(refused.policies()));
    entry(redactor, Event::Refusal, session, Some(id), body)
}

/// The outcome, after the act.
pub(crate) fn outcome(
    redactor: &Redactor,
    session: &SessionId,
    id: &CallId,
    outcome: &Outcome,
) -> Entry {
    let mut body = Map::new();
    insert(&mut body, "ended", json!(outcome.ended()));
    if let Some(code) = outcome.code() {
        insert(&mut body, "code", json!(code));
    }
    insert(&mut body, "details", outcome.details.clone());
    entry(redactor, Event::Outcome, session, Some(id), body)
}

/// What is known of a proposal before it has passed the gates.
#[derive(Debug, Default)]
pub(crate) struct Known(Map<String, Value>);

impl Known {
    /// Everything that the gates have proved of a call.
    pub(crate) fn checked(call: &CheckedCall) -> Self {
        Self(described(call))
    }

    pub(crate) fn proposal(
        door: &impl serde::Serialize,
        tool: &str,
        arguments: &Value,
        reference: Option<&str>,
    ) -> Self {
        let mut body = Map::new();
        insert(&mut body, "door", json!(door));
        insert(&mut body, "tool", json!(bartizan_scan::display_line(tool, 128)));
        insert(&mut body, "arguments", bounded(arguments));
        if let Some(reference) = reference {
            insert(&mut body, "reference", json!(reference));
        }
        Self(body)
    }

    pub(crate) fn agent(&mut self, agent: &str, role: &str) {
        insert(&mut self.0, "agent", json!(agent));
        insert(&mut self.0, "role", json!(role));
    }
}

fn described(call: &CheckedCall) -> Map<String, Value> {
    let tool = call.listed.tool();
    let arguments = veiled(call.scoped.arguments(), call.veiled);
    let mut known =
        Known::proposal(&call.door, tool.name().as_str(), &arguments, call.reference.as_deref());
    known.agent(call.identified.agent().as_str(), call.identified.role().as_str());
    let mut body = known.0;
    insert(&mut body, "server", json!(tool.server()));
    insert(&mut body, "effect", json!(call.rated.effect()));
    insert(&mut body, "digest", json!(call.scoped.digest().to_string()));
    if let Some(target) = call.scoped.target() {
        insert(&mut body, "target", bounded(&json!(target)));
    }
    if let Some(host) = call.granted.host() {
        insert(&mut body, "host", json!(host.to_string()));
    }
    if let Some(secret) = call.granted.secret() {
        insert(&mut body, "secret", json!(secret));
    }
    let found = call.scoped.origins();
    if found.taint.tainted || found.taint.score > 0 {
        insert(&mut body, "origins", origins(found));
    }
    body
}

/// The arguments without the value of one that is not for the log; that it was there can be seen.
pub(crate) fn veiled<'v>(arguments: &'v Value, veil: Option<&str>) -> Cow<'v, Value> {
    let there = veil.filter(|name| arguments.get(name).is_some());
    let Some(name) = there else { return Cow::Borrowed(arguments) };
    let mut arguments = arguments.clone();
    if let Some(value) = arguments.get_mut(name) {
        *value = json!(VEIL);
    }
    Cow::Owned(arguments)
}

/// What a person, and whoever reads the log, sees of where a call's values come from; null when there is nothing to say.
pub(crate) fn origins(found: &Origins) -> Value {
    let Origins { taint, provenance } = found;
    if !taint.tainted && taint.score == 0 && !provenance.worst().is_unnamed() {
        return Value::Null;
    }
    let mut said = json!({ "tainted": taint.tainted, "score": taint.score });
    let Value::Object(fields) = &mut said else { return said };
    let unnamed = provenance.values.iter().filter(|value| value.origin.is_unnamed());
    let values: Vec<Value> = unnamed.take(VALUES_MAX).map(traced).collect();
    if !values.is_empty() {
        insert(fields, "values", Value::Array(values));
    }
    for (name, is) in [
        ("carries", provenance.carries),
        ("composed", provenance.composed),
        ("ordered", provenance.is_ordered()),
        ("unsaid", provenance.unsaid),
    ] {
        if is {
            insert(fields, name, json!(true));
        }
    }
    said
}

fn traced(value: &Traced) -> Value {
    let mut said = json!({
        "part": value.part.name(),
        "value": bartizan_scan::display_line(&value.value, 400),
        "origin": value.origin,
        "key": value.key().to_string(),
        "host_key": value.host_key().map(|key| key.to_string()),
    });
    if let (Value::Object(fields), Some(seen)) = (&mut said, value.sources.first()) {
        insert(fields, "source", json!(seen.source));
        insert(fields, "source_key", json!(seen.key.to_string()));
        insert(fields, "excerpt", json!(seen.excerpt));
    }
    said
}

fn places(policies: &[PolicyRef]) -> Value {
    policies.iter().map(|policy| json!({ "id": policy.id, "place": policy.place() })).collect()
}

/// A value as the log keeps it: RFC 8785 has no exact form for every number, and a record has a size.
pub(crate) fn bounded(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > TEXT_MAX => {
            let kept: String = text.chars().take(TEXT_MAX / 4).collect();
            json!(format!("{kept}… [{} bytes in all]", text.len()))
        }
        Value::Array(items) => {
            let mut kept: Vec<Value> = items.iter().take(ITEMS_MAX).map(bounded).collect();
            if items.len() > ITEMS_MAX {
                kept.push(json!(format!("… [{} items in all]", items.len())));
            }
            Value::Array(kept)
        }
        Value::Object(fields) => fields
            .iter()
            .take(ITEMS_MAX)
            .map(|(key, value)| (key.clone(), bounded(value)))
            .collect(),
        Value::Number(number) if !is_exact(number) => json!(number.to_string()),
        _ => value.clone(),
    }
}

fn is_exact(number: &serde_json::Number) -> bool {
    number.as_i64().is_some_and(|n| n.unsigned_abs() <= 1 << 53)
}

fn entry(
    redactor: &Redactor,
    event: Event,
    session: &SessionId,
    call: Option<&CallId>,
    body: Map<String, Value>,
) -> Entry {
    let mut body = bounded(&Value::Object(body));
    redactor.redact_json(&mut body);
    let body = match body {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    Entry { event, session: Some(session.to_string()), call: call.map(ToString::to_string), body }
}

/// A record that is not about a call: a session's start or end, a fault.
pub(crate) fn plain(
    redactor: &Redactor,
    event: Event,
    session: &SessionId,
    body: Map<String, Value>,
) -> Entry {
    entry(redactor, event, session, None, body)
}

fn insert(body: &mut Map<String, Value>, key: &str, value: Value) {
    body.insert(key.to_owned(), value);
}

/// Longest text of one field, in bytes; longer ones are cut, and the record says so.
/// What stands on the log for a value that is not for it.
const VEIL: &str = "[not kept]";
const TEXT_MAX: usize = 16 * 1024;
/// Most values of a call whose origin is told.
const VALUES_MAX: usize = 16;
/// Most items of one array or object.
const ITEMS_MAX: usize = 256;
