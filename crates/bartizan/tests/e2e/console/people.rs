//! Do two people answer a question that needs two, each in a browser of their own, under TLS and their own names?

use super::browser::{Browser, Got, links};
use crate::support::project::Project;
use crate::support::terminal::Terminal;
use bartizan_store::{Desk as _, Digest, NewQuestion, Question, QuestionState, Store};
use base64::Engine as _;
use serde_json::json;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub(super) const NAME: &str = "console.example.test";

/// Somebody at another machine: a client that trusts the console's certificate.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) port: u16,
    pub(super) trusts: String,
    pub(super) cookie: String,
}

impl Person {
    fn ask(&self, more: &[&str], path: &str) -> Got {
        #[expect(clippy::disallowed_methods, reason = "the person's own client")]
        let mut curl = Command::new("curl");
        curl.args(["-sSi", "-m", "60", "--cacert", &self.trusts, "--noproxy", "*"]);
        curl.args(["--connect-to", &format!("{NAME}:443:127.0.0.1:{}", self.port)]);
        curl.args(["-H", &format!("Cookie: {}", self.cookie)]).args(more);
        let done = curl.arg(format!("https://{NAME}{path}")).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Got { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(super) fn get(&self, path: &str) -> Got {
        self.ask(&[], path)
    }

    pub(super) fn post(&self, path: &str, form: &str) -> Got {
        self.ask(&["-H", &format!("Origin: https://{NAME}"), "--data", form], path)
    }

    /// Presses the button of a link's page.
    pub(super) fn enters(mut self, link: &str) -> Self {
        let path = link.strip_prefix(&format!("https://{NAME}")).unwrap();
        let page = self.get(path);
        assert!(page.status == 200 && page.cookie().is_none(), "a look is no visit: {page:?}");
        let got = self.post(path, "");
        assert!(got.head.contains("; Secure"), "{got:?}");
        self.cookie = got.cookie().unwrap();
        assert!(self.cookie.starts_with("__Host-bartizan-443="), "{self:?}");
        self
    }

    pub(super) fn token(&self) -> String {
        let page = self.get("/").body;
        let (_, rest) = page.split_once("name=\"form\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    fn answers(&self, question: &Question, say: &str) -> Got {
        let (token, digest, policy) = (self.token(), question.digest, question.policy);
        let form = format!("form={token}&digest={digest}&policy={policy}&say={say}&life=once");
        self.post(&format!("/questions/{}", question.id), &form)
    }
}

/// The name of whoever runs this, as the console has it.
pub(super) fn me() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid));
    let name = name.and_then(|line| line.split(':').next()).unwrap_or(&uid);
    format!("local:{name}")
}

pub(super) fn configure(project: &Project, people: &[&str]) {
    let home = project.home();
    project.configure(&format!(
        "[approvers]\npeople = {people:?}\n\n[console]\norigin = \"https://{NAME}\"\ntls_cert = \"{0}/c.pem\"\ntls_key = \"{0}/k.pem\"\n",
        home.display()
    ));
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

/// A console that other people reach, and somebody who is not in yet.
pub(super) fn open(project: &Project) -> (Terminal, Person) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let chain = project.home().join("c.pem");
    fs::write(&chain, pem("CERTIFICATE", made.cert.der())).unwrap();
    let key = pem("PRIVATE KEY", made.signing_key.serialized_der());
    fs::write(project.home().join("k.pem"), key).unwrap();
    let terminal = Terminal::start(project.bartizan(&["console", "--listen", "0.0.0.0:0"]));
    terminal.shows("Enter shows another");
    let shown = terminal.shown();
    let (_, port) = shown.split_once("listening at 0.0.0.0:").unwrap();
    let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
    let trusts = chain.to_str().unwrap().to_owned();
    (terminal, Person { port: digits.parse().unwrap(), trusts, cookie: "a=b".to_owned() })
}

fn linked(terminal: &Terminal) -> String {
    let shown = terminal.shown();
    let link = shown.split_ascii_whitespace().rfind(|word| word.starts_with("https://"));
    link.unwrap().to_owned()
}

pub(super) fn invited(project: &Project, name: &str) -> String {
    let terminal = Terminal::start(project.bartizan(&["console", "invite", name]));
    terminal.shows("by a way that nobody else reads");
    linked(&terminal)
}

pub(super) fn asked(store: &Store, call: &str, quorum: u32) -> Question {
    let new = NewQuestion {
        session: "s-1".to_owned(),
        agent: "main".to_owned(),
        tool: "Pay".to_owned(),
        digest: Digest::of(call.as_bytes()),
        policy: Digest::of(b"policy"),
        quorum,
        shown: json!({ "effect": "irreversible" }),
        expires_in: Duration::from_hours(1),
    };
    store.ask(new).unwrap()
}

#[test]
fn two_people_in_two_browsers_are_two_approvals_and_one_is_one() {
    let project = Project::new();
    configure(&project, &[&me(), "web:ben"]);
    let store = Store::open(&project.state()).unwrap();
    let question = asked(&store, "pay", 2);
    let (mut terminal, stranger) = open(&project);
    assert_eq!(stranger.get("/").status, 401);
    let link = linked(&terminal);
    let own = stranger.clone().enters(&link);
    let answer = |person: &Person| person.answers(&question, "approve").status;
    assert_eq!(answer(&own), 303);
    // The same person in another browser is the same person.
    terminal.types("\r");
    let deadline = Instant::now() + Duration::from_mins(1);
    while linked(&terminal) == link {
        assert!(Instant::now() < deadline, "{}", terminal.shown());
        thread::sleep(Duration::from_millis(20));
    }
    let again = stranger.clone().enters(&linked(&terminal));
    assert_eq!(answer(&again), 303);
    let now = store.question(&question.id).unwrap();
    assert_eq!((now.state, now.answers.len()), (QuestionState::Pending, 1));
    let invitation = invited(&project, "ben");
    let ben = stranger.clone().enters(&invitation);
    assert!(ben.get("/").body.contains("web:ben"), "he is told who he is");
    let path = invitation.strip_prefix(&format!("https://{NAME}")).unwrap();
    assert_eq!(stranger.post(path, "").status, 404, "an invitation is used up");
    // One person's form is none of another's, and a page in the clear is not ours.
    let form = format!("form={}", own.token());
    assert_eq!(ben.post("/leave", &form).status, 403);
    let form = format!("form={}", ben.token());
    let clear = ["-H", &format!("Origin: http://{NAME}"), "--data", &form];
    assert_eq!(ben.ask(&clear, "/leave").status, 403);
    assert_eq!(answer(&ben), 303);
    let now = store.question(&question.id).unwrap();
    assert_eq!(now.state, QuestionState::Approved);
    let mut approvers = now.approvers();
    approvers.sort();
    assert_eq!(approvers, [me(), "web:ben".to_owned()]);
    // Who is named no more is in no more, at once.
    configure(&project, &[&me()]);
    assert_eq!(ben.get("/").status, 401);
    assert_eq!(own.get("/").status, 200);
    store.checkpoint().unwrap();
    assert_eq!(project.bartizan(&["audit", "verify"]).finish().status.code(), Some(0));
    let log = project.bartizan(&["audit", "list", "--json"]).finish().stdout;
    for told in
        ["\"act\":\"invite\"", "\"act\":\"enter\"", "\"person\":\"web:ben\"", "\"tls\":true"]
    {
        assert!(log.contains(told), "{told}: {log}");
    }
    assert!(!log.contains("/enter/"), "no link is on the log");
}

#[test]
fn nobody_comes_in_uninvited_unnamed_or_in_the_clear() {
    let project = Project::new();
    configure(&project, &[&me(), "web:ben"]);
    let refused = |args: &[&str], code: i32, why: &str| {
        let ran = project.bartizan(args).finish();
        assert_eq!(ran.status.code(), Some(code), "{ran:?}");
        assert!(ran.stderr.contains(why) && ran.stderr.contains("hint: "), "{ran:?}");
    };
    refused(&["console", "invite", "cleo"], 1, "`web:cleo` is not an approver");
    refused(&["console", "invite", "ben"], 69, "shown on a terminal only");
    let inside = project.bartizan(&["console", "invite", "ben"]).env("BARTIZAN_BOX", "1").finish();
    assert_eq!(inside.status.code(), Some(69), "{inside:?}");
    let keyless = project.bartizan(&["console", "--listen", "0.0.0.0:0"]).finish();
    assert!(keyless.status.code() == Some(74) && keyless.stderr.contains("c.pem"), "{keyless:?}");
    let (terminal, stranger) = open(&project);
    let clear = Browser {
        address: format!("127.0.0.1:{}", stranger.port).parse().unwrap(),
        cookie: String::new(),
    };
    let got = clear.send(&format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
    assert!(!got.body.contains('<'), "{got:?}");
    assert_eq!(stranger.post(&format!("/enter/{}", "0".repeat(64)), "").status, 404);
    assert_eq!(stranger.ask(&["-H", "Host: evil.example"], "/").status, 403);
    // A newer invitation takes the place of the older; who is named no more cannot use theirs.
    let (old, new) = (invited(&project, "ben"), invited(&project, "ben"));
    let path = |link: &str| link.strip_prefix(&format!("https://{NAME}")).unwrap().to_owned();
    assert_eq!(stranger.post(&path(&old), "").status, 404);
    configure(&project, &[&me()]);
    assert_eq!(stranger.post(&path(&new), "").status, 404);
    // An address without people, and one that is none.
    let home = project.home();
    let at = |people: &str, origin: &str| {
        project.configure(&format!(
            "{people}\n[console]\norigin = \"{origin}\"\ntls_cert = \"{0}/c.pem\"\ntls_key = \"{0}/k.pem\"\n",
            home.display()
        ));
    };
    at("", "https://console.example.test");
    refused(&["console", "--listen", "0.0.0.0:0"], 78, "nobody is named");
    at("[approvers]\npeople = [\"web:ben\"]", "http://console.example.test");
    refused(&["console"], 78, "is no address of a console");
    assert!(links(&terminal).is_empty(), "no link in the clear");
}
