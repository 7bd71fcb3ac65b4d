//! What does a declared tool take? A few plain types, each with one reading, and nothing that is not named.

use super::{DeclareError, Unfit, address};
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Arguments that fit, by name.
pub(super) type Values = BTreeMap<String, Value>;

/// The inputs of a tool, by name.
#[derive(Debug, Clone, Default)]
pub struct Inputs(BTreeMap<String, Input>);

/// One input.
#[derive(Debug, Clone)]
pub struct Input {
    kind: Kind,
    rules: Rules,
}

/// What an input is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// True or false.
    Bool,
    /// One e-mail address, of these domains if any are named.
    Email(Vec<String>),
    /// A whole number within bounds.
    Integer {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// One IP address.
    Ip {
        /// Whether it must be of the public internet.
        public: bool,
    },
    /// Text.
    Text(Text),
}

/// What a text may be.
#[derive(Debug, Clone)]
pub struct Text {
    choices: Option<Vec<String>>,
    pattern: Option<Regex>,
    most: usize,
    lines: bool,
    slashes: bool,
}

/// What is said of an input beside its type.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// What a model is told of it.
    pub description: Option<String>,
    /// Whether it may be left out.
    pub optional: bool,
    /// How many of it make one argument; `None` is one, which is no list.
    pub many: Option<usize>,
    /// Whether it may begin with a dash where it is a command's argument.
    pub dash: bool,
    /// What it points at, in the gate's words: `path`, `host`, `url`, `command`, …
    pub target: Option<String>,
}

impl Text {
    /// Any text of one line, of at most so many characters.
    pub fn of(most: usize) -> Self {
        Self { choices: None, pattern: None, most, lines: false, slashes: false }
    }

    /// One of these texts.
    #[must_use = "a builder is a value"]
    pub fn choices(self, choices: Vec<String>) -> Self {
        Self { choices: Some(choices), ..self }
    }

    /// Text that is matched whole by `pattern`.
    pub fn pattern(self, pattern: &str) -> Result<Self, DeclareError> {
        // By itself first: a `)` of its own would end the group that makes it match the whole text.
        let alone = RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).build();
        let whole = format!(r"\A(?:{pattern})\z");
        let built = alone.and_then(|_| RegexBuilder::new(&whole).size_limit(PATTERN_SIZE).build());
        let pattern = built.map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            DeclareError::new(
                format!("the pattern cannot be used: {why}"),
                "such as \"cus_[A-Za-z0-9]{4,32}\"; the whole text is matched",
            )
        })?;
        Ok(Self { pattern: Some(pattern), ..self })
    }

    /// Text of several lines too.
    #[must_use = "a builder is a value"]
    pub fn lines(self) -> Self {
        Self { lines: true, ..self }
    }

    /// Text that may have a slash where it stands in a URL's path.
    #[must_use = "a builder is a value"]
    pub fn slashes(self) -> Self {
        Self { slashes: true, ..self }
    }

    fn check(&self, text: &str) -> Result<(), String> {
        if let Some(choices) = &self.choices {
            let known = choices.iter().any(|choice| choice == text);
            return if known {
                Ok(())
            } else {
                Err(format!("must be one of: {}", choices.join(", ")))
            };
        }
        if text.is_empty() {
            return Err("is empty; leave it out if it may be".to_owned());
        }
        if text.chars().count() > self.most {
            return Err(format!("has more than {} characters", self.most));
        }
        let plain = |c: char| !c.is_control() || (self.lines && matches!(c, '\n' | '\t'));
        if !text.chars().all(plain) {
            return Err("has a control character".to_owned());
        }
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
            return Err("does not have the form that it must have".to_owned());
        }
        Ok(())
    }
}

impl Kind {
    fn check(&self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Self::Bool, Value::Bool(_)) => Ok(()),
            (Self::Email(domains), Value::String(text)) => Ok(address::email(text, domains)?),
            (Self::Integer { least, most }, Value::Number(number)) => {
                let number = number.as_i64().ok_or("must be a whole number")?;
                if (*least..=*most).contains(&number) {
                    return Ok(());
                }
                Err(format!("must be from {least} to {most}"))
            }
            (Self::Ip { public }, Value::String(text)) => Ok(address::ip(text, *public)?),
            (Self::Text(rules), Value::String(text)) => rules.check(text),
            (Self::Bool, _) => Err("must be true or false".to_owned()),
            (Self::Integer { .. }, _) => Err("must be a whole number".to_owned()),
            (Self::Email(_) | Self::Ip { .. } | Self::Text(_), _) => Err("must be text".to_owned()),
        }
    }

    fn schema(&self) -> Map<String, Value> {
        let schema = match self {
            Self::Bool => json!({ "type": "boolean" }),
            Self::Email(_) => {
                json!({ "type": "string", "format": "email", "maxLength": ADDRESS_MAX })
            }
            Self::Integer { least, most } => {
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            Self::Ip { .. } => json!({ "type": "string", "maxLength": ADDRESS_MAX }),
            Self::Text(Text { choices: Some(choices), .. }) => {
                json!({ "type": "string", "enum": choices })
            }
            Self::Text(Text { pattern, most, .. }) => {
                let mut schema = json!({ "type": "string", "minLength": 1, "maxLength": most });
                if let (Some(pattern), Value::Object(schema)) = (pattern, &mut schema) {
                    // ECMA 262, which JSON Schema speaks, has other words for the two ends.
                    let inner = pattern.as_str().trim_start_matches(r"\A").trim_end_matches(r"\z");
                    schema.insert("pattern".to_owned(), json!(format!("^{inner}$")));
                }
                schema
            }
        };
        match schema {
            Value::Object(schema) => schema,
            _ => Map::new(),
        }
    }
}

impl Input {
    /// An input of this type.
    pub fn new(kind: Kind, rules: Rules) -> Result<Self, DeclareError> {
        if let Kind::Email(domains) = &kind
            && let Some(odd) =
                domains.iter().find(|text| address::domain(text).as_ref() != Some(*text))
        {
            return Err(DeclareError::new(
                format!("`{}` is no domain", odd.escape_debug()),
                "write \"example.com\", or \".example.com\" for all below it, in lower case",
            ));
        }
        if let Kind::Integer { least, most } = &kind
            && least > most
        {
            return Err(DeclareError::new(
                "no number is as large as `min` and as small as `max`",
                "exchange them",
            ));
        }
        if rules.many == Some(0) || rules.many.is_some_and(|many| many > MANY_MAX) {
            return Err(DeclareError::new(
                format!("a list has 1 to {MANY_MAX} items"),
                "write how many it may have at most: many = 10",
            ));
        }
        let textual = matches!(kind, Kind::Text(_) | Kind::Email(_) | Kind::Ip { .. });
        if rules.target.is_some() && (!textual || rules.many.is_some()) {
            return Err(DeclareError::new(
                "only a single text points at something",
                "leave `target` out",
            ));
        }
        Ok(Self { kind, rules })
    }

    pub(super) fn is_optional(&self) -> bool {
        self.rules.optional
    }

    pub(super) fn is_many(&self) -> bool {
        self.rules.many.is_some()
    }

    pub(super) fn may_begin_with_dash(&self) -> bool {
        self.rules.dash
    }

    pub(super) fn has_slashes(&self) -> bool {
        matches!(&self.kind, Kind::Text(text) if text.slashes)
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        let Some(most) = self.rules.many else { return self.kind.check(value) };
        let Value::Array(items) = value else { return Err("must be a list".to_owned()) };
        if items.is_empty() || items.len() > most {
            return Err(format!("must have 1 to {most} items"));
        }
        items.iter().try_for_each(|item| self.kind.check(item))
    }

    fn schema(&self) -> Value {
        let mut schema = self.kind.schema();
        if let Some(most) = self.rules.many {
            let list = json!({ "type": "array", "items": schema, "minItems": 1, "maxItems": most });
            schema = match list {
                Value::Object(list) => list,
                _ => Map::new(),
            };
        }
        if let Some(description) = &self.rules.description {
            schema.insert("description".to_owned(), json!(description));
        }
        Value::Object(schema)
    }
}

impl Inputs {
    /// Adds an input.
    pub fn add(&mut self, name: &str, input: Input) -> Result<(), DeclareError> {
        if !is_name(name) {
            return Err(DeclareError::new(
                format!("`{}` is no name of an input", name.escape_debug()),
                "write lower-case letters, digits and `_`, a letter first",
            ));
        }
        if self.0.len() >= INPUTS_MAX {
            return Err(DeclareError::new(
                format!("a tool has at most {INPUTS_MAX} inputs"),
                "leave some out",
            ));
        }
        self.0.insert(name.to_owned(), input);
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Input> {
        self.0.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The input of this name, or that there is none.
    pub(super) fn known(&self, name: &str) -> Result<&Input, DeclareError> {
        self.get(name).ok_or_else(|| {
            DeclareError::new(
                format!("there is no input `{name}`"),
                format!("describe it: [tools.NAME.input.{name}]"),
            )
        })
    }

    pub(super) fn schema(&self) -> Value {
        let properties: Map<String, Value> =
            self.0.iter().map(|(name, input)| (name.clone(), input.schema())).collect();
        let required: Vec<&String> = self
            .0
            .iter()
            .filter(|(_, input)| !input.rules.optional)
            .map(|(name, _)| name)
            .collect();
        json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        })
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = Value> {
        self.0.iter().filter_map(|(name, input)| {
            let kind = input.rules.target.as_ref()?;
            Some(json!({ "field": name, "kind": kind }))
        })
    }

    pub(super) fn check(&self, arguments: &Value) -> Result<Values, Unfit> {
        let Value::Object(given) = arguments else {
            return Err(Unfit::new("", "must be an object"));
        };
        if let Some(name) = given.keys().find(|name| !self.0.contains_key(*name)) {
            return Err(Unfit::new(name, "is not an argument here; leave it out"));
        }
        let mut values = Values::new();
        for (name, input) in &self.0 {
            match given.get(name) {
                Some(value) => {
                    input.check(value).map_err(|what| Unfit::new(name, what))?;
                    values.insert(name.clone(), value.clone());
                }
                None if input.rules.optional => {}
                None => return Err(Unfit::new(name, "is missing")),
            }
        }
        Ok(values)
    }
}

/// Whether an input can be called this.
pub(super) fn is_name(text: &str) -> bool {
    let tame = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() <= 64 && text.chars().all(tame)
}

/// What a compiled pattern may take up.
const PATTERN_SIZE: usize = 256 << 10;
/// The longest e-mail address (RFC 5321 section 4.5.3.1.3), and more than any IP address.
const ADDRESS_MAX: usize = 254;
const INPUTS_MAX: usize = 64;
const MANY_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_matched_whole_whatever_is_in_it() {
        let customer = Text::of(64).pattern("cus_[0-9]{2}|all").unwrap();
        for (text, fits) in [("cus_12", true), ("all", true), ("cus_123", false), ("x all", false)]
        {
            assert_eq!(customer.check(text).is_ok(), fits, "{text}");
        }
        // Between the ends that stand around it, each of these would let other texts in.
        for pattern in ["a)|(?:b", "a)|(b", "a)(?:.*", "(a"] {
            assert!(Text::of(64).pattern(pattern).is_err(), "{pattern}");
        }
        assert!(Text::of(64).pattern("(?m)^a$").unwrap().check("a\nb").is_err());
    }
}
