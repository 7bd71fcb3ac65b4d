//! A server that is somewhere else, over HTTP: reached with a key that no client sees, and held to the same.

use super::{Client, code, said};
use crate::support::project::{Program, Project, Started};
use base64::Engine as _;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = include_str!("away.py");
pub(super) const KEY: &str = "mcp-key-4f9a1c7e2b8d6053";

/// A server, and a project that may come to know of it.
pub(super) struct Away {
    child: Child,
    pub(super) port: u16,
    pub(super) project: Project,
}

impl Drop for Away {
    fn drop(&mut self) {
        // It has ended already when it failed.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub(super) fn pem(label: &str, bytes: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

impl Away {
    /// The server, and a project that knows of it and holds its key.
    pub(super) fn start(private: bool) -> Self {
        let away = Self::of(PROGRAM);
        let port = away.port;
        away.project.configure(&format!(
            "[servers.crm]\nurl = \"https://localhost:{port}/mcp\"\npin = \"first-use\"\n\
             [hosts.\"localhost:{port}\"]\nprivate = {private}\n\
             [secrets.crm]\nfrom = \"env://CRM_KEY\"\n\
             [[inject]]\nsecret = \"crm\"\nhost = \"localhost:{port}\"\nas = \"bearer\"\npath = \"/mcp\"\n\
             [roles.default]\nallow = [\"mcp__crm__*\"]\n"
        ));
        away
    }

    /// This program, started with a certificate for `localhost` and the key that it wants to see.
    pub(super) fn of(program: &str) -> Self {
        let project = Project::new();
        let folder = project.home().join("away");
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, pem("CERTIFICATE", made.cert.der())).unwrap();
        std::fs::write(&key, pem("PRIVATE KEY", &made.signing_key.serialize_der())).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a server to test against")]
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-u", "-c", program]).args([certificate, key]).arg(KEY);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap();
        Self { child, port, project }
    }

    pub(super) fn client(&self) -> Client {
        Client::begin(self.gateway(&["mcp"]))
    }

    pub(super) fn gateway(&self, args: &[&str]) -> Started {
        self.knowing(self.project.bartizan(args)).typing()
    }

    /// A program that is to reach the server: it has the key, and believes the certificate.
    pub(super) fn knowing(&self, program: Program) -> Program {
        let certificate = self.project.home().join("away/cert.pem");
        program.env("CRM_KEY", KEY).env("SSL_CERT_FILE", certificate.to_str().unwrap())
    }
}

#[test]
fn a_server_over_http_is_reached_with_a_key_that_no_client_sees() {
    let away = Away::start(true);
    let mut client = away.client();
    client.tools("crm__plain");
    let plain = client.calls("crm__plain", &json!({ "text": "hi" }));
    assert!(said(&plain).contains("plainly hi"), "{plain}");
    let key = client.calls("crm__key", &json!({}));
    assert!(said(&key).contains("the key is"), "{key}");
    assert_eq!(code(&client.calls("crm__plain", &json!({ "text": 1 }))), "arguments-invalid");
    for (tool, why) in [
        ("crm__elsewhere", "the server answered with status 307"),
        ("crm__nothing", "the server gave no answer"),
        ("crm__huge", "larger than"),
    ] {
        let failed = client.calls(tool, &json!({}));
        assert!(failed["error"]["message"].as_str().unwrap().contains(why), "{failed}");
    }
    // What it says in the middle of an answer arrives in the middle of it.
    client.gateway.adds("{\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"tools/call\",\"params\":{\"name\":\"crm__stream\",\"arguments\":{},\"_meta\":{\"progressToken\":\"tok\"}}}\n");
    let asked = client.gateway.line(&|line| line.contains("elicitation/create"));
    let asked: Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(asked["params"]["message"], "[server crm] go on?");
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "action": "accept" } });
    client.gateway.adds(&format!("{answer}\n"));
    client.gateway.says("heard accept");
    let ran = client.ends();
    assert!(ran.stdout.contains("\"progressToken\": \"tok\""), "{}", ran.stdout);
    for shown in [KEY, "FORGED"] {
        assert!(!ran.stdout.contains(shown) && !ran.stderr.contains(shown), "{shown}: {ran:?}");
    }
    let log = away.project.bartizan(&["audit", "list", "--json", "-n", "1000"]).finish().stdout;
    assert!(log.contains("net.request") && log.contains(&format!("{}", away.port)), "{log}");
    assert!(!log.contains(KEY), "{log}");
}

/// It tells twice, each on a stream of its own, and lies in between.
fn hears_what_nobody_asked_for(client: &mut Client, tell: &str) {
    for (text, after) in [("one", "None"), ("two", "of-one")] {
        assert!(said(&client.calls(tell, &json!({ "text": text }))).contains("\ntold\n"));
        client.gateway.line(&|line| line.contains(&format!("{text} after {after}")));
    }
}

#[test]
fn what_a_server_over_http_says_of_its_own_accord_is_heard() {
    let away = Away::start(true);
    let mut client = away.client();
    client.tools("crm__tell");
    hears_what_nobody_asked_for(&mut client, "crm__tell");
    let ran = client.ends();
    for shown in [KEY, "FORGED"] {
        assert!(!ran.stdout.contains(shown), "{shown}: {ran:?}");
    }
}

#[test]
fn an_answer_whose_stream_is_cut_is_taken_up_where_it_ended() {
    let away = Away::start(true);
    let mut client = away.client();
    client.tools("crm__cut");
    let rest = client.calls("crm__cut", &json!({ "text": "a" }));
    assert!(said(&rest).contains("the rest after cut-2-a"), "{rest}");
    let failed = client.calls("crm__cut", &json!({ "text": "never" }));
    let why = failed["error"]["message"].as_str().unwrap();
    assert!(why.contains("the server answered with status 405"), "{failed}");
    assert!(!client.ends().stdout.contains("FORGED"));
    // Each time that it was taken up is a request of its own.
    let log = away.project.bartizan(&["audit", "list", "--json", "-n", "1000"]).finish().stdout;
    assert!(log.contains("\"GET\"") && !log.contains(KEY), "{log}");
}

#[test]
fn one_server_over_http_needs_no_configuration() {
    let away = Away::start(true);
    away.project.configure("");
    let url = format!("https://localhost:{}/mcp", away.port);
    let flags = ["--bearer", "env://CRM_KEY", "--name", "crm", "--allow", "plain,tell"];
    // A client that does not wait for the server to begin is served as one that does.
    let mut client = Client::begin(away.gateway(&[&["mcp", "--url", &url][..], &flags].concat()));
    client.tools("plain");
    let plain = client.calls("plain", &json!({ "text": "hi" }));
    assert!(said(&plain).contains("plainly hi"), "{plain}");
    assert_eq!(code(&client.calls("key", &json!({}))), "approval-required");
    assert_eq!(code(&client.calls("crm__plain", &json!({}))), "tool-unknown");
    hears_what_nobody_asked_for(&mut client, "tell");
    let ran = client.ends();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    for shown in [KEY, "FORGED"] {
        assert!(!ran.stdout.contains(shown) && !ran.stderr.contains(shown), "{shown}: {ran:?}");
    }
    let log = away.project.bartizan(&["audit", "list", "--json", "-n", "1000"]).finish().stdout;
    assert!(log.contains("mcp__crm__plain") && log.contains("server.crm"), "{log}");
    assert!(!log.contains(KEY), "{log}");
}

#[test]
fn an_address_that_would_show_a_token_is_no_server() {
    let project = Project::new();
    for (args, why) in [
        (&["mcp", "--url", "http://mcp.example.com/mcp"][..], "plain http"),
        (&["mcp", "--url", "http://127.0.0.1:9/", "--bearer", "env://X"], "over TLS alone"),
        (&["mcp", "--url", "https://me:pass@mcp.example.com/"], "error"),
        (
            &["mcp", "--url", "https://mcp.example.com/", "--bearer", "s3cr3t-itself"],
            "not a reference",
        ),
    ] {
        let ran = project.bartizan(args).finish();
        assert!(!ran.status.success() && ran.stderr.contains(why), "{args:?}: {ran:?}");
        assert!(!ran.stderr.contains("s3cr3t-itself"), "{ran:?}");
    }
}

#[test]
fn a_server_over_http_that_forgets_its_session_is_begun_with_anew() {
    let away = Away::start(true);
    let mut client = away.client();
    client.tools("crm__plain");
    let forgot = client.calls("crm__forget", &json!({}));
    assert!(forgot["error"]["message"].is_string(), "{forgot}");
    client.answers("crm__plain");
}

#[test]
fn a_server_on_a_private_address_is_not_reached_unless_it_is_declared() {
    let away = Away::start(false);
    let mut client = away.client();
    client.fails("crm__plain", "host-private");
}
