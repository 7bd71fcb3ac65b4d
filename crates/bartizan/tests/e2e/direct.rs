//! With `--direct`, are commits made, and is what was planted for the host's tools renamed, told and on the log?

use crate::support::log::Log;
use crate::support::project::Project;

#[test]
fn commits_land_and_what_was_planted_is_told() {
    let project = Project::new();
    let run = |flags: &[&str], script: &str| {
        let words = [&["run"], flags, &["--", "bash", "-c", script]].concat();
        project.bartizan(&words).finish()
    };
    let author = "git config user.name a && git config user.email a@b";
    let ran = run(&[], &format!("git init -q . && {author} && git add -A && git commit -qm one"));
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let ran = run(
        &["--direct"],
        "echo more > notes.txt && git commit -qam two && echo x > .git/hooks/pre-push && mkdir .claude && echo '{}' > .claude/settings.json",
    );
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    for said in ["held .git/hooks/pre-push", "planted .claude", "MiB of memory", "s of CPU"] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    assert_eq!(project.file(".claude/settings.json"), None);
    assert_eq!(project.file(".git/hooks/pre-push"), None);
    let log = Log::read(&project);
    let started = log.find("call", |record| {
        record["tool"] == "process.start" && record["arguments"].to_string().contains("-qam two")
    });
    let outcome = log.outcome(&started);
    let details = outcome["details"].to_string();
    assert!(details.contains(r#""path":".claude""#) && details.contains("set-aside-"), "{details}");
    assert!(outcome["details"]["peak_memory_bytes"].is_u64(), "{details}");
    let ran = run(&["--read-only", "--no-summary"], "git status --porcelain; git log --format=%s");
    let rest: Vec<_> = ran.stdout.lines().filter(|line| !line.contains("set-aside-")).collect();
    assert_eq!(rest, ["two", "one"], "{ran:?}");
}
