//! What does a server's answer mean: did the act happen, did it not, or does nobody know?

use super::Done;
use crate::config::Tool;
use bartizan_egress::resolve::Reach;
use bartizan_egress::{Errand, Lost, Reply};
use bartizan_mcp::declare::HttpCall;
use bartizan_store::EffectEnd;
use serde_json::{Map, Value, json};

/// The request, with its idempotency key if it has one.
pub(super) fn errand(tool: &Tool, call: HttpCall, declared: bool, key: Option<&str>) -> Errand {
    let HttpCall { method, secure, target, path, query, mut headers, body } = call;
    if let (Some(header), Some(key)) = (&tool.idempotency, key) {
        headers.retain(|(name, _)| name != header);
        headers.push((header.clone(), key.to_owned()));
    }
    // Policy never opens a private address by itself: the configuration must have named this one.
    let reach =
        if declared { Reach::public().and_network().and_this_host() } else { Reach::public() };
    let bounds = tool.declared.bounds();
    let (answer, time, place) = (bounds.answer, bounds.time, tool.place.clone());
    Errand { secure, target, method, path, query, headers, body, place, reach, answer, time }
}

/// What came of it.
pub(super) fn done(tool: &Tool, sent: Result<Reply, Lost>) -> Done {
    let mut value = Map::new();
    let mut say = |name: &str, what: Value| value.insert(name.to_owned(), what);
    match sent {
        Ok(Reply { status, json, bytes_in, hidden }) => {
            say("status", json!(status));
            let projection = tool.declared.projection();
            if !projection.is_empty() {
                match json {
                    Some(json) => say("result", projection.pick(&json).unwrap_or(Value::Null)),
                    None => {
                        say("note", json!("the answer was no JSON, so it has no fields to show"))
                    }
                };
            }
            let details = json!({ "status": status, "bytes_in": bytes_in, "hidden": hidden });
            Done { end: meaning(status), code: code(status), details, value }
        }
        Err(Lost::Unshown(status, why)) => {
            say("status", json!(status));
            say("note", json!(why.sentence()));
            let details = json!({ "status": status, "withheld": why.code() });
            // It has happened, as far as the status says so; only what was answered is not known.
            Done { end: meaning(status), code: Some("answer-withheld"), details, value }
        }
        Err(Lost::Unsent(why)) => {
            say("note", json!(why.sentence()));
            Done {
                end: EffectEnd::Failed,
                code: Some("not-sent"),
                details: json!({ "why": why.code() }),
                value,
            }
        }
        Err(Lost::Unanswered(why)) => {
            say("note", json!(why.sentence()));
            Done {
                end: EffectEnd::Ambiguous,
                code: Some("not-answered"),
                details: json!({ "why": why.code() }),
                value,
            }
        }
    }
}

/// What a status says of an act. A server that failed half-way says 5xx; a redirect was not followed, and only 307 and
/// 308 say that nothing was done yet (RFC 9110 section 15.4).
fn meaning(status: u16) -> EffectEnd {
    match status {
        200..=299 => EffectEnd::Committed,
        307 | 308 | 400..=499 => EffectEnd::Failed,
        _ => EffectEnd::Ambiguous,
    }
}

fn code(status: u16) -> Option<&'static str> {
    match status {
        200..=299 => None,
        300..=399 => Some("redirect-not-followed"),
        _ => Some("server-refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_status_that_says_so_settles_an_act() {
        for status in [200, 201, 202, 204] {
            assert_eq!((meaning(status), code(status)), (EffectEnd::Committed, None), "{status}");
        }
        for status in [307, 308, 400, 402, 404, 409, 422, 429] {
            assert_eq!(meaning(status), EffectEnd::Failed, "{status}");
        }
        for status in [100, 301, 302, 303, 500, 502, 503, 504, 599, 700] {
            assert_eq!(meaning(status), EffectEnd::Ambiguous, "{status}");
        }
    }
}
