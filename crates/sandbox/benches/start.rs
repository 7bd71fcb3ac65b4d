//! How long does `/bin/true` take in the box, against bare, a bare `unshare` of the same namespaces,
//! bubblewrap, and, where they are installed, sandbox-runtime and sandlock?
//!
//! All of them take turns in one run, so that whatever else the machine does falls on each alike. Medians of whole
//! processes, from the decision to start to the end reaped; ours with everything on, planning included. Bubblewrap is
//! given every wall of ours that it has an option for, read off our own plan: the same binds, files, links, devices,
//! size-capped scratch space, masks over `/proc`, and the same system-call filter.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench measures other programs, prints, and may stop"
)]
use bartizan_sandbox::{
    BoxSpec, HostFacts, Limits, Plan, Stdio, WorkspaceMode, filter_bytes, spawn,
};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio as Stream};
use std::time::{Duration, Instant};

fn main() {
    // `cargo test` runs benches too, with this argument; once is enough then.
    let rounds: u32 = if std::env::args().any(|argument| argument == "--test") { 1 } else { 200 };
    let place = tempfile::tempdir().unwrap();
    let workspace = place.path().join("workspace");
    std::fs::create_dir(&workspace).unwrap();
    let spec = spec(&workspace);
    let bubblewrap = bubblewrap(&spec, place.path());
    let loose: Vec<String> = BWRAP.iter().map(|&word| word.into()).collect();
    let filter = place.path().join("filter");
    let (runtime, sandlock) = peers(place.path(), &workspace);
    let mut starters: Vec<(&str, &str, Starter)> = vec![
        ("bare", "no wall", Box::new(|| run(&["/bin/true"]))),
        ("unshare", UNSHARE_WALLS, Box::new(|| run(UNSHARE))),
        ("bartizan", BARTIZAN_WALLS, Box::new(move || boxed(&spec))),
        ("bwrap", BWRAP_WALLS, Box::new(move || filtered(&bubblewrap, &filter))),
        ("bwrap, loose", LOOSE_WALLS, Box::new(move || run(&loose))),
        ("srt", SRT_WALLS, Box::new(move || run(&runtime))),
        ("sandlock", SANDLOCK_WALLS, Box::new(move || run(&sandlock))),
    ];
    starters.retain(|(name, _, start)| {
        let works = start();
        if !works {
            println!("{name} is not here or does not work, and is left out");
        }
        works
    });
    let mut times = vec![Vec::new(); starters.len()];
    for _ in 0..rounds {
        for (place, (_, _, start)) in starters.iter().enumerate() {
            let began = Instant::now();
            assert!(start());
            times[place].push(began.elapsed());
        }
    }
    report(&starters, &mut times);
}

/// The command lines of Anthropic's sandbox-runtime and of sandlock, for where they are installed.
fn peers(place: &Path, workspace: &Path) -> (Vec<String>, Vec<String>) {
    let (settings, workspace) = (place.join("srt.json"), workspace.display().to_string());
    let text = format!(
        r#"{{"network":{{"allowedDomains":[],"deniedDomains":[]}},"filesystem":{{"denyRead":[],"allowWrite":["{workspace}"],"denyWrite":[]}}}}"#
    );
    std::fs::write(&settings, text).unwrap();
    let settings = settings.display().to_string();
    let runtime = ["srt", "-s", &settings, "/bin/true"].map(str::to_owned).to_vec();
    let mut sandlock = ["sandlock", "run", "-w", &workspace, "-m", "512M", "-P", "64"].to_vec();
    for tree in ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"] {
        if Path::new(tree).exists() {
            sandlock.extend(["-r", tree]);
        }
    }
    sandlock.extend(["--", "/bin/true"]);
    (runtime, sandlock.into_iter().map(str::to_owned).collect())
}

/// Starts `/bin/true` in one way and tells whether it worked.
type Starter = Box<dyn Fn() -> bool>;

fn report(starters: &[(&str, &str, Starter)], times: &mut [Vec<Duration>]) {
    for times in times.iter_mut() {
        times.sort();
    }
    let median = |name: &str| {
        let place = starters.iter().position(|(known, _, _)| *known == name)?;
        Some(times[place][times[place].len() / 2].as_secs_f64())
    };
    let ratio = |time: f64, to: &str| {
        median(to).map_or("     -".into(), |base| format!("{:6.2}", time / base))
    };
    println!("start and end of /bin/true, {} rounds, interleaved", times[0].len());
    println!(
        "{:<13}{:>9}{:>9}{:>9}{:>11}{:>9}",
        "ms", "median", "p10", "p90", "x unshare", "x bwrap"
    );
    for ((name, _, _), times) in starters.iter().zip(&*times) {
        let at = |tenth: usize| times[times.len() * tenth / 10].as_secs_f64() * 1e3;
        println!(
            "{name:<13}{:>9.3}{:>9.3}{:>9.3}{:>11}{:>9}",
            at(5),
            at(1),
            at(9),
            ratio(at(5) / 1e3, "unshare"),
            ratio(at(5) / 1e3, "bwrap"),
        );
    }
    println!();
    for (name, walls, _) in starters {
        println!("{name}: {walls}");
    }
}

fn run(argv: &[impl AsRef<std::ffi::OsStr>]) -> bool {
    let status = Command::new(&argv[0])
        .args(&argv[1..])
        .stdin(Stream::null())
        .stdout(Stream::null())
        .stderr(Stream::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Runs a command that reads a filter from the descriptor whose number replaces `FILTER`.
fn filtered(argv: &[String], filter: &Path) -> bool {
    let filter = File::open(filter).unwrap();
    rustix::io::fcntl_setfd(&filter, rustix::io::FdFlags::empty()).unwrap();
    let number = filter.as_raw_fd().to_string();
    let argv: Vec<_> =
        argv.iter().map(|word| if word == "FILTER" { number.as_str() } else { word }).collect();
    run(&argv)
}

fn boxed(spec: &BoxSpec) -> bool {
    let plan = Plan::from_spec(spec, &HostFacts::gather(spec).unwrap()).unwrap();
    let mut running = spawn(&plan).unwrap();
    running.life.wait().unwrap().code() == 0
}

fn spec(workspace: &Path) -> BoxSpec {
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
        network: bartizan_sandbox::Reach::Captured,
        inner_boxes: false,
        keep_home: false,
        never_visible: Vec::new(),
        limits: Limits::ordinary(),
        user: "agent".into(),
        stdio: Stdio::piped(),
    }
}

/// The command line that makes bubblewrap put up what our plan puts up, as far as it can.
fn bubblewrap(spec: &BoxSpec, place: &Path) -> Vec<String> {
    let plan = Plan::from_spec(spec, &HostFacts::gather(spec).unwrap()).unwrap().to_string();
    let (empty, filter) = (place.join("empty"), place.join("filter"));
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(&filter, filter_bytes(true)).unwrap();
    let mut argv: Vec<String> = [
        "bwrap",
        "--unshare-all",
        "--unshare-user",
        "--unshare-cgroup",
        "--disable-userns",
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--hostname",
        "bartizan",
        "--new-session",
        "--die-with-parent",
        "--cap-drop",
        "ALL",
        "--clearenv",
        "--seccomp",
        "FILTER",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
    ]
    .map(Into::into)
    .to_vec();
    for line in plan.lines() {
        argv.extend(translated(line, &empty.display().to_string()));
    }
    let workspace = spec.workspace.display().to_string();
    argv.extend(
        ["--bind", &workspace, &workspace, "--remount-ro", "/", "--chdir", &workspace, "/bin/true"]
            .map(Into::into),
    );
    argv
}

/// One act of a plan as options of bubblewrap.
fn translated(act: &str, empty: &str) -> Vec<String> {
    let words: Vec<&str> = act.split(' ').collect();
    let words = match words[..] {
        // What is beside the root is ours alone, and bubblewrap makes its own `/dev`.
        [_, path, ..] | [_, _, "->", path, ..]
            if path.starts_with("/..") || path.starts_with("/dev") =>
        {
            vec![]
        }
        ["bind", host, "->", inside, ..] => vec!["--ro-bind", host, inside],
        ["mask", path, ..] if !Path::new(path).exists() => vec![],
        ["mask", path, "with", "/dev/null"] => vec!["--ro-bind", "/dev/null", path],
        ["mask", path, ..] => vec!["--ro-bind", empty, path],
        ["file", path, _, size, ..] if size != "(0" && Path::new(path).exists() => {
            vec!["--ro-bind", path, path]
        }
        ["link", path, "->", target] => vec!["--symlink", target, path],
        ["tmpfs", path, options] => {
            let size = options.split(['=', ',']).nth(1).unwrap();
            vec!["--size", size, "--tmpfs", path]
        }
        _ => vec![],
    };
    words.into_iter().map(Into::into).collect()
}

const UNSHARE: &[&str] = &[
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--net",
    "--ipc",
    "--uts",
    "--cgroup",
    "--mount-proc",
    "/bin/true",
];
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
const UNSHARE_WALLS: &str = "seven namespaces and a fresh /proc; the host's whole file system, all capabilities inside, no filter, no limit";
const BARTIZAN_WALLS: &str = "seven namespaces, none nestable; new root of allow-listed read-only binds; overlay workspace, scratch space with size and inode caps; \
    masked /proc; no capability, locked; Landlock; seccomp; network captured by routes and nf_tables with listeners; session keyring; rlimits; \
    control groups where they can be had, else a memory watchdog";
const BWRAP_WALLS: &str = "the same namespaces, binds, files, links, sizes, masks and seccomp filter; workspace bound writable (no overlay), \
    no inode caps, no Landlock, loopback only and nothing captured, no keyring, no rlimit, no control group, no watchdog";
const SRT_WALLS: &str =
    "Anthropic's sandbox-runtime: the host's files read-only, the workspace writable, no network";
const SANDLOCK_WALLS: &str = "sandlock: Landlock and filters, the system readable, the workspace writable, memory and processes capped";
const LOOSE_WALLS: &str = "the same namespaces, the host's whole file system read-only; no filter";
