//! Are the arguments what the tool takes, and what do they point at? Typed, canonical, and turned
//! into the facts that policies read.

mod targets;

use crate::gates::{Identified, Listed, confine};
use crate::name::{Host, HostPort};
use crate::policy::{Facts, PathFact};
use crate::refusal::Refusal;
use crate::seat::Seat;
use crate::shape::Checked;
use crate::taint::Origins;
use crate::url_path::UrlPath;
use bartizan_store::Digest;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use targets::Found;

/// Proof that the arguments fit the tool; the act reads its arguments from here.
#[derive(Debug)]
pub(crate) struct Scoped {
    arguments: Value,
    checked: Checked,
    /// One for each combination of targets; never none.
    facts: Vec<Facts>,
    origins: Origins,
    host: Option<HostPort>,
    target: Option<String>,
    safe: bool,
    digest: Digest,
}

impl Scoped {
    pub(crate) fn arguments(&self) -> &Value {
        &self.arguments
    }

    pub(crate) fn checked(&self) -> &Checked {
        &self.checked
    }

    /// What policies judge, one after the other; the strictest verdict holds.
    pub(crate) fn facts(&self) -> &[Facts] {
        &self.facts
    }

    /// What the session has read, and where the call's values come from.
    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// What the gate found out of where the arguments come from.
    pub(crate) fn trace(&mut self, origins: Origins) {
        for facts in &mut self.facts {
            facts.origins = origins.clone();
        }
        self.origins = origins;
    }

    /// Takes endorsed values as the person's own; says whether there were any.
    pub(crate) fn endorse(&mut self, keys: &BTreeSet<Digest>) -> bool {
        let Some(provenance) = self.origins.provenance.endorsed(keys) else { return false };
        self.trace(Origins { provenance, ..self.origins.clone() });
        true
    }

    /// Every path that the call points at.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathFact> {
        self.facts.iter().filter_map(|facts| facts.path.as_ref())
    }

    pub(crate) fn host(&self) -> Option<&HostPort> {
        self.host.as_ref()
    }

    /// What the call acts on, in one line: a path, `host:port`, a command.
    pub(crate) fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// ` on X` for a sentence, safe to show; empty when there is no target.
    pub(crate) fn on_target(&self) -> String {
        let shown =
            self.target().map(|target| format!(" on {}", bartizan_scan::display_line(target, 120)));
        shown.unwrap_or_default()
    }

    /// SHA-256 of the exact canonical call (RFC 8785 bytes of agent, tool and arguments): what an
    /// approval is bound to, so that neither a sibling nor other arguments can use it.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }
}

pub(crate) fn check(
    who: &Identified,
    listed: &Listed,
    seat: &Seat,
    arguments: Value,
) -> Result<Scoped, Refusal> {
    let tool = listed.tool();
    let invalid = |what: String| Refusal::ArgumentsInvalid { tool: tool.name().to_string(), what };
    let checked = tool.shape().check(&arguments).map_err(|error| invalid(error.to_string()))?;
    let found = Found::read(tool, seat, &arguments)?;
    let mut scoped = Scoped {
        digest: digest(who.agent().as_str(), tool.name().as_str(), &arguments).map_err(invalid)?,
        arguments,
        checked,
        host: found.sole_host().cloned(),
        target: found.line(),
        facts: found.facts(tool)?,
        origins: Origins::default(),
        safe: false,
    };
    confine::check(who, listed, &scoped, seat)?;
    scoped.request(tool.name().as_str())?;
    Ok(scoped)
}

impl Scoped {
    /// A request that left the box is judged by a path that has one reading, or not at all.
    fn request(&mut self, tool: &str) -> Result<(), Refusal> {
        if !matches!(tool, "net.request" | "net.websocket") {
            return Ok(());
        }
        let text =
            |name: &str| self.arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        let invalid = |what: String| Refusal::ArgumentsInvalid { tool: tool.to_owned(), what };
        let path = text("path");
        let read = UrlPath::parse(path).map_err(|error| invalid(error.to_string()))?;
        if read.judged() != path {
            return Err(invalid("`path` is not in canonical form".to_owned()));
        }
        let method = if tool == "net.websocket" { "websocket" } else { text("method") };
        if let Some(target) = &self.target {
            self.target = Some(format!("{method} {target}{path}"));
        }
        self.safe = matches!(method, "GET" | "HEAD" | "OPTIONS");
        Ok(())
    }

    /// Whether it is a request whose method asks for nothing to change (RFC 9110 section 9.2.1).
    pub(crate) fn is_safe_request(&self) -> bool {
        self.safe
    }
}

/// SHA-256 of the canonical call. Numbers that RFC 8785 cannot write exactly are refused.
fn digest(agent: &str, tool: &str, arguments: &Value) -> Result<Digest, String> {
    let call = json!({ "agent": agent, "tool": tool, "arguments": arguments });
    let bytes = serde_json_canonicalizer::to_vec(&call).map_err(|error| error.to_string())?;
    Ok(Digest::of(&bytes))
}

/// Host and port of an absolute `http` or `https` URL. Whatever WHATWG and RFC 3986 parsers read
/// differently (user info, backslash, control, a missing host) is refused.
fn url_target(url: &str) -> Result<HostPort, String> {
    let (scheme, rest) = url.split_once("://").ok_or("the URL has no `scheme://`")?;
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return Err("the URL is neither http nor https".to_owned()),
    };
    if url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err("the URL has a control character, a space or a backslash".to_owned());
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains(['@', '%']) {
        return Err("the URL's host part has user info or an escape".to_owned());
    }
    let parsed = match HostPort::parse(authority) {
        Ok(target) => Ok(target),
        Err(_) => Host::parse(authority).and_then(|host| HostPort::new(host, default_port)),
    };
    parsed.map_err(|error| error.to_string())
}

/// Whether a host tool would later execute or obey a file of this workspace path. The write-back
/// gate decides; this early answer lets the agent read why.
fn is_guarded(path: &str) -> bool {
    let folded = path.to_lowercase();
    let parts: Vec<&str> = folded.split('/').collect();
    parts.iter().enumerate().any(|(at, part)| {
        let next = parts.get(at + 1).copied();
        match *part {
            ".git" => matches!(
                next,
                None | Some("config" | "config.worktree" | "hooks" | "info" | "modules")
            ),
            ".claude" => matches!(next, Some("settings.json" | "settings.local.json" | "hooks")),
            ".vscode" => matches!(next, Some("tasks.json" | "launch.json" | "settings.json")),
            ".mcp.json" | ".envrc" | ".husky" | ".codex" | ".cursor" | ".gemini" | ".idea"
            | ".devcontainer" | ".bartizan" => true,
            _ => false,
        }
    })
}

/// Whether a command's own words name a place where credentials live. The box has none of them; this
/// early answer puts the attempt on the log and tells the agent why nothing is there.
fn names_credentials(command: &str, home: &Path) -> bool {
    let home = home.to_string_lossy();
    let bases = [
        "~/",
        "$HOME/",
        "${HOME}/",
        "/root/",
        "/home/",
        &format!("{}/", home.trim_end_matches('/')),
    ];
    let named = |place: &str| command.contains(place);
    CREDENTIAL_PLACES.iter().any(|place| {
        named(place) && bases.iter().any(|base| named(base))
            || command.split_whitespace().any(|w| w == *place)
    }) || named("/etc/shadow")
}

const CREDENTIAL_PLACES: [&str; 12] = [
    ".ssh/",
    ".aws/",
    ".netrc",
    ".gnupg/",
    ".kube/",
    ".docker/config.json",
    ".config/gcloud",
    ".config/gh",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".cargo/credentials",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_one_host() {
        let target = |url: &str| url_target(url).map(|target| target.to_string());
        assert_eq!(target("https://OK.com/a?b").unwrap(), "ok.com:443");
        assert_eq!(target("http://ok.com:8080").unwrap(), "ok.com:8080");
        for url in [
            "https://ok.com@evil.com/",
            "https://evil.com\\@ok.com",
            "ftp://ok.com",
            "ok.com",
            "https:///x",
            "https://ok%2ecom/",
            "https://0x7f.1/",
            "https://ok.com:0/",
            "https://ok.com:99999/",
            "https:// ok.com",
        ] {
            assert!(url_target(url).is_err(), "{url}");
        }
    }

    #[test]
    fn files_that_host_tools_obey_are_guarded() {
        for path in [
            ".git/hooks/pre-commit",
            "sub/.GIT/config",
            ".claude/settings.local.json",
            ".mcp.json",
            ".git",
        ] {
            assert!(is_guarded(path), "{path}");
        }
        for path in
            ["src/main.rs", ".gitignore", ".git/objects/ab/cd", ".github/x", "claude/settings.json"]
        {
            assert!(!is_guarded(path), "{path}");
        }
    }

    #[test]
    fn a_command_that_names_credentials_is_seen() {
        let home = Path::new("/home/anna");
        for command in [
            "cat ~/.ssh/id_rsa",
            "cat /home/anna/.aws/credentials",
            "tar c $HOME/.gnupg/",
            "cat /etc/shadow",
        ] {
            assert!(names_credentials(command, home), "{command}");
        }
        for command in ["npm ci", "grep -r ssh src", "cat .npmrc.example", "ls ~/project"] {
            assert!(!names_credentials(command, home), "{command}");
        }
    }
}
