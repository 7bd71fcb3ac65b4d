//! What is said that asks for no act? The client's news and its answers, the server's news and its questions, each to whom it
//! is for and to nobody else.

use super::{Talk, id_of};
use bartizan_mcp::catalog::Kind;
use bartizan_mcp::method::{self, Side};
use bartizan_mcp::upstream::not_allowed;
use bartizan_mcp::wire::{INTERNAL_ERROR, Id, Message};
use bartizan_scan::json::{Edits, quoted};
use std::sync::atomic::Ordering;

impl Talk {
    /// What the client tells.
    pub(super) fn told(&self, method: &str, message: &Message) {
        match method {
            "notifications/cancelled" => {
                let id = message.params().and_then(|params| params.get("requestId"));
                let open = id.and_then(id_of).and_then(|id| self.lock().open.get(&id).cloned());
                if let Some(open) = open {
                    open.notify_one();
                }
            }
            // Without the client's words, which nobody has judged.
            "notifications/initialized" => self.tell_plainly(method),
            "notifications/roots/list_changed" if self.parts.asks.roots => {
                self.tell_plainly(method);
            }
            // Progress of what the server asked, and news of folders that it may not know.
            _ => {}
        }
    }

    fn tell_plainly(&self, method: &str) {
        if let Some(told) = Message::notification(method, None) {
            self.parts.upstream.tell(told);
        }
    }

    /// The client's answer to a question of the server, and to no other.
    pub(super) fn answered(&self, message: &Message) {
        let Some(Id::Number(own)) = message.id() else { return };
        let Some(theirs) = self.lock().asked.remove(own) else { return };
        if let Some(answer) = message.with_id(&theirs) {
            self.parts.upstream.tell(answer);
        }
    }

    /// A question of the server to the client's person or model.
    pub(super) fn ask_client(&self, message: &Message) {
        let (Some(id), Some(method)) = (message.id(), message.method()) else { return };
        if !self.may_ask(method) {
            self.parts.upstream.tell(not_allowed(id, method));
            return;
        }
        let (own, listener) = {
            let mut state = self.lock();
            if state.asked.len() >= ASKED_MAX {
                drop(state);
                self.parts.upstream.tell(Message::failure(
                    Some(id),
                    INTERNAL_ERROR,
                    "too many questions",
                ));
                return;
            }
            state.next += 1;
            let own = state.next;
            state.asked.insert(own, id.clone());
            (own, state.listener.clone())
        };
        let mut edits = Edits::default();
        if let Some(said) = message.params().and_then(|params| params.get("message"))
            && let Some(text) = said.text()
        {
            edits.replace(said.node(), quoted(&self.labelled(&text)));
        }
        let asked = message.edited(edits).and_then(|message| message.with_id(&Id::Number(own)));
        let asked = asked.and_then(|message| self.cleaned(&message, None));
        let sent = asked.zip(listener).is_some_and(|(asked, to)| to.try_send(asked).is_ok());
        if !sent {
            self.lock().asked.remove(&own);
            self.parts.upstream.tell(Message::failure(
                Some(id),
                INTERNAL_ERROR,
                "nobody can be asked",
            ));
        }
    }

    /// Whether the server may ask its client this.
    pub(super) fn may_ask(&self, method: &str) -> bool {
        match method {
            "elicitation/create" => self.parts.asks.elicitation,
            "roots/list" => self.parts.asks.roots,
            "sampling/createMessage" => self.parts.asks.sampling,
            _ => false,
        }
    }

    /// What the server says to a person. Who asks is not for the server to say.
    pub(super) fn labelled(&self, text: &str) -> String {
        format!("[server {}] {text}", self.parts.server)
    }

    /// News from the server.
    pub(super) fn tell_client(&self, message: &Message) {
        let Some(method) = message.method() else { return };
        // A storm of it is one change, until somebody has looked.
        let is_known = match method {
            "notifications/tools/list_changed" => self.stale.swap(true, Ordering::AcqRel),
            "notifications/prompts/list_changed" => self.turned(&[Kind::Prompt]),
            "notifications/resources/list_changed" => {
                self.turned(&[Kind::Resource, Kind::Template])
            }
            _ => false,
        };
        if is_known {
            return;
        }
        let passes = method::is_notification(Side::Server, method);
        if !passes || method == "notifications/cancelled" {
            return;
        }
        let listener = self.lock().listener.clone();
        if let (Some(to), Some(message)) = (listener, self.cleaned(message, None)) {
            drop(to.try_send(message));
        }
    }
}

impl Talk {
    /// Whether it was known of all these lists that they changed; where nobody looks at them, nothing is.
    fn turned(&self, kinds: &[Kind]) -> bool {
        let known: Vec<bool> = kinds.iter().map(|kind| self.seen.turns(*kind)).collect();
        self.parts.look.is_some() && !known.contains(&false)
    }
}

/// Questions of a server that may wait for the client.
const ASKED_MAX: usize = 8;
