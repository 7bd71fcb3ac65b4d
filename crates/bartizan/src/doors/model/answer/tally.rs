//! What did an answer use up, and what did it hold?

use bartizan_scan::json::{Doc, Node};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What an answer used up and held, as far as it has come.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in super::super) struct Tally {
    /// Whether the answer has said anything of tokens yet.
    pub(in super::super) counted: bool,
    /// Whether it has said all that it will say of them: only then is what it said the whole.
    pub(in super::super) settled: bool,
    /// Bytes of what the model has written, as far as it has passed.
    pub(in super::super) written: u64,
    pub(in super::super) input: u64,
    pub(in super::super) cache_write: u64,
    pub(in super::super) cache_read: u64,
    pub(in super::super) output: u64,
    pub(in super::super) calls: u64,
    pub(in super::super) refused: u64,
    pub(in super::super) server_calls: u64,
    pub(in super::super) withheld: BTreeSet<String>,
}

/// Shared with the record of the request.
pub(in super::super) type Shared = Arc<Mutex<Tally>>;

impl Tally {
    /// All tokens of the answer and its request, which had `sent` bytes. Where the answer was cut off before it had said what it
    /// cost, what was sent and what has come count by their length: a client that goes before the last word gets nothing
    /// for nothing.
    pub(in super::super) fn tokens(&self, sent: u64) -> u64 {
        let read = [self.input, self.cache_write, self.cache_read];
        let read = if self.counted { read } else { [in_tokens(sent), 0, 0] };
        let come = if self.settled { 0 } else { in_tokens(self.written) };
        read.into_iter().fold(self.output.max(come), u64::saturating_add)
    }

    /// Takes the counts of a `usage`; each is the sum so far.
    pub(in super::super) fn read(&mut self, doc: &Doc<'_>, holder: &Node) {
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

    /// Takes the counts that end an answer.
    pub(in super::super) fn read_last(&mut self, doc: &Doc<'_>, holder: &Node) {
        self.read(doc, holder);
        self.settled |= holder.get("usage").is_some_and(Node::is_table);
    }

    /// Takes the counts of a response; what came from the cache is part of its input.
    pub(in super::super) fn read_response(&mut self, doc: &Doc<'_>, response: &Node) {
        let Some(usage) = response.get("usage").filter(|usage| usage.is_table()) else { return };
        let count = |node: Option<&Node>| node.and_then(|count| doc.raw(count).parse::<u64>().ok());
        let cached =
            usage.get("input_tokens_details").and_then(|details| details.get("cached_tokens"));
        // It stands in the last event alone.
        (self.counted, self.settled) = (true, true);
        self.cache_read = count(cached).unwrap_or_default();
        let input = count(usage.get("input_tokens")).unwrap_or_default();
        self.input = input.saturating_sub(self.cache_read);
        self.output = count(usage.get("output_tokens")).unwrap_or_default();
    }
}

/// A guess at the tokens of so many bytes.
pub(in super::super) fn in_tokens(bytes: u64) -> u64 {
    bytes / BYTES_PER_TOKEN
}

/// English text has some four bytes per token.
const BYTES_PER_TOKEN: u64 = 4;
