//! Which fields of an answer were named? What was not named is not shown.

use super::DeclareError;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The fields of an answer that may be shown: `id`, `customer.email`. A list is looked through, item by item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection(Tree);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tree(BTreeMap<String, Self>);

impl Projection {
    /// Reads the names of fields.
    pub fn parse<'a>(fields: impl IntoIterator<Item = &'a str>) -> Result<Self, DeclareError> {
        let mut root = Tree::default();
        for field in fields {
            let mut at = &mut root;
            for name in field.split('.') {
                if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
                    return Err(DeclareError::new(
                        format!("`{}` names no field", field.escape_debug()),
                        "write a field's name, with dots where it lies deeper: \"customer.email\"",
                    ));
                }
                at = at.0.entry(name.to_owned()).or_default();
            }
        }
        Ok(Self(root))
    }

    /// Whether no field is named.
    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }

    /// Whether a field at the top is named.
    pub fn shows(&self, field: &str) -> bool {
        self.0.0.contains_key(field)
    }

    /// The names at the top.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.0.keys().map(String::as_str)
    }

    /// What of `answer` was named.
    pub fn pick(&self, answer: &Value) -> Option<Value> {
        self.0.pick(answer)
    }
}

impl Tree {
    fn pick(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Array(items) => {
                Some(Value::Array(items.iter().filter_map(|item| self.pick(item)).collect()))
            }
            // An object is shown by its own fields' names, never whole: who named it did not name what is in it.
            Value::Object(fields) if !self.0.is_empty() => {
                let picked = self.0.iter().filter_map(|(name, below)| {
                    Some((name.clone(), below.pick(fields.get(name)?)?))
                });
                Some(Value::Object(picked.collect::<Map<_, _>>()))
            }
            Value::Object(_) => None,
            Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {
                self.0.is_empty().then(|| value.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_named_is_shown() {
        let projection = Projection::parse(["id", "customer.email", "lines.sku", "meta"]).unwrap();
        let answer = json!({
            "id": "c1", "key": "sk", "customer": { "email": "a@b", "phone": "1" },
            "lines": [{ "sku": "x", "cost": 1 }, { "cost": 2 }, 7], "meta": { "secret": 1 },
        });
        let picked = projection.pick(&answer).unwrap();
        assert_eq!(
            picked,
            json!({ "id": "c1", "customer": { "email": "a@b" }, "lines": [{ "sku": "x" }, {}] })
        );
        assert_eq!(Projection::default().pick(&json!({"a": 1})), None);
        assert_eq!(projection.pick(&json!("text")), None);
        assert_eq!(projection.pick(&json!([{"id": 1}])).unwrap(), json!([{"id": 1}]));
        assert!(Projection::parse(["a..b"]).is_err() && Projection::parse([""]).is_err());
    }
}
