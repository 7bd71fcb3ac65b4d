//! A server that knows no sessions (2026-07-28) and nothing else: reached by clients that have one and by clients that have
//! none, over its standard streams and over HTTP.

use super::{Client, said};
use crate::support::project::{Project, Started};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = include_str!("stateless.py");
const STATE: &str = "only-the-server-may-change";

/// The server, on a port of its own.
struct Served {
    child: Child,
    url: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It has ended already when it failed.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Served {
    fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a server to test against")]
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-u", "-c", PROGRAM, "http"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, url: format!("http://127.0.0.1:{}/mcp", port.trim()) }
    }

    fn gateway(&self, project: &Project) -> Started {
        project.bartizan(&["mcp", "--url", &self.url, "--allow", "*"]).typing()
    }
}

fn boxed(project: &Project) -> Started {
    project.write("server.py", PROGRAM);
    let command = ["mcp", "--allow", "*", "--", "/usr/bin/python3", "-u", "server.py", "stdio"];
    project.bartizan(&command).typing()
}

/// What a client in a session gets of the server.
fn serves_a_session(mut client: Client) -> Client {
    let hello = client.gateway.line(&|line| line.contains("protocolVersion"));
    let hello: Value = serde_json::from_str(&hello).unwrap();
    assert_eq!(hello["result"]["protocolVersion"], "2025-11-25", "{hello}");
    assert_eq!(hello["result"]["serverInfo"]["name"], "stateless", "{hello}");
    let answer = client.calls("echo", &json!({ "text": "hi" }));
    assert!(said(&answer).contains("echo hi"), "{answer}");
    assert!(answer["result"].get("resultType").is_none(), "{answer}");
    // What it wants in the middle is asked under its name, as of any other server.
    client.gateway.adds("{\"jsonrpc\":\"2.0\",\"id\":\"f\",\"method\":\"tools/call\",\"params\":{\"name\":\"form\",\"arguments\":{}}}\n");
    let asked = client.gateway.line(&|line| line.contains("elicitation/create"));
    let asked: Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(asked["params"]["message"], "[server server] who?");
    let answer = json!({ "action": "accept", "content": { "name": "me" } });
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": answer });
    client.gateway.adds(&format!("{answer}\n"));
    client.gateway.says("it is {");
    // What it may not want it does not get.
    let refused = client.calls("roots", &json!({}));
    assert!(refused["error"].is_object(), "{refused}");
    assert!(said(&client.calls("tell", &json!({}))).contains("told"));
    client.gateway.says("notifications/tools/list_changed");
    client
}

#[test]
fn a_client_in_a_session_reaches_a_server_without_over_its_streams() {
    let project = Project::new();
    let client = serves_a_session(Client::begin(boxed(&project)));
    let ran = client.ends();
    assert!(!ran.stdout.contains(STATE), "{}", ran.stdout);
}

#[test]
fn a_client_in_a_session_reaches_a_server_without_over_http() {
    let (project, served) = (Project::new(), Served::start());
    let mut client = serves_a_session(Client::begin(served.gateway(&project)));
    // Arguments that a tool's schema marks stand in headers, and what no header can say is no tool.
    let marked = client.calls("marked", &json!({ "region": "us west\n" }));
    assert!(said(&marked).contains("region =?base64?dXMgd2VzdAo=?="), "{marked}");
    let names: Vec<String> = client.lists("echo");
    assert!(!names.contains(&"unmarked".to_owned()), "{names:?}");
    let ran = client.ends();
    assert!(!ran.stdout.contains(STATE), "{}", ran.stdout);
}

/// A request that names its revision itself.
fn request(id: u32, method: &str, params: &Value) -> Value {
    let mut params = params.clone();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "form": {} }, "roots": {} },
    });
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// What a client without a session gets of the server, by this way of asking it.
fn serves_without_a_session(ask: &mut dyn FnMut(&Value) -> Value) {
    let found = ask(&request(1, "server/discover", &json!({})));
    assert_eq!(found["result"]["supportedVersions"][0], "2026-07-28", "{found}");
    let list = ask(&request(2, "tools/list", &json!({})));
    assert_eq!(
        (&list["result"]["cacheScope"], &list["result"]["ttlMs"]),
        (&json!("private"), &json!(5))
    );
    let form = |arguments: Value, more: &Value| {
        let mut params = json!({ "name": "form", "arguments": arguments });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    let wants = ask(&request(3, "tools/call", &form(json!({}), &json!({}))));
    let wants = &wants["result"];
    assert_eq!(wants["resultType"], "input_required", "{wants}");
    assert_eq!(wants["inputRequests"]["who"]["params"]["message"], "[server server] who?");
    assert!(!wants.to_string().contains(STATE), "{wants}");
    let answers = json!({ "who": { "action": "accept", "content": { "name": "me" } } });
    let more = json!({ "inputResponses": answers, "requestState": wants["requestState"] });
    // What it is remembered by belongs to this very request, and nobody makes one up.
    let other = ask(&request(4, "tools/call", &form(json!({ "text": "other" }), &more)));
    assert_eq!(other["error"]["code"], -32602, "{other}");
    let forged = json!({ "inputResponses": answers, "requestState": "bartizan-99" });
    let forged = ask(&request(5, "tools/call", &form(json!({}), &forged)));
    assert_eq!(forged["error"]["code"], -32602, "{forged}");
    let done = ask(&request(6, "tools/call", &form(json!({}), &more)));
    assert!(said(&done).contains("it is {\"action\": \"accept\""), "{done}");
    let roots = ask(&request(7, "tools/call", &json!({ "name": "roots", "arguments": {} })));
    assert!(roots["error"]["message"].as_str().unwrap().contains("`roots/list`"), "{roots}");
}

#[test]
fn a_client_without_a_session_is_asked_in_the_answer() {
    let (project, served) = (Project::new(), Served::start());
    for mut gateway in [boxed(&project), served.gateway(&project)] {
        serves_without_a_session(&mut |message| {
            gateway.adds(&format!("{message}\n"));
            let id = format!("\"id\":{}", message["id"]);
            let spaced = format!("\"id\": {}", message["id"]);
            let line = gateway.line(&|line| line.contains(&id) || line.contains(&spaced));
            serde_json::from_str(&line).unwrap()
        });
        let ran = gateway.types("").finish();
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    }
}

/// Puts one message to the gateway, and gives the headers and the message that come back.
pub(super) fn post(address: &str, headers: &[(&str, &str)], message: &Value) -> (String, Value) {
    #[expect(clippy::disallowed_methods, reason = "the test is the client")]
    let mut stream = TcpStream::connect(address).unwrap();
    let body = message.to_string();
    let mut head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.extend([*name, ": ", *value, "\r\n"]);
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    // An answer that takes its time is the last event of a stream.
    let last = body.rsplit("data: ").next().unwrap_or_default();
    let line = last.lines().next().unwrap_or_default();
    (head.to_owned(), serde_json::from_str(line).unwrap_or(Value::Null))
}

#[test]
fn many_clients_reach_it_through_one_door_in_sessions_and_without() {
    let (project, served) = (Project::new(), Served::start());
    let args =
        ["serve", "--listen", "127.0.0.1:0", "--dev-no-auth", "--url", &served.url, "--allow", "*"];
    let mut gateway = project.bartizan(&args).start();
    let line = gateway.complaint(&|line| line.contains("serving at"));
    let address = line.split("://").nth(1).unwrap().trim_end_matches("/mcp").to_owned();
    serves_without_a_session(&mut |message| {
        let (method, name) =
            (message["method"].as_str().unwrap(), message["params"]["name"].as_str());
        let mut headers = vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
        headers.extend(name.map(|name| ("Mcp-Name", name)));
        post(&address, &headers, message).1
    });
    headers_and_arguments_are_one(&address);
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello });
    let (head, begun) = post(&address, &[], &hello);
    assert_eq!(begun["result"]["serverInfo"]["name"], "stateless", "{begun}");
    let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap();
    let session = [("Mcp-Session-Id", session)];
    post(&address, &session, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    let call = json!({ "name": "echo", "arguments": { "text": "hi" } });
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call });
    let (_, echoed) = post(&address, &session, &call);
    assert!(said(&echoed).contains("echo hi"), "{echoed}");
    // A session opens nothing for whoever does not name it.
    assert_eq!(post(&address, &[], &call).1["error"]["code"], -32600);
    let log = project.bartizan(&["audit", "list", "--json", "-n", "1000"]).finish().stdout;
    assert!(log.contains("Header mismatch: `mcp-param-Region`"), "{log}");
}

#[test]
fn every_client_of_a_gateway_is_narrowed_to_the_tools_that_it_names() {
    let project = Project::new();
    project.write("server.py", PROGRAM);
    let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--dev-no-auth", "--allow", "*"];
    args.extend(["--only", "echo", "--", "/usr/bin/python3", "-u", "server.py", "stdio"]);
    let mut gateway = project.bartizan(&args).start();
    let line = gateway.complaint(&|line| line.contains("serving at"));
    let address = line.split("://").nth(1).unwrap().trim_end_matches("/mcp").to_owned();
    let ask = |message: &Value| {
        let (method, name) =
            (message["method"].as_str().unwrap(), message["params"]["name"].as_str());
        let mut headers = vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
        headers.extend(name.map(|name| ("Mcp-Name", name)));
        post(&address, &headers, message).1
    };
    let list = ask(&request(1, "tools/list", &json!({})));
    let names: Vec<&Value> =
        list["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["echo"], "{list}");
    let call = |id: u32, tool: &str, arguments: &Value| {
        ask(&request(id, "tools/call", &json!({ "name": tool, "arguments": arguments })))
    };
    assert!(said(&call(2, "echo", &json!({ "text": "hi" }))).contains("echo hi"));
    assert!(said(&call(3, "form", &json!({}))).contains("tool-not-listed"));
    let odd = project.bartizan(&["serve", "--only", "a b"]).finish();
    assert!(odd.stderr.contains("--only:") && odd.status.code() == Some(2), "{odd:?}");
}

/// Who routes by a header and who acts on an argument see the same call, or there is none.
fn headers_and_arguments_are_one(address: &str) {
    let ask = |region: &str, header: Option<&str>, forged: Option<&str>| {
        let call = json!({ "name": "marked", "arguments": { "region": region } });
        let mut call = request(8, "tools/call", &call);
        if let Some(forged) = forged {
            call["params"]["_meta"]["bartizan/headers"] = json!([["mcp-param-region", forged]]);
        }
        let mut headers = vec![
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", "marked"),
        ];
        headers.extend(header.map(|header| ("Mcp-Param-Region", header)));
        post(address, &headers, &call)
    };
    for header in ["eu", "=?base64?ZXU=?="] {
        let (head, answer) = ask("eu", Some(header), None);
        assert!(
            head.starts_with("HTTP/1.1 200") && said(&answer).contains("region eu"),
            "{answer}"
        );
    }
    for (header, forged) in
        [(Some("us"), None), (None, None), (Some("us"), Some("eu")), (None, Some("eu"))]
    {
        let (head, answer) = ask("eu", header, forged);
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
        assert_eq!(answer["error"]["code"], -32020, "{answer}");
    }
}
