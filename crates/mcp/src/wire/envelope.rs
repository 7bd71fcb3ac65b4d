//! Is this object one message of JSON-RPC 2.0 as MCP narrows it, and no other by another parser's reading?

use super::{Form, Id, WireError};
use bartizan_scan::json::View;

/// Reads the envelope, and refuses keys that a careless parser would take for those that we read.
pub(super) fn read(root: View<'_>) -> Result<Form, WireError> {
    if root.items().is_some() {
        return Err(WireError::invalid(None, "batches are not part of this protocol"));
    }
    if !root.is_table() {
        return Err(WireError::invalid(None, "a message is an object"));
    }
    let id = root.get("id").filter(|id| !id.is_null()).map(id).transpose();
    let known = id.clone().ok().flatten();
    let fail = |what: &str| Err(WireError::invalid(known.clone(), what));
    if let Some(key) = variant(root, &ENVELOPE) {
        return fail(&format!("the key `{key}` could be taken for another"));
    }
    if root.text_of("jsonrpc").as_deref() != Some("2.0") {
        return fail("`jsonrpc` must be \"2.0\"");
    }
    let Ok(id) = id else {
        return fail("`id` must be a whole number or a text of at most 256 bytes");
    };
    let answers =
        usize::from(root.get("result").is_some()) + usize::from(root.get("error").is_some());
    let Some(method) = root.get("method") else {
        return response(root, id, answers);
    };
    let Some(method) = method.text().filter(|method| method_is_plain(method)) else {
        return fail("`method` must be a plain name");
    };
    if answers > 0 {
        return fail("a message is a question or an answer, not both");
    }
    params(root, known.as_ref())?;
    let method = method.into_owned();
    if root.get("id").is_some_and(View::is_null) {
        return fail("a request's `id` must not be null");
    }
    Ok(match id {
        Some(id) => Form::Request { id, method },
        None => Form::Notification { method },
    })
}

fn response(root: View<'_>, id: Option<Id>, answers: usize) -> Result<Form, WireError> {
    let fail = |what: &str| Err(WireError::invalid(None, what));
    if answers != 1 || root.get("params").is_some() {
        return fail("a message has a `method`, a `result` or an `error`, and one of them");
    }
    if let Some(result) = root.get("result")
        && (!result.is_table() || id.is_none())
    {
        return fail("a `result` is an object, and has the `id` of its request");
    }
    if let Some(error) = root.get("error") {
        let code = error.get("code").is_some_and(|code| code.raw().parse::<i64>().is_ok());
        let message = error.get("message").is_some_and(|message| message.text().is_some());
        if !(code && message) {
            return fail("an `error` has a whole `code` and a `message`");
        }
    }
    Ok(Form::Response { id })
}

fn params(root: View<'_>, id: Option<&Id>) -> Result<(), WireError> {
    let fail = |what: &str| Err(WireError::invalid(id.cloned(), what));
    let Some(params) = root.get("params") else { return Ok(()) };
    if !params.is_table() {
        return fail("`params` must be an object");
    }
    if params.node().has_twins() || variant(params, &PARAMS).is_some() {
        return fail("a key of `params` could be taken for another");
    }
    let Some(meta) = params.get("_meta") else { return Ok(()) };
    if !meta.is_table() || meta.node().has_twins() || variant(meta, &META).is_some() {
        return fail("`_meta` must be an object, of which no key could be taken for another");
    }
    Ok(())
}

/// An id that is one.
fn id(value: View<'_>) -> Result<Id, ()> {
    if let Some(text) = value.text() {
        let half = text.contains('\u{fffd}') && !value.raw().contains('\u{fffd}');
        return if text.len() <= ID_BYTES && !half {
            Ok(Id::Text(text.into_owned()))
        } else {
            Err(())
        };
    }
    let raw = value.raw();
    match raw.parse::<i64>() {
        Ok(number) if raw != "-0" => Ok(Id::Number(number)),
        _ => Err(()),
    }
}

/// A key that is none of `known`, but would be for a parser that ignores case.
fn variant<'a>(object: View<'a>, known: &[&str]) -> Option<&'a str> {
    object
        .members()
        .map(|(key, _)| key)
        .find(|key| !known.contains(key) && known.iter().any(|known| folded(key) == folded(known)))
}

/// As parsers fold that take `ſ` for `s` and the Kelvin sign for `k`.
fn folded(key: &str) -> String {
    key.to_uppercase().to_lowercase()
}

fn method_is_plain(method: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'.' | b'$');
    !method.is_empty() && method.len() <= 128 && method.bytes().all(plain)
}

const ENVELOPE: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// Keys of parameters that this gateway or a server acts on.
const PARAMS: [&str; 24] = [
    "_meta",
    "argument",
    "arguments",
    "capabilities",
    "clientInfo",
    "context",
    "cursor",
    "data",
    "inputResponses",
    "level",
    "logger",
    "message",
    "name",
    "notifications",
    "progress",
    "progressToken",
    "protocolVersion",
    "reason",
    "ref",
    "requestId",
    "requestState",
    "task",
    "taskId",
    "uri",
];

const META: [&str; 6] = [
    "progressToken",
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/logLevel",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/related-task",
];

/// Longest id that is text.
const ID_BYTES: usize = 256;
