//! How does a server live that is somewhere else? As one that is started, but for its box: it has a session and a role of
//! its own, and every message to it is judged as theirs.

use super::super::super::{seat, session_id, state_failure};
use super::super::streams::SENT;
use super::super::told;
use super::keeper::{Keeper, Over};
use crate::cmd::run::seat::Sitter;
use crate::config::Upstream;
use crate::doors::mcp::away::{Away, Parts};
use crate::report::Failure;
use bartizan_egress::{Clients, Courier, Resolver};
use bartizan_gate::seat::Caller;
use bartizan_mcp::stdio::Line;
use bartizan_mcp::wire::Message;
use bartizan_scan::ScanKey;
use serde_json::{Map, json};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

impl Keeper {
    /// One life of the conversation with the server: why it ended.
    pub(super) async fn live_away(
        &self,
        at: &Upstream,
        hello: &Message,
        over: &mut Over,
    ) -> String {
        let caller = match self.enter(at) {
            Ok(caller) => caller,
            Err(failure) => return told(failure),
        };
        let why = self.speak(at, &caller, (hello, over)).await.unwrap_or_else(told);
        self.hub.leave(self.name.as_str(), &why);
        match self.hall.gate.pipeline().dismiss(&caller, None, json!({ "why": why })) {
            Ok(()) => why,
            Err(refused) => refused.hint(),
        }
    }

    async fn speak(
        &self,
        at: &Upstream,
        caller: &Caller,
        (hello, over): (&Message, &mut Over),
    ) -> Result<String, Failure> {
        let (to_server, sent) = mpsc::channel(SENT);
        let (lines, from_server) = mpsc::channel::<Line>(SENT);
        let (hear, heard) = mpsc::channel(super::super::streams::HEARD);
        let talk = self.talk(to_server, &caller.seat().session)?;
        let away = Away::new(self.parts(at, caller, lines)?);
        let mut tasks = JoinSet::new();
        tasks.spawn(away.carry(sent));
        tasks.spawn(Arc::clone(&talk).attend(heard));
        let gone = talk.upstream().attend(from_server, hear);
        Ok(tokio::select! {
            gone = gone => gone.to_string(),
            flaw = self.attend(&talk, hello) => flaw,
            _ = over.wait_for(|over| *over) => "it is over".to_owned(),
        })
    }

    fn parts(
        &self,
        at: &Upstream,
        caller: &Caller,
        lines: mpsc::Sender<Line>,
    ) -> Result<Parts, Failure> {
        let hall = &self.hall;
        let key = ScanKey::new(super::super::super::random()?);
        let injections = hall.config.egress.injections.iter();
        Ok(Parts {
            gate: Arc::clone(&hall.gate),
            caller: caller.clone(),
            courier: Courier::new(hall.vault.clone(), Resolver::system(), Clients::system(), key),
            secure: at.is_secure(),
            target: at.target().clone(),
            path: at.path().to_owned(),
            places: injections.map(|entry| (entry.binding.clone(), entry.place.clone())).collect(),
            patience: self.said.timeout.unwrap_or(super::super::PATIENCE),
            lines,
        })
    }

    /// Gives the server's own session its seat.
    fn enter(&self, at: &Upstream) -> Result<Caller, Failure> {
        let (hall, role) = (&self.hall, &self.said.role);
        let session = session_id()?;
        let seat = seat::take(&Sitter {
            config: &hall.config,
            role,
            around: &hall.around,
            session: &session,
            program: Path::new("/bin/sh"),
            boxes_commands: false,
            model: None,
        })?;
        let mut about = Map::new();
        about.insert("server".to_owned(), json!(self.name));
        about.insert("url".to_owned(), json!(at.to_string()));
        about.insert("for_session".to_owned(), json!(hall.caller.seat().session));
        let admitted = hall.gate.pipeline().admit(seat, &[at.to_string()], about);
        admitted.map_err(|refused| state_failure(&refused.hint()))
    }
}
