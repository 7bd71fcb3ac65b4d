//! What does a box cost besides its start: memory of our own, many at once, a build inside, a large workspace?
//!
//! `cargo bench -p bartizan-sandbox --bench figures`. What is compared takes turns in one run. As root the memory of pid 1
//! can be read; an ordinary user may not look at it, not even her own box's, and is told so.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench measures other programs, prints, and may stop"
)]
use bartizan_sandbox::{BoxSpec, HostFacts, Limits, Plan, Running, Stdio, WorkspaceMode, spawn};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

fn main() {
    // `cargo test` runs benches too, with this argument; a little of each is enough then.
    let brief = std::env::args().any(|argument| argument == "--test");
    let place = tempfile::tempdir().unwrap();
    let place = place.path().canonicalize().unwrap();
    memory(&place, if brief { 2 } else { 20 });
    many(&place, if brief { 2 } else { 50 });
    sizes(&place, if brief { (1, 100) } else { (100, 50_000) });
    builds(&place, if brief { 1 } else { 5 });
}

/// Our own memory for each box: what the supervisor and the boxes' first processes take together, shared pages in parts,
/// beyond what the supervisor took alone.
fn memory(place: &Path, boxes: u32) {
    let workspace = workspace(place, "memory");
    let start = || boxed(&spec(&workspace, "/bin/sleep", &["sleep", "1000"]));
    // What the first box brings about once: the thread that makes boxes, tables that are kept.
    drop(start());
    let own = || pss_kib(std::process::id()).unwrap();
    let before = own();
    let mut running: Vec<Running> = (0..boxes).map(|_| start()).collect();
    std::thread::sleep(Duration::from_millis(300));
    let pids = running.iter().map(|running| running.life.host_pid().cast_unsigned());
    let first: Option<Vec<u64>> = pids.map(pss_kib).collect();
    let share = |kib: u64| kib.saturating_sub(before) / u64::from(boxes);
    match first {
        Some(first) => {
            let (all, one) = (share(own() + first.iter().sum::<u64>()), median(first));
            println!(
                "memory of our own, {boxes} boxes: {all} KiB a box, of which pid 1 {one} KiB (PSS)"
            );
        }
        None => println!(
            "memory of our own, {boxes} boxes: supervisor grows by {} KiB a box; pid 1 cannot be read by an ordinary user, by design",
            share(own())
        ),
    }
    running[0].life.kill().unwrap();
    let counted = running[0].life.wait().unwrap().peak.memory_bytes.unwrap_or(0) >> 10;
    println!(
        "  all that is counted for a box that sleeps, program, files and, in a control group, kernel memory: {counted} KiB"
    );
}

/// Many boxes at once, each of which does a little.
fn many(place: &Path, boxes: u32) {
    let workspace = workspace(place, "many");
    let began = Instant::now();
    let starters: Vec<_> = (0..boxes)
        .map(|n| {
            let script = format!("echo {n} > mine; sleep 1; cat mine");
            let spec = spec(&workspace, "/bin/sh", &["sh", "-c", &script]);
            std::thread::spawn(move || {
                let mut running = boxed(&spec);
                let started = began.elapsed();
                let mut told = String::new();
                fs::File::from(running.stdio.stdout.take().unwrap())
                    .read_to_string(&mut told)
                    .unwrap();
                assert_eq!(running.life.wait().unwrap().code(), 0);
                assert_eq!(told, format!("{n}\n"));
                started
            })
        })
        .collect();
    let started: Vec<_> = starters.into_iter().map(|starter| starter.join().unwrap()).collect();
    let last = started.iter().max().unwrap();
    println!(
        "{boxes} boxes at once: the last runs after {last:.2?}, all have ended after {:.2?}, each saw its own file alone",
        began.elapsed()
    );
}

/// Start and end in a small and in a large workspace.
fn sizes(place: &Path, (rounds, files): (u32, u32)) {
    let (small, large) = (workspace(place, "small"), workspace(place, "large"));
    for directory in 0..files.div_ceil(100) {
        let directory = large.join(directory.to_string());
        fs::create_dir(&directory).unwrap();
        for file in 0..100 {
            fs::write(directory.join(file.to_string()), "contents\n").unwrap();
        }
    }
    let mut times = [Vec::new(), Vec::new()];
    let mut memory = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (at, workspace) in [&small, &large].into_iter().enumerate() {
            let began = Instant::now();
            let mut running = boxed(&spec(workspace, "/bin/true", &["true"]));
            assert_eq!(running.life.wait().unwrap().code(), 0);
            drop(running);
            times[at].push(began.elapsed());
            memory[at].push(pss_kib(std::process::id()).unwrap());
        }
    }
    let [small, large] = times.map(median);
    let [before, after] = memory.map(median);
    println!(
        "workspace of 1 file and of {files}: start and end {small:.2?} and {large:.2?}; supervisor {before} and {after} KiB"
    );
}

/// A small crate, built from nothing, outside and inside.
fn builds(place: &Path, rounds: u32) {
    let workspace = workspace(place, "crate");
    small_crate(&workspace);
    let Some((cargo, readable)) = toolchain() else {
        println!("build: no toolchain is found here");
        return;
    };
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let began = Instant::now();
        let built = Command::new(&cargo).args(BUILD).current_dir(&workspace).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        times[0].push(began.elapsed());
        fs::remove_dir_all(workspace.join("target")).unwrap();

        let began = Instant::now();
        let mut argv = vec!["cargo"];
        argv.extend(BUILD);
        let mut spec = spec(&workspace, cargo.to_str().unwrap(), &argv);
        spec.readable.clone_from(&readable);
        spec.env = [
            ("PATH", format!("{}:/usr/bin:/bin", cargo.parent().unwrap().display())),
            ("HOME", "/home/agent".into()),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec();
        let mut running = boxed(&spec);
        let mut told = String::new();
        fs::File::from(running.stdio.stderr.take().unwrap()).read_to_string(&mut told).unwrap();
        assert_eq!(running.life.wait().unwrap().code(), 0, "{told}");
        times[1].push(began.elapsed());
        assert!(!workspace.join("target").exists());
    }
    let [outside, inside] = times.map(median);
    let overhead = (inside.as_secs_f64() / outside.as_secs_f64() - 1.0) * 100.0;
    println!(
        "build of a small crate, {rounds} rounds: outside {outside:.2?}, inside {inside:.2?}: {overhead:+.1} %"
    );
}

/// Cargo itself, not the chooser in front of it, and what must be readable for it.
fn toolchain() -> Option<(PathBuf, Vec<PathBuf>)> {
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot =
        PathBuf::from(String::from_utf8(rustc.stdout).ok()?.trim()).canonicalize().ok()?;
    let cargo = sysroot.join("bin/cargo");
    cargo.exists().then(|| (cargo, vec![sysroot]))
}

/// Enough code that the compiler is busy for a second or more.
fn small_crate(workspace: &Path) {
    fs::create_dir(workspace.join("src")).unwrap();
    fs::write(
        workspace.join("Cargo.toml"),
        "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
    )
    .unwrap();
    let function = |n: usize| {
        let width = [16, 32, 64][n % 3];
        format!(
            "pub fn f{n}(words: &[String]) -> BTreeMap<String, (usize, Vec<u{width}>)> {{
    let mut map = BTreeMap::new();
    for (at, word) in words.iter().enumerate() {{
        let entry = map.entry(word.to_lowercase()).or_insert_with(|| (at, Vec::new()));
        entry.0 += {n};
        entry.1.extend(word.bytes().map(u{width}::from));
        entry.1.sort();
    }}
    map
}}
"
        )
    };
    let functions: String = (0..150).map(function).collect();
    let calls: Vec<_> = (0..150).map(|n| format!("f{n}(&words).len()")).collect();
    let calls = calls.join(" + ");
    let source = format!(
        "use std::collections::BTreeMap;
{functions}
fn main() {{
    let words: Vec<String> = std::env::args().collect();
    println!(\"{{}}\", {calls});
}}
"
    );
    fs::write(workspace.join("src/main.rs"), source).unwrap();
}

fn boxed(spec: &BoxSpec) -> Running {
    spawn(&Plan::from_spec(spec, &HostFacts::gather(spec).unwrap()).unwrap()).unwrap()
}

fn workspace(place: &Path, name: &str) -> PathBuf {
    let workspace = place.join(name);
    fs::create_dir(&workspace).unwrap();
    fs::write(workspace.join("readme.txt"), "hello\n").unwrap();
    workspace
}

fn spec(workspace: &Path, program: &str, argv: &[&str]) -> BoxSpec {
    BoxSpec {
        workspace: workspace.to_owned(),
        workspace_mode: WorkspaceMode::Overlay { size_bytes: 1 << 30, inodes: 100_000 },
        program: program.into(),
        argv: argv.iter().map(Into::into).collect(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        cwd: workspace.to_owned(),
        home: "/home/agent".into(),
        readable: Vec::new(),
        synthetic: Vec::new(),
        sockets: Vec::new(),
        network: bartizan_sandbox::Reach::Captured,
        inner_boxes: false,
        keep_home: false,
        never_visible: Vec::new(),
        limits: Limits::ordinary(),
        user: "agent".into(),
        stdio: Stdio::piped(),
    }
}

/// The memory of a process, with what it shares counted in parts; `None` where one may not look.
fn pss_kib(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

const BUILD: [&str; 4] = ["build", "--offline", "--release", "--quiet"];
