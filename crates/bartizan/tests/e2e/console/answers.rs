//! Does an answer given in the browser count as one: once, for what was shown, and by who may give it?

use super::browser::{Browser, Console};
use crate::support::project::Project;
use bartizan_store::{
    Desk as _, Digest, Durability, Entry, Event, Ledger as _, NewQuestion, NewSession, Question,
    QuestionState, Sessions as _, Store, Verdict,
};
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;

fn ask(store: &Store, call: &str, quorum: u32, shown: Value, expires_in: Duration) -> Question {
    let new = NewQuestion {
        session: "s-1".to_owned(),
        agent: "coder".to_owned(),
        tool: "WebFetch".to_owned(),
        digest: Digest::of(call.as_bytes()),
        policy: Digest::of(b"policy"),
        quorum,
        shown,
        expires_in,
    };
    store.ask(new).unwrap()
}

fn hour(store: &Store, call: &str, quorum: u32) -> Question {
    let shown = json!({ "effect": "write", "target": call, "arguments": { "url": call } });
    ask(store, call, quorum, shown, Duration::from_hours(1))
}

/// A form as the page of this question has it.
fn form(token: &str, question: &Question, rest: &str) -> String {
    let (digest, policy) = (question.digest, question.policy);
    format!("form={token}&digest={digest}&policy={policy}&{rest}")
}

fn place(question: &Question) -> String {
    format!("/questions/{}", question.id)
}

#[test]
fn a_person_sees_a_question_whole_and_answers_it_once() {
    let project = Project::new();
    let store = Store::open(&project.state()).unwrap();
    let console = Console::inside(&project);
    let browser = &console.browser;
    let first = hour(&store, "https://a.example/one", 1);
    let inbox = browser.get("/").body;
    assert!(inbox.contains("https://a.example/one") && inbox.contains(&place(&first)), "{inbox}");
    let page = browser.get(&place(&first)).body;
    for part in [&*first.digest.to_string(), "write", "coder", "s-1", "0 of 1"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let token = browser.token();
    let yes = form(&token, &first, "say=approve&life=once&reason=as+agreed");
    for _ in 0..2 {
        assert_eq!(browser.post(&place(&first), &yes).status, 303, "the same again is the same");
    }
    let now = store.question(&first.id).unwrap();
    assert_eq!((now.state, now.answers.len(), now.until_ms), (QuestionState::Approved, 1, None));
    assert_eq!(now.answers[0].reason, "as agreed");
    let no = form(&token, &first, "say=deny");
    let late = browser.post(&place(&first), &no);
    assert!(late.status == 409 && late.body.contains("already"), "{late:?}");
    // For a time, taken back by the same person.
    let second = hour(&store, "https://a.example/two", 1);
    let yes = form(&token, &second, "say=approve&life=15m");
    assert_eq!(browser.post(&place(&second), &yes).status, 303);
    assert!(store.question(&second.id).unwrap().until_ms.is_some());
    let no = form(&token, &second, "say=deny&reason=enough");
    assert_eq!(browser.post(&place(&second), &no).status, 303);
    let denied = store.question(&second.id).unwrap();
    assert_eq!(denied.state, QuestionState::Denied);
    assert_eq!(denied.denial().unwrap().reason, "enough");
    // Two people have to, and this is one.
    let third = hour(&store, "https://a.example/three", 2);
    let yes = form(&token, &third, "say=approve&life=once");
    assert_eq!(browser.post(&place(&third), &yes).status, 303);
    assert_eq!(store.question(&third.id).unwrap().state, QuestionState::Pending);
    assert!(browser.get(&place(&third)).body.contains("1 of 2"));
    assert_eq!(project.bartizan(&["audit", "verify"]).finish().status.code(), Some(0));
}

#[test]
fn a_form_that_is_not_of_the_question_answers_nothing() {
    let project = Project::new();
    let store = Store::open(&project.state()).unwrap();
    let console = Console::inside(&project);
    let browser = &console.browser;
    let (question, other) = (hour(&store, "one", 1), hour(&store, "other", 1));
    let token = browser.token();
    let at = place(&question);
    let yes = "say=approve&life=once";
    for (form, status) in [
        (form("0", &question, yes), 403),
        (form(&token, &other, yes), 404),
        (format!("form={token}&{yes}"), 404),
        (form(&token, &question, "say=perhaps"), 400),
        (form(&token, &question, "say=approve&say=approve&life=once"), 400),
        (form(&token, &question, "say=approve&life=forever"), 400),
        (form(&token, &question, "say=approve&life=2d"), 409),
        (form(&token, &question, "say=approve&life=once&endorse=all"), 400),
        (form(&token, &question, "say=approve&life=once&endorse=value"), 404),
    ] {
        let got = browser.post(&at, &form);
        assert_eq!(got.status, status, "{form}: {got:?}");
    }
    assert_eq!(browser.get(&format!("{at}?{}", form(&token, &question, yes))).status, 200);
    assert!(store.question(&question.id).unwrap().answers.is_empty());
    let brief = ask(&store, "brief", 1, json!({}), Duration::from_millis(1));
    while store.question(&brief.id).unwrap().state != QuestionState::Expired {
        thread::sleep(Duration::from_millis(1));
    }
    let page = browser.get(&place(&brief)).body;
    assert!(page.contains(">expired<") && !page.contains("name=\"say\""), "{page}");
    let late = browser.post(&place(&brief), &form(&token, &brief, yes));
    assert!(late.status == 409 && late.body.contains("expired"), "{late:?}");
    // Who may answer is looked up when it is answered.
    project.configure("[approvers]\npeople = [\"local:somebody-else\"]\n");
    let got = browser.post(&at, &form(&token, &question, yes));
    assert!(got.status == 404 && got.body.contains("is not an approver"), "{got:?}");
    assert!(store.question(&question.id).unwrap().answers.is_empty());
}

#[test]
fn an_answer_of_which_a_part_was_not_taken_says_so() {
    let project = Project::new();
    let store = Store::open(&project.state()).unwrap();
    let console = Console::inside(&project);
    let browser = &console.browser;
    // More values than anybody vouches for at once.
    let key = |number: u32| Digest::of(&number.to_be_bytes()).to_string();
    let values: Vec<Value> = (0..100).map(|number| json!({ "key": key(number) })).collect();
    let shown = json!({ "effect": "write", "origins": { "values": values } });
    let question = ask(&store, "many", 1, shown, Duration::from_hours(1));
    let yes = form(&browser.token(), &question, "say=approve&life=once&endorse=value");
    let got = browser.post(&place(&question), &yes);
    assert!(got.status == 500 && got.body.contains("but vouches for nothing"), "{got:?}");
    assert_eq!(store.question(&question.id).unwrap().state, QuestionState::Approved);
    assert!(store.endorsed("s-1").unwrap().is_empty());
}

#[test]
fn nothing_that_an_agent_writes_becomes_part_of_a_page() {
    let project = Project::new();
    let store = Store::open(&project.state()).unwrap();
    let bad = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>\u{202e}\u{1b}[2J&lt;";
    let session = NewSession {
        id: "s-1".to_owned(),
        agent: "coder<img>".to_owned(),
        workspace: bad.to_owned(),
        argv: vec![bad.to_owned(), bad.to_owned()],
        facts: serde_json::Map::new(),
    };
    store.begin(session).unwrap();
    let shown = json!({
        "effect": bad, "target": bad, "host": bad, "secret": bad, "odd<img>": bad, "role": bad,
        "origins": { "tainted": true, "values": [{ "part": bad, "value": bad, "origin": "untrusted", "source": bad, "excerpt": bad }] },
        "policies": [{ "id": bad, "file": bad, "line": bad }],
        "arguments": { "old_string": bad, "new_string": "x", bad: [bad, { bad: bad }] },
    });
    let question = ask(&store, "bad", 1, shown, Duration::from_hours(1));
    let mut entry = Entry::new(Event::Refusal).session("s-1").call("c-1");
    for field in
        ["tool", "agent", "verdict", "code", "reason", "target", "host", "secret", "act", "ended"]
    {
        entry = entry.with(field, bad);
    }
    let entry = entry.with("arguments", json!({ bad: bad }));
    let _receipt = store.append(entry, Durability::Durable).unwrap();
    let seq = store.reader().size().unwrap() - 1;
    let console = Console::inside(&project);
    let hostile = "%22%3E%3Cimg%20src%3Dx%3E%E2%80%AE";
    let mut paths = vec!["/?all=1".to_owned(), "/runs".to_owned(), format!("/log/{seq}")];
    paths.push(place(&question));
    for base in ["/runs/s-1", "/log", "/runs"] {
        paths.push(base.to_owned());
        for name in
            ["text", "event", "verdict", "tool", "host", "agent", "from", "before", "flagged"]
        {
            paths.push(format!("{base}?{name}={hostile}"));
        }
    }
    for path in [format!("/log?since={hostile}"), format!("/{hostile}"), format!("/runs/{hostile}")]
    {
        let got = console.browser.get(&path);
        assert!((400..500).contains(&got.status) && !got.body.contains("<img"), "{got:?}");
    }
    for path in paths {
        let got = console.browser.get(&path);
        assert_eq!(got.status, 200, "{path}: {got:?}");
        for part in ["<img", "<script", "'>", "\u{202e}", "\u{1b}"] {
            assert!(!got.body.contains(part), "{path} has {part:?}: {}", got.body);
        }
    }
    let page = console.browser.get(&place(&question)).body;
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"), "it is shown, as text: {page}");
}

#[test]
fn an_answer_that_was_acknowledged_survives_the_consoles_death() {
    let project = Project::new();
    let store = Store::open(&project.state()).unwrap();
    let console = Console::inside(&project);
    let token = console.browser.token();
    let questions: Vec<Question> =
        (0..12).map(|number| hour(&store, &format!("call-{number}"), 1)).collect();
    let (told, heard) = std::sync::mpsc::channel();
    for question in questions.clone() {
        let (browser, told) = (console.browser.clone(), told.clone());
        let form = form(&token, &question, "say=approve&life=once");
        thread::spawn(move || {
            let status = browser.post(&place(&question), &form).status;
            drop(told.send((question.id, status)));
        });
    }
    drop(told);
    let first = heard.recv().unwrap();
    // SIGKILL, with the others somewhere in between.
    drop(console);
    for (id, status) in std::iter::once(first).chain(heard) {
        let question = store.question(&id).unwrap();
        assert!(question.answers.len() <= 1);
        if status == 303 {
            assert_eq!(question.state, QuestionState::Approved, "{id} was acknowledged");
        }
    }
    let verified = project.bartizan(&["audit", "verify"]).finish();
    assert!(matches!(verified.status.code(), Some(0 | 3)), "{verified:?}");
    let log = project.bartizan(&["audit", "list", "--json", "--event", "approval"]).finish().stdout;
    let answered = |q: &&Question| !store.question(&q.id).unwrap().answers.is_empty();
    assert_eq!(log.lines().count(), questions.iter().filter(answered).count());
}

#[test]
fn a_link_that_somebody_was_sent_opens_its_question_once_and_lets_nobody_in() {
    let project = Project::new();
    let store = Store::open(&project.state()).unwrap();
    let console = Console::inside(&project);
    let question = hour(&store, "https://a.example/", 1);
    let link = store.link(&question.id, question.expires_ms);
    let (open, go) = (format!("/open/{link}"), format!("/open/{link}/go"));
    // As a chat's own look at the link, and whoever is not in.
    let stranger = Browser { cookie: String::new(), ..console.browser.clone() };
    let Browser { address, .. } = &stranger;
    let from_elsewhere =
        format!("GET {open} HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: cross-site\r\n\r\n");
    let seen = stranger.send(&from_elsewhere);
    assert!(seen.status == 200 && seen.body.contains(&go), "{seen:?}");
    assert!(!seen.body.contains("a.example"), "it tells nothing: {seen:?}");
    assert_eq!(stranger.get(&go).status, 401);
    // What is forged, altered or expired leads nowhere, for who is in.
    let other = hour(&store, "https://b.example/", 1);
    let altered = link.replace(&question.id, &other.id);
    let expired = store.link(&question.id, 1);
    for wrong in [altered.as_str(), &expired, "a.1.b", &format!("{link}A")] {
        let got = console.browser.get(&format!("/open/{wrong}/go"));
        assert_eq!(got.status, 404, "{wrong}: {got:?}");
    }
    let got = console.browser.get(&go);
    assert!(got.status == 303 && got.head.contains(&place(&question)), "{got:?}");
    let again = console.browser.get(&go);
    assert!(again.status == 404 && again.body.contains("was used before"), "{again:?}");
    assert_eq!(
        store.question(&question.id).unwrap().state,
        QuestionState::Pending,
        "it answers nothing"
    );
    assert_eq!(console.browser.get("/open/%3Cb%3E").status, 404, "and no markup comes into a page");
}

#[test]
fn of_a_yes_and_a_no_at_the_same_time_one_stands_and_only_that_one_is_acknowledged() {
    let project = Project::new();
    let store = Store::open(&project.state()).unwrap();
    let console = Console::inside(&project);
    let token = console.browser.token();
    for number in 0..4 {
        let question = &hour(&store, &format!("call-{number}"), 1);
        let say = [(Verdict::Approve, "say=approve&life=once"), (Verdict::Deny, "say=deny")];
        let told: Vec<(Verdict, u16)> = thread::scope(|scope| {
            let sent = [say, say].concat().into_iter().map(|(verdict, say)| {
                let (browser, form) = (&console.browser, form(&token, question, say));
                scope.spawn(move || (verdict, browser.post(&place(question), &form).status))
            });
            let sent: Vec<_> = sent.collect();
            sent.into_iter().map(|sent| sent.join().unwrap()).collect()
        });
        let now = store.question(&question.id).unwrap();
        assert_eq!(now.answers.len(), 1, "{now:?}");
        let stands = now.answers[0].verdict;
        let state = match stands {
            Verdict::Approve => QuestionState::Approved,
            Verdict::Deny => QuestionState::Denied,
        };
        assert_eq!(now.state, state, "{now:?}");
        for (verdict, status) in told {
            assert_eq!(status, if verdict == stands { 303 } else { 409 }, "{verdict:?} {now:?}");
        }
    }
    assert_eq!(project.bartizan(&["audit", "verify"]).finish().status.code(), Some(0));
}
