//! What of a question that no policy judges goes on to the server? What the protocol says of it, and no words of the client's
//! choice: they would leave without a permission, and without a record.

use super::Talk;
use super::tools::pseudo;
use bartizan_gate::name::ToolName;
use bartizan_mcp::wire::Message;
use bartizan_scan::json::{View, quoted};
use std::collections::VecDeque;

/// Where lists go on, as the server has said to this client.
#[derive(Debug, Default)]
pub(super) struct Cursors(VecDeque<String>);

impl Cursors {
    fn add(&mut self, cursor: String) {
        if self.0.contains(&cursor) {
            return;
        }
        if self.0.len() >= CURSORS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(cursor);
    }
}

impl Talk {
    /// The parameters with which a list, or a level of what is told, is asked for.
    pub(super) fn plain(
        &self,
        method: &str,
        message: &Message,
    ) -> Result<Option<String>, &'static str> {
        let params = message.params();
        let said = |key| params.and_then(|params| params.get(key)).filter(|value| !value.is_null());
        let mut parts = Vec::new();
        if let Some(said) = said("_meta") {
            parts.push(format!("\"_meta\":{}", meta(said, true)));
        }
        if method == "logging/setLevel" {
            let level =
                said("level").and_then(View::text).filter(|level| LEVELS.contains(&&**level));
            let level = level.ok_or("`level` is one of the protocol's")?;
            parts.push(format!("\"level\":{}", quoted(&level)));
        } else if let Some(cursor) = said("cursor").map(View::compact) {
            if !self.lock().cursors.0.contains(&cursor) {
                return Err("no list that was given here goes on at this `cursor`; begin it anew");
            }
            parts.push(format!("\"cursor\":{cursor}"));
        }
        Ok((!parts.is_empty()).then(|| format!("{{{}}}", parts.join(","))))
    }

    /// Keeps where a list goes on, as the client is told.
    pub(super) fn goes_on(&self, answer: &Message) {
        let next = answer.result().and_then(|result| result.get("nextCursor"));
        if let Some(next) = next.filter(|next| next.text().is_some()) {
            self.lock().cursors.add(next.compact());
        }
    }

    /// An empty list, where this role may never ask for anything that could be on it.
    pub(super) async fn nothing_of(
        &self,
        method: &str,
        message: &Message,
    ) -> Result<Option<&'static str>, String> {
        let Some((_, kind, list)) = LISTS.iter().find(|(name, _, _)| *name == method) else {
            return Ok(None);
        };
        let generation = self.generation(message.meta()).await?;
        let (gate, caller) = (generation.gate.pipeline(), &self.parts.caller);
        let name = ToolName::parse(&pseudo(&self.parts.server, kind));
        Ok((!name.is_ok_and(|name| gate.may_ever(caller, &name))).then_some(*list))
    }
}

/// What a `_meta` says in the protocol's own words, with or without the token of who listens to progress.
pub(super) fn meta(meta: View<'_>, with_token: bool) -> String {
    let is_kept = |key: &str| key.starts_with(OF_THE_PROTOCOL) || (with_token && key == TOKEN);
    let kept = meta.members().filter(|(key, _)| is_kept(key));
    let kept = kept.map(|(key, value)| format!("{}:{}", quoted(key), value.compact()));
    format!("{{{}}}", kept.collect::<Vec<_>>().join(","))
}

const LISTS: [(&str, &str, &str); 3] = [
    ("prompts/list", "prompt", "{\"prompts\":[]}"),
    ("resources/list", "resource", "{\"resources\":[]}"),
    ("resources/templates/list", "resource", "{\"resourceTemplates\":[]}"),
];
const LEVELS: [&str; 8] =
    ["alert", "critical", "debug", "emergency", "error", "info", "notice", "warning"];
const TOKEN: &str = "progressToken";
const OF_THE_PROTOCOL: &str = "io.modelcontextprotocol/";
/// Places in lists that are remembered for one conversation.
const CURSORS_MAX: usize = 256;
