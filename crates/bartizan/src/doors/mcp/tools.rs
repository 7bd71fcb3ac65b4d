//! Which tools does a server offer, and what does the operator say of each? The server's list becomes definitions
//! that the gate knows.

use super::rest::Shape;
use crate::app::Gate;
use crate::config::own;
use bartizan_gate::name::{RoleName, ToolName};
use bartizan_gate::policy::{Layer, Place, RuleVerdict, ShortForm};
use bartizan_gate::tool::{Catalogue, Effect};
use bartizan_mcp::headers::Marks;
use bartizan_mcp::wire::Message;
use bartizan_scan::json::View;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One server's tools as the gate judges them, until its list changes.
pub(crate) struct Generation {
    /// Judges calls of these tools.
    pub(crate) gate: Arc<Gate>,
    /// The gate's names of the tools, by the server's own.
    pub(crate) tools: BTreeMap<String, ToolName>,
    /// The tools that wait for a person, though the gate may know them as they were.
    pub(crate) held: BTreeSet<String>,
    /// What the model is told of a tool instead of the server's own words.
    pub(crate) described: BTreeMap<String, String>,
    /// The arguments that headers mirror, of the tools that have any.
    pub(crate) marks: BTreeMap<String, Marks>,
    /// The tools that promise what their answers look like.
    pub(crate) shaped: BTreeSet<String>,
}

impl Generation {
    /// What may be left out of an answer, by the server's own name of the tool; none where what was asked for is no tool's.
    pub(super) fn shape(&self, own: Option<&str>) -> Shape {
        match own {
            Some(own) if self.shaped.contains(own) => Shape::Owed,
            Some(_) => Shape::Free,
            None => Shape::Unknown,
        }
    }
}

/// Makes a generation of the tools that a server lists.
pub(crate) type Maker =
    Arc<dyn Fn(u64, &[Message]) -> Result<Generation, String> + Send + Sync + 'static>;

/// What the operator says of one server's tools.
#[derive(Debug, Clone, Default)]
pub(crate) struct Operator {
    /// They may be called without a person.
    pub(crate) allow: BTreeSet<String>,
    /// They change nothing, and may be called without a person.
    pub(crate) read: BTreeSet<String>,
}

/// What came of a server's list.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The tools that can be called.
    pub(crate) tools: BTreeMap<String, ToolName>,
    /// What a role may do with them, where nothing that is configured speaks of them: see [`unspoken`].
    pub(crate) rules: Vec<ShortForm>,
    /// The tools that cannot, and why.
    pub(crate) held: Vec<(String, String)>,
}

/// The gate's name of what a server does besides its tools.
pub(crate) fn pseudo(server: &str, kind: &str) -> String {
    format!("mcp.{server}.{kind}")
}

/// All of them.
pub(crate) fn pseudos(server: &str) -> impl Iterator<Item = ToolName> {
    PSEUDO.iter().filter_map(move |kind| ToolName::parse(&pseudo(server, kind)).ok())
}

/// The tools in all pages of a list.
pub(crate) fn listed(pages: &[Message]) -> impl Iterator<Item = View<'_>> {
    pages.iter().filter_map(|page| page.result()?.get("tools")?.items()).flatten()
}

/// The arguments that headers mirror, by the server's own names of its tools.
pub(crate) fn marks(pages: &[Message]) -> BTreeMap<String, Marks> {
    let tools = listed(pages).filter_map(|tool| {
        let marks =
            Some(Marks::held(tool.get("inputSchema")?)).filter(|marks| !marks.is_empty())?;
        Some((tool.text_of("name")?.into_owned(), marks))
    });
    tools.collect()
}

/// The tools whose schema says what their answers look like.
pub(crate) fn shaped(pages: &[Message]) -> BTreeSet<String> {
    let shaped = listed(pages)
        .filter(|tool| tool.get("outputSchema").is_some_and(|schema| !schema.is_null()));
    shaped.filter_map(|tool| Some(tool.text_of("name")?.into_owned())).collect()
}

/// Adds a server's tools to the catalogue: each page of its list is one message.
pub(crate) fn take_in(
    catalogue: &mut Catalogue,
    server: &str,
    role: &RoleName,
    pages: &[Message],
    operator: &Operator,
) -> Result<Taken, String> {
    let mut taken = Taken::default();
    // A server that is configured has them already.
    if catalogue.get(&pseudo(server, "resource")).is_none() {
        add_pseudo(catalogue, server)?;
    }
    for tool in listed(pages) {
        let Some(own) = tool.text_of("name").map(std::borrow::Cow::into_owned) else { continue };
        if taken.tools.len() >= TOOLS_MAX {
            return Err(format!("server `{server}` lists more than {TOOLS_MAX} tools"));
        }
        match define(catalogue, server, &own, tool, operator) {
            Ok((name, verdict)) => {
                taken.rules.push(by_default(role, verdict, name.to_string()));
                taken.tools.insert(own, name);
            }
            Err(why) => taken.held.push((own, why)),
        }
    }
    for kind in PSEUDO {
        taken.rules.push(by_default(role, RuleVerdict::Allow, pseudo(server, kind)));
    }
    Ok(taken)
}

fn by_default(role: &RoleName, verdict: RuleVerdict, pattern: String) -> ShortForm {
    let place = Place { file: "bartizan mcp".to_owned(), line: 1 };
    let (layer, role) = (Layer::User, Some(role.clone()));
    ShortForm { layer, role, verdict, pattern, when: None, place }
}

/// Those rules of `defaults` of whose tools nothing that is `configured` speaks.
pub(crate) fn unspoken(defaults: &[ShortForm], configured: &[ShortForm]) -> Vec<ShortForm> {
    let spoken: BTreeSet<_> =
        configured.iter().map(|rule| rule.pattern.split('(').next()).collect();
    defaults.iter().filter(|rule| !spoken.contains(&Some(rule.pattern.as_str()))).cloned().collect()
}

fn define(
    catalogue: &mut Catalogue,
    server: &str,
    own: &str,
    tool: View<'_>,
    operator: &Operator,
) -> Result<(ToolName, RuleVerdict), String> {
    if own::is_ours(own) {
        return Err("it has the name of a tool of ours".to_owned());
    }
    let name = ToolName::parse(&format!("mcp__{server}__{own}"));
    let name = name.map_err(|error| error.to_string())?;
    let read = operator.read.contains(own) || operator.read.contains("*");
    let allow = operator.allow.contains(own) || operator.allow.contains("*");
    // A server's own word can make a tool more dangerous than its operator thinks, never less.
    let warns = tool.get("annotations").is_some_and(|hints| {
        let says = |key: &str, what: &str| hints.get(key).is_some_and(|hint| hint.raw() == what);
        says("readOnlyHint", "false") || says("destructiveHint", "true")
    });
    let effect = if read && !warns { Effect::Read } else { Effect::Irreversible };
    let verdict = match (allow, read && !warns) {
        (false, false) => RuleVerdict::Ask { quorum: 1 },
        _ => RuleVerdict::Allow,
    };
    let schema = tool.get("inputSchema").and_then(View::exact);
    let mut schema = schema.ok_or("its input schema cannot be read")?;
    if let Value::Object(schema) = &mut schema {
        // An object that names nothing takes nothing.
        schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    }
    let definition = json!({ "name": name, "effect": effect, "input": schema });
    let definition = json!({ "server": server, "tools": [definition] }).to_string();
    catalogue.add(&definition).map_err(|error| error.to_string())?;
    Ok((name, verdict))
}

/// Adds what a server does besides its tools.
pub(crate) fn add_pseudo(catalogue: &mut Catalogue, server: &str) -> Result<(), String> {
    let text = |most: u32| json!({ "type": "string", "maxLength": most });
    let inputs = [
        json!({ "uri": text(8192) }),
        json!({ "name": text(1024), "arguments": {} }),
        json!({ "ref": {}, "argument": {}, "context": {} }),
        json!({ "taskId": text(1024), "cursor": text(4096), "inputResponses": {} }),
    ];
    let tools = PSEUDO.iter().zip(inputs).map(|(kind, input)| {
        let input = json!({ "type": "object", "properties": input });
        let effect = if *kind == "task" { Effect::Write } else { Effect::Read };
        json!({ "name": pseudo(server, kind), "effect": effect, "input": input })
    });
    let tools: Vec<Value> = tools.collect();
    let definitions = json!({ "server": server, "tools": tools }).to_string();
    catalogue.add(&definitions).map_err(|error| error.to_string())
}

/// What a server does besides its tools: a resource read, a prompt, a completion, a task.
const PSEUDO: [&str; 4] = ["resource", "prompt", "completion", "task"];
/// Tools of one server.
const TOOLS_MAX: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_mcp::wire::Limits;

    fn take(tools: &Value, operator: &Operator) -> (Catalogue, Taken) {
        let page = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).to_string();
        let page = Message::parse(page.as_bytes(), &Limits::default()).unwrap();
        let mut catalogue = Catalogue::builtin().unwrap();
        let role = RoleName::parse("default").unwrap();
        let taken = take_in(&mut catalogue, "s", &role, &[page], operator).unwrap();
        (catalogue, taken)
    }

    fn operator(read: &[&str]) -> Operator {
        Operator { read: read.iter().map(ToString::to_string).collect(), ..Operator::default() }
    }

    #[test]
    fn a_tool_is_irreversible_and_asked_until_the_operator_says_otherwise() {
        let tool = json!([{"name": "t", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}}]);
        let (catalogue, taken) = take(&tool, &Operator::default());
        assert_eq!(catalogue.get("mcp__s__t").unwrap().effect(), Effect::Irreversible);
        assert_eq!(taken.rules[0].verdict, RuleVerdict::Ask { quorum: 1 });
        let (catalogue, taken) = take(&tool, &operator(&["t"]));
        assert_eq!(catalogue.get("mcp__s__t").unwrap().effect(), Effect::Read);
        assert_eq!(taken.rules[0].verdict, RuleVerdict::Allow);
    }

    #[test]
    fn a_hint_can_only_raise_the_risk() {
        for hints in [json!({"destructiveHint": true}), json!({"readOnlyHint": false})] {
            let tool =
                json!([{"name": "t", "inputSchema": {"type": "object"}, "annotations": hints}]);
            let (catalogue, taken) = take(&tool, &operator(&["*"]));
            assert_eq!(catalogue.get("mcp__s__t").unwrap().effect(), Effect::Irreversible);
            assert_eq!(taken.rules[0].verdict, RuleVerdict::Ask { quorum: 1 });
        }
    }

    #[test]
    fn a_tool_that_cannot_be_judged_is_held_back_and_the_rest_is_not() {
        let schema = json!({"type": "object", "properties": {}});
        let tools = json!([
            {"name": "good", "inputSchema": schema},
            {"name": "GOOD", "inputSchema": schema},
            {"name": "g\u{200b}ood", "inputSchema": schema},
            {"name": "a b", "inputSchema": schema},
            {"name": "bare"},
            {"name": "text", "inputSchema": {"type": "string"}},
            {"name": "bartizan_read_on", "inputSchema": schema},
        ]);
        let (_, taken) = take(&tools, &Operator::default());
        assert_eq!(taken.tools.keys().collect::<Vec<_>>(), ["good"]);
        assert_eq!(taken.held.len(), 6, "{:?}", taken.held);
    }
}
