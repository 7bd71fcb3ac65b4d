//! Is a tool of an MCP server held to its arguments? The lists of real servers, and the narrow rules
//! that a careful person would write over typed arguments, each attacked.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test ends at the first surprise")]

use crate::support::{Fixture, rules, when};
use bartizan_gate::call::{Door, Proposed};
use bartizan_gate::name::{ServerName, ToolName};
use bartizan_gate::policy::ShortForm;
use bartizan_gate::tool::{Catalogue, Effect, Target, TargetKind, UpstreamTool};
use serde_json::{Value, json};

/// A catalogue of hand-made tools: name, effect, targets, properties, required.
#[expect(clippy::too_many_lines, reason = "a table")]
fn tools() -> Catalogue {
    let text = json!({"type": "string"});
    let texts = json!({"type": "array", "items": text});
    let maybe = json!({"anyOf": [{"type": "array", "items": text}, {"type": "null"}]});
    let target = Target::new;
    let all = [
        (
            "fw",
            "block_ip",
            Effect::Write,
            vec![target("ip", TargetKind::Ip)],
            json!({"ip": text, "minutes": {"type": "integer", "minimum": 1, "maximum": 1440}}),
            vec!["ip"],
        ),
        (
            "mail",
            "send",
            Effect::Irreversible,
            vec![
                target("to", TargetKind::Email),
                target("cc", TargetKind::Email),
                target("files", TargetKind::Count),
            ],
            json!({"to": texts, "cc": maybe, "subject": text, "files": texts}),
            vec!["to"],
        ),
        (
            "crm",
            "get_customer",
            Effect::Read,
            vec![target("id", TargetKind::Name)],
            json!({"id": {"type": "string", "pattern": "^[0-9]{1,8}$"}}),
            vec!["id"],
        ),
        (
            "bank",
            "pay",
            Effect::Irreversible,
            vec![target("account", TargetKind::Name), target("amount", TargetKind::Amount)],
            json!({"account": text, "amount": {"type": "number"}}),
            vec!["account", "amount"],
        ),
        (
            "files",
            "move",
            Effect::Write,
            vec![target("source", TargetKind::Path), target("destination", TargetKind::Path)],
            json!({"source": text, "destination": text}),
            vec!["source", "destination"],
        ),
        (
            "files",
            "read_many",
            Effect::Read,
            vec![target("paths", TargetKind::Path)],
            json!({"paths": texts}),
            vec!["paths"],
        ),
    ];
    let mut catalogue = Catalogue::builtin().unwrap();
    for (server, tool, effect, targets, properties, required) in all {
        let schema = json!({"type": "object", "properties": properties, "required": required});
        let server = ServerName::parse(server).unwrap();
        let tool = UpstreamTool {
            server: &server,
            tool,
            schema: &schema,
            annotations: None,
            effect: Some(effect),
            targets: &targets,
        };
        catalogue.add_upstream(&tool).unwrap();
    }
    catalogue
}

fn gate(rules: &[ShortForm]) -> Fixture {
    Fixture::with_catalogue(tools(), rules).unwrap_or_else(|errors| panic!("{errors}"))
}

#[track_caller]
fn verdicts(fixture: &Fixture, tool: &'static str, calls: &[(Value, &str)]) {
    for (arguments, code) in calls {
        let found = fixture.outcome_code((tool, arguments.clone()));
        assert_eq!(found, *code, "{tool} {arguments}");
    }
}

const ALLOWED: &str = "allowed";
const DENIED: &str = "policy-denied";
const INVALID: &str = "arguments-invalid";

#[test]
fn an_internal_address_is_never_blocked_however_it_is_spelt() {
    let rules = [when("allow", "mcp__fw__block_ip(public)", "context.ip_single")];
    let fixture = gate(&rules);
    verdicts(
        &fixture,
        "mcp__fw__block_ip",
        &[
            (json!({"ip": "8.8.8.8"}), ALLOWED),
            (json!({"ip": "8.8.8.8/32", "minutes": 60}), ALLOWED),
            (json!({"ip": "2606:4700::1111"}), ALLOWED),
            (json!({"ip": "::ffff:8.8.8.8"}), ALLOWED),
            (json!({"ip": "10.0.0.1"}), DENIED),
            (json!({"ip": "::ffff:10.0.0.1"}), DENIED),
            (json!({"ip": "0:0:0:0:0:ffff:0a00:0001"}), DENIED),
            (json!({"ip": "64:ff9b::10.0.0.1"}), DENIED),
            (json!({"ip": "127.0.0.1"}), DENIED),
            (json!({"ip": "0.0.0.0/0"}), DENIED),
            (json!({"ip": "11.255.255.255/0"}), DENIED),
            (json!({"ip": "::/0"}), DENIED),
            (json!({"ip": "8.8.8.0/24"}), DENIED),
            (json!({"ip": "8.8.8.8", "minutes": 100_000}), INVALID),
            (json!({"ip": "010.0.0.1"}), INVALID),
            (json!({"ip": "167772161"}), INVALID),
            (json!({"ip": "8.8.8.8 10.0.0.1"}), INVALID),
            (json!({"ip": "8.8.8.8,10.0.0.1"}), INVALID),
            (json!({"ip": ["8.8.8.8"]}), INVALID),
            (json!({"ip": "8.8.8.8", "ips": ["10.0.0.1"]}), INVALID),
            (json!({"IP": "10.0.0.1", "ip": "8.8.8.8"}), INVALID),
            (json!({}), INVALID),
        ],
    );
}

#[test]
fn a_forbidden_network_is_forbidden_within_and_around() {
    let mut all = rules("allow", &["mcp__fw__block_ip"]);
    all.extend(rules("deny", &["mcp__fw__block_ip(20.1.0.0/16)"]));
    let fixture = gate(&all);
    verdicts(
        &fixture,
        "mcp__fw__block_ip",
        &[
            (json!({"ip": "20.2.0.1"}), ALLOWED),
            (json!({"ip": "20.1.2.3"}), DENIED),
            (json!({"ip": "20.1.2.0/24"}), DENIED),
            (json!({"ip": "20.0.0.0/8"}), DENIED),
            (json!({"ip": "0.0.0.0/0"}), DENIED),
        ],
    );
    let narrow = gate(&rules("allow", &["mcp__fw__block_ip(20.1.0.0/16)"]));
    verdicts(
        &narrow,
        "mcp__fw__block_ip",
        &[(json!({"ip": "20.1.2.3"}), ALLOWED), (json!({"ip": "20.0.0.0/8"}), DENIED)],
    );
}

#[test]
fn mail_stays_within_the_company() {
    let fixture = gate(&[when("allow", "mcp__mail__send(*@acme.com)", "context.recipients <= 3")]);
    let to = |to: &[&str]| json!({"to": to});
    verdicts(
        &fixture,
        "mcp__mail__send",
        &[
            (to(&["anna@acme.com"]), ALLOWED),
            (to(&["Anna B. <anna+news@ACME.com>"]), ALLOWED),
            (json!({"to": ["anna@acme.com"], "cc": null}), ALLOWED),
            (to(&["a@acme.com", "b@acme.com", "c@acme.com"]), ALLOWED),
            (to(&["a@acme.com", "b@acme.com", "c@acme.com", "d@acme.com"]), DENIED),
            (to(&["a@acme.com, b@acme.com, c@acme.com, d@acme.com"]), DENIED),
            (to(&["eve@evil.com"]), DENIED),
            (to(&["anna@acme.com", "eve@evil.com"]), DENIED),
            (to(&["anna@acme.com,eve@evil.com"]), DENIED),
            (json!({"to": ["anna@acme.com"], "cc": ["eve@evil.com"]}), DENIED),
            (to(&["eve@acme.com.evil.com"]), DENIED),
            (to(&["eve@evilacme.com"]), DENIED),
            (to(&["eve@sub.acme.com"]), DENIED),
            (to(&["\"anna@acme.com\" <eve@evil.com>"]), INVALID),
            (to(&["eve@evil.com@acme.com"]), INVALID),
            (to(&["eve%evil.com@acme.com"]), INVALID),
            (to(&["anna@acme.com\nBcc: eve@evil.com"]), INVALID),
            (to(&["anna@\u{430}cme.com"]), INVALID),
            (to(&["anna@acme.com "]), ALLOWED),
            (to(&[]), DENIED),
            (json!({"to": ["anna@acme.com"], "bcc": ["eve@evil.com"]}), INVALID),
        ],
    );
}

#[test]
fn no_more_than_so_many_at_once() {
    let fixture = gate(&[
        when("allow", "mcp__mail__send", "context.count <= 2"),
        when("ask", "mcp__mail__send", "context.count == 2"),
    ]);
    let files = |n: usize| json!({"to": ["a@acme.com"], "files": vec!["f"; n]});
    verdicts(
        &fixture,
        "mcp__mail__send",
        &[
            (json!({"to": ["a@acme.com"]}), ALLOWED),
            (files(1), ALLOWED),
            (files(2), "approval-required"),
            (files(3), DENIED),
        ],
    );
    let many: Vec<String> = (0..200).map(|n| format!("a{n}@acme.com")).collect();
    let fixture = gate(&rules("allow", &["mcp__mail__send"]));
    verdicts(&fixture, "mcp__mail__send", &[(json!({"to": many}), INVALID)]);
}

#[test]
fn one_customer_and_nothing_wider() {
    let fixture = gate(&rules("allow", &["mcp__crm__get_customer"]));
    verdicts(
        &fixture,
        "mcp__crm__get_customer",
        &[
            (json!({"id": "42"}), ALLOWED),
            (json!({"id": "*"}), INVALID),
            (json!({"id": "42 OR 1=1"}), INVALID),
            (json!({"id": "42\n43"}), INVALID),
            (json!({"id": "../all"}), INVALID),
            (json!({"id": ""}), INVALID),
            (json!({"id": 42}), INVALID),
            (json!({"id": ["1", "2"]}), INVALID),
            (json!({"id": "42", "fields": "*"}), INVALID),
        ],
    );
    let one = gate(&rules("allow", &["mcp__crm__get_customer(42)"]));
    verdicts(
        &one,
        "mcp__crm__get_customer",
        &[(json!({"id": "42"}), ALLOWED), (json!({"id": "43"}), DENIED)],
    );
}

#[test]
fn a_sum_is_held_to_its_limit_and_its_receiver() {
    let fixture = gate(&[when("allow", "mcp__bank__pay(CH93*)", "context.amount <= 10000")]);
    let pay = |account: &str, amount: Value| json!({"account": account, "amount": amount});
    verdicts(
        &fixture,
        "mcp__bank__pay",
        &[
            (pay("CH93 1", json!(100)), ALLOWED),
            (pay("CH93 1", json!(99.99)), ALLOWED),
            (pay("CH93 1", json!(100.001)), DENIED),
            (pay("CH93 1", json!(1e6)), DENIED),
            (pay("XX93 1", json!(1)), DENIED),
            (pay("CH93 1", json!(1e300)), INVALID),
            (pay("CH93 1", json!("1")), INVALID),
            (pay("CH93\u{200b}1", json!(1)), INVALID),
        ],
    );
}

#[test]
fn every_path_of_a_call_must_be_allowed() {
    let mut all = rules("allow", &["mcp__files__move(src/*)", "mcp__files__read_many(src/*)"]);
    all.extend(rules("deny", &["mcp__files__read_many(src/secret)"]));
    let fixture = gate(&all);
    verdicts(
        &fixture,
        "mcp__files__move",
        &[
            (json!({"source": "src/a", "destination": "src/b"}), ALLOWED),
            (json!({"source": "src/a", "destination": "/etc/passwd"}), "path-out-of-scope"),
            (json!({"source": "src/a", "destination": "src/../b"}), DENIED),
            (json!({"source": "b", "destination": "src/b"}), DENIED),
            (json!({"source": "src/a", "destination": ".git/hooks/pre-commit"}), DENIED),
        ],
    );
    verdicts(
        &fixture,
        "mcp__files__read_many",
        &[
            (json!({"paths": ["src/a", "src/b"]}), ALLOWED),
            (json!({"paths": ["src/a", "~/.ssh/id"]}), "path-out-of-scope"),
            (json!({"paths": ["src/a", "src/secret"]}), DENIED),
            (json!({"paths": ["src/a", "x"]}), DENIED),
        ],
    );
}

#[test]
fn a_condition_is_checked_against_the_tools_own_types() {
    let fault = |condition: &str| {
        let rules = [when("allow", "mcp__bank__pay", condition)];
        Fixture::with_catalogue(tools(), &rules).err().unwrap_or_default()
    };
    assert_eq!(fault("context.amount <= 5 && context.input.account == \"x\""), "");
    for (condition, word) in [
        ("context.amuont <= 5", "amuont"),
        ("context.amount <= \"5\"", "unexpected type"),
        ("context.input.acount == \"x\"", "acount"),
        ("context.email == \"x\"", "email"),
        ("context.amount <=", "unexpected"),
        ("true }; permit(principal, action, resource) when { true", ""),
        ("false", "impossible"),
    ] {
        let found = fault(condition);
        assert!(!found.is_empty() && found.contains(word), "{condition}: {found}");
    }
}

#[test]
fn only_what_could_ever_be_called_is_offered() {
    let mut all = rules("allow", &["mcp__crm__get_customer(42)", "mcp__fw__*", "mcp__files__move"]);
    all.extend(rules("ask", &["mcp__bank__pay(CH93*)"]));
    all.extend(rules("deny", &["mcp__files__move", "mcp__fw__block_ip(private)"]));
    let fixture = gate(&all);
    let shown = |caller| {
        let all = tools();
        let names = all.iter().map(|tool| tool.name().to_string());
        let mcp = names.filter(|name| name.starts_with("mcp__"));
        mcp.filter(|name| fixture.pipeline.offers(caller, name)).collect::<Vec<_>>()
    };
    let whole = ["mcp__bank__pay", "mcp__crm__get_customer", "mcp__fw__block_ip"];
    assert_eq!(shown(&fixture.caller), whole);
    let narrow = fixture.narrowed(&["mcp__crm__get_customer", "mcp__mail__send"]);
    assert_eq!(shown(&narrow), ["mcp__crm__get_customer"]);
    // A caller in the same session is narrowed as well, and never widened.
    let only = |names: &[&str]| names.iter().map(|name| ToolName::parse(name).unwrap()).collect();
    let further = fixture.caller.narrowed(only(&["mcp__fw__block_ip", "mcp__files__move"]));
    assert_eq!(shown(&further), ["mcp__fw__block_ip"]);
    assert_eq!(further.seat().session, fixture.caller.seat().session);
    let wider = further.narrowed(only(&["mcp__crm__get_customer", "mcp__bank__pay"]));
    assert!(shown(&wider).is_empty());
    assert!(!fixture.pipeline.offers(&fixture.caller, "mcp__ghost__tool"));
    // What is not shown cannot be called either.
    let call = |caller, tool: &str, arguments| {
        let proposed = Proposed::new(caller, Door::Hook, tool, arguments);
        fixture.pipeline.decide(proposed).map_err(|refused| refused.code())
    };
    let block = json!({"ip": "8.8.8.8"});
    assert!(call(&fixture.caller, "mcp__fw__block_ip", block.clone()).is_ok());
    let refused = call(&narrow, "mcp__fw__block_ip", block).unwrap_err();
    assert_eq!(refused, "tool-not-listed");
    assert!(call(&narrow, "mcp__crm__get_customer", json!({"id": "42"})).is_ok());
}

#[test]
fn the_tools_of_real_servers_become_definitions() {
    let servers = [
        ("everything", include_str!("servers/everything.json"), 13),
        ("filesystem", include_str!("servers/filesystem.json"), 14),
        ("memory", include_str!("servers/memory.json"), 9),
        ("git", include_str!("servers/git.json"), 12),
        ("sqlite", include_str!("servers/sqlite.json"), 6),
    ];
    let mut catalogue = Catalogue::builtin().unwrap();
    for (name, list, count) in servers {
        let list: Vec<Value> = serde_json::from_str(list).unwrap();
        assert_eq!(list.len(), count);
        let server = ServerName::parse(name).unwrap();
        for tool in &list {
            let tool = UpstreamTool {
                server: &server,
                tool: tool["name"].as_str().unwrap(),
                schema: &tool["inputSchema"],
                annotations: tool.get("annotations"),
                effect: None,
                targets: &[],
            };
            catalogue.add_upstream(&tool).unwrap();
        }
    }
    let fixture = Fixture::with_catalogue(catalogue, &rules("allow", &["mcp__*"])).unwrap();
    let calls = [
        ("mcp__everything__get-sum", json!({"a": 1.5, "b": 2})),
        ("mcp__everything__get-resource-links", json!({"count": 3})),
        ("mcp__filesystem__read_text_file", json!({"path": "a", "head": 3})),
        (
            "mcp__filesystem__edit_file",
            json!({"path": "a", "edits": [{"oldText": "x", "newText": "y"}]}),
        ),
        (
            "mcp__memory__create_entities",
            json!({"entities": [{"name": "n", "entityType": "t", "observations": ["o"]}]}),
        ),
        ("mcp__git__git_log", json!({"repo_path": ".", "max_count": 3, "start_timestamp": null})),
        ("mcp__git__git_add", json!({"repo_path": ".", "files": ["a"]})),
        ("mcp__sqlite__list_tables", json!({})),
        ("mcp__sqlite__read_query", json!({"query": "SELECT 1"})),
    ];
    for (tool, arguments) in calls {
        assert_eq!(fixture.outcome_code((tool, arguments.clone())), ALLOWED, "{tool} {arguments}");
        let Value::Object(mut more) = arguments else { panic!() };
        more.insert("__proto__".to_owned(), json!({"admin": true}));
        assert_eq!(fixture.outcome_code((tool, Value::Object(more))), INVALID, "{tool}");
    }
    for (tool, arguments) in [
        ("mcp__everything__get-resource-links", json!({"count": 11})),
        ("mcp__everything__get-structured-content", json!({"location": "Rome"})),
        ("mcp__git__git_add", json!({"repo_path": ".", "files": []})),
        ("mcp__sqlite__list_tables", json!({"x": 1})),
    ] {
        assert_eq!(fixture.outcome_code((tool, arguments.clone())), INVALID, "{tool} {arguments}");
    }
}
