//! Which parts of a conversation in Gemini's form are calls, and what does each say?

use crate::doors::calls::{Act, STAND_IN};
use crate::doors::model::verdict::{Call, Words, Written};
use bartizan_scan::display_line;
use bartizan_scan::json::{Doc, Edits, Node, quoted};
use serde_json::Value;

/// What a part of an answer is, beside words.
pub(super) enum Kind {
    /// A call, whose id is empty where the model gave none.
    Call(Call),
    /// An act of the vendor's machines, or what is not known here. Of this name.
    Strange(String),
}

/// A part of an answer that does not pass unseen.
pub(super) struct Piece<'a> {
    part: &'a Node,
    pub(super) kind: Kind,
}

/// What a later version adds may pass as long as it is no way to hand over a call.
fn calls_nowhere(doc: &Doc<'_>, holder: &Node, but_in: &str) -> Result<(), &'static str> {
    let mut others = holder.members().filter(|(key, _)| *key != but_in);
    let calls = others.any(|(key, node)| {
        let said = doc.raw(node);
        is_call(key)
            || names_call(node)
            || ["\"functionCall\"", "\"function_call\""].iter().any(|call| said.contains(call))
    });
    if calls { Err("an answer holds a call where none is known") } else { Ok(()) }
}

/// Whether a call is handed over anywhere in it, however the key is escaped.
fn names_call(node: &Node) -> bool {
    node.members().any(|(key, node)| is_call(key) || names_call(node))
        || node.items().unwrap_or_default().iter().any(names_call)
}

fn is_call(key: &str) -> bool {
    matches!(key, CALL | "function_call")
}

/// What becomes of a call.
pub(super) struct Fate {
    pub(super) id: String,
    /// The arguments of the call that stands in for it.
    pub(super) stand_in: Option<String>,
}

/// Reads one answer, or one piece of a streamed one.
pub(super) fn pieces<'a>(doc: &Doc<'_>, answer: &'a Node) -> Result<Vec<Piece<'a>>, &'static str> {
    if !answer.is_table() || answer.has_twins() {
        return Err("an answer is no table with one reading");
    }
    calls_nowhere(doc, answer, "candidates")?;
    let mut pieces = Vec::new();
    for candidate in list(doc, answer, "candidates")? {
        if !candidate.is_table() || candidate.has_twins() {
            return Err("an answer has two readings");
        }
        calls_nowhere(doc, candidate, "content")?;
        let Some(content) = candidate.get("content") else { continue };
        let known = content.members().all(|(key, _)| matches!(key, "parts" | "role"));
        if !content.is_table() || content.has_twins() || !known {
            return Err("an answer holds what is not known here");
        }
        for part in list(doc, content, "parts")? {
            if let Some(kind) = kind(doc, part)? {
                pieces.push(Piece { part, kind });
            }
        }
    }
    Ok(pieces)
}

/// Makes of the pieces of an answer what the client gets of them; `fates` are those of the calls, in order.
pub(super) fn settle(pieces: &[Piece<'_>], fates: &[Fate], edits: &mut Edits) {
    let mut fates = fates.iter();
    for piece in pieces {
        match &piece.kind {
            Kind::Strange(kind) => edits.replace(piece.part, withheld(kind)),
            Kind::Call(call) => {
                let (Some(node), Some(fate)) = (piece.part.get(CALL), fates.next()) else {
                    edits.replace(piece.part, withheld(CALL));
                    continue;
                };
                match &fate.stand_in {
                    Some(input) => edits.replace(node, written(&fate.id, STAND_IN, input)),
                    // The client's history tells it by the id that it has from here.
                    None if call.id != fate.id => {
                        edits.replace(node, written(&fate.id, &call.name, &call.input));
                    }
                    None => {}
                }
            }
        }
    }
}

fn kind(doc: &Doc<'_>, part: &Node) -> Result<Option<Kind>, &'static str> {
    if !part.is_table() || part.has_twins() {
        return Err("a part has two readings");
    }
    if let Some((key, _)) = part.members().find(|(key, _)| !KNOWN.contains(key)) {
        return Ok(Some(Kind::Strange(display_line(key, 64))));
    }
    let Some(node) = part.get(CALL) else { return Ok(None) };
    if ["inlineData", "text"].iter().any(|key| part.get(key).is_some()) {
        return Err("a part is two things");
    }
    call(doc, node).map(|call| Some(Kind::Call(call)))
}

/// Reads a call.
pub(super) fn call(doc: &Doc<'_>, node: &Node) -> Result<Call, &'static str> {
    if !node.is_table() || node.has_twins() {
        return Err("a call has two readings");
    }
    // Arguments that come piece by piece among them: no client of ours asks for that.
    if node.members().any(|(key, _)| !matches!(key, "args" | "id" | "name")) {
        return Err("a call has a part that is not known here");
    }
    let text = |key: &str| match node.get(key) {
        Some(node) => doc.text(node).ok_or("a call has a name or an id that is no text"),
        None => Ok("".into()),
    };
    let (id, name) = (text("id")?.into_owned(), text("name")?.into_owned());
    if id.len() > 128 || !id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a call has no plain id");
    }
    let input = node.get("args").map(|args| doc.raw(args)).filter(|args| *args != "null");
    let input = input.unwrap_or("{}").to_owned();
    // What is no table is judged as malformed; it is an act of its own all the same.
    let exact: Value = serde_json::from_str(&input).map_err(|_| "a call cannot be read")?;
    let act = Act::of(&format!("{CALL} {name}"), &exact, "");
    let original = Some(written(&id, &name, &input));
    let written = Some(Written { act, original, words: Words::Gemini });
    Ok(Call { id, name, input, written })
}

/// A call as the API writes it.
pub(super) fn written(id: &str, name: &str, arguments: &str) -> String {
    format!("{{\"id\":{},\"name\":{},\"args\":{arguments}}}", quoted(id), quoted(name))
}

/// The members of a list, if there is one.
pub(super) fn list<'a>(
    doc: &Doc<'_>,
    holder: &'a Node,
    key: &str,
) -> Result<&'a [Node], &'static str> {
    match holder.get(key) {
        Some(list) if doc.raw(list) != "null" => {
            list.items().ok_or("what should be a list is none")
        }
        Some(_) | None => Ok(&[]),
    }
}

fn withheld(kind: &str) -> String {
    let text = format!("[withheld by bartizan: a part `{kind}`, which is not known here]");
    format!("{{\"text\":{}}}", quoted(&text))
}

const CALL: &str = "functionCall";
/// What a part of an answer may hold. Names in the other spelling that the API takes are not among them: no client reads them.
const KNOWN: [&str; 8] = [
    "functionCall",
    "inlineData",
    "mediaResolution",
    "partMetadata",
    "text",
    "thought",
    "thoughtSignature",
    "videoMetadata",
];
