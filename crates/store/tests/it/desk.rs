//! Is an approval good for exactly one call, in time, from enough different people?
use crate::util::{again, assert_whole, role, state};
use bartizan_store::{
    Answer, ApprovalKey, Desk as _, Digest, Ending, Event, Filter, NewQuestion, NewSession,
    Question, QuestionFilter, QuestionState, Sessions as _, Store, StoreError, Verdict,
};
use serde_json::json;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn open() -> (TempDir, Store) {
    let dir = state();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn new(call: &str) -> NewQuestion {
    NewQuestion {
        session: "s-1".to_owned(),
        agent: "build".to_owned(),
        tool: "Bash".to_owned(),
        digest: Digest::of(call.as_bytes()),
        policy: Digest::of(b"policy 1"),
        quorum: 1,
        shown: json!({ "command": call, "cost": 0.25 }),
        expires_in: Duration::from_mins(10),
    }
}

fn key(call: &str) -> ApprovalKey {
    let NewQuestion { session, digest, policy, .. } = new(call);
    ApprovalKey { session, digest, policy }
}

fn by(approver: &str, verdict: Verdict) -> Answer {
    Answer { approver: approver.to_owned(), verdict, reason: "because".to_owned() }
}

fn yes(store: &Store, question: &Question, approver: &str) -> Question {
    store.answer(&question.id, by(approver, Verdict::Approve)).unwrap()
}

#[test]
fn an_approval_is_given_used_once_and_on_the_log() {
    let (dir, store) = open();
    let question = store.ask(new("rm")).unwrap();
    assert_eq!((question.state, &question.shown), (QuestionState::Pending, &new("rm").shown));
    assert!(matches!(
        store.consume(&key("rm")),
        Err(StoreError::NotApproved { given: 0, quorum: 1 })
    ));
    assert_eq!(yes(&store, &question, "anna").state, QuestionState::Approved);
    let given = store.given(&key("rm")).unwrap();
    assert_eq!((given.approvers.as_slice(), given.denied), (["anna".to_owned()].as_slice(), None));
    let consumed = store.consume(&key("rm")).unwrap();
    assert_eq!(
        (consumed.question(), consumed.approvers()),
        (question.id.as_str(), &["anna".to_owned()][..])
    );
    assert_eq!(consumed.key(), &key("rm"));
    assert!(matches!(store.consume(&key("rm")), Err(StoreError::NotApproved { .. })));
    assert_eq!(store.given(&key("rm")).unwrap(), bartizan_store::Given::default());
    assert!(matches!(
        store.answer(&question.id, by("bob", Verdict::Deny)),
        Err(StoreError::Used { .. })
    ));
    assert_eq!(store.question(&question.id).unwrap().state, QuestionState::Used);
    let acts: Vec<_> = store
        .reader()
        .page(&Filter::default(), 10)
        .unwrap()
        .iter()
        .map(bartizan_store::Record::value)
        .collect();
    assert_eq!(acts[0]["event"], Event::Pending.as_str());
    assert_eq!((&acts[1]["act"], &acts[1]["approver"]), (&json!("approve"), &json!("anna")));
    assert_eq!((&acts[2]["act"], &acts[2]["approvers"]), (&json!("use"), &json!(["anna"])));
    assert_eq!(acts[2]["digest"], key("rm").digest.to_string());
    assert_eq!(acts.len(), 3);
    assert_whole(dir.path());
}

#[test]
fn an_approval_is_good_for_no_other_call_policy_or_session() {
    let (_dir, store) = open();
    yes(&store, &store.ask(new("rm a")).unwrap(), "anna");
    let others = [
        key("rm b"),
        ApprovalKey { policy: Digest::of(b"policy 2"), ..key("rm a") },
        ApprovalKey { session: "s-2".to_owned(), ..key("rm a") },
    ];
    for other in others {
        assert_eq!(store.given(&other).unwrap().question, None);
        assert!(matches!(store.consume(&other), Err(StoreError::NotApproved { .. })));
    }
    assert!(store.consume(&key("rm a")).is_ok());
}

#[test]
fn asking_again_gives_the_same_question_until_it_is_used() {
    let (_dir, store) = open();
    let first = store.ask(new("rm")).unwrap();
    assert_eq!(store.ask(new("rm")).unwrap(), first);
    yes(&store, &first, "anna");
    assert_eq!(store.ask(new("rm")).unwrap().id, first.id);
    let _used = store.consume(&key("rm")).unwrap();
    let second = store.ask(new("rm")).unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(second.state, QuestionState::Pending);
    assert_eq!(store.questions(&QuestionFilter::default()).unwrap().len(), 2);
}

#[test]
fn a_quorum_takes_different_people_and_asking_for_fewer_later_does_not_lower_it() {
    let (_dir, store) = open();
    let question = store.ask(NewQuestion { quorum: 2, ..new("rm") }).unwrap();
    assert_eq!(yes(&store, &question, "anna").state, QuestionState::Pending);
    let again = store.answer(&question.id, by("anna", Verdict::Approve));
    assert!(matches!(again, Err(StoreError::AnsweredAlready { .. })), "{again:?}");
    assert_eq!(store.ask(NewQuestion { quorum: 1, ..new("rm") }).unwrap().quorum, 2);
    assert!(matches!(
        store.consume(&key("rm")),
        Err(StoreError::NotApproved { given: 1, quorum: 2 })
    ));
    assert_eq!(yes(&store, &question, "bob").state, QuestionState::Approved);
    assert_eq!(
        store.ask(NewQuestion { quorum: 3, ..new("rm") }).unwrap().state,
        QuestionState::Pending
    );
    assert!(matches!(
        store.consume(&key("rm")),
        Err(StoreError::NotApproved { given: 2, quorum: 3 })
    ));
}

#[test]
fn one_no_denies_even_after_a_yes_and_stays_for_who_asks_again() {
    let (_dir, store) = open();
    let question = store.ask(new("rm")).unwrap();
    yes(&store, &question, "anna");
    let denied = store.answer(&question.id, by("bob", Verdict::Deny)).unwrap();
    assert_eq!(denied.state, QuestionState::Denied);
    assert!(matches!(store.consume(&key("rm")), Err(StoreError::Denied { .. })));
    assert_eq!(store.given(&key("rm")).unwrap().denied.as_deref(), Some("because"));
    assert_eq!(store.ask(new("rm")).unwrap().state, QuestionState::Denied);
    let late = store.answer(&question.id, by("carl", Verdict::Approve));
    assert!(matches!(late, Err(StoreError::Denied { .. })), "{late:?}");
}

#[test]
fn an_expired_question_takes_no_answer_and_gives_no_approval() {
    let (_dir, store) = open();
    let short = |call| NewQuestion { expires_in: Duration::from_millis(40), ..new(call) };
    let (approved, pending) = (store.ask(new("a")).unwrap(), store.ask(short("b")).unwrap());
    // An approved one, put back in time: what a test cannot do by waiting without racing its own answer.
    yes(&store, &approved, "anna");
    crate::util::tamper(
        store.dir(),
        "UPDATE questions SET expires_ms = asked_ms + 1 WHERE used_ms IS NULL",
    );
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.question(&pending.id).unwrap().state != QuestionState::Expired {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    for question in [&approved, &pending] {
        let late = store.answer(&question.id, by("bob", Verdict::Approve));
        assert!(matches!(late, Err(StoreError::Expired { .. })), "{late:?}");
    }
    assert_eq!(store.given(&key("a")).unwrap().question, None);
    assert!(matches!(store.consume(&key("a")), Err(StoreError::NotApproved { .. })));
    assert_ne!(store.ask(new("a")).unwrap().id, approved.id);
}

#[test]
fn a_clock_that_was_set_back_gives_no_more_time() {
    let (_dir, store) = open();
    yes(&store, &store.ask(new("rm")).unwrap(), "anna");
    // As if asked an hour from now.
    crate::util::tamper(
        store.dir(),
        "UPDATE questions SET asked_ms = asked_ms + 3600000, expires_ms = expires_ms + 3600000",
    );
    assert!(matches!(store.consume(&key("rm")), Err(StoreError::NotApproved { .. })));
}

/// What a clock does that is set back after a question was put: its times by the calendar lie further ahead.
const SET_BACK: &str =
    "UPDATE questions SET asked_ms = asked_ms - 1, expires_ms = expires_ms + 3600000;
    UPDATE standing SET until_ms = until_ms + 3600000";

#[test]
fn a_clock_set_back_while_a_question_or_an_approval_lives_lengthens_neither() {
    let (_dir, store) = open();
    let short = |call| NewQuestion { expires_in: Duration::from_millis(300), ..new(call) };
    let (asked, approved) = (store.ask(short("a")).unwrap(), store.ask(short("b")).unwrap());
    let standing = store.ask(new("c")).unwrap();
    store.approve_for(&standing.id, "anna", "", Duration::from_millis(300)).unwrap();
    yes(&store, &approved, "anna");
    let long = store.ask(new("d")).unwrap();
    yes(&store, &long, "anna");
    crate::util::tamper(store.dir(), SET_BACK);
    std::thread::sleep(Duration::from_millis(310));
    for question in [&asked, &approved, &standing] {
        assert_eq!(store.question(&question.id).unwrap().state, QuestionState::Expired);
        let late = store.answer(&question.id, by("bob", Verdict::Approve));
        assert!(matches!(late, Err(StoreError::Expired { .. })), "{late:?}");
    }
    for call in ["a", "b", "c"] {
        assert!(matches!(store.consume(&key(call)), Err(StoreError::NotApproved { .. })));
    }
    assert!(store.consume(&key("d")).is_ok(), "its twin, whose time is not over");
}

#[test]
fn what_was_withdrawn_comes_back_with_no_clock() {
    let (_dir, store) = open();
    let question = store.ask(new("rm")).unwrap();
    store.withdraw(&question.id).unwrap();
    // As after the next boot, with a clock that runs behind.
    crate::util::tamper(store.dir(), SET_BACK);
    let late = store.answer(&question.id, by("anna", Verdict::Approve));
    assert!(matches!(late, Err(StoreError::Withdrawn { .. })), "{late:?}");
    assert_ne!(store.ask(new("rm")).unwrap().id, question.id, "asked again it is another");
}

#[test]
fn a_flood_of_questions_is_stopped_and_leaves_other_sessions_alone() {
    let (_dir, store) = open();
    let asked = (0..40).map(|n| store.ask(new(&n.to_string()))).collect::<Vec<_>>();
    assert!(asked[..32].iter().all(Result::is_ok));
    for refused in &asked[32..] {
        assert!(matches!(refused, Err(StoreError::TooManyPending { cap: 32, .. })), "{refused:?}");
    }
    assert!(store.ask(new("7")).is_ok(), "one that is there already is no more than it was");
    assert!(store.ask(NewQuestion { session: "s-2".to_owned(), ..new("x") }).is_ok());
    let first = asked[0].as_ref().unwrap();
    store.answer(&first.id, by("anna", Verdict::Deny)).unwrap();
    assert!(store.ask(new("room again")).is_ok());
}

#[test]
fn of_many_who_use_an_approval_exactly_one_gets_it() {
    let (_dir, store) = open();
    for round in 0..10 {
        let call = format!("rm {round}");
        yes(&store, &store.ask(new(&call)).unwrap(), "anna");
        let other = Store::open(store.dir()).unwrap();
        let got = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n| {
                    let store = if n % 2 == 0 { &store } else { &other };
                    let key = key(&call);
                    scope.spawn(move || store.consume(&key).is_ok())
                })
                .collect();
            threads
                .into_iter()
                .filter(|_| true)
                .map(|thread| thread.join().unwrap())
                .filter(|got| *got)
                .count()
        });
        assert_eq!(got, 1, "round {round}");
    }
}

#[test]
fn of_two_processes_exactly_one_uses_an_approval() {
    if let Some(dir) = role() {
        let store = Store::open(&dir).unwrap();
        let got = (0..20).filter(|n| store.consume(&key(&n.to_string())).is_ok()).count();
        println!("\ngot {got}");
        return;
    }
    let (dir, store) = open();
    for n in 0..20 {
        yes(&store, &store.ask(new(&n.to_string())).unwrap(), "anna");
    }
    let run = || {
        let name = "desk::of_two_processes_exactly_one_uses_an_approval";
        again(name, dir.path()).stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let children = [run(), run()];
    let got = children.map(|child| {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find_map(|line| line.strip_prefix("got ")?.parse::<u32>().ok()).unwrap()
    });
    assert_eq!(got[0] + got[1], 20, "{got:?}");
    assert_whole(dir.path());
}

#[test]
fn what_cannot_be_a_question_or_an_answer_is_refused() {
    let (_dir, store) = open();
    let bad = [
        NewQuestion { quorum: 0, ..new("a") },
        NewQuestion { quorum: 17, ..new("a") },
        NewQuestion { expires_in: Duration::ZERO, ..new("a") },
        NewQuestion { expires_in: Duration::MAX, ..new("a") },
        NewQuestion { session: String::new(), ..new("a") },
        NewQuestion { tool: "a\u{1b}[2J".to_owned(), ..new("a") },
        NewQuestion { shown: json!("x".repeat(300_000)), ..new("a") },
    ];
    for question in bad {
        assert!(matches!(store.ask(question), Err(StoreError::Invalid { .. })));
    }
    let question = store.ask(new("a")).unwrap();
    let long = Answer { reason: "x".repeat(3000), ..by("anna", Verdict::Approve) };
    for answer in [by("", Verdict::Approve), by("a\nb", Verdict::Approve), long] {
        assert!(matches!(store.answer(&question.id, answer), Err(StoreError::Invalid { .. })));
    }
    assert_eq!(store.reader().size().unwrap(), 1);
}

#[test]
fn a_beginning_of_an_id_answers_the_one_question_and_never_one_of_two() {
    let (_dir, store) = open();
    let ids: Vec<String> = (0..20).map(|n| store.ask(new(&n.to_string())).unwrap().id).collect();
    // Of 20 ids two begin with the same digit, since there are 16.
    let shared = (0..16)
        .map(|digit| format!("{digit:x}"))
        .find(|digit| ids.iter().filter(|id| id.starts_with(digit.as_str())).count() > 1)
        .unwrap();
    let refused = store.answer(&shared, by("anna", Verdict::Approve));
    assert!(matches!(refused, Err(StoreError::Ambiguous { .. })), "{refused:?}");
    for bad in ["", "%", "g", "' OR 1=1", "0123456789abcdef0"] {
        assert!(matches!(store.question(bad), Err(StoreError::NotFound { .. })), "{bad}");
    }
    assert_eq!(store.question(&ids[3][..15]).unwrap().id, ids[3]);
    assert_eq!(store.question(&ids[3].to_uppercase()).unwrap().id, ids[3]);
}

#[test]
fn the_filter_finds_questions_by_session_and_state() {
    let (_dir, store) = open();
    let first = store.ask(new("a")).unwrap();
    store.ask(NewQuestion { session: "s-2".to_owned(), ..new("b") }).unwrap();
    yes(&store, &first, "anna");
    let count = |session: Option<&str>, state| {
        let session = session.map(str::to_owned);
        let filter = QuestionFilter { session, state, ..QuestionFilter::default() };
        store.questions(&filter).unwrap().len()
    };
    assert_eq!(count(None, None), 2);
    assert_eq!(count(Some("s-2"), None), 1);
    assert_eq!(count(None, Some(QuestionState::Approved)), 1);
    assert_eq!(count(Some("s-2"), Some(QuestionState::Approved)), 0);
    assert_eq!(count(Some("s-3"), None), 0);
}

#[test]
fn an_endorsement_is_of_its_session_and_of_whoever_approved() {
    let (dir, store) = open();
    let question = store.ask(new("mail")).unwrap();
    let key = Digest::of(b"value");
    assert!(store.endorse(&question.id, "anna", &[key]).is_err(), "nobody has approved yet");
    yes(&store, &question, "anna");
    assert!(store.endorse(&question.id, "ben", &[key]).is_err(), "somebody else's approval");
    assert!(store.endorse(&question.id, "anna", &[]).is_err());
    store.endorse(&question.id, "anna", &[key]).unwrap();
    store.endorse(&question.id, "anna", &[key]).unwrap();
    let endorsed = store.endorsed("s-1").unwrap();
    assert_eq!(endorsed.len(), 1);
    assert_eq!((endorsed[0].key, &*endorsed[0].approver), (key, "anna"));
    assert!(store.endorsed("s-2").unwrap().is_empty());
    drop(store);
    assert_whole(dir.path());
}

#[test]
fn a_yes_for_a_time_is_for_that_call_alone_and_is_taken_back_at_once() {
    let (dir, store) = open();
    let question = store.ask(new("rm")).unwrap();
    let hour = Duration::from_hours(1);
    for bad in [Duration::ZERO, Duration::from_hours(25)] {
        assert!(store.approve_for(&question.id, "anna", "", bad).is_err());
    }
    let approved = store.approve_for(&question.id, "anna", "", hour).unwrap();
    assert_eq!(approved.state, QuestionState::Approved);
    assert_eq!(Some(approved.expires_ms), approved.until_ms, "it lives as long as it stands");
    for _ in 0..3 {
        let _used = store.consume(&key("rm")).unwrap();
    }
    assert_eq!(store.standing().unwrap(), [store.question(&question.id).unwrap()]);
    for other in [
        key("rm -r"),
        ApprovalKey { policy: Digest::of(b"policy 2"), ..key("rm") },
        ApprovalKey { session: "s-2".to_owned(), ..key("rm") },
    ] {
        assert!(matches!(store.consume(&other), Err(StoreError::NotApproved { .. })));
    }
    assert!(matches!(
        store.answer(&question.id, by("anna", Verdict::Approve)),
        Err(StoreError::AnsweredAlready { .. })
    ));
    let denied = store.answer(&question.id, by("anna", Verdict::Deny)).unwrap();
    assert_eq!(denied.state, QuestionState::Denied);
    assert!(matches!(store.consume(&key("rm")), Err(StoreError::Denied { .. })));
    assert_eq!(store.standing().unwrap(), []);
    assert_whole(dir.path());
}

#[test]
fn a_yes_for_a_time_needs_everyone_to_say_so_and_the_shortest_counts() {
    let (_dir, store) = open();
    let two = |call| store.ask(NewQuestion { quorum: 2, ..new(call) }).unwrap();
    let mixed = two("mixed");
    store.approve_for(&mixed.id, "anna", "", Duration::from_hours(1)).unwrap();
    assert!(matches!(store.consume(&key("mixed")), Err(StoreError::NotApproved { .. })));
    assert_eq!(yes(&store, &mixed, "bob").until_ms, None, "bob said once");
    let _used = store.consume(&key("mixed")).unwrap();
    assert!(store.consume(&key("mixed")).is_err());
    let timed = two("timed");
    let long = store.approve_for(&timed.id, "anna", "", Duration::from_hours(2)).unwrap();
    let both = store.approve_for(&timed.id, "bob", "", Duration::from_hours(1)).unwrap();
    assert!(both.until_ms.unwrap() < long.until_ms.unwrap(), "{both:?}");
    let _used = store.consume(&key("timed")).unwrap();
    assert!(store.consume(&key("timed")).is_ok());
}

#[test]
fn a_yes_for_a_time_ends_with_it() {
    let (_dir, store) = open();
    let question = store.ask(new("rm")).unwrap();
    store.approve_for(&question.id, "anna", "", Duration::from_millis(1)).unwrap();
    let patience = Instant::now() + Duration::from_mins(1);
    while store.question(&question.id).unwrap().state != QuestionState::Expired {
        assert!(Instant::now() < patience);
        std::thread::yield_now();
    }
    assert!(matches!(store.consume(&key("rm")), Err(StoreError::NotApproved { .. })));
}

#[test]
fn what_a_session_asked_ends_with_it_and_what_others_ask_does_not() {
    let (dir, store) = open();
    let session = NewSession {
        id: "s-1".to_owned(),
        agent: "build".to_owned(),
        workspace: "/w".to_owned(),
        argv: vec!["true".to_owned()],
        facts: serde_json::Map::new(),
    };
    let session = store.begin(session).unwrap();
    let [open, approved, standing, used] =
        ["open", "approved", "standing", "used"].map(|call| store.ask(new(call)).unwrap());
    let other = store.ask(NewQuestion { session: "s-2".to_owned(), ..new("open") }).unwrap();
    yes(&store, &approved, "anna");
    store.approve_for(&standing.id, "anna", "", Duration::from_hours(1)).unwrap();
    yes(&store, &used, "anna");
    assert!(store.consume(&key("used")).is_ok());
    store.end(&session.id, Ending::default()).unwrap();
    for question in [&open, &approved, &standing] {
        assert_eq!(store.question(&question.id).unwrap().state, QuestionState::Expired);
        let late = store.answer(&question.id, by("ben", Verdict::Approve));
        assert!(matches!(late, Err(StoreError::Withdrawn { .. })), "{late:?}");
    }
    assert!(store.consume(&key("approved")).is_err() && store.consume(&key("standing")).is_err());
    assert!(store.standing().unwrap().is_empty());
    assert_eq!(store.question(&used.id).unwrap().state, QuestionState::Used);
    assert_eq!(store.question(&other.id).unwrap().state, QuestionState::Pending);
    let records = store.reader().page(&Filter::default(), 30).unwrap();
    let told: Vec<_> = records
        .iter()
        .map(bartizan_store::Record::value)
        .filter(|record| record["act"] == "withdraw" || record["event"] == "session_end")
        .map(|record| record["question"].clone())
        .collect();
    let ids = [&open.id, &approved.id, &standing.id].map(|id| json!(id));
    assert_eq!(told, [ids.to_vec(), vec![json!(null)]].concat(), "and the end comes last");
    assert_whole(dir.path());
}

#[test]
fn a_question_that_was_withdrawn_takes_no_answer_and_the_same_call_is_another() {
    let (dir, store) = open();
    let question = store.ask(new("rm")).unwrap();
    assert_eq!(store.withdraw(&question.id[..8]).unwrap().state, QuestionState::Expired);
    let late = store.answer(&question.id, by("anna", Verdict::Approve));
    assert!(matches!(late, Err(StoreError::Withdrawn { .. })), "{late:?}");
    assert!(matches!(store.consume(&key("rm")), Err(StoreError::NotApproved { .. })));
    let again = store.ask(new("rm")).unwrap();
    assert_ne!(again.id, question.id);
    assert_eq!(again.state, QuestionState::Pending);
    // An answer that was given stays: a person's word is not the asker's to take back.
    yes(&store, &again, "anna");
    assert_eq!(store.withdraw(&again.id).unwrap().state, QuestionState::Approved);
    let records = store.reader().page(&Filter::default(), 10).unwrap();
    let withdrawn: Vec<_> =
        records.iter().filter(|record| record.value()["act"] == "withdraw").collect();
    assert_eq!(withdrawn.len(), 1);
    assert_eq!(withdrawn[0].value()["question"], question.id);
    assert_whole(dir.path());
}
