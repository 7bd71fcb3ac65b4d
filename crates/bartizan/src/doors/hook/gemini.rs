//! What does a hook payload of Gemini CLI say, in the words that the gate knows?

use super::Payload;
use crate::doors::calls::{Act, Calls};
use crate::doors::gemini;
use bartizan_store::Digest;
use serde_json::Value;

/// The same event about the same tool as Claude Code would tell it; payloads of other dialects stay as they are.
pub(super) fn translated(mut payload: Payload, calls: &Calls, workspace: &str) -> Payload {
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
        let folder = payload.cwd.as_deref().unwrap_or_default();
        let (known, meant) = gemini::means(&tool, &input, folder);
        let act = Act::of(&known, &meant, workspace);
        let judged = match event {
            "PreToolUse" => calls.waiting(&act),
            _ => calls.under_way(&act),
        };
        // Its hooks name no call by its id. Of one that the model door has not judged, what it tells afterwards is of the
        // same words.
        payload.tool_use_id = Some(judged.unwrap_or_else(|| {
            format!("gemini-{}", Digest::of(format!("{tool} {input}").as_bytes()))
        }));
        (payload.tool_name, payload.tool_input) = (Some(known), Some(meant));
    }
    payload
}

/// Where the files begin that the client has put behind a prompt.
const FILES: &str = "\n--- Content from referenced files ---";
#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(payload: Value) -> Payload {
        translated(serde_json::from_value(payload).unwrap(), &Calls::default(), "/w")
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
