//! What does a call of Codex's mean, in words that the gate knows? Its model, its hooks and the policy each have names of
//! their own for one act; whoever judges it at one door must know it again at the other.

mod patch;

use serde_json::{Value, json};

/// The call as Codex's hooks tell it, whether the model or a hook has named it. Where the folder that it works in decides what
/// it touches, that is part of it.
pub(crate) fn told(tool: &str, arguments: &Value, folder: &str) -> (String, Value) {
    if let Some(command) = command(tool, arguments) {
        return ("Bash".to_owned(), json!({ "command": command }));
    }
    match (tool, patch_of(arguments)) {
        (PATCH, Some(patch)) => (tool.to_owned(), json!({ "command": patch, "folder": folder })),
        ("view_image", _) => {
            (tool.to_owned(), json!({ "path": arguments.get("path"), "folder": folder }))
        }
        _ => (tool.to_owned(), arguments.clone()),
    }
}

/// What a call is judged as: the same act of a tool that the policy knows, or each file that a patch writes. Another one keeps
/// its name and is unknown, unless a tool of that name is declared.
pub(crate) fn means(tool: &str, arguments: &Value, folder: &str) -> Vec<(String, Value)> {
    let as_it_is = || vec![(tool.to_owned(), arguments.clone())];
    let one = |name: &str, arguments: Value| vec![(name.to_owned(), arguments)];
    if let Some(command) = command(tool, arguments) {
        return one("Bash", json!({ "command": placed(command, arguments, folder) }));
    }
    let text = |key: &str| arguments.get(key).and_then(Value::as_str);
    match tool {
        PATCH => {
            let writes = patch_of(arguments).and_then(|patch| patch::writes(patch, folder));
            let write = |write| ("Write".to_owned(), write);
            writes.map_or_else(as_it_is, |writes| writes.into_iter().map(write).collect())
        }
        "exec" => match text("command") {
            Some(script) => one("codex.script", json!({ "script": script })),
            None => as_it_is(),
        },
        "view_image" => match text("path") {
            Some(path) => one("Read", json!({ "file_path": within(folder, path) })),
            None => as_it_is(),
        },
        // What is typed into a program that runs is a command like any other.
        "write_stdin" if text("chars").is_some_and(|typed| !typed.is_empty()) => {
            one("Bash", json!({ "command": text("chars") }))
        }
        tool if INSIDE.contains(&tool) => {
            one("codex.inside", json!({ "tool": tool, "input": arguments.to_string() }))
        }
        _ => as_it_is(),
    }
}

/// The command of a shell tool, under any of the names that its releases give it.
fn command(tool: &str, arguments: &Value) -> Option<String> {
    let text = |key: &str| arguments.get(key)?.as_str().map(str::to_owned);
    match tool {
        "exec_command" => text("cmd"),
        "shell_command" => text("command"),
        // What is set in its environment may make another command of it.
        "local_shell" | "shell" if !arguments.get("env").is_some_and(has_members) => {
            let words = arguments.get("command")?.as_array()?;
            let words: Option<Vec<String>> = words.iter().map(|it| it.as_str().map(word)).collect();
            Some(words?.join(" "))
        }
        _ => None,
    }
}

fn has_members(value: &Value) -> bool {
    value.as_object().is_none_or(|table| !table.is_empty())
}

/// A command with what else decides what it does: the folder that it starts in, and the shell that reads it.
fn placed(command: String, arguments: &Value, folder: &str) -> String {
    let text =
        |key: &str| arguments.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let command = match text("shell") {
        Some(shell) if !SHELLS.contains(&shell) => {
            format!("{} -c {}", word(shell), word(&command))
        }
        _ => command,
    };
    match text("workdir") {
        Some(place) if place.trim_end_matches('/') != folder => {
            format!("cd {} && {command}", word(place))
        }
        _ => command,
    }
}

/// One word of a command line.
pub(super) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn patch_of(arguments: &Value) -> Option<&str> {
    ["command", "input"].iter().find_map(|key| arguments.get(key)?.as_str())
}

fn within(folder: &str, path: &str) -> String {
    std::path::Path::new(folder).join(path).to_string_lossy().into_owned()
}

const PATCH: &str = "apply_patch";
/// Tools that change nothing outside of Codex itself: its plan, its clock, its questions, and the wait for what runs.
const INSIDE: [&str; 11] = [
    "create_goal",
    "get_goal",
    "list_agents",
    "request_user_input",
    "request_user_input_async",
    "sleep",
    "tool_search",
    "update_goal",
    "update_plan",
    "wait",
    "write_stdin",
];
/// Shells that read a command as it is judged.
const SHELLS: [&str; 6] = ["/bin/bash", "/bin/sh", "/usr/bin/bash", "bash", "sh", "zsh"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_same_at_the_model_door_and_at_the_hook() {
        for (tool, arguments) in [
            ("exec_command", json!({ "cmd": "ls -a", "workdir": "/w/sub", "tty": true })),
            ("shell_command", json!({ "command": "ls -a" })),
            ("shell", json!({ "command": ["ls", "-a"] })),
            ("local_shell", json!({ "command": ["ls", "-a"] })),
            ("Bash", json!({ "command": "ls -a" })),
        ] {
            let hook = ("Bash".to_owned(), json!({ "command": "ls -a" }));
            assert_eq!(told(tool, &arguments, "/w"), hook, "{tool}");
        }
    }

    #[test]
    fn what_decides_what_a_command_does_is_judged_with_it() {
        for (arguments, judged) in [
            (json!({ "cmd": "ls", "workdir": "/w/", "shell": "bash" }), "ls"),
            (json!({ "cmd": "ls", "workdir": "/etc it's" }), "cd '/etc it'\\''s' && ls"),
            (json!({ "cmd": "a b", "shell": "/tmp/sh" }), "/tmp/sh -c 'a b'"),
        ] {
            let meant = means("exec_command", &arguments, "/w");
            assert_eq!(meant, [("Bash".to_owned(), json!({ "command": judged }))]);
        }
        let typed = means("write_stdin", &json!({ "session_id": 1, "chars": "rm x\n" }), "/w");
        assert_eq!(typed, [("Bash".to_owned(), json!({ "command": "rm x\n" }))]);
    }

    #[test]
    fn a_patch_in_another_folder_is_another_act() {
        let patch = json!({ "command": "*** Begin Patch\n*** Add File: a\n+x\n*** End Patch\n" });
        assert_ne!(told(PATCH, &patch, "/w"), told(PATCH, &patch, "/w/sub"));
        let writes = means(PATCH, &patch, "/w");
        assert_eq!((writes[0].0.as_str(), &writes[0].1["file_path"]), ("Write", &json!("/w/a")));
        assert_eq!(means(PATCH, &json!({ "command": "?" }), "/w")[0].0, PATCH, "it is no patch");
    }

    #[test]
    fn what_is_not_known_keeps_its_name() {
        for (tool, arguments) in [
            ("spawn_agent", json!({ "message": "go" })),
            ("exec_command", json!({ "cmd": 1 })),
            ("shell", json!({ "command": ["ls", 1] })),
            ("exec", json!({})),
            ("view_image", json!({})),
            ("mcp__crm__look", json!({ "id": 1 })),
        ] {
            assert_eq!(means(tool, &arguments, "/w"), [(tool.to_owned(), arguments)]);
        }
        assert_eq!(means("wait", &json!({}), "/w")[0].0, "codex.inside");
        assert_eq!(means("exec", &json!({ "command": "1" }), "/w")[0].0, "codex.script");
    }
}
