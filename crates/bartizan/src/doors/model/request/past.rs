//! Is what a conversation tells of calls and their results what the gate has judged?

use super::place::{Place, is_kept};
use super::{Reader, Unfit, envelope, unread, with_cache_control};
use crate::doors::calls::{Act, Answered, Seen, StandIn};
use bartizan_scan::display_line;
use bartizan_scan::json::{Node, quoted};

impl<'a> Reader<'a> {
    /// A call that the model is said to have made.
    pub(super) fn call(&mut self, block: &'a Node) -> Result<(), Unfit> {
        let doc = self.doc;
        let id = doc.text_of(block, "id").ok_or_else(|| unread("a call has no id"))?;
        let name = doc.text_of(block, "name").ok_or_else(|| unread("a call has no name"))?;
        let input = block.get("input").filter(|input| input.is_table());
        let input = input.ok_or_else(|| unread("a call has no arguments"))?;
        let act = || {
            let arguments = serde_json::from_str(doc.raw(input)).ok()?;
            Some(Act::of(&name, &arguments, self.against.workspace))
        };
        match self.against.calls.seen(&id, act, &name) {
            Seen::Judged => {}
            Seen::StandIn(StandIn { original, .. }) => {
                if let Some(original) = original {
                    let original = with_cache_control(&original, doc, block);
                    self.edits.replace(block, original);
                    self.notes.restored += 1;
                }
            }
            Seen::Changed => {
                return Err(unseen(&name, &id, "its arguments are not those that were judged"));
            }
            Seen::Unknown => return Err(unseen(&name, &id, "the gate never judged it")),
        }
        let mut paths = ["file_path", "path"].iter().filter_map(|key| doc.text_of(input, key));
        if paths.any(|path| is_kept(&path, self.against.workspace)) {
            self.kept.insert(id.clone().into_owned());
        }
        self.tools.insert(id.into_owned(), name.into_owned());
        Ok(())
    }

    /// What a call is said to have brought back.
    pub(super) fn result(&mut self, block: &'a Node) -> Result<(), Unfit> {
        let doc = self.doc;
        let id = doc.text_of(block, "tool_use_id");
        let id = id.ok_or_else(|| unread("a result names no call"))?.into_owned();
        let is_error = block.get("is_error").is_some_and(|flag| doc.raw(flag) == "true");
        let tool = match self.against.calls.answered(&id, is_error) {
            Answered::Allowed(tool) => self.tools.get(&id).cloned().unwrap_or(tool),
            Answered::StandIn(StandIn { sentence, .. }) => {
                let result = format!(
                    "{{\"tool_use_id\":{},\"type\":\"tool_result\",\"content\":{},\"is_error\":true}}",
                    quoted(&id),
                    quoted(&sentence)
                );
                let result = with_cache_control(&result, doc, block);
                self.edits.replace(block, result);
                return Ok(());
            }
            Answered::Refused => {
                let tool = self.tools.get(&id).cloned().unwrap_or_default();
                return Err(unseen(&tool, &id, "it was refused, and has a result all the same"));
            }
            Answered::Unknown => {
                let tool = self.tools.get(&id).cloned().unwrap_or_default();
                return Err(unseen(&tool, &id, "a result of a call that the gate never judged"));
            }
        };
        let size = block.get("content").map_or(0, |content| content.span().len());
        self.results.push((id.clone(), is_error, size));
        let place =
            if self.kept.contains(&id) { Place::kept(&id) } else { Place::result(&id, &tool) };
        let Some(content) = block.get("content") else { return Ok(()) };
        if content.is_text() {
            return self.framed(content, &place);
        }
        let Some(blocks) = content.items() else {
            return Err(unread("a result's content is no text"));
        };
        for (at, part) in blocks.iter().enumerate() {
            envelope(part, "a block")?;
            let kind = self.kind(part)?;
            self.outside(part, &kind, &place.part(at))?;
        }
        Ok(())
    }
}

fn unseen(tool: &str, call: &str, what: &'static str) -> Unfit {
    Unfit::Unseen { tool: display_line(tool, 128), call: display_line(call, 128), what }
}
