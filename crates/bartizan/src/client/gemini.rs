//! What must Gemini CLI find in its box, so that it asks the gate before each act?
//!
//! As with the other clients, nothing here is a wall: this one lets a call through when its hook crashes or hangs. Its model is
//! a host like any other to the gate (`docs/gemini.md`).

use super::{NotUtf8, Outfit, Setup, SyntheticFile};
use serde_json::{Map, Value, json};

/// Lays out the box for Gemini CLI.
///
/// # Errors
/// A path is not UTF-8.
pub(crate) fn outfit(setup: &Setup<'_>) -> Result<Outfit, NotUtf8> {
    let bartizan = setup.bartizan.to_str().ok_or_else(|| NotUtf8(setup.bartizan.to_owned()))?;
    let contents = format!("{:#}\n", settings(bartizan)).into_bytes();
    // Not in /etc/gemini-cli, which would lead over a repository's settings: the client reads nothing there unless root
    // owns every folder above it, and a box has no root.
    let path = setup.home.join(".gemini/settings.json");
    let file = SyntheticFile { path, contents, mode: 0o600, writable: true };
    Ok(Outfit { files: vec![file], env: Vec::new() })
}

fn settings(bartizan: &str) -> Value {
    // A shell reads it, and before that the client puts variables into what begins with a dollar.
    let command = format!("'{}' hook gemini-cli", bartizan.replace('\'', "'\\''"));
    let hook =
        json!({ "type": "command", "name": "bartizan", "command": command, "timeout": TIMEOUT_MS });
    let hooks: Map<String, Value> = HOOKS
        .iter()
        .map(|event| ((*event).to_owned(), json!([{ "hooks": [hook.clone()] }])))
        .collect();
    json!({
        "hooks": hooks,
        "hooksConfig": { "enabled": true, "disabled": [], "notifications": false },
        "general": { "enableAutoUpdate": false, "enableAutoUpdateNotification": false },
        "privacy": { "usageStatisticsEnabled": false },
        "telemetry": { "enabled": false },
        // The key is a placeholder that is exchanged outside; a login would need a browser.
        "security": { "auth": { "selectedType": "gemini-api-key" }, "folderTrust": { "enabled": false } },
        // Its own sandbox needs containers.
        "tools": { "sandbox": false },
    })
}

const TIMEOUT_MS: u32 = 15_000;
/// The events that the gate hears of. The first two are judged: exit code 2 stops the act.
const HOOKS: [&str; 5] = ["BeforeTool", "BeforeAgent", "AfterTool", "SessionStart", "SessionEnd"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_outfit_is_one_file_that_asks_the_gate_before_each_call() {
        let setup = Setup {
            servers: &[],
            bartizan: Path::new("/opt/it's/bartizan"),
            model_url: "http://model.bartizan",
            home: Path::new("/home/anna"),
            workspace: Path::new("/home/anna/src/shop"),
            entropy: [0xa5; 36],
        };
        let outfit = outfit(&setup).unwrap();
        let [file] = &*outfit.files else { panic!("one file") };
        assert_eq!(file.path, Path::new("/home/anna/.gemini/settings.json"));
        assert!(outfit.env.is_empty());
        let settings: Value = serde_json::from_slice(&file.contents).unwrap();
        for event in HOOKS {
            let entry = &settings["hooks"][event][0];
            assert!(entry.get("matcher").is_none(), "{event} does not meet every tool");
            assert_eq!(entry["hooks"][0]["command"], "'/opt/it'\\''s/bartizan' hook gemini-cli");
        }
        assert_eq!(settings["hooksConfig"]["enabled"], true);
    }
}
