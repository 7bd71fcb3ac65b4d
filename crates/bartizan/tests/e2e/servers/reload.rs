//! Does another policy count for the tools of servers that are running, and for the person who asks for it?

use super::{Client, PATIENCE, code, project, said, tool};
use crate::support::log::Log;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

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

#[test]
fn policies_that_do_not_fit_an_accepted_tool_are_named_and_the_list_is_an_error_until_they_do() {
    let more = "[roles.default]\nallow = [{ tool = \"mcp__notes__keep\", when = \"context.input.text > 3\" }]\n";
    let project = project(&[("notes", &[tool("keep", "Keeps a note.")], &[])], more);
    let mut client = Client::of(&project);
    let unfit = "the policies do not fit the tools of server `notes`";
    let flaw = client.until_it_fails("tools/list", &json!({}));
    assert!(flaw.contains(unfit) && flaw.contains("mcp__notes__keep"), "{flaw}");
    let files = project.config();
    assert!(!flaw.contains(&files.display().to_string()), "the client learns a path: {flaw}");
    let call = json!({ "name": "notes__keep", "arguments": { "text": "x" } });
    assert!(client.until_it_fails("tools/call", &call).contains(unfit));
    client.gateway.complains("no tool of `notes` can be judged");
    client.gateway.complains("bartizan policy reload");
    let noted =
        Log::await_record(&project, "config_change", |record| record["act"] == "policy-unfit");
    assert_eq!(noted["server"], "notes");
    assert!(noted["places"][0].as_str().unwrap().contains("bartizan.toml:"), "{noted}");
    let whole = std::fs::read_to_string(files.join("bartizan.toml")).unwrap();
    project.configure(&whole.replace("context.input.text > 3", "context.input has text"));
    assert!(project.bartizan(&["policy", "reload"]).finish().status.success());
    assert_eq!(client.lists_once_mended("notes__keep"), ["notes__keep"]);
    assert!(said(&client.calls("notes__keep", &json!({ "text": "x" }))).contains("keep got"));
    client.ends();
}

#[test]
fn tools_that_cannot_be_judged_are_not_judged_again_for_every_call() {
    let more = "[roles.default]\nallow = [{ tool = \"mcp__notes__keep\", when = \"context.input.text > 3\" }]\n";
    let project = project(&[("notes", &[tool("keep", "Keeps a note.")], &[])], more);
    let has = json!({ "first": [tool("keep", "Keeps a note.")], "turned": [], "told": true });
    project.write("notes.json", &has.to_string());
    let mut client = Client::of(&project);
    client.until_it_fails("tools/list", &json!({}));
    let begun = Instant::now();
    let call = json!({ "name": "notes__keep", "arguments": { "text": "x" } });
    for _ in 0..50 {
        assert!(client.asks("tools/call", &call)["error"].is_object());
        assert!(client.asks("tools/list", &json!({}))["error"].is_object());
    }
    // Once a second at most, and some before that when it began.
    let most = begun.elapsed().as_secs() + 6;
    let ran = client.ends();
    let asked = ran.stderr.matches("it is asked what it has").count();
    assert!((1..=usize::try_from(most).unwrap()).contains(&asked), "{asked} of {most}: {ran:?}");
}

#[test]
fn a_tool_that_was_accepted_and_cannot_be_called_is_told_once() {
    let odd =
        json!({ "name": "odd", "description": "Is odd.", "inputSchema": { "type": "string" } });
    let tools = [tool("keep", "Keeps a note."), odd];
    let project = project(&[("notes", &tools, &[])], FIRST);
    let mut client = Client::of(&project);
    for _ in 0..3 {
        assert_eq!(client.lists("notes__keep"), ["notes__keep"]);
    }
    client.gateway.complains("nobody can call it");
    let ran = client.ends();
    assert_eq!(ran.stderr.matches("nobody can call it").count(), 1, "{ran:?}");
}

impl Client {
    /// What a request fails with, once it does and its server has started.
    fn until_it_fails(&mut self, method: &str, params: &Value) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.asks(method, params);
            let why = answer["error"]["message"].as_str().unwrap_or("has not started yet");
            if !why.ends_with("has not started yet") {
                return why.to_owned();
            }
            assert!(Instant::now() < deadline, "it never fails: {answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The names of the tools, once the list is no error any more: the signal to reload comes when it comes.
    fn lists_once_mended(&mut self, tool: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        while self.asks("tools/list", &json!({})).get("error").is_some() {
            assert!(Instant::now() < deadline, "the list stays an error: {:?}", self.gateway);
            std::thread::sleep(Duration::from_millis(100));
        }
        self.lists(tool)
    }
}
