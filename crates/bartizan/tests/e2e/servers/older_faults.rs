//! What becomes of the one stream of a server of the first transport when something goes wrong on our side while it is open?

use super::older::{beside, nothing_came_of_it};
use super::{Client, PATIENCE, said};
use crate::support::log::Log;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const UNSAID: &str = "{\"jsonrpc\":\"2.0\",\"id\":\"unsaid\",\"method\":\"tools/call\",\"params\":{\"name\":\"crm__unsaid\",\"arguments\":{}}}\n";

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} does not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_policy_that_does_not_allow_the_stream_ends_it_and_whoever_waits_is_told() {
    let (away, mut client) = beside("absolute");
    client.tools("crm__plain");
    client.gateway.adds(UNSAID);
    let is_under_way = |record: &Value| record["tool"] == "mcp__crm__unsaid";
    until("the call", || !Log::read(&away.project).all("call", is_under_way).is_empty());
    let file = away.project.config().join("bartizan.toml");
    let whole = std::fs::read_to_string(&file).unwrap();
    let rule = "[roles.\"*\"]\ndeny = [{ tool = \"net.request\", when = 'context.input has method && context.input.method == \"GET\" && context.input.path == \"/absolute\"' }]\n";
    away.project.configure(&format!("{whole}{rule}"));
    assert!(away.project.bartizan(&["policy", "reload"]).finish().status.success());
    let told = client.gateway.line(&|line| line.contains("\"unsaid\""));
    assert!(told.contains("another policy is in force"), "{told}");
    client.fails("crm__plain", "policy-denied");
    let log = Log::read(&away.project);
    let stream = |record: &Value| {
        record["arguments"]["method"] == "GET" && record["arguments"]["path"] == "/absolute"
    };
    let streams = log.all("call", stream);
    let ended = |call: &&&Value| log.outcome(call)["ended"] == "abandoned";
    assert_eq!(streams.iter().filter(ended).count(), 1, "{streams:?}");
    // Allowed again, it is begun anew.
    away.project.configure(&whole);
    assert!(away.project.bartizan(&["policy", "reload"]).finish().status.success());
    client.answers("crm__plain");
    nothing_came_of_it(client);
}

#[test]
fn a_gateway_that_is_killed_leaves_the_call_without_an_outcome_and_the_next_begins_anew() {
    let (away, mut client) = beside("absolute");
    client.tools("crm__plain");
    client.gateway.adds(UNSAID);
    let posted = |record: &Value| {
        record["tool"] == "net.request" && record["arguments"]["path"] == "/messages"
    };
    let before = Log::read(&away.project).all("call", posted).len();
    until("the message", || Log::read(&away.project).all("call", posted).len() > before.min(2));
    let is_under_way = |record: &Value| record["tool"] == "mcp__crm__unsaid";
    until("the call", || !Log::read(&away.project).all("call", is_under_way).is_empty());
    client.gateway.signal(Signal::KILL);
    client.gateway.finish();
    let mut client = away.client();
    client.tools("crm__plain");
    let plain = client.calls("crm__plain", &json!({ "text": "again" }));
    assert!(said(&plain).contains("plainly again"), "{plain}");
    nothing_came_of_it(client);
    // What was sent may have been done: the log says that it was to be, and not that it was not.
    let log = Log::read(&away.project);
    let call = log.find("call", is_under_way);
    assert!(log.all("outcome", |record| record["call"] == call["call"]).is_empty());
    assert_eq!(log.all("call", is_under_way).len(), 1, "nobody does it again unasked");
    let verified = away.project.bartizan(&["audit", "verify"]).finish();
    assert!(verified.stdout.starts_with("whole"), "{verified:?}");
}

#[test]
fn while_the_disk_is_full_nothing_is_sent_and_the_log_goes_on_with_no_hole() {
    let (away, client) = beside("absolute");
    drop(client);
    let (project, disk) = (&away.project, away.project.home().join("disk"));
    std::fs::create_dir(&disk).unwrap();
    let alone = |script: &str| {
        let args = ["--user", "--map-root-user", "--mount", "sh", "-c", script];
        away.knowing(project.program(Path::new("/usr/bin/unshare"), &args))
    };
    let mount = format!("mount -t tmpfs -o size=8m none {}", disk.display());
    let can = alone(&mount).finish();
    // Where an ordinary user maps itself to root, the folders above the state belong to nobody.
    if !can.status.success() || !rustix::process::geteuid().is_root() {
        return skipped(&can.stderr);
    }
    let script = format!(
        "{mount} && mkdir -m 700 {disk}/state || exit 77\n\
         (until [ -e fill ]; do sleep 0.1; done; dd if=/dev/zero of={disk}/ballast bs=4k; touch filled\n\
          until [ -e free ]; do sleep 0.1; done; rm {disk}/ballast; touch freed) </dev/null >/dev/null 2>&1 &\n\
         {bartizan} --state {disk}/state mcp; code=$?\n\
         {bartizan} --state {disk}/state audit verify >verified 2>&1; echo \"verified $?\" >>verified; exit $code\n",
        disk = disk.display(),
        bartizan = env!("CARGO_BIN_EXE_bartizan"),
    );
    let mut client = Client::begin(alone(&script).typing());
    client.tools("crm__plain");
    let plain = client.calls("crm__plain", &json!({ "text": "before" }));
    assert!(said(&plain).contains("plainly before"), "{plain}");
    project.write("fill", "");
    until("the full disk", || project.file("filled").is_some());
    // A few records may find room where others were.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.calls("crm__plain", &json!({ "text": "meanwhile" }));
        if answer.to_string().contains("ledger-unavailable") {
            assert!(!answer.to_string().contains("plainly"), "{answer}");
            break;
        }
        assert!(Instant::now() < deadline, "the disk is never full: {answer}");
    }
    project.write("free", "");
    until("room", || project.file("freed").is_some());
    // The log goes on once it has seen that there is room.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.calls("crm__plain", &json!({ "text": "after" }));
        if said(&answer).contains("plainly after") {
            break;
        }
        assert!(answer.to_string().contains("ledger-unavailable"), "{answer}");
        assert!(Instant::now() < deadline, "it never goes on: {answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let ran = client.ends();
    assert!(ran.status.success(), "{ran:?}");
    let verified = project.file("verified").unwrap();
    assert!(verified.starts_with("whole"), "{verified}");
}

#[expect(clippy::print_stderr, reason = "whoever reads the tests shall know")]
fn skipped(why: &str) {
    eprintln!("SKIPPED: a full disk under a gateway, since none can be mounted here: {why}");
}
