//! What does `net(GET api.example.com/v1/*)` mean? One form for a connection and for the requests on it.
//!
//! `net(HOST)` is the whole host: its connections and every request on them. With a method or a path it is
//! those requests, and a connection that can carry nothing but judged requests.

use super::when::When;
use super::{Drafted, Flaw, check_quorum, compare, flaw, host, principal, quote, tame};
use crate::policy::source::{RuleVerdict, ShortForm};

/// A request has an argument that a connection has not, so one policy can speak of both and still be type-checked.
const IS_REQUEST: &str = "context.input has method";
const CARRIES_REQUESTS: &str = "context.input has protocol && context.input.protocol == \"http\"";

/// Writes a `net` form as Cedar.
pub(super) fn draft(
    form: &ShortForm,
    pattern: Option<&str>,
    when: Option<When>,
    narrow: bool,
) -> Result<Drafted, Flaw> {
    if let RuleVerdict::Ask { quorum } = form.verdict {
        check_quorum(quorum)?;
    }
    let parts = pattern.map(|pattern| Parts::parse(pattern, form.verdict)).transpose()?;
    let mut parts = parts.unwrap_or_default();
    if let Some(when) = when {
        let host = parts.host.iter().map(String::as_str);
        parts.host = Some(host.chain([when.cedar()]).collect::<Vec<_>>().join(" && "));
    }
    let mut drafted = match &parts.request {
        None => whole_host(form, &parts),
        Some(request) => requests(form, &parts, request),
    };
    if narrow {
        drafted.permit = None;
    }
    drafted.literal.clone_from(&parts.literal);
    drafted.names = when.is_none();
    Ok(drafted)
}

/// Connections, and all that travels on them: who may open one has been asked when it is opened.
fn whole_host(form: &ShortForm, parts: &Parts) -> Drafted {
    let both = [CONNECT, REQUEST];
    let all = [CONNECT, REQUEST, WEBSOCKET];
    let host = parts.host.as_deref();
    let (permit, forbid) = match form.verdict {
        RuleVerdict::Allow => (Some(policy("permit", form, &both, [host, None])), None),
        RuleVerdict::Deny => (None, Some(policy("forbid", form, &all, [host, None]))),
        RuleVerdict::Ask { quorum } => {
            let enough = format!("({IS_REQUEST} || context.approvals >= {quorum})");
            let too_few = format!("context.approvals < {quorum}");
            (
                Some(policy("permit", form, &both, [host, Some(&enough)])),
                Some(policy("forbid", form, &[CONNECT], [host, Some(&too_few)])),
            )
        }
    };
    Drafted { permit, forbid, literal: None, names: true }
}

fn requests(form: &ShortForm, parts: &Parts, request: &str) -> Drafted {
    let both = [CONNECT, REQUEST];
    let host = parts.host.as_deref();
    let (permit, forbid) = match form.verdict {
        RuleVerdict::Allow => {
            let either = format!("(({CARRIES_REQUESTS}) || ({IS_REQUEST} && {request}))");
            (Some(policy("permit", form, &both, [host, Some(&either)])), None)
        }
        RuleVerdict::Deny => {
            (None, Some(policy("forbid", form, &[REQUEST], [host, Some(request)])))
        }
        RuleVerdict::Ask { quorum } => {
            let either = format!(
                "(({CARRIES_REQUESTS}) || ({IS_REQUEST} && {request} && context.approvals >= {quorum}))"
            );
            let too_few = format!("{request} && context.approvals < {quorum}");
            (
                Some(policy("permit", form, &both, [host, Some(&either)])),
                Some(policy("forbid", form, &[REQUEST], [host, Some(&too_few)])),
            )
        }
    };
    Drafted { permit, forbid, literal: None, names: true }
}

fn policy(effect: &str, form: &ShortForm, tools: &[&str], conditions: [Option<&str>; 2]) -> String {
    let actions: Vec<String> =
        tools.iter().map(|tool| format!("Action::{}", quote(tool))).collect();
    let actions = match actions.as_slice() {
        [one] => format!("action == {one}"),
        _ => format!("action in [{}]", actions.join(", ")),
    };
    let principal = principal(form);
    let conditions: Vec<&str> = conditions.into_iter().flatten().collect();
    let when = match conditions.as_slice() {
        [] => String::new(),
        _ => format!(" when {{ {} }}", conditions.join(" && ")),
    };
    format!("{effect}({principal}, {actions}, resource){when};")
}

/// `[METHOD[,METHOD] ]HOST[:PORT][/PATH]`, as conditions.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    literal: Option<String>,
    request: Option<String>,
}

impl Parts {
    fn parse(pattern: &str, verdict: RuleVerdict) -> Result<Self, Flaw> {
        let (methods, rest) = match pattern.split_once(' ') {
            Some((methods, rest)) => (Some(methods), rest.trim_start()),
            None => (None, pattern),
        };
        if rest.contains("://") {
            return Err(flaw(
                format!("`{}` is a URL", tame(rest)),
                "write the host, with `:port` and `/path` if they are meant: `net(GET api.example.com:443/v1/*)`",
            ));
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let target = host(authority, verdict)?;
        let conditions: Vec<String> = methods
            .map(method)
            .transpose()?
            .flatten()
            .into_iter()
            .chain((!path.is_empty()).then(|| self::path(path)).transpose()?)
            .collect();
        let request =
            (methods.is_some() || !path.is_empty()).then(|| match conditions.as_slice() {
                [] => IS_REQUEST.to_owned(),
                _ => conditions.join(" && "),
            });
        Ok(Self { host: Some(target.condition), literal: target.literal, request })
    }
}

/// `GET`, `GET,HEAD` or `*`, which sets no condition.
fn method(text: &str) -> Result<Option<String>, Flaw> {
    if text == "*" {
        return Ok(None);
    }
    let methods: Vec<&str> = text.split(',').collect();
    let fits = |method: &&str| {
        (1..=32).contains(&method.len())
            && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
    };
    if !methods.iter().all(fits) {
        return Err(flaw(
            format!("`{}` is no HTTP method", tame(text)),
            "write `net(GET host/path)`, several as `GET,HEAD`, all as `*`",
        ));
    }
    if let [one] = methods.as_slice() {
        return Ok(Some(format!("context.input.method == {}", quote(one))));
    }
    let list: Vec<String> = methods.iter().map(|method| quote(method)).collect();
    Ok(Some(format!("[{}].contains(context.input.method)", list.join(", "))))
}

fn path(pattern: &str) -> Result<String, Flaw> {
    let literal = pattern.replace('*', "");
    let odd = pattern.contains("//")
        || literal.contains([';', '\\', '?', '#'])
        || pattern.split('/').any(|part| matches!(part, "." | ".."))
        || !pattern.bytes().all(|b| b.is_ascii_graphic());
    if odd {
        return Err(flaw(
            format!("no request has the path `{}`", tame(pattern)),
            "write a plain path, without `..`, `//`, `;` and query; `*` crosses segments",
        ));
    }
    let condition = compare("input.path", pattern).condition;
    Ok(condition)
}

const CONNECT: &str = "net.connect";
const REQUEST: &str = "net.request";
const WEBSOCKET: &str = "net.websocket";
