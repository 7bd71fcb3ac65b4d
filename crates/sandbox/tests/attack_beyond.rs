//! Which attacks does the catalogue forget, and does the box stop them too?
//!
//! Numbered B. Every attack has its legitimate twin in the same test.
#![expect(clippy::disallowed_methods, reason = "a test plays what is outside the box")]
mod support;
use bartizan_sandbox::{BoundSocket, Reason, WorkspaceMode};
use rustix::io::IoSlice;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use support::table::stopped;
use support::{Place, run};

/// Python that tries things and prints how each ended.
const TRY: &str = "import ctypes, errno, os, socket, sys\nl = ctypes.CDLL(None, use_errno=True)\n\
    def c(name, *a):\n  r = l.syscall(*[ctypes.c_long(x) for x in a]); e = ctypes.get_errno()\n  \
      print(name, f'WORKED {r}' if r >= 0 else errno.errorcode[e])\n\
    def t(name, f):\n  \
      try: print(name, 'WORKED', f())\n  \
      except OSError as e: print(name, errno.errorcode[e.errno])\n";

fn tried(place: &Place, script: &str) -> support::Outcome {
    run(&place.python(&format!("{TRY}{script}\n")))
}

for_everyone! {
    fn b01_pid_1_shows_neither_its_program_nor_its_memory() {
        let place = Place::new();
        // `/proc/1/exe` is the supervisor's own program: writing to it would change what the host runs next.
        let outcome = tried(&place,
            "for n in ('exe', 'mem', 'maps', 'root', 'cwd', 'fd', 'environ', 'ns/net', 'task/1/mem', 'syscall', 'stack'): t(n, lambda: os.open(f'/proc/1/{n}', os.O_RDONLY))\n\
             for n in ('exe', 'mem', 'oom_score_adj', 'comm'): t('w ' + n, lambda: os.open(f'/proc/1/{n}', os.O_RDWR))\n\
             t('link', lambda: os.readlink('/proc/1/exe'))\n\
             m = os.open('/proc/self/mem', os.O_RDONLY); t('own', lambda: os.close(m))");
        assert!(!outcome.stdout.replace("own WORKED", "").contains("WORKED"), "{outcome:#?}");
        assert!(outcome.stdout.ends_with("own WORKED None\n"), "{outcome:#?}");
        stopped("B01", "open /proc/1/{exe,mem,root,fd,ns}: the supervisor's program and memory", "not dumpable; hidepid=2", &outcome.stdout);
    }

    fn b02_no_setting_of_the_kernel_can_be_written() {
        let place = Place::new();
        let outcome = tried(&place,
            "for n in ('kernel/core_pattern', 'kernel/modprobe', 'kernel/hostname', 'kernel/domainname', 'kernel/ns_last_pid', 'kernel/sem', 'kernel/shmmax', 'fs/binfmt_misc/register', 'fs/mqueue/queues_max', \
             'net/ipv4/ip_forward', 'net/ipv4/ip_unprivileged_port_start', 'net/ipv4/conf/all/route_localnet', 'user/max_user_namespaces', 'vm/overcommit_memory', 'vm/drop_caches'): t(n, lambda: os.open('/proc/sys/' + n, os.O_WRONLY))\n\
             for n in ('sysrq-trigger', 'irq/default_smp_affinity', 'acpi/wakeup', 'self/uid_map', 'self/setgroups', 'self/projid_map', 'self/timens_offsets', 'self/attr/current', 'self/attr/exec'): t(n, lambda: os.write(os.open('/proc/' + n, os.O_WRONLY), b'0'))\n\
             print(open('/proc/sys/kernel/hostname').read().strip(), len(open('/proc/meminfo').read()) > 99)");
        let attempts = outcome.stdout.lines().filter(|line| line.contains("WORKED")).collect::<Vec<_>>();
        // The masks over files are `/dev/null`: writing there works and does nothing.
        assert!(attempts.iter().all(|line| line.starts_with("sysrq-trigger ")), "{outcome:#?}");
        assert!(outcome.stdout.ends_with("bartizan True\n"), "{outcome:#?}");
        stopped("B02", "write /proc/sys/*, /proc/self/{uid_map,setgroups,attr}", "read-only /proc; Landlock: no write in /proc", &outcome.stdout);
    }

    fn b03_no_mount_spreads_and_none_is_shared() {
        let place = Place::new();
        let outcome = tried(&place,
            "MS_SHARED, MS_REC, MS_SLAVE, MS_REMOUNT, MS_BIND = 1 << 20, 16384, 1 << 19, 32, 4096\n\
             r = ctypes.c_char_p(b'/')\n\
             for n, f in (('shared', MS_SHARED | MS_REC), ('slave', MS_SLAVE), ('remount rw', MS_REMOUNT | MS_BIND)): c(n, 165, 0, ctypes.cast(r, ctypes.c_void_p).value, 0, f, 0)\n\
             info = open('/proc/self/mountinfo').read(); print('shared:' in info or 'master:' in info, ' / / ro,' in info)");
        assert_eq!(outcome.stdout, "shared EPERM\nslave EPERM\nremount rw EPERM\nFalse True\n", "{outcome:#?}");
        stopped("B03", "mount --make-rshared /, remount,rw", "seccomp; no capability; private mounts", &outcome.stdout);
    }

    fn b04_a_directory_passed_in_over_a_socket_opens_nothing_outside_the_view() {
        let place = Place::new();
        fs::create_dir(place.path("outside")).unwrap();
        fs::write(place.path("outside/secret"), "TOP-SECRET").unwrap();
        let listener = UnixListener::bind(place.path("api.sock")).unwrap();
        let outside = fs::File::open(place.path("outside")).unwrap();
        let file = fs::File::open(place.workspace.join("readme.txt")).unwrap();
        let accomplice = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let fds = [outside.as_fd(), file.as_fd()];
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
            rustix::net::sendmsg(&stream, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
        });
        let mut spec = place.python(&format!("{TRY}\
             s = socket.socket(socket.AF_UNIX); s.connect('/tmp/api.sock'); _, fds, _, _ = socket.recv_fds(s, 9, 2)\n\
             d, f = fds\n\
             t('openat', lambda: os.open('secret', os.O_RDONLY, dir_fd=d))\nt('write', lambda: os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=d))\n\
             t('list', lambda: os.listdir(d))\nt('proc', lambda: os.open(f'/proc/self/fd/{{d}}/secret', os.O_RDONLY))\nt('up', lambda: os.open('..', os.O_RDONLY, dir_fd=d))\n\
             t('rename', lambda: os.rename('secret', '/tmp/x', src_dir_fd=d))\nt('link', lambda: os.link('secret', '/tmp/x', src_dir_fd=d))\nt('unlink', lambda: os.unlink('secret', dir_fd=d))\n\
             t('chdir', lambda: (os.fchdir(d), open('secret').read())[1])\nprint(os.read(f, 99))\n"));
        spec.sockets.push(BoundSocket { host: place.path("api.sock"), inside: "/tmp/api.sock".into() });
        let outcome = run(&spec);
        accomplice.join().unwrap();
        assert!(!outcome.stdout.contains("TOP-SECRET") && !outcome.stdout.replace("list WORKED", "").contains("WORKED"), "{outcome:#?}");
        assert!(outcome.stdout.ends_with("b'hello from the host\\n'\n"), "{outcome:#?}");
        assert_eq!(fs::read_dir(place.path("outside")).unwrap().count(), 1);
        stopped("B04", "a host directory's descriptor passed over a bound socket, then openat", "Landlock: the mount is outside its rules", &outcome.stdout);
    }

    fn b05_shared_memory_and_queues_of_the_host_are_others() {
        let place = Place::new();
        let made = std::process::Command::new("ipcmk").args(["-M", "4096", "-p", "0666"]).output().unwrap();
        let id = String::from_utf8(made.stdout).unwrap().rsplit(' ').next().unwrap().trim().to_owned();
        let outcome = tried(&place, &format!(
            "l.shmat.restype = ctypes.c_void_p\nr = l.shmat({id}, None, 0); print('host', 'WORKED' if r != ctypes.c_void_p(-1).value else errno.errorcode[ctypes.get_errno()])\n\
             print(len(open('/proc/sysvipc/shm').readlines()))\n\
             n = l.shmget(0, 4096, 0o1600); print('own', l.shmat(n, None, 0) != ctypes.c_void_p(-1).value)"));
        std::process::Command::new("ipcrm").args(["-m", &id]).output().unwrap();
        // Where no control group counts memory, System V memory does not exist at all.
        let absent = outcome.stdout.starts_with("host ENOSYS\n");
        assert!(absent || outcome.stdout == "host EINVAL\n1\nown True\n", "{outcome:#?}");
        stopped("B05", "shmat of a world-writable segment of the host", "ipc namespace; absent where uncounted", &outcome.stdout);
    }

    fn b06_no_door_of_prctl_leads_back_to_power() {
        let place = Place::new();
        let outcome = tried(&place,
            "for n, *a in [('no_new_privs off', 38, 0, 0, 0, 0), ('securebits', 28, 0), ('keepcaps', 8, 1), ('ambient', 47, 2, 21, 0, 0), ('seccomp off', 22, 0, 0), ('set_mm', 35, 8, 0, 0, 0), ('bounding', 24, 21)]: c(n, 157, *a)\n\
             for n, *a in [('setresuid', 117, 0, 0, 0), ('setgroups', 116, 1, 0), ('capset', 126, 0, 0), ('setfsuid', 122, 0)]: c(n, *a)\n\
             s = open('/proc/self/status').read(); print('NoNewPrivs:\\t1' in s, 'Seccomp:\\t2' in s, s.count('0000000000000000') >= 5)\n\
             c('name', 157, 15, ctypes.cast(ctypes.c_char_p(b'mine'), ctypes.c_void_p).value)\nprint(open('/proc/self/comm').read())");
        let lines: Vec<_> = outcome.stdout.lines().filter(|line| line.contains("WORKED")).collect();
        // `setfsuid` tells the old number and changes nothing.
        assert!(lines.iter().all(|line| line.starts_with("setfsuid ") || line.starts_with("name ")), "{outcome:#?}");
        assert!(outcome.stdout.ends_with("True True True\nname WORKED 0\nmine\n\n"), "{outcome:#?}");
        stopped("B06", "prctl: no_new_privs, securebits, ambient, seccomp, mm; setresuid, capset", "no capability, locked; no new privileges", &outcome.stdout);
    }

    fn b07_other_entrances_to_the_kernel_end_the_process() {
        let place = Place::new();
        let program = |code: &str| format!("{TRY}import mmap\nm = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex('{code}'))\n\
            f = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m))); print('got', f() > 0, flush=True)\n");
        if cfg!(target_arch = "x86_64") {
            // mov eax, 20 (getpid of i386); int 0x80; ret
            let old = run(&place.python(&program("b814000000cd80c3")));
            assert_eq!((old.stdout.as_str(), old.exit.reason), ("", Reason::Signalled(31)), "{old:#?}");
            // mov eax, 39 (getpid); syscall; ret
            assert_eq!(run(&place.python(&program("b8270000000f05c3"))).succeeded().stdout, "got True\n");
            stopped("B07", "int 0x80: the numbers of another architecture", "seccomp: architecture checked first", &old.exit.reason);
        }
    }

    fn b08_overlay_marks_cannot_be_forged_from_inside() {
        let place = Place::new();
        fs::create_dir(place.workspace.join("d")).unwrap();
        fs::write(place.workspace.join("d/f"), "from below\n").unwrap();
        let outcome = tried(&place,
            "for a in ('trusted.overlay.opaque', 'trusted.overlay.redirect', 'security.capability', 'system.posix_acl_access'): t(a, lambda: os.setxattr('d', a, b'/etc'))\n\
             for a in ('user.overlay.opaque', 'user.overlay.redirect', 'user.overlay.whiteout', 'user.overlay.metacopy', 'user.overlay.origin'):\n  \
               try: os.setxattr('d', a, b'y')\n  except OSError: pass\n\
             print(os.listdir('d'), open('d/f').read().strip())\n\
             t('whiteout', lambda: os.mknod('w', 0o020000 | 0o600, 0))\nt('ioctl', lambda: __import__('fcntl').ioctl(os.open('d/f', os.O_RDONLY), 0x40086602, b'\\x10' + bytes(7)))\n\
             os.unlink('d/f'); open('d/f', 'w').write('mine'); print(open('d/f').read())");
        assert!(!outcome.stdout.contains("WORKED"), "{outcome:#?}");
        assert!(outcome.stdout.contains("['f'] from below\n") && outcome.stdout.ends_with("mine\n"), "{outcome:#?}");
        stopped("B08", "forge trusted./user.overlay.* attributes and whiteouts", "no capability; overlay escapes its own names; seccomp", &outcome.stdout);
    }

    fn b09_links_and_reopened_descriptors_do_not_make_writable_what_is_not() {
        let place = Place::new();
        let outcome = tried(&place,
            "p = os.open('/usr/bin/env', os.O_PATH); r = os.open('/etc/passwd', os.O_RDONLY)\n\
             for n, f in (('O_PATH', p), ('read-only', r)): t('reopen ' + n, lambda: os.open(f'/proc/self/fd/{f}', os.O_RDWR))\n\
             t('link fd', lambda: os.link(f'/proc/self/fd/{p}', 'stolen', follow_symlinks=True))\nt('link /tmp', lambda: (open('/tmp/a', 'w'), os.link('/tmp/a', 'a'))[1])\n\
             c('empty path', 265, p, ctypes.cast(ctypes.c_char_p(b''), ctypes.c_void_p).value, -100, ctypes.cast(ctypes.c_char_p(b'e'), ctypes.c_void_p).value, 0x1000)\n\
             t('exe', lambda: os.open('/proc/self/exe', os.O_WRONLY))\nt('truncate', lambda: os.truncate('/usr/bin/env', 0))\nt('utime', lambda: os.utime('/usr/bin/env'))\nt('xattr', lambda: os.setxattr('/usr/bin/env', 'user.x', b'y'))\n\
             o = os.open('readme.txt', os.O_RDONLY); os.write(os.open(f'/proc/self/fd/{o}', os.O_WRONLY | os.O_TRUNC), b'own'); print(open('readme.txt').read())");
        assert!(!outcome.stdout.contains("WORKED"), "{outcome:#?}");
        assert!(outcome.stdout.ends_with("own\n"), "{outcome:#?}");
        stopped("B09", "reopen O_PATH and read-only descriptors through /proc/self/fd; link them", "read-only mounts; links never cross mounts", &outcome.stdout);
    }

    fn b10_the_network_of_the_box_cannot_be_rebuilt_from_inside() {
        let place = Place::new();
        let outcome = tried(&place,
            "import struct\ndef nl(kind, body):\n  s = socket.socket(16, 3, 0); s.send(struct.pack('=IHHII', 16 + len(body), kind, 5, 1, 0) + body); r = s.recv(4096)\n  return errno.errorcode.get(-struct.unpack_from('=i', r, 16)[0], 'WORKED')\n\
             print('lo down', nl(16, struct.pack('=BBHiII', 0, 0, 0, 1, 0, 1)))\nprint('route', nl(25, struct.pack('=BBBBBBBBI', 2, 0, 0, 0, 255, 4, 254, 2, 0)))\n\
             print('address', nl(20, struct.pack('=BBBBI', 2, 8, 0, 0, 1) + struct.pack('=HH4s', 8, 2, bytes([10, 0, 0, 1]))))\n\
             s = socket.socket()\nfor n, level, option in (('mark', 1, 36), ('transparent', 0, 19), ('ipv6 transparent', 41, 75), ('repair', 6, 19), ('rcvbufforce', 1, 33)): t(n, lambda: s.setsockopt(level, option, 1))\n\
             t('netfilter', lambda: socket.socket(16, 3, 12))\nt('veth', lambda: os.open('/dev/net/tun', 2))\nt('packet', lambda: socket.socket(17, 3, 3))\n\
             print(socket.if_nameindex())");
        assert!(!outcome.stdout.contains("WORKED"), "{outcome:#?}");
        assert!(outcome.stdout.ends_with("[(1, 'lo')]\n"), "{outcome:#?}");
        stopped("B10", "netlink: lo down, delete the capture route, add an address; IP_TRANSPARENT, SO_MARK, tun", "no capability; seccomp; no device", &outcome.stdout);
    }

    fn b11_killing_everything_ends_only_the_box_itself() {
        let place = Place::new();
        let outcome = place.run("sleep 1000 & bash -c 'kill -KILL -1'; echo over");
        assert_eq!(outcome.exit.reason, Reason::Signalled(9), "{outcome:#?}");
        assert_eq!(place.run("sleep 1000 & kill %1; wait; echo fine").succeeded().stdout, "fine\n");
        stopped("B11", "kill -KILL -1", "pid namespace; pid 1 has no handler to hit", &outcome.exit.reason);
    }

    fn b12_limits_of_pid_1_and_of_others_cannot_be_widened() {
        let place = Place::new();
        let outcome = tried(&place,
            "import resource as r\n\
             for n, k in (('nofile', r.RLIMIT_NOFILE), ('nproc', r.RLIMIT_NPROC), ('fsize', r.RLIMIT_FSIZE)):\n  \
               s, h = r.getrlimit(k)\n  \
               try: r.setrlimit(k, (h + 1, h + 1)); print(n, 'WORKED')\n  \
               except (OSError, ValueError) as e: print(n, type(e).__name__)\n\
             t('priority', lambda: os.setpriority(0, 0, os.getpriority(0, 0) - 1))\nt('realtime', lambda: os.sched_setscheduler(0, 1, os.sched_param(1)))\n\
             r.setrlimit(r.RLIMIT_NOFILE, (64, 64)); n = os.getpriority(0, 0); print(r.getrlimit(r.RLIMIT_NOFILE), os.nice(1) == n + 1)");
        assert!(!outcome.stdout.contains("WORKED"), "{outcome:#?}");
        assert!(outcome.stdout.ends_with("(64, 64) True\n"), "{outcome:#?}");
        stopped("B12", "raise RLIMIT_NPROC, NOFILE, FSIZE; negative nice; realtime", "no capability: hard limits hold", &outcome.stdout);
    }

    fn b13_credentials_on_a_bound_socket_cannot_be_forged() {
        let place = Place::new();
        let listener = UnixListener::bind(place.path("api.sock")).unwrap();
        let peer = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let uid = rustix::net::sockopt::socket_peercred(&stream).unwrap().uid.as_raw();
            std::io::copy(&mut &stream, &mut std::io::sink()).unwrap();
            uid
        });
        let mut spec = place.python(&format!("{TRY}import struct\n\
             s = socket.socket(socket.AF_UNIX); s.connect('/tmp/api.sock')\n\
             for n, cred in (('root', (1, 0, 0)), ('pid', (1, os.getuid(), os.getgid()))): t(n, lambda: s.sendmsg([b'x'], [(1, 2, struct.pack('3i', *cred))]))\n\
             t('own', lambda: s.sendmsg([b'x'], [(1, 2, struct.pack('3i', os.getpid(), os.getuid(), os.getgid()))]))"));
        spec.sockets.push(BoundSocket { host: place.path("api.sock"), inside: "/tmp/api.sock".into() });
        let outcome = run(&spec);
        assert_eq!(outcome.stdout, "root EINVAL\npid EPERM\nown WORKED 1\n", "{outcome:#?}");
        let uid = peer.join().unwrap();
        assert_ne!(uid, 0);
        stopped("B13", "SCM_CREDENTIALS of root or of pid 1 on a bound socket", "no capability; user namespace", &outcome.stdout);
    }

    fn b14_names_outside_the_view_cannot_be_watched() {
        let place = Place::new();
        fs::write(place.path("outside"), "").unwrap();
        let outcome = tried(&place, &format!(
            "i = l.inotify_init1(0)\nfor n in ('{}', '/root', '/etc/shadow', '/run'):\n  \
               r = l.inotify_add_watch(i, n.encode(), 0xfff); print('WATCHED' if r >= 0 else errno.errorcode[ctypes.get_errno()])\n\
             c('fanotify', 300, 0, 0)\nr = l.inotify_add_watch(i, b'readme.txt', 0xfff); open('readme.txt').read(); print(r > 0, len(os.read(i, 99)) > 0)", place.path("outside").display()));
        assert_eq!(outcome.stdout, "ENOENT\nENOENT\nENOENT\nENOENT\nfanotify EPERM\nTrue True\n", "{outcome:#?}");
        stopped("B14", "inotify and fanotify on files of the host", "view: absent; seccomp", &outcome.stdout);
    }

    fn b15_no_device_of_the_host_can_be_reached() {
        let place = Place::new();
        let outcome = tried(&place,
            "for n in ('mem', 'kmsg', 'kvm', 'fuse', 'userfaultfd', 'net/tun', 'vhost-vsock', 'loop-control', 'mapper/control', 'snapshot', 'uinput', 'console', 'tty0', 'sda', 'vda', 'dri/card0', 'cpu/0/msr', 'hpet', 'rtc'): t(n, lambda: os.open('/dev/' + n, os.O_RDONLY))\n\
             print(sorted(os.listdir('/dev')))\nprint(os.stat('/dev/shm').st_mode & 0o7777 == 0o1777, len(os.read(os.open('/dev/urandom', os.O_RDONLY), 8)))");
        assert!(!outcome.stdout.contains("WORKED"), "{outcome:#?}");
        assert!(outcome.stdout.ends_with("'fd', 'full', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'tty', 'urandom', 'zero']\nTrue 8\n"), "{outcome:#?}");
        stopped("B15", "/dev/{mem,kvm,fuse,userfaultfd,tun,vhost-vsock,vda}", "view: a /dev of six nodes", &outcome.stdout);
    }

    fn b16_a_link_in_the_workspace_changed_while_the_box_runs_leads_nowhere_new() {
        let place = Place::new();
        fs::create_dir_all(place.path("outside")).unwrap();
        fs::write(place.path("outside/secret"), "TOP-SECRET").unwrap();
        fs::create_dir(place.workspace.join("d")).unwrap();
        fs::write(place.workspace.join("d/secret"), "mine\n").unwrap();
        let outside = place.path("outside").display().to_string();
        for mode in [place.spec("").workspace_mode, WorkspaceMode::Direct] {
            let mut spec = place.python(&format!("{TRY}import threading, time\n\
                stop = time.time() + 1\ndef swap():\n  while time.time() < stop:\n    os.rename('d', 'e'); os.symlink('{outside}', 'd'); os.unlink('d'); os.rename('e', 'd')\n\
                w = threading.Thread(target=swap); w.start(); seen = set()\nwhile time.time() < stop:\n  \
                  try: seen.add(open('d/secret').read())\n  except OSError: pass\n\
                w.join(); print(seen)"));
            spec.workspace_mode = mode;
            assert_eq!(run(&spec).succeeded().stdout, "{'mine\\n'}\n");
        }
        stopped("B16", "swap a directory for a link outwards while it is read", "view: what a link names does not exist", &"only the box's own contents");
    }

    fn b17_queues_and_semaphores_are_no_memory_that_nobody_counts() {
        let place = Place::new();
        let outcome = tried(&place,
            "sets = 0\nwhile sets < 400 and l.semget(0, 32000, 0o600) >= 0: sets += 1\nprint('sets', sets, errno.errorcode[ctypes.get_errno()], flush=True)\n\
             c('queue', 68, 0, 0o600)\nprint('own', l.semget(0, 17, 0o600) >= 0)");
        // A control group of 512 MiB holds no 400 sets of 2 MB.
        let counted = outcome.exit.reason == Reason::MemoryLimit || outcome.exit.peak.oom_kills.is_some_and(|kills| kills > 0) || outcome.stdout.contains("ENOMEM");
        assert!(counted || outcome.stdout == "sets 0 ENOSPC\nqueue ENOSYS\nown True\n", "{outcome:#?}");
        stopped("B17", "400 sets of 32,000 semaphores (2 MB of the kernel's each), queues of empty messages", "control group, or seccomp", &(outcome.exit.reason, outcome.stdout));
    }

    fn b18_the_box_leaves_its_user_instances_to_watch_files_with() {
        let limit: u64 = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").unwrap().trim().parse().unwrap();
        let place = Place::new();
        let outcome = tried(&place, "n = 0\nwhile l.inotify_init1(0) >= 0: n += 1\nprint(n, errno.errorcode[ctypes.get_errno()])");
        let (made, why) = outcome.stdout.trim().split_once(' ').unwrap();
        // Other boxes of this user have some of the same.
        assert!(made.parse::<u64>().unwrap() <= limit / 4 && why == "EMFILE", "{outcome:#?}");
        let watched = tried(&place, "i = l.inotify_init1(0); open('/tmp/x', 'w'); print(i >= 0 and l.inotify_add_watch(i, b'/tmp/x', 2) > 0)");
        assert_eq!(watched.succeeded().stdout, "True\n");
        stopped("B18", "inotify_init without end, whose instances the kernel counts for the user outside", "limit of the user namespace", &outcome.stdout);
    }
}
