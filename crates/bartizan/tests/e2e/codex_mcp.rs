//! What does the real Codex in its box get of the servers of the configuration? What its role may, by the names that Codex gives
//! their tools, and nothing of any other server.

use crate::codex::{Session, shell};
use crate::managed::{accept, approves, may_read, project};
use crate::support::api::{Api, Script, Turn, say, tool};
use crate::support::log::Log;
use serde_json::json;

fn call(name: &str) -> Turn {
    tool(&format!("mcp__notes__{name}"), json!({ "text": "a note" }))
}

#[test]
fn codex_in_its_box_gets_of_a_server_what_its_role_may() {
    let project = project("");
    // Neither a repository nor a flag brings a server along, or makes another of ours.
    project.write(
        ".codex/config.toml",
        "[mcp_servers.theirs]\ncommand = \"/usr/bin/python3\"\nargs = [\"server.py\", \"notes\"]\n\
         [mcp_servers.notes]\ncommand = \"/usr/bin/python3\"\nargs = [\"server.py\", \"notes\"]\n",
    );
    let flags = [
        "-c",
        "mcp_servers.flag.command=\"/usr/bin/python3\"",
        "-c",
        "mcp_servers.flag.args=[\"server.py\", \"notes\"]",
        "-c",
        "mcp_servers.notes.command=\"/usr/bin/python3\"",
    ];
    accept(&project);
    let turns = vec![
        call("keep"),
        call("send"),
        call("drop"),
        call("env"),
        tool("mcp__theirs__keep", json!({ "text": "theirs" })),
        shell("env | grep NOTES; cat /etc/codex/*; ls -la /run/bartizan"),
        tool(
            "exec",
            json!(
                "text(ALL_TOOLS.map(tool => tool.name).join()); text(await tools.mcp__notes__keep({text: 'script'}))"
            ),
        ),
        say("All done."),
    ];
    let Some((session, questions)) = Session::beside(project, turns, &flags, approves) else {
        return;
    };
    assert!(session.ran.status.success(), "{:?}", session.ran);
    let outputs = session.outputs();
    assert!(outputs[0].contains("notes/keep got"), "{outputs:?}");
    assert!(outputs[0].contains("<bartizan:content"), "{outputs:?}");
    assert!(outputs[1].contains("notes/send got"), "{outputs:?}");
    assert_eq!(questions.len(), 1, "a person is asked once");
    assert!(outputs[2].contains("tool-not-listed"), "{outputs:?}");
    assert!(!outputs[2].contains("notes/drop got"), "{outputs:?}");
    // The server is in a box of its own, and what is its own is not in the agent's.
    assert!(outputs[3].contains("NOTES_TOKEN"), "{outputs:?}");
    assert!(outputs[4].contains("bartizan did not let this call"), "{outputs:?}");
    assert!(outputs[5].contains("mcp.sock"), "{outputs:?}");
    assert!(!outputs[5].contains("NOTES_TOKEN"), "{outputs:?}");
    let script = &outputs[6];
    assert!(script.contains("mcp__notes__send") && script.contains("script"), "{script}");
    for other in ["mcp__notes__drop", "mcp__theirs", "mcp__flag", "mcp__dead"] {
        assert!(!script.contains(other), "{script}");
    }
    let doors = |event: &str, name: &str| {
        let of = session.log.all(event, |record| record["tool"] == format!("mcp__notes__{name}"));
        of.iter().map(|record| record["door"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Each is judged where it is carried out; only what is denied is so before the client has it.
    assert_eq!(doors("call", "keep"), ["mcp", "mcp"]);
    assert_eq!(doors("call", "send"), ["mcp"]);
    assert_eq!(doors("refusal", "drop"), ["model"]);
}

/// Where no namespaces can be had, and what lies in `/etc` is not there.
#[test]
fn codex_in_a_box_of_tier_b_gets_of_a_server_what_its_role_may() {
    let Some(client) = crate::codex::client() else { return };
    let project = project("");
    accept(&project);
    let main = vec![call("keep"), call("drop"), say("All done.")];
    let api = Api::start(Script { main, ..Script::default() });
    let client = client.to_str().unwrap();
    let command = ["run", "--", client, "exec", "--skip-git-repo-check", "do it"];
    let program = project.bartizan(&command).env("OPENAI_API_KEY", crate::codex::KEY);
    let program = program.env("OPENAI_BASE_URL", &format!("{}/v1", api.url()));
    let ran = program.without_namespaces().finish();
    assert!(ran.stderr.contains("box tier B") && ran.stdout.contains("All done."), "{ran:?}");
    let outputs = crate::support::responses::outputs_of(api.requests().last().unwrap());
    assert!(outputs[0].contains("notes/keep got"), "{outputs:?}");
    assert!(outputs[1].contains("tool-not-listed"), "{outputs:?}");
    Log::read(&project).is_whole(&project);
}

#[test]
fn codex_reads_of_a_servers_resources_what_its_role_may() {
    for may in [true, false] {
        let project = project("");
        if may {
            may_read(&project);
        }
        accept(&project);
        let read = |server: &str| {
            tool("read_mcp_resource", json!({ "server": server, "uri": "demo://page/1" }))
        };
        let turns = vec![
            tool("list_mcp_resources", json!({})),
            read("notes"),
            read("theirs"),
            say("All done."),
        ];
        let Some(session) = Session::run(project, turns, &[]) else { return };
        assert!(session.ran.status.success(), "{:?}", session.ran);
        let outputs = session.outputs();
        assert_eq!(outputs[0].contains("demo://page/1"), may, "{outputs:?}");
        assert_eq!(outputs[1].contains("notes read demo://page/1"), may, "{outputs:?}");
        assert!(outputs[2].contains("bartizan did not let this call"), "{outputs:?}");
        let event = if may { "call" } else { "refusal" };
        let judged = session.log.all(event, |record| record["tool"] == "mcp.notes.resource");
        assert!(judged.iter().all(|record| record["door"] == "mcp"), "{judged:?}");
        assert!(!judged.is_empty(), "{outputs:?}");
    }
}

/// What Codex writes into its history of a call that the gateway judged is held against the register as any other.
#[test]
fn a_call_of_a_server_that_is_told_otherwise_stops_the_session() {
    let project = project("");
    accept(&project);
    let told = |text: &str, output: Option<&str>| {
        let arguments = json!({ "text": text }).to_string();
        let mut input = vec![
            json!({ "role": "user", "content": "go" }),
            json!({ "type": "function_call", "call_id": "call_0_0", "name": "keep", "namespace": "mcp__notes", "arguments": arguments }),
        ];
        input.extend(output.map(
            |output| json!({ "type": "function_call_output", "call_id": "call_0_0", "output": output }),
        ));
        json!({ "model": "m", "stream": true, "input": input }).to_string()
    };
    project
        .write("first.json", &json!({ "model": "m", "stream": true, "input": "go" }).to_string());
    project.write("fine.json", &told("a note", Some("kept")));
    project.write("bad.json", &told("another", Some("kept")));
    let api = Api::start(Script { main: vec![call("keep"), say("Done.")], ..Script::default() });
    let post = "for body in first fine bad fine; do curl -sS -o out -w '%{http_code} ' -H 'content-type: application/json' \
                --data-binary @$body.json http://model.bartizan/v1/responses && head -c 400 out | tr '\\n' ' ' && echo; done";
    let args = ["run", "--client", "codex", "--", "/bin/bash", "-c", post];
    let program =
        project.bartizan(&args).env("OPENAI_API_KEY", "sk-proj-real-key-0123456789abcdef");
    let ran = program.env("OPENAI_BASE_URL", &format!("{}/v1", api.url())).finish();
    let codes: Vec<&str> = ran.stdout.lines().filter_map(|line| line.get(..3)).collect();
    assert_eq!(codes, ["200", "200", "403", "403"], "{ran:?}");
    assert!(
        ran.stdout.contains("[unseen-act]") && ran.stdout.contains("[session-stopped]"),
        "{ran:?}"
    );
    let log = Log::read(&project);
    let refused = log.find("refusal", |record| record["code"] == "unseen-act");
    assert!(
        refused.to_string().contains("its arguments are not those that were judged"),
        "{refused}"
    );
}
