//! Does a client get any server beside those of the configuration, and what becomes of much that one says?

use super::{accept, approves, project};
use crate::claude_code::{Session, client};
use crate::support::api::{Api, Script, bash, say, tool};
use crate::support::log::Log;
use crate::support::project::{Project, Ran};
use serde_json::json;
use std::thread;

/// A server that shows that it was started.
const THEIRS: &str = "import sys; open('started', 'a').write(sys.argv[1] + '\\n')\n";

/// Starts the client by a script in the box.
fn scripted(project: &Project, api: &Api, script: &str) -> Ran {
    let args = ["run", "--client", "claude-code", "--", "/bin/bash", "-c", script];
    project.bartizan(&args).env("ANTHROPIC_BASE_URL", &api.url()).finish()
}

#[test]
fn no_flag_adds_a_server_to_those_of_the_configuration() {
    let Some(client) = client() else { return };
    let servers = |name: &str| {
        let command = json!({ "command": "/usr/bin/python3", "args": ["theirs.py", name] });
        json!({ "mcpServers": { name: command } }).to_string()
    };
    let (theirs, ours) = (servers("theirs"), servers("notes"));
    for flags in [
        vec!["--mcp-config", &theirs],
        vec!["--mcp-config", &ours],
        vec!["--mcp-config", "theirs.json"],
        vec!["--strict-mcp-config", "--mcp-config", &theirs],
    ] {
        let project = project("");
        project.write("theirs.py", THEIRS);
        project.write("theirs.json", &theirs);
        let api = Api::start(Script { main: vec![say("All done.")], ..Script::default() });
        let mut command = vec![client.to_str().unwrap(), "-p", "start"];
        command.extend(["--permission-mode", "bypassPermissions"]);
        command.extend(&flags);
        let ran = project.run(&api.url(), &command);
        // The client says that it must not, and does nothing.
        assert!(!ran.status.success(), "{flags:?}: {ran:?}");
        assert_eq!(api.requests().len(), 0, "{flags:?}: {ran:?}");
        assert_eq!(project.file("started"), None, "{flags:?}");
    }
}

#[test]
fn a_server_that_the_box_adds_to_the_client_is_not_started() {
    let Some(client) = client() else { return };
    let folder = client.parent().unwrap().display();
    let project = project(&format!("[roles.default.box]\nreadable = [\"{folder}\"]\n"));
    project.write("theirs.py", THEIRS);
    accept(&project);
    let api = Api::start(Script {
        main: vec![
            tool("mcp__theirs__run", json!({})),
            tool("mcp__notes__keep", json!({ "text": "a note" })),
            say("All done."),
        ],
        ..Script::default()
    });
    let client = client.display();
    let script = format!(
        "for scope in local user project; do\n\
         {client} mcp add -s $scope theirs -- /usr/bin/python3 $PWD/theirs.py $scope; echo added $?; done\n\
         {client} mcp list; {client} -p start --permission-mode bypassPermissions"
    );
    let ran = scripted(&project, &api, &script);
    assert!(ran.stdout.contains("All done."), "{ran:?}");
    assert_eq!(project.file("started"), None, "{ran:?}");
    assert!(api.result("main", 0).contains("tool-unknown"), "{}", api.result("main", 0));
    assert!(api.result("main", 1).contains("notes/keep got"), "{}", api.result("main", 1));
    for request in api.requests() {
        let offered = request.json()["tools"].to_string();
        assert!(!offered.contains("theirs"), "{offered}");
    }
    Log::read(&project).is_whole(&project);
}

#[test]
fn what_a_server_says_at_length_is_scrubbed_in_the_clients_file_and_data_when_it_is_read() {
    let project = project("");
    accept(&project);
    let id = "3fa91e49-678a-4043-afb4-bfa7aeea7212";
    let name = project.workspace().display().to_string().replace(['/', '.', '_'], "-");
    let kept = project.home().join(format!(".claude/projects/{name}/{id}/tool-results/kept.txt"));
    // The client makes up the name of its file: a copy has one that the script knows.
    let copy = format!(
        "cd {} && for f in *; do [ -s \"$f\" ] && cp \"$f\" kept.txt && break; done; ls; \
         grep -c 'line 59999' kept.txt; grep -o 'HARBOUR.*' kept.txt",
        kept.parent().unwrap().display()
    );
    let script = Script {
        main: vec![
            tool("mcp__notes__big", json!({ "text": "60000" })),
            bash(&copy),
            tool("Grep", json!({ "pattern": "HARBOUR", "path": kept, "output_mode": "content" })),
            tool("Read", json!({ "file_path": kept, "limit": 1 })),
            say("All done."),
        ],
        ..Script::default()
    };
    let args = ["-p", "start", "--session-id", id, "--permission-mode", "bypassPermissions"];
    let Some(session) = Session::run_with(project, script, &args) else { return };
    session.ended_well();
    assert!(!session.main(0).contains("line 59999"), "it is too long to be shown");
    let copied = session.main(1);
    assert!(copied.contains("kept.txt") && copied.contains("HARBOUR"), "{copied}");
    assert!(copied.contains("REDACTED") && !copied.contains("AKIAIOSFODNN7EXAMPLQ"), "{copied}");
    for turn in [2, 3] {
        let text = session.main(turn);
        assert!(text.contains("output that the client kept"), "not the workspace's: {text}");
        assert!(text.contains("untrusted"), "{text}");
    }
}

/// Where no namespaces can be had, the client in its box has the same servers.
#[test]
fn the_client_in_a_box_of_tier_b_gets_of_a_server_what_its_role_may() {
    let Some(client) = client() else { return };
    let project = project("");
    accept(&project);
    let call = |name: &str| tool(&format!("mcp__notes__{name}"), json!({ "text": "a note" }));
    let main = vec![
        call("keep"),
        call("send"),
        call("drop"),
        bash("cat ../*/server.py; env"),
        say("All done."),
    ];
    let api = Api::start(Script { main, ..Script::default() });
    let args = ["run", "--", client.to_str().unwrap(), "-p", "start"];
    let mut args = args.to_vec();
    args.extend(["--permission-mode", "bypassPermissions"]);
    let program = project.bartizan(&args).env("ANTHROPIC_BASE_URL", &api.url());
    let (ran, questions) = thread::scope(|scope| {
        let person = scope.spawn(|| approves(&project));
        let ran = program.without_namespaces().finish();
        let asked =
            person.join().unwrap_or_else(|_| panic!("{ran:?}\n{:?}", api.requests().last()));
        (ran, asked)
    });
    let log = Log::read(&project);
    let session = Session { project, api, ran, log };
    session.keeps_its_secrets();
    session.ended_well();
    assert!(session.ran.stderr.contains("box tier B"), "{:?}", session.ran);
    assert!(session.main(0).contains("notes/keep got"), "{}", session.main(0));
    assert!(session.main(1).contains("notes/send got"), "{}", session.main(1));
    assert_eq!(questions.len(), 1, "a person is asked once");
    let denied = session.main(2);
    assert!(denied.contains("tool-not-listed") && !denied.contains("notes/drop got"), "{denied}");
    assert!(!session.main(3).contains("NOTES_TOKEN="), "{}", session.main(3));
    session.met_its_hooks(3);
}
