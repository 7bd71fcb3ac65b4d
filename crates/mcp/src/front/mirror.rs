//! Do the headers say what the body says? Of a request without a session they mirror it, so that who routes by the one and
//! who acts on the other never see two requests (2026-07-28, "Server Validation").

use crate::conversation::Revision;
use crate::era::{CAPABILITIES, VERSION as VERSION_FIELD};
pub(super) use crate::headers::VERSION;
use crate::headers::{HEADER_MISMATCH, METHOD, NAME, PARAM, decoded, named};
use crate::stateless::unsupported;
use crate::wire::{INVALID_PARAMS, Message};
use hyper::header::{HeaderMap, HeaderValue};

/// Why a request is turned back: an answer with status 400.
pub(super) type Mismatch = Message;

/// The header of this name, if it stands there once.
pub(super) fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(());
    }
    first.to_str().map(Some).map_err(|_| ())
}

/// Checks a request of the stateless revision against its headers.
pub(super) fn check(headers: &HeaderMap, message: &Message) -> Result<(), Mismatch> {
    let said = message.meta().and_then(|meta| meta.text_of(VERSION_FIELD));
    let header = one(headers, VERSION).map_err(|()| mismatch(message, VERSION))?;
    let Some(said) = said else {
        let what = format!("`_meta` has no `{VERSION_FIELD}`");
        return Err(Message::failure(message.id(), INVALID_PARAMS, &what));
    };
    if header != Some(&said) {
        return Err(mismatch(message, VERSION));
    }
    if Revision::parse(&said).is_none_or(Revision::has_sessions) {
        return Err(unsupported(message, &said));
    }
    if message.meta().and_then(|meta| meta.get(CAPABILITIES)).is_none_or(|said| !said.is_table()) {
        let what = format!("`_meta` has no `{CAPABILITIES}`");
        return Err(Message::failure(message.id(), INVALID_PARAMS, &what));
    }
    let method = message.method().unwrap_or_default();
    if one(headers, METHOD) != Ok(Some(method)) {
        return Err(mismatch(message, METHOD));
    }
    let Some(field) = named(method) else { return Ok(()) };
    let body = message.params().and_then(|params| params.text_of(field));
    let header = one(headers, NAME).ok().flatten().and_then(decoded);
    match (body, header) {
        (Some(body), Some(header)) if *body == *header => Ok(()),
        // Without a name in the body there is nothing to mirror; the method's own check refuses that.
        (None, None) => Ok(()),
        _ => Err(mismatch(message, NAME)),
    }
}

/// The headers that mirror arguments. Which of them should, the tool's schema says, and whoever knows it.
pub(super) fn params(headers: &HeaderMap) -> Vec<(String, String)> {
    let names = headers.iter().filter(|(name, _)| name.as_str().starts_with(PARAM));
    // What is no text says nothing that an argument could say.
    let text =
        |value: &HeaderValue| value.to_str().map_or_else(|_| UNSAYABLE.to_owned(), str::to_owned);
    names.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn mismatch(message: &Message, name: &str) -> Mismatch {
    let what = format!("Header mismatch: `{name}` does not say what the body says");
    Message::failure(message.id(), HEADER_MISMATCH, &what)
}

/// Base64 that is none, and so decodes to nothing.
const UNSAYABLE: &str = "=?base64?!?=";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Limits;
    use hyper::header::HeaderName;

    fn code(headers: &[(&str, &str)], body: &str) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let message = Message::parse(body.as_bytes(), &Limits::default()).unwrap();
        let error = check(&map, &message).err()?;
        Some(error.error().unwrap().get("code").unwrap().raw().to_owned())
    }

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"h\u00e9","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    const GOOD: [(&str, &str); 3] = [
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "=?base64?aMOp?="),
    ];

    #[test]
    fn headers_that_mirror_the_body_pass_and_no_others() {
        assert_eq!(code(&GOOD, CALL), None);
        for (at, value) in [
            (0, "2025-11-25"),
            (1, "tools/list"),
            (1, "Tools/call"),
            (2, "h"),
            (2, "=?base64?aA==?="),
            (2, "=?base64?%%?="),
            (2, "=?BASE64?aMOp?="),
        ] {
            let mut headers = GOOD;
            headers[at].1 = value;
            assert_eq!(code(&headers, CALL).as_deref(), Some("-32020"), "{value}");
        }
        for (at, twice) in GOOD.into_iter().enumerate() {
            let mut headers = GOOD.to_vec();
            headers.push(twice);
            assert_eq!(code(&headers, CALL).as_deref(), Some("-32020"), "twice {at}");
            let mut headers = GOOD.to_vec();
            headers.remove(at);
            assert_eq!(code(&headers, CALL).as_deref(), Some("-32020"), "without {at}");
        }
    }

    #[test]
    fn a_task_is_named_in_a_header_too() {
        let call = CALL
            .replace("tools/call", "tasks/get")
            .replace(r#""name":"h\u00e9""#, r#""taskId":"t-1""#);
        let of = |headers: &[(&str, &str)]| code(headers, &call);
        let method = ("Mcp-Method", "tasks/get");
        assert_eq!(of(&[GOOD[0], method, ("Mcp-Name", "t-1")]), None);
        assert_eq!(of(&[GOOD[0], method, ("Mcp-Name", "t-2")]).as_deref(), Some("-32020"));
        assert_eq!(of(&[GOOD[0], method]).as_deref(), Some("-32020"));
    }

    #[test]
    fn a_version_that_is_not_there_or_not_known_says_so() {
        let call = CALL.replace("2026-07-28", "1900-01-01");
        let headers = [("MCP-Protocol-Version", "1900-01-01"), GOOD[1], GOOD[2]];
        assert_eq!(code(&headers, &call).as_deref(), Some("-32022"));
        for field in ["protocolVersion", "clientCapabilities"] {
            let call = CALL.replace(field, "other");
            assert_eq!(code(&GOOD, &call).as_deref(), Some("-32602"), "{field}");
        }
    }
}
