//! Is a record what `docs/audit-record.schema.json` says of it? The part of JSON Schema that it uses, and no more.

use serde_json::Value;

/// What is wrong with a record by the published schema, if anything is.
pub(crate) fn check(record: &Value) -> Result<(), String> {
    fits(&published(), record)
}

/// The schema as it is published.
pub(crate) fn published() -> Value {
    serde_json::from_str(include_str!("../../../../../docs/audit-record.schema.json")).unwrap()
}

fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    let Value::Object(rules) = schema else {
        return if schema == &Value::Bool(false) {
            Err(format!("{value} may not be"))
        } else {
            Ok(())
        };
    };
    for (keyword, rule) in rules {
        let holds = match keyword.as_str() {
            "if" if fits(rule, value).is_ok() => fits(&rules["then"], value),
            "$schema" | "title" | "description" | "$defs" | "if" | "then" => Ok(()),
            "allOf" => rule.as_array().unwrap().iter().try_for_each(|one| fits(one, value)),
            "properties" => rule.as_object().unwrap().iter().try_for_each(|(name, rule)| {
                value.get(name).map_or(Ok(()), |value| fits(rule, value))
            }),
            "propertyNames" => value.as_object().map_or(Ok(()), |fields| {
                fields.keys().try_for_each(|name| fits(rule, &Value::from(name.as_str())))
            }),
            "items" => value
                .as_array()
                .map_or(Ok(()), |all| all.iter().try_for_each(|one| fits(rule, one))),
            _ if is_met(keyword, rule, value) => Ok(()),
            _ => Err(format!("{keyword} {rule} does not hold")),
        };
        holds.map_err(|why| format!("{why} in {value}"))?;
    }
    Ok(())
}

fn is_met(keyword: &str, rule: &Value, value: &Value) -> bool {
    let length = || value.as_str().map(|text| u64::try_from(text.chars().count()).unwrap());
    match keyword {
        "type" => match rule {
            Value::Array(any) => any.iter().any(|one| is_met("type", one, value)),
            _ => kind(value) == rule.as_str().unwrap(),
        },
        "required" => {
            rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
        }
        "const" => value == rule,
        "enum" => rule.as_array().unwrap().contains(value),
        "minimum" => value.as_u64().is_none_or(|number| number >= rule.as_u64().unwrap()),
        "minLength" => length().is_none_or(|length| length >= rule.as_u64().unwrap()),
        "maxLength" => length().is_none_or(|length| length <= rule.as_u64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
        other => panic!("the schema uses `{other}`, which this check does not know"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Patterns of the form `^[class]{n}[class]{m,n}$`.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.strip_prefix("^[").and_then(|rest| rest.strip_suffix('$')).unwrap();
    let mut text = text;
    loop {
        let (class, after) = rest.split_once(']').unwrap();
        let (count, after) = match after.strip_prefix('{') {
            Some(count) => count.split_once('}').unwrap(),
            None => ("1", after),
        };
        let (least, most) = count.split_once(',').unwrap_or((count, count));
        let (least, most): (usize, usize) = (least.parse().unwrap(), most.parse().unwrap());
        let run = text.chars().take(most).take_while(|c| within(class, *c)).count();
        if run < least {
            return false;
        }
        // Every class is ASCII.
        text = text.get(run..).unwrap();
        match after.strip_prefix('[') {
            Some(next) => rest = next,
            None => return text.is_empty(),
        }
    }
}

fn within(class: &str, c: char) -> bool {
    let signs: Vec<char> = class.chars().collect();
    let ranges = signs.windows(3).any(|signs| {
        let [first, '-', last] = *signs else { return false };
        (first..=last).contains(&c)
    });
    ranges || (c != '-' && signs.contains(&c))
}
