//! What must Gemini CLI find in its box, so that it reaches its model through the model door and asks the gate before each act?
//!
//! As with the other clients, nothing here is a wall: this one lets a call through when its hook crashes or hangs, and a repository's
//! settings lead over these. The choices follow version 0.61.0, and `docs/gemini.md` has the table.

use super::{NotUtf8, Outfit, Setup, SyntheticFile};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Lays out the box for Gemini CLI.
///
/// # Errors
/// A path is not UTF-8.
pub(crate) fn outfit(setup: &Setup<'_>) -> Result<Outfit, NotUtf8> {
    let bartizan = setup.bartizan.to_str().ok_or_else(|| NotUtf8(setup.bartizan.to_owned()))?;
    let contents = format!("{:#}\n", settings(bartizan, setup.servers)).into_bytes();
    // Not in /etc/gemini-cli, which would lead over a repository's settings: the client reads nothing there unless root
    // owns every folder above it, and a box has no root.
    let path = setup.home.join(".gemini/settings.json");
    let file = SyntheticFile { path, contents, mode: 0o600, writable: true };
    // A variable that is set leads over those of a repository's `.env`.
    let env = vec![
        (BASE_URL.to_owned(), setup.model_url.to_owned()),
        (KEY.to_owned(), placeholder(&setup.entropy)),
    ];
    Ok(Outfit { files: vec![file], env })
}

fn settings(bartizan: &str, servers: &[String]) -> Value {
    // A shell reads it, and before that the client puts variables into what begins with a dollar.
    let command = format!("'{}' hook gemini-cli", bartizan.replace('\'', "'\\''"));
    let hook =
        json!({ "type": "command", "name": "bartizan", "command": command, "timeout": TIMEOUT_MS });
    let hooks: Map<String, Value> = HOOKS
        .iter()
        .map(|event| ((*event).to_owned(), json!([{ "hooks": [hook.clone()] }])))
        .collect();
    let entry = |name: &String| {
        // Trusted, so that nobody is asked twice: the gateway asks.
        let entry = json!({
            "command": bartizan, "args": ["hook", "server", name], "trust": true, "timeout": CALL_MS,
        });
        (name.clone(), entry)
    };
    let entries: Map<String, Value> = servers.iter().map(entry).collect();
    json!({
        "hooks": hooks,
        "hooksConfig": { "enabled": true, "disabled": [], "notifications": false },
        "mcpServers": entries,
        "general": { "enableAutoUpdate": false, "enableAutoUpdateNotification": false },
        "privacy": { "usageStatisticsEnabled": false },
        "telemetry": { "enabled": false },
        // The key is a placeholder that is exchanged outside; a login would need a browser.
        "security": { "auth": { "selectedType": "gemini-api-key" }, "folderTrust": { "enabled": false } },
        // Its own sandbox needs containers.
        "tools": { "sandbox": false },
    })
}

/// A key of the vendor's shape. It is worth nothing anywhere: the model door strips it.
fn placeholder(entropy: &[u8; 36]) -> String {
    let mut key = String::from("AIza-bartizan-placeholder-");
    for byte in entropy {
        write!(key, "{byte:02x}").unwrap_or_default();
    }
    key
}

const BASE_URL: &str = "GOOGLE_GEMINI_BASE_URL";
const KEY: &str = "GEMINI_API_KEY";
const TIMEOUT_MS: u32 = 15_000;
/// How long the client waits for a call: the gateway has limits of its own, and waits for people.
const CALL_MS: u32 = 3_600_000;
/// The events that the gate hears of. The first two are judged: exit code 2 stops the act.
const HOOKS: [&str; 5] = ["BeforeTool", "BeforeAgent", "AfterTool", "SessionStart", "SessionEnd"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_outfit_is_one_file_that_asks_the_gate_before_each_call() {
        let setup = Setup {
            servers: &["notes".to_owned()],
            bartizan: Path::new("/opt/it's/bartizan"),
            model_url: "http://model.bartizan",
            home: Path::new("/home/anna"),
            workspace: Path::new("/home/anna/src/shop"),
            entropy: [0xa5; 36],
        };
        let outfit = outfit(&setup).unwrap();
        let [file] = &*outfit.files else { panic!("one file") };
        assert_eq!(file.path, Path::new("/home/anna/.gemini/settings.json"));
        let [(base, url), (name, key)] = &*outfit.env else { panic!("two variables") };
        assert_eq!((&**base, &**url), (BASE_URL, "http://model.bartizan"));
        assert_eq!(&**name, KEY);
        assert!(key.starts_with("AIza-bartizan-placeholder-a5a5"), "{key}");
        let settings: Value = serde_json::from_slice(&file.contents).unwrap();
        for event in HOOKS {
            let entry = &settings["hooks"][event][0];
            assert!(entry.get("matcher").is_none(), "{event} does not meet every tool");
            assert_eq!(entry["hooks"][0]["command"], "'/opt/it'\\''s/bartizan' hook gemini-cli");
        }
        assert_eq!(settings["hooksConfig"]["enabled"], true);
        let servers = settings["mcpServers"].as_object().unwrap();
        assert_eq!(servers.len(), 1);
        assert_eq!(servers["notes"]["command"], "/opt/it's/bartizan");
        assert_eq!(servers["notes"]["args"], json!(["hook", "server", "notes"]));
        assert!(!settings.to_string().contains("AIza"), "a key is in the environment alone");
    }
}
