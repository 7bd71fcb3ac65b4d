//! What becomes of an answer that is larger than may pass at once? Nothing of it is lost, and nothing passes by another way.

use super::{Client, SERVER, said, started, tool};
use crate::support::log::Log;
use crate::support::project::Project;
use serde_json::{Value, json};

/// One server, whose answers pass 2 KiB at a time, and of which the role may call its tools and nothing else.
fn paged() -> Project {
    let project = Project::new();
    project.write("server.py", SERVER);
    let big =
        json!({ "first": [tool("big", "Says much."), tool("link", "Points.")], "turned": [] });
    project.write("docs.json", &big.to_string());
    let rules = "[roles.default]\nallow = [\"mcp__docs__*\"]\n";
    project.configure(&format!("{}page = \"2KiB\"\n{rules}", started("docs")));
    project
}

fn next(answer: &Value, list: &str) -> Option<String> {
    let last = answer["result"][list].as_array()?.last()?;
    let uri = last["uri"].as_str().filter(|uri| uri.contains("bartizan://rest/"))?;
    let is_next = list == "content" || answer["result"][list].as_array()?.len() > 1;
    is_next.then(|| uri.to_owned())
}

/// What stands between the markers; there is one pair of them.
fn inside(text: &str) -> &str {
    let (open, rest) = text.split_once(">\n").unwrap_or_else(|| panic!("{text}"));
    assert!(open.starts_with("<bartizan:content"), "{text}");
    let (inside, close) = rest.rsplit_once("\n</").unwrap_or_else(|| panic!("{text}"));
    assert!(close.starts_with("bartizan:content") && !inside.contains("<bartizan:"), "{text}");
    inside
}

#[test]
fn an_answer_that_is_too_large_is_read_page_by_page_and_is_scrubbed_as_a_whole() {
    let project = paged();
    let mut client = Client::of(&project);
    let first = client.calls("docs__big", &json!({ "text": "400" }));
    let mut text = inside(said(&first)).to_owned();
    assert!(text.len() < 2048 && text.starts_with("line 0 of much"), "{first}");
    assert_eq!(first["result"]["content"][1]["type"], json!("resource_link"), "{first}");
    let mut uri = next(&first, "content");
    let (mut pages, mut uris) = (1, Vec::new());
    while let Some(at) = uri {
        let page = client.asks("resources/read", &json!({ "uri": at }));
        let said = page["result"]["contents"][0]["text"].as_str().unwrap();
        assert!(said.len() < 2600, "{page}");
        text += "\n";
        text += inside(said);
        uri = next(&page, "contents");
        uris.push(at);
        pages += 1;
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let numbered: Vec<String> = (0..400).map(|n| format!("line {n} of much")).collect();
    assert!(pages > 3 && lines.len() >= 401, "{pages} pages: {text}");
    assert_eq!(lines.get(..400).unwrap(), numbered);
    let end = lines.get(400..).unwrap().join(" ");
    assert!(end.contains("HARBOUR") && !end.contains("IOSFODNN7"), "{end}");
    // Another conversation, an address that was made up, and the server itself lead to nothing.
    let mut other = Client::of(&project);
    other.calls("docs__link", &json!({}));
    for wrong in [uris[0].as_str(), "mcp://docs/bartizan://rest/00112233445566778899aabbccddeeff/0"]
    {
        let read = other.asks("resources/read", &json!({ "uri": wrong }));
        assert_eq!(read["error"]["code"], json!(-32002), "{read}");
    }
    let denied = client.asks("resources/read", &json!({ "uri": "mcp://docs/demo://1" }));
    assert!(denied["error"]["message"].is_string(), "the role reads no resources: {denied}");
    // What a policy takes away is out of reach, however much of an answer is still kept.
    let whole = std::fs::read_to_string(project.config().join("bartizan.toml")).unwrap();
    project.configure(&whole.replace("allow =", "deny = [\"mcp__docs__big\"]\nallow ="));
    assert!(project.bartizan(&["policy", "reload"]).finish().status.success());
    client.gateway.complains("another policy is in force");
    let read = client.asks("resources/read", &json!({ "uri": uris[0] }));
    assert!(read["error"]["message"].as_str().unwrap().contains("any more"), "{read}");
    client.ends();
    other.ends();
    let log = Log::read(&project);
    log.is_whole(&project);
    let read = log.all("client", |record| record["act"] == json!("page"));
    assert_eq!(read.len(), uris.len(), "each page that was read is on the log");
    assert_eq!(log.all("client", |record| record["act"] == json!("page-refused")).len(), 1);
    let found = log.find("finding", |record| record["kind"] == json!("injection"));
    assert_eq!(found["source"], json!("result of mcp__docs__big"), "orders on the last page");
}
