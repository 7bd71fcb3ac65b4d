//! Are mistakes of the command line and the configuration told with place and remedy, and projects taken at no more than their word?

use super::{World, json_of};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn what_is_not_understood_is_a_usage_error_on_standard_error() {
    let world = World::new();
    for args in [
        &["nonsense"][..],
        &["run"],
        &["run", "--direct", "--read-only", "--", "ls"],
        &["audit"],
        &["completions", "tcsh"],
        &["--color", "mauve", "doctor"],
    ] {
        let done = world.run(args);
        assert_eq!(done.code, 2, "{args:?}: {done:?}");
        assert!(done.out.is_empty() && !done.err.is_empty(), "{args:?}: {done:?}");
    }
    let done = world.run(&["audit", "list", "--event", "nonsense"]);
    assert_eq!((done.code, done.out.as_str()), (2, ""));
    assert!(done.err.contains("refusal"), "{done:?}");
}

#[test]
fn errors_of_the_configuration_show_the_line_and_the_remedy() {
    let world = World::new();
    world.configure("[roles.coder]\nalow = [\"Read\"]\n");
    let unknown_key = world.run(&["policy", "check"]);
    world.configure("[roles.coder]\nallow = [\"Raed(src/*)\"]\ndeny = [\"net(github.com\"]\n[roles.coder.box]\nmemory = \"4GiB\"\n");
    let bad_rules = world.run(&["policy", "check"]);
    world.configure("");
    fs::write(world.path("home/.config/bartizan/policy/mine.cedar"), "permit (principal, action == Action::\"Read\", resource)\nwhen { context.input.file_pth == \"x\" };\n").unwrap();
    let bad_cedar = world.run(&["policy", "check"]);
    for done in [&unknown_key, &bad_rules, &bad_cedar] {
        assert_eq!((done.code, done.out.as_str()), (78, ""), "{done:?}");
    }
    insta::assert_snapshot!([unknown_key.err, bad_rules.err, bad_cedar.err].join("---\n"));
}

#[test]
fn a_pasted_secret_is_not_shown_in_the_error() {
    let world = World::new();
    let pasted = ["sk-", "ant-api03-", "Zm9vYmFyYmF6"].concat();
    world.configure(&format!(
        "[secrets.key]\nfrom = \"{pasted}\"\n[model]\ncredential = \"{pasted}\"\n"
    ));
    let done = world.run(&["policy", "check"]);
    assert_eq!(done.code, 78);
    assert!(done.err.contains("bartizan.toml:2:8") && !done.err.contains(&pasted), "{done:?}");
}

#[test]
fn a_file_that_others_can_write_is_refused_with_the_chmod_that_fixes_it() {
    let world = World::new();
    world.configure("");
    let file = world.path("home/.config/bartizan/bartizan.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let done = world.run(&["policy", "check"]);
    assert_eq!(done.code, 78);
    assert!(
        done.err.contains("hint: chmod go-w ROOT/home/.config/bartizan/bartizan.toml"),
        "{done:?}"
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(file.parent().unwrap(), fs::Permissions::from_mode(0o775)).unwrap();
    assert!(world.run(&["policy", "check"]).err.contains("chmod g-w"));
}

#[test]
fn what_stops_a_run_before_its_command_starts_has_its_own_codes() {
    let world = World::new();
    assert_eq!(world.run(&["run", "--", "no-such-program-here"]).code, 127);
    assert_eq!(world.run(&["run", "--agent", "nobody", "--", "true"]).code, 125);
    world.configure("broken = [");
    let broken = world.run(&["run", "--", "true"]);
    assert!(broken.code == 125 && broken.err.contains("bartizan.toml:1"), "{broken:?}");
    world.configure("");
    let inside = world.run(&["--state", "here", "run", "--", "true"]);
    assert!(inside.code == 125 && inside.err.contains("inside the workspace"), "{inside:?}");
    assert!(!world.path("project/here").exists());
}

#[test]
fn the_base_directories_are_those_of_the_xdg_specification() {
    let world = World::new();
    let other = world.path("home/xdg");
    fs::create_dir_all(other.join("bartizan")).unwrap();
    fs::write(other.join("bartizan/bartizan.toml"), "[roles.elsewhere]\n").unwrap();
    let roles = |value: &Path| {
        let mut command = world.command(&["policy", "check", "--json"]);
        json_of(&world.finish(command.env("XDG_CONFIG_HOME", value).spawn().unwrap()))["roles"]
            .to_string()
    };
    assert!(roles(&other).contains("elsewhere"));
    assert!(
        !roles(Path::new("../home/xdg")).contains("elsewhere"),
        "a relative value counts as unset"
    );
    assert!(
        world
            .run(&["--config", "../home/xdg/bartizan", "policy", "check"])
            .out
            .contains("elsewhere")
    );
    assert_eq!(world.run(&["--state", "../x/../y", "policy", "check"]).code, 2);
    let homeless =
        world.finish(world.command(&["policy", "check"]).env("HOME", "relative").spawn().unwrap());
    assert_eq!(homeless.code, 69, "{homeless:?}");
}

#[test]
fn init_writes_once_and_never_again() {
    let world = World::new();
    let first = world.run(&["init"]);
    assert_eq!(
        (first.code, first.out.as_str()),
        (0, "ROOT/home/.config/bartizan/bartizan.toml\n"),
        "{first:?}"
    );
    let file = world.path("home/.config/bartizan/bartizan.toml");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0);
    fs::write(&file, "# mine\n").unwrap();
    let second = world.run(&["init"]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains("is there already"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\n");
    assert_eq!(world.run(&["policy", "check"]).code, 0);
}

#[test]
fn init_refuses_the_folder_in_which_an_agent_would_run() {
    let world = World::new();
    let done = world.run(&["init", "--config", "conf"]);
    assert_eq!(done.code, 78);
    assert!(done.err.contains("inside the current folder"), "{done:?}");
    assert!(!world.path("project/conf").exists());
}

#[test]
fn a_trusted_project_that_changes_stops_everything_until_it_is_looked_at_again() {
    let world = World::new();
    let dir = world.path("project/.bartizan");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("bartizan.toml"), "[roles.\"*\"]\ndeny = [\"WebSearch\"]\n").unwrap();
    let ignored = world.run(&["policy", "check"]);
    assert!(
        ignored.code == 0
            && ignored.err.contains("hint: read it, then: bartizan trust ROOT/project"),
        "{ignored:?}"
    );
    let trusted = world.run(&["trust"]);
    assert_eq!(trusted.code, 0, "{trusted:?}");
    assert!(trusted.out.contains("deny = [\"WebSearch\"]"), "{trusted:?}");
    assert!(world.run(&["policy", "show"]).out.contains(".bartizan/bartizan.toml:2"));
    fs::write(dir.join("bartizan.toml"), "\n").unwrap();
    let changed = world.run(&["policy", "check"]);
    assert_eq!(changed.code, 78);
    assert!(changed.err.contains("has changed since it was trusted"), "{changed:?}");
    let listed = json_of(&world.run(&["trust", "--list", "--json"]));
    assert_eq!(listed[0]["standing"], "changed");
    assert_eq!(world.run(&["trust", "--forget"]).code, 0);
    assert_eq!(world.run(&["trust", "--forget"]).code, 1);
    assert_eq!(world.run(&["policy", "check"]).code, 0);
}

#[test]
fn a_project_that_would_widen_is_not_trusted_at_all() {
    let world = World::new();
    let dir = world.path("project/.bartizan");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("bartizan.toml"), "[roles.default]\nallow = [\"WebSearch\"]\n").unwrap();
    let done = world.run(&["trust"]);
    assert_eq!(done.code, 78);
    assert!(done.err.contains("a project can only narrow"), "{done:?}");
    assert_eq!(json_of(&world.run(&["trust", "--list", "--json"])), json!([]));
}

#[test]
fn explain_tells_verdict_and_place_and_exits_by_it() {
    let world = World::new();
    let call = |args: &[&str]| {
        let mut all = vec!["policy", "explain"];
        all.extend(args);
        world.run(&all)
    };
    assert_eq!(call(&["Read", r#"{"file_path":"src/main.rs"}"#]).code, 0);
    let outside = call(&["Read", r#"{"file_path":"/etc/shadow"}"#]);
    assert_eq!(outside.code, 1);
    assert!(
        outside.out.contains("[path-out-of-scope]") || outside.out.contains("path-outside"),
        "{outside:?}"
    );
    let fetch = ["WebFetch", r#"{"url":"https://example.com/","prompt":"x"}"#];
    assert_eq!(call(&fetch).code, 3);
    world.configure("[roles.default]\ndeny = [\n  \"WebFetch(example.com*)\",\n]\n");
    let denied = call(&fetch);
    assert_eq!(denied.code, 1);
    assert!(denied.out.contains("bartizan.toml:3"), "{denied:?}");
    let machine = call(&["--json", "WebFetch", fetch[1]]);
    assert_eq!(json_of(&machine)["verdict"], "deny");
    assert!(call(&["Raed"]).err.contains("did you mean `Read`?"));
    assert_eq!(call(&["Read", "{"]).code, 2);
    assert_eq!(call(&["--role", "nobody", "Read"]).code, 78);
    assert!(!world.state().exists(), "explaining leaves no trace");
}

#[test]
fn the_tools_that_policies_can_speak_of_are_shown() {
    let world = World::new();
    let tools = world.run(&["policy", "show", "--tools"]);
    assert!(
        tools.out.lines().any(|line| line.starts_with("write") && line.ends_with(" Bash")),
        "{tools:?}"
    );
    let one = world.run(&["policy", "show", "--tool", "Read"]);
    assert!(
        one.out.starts_with("action \"Read\"") && one.out.contains("file_path: String"),
        "{one:?}"
    );
    assert!(!one.out.contains("\"Write\""), "{one:?}");
    assert!(world.run(&["policy", "show", "--tool", "Raed"]).err.contains("did you mean `Read`?"));
}
