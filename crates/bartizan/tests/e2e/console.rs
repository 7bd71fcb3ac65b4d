//! Does the console let in the person at its terminal, and nobody else: no agent, no other user, no other page?

mod agents;
mod answers;
mod browser;
mod passkeys;
mod people;
mod review;
mod servers;

use crate::support::project::Project;
use browser::{Browser, Console, links};
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn the_terminals_link_lets_one_browser_in_once() {
    let project = Project::new();
    let mut console = Console::outside(&project);
    let stranger = console.browser.clone();
    assert_eq!(stranger.get("/").status, 401);
    assert_eq!(stranger.get("/style.css").status, 200, "the door itself can be seen");
    assert_eq!(stranger.get("/enter/0000").status, 404);
    let entry = console.entry();
    let got = stranger.get(&entry);
    assert_eq!(got.status, 200, "{got:?}");
    assert!(got.head.contains("HttpOnly; SameSite=Strict"), "{got:?}");
    console.browser.cookie = got.cookie().unwrap();
    assert_eq!(stranger.get(&entry).status, 404, "a link is used up");
    let home = console.browser.get("/");
    assert!(home.status == 200 && home.body.contains("<h1>Inbox</h1>"), "{home:?}");
    for held in ["default-src 'none'", "frame-ancestors 'none'", "nosniff", "no-store"] {
        assert!(home.head.contains(held), "{held}: {}", home.head);
    }
    assert!(!home.body.contains("<script"), "no script, not even ours");
    // Another link for another browser, as often as the person at the terminal asks.
    console.terminal.types("\r");
    let deadline = Instant::now() + Duration::from_mins(1);
    while links(&console.terminal).len() < 2 {
        assert!(Instant::now() < deadline, "{}", console.terminal.shown());
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(stranger.get(&console.entry()).status, 200);
    assert_eq!(console.browser.get("/").status, 200, "the first is still in");
    let token = console.browser.token();
    assert_eq!(console.browser.post("/leave", &format!("form={token}")).status, 303);
    assert_eq!(console.browser.get("/").status, 401, "gone, and the cookie with them");
    // The link is for eyes alone.
    let secret = entry.rsplit('/').next().unwrap();
    for file in fs::read_dir(project.state()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains(secret), "the link is kept");
    }
    let log = project.bartizan(&["audit", "list", "--json"]).finish().stdout;
    assert!(log.contains("\"act\":\"console\"") && !log.contains("/enter/"), "{log}");
}

#[test]
fn a_request_for_another_host_or_from_another_page_is_turned_away() {
    let project = Project::new();
    let console = Console::inside(&project);
    let Browser { address, cookie } = &console.browser;
    let token = console.browser.token();
    let send =
        |fields: &str| console.browser.send(&format!("GET / HTTP/1.1\r\n{fields}\r\n")).status;
    assert_eq!(send(&format!("Host: {address}\r\nCookie: {cookie}\r\n")), 200);
    // A name that an attacker's resolver has turned to this address.
    for host in ["rebound.example", &format!("localhost:{}", address.port()), "127.0.0.1"] {
        assert_eq!(send(&format!("Host: {host}\r\nCookie: {cookie}\r\n")), 403, "{host}");
    }
    for site in ["cross-site", "same-site"] {
        let fields = format!("Host: {address}\r\nCookie: {cookie}\r\nSec-Fetch-Site: {site}\r\n");
        assert_eq!(send(&fields), 403, "{site}");
    }
    // A page on another port of this very host gets its cookie sent along, and is still another page.
    let form = format!("form={token}");
    let post = |whence: &str, form: &str| {
        let length = form.len();
        console.browser.send(&format!(
            "POST /leave HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n{whence}Content-Type: \
             application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        ))
    };
    for whence in [
        "",
        "Origin: http://127.0.0.1:1\r\n",
        "Origin: null\r\n",
        "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ] {
        assert_eq!(post(whence, &form).status, 403, "{whence}");
    }
    let own = format!("Origin: http://{address}\r\n");
    for forged in ["", "form=", "form=0", &format!("{form}&{form}")] {
        assert_eq!(post(&own, forged).status, 403, "{forged}");
    }
    for wrong in ["", "bartizan=1", &format!("{cookie}0"), &format!("{cookie}; {cookie}")] {
        let stranger = Browser { cookie: wrong.to_owned(), ..console.browser.clone() };
        assert_eq!(stranger.get("/").status, 401, "{wrong}");
        assert_eq!(stranger.post("/leave", &form).status, 401, "{wrong}");
    }
    assert_eq!(console.browser.get("/").status, 200, "nothing of it has signed the person out");
    assert_eq!(post(&own, &form).status, 303);
}

#[test]
fn what_is_too_much_or_comes_too_slowly_hinders_nobody() {
    let project = Project::new();
    let console = Console::inside(&project);
    let (browser, host) = (&console.browser, console.browser.address);
    // Some thirty connections that never finish their heads.
    let _stalled: Vec<_> = (0..30)
        .map(|_| {
            let mut stream = browser.connect();
            std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: ").unwrap();
            stream
        })
        .collect();
    let long = "a".repeat(20_000);
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n"), 400),
        (format!("DELETE / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 405),
        (format!("GET /%ff HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
    ] {
        let got = browser.send(&request);
        assert_eq!(got.status, status, "{request:.30} {got:?}");
    }
    let form = format!("form={}&reason={long}", browser.token());
    assert_eq!(browser.post("/leave", &form).status, 413);
    assert_eq!(browser.get("/").status, 200);
}

#[test]
fn the_link_is_shown_to_no_pipe_no_network_and_no_box() {
    let project = Project::new();
    let ran = project.bartizan(&["console"]).finish();
    assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(69), ""), "{ran:?}");
    assert!(ran.stderr.contains("shown on a terminal only"), "{ran:?}");
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let ran = project.bartizan(&["console", "--listen", address]).finish();
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        assert!(ran.stderr.contains("hint: ") && ran.stderr.contains("ssh -L"), "{ran:?}");
    }
    let ran = project.bartizan(&["console"]).env("BARTIZAN_BOX", "1").finish();
    assert_eq!(ran.status.code(), Some(69), "{ran:?}");
}

#[test]
fn no_agent_in_a_box_of_the_same_machine_reaches_it() {
    let project = Project::new();
    let console = Console::inside(&project);
    let Browser { address, cookie } = &console.browser;
    assert_eq!(console.browser.get("/").status, 200, "from outside it is there");
    // The agent has even been told the cookie.
    let attack = format!(
        "for way in '' \"--noproxy *\"; do curl -sS -i -m 20 $way -H 'Cookie: {cookie}' http://{address}/; done; \
         exec 3<>/dev/tcp/127.0.0.1/{} && printf 'GET / HTTP/1.1\\r\\nHost: {address}\\r\\nCookie: {cookie}\\r\\n\\r\\n' >&3 \
         && timeout 20 head -c 400 <&3; echo TRIED",
        address.port()
    );
    let run = ["run", "--", "bash", "-c", &attack];
    for program in [project.bartizan(&run), project.bartizan(&run).without_namespaces()] {
        let ran = program.finish();
        assert!(ran.stdout.contains("TRIED"), "{ran:?}");
        let reached = ran.stdout.contains("<h1>") || ran.stdout.contains("200 OK");
        assert!(!reached && !ran.stdout.contains("content-security-policy"), "{ran:?}");
    }
}

#[test]
fn no_other_user_of_the_machine_comes_in_with_a_stolen_cookie() {
    let project = Project::new();
    let console = Console::inside(&project);
    let Browser { address, cookie } = &console.browser;
    let ask = |user: &[&str]| {
        #[expect(clippy::disallowed_methods, reason = "another user's process")]
        let mut program = Command::new("setpriv");
        program.args(user).args(["curl", "-sS", "-m", "60", "-H", &format!("Cookie: {cookie}")]);
        let done = program.arg(format!("http://{address}/")).output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    assert!(ask(&[]).contains("<h1>Inbox</h1>"), "the same user does");
    if rustix::process::getuid().is_root() {
        let told = ask(&["--reuid=65534", "--regid=65534", "--clear-groups"]);
        assert_eq!(told, "");
    }
}
