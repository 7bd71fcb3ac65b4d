//! What would the gate say of this call? Asked of the gate itself, with nothing behind it that could act or record.

use crate::app::Gate;
use crate::cli::exit;
use crate::cmd::run;
use crate::cmd::run::seat::{self, Sitter};
use crate::config::{Config, Places};
use crate::report::{Failure, Problem};
use bartizan_gate::call::{Door, Proposed};
use bartizan_gate::name::{RoleName, SessionId};
use bartizan_gate::pipeline::Parts;
use bartizan_gate::policy::{Judgement, Policy};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Caller;
use bartizan_gate::tool::Catalogue;
use bartizan_scan::{Redactor, ScanKey};
use bartizan_store as store;
use bartizan_store::{LedgerError, StoreError};
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A gate before which somebody of one role sits, who can ask and do nothing else.
#[derive(Debug)]
pub(crate) struct Bench {
    gate: Gate,
    caller: Caller,
}

impl Bench {
    /// A role's bench, as a run that is started in the current folder would have it.
    pub(crate) fn new(
        role: &RoleName,
        config: &Config,
        (catalogue, policy): (Catalogue, Policy),
        places: &Places,
    ) -> Result<Self, Failure> {
        let impossible = |what: String| Failure::new(exit::UNAVAILABLE, Problem::new(what));
        let redactor = Redactor::new(ScanKey::new([0; 32]), [])
            .map_err(|error| impossible(error.to_string()))?;
        let parts = Parts {
            catalogue: Arc::new(catalogue),
            policy: Arc::new(policy),
            ledger: Arc::new(Nowhere),
            desk: Arc::new(Nowhere),
            sessions: Arc::new(Nowhere),
            limits: Arc::default(),
            allowances: Arc::new(Nowhere),
            redactor: Arc::new(redactor),
            rules: Arc::default(),
            question_lifetime: Duration::ZERO,
        };
        let gate = Gate::new(parts, "explain".to_owned(), false);
        let session = SessionId::parse("explain").map_err(|error| impossible(error.to_string()))?;
        let mut config = config.clone();
        let around = run::narrowed(run::surroundings(places)?, &mut config, role)?;
        let seat = seat::take(&Sitter {
            config: &config,
            role,
            around: &around,
            session: &session,
            // Whatever it is, it brings no folder that matters to most questions.
            program: Path::new("/bin/sh"),
            boxes_commands: true,
            model: None,
            client: None,
        })?;
        let admitted = gate.pipeline().admit(seat, &[], Map::new());
        let caller = admitted.map_err(|refusal| impossible(refusal.hint()))?;
        Ok(Self { gate, caller })
    }

    /// What the policies say of a call, or why an earlier gate refuses it.
    pub(crate) fn ask(
        &self,
        tool: &str,
        arguments: Value,
        subagent: Option<&str>,
    ) -> Result<Judgement, Refusal> {
        let proposed = Proposed::new(&self.caller, Door::Explain, tool, arguments);
        let proposed = match subagent {
            Some(kind) => proposed.by_subagent(kind, "explained"),
            None => proposed,
        };
        self.gate.pipeline().explain(proposed)
    }

    /// Whether a call of this tool could ever be allowed or asked; `false` is certain.
    pub(crate) fn offers(&self, tool: &str) -> bool {
        self.gate.pipeline().offers(&self.caller, tool)
    }

    /// The policies that are asked.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.gate.pipeline().policy()
    }

    /// The tools that they are about.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        self.gate.pipeline().catalogue()
    }
}

/// A log, a desk and a register that take nothing: explaining leaves no trace and lets nothing happen.
struct Nowhere;

const NOTHING: &str = "explaining records nothing";

fn nothing() -> StoreError {
    StoreError::Ledger(LedgerError::Unrecordable { why: NOTHING.to_owned() })
}

impl store::Ledger for Nowhere {
    fn append_during(
        &self,
        _: store::Entry,
        _: store::Durability,
        _: &mut dyn FnMut(),
    ) -> Result<store::Receipt, LedgerError> {
        Err(LedgerError::Unrecordable { why: NOTHING.to_owned() })
    }
}

impl store::Allowances for Nowhere {
    fn spent(&self, _: &[store::Allowance]) -> Result<Option<store::Spent>, StoreError> {
        Ok(None)
    }

    fn spend(
        &self,
        _: Vec<store::Allowance>,
        _: store::Entry,
    ) -> Result<Result<store::Receipt, store::Spent>, StoreError> {
        Err(nothing())
    }
}

impl store::Desk for Nowhere {
    fn ask(&self, _: store::NewQuestion) -> Result<store::Question, StoreError> {
        Err(nothing())
    }

    fn questions(&self, _: &store::QuestionFilter) -> Result<Vec<store::Question>, StoreError> {
        Err(nothing())
    }

    fn question(&self, _: &str) -> Result<store::Question, StoreError> {
        Err(nothing())
    }

    fn answer(&self, _: &str, _: store::Answer) -> Result<store::Question, StoreError> {
        Err(nothing())
    }

    fn given(&self, _: &store::ApprovalKey) -> Result<store::Given, StoreError> {
        Err(nothing())
    }

    fn consume(&self, _: &store::ApprovalKey) -> Result<store::Consumed, StoreError> {
        Err(nothing())
    }

    fn withdraw(&self, _: &str) -> Result<store::Question, StoreError> {
        Err(nothing())
    }

    fn defer(
        &self,
        _: &str,
        _: &store::Deferral,
        _: Duration,
    ) -> Result<store::Question, StoreError> {
        Err(nothing())
    }

    fn adopt(&self, _: &store::ApprovalKey, _: &store::Deferral) -> Result<bool, StoreError> {
        Err(nothing())
    }

    fn undefer(&self, _: &str) -> Result<(), StoreError> {
        Err(nothing())
    }

    fn endorse(&self, _: &str, _: &str, _: &[store::Digest]) -> Result<(), StoreError> {
        Err(nothing())
    }

    /// Nobody has vouched for anything here.
    fn endorsed(&self, _: &str) -> Result<Vec<store::Endorsement>, StoreError> {
        Ok(Vec::new())
    }
}

impl store::Sessions for Nowhere {
    /// The one thing that is granted, since a caller without a session cannot be explained anything.
    fn begin(&self, new: store::NewSession) -> Result<store::Session, StoreError> {
        Ok(store::Session {
            id: new.id,
            agent: new.agent,
            pid: std::process::id(),
            started_ticks: 0,
            boot_id: String::new(),
            workspace: new.workspace,
            argv: new.argv,
            started_ms: 0,
            ended_ms: None,
            exit: None,
            report: None,
        })
    }

    fn end(&self, _: &str, _: store::Ending) -> Result<store::Session, StoreError> {
        Err(nothing())
    }

    fn session(&self, _: &str) -> Result<store::Session, StoreError> {
        Err(nothing())
    }

    fn sessions(&self, _: store::SessionFilter) -> Result<Vec<store::Session>, StoreError> {
        Err(nothing())
    }
}
