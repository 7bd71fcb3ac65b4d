//! What does a hook payload of Gemini CLI say, in the words that the gate knows?

use super::Payload;
use bartizan_store::Digest;
use serde_json::{Map, Value};

/// The same event about the same tool as Claude Code would tell it; payloads of other dialects stay as they are.
pub(super) fn translated(mut payload: Payload) -> Payload {
    let event = match payload.hook_event_name.as_str() {
        "BeforeTool" => "PreToolUse",
        "AfterTool" => "PostToolUse",
        "BeforeAgent" => "UserPromptSubmit",
        _ => return payload,
    };
    event.clone_into(&mut payload.hook_event_name);
    let failed = payload.tool_response.as_ref().and_then(|response| response.get("error"));
    payload.error = failed.filter(|error| !error.is_null()).map(Value::to_string);
    // Files that the prompt mentions have been read by now, and stand behind it.
    payload.prompt = payload.prompt.map(|prompt| match prompt.split_once(FILES) {
        Some((words, _)) => words.to_owned(),
        None => prompt,
    });
    if let Some(tool) = payload.tool_name.take() {
        let input = payload.tool_input.take().unwrap_or_default();
        // This client gives its calls no ids. What it tells afterwards is of the same words.
        payload.tool_use_id =
            Some(format!("gemini-{}", Digest::of(format!("{tool} {input}").as_bytes())));
        let (tool, input) = call(tool, input);
        (payload.tool_name, payload.tool_input) = (Some(tool), Some(input));
    }
    payload
}

/// A call by the name that the gate knows its kind by. One of an unknown kind keeps its own: what the vendor's machines
/// would do, such as `web_fetch`, is among them.
fn call(tool: String, input: Value) -> (String, Value) {
    let Some((_, known, arguments)) = TOOLS.iter().find(|(name, _, _)| *name == tool) else {
        return (tool, input);
    };
    let Value::Object(given) = &input else { return ((*known).to_owned(), input) };
    let mut meant = Map::new();
    for (own, name) in *arguments {
        if let Some(value) = given.get(*own) {
            meant.insert((*name).to_owned(), value.clone());
        }
    }
    if tool == "list_directory" {
        meant.insert("pattern".to_owned(), "*".into());
    }
    ((*known).to_owned(), Value::Object(meant))
}

/// Where the files begin that the client has put behind a prompt.
const FILES: &str = "\n--- Content from referenced files ---";
/// Names of arguments, and the gate's names for them.
type Arguments = &'static [(&'static str, &'static str)];
/// Its tools, the gate's names for them, and the arguments that say what is done.
const TOOLS: [(&str, &str, Arguments); 8] = [
    ("glob", "Glob", &[("pattern", "pattern"), ("path", "path"), ("dir_path", "path")]),
    ("google_web_search", "WebSearch", &[("query", "query")]),
    ("grep_search", "Grep", &[("pattern", "pattern"), ("path", "path"), ("dir_path", "path")]),
    ("list_directory", "Glob", &[("path", "path"), ("dir_path", "path")]),
    ("read_file", "Read", &[("absolute_path", "file_path"), ("file_path", "file_path")]),
    (
        "replace",
        "Edit",
        &[
            ("file_path", "file_path"),
            ("old_string", "old_string"),
            ("new_string", "new_string"),
            ("allow_multiple", "replace_all"),
        ],
    ),
    ("run_shell_command", "Bash", &[("command", "command"), ("description", "description")]),
    ("write_file", "Write", &[("file_path", "file_path"), ("content", "content")]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(payload: Value) -> Payload {
        translated(serde_json::from_value(payload).unwrap())
    }

    fn meant(tool: &str, input: &Value) -> (String, Value) {
        let payload =
            of(json!({ "hook_event_name": "BeforeTool", "tool_name": tool, "tool_input": input }));
        assert_eq!(payload.hook_event_name, "PreToolUse");
        (payload.tool_name.unwrap(), payload.tool_input.unwrap())
    }

    #[test]
    fn its_tools_are_those_of_others_under_other_names() {
        let cases = [
            (
                "run_shell_command",
                json!({"command": "ls", "dir_path": "x"}),
                "Bash",
                json!({"command": "ls"}),
            ),
            ("read_file", json!({"file_path": "a", "limit": 3}), "Read", json!({"file_path": "a"})),
            (
                "write_file",
                json!({"file_path": "a", "content": "x"}),
                "Write",
                json!({"file_path": "a", "content": "x"}),
            ),
            (
                "replace",
                json!({"file_path": "a", "instruction": "i", "old_string": "x", "new_string": "y", "allow_multiple": true}),
                "Edit",
                json!({"file_path": "a", "old_string": "x", "new_string": "y", "replace_all": true}),
            ),
            (
                "list_directory",
                json!({"dir_path": "/etc"}),
                "Glob",
                json!({"path": "/etc", "pattern": "*"}),
            ),
            (
                "glob",
                json!({"pattern": "*.rs", "dir_path": ".."}),
                "Glob",
                json!({"pattern": "*.rs", "path": ".."}),
            ),
            (
                "grep_search",
                json!({"pattern": "x", "path": "/etc"}),
                "Grep",
                json!({"pattern": "x", "path": "/etc"}),
            ),
            (
                "web_fetch",
                json!({"prompt": "https://a.test"}),
                "web_fetch",
                json!({"prompt": "https://a.test"}),
            ),
            ("mcp_x_run", json!({"a": 1}), "mcp_x_run", json!({"a": 1})),
            ("write_file", json!("text"), "Write", json!("text")),
        ];
        for (tool, input, known, arguments) in cases {
            assert_eq!(meant(tool, &input), (known.to_owned(), arguments), "{tool}");
        }
    }

    #[test]
    fn what_comes_after_a_call_is_of_that_call() {
        let tell = |event: &str, command: &str, response: Value| {
            of(json!({
                "hook_event_name": event, "tool_name": "run_shell_command", "tool_input": {"command": command},
                "tool_response": response,
            }))
        };
        let before = tell("BeforeTool", "ls", Value::Null);
        let after = tell("AfterTool", "ls", json!({"llmContent": "a.txt", "error": null}));
        assert_eq!(
            (&after.hook_event_name, &after.tool_use_id),
            (&"PostToolUse".to_owned(), &before.tool_use_id)
        );
        assert_eq!(after.error, None);
        let other = tell("AfterTool", "ls -a", json!({"error": {"message": "none"}}));
        assert_ne!(other.tool_use_id, before.tool_use_id);
        assert!(other.error.unwrap().contains("none"));
    }

    #[test]
    fn prompts_are_judged_and_other_dialects_left_alone() {
        let prompt = of(
            json!({ "hook_event_name": "BeforeAgent", "prompt": "see @/etc/passwd\n--- Content from referenced files ---\n@~/x" }),
        );
        assert_eq!((&*prompt.hook_event_name, prompt.tool_use_id), ("UserPromptSubmit", None));
        assert_eq!(prompt.prompt.as_deref(), Some("see @/etc/passwd"));
        let own = of(
            json!({ "hook_event_name": "PreToolUse", "tool_name": "read_file", "tool_input": {} }),
        );
        assert_eq!((own.tool_name.as_deref(), own.tool_use_id), (Some("read_file"), None));
    }
}
