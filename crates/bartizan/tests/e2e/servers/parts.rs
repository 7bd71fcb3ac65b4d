//! What is no tool: the resources, prompts and completions of several servers side by side, each under its server's name.

use super::{Client, project, said, tool};
use crate::support::project::Project;
use serde_json::{Value, json};

fn names(
    client: &mut Client,
    method: &str,
    (list, key): (&str, &str),
    count: usize,
) -> Vec<String> {
    // On a busy machine a server may start late.
    loop {
        let listed = client.asks(method, &json!({}));
        let entries =
            listed["result"][list].as_array().unwrap_or_else(|| panic!("{listed}")).clone();
        if entries.len() >= count {
            let name = |entry: &Value| entry[key].as_str().unwrap().to_owned();
            return entries.iter().map(name).collect();
        }
    }
}

/// Two servers, of which the role may use everything.
fn both() -> Project {
    let (link, pay) = ([tool("link", "Points at a page.")], [tool("pay", "Pays.")]);
    project(
        &[("docs", &link, &[]), ("shop", &pay, &[])],
        "[roles.default]\nallow = [\"mcp__docs__*\", \"mcp__shop__*\", \"mcp.docs.*\", \"mcp.shop.*\"]\n",
    )
}

#[test]
fn what_each_server_has_is_listed_under_its_name() {
    let project = both();
    let mut client = Client::of(&project);
    let hello = client.gateway.line(&|line| line.contains("protocolVersion"));
    let hello: Value = serde_json::from_str(&hello).unwrap();
    let can = &hello["result"]["capabilities"];
    assert_eq!(can["resources"]["subscribe"], true, "{hello}");
    assert!(can["prompts"].is_object() && can["completions"].is_object(), "{hello}");
    let pages = [
        "mcp://docs/demo://page/1",
        "mcp://docs/demo://page/2",
        "mcp://shop/demo://page/1",
        "mcp://shop/demo://page/2",
    ];
    assert_eq!(names(&mut client, "resources/list", ("resources", "uri"), 4), pages);
    let templates =
        names(&mut client, "resources/templates/list", ("resourceTemplates", "uriTemplate"), 2);
    assert_eq!(templates, ["mcp://docs/demo://{id}", "mcp://shop/demo://{id}"]);
    let prompts = names(&mut client, "prompts/list", ("prompts", "name"), 2);
    assert_eq!(prompts, ["docs__greet", "shop__offer"]);
    client.ends();
}

#[test]
fn what_each_server_has_is_reached_under_its_name_and_nothing_without() {
    let project = both();
    let mut client = Client::of(&project);
    names(&mut client, "prompts/list", ("prompts", "name"), 2);
    let read = client.asks("resources/read", &json!({ "uri": "mcp://shop/demo://7" }));
    assert_eq!(read["result"]["contents"][0]["uri"], "mcp://shop/demo://7", "{read}");
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    assert!(text.contains("shop read demo://7") && text.starts_with("<bartizan:content"), "{text}");
    let linked = client.calls("docs__link", &json!({}));
    assert_eq!(linked["result"]["content"][0]["uri"], "mcp://docs/demo://page/1", "{linked}");
    let prompt = client
        .asks("prompts/get", &json!({ "name": "docs__greet", "arguments": { "who": "you" } }));
    let text = prompt["result"]["messages"][0]["content"]["text"].as_str().unwrap();
    assert!(text.contains("docs/greet got {\"who\": \"you\"}"), "{prompt}");
    for (of, whose) in [
        (json!({ "type": "ref/prompt", "name": "shop__offer" }), "shop completes offer"),
        (
            json!({ "type": "ref/resource", "uri": "mcp://docs/demo://{id}" }),
            "docs completes demo://{id}",
        ),
    ] {
        let completed = client.asks(
            "completion/complete",
            &json!({ "ref": of, "argument": { "name": "a", "value": "b" } }),
        );
        assert_eq!(completed["result"]["completion"]["values"][0], whose, "{completed}");
    }
    client.asks("resources/subscribe", &json!({ "uri": "mcp://docs/demo://9" }));
    client
        .gateway
        .line(&|line| line.contains("resources/updated") && line.contains("mcp://docs/demo://9"));
    client.asks("logging/setLevel", &json!({ "level": "info" }));
    client.gateway.line(&|line| line.contains("docs is at info"));
    client.gateway.line(&|line| line.contains("shop is at info"));
    // What names no server is nobody's, and on the log.
    for uri in ["demo://page/1", "mcp://nobody/demo://1", "file:///etc/passwd"] {
        let refused = client.asks("resources/read", &json!({ "uri": uri }));
        assert!(
            refused["error"]["message"].as_str().unwrap().contains("tool-unknown"),
            "{refused}"
        );
    }
    client.ends();
    let log = project.bartizan(&["audit", "list", "--json", "-n", "1000"]).finish().stdout;
    for act in
        ["mcp.shop.resource", "mcp.docs.prompt", "mcp.docs.completion", "mcp.nobody.resource"]
    {
        assert!(log.contains(act), "{act} is not on the log");
    }
}

#[test]
fn what_a_role_may_not_ask_for_is_neither_listed_nor_given() {
    let (look, pay) = ([tool("look", "Looks.")], [tool("pay", "Pays.")]);
    let project = project(
        &[("docs", &look, &[]), ("shop", &pay, &[])],
        "[roles.default]\nallow = [\"mcp__docs__*\", \"mcp__shop__*\", \"mcp.docs.resource\"]\n",
    );
    let mut client = Client::of(&project);
    client.tools("shop__pay");
    let listed = names(&mut client, "resources/list", ("resources", "uri"), 2);
    assert_eq!(listed, ["mcp://docs/demo://page/1", "mcp://docs/demo://page/2"]);
    let read = client.asks("resources/read", &json!({ "uri": "mcp://docs/demo://1" }));
    assert!(
        read["result"]["contents"][0]["text"].as_str().unwrap().contains("docs read"),
        "{read}"
    );
    for (method, params) in [
        ("resources/read", json!({ "uri": "mcp://shop/demo://1" })),
        ("resources/subscribe", json!({ "uri": "mcp://shop/demo://1" })),
        ("prompts/get", json!({ "name": "docs__greet" })),
    ] {
        let refused = client.asks(method, &params);
        let why = refused["error"]["message"].as_str().unwrap_or_else(|| panic!("{refused}"));
        assert!(why.contains("tool-not-listed"), "{refused}");
    }
    assert_eq!(client.asks("prompts/list", &json!({}))["result"]["prompts"], json!([]));
    assert!(said(&client.calls("shop__pay", &json!({}))).contains("shop/pay got"));
    client.ends();
}
