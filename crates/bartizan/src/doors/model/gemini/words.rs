//! Whose are the texts that stand on the user's side of a conversation in Gemini's form? A person's words stay as they are, and
//! the gate hears them; what the client, a file or a tool has put there is data, and nobody's word.

use super::{Place, Reader, Unfit};
use crate::doors::model::request::framed;
use bartizan_scan::Trust;
use bartizan_scan::json::Node;

/// What is known of the parts of one content, as they are met.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    /// A person may have typed its texts.
    person: bool,
    /// The client has put files behind the prompt, and what follows is theirs.
    files: bool,
}

impl Beside {
    /// Before the first part is met. The client runs contents of one side together: a text beside a result may be the
    /// person's next words, or have come with the result.
    pub(super) fn of(parts: &[Node]) -> Self {
        let answers = parts.iter().any(|part| part.get("functionResponse").is_some());
        Self { person: !answers, files: false }
    }
}

impl<'a> Reader<'a> {
    /// Whether the user's texts of a request that offers these tools are a person's. One without tools is the client's own,
    /// and its text may be a page that is to be summed up; what a subagent is told, an agent says.
    pub(super) fn is_a_persons(&self, tools: &[Node]) -> bool {
        let functions =
            || tools.iter().filter_map(|tool| tool.get("functionDeclarations")?.items()).flatten();
        let ends = |function| self.doc.text_of(function, "name").as_deref() == Some(SUBAGENTS);
        functions().next().is_some() && !functions().any(ends)
    }

    /// The person's words stay as they are, and are heard; what the client has put between or behind them is data.
    pub(super) fn words(&mut self, node: &'a Node, beside: &mut Beside) -> Result<(), Unfit> {
        if beside.files {
            return self.text(node, Some(&context("attached file")));
        }
        let person = self.person && beside.person;
        let form = if person { "a person's or the client's" } else { "a user's or the client's" };
        beside.files = self.strings().string(node, form, |against, text, marks| {
            let begins = |with: &&str| text.trim_start().starts_with(*with);
            if MACHINE_TAGS.iter().any(begins) {
                return framed(against, text, &context("client context"), marks);
            }
            if OUTPUTS.iter().any(begins) {
                return framed(against, text, &outside("output of a shell"), marks);
            }
            let at = text.find(FILES);
            marks.opens = at.is_some();
            let (words, files) = text.split_at(at.unwrap_or(text.len()));
            if person && !NOBODYS.iter().any(begins) {
                against.ears.heard(words);
            }
            let words = against.scrub.redact(words, &mut marks.found);
            if files.is_empty() {
                return words;
            }
            words + &framed(against, files, &context("attached file"), marks)
        })?;
        Ok(())
    }
}

/// Where the client's own words stand.
fn context(source: &str) -> Place {
    Place { call: None, source: source.to_owned(), trust: Trust::Workspace, tool: None }
}

/// Where stands what nobody vouches for.
fn outside(source: &str) -> Place {
    Place { call: None, source: source.to_owned(), trust: Trust::Untrusted, tool: None }
}

/// The tool by which a subagent of Gemini CLI ends; nobody else is offered it.
const SUBAGENTS: &str = "complete_task";
/// Where the files begin that the client has put behind a prompt.
pub(super) const FILES: &str = "--- Content from referenced files ---";
/// How parts begin that no person typed, as Gemini CLI 0.61 writes them.
const MACHINE_TAGS: [&str; 5] = [
    "<hook_context>",
    "<loaded_context>",
    "<session_context>",
    "<state_snapshot>",
    "<untrusted_context>",
];
/// How it tells the model of a command that the person ran past the model: what that printed may come from anywhere.
const OUTPUTS: [&str; 1] = ["I ran the following shell command:"];
/// How else a part begins that no person typed, or may: what is in doubt is not heard, and so vouches for nothing.
const NOBODYS: [&str; 6] = [
    "<",
    "[",
    "Here is a summary of changes in the user's editor context",
    "Here is the user's editor context",
    "Prior context was offloaded",
    "System: ",
];

#[cfg(test)]
mod tests;
