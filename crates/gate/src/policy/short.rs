//! What does `Read(src/*)` mean? Short forms of the configuration become Cedar text.

mod net;
mod reach;
mod when;

use super::load::nearest;
use super::schema::server_group;
use super::source::{RuleVerdict, ShortForm};
use crate::name::Host;
use crate::tool::{Catalogue, Effect, Fact, ToolDef};
use std::fmt::Write as _;
use std::sync::Arc;

/// A short form as Cedar.
pub(crate) struct Drafted {
    pub(crate) permit: Option<String>,
    pub(crate) forbid: Option<String>,
    /// The one target that the form can match, when it has no wildcard.
    pub(crate) literal: Option<String>,
    /// Whether what it permits is named by it. A form with a condition speaks of what is not.
    pub(crate) names: bool,
}

/// What is wrong with a short form, and what to write instead.
pub(crate) struct Flaw {
    pub(crate) message: String,
    pub(crate) remedy: String,
}

/// Writes a short form as Cedar. `narrow` leaves the permit out: a project may only narrow.
pub(crate) fn draft(
    form: &ShortForm,
    catalogue: &Catalogue,
    narrow: bool,
) -> Result<Drafted, Flaw> {
    let (written, when) = when::split(&form.pattern, form.verdict)?;
    let (name, pattern) = split(written)?;
    if name == "net" {
        if form.when.is_some() {
            let remedy = "write it as a Cedar policy over `net.connect` and `net.request`";
            return Err(flaw("a `net` rule has no `when`", remedy));
        }
        return net::draft(form, pattern, when, narrow);
    }
    let tools = matching(name, catalogue)?;
    let target = pattern.map(|pattern| target(name, pattern, &tools, form.verdict)).transpose()?;
    let scope = scope(form, name, &tools, pattern.is_some());
    let (condition, reach, literal) = match target {
        Some(Target { condition, reach, literal }) => (Some(condition), reach, literal),
        None => (None, None, None),
    };
    let own = form.when.as_ref().map(|own| format!("({own})"));
    let write = |effect: &str, approvals: Option<String>| {
        let words = when.map(|when| when.cedar().to_owned());
        // A permit wants to be certain that the target is meant, a forbid that it is not.
        let condition = if effect == "forbid" {
            reach.as_ref().or(condition.as_ref())
        } else {
            condition.as_ref()
        };
        let conditions: Vec<String> = condition
            .cloned()
            .into_iter()
            .chain(words)
            .chain(own.clone())
            .chain(approvals)
            .collect();
        if conditions.is_empty() {
            return format!("{effect}({scope});");
        }
        format!("{effect}({scope}) when {{ {} }};", conditions.join(" && "))
    };
    let (permit, forbid) = match form.verdict {
        RuleVerdict::Allow => (Some(write("permit", None)), None),
        RuleVerdict::Deny => (None, Some(write("forbid", None))),
        RuleVerdict::Ask { quorum } => {
            check_quorum(quorum)?;
            let permit = write("permit", Some(format!("context.approvals >= {quorum}")));
            (Some(permit), Some(write("forbid", Some(format!("context.approvals < {quorum}")))))
        }
    };
    Ok(Drafted { permit: permit.filter(|_| !narrow), forbid, literal, names: when.is_none() })
}

fn check_quorum(quorum: u32) -> Result<(), Flaw> {
    if (1..=super::QUORUM_MAX).contains(&quorum) {
        return Ok(());
    }
    let remedy = format!("write a quorum of 1 to {}", super::QUORUM_MAX);
    Err(flaw(format!("a quorum of {quorum} people"), remedy))
}

fn principal(form: &ShortForm) -> String {
    match &form.role {
        Some(role) => format!("principal in Role::{}", quote(role.as_str())),
        None => "principal".to_owned(),
    }
}

fn scope(form: &ShortForm, name: &str, tools: &[&Arc<ToolDef>], targeted: bool) -> String {
    let principal = principal(form);
    let group = |name: &str| format!("action in Action::{}", quote(name));
    let action = match (name, name.strip_prefix("effect:")) {
        ("*", _) if !targeted => "action".to_owned(),
        (_, Some(effect)) if !targeted => group(effect),
        _ if name.starts_with("server:") && !targeted => group(name),
        _ => {
            let names: Vec<String> = tools
                .iter()
                .map(|tool| format!("Action::{}", quote(tool.name().as_str())))
                .collect();
            match names.as_slice() {
                [one] => format!("action == {one}"),
                _ => format!("action in [{}]", names.join(", ")),
            }
        }
    };
    format!("{principal}, {action}, resource")
}

/// `Read(src/*)` → `Read`, `src/*`.
fn split(form: &str) -> Result<(&str, Option<&str>), Flaw> {
    let form = form.trim();
    let (name, pattern) = match form.split_once('(') {
        None => (form, None),
        Some((name, rest)) => match rest.strip_suffix(')') {
            Some(pattern) => (name.trim_end(), Some(pattern.trim())),
            None => {
                return Err(flaw(
                    format!("`{}` has no closing parenthesis", tame(form)),
                    "add `)` at its end",
                ));
            }
        },
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '*' | ':');
    if name.is_empty() || name.len() > 200 || !name.chars().all(fits) {
        return Err(flaw(
            format!("`{}` does not begin with a tool's name", tame(form)),
            "write `Tool` or `Tool(pattern)`",
        ));
    }
    if pattern.is_some_and(|pattern| pattern.is_empty() || pattern.len() > 4096) {
        return Err(flaw(
            format!("`{}` has an empty or endless pattern", tame(form)),
            "write `Tool(pattern)`, or `Tool` for every call",
        ));
    }
    Ok((name, pattern))
}

fn matching<'a>(name: &str, catalogue: &'a Catalogue) -> Result<Vec<&'a Arc<ToolDef>>, Flaw> {
    let group = name.contains(':');
    let fits = |tool: &ToolDef| match (name.strip_prefix("effect:"), group) {
        (Some(effect), _) => tool.effect().as_str() == effect,
        (None, true) => server_group(tool) == name,
        (None, false) => glob(name, tool.name().as_str()),
    };
    let tools: Vec<_> = catalogue.iter().filter(|tool| fits(tool)).collect();
    if tools.is_empty()
        && !Effect::ALL.iter().any(|effect| name.strip_prefix("effect:") == Some(effect.as_str()))
    {
        let known = catalogue.iter().flat_map(|tool| [tool.name().to_string(), server_group(tool)]);
        let remedy = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "define the tool first; `bartizan policy show --tools` lists those that are"
                .to_owned(),
        };
        return Err(flaw(format!("no tool is called `{}`", tame(name)), remedy));
    }
    Ok(tools)
}

struct Target {
    condition: String,
    /// What a forbid goes by, when that is more than the condition.
    reach: Option<String>,
    literal: Option<String>,
}

fn target(
    name: &str,
    pattern: &str,
    tools: &[&Arc<ToolDef>],
    verdict: RuleVerdict,
) -> Result<Target, Flaw> {
    let facts: Option<Vec<Fact>> = tools.iter().map(|tool| tool.primary()).collect();
    let fact = match facts.as_deref() {
        Some([first, rest @ ..]) if rest.iter().all(|fact| fact == first) => *first,
        Some(_) => {
            return Err(flaw(
                format!("the tools that `{}` stands for point at different things", tame(name)),
                "name them one by one",
            ));
        }
        None => {
            return Err(flaw(
                format!(
                    "`{}` takes no path, host or command to match `{}` with",
                    tame(name),
                    tame(pattern)
                ),
                format!("write `{}` alone, or a Cedar policy over `context.input`", tame(name)),
            ));
        }
    };
    let target = match fact {
        Fact::Command => command(pattern),
        Fact::Email => reach::email(pattern, verdict),
        Fact::Host => host(pattern, verdict),
        Fact::Ip => reach::ip(pattern, verdict),
        Fact::Name => Ok(compare("name", pattern)),
        Fact::Path => path(pattern),
        Fact::Amount | Fact::Count => Err(flaw(
            format!("`{}` has no pattern", tame(name)),
            "write { tool = \"…\", when = \"context.amount <= 10000\" }",
        )),
    }?;
    let optional = tools.iter().any(|tool| tool.may_lack(fact));
    Ok(if optional { reach::guarded(target, fact) } else { target })
}

fn command(pattern: &str) -> Result<Target, Flaw> {
    if let Some(prefix) = pattern.strip_suffix(":*") {
        return Err(flaw(
            format!("`:*` in `{}` would match a colon", tame(pattern)),
            format!("write `{}*`", tame(prefix)),
        ));
    }
    Ok(compare("command", pattern))
}

fn path(pattern: &str) -> Result<Target, Flaw> {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let says = |why: &str| format!("`{}` {why}", tame(pattern));
    if pattern.starts_with('~') {
        return Err(flaw(
            says("begins with a home directory, which differs from box to box"),
            "write the absolute path",
        ));
    }
    if pattern.contains("**") {
        return Err(flaw(
            says("has `**`"),
            "write `*`, which crosses directories already: `*.rs`, `src/*`",
        ));
    }
    if pattern.len() > 1 && pattern.ends_with('/') {
        return Err(flaw(
            says("ends with `/`, as no path does"),
            format!("write `{}*` for what is below it", tame(pattern)),
        ));
    }
    let odd = |part: &str| matches!(part, "" | "." | "..");
    let relative = pattern.strip_prefix('/').unwrap_or(pattern);
    if pattern != "/" && pattern != "." && relative.split('/').any(odd) {
        return Err(flaw(
            says("is not canonical"),
            "write it without `.`, `..` and doubled `/`, relative to the workspace or absolute",
        ));
    }
    Ok(compare("path", pattern))
}

fn host(pattern: &str, verdict: RuleVerdict) -> Result<Target, Flaw> {
    if pattern.contains('/') {
        return Err(flaw(
            format!("`{}` is more than a host", tame(pattern)),
            "write the host alone, or `host:443`; one address at a time",
        ));
    }
    let (name, port) = port(pattern)?;
    let lower = name.to_ascii_lowercase();
    let port = port.map(|port| format!(" && context.port == {port}")).unwrap_or_default();
    if !lower.contains('*') {
        let canonical = Host::parse(&lower).map_err(|error| {
            flaw(
                error.to_string(),
                "write a host, `*.domain` or `*`, with `:port` if only one port is meant",
            )
        })?;
        let mut target = compare("host", &canonical.to_string());
        target.condition.push_str(&port);
        return Ok(target);
    }
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    let whole_labels =
        name == "*" || name.strip_prefix("*.").is_some_and(|domain| Host::parse(domain).is_ok());
    if !whole_labels && verdict != RuleVerdict::Deny {
        let part = tame(name.trim_matches('*'));
        let other =
            if name.starts_with('*') { format!("evil-{part}") } else { format!("{part}.evil.com") };
        return Err(flaw(
            format!("`{}` also matches hosts that are not meant, such as `{other}`", tame(pattern)),
            "write `*.domain` for the hosts below a domain, and the domain itself beside it",
        ));
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'*' | b':'))
    {
        return Err(flaw(
            format!("`{}` is no pattern for a host", tame(pattern)),
            "write `*.domain` or `*`",
        ));
    }
    let mut target = compare("host", name);
    target.condition.push_str(&port);
    Ok(target)
}

/// `host:443` → `host`, 443; `host`, `host:*` → any port.
fn port(pattern: &str) -> Result<(&str, Option<u16>), Flaw> {
    let bracketed = pattern.starts_with('[');
    let split = match pattern.rsplit_once(':') {
        Some((host, _)) if bracketed && !host.ends_with(']') => None,
        // Several colons without brackets are an IPv6 address.
        Some((host, _)) if !bracketed && host.contains(':') => None,
        other => other,
    };
    match split {
        None => Ok((pattern, None)),
        Some((host, "*")) => Ok((host, None)),
        Some((host, port)) => match port.parse::<u16>() {
            Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => {
                Ok((host, Some(number)))
            }
            _ => Err(flaw(
                format!("`{}` is no port", tame(port)),
                "write the host alone, or `host:443`",
            )),
        },
    }
}

fn compare(attribute: &str, pattern: &str) -> Target {
    let segments = segments(pattern);
    if let [one] = segments.as_slice() {
        let condition = format!("context.{attribute} == {}", quote(one));
        return Target { condition, reach: None, literal: Some(one.clone()) };
    }
    let parts: Vec<String> = segments.iter().map(|part| escape(part)).collect();
    let condition = format!("context.{attribute} like \"{}\"", parts.join("*"));
    Target { condition, reach: None, literal: None }
}

/// The literal parts between the wildcards; `\*` is a literal star.
fn segments(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut part = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&'*') => part.extend(chars.next()),
            '*' => done.push(std::mem::take(&mut part)),
            other => part.push(other),
        }
    }
    done.push(part);
    done
}

/// A Cedar string literal.
pub(crate) fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text).replace("\\*", "*"))
}

/// The inside of a Cedar string or pattern. Everything that is not plainly harmless becomes a
/// `\u{…}` escape, so no text can end the literal it stands in.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' => out.push_str("\\*"),
            '"' | '\\' => drop(write!(out, "\\{c}")),
            ' '..='~' => out.push(c),
            _ => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
        }
    }
    out
}

/// Whether `name` matches a pattern in which `*` stands for any run of characters.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => match name.strip_prefix(head) {
            None => false,
            Some(rest) if tail.is_empty() => rest.len() <= name.len(),
            Some(rest) => {
                (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|rest| glob(tail, rest))
            }
        },
    }
}

fn flaw(message: impl Into<String>, remedy: impl Into<String>) -> Flaw {
    Flaw { message: message.into(), remedy: remedy.into() }
}

/// Text of a file, harmless on any terminal.
fn tame(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
