//! What does a call of Gemini CLI's mean, in words that the gate knows? The model door and the hook must know it as the same.

use super::codex::word;
use serde_json::{Map, Value, json};

/// The same act of a tool that the policy knows, by an agent that works in `folder`. One of an unknown kind keeps its own name:
/// what the vendor's machines would do, such as `web_fetch`, is among them.
pub(crate) fn means(tool: &str, input: &Value, folder: &str) -> (String, Value) {
    if INSIDE.contains(&tool) {
        let inside = json!({ "tool": tool, "input": input.to_string() });
        return ("gemini.inside".to_owned(), inside);
    }
    let Some((_, known, arguments)) = TOOLS.iter().find(|(name, _, _)| *name == tool) else {
        return (tool.to_owned(), input.clone());
    };
    let Value::Object(given) = input else { return ((*known).to_owned(), input.clone()) };
    let mut meant = Map::new();
    for (own, name) in *arguments {
        if let Some(value) = given.get(*own) {
            let before = meant.insert((*name).to_owned(), value.clone());
            if before.is_some_and(|before| before != *value) {
                // Two names of one argument: nobody knows which of them the client takes.
                return (tool.to_owned(), input.clone());
            }
        }
    }
    match tool {
        "list_directory" => drop(meant.insert("pattern".to_owned(), "*".into())),
        "run_shell_command" => place(&mut meant, given, folder),
        _ => {}
    }
    ((*known).to_owned(), Value::Object(meant))
}

/// Where a command starts decides what it does.
fn place(meant: &mut Map<String, Value>, given: &Map<String, Value>, folder: &str) {
    let Some(Value::String(command)) = meant.get_mut("command") else { return };
    let places = ["dir_path", "directory"].iter().filter_map(|key| given.get(*key)?.as_str());
    for place in places.filter(|place| !place.is_empty() && place.trim_end_matches('/') != folder) {
        *command = format!("cd {} && {command}", word(place));
    }
}

/// Tools that change nothing outside of the client itself: its plan, its questions, and what its own commands have said.
const INSIDE: [&str; 6] = [
    "ask_user",
    "enter_plan_mode",
    "list_background_processes",
    "read_background_output",
    "update_topic",
    "write_todos",
];
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

    #[test]
    fn its_tools_are_those_of_others_under_other_names() {
        let cases = [
            (
                "write_todos",
                json!({"todos": []}),
                "gemini.inside",
                json!({"tool": "write_todos", "input": "{\"todos\":[]}"}),
            ),
            ("Read_File", json!({"file_path": "a"}), "Read_File", json!({"file_path": "a"})),
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
            assert_eq!(means(tool, &input, "/w"), (known.to_owned(), arguments), "{tool}");
        }
    }

    #[test]
    fn where_a_command_starts_is_part_of_it() {
        for (input, command) in [
            (json!({"command": "ls", "dir_path": "x"}), json!("cd x && ls")),
            (json!({"command": "ls", "dir_path": "it's"}), json!("cd 'it'\\''s' && ls")),
            (json!({"command": "ls", "dir_path": "/w/"}), json!("ls")),
            (json!({"command": "ls", "dir_path": ""}), json!("ls")),
            (json!({"command": 1, "dir_path": "x"}), json!(1)),
        ] {
            let meant = means("run_shell_command", &input, "/w");
            assert_eq!(meant, ("Bash".to_owned(), json!({ "command": command })));
        }
    }

    #[test]
    fn an_argument_under_two_names_is_no_known_call() {
        let both = json!({"file_path": "a", "absolute_path": "/home/anna/.ssh/id_rsa"});
        assert_eq!(means("read_file", &both, "/w").0, "read_file");
        let same = json!({"file_path": "a", "absolute_path": "a"});
        assert_eq!(means("read_file", &same, "/w").0, "Read");
    }
}
