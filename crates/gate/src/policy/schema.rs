//! What may a policy speak about? The Cedar schema, generated from the catalogue, so that a policy
//! over typed arguments is checked when it is loaded.
//!
//! An agent is `Agent::"ROLE"` in `Role::"ROLE"`; the tool is the action, a member of the group of its
//! effect (`Action::"read"`, `"write"`, `"irreversible"`) and of its server's (`Action::"server:NAME"`);
//! the resource is `Server::"NAME"`.

use super::facts;
use super::source::Roles;
use crate::shape::{Node, Record};
use crate::tool::{Catalogue, Effect, Fact, ToolDef};
use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, Schema};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The schema as Cedar's JSON.
pub(crate) fn document(catalogue: &Catalogue) -> Value {
    let mut actions = Map::new();
    for effect in Effect::ALL {
        actions.insert(effect.as_str().to_owned(), json!({ "memberOf": [] }));
    }
    for tool in catalogue.iter() {
        let server = server_group(tool);
        actions.entry(server.clone()).or_insert_with(|| json!({ "memberOf": [] }));
        let applies = json!({
            "principalTypes": ["Agent"],
            "resourceTypes": ["Server"],
            "context": { "type": "Record", "attributes": context(tool) },
        });
        let groups = json!([{ "id": tool.effect().as_str() }, { "id": server }]);
        actions
            .insert(tool.name().to_string(), json!({ "memberOf": groups, "appliesTo": applies }));
    }
    json!({ "": {
        "entityTypes": {
            "Agent": { "memberOfTypes": ["Role"] },
            "Role": { "memberOfTypes": ["Role"] },
            "Server": {},
        },
        "actions": actions,
    } })
}

/// The group that holds every tool of a server. A tool's name has no colon, so no tool can have this one.
pub(crate) fn server_group(tool: &ToolDef) -> String {
    format!("server:{}", tool.server())
}

fn context(tool: &ToolDef) -> Value {
    let text = json!({ "type": "String" });
    let long = json!({ "type": "Long" });
    let flag = json!({ "type": "Boolean" });
    let mut attributes = BTreeMap::from([
        ("agent", text.clone()),
        ("approvals", long.clone()),
        ("approvers", json!({ "type": "Set", "element": text.clone() })),
        ("depth", long.clone()),
        ("input", record(tool.shape().record())),
        ("provenance", provenance(tool)),
        (
            "taint",
            json!({ "type": "Record", "attributes": {
                "score": long, "sources": { "type": "Set", "element": text }, "tainted": flag,
            } }),
        ),
    ]);
    if tool.has(Fact::Path) {
        attributes.insert("path", text.clone());
        for name in ["in_workspace", "visible", "guarded"] {
            attributes.insert(name, flag.clone());
        }
    }
    if tool.has(Fact::Host) {
        attributes.insert("host", text.clone());
        attributes.insert("port", long);
        attributes.insert("private", flag.clone());
    }
    if tool.has(Fact::Command) {
        attributes.insert("command", text);
        attributes.insert("credentials", flag);
    }
    facts::attributes(tool, &mut attributes);
    json!(attributes)
}

/// Where the call's values come from: the worst of them all, and each by its name.
fn provenance(tool: &ToolDef) -> Value {
    let text = json!({ "type": "String" });
    let flag = json!({ "type": "Boolean" });
    let mut attributes = BTreeMap::from([
        ("carries", flag.clone()),
        ("composed", flag.clone()),
        ("lifted", flag.clone()),
        ("ordered", flag),
        ("worst", text.clone()),
    ]);
    for part in tool.parts() {
        attributes.insert(part, text.clone());
    }
    if !tool.authority().is_empty() {
        let fields: Map<String, Value> =
            tool.authority().iter().map(|field| (field.clone(), text.clone())).collect();
        attributes.insert("argument", json!({ "type": "Record", "attributes": fields }));
    }
    json!({ "type": "Record", "attributes": attributes })
}

fn record(record: &Record) -> Value {
    let attributes: Map<String, Value> = record
        .0
        .iter()
        .map(|(name, field)| {
            let mut described = kind(&field.node);
            if let Value::Object(described) = &mut described {
                described.insert("required".to_owned(), json!(field.required));
            }
            (name.clone(), described)
        })
        .collect();
    json!({ "type": "Record", "attributes": attributes })
}

fn kind(node: &Node) -> Value {
    if node.is_opaque() {
        return json!({ "type": "String" });
    }
    match node {
        Node::Array { item, .. } => json!({ "type": "Set", "element": kind(item) }),
        Node::Bool => json!({ "type": "Boolean" }),
        Node::Integer { .. } => json!({ "type": "Long" }),
        Node::Number { .. } | Node::Opaque | Node::Text { .. } => json!({ "type": "String" }),
        Node::Record(fields) => record(fields),
    }
}

/// The types of our entities, parsed once.
#[derive(Debug, Clone)]
pub(crate) struct Types {
    action: EntityTypeName,
    agent: EntityTypeName,
    role: EntityTypeName,
    server: EntityTypeName,
}

impl Types {
    pub(crate) fn new() -> Result<Self, Box<ParseErrors>> {
        let parse = |name: &str| name.parse().map_err(Box::new);
        Ok(Self {
            action: parse("Action")?,
            agent: parse("Agent")?,
            role: parse("Role")?,
            server: parse("Server")?,
        })
    }

    pub(crate) fn action(&self, name: &str) -> EntityUid {
        uid(&self.action, name)
    }

    pub(crate) fn agent(&self, role: &str) -> EntityUid {
        uid(&self.agent, role)
    }

    pub(crate) fn role(&self, role: &str) -> EntityUid {
        uid(&self.role, role)
    }

    pub(crate) fn server(&self, name: &str) -> EntityUid {
        uid(&self.server, name)
    }

    /// Which of our types an entity is of.
    pub(crate) fn kind(&self, uid: &EntityUid) -> Option<Kind> {
        let name = uid.type_name();
        let kinds = [
            (&self.action, Kind::Action),
            (&self.agent, Kind::Agent),
            (&self.role, Kind::Role),
            (&self.server, Kind::Server),
        ];
        kinds.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Action,
    Agent,
    Role,
    Server,
}

impl Kind {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Action => "tool, effect or server group",
            Self::Agent => "agent (an agent is named by its role)",
            Self::Role => "role",
            Self::Server => "server",
        }
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// Every entity there is: roles with what they extend, one agent for each role, servers, actions.
pub(crate) fn entities(
    types: &Types,
    roles: &Roles,
    catalogue: &Catalogue,
    schema: &Schema,
) -> Result<Entities, String> {
    let mut all = Vec::new();
    for (role, parents) in roles.iter() {
        let parents = parents.iter().map(|parent| types.role(parent.as_str())).collect();
        all.push(Entity::new_no_attrs(types.role(role.as_str()), parents));
        let own = HashSet::from([types.role(role.as_str())]);
        all.push(Entity::new_no_attrs(types.agent(role.as_str()), own));
    }
    let servers: BTreeSet<&str> = catalogue.iter().map(|tool| tool.server().as_str()).collect();
    all.extend(
        servers
            .into_iter()
            .map(|server| Entity::new_no_attrs(types.server(server), HashSet::new())),
    );
    Entities::from_entities(all, Some(schema)).map_err(|error| error.to_string())
}

/// The names that each type of entity may have.
pub(crate) fn names(roles: &Roles, catalogue: &Catalogue) -> HashMap<Kind, BTreeSet<String>> {
    let roles: BTreeSet<String> = roles.names().map(ToString::to_string).collect();
    let mut actions: BTreeSet<String> =
        Effect::ALL.iter().map(|effect| effect.as_str().to_owned()).collect();
    actions.extend(catalogue.iter().flat_map(|tool| [tool.name().to_string(), server_group(tool)]));
    HashMap::from([
        (Kind::Action, actions),
        (Kind::Agent, roles.clone()),
        (Kind::Role, roles),
        (Kind::Server, catalogue.iter().map(|tool| tool.server().to_string()).collect()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_the_builtin_tools_is_what_was_reviewed() {
        let fragment =
            cedar_policy::SchemaFragment::from_json_value(document(&Catalogue::builtin().unwrap()))
                .unwrap();
        insta::assert_snapshot!(fragment.to_cedarschema().unwrap());
    }

    #[test]
    fn a_schema_follows_from_every_catalogue() {
        let mut catalogue = Catalogue::default();
        let odd = r#"{"server": "a.b-c", "tools": [{"name": "mcp__x__y.z-1", "targets": [{"field": "we\"ird \\ na\nme", "kind": "path"}],
            "input": {"type": "object", "properties": {"we\"ird \\ na\nme": {"type": "string"}, "__entity": {"type": "string"},
                      "if": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}}}}]}"#;
        catalogue.add(odd).unwrap();
        Schema::from_json_value(document(&catalogue)).unwrap();
        Schema::from_json_value(document(&Catalogue::default())).unwrap();
    }
}
