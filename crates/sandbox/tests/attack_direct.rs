//! In a workspace that is written directly, is what the host's tools obey kept, and does ordinary work go on beside it?
//!
//! Numbers are those of the attack catalogue (F). Every attack has its twin. The repository's own folder is not written
//! directly: its changes go through the write-back gate when the box has ended.
mod support;
use bartizan_sandbox::writeback::HoldReason;
use bartizan_sandbox::{Running, WorkspaceMode};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use support::session::{AUTHOR, Session, on_host, repository};
use support::table::stopped;
use support::{Place, exists, run};

/// A box that writes the workspace directly, and what became of the rest.
fn bash(place: &Place, script: &str) -> Session {
    Session::of(place, || running(place, script))
}

#[expect(clippy::unwrap_used, reason = "a test may stop")]
fn running(place: &Place, script: &str) -> Running {
    let mut spec = place.spec(script);
    spec.workspace_mode = WorkspaceMode::Direct;
    support::start(&spec).unwrap()
}

for_everyone! {
    fn commits_of_a_direct_workspace_land_when_the_box_has_ended() {
        let place = repository();
        let script = format!(
            "{AUTHOR} echo 2 > readme.txt; mkdir src; echo new > src/main.rs; git add -A; git commit -qm two; git checkout -qb topic; git rm -q src/main.rs; git commit -qm three; \
             git checkout -q -; echo 4 >> readme.txt; git stash -q; git merge -q topic; git tag v1; git gc -q; git log --format=%s | tr '\\n' ' '; git status --porcelain"
        );
        let mut report = String::new();
        let session = Session::of(&place, || {
            let running = running(&place, &script);
            report = running.report.to_string();
            running
        });
        assert_eq!(session.outcome.stdout, "three two one ");
        assert!(report.contains("`.git` goes through the gate"), "{report}");
        // Git would believe a graph of its commits, and makes it anew.
        let lands = |line: &String| line.contains(" .git/") && (!line.ends_with("(held)") || line == "new .git/objects/info/commit-graph (held)");
        assert!(session.lines.iter().all(lands), "{:#?}", session.lines);
        let said = on_host(&place, "git fsck --strict 2>&1 | grep -v dangling || true; git log --format=%s; git status --porcelain; git tag; git stash list | wc -l; cat readme.txt");
        assert_eq!(said, "three\ntwo\none\nv1\n1\n2\n");
    }

    fn f11_f12_the_repository_of_a_direct_workspace_can_be_neither_moved_nor_unmade() {
        let place = repository();
        let session = bash(&place,
            "mv .git g && echo MOVED; mkdir sub; echo 'gitdir: elsewhere' > sub/.git; \
             python3 -c 'import ctypes; print(\"EXCHANGED\" if ctypes.CDLL(None).renameat2(-100, b\"sub\", -100, b\".git\", 2) == 0 else \"busy\")'; \
             umount -l .git 2>/dev/null && echo UNMOUNTED; mount -o remount,bind,rw .git 2>/dev/null && echo REMOUNTED; mv ../project ../p2 && echo MOVED; ln .git/HEAD HEAD && echo LINKED; \
             cp -r .git copy; rm -rf .git; test -d .git && echo there; echo 'gitdir: copy' > .git && echo REPLACED; ln -sfn copy .git; \
             cp -r copy/* .; git --git-dir=copy config core.fsmonitor ./p; cp copy/config config; echo edit > readme.txt; exit 0",
        );
        assert_eq!(session.outcome.stdout, "busy\nthere\n", "{:#?}", session.outcome);
        assert!(session.outcome.stderr.contains("Device or resource busy"), "{:#?}", session.outcome);
        for path in [".git/HEAD", ".git/objects", ".git/refs"] {
            assert_eq!(*session.why_held(path), HoldReason::GitDir, "{path}");
        }
        // A bare repository lies around it now, and is not what the host's git finds.
        assert_eq!(on_host(&place, "git rev-parse --git-dir; git fsck --strict; git log --format=%s; git config core.fsmonitor || echo none"), ".git\none\nnone\n");
        assert_eq!(fs::read_to_string(place.workspace.join("readme.txt")).unwrap(), "edit\n");
        stopped("F11-F12", "mv .git g; rm -rf, link, exchange, unmount; a bare repository beside it, --direct", "a mount (EBUSY); write-back gate on .git", &session.held());
    }

    fn f13_f14_f15_what_git_would_execute_is_held_and_the_commit_beside_it_lands() {
        let place = repository();
        on_host(&place, "rm -rf .git/hooks .git/info");
        let session = bash(&place, &format!(
            "{AUTHOR} printf '#!/bin/sh\ntouch {0}\n' > p; chmod +x p; mkdir -p .git/hooks .git/info .git/rebase-merge .git/modules/m .git/worktrees/w; cp p .git/hooks/post-checkout; \
             echo 2 > readme.txt; git commit -qam two; git config core.fsmonitor ./p; echo '* filter=x' > .git/info/attributes; printf '[core]\n\tfsmonitor = ./p\n' | tee .git/config.worktree > .git/modules/m/config; \
             echo /x > .git/objects/info/alternates; echo ../copy > .git/commondir; echo 'exec ./p' > .git/rebase-merge/git-rebase-todo; echo /x > .git/worktrees/w/gitdir; echo x > .git/fsmonitor--daemon.ipc",
            place.path("pwned").display()
        ));
        assert_eq!(*session.why_held(".git/hooks/post-checkout"), HoldReason::GitHook);
        assert_eq!(*session.why_held(".git/config"), HoldReason::GitConfig { key: "core.fsmonitor".into(), value: Some("./p".into()) });
        for path in [".git/info/attributes", ".git/config.worktree", ".git/modules/m/config", ".git/objects/info/alternates", ".git/commondir", ".git/rebase-merge/git-rebase-todo", ".git/worktrees/w/gitdir", ".git/fsmonitor--daemon.ipc"] {
            session.why_held(path);
            assert!(!exists(&place.workspace.join(path)), "{path}");
        }
        assert_eq!(on_host(&place, "git checkout -qb other; git status --porcelain -uno; git fsck --strict; git log -1 --format=%s"), "two\n");
        assert!(!exists(&place.path("pwned")));
        stopped("F13-F15", "write hooks, config, info/attributes, commondir, config.worktree, modules', worktrees', alternates, absent before, --direct", "write-back gate on .git", &session.held());
    }

    fn f11_what_agents_and_editors_obey_in_a_direct_workspace_can_be_neither_written_nor_moved() {
        let place = Place::new();
        let at = |name: &str| place.workspace.join(name);
        fs::create_dir(at(".claude")).unwrap();
        let files = [(".claude/settings.json", "{}"), (".envrc", "safe")];
        for (name, text) in files {
            fs::write(at(name), text).unwrap();
        }
        let mut running = running(&place,
            "for f in .claude/settings.json .claude/new .envrc; do echo EVIL > $f && echo WROTE $f; rm -f $f && test -e $f && echo REMOVED $f; done; \
             mv .claude c && echo MOVED; mv .envrc e && echo MOVED; mv ../project ../p2 && echo MOVED; chmod 777 .claude && echo CHMOD; \
             cat .envrc; echo; echo edit > readme.txt; mkdir src && echo new > src/main.rs; exit 0",
        );
        let report = running.report.to_string();
        let outcome = support::drain(&mut running).succeeded();
        assert_eq!(outcome.stdout, "safe\n", "{outcome:#?}");
        assert!(outcome.stderr.contains("Device or resource busy") && outcome.stderr.contains("Read-only file system"), "{outcome:#?}");
        assert!(report.contains("read-only in it: `.claude`, `.envrc`"), "{report}");
        for (name, text) in files {
            assert_eq!(fs::read_to_string(at(name)).unwrap(), text);
        }
        // The twin: everything else is the host's at once.
        assert_eq!(fs::read_to_string(at("readme.txt")).unwrap() + &fs::read_to_string(at("src/main.rs")).unwrap(), "edit\nnew\n");
        stopped("F11", "write, remove, move .claude, .envrc, --direct", "read-only mounts (EBUSY, EROFS)", &outcome.stderr);
    }

    fn f12_the_git_file_of_a_worktree_cannot_be_changed_in_a_direct_workspace() {
        let place = Place::new();
        fs::write(place.workspace.join(".git"), "gitdir: /elsewhere\n").unwrap();
        let mut spec = place.spec("mv .git g && echo MOVED; echo 'gitdir: gd' > .git && echo WROTE; rm -f .git && echo REMOVED; mv readme.txt .git && echo REPLACED; cat .git; echo new > new");
        spec.workspace_mode = WorkspaceMode::Direct;
        let outcome = run(&spec).succeeded();
        assert_eq!(outcome.stdout, "gitdir: /elsewhere\n", "{outcome:#?}");
        assert_eq!(fs::read_to_string(place.workspace.join(".git")).unwrap(), "gitdir: /elsewhere\n");
        assert_eq!(fs::read_to_string(place.workspace.join("new")).unwrap(), "new\n");
        stopped("F12", "mv .git g; echo 'gitdir: gd' > .git, --direct", "read-only mount on the file (EBUSY, EROFS)", &outcome.stderr);
    }

    fn f17_f18_what_is_planted_for_agents_and_editors_is_renamed_when_the_box_has_ended() {
        let place = Place::new();
        let at = |name: &str| place.workspace.join(name);
        fs::create_dir(at(".github")).unwrap();
        std::os::unix::fs::symlink("readme.txt", at(".envrc")).unwrap();
        std::os::unix::fs::symlink("readme.txt", at(".bashrc")).unwrap();
        let planted = [".CLAUDE", ".claude", ".envrc", ".git", ".mcp.json", ".vscode", "x.code-workspace"];
        let session = support::drain(&mut running(&place,
            "mkdir .claude .CLAUDE .vscode .vscode/deep; echo '{}' > .claude/settings.json; echo '{}' > .vscode/tasks.json; echo '{}' > .mcp.json; echo x > x.code-workspace; \
             rm .envrc; ln -s readme.txt .envrc; git init -q .; chmod 0 .vscode; echo fine > src.txt; mkdir .hidden",
        )).succeeded();
        let set_aside = session.exit.set_aside;
        assert_eq!(set_aside.iter().map(|one| one.name.to_str().unwrap()).collect::<Vec<_>>(), planted);
        for one in &set_aside {
            let now = one.now.clone().unwrap();
            assert!(!exists(&at(one.name.to_str().unwrap())) && exists(&place.workspace.join(&now)), "{one:?}");
            assert!(now.to_str().unwrap().starts_with("set-aside-"), "{now:?}");
        }
        // What was there before, and ordinary work, stay as they are.
        assert!([".github", ".bashrc", "src.txt", ".hidden", "readme.txt"].iter().all(|name| exists(&at(name))));
        assert_eq!(fs::read_dir(&place.workspace).unwrap().count(), planted.len() + 5);
        assert_eq!(run(&place.spec("true")).succeeded().exit.set_aside, []);
        stopped("F17-F18", "create .claude, .mcp.json, .vscode, .git where they were absent, --direct", "renamed when the box has ended", &set_aside.iter().map(|one| one.name.to_string_lossy()).collect::<Vec<_>>().join(" "));
    }

    fn f17_f18_no_mode_of_the_workspace_keeps_what_was_planted_where_it_is() {
        // May be entered and not listed; may be read and not changed; nothing at all.
        for mode in ["0300", "0500", "0000"] {
            let place = Place::new();
            let before = fs::metadata(&place.workspace).unwrap().mode();
            let session = support::drain(&mut running(&place, &format!("echo 'touch pwned' > .envrc; echo fine > src.txt; chmod {mode} .")));
            assert_eq!(fs::metadata(&place.workspace).unwrap().mode(), before, "{mode}: {session:#?}");
            let session = session.succeeded();
            let [one] = session.exit.set_aside.as_slice() else { panic!("{mode}: {session:#?}") };
            assert!(one.name == ".envrc" && exists(&place.workspace.join(one.now.as_ref().unwrap())), "{mode}: {one:?}");
            assert!(!exists(&place.workspace.join(".envrc")) && exists(&place.workspace.join("src.txt")), "{mode}");
        }
    }

    fn nested_repositories_of_a_direct_workspace_are_not_held() {
        let place = Place::new();
        support::drain(&mut running(&place, "git init -q sub; echo x > sub/.git/hooks/pre-push")).succeeded();
        // Said so in docs/box.md; a wall here would make this fail.
        assert!(exists(&place.workspace.join("sub/.git/hooks/pre-push")));
    }

    fn a_link_in_a_direct_workspace_shows_nothing_that_lies_outside() {
        let place = Place::new();
        fs::create_dir(place.path("keys")).unwrap();
        fs::write(place.path("keys/id"), "TOP-SECRET").unwrap();
        std::os::unix::fs::symlink(place.path("keys"), place.workspace.join(".claude")).unwrap();
        let mut spec = place.spec("cat .claude/id; readlink .claude | grep -c keys");
        spec.workspace_mode = WorkspaceMode::Direct;
        assert_eq!(run(&spec).succeeded().stdout, "1\n");
    }
}
