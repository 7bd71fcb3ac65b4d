//! What becomes of a question that nobody waits for any more? It can be answered no longer, and the log says why.
use crate::StoreError;
use crate::clock;
use crate::desk::{Question, QuestionState};
use crate::entry::Prepared;
use crate::questions::{approval, complete, fetch};
use crate::store::Store;
use rusqlite::params;

/// Ends a question that still waits for answers; one that is answered stays as it is.
pub(crate) fn withdraw(store: &Store, id: &str) -> Result<Question, StoreError> {
    let (id, log_id) = (id.to_owned(), store.public_key().log_id().to_owned());
    store.work(move |batch| {
        let id = match complete(batch.transaction, &id)? {
            Ok(id) => id,
            Err(refused) => return Ok(Err(refused)),
        };
        let question = fetch(batch.transaction, &id)?;
        if question.state != QuestionState::Pending {
            return Ok(Ok(question));
        }
        let prepared = match Prepared::new(approval(&question, "withdraw"), &log_id) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error.into())),
        };
        batch
            .transaction
            .prepare_cached("UPDATE questions SET expires_ms = min(expires_ms, ?2) WHERE id = ?1")?
            .execute(params![id, clock::now_ms()])?;
        let _receipt = batch.append(&prepared)?;
        fetch(batch.transaction, &id).map(Ok)
    })
}
