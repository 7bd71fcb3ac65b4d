use super::*;
use crate::desk::patience::Waiter;
use bartizan_store::{Answer, Digest, NewQuestion, Verdict};
use serde_json::json;
use tempfile::TempDir;

/// A run whose screen nobody sees.
struct Run {
    asks: Arc<Asks>,
    store: Store,
    asking: Option<JoinHandle<()>>,
    _state: TempDir,
}

impl Run {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let asks = Asks::new(store.clone(), "local:anna".to_owned(), "rituvabe".to_owned());
        let stage = Arc::new(Stage::new(Box::new(std::io::sink())));
        let asking = Some(asks.attend(stage, || {}));
        Self { asks, store, asking, _state: state }
    }

    fn question(&self, call: &str, quorum: u32, life: Duration) -> String {
        let new = NewQuestion {
            session: format!("s-{}", call.replace(' ', "-")),
            agent: "coder".to_owned(),
            tool: "WebFetch".to_owned(),
            digest: Digest::of(call.as_bytes()),
            policy: Digest::of(b"policy"),
            quorum,
            shown: json!({ "target": call }),
            expires_in: life,
        };
        self.store.ask(new).unwrap().id
    }

    fn says(&self, id: &str, approver: &str, verdict: Verdict) {
        let answer = Answer { approver: approver.to_owned(), verdict, reason: String::new() };
        self.store.answer(id, answer).unwrap();
    }

    /// A call that waits.
    fn call(&self, id: &str) -> JoinHandle<bool> {
        let (asks, id) = (Arc::clone(&self.asks), id.to_owned());
        std::thread::spawn(move || asks.answers(&id, &Patience::default()))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.asks.close();
        self.asking.take().unwrap().join().unwrap();
    }
}

/// Somebody who can wait no longer.
fn hasty(run: &Run) -> Waiter {
    Waiter::new(Some(Arc::clone(&run.asks) as Arc<dyn Ear>)).until(std::time::Instant::now())
}

#[test]
fn a_call_that_can_wait_no_longer_is_let_go_and_its_question_stays() {
    let run = Run::new();
    let id = run.question("slow", 1, HOUR);
    let patient = run.call(&id);
    let waiter = hasty(&run);
    assert!(!run.asks.answers(&id, &waiter.patience()));
    drop(waiter);
    assert_eq!(run.store.question(&id).unwrap().state, QuestionState::Pending);
    run.says(&id, "local:bob", Verdict::Approve);
    assert!(patient.join().unwrap(), "another one still waits for it");
}

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn a_call_waits_for_a_yes_or_a_no_and_for_nothing_that_expired() {
    let run = Run::new();
    for verdict in [Verdict::Approve, Verdict::Deny] {
        let id = run.question(verdict.as_str(), 1, HOUR);
        let call = run.call(&id);
        run.says(&id, "local:bob", verdict);
        assert!(call.join().unwrap(), "{verdict:?}: it is judged again");
    }
    let id = run.question("short", 1, Duration::from_secs(1));
    assert!(!run.call(&id).join().unwrap(), "nobody spoke in time");
}

#[test]
fn calls_of_one_question_wait_for_it_together() {
    let run = Run::new();
    let id = run.question("same", 1, HOUR);
    let calls: Vec<_> = (0..4).map(|_| run.call(&id)).collect();
    run.says(&id, "local:bob", Verdict::Approve);
    assert!(calls.into_iter().all(|call| call.join().unwrap()));
}

#[test]
fn no_more_calls_are_held_than_there_are_threads_for() {
    let run = Run::new();
    let ids: Vec<String> = (0..HELD_MAX).map(|n| run.question(&n.to_string(), 1, HOUR)).collect();
    let held: Vec<_> = ids.iter().map(|id| run.call(id)).collect();
    while run.asks.queue().held() < HELD_MAX {
        std::thread::yield_now();
    }
    let last = run.question("one too many", 1, HOUR);
    assert!(!run.asks.answers(&last, &Patience::default()));
    // The end of the run lets go of all of them, and none of them was answered.
    run.asks.close();
    assert!(held.into_iter().all(|call| !call.join().unwrap()));
    assert!(!run.asks.answers(&last, &Patience::default()), "nobody is asked after the end");
}

#[test]
fn a_question_that_nobody_waits_for_any_more_is_withdrawn_and_no_call_goes_on() {
    let run = Run::new();
    let id = run.question("given up", 1, HOUR);
    let held = |waiter: &Waiter| {
        let (asks, id, patience) = (Arc::clone(&run.asks), id.clone(), waiter.patience());
        std::thread::spawn(move || asks.answers(&id, &patience))
    };
    let waiter = || Waiter::new(Some(Arc::clone(&run.asks) as Arc<dyn Ear>));
    let (one, other) = (waiter(), waiter());
    let (first, second) = (held(&one), held(&other));
    while run.asks.queue().held() < 2 {
        std::thread::yield_now();
    }
    drop(one);
    assert!(!first.join().unwrap());
    let state = || run.store.question(&id).unwrap().state;
    assert_eq!(state(), QuestionState::Pending, "another call waits for the same");
    drop(other);
    assert!(!second.join().unwrap());
    assert_eq!(state(), QuestionState::Expired);
    let answer = Answer {
        approver: "local:bob".to_owned(),
        verdict: Verdict::Approve,
        reason: String::new(),
    };
    assert!(run.store.answer(&id, answer).is_err(), "a yes comes too late");
}
