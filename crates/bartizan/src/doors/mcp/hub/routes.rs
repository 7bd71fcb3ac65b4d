//! Which server is asked? The one that a request names, in its own words; what it says comes back under its name.

use super::super::call::{Act, Misread, refusal};
use super::super::tools::pseudo;
use super::super::{Talk, read_on, rest as kept, unmade};
use super::branch::Branch;
use super::names::Asked;
use super::{Counted, Hub, Parts, RELAYED};
use crate::config::own::READ_ON;
use crate::doors::calls::Whose;
use bartizan_gate::call::{Door, Proposed};
use bartizan_gate::name::ToolName;
use bartizan_mcp::conversation::Outbox;
use bartizan_mcp::rest;
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
        let (gate, caller) = (self.parts.gate.pipeline(), &self.parts.caller);
        let may = |kind: &str| {
            self.branches.iter().any(|branch| {
                let name = ToolName::parse(&pseudo(branch.name(), kind));
                name.is_ok_and(|name| gate.may_ever(caller, &name))
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
        let only = self.branches.first().filter(|_| self.parts.alone);
        let tool = || match only {
            Some(only) => format!("mcp__{}__{called}", only.name()),
            None => called.clone().into_owned(),
        };
        let act = || Act::of_tool(tool(), &called, params);
        let whose = match self.whose(id, ("tools/call", Some(&called)), message, act) {
            Ok(whose) => whose,
            Err(refused) => return Some(refused),
        };
        if called == READ_ON {
            return self.read_on(id, (params, whose), message, out).await;
        }
        if self.parts.tools.contains_key(&*called) {
            return Some(self.declared(id, (&called, &whose), message, out).await);
        }
        let unknown = || Act::of_tool(format!("mcp__{called}"), &called, params);
        self.ask(id, (self.asked("tools/call", message), whose), out, unknown).await
    }

    /// Who asks, or the answer to what is one too many.
    fn whose(
        &self,
        id: &Id,
        (method, tool): (&str, Option<&str>),
        message: &Message,
        act: impl FnOnce() -> Result<Act, Misread>,
    ) -> Result<Whose, Message> {
        let Some(reckon) = &self.parts.reckon else { return Ok(Whose::default()) };
        let act = act().map_err(|why| Message::failure(Some(id), INVALID_PARAMS, why))?;
        let is_tool = act.is_tool();
        let (judged, arguments) = act.judged();
        let proposal = message.meta().and_then(|meta| meta.text_of(PROPOSAL));
        let counted =
            Counted { method, tool, arguments: &arguments, proposal: proposal.as_deref() };
        reckon(counted).map_err(|refused| {
            let Parts { gate, caller, .. } = &self.parts;
            let id_shown = display_line(&id.to_string(), 64);
            let reference = Some(&*id_shown);
            let refused =
                gate.refused_by_door(caller, Door::Mcp, &judged, &arguments, reference, refused);
            refusal(id, is_tool, &refused)
        })
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
        let act = || Act::of_other(method, pseudo(&server, kind), message.params());
        match self.whose(id, (method, None), message, act) {
            Ok(whose) => self.ask(id, (asked, whose), out, act).await,
            Err(refused) => Some(refused),
        }
    }

    /// Asks the server, if there is one of this name. The answer goes out by itself.
    async fn ask(
        &self,
        id: &Id,
        (asked, whose): (Option<Asked>, Whose),
        out: &Outbox,
        unknown: impl FnOnce() -> Result<Act, Misread>,
    ) -> Option<Message> {
        let found = asked.and_then(|asked| Some((self.branch(&asked.server)?, asked.message)));
        let Some((branch, message)) = found else {
            return Some(self.unknown(id, &whose, unknown()));
        };
        self.lead(id, (branch, whose), message, out).await
    }

    /// A call of our tool goes to the server whose answer is read; it is started for that, since its tools say who may.
    async fn read_on(
        &self,
        id: &Id,
        (params, whose): (View<'_>, Whose),
        message: &Message,
        out: &Outbox,
    ) -> Option<Message> {
        let address = match read_on::address(params) {
            Ok(address) => address,
            Err(why) => return Some(Message::failure(Some(id), INVALID_PARAMS, why)),
        };
        let uri = kept::own(&address);
        let keeps = self.branches.iter().find(|branch| branch.rests().keeps(uri));
        let beyond = || self.branches.iter().find(|branch| branch.rests().beyond(uri).is_some());
        match keeps.or_else(beyond) {
            Some(branch) => self.lead(id, (branch, whose), message.clone(), out).await,
            None => Some(read_on::not_kept(id)),
        }
    }

    /// Leads a request to a server, and what comes of it back.
    async fn lead(
        &self,
        id: &Id,
        (branch, whose): (&Arc<Branch>, Whose),
        message: Message,
        out: &Outbox,
    ) -> Option<Message> {
        let used = match branch.ready().await {
            Ok(used) => used,
            Err(why) => return Some(Message::failure(Some(id), INTERNAL_ERROR, &why)),
        };
        if rest::holds(&message) {
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
        tokio::join!(talk.take_of(whose, message, to), back);
        None
    }

    /// What nobody offers is proposed all the same, so that the attempt is on the log.
    fn unknown(&self, id: &Id, whose: &Whose, act: Result<Act, Misread>) -> Message {
        let act = match act {
            Ok(act) => act,
            Err(why) => return Message::failure(Some(id), INVALID_PARAMS, why),
        };
        let is_tool = act.is_tool();
        let (tool, arguments) = act.judged();
        let proposal = || {
            Proposed::new(&self.parts.caller, Door::Mcp, tool.clone(), arguments.clone())
                .referring_to(display_line(&id.to_string(), 64))
        };
        match self.parts.gate.decide(whose.propose(&self.parts.gate, proposal)) {
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

/// Where Claude Code says which call of its model's a request is for.
const PROPOSAL: &str = "claudecode/toolUseId";

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
