//! What of a server does this client get to see? The tools that its role could call and nobody holds back, and what else
//! its role may ask for.

use super::tools::pseudo;
use super::{Talk, read_on, unmade};
use bartizan_gate::name::ToolName;
use bartizan_mcp::catalog::Kind;
use bartizan_mcp::wire::{INTERNAL_ERROR, INVALID_PARAMS, Id, Message};
use bartizan_scan::json::{Edits, View, quoted};
use std::sync::atomic::Ordering;

impl Talk {
    /// The server's list, without what this role could never call or what is held back.
    pub(super) async fn list(&self, id: &Id, message: &Message) -> Message {
        let own = self.parts.upstream.next();
        let params = match self.plain("tools/list", message) {
            Ok(params) => params,
            Err(why) => return Message::failure(Some(id), INVALID_PARAMS, why),
        };
        let answer = self.question(id, own, "tools/list", params.as_deref(), None).await;
        self.goes_on(&answer);
        if answer.error().is_some() {
            return answer;
        }
        // A server may have changed its list without a word.
        self.stale.store(true, Ordering::Release);
        let generation = match self.generation(message.meta()).await {
            Ok(generation) => generation,
            Err(why) => return Message::failure(Some(id), INTERNAL_ERROR, &why),
        };
        let Some(tools) = answer.result().and_then(|result| result.get("tools")) else {
            return unmade(id);
        };
        let (gate, caller) = (generation.gate.pipeline(), &self.parts.caller);
        let kept = tools.items().into_iter().flatten().filter(|tool| {
            let offered = tool.text_of("name").and_then(|name| generation.tools.get(&*name));
            offered.is_some_and(|offered| gate.may_ever(caller, offered))
        });
        let mut kept: Vec<&str> = kept.map(View::raw).collect();
        let ours = read_on::offered();
        let next = answer.result().and_then(|result| result.get("nextCursor"));
        if self.reads_on() && next.is_none_or(View::is_null) {
            kept.push(&ours);
        }
        let mut edits = Edits::default();
        edits.replace(tools.node(), format!("[{}]", kept.join(",")));
        answer.edited(edits).unwrap_or_else(|| unmade(id))
    }

    /// All tools of the server that this role may call, each as JSON that has gone the way out, as `named` writes it.
    pub(super) async fn offered(
        &self,
        named: impl Fn(View<'_>) -> Option<String>,
    ) -> Result<Vec<String>, String> {
        self.stale.store(true, Ordering::Release);
        let generation = self.generation(None).await?;
        let json = format!("{{\"tools\":[{}]}}", self.listing().await.join(","));
        let unread = || "its list of tools cannot be shown".to_owned();
        let whole = Message::success(&Id::Number(0), &json).ok_or_else(unread)?;
        let (gate, caller) = (generation.gate.pipeline(), &self.parts.caller);
        let tools = whole.result().and_then(|result| result.get("tools")).and_then(View::items);
        let mut offered = Vec::new();
        for tool in tools.into_iter().flatten() {
            let Some(own) = tool.text_of("name") else { continue };
            let known = generation.tools.get(&*own);
            if !known.is_some_and(|name| gate.may_ever(caller, name)) {
                continue;
            }
            let Some(mut json) = named(tool) else { continue };
            if let Some(said) = generation.described.get(&*own) {
                json = described(&json, said).ok_or_else(unread)?;
            }
            offered.extend(self.shown(&json));
        }
        Ok(offered)
    }

    /// All entries of another list of the server's, of what this role may ask for, in the same way.
    pub(super) async fn entries(
        &self,
        (method, key): (&str, &str),
        kind: &str,
        named: impl Fn(View<'_>) -> Option<String>,
    ) -> Result<Vec<String>, String> {
        if !self.may_ask_for(kind) {
            return Ok(Vec::new());
        }
        let pinned = Kind::ALL.into_iter().find(|kind| kind.method() == method);
        let (pages, words) = match pinned {
            Some(kind) => self.looked_at(kind).await?,
            None => (self.pages(method, None).await?, None),
        };
        let open = |entry: &View<'_>| {
            let own = pinned.and_then(|kind| entry.text_of(kind.key()));
            words.as_ref().is_none_or(|words| own.is_some_and(|own| words.accepts(&own)))
        };
        let entries = pages.iter().filter_map(|page| page.result()?.get(key)?.items()).flatten();
        let open = entries.filter(open);
        Ok(open.filter_map(|entry| self.shown(&named(entry)?)).collect())
    }

    /// Whether this role may ever ask the server for something of this kind.
    pub(super) fn may_ask_for(&self, kind: &str) -> bool {
        let name = ToolName::parse(&pseudo(&self.parts.server, kind));
        name.is_ok_and(|name| self.parts.gate.pipeline().may_ever(&self.parts.caller, &name))
    }

    /// One entry of a list, the way out. One by one, so that one that cannot be shown hides no other.
    fn shown(&self, json: &str) -> Option<String> {
        let answer = Message::success(&Id::Number(0), json)?;
        let cleaned = self.cleaned(&answer, None)?;
        Some(cleaned.result()?.compact())
    }
}

/// The tool with the operator's own words for it.
fn described(tool: &str, said: &str) -> Option<String> {
    let answer = Message::success(&Id::Number(0), tool)?;
    let others = answer.result()?.members().filter(|(key, _)| *key != "description");
    let mut parts = vec![format!("\"description\":{}", quoted(said))];
    parts.extend(others.map(|(key, value)| format!("{}:{}", quoted(key), value.compact())));
    Some(format!("{{{}}}", parts.join(",")))
}
