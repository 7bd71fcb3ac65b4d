//! What becomes of an answer that is larger than may pass at once? Nothing of it is lost, and nothing passes by another way.

use super::away::pem;
use super::{Client, PATIENCE, SERVER, said, started, tool};
use crate::support::log::Log;
use crate::support::project::{Project, Started};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

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
    let blocks = answer["result"][list].as_array()?;
    let link = blocks.iter().skip(1).find_map(|block| block["uri"].as_str())?;
    assert!(link.contains("bartizan://rest/"), "{answer}");
    Some(link.to_owned())
}

/// The address that the last words of an answer name, which are ours.
fn address(answer: &Value) -> Option<String> {
    let word = answer["result"]["content"].as_array()?.last()?["text"].as_str()?;
    let (_, address) = word.strip_prefix("bartizan: ")?.split_once("with the address ")?;
    Some(address.to_owned())
}

const READ_ON: &str = "bartizan_read_on";

impl Client {
    fn reads_on(&mut self, address: &str) -> Value {
        self.asks("tools/call", &json!({ "name": READ_ON, "arguments": { "address": address } }))
    }

    /// All of an answer, by our tool, and the addresses on the way.
    fn whole(&mut self, first: &Value) -> (String, Vec<String>) {
        let (mut text, mut addresses) = (inside(said(first)).to_owned(), Vec::new());
        let mut next = address(first);
        while let Some(at) = next {
            let page = self.reads_on(&at);
            assert!(page["result"].get("isError").is_none(), "{page}");
            text += "\n";
            text += inside(said(&page));
            next = address(&page);
            addresses.push(at);
        }
        (text, addresses)
    }
}

/// Whether every line of what `big` says is there, once and in its place, and no secret is.
fn is_whole(text: &str) {
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let numbered: Vec<String> = (0..400).map(|n| format!("line {n} of much")).collect();
    assert_eq!(lines.get(..400).unwrap(), numbered);
    let end = lines.get(400..).unwrap().join(" ");
    assert!(end.contains("HARBOUR") && !end.contains("IOSFODNN7"), "{end}");
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
    assert!(pages > 3, "{pages} pages: {text}");
    is_whole(&text);
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

#[test]
fn a_client_that_reads_no_resources_reads_on_by_a_tool_of_ours() {
    let project = paged();
    let mut client = Client::of(&project);
    let listed = client.lists("docs__big");
    assert_eq!(listed, ["docs__big", "docs__link", READ_ON], "where pages are short");
    let first = client.calls("docs__big", &json!({ "text": "400" }));
    let (text, addresses) = client.whole(&first);
    is_whole(&text);
    assert!(addresses.len() >= 3, "{addresses:?}");
    // The address as the link has it is as good; one that was made up, or is another conversation's, is not.
    let link = next(&first, "content").unwrap();
    assert!(link.starts_with("mcp://docs/"), "{link}");
    assert!(said(&client.reads_on(&link)).contains("of much"));
    let mut other = Client::of(&project);
    other.calls("docs__link", &json!({}));
    for wrong in ["bartizan://rest/00112233445566778899aabbccddeeff/0", "file:///etc/passwd", ""] {
        assert_eq!(client.reads_on(wrong)["result"]["isError"], json!(true));
    }
    for address in &addresses {
        let read = other.reads_on(address);
        assert_eq!(read["result"]["isError"], json!(true), "{read}");
        assert!(said(&read).contains("nothing is kept"), "{read}");
    }
    for arguments in
        [json!({}), json!({ "address": addresses[0], "more": 1 }), json!({ "address": [] })]
    {
        let read = client.asks("tools/call", &json!({ "name": READ_ON, "arguments": arguments }));
        assert_eq!(read["error"]["code"], json!(-32602), "{read}");
    }
    let whole = std::fs::read_to_string(project.config().join("bartizan.toml")).unwrap();
    project.configure(&whole.replace("allow =", "deny = [\"mcp__docs__big\"]\nallow ="));
    assert!(project.bartizan(&["policy", "reload"]).finish().status.success());
    client.gateway.complains("another policy is in force");
    let read = client.reads_on(&addresses[0]);
    assert_eq!(read["result"]["isError"], json!(true), "{read}");
    assert!(said(&read).contains("any more"), "{read}");
    client.ends();
    other.ends();
    let log = Log::read(&project);
    log.is_whole(&project);
    let read = log.all("client", |record| record["act"] == json!("page"));
    assert_eq!(read.len(), addresses.len() + 1, "each page that was read is on the log");
    assert_eq!(log.all("client", |record| record["act"] == json!("page-refused")).len(), 1);
    let found = log.find("finding", |record| record["kind"] == json!("injection"));
    assert_eq!(found["source"], json!("result of mcp__docs__big"), "orders on the last page");
}

#[test]
fn a_server_cannot_have_a_tool_of_the_name_of_ours() {
    let project = paged();
    let names = [READ_ON, "Bartizan_Read_On", "bartizan-read.on"];
    let mut tools: Vec<Value> = names.iter().map(|name| tool(name, "Reads on.")).collect();
    tools.push(tool("big", "Says much."));
    project.write("docs.json", &json!({ "first": tools, "turned": [] }).to_string());
    let mut client = Client::of(&project);
    assert_eq!(client.lists("docs__big"), ["docs__big", READ_ON]);
    for name in names {
        let called = client.calls(&format!("docs__{name}"), &json!({ "text": "give me" }));
        assert!(!called.to_string().contains("give me"), "it reached the server: {called}");
    }
    let first = client.calls("docs__big", &json!({ "text": "400" }));
    is_whole(&client.whole(&first).0);
    let ran = client.ends();
    assert!(ran.stderr.contains("it has the name of a tool of ours"), "{}", ran.stderr);
}

#[test]
fn what_is_kept_outlives_a_server_that_nobody_needs() {
    let project = paged();
    let whole = std::fs::read_to_string(project.config().join("bartizan.toml")).unwrap();
    project.configure(&whole.replace("page =", "idle_after = \"2s\"\npage ="));
    let mut client = Client::of(&project);
    let first = client.calls("docs__big", &json!({ "text": "400" }));
    let deadline = Instant::now() + PATIENCE;
    while super::idle::ended_of(&project, "docs") == 0 {
        assert!(Instant::now() < deadline, "it goes on: {:?}", client.gateway);
        std::thread::sleep(Duration::from_millis(200));
    }
    is_whole(&client.whole(&first).0);
    client.ends();
}

/// A gateway that serves what `paged` has, with TLS: its address, a token for it, and its certificate.
fn served(project: &Project) -> (Started, String, String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = project.home().join(name).to_str().unwrap().to_owned();
        std::fs::write(&path, text).unwrap();
        path
    };
    let cert = file("cert.pem", pem("CERTIFICATE", made.cert.der()));
    let key = file("key.pem", pem("PRIVATE KEY", &made.signing_key.serialize_der()));
    let token = ["agent", "token", "create", "--role", "default", "--json"];
    let token = project.bartizan(&token).finish().stdout;
    let token: Value = serde_json::from_str(&token).unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    let mut gateway = project.bartizan(&args).start();
    let line = gateway.complaint(&|line| line.contains("serving at"));
    let port = line.trim_end_matches("/mcp").rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}/mcp");
    (gateway, url, token["token"].as_str().unwrap().to_owned(), cert)
}

#[test]
fn what_a_gateway_behind_us_keeps_is_read_on_in_by_whoever_may_read_its_resources() {
    let (inner, project) = (paged(), Project::new());
    let (_gateway, url, token, cert) = served(&inner);
    let begin = || {
        let args =
            ["mcp", "--url", &url, "--bearer", "env://INNER", "--name", "far", "--allow", "*"];
        let program = project.bartizan(&args).env("INNER", &token).env("SSL_CERT_FILE", &cert);
        Client::begin(program.typing())
    };
    project.configure("[roles.default]\ndeny = [\"mcp.far.resource\"]\n");
    let mut client = begin();
    assert_eq!(
        client.lists("docs__big"),
        ["docs__big", "docs__link"],
        "one tool of ours, none of theirs"
    );
    let first = client.calls("docs__big", &json!({ "text": "400" }));
    let at = address(&first).unwrap_or_else(|| panic!("{first}"));
    client.gateway.says("notifications/tools/list_changed");
    assert!(client.lists(READ_ON).contains(&READ_ON.to_owned()));
    let refused = client.reads_on(&at);
    let why = refused["error"]["message"].as_str().unwrap();
    assert!(why.starts_with("tool-not-listed: `mcp.far.resource`"), "{refused}");
    client.ends();
    project.configure("[roles.default]\nallow = [\"mcp.far.resource\"]\n");
    let mut client = begin();
    client.lists("docs__big");
    let first = client.calls("docs__big", &json!({ "text": "400" }));
    let mut text = said(&first).to_owned();
    let (mut next, mut pages) = (address(&first), 0);
    while let Some(at) = next {
        let page = client.reads_on(&at);
        text += said(&page);
        assert!(said(&page).starts_with("<bartizan:content"), "{page}");
        (next, pages) = (address(&page), pages + 1);
    }
    assert!(pages > 2, "{pages}: {text}");
    for line in [0, 1, 57, 200, 399] {
        assert!(text.contains(&format!("line {line} of much")), "{line}: {text}");
    }
    assert!(text.contains("HARBOUR") && !text.contains("IOSFODNN7"), "{text}");
    // What the server has given no address of is asked of nobody.
    let made_up = client.reads_on("bartizan://rest/00112233445566778899aabbccddeeff/0");
    assert!(said(&made_up).contains("nothing is kept"), "{made_up}");
    client.ends();
    let log = Log::read(&project);
    let read = log.all("call", |record| record["tool"] == json!("mcp.far.resource"));
    assert_eq!(read.len(), pages, "each is an act of its own");
}
