//! What may be done while the disk takes an intent? What a door has to find out of a call before it lets the call happen, and
//! no more. What was allowed so and does not happen after all has an outcome that says so.

use super::Pipeline;
use crate::call::{Authorized, Decision, Executed, Outcome, Proposed};
use crate::gates::approval::{Clearance, People};
use crate::record::Known;
use crate::refusal::Refusal;
use serde_json::json;

impl Pipeline {
    /// Leads a proposal that nothing speaks against through every gate, and does `meanwhile` while the disk takes its intent.
    /// As from [`Pipeline::decide`], an `Authorized` is durable on the log before it exists. `None`, with nothing done and
    /// nothing recorded, where the answer would be a refusal or a question: that is for `decide` to give.
    ///
    /// What `meanwhile` finds may speak against the call: whoever finds so [withdraws](Pipeline::withdraw) it.
    ///
    /// # Errors
    /// The log does not take the intent; the refusal is the answer.
    pub fn foresee(
        &self,
        proposed: Proposed,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Option<Authorized>, Refusal> {
        let session = proposed.caller.seat().session.clone();
        let mut known = Known::default();
        let Ok((call, Clearance::Clear(cleared))) =
            self.check(proposed, &mut known, People::LeftOut)
        else {
            return Ok(None);
        };
        let id = self.next_call()?;
        let known = Known::checked(&call);
        match self.authorize(&id, call, cleared, meanwhile) {
            Ok(Decision::Allow(authorized)) => Ok(Some(authorized)),
            Ok(Decision::Ask(pending)) => Err(self.ask(pending)),
            Err(refused) => Err(self.refuse(&session, &id, known, refused)),
        }
    }

    /// Gives up a call that was allowed and has not begun: its outcome is that it was stopped, with this code.
    ///
    /// # Errors
    /// The log takes nothing more.
    pub fn withdraw(&self, authorized: Authorized, code: &str) -> Result<(), Refusal> {
        let session = authorized.session().clone();
        let outcome = Outcome::stopped(code, json!({ "begun": false }));
        let executed = Executed { session, call: authorized.call, outcome, output: () };
        self.release(executed).map(drop)
    }
}
