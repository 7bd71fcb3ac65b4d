//! May the client carry out this call? What the model door has said of it is taken up; anything else is a proposal.

use super::deferring::Said;
use super::{Judge, Payload};
use crate::doors::calls::carried::By;
use crate::doors::calls::{Act, Subagent, TakeUp};
use bartizan_gate::call::{Door, Outcome, Proposed};
use bartizan_gate::refusal::Refusal;
use bartizan_scan::display_line;
use serde_json::{Value, json};

/// What the client says of a call beside what it would do.
struct Met<'a> {
    id: Option<&'a str>,
    agent: Option<&'a str>,
    kind: &'a str,
    conversation: Option<&'a str>,
    /// Its id, where an earlier run put it off.
    again: Option<&'a str>,
    reference: Option<String>,
    act: Act,
}

impl Judge {
    pub(super) fn before(&self, payload: Payload) -> Said {
        let Some(tool) = payload.tool_name else {
            return Said::No("hook-payload: the call names no tool".to_owned());
        };
        let arguments = payload.tool_input.unwrap_or_else(|| json!({}));
        let (id, folder) = (payload.tool_use_id.as_deref(), payload.cwd.as_deref());
        let met = Met {
            id,
            agent: payload.agent_id.as_deref(),
            kind: payload.agent_type.as_deref().unwrap_or("agent"),
            conversation: payload.session_id.as_deref(),
            again: id.filter(|id| self.calls.was_deferred(id)),
            reference: id.map(|id| display_line(id, 128)),
            act: self.act(&tool, &arguments, folder),
        };
        if let Some(said) = self.said_before(&met) {
            return said;
        }
        if !self.calls.callable(&tool) {
            return self.uncallable(&met, &tool, &arguments);
        }
        let meant = self.means(&tool, arguments, folder);
        let refused =
            meant.into_iter().find_map(|(tool, arguments)| self.refuses(&met, tool, &arguments));
        // What was let through of a patch does not happen without the rest.
        let open = refused.as_ref().and(id).map(|id| self.calls.close(id)).unwrap_or_default();
        let failed = self.end(open, &Outcome::stopped("part-refused", json!({ "by": "client" })));
        match refused {
            Some(refused) => self.later(&met, &refused).unwrap_or_else(|| no(&refused)),
            None => failed.map_or(Said::Nothing, Said::No),
        }
    }

    /// What the model door has said of it.
    fn said_before(&self, met: &Met<'_>) -> Option<Said> {
        let id = met.id?;
        match self.calls.take_up(id, met.agent, &met.act) {
            TakeUp::Joined => return Some(Said::Nothing),
            TakeUp::Refused(sentence) => return Some(Said::No(sentence)),
            TakeUp::Unjudged => {}
        }
        let put_off = self.put_off(id, met.agent, &met.act)?;
        self.puts_off(put_off, met.conversation)
    }

    fn uncallable(&self, met: &Met<'_>, tool: &str, arguments: &Value) -> Said {
        let refused = Refusal::ToolUnknown { tool: display_line(tool, 128) };
        let reference = met.reference.as_deref();
        let (caller, door) = (&self.caller, Door::Hook);
        no(&self.gate.refused_by_door(caller, door, tool, arguments, reference, refused))
    }

    /// Proposes one act of the call.
    fn refuses(&self, met: &Met<'_>, tool: String, arguments: &Value) -> Option<Refusal> {
        let Met { id, agent, ref act, .. } = *met;
        let subagent = agent.map(|id| Subagent { id: id.to_owned(), kind: met.kind.to_owned() });
        let by = By { seat: self.caller.seat(), agent: subagent.as_ref() };
        let named = |tool: String| self.proposed(met, tool, arguments.clone());
        if let Some(left) = self.calls.leaves(&self.gate, (&tool, arguments), by, named) {
            if let Some(id) = id {
                self.calls.leave_at_hook(id, by, act, left);
            }
            return None;
        }
        let proposed = named(self.calls.known_as(&self.gate, &tool).unwrap_or(tool));
        let (delegated, refused) = match self.judged(proposed) {
            Ok(delegated) => {
                self.calls.acts(by);
                (Some(delegated), None)
            }
            Err(refused) => (None, Some(refused)),
        };
        if let Some(id) = id {
            self.calls.hooked(id, agent, act, delegated);
        }
        refused
    }

    fn proposed(&self, met: &Met<'_>, tool: String, arguments: Value) -> Proposed {
        let proposed = Proposed::new(&self.caller, Door::Hook, tool, arguments);
        let proposed = match met.agent {
            Some(agent) => proposed.by_subagent(met.kind, agent),
            None => proposed,
        };
        let proposed = match met.again {
            Some(id) => proposed.made_again(met.conversation.unwrap_or_default(), id),
            None => proposed,
        };
        met.reference.iter().fold(proposed, |proposed, text| proposed.referring_to(&**text))
    }

    /// Puts it off once more, where it was put off before.
    fn later(&self, met: &Met<'_>, refused: &Refusal) -> Option<Said> {
        let id = met.again.filter(|_| met.agent.is_none())?;
        self.again(id, &met.act, met.conversation?, refused)
    }
}

fn no(refused: &Refusal) -> Said {
    Said::No(format!("{}: {refused}", refused.code()))
}
