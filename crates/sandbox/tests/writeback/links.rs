//! Do links land only where nothing that is held is reached by them? And do several names of one file land, though landing one changes the times of the others?
use crate::play::{Play, at, tree};
use crate::table::stopped;
use bartizan_sandbox::writeback::{HoldReason, Verdict};
use std::fs;

#[test]
fn two_names_of_one_file_land_both_and_what_the_host_changed_meanwhile_stays() {
    let play = Play::new(&[("x", "old"), ("rest", "r")]);
    play.on_host("ln x y; ln x z");
    let mut play = play;
    play.begin();
    play.session("for f in x y z; do echo new-$f > t; mv t $f; done");
    let applied = play.finish();
    assert!(applied.kept().is_empty(), "{:?}", applied.kept());
    assert_eq!((play.read("x"), play.read("y")), ("new-x\n".to_owned(), "new-y\n".to_owned()));
    assert_eq!(play.read("z"), "new-z\n");
    let play = Play::new(&[("x", "old")]);
    play.on_host("ln x y");
    let mut play = play;
    play.begin();
    play.session("for f in x y; do echo new-$f > t; mv t $f; done");
    let changes = play.list();
    // Between the landing of the one and of the other, the host writes through the name that is left.
    let host = play.host("y");
    let mut landed = 0;
    let applied = play
        .try_apply(&changes, &mut |done, total| {
            landed = done;
            if done == total / 2 + 1 {
                fs::write(&host, "host's own").unwrap();
            }
        })
        .unwrap();
    assert_eq!(applied.kept().len(), 1, "{:?}", applied.kept());
    assert_eq!(play.read("y"), "host's own");
}

#[test]
fn a_link_into_what_is_held_is_held() {
    let mut play = Play::new(&[("tools/hooks/check", "true\n"), ("d/f", ""), (".github/x.md", "")]);
    play.on_host("git init -q . && git config core.hooksPath tools/hooks");
    play.begin();
    play.session(
        "ln -s .git/config notes.txt; ln -s ../.git/hooks/post-checkout d/build.log; ln -s .git g; ln -s ./.GIT/config case; ln -s .vscode/tasks.json o.json
         ln -s .claude/settings.json s; ln -s ../.envrc d/env; ln -s .github gh; ln -s ../.github/workflows/ci.yml d/ci; ln -s workflows/ci.yml .github/ci
         ln -s tools/hooks/post-commit h; ln -s d/f fine; ln -s ../tools d/tools; ln -s .github/x.md readme; ln -s config d/config",
    );
    let changes = play.list();
    for path in [
        "notes.txt",
        "d/build.log",
        "g",
        "case",
        "o.json",
        "s",
        "d/env",
        "gh",
        "d/ci",
        ".github/ci",
    ] {
        let verdict = at(&changes, path).verdict();
        assert!(
            matches!(verdict, Verdict::Hold(HoldReason::InwardLink { .. })),
            "{path}: {verdict:?}"
        );
    }
    let hook = at(&changes, "h").verdict();
    assert!(matches!(hook, Verdict::Hold(HoldReason::Configured { .. })), "{hook:?}");
    play.apply(&changes);
    let links = tree(&play.host("")).into_iter().filter(|(_, what)| what.starts_with("link"));
    let links: Vec<_> = links.map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(links, ["d/config", "d/tools", "fine", "readme"]);
    stopped(
        "F08",
        "leave notes.txt -> .git/config for a host tool to write through",
        "write-back gate: held",
        &"Hold(InwardLink)",
    );
}
