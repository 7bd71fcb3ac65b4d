//! Calls and policy sets for the policy tests.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails"
)]

use bartizan_gate::name::{AgentId, RoleName};
use bartizan_gate::policy::{
    CommandFact, Facts, HostFact, Judgement, Layer, PathFact, Place, Policy, Query, Roles,
    RuleVerdict, ShortForm, Source,
};
use bartizan_gate::tool::{Catalogue, Target, TargetKind, ToolDef};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::builtin().unwrap());

pub(crate) fn role(name: &str) -> RoleName {
    RoleName::parse(name).unwrap()
}

pub(crate) fn roles() -> Roles {
    Roles::new([(role("coder"), Vec::new())]).unwrap()
}

pub(crate) fn cedar(layer: Layer, text: &str) -> Source {
    Source { layer, path: "t.cedar".to_owned(), text: text.to_owned() }
}

pub(crate) fn form(role: &str, verdict: RuleVerdict, pattern: &str) -> ShortForm {
    let role = (role != "*").then(|| self::role(role));
    let place = Place { file: "t.toml".to_owned(), line: 7 };
    ShortForm { layer: Layer::User, role, verdict, pattern: pattern.to_owned(), when: None, place }
}

pub(crate) fn allow(pattern: &str) -> ShortForm {
    form("coder", RuleVerdict::Allow, pattern)
}

pub(crate) fn ask(quorum: u32, pattern: &str) -> ShortForm {
    form("coder", RuleVerdict::Ask { quorum }, pattern)
}

pub(crate) fn deny(pattern: &str) -> ShortForm {
    form("coder", RuleVerdict::Deny, pattern)
}

fn approvers() -> [String; 2] {
    ["local:anna".to_owned(), "local:ben".to_owned()]
}

pub(crate) fn load(sources: &[Source], forms: &[ShortForm]) -> Policy {
    Policy::load(sources, forms, &roles(), &CATALOGUE, &approvers())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

pub(crate) fn errors(sources: &[Source], forms: &[ShortForm]) -> String {
    Policy::load(sources, forms, &roles(), &CATALOGUE, &approvers()).unwrap_err().to_string()
}

/// A call as the gate would put it to the policies.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    role: RoleName,
    tool: String,
    input: Value,
    facts: Facts,
    approvers: Vec<String>,
    depth: u32,
}

impl Call {
    /// A call on a target inside the workspace, or on a public host.
    pub(crate) fn of(tool: &str, input: Value, target: &str) -> Self {
        let mut facts = Facts::default();
        match CATALOGUE.get(tool).unwrap().targets().first().map(Target::kind) {
            Some(TargetKind::Path) => {
                let path = target.to_owned();
                facts.path =
                    Some(PathFact { path, in_workspace: true, visible: true, guarded: false });
            }
            Some(TargetKind::Host | TargetKind::Url) => {
                let (host, port) = target.rsplit_once(':').unwrap();
                let (host, port) = (host.to_owned(), port.parse().unwrap());
                facts.host = Some(HostFact { host, port, private: false });
            }
            Some(TargetKind::Command) => {
                facts.command =
                    Some(CommandFact { command: target.to_owned(), credentials: false });
            }
            _ => {}
        }
        Self {
            role: role("coder"),
            tool: tool.to_owned(),
            input,
            facts,
            approvers: Vec::new(),
            depth: 0,
        }
    }

    pub(crate) fn read(path: &str) -> Self {
        Self::of("Read", json!({ "file_path": path }), path)
    }

    pub(crate) fn write(path: &str) -> Self {
        Self::of("Write", json!({ "file_path": path, "content": "x" }), path)
    }

    pub(crate) fn bash(command: &str) -> Self {
        Self::of("Bash", json!({ "command": command }), command)
    }

    pub(crate) fn net(host: &str, port: u16) -> Self {
        Self::of("net.connect", json!({ "host": host, "port": port }), &format!("{host}:{port}"))
    }

    pub(crate) fn outside(mut self) -> Self {
        if let Some(path) = &mut self.facts.path {
            (path.in_workspace, path.visible) = (false, false);
        }
        self
    }

    pub(crate) fn guarded(mut self) -> Self {
        self.facts.path.iter_mut().for_each(|path| path.guarded = true);
        self
    }

    pub(crate) fn without_facts(mut self) -> Self {
        self.facts = Facts::default();
        self
    }

    pub(crate) fn approved_by(mut self, approvers: &[&str]) -> Self {
        self.approvers = approvers.iter().map(ToString::to_string).collect();
        self
    }

    pub(crate) fn in_role(mut self, name: &str) -> Self {
        self.role = role(name);
        self
    }

    pub(crate) fn role(&self) -> &RoleName {
        &self.role
    }

    pub(crate) fn tool(&self) -> Arc<ToolDef> {
        Arc::clone(CATALOGUE.get(&self.tool).unwrap())
    }

    pub(crate) fn title(&self) -> String {
        let approved = if self.approvers.is_empty() {
            String::new()
        } else {
            format!(" approved by {}", self.approvers.join(", "))
        };
        let depth =
            if self.depth == 0 { String::new() } else { format!(" at depth {}", self.depth) };
        format!("## {} {}{depth}{approved}\n{}", self.role, self.tool, self.input)
    }

    pub(crate) fn judge(&self, policy: &Policy) -> Judgement {
        let tool = self.tool();
        let input = tool.shape().check(&self.input).unwrap();
        policy.evaluate(&Query {
            role: &self.role,
            agent: &AgentId::main(),
            depth: self.depth,
            tool: &tool,
            input: &input,
            facts: &self.facts,
            approvers: &self.approvers,
        })
    }
}

/// A case file: policies, and calls to put to them.
pub(crate) struct Case(Value);

/// Every case file, by name.
pub(crate) fn cases() -> Vec<(String, Case)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policy/cases");
    let mut all: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, Case(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()))
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(all.len() >= 3);
    all
}

impl Case {
    pub(crate) fn load(&self) -> (Policy, Vec<Call>) {
        let list = |key: &str| self.0[key].as_array().cloned().unwrap_or_default();
        let forms: Vec<ShortForm> = list("rules").iter().map(rule).collect();
        let mut sources: Vec<Source> =
            list("cedar").iter().map(|text| cedar(Layer::User, text.as_str().unwrap())).collect();
        if self.0["builtin"] == true {
            sources.extend(Policy::builtin_sources());
        }
        let calls = list("calls").iter().map(call).collect();
        (load(&sources, &forms), calls)
    }
}

/// `["coder", "allow", "Read"]`, or `["coder", 2, "Read"]` for an ask of two.
fn rule(rule: &Value) -> ShortForm {
    let verdict = match (&rule[1], rule[1].as_u64()) {
        (_, Some(quorum)) => RuleVerdict::Ask { quorum: u32::try_from(quorum).unwrap() },
        (word, None) if word == "allow" => RuleVerdict::Allow,
        (word, None) if word == "deny" => RuleVerdict::Deny,
        (word, None) => panic!("no verdict: {word}"),
    };
    form(rule[0].as_str().unwrap(), verdict, rule[2].as_str().unwrap())
}

fn call(call: &Value) -> Call {
    let text = |key: &str| call[key].as_str().unwrap_or_default();
    let mut one = Call::of(text("tool"), call["input"].clone(), text("on"));
    if let Some(role) = call["role"].as_str() {
        one = one.in_role(role);
    }
    for is in call["is"].as_array().into_iter().flatten() {
        match is.as_str().unwrap() {
            "outside" => one = one.outside(),
            "guarded" => one = one.guarded(),
            "visible" => one.facts.path.iter_mut().for_each(|path| path.in_workspace = false),
            "private" => one.facts.host.iter_mut().for_each(|host| host.private = true),
            "credentials" => {
                one.facts.command.iter_mut().for_each(|command| command.credentials = true);
            }
            "deep" => one.depth = 1,
            other => panic!("what is {other}?"),
        }
    }
    let approvers: Vec<&str> =
        call["approvers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    one.approved_by(&approvers)
}
