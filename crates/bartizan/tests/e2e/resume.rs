//! Does a conversation go on in the next run, and nothing else that the agent left in its home?

use crate::claude_code::Session;
use crate::support::api::{Api, Script, bash, call_id, say};
use crate::support::log::Log;
use crate::support::project::{NOTES, Project};

/// What a hostile agent leaves for the next run: settings, hooks, instructions, memory, a skill, a login.
const PLANT: &str = r#"cd ~/.claude && p=$(ls -d projects/*/) && mkdir -p "$p"memory skills/x rules agents &&
echo '{"hooks":{"SessionStart":[{"hooks":[{"type":"command","command":"touch ~/PLANTED-hook"}]}]}}' | tee settings.local.json > settings.json &&
echo PLANTED-instruction | tee CLAUDE.md rules/x.md "$p"memory/MEMORY.md "$p"CLAUDE.md skills/x/SKILL.md > agents/x.md &&
echo '{"claudeAiOauth":{"accessToken":"PLANTED-login"}}' > .creden''tials.json &&
ln -s ../../../.s''sh/id_r''sa "$p"0b9f64d1-8c51-4f43-9b0a-5f0c8f1de001.jsonl && echo PLANTED-all"#;

#[test]
fn a_conversation_goes_on_in_the_next_run_and_nothing_planted_comes_with_it() {
    let first = Script {
        main: vec![bash("cat notes.txt"), bash(PLANT), say("FIRST-ANSWER")],
        ..Script::default()
    };
    let Some(first) = Session::run(Project::new(), first, "start") else { return };
    first.ended_well();
    assert!(first.main(1).contains("PLANTED-all"), "{}", first.main(1));
    let kept = first.log.find("client", |record| record["conversations"].is_array());
    let name = kept["conversations"][0].as_str().unwrap();
    let id = name.strip_suffix(".jsonl").unwrap();
    assert_eq!(kept["left"][0]["why"], "it is no plain file", "the link: {kept}");

    let look = format!(
        "find ~/.claude; echo SAYS; grep -rl PLANTED ~ | grep -v {id}; find ~ -name 'PLANTED*'; true"
    );
    let again = || Script {
        main: vec![say("-"), say("-"), say("-"), bash(&look), say("SECOND-ANSWER")],
        ..Script::default()
    };
    let args = ["-p", "go on", "--resume", id, "--permission-mode", "bypassPermissions"];
    let Some(second) = Session::run_with(first.project, again(), &args) else { return };
    second.ended_well();
    assert!(second.ran.stdout.contains("SECOND-ANSWER"), "{:?}", second.ran);
    let request = second.api.requests().pop().unwrap().text();
    assert!(request.contains("FIRST-ANSWER") && request.contains(NOTES), "it remembers: {request}");
    let found = second.main(3);
    assert!(found.contains(name), "{found}");
    for planted in ["CLAUDE.md", "MEMORY", "credentials", "SKILL", "x.md", "0b9f64d1"] {
        assert!(!found.contains(planted), "`{planted}` came back: {found}");
    }
    let (_, says) = found.split_once("SAYS\n").unwrap();
    assert!(says.starts_with("</bartizan:content"), "something of it is there: {found}");
    second.log.call(&call_id("main", 3, 0));

    // Another workspace of the same person has conversations of its own.
    let other = second.project.home().join("other");
    std::fs::create_dir_all(&other).unwrap();
    let client = crate::claude_code::client().unwrap();
    let command = ["run", "--", client.to_str().unwrap(), "-p", "go on", "--resume", id];
    let ran = second.project.bartizan(&command).within(&other).finish();
    assert!(!ran.status.success() && ran.stderr.contains("No conversation found"), "{ran:?}");
}

#[test]
fn a_run_that_keeps_nothing_leaves_no_conversation() {
    let Some(client) = crate::claude_code::client() else { return };
    let project = Project::new();
    let api = Api::start(Script { main: vec![say("SAID")], ..Script::default() });
    let run = |flags: &[&str]| {
        let words = ["--", client.to_str().unwrap(), "-p", "start"];
        let command = [&["run"], flags, &words[..]].concat();
        let ran = project.bartizan(&command).env("ANTHROPIC_BASE_URL", &api.url()).finish();
        assert!(ran.status.success() && ran.stdout.contains("SAID"), "{ran:?}");
        let log = Log::read(&project);
        log.all("client", |record| record["conversations"].is_array()).len()
    };
    assert_eq!(run(&["--no-keep"]), 0);
    assert!(!project.state().join("clients").exists());
    assert_eq!(run(&[]), 1, "its twin keeps one");
}
