//! What has come, and what was settled, since a person last looked? Questions as they change, until interrupted.

use super::{Desk, json, line, open};
use crate::cli::ApprovalsWatchArgs;
use crate::clock::now_ms;
use crate::report::Failure;
use bartizan_store::{Desk as _, Event, Question, QuestionState, Store};
use serde_json::Value;
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

/// How often it looks.
const PULSE: Duration = Duration::from_millis(200);

/// `bartizan approvals watch`.
pub(super) fn run(args: &ApprovalsWatchArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let mut store = open(desk)?;
    let mut watch = Watch { next: None, known: BTreeMap::new() };
    loop {
        if store.is_none() {
            store = open(desk)?;
        }
        if let Some(store) = &store {
            for question in watch.news(store)? {
                if args.json {
                    json(desk, &question)?;
                } else {
                    line(desk, &question)?;
                }
            }
        }
        desk.voice.flush()?;
        thread::sleep(PULSE);
    }
}

/// What is known of questions that can still change.
struct Watch {
    /// The first record that was not looked at; `None` before the first look.
    next: Option<u64>,
    known: BTreeMap<String, Known>,
}

#[derive(PartialEq)]
struct Known {
    state: QuestionState,
    answers: usize,
    expires_ms: u64,
}

impl Watch {
    /// What is new since the last look: by the log, since however many wait, few of them change. A question that was settled
    /// before the first is old news.
    fn news(&mut self, store: &Store) -> Result<Vec<Question>, Failure> {
        let Some(from) = self.next else {
            self.next = Some(store.reader().size()?);
            let mut waiting = store.waiting(0, usize::MAX)?.questions;
            waiting.retain(|question| self.learn(question));
            return Ok(waiting);
        };
        let mut news = Vec::new();
        let mut changed = self.expired();
        let mut next = from;
        while let Some(record) =
            store.reader().first_of(&[Event::Pending, Event::Approval], next)?
        {
            next = record.seq + 1;
            changed
                .extend(record.value().get("question").and_then(Value::as_str).map(str::to_owned));
        }
        self.next = Some(next);
        for id in changed {
            let question = store.question(&id)?;
            if self.learn(&question) {
                news.push(question);
            }
        }
        Ok(news)
    }

    /// Those whose time is over; that is on no record.
    fn expired(&self) -> Vec<String> {
        let now_ms = now_ms();
        let open =
            |known: &Known| matches!(known.state, QuestionState::Pending | QuestionState::Approved);
        let over = self.known.iter().filter(|(_, known)| open(known) && now_ms >= known.expires_ms);
        over.map(|(id, _)| id.clone()).collect()
    }

    /// Whether it is not as it was known.
    fn learn(&mut self, question: &Question) -> bool {
        let Question { id, state, expires_ms, answers, .. } = question;
        let now = Known { state: *state, answers: answers.len(), expires_ms: *expires_ms };
        let is_news = self.known.get(id) != Some(&now);
        if is_news {
            self.known.insert(id.clone(), now);
        }
        is_news
    }
}
