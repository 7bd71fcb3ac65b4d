//! What is a call in an answer of the Messages API, and how does another stand in for it?

use super::tally::Tally;
use super::whole::Judged;
use super::{Dialect, EVENT_MAX, Event, Onward};
use crate::doors::calls::STAND_IN;
use crate::doors::model::verdict::{Call, Verdict};
use bartizan_scan::display_line;
use bartizan_scan::json::{Doc, Edits, Node, quoted};
use std::collections::HashMap;

/// Anthropic's API: an answer is a list of blocks, one after the other.
#[derive(Default)]
pub(in super::super) struct Messages {
    blocks: HashMap<u64, Passing>,
    held: Option<Held>,
}

/// A block of which parts have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passing {
    Open,
    Withheld,
}

/// A call that is not whole or not judged yet.
struct Held {
    index: u64,
    call: Call,
    events: Vec<u8>,
}

impl Dialect for Messages {
    const PING: &'static [u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

    fn event(
        &mut self,
        event: &Event<'_>,
        onward: &mut Onward,
    ) -> Result<Option<Call>, &'static str> {
        let (doc, root) = (event.doc, event.doc.root());
        match event.kind {
            "content_block_start" => self.start(doc, event.bytes, onward)?,
            "content_block_delta" => self.delta(doc, event.bytes, onward)?,
            "content_block_stop" => return self.stop(doc, event.bytes, onward),
            "message_start" => {
                let message = root.get("message").ok_or("an answer begins with no message")?;
                let empty =
                    message.get("content").and_then(Node::items).is_none_or(<[Node]>::is_empty);
                if message.has_twins() || !empty {
                    return Err("an answer begins with content");
                }
                onward.note(|tally| tally.read(doc, message));
                onward.pass(event.bytes);
            }
            "message_delta" => {
                onward.note(|tally| tally.read_last(doc, root));
                onward.pass(event.bytes);
            }
            "message_stop" | "ping" | "error" => onward.pass(event.bytes),
            // An event of a later version may pass as long as it is no way to hand over a call.
            _ if !holds_call(doc, root) => {
                onward.pass(event.bytes);
            }
            _ => return Err("an event is not known here"),
        }
        Ok(None)
    }

    fn written(event: &Event<'_>) -> usize {
        let delta = event.doc.root().get("delta").filter(|_| event.kind == "content_block_delta");
        let parts = delta.into_iter().flat_map(Node::members);
        parts.filter(|(key, _)| *key != "type").map(|(_, part)| part.span().len()).sum()
    }

    fn judged(&mut self, verdict: Verdict, onward: &mut Onward) -> Option<Call> {
        let held = self.held.take()?;
        self.blocks.insert(held.index, Passing::Open);
        match verdict {
            Verdict::Pass => onward.pass(&held.events),
            Verdict::StandIn { input } => stand_in(&held, &input, onward),
        }
        None
    }

    fn is_held(&self) -> bool {
        self.held.is_some()
    }

    fn last(message: &str, onward: &mut Onward) {
        onward.write("error", &error(message));
    }

    fn whole(answer: &Judged<'_>) -> Result<Vec<u8>, &'static str> {
        judge_whole(answer)
    }

    fn instead(message: &str) -> Vec<u8> {
        error(message).into_bytes()
    }
}

impl Messages {
    fn start(
        &mut self,
        doc: &Doc<'_>,
        event: &[u8],
        onward: &mut Onward,
    ) -> Result<(), &'static str> {
        let index = index(doc)?;
        let block = doc.root().get("content_block").ok_or("a block is missing")?;
        let kind = doc.text_of(block, "type").ok_or("a block has no type")?;
        if block.has_twins() || self.held.is_some() || self.blocks.contains_key(&index) {
            return Err("a block begins in the middle of another");
        }
        match &*kind {
            "tool_use" => {
                let call = call(doc, block)?;
                self.held = Some(Held { index, call, events: event.to_vec() });
                return Ok(());
            }
            "text" | "thinking" | "redacted_thinking" | "compaction" => {}
            kind if SERVER_BLOCKS.contains(&kind) => onward.note(|tally| tally.server_calls += 1),
            kind => {
                let kind = display_line(kind, 64);
                self.withheld(index, &kind, onward);
                onward.note(|tally| {
                    tally.withheld.insert(kind);
                });
                return Ok(());
            }
        }
        self.blocks.insert(index, Passing::Open);
        onward.pass(event);
        Ok(())
    }

    fn delta(
        &mut self,
        doc: &Doc<'_>,
        event: &[u8],
        onward: &mut Onward,
    ) -> Result<(), &'static str> {
        let index = index(doc)?;
        if let Some(held) = &mut self.held {
            let delta = doc.root().get("delta").ok_or("a part of a block is missing")?;
            let is_input = doc.text_of(delta, "type").as_deref() == Some("input_json_delta");
            let part = doc.text_of(delta, "partial_json").ok_or("a part of a call is no text")?;
            if held.index != index || !is_input || delta.has_twins() {
                return Err("a call is interrupted");
            }
            if held.events.len() + event.len() > EVENT_MAX {
                return Err("a call is larger than any that is known");
            }
            held.call.input.push_str(&part);
            held.events.extend_from_slice(event);
            return Ok(());
        }
        match self.blocks.get(&index) {
            Some(Passing::Open) => onward.pass(event),
            Some(Passing::Withheld) => {}
            None => return Err("a part belongs to no block"),
        }
        Ok(())
    }

    fn stop(
        &mut self,
        doc: &Doc<'_>,
        event: &[u8],
        onward: &mut Onward,
    ) -> Result<Option<Call>, &'static str> {
        let index = index(doc)?;
        let Some(held) = &mut self.held else {
            if !self.blocks.contains_key(&index) {
                return Err("a block ends that never began");
            }
            onward.pass(event);
            return Ok(None);
        };
        if held.index != index {
            return Err("a call is interrupted");
        }
        held.events.extend_from_slice(event);
        if held.call.input.is_empty() {
            "{}".clone_into(&mut held.call.input);
        }
        Ok(Some(held.call.clone()))
    }

    fn withheld(&mut self, index: u64, kind: &str, onward: &mut Onward) {
        self.blocks.insert(index, Passing::Withheld);
        start(index, "{\"type\":\"text\",\"text\":\"\"}", onward);
        let text = quoted(&withheld_text(kind));
        delta(index, &format!("{{\"type\":\"text_delta\",\"text\":{text}}}"), onward);
    }
}

fn stand_in(held: &Held, input: &str, onward: &mut Onward) {
    let (index, id) = (held.index, quoted(&held.call.id));
    let block =
        format!("{{\"type\":\"tool_use\",\"id\":{id},\"name\":\"{STAND_IN}\",\"input\":{{}}}}");
    start(index, &block, onward);
    let part = quoted(input);
    delta(index, &format!("{{\"type\":\"input_json_delta\",\"partial_json\":{part}}}"), onward);
    let stop = format!("{{\"type\":\"content_block_stop\",\"index\":{index}}}");
    onward.write("content_block_stop", &stop);
}

fn start(index: u64, block: &str, onward: &mut Onward) {
    let data =
        format!("{{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{block}}}");
    onward.write("content_block_start", &data);
}

fn delta(index: u64, delta: &str, onward: &mut Onward) {
    let data = format!("{{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{delta}}}");
    onward.write("content_block_delta", &data);
}

fn error(message: &str) -> String {
    let message = quoted(message);
    format!("{{\"type\":\"error\",\"error\":{{\"type\":\"api_error\",\"message\":{message}}}}}")
}

/// Whether a block is handed over anywhere in it, or a call, however that is escaped.
fn holds_call(doc: &Doc<'_>, node: &Node) -> bool {
    node.get("content_block").is_some()
        || doc.text(node).is_some_and(|text| text.contains("tool_use"))
        || node.members().any(|(key, part)| key.contains("tool_use") || holds_call(doc, part))
        || node.items().unwrap_or_default().iter().any(|part| holds_call(doc, part))
}

fn judge_whole(answer: &Judged<'_>) -> Result<Vec<u8>, &'static str> {
    let doc = answer.doc()?;
    let root = doc.root();
    if root.has_twins() || doc.text_of(root, "type").as_deref() != Some("message") {
        return Err("it is no message");
    }
    let blocks = root.get("content").and_then(Node::items).ok_or("it has no content")?;
    let mut edits = Edits::default();
    let mut seen = Tally::default();
    seen.read_last(&doc, root);
    for block in blocks {
        let kind = doc.text_of(block, "type").ok_or("a block has no type")?;
        if block.has_twins() {
            return Err("a block has two readings");
        }
        match &*kind {
            "tool_use" => {
                let mut call = call(&doc, block)?;
                if call.input.is_empty() {
                    call.input.push_str("{}");
                }
                seen.calls += 1;
                if let Verdict::StandIn { input } = answer.judge(&call) {
                    seen.refused += 1;
                    let id = quoted(&call.id);
                    edits.replace(
                        block,
                        format!("{{\"type\":\"tool_use\",\"id\":{id},\"name\":\"{STAND_IN}\",\"input\":{input}}}"),
                    );
                }
            }
            "text" | "thinking" | "redacted_thinking" | "compaction" => {}
            kind if SERVER_BLOCKS.contains(&kind) => seen.server_calls += 1,
            kind => {
                let kind = display_line(kind, 64);
                let text = quoted(&withheld_text(&kind));
                edits.replace(block, format!("{{\"type\":\"text\",\"text\":{text}}}"));
                seen.withheld.insert(kind);
            }
        }
    }
    answer.counted(seen);
    Ok(edits.apply(answer.body))
}

fn call(doc: &Doc<'_>, block: &Node) -> Result<Call, &'static str> {
    let id = doc.text_of(block, "id").ok_or("a call has no id")?.into_owned();
    let name = doc.text_of(block, "name").ok_or("a call has no name")?.into_owned();
    if id.is_empty() || id.len() > 128 || !id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a call has no plain id");
    }
    // A stream begins with an empty object, and the arguments follow.
    let input = block.get("input").map(|input| doc.raw(input)).filter(|raw| *raw != "{}");
    Ok(Call { id, name, input: input.unwrap_or_default().to_owned(), written: None })
}

fn index(doc: &Doc<'_>) -> Result<u64, &'static str> {
    let index = doc.root().get("index").and_then(|index| doc.raw(index).parse().ok());
    index.ok_or("a block has no place")
}

fn withheld_text(kind: &str) -> String {
    format!("[withheld by bartizan: a block of type `{kind}`, which is not known here]")
}

/// Blocks of the vendor's own machines. They have acted already; whether they may is settled by the request.
const SERVER_BLOCKS: [&str; 3] =
    ["server_tool_use", "tool_search_tool_result", "web_search_tool_result"];
