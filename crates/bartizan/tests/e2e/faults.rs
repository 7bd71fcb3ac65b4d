//! What does the real client make of a hook that fails, in every way in which one can? Our settings build on this table
//! (docs/claude-code.md), so it is tried on the client that is pinned: `onFailure: "block"`, a program and its arguments.

use crate::claude_code::{Session, client};
use crate::model_door::shows;
use crate::support::api::{Api, Script, Turn, bash, call_id, say, tool};
use crate::support::log::Log;
use crate::support::project::Project;
use serde_json::{Value, json};

/// A hook that fails as the call that it is asked about says: `touch ran-FAULT`.
const FAULTY: &str = r#"
import json, os, re, signal, subprocess, sys, time
payload = json.load(sys.stdin)
event = sys.argv[1] if len(sys.argv) > 1 else "PreToolUse"
found = re.search(r"ran-([a-z0-9-]+)", json.dumps(payload.get("tool_input", "")))
fault = found.group(1) if found else "exit-1"
def doc(verdict="deny", **more):
    own = {"hookEventName": event, "permissionDecision": verdict, "permissionDecisionReason": "no", **more}
    return json.dumps({"hookSpecificOutput": own})
def say(text, code=0):
    sys.stdout.write(text); sys.stdout.flush(); sys.exit(code)
def deny(text=""):
    sys.stderr.write("no\n"); say(text, 2)
def killed(by):
    os.kill(os.getpid(), by); time.sleep(60)
def hang(text=""):
    sys.stdout.write(text); sys.stdout.flush(); time.sleep(3600)
def held():
    subprocess.Popen(["sleep", "2"], stdout=sys.stdout, stderr=subprocess.DEVNULL); say(doc())
{
    "exit-2": deny,
    "exit-2-and-allow": lambda: deny(doc("allow")),
    "deny": lambda: say(doc()),
    "deny-and-exit-1": lambda: say(doc(), 1),
    "old-block": lambda: say('{"decision":"block","reason":"no"}'),
    "unknown-keys": lambda: say(json.dumps({**json.loads(doc()), "more": {"a": 1}})),
    "byte-order-mark": lambda: say("\ufeff" + doc()),
    "held-open": held,
    "exit-1": lambda: sys.exit(1),
    "exit-3": lambda: sys.exit(3),
    "segv": lambda: killed(signal.SIGSEGV),
    "kill": lambda: killed(signal.SIGKILL),
    "bad-json": lambda: say("{nope}"),
    "bad-word": lambda: say(doc("perhaps")),
    "other-event": lambda: say(doc().replace(event, "PostToolUse")),
    "allow-and-exit-1": lambda: say(doc("allow"), 1),
    "ask": lambda: say(doc("ask")),
    "hang": hang,
    "hang-after-deny": lambda: hang(doc()),
    "silent": lambda: None,
    "empty": lambda: say("{}"),
    "plain-text": lambda: say("no, never"),
    "array": lambda: say('["deny"]'),
    "nul-before": lambda: say("\0" + doc()),
    "cut-off": lambda: say(doc()[:-2]),
    "line-before": lambda: say("a line of a log\n" + doc()),
    "async": lambda: say('{"async":true}'),
    "stop": lambda: say('{"continue":false}'),
}[fault]()
"#;

/// The call does not happen.
const BLOCKED: [&str; 17] = [
    "exit-2",
    "exit-2-and-allow",
    "deny",
    "deny-and-exit-1",
    "old-block",
    "unknown-keys",
    "byte-order-mark",
    "held-open",
    "exit-1",
    "exit-3",
    "segv",
    "kill",
    "bad-json",
    "bad-word",
    "other-event",
    "allow-and-exit-1",
    "ask",
];
/// The call happens: no setting of the client's catches these. Our hook says them never.
const RAN: [&str; 9] = [
    "silent",
    "empty",
    "plain-text",
    "array",
    "nul-before",
    "cut-off",
    "line-before",
    "async",
    // The last, since the client's turn ends with it.
    "stop",
];

/// Settings with hooks set up as ours are.
fn settings(hooks: &[(&str, &str, Value)]) -> String {
    let mut events = json!({});
    for (event, matcher, hook) in hooks {
        let mut hook = hook.clone();
        hook["type"] = json!("command");
        hook["onFailure"] = json!("block");
        let entry = json!({ "matcher": matcher, "hooks": [hook] });
        match events[*event].as_array_mut() {
            Some(entries) => entries.push(entry),
            None => events[*event] = json!([entry]),
        }
    }
    json!({ "hooks": events }).to_string()
}

fn faulty(event: &str, timeout_s: u32) -> Value {
    json!({ "command": "/usr/bin/python3", "args": ["faulty.py", event], "timeout": timeout_s })
}

/// Runs the client as a plain program with these hooks and no others.
fn run(script: Script, hooks: &[(&str, &str, Value)]) -> Option<Session> {
    let client = client()?;
    let project = Project::new();
    project.write("faulty.py", FAULTY);
    project.write("not-executable", "#!/bin/sh\nexit 0\n");
    shows(&project, &client);
    let api = Api::start(script);
    let settings = settings(hooks);
    let args = [
        "run",
        "--client",
        "none",
        "--",
        "env",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
        client.to_str().unwrap(),
        "-p",
        "start",
        "--permission-mode",
        "bypassPermissions",
        "--settings",
        &settings,
    ];
    let ran = project.bartizan(&args).env("ANTHROPIC_BASE_URL", &api.url()).finish();
    let log = Log::read(&project);
    let session = Session { project, api, ran, log };
    session.keeps_its_secrets();
    Some(session)
}

fn attempt(fault: &str) -> Turn {
    bash(&format!("touch ran-{fault}"))
}

#[test]
fn each_fault_of_a_hook_does_what_the_table_says() {
    let all: Vec<&str> = BLOCKED.into_iter().chain(RAN).collect();
    // Some at once; what changes files the client runs one after the other.
    let mut main: Vec<Turn> = all[..all.len() - 1]
        .chunks(5)
        .map(|some| some.iter().flat_map(|fault| attempt(fault)).collect())
        .collect();
    main.push(attempt("stop"));
    main.push(say("All done."));
    let hooks = [("PreToolUse", "Bash", faulty("PreToolUse", 120))];
    let Some(session) = run(Script { main, ..Script::default() }, &hooks) else { return };
    for fault in BLOCKED {
        assert_eq!(session.project.file(&format!("ran-{fault}")), None, "{fault}");
    }
    for fault in RAN {
        assert!(session.project.file(&format!("ran-{fault}")).is_some(), "{fault}");
    }
    let asked =
        session.api.requests().iter().filter(|request| request.text().contains("ran-stop")).count();
    assert_eq!(asked, 0, "`continue: false` ends the turn");
}

#[test]
fn a_hook_that_is_missing_or_hangs_blocks() {
    let missing = json!({ "command": "/no/such/hook", "args": ["hook"], "timeout": 60 });
    let closed = json!({ "command": "./not-executable", "args": ["hook"], "timeout": 60 });
    let hooks = [
        ("PreToolUse", "Bash", faulty("PreToolUse", 1)),
        ("PreToolUse", "Write", missing),
        ("PreToolUse", "Agent", closed),
    ];
    let agent = json!({
        "description": "help", "prompt": "do the sub task", "subagent_type": "general-purpose", "run_in_background": false,
    });
    let script = Script {
        main: vec![
            tool("Write", json!({ "file_path": "made.txt", "content": "x" })),
            tool("Agent", agent),
            attempt("hang"),
            attempt("hang-after-deny"),
            say("All done."),
        ],
        subagent: vec![say("here I am")],
    };
    let Some(session) = run(script, &hooks) else { return };
    session.ended_well();
    assert!(session.ran.stdout.contains("All done."), "{:?}", session.ran);
    for file in ["made.txt", "ran-hang", "ran-hang-after-deny"] {
        assert_eq!(session.project.file(file), None, "{file}");
    }
    let agents = session.api.requests();
    let agents = agents.iter().filter(|request| request.header("x-claude-code-agent-id").is_some());
    assert_eq!(agents.count(), 0, "no agent was started");
}

#[test]
fn a_failing_hook_stops_a_prompt_and_the_next_turn() {
    let script = || Script { main: vec![bash("true"), say("All done.")], ..Script::default() };
    let prompt = [("UserPromptSubmit", "", faulty("UserPromptSubmit", 120))];
    let Some(session) = run(script(), &prompt) else { return };
    let said = format!("{}{}", session.ran.stdout, session.ran.stderr);
    assert!(said.contains("UserPromptSubmit"), "the client tells why: {said}");
    assert_eq!(session.api.requests().len(), 0, "the prompt did not leave: {:?}", session.ran);
    let batch = [("PostToolBatch", "", faulty("PostToolBatch", 120))];
    let Some(session) = run(script(), &batch) else { return };
    let told =
        session.api.requests().iter().map(|request| request.tool_results().len()).sum::<usize>();
    assert_eq!(told, 0, "no result reached the model: {:?}", session.ran);
    session.log.call(&call_id("main", 0, 0));
}

/// The faults that no setting catches begin with what a hook writes to its standard output and exit code 0.
#[test]
fn our_hook_says_no_by_its_exit_code_and_writes_nothing() {
    let project = Project::new();
    let event = |name: &str, tool: Value, input: Value| {
        json!({ "hook_event_name": name, "tool_name": tool, "tool_input": input }).to_string()
    };
    let key = project.home().join(".ssh/id_rsa");
    let denied = [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "\u{feff}{}".to_owned(),
        "{\"hook_event_name\":7}".to_owned(),
        event("PreToolUse", Value::Null, json!({})),
        event("PreToolUse", json!("Read"), json!({ "file_path": key })),
        event("PreToolUse", json!("Read"), json!("no object")),
        event("PreToolUse", json!("no such tool"), json!({})),
        event("PreToolUse", json!("bartizan_refused"), json!({})),
        event("ConfigChange", Value::Null, json!({})),
        json!({ "hook_event_name": "UserPromptSubmit", "prompt": "see @~/.ssh/id_rsa" })
            .to_string(),
    ];
    let allowed = [
        event("PreToolUse", json!("Read"), json!({ "file_path": "notes.txt" })),
        event("Stop", Value::Null, json!({})),
        event("NoSuchEvent", Value::Null, json!({})),
    ];
    for (at, payload) in denied.iter().chain(&allowed).enumerate() {
        project.write(&format!("asked/{at:02}"), payload);
    }
    let bartizan = env!("CARGO_BIN_EXE_bartizan");
    let script = format!(
        "head -c 17000000 /dev/zero | tr '\\0' ' ' > asked/99; for asked in asked/*; do\n\
         {bartizan} hook claude-code < $asked > out 2> err; echo $? $(wc -c < out) $(wc -l < err); done"
    );
    let command = ["run", "--client", "claude-code", "--", "bash", "-c", &script];
    let ran = project.bartizan(&command).env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9").finish();
    let mut expected = vec!["2 0 1"; denied.len()];
    expected.extend(vec!["0 0 0"; allowed.len()]);
    expected.push("2 0 1");
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), expected, "{ran:?}");
    // Where nobody answers it, it says no as well.
    let alone = project.bartizan(&["hook", "claude-code"]).finish();
    assert_eq!((alone.status.code(), &*alone.stdout), (Some(2), ""), "{alone:?}");
    assert!(alone.stderr.contains("hook-unavailable"), "{alone:?}");
}
