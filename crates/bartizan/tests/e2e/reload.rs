//! Does a policy that is changed in mid-run count at once, and close what it no longer allows?

use crate::support::log::Log;
use crate::support::project::Project;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

/// A server that says back what it hears; its port.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let mut bytes = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(bytes.get(..count).unwrap()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Holds a connection to each of two ports until the first is closed.
const HOLDER: &str = r#"
import socket, sys
def open_to(port):
    stream = socket.create_connection(("127.0.0.1", 3128))
    stream.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        part = stream.recv(1)
        if not part: break
        head += part
    return stream, head.split(b"\r\n")[0].decode()
def says_back(stream):
    try:
        stream.sendall(b"\0\1\2\3")
        return stream.recv(4) == b"\0\1\2\3"
    except OSError:
        return False
(one, first), (other, second) = open_to(sys.argv[1]), open_to(sys.argv[2])
print("open", says_back(one), says_back(other), flush=True)
try:
    rest = one.recv(1)
except OSError:
    rest = b""
print("closed", rest, "other", says_back(other), flush=True)
print("again", open_to(sys.argv[1])[1], "other", open_to(sys.argv[2])[1], flush=True)
"#;

#[test]
fn a_connection_that_is_no_longer_allowed_is_closed_and_another_goes_on() {
    let project = Project::new();
    let (one, other) = (echo(), echo());
    let allowing = |ports: &[u16]| {
        let allow: Vec<String> =
            ports.iter().map(|port| format!("\"net(127.0.0.1:{port})\"")).collect();
        project.configure(&format!(
            "[hosts.\"127.0.0.1:{one}\"]\nprivate = true\n[hosts.\"127.0.0.1:{other}\"]\nprivate = true\n\
             [roles.default]\nallow = [{}]\n",
            allow.join(", ")
        ));
    };
    allowing(&[one, other]);
    let (first, second) = (one.to_string(), other.to_string());
    let args = ["run", "--", "python3", "-c", HOLDER, first.as_str(), second.as_str()];
    let mut running = project.bartizan(&args).start();
    running.says("open True True");
    // What has mistakes changes nothing.
    project.configure("[roles.default]\nallow = [\"net(\"]\n");
    running.signal(Signal::USR1);
    running.complains("the policy stays as it is");
    assert!(!running.has_ended());
    allowing(&[other]);
    let told = project.bartizan(&["policy", "reload"]).finish();
    assert!(told.status.success(), "{told:?}");
    let ran = running.finish();
    assert!(ran.stdout.contains("closed b'' other True"), "{ran:?}");
    assert!(ran.stdout.contains("again HTTP/1.1 403"), "{ran:?}");
    assert!(ran.stdout.contains("other HTTP/1.1 200"), "{ran:?}");
    let log = Log::read(&project);
    log.find("config_change", |record| record["act"] == "policy-refused");
    log.find("config_change", |record| record["act"] == "policy");
    let port = |record: &serde_json::Value| record["arguments"]["port"].clone();
    let was = log.find("call", |record| {
        record["tool"] == "net.connect" && port(record) == serde_json::json!(one)
    });
    assert_eq!(log.outcome(&was)["ended"], "abandoned", "{}", log.outcome(&was));
    log.is_whole(&project);
}

#[test]
fn a_gateway_whose_policies_do_not_compile_does_not_start() {
    let project = Project::new();
    let tool = "[tools.echo]\neffect = \"read\"\ndescription = \"Says it.\"\n\
                [tools.echo.command]\nargv = [\"/bin/echo\", \"hi\"]\n";
    let serve = || project.bartizan(&["serve", "--listen", "127.0.0.1:0", "--dev-no-auth"]);
    project.configure(&format!("{tool}[roles.default]\nallow = [\"ecko\"]\n"));
    let refused = serve().finish();
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    for said in ["`ecko`", "bartizan.toml:7", "did you mean `echo`?"] {
        assert!(refused.stderr.contains(said), "{said}: {refused:?}");
    }
    project.configure(&format!("{tool}[roles.default]\nallow = [\"echo\"]\n"));
    let policy = project.config().join("policy");
    std::fs::create_dir(&policy).unwrap();
    let typo =
        "forbid(principal, action == Action::\"echo\", resource)\nwhen { context.approvel < 1 };\n";
    std::fs::write(policy.join("own.cedar"), typo).unwrap();
    let refused = serve().finish();
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    assert!(refused.stderr.contains("own.cedar:2") && refused.stderr.contains("approvel"));
    std::fs::remove_dir_all(&policy).unwrap();
    let mut started = serve().start();
    started.complaint(&|line| line.contains("serving at"));
    started.signal(Signal::TERM);
    assert!(started.finish().status.success());
    assert!(std::fs::read_dir(project.state().join("gateways")).unwrap().next().is_none());
}
