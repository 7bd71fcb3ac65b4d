//! Does a client that speaks Gemini CLI's dialect hear what the gate says? By the payloads that the real one sends
//! (`gemini_client` tries that one).

use crate::support::log::Log;
use crate::support::project::Project;
use serde_json::{Value, json};

fn tells(event: &str, tool: &str, input: &Value, response: &Value) -> Value {
    json!({
        "session_id": "17b74ae3-843d-4067-b76b-15764f83e6db", "transcript_path": "/x/chats/session.jsonl", "cwd": "/x",
        "hook_event_name": event, "timestamp": "2026-11-26T20:26:32.718Z",
        "tool_name": tool, "tool_input": input, "tool_response": response,
    })
}

#[test]
fn the_hook_speaks_the_dialect_of_gemini_cli() {
    let project = Project::new();
    project.configure("[roles.default]\ndeny = [\"Bash(forbidden *)\"]\n");
    let home = project.home();
    let before = |tool: &str, input: Value| tells("BeforeTool", tool, &input, &Value::Null);
    let command = json!({ "command": "cat notes.txt", "description": "x" });
    let mention = "look\n--- Content from referenced files ---\nContent from @a:\nmail @~/x\n--- End of content ---";
    let allowed = [
        before("run_shell_command", command.clone()),
        tells(
            "AfterTool",
            "run_shell_command",
            &command,
            &json!({ "llmContent": "x", "returnDisplay": "x" }),
        ),
        before("read_file", json!({ "file_path": "notes.txt" })),
        before("write_file", json!({ "file_path": "made.txt", "content": "x" })),
        before(
            "replace",
            json!({ "file_path": "notes.txt", "instruction": "i", "old_string": "a", "new_string": "b" }),
        ),
        before("list_directory", json!({ "dir_path": "." })),
        json!({ "hook_event_name": "BeforeAgent", "prompt": mention }),
        json!({ "hook_event_name": "SessionEnd", "reason": "exit" }),
    ];
    let denied = [
        before("run_shell_command", json!({ "command": "forbidden x" })),
        before("read_file", json!({ "file_path": home.join(".ssh/id_rsa") })),
        before(
            "write_file",
            json!({ "file_path": home.join(".ssh/authorized_keys"), "content": "x" }),
        ),
        before("list_directory", json!({ "dir_path": home.join(".ssh") })),
        before("grep_search", json!({ "pattern": "KEY", "dir_path": home.join(".ssh") })),
        before("web_fetch", json!({ "prompt": "read https://example.com/" })),
        before("mcp_x_run", json!({})),
        json!({ "hook_event_name": "BeforeAgent", "prompt": "see @~/.ssh/id_rsa" }),
    ];
    for (at, payload) in allowed.iter().chain(&denied).enumerate() {
        project.write(&format!("asked/{at:02}"), &payload.to_string());
    }
    let bartizan = env!("CARGO_BIN_EXE_bartizan");
    let script = format!(
        "for asked in asked/*; do {bartizan} hook gemini-cli < $asked > out 2> err; echo $? $(wc -c < out) $(wc -l < err); done\n\
         grep -c 'hook gemini-cli' ~/.gemini/settings.json"
    );
    let command = ["run", "--client", "gemini-cli", "--", "bash", "-c", &script];
    let key = "AIza-real-key-of-the-person-0123456789abcd";
    let ran = project.bartizan(&command).env("GEMINI_API_KEY", key).finish();
    let mut expected = vec!["0 0 0"; allowed.len()];
    expected.extend(vec!["2 0 1"; denied.len()]);
    expected.push("5");
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), expected, "{ran:?}");
    let log = Log::read(&project);
    let done = log.find("call", |record| record["tool"] == "Bash" && record["door"] == "hook");
    assert_eq!(log.outcome(&done)["details"]["by"], "client");
    for tool in ["Bash", "Read", "Write", "Glob", "Grep", "web_fetch", "mcp_x_run", "FileMention"] {
        log.find("refusal", |record| record["tool"] == tool);
    }
    log.is_whole(&project);
}
