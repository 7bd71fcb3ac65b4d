//! Where in a text does which argument stand? `{name}` is a place, `{{` and `}}` are braces.

use super::input::Values;
use super::{DeclareError, Unfit};
use serde_json::Value;

/// A text with places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Input(String),
    Literal(String),
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, DeclareError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.peek() == Some(&c) => {
                    rest.next();
                    literal.push(c);
                }
                '{' => {
                    let mut name = String::new();
                    let closed = loop {
                        match rest.next() {
                            Some('}') => break true,
                            Some(c) => name.push(c),
                            None => break false,
                        }
                    };
                    if !closed || !super::input::is_name(&name) {
                        return Err(malformed(text));
                    }
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Input(name));
                }
                '}' => return Err(malformed(text)),
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self(pieces))
    }

    /// The inputs that stand in it.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Input(name) => Some(name.as_str()),
            Piece::Literal(_) => None,
        })
    }

    /// The one input that is all of it.
    pub(super) fn whole(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Input(name)] => Some(name),
            _ => None,
        }
    }

    /// Whether it begins with what an argument says.
    pub(super) fn begins_open(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Input(_)))
    }

    /// The text, when there is no place in it.
    pub(super) fn literal(&self) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(part) => text.push_str(part),
                Piece::Input(_) => return None,
            }
        }
        Some(text)
    }

    /// Every text that the template becomes: one, none when it is an input that was left out, and several when it
    /// is an input that takes many. `encode` makes of a value what its place can hold, or says why not.
    pub(super) fn fill(
        &self,
        values: &Values,
        encode: impl Fn(&str) -> Result<String, &'static str>,
    ) -> Result<Vec<String>, Unfit> {
        let encode = |name: &str, value: &Value| {
            let text = plain(value).ok_or_else(|| Unfit::new(name, "has no form as text"))?;
            encode(&text).map_err(|why| Unfit::new(name, why))
        };
        if let Some(name) = self.whole() {
            return match values.get(name) {
                None => Ok(Vec::new()),
                Some(Value::Array(items)) => items.iter().map(|item| encode(name, item)).collect(),
                Some(value) => Ok(vec![encode(name, value)?]),
            };
        }
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(part) => text.push_str(part),
                Piece::Input(name) => {
                    let value = values.get(name).ok_or_else(|| Unfit::new(name, "is missing"))?;
                    text.push_str(&encode(name, value)?);
                }
            }
        }
        Ok(vec![text])
    }
}

/// A scalar as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

fn malformed(text: &str) -> DeclareError {
    let shown: String = text.chars().take(80).collect();
    DeclareError::new(
        format!("`{shown}` has a brace that is no place of an input"),
        "write `{name}` for an input, and `{{` or `}}` for a brace itself",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_braces_are_told_apart() {
        let read = |text: &str| Template::parse(text).unwrap();
        assert_eq!(read("a{b}c").names().collect::<Vec<_>>(), ["b"]);
        assert_eq!(read("{b}").whole(), Some("b"));
        assert_eq!(read("{{b}}").literal().as_deref(), Some("{b}"));
        assert_eq!(read("").literal().as_deref(), Some(""));
        for text in ["{", "{b", "}", "{}", "{b c}", "{B}", "{b}}", "x{b", "{{b}", "{b}{c", "}}{b"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
