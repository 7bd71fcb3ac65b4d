//! Is this value one that may stand here? Each is parsed once into what it means, or refused with a remedy.

use super::places::Places;
use super::settings::{CredentialHeader, Network, Provider, Rest, WorkspaceMode};
use bartizan_gate::name::{Approver, Host, HostPort};
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

/// A refusal in words: what is wrong, and what to do.
pub(super) type Flaw = (String, Option<String>);

fn flaw<T>(what: impl Into<String>, hint: &str) -> Result<T, Flaw> {
    Err((what.into(), Some(hint.to_owned())))
}

/// Where model requests go once they have left the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    secure: bool,
    target: HostPort,
    path: String,
}

impl Upstream {
    /// Parses `https://host[:port][/path]`; `http` only for this machine's loopback, where no
    /// network can read the credential.
    pub(crate) fn parse(text: &str) -> Result<Self, Flaw> {
        const EXAMPLE: &str =
            "write it as https://api.anthropic.com; http is for loopback addresses alone";
        let (secure, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return flaw("an upstream begins with https://", EXAMPLE),
        };
        let (authority, path) =
            rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        let tame = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
        if !path.chars().all(tame)
            || path.split('/').any(|part| part == "..")
            || path.contains("//")
        {
            return flaw(
                "the path of an upstream has only letters, digits, `.`, `_`, `-` and `/`",
                EXAMPLE,
            );
        }
        let target = authority_of(authority, if secure { 443 } else { 80 })
            .map_err(|what| (what, Some(EXAMPLE.to_owned())))?;
        if !secure && !is_loopback(target.host()) {
            return flaw("plain http would show the credential to the network", EXAMPLE);
        }
        Ok(Self { secure, target, path: path.to_owned() })
    }

    /// Whether it is reached over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether it names this machine itself.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(self.target.host())
    }

    /// Its host.
    pub(crate) fn target(&self) -> &HostPort {
        &self.target
    }

    /// Its path, as it is asked for.
    pub(crate) fn path(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }
}

impl std::fmt::Display for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, usual) = if self.secure { ("https", 443) } else { ("http", 80) };
        let text = self.target.to_string();
        let authority = text.strip_suffix(&format!(":{usual}")).unwrap_or(&text);
        write!(f, "{scheme}://{authority}{}", self.path)
    }
}

fn authority_of(text: &str, default_port: u16) -> Result<HostPort, String> {
    let bracketed_end = text.ends_with(']');
    let parsed = if text.contains(':') && !bracketed_end {
        HostPort::parse(text)
    } else {
        Host::parse(text).and_then(|host| HostPort::new(host, default_port))
    };
    parsed.map_err(|error| error.to_string())
}

fn is_loopback(host: &Host) -> bool {
    host.name() == Some("localhost")
        || host.address().is_some_and(|address: IpAddr| address.is_loopback())
}

/// The header that a model credential goes in.
pub(super) fn header(text: &str) -> Result<CredentialHeader, Flaw> {
    match text {
        "x-api-key" => Ok(CredentialHeader::XApiKey),
        "bearer" => Ok(CredentialHeader::Bearer),
        "x-goog-api-key" => Ok(CredentialHeader::XGoogApiKey),
        _ => flaw(
            format!("`{text}` is not a credential header"),
            "write \"x-api-key\", \"x-goog-api-key\" or \"bearer\"",
        ),
    }
}

/// Whose API the model's is.
pub(super) fn provider(text: &str) -> Result<Provider, Flaw> {
    match text {
        "anthropic" => Ok(Provider::Anthropic),
        "bedrock" => Ok(Provider::Bedrock),
        "vertex" => Ok(Provider::Vertex),
        _ => flaw(
            format!("`{text}` is no provider of models that is known"),
            "write \"anthropic\", \"bedrock\" or \"vertex\"",
        ),
    }
}

/// A region or a project of a cloud's: it becomes a part of a host's name, a path and a variable.
pub(super) fn cloud_word(text: &str) -> Result<String, Flaw> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=63).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    flaw(
        format!("`{text}` is no name that a cloud gives"),
        "write it in lower case, as in \"eu-west-1\"; only letters, digits and `-` stand in it",
    )
}

/// A person who may answer.
pub(super) fn approver(text: &str) -> Result<Approver, Flaw> {
    const HINT: &str = "write \"local:\" and a user of this machine, such as \"local:anna\", or \"web:\" and somebody who is invited to the console";
    match text.strip_prefix("local:").or_else(|| text.strip_prefix("web:")) {
        Some(user) if !user.is_empty() => {
            Approver::parse(text).map_err(|error| (error.to_string(), Some(HINT.to_owned())))
        }
        _ => flaw(format!("`{text}` is not an approver"), HINT),
    }
}

/// How the workspace appears.
pub(super) fn workspace_mode(text: &str) -> Result<WorkspaceMode, Flaw> {
    match text {
        "overlay" => Ok(WorkspaceMode::Overlay),
        "direct" => Ok(WorkspaceMode::Direct),
        "read-only" => Ok(WorkspaceMode::ReadOnly),
        _ => flaw(
            format!("`{text}` is no way to show a workspace"),
            "write \"overlay\", \"direct\" or \"read-only\"",
        ),
    }
}

/// The part of the workspace that a box works on.
pub(super) fn folder(text: &str) -> Result<PathBuf, Flaw> {
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if text.is_empty() || !plain || text.contains('\0') {
        return flaw(
            format!("`{text}` is not a folder of the workspace"),
            "write it from the workspace down, such as \"docs\", without `..`",
        );
    }
    if path.components().any(|part| part.as_os_str() == ".git") {
        return flaw(format!("`{text}` is git's own"), "name a folder of files");
    }
    Ok(path.components().collect())
}

/// What a box that works on a folder sees of the rest.
pub(super) fn rest(text: &str) -> Result<Rest, Flaw> {
    match text {
        "hidden" => Ok(Rest::Hidden),
        "read-only" => Ok(Rest::ReadOnly),
        _ => flaw(
            format!("`{text}` is no way to show the rest of a workspace"),
            "write \"hidden\" or \"read-only\"; what can be written is `folder`",
        ),
    }
}

/// What a box may reach.
pub(super) fn network(text: &str) -> Result<Network, Flaw> {
    match text {
        "gated" => Ok(Network::Gated),
        "model" => Ok(Network::Model),
        "none" => Ok(Network::None),
        _ => flaw(
            format!("`{text}` is not a network"),
            "write \"gated\" (each connection is judged), \"model\" (the model API alone) or \"none\"",
        ),
    }
}

/// CPU time in percent of one core.
pub(super) fn cpu(text: &str) -> Result<u32, Flaw> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
    match percent {
        Some(percent @ 1..=100_000) => Ok(percent),
        _ => flaw(
            format!("`{text}` is not a share of the CPU"),
            "write percent of one core: \"50%\", \"200%\" for two",
        ),
    }
}

/// Whether this is a name that an environment variable can have.
pub(super) fn is_variable(text: &str) -> bool {
    let head = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    head && text.len() <= 128 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A variable of the launching shell that a box may have; none that looks like a credential or
/// would steer what runs in the box.
pub(super) fn variable(text: &str) -> Result<String, Flaw> {
    if !is_variable(text) {
        return flaw(
            format!("`{text}` is not the name of an environment variable"),
            "write plain names; patterns are not taken",
        );
    }
    let upper = text.to_ascii_uppercase();
    let secret = [
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "CREDENTIAL",
        "API_KEY",
        "APIKEY",
        "PRIVATE_KEY",
        "ACCESS_KEY",
    ];
    if secret.iter().any(|word| upper.contains(word))
        || matches!(upper.as_str(), "SSH_AUTH_SOCK" | "DATABASE_URL" | "PGPASSFILE")
    {
        let hint = "declare it under [secrets.NAME] with from = \"env://…\"; a box never holds a credential";
        return flaw(format!("`{text}` looks like a credential"), hint);
    }
    if steers(text) {
        return flaw(
            format!("`{text}` is set by Bartizan or changes what runs in the box"),
            "leave it out",
        );
    }
    Ok(text.to_owned())
}

/// Whether a variable is ours to set, or changes what runs.
pub(super) fn steers(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    upper.starts_with("LD_")
        || upper.starts_with("BARTIZAN")
        || matches!(upper.as_str(), "HOME" | "PATH" | "USER" | "BASH_ENV" | "ENV")
}

/// A directory or file outside the workspace that a box may show, read-only.
pub(super) fn readable(text: &str, places: &Places) -> Result<PathBuf, Flaw> {
    let path = match text.strip_prefix('~') {
        Some(rest) if rest.starts_with('/') => places.home.join(rest.trim_start_matches('/')),
        Some(_) => {
            return flaw(
                format!("`{text}` would show a whole home directory"),
                "name the folders that are needed, such as ~/.cache/x",
            );
        }
        None => PathBuf::from(text),
    };
    if !path.is_absolute()
        || path.components().any(|part| part == Component::ParentDir)
        || text.contains('\0')
    {
        return flaw(
            format!("`{text}` is not an absolute path"),
            "begin with / or ~/, without `..`",
        );
    }
    let path: PathBuf = path.components().collect();
    // What a link means is judged as well as its name.
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    for path in [&path, &real] {
        if let Some(what) = exposes(path, places) {
            return flaw(
                format!("`{text}` {what}"),
                "name the folders that are needed, such as ~/.cache/x",
            );
        }
    }
    Ok(path)
}

/// What of value a box would see at `path`.
fn exposes(path: &Path, places: &Places) -> Option<&'static str> {
    let overlaps = |other: &Path| path.starts_with(other) || other.starts_with(path);
    if places.home.starts_with(path) {
        return Some("would show a whole home directory");
    }
    if [&places.state, &places.user, &places.system].into_iter().any(|own| overlaps(own)) {
        return Some("would show Bartizan's own state or configuration");
    }
    if ["/proc", "/sys", "/run", "/dev", "/boot", "/var/run"]
        .into_iter()
        .any(|dir| path.starts_with(dir))
    {
        return Some("belongs to the machine, not to a project");
    }
    let etc = [
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/ssh",
        "/etc/ssl/private",
        "/etc/sudoers",
        "/etc/sudoers.d",
    ];
    if etc.into_iter().any(|dir| overlaps(Path::new(dir))) {
        return Some("holds credentials");
    }
    let held = [
        ".ssh",
        ".aws",
        ".gnupg",
        ".kube",
        ".docker",
        ".netrc",
        ".git-credentials",
        ".claude",
        ".claude.json",
        ".pgpass",
    ];
    let config =
        ["gh", "gcloud", "hub", "op", "rclone"].map(|name| Path::new(".config").join(name));
    let held = held
        .into_iter()
        .map(PathBuf::from)
        .chain(config)
        .chain([PathBuf::from(".local/share/keyrings")]);
    for name in held {
        if overlaps(&places.home.join(name)) {
            return Some("holds credentials");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places {
            system: "/etc/bartizan".into(),
            user: "/home/anna/.config/bartizan".into(),
            user_is_given: false,
            state: "/home/anna/.local/state/bartizan".into(),
            home: "/home/anna".into(),
        }
    }

    #[test]
    fn an_upstream_has_one_spelling() {
        assert_eq!(
            Upstream::parse("https://API.anthropic.com:443/").unwrap().to_string(),
            "https://api.anthropic.com"
        );
        assert_eq!(
            Upstream::parse("http://127.0.0.1:8080/x").unwrap().to_string(),
            "http://127.0.0.1:8080/x"
        );
        assert_eq!(Upstream::parse("http://[::1]").unwrap().to_string(), "http://[::1]");
        assert_eq!(
            Upstream::parse("https://gw.example:8443/a/b").unwrap().to_string(),
            "https://gw.example:8443/a/b"
        );
    }

    #[test]
    fn an_upstream_that_would_leak_or_mislead_is_refused() {
        for text in [
            "api.anthropic.com",
            "http://api.anthropic.com",
            "http://10.0.0.1",
            "ftp://x.example",
            "https://",
            "https://user@x.example",
            "https://x.example?y",
            "https://x.example#y",
            "https://x.example/../y",
            "https://x.example//y",
            "https://0x7f.1",
            "https://x.example:0",
            "https://x.example:99999",
            "https://[::1",
        ] {
            assert!(Upstream::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_credential_and_no_steering_variable_enters_a_box() {
        for name in ["EDITOR", "LANG", "CARGO_TERM_COLOR", "NODE_OPTIONS_X"] {
            assert!(variable(name).is_ok(), "{name}");
        }
        for name in [
            "GITHUB_TOKEN",
            "aws_secret_access_key",
            "ANTHROPIC_API_KEY",
            "SSH_AUTH_SOCK",
            "LD_PRELOAD",
            "PATH",
            "HOME",
            "A B",
            "",
            "X*",
        ] {
            assert!(variable(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_box_shows_folders_that_are_named_and_nothing_of_value() {
        let places = places();
        assert_eq!(readable("~/.cache/x/", &places).unwrap(), Path::new("/home/anna/.cache/x"));
        assert!(readable("/opt/sdk", &places).is_ok());
        for text in [
            "~",
            "~bob",
            "/",
            "/home",
            "/home/anna",
            "~/",
            "~/.ssh",
            "~/.ssh/id_rsa",
            "~/.config",
            "~/.config/bartizan",
            "~/.local",
            "~/.local/state/bartizan/log",
            "/etc",
            "/etc/bartizan",
            "/proc/1",
            "/run/docker.sock",
            "/etc/shadow",
            "relative",
            "/opt/../etc",
            "~/.cache/../.ssh",
            "",
        ] {
            assert!(readable(text, &places).is_err(), "{text}");
        }
    }
}
