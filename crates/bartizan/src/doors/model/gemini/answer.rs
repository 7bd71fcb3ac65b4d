//! What is a call in an answer of Gemini's API, and how does another stand in for it?

use super::part::{Fate, Kind, pieces, settle};
use crate::desk::chance;
use crate::doors::model::answer::{Dialect, Event, Judged, Onward, Tally};
use crate::doors::model::verdict::{Call, Verdict};
use bartizan_scan::json::{Doc, Edits, Node, quoted};
use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

/// Google's API: an answer is one document, or several that are read one after the other. A call comes whole in one of them.
#[derive(Default)]
pub(in crate::doors::model) struct Gemini {
    held: Option<Held>,
    /// The ids of all calls so far.
    ids: HashSet<String>,
}

/// A piece of the answer with calls that are not all judged yet.
struct Held {
    /// As it came, and its data.
    bytes: Vec<u8>,
    data: String,
    /// The id of the call that is being judged, and the calls behind it.
    judging: String,
    waiting: VecDeque<Call>,
    fates: Vec<Fate>,
}

impl Dialect for Gemini {
    /// Gemini CLI's own reader takes nothing but space between two pieces.
    const PING: &'static [u8] = b"\n";

    fn kind<'d>(_: &Doc<'d>, name: Option<&str>) -> Result<Cow<'d, str>, &'static str> {
        match name {
            Some(_) => Err("an event has a name"),
            None => Ok(Cow::Borrowed("")),
        }
    }

    fn event(
        &mut self,
        event: &Event<'_>,
        onward: &mut Onward,
    ) -> Result<Option<Call>, &'static str> {
        if self.held.is_some() {
            return Err("an answer goes on in the middle of a call");
        }
        let root = event.doc.root();
        onward.note(|tally| tally.read_gemini(event.doc, root));
        let found = pieces(event.doc, root)?;
        if found.is_empty() {
            onward.pass(event.bytes);
            return Ok(None);
        }
        let mut calls = VecDeque::new();
        for piece in found {
            match piece.kind {
                Kind::Call(call) => calls.push_back(named(call, &mut self.ids)?),
                Kind::Strange(kind) => {
                    onward.note(|tally| {
                        tally.withheld.insert(kind);
                    });
                }
            }
        }
        let first = calls.pop_front();
        let judging = first.as_ref().map(|call| call.id.clone()).unwrap_or_default();
        let (bytes, data) = (event.bytes.to_vec(), event.data.to_owned());
        let held = Held { bytes, data, judging, waiting: calls, fates: Vec::new() };
        match first {
            Some(_) => self.held = Some(held),
            None => held.pass(onward),
        }
        Ok(first)
    }

    fn written(event: &Event<'_>) -> usize {
        candidates(event.doc.root()).flat_map(parts).map(|part| part.span().len()).sum()
    }

    fn judged(&mut self, verdict: Verdict, onward: &mut Onward) -> Option<Call> {
        let mut held = self.held.take()?;
        held.fates.push(fate(std::mem::take(&mut held.judging), verdict));
        let Some(next) = held.waiting.pop_front() else {
            held.pass(onward);
            return None;
        };
        held.judging.clone_from(&next.id);
        self.held = Some(held);
        Some(next)
    }

    fn is_held(&self) -> bool {
        self.held.is_some()
    }

    fn last(message: &str, onward: &mut Onward) {
        onward.pass(format!("data: {}\n\n", ending(message)).as_bytes());
    }

    fn whole(answer: &Judged<'_>) -> Result<Vec<u8>, &'static str> {
        let doc = answer.doc()?;
        let (mut seen, mut ids) = (Tally::default(), HashSet::new());
        seen.read_gemini(&doc, doc.root());
        let found = pieces(&doc, doc.root())?;
        let mut fates = Vec::new();
        for piece in &found {
            match &piece.kind {
                Kind::Strange(kind) => drop(seen.withheld.insert(kind.clone())),
                Kind::Call(call) => {
                    let call = named(call.clone(), &mut ids)?;
                    let fate = fate(call.id.clone(), answer.judge(&call));
                    seen.calls += 1;
                    seen.refused += u64::from(fate.stand_in.is_some());
                    fates.push(fate);
                }
            }
        }
        let mut edits = Edits::default();
        settle(&found, &fates, &mut edits);
        answer.counted(seen);
        Ok(edits.apply(answer.body))
    }

    fn instead(message: &str) -> Vec<u8> {
        ending(message).into_bytes()
    }
}

impl Held {
    /// Lets go onward what may.
    fn pass(&self, onward: &mut Onward) {
        // It was read before; what cannot be read now does not pass.
        let Ok(doc) = Doc::read(self.data.as_bytes()) else { return };
        let Ok(found) = pieces(&doc, doc.root()) else { return };
        let mut edits = Edits::default();
        settle(&found, &self.fates, &mut edits);
        if edits.is_empty() {
            return onward.pass(&self.bytes);
        }
        let data = edits.apply(self.data.as_bytes());
        // A line break in JSON is space between its parts.
        let data = String::from_utf8_lossy(&data).replace(['\r', '\n'], " ");
        onward.pass(format!("data: {data}\n\n").as_bytes());
    }
}

fn fate(id: String, verdict: Verdict) -> Fate {
    let stand_in = match verdict {
        Verdict::Pass => None,
        Verdict::StandIn { input } => Some(input),
    };
    Fate { id, stand_in }
}

/// The call with an id that no other has. Where the model gives none, the client would make one up, and from one that begins as
/// this it would take that part away; nobody here could tell which call it means.
fn named(mut call: Call, ids: &mut HashSet<String>) -> Result<Call, &'static str> {
    if call.id.is_empty() || call.id.starts_with(&format!("{}__", call.name)) {
        let name = chance::name().ok_or("the kernel gives no random bytes")?;
        call.id = format!("call-{name}");
        if let Some(written) = &mut call.written {
            written.original = Some(super::part::written(&call.id, &call.name, &call.input));
        }
    }
    if !ids.insert(call.id.clone()) {
        return Err("two calls have one id");
    }
    Ok(call)
}

/// An answer of one sentence that ends the turn.
fn ending(message: &str) -> String {
    let part = format!("{{\"text\":{}}}", quoted(message));
    format!(
        "{{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":[{part}]}},\"finishReason\":\"OTHER\",\"index\":0}}]}}"
    )
}

fn candidates(answer: &Node) -> impl Iterator<Item = &Node> {
    answer.get("candidates").and_then(Node::items).unwrap_or_default().iter()
}

fn parts(candidate: &Node) -> &[Node] {
    candidate
        .get("content")
        .and_then(|content| content.get("parts"))
        .and_then(Node::items)
        .unwrap_or_default()
}

impl Tally {
    /// Takes the counts of an answer of Gemini's; each is the sum so far, and what came from the cache is part of the prompt.
    fn read_gemini(&mut self, doc: &Doc<'_>, answer: &Node) {
        let Some(usage) = answer.get("usageMetadata").filter(|usage| usage.is_table()) else {
            return;
        };
        let count = |key: &str| {
            usage.get(key).and_then(|count| doc.raw(count).parse::<u64>().ok()).unwrap_or_default()
        };
        self.counted = true;
        // Each part of an answer counts those before it, or the first of them nothing; the last says why it ends.
        self.settled |= candidates(answer).any(|one| one.get("finishReason").is_some());
        self.cache_read = self.cache_read.max(count("cachedContentTokenCount"));
        let prompt = count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount"));
        self.input = self.input.max(prompt.saturating_sub(self.cache_read));
        let made = count("candidatesTokenCount").saturating_add(count("thoughtsTokenCount"));
        self.output = self.output.max(made);
    }
}

#[cfg(test)]
mod tests;
