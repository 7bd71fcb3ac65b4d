//! Is it the same act? A client writes a call's arguments anew in its own way before it carries them out;
//! what that changes without changing the act must not look like another one.

use bartizan_store::Digest;
use serde_json::{Map, Number, Value};
use std::fmt::Write as _;

/// A call's tool and arguments, in a form that the client's own rewriting leaves as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Act {
    tool: String,
    digest: Digest,
}

impl Act {
    /// The act that a call stands for, by an agent that works in `workspace`.
    pub(crate) fn of(tool: &str, arguments: &Value, workspace: &str) -> Self {
        let mut text = String::new();
        write_canonical(&mut text, &normal(tool, arguments, workspace));
        let digest = Digest::of_parts(&[tool.as_bytes(), b"\0", text.as_bytes()]);
        Self { tool: tool.to_owned(), digest }
    }

    /// The same under another name.
    pub(super) fn called(&self, tool: &str) -> Self {
        Self { tool: tool.to_owned(), digest: self.digest }
    }

    /// The tool.
    pub(crate) fn tool(&self) -> &str {
        &self.tool
    }

    /// Equal for equal acts.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }
}

/// The arguments without what Claude Code 2.1.329 changes by itself. Each of these was seen in the
/// client; whatever else differs is another act, and is judged as one.
fn normal(tool: &str, arguments: &Value, workspace: &str) -> Value {
    let Value::Object(fields) = arguments else { return arguments.clone() };
    let mut fields = fields.clone();
    match tool {
        "Bash" => bash(&mut fields, workspace),
        "Edit" => {
            rename(&mut fields, "old_str", "old_string");
            rename(&mut fields, "new_str", "new_string");
            fields.retain(|key, value| key != "replace_all" || *value != Value::Bool(false));
            trim_lines(&mut fields, "new_string");
        }
        "ExitPlanMode" => fields.retain(|key, _| key != "plan" && key != "planFilePath"),
        "Read" => {
            if let Some(Ok(offset)) =
                fields.get("offset").and_then(Value::as_str).map(str::parse::<u64>)
            {
                fields.insert("offset".to_owned(), offset.into());
            }
        }
        "Write" => trim_lines(&mut fields, "content"),
        _ => {}
    }
    Value::Object(fields)
}

/// The client takes the way to where it stands off a command, and keeps the fields it knows.
fn bash(fields: &mut Map<String, Value>, workspace: &str) {
    fields.retain(|key, value| BASH_FIELDS.contains(&key.as_str()) && !value.is_null());
    let Some(Value::String(command)) = fields.get_mut("command") else { return };
    let plain = format!("cd {workspace} && ");
    let quoted = format!("cd \"{workspace}\" && ");
    let single = format!("cd '{workspace}' && ");
    let rest = [plain, quoted, single]
        .iter()
        .find_map(|way| command.strip_prefix(way.as_str()))
        .map(str::to_owned);
    if let Some(rest) = rest {
        *command = rest;
    }
    *command = command.replace("\\\\;", "\\;");
}

fn rename(fields: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = fields.remove(from)
        && !fields.contains_key(to)
    {
        fields.insert(to.to_owned(), value);
    }
}

/// Space at the ends of lines does not last in the client's hands.
fn trim_lines(fields: &mut Map<String, Value>, field: &str) {
    if let Some(Value::String(text)) = fields.get_mut(field) {
        let lines: Vec<&str> = text.split('\n').map(str::trim_end).collect();
        *text = lines.join("\n");
    }
}

/// JSON with sorted keys, and numbers as a client of another language writes them: 1.0 is 1.
fn write_canonical(out: &mut String, value: &Value) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(out, item);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(out, fields.get(key).unwrap_or(&Value::Null));
                out.push(',');
            }
            out.push('}');
        }
        Value::Number(number) => number_text(out, number),
        Value::Bool(_) | Value::Null | Value::String(_) => out.push_str(&value.to_string()),
    }
}

fn number_text(out: &mut String, number: &Number) {
    // Writing to a string cannot fail. Zero has no sign in JSON that JavaScript writes.
    match number.as_f64() {
        Some(0.0) => out.push('0'),
        Some(float) => write!(out, "{float:e}").unwrap_or_default(),
        None => write!(out, "{number}").unwrap_or_default(),
    }
}

/// What the client keeps of a shell command's arguments.
const BASH_FIELDS: [&str; 5] =
    ["command", "dangerouslyDisableSandbox", "description", "run_in_background", "timeout"];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn same(tool: &str, one: &Value, other: &Value) -> bool {
        Act::of(tool, one, "/w") == Act::of(tool, other, "/w")
    }

    #[test]
    fn what_the_client_rewrites_is_the_same_act() {
        for (tool, proposed, made) in [
            ("Bash", json!({"command": "cd /w && ls", "x": 1}), json!({"command": "ls"})),
            ("Bash", json!({"command": "cd '/w' && ls"}), json!({"command": "ls"})),
            (
                "Bash",
                json!({"command": "find . -exec a \\\\;"}),
                json!({"command": "find . -exec a \\;"}),
            ),
            (
                "Read",
                json!({"file_path": "a", "offset": "7"}),
                json!({"file_path": "a", "offset": 7}),
            ),
            ("Write", json!({"content": "a  \nb"}), json!({"content": "a\nb"})),
            (
                "Edit",
                json!({"old_str": "a", "new_str": "b \n"}),
                json!({"old_string": "a", "new_string": "b\n", "replace_all": false}),
            ),
            ("Any", json!({"b": 1.0, "a": -0.0}), json!({"a": 0, "b": 1})),
        ] {
            assert!(same(tool, &proposed, &made), "{tool} {proposed} {made}");
        }
    }

    #[test]
    fn what_acts_otherwise_is_another_act() {
        for (tool, proposed, made) in [
            ("Bash", json!({"command": "ls"}), json!({"command": "ls -a"})),
            ("Bash", json!({"command": "cd /x && rm a"}), json!({"command": "rm a"})),
            ("Bash", json!({"command": "a"}), json!({"command": "a", "run_in_background": true})),
            ("Edit", json!({"old_string": "a"}), json!({"old_string": "a", "replace_all": true})),
            ("Read", json!({"file_path": "a"}), json!({"file_path": "b"})),
            ("Any", json!({"n": 1}), json!({"n": "1"})),
            ("Any", json!(["a,b"]), json!(["a", "b"])),
        ] {
            assert!(!same(tool, &proposed, &made), "{tool} {proposed} {made}");
        }
        assert_ne!(Act::of("A", &json!({}), "/w"), Act::of("B", &json!({}), "/w"));
    }
}
