//! Does a declared tool stay what it was declared to be, whatever its arguments and its server say?

use crate::examples::allowed;
use crate::world::{KEY, Server, World};
use base64::Engine as _;
use serde_json::{Value, json};

/// One tool with an open text in every place that there is.
fn probe(server: &Server) -> String {
    format!(
        r#"{declared}
[roles.r]
allow = ["probe", "words"]
[secrets.crm]
from = "env://CRM_KEY"
[tools.probe]
description = "A probe."
effect = "read"
result = ["id"]
[tools.probe.input.path]
type = "string"
[tools.probe.input.header]
type = "string"
lines = true
[tools.probe.input.query]
type = "string"
[tools.probe.http]
method = "GET"
url = "{origin}/v1/c/{{path}}"
headers = {{ x-note = "{{header}}" }}
query = {{ q = "{{query}}" }}
secret = "crm"
as = "query:token"
[tools.words]
description = "Prints."
effect = "read"
result = ["stdout"]
[tools.words.input.word]
type = "string"
[tools.words.command]
argv = ["printf", "%s|", "{{word}}"]
"#,
        declared = server.declared(),
        origin = server.origin()
    )
}

fn arguments(path: &str, header: &str, query: &str) -> Value {
    json!({ "path": path, "header": header, "query": query })
}

#[test]
fn no_argument_leaves_its_place() {
    let (world, server) = (World::new(), Server::start());
    world.configure(&probe(&server));
    let done = world.call("probe", &arguments("a b?c#d", "plain", "x&token=stolen#y=z"));
    assert_eq!(done.code, 0, "{done:?}");
    let path = server.seen()[0]["path"].as_str().unwrap().to_owned();
    assert_eq!(path, format!("/v1/c/a%20b%3Fc%23d?q=x%26token%3Dstolen%23y%3Dz&token={KEY}"));
    for (place, value) in [
        ("path", "../admin"),
        ("path", ".."),
        ("path", "a/b"),
        ("path", "%2e%2e%2fadmin"),
        ("path", "..%2fadmin"),
        ("path", "a\\..\\b"),
        ("path", "a\r\nx: y"),
        ("path", "a\0b"),
        ("header", "a\r\nAuthorization: Bearer x"),
        ("header", "a\nb"),
        ("header", "a\0b"),
        ("query", "a\r\nHost: evil"),
        ("query", "a\0"),
    ] {
        let mut call = arguments("p", "h", "q");
        call[place] = json!(value);
        world.call("probe", &call).is_refused("arguments-invalid");
    }
    for call in [
        json!({}),
        json!({ "path": "p" }),
        json!([]),
        json!({ "path": ["p"], "header": "h", "query": "q" }),
    ] {
        world.call("probe", &call).is_refused("arguments-invalid");
    }
    let mut wide = arguments("p", "h", "q");
    wide["url"] = json!("http://evil.example/");
    world.call("probe", &wide).is_refused("arguments-invalid");
    assert_eq!(server.seen().len(), 1, "something was sent");
}

#[test]
fn an_argument_is_one_argument_and_no_option() {
    let (world, server) = (World::new(), Server::start());
    world.configure(&probe(&server));
    for word in ["a b", "$(id)", "`id`", "a;b|c>d", "'\"", "*", "~", "x=y", "%s%n"] {
        let done = world.call("words", &json!({ "word": word }));
        assert_eq!(done.json()["stdout"], format!("{word}|"), "{done:?}");
    }
    for word in ["-v", "--version", "-", "a\0b", "a\nb"] {
        world.call("words", &json!({ "word": word })).is_refused("arguments-invalid");
    }
}

#[test]
fn a_key_that_comes_back_is_taken_out() {
    let (world, server) = (World::new(), Server::start());
    world.example("get_customer", &server);
    server.mode("echo");
    let done = world.call("get_customer", &json!({ "id": "cus_1" }));
    assert_eq!(done.code, 0, "{done:?}");
    let result = &done.json()["result"];
    for field in [&result["id"], &result["name"], &result["contact"]["email"]] {
        assert!(field.as_str().unwrap().contains("REDACTED"), "{done:?}");
    }
    for mode in ["text", "401"] {
        server.mode(mode);
        world.call("get_customer", &json!({ "id": "cus_1" }));
    }
    assert!(!world.log().contains(KEY));
    world.holds_no_key();
}

#[test]
fn an_answer_that_is_too_long_or_packed_is_withheld_and_said_so() {
    let (world, server) = (World::new(), Server::start());
    world.example("get_customer", &server);
    for (mode, why) in [("huge", "more than"), ("packed", "encoding"), ("half", "whole")] {
        server.mode(mode);
        let done = world.call("get_customer", &json!({ "id": "cus_1" }));
        let answer = done.json();
        assert!(
            done.code == 1 && answer.get("result").is_none() && done.out.len() < 1000,
            "{done:?}"
        );
        assert!(answer["note"].as_str().unwrap().contains(why), "{done:?}");
    }
}

#[test]
fn a_redirect_is_not_followed_and_the_key_goes_nowhere_else() {
    let (world, server, elsewhere) = (World::new(), Server::start(), Server::start());
    world.example("get_customer", &server);
    for status in [301, 302, 303, 307, 308] {
        server.mode(&format!("redirect {status} {}/stolen", elsewhere.origin()));
        let done = world.call("get_customer", &json!({ "id": "cus_1" }));
        assert_eq!((done.code, &done.json()["status"]), (1, &json!(status)), "{done:?}");
    }
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn a_private_address_is_reached_only_where_the_configuration_declares_it() {
    let (world, server) = (World::new(), Server::start());
    let text = probe(&server);
    let undeclared = text.replace(&server.declared(), "");
    world.configure(&undeclared);
    world.call("probe", &arguments("p", "h", "q")).is_refused("host-private");
    // A name that leads to this machine, found out only once it is looked up.
    let named = undeclared.replace("http://127.0.0.1", "http://localhost");
    world.configure(&named);
    let done = world.call("probe", &arguments("p", "h", "q"));
    assert!(done.code == 1 && !done.out.contains("\"status\""), "{done:?}");
    for host in ["169.254.169.254", "10.0.0.1", "[::1]", "192.168.0.1"] {
        world.configure(&undeclared.replace(&server.origin(), &format!("https://{host}")));
        world.call("probe", &arguments("p", "h", "q")).is_refused("host-private");
    }
    assert!(server.seen().is_empty());
    world.configure(&text);
    assert_eq!(world.call("probe", &arguments("p", "h", "q")).code, 0, "the twin");
}

#[test]
fn a_role_calls_only_what_it_may() {
    let (world, server) = (World::new(), Server::start());
    world.configure(&format!("{}\n[roles.other]\nallow = [\"words\"]\n", probe(&server)));
    let call = arguments("p", "h", "q").to_string();
    let done = world.run(&["tool", "call", "probe", "--agent", "other", "--json", &call]);
    done.is_refused("tool-not-listed");
    assert!(server.seen().is_empty());
}

fn pem(label: &str, bytes: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[test]
fn the_server_proves_who_it_is_before_the_key_leaves() {
    let world = World::new();
    let issue = |name: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) =
            (world.path(&format!("{name}.pem")), world.path(&format!("{name}.key")));
        std::fs::write(&certificate, pem("CERTIFICATE", made.cert.der())).unwrap();
        std::fs::write(&key, pem("PRIVATE KEY", &made.signing_key.serialize_der())).unwrap();
        (certificate, key)
    };
    let (believed, key) = issue("believed");
    let (forged, forged_key) = issue("forged");
    let (server, forger) =
        (Server::secured(&believed, &key), Server::secured(&forged, &forged_key));
    let world = world.with("SSL_CERT_FILE", &believed.display().to_string());
    allowed(&world, "get_customer", &server);
    let done = world.call("get_customer", &json!({ "id": "cus_1" }));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(server.header("authorization").unwrap(), format!("Bearer {KEY}"));
    world.example("get_customer", &forger);
    let done = world.call("get_customer", &json!({ "id": "cus_1" }));
    assert!(done.code == 1 && done.json()["note"].as_str().unwrap().contains("TLS"), "{done:?}");
    assert!(forger.seen().is_empty());
}

#[test]
fn a_secret_that_cannot_be_had_or_hidden_is_not_used() {
    let (world, server) = (World::new().with("CRM_KEY", "short"), Server::start());
    world.example("get_customer", &server);
    let done = world.call("get_customer", &json!({ "id": "cus_1" }));
    assert!(done.code == 1 && server.seen().is_empty(), "{done:?}");
    let world = World::new().with("CRM_KEY", "");
    world.example("get_customer", &server);
    let done = world.call("get_customer", &json!({ "id": "cus_1" }));
    assert!(done.code == 1 && server.seen().is_empty(), "{done:?}");
}

#[test]
fn a_declaration_with_a_mistake_says_where_and_what_to_do() {
    let (world, server) = (World::new(), Server::start());
    let text = probe(&server);
    for (from, to, said) in [
        ("{path}", "{pth}", "there is no input `pth`"),
        ("type = \"string\"\nlines", "type = \"sting\"\nlines", "did you mean `string`?"),
        (
            "http://127.0.0.1",
            "http://{path}.evil.example",
            "the host is fixed by the configuration",
        ),
        ("x-note", "authorization", "carries a credential"),
        ("as = \"query:token\"\n", "", "`secret` and `as` go together"),
        ("secret = \"crm\"", "secret = \"cmr\"", "define it: [secrets.cmr]"),
        ("argv = [\"printf\"", "argv = [\"sh\", \"-c\"", "a program of its own"),
        ("result = [\"stdout\"]", "result = [\"output\"]", "a command has no result `output`"),
        ("method = \"GET\"", "method = \"FETCH\"", "is no method of a tool"),
        (
            "effect = \"read\"\nresult = [\"id\"]",
            "effect = \"reed\"\nresult = [\"id\"]",
            "is no effect",
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        world.configure(&changed);
        let done = world.run(&["policy", "check"]);
        assert!(
            done.code == 78 && done.err.contains(said) && done.err.contains("bartizan.toml:"),
            "{said}: {done:?}"
        );
    }
}
