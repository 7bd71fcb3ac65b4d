//! How long does a person wait for a page of the log, for the timeline of a long run, and for the questions that wait?
//!
//! The aim: with 5,000,000 records and 10,000 questions, 95 of 100 searches under 200 ms, the timeline of a run of 10,000
//! calls under 1 s. `BARTIZAN_BENCH_RECORDS` and `BARTIZAN_BENCH_QUESTIONS` say how many there are, where that takes too
//! long, and `BARTIZAN_BENCH_DIR` where the log is; one that is there already, of that many records or more, is taken as it is.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark may end by a panic, and prints what it measured"
)]
use bartizan_store::{
    Answer, Desk as _, Digest, Durability, Entry, Event, Filter, Ledger as _, NewQuestion, Store,
    Verdict,
};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Calls of one run in the middle of the log, each with its outcome.
const LONG_RUN: u64 = 10_000;
const RECORDS: u64 = 5_000_000;
const QUESTIONS: u64 = 10_000;
const ASKERS: u64 = 16;
const TURNS: u32 = 40;
/// As the console has them.
const PAGE: usize = 100;
const PATIENCE: Duration = Duration::from_millis(120);

/// About the 834 bytes of an average record in the measurements that set the aim; one in a thousand is a rare thing.
fn entry(number: u64, records: u64) -> Entry {
    let long = records / 2..records / 2 + 2 * LONG_RUN;
    let session =
        if long.contains(&number) { "long".to_owned() } else { format!("s-{}", number / 500) };
    let rare = number % 1000 == 7;
    let event = if number.is_multiple_of(2) { Event::Call } else { Event::Outcome };
    let entry = Entry::new(event).session(session).call(format!("c-{}", number / 2));
    let entry = entry
        .with("agent", if rare { "auditor".to_owned() } else { format!("coder-{}", number % 7) });
    let entry = entry.with(
        "tool",
        ["Read", "Bash", "net.connect", "WebFetch"][usize::try_from(number % 4).unwrap()],
    );
    let entry = entry.with("verdict", if rare { "deny" } else { "allow" });
    let entry = entry.with(
        "host",
        if rare { "evil.example:443".to_owned() } else { format!("h{}.example:443", number % 50) },
    );
    entry.with(
        "arguments",
        json!({ "command": format!("step {number}"), "padding": "x".repeat(350) }),
    )
}

fn fill(store: &Store, records: u64) {
    let begun = store.reader().size().unwrap();
    let started = Instant::now();
    for number in begun..records {
        let _receipt = store.append(entry(number, records), Durability::Soon).unwrap();
    }
    store.checkpoint().unwrap();
    if begun < records {
        let (count, time) = (records - begun, started.elapsed());
        let each = time.as_secs_f64() * 1e6 / f64::from(u32::try_from(count).unwrap());
        println!("{count} records appended in {:.1} s, {each:.1} us each", time.as_secs_f64());
    }
}

/// Puts questions from many sessions, since one can have only so many, until so many wait.
fn ask(store: &Store, questions: u64) {
    let wait = u64::try_from(store.waiting(0, 0).unwrap().all).unwrap();
    let run = store.reader().size().unwrap();
    // From several at once, so that one commit takes several.
    std::thread::scope(|scope| {
        for part in 0..ASKERS {
            let numbers = (wait..questions).filter(move |number| number % ASKERS == part);
            scope.spawn(move || numbers.for_each(|number| drop(ask_one(store, run, number))));
        }
    });
}

fn ask_one(store: &Store, run: u64, number: u64) -> String {
    let new = NewQuestion {
        session: format!("q-{run}-{}", number / 32),
        agent: "coder".to_owned(),
        tool: "WebFetch".to_owned(),
        digest: Digest::of(number.to_string().as_bytes()),
        policy: Digest::of(b"policy"),
        quorum: 1,
        shown: json!({ "target": format!("https://x.example/{number}"), "effect": "write" }),
        expires_in: Duration::from_hours(168),
    };
    store.ask(new).unwrap().id
}

/// What people do at the desk while so many wait.
fn decide(store: &Store) {
    let page = |from: usize| store.waiting(from, PAGE).unwrap();
    let all = page(0).all;
    measure("questions, first page", |_| page(0).questions.len());
    measure("questions, last page", |_| page(all.saturating_sub(PAGE)).questions.len());
    measure("questions, all of them", |_| store.waiting(0, usize::MAX).unwrap().questions.len());
    let run = store.reader().size().unwrap();
    measure("question put", |turn| ask_one(store, run, turn.into()).len().min(1));
    let mut waiting = page(0).questions.into_iter();
    measure("question answered", |_| {
        let approver = "local:anna".to_owned();
        let answer = Answer { approver, verdict: Verdict::Approve, reason: String::new() };
        store.answer(&waiting.next().unwrap().id, answer).unwrap().answers.len()
    });
}

/// Says how long the middle one and the slowest in twenty took.
fn measure(what: &str, mut work: impl FnMut(u32) -> usize) {
    let mut times = Vec::new();
    let mut found = 0;
    for turn in 0..TURNS {
        let started = Instant::now();
        found = work(turn);
        times.push(started.elapsed());
    }
    times.sort();
    let (middle, late) = (times[times.len() / 2], times[times.len() * 95 / 100]);
    println!("{what:<36} p50 {middle:>9.2?}  p95 {late:>9.2?}  {found} found");
}

fn search(store: &Store, what: &str, filter: &Filter) {
    measure(what, |_| store.reader().search(filter, PAGE, PATIENCE).unwrap().records.len());
}

fn main() {
    let records = number("BARTIZAN_BENCH_RECORDS").unwrap_or(RECORDS);
    let temporary = tempfile::Builder::new().prefix("bartizan-bench-").tempdir().unwrap();
    let dir = std::env::var_os("BARTIZAN_BENCH_DIR")
        .map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let store = Store::open(&dir.join("state")).unwrap();
    fill(&store, records);
    ask(&store, number("BARTIZAN_BENCH_QUESTIONS").unwrap_or(QUESTIONS));
    println!("{} records, {} MiB", store.reader().size().unwrap(), size(&dir.join("state")) >> 20);
    println!("load {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    measure("record appended, durable", |turn| {
        let entry = entry(records + u64::from(turn), records);
        usize::from(store.append(entry, Durability::Durable).unwrap().seq().is_some())
    });
    searches(&store);
    decide(&store);
    println!("load {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn searches(store: &Store) {
    let some = |text: &str| Some(text.to_owned());
    search(store, "newest", &Filter::default());
    search(store, "session", &Filter { session: some("s-3"), ..Filter::default() });
    search(store, "agent, common", &Filter { agent: some("coder-3"), ..Filter::default() });
    search(store, "agent, rare", &Filter { agent: some("auditor"), ..Filter::default() });
    search(store, "agent, none", &Filter { agent: some("nobody"), ..Filter::default() });
    search(store, "tool", &Filter { tool: some("Bash"), ..Filter::default() });
    search(store, "host, rare", &Filter { host: some("evil.example:443"), ..Filter::default() });
    search(store, "verdict, rare", &Filter { verdict: some("deny"), ..Filter::default() });
    search(store, "event, none", &Filter { event: Some(Event::Flag), ..Filter::default() });
    search(store, "call", &Filter { call: some("c-11"), ..Filter::default() });
    let newest = store.reader().tail(&Filter::default(), 1).unwrap().remove(0).value();
    let newest_ms = newest["time_ms"].as_u64().unwrap();
    for (what, since_ms) in [
        ("younger than the newest", newest_ms + 1),
        ("of the last second", newest_ms - 1000),
        ("of the last hour", newest_ms - 3_600_000),
    ] {
        let since = Filter { since_ms: Some(since_ms), ..Filter::default() };
        search(store, what, &since);
        search(
            store,
            &format!("{what}, by text"),
            &Filter { text: some("nowhere"), ..since.clone() },
        );
        search(store, &format!("{what}, by agent"), &Filter { agent: some("auditor"), ..since });
    }
    search(store, "text, common", &Filter { text: some("padding"), ..Filter::default() });
    search(
        store,
        "text, none (patience ends)",
        &Filter { text: some("nowhere"), ..Filter::default() },
    );
    measure("timeline of the long run", |_| {
        let filter = Filter { session: some("long"), ..Filter::default() };
        store.reader().page(&filter, usize::MAX).unwrap().len()
    });
}

fn size(dir: &Path) -> u64 {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
