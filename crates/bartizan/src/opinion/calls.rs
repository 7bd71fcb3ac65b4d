//! Does somebody else doubt a call that policy would let through? Asked of what changes something, in a session that has
//! read what nobody vouches for; a doubt has a person look at the call.
//!
//! The call is hostile, and so may the answer be: it is shown as data, whole or not at all, and a number under the mark
//! changes nothing but that policy alone decides. Whoever is not asked, or does not answer, is taken for doubting, unless
//! the person has said otherwise.

use super::{Opinion, Opinions, Pace, Turn};
use crate::config::second_opinion::AskedCalls;
use bartizan_gate::name::SessionId;
use bartizan_gate::pipeline::Weighed;
use bartizan_store::Digest;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

/// What is kept of calls that were asked about, and of what people have said.
#[derive(Debug, Default)]
pub(super) struct Calls {
    said: HashMap<Digest, u8>,
    pace: Pace,
    /// The last words of each session's user.
    user: HashMap<String, VecDeque<String>>,
}

/// What somebody else makes of a call.
#[derive(Debug)]
pub(crate) struct Doubt {
    /// What was said, or why nothing was.
    opinion: Opinion,
    /// Whether it was made just now.
    pub(crate) is_news: bool,
    /// Why a person looks at the call, in words for them; `None` when nobody has to.
    pub(crate) why: Option<String>,
}

impl Opinions {
    /// Whether calls are asked about at all.
    pub(crate) fn asks_of_calls(&self) -> bool {
        self.settings.calls.is_some()
    }

    /// A session's user says this.
    pub(crate) fn heard(&self, session: &SessionId, text: &str) {
        if self.settings.calls.is_none() || text.trim().is_empty() {
            return;
        }
        let mut calls = self.calls();
        let words = calls.user.entry(session.to_string()).or_default();
        if words.len() >= WORDS {
            words.pop_front();
        }
        let end = text.floor_char_boundary(WORDS_BYTES);
        words.push_back(text.get(..end).unwrap_or_default().to_owned());
    }

    /// What is made of a call that policy lets through, if it is one to ask about. It waits for the answer.
    pub(crate) fn of_call(&self, session: &SessionId, call: &Weighed) -> Option<Doubt> {
        let asked = self.settings.calls.filter(|asked| {
            let changes = is_script(call) || asked.effects.contains(&call.effect);
            call.origins.taint.tainted && changes
        })?;
        let shown = self.shown(session, call);
        let (opinion, is_news) = self.answered(&shown);
        let why = self.doubt(asked, opinion);
        Some(Doubt { opinion, is_news, why })
    }

    /// What the log says of it.
    pub(crate) fn record_of_call(&self, tool: &str, doubt: &Doubt) -> Map<String, Value> {
        let mut about = Map::new();
        let mut put = |name: &str, value: Value| about.insert(name.to_owned(), value);
        put("kind", json!("call-opinion"));
        put("tool", json!(tool));
        put("by", json!(self.settings.model));
        put("host", json!(self.settings.to.target().to_string()));
        match doubt.opinion {
            Opinion::Said(said) => put("said", json!(said)),
            Opinion::None(why) => put("none", json!(why)),
        };
        put("doubted", json!(doubt.why.is_some()));
        about
    }

    /// All that is shown of a call, without secrets.
    fn shown(&self, session: &SessionId, call: &Weighed) -> Value {
        let words = self.calls().user.get(session.as_str()).cloned().unwrap_or_default();
        let values = call.origins.provenance.values.iter().map(|traced| {
            json!({ "part": traced.part.name(), "value": traced.value, "from": traced.origin.as_str() })
        });
        let effect = if is_script(call) { json!("unknown") } else { json!(call.effect) };
        let mut shown = json!({
            "call": { "tool": call.tool, "effect": effect, "arguments": call.arguments },
            "user": words,
            "read": &*call.origins.taint.sources,
            "values": values.collect::<Vec<_>>(),
        });
        self.redactor.redact_json(&mut shown);
        shown
    }

    /// What is said of it, and whether that is new.
    fn answered(&self, shown: &Value) -> (Opinion, bool) {
        let text = shown.to_string();
        // A part of a call says nothing of the rest.
        if text.len() > self.settings.bytes {
            return (Opinion::None("too-long"), true);
        }
        let digest = Digest::of(text.as_bytes());
        {
            let mut calls = self.calls();
            if let Some(said) = calls.said.get(&digest) {
                return (Opinion::Said(*said), false);
            }
            match calls.pace.turn(self.settings.per_minute, Instant::now()) {
                Turn::Ask => {}
                Turn::Known(said) => return (Opinion::Said(said), false),
                Turn::Pass(why) => {
                    return (Opinion::None(why.unwrap_or("not-asked")), why.is_some());
                }
            }
        }
        let said = self.waited(async |key| self.adviser.ask_of_call(&key, shown).await);
        let mut calls = self.calls();
        let opinion = match said {
            Ok(said) => {
                if calls.said.len() >= KEPT {
                    calls.said.clear();
                }
                calls.said.insert(digest, said);
                Opinion::Said(said)
            }
            Err(why) => {
                calls.pace.rest(Instant::now());
                Opinion::None(why)
            }
        };
        (opinion, true)
    }

    fn doubt(&self, asked: AskedCalls, opinion: Opinion) -> Option<String> {
        let model = &self.settings.model;
        match opinion {
            Opinion::Said(said) if said >= asked.from => {
                Some(format!("{model}, which was asked ({said} of 100)"))
            }
            Opinion::Said(_) => None,
            Opinion::None(_) if !asked.silence_asks => None,
            Opinion::None(why) => {
                Some(format!("{model} was to be asked and has not answered ({why})"))
            }
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a call is a program that makes calls as it runs. By itself it changes nothing, which is what policy goes by; what
/// its calls will do, nobody can tell, and the worst counts.
fn is_script(call: &Weighed) -> bool {
    SCRIPTS.contains(&call.tool.as_str())
}

const SCRIPTS: [&str; 1] = ["codex.script"];
/// So many of a user's messages are shown, the last ones, and so much of each.
const WORDS: usize = 4;
const WORDS_BYTES: usize = 1024;
const KEPT: usize = 4096;
