//! In tier B, which attacks on processes and the kernel does the box stop, and does ordinary work go on beside them?
//!
//! Numbers are those of the attack catalogue (P, K). Every attack has its twin. Each test runs where no user namespace can be
//! made, as an ordinary user and as root.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop, and plays what is outside the box"
)]
mod support;
use bartizan_sandbox::{Accept, Reason, Stdio, Stream, Strength, WindowSize};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio as Pipes};
use std::time::Duration;
use support::table::stopped;
use support::{Place, drain, run_b, soon, start_b};

/// A process of the person's that a box might attack, with a secret in its environment and on its command line.
struct Victim(Child);

impl Victim {
    fn new() -> Self {
        // It waits for a line that never comes, asleep all the time: a shell that starts programs is in state `D` at times.
        let victim = Command::new("/bin/sh")
            .args(["-c", "read line", "TOP-SECRET-ARGUMENT"])
            .env("TOKEN", "TOP-SECRET")
            .stdin(Pipes::piped())
            .spawn();
        Self(victim.unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit(')').next().unwrap().trim().chars().next().unwrap()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Processes that have this word on their command line.
fn running_with(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|b| *b == 0).any(|part| part == word.as_bytes())).count()
}

/// A word that no other process has.
fn mark(name: &str) -> String {
    format!("{}.{}", name.len() + 1000, std::process::id())
}

/// Python that makes raw system calls and prints how each ended.
fn calls(list: &str) -> String {
    format!(
        "import ctypes, errno, os\nl = ctypes.CDLL(None, use_errno=True)\n\
         def c(name, *a):\n  r = l.syscall(*[ctypes.c_long(x) for x in a])\n  e = ctypes.get_errno()\n  \
         print(name, 'WORKED' if r >= 0 else errno.errorcode[e])\n{list}\n"
    )
}

in_tier_b! {
    fn p01_p02_of_the_hosts_processes_nothing_but_their_numbers_is_seen() {
        let place = Place::new();
        let victim = Victim::new();
        let outcome = run_b(&place, &place.spec(&format!(
            "cd /proc/{0}; for f in environ cmdline mem maps stat status comm fd/0 cwd/x root/etc/shadow exe ns/user mountinfo io limits; do cat $f && echo READ $f; done; \
             ls /proc/{0} /proc/{0}/fd /proc/{0}/task && echo LISTED; readlink /proc/{0}/exe /proc/{0}/cwd && echo LINK; ls /proc && echo ALL; ps aux; cat /proc/net/tcp && echo NET; \
             cat /proc/{1}/environ /proc/{1}/status && echo SUPERVISOR; cat /proc/$PPID/environ /proc/$PPID/maps && echo KEEPER; cat /proc/kcore /proc/kallsyms /proc/keys && echo KERNEL; \
             cat /proc/self/environ > /dev/null; head -c 1 /proc/cpuinfo > /dev/null && head -c 1 /proc/meminfo > /dev/null && cat /proc/$$/comm", victim.pid(), std::process::id()
        )));
        assert_eq!(outcome.stdout, "bash\n", "{outcome:#?}");
        assert!(!outcome.stderr.contains("TOP-SECRET"));
        stopped("P01-P02", "/proc/PID/{environ,maps,fd,…} of a victim, the supervisor, the keeper; ps", "Landlock: of /proc only one's own entry", &outcome.stderr);
    }

    fn p03_no_other_process_can_be_signalled_or_looked_into() {
        let place = Place::new();
        let victim = Victim::new();
        let outcome = run_b(&place, &place.python(&format!(
            "import os, signal, ctypes, resource\nlibc = ctypes.CDLL(None, use_errno=True)\n\
             def no(what, f):\n  try: f(); print('DID', what)\n  except OSError as e: pass\n\
             def call(n, *a):\n  if libc.syscall(n, *a) < 0: raise OSError(ctypes.get_errno(), 'x')\n\
             for pid in ({0}, {1}, os.getppid(), -os.getpgid({0})):\n  \
               for s in (signal.SIGSTOP, signal.SIGKILL, signal.SIGURG, 0): no(('kill', pid, s), lambda: os.kill(pid, s))\n\
             for pid in ({0}, {1}, os.getppid()):\n  \
               no(('tgkill', pid), lambda: call(234, pid, pid, 19)); no(('queue', pid), lambda: call(129, pid, 19, ctypes.create_string_buffer(128)))\n  \
               no(('attach', pid), lambda: call(101, 16, pid, 0, 0)); no(('seize', pid), lambda: call(101, 0x4206, pid, 0, 0))\n  \
               b = ctypes.create_string_buffer(8); v = (ctypes.c_void_p * 2)(ctypes.addressof(b), 8); no(('read', pid), lambda: call(310, pid, v, 1, v, 1, 0))\n  \
               f = os.pidfd_open(pid); no(('pidfd', pid), lambda: signal.pidfd_send_signal(f, 19)); no(('getfd', pid), lambda: call(438, f, 0, 0)); no(('madvise', pid), lambda: call(440, f, v, 1, 21, 0))\n  \
               no(('prlimit', pid), lambda: resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1))); no(('nice', pid), lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))\n  \
               no(('affinity', pid), lambda: os.sched_setaffinity(pid, {{0}})); no(('scheduler', pid), lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))\n\
             no('nice all', lambda: os.setpriority(os.PRIO_USER, 0, 19)); no('own group', lambda: os.setpriority(os.PRIO_PGRP, os.getpgid({0}), 19))\n\
             os.nice(1); resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); c = os.fork()\nif c == 0: signal.pause()\nos.kill(c, 9); print(os.waitpid(c, 0)[1])",
            victim.pid(), std::process::id()
        )));
        assert_eq!(outcome.stdout, "9\n", "{outcome:#?}");
        assert!("SR".contains(victim.state()), "{}", victim.state());
        stopped("P03", "kill, ptrace, process_vm_readv, pidfd_getfd, prlimit, setpriority on a victim and our own", "seccomp; Landlock: signals stay inside", &format!("victim in state {}", victim.state()));
    }

    fn p03_a_signal_to_everybody_reaches_the_box_alone() {
        let place = Place::new();
        let victim = Victim::new();
        let outcome = run_b(&place, &place.python(
            "import os, signal, time\nc = os.fork()\nif c == 0:\n  os.setsid(); time.sleep(60)\n  os._exit(0)\ntime.sleep(0.2)\nos.kill(-1, 15); print(os.waitpid(c, 0)[1])",
        ));
        assert_eq!(outcome.stdout, "15\n", "{outcome:#?}");
        assert!("SR".contains(victim.state()));
        stopped("P03", "kill(-1, SIGTERM)", "Landlock: signals stay inside", &format!("victim in state {}", victim.state()));
    }

    fn p04_p05_no_descriptor_and_no_variable_comes_along() {
        let place = Place::new();
        std::fs::write(place.path("secret"), "TOP-SECRET").unwrap();
        let left_open = std::fs::File::open(place.path("secret")).unwrap();
        rustix::io::fcntl_setfd(&left_open, rustix::io::FdFlags::empty()).unwrap();
        let outcome = run_b(&place, &place.spec(&format!(
            "env | sed 's/=.*//' | sort | tr '\\n' ' '; for fd in $(seq 3 255); do ( cat <&$fd ) 2>/dev/null && echo OPEN $fd; done; \
             python3 -c 'import os; print(sorted(os.listdir(\"/proc/self/fd\")) if os.path.isdir(\"/proc/self/fd\") and os.access(\"/proc/self/fd\", os.R_OK) and False else \"quiet\")'; ls -l /proc/$$/fd | grep -c secret; cat /proc/self/fd/{}",
            left_open.as_raw_fd()
        )));
        assert_eq!(outcome.stdout, "GIT_CONFIG_NOSYSTEM HOME LANG PATH PWD RES_OPTIONS SHLVL TMPDIR _ quiet\n0\n", "{outcome:#?}");
        stopped("P04-P05", "descriptors 3 to 255; the environment", "allow-lists", &outcome.stdout);
    }

    fn p06_no_namespace_can_be_made() {
        let place = Place::new();
        let outcome = run_b(&place, &place.spec(
            "for f in -Ur -Urm -n -m -p -i -u -C -T; do unshare $f true 2>/dev/null && echo NESTED $f; done; \
             unshare -Urm mount -t tmpfs t /mnt 2>/dev/null && echo MOUNTED; \
             python3 -c 'import threading; t = threading.Thread(target=print, args=(\"thread\",)); t.start(); t.join()'; (echo child); \
             grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/$$/status | tr -d '\\t\\n'",
        ));
        assert_eq!(outcome.stdout, "thread\nchild\nCapEff:0000000000000000NoNewPrivs:1Seccomp:2", "{outcome:#?}");
        stopped("P06", "unshare -Ur -n -m -p -i -u -C -T", "seccomp", &outcome.stdout);
    }

    fn p08_mounts_and_namespaces_cannot_be_touched() {
        let place = Place::new();
        let victim = Victim::new();
        let outcome = run_b(&place, &place.python(&calls(&format!(
            "for pid in (os.getpid(), {}, os.getppid(), 1):\n  for kind in ('net', 'mnt', 'pid', 'user', 'ipc'):\n    \
               try: fd = os.open(f'/proc/{{pid}}/ns/{{kind}}', os.O_RDONLY)\n    except OSError: continue\n    \
               pid == os.getpid() or print('OPENED', pid, kind)\n    \
               l.setns(fd, 0) == -1 and ctypes.get_errno() == 1 or print('JOINED', pid, kind)\n\
             f = os.pidfd_open({}); c('setns', 308, f, 0x40000000)\n\
             for n, *a in [('mount', 165, 0, 0, 0, 0, 0), ('umount2', 166, 0, 2), ('pivot_root', 155, 0, 0), \
             ('chroot', 161, 0), ('open_tree', 428, -100, 0, 1), ('move_mount', 429, 0, 0, 0, 0, 4), ('fsopen', 430, 0, 0), \
             ('fsmount', 432, 0, 0, 0), ('mount_setattr', 442, 0, 0, 0, 0, 0), ('sethostname', 170, 0, 0)]: c(n, *a)\n\
             c('clone3', 435, 0, 0)\nprint(open('readme.txt').read(), end='')", victim.pid(), victim.pid()
        ))));
        let refused = ["setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsmount", "mount_setattr", "sethostname"]
            .map(|name| format!("{name} EPERM\n")).concat();
        assert_eq!(outcome.stdout, refused + "clone3 ENOSYS\nhello from the host\n", "{outcome:#?}");
        stopped("P08", "setns by /proc/PID/ns and pidfd, mount, open_tree, move_mount, fsopen, mount_setattr, pivot_root", "seccomp; Landlock: no entry of another process", &outcome.stdout);
    }

    fn p09_p10_the_kernels_wide_surface_is_not_there() {
        let place = Place::new();
        let outcome = run_b(&place, &place.python(&calls(
            "for n in (425, 426, 427): c('io_uring', n, 8, 0)\n\
             for n in (321, 298, 323, 250, 248, 249, 303, 304, 179, 246, 320, 175, 313, 176, 163, 167, 168, 164, 227, 305, 154, 103, 172, 173, 300, 169): c('surface', n, 0, 0, 0, 0, 0)\n\
             c('personality', 135, 0x0040000)\nc('x32', 0x40000000 + 39)\nc('unknown', 999)\n\
             for n, *a in [('shmget', 29, 1, 1, 0o1600), ('mq_open', 240, 0, 0x42, 0o600, 0)]: c(n, *a)\n\
             c('personality', 135, 0xffffffff)\nc('getpid', 39)",
        )));
        let expected = "io_uring ENOSYS\n".repeat(3) + &"surface EPERM\n".repeat(26)
            + "personality EPERM\nx32 ENOSYS\nunknown ENOSYS\nshmget ENOSYS\nmq_open ENOSYS\npersonality WORKED\ngetpid WORKED\n";
        assert_eq!(outcome.stdout, expected, "{outcome:#?}");
        for (id, tried) in [("P09", "io_uring"), ("P10", "bpf, perf, userfaultfd, keyctl, open_by_handle_at, kexec, x32 …")] {
            stopped(id, tried, "seccomp allow-list", &outcome.stdout);
        }
    }

    fn p14_only_streams_of_three_families_exist() {
        let place = Place::new();
        let outcome = run_b(&place, &place.python(
            "import socket\n\
             for f, t, p in [(16, 3, 0), (16, 3, 12), (16, 3, 16), (17, 3, 0), (40, 1, 0), (38, 5, 0), (31, 3, 0), (29, 3, 0), (41, 1, 0), (44, 3, 0), \
             (2, 3, 1), (2, 3, 6), (10, 3, 58), (2, 1, 132), (2, 1, 262), (2, 2, 1), (2, 2, 0), (10, 2, 0), (1, 2, 0)]:\n  \
             try: socket.socket(f, t, p); print('MADE', f, t, p)\n  except OSError as e: pass\n\
             for f in (1, 2, 10): socket.socket(f, 1, 0)\n\
             a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))",
        )).succeeded();
        assert_eq!(outcome.stdout, "b'x'\n");
        stopped("P14", "AF_NETLINK, PACKET, VSOCK, ALG, BLUETOOTH, CAN, KCM, XDP, raw and datagram sockets", "seccomp: families and kinds by value", &"none of 19 made");
    }

    fn p24_control_groups_can_be_neither_joined_nor_changed() {
        let place = Place::new();
        let outcome = run_b(&place, &place.python(
            "import os, ctypes\nl = ctypes.CDLL(None, use_errno=True)\nn = 0\n\
             places = ['/sys/fs/cgroup'] + ['/sys/fs/cgroup/' + k for k in ('unified', 'memory', 'pids', 'cpu')]\n\
             try: own = [line.strip().split(':', 2) for line in open('/proc/self/cgroup')]\nexcept OSError: own = []\n\
             places += [p + path for p in places for _, _, path in own]\n\
             for p in places:\n  \
               for f, text in (('cgroup.procs', '0'), ('tasks', '0'), ('cgroup.threads', '0'), ('memory.max', 'max'), ('memory.limit_in_bytes', '-1'), ('pids.max', 'max'), ('cgroup.kill', '0')):\n    \
                 try: open(p + '/' + f, 'w').write(text); print('WROTE', p, f)\n    except OSError as e: n += 1\n  \
               try: os.mkdir(p + '/box-escape'); print('MADE', p)\n  except OSError: n += 1\n\
             os.mkdir('cg')\nfor kind in (b'cgroup', b'cgroup2'): print(l.mount(kind, b'cg', kind, 0, None), ctypes.get_errno())\nprint(n >= 40)",
        )).succeeded();
        assert_eq!(outcome.stdout, "-1 1\n-1 1\nTrue\n", "{outcome:#?}");
        stopped("P24", "write cgroup.procs, memory.max, pids.max of its own and other groups; mkdir; mount cgroup2", "Landlock: /sys is not in the allow-list; seccomp", &outcome.stdout);
    }

    fn p15_a_filter_or_domain_of_its_own_only_narrows() {
        let place = Place::new();
        let outcome = run_b(&place, &place.python(
            "import ctypes, struct, os, socket\nlibc = ctypes.CDLL(None, use_errno=True)\n\
             code = struct.pack('HBBI', 6, 0, 0, 0x7fff0000); text = ctypes.create_string_buffer(code); prog = struct.pack('HxxxxxxP', 1, ctypes.addressof(text))\n\
             print(libc.prctl(22, 2, prog, 0, 0)); r = libc.syscall(317, 1, 8, prog); print(r, ctypes.get_errno())\n\
             s = socket.socket(); s.settimeout(5)\ntry: s.connect(('127.0.0.1', 22)); print('REACHED')\nexcept OSError as e: print(e.strerror)\n\
             try: open('/root/x' if os.getuid() else '/etc/shadow')\nexcept OSError: print('closed')",
        ));
        // One listener a process: ours.
        assert_eq!(outcome.stdout, "0\n-1 16\nConnection refused\nclosed\n", "{outcome:#?}");
        stopped("P15", "install a filter, a second listener", "filters only add up; one listener a process", &outcome.stdout);
    }

    fn p16_p17_the_way_a_program_is_started_gives_it_nothing() {
        let place = Place::new();
        let outcome = run_b(&place, &place.spec(
            "cp /bin/cat copy; ./copy /etc/shadow && echo READ; for l in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do test -e $l && $l ./copy /etc/shadow && echo READ; done; \
             su -c id root < /dev/null 2>/dev/null && echo SU; sudo -n id 2>/dev/null && echo SUDO; ./copy readme.txt",
        ));
        assert_eq!(outcome.stdout, "hello from the host\n", "{outcome:#?}");
        stopped("P16-P17", "ld-linux.so ./copy, su, sudo", "no new privileges; no path is a boundary", &outcome.stderr);
    }

    fn p18_p25_nobody_outlives_the_run() {
        let place = Place::new();
        let mark = mark("daemons");
        let script = format!(
            "setsid nohup sleep {mark} >/dev/null 2>&1 & (setsid sleep {mark} & ) ; (sleep {mark} & disown); python3 -c 'import os\nfor _ in range(30):\n  if os.fork() == 0: os.setsid(); os._exit(0) if os.fork() else os.execvp(\"sleep\", [\"sleep\", \"{mark}\"])'; \
             kill -9 $PPID; kill -STOP $PPID; sleep 0.2; echo done"
        );
        let outcome = run_b(&place, &place.spec(&script));
        assert_eq!((outcome.stdout.as_str(), outcome.exit.code()), ("done\n", 0), "{outcome:#?}");
        assert_eq!(running_with(&mark), 0);
        stopped("P18", "setsid, nohup, double forks; kill -9 of the parent", "the keeper, a foster parent to all; signals stay inside", &"nobody left");
        stopped("P25", "SIGKILL and SIGSTOP of the keeper", "Landlock: signals stay inside", &(outcome.exit.reason, &outcome.stdout));
    }

    fn p18_a_box_that_is_ended_or_dropped_leaves_nobody() {
        let place = Place::new();
        let mark = mark("ended!");
        let script = format!("setsid sleep {mark} & echo up; trap '' TERM INT; sleep {mark}");
        for drop_it in [false, true] {
            let mut running = start_b(&place, &place.spec(&script));
            let mut up = [0; 3];
            std::fs::File::from(running.stdio.stdout.take().unwrap()).read_exact(&mut up).unwrap();
            soon("both sleepers", || running_with(&mark) == 2);
            if drop_it {
                drop(running);
            } else {
                running.life.kill().unwrap();
                assert_eq!(running.life.wait().unwrap().reason, Reason::Killed);
            }
            assert_eq!(running_with(&mark), 0);
        }
        stopped("P18", "a box that is ended or dropped, its daemons deaf to TERM", "the keeper kills until nobody is left", &"nobody left");
    }

    fn p19_a_fork_bomb_is_bounded_and_ends_with_the_box() {
        let place = Place::new();
        let mark = mark("bombs");
        let mut spec = place.python(&format!(
            "import os, time\nn = 0\n\
             while n < 5000:\n  try:\n    if os.fork() == 0: os.execvp('sleep', ['sleep', '{mark}'])\n    n += 1\n  except OSError: break\nprint(n < 1000)"
        ));
        spec.limits.pids = 64;
        let outcome = run_b(&place, &spec);
        assert_eq!(outcome.stdout, "True\n", "{outcome:#?}");
        assert_eq!(running_with(&mark), 0);
        stopped("P19", "fork without end", "process limit of the user; the keeper", &outcome.stdout);
    }

    fn p20_only_the_box_that_takes_too_much_memory_is_ended() {
        let place = Place::new();
        let mut spec = place.python("import time\nb = bytearray(1 << 30)\nfor i in range(0, len(b), 4096): b[i] = 1\ntime.sleep(60)");
        spec.limits.memory_bytes = 96 << 20;
        let outcome = run_b(&place, &spec);
        let refused_at_once = outcome.stderr.contains("MemoryError");
        assert!(outcome.exit.reason == Reason::MemoryLimit || refused_at_once, "{outcome:#?}");
        assert_eq!(run_b(&place, &place.spec("echo fine")).stdout, "fine\n");
        stopped("P20", "1 GiB under 96 MiB", "control group, or watchdog and RLIMIT_DATA", &(outcome.exit.reason, outcome.exit.peak));
    }

    fn p21_cpu_time_stays_within_its_share_and_another_box_gets_its_work_done() {
        let place = Place::new();
        let told = support::spin_beside(|spec| start_b(&place, spec), &place);
        stopped("P21", "8 busy shells under 30 %, another box at work", "CPU control group, or said to be absent", &told);
    }

    fn p22_time_that_is_up_ends_the_box() {
        let place = Place::new();
        let mark = mark("clock");
        let mut spec = place.spec(&format!("trap '' TERM INT; setsid sleep {mark} & sleep {mark}"));
        spec.limits.wall = Some(Duration::from_millis(700));
        let outcome = run_b(&place, &spec);
        assert_eq!(outcome.exit.reason, Reason::WallClock);
        assert_eq!(running_with(&mark), 0);
        stopped("P22", "trap '' TERM; setsid sleep", "the keeper's clock", &outcome.exit.reason);
    }

    fn p13_the_terminal_is_the_boxs_own() {
        let place = Place::new();
        let mut spec = place.python(
            "import os, fcntl, sys\nprint(os.isatty(0), os.ttyname(0) == os.ttyname(1), open('/dev/tty').isatty())\n\
             def no(f):\n  try: f(); print('DID')\n  except OSError as e: print('no')\n\
             no(lambda: fcntl.ioctl(0, 0x5412, b'x')); no(lambda: os.open('/dev/ptmx', os.O_RDWR))\n\
             others = [p for p in ('/dev/pts/%d' % i for i in range(64)) if os.path.exists(p) and p != os.ttyname(0)]\n\
             for p in others:\n  try: os.open(p, os.O_RDWR); print('OPENED', p)\n  except OSError: pass\n",
        );
        spec.stdio = Stdio { stdin: Stream::Pty, stdout: Stream::Pty, stderr: Stream::Piped, size: WindowSize { rows: 30, cols: 99 } };
        let mut running = start_b(&place, &spec);
        let pty = running.stdio.pty.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = Vec::new();
            // A terminal whose last user is gone answers with an error.
            std::fs::File::from(pty).read_to_end(&mut text).ok();
            String::from_utf8_lossy(&text).replace("\r\n", "\n")
        });
        let outcome = drain(&mut running);
        let seen = reader.join().unwrap();
        assert_eq!(seen, "True True True\nno\nno\n", "{outcome:#?}");
        stopped("P13", "TIOCSTI, /dev/ptmx, other terminals", "a pty of its own; seccomp; Landlock", &seen);
    }

    fn the_report_says_what_is_lost_and_who_needs_tier_a_gets_nothing_less() {
        let place = Place::new();
        let running = start_b(&place, &place.spec("true"));
        let lost: Vec<_> = running.report.items().iter().filter(|item| item.strength == Strength::Absent).map(|item| item.name).collect();
        for name in ["namespaces", "processes seen", "datagrams", "end of the box"] {
            assert!(lost.contains(&name), "{name}: {lost:?}");
        }
        assert!(running.report.to_string().starts_with("tier B\n"));
        let refused = bartizan_sandbox::start(&place.spec("true"), &Accept::OnlyA).unwrap_err().to_string();
        assert!(refused.contains("hint: "), "{refused}");
    }

    fn k09_a_supervisor_that_is_killed_takes_the_box_with_it() {
        let place = Place::new();
        let mark = mark("orphans");
        let mut supervisor = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "supervise_until_killed", "--ignored", "--nocapture"])
            .env("BARTIZAN_TEST_MARK", &mark)
            .env("BARTIZAN_TEST_PLACE", place.directory.path())
            .stdout(Pipes::piped())
            .spawn()
            .unwrap();
        soon("the box's processes", || running_with(&mark) == 3);
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        soon("the end of the box", || running_with(&mark) == 0);
        // What the killed one left on the disk goes at the next start.
        let left = || std::fs::read_dir(place.path("state")).map_or(0, |entries| entries.flatten().count());
        drop(run_b(&place, &place.spec("true")));
        assert_eq!(left(), 0);
        stopped("P27", "kill -9 of the supervisor", "PDEATHSIG and a socket that closes", &"nobody left, nothing on the disk");
    }
}

#[test]
#[ignore = "started by another test, which kills it (issue 3)"]
fn supervise_until_killed() {
    let mark = std::env::var("BARTIZAN_TEST_MARK").unwrap();
    let place = Place::new();
    let script = format!("setsid sleep {mark} & (sleep {mark} &) ; sleep {mark}");
    let spec = place.spec(&script);
    let folders = std::path::PathBuf::from(std::env::var_os("BARTIZAN_TEST_PLACE").unwrap());
    let folders = folders.canonicalize().unwrap().join("state");
    let mut running = bartizan_sandbox::start(&spec, &Accept::OrB { folders }).unwrap();
    std::io::stdout().write_all(b"up\n").unwrap();
    running.life.wait().unwrap();
}
