//! Whose are the texts that stand on the user's side of a conversation in `OpenAI`'s form? A person's words stay as they are, and
//! the gate hears them; what Codex says in their place is data, and nobody's word.

use super::{Place, Reader, Unfit};
use crate::doors::model::request::framed;
use bartizan_egress::ModelRequest;
use bartizan_scan::Trust;
use bartizan_scan::json::Node;
use serde_json::Value;

/// Whether the user's side of a request's conversation is a person's by the client's own word: not an agent's who has sent
/// another, and not the client's that has a conversation summed up or a call reviewed. A client that says nothing of the
/// kind has no other agents. In doubt it is nobody's.
pub(in super::super) fn is_main(request: &ModelRequest) -> bool {
    let sent = OTHERS.iter().any(|name| !request.values(name).is_empty());
    !sent && request.values(METADATA).into_iter().all(is_a_persons)
}

/// Whether a request with this metadata is one of the user's own turns.
fn is_a_persons(metadata: &str) -> bool {
    let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
    let says = |key: &str, word: &str| metadata.get(key).and_then(Value::as_str) == Some(word);
    says("thread_source", "user") && says("request_kind", "turn")
}

impl<'a> Reader<'a> {
    /// A text of the user's side.
    pub(super) fn words(&mut self, node: &'a Node) -> Result<(), Unfit> {
        let person = self.person;
        let form = if person { "a person's or the client's" } else { "a user's or the client's" };
        let dealt = self.strings().string(node, form, |against, text, marks| match whose(text) {
            Whose::Elsewhere(source, trust) => {
                let place = Place { call: None, source: source.to_owned(), trust, tool: None };
                framed(against, text, &place, marks)
            }
            whose => {
                if person && matches!(whose, Whose::User) {
                    against.ears.heard(text);
                }
                against.scrub.redact(text, &mut marks.found)
            }
        });
        dealt.map(|_| ())
    }
}

/// Whose a text of the user's side is.
#[derive(Debug, PartialEq, Eq)]
enum Whose {
    /// Of this source, for which these vouch.
    Elsewhere(&'static str, Trust),
    /// A program's or a model's, or in doubt.
    Nobody,
    /// Nothing speaks against the user.
    User,
}

fn whose(text: &str) -> Whose {
    let text = text.trim_start();
    let begins = |with: &&str| text.starts_with(*with);
    if FROM_OUTSIDE.iter().any(begins) {
        return Whose::Elsewhere("client notification", Trust::Untrusted);
    }
    if CONTEXT.iter().any(begins) {
        return Whose::Elsewhere("client context", Trust::Workspace);
    }
    // A tag of the client's further on is no sign of a person either.
    let tagged = FROM_OUTSIDE.iter().chain(&CONTEXT).any(|tag| text.contains(tag));
    if tagged || NOBODYS.iter().any(begins) { Whose::Nobody } else { Whose::User }
}

/// In which Codex tells of an agent that another has sent, and by whom.
const OTHERS: [&str; 2] = ["x-codex-parent-thread-id", "x-openai-subagent"];
/// In which it tells what a request is for.
const METADATA: &str = "x-codex-turn-metadata";
/// How texts begin that Codex 0.169 puts on the user's side: what a command printed that the person ran past the model, and
/// what another agent came to.
const FROM_OUTSIDE: [&str; 2] = ["<subagent_notification>", "<user_shell_command>"];
/// Notes of its own, and of the workspace.
const CONTEXT: [&str; 6] = [
    "# AGENTS.md instructions",
    "<INSTRUCTIONS>",
    "<environment_context>",
    "<skill>",
    "<turn_aborted>",
    "<user_instructions>",
];
/// Other tags, the summary of a conversation, and what an editor adds. What is in doubt is not heard, and so vouches for
/// nothing.
const NOBODYS: [&str; 5] = [
    "# Context from my IDE setup",
    "<",
    "Another language model started to solve this problem",
    "The previously provided AGENTS.md instructions",
    "These AGENTS.md instructions replace",
];

#[cfg(test)]
mod tests;
