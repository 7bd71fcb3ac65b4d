//! A server that knows only the first way of HTTP (2024-11-05, a stream and a place to send to), which it names itself: it is
//! spoken to, and cannot have us send anything elsewhere.

use super::away::{Away, KEY};
use super::{Client, said};
use crate::support::log::Log;
use serde_json::{Value, json};

const PROGRAM: &str = include_str!("older.py");

/// An honest server, and one that is hostile in this way.
pub(super) fn beside(way: &str) -> (Away, Client) {
    let away = Away::of(PROGRAM);
    let port = away.port;
    let timeout = if way == "slow" { 2 } else { 30 };
    away.project.configure(&format!(
        "[servers.good]\nurl = \"https://localhost:{port}/good\"\npin = \"first-use\"\n\
         [servers.crm]\nurl = \"https://localhost:{port}/{way}\"\npin = \"first-use\"\ntimeout = \"{timeout}s\"\n\
         [hosts.\"localhost:{port}\"]\nprivate = true\n\
         [secrets.crm]\nfrom = \"env://CRM_KEY\"\n\
         [[inject]]\nsecret = \"crm\"\nhost = \"localhost:{port}\"\nas = \"bearer\"\n\
         [roles.default]\nallow = [\"mcp__crm__*\", \"mcp__good__*\"]\n"
    ));
    let client = away.client();
    (away, client)
}

/// The inner host was never reached, the honest server is there, and no key was shown.
pub(super) fn nothing_came_of_it(mut client: Client) {
    client.answers("good__hits");
    let hits = client.calls("good__hits", &json!({}));
    assert!(said(&hits).contains("reached 0 times"), "{hits}");
    let ran = client.ends();
    for shown in [KEY, "FORGED"] {
        assert!(!ran.stdout.contains(shown) && !ran.stderr.contains(shown), "{shown}: {ran:?}");
    }
}

#[test]
fn a_server_of_the_first_transport_is_spoken_to() {
    let (away, mut client) = beside("absolute");
    client.tools("crm__plain");
    for text in ["one", "two"] {
        let plain = client.calls("crm__plain", &json!({ "text": text }));
        assert!(said(&plain).contains(&format!("plainly {text}")), "{plain}");
    }
    assert!(said(&client.calls("crm__key", &json!({}))).contains("the key is"));
    let refused = client.calls("crm__refuse", &json!({}));
    let why = refused["error"]["message"].as_str().unwrap();
    assert!(why.contains("the server answered with status 503"), "{refused}");
    // What it asks, on the stream, has its answer: of us, of the policy, of the person.
    client.gateway.adds("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/call\",\"params\":{\"name\":\"crm__ask\",\"arguments\":{}}}\n");
    let asked = client.gateway.line(&|line| line.contains("elicitation/create"));
    let asked: Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(asked["params"]["message"], "[server crm] go on?");
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "action": "accept" } });
    client.gateway.adds(&format!("{answer}\n"));
    client.gateway.says("('e', 'accept'), ('p', 'yes'), ('r', 'refused'), ('s', 'refused')");
    nothing_came_of_it(client);
    // Each message is a request on the log; what tells the session apart is not.
    let log = away.project.bartizan(&["audit", "list", "--json", "-n", "1000"]).finish().stdout;
    assert!(log.contains("\"/messages\"") && log.contains("\"GET\""), "{log}");
    assert!(!log.contains("session=") && !log.contains(KEY), "{log}");
}

#[test]
fn a_server_cannot_have_its_messages_sent_elsewhere() {
    for (way, why) in [
        ("elsewhere", "of another origin"),
        ("credentials", "with credentials"),
        ("above", "no plain reading"),
        ("redirected", "it answered with status 307"),
        ("plain-text", "it answered with status 200"),
        ("another-first", "does not say first where messages go"),
        ("moved", "the server answered with status 307"),
    ] {
        let (away, mut client) = beside(way);
        client.fails("crm__plain", why);
        nothing_came_of_it(client);
        let down = |record: &Value| record["act"] == "mcp_down" && record["server"] == "crm";
        let down = Log::read(&away.project).find("config_change", down);
        assert!(down["why"].as_str().unwrap().contains(why), "{down}");
    }
}

#[test]
fn what_follows_the_question_mark_of_a_place_is_in_the_policys_view() {
    let (away, mut client) = beside("absolute");
    client.tools("crm__plain");
    client.ends();
    let whole = std::fs::read_to_string(away.project.config().join("bartizan.toml")).unwrap();
    let rule = "[roles.\"*\"]\ndeny = [{ tool = \"net.request\", when = 'context.input has query && context.input.query like \"*mode=absolute*\"' }]\n";
    away.project.configure(&(whole + rule));
    let mut client = away.client();
    client.fails("crm__plain", "policy-denied");
    nothing_came_of_it(client);
    let log = Log::read(&away.project);
    let refused = log.find("refusal", |record| record["tool"] == "net.request");
    assert_eq!(refused["arguments"]["query"], "[not kept]", "{refused}");
    let sent = |record: &Value| record["arguments"]["path"] == "/messages";
    let sent = log.find("call", sent);
    assert_eq!(sent["arguments"]["query"], "[not kept]", "{sent}");
    let log = away.project.bartizan(&["audit", "list", "--json", "-n", "1000"]).finish().stdout;
    assert!(!log.contains("session="), "{log}");
}

#[test]
fn a_stream_that_never_says_where_to_send_is_given_up() {
    let (_away, mut client) = beside("silent");
    client.fails("crm__plain", "does not say first where messages go");
    nothing_came_of_it(client);
}

#[test]
fn a_stream_that_breaks_or_turns_ends_what_waits_and_is_begun_anew() {
    let (_away, mut client) = beside("absolute");
    client.tools("crm__plain");
    for (tool, why) in [
        ("crm__drop", "the server's stream has ended"),
        ("crm__again", "the server names a second place to send to"),
        ("crm__talk", "what the server says is no message"),
        ("crm__huge", "an event that is larger than one may be"),
    ] {
        let failed = client.calls(tool, &json!({}));
        assert!(failed["error"]["message"].as_str().unwrap().contains(why), "{tool}: {failed}");
        client.answers("crm__plain");
    }
    nothing_came_of_it(client);
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for_for_ever() {
    let (_away, mut client) = beside("slow");
    client.tools("crm__plain");
    let failed = client.calls("crm__unsaid", &json!({}));
    assert!(failed["error"]["message"].as_str().unwrap().contains("in time"), "{failed}");
    client.answers("crm__plain");
    nothing_came_of_it(client);
}

#[test]
fn a_token_goes_no_further_than_the_address_it_was_given_for() {
    let away = Away::of(PROGRAM);
    let url = format!("https://localhost:{}/good", away.port);
    away.project.configure("");
    let flags = ["--bearer", "env://CRM_KEY", "--name", "crm", "--allow", "*"];
    let mut client = Client::begin(away.gateway(&[&["mcp", "--url", &url][..], &flags].concat()));
    // The token is for the address that was named, and for what lies below it.
    let begun = client.gateway.line(&|line| line.contains("\"hello\""));
    assert!(begun.contains("the server answered with status 401"), "{begun}");
    assert!(!client.ends().stdout.contains(KEY));
}
