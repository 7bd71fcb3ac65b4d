//! What is a tool of an MCP server here? Its own schema, and the operator's word on what it does.

use super::{Catalogue, CatalogueError, Effect, RawTool, Target};
use crate::name::{NameError, ServerName, ToolName};
use crate::taint::Trust;
use serde_json::{Value, json};

/// A tool that an MCP server offers.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "whoever adds one must say all of it")]
pub struct UpstreamTool<'a> {
    /// The server, as the operator calls it.
    pub server: &'a ServerName,
    /// The tool, as the server calls it.
    pub tool: &'a str,
    /// What it takes: the server's own JSON Schema.
    pub schema: &'a Value,
    /// The server's hints; they may raise the effect and nothing else.
    pub annotations: Option<&'a Value>,
    /// What the operator says that it does; nothing said means irreversible.
    pub effect: Option<Effect>,
    /// What the operator says that its arguments point at.
    pub targets: &'a [Target],
}

impl UpstreamTool<'_> {
    /// The name that policies, the log and agents know it by: `mcp__SERVER__TOOL`.
    pub fn name(&self) -> Result<ToolName, NameError> {
        name(self.server, self.tool)
    }

    /// The operator's word, raised by what the server admits of itself. A server that says of a tool
    /// that it only reads is not believed.
    pub fn effect(&self) -> Effect {
        let hint = |name: &str| self.annotations.and_then(|all| all.get(name)?.as_bool());
        let admitted = match (hint("readOnlyHint"), hint("destructiveHint")) {
            (Some(true), _) | (None, None | Some(false)) => Effect::Read,
            (_, Some(true)) => Effect::Irreversible,
            (Some(false), None | Some(false)) => Effect::Write,
        };
        self.effect.unwrap_or_default().max(admitted)
    }
}

/// The name that policies, the log and agents know an upstream's tool by: `mcp__SERVER__TOOL`.
pub fn name(server: &ServerName, tool: &str) -> Result<ToolName, NameError> {
    ToolName::parse(&format!("mcp__{server}__{tool}"))
}

impl Catalogue {
    /// Adds a tool of an MCP server.
    pub fn add_upstream(&mut self, tool: &UpstreamTool<'_>) -> Result<(), CatalogueError> {
        let name = tool.name()?.to_string();
        let raw = RawTool {
            name,
            effect: tool.effect(),
            targets: tool.targets.to_vec(),
            authority: Vec::new(),
            returns: Trust::Untrusted,
            reach: None,
            secret: None,
            input: closed(tool.schema),
        };
        self.define(tool.server, raw)
    }
}

/// An object that names no property takes none: what nobody described, nobody has judged.
fn closed(schema: &Value) -> Value {
    let is_object = schema.get("type").and_then(Value::as_str) == Some("object");
    let composed = ["$ref", "allOf", "anyOf", "oneOf", "properties"];
    if is_object && composed.iter().all(|key| schema.get(key).is_none()) {
        return json!({ "type": "object", "properties": {} });
    }
    schema.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream<'a>(
        server: &'a ServerName,
        schema: &'a Value,
        annotations: Option<&'a Value>,
        effect: Option<Effect>,
    ) -> UpstreamTool<'a> {
        UpstreamTool { server, tool: "t", schema, annotations, effect, targets: &[] }
    }

    #[test]
    fn hints_raise_an_effect_and_never_lower_it() {
        let (server, schema) = (ServerName::parse("s").unwrap(), json!({"type": "object"}));
        let rated = |hints: &Value, said: Option<Effect>| {
            upstream(&server, &schema, Some(hints), said).effect()
        };
        let reads = json!({"readOnlyHint": true, "destructiveHint": false});
        assert_eq!(rated(&reads, None), Effect::Irreversible);
        assert_eq!(rated(&reads, Some(Effect::Write)), Effect::Write);
        assert_eq!(rated(&reads, Some(Effect::Read)), Effect::Read);
        let destroys = json!({"destructiveHint": true});
        assert_eq!(rated(&destroys, Some(Effect::Read)), Effect::Irreversible);
        let writes = json!({"readOnlyHint": false});
        assert_eq!(rated(&writes, Some(Effect::Read)), Effect::Write);
        for odd in [json!(null), json!("x"), json!({"readOnlyHint": "false"}), json!([])] {
            assert_eq!(rated(&odd, Some(Effect::Read)), Effect::Read);
        }
    }

    #[test]
    fn tools_of_two_servers_cannot_have_one_name() {
        let schema = json!({"type": "object", "properties": {}});
        let (one, two) = (ServerName::parse("a").unwrap(), ServerName::parse("a__b").unwrap());
        let mut catalogue = Catalogue::default();
        let mut add = |server, tool| {
            let tool = UpstreamTool { tool, ..upstream(server, &schema, None, None) };
            catalogue.add_upstream(&tool)
        };
        add(&one, "b__c").unwrap();
        for (server, tool) in [(&two, "c"), (&one, "B__C"), (&one, "b c"), (&one, "b\u{200b}")] {
            assert!(add(server, tool).is_err(), "{tool}");
        }
    }

    #[test]
    fn a_tool_that_describes_no_argument_takes_none() {
        let (server, schema) = (ServerName::parse("s").unwrap(), json!({"type": "object"}));
        let mut catalogue = Catalogue::default();
        catalogue.add_upstream(&upstream(&server, &schema, None, None)).unwrap();
        let tool = catalogue.get("mcp__s__t").unwrap();
        assert!(tool.shape().check(&json!({})).is_ok());
        assert!(tool.shape().check(&json!({"a": 1})).is_err());
    }
}
