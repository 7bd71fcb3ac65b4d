//! Do limits hold at each door, for many calls at once, and after a restart? Real processes on both ends.

use crate::support::log::Log;
use crate::support::project::{Project, Ran, Started};
use serde_json::{Value, json};

const SERVER: &str = include_str!("mcp/server.py");

const HELLO: &str = r#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
"#;

fn calls(ids: std::ops::Range<u32>) -> String {
    let call = |id: u32| {
        let params = json!({ "name": "echo", "arguments": { "text": id.to_string() } });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }).to_string()
    };
    ids.map(|id| call(id) + "\n").collect()
}

/// Ends a client once it has had its answers.
fn waited(mut client: Started, calls: u32) -> Ran {
    for id in 0..calls {
        client.line(&|line| serde_json::from_str::<Value>(line).unwrap()["id"] == json!(id));
    }
    client.types("").finish()
}

/// The answers of the server, and of the gate.
fn answers(ran: &Ran) -> (Vec<Value>, Vec<Value>) {
    let messages = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    messages
        .filter(|message| message["id"].is_number())
        .partition(|message| message["result"]["isError"] != json!(true))
}

#[test]
fn of_calls_made_at_once_over_two_gateways_no_more_than_the_limit_reach_the_server() {
    let project = Project::new();
    project.write("server.py", SERVER);
    project.configure("[[limits]]\ntool = \"mcp__server__echo\"\nper_day = 10\n");
    let gateway = || {
        let args = ["mcp", "--allow", "echo", "--", "/usr/bin/python3", "server.py"];
        project.bartizan(&args).typing()
    };
    let mut clients = [gateway(), gateway()];
    for client in &mut clients {
        client.adds(&format!("{HELLO}{}", calls(0..32)));
    }
    let ended: Vec<_> = clients.map(|client| answers(&waited(client, 32))).into();
    let (through, refused): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
    let (through, refused) = (through.concat(), refused.concat());
    assert_eq!((through.len(), refused.len()), (10, 54));
    for answer in &refused {
        assert_eq!(answer["result"]["_meta"]["bartizan/code"], "limit-reached", "{answer}");
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        let limit = "its limit of 10 calls of `mcp__server__echo` by all roles a day";
        assert!(text.contains(limit) && text.contains("the next one may be made in"), "{text}");
    }
    // The day goes on for whoever comes after them.
    let mut late = gateway();
    late.adds(&format!("{HELLO}{}", calls(0..1)));
    let late = waited(late, 1);
    assert_eq!(answers(&late).1.len(), 1, "{late:?}");
    let log = Log::read(&project);
    assert_eq!(log.all("call", |record| record["tool"] == "mcp__server__echo").len(), 10);
    assert_eq!(log.all("refusal", |record| record["code"] == "limit-reached").len(), 55);
    log.is_whole(&project);
}

#[test]
fn a_client_that_asks_by_its_hook_hears_of_a_limit_and_its_other_tools_go_on() {
    let project = Project::new();
    project.configure("[[limits]]\nrole = \"default\"\ntool = \"Bash\"\nper_session = 2\n");
    let hook = |tool: &str, input: Value| {
        let asked =
            json!({ "hook_event_name": "PreToolUse", "tool_name": tool, "tool_input": input });
        format!(
            "echo '{asked}' | {} hook claude-code; echo {tool} $?\n",
            env!("CARGO_BIN_EXE_bartizan")
        )
    };
    let bash = hook("Bash", json!({ "command": "true" })).repeat(3);
    let script = bash + &hook("Read", json!({ "file_path": "notes.txt" }));
    let command = ["run", "--client", "claude-code", "--", "sh", "-c", &script];
    let ran = project.bartizan(&command).finish();
    let heard: Vec<&str> = ran.stdout.lines().filter(|line| line.contains(' ')).collect();
    assert!(ran.stdout.contains("Bash 0\nBash 0\nBash 2\nRead 0"), "{heard:?} {ran:?}");
    assert!(ran.stderr.contains("limit-reached: `Bash` has reached its limit"), "{ran:?}");
}
