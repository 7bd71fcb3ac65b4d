//! Do several names of one file land, though landing one changes the times of the others?
use crate::play::Play;
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
