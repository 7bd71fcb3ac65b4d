//! What is this tool, and what can it do to the world? The operator's word, not the tool's own.

mod target;
mod upstream;

pub(crate) use target::Fact;
pub use target::{Target, TargetKind};
pub use upstream::{UpstreamTool, name as upstream_name};

use crate::name::{HostPort, NameError, SecretName, ServerName, ToolName};
use crate::shape::{Shape, ShapeError};
use crate::taint::Trust;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// What a tool can do to the world. Nothing said means irreversible.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a fourth effect must break every place that does not know it"
)]
pub enum Effect {
    /// It changes nothing.
    Read,
    /// It changes something that can be changed back.
    Write,
    /// It cannot be taken back.
    #[default]
    Irreversible,
}

impl Effect {
    /// The word for it, which is also the name of its Cedar action group.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Irreversible => "irreversible",
        }
    }

    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Irreversible];
}

/// A tool's definition.
#[derive(Debug)]
pub struct ToolDef {
    name: ToolName,
    server: ServerName,
    effect: Effect,
    shape: Shape,
    targets: Vec<Target>,
    authority: Vec<String>,
    returns: Trust,
    reach: Option<HostPort>,
    secret: Option<SecretName>,
}

impl ToolDef {
    /// The tool's name.
    pub fn name(&self) -> &ToolName {
        &self.name
    }

    /// What offers it.
    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// What it can do to the world.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// What it takes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What its arguments point at; the first is the one that a short form's pattern matches.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Arguments besides the targets that say whom or what a call acts on: a recipient, an account, an id. Policies
    /// know where their values come from.
    pub fn authority(&self) -> &[String] {
        &self.authority
    }

    /// Whether its arguments are said to somebody, or at some time, as if a person said them.
    pub(crate) fn speaks(&self) -> bool {
        SPEAKING.contains(&self.name.as_str())
    }

    /// Who vouches for what it returns.
    pub fn returns(&self) -> Trust {
        self.returns
    }

    /// The one host that it reaches, whatever its arguments are.
    pub fn reach(&self) -> Option<&HostPort> {
        self.reach.as_ref()
    }

    /// The one secret that it uses, whatever its arguments are.
    pub fn secret(&self) -> Option<&SecretName> {
        self.secret.as_ref()
    }

    /// The kind of target that a short form's pattern is compared with.
    pub(crate) fn primary(&self) -> Option<Fact> {
        self.targets.iter().map(Target::fact).find(|fact| fact.has_pattern())
    }

    /// Whether a call of it may come without this fact.
    pub(crate) fn may_lack(&self, fact: Fact) -> bool {
        target::is_optional(fact, &self.targets, &self.shape)
    }

    /// The names under which policies know where its targets come from.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &'static str> {
        let url = self.targets.iter().any(|target| target.kind() == TargetKind::Url);
        let facts = [("command", Fact::Command), ("host", Fact::Host), ("path", Fact::Path)];
        let argued = |fact: Fact| self.targets.iter().any(|target| target.fact() == fact);
        let has = facts.map(|(name, fact)| argued(fact).then_some(name));
        has.into_iter().flatten().chain(url.then_some("url"))
    }

    pub(crate) fn has(&self, fact: Fact) -> bool {
        let fixed = fact == Fact::Host && self.reach.is_some();
        fixed || self.targets.iter().any(|target| target.fact() == fact)
    }
}

/// Every tool that is defined. A tool that is not in it does not exist for any agent.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(BTreeMap<String, Arc<ToolDef>>);

/// Why a definition cannot be taken into the catalogue.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// Two tools whose names differ at most in upper and lower case: one could pass for the other.
    #[error("tool `{name}` is already defined as `{other}`; give one of them another name")]
    Duplicate {
        /// The second definition's name.
        name: String,
        /// The first one's.
        other: String,
    },
    /// The definitions are not what they should be.
    #[error("the tool definitions cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// An argument of authority that is none.
    #[error("tool `{name}`: `{field}` is listed under `authority` and is no argument of it")]
    Authority {
        /// The tool.
        name: String,
        /// The field.
        field: String,
    },
    /// A malformed name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name of an action group.
    #[error("a tool cannot be called `{name}`, which is the name of an effect")]
    Reserved {
        /// The name.
        name: String,
    },
    /// An unusable input schema.
    #[error("tool `{name}`: {source}")]
    Shape {
        /// The tool.
        name: String,
        /// What is wrong with its schema.
        #[source]
        source: ShapeError,
    },
    /// A target that its argument cannot be.
    #[error("tool `{name}`: target `{field}` must be {wants}")]
    Target {
        /// The tool.
        name: String,
        /// The target's field.
        field: String,
        /// What it must be.
        wants: &'static str,
    },
}

impl Catalogue {
    /// The tools that come with Bartizan: Claude Code's own, and the pseudo tools that stand for a
    /// connection, a process start, a model request, a file mentioned in a prompt, and what Codex does by itself.
    pub fn builtin() -> Result<Self, CatalogueError> {
        let mut catalogue = Self::default();
        [CLAUDE_CODE, CODEX, GEMINI, MODEL, NET, PROCESS]
            .into_iter()
            .try_for_each(|text| catalogue.add(text))?;
        Ok(catalogue)
    }

    /// Adds the definitions of one server, as JSON:
    /// `{"server": …, "tools": [{"name", "effect", "targets": [{"field", "kind"}], "authority": [FIELD], "returns", "input": SCHEMA}]}`;
    /// a tool that always goes to one host says `"reach": "host:port"`, and one that uses a secret, `"secret": NAME`.
    pub fn add(&mut self, definitions: &str) -> Result<(), CatalogueError> {
        let RawServer { server, tools } = serde_json::from_str(definitions)?;
        let server = ServerName::parse(&server)?;
        tools.into_iter().try_for_each(|tool| self.define(&server, tool))
    }

    fn define(&mut self, server: &ServerName, raw: RawTool) -> Result<(), CatalogueError> {
        let name = ToolName::parse(&raw.name)?;
        let name_text = raw.name;
        if Effect::ALL.iter().any(|effect| effect.as_str() == name_text) {
            return Err(CatalogueError::Reserved { name: name_text });
        }
        if let Some(other) = self.0.keys().find(|other| other.eq_ignore_ascii_case(&name_text)) {
            return Err(CatalogueError::Duplicate { name: name_text, other: other.clone() });
        }
        let shape = match Shape::compile(&raw.input) {
            Ok(shape) => shape,
            Err(source) => return Err(CatalogueError::Shape { name: name_text, source }),
        };
        target::check(&name_text, &raw.targets, &shape)?;
        if let Some(field) = raw.authority.iter().find(|field| !shape.has(field)) {
            return Err(CatalogueError::Authority { name: name_text, field: field.clone() });
        }
        let mut authority = raw.authority;
        let named = raw.targets.iter().filter(|target| target.is_authority());
        authority.extend(named.map(|target| target.field().to_owned()));
        let tool = ToolDef {
            name,
            server: server.clone(),
            effect: raw.effect,
            shape,
            targets: raw.targets,
            authority,
            returns: raw.returns,
            reach: raw.reach.as_deref().map(HostPort::parse).transpose()?,
            secret: raw.secret.as_deref().map(SecretName::parse).transpose()?,
        };
        self.0.insert(name_text, Arc::new(tool));
        Ok(())
    }

    /// The tool of this very name.
    pub fn get(&self, name: &str) -> Option<&Arc<ToolDef>> {
        self.0.get(name)
    }

    /// All tools, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ToolDef>> {
        self.0.values()
    }

    /// How many tools there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    server: String,
    tools: Vec<RawTool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTool {
    name: String,
    #[serde(default)]
    effect: Effect,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    authority: Vec<String>,
    #[serde(default)]
    returns: Trust,
    reach: Option<String>,
    secret: Option<String>,
    input: Value,
}

/// The client's tools by which an agent speaks to another, or to itself later.
const SPEAKING: [&str; 6] =
    ["Agent", "CronCreate", "ScheduleWakeup", "SendMessage", "Task", "Workflow"];

const CLAUDE_CODE: &str = include_str!("../tools/claude-code.json");
const CODEX: &str = include_str!("../tools/codex.json");
const GEMINI: &str = include_str!("../tools/gemini.json");
const MODEL: &str = include_str!("../tools/model.json");
const NET: &str = include_str!("../tools/net.json");
const PROCESS: &str = include_str!("../tools/process.json");

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn add(tool: &Value) -> Result<Catalogue, CatalogueError> {
        let mut catalogue = Catalogue::default();
        catalogue.add(&json!({"server": "s", "tools": [tool]}).to_string())?;
        Ok(catalogue)
    }

    fn input() -> Value {
        json!({"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "integer"}}})
    }

    #[test]
    fn a_tool_without_an_effect_is_irreversible() {
        let catalogue = add(&json!({"name": "t", "input": input()})).unwrap();
        assert_eq!(catalogue.get("t").unwrap().effect(), Effect::Irreversible);
    }

    #[test]
    fn the_builtin_tools_are_sound() {
        let catalogue = Catalogue::builtin().unwrap();
        for name in [
            "Bash",
            "Read",
            "Write",
            "FileMention",
            "net.connect",
            "process.start",
            "model.request",
        ] {
            assert!(catalogue.get(name).is_some(), "{name}");
        }
        assert!(catalogue.get("bash").is_none() && catalogue.get("").is_none());
    }

    #[test]
    fn a_name_that_could_pass_for_another_is_refused() {
        let mut catalogue = Catalogue::builtin().unwrap();
        for name in ["Bash", "bash", "BASH", "NET.connect"] {
            let text =
                json!({"server": "evil", "tools": [{"name": name, "input": input()}]}).to_string();
            assert!(
                matches!(catalogue.add(&text), Err(CatalogueError::Duplicate { .. })),
                "{name}"
            );
        }
        assert!(matches!(
            add(&json!({"name": "read", "input": input()})),
            Err(CatalogueError::Reserved { .. })
        ));
    }

    #[test]
    fn a_sloppy_definition_is_refused() {
        for tool in [
            json!({"name": "t"}),
            json!({"name": "t", "input": {}}),
            json!({"name": "t u", "input": input()}),
            json!({"name": "t", "input": input(), "effect": "none"}),
            json!({"name": "t", "input": input(), "readOnlyHint": true}),
            json!({"name": "t", "input": input(), "targets": [{"field": "n", "kind": "path"}]}),
            json!({"name": "t", "input": input(), "targets": [{"field": "b", "kind": "path"}]}),
            json!({"name": "t", "input": input(), "targets": [{"field": "a", "kind": "path"}, {"field": "a", "kind": "path"}]}),
        ] {
            assert!(add(&tool).is_err(), "{tool}");
        }
    }
}
