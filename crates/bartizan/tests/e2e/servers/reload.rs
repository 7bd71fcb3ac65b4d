//! Does another policy count for the tools of servers that are running, and for the person who asks for it?

use super::{Client, code, project, said, tool};
use serde_json::json;

const FIRST: &str = "[roles.default]\nallow = [\"mcp__notes__keep\", \"mcp__notes__drop\"]\n";

#[test]
fn a_tool_that_another_policy_takes_away_is_refused_while_its_server_goes_on() {
    let tools = [tool("keep", "Keeps a note."), tool("drop", "Drops one.")];
    let project = project(&[("notes", &tools, &[])], FIRST);
    let mut client = Client::of(&project);
    client.tools("notes__keep");
    assert!(said(&client.calls("notes__drop", &json!({}))).contains("notes/drop got"));
    let whole = std::fs::read_to_string(project.config().join("bartizan.toml")).unwrap();
    project.configure(&whole.replace("allow =", "alow ="));
    let refused = project.bartizan(&["policy", "reload"]).finish();
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    project.configure(&whole.replace("allow =", "deny = [\"mcp__notes__drop\"]\nallow ="));
    let told = project.bartizan(&["policy", "reload"]).finish();
    assert!(told.stderr.contains("1 process reads its policy anew"), "{told:?}");
    client.gateway.complains("another policy is in force");
    assert_eq!(code(&client.calls("notes__drop", &json!({}))), "policy-denied");
    assert!(said(&client.calls("notes__keep", &json!({}))).contains("notes/keep got"));
    client.ends();
    let nobody = project.bartizan(&["policy", "reload"]).finish();
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(nobody.stderr.contains("no session runs"), "{nobody:?}");
}
