//! Does the program tell what it can do, and what the machine can?

use super::{World, json_of};
use serde_json::json;
use std::fs;
use std::path::Path;

#[test]
fn help_man_pages_completions_and_the_manual_tell_the_same() {
    let world = World::new();
    let help = world.run(&["--help"]);
    assert_eq!(help.code, 0);
    let dir = world.path("man");
    assert_eq!(world.run(&["man", "--dir", dir.to_str().unwrap()]).code, 0);
    let manual =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md"))
            .unwrap();
    let table = help.out.split("Exit codes:\n").nth(1).unwrap();
    for line in table.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        assert!(manual.contains(line), "docs/cli.md lacks the line: {line}");
    }
    let mut pages: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    assert!(
        pages.contains(&"bartizan-approvals-approve.1".to_owned())
            && !pages.iter().any(|page| page.contains("hook")),
        "{pages:?}"
    );
    for page in &pages {
        let command = page.trim_end_matches(".1").replace('-', " ");
        assert!(manual.contains(&format!("`{command}")), "docs/cli.md lacks `{command}`");
        assert!(fs::read_to_string(dir.join(page)).unwrap().starts_with(".ie"));
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = world.run(&["completions", shell]);
        assert!(script.code == 0 && script.out.contains("approvals"), "{shell}");
    }
    assert!(!help.out.contains("hook"));
}

#[test]
fn doctor_names_each_wall_and_says_whether_a_box_is_possible() {
    let world = World::new();
    let done = world.run(&["doctor", "--json"]);
    let report = json_of(&done);
    assert_eq!(done.code == 0, report["run"] == true);
    let names: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    for wall in [
        "user namespaces",
        "overlayfs",
        "nftables",
        "landlock",
        "seccomp",
        "cgroups",
        "trial box",
        "swap",
        "state",
        "disk space",
        "configuration",
    ] {
        assert!(names.contains(&wall), "{names:?}");
    }
    world.configure("broken = [");
    let broken = json_of(&world.run(&["doctor", "--json"]));
    assert_eq!((&broken["run"], &broken["box"]), (&json!(false), &report["box"]));
    assert!(!world.state().exists());
}

#[test]
fn colour_is_for_terminals_or_on_demand() {
    let world = World::new();
    assert!(!world.run(&["policy", "check"]).out.contains('\u{1b}'));
    assert!(world.run(&["--color", "always", "policy", "check"]).out.contains("\u{1b}[32m"));
}
