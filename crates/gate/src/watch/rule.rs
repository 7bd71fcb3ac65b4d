//! What does a rule look at? TOML into rules; a mistake names its line.

use super::OnFlag;
use bartizan_store::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How much a flag weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the gate must know each")]
pub enum Severity {
    /// Honest runs do this too: it is noted.
    Low,
    /// Honest runs hardly ever do this: it may stop the run.
    High,
}

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(String);

/// One rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Its stable name.
    pub(super) id: String,
    /// What it means, for a person.
    pub(super) says: String,
    pub(super) severity: Severity,
    /// How often it flags honest runs.
    #[serde(default)]
    pub(super) false_alarms: String,
    /// The kinds of records it looks at.
    on: Vec<Event>,
    /// What must hold in a record: a field, and one of some values.
    #[serde(default)]
    when: BTreeMap<String, Wanted>,
    /// What must not hold in it.
    #[serde(default)]
    unless: BTreeMap<String, Wanted>,
    /// A field whose value no record of the session had before.
    pub(super) first: Option<String>,
    /// How many such records it takes.
    #[serde(default = "one")]
    pub(super) count: usize,
    /// Among how many calls, the last ones.
    #[serde(default = "one")]
    pub(super) within: usize,
    /// A field: records that have the same value in it count once.
    pub(super) distinct: Option<String>,
}

const fn one() -> usize {
    1
}

/// What a field must be: texts, where `*` stands for anything, `true` or `false`, or a number that it must reach.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "toml::Value")]
struct Wanted(Vec<Value>);

impl TryFrom<toml::Value> for Wanted {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let items = match value {
            toml::Value::Array(items) => items,
            one => vec![one],
        };
        let simple = |item: toml::Value| match item {
            toml::Value::String(text) => Ok(Value::from(text)),
            toml::Value::Integer(number) => Ok(Value::from(number)),
            toml::Value::Boolean(is) => Ok(Value::from(is)),
            other => {
                Err(format!("a text, whole number or truth value, not a {}", other.type_str()))
            }
        };
        items.into_iter().map(simple).collect::<Result<_, _>>().map(Self)
    }
}

/// A file of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) on_flag: Option<OnFlag>,
    #[serde(default, rename = "rule")]
    pub(super) rules: Vec<Rule>,
}

/// Reads the rules of a file.
pub(super) fn parse(text: &str) -> Result<File, RuleError> {
    let file: File = toml::from_str(text).map_err(|e| RuleError(e.to_string()))?;
    for rule in &file.rules {
        rule.check().map_err(|why| RuleError(format!("rule `{}`: {why}", rule.id)))?;
    }
    Ok(file)
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        if self.id.is_empty() || self.says.is_empty() {
            return Err("needs an `id` and what it `says`".to_owned());
        }
        if self.on.contains(&Event::Flag) {
            return Err("cannot look at flags; they are what it makes".to_owned());
        }
        if self.on.is_empty() || (self.when.is_empty() && self.first.is_none()) {
            return Err("would hold for every record; say which: `on`, `when`".to_owned());
        }
        if self.count == 0 || self.within > WITHIN_MAX || self.count > self.within {
            return Err(format!(
                "`count` is at least 1, and `within` at least that and at most {WITHIN_MAX}"
            ));
        }
        Ok(())
    }

    /// Whether a record is one that it looks for, but for what the session did before.
    pub(super) fn fits(&self, event: Event, body: &Map<String, Value>) -> bool {
        self.on.contains(&event)
            && self.when.iter().all(|(field, wanted)| wanted.holds(body, field))
            && !self.unless.iter().any(|(field, wanted)| wanted.holds(body, field))
    }
}

impl Wanted {
    fn holds(&self, body: &Map<String, Value>, field: &str) -> bool {
        let mut found = false;
        values(body, field, &mut |value| found |= self.0.iter().any(|want| is(want, value)));
        found
    }
}

fn is(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::String(pattern), Value::String(text)) => like(pattern, text),
        (Value::Number(least), Value::Number(number)) => number.as_i64() >= least.as_i64(),
        _ => wanted == value,
    }
}

/// Whether a text is as the pattern, in which `*` stands for anything; capitals make no difference.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|head| text.strip_prefix(head)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

/// Hands each value of a field to `see`. A dot leads into an object, a list stands for each of its items, and `*` for
/// every text of the record, however deep.
pub(super) fn values<'a>(
    body: &'a Map<String, Value>,
    field: &str,
    see: &mut dyn FnMut(&'a Value),
) {
    if field == "*" {
        body.values().for_each(|value| texts(value, see));
        return;
    }
    let (head, rest) = field.split_once('.').unwrap_or((field, ""));
    if let Some(value) = body.get(head) {
        within(value, rest, see);
    }
}

fn within<'a>(value: &'a Value, field: &str, see: &mut dyn FnMut(&'a Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| within(item, field, see)),
        Value::Object(fields) if field == "*" => {
            fields.values().for_each(|value| texts(value, see));
        }
        value if field.is_empty() => see(value),
        Value::Object(fields) => values(fields, field, see),
        value if field == "*" => texts(value, see),
        _ => {}
    }
}

fn texts<'a>(value: &'a Value, see: &mut dyn FnMut(&'a Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, see)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, see)),
        value => see(value),
    }
}

/// Most calls that a rule looks back over.
const WITHIN_MAX: usize = 200;
