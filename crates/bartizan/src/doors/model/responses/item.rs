//! Which parts of a conversation in `OpenAI`'s form are calls that the client carries out, and what does each say?

use crate::doors::calls::{Act, STAND_IN};
use crate::doors::model::verdict::{Call, Words, Written};
use bartizan_scan::display_line;
use bartizan_scan::json::{Doc, Node, quoted};
use serde_json::{Value, json};
use std::borrow::Cow;

/// What a part of an answer is.
pub(super) enum Item {
    Call(Call),
    /// Words of the model's.
    Words,
    /// Anything else: an act of the vendor's machines, or of a client that no gate stands before. Of this type.
    Strange(String),
}

/// Reads one part.
pub(super) fn read(doc: &Doc<'_>, item: &Node) -> Result<Item, &'static str> {
    let kind = doc.text_of(item, "type").ok_or("a part has no type")?;
    if item.has_twins() {
        return Err("a part has two readings");
    }
    let written = match &*kind {
        "message" | "reasoning" => return Ok(Item::Words),
        "custom_tool_call" => custom(doc, item)?,
        "function_call" => function(doc, item)?,
        "local_shell_call" => local_shell(doc, item)?,
        "tool_search_call" if doc.text_of(item, "execution").as_deref() == Some("client") => {
            tool_search(doc, item)?
        }
        kind => return Ok(Item::Strange(display_line(kind, 64))),
    };
    let (name, input, exact) = written;
    let id = doc.text_of(item, "call_id").ok_or("a call has no id")?.into_owned();
    if id.is_empty() || id.len() > 128 || !id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a call has no plain id");
    }
    // The other two have an answer of a form of their own, which a stand-in does not get.
    let keeps_form = matches!(&*kind, "custom_tool_call" | "function_call");
    let written = Written {
        act: Act::of(&format!("{kind} {name}"), &exact, ""),
        original: keeps_form.then(|| doc.raw(item).to_owned()),
        words: Words::Codex,
    };
    Ok(Item::Call(Call { id, name, input, written: Some(written) }))
}

/// A part's name, its arguments as a JSON object, and all that makes it what it is.
type Parts = (String, String, Value);

fn function(doc: &Doc<'_>, item: &Node) -> Result<Parts, &'static str> {
    let name = doc.text_of(item, "name").ok_or("a call has no name")?;
    let arguments = doc.text_of(item, "arguments").ok_or("a call has no arguments")?;
    let namespace = item.get("namespace").and_then(|space| doc.text(space));
    let exact = json!([namespace, arguments]);
    let arguments = if arguments.is_empty() { Cow::Borrowed("{}") } else { arguments };
    Ok((named(namespace.as_deref(), &name), arguments.into_owned(), exact))
}

/// The tool of an upstream has its upstream's name before its own; other groups are the client's own.
fn named(namespace: Option<&str>, name: &str) -> String {
    match namespace.filter(|space| space.starts_with("mcp__")) {
        Some(space) => format!("{}__{name}", space.trim_end_matches('_')),
        None => name.to_owned(),
    }
}

fn custom(doc: &Doc<'_>, item: &Node) -> Result<Parts, &'static str> {
    let name = doc.text_of(item, "name").ok_or("a call has no name")?.into_owned();
    let input = doc.text_of(item, "input").ok_or("a call has no input")?;
    Ok((name, json!({ "command": input }).to_string(), json!(input)))
}

fn local_shell(doc: &Doc<'_>, item: &Node) -> Result<Parts, &'static str> {
    let action = item.get("action").filter(|action| action.is_table() && !action.has_twins());
    let action = value(doc, action.ok_or("a call has no action")?)?;
    if action.get("type").and_then(Value::as_str) != Some("exec") {
        return Err("a call has an action that is not known");
    }
    let mut input = json!({ "command": action.get("command") });
    for (own, name) in [("env", "env"), ("working_directory", "workdir")] {
        if let (Some(value), Some(input)) =
            (action.get(own).filter(|value| !value.is_null()), input.as_object_mut())
        {
            input.insert(name.to_owned(), value.clone());
        }
    }
    Ok(("local_shell".to_owned(), input.to_string(), action))
}

fn tool_search(doc: &Doc<'_>, item: &Node) -> Result<Parts, &'static str> {
    let arguments = value(doc, item.get("arguments").ok_or("a call has no arguments")?)?;
    Ok(("tool_search".to_owned(), arguments.to_string(), arguments))
}

fn value(doc: &Doc<'_>, node: &Node) -> Result<Value, &'static str> {
    serde_json::from_str(doc.raw(node)).map_err(|_| "a call cannot be read")
}

/// What the client gets in the place of a call that was refused: one of the same form, of a tool that no client has.
pub(super) fn stand_in(doc: &Doc<'_>, item: &Node, input: &str) -> String {
    let text = |key: &str| doc.text_of(item, key).unwrap_or_default();
    let own = item.get("id").and_then(|id| doc.text(id));
    let own = own.map(|id| format!("\"id\":{},", quoted(&id))).unwrap_or_default();
    let (kind, key) = match &*text("type") {
        "custom_tool_call" => ("custom_tool_call", "input"),
        _ => ("function_call", "arguments"),
    };
    format!(
        "{{\"type\":\"{kind}\",{own}\"call_id\":{},\"name\":\"{STAND_IN}\",\"{key}\":{},\"status\":\"completed\"}}",
        quoted(&text("call_id")),
        quoted(input)
    )
}

/// What stands in the place of a part that is not known.
pub(super) fn withheld(kind: &str) -> String {
    let text = format!("[withheld by bartizan: a part of type `{kind}`, which is not known here]");
    format!(
        "{{\"type\":\"message\",\"id\":\"msg_withheld\",\"role\":\"assistant\",\"status\":\"completed\",\"content\":\
         [{{\"type\":\"output_text\",\"text\":{},\"annotations\":[]}}]}}",
        quoted(&text)
    )
}
