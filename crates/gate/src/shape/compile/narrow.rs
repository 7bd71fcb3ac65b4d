//! What does a schema say beside its own words (`allOf`, `anyOf`, `if` …)? A value must fit both, so it only ever takes away
//! from what the properties say; unless it names others, the properties say all that can be given.

use serde_json::{Map, Value};

/// Whether everything beside a schema's own words only narrows them: there is nothing beside them, or an object names its
/// properties and no part beside names another. Which of the narrower forms holds is the server's to check.
pub(super) fn only(schema: &Map<String, Value>) -> bool {
    let mut beside = parts(schema).peekable();
    if beside.peek().is_none() {
        return true;
    }
    let Some(Value::Object(known)) = schema.get("properties") else { return false };
    beside.all(|part| within(part, known))
}

/// Whether a part speaks of no property but the known ones, and of nothing within them.
fn within(part: &Value, known: &Map<String, Value>) -> bool {
    let Value::Object(part) = part else { return part.is_boolean() };
    let foreign = ["$ref", "$dynamicRef", "patternProperties"];
    if foreign.iter().any(|key| part.contains_key(*key)) {
        return false;
    }
    let flat = |property: &Value| {
        let table = property.as_object();
        table.is_none_or(|table| !table.contains_key("properties") && parts(table).next().is_none())
    };
    let properties = part.get("properties").and_then(Value::as_object);
    let mut named = properties.into_iter().flatten();
    let required = part.get("required").and_then(Value::as_array);
    let mut needed = required.into_iter().flatten().filter_map(Value::as_str);
    named.all(|(name, property)| known.contains_key(name) && flat(property))
        && needed.all(|name| known.contains_key(name))
        && parts(part).all(|part| within(part, known))
}

/// The schemas beside a schema's own words.
fn parts(schema: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let many = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key));
    let one = ["not", "if", "then", "else"].into_iter().filter_map(|key| schema.get(key));
    many.flat_map(|list| list.as_array().map_or(std::slice::from_ref(list), Vec::as_slice))
        .chain(one)
}

#[cfg(test)]
mod tests {
    use crate::shape::Shape;
    use serde_json::{Value, json};

    fn with(beside: &Value) -> Value {
        let mut schema = json!({
            "type": "object", "required": ["by"],
            "properties": { "by": { "enum": ["phone", "mail"] }, "phone": { "type": "string" }, "mail": { "type": "string" } },
        });
        let table = schema.as_object_mut().unwrap();
        table.extend(beside.as_object().unwrap().clone());
        schema
    }

    #[test]
    fn what_only_narrows_leaves_the_properties_as_they_are() {
        for beside in [
            json!({ "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["mail"] }] }] }),
            json!({ "if": { "properties": { "by": { "const": "phone" } } }, "then": { "required": ["phone"] }, "else": { "required": ["mail"] } }),
            json!({ "oneOf": [{ "required": ["phone"] }, { "required": ["mail"] }] }),
            json!({ "not": { "required": ["phone", "mail"] } }),
        ] {
            let shape = Shape::compile(&with(&beside)).unwrap();
            assert!(shape.check(&json!({ "by": "mail", "mail": "m" })).is_ok(), "{beside}");
            for wrong in [
                json!({}),
                json!({ "by": "fax" }),
                json!({ "by": "mail", "mail": 1 }),
                json!({ "by": "mail", "fax": "f" }),
            ] {
                assert!(shape.check(&wrong).is_err(), "{beside}: {wrong}");
            }
        }
    }

    #[test]
    fn what_names_more_is_no_shape() {
        for beside in [
            json!({ "oneOf": [{ "properties": { "fax": { "type": "string" } } }] }),
            json!({ "anyOf": [{ "required": ["fax"] }, { "required": ["mail"] }] }),
            json!({ "then": { "properties": { "by": { "properties": { "deep": {} } } } } }),
            json!({ "allOf": [{ "$ref": "http://evil.example/x.json" }, {}] }),
            json!({ "allOf": [{ "patternProperties": { ".*": {} } }, {}] }),
            json!({ "anyOf": [{ "not": { "properties": { "fax": {} } } }] }),
            json!({ "anyOf": "phone" }),
        ] {
            assert!(Shape::compile(&with(&beside)).is_err(), "{beside}");
        }
    }
}
