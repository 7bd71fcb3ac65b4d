//! What would fit a shape? The least that a call needs, so that policies can be asked about a tool that nobody has called.

use super::{Node, Record, Shape};
use serde_json::{Map, Value, json};

impl Shape {
    /// Arguments with every required field, and those of `given` that the shape has: one value for a list becomes a list,
    /// and what is no choice the first one. They fit, unless a pattern or a bound asks for more than is guessed here.
    pub fn sample(&self, given: &Map<String, Value>) -> Value {
        Value::Object(self.0.sample(given))
    }
}

impl Record {
    fn sample(&self, given: &Map<String, Value>) -> Map<String, Value> {
        let field = |(name, field): (&String, &super::Field)| {
            let value = given.get(name).map(|value| field.node.fit(value));
            let value = value.or_else(|| field.required.then(|| field.node.sample()))?;
            Some((name.clone(), value))
        };
        self.0.iter().filter_map(field).collect()
    }
}

impl Node {
    fn fit(&self, value: &Value) -> Value {
        match self {
            Self::Array { item, .. } if !value.is_array() => json!([item.fit(value)]),
            Self::Text { choices: Some(choices), .. }
                if !choices.iter().any(|one| value == one) =>
            {
                self.sample()
            }
            _ => value.clone(),
        }
    }

    fn sample(&self) -> Value {
        match self {
            Self::Array { item, least, .. } => {
                (0..(*least).min(ITEMS_MAX)).map(|_| item.sample()).collect()
            }
            Self::Bool => json!(false),
            Self::Integer { least, most } => json!(1.max(*least).min(*most)),
            Self::Number { least, most } => json!(1_f64.max(*least).min(*most)),
            Self::Opaque => json!({}),
            Self::Record(record) => Value::Object(record.sample(&Map::new())),
            Self::Text { choices: Some(choices), .. } => json!(choices.first()),
            Self::Text { least, most, .. } => {
                json!("x".repeat(1.max(*least).min(*most).min(TEXT_MAX)))
            }
        }
    }
}

/// Most items of a list, and characters of a text, that are made up.
const ITEMS_MAX: usize = 64;
const TEXT_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Catalogue;

    #[test]
    fn a_sample_of_every_known_tool_fits_it() {
        for tool in Catalogue::builtin().unwrap().iter() {
            let sample = tool.shape().sample(&Map::new());
            assert!(tool.shape().check(&sample).is_ok(), "{}: {sample}", tool.name());
        }
    }

    #[test]
    fn bounds_and_choices_are_kept_and_what_is_given_is_taken() {
        let schema = json!({
            "type": "object",
            "properties": {
                "to": { "type": "string", "minLength": 3 },
                "kind": { "enum": ["b", "a"] },
                "count": { "type": "integer", "minimum": 5 },
                "list": { "type": "array", "minItems": 2, "items": { "type": "boolean" } },
                "names": { "type": "array", "items": { "type": "string" } },
                "left": { "type": "string" }
            },
            "required": ["to", "kind", "count", "list"]
        });
        let shape = Shape::compile(&schema).unwrap();
        let given = json!({ "to": "anna", "kind": "c", "names": "ben", "odd": 1 });
        let sample = shape.sample(given.as_object().unwrap());
        let wanted = json!({
            "to": "anna", "kind": "b", "count": 5, "list": [false, false], "names": ["ben"]
        });
        assert_eq!(sample, wanted);
        assert!(shape.check(&sample).is_ok());
    }
}
