//! What does this value say, and how is it written anew without changing what it says?

use super::{Kind, Node, text_of};
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::ops::Range;

/// One value of a document, together with the document's text.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(super) text: &'a str,
    pub(super) node: &'a Node,
}

impl<'a> View<'a> {
    /// Its place, for [`Edits`](super::Edits).
    pub fn node(self) -> &'a Node {
        self.node
    }

    /// Its bytes in the document.
    pub fn span(self) -> Range<usize> {
        self.node.span()
    }

    /// It as it is written.
    pub fn raw(self) -> &'a str {
        self.text.get(self.node.span()).unwrap_or_default()
    }

    /// What it says, if it is a string. A half of a surrogate pair reads as U+FFFD.
    pub fn text(self) -> Option<Cow<'a, str>> {
        text_of(self.text, self.node)
    }

    /// The member of this key, if it is an object that has one.
    pub fn get(self, key: &str) -> Option<Self> {
        self.node.get(key).map(|node| Self { text: self.text, node })
    }

    /// What the string member of this key says.
    pub fn text_of(self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key).and_then(Self::text)
    }

    /// The members, if it is an object.
    pub fn members(self) -> impl Iterator<Item = (&'a str, Self)> {
        self.node.members().map(move |(key, node)| (key, Self { text: self.text, node }))
    }

    /// The items, if it is an array.
    pub fn items(self) -> Option<impl Iterator<Item = Self>> {
        let items = self.node.items()?;
        Some(items.iter().map(move |node| Self { text: self.text, node }))
    }

    /// Whether it is an object.
    pub fn is_table(self) -> bool {
        self.node.is_table()
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.raw() == "null"
    }

    /// The same value for a reader that needs it whole; `None` if it has no exact reading there: a number that
    /// would be rounded, or half a surrogate pair.
    pub fn exact(self) -> Option<Value> {
        match &self.node.kind {
            Kind::Text { escaped } => {
                let text = self.text()?;
                // An escape that is half a pair was read as U+FFFD, which the raw text does not hold.
                let whole = !escaped || serde_json::from_str::<String>(self.raw()).is_ok();
                whole.then(|| Value::String(text.into_owned()))
            }
            Kind::Scalar => match self.raw() {
                "null" => Some(Value::Null),
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                number => exact_number(number).map(Value::Number),
            },
            Kind::List(_) => self.items()?.map(Self::exact).collect(),
            Kind::Table { .. } => {
                let members = self.members();
                members.map(|(key, value)| Some((key.to_owned(), value.exact()?))).collect()
            }
        }
    }

    /// It written anew: no white space, the order of its keys and the digits of its numbers as they came.
    pub fn compact(self) -> String {
        let mut out = String::with_capacity(self.span().len());
        self.write(&mut out);
        out
    }

    fn write(self, out: &mut String) {
        match &self.node.kind {
            Kind::Scalar => out.push_str(self.raw()),
            Kind::Text { .. } => out.push_str(&super::quoted(&self.text().unwrap_or_default())),
            Kind::List(items) => {
                out.push('[');
                for (at, node) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    Self { text: self.text, node }.write(out);
                }
                out.push(']');
            }
            Kind::Table { members, .. } => {
                out.push('{');
                for (at, (key, node)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(&super::quoted(key));
                    out.push(':');
                    Self { text: self.text, node }.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// A number that survives being read as 64 bits and written again.
fn exact_number(raw: &str) -> Option<Number> {
    let whole = raw.strip_prefix('-').unwrap_or(raw).bytes().all(|b| b.is_ascii_digit());
    if whole && raw != "-0" {
        let natural = raw.parse::<u64>().map(Number::from);
        return natural.or_else(|_| raw.parse::<i64>().map(Number::from)).ok();
    }
    let read = Number::from_f64(raw.parse().ok()?)?;
    (digits(raw)? == digits(&read.to_string())?).then_some(read)
}

/// A decimal as its significant digits and where their point stands.
fn digits(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let led = all.trim_start_matches('0');
    let point = point.checked_sub(i64::try_from(all.len() - led.len()).ok()?)?;
    let significant = led.trim_end_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    Some((negative, significant.to_owned(), point))
}

#[cfg(test)]
mod tests {
    use super::super::{Bounds, Node};

    fn exact(text: &str) -> bool {
        let root = Node::read(text, Bounds::default()).unwrap();
        root.within(text).exact().is_some()
    }

    #[test]
    fn a_number_that_would_be_rounded_has_no_exact_reading() {
        for text in [
            "0",
            "-7",
            "0.1",
            "1e3",
            "1.50",
            "18446744073709551615",
            "-9223372036854775808",
            "-0.0",
            "1E-7",
        ] {
            assert!(exact(text), "{text}");
        }
        for text in [
            "18446744073709551616",
            "9007199254740993.0",
            "0.1000000000000000055511151231257827",
            "1e400",
            "1e-400",
            "[{\"a\":1e999999999999999999999}]",
            "\"\\ud800\"",
        ] {
            assert!(!exact(text), "{text}");
        }
    }

    #[test]
    fn written_anew_it_says_the_same_in_the_same_order() {
        let text = " {\"z\": [1.50, 1E+2 ,{}], \"a\":\"\\u0041\\n\", \"\\u0062\" : null } ";
        let root = Node::read(text, Bounds::default()).unwrap();
        let anew = root.within(text).compact();
        assert_eq!(anew, r#"{"z":[1.50,1E+2,{}],"a":"A\n","b":null}"#);
        let value = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(text), value(&anew));
    }
}
