//! What must Gemini CLI find in its box, so that it reaches its model through the model door and asks the gate before each act?
//!
//! As with the other clients, nothing here is a wall: this one lets a call through when its hook crashes or hangs. The choices follow
//! version 0.61.0, and `docs/gemini.md` has the table.

use super::{NotUtf8, Outfit, Setup, SyntheticFile};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Lays out the box for Gemini CLI.
///
/// # Errors
/// A path is not UTF-8.
pub(crate) fn outfit(setup: &Setup<'_>) -> Result<Outfit, NotUtf8> {
    let bartizan = setup.bartizan.to_str().ok_or_else(|| NotUtf8(setup.bartizan.to_owned()))?;
    let settings = format!("{:#}\n", settings(bartizan, setup)).into_bytes();
    // Those that lead over a repository's. Where the client would not take them, it has the same as the person's.
    let leading = SyntheticFile {
        path: SYSTEM.into(),
        contents: settings.clone(),
        mode: 0o444,
        writable: false,
    };
    let path = setup.home.join(".gemini/settings.json");
    let persons = SyntheticFile { path, contents: settings, mode: 0o600, writable: true };
    // A variable that is set leads over those of a repository's `.env`.
    let env = [
        (BASE_URL, setup.model_url.to_owned()),
        (KEY, placeholder(&setup.entropy)),
        ("GEMINI_CLI_SYSTEM_SETTINGS_PATH", SYSTEM.to_owned()),
        ("NODE_OPTIONS", format!("--import=data:text/javascript,{}", percent(OURS))),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Ok(Outfit { files: vec![leading, persons], env })
}

/// A text as a part of a URL, without anything that node would read in its options.
fn percent(text: &str) -> String {
    let mut url = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            url.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(url, "%{byte:02X}").unwrap_or_default();
        }
    }
    url
}

fn settings(bartizan: &str, setup: &Setup<'_>) -> Value {
    // A shell reads it, and before that the client puts variables into what begins with a dollar.
    let command = format!("'{}' hook gemini-cli", bartizan.replace('\'', "'\\''"));
    // By its name a repository could switch it off, so that it has one that nobody could know before.
    let mut name = String::from("bartizan-");
    for byte in setup.entropy.iter().rev().take(6) {
        write!(name, "{byte:02x}").unwrap_or_default();
    }
    let hook =
        json!({ "type": "command", "name": name, "command": command, "timeout": TIMEOUT_MS });
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
    let entries: Map<String, Value> = setup.servers.iter().map(entry).collect();
    // With an empty list the client would start whatever a repository names.
    let none = vec![NO_SERVER.to_owned()];
    let allowed = if setup.servers.is_empty() { &none } else { setup.servers };
    json!({
        "hooks": hooks,
        "hooksConfig": { "enabled": true, "disabled": [], "notifications": false },
        "mcpServers": entries,
        "general": { "enableAutoUpdate": false, "enableAutoUpdateNotification": false },
        "mcp": { "allowed": allowed },
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

/// Where its highest settings are.
const SYSTEM: &str = "/etc/gemini-cli/settings.json";
/// What lets the client take them.
const OURS: &str = include_str!("gemini/ours.mjs");
/// A name that no server has.
const NO_SERVER: &str = "-";
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
    fn the_outfit_asks_the_gate_before_each_call() {
        let setup = Setup {
            servers: &["notes".to_owned()],
            bartizan: Path::new("/opt/it's/bartizan"),
            model_url: "http://model.bartizan",
            cloud: Box::leak(Box::default()),
            home: Path::new("/home/anna"),
            workspace: Path::new("/home/anna/src/shop"),
            entropy: [0xa5; 36],
        };
        let outfit = outfit(&setup).unwrap();
        let [leading, file] = &*outfit.files else { panic!("two files") };
        assert_eq!(file.path, Path::new("/home/anna/.gemini/settings.json"));
        assert_eq!(
            (&*leading.path, leading.mode, leading.writable),
            (Path::new(SYSTEM), 0o444, false)
        );
        assert_eq!(leading.contents, file.contents);
        let [(base, url), (name, key), (_, system), (_, node)] = &*outfit.env else {
            panic!("four variables")
        };
        assert_eq!(system, SYSTEM);
        assert!(
            node.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\'".contains(&byte)),
            "{node}"
        );
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
        let own = settings["hooks"]["BeforeTool"][0]["hooks"][0]["name"].as_str().unwrap();
        assert_eq!(own, "bartizan-a5a5a5a5a5a5");
        assert_eq!(settings["mcp"]["allowed"], json!(["notes"]));
        let servers = settings["mcpServers"].as_object().unwrap();
        assert_eq!(servers.len(), 1);
        assert_eq!(servers["notes"]["command"], "/opt/it's/bartizan");
        assert_eq!(servers["notes"]["args"], json!(["hook", "server", "notes"]));
        assert!(!settings.to_string().contains("AIza"), "a key is in the environment alone");
    }
}
