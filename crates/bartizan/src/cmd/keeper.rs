//! What becomes of a run's changes when the process that runs it is killed? Started by `run`, not by people.

use super::Desk;
use crate::cli::{KeeperArgs, exit};
use crate::doors::run::home::{places, records};
use crate::report::{Failure, Problem};
use bartizan_gate::name::SessionId;
use bartizan_sandbox::writeback::Options;
use bartizan_sandbox::writeback::keeper::{Watch, keep};
use bartizan_store::Store;
use serde_json::json;
use std::time::{Duration, UNIX_EPOCH};

/// `bartizan keeper`. Standard output and error are no streams here: they are the layer and the workspace.
pub(super) fn run(args: &KeeperArgs, desk: &Desk<'_>) -> Result<u8, Failure> {
    let session = SessionId::parse(&args.session).map_err(|_| Failure::silent())?;
    let (journal, held) = places(&desk.places.state.join("sessions").join(session.as_str()));
    let owner = args.owner.as_deref().map(owner).transpose()?;
    let state = desk.places.state.clone();
    // A log that cannot be opened could not say either that something was kept.
    let has_room = |bytes, files| {
        Store::open(&state).is_ok_and(|store| {
            if let Some(bytes) = args.keep_free {
                store.keep_free(bytes);
            }
            store.has_room_for(bytes, files).is_ok()
        })
    };
    let watch = Watch {
        pid: args.pid,
        since: UNIX_EPOCH + Duration::from_nanos(args.since),
        options: Options { owner, journal: &journal, held: &held, progress: &mut |_, _| {} },
        has_room: &has_room,
    };
    let kept = match keep(watch) {
        Ok(kept) => kept,
        Err(error) => {
            let about = json!({ "act": "lost", "why": error.to_string() });
            let about = about.as_object().cloned().unwrap_or_default();
            super::changes::record(desk, session.as_str(), about)?;
            return Err(Failure::new(exit::STATE, Problem::from_text(&error.to_string())));
        }
    };
    let Some(kept) = kept.filter(|kept| !kept.kept().is_empty()) else { return Ok(exit::DONE) };
    for mut about in records(&kept) {
        about.insert("because".to_owned(), "the supervisor was killed".into());
        super::changes::record(desk, session.as_str(), about)?;
    }
    Ok(exit::DONE)
}

fn owner(text: &str) -> Result<(u32, u32), Failure> {
    let parsed =
        text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    parsed.ok_or_else(|| Failure::new(exit::USAGE, Problem::new("the owner is written UID:GID")))
}
