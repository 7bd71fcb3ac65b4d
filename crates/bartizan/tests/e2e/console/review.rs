//! Is a flagged run put before a person, is their verdict kept, and does the map show who had to do with what?

use super::browser::Console;
use crate::support::project::Project;
use bartizan_store::{
    Durability, Entry, Event, Ledger as _, NewSession, Opinion, Sessions as _, Store,
};

const BAD: &str = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>\u{202e}\u{1b}[2J&lt;";

fn begin(store: &Store, id: &str) {
    let new = NewSession {
        id: id.to_owned(),
        agent: "coder".to_owned(),
        workspace: "/w".to_owned(),
        argv: vec!["build".to_owned()],
        facts: serde_json::Map::new(),
    };
    store.begin(new).unwrap();
}

fn flag(store: &Store, session: &str, rule: &str, says: &str) {
    let entry = Entry::new(Event::Flag).session(session).with("act", "raise").with("rule", rule);
    let entry = entry.with("says", says).with("severity", "high");
    let _receipt = store.append(entry, Durability::Durable).unwrap();
}

#[test]
fn a_flagged_run_waits_until_a_person_has_judged_it() {
    let project = Project::new();
    let store = Store::open(&project.state()).unwrap();
    begin(&store, "s-1");
    begin(&store, "s-2");
    flag(&store, "s-1", "denial-burst", "one shut door after another");
    let console = Console::inside(&project);
    let browser = &console.browser;
    let list = browser.get("/flagged").body;
    assert!(list.contains("href=\"/runs/s-1\"") && list.contains("not judged"), "{list}");
    assert!(!list.contains("s-2"), "nothing was flagged there: {list}");
    let page = browser.get("/runs/s-1").body;
    assert!(page.contains("Flagged moments") && page.contains("one shut door"), "{page}");
    assert!(page.contains("<tr class=\"flag\"") && page.contains("Nobody has judged"), "{page}");
    let only = browser.get("/runs/s-1?flagged=1").body;
    assert_eq!(only.matches("<tr class=\"flag\"").count(), 1, "{only}");
    let token = browser.token();
    for (form, status) in [
        (format!("form={token}"), 400),
        (format!("form={token}&verdict=fine"), 400),
        ("form=0&verdict=attack".to_owned(), 403),
        ("verdict=attack".to_owned(), 403),
    ] {
        assert_eq!(browser.post("/runs/s-1", &form).status, status, "{form}");
    }
    let form = format!("form={token}&verdict=attack&note=it+%3Cb%3Eobeyed%3C%2Fb%3E+a+page");
    for _ in 0..2 {
        assert_eq!(browser.post("/runs/s-1", &form).status, 303, "the same again is the same");
    }
    let run = store.reader().reviewed_run("s-1").unwrap();
    assert_eq!(run.reviews.len(), 1);
    assert_eq!(
        (run.reviews[0].verdict, &*run.reviews[0].note),
        (Opinion::Attack, "it <b>obeyed</b> a page")
    );
    let page = browser.get("/runs/s-1").body;
    assert!(page.contains(">attack<") && page.contains("it &lt;b&gt;obeyed"), "{page}");
    assert!(!browser.get("/flagged").body.contains("s-1"), "it is judged");
    assert!(browser.get("/flagged?all=1").body.contains(">attack<"));
    // What is flagged later has not been judged.
    flag(&store, "s-1", "secret-file", "a file of keys");
    assert!(browser.get("/flagged").body.contains("not judged"));
    assert_eq!(browser.post("/runs/none", &form).status, 404);
    project.configure("[approvers]\npeople = [\"local:somebody-else\"]\n");
    let form = form.replace("attack", "harmless");
    assert_eq!(browser.post("/runs/s-1", &form).status, 404, "who may not answer may not judge");
    assert_eq!(store.reader().reviewed_run("s-1").unwrap().reviews.len(), 1);
    store.checkpoint().unwrap();
    assert_eq!(project.bartizan(&["audit", "verify"]).finish().status.code(), Some(0));
}

#[test]
fn the_map_says_who_had_to_do_with_what_and_nothing_in_it_becomes_markup() {
    let project = Project::new();
    let store = Store::open(&project.state()).unwrap();
    begin(&store, "s-1");
    flag(&store, "s-1", BAD, BAD);
    store.review("s-1", Opinion::Unsure, BAD, "local:ann").unwrap();
    let put = |event, role: &str, tool: &str, host: &str, verdict: &str, effect: &str| {
        let entry = Entry::new(event).session("s-1").call("c-1").with("role", role);
        let entry = entry.with("tool", tool).with("host", host).with("verdict", verdict);
        let _receipt = store.append(entry.with("effect", effect), Durability::Durable).unwrap();
    };
    put(Event::Call, "coder", "net.request", "pypi.example:443", "allow", "write");
    put(Event::Refusal, "coder", "net.connect", "evil.example:443", "deny", "write");
    put(Event::Refusal, "coder", "mcp__pay__send", "", "ask", "irreversible");
    put(Event::Call, BAD, BAD, BAD, "allow", BAD);
    let console = Console::inside(&project);
    let page = console.browser.get("/agents").body;
    let (_, map) = page.split_once("<h2>Map</h2>").unwrap();
    for shown in [
        "<path class=\"made\"",
        "<path class=\"denied\"",
        "<path class=\"asked\"",
        "<rect class=\"final\"",
        "pypi.example:443",
        "evil.example:443",
        "mcp__pay__send",
        "role=\"img\"",
        "&lt;img",
    ] {
        assert!(map.contains(shown), "{shown}: {map}");
    }
    let table = map.split_once("<table").unwrap().1;
    assert!(
        table.contains("evil.example:443") && table.contains("href=\"/log?tool=net%2Econnect\"")
    );
    for path in ["/agents", "/flagged?all=1", "/runs/s-1", "/log", "/agents/default"] {
        let got = console.browser.get(path);
        assert_eq!(got.status, 200, "{path}: {got:?}");
        for part in ["<img", "<script", "'>", "\u{202e}", "\u{1b}"] {
            assert!(!got.body.contains(part), "{path} has {part:?}: {}", got.body);
        }
    }
    assert!(
        !console.browser.get("/agents/default").body.contains("evil.example"),
        "another role's"
    );
}
