//! What does a declared tool take, do and show? `[tools.NAME]`, read into what it means.

use super::Secret;
use super::check::Flaw;
use super::own;
use super::page::{Page, name_flaw};
use super::raw::{At, RawCommandTool, RawHttpTool, RawInput, RawTool, Table};
use super::units;
use crate::report::{Excerpt, Problem, did_you_mean};
use bartizan_egress::Place;
use bartizan_gate::name::{SecretName, ToolName};
use bartizan_gate::tool::{Catalogue, Effect};
use bartizan_mcp::declare::{
    self, Act, Body, Bounds, CommandTool, DeclareError, Declared, HttpParts, HttpTool, Input,
    Inputs, JsonTemplate, Kind, Network, Parts, Projection, Rules, Template, Text, Workspace,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// A declared tool as configured.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    /// What it is.
    pub(crate) declared: Declared,
    /// Where its request carries its secret.
    pub(crate) place: Option<Place>,
    /// The header that carries an irreversible act's idempotency key.
    pub(crate) idempotency: Option<String>,
    at: Excerpt,
}

/// Reads `[tools.NAME]`; `None` when something is wrong with it, which the page then says.
pub(super) fn read(page: &mut Page<'_>, key: &At<String>, raw: &RawTool) -> Option<Tool> {
    let name = page.take(key, |text| tool_name(text));
    let RawTool { description, effect, input, result, answer, timeout, http, command } = raw;
    let description = page.take(description, |text| told(text));
    let effect = match effect {
        Some(effect) => page.take(effect, |text| effect_of(text)),
        None => Some(Effect::Irreversible),
    };
    let inputs = inputs(page, input);
    let projection = match result {
        Some(list) => {
            let fields = list.get_ref().iter().map(|field| field.get_ref().as_str());
            declared(page, list.span(), Projection::parse(fields))
        }
        None => Some(Projection::default()),
    };
    let bounds = bounds(page, answer.as_ref(), timeout.as_ref());
    let deed = match (http, command) {
        (Some(http), None) => request(page, http, effect == Some(Effect::Irreversible)),
        (None, Some(command)) => {
            shown_by_command(page, result.as_ref());
            process(page, command).map(|act| Deed {
                act,
                secret: None,
                place: None,
                idempotency: None,
            })
        }
        (Some(_), Some(_)) | (None, None) => {
            let problem = Problem::new(format!("the tool `{}` does one thing", key.get_ref()));
            page.complain(
                key.span(),
                problem.hint("write either [tools.NAME.http] or [tools.NAME.command]"),
            );
            None
        }
    };
    let (inputs, deed) = (inputs?, deed?);
    let act = match deed.act {
        Act::Http(http) => Act::Http(http.with_slashes(&inputs)),
        act @ Act::Command(_) => act,
    };
    let parts = Parts {
        name: name?,
        description: description?,
        effect: effect?,
        inputs,
        act,
        secret: deed.secret,
        projection: projection?,
        bounds: bounds?,
    };
    let declared = declared(page, key.span(), Declared::new(parts))?;
    let Deed { place, idempotency, .. } = deed;
    Some(Tool { declared, place, idempotency, at: page.at(key.span()) })
}

/// What only all layers together can show to be wrong.
pub(super) fn check(
    tools: &BTreeMap<String, Tool>,
    secrets: &BTreeMap<SecretName, Secret>,
    problems: &mut Vec<Problem>,
) {
    for tool in tools.values() {
        let known = |secret: &SecretName| secrets.contains_key(secret);
        if let Some(secret) = tool.declared.secret().filter(|secret| !known(secret)) {
            let problem =
                Problem::new(format!("there is no secret `{secret}`")).at(tool.at.clone());
            let likely = did_you_mean(secret.as_str(), secrets.keys().map(SecretName::as_str));
            problems.push(match likely {
                Some(likely) => problem.hint(format!("did you mean `{likely}`?")),
                None => problem.hint(format!("define it: [secrets.{secret}]")),
            });
        }
        let definition = declare::definitions(std::iter::once(&tool.declared));
        let taken = Catalogue::builtin().and_then(|mut catalogue| catalogue.add(&definition));
        if let Err(error) = taken {
            problems.push(Problem::new(error.to_string()).at(tool.at.clone()));
        }
    }
}

/// What a tool does, and what goes with it.
struct Deed {
    act: Act,
    secret: Option<SecretName>,
    place: Option<Place>,
    idempotency: Option<String>,
}

fn request(page: &mut Page<'_>, raw: &At<RawHttpTool>, irreversible: bool) -> Option<Deed> {
    let RawHttpTool { method, url, query, headers, json, form, secret, place, idempotency_header } =
        raw.get_ref();
    let query = pairs(page, query);
    let headers = pairs(page, headers);
    let body = match (json, form) {
        (None, None) => Some(Body::None),
        (Some(json), None) => {
            declared(page, json.span(), JsonTemplate::parse(json.get_ref())).map(Body::Json)
        }
        (None, Some(form)) => pairs(page, form.get_ref()).map(Body::Form),
        (Some(json), Some(_)) => {
            let problem = Problem::new("a request carries one content");
            page.complain(json.span(), problem.hint("write either `json` or `form`"));
            None
        }
    };
    let secret = match (secret, place) {
        (None, None) => Some((None, None)),
        (Some(secret), Some(place)) => {
            let name = page
                .take(secret, |text| SecretName::parse(text).map_err(|error| name_flaw(&error)));
            let place = page
                .take(place, |text| Place::parse(text).map_err(|error| (error.to_string(), None)));
            name.zip(place).map(|(name, place)| (Some(name), Some(place)))
        }
        (Some(one), None) | (None, Some(one)) => {
            let problem = Problem::new("`secret` and `as` go together");
            page.complain(one.span(), problem.hint("such as secret = \"crm\", as = \"bearer\""));
            None
        }
    };
    let idempotency = match idempotency_header {
        Some(header) => page.take(header, |text| idempotency(text)),
        None => Some(irreversible.then(|| IDEMPOTENCY.to_owned())),
    };
    let parts = HttpParts {
        method: method.get_ref(),
        url: url.get_ref(),
        query: query?,
        headers: headers?,
        body: body?,
    };
    let http = declared(page, url.span(), HttpTool::parse(parts))?;
    let ((secret, place), idempotency) = (secret?, idempotency?);
    Some(Deed { act: Act::Http(http), secret, place, idempotency })
}

fn process(page: &mut Page<'_>, raw: &At<RawCommandTool>) -> Option<Act> {
    let RawCommandTool { argv, network, workspace } = raw.get_ref();
    let network = match network {
        Some(network) => page.take(network, |text| match text.as_str() {
            "none" => Ok(Network::None),
            "gated" => Ok(Network::Gated),
            _ => Err((
                format!("`{text}` is not a network"),
                Some("write \"none\" or \"gated\"".to_owned()),
            )),
        }),
        None => Some(Network::None),
    };
    let workspace = match workspace {
        Some(workspace) => page.take(workspace, |text| match text.as_str() {
            "read-only" => Ok(Workspace::ReadOnly),
            "direct" => Ok(Workspace::Direct),
            _ => Err((
                format!("`{text}` is no way to show a workspace to a tool"),
                Some("write \"read-only\" or \"direct\"".to_owned()),
            )),
        }),
        None => Some(Workspace::ReadOnly),
    };
    let words = argv.get_ref().iter().map(|word| word.get_ref().as_str());
    let parsed = CommandTool::parse(words, network?, workspace?);
    declared(page, argv.span(), parsed).map(Act::Command)
}

/// What a command shows is its exit code and its two streams.
fn shown_by_command(page: &mut Page<'_>, result: Option<&At<Vec<At<String>>>>) {
    for field in result.into_iter().flat_map(At::get_ref) {
        if !["stdout", "stderr"].contains(&field.get_ref().as_str()) {
            let problem = Problem::new(format!("a command has no result `{}`", field.get_ref()));
            page.complain(
                field.span(),
                problem.hint("write \"stdout\" or \"stderr\"; the exit code is always told"),
            );
        }
    }
}

fn pairs(page: &mut Page<'_>, raw: &Table<At<String>>) -> Option<Vec<(String, Template)>> {
    let mut read = Vec::new();
    let mut whole = true;
    for (name, text) in raw {
        let template = declared(page, text.span(), Template::parse(text.get_ref()));
        let odd = name.get_ref().is_empty() || name.get_ref().chars().any(char::is_control);
        if odd {
            page.complain(
                name.span(),
                Problem::new("a name has at least one character, and none that controls"),
            );
        }
        whole &= template.is_some() && !odd;
        read.extend(template.map(|template| (name.get_ref().clone(), template)));
    }
    whole.then_some(read)
}

fn inputs(page: &mut Page<'_>, raw: &Table<RawInput>) -> Option<Inputs> {
    let mut inputs = Inputs::default();
    let mut whole = true;
    for (name, raw) in raw {
        let input = input(page, name, raw);
        let added =
            input.and_then(|input| declared(page, name.span(), inputs.add(name.get_ref(), input)));
        whole &= added.is_some();
    }
    whole.then_some(inputs)
}

fn input(page: &mut Page<'_>, key: &At<String>, raw: &RawInput) -> Option<Input> {
    let before = page.problems.len();
    misplaced(page, raw);
    let flag = |flag: &Option<At<bool>>| flag.as_ref().is_some_and(|flag| *flag.get_ref());
    let kind = match raw.kind.get_ref().as_str() {
        "boolean" => Some(Kind::Bool),
        "email" => {
            let domains = raw.domains.iter().flat_map(At::get_ref);
            Some(Kind::Email(domains.map(|domain| domain.get_ref().clone()).collect()))
        }
        "integer" => {
            let bound = |bound: &Option<At<i64>>| bound.as_ref().map(|bound| *bound.get_ref());
            Some(Kind::Integer {
                least: bound(&raw.min).unwrap_or(-INTEGER_MAX),
                most: bound(&raw.max).unwrap_or(INTEGER_MAX),
            })
        }
        "ip" => Some(Kind::Ip { public: flag(&raw.public) }),
        "string" => text(page, raw).map(Kind::Text),
        other => {
            let problem = Problem::new(format!("`{other}` is no type of an input"));
            let hint = match did_you_mean(other, TYPES) {
                Some(likely) => format!("did you mean `{likely}`?"),
                None => format!("known: {}", TYPES.join(", ")),
            };
            page.complain(raw.kind.span(), problem.hint(hint));
            None
        }
    };
    let rules = Rules {
        description: page.take_option(raw.description.as_ref(), |text| told(text)),
        optional: raw.required.as_ref().is_some_and(|required| !required.get_ref()),
        many: raw.many.as_ref().map(|many| usize::try_from(*many.get_ref()).unwrap_or(usize::MAX)),
        dash: flag(&raw.allow_dash),
        target: raw.target.as_ref().map(|target| target.get_ref().clone()),
    };
    let input = kind.and_then(|kind| declared(page, key.span(), Input::new(kind, rules)));
    input.filter(|_| page.problems.len() == before)
}

/// A rule that means nothing for its type would be believed to hold.
fn misplaced(page: &mut Page<'_>, raw: &RawInput) {
    let kind = raw.kind.get_ref().as_str();
    let said = [
        ("enum", raw.choices.as_ref().map(At::span), "string"),
        ("pattern", raw.pattern.as_ref().map(At::span), "string"),
        ("max_length", raw.max_length.as_ref().map(At::span), "string"),
        ("lines", raw.lines.as_ref().map(At::span), "string"),
        ("allow_slash", raw.allow_slash.as_ref().map(At::span), "string"),
        ("min", raw.min.as_ref().map(At::span), "integer"),
        ("max", raw.max.as_ref().map(At::span), "integer"),
        ("domains", raw.domains.as_ref().map(At::span), "email"),
        ("public", raw.public.as_ref().map(At::span), "ip"),
    ];
    for (rule, span, of) in said {
        if let Some(span) = span.filter(|_| kind != of && TYPES.contains(&kind)) {
            let problem =
                Problem::new(format!("`{rule}` says nothing of an input of type `{kind}`"));
            page.complain(span, problem.hint(format!("it is for type = \"{of}\"; leave it out")));
        }
    }
}

fn text(page: &mut Page<'_>, raw: &RawInput) -> Option<Text> {
    let most = raw.max_length.as_ref().map_or(Some(TEXT), |most| {
        page.take(most, |most| match usize::try_from(*most) {
            Ok(most @ 1..=TEXT_MAX) => Ok(most),
            _ => Err((format!("a text has 1 to {TEXT_MAX} characters"), None)),
        })
    })?;
    let flag = |flag: &Option<At<bool>>| flag.as_ref().is_some_and(|flag| *flag.get_ref());
    let mut text = Text::of(most);
    if flag(&raw.lines) {
        text = text.lines();
    }
    if flag(&raw.allow_slash) {
        text = text.slashes();
    }
    if let Some(choices) = &raw.choices {
        let listed: Vec<String> =
            choices.get_ref().iter().map(|choice| choice.get_ref().clone()).collect();
        let odd = |text: &String| text.is_empty() || text.chars().any(char::is_control);
        if listed.is_empty() || listed.iter().any(odd) {
            page.complain(
                choices.span(),
                Problem::new("`enum` lists texts, none of which is empty"),
            );
            return None;
        }
        text = text.choices(listed);
    }
    match &raw.pattern {
        Some(pattern) => declared(page, pattern.span(), text.pattern(pattern.get_ref())),
        None => Some(text),
    }
}

fn bounds(
    page: &mut Page<'_>,
    answer: Option<&At<String>>,
    time: Option<&At<String>>,
) -> Option<Bounds> {
    let usual = Bounds::default();
    let before = page.problems.len();
    let answer = page.take_option(answer, |text| match units::size(text) {
        Ok(size) if (1..=ANSWER_MAX).contains(&size) => {
            Ok(usize::try_from(size).unwrap_or(usual.answer))
        }
        Ok(_) => Err(("an answer has at most 8MiB".to_owned(), None)),
        Err(hint) => Err((format!("`{text}` is no size"), Some(hint.to_owned()))),
    });
    let time = page.take_option(time, |text| match units::duration(text) {
        Ok(time) if !time.is_zero() && time <= TIME_MAX => Ok(time),
        Ok(_) => Err(("a tool takes at most 10m".to_owned(), None)),
        Err(hint) => Err((format!("`{text}` is no duration"), Some(hint.to_owned()))),
    });
    let bounds =
        Bounds { answer: answer.unwrap_or(usual.answer), time: time.unwrap_or(usual.time) };
    (page.problems.len() == before).then_some(bounds)
}

/// The value, or the complaint about it where it stands.
fn declared<T>(
    page: &mut Page<'_>,
    span: Range<usize>,
    read: Result<T, DeclareError>,
) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(error) => {
            page.complain(span, Problem::new(error.to_string()).hint(error.remedy()));
            None
        }
    }
}

fn tool_name(text: &str) -> Result<ToolName, Flaw> {
    let tame = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let fits = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= 48
        && text.chars().all(tame);
    // Two underscores stand between the parts of the name of a server's tool.
    if !fits || text.contains("__") {
        let hint = "write lower-case letters, digits and single `_`, such as get_customer";
        return Err((
            format!("`{}` is no name of a declared tool", text.escape_debug()),
            Some(hint.to_owned()),
        ));
    }
    if own::is_ours(text) {
        return Err((format!("`{text}` is a tool of our own"), None));
    }
    ToolName::parse(text).map_err(|error| name_flaw(&error))
}

fn told(text: &str) -> Result<String, Flaw> {
    let plain = |c: char| !c.is_control() || c == '\n';
    if text.is_empty() || text.len() > 4096 || !text.chars().all(plain) {
        return Err(("a description has 1 to 4096 bytes of plain text".to_owned(), None));
    }
    Ok(text.to_owned())
}

fn effect_of(text: &str) -> Result<Effect, Flaw> {
    [Effect::Read, Effect::Write, Effect::Irreversible]
        .into_iter()
        .find(|effect| effect.as_str() == text)
        .ok_or_else(|| {
            let hint =
                "write \"read\", \"write\" or \"irreversible\"; nothing said means irreversible";
            (format!("`{text}` is no effect"), Some(hint.to_owned()))
        })
}

/// A header's name; empty for a server that knows no such keys.
fn idempotency(text: &str) -> Result<Option<String>, Flaw> {
    if text.is_empty() {
        return Ok(None);
    }
    let tame = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let lower = text.to_ascii_lowercase();
    let taken =
        ["authorization", "connection", "content-length", "cookie", "host", "transfer-encoding"];
    if lower.len() > 64 || !lower.bytes().all(tame) || taken.contains(&lower.as_str()) {
        let hint = "such as \"Idempotency-Key\"; write \"\" for a server that knows none";
        return Err((
            format!("`{}` is no header for an idempotency key", text.escape_debug()),
            Some(hint.to_owned()),
        ));
    }
    Ok(Some(lower))
}

const TYPES: [&str; 5] = ["boolean", "email", "integer", "ip", "string"];
const IDEMPOTENCY: &str = "idempotency-key";
/// What every reader of JSON keeps exact.
const INTEGER_MAX: i64 = (1 << 53) - 1;
const TEXT: usize = 256;
const TEXT_MAX: usize = 65_536;
const ANSWER_MAX: u64 = 8 << 20;
const TIME_MAX: Duration = Duration::from_mins(10);
