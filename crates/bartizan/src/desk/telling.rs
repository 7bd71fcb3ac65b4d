//! How is a question told? Its parts, their order and their words; whoever shows them decides where they stand and in
//! which colour.

use super::origins;
use crate::clock::{age, date, left};
use crate::report::safe;
use bartizan_scan::{MAX_LOOK_ALIKES, display_line, look_alikes};
use bartizan_store::{Question, QuestionState, Verdict};
use serde_json::Value;

/// A question in words. All of it is harmless on a terminal, and all of it has to be seen before a person says yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Telling {
    /// What would happen, for whom, and why a person is asked.
    pub(crate) facts: Vec<Part>,
    /// The arguments of the call, each whole.
    pub(crate) arguments: Vec<Part>,
    /// What people have said so far.
    pub(crate) answers: Vec<Part>,
}

/// One thing that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// What it is.
    pub(crate) name: String,
    /// The type of an argument, unless it is text.
    pub(crate) kind: Option<&'static str>,
    /// It, in one line or more, never none. No line is longer than [`PIECE`] characters of the original, so a long one
    /// goes on in the next.
    pub(crate) lines: Vec<String>,
    /// What in it is not what it looks like: to be shown with it, as a warning.
    pub(crate) notes: Vec<String>,
}

impl Part {
    fn new(name: &str, text: &str) -> Self {
        Self { name: display_line(name, 60), kind: None, lines: paged(text), notes: Vec::new() }
    }

    fn noting(mut self, text: &str) -> Self {
        self.notes = notes(text);
        self
    }
}

impl Telling {
    /// Tells a question as it stands now.
    pub(crate) fn of(question: &Question) -> Self {
        let arguments = match question.shown.get("arguments") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(arguments)) => {
                arguments.iter().map(|(name, value)| argument(name, value)).collect()
            }
            Some(other) => vec![argument("(all)", other)],
        };
        Self { facts: facts(question), arguments, answers: answers(question) }
    }
}

/// The word for where a question stands, whatever else is known of it.
const fn state(state: QuestionState) -> &'static str {
    match state {
        QuestionState::Approved => "approved",
        QuestionState::Denied => "denied",
        QuestionState::Expired => "expired",
        QuestionState::Pending => "pending",
        QuestionState::Used => "used",
    }
}

/// The word for where it stands, for one that may outlive its run or end with it.
pub(crate) const fn stand(question: &Question) -> &'static str {
    match (question.state, &question.deferred) {
        (QuestionState::Pending, Some(_)) => "deferred",
        (QuestionState::Expired, _) if question.withdrawn => "withdrawn",
        (stands, _) => state(stands),
    }
}

/// What it is about, on one line: the target, or the arguments.
pub(crate) fn brief(question: &Question) -> String {
    let text = |key: &str| question.shown.get(key).and_then(Value::as_str).map(str::to_owned);
    let arguments = || question.shown.get("arguments").map(Value::to_string);
    let brief = text("target").or_else(|| text("host")).or_else(arguments).unwrap_or_default();
    let is_marked = !look_alikes(&brief).is_empty();
    if is_marked { format!("[look-alike letters] {brief}") } else { brief }
}

/// How many have said yes, of how many that must.
pub(crate) fn votes(question: &Question) -> String {
    format!("{} of {}", question.approvers().len(), question.quorum)
}

/// The beginning of an id that people type.
pub(crate) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn facts(question: &Question) -> Vec<Part> {
    let shown = |key: &str| question.shown.get(key).filter(|value| !value.is_null());
    let plain = |key: &str| {
        shown(key).map(|value| {
            let text = text_of(value);
            Part::new(key, &text).noting(&text)
        })
    };
    let mut parts = vec![Part::new("tool", &question.tool).noting(&question.tool)];
    parts.extend(["effect", "target", "host", "secret"].into_iter().filter_map(plain));
    parts.push(Part::new("agent", &question.agent).noting(&question.agent));
    parts.extend(plain("role"));
    parts.push(Part::new("session", &question.session));
    parts.extend(shown("policies").map(asked_by));
    let told = origins::lines(shown("origins").unwrap_or(&Value::Null));
    parts.extend(told.iter().map(|line| Part::new("origin", line).noting(line)));
    let known = [&TOLD[..], &["arguments", "origins", "policies"]].concat();
    let others = question.shown.as_object().into_iter().flat_map(serde_json::Map::keys);
    parts.extend(others.filter(|key| !known.contains(&key.as_str())).filter_map(|key| plain(key)));
    parts.push(Part::new("approvals", &votes(question)));
    parts.push(Part::new("asked", &age(question.asked_ms)));
    parts.push(Part::new("expires", &left(question.expires_ms)));
    if let (QuestionState::Approved, Some(until_ms)) = (question.state, question.until_ms) {
        parts.push(Part::new("stands", &format!("every such call until {}", date(until_ms))));
    }
    if let Some(to) = &question.deferred {
        let until = format!("until conversation {} goes on in {}", to.conversation, to.workspace);
        parts.push(Part::new("put off", &until));
    }
    parts.push(Part::new("question", &question.id));
    parts.push(Part::new("call", &format!("sha256:{}", question.digest)));
    parts.push(Part::new("policy", &format!("sha256:{}", question.policy)));
    parts
}

/// Why a person is asked: each policy that wants it, and where it stands.
fn asked_by(policies: &Value) -> Part {
    let text = |one: &Value, key: &str| one.get(key).map(text_of).unwrap_or_default();
    let line = |one: &Value| {
        safe(&format!("{} ({}:{})", text(one, "id"), text(one, "file"), text(one, "line")))
    };
    let mut lines: Vec<String> = policies.as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() {
        lines.push("nothing allows it without a person".to_owned());
    }
    Part { name: "asked by".to_owned(), kind: None, lines, notes: Vec::new() }
}

fn argument(name: &str, value: &Value) -> Part {
    let kind = match value {
        Value::String(_) => None,
        Value::Null => Some("nothing"),
        Value::Bool(_) => Some("yes or no"),
        Value::Number(_) => Some("number"),
        Value::Array(_) => Some("list"),
        Value::Object(_) => Some("table"),
    };
    let mut warned = notes(name);
    texts(value, &mut |text| warned.extend(notes(text)));
    Part { kind, notes: warned, ..Part::new(name, &text_of(value)) }
}

fn answers(question: &Question) -> Vec<Part> {
    let told = question.answers.iter().map(|given| {
        let word = match given.verdict {
            Verdict::Approve => "yes",
            Verdict::Deny => "no",
        };
        let mut line = format!("{word}, {}", age(given.answered_ms));
        if !given.reason.is_empty() {
            line = format!("{line}: {}", display_line(&given.reason, 2048));
        }
        Part { name: display_line(&given.approver, 128), ..Part::new("", &line) }
    });
    told.collect()
}

/// Every text in a value, names of fields too.
fn texts(value: &Value, told: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => told(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, told)),
        Value::Object(fields) => fields.iter().for_each(|(name, item)| {
            told(name);
            texts(item, told);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One line for each word that is not what it looks like.
fn notes(text: &str) -> Vec<String> {
    let found = look_alikes(text);
    let is_full = found.len() == MAX_LOOK_ALIKES;
    let mut lines: Vec<String> = found
        .into_iter()
        .map(|one| {
            let letters: Vec<String> =
                one.letters.iter().map(|c| format!("{c} is U+{:04X}", u32::from(*c))).collect();
            let (word, looks) = (display_line(&one.word, 80), display_line(&one.looks_like, 80));
            safe(&format!("`{word}` only looks like `{looks}`: {}", letters.join(", ")))
        })
        .collect();
    if is_full {
        lines.push("and more words like these".to_owned());
    }
    lines
}

/// The lines of a text, each harmless; a long one goes on in the next, so that nothing of it is hidden.
fn paged(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let signs: Vec<char> = line.chars().collect();
        if signs.is_empty() {
            lines.push(String::new());
        }
        // Every invisible character becomes a few visible ones, so a piece is far from the length that is cut.
        lines.extend(signs.chunks(PIECE).map(|piece| safe(&piece.iter().collect::<String>())));
    }
    lines
}

/// The fields of a question that have a place of their own.
const TOLD: [&str; 7] = ["agent", "effect", "host", "role", "secret", "target", "tool"];
/// Characters of a value on one line.
const PIECE: usize = 400;

#[cfg(test)]
mod tests;
