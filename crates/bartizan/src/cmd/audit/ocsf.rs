//! How does another system's eye read a record? As an event of the Open Cybersecurity Schema Framework, 1.3.

use crate::clock::now_ms;
use bartizan_store::Record;
use serde_json::{Map, Value, json};

/// The event for one record. The record itself is in `raw_data`, byte for byte, and its hash is `metadata.uid`, so a
/// reader who meets an event twice knows it by its uid.
pub(super) fn event(record: &Record) -> Value {
    let value = record.value();
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let kind = text("event").unwrap_or("unknown");
    let class = Class::of(kind);
    let activity = class.activity(kind, text("effect"));
    let mut event = json!({
        "activity_id": activity.0,
        "activity_name": activity.1,
        "category_name": class.category().1,
        "category_uid": class.category().0,
        "class_name": class.name(),
        "class_uid": class.uid(),
        "message": message(&value, kind),
        "metadata": metadata(record, &value, kind),
        "raw_data": record.json,
        "severity": severity(&value, kind).1,
        "severity_id": severity(&value, kind).0,
        "time": value.get("time_ms").and_then(Value::as_u64).unwrap_or(0),
        "type_name": format!("{}: {}", class.name(), activity.1),
        "type_uid": class.uid() * 100 + activity.0,
    });
    if let Value::Object(event) = &mut event {
        status(event, &value, kind);
        control(event, &value, kind);
        match class {
            Class::Api => api(event, &value, kind),
            Class::Finding => finding(event, record, &value),
        }
    }
    event
}

/// The classes in use.
#[derive(Clone, Copy)]
enum Class {
    /// API Activity: somebody asked for something, was let or not, and it ended somehow.
    Api,
    /// Detection Finding: something was seen that looks wrong.
    Finding,
}

impl Class {
    fn of(kind: &str) -> Self {
        if matches!(kind, "finding" | "fault") { Self::Finding } else { Self::Api }
    }

    const fn uid(self) -> u64 {
        match self {
            Self::Api => 6003,
            Self::Finding => 2004,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Api => "API Activity",
            Self::Finding => "Detection Finding",
        }
    }

    const fn category(self) -> (u64, &'static str) {
        match self {
            Self::Api => (6, "Application Activity"),
            Self::Finding => (2, "Findings"),
        }
    }

    fn activity(self, kind: &str, effect: Option<&str>) -> (u64, &'static str) {
        match (self, kind, effect) {
            (Self::Finding, ..) | (Self::Api, "session_start" | "pending", _) => (1, "Create"),
            (Self::Api, _, Some("read")) => (2, "Read"),
            (Self::Api, "policy_change" | "config_change", _) | (_, _, Some("write")) => {
                (3, "Update")
            }
            (Self::Api, "prune", _) => (4, "Delete"),
            // What cannot be undone may be any of the four.
            (Self::Api, ..) => (99, "Other"),
        }
    }
}

fn metadata(record: &Record, value: &Value, kind: &str) -> Value {
    let correlation = ["call", "session"].into_iter().find_map(|key| value.get(key));
    let mut metadata = json!({
        "event_code": kind,
        "log_name": value.get("log_id"),
        "logged_time": now_ms(),
        "product": { "name": "Bartizan", "vendor_name": "Bartizan", "version": env!("CARGO_PKG_VERSION") },
        "profiles": ["security_control"],
        "sequence": record.seq,
        "uid": record.leaf.to_string(),
        "version": "1.3.0",
    });
    if let (Value::Object(metadata), Some(correlation)) = (&mut metadata, correlation) {
        metadata.insert("correlation_uid".to_owned(), correlation.clone());
    }
    metadata
}

fn message(value: &Value, kind: &str) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let parts = [Some(kind), text("agent"), text("tool"), text("target").or_else(|| text("host"))];
    let told = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    text("reason").map_or(told.clone(), |reason| format!("{told}: {reason}"))
}

/// Informational, unless somebody should look.
fn severity(value: &Value, kind: &str) -> (u64, &'static str) {
    let denied = value.get("verdict").and_then(Value::as_str) == Some("deny");
    match kind {
        "fault" => (4, "High"),
        "finding" => (3, "Medium"),
        "refusal" if denied => (2, "Low"),
        "prune" => (2, "Low"),
        _ => (1, "Informational"),
    }
}

fn status(event: &mut Map<String, Value>, value: &Value, kind: &str) {
    let ended = value.get("ended").and_then(Value::as_str);
    let (id, word) = match (kind, ended) {
        ("outcome", Some("succeeded")) => (1, "Success"),
        ("outcome", Some(_)) | ("refusal" | "fault", _) => (2, "Failure"),
        _ => return,
    };
    event.insert("status_id".to_owned(), json!(id));
    event.insert("status".to_owned(), json!(word));
    let detail = ["reason", "ended"].into_iter().find_map(|key| value.get(key)?.as_str());
    if let Some(detail) = detail {
        event.insert("status_detail".to_owned(), json!(detail));
    }
}

/// What the gate did: the profile `security_control`.
fn control(event: &mut Map<String, Value>, value: &Value, kind: &str) {
    let verdict = value.get("verdict").and_then(Value::as_str).unwrap_or_default();
    let (action, did, disposition, how) = match (kind, verdict) {
        ("call", _) => (1, "Allowed", 1, "Allowed"),
        // Nothing happens while a person is asked.
        ("refusal", "ask") | ("pending", _) => (2, "Denied", 15, "Detected"),
        ("refusal", _) => (2, "Denied", 2, "Blocked"),
        _ => return,
    };
    for (name, what) in [
        ("action_id", json!(action)),
        ("action", json!(did)),
        ("disposition_id", json!(disposition)),
        ("disposition", json!(how)),
    ] {
        event.insert(name.to_owned(), what);
    }
    let policies = value.get("policies").and_then(Value::as_array).filter(|all| !all.is_empty());
    if let Some(policies) = policies {
        let names = policies
            .iter()
            .map(|policy| policy.as_str().map_or_else(|| policy.to_string(), str::to_owned));
        let policy = json!({ "name": names.collect::<Vec<_>>().join(", ") });
        event.insert("policy".to_owned(), policy);
    }
}

fn api(event: &mut Map<String, Value>, value: &Value, kind: &str) {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let mut actor = json!({ "app_name": text("agent").unwrap_or("bartizan") });
    if let Value::Object(actor) = &mut actor {
        if let Some(session) = text("session") {
            actor.insert("session".to_owned(), json!({ "uid": session }));
        }
        if let Some(person) = text("approver").or_else(|| text("by")) {
            actor.insert("user".to_owned(), json!({ "name": person }));
        }
    }
    let mut api = json!({ "operation": text("tool").unwrap_or(kind) });
    if let Value::Object(api) = &mut api {
        if let Some(call) = text("call") {
            api.insert("request".to_owned(), json!({ "uid": call }));
        }
        if let Some(server) = text("server") {
            api.insert("service".to_owned(), json!({ "name": server }));
        }
        if let Some(code) = value.get("code") {
            let code = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
            api.insert("response".to_owned(), json!({ "error": code }));
        }
    }
    event.insert("actor".to_owned(), actor);
    event.insert("api".to_owned(), api);
    // An agent has no address of its own: its box is its end.
    let end = text("session").map_or("bartizan", |session| session);
    event.insert("src_endpoint".to_owned(), json!({ "name": end, "type_id": 99, "type": "box" }));
    if let Some(host) = text("host") {
        event.insert("dst_endpoint".to_owned(), json!({ "hostname": host }));
    }
    if let Some(target) = text("target") {
        event.insert("resources".to_owned(), json!([{ "name": target }]));
    }
}

fn finding(event: &mut Map<String, Value>, record: &Record, value: &Value) {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let what = text("kind").or_else(|| text("what")).or_else(|| text("event")).unwrap_or("finding");
    let info = json!({ "title": what, "types": [what], "uid": record.leaf.to_string() });
    event.insert("finding_info".to_owned(), info);
}
