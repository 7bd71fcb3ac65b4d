//! What does a request in Gemini's form bring to the model? It is read strictly, what came from outside in it is made data, the
//! vendor's own machines do not act, and each call and result is held against the register.

mod answer;
mod document;
mod part;
mod words;

pub(super) use answer::Gemini;
pub(super) use document::Document;

use super::request::{Against, Notes, Place, Read, Strings, Unfit};
use crate::doors::calls::{Answered, STAND_IN, Seen, StandIn};
use crate::doors::gemini::means;
use bartizan_scan::display_line;
use bartizan_scan::json::{Doc, Edits, Node, quoted};
use part::list;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use words::Beside;

/// Reads a request's body; the model's name is in its `path`.
pub(super) fn read(body: &[u8], path: &str, against: Against<'_>) -> Result<Read, Unfit> {
    let doc = Doc::read(body).map_err(|flaw| Unfit::Unread(flaw.to_string()))?;
    let mut reader = Reader {
        doc: &doc,
        against,
        edits: Edits::default(),
        notes: Notes::default(),
        names: HashMap::new(),
        open: VecDeque::new(),
        results: Vec::new(),
        person: false,
    };
    reader.body()?;
    let Reader { edits, mut notes, results, .. } = reader;
    let model = path.rsplit('/').next().and_then(|act| act.split(':').next());
    notes.model = display_line(model.unwrap_or_default(), 128);
    Ok(Read { body: edits.apply(body), notes, results })
}

struct Reader<'a> {
    doc: &'a Doc<'a>,
    against: Against<'a>,
    edits: Edits,
    notes: Notes,
    /// The names of the calls that stand in for others, as the model knows them.
    names: HashMap<String, String>,
    /// The calls that the model made last and that have no result yet: their ids, and their names as the client holds them.
    open: VecDeque<(String, String)>,
    results: Vec<(String, bool, usize)>,
    /// Whether the user's texts in it are a person's.
    person: bool,
}

impl<'a> Reader<'a> {
    fn body(&mut self) -> Result<(), Unfit> {
        let root = self.doc.root();
        envelope(root, "the body", &KNOWN_KEYS)?;
        let tools = list(self.doc, root, "tools").map_err(unread)?;
        tools.iter().try_for_each(|tool| self.tool(tool))?;
        self.person = self.against.main && self.is_a_persons(tools);
        self.system(root)?;
        for content in list(self.doc, root, "contents").map_err(unread)? {
            envelope(content, "a content", &["parts", "role"])?;
            let by_model = match self.doc.text_of(content, "role").as_deref() {
                Some("model") => true,
                None | Some("function" | "user") => false,
                Some(_) => return Err(unread("a content has no known role")),
            };
            if by_model {
                self.open.clear();
            }
            let parts = list(self.doc, content, "parts").map_err(unread)?;
            let mut beside = Beside::of(parts);
            for part in parts {
                self.part(part, by_model, &mut beside)?;
            }
        }
        Ok(())
    }

    /// Only what the client carries out itself may be offered: no gate stands where the vendor's machines act. A search does,
    /// as the client's own call, while that is under way.
    fn tool(&mut self, tool: &Node) -> Result<(), Unfit> {
        if !tool.is_table() || tool.has_twins() {
            return Err(unread("a tool is no table with one reading"));
        }
        for (key, _) in tool.members() {
            let searches = key == "googleSearch" && self.against.calls.may_search();
            if searches {
                self.notes.server_tools.insert(key.to_owned());
            } else if key != "functionDeclarations" {
                return Err(Unfit::ServerTool(display_line(key, 64)));
            }
        }
        Ok(())
    }

    /// The operator's channel: secrets are hidden in it, and our own paragraph ends it.
    fn system(&mut self, root: &'a Node) -> Result<(), Unfit> {
        let note = format!("{{\"text\":{}}}", quoted(&self.against.scrub.system_note()));
        let given = root.get("systemInstruction").filter(|node| self.doc.raw(node) != "null");
        let Some(system) = given else {
            let instruction = format!("{{\"parts\":[{note}]}}");
            match root.get("systemInstruction") {
                Some(null) => self.edits.replace(null, instruction),
                None => self.edits.append(root, format!(",\"systemInstruction\":{instruction}")),
            }
            return Ok(());
        };
        envelope(system, "its instruction", &["parts", "role"])?;
        let parts = system.get("parts").filter(|parts| parts.items().is_some());
        let parts = parts.ok_or_else(|| unread("its instruction has no parts"))?;
        let items = parts.items().unwrap_or_default();
        for part in items {
            envelope(part, "a part of its instruction", &["text"])?;
            self.text(part.get("text").ok_or_else(|| unread("an instruction has no text"))?, None)?;
        }
        let comma = if items.is_empty() { "" } else { "," };
        self.edits.append(parts, format!("{comma}{note}"));
        Ok(())
    }

    fn part(&mut self, part: &'a Node, by_model: bool, beside: &mut Beside) -> Result<(), Unfit> {
        if part.get("fileData").is_some() {
            return Err(Unfit::ServerTool("a file by its address".to_owned()));
        }
        envelope(part, "a part", &PART_KEYS)?;
        let mut data = DATA_KEYS.iter().filter_map(|key| Some((*key, part.get(key)?)));
        let (first, second) = (data.next(), data.next());
        match (first, second) {
            (Some(("functionCall", call)), None) => self.call(call),
            (Some(("functionResponse", response)), None) => self.result(response),
            (Some(("inlineData", inline)), None) => self.inline(inline),
            (Some((_, text)), None) if by_model => self.text(text, None),
            (Some((_, text)), None) => self.words(text, beside),
            // A signature alone.
            (None, _) => Ok(()),
            (Some(_), Some(_)) => Err(unread("a part is two things")),
        }
    }

    /// A call that the model is said to have made.
    fn call(&mut self, node: &'a Node) -> Result<(), Unfit> {
        let call = part::call(self.doc, node).map_err(unread)?;
        let act = || call.written.as_ref().map(|written| written.act.clone());
        // Once its result has come back, what the client makes of a call in its history is no act any more: it masks what is long.
        self.open.push_back((call.id.clone(), call.name.clone()));
        let known = means(&call.name, &Value::Null, "").0;
        let name = if call.name == STAND_IN { STAND_IN } else { &known };
        match self.against.calls.seen(&call.id, act, name) {
            Seen::Judged => Ok(()),
            Seen::StandIn(StandIn { original, .. }) => {
                if let Some(original) = original {
                    if let Some(name) = name_in(&original) {
                        self.names.insert(call.id, name);
                    }
                    self.edits.replace(node, original);
                    self.notes.restored += 1;
                }
                Ok(())
            }
            Seen::Changed => {
                Err(unseen(&call.name, &call.id, "its arguments are not those that were judged"))
            }
            Seen::Unknown => Err(unseen(&call.name, &call.id, "the gate never judged it")),
        }
    }

    /// What a call is said to have brought back.
    fn result(&mut self, node: &'a Node) -> Result<(), Unfit> {
        envelope(node, "a result", &["id", "name", "parts", "response"])?;
        let name = self.doc.text_of(node, "name").unwrap_or_default().into_owned();
        let id = self.id_of(node, &name);
        let response = node.get("response").filter(|response| self.doc.raw(response) != "null");
        if response.is_some_and(|response| !response.is_table() || response.has_twins()) {
            return Err(unread("a result is no table with one reading"));
        }
        let error = response.and_then(|response| response.get("error"));
        let failed = error.is_some_and(|error| self.doc.raw(error) != "null");
        let tool = match self.against.calls.answered(&id, failed) {
            Answered::Allowed(tool) => tool,
            Answered::StandIn(StandIn { sentence, .. }) => {
                let name = self.names.get(&id).map_or(&*name, String::as_str);
                let said = format!("{{\"error\":{}}}", quoted(&sentence));
                let result = format!(
                    "{{\"id\":{},\"name\":{},\"response\":{said}}}",
                    quoted(&id),
                    quoted(name)
                );
                self.edits.replace(node, result);
                return Ok(());
            }
            Answered::Refused => {
                return Err(unseen(&name, &id, "it was refused, and has a result all the same"));
            }
            Answered::Unknown => {
                return Err(unseen(&name, &id, "a result of a call that the gate never judged"));
            }
        };
        if node.get("id").is_none() {
            self.edits.append(node, format!(",\"id\":{}", quoted(&id)));
        }
        let size = response.map_or(0, |response| response.span().len());
        self.results.push((id.clone(), failed, size));
        for part in list(self.doc, node, "parts").map_err(unread)? {
            if part.get("fileData").is_some() {
                return Err(Unfit::ServerTool("a file by its address".to_owned()));
            }
            envelope(part, "a part of a result", &["inlineData"])?;
            part.get("inlineData").map_or(Ok(()), |inline| self.inline(inline))?;
        }
        response.map_or(Ok(()), |response| self.returned(response, &Place::result(&id, &tool)))
    }

    /// The call that a result is of. Google's own libraries leave its id out, and mean the first one of that name.
    fn id_of(&mut self, node: &Node, name: &str) -> String {
        let given = self.doc.text_of(node, "id").unwrap_or_default().into_owned();
        let is_it = |(id, called): &(String, String)| match &*given {
            "" => called == name,
            given => id == given,
        };
        let at = self.open.iter().position(is_it);
        let call = at.and_then(|at| self.open.remove(at)).map(|(id, _)| id);
        call.filter(|_| node.get("id").is_none()).unwrap_or(given)
    }

    /// What a result holds. In another form than the usual ones it is text as a whole, its keys among it.
    fn returned(&mut self, response: &'a Node, place: &Place) -> Result<(), Unfit> {
        let usual = |(key, node): (&str, &Node)| {
            matches!(key, "error" | "output" | "result") && node.is_text()
        };
        if response.members().all(usual) {
            for (at, (_, text)) in response.members().enumerate() {
                self.text(text, Some(&place.part(at)))?;
            }
            return Ok(());
        }
        self.strings().framed_whole(response, place, "output")
    }

    /// Bytes that are here pass: pixels are not looked into.
    fn inline(&mut self, inline: &'a Node) -> Result<(), Unfit> {
        envelope(inline, "a picture", &["data", "displayName", "mimeType"])?;
        let kind = self.doc.text_of(inline, "mimeType").unwrap_or_default();
        if kind.starts_with("image/") {
            self.notes.pictures += 1;
        } else {
            self.notes.documents += 1;
        }
        inline.get("displayName").map_or(Ok(()), |name| self.text(name, None))
    }

    /// A text: from outside if it has a place there.
    fn text(&mut self, node: &'a Node, place: Option<&Place>) -> Result<(), Unfit> {
        match place {
            None => self.strings().redacted(node),
            Some(place) => self.strings().framed(node, place),
        }
    }

    fn strings(&mut self) -> Strings<'a, '_> {
        let Self { doc, against, edits, notes, .. } = self;
        Strings { doc, against: *against, edits, notes }
    }
}

/// An object of which each key is known and has one reading. The API takes every key in a second spelling too, which is not known
/// here and so does not pass.
fn envelope(node: &Node, what: &str, known: &[&str]) -> Result<(), Unfit> {
    if !node.is_table() || node.has_twins() {
        return Err(unread(&format!("{what} is no table with one reading")));
    }
    match node.members().find(|(key, _)| !known.contains(key)) {
        Some((key, _)) => {
            let key = display_line(key, 64);
            Err(unread(&format!("{what} has a part `{key}` that is not known here")))
        }
        None => Ok(()),
    }
}

fn name_in(call: &str) -> Option<String> {
    let doc = Doc::read(call.as_bytes()).ok()?;
    doc.text_of(doc.root(), "name").map(std::borrow::Cow::into_owned)
}

fn unread(what: &str) -> Unfit {
    Unfit::Unread(what.to_owned())
}

fn unseen(tool: &str, call: &str, what: &'static str) -> Unfit {
    Unfit::Unseen { tool: display_line(tool, 128), call: display_line(call, 128), what }
}

/// What a request may hold; `cachedContent`, which the vendor keeps, is not among it.
const KNOWN_KEYS: [&str; 6] =
    ["contents", "generationConfig", "safetySettings", "systemInstruction", "toolConfig", "tools"];
const PART_KEYS: [&str; 9] = [
    "functionCall",
    "functionResponse",
    "inlineData",
    "mediaResolution",
    "partMetadata",
    "text",
    "thought",
    "thoughtSignature",
    "videoMetadata",
];
/// Of these a part has one.
const DATA_KEYS: [&str; 4] = ["functionCall", "functionResponse", "inlineData", "text"];

#[cfg(test)]
mod tests;
