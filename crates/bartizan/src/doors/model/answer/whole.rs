//! What of an answer that comes in one piece may reach the client? Nothing of it passes before all of it is judged.

use super::tally::{Shared, Tally};
use super::{Dialect, withheld};
use crate::desk::patience::{Patience, Waiter};
use crate::doors::model::verdict::{Bench, Call, Verdict};
use bartizan_egress::model::Filter;
use bartizan_gate::call::Door;
use bartizan_scan::json::Doc;
use bytes::Bytes;
use std::future::Future as _;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::task::JoinHandle;

/// An answer that comes whole: nothing of it passes before all of it is judged.
pub(in super::super) struct Whole<D> {
    bench: Bench,
    tally: Shared,
    /// By then the client must hear something: no ping goes before an answer that comes whole.
    until: Instant,
    arrived: Vec<u8>,
    judging: Option<(JoinHandle<Vec<u8>>, Waiter)>,
    over: bool,
    dialect: PhantomData<D>,
}

impl<D: Dialect> Filter for Whole<D> {
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
            let answer = Judged { body: &body, bench: &bench, tally: &tally, patience: &patience };
            D::whole(&answer).unwrap_or_else(|what| {
                bench.gate.unreadable(&bench.caller, Door::Model, "answer-unread", what);
                D::instead(&withheld(what))
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

impl<D: Dialect> Whole<D> {
    pub(in super::super) fn new(bench: Bench, tally: Shared, until: Instant) -> Self {
        Self {
            bench,
            tally,
            until,
            arrived: Vec::new(),
            judging: None,
            over: false,
            dialect: PhantomData,
        }
    }
}

/// A whole answer before its judge.
pub(in super::super) struct Judged<'a> {
    pub(in super::super) body: &'a [u8],
    bench: &'a Bench,
    tally: &'a Shared,
    patience: &'a Patience,
}

impl Judged<'_> {
    pub(in super::super) fn doc(&self) -> Result<Doc<'_>, &'static str> {
        Doc::read(self.body).map_err(|_| "it is not JSON with one reading")
    }

    pub(in super::super) fn judge(&self, call: &Call) -> Verdict {
        self.bench.judge(call, self.patience)
    }

    pub(in super::super) fn counted(&self, tally: Tally) {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) = tally;
    }
}

/// Largest answer that comes whole, in bytes.
const WHOLE_MAX: usize = 32 * 1024 * 1024;
