//! What must Claude Code find in its box, so that it starts without a dialog and asks the gate
//! before each act?
//!
//! Nothing here is a wall: the client counts as the attacker's (it can rewrite its own memory), so
//! the box, the egress and the model door hold without it. These files make refusals early and
//! readable, and give each call its arguments in the log. The choices follow measurements of the
//! client, version 2.1.329; `docs/claude-code.md` has the table.

use super::{Cloud, NotUtf8, Outfit, Setup, SyntheticFile};
use crate::config::Provider;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// Lays out the box for Claude Code.
///
/// # Errors
/// A path is not UTF-8.
pub(crate) fn outfit(setup: &Setup<'_>) -> Result<Outfit, NotUtf8> {
    let key = placeholder(&setup.entropy);
    let files = vec![
        read_only(MANAGED_SETTINGS, &managed_settings(setup)?),
        // Its presence alone shuts out every server of the repository, the user and the command
        // line.
        read_only(MANAGED_MCP, &managed_servers(setup)?),
        seed(setup, &key)?,
        fallback(setup)?,
    ];
    let mut env: Vec<(String, String)> = pins(setup);
    env.push(("ANTHROPIC_API_KEY".to_owned(), key));
    Ok(Outfit { files, env })
}

/// The highest tier of settings. Hooks that stand anywhere else are switched off by one line in a
/// repository's `.claude/settings.json`.
fn managed_settings(setup: &Setup<'_>) -> Result<Value, NotUtf8> {
    let env: Map<String, Value> =
        pins(setup).into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    Ok(json!({
        "hooks": hooks(setup)?,
        // A repository's hook could answer "allow", or rewrite a call after ours has judged it.
        "allowManagedHooksOnly": true,
        // Inline shell in skills and commands runs without any hook.
        "disableSkillShellExecution": true,
        // Messages from the person's other sessions, through a socket and a token in each child's
        // environment.
        "crossSessionInbound": "refuse",
        // Sessions steered from, and tools run by, the vendor's cloud never meet this machine.
        "disableRemoteControl": true,
        "disableClaudeAiConnectors": true,
        // The client would ask claude.ai about each host first: a request that the agent did not
        // make, to a host that policy need not allow.
        "skipWebFetchPreflight": true,
        // Pinned again here, since this tier leads over a repository's `env`.
        "env": env,
    }))
}

fn hooks(setup: &Setup<'_>) -> Result<Map<String, Value>, NotUtf8> {
    let bartizan = utf8(setup.bartizan)?;
    let hooks = HOOKS.iter().map(|&(event, timeout_s)| {
        let hook = json!({
            "type": "command",
            // With `args` there is no shell between the client and the hook: 1–3 ms instead of
            // 15, and nothing to quote.
            "command": bartizan,
            "args": ["hook", "claude-code"],
            "timeout": timeout_s,
            // Without this a hook that crashes, hangs or is missing lets the call through.
            "onFailure": "block",
        });
        (event.to_owned(), json!([{ "hooks": [hook] }]))
    });
    Ok(hooks.collect())
}

/// The hooks once more, as the user's own: where there are managed settings the client heeds no others', and a box of tier B has
/// nothing in `/etc`.
fn fallback(setup: &Setup<'_>) -> Result<SyntheticFile, NotUtf8> {
    let settings = json!({ "hooks": hooks(setup)?, "disableSkillShellExecution": true });
    let path = setup.home.join(".claude/settings.json");
    Ok(SyntheticFile { path, contents: pretty(&settings), mode: 0o600, writable: true })
}

/// The servers behind the gateway, each by a process that carries its conversation out of the box.
fn managed_servers(setup: &Setup<'_>) -> Result<Value, NotUtf8> {
    Ok(json!({ "mcpServers": servers(setup)? }))
}

fn servers(setup: &Setup<'_>) -> Result<Map<String, Value>, NotUtf8> {
    let bartizan = utf8(setup.bartizan)?;
    let entry = |name: &String| {
        let entry =
            json!({ "type": "stdio", "command": bartizan, "args": ["hook", "server", name] });
        (name.clone(), entry)
    };
    Ok(setup.servers.iter().map(entry).collect())
}

/// What each start of the client must hold, in its environment and in the managed tier.
fn pins(setup: &Setup<'_>) -> Vec<(String, String)> {
    let switches = [
        // The routing variables (base URL, unix socket, Bedrock, Vertex, keys) of a repository's
        // settings are not applied.
        "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST",
        // Puts the agent, its kind and the prompt's id on each model request, so that it can be
        // joined with the hooks.
        "CLAUDE_CODE_GATEWAY_HINT_HEADERS",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "DISABLE_AUTOUPDATER",
        "DISABLE_UPDATES",
        "DISABLE_TELEMETRY",
        "DISABLE_ERROR_REPORTING",
        // At a terminal the client would fetch plugins from the vendor by itself.
        "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL",
    ];
    let mut pins = vec![("ANTHROPIC_BASE_URL".to_owned(), setup.model_url.to_owned())];
    pins.extend(switches.map(|name| (name.to_owned(), "1".to_owned())));
    pins.extend(leads(setup.cloud, setup.model_url));
    pins.extend(match setup.cloud.provider {
        Provider::Anthropic => Vec::new(),
        Provider::Bedrock => {
            vec![on("CLAUDE_CODE_USE_BEDROCK"), on("CLAUDE_CODE_SKIP_BEDROCK_AUTH")]
        }
        Provider::Vertex => vec![on("CLAUDE_CODE_USE_VERTEX"), on("CLAUDE_CODE_SKIP_VERTEX_AUTH")],
    });
    pins
}

/// What leads the vendor's libraries to a provider's form of the API, at the door.
pub(crate) fn leads(cloud: &Cloud, model_url: &str) -> Vec<(String, String)> {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match cloud.provider {
        Provider::Anthropic => Vec::new(),
        Provider::Bedrock => {
            vec![set("ANTHROPIC_BEDROCK_BASE_URL", model_url), set("AWS_REGION", &cloud.region)]
        }
        Provider::Vertex => vec![
            set("ANTHROPIC_VERTEX_BASE_URL", &format!("{model_url}/v1")),
            set("ANTHROPIC_VERTEX_PROJECT_ID", &cloud.project),
            set("CLOUD_ML_REGION", &cloud.region),
        ],
    }
}

fn on(name: &str) -> (String, String) {
    (name.to_owned(), "1".to_owned())
}

/// The client's own state, as it is after a person has gone through the first start's dialogs.
/// Trusting the folder means only that the client may read its settings: they act in the box.
fn seed(setup: &Setup<'_>, key: &str) -> Result<SyntheticFile, NotUtf8> {
    let mut projects = Map::new();
    projects.insert(
        utf8(setup.workspace)?.to_owned(),
        json!({ "hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true }),
    );
    let state = json!({
        "hasCompletedOnboarding": true,
        "theme": "dark",
        "bypassPermissionsModeAccepted": true,
        // The client knows an approved key by its end.
        "customApiKeyResponses": { "approved": [tail(key)], "rejected": [] },
        "projects": projects,
        // Where there is a managed list, as in every box but those of tier B, the client heeds no other.
        "mcpServers": servers(setup)?,
    });
    Ok(SyntheticFile {
        path: setup.home.join(".claude.json"),
        contents: pretty(&state),
        mode: 0o600,
        writable: true,
    })
}

/// A key of the vendor's shape (prefix, length, ending), because the client insists on one and may
/// check it. It is worth nothing anywhere: the model door strips it.
pub(crate) fn placeholder(entropy: &[u8; 36]) -> String {
    let mut key = String::from("sk-ant-api03-bartizan-placeholder-");
    for byte in entropy {
        // Writing to a string cannot fail.
        write!(key, "{byte:02x}").unwrap_or_default();
    }
    key.push_str("AA");
    key
}

/// The last [`KEY_TAIL`] characters of an ASCII key.
fn tail(key: &str) -> &str {
    key.len().checked_sub(KEY_TAIL).and_then(|start| key.get(start..)).unwrap_or(key)
}

fn read_only(path: &str, contents: &Value) -> SyntheticFile {
    // Readable by all: the client starts *without* policy when it cannot read these.
    SyntheticFile { path: path.into(), contents: pretty(contents), mode: 0o444, writable: false }
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = format!("{value:#}");
    text.push('\n');
    text.into_bytes()
}

fn utf8(path: &Path) -> Result<&str, NotUtf8> {
    path.to_str().ok_or_else(|| NotUtf8(path.to_owned()))
}

const MANAGED_SETTINGS: &str = "/etc/claude-code/managed-settings.json";
const MANAGED_MCP: &str = "/etc/claude-code/managed-mcp.json";
const KEY_TAIL: usize = 20;

/// The events that the gate hears of, and how many seconds the client waits. Each answer comes from
/// a process on this machine in milliseconds; a session that does not answer is stuck, and then the
/// call is blocked.
const HOOKS: [(&str, u32); 11] = [
    // Judged: exit code 2 stops the act.
    ("PreToolUse", 15),
    ("UserPromptSubmit", 15),
    ("ConfigChange", 15),
    // The one event after a call that stops the loop before the model sees the results.
    ("PostToolBatch", 15),
    // Told: what came of a call, and who works for whom.
    ("PostToolUse", 15),
    ("PostToolUseFailure", 15),
    ("SessionStart", 15),
    ("SubagentStart", 15),
    ("SubagentStop", 15),
    ("Stop", 15),
    ("SessionEnd", 5),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    fn setup() -> Setup<'static> {
        Setup {
            bartizan: Path::new("/opt/bartizan/bartizan"),
            model_url: "http://model.bartizan",
            cloud: Box::leak(Box::default()),
            home: Path::new("/home/anna"),
            workspace: Path::new("/home/anna/src/shop"),
            servers: &[],
            entropy: [0xa5; 36],
        }
    }

    fn file(outfit: &Outfit, path: &str) -> Value {
        let file = outfit.files.iter().find(|file| file.path == Path::new(path)).unwrap();
        serde_json::from_slice(&file.contents).unwrap()
    }

    #[test]
    fn the_outfit_is_what_was_tried_on_the_real_client() {
        let outfit = outfit(&setup()).unwrap();
        let mut text = String::new();
        for file in &outfit.files {
            let access = if file.writable { "writable" } else { "read-only" };
            writeln!(text, "== {} {:o} {access}", file.path.display(), file.mode).unwrap();
            text.push_str(std::str::from_utf8(&file.contents).unwrap());
        }
        text.push_str("== environment\n");
        for (name, value) in &outfit.env {
            writeln!(text, "{name}={value}").unwrap();
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn each_server_behind_the_gateway_is_an_entry_and_nothing_else_is() {
        let servers = ["files".to_owned(), "shop".to_owned()];
        let outfit = outfit(&Setup { servers: &servers, ..setup() }).unwrap();
        let managed = file(&outfit, MANAGED_MCP);
        let entry = |name: &str| json!({ "type": "stdio", "command": "/opt/bartizan/bartizan", "args": ["hook", "server", name] });
        let expected = json!({ "files": entry("files"), "shop": entry("shop") });
        assert_eq!(managed["mcpServers"], expected);
        assert!(
            !managed.to_string().contains("secret"),
            "how a server is reached is not the box's to know"
        );
    }

    #[test]
    fn every_hook_blocks_when_it_fails_and_needs_no_shell() {
        let settings = file(&outfit(&setup()).unwrap(), MANAGED_SETTINGS);
        let hooks = settings["hooks"].as_object().unwrap();
        assert_eq!(hooks.len(), HOOKS.len());
        for (event, entries) in hooks {
            let entry = &entries[0];
            assert!(entry.get("matcher").is_none(), "{event} does not meet every tool");
            let hook = &entry["hooks"][0];
            assert_eq!(hook["type"], "command", "{event}");
            assert!(hook.get("if").is_none(), "{event} is asked of some calls alone");
            assert_eq!(hook["onFailure"], "block", "{event}");
            assert!(hook["args"].is_array(), "{event} goes through a shell");
            assert!(hook.get("async").is_none(), "{event} does not wait");
            let timeout_s = hook["timeout"].as_u64().unwrap();
            assert!((1..=15).contains(&timeout_s), "{event} waits {timeout_s} s");
        }
    }

    #[test]
    fn policy_files_are_read_only_and_readable_by_every_uid() {
        let outfit = outfit(&setup()).unwrap();
        for file in outfit.files.iter().filter(|file| file.path.starts_with("/etc")) {
            assert!(!file.writable, "{}", file.path.display());
            assert_eq!(file.mode, 0o444, "{}", file.path.display());
        }
    }

    #[test]
    fn the_placeholder_has_the_vendors_shape_and_says_what_it_is() {
        let key = placeholder(&[7; 36]);
        assert_eq!(key.len(), "sk-ant-api03-".len() + 93 + "AA".len());
        assert!(key.starts_with("sk-ant-api03-bartizan-placeholder-"), "{key}");
        assert!(key.ends_with("AA"), "{key}");
        assert_ne!(key, placeholder(&[8; 36]), "it is another one each session");
    }

    #[test]
    fn the_client_finds_its_key_approved_and_its_folder_trusted() {
        let outfit = outfit(&setup()).unwrap();
        let state = file(&outfit, "/home/anna/.claude.json");
        let (_, key) = outfit.env.iter().find(|(name, _)| name == "ANTHROPIC_API_KEY").unwrap();
        let approved = state["customApiKeyResponses"]["approved"][0].as_str().unwrap();
        assert_eq!(approved.len(), KEY_TAIL);
        assert!(key.ends_with(approved));
        assert_eq!(state["projects"]["/home/anna/src/shop"]["hasTrustDialogAccepted"], true);
    }

    #[test]
    fn the_managed_tier_pins_the_route_but_never_a_key() {
        let outfit = outfit(&setup()).unwrap();
        let settings = file(&outfit, MANAGED_SETTINGS);
        assert_eq!(settings["env"]["ANTHROPIC_BASE_URL"], "http://model.bartizan");
        assert!(!settings.to_string().contains("sk-ant"), "every process in the box can read it");
    }

    #[test]
    fn a_path_that_json_cannot_hold_is_refused() {
        let workspace = Path::new(OsStr::from_bytes(b"/home/anna/\xff"));
        let error = outfit(&Setup { workspace, ..setup() }).unwrap_err();
        assert!(error.to_string().contains("is not UTF-8"), "{error}");
    }

    #[test]
    fn a_quote_in_a_path_stays_inside_its_string() {
        let workspace = Path::new("/home/anna/\"},\"disableAllHooks\":true,\"x\":{\"");
        let outfit = outfit(&Setup { workspace, ..setup() }).unwrap();
        let state = file(&outfit, "/home/anna/.claude.json");
        assert_eq!(state["projects"].as_object().unwrap().len(), 1);
        assert!(state.get("disableAllHooks").is_none());
    }
}
