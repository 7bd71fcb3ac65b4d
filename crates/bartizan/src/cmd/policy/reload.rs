//! Who is to read the policy anew? The sessions and gateways of this user that still run, each process once.

use super::super::outside_a_box;
use super::Desk;
use crate::cli::{PolicyReloadArgs, exit};
use crate::reload::{Heeder, Listed, Told};
use crate::report::{Failure, Problem, safe};
use bartizan_store::{Session, SessionFilter, Sessions as _, Store};
use std::collections::BTreeSet;

/// `bartizan policy reload`.
pub(super) fn run(args: &PolicyReloadArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("changing the policy of a session")?;
    let sessions = wanted(args, desk)?;
    let gateways = if args.session.is_none() { Listed::all(&desk.places.state) } else { vec![] };
    let (mut told, mut processes) = (0, BTreeSet::new());
    let mut through = BTreeSet::new();
    for (pid, what, heeder) in &gateways {
        match heeder.tell() {
            Told::Heard => {
                told += 1;
                through.insert(*pid);
                desk.voice.say(&format!("{what} reads it anew (process {pid})"))?;
            }
            Told::Gone => {}
            Told::Deaf => desk.voice.say(&format!("{what} does not answer (process {pid})"))?,
        }
    }
    for session in &sessions {
        if !processes.insert(session.pid) {
            continue;
        }
        let known = format!("session {} of role {}", safe(&session.id), safe(&session.agent));
        match tell(session, &through) {
            Told::Heard => {
                told += 1;
                let at = safe(&session.workspace);
                desk.voice.say(&format!("{known} reads it anew (in {at})"))?;
            }
            Told::Gone => {}
            Told::Deaf => {
                desk.voice.say(&format!("{known} keeps its policy: what it runs reads it once"))?;
            }
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
fn tell(session: &Session, through: &BTreeSet<u32>) -> Told {
    let Some(heeder) = Heeder::of(session.pid) else { return Told::Gone };
    if session.ended_ms.is_some() || session.is_leftover() {
        return Told::Gone;
    }
    // A gateway hands on what it was told to those that it started.
    if heeder.parent().is_some_and(|parent| through.contains(&parent)) {
        return Told::Heard;
    }
    heeder.tell()
}
