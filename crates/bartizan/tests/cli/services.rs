//! Is what the pages of docs/services say of a configuration true? Each of their examples is loaded, and judged as the page says.

use crate::World;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What a page says of one request: its page, which of the page's examples, the request, and the verdict.
const SAID: [(&str, usize, &str, &str, &str); 12] = [
    ("github", 0, "GET", "api.github.com/repos/acme/site/pulls", "allow"),
    ("github", 0, "POST", "github.com/acme/site.git/git-upload-pack", "allow"),
    ("github", 0, "POST", "github.com/acme/site.git/git-receive-pack", "ask"),
    ("github", 0, "POST", "github.com/acme/other.git/git-receive-pack", "deny"),
    ("github", 0, "POST", "api.github.com/graphql", "deny"),
    ("anthropic", 1, "POST", "api.anthropic.com/v1/messages", "allow"),
    ("anthropic", 1, "GET", "api.anthropic.com/v1/files", "deny"),
    ("npm", 0, "PUT", "registry.npmjs.org/@acme/thing", "deny"),
    ("pypi", 0, "GET", "pypi.org/simple/requests/", "allow"),
    ("pypi", 1, "POST", "upload.pypi.org/legacy/", "ask"),
    ("crates", 1, "PUT", "crates.io/api/v1/crates/new", "ask"),
    ("aws", 0, "PUT", "s3.eu-west-1.amazonaws.com/reports/may.csv", "ask"),
];

fn pages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/services")
}

/// The examples of configuration on a page.
fn examples(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let parts = text.split("```toml\n").skip(1);
    parts.map(|part| part.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_example_of_every_service_is_a_configuration() {
    let mut found = 0;
    for page in pages().read_dir().unwrap() {
        let page = page.unwrap().path();
        for example in examples(&page) {
            let world = World::new();
            world.configure(&example);
            let checked = world.run(&["policy", "check"]);
            assert_eq!(checked.code, 0, "{}: {checked:?}", page.display());
            assert!(!checked.err.contains("warning"), "{}: {checked:?}", page.display());
            found += 1;
        }
    }
    assert!(found >= 9, "{found} examples");
}

#[test]
fn each_request_is_judged_as_its_page_says() {
    for (page, example, method, url, expected) in SAID {
        let world = World::new();
        world.configure(&examples(&pages().join(format!("{page}.md")))[example]);
        let (host, path) = url.split_once('/').unwrap();
        let input = json!({ "host": host, "port": 443, "scheme": "https", "method": method, "path": format!("/{path}") });
        let input = input.to_string();
        let judged =
            world.run(&["policy", "explain", "--json", "--role", "coder", "net.request", &input]);
        let answer: Value =
            serde_json::from_str(&judged.out).unwrap_or_else(|_| panic!("{judged:?}"));
        assert_eq!(answer["verdict"], expected, "{page} {method} {url}: {answer}");
    }
}

#[test]
fn the_database_is_reached_and_no_other_port_of_its_host() {
    let world = World::new();
    world.configure(&examples(&pages().join("postgresql.md"))[0]);
    for (port, expected) in [(5432, "allow"), (22, "deny")] {
        let input = json!({ "host": "db.example", "port": port, "protocol": "tcp" }).to_string();
        let judged =
            world.run(&["policy", "explain", "--json", "--role", "coder", "net.connect", &input]);
        let answer: Value =
            serde_json::from_str(&judged.out).unwrap_or_else(|_| panic!("{judged:?}"));
        assert_eq!(answer["verdict"], expected, "{port}: {answer}");
    }
}
