//! How long does a person wait for a page of the log, for the timeline of a long run, and for the questions that wait?
//!
//! `BARTIZAN_BENCH_RECORDS` says how many records the log has (50,000 without it; the aim is for 5,000,000), and
//! `BARTIZAN_BENCH_DIR` where it is; one that is there already, of that many records or more, is taken as it is.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark may end by a panic, and prints what it measured"
)]
use bartizan_store::{
    Desk as _, Digest, Durability, Entry, Event, Filter, Ledger as _, NewQuestion, QuestionFilter,
    QuestionState, Store,
};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Calls of one run in the middle of the log, each with its outcome.
const LONG_RUN: u64 = 10_000;
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
        println!("{count} records appended in {:.1} s", time.as_secs_f64());
    }
}

/// Puts questions from many sessions, since one can have only so many.
fn ask(store: &Store) {
    let waiting =
        QuestionFilter { session: Some("q-0".to_owned()), state: Some(QuestionState::Pending) };
    if !store.questions(&waiting).unwrap().is_empty() {
        return;
    }
    // From several at once, so that one commit takes several.
    std::thread::scope(|scope| {
        for part in 0..ASKERS {
            scope.spawn(move || {
                ask_each(store, (0..QUESTIONS).filter(|number| number % ASKERS == part));
            });
        }
    });
}

fn ask_each(store: &Store, numbers: impl Iterator<Item = u64>) {
    for number in numbers {
        let new = NewQuestion {
            session: format!("q-{}", number / 32),
            agent: "coder".to_owned(),
            tool: "WebFetch".to_owned(),
            digest: Digest::of(number.to_string().as_bytes()),
            policy: Digest::of(b"policy"),
            quorum: 1,
            shown: json!({ "target": format!("https://x.example/{number}"), "effect": "write" }),
            expires_in: Duration::from_hours(168),
        };
        store.ask(new).unwrap();
    }
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
    println!("{what:<28} p50 {middle:>9.2?}  p95 {late:>9.2?}  {found} found");
}

fn search(store: &Store, what: &str, filter: &Filter) {
    measure(what, |_| store.reader().search(filter, PAGE, PATIENCE).unwrap().records.len());
}

fn main() {
    let records = std::env::var("BARTIZAN_BENCH_RECORDS").ok();
    let records = records.map_or(50_000, |text| text.parse().unwrap());
    let temporary = tempfile::Builder::new().prefix("bartizan-bench-").tempdir().unwrap();
    let dir = std::env::var_os("BARTIZAN_BENCH_DIR")
        .map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let store = Store::open(&dir.join("state")).unwrap();
    fill(&store, records);
    ask(&store);
    println!("{} records, {} MiB", store.reader().size().unwrap(), size(&dir.join("state")) >> 20);
    let some = |text: &str| Some(text.to_owned());
    search(&store, "newest", &Filter::default());
    search(&store, "session", &Filter { session: some("s-3"), ..Filter::default() });
    search(&store, "agent, common", &Filter { agent: some("coder-3"), ..Filter::default() });
    search(&store, "agent, rare", &Filter { agent: some("auditor"), ..Filter::default() });
    search(&store, "agent, none", &Filter { agent: some("nobody"), ..Filter::default() });
    search(&store, "tool", &Filter { tool: some("Bash"), ..Filter::default() });
    search(&store, "host, rare", &Filter { host: some("evil.example:443"), ..Filter::default() });
    search(&store, "verdict, rare", &Filter { verdict: some("deny"), ..Filter::default() });
    search(&store, "event, none", &Filter { event: Some(Event::Flag), ..Filter::default() });
    search(&store, "call", &Filter { call: some("c-11"), ..Filter::default() });
    search(
        &store,
        "younger than now",
        &Filter { since_ms: Some(u64::MAX >> 12), ..Filter::default() },
    );
    search(&store, "text, common", &Filter { text: some("padding"), ..Filter::default() });
    search(
        &store,
        "text, none (patience ends)",
        &Filter { text: some("nowhere"), ..Filter::default() },
    );
    measure("timeline of the long run", |_| {
        let filter = Filter { session: some("long"), ..Filter::default() };
        store.reader().page(&filter, usize::MAX).unwrap().len()
    });
    let pending = QuestionFilter { session: None, state: Some(QuestionState::Pending) };
    measure("questions that wait", |_| store.questions(&pending).unwrap().len());
}

fn size(dir: &Path) -> u64 {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
