//! Which calls of the client has the gate judged? One register per session: the model door writes each
//! call into it before the client hears of it, the hook takes calls up, and what comes back is held
//! against it. A result of a call that is not in here is an act that nobody saw.

mod act;
pub(crate) mod carried;
mod deferred;
mod naming;
mod past;
mod whose;

pub(crate) use act::Act;
pub(crate) use deferred::{PutOff, Terms};
pub(crate) use naming::Naming;
pub(crate) use past::Past;
pub(crate) use whose::{Subagent, Whose};

use bartizan_gate::call::Delegated;
use bartizan_store::Digest;
use deferred::DEFERRED;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The register of one session.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    known: Mutex<HashMap<String, Entry>>,
    past: Option<Past>,
    carried: Mutex<carried::Carried>,
    deferred: deferred::Deferred,
}

/// One call by the client's id of it.
#[derive(Debug, Default)]
struct Entry {
    tool: String,
    agent: Option<String>,
    judged: Vec<Judged>,
    stand_in: Option<StandIn>,
    /// Open: the client is carrying it out.
    delegated: Vec<Delegated>,
    met_hook: bool,
    returned: bool,
    /// Requests to the vendor's machines that were let through for it.
    searches: u8,
}

/// What the gate said of one form of the arguments.
#[derive(Debug)]
struct Judged {
    digest: Digest,
    allowed: bool,
    /// The hook has taken this verdict up: once, so that one approval is one act.
    taken: bool,
    by_model_door: bool,
}

/// What the client holds in the place of a call that was refused, and what the model shall read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StandIn {
    /// The block as the model wrote it; `None` when it was too large to keep.
    pub(crate) original: Option<String>,
    /// The refusal.
    pub(crate) sentence: String,
}

/// The hook's question about a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TakeUp {
    /// The model door has allowed exactly this call; nobody is asked again.
    Joined,
    /// The model door has refused it.
    Refused(String),
    /// The gate has not judged this form of it.
    Unjudged,
}

/// What the register says of a call in a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The gate judged this call.
    Judged,
    /// It stands where a refused one stood.
    StandIn(StandIn),
    /// The gate judged a call of this id, but not this one.
    Changed,
    /// The gate never heard of it.
    Unknown,
}

/// What the register says of a result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Of a call that was allowed, by the tool of this name.
    Allowed(String),
    /// Of a call that a stand-in took the place of.
    StandIn(StandIn),
    /// Of a call that was refused and seems to have happened all the same.
    Refused,
    /// Of a call that nobody knows.
    Unknown,
}

impl Calls {
    /// A register that also knows the calls of earlier sessions.
    pub(crate) fn after(past: Past) -> Self {
        Self { past: Some(past), ..Self::default() }
    }

    /// The model door has allowed a call, and each act that it stands for.
    pub(crate) fn allow(&self, id: &str, agent: Option<&str>, act: &Act, acts: Vec<Delegated>) {
        self.write(id, agent, act, |entry| {
            entry.judge(act, true, true);
            entry.delegated.extend(acts);
            entry.stand_in = None;
            entry.returned = false;
        });
        if let Some(past) = &self.past {
            past.remember(id, act);
        }
    }

    /// How the client's history writes a call that was allowed, where that is not how its hook tells it.
    pub(crate) fn written(&self, id: &str, agent: Option<&str>, act: &Act) {
        self.write(id, agent, act, |entry| {
            entry.judge(act, true, true);
            // No hook takes it up.
            entry.judged.last_mut().iter_mut().for_each(|judged| judged.taken = true);
        });
    }

    /// The model door has refused a call.
    pub(crate) fn refuse(&self, id: &str, agent: Option<&str>, act: &Act, stand_in: StandIn) {
        self.write(id, agent, act, |entry| {
            entry.judge(act, false, true);
            entry.stand_in = Some(stand_in);
        });
        if let Some(past) = &self.past {
            past.remember(id, &act.called(STAND_IN));
        }
    }

    /// The hook asks for a call: what has been said of it already?
    pub(crate) fn take_up(&self, id: &str, agent: Option<&str>, act: &Act) -> TakeUp {
        let mut known = self.lock();
        let Some(entry) = known.get_mut(id) else { return TakeUp::Unjudged };
        entry.met_hook = true;
        if let Some(stand_in) = &entry.stand_in {
            return TakeUp::Refused(stand_in.sentence.clone());
        }
        let same_agent = entry.agent.as_deref() == agent;
        let free = entry.judged.iter_mut().find(|judged| {
            judged.by_model_door && judged.allowed && !judged.taken && judged.digest == act.digest()
        });
        match free {
            Some(judged) if same_agent => {
                judged.taken = true;
                TakeUp::Joined
            }
            _ => TakeUp::Unjudged,
        }
    }

    /// The call that the model door has allowed and no hook has taken up, by an act alone: for a client whose hooks name no ids.
    pub(crate) fn waiting(&self, act: &Act) -> Option<String> {
        self.found(act, |entry, judged| !judged.taken && entry.stand_in.is_none())
    }

    /// The same for a call that a hook has taken up, and that the client carries out.
    pub(crate) fn under_way(&self, act: &Act) -> Option<String> {
        self.found(act, |entry, judged| judged.taken && !entry.delegated.is_empty())
    }

    fn found(&self, act: &Act, fits: impl Fn(&Entry, &Judged) -> bool) -> Option<String> {
        let known = self.lock();
        let found = known.iter().find(|(_, entry)| {
            let mut forms = entry.judged.iter();
            !entry.returned
                && forms.any(|judged| {
                    judged.by_model_door
                        && judged.allowed
                        && judged.digest == act.digest()
                        && fits(entry, judged)
                })
        });
        found.map(|(id, _)| id.clone())
    }

    /// The gate has judged a call at the hook.
    pub(crate) fn hooked(
        &self,
        id: &str,
        agent: Option<&str>,
        act: &Act,
        delegated: Option<Delegated>,
    ) {
        let allowed = delegated.is_some();
        self.write(id, agent, act, |entry| {
            entry.met_hook = true;
            entry.judge(act, allowed, false);
            entry.delegated.extend(delegated);
        });
        if allowed && let Some(past) = &self.past {
            past.remember(id, act);
        }
    }

    /// Whether the client may call by this name at all.
    pub(crate) fn callable(&self, name: &str) -> bool {
        callable(name) || self.says(name)
    }

    /// Whether the hook has asked for it, or needs not, because the client never got it.
    pub(crate) fn met_hook(&self, id: &str) -> bool {
        self.lock().get(id).is_some_and(|entry| entry.met_hook || entry.stand_in.is_some())
    }

    /// Ends a call: gives what the client was carrying out.
    pub(crate) fn close(&self, id: &str) -> Vec<Delegated> {
        let mut known = self.lock();
        known.get_mut(id).map(|entry| std::mem::take(&mut entry.delegated)).unwrap_or_default()
    }

    /// Whether a request may have the vendor's machines search, as a search that was allowed and is under way: a few times for each,
    /// since a client may have to try again. One that is kept under way for ever must not make all searches that its program likes.
    pub(crate) fn may_search(&self) -> bool {
        let mut known = self.lock();
        let open = known.values_mut().find(|entry| {
            entry.tool == "WebSearch" && entry.is_open() && entry.searches < SEARCHES_MAX
        });
        open.map(|entry| entry.searches += 1).is_some()
    }

    /// Holds a call in a conversation against the register. Once its result has come back, what the
    /// client writes into its history is no act any more.
    pub(crate) fn seen(&self, id: &str, act: impl FnOnce() -> Option<Act>, name: &str) -> Seen {
        let known = self.lock();
        let Some(entry) = known.get(id) else {
            drop(known);
            let known_before = self.past.as_ref().is_some_and(|past| match name {
                STAND_IN => past.tool(id).as_deref() == Some(STAND_IN),
                _ => act().is_some_and(|act| past.knows(id, &act)),
            });
            return if known_before { Seen::Judged } else { Seen::Unknown };
        };
        if let Some(stand_in) = entry.stand_in.as_ref().filter(|_| name == STAND_IN) {
            return Seen::StandIn(stand_in.clone());
        }
        if entry.returned && entry.tool == name {
            return Seen::Judged;
        }
        let judged = act()
            .is_some_and(|act| entry.judged.iter().any(|judged| judged.digest == act.digest()));
        if judged && entry.stand_in.is_none() { Seen::Judged } else { Seen::Changed }
    }

    /// Holds a result against the register.
    pub(crate) fn answered(&self, id: &str, is_error: bool) -> Answered {
        let known = self.lock();
        let Some(entry) = known.get(id) else {
            let before = self.past.as_ref().and_then(|past| past.tool(id));
            return match before {
                Some(tool) if tool == DEFERRED && !is_error => Answered::Refused,
                Some(tool) => Answered::Allowed(tool),
                None => Answered::Unknown,
            };
        };
        if let Some(stand_in) = &entry.stand_in {
            return Answered::StandIn(stand_in.clone());
        }
        let allowed = entry.judged.iter().any(|judged| judged.allowed);
        let refused_last = entry.judged.last().is_some_and(|judged| !judged.allowed);
        if !is_error && (!allowed || refused_last) && !entry.returned {
            return Answered::Refused;
        }
        Answered::Allowed(entry.tool.clone())
    }

    /// A result has come back and was in order; says whether the call had met the hook.
    pub(crate) fn returned(&self, id: &str) -> Option<bool> {
        self.over(id);
        let mut known = self.lock();
        let entry = known.get_mut(id)?;
        let first = !std::mem::replace(&mut entry.returned, true);
        first.then_some(entry.met_hook)
    }

    /// Writes a call into the record of this session alone, as an allowed one is.
    #[cfg(test)]
    pub(crate) fn recall(&self, id: &str, act: &Act) {
        self.past.iter().for_each(|past| past.remember(id, act));
    }

    fn write(&self, id: &str, agent: Option<&str>, act: &Act, change: impl FnOnce(&mut Entry)) {
        let mut known = self.lock();
        // Whoever floods the register stops its own session: what does not fit is unknown later.
        if known.len() >= KNOWN_MAX && !known.contains_key(id) {
            return;
        }
        let entry = known.entry(id.to_owned()).or_insert_with(|| Entry {
            tool: act.tool().to_owned(),
            agent: agent.map(str::to_owned),
            ..Entry::default()
        });
        change(entry);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Adds what was said of a form of it; whether there was room.
    fn judge(&mut self, act: &Act, allowed: bool, by_model_door: bool) -> bool {
        // The forms of one call are a handful: as proposed, and as the client rewrote it.
        let room = self.judged.len() < FORMS_MAX;
        if room {
            let digest = act.digest();
            self.judged.push(Judged { digest, allowed, taken: false, by_model_door });
        }
        room
    }

    fn is_open(&self) -> bool {
        !self.returned && !self.delegated.is_empty()
    }
}

/// The name under which a client holds a call that was refused. No client has such a tool, so it says
/// so to the model, and its turn goes on.
pub(crate) const STAND_IN: &str = "bartizan_refused";

/// Whether any client may call by this name: pseudo tools stand for what the doors themselves propose.
fn callable(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(plain)
        && name != STAND_IN
        && name != DEFERRED
        && name != "FileMention"
}

/// Requests that one search that was allowed may be made of. A client tries ten times more where its model is busy.
const SEARCHES_MAX: u8 = 12;
/// Calls kept for one session.
const KNOWN_MAX: usize = 100_000;
/// Forms of one call that are judged.
const FORMS_MAX: usize = 16;
