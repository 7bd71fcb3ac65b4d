//! How does a server live that is somewhere else? As one that is started, but for its box: it has a session and a role of
//! its own, and every message to it is judged as theirs.

use super::super::super::ground::{Newcomer, Session};
use super::super::streams::SENT;
use super::super::told;
use super::Hall;
use super::keeper::{Keeper, Over};
use crate::config::Upstream;
use crate::doors::mcp::away::{Away, Parts};
use crate::report::Failure;
use bartizan_egress::{Clients, Courier, Resolver};
use bartizan_gate::name::{RoleName, ServerName};
use bartizan_mcp::bridge::{self, Ends};
use bartizan_mcp::stdio::Line;
use bartizan_mcp::wire::Message;
use bartizan_scan::ScanKey;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
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
        let session = match self.hall.enter((&self.name, &self.said.role), at) {
            Ok(session) => session,
            Err(failure) => return told(failure),
        };
        let why = self.speak(at, &session, (hello, over)).await.unwrap_or_else(told);
        self.hub.leave(self.name.as_str(), &why);
        let Session { gate, caller, keep, .. } = &session;
        drop(std::fs::remove_dir(keep));
        match gate.pipeline().dismiss(caller, None, json!({ "why": why })) {
            Ok(()) => why,
            Err(refused) => refused.hint(),
        }
    }

    async fn speak(
        &self,
        at: &Upstream,
        session: &Session,
        (hello, over): (&Message, &mut Over),
    ) -> Result<String, Failure> {
        let (to_server, sent) = mpsc::channel(SENT);
        let (lines, from_server) = mpsc::channel::<Line>(SENT);
        let (hear, heard) = mpsc::channel(super::super::streams::HEARD);
        let talk = self.talk(to_server, &session.caller.seat().session)?;
        let patience = self.said.timeout.unwrap_or(super::super::PATIENCE);
        let mut tasks = self.hall.reach((at, patience), session, sent, lines)?;
        tasks.spawn(Arc::clone(&talk).attend(heard));
        let gone = talk.upstream().attend(from_server, hear);
        Ok(tokio::select! {
            gone = gone => gone.to_string(),
            flaw = self.attend(&talk, hello) => flaw,
            _ = over.wait_for(|over| *over) => "it is over".to_owned(),
        })
    }
}

impl Hall {
    /// Lays the line between a conversation and its server, which lasts as long as what this gives.
    pub(in super::super) fn reach(
        &self,
        at: (&Upstream, Duration),
        session: &Session,
        sent: mpsc::Receiver<Message>,
        lines: mpsc::Sender<Line>,
    ) -> Result<JoinSet<()>, Failure> {
        let (came, from_away) = mpsc::channel::<Line>(SENT);
        let (server, to_away) = mpsc::channel(SENT);
        let mut tasks = JoinSet::new();
        tasks.spawn(Away::new(self.away(at, session, came)?).carry(to_away));
        tasks.spawn(bridge::carry(sent, from_away, Ends { server, lines }));
        Ok(tasks)
    }

    /// Where a server is, and how it is reached.
    fn away(
        &self,
        (at, patience): (&Upstream, Duration),
        session: &Session,
        lines: mpsc::Sender<Line>,
    ) -> Result<Parts, Failure> {
        let (ground, Session { gate, caller, .. }) = (&self.ground, session);
        let key = ScanKey::new(super::super::super::random()?);
        let injections = ground.config.egress.injections.iter();
        Ok(Parts {
            gate: Arc::clone(gate),
            caller: caller.clone(),
            courier: Courier::new(ground.vault.clone(), Resolver::system(), Clients::system(), key),
            secure: at.is_secure(),
            target: at.target().clone(),
            path: at.path().to_owned(),
            places: injections.map(|entry| (entry.binding.clone(), entry.place.clone())).collect(),
            patience,
            lines,
        })
    }

    /// Gives a server's own session its seat.
    pub(in super::super) fn enter(
        &self,
        (name, role): (&ServerName, &RoleName),
        at: &Upstream,
    ) -> Result<Session, Failure> {
        let ground = self.ground.under(self.ground.config.clone(), role.clone())?;
        let mut about = self.about(name);
        about.insert("url".to_owned(), json!(at.to_string()));
        let argv = [at.to_string()];
        ground.join(Newcomer::plain(Path::new("/bin/sh"), &argv, about), &self.session)
    }
}
