//! What must Codex find in its box, so that it reaches its model through the model door and asks the gate before each act?
//!
//! As with Claude Code, nothing here is a wall. Codex lets a call through when its hook crashes or hangs, whatever its
//! configuration says; the choices follow measurements of version 0.169.0, and `docs/codex.md` has the table.

use super::{NotUtf8, Outfit, Setup, SyntheticFile};
use serde_json::json;
use std::fmt::Write as _;

/// Lays out the box for Codex.
///
/// # Errors
/// A path is not UTF-8.
pub(crate) fn outfit(setup: &Setup<'_>) -> Result<Outfit, NotUtf8> {
    let bartizan = setup.bartizan.to_str().ok_or_else(|| NotUtf8(setup.bartizan.to_owned()))?;
    let files = vec![
        read_only(REQUIREMENTS, requirements(bartizan, setup.servers)),
        read_only(MANAGED, managed(bartizan, setup)),
        read_only(DEFAULTS, DEFAULT_SETTINGS.to_owned()),
        fallback(bartizan, setup),
    ];
    let mut env = vec![(KEY.to_owned(), placeholder(&setup.entropy))];
    // It asks for names by datagrams alone, which a box of tier B has not: so the proxy looks the model's name up, too.
    env.extend(["no_proxy", "NO_PROXY"].map(|name| (name.to_owned(), NO_PROXY.to_owned())));
    Ok(Outfit { files, env })
}

/// The route, the servers and the settings once more, as the user's own: a box of tier B has nothing in `/etc`. No hooks:
/// Codex runs none of a user's that nobody has reviewed at its screen.
fn fallback(bartizan: &str, setup: &Setup<'_>) -> SyntheticFile {
    let text = format!("{DEFAULT_SETTINGS}{}{FEATURES}", managed(bartizan, setup));
    let path = setup.home.join(".codex/config.toml");
    SyntheticFile { path, contents: text.into_bytes(), mode: 0o600, writable: true }
}

/// The tier that no flag, user or repository leads over. Hooks in it are trusted without a review, and stand alone.
fn requirements(bartizan: &str, servers: &[String]) -> String {
    let command = quoted(&format!("'{}' hook codex", bartizan.replace('\'', "'\\''")));
    let mut text = SWITCHES.to_owned();
    // Even if it is empty: a server that is not in this table does not start, wherever it is configured.
    text.push_str("\n[mcp_servers]\n");
    for server in servers {
        let (server, program) = (quoted(server), quoted(bartizan));
        write!(text, "\n[mcp_servers.{server}.identity]\ncommand = {program}\n")
            .unwrap_or_default();
    }
    text.push_str("\n[hooks]\n");
    for event in HOOKS {
        // Writing to a string cannot fail.
        write!(
            text,
            "\n[[hooks.{event}]]\n[[hooks.{event}.hooks]]\ntype = \"command\"\ncommand = {command}\ntimeout = 15\n"
        )
        .unwrap_or_default();
    }
    text
}

/// The route to the model, and the servers behind the gateway; both lead over the person's own configuration.
fn managed(bartizan: &str, setup: &Setup<'_>) -> String {
    let url = quoted(&format!("{}/v1", setup.model_url));
    let mut text = format!(
        "model_provider = \"bartizan\"\n\
         # A search by the vendor's machines meets no gate.\n\
         web_search = \"disabled\"\n\
         check_for_update_on_startup = false\n\n\
         [model_providers.bartizan]\nname = \"bartizan\"\nbase_url = {url}\nenv_key = \"{KEY}\"\n\
         wire_api = \"responses\"\nsupports_websockets = false\n\n\
         [analytics]\nenabled = false\n"
    );
    for server in setup.servers {
        let (name, program) = (quoted(server), quoted(bartizan));
        write!(
            text,
            "\n[mcp_servers.{name}]\ncommand = {program}\nargs = [\"hook\", \"server\", {name}]\n\
             # Else the first turn does not wait for its tools.\nrequired = true\nstartup_timeout_sec = 60\n\
             # The gateway asks, and waits for the answer.\ndefault_tools_approval_mode = \"approve\"\ntool_timeout_sec = 3600\n"
        )
        .unwrap_or_default();
    }
    text
}

/// A key of the vendor's shape. It is worth nothing anywhere: the model door strips it.
fn placeholder(entropy: &[u8; 36]) -> String {
    let mut key = String::from("sk-proj-bartizan-placeholder-");
    for byte in entropy {
        write!(key, "{byte:02x}").unwrap_or_default();
    }
    key
}

/// A TOML string; JSON's escapes are TOML's.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn read_only(path: &str, contents: String) -> SyntheticFile {
    let contents = contents.into_bytes();
    SyntheticFile { path: path.into(), contents, mode: 0o444, writable: false }
}

const REQUIREMENTS: &str = "/etc/codex/requirements.toml";
const MANAGED: &str = "/etc/codex/managed_config.toml";
const DEFAULTS: &str = "/etc/codex/config.toml";
const KEY: &str = "OPENAI_API_KEY";

/// Plugins and apps would be fetched from the vendor at each start, and a compressed request cannot be looked into.
const SWITCHES: &str = "allow_managed_hooks_only = true\n\n[features]\nhooks = true\nplugins = false\napps = false\n\
    enable_request_compression = false\n";
const FEATURES: &str =
    "\n[features]\nplugins = false\napps = false\nenable_request_compression = false\n";
/// The box's own servers.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// Codex's own sandbox needs user namespaces, which a box does not give; a person's flag leads over this.
const DEFAULT_SETTINGS: &str = "sandbox_mode = \"danger-full-access\"\n";

/// The events that the gate hears of. The first two are judged: exit code 2 stops the act.
const HOOKS: [&str; 4] = ["PreToolUse", "UserPromptSubmit", "PostToolUse", "SessionStart"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn each_server_behind_the_gateway_is_an_entry_and_no_other_may_start() {
        let entries = |servers: &[String]| {
            let setup = Setup {
                servers,
                bartizan: Path::new("/opt/it's/bartizan"),
                model_url: "http://model.bartizan",
                cloud: Box::leak(Box::default()),
                home: Path::new("/home/anna"),
                workspace: Path::new("/home/anna/src/shop"),
                entropy: [0xa5; 36],
            };
            let outfit = outfit(&setup).unwrap();
            [REQUIREMENTS, MANAGED].map(|path| {
                let file = outfit.files.iter().find(|file| file.path == Path::new(path)).unwrap();
                let text = std::str::from_utf8(&file.contents).unwrap();
                toml::from_str::<toml::Table>(text).unwrap().remove("mcp_servers")
            })
        };
        let [allowed, configured] = entries(&[]);
        assert_eq!((allowed, configured), (Some(toml::Table::new().into()), None));
        let [allowed, configured] = entries(&["notes".to_owned(), "a_b".to_owned()]);
        let (allowed, configured) = (allowed.unwrap(), configured.unwrap());
        assert_eq!(allowed.as_table().unwrap().len(), 2);
        assert_eq!(allowed["notes"]["identity"]["command"].as_str(), Some("/opt/it's/bartizan"));
        assert_eq!(configured["a_b"]["command"].as_str(), Some("/opt/it's/bartizan"));
        let words: Vec<_> = configured["a_b"]["args"].as_array().unwrap().iter().collect();
        assert_eq!(
            words,
            ["hook", "server", "a_b"].map(toml::Value::from).iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_outfit_is_what_was_tried_on_the_real_client() {
        let setup = Setup {
            servers: &[],
            bartizan: Path::new("/opt/it's/bartizan"),
            model_url: "http://model.bartizan",
            cloud: Box::leak(Box::default()),
            home: Path::new("/home/anna"),
            workspace: Path::new("/home/anna/src/shop"),
            entropy: [0xa5; 36],
        };
        let outfit = outfit(&setup).unwrap();
        let mut text = String::new();
        for file in &outfit.files {
            let ours = file.path.starts_with("/etc");
            let mode = if ours { 0o444 } else { 0o600 };
            assert!(file.writable != ours && file.mode == mode, "{}", file.path.display());
            writeln!(text, "== {}", file.path.display()).unwrap();
            text.push_str(std::str::from_utf8(&file.contents).unwrap());
            let contents = std::str::from_utf8(&file.contents).unwrap();
            toml::from_str::<toml::Table>(contents).unwrap();
        }
        for (name, value) in &outfit.env {
            writeln!(text, "== {name}={value}").unwrap();
        }
        insta::assert_snapshot!(text);
    }
}
