//! Whose words are these arguments? Each value that says whom or what a call acts on is held against the session's
//! memory and the policies.

use super::memory::{Form, Found, Look};
use super::spell::trimmed;
use super::{Memory, Origin, Origins, Part, Provenance, Seen, Traced, Trust};
use crate::name::HostPort;
use crate::policy::{Facts, HostFact};
use crate::seat::Seat;
use crate::tool::{Effect, TargetKind, ToolDef};
use serde_json::Value;

/// Traces a call's values; `named` says whether a policy names one. What it says of a tool without targets and
/// authority is of the session alone.
pub(crate) fn trace(
    memory: &Memory,
    tool: &ToolDef,
    arguments: &Value,
    facts: &[Facts],
    seat: &Seat,
    named: &dyn Fn(&str) -> bool,
) -> Origins {
    let mut tracer = Tracer { look: memory.look(), seat, named, values: Vec::new() };
    for target in tool.targets() {
        let given: Vec<&str> = match arguments.get(target.field()) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => continue,
        };
        match target.kind() {
            TargetKind::Command => given.into_iter().for_each(|text| tracer.command(text)),
            TargetKind::Host => tracer.hosts(facts),
            TargetKind::Path => tracer.paths(&given, facts),
            TargetKind::Url => {
                tracer.hosts(facts);
                for text in given {
                    tracer.url(text);
                }
            }
            // They are among the arguments with authority, or say how many and no more.
            TargetKind::Amount
            | TargetKind::Count
            | TargetKind::Email
            | TargetKind::Ip
            | TargetKind::Name => {}
        }
    }
    for field in tool.authority() {
        let mut texts = Vec::new();
        scalars(arguments.get(field).unwrap_or(&Value::Null), &mut texts);
        for text in texts {
            tracer.argument(field, &text);
        }
    }
    let carries = reaches_out(tool) && tracer.carries(tool, arguments);
    let Tracer { look, values, .. } = tracer;
    let made = |value: &Traced| matches!(value.origin, Origin::Workspace | Origin::Unknown);
    let composed = reaches_out(tool) && values.iter().any(made);
    let says = !tool.targets().is_empty() || !tool.authority().is_empty();
    let unsaid = tool.effect() == Effect::Irreversible && !says;
    Origins { taint: look.taint(), provenance: Provenance { values, carries, composed, unsaid } }
}

struct Tracer<'a> {
    look: Look<'a>,
    seat: &'a Seat,
    named: &'a dyn Fn(&str) -> bool,
    values: Vec<Traced>,
}

impl Tracer<'_> {
    fn hosts(&mut self, facts: &[Facts]) {
        let mut hosts: Vec<&HostFact> = facts.iter().filter_map(|one| one.host.as_ref()).collect();
        hosts.dedup();
        for host in hosts {
            self.host(host);
        }
    }

    fn host(&mut self, fact: &HostFact) {
        let host = fact.host.clone();
        let declared = HostPort::parse(&format!("{host}:{}", fact.port)).is_ok_and(|target| {
            self.seat.private.contains(&target)
                || self.seat.model_upstream.as_ref() == Some(&target)
                || self.seat.logins.iter().any(|(login, _)| *login == target)
                || self.seat.credentials.iter().any(|bound| bound.target == target)
        });
        let origin = if declared || (self.named)(&host) {
            Some(Origin::Policy)
        } else if self.look.person(&host, Form::Host, "host") {
            Some(Origin::Person)
        } else if self.look.operator(&host, Form::Host) {
            Some(Origin::Policy)
        } else {
            None
        };
        self.settle(Part::Host, host, origin);
    }

    fn url(&mut self, given: &str) {
        let value = trimmed(given);
        let bare = value.split_once("://").map_or(value, |(_, rest)| rest);
        let forms = [value, bare, bare.trim_end_matches('/'), value.trim_end_matches('/')];
        let origin = self.named_as(&forms, Form::Word, "url");
        self.settle(Part::Url, given.to_owned(), origin);
    }

    /// Every path of the call; as it was given, too, when it is one.
    fn paths(&mut self, given: &[&str], facts: &[Facts]) {
        let all = facts.iter().filter_map(|one| one.path.as_ref());
        let mut all: Vec<&str> = all.map(|fact| fact.path.as_str()).collect();
        all.sort_unstable();
        all.dedup();
        match (given, all.as_slice()) {
            ([given], [canonical]) => self.path(given, canonical),
            _ => all.into_iter().for_each(|canonical| self.path(canonical, canonical)),
        }
    }

    fn path(&mut self, given: &str, canonical: &str) {
        let whole = format!("{}/{canonical}", self.seat.workspace);
        let forms = [given, canonical, whole.as_str()];
        let origin = if matches!(canonical, "" | ".") {
            Some(Origin::Policy)
        } else {
            self.named_as(&forms, Form::Path, "path")
        };
        self.settle(Part::Path, canonical.to_owned(), origin);
    }

    /// A command is the person's as a whole, and another's as soon as it has a stretch of theirs.
    fn command(&mut self, given: &str) {
        let origin = self.named_as(&[given.trim()], Form::Word, "command");
        if origin.is_some() || !self.look.has_read() {
            return self.settle(Part::Command, given.to_owned(), origin);
        }
        let whole = given.split_whitespace().nth(2).is_some();
        let mut found = if whole { self.look.found(given) } else { Vec::new() };
        if found.is_empty() {
            found.extend(self.look.run(given, STRETCH));
        }
        self.put(Part::Command, given.to_owned(), None, &found);
    }

    /// An argument's value; several in one text are several values.
    fn argument(&mut self, field: &str, given: &str) {
        let value = trimmed(given);
        if value.is_empty() {
            return;
        }
        let part = || Part::Argument(field.to_owned());
        let bare = value.split_once("://").map_or(value, |(_, rest)| rest).trim_end_matches('/');
        let origin = self.named_as(&[value, bare], Form::Word, field);
        let split = |c: char| matches!(c, ',' | ';' | '\n');
        if origin.is_none() && value.contains(split) {
            for one in value.split(split).map(trimmed).filter(|one| !one.is_empty()) {
                let origin = self.named_as(&[one], Form::Word, field);
                self.settle(part(), one.to_owned(), origin);
            }
            return;
        }
        self.settle(part(), value.to_owned(), origin);
    }

    fn named_as(&self, forms: &[&str], form: Form, name: &str) -> Option<Origin> {
        let person = |value: &str| self.look.person(value, form, name);
        if forms.iter().any(|value| (self.named)(value)) {
            Some(Origin::Policy)
        } else if forms.iter().any(|value| person(value)) {
            Some(Origin::Person)
        } else {
            let operator = forms.iter().any(|value| self.look.operator(value, form));
            operator.then_some(Origin::Policy)
        }
    }

    fn settle(&mut self, part: Part, value: String, origin: Option<Origin>) {
        let found = match origin {
            None if self.look.has_read() => self.look.found(&value),
            _ => Vec::new(),
        };
        self.put(part, value, origin, &found);
    }

    fn put(&mut self, part: Part, value: String, origin: Option<Origin>, found: &[Found]) {
        let origin = origin.unwrap_or(match found.first().map(|found| found.text.trust) {
            Some(Trust::Untrusted) => Origin::Untrusted,
            Some(_) => Origin::Workspace,
            None => Origin::Unknown,
        });
        let ordered = found.iter().any(Found::is_ordered);
        let sources = found.iter().map(|found| Seen {
            source: found.text.source.clone(),
            key: found.text.key,
            excerpt: found.excerpt(),
        });
        let sources = sources.collect();
        if self.values.len() < VALUES_MAX {
            self.values.push(Traced { part, value, origin, ordered, sources });
        } else if let Some(last) = self.values.last_mut() {
            // Nobody vouches for what is too much to look at.
            last.origin = last.origin.max(Origin::Unknown);
        }
    }

    /// Whether what is no target has a stretch of what was read.
    fn carries(&self, tool: &ToolDef, arguments: &Value) -> bool {
        if !self.look.has_read() {
            return false;
        }
        let Value::Object(fields) = arguments else { return false };
        let mut left = CARRIED_MAX;
        fields.iter().filter(|(name, _)| !is_authority(tool, name)).any(|(_, value)| {
            let mut texts = Vec::new();
            scalars(value, &mut texts);
            texts.iter().filter(|text| text.len() >= STRETCH).any(|text| {
                let part = text.get(..text.floor_char_boundary(left)).unwrap_or_default();
                left -= part.len();
                self.look.run(part, STRETCH).is_some()
            })
        })
    }
}

/// Whether a tool sends something to somebody.
fn reaches_out(tool: &ToolDef) -> bool {
    let out = |kind: TargetKind| matches!(kind, TargetKind::Host | TargetKind::Url);
    !tool.authority().is_empty() || tool.targets().iter().any(|target| out(target.kind()))
}

fn is_authority(tool: &ToolDef, name: &str) -> bool {
    tool.authority().iter().any(|field| field == name)
        || tool.targets().iter().any(|target| target.field() == name)
}

/// The texts and numbers within a value.
fn scalars(value: &Value, out: &mut Vec<String>) {
    if out.len() > VALUES_MAX {
        return;
    }
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => out.push(number.to_string()),
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| scalars(item, out)),
        Value::Object(fields) => fields.values().for_each(|item| scalars(item, out)),
    }
}

/// So many bytes in the same words are no chance.
const STRETCH: usize = 40;
/// Bytes of one call's arguments that are looked through for stretches.
const CARRIED_MAX: usize = 16 * 1024;
/// Values of one call that are told apart.
const VALUES_MAX: usize = 64;
