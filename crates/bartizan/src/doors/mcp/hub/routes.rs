//! Which server is asked? The one that a request names, in its own words; what it says comes back under its name.

use super::super::call::{Act, refusal};
use super::super::tools::pseudo;
use super::super::{Talk, unmade};
use super::names::Asked;
use super::{Hub, Parts, RELAYED};
use bartizan_gate::call::{Door, Proposed};
use bartizan_gate::name::ToolName;
use bartizan_mcp::conversation::{Conversation as _, Outbox};
use bartizan_mcp::wire::{INTERNAL_ERROR, INVALID_PARAMS, Id, Message};
use bartizan_scan::display_line;
use bartizan_scan::json::View;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Which act of a server a request is, when it is none of a tool's.
pub(super) fn kind_of(method: &str) -> Option<(&'static str, &'static str)> {
    ACTS.into_iter().find(|(known, _)| *known == method)
}

impl Hub {
    /// What this role could ask for of any server.
    pub(super) fn capabilities(&self) -> String {
        let role = &self.parts.caller.seat().role;
        let policy = self.parts.gate.pipeline().policy();
        let may = |kind: &str| {
            self.branches.iter().any(|branch| {
                let name = ToolName::parse(&pseudo(branch.name(), kind));
                name.is_ok_and(|name| policy.may_ever(role, &name))
            })
        };
        let mut parts = vec![r#""tools":{"listChanged":true}"#];
        for (kind, part) in [
            ("resource", r#""resources":{"subscribe":true,"listChanged":true}"#),
            ("prompt", r#""prompts":{"listChanged":true}"#),
            ("completion", r#""completions":{}"#),
            ("task", r#""tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}"#),
        ] {
            if may(kind) {
                parts.push(part);
            }
        }
        if !self.branches.is_empty() {
            parts.push(r#""logging":{}"#);
        }
        format!("{{{}}}", parts.join(","))
    }

    /// A call of a tool: a declared one, or a server's.
    pub(super) async fn call(&self, id: &Id, message: &Message, out: &Outbox) -> Option<Message> {
        let params = message.params();
        let called = params.and_then(|params| params.text_of("name"));
        let (Some(params), Some(called)) = (params, called) else {
            return Some(Message::failure(Some(id), INVALID_PARAMS, "`tools/call` names a tool"));
        };
        if let Some(refused) = self.spent(id, &called, params) {
            return Some(refused);
        }
        if self.parts.tools.contains_key(&*called) {
            return Some(self.declared(id, &called, message, out).await);
        }
        let unknown = || self.unknown(id, Act::of_tool(format!("mcp__{called}"), &called, params));
        self.ask(id, self.asked("tools/call", message), out, unknown).await
    }

    /// The answer to a call that is one too many.
    fn spent(&self, id: &Id, called: &str, params: View<'_>) -> Option<Message> {
        let reckon = self.parts.reckon.as_ref()?;
        let only = self.branches.first().filter(|_| self.parts.alone);
        let tool = only
            .map_or_else(|| called.to_owned(), |only| format!("mcp__{}__{called}", only.name()));
        let (tool, arguments) = match Act::of_tool(tool, called, params) {
            Ok(act) => act.judged(),
            Err(why) => return Some(Message::failure(Some(id), INVALID_PARAMS, why)),
        };
        let refused = reckon(called, &arguments).err()?;
        let Parts { gate, caller, .. } = &self.parts;
        let reference = display_line(&id.to_string(), 64);
        let refused =
            gate.refused_by_door(caller, Door::Mcp, &tool, &arguments, Some(&reference), refused);
        Some(refusal(id, true, &refused))
    }

    /// Another act of a server.
    pub(super) async fn asks(
        &self,
        id: &Id,
        (method, kind): (&'static str, &str),
        message: &Message,
        out: &Outbox,
    ) -> Option<Message> {
        let asked = self.asked(method, message);
        let server =
            asked.as_ref().map_or_else(|| "nobody".to_owned(), |asked| asked.server.clone());
        let unknown =
            || self.unknown(id, Act::of_other(method, pseudo(&server, kind), message.params()));
        self.ask(id, asked, out, unknown).await
    }

    /// Asks the server, if there is one of this name. The answer goes out by itself.
    async fn ask(
        &self,
        id: &Id,
        asked: Option<Asked>,
        out: &Outbox,
        unknown: impl FnOnce() -> Message,
    ) -> Option<Message> {
        let found = asked.and_then(|asked| Some((self.branch(&asked.server)?, asked.message)));
        let Some((branch, message)) = found else { return Some(unknown()) };
        let used = match branch.ready().await {
            Ok(used) => used,
            Err(why) => return Some(Message::failure(Some(id), INTERNAL_ERROR, &why)),
        };
        if holds(&message) {
            used.hold();
        }
        let talk = Arc::clone(used.talk());
        let (to, mut from) = mpsc::channel(RELAYED);
        let back = async {
            while let Some(message) = from.recv().await {
                let told = self.told(branch.name(), message);
                drop(out.send(told.unwrap_or_else(|| unmade(id))).await);
            }
        };
        tokio::join!(talk.take(message, to), back);
        None
    }

    /// What nobody offers is proposed all the same, so that the attempt is on the log.
    fn unknown(&self, id: &Id, act: Result<Act, &'static str>) -> Message {
        let act = match act {
            Ok(act) => act,
            Err(why) => return Message::failure(Some(id), INVALID_PARAMS, why),
        };
        let is_tool = act.is_tool();
        let (tool, arguments) = act.judged();
        let proposed = Proposed::new(&self.parts.caller, Door::Mcp, tool, arguments)
            .referring_to(display_line(&id.to_string(), 64));
        match self.parts.gate.decide(proposed) {
            Err(refused) => refusal(id, is_tool, &refused),
            // The gate knows nothing of a server that there is not; were it otherwise, nobody could perform it.
            Ok(_) => Message::failure(Some(id), INTERNAL_ERROR, "nobody here has this"),
        }
    }

    /// What the client wants to hear of goes to every server, also to those that start later.
    pub(super) fn loud(&self, id: &Id, message: &Message) -> Option<Message> {
        let level = message.params().and_then(|params| params.text_of("level"));
        if level.is_none() {
            let what = "`logging/setLevel` names a level";
            return Some(Message::failure(Some(id), INVALID_PARAMS, what));
        }
        self.lock().level = Some(message.clone());
        for branch in &self.branches {
            if let Some(talk) = branch.now() {
                self.repeat(&talk);
            }
        }
        Message::success(id, "{}")
    }

    /// Tells a server what the client wants to hear of. One that tells nothing anyhow says so, to nobody.
    pub(super) fn repeat(&self, talk: &Arc<Talk>) {
        let Some(level) = self.lock().level.clone() else { return };
        let params = level.params().map(View::compact);
        talk.says("logging/setLevel", params.as_deref());
    }
}

/// Whether a server is to keep something for its client from this request on.
fn holds(message: &Message) -> bool {
    match message.method() {
        Some("resources/subscribe") => true,
        Some(method) => {
            method.starts_with("tasks/")
                || message.params().is_some_and(|params| params.get("task").is_some())
        }
        None => false,
    }
}

/// What a server does besides its tools, by the request for it.
const ACTS: [(&str, &str); 9] = [
    ("completion/complete", "completion"),
    ("prompts/get", "prompt"),
    ("resources/read", "resource"),
    ("resources/subscribe", "resource"),
    ("resources/unsubscribe", "resource"),
    ("tasks/cancel", "task"),
    ("tasks/get", "task"),
    ("tasks/result", "task"),
    ("tasks/update", "task"),
];
