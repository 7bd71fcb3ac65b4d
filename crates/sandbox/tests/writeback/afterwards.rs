//! What does a session leave that a person's own tools would do afterwards: publish it, hide it, let others at it?
use crate::play::{Play, at, is_held};
use bartizan_sandbox::writeback::{HoldReason, Notable, Verdict};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn mode(play: &Play, path: &str) -> u32 {
    fs::symlink_metadata(play.host(path)).unwrap().permissions().mode() & 0o7777
}

fn chmod(play: &Play, path: &str, mode: u32) {
    fs::set_permissions(play.host(path), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn nobody_gets_more_of_a_file_than_before() {
    let mut play = Play::new(&[
        ("key", "secret"),
        ("edited", "secret"),
        ("open", "x"),
        ("tool", "x"),
        ("team", "x"),
        ("shut/a", "x"),
        ("less", "x"),
    ]);
    for (path, mode) in [
        ("key", 0o600),
        ("edited", 0o640),
        ("open", 0o644),
        ("tool", 0o644),
        ("team", 0o664),
        ("shut", 0o700),
        ("less", 0o644),
    ] {
        chmod(&play, path, mode);
    }
    play.begin();
    play.session(
        "chmod 644 key; echo more > e; chmod 666 e; mv e edited; chmod 666 open; chmod 755 tool; echo y > team; chmod 777 shut; chmod 600 less
         echo n > new; chmod 666 new; mkdir drop; chmod 1777 drop; echo n > drop/x",
    );
    let applied = play.apply(&play.list());
    for (path, wanted) in [
        ("key", 0o600),
        ("edited", 0o640),
        ("open", 0o644),
        ("tool", 0o755),
        ("team", 0o664),
        ("shut", 0o700),
        ("less", 0o600),
        ("new", 0o664),
        ("drop", 0o775),
        ("drop/x", 0o644),
    ] {
        assert_eq!(mode(&play, path), wanted, "{path}: {:o}", mode(&play, path));
    }
    let mut stripped: Vec<String> = applied.stripped().iter().map(ToString::to_string).collect();
    stripped.sort();
    assert_eq!(stripped, ["drop", "edited", "key", "new", "open", "shut"]);
    assert_eq!(fs::read_to_string(play.host("edited")).unwrap(), "more\n");
}

#[test]
fn the_next_push_goes_where_it_went_before_also_over_two_sessions() {
    let mut play = Play::new(&[("a", "1")]);
    play.on_host(
        "git init -q -b main .; git add -A; git commit -qm one; git remote add origin https://example.org/private.git
         git remote add public https://example.org/public.git; git config branch.main.remote origin; git config branch.main.merge refs/heads/main
         git branch quiet",
    );
    for script in [
        "git config branch.main.remote public",
        "git config --add branch.main.remote public",
        "git config branch.main.merge refs/heads/production",
        "git config branch.quiet.remote public; git config branch.quiet.merge refs/heads/quiet",
        "git remote remove origin",
        "git remote rename origin other",
        "git config --remove-section remote.public",
    ] {
        play.begin();
        play.session(script);
        let changes = play.list();
        assert!(is_held(&changes, ".git/config"), "{script}");
        play.apply(&changes);
        play.on_host("test $(git config branch.main.remote) = origin; test $(git config branch.main.merge) = refs/heads/main; test $(git config remote.origin.url) = https://example.org/private.git; ! git config branch.quiet.remote");
        fs::remove_dir_all(play.path("state")).unwrap();
        fs::remove_dir_all(play.upper("")).unwrap();
        fs::create_dir(play.upper("")).unwrap();
    }
    play.begin();
    play.session("git checkout -q -b feature; git config branch.feature.remote public; git config branch.feature.merge refs/heads/feature");
    let changes = play.list();
    assert!(at(&changes, ".git/config").lands(), "a new branch may have a remote of the host's");
    assert_eq!(at(&changes, ".git/config").notable(), Some(Notable::GitConfig));
}

#[test]
fn a_branch_in_packed_references_is_the_hosts_too() {
    let mut play = Play::new(&[("a", "1")]);
    play.on_host("git init -q -b main .; git add -A; git commit -qm one; git remote add origin https://example.org/p.git; git branch deep/er; git pack-refs --all; test ! -e .git/refs/heads/deep/er");
    play.begin();
    play.session(
        "git config branch.deep/er.remote origin; git config branch.deep/er.merge refs/heads/main",
    );
    assert!(is_held(&play.list(), ".git/config"));
}

#[test]
fn new_files_do_not_hide_from_git_status() {
    let mut play = Play::new(&[("a", "1")]);
    play.on_host("git init -q .; git add -A; git commit -qm one");
    play.begin();
    play.session("echo 'evil*' >> .git/info/exclude; echo x > evil.py");
    let changes = play.list();
    let Verdict::Hold(HoldReason::GitHidden { path }) = at(&changes, ".git/info/exclude").verdict()
    else {
        panic!("{changes:?}")
    };
    assert_eq!(path, "evil*");
    play.apply(&changes);
    let told = play.on_host("git status --porcelain");
    assert_eq!(String::from_utf8_lossy(&told.stdout), "?? evil.py\n");
}

#[test]
fn no_history_of_the_hosts_is_cut_off_and_a_shallow_clone_lands() {
    let mut play = Play::new(&[("a", "1")]);
    play.on_host(
        "git init -q .; git add -A; git commit -qm one; git commit -q --allow-empty -m two",
    );
    play.begin();
    play.session(
        "git rev-parse HEAD > .git/shallow; git clone -q --depth 1 file://$PWD sub 2>/dev/null",
    );
    let changes = play.list();
    assert!(is_held(&changes, ".git/shallow"));
    assert!(at(&changes, "sub/.git/shallow").lands());
    play.apply(&changes);
    play.on_host("git gc -q --prune=now; test $(git rev-list --count HEAD) = 2; git fsck; test $(git -C sub rev-list --count HEAD) = 1");
}

#[test]
fn an_object_of_lfs_lands_under_its_own_name_alone() {
    let mut play = Play::new(&[("a", "1")]);
    play.on_host("git init -q .; git add -A; git commit -qm one");
    play.begin();
    play.session(
        "N=$(echo real | sha256sum | cut -d' ' -f1); D=.git/lfs/objects/aa/bb; mkdir -p $D; echo real > $D/$N; echo fake > $D/$(echo other | sha256sum | cut -d' ' -f1)",
    );
    let changes = play.list();
    let held = |text: &str| {
        let name = play.on_host(&format!("printf %s $(echo {text} | sha256sum | cut -d' ' -f1)"));
        is_held(
            &changes,
            &format!(".git/lfs/objects/aa/bb/{}", String::from_utf8_lossy(&name.stdout)),
        )
    };
    assert!(!held("real") && held("other"), "{changes:?}");
}

#[test]
fn what_is_encrypted_before_it_is_committed_goes_on_to_be() {
    let attributes = "*.key filter=git-crypt diff=git-crypt\n";
    for script in [
        "rm .gitattributes",
        "sed -i /git-crypt/d .gitattributes",
        "echo '*.key -filter' >> .gitattributes",
        "mv .gitattributes attributes",
        "mkdir -p deep; echo '* !filter' > deep/.gitattributes",
        "git rm -q --cached .gitattributes; git commit -qm two",
    ] {
        let mut play = Play::new(&[(".gitattributes", attributes), ("a", "1")]);
        play.on_host("git init -q .; git config filter.git-crypt.clean cat; git config diff.git-crypt.textconv cat; git add -A; git commit -qm one");
        play.begin();
        play.session(script);
        play.apply(&play.list());
        let kept = play.kept();
        assert!(!kept.is_empty(), "{script}");
        assert_eq!(
            fs::read_to_string(play.host(".gitattributes")).unwrap(),
            attributes,
            "{script}"
        );
        play.on_host("test $(git check-attr filter -- x.key | cut -d' ' -f3) = git-crypt; test $(git check-attr filter -- deep/x.key | cut -d' ' -f3) = git-crypt; git ls-files --error-unmatch .gitattributes");
    }
}

#[test]
fn names_that_end_a_line_or_move_a_cursor_are_held_and_options_are_told() {
    let play = Play::new(&[("a", "1")]);
    play.session(
        "printf x > \"$(printf 'new\\nline')\"; printf x > \"$(printf 'esc\\033[2J')\"; printf x > ./--checkpoint-action=exec=sh; mkdir ./-d; git init -q .",
    );
    let changes = play.list();
    assert!(is_held(&changes, "new\nline") && is_held(&changes, "esc\x1b[2J"), "{changes:?}");
    for name in ["--checkpoint-action=exec=sh", "-d"] {
        assert_eq!(at(&changes, name).notable(), Some(Notable::OptionName), "{name}");
    }
    assert_eq!(at(&changes, ".git").notable(), Some(Notable::NestedRepository));
    let applied = play.apply(&changes);
    let told: Vec<_> = applied
        .landed()
        .iter()
        .filter_map(|one| Some((one.path.to_string(), one.notable()?)))
        .collect();
    assert!(told.contains(&(".git".to_owned(), Notable::NestedRepository)), "{told:?}");
}

#[test]
fn a_folder_does_not_take_what_is_held_in_it_away() {
    for script in ["rm -r .github", "rm -r .github; mkdir .github", "mv .github g"] {
        let mut play = Play::new(&[(".github/workflows/ci.yml", "on: push"), ("a", "1")]);
        play.begin();
        play.session(script);
        play.apply(&play.list());
        assert!(play.host(".github/workflows/ci.yml").exists(), "{script}");
    }
}

#[test]
fn a_toolchain_in_a_folder_is_held_and_a_version_lands() {
    let play = Play::new(&[("a", "1")]);
    play.session("mkdir d e; printf '[toolchain]\\npath = \"/tmp/x\"\\n' > d/rust-toolchain.toml; printf '[toolchain]\\nchannel = \"1.85.0\"\\n' > e/rust-toolchain.toml");
    let changes = play.list();
    assert!(is_held(&changes, "d/rust-toolchain.toml"));
    assert!(at(&changes, "e/rust-toolchain.toml").lands());
}
