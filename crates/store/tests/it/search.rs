//! Is what is searched found, newest first, whole, and from where the last search stopped?
use bartizan_store::{Activity, Durability, Entry, Event, Filter, Ledger as _, Store};
use serde_json::json;
use std::time::Duration;

fn filled() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("state")).unwrap();
    for number in 0..60 {
        let (tool, verdict) =
            (["Read", "Bash", "net.connect"][number % 3], ["allow", "deny"][number % 2]);
        let mut entry = Entry::new(Event::Call).session(["s-1", "s-2"][number / 30]);
        entry = entry.with("tool", tool).with("verdict", verdict).with("agent", "main");
        // Arguments may hold what looks like a field of the record's own.
        entry = entry.with("arguments", json!({ "tool": "Bash", "host": "a.example" }));
        if tool == "net.connect" {
            entry = entry.with("host", "b.example:443");
        }
        let _receipt = store.append(entry, Durability::Durable).unwrap();
    }
    (dir, store)
}

fn places(store: &Store, filter: &Filter, limit: usize, patience: Duration) -> Vec<Vec<u64>> {
    let (mut filter, mut pages) = (filter.clone(), Vec::new());
    loop {
        let found = store.reader().search(&filter, limit, patience).unwrap();
        pages.push(found.records.iter().map(|record| record.seq).collect());
        let Some(rest) = found.rest else { return pages };
        filter.before_seq = Some(rest);
    }
}

#[test]
fn a_field_is_the_records_own_and_not_one_of_its_arguments() {
    let (_dir, store) = filled();
    let some = |text: &str| Some(text.to_owned());
    let count = |filter: Filter| places(&store, &filter, 100, LONG).concat().len();
    assert_eq!(count(Filter { tool: some("Bash"), ..Filter::default() }), 20);
    assert_eq!(count(Filter { host: some("a.example"), ..Filter::default() }), 0);
    assert_eq!(count(Filter { host: some("b.example:443"), ..Filter::default() }), 20);
    assert_eq!(
        count(Filter { tool: some("Bash"), verdict: some("deny"), ..Filter::default() }),
        10
    );
    assert_eq!(
        count(Filter { agent: some("main"), session: some("s-2"), ..Filter::default() }),
        30
    );
    for odd in ["", "\"", "%", "Bash\"", "' OR 1=1 --", "Bas", "bash"] {
        assert_eq!(count(Filter { tool: some(odd), ..Filter::default() }), 0, "{odd}");
    }
}

#[test]
fn pages_follow_each_other_without_a_gap_or_a_doublet() {
    let (_dir, store) = filled();
    let all = Filter::default();
    let whole: Vec<u64> = (0..60).rev().collect();
    for limit in [1, 7, 30, 59, 60, 61] {
        let pages = places(&store, &all, limit, LONG);
        assert_eq!(pages.concat(), whole, "{limit}");
        assert!(pages.iter().all(|page| page.len() <= limit));
    }
    let deny = Filter { verdict: Some("deny".to_owned()), ..Filter::default() };
    let odd: Vec<u64> = whole.iter().copied().filter(|seq| seq % 2 == 1).collect();
    assert_eq!(places(&store, &deny, 7, LONG).concat(), odd);
    let part = Filter { from_seq: Some(10), before_seq: Some(13), ..Filter::default() };
    assert_eq!(places(&store, &part, 2, LONG), [vec![12, 11], vec![10]]);
    // Without any patience it still goes on by steps, and comes to its end.
    assert_eq!(places(&store, &all, 100, Duration::ZERO).concat(), whole);
}

#[test]
fn what_was_made_asked_and_denied_is_counted_in_its_stretch_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("state")).unwrap();
    for (event, verdict) in [
        (Event::Call, "allow"),
        (Event::Call, "approved"),
        (Event::Refusal, "ask"),
        (Event::Refusal, "deny"),
        (Event::Pending, ""),
        (Event::Outcome, "deny"),
    ] {
        let entry = Entry::new(event).session("s-1").with("verdict", verdict);
        let _receipt = store.append(entry, Durability::Durable).unwrap();
    }
    let first = store.reader().page(&Filter::default(), 1).unwrap().remove(0);
    let since = first.value()["time_ms"].as_u64().unwrap();
    let hour = 3_600_000;
    let counted = store.reader().activity(since.saturating_sub(hour + hour / 2), hour, 3).unwrap();
    let whole = Activity { made: 2, asked: 1, denied: 1 };
    assert_eq!(counted, [Activity::default(), whole, Activity::default()]);
    assert_eq!(
        store.reader().activity(since.saturating_add(2 * hour), 0, 1).unwrap(),
        [Activity::default()]
    );
}

#[test]
fn an_age_that_fits_nothing_is_answered_at_once_and_a_clock_set_back_hides_nothing() {
    let (dir, store) = filled();
    let (first, last) = {
        let all = store.reader().page(&Filter::default(), 60).unwrap();
        let time = |at: usize| all[at].value()["time_ms"].as_u64().unwrap();
        (time(0), time(59))
    };
    let since = |since_ms: u64| Filter { since_ms: Some(since_ms), ..Filter::default() };
    let none = store.reader().search(&since(last + 1), 9, Duration::ZERO).unwrap();
    assert_eq!((none.records.len(), none.rest), (0, None), "without any patience it is certain");
    assert_eq!(store.reader().first_since(last + 1).unwrap(), None);
    assert!(store.reader().page(&since(last + 1), 9).unwrap().is_empty());
    assert_eq!(places(&store, &since(first), 100, LONG).concat().len(), 60);
    drop(store);
    // As the columns stand where the clock went back by an hour after the tenth record.
    let sql = format!(
        "UPDATE records SET time_ms = {last} - 3600000 WHERE seq >= 10; UPDATE records SET time_ms = {last} + 5 WHERE seq IN (4, 7, 30)"
    );
    crate::util::tamper(&dir.path().join("state"), &sql);
    let store = Store::open(&dir.path().join("state")).unwrap();
    assert_eq!(store.reader().first_since(last + 5).unwrap(), Some(4));
    assert_eq!(places(&store, &since(last + 5), 2, LONG), [vec![30, 7], vec![4]]);
    let mut seen = Vec::new();
    let each = store.reader().each(&since(last + 5), |record| {
        seen.push(record.seq);
        std::ops::ControlFlow::Continue(())
    });
    each.unwrap();
    assert_eq!(seen, [4, 7, 30]);
    let tail = store.reader().tail(&since(last + 5), 2).unwrap();
    assert_eq!(tail.iter().map(|record| record.seq).collect::<Vec<_>>(), [7, 30]);
}

const LONG: Duration = Duration::from_hours(1);
