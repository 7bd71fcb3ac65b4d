//! What if the policy changes while a session runs? It is read anew on `SIGUSR1`, and counts whole or not at all.

use super::not_started;
use crate::app::Gate;
use crate::config::{self, Places, Purpose};
use crate::report::Failure;
use bartizan_gate::policy::Policy;
use bartizan_gate::seat::Caller;
use bartizan_store::Event;
use serde_json::{Map, json};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Whose policy is read anew, and from where.
#[derive(Clone)]
pub(super) struct Reload {
    pub(super) gate: Arc<Gate>,
    pub(super) caller: Caller,
    pub(super) places: Places,
    pub(super) workspace: PathBuf,
}

impl Reload {
    /// Heeds the signal until the returned set is dropped.
    pub(super) fn heed(self) -> Result<JoinSet<()>, Failure> {
        let asked = signal(SignalKind::user_defined1());
        let mut asked = asked.map_err(|error| {
            not_started(&format!("cannot wait for the signal to reload: {error}"))
        })?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while asked.recv().await.is_some() {
                let reload = self.clone();
                // Files are read, and the log may wait for its disk.
                drop(tokio::task::spawn_blocking(move || reload.run()).await);
            }
        });
        Ok(tasks)
    }

    fn run(&self) {
        let said = match self.read() {
            Ok(policy) => self.adopt(policy),
            Err(_) => self.keep(),
        };
        self.gate.say(&format!("bartizan: {said}"));
    }

    fn adopt(&self, policy: Policy) -> String {
        let (digest, count) = (policy.digest(), policy.len());
        match self.gate.replace(&self.caller, policy) {
            Ok(()) => format!("another policy is in force: {count} policies, sha256:{digest}"),
            Err(refused) => format!("the policy stays as it is: {}", refused.hint()),
        }
    }

    fn keep(&self) -> String {
        let mut about = Map::new();
        about.insert("act".to_owned(), json!("policy-refused"));
        drop(self.gate.pipeline().note(&self.caller, Event::ConfigChange, about));
        "the policy stays as it is: what was read has mistakes\n  hint: see them with: bartizan policy check; a new tool needs a new run"
            .to_owned()
    }

    /// The policy alone: tools, secrets, boxes and hosts are those that the session began with.
    fn read(&self) -> Result<Policy, Failure> {
        let config = config::load(&self.places, &self.workspace, Purpose::Run)?;
        config.policy(self.gate.pipeline().catalogue())
    }
}
