//! What does a request in `OpenAI`'s form bring to the model? It is read strictly, secrets in it are hidden, and the
//! vendor's own machines do not act. Calls in it are not held against the register: see `docs/codex.md`.

use super::request::{Ears, From, Notes, Read, Unfit};
use super::scrub::Scrub;
use bartizan_scan::display_line;
use bartizan_scan::json::{Doc, Edits, Node, quoted};

/// Reads a request's body.
pub(super) fn read(body: &[u8], scrub: &Scrub, ears: &dyn Ears) -> Result<Read, Unfit> {
    let doc = Doc::read(body).map_err(|flaw| Unfit::Unread(flaw.to_string()))?;
    let (edits, notes) = (Edits::default(), Notes::default());
    let mut reader = Reader { doc: &doc, scrub, ears, edits, notes };
    reader.body()?;
    let Reader { edits, notes, .. } = reader;
    let body = if edits.is_empty() { body.to_vec() } else { edits.apply(body) };
    Ok(Read { body, notes, results: Vec::new() })
}

struct Reader<'a> {
    doc: &'a Doc<'a>,
    scrub: &'a Scrub,
    ears: &'a dyn Ears,
    edits: Edits,
    notes: Notes,
}

/// Whose text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    /// The person's, the client's or the model's.
    Inside,
    /// A result's.
    Outside,
}

impl<'a> Reader<'a> {
    fn body(&mut self) -> Result<(), Unfit> {
        let root = self.doc.root();
        if !root.is_table() || root.has_twins() {
            return Err(unread("it is no table with one reading"));
        }
        if let Some(key) = KEPT_ELSEWHERE
            .iter()
            .find(|key| root.get(key).is_some_and(|node| self.doc.raw(node) != "null"))
        {
            return Err(unread(&format!("`{key}` brings in what the vendor keeps, unseen here")));
        }
        self.notes.model = display_line(&self.doc.text_of(root, "model").unwrap_or_default(), 128);
        self.tools(root)?;
        let instructions = root.get("instructions");
        instructions.map_or(Ok(()), |node| self.texts(node, Voice::Inside))?;
        let input = root.get("input").ok_or_else(|| unread("it has no input"))?;
        let Some(items) = input.items() else { return self.texts(input, Voice::Inside) };
        items.iter().try_for_each(|item| self.item(item))
    }

    fn item(&mut self, item: &'a Node) -> Result<(), Unfit> {
        if !item.is_table() || item.has_twins() {
            return Err(unread("a part of the input is no table with one reading"));
        }
        // A message may leave its type out.
        let kind = self.doc.text_of(item, "type").unwrap_or_default();
        self.tools(item)?;
        if kind == "item_reference" {
            return Err(unread("`item_reference` brings in what the vendor keeps, unseen here"));
        }
        if let Some(output) = item.get("output") {
            return self.texts(output, Voice::Outside);
        }
        item.get("content").map_or(Ok(()), |content| self.texts(content, Voice::Inside))
    }

    /// Only what the client carries out itself may be offered: no gate stands where the vendor's machines act.
    fn tools(&mut self, holder: &'a Node) -> Result<(), Unfit> {
        for tool in holder.get("tools").and_then(Node::items).unwrap_or_default() {
            let kind = self.doc.text_of(tool, "type").unwrap_or_default();
            if tool.has_twins() || !CLIENT_TOOLS.contains(&&*kind) {
                return Err(Unfit::ServerTool(display_line(&kind, 64)));
            }
            self.tools(tool)?;
        }
        Ok(())
    }

    /// A text, or a list of parts with a text each.
    fn texts(&mut self, node: &'a Node, voice: Voice) -> Result<(), Unfit> {
        if self.doc.text(node).is_some() {
            self.text(node, voice);
        }
        for part in node.items().unwrap_or_default() {
            if part.has_twins() {
                return Err(unread("a part of a message has two readings"));
            }
            self.attached(part)?;
            if let Some(text) = part.get("text") {
                self.text(text, voice);
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

    fn text(&mut self, node: &Node, voice: Voice) {
        let Some(text) = self.doc.text(node) else { return };
        let clean = match voice {
            Voice::Inside => self.scrub.redact(&text, &mut self.notes.found),
            Voice::Outside => self.scrub.clean(&text, &mut self.notes.found),
        };
        if voice == Voice::Outside {
            self.ears.read("result of a tool", From::Tool("Bash"), &text);
        }
        if *clean != *text {
            self.edits.replace(node, quoted(&clean));
        }
    }
}

fn unread(what: &str) -> Unfit {
    Unfit::Unread(what.to_owned())
}

/// Tools that the client carries out, and the groups that they come in.
const CLIENT_TOOLS: [&str; 5] = ["custom", "function", "local_shell", "namespace", "shell"];
/// Parts that stand for a text which is not in the request.
const KEPT_ELSEWHERE: [&str; 3] = ["conversation", "previous_response_id", "prompt"];

#[cfg(test)]
mod tests;
