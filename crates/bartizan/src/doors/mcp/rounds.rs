//! What does a server without sessions want of the client before it answers, and may it? It says so in its answer, the client
//! makes the request again with what was wanted, and that request is judged like the first.

use super::call::{Act, Misread};
use super::{Talk, without};
use crate::machine;
use bartizan_mcp::era;
use bartizan_mcp::wire::Message;
use bartizan_scan::json::{Edits, View, quoted};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// What servers want their requests to be remembered by. It stays here: a client has a name for it and nothing to read or to
/// change, and what it could hold of ours goes nowhere.
#[derive(Default)]
pub(super) struct Memory(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    held: VecDeque<Held>,
}

struct Held {
    name: String,
    /// The act that it belongs to, as it was judged.
    act: (String, String),
    /// As JSON.
    state: String,
}

impl Memory {
    /// Gives the name. It is random, so that it is good in this conversation alone: a client without a session may come back in
    /// another one of its identity's, where a number would name what the server wants of somebody else.
    fn keep(&self, act: &Act, state: &str) -> Option<String> {
        let name = format!("bartizan-{:032x}", u128::from_be_bytes(machine::random().ok()?));
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut size: usize = remembered.held.iter().map(|held| held.state.len()).sum();
        while remembered.held.len() >= HELD_MAX || size + state.len() > HELD_BYTES {
            let Some(oldest) = remembered.held.pop_front() else { break };
            size -= oldest.state.len();
        }
        let (act, state) = (act.what(), state.to_owned());
        remembered.held.push_back(Held { name: name.clone(), act, state });
        Some(name)
    }

    fn find(&self, act: &Act, name: &str) -> Option<String> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = remembered.held.iter().find(|held| held.name == name)?;
        (held.act == act.what()).then(|| held.state.clone())
    }
}

impl Talk {
    /// A request without what the server may not ask its client for.
    pub(super) fn permitted(&self, message: &Message) -> Message {
        let said = message.meta().and_then(|meta| meta.get(era::CLIENT_CAPABILITIES));
        let Some(said) = said.filter(|_| era::is_stateless(message)) else {
            return message.clone();
        };
        let mut edits = Edits::default();
        edits.replace(said.node(), without(said, &self.forbidden()));
        message.edited(edits).unwrap_or_else(|| message.clone())
    }

    /// The act with what the server remembers it by in the place of the client's name for it.
    pub(super) fn resumed(&self, act: Act, message: &Message) -> Result<Act, Misread> {
        let said = message.params().and_then(|params| params.get("requestState"));
        let Some(said) = said.filter(|_| era::is_stateless(message)) else { return Ok(act) };
        let state = said.text().and_then(|name| self.memory.find(&act, &name));
        Ok(act.remembered_by(state.ok_or("this `requestState` belongs to no such request")?))
    }

    /// An answer in which the server wants something: under its name, and only what it may want.
    pub(super) fn wanting(&self, act: &Act, answer: Message) -> Result<Message, Unasked> {
        let Some(result) = answer.result() else { return Ok(answer) };
        if result.text_of("resultType").as_deref() != Some("input_required") {
            return Ok(answer);
        }
        let mut edits = Edits::default();
        let requests = result.get("inputRequests").into_iter().flat_map(View::members);
        for (at, (_, request)) in requests.enumerate() {
            let method = request.text_of("method").unwrap_or_default();
            if at >= INPUTS_MAX {
                return Err("the server asks too much in the middle of a request".to_owned());
            }
            if !self.may_ask(&method) {
                return Err(format!("the server asks for `{method}`, which is not allowed here"));
            }
            let said = request.get("params").and_then(|params| params.get("message"));
            if let Some((said, text)) = said.and_then(|said| Some((said, said.text()?))) {
                edits.replace(said.node(), quoted(&self.labelled(&text)));
            }
        }
        if let Some(state) = result.get("requestState") {
            let name = self.memory.keep(act, &state.compact());
            let name = name.ok_or_else(|| "the kernel gives no random bytes".to_owned())?;
            edits.replace(state.node(), quoted(&name));
        }
        answer.edited(edits).ok_or_else(|| "the server's answer cannot be read".to_owned())
    }
}

/// Why what the server wants does not reach the client.
pub(super) type Unasked = String;

/// What a server may want at a time.
const INPUTS_MAX: usize = 8;
/// Requests of one conversation that are remembered.
const HELD_MAX: usize = 256;
/// Bytes of everything that is.
const HELD_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_mcp::wire::Limits;

    fn act() -> Act {
        let said = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"to":"anna"}}}"#;
        let message = Message::parse(said, &Limits::default()).unwrap();
        Act::of_tool("mcp__bank__pay".to_owned(), "pay", message.params().unwrap()).unwrap()
    }

    #[test]
    fn what_a_server_remembers_of_one_conversation_is_found_in_no_other() {
        let (one, other) = (Memory::default(), Memory::default());
        let (mine, theirs) = (one.keep(&act(), "\"mine\""), other.keep(&act(), "\"theirs\""));
        let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
        assert_eq!(one.find(&act(), &mine).as_deref(), Some("\"mine\""));
        // The same call, whose client comes back in the wrong conversation.
        assert_eq!(other.find(&act(), &mine), None);
        assert_eq!(one.find(&act(), &theirs), None);
    }
}
