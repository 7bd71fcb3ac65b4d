//! Does the gateway hold when its socket is abused, and when nothing can be written down?

use super::{accept, project};
use crate::support::log::Log;
use crate::support::project::Project;
use serde_json::Value;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Speaks to the gateway: some connections say nothing, some ask for much and read none of it, and one asks in the ordinary way.
const CROWD: &str = r#"
import json, socket, sys, time
def open_(name):
    s = socket.socket(socket.AF_UNIX); s.connect("/run/bartizan/mcp.sock")
    if name: s.sendall(name.encode() + b"\n")
    return s
def say(s, id, method, params):
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode() + b"\n")
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
def asks(id, name, text):
    try:
        s = open_("notes"); s.settimeout(60); lines = s.makefile("rb")
        say(s, "hello", "initialize", HELLO)
        for again in range(40):
            say(s, id + again, "tools/call", {"name": name, "arguments": {"text": text}})
            for line in lines:
                message = json.loads(line)
                if message.get("id") == id + again: break
            else: return "closed"
            if "has not started yet" not in json.dumps(message): return json.dumps(message)
    except OSError as error: return f"closed {error}"
print("first", asks(1, "keep", "before"), flush=True)
def silent():
    # It asks for 40 MB in all, and never reads.
    s = open_("notes"); s.setblocking(False)
    try:
        say(s, "hello", "initialize", HELLO)
        for id in range(40): say(s, id, "tools/call", {"name": "big", "arguments": {"text": "60000"}})
    except OSError: pass
    return s
readers = [silent(), silent()]
time.sleep(3)
print("beside", asks(1000, "keep", "beside"), flush=True)
mute = []
for _ in range(60):
    try: mute.append(open_(None))
    except OSError: break
begun = time.time()
while True:
    got = asks(2000, "keep", "after")
    if "got" in got or time.time() - begun > 100: break
    time.sleep(0.5)
print("after", got, flush=True)
"#;

#[test]
fn who_reads_nothing_at_the_gateway_keeps_nobody_else_waiting() {
    let project = project("");
    project.write("talk.py", CROWD);
    accept(&project);
    let command = ["run", "--client", "claude-code", "--", "/usr/bin/python3", "talk.py"];
    let ran = project.bartizan(&command).env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9").finish();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{ran:?}");
    for line in lines {
        assert!(line.contains("notes/keep got"), "{ran:?}");
    }
    assert!(ran.status.success(), "the run ends whoever still waits: {ran:?}");
    Log::read(&project).is_whole(&project);
}

/// Asks once for each line that it is told.
const STEP_BY_STEP: &str = r#"
import json, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect("/run/bartizan/mcp.sock"); s.sendall(b"notes\n"); lines = s.makefile("rb")
def ask(id, method, params):
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode() + b"\n")
    for line in lines:
        message = json.loads(line)
        if message.get("id") == id: return message
ask("hello", "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}})
print("ready", flush=True)
for turn, told in enumerate(sys.stdin):
    for again in range(40):
        got = json.dumps(ask(turn * 100 + again, "tools/call", {"name": "keep", "arguments": {"text": told.strip()}}))
        if "has not started yet" not in got: break
    print(told.strip(), got, flush=True)
"#;

/// Without a record there is no act: on a disk of its own that is full, and then not.
#[test]
fn on_a_full_disk_no_call_reaches_a_server() {
    if !rustix::process::geteuid().is_root() {
        return skipped("it takes root");
    }
    // It is to fill, and not to stop before.
    let project = project("[audit]\nkeep_free = \"1B\"\n");
    project.write("talk.py", STEP_BY_STEP);
    accept(&project);
    let command = ["run", "--client", "claude-code", "--", "/usr/bin/python3", "talk.py"];
    let program = project.bartizan(&command).env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9");
    let mut run = program.on_own_disk(&project.state()).typing();
    run.line(&|line| line == "ready" || line == UNMOUNTED);
    if run.so_far().contains(UNMOUNTED) {
        return skipped("no disk can be mounted");
    }
    let says = |run: &mut crate::support::project::Started, word: &str| {
        run.adds(&format!("{word}\n"));
        run.line(&|line| line.starts_with(word))
    };
    let before = says(&mut run, "before");
    assert!(before.contains("notes/keep got"), "{before}");
    let disk = format!("/proc/{}/root{}", run.id(), project.state().display());
    let fill = std::path::Path::new(&disk).join("fill");
    let mut file = std::fs::File::create(&fill).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let full = says(&mut run, "full");
    assert!(!full.contains("got") && full.contains("ledger"), "{full}");
    // What is removed takes its room until nobody holds it open.
    drop(file);
    std::fs::remove_file(&fill).unwrap();
    // The log goes on once it has seen that there is room, and says so.
    let deadline = Instant::now() + PATIENCE;
    for turn in 0.. {
        let after = says(&mut run, &format!("after-{turn}"));
        if after.contains("notes/keep got") {
            break;
        }
        assert!(Instant::now() < deadline && after.contains("ledger"), "{after}");
        std::thread::sleep(Duration::from_millis(200));
    }
    run.types("").finish();
    Project::from_own_disk(&project.state());
    let kept = |log: &Log| {
        let of = |record: &Value| record["tool"] == "mcp__notes__keep";
        log.all("call", of).len()
    };
    let verified = project.bartizan(&["audit", "verify"]).finish();
    assert!(verified.stdout.starts_with("whole"), "{verified:?}");
    let log = Log::read(&project);
    assert_eq!(kept(&log), 2, "what was made is on it, and nothing else");
    let shut = log.find("fault", |record| record["part"] == "log");
    assert!(shut["turned_away"].as_u64().unwrap() >= 1, "{shut}");
    log.find("session_end", |_| true);
    let again = project.bartizan(&command).env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9");
    let again = again.typing().types("anew\n").finish();
    assert!(again.stdout.contains("notes/keep got"), "the next run works again: {again:?}");
    assert_eq!(kept(&Log::read(&project)), 3);
}

fn skipped(why: &str) {
    let said = format!("SKIPPED: calls on a full disk, since {why}\n");
    std::io::stderr().write_all(said.as_bytes()).unwrap();
}

const UNMOUNTED: &str = "no disk of its own";
/// How long the log may take to see that there is room.
const PATIENCE: Duration = Duration::from_secs(30);
