//! Who is a client of `bartizan serve` by its certificate, and who is nobody? Certificates of `openssl`, clients of `curl`.

use crate::support::log::Log;
use crate::support::project::{Program, Project, Started};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// A server of ours, an authority, and clients that it signed for.
#[derive(Debug)]
struct World {
    project: Project,
    gateway: Started,
    address: String,
}

/// What one request came to: the status (0 where the connection failed), the session's id.
#[derive(Debug)]
struct Got {
    status: u16,
    session: Option<String>,
}

const TABLE: &str = "[serve.mtls]\ndemand = \"certificate\"\n";
const NAMES: &str = "[[serve.mtls.roles]]\nuri = \"spiffe://example/laptop\"\nrole = \"coder\"\n\
     [[serve.mtls.roles]]\ndns = \"Desk.example\"\nrole = \"reader\"\n\
     [[serve.mtls.roles]]\nuri = \"spiffe://example/second\"\nrole = \"coder\"\n";
const ROLES: &str = "[roles.coder]\nallow = [\"echo\"]\n[roles.reader]\nallow = [\"echo\"]\n\
     [tools.echo]\neffect = \"read\"\ndescription = \"Says it.\"\n[tools.echo.command]\nargv = [\"/bin/echo\", \"hi\"]\n";

fn certificates(folder: &Path, project: &Project) {
    let script = "set -e; \
        key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }; \
        for ca in ours theirs; do key $ca; openssl req -x509 -new -key $ca.key -subj /CN=$ca -days 2 -out $ca.pem; done; \
        sign() { key $1; openssl req -new -key $1.key -subj /CN=$1 -out $1.csr; \
          printf 'subjectAltName=%s\\nextendedKeyUsage=%s\\n' $3 $4 > $1.ext; \
          openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -days 2 -extfile $1.ext -out $1.pem; }; \
        sign server ours DNS:localhost serverAuth; \
        sign laptop ours URI:spiffe://example/laptop clientAuth; \
        sign second ours URI:spiffe://example/second clientAuth; \
        sign desk ours DNS:desk.example clientAuth; \
        sign stranger ours URI:spiffe://example/stranger clientAuth; \
        sign several ours URI:spiffe://example/laptop,DNS:desk.example clientAuth; \
        sign notforit ours URI:spiffe://example/laptop serverAuth; \
        sign forged theirs URI:spiffe://example/laptop clientAuth";
    std::fs::create_dir_all(folder).unwrap();
    let made = project.program(Path::new("/bin/bash"), &["-c", script]).within(folder).finish();
    assert!(made.status.success(), "{made:?}");
}

impl World {
    fn new(table: &str) -> Self {
        let project = Project::new();
        let folder = project.home().join("tls");
        certificates(&folder, &project);
        Self::within(project, table)
    }

    fn within(project: Project, table: &str) -> Self {
        project.configure(&format!("{table}{NAMES}{ROLES}"));
        let mut gateway = serve(&project, &[]).start();
        let line = gateway.complaint(&|line| line.contains("serving at"));
        let port = line.trim_end_matches("/mcp").rsplit(':').next().unwrap();
        let address = format!("https://localhost:{port}/mcp");
        Self { project, gateway, address }
    }

    fn curl(&self, who: Option<&str>, headers: &[&str], more: &[&str]) -> Program {
        let mut args: Vec<String> =
            ["-sS", "-i", "--cacert", "ours.pem", "--max-time", "60"].map(str::to_owned).to_vec();
        if let Some(who) = who {
            args.extend([
                "--cert".into(),
                format!("{who}.pem"),
                "--key".into(),
                format!("{who}.key"),
            ]);
        }
        for header in headers {
            args.extend(["-H".to_owned(), (*header).to_owned()]);
        }
        args.extend(["-H", "Accept: application/json, text/event-stream"].map(str::to_owned));
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args.push(self.address.clone());
        self.project
            .program(Path::new("/usr/bin/curl"), &args)
            .within(&self.project.home().join("tls"))
    }

    fn post(&self, who: Option<&str>, headers: &[&str], message: &Value) -> Got {
        let message = message.to_string();
        let more = ["-H", "Content-Type: application/json", "-d", &message];
        let ran = self.curl(who, headers, &more).finish();
        let (head, _) = ran.stdout.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
        Got { status, session: session.map(str::to_owned) }
    }

    fn begin(&self, who: Option<&str>, headers: &[&str]) -> Got {
        let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello });
        self.post(who, headers, &hello)
    }

    fn ping(&self, who: Option<&str>, headers: &[&str]) -> Got {
        self.post(who, headers, &json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" }))
    }

    fn token(&self, role: &str) -> (String, String) {
        let made = ["agent", "token", "create", "--role", role, "--json"];
        let made = self.project.bartizan(&made).finish();
        let made: Value = serde_json::from_str(&made.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (format!("Authorization: Bearer {}", text(&made["token"])), text(&made["about"]["id"]))
    }

    /// The record of a refusal, which is on the log soon after the client has heard of it.
    fn refused(&self, code: &str) -> Value {
        Log::await_record(&self.project, "token", |record| record["code"] == code)
    }
}

fn serve(project: &Project, more: &[&str]) -> Program {
    let file = |name: &str| project.home().join("tls").join(name).to_str().unwrap().to_owned();
    let (cert, key, ca) = (file("server.pem"), file("server.key"), file("ours.pem"));
    let tls = ["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", &ca];
    project.bartizan(&[&["serve", "--listen", "127.0.0.1:0"][..], &tls, more].concat())
}

fn session(got: &Got) -> String {
    assert_eq!(got.status, 200, "{got:?}");
    format!("Mcp-Session-Id: {}", got.session.as_ref().unwrap())
}

#[test]
fn a_certificate_is_an_agent_and_nobody_elses_opens_its_session() {
    let world = World::new(TABLE);
    let laptop = session(&world.begin(Some("laptop"), &[]));
    assert_eq!(world.ping(Some("laptop"), &[&laptop]).status, 200);
    let stolen = world.ping(Some("desk"), &[&laptop]);
    assert_eq!(stolen.status, 404, "{stolen:?}");
    assert_eq!(world.ping(Some("second"), &[&laptop]).status, 404, "of the same role");
    assert_eq!(world.refused("session-of-another")["who"]["by"]["certificate"], "dns:desk.example");
    let used = |record: &Value| record["act"] == "use" && record["who"]["role"] == "coder";
    let used = Log::read(&world.project).find("token", used);
    assert_eq!(used["who"]["by"], json!({ "certificate": "uri:spiffe://example/laptop" }));
    for (who, status, code) in [
        (Some("stranger"), 403, "certificate-not-mapped"),
        (Some("several"), 403, "certificate-ambiguous"),
        (Some("notforit"), 0, "certificate-not-for-clients"),
        (Some("forged"), 0, "certificate-issuer-unknown"),
        (None, 0, "certificate-missing"),
    ] {
        for headers in [&[][..], &[laptop.as_str()]] {
            assert_eq!(world.ping(who, headers).status, status, "{who:?}");
        }
        world.refused(code);
    }
    let stranger = world.refused("certificate-not-mapped");
    assert_eq!(stranger["certificate"], json!(["uri:spiffe://example/stranger"]));
    // A token that is shown must hold, needed or not.
    let wrong = "Authorization: Bearer bzt_x";
    assert_eq!(world.ping(Some("laptop"), &[&laptop, wrong]).status, 401);
    let (reader, _) = world.token("reader");
    assert_eq!(world.ping(Some("laptop"), &[&laptop, &reader]).status, 403);
    world.refused("certificate-of-another-role");
    let World { project, gateway, .. } = world;
    gateway.signal(Signal::TERM);
    gateway.finish();
    Log::read(&project).is_whole(&project);
}

#[test]
fn a_name_that_is_taken_out_is_out_at_once_from_open_streams_too() {
    let world = World::new(TABLE);
    let laptop = session(&world.begin(Some("laptop"), &[]));
    let desk = session(&world.begin(Some("desk"), &[]));
    let mut stream = world.curl(Some("laptop"), &[&laptop], &["-N"]).start();
    stream.line(&|line| line.contains("200 OK"));
    let without = NAMES.replace("example/laptop", "example/another");
    // What has mistakes takes nothing away, and gives nothing.
    world.project.configure(&format!("{TABLE}{without}{ROLES}nonsense"));
    world.gateway.signal(Signal::USR1);
    world.gateway.complains("who may come in stays as it is");
    assert_eq!(world.ping(Some("laptop"), &[&laptop]).status, 200);
    // The same of policies that do not compile, whether told by the signal or as it should be done.
    let broken = ROLES.replacen("allow = [\"echo\"]", "allow = [\"ecko\"]", 1);
    world.project.configure(&format!("{TABLE}{without}{broken}"));
    world.gateway.signal(Signal::USR1);
    let kept = |record: &Value| record["adopted"] == false;
    let deadline = Instant::now() + Duration::from_secs(30);
    while Log::read(&world.project).all("config_change", kept).len() < 2 {
        assert!(Instant::now() < deadline, "the broken policies were not read: {world:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(world.ping(Some("laptop"), &[&laptop]).status, 200);
    let refused = world.project.bartizan(&["policy", "reload"]).finish();
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    world.project.configure(&format!("{TABLE}{without}{ROLES}"));
    let told = world.project.bartizan(&["policy", "reload"]).finish();
    assert!(told.status.success(), "{told:?}");
    let gateway = world.address.replace("localhost", "127.0.0.1");
    let gateway = format!("the gateway at {gateway} reads it anew");
    assert!(told.stderr.contains(&gateway), "{told:?}");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !stream.has_ended() {
        assert!(Instant::now() < deadline, "the stream goes on: {stream:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(world.ping(Some("laptop"), &[&laptop]).status, 403);
    assert_eq!(world.begin(Some("laptop"), &[]).status, 403);
    assert_eq!(world.ping(Some("desk"), &[&desk]).status, 200);
    // With the whole table gone the door is shut, not open.
    world.project.configure(ROLES);
    world.gateway.signal(Signal::USR1);
    while world.ping(Some("desk"), &[&desk]).status == 200 {
        assert!(Instant::now() < deadline, "the table is gone and its names are not");
    }
    let (reader, _) = world.token("reader");
    assert_eq!(world.begin(Some("desk"), &[&reader]).status, 403);
    let adopted = |record: &Value| record["act"] == "serve-reload";
    let log = Log::read(&world.project);
    let adopted: Vec<_> =
        log.all("config_change", adopted).iter().map(|record| record["adopted"].clone()).collect();
    assert_eq!(adopted, [false, false, true, true].map(Value::from));
}

/// Lists of our authority: with nobody on it, with the laptop on it, and one that is good for a second.
fn lists(folder: &Path, project: &Project) {
    let script = "set -e; touch index.txt; echo 01 > crlnumber; \
        printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index.txt\\ncrlnumber=crlnumber\\ndefault_md=sha256\\ndefault_crl_days=2\\n' > ca.cnf; \
        ca() { openssl ca -config ca.cnf -cert ours.pem -keyfile ours.key \"$@\"; }; \
        ca -gencrl -out none.crl; ca -gencrl -crlsec 1 -out short.crl; \
        ca -revoke laptop.pem; ca -gencrl -out laptop.crl; cp none.crl revoked.crl";
    let made = project.program(Path::new("/bin/bash"), &["-c", script]).within(folder).finish();
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn who_is_revoked_is_out_at_once_and_a_list_that_does_not_hold_lets_nobody_in() {
    let project = Project::new();
    let folder = project.home().join("tls");
    certificates(&folder, &project);
    lists(&folder, &project);
    let file = folder.join("revoked.crl");
    let world = World::within(project, &format!("{TABLE}revoked = \"{}\"\n", file.display()));
    let (laptop, second) =
        (session(&world.begin(Some("laptop"), &[])), session(&world.begin(Some("second"), &[])));
    let mut stream = world.curl(Some("laptop"), &[&laptop], &["-N"]).start();
    stream.line(&|line| line.contains("200 OK"));
    let mut other = world.curl(Some("second"), &[&second], &["-N"]).start();
    other.line(&|line| line.contains("200 OK"));
    // What is no list takes nobody in and puts nobody out.
    std::fs::write(&file, "nonsense").unwrap();
    world.gateway.signal(Signal::USR1);
    world.gateway.complains("who may come in stays as it is");
    assert_eq!(world.ping(Some("laptop"), &[&laptop]).status, 200);
    std::fs::copy(folder.join("laptop.crl"), &file).unwrap();
    let told = world.project.bartizan(&["policy", "reload"]).finish();
    assert!(told.status.success(), "{told:?}");
    let ends = |stream: &mut Started| {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !stream.has_ended() {
            assert!(Instant::now() < deadline, "the stream goes on: {stream:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    ends(&mut stream);
    assert_eq!(world.ping(Some("laptop"), &[&laptop]).status, 0);
    world.refused("certificate-revoked");
    assert_eq!(world.ping(Some("second"), &[&second]).status, 200);
    assert!(!other.has_ended());
    // Whoever publishes no newer list in time shuts everybody out.
    std::fs::copy(folder.join("short.crl"), &file).unwrap();
    world.gateway.signal(Signal::USR1);
    ends(&mut other);
    assert_eq!(world.ping(Some("second"), &[&second]).status, 0);
    world.refused("revocation-list-expired");
    world.gateway.signal(Signal::TERM);
    world.gateway.finish();
    std::fs::remove_file(&file).unwrap();
    let ran = serve(&world.project, &[]).finish();
    assert_eq!(ran.status.code(), Some(74), "{ran:?}");
    std::fs::write(&file, "").unwrap();
    let ran = serve(&world.project, &[]).finish();
    assert_eq!(ran.status.code(), Some(78), "{ran:?}");
    assert!(ran.stderr.contains("no revocation list in PEM"), "{ran:?}");
}

#[test]
fn both_are_demanded_where_nothing_else_is_said_and_both_are_the_identity() {
    let world = World::new("[serve.mtls]\n");
    let ((coder, id), (reader, _)) = (world.token("coder"), world.token("reader"));
    assert_eq!(world.begin(Some("laptop"), &[]).status, 401, "no token");
    assert_eq!(world.begin(None, &[&coder]).status, 0, "no certificate");
    assert_eq!(world.begin(Some("stranger"), &[&coder]).status, 403);
    assert_eq!(world.begin(Some("laptop"), &[&reader]).status, 403);
    let laptop = session(&world.begin(Some("laptop"), &[&coder]));
    let both = [laptop.as_str(), &coder];
    assert_eq!(world.ping(Some("laptop"), &both).status, 200);
    assert_eq!(world.ping(Some("second"), &both).status, 404, "the same token, another client");
    let (other, _) = world.token("coder");
    assert_eq!(world.ping(Some("laptop"), &[&laptop, &other]).status, 404, "another token");
    assert_eq!(world.ping(Some("laptop"), &[&laptop]).status, 401);
    let by = json!({ "certificate": "uri:spiffe://example/laptop", "token": id });
    let used = |record: &Value| record["act"] == "use" && record["who"]["by"] == by;
    Log::read(&world.project).find("token", used);
    let revoked = world.project.bartizan(&["agent", "token", "revoke", &id]).finish();
    assert!(revoked.status.success(), "{revoked:?}");
    assert_eq!(world.ping(Some("laptop"), &both).status, 401);
    assert_eq!(
        world.refused("token-revoked")["token"],
        id,
        "and the log says which is still in use"
    );
}

#[test]
fn either_lets_in_by_a_token_or_a_certificate_and_by_nothing_that_does_not_hold() {
    let world = World::new("[serve.mtls]\ndemand = \"either\"\n");
    let (coder, _) = world.token("coder");
    session(&world.begin(Some("laptop"), &[]));
    let by_token = session(&world.begin(None, &[&coder]));
    assert_eq!(world.ping(Some("laptop"), &[&by_token, &coder]).status, 404);
    assert_eq!(world.begin(None, &[]).status, 401);
    assert_eq!(world.begin(Some("stranger"), &[&coder]).status, 403);
    assert_eq!(world.begin(Some("forged"), &[&coder]).status, 0);
}

#[test]
fn an_authority_without_names_and_names_without_one_are_refused_at_the_start() {
    let project = Project::new();
    certificates(&project.home().join("tls"), &project);
    let refused = |table: &str, program: Program, code: i32, why: &str| {
        project.configure(&format!("{table}{ROLES}"));
        let ran = program.finish();
        assert_eq!(ran.status.code(), Some(code), "{ran:?}");
        assert!(ran.stderr.contains(why), "{ran:?}");
    };
    let names = format!("{TABLE}{NAMES}");
    refused("", serve(&project, &[]), 2, "no certificate of a client gives a role");
    refused(&names, serve(&project, &["--dev-no-auth"]), 2, "--dev-no-auth");
    let bare = project.bartizan(&["serve", "--listen", "127.0.0.1:0"]);
    refused(&names, bare, 2, "nobody signs for the clients");
    let unknown = names.replace("\"coder\"", "\"codr\"");
    refused(&unknown, serve(&project, &[]), 78, "did you mean `coder`");
    let twice = format!("{names}[[serve.mtls.roles]]\ndns = \"desk.example\"\nrole = \"coder\"\n");
    refused(&twice, serve(&project, &[]), 78, "`dns:desk.example` has the role `reader` already");
    refused(TABLE, serve(&project, &[]), 78, "no name gives a role");
    std::fs::write(project.home().join("tls/ours.pem"), "nonsense").unwrap();
    refused(&names, serve(&project, &[]), 78, "no certificate of an authority");
}
