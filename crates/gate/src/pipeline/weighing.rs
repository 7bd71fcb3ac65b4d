//! What is a call like that policy by itself lets through? For who asks somebody else about it first.

use super::{Pipeline, origins};
use crate::call::Proposed;
use crate::gates::{approval, identity, list, risk, scope};
use crate::policy::Verdict;
use crate::taint::Origins;
use crate::tool::Effect;
use crate::watch::MODEL_REQUEST;
use serde_json::Value;

/// A call that policy lets through without a person, as far as can be told before it is decided.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Weighed {
    /// The tool.
    pub tool: String,
    /// What it does to the world.
    pub effect: Effect,
    /// Its arguments, as they were checked.
    pub arguments: Value,
    /// What the session has read, and where the call's values come from.
    pub origins: Origins,
}

impl Pipeline {
    /// Looks at a proposal without a record and without an act. `None` where the answer will not be a plain yes: nobody else
    /// need be asked about what a person is asked, or what is refused. A request to the model, which is how calls are
    /// proposed, is none itself.
    ///
    /// What is decided later is decided anew: this clears nothing.
    pub fn weigh(&self, proposed: &Proposed) -> Option<Weighed> {
        if proposed.tool == MODEL_REQUEST {
            return None;
        }
        let who = identity::check(&proposed.caller, proposed.subagent.as_ref()).ok()?;
        let (policy, seat) = (self.policy(), proposed.caller.seat());
        let listed =
            list::check(&self.parts.catalogue, &policy, &who, seat, &proposed.tool).ok()?;
        let mut scoped = scope::check(&who, &listed, seat, proposed.arguments.clone()).ok()?;
        scoped.trace(origins(&policy, &proposed.caller, &who, &listed, &scoped));
        let judged = approval::judge(&policy, &who, &listed, &scoped, &[]);
        (judged.verdict == Verdict::Allow).then(|| Weighed {
            tool: listed.tool().name().to_string(),
            effect: risk::rate(&listed, &scoped).effect(),
            arguments: scoped.arguments().clone(),
            origins: scoped.origins().clone(),
        })
    }
}
