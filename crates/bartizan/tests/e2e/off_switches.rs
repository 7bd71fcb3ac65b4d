//! Can whoever starts the client in its box switch the gate's hooks off? By its environment, by the files of the box's
//! user, or by what happens to the policy files before it reads them.

use crate::claude_code::{OFF, Session, client};
use crate::support::api::{Api, Script, bash, say, tool};
use crate::support::log::Log;
use crate::support::project::{NOTES, Project};
use serde_json::json;

/// Runs the client after `before`, a script in its box, and holds that its hooks met both calls.
fn holds_after(before: &str) -> Option<Session> {
    let client = client()?;
    let project = Project::new();
    let key = project.home().join(".ssh/id_rsa");
    let script = Script {
        main: vec![
            tool("Read", json!({ "file_path": key })),
            bash("cat notes.txt"),
            say("All done."),
        ],
        ..Script::default()
    };
    let api = Api::start(script);
    let start = format!("{before}\nexec \"$0\" -p start --permission-mode bypassPermissions");
    let client = client.to_str().unwrap();
    // The name of the program is a shell's, so the client is named; its package is in view all the same.
    let package = client.rsplit_once("/node_modules/").unwrap().0;
    project.configure(&format!("[roles.default.box]\nreadable = [\"{package}/node_modules\"]\n"));
    let command = ["run", "--client", "claude-code", "--", "bash", "-c", &start, client];
    let ran = project.bartizan(&command).env("ANTHROPIC_BASE_URL", &api.url()).finish();
    let log = Log::read(&project);
    let session = Session { project, api, ran, log };
    session.keeps_its_secrets();
    session.ended_well();
    session.log.refusal(&crate::support::api::call_id("main", 0, 0));
    session.met_its_hooks(1);
    assert!(session.main(1).contains(NOTES), "{before}");
    Some(session)
}

#[test]
fn hooks_cannot_be_switched_off_by_the_environment() {
    holds_after(
        "export CLAUDE_CODE_SIMPLE=1 CLAUDE_CODE_SAFE_MODE=1 DISABLE_HOOKS=1 \
         CLAUDE_CODE_MANAGED_SETTINGS_PATH=/tmp/none.json CLAUDE_CONFIG_DIR=/tmp/own",
    );
}

#[test]
fn hooks_cannot_be_switched_off_by_the_files_of_the_boxs_user() {
    let bad = r#"{"disableAllHooks":true,"hooks":{"PreToolUse":[{"hooks":[{"type":"no-such-type"}]}]},"permissions":{"allow":"x"}}"#;
    holds_after(&format!(
        "mkdir -p ~/.claude .claude; echo '{OFF}' > ~/.claude/settings.json; echo '{bad}' > .claude/settings.json\n\
         echo 'no json' > .claude/settings.local.json"
    ));
}

#[test]
fn the_policy_files_can_be_neither_hidden_nor_changed() {
    let policy = "/etc/claude-code/managed-settings.json";
    let session = holds_after(&format!(
        "for way in 'chmod 000 {policy}' 'rm -f {policy}' 'mv {policy} /tmp/x' 'truncate -s 0 {policy}' \
           'mount -t tmpfs x /etc/claude-code' 'mv /etc/claude-code /tmp/y' 'mkdir /etc/claude-code/managed-settings.d'; do\n\
         $way 2>/dev/null && echo \"DONE $way\"; done; head -c1 {policy}"
    ));
    let Some(session) = session else { return };
    assert!(!session.ran.stdout.contains("DONE"), "{:?}", session.ran);
    assert!(session.ran.stdout.starts_with('{'), "the client can read it: {:?}", session.ran);
}
