//! Several clients on one repository at once: does each have its own answers, its own conversation and its own part of the log?

use crate::claude_code::client;
use crate::support::api::{Api, Block, Hold, Script, bash, call_id, say};
use crate::support::log::Log;
use crate::support::project::{Project, SECRETS, Started};
use serde_json::Value;
use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

/// One client, its model and the prompt that only it has.
struct Beside {
    api: Api,
    hold: Hold,
    run: Started,
}

/// Starts the client of this number; all propose the same acts under the same ids.
fn begin(project: &Project, client: &str, number: usize) -> Beside {
    let hold = Hold::default();
    let waits = [vec![Block::Wait(hold.clone())], bash("deploy now")].concat();
    let api = Api::start(Script {
        main: vec![
            bash(&format!(
                "echo of {number} > made-{number}.txt; cat made-*.txt; ls -A ~/.claude/projects/*; true"
            )),
            bash("deploy now"),
            waits,
            bash("cat notes.txt"),
            say(&format!("DONE-{number}")),
        ],
        ..Script::default()
    });
    let prompt = format!("PROMPT-{number}");
    let flags = ["run", "--json", "--defer-after", "never", "--", client];
    let args = [&flags[..], &["-p", &prompt, "--permission-mode", "bypassPermissions"]].concat();
    let run = project.bartizan(&args).env("ANTHROPIC_BASE_URL", &api.url()).start();
    Beside { api, hold, run }
}

/// What waits for a person, once there is so much.
fn asked(project: &Project, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(150);
    loop {
        let listed = project.bartizan(&["approvals", "list", "--json"]).finish();
        let listed: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap_or_default();
        if listed.len() >= count {
            return listed;
        }
        assert!(Instant::now() < deadline, "{listed:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn three_clients_in_one_repository_know_nothing_of_each_other() {
    let Some(client) = client() else { return };
    let project = Project::new();
    project.configure("[roles.default]\nask = [\"Bash(deploy *)\"]\n");
    let all: Vec<Beside> =
        (0..3).map(|number| begin(&project, client.to_str().unwrap(), number)).collect();
    // Each asks for the same act, and each question is its own: a yes for one is none for the others.
    let questions = asked(&project, 3);
    let sessions: BTreeSet<String> =
        questions.iter().map(|one| one["session"].as_str().unwrap().to_owned()).collect();
    assert_eq!((questions.len(), sessions.len()), (3, 3), "{questions:?}");
    let (one, chosen) = (questions[0]["id"].as_str().unwrap(), &questions[0]["session"]);
    let said = project.bartizan(&["approvals", "approve", one, "-y"]).finish();
    assert!(said.status.success(), "{said:?}");
    for beside in &all {
        beside.hold.let_go();
    }
    let mut ended = Vec::new();
    for (number, Beside { api, run, .. }) in all.into_iter().enumerate() {
        let ran = run.finish();
        assert!(ran.status.success() && ran.stdout.contains(&format!("DONE-{number}")), "{ran:?}");
        let told = ran.stderr.lines().find(|line| line.starts_with('{'));
        let told: Value = serde_json::from_str(told.unwrap_or_else(|| panic!("{ran:?}"))).unwrap();
        assert_eq!(told["files"]["kept"].as_array().map(Vec::len), Some(0), "{told}");
        for request in api.requests() {
            let text = request.text();
            let own = |other: usize| other == number || !text.contains(&format!("PROMPT-{other}"));
            assert!((0..3).all(own), "the model of {number} hears of another: {text}");
            assert!(SECRETS[..3].iter().all(|secret| !text.contains(secret)));
        }
        let home = api.result("main", 0);
        assert_eq!(home.matches(".jsonl").count(), 1, "its own conversation alone: {home}");
        assert!(api.result("main", 1).contains("approval-required"));
        let works = (0..3).filter(|other| home.contains(&format!("of {other}")));
        assert_eq!(works.collect::<Vec<_>>(), [number], "its own work alone: {home}");
        ended.push((told["session"].clone(), api.result("main", 2)));
        assert_eq!(project.file(&format!("made-{number}.txt")), Some(format!("of {number}\n")));
    }
    let log = Log::read(&project);
    log.is_whole(&project);
    for (session, second) in &ended {
        assert_eq!(!second.contains("approval-required"), session == chosen, "{session}: {second}");
        let own = |event: &str, turn: usize| {
            let reference = call_id("main", turn, 0);
            let of =
                |record: &Value| record["session"] == *session && record["reference"] == *reference;
            log.all(event, of).len()
        };
        assert_eq!((own("call", 0), own("call", 3)), (1, 1), "{session}");
        let kept =
            |record: &Value| record["session"] == *session && record["conversations"].is_array();
        let kept = log.all("client", kept);
        assert_eq!(kept[0]["conversations"].as_array().map(Vec::len), Some(1), "{kept:?}");
    }
    let listed = project.bartizan(&["approvals", "list", "--json"]).finish();
    let open: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    assert!(open.iter().all(|one| one["session"] != *chosen), "{open:?}");
}
