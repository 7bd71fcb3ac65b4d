//! Does a commit, an index or an object bring in what would be held as a file?

use crate::play::{Play, at, put, verdicts};
use crate::table::stopped;
use bartizan_sandbox::writeback::{Change, Changes, DropReason, HoldReason, Verdict};
use std::fs;

const HOST: &str = "git init -q -b main . && git add -A && git commit -qm one";

/// A repository of the host with a workflow and some code, and what a session did to it.
fn after(script: &str) -> Play {
    after_both("true", script)
}

fn after_both(on_host: &str, script: &str) -> Play {
    let mut play = Play::new(&[
        (".github/workflows/ci.yml", "on: push\n"),
        (".gitattributes", "*.txt text\n"),
        ("Makefile", "all: ; true\n"),
        ("src/a", "1\n"),
    ]);
    play.on_host(&format!("{HOST} && {on_host}"));
    play.begin();
    play.session(script);
    play
}

/// The reason why the references and the index of the workspace's repository are held, one for all.
fn why(changes: &Changes) -> Option<HoldReason> {
    let unit: Vec<&Change> = changes
        .iter()
        .filter(|c| {
            let path = c.path().to_string();
            path == ".git/index" || path.starts_with(".git/refs/") || path == ".git/packed-refs"
        })
        .collect();
    assert!(!unit.is_empty(), "{:#?}", verdicts(changes));
    let reasons: Vec<Option<HoldReason>> = unit
        .iter()
        .filter(|c| !c.path().to_string().starts_with(".git/refs/replace"))
        .map(|c| match c.verdict() {
            Verdict::Hold(reason) => Some(reason.clone()),
            Verdict::Apply => None,
            Verdict::Drop(reason) => panic!("{reason}"),
        })
        .collect();
    let first = reasons.first().cloned().flatten();
    assert!(reasons.iter().all(|reason| *reason == first), "{:#?}", verdicts(changes));
    first
}

fn carried(changes: &Changes) -> String {
    match why(changes) {
        Some(HoldReason::GitCarries { path, .. }) => path,
        other => panic!("{other:?}: {:#?}", verdicts(changes)),
    }
}

#[test]
fn a_commit_brings_in_no_link_into_what_is_held() {
    let play = after("ln -s ../.git/config src/notes && git add -A && git commit -qm link");
    assert_eq!(carried(&play.list()), "src/notes");
    let play = after("ln -s src/a notes && git add -A && git commit -qm link");
    assert_eq!(why(&play.list()), None);
}

#[test]
fn a_commit_brings_in_nothing_that_would_be_held_as_a_file() {
    let evil = "git hash-object -w --stdin <<X\n{\"hooks\":{}}\nX\n";
    for (script, path) in [
        // Plain, and in a place that a session is not asked about otherwise.
        ("mkdir .claude; echo {} > .claude/settings.json; git add -A; git commit -qm x", ".claude"),
        (
            "mkdir -p a/b/.vscode; echo {} > a/b/.vscode/tasks.json; git add -A; git commit -qm x",
            "a/b/.vscode",
        ),
        ("echo 'on: evil' > .github/workflows/ci.yml; git commit -qam x", ".github/workflows"),
        ("git rm -q .github/workflows/ci.yml; git commit -qm x", ".github"),
        ("echo '* filter=x' > .gitattributes; git commit -qam x", ".gitattributes"),
        ("ln -s /etc/passwd l; git add l; git commit -qm x", "l"),
        // Nothing of it was ever in the working tree.
        (
            "git update-index --add --cacheinfo 100644,$(EVIL),.claude/settings.json",
            ".claude/settings.json",
        ),
        (
            "git update-index --add --cacheinfo 100644,$(EVIL),.claude/x; T=$(git write-tree); git rm -qr --cached .claude; git update-ref refs/heads/other $(git commit-tree -m x $T)",
            ".claude",
        ),
        (
            "git update-index --add --cacheinfo 100644,$(EVIL),.mcp.json; T=$(git write-tree); git reset -q; git tag -a -m t v1 $(git commit-tree -m x $T)",
            ".mcp.json",
        ),
        ("echo x > .envrc; git add .envrc; git stash -q", ".envrc"),
        ("echo x > .envrc; git stash -qu", ".envrc"),
        (
            "echo x > .envrc; git stash -qu; git rev-parse stash > .git/ORIG_HEAD; rm -r .git/logs",
            ".envrc",
        ),
        (
            "echo x > .envrc; git add .envrc; git commit -qm x; git reset -q --hard HEAD~1; git pack-refs --all; git update-ref refs/heads/w ORIG_HEAD; git pack-refs --all",
            ".envrc",
        ),
        (
            "mkdir .claude; echo x > .claude/y; git add -A; git commit -qm x; git gc -q --prune=now",
            ".claude",
        ),
        ("git checkout -q --detach; echo x > .envrc; git add -A; git commit -qm x", ".envrc"),
        (
            "git update-index --add --cacheinfo 100644,$(EVIL),.Claude/x; git commit -qm x",
            ".Claude",
        ),
        (
            "T=$(printf '100644 blob %s\\tHEAD\\n' $(EVIL) | git mktree); S=$(printf '040000 tree %s\\tobjects\\n040000 tree %s\\trefs\\n100644 blob %s\\tHEAD\\n100644 blob %s\\tconfig\\n' $T $T $(EVIL) $(EVIL) | git mktree); U=$( (git ls-tree HEAD; printf '040000 tree %s\\tsub\\n' $S) | git mktree); git update-ref refs/heads/b $(git commit-tree -m x $U)",
            "sub",
        ),
    ] {
        let play = after(&format!("EVIL() {{ {evil}}}\n{script}"));
        let changes = play.list();
        let found = carried(&changes);
        assert!(found.starts_with(path), "{script}: {found}");
        play.apply(&changes);
        play.on_host("git fsck --strict 2>/dev/null && git reset -q --hard && git stash list | wc -l | grep -qx 0 && test ! -e .claude && test ! -e .envrc && test \"$(cat .github/workflows/ci.yml)\" = 'on: push' && test \"$(git log --all --format=%s)\" = one");
    }
    stopped(
        "F13",
        "commit or stage a held file: the host's next checkout, stash or push brings it",
        "write-back gate: trees and index judged like files",
        &"references and index held",
    );
}

#[test]
fn ordinary_commits_land_also_beside_what_the_host_has_of_its_own() {
    for (on_host, script) in [
        (
            "true",
            "echo 2 > src/a; mkdir n; echo n > n/n; git add -A; git commit -qm two; git mv src/a src/b; git commit -qm three",
        ),
        (
            "true",
            "echo '*.md text' >> .gitattributes; ln -s src/a l; git add -A; git commit -qm two; git tag -a -m t v1; git gc -q --prune=now",
        ),
        // What another branch of the host has is the host's.
        (
            "git checkout -qb ci && echo 'on: pr' > .github/workflows/ci.yml && git commit -qam ci && git checkout -q main",
            "git merge -q ci; echo 2 > src/a; git commit -qam two",
        ),
        (
            "git checkout -qb ci && echo 'on: pr' > .github/workflows/ci.yml && git commit -qam ci && git checkout -q main && git pack-refs --all && git gc -q",
            "git rebase -q ci; git checkout -qb topic; echo 2 > src/a; git commit -qam two",
        ),
        // An earlier commit of the host's, with its workflow of that time.
        (
            "echo 'on: pr' > .github/workflows/ci.yml && git commit -qam ci",
            "git branch old HEAD~1; echo 2 > src/a; git commit -qam two",
        ),
        (
            "git init -q --object-format=sha256 ../s && rm -rf .git && mv ../s/.git . && git add -A && git commit -qm one",
            "echo 2 > src/a; git commit -qam two; git gc -q",
        ),
        ("git update-index --index-version 4", "echo 2 > src/a; git commit -qam two"),
        (
            "true",
            "echo 2 > src/a; git stash -q; git stash pop -q; git commit -qam two; git revert --no-edit HEAD >/dev/null",
        ),
    ] {
        let play = after_both(on_host, script);
        let changes = play.list();
        let not: Vec<_> = changes
            .iter()
            .filter(|c| !c.lands() && !matches!(c.verdict(), Verdict::Drop(DropReason::GitCache)))
            .map(|c| c.path().to_string())
            .collect();
        let not: Vec<_> = not.iter().filter(|p| !p.starts_with(".github")).collect();
        assert!(not.is_empty(), "{script}: {:#?}", verdicts(&changes));
        play.apply(&changes);
        play.on_host(
            "git fsck --strict && git log --oneline >/dev/null && git diff --quiet HEAD -- src",
        );
    }
}

#[test]
fn no_object_of_the_host_gets_other_contents() {
    let evil = "evil=$(echo 'all: ; evil' | git hash-object -w --stdin); good=$(git rev-parse HEAD:Makefile)\npath() { echo .git/objects/$(echo $1 | cut -c1-2)/$(echo $1 | cut -c3-); }\n";
    for (on_host, script, held) in [
        ("true", "git replace $good $evil", "refs/replace"),
        ("true", "git replace $good $evil; git pack-refs --all", "packed-refs"),
        ("true", "chmod u+w $(path $good); cat $(path $evil) > $(path $good)", "objects/"),
        (
            "git gc -q --prune=now",
            "mkdir -p $(dirname $(path $good)); cp $(path $evil) $(path $good)",
            "objects/",
        ),
        // A pack whose index gives an object another's place.
        (
            "true",
            "echo $evil | git pack-objects -q .git/objects/pack/pack >/dev/null; python3 - $evil $good <<'X'\nimport glob,sys,hashlib,os,struct\ne,g=map(bytes.fromhex,sys.argv[1:])\nf=glob.glob('.git/objects/pack/*.idx')[0]\nb=bytearray(open(f,'rb').read())\nb[1032:1052]=g\nfor i in range(256): b[8+4*i:12+4*i]=struct.pack('>I',1 if i>=g[0] else 0)\nb[-20:]=hashlib.sha1(bytes(b[:-20])).digest()\nos.chmod(f,0o644); open(f,'wb').write(b)\nX\ntest \"$(git -c core.checksum= cat-file -p $good)\" = 'all: ; evil'",
            "objects/pack",
        ),
        (
            "true",
            "mkdir -p .git/info; echo $(git rev-parse HEAD) > .git/info/grafts",
            "info/grafts",
        ),
    ] {
        let play = after_both(on_host, &format!("{evil}{script}"));
        let changes = play.list();
        let stopped: Vec<_> = changes
            .iter()
            .filter(|c| matches!(c.verdict(), Verdict::Hold(_)))
            .map(|c| c.path().to_string())
            .collect();
        assert!(stopped.iter().any(|p| p.contains(held)), "{script}: {:#?}", verdicts(&changes));
        play.apply(&changes);
        play.on_host("rm Makefile; git checkout -q Makefile && test \"$(cat Makefile)\" = 'all: ; true' && test -z \"$(git replace -l)\"");
    }
}

#[test]
fn what_git_would_believe_beside_the_objects_does_not_land() {
    let play = after(
        "echo 2 > src/a; git commit -qam two; git commit-graph write --reachable; git multi-pack-index write 2>/dev/null || { git gc -q; git multi-pack-index write; }",
    );
    let changes = play.list();
    for path in [".git/objects/info/commit-graph", ".git/objects/pack/multi-pack-index"] {
        assert_eq!(*at(&changes, path).verdict(), Verdict::Drop(DropReason::GitCache), "{path}");
    }
    play.apply(&changes);
    play.on_host(
        "git fsck --strict && test \"$(git log -1 --format=%s)\" = two && git diff --quiet HEAD",
    );
}

#[test]
fn the_index_hides_no_change_and_makes_no_commit_of_its_own() {
    for (script, expected) in [
        ("echo evil > src/a; git update-index --assume-unchanged src/a", "hidden"),
        ("echo evil > src/a; git update-index --skip-worktree src/a", "hidden"),
        ("git update-index --split-index", "unread"),
        ("echo x > f; git add f; printf garbage > .git/index", "unread"),
        // The tree that git remembers for the next commit is another than the entries.
        (
            "X=$(git hash-object -w --stdin < Makefile); git update-index --add --cacheinfo 100644,$X,.envrc; T=$(git write-tree); git rm -q --cached .envrc; G=$(git write-tree); python3 - $G $T <<'X'\nimport sys,hashlib\ng,t=map(bytes.fromhex,sys.argv[1:])\nb=open('.git/index','rb').read()[:-20]\nassert b.count(g)==1\nb=b.replace(g,t)\nopen('.git/index','wb').write(b+hashlib.sha1(b).digest())\nX\ntest $(git write-tree) = $T",
            "carried",
        ),
    ] {
        let play = after(script);
        let changes = play.list();
        let found = match why(&changes) {
            Some(HoldReason::GitHidden { path }) if path == "src/a" => "hidden",
            Some(HoldReason::GitUnread { .. }) => "unread",
            Some(HoldReason::GitCarries { path, .. }) if path == ".envrc" => "carried",
            other => panic!("{script}: {other:?}"),
        };
        assert_eq!(found, expected, "{script}");
        play.apply(&changes);
        play.on_host("git ls-files -v | grep -q '^[a-zS]' && exit 1; test ! -e .envrc");
    }
}

#[test]
fn a_repository_that_cannot_be_read_is_held_and_one_of_a_submodule_too() {
    let play = after(
        "mkdir -p .git/refs/heads; echo 1111111111111111111111111111111111111111 > .git/refs/heads/x",
    );
    assert!(matches!(why(&play.list()), Some(HoldReason::GitUnread { .. })));
    // Two of one name in a tree: git takes one, we might the other.
    let play = after(
        "b=$(git hash-object -w Makefile); t=$(python3 - $b <<'X' | git hash-object -t tree -w --literally --stdin\nimport sys\no=bytes.fromhex(sys.argv[1])\nsys.stdout.buffer.write((b'100644 a\\0'+o)*2)\nX\n); git update-ref refs/heads/x $(git commit-tree -m x $t)",
    );
    assert!(matches!(why(&play.list()), Some(HoldReason::GitUnread { .. })));

    let mut play = Play::new(&[("a", "1")]);
    play.on_host("git init -q -b main . && git add -A && git commit -qm one; git init -q ../m; cd ../m; echo 1 > f; git add f; git commit -qm m; cd -; git -c protocol.file.allow=always submodule -q add ../m sub; git commit -qm sub");
    play.begin();
    play.session("cd sub; echo x > .envrc; git add -A; git commit -qm x");
    let changes = play.list();
    let main = at(&changes, ".git/modules/sub/index").verdict();
    assert!(matches!(main, Verdict::Hold(HoldReason::GitCarries { path, .. }) if path == ".envrc"));
}

#[test]
fn a_person_who_has_looked_lands_the_commit_whole() {
    let play = after("echo 'on: pr' > .github/workflows/ci.yml; git commit -qam two");
    play.finish();
    let all = play.kept();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    play.release(&all, bartizan_sandbox::writeback::Conflicts::Leave).unwrap();
    play.on_host("git fsck --strict && test \"$(git log -1 --format=%s)\" = two && test -z \"$(git status --porcelain)\"");
    put(&play.path("x"), "");
    assert!(fs::read_dir(play.path("state/held")).is_ok_and(|mut dir| {
        dir.all(|e| e.unwrap().file_name().to_string_lossy().starts_with("held.json"))
    }));
}
