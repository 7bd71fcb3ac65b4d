//! What does an answer of a server with sessions say in the revision without?

use crate::conversation::Revision;
use crate::era::{self, SERVER, UNSUPPORTED};
use crate::wire::{INTERNAL_ERROR, INVALID_PARAMS, Id, Limits, Message};
use bartizan_scan::json::{Edits, View, quoted};

/// What the server said of itself when the conversation with it was begun.
#[derive(Debug)]
pub(super) struct Begun {
    answer: Message,
    who: String,
}

impl Begun {
    /// Reads the answer to `initialize`.
    pub(super) fn of(answer: &Message) -> Result<Self, Message> {
        let result = answer.result();
        let who = result.and_then(|result| result.get("serverInfo")).map(View::compact);
        let Some(who) = who else {
            let what = "the server does not say who it is";
            return Err(Message::failure(answer.id(), INTERNAL_ERROR, what));
        };
        Ok(Self { answer: answer.clone(), who })
    }

    /// Whether the server itself has no sessions, so that what it says passes as it is.
    pub(super) fn passes(&self) -> bool {
        let revision = self.answer.result().and_then(|result| result.text_of("protocolVersion"));
        revision.and_then(|text| Revision::parse(&text)).is_some_and(|it| !it.has_sessions())
    }

    /// Whether the server has this extension, in this revision.
    pub(super) fn extends(&self, extension: &str) -> bool {
        let extensions = self.capabilities().and_then(|said| said.get("extensions"));
        self.passes() && extensions.is_some_and(|said| said.get(extension).is_some())
    }

    fn capabilities(&self) -> Option<View<'_>> {
        self.answer.result()?.get("capabilities")
    }

    /// Whether the server can do this at all.
    pub(super) fn can(&self, what: &str) -> bool {
        self.capabilities().is_some_and(|said| said.get(what).is_some())
    }

    /// Whether the server says `true` of this.
    pub(super) fn says(&self, what: &str, flag: &str) -> bool {
        let said = self.capabilities().and_then(|said| said.get(what)?.get(flag));
        said.is_some_and(|said| said.raw() == "true")
    }

    /// The answer to `server/discover`.
    pub(super) fn discovered(&self, id: &Id) -> Message {
        let known: Vec<String> =
            Revision::ALL.iter().rev().map(|known| quoted(known.as_str())).collect();
        let offered = self.capabilities().into_iter().flat_map(View::members);
        let offered = offered.filter(|(key, _)| self.passes() || OFFERED.contains(key));
        let offered: Vec<String> =
            offered.map(|(key, value)| format!("{}:{}", quoted(key), value.compact())).collect();
        let said = self.answer.result().and_then(|result| result.get("instructions"));
        let said = said.map(|said| format!(r#","instructions":{}"#, said.compact()));
        let result = format!(
            r#"{{"supportedVersions":[{}],"capabilities":{{{}}}{}}}"#,
            known.join(","),
            offered.join(","),
            said.unwrap_or_default(),
        );
        let answer = Message::success(id, &result);
        answer.map_or_else(|| unmade(id), |answer| self.translated(id, "server/discover", &answer))
    }

    /// An answer as this revision has it.
    pub(super) fn answered(&self, id: &Id, method: &str, answer: &Message) -> Message {
        // What we refuse, we refuse in the words of a session.
        let ours = answer.result().is_some_and(|result| result.get("resultType").is_none());
        if ours || !self.passes() {
            return self.translated(id, method, answer);
        }
        let shared = answer.result().and_then(|result| result.get("cacheScope"));
        let mut edits = Edits::default();
        if let Some(shared) = shared {
            // What one role may see is nobody else's to keep, whatever a server says.
            edits.replace(shared.node(), quoted("private"));
        }
        answer.edited(edits).unwrap_or_else(|| unmade(id))
    }

    fn translated(&self, id: &Id, method: &str, answer: &Message) -> Message {
        let mut edits = Edits::default();
        if let Some(code) = answer.error().and_then(|error| error.get("code")) {
            match code.raw() {
                // What is not there is a matter of the parameters in this revision.
                "-32002" => edits.replace(code.node(), INVALID_PARAMS.to_string()),
                "-32042" => edits.replace(code.node(), INTERNAL_ERROR.to_string()),
                _ => {}
            }
        }
        let Some(result) = answer.result() else {
            return answer.edited(edits).unwrap_or_else(|| unmade(id));
        };
        let mut parts = vec![r#""resultType":"complete""#.to_owned()];
        if CACHED.contains(&method) {
            // Nor is it anybody's for long: an old server does not say for how long.
            parts.push(r#""ttlMs":0,"cacheScope":"private""#.to_owned());
        }
        let own = format!("{}:{}", quoted(SERVER), self.who);
        let meta = result.get("_meta").into_iter().flat_map(View::members);
        let meta = meta.filter(|(key, _)| *key != SERVER);
        let meta = meta.map(|(key, value)| format!("{}:{}", quoted(key), value.compact()));
        let meta: Vec<String> = meta.chain([own]).collect();
        parts.push(format!(r#""_meta":{{{}}}"#, meta.join(",")));
        let kept = result.members().filter(|(key, _)| !OURS.contains(key));
        parts.extend(kept.map(|(key, value)| format!("{}:{}", quoted(key), value.raw())));
        edits.replace(result.node(), format!("{{{}}}", parts.join(",")));
        answer.edited(edits).unwrap_or_else(|| unmade(id))
    }
}

/// A request without what only this revision has in it.
pub(super) fn without_era(message: &Message) -> Message {
    message.without_meta(&era::ALL).unwrap_or_else(|| message.clone())
}

/// The answer to a revision that we do not speak.
pub(crate) fn unsupported(message: &Message, asked: &str) -> Message {
    let known: Vec<String> =
        Revision::ALL.iter().rev().map(|known| quoted(known.as_str())).collect();
    let data = format!(r#"{{"supported":[{}],"requested":{}}}"#, known.join(","), quoted(asked));
    let id = message.id().map_or_else(|| "null".to_owned(), Id::to_json);
    let what = "Unsupported protocol version";
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{UNSUPPORTED},"message":{},"data":{data}}}}}"#,
        quoted(what)
    );
    let read = Message::parse(text.as_bytes(), &Limits::default());
    read.unwrap_or_else(|_| Message::failure(message.id(), UNSUPPORTED, what))
}

fn unmade(id: &Id) -> Message {
    Message::failure(Some(id), INTERNAL_ERROR, "the server's answer cannot be shown")
}

/// What a server can do that this revision has as well.
const OFFERED: [&str; 5] = ["tools", "resources", "prompts", "completions", "logging"];
/// What may be kept for a while, and says so.
const CACHED: [&str; 6] = [
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "server/discover",
    "tools/list",
];
/// What an answer says in our words and not in the server's.
const OURS: [&str; 6] =
    ["_meta", "cacheScope", "inputRequests", "requestState", "resultType", "ttlMs"];
