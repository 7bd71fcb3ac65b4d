//! What does a JSON Schema say that can be checked without guessing? The rest of it is opaque.

mod narrow;
mod refs;

use super::{
    BYTES_MAX, DEPTH_MAX, Field, Node, Pattern, Pointer, Record, ShapeError, VALUES_MAX, shown,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Compiles a schema whose root must be an object.
pub(super) fn root(schema: &Value) -> Result<Record, ShapeError> {
    let mut left = FIELDS_MAX;
    let resolved = refs::resolve(schema);
    match compile(&resolved, &Pointer::Root, &mut left)? {
        Node::Record(record) => Ok(record),
        Node::Opaque if is_any_object(schema) => {
            Err(fault(&Pointer::Root, "an object must name its properties"))
        }
        _ => Err(fault(&Pointer::Root, "the root must be an object")),
    }
}

/// Compiles a schema and everything in it; `left` is how many properties there may still be.
fn compile(schema: &Value, at: &Pointer<'_>, left: &mut usize) -> Result<Node, ShapeError> {
    if at.depth() > DEPTH_MAX {
        return Err(fault(at, "it is nested too deeply"));
    }
    let Value::Object(schema) = schema else { return Ok(Node::Opaque) };
    if let Some(choices) = choices(schema) {
        let choices = Some(choices);
        return Ok(Node::Text { choices, least: 0, most: BYTES_MAX, pattern: None });
    }
    let Some(kind) = kind(schema) else { return Ok(Node::Opaque) };
    Ok(match kind {
        "array" => {
            let item = schema.get("items").map_or(Ok(Node::Opaque), |item| {
                compile(item, &Pointer::Field(at, "items"), left)
            })?;
            Node::Array {
                item: Box::new(item),
                least: size(schema, "minItems").unwrap_or(0),
                most: size(schema, "maxItems").unwrap_or(VALUES_MAX),
            }
        }
        "boolean" => Node::Bool,
        "integer" => {
            let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
            let above = bound("exclusiveMinimum").map(|n| n.saturating_add(1));
            let below = bound("exclusiveMaximum").map(|n| n.saturating_sub(1));
            let least = bound("minimum").into_iter().chain(above).max().unwrap_or(i64::MIN);
            let most = bound("maximum").into_iter().chain(below).min().unwrap_or(i64::MAX);
            Node::Integer { least, most }
        }
        "number" => {
            let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
            // What only excludes its own bound is checked as if it did not: the server is stricter.
            let least = bound("minimum").or_else(|| bound("exclusiveMinimum"));
            let most = bound("maximum").or_else(|| bound("exclusiveMaximum"));
            Node::Number { least: least.unwrap_or(f64::MIN), most: most.unwrap_or(f64::MAX) }
        }
        "object" => object(schema, at, left)?,
        "string" => {
            let pattern = schema.get("pattern").and_then(Value::as_str).and_then(Pattern::new);
            let least = size(schema, "minLength").unwrap_or(0);
            let most = size(schema, "maxLength").unwrap_or(BYTES_MAX);
            Node::Text { choices: None, least, most, pattern }
        }
        _ => Node::Opaque,
    })
}

fn object(
    schema: &Map<String, Value>,
    at: &Pointer<'_>,
    left: &mut usize,
) -> Result<Node, ShapeError> {
    let Some(Value::Object(properties)) = schema.get("properties") else {
        // `{"type": "object", "additionalProperties": false}` takes nothing; any other takes anything.
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        return Ok(if closed { Node::Record(Record::default()) } else { Node::Opaque });
    };
    let required = match schema.get("required") {
        None => Vec::new(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(_) => return Err(fault(at, "`required` must be an array of names")),
    };
    if let Some(missing) = required.iter().find(|name| !properties.contains_key(**name)) {
        return Err(fault(&Pointer::Field(at, missing), "it is required and not described"));
    }
    let mut fields = BTreeMap::new();
    for (name, schema) in properties {
        let at = Pointer::Field(at, name);
        *left = left.checked_sub(1).ok_or_else(|| fault(&at, "there are too many properties"))?;
        if name.is_empty() || name.len() > 128 {
            return Err(fault(&at, "a property name has 1 to 128 bytes"));
        }
        let (schema, nullable) = without_null(schema);
        let required = required.contains(&name.as_str()) && !nullable;
        fields
            .insert(name.clone(), Field { node: compile(&schema, &at, left)?, required, nullable });
    }
    Ok(Node::Record(Record(fields)))
}

/// The schema without its `null` alternative, and whether it had one.
fn without_null(schema: &Value) -> (Value, bool) {
    let is_null = |schema: &Value| schema.get("type").and_then(Value::as_str) == Some("null");
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = schema.get(key) {
            let rest: Vec<&Value> = choices.iter().filter(|choice| !is_null(choice)).collect();
            if let ([one], true) = (rest.as_slice(), rest.len() < choices.len()) {
                return ((*one).clone(), true);
            }
        }
    }
    if let Some(Value::Array(kinds)) = schema.get("type") {
        let rest: Vec<&Value> = kinds.iter().filter(|kind| kind.as_str() != Some("null")).collect();
        if let ([one], true) = (rest.as_slice(), rest.len() < kinds.len()) {
            let mut schema = schema.clone();
            if let Value::Object(fields) = &mut schema {
                fields.insert("type".to_owned(), (*one).clone());
            }
            return (schema, true);
        }
    }
    (schema.clone(), false)
}

/// The one type of a schema, unless a keyword that the subset does not know could change its meaning.
fn kind(schema: &Map<String, Value>) -> Option<&str> {
    let foreign = ["$ref", "$dynamicRef", "patternProperties"];
    if foreign.iter().any(|key| schema.contains_key(*key)) || !narrow::only(schema) {
        return None;
    }
    match schema.get("type") {
        Some(Value::String(kind)) => Some(kind),
        None if schema.contains_key("properties") => Some("object"),
        _ => None,
    }
}

/// The texts that a value may be, from `enum`, `const`, or a union of such.
fn choices(schema: &Map<String, Value>) -> Option<Vec<String>> {
    if let Some(Value::String(only)) = schema.get("const") {
        return Some(vec![only.clone()]);
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
    }
    let union = schema.get("anyOf").or_else(|| schema.get("oneOf"));
    let Some(Value::Array(parts)) = union else { return None };
    let parts: Option<Vec<_>> =
        parts.iter().map(|part| part.as_object().and_then(choices)).collect();
    parts.map(|parts| parts.concat())
}

fn size(schema: &Map<String, Value>, key: &str) -> Option<usize> {
    schema.get(key).and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok())
}

fn is_any_object(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
}

fn fault(at: &Pointer<'_>, what: &'static str) -> ShapeError {
    ShapeError { pointer: shown(at), what }
}

/// Most properties of one schema, at all levels together.
pub(super) const FIELDS_MAX: usize = 512;
