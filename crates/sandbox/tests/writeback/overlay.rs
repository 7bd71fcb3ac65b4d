//! Does what was really done on a real overlay land, and only that?

use crate::play::{Play, at, is_held, mode, put, tree, verdicts};
use crate::table::stopped;
use bartizan_sandbox::writeback::{
    Change, Clash, DropReason, HoldReason, Kind, Notable, RelPath, Verdict,
};
use std::fs;

/// The overlay's merged view and the host afterwards must be the same tree.
fn assert_lands_whole(play: &Play, script: &str) {
    play.session(&format!("{script}\ncp -a . ../wanted"));
    let changes = play.list();
    assert!(changes.iter().all(Change::lands), "{:#?}", verdicts(&changes));
    play.apply(&changes);
    let (wanted, found) = (tree(&play.path("wanted")), tree(&play.host("")));
    assert_eq!(found, wanted);
    assert!(!play.path("state/journal").exists());
}

/// Git writes a graph of its commits with every repack; it is left behind, for git would believe it.
fn lands_or_is_made_anew(change: &Change) -> bool {
    let graph = change.path().to_string() == ".git/objects/info/commit-graph";
    change.lands() || graph && *change.verdict() == Verdict::Drop(DropReason::GitCache)
}

#[test]
fn edits_new_files_renames_and_removals_land_as_the_session_left_them() {
    let play = Play::new(&[
        ("a", "a\n"),
        ("b", "b\n"),
        ("d/x", "x\n"),
        ("d/y", "y\n"),
        ("gone/deep/z", "z\n"),
        ("gone/w", "w"),
        ("r/old", "o"),
        ("r/same", "s"),
        ("tofile/x", ""),
        ("todir", "f"),
    ]);
    assert_lands_whole(
        &play,
        "echo more >> a; rm b; mv d/x d/z; mv d/y up; rm -r gone; rm -r r; mkdir r; printf s > r/same; echo n > r/new
         rm -r tofile; echo f > tofile; rm todir; mkdir todir; echo i > todir/in; mkdir -p new/sub/empty; echo n > new/sub/f
         ln -s ../a new/link; ln a hard; chmod 755 hard; chmod 700 d; printf x > 'sp ace'; printf y > \"$(printf 'n\\377l')\"",
    );
}

#[test]
fn a_repository_made_and_committed_to_in_the_session_lands_without_a_hold() {
    let play = Play::new(&[("src/main.rs", "fn main() {}\n")]);
    play.session("git init -q .; git add -A; git commit -qm one; git branch topic; git checkout -q topic; echo x > y; git add y; git commit -qm two; git gc -q; git tag v1");
    let changes = play.list();
    assert!(changes.iter().all(lands_or_is_made_anew), "{:#?}", verdicts(&changes));
    play.apply(&changes);
    play.on_host("git fsck --strict && test \"$(git log --format=%s | tr '\\n' ' ')\" = 'two one ' && git diff --quiet HEAD && test -z \"$(git status --porcelain)\"");
}

#[test]
fn commits_branches_and_a_repack_in_the_hosts_repository_land_without_a_hold() {
    let mut play = Play::new(&[("a", "1\n")]);
    play.on_host("git init -q .; git add -A; git commit -qm one; git remote add origin https://example.org/r.git; git config alias.st status");
    play.begin();
    play.session(
        "echo 2 > a; git commit -qam two; git checkout -qb topic; git config branch.topic.remote origin; git config branch.topic.merge refs/heads/topic
         echo 3 > a; git commit -qam three; git stash list; git gc -q --prune=now; git branch -D topic 2>/dev/null || git checkout -q - && git merge -q topic",
    );
    let changes = play.list();
    assert!(changes.iter().all(lands_or_is_made_anew), "{:#?}", verdicts(&changes));
    play.apply(&changes);
    play.on_host("git fsck --strict && test \"$(git log --format=%s | wc -l)\" = 3 && test -z \"$(git status --porcelain)\" && test \"$(git config alias.st)\" = status");
}

#[test]
fn nothing_changed_means_nothing_to_do_even_when_files_were_copied_up() {
    let mut play = Play::new(&[("a", "1\n")]);
    play.on_host("git init -q .; git add -A; git commit -qm one");
    play.begin();
    play.session("touch a; chmod 600 .git/config; chmod 644 .git/config; echo tmp > t; rm t; mkdir d; rmdir d; mv a b; mv b a");
    assert_eq!(verdicts(&play.list()), Vec::<String>::new());
}

#[test]
fn a_planted_hook_or_configuration_is_held_while_the_commit_beside_it_lands() {
    let mut play = Play::new(&[("a", "1\n")]);
    play.on_host("git init -q .; git add -A; git commit -qm one");
    play.begin();
    play.session("printf '#!/bin/sh\\ntouch /tmp/pwned\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; git config core.fsmonitor ./p; echo 2 > a; git -c core.fsmonitor= -c core.hooksPath=/dev/null commit -qam two");
    let changes = play.list();
    assert_eq!(
        *at(&changes, ".git/hooks/pre-commit").verdict(),
        Verdict::Hold(HoldReason::GitHook)
    );
    assert_eq!(
        *at(&changes, ".git/config").verdict(),
        Verdict::Hold(HoldReason::GitConfig {
            key: "core.fsmonitor".into(),
            value: Some("./p".into())
        })
    );
    let applied = play.apply(&changes);
    assert_eq!(play.kept(), [".git/config", ".git/hooks/pre-commit"]);
    assert_eq!(applied.kept().len(), 2);
    assert!(!play.exists(".git/hooks/pre-commit"));
    play.on_host("git fsck --strict && test -z \"$(git config core.fsmonitor)\" && test \"$(git log -1 --format=%s)\" = two");
    stopped(
        "F13/F14",
        "plant .git/hooks/*; git config core.fsmonitor, sshCommand, hooksPath …",
        "write-back gate: held, key and value shown",
        &"held while the commit beside it landed",
    );
}

#[test]
fn what_a_person_released_lands_and_its_siblings_stay_held() {
    let play = Play::new(&[("a", "")]);
    play.session("mkdir -p .vscode .github/workflows; echo '{}' > .vscode/tasks.json; echo '{}' > .vscode/launch.json; echo on > .github/workflows/ci.yml");
    let mut changes = play.list();
    assert!(
        is_held(&changes, ".vscode") && is_held(&changes, ".github"),
        "{:#?}",
        verdicts(&changes)
    );
    changes.release(&RelPath::new(b".vscode/tasks.json").unwrap()).unwrap();
    assert!(changes.release(&RelPath::new(b"a").unwrap()).is_err());
    play.apply(&changes);
    assert!(
        play.exists(".vscode/tasks.json")
            && !play.exists(".vscode/launch.json")
            && !play.exists(".github")
    );
    assert_eq!(
        play.kept(),
        [".github", ".github/workflows", ".github/workflows/ci.yml", ".vscode/launch.json"]
    );
}

#[test]
fn contents_other_than_those_a_person_released_do_not_land() {
    let play = Play::new(&[("a", "")]);
    play.session("echo good > .envrc");
    let mut changes = play.list();
    changes.release(&RelPath::new(b".envrc").unwrap()).unwrap();
    fs::write(play.upper(".envrc"), "evil\n").unwrap();
    assert!(play.try_apply(&changes, &mut |_, _| {}).is_err());
    assert!(!play.exists(".envrc"));
}

#[test]
fn everything_a_host_tool_would_execute_or_obey_is_held_at_any_depth() {
    let play = Play::new(&[("sub/a", "")]);
    let files = [
        ".claude/settings.json",
        ".claude/settings.local.json",
        ".claude/hooks/x.sh",
        ".claude/commands/c.md",
        ".claude/agents/a.md",
        ".claude/skills/s/SKILL.md",
        ".mcp.json",
        ".codex/config.toml",
        ".cursor/mcp.json",
        ".gemini/settings.json",
        ".bartizan/bartizan.toml",
        ".vscode/tasks.json",
        ".vscode/settings.json",
        ".idea/workspace.xml",
        ".devcontainer/devcontainer.json",
        "x.code-workspace",
        ".envrc",
        ".husky/pre-commit",
        ".pre-commit-config.yaml",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        ".circleci/config.yml",
        "Jenkinsfile",
        ".gitmodules",
        ".bashrc",
    ];
    let script: String = files.iter().flat_map(|f| [format!("mkdir -p \"$(dirname '{f}')\" \"$(dirname 'sub/deep/{f}')\"; echo x > '{f}'; echo x > 'sub/deep/{f}'\n")]).collect();
    play.session(&format!(
        "{script} echo ok > sub/deep/ok; echo all > CLAUDE.md; echo '{{}}' > package.json"
    ));
    let changes = play.list();
    for file in files {
        assert!(is_held(&changes, file), "{file}");
        assert!(is_held(&changes, &format!("sub/deep/{file}")), "sub/deep/{file}");
    }
    assert_eq!(at(&changes, "CLAUDE.md").notable(), Some(Notable::Instructions));
    assert_eq!(at(&changes, "package.json").notable(), Some(Notable::BuildEntry));
    assert_eq!(at(&changes, "sub/deep/ok").notable(), None);
    play.apply(&changes);
    let landed: Vec<String> =
        tree(&play.host("")).keys().map(|p| p.display().to_string()).collect();
    assert_eq!(landed, ["CLAUDE.md", "package.json", "sub", "sub/a", "sub/deep", "sub/deep/ok"]);
    stopped(
        "F17/F18",
        "create .claude, .codex, .cursor, .mcp.json, .vscode, .envrc, .husky …, at any depth",
        "write-back gate: held",
        &"held, not on the host",
    );
}

#[test]
fn what_interpreters_other_agents_and_other_version_controls_obey_is_held() {
    let play = Play::new(&[(".github/FUNDING.yml", ""), ("d/a", "")]);
    let files = [
        ".clinerules/hooks/PreToolUse",
        ".crush.json",
        ".factory/mcp.json",
        ".github/extensions/x/extension.mjs",
        ".github/lsp.json",
        ".helix/languages.toml",
        ".bsp/sbt.json",
        ".Rprofile",
        ".RData",
        ".perldb",
        ".byebugrc",
        ".psysh.php",
        ".ghci",
        ".iex.exs",
        ".pdbrc",
        ".hg/hgrc",
        ".jj/repo/config.toml",
        ".svn/wc.db",
        "buildspec.yml",
        ".agent/workflows/w.md",
        ".factorypath",
        ".mise.prod.toml",
        ".rvmrc",
        ".settings/org.eclipse.jdt.apt.core.prefs",
        ".shadowenv.d/500_x.lisp",
        ".vibe/config.toml",
        ".zuul.yaml",
        "Jenkinsfile.deploy",
        "azure-pipelines/build.yml",
        "mise.prod.toml",
        "mise/config.toml",
        "project.ipr",
        "rust-analyzer.toml",
    ];
    let plant = |file: &str| format!("mkdir -p \"$(dirname '{file}')\"; echo x > '{file}'\n");
    let script: String =
        files.iter().flat_map(|file| [plant(file), plant(&format!("d/{file}"))]).collect();
    play.session(&format!("{script}echo x > .github/lint.md; mkdir .clinerules/x"));
    let changes = play.list();
    for file in files {
        assert!(is_held(&changes, file), "{file}");
        assert!(is_held(&changes, &format!("d/{file}")), "d/{file}");
    }
    assert!(at(&changes, ".github/lint.md").lands());
}

#[test]
fn disguised_names_are_held() {
    let play = Play::new(&[("a", "")]);
    let names = [
        ".Git/hooks/x",
        ".GIT/config",
        "git~1/config",
        ".git./hooks/x",
        ".git /hooks/x",
        ".cl\u{200b}aude/settings.json",
        ".Claude/settings.json",
        ".VSCODE/tasks.json",
        "jenkinsfile",
        ".mcp.JSON",
        ".ｇit/config",
        "sub\\.git\\config",
        "CLAUDE~1/settings.json",
        ".git::$INDEX_ALLOCATION/config",
        ".envrc.",
    ];
    let script: String =
        names.map(|n| format!("mkdir -p \"$(dirname '{n}')\"; echo x > '{n}'\n")).concat();
    play.session(&script);
    let changes = play.list();
    for name in names {
        assert!(is_held(&changes, name), "{name}: {:#?}", verdicts(&changes));
    }
    play.apply(&changes);
    assert_eq!(tree(&play.host("")).len(), 1);
    stopped(
        "F20",
        "`.Git/Hooks`, zero-width characters, other normal forms",
        "write-back gate: names compared folded",
        &"held",
    );
}

#[test]
fn a_nested_repository_lands_clean_and_its_hook_does_not() {
    let play = Play::new(&[("a", "")]);
    play.session("git init -q sub; cd sub; echo x > f; git add f; git commit -qm one; printf '#!/bin/sh\\n' > .git/hooks/pre-push; chmod +x .git/hooks/pre-push");
    let changes = play.list();
    assert!(is_held(&changes, "sub/.git/hooks/pre-push"));
    assert_eq!(at(&changes, "sub/.git").notable(), Some(Notable::NestedRepository));
    play.apply(&changes);
    assert_eq!(play.kept(), ["sub/.git/hooks/pre-push"]);
    play.on_host("cd sub && git fsck --strict && test -z \"$(git status --porcelain)\"");
    stopped(
        "F21",
        "git init sub; hook in it",
        "write-back gate: at any depth",
        &"repository landed, hook held",
    );
}

#[test]
fn the_git_directory_cannot_be_moved_aside_replaced_or_redirected() {
    for script in [
        "mv .git g; mkdir .git; git init -q .",
        "mv .git g; echo 'gitdir: g' > .git",
        "mv .git g; ln -s g .git",
        "rm -rf .git",
        "mv .git g; cp -r g .git; echo x > g/hooks/post-checkout",
        "rm .git/HEAD",
        "rm -rf .git/objects",
        "rm -rf .git/objects; mkdir .git/objects",
        "rm -rf .git/refs; echo x > .git/refs",
    ] {
        let mut play = Play::new(&[("a", "1\n")]);
        play.on_host("git init -q .; git add -A; git commit -qm one");
        play.begin();
        play.session(script);
        let changes = play.list();
        let git: Vec<_> = changes
            .iter()
            .filter(|c| c.path().as_bytes().starts_with(b".git"))
            .filter(|c| c.lands())
            .map(|c| c.path().to_string())
            .collect();
        assert_eq!(git, Vec::<String>::new(), "{script}");
        play.apply(&changes);
        play.on_host("test -d .git && git fsck --strict && test \"$(git log --format=%s)\" = one && test ! -e g/config && test ! -e g/hooks && test ! -e g/HEAD");
    }
    stopped(
        "F11/F12",
        "mv .git g; gitdir: file in its place",
        "write-back gate: held",
        &"host's .git as it was",
    );
}

#[test]
fn a_bare_repository_does_not_come_together_over_two_sessions() {
    let mut play = Play::new(&[("a", "")]);
    play.session("mkdir -p d/objects d/refs; printf '[core]\\n\\tfsmonitor = ./p\\n' > d/config; touch d/objects/.keep d/refs/.keep");
    play.finish();
    assert!(play.exists("d/config"));
    fs::remove_dir_all(play.path("upper")).unwrap();
    fs::create_dir(play.path("upper")).unwrap();
    play.begin();
    play.session("echo 'ref: refs/heads/main' > d/HEAD; mkdir -p e; git init -q --bare e/bare");
    let changes = play.list();
    assert_eq!(*at(&changes, "d/HEAD").verdict(), Verdict::Hold(HoldReason::BareRepository));
    assert_eq!(*at(&changes, "e/bare/config").verdict(), Verdict::Hold(HoldReason::BareRepository));
    play.apply(&changes);
    assert!(!play.exists("d/HEAD") && !play.exists("e/bare/HEAD") && !play.exists("e/bare/config"));
}

#[test]
fn a_bare_repository_of_the_host_is_judged_like_any_git_directory() {
    let mut play = Play::new(&[("a", "")]);
    play.on_host("git init -q --bare store.git");
    play.begin();
    play.session("echo x > store.git/hooks/post-receive; git -C store.git config core.pager ./p; git init -q w; cd w; echo x > f; git add f; git commit -qm one; git push -q ../store.git HEAD:refs/heads/x");
    let changes = play.list();
    assert!(
        is_held(&changes, "store.git/hooks/post-receive") && is_held(&changes, "store.git/config")
    );
    assert!(at(&changes, "store.git/refs/heads/x").lands());
    play.apply(&changes);
    play.on_host("git -C store.git fsck --strict && git -C store.git log x");
}

#[test]
fn files_the_hosts_own_configuration_executes_are_held_by_that() {
    let mut play = Play::new(&[
        ("tools/hooks/pre-commit", "old"),
        ("tools/clean.sh", "old"),
        ("shared.inc", "old"),
        ("tools/free", "old"),
    ]);
    play.on_host("git init -q .; git config core.hooksPath tools/hooks; git config filter.f.clean 'sh tools/clean.sh %f'; git config include.path ../shared.inc");
    play.begin();
    play.session("echo x > tools/hooks/pre-commit; echo x > tools/hooks/post-merge; echo x > tools/clean.sh; echo x > shared.inc; echo x > tools/free");
    let changes = play.list();
    for path in ["tools/hooks/pre-commit", "tools/hooks/post-merge", "tools/clean.sh", "shared.inc"]
    {
        assert!(
            matches!(at(&changes, path).verdict(), Verdict::Hold(HoldReason::Configured { .. })),
            "{path}"
        );
    }
    assert!(at(&changes, "tools/free").lands());
}

#[test]
fn a_worktree_or_submodule_made_in_the_session_does_not_redirect_git() {
    let mut play = Play::new(&[("a", "1\n")]);
    play.on_host("git init -q .; git add -A; git commit -qm one");
    play.begin();
    play.session("git worktree add -q w; git init -q /tmp/.x$$; mv .git/index.lock . 2>/dev/null || true; mkdir -p .git/modules/s/hooks; echo x > .git/modules/s/hooks/post-checkout; echo x > .git/modules/s/config; echo /etc > .git/objects/info/alternates; rm -rf /tmp/.x$$");
    let changes = play.list();
    for path in [
        "w/.git",
        ".git/worktrees/w",
        ".git/worktrees/w/gitdir",
        ".git/modules/s/hooks/post-checkout",
        ".git/modules/s/config",
        ".git/objects/info/alternates",
    ] {
        assert!(is_held(&changes, path), "{path}");
    }
    play.apply(&changes);
    assert!(
        !play.exists(".git/worktrees/w") && !play.exists(".git/modules"),
        "{:#?}",
        tree(&play.host(".git"))
    );
    play.on_host("git fsck --strict");
}

#[test]
fn attributes_land_unless_they_hand_files_to_a_program() {
    let play = Play::new(&[("a", "")]);
    play.session("printf '*.rs text eol=lf\\n' > .gitattributes; mkdir s; printf '* filter=x\\n' > s/.gitattributes");
    let changes = play.list();
    assert!(at(&changes, ".gitattributes").lands());
    assert!(is_held(&changes, "s/.gitattributes"));
    stopped(
        "F15",
        ".gitattributes with a filter, and its program",
        "write-back gate: held",
        &"held",
    );
}

#[test]
fn links_that_lead_out_are_held_and_links_inside_land() {
    let play = Play::new(&[("d/e/f", ""), ("a", "")]);
    play.session("ln -s /etc/passwd abs; ln -s ../x up; ln -s ../../../x d/e/up3; ln -s e/../../.. d/climb; ln -s ../a d/in; ln -s e/f d/in2; ln -s ../../a d/e/in3; ln -s \"$PWD/a\" self; ln -s . dot; ln -s dot/.. sly");
    let changes = play.list();
    for path in ["abs", "up", "d/e/up3", "d/climb", "self", "sly"] {
        assert_eq!(*at(&changes, path).verdict(), Verdict::Hold(HoldReason::OutwardLink), "{path}");
    }
    play.apply(&changes);
    let links: Vec<_> = tree(&play.host(""))
        .into_iter()
        .filter(|(_, what)| what.starts_with("link"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_eq!(links, ["d/e/in3", "d/in", "d/in2", "dot"]);
    stopped(
        "F08",
        "leave a link to ~/.zshrc for a host tool to write through",
        "write-back gate: held; openat2 RESOLVE_BENEATH",
        &"Hold(OutwardLink)",
    );
}

#[test]
fn special_files_never_leave_and_setuid_is_taken_off() {
    let play = Play::new(&[("tool", "t")]);
    play.session("mkfifo p; mkdir only; mkfifo only/p; echo s > s; chmod 6755 s; chmod 4755 tool; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'");
    let changes = play.list();
    assert_eq!(*at(&changes, "p").verdict(), Verdict::Drop(DropReason::Special));
    assert_eq!(*at(&changes, "sock").verdict(), Verdict::Drop(DropReason::Special));
    let applied = play.apply(&changes);
    assert_eq!(applied.dropped().len(), 3);
    assert_eq!(
        applied.stripped().iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["s", "tool"]
    );
    assert_eq!((mode(&play.host("s")), mode(&play.host("tool"))), (0o755, 0o755));
    assert!(!play.exists("p") && !play.exists("sock"));
    stopped(
        "F22",
        "leave setuid files, fifos, sockets, devices",
        "write-back gate: dropped, bits off",
        &"Drop(Special)",
    );
}

#[test]
fn a_lock_left_by_a_killed_git_does_not_block_the_hosts_git() {
    let mut play = Play::new(&[("a", "1\n")]);
    play.on_host("git init -q .; git add -A; git commit -qm one");
    play.begin();
    play.session("touch .git/index.lock .git/refs/heads/main.lock .git/config.lock");
    play.finish();
    play.on_host("echo 2 > a; git commit -qam two");
}

#[test]
fn a_file_of_holes_is_dropped_before_it_is_read() {
    let play = Play::new(&[("a", "")]);
    play.session("truncate -s 900G big; truncate -s 1M small; echo after > z");
    let changes = play.list();
    assert_eq!(*at(&changes, "big").verdict(), Verdict::Drop(DropReason::Sparse));
    play.apply(&changes);
    assert!(!play.exists("big") && play.read("z") == "after\n");
    stopped(
        "F23",
        "a file of holes, to be read and written back",
        "write-back gate: dropped unread",
        &"Drop(Sparse)",
    );
}

#[test]
fn a_workspace_that_the_session_shut_is_read_all_the_same() {
    for mode in ["0000", "0300", "0400", "0500"] {
        let play = Play::new(&[("a", "1\n"), ("d/b", "1\n")]);
        play.session(&format!("echo 2 > a; echo 2 > d/b; echo x > .envrc; chmod {mode} ."));
        let changes = play.list();
        assert!(is_held(&changes, ".envrc"), "{mode}: {:#?}", verdicts(&changes));
        play.apply(&changes);
        assert_eq!((play.read("a"), play.read("d/b")), ("2\n".into(), "2\n".into()), "{mode}");
    }
}

#[test]
fn what_the_session_made_unreadable_is_read_all_the_same() {
    let play = Play::new(&[("a", "1")]);
    play.session("echo s > s; chmod 000 s; mkdir d; echo f > d/f; chmod 000 d");
    play.finish();
    assert_eq!(mode(&play.host("s")), 0);
    assert_eq!(mode(&play.host("d")), 0o700);
    assert_eq!(play.read("d/f"), "f\n");
}

#[test]
fn a_removed_directory_of_the_host_goes_with_all_it_held() {
    let play = Play::new(&[("d/a/b/c", "1"), ("d/x", "2"), ("keep", "3")]);
    play.session("rm -r d");
    let changes = play.list();
    assert_eq!((at(&changes, "d").kind(), at(&changes, "d").clears()), (&Kind::DeletedDir, 4));
    play.apply(&changes);
    assert_eq!(tree(&play.host("")).len(), 1);
}

#[test]
fn two_sessions_on_one_workspace_merge_where_they_can_and_clash_where_they_cannot() {
    let (mut one, two) = (Play::new(&[("a", "0"), ("b", "0"), ("gone", "0")]), Play::new(&[]));
    one.begin();
    // The second session runs on the same workspace with an overlay of its own.
    fs::remove_dir(two.path("ws")).unwrap();
    std::os::unix::fs::symlink(one.path("ws"), two.path("ws")).unwrap();
    one.session("echo 1 > a; echo 1 > only1; mkdir -p both; echo 1 > both/one; rm gone");
    two.session(
        "echo 2 > a; echo 2 > b; echo 2 > only2; mkdir -p both; echo 2 > both/two; echo 2 > gone",
    );
    one.finish();
    let changes = two.list();
    assert_eq!(at(&changes, "a").conflict(), Some(Clash::ChangedOnHost));
    assert_eq!(at(&changes, "gone").conflict(), Some(Clash::DeletedOnHost));
    two.apply(&changes);
    assert_eq!(two.kept(), ["a", "gone"]);
    assert_eq!(
        (one.read("a"), one.read("b"), one.read("only1"), one.read("only2")),
        ("1\n".into(), "2\n".into(), "1\n".into(), "2\n".into())
    );
    assert_eq!((one.read("both/one"), one.read("both/two")), ("1\n".into(), "2\n".into()));
}

#[test]
fn a_repository_that_moved_on_the_host_takes_the_sessions_objects_but_none_of_its_references() {
    let mut play = Play::new(&[("a", "1\n"), ("b", "1\n")]);
    play.on_host("git init -q .; git add -A; git commit -qm one");
    play.begin();
    play.session("echo 2 > a; git commit -qam theirs; git rev-parse HEAD > id");
    play.on_host("echo 2 > b; git commit -qam mine");
    let changes = play.list();
    assert!(changes.iter().any(
        |c| c.conflict() == Some(Clash::GitMoved) || c.conflict() == Some(Clash::ChangedOnHost)
    ));
    play.apply(&changes);
    play.on_host("git fsck --strict && test \"$(git log -1 --format=%s)\" = mine && git cat-file -e \"$(cat id)\" && git diff --quiet HEAD -- b && test \"$(git status --porcelain a)\" = ' M a'");
}

#[test]
fn what_the_hosts_links_make_a_hook_or_a_setting_is_held_as_one() {
    let mut play = Play::new(&[
        ("scripts/check", "old"),
        ("editor/tasks.json", "old"),
        ("free", "old"),
        (".claude/keep", "old"),
        ("shared/skills/s.md", "old"),
    ]);
    play.on_host("git init -q .; ln -s ../../scripts/check .git/hooks/pre-commit; ln -s editor .vscode; ln -s ../shared/skills .claude/skills");
    play.begin();
    play.session("echo x > scripts/check; echo x > .vscode/tasks.json; echo x > shared/skills/s.md; echo x > free; mkdir -p gh/workflows; echo x > gh/workflows/ci.yml; ln -s gh .github");
    let changes = play.list();
    for path in ["scripts/check", "editor/tasks.json", "shared/skills/s.md"] {
        assert!(
            matches!(at(&changes, path).verdict(), Verdict::Hold(HoldReason::Configured { .. })),
            "{path}"
        );
    }
    assert!(is_held(&changes, ".github") && at(&changes, "free").lands());
}

#[test]
fn no_configuration_that_git_reads_as_powerful_lands() {
    let base = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n";
    let play = Play::new(&[(".git/config", base)]);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % n as u64).unwrap()
    };
    let (mut landed, mut held) = (0, 0);
    for _ in 0..400 {
        let soup: String = (0..=next(12)).map(|_| PIECES[next(PIECES.len())]).collect();
        let text = format!("{base}{soup}\n");
        put(&play.upper(".git/config"), &text);
        let changes = play.list();
        if changes.iter().any(|change| !change.lands()) {
            held += 1;
            continue;
        }
        landed += 1;
        let listed = play.git_reads(&play.upper(".git/config"));
        let harmless = [
            "core.repositoryformatversion",
            "core.bare",
            "remote.o.url",
            "branch.b.remote",
            "branch.b.merge",
        ];
        for key in listed.lines().filter_map(|line| line.split('=').next()) {
            assert!(harmless.contains(&key), "{key} from {text:?}");
        }
    }
    assert!(landed > 10 && held > 100, "{landed} landed, {held} held");
}

/// What the soup is made of: parts of git's configuration syntax, harmless and powerful keys and values.
const PIECES: &[&str] = &[
    "[core]",
    "[Core]",
    "[core \"x\"]",
    "[core.x]",
    "[alias]",
    "[remote \"o\"]",
    "[branch \"b\"]",
    "[user]",
    "[include]",
    "\n",
    "\n\t",
    " ",
    "\t",
    "\\\n",
    "\r\n",
    "\r",
    "=",
    " = ",
    "\"",
    "\\\"",
    "#",
    ";",
    "fsmonitor",
    "FSMonitor",
    "pager",
    "bare",
    "url",
    "remote",
    "merge",
    "path",
    "st",
    "true",
    "false",
    "./p",
    "!./p",
    "https://h/x",
    "ext::sh",
    "refs/heads/x",
    "o",
    "\u{feff}",
    "\\",
    "]",
    "[",
    ".",
];
