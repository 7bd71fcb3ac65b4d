//! Does a run go on when the model's key ends in the middle of it, and does a key that only signs stay outside the box? The
//! real client against a scripted API that looks at what each request proves.

use crate::claude_code::client;
use crate::clouds::{holds_behind_the_door, lead_astray, script};
use crate::support::api::{Api, Request, Script, bash, say};
use crate::support::log::Log;
use crate::support::project::{Project, SECRETS};
use crate::support::sink::Sink;
use serde_json::{Value, json};
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The token that its source gives when it is asked for the nth time.
fn token(number: usize) -> String {
    format!("minted-{number}-kestrel-Umber-42-quarry")
}

/// A command that gives another token each time, and from `last` on none any more.
fn source(project: &Project, last: usize) -> (String, PathBuf) {
    let (command, count) = (project.config().join("token.sh"), project.config().join("asked"));
    let text = format!(
        "n=$(cat {0} 2>/dev/null || echo 0); n=$((n+1)); echo $n > {0}\n[ $n -le {last} ] || exit 1\n\
         printf 'minted-%s-kestrel-Umber-42-quarry' $n\n",
        count.display()
    );
    std::fs::write(&command, text).unwrap();
    (format!("exec:///bin/sh {}", command.display()), count)
}

/// Takes the first token for so many requests, then only the second.
fn ending(requests: usize) -> impl Fn(&Request) -> Option<(u16, Value)> + Send + Sync {
    let taken = AtomicUsize::new(0);
    move |request| {
        let good = token(if taken.load(Ordering::SeqCst) < requests { 1 } else { 2 });
        if request.header("authorization") == Some(&*format!("Bearer {good}")) {
            taken.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        let said = request.header("authorization").unwrap_or_default();
        let error =
            json!({ "type": "authentication_error", "message": format!("expired: {said}") });
        Some((401, json!({ "type": "error", "error": error })))
    }
}

/// Every byte below a folder.
fn kept(folder: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let bytes = entries.flat_map(|entry| {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            kept(&entry.path())
        } else {
            // A socket has nothing in it.
            std::fs::read(entry.path()).unwrap_or_default()
        }
    });
    bytes.collect()
}

fn configure(project: &Project, api: &Api, credential: &str) {
    project.configure(&format!(
        "[model]\ncredential = \"{credential}\"\nheader = \"bearer\"\nupstream = \"{}\"\n",
        api.url()
    ));
}

#[test]
fn a_run_outlives_its_models_token() {
    let Some(client) = client() else { return };
    let project = Project::new();
    let turns = ["one", "two", "three"].map(|word| bash(&format!("echo {word} >> made.txt")));
    let main = turns.into_iter().chain([say("All done.")]).collect();
    let api = Api::guarded(Script { main, subagent: Vec::new() }, ending(2));
    let (credential, count) = source(&project, 9);
    configure(&project, &api, &credential);
    let args = ["run", "--", client.to_str().unwrap(), "-p", "start"];
    let args = [&args[..], &["--permission-mode", "bypassPermissions"]].concat();
    let ran = project.bartizan(&args).finish();
    assert!(ran.status.success() && ran.stdout.contains("All done."), "{ran:?}");
    assert_eq!(project.file("made.txt").as_deref(), Some("one\ntwo\nthree\n"));
    assert_eq!(std::fs::read_to_string(count).unwrap(), "2\n", "the source was asked twice");
    let log = Log::read(&project);
    log.is_whole(&project);
    let renewed = log.all("outcome", |entry| entry["details"]["credential_renewed"] == true);
    assert_eq!(renewed.len(), 1, "{renewed:?}");
    assert_eq!(renewed[0]["details"]["status"], 200, "{renewed:?}");
    // Neither token is in the box's words, in what the model was sent, or on the log.
    let raw = kept(&project.state());
    assert!(!raw.is_empty());
    let bodies: Vec<u8> = api.requests().into_iter().flat_map(|request| request.body).collect();
    for text in [raw, bodies, ran.stdout.into_bytes(), ran.stderr.into_bytes()] {
        assert!(!String::from_utf8_lossy(&text).contains("kestrel"));
    }
}

#[test]
fn a_source_that_fails_in_mid_run_refuses_and_the_run_goes_on() {
    let project = Project::new();
    let api = Api::guarded(Script::default(), ending(1));
    let (credential, count) = source(&project, 1);
    configure(&project, &api, &credential);
    let body = r#"{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"go"}]}"#;
    let ask = format!(
        "curl -s -m 10 -w ' %{{http_code}}\\n' -H 'content-type: application/json' -d '{body}' \"$ANTHROPIC_BASE_URL/v1/messages\""
    );
    let line = format!("{ask} > first; {ask} > second; {ask} > third; echo went on");
    let ran = project.bartizan(&["run", "--", "sh", "-c", &line]).finish();
    assert!(ran.status.success() && ran.stdout.contains("went on"), "{ran:?}");
    let said = |name: &str| project.file(name).unwrap_or_default();
    assert!(said("first").ends_with(" 200\n"), "{}", said("first"));
    for name in ["second", "third"] {
        let text = said(name);
        assert!(text.contains("[secret-unavailable]") && !text.ends_with(" 200\n"), "{text}");
        assert!(text.contains("the credential for the model's API is not available"), "{text}");
        assert!(!text.contains("kestrel"), "{text}");
    }
    assert_eq!(std::fs::read_to_string(count).unwrap(), "2\n", "it is left in peace for a while");
    assert_eq!(api.requests().len(), 2, "and nothing goes out meanwhile");
    let log = Log::read(&project);
    log.is_whole(&project);
    let failed = log.all("outcome", |entry| entry["code"] == "model-secret-unavailable");
    assert_eq!(failed.len(), 2, "{failed:?}");
}

const ID: &str = "ASIAREALREALREALREAL";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SESSION: &str = "FwoGZXIvYXdzEKestrelUmberQuarry42==";

#[expect(clippy::disallowed_methods, reason = "the test asks other code than ours")]
fn python() -> Command {
    Command::new("python3")
}

/// Whether the signature is the one that the standard's own words lead to, computed by other code than ours.
fn is_good(request: &Request) -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../egress/tests/egress/sigv4.py");
    let host = request.header("host").unwrap_or_default();
    let mut child = python()
        .arg(script)
        .args([SECRET, host])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = json!({
        "line": format!("{} {}", request.method, request.path),
        "headers": request.headers, "body": String::from_utf8_lossy(&request.body),
    });
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim() == "good"
}

/// Bedrock as it is with an identity's keys: it takes what is signed, for its region and service, and nothing else.
fn bedrock(request: &Request) -> Option<(u16, Value)> {
    let proof = request.header("authorization").unwrap_or_default();
    let begins = format!("AWS4-HMAC-SHA256 Credential={ID}/");
    let is_ours = proof.starts_with(&begins)
        && proof.contains("/eu-west-1/bedrock/aws4_request,")
        && request.header("x-amz-security-token") == Some(SESSION);
    if is_ours && is_good(request) {
        return None;
    }
    Some((403, json!({ "message": "The request signature we calculated does not match" })))
}

#[test]
fn a_model_of_bedrocks_gets_requests_that_are_signed_outside_the_box() {
    let Some(client) = client() else { return };
    if python().arg("--version").output().is_err() {
        let skipped = "SKIPPED: the check of signatures by other code: no python3\n";
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    let parts = "access_key_id = \"env://AWS_ACCESS_KEY_ID\"\n\
        secret_access_key = \"env://AWS_SECRET_ACCESS_KEY\"\nsession_token = \"env://AWS_SESSION_TOKEN\"\n";
    let project = Project::new();
    let given = [("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    let given = [&given[..], &[("AWS_SESSION_TOKEN", SESSION)]].concat();
    requests_are_signed(&client, &project, parts, &given);
    // A profile, as the tool of AWS hands its keys over: it is asked outside the box, with the variables that are named.
    let project = Project::new();
    let tool = hands_over(&project);
    let whole = format!(
        "credentials = \"exec://{} configure export-credentials --profile work --format process\"\n\
         [secrets.cloud]\nenv = [\"AWS_CONFIG_FILE\"]\n",
        tool.display()
    );
    let file = project.home().join("aws-config");
    requests_are_signed(&client, &project, &whole, &[("AWS_CONFIG_FILE", file.to_str().unwrap())]);
}

/// In the place of AWS's own tool: it hands over the keys of one profile, from the file that `AWS_CONFIG_FILE` names.
fn hands_over(project: &Project) -> PathBuf {
    let keys = format!(
        "[profile work]\naws_access_key_id={ID}\naws_secret_access_key={SECRET}\naws_session_token={SESSION}\n"
    );
    std::fs::write(project.home().join("aws-config"), keys).unwrap();
    let tool = project.home().join("aws");
    let script = "#!/bin/sh\n\
        [ \"$*\" = 'configure export-credentials --profile work --format process' ] || exit 9\n\
        of() { sed -n \"s/^$1=//p\" \"$AWS_CONFIG_FILE\"; }\n\
        printf '{\"Version\":1,\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"%s\",\"SessionToken\":\"%s\",\"Expiration\":\"2099-01-01T00:00:00Z\"}' \
        \"$(of aws_access_key_id)\" \"$(of aws_secret_access_key)\" \"$(of aws_session_token)\"\n";
    std::fs::write(&tool, script).unwrap();
    std::fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
    tool
}

/// A session of the real client with a model of Bedrock's, whose keys come from where `source` says.
fn requests_are_signed(client: &Path, project: &Project, source: &str, given: &[(&str, &str)]) {
    let sink = Sink::start();
    lead_astray(project, &sink);
    let api = Api::guarded(script(project), bedrock);
    project.configure(&format!(
        "[model]\nprovider = \"bedrock\"\nregion = \"eu-west-1\"\nsecret = \"cloud\"\nupstream = \"{}\"\n\
         [secrets.cloud.aws]\n{source}",
        api.url()
    ));
    let run = |args: &[&str]| {
        let program = project.bartizan(args);
        given.iter().fold(program, |program, (name, value)| program.env(name, value)).finish()
    };
    let args = ["run", "--", client.to_str().unwrap(), "-p", "start"];
    let ran = run(&[&args[..], &["--permission-mode", "bypassPermissions"]].concat());
    let is_turn = |request: &Request| {
        request.path.starts_with("/model/eu.anthropic.")
            && request.path.ends_with("/invoke-with-response-stream")
    };
    holds_behind_the_door((project, &api, &sink), &ran, is_turn);
    assert!(api.requests().iter().all(is_good));
    let raw = kept(&project.state());
    let inside = run(&["run", "--", "sh", "-c", "env; cat /proc/self/environ"]);
    for text in [raw, ran.stdout.into_bytes(), inside.stdout.into_bytes()] {
        let text = String::from_utf8_lossy(&text);
        assert!([SECRET, SESSION].iter().chain(&SECRETS).all(|secret| !text.contains(secret)));
    }
}
