use super::*;
use bartizan_store::{Digest, QuestionState};
use serde_json::json;

fn question(id: &str, target: &str, lines: usize) -> Question {
    let body: Vec<String> = (0..lines).map(|n| format!("line {n}")).collect();
    Question {
        id: id.repeat(8),
        session: "s-1".to_owned(),
        agent: "coder".to_owned(),
        tool: "WebFetch".to_owned(),
        digest: Digest::of(target.as_bytes()),
        policy: Digest::of(b"policy"),
        quorum: 2,
        shown: json!({ "target": target, "effect": "irreversible", "arguments": { "body": body.join("\n") } }),
        asked_ms: 0,
        // Long past, so that no clock is in the picture.
        expires_ms: 0,
        state: QuestionState::Pending,
        until_ms: None,
        answers: Vec::new(),
        deferred: None,
        withdrawn: false,
    }
}

fn waits(board: &mut Board, questions: Vec<Question>) {
    let all = questions.len();
    board.waits(Waiting { questions, all });
}

fn drawn(board: &mut Board, width: usize, height: usize) -> String {
    let rows = board.drawn((height, width));
    assert_eq!(rows.len(), height);
    rows.iter().map(|row| row.iter().map(|(text, _)| &**text).collect::<String>() + "\n").collect()
}

fn press(board: &mut Board, keys: &str) -> Option<Act> {
    let mut last = None;
    for c in keys.chars() {
        last = board.key(match c {
            '\n' => Key::Enter,
            '\x1b' => Key::Escape,
            '>' => Key::Down,
            c => Key::Sign(c),
        });
    }
    last
}

#[test]
fn the_list_stands_left_and_the_question_right() {
    let mut board = Board::default();
    waits(
        &mut board,
        vec![
            question("1a", "https://x.example/", 1),
            question("2b", "https://p\u{430}ypal.com/\u{1b}[2J", 1),
        ],
    );
    press(&mut board, ">");
    let shown = drawn(&mut board, 120, 24);
    for part in [
        "2 wait",
        "1a1a1a1a 0 of 2",
        "[look-alike letters]",
        "| tool       WebFetch",
        "␛[2J",
        "careful: `p",
        "a yes, once",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn yes_takes_all_of_the_question_and_the_word() {
    let mut board = Board::default();
    waits(&mut board, vec![question("1a", "https://x.example/", 100)]);
    drawn(&mut board, 120, 24);
    assert!(press(&mut board, "ayes\n").is_none());
    let mut seen = drawn(&mut board, 120, 24);
    for _ in 0..20 {
        press(&mut board, " ");
        seen.push_str(&drawn(&mut board, 120, 24));
    }
    assert!((0..100).all(|n| seen.contains(&format!("| line {n} "))), "nothing is left out");
    assert!(press(&mut board, "a\n").is_none() && press(&mut board, "ano\n").is_none());
    let act = press(&mut board, "ayes\n");
    assert!(
        matches!(act, Some(Act::Answer(asked, Say::Yes { life: None, .. }, _)) if asked.id.starts_with("1a"))
    );
    let act = press(&mut board, "t30m\n");
    assert!(
        matches!(act, Some(Act::Answer(_, Say::Yes { life: Some(life), .. }, _)) if life.as_secs() == 1800)
    );
    assert!(press(&mut board, "tsoon\n").is_none());
    let act = press(&mut board, "dnot today\n");
    assert!(matches!(act, Some(Act::Answer(_, Say::No, reason)) if reason == "not today"));
    assert!(press(&mut board, "d\x1b").is_none(), "Esc leaves the line, not the screen");
    assert!(matches!(press(&mut board, "q"), Some(Act::Leave)));
}

#[test]
fn what_comes_or_goes_does_not_move_the_answer_to_another_question() {
    let mut board = Board::default();
    waits(&mut board, vec![question("1a", "one", 1)]);
    drawn(&mut board, 120, 30);
    press(&mut board, "aye");
    waits(&mut board, vec![question("0c", "new and first", 1), question("1a", "one", 1)]);
    drawn(&mut board, 120, 30);
    let act = press(&mut board, "s\n");
    assert!(matches!(act, Some(Act::Answer(asked, ..)) if asked.id.starts_with("1a")));
    press(&mut board, "aye");
    waits(&mut board, vec![question("0c", "new and first", 1)]);
    assert!(press(&mut board, "s\n").is_none(), "settled elsewhere: what is typed is for nobody");
}

#[test]
fn any_size_is_drawn_and_a_tiny_one_takes_no_yes() {
    for (width, height) in [(0, 0), (1, 1), (10, 3), (40, 8), (300, 100)] {
        let mut board = Board::default();
        drawn(&mut board, width, height);
        waits(&mut board, vec![question("1a", "https://x.example/", 1)]);
        drawn(&mut board, width, height);
        assert_eq!(press(&mut board, "ayes\n").is_some(), width == 300, "{width}x{height}");
    }
}

#[test]
fn of_many_the_first_can_be_chosen_from_and_all_are_counted() {
    let mut board = Board::default();
    board.waits(Waiting { questions: vec![question("1a", "one", 1)], all: 10_000 });
    assert!(drawn(&mut board, 120, 30).contains("10000 wait"));
}
