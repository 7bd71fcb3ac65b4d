//! Which tools does a request offer the model, and who would carry them out?

use super::known::CLIENT_TOOLS;
use super::{Reader, Unfit, envelope, unread};
use bartizan_scan::display_line;
use bartizan_scan::json::Node;

impl Reader<'_> {
    /// A tool that the request offers the model. What the vendor's machines would carry out never meets a
    /// gate; a web search does, as the client's own call.
    pub(super) fn tool(&mut self, tool: &Node) -> Result<(), Unfit> {
        envelope(tool, "a tool")?;
        let Some(kind) = tool.get("type") else { return Ok(()) };
        let kind = self.doc.text(kind).ok_or_else(|| unread("a tool has no type"))?;
        // The rest is the day of its version: `bash_code_execution_…` would be another tool.
        let is_day = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
        let by_client =
            CLIENT_TOOLS.iter().any(|known| kind.strip_prefix(known).is_some_and(is_day));
        if kind == "custom" || by_client {
            return Ok(());
        }
        if kind.starts_with("web_search_") && self.against.calls.may_search() {
            self.notes.server_tools.insert(display_line(&kind, 64));
            return Ok(());
        }
        Err(Unfit::ServerTool(display_line(&kind, 64)))
    }

    /// A tool that a message adds in mid-conversation.
    pub(super) fn addition(&mut self, block: &Node) -> Result<(), Unfit> {
        let tool = block.get("tool").ok_or_else(|| unread("a tool addition names no tool"))?;
        envelope(tool, "a tool")?;
        match &*self.kind(tool)? {
            "tool_reference" => Ok(()),
            "tool_definition" => {
                self.tool(tool.get("definition").ok_or_else(|| unread("a tool has no definition"))?)
            }
            _ => Err(unread("a tool is added in an unknown way")),
        }
    }
}
