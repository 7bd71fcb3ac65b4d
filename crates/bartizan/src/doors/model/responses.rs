//! What does a request in `OpenAI`'s form bring to the model? It is read strictly, what came from outside in it is made
//! data, the vendor's own machines do not act, and each call and result is held against the register.

mod answer;
mod item;
mod words;

pub(super) use answer::Responses;
pub(super) use words::is_main;

use super::request::{Against, Notes, Place, Read, Strings, Unfit};
use crate::doors::calls::{Answered, STAND_IN, Seen, StandIn};
use bartizan_scan::display_line;
use bartizan_scan::json::{Doc, Edits, Node, quoted};
use item::Item;

/// Reads a request's body.
pub(super) fn read(body: &[u8], against: Against<'_>) -> Result<Read, Unfit> {
    let doc = Doc::read(body).map_err(|flaw| Unfit::Unread(flaw.to_string()))?;
    let (edits, notes) = (Edits::default(), Notes::default());
    let results = Vec::new();
    let mut reader = Reader { doc: &doc, against, edits, notes, results, person: false };
    reader.body()?;
    let Reader { edits, notes, results, .. } = reader;
    Ok(Read { body: edits.apply(body), notes, results })
}

struct Reader<'a> {
    doc: &'a Doc<'a>,
    against: Against<'a>,
    edits: Edits,
    notes: Notes,
    results: Vec<(String, bool, usize)>,
    /// Whether the user's texts in it are a person's. A request without tools is the client's own, and its user text
    /// may be a page that is to be summed up.
    person: bool,
}

/// Whose text it is.
#[derive(Clone, Copy)]
enum Voice<'a> {
    /// The operator's, the client's or the model's.
    Inside,
    /// A result's.
    Outside(&'a Place),
    /// The user's: a person's, or what the client says in their place.
    User,
}

impl<'a> Reader<'a> {
    fn body(&mut self) -> Result<(), Unfit> {
        let root = self.doc.root();
        if !root.is_table() || root.has_twins() {
            return Err(unread("it is no table with one reading"));
        }
        if let Some((key, _)) = root.members().find(|(key, _)| !is_known(key)) {
            return Err(unread(&format!(
                "it has a part `{}` that is not known",
                display_line(key, 64)
            )));
        }
        let given = |key: &&&str| {
            root.get(key).is_some_and(|node| !matches!(self.doc.raw(node), "null" | "false"))
        };
        if let Some(key) = KEPT_ELSEWHERE.iter().find(given) {
            return Err(unread(&format!("`{key}` leads to what the vendor keeps, unseen here")));
        }
        self.notes.model = display_line(&self.doc.text_of(root, "model").unwrap_or_default(), 128);
        self.tools(root)?;
        self.instructions(root)?;
        let input = root.get("input").ok_or_else(|| unread("it has no input"))?;
        let items = input.items();
        // Codex has its tools among the input.
        let mut holders = items.unwrap_or_default().iter().chain([root]);
        let tools = holders.any(|node| {
            let tools = node.get("tools").and_then(Node::items);
            tools.is_some_and(|tools| !tools.is_empty())
        });
        self.person = self.against.main && tools;
        let Some(items) = items else { return self.texts(input, Voice::User) };
        items.iter().try_for_each(|item| self.item(item))
    }

    /// The operator's channel: secrets are hidden in it, and our own paragraph ends it.
    fn instructions(&mut self, root: &'a Node) -> Result<(), Unfit> {
        let note = self.against.scrub.system_note();
        match root.get("instructions") {
            Some(node) if self.doc.raw(node) == "null" => self.edits.replace(node, quoted(&note)),
            Some(node) => {
                let text =
                    self.doc.text(node).ok_or_else(|| unread("its instructions are no text"))?;
                let text = self.against.scrub.redact(&text, &mut self.notes.found);
                self.edits.replace(node, quoted(&format!("{text}\n\n{note}")));
            }
            None => self.edits.append(root, format!(",\"instructions\":{}", quoted(&note))),
        }
        Ok(())
    }

    fn item(&mut self, item: &'a Node) -> Result<(), Unfit> {
        if !item.is_table() || item.has_twins() {
            return Err(unread("a part of the input is no table with one reading"));
        }
        // A message may leave its type out.
        let kind = self.doc.text_of(item, "type").unwrap_or_default();
        self.tools(item)?;
        match &*kind {
            "" | "additional_tools" | "message" | "reasoning" => {
                let says = matches!(&*kind, "" | "message");
                let user = says && self.doc.text_of(item, "role").as_deref() == Some("user");
                let voice = if user { Voice::User } else { Voice::Inside };
                let mut texts = ["content", "summary"].iter().filter_map(|key| item.get(key));
                texts.try_for_each(|text| self.texts(text, voice))
            }
            kind if OUTPUTS.contains(&kind) => self.result(item),
            "compaction" | "compaction_summary" | "item_reference" => {
                Err(unread(&format!("`{kind}` brings in what the vendor keeps, unseen here")))
            }
            _ => self.call(item),
        }
    }

    /// A call that the model is said to have made.
    fn call(&mut self, item: &'a Node) -> Result<(), Unfit> {
        let call = match item::read(self.doc, item).map_err(unread)? {
            Item::Call(call) => call,
            Item::Words => return Ok(()),
            Item::Strange(kind) => {
                return Err(unread(&format!(
                    "it has a part of type `{kind}`, which is not known here"
                )));
            }
        };
        let act = || call.written.as_ref().map(|written| written.act.clone());
        // A name that no entry has, so that a call whose result is back is still held against its arguments.
        let name = if call.name == STAND_IN { STAND_IN } else { "" };
        match self.against.calls.seen(&call.id, act, name) {
            Seen::Judged => Ok(()),
            Seen::StandIn(StandIn { original, .. }) => {
                if let Some(original) = original {
                    self.edits.replace(item, original);
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
    fn result(&mut self, item: &'a Node) -> Result<(), Unfit> {
        let id = ["call_id", "id"].iter().find_map(|key| self.doc.text_of(item, key));
        let id = id.ok_or_else(|| unread("a result names no call"))?;
        let output = item.get("output");
        let failed = output.is_some_and(|output| self.is_blocked(output));
        let tool = match self.against.calls.answered(&id, failed) {
            Answered::Allowed(tool) => tool,
            Answered::StandIn(StandIn { sentence, .. }) => {
                let output = output.ok_or_else(|| unread("a result has no output"))?;
                self.edits.replace(output, quoted(&sentence));
                return Ok(());
            }
            Answered::Refused => {
                return Err(unseen("", &id, "it was refused, and has a result all the same"));
            }
            Answered::Unknown => {
                return Err(unseen("", &id, "a result of a call that the gate never judged"));
            }
        };
        let size = output.map_or(0, |output| output.span().len());
        self.results.push((id.clone().into_owned(), failed, size));
        let place = Place::result(&id, &tool);
        output.map_or(Ok(()), |output| self.texts(output, Voice::Outside(&place)))
    }

    /// Whether a result is the client's word that its hook has stopped the call.
    fn is_blocked(&self, output: &Node) -> bool {
        let text = self.doc.text(output);
        text.is_some_and(|text| BLOCKED.iter().any(|opening| text.starts_with(opening)))
    }

    /// Only what the client carries out itself may be offered: no gate stands where the vendor's machines act.
    fn tools(&mut self, holder: &'a Node) -> Result<(), Unfit> {
        for tool in holder.get("tools").and_then(Node::items).unwrap_or_default() {
            let kind = self.doc.text_of(tool, "type").unwrap_or_default();
            let by_client = match &*kind {
                "tool_search" => self.doc.text_of(tool, "execution").as_deref() == Some("client"),
                // Anywhere else than here it runs in a container of the vendor's, with a network of its own.
                "shell" => tool.get("environment").is_some_and(|place| {
                    !place.has_twins()
                        && self.doc.text_of(place, "type").as_deref() == Some("local")
                }),
                kind => CLIENT_TOOLS.contains(&kind),
            };
            if tool.has_twins() || !by_client {
                return Err(Unfit::ServerTool(display_line(&kind, 64)));
            }
            self.tools(tool)?;
        }
        Ok(())
    }

    /// A text, or a list of parts with a text each.
    fn texts(&mut self, node: &'a Node, voice: Voice<'_>) -> Result<(), Unfit> {
        if node.is_text() {
            return self.text(node, voice);
        }
        if self.doc.raw(node) == "null" {
            return Ok(());
        }
        let parts = node.items().ok_or_else(|| unread("a text is neither text nor a list"))?;
        for (at, part) in parts.iter().enumerate() {
            if !part.is_table() || part.has_twins() {
                return Err(unread("a part of a message is no table with one reading"));
            }
            self.attached(part)?;
            for text in ["text", "refusal"].iter().filter_map(|key| part.get(key)) {
                match voice {
                    Voice::Inside | Voice::User => self.text(text, voice)?,
                    Voice::Outside(place) => self.text(text, Voice::Outside(&place.part(at)))?,
                }
            }
        }
        Ok(())
    }

    /// Pictures and files come with the request, or not at all: the vendor does not fetch them.
    fn attached(&mut self, part: &Node) -> Result<(), Unfit> {
        let picture = self.doc.text_of(part, "image_url");
        if picture.is_some_and(|url| !url.starts_with("data:")) {
            return Err(Unfit::ServerTool("a picture by its address".to_owned()));
        }
        if ["file_url", "file_id"].iter().any(|key| part.get(key).is_some()) {
            return Err(Unfit::ServerTool("a file by its address".to_owned()));
        }
        let kind = self.doc.text_of(part, "type").unwrap_or_default();
        self.notes.pictures += usize::from(kind == "input_image");
        self.notes.documents += usize::from(kind == "input_file");
        Ok(())
    }

    fn text(&mut self, node: &'a Node, voice: Voice<'_>) -> Result<(), Unfit> {
        if !node.is_text() {
            return Ok(());
        }
        match voice {
            Voice::Inside => self.strings().redacted(node),
            Voice::Outside(place) => self.strings().framed(node, place),
            Voice::User => self.words(node),
        }
    }

    fn strings(&mut self) -> Strings<'a, '_> {
        let Self { doc, against, edits, notes, .. } = self;
        Strings { doc, against: *against, edits, notes }
    }
}

fn unread(what: &str) -> Unfit {
    Unfit::Unread(what.to_owned())
}

fn unseen(tool: &str, call: &str, what: &'static str) -> Unfit {
    Unfit::Unseen { tool: display_line(tool, 128), call: display_line(call, 128), what }
}

fn is_known(key: &str) -> bool {
    KNOWN_KEYS.contains(&key) || KEPT_ELSEWHERE.contains(&key)
}

/// Every part of a request that the API documents or Codex sends, without those of [`KEPT_ELSEWHERE`]. Another one could be a
/// new way for the vendor's machines to act.
const KNOWN_KEYS: [&str; 26] = [
    "client_metadata",
    "context_management",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];
/// Tools that the client carries out, and the groups that they come in.
const CLIENT_TOOLS: [&str; 4] = ["custom", "function", "local_shell", "namespace"];
/// Parts that stand for a text which is not in the request, or have the vendor answer where nobody here hears it.
const KEPT_ELSEWHERE: [&str; 4] = ["background", "conversation", "previous_response_id", "prompt"];
/// What calls bring back.
const OUTPUTS: [&str; 4] = [
    "custom_tool_call_output",
    "function_call_output",
    "local_shell_call_output",
    "tool_search_output",
];
/// How Codex 0.169 begins the result of a call that its hook has stopped.
const BLOCKED: [&str; 2] =
    ["Command blocked by PreToolUse hook", "Tool call blocked by PreToolUse hook"];

#[cfg(test)]
mod tests;
