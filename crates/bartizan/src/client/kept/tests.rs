use super::*;
use std::fs::File;
use std::os::unix::fs::symlink;

const ONE: &str = "0b9f64d1-8c51-4f43-9b0a-5f0c8f1de001";
const TWO: &str = "0b9f64d1-8c51-4f43-9b0a-5f0c8f1de002";

/// A state directory, and the home of a box that has ended.
struct World {
    root: tempfile::TempDir,
    kept: Kept,
    home: PathBuf,
}

fn role(name: &str) -> RoleName {
    RoleName::parse(name).unwrap()
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("box");
        let kept =
            Kept::of(&root.path().join("state"), Path::new("/home/anna/shop"), &role("default"));
        fs::create_dir_all(home.join(".claude/projects/-home-anna-shop")).unwrap();
        Self { root, kept, home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.join(".claude").join(name)
    }

    fn transcript(&self, id: &str, text: &str) {
        fs::write(self.path(&format!("projects/-home-anna-shop/{id}.jsonl")), text).unwrap();
    }

    fn keep(&self) -> Account {
        self.kept.keep(&File::open(&self.home).unwrap().into())
    }

    /// What the next box would find, as names and texts.
    fn next(&self) -> Vec<(String, String)> {
        let files = self.kept.files(Path::new("/h")).unwrap();
        let mut files: Vec<_> = files
            .into_iter()
            .map(|file| {
                assert!(file.writable && file.mode == 0o600);
                (file.path.display().to_string(), String::from_utf8(file.contents).unwrap())
            })
            .collect();
        files.sort();
        files
    }
}

fn line(id: &str, text: &str) -> String {
    format!("{}\n", json!({ "type": "user", "sessionId": id, "message": { "content": text } }))
}

#[test]
fn a_conversation_comes_back_and_can_be_added_to() {
    let world = World::new();
    assert!(world.next().is_empty());
    world.transcript(ONE, &line(ONE, "a"));
    assert_eq!(world.keep().kept, [format!("{ONE}.jsonl")]);
    world.transcript(ONE, &(line(ONE, "a") + &line(ONE, "b")));
    world.keep();
    let path = format!("/h/.claude/projects/-home-anna-shop/{ONE}.jsonl");
    assert_eq!(world.next(), [(path, line(ONE, "a") + &line(ONE, "b"))]);
}

#[test]
fn what_is_kept_cannot_be_changed_or_taken_away() {
    let world = World::new();
    world.transcript(ONE, &line(ONE, "a"));
    world.keep();
    let kept = world.next();
    for text in [line(ONE, "b"), String::new(), line(ONE, "b") + &line(ONE, "a")] {
        world.transcript(ONE, &text);
        assert_eq!(world.keep().left.len(), 1, "{text}");
        assert_eq!(world.next(), kept);
    }
    fs::remove_dir_all(world.path("projects")).unwrap();
    world.keep();
    assert_eq!(world.next(), kept);
}

#[test]
fn settings_memory_and_credentials_do_not_come_back() {
    let world = World::new();
    for name in [
        "settings.json",
        "settings.local.json",
        "CLAUDE.md",
        ".credentials.json",
        "projects/-home-anna-shop/memory/MEMORY.md",
        "projects/-home-anna-shop/CLAUDE.md",
        "projects/-home-anna-shop/settings.jsonl",
        "projects/-etc/0b9f64d1-8c51-4f43-9b0a-5f0c8f1de001.jsonl",
        "skills/x/SKILL.md",
        "agents/x.md",
        "commands/x.md",
        "plugins/x.json",
        "rules/x.md",
    ] {
        fs::create_dir_all(world.path(name).parent().unwrap()).unwrap();
        fs::write(world.path(name), "{}").unwrap();
    }
    let account = world.keep();
    assert_eq!(account, Account::default());
    assert!(world.next().is_empty() && !world.kept.folder().exists());
}

#[test]
fn nothing_leads_out_of_the_box() {
    let world = World::new();
    let secret = world.home.parent().unwrap().join("secret");
    fs::write(&secret, line(ONE, "secret")).unwrap();
    let at = |id: &str| world.path(&format!("projects/-home-anna-shop/{id}.jsonl"));
    symlink(&secret, at(ONE)).unwrap();
    fs::hard_link(&secret, at(TWO)).unwrap();
    symlink(&secret, world.path(HISTORY)).unwrap();
    let account = world.keep();
    assert!(account.kept.is_empty() && account.left.len() == 2, "{account:?}");
    fs::remove_dir_all(world.path("projects")).unwrap();
    let outside = world.home.parent().unwrap().join("outside/-home-anna-shop");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join(format!("{ONE}.jsonl")), line(ONE, "secret")).unwrap();
    symlink(outside.parent().unwrap(), world.path("projects")).unwrap();
    assert_eq!(world.keep(), Account::default());
    assert!(world.next().is_empty());
}

#[test]
fn a_pipe_does_not_keep_us_waiting() {
    let world = World::new();
    let at = world.path(&format!("projects/-home-anna-shop/{ONE}.jsonl"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &at,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert_eq!(world.keep().left.len(), 1);
}

#[test]
fn only_transcripts_of_that_conversation_are_kept() {
    let world = World::new();
    for text in ["", "x\n", "[]\n", "{}\n", "\n", "{\"type\":7}\n", &line(TWO, "a"), "\u{1b}[2J\n"]
    {
        world.transcript(ONE, text);
        world.keep();
        assert!(world.next().is_empty(), "{text:?}");
    }
    fs::write(world.path(&format!("projects/-home-anna-shop/{ONE}.jsonl")), b"\xff\n").unwrap();
    world.keep();
    assert!(world.next().is_empty());
}

#[test]
fn a_run_keeps_a_few_new_conversations_only() {
    let world = World::new();
    for n in 0..40 {
        let id = format!("0b9f64d1-8c51-4f43-9b0a-5f0c8f1de0{n:02}");
        world.transcript(&id, &line(&id, "a"));
    }
    assert_eq!(world.keep().kept.len(), MOST_FRESH);
}

#[test]
fn prompts_of_this_workspace_are_added_and_never_taken_away() {
    let world = World::new();
    let prompt =
        |text: &str, project: &str| format!("{}\n", json!({ "display": text, "project": project }));
    let here = "/home/anna/shop";
    fs::write(world.path(HISTORY), prompt("one", here) + &prompt("two", "/etc")).unwrap();
    world.keep();
    let planted = prompt("\u{1b}[2Jx", here) + "x\n" + &prompt("three", here);
    fs::write(world.path(HISTORY), planted).unwrap();
    world.keep();
    let all = prompt("one", here) + &prompt("three", here);
    assert_eq!(world.next(), [("/h/.claude/history.jsonl".to_owned(), all)]);
}

#[test]
fn no_role_finds_what_another_has_read() {
    let world = World::new();
    world.transcript(ONE, &line(ONE, "a"));
    assert_eq!(world.keep().kept.len(), 1);
    let state = world.root.path().join("state");
    let found = |name: &str, workspace: &str| {
        Kept::of(&state, Path::new(workspace), &role(name)).files(Path::new("/h")).unwrap().len()
    };
    assert_eq!(found("default", "/home/anna/shop"), 1, "its own");
    assert_eq!(found("reader", "/home/anna/shop"), 0);
    // No name of a folder and a role together reads as another pair of them.
    assert_eq!(found("default", "/home/anna/shopd"), 0);
    assert_ne!(place("/w", &role("ab")), place("/wa", &role("b")));
}
