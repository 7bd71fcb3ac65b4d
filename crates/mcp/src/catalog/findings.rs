//! What about a server's words wants a second look? Hidden characters, orders to the model, names that
//! could pass for others.

use super::Fingerprint;
use bartizan_scan::{Detector, Mode, fold_char, sanitise};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Why a person should look twice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a new reason must be put into words")]
pub enum Reason {
    /// Characters that nobody sees, or that act on a terminal.
    Hidden {
        /// A JSON pointer to the text.
        pointer: String,
    },
    /// It reads like orders to the model.
    Orders {
        /// A JSON pointer to the text.
        pointer: String,
        /// How likely, in percent.
        percent: u8,
    },
    /// Its name has letters that could pass for others.
    Foreign,
    /// Another tool's name looks the same.
    LooksLike {
        /// That tool.
        other: String,
    },
    /// The same tool was accepted under another name.
    Renamed {
        /// That name.
        from: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden { pointer } => write!(f, "hidden characters in {pointer}"),
            Self::Orders { pointer, percent } => {
                write!(f, "reads like orders to the model ({percent}%) in {pointer}")
            }
            Self::Foreign => f.write_str("its name has letters that could pass for others"),
            Self::LooksLike { other } => write!(f, "its name looks like that of `{other}`"),
            Self::Renamed { from } => {
                write!(f, "it was accepted as `{from}`, and has another name now")
            }
        }
    }
}

/// What was found in items before, by what they are: a list that is read again and again is looked through once.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<[u8; 32], Vec<Reason>>>);

impl Memory {
    pub(super) fn of(&self, digest: Fingerprint, item: &Value) -> Vec<Reason> {
        let found = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = found().get(digest.as_bytes()).cloned();
        known.unwrap_or_else(|| {
            let reasons = of(item);
            let mut found = found();
            if found.len() >= REMEMBERED_MAX {
                found.clear();
            }
            found.insert(*digest.as_bytes(), reasons.clone());
            reasons
        })
    }
}

/// What is odd about an item: every text in it, and every name of a field, is looked at.
fn of(item: &Value) -> Vec<Reason> {
    let mut found = Vec::new();
    let mut whole = String::new();
    walk(item, "", &mut found, &mut whole);
    // What is spread over several fields is read together by the model.
    if !found.iter().any(|reason| matches!(reason, Reason::Orders { .. })) {
        found.extend(orders(&whole, "/"));
    }
    found
}

fn walk(value: &Value, at: &str, found: &mut Vec<Reason>, whole: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => look_at(text, at, found, whole),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{at}/{index}"), found, whole);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                let at = format!("{at}/{}", name.escape_default());
                look_at(name, &at, found, whole);
                walk(item, &at, found, whole);
            }
        }
    }
}

fn look_at(text: &str, at: &str, found: &mut Vec<Reason>, whole: &mut String) {
    if found.len() >= REASONS_MAX {
        return;
    }
    if !sanitise(text, Mode::Person).1.is_empty() {
        found.push(Reason::Hidden { pointer: at.to_owned() });
    }
    found.extend(orders(text, at));
    if whole.len() < WHOLE_MAX {
        whole.push_str(text);
        whole.push('\n');
    }
}

fn orders(text: &str, at: &str) -> Option<Reason> {
    let score = Detector::new().score(text).score;
    let percent = (1..=100).rev().find(|percent| score * 100.0 >= f32::from(*percent))?;
    (score >= ORDERS).then(|| Reason::Orders { pointer: at.to_owned(), percent })
}

/// What a name looks like: two names that a person or a model could take for one another look the same.
pub(super) fn look(name: &str) -> String {
    let mut folded = String::new();
    name.chars().for_each(|c| fold_char(c, &mut folded));
    let folded = folded.to_lowercase();
    let mut look = String::new();
    for c in folded.chars() {
        match c {
            '_' | '-' | '.' | ' ' | '/' => {}
            '0' => look.push('o'),
            '1' | 'i' | '|' => look.push('l'),
            '5' => look.push('s'),
            c if c.is_alphanumeric() => look.push(c),
            _ => {}
        }
    }
    look.replace("rn", "m").replace("vv", "w").replace("cl", "d")
}

/// How sure the detector must be: few honest descriptions reach it, and a person decides on those.
const ORDERS: f32 = 0.83;
/// Most reasons of one item.
const REASONS_MAX: usize = 20;
/// Items whose reasons are remembered.
const REMEMBERED_MAX: usize = 8192;
/// How much of an item is read as one text.
const WHOLE_MAX: usize = 64 << 10;
