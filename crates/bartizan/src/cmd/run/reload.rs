//! What if the policy changes while a session runs? It is read anew on `SIGUSR1`, and counts for every gate of this process
//! or for none.

use super::not_started;
use super::told::Told;
use super::unfit::Unfit;
use crate::app::Gate;
use crate::config::{self, Config, Places, Purpose, Source};
use crate::doors::mcp::tools::{Generation, unspoken};
use crate::report::{Failure, Problem};
use bartizan_gate::policy::{Policy, ShortForm};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Caller;
use bartizan_store::Event;
use serde_json::{Map, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// The gates of one process, and the configuration that their policies come from. Clones share both.
#[derive(Clone)]
pub(crate) struct Standing(Arc<Inner>);

struct Inner {
    places: Places,
    workspace: PathBuf,
    /// What the command line says of the configuration.
    given: Option<Source>,
    /// The session's own.
    gate: Arc<Gate>,
    caller: Caller,
    told: Told,
    state: Mutex<State>,
}

struct State {
    config: Config,
    others: Vec<Other>,
    /// How often another policy has come into force.
    turns: u64,
}

/// A gate over a server's tools, until its list changes.
struct Other {
    gate: Weak<Gate>,
    /// What holds for tools that the configuration does not speak of.
    rules: Vec<ShortForm>,
}

/// What each gate is to judge by.
type Policies = Vec<(Arc<Gate>, Policy)>;

impl Standing {
    pub(crate) fn new(
        (places, workspace, given): (Places, PathBuf, Option<Source>),
        config: Config,
        (gate, caller, told): (Arc<Gate>, Caller, Told),
    ) -> Self {
        let state = Mutex::new(State { config, others: Vec::new(), turns: 0 });
        Self(Arc::new(Inner { places, workspace, given, gate, caller, told, state }))
    }

    /// The session's own gate.
    pub(super) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Tells the person of tools that are not there, as far as that is news.
    pub(super) fn tell(&self, problems: Vec<Problem>) {
        self.0.told.tell(problems, &self.0.gate);
    }

    /// Makes a server's gate from the configuration that is in force, and changes its policy with the others from then on.
    /// No other policy comes into force meanwhile.
    pub(super) fn make(
        &self,
        make: impl FnOnce(&Config) -> Result<(Generation, Vec<ShortForm>), String>,
    ) -> Result<Generation, String> {
        let mut state = self.state();
        let (generation, rules) = make(&state.config)?;
        state.others.retain(|other| other.gate.strong_count() > 0);
        state.others.push(Other { gate: Arc::downgrade(&generation.gate), rules });
        Ok(generation)
    }

    /// How often another policy has come into force, also for tools that are known to no gate now. While one is coming, it
    /// waits.
    pub(super) fn turns(&self) -> u64 {
        self.state().turns
    }

    /// Tells where the policies do not fit a server's tools.
    pub(super) fn unfit(&self, server: &str) -> Unfit {
        Unfit::of(&self.0.gate, &self.0.caller, server)
    }

    /// Heeds the signal until the returned set is dropped.
    pub(super) fn heed(&self) -> Result<JoinSet<()>, Failure> {
        let asked = signal(SignalKind::user_defined1());
        let mut asked = asked.map_err(|error| {
            not_started(&format!("cannot wait for the signal to reload: {error}"))
        })?;
        let standing = self.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while asked.recv().await.is_some() {
                let standing = standing.clone();
                // Files are read, and the log may wait for its disk.
                drop(tokio::task::spawn_blocking(move || standing.reload()).await);
            }
        });
        Ok(tasks)
    }

    fn reload(&self) {
        let mut state = self.state();
        let said = match self.read(&state) {
            Ok((config, policies)) => {
                let said = self.adopt(policies);
                state.turns += 1;
                // Also when a gate could not record it: that one refuses, and the next gate is not an older one.
                state.config = config;
                said
            }
            Err(_) => self.keep(),
        };
        self.0.gate.say(&format!("bartizan: {said}"));
    }

    /// The policies alone, one for each gate: tools, secrets, boxes and hosts are those that the session began with.
    fn read(&self, state: &State) -> Result<(Config, Policies), Failure> {
        let Inner { places, workspace, given, gate, .. } = &*self.0;
        let new = match given {
            Some(given) => config::load_with_given(places, workspace, given)?,
            None => config::load(places, workspace, Purpose::Run)?,
        };
        let config = state.config.clone().judging_as(new);
        let others = state.others.iter();
        let others = others.filter_map(|other| Some((other.gate.upgrade()?, &other.rules)));
        let mut policies = Vec::new();
        for (gate, rules) in std::iter::once((Arc::clone(gate), &Vec::new())).chain(others) {
            let mut config = config.clone();
            config.rules.extend(unspoken(rules, &config.rules));
            let policy = config.policy(gate.pipeline().catalogue())?;
            policies.push((gate, policy));
        }
        Ok((config, policies))
    }

    fn adopt(&self, policies: Policies) -> String {
        let about = policies.first().map(|(_, policy)| (policy.digest(), policy.len()));
        let all = policies.into_iter().try_for_each(|(gate, policy)| -> Result<(), Refusal> {
            gate.replace(&self.0.caller, policy)
        });
        match (all, about) {
            (Ok(()), Some((digest, count))) => {
                format!("another policy is in force: {count} policies, sha256:{digest}")
            }
            (Ok(()), None) => "there is nothing to judge".to_owned(),
            (Err(refused), _) => {
                format!("the new policy is not in force everywhere: {}", refused.hint())
            }
        }
    }

    fn keep(&self) -> String {
        let Inner { gate, caller, .. } = &*self.0;
        let mut about = Map::new();
        about.insert("act".to_owned(), json!("policy-refused"));
        drop(gate.pipeline().note(caller, Event::ConfigChange, about));
        "the policy stays as it is: what was read has mistakes\n  hint: see them with: bartizan policy check; a new tool needs a new run"
            .to_owned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
