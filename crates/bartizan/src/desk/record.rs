//! What does an audit record say, in a line? The same in the terminal and in the browser.

use crate::report::Paint;
use serde_json::Value;

/// Who wanted what.
pub(crate) fn what(value: &Value) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let target = text("target").or_else(|| text("host")).map(str::to_owned);
    let target = target.or_else(|| value.get("arguments").map(Value::to_string));
    let parts = [
        text("agent"),
        text("tool"),
        target.as_deref(),
        text("question"),
        text("approver"),
        text("rule"),
        text("says"),
        text("note"),
    ];
    let told = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    // An outcome says only which call it is of.
    if told.is_empty() {
        text("call").map(|call| format!("call {call}")).unwrap_or_default()
    } else {
        told
    }
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
