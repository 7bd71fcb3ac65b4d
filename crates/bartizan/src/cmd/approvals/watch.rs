//! What has come, and what was settled, since a person last looked? Questions as they change, until interrupted.

use super::{Desk, json, line, open};
use crate::cli::ApprovalsWatchArgs;
use crate::desk::telling::fairly;
use crate::report::Failure;
use bartizan_store::{Desk as _, QuestionFilter, QuestionState, Store};
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

/// How often it looks.
const PULSE: Duration = Duration::from_millis(200);

/// `bartizan approvals watch`.
pub(super) fn run(args: &ApprovalsWatchArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let mut store = open(desk)?;
    let mut known = BTreeMap::new();
    loop {
        if store.is_none() {
            store = open(desk)?;
        }
        if let Some(store) = &store {
            look(store, &mut known, args, desk)?;
        }
        desk.voice.flush()?;
        thread::sleep(PULSE);
    }
}

/// Tells what is new since the last look. A question that was settled before the first is old news.
fn look(
    store: &Store,
    known: &mut BTreeMap<String, (QuestionState, usize)>,
    args: &ApprovalsWatchArgs,
    desk: &mut Desk<'_>,
) -> Result<(), Failure> {
    let mut questions = store.questions(&QuestionFilter::default())?;
    fairly(&mut questions);
    for question in &questions {
        let stands = (question.state, question.answers.len());
        let before = known.insert(question.id.clone(), stands);
        let news = before.map_or(question.state == QuestionState::Pending, |was| was != stands);
        if news && args.json {
            json(desk, question)?;
        } else if news {
            line(desk, question)?;
        }
    }
    known.retain(|id, _| questions.iter().any(|question| question.id == *id));
    Ok(())
}
