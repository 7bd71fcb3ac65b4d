//! What does an agent in a box reach of the servers of the configuration, by the client's own entries and by itself at the
//! gateway's socket? The real Claude Code where there is one, and a hostile program in any case.

mod agents;
mod declared;
mod elsewhere;
mod pressed;

use crate::claude_code::{Session, client};
use crate::support::api::{Api, Script, bash, say, tool};
use crate::support::log::Log;
use crate::support::project::Project;
use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, Instant};

const SERVER: &str = include_str!("servers/server.py");

/// A person's machine with a server whose key the agent must not have.
pub(crate) fn project(more: &str) -> Project {
    let project = Project::new();
    project.write("server.py", SERVER);
    let described = |name: &str| {
        let schema = json!({ "type": "object", "properties": { "text": { "type": "string" } } });
        json!({ "name": name, "description": "Does it.", "inputSchema": schema })
    };
    let tools = ["keep", "send", "drop", "env", "big", "two.one", LONG].map(described);
    project.write("notes.json", &json!({ "first": tools, "turned": [] }).to_string());
    // What a repository says of servers counts for nothing, and one that cannot start is no hindrance.
    let theirs = json!({ "mcpServers": { "theirs": { "command": "/usr/bin/python3", "args": ["server.py", "notes"] } } });
    project.write(".mcp.json", &theirs.to_string());
    project.configure(&format!(
        "[servers.dead]\ncommand = [\"/usr/bin/python3\", \"server.py\", \"dead\"]\n\
         [secrets.token]\nfrom = \"env://GITHUB_TOKEN\"\n\
         [servers.notes]\ncommand = [\"/usr/bin/python3\", \"server.py\", \"notes\"]\npin = \"first-use\"\n\
         secrets = {{ NOTES_TOKEN = \"token\" }}\n\
         [roles.default]\nallow = [\"mcp__notes__keep\", \"mcp__notes__env\", \"mcp__notes__big\", \"Bash\"]\n\
         ask = [\"mcp__notes__send\"]\ndeny = [\"mcp__notes__drop\"]\n{more}"
    ));
    project
}

/// Lets the role read what the server has beside its tools.
pub(crate) fn may_read(project: &Project) {
    let file = std::fs::read_to_string(project.config().join("bartizan.toml")).unwrap();
    project.configure(&file.replace("\"Bash\"]", "\"Bash\", \"mcp.notes.resource\"]"));
}

/// A tool with a longer name than some client can say.
pub(crate) const LONG: &str =
    "a_tool_whose_name_is_longer_than_one_of_the_clients_lets_a_name_of_a_tool_be";

/// Makes what the server has known to the gate before the run: its first sight is trusted.
pub(crate) fn accept(project: &Project) {
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" },
    } });
    let list =
        |id: u32, of: &str| json!({ "jsonrpc": "2.0", "id": id, "method": format!("{of}/list") });
    let lists = format!("{hello}\n{}\n{}\n", list(2, "tools"), list(3, "resources"));
    let seen = || project.bartizan(&["mcp"]).typing().types(&lists).finish();
    // A list does not wait for ever for a server that is slow to start.
    let listed = (0..SLOW_STARTS).any(|_| seen().stdout.contains("\"notes__keep\""));
    assert!(listed, "the server did not start");
}

/// Says yes to the one question that comes.
pub(crate) fn approves(project: &Project) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = project.bartizan(&["approvals", "list", "--json"]).finish();
        let listed: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap_or_default();
        let ids: Vec<String> =
            listed.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
        if let [id, ..] = &ids[..] {
            let said = project.bartizan(&["approvals", "approve", id, "-y"]).finish();
            assert!(said.status.success(), "{said:?}");
            return ids;
        }
        assert!(Instant::now() < deadline, "nobody was asked");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Runs the client, with a person who answers; `None` when there is none.
fn run(project: Project, script: Script) -> Option<(Session, Vec<String>)> {
    let client = client()?;
    let api = Api::start(script);
    let command =
        [client.to_str().unwrap(), "-p", "start", "--permission-mode", "bypassPermissions"];
    let (ran, asked) = thread::scope(|scope| {
        let person = scope.spawn(|| approves(&project));
        (project.run(&api.url(), &command), person.join().unwrap())
    });
    let log = Log::read(&project);
    let session = Session { project, api, ran, log };
    session.keeps_its_secrets();
    Some((session, asked))
}

#[test]
fn the_client_in_its_box_gets_of_a_server_what_its_role_may() {
    let project = project("");
    may_read(&project);
    accept(&project);
    let call = |name: &str| tool(&format!("mcp__notes__{name}"), json!({ "text": "a note" }));
    let script = Script {
        main: vec![
            call("keep"),
            call("send"),
            call("drop"),
            call("env"),
            bash("env; cat /etc/claude-code/managed-mcp.json; ls -la /run/bartizan"),
            tool("ReadMcpResourceTool", json!({ "server": "notes", "uri": "demo://page/1" })),
            say("All done."),
        ],
        ..Script::default()
    };
    let Some((session, questions)) = run(project, script) else { return };
    session.ended_well();
    assert!(session.ran.stdout.contains("All done."), "{:?}", session.ran);
    let requests = session.api.requests();
    let offered = requests.iter().any(|request| {
        let text = request.text();
        assert!(!text.contains("mcp__theirs"), "{text}");
        text.contains("mcp__notes__keep")
    });
    assert!(offered, "the model was never told of the server's tools");
    let kept = session.main(0);
    assert!(kept.contains("notes/keep got"), "{kept}");
    assert_eq!(kept.matches("<bartizan:content").count(), 1, "framed once: {kept}");
    let asked = session.main(1);
    assert!(asked.contains("notes/send got"), "{asked}");
    assert_eq!(questions.len(), 1, "a person is asked once");
    let denied = session.main(2);
    assert!(denied.contains("tool-not-listed") && !denied.contains("notes/drop got"), "{denied}");
    // The server is in a box of its own, and what is its own is not in the agent's.
    assert!(session.main(3).contains("NOTES_TOKEN"), "{}", session.main(3));
    let inside = session.main(4);
    assert!(inside.contains("\"notes\"") && inside.contains("mcp.sock"), "{inside}");
    assert!(!inside.contains("NOTES_TOKEN") && !inside.contains("server.py"), "{inside}");
    let doors = |event: &str, name: &str| {
        let of = session.log.all(event, |record| record["tool"] == format!("mcp__notes__{name}"));
        of.iter().map(|record| record["door"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Each is judged where it is carried out; only what is denied is so before the client has it.
    assert_eq!(doors("call", "keep"), ["mcp"]);
    assert_eq!(doors("call", "send"), ["mcp"]);
    assert_eq!(doors("refusal", "drop"), ["model"]);
    // What a server has beside its tools is an act too.
    assert!(session.main(5).contains("notes read demo://page/1"), "{}", session.main(5));
    let read = session.log.all("call", |record| record["tool"] == "mcp.notes.resource");
    assert!(!read.is_empty() && read.iter().all(|record| record["door"] == "mcp"), "{read:?}");
    let counted = &session.ran.stderr;
    assert!(counted.contains("1 asked"), "the summary counts them: {counted}");
}

/// Speaks to the gateway without any client: a line of JSON for each answer, and what it was that did not come.
const BY_ITSELF: &str = r#"
import json, socket, sys
def open_(name):
    s = socket.socket(socket.AF_UNIX); s.connect("/run/bartizan/mcp.sock"); s.sendall(name.encode() + b"\n")
    return s, s.makefile("rb")
def ask(pair, id, method, params):
    s, lines = pair
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode() + b"\n")
    for line in lines:
        message = json.loads(line)
        if message.get("id") == id: return message
    return "closed"
def begin(name):
    pair = open_(name)
    return pair, ask(pair, "hello", "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}})
def call(pair, id, name):
    while True:
        got = ask(pair, id, "tools/call", {"name": name, "arguments": {"text": "by itself"}})
        if "has not started yet" not in json.dumps(got): return got
        id += 1000
for name in ["other", "", "../hook.sock", "notes\0", "x" * 4000]:
    try: print(json.dumps([name[:9], begin(name)[1]]))
    except OSError: print(json.dumps([name[:9], "closed"]))
notes, hello = begin("notes")
print(json.dumps(["hello", hello]))
for turn, name in enumerate(["keep", "send", "drop", "shell", "keep", "keep"]):
    print(json.dumps([name, call(notes, turn + 1, name)]))
"#;

#[test]
fn a_program_in_the_box_gets_no_more_at_the_socket_than_the_client() {
    let project = project("[roles.default.budget]\ntool_calls = 5\n");
    project.write("talk.py", BY_ITSELF);
    accept(&project);
    let command = ["run", "--client", "claude-code", "--", "/usr/bin/python3", "talk.py"];
    let ran = project.bartizan(&command).env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9").finish();
    let said: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said.len(), 12, "{ran:?}");
    for nothing in &said[..5] {
        assert_eq!(nothing[1], "closed", "{nothing}");
    }
    let text = |at: usize| said[at][1].to_string();
    assert!(text(6).contains("notes/keep got"), "{}", text(6));
    assert!(text(7).contains("approval-required"), "{}", text(7));
    for refused in [8, 9] {
        assert!(!text(refused).contains(" got "), "{}", text(refused));
    }
    // Nobody proposed these to a model, and they count all the same.
    assert!(text(10).contains("notes/keep got"), "{}", text(10));
    assert!(text(11).contains("budget"), "{}", text(11));
    let log = Log::read(&project);
    log.is_whole(&project);
    let of = |event: &str, name: &str| {
        log.all(event, |record| record["tool"] == format!("mcp__notes__{name}")).len()
    };
    assert_eq!((of("call", "keep"), of("refusal", "keep")), (2, 1));
    assert_eq!((of("refusal", "send"), of("refusal", "drop"), of("call", "drop")), (1, 1, 0));
}

#[test]
fn a_program_in_the_box_reads_on_by_our_tool_and_each_page_counts() {
    let project = project("[roles.default.budget]\ntool_calls = 3\n");
    let file = std::fs::read_to_string(project.config().join("bartizan.toml")).unwrap();
    project.configure(&file.replace("pin = ", "page = \"1KiB\"\npin = "));
    let (helpers, _) = BY_ITSELF.split_once("for name in [").unwrap();
    let reads = r#"
notes, hello = begin("notes")
def told(id, name, arguments):
    while True:
        got = json.dumps(ask(notes, id, "tools/call", {"name": name, "arguments": arguments}))
        if "has not started yet" not in got: return got
        id += 1000
got = told(1, "big", {"text": "400"})
print(got)
for turn in range(3):
    address = got.split("with the address ")[1].split('"')[0]
    got = told(2 + turn, "bartizan_read_on", {"address": address})
    print(got)
"#;
    project.write("talk.py", &format!("{helpers}{reads}"));
    accept(&project);
    let command = ["run", "--client", "claude-code", "--", "/usr/bin/python3", "talk.py"];
    let ran = project.bartizan(&command).env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9").finish();
    let said: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(said.len(), 4, "{ran:?}");
    assert!(said[0].contains("line 0 of much"), "{}", said[0]);
    for page in &said[1..3] {
        assert!(page.contains("of much") && !page.contains("line 0 of much"), "{page}");
    }
    assert!(said[3].contains("budget") && !said[3].contains("of much"), "{}", said[3]);
    let log = Log::read(&project);
    assert_eq!(log.all("client", |record| record["act"] == "page").len(), 2);
}

#[test]
fn one_run_is_narrowed_to_the_tools_that_it_names_and_its_box_stays_as_it_is() {
    let project = project("");
    may_read(&project);
    let (helpers, _) = BY_ITSELF.split_once("for name in [").unwrap();
    let calls = r#"
notes, hello = begin("notes")
for turn, name in enumerate(["keep", "env", "drop"]): print(json.dumps(call(notes, turn + 1, name)))
print(json.dumps(ask(notes, 9, "resources/read", {"uri": "demo://page/1"})))
print(sorted(tool["name"] for tool in ask(notes, 10, "tools/list", {})["result"]["tools"]))
"#;
    project.write("talk.py", &format!("{helpers}{calls}"));
    accept(&project);
    let only = "mcp__notes__keep,mcp__notes__drop,Read";
    let command =
        ["run", "--only", only, "--client", "claude-code", "--", "/usr/bin/python3", "talk.py"];
    let ran = project.bartizan(&command).env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9").finish();
    let said: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(said.len(), 5, "{ran:?}");
    assert!(said[0].contains("notes/keep got"), "{}", said[0]);
    assert!(said[1].contains("tool-not-listed") && !said[1].contains("NOTES_TOKEN"), "{}", said[1]);
    assert!(!said[2].contains("notes/drop got"), "it allows nothing: {}", said[2]);
    assert!(!said[3].contains("notes read"), "{}", said[3]);
    assert_eq!(said[4], "['keep']", "{ran:?}");
    let log = Log::read(&project);
    log.is_whole(&project);
    let begun = log.find("session_start", |record| record.get("only").is_some());
    assert_eq!(begun["only"], json!(["Read", "mcp__notes__drop", "mcp__notes__keep"]));
    // The next one is not.
    let wide = ["run", "--client", "claude-code", "--", "/usr/bin/python3", "talk.py"];
    let ran = project.bartizan(&wide).env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9").finish();
    assert!(ran.stdout.contains("NOTES_TOKEN") && ran.stdout.contains("notes read"), "{ran:?}");
    let odd = project.bartizan(&["run", "--only", "a b", "--", "/bin/true"]).finish();
    assert!(odd.stderr.contains("--only:") && !odd.status.success(), "{odd:?}");
}

#[test]
fn what_a_model_proposes_in_a_narrowed_run_is_refused_before_the_client_has_it() {
    let Some(client) = client() else { return };
    let project = project("");
    accept(&project);
    let script = Script {
        main: vec![
            bash("echo done by a shell"),
            tool("mcp__notes__keep", json!({ "text": "a note" })),
            say("All done."),
        ],
        ..Script::default()
    };
    let api = Api::start(script);
    let client = client.to_str().unwrap();
    let ran = project
        .bartizan(&[
            "run",
            "--only",
            "mcp__notes__keep",
            "--",
            client,
            "-p",
            "start",
            "--permission-mode",
            "bypassPermissions",
        ])
        .env("ANTHROPIC_BASE_URL", &api.url())
        .finish();
    assert!(ran.stdout.contains("All done."), "{ran:?}");
    let refused = api.result("main", 0);
    assert!(refused.contains("tool-not-listed"), "{refused}");
    assert!(!Log::read(&project).all("refusal", |record| record["tool"] == "Bash").is_empty());
    assert!(api.result("main", 1).contains("notes/keep got"), "{}", api.result("main", 1));
}

/// How often a busy machine may start a server too late.
const SLOW_STARTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(150);
