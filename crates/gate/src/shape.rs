//! Are these arguments what the tool says it takes? A tool's JSON Schema becomes a `Shape`; arguments
//! that fit it become typed values, and whatever does not fit is refused.

mod compile;
mod pattern;
mod sample;

use cedar_policy::RestrictedExpression;
use pattern::Pattern;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use thiserror::Error;

/// What a tool takes: the part of JSON Schema that can be checked and typed without guessing.
///
/// Objects are closed: an argument that the schema does not name is refused, whatever
/// `additionalProperties` says, because nobody has judged what it would do. A part of a schema that
/// is outside the subset is *opaque*: any bounded JSON fits, and policies see it as JSON text.
#[derive(Debug, Clone)]
pub struct Shape(Record);

#[derive(Debug, Clone, Default)]
pub(crate) struct Record(pub(crate) BTreeMap<String, Field>);

#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) node: Node,
    pub(crate) required: bool,
    /// `null` counts as absent.
    nullable: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Array { item: Box<Self>, least: usize, most: usize },
    Bool,
    Integer { least: i64, most: i64 },
    Number { least: f64, most: f64 },
    Opaque,
    Record(Record),
    Text { choices: Option<Vec<String>>, least: usize, most: usize, pattern: Option<Pattern> },
}

/// Arguments that fit a [`Shape`], typed; made by [`Shape::check`] alone.
#[derive(Clone)]
pub struct Checked {
    fields: BTreeMap<String, Item>,
    /// The same as a Cedar record, built when a policy first reads it.
    cedar: OnceLock<RestrictedExpression>,
}

#[derive(Clone)]
enum Item {
    Bool(bool),
    Long(i64),
    Record(BTreeMap<String, Self>),
    Set(Vec<Self>),
    Text(String),
}

/// Why a schema cannot be a tool's shape.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the input schema is unusable at `{pointer}`: {what}")]
pub struct ShapeError {
    pointer: String,
    what: &'static str,
}

/// Which argument does not fit, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{pointer}` {what}")]
pub struct ArgumentError {
    pointer: String,
    what: String,
}

impl ArgumentError {
    /// Where, as a JSON pointer; foreign names in it are escaped and cut.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What is wrong there.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl Shape {
    /// Compiles a JSON Schema whose root is an object.
    pub fn compile(schema: &Value) -> Result<Self, ShapeError> {
        compile::root(schema).map(Self)
    }

    /// Checks a call's arguments: every argument known, every required one there, each of its type,
    /// and all of them together bounded in depth, count and size.
    pub fn check(&self, arguments: &Value) -> Result<Checked, ArgumentError> {
        let mut budget = Budget { values: VALUES_MAX, bytes: BYTES_MAX };
        let Value::Object(given) = arguments else {
            return Err(misfit(&Pointer::Root, "must be an object"));
        };
        let fields = self.0.check(given, &Pointer::Root, &mut budget)?;
        Ok(Checked { fields, cedar: OnceLock::new() })
    }

    /// Whether the shape has a field of text by this name at its top.
    pub(crate) fn has_text(&self, field: &str) -> bool {
        self.0.0.get(field).is_some_and(|field| matches!(field.node, Node::Text { .. }))
    }

    /// Whether the shape has a field by this name at its top.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.0.0.contains_key(field)
    }

    /// Whether the field is text, or a list of texts.
    pub(crate) fn has_texts(&self, field: &str) -> bool {
        let text = |node: &Node| matches!(node, Node::Text { .. });
        self.0.0.get(field).is_some_and(|field| match &field.node {
            Node::Array { item, .. } => text(item),
            node => text(node),
        })
    }

    /// Whether the field is a list.
    pub(crate) fn has_list(&self, field: &str) -> bool {
        self.0.0.get(field).is_some_and(|field| matches!(field.node, Node::Array { .. }))
    }

    /// Whether the field is a number.
    pub(crate) fn has_number(&self, field: &str) -> bool {
        let number = |node: &Node| matches!(node, Node::Integer { .. } | Node::Number { .. });
        self.0.0.get(field).is_some_and(|field| number(&field.node))
    }

    /// Whether a call must have the field.
    pub(crate) fn needs(&self, field: &str) -> bool {
        self.0.0.get(field).is_some_and(|field| field.required)
    }

    pub(crate) fn record(&self) -> &Record {
        &self.0
    }
}

impl Node {
    /// Whether policies see a value of this kind as JSON text.
    pub(crate) fn is_opaque(&self) -> bool {
        match self {
            // Cedar has no floating-point numbers, and a rounded one would be judged as another.
            Self::Number { .. } | Self::Opaque => true,
            // Cedar cannot look into the members of a set.
            Self::Array { item, .. } => {
                item.is_opaque() || matches!(**item, Self::Array { .. } | Self::Record(_))
            }
            Self::Bool | Self::Integer { .. } | Self::Record(_) | Self::Text { .. } => false,
        }
    }

    fn check(
        &self,
        value: &Value,
        at: &Pointer<'_>,
        budget: &mut Budget,
    ) -> Result<Item, ArgumentError> {
        budget.spend(at, 0)?;
        let item = match (self, value) {
            (Self::Array { item, least, most }, Value::Array(given)) => {
                if given.len() > *most {
                    return Err(misfit(at, format!("has more than {most} items")));
                }
                if given.len() < *least {
                    return Err(misfit(at, format!("has fewer than {least} items")));
                }
                let mut items = Vec::with_capacity(given.len());
                for (index, value) in given.iter().enumerate() {
                    items.push(item.check(value, &Pointer::Index(at, index), budget)?);
                }
                Item::Set(items)
            }
            (Self::Bool, Value::Bool(given)) => Item::Bool(*given),
            (Self::Integer { least, most }, Value::Number(given)) => {
                let number = integer(given).ok_or_else(|| misfit(at, "must be a whole number"))?;
                if number < *least || number > *most {
                    return Err(misfit(at, format!("must be from {least} to {most}")));
                }
                Item::Long(number)
            }
            (Self::Number { least, most }, Value::Number(given)) => {
                // A number that is none, or too large for one, compares with nothing.
                let fits = given.as_f64().is_some_and(|n| n >= *least && n <= *most);
                if !fits {
                    return Err(misfit(at, format!("must be from {least} to {most}")));
                }
                Item::Bool(true)
            }
            (Self::Record(record), Value::Object(given)) => {
                Item::Record(record.check(given, at, budget)?)
            }
            (Self::Text { choices, least, most, pattern }, Value::String(given)) => {
                budget.spend(at, given.len())?;
                text(given, choices.as_deref(), (*least, *most), pattern.as_ref(), at)?
            }
            (Self::Opaque, value) => {
                walk(value, at, budget)?;
                Item::Bool(true)
            }
            (node, _) => return Err(misfit(at, format!("must be {}", node.noun()))),
        };
        Ok(if self.is_opaque() { Item::Text(value.to_string()) } else { item })
    }

    fn noun(&self) -> &'static str {
        match self {
            Self::Array { .. } => "an array",
            Self::Bool => "true or false",
            Self::Integer { .. } => "a whole number",
            Self::Number { .. } => "a number",
            Self::Opaque => "JSON",
            Self::Record(_) => "an object",
            Self::Text { .. } => "text",
        }
    }
}

fn text(
    given: &str,
    choices: Option<&[String]>,
    (least, most): (usize, usize),
    pattern: Option<&Pattern>,
    at: &Pointer<'_>,
) -> Result<Item, ArgumentError> {
    if given.len() > most && given.chars().count() > most {
        return Err(misfit(at, format!("has more than {most} characters")));
    }
    if least > 0 && given.chars().count() < least {
        return Err(misfit(at, format!("has fewer than {least} characters")));
    }
    if pattern.is_some_and(|pattern| !pattern.fits(given)) {
        return Err(misfit(at, "does not have the form that the tool asks for"));
    }
    if let Some(choices) = choices
        && !choices.iter().any(|choice| choice == given)
    {
        return Err(misfit(at, format!("must be one of: {}", choices.join(", "))));
    }
    Ok(Item::Text(given.to_owned()))
}

impl Record {
    fn check(
        &self,
        given: &Map<String, Value>,
        at: &Pointer<'_>,
        budget: &mut Budget,
    ) -> Result<BTreeMap<String, Item>, ArgumentError> {
        if let Some(name) = given.keys().find(|name| !self.0.contains_key(*name)) {
            return Err(misfit(&Pointer::Field(at, name), "is not an argument here; leave it out"));
        }
        let mut items = BTreeMap::new();
        for (name, field) in &self.0 {
            let at = Pointer::Field(at, name);
            match given.get(name) {
                Some(Value::Null) if field.nullable && !field.required => {}
                Some(value) => {
                    items.insert(name.clone(), field.node.check(value, &at, budget)?);
                }
                None if field.required => return Err(misfit(&at, "is missing")),
                None => {}
            }
        }
        Ok(items)
    }
}

impl Checked {
    /// The arguments as a Cedar record.
    pub(crate) fn cedar(&self) -> RestrictedExpression {
        self.cedar.get_or_init(|| record(&self.fields)).clone()
    }
}

impl fmt::Debug for Checked {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.fields.keys()).finish()
    }
}

impl Item {
    fn cedar(&self) -> RestrictedExpression {
        match self {
            Self::Bool(value) => RestrictedExpression::new_bool(*value),
            Self::Long(value) => RestrictedExpression::new_long(*value),
            Self::Record(fields) => record(fields),
            Self::Set(items) => RestrictedExpression::new_set(items.iter().map(Self::cedar)),
            Self::Text(value) => RestrictedExpression::new_string(value.clone()),
        }
    }
}

fn record(fields: &BTreeMap<String, Item>) -> RestrictedExpression {
    let pairs = fields.iter().map(|(name, item)| (name.clone(), item.cedar()));
    // A map has no key twice, which is the only error; text in its place makes any policy that reads
    // the record fail, and a failing policy denies.
    RestrictedExpression::new_record(pairs)
        .unwrap_or_else(|_| RestrictedExpression::new_string(String::new()))
}

/// What may still be looked at before the arguments are too many.
struct Budget {
    values: usize,
    bytes: usize,
}

impl Budget {
    fn spend(&mut self, at: &Pointer<'_>, bytes: usize) -> Result<(), ArgumentError> {
        if at.depth() > DEPTH_MAX {
            return Err(misfit(at, "is nested too deeply"));
        }
        let values =
            self.values.checked_sub(1).ok_or_else(|| misfit(at, "is one value too many"))?;
        let bytes = self
            .bytes
            .checked_sub(bytes)
            .ok_or_else(|| misfit(at, "makes the arguments too long"))?;
        *self = Self { values, bytes };
        Ok(())
    }
}

fn walk(value: &Value, at: &Pointer<'_>, budget: &mut Budget) -> Result<(), ArgumentError> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => budget.spend(at, 0),
        Value::String(text) => budget.spend(at, text.len()),
        Value::Array(items) => {
            budget.spend(at, 0)?;
            items
                .iter()
                .enumerate()
                .try_for_each(|(index, item)| walk(item, &Pointer::Index(at, index), budget))
        }
        Value::Object(fields) => {
            budget.spend(at, 0)?;
            fields.iter().try_for_each(|(name, item)| {
                budget.spend(at, name.len())?;
                walk(item, &Pointer::Field(at, name), budget)
            })
        }
    }
}

/// A whole number as JSON may spell it; `3.0` is one, beyond 2^53 only an exact integer is.
fn integer(number: &serde_json::Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT)?;
    format!("{float:.0}").parse().ok()
}

/// Where in a document, written down only when something is wrong there.
enum Pointer<'a> {
    Root,
    Field(&'a Self, &'a str),
    Index(&'a Self, usize),
}

impl Pointer<'_> {
    fn depth(&self) -> usize {
        match self {
            Self::Root => 0,
            Self::Field(up, _) | Self::Index(up, _) => up.depth() + 1,
        }
    }
}

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(up, name) => {
                let name: String = name.chars().take(60).flat_map(char::escape_default).collect();
                write!(f, "{up}/{name}")
            }
            Self::Index(up, index) => write!(f, "{up}/{index}"),
        }
    }
}

fn misfit(at: &Pointer<'_>, what: impl Into<String>) -> ArgumentError {
    ArgumentError { pointer: shown(at), what: what.into() }
}

fn shown(at: &Pointer<'_>) -> String {
    let pointer = at.to_string();
    if pointer.is_empty() { "/".to_owned() } else { pointer }
}

/// How deep arguments and schemas may nest.
const DEPTH_MAX: usize = 24;
/// Most values in one call's arguments.
const VALUES_MAX: usize = 20_000;
/// Most bytes of text in one call's arguments: a generous source file.
const BYTES_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests;
