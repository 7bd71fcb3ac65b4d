//! What does an audit record say, in a line? The same in the terminal and in the browser.

use crate::report::Paint;
use serde_json::Value;

/// Who wanted what.
pub(crate) fn what(value: &Value) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let target = text("target").or_else(|| text("host")).map(str::to_owned);
    let target = target.or_else(|| value.get("arguments").map(Value::to_string));
    let about = client(value)
        .or_else(|| found(value))
        .or_else(|| written(value))
        .or_else(|| ended(value))
        .or_else(|| connected(value));
    let parts = [
        text("agent"),
        text("tool"),
        target.as_deref(),
        text("question"),
        text("approver"),
        text("rule"),
        text("says"),
        text("note"),
        about.as_deref(),
        text("subject"),
        text("server"),
        text("person"),
        text("listen"),
    ];
    let told = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    // An outcome says only which call it is of.
    if told.is_empty() {
        text("call").map(|call| format!("call {call}")).unwrap_or_default()
    } else {
        told
    }
}

/// Whose token it is and who handled it, or who came in by which evidence.
fn client(value: &Value) -> Option<String> {
    if value.get("event")? != "token" {
        return None;
    }
    let who = value.get("who").unwrap_or(value);
    // What a client showed stands in an object of its own; the record of a token has it all side by side.
    let shown = who.get("by").filter(|by| by.is_object()).unwrap_or(who);
    let known = [
        ("token ", shown.get("token")),
        ("", who.get("name")),
        ("", shown.get("subject")),
        ("of ", shown.get("issuer")),
        ("", shown.get("certificate")),
        ("as ", who.get("role")),
        ("by ", who.get("by").filter(|by| by.is_string())),
    ];
    let parts = known.into_iter().filter_map(|(word, part)| {
        let part = match part? {
            Value::String(part) if word == "token " => part.get(..8).unwrap_or(part).to_owned(),
            Value::String(part) => part.clone(),
            part => part.to_string(),
        };
        Some(format!("{word}{part}"))
    });
    Some(parts.collect::<Vec<_>>().join(" ")).filter(|told| !told.is_empty())
}

/// What was found in what came back, how much it looks like orders, and where.
fn found(value: &Value) -> Option<String> {
    if value.get("event")? != "finding" {
        return None;
    }
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let score = value.get("score").and_then(Value::as_u64).map(|score| format!(" {score}"));
    let place = text("source").map(|source| format!(" in {source}"));
    Some([text("kind")?, &score.unwrap_or_default(), &place.unwrap_or_default()].concat())
}

/// What became of the changes of a box: how many of them, and the first by name.
fn written(value: &Value) -> Option<String> {
    if value.get("event")? != "write_back" {
        return None;
    }
    let counts = ["landed", "kept", "dropped"].into_iter().filter_map(|what| {
        let files = value.get(what)?.as_array()?;
        let first = files.first()?.get("path").and_then(Value::as_str)?;
        Some(format!("{what} {}: {first}", files.len()))
    });
    Some(counts.collect::<Vec<_>>().join(", ")).filter(|told| !told.is_empty())
}

/// How a session ended: with which code, or by being found dead.
fn ended(value: &Value) -> Option<String> {
    if value.get("event")? != "session_end" {
        return None;
    }
    let exit = value.get("exit").and_then(Value::as_i64);
    let exit = exit.map_or_else(|| "no exit code".to_owned(), |code| format!("exit {code}"));
    let is_leftover = value.get("leftover").and_then(Value::as_bool).unwrap_or(false);
    Some(if is_leftover { format!("{exit}, found dead") } else { exit })
}

/// What was seen on the network: a name that was looked up, or what went where it should not.
fn connected(value: &Value) -> Option<String> {
    if value.get("event")? != "egress" {
        return None;
    }
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    if let Some(alarm) = text("alarm") {
        let place = text("place").map(|place| format!(" in {place}"));
        return Some(format!("{alarm}{}", place.unwrap_or_default()));
    }
    let name = text("name")?;
    let unreported = value.get("unreported").and_then(Value::as_u64).filter(|&count| count > 0);
    let more = unreported.map(|count| format!(", and {count} more before it"));
    Some(format!("name {name}{}", more.unwrap_or_default()))
}

/// How it ended, in a word or two.
pub(crate) fn outcome(value: &Value) -> (String, Paint) {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let verdict = [text("verdict"), text("act"), text("ended")]
        .into_iter()
        .find(|word| !word.is_empty())
        .unwrap_or_default();
    let paint = match verdict {
        "allow" | "approved" | "approve" | "use" | "succeeded" | "harmless" => Paint::Green,
        "ask" | "raise" | "unsure" => Paint::Yellow,
        "attack" | "deny" | "failed" | "stopped" | "abandoned" => Paint::Red,
        _ => Paint::Dim,
    };
    let code = match value.get("code") {
        Some(Value::String(code)) => code.clone(),
        Some(Value::Number(code)) => code.to_string(),
        _ => String::new(),
    };
    (format!("{verdict} {code}").trim().to_owned(), paint)
}

/// Whether a person who reviews the run should look at it: something was refused or found, failed, or is in doubt.
pub(crate) fn is_flagged(value: &Value) -> bool {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let ordered = value.pointer("/origins/ordered").and_then(Value::as_bool).unwrap_or(false);
    matches!(text("event"), "fault" | "finding")
        || text("verdict") == "deny"
        || text("act") == "doubt"
        || text("event") == "flag" && text("act") == "raise"
        || matches!(text("ended"), "stopped" | "abandoned")
        || ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_says_what_its_record_is_about() {
        for (record, said) in [
            (
                json!({ "event": "token", "act": "issue", "token": "0123456789abcdef", "name": "laptop", "role": "coder", "by": "local:anna", "tools": [] }),
                "token 01234567 laptop as coder by local:anna",
            ),
            (
                json!({ "event": "token", "act": "use", "who": { "role": "coder", "by": { "token": "0123456789abcdef" } } }),
                "token 01234567 as coder",
            ),
            (
                json!({ "event": "token", "act": "use", "who": { "role": "ops", "by": { "issuer": "https://id.example", "subject": "ben" } } }),
                "ben of https://id.example as ops",
            ),
            (
                json!({ "event": "token", "act": "refuse", "certificate": ["dns:desk.example"] }),
                "[\"dns:desk.example\"]",
            ),
            (json!({ "event": "token", "act": "refuse", "code": "token-unknown" }), ""),
            (
                json!({ "event": "finding", "kind": "injection", "score": 99, "source": "result of read_mail" }),
                "injection 99 in result of read_mail",
            ),
            (
                json!({ "event": "write_back", "landed": [{ "path": "a.rs" }, { "path": "b.rs" }], "kept": [{ "path": ".git/config" }], "dropped": [] }),
                "landed 2: a.rs, kept 1: .git/config",
            ),
            (json!({ "event": "write_back", "landed": [] }), ""),
            (json!({ "event": "session_end", "exit": 3, "leftover": false }), "exit 3"),
            (
                json!({ "event": "session_end", "exit": null, "leftover": true }),
                "no exit code, found dead",
            ),
            (json!({ "event": "egress", "name": "a.example", "unreported": 0 }), "name a.example"),
            (
                json!({ "event": "egress", "alarm": "canary-sent", "host": "b.example:443", "place": "header cookie" }),
                "b.example:443 canary-sent in header cookie",
            ),
            (
                json!({ "event": "egress", "name": "a.example", "unreported": 4 }),
                "name a.example, and 4 more before it",
            ),
            (json!({ "event": "config_change", "server": "notes", "why": "gone" }), "notes"),
        ] {
            assert_eq!(what(&record), said);
        }
    }

    #[test]
    fn what_a_reviewer_should_look_at_is_flagged() {
        for flagged in [
            json!({ "event": "finding" }),
            json!({ "event": "flag", "act": "raise" }),
            json!({ "event": "refusal", "verdict": "deny" }),
            json!({ "event": "effect", "act": "doubt" }),
            json!({ "event": "outcome", "ended": "stopped" }),
            json!({ "event": "call", "verdict": "allow", "origins": { "ordered": true } }),
        ] {
            assert!(is_flagged(&flagged), "{flagged}");
        }
        for plain in [
            json!({ "event": "call", "verdict": "allow", "origins": { "ordered": false } }),
            json!({ "event": "refusal", "verdict": "ask" }),
            json!({ "event": "flag", "act": "resume" }),
            json!({ "event": "outcome", "ended": "succeeded" }),
        ] {
            assert!(!is_flagged(&plain), "{plain}");
        }
    }
}
