//! What is a tool that exists by configuration alone, and what does a call of it become?
//!
//! A declared tool is narrow: its input is typed, its act is a template (an HTTP request, or a command's argument
//! list), and its result is the fields that were named. Here is only what is pure: configuration to [`Declared`],
//! arguments to a filled act, an answer to what of it may be shown. Who performs the act, and with which key, is
//! settled elsewhere.
//!
//! INVARIANT: an argument never becomes structure. Each is encoded for the place that it stands in, and what has
//! no safe form there is refused.

mod address;
mod command;
mod encode;
mod http;
mod input;
mod project;
mod template;

pub use command::{CommandTool, Network, Workspace};
pub use http::{Body, HttpCall, HttpParts, HttpTool, JsonTemplate};
pub use input::{Input, Inputs, Kind, Rules, Text};
pub use project::Projection;
pub use template::Template;

use bartizan_gate::name::{SecretName, ToolName};
use bartizan_gate::tool::Effect;
use serde_json::{Map, Value, json};
use std::time::Duration;
use thiserror::Error;

/// What is wrong with a declaration, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what}")]
pub struct DeclareError {
    what: String,
    remedy: String,
}

impl DeclareError {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

/// Which argument has no place in the act, and why. The value itself is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`/{input}` {what}")]
pub struct Unfit {
    input: String,
    what: String,
}

impl Unfit {
    pub(crate) fn new(input: &str, what: impl Into<String>) -> Self {
        Self {
            input: input.chars().take(64).flat_map(char::escape_default).collect(),
            what: what.into(),
        }
    }
}

/// What a tool does when it is called.
#[derive(Debug, Clone)]
pub enum Act {
    /// It starts a command in a box.
    Command(CommandTool),
    /// It sends an HTTP request.
    Http(HttpTool),
}

/// An act with its arguments in their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filled {
    /// The argument list, the program's name first.
    Command(Vec<String>),
    /// The request, without its secret.
    Http(HttpCall),
}

/// How much an act may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of an answer, or of each of a command's two streams.
    pub answer: usize,
    /// From its beginning to its end.
    pub time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { answer: 256 << 10, time: Duration::from_secs(30) }
    }
}

/// A tool that exists by configuration alone.
#[derive(Debug, Clone)]
pub struct Declared {
    name: ToolName,
    description: String,
    effect: Effect,
    inputs: Inputs,
    act: Act,
    secret: Option<SecretName>,
    projection: Projection,
    bounds: Bounds,
}

/// What a tool is declared from.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Its name.
    pub name: ToolName,
    /// What a model is told of it.
    pub description: String,
    /// What it can do to the world.
    pub effect: Effect,
    /// What it takes.
    pub inputs: Inputs,
    /// What it does.
    pub act: Act,
    /// The one secret that goes with it.
    pub secret: Option<SecretName>,
    /// What of the answer is shown.
    pub projection: Projection,
    /// What it may take up.
    pub bounds: Bounds,
}

impl Declared {
    /// Puts a tool together, once every input has a place and every place its input.
    pub fn new(parts: Parts) -> Result<Self, DeclareError> {
        let Parts { name, description, effect, inputs, act, secret, projection, bounds } = parts;
        let used = match &act {
            Act::Command(command) => command.check(&inputs)?,
            Act::Http(http) => http.check(&inputs)?,
        };
        if let Some(input) = inputs.names().find(|input| !used.contains(input)) {
            return Err(DeclareError::new(
                format!("the input `{input}` stands nowhere in what `{name}` does"),
                format!("write `{{{input}}}` where it belongs, or leave the input out"),
            ));
        }
        if secret.is_some() && matches!(act, Act::Command(_)) {
            return Err(DeclareError::new(
                "a command gets no secret: whatever is in its box could keep it",
                "give it a placeholder by way of [[inject]], or declare an HTTP tool",
            ));
        }
        Ok(Self { name, description, effect, inputs, act, secret, projection, bounds })
    }

    /// The tool's name.
    pub fn name(&self) -> &ToolName {
        &self.name
    }

    /// What a model is told of it.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What it can do to the world.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// What it does.
    pub fn act(&self) -> &Act {
        &self.act
    }

    /// The secret that goes with it.
    pub fn secret(&self) -> Option<&SecretName> {
        self.secret.as_ref()
    }

    /// What of an answer is shown.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// What it may take up.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// What it takes, as JSON Schema.
    pub fn schema(&self) -> Value {
        self.inputs.schema()
    }

    /// Puts the arguments into their places, or says which of them fits nowhere.
    pub fn fill(&self, arguments: &Value) -> Result<Filled, Unfit> {
        let values = self.inputs.check(arguments)?;
        Ok(match &self.act {
            Act::Command(command) => Filled::Command(command.fill(&self.inputs, &values)?),
            Act::Http(http) => Filled::Http(http.fill(&values)?),
        })
    }

    /// The tool as the gate's catalogue takes it.
    pub fn definition(&self) -> Value {
        let targets: Vec<Value> = self.inputs.targets().collect();
        let mut tool = Map::new();
        tool.insert("name".to_owned(), json!(self.name));
        tool.insert("effect".to_owned(), json!(self.effect));
        tool.insert("targets".to_owned(), Value::Array(targets));
        tool.insert("input".to_owned(), self.schema());
        if let Act::Http(http) = &self.act {
            tool.insert("reach".to_owned(), json!(http.target().to_string()));
        }
        if let Some(secret) = &self.secret {
            tool.insert("secret".to_owned(), json!(secret));
        }
        Value::Object(tool)
    }
}

/// The definitions of all declared tools, as one server's: what the gate's catalogue takes.
pub fn definitions<'a>(tools: impl Iterator<Item = &'a Declared>) -> String {
    let tools: Vec<Value> = tools.map(Declared::definition).collect();
    json!({ "server": SERVER, "tools": tools }).to_string()
}

/// The server that declared tools belong to.
pub const SERVER: &str = "tools";
