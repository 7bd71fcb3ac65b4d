//! Who asks at the gateway? A subagent of a narrower role gets there what that role may, by its client and by its programs.

use super::{accept, may_read, project, run};
use crate::claude_code::{Session, client, helper};
use crate::support::api::{Api, Script, bash, call_id, say, tool};
use crate::support::log::Log;
use crate::support::project::Project;
use serde_json::{Value, json};

/// Asks at the gateway without any model, under an id as the client would say it, and tells what came of each.
const PROGRAM: &str = r#"
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect("/run/bartizan/mcp.sock"); s.sendall(b"notes\n")
lines = s.makefile("rb")
def ask(id, method, params):
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode() + b"\n")
    for line in lines:
        message = json.loads(line)
        if message.get("id") == id: return message
ask("hello", "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}})
for turn, (method, params) in enumerate(json.loads(sys.argv[1])):
    for again in range(30):
        got = json.dumps(ask(turn * 100 + again, method, {**params, "_meta": {"claudecode/toolUseId": "toolu_main_9_0"}}))
        if "has not started yet" not in got: break
    print(method, params.get("name"), got)
"#;

fn call(name: &str, text: &str) -> Vec<crate::support::api::Block> {
    tool(&format!("mcp__notes__{name}"), json!({ "text": text }))
}

fn by_itself(asks: &Value) -> Vec<crate::support::api::Block> {
    bash(&format!("python3 talk.py '{asks}'"))
}

/// A tool that must be asked for, one that is denied and a resource.
fn asks() -> Value {
    json!([
        ["tools/call", { "name": "keep", "arguments": { "text": "by itself" } }],
        ["tools/call", { "name": "env", "arguments": {} }],
        ["resources/read", { "uri": "demo://page/1" }],
    ])
}

fn resource() -> Vec<crate::support::api::Block> {
    tool("ReadMcpResourceTool", json!({ "server": "notes", "uri": "demo://page/1" }))
}

/// A project whose subagents must be asked for `keep`, and have neither `env` nor resources.
fn narrower() -> Project {
    let project = project(
        "[roles.default.subagents]\ngeneral-purpose = \"docs\"\n[roles.docs]\nextends = [\"default\"]\n\
         ask = [\"mcp__notes__keep\"]\ndeny = [\"mcp__notes__env\", \"mcp.notes.resource\"]\n",
    );
    may_read(&project);
    project.write("talk.py", PROGRAM);
    accept(&project);
    project
}

#[test]
fn a_subagent_of_a_narrower_role_gets_of_a_server_what_that_role_may() {
    let asks = asks();
    let script = Script {
        main: vec![
            by_itself(&asks),
            tool("Agent", helper()),
            call("keep", "of main"),
            call("env", "of main"),
            resource(),
            say("All done."),
        ],
        subagent: vec![
            call("keep", "of a subagent"),
            call("env", "of a subagent"),
            resource(),
            tool("ListMcpResourcesTool", json!({})),
            by_itself(&asks),
            say("report of the subagent"),
        ],
    };
    let Some((session, asked)) = run(narrower(), script) else { return };
    session.ended_well();
    assert_eq!(asked.len(), 1, "what the role must be asked for is asked once");
    let said = |turn| session.api.result("subagent", turn);
    assert!(said(0).contains("notes/keep got"), "{}", said(0));
    for turn in [1, 2, 3] {
        session.log.refusal(&call_id("subagent", turn, 0));
        assert!(
            !said(turn).contains("NOTES_TOKEN") && !said(turn).contains("demo://page"),
            "{turn}"
        );
    }
    programs(&session);
    // What the session's own model proposes is as free as before, whoever runs beside it.
    for (turn, wanted) in [(2, "notes/keep got"), (3, "NOTES_TOKEN"), (4, "notes read")] {
        assert!(session.main(turn).contains(wanted), "{turn}: {}", session.main(turn));
    }
    let agents = |name: &str| {
        let of = session.log.all("call", |record| record["tool"] == format!("mcp__notes__{name}"));
        of.iter().map(|record| record["agent"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let kept = agents("keep");
    assert_eq!((&*kept[0], &*kept[2]), ("main", "main"), "{kept:?}");
    assert!(kept[1].starts_with("main/general-purpose.") && kept.len() == 3, "{kept:?}");
    assert_eq!(agents("env"), ["main", "main"]);
    let unproposed = |record: &Value| {
        record["door"] == "mcp" && record["agent"] == "main/general-purpose.unproposed"
    };
    assert_eq!(session.log.stopped(unproposed).len(), 3, "the log says that nobody proposed them");
}

/// What the same program gets before there are subagents, and as one of theirs.
fn programs(session: &Session) {
    // A program of the main agent gets what its role may, while there is nobody else whose it could be.
    let early = session.main(0);
    assert!(early.contains("notes/keep got") && early.contains("NOTES_TOKEN"), "{early}");
    assert!(early.contains("notes read demo://page/1"), "{early}");
    let program = session.api.result("subagent", 4);
    assert!(program.contains("approval-required"), "{program}");
    assert!(!program.contains(" got ") && !program.contains("NOTES_TOKEN"), "{program}");
    assert!(!program.contains("notes read"), "{program}");
}

#[test]
fn what_is_read_of_a_server_counts_as_its_calls_do() {
    let Some(client) = client() else { return };
    let project = project("[roles.default.budget]\ntool_calls = 6\n");
    may_read(&project);
    project.write("talk.py", PROGRAM);
    accept(&project);
    let read = json!(["resources/read", { "uri": "demo://page/1" }]);
    // Two that the model proposes are counted where it does, and not again when they arrive; a program's count when they do.
    let api = Api::start(Script {
        main: vec![
            by_itself(&json!([read, ["resources/read", { "uri": "demo://page/2" }]])),
            resource(),
            resource(),
            by_itself(&json!([read, ["prompts/get", { "name": "greet" }]])),
            say("All done."),
        ],
        ..Script::default()
    });
    let command =
        [client.to_str().unwrap(), "-p", "start", "--permission-mode", "bypassPermissions"];
    let ran = project.run(&api.url(), &command);
    let log = Log::read(&project);
    let session = Session { project, api, ran, log };
    session.ended_well();
    for turn in [1, 2] {
        assert!(session.main(turn).contains("notes read"), "{}", session.main(turn));
    }
    assert_eq!(session.main(0).matches("notes read").count(), 2, "{}", session.main(0));
    assert!(session.main(3).contains("budget-spent"), "{}", session.main(3));
}
