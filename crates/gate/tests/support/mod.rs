//! A real gate on a real store, for tests that send proposals through it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fixture that cannot be built fails its test"
)]
#![expect(dead_code, reason = "each test uses a part of it")]
#![expect(clippy::disallowed_methods, reason = "a gate of the test's own")]

use bartizan_gate::call::{Decision, Door, Proposed};
use bartizan_gate::limit::Limits;
use bartizan_gate::name::{CanonicalPath, HostPort, RoleName, SessionId, ToolName};
use bartizan_gate::pipeline::{Parts, Pipeline};
use bartizan_gate::policy::{Layer, Place, Policy, Roles, RuleVerdict, ShortForm};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::{Caller, Confines, Seat};
use bartizan_gate::tool::Catalogue;
use bartizan_gate::watch::{OnFlag, Rules};
use bartizan_scan::{KnownSecret, Redactor, ScanKey};
use bartizan_store::{
    Answer, Desk, Durability, Entry, Filter, Ledger, LedgerError, Receipt, Store, Verdict,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A secret that the session has resolved; built here so that no scanner trips on the repository.
pub(crate) const SECRET: &str = "correct-horse-battery-staple-0123456789";

pub(crate) struct Fixture {
    pub(crate) pipeline: Pipeline,
    pub(crate) caller: Caller,
    pub(crate) store: Store,
    parts: Parts,
    _dir: TempDir,
}

impl Fixture {
    /// One role, `coder`, with these rules and nothing built in.
    pub(crate) fn new(rules: &[ShortForm]) -> Self {
        Self::with_roles(rules, "coder", "coder")
    }

    /// The built-in policy alone.
    pub(crate) fn builtin() -> Self {
        let roles = Roles::new([(role("coder"), vec![role("default")])]).unwrap();
        let catalogue = Catalogue::builtin().unwrap();
        let policy =
            Policy::load(&Policy::builtin_sources(), &[], &roles, &catalogue, &[]).unwrap();
        Self::on(catalogue, policy, "coder", "coder")
    }

    /// As [`Fixture::new`], where only `approvers` may say yes.
    pub(crate) fn with_approvers(rules: &[ShortForm], approvers: &[&str]) -> Self {
        let roles = Roles::new([(role("coder"), Vec::new())]).unwrap();
        let catalogue = Catalogue::builtin().unwrap();
        let approvers: Vec<String> = approvers.iter().map(ToString::to_string).collect();
        let policy = Policy::load(&[], rules, &roles, &catalogue, &approvers).unwrap();
        Self::on(catalogue, policy, "coder", "coder")
    }

    /// Rules for two roles; `Explore` subagents have the second.
    pub(crate) fn with_roles(rules: &[ShortForm], parent: &str, child: &str) -> Self {
        let names = if parent == child { vec![parent] } else { vec![parent, child] };
        let roles = Roles::new(names.into_iter().map(|name| (role(name), Vec::new()))).unwrap();
        let catalogue = Catalogue::builtin().unwrap();
        let policy = Policy::load(&[], rules, &roles, &catalogue, &[]).unwrap();
        Self::on(catalogue, policy, parent, child)
    }

    /// As [`Fixture::new`], with a log that takes nothing.
    pub(crate) fn without_log(rules: &[ShortForm]) -> Self {
        let mut fixture = Self::new(rules);
        let parts = Parts { ledger: Arc::new(BrokenLedger), ..fixture.parts.clone() };
        fixture.pipeline = Pipeline::new(parts, "broken".to_owned());
        fixture
    }

    /// The same at another desk.
    pub(crate) fn at(mut self, desk: impl Desk + 'static) -> Self {
        self.parts.desk = Arc::new(desk);
        self.pipeline = Pipeline::new(self.parts.clone(), "desk".to_owned());
        self
    }

    /// As [`Fixture::with_roles`], where the child's own box is narrower.
    pub(crate) fn with_narrower(mut rules: Vec<ShortForm>, confines: Confines) -> Self {
        for rule in &mut rules {
            rule.role = None;
        }
        let roles = Roles::new(["coder", "leaf"].map(|name| (role(name), Vec::new()))).unwrap();
        let catalogue = Catalogue::builtin().unwrap();
        let policy = Policy::load(&[], &rules, &roles, &catalogue, &[]).unwrap();
        Self::within(catalogue, policy, "coder", "leaf", Some(confines))
    }

    /// The same gate, which does this when a rule of high severity flags the run.
    pub(crate) fn on_flag(mut self, on_flag: OnFlag) -> Self {
        let mut rules = Rules::builtin().unwrap();
        rules.on_flag = on_flag;
        self.parts.rules = Arc::new(rules);
        self.pipeline = Pipeline::new(self.parts.clone(), "watched".to_owned());
        self
    }

    /// From now on another gate beside this one, which is given back.
    pub(crate) fn beside(&mut self) -> Pipeline {
        let beside = self.pipeline.beside(self.parts.clone(), "beside".to_owned());
        std::mem::replace(&mut self.pipeline, beside)
    }

    /// The same gate, with these limits.
    pub(crate) fn limited(mut self, limits: Limits) -> Self {
        self.parts.limits = Arc::new(limits);
        self.pipeline = Pipeline::new(self.parts.clone(), "limited".to_owned());
        self
    }

    /// As [`Fixture::new`], with tools of the test's own besides.
    pub(crate) fn with_tools(tools: &str, rules: &[ShortForm]) -> Self {
        let roles = Roles::new([(role("coder"), Vec::new())]).unwrap();
        let mut catalogue = Catalogue::builtin().unwrap();
        catalogue.add(tools).unwrap();
        let policy = Policy::load(&[], rules, &roles, &catalogue, &[]).unwrap();
        Self::on(catalogue, policy, "coder", "coder")
    }

    /// One role, `coder`, with these rules over these tools; or what is wrong with the rules.
    pub(crate) fn with_catalogue(
        catalogue: Catalogue,
        rules: &[ShortForm],
    ) -> Result<Self, String> {
        let roles = Roles::new([(role("coder"), Vec::new())]).unwrap();
        let policy = Policy::load(&[], rules, &roles, &catalogue, &[]);
        Ok(Self::on(catalogue, policy.map_err(|errors| errors.to_string())?, "coder", "coder"))
    }

    /// A second seat at the same gate, narrowed to these tools.
    pub(crate) fn narrowed(&self, tools: &[&str]) -> Caller {
        let only = tools.iter().map(|name| ToolName::parse(name).unwrap()).collect();
        let session = SessionId::parse("s2").unwrap();
        let seat = Seat { only: Some(only), session, ..self.caller.seat().clone() };
        self.pipeline.admit(seat, &[], Map::new()).unwrap()
    }

    fn on(catalogue: Catalogue, policy: Policy, parent: &str, child: &str) -> Self {
        Self::within(catalogue, policy, parent, child, None)
    }

    fn within(
        catalogue: Catalogue,
        policy: Policy,
        parent: &str,
        child: &str,
        confined: Option<Confines>,
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let known = KnownSecret { name: "test".to_owned(), value: SECRET.to_owned().into() };
        let parts = Parts {
            catalogue: Arc::new(catalogue),
            policy: Arc::new(policy),
            ledger: Arc::new(store.clone()),
            desk: Arc::new(store.clone()),
            sessions: Arc::new(store.clone()),
            limits: Arc::default(),
            allowances: Arc::new(store.clone()),
            redactor: Arc::new(Redactor::new(ScanKey::new([7; 32]), [known]).unwrap()),
            rules: Arc::new(Rules::builtin().unwrap()),
            question_lifetime: Duration::from_mins(10),
        };
        let pipeline = Pipeline::new(parts.clone(), "test".to_owned());
        let seat = Seat {
            only: None,
            session: SessionId::parse("s1").unwrap(),
            role: role(parent),
            workspace: path("/home/anna/project"),
            home: "/home/anna".into(),
            visible: vec![path("/usr")],
            subagents: BTreeMap::from([((role(parent), "Explore".to_owned()), role(child))]),
            confined: confined.map(|confines| (role(child), confines)).into_iter().collect(),
            private: Vec::new(),
            model_upstream: Some(HostPort::parse("127.0.0.1:8080").unwrap()),
            model_secret: None,
            logins: Vec::new(),
            credentials: Vec::new(),
        };
        let caller = pipeline.admit(seat, &[], Map::new()).unwrap();
        Self { pipeline, caller, store, parts, _dir: dir }
    }

    pub(crate) fn decide(&self, (tool, arguments): (&str, Value)) -> Result<Decision, Refusal> {
        self.pipeline.decide(Proposed::new(&self.caller, Door::Hook, tool, arguments))
    }

    /// The caller of another session, behind the same gate.
    pub(crate) fn another(&self, session: &str, argv: &[&str]) -> Caller {
        let seat =
            Seat { session: SessionId::parse(session).unwrap(), ..self.caller.seat().clone() };
        let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
        self.pipeline.admit(seat, &argv, Map::new()).unwrap()
    }

    /// Proposes a call that must be asked, and returns the question's id.
    pub(crate) fn asked(&self, call: (&str, Value)) -> String {
        match self.decide(call).unwrap() {
            Decision::Ask(pending) => match self.pipeline.ask(pending) {
                Refusal::ApprovalRequired { question, .. } => question,
                other => panic!("not asked: {other}"),
            },
            Decision::Allow(_) => panic!("allowed without a question"),
        }
    }

    pub(crate) fn approve(&self, question: &str, approver: &str) {
        let answer =
            Answer { approver: approver.into(), verdict: Verdict::Approve, reason: String::new() };
        self.store.answer(question, answer).unwrap();
    }

    /// `allowed`, or the code of the refusal.
    pub(crate) fn outcome_code(&self, call: (&str, Value)) -> &'static str {
        match self.decide(call) {
            Ok(Decision::Allow(_)) => "allowed",
            Ok(Decision::Ask(pending)) => self.pipeline.ask(pending).code(),
            Err(refused) => refused.code(),
        }
    }

    pub(crate) fn records(&self) -> Vec<Value> {
        self.whole_log().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn whole_log(&self) -> String {
        let mut log = String::new();
        let seen = self.store.reader().each(&Filter::default(), |record| {
            log.push_str(&record.value().to_string());
            log.push('\n');
            std::ops::ControlFlow::Continue(())
        });
        seen.unwrap();
        log
    }

    pub(crate) fn record(&self, call: &str, event: &str) -> Value {
        let found = self.records().into_iter().find(|r| r["call"] == call && r["event"] == event);
        found.unwrap_or_else(|| panic!("no {event} of {call}"))
    }

    pub(crate) fn last(&self, event: &str) -> Value {
        self.records().into_iter().rfind(|record| record["event"] == event).unwrap()
    }
}

fn role(name: &str) -> RoleName {
    RoleName::parse(name).unwrap()
}

fn path(text: &str) -> CanonicalPath {
    CanonicalPath::absolute(Path::new(text)).unwrap()
}

struct BrokenLedger;

impl Ledger for BrokenLedger {
    fn append_during(
        &self,
        _: Entry,
        _: Durability,
        _: &mut dyn FnMut(),
    ) -> Result<Receipt, LedgerError> {
        Err(LedgerError::Failed { why: "the disk is full".into() })
    }
}

/// Rules for role `coder`.
pub(crate) fn rules(verdict: &str, patterns: &[&str]) -> Vec<ShortForm> {
    let verdict = match verdict {
        "allow" => RuleVerdict::Allow,
        "ask" => RuleVerdict::Ask { quorum: 1 },
        "deny" => RuleVerdict::Deny,
        other => panic!("no such verdict: {other}"),
    };
    patterns
        .iter()
        .enumerate()
        .map(|(line, pattern)| rule("coder", verdict, pattern, line))
        .collect()
}

/// One rule for role `coder` with a condition.
pub(crate) fn when(verdict: &str, pattern: &str, condition: &str) -> ShortForm {
    let mut rule = rules(verdict, &[pattern]).remove(0);
    rule.when = Some(condition.to_owned());
    rule
}

pub(crate) fn ask_of(pattern: &str, quorum: u32) -> ShortForm {
    rule("coder", RuleVerdict::Ask { quorum }, pattern, 0)
}

fn rule(name: &str, verdict: RuleVerdict, pattern: &str, line: usize) -> ShortForm {
    let place = Place { file: "test.toml".to_owned(), line: u32::try_from(line).unwrap() + 1 };
    ShortForm {
        layer: Layer::User,
        role: Some(role(name)),
        verdict,
        pattern: pattern.to_owned(),
        when: None,
        place,
    }
}

/// Up to six rules of any kind for one role.
pub(crate) fn any_rules(name: &'static str) -> impl Strategy<Value = Vec<ShortForm>> {
    let verdict = prop_oneof![
        3 => Just(RuleVerdict::Allow),
        1 => (1u32..4).prop_map(|quorum| RuleVerdict::Ask { quorum }),
        1 => Just(RuleVerdict::Deny),
    ];
    let pattern = prop::sample::select(vec![
        "*",
        "Read",
        "Read(src/*)",
        "Bash",
        "Bash(git *)",
        "Write(src/*)",
        "Write",
    ]);
    let one = (verdict, pattern);
    prop::collection::vec(one, 0..6).prop_map(move |rules| {
        rules
            .into_iter()
            .enumerate()
            .map(|(line, (verdict, pattern))| rule(name, verdict, pattern, line))
            .collect()
    })
}

pub(crate) fn any_call() -> impl Strategy<Value = (&'static str, Value)> {
    prop_oneof![
        prop::sample::select(vec!["src/a", "b", "~/.ssh/id", "/usr/x"])
            .prop_map(|p| ("Read", json!({ "file_path": p }))),
        prop::sample::select(vec!["src/a", ".git/config"])
            .prop_map(|p| ("Write", json!({ "file_path": p, "content": "x" }))),
        prop::sample::select(vec!["git status", "cat ~/.ssh/id_rsa", "ls"])
            .prop_map(|c| ("Bash", json!({ "command": c }))),
    ]
}
