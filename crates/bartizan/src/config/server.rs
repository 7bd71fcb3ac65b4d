//! Which MCP servers stand behind the gate, and what does the operator say of their tools? What stands
//! under `[servers.NAME]`.

use super::check::{self, Flaw, Upstream};
use super::page::{Page, name_flaw};
use super::raw::{At, Table};
use super::raw_server::{RawServer, RawServerTool, RawTarget};
use super::{secret, units};
use crate::report::{Excerpt, Problem, did_you_mean};
use bartizan_gate::name::{RoleName, SecretName, ServerName};
use bartizan_gate::tool::{Effect, Target, TargetKind};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a server may ask of its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asks {
    /// Something of the client's user, by the server's name.
    pub(crate) elicitation: bool,
    /// Which folders the client works in.
    pub(crate) roots: bool,
    /// That the client's model writes for it.
    pub(crate) sampling: bool,
}

/// One MCP server.
#[derive(Debug, Clone)]
pub(crate) struct McpServer {
    /// Where it is.
    pub(crate) reach: Reach,
    /// The role of its own box, `server.NAME`: which hosts it may reach, and what it sees.
    pub(crate) role: RoleName,
    /// Variables of the launching shell that it gets.
    pub(crate) env: Vec<String>,
    /// Variables that hold the placeholder of a secret.
    pub(crate) secrets: BTreeMap<String, SecretName>,
    /// Whether its results are framed as untrusted.
    pub(crate) framing: bool,
    /// What it may ask of its client.
    pub(crate) asks: Asks,
    /// How long a call may take; nothing said leaves it to the door.
    pub(crate) timeout: Option<Duration>,
    /// How many bytes of an answer pass at once; nothing said leaves it to the door.
    pub(crate) page: Option<usize>,
    /// How long nobody may need it before it is ended, to be started anew for the next who does; `None` is for ever.
    pub(crate) idle_after: Option<Duration>,
    /// What becomes of tools that nobody has looked at yet.
    pub(crate) pin: Pin,
    /// What is said of its tools, by its own names for them.
    pub(crate) tools: BTreeMap<String, ServerTool>,
    secrets_at: Vec<(SecretName, Excerpt)>,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It is started, in a box of its own, and speaks on its standard streams.
    Command(Vec<String>),
    /// It is somewhere else, and speaks HTTP.
    Url(Upstream),
}

/// What becomes of tools that nobody has looked at yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Pin {
    /// What is there at the first sight counts as accepted, unless something about it is odd.
    FirstUse,
    /// They are held until a person accepts them.
    #[default]
    Review,
}

/// What the operator says of one tool.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerTool {
    /// What it does; nothing said means that it cannot be undone.
    pub(crate) effect: Option<Effect>,
    /// What its arguments point at.
    pub(crate) targets: Vec<Target>,
    /// What the model is told of it instead of the server's own words.
    pub(crate) description: Option<String>,
    /// Whether nobody gets to see or call it.
    pub(crate) hidden: bool,
}

impl McpServer {
    /// The role of a server's own box.
    pub(super) fn role_of(name: &ServerName) -> Option<RoleName> {
        RoleName::parse(&format!("{ROLE_PREFIX}{name}")).ok()
    }

    /// Reads one `[servers.NAME]`, all but its hosts and its box; `None` when something is wrong with
    /// it, which the page then says.
    pub(super) fn read(
        page: &mut Page<'_>,
        key: &At<String>,
        raw: &RawServer,
    ) -> Option<(ServerName, Self)> {
        let before = page.problems.len();
        let name = page.take(key, |text| server_name(text));
        let reach = reach(page, key, raw);
        let env = page.list(raw.env.as_ref(), |text| check::variable(text)).unwrap_or_default();
        let (secrets, secrets_at) = placeholders(page, &raw.secrets);
        let timeout = page.take_option(raw.timeout.as_ref(), |text| timeout(text));
        let at_once = page.take_option(raw.page.as_ref(), |text| at_once(text));
        let idle_after = page.take_option(raw.idle_after.as_ref(), |text| idle_after(text));
        if let (Some(said), Some(_)) = (&raw.idle_after, &raw.url) {
            let problem = Problem::new("only a server that is started here can be ended when idle");
            page.complain(said.span(), problem.hint("leave `idle_after` out beside `url`"));
        }
        let pin = page.take_option(raw.pin.as_ref(), |text| pin(text)).unwrap_or_default();
        let mut tools = BTreeMap::new();
        for (tool, said) in &raw.tools {
            tools.insert(tool.get_ref().clone(), read_tool(page, said));
        }
        let name = name.filter(|_| page.problems.len() == before)?;
        let server = Self {
            reach: reach?,
            role: Self::role_of(&name)?,
            env,
            secrets,
            framing: raw.framing.unwrap_or(true),
            asks: Asks {
                elicitation: raw.elicitation.unwrap_or(true),
                roots: raw.roots.unwrap_or(false),
                sampling: raw.sampling.unwrap_or(false),
            },
            timeout,
            page: at_once,
            idle_after: idle_after.unwrap_or(Some(IDLE)),
            pin,
            tools,
            secrets_at,
        };
        Some((name, server))
    }

    /// What only all layers together can show to be wrong.
    pub(super) fn check<'a>(
        &self,
        known: &(impl Iterator<Item = &'a SecretName> + Clone),
        problems: &mut Vec<Problem>,
    ) {
        secret::check(&self.secrets_at, known, problems);
    }
}

fn read_tool(page: &mut Page<'_>, raw: &RawServerTool) -> ServerTool {
    let RawServerTool { effect, targets, description, hidden } = raw;
    let effect = page.take_option(effect.as_ref(), |text| self::effect(text));
    let targets = targets.iter().filter_map(|target| {
        let RawTarget { field, kind } = target.get_ref();
        let kind = page.take(kind, |text| target_kind(text))?;
        Some(Target::new(field.clone(), kind))
    });
    ServerTool {
        targets: targets.collect(),
        effect,
        description: description.clone(),
        hidden: hidden.unwrap_or(false),
    }
}

fn reach(page: &mut Page<'_>, key: &At<String>, raw: &RawServer) -> Option<Reach> {
    match (&raw.command, &raw.url) {
        (Some(command), None) => page.take(command, |words| command_of(words)).map(Reach::Command),
        (None, Some(url)) => page.take(url, |text| Upstream::parse(text)).map(Reach::Url),
        (Some(_), Some(_)) | (None, None) => {
            let problem = Problem::new(format!("the server `{}` is in one place", key.get_ref()));
            let hint = "write either command = [\"PROGRAM\", …] or url = \"https://…\"";
            page.complain(key.span(), problem.hint(hint));
            None
        }
    }
}

fn command_of(words: &[String]) -> Result<Vec<String>, Flaw> {
    let hint =
        || Some("write command = [\"PROGRAM\", \"ARGUMENT\", …]; no shell reads it".to_owned());
    match words.first() {
        None => Err(("a command begins with a program".to_owned(), hint())),
        Some(program) if program.is_empty() || words.iter().any(|word| word.contains('\0')) => {
            Err(("a command has no empty program and no NUL".to_owned(), hint()))
        }
        Some(_) => Ok(words.to_vec()),
    }
}

type Placeholders = (BTreeMap<String, SecretName>, Vec<(SecretName, Excerpt)>);

fn placeholders(page: &mut Page<'_>, raw: &Table<At<String>>) -> Placeholders {
    let (mut held, mut places) = (BTreeMap::new(), Vec::new());
    for (variable, name) in raw {
        let variable = page.take(variable, |text| secret::holder(text));
        let secret =
            page.take(name, |text| SecretName::parse(text).map_err(|error| name_flaw(&error)));
        if let (Some(variable), Some(secret)) = (variable, secret) {
            places.push((secret.clone(), page.at(name.span())));
            held.insert(variable, secret);
        }
    }
    (held, places)
}

/// A tool is `mcp__SERVER__TOOL`, so that the name of a server holds no `__`.
fn server_name(text: &str) -> Result<ServerName, Flaw> {
    let name = ServerName::parse(text).map_err(|error| name_flaw(&error))?;
    if text.contains("__") || text.ends_with('_') || text.len() > NAME_MAX {
        let what = format!("`{text}` cannot be told from the tools behind it");
        let hint = format!("leave out `__`, and take at most {NAME_MAX} bytes");
        return Err((what, Some(hint)));
    }
    if BUILTIN.contains(&text.to_ascii_lowercase().as_str()) {
        let what = format!("`{text}` is a server of Bartizan's own");
        return Err((what, Some("give it another name".to_owned())));
    }
    Ok(name)
}

fn effect(text: &str) -> Result<Effect, Flaw> {
    match text {
        "irreversible" => Ok(Effect::Irreversible),
        "read" => Ok(Effect::Read),
        "write" => Ok(Effect::Write),
        _ => {
            let hint = match did_you_mean(text, ["read", "write", "irreversible"]) {
                Some(likely) => format!("did you mean `{likely}`?"),
                None => "write \"read\", \"write\" or \"irreversible\"".to_owned(),
            };
            Err((format!("`{text}` is no effect"), Some(hint)))
        }
    }
}

fn target_kind(text: &str) -> Result<TargetKind, Flaw> {
    TargetKind::of(text).ok_or_else(|| {
        let known = || TargetKind::ALL.iter().map(|(word, _)| *word);
        let hint = match did_you_mean(text, known()) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => format!("known: {}", known().collect::<Vec<_>>().join(", ")),
        };
        (format!("`{text}` is nothing that an argument points at"), Some(hint))
    })
}

fn pin(text: &str) -> Result<Pin, Flaw> {
    match text {
        "first-use" => Ok(Pin::FirstUse),
        "review" => Ok(Pin::Review),
        _ => {
            let hint = "write \"review\" (a person accepts each tool) or \"first-use\"";
            Err((format!("`{text}` is no way to take up tools"), Some(hint.to_owned())))
        }
    }
}

fn timeout(text: &str) -> Result<Duration, Flaw> {
    match units::duration(text) {
        Ok(time) if !time.is_zero() && time <= TIMEOUT_MAX => Ok(time),
        Ok(_) => Err((format!("`{text}` is too short or too long"), Some("at most 1d".to_owned()))),
        Err(why) => Err((format!("`{text}` is not a duration"), Some(why.to_owned()))),
    }
}

/// How many bytes of an answer pass at once.
fn at_once(text: &str) -> Result<usize, Flaw> {
    let size = units::size(text)
        .map_err(|why| (format!("`{text}` is not a size"), Some(why.to_owned())))?;
    let size = usize::try_from(size).ok().filter(|size| (AT_ONCE_MIN..=AT_ONCE_MAX).contains(size));
    size.ok_or_else(|| {
        (format!("`{text}` is too small or too large"), Some("1KiB to 8MiB".to_owned()))
    })
}

/// How long nobody may need a server before it is ended; `None` is for ever.
pub(crate) fn idle_after(text: &str) -> Result<Option<Duration>, Flaw> {
    if text == "never" {
        return Ok(None);
    }
    let found = timeout(text).map_err(|(what, hint)| {
        let hint = hint.map(|hint| format!("{hint}; or \"never\""));
        (what, hint)
    });
    found.map(Some)
}

/// What the role of a server's box begins with.
pub(super) const ROLE_PREFIX: &str = "server.";
const BUILTIN: [&str; 5] = ["claude-code", "model", "net", "process", "tools"];
const NAME_MAX: usize = 32;
/// The largest answer that passes at once, in bytes.
pub(crate) const AT_ONCE_MAX: usize = 8 << 20;
const AT_ONCE_MIN: usize = 1 << 10;
const TIMEOUT_MAX: Duration = Duration::from_hours(24);
/// How long a server is kept that nobody needs, when nothing is said of it.
const IDLE: Duration = Duration::from_mins(10);
