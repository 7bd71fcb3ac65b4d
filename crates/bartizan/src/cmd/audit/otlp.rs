//! How does an OpenTelemetry collector read a record? As a log record of OTLP in JSON, with the attributes of the `GenAI`
//! conventions; what belongs to one session is one trace, what belongs to one call one span of it.

use crate::clock::now_ms;
use bartizan_store::{Digest, Record};
use serde_json::{Value, json};

/// What is sent for these records, in one request to `/v1/logs`.
pub(super) fn request(records: &[Record]) -> Value {
    let attributes =
        [text("service.name", "bartizan"), text("service.version", env!("CARGO_PKG_VERSION"))];
    json!({ "resourceLogs": [{
        "resource": { "attributes": attributes },
        "scopeLogs": [{
            "scope": { "name": "bartizan.audit", "version": "1" },
            "logRecords": records.iter().map(log_record).collect::<Vec<_>>(),
        }],
    }] })
}

/// The record itself is the body, byte for byte, and its hash an attribute, so that a reader who meets it twice knows it.
fn log_record(record: &Record) -> Value {
    let value = record.value();
    let field = |key: &str| value.get(key).and_then(Value::as_str);
    let event = field("event").unwrap_or("unknown");
    let (number, word) = severity(event, &value);
    let mut log = json!({
        "timeUnixNano": nanos(value.get("time_ms").and_then(Value::as_u64).unwrap_or(0)),
        "observedTimeUnixNano": nanos(now_ms()),
        "severityNumber": number,
        "severityText": word,
        "eventName": format!("bartizan.{event}"),
        "body": { "stringValue": record.json },
        "attributes": attributes(record, &value, event),
    });
    if let (Value::Object(log), Some(session)) = (&mut log, field("session")) {
        log.insert("traceId".to_owned(), json!(id(session, 32)));
        if let Some(call) = field("call") {
            log.insert("spanId".to_owned(), json!(id(call, 16)));
        }
    }
    log
}

fn attributes(record: &Record, value: &Value, event: &str) -> Vec<Value> {
    let field = |key: &str| value.get(key).and_then(Value::as_str);
    let mut found = vec![
        text("bartizan.event", event),
        text("bartizan.leaf", &record.leaf.to_string()),
        json!({ "key": "bartizan.seq", "value": { "intValue": record.seq.to_string() } }),
    ];
    let operation = match (event, field("tool")) {
        ("session_start" | "session_end", _) => Some("invoke_agent"),
        (_, Some("model.request")) => Some("chat"),
        (_, Some(_)) => Some("execute_tool"),
        (_, None) => None,
    };
    let failed = match (event, field("ended")) {
        ("refusal", _) => field("code").or(field("verdict")),
        ("outcome", Some(ended)) if ended != "succeeded" => field("code").or(Some(ended)),
        _ => None,
    };
    let named = [
        ("gen_ai.operation.name", operation),
        ("gen_ai.conversation.id", field("session")),
        ("gen_ai.agent.name", field("agent")),
        ("gen_ai.tool.name", field("tool").filter(|tool| *tool != "model.request")),
        ("gen_ai.tool.call.id", field("call")),
        ("server.address", field("host")),
        ("error.type", failed),
        ("bartizan.verdict", field("verdict")),
        ("bartizan.effect", field("effect")),
        ("bartizan.target", field("target")),
    ];
    found.extend(named.into_iter().filter_map(|(key, value)| Some(text(key, value?))));
    found
}

/// Of the numbers that OTLP gives severities.
fn severity(event: &str, value: &Value) -> (u64, &'static str) {
    let is = |key: &str, wanted: &str| value.get(key).and_then(Value::as_str) == Some(wanted);
    match event {
        "fault" => (17, "ERROR"),
        "finding" | "flag" => (13, "WARN"),
        "refusal" if is("verdict", "deny") => (13, "WARN"),
        _ => (9, "INFO"),
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn nanos(ms: u64) -> String {
    (u128::from(ms) * 1_000_000).to_string()
}

/// An id of so many hexadecimal digits, the same for the same name.
fn id(name: &str, digits: usize) -> String {
    Digest::of(name.as_bytes()).to_string().chars().take(digits).collect()
}

/// Under which name a collector's mark stands: what it was sent is known again by its address.
pub(super) fn reader(url: &str) -> String {
    format!("otlp-{}", id(url, 16))
}

/// What a collector says that it did not take, of a request that it took.
pub(super) fn rejected(answer: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(answer).ok()?;
    let partial = value.get("partialSuccess")?;
    let count = partial.get("rejectedLogRecords")?;
    let count =
        count.as_u64().or_else(|| count.as_str()?.parse().ok()).filter(|count| *count > 0)?;
    let why = partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default();
    Some(format!("the collector dropped {count} of them: {why}"))
}
