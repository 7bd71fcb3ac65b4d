//! Does a run tell people by itself, while it waits for them, and does the console?

use crate::approvals::{POST, approvals, asking, question};
use crate::collector::{Answer, Collector};
use crate::support::project::Project;
use crate::support::terminal::Terminal;
use bartizan_store::{Desk as _, Digest, NewQuestion, Store};
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_run_tells_of_its_question_while_it_waits() {
    let collector = Collector::answering(&[Answer::status(500), Answer::status(200)]);
    let (project, sink, [one, _]) = asking();
    let config = project.config().join("bartizan.toml");
    let told = format!(
        "{}[secrets.hook]\nfrom = \"env://HOOK_KEY\"\n\
         [notify.webhooks.ops]\nurl = \"http://127.0.0.1:{}\"\nsecret = \"hook\"\n",
        std::fs::read_to_string(config).unwrap(),
        collector.port
    );
    project.configure(&told);
    let script = format!("{POST}\npost {one}; echo asked; read line; post {one} && echo through");
    let run = project.bartizan(&["run", "--", "bash", "-c", &script]);
    let run = run.env("HOOK_KEY", "kq3vZr0Tn8YbLw5XcUd2").typing();
    run.says("asked");
    let deadline = Instant::now() + Duration::from_mins(2);
    while collector.came().len() < 2 {
        assert!(Instant::now() < deadline, "{:?}", collector.came());
        thread::sleep(Duration::from_millis(20));
    }
    let notice: Value = serde_json::from_str(&collector.came()[1].body).unwrap();
    assert_eq!(notice["question"]["id"], question(&project).as_str());
    assert_eq!(notice["question"]["target"], one.as_str());
    let id = notice["question"]["id"].as_str().unwrap();
    assert_eq!(approvals(&project, &["approve", id, "--yes"]).status.code(), Some(0));
    let ran = run.types("go\n").finish();
    assert!(ran.stdout.contains("through"), "{ran:?}");
    assert_eq!((sink.arrived().len(), collector.came().len()), (1, 2));
}

#[test]
fn the_console_tells_of_a_question_while_it_is_shown() {
    let collector = Collector::answering(&[Answer::status(200)]);
    let project = Project::new();
    project.configure(&format!(
        "[secrets.hook]\nfrom = \"env://HOOK_KEY\"\n\
         [notify.webhooks.ops]\nurl = \"http://127.0.0.1:{}\"\nsecret = \"hook\"\n",
        collector.port
    ));
    let store = Store::open(&project.state()).unwrap();
    let console = project.bartizan(&["console"]).env("HOOK_KEY", "kq3vZr0Tn8YbLw5XcUd2");
    let terminal = Terminal::start(console);
    terminal.shows("Enter shows another");
    let asked = NewQuestion {
        session: "s-1".to_owned(),
        agent: "main".to_owned(),
        tool: "Pay".to_owned(),
        digest: Digest::of(b"pay"),
        policy: Digest::of(b"policy"),
        quorum: 1,
        shown: serde_json::json!({ "effect": "irreversible", "target": "till-7" }),
        expires_in: Duration::from_hours(1),
    };
    let question = store.ask(asked).unwrap();
    let deadline = Instant::now() + Duration::from_mins(2);
    while collector.came().is_empty() {
        assert!(Instant::now() < deadline, "{}", terminal.shown());
        thread::sleep(Duration::from_millis(20));
    }
    let notice: Value = serde_json::from_str(&collector.came()[0].body).unwrap();
    assert_eq!(notice["question"]["id"], question.id.as_str());
    assert_eq!(notice["question"]["target"], "till-7");
}
