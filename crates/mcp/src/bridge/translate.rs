//! What does a request of a session say where there are none, and an answer that comes from there?

use crate::conversation::Revision;
use crate::era;
use crate::wire::{INTERNAL_ERROR, Id, Message};
use bartizan_scan::json::{Edits, View, quoted};

/// Who asks, as every request says it.
#[derive(Debug)]
pub(super) struct Client {
    who: String,
    can: String,
}

impl Client {
    /// As `initialize` said it.
    pub(super) fn of(hello: &Message) -> Self {
        let said = |key: &str| hello.params().and_then(|params| params.get(key));
        let who = said("clientInfo").filter(|who| who.is_table());
        let who =
            who.map_or_else(|| r#"{"name":"client","version":"0"}"#.to_owned(), View::compact);
        let can = said("capabilities").into_iter().flat_map(View::members);
        let can = can.filter(|(key, _)| ANSWERED.contains(key));
        let can: Vec<String> =
            can.map(|(key, value)| format!("{}:{}", quoted(key), value.compact())).collect();
        Self { who, can: format!("{{{}}}", can.join(",")) }
    }
}

/// What a client has answered in the middle of a request, and what the server wants to remember it by.
pub(super) struct Input<'a> {
    pub(super) answers: &'a [(String, String)],
    pub(super) state: Option<&'a str>,
}

/// The parameters of a request, with what it says of its revision and its client.
pub(super) fn stamped(
    params: Option<View<'_>>,
    client: &Client,
    level: Option<&str>,
    input: Option<&Input<'_>>,
) -> String {
    let meta = params.and_then(|params| params.get("_meta")).into_iter().flat_map(View::members);
    let meta = meta.filter(|(key, _)| !era::ALL.contains(key)).map(member);
    let version = quoted(Revision::V2026_07_28.as_str());
    let mut own = vec![
        format!("\"{}\":{version}", era::VERSION),
        format!("\"{}\":{}", era::CAPABILITIES, client.can),
        format!("\"{}\":{}", era::CLIENT, client.who),
    ];
    own.extend(level.map(|level| format!("\"{}\":{}", era::LEVEL, quoted(level))));
    own.extend(meta);
    let mut parts = vec![format!("\"_meta\":{{{}}}", own.join(","))];
    let kept = params.into_iter().flat_map(View::members);
    parts.extend(kept.filter(|(key, _)| !INPUT.contains(key)).map(member));
    if let Some(input) = input {
        let answers = input.answers.iter().map(|(key, said)| format!("{}:{said}", quoted(key)));
        let answers: Vec<String> = answers.collect();
        parts.push(format!("\"inputResponses\":{{{}}}", answers.join(",")));
        parts.extend(input.state.map(|state| format!("\"requestState\":{state}")));
    }
    format!("{{{}}}", parts.join(","))
}

/// `initialize` as a server with sessions knows it.
pub(super) fn in_session(hello: &Message) -> Option<Message> {
    let params = hello.params()?;
    let parts: Vec<String> =
        params.members().filter(|(key, _)| *key != "_meta").map(member).collect();
    let mut edits = Edits::default();
    edits.replace(params.node(), format!("{{{}}}", parts.join(",")));
    hello.edited(edits)
}

/// The answer to `initialize`, from what `server/discover` told.
pub(super) fn begun(hello: &Message, discovered: View<'_>) -> Option<Message> {
    let id = hello.id()?;
    let stateless = era::is_stateless(hello);
    let asked = hello.params().and_then(|params| params.text_of("protocolVersion"));
    let asked = asked.and_then(|asked| Revision::parse(&asked)).filter(|it| it.has_sessions());
    let revision = match asked {
        _ if stateless => Revision::V2026_07_28,
        Some(asked) => asked,
        None => Revision::NEWEST_OF_SESSIONS,
    };
    let can = discovered.get("capabilities").into_iter().flat_map(View::members);
    let can = can.filter(|(key, _)| stateless || SHARED.contains(key)).map(member);
    let who = discovered.get("_meta").and_then(|meta| meta.get(era::SERVER));
    let who = who.filter(|who| who.is_table());
    let mut parts = vec![
        format!("\"protocolVersion\":{}", quoted(revision.as_str())),
        format!("\"capabilities\":{{{}}}", can.collect::<Vec<_>>().join(",")),
        format!(
            "\"serverInfo\":{}",
            who.map_or_else(|| r#"{"name":"server","version":"0"}"#.to_owned(), View::compact)
        ),
    ];
    let said = discovered.get("instructions");
    parts.extend(said.map(|said| format!("\"instructions\":{}", said.compact())));
    Message::success(id, &format!("{{{}}}", parts.join(",")))
}

/// An answer as it is known in a session, to the question of this id.
pub(super) fn answered(answer: &Message, id: &Id) -> Message {
    let unmade =
        || Message::failure(Some(id), INTERNAL_ERROR, "the server's answer cannot be read");
    let mut edits = Edits::default();
    if let Some(result) = answer.result() {
        let kept = result.members().filter(|(key, _)| !OWN.contains(key));
        let kept: Vec<String> =
            kept.map(|(key, value)| format!("{}:{}", quoted(key), value.raw())).collect();
        edits.replace(result.node(), format!("{{{}}}", kept.join(",")));
    }
    answer.edited(edits).and_then(|answer| answer.with_id(id)).unwrap_or_else(unmade)
}

fn member((key, value): (&str, View<'_>)) -> String {
    format!("{}:{}", quoted(key), value.compact())
}

/// What a client can do that a server may ask for in the middle of a request.
const ANSWERED: [&str; 3] = ["elicitation", "roots", "sampling"];
/// Parameters that are ours to say.
const INPUT: [&str; 3] = ["_meta", "inputResponses", "requestState"];
/// What a result says that a session does not know.
const OWN: [&str; 5] = ["cacheScope", "inputRequests", "requestState", "resultType", "ttlMs"];
/// What a server can do in both.
const SHARED: [&str; 5] = ["completions", "logging", "prompts", "resources", "tools"];
