//! Does a run end cleanly whenever and however it ends: nothing lost, nothing left running, no ghost
//! files?

use crate::support::log::Log;
use crate::support::project::{NOTES, Project, Started};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// More than a busy machine takes for what a moment is enough for.
const PATIENCE: Duration = Duration::from_mins(1);

/// Starts a command that says `ready` and then sleeps for `seconds`, a number that marks it among all
/// processes of the machine.
fn sleeper(project: &Project, seconds: u32) -> Started {
    let script = format!("echo made > made.txt; echo ready; exec sleep {seconds}");
    let started = project.bartizan(&["run", "--", "bash", "-c", &script]).at_terminal().start();
    started.says("ready");
    // The shell has yet to become `sleep`.
    let deadline = Instant::now() + PATIENCE;
    while !is_running(seconds) {
        assert!(Instant::now() < deadline, "it must be seen while it runs: {started:?}");
        thread::sleep(Duration::from_millis(10));
    }
    started
}

/// Whether `sleep SECONDS` runs anywhere on the machine.
fn is_running(seconds: u32) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|entry| entry.path().join("cmdline"))
        .any(|path| fs::read(path).is_ok_and(|line| String::from_utf8_lossy(&line) == wanted))
}

/// The box is gone; the kernel needs a moment for it after a `SIGKILL` of the supervisor.
fn ends(seconds: u32) {
    let deadline = Instant::now() + PATIENCE;
    while is_running(seconds) {
        assert!(Instant::now() < deadline, "`sleep {seconds}` outlived its run");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Names and contents of a folder's files.
fn contents(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read_to_string(entry.path()).unwrap_or_default())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_run_that_changes_nothing_leaves_nothing() {
    let project = Project::new();
    let before = contents(&project.workspace());
    let ran = project.bartizan(&["run", "--", "true"]).finish();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(contents(&project.workspace()), before);
}

#[test]
fn killing_the_supervisor_kills_the_box() {
    let project = Project::new();
    let started = sleeper(&project, 918_273);
    started.signal(Signal::KILL);
    started.finish();
    ends(918_273);
    assert_eq!(project.file("made.txt"), None, "nothing is written behind the gate's back");
    // What the dead run left behind is looked after by the next one.
    let ran = project.bartizan(&["run", "--", "cat", "notes.txt"]).finish();
    assert!(ran.stdout.contains(NOTES), "{ran:?}");
    Log::read(&project).is_whole(&project);
}

#[test]
fn runs_that_start_at_once_after_many_were_killed_all_start() {
    let project = Project::new();
    let sleeps = ["run", "--", "sh", "-c", "echo ready; exec sleep 1000"];
    let killed: Vec<Started> =
        std::iter::repeat_with(|| project.bartizan(&sleeps).start()).take(5).collect();
    for started in &killed {
        started.says("ready");
    }
    for started in killed {
        started.signal(Signal::KILL);
        started.finish();
    }
    // Each of them meets all that the dead ones have left, and only one can end each of those.
    let next: Vec<Started> =
        std::iter::repeat_with(|| project.bartizan(&["run", "--", "true"]).start())
            .take(6)
            .collect();
    for started in next {
        let ran = started.finish();
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    }
    let log = Log::read(&project);
    assert_eq!(log.all("session_end", |end| end["leftover"] == true).len(), 5);
    log.is_whole(&project);
}

#[test]
fn an_interrupt_ends_the_run_with_its_changes_and_its_record() {
    for (signal, seconds) in
        [(Signal::INT, 817_263), (Signal::TERM, 716_253), (Signal::HUP, 615_243)]
    {
        let project = Project::new();
        let started = sleeper(&project, seconds);
        started.signal(signal);
        let ran = started.finish();
        ends(seconds);
        assert!(!ran.status.success(), "{ran:?}");
        assert_eq!(project.file("made.txt").as_deref(), Some("made\n"), "{ran:?}");
        let log = Log::read(&project);
        log.find("session_end", |_| true);
        log.is_whole(&project);
    }
}

#[test]
fn what_a_command_leaves_running_ends_with_it() {
    let project = Project::new();
    let script = "setsid nohup sleep 514233 >/dev/null 2>&1 & disown; echo ready";
    let ran = project.bartizan(&["run", "--", "bash", "-c", script]).finish();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    ends(514_233);
}

#[test]
fn two_runs_in_one_folder_do_not_overwrite_each_other() {
    let project = Project::new();
    let slow = "echo slow > both.txt; echo slow > slow.txt; echo ready; read -r";
    let first = project.bartizan(&["run", "--", "bash", "-c", slow]).typing();
    first.says("ready");
    let second = "echo quick > both.txt; echo quick > quick.txt";
    let second = project.bartizan(&["run", "--", "bash", "-c", second]).finish();
    assert_eq!(second.status.code(), Some(0), "{second:?}");
    let first = first.types("go\n").finish();
    assert_eq!(project.file("quick.txt").as_deref(), Some("quick\n"));
    assert_eq!(project.file("slow.txt").as_deref(), Some("slow\n"), "{first:?}");
    assert_eq!(project.file("both.txt").as_deref(), Some("quick\n"), "the first to land stays");
    assert!(first.stderr.contains("both.txt"), "the other is told: {first:?}");
}

#[test]
fn any_folder_will_do() {
    let project = Project::new();
    for place in ["/tmp", "/var/tmp"] {
        let folder = tempfile::tempdir_in(place).unwrap();
        let command = ["run", "--", "bash", "-c", "echo made > made.txt; pwd"];
        let ran = project.bartizan(&command).within(folder.path()).finish();
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
        assert_eq!(Path::new(ran.stdout.trim_end()), folder.path());
        assert_eq!(fs::read_to_string(folder.path().join("made.txt")).unwrap(), "made\n");
    }
}

#[test]
fn a_folder_that_holds_too_much_is_refused() {
    let project = Project::new();
    for folder in [Path::new("/"), &project.home(), &project.state()] {
        let ran = project.bartizan(&["run", "--", "touch", "ghost"]).within(folder).finish();
        assert!(matches!(ran.status.code(), Some(125 | 126 | 78)), "{}: {ran:?}", folder.display());
        assert!(ran.stderr.contains("error:"), "{ran:?}");
        assert!(!folder.join("ghost").exists());
    }
}

#[test]
fn output_that_does_not_arrive_is_said_and_is_no_success() {
    let project = Project::new();
    let lossy = |to: &str, command: &str| {
        let script = format!("exec \"$0\" run --no-summary -- sh -c '{command}' {to}");
        let bartizan = env!("CARGO_BIN_EXE_bartizan");
        project.program(Path::new("/bin/sh"), &["-c", &script, bartizan]).finish()
    };
    let lost = lossy("> /dev/full", "echo made > made.txt; echo lost");
    assert_eq!(lost.status.code(), Some(74), "{lost:?}");
    assert!(lost.stderr.contains("output is lost: cannot write to standard output: no space left"));
    assert_eq!(project.file("made.txt").as_deref(), Some("made\n"), "the work itself is not lost");
    assert_eq!(lossy("2> /dev/full", "echo lost >&2").status.code(), Some(74));
    // The command's own word on how it went is not painted over, nor by a person who cannot be told.
    assert_eq!(lossy("> /dev/full", "echo lost; exit 3").status.code(), Some(3));
    assert_eq!(lossy("2> /dev/full", "exit 3").status.code(), Some(3));
    // Who closes its end has seen enough.
    let left = lossy("| :; exit 0", "echo unread");
    assert!(!left.stderr.contains("error:"), "{left:?}");
}

/// Waits for the end of a program that was told to end.
fn has_ended(started: &mut Started) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !started.has_ended() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    started.has_ended()
}

#[test]
fn a_closed_terminal_ends_what_was_started_there_and_not_what_is_to_outlive_it() {
    let project = Project::new();
    let outliving = |args: &[&str]| {
        let script = "trap '' HUP; exec \"$0\" \"$@\"";
        let all = [&["-c", script, env!("CARGO_BIN_EXE_bartizan")], args].concat();
        project.program(Path::new("/bin/sh"), &all)
    };
    project.configure(
        "[tools.echo]\neffect = \"read\"\ndescription = \"Says it.\"\n[tools.echo.command]\nargv = [\"/bin/echo\", \"hi\"]\n",
    );
    let run = ["run", "--", "sh", "-c", "echo ready; exec sleep 100"];
    let mut kept = outliving(&run).start();
    kept.says("ready");
    kept.signal(Signal::HUP);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--dev-no-auth"];
    let mut served = outliving(&serve).start();
    served.complaint(&|line| line.contains("serving at"));
    served.signal(Signal::HUP);
    // Neither has ended by when others have, who were told later.
    let mut gateway = project.bartizan(&serve).at_terminal().start();
    gateway.complaint(&|line| line.contains("serving at"));
    gateway.signal(Signal::HUP);
    assert!(gateway.finish().status.success());
    assert!(!kept.has_ended() && !served.has_ended());
    for (started, code) in [(kept, 143), (served, 0)] {
        started.signal(Signal::TERM);
        assert_eq!(started.finish().status.code(), Some(code));
    }
    // A conversation whose server rests, and one that needs none: both end, and say so on the log.
    let server = "import sys\nfor line in sys.stdin: print('{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}', flush=True)";
    let resting = ["mcp", "--idle-after", "1s", "--", "/usr/bin/python3", "-c", server];
    let hello = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    for (args, pause) in [(&["mcp"][..], 0), (&resting, 3)] {
        let mut talk = project.bartizan(args).at_terminal().typing();
        talk.adds(hello);
        talk.says("\"id\":1");
        thread::sleep(Duration::from_secs(pause));
        talk.signal(Signal::HUP);
        assert!(has_ended(&mut talk), "{args:?}: {talk:?}");
    }
    let log = Log::read(&project);
    let count = |event: &str| log.all(event, |_| true).len();
    assert_eq!(count("session_start"), count("session_end"));
    log.is_whole(&project);
}
