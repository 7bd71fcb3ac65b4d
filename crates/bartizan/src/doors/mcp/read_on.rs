//! How does a client read on in an answer that was too long to pass at once? By its address: as a resource, or, since many
//! clients read none, by a tool of ours.
//!
//! To read on is no act of its own: the call was judged, and what it returned is kept for this conversation alone. So no
//! policy speaks of the tool; whoever may not make the call any more, or whose run is paused, does not read on either.

use super::call::{Act, aside, is_large, refusal};
use super::rest::{self, Page, Shape, Word};
use super::tools::Generation;
use super::{Talk, unmade};
use crate::config::AT_ONCE_MAX;
use crate::config::own::READ_ON;
use crate::doors::calls::Whose;
use bartizan_gate::name::ToolName;
use bartizan_gate::refusal::Refusal;
use bartizan_gate::taint::Reading;
use bartizan_mcp::conversation::Outbox;
use bartizan_mcp::way_out::{self, Framing};
use bartizan_mcp::wire::{INTERNAL_ERROR, INVALID_PARAMS, Id, Message};
use bartizan_scan::json::View;
use bartizan_store::Event;
use serde_json::{Value, json};
use std::sync::Arc;

/// The tool as it is listed.
pub(super) fn offered() -> String {
    json!({
        "name": READ_ON,
        "title": "Read on",
        "description": "Reads on in an answer of another tool that was too long to be given at once: gives its next part, and says where the part after that is. Nothing is called again.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "address": { "type": "string", "description": "The address that stands at the end of the part before." },
            },
            "required": ["address"],
            "additionalProperties": false,
        },
        "annotations": { "readOnlyHint": true, "openWorldHint": false },
    })
    .to_string()
}

/// The address that a call of the tool names.
pub(super) fn address(params: View<'_>) -> Result<String, &'static str> {
    let (_, arguments) = Act::of_tool(READ_ON.to_owned(), READ_ON, params)?.judged();
    let address = arguments.get("address").and_then(Value::as_str).map(str::to_owned);
    let only = arguments.as_object().is_some_and(|arguments| arguments.len() == 1);
    address.filter(|_| only).ok_or("`bartizan_read_on` takes an `address`, and nothing else")
}

/// The answer to a call of the tool for an address that leads nowhere.
pub(super) fn not_kept(id: &Id) -> Message {
    failed(id, NOT_KEPT)
}

fn failed(id: &Id, why: &str) -> Message {
    let result = json!({ "content": [{ "type": "text", "text": why }], "isError": true });
    Message::success(id, &result.to_string()).unwrap_or_else(|| unmade(id))
}

/// Why a page is not shown.
enum Shut {
    /// The server's tools cannot be judged.
    Unjudged(String),
    NotKept,
    /// It may not be read any more.
    NoMore,
    Refused(Refusal),
}

/// A page, and the gate that lets it be read.
struct Open {
    page: Page,
    generation: Arc<Generation>,
}

impl Talk {
    /// Whether our tool is offered: always where an operator has made pages short, else once there is something to read.
    /// So a server that gives nothing so long lists exactly what it has.
    pub(super) fn reads_on(&self) -> bool {
        self.parts.page < AT_ONCE_MAX || !self.parts.rests.is_empty()
    }

    /// An answer as it passes at once; one that is large gets its markers here, each page its own.
    pub(super) fn paged(
        &self,
        answer: Message,
        framing: Option<&Framing>,
        (tool, shape): (&str, Shape),
    ) -> Option<Message> {
        let knew = self.reads_on();
        let beyond = self.parts.rests.hear(&answer);
        let passed = self.first_page(answer, framing, (tool, shape))?;
        if !knew && self.reads_on() {
            self.offers_more();
        }
        let word = beyond.and_then(|uri| Word::beyond(&uri));
        Some(word.and_then(|word| word.beside(&passed)).unwrap_or(passed))
    }

    fn first_page(
        &self,
        answer: Message,
        framing: Option<&Framing>,
        (tool, shape): (&str, Shape),
    ) -> Option<Message> {
        let page = self.parts.page;
        if framing.is_none() && answer.as_str().len() <= page {
            return Some(answer);
        }
        let scrub = |text: &str| self.parts.redactor.redact(text).text;
        let first = self.parts.rests.first(answer, page, (tool, shape), &scrub)?;
        let framed = match framing {
            Some(framing) => way_out::between(&first.answer, framing).ok()?,
            None => first.answer,
        };
        match first.word {
            Some(word) => word.beside(&framed),
            None => Some(framed),
        }
    }

    /// There is one tool more from now on.
    fn offers_more(&self) {
        let listener = self.lock().listener.clone();
        let told = Message::notification("notifications/tools/list_changed", None);
        drop(listener.zip(told).map(|(to, told)| to.try_send(told)));
    }

    /// The page of a kept answer that an address names, as a resource.
    pub(super) async fn rest(
        &self,
        id: &Id,
        (uri, whose): (&str, &Whose),
        message: &Message,
    ) -> Message {
        let open = match self.turned_to(uri, whose, message).await {
            Ok(open) => open,
            Err(Shut::Unjudged(why)) => return Message::failure(Some(id), INTERNAL_ERROR, &why),
            Err(Shut::NotKept) => {
                return Message::failure(Some(id), RESOURCE_NOT_FOUND, NOT_KEPT);
            }
            Err(Shut::NoMore) => return Message::failure(Some(id), INVALID_PARAMS, NO_MORE),
            Err(Shut::Refused(refused)) => return refusal(id, false, &refused),
        };
        let answer = open.page.answer(id, uri);
        self.shown_page(&open, uri, answer).unwrap_or_else(|| unmade(id))
    }

    /// The same, for a call of our tool.
    pub(super) async fn read_on(
        &self,
        id: &Id,
        whose: &Whose,
        message: &Message,
        out: &Outbox,
    ) -> Message {
        let address = match message.params().map(address) {
            Some(Ok(address)) => address,
            Some(Err(why)) => return Message::failure(Some(id), INVALID_PARAMS, why),
            None => return unmade(id),
        };
        let uri = rest::own(&address);
        if let Some(theirs) = self.parts.rests.beyond(uri) {
            return self.read_beyond(id, (&theirs, whose), message, out).await;
        }
        let open = match self.turned_to(uri, whose, message).await {
            Ok(open) => open,
            Err(Shut::Unjudged(why)) => return Message::failure(Some(id), INTERNAL_ERROR, &why),
            Err(Shut::NotKept) => return not_kept(id),
            Err(Shut::NoMore) => return failed(id, NO_MORE),
            Err(Shut::Refused(refused)) => return refusal(id, true, &refused),
        };
        let shown = self.shown_page(&open, uri, open.page.result(id));
        let whole = shown.and_then(|shown| match open.page.word() {
            Some(word) => word.beside(&shown),
            None => Some(shown),
        });
        whole.unwrap_or_else(|| unmade(id))
    }

    /// Opens the page that an address names, if it may be read, and puts that on the log.
    async fn turned_to(&self, uri: &str, whose: &Whose, message: &Message) -> Result<Open, Shut> {
        let generation = self.generation(message.meta()).await.map_err(Shut::Unjudged)?;
        let page = self.parts.rests.page(uri, self.parts.page).ok_or(Shut::NotKept)?;
        let (gate, caller) = (generation.gate.pipeline(), &self.parts.caller);
        let of_all = |tool: &ToolName| {
            let mut roles = whose.roles(caller.seat());
            roles.all(|role| gate.policy().may_ever(role, tool))
        };
        let may = gate.may_read_on(caller, &page.tool)
            && ToolName::parse(&page.tool).is_ok_and(|tool| of_all(&tool));
        let about = json!({
            "act": if may { "page" } else { "page-refused" },
            "source": source(&page),
            "from": page.from,
            "bytes": page.text.len(),
        });
        if let Value::Object(about) = about {
            gate.remark(caller, Event::Client, about).map_err(Shut::Refused)?;
        }
        if may { Ok(Open { page, generation }) } else { Err(Shut::NoMore) }
    }

    /// An answer with a page in it, once the run knows what it reads. What it says has gone the way out; it goes again, since
    /// what is a secret may have become known meanwhile.
    fn shown_page(&self, open: &Open, uri: &str, answer: Option<Message>) -> Option<Message> {
        let Open { page, generation } = open;
        let frame = self.parts.frames.of(uri);
        let framing = Framing { frame, source: format!("mcp {}", page.tool) };
        let framing = self.parts.framing.then_some(framing);
        let answer = self.cleaned(&answer?, framing.as_ref())?;
        let (source, trust) = (source(page), generation.gate.pipeline().trust_of(&page.tool));
        aside(is_large(&answer), || {
            let reading = Reading { source: &source, trust, text: &page.text };
            generation.gate.read(&self.parts.caller, &reading);
        });
        Some(answer)
    }
}

fn source(page: &Page) -> String {
    format!("result of {}", page.tool)
}

const NOT_KEPT: &str = "nothing is kept at this address, or not any more";
const NO_MORE: &str = "this may not be read any more; a call of the tool says why";
/// Of the revision 2025-11-25 of MCP.
const RESOURCE_NOT_FOUND: i64 = -32002;

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_mcp::wire::Limits;

    #[test]
    fn it_takes_an_address_and_nothing_else() {
        let read = |params: &Value| {
            let text =
                json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
            let message = Message::parse(text.to_string().as_bytes(), &Limits::default()).unwrap();
            address(message.params().unwrap())
        };
        assert_eq!(
            read(&json!({ "name": READ_ON, "arguments": { "address": "a" } })),
            Ok("a".into())
        );
        for arguments in [json!({}), json!({ "address": 1 }), json!({ "address": "a", "b": 1 })] {
            assert!(read(&json!({ "name": READ_ON, "arguments": arguments })).is_err());
        }
        assert!(read(&json!({ "name": READ_ON })).is_err());
        assert!(
            read(&json!({ "name": READ_ON, "arguments": { "address": "a" }, "more": 1 })).is_err()
        );
    }
}
