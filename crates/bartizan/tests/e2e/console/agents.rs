//! Does an agent's page say what the policies say: alone, with approval, never, and with which hosts and secrets?

use super::browser::Console;
use crate::support::project::Project;

/// The part of a page between two headings.
fn part<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<h2>{from}</h2>")).unwrap();
    rest.split_once(&format!("<h2>{to}")).map_or(rest, |(part, _)| part)
}

#[test]
fn an_agents_page_says_what_the_gate_says() {
    let project = Project::new();
    project.configure(CONFIG);
    let probe = "curl -sS -m 60 https://unnamed.example.net/; exit 3";
    let ran = project.bartizan(&["run", "--agent", "coder", "--", "sh", "-c", probe]).finish();
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    let console = Console::inside(&project);
    let list = console.browser.get("/agents").body;
    for link in ["/agents/coder", "/agents/writer"] {
        assert!(list.contains(&format!("href=\"{link}\"")), "{list}");
    }
    let page = console.browser.get("/agents/coder").body;
    let alone = part(&page, "Alone", "With approval");
    assert!(alone.contains(">Read<") && !alone.contains(">WebFetch<"), "{alone}");
    let asked = part(&page, "With approval", "Where a rule");
    assert!(asked.contains(">WebFetch<") && asked.contains("ask 2 people"), "{asked}");
    assert!(asked.contains("roles.coder.ask[0]"), "by which rule: {asked}");
    let named = part(&page, "Where a rule says so", "Never");
    assert!(named.contains(">Write<") && named.contains(">net.connect<"), "{named}");
    let never = part(&page, "Never", "Hosts");
    assert!(never.contains(">Bash<") && never.contains(">WebSearch<"), "{never}");
    let hosts = part(&page, "Hosts", "Secrets");
    assert!(
        hosts.contains("net(api.example.com:443)") && hosts.contains("bartizan.toml:"),
        "{hosts}"
    );
    assert!(!hosts.contains("other.example.com"), "another role's: {hosts}");
    let secrets = part(&page, "Secrets", "Last runs");
    let rows: Vec<&str> =
        secrets.split("<tr>").filter(|row| row.contains("<code>key</code>")).collect();
    assert_eq!(rows.len(), 2, "{secrets}");
    assert!(rows[0].contains("api.example.com:443/v1") && rows[0].contains(">allow<"), "{rows:?}");
    assert!(rows[1].contains("other.example.com:443") && rows[1].contains(">deny<"), "{rows:?}");
    assert!(!page.contains("s3cret"), "a secret is a name");
    let denials = part(&page, "Last denials", "-");
    assert!(denials.contains("unnamed.example.net") && denials.contains("deny"), "{denials}");
    // What the page says is what the gate says.
    for (tool, input, code) in [
        ("Read", "{\"file_path\":\"bartizan-probe.txt\"}", 0),
        ("WebFetch", "{\"url\":\"https://example.com/\",\"prompt\":\"x\"}", 3),
        ("Write", "{\"file_path\":\"bartizan-probe.txt\",\"content\":\"x\"}", 1),
        ("Write", "{\"file_path\":\"src/main.rs\",\"content\":\"x\"}", 0),
    ] {
        let said =
            project.bartizan(&["policy", "explain", "--role", "coder", tool, input]).finish();
        assert_eq!(said.status.code(), Some(code), "{tool} {input}: {said:?}");
    }
    assert_eq!(console.browser.get("/agents/nobody").status, 500);
    let other = console.browser.get("/agents/writer").body;
    assert!(other.contains("other.example.com") && other.contains("None yet."), "{other}");
    // It is read anew each time.
    project.configure(&CONFIG.replace("deny = [\"Bash\"]", "deny = [\"Bash\", \"Read\"]"));
    let page = console.browser.get("/agents/coder").body;
    assert!(part(&page, "Never", "Hosts").contains(">Read<"), "{page}");
}

const CONFIG: &str = r#"
[roles.coder]
allow = ["Read", "Write(src/*)", "net(api.example.com:443)"]
ask = [{ tool = "WebFetch", quorum = 2 }]
deny = ["Bash"]

[roles.writer]
extends = ["basic"]
allow = ["Write", "net(other.example.com:443)"]

[secrets.key]
from = "env://KEY"

[[inject]]
secret = "key"
host = "api.example.com:443"
path = "/v1"
as = "bearer"

[[inject]]
secret = "key"
host = "other.example.com:443"
as = "bearer"
"#;
