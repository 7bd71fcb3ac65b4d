//! Do those who wait come in a fair order, a page at a time, and only while they wait?
use crate::util::state;
use bartizan_store::{
    Answer, Desk as _, Digest, NewQuestion, Question, QuestionFilter, QuestionState, Store,
    StoreError, Verdict,
};
use serde_json::json;
use std::time::Duration;

fn ask(store: &Store, session: &str, call: &str, effect: &str) -> Question {
    let new = NewQuestion {
        session: session.to_owned(),
        agent: "coder".to_owned(),
        tool: if call == "resume" { "run.resume" } else { "WebFetch" }.to_owned(),
        digest: Digest::of(call.as_bytes()),
        policy: Digest::of(b"policy"),
        quorum: 2,
        shown: json!({ "effect": effect }),
        expires_in: Duration::from_hours(1),
    };
    store.ask(new).unwrap()
}

fn says(store: &Store, question: &Question, who: &str, verdict: Verdict) {
    let answer = Answer { approver: who.to_owned(), verdict, reason: String::new() };
    store.answer(&question.id, answer).unwrap();
}

/// The ids of one page, and how many wait in all.
fn page(store: &Store, from: usize, limit: usize) -> (Vec<String>, usize) {
    let page = store.waiting(from, limit).unwrap();
    (page.questions.into_iter().map(|question| question.id).collect(), page.all)
}

#[test]
fn a_flood_stands_behind_and_the_irreversible_before_the_rest() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    let flood: Vec<Question> =
        (0..5).map(|n| ask(&store, "a-flood", &n.to_string(), "read")).collect();
    let undone = ask(&store, "a-flood", "delete", "irreversible");
    let quiet = ask(&store, "quiet", "one", "read");
    let (ids, all) = page(&store, 0, 100);
    let mut expected = vec![quiet.id.clone(), undone.id.clone()];
    let mut rest: Vec<&Question> = flood.iter().collect();
    rest.sort_by_key(|question| (question.asked_ms, question.id.clone()));
    expected.extend(rest.iter().map(|question| question.id.clone()));
    assert_eq!((&ids, all), (&expected, 7));
    let paged: Vec<String> = (0..7).step_by(3).flat_map(|from| page(&store, from, 3).0).collect();
    assert_eq!(paged, expected);
    assert_eq!(page(&store, 7, 3), (Vec::new(), 7));
}

#[test]
fn what_is_settled_waits_no_more() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    let [denied, approved, half, lapsed, withdrawn] =
        ["denied", "approved", "half", "lapsed", "withdrawn"]
            .map(|call| ask(&store, "s", call, "write"));
    says(&store, &denied, "anna", Verdict::Deny);
    says(&store, &approved, "anna", Verdict::Approve);
    says(&store, &approved, "ben", Verdict::Approve);
    says(&store, &half, "anna", Verdict::Approve);
    store.withdraw(&withdrawn.id).unwrap();
    store.approve_for(&lapsed.id, "anna", "", Duration::from_millis(1)).unwrap();
    while store.question(&lapsed.id).unwrap().state != QuestionState::Expired {
        std::thread::yield_now();
    }
    let [lapsed, withdrawn] = [lapsed, withdrawn].map(|asked| store.question(&asked.id).unwrap());
    assert_eq!((lapsed.withdrawn, lapsed.state), (false, QuestionState::Expired));
    assert_eq!((withdrawn.withdrawn, withdrawn.state), (true, QuestionState::Expired));
    let late =
        Answer { approver: "anna".to_owned(), verdict: Verdict::Approve, reason: String::new() };
    let refused = store.answer(&withdrawn.id, late);
    assert!(matches!(refused, Err(StoreError::Withdrawn { .. })), "{refused:?}");
    assert_eq!(page(&store, 0, 9), (vec![half.id.clone()], 1));
    says(&store, &half, "ben", Verdict::Approve);
    assert_eq!(page(&store, 0, 9), (Vec::new(), 0));
}

#[test]
fn questions_are_found_by_their_tool() {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    ask(&store, "s", "one", "read");
    let resume = ask(&store, "s", "resume", "write");
    for state in [None, Some(QuestionState::Pending)] {
        let tool = Some("run.resume".to_owned());
        let found = store.questions(&QuestionFilter { tool, state, ..QuestionFilter::default() });
        let ids: Vec<String> = found.unwrap().into_iter().map(|question| question.id).collect();
        assert_eq!(ids, std::slice::from_ref(&resume.id));
    }
}

#[test]
fn the_open_ones_are_found_by_an_index() {
    let dir = state();
    drop(Store::open(dir.path()).unwrap());
    let db = rusqlite::Connection::open(crate::util::database(dir.path())).unwrap();
    let plan = |sql: &str| {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
        lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    };
    let open = plan("SELECT count(*) FROM questions WHERE used_ms IS NULL AND expires_ms > 5");
    assert!(open.contains("COVERING INDEX questions_open"), "{open}");
    let young =
        plan("SELECT min(seq), count(*) FROM (SELECT seq FROM records WHERE time_ms >= 5 LIMIT 9)");
    assert!(young.contains("COVERING INDEX records_by_time"), "{young}");
}
