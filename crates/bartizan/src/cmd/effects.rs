//! Which irreversible acts are in doubt, and what came of them? A person looks at the other side and says so.

use super::approvals::approver;
use super::{Desk, outside_a_box};
use crate::cli::{EffectsCommand, EffectsListArgs, EffectsResolveArgs, exit};
use crate::clock::age;
use crate::report::{Failure, Paint, safe};
use bartizan_scan::display_line;
use bartizan_store::{Effect, EffectState, Resolution, Store};
use std::io;

/// `bartizan effects …`.
pub(super) fn run(command: &EffectsCommand, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("seeing or settling irreversible acts")?;
    match command {
        EffectsCommand::List(args) => list(args, desk),
        EffectsCommand::Resolve(args) => resolve(args, desk),
    }
}

fn list(args: &EffectsListArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let effects = if desk.places.state.exists() {
        let store = Store::open(&desk.places.state)?;
        store.doubt_the_dead()?;
        store.effects(!args.all)?
    } else {
        Vec::new()
    };
    if args.json {
        let text = serde_json::to_string(&effects).map_err(io::Error::from)?;
        writeln!(desk.voice.out(), "{text}")?;
        return Ok(exit::DONE);
    }
    if effects.is_empty() {
        desk.voice.say("no irreversible act is in doubt")?;
    }
    for effect in &effects {
        let state = paint(desk, effect.state);
        let Effect { id, tool, shown, call, changed_ms, .. } = effect;
        let (tool, shown, call) =
            (display_line(tool, 48), display_line(shown, 80), display_line(call, 40));
        let id = id.get(..8).unwrap_or(id);
        writeln!(
            desk.voice.out(),
            "{id}  {state}  {:<12}  {tool}  {shown}  call {call}",
            age(*changed_ms)
        )?;
    }
    if effects.iter().any(|effect| effect.state == EffectState::Ambiguous) {
        desk.voice.say(
            "  hint: see its arguments with `bartizan audit list`, look at the other side, then: bartizan effects resolve ID --committed, or --failed",
        )?;
    }
    Ok(exit::DONE)
}

fn resolve(args: &EffectsResolveArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let by = approver(desk)?;
    let store = Store::open(&desk.places.state)?;
    let resolution = if args.committed { Resolution::Committed } else { Resolution::Failed };
    let effect = store.resolve_effect(&args.id, resolution, &by)?;
    store.checkpoint()?;
    let said = match effect.state {
        EffectState::Failed => "it did not happen, so the same call may be made again",
        _ => "it has happened",
    };
    desk.voice.say(&format!("{}: {said} (as {})", safe(&effect.tool), safe(&by)))?;
    Ok(exit::DONE)
}

fn paint(desk: &Desk<'_>, state: EffectState) -> String {
    let paint = match state {
        EffectState::Ambiguous => Paint::Yellow,
        EffectState::Committed => Paint::Green,
        EffectState::Failed => Paint::Red,
        EffectState::Started => Paint::Dim,
    };
    desk.voice.paint(paint, &format!("{:<9}", state.as_str()))
}
