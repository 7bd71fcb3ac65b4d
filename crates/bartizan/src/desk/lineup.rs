//! In which order do questions stand in a list? What waits comes first, in the store's fair order; then what is settled, the
//! newest first.

use bartizan_store::{Desk as _, Question, QuestionFilter, QuestionState, Store, StoreError};

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Lineup {
    /// Those of this page.
    pub(crate) questions: Vec<Question>,
    /// How many stand on all pages.
    pub(crate) all: usize,
}

/// Up to `limit` questions from the place `from` on; with `settled`, the newest of those that wait no more, too.
pub(crate) fn lineup(
    store: &Store,
    settled: bool,
    (from, limit): (usize, usize),
) -> Result<Lineup, StoreError> {
    let waiting = store.waiting(from, limit)?;
    let (mut questions, mut all) = (waiting.questions, waiting.all);
    if settled {
        let mut past = store.questions(&QuestionFilter::default())?;
        past.retain(|question| question.state != QuestionState::Pending);
        let behind = from.saturating_sub(all);
        all += past.len();
        let room = limit.saturating_sub(questions.len());
        questions.extend(past.into_iter().skip(behind).take(room));
    }
    Ok(Lineup { questions, all })
}
