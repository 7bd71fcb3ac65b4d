//! What does a request bring to the model? It is read strictly, what came from outside in it is made data,
//! and each call and result in its conversation is held against the register. Bytes that need no change
//! leave as they came, so that the model's prompt cache still hits.

mod known;
mod offered;
mod outside;
mod past;
mod place;
mod strings;

use super::scrub::{Found, Scrub, machine_part};
use crate::doors::calls::Calls;
use bartizan_scan::json::{Doc, Edits, Node, quoted};
use bartizan_scan::{Trust, display_line};
use known::{KNOWN_KEYS, SERVER_BLOCKS};
pub(super) use place::Place;
use place::{origin, said};
use std::collections::{BTreeSet, HashMap, HashSet};
pub(super) use strings::{Marks, Strings, framed};

/// What a request is held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Against<'a> {
    pub(super) scrub: &'a Scrub,
    pub(super) calls: &'a Calls,
    pub(super) workspace: &'a str,
    pub(super) ears: &'a dyn Ears,
    /// Whether it is the main agent's: what the user says to a subagent, an agent says.
    pub(super) main: bool,
}

/// Who takes note of what a request tells.
pub(super) trait Ears {
    /// The person's own words.
    fn heard(&self, text: &str);
    /// Text from outside: the tool that returned it, or who vouches for it.
    fn read(&self, source: &str, from: From<'_>, text: &str);
}

/// Where text from outside comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum From<'a> {
    Tool(&'a str),
    Client(Trust),
}

impl std::fmt::Debug for dyn Ears + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ears")
    }
}

/// A request that may go, in the form in which it goes.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) body: Vec<u8>,
    pub(super) notes: Notes,
    /// Results in it, in order: the call, whether it failed, and its size.
    pub(super) results: Vec<(String, bool, usize)>,
}

/// What the log says of a request.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Notes {
    pub(super) model: String,
    pub(super) found: Found,
    pub(super) framed: usize,
    pub(super) pictures: usize,
    pub(super) documents: usize,
    pub(super) restored: usize,
    pub(super) withheld: BTreeSet<String>,
    pub(super) server_tools: BTreeSet<String>,
}

/// Why a request does not go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It has no single reading, or a part that nobody here understands.
    Unread(String),
    /// It would let the vendor's machines act where no gate stands.
    ServerTool(String),
    /// It tells of an act that the gate did not see.
    Unseen { tool: String, call: String, what: &'static str },
}

/// Reads a request's body.
pub(super) fn read(body: &[u8], against: Against<'_>) -> Result<Read, Unfit> {
    let doc = Doc::read(body).map_err(|flaw| unread(&flaw.to_string()))?;
    let mut reader = Reader {
        doc: &doc,
        against,
        edits: Edits::default(),
        notes: Notes::default(),
        tools: HashMap::new(),
        kept: HashSet::new(),
        results: Vec::new(),
        person: false,
    };
    reader.body()?;
    let Reader { edits, notes, results, .. } = reader;
    let body = if edits.is_empty() { body.to_vec() } else { edits.apply(body) };
    Ok(Read { body, notes, results })
}

struct Reader<'a> {
    doc: &'a Doc<'a>,
    against: Against<'a>,
    edits: Edits,
    notes: Notes,
    /// Which tool each call in the conversation is of.
    tools: HashMap<String, String>,
    /// The calls that read what the client keeps of earlier ones.
    kept: HashSet<String>,
    results: Vec<(String, bool, usize)>,
    /// Whether the user's texts in it are a person's. A request without tools is the client's own, and its user text
    /// may be a page that is to be summed up.
    person: bool,
}

impl<'a> Reader<'a> {
    fn body(&mut self) -> Result<(), Unfit> {
        let doc = self.doc;
        let root = doc.root();
        envelope(root, "the body")?;
        let strange = root.members().find(|(key, _)| !KNOWN_KEYS.contains(key));
        if let Some((key, _)) = strange {
            return Err(unread(&format!(
                "it has a part `{}` that is not known",
                display_line(key, 64)
            )));
        }
        self.notes.model = display_line(&doc.text_of(root, "model").unwrap_or_default(), 128);
        let tools = root.get("tools").and_then(Node::items).unwrap_or_default();
        self.person = self.against.main && !tools.is_empty();
        for tool in tools {
            self.tool(tool)?;
        }
        let messages = root.get("messages").and_then(Node::items);
        for message in messages.ok_or_else(|| unread("it has no messages"))? {
            self.message(message)?;
        }
        self.system(root)
    }

    /// The operator's channel: secrets are hidden in it, and our own paragraph ends it.
    fn system(&mut self, root: &'a Node) -> Result<(), Unfit> {
        let note = self.against.scrub.system_note();
        let block = format!("{{\"type\":\"text\",\"text\":{}}}", quoted(&note));
        let Some(system) = root.get("system") else {
            self.edits.append(root, format!(",\"system\":[{block}]"));
            return Ok(());
        };
        if let Some(text) = self.doc.text(system) {
            let text = self.against.scrub.redact(&text, &mut self.notes.found);
            self.edits.replace(system, quoted(&format!("{text}\n\n{note}")));
            return Ok(());
        }
        let blocks = system.items().ok_or_else(|| unread("its `system` is no text"))?;
        for part in blocks {
            envelope(part, "a system block")?;
            match (self.doc.text_of(part, "type").as_deref(), part.get("text")) {
                (Some("text"), Some(text)) => self.redact(text)?,
                _ => return Err(unread("its `system` holds something else than text")),
            }
        }
        let comma = if blocks.is_empty() { "" } else { "," };
        self.edits.append(system, format!("{comma}{block}"));
        Ok(())
    }

    fn message(&mut self, message: &'a Node) -> Result<(), Unfit> {
        envelope(message, "a message")?;
        let role = match self.doc.text_of(message, "role").as_deref() {
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some("user") => Role::User,
            _ => return Err(unread("a message has no known role")),
        };
        let content = message.get("content").ok_or_else(|| unread("a message has no content"))?;
        if content.is_text() {
            return self.text(content, role);
        }
        let blocks = content.items().ok_or_else(|| unread("a message's content is no text"))?;
        blocks.iter().try_for_each(|block| self.block(block, role))
    }

    fn text(&mut self, node: &'a Node, role: Role) -> Result<(), Unfit> {
        match role {
            Role::Assistant => self.redact(node),
            Role::System => self.client_text(node),
            Role::User => self.user_text(node),
        }
    }

    fn block(&mut self, block: &'a Node, role: Role) -> Result<(), Unfit> {
        envelope(block, "a block")?;
        let kind = self.kind(block)?;
        match (role, &*kind) {
            (_, "text") => self
                .text(block.get("text").ok_or_else(|| unread("a text block has no text"))?, role),
            (Role::User, "tool_result") => self.result(block),
            (Role::User, _) => self.outside(block, &kind, &Place::user()),
            // Thinking is signed by the vendor; a changed one would be refused there.
            (Role::Assistant, "thinking" | "redacted_thinking")
            | (Role::System, "tool_removal") => Ok(()),
            (Role::Assistant, "tool_use") => self.call(block),
            (Role::Assistant, kind) if SERVER_BLOCKS.contains(&kind) => Ok(()),
            (Role::System, "tool_addition") => self.addition(block),
            (Role::Assistant | Role::System, _) => {
                self.withhold(block, &kind, "is not known here");
                Ok(())
            }
        }
    }

    fn kind(&self, node: &Node) -> Result<String, Unfit> {
        let kind = self.doc.text_of(node, "type").ok_or_else(|| unread("a block has no type"))?;
        Ok(kind.into_owned())
    }

    /// The person's words stay as they are; what the client has put between them is data.
    fn user_text(&mut self, node: &'a Node) -> Result<(), Unfit> {
        let person = self.person;
        let form = if person { "a person's" } else { "a user's" };
        self.string(node, form, |against, text, notes| {
            let Against { ears, scrub, .. } = against;
            let Some(part) = machine_part(text) else {
                if person && !text.starts_with(CONTINUED) {
                    ears.heard(text);
                }
                return scrub.clean(text, &mut notes.found);
            };
            let piece = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
            let (before, after) = (piece(0..part.start), piece(part.end..text.len()));
            if person {
                ears.heard(before);
                ears.heard(after);
            }
            let before = scrub.clean(before, &mut notes.found);
            let machine = piece(part.clone());
            let (source, trust) = origin(machine);
            ears.read(source, From::Client(trust), said(machine));
            let framed = scrub.frame_text(source, trust, machine, &mut notes.found);
            let after = scrub.clean(after, &mut notes.found);
            notes.framed += 1;
            format!("{before}{framed}{after}")
        })
    }

    /// A message of the client's own in mid-conversation: its words, and whatever it has wrapped in them.
    fn client_text(&mut self, node: &'a Node) -> Result<(), Unfit> {
        self.string(node, "the client's", |against, text, notes| {
            let (source, trust) = origin(text);
            against.ears.read(source, From::Client(trust), said(text));
            notes.framed += 1;
            against.scrub.frame_text(source, trust, text, &mut notes.found)
        })
    }

    fn redact(&mut self, node: &'a Node) -> Result<(), Unfit> {
        self.strings().redacted(node)
    }

    fn string(
        &mut self,
        node: &'a Node,
        form: &str,
        deal: impl FnOnce(Against<'a>, &str, &mut Marks) -> String,
    ) -> Result<(), Unfit> {
        self.strings().string(node, form, deal).map(|_| ())
    }

    fn strings(&mut self) -> Strings<'a, '_> {
        let Self { doc, against, edits, notes, .. } = self;
        Strings { doc, against: *against, edits, notes }
    }
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Assistant,
    System,
    User,
}

/// An object whose keys have one reading.
fn envelope(node: &Node, what: &str) -> Result<(), Unfit> {
    if !node.is_table() {
        return Err(unread(&format!("{what} is no object")));
    }
    if node.has_twins() {
        return Err(unread(&format!("{what} has keys that differ in case alone")));
    }
    Ok(())
}

/// The mark of the prompt cache stays where the client put it.
fn with_cache_control(json: &str, doc: &Doc<'_>, block: &Node) -> String {
    match (block.get("cache_control"), json.strip_suffix('}')) {
        (Some(mark), Some(open)) => format!("{open},\"cache_control\":{}}}", doc.raw(mark)),
        _ => json.to_owned(),
    }
}

fn unread(what: &str) -> Unfit {
    Unfit::Unread(what.to_owned())
}

/// How the client begins a summary that the model has written, in a message that is marked as the user's.
const CONTINUED: &str = "This session is being continued from a previous conversation";
#[cfg(test)]
mod tests;
