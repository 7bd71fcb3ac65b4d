//! Whose is it? What a server calls something, as the client of several servers knows it: under the server's own name, so
//! that nothing of one can be taken for another's.

use bartizan_mcp::wire::{Kind, Message};
use bartizan_scan::json::{Edits, View, quoted};

/// How a server's name stands before its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `SERVER__NAME`
    Name,
    /// `mcp://SERVER/URI`
    Address,
}

impl Form {
    /// The server's word as the client knows it.
    pub(super) fn join(self, server: &str, own: &str) -> String {
        match self {
            Self::Name => format!("{server}__{own}"),
            Self::Address => format!("{SCHEME}{server}/{own}"),
        }
    }

    /// Whose the client's word is, and what the server itself calls it.
    fn split(self, word: &str) -> Option<(&str, &str)> {
        match self {
            Self::Name => word.split_once("__"),
            Self::Address => word.strip_prefix(SCHEME)?.split_once('/'),
        }
    }
}

/// One of the lists that are put together from those of all servers.
#[derive(Debug)]
pub(crate) struct List {
    /// The request for it.
    pub(crate) method: &'static str,
    /// Where it stands in the answer.
    pub(crate) key: &'static str,
    /// Which act of a server it is for; none for tools, of which each is one.
    pub(crate) kind: Option<&'static str>,
    own: &'static str,
    form: Form,
}

impl List {
    /// The list that a request asks for.
    pub(super) fn of(method: &str) -> Option<&'static Self> {
        LISTS.iter().find(|list| list.method == method)
    }

    /// An entry as the client knows it; `None` when it names nothing.
    pub(super) fn named(&self, server: &str, entry: View<'_>) -> Option<String> {
        let own = entry.text_of(self.own)?;
        let word = quoted(&self.form.join(server, &own));
        Some(super::super::replaced(entry, self.own, &word))
    }
}

/// What a request asks of one server.
#[derive(Debug)]
pub(super) struct Asked {
    /// The server.
    pub(super) server: String,
    /// The request as the server itself understands it.
    pub(super) message: Message,
}

/// Takes the server's name out of a request. `None` when no name is in it.
pub(super) fn asked(method: &str, message: &Message) -> Option<Asked> {
    let (place, form) = place(method, message.params()?)?;
    let word = place.text()?;
    let (server, own) = form.split(&word)?;
    let mut edits = Edits::default();
    edits.replace(place.node(), quoted(own));
    Some(Asked { server: server.to_owned(), message: message.edited(edits)? })
}

fn place<'m>(method: &str, params: View<'m>) -> Option<(View<'m>, Form)> {
    let name = |key: &str| Some((params.get(key)?, Form::Name));
    match method {
        "tools/call" | "prompts/get" => name("name"),
        "tasks/cancel" | "tasks/get" | "tasks/result" | "tasks/update" => name("taskId"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            Some((params.get("uri")?, Form::Address))
        }
        "completion/complete" => {
            let of = params.get("ref")?;
            let prompt = of.get("name").map(|name| (name, Form::Name));
            prompt.or_else(|| Some((of.get("uri")?, Form::Address)))
        }
        _ => None,
    }
}

/// What a server says, with its name in it. `None` when that is no message any more.
pub(super) fn told(server: &str, message: &Message) -> Option<Message> {
    let mut edits = Edits::default();
    let mut put = |place: Option<View<'_>>, form: Form| {
        if let Some((place, own)) = place.and_then(|place| Some((place, place.text()?))) {
            edits.replace(place.node(), quoted(&form.join(server, &own)));
        }
    };
    let params = message.params();
    match message.kind() {
        Kind::Notification { method: "notifications/resources/updated" } => {
            put(params.and_then(|params| params.get("uri")), Form::Address);
        }
        Kind::Notification { method: "notifications/tasks/status" } => {
            put(params.and_then(|params| params.get("taskId")), Form::Name);
        }
        Kind::Response { .. } => {
            for (place, form) in places(message) {
                put(Some(place), form);
            }
        }
        Kind::Notification { .. } | Kind::Request { .. } => {}
    }
    let related = params.or(message.result()).and_then(|part| part.get("_meta"));
    let related = related.and_then(|meta| meta.get("io.modelcontextprotocol/related-task"));
    put(related.and_then(|task| task.get("taskId")), Form::Name);
    message.edited(edits)
}

/// Where an answer names something of the server's.
fn places(message: &Message) -> Vec<(View<'_>, Form)> {
    let Some(result) = message.result() else { return Vec::new() };
    let mut found = Vec::new();
    let items = |key: &str| result.get(key).and_then(View::items).into_iter().flatten();
    for contents in items("contents") {
        found.extend(contents.get("uri").map(|uri| (uri, Form::Address)));
    }
    let blocks = items("content").chain(items("messages").flat_map(blocks_of));
    for block in blocks {
        match block.text_of("type").as_deref() {
            Some("resource_link") => found.extend(block.get("uri").map(|uri| (uri, Form::Address))),
            Some("resource") => {
                let uri = block.get("resource").and_then(|resource| resource.get("uri"));
                found.extend(uri.map(|uri| (uri, Form::Address)));
            }
            _ => {}
        }
    }
    // An answer about a task is the task, or holds it.
    let tasks = result.get("task").into_iter().chain([result]);
    let ids = tasks.filter_map(|task| task.get("status").and(task.get("taskId")));
    found.extend(ids.map(|id| (id, Form::Name)));
    found
}

fn blocks_of(message: View<'_>) -> Vec<View<'_>> {
    let Some(content) = message.get("content") else { return Vec::new() };
    match content.items() {
        Some(blocks) => blocks.collect(),
        None => vec![content],
    }
}

const SCHEME: &str = "mcp://";

/// All of them.
static LISTS: [List; 5] = [
    List { method: "tools/list", key: "tools", kind: None, own: "name", form: Form::Name },
    List {
        method: "prompts/list",
        key: "prompts",
        kind: Some("prompt"),
        own: "name",
        form: Form::Name,
    },
    List {
        method: "resources/list",
        key: "resources",
        kind: Some("resource"),
        own: "uri",
        form: Form::Address,
    },
    List {
        method: "resources/templates/list",
        key: "resourceTemplates",
        kind: Some("resource"),
        own: "uriTemplate",
        form: Form::Address,
    },
    List {
        method: "tasks/list",
        key: "tasks",
        kind: Some("task"),
        own: "taskId",
        form: Form::Name,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_mcp::wire::Limits;

    fn message(text: &str) -> Message {
        Message::parse(text.as_bytes(), &Limits::default()).unwrap()
    }

    fn request(method: &str, params: &str) -> Message {
        message(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#))
    }

    #[test]
    fn a_request_goes_to_the_server_that_it_names_in_that_servers_words() {
        for (method, params, server, own) in [
            ("tools/call", r#"{"name":"a__b__c","n":1.0}"#, "a", r#"{"name":"b__c","n":1.0}"#),
            (
                "resources/read",
                r#"{"uri":"mcp://fs/file:///x?y#z"}"#,
                "fs",
                r#"{"uri":"file:///x?y#z"}"#,
            ),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/resource","uri":"mcp://a/demo://{id}"}}"#,
                "a",
                r#"{"ref":{"type":"ref/resource","uri":"demo://{id}"}}"#,
            ),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/prompt","name":"a__p"}}"#,
                "a",
                r#"{"ref":{"type":"ref/prompt","name":"p"}}"#,
            ),
            ("tasks/get", r#"{"taskId":"a__7"}"#, "a", r#"{"taskId":"7"}"#),
        ] {
            let found = asked(method, &request(method, params)).unwrap();
            assert_eq!(found.server, server);
            assert_eq!(found.message.params().unwrap().raw(), own);
        }
    }

    #[test]
    fn what_names_no_server_goes_to_none() {
        for (method, params) in [
            ("tools/call", r#"{"name":"plain"}"#),
            ("tools/call", r#"{"name":7}"#),
            ("resources/read", r#"{"uri":"file:///etc/passwd"}"#),
            ("resources/read", r#"{"uri":"mcp://alone"}"#),
            ("resources/read", r#"{"uri":"MCP://a/file:///x"}"#),
            ("completion/complete", r#"{"ref":{}}"#),
            ("roots/list", r#"{"name":"a__b"}"#),
        ] {
            assert!(asked(method, &request(method, params)).is_none(), "{method} {params}");
        }
    }

    #[test]
    fn what_a_server_says_has_its_name_in_it_and_nothing_else_changes() {
        let answer = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        for (said, known) in [
            (
                answer(r#"{"contents":[{"uri":"file:///x","text":"uri"}]}"#),
                answer(r#"{"contents":[{"uri":"mcp://a/file:///x","text":"uri"}]}"#),
            ),
            (
                answer(r#"{"content":[{"type":"resource_link","uri":"u:1","name":"n"},{"type":"resource","resource":{"uri":"u:2"}},{"type":"text","text":"u:3","uri":"u:3"}]}"#),
                answer(r#"{"content":[{"type":"resource_link","uri":"mcp://a/u:1","name":"n"},{"type":"resource","resource":{"uri":"mcp://a/u:2"}},{"type":"text","text":"u:3","uri":"u:3"}]}"#),
            ),
            (
                answer(r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"u:2"}}}]}"#),
                answer(r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"mcp://a/u:2"}}}]}"#),
            ),
            (
                answer(r#"{"task":{"taskId":"7","status":"working"}}"#),
                answer(r#"{"task":{"taskId":"a__7","status":"working"}}"#),
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"u:1"}}"#.to_owned(),
                r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"mcp://a/u:1"}}"#.to_owned(),
            ),
            (
                answer(r#"{"structuredContent":{"uri":"u:1","taskId":"7"},"content":[]}"#),
                answer(r#"{"structuredContent":{"uri":"u:1","taskId":"7"},"content":[]}"#),
            ),
        ] {
            assert_eq!(told("a", &message(&said)).unwrap().as_str(), known);
        }
    }
}
