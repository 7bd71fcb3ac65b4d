//! What does the gate cost a person who waits? One hook call against an empty process, both inside a
//! box and interleaved in one run; and a whole `bartizan run -- true` against a bare `true`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints, and may stop"
)]

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Calls of each kind; with `--test` just enough to see that all of it works.
fn rounds() -> usize {
    if std::env::args().any(|argument| argument == "--test") { 3 } else { 60 }
}

/// Runs in the box: times `/bin/true` and a hook call in turn, and prints both medians in µs.
const INSIDE: &str = r#"
import json, os, subprocess, sys, time
bartizan, rounds = sys.argv[1], int(sys.argv[2])
payload = json.dumps({"hook_event_name": "PreToolUse", "session_id": "s", "cwd": os.getcwd(),
                      "tool_name": "Read", "tool_input": {"file_path": "a.txt"}}).encode()
def once(argv):
    began = time.perf_counter()
    done = subprocess.run(argv, input=payload, capture_output=True, timeout=60)
    assert done.returncode == 0, (argv, done)
    return (time.perf_counter() - began) * 1e6
times = {"true": [], "hook": []}
for _ in range(rounds):
    times["true"].append(once(["/bin/true"]))
    times["hook"].append(once([bartizan, "hook", "claude-code"]))
for name, values in times.items():
    print(name, sorted(values)[len(values) // 2])
"#;

fn main() {
    let place = tempfile::tempdir().unwrap();
    let workspace = place.path().join("work");
    std::fs::create_dir(&workspace).unwrap();
    std::fs::write(workspace.join("a.txt"), "a").unwrap();
    let bartizan = env!("CARGO_BIN_EXE_bartizan");
    let rounds = rounds().to_string();
    let argv = [
        "run",
        "--no-summary",
        "--client",
        "claude-code",
        "--",
        "python3",
        "-c",
        INSIDE,
        bartizan,
        &rounds,
    ];
    let output = within(place.path(), &workspace, bartizan, &argv);
    let text = String::from_utf8(output.stdout).unwrap();
    let median = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no figures: {}", String::from_utf8_lossy(&output.stderr)))
            .trim()
            .parse()
            .unwrap()
    };
    let (empty, hook) = (median("true"), median("hook"));
    println!("hook call       median {:8.2} ms", hook / 1000.0);
    println!("empty process   median {:8.2} ms", empty / 1000.0);
    println!("hook above it          {:8.2} ms", (hook - empty) / 1000.0);
    whole(place.path(), &workspace, bartizan);
}

/// A whole run, policy load, log and write-back included, against the bare command.
fn whole(home: &Path, workspace: &Path, bartizan: &str) {
    let mut ours = Vec::new();
    let mut bare = Vec::new();
    for _ in 0..rounds() / 3 {
        ours.push(timed(|| {
            within(home, workspace, bartizan, &["run", "--no-summary", "--", "/bin/true"])
        }));
        bare.push(timed(|| within(home, workspace, "/bin/true", &[])));
    }
    let (ours, bare) = (middle(ours), middle(bare));
    println!("bartizan run -- true  median {:6.2} ms", ours.as_secs_f64() * 1e3);
    println!("true                  median {:6.2} ms", bare.as_secs_f64() * 1e3);
}

fn timed(act: impl FnOnce() -> Output) -> Duration {
    let began = Instant::now();
    let output = act();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    began.elapsed()
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the program that is measured")]
fn within(home: &Path, workspace: &Path, program: &str, argv: &[&str]) -> Output {
    let key = format!("sk-ant-{}", "bench-".repeat(6));
    let mut command = Command::new(program);
    command
        .args(argv)
        .current_dir(workspace)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command
        .env("HOME", home)
        .env("ANTHROPIC_API_KEY", key)
        .env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9");
    command.output().unwrap()
}
