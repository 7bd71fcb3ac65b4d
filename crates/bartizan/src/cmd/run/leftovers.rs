//! What did runs leave behind that were killed?

use super::state_failure;
use crate::config::Places;
use crate::report::{Failure, Voice};
use bartizan_sandbox::writeback::{self, Recovery};
use bartizan_store::{Session, SessionFilter, Sessions as _, Store, StoreError};
use serde_json::json;

/// Ends what other runs left behind when they were killed, and finishes their interrupted write-backs.
pub(super) fn tidy(store: &Store, places: &Places, voice: &mut Voice) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| state_failure(&error.to_string());
    let left = store.sessions(SessionFilter::Leftover).map_err(|error| failed(&error))?;
    for Session { id, .. } in left {
        // Before the session is ended: if this start is killed too, the next one still finds it.
        recover(store, places, voice, &id)?;
        let report = json!({ "leftover": "its supervisor died; the box died with it" });
        match store.end(&id, bartizan_store::Ending { exit: None, report }) {
            // Another start has met it as well, and was faster.
            Ok(_) | Err(StoreError::Ended { .. }) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(())
}

/// Finishes the write-back of a session if it was interrupted.
fn recover(store: &Store, places: &Places, voice: &mut Voice, id: &str) -> Result<(), Failure> {
    let journal = places.state.join("sessions").join(id).join("journal");
    if !journal.exists() {
        return Ok(());
    }
    let recovered = writeback::recover(&journal, &mut |_, _| {});
    if let Ok(Recovery::Resumed(applied)) = &recovered {
        crate::cmd::changes::resumed(store, id, applied)?;
    }
    let said = match recovered {
        Ok(recovery) => {
            format!("the write-back of session {id} was interrupted: {}", became(&recovery, id))
        }
        Err(error) => {
            format!(
                "the write-back of session {id} was interrupted and cannot be finished: {error}"
            )
        }
    };
    voice.say(&said).map_err(|error| state_failure(&error.to_string()))
}

/// What became of it, for the person.
fn became(recovery: &Recovery, id: &str) -> String {
    match recovery {
        Recovery::Busy => "another process still works on it".to_owned(),
        Recovery::Nothing => "nothing is left of it".to_owned(),
        Recovery::NotApplied => {
            format!("nothing had been changed; see bartizan changes show {id}")
        }
        Recovery::Resumed(applied) => {
            format!(
                "it was finished, {} landed, {} kept",
                applied.landed().len(),
                applied.kept().len()
            )
        }
    }
}
