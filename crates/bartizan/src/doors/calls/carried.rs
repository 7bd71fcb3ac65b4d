//! Which calls does the gateway carry, so that nobody else need judge them? Those of the servers that the client reaches
//! through us: what reaches one is judged there, with the arguments that arrive.

use super::{Act, Calls, Entry, Naming};
use crate::app::Gate;
use bartizan_gate::call::Proposed;
use bartizan_gate::policy::Verdict;
use bartizan_gate::tool::Catalogue;
use bartizan_store::Digest;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

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
    /// Calls that the model has proposed and that have not reached the gateway.
    ahead: HashMap<Digest, u32>,
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

    /// Whether the gateway judges this call, so that here it may pass. A call that policy denies is refused here already,
    /// and what a subagent needs a person's word for is asked here, since the gateway does not know who calls.
    pub(crate) fn leaves(
        &self,
        gate: &Gate,
        (name, arguments): (&str, &Value),
        subagent: bool,
        propose: impl Fn(String) -> Proposed,
    ) -> bool {
        if self.carried().offer.looks(name, arguments) {
            return !subagent;
        }
        let Some(tool) = self.known_as(gate, name) else { return false };
        // What was accepted since the session began is known at the gateway alone; what a subagent may is not known there.
        if gate.pipeline().catalogue().get(&tool).is_none() {
            return !subagent;
        }
        gate.pipeline().explain(propose(tool)).is_ok_and(|judged| match judged.verdict {
            Verdict::Allow => true,
            Verdict::Ask { .. } => !subagent,
            Verdict::Deny => false,
        })
    }

    /// The tool that policies speak of, where the client has another name for it.
    pub(crate) fn known_as(&self, gate: &Gate, name: &str) -> Option<String> {
        self.carried().offer.tool(name, gate.pipeline().catalogue())
    }

    /// A call has been left to the gateway.
    pub(crate) fn leave(&self, id: &str, agent: Option<&str>, act: &Act) {
        self.write(id, agent, act, |entry: &mut Entry| {
            entry.judge(act, true, true);
            entry.stand_in = None;
            entry.returned = false;
        });
        let mut carried = self.carried();
        // A look at a server's resources is no call of a tool there.
        if carried.offer.of_entry(act.tool()).is_some() {
            *carried.ahead.entry(act.digest()).or_default() += 1;
        }
        drop(carried);
        if let Some(past) = &self.past {
            past.remember(id, act);
        }
    }

    /// A call has reached the gateway: whether the model had proposed it.
    pub(crate) fn arrives(&self, act: &Act) -> bool {
        let mut carried = self.carried();
        let Some(ahead) = carried.ahead.get_mut(&act.digest()) else { return false };
        *ahead -= 1;
        if *ahead == 0 {
            carried.ahead.remove(&act.digest());
        }
        true
    }

    fn carried(&self) -> std::sync::MutexGuard<'_, Carried> {
        self.carried.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Offer {
    /// The server that a tool is of, and what the client calls it there.
    fn of_entry<'a>(&self, name: &'a str) -> Option<(Option<&str>, &'a str)> {
        let (entry, said) = self.naming.split(name)?;
        Some((self.entries.get(entry)?.as_deref(), said))
    }

    /// Whether it is a look at the resources of our servers; the gateway judges each that is asked for.
    fn looks(&self, name: &str, arguments: &Value) -> bool {
        let Some(key) = self.naming.looks(name).filter(|_| !self.entries.is_empty()) else {
            return false;
        };
        match arguments.get(key).filter(|server| !server.is_null()) {
            Some(server) => server.as_str().is_some_and(|name| self.entries.contains_key(name)),
            None => true,
        }
    }

    /// The gate's name of a tool that the client calls by this one.
    fn tool(&self, name: &str, catalogue: &Catalogue) -> Option<String> {
        let (server, said) = self.of_entry(name)?;
        let whole = |own: &str| match server {
            Some(server) => format!("mcp__{server}__{own}"),
            None => own.to_owned(),
        };
        let exact = whole(said);
        if catalogue.get(&exact).is_some() {
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
        likely.retain(|own| self.naming.tool(own) == said);
        Some(if let [own] = &*likely { whole(own) } else { exact })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::trial::Trial;
    use bartizan_gate::call::Door;
    use serde_json::json;

    #[test]
    fn a_call_reaches_the_gateway_as_often_as_the_model_has_proposed_it() {
        let calls = Calls::default();
        let entries = Entries::from([("shop".to_owned(), Some("shop".to_owned()))]);
        calls.gateway(Offer { entries, ..Offer::default() });
        let act = |text: &str| calls.act_at("shop", "find", &json!({ "text": text }), "/w");
        calls.leave("1", None, &act("a"));
        calls.leave("2", None, &act("a"));
        assert!(!calls.arrives(&act("b")));
        assert!(calls.arrives(&act("a")) && calls.arrives(&act("a")));
        assert!(!calls.arrives(&act("a")));
    }

    #[test]
    fn a_call_is_left_to_the_gateway_unless_it_is_denied_or_a_subagents_that_must_be_asked() {
        let trial = Trial::new(&["Read"], &["Write"]);
        let calls = Calls::default();
        let entries = Entries::from([("own".to_owned(), None)]);
        calls.gateway(Offer { entries, ..Offer::default() });
        let leaves = |name: &str, subagent: bool| {
            calls.leaves(&trial.gate, (name, &json!({})), subagent, |tool| {
                let arguments = json!({ "file_path": "/w/a", "content": "x" });
                let arguments = match &*tool {
                    "Read" => json!({ "file_path": "/w/a" }),
                    "Bash" => json!({ "command": "true" }),
                    _ => arguments,
                };
                Proposed::new(&trial.caller, Door::Model, tool, arguments)
            })
        };
        assert!(leaves("mcp__own__Read", false) && leaves("mcp__own__Read", true));
        assert!(leaves("mcp__own__Write", false) && !leaves("mcp__own__Write", true));
        assert!(!leaves("mcp__own__Bash", false) && !leaves("mcp__own__Bash", true), "denied");
        // The gateway may know by now what the session did not when it began, but not what a subagent may.
        assert!(leaves("mcp__own__new", false) && !leaves("mcp__own__new", true));
        assert!(!leaves("Read", false), "no tool of ours");
    }

    #[test]
    fn only_the_names_of_our_servers_lead_to_the_gateway() {
        let entries = [("a_b".to_owned(), Some("a.b".to_owned())), ("own".to_owned(), None)];
        let offer = Offer { entries: Entries::from(entries), ..Offer::default() };
        let catalogue = Catalogue::builtin().unwrap();
        let known = |name: &str| offer.tool(name, &catalogue);
        assert_eq!(known("mcp__a_b__x__y").as_deref(), Some("mcp__a.b__x__y"));
        assert_eq!(known("mcp__own__pay").as_deref(), Some("pay"));
        for other in ["mcp__a.b__x", "mcp__a__x", "a_b__x", "Bash", "mcp__a_b"] {
            assert_eq!(known(other), None, "{other}");
        }
    }

    #[test]
    fn a_look_at_resources_is_left_to_the_gateway_if_it_is_at_servers_of_ours() {
        let entries = Entries::from([("notes".to_owned(), Some("notes".to_owned()))]);
        let offer = |naming: Naming| Offer { entries: entries.clone(), naming, ..Offer::default() };
        for (naming, tool, arguments, left) in [
            (Naming::ClaudeCode, "ReadMcpResourceTool", json!({"server": "notes"}), true),
            (Naming::ClaudeCode, "ListMcpResourcesTool", json!({}), true),
            (Naming::ClaudeCode, "ReadMcpResourceTool", json!({"server": "theirs"}), false),
            (Naming::ClaudeCode, "ReadMcpResourceTool", json!({"server": ["notes"]}), false),
            (Naming::ClaudeCode, "read_mcp_resource", json!({"server": "notes"}), false),
            (Naming::Codex, "read_mcp_resource", json!({"server": "notes", "uri": "a"}), true),
            (Naming::Codex, "list_mcp_resource_templates", json!({"server": null}), true),
            (Naming::Codex, "read_mcp_resource", json!({"server": "theirs"}), false),
            (Naming::GeminiCli, "read_mcp_resource", json!({"uri": "a"}), true),
            (Naming::GeminiCli, "list_mcp_resources", json!({"serverName": "theirs"}), false),
            (Naming::GeminiCli, "Read_Mcp_Resource", json!({}), false),
        ] {
            assert_eq!(offer(naming).looks(tool, &arguments), left, "{tool} {arguments}");
        }
        let none = Offer { naming: Naming::Codex, ..Offer::default() };
        assert!(!none.looks("list_mcp_resources", &json!({})), "there is no server");
    }

    #[test]
    fn a_tool_is_known_by_the_clients_letters_for_it() {
        let entries = [("a_b".to_owned(), Some("a-b".to_owned())), ("own".to_owned(), None)];
        let declared = vec!["pay-now".to_owned()];
        let offer = Offer { entries: Entries::from(entries), declared, naming: Naming::Codex };
        let mut catalogue = Catalogue::builtin().unwrap();
        let tool =
            |name: &str| json!({ "name": name, "input": { "type": "object", "properties": {} } });
        let names = ["mcp__a-b__do-it", "mcp__a-b__two.one", "mcp__a-b__two-one", "pay-now"];
        let tools: Vec<_> = names.map(tool).to_vec();
        catalogue.add(&json!({ "server": "s", "tools": tools }).to_string()).unwrap();
        let known = |name: &str| offer.tool(name, &catalogue).unwrap();
        assert_eq!(known("mcp__a_b__do_it"), "mcp__a-b__do-it");
        assert_eq!(known("mcp__own__pay_now"), "pay-now");
        assert_eq!(known("mcp__a_b__two_one"), "mcp__a-b__two_one", "it could be either");
        assert_eq!(known("mcp__own__net_connect"), "net_connect", "no tool of the doors");
    }
}
