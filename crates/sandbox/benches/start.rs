//! How long does `/bin/true` take in the box, against bare, a bare `unshare` of the same namespaces, and bubblewrap?
//!
//! All of them take turns in one run, so that whatever else the machine does falls on each alike. Medians of whole
//! processes, from the decision to start to the end reaped; ours with everything on, planning included.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench measures other programs, prints, and may stop"
)]
use bartizan_sandbox::{BoxSpec, HostFacts, Limits, Plan, Stdio, WorkspaceMode, spawn};
use std::process::{Command, Stdio as Stream};
use std::time::{Duration, Instant};

fn main() {
    // `cargo test` runs benches too, with this argument; once is enough then.
    let rounds = if std::env::args().any(|argument| argument == "--test") { 1 } else { 200 };
    let workspace = tempfile::tempdir().unwrap();
    let spec = spec(workspace.path());
    let mut starters: Vec<(&str, Starter)> = vec![
        ("bare", Box::new(|| run(&["/bin/true"]))),
        ("unshare", Box::new(|| run(&["unshare", "-Urnmpfi", "--mount-proc", "/bin/true"]))),
        ("bartizan", Box::new(move || boxed(&spec))),
        ("bwrap", Box::new(|| run(BWRAP))),
    ];
    starters.retain(|(_, start)| start());
    let mut times = vec![Vec::new(); starters.len()];
    for _ in 0..rounds {
        for (place, (_, start)) in starters.iter().enumerate() {
            let began = Instant::now();
            assert!(start());
            times[place].push(began.elapsed());
        }
    }
    report(&starters.iter().map(|(name, _)| *name).collect::<Vec<_>>(), &mut times);
}

/// Starts `/bin/true` in one way and tells whether it worked.
type Starter = Box<dyn Fn() -> bool>;

fn report(names: &[&str], times: &mut [Vec<Duration>]) {
    let mut medians = Vec::new();
    for times in times.iter_mut() {
        times.sort();
        medians.push((
            times[times.len() / 2],
            times[times.len() / 10],
            times[times.len() * 9 / 10],
        ));
    }
    let unshare = names.iter().position(|name| *name == "unshare").map(|place| medians[place].0);
    println!("start and end of /bin/true, {} rounds, interleaved", times[0].len());
    for (name, (median, low, high)) in names.iter().zip(&medians) {
        let ratio =
            unshare.map_or(f64::NAN, |unshare| median.as_secs_f64() / unshare.as_secs_f64());
        println!(
            "{name:<10} median {median:>10.2?}  p10 {low:>10.2?}  p90 {high:>10.2?}  {ratio:.2} x unshare"
        );
    }
}

fn run(argv: &[&str]) -> bool {
    let status = Command::new(argv[0])
        .args(&argv[1..])
        .stdout(Stream::null())
        .stderr(Stream::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn boxed(spec: &BoxSpec) -> bool {
    let plan = Plan::from_spec(spec, &HostFacts::gather(spec).unwrap()).unwrap();
    let mut running = spawn(&plan).unwrap();
    running.life.wait().unwrap().code() == 0
}

fn spec(workspace: &std::path::Path) -> BoxSpec {
    let workspace = workspace.canonicalize().unwrap();
    BoxSpec {
        workspace_mode: WorkspaceMode::Overlay { size_bytes: 1 << 30, inodes: 100_000 },
        program: "/bin/true".into(),
        argv: vec!["true".into()],
        env: Vec::new(),
        cwd: workspace.clone(),
        workspace,
        home: "/home/agent".into(),
        readable: Vec::new(),
        synthetic: Vec::new(),
        sockets: Vec::new(),
        never_visible: Vec::new(),
        limits: Limits::ordinary(),
        user: "agent".into(),
        stdio: Stdio::piped(),
    }
}

const BWRAP: &[&str] = &[
    "bwrap",
    "--unshare-all",
    "--ro-bind",
    "/",
    "/",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "/bin/true",
];
