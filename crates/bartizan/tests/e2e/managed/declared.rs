//! Who calls a declared tool? A subagent gets of them what its role may, and the log names it.

use super::run;
use crate::claude_code::helper;
use crate::support::api::{Block, Script, call_id, say, tool};
use crate::support::project::Project;
use serde_json::{Value, json};

/// Three commands as tools: one that both roles may call, one that the subagent's must be asked for, one that it must not.
const TOOLS: &str = r#"
[tools.look]
description = "Says a word."
effect = "read"
result = ["stdout"]
[tools.look.input.word]
type = "string"
[tools.look.command]
argv = ["/bin/echo", "looked:{word}"]

[tools.order]
description = "Orders it."
effect = "write"
result = ["stdout"]
[tools.order.input.word]
type = "string"
[tools.order.command]
argv = ["/bin/echo", "ordered:{word}"]

[tools.pay]
description = "Pays it."
effect = "write"
result = ["stdout"]
[tools.pay.input.word]
type = "string"
[tools.pay.command]
argv = ["/bin/echo", "paid:{word}"]

[roles.default]
allow = ["look", "order", "pay"]
[roles.default.subagents]
general-purpose = "narrow"
[roles.narrow]
extends = ["default"]
ask = ["order"]
deny = ["pay"]
"#;

fn call(name: &str, word: &str) -> Vec<Block> {
    tool(&format!("mcp__bartizan__{name}"), json!({ "word": word }))
}

#[test]
fn a_subagent_gets_of_the_declared_tools_what_its_role_may() {
    let project = Project::new();
    project.configure(TOOLS);
    let script = Script {
        main: vec![
            call("pay", "of-main"),
            tool("Agent", helper()),
            call("order", "of-main"),
            say("All done."),
        ],
        subagent: vec![
            call("look", "of-sub"),
            call("order", "of-sub"),
            call("pay", "of-sub"),
            // What is described is checked for a subagent, too.
            tool("mcp__bartizan__look", json!({ "word": "x", "other": "y" })),
            say("report of the subagent"),
        ],
    };
    let Some((session, asked)) = run(project, script) else { return };
    session.ended_well();
    assert_eq!(asked.len(), 1, "one question, of the subagent's order");
    let sub = |turn| session.api.result("subagent", turn);
    assert!(session.main(0).contains("paid:of-main"), "{}", session.main(0));
    assert!(session.main(2).contains("ordered:of-main"), "{}", session.main(2));
    assert!(sub(0).contains("looked:of-sub"), "{}", sub(0));
    assert!(sub(1).contains("ordered:of-sub"), "{}", sub(1));
    assert!(!sub(2).contains("paid:") && sub(2).contains("not let this call"), "{}", sub(2));
    assert!(!sub(3).contains("looked:"), "{}", sub(3));
    session.log.refusal(&call_id("subagent", 2, 0));
    let of = |name: &str| {
        let calls = session.log.all("call", |record| record["tool"] == name);
        let told = |record: &&Value| {
            (record["agent"].as_str().unwrap().to_owned(), record["verdict"].clone())
        };
        calls.iter().map(told).collect::<Vec<_>>()
    };
    let orders = of("order");
    assert!(orders[0].0.starts_with("main/general-purpose."), "{orders:?}");
    assert_eq!(
        (&orders[0].1, &orders[1]),
        (&json!("approved"), &("main".to_owned(), json!("allow")))
    );
    assert_eq!((of("pay").len(), of("look").len()), (1, 1));
}
