//! What may a role use up in one session? Absent = without limit.

use super::page::Page;
use super::raw::{At, RawBudget};
use crate::report::Problem;

/// A role's limits; the model door counts, and the egress what leaves.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Tokens of the model, read and written.
    pub(crate) model_tokens: Option<u64>,
    /// Turns of the model.
    pub(crate) model_requests: Option<u64>,
    /// Calls that the model proposes.
    pub(crate) tool_calls: Option<u64>,
    /// Bytes that leave the session's box, to all hosts together.
    pub(crate) bytes_out: Option<u64>,
}

impl Limits {
    /// What a file says.
    pub(super) fn read(raw: &RawBudget) -> Self {
        let number = |limit: &Option<At<u64>>| limit.as_ref().map(|limit| *limit.get_ref());
        Self {
            model_tokens: number(&raw.model_tokens),
            model_requests: number(&raw.model_requests),
            tool_calls: number(&raw.tool_calls),
            bytes_out: raw.bytes_out.as_ref().map(|limit| limit.get_ref().0),
        }
    }

    /// Puts a later layer's word over this one.
    pub(super) fn overlay(&mut self, later: Self) {
        let earlier = std::mem::replace(self, later);
        self.inherit(&earlier);
    }

    /// Takes from `parent` what is not said here.
    pub(super) fn inherit(&mut self, parent: &Self) {
        self.model_tokens = self.model_tokens.or(parent.model_tokens);
        self.model_requests = self.model_requests.or(parent.model_requests);
        self.tool_calls = self.tool_calls.or(parent.tool_calls);
        self.bytes_out = self.bytes_out.or(parent.bytes_out);
    }

    /// Makes these smaller by what a project says; whatever would make them larger is noted on the page.
    pub(super) fn narrow(&mut self, raw: &RawBudget, page: &mut Page<'_>) {
        let number = |said: &Option<At<u64>>| said.as_ref().map(|at| (at.span(), *at.get_ref()));
        let size = raw.bytes_out.as_ref().map(|at| (at.span(), at.get_ref().0));
        let limits = [
            (number(&raw.model_tokens), &mut self.model_tokens),
            (number(&raw.model_requests), &mut self.model_requests),
            (number(&raw.tool_calls), &mut self.tool_calls),
            (size, &mut self.bytes_out),
        ];
        for (said, limit) in limits {
            let Some((span, said)) = said else { continue };
            if limit.is_some_and(|limit| said > limit) {
                let what = "a project can only narrow, and this is wider than what stands above it";
                page.complain(span, Problem::new(what));
            } else {
                *limit = Some(said);
            }
        }
    }
}
