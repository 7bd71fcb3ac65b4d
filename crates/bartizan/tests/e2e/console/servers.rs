//! Do the pages say how the MCP servers fare, in words that a server cannot make markup of?

use super::browser::Console;
use crate::support::project::Project;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const HELLO: &str = r#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
"#;

/// The rows of `servers list` once one is up and another down.
fn both(project: &Project) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let listed = project.bartizan(&["servers", "list", "--json"]).finish();
        let rows: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
        if ["up", "down"].iter().all(|state| rows.iter().any(|row| row["state"] == *state)) {
            return rows;
        }
        assert!(Instant::now() < deadline, "{listed:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_pages_show_how_servers_fare_and_nothing_that_they_say_becomes_markup() {
    let project = Project::new();
    project.write("server.py", include_str!("../servers/server.py"));
    project.write("notes.json", &json!({ "first": [], "turned": [] }).to_string());
    // The program of the other is not there, and the reason names it.
    project.configure(CONFIG);
    let mut gateway = project.bartizan(&["mcp"]).typing();
    gateway.adds(HELLO);
    let session = both(&project)[0]["session"].as_str().unwrap().to_owned();
    let console = Console::inside(&project);
    for page in ["/agents", "/agents/default", &format!("/runs/{session}")] {
        let page = console.browser.get(page).body;
        let (_, now) = page.split_once("<h2>Servers now</h2>").unwrap_or_else(|| panic!("{page}"));
        let now = now.split_once("</table>").unwrap().0;
        assert!(now.contains("<td>notes</td>") && now.contains(">up</span>"), "{now}");
        assert!(now.contains(&format!("/runs/{session}")), "{now}");
        let dead = now.split("<tr>").find(|row| row.contains("<td>dead</td>")).unwrap();
        // It is tried again meanwhile.
        if !dead.contains(">starting</span>") {
            assert!(dead.contains(">down</span>") && dead.contains("is started again"), "{dead}");
            assert!(dead.contains("&lt;script&gt;"), "{dead}");
        }
        assert!(!page.contains("<script"), "{page}");
    }
    let others = console.browser.get("/agents/other").body;
    assert!(!others.contains("Servers now"), "another role's: {others}");
    assert!(gateway.types("").finish().status.success());
    let after = console.browser.get("/agents").body;
    assert!(!after.contains("Servers now"), "{after}");
}

const CONFIG: &str = r#"
[servers.dead]
command = ["./<script>alert"]

[servers.notes]
command = ["/usr/bin/python3", "server.py", "notes"]
pin = "first-use"

[roles.default]
allow = ["mcp__notes__*"]

[roles.other]
"#;
