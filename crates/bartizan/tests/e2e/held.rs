//! What becomes of a call that is held for a person, when its program gives up, or another policy comes meanwhile?

use crate::approvals::{POST, approvals, asking};
use crate::support::api::{Api, Script, bash, call_id};
use crate::support::log::Log;
use crate::support::project::Project;
use crate::support::terminal::Terminal;
use crate::trusted_path::{code, run};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_program_that_gives_up_takes_its_question_with_it() {
    let (project, sink, [one, _]) = asking();
    let script = format!(
        "{POST}\ncurl -sS -m 120 --noproxy '' -x \"$http_proxy\" -d first http://{one}/ & c=$!\n\
         until [ -e go ]; do sleep 0.05; done; kill $c; wait $c; echo gave-up\n\
         read -r line; post {one} && echo through; echo done"
    );
    let mut terminal = run(&project, &["--direct"], &script);
    code(&terminal);
    project.write("go", "");
    // What the program writes waits until the question has left the screen.
    terminal.tells("gave-up");
    let listed = approvals(&project, &["list", "--json"]);
    assert_eq!(listed.stdout.trim(), "[]", "{listed:?}");
    let log = Log::read(&project);
    let withdrawn = log.find("approval", |record| record["act"] == "withdraw");
    log.find("pending", |record| record["question"] == withdrawn["question"]);
    // The same call, made by somebody who waits, is a question of its own.
    terminal.looks_away();
    terminal.types("go on\r");
    let yes = code(&terminal);
    terminal.types(&format!("{yes}\r"));
    terminal.tells("through");
    terminal.ends();
    let arrived = sink.arrived();
    assert!(
        matches!(&*arrived, [one] if one.ends_with("hello")),
        "not what was given up: {arrived:?}"
    );
    Log::read(&project).is_whole(&project);
}

#[test]
fn a_policy_that_comes_while_a_person_is_asked_judges_what_they_approve() {
    let (project, sink, [one, other]) = asking();
    let script = format!(
        "{POST}\npost {one} && echo through; read -r line\n\
         post {other} && echo THROUGH || echo refused; echo done"
    );
    let hosts = format!(
        "[hosts.\"{one}\"]\nprivate = true\n[hosts.\"{other}\"]\nprivate = true\n[roles.default]\n"
    );
    let mut terminal = run(&project, &[], &script);
    let first = code(&terminal);
    // It asks as before, and is another policy all the same.
    project
        .configure(&format!("{hosts}ask = [\"net({one})\", \"net({other})\", \"net(a.test)\"]\n"));
    reload(&project, 1);
    terminal.looks_away();
    terminal.types(&format!("{first}\r"));
    let second = code(&terminal);
    assert_eq!(sink.arrived(), Vec::<String>::new(), "a yes under another policy is none");
    terminal.types(&format!("{second}\r"));
    terminal.tells("through");
    terminal.looks_away();
    terminal.types("go on\r");
    let third = code(&terminal);
    project.configure(&format!("{hosts}deny = [\"net({other})\"]\n"));
    reload(&project, 2);
    terminal.types(&format!("{third}\r"));
    terminal.tells("refused");
    terminal.ends();
    assert_eq!(sink.arrived().len(), 1);
    Log::read(&project).is_whole(&project);
}

/// Asks its model without a stream, and tells what came in a file, since the screen belongs to the question.
const PLAIN: &str = r#"
import json, os, urllib.request
def ask(name):
    body = {"model": "m", "max_tokens": 9, "tools": [{"name": "Bash"}], "messages": [{"role": "user", "content": "go"}]}
    headers = {"content-type": "application/json", "x-stainless-timeout": "1", "x-api-key": os.environ["ANTHROPIC_API_KEY"]}
    request = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(body).encode(), headers)
    with open("part", "wb") as out: out.write(urllib.request.urlopen(request).read())
    os.rename("part", name)
ask("first"); input(); ask("second"); print("asked twice")
"#;

#[test]
fn a_program_that_asks_its_model_without_a_stream_is_told_of_the_question_before_it_gives_up() {
    let api = Api::start(Script { main: vec![bash("true")], ..Script::default() });
    let project = Project::new();
    project.configure("[roles.default]\nask = [\"Bash\"]\n");
    project.write("plain.py", PLAIN);
    let program = project
        .bartizan(&["run", "--direct", "--", "python3", "plain.py"])
        .env("ANTHROPIC_BASE_URL", &api.url());
    let mut terminal = Terminal::start(program);
    let yes = code(&terminal);
    let first = answered(&project, "first");
    assert!(first.contains("bartizan_refused") && first.contains("approval-required"), "{first}");
    // It stands before the person as before, and their word counts for the same call, made again.
    terminal.looks_away();
    terminal.types(&format!("{yes}\r"));
    terminal.tells("\x1b[?1049l");
    terminal.types("go on\r");
    let second = answered(&project, "second");
    assert!(second.contains(&call_id("main", 0, 0)) && !second.contains("refused"), "{second}");
    terminal.tells("asked twice");
    terminal.ends();
    Log::read(&project).is_whole(&project);
}

/// What the program was answered, as soon as it was.
fn answered(project: &Project, name: &str) -> String {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(text) = project.file(name) {
            return text;
        }
        assert!(Instant::now() < deadline, "no answer has come");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Has the run read its policy anew, and waits until that has happened so many times.
fn reload(project: &Project, times: usize) {
    let told = project.bartizan(&["policy", "reload"]).finish();
    assert!(told.status.success(), "{told:?}");
    let deadline = Instant::now() + Duration::from_mins(1);
    while Log::read(project).all("config_change", |record| record["act"] == "policy").len() < times
    {
        assert!(Instant::now() < deadline, "the policy is not read anew");
        thread::sleep(Duration::from_millis(50));
    }
}
