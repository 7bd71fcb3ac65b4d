//! Does an *ask* wait for a person, outside, and does a yes count once, for exactly that call?

use crate::support::log::Log;
use crate::support::project::{Project, Ran};
use crate::support::sink::Sink;
use serde_json::{Value, json};

/// A project whose policy asks about two targets, a sink, and those targets.
pub(crate) fn asking() -> (Project, Sink, [String; 2]) {
    let sink = Sink::start();
    let project = Project::new();
    // Two names for one listener, so that one can be approved and the other not.
    let targets = ["127.0.0.1", "127.0.0.2"].map(|host| format!("{host}:{}", sink.port()));
    let [one, other] = &targets;
    project.configure(&format!(
        "[roles.default]\nask = [\"net({one})\", \"net({other})\"]\n\
         [hosts.\"{one}\"]\nprivate = true\n[hosts.\"{other}\"]\nprivate = true\n"
    ));
    (project, sink, targets)
}

/// A shell function in the box that posts to a target, and says how it went.
pub(crate) const POST: &str = "post() { curl -sS -f -m 120 --noproxy '' -x \"$http_proxy\" -d hello \"http://$1/\" 2>/dev/null; }";

pub(crate) fn approvals(project: &Project, args: &[&str]) -> Ran {
    let mut all = vec!["approvals"];
    all.extend(args);
    project.bartizan(&all).finish()
}

/// The id of the one question that waits.
pub(crate) fn question(project: &Project) -> String {
    let listed = approvals(project, &["list", "--json"]);
    let questions: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(questions.len(), 1, "{listed:?}");
    questions[0]["id"].as_str().unwrap().to_owned()
}

/// The one question that was ever asked ended with its run, and nobody has answered it. Gives its id.
pub(crate) fn ended_unanswered(project: &Project) -> String {
    let listed = approvals(project, &["list", "--all", "--json"]);
    let questions: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(questions.len(), 1, "{listed:?}");
    assert_eq!((&questions[0]["state"], &questions[0]["answers"]), (&json!("expired"), &json!([])));
    questions[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_yes_counts_once_and_for_that_call_alone() {
    let (project, sink, [one, other]) = asking();
    let script = format!(
        "{POST}\npost {one} && echo TOO-EARLY; echo asked\n\
         until [ -e /tmp/enough ]; do if post {one}; then echo through; touch /tmp/enough; fi; sleep 0.1; done\n\
         post {one} && echo TWICE; post {other} && echo OTHER; echo done"
    );
    let run = project.bartizan(&["run", "--", "bash", "-c", &script]).start();
    run.says("asked");
    assert_eq!(sink.arrived(), Vec::<String>::new(), "nothing leaves before the answer");
    let id = question(&project);
    let shown = approvals(&project, &["show", &id]);
    assert!(shown.stdout.contains(&one), "the person sees where it goes: {shown:?}");
    let approved = approvals(&project, &["approve", &id, "--yes"]);
    assert_eq!(approved.status.code(), Some(0), "{approved:?}");
    let ran = run.finish();
    assert!(ran.stdout.contains("through"), "{ran:?}");
    for wrong in ["TOO-EARLY", "TWICE", "OTHER"] {
        assert!(!ran.stdout.contains(wrong), "{ran:?}");
    }
    assert_eq!(sink.arrived().len(), 1, "{:?}", sink.arrived());
    let log = Log::read(&project);
    let call = log.find("call", |record| record["tool"] == "net.connect");
    assert_eq!(call["verdict"], "approved");
    assert!(call["approvers"][0].as_str().unwrap().starts_with("local:"), "{call}");
    log.is_whole(&project);
}

#[test]
fn a_no_is_final_and_gives_its_reason() {
    let (project, sink, [one, _]) = asking();
    let script = format!(
        "{POST}\npost {one}; echo asked; read line\n\
         curl -sS -m 20 --noproxy '' -x \"$http_proxy\" http://{one}/"
    );
    // The first run only brings the question about: its session ends with it.
    let run = project.bartizan(&["run", "--", "bash", "-c", &script]).typing();
    run.says("asked");
    let denied = approvals(&project, &["deny", &question(&project), "--reason", "not today"]);
    assert_eq!(denied.status.code(), Some(0), "{denied:?}");
    let ran = run.types("go\n").finish();
    assert!(ran.stdout.contains("not today"), "the agent hears why: {ran:?}");
    assert_eq!(sink.arrived(), Vec::<String>::new());
}

#[test]
fn the_agent_cannot_answer_itself() {
    let (project, sink, [one, _]) = asking();
    let bartizan = env!("CARGO_BIN_EXE_bartizan");
    let hook = json!({ "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": { "command": "true" } });
    let script = format!(
        "{POST}\npost {one}\n{bartizan} approvals list --json; {bartizan} approvals approve --yes $(seq 1 9)\n\
         env -u BARTIZAN_BOX {bartizan} approvals list --json\n\
         ls -A {state} {config}\n\
         echo '{hook}' | {bartizan} hook claude-code && echo HOOK-ANSWERS\n\
         post {one} && echo THROUGH; exit 0",
        state = project.state().display(),
        config = project.config().display(),
    );
    // As a client's box, which is the one that holds our program and a socket of the supervisor's.
    let command = ["run", "--client", "claude-code", "--", "bash", "-c", &script];
    let ran = project.bartizan(&command).finish();
    assert!(ran.stderr.contains("from inside a box"), "{ran:?}");
    assert!(ran.stdout.contains("HOOK-ANSWERS"), "its twin, the hook, works: {ran:?}");
    assert!(!ran.stdout.contains("THROUGH") && !ran.stdout.contains("net.connect"), "{ran:?}");
    assert_eq!(sink.arrived(), Vec::<String>::new());
    let id = ended_unanswered(&project);
    let late = approvals(&project, &["approve", &id, "--yes"]);
    assert!(late.stderr.contains("was withdrawn"), "nobody would hear of a yes: {late:?}");
}
