//! Which calls does the gateway carry, so that nobody else need judge them? Those of the servers that the client reaches
//! through us: what reaches one is judged there, with the arguments that arrive.

use super::{Act, Calls, Entry, Naming, Subagent, Whose};
use crate::app::Gate;
use crate::doors::mcp::tools::pseudo;
use bartizan_gate::call::Proposed;
use bartizan_gate::name::{RoleName, ToolName};
use bartizan_gate::policy::Verdict;
use bartizan_gate::seat::Seat;
use bartizan_gate::tool::Catalogue;
use bartizan_store::Digest;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The client's servers that are ours, by the client's name of each; a server's name in policies, or none where the
/// declared tools are.
pub(crate) type Entries = BTreeMap<String, Option<String>>;

/// What the client finds behind the gateway.
#[derive(Debug, Default)]
pub(crate) struct Offer {
    pub(crate) entries: Entries,
    /// The names of the declared tools.
    pub(crate) declared: Vec<String>,
    /// How the client names what there is.
    pub(crate) naming: Naming,
}

/// What a session's register knows of the gateway.
#[derive(Debug, Default)]
pub(super) struct Carried {
    offer: Offer,
    /// Calls that a model has proposed and that have not reached the gateway.
    ahead: HashMap<Digest, Vec<Ahead>>,
    /// The kinds of subagents of other roles than the session's whose programs may speak at the gateway.
    beside: BTreeSet<String>,
}

/// A call on its way.
#[derive(Debug)]
struct Ahead {
    /// The client's id of it.
    call: String,
    agent: Option<Subagent>,
}

/// What the gateway will see of a call that is left to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// The call.
    Call,
    /// Lists, which are no acts.
    List,
    /// A resource that is read.
    Read(Digest),
}

impl Left {
    /// By what it is known when it arrives.
    fn at(self, act: &Act) -> Option<Digest> {
        match self {
            Self::Call => Some(act.digest()),
            Self::List => None,
            Self::Read(at) => Some(at),
        }
    }
}

/// Who a call is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) seat: &'a Seat,
    pub(crate) agent: Option<&'a Subagent>,
}

impl By<'_> {
    fn role(&self) -> &RoleName {
        self.agent.map_or(&self.seat.role, |agent| agent.role(self.seat))
    }

    /// The kind of a subagent with a role of its own.
    fn other(&self) -> Option<&str> {
        self.agent.filter(|_| *self.role() != self.seat.role).map(|agent| &*agent.kind)
    }
}

/// A call that has reached the gateway.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Whether a model had proposed it, so that it has been counted.
    pub(crate) proposed: bool,
    pub(crate) whose: Whose,
}

impl Calls {
    /// From now on the calls of these servers go through the gateway.
    pub(crate) fn gateway(&self, offer: Offer) {
        self.carried().offer = offer;
    }

    /// The act that a call at the gateway is, as the client's model names it.
    pub(crate) fn act_at(&self, entry: &str, own: &str, arguments: &Value, workspace: &str) -> Act {
        let name = self.carried().offer.naming.join(entry, own);
        Act::of(&name, arguments, workspace)
    }

    /// Whether the gateway judges this call, so that here it may pass, and what it will be there. A call that policy denies is
    /// refused here already.
    pub(crate) fn leaves(
        &self,
        gate: &Gate,
        (name, arguments): (&str, &Value),
        by: By<'_>,
        propose: impl Fn(String) -> Proposed,
    ) -> Option<Left> {
        let looked_at = self.carried().offer.looks(name, arguments);
        if let Some(servers) = looked_at {
            // What is listed is what the session's role may see.
            let may =
                by.other().is_none() || servers.iter().all(|server| may_look(gate, by, server));
            let uri = arguments.get("uri").and_then(Value::as_str);
            return may.then(|| uri.map_or(Left::List, |uri| Left::Read(read(uri).digest())));
        }
        let tool = self.known_as(gate, name)?;
        // What was accepted since the session began is known at the gateway alone.
        if gate.pipeline().catalogue().get(&tool).is_none() {
            return Some(Left::Call);
        }
        let judged = gate.pipeline().explain(propose(tool));
        let denied = judged.map_or(true, |judged| judged.verdict == Verdict::Deny);
        (!denied).then_some(Left::Call)
    }

    /// Whether it is the client's name for a tool of a server, though it has letters that no other name has.
    pub(super) fn says(&self, name: &str) -> bool {
        self.carried().offer.naming.says(name)
    }

    /// The tool that policies speak of, where the client has another name for it.
    pub(crate) fn known_as(&self, gate: &Gate, name: &str) -> Option<String> {
        self.carried().offer.tool(name, gate.pipeline().catalogue())
    }

    /// A call has been left to the gateway.
    pub(crate) fn leave(&self, id: &str, by: By<'_>, act: &Act, left: Left) {
        let agent = by.agent.map(|agent| &*agent.id);
        self.write(id, agent, act, |entry: &mut Entry| {
            entry.judge(act, true, true);
            entry.stand_in = None;
            entry.returned = false;
        });
        let mut carried = self.carried();
        if let Some(at) = left.at(act) {
            let ahead = Ahead { call: id.to_owned(), agent: by.agent.cloned() };
            carried.ahead.entry(at).or_default().push(ahead);
        }
        // Were it to arrive as another than it was, nobody would know that it is its.
        carried.beside.extend(by.other().map(str::to_owned));
        drop(carried);
        if let Some(past) = &self.past {
            past.remember(id, act);
        }
    }

    /// The hook has let a call pass for the gateway to judge. Where a model has proposed the call of this id and it has not
    /// arrived, this is that one, as the client writes it; whatever else a hook is asked has been proposed by no model, and
    /// is no pass there.
    pub(crate) fn leave_at_hook(&self, id: &str, by: By<'_>, act: &Act, left: Left) {
        let agent = by.agent.map(|agent| &*agent.id);
        let mut news = false;
        self.write(id, agent, act, |entry: &mut Entry| {
            entry.met_hook = true;
            news = entry.judged.iter().all(|judged| judged.digest != act.digest())
                && entry.judge(act, true, false);
        });
        let mut carried = self.carried();
        let waited = carried.take_ahead(id, by.agent);
        if let (Some(at), Some(ahead)) = (left.at(act), waited) {
            carried.ahead.entry(at).or_default().push(ahead);
        }
        carried.beside.extend(by.other().map(str::to_owned));
        drop(carried);
        // Who asks the hook without end writes nothing by it that is not in the register, which is bounded.
        if let Some(past) = self.past.as_ref().filter(|_| news) {
            past.remember(id, act);
        }
    }

    /// An agent has done something: programs of it may run from now on, and where they run in the session's box, they can speak at
    /// the gateway.
    pub(crate) fn acts(&self, by: By<'_>) {
        if let Some(kind) = by.other().filter(|_| !by.seat.confined.contains_key(by.role())) {
            self.carried().beside.insert(kind.to_owned());
        }
    }

    /// A call has reached the gateway; `call` is the client's id of it, where it says so.
    pub(crate) fn arrives(&self, act: &Act, call: Option<&str>) -> Arrived {
        let mut carried = self.carried();
        let Some(ahead) = carried.ahead.get_mut(&act.digest()) else {
            return Arrived { proposed: false, whose: Whose::unproposed(&carried.beside) };
        };
        let named = ahead.iter().position(|ahead| Some(&*ahead.call) == call);
        let subagents = || ahead.iter().position(|ahead| ahead.agent.is_some());
        let found = ahead.remove(named.or_else(subagents).unwrap_or(0));
        if ahead.is_empty() {
            carried.ahead.remove(&act.digest());
        }
        Arrived { proposed: true, whose: Whose::of(found.agent) }
    }

    /// Who may have asked for what no model proposes.
    pub(crate) fn anybody(&self) -> Whose {
        Whose::unproposed(&self.carried().beside)
    }

    /// A call has its result: if it never reached the gateway, no other shall pass for it.
    pub(super) fn over(&self, id: &str) {
        self.carried().ahead.retain(|_, ahead| {
            ahead.retain(|ahead| ahead.call != id);
            !ahead.is_empty()
        });
    }

    fn carried(&self) -> std::sync::MutexGuard<'_, Carried> {
        self.carried.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Carried {
    /// Takes out the call of this id that this agent's model has proposed, if it has not arrived.
    fn take_ahead(&mut self, id: &str, agent: Option<&Subagent>) -> Option<Ahead> {
        let is_it = |ahead: &Ahead| ahead.call == id && ahead.agent.as_ref() == agent;
        let (at, waiting) = self.ahead.iter_mut().find(|(_, waiting)| waiting.iter().any(is_it))?;
        let found = waiting.iter().position(is_it).map(|place| waiting.remove(place));
        if waiting.is_empty() {
            let at = *at;
            self.ahead.remove(&at);
        }
        found
    }
}

impl Offer {
    /// The server that a tool is of, and what the client calls it there.
    fn of_entry<'a>(&self, name: &'a str) -> Option<(Option<&str>, &'a str)> {
        let (entry, said) = self.naming.split(name)?;
        Some((self.entries.get(entry)?.as_deref(), said))
    }

    /// Whether it is a look at the resources of our servers, and of which; the gateway judges each resource that is asked for.
    fn looks(&self, name: &str, arguments: &Value) -> Option<Vec<String>> {
        let key = self.naming.looks(name).filter(|_| !self.entries.is_empty())?;
        match arguments.get(key).filter(|server| !server.is_null()) {
            Some(server) => {
                let server = self.entries.get(server.as_str()?)?;
                Some(server.iter().cloned().collect())
            }
            None => Some(self.entries.values().flatten().cloned().collect()),
        }
    }

    /// Whether the client calls its server's tool `own` by this name.
    fn is(&self, name: &str, own: &str) -> bool {
        let entry = self.naming.split(name).map(|(entry, _)| entry);
        entry.is_some_and(|entry| self.naming.join(entry, own) == name)
    }

    /// The gate's name of a tool that the client calls by this one.
    fn tool(&self, name: &str, catalogue: &Catalogue) -> Option<String> {
        let (server, said) = self.of_entry(name)?;
        let whole = |own: &str| match server {
            Some(server) => format!("mcp__{server}__{own}"),
            None => own.to_owned(),
        };
        let exact = whole(said);
        // What the doors themselves propose has dots, and is nobody's to call.
        let callable = server.is_some() || !exact.contains('.') || self.declared.contains(&exact);
        if callable && catalogue.get(&exact).is_some() {
            return Some(exact);
        }
        // The client has put its own letters for some of the server's, if there is just one such tool.
        let behind = whole("");
        let of_server =
            catalogue.iter().filter_map(|tool| tool.name().as_str().strip_prefix(&*behind));
        let mut likely: Vec<&str> = match server {
            Some(_) => of_server.collect(),
            None => self.declared.iter().map(String::as_str).collect(),
        };
        likely.retain(|own| self.is(name, own));
        if let [own] = &*likely { Some(whole(own)) } else { callable.then_some(exact) }
    }
}

/// The act of reading a resource at the gateway.
pub(crate) fn read(uri: &str) -> Act {
    Act::of("resources/read", &json!({ "uri": uri }), "")
}

/// Whether the role may ever read a resource of a server.
fn may_look(gate: &Gate, by: By<'_>, server: &str) -> bool {
    let name = ToolName::parse(&pseudo(server, "resource"));
    name.is_ok_and(|name| gate.pipeline().policy().may_ever(by.role(), &name))
}

#[cfg(test)]
mod tests;
