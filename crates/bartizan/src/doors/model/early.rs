//! What is done while the disk takes the intent of a request to the model? What the request brings is read: the longest two
//! things that a turn waits for, and neither needs the other. What leaves, leaves after both.

use super::{Asked, Side, Way, request::Read};
use bartizan_gate::call::Authorized;
use bartizan_gate::policy::Verdict;
use bartizan_gate::refusal::Refusal;
use std::sync::atomic::Ordering;

impl Side {
    /// Judges a request that nothing speaks against before it is read, and reads it while the disk takes the intent.
    ///
    /// Reading may change the answer: by what it finds, and by what the session has read then. So the policy is asked again
    /// after it, before anything leaves, and an intent that does not stand is withdrawn on the log. `None` where it has to
    /// be read first, because the answer may well be no: of a refused request there is no intent.
    pub(super) fn early(&self, asked: &Asked) -> Option<Result<(Authorized, Read), Refusal>> {
        let (seat, agent) = (self.caller.seat(), asked.agent.as_ref());
        if self.wary.load(Ordering::Relaxed) {
            return None;
        }
        if asked.way == Way::Turn && self.conversation.budget.is_spent(seat, agent) {
            return None;
        }
        let mut brings = None;
        let mut look = || brings = Some((self.counted(asked), self.still_allowed(asked)));
        let authorized = match self.gate.foresee(self.proposal(asked), &mut look)? {
            Ok(authorized) => authorized,
            Err(refused) => return Some(Err(refused)),
        };
        Some(self.stands(asked, authorized, brings))
    }

    /// Whether the policy alone still lets it through, with what has been read by now.
    fn still_allowed(&self, asked: &Asked) -> bool {
        let judged = self.gate.pipeline().explain(self.proposal(asked));
        judged.is_ok_and(|judged| judged.verdict == Verdict::Allow)
    }

    fn stands(
        &self,
        asked: &Asked,
        authorized: Authorized,
        brings: Option<(Result<Read, Refusal>, bool)>,
    ) -> Result<(Authorized, Read), Refusal> {
        // What was not read meanwhile has no answer, and does not leave.
        let unread = || Refusal::LedgerUnavailable { cause: "the gate failed".to_owned() };
        let (read, allowed) = brings.unwrap_or_else(|| (Err(unread()), false));
        match read {
            Ok(read) if allowed => Ok((authorized, read)),
            Ok(read) => {
                // A question to people, or a refusal, as it would have been had it been read first.
                let decided = self.gate.decide(self.proposal(asked));
                let code = decided.as_ref().err().map_or("judged-again", Refusal::code);
                self.withdraw(authorized, code)?;
                decided.map(|authorized| (authorized, read))
            }
            Err(refused) => {
                self.withdraw(authorized, refused.code())?;
                Err(refused)
            }
        }
    }

    fn withdraw(&self, authorized: Authorized, code: &str) -> Result<(), Refusal> {
        self.wary.store(true, Ordering::Relaxed);
        self.gate.withdraw(authorized, code)
    }
}

#[cfg(test)]
mod tests;
