//! `serve` is killed while calls wait on streams that could be taken up again, and started anew: what does a client see, and what
//! does the log say?

use super::stateless::post;
use crate::support::log::Log;
use crate::support::project::{Project, Started};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// `slow` never answers; `asked` is one that a person is asked for.
const SERVER: &str = r#"
import json, sys
def say(message): print(json.dumps(message), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    id, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    def answer(result): say({"jsonrpc": "2.0", "id": id, "result": result})
    if method == "initialize":
        answer({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}})
    elif method == "tools/list":
        plain = {"type": "object", "properties": {}}
        answer({"tools": [{"name": name, "inputSchema": plain} for name in ("slow", "asked")]})
    elif method == "tools/call" and params["name"] == "slow":
        say({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": params["_meta"]["progressToken"], "progress": 1}})
    elif id is not None: answer({"content": []})
"#;

fn serve(project: &Project, listen: &str) -> (Started, String) {
    let args = ["serve", "--listen", listen, "--dev-no-auth", "--allow", "slow"];
    let command = ["--", "/usr/bin/python3", "server.py"];
    let mut gateway = project.bartizan(&[&args[..], &command].concat()).start();
    let line = gateway.complaint(&|line| line.contains("serving at"));
    let address = line.split("://").nth(1).unwrap().trim_end_matches("/mcp").to_owned();
    (gateway, address)
}

fn begin(address: &str) -> String {
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello });
    let (head, _) = post(address, &[], &hello);
    let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap();
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    post(address, &[("Mcp-Session-Id", session)], &told);
    session.to_owned()
}

fn opened(address: &str, method: &str, (session, more): (&str, &str), body: &str) -> TcpStream {
    #[expect(clippy::disallowed_methods, reason = "the test is the client")]
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let head = format!(
        "{method} /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nMcp-Session-Id: {session}\r\n\
         Accept: application/json, text/event-stream\r\nConnection: close\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Calls a tool, and reads its stream up to the first word of progress.
fn calls(address: &str, session: &str, (id, tool): (u32, &str)) -> (TcpStream, String) {
    let params = json!({ "name": tool, "arguments": {}, "_meta": { "progressToken": id } });
    let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
    let mut stream = opened(address, "POST", (session, ""), &call.to_string());
    let mut seen = String::new();
    while !seen.contains("notifications/progress") {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        assert_ne!(count, 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    (stream, seen)
}

/// The doors of the clients, each a process behind the gateway, whichever of its threads started it.
fn doors(gateway: &Started) -> Vec<Pid> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", gateway.id())).unwrap();
    let children = threads.map(|thread| {
        std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default()
    });
    let found = children.collect::<Vec<_>>().join(" ");
    found.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} never came");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What the new gateway makes of who comes back to the old session: nothing, and it says what to do.
fn nothing_of_before(address: &str, session: &str, event: &str) {
    let more = format!("Last-Event-ID: {event}\r\n");
    let mut came = String::new();
    opened(address, "GET", (session, &more), "").read_to_string(&mut came).unwrap();
    assert!(came.starts_with("HTTP/1.1 404"), "{came}");
    assert!(came.contains("begin a new one with `initialize`"), "{came}");
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "slow", "arguments": {} } });
    let (head, _) = post(address, &[("Mcp-Session-Id", session)], &call);
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    assert_ne!(begin(address), session);
}

#[test]
fn a_gateway_that_is_killed_under_waiting_streams_loses_no_record_and_does_nothing_twice() {
    // With its doors, which no word reaches then, and without, when they see that it is gone.
    for with_doors in [false, true] {
        let project = Project::new();
        project.write("server.py", SERVER);
        let (mut gateway, address) = serve(&project, "127.0.0.1:0");
        let session = begin(&address);
        let (parked, seen) = calls(&address, &session, (2, "slow"));
        let event = seen.lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap();
        // Its client has gone, and may come back for the rest; that of the other reads on.
        drop(parked);
        let (mut waiting, _) = calls(&address, &session, (3, "asked"));
        let doors = if with_doors { doors(&gateway) } else { Vec::new() };
        gateway.signal(Signal::KILL);
        for door in &doors {
            kill_process(*door, Signal::KILL).unwrap();
        }
        assert_eq!(doors.is_empty(), !with_doors);
        let mut rest = String::new();
        // It may be cut off in the middle of a word.
        drop(waiting.read_to_string(&mut rest));
        assert!(!rest.contains("\"result\"") && !rest.contains("\"error\""), "{rest}");
        let deadline = Instant::now() + Duration::from_mins(1);
        while !gateway.has_ended() {
            assert!(Instant::now() < deadline, "it lives: {gateway:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let (gateway, again) = serve(&project, &address);
        assert_eq!(again, address);
        nothing_of_before(&address, &session, event);
        let slow = |record: &Value| record["tool"] == "mcp__server__slow";
        let outcomes = || {
            let log = Log::read(&project);
            let call = log.find("call", slow);
            log.all("outcome", |record| record["call"] == call["call"]).len()
        };
        let verified = || project.bartizan(&["audit", "verify"]).finish().stdout;
        if with_doors {
            let call = Log::read(&project).find("call", slow);
            let unknown = format!("unknown      call {}", call["call"].as_str().unwrap());
            assert!(verified().contains(&unknown), "{}", verified());
            assert_eq!(outcomes(), 0, "nobody can say what came of it");
        } else {
            until("the outcome", || outcomes() == 1);
            let log = Log::read(&project);
            assert_eq!(log.outcome(&log.find("call", slow))["ended"], "abandoned");
            let asked = project.bartizan(&["approvals", "list", "--json"]).finish().stdout;
            assert_eq!(asked.trim(), "[]", "nobody waits for that answer any more");
        }
        gateway.signal(Signal::TERM);
        gateway.finish();
        assert_eq!(Log::read(&project).all("call", slow).len(), 1, "nobody does it again unasked");
        assert!(verified().starts_with("whole"), "{}", verified());
    }
}

/// Of a tool that marks an argument as no header can mirror it, the others are held all the same.
#[test]
fn a_tool_whose_marks_are_half_wrong_is_held_to_the_right_half() {
    let project = Project::new();
    let half = r#"{"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "odd": {"type": "string", "x-mcp-header": "a b"}, "part": {"type": "number", "x-mcp-header": "Part"}}}"#;
    let server = SERVER.replace(r#"{"type": "object", "properties": {}}"#, half);
    project.write("server.py", &server);
    let args = ["serve", "--listen", "127.0.0.1:0", "--dev-no-auth", "--allow", "*"];
    let command = ["--", "/usr/bin/python3", "server.py"];
    let mut gateway = project.bartizan(&[&args[..], &command].concat()).start();
    let line = gateway.complaint(&|line| line.contains("serving at"));
    let address = line.split("://").nth(1).unwrap().trim_end_matches("/mcp");
    let ask = |more: &[(&str, &str)]| {
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} });
        let arguments = json!({ "region": "eu", "part": 1.5 });
        let params = json!({ "name": "asked", "arguments": arguments, "_meta": meta });
        let call = json!({ "jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": params });
        let headers = [
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", "asked"),
        ];
        post(address, &[&headers[..], more].concat(), &call)
    };
    let (head, answer) = ask(&[("Mcp-Param-Region", "eu")]);
    assert!(head.starts_with("HTTP/1.1 200") && answer["result"].is_object(), "{head} {answer}");
    for more in [
        &[("Mcp-Param-Region", "us")][..],
        &[],
        &[("Mcp-Param-Region", "eu"), ("Mcp-Param-Part", "1.5")],
    ] {
        let (head, answer) = ask(more);
        assert!(head.starts_with("HTTP/1.1 400"), "{more:?}: {head}");
        assert_eq!(answer["error"]["code"], -32020, "{more:?}: {answer}");
    }
}
