//! What does a reference within a schema stand for? Local ones are put in their place; others stay,
//! and what holds one is opaque.

use serde_json::{Map, Value};

/// The schema with every local reference (`#/$defs/…`, `#/definitions/…`) replaced by what it names,
/// and `allOf` of one part by that part. A reference that is not local, leads nowhere, or into itself,
/// is left as it is: nothing is ever fetched.
pub(super) fn resolve(schema: &Value) -> Value {
    let mut left = NODES_MAX;
    place(schema, schema, &mut Vec::new(), &mut left)
}

fn place<'a>(
    root: &'a Value,
    schema: &'a Value,
    path: &mut Vec<&'a str>,
    left: &mut usize,
) -> Value {
    *left = left.saturating_sub(1);
    match schema {
        Value::Object(fields) if *left > 0 && path.len() < DEPTH_MAX => {
            if let Some(found) = named(root, fields, path, left) {
                return found;
            }
            if let (Some(Value::Array(parts)), None) =
                (fields.get("allOf"), fields.get("properties"))
                && let [one] = parts.as_slice()
            {
                return place(root, one, path, left);
            }
            let placed = fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "$defs" | "definitions"))
                .map(|(name, value)| (name.clone(), place(root, value, path, left)));
            Value::Object(placed.collect())
        }
        Value::Array(items) if *left > 0 => {
            Value::Array(items.iter().map(|item| place(root, item, path, left)).collect())
        }
        Value::Object(_) | Value::Array(_) => Value::Bool(true),
        other => other.clone(),
    }
}

fn named<'a>(
    root: &'a Value,
    fields: &'a Map<String, Value>,
    path: &mut Vec<&'a str>,
    left: &mut usize,
) -> Option<Value> {
    let name = fields.get("$ref")?.as_str()?;
    let pointer = name.strip_prefix('#')?;
    let local = ["/$defs/", "/definitions/"].iter().any(|place| pointer.starts_with(place));
    // Words beside a reference may narrow it; only notes are known not to.
    let notes = |key: &String| {
        matches!(key.as_str(), "$ref" | "title" | "description" | "default" | "examples")
    };
    if !local || path.contains(&name) || !fields.keys().all(notes) {
        return None;
    }
    let found = root.pointer(pointer)?;
    path.push(name);
    let placed = place(root, found, path, left);
    path.pop();
    Some(placed)
}

/// How many references may stand one within another.
const DEPTH_MAX: usize = 16;
/// Most parts of a schema once every reference is in its place: a small one can unfold without end.
const NODES_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;
    use serde_json::json;

    #[test]
    fn a_local_reference_is_what_it_names() {
        let schema = json!({
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/Mode", "description": "d"}, "b": {"allOf": [{"$ref": "#/definitions/N"}]}},
            "$defs": {"Mode": {"enum": ["x", "y"]}},
            "definitions": {"N": {"type": "integer", "maximum": 3}}
        });
        let shape = Shape::compile(&schema).unwrap();
        assert!(shape.check(&json!({"a": "x", "b": 3})).is_ok());
        assert!(shape.check(&json!({"a": "z"})).is_err());
        assert!(shape.check(&json!({"b": 4})).is_err());
    }

    #[test]
    fn a_reference_that_is_not_local_or_leads_into_itself_is_opaque() {
        let node = json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}});
        for reference in
            ["#/$defs/Node", "http://evil.example/x.json", "file:///etc/passwd", "#/x", "#"]
        {
            let schema = json!({
                "type": "object",
                "properties": {"a": {"$ref": reference}},
                "$defs": {"Node": node}
            });
            let shape = Shape::compile(&schema).unwrap();
            let taken = shape.check(&json!({"a": {"next": {"next": [1]}}}));
            assert!(taken.is_ok(), "{reference}: {taken:?}");
        }
    }

    #[test]
    fn a_schema_that_unfolds_without_end_is_cut() {
        let mut defs = Map::new();
        for n in 0..40 {
            let next = format!("#/$defs/d{}", n + 1);
            let many: Map<String, Value> =
                (0..8).map(|k| (format!("p{k}"), json!({"$ref": next}))).collect();
            defs.insert(format!("d{n}"), json!({"type": "object", "properties": many}));
        }
        let schema =
            json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": defs});
        // It ends, one way or the other.
        assert!(Shape::compile(&schema).is_err());
    }
}
