//! How does an MCP client call a declared tool? Like any other tool: listed with its schema, judged, and answered with what
//! its declaration shows.

use super::super::call::{Act, Wait, refusal};
use super::super::unmade;
use super::Hub;
use crate::doors::calls::Whose;
use crate::doors::tools::Answer;
use bartizan_gate::call::Door;
use bartizan_gate::name::ToolName;
use bartizan_gate::taint::Reading;
use bartizan_mcp::conversation::Outbox;
use bartizan_mcp::upstream::Progress;
use bartizan_mcp::wire::{INVALID_PARAMS, Id, Message};
use bartizan_scan::Trust;
use serde_json::json;

impl Hub {
    /// The declared tools that this role may call, each as JSON.
    pub(super) fn declared_tools(&self) -> impl Iterator<Item = String> {
        let (gate, caller) = (self.parts.gate.pipeline(), &self.parts.caller);
        let may = move |name: &ToolName| gate.may_ever(caller, name);
        let offered = self.parts.tools.values().filter(move |tool| may(tool.declared.name()));
        offered.map(|tool| {
            let tool = &tool.declared;
            let (name, description) = (tool.name(), tool.description());
            json!({ "name": name, "description": description, "inputSchema": tool.schema() })
                .to_string()
        })
    }

    /// Calls a declared tool; while people are asked, a client that wants to hear of progress is kept waiting.
    pub(super) async fn declared(
        &self,
        id: &Id,
        (tool, whose): (&str, &Whose),
        message: &Message,
        out: &Outbox,
    ) -> Message {
        let params = message.params();
        let read = params.map(|params| Act::of_tool(tool.to_owned(), tool, params));
        let (tool, arguments) = match read {
            Some(Ok(act)) => act.judged(),
            Some(Err(why)) => return Message::failure(Some(id), INVALID_PARAMS, why),
            None => return unmade(id),
        };
        let token = message.meta().and_then(|meta| meta.get("progressToken"));
        let progress =
            token.map(|token| Progress { token: token.raw().to_owned(), to: out.clone() });
        let mut wait = Wait::new(&self.parts.gate, &*self.parts.desk, self.parts.hold);
        loop {
            match self.parts.door.call(Door::Mcp, whose, (&tool, arguments.clone())).await {
                Ok(answer) => return self.shown(id, &tool, &answer),
                Err(refused) if !wait.over(&refused, progress.as_ref()).await => {
                    return refusal(id, true, &refused);
                }
                Err(_) => {}
            }
        }
    }

    /// The answer between markers for the model, and as it is for programs.
    fn shown(&self, id: &Id, tool: &str, answer: &Answer) -> Message {
        let (text, source) = (answer.value.to_string(), format!("result of {tool}"));
        let pipeline = self.parts.gate.pipeline();
        let reading = Reading { source: &source, trust: pipeline.trust_of(tool), text: &text };
        self.parts.gate.read(&self.parts.caller, &reading);
        let turn = {
            let mut state = self.lock();
            state.next += 1;
            state.next
        };
        let frame = self.parts.frames.of(&format!("declared {turn}"));
        let text = if self.parts.framing {
            frame.wrap(&format!("tool {tool}"), Trust::Untrusted, &text)
        } else {
            text
        };
        let result = json!({
            "content": [{ "type": "text", "text": text }],
            "structuredContent": answer.value,
            "isError": !answer.succeeded,
        });
        Message::success(id, &result.to_string()).unwrap_or_else(|| unmade(id))
    }
}
