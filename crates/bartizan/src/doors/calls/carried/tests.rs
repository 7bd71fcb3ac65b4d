use super::*;
use crate::doors::calls::Past;
use crate::doors::trial::Trial;
use bartizan_gate::call::Door;

/// A session's agent, and subagents of a role that may read and no more.
struct House {
    trial: Trial,
    calls: Calls,
    helper: Subagent,
}

impl House {
    fn new() -> Self {
        let trial = Trial::beside(&["Read", "Bash"], &["Write"], &["Read"]);
        let calls = Calls::default();
        let entries = Entries::from([("own".to_owned(), None)]);
        calls.gateway(Offer { entries, ..Offer::default() });
        let helper = Subagent { id: "a1".to_owned(), kind: "helper".to_owned() };
        Self { trial, calls, helper }
    }

    fn main(&self) -> By<'_> {
        By { seat: self.trial.caller.seat(), agent: None }
    }

    fn helper(&self) -> By<'_> {
        By { agent: Some(&self.helper), ..self.main() }
    }

    fn leaves(&self, name: &str, by: By<'_>) -> Option<Left> {
        self.calls.leaves(&self.trial.gate, (name, &json!({})), by, |tool| {
            let arguments = match &*tool {
                "Read" => json!({ "file_path": "/w/a" }),
                "Bash" => json!({ "command": "true" }),
                _ => json!({ "file_path": "/w/a", "content": "x" }),
            };
            let proposed = Proposed::new(&self.trial.caller, Door::Model, tool, arguments);
            match by.agent {
                Some(agent) => proposed.by_subagent(&*agent.kind, &*agent.id),
                None => proposed,
            }
        })
    }

    fn act(&self, text: &str) -> Act {
        self.calls.act_at("own", "find", &json!({ "text": text }), "/w")
    }

    /// Whose a call is that arrives; `None` for one that no model has proposed.
    fn arrives(&self, text: &str, call: Option<&str>) -> Option<Whose> {
        let arrived = self.calls.arrives(&self.act(text), call);
        arrived.proposed.then_some(arrived.whose)
    }
}

#[test]
fn a_call_reaches_the_gateway_as_often_as_the_model_has_proposed_it() {
    let house = House::new();
    for call in ["1", "2", "3"] {
        house.calls.leave(call, house.main(), &house.act("a"), Left::Call);
    }
    assert_eq!(house.arrives("b", None), None);
    assert!(house.arrives("a", None).is_some() && house.arrives("a", Some("2")).is_some());
    // What has its result without having been there is no pass for another.
    assert_eq!(house.calls.returned("3"), Some(false));
    assert_eq!(house.arrives("a", None), None);
}

/// Any program in the box can ask the hook.
#[test]
fn what_the_hook_alone_was_asked_is_no_pass_at_the_gateway() {
    let house = House::new();
    house.calls.leave_at_hook("x", house.main(), &house.act("a"), Left::Call);
    assert_eq!(house.arrives("a", Some("x")), None);
    // What a model has proposed is one call, in whatever words the client has it.
    house.calls.leave("m", house.main(), &house.act("a"), Left::Call);
    house.calls.leave_at_hook("m", house.helper(), &house.act("b"), Left::Call);
    assert_eq!(house.arrives("b", Some("m")), None, "it was another agent's");
    house.calls.leave_at_hook("m", house.main(), &house.act("b"), Left::Call);
    assert_eq!(house.arrives("a", Some("m")), None);
    assert_eq!(house.arrives("b", None), Some(Whose::default()));
    house.calls.leave_at_hook("m", house.main(), &house.act("b"), Left::Call);
    assert_eq!(house.arrives("b", Some("m")), None, "it has been there");
    assert!(house.calls.carried().ahead.is_empty());
}

#[test]
fn whoever_asks_the_hook_without_end_fills_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (house, open) = (House::new(), || Past::open(dir.path(), "past").unwrap());
    let calls = Calls::after(open());
    for number in 0..1000 {
        calls.leave_at_hook("1", house.main(), &house.act("a"), Left::Call);
        calls.leave_at_hook("2", house.main(), &house.act(&number.to_string()), Left::Call);
    }
    let lines = std::fs::read_to_string(dir.path().join("past")).unwrap().lines().count();
    assert!((2..=20).contains(&lines), "{lines}");
    assert!(open().knows("1", &house.act("a")));
}

#[test]
fn a_call_at_the_gateway_is_of_whose_model_proposed_it() {
    let house = House::new();
    let (main, helper) = (Whose::default(), Whose::of(Some(house.helper.clone())));
    house.calls.leave("m", house.main(), &house.act("a"), Left::Call);
    house.calls.leave("h", house.helper(), &house.act("a"), Left::Call);
    assert_eq!(house.arrives("a", Some("m")), Some(main.clone()));
    assert_eq!(house.arrives("a", Some("h")), Some(helper.clone()));
    house.calls.leave("m", house.main(), &house.act("a"), Left::Call);
    house.calls.leave("h", house.helper(), &house.act("a"), Left::Call);
    assert_eq!(house.arrives("a", Some("forged")), Some(helper), "the one that may do less");
    assert_eq!(house.arrives("a", None), Some(main));
    let page = read("demo://page/1");
    house.calls.leave("r", house.main(), &house.act("looks"), Left::Read(page.digest()));
    assert!(house.calls.arrives(&page, None).proposed, "a resource is known by its name");
    assert!(!house.calls.arrives(&page, None).proposed);
}

#[test]
fn what_nobody_proposed_is_of_the_subagents_whose_programs_may_run() {
    let house = House::new();
    let proposal = || {
        let arguments = json!({ "command": "true" });
        Proposed::new(&house.trial.caller, Door::Mcp, "Bash", arguments)
    };
    let may = |whose: &Whose| {
        let proposed = whose.propose(&house.trial.gate, proposal);
        house
            .trial
            .gate
            .pipeline()
            .explain(proposed)
            .is_ok_and(|judged| judged.verdict == Verdict::Allow)
    };
    let twin = Subagent { id: "a2".to_owned(), kind: "twin".to_owned() };
    house.calls.acts(house.main());
    house.calls.acts(By { agent: Some(&twin), ..house.main() });
    assert!(may(&house.calls.anybody()), "there is nobody but the session, and one of its role");
    house.calls.acts(house.helper());
    let arrived = house.calls.arrives(&house.act("a"), Some("forged"));
    assert!(!arrived.proposed && !may(&arrived.whose), "{arrived:?}");
    assert!(!may(&house.calls.anybody()));
    // Of several the one decides that may do the least, wherever it stands.
    for kinds in [["helper", "twin"], ["a", "helper"]] {
        let kinds = kinds.map(str::to_owned);
        assert!(!may(&Whose::unproposed(&kinds)));
    }
}

#[test]
fn a_call_is_left_to_the_gateway_unless_its_agent_may_not_make_it() {
    let house = House::new();
    let (main, helper) = (house.main(), house.helper());
    for (name, mine, helpers) in [
        ("mcp__own__Read", true, true),
        ("mcp__own__Write", true, false),
        ("mcp__own__Bash", true, false),
        ("mcp__own__Edit", false, false),
        // The gateway may know by now what the session did not when it began.
        ("mcp__own__new", true, true),
        ("Read", false, false),
    ] {
        assert_eq!(house.leaves(name, main).is_some(), mine, "{name}");
        assert_eq!(house.leaves(name, helper).is_some(), helpers, "{name}");
    }
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
        assert_eq!(offer(naming).looks(tool, &arguments).is_some(), left, "{tool} {arguments}");
    }
    let none = Offer { naming: Naming::Codex, ..Offer::default() };
    assert_eq!(none.looks("list_mcp_resources", &json!({})), None, "there is no server");
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
    let gemini =
        Offer { naming: Naming::GeminiCli, entries: offer.entries.clone(), ..Offer::default() };
    assert!(gemini.tool("mcp_own_net.connect", &catalogue).is_none(), "no tool of the doors");
}

#[test]
fn gemini_clis_name_for_a_tool_leads_to_it_however_it_had_to_be_written() {
    let entries = [("a-b".to_owned(), Some("a.b".to_owned()))];
    let offer =
        Offer { entries: Entries::from(entries), naming: Naming::GeminiCli, ..Offer::default() };
    let long = |end: &str| format!("{}_{end}", "x".repeat(70));
    let mut catalogue = Catalogue::builtin().unwrap();
    let owns = ["two.one".to_owned(), long("first"), long("second")];
    let tool = |own: &String| json!({ "name": format!("mcp__a.b__{own}"), "input": { "type": "object", "properties": {} } });
    let tools: Vec<_> = owns.iter().map(tool).collect();
    catalogue.add(&json!({ "server": "s", "tools": tools }).to_string()).unwrap();
    for own in &owns {
        let name = Naming::GeminiCli.join("a-b", own);
        assert!(name.len() <= 63, "{name}");
        assert_eq!(offer.tool(&name, &catalogue), Some(format!("mcp__a.b__{own}")));
    }
    let own = format!("{}...{}", "x".repeat(22), "x".repeat(30));
    let cut = offer.tool(&format!("mcp_a-b_{own}"), &catalogue);
    assert_eq!(cut, Some(format!("mcp__a.b__{own}")), "no such tool");
}
