//! What of the model's answer may reach the client, and when? Everything passes as it arrives, but a call is
//! held until it is whole, and judged before the client has heard of it.

mod whole;

use super::verdict::{Bench, Call, Verdict};
use crate::desk::patience::Waiter;
use crate::doors::calls::STAND_IN;
use bartizan_egress::model::Filter;
use bartizan_gate::call::Door;
use bartizan_scan::display_line;
use bartizan_scan::json::{Doc, Node, quoted};
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, interval_at};

pub(super) use whole::Whole;

/// What an answer used up and held, as far as it has come.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    /// Whether the answer has said anything of tokens yet.
    pub(super) counted: bool,
    pub(super) input: u64,
    pub(super) cache_write: u64,
    pub(super) cache_read: u64,
    pub(super) output: u64,
    pub(super) calls: u64,
    pub(super) refused: u64,
    pub(super) server_calls: u64,
    pub(super) withheld: BTreeSet<String>,
}

/// Shared with the record of the request.
pub(super) type Shared = Arc<Mutex<Tally>>;

/// A streamed answer on its way to the client.
pub(super) struct Streamed {
    bench: Bench,
    tally: Shared,
    /// What has arrived, how much of it has been taken, and how far the rest has been searched.
    arrived: Vec<u8>,
    taken: usize,
    searched: usize,
    out: Vec<u8>,
    blocks: HashMap<u64, Passing>,
    held: Option<Held>,
    judging: Option<Judging>,
    /// How often a client that waits for a verdict hears that we are still there.
    beat: Duration,
    ended: bool,
    dead: bool,
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

/// A call that is being judged, perhaps by a person.
struct Judging {
    verdict: JoinHandle<Verdict>,
    held: Held,
    /// Dropped with the answer when the client goes.
    _waiter: Waiter,
    beats: Interval,
}

impl Filter for Streamed {
    fn push(&mut self, chunk: Bytes) {
        if !self.dead {
            self.arrived.extend_from_slice(&chunk);
        }
    }

    fn end(&mut self) {
        self.ended = true;
    }

    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            if let Some(judging) = &mut self.judging {
                if let Poll::Ready(verdict) = Pin::new(&mut judging.verdict).poll(cx) {
                    self.judged(verdict.ok());
                } else if !self.out.is_empty() {
                    return Poll::Ready(std::mem::take(&mut self.out).into());
                } else if judging.beats.poll_tick(cx).is_ready() {
                    return Poll::Ready(Bytes::from_static(PING));
                } else {
                    return Poll::Pending;
                }
            }
            match self.next_event() {
                Some(event) => {
                    if let Err(what) = self.event(&event) {
                        self.fail(what);
                    }
                }
                None => break,
            }
        }
        let rest = !self.arrived.trim_ascii().is_empty();
        if self.ended && !self.dead && (self.held.is_some() || rest) {
            self.fail("the answer broke off in the middle");
        }
        Poll::Ready(std::mem::take(&mut self.out).into())
    }
}

impl Streamed {
    pub(super) fn new(bench: Bench, tally: Shared) -> Self {
        Self {
            bench,
            tally,
            arrived: Vec::new(),
            taken: 0,
            searched: 0,
            out: Vec::new(),
            blocks: HashMap::new(),
            held: None,
            judging: None,
            beat: BEAT,
            ended: false,
            dead: false,
        }
    }

    /// The next whole event with the empty line that ends it.
    fn next_event(&mut self) -> Option<Vec<u8>> {
        let from = self.searched.saturating_sub(2).max(self.taken);
        let rest = self.arrived.get(from..)?;
        let end = rest.iter().enumerate().find_map(|(at, byte)| {
            let after = |text: &[u8]| rest.get(at + 1..).is_some_and(|rest| rest.starts_with(text));
            match byte {
                b'\n' if after(b"\n") => Some(from + at + 2),
                b'\n' if after(b"\r\n") => Some(from + at + 3),
                _ => None,
            }
        });
        if let Some(end) = end {
            let event = self.arrived.get(self.taken..end).map(<[u8]>::to_vec);
            self.taken = end;
            return event;
        }
        self.arrived.drain(..self.taken);
        self.taken = 0;
        self.searched = self.arrived.len();
        if self.arrived.len() > EVENT_MAX {
            self.fail("an event is larger than any that is known");
        }
        None
    }

    fn event(&mut self, event: &[u8]) -> Result<(), &'static str> {
        let Some((name, data)) = fields(event)? else {
            self.out.extend_from_slice(event);
            return Ok(());
        };
        let doc =
            Doc::read(data.as_bytes()).map_err(|_| "an event is not JSON with one reading")?;
        let root = doc.root();
        let kind = doc.text_of(root, "type").ok_or("an event has no type")?;
        if root.has_twins() || name.is_some_and(|name| name != kind) {
            return Err("an event has two readings");
        }
        match &*kind {
            "content_block_start" => self.start(&doc, event),
            "content_block_delta" => self.delta(&doc, event),
            "content_block_stop" => self.stop(&doc, event),
            "message_start" => {
                let message = root.get("message").ok_or("an answer begins with no message")?;
                let empty =
                    message.get("content").and_then(Node::items).is_none_or(<[Node]>::is_empty);
                if message.has_twins() || !empty {
                    return Err("an answer begins with content");
                }
                self.usage(&doc, message);
                self.pass(event);
                Ok(())
            }
            "message_delta" => {
                self.usage(&doc, root);
                self.pass(event);
                Ok(())
            }
            "message_stop" | "ping" | "error" => {
                self.pass(event);
                Ok(())
            }
            // An event of a later version may pass as long as it is no way to hand over a call.
            _ if root.get("content_block").is_none() && !data.contains("tool_use") => {
                self.pass(event);
                Ok(())
            }

            _ => Err("an event is not known here"),
        }
    }

    fn pass(&mut self, event: &[u8]) {
        self.out.extend_from_slice(event);
    }

    fn start(&mut self, doc: &Doc<'_>, event: &[u8]) -> Result<(), &'static str> {
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
            kind if SERVER_BLOCKS.contains(&kind) => self.note(|tally| tally.server_calls += 1),
            kind => {
                let kind = display_line(kind, 64);
                self.withheld(index, &kind);
                self.note(|tally| {
                    tally.withheld.insert(kind);
                });
                return Ok(());
            }
        }
        self.blocks.insert(index, Passing::Open);
        self.pass(event);
        Ok(())
    }

    fn delta(&mut self, doc: &Doc<'_>, event: &[u8]) -> Result<(), &'static str> {
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
            Some(Passing::Open) => self.pass(event),
            Some(Passing::Withheld) => {}
            None => return Err("a part belongs to no block"),
        }
        Ok(())
    }

    fn stop(&mut self, doc: &Doc<'_>, event: &[u8]) -> Result<(), &'static str> {
        let index = index(doc)?;
        let Some(mut held) = self.held.take() else {
            if !self.blocks.contains_key(&index) {
                return Err("a block ends that never began");
            }
            self.pass(event);
            return Ok(());
        };
        if held.index != index {
            return Err("a call is interrupted");
        }
        held.events.extend_from_slice(event);
        if held.call.input.is_empty() {
            "{}".clone_into(&mut held.call.input);
        }
        let (bench, call) = (self.bench.clone(), held.call.clone());
        let waiter = bench.gate.waiter();
        let patience = waiter.patience();
        // The log may wait for its disk, and a person for their mind.
        let verdict = tokio::task::spawn_blocking(move || bench.judge(&call, &patience));
        let beats = interval_at(Instant::now() + self.beat, self.beat);
        self.judging = Some(Judging { verdict, held, _waiter: waiter, beats });
        Ok(())
    }

    fn judged(&mut self, verdict: Option<Verdict>) {
        let Some(Judging { held, .. }) = self.judging.take() else { return };
        let refused = matches!(verdict, Some(Verdict::StandIn { .. }));
        self.note(|tally| {
            tally.calls += 1;
            tally.refused += u64::from(refused);
        });
        self.blocks.insert(held.index, Passing::Open);
        match verdict {
            Some(Verdict::Pass) => self.out.extend_from_slice(&held.events),
            Some(Verdict::StandIn { input }) => self.stand_in(&held, &input),
            // The judge panicked: nobody said yes.
            None => self.fail("the gate failed"),
        }
    }

    fn stand_in(&mut self, held: &Held, input: &str) {
        let (index, id) = (held.index, quoted(&held.call.id));
        let block =
            format!("{{\"type\":\"tool_use\",\"id\":{id},\"name\":\"{STAND_IN}\",\"input\":{{}}}}");
        self.write("content_block_start", &format!("\"index\":{index},\"content_block\":{block}"));
        let delta = format!("{{\"type\":\"input_json_delta\",\"partial_json\":{}}}", quoted(input));
        self.write("content_block_delta", &format!("\"index\":{index},\"delta\":{delta}"));
        self.write("content_block_stop", &format!("\"index\":{index}"));
    }

    fn withheld(&mut self, index: u64, kind: &str) {
        self.blocks.insert(index, Passing::Withheld);
        let block = "{\"type\":\"text\",\"text\":\"\"}";
        self.write("content_block_start", &format!("\"index\":{index},\"content_block\":{block}"));
        let text = quoted(&withheld_text(kind));
        let delta = format!("{{\"type\":\"text_delta\",\"text\":{text}}}");
        self.write("content_block_delta", &format!("\"index\":{index},\"delta\":{delta}"));
    }

    fn write(&mut self, kind: &str, members: &str) {
        let event = format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{members}}}\n\n");
        self.out.extend_from_slice(event.as_bytes());
    }

    /// Ends the answer: what cannot be understood does not pass, nor does anything after it.
    fn fail(&mut self, what: &'static str) {
        self.dead = true;
        self.held = None;
        self.arrived = Vec::new();
        (self.taken, self.searched) = (0, 0);
        let message =
            quoted(&format!("bartizan: the model's answer is withheld: {what} [answer-unread]"));
        let error = format!("\"error\":{{\"type\":\"api_error\",\"message\":{message}}}");
        self.write("error", &error);
        let bench = self.bench.clone();
        drop(tokio::task::spawn_blocking(move || {
            bench.gate.unreadable(&bench.caller, Door::Model, "answer-unread", what);
        }));
    }

    fn usage(&self, doc: &Doc<'_>, holder: &Node) {
        self.note(|tally| tally.read(doc, holder));
    }

    fn note(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Tally {
    /// All tokens of the answer and its request.
    pub(super) fn tokens(&self) -> u64 {
        [self.input, self.cache_write, self.cache_read, self.output]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Takes the counts of a `usage`; each is the sum so far.
    fn read(&mut self, doc: &Doc<'_>, holder: &Node) {
        let Some(usage) = holder.get("usage").filter(|usage| usage.is_table()) else { return };
        self.counted = true;
        let count = |key: &str| usage.get(key).and_then(|count| doc.raw(count).parse::<u64>().ok());
        let counts = [
            ("input_tokens", &mut self.input),
            ("cache_creation_input_tokens", &mut self.cache_write),
            ("cache_read_input_tokens", &mut self.cache_read),
            ("output_tokens", &mut self.output),
        ];
        for (key, held) in counts {
            *held = count(key).map_or(*held, |count| count.max(*held));
        }
    }
}

fn call(doc: &Doc<'_>, block: &Node) -> Result<Call, &'static str> {
    let id = doc.text_of(block, "id").ok_or("a call has no id")?.into_owned();
    let name = doc.text_of(block, "name").ok_or("a call has no name")?.into_owned();
    if id.is_empty() || id.len() > 128 || !id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a call has no plain id");
    }
    // A stream begins with an empty object, and the arguments follow.
    let input = block.get("input").map(|input| doc.raw(input)).filter(|raw| *raw != "{}");
    Ok(Call { id, name, input: input.unwrap_or_default().to_owned() })
}

fn index(doc: &Doc<'_>) -> Result<u64, &'static str> {
    let index = doc.root().get("index").and_then(|index| doc.raw(index).parse().ok());
    index.ok_or("a block has no place")
}

/// The name and the data of an event; `None` for one without data, such as a comment.
fn fields(event: &[u8]) -> Result<Option<(Option<&str>, String)>, &'static str> {
    let text = std::str::from_utf8(event).map_err(|_| "an event is not UTF-8")?;
    let mut name = None;
    let mut data: Option<String> = None;
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains('\r') {
            return Err("an event has two readings");
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => data = Some(value.to_owned()),
            },
            "event" if name.is_some() => return Err("an event has two names"),
            "event" => name = Some(value),
            // A comment, an empty line, or what only steers reconnecting.
            "" | "id" | "retry" => {}
            _ => return Err("an event has a line that is not known"),
        }
    }
    match (name, data) {
        (name, Some(data)) => Ok(Some((name, data))),
        (None, None) => Ok(None),
        (Some(_), None) => Err("an event has a name and nothing else"),
    }
}

fn withheld_text(kind: &str) -> String {
    format!("[withheld by bartizan: a block of type `{kind}`, which is not known here]")
}

/// Blocks of the vendor's own machines. They have acted already; whether they may is settled by the request.
const SERVER_BLOCKS: [&str; 3] =
    ["server_tool_use", "tool_search_tool_result", "web_search_tool_result"];
/// What the API itself sends while nothing else comes, so that no client takes silence for an end.
const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";
/// Between two pings.
const BEAT: Duration = Duration::from_secs(10);
/// Largest event, and largest call of a streamed answer, in bytes.
const EVENT_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests;
