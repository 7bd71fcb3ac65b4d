//! How did an allowed request end? Whatever happens to it, the judge hears of it once.

use super::{HttpEnded, HttpOutcome, RequestJudge};
use crate::refuse::Refusal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// One allowed request: whatever happens to it, the judge hears of it once.
pub(super) struct Case<J: RequestJudge> {
    judge: Arc<J>,
    ticket: Option<J::Ticket>,
    pub(super) outcome: HttpOutcome,
    pub(super) out: Arc<AtomicU64>,
    started: Instant,
}

impl<J: RequestJudge> Case<J> {
    pub(super) fn open(judge: Arc<J>, ticket: J::Ticket) -> Self {
        let outcome = HttpOutcome {
            status: None,
            bytes_out: 0,
            bytes_in: 0,
            hidden: 0,
            took: Duration::ZERO,
            ended: HttpEnded::Abandoned,
        };
        Self { judge, ticket: Some(ticket), outcome, out: Arc::default(), started: Instant::now() }
    }

    /// Closes the case with `refusal`, which the box is told.
    pub(super) fn refuse(mut self, refusal: Refusal) -> Refusal {
        self.close(HttpEnded::Refused(refusal.clone()));
        refusal
    }

    /// Closes the case of an answer that could not go on.
    pub(super) fn cut_off(&mut self, refusal: Refusal) {
        self.close(HttpEnded::Refused(refusal));
    }

    pub(super) fn received(&mut self, bytes: u64) {
        self.outcome.bytes_in += bytes;
    }

    pub(super) fn hidden(&mut self, count: usize) {
        self.outcome.hidden += count;
    }

    pub(super) fn finish(&mut self, hidden: usize) {
        self.hidden(hidden);
        self.close(HttpEnded::Finished);
    }

    pub(super) fn broken(&mut self) {
        self.close(HttpEnded::Broken);
    }

    fn close(&mut self, ended: HttpEnded) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut outcome = self.outcome.clone();
        outcome.ended = ended;
        outcome.took = self.started.elapsed();
        outcome.bytes_out = self.out.load(Ordering::Relaxed);
        self.judge.after(ticket, outcome);
    }
}

impl<J: RequestJudge> Drop for Case<J> {
    fn drop(&mut self) {
        self.close(HttpEnded::Abandoned);
    }
}
