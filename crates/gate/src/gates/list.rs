//! Is this tool on the agent's list? A tool that nobody defined, or that no policy could ever permit
//! to this role, is refused before its arguments are looked at.

use crate::gates::Identified;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::seat::Seat;
use crate::tool::{Catalogue, ToolDef};
use bartizan_scan::display_line;
use std::sync::Arc;

/// Proof that the tool is defined and listed; the act reads the tool from here.
#[derive(Debug)]
pub(crate) struct Listed(Arc<ToolDef>);

impl Listed {
    pub(crate) fn tool(&self) -> &ToolDef {
        &self.0
    }
}

pub(crate) fn check(
    catalogue: &Catalogue,
    policy: &Policy,
    who: &Identified,
    seat: &Seat,
    name: &str,
) -> Result<Listed, Refusal> {
    let Some(tool) = catalogue.get(name) else {
        return Err(Refusal::ToolUnknown { tool: display_line(name, 80) });
    };
    if seat.only.as_ref().is_some_and(|only| !only.contains(tool.name())) {
        let (tool, role) = (tool.name().to_string(), who.role().to_string());
        return Err(Refusal::ToolNotListed { tool, role });
    }
    for principal in who.chain() {
        if !policy.could_permit(&principal.role, tool.name()) {
            let (tool, role) = (tool.name().to_string(), principal.role.to_string());
            return Err(Refusal::ToolNotListed { tool, role });
        }
    }
    Ok(Listed(Arc::clone(tool)))
}
