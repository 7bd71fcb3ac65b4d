//! In tier B, does only what may of a box's changes reach the host, and does ordinary work land beside it?
//!
//! Numbers are those of the attack catalogue (F). Every attack has its twin. Each test runs where no user namespace can be
//! made, as an ordinary user and as root.
mod support;
use bartizan_sandbox::writeback::HoldReason;
use bartizan_sandbox::{Accept, BoxSpec, WorkspaceMode};
use std::fs;
use support::session::{AUTHOR, Session, on_host, repository, top};
use support::table::stopped;
use support::{Place, exists, open_place, start_b, victim};

/// A box of tier B and what became of its changes.
fn bash(place: &Place, script: &str) -> Session {
    session(place, &place.spec(script))
}

fn session(place: &Place, spec: &BoxSpec) -> Session {
    Session::of(place, || start_b(place, spec))
}

in_tier_b! {
    fn f08_a_link_left_for_a_tool_of_the_host_to_write_through_is_held() {
        let place = open_place();
        let rc = victim(&place, "person/.zshrc");
        let folder = rc.parent().unwrap().to_owned();
        fs::write(place.workspace.join("out.txt"), "the person's\n").unwrap();
        fs::create_dir(place.workspace.join("dir")).unwrap();
        fs::write(place.workspace.join("dir/file"), "inside\n").unwrap();
        let session = bash(&place, &format!(
            "rm out.txt; ln -s {0} out.txt; echo evil > out.txt; ln -s {0} new.txt; ln -s ../../../person/.zshrc climb; rm -r dir; ln -s {1} dir; echo evil > dir/planted; \
             ln -s readme.txt inside; echo work > work.txt",
            rc.display(), folder.display()
        ));
        for path in ["out.txt", "new.txt", "climb", "dir"] {
            assert_eq!(*session.why_held(path), HoldReason::OutwardLink, "{path}");
        }
        // The host's own tools write where they wrote before.
        on_host(&place, "echo host > out.txt; echo host > dir/file; test ! -e new.txt -a ! -L climb");
        assert_eq!(fs::read_to_string(&rc).unwrap(), "TOP-SECRET");
        assert!(!exists(&folder.join("planted")) && !exists(&folder.join("file")));
        assert!(session.has_landed("inside") && session.has_landed("work.txt"), "{:#?}", session.lines);
        assert_eq!(fs::read_link(place.workspace.join("inside")).unwrap().to_str(), Some("readme.txt"));
        stopped("F08", "leave out.txt -> ~/.zshrc for a host tool to write through", "write-back gate: held", &session.held());
    }

    fn f13_a_planted_hook_is_held_and_the_commit_beside_it_lands() {
        let place = repository();
        let session = bash(&place, &format!(
            "{AUTHOR} for h in post-checkout pre-push; do printf '#!/bin/sh\ntouch {0}\n' > .git/hooks/$h; chmod +x .git/hooks/$h; done; \
             echo 2 > readme.txt; git commit -qam two", place.path("pwned").display()
        ));
        for hook in [".git/hooks/post-checkout", ".git/hooks/pre-push"] {
            assert_eq!(*session.why_held(hook), HoldReason::GitHook);
            assert!(!exists(&place.workspace.join(hook)));
        }
        let said = on_host(&place, "git checkout -qb other; git fsck --strict; git log -1 --format=%s; git status --porcelain");
        assert_eq!(said, "two\n");
        assert!(!exists(&place.path("pwned")));
        stopped("F13", "write .git/hooks/post-checkout, pre-push", "write-back gate: held", &session.held());
    }

    fn f14_configuration_that_git_executes_is_held_with_key_and_value() {
        let place = repository();
        let powers = [
            ("core.fsmonitor", "./p"), ("core.sshCommand", "./p"), ("core.hooksPath", "hooks"), ("core.pager", "./p"),
            ("alias.st", "!./p"), ("diff.external", "./p"), ("include.path", "../more"), ("filter.x.clean", "./p"),
        ];
        let plant = powers.iter().enumerate().map(|(at, (key, value))| format!("git init -q r{at}; git -C r{at} config {key} '{value}'; ")).collect::<Vec<_>>().concat();
        let session = bash(&place, &format!(
            "{AUTHOR} {plant} echo 2 > readme.txt; git commit -qam two; git config core.fsmonitor ./p; printf '#!/bin/sh\ntouch {0}\n' > p; chmod +x p",
            place.path("pwned").display()
        ));
        let shown = |path: &str, key: &str, value: &str| {
            let expected = HoldReason::GitConfig { key: key.to_lowercase(), value: Some(value.to_owned()) };
            let HoldReason::GitConfig { key, value } = session.why_held(path) else { panic!("{path}") };
            assert_eq!(HoldReason::GitConfig { key: key.to_lowercase(), value: value.clone() }, expected);
        };
        shown(".git/config", "core.fsmonitor", "./p");
        for (at, (key, value)) in powers.iter().enumerate() {
            shown(&format!("r{at}/.git/config"), key, value);
            assert!(!exists(&place.workspace.join(format!("r{at}/.git/config"))));
        }
        let said = on_host(&place, "git status --porcelain -uno; git config --get-regexp 'fsmonitor|pager' || true; git log -1 --format=%s");
        assert_eq!(said, "two\n");
        assert!(!exists(&place.path("pwned")));
        stopped("F14", "git config core.fsmonitor, sshCommand, hooksPath, pager, alias, diff.external, include.path, filter", "write-back gate: held, key and value shown", &session.why_held(".git/config").to_string());
    }

    fn f15_attributes_that_hand_files_to_a_program_are_held_with_their_program() {
        let place = repository();
        let session = bash(&place,
            "git config filter.x.clean ./p; printf '* filter=x\n' > .gitattributes; mkdir -p .git/info sub; printf '* filter=x\n' > .git/info/attributes; \
             printf '*.rs text eol=lf\n' > sub/.gitattributes",
        );
        assert!(matches!(session.why_held(".gitattributes"), HoldReason::GitAttributes { line } if line.contains("filter=x")));
        assert!(matches!(session.why_held(".git/info/attributes"), HoldReason::GitAttributes { .. }));
        assert!(matches!(session.why_held(".git/config"), HoldReason::GitConfig { key, .. } if key == "filter.x.clean"));
        assert!(!exists(&place.workspace.join(".gitattributes")));
        assert!(session.has_landed("sub/.gitattributes"));
        stopped("F15", ".gitattributes with a filter, and its program", "write-back gate: both held", &session.held());
    }

    fn f17_settings_of_agents_that_were_absent_do_not_come_about_and_leave_no_ghosts() {
        let place = open_place();
        let session = bash(&place,
            "mkdir .claude .codex .cursor .gemini; echo '{\"hooks\":1}' > .claude/settings.json; echo x > .codex/config.toml; echo '{}' > .cursor/mcp.json; echo '{}' > .mcp.json; \
             mkdir -p deep/.claude; echo '{}' > deep/.claude/settings.json; echo fine > deep/fine; echo all > CLAUDE.md",
        );
        for path in [".claude/settings.json", ".codex/config.toml", ".cursor/mcp.json", ".cursor", ".gemini", ".mcp.json", "deep/.claude/settings.json"] {
            assert_eq!(*session.why_held(path), HoldReason::AgentSettings, "{path}");
        }
        assert_eq!(top(&place), ["CLAUDE.md", "deep", "readme.txt"]);
        assert!(!exists(&place.workspace.join("deep/.claude")) && exists(&place.workspace.join("deep/fine")));
        stopped("F17", "create .claude/settings.json, .codex/config.toml, .cursor/, .mcp.json where they were absent", "write-back gate: held, no empty folder left", &session.held());
    }

    fn f18_what_editors_and_shells_execute_is_held() {
        let place = open_place();
        fs::create_dir(place.workspace.join(".vscode")).unwrap();
        fs::write(place.workspace.join(".vscode/tasks.json"), "{}").unwrap();
        let planted = [
            (".vscode/tasks.json", HoldReason::IdeSettings), (".idea/workspace.xml", HoldReason::IdeSettings),
            (".devcontainer/devcontainer.json", HoldReason::IdeSettings), ("x.code-workspace", HoldReason::IdeSettings),
            (".envrc", HoldReason::ShellStartup), (".husky/pre-commit", HoldReason::CommitHooks),
        ];
        let plant = planted.iter().map(|(path, _)| format!("mkdir -p $(dirname {path}); echo evil > {path}; ")).collect::<Vec<_>>().concat();
        let session = bash(&place, &format!("{plant} echo '{{}}' > package.json"));
        for (path, reason) in &planted {
            assert_eq!(session.why_held(path), reason, "{path}");
        }
        assert_eq!(fs::read_to_string(place.workspace.join(".vscode/tasks.json")).unwrap(), "{}");
        assert_eq!(top(&place), [".vscode", "package.json", "readme.txt"]);
        stopped("F18", ".vscode/tasks.json, .idea/, .devcontainer/, .envrc, .husky/", "write-back gate: held", &session.held());
    }

    fn f20_disguised_names_are_held() {
        let place = open_place();
        let names = [
            ".Git/Hooks/pre-commit", "git~1/config", ".git./hooks/x", ".cl\u{200b}aude/settings.json", ".Claude/settings.json", ".VSCODE/tasks.json",
            ".ｇit/config", "CLAUDE~1/settings.json", ".envrc.", ".mcp.JSON",
        ];
        let plant = names.iter().map(|name| format!("mkdir -p \"$(dirname '{name}')\"; echo evil > '{name}'; ")).collect::<Vec<_>>().concat();
        let session = bash(&place, &format!("{plant} echo fine > 'ünïcode näme'; printf x > \"$(printf 'e\\314\\201t')\""));
        for name in names {
            session.why_held(name);
        }
        assert_eq!(top(&place), ["e\u{301}t", "readme.txt", "ünïcode näme"]);
        stopped("F20", "`.Git/Hooks`, zero-width characters, short names, other normal forms", "write-back gate: names compared folded", &session.held());
    }

    fn f11_f12_a_direct_workspace_with_what_git_obeys_is_refused_and_its_copy_is_not() {
        let place = repository();
        let mut spec = place.spec("mv .git g; mkdir .git; echo edit > readme.txt");
        spec.workspace_mode = WorkspaceMode::Direct;
        let accept = Accept::OrB { folders: place.path("state") };
        let refused = bartizan_sandbox::start(&spec, &accept).unwrap_err().to_string();
        assert!(refused.contains("hint: leave `--direct` out"), "{refused}");
        assert_eq!(fs::read_to_string(place.workspace.join("readme.txt")).unwrap(), "hello from the host\n");
        spec.workspace_mode = place.spec("").workspace_mode;
        let session = session(&place, &spec);
        for path in [".git/HEAD", ".git/objects", ".git/refs"] {
            assert_eq!(*session.why_held(path), HoldReason::GitDir, "{path}");
        }
        assert_eq!(*session.why_held("g/HEAD"), HoldReason::BareRepository);
        assert!(session.has_landed("readme.txt"), "{:#?}", session.lines);
        assert_eq!(on_host(&place, "git fsck --strict; git log --format=%s; test ! -e g/config"), "one\n");
        stopped("F11-F12", "mv .git g; mkdir .git, --direct", "refused: Landlock cannot hold a part of a tree", &refused);
        stopped("F11-F12", "mv .git g; mkdir .git", "write-back gate: held", &session.held());
    }

    fn f11_to_f21_the_write_back_gate_judges_the_copy_as_it_judges_an_overlay() {
        let place = open_place();
        fs::create_dir_all(place.workspace.join(".git/hooks")).unwrap();
        fs::write(place.workspace.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(place.workspace.join("old.txt"), "old").unwrap();
        let session = bash(&place,
            "echo edit > readme.txt; mkdir src && echo new > src/main.rs; rm old.txt; echo x > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; \
             mkdir .claude && echo '{}' > .claude/settings.json; echo x > .envrc; ln -s /etc/passwd out; mkdir -p sub/.git/hooks; echo x > sub/.git/hooks/pre-push; \
             mkfifo p; mknod b b 8 0; touch s && chmod 4755 s; true",
        );
        for line in ["changed readme.txt", "new src/main.rs", "deleted old.txt", "new .git/hooks/pre-commit (held)", "new .claude/settings.json (held)",
            "new .envrc (held)", "link to `/etc/passwd` out (held)", "new sub/.git/hooks/pre-push (held)", "special file p (held)"] {
            assert!(session.lines.iter().any(|seen| seen == line), "{line}\n{:#?}", session.lines);
        }
        assert_eq!(fs::read_to_string(place.workspace.join("readme.txt")).unwrap(), "edit\n");
        assert!(!exists(&place.workspace.join("b")) && !session.lines.iter().any(|line| line.contains(" b")));
        stopped("F11-F21", "plant hooks, agent settings, .envrc, outward links, nested hooks", "the write-back gate judges the copy's differences", &session.held());
    }

    fn ordinary_work_lands_and_the_copy_is_gone_afterwards() {
        let place = open_place();
        let session = bash(&place, "pwd; test -d \"$PWD\"; git init -q . && git config user.email a@b && git config user.name n && echo work > work.txt && git add . && git commit -qm work && git log --oneline | wc -l");
        let (at, commits) = session.outcome.stdout.split_once('\n').unwrap();
        assert_eq!(commits, "1\n");
        assert!(at.ends_with("/work/project") && !exists(at.as_ref()), "{at}");
        assert!(session.has_landed("work.txt"), "{:#?}", session.lines);
        assert_eq!(on_host(&place, "cat work.txt; git log --format=%s; git status --porcelain"), "work\nwork\n");
    }
}
