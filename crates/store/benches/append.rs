//! How many durable records a second does the log take, with 1, 16 and 32 callers that each wait for their receipt?
//!
//! Set `BARTIZAN_BENCH_DIR` to measure another disk than that of the temporary directory.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark may end by a panic, and prints what it measured"
)]
use bartizan_store::{Durability, Entry, Event, Ledger as _, Store};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// About the 834 bytes of an average record in the measurements that set the aim.
fn entry(number: u64) -> Entry {
    Entry::new(Event::Call)
        .session("20261121-094500-3f2a")
        .call(format!("call-{number}"))
        .with("agent", "build")
        .with("tool", "Bash")
        .with("args", serde_json::json!({ "command": "cargo test --workspace", "padding": "x".repeat(300) }))
        .with("verdict", serde_json::json!({ "effect": "allow", "policies": ["build-runs-tests"], "latency_us": 41 }))
}

/// How long `callers` threads need for `count` records together.
fn run(store: &Store, callers: u64, count: u64) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..callers {
            let share = count / callers + u64::from(caller < count % callers);
            scope.spawn(move || {
                for number in 0..share {
                    let _receipt = store.append(entry(number), Durability::Durable).unwrap();
                }
            });
        }
    });
    start.elapsed()
}

fn append(criterion: &mut Criterion) {
    let root =
        std::env::var_os("BARTIZAN_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::Builder::new().prefix("bartizan-bench-").tempdir_in(root).unwrap();
    let store = Store::open(&dir.path().join("state")).unwrap();
    let mut group = criterion.benchmark_group("append_durable");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(6))
        .throughput(Throughput::Elements(1));
    for callers in [1, 16, 32] {
        let mut rates = Vec::new();
        group.bench_function(BenchmarkId::from_parameter(callers), |bencher| {
            bencher.iter_custom(|count| {
                // Fewer than a few rounds for each caller would measure the start of threads.
                let records = count.max(callers * 20);
                let time = run(&store, callers, records);
                rates.push(f64::from(u32::try_from(records).unwrap()) / time.as_secs_f64());
                time.mul_f64(
                    f64::from(u32::try_from(count).unwrap())
                        / f64::from(u32::try_from(records).unwrap()),
                )
            });
        });
        rates.sort_by(f64::total_cmp);
        println!(
            "{callers} callers: median {:.0} durable appends a second",
            rates[rates.len() / 2]
        );
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
