//! What do the headers of a request say where there are no sessions? What its body says, for whoever reads no bodies:
//! the method, the name of what is asked for, and the arguments that a tool's schema marks (`x-mcp-header`).

use crate::conversation::Revision;
use crate::era;
use crate::wire::Message;
use bartizan_scan::json::{Edits, View};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

/// Which revision a request is in.
pub(crate) const VERSION: &str = "mcp-protocol-version";
/// Its method.
pub(crate) const METHOD: &str = "mcp-method";
/// What it asks for.
pub(crate) const NAME: &str = "mcp-name";

/// The parameter of a method that says what is asked for.
pub(crate) fn named(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/cancel" | "tasks/get" | "tasks/update" => Some("taskId"),
        _ => None,
    }
}

/// Writes the headers of requests to one server, as its tools want them.
#[derive(Debug, Default)]
pub struct Headers(Mutex<HashMap<String, Marks>>);

/// The arguments of one tool that headers mirror.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    mirrored: Vec<Marked>,
    /// Names that are marked as none may be: on a list, on a number with a fraction, twice. What such a header says cannot
    /// be held against anything, so none may come. In lower case.
    barred: BTreeSet<String>,
    /// Whether all that is marked can be mirrored.
    whole: bool,
}

#[derive(Debug, Clone)]
struct Marked {
    /// The keys that lead to it.
    path: Vec<String>,
    header: String,
}

impl Marked {
    fn value<'a>(&self, call: &'a Message) -> Option<View<'a>> {
        let arguments = call.params()?.get("arguments");
        let steps = self.path.iter();
        let value = steps.fold(arguments, |at, key| at.and_then(|at| at.get(key)));
        value.filter(|value| !value.is_null())
    }
}

impl Marks {
    /// What a tool's schema marks. `None` when it marks what no header can mirror, which is no tool to be called by us.
    pub fn of(schema: View<'_>) -> Option<Self> {
        Some(Self::held(schema)).filter(|marks| marks.whole)
    }

    /// What a client's headers are held against. A tool that marks what no header can mirror may still be called by a client
    /// that does not mind; the rest of what it marks is held all the same, and what cannot be held may not be said.
    pub fn held(schema: View<'_>) -> Self {
        let (mut found, mut names) = (Vec::new(), Vec::new());
        walk(schema, &mut Vec::new(), &mut found);
        marks(schema, &mut names);
        let mut times: HashMap<String, (usize, usize)> = HashMap::new();
        for marked in &found {
            times.entry(marked.header.to_ascii_lowercase()).or_default().0 += 1;
        }
        let mut whole = true;
        for name in names {
            // What is no name of a header stands on no request.
            let Some(name) = name.text().filter(|name| is_token(name)) else {
                whole = false;
                continue;
            };
            times.entry(format!("{PARAM}{}", name.to_ascii_lowercase())).or_default().1 += 1;
        }
        // Wherever else the word stands than on an argument of its own, it marks nothing that can be found.
        let odd = times.into_iter().filter(|(_, times)| *times != (1, 1));
        let barred: BTreeSet<String> = odd.map(|(name, _)| name).collect();
        found.retain(|marked| !barred.contains(&marked.header.to_ascii_lowercase()));
        whole &= barred.is_empty();
        Self { mirrored: found, barred, whole }
    }

    /// Whether it marks nothing that a header could say.
    pub fn is_empty(&self) -> bool {
        self.mirrored.is_empty() && self.barred.is_empty()
    }

    /// A header that does not say what this call's arguments say: who routes by the one and who acts on the other would see
    /// two calls (2026-07-28, "Server Validation"). A call that came without any transport that has headers has none.
    pub fn contradicted(&self, call: &Message) -> Option<&str> {
        let beside = call.beside()?;
        if let Some(barred) = beside.iter().find_map(|(header, _)| self.barred.get(header)) {
            return Some(barred);
        }
        let wrong = self.mirrored.iter().find(|marked| {
            let name = marked.header.to_ascii_lowercase();
            let mut shown = beside.iter().filter(|(header, _)| *header == name);
            let says = match (shown.next(), shown.next()) {
                (None, _) => None,
                (Some((_, value)), None) => Some(decoded(value)),
                (Some(_), Some(_)) => return true,
            };
            match (marked.value(call), says) {
                (None, None) => false,
                (Some(value), Some(Some(header))) => !is_said(value, &header),
                _ => true,
            }
        });
        wrong.map(|marked| marked.header.as_str())
    }
}

/// Whether a header's text is this value.
fn is_said(value: View<'_>, header: &str) -> bool {
    if let Some(text) = value.text() {
        return text == header;
    }
    // A whole number can be written in more than one way, such as `42.0`.
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    match value.raw() {
        word @ ("true" | "false") => word == header,
        raw => {
            raw == header
                || number(raw).is_some_and(|it| number(header) == Some(it) && it.abs() < EXACT)
        }
    }
}

impl Headers {
    /// The headers of a message that names its own revision; others have none of these.
    pub fn of(&self, message: &Message) -> Vec<(String, String)> {
        let (Some(method), true) = (message.method(), era::is_stateless(message)) else {
            return Vec::new();
        };
        let version = Revision::V2026_07_28.as_str();
        let mut headers =
            vec![(VERSION.to_owned(), version.to_owned()), (METHOD.to_owned(), method.to_owned())];
        let name = named(method).and_then(|field| message.params()?.text_of(field));
        headers.extend(name.as_ref().map(|name| (NAME.to_owned(), encoded(name))));
        if let (Some(name), "tools/call") = (name, method) {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for marked in known.get(&*name).into_iter().flat_map(|marks| &marks.mirrored) {
                let value = marked.value(message);
                headers.extend(value.and_then(said).map(|said| (marked.header.clone(), said)));
            }
        }
        headers
    }

    /// Learns from an answer to `tools/list` what headers each tool wants, and leaves out those that want what cannot be. `None`
    /// when nothing is left that is an answer.
    pub fn learn(&self, answer: &Message) -> Option<Message> {
        let tools = answer.result().and_then(|result| result.get("tools"));
        let Some(tools) = tools else { return Some(answer.clone()) };
        let (mut kept, mut whole) = (Vec::new(), true);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in tools.items().into_iter().flatten() {
            let marks = tool.get("inputSchema").map_or_else(|| Some(Marks::default()), Marks::of);
            let (Some(name), Some(marks)) = (tool.text_of("name"), marks) else {
                whole = false;
                continue;
            };
            if known.len() < TOOLS_MAX || known.contains_key(&*name) {
                known.insert(name.into_owned(), marks);
            }
            kept.push(tool.raw());
        }
        if whole {
            return Some(answer.clone());
        }
        let mut edits = Edits::default();
        edits.replace(tools.node(), format!("[{}]", kept.join(",")));
        answer.edited(edits)
    }
}

/// Takes down what is marked, and can be mirrored, among the properties of an object, and of those within.
fn walk(schema: View<'_>, path: &mut Vec<String>, found: &mut Vec<Marked>) {
    for (key, property) in schema.get("properties").into_iter().flat_map(View::members) {
        path.push(key.to_owned());
        let name = property.get(MARK).and_then(View::text);
        let kind = property.text_of("type");
        if let (Some(name), Some("string" | "integer" | "boolean")) = (name, kind.as_deref())
            && is_token(&name)
        {
            found.push(Marked { path: path.clone(), header: format!("{PARAM}{name}") });
        }
        walk(property, path, found);
        path.pop();
    }
}

/// Every place in a schema where the mark stands, and what it says there. A property of that name is none.
fn marks<'s>(schema: View<'s>, names: &mut Vec<View<'s>>) {
    for (key, value) in schema.members() {
        match key {
            "properties" => value.members().for_each(|(_, property)| marks(property, names)),
            "const" | "default" | "enum" | "examples" => {}
            MARK => names.push(value),
            _ => marks(value, names),
        }
    }
    for item in schema.items().into_iter().flatten() {
        marks(item, names);
    }
}

/// A value as a header says it; `null` and what has parts say nothing.
fn said(value: View<'_>) -> Option<String> {
    if let Some(text) = value.text() {
        return Some(encoded(&text));
    }
    let raw = value.raw();
    match raw {
        "true" | "false" => Some(raw.to_owned()),
        number => number.parse::<i64>().ok().map(|number| number.to_string()),
    }
}

/// A text made fit for a header.
fn encoded(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let alone = text.trim_ascii() == text && !text.is_empty();
    if plain && alone && !(text.starts_with(BEGIN) && text.ends_with(END)) {
        return text.to_owned();
    }
    format!("{BEGIN}{}{END}", STANDARD.encode(text))
}

/// A text as it was before it was made fit for a header.
pub(crate) fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)) {
        Some(inner) => String::from_utf8(STANDARD.decode(inner).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

fn is_token(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(fits)
}

/// What every header of an argument begins with, in lower case.
pub(crate) const PARAM: &str = "mcp-param-";
/// The code of an error for a request whose headers do not say what its body says.
pub const HEADER_MISMATCH: i64 = -32020;
/// Below it, a float says each whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;
const BEGIN: &str = "=?base64?";
const END: &str = "?=";
/// What a schema marks an argument with.
const MARK: &str = "x-mcp-header";
/// The longest name of a header that a tool may want.
const NAME_BYTES: usize = 128;
/// Tools whose headers are remembered.
const TOOLS_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
