//! Which attacks on processes and the kernel does the box stop, and does ordinary work go on beside them?
//!
//! Numbers are those of the attack catalogue (P). Every attack has its legitimate twin in the same test.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop, and plays what is outside the box"
)]
mod support;
use bartizan_sandbox::{Reason, Stdio, WindowSize};
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use support::table::stopped;
use support::{Place, drain, run, soon, start};

/// A process of the same user outside the box, with a secret in its environment.
struct Victim(Child);

impl Victim {
    fn new() -> Self {
        let child =
            Command::new("sleep").arg("1000").env("VICTIM_TOKEN", "TOP-SECRET").spawn().unwrap();
        Self(child)
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn is_untouched(&mut self) -> bool {
        let state = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        self.0.try_wait().unwrap().is_none() && state.contains(") S ")
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Python that makes raw system calls and prints how each ended.
fn calls(list: &str) -> String {
    format!(
        "import ctypes, errno, os\nl = ctypes.CDLL(None, use_errno=True)\n\
         def c(name, *a):\n  r = l.syscall(*[ctypes.c_long(x) for x in a])\n  e = ctypes.get_errno()\n  \
         print(name, 'WORKED' if r >= 0 else errno.errorcode[e])\n{list}\n"
    )
}

for_everyone! {
    fn p01_only_the_boxs_own_processes_and_network_are_seen() {
        let place = Place::new();
        let victim = Victim::new();
        let outcome = place.run(&format!(
            "ls /proc | grep -E '^[0-9]+$' | grep -c .; ps -eo args | grep -c 'sleep 1000'; test -e /proc/{} && echo SEEN; \
             grep -vc 'sl\\|127.0.0\\|:0\\|00000000' /proc/net/tcp; cat /proc/net/route | wc -l; ps -o comm= -p $$; ls /proc/1 2>&1 | grep -c 'No such'",
            victim.id()
        ));
        let lines: Vec<_> = outcome.stdout.lines().collect();
        assert!(lines[0].parse::<u32>().unwrap() < 8, "{outcome:#?}");
        assert!(!outcome.stdout.contains("SEEN"), "{outcome:#?}");
        assert!(outcome.stdout.contains("bash\n"), "{outcome:#?}");
        stopped("P01", "ls /proc; ps; cat /proc/net/tcp", "pid and net namespaces; fresh /proc", &outcome.stdout);
    }

    fn p02_environment_and_command_line_of_others_cannot_be_read() {
        let place = Place::new();
        let victim = Victim::new();
        let outcome = place.run(&format!(
            "cat /proc/{0}/environ /proc/{0}/cmdline /proc/1/environ /proc/1/maps /proc/1/mem; cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep VICTIM; \
             cat /proc/self/cmdline | tr '\\0' ' '", victim.id()
        ));
        assert_eq!(outcome.stdout, "cat /proc/self/cmdline ", "{outcome:#?}");
        stopped("P02", "cat /proc/PID/environ of a host process, /proc/1/mem", "pid namespace; hidepid=2; not dumpable", &outcome.stderr);
    }

    fn p03_others_cannot_be_signalled_traced_or_read() {
        let place = Place::new();
        let mut victim = Victim::new();
        let script = calls(&format!(
            "for pid in ({}, {}):\n  c('kill', 62, pid, 19)\n  c('pidfd', 434, pid, 0)\n\
             for pid in ({}, 1):\n  c('ptrace', 101, 16, pid, 0, 0)\n  c('readv', 310, pid, 0, 0, 0, 0, 0)\n  c('getfd', 438, 0, 0, 0)\n\
             c('stop1', 62, 1, 19)\n\
             import signal, subprocess\np = subprocess.Popen(['sleep', '9'])\np.kill()\nprint('own', p.wait())",
            victim.id(), std::process::id(), victim.id()
        ));
        let outcome = run(&place.python(&script));
        assert_eq!(
            outcome.stdout,
            "kill ESRCH\npidfd ESRCH\nkill ESRCH\npidfd ESRCH\nptrace EPERM\nreadv EPERM\ngetfd EPERM\nptrace EPERM\nreadv EPERM\ngetfd EPERM\n\
             stop1 WORKED\nown -9\n",
            "{outcome:#?}"
        );
        assert!(victim.is_untouched());
        stopped("P03", "kill, ptrace, process_vm_readv, pidfd_getfd on the supervisor, a host process, pid 1", "pid namespace; seccomp", &outcome.stdout);
    }

    fn p04_no_descriptor_of_the_supervisor_is_inherited() {
        let place = Place::new();
        fs::write(place.path("secret"), "TOP-SECRET").unwrap();
        let held = fs::File::open(place.path("secret")).unwrap();
        rustix::io::fcntl_setfd(&held, rustix::io::FdFlags::empty()).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&held);
        let outcome = place.run(&format!("cat <&{number}; python3 -c 'import os; print(os.listdir(\"/proc/self/fd\"))'; echo in | cat"));
        assert_eq!(outcome.stdout, "['0', '1', '2', '3']\nin\n", "{outcome:#?}");
        assert!(outcome.stderr.contains("Bad file descriptor"), "{outcome:#?}");
        stopped("P04", "read descriptor N that the supervisor left open", "close_range before anything runs", &outcome.stderr);
    }

    fn p05_nothing_of_the_launching_environment_is_inside() {
        let place = Place::new();
        let outcome = place.run("env | sort; tr '\\0' '\\n' < /proc/self/environ | grep -ciE 'key|token|secret|cargo|ssh_|dbus'");
        assert_eq!(
            outcome.stdout,
            format!("HOME=/home/agent\nLANG=C\nPATH=/usr/bin:/bin:/usr/sbin:/sbin\nPWD={}\nSHLVL=1\n_=/usr/bin/env\n0\n", place.workspace.display()),
            "{outcome:#?}"
        );
        stopped("P05", "env | grep -iE 'key|token|secret'", "environment is an allow-list", &outcome.stdout);
    }

    fn p06_no_namespace_can_be_nested() {
        let place = Place::new();
        let outcome = place.run(
            "for f in -Ur -Urm -n -m -p -i -u -C -T; do unshare $f true 2>/dev/null && echo NESTED $f; done; \
             unshare -Urm mount -t tmpfs t /mnt 2>/dev/null && echo MOUNTED; cat /proc/sys/user/max_user_namespaces; \
             python3 -c 'import threading; t = threading.Thread(target=print, args=(\"thread\",)); t.start(); t.join()'; (echo child)",
        );
        assert_eq!(outcome.stdout, "0\nthread\nchild\n", "{outcome:#?}");
        stopped("P06", "unshare -Ur -n -m -p -i -u -C -T", "seccomp; max_user_namespaces 0", &outcome.stdout);
    }

    fn p08_mounts_and_namespaces_cannot_be_touched() {
        let place = Place::new();
        let script = calls(
            "fd = os.open('/proc/self/ns/net', os.O_RDONLY)\n\
             for n, *a in [('setns', 308, fd, 0), ('mount', 165, 0, 0, 0, 0, 0), ('umount2', 166, 0, 2), ('pivot_root', 155, 0, 0), \
             ('chroot', 161, 0), ('open_tree', 428, -100, 0, 1), ('move_mount', 429, 0, 0, 0, 0, 4), ('fsopen', 430, 0, 0), \
             ('fsmount', 432, 0, 0, 0), ('mount_setattr', 442, 0, 0, 0, 0, 0), ('sethostname', 170, 0, 0)]: c(n, *a)\n\
             c('clone3', 435, 0, 0)\nc('openat2', 437, 0, 0, 0, 0)\nprint(open('readme.txt').read(), end='')",
        );
        let expected = ["setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsmount", "mount_setattr", "sethostname"]
            .map(|name| format!("{name} EPERM\n")).concat();
        let outcome = run(&place.python(&script));
        assert_eq!(outcome.stdout, expected + "clone3 ENOSYS\nopenat2 ENOSYS\nhello from the host\n", "{outcome:#?}");
        stopped("P08", "setns, mount, open_tree, move_mount, fsopen, mount_setattr, pivot_root", "seccomp; no capability", &outcome.stdout);
    }

    fn p09_p10_the_kernels_wide_surface_is_not_there() {
        let place = Place::new();
        let script = calls(
            "for n in (425, 426, 427): c('io_uring', n, 8, 0)\n\
             for n in (321, 298, 323, 250, 248, 249, 303, 304, 179, 246, 320, 175, 313, 176, 163, 167, 168, 164, 227, 305, 154, 103, 172, 173, 300, 169): c('surface', n, 0, 0, 0, 0, 0)\n\
             c('personality', 135, 0x0040000)\nc('x32', 0x40000000 + 39)\nc('unknown', 999)\n\
             c('personality', 135, 0xffffffff)\nc('getpid', 39)",
        );
        let outcome = run(&place.python(&script));
        let expected = "io_uring ENOSYS\n".repeat(3) + &"surface EPERM\n".repeat(26)
            + "personality EPERM\nx32 ENOSYS\nunknown ENOSYS\npersonality WORKED\ngetpid WORKED\n";
        assert_eq!(outcome.stdout, expected, "{outcome:#?}");
        stopped("P09/P10", "io_uring, bpf, perf, userfaultfd, keyctl, open_by_handle_at, kexec, x32 …", "seccomp allow-list", &outcome.stdout);
    }

    fn p13_no_terminal_but_the_boxs_own_can_be_typed_into() {
        let place = Place::new();
        let mut spec = place.python(
            "import fcntl, os, termios\n\
             def t(n, r, a):\n  try: fcntl.ioctl(0, r, a); print(n, 'WORKED')\n  except OSError as e: print(n, e.strerror)\n\
             t('sti', termios.TIOCSTI, b'x')\nt('linux', 0x541c, b'\\x03')\nt('high', 0x100005412 - (1 << 32), b'x')\n\
             print(os.ttyname(0), os.get_terminal_size(), open('/dev/tty', 'w').write('to the tty\\n'))\nprint(os.getsid(0) == os.getpid())",
        );
        spec.stdio = Stdio::pty(WindowSize { rows: 31, cols: 97 });
        let mut running = start(&spec).unwrap();
        let mut screen = fs::File::from(running.stdio.pty.take().unwrap());
        let mut text = String::new();
        let mut bytes = [0; 4096];
        // The terminal reports EIO once its last user is gone.
        while let Ok(count @ 1..) = screen.read(&mut bytes) {
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        running.life.wait().unwrap();
        for line in ["sti Operation not permitted", "linux Operation not permitted", "high Operation not permitted", "to the tty",
                     "/dev/pts/0 os.terminal_size(columns=97, lines=31)", "True"] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        stopped("P13", "TIOCSTI, TIOCLINUX, high bits in the request", "seccomp; a terminal of its own", &text);
    }

    fn a_terminal_carries_input_and_changes_of_size() {
        let place = Place::new();
        let mut spec = place.spec("trap 'stty size' WINCH; echo ready; read line; echo got $line; exit 4");
        spec.stdio = Stdio::pty(WindowSize { rows: 24, cols: 80 });
        let mut running = start(&spec).unwrap();
        let pty = running.stdio.pty.as_ref().unwrap().try_clone().unwrap();
        let mut screen = fs::File::from(pty);
        let mut text = String::new();
        let mut bytes = [0; 4096];
        let mut until = |what: &str| {
            while !text.contains(what) {
                let count = screen.read(&mut bytes).unwrap();
                text.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        };
        until("ready");
        running.stdio.resize(50, 132).unwrap();
        fs::File::from(running.stdio.pty.as_ref().unwrap().try_clone().unwrap()).write_all(b"hello\n").unwrap();
        until("got hello");
        assert_eq!(running.life.wait().unwrap().reason, Reason::Exited(4));
        assert!(text.contains("50 132"), "{text}");
    }

    fn p14_only_ordinary_socket_families_exist() {
        let place = Place::new();
        let script = "import errno, socket\n\
             for f, t, p in [(16, 3, 12), (16, 3, 16), (17, 3, 0), (40, 1, 0), (38, 5, 0), (31, 3, 0), (29, 3, 0), (41, 1, 0), (44, 3, 0), \
             (2, 3, 1), (2, 3, 6), (10, 3, 58), (2, 1, 132), (2, 1, 262), (2, 2, 1)]:\n  \
             try: socket.socket(f, t, p); print('MADE', f, t, p)\n  except OSError as e: pass\n\
             for f, t in [(1, 1), (1, 2), (2, 1), (2, 2), (10, 1), (10, 2), (16, 3)]: socket.socket(f, t, 0)\n\
             a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1), [n for _, n in socket.if_nameindex()])\n";
        let outcome = run(&place.python(script)).succeeded();
        assert_eq!(outcome.stdout, "b'x' ['lo']\n");
        stopped("P14", "AF_NETLINK 12/16, PACKET, VSOCK, ALG, BLUETOOTH, CAN, KCM, XDP, raw", "seccomp: families by value", &"none of 15 made");
    }

    fn p15_a_filter_of_ones_own_narrows_and_never_widens() {
        let place = Place::new();
        // A filter that allows everything, then tries what the box refuses.
        let script = calls(
            "class P(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('f', ctypes.c_void_p)]\n\
             allow = (ctypes.c_ubyte * 8)(6, 0, 0, 0, 0, 0, 0xff, 0x7f)\np = P(1, ctypes.addressof(allow))\n\
             c('own filter', 317, 1, 0, ctypes.addressof(p))\nc('mount', 165, 0, 0, 0, 0, 0)\nc('unknown', 999)\nc('getpid', 39)",
        );
        let outcome = run(&place.python(&script)).succeeded();
        assert_eq!(outcome.stdout, "own filter WORKED\nmount EPERM\nunknown ENOSYS\ngetpid WORKED\n");
        stopped("P15", "install a filter that allows everything", "filters only add up", &outcome.stdout);
    }

    fn p16_every_way_to_start_a_program_stays_inside() {
        let place = Place::new();
        let check = "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\t\\n'; ls /root 2>&1 | grep -c 'No such'";
        let outcome = place.run(&format!(
            "cp /bin/bash b2; ./b2 -c \"{check}\"; /lib64/ld-linux-x86-64.so.2 ./b2 -c \"{check}\"; \
             python3 -c 'import os, sys; f = os.memfd_create(\"m\", 0); os.write(f, open(\"/bin/bash\", \"rb\").read()); \
             os.execve(f\"/proc/self/fd/{{f}}\", [\"m\", \"-c\", sys.argv[1]], os.environ)' \"{check}\"; LD_PRELOAD=/x /proc/self/root/bin/bash -c \"{check}\""
        ));
        let line = "CapEff:0000000000000000NoNewPrivs:1Seccomp:21\n";
        let without_memfd = outcome.stdout == line.repeat(3) && outcome.stderr.contains("Function not implemented");
        assert!(without_memfd || outcome.stdout == line.repeat(4), "{outcome:#?}");
        stopped("P16", "ld-linux.so ./prog, memfd, copy, LD_PRELOAD", "every wall is inherited, no path is a boundary", &outcome.stdout);
    }

    fn p17_no_program_gains_privileges() {
        let place = Place::new();
        let outcome = place.run(
            "su -c id root </dev/null >/dev/null 2>&1 && echo SU; sudo -n id >/dev/null 2>&1 && echo SUDO; mount 2>&1 >/dev/null; \
             python3 -c 'import os; os.setuid(0)' 2>/dev/null && echo ROOT; \
             find /usr/bin -perm -4000 | head -3 | while read f; do $f --help </dev/null >/dev/null 2>&1; done; \
             grep Cap /proc/self/status | grep -vc 0000000000000000; [ $(id -u) != 0 ] && echo plain",
        );
        assert_eq!(outcome.stdout, "0\nplain\n", "{outcome:#?}");
        stopped("P17", "su, sudo, setuid programs, setuid(0)", "no new privileges; nosuid; uid not mapped", &outcome.stdout);
    }

    fn p19_a_fork_bomb_hits_the_boxs_limit_and_the_run_ends() {
        let place = Place::new();
        let mut spec = place.spec("b() { b | b & }; b; sleep 1; echo over");
        spec.limits.pids = 60;
        spec.limits.wall = Some(Duration::from_secs(3));
        let began = Instant::now();
        let mut running = start(&spec).unwrap();
        let mut other = Victim::new();
        let outcome = drain(&mut running);
        assert!(began.elapsed() < Duration::from_mins(1), "{outcome:#?}");
        assert!(other.is_untouched());
        let mut twin = place.spec("for i in $(seq 20); do sleep 0.2 & done; wait; echo all");
        twin.limits.pids = 60;
        assert_eq!(run(&twin).succeeded().stdout, "all\n");
        stopped("P19", ":(){ :|:& };:", "process limit of the user namespace; wall clock", &outcome.exit.reason);
    }

    fn p20_a_memory_bomb_ends_only_its_own_box() {
        let place = Place::new();
        let mut twin = start(&place.python("import time; b = bytearray(64 << 20); time.sleep(1.5); print(len(b) >> 20)")).unwrap();
        let bomb = place.python("import time\nb = []\nwhile True: b.append(bytearray(b'x') * (16 << 20)); time.sleep(0.005)");
        let outcome = run(&bomb);
        let by_process_limit = outcome.stderr.contains("MemoryError");
        assert!(outcome.exit.reason == Reason::MemoryLimit || by_process_limit, "{outcome:#?}");
        assert!(outcome.exit.peak.memory_bytes.unwrap() > 100 << 20, "{outcome:#?}");
        assert_eq!(drain(&mut twin).succeeded().stdout, "64\n");
        stopped("P20", "allocate without end", "control group, or watchdog and RLIMIT_DATA", &(outcome.exit.reason, outcome.exit.peak));
    }

    fn p20_many_processes_together_cannot_pass_the_memory_limit() {
        let place = Place::new();
        let outcome = run(&place.python(
            "import os, time\nfor i in range(8):\n  if os.fork() == 0:\n    b = bytearray(b'x') * (120 << 20); time.sleep(5); os._exit(0)\ntime.sleep(3)\nprint('survived')",
        ));
        let kills = outcome.exit.peak.oom_kills.unwrap_or(0);
        assert!(outcome.exit.reason == Reason::MemoryLimit || kills > 0, "{outcome:#?}");
        stopped("P20", "8 processes of 120 MiB under 512 MiB", "control group, or watchdog", &(outcome.exit.reason, outcome.exit.peak));
    }

    fn p20_memory_that_belongs_to_no_process_is_bounded_too() {
        let place = Place::new();
        let outcome = run(&place.python(
            "import ctypes, errno, mmap, os\nl = ctypes.CDLL(None, use_errno=True)\nl.shmat.restype = ctypes.c_void_p\ntotal = 0\n\
             for i in range(64):\n  n = l.shmget(0, 32 << 20, 0o1600)\n  if n < 0: break\n  a = l.shmat(n, None, 0)\n  ctypes.memset(a, 1, 32 << 20); l.shmdt(ctypes.c_void_p(a)); total += 32\n\
             print('shm', total, flush=True)\n\
             try:\n  for i in range(64): f = os.memfd_create('m'); [os.write(f, b'x' * (1 << 20)) for _ in range(32)]\n  print('memfd unbounded')\nexcept OSError as e: print('memfd', errno.errorcode[e.errno])",
        ));
        // Where the kernel counts the memory of the box, that count ends it; otherwise each way has a bound of its own.
        let bounded = outcome.stdout == "shm 0\nmemfd ENOSYS\n";
        assert!(bounded || outcome.exit.reason == Reason::MemoryLimit, "{outcome:#?}");
        stopped("P20", "SysV segments and memfds that no process maps", "control group, or seccomp: absent", &(outcome.exit.reason, &outcome.stdout));
    }

    fn p20_what_waits_in_sockets_and_what_maps_nothing_is_bounded_too() {
        let place = Place::new();
        let sockets = "import socket, time\nkept, sent = [], 0\ntry:\n  while sent < 3 << 30:\n    a, b = socket.socketpair(); kept.append((a, b))\n    \
             for s in (a, b):\n      s.setblocking(False); s.setsockopt(1, 7, 1 << 30)\n      \
             try:\n        while True: sent += s.send(b'x' * 65536)\n      except BlockingIOError: pass\n    time.sleep(0.002)\n\
             except OSError as e: print(e)\ntime.sleep(3); print('SENT', sent >> 20)";
        // Reading what was never written costs no page, and 4 KiB of the kernel's for each 2 MiB all the same.
        let tables = "import ctypes, time\nl = ctypes.CDLL(None); l.mmap.restype = ctypes.c_void_p\nl.mmap.argtypes = [ctypes.c_void_p] + [ctypes.c_long] * 5\n\
             l.madvise.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_int]\nn = 0\nfor i in range(8):\n  at = l.mmap(None, 256 << 30, 1, 0x4022, -1, 0)\n  \
             assert at and at != 2 ** 64 - 1\n  l.madvise(at, 256 << 30, 15)\n  for off in range(0, 256 << 30, 2 << 20): ctypes.c_char.from_address(at + off).value; n += 1\n\
             time.sleep(3); print('MAPPED', n * 4 >> 10)";
        for (what, script) in [("unix sockets, each filled", sockets), ("page tables for 2 TiB", tables)] {
            let outcome = run(&place.python(script));
            let kills = outcome.exit.peak.oom_kills.unwrap_or(0);
            assert!(outcome.exit.reason == Reason::MemoryLimit || kills > 0, "{outcome:#?}");
            stopped("P20", what, "control group, or watchdog", &(outcome.exit.reason, outcome.exit.peak));
        }
        let twin = place.python("import socket\npairs = [socket.socketpair() for _ in range(100)]\nfor a, b in pairs: a.send(b'x' * 1000); assert len(b.recv(2000)) == 1000\nprint('fine')");
        assert_eq!(run(&twin).succeeded().stdout, "fine\n");
    }

    fn p20_no_scratch_space_holds_more_than_the_box_may_have() {
        let place = Place::new();
        let mut spec = place.spec("for at in /tmp /dev/shm ~; do head -c 120M /dev/zero > $at/x || echo FULL; rm $at/x; done; head -c 10M /dev/zero > /tmp/y && echo twin");
        (spec.limits.memory_bytes, spec.limits.scratch_bytes) = (64 << 20, 256 << 20);
        let outcome = run(&spec);
        let kills = outcome.exit.peak.oom_kills.unwrap_or(0);
        let bounded = outcome.stdout == "FULL\nFULL\nFULL\ntwin\n";
        assert!(bounded || kills > 0 || outcome.exit.reason == Reason::MemoryLimit, "{outcome:#?}");
        stopped("P20", "120 MiB in /tmp, /dev/shm and home of a box of 64 MiB", "control group, or size of the tmpfs", &(outcome.exit.reason, outcome.stdout));
    }

    fn the_box_is_offered_first_when_the_host_is_out_of_memory() {
        let place = Place::new();
        let outcome = place.run("cat /proc/self/oom_score_adj; echo -1000 > /proc/self/oom_score_adj && echo CHANGED; true");
        assert_eq!(outcome.stdout, "500\n", "{outcome:#?}");
    }

    fn p22_the_wall_clock_ends_what_will_not_end() {
        let place = Place::new();
        let mut spec = place.spec("trap '' TERM INT HUP; while :; do sleep 1000; done");
        spec.limits.wall = Some(Duration::from_secs(1));
        let outcome = run(&spec);
        assert_eq!(outcome.exit.reason, Reason::WallClock);
        assert!((Duration::from_millis(800)..Duration::from_mins(1)).contains(&outcome.took), "{outcome:#?}");
        stopped("P22", "trap '' TERM; sleep 1000", "pid 1's clock, SIGKILL by the kernel", &(outcome.exit.reason, outcome.took));
    }

    fn p24_control_groups_are_out_of_reach() {
        let place = Place::new();
        let outcome = place.run("ls /sys 2>&1 | grep -c 'No such'; find / -name 'cgroup.procs' 2>/dev/null | wc -l; cat /proc/self/cgroup | grep -c bartizan; echo fine");
        assert_eq!(outcome.stdout, "1\n0\n0\nfine\n", "{outcome:#?}");
        stopped("P24", "write cgroup.procs, find / -name cgroup.procs", "view: no /sys; cgroup namespace", &outcome.stdout);
    }

    fn p25_pid_1_can_be_neither_stopped_nor_flooded() {
        let place = Place::new();
        let outcome = run(&place.python(
            "import os, signal\nfor s in range(1, 65):\n  try: os.kill(1, s)\n  except OSError: pass\n\
             for i in range(300):\n  p = os.fork()\n  if p == 0:\n    (os.fork() == 0) and os._exit(0)\n    os._exit(0)\n  os.waitpid(p, 0)\n\
             print('still here', flush=True); os._exit(5)",
        ));
        assert_eq!((outcome.stdout.as_str(), outcome.exit.reason), ("still here\n", Reason::Exited(5)), "{outcome:#?}");
        stopped("P25", "every signal to pid 1; 300 orphans", "pid 1 of a namespace; it reaps", &(outcome.exit.reason, &outcome.stdout));
    }

    fn pid_1_holds_nothing_of_the_supervisors() {
        // On the heap, where a vault would hold it; spelled so that the program's own text does not.
        let secret = ["needle", "in", "the", "supervisor"].join("-").repeat(50);
        let place = Place::new();
        let mut running = start(&place.spec("sleep 1000")).unwrap();
        let pid = running.life.host_pid();
        if rustix::process::geteuid().is_root() {
            soon("forgetting", || {
                let mut words = fs::read(format!("/proc/{pid}/maps")).unwrap();
                words.retain(|b| *b != 0);
                !anonymous_memory(pid, &String::from_utf8(words).unwrap()).windows(secret.len()).any(|w| w == secret.as_bytes())
            });
            soon("closing", || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() == 5);
        } else {
            // Not even its own user can look.
            assert!(fs::read_dir(format!("/proc/{pid}/fd")).is_err() && fs::File::open(format!("/proc/{pid}/mem")).is_err());
        }
        running.life.kill().unwrap();
        running.life.wait().unwrap();
        assert!(secret.ends_with("supervisor"));
        stopped("P28", "look for the supervisor's heap in pid 1", "memory given back; not dumpable", &"secret not found");
    }

    fn a_start_amid_threads_that_allocate_never_hangs() {
        let place = Place::new();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let busy: Vec<_> = (0..6).map(|n: usize| {
            let stop = std::sync::Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    drop((0..200).map(|i| vec![0_u8; (i * 37 + n) % 5000]).collect::<Vec<_>>());
                }
            })
        }).collect();
        for _ in 0..15 {
            assert_eq!(place.run("echo here").succeeded().stdout, "here\n");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for thread in busy {
            thread.join().unwrap();
        }
    }

    fn p21_cpu_time_stays_within_its_share_and_another_box_gets_its_work_done() {
        let told = support::spin_beside(|spec| start(spec).unwrap(), &Place::new());
        stopped("P21", "8 busy shells under 30 %, another box at work", "CPU control group, or said to be absent", &told);
    }

    fn boxes_side_by_side_do_not_see_each_other() {
        let place = Place::new();
        let others: Vec<_> = (0..4).map(|_| {
            let spec = place.spec("echo mine > file; sleep 0.3; cat file; pgrep -c sleep; ls /tmp | grep -vE '^(box|home)-' | wc -l");
            std::thread::spawn(move || run(&spec).succeeded())
        }).collect();
        for other in others {
            assert_eq!(other.join().unwrap().stdout, "mine\n0\n0\n");
        }
        stopped("P26", "4 boxes on one workspace look for each other", "namespaces, an overlay each", &"each sees its own file, no process and no /tmp of another");
    }
}

/// The writable anonymous memory of a process; needs root.
fn anonymous_memory(pid: i32, maps: &str) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains("rw-p")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(address(end) - address(start)).unwrap()];
        if memory.read_exact_at(&mut bytes, address(start)).is_ok() {
            all.extend(bytes);
        }
    }
    all
}
