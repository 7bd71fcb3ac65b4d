//! A real gate on a real store, for tests of the doors.

use crate::app::Gate;
use bartizan_gate::name::{CanonicalPath, RoleName, SessionId};
use bartizan_gate::pipeline::Parts;
use bartizan_gate::policy::{Layer, Place, Policy, Roles, RuleVerdict, ShortForm};
use bartizan_gate::seat::{Caller, Seat};
use bartizan_gate::tool::Catalogue;
use bartizan_scan::{Redactor, ScanKey};
use bartizan_store::{Answer, Desk, Filter, Ledger, QuestionFilter, Store, Verdict};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// One session of a role that may do what `allow` says, and is asked for what `ask` says.
pub(crate) struct Trial {
    pub(crate) gate: Arc<Gate>,
    pub(crate) caller: Caller,
    store: Store,
    _folder: TempDir,
}

impl Trial {
    pub(crate) fn new(allow: &[&str], ask: &[&str]) -> Self {
        Self::beside(allow, ask, &[])
    }

    /// The same with subagents of the kind `helper`, whose role may do what `helps` says.
    pub(crate) fn beside(allow: &[&str], ask: &[&str], helps: &[&str]) -> Self {
        Self::on([allow, ask, helps], |store| Arc::new(store))
    }

    /// The same on a log that `ledger` makes of the store.
    pub(crate) fn on(
        [allow, ask, helps]: [&[&str]; 3],
        ledger: impl FnOnce(Store) -> Arc<dyn Ledger>,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let [role, helper] = ["coder", "helper"].map(|role| RoleName::parse(role).unwrap());
        let catalogue = Catalogue::builtin().unwrap();
        let rule = |role: &RoleName, verdict: RuleVerdict| {
            let role = role.clone();
            move |pattern: &&str| ShortForm {
                role: Some(role.clone()),
                verdict,
                pattern: (*pattern).to_owned(),
                when: None,
                layer: Layer::User,
                place: Place { file: "trial.toml".to_owned(), line: 1 },
            }
        };
        let allow = allow.iter().map(rule(&role, RuleVerdict::Allow));
        let ask = ask.iter().map(rule(&role, RuleVerdict::Ask { quorum: 1 }));
        let helps = helps.iter().map(rule(&helper, RuleVerdict::Allow));
        let rules: Vec<ShortForm> = allow.chain(ask).chain(helps).collect();
        let roles = [(role.clone(), Vec::new()), (helper.clone(), Vec::new())];
        let roles = Roles::new(roles).unwrap();
        let policy = Policy::load(&[], &rules, &roles, &catalogue, &[]).unwrap();
        let parts = Parts {
            catalogue: Arc::new(catalogue),
            policy: Arc::new(policy),
            ledger: ledger(store.clone()),
            desk: Arc::new(store.clone()),
            sessions: Arc::new(store.clone()),
            limits: Arc::default(),
            allowances: Arc::new(store.clone()),
            redactor: Arc::new(Redactor::new(ScanKey::new([7; 32]), None).unwrap()),
            rules: Arc::default(),
            question_lifetime: Duration::from_mins(10),
        };
        let gate = Arc::new(Gate::new(parts, "trial".to_owned(), false));
        let seat = Seat {
            only: None,
            session: SessionId::parse("s1").unwrap(),
            role: role.clone(),
            workspace: CanonicalPath::absolute(Path::new("/w")).unwrap(),
            home: "/home/anna".into(),
            visible: Vec::new(),
            subagents: BTreeMap::from([((role.clone(), "helper".to_owned()), helper)]),
            confined: BTreeMap::new(),
            private: Vec::new(),
            model_upstream: None,
            model_secret: None,
            logins: Vec::new(),
            credentials: Vec::new(),
        };
        let caller = gate.pipeline().admit(seat, &[], Map::new()).unwrap();
        Self { gate, caller, store, _folder: folder }
    }

    /// Says yes to the one question that is open.
    pub(crate) fn approve(&self) {
        let questions = self.store.questions(&QuestionFilter::default()).unwrap();
        assert_eq!(questions.len(), 1, "{questions:?}");
        let answer = Answer {
            approver: "local:anna".to_owned(),
            verdict: Verdict::Approve,
            reason: String::new(),
        };
        self.store.answer(&questions[0].id, answer).unwrap();
    }

    /// Waits until what nobody waits for is on the log, too.
    pub(crate) fn settle(&self) {
        drop(self.store.checkpoint().unwrap());
    }

    /// The records of one event.
    pub(crate) fn records(&self, event: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let seen = self.store.reader().each(&Filter::default(), |record| {
            found.push(record.value().clone());
            ControlFlow::Continue(())
        });
        seen.unwrap();
        found.retain(|record| record["event"] == event);
        found
    }
}
