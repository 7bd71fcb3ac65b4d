//! Would this act leave the smaller box that its agent's role describes? A subagent shares its session's box. What its own
//! role's box would not let it do there is refused here, early and readable.

use crate::gates::{Identified, Listed, Scoped};
use crate::name::CanonicalPath;
use crate::refusal::Refusal;
use crate::seat::{Confines, Seat};
use crate::tool::{Effect, TargetKind, ToolDef};

pub(super) fn check(
    who: &Identified,
    listed: &Listed,
    scoped: &Scoped,
    seat: &Seat,
) -> Result<(), Refusal> {
    let Some(confines) = seat.confined.get(who.role()) else { return Ok(()) };
    let tool = listed.tool();
    if allowed(confines, tool, scoped, seat) {
        return Ok(());
    }
    let (tool, role) = (tool.name().to_string(), who.role().to_string());
    Err(Refusal::BoxNarrower { tool, role })
}

fn allowed(confines: &Confines, tool: &ToolDef, scoped: &Scoped, seat: &Seat) -> bool {
    // Its own conversation is the session's client's, and leads to the session's model whatever its box may reach.
    if tool.name().as_str() == CONVERSATION {
        return true;
    }
    let has = |kind: TargetKind| tool.targets().iter().any(|target| target.kind() == kind);
    // A program is held by its box alone; and an agent that this one starts would not be known as its child.
    if STARTS_AGENTS.contains(&tool.name().as_str()) {
        return false;
    }
    if has(TargetKind::Command) {
        return confines.commands && tool.name().as_str() == SHELL;
    }
    let reaches = has(TargetKind::Host) || has(TargetKind::Url) || tool.reach().is_some();
    if reaches && !confines.network {
        return false;
    }
    // A declared command runs in a box of its own, which is the session's and not this role's.
    if tool.server().as_str() == "tools" && tool.reach().is_none() {
        return false;
    }
    scoped.paths().all(|fact| {
        // The fact is relative to the workspace, by text alone: a folder called `~` is no home.
        let Some(path) = CanonicalPath::absolute(&seat.workspace.as_path().join(&fact.path)) else {
            return false;
        };
        // What the box shows besides the workspace has been judged by its own policy.
        let foreign = path.below(&seat.workspace).is_none();
        let within = |place: &Option<CanonicalPath>| {
            place.as_ref().is_some_and(|place| path.below(place).is_some())
        };
        if tool.effect() == Effect::Read {
            foreign || within(&confines.reads)
        } else {
            within(&confines.writes)
        }
    })
}

const CONVERSATION: &str = "model.request";
/// The one tool whose commands get a box of the role.
const SHELL: &str = "Bash";
/// The tools by which an agent starts another.
const STARTS_AGENTS: [&str; 2] = ["Agent", "Task"];
