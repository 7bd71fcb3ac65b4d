//! Which policies can matter to this role and tool? Worked out once, so that a decision costs the same
//! with ten policies or ten thousand.
//!
//! A policy whose scope cannot match is left out, which changes no verdict: it could neither permit,
//! nor forbid, nor fail. Short forms without a wildcard are also filed under the one target they match.

use super::load::Entry;
use super::schema::{Kind, Types, server_group};
use super::source::Roles;
use crate::name::{RoleName, ToolName};
use crate::tool::{Catalogue, ToolDef};
use cedar_policy::{
    ActionConstraint, Effect, EntityUid, PolicySet, PolicySetError, PrincipalConstraint, ResourceConstraint,
};
use std::collections::{BTreeSet, HashMap};
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
    /// Whether one of them is a permit.
    pub(crate) permits: bool,
}

/// Policies that are evaluated together; put together when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    members: Vec<usize>,
    built: OnceLock<Option<PolicySet>>,
    pub(crate) reads_input: bool,
    pub(crate) reads_approvals: bool,
}

impl Index {
    pub(crate) fn new(entries: &[Entry], types: &Types, roles: &Roles, catalogue: &Catalogue) -> Self {
        let tools: Vec<&ToolDef> = catalogue.iter().map(AsRef::as_ref).collect();
        let lineages: Vec<(&RoleName, BTreeSet<RoleName>)> =
            roles.names().map(|role| (role, roles.lineage(role))).collect();
        let mut slices: Vec<Slice> = Vec::new();
        slices.resize_with(tools.len() * lineages.len(), Slice::default);
        // Thousands of policies name the same few roles and tools; each scope is worked out once.
        let mut seen_roles: HashMap<String, Vec<usize>> = HashMap::new();
        let mut seen_tools: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, entry) in entries.iter().enumerate() {
            let principal = entry.cedar.principal_constraint();
            let roles = seen_roles.entry(format!("{principal:?}")).or_insert_with(|| {
                positions(&lineages, |(role, lineage)| principal_fits(&principal, types, role, lineage))
            });
            let (action, resource) = (entry.cedar.action_constraint(), entry.cedar.resource_constraint());
            let tools = seen_tools.entry(format!("{action:?} {resource:?}")).or_insert_with(|| {
                positions(&tools, |tool| action_fits(&action, types, tool) && resource_fits(&resource, types, tool))
            });
            for role in roles.iter() {
                for tool in tools.iter() {
                    if let Some(slice) = slices.get_mut(role * catalogue.len() + tool) {
                        slice.add(number, entry);
                    }
                }
            }
        }
        Self {
            roles: lineages.iter().enumerate().map(|(at, (role, _))| ((*role).clone(), at)).collect(),
            tools: tools.iter().enumerate().map(|(at, tool)| (tool.name().clone(), at)).collect(),
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
        let shard = match &entry.literal {
            None => &mut self.base,
            Some(target) => self.literal.entry(target.clone()).or_default(),
        };
        shard.members.push(number);
        shard.reads_input |= entry.reads_input;
        shard.reads_approvals |= entry.reads_approvals;
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
        let build = || -> Result<PolicySet, PolicySetError> {
            let mut set = PolicySet::new();
            for entry in self.members.iter().filter_map(|number| entries.get(*number)) {
                set.add(entry.cedar.clone())?;
            }
            Ok(set)
        };
        self.built.get_or_init(|| build().ok()).as_ref()
    }
}

fn positions<T>(all: &[T], fits: impl Fn(&T) -> bool) -> Vec<usize> {
    all.iter().enumerate().filter(|(_, one)| fits(one)).map(|(at, _)| at).collect()
}

fn principal_fits(scope: &PrincipalConstraint, types: &Types, role: &RoleName, lineage: &BTreeSet<RoleName>) -> bool {
    let is_agent = |uid: &EntityUid| *uid == types.agent(role.as_str());
    let is_within = |uid: &EntityUid| match types.kind(uid) {
        Some(Kind::Role) => lineage.iter().any(|role| *uid == types.role(role.as_str())),
        Some(Kind::Agent) => is_agent(uid),
        Some(Kind::Action | Kind::Server) | None => false,
    };
    match scope {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::Eq(uid) => is_agent(uid),
        PrincipalConstraint::In(uid) => is_within(uid),
        PrincipalConstraint::Is(name) => types.is_agent(name),
        PrincipalConstraint::IsIn(name, uid) => types.is_agent(name) && is_within(uid),
    }
}

fn action_fits(scope: &ActionConstraint, types: &Types, tool: &ToolDef) -> bool {
    let own = |uid: &EntityUid| *uid == types.action(tool.name().as_str());
    let within = |uid: &EntityUid| {
        own(uid) || *uid == types.action(tool.effect().as_str()) || *uid == types.action(&server_group(tool))
    };
    match scope {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => own(uid),
        ActionConstraint::In(uids) => uids.iter().any(within),
    }
}

fn resource_fits(scope: &ResourceConstraint, types: &Types, tool: &ToolDef) -> bool {
    let own = |uid: &EntityUid| *uid == types.server(tool.server().as_str());
    match scope {
        ResourceConstraint::Any => true,
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) => own(uid),
        ResourceConstraint::Is(name) => types.is_server(name),
        ResourceConstraint::IsIn(name, uid) => types.is_server(name) && own(uid),
    }
}
