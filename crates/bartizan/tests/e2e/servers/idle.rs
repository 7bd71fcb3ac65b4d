//! Does a server end that nobody needs, and is it there again for who does?

use super::stateless::post;
use super::{Client, PATIENCE, SERVER, project, said, started, tool};
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
    ended_of(project, "notes")
}

pub(super) fn ended_of(project: &Project, server: &str) -> usize {
    let log = Log::read(project);
    let of_server = |record: &Value| record["server"] == server;
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

/// How often a server was begun with, by its own session on the log.
fn lives(project: &Project, server: &str) -> usize {
    let of_server = |record: &Value| record["server"] == server;
    Log::read(project).all("session_start", of_server).len()
}

fn waits_for_rest(project: &Project, lives: usize, client: &Client) {
    let deadline = Instant::now() + PATIENCE;
    while ended(project) < lives {
        assert!(Instant::now() < deadline, "it goes on: {:?}", client.gateway);
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_list_wakes_nobody_whose_list_is_known_and_another_policy_wakes_it() {
    let tools = [tool("born", "Says when it began."), tool("keep", "Keeps a note.")];
    let roles =
        "[roles.default]\nallow = [\"mcp__notes__*\", \"mcp__other__*\", \"mcp.notes.prompt\"]\n";
    let project = project(&[("other", &[tool("look", "Looks.")], &[])], "");
    project.write("notes.json", &json!({ "first": tools, "turned": [] }).to_string());
    let configure = |roles: &str| {
        let notes = started("notes") + "idle_after = \"2s\"\n";
        project.configure(&(notes + &started("other") + roles));
    };
    configure(roles);
    let mut client = Client::of(&project);
    client.tools("other__look");
    let known = client.lists("notes__born");
    let prompts = client.asks("prompts/list", &json!({}));
    assert_eq!(prompts["result"]["prompts"][0]["name"], "notes__greet", "{prompts}");
    // What is pinned may have changed while it was asked: then it is woken once more, and known from then on (on a busy machine
    // it may rest between two questions, too).
    let mut known_lives = 0;
    while lives(&project, "notes") != known_lives {
        known_lives = lives(&project, "notes");
        assert!(known_lives <= 5, "it is woken again and again");
        waits_for_rest(&project, known_lives, &client);
        client.lists("notes__born");
        client.asks("prompts/list", &json!({}));
    }
    // What is asked for again and again is known, so it rests.
    let begun = Instant::now();
    while begun.elapsed() < IDLE * 2 {
        assert_eq!(client.lists("notes__born"), known);
        assert_eq!(client.asks("prompts/list", &json!({})), prompts_again(&prompts, &client));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(lives(&project, "notes"), known_lives, "a list has woken it");
    // Judged by the policy that is in force now, also what that one says of tools that no gate knows now.
    configure(&roles.replace("allow =", "deny = [\"mcp__notes__keep\"]\nallow ="));
    assert!(project.bartizan(&["policy", "reload"]).finish().status.success());
    client.gateway.complains("another policy is in force");
    let mut names = client.lists("notes__born");
    names.sort_unstable();
    assert_eq!(names, ["notes__born", "other__look"]);
    assert!(lives(&project, "notes") > known_lives);
    // Somebody takes back what they accepted.
    waits_for_rest(&project, lives(&project, "notes"), &client);
    let forgotten = project.bartizan(&["servers", "forget", "notes", "born"]).finish();
    assert!(forgotten.status.success(), "{forgotten:?}");
    assert_eq!(client.lists("other__look"), ["other__look"]);
    client.ends();
}

/// The same answer under the id of the latest request.
fn prompts_again(prompts: &Value, client: &Client) -> Value {
    let mut again = prompts.clone();
    again["id"] = json!(format!("turn-{}", client.turn));
    again
}

/// A server of whom flags say what the configuration says of others.
fn wrapped() -> Project {
    let project = Project::new();
    project.write("server.py", SERVER);
    let tools = [tool("born", "Says when it began."), tool("slow", "Takes its time.")];
    project.write("notes.json", &json!({ "first": tools, "turned": [] }).to_string());
    project.configure("");
    project
}

const WRAPPED: [&str; 8] = [
    "--idle-after=2s",
    "--name=notes",
    "--allow=*",
    "--read=*",
    "--",
    "/usr/bin/python3",
    "server.py",
    "notes",
];

#[test]
fn a_server_behind_a_command_line_rests_where_it_is_said_and_its_client_goes_on() {
    let project = wrapped();
    let gateway = project.bartizan(&[&["mcp"][..], &WRAPPED].concat()).typing();
    let mut client = Client::begin(gateway);
    let first = client.born("born");
    assert_eq!(client.born("slow"), first, "it was ended in mid-call");
    client.asks("logging/setLevel", &json!({ "level": "info" }));
    client.gateway.says("notes is at info");
    let deadline = Instant::now() + PATIENCE;
    let mut second = client.born("born");
    while second == first {
        assert!(Instant::now() < deadline, "it goes on: {:?}", client.gateway);
        std::thread::sleep(IDLE * 2);
        second = client.born("born");
    }
    client.gateway.says("notifications/tools/list_changed");
    assert_eq!(client.born("born"), second);
    let held = client.asks("resources/subscribe", &json!({ "uri": "demo://page/1" }));
    assert!(held["result"].is_object(), "{held}");
    std::thread::sleep(IDLE * 3);
    assert_eq!(client.born("born"), second, "its subscription was lost");
    let ran = client.ends();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(ran.stdout.matches("protocolVersion").count(), 1, "its client began once");
    assert_eq!(ran.stdout.matches("notes is at info").count(), 2, "both knew the level");
    let log = Log::read(&project);
    log.is_whole(&project);
    let later = log.find("session_start", |record| record["for_session"].is_string());
    let begun = log.find("session_start", |record| record["session"] == later["for_session"]);
    for session in [&later, &begun] {
        let over = |record: &Value| record["session"] == session["session"];
        assert_eq!(log.all("session_end", over).len(), 1, "{session}");
    }
}

#[test]
fn how_long_a_server_is_kept_has_one_reading() {
    let project = wrapped();
    for (said, why) in [("soon", "never"), ("0s", "or \"never\""), ("2d", "at most 1d")] {
        let flag = format!("--idle-after={said}");
        for door in ["mcp", "serve"] {
            let ran = project.bartizan(&[door, &flag, "--", "/bin/cat"]).finish();
            assert_eq!(ran.status.code(), Some(2), "{ran:?}");
            assert!(ran.stderr.contains(why), "{ran:?}");
            let all = project.bartizan(&[door, "--idle-after=2s"]).finish();
            assert_ne!(all.status.code(), Some(0), "{all:?}");
        }
    }
    project.configure(&(started("notes") + "idle_after = \"soon\"\n"));
    let checked = project.bartizan(&["policy", "check"]).finish();
    assert!(checked.stderr.contains("or \"never\""), "{checked:?}");
}

#[test]
fn of_twenty_sessions_at_once_each_server_rests_and_each_call_finds_its_own_again() {
    let project = wrapped();
    let listen = ["serve", "--listen", "127.0.0.1:0", "--dev-no-auth"];
    let mut gateway =
        project.bartizan(&[&listen[..], &WRAPPED, &[&own_word(&project)]].concat()).start();
    let line = gateway.complaint(&|line| line.contains("serving at"));
    let address = line.split("://").nth(1).unwrap().trim_end_matches("/mcp").to_owned();
    let sessions: Vec<String> = at_once(20, |_| begin(&address));
    let born = |at: usize| {
        let call = json!({ "name": "born", "arguments": {} });
        let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call });
        let answer = post(&address, &[("Mcp-Session-Id", &sessions[at])], &call).1;
        let word = said(&answer).lines().find(|line| line.starts_with("born "));
        word.unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let first = at_once(20, born);
    let running = || servers(&project).len();
    let deadline = Instant::now() + PATIENCE;
    while running() > 0 {
        assert!(Instant::now() < deadline, "{} go on", running());
        std::thread::sleep(Duration::from_millis(200));
    }
    let second = at_once(20, born);
    let all: std::collections::BTreeSet<&String> = first.iter().chain(&second).collect();
    assert_eq!(all.len(), 40, "each has a server of its own, and each is another");
    gateway.signal(rustix::process::Signal::TERM);
    gateway.finish();
    assert!(servers(&project).is_empty(), "none is left");
}

/// What each of so many threads gives.
fn at_once<T: Send>(count: usize, each: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|at| {
                scope.spawn({
                    let each = &each;
                    move || each(at)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Begins a session: its id.
fn begin(address: &str) -> String {
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello });
    let (head, begun) = post(address, &[], &hello);
    let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
    let session = session.unwrap_or_else(|| panic!("{head} {begun}")).to_owned();
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    post(address, &[("Mcp-Session-Id", &session)], &told);
    session
}

/// The processes of servers that were started with this project's own word.
fn servers(project: &Project) -> Vec<u32> {
    let word = own_word(project);
    let is_one = |pid: &u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        words.starts_with("/usr/bin/python3\0server.py") && words.contains(&word)
    };
    let named = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| named(entry.unwrap()));
    all.filter(is_one).collect()
}

/// What no other project's servers are called.
fn own_word(project: &Project) -> String {
    let root = project.home();
    let root = root.parent().unwrap().file_name().unwrap();
    format!("of{}", root.to_str().unwrap())
}
