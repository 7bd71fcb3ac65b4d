//! Which policies can matter to this role and tool? Worked out once, so that a decision costs the same
//! with ten policies or ten thousand.
//!
//! A policy whose scope cannot match is left out, which changes no verdict: it could neither permit,
//! nor forbid, nor fail. Short forms without a wildcard are also filed under the one target they match.

use super::load::Entry;
use super::named::{self, Name};
use super::schema::{Types, server_group};
use super::source::Roles;
use crate::name::{RoleName, ToolName};
use crate::tool::Catalogue;
use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, Policy as Cedar, PolicySet,
    PrincipalConstraint, ResourceConstraint,
};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::OnceLock;

/// Every slice, by role and tool.
#[derive(Debug)]
pub(crate) struct Index {
    roles: HashMap<RoleName, usize>,
    tools: HashMap<ToolName, usize>,
    slices: Vec<Slice>,
}

/// The policies that can matter to one role and tool.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    base: Shard,
    literal: HashMap<String, Shard>,
    /// The values that its permits name, and the patterns of others.
    named: HashSet<String>,
    patterns: Vec<Vec<String>>,
    /// Whether one of them is a permit.
    pub(crate) permits: bool,
    /// Whether one of them is a forbid without any condition.
    pub(crate) barred: bool,
}

/// Policies that are evaluated together; put together when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    members: Vec<usize>,
    built: OnceLock<Option<PolicySet>>,
    pub(crate) reads_input: bool,
    pub(crate) reads_origins: bool,
    pub(crate) reads_approvals: bool,
}

impl Index {
    pub(crate) fn new(
        entries: &[Entry],
        types: &Types,
        roles: &Roles,
        catalogue: &Catalogue,
    ) -> Self {
        let scopes = Scopes::new(types, roles, catalogue);
        let mut slices: Vec<Slice> = Vec::new();
        slices.resize_with(scopes.roles * scopes.tools, Slice::default);
        for (number, entry) in entries.iter().enumerate() {
            let tools = scopes.tools(&entry.cedar);
            for role in scopes.roles(&entry.cedar) {
                for tool in &tools {
                    if let Some(slice) = slices.get_mut(role * scopes.tools + tool) {
                        slice.add(number, entry);
                    }
                }
            }
        }
        Self {
            roles: roles.names().cloned().zip(0..).collect(),
            tools: catalogue.iter().map(|tool| tool.name().clone()).zip(0..).collect(),
            slices,
        }
    }

    pub(crate) fn slice(&self, role: &RoleName, tool: &ToolName) -> Option<&Slice> {
        let (role, tool) = (self.roles.get(role)?, self.tools.get(tool)?);
        self.slices.get(role * self.tools.len() + tool)
    }
}

impl Slice {
    fn add(&mut self, number: usize, entry: &Entry) {
        self.permits |= entry.cedar.effect() == Effect::Permit;
        for name in &entry.names {
            match name {
                Name::Exact(value) => drop(self.named.insert(value.to_ascii_lowercase())),
                Name::Like(parts) => self.patterns.push(parts.clone()),
            }
        }
        let unconditional = !entry.cedar.has_non_scope_constraint();
        self.barred |= entry.cedar.effect() == Effect::Forbid && unconditional;
        let shard = match &entry.literal {
            None => &mut self.base,
            Some(target) => self.literal.entry(target.clone()).or_default(),
        };
        shard.members.push(number);
        shard.reads_input |= entry.reads_input;
        shard.reads_origins |= entry.reads_origins;
        shard.reads_approvals |= entry.reads_approvals;
    }

    /// Whether a permit names this value.
    pub(crate) fn names(&self, value: &str) -> bool {
        let value = value.to_ascii_lowercase();
        self.named.contains(&value) || self.patterns.iter().any(|parts| named::fits(parts, &value))
    }

    /// All policies of it, by their numbers, in no order.
    pub(crate) fn members(&self) -> impl Iterator<Item = usize> {
        let shards = std::iter::once(&self.base).chain(self.literal.values());
        shards.flat_map(|shard| shard.members.iter().copied())
    }

    /// What can match a call on `target`.
    pub(crate) fn shards(&self, target: Option<&str>) -> impl Iterator<Item = &Shard> + Clone {
        let literal = target.and_then(|target| self.literal.get(target));
        std::iter::once(&self.base).chain(literal)
    }
}

impl Shard {
    /// The policies as one set; `None` when Cedar would not put them together, which denies.
    pub(crate) fn set(&self, entries: &[Entry]) -> Option<&PolicySet> {
        let build = || {
            let members = self.members.iter().filter_map(|number| entries.get(*number));
            PolicySet::from_policies(members.map(|entry| entry.cedar.clone())).ok()
        };
        self.built.get_or_init(build).as_ref()
    }
}

/// Which roles and tools an entity in a policy's scope stands for, by their positions.
#[derive(Default)]
struct Scopes {
    roles: usize,
    tools: usize,
    /// A role's own agent.
    agent: HashMap<EntityUid, usize>,
    /// Everybody within a role, and an agent within itself.
    within: HashMap<EntityUid, Vec<usize>>,
    /// The tool that an action is.
    action: HashMap<EntityUid, usize>,
    /// The tools of an effect or a server, and a tool within itself.
    group: HashMap<EntityUid, Vec<usize>>,
    server: HashMap<EntityUid, Vec<usize>>,
    agent_type: Option<EntityTypeName>,
    server_type: Option<EntityTypeName>,
}

impl Scopes {
    fn new(types: &Types, roles: &Roles, catalogue: &Catalogue) -> Self {
        let mut scopes = Self::default();
        for role in roles.names() {
            let agent = types.agent(role.as_str());
            scopes.agent_type = Some(agent.type_name().clone());
            let within = roles.lineage(role).into_iter().map(|role| types.role(role.as_str()));
            for uid in within.chain([agent.clone()]) {
                scopes.within.entry(uid).or_default().push(scopes.roles);
            }
            scopes.agent.insert(agent, scopes.roles);
            scopes.roles += 1;
        }
        for tool in catalogue.iter() {
            let own = types.action(tool.name().as_str());
            let groups = [
                types.action(tool.effect().as_str()),
                types.action(&server_group(tool)),
                own.clone(),
            ];
            for uid in groups {
                scopes.group.entry(uid).or_default().push(scopes.tools);
            }
            scopes.action.insert(own, scopes.tools);
            let server = types.server(tool.server().as_str());
            scopes.server_type = Some(server.type_name().clone());
            scopes.server.entry(server).or_default().push(scopes.tools);
            scopes.tools += 1;
        }
        scopes
    }

    fn roles(&self, policy: &Cedar) -> Vec<usize> {
        let all = || (0..self.roles).collect();
        let within = |uid| self.within.get(uid).cloned().unwrap_or_default();
        match policy.principal_constraint() {
            PrincipalConstraint::Any => all(),
            PrincipalConstraint::Eq(uid) => self.agent.get(&uid).copied().into_iter().collect(),
            PrincipalConstraint::In(uid) => within(&uid),
            PrincipalConstraint::Is(name) if Some(&name) == self.agent_type.as_ref() => all(),
            PrincipalConstraint::IsIn(name, uid) if Some(&name) == self.agent_type.as_ref() => {
                within(&uid)
            }
            PrincipalConstraint::Is(_) | PrincipalConstraint::IsIn(..) => Vec::new(),
        }
    }

    fn tools(&self, policy: &Cedar) -> BTreeSet<usize> {
        let by_action: BTreeSet<usize> = match policy.action_constraint() {
            ActionConstraint::Any => (0..self.tools).collect(),
            ActionConstraint::Eq(uid) => self.action.get(&uid).copied().into_iter().collect(),
            ActionConstraint::In(uids) => {
                uids.iter().filter_map(|uid| self.group.get(uid)).flatten().copied().collect()
            }
        };
        let offered =
            |uid| self.server.get(uid).into_iter().flatten().copied().collect::<BTreeSet<usize>>();
        let by_server = match policy.resource_constraint() {
            ResourceConstraint::Any => return by_action,
            ResourceConstraint::Is(name) if Some(&name) == self.server_type.as_ref() => {
                return by_action;
            }
            ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) => offered(&uid),
            ResourceConstraint::IsIn(name, uid) if Some(&name) == self.server_type.as_ref() => {
                offered(&uid)
            }
            ResourceConstraint::Is(_) | ResourceConstraint::IsIn(..) => BTreeSet::new(),
        };
        by_action.intersection(&by_server).copied().collect()
    }
}
