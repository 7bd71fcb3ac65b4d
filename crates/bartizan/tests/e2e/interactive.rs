//! Does the real client feel native at a terminal: its screen, its keys, its end?

use crate::claude_code::client;
use crate::support::api::{Api, Script, bash, call_id, say};
use crate::support::log::Log;
use crate::support::project::{NOTES, Project};
use crate::support::terminal::Terminal;

#[test]
fn a_person_types_a_prompt_and_leaves_with_control_c() {
    let Some(client) = client() else { return };
    let script = Script {
        main: vec![bash("cat notes.txt; stty size"), say("HARBOUR-REPORT")],
        ..Script::default()
    };
    let api = Api::start(script);
    let project = Project::new();
    let mode = ["--permission-mode", "bypassPermissions"];
    let command = ["run", "--", client.to_str().unwrap(), mode[0], mode[1]];
    let program = project.bartizan(&command).env("ANTHROPIC_BASE_URL", &api.url());
    let mut terminal = Terminal::start(program);
    terminal.shows("❯");
    terminal.types("start");
    terminal.shows("start");
    terminal.types("\r");
    terminal.shows("HARBOUR-REPORT");
    assert!(api.result("main", 0).contains(NOTES));
    terminal.types("\x03");
    terminal.types_until_ended("\x03");
    assert!(terminal.shown().contains("bartizan"), "the summary: {}", terminal.shown());
    let log = Log::read(&project);
    log.call(&call_id("main", 0, 0));
    log.find("session_end", |_| true);
}

#[test]
fn a_window_that_changes_its_size_does_so_in_the_box() {
    let project = Project::new();
    let script = "stty size; trap 'stty size; exit 7' WINCH; while :; do sleep 0.1; done";
    let terminal = Terminal::start(project.bartizan(&["run", "--", "bash", "-c", script]));
    terminal.shows("40 120");
    terminal.resize(31, 97);
    terminal.shows("31 97");
    terminal.ends();
    let log = Log::read(&project);
    log.find("session_end", |_| true);
    log.is_whole(&project);
}
