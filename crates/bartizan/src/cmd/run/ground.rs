//! On what does every session stand, whichever door it comes in by? It is laid in the one order that is safe: what killed
//! runs left is taken back before anything is lent, and what is lent is hidden before there is a log to write to.

use super::leftovers::tidy;
use super::seat::{self, Sitter};
use super::stand_ins::placeholders;
use super::surroundings::Surroundings;
use super::told::Told;
use super::way_out;
use super::{Run, known_tools, model, narrowed, not_started, state_failure};
use crate::app::Gate;
use crate::client::Client;
use crate::cmd::secret;
use crate::config::{Config, Places};
use crate::desk::anchored::Anchored;
use crate::desk::herald::Heralds;
use crate::doors::model::Conversation;
use crate::machine::random;
use crate::memory::{self, Swap};
use crate::opinion::Opinions;
use crate::report::{Failure, Voice};
use bartizan_egress::{Allowances, Vault};
use bartizan_gate::name::{HostPort, RoleName, SessionId, ToolName};
use bartizan_gate::pipeline::Parts;
use bartizan_gate::policy::Policy;
use bartizan_gate::seat::Caller;
use bartizan_gate::tool::Catalogue;
use bartizan_scan::{KnownSecret, Redactor};
use bartizan_store::Store;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// What is there before a session is.
#[derive(Clone)]
pub(crate) struct Ground {
    /// Where configuration and state are.
    pub(crate) places: Places,
    /// The person's machine, as the box will see it.
    pub(crate) around: Surroundings,
    /// Everything configured.
    pub(crate) config: Config,
    /// The main agent's role.
    pub(crate) role: RoleName,
    /// The log, the questions and the sessions.
    pub(crate) store: Store,
    /// What lends the secrets.
    pub(crate) vault: Vault,
    /// Whether what is lent can reach a swap device.
    swap: Swap,
}

/// A session that the gate knows.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) gate: Arc<Gate>,
    pub(crate) caller: Caller,
    pub(crate) redactor: Redactor,
    pub(crate) conversation: Conversation,
    /// The folder of what is kept of it.
    pub(crate) keep: PathBuf,
    /// What the person knows of tools that are not there.
    pub(crate) told: Told,
    /// What its boxes may still take of the network.
    pub(crate) allowances: Arc<Allowances>,
}

/// Who comes in.
pub(crate) struct Newcomer<'a> {
    pub(crate) program: &'a Path,
    pub(crate) argv: &'a [String],
    /// Whether the shell commands of subagents get boxes of their roles.
    pub(crate) boxes_commands: bool,
    /// Where the model route leads, if there is one.
    pub(crate) model: Option<&'a HostPort>,
    /// The client that is run, if its manners are known.
    pub(crate) client: Option<Client>,
    /// What the log says of it beside what it says of every session.
    pub(crate) about: Map<String, Value>,
}

impl<'a> Newcomer<'a> {
    /// One that has no model and no subagents.
    pub(crate) fn plain(program: &'a Path, argv: &'a [String], about: Map<String, Value>) -> Self {
        Self { program, argv, boxes_commands: false, model: None, client: None, about }
    }
}

impl Session {
    /// The same, whose agent may call these tools alone. What its box does by itself (it starts, speaks to its model,
    /// reaches hosts) is proposed under names that no agent can call by, and stays as it is.
    pub(super) fn narrowed(self, only: Option<BTreeSet<ToolName>>) -> Self {
        let Some(mut only) = only else { return self };
        let catalogue = self.gate.pipeline().catalogue();
        let names = catalogue.iter().map(|tool| tool.name());
        let of_box = |name: &&ToolName| {
            ["model.", "net.", "process."].iter().any(|kind| name.as_str().starts_with(kind))
        };
        let of_doors = names.filter(of_box);
        only.extend(of_doors.cloned());
        Self { caller: self.caller.narrowed(only), ..self }
    }
}

impl Ground {
    /// Lays the ground for `role`, and ends what killed runs have left on it.
    pub(crate) fn lay(
        (places, around, mut config): (Places, Surroundings, Config),
        role: RoleName,
        runtime: &Runtime,
        voice: &mut Voice,
    ) -> Result<Self, Failure> {
        let around = narrowed(around, &mut config, &role)?;
        let store =
            Store::open(&places.state).map_err(|error| state_failure(&error.to_string()))?;
        tidy(&store, &places, voice)?;
        let swap = memory::lock();
        let vault = secret::vault(&config, &places, Some(&around.workspace), &store);
        runtime.block_on(secret::recover(&vault, voice))?;
        Ok(Self { places, around, config, role, store, vault, swap })
    }

    /// Those who tell people of questions and flags from now on, as long as the runtime lasts.
    pub(crate) fn heralds(&self, runtime: &Runtime) -> Result<Heralds, Failure> {
        Heralds::begin(&self.config.notify, (&self.store, &self.vault), runtime.handle())
    }

    /// The same ground for another role, as `config` describes it.
    pub(crate) fn under(&self, mut config: Config, role: RoleName) -> Result<Self, Failure> {
        let around = narrowed(self.around.clone(), &mut config, &role)?;
        Ok(Self { around, config, role, ..self.clone() })
    }

    /// Opens a session with a gate of its own. `known` are secrets that were resolved before there was one; a gate that is
    /// `aloud` tells the person what it refuses.
    pub(crate) fn open(
        &self,
        who: Newcomer<'_>,
        (known, aloud): (Vec<KnownSecret>, bool),
        voice: &mut Voice,
    ) -> Result<Session, Failure> {
        let id = session_id()?;
        let (catalogue, told) = known_tools(&self.config, &self.store, voice)?;
        let policy = self.config.policy(&catalogue)?;
        let (redactor, conversation) =
            model::conversation((&self.config, &self.role), &self.around, &self.places, known)?;
        self.vault.hide_in(&redactor);
        let judged = (catalogue, policy, &self.config);
        let gate = gate(&self.store, judged, redactor.clone(), &id, aloud);
        if let Some(asked) = &self.config.second_opinion {
            gate.advised_by(Opinions::new(asked.clone(), self.vault.clone(), redactor.clone()));
        }
        self.admit(who, &id, (Arc::new(gate), redactor, conversation, told))
    }

    /// Opens a session beside `first`, before the same gate.
    pub(crate) fn join(&self, who: Newcomer<'_>, first: &Session) -> Result<Session, Failure> {
        let Session { gate, redactor, conversation, told, .. } = first;
        let shared = (Arc::clone(gate), redactor.clone(), conversation.clone(), told.clone());
        self.admit(who, &session_id()?, shared)
    }

    fn admit(
        &self,
        who: Newcomer<'_>,
        id: &SessionId,
        (gate, redactor, conversation, told): (Arc<Gate>, Redactor, Conversation, Told),
    ) -> Result<Session, Failure> {
        let keep = self.folder(id)?;
        let seat = seat::take(&Sitter {
            config: &self.config,
            role: &self.role,
            around: &self.around,
            session: id,
            program: who.program,
            boxes_commands: who.boxes_commands,
            model: who.model,
            client: who.client,
        })?;
        let mut about = self.facts(&gate);
        about.extend(who.about);
        let admitted = gate.pipeline().admit(seat, who.argv, about);
        let caller = admitted.map_err(|refused| state_failure(&refused.hint()))?;
        let allowances = way_out::allowances(&self.config, &self.role);
        Ok(Session { gate, caller, redactor, conversation, keep, told, allowances })
    }

    /// What the log says of every session.
    fn facts(&self, gate: &Gate) -> Map<String, Value> {
        let files = self.config.files.iter().map(|(_, path)| path.to_string_lossy());
        let mut facts = Map::new();
        let mut add = |key: &str, value: Value| facts.insert(key.to_owned(), value);
        add("version", json!(env!("CARGO_PKG_VERSION")));
        add("policy_digest", json!(gate.pipeline().policy().digest().to_string()));
        add("configuration", files.collect());
        add("memory", json!(self.swap.word()));
        facts
    }

    fn folder(&self, session: &SessionId) -> Result<PathBuf, Failure> {
        let folder = self.places.state.join("sessions").join(session.as_str());
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| Failure::file("make", &folder, &error))?;
        Ok(folder)
    }

    /// A run of `session` on this ground.
    pub(super) fn run(self, session: Session, client: Option<Client>) -> Result<Run, Failure> {
        let Self { places, around, config, role, vault, store, swap: _ } = self;
        let Session { gate, caller, conversation, keep, redactor, told, allowances } = session;
        let placeholders = Arc::new(placeholders(&config)?);
        // Wherever one turns up on the log, it is its name that stands there, and a rule that looks for it.
        for (name, value) in placeholders.canaries() {
            let known = KnownSecret { name: name.to_string(), value: value.to_owned().into() };
            redactor.learn(known).map_err(|error| not_started(&error.to_string()))?;
        }
        Ok(Run {
            gate,
            caller,
            around,
            config,
            role,
            client,
            keep,
            store,
            told,
            places,
            conversation,
            placeholders,
            vault,
            allowances,
            asks: None,
            entries: Vec::new(),
        })
    }
}

/// Ends the runtime, then signs what is on the log by now. A thread that still carries a stream may hold the store, which
/// is then not closed before the process ends; what was abandoned last would stay unsigned.
pub(super) fn close(runtime: Runtime, store: &Store) {
    runtime.shutdown_timeout(Duration::from_millis(100));
    // A log that has failed was told of where it was needed.
    drop(store.checkpoint());
}

/// A gate over what is known, what policy says of it, and what is configured of limits and of runs that have turned.
pub(crate) fn gate(
    store: &Store,
    judged: Judged<'_>,
    redactor: Redactor,
    session: &SessionId,
    aloud: bool,
) -> Gate {
    Gate::new(parts(store, judged, redactor), session.to_string(), aloud)
}

/// Another one beside `first`, for the tools of a server.
pub(crate) fn gate_beside(
    first: &Gate,
    store: &Store,
    judged: Judged<'_>,
    redactor: Redactor,
    session: &SessionId,
) -> Gate {
    first.beside(parts(store, judged, redactor), session.to_string())
}

/// What a gate judges by.
type Judged<'a> = (Catalogue, Policy, &'a Config);

fn parts(store: &Store, (catalogue, policy, config): Judged<'_>, redactor: Redactor) -> Parts {
    if let Some(bytes) = config.audit.keep_free {
        store.keep_free(bytes);
    }
    let ledger = Arc::new(Anchored::new(store.clone(), config.audit));
    Parts {
        catalogue: Arc::new(catalogue),
        policy: Arc::new(policy),
        ledger: Arc::<Anchored>::clone(&ledger),
        desk: Arc::new(store.clone()),
        sessions: Arc::new(store.clone()),
        limits: Arc::new(config.limits()),
        allowances: ledger,
        redactor: Arc::new(redactor),
        rules: Arc::new(config.watch.clone()),
        question_lifetime: QUESTION_LIFETIME,
    }
}

fn session_id() -> Result<SessionId, Failure> {
    // 48 bits are enough to tell sessions apart, and few enough to be typed.
    let text = format!("{:012x}", u64::from_be_bytes(random()?) >> 16);
    SessionId::parse(&text).map_err(|error| state_failure(&error.to_string()))
}

/// How long a question, and an approval given to it, is good.
const QUESTION_LIFETIME: Duration = Duration::from_hours(1);
