//! Is a passkey one person's, does it let them in, and is an answer in their name worth nothing without it?

use super::browser::{Console, Got};
use super::people::{NAME, Person, asked, configure, invited, me, open};
use crate::support::authenticator::{
    Authenticator, MAKING, THERE, attestation, client, data, text,
};
use crate::support::project::Project;
use crate::support::terminal::Terminal;
use bartizan_store::{Desk as _, NewPasskey, PasskeyKey, Question, QuestionState, Store};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::Value;

fn origin() -> String {
    format!("https://{NAME}")
}

/// The value of an attribute that stands in a page.
fn within<'a>(page: &'a str, before: &str) -> &'a str {
    let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("no {before}: {page}"));
    rest.split('"').next().unwrap()
}

/// What a form of this page sends when this passkey has answered it, besides what the form has of its own.
fn answered(page: &str, passkey: &Authenticator, counter: u32) -> String {
    let client = client("get", within(page, "data-challenge=\""), &origin());
    let data = data(NAME, THERE, counter);
    let signature = text(&passkey.signs(&data, &client));
    let ticket = within(page, "name=\"ticket\" value=\"");
    let (id, data, client) = (text(&passkey.id), text(&data), text(&client));
    format!(
        "ticket={ticket}&credential={id}&authenticator={data}&client={client}&signature={signature}"
    )
}

/// What is sent when one was made.
fn made(page: &str, passkey: &Authenticator) -> String {
    let client = client("create", within(page, "data-challenge=\""), &origin());
    let ticket = within(page, "name=\"ticket\" value=\"");
    let attestation = text(&attestation(&passkey.made(NAME, MAKING)));
    format!("ticket={ticket}&name=key&client={}&attestation={attestation}", text(&client))
}

fn registers(person: &Person, passkey: &Authenticator) -> Got {
    let page = person.get("/passkeys").body;
    person.post("/passkeys", &format!("form={}&{}", person.token(), made(&page, passkey)))
}

/// Comes in by a passkey, which knows its owner by this handle.
fn signs_in(stranger: &Person, passkey: &Authenticator, counter: u32, handle: &str) -> Got {
    let form = answered(&stranger.get("/").body, passkey, counter);
    stranger.post("/sign-in", &format!("{form}&user={handle}"))
}

fn place(question: &Question) -> String {
    format!("/questions/{}", question.id)
}

fn form(person: &Person, question: &Question, say: &str) -> String {
    let (token, digest, policy) = (person.token(), question.digest, question.policy);
    format!("form={token}&digest={digest}&policy={policy}&say={say}&life=once")
}

fn log(project: &Project) -> Vec<Value> {
    let log = project.bartizan(&["audit", "list", "--json"]).finish().stdout;
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_answer_without_its_persons_passkey_is_none() {
    let project = Project::new();
    configure(&project, &[&me(), "web:ben"]);
    let store = Store::open(&project.state()).unwrap();
    let (_terminal, stranger) = open(&project);
    let ben = stranger.clone().enters(&invited(&project, "ben"));
    let passkey = Authenticator::p256(b"ben's");
    assert_eq!(registers(&ben, &passkey).status, 303);
    let (one, two) = (asked(&store, "one", 1), asked(&store, "two", 1));
    // The cookie alone: each answer to what cannot be undone leads to a page that asks.
    let page = ben.post(&place(&one), &form(&ben, &one, "approve"));
    assert!(page.status == 200 && page.head.contains("script-src 'self'"), "{page:?}");
    assert_eq!(ben.post(&place(&one), &form(&ben, &one, "deny")).status, 200);
    let yes = answered(&page.body, &passkey, 1);
    let refused = |question: &Question, say: &str, signed: &str, why: &str| {
        let got = ben.post(&place(question), &format!("{}&{signed}", form(&ben, question, say)));
        assert!(got.status == 403 && got.body.contains(why), "{why}: {got:?}");
        assert!(store.question(&question.id).unwrap().answers.is_empty());
    };
    let forged = answered(&page.body, &Authenticator::p256(b"ben's"), 1);
    refused(&one, "approve", &forged, "the signature does not fit");
    refused(&one, "approve", &answered(&page.body, &Authenticator::p256(b"?"), 1), "unknown here");
    refused(&two, "approve", &yes, "for something else");
    refused(&one, "deny", &yes, "for something else");
    refused(&one, "approve&reason=another", &yes, "for something else");
    let page = ben.post(&place(&one), &form(&ben, &one, "approve"));
    let yes = answered(&page.body, &passkey, 2);
    let sent = format!("{}&{yes}", form(&ben, &one, "approve"));
    assert_eq!(ben.post(&place(&one), &sent).status, 303);
    assert_eq!(store.question(&one.id).unwrap().state, QuestionState::Approved);
    refused(&two, "approve", &yes, "for something else");
    let page = ben.post(&place(&two), &form(&ben, &two, "approve"));
    refused(&two, "approve", &answered(&page.body, &passkey, 2), "counted backwards");
    refused(&two, "approve", &answered(&page.body, &passkey, 3), "was used before");
    can_be_verified(&log(&project), &one);
    store.checkpoint().unwrap();
    assert_eq!(project.bartizan(&["audit", "verify"]).finish().status.code(), Some(0));
}

#[test]
fn where_a_passkey_is_required_who_has_none_gives_no_answer_of_weight() {
    let project = Project::new();
    configure(&project, &[&me(), "web:ben"]);
    let file = project.config().join("bartizan.toml");
    let loose = std::fs::read_to_string(&file).unwrap();
    // At an address of numbers nobody could ever answer: that is said at the start.
    let numbers = loose.replace(&origin(), "https://192.0.2.7:8485");
    project.configure(&format!("{numbers}require_passkey = true\n"));
    let terminal = Terminal::start(project.bartizan(&["console"]));
    terminal.shows("passkeys are required");
    project.configure(&format!("{loose}require_passkey = true\n"));
    let store = Store::open(&project.state()).unwrap();
    let (_terminal, stranger) = open(&project);
    let ben = stranger.enters(&invited(&project, "ben"));
    let question = asked(&store, "one", 1);
    let refused = |person: &Person, say: &str| {
        let got = person.post(&place(&question), &form(person, &question, say));
        assert!(got.status == 403 && got.body.contains("without a passkey"), "{got:?}");
        assert!(store.question(&question.id).unwrap().answers.is_empty());
    };
    refused(&ben, "approve");
    refused(&ben, "deny");
    // Whoever can write the configuration and not this process's memory does not loosen it; with a mistake nobody answers.
    project.configure(&loose);
    refused(&ben, "approve");
    let sent = form(&ben, &question, "approve");
    project.configure(&format!("{loose}require_passkey = 1\n"));
    assert_ne!(ben.post(&place(&question), &sent).status, 303);
    assert!(store.question(&question.id).unwrap().answers.is_empty());
    project.configure(&format!("{loose}require_passkey = true\n"));
    let passkey = Authenticator::p256(b"ben's");
    assert_eq!(registers(&ben, &passkey).status, 303);
    let page = ben.post(&place(&question), &form(&ben, &question, "approve"));
    let signed = answered(&page.body, &passkey, 1);
    let sent = format!("{}&{signed}", form(&ben, &question, "approve"));
    assert_eq!(ben.post(&place(&question), &sent).status, 303);
    assert_eq!(store.question(&question.id).unwrap().state, QuestionState::Approved);
    can_be_verified(&log(&project), &question);
}

/// By the log alone: the key as it was taken down, and what was signed with it.
fn can_be_verified(log: &[Value], question: &Question) {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    let find = |act: &str| log.iter().find(|record| record["act"] == act).unwrap();
    let (made, answer) = (find("passkey"), find("approve"));
    let bytes = |value: &Value| BASE64.decode(value.as_str().unwrap()).unwrap();
    let proof = &answer["passkey"];
    assert_eq!(proof["id"], made["passkey"]);
    let (client, data) = (bytes(&proof["client"]), bytes(&proof["authenticator"]));
    let hashed = ring::digest::digest(&ring::digest::SHA256, &client);
    let signed = [&data[..], hashed.as_ref()].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, bytes(&made["key"]));
    key.verify(&signed, &bytes(&proof["signature"])).unwrap();
    let said: Value = serde_json::from_slice(&client).unwrap();
    let meant = proof["signed"].as_str().unwrap();
    let challenge = ring::digest::digest(&ring::digest::SHA256, meant.as_bytes());
    assert_eq!(said["challenge"], text(challenge.as_ref()));
    let (digest, id) = (question.digest.to_string(), &question.id);
    for part in ["answer\nweb:ben\n", id, &digest, "\napprove once\n"] {
        assert!(meant.contains(part), "{part}: {meant}");
    }
}

#[test]
fn a_passkey_lets_its_owner_in_until_it_is_revoked() {
    let project = Project::new();
    configure(&project, &[&me(), "web:ben", "web:cleo"]);
    let (_terminal, stranger) = open(&project);
    let ben = stranger.clone().enters(&invited(&project, "ben"));
    let page = ben.get("/passkeys").body;
    let handle = within(&page, "data-user=\"").to_owned();
    let passkey = Authenticator::ed25519(b"ben's");
    // A framed, foreign or used-up page makes none.
    let elsewhere =
        text(&client("create", within(&page, "data-challenge=\""), "https://evil.example"));
    let whole = format!("form={}&{}", ben.token(), made(&page, &passkey));
    let (before, rest) = whole.split_once("&client=").unwrap();
    let (_, after) = rest.split_once('&').unwrap();
    let got = ben.post("/passkeys", &format!("{before}&client={elsewhere}&{after}"));
    assert!(got.status == 404 && got.body.contains("another&#39;s page"), "{got:?}");
    assert_eq!(ben.post("/passkeys", &whole).status, 303);
    assert_eq!(ben.post("/passkeys", &whole).status, 404, "once");
    // Another one only by showing the first; a cookie alone makes none.
    let more = Authenticator::p256(b"ben's other");
    let page = ben.get("/passkeys").body;
    assert!(!page.contains("data-passkey=\"make\""), "{page}");
    let shown = format!("form={}&{}", ben.token(), answered(&page, &passkey, 1));
    let page = ben.post("/passkeys/further", &shown);
    assert_eq!(page.status, 200, "{page:?}");
    let form = format!("form={}&{}", ben.token(), made(&page.body, &more));
    assert_eq!(ben.post("/passkeys", &form).status, 303);
    // In by it, and not by anything else.
    let cleo = stranger.clone().enters(&invited(&project, "cleo"));
    let theirs = within(&cleo.get("/passkeys").body, "data-user=\"").to_owned();
    for (passkey, handle, why) in [
        (&passkey, theirs.as_str(), "another"),
        (&passkey, "", "another"),
        (&Authenticator::ed25519(b"ben's"), &handle, "signature"),
        (&Authenticator::ed25519(b"nobody's"), &handle, "unknown"),
    ] {
        let got = signs_in(&stranger, passkey, 2, handle);
        let out = got.status == 404 && got.cookie().is_none() && got.body.contains(why);
        assert!(out, "{why}: {got:?}");
    }
    let page = stranger.get("/").body;
    let form = format!("{}&user={handle}", answered(&page, &passkey, 2));
    let got = stranger.post("/sign-in", &form);
    let inside = Person { cookie: got.cookie().unwrap(), ..stranger.clone() };
    assert!(inside.get("/").body.contains("web:ben"), "{got:?}");
    assert_eq!(stranger.post("/sign-in", &form).status, 404, "an answer is good once");
    // What is revoked lets nobody in, and out who is in by it.
    let listed = project.bartizan(&["console", "passkeys", "--json"]).finish().stdout;
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    for passkey in &listed {
        let id = passkey["id"].as_str().unwrap();
        assert_eq!(project.bartizan(&["console", "revoke", id]).finish().status.code(), Some(0));
    }
    assert_eq!(inside.get("/").status, 401);
    assert_eq!(signs_in(&stranger, &passkey, 3, &handle).status, 404);
    assert_eq!(ben.get("/").status, 200, "who came in by an invitation stays");
    let none = project.bartizan(&["console", "revoke", "ffffffff"]).finish();
    assert!(none.status.code() == Some(1) && none.stderr.contains("no passkey"), "{none:?}");
    let acts: Vec<Value> = log(&project).into_iter().map(|record| record["act"].clone()).collect();
    let count = |act: &str| acts.iter().filter(|told| *told == act).count();
    assert_eq!((count("passkey"), count("passkey-revoked")), (2, 2), "{acts:?}");
}

#[test]
fn where_no_passkey_can_be_asked_its_owner_approves_nothing() {
    let project = Project::new();
    let store = Store::open(&project.state()).unwrap();
    let console = Console::inside(&project);
    let browser = &console.browser;
    let page = browser.get("/passkeys");
    assert!(page.body.contains("not at an address of numbers"), "{page:?}");
    assert!(!page.body.contains("data-passkey"), "{page:?}");
    let (one, two) = (asked(&store, "one", 1), asked(&store, "two", 1));
    let answers = |question: &Question, say: &str| {
        let (token, digest, policy) = (browser.token(), question.digest, question.policy);
        let form = format!("form={token}&digest={digest}&policy={policy}&say={say}&life=once");
        browser.post(&place(question), &form)
    };
    assert_eq!(answers(&one, "approve").status, 303, "who has none answers as ever");
    let page = browser.get(&place(&one)).body;
    assert!(!page.contains("name=\"say\""), "and is shown no form that counts for nothing: {page}");
    let passkey = NewPasskey {
        credential: b"own".to_vec(),
        person: me(),
        host: NAME.to_owned(),
        name: "key".to_owned(),
        key: PasskeyKey { algorithm: -8, bytes: vec![7; 32] },
        counter: 0,
        synced: false,
    };
    store.register_passkey(passkey, 0).unwrap();
    for say in ["approve", "deny"] {
        let got = answers(&two, say);
        assert!(got.status == 403 && got.body.contains("under TLS and at a name"), "{got:?}");
    }
    assert!(store.question(&two.id).unwrap().answers.is_empty());
    // The terminal is another way, and takes the kernel's word.
    let approved = project.bartizan(&["approvals", "approve", &two.id, "-y"]).finish();
    assert_eq!(approved.status.code(), Some(0), "{approved:?}");
}
