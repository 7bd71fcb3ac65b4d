//! Which sessions are to read their policy anew? Those of this user that still run, each process once.

use super::super::outside_a_box;
use super::Desk;
use crate::cli::{PolicyReloadArgs, exit};
use crate::reload::{Heeder, Told};
use crate::report::{Failure, Problem, safe};
use bartizan_store::{Session, SessionFilter, Sessions as _, Store};
use std::collections::BTreeSet;

/// `bartizan policy reload`.
pub(super) fn run(args: &PolicyReloadArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("changing the policy of a session")?;
    let sessions = wanted(args, desk)?;
    let (mut told, mut processes) = (0, BTreeSet::new());
    for session in &sessions {
        if !processes.insert(session.pid) {
            continue;
        }
        match tell(session) {
            Told::Heard => told += 1,
            Told::Gone => {}
            Told::Deaf => desk.voice.say(&format!(
                "session {} keeps its policy: what it runs reads it once",
                safe(&session.id)
            ))?,
        }
    }
    if told == 0 {
        let problem = Problem::new("no session runs that reads its policy anew");
        return Err(Failure::new(exit::NO, problem.hint("the next one reads it as it is now")));
    }
    let them =
        if told == 1 { "1 process reads its" } else { &format!("{told} processes read their") };
    desk.voice.say(&format!(
        "{them} policy anew\n  hint: what came of it is on the log: bartizan audit list --event config_change"
    ))?;
    Ok(exit::DONE)
}

fn wanted(args: &PolicyReloadArgs, desk: &Desk<'_>) -> Result<Vec<Session>, Failure> {
    if !desk.places.state.exists() {
        return Ok(Vec::new());
    }
    let store = Store::open(&desk.places.state)?;
    Ok(match &args.session {
        Some(id) => vec![store.session(id)?],
        None => store.sessions(SessionFilter::Open)?,
    })
}

/// INVARIANT: that the process is the session's own is checked once it is held, so that its number cannot have become
/// another's in between.
fn tell(session: &Session) -> Told {
    let Some(heeder) = Heeder::of(session.pid) else { return Told::Gone };
    if session.ended_ms.is_some() || session.is_leftover() {
        return Told::Gone;
    }
    heeder.tell()
}
