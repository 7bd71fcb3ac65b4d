//! Is a box made within another narrower than that one in every way it was asked to be, and never wider?
//!
//! Numbers are those of the attack catalogue (K07: one agent against its siblings). Every attack has its twin.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]
mod support;
use bartizan_sandbox::{
    BoxSpec, HostFacts, Limits, Plan, Reach, Reason, Running, SpawnError, StdioEnds, Strength,
    WorkspaceMode, original_destination, spawn_within,
};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::table::stopped;
use support::{Outcome, Place, drain, exists, soon, start};

/// A box that runs `script` and then stays, once it has said that it is ready.
fn around(place: &Place, script: &str) -> Running {
    std::fs::create_dir(place.workspace.join("docs")).unwrap();
    std::fs::write(place.workspace.join("docs/page.md"), "page\n").unwrap();
    let mut spec = place.spec(&format!(
        "{script}\necho ready; exec 1>&-; while read -r line; do eval \"$line\"; done"
    ));
    spec.inner_boxes = true;
    let mut running = start(&spec).unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(std::fs::File::from(running.stdio.stdout.take().unwrap()));
    while line != "ready\n" {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the box around has ended");
    }
    running
}

/// A read-only box without network for `script`.
fn narrow(place: &Place, script: &str) -> BoxSpec {
    let mut spec = place.spec(script);
    spec.workspace_mode = WorkspaceMode::ReadOnly;
    spec.network = Reach::Loopback;
    spec.limits = Limits { pids: 64, ..spec.limits };
    spec
}

/// Processes that the box around may have.
const AROUND: u64 = 128;

fn start_within(spec: &BoxSpec, around: &Running) -> Result<Running, SpawnError> {
    let plan = Plan::within(spec, &HostFacts::gather(spec).unwrap(), AROUND).unwrap();
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let ((input, _), (out, output), (err, errors)): ((OwnedFd, OwnedFd), _, _) =
        (pipe(), pipe(), pipe());
    let mut inner =
        spawn_within(&plan, around.foothold.as_ref().unwrap(), [input, output, errors])?;
    inner.stdio = StdioEnds { stdout: Some(out), stderr: Some(err), ..StdioEnds::default() };
    Ok(inner)
}

#[track_caller]
fn run_within(spec: &BoxSpec, around: &Running) -> Outcome {
    match start_within(spec, around) {
        Ok(mut inner) => drain(&mut inner),
        Err(e) => panic!("{e}"),
    }
}

/// Answers every connection to a box's listeners with `name` and where it was meant to go, and counts them.
fn answer_all(running: &Running, name: &'static str) -> Arc<AtomicUsize> {
    let calls = Arc::new(AtomicUsize::new(0));
    let capture = &running.capture;
    for listener in capture.tcp.iter().chain(&capture.http_proxy).chain(&capture.socks) {
        let (listener, calls) = (listener.try_clone().unwrap(), Arc::clone(&calls));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                calls.fetch_add(1, Ordering::SeqCst);
                let meant = original_destination(&stream).unwrap();
                stream.write_all(format!("{name} {meant}\n").as_bytes()).unwrap();
            }
        });
    }
    calls
}

for_everyone! {
    fn k07_a_command_of_a_reading_role_reads_what_its_parent_sees_and_changes_nothing() {
        let place = Place::new();
        let outer = around(&place, "echo draft > made.txt; echo secret > /tmp/outer.txt; echo x > ~/outer.txt");
        let attacks = "for f in readme.txt made.txt docs/page.md new.txt docs/new .git/hooks/x; do echo EVIL > $f && echo WROTE $f; done\n\
             rm -f readme.txt && echo WROTE; mv docs d && echo WROTE; ln -s /etc/passwd l && echo WROTE; chmod 777 readme.txt && echo WROTE\n\
             mount -o remount,rw . && echo WROTE; unshare -Urm true && echo WROTE; python3 -c \"open('py','w')\" && echo WROTE\n\
             echo EVIL > /proc/self/cwd/readme.txt && echo WROTE; echo EVIL > /proc/1/root$PWD/readme.txt && echo WROTE\n\
             ls -A /tmp ~; exit 0";
        let outcome = run_within(&narrow(&place, attacks), &outer).succeeded();
        assert!(!outcome.stdout.contains("WROTE") && !outcome.stdout.contains("outer.txt"), "{outcome:#?}");
        let read = run_within(&narrow(&place, "cat readme.txt made.txt docs/page.md; pwd; exit 7"), &outer);
        assert_eq!(read.exit.code(), 7, "{read:#?}");
        assert_eq!(read.stdout, format!("hello from the host\ndraft\npage\n{}\n", place.workspace.display()));
        assert!(!exists(&place.workspace.join("made.txt")));
        drop(outer);
        stopped("K07", "a subagent's command writes the workspace of a wider box", "read-only view of its own", &outcome.stderr);
    }

    fn k07_a_command_without_network_meets_neither_the_world_nor_its_parents_servers() {
        let place = Place::new();
        let mut outer = around(&place, "python3 -c \"\
            \nimport socket, threading, time\ns = socket.socket(); s.bind(('0.0.0.0', 8001)); s.listen()\n\
            u = socket.socket(1); u.bind('/tmp/u.sock'); u.listen()\na = socket.socket(1); a.bind('\\0abstract'); a.listen()\n\
            open('up', 'w').close(); time.sleep(60)\" & while ! [ -e up ]; do sleep 0.05; done");
        let script = "import socket\n\
             def t(f, a):\n  s = socket.socket(f); s.settimeout(3)\n  \
               try: s.connect(a); print('OUT', a)\n  except OSError as e: print('no')\n\
             for a in [('127.0.0.1', 8001), ('0.0.0.0', 8001), ('127.0.0.1', 3128), ('127.0.0.53', 53), ('1.1.1.1', 443), ('169.254.169.254', 80)]: t(2, a)\n\
             t(1, '/tmp/u.sock'); t(1, '\\0abstract')\n\
             s = socket.socket(); s.bind(('127.0.0.1', 8001)); s.listen(); c = socket.create_connection(('127.0.0.1', 8001)); print('own')";
        let mut spec = narrow(&place, "");
        (spec.program, spec.argv) = (place.python(script).program, place.python(script).argv);
        let outcome = run_within(&spec, &outer).succeeded();
        assert_eq!(outcome.stdout, "no\n".repeat(8) + "own\n", "{outcome:#?}");
        // The parent's own network still lands on its own sockets.
        assert!(!outer.capture.tcp.is_empty());
        drop(outer.stdio.stdin.take());
        stopped("K07", "a subagent's command calls out and its parent's servers", "a network namespace of its own", &outcome.stdout);
    }

    fn k07_a_command_sees_no_process_of_its_parents() {
        let place = Place::new();
        let outer = around(&place, "sleep 61.5 &");
        let script = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo; ls -d /proc/[0-9]* | wc -l; kill -9 -1; \
             ls /dev/pts; ls /dev/shm; ls /run 2>&1; cat /proc/net/tcp | wc -l; echo alive";
        let outcome = run_within(&narrow(&place, script), &outer);
        assert!(!outcome.stdout.contains("sleep 61.5"), "{outcome:#?}");
        let mut outer = outer;
        let input = std::fs::File::from(outer.stdio.stdin.take().unwrap());
        // The parent has lost nothing: its shell still obeys, and its child still sleeps.
        (&input).write_all(b"kill -0 %1 && exit 23\n").unwrap();
        assert_eq!(outer.life.wait().unwrap().reason, Reason::Exited(23));
        stopped("K07", "a subagent's command looks for its parent's processes", "a process namespace of its own", &outcome.stdout);
    }

    fn a_command_of_a_folder_role_writes_there_and_its_parent_sees_it() {
        let place = Place::new();
        let mut outer = around(&place, "true");
        let mut spec = narrow(&place, "echo more >> page.md && cat ../readme.txt; echo EVIL > ../readme.txt; echo EVIL > ../new; exit 0");
        (spec.workspace, spec.cwd) = (place.workspace.join("docs"), place.workspace.join("docs"));
        (spec.workspace_mode, spec.readable) = (WorkspaceMode::Direct, vec![place.workspace.clone()]);
        let outcome = run_within(&spec, &outer).succeeded();
        assert_eq!(outcome.stdout, "hello from the host\n", "{outcome:#?}");
        assert_eq!(outcome.stderr.matches("Read-only file system").count(), 2, "{outcome:#?}");
        spec.readable.clear();
        spec.argv = ["bash", "-c", "ls -A ..; cat ../readme.txt"].map(Into::into).to_vec();
        let alone = run_within(&spec, &outer);
        assert_eq!(alone.stdout, "docs\n", "{alone:#?}");
        let input = std::fs::File::from(outer.stdio.stdin.take().unwrap());
        (&input).write_all(b"[ \"$(cat docs/page.md)\" = \"page\nmore\" ] && exit 24\n").unwrap();
        drop(input);
        assert_eq!(std::fs::read_to_string(place.workspace.join("docs/page.md")).unwrap(), "page\n");
        drop(outer);
    }

    fn k07_a_folder_that_the_parent_has_turned_into_a_link_is_refused() {
        let place = Place::new();
        let outer = around(&place, "mkdir other; echo hidden > other/h; mv docs d; ln -s other docs");
        let mut spec = narrow(&place, "cat h; true");
        (spec.workspace, spec.cwd) = (place.workspace.join("docs"), place.workspace.join("docs"));
        let error = start_within(&spec, &outer).unwrap_err().to_string();
        assert!(error.contains("mounts"), "{error}");
        stopped("K07", "the folder of a subagent's box is made a link elsewhere", "openat2 NO_SYMLINKS", &error);
    }

    fn p19_a_fork_bomb_in_a_command_leaves_its_parent_room() {
        let place = Place::new();
        let mut outer = around(&place, "true");
        let mut spec = narrow(&place, "b() { b | b & b; }; b 2>/dev/null; sleep 9");
        spec.limits.wall = Some(Duration::from_secs(2));
        let mut inner = start_within(&spec, &outer).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let input = std::fs::File::from(outer.stdio.stdin.take().unwrap());
        (&input).write_all(b"for i in 1 2 3 4; do /bin/true || exit 1; done; exit 25\n").unwrap();
        assert_eq!(outer.life.wait().unwrap().reason, Reason::Exited(25));
        let outcome = drain(&mut inner);
        // Where the kernel does not count the processes of a command, it is ended for them.
        assert!(matches!(outcome.exit.reason, Reason::WallClock | Reason::ProcessLimit), "{outcome:#?}");
    }

    fn p19_a_command_has_as_many_processes_as_its_role_may() {
        let place = Place::new();
        let mut outer = around(&place, "for i in $(seq 20); do sleep 60 & done");
        let mut spec = narrow(&place, "for i in 1 2 3 4 5; do sleep 0.1 & done; wait; echo all");
        spec.limits.pids = 8;
        assert_eq!(run_within(&spec, &outer).succeeded().stdout, "all\n");
        let script = "import os, time\nfor n in range(20):\n  try: child = os.fork()\n  except OSError: print('refused', n); break\n  \
             if child == 0: time.sleep(60)\nelse: time.sleep(60)";
        (spec.program, spec.argv) = (place.python(script).program, place.python(script).argv);
        let mut inner = start_within(&spec, &outer).unwrap();
        let strength = inner.report.item("processes").unwrap().strength;
        let outcome = drain(&mut inner);
        match strength {
            Strength::Kernel => assert_eq!(outcome.stdout, "refused 7\n", "{outcome:#?}"),
            Strength::Watched => assert_eq!(outcome.exit.reason, Reason::ProcessLimit, "{outcome:#?}"),
            Strength::Absent => panic!("{outcome:#?}"),
        }
        let input = std::fs::File::from(outer.stdio.stdin.take().unwrap());
        (&input).write_all(b"/bin/true && [ $(jobs -r | wc -l) = 20 ] && exit 26\n").unwrap();
        assert_eq!(outer.life.wait().unwrap().reason, Reason::Exited(26));
        stopped("P19", "a subagent's command starts 20 processes where its role may have 8", "pids control group, or looked at and ended", &(strength, outcome.exit.reason, &outcome.stdout));
    }

    fn k07_what_a_command_with_a_network_of_its_own_calls_is_told_from_its_parents_calls() {
        let place = Place::new();
        let outer = around(&place, "true");
        let script = "import socket\n\
             def t(host, port, f=2):\n  s = socket.socket(f); s.settimeout(20)\n  \
               try: s.connect((host, port)); return s.makefile().readline().strip()\n  \
               except OSError as e: return e.strerror\n\
             print(t('1.1.1.1', 443), t('169.254.169.254', 80), t('127.0.0.1', 3128), t('127.0.0.1', 1080))\n\
             s = socket.socket(); s.bind(('127.0.0.1', 8001)); s.listen(); c = socket.create_connection(('127.0.0.1', 8001)); print('own')";
        let mut spec = narrow(&place, "");
        (spec.program, spec.argv) = (place.python(script).program, place.python(script).argv);
        spec.network = Reach::Captured;
        let mut inner = start_within(&spec, &outer).unwrap();
        let strangers = answer_all(&outer, "outer");
        let calls = answer_all(&inner, "inner");
        let outcome = drain(&mut inner).succeeded();
        assert_eq!(outcome.stdout, "inner 1.1.1.1:443 inner 169.254.169.254:80 inner 127.0.0.1:3128 inner 127.0.0.1:1080\nown\n", "{outcome:#?}");
        assert_eq!((calls.load(Ordering::SeqCst), strangers.load(Ordering::SeqCst)), (4, 0));
        // The twin: its parent still has its own.
        let input = std::fs::File::from(outer.stdio.stdin.as_ref().unwrap().try_clone().unwrap());
        (&input).write_all(b"exec 3<>/dev/tcp/1.1.1.1/443; read -r line <&3; [ \"$line\" = 'outer 1.1.1.1:443' ] && exit 27; exit 1\n").unwrap();
        let mut outer = outer;
        assert_eq!(outer.life.wait().unwrap().reason, Reason::Exited(27));
        stopped("K07", "calls of a subagent's command, to be taken for its parent's", "a network namespace and listeners of its own", &outcome.stdout);
    }

    fn f23_its_scratch_space_and_limits_are_its_own() {
        let place = Place::new();
        let outer = around(&place, "true");
        let mut spec = narrow(&place, "head -c 40M /dev/zero > /tmp/a; ls -s --block-size=1M /tmp/a; head -c 9M /dev/zero > ~/b; ulimit -n; exec head -c 9M /dev/zero > /tmp/c");
        (spec.limits.scratch_bytes, spec.limits.file_size, spec.limits.open_files) = (8 << 20, 16 << 20, 99);
        let outcome = run_within(&spec, &outer);
        assert!(outcome.stdout.contains("99\n") && outcome.stderr.contains("No space left"), "{outcome:#?}");
    }

    fn ending_a_command_ends_all_of_it() {
        let place = Place::new();
        let outer = around(&place, "true");
        let mut inner = start_within(&narrow(&place, "setsid sleep 62.5 & disown; echo up; wait; sleep 60"), &outer).unwrap();
        let mut output = BufReader::new(std::fs::File::from(inner.stdio.stdout.take().unwrap()));
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        inner.life.kill().unwrap();
        assert_eq!(inner.life.wait().unwrap().reason, Reason::Killed);
        soon("the end of all its processes", || {
            line.clear();
            // The pipe has an end only when everybody who could write to it is gone.
            output.read_line(&mut line).unwrap() == 0
        });
        drop(outer);
    }
}
