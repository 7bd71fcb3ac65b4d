//! Which values does a permit name? A value that a policy's author has written down needs nobody else's word.
//!
//! Only what must be so for the permit to hold counts: `==`, `like` and `contains` in a `when`, joined by `&&` or `||`. What
//! stands under a `!`, in an `unless`, or is compared otherwise is no naming.

use cedar_policy::{Effect, Policy as Cedar};
use serde_json::Value;

/// A value that a permit names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Exact(String),
    /// The literal parts between the wildcards of a pattern.
    Like(Vec<String>),
}

/// The names in a policy.
pub(crate) fn names(policy: &Cedar) -> Vec<Name> {
    let mut found = Vec::new();
    if policy.effect() == Effect::Permit
        && let Ok(json) = policy.to_json()
    {
        let conditions = json.get("conditions").and_then(Value::as_array);
        for condition in conditions.into_iter().flatten() {
            if condition.get("kind").and_then(Value::as_str) == Some("when") {
                walk(condition.get("body").unwrap_or(&Value::Null), &mut found);
            }
        }
    }
    found.retain(Name::says_something);
    found.truncate(NAMES_MAX);
    found
}

impl Name {
    /// `*`, `*.*` and the like name nothing.
    fn says_something(&self) -> bool {
        match self {
            Self::Exact(name) => !name.is_empty(),
            Self::Like(parts) => {
                let said = parts.iter().flat_map(|part| part.chars());
                said.filter(|c| c.is_alphanumeric()).count() >= SAID_MIN
            }
        }
    }
}

fn walk(node: &Value, found: &mut Vec<Name>) {
    let Value::Object(node) = node else { return };
    for (operator, inner) in node {
        let side = |side: &str| inner.get(side).unwrap_or(&Value::Null);
        match operator.as_str() {
            "&&" | "||" => {
                walk(side("left"), found);
                walk(side("right"), found);
            }
            "==" => {
                let text = ["left", "right"].into_iter().find_map(|name| literal(side(name)));
                found.extend(text.map(Name::Exact));
            }
            "like" => found.extend(pattern(side("pattern")).map(Name::Like)),
            "contains" => {
                let items = side("left").get("Set").and_then(Value::as_array);
                found.extend(items.into_iter().flatten().filter_map(literal).map(Name::Exact));
            }
            _ => {}
        }
    }
}

fn literal(node: &Value) -> Option<String> {
    node.get("Value").and_then(Value::as_str).map(str::to_owned)
}

fn pattern(node: &Value) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    for item in node.as_array()? {
        match item.get("Literal").and_then(Value::as_str) {
            Some(text) => parts.last_mut()?.push_str(&text.to_ascii_lowercase()),
            None => parts.push(String::new()),
        }
    }
    Some(parts)
}

/// Whether a text is these parts with anything between them.
pub(crate) fn fits(parts: &[String], text: &str) -> bool {
    let (Some((first, rest)), true) = (parts.split_first(), parts.len() > 1) else {
        return parts.first().is_some_and(|only| only == text);
    };
    let Some((last, middle)) = rest.split_last() else { return false };
    let Some(mut left) = text.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        let Some((_, after)) = left.split_once(part.as_str()) else { return false };
        left = after;
    }
    left.ends_with(last.as_str())
}

const NAMES_MAX: usize = 256;
/// Letters and digits that a pattern must have to name anything.
const SAID_MIN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_of(name: &Name, value: &str) -> bool {
        match name {
            Name::Exact(name) => name.eq_ignore_ascii_case(value),
            Name::Like(parts) => fits(parts, value),
        }
    }

    fn of(condition: &str) -> Vec<Name> {
        let text = format!("permit(principal, action, resource) {condition};");
        names(&Cedar::parse(None, text).unwrap())
    }

    #[test]
    fn what_a_permit_wants_is_named() {
        let named = of(
            r#"when { context.host == "A.com" && (context.port == 1 || ["b.com", "c.com"].contains(context.host)) }"#,
        );
        assert!(
            ["a.com", "B.com", "c.com"].iter().all(|host| named.iter().any(|n| is_of(n, host)))
        );
        let like = of(r#"when { context.host like "*.Corp.com" }"#);
        assert!(like.iter().any(|n| is_of(n, "x.corp.com")));
        assert!(!like.iter().any(|n| is_of(n, "x.corp.com.evil.org") || is_of(n, "xcorp.com")));
    }

    #[test]
    fn what_a_permit_does_not_want_is_not_named() {
        for condition in [
            r#"when { context.host != "evil.com" }"#,
            r#"when { !(context.host == "evil.com") }"#,
            r#"unless { context.host == "evil.com" }"#,
            r#"when { context.host like "*" }"#,
            r#"when { if context.host == "evil.com" then false else true }"#,
        ] {
            assert!(!of(condition).iter().any(|name| is_of(name, "evil.com")), "{condition}");
        }
        let forbid = r#"forbid(principal, action, resource) when { context.host == "evil.com" };"#;
        assert!(names(&Cedar::parse(None, forbid).unwrap()).is_empty());
    }
}
