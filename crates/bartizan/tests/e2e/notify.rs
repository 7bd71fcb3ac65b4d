//! Does a run tell people by itself, while it waits for them?

use crate::approvals::{POST, approvals, asking, question};
use crate::collector::{Answer, Collector};
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
