use super::*;
use crate::desk::telling::Part;

fn part(name: &str, lines: &[&str], notes: &[&str]) -> Part {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Part { name: name.to_owned(), kind: None, lines: own(lines), notes: own(notes) }
}

fn telling(lines: usize) -> Telling {
    let many: Vec<String> = (0..lines).map(|n| format!("line {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    Telling {
        facts: vec![part("tool", &["WebFetch"], &[])],
        arguments: vec![part("body", &many, &[])],
        answers: Vec::new(),
    }
}

fn panel(lines: usize, size: (usize, usize)) -> Panel {
    Panel::new(" Bartizan asks [mark]".to_owned(), telling(lines), "kfwb".to_owned(), size)
}

/// The screen without its escapes, one line each.
fn screen(panel: &mut Panel) -> Vec<String> {
    let drawn = panel.drawn();
    let lines = drawn.split("\x1b#5").skip(1);
    let plain = lines.map(|line| {
        let text = line.split_once('m').map_or("", |(_, text)| text);
        text.split('\x1b').next().unwrap_or_default().trim_end().to_owned()
    });
    plain.collect()
}

fn yes(act: Option<&Act>) -> bool {
    matches!(act, Some(Act::Answer(Say::Yes { life: None, .. }, _)))
}

#[test]
fn no_key_counts_before_it_is_open() {
    let mut panel = panel(2, (24, 80));
    assert!(!screen(&mut panel).join("\n").contains("kfwb"), "nobody could know it yet");
    for keys in ["kfwb\r", "no\r", "\x1b", "\x03", "quiet\r"] {
        assert!(panel.keys(keys.as_bytes()).is_none(), "{keys:?}");
    }
    panel.open();
    assert!(panel.keys(b"\r").is_none(), "and nothing of it is left on the line");
    assert!(screen(&mut panel).join("\n").contains("yes, once: kfwb Enter"));
    assert!(yes(panel.keys(b"kfwb\r").as_ref()));
}

#[test]
fn yes_takes_the_code_and_all_of_the_question() {
    let mut panel = panel(200, (24, 80));
    panel.open();
    let mut seen = String::new();
    for _ in 0..200 {
        let shown = screen(&mut panel).join("\n");
        assert_eq!(shown.contains("kfwb"), shown.contains("line 199"), "{shown}");
        seen.push_str(&shown);
        if shown.contains("kfwb") {
            break;
        }
        assert!(panel.keys(b"kfwb\r").is_none(), "not before it is read");
        assert!(panel.keys(b" ").is_none());
    }
    for n in 0..200 {
        assert!(seen.contains(&format!("line {n}\n")), "line {n} was never shown");
    }
    for wrong in ["yes\r", "kfw\r", "KFWB\r", "kfwb soon\r", "kfwb -1m\r"] {
        assert!(panel.keys(wrong.as_bytes()).is_none(), "{wrong:?}");
    }
    assert!(yes(panel.keys(b"kfwb\r").as_ref()));
}

#[test]
fn a_yes_for_a_time_a_no_with_a_reason_and_other_ways_out() {
    let mut panel = panel(2, (24, 80));
    panel.open();
    let timed = panel.keys(b"kfwb 30m\r");
    assert!(
        matches!(timed, Some(Act::Answer(Say::Yes { life: Some(life), .. }, _)) if life.as_secs() == 1800)
    );
    let no = panel.keys("no nicht h\u{fc}ut\x7f\x7f\x7feute\r".as_bytes());
    assert!(matches!(no, Some(Act::Answer(Say::No, reason)) if reason == "nicht heute"));
    assert!(matches!(panel.keys(b"\x1b"), Some(Act::Leave)));
    assert!(matches!(panel.keys(b"quiet\r"), Some(Act::Quiet)));
    assert!(panel.keys(b"\x1b[24;80R").is_none(), "a terminal's answer is no key");
}

#[test]
fn every_row_fits_and_none_can_pass_for_one_of_ours() {
    let wide = "漢".repeat(300);
    let mut told = telling(2);
    told.arguments.push(part(
        "b",
        &["x", "tool       Harmless", &wide],
        &["`a` only looks like `b`"],
    ));
    for size in [(24, 80), (12, 41), (50, 200)] {
        let rows = lay(&told, size.1);
        assert!(rows.iter().all(|row| cells(&row.text) <= size.1), "{rows:?}");
        assert!(rows.iter().all(|row| row.text != "tool       Harmless"));
        assert_eq!(rows.iter().filter(|row| row.is_warning).count(), 1);
        let shown: usize = rows.iter().map(|row| row.text.matches('漢').count()).sum();
        assert_eq!(shown, 300, "nothing is left out");
    }
}

#[test]
fn a_terminal_that_shows_too_little_takes_no_yes() {
    for size in [(6, 80), (24, 20), (1, 1), (0, 0)] {
        let mut panel = panel(1, size);
        panel.open();
        panel.drawn();
        assert!(!yes(panel.keys(b"kfwb\r").as_ref()), "{size:?}");
        panel.fits((24, 80));
        assert!(yes(panel.keys(b"kfwb\r").as_ref()), "once it is larger");
    }
}
