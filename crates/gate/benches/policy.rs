//! What does one verdict cost at 10, 1,000 and 10,000 policies? From checked arguments and facts to the
//! judgement; and from JSON arguments, with the check of their shape.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot be set up may stop"
)]

use bartizan_gate::call::{Door, Proposed};
use bartizan_gate::name::{AgentId, CanonicalPath, HostPort, RoleName, SessionId};
use bartizan_gate::pipeline::{Parts, Pipeline};
use bartizan_gate::policy::{
    Facts, HostFact, Layer, PathFact, Place, Policy, Query, Roles, RuleVerdict, ShortForm,
};
use bartizan_gate::seat::Seat;
use bartizan_gate::tool::Catalogue;
use bartizan_scan::{Redactor, ScanKey};
use bartizan_store::Store;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A call as the gate would put it.
struct Call {
    name: &'static str,
    tool: &'static str,
    input: Value,
    facts: Facts,
}

fn calls() -> Vec<Call> {
    let path = PathFact {
        path: "src/main.rs".to_owned(),
        in_workspace: true,
        visible: true,
        guarded: false,
    };
    let host = |host: &str| Facts {
        host: Some(HostFact { host: host.to_owned(), port: 443, private: false }),
        ..Facts::default()
    };
    let connect = |host: &str| json!({ "host": host, "port": 443, "protocol": "tcp" });
    vec![
        Call {
            name: "read_allow",
            tool: "Read",
            input: json!({ "file_path": "src/main.rs" }),
            facts: Facts { path: Some(path), ..Facts::default() },
        },
        Call {
            name: "connect_allow",
            tool: "net.connect",
            input: connect("h3.example.com"),
            facts: host("h3.example.com"),
        },
        Call {
            name: "connect_ask",
            tool: "net.connect",
            input: connect("other.example.org"),
            facts: host("other.example.org"),
        },
    ]
}

/// As a large organisation might write them: the built-in ones, a list of tools and hosts for each of
/// twenty roles, and one role with all the rest as single hosts.
fn policy(catalogue: &Catalogue, size: usize) -> Policy {
    let role = |name: &str| RoleName::parse(name).unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("role{n}")).collect();
    let roles = Roles::new(names.iter().map(|name| (role(name), vec![role("default")]))).unwrap();
    let forms: Vec<ShortForm> = (0..size)
        .map(|n| {
            // Half of them are about the very role that is measured.
            let name = if n % 2 == 0 { "role0" } else { names[n % 20].as_str() };
            let (verdict, pattern) = match n % 8 {
                5 => (RuleVerdict::Deny, format!("Write(vendor{n}/a.rs)")),
                7 => (RuleVerdict::Ask { quorum: 2 }, format!("net(prod{n}.example.net:22)")),
                _ => (RuleVerdict::Allow, format!("net(h{n}.example.com:443)")),
            };
            let place = Place { file: "bench.toml".to_owned(), line: 1 };
            ShortForm {
                layer: Layer::User,
                role: Some(role(name)),
                verdict,
                pattern,
                when: None,
                place,
            }
        })
        .chain([ShortForm {
            layer: Layer::User,
            role: Some(role("role0")),
            verdict: RuleVerdict::Allow,
            pattern: "net(h3.example.com:443)".to_owned(),
            when: None,
            place: Place { file: "bench.toml".to_owned(), line: 1 },
        }])
        .collect();
    Policy::load(&Policy::builtin_sources(), &forms, &roles, catalogue, &[]).unwrap()
}

fn evaluate(c: &mut Criterion) {
    let catalogue = Catalogue::builtin().unwrap();
    let (role, agent) = (RoleName::parse("role0").unwrap(), AgentId::main());
    for size in [10, 1_000, 10_000] {
        let policy = policy(&catalogue, size);
        let mut group = c.benchmark_group(format!("policy/{size}"));
        for call in calls() {
            let tool = catalogue.get(call.tool).unwrap();
            let judge = |arguments: &Value| {
                let input = tool.shape().check(arguments).unwrap();
                let query = Query {
                    role: &role,
                    agent: &agent,
                    depth: 0,
                    tool,
                    input: &input,
                    facts: &call.facts,
                    approvers: &[],
                };
                policy.evaluate(&query)
            };
            group.bench_function(call.name, |b| b.iter(|| judge(black_box(&call.input))));
        }
    }
}

/// The whole decision, from a door's JSON to the verdict: every gate but the record, whose cost is the
/// store's (`cargo bench -p bartizan-store`).
#[expect(clippy::disallowed_methods, reason = "a gate of the bench's own")]
fn decide(c: &mut Criterion) {
    let path = |text: &str| CanonicalPath::absolute(Path::new(text)).unwrap();
    for size in [10, 1_000, 10_000] {
        let catalogue = Catalogue::builtin().unwrap();
        let policy = policy(&catalogue, size);
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let parts = Parts {
            catalogue: Arc::new(catalogue),
            policy: Arc::new(policy),
            ledger: Arc::new(store.clone()),
            desk: Arc::new(store.clone()),
            sessions: Arc::new(store.clone()),
            limits: Arc::default(),
            allowances: Arc::new(store.clone()),
            redactor: Arc::new(Redactor::new(ScanKey::new([7; 32]), []).unwrap()),
            rules: Arc::new(bartizan_gate::watch::Rules::builtin().unwrap()),
            question_lifetime: Duration::from_mins(10),
        };
        let gate = Pipeline::new(parts, "bench".to_owned());
        let seat = Seat {
            only: None,
            session: SessionId::parse("bench").unwrap(),
            role: RoleName::parse("role0").unwrap(),
            workspace: path("/home/anna/project"),
            home: "/home/anna".into(),
            visible: vec![path("/usr")],
            subagents: BTreeMap::new(),
            confined: BTreeMap::new(),
            private: Vec::new(),
            model_upstream: Some(HostPort::parse("127.0.0.1:8080").unwrap()),
            model_secret: None,
            logins: Vec::new(),
            credentials: Vec::new(),
        };
        let caller = gate.admit(seat, &[], Map::new()).unwrap();
        let mut group = c.benchmark_group(format!("decision/{size}"));
        for call in calls() {
            let propose = |arguments: &Value| {
                Proposed::new(&caller, Door::Explain, call.tool, arguments.clone())
            };
            group.bench_function(call.name, |b| {
                b.iter(|| gate.explain(propose(black_box(&call.input))).is_ok());
            });
        }
    }
}

fn load(c: &mut Criterion) {
    let catalogue = Catalogue::builtin().unwrap();
    let mut group = c.benchmark_group("policy/load");
    group.sample_size(10);
    for size in [10, 1_000, 10_000] {
        group.bench_function(size.to_string(), |b| b.iter(|| policy(black_box(&catalogue), size)));
    }
}

criterion_group!(benches, evaluate, load, decide);
criterion_main!(benches);
