//! Does a session that has used up what its role may use end, or stop, with the reason?

use crate::support::log::Log;
use crate::support::project::Project;
use crate::support::sink::Sink;

#[test]
fn a_session_that_takes_too_long_ends_with_the_reason() {
    let project = Project::new();
    project.configure("[roles.default.box]\nwall = \"3s\"\n");
    let ran = project.bartizan(&["run", "--", "bash", "-c", "sleep 100000"]).finish();
    assert!(!ran.status.success(), "{ran:?}");
    let log = Log::read(&project);
    let call = log.find("call", |record| record["tool"] == "process.start");
    assert_eq!(log.outcome(&call)["code"], "wall-clock", "{}", log.outcome(&call));
    log.find("session_end", |_| true);
    log.is_whole(&project);
}

#[test]
fn no_more_leaves_a_session_than_its_role_may_send() {
    let sink = Sink::start();
    let project = Project::new();
    let target = format!("127.0.0.1:{}", sink.port());
    project.configure(&format!(
        "[hosts.\"{target}\"]\nprivate = true\n[roles.default]\nallow = [\"net({target})\"]\n\
         [roles.default.budget]\nbytes_out = \"64KiB\"\n"
    ));
    // 2 KiB each, so that the server has read it whole before it answers.
    let script = format!(
        "head -c 2048 /dev/zero | tr '\\0' x > some\n\
         for turn in $(seq 50); do curl -sS -o /dev/null -w '%{{http_code}}\\n' -m 60 --noproxy '' -x \"$http_proxy\" \
           -H 'Expect:' -d @some http://{target}/; done"
    );
    let ran = project.bartizan(&["run", "--", "bash", "-c", &script]).finish();
    let codes: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(
        (codes.len(), codes.first(), codes.last()),
        (50, Some(&"200"), Some(&"403")),
        "{ran:?}"
    );
    let through = codes.iter().filter(|code| **code == "200").count();
    assert!(through <= 32, "64 KiB are 32 times 2 KiB: {ran:?}");
    let arrived: usize = sink.arrived().iter().map(String::len).sum();
    assert!(arrived <= 64 * 1024, "{arrived}");
    let log = Log::read(&project);
    let spent = |record: &serde_json::Value| {
        matches!(record["code"].as_str(), Some("budget-spent" | "over-budget"))
    };
    let told = log.all("outcome", spent).len() + log.all("refusal", spent).len();
    assert!(told > 0, "the log has the reason");
    log.is_whole(&project);
}
