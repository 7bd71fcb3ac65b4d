//! What is a call in an answer of the Responses API, and how does another stand in for it?

use super::item::{self, Item};
use crate::doors::calls::Act;
use crate::doors::model::answer::{Dialect, EVENT_MAX, Event, Judged, Onward, Tally};
use crate::doors::model::verdict::{Call, Verdict};
use bartizan_scan::json::{Doc, Edits, Node, quoted};
use std::collections::HashMap;

/// `OpenAI`'s API: an answer is a list of parts, each of which comes bit by bit and then whole, and at the end all of them
/// once more.
#[derive(Default)]
pub(in crate::doors::model) struct Responses {
    parts: HashMap<u64, Part>,
    /// The calls that were judged, by id: the end must tell of the same.
    settled: HashMap<String, Settled>,
    judging: Option<(u64, Held, Call)>,
}

/// A part of the answer that has begun.
enum Part {
    /// Words, which pass as they come.
    Open,
    Withheld,
    Held(Held),
    Over,
}

/// A call that is not whole or not judged yet.
#[derive(Default)]
struct Held {
    /// Its first event, and its last.
    began: Option<String>,
    whole: Option<String>,
    /// Who it said that it was when it began: type, id and name.
    head: Option<[String; 3]>,
    /// What of its arguments has come in pieces, and at once.
    text: String,
    texts: Vec<String>,
    events: Vec<u8>,
}

/// A call that was judged.
struct Settled {
    act: Act,
    stand_in: Option<String>,
}

impl Dialect for Responses {
    const PING: &'static [u8] = b"event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n";

    fn event(
        &mut self,
        event: &Event<'_>,
        onward: &mut Onward,
    ) -> Result<Option<Call>, &'static str> {
        match event.kind {
            "response.output_item.added" => self.added(event, onward)?,
            "response.output_item.done" => return self.done(event, onward),
            "response.completed"
            | "response.created"
            | "response.failed"
            | "response.in_progress"
            | "response.incomplete"
            | "response.queued" => self.state(event, onward)?,
            kind if PARTS.iter().any(|part| kind.starts_with(part)) => self.bit(event)?,
            _ => self.other(event, onward)?,
        }
        Ok(None)
    }

    fn written(event: &Event<'_>) -> usize {
        event.doc.root().get("delta").map_or(0, |delta| delta.span().len())
    }

    fn judged(&mut self, verdict: Verdict, onward: &mut Onward) -> Option<Call> {
        let (index, held, call) = self.judging.take()?;
        self.parts.insert(index, Part::Over);
        let written = call.written?;
        let stand_in = match verdict {
            Verdict::Pass => {
                onward.pass(&held.events);
                None
            }
            Verdict::StandIn { input } => stand_in(&held, &input, onward),
        };
        self.settled.insert(call.id, Settled { act: written.act, stand_in });
        None
    }

    fn is_held(&self) -> bool {
        self.judging.is_some() || self.parts.values().any(|part| matches!(part, Part::Held(_)))
    }

    fn last(message: &str, onward: &mut Onward) {
        // Of the codes that the API has, a client takes this one for final, and asks no second time.
        let error = format!("{{\"code\":\"invalid_prompt\",\"message\":{}}}", quoted(message));
        let data = format!(
            "{{\"type\":\"response.failed\",\"response\":{{\"id\":\"resp_withheld\",\"object\":\"response\",\
             \"status\":\"failed\",\"error\":{error},\"output\":[]}}}}"
        );
        onward.write("response.failed", &data);
    }

    fn whole(answer: &Judged<'_>) -> Result<Vec<u8>, &'static str> {
        let doc = answer.doc()?;
        let root = doc.root();
        if root.has_twins() || doc.text_of(root, "object").as_deref() != Some("response") {
            return Err("it is no response");
        }
        let mut seen = Tally::default();
        seen.read_response(&doc, root);
        let mut edits = Edits::default();
        for part in output(&doc, root)? {
            match item::read(&doc, part)? {
                Item::Words => {}
                Item::Strange(kind) => {
                    edits.replace(part, item::withheld(&kind));
                    seen.withheld.insert(kind);
                }
                Item::Call(call) => {
                    seen.calls += 1;
                    if let Verdict::StandIn { input } = answer.judge(&call) {
                        seen.refused += 1;
                        edits.replace(part, item::stand_in(&doc, part, &input));
                    }
                }
            }
        }
        answer.counted(seen);
        Ok(edits.apply(answer.body))
    }

    fn instead(message: &str) -> Vec<u8> {
        let message = quoted(message);
        format!("{{\"error\":{{\"type\":\"server_error\",\"code\":\"answer-unread\",\"message\":{message}}}}}")
            .into_bytes()
    }
}

impl Responses {
    fn added(&mut self, event: &Event<'_>, onward: &mut Onward) -> Result<(), &'static str> {
        let (index, part) = part(event)?;
        if self.parts.contains_key(&index) {
            return Err("a part begins in the middle of another");
        }
        let kind = event.doc.text_of(part, "type").ok_or("a part has no type")?;
        let begun = match &*kind {
            "message" | "reasoning" => {
                onward.pass(event.bytes);
                Part::Open
            }
            kind if kind.ends_with("_call") => {
                let text = |key| event.doc.text_of(part, key).unwrap_or_default().into_owned();
                Part::Held(Held {
                    began: Some(event.data.to_owned()),
                    head: Some([kind.to_owned(), text("call_id"), text("name")]),
                    events: event.bytes.to_vec(),
                    ..Held::default()
                })
            }
            _ => Part::Withheld,
        };
        self.parts.insert(index, begun);
        Ok(())
    }

    /// A part is whole.
    fn done(
        &mut self,
        event: &Event<'_>,
        onward: &mut Onward,
    ) -> Result<Option<Call>, &'static str> {
        let (index, part) = part(event)?;
        let began = self.parts.insert(index, Part::Over);
        match (item::read(event.doc, part)?, began) {
            (Item::Words, None | Some(Part::Open)) => onward.pass(event.bytes),
            (Item::Strange(kind), None | Some(Part::Held(_) | Part::Withheld)) => {
                let item = item::withheld(&kind);
                for kind in ["response.output_item.added", "response.output_item.done"] {
                    let data =
                        format!("{{\"type\":\"{kind}\",\"output_index\":{index},\"item\":{item}}}");
                    onward.write(kind, &data);
                }
                onward.note(|tally| {
                    tally.withheld.insert(kind);
                });
            }
            (Item::Call(call), began @ (None | Some(Part::Held(_)))) => {
                let mut held = match began {
                    Some(Part::Held(held)) => held,
                    _ => Held::default(),
                };
                held.hold(event)?;
                held.whole = Some(event.data.to_owned());
                held.agrees(event.doc, part)?;
                if self.settled.contains_key(&call.id) {
                    return Err("two calls have one id");
                }
                self.judging = Some((index, held, call.clone()));
                return Ok(Some(call));
            }
            _ => return Err("a part ends as something else than it began"),
        }
        Ok(None)
    }

    /// A bit of a call's arguments.
    fn bit(&mut self, event: &Event<'_>) -> Result<(), &'static str> {
        let (doc, root) = (event.doc, event.doc.root());
        match self.parts.get_mut(&index(event)?) {
            Some(Part::Held(held)) => {
                held.hold(event)?;
                if let Some(delta) = doc.text_of(root, "delta") {
                    held.text.push_str(&delta);
                }
                let whole = ["arguments", "input"].iter().find_map(|key| doc.text_of(root, key));
                held.texts.extend(whole.map(std::borrow::Cow::into_owned));
                Ok(())
            }
            Some(Part::Withheld) => Ok(()),
            Some(Part::Open | Part::Over) | None => Err("a part belongs to no call"),
        }
    }

    /// Where the answer as a whole stands. What it holds must be what has come before.
    fn state(&self, event: &Event<'_>, onward: &mut Onward) -> Result<(), &'static str> {
        let doc = event.doc;
        let response = doc.root().get("response").ok_or("an answer has no body")?;
        if response.has_twins() || self.is_held() {
            return Err("an answer ends in the middle of a call");
        }
        onward.note(|tally| tally.read_response(doc, response));
        let mut edits = Edits::default();
        for part in output(doc, response)? {
            match item::read(doc, part)? {
                Item::Words => {}
                Item::Strange(kind) => edits.replace(part, item::withheld(&kind)),
                Item::Call(call) => {
                    let settled = self.settled.get(&call.id);
                    let settled =
                        settled.ok_or("a call comes at the end that never came before")?;
                    if call.written.is_none_or(|written| written.act != settled.act) {
                        return Err("a call is another one at the end");
                    }
                    if let Some(stand_in) = &settled.stand_in {
                        edits.replace(part, stand_in.clone());
                    }
                }
            }
        }
        if edits.is_empty() {
            onward.pass(event.bytes);
        } else {
            write_edited(event.kind, event.data, edits, onward);
        }
        Ok(())
    }

    /// An event that is not known: it may pass as long as it is no way to hand over a call.
    fn other(&mut self, event: &Event<'_>, onward: &mut Onward) -> Result<(), &'static str> {
        let root = event.doc.root();
        if ["item", "output", "response"].iter().any(|key| root.get(key).is_some()) {
            return Err("an event is not known here");
        }
        let part = root.get("output_index").map(|_| index(event)).transpose()?;
        match part.and_then(|index| self.parts.get_mut(&index)) {
            Some(Part::Held(held)) => held.hold(event)?,
            Some(Part::Withheld) => {}
            Some(Part::Open | Part::Over) | None => onward.pass(event.bytes),
        }
        Ok(())
    }
}

impl Held {
    fn hold(&mut self, event: &Event<'_>) -> Result<(), &'static str> {
        if self.events.len() + event.bytes.len() > EVENT_MAX {
            return Err("a call is larger than any that is known");
        }
        self.events.extend_from_slice(event.bytes);
        Ok(())
    }

    /// Whether all that was said of the call before is what it is in the end: a client may believe either.
    fn agrees(&self, doc: &Doc<'_>, part: &Node) -> Result<(), &'static str> {
        let text = |key| doc.text_of(part, key).unwrap_or_default();
        let head = self.head.as_ref().is_none_or(|head| {
            let now = [text("type"), text("call_id"), text("name")];
            head.iter().zip(&now).all(|(then, now)| *then == **now)
        });
        let whole = ["arguments", "input"].iter().find_map(|key| doc.text_of(part, key));
        let whole = whole.unwrap_or_default();
        let pieces = self.text.is_empty() || self.text == *whole;
        if head && pieces && self.texts.iter().all(|text| *text == *whole) {
            return Ok(());
        }
        Err("a call has two readings")
    }
}

/// Writes what the client gets in the place of a call, and gives it.
fn stand_in(held: &Held, input: &str, onward: &mut Onward) -> Option<String> {
    let whole = held.whole.as_deref()?;
    let item = {
        let doc = Doc::read(whole.as_bytes()).ok()?;
        item::stand_in(&doc, doc.root().get("item")?, input)
    };
    let events = [
        ("response.output_item.added", held.began.as_deref()),
        ("response.output_item.done", Some(whole)),
    ];
    for (kind, data) in events {
        let Some(data) = data else { continue };
        let Ok(doc) = Doc::read(data.as_bytes()) else { continue };
        let mut edits = Edits::default();
        if let Some(node) = doc.root().get("item") {
            edits.replace(node, item.clone());
        }
        write_edited(kind, data, edits, onward);
    }
    Some(item)
}

fn write_edited(kind: &str, data: &str, edits: Edits, onward: &mut Onward) {
    onward.write(kind, &String::from_utf8_lossy(&edits.apply(data.as_bytes())));
}

fn output<'a>(doc: &Doc<'_>, response: &'a Node) -> Result<&'a [Node], &'static str> {
    match response.get("output") {
        Some(output) if doc.raw(output) != "null" => output.items().ok_or("its output is no list"),
        Some(_) | None => Ok(&[]),
    }
}

fn part<'a>(event: &Event<'a>) -> Result<(u64, &'a Node), &'static str> {
    let part = event.doc.root().get("item").ok_or("a part is missing")?;
    if !part.is_table() || part.has_twins() {
        return Err("a part has two readings");
    }
    Ok((index(event)?, part))
}

fn index(event: &Event<'_>) -> Result<u64, &'static str> {
    let index = event.doc.root().get("output_index");
    index.and_then(|index| event.doc.raw(index).parse().ok()).ok_or("a part has no place")
}

/// How events begin that bring a call's arguments bit by bit.
const PARTS: [&str; 2] = ["response.custom_tool_call_input.", "response.function_call_arguments."];

#[cfg(test)]
mod tests;
