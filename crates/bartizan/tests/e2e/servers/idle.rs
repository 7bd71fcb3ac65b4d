//! Does a server end that nobody needs, and is it there again for who does?

use super::{Client, PATIENCE, project, said, tool};
use crate::support::log::Log;
use crate::support::project::Project;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const IDLE: Duration = Duration::from_secs(2);

fn idling() -> Project {
    let tools = [tool("born", "Says when it began."), tool("slow", "Takes its time.")];
    project(
        &[("notes", &tools, &[])],
        "idle_after = \"2s\"\n[roles.default]\nallow = [\"mcp__notes__*\", \"mcp.notes.*\"]\n",
    )
}

impl Client {
    /// Which life of the server answers.
    fn born(&mut self, tool: &str) -> String {
        let answer = self.calls(tool, &json!({}));
        let word = said(&answer).lines().find(|line| line.starts_with("born "));
        word.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

/// How many lives of the server the log says have ended.
fn ended(project: &Project) -> usize {
    let log = Log::read(project);
    let of_server = |record: &Value| record["server"] == "notes";
    let begun = log.all("session_start", of_server);
    let is_over = |session: &Value| {
        !log.all("session_end", |record| record["session"] == *session).is_empty()
    };
    begun.iter().filter(|record| is_over(&record["session"])).count()
}

#[test]
fn a_server_that_nobody_needs_ends_and_the_next_call_finds_another() {
    let project = idling();
    let mut client = Client::of(&project);
    client.tools("notes__born");
    let first = client.born("notes__born");
    assert_eq!(client.born("notes__born"), first);
    let deadline = Instant::now() + PATIENCE;
    while ended(&project) == 0 {
        assert!(Instant::now() < deadline, "it goes on: {:?}", client.gateway);
        std::thread::sleep(Duration::from_millis(200));
    }
    // Nobody is told before somebody needs it: who is told looks, and it would never rest.
    let second = client.born("notes__born");
    assert_ne!(second, first);
    client.gateway.says("notifications/tools/list_changed");
    assert_eq!(client.born("notes__born"), second);
    let ran = client.ends();
    assert!(!ran.stderr.contains("is not there"), "to rest is not to fail: {ran:?}");
    let down = Log::read(&project);
    assert!(down.all("config_change", |record| record["act"] == "mcp_down").is_empty());
}

#[test]
fn a_server_goes_on_while_it_answers_or_holds_something_for_its_client() {
    let project = idling();
    let mut client = Client::of(&project);
    client.tools("notes__born");
    let first = client.born("notes__born");
    assert_eq!(client.born("notes__slow"), first, "it was ended in mid-call");
    let held = client.asks("resources/subscribe", &json!({ "uri": "mcp://notes/demo://page/1" }));
    assert!(held["result"].is_object(), "{held}");
    std::thread::sleep(IDLE * 3);
    assert_eq!(client.born("notes__born"), first, "its subscription was lost");
    client.ends();
}
