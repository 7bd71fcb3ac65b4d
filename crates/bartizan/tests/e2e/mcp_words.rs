//! What of a client's own words reaches a server without a permission, and what of a server's a client that may not ask for it?

use crate::support::project::{Project, Started};
use serde_json::{Value, json};

/// Tells on its standard error what it hears.
const SERVER: &str = r#"
import json, sys
ANSWERS = {
    "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}], "nextCursor": None},
    "prompts/list": {"prompts": [{"name": "p"}], "nextCursor": "here"},
    "resources/list": {"resources": [{"uri": "a:b", "name": "r"}]},
    "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "a:{b}", "name": "t"}]},
    "logging/setLevel": {},
}
for line in sys.stdin:
    sys.stderr.write("heard " + line)
    sys.stderr.flush()
    message = json.loads(line)
    if "id" not in message: continue
    result = ANSWERS.get(message["method"])
    if message["method"] == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "serverInfo": {"name": "s", "version": "1"},
                  "capabilities": {"tools": {}, "prompts": {}, "resources": {}, "logging": {}}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"#;

fn start(project: &Project, flags: &[&str]) -> Started {
    project.write("server.py", SERVER);
    let mut args = vec!["mcp"];
    args.extend(flags);
    args.extend(["--", "/usr/bin/python3", "server.py"]);
    let mut client = project.bartizan(&args).typing();
    let begin = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    client.adds(&ask("begin", "initialize", &begin));
    client.says("\"begin\"");
    client
}

fn ask(id: &str, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string() + "\n"
}

#[test]
fn no_words_of_a_clients_choice_reach_a_server_without_a_permission() {
    let project = Project::new();
    let mut client = start(&project, &["--allow", "*"]);
    client.adds(&(json!({ "jsonrpc": "2.0", "method": "notifications/initialized", "params": { "x": "MARK" } }).to_string() + "\n"));
    let mark = json!({ "cursor": "MARK" });
    for (id, method, params) in [
        ("c1", "tools/list", &mark),
        ("c2", "prompts/list", &mark),
        ("c3", "resources/list", &mark),
        ("c4", "resources/templates/list", &mark),
        ("c5", "logging/setLevel", &json!({ "level": "MARK" })),
    ] {
        client.adds(&ask(id, method, params));
        client.says(&format!("\"id\":\"{id}\",\"error\":{{\"code\":-32602"));
    }
    let more = json!({ "x": "MARK", "_meta": { "progressToken": 7, "com.example/x": "MARK" } });
    for (id, method) in
        [("p1", "prompts/list"), ("p2", "resources/templates/list"), ("p3", "tools/list")]
    {
        client.adds(&ask(id, method, &more));
        client.says(&format!("\"{id}\""));
    }
    // What the server has said itself it hears again.
    client.adds(&ask("p4", "prompts/list", &json!({ "cursor": "here" })));
    client.says("\"p4\"");
    client.adds(&ask("l", "logging/setLevel", &json!({ "level": "debug", "x": "MARK" })));
    client.says("\"l\"");
    let ran = client.types("").finish();
    assert!(!ran.stderr.contains("MARK"), "{ran:?}");
    for heard in
        ["\"notifications/initialized\"", "\"cursor\":\"here\"", "\"progressToken\"", "\"debug\""]
    {
        assert!(ran.stderr.contains(heard), "{heard}: {ran:?}");
    }
    for id in ["p1", "p2", "p3", "p4", "l"] {
        let line = ran.stdout.lines().find(|line| line.contains(&format!("\"{id}\"")));
        assert!(line.is_some_and(|line| line.contains("result")), "{id}: {ran:?}");
    }
}

#[test]
fn a_client_that_may_not_ask_for_prompts_and_resources_sees_none() {
    let project = Project::new();
    let mut client = start(&project, &["--allow", "*", "--only", "echo"]);
    for (id, method, list) in [
        ("a", "prompts/list", "prompts"),
        ("b", "resources/list", "resources"),
        ("c", "resources/templates/list", "resourceTemplates"),
    ] {
        client.adds(&ask(id, method, &json!({})));
        client.says(&format!("\"id\":\"{id}\",\"result\":{{\"{list}\":[]}}"));
    }
    let ran = client.types("").finish();
    assert!(!ran.stderr.contains("prompts/list") && !ran.stderr.contains("resources/"), "{ran:?}");
}
