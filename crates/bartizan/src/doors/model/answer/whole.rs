//! What of an answer that comes in one piece may reach the client? Nothing of it passes before all of it is judged.

use super::super::verdict::{Bench, Verdict};
use super::{SERVER_BLOCKS, Shared, Tally, call, withheld_text};
use crate::desk::patience::{Patience, Waiter};
use crate::doors::calls::STAND_IN;
use bartizan_egress::model::Filter;
use bartizan_gate::call::Door;
use bartizan_scan::display_line;
use bartizan_scan::json::{Doc, Edits, Node, quoted};
use bytes::Bytes;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::task::JoinHandle;

/// An answer that comes whole: nothing of it passes before all of it is judged.
pub(in super::super) struct Whole {
    bench: Bench,
    tally: Shared,
    /// By then the client must hear something: no ping goes before an answer that comes whole.
    until: Instant,
    arrived: Vec<u8>,
    judging: Option<(JoinHandle<Vec<u8>>, Waiter)>,
    over: bool,
}

impl Filter for Whole {
    fn push(&mut self, chunk: Bytes) {
        self.over |= self.arrived.len() + chunk.len() > WHOLE_MAX;
        if !self.over {
            self.arrived.extend_from_slice(&chunk);
        }
    }

    fn end(&mut self) {
        let body = if self.over { Vec::new() } else { std::mem::take(&mut self.arrived) };
        let (bench, tally) = (self.bench.clone(), Arc::clone(&self.tally));
        let waiter = bench.gate.waiter().until(self.until);
        let patience = waiter.patience();
        let judging = tokio::task::spawn_blocking(move || {
            judge_whole(&bench, &tally, &body, &patience).unwrap_or_else(|what| {
                bench.gate.unreadable(&bench.caller, Door::Model, "answer-unread", what);
                let message = quoted(&format!("bartizan: the model's answer is withheld: {what} [answer-unread]"));
                format!("{{\"type\":\"error\",\"error\":{{\"type\":\"api_error\",\"message\":{message}}}}}").into_bytes()
            })
        });
        self.judging = Some((judging, waiter));
    }

    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let Some((judging, _)) = &mut self.judging else { return Poll::Ready(Bytes::new()) };
        let Poll::Ready(judged) = Pin::new(judging).poll(cx) else { return Poll::Pending };
        self.judging = None;
        Poll::Ready(judged.unwrap_or_default().into())
    }
}

impl Whole {
    pub(in super::super) fn new(bench: Bench, tally: Shared, until: Instant) -> Self {
        Self { bench, tally, until, arrived: Vec::new(), judging: None, over: false }
    }
}

fn judge_whole(
    bench: &Bench,
    tally: &Shared,
    body: &[u8],
    patience: &Patience,
) -> Result<Vec<u8>, &'static str> {
    let doc = Doc::read(body).map_err(|_| "it is not JSON with one reading")?;
    let root = doc.root();
    if root.has_twins() || doc.text_of(root, "type").as_deref() != Some("message") {
        return Err("it is no message");
    }
    let blocks = root.get("content").and_then(Node::items).ok_or("it has no content")?;
    let mut edits = Edits::default();
    let mut seen = Tally::default();
    seen.read(&doc, root);
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
                if let Verdict::StandIn { input } = bench.judge(&call, patience) {
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
    *tally.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    Ok(edits.apply(body))
}

/// Largest answer that comes whole, in bytes.
const WHOLE_MAX: usize = 32 * 1024 * 1024;
