//! May this call happen? Pure: the same question has the same answer.

use super::facts::{self, EmailFact};
use super::slice::Slice;
use super::source::PolicyRef;
use super::{Policy, QUORUM_MAX};
use crate::address::Network;
use crate::name::{AgentId, RoleName};
use crate::shape::Checked;
use crate::taint::{Origins, Part};
use crate::tool::{Fact, ToolDef};
use cedar_policy::{
    AuthorizationError, Context, Decision, PolicyId, Request, RestrictedExpression,
};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// One question to the policies.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "whoever asks must say all of it")]
pub struct Query<'a> {
    /// The role that the agent acts in.
    pub role: &'a RoleName,
    /// The agent.
    pub agent: &'a AgentId,
    /// How many agents stand above it: 0 for the session's main agent.
    pub depth: u32,
    /// The tool.
    pub tool: &'a ToolDef,
    /// Its arguments.
    pub input: &'a Checked,
    /// What the gate worked out from them.
    pub facts: &'a Facts,
    /// Who has approved this very call.
    pub approvers: &'a [String],
}

/// What the gate worked out from a call's arguments, because Cedar cannot: one group for each kind of
/// target that the tool has. A group that is missing denies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the gate builds it")]
pub struct Facts {
    /// What the path is.
    pub path: Option<PathFact>,
    /// What the host is.
    pub host: Option<HostFact>,
    /// What the command is.
    pub command: Option<CommandFact>,
    /// What the session has read, and where the call's values come from.
    pub origins: Origins,
    /// One recipient of a message.
    pub email: Option<EmailFact>,
    /// One address or block of addresses.
    pub ip: Option<Network>,
    /// The name of a thing.
    pub name: Option<String>,
    /// A sum, in hundredths.
    pub amount: Option<i64>,
    /// How many things a list holds.
    pub count: Option<u32>,
}

/// A canonical path and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the gate builds it")]
pub struct PathFact {
    /// Relative to the workspace when inside, else absolute.
    pub path: String,
    /// Whether it is the workspace or below it.
    pub in_workspace: bool,
    /// Whether the box shows it at all.
    pub visible: bool,
    /// Whether a program on the host would later execute or obey it.
    pub guarded: bool,
}

/// A canonical host and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the gate builds it")]
pub struct HostFact {
    /// The host in its canonical form.
    pub host: String,
    /// The port, 1 to 65535.
    pub port: u16,
    /// Whether it is not on the public internet.
    pub private: bool,
}

/// A command as it will be handed to a shell or the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the gate builds it")]
pub struct CommandFact {
    /// Its text.
    pub command: String,
    /// Whether its words name a place where credentials live.
    pub credentials: bool,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "a fourth verdict must break whoever acts on one")]
pub enum Verdict {
    /// It may happen.
    Allow,
    /// It may happen once so many more different people have said yes.
    Ask {
        /// How many in all, those that have said yes already included.
        quorum: u32,
    },
    /// It may not happen, whoever says yes.
    Deny,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("allow"),
            Self::Ask { quorum: 1 } => f.write_str("ask"),
            Self::Ask { quorum } => write!(f, "ask({quorum})"),
            Self::Deny => f.write_str("deny"),
        }
    }
}

/// A verdict and its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a judgement that nobody reads decides nothing"]
#[expect(clippy::exhaustive_structs, reason = "made here, read everywhere")]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The policies that decided, by id. For an allow, the permits; for an ask, what asks; for a deny,
    /// the forbids, and none when nothing permits the call.
    pub policies: Vec<PolicyRef>,
    /// Policies that failed to evaluate; any one of them denies by itself.
    pub errors: Vec<String>,
}

impl Policy {
    /// Judges one call.
    pub fn evaluate(&self, query: &Query<'_>) -> Judgement {
        let Some(slice) = self.index.slice(query.role, query.tool.name()) else {
            return denied(format!(
                "there is no role `{}` or no tool `{}`",
                query.role,
                query.tool.name()
            ));
        };
        let given: BTreeSet<&str> = query.approvers.iter().map(String::as_str).collect();
        let now = match self.answer(slice, query, &given, count(given.len())) {
            Ok(answer) => answer,
            Err(error) => return denied(error),
        };
        if !now.errors.is_empty() {
            return Judgement { verdict: Verdict::Deny, policies: Vec::new(), errors: now.errors };
        }
        if now.allows() {
            return self.judgement(Verdict::Allow, &now.permits);
        }
        // A forbid that cannot see approvals holds whoever says yes.
        let firm =
            |number: &usize| self.entries.get(*number).is_none_or(|entry| !entry.reads_approvals);
        let firm: Vec<usize> = now.forbids.iter().copied().filter(firm).collect();
        if !firm.is_empty() {
            return self.judgement(Verdict::Deny, &firm);
        }
        match self.quorum(slice, query, &given) {
            None => self.judgement(Verdict::Deny, &now.forbids),
            Some((quorum, permits)) => {
                let asking = if now.forbids.is_empty() { permits } else { now.forbids };
                self.judgement(Verdict::Ask { quorum }, &asking)
            }
        }
    }

    /// The smallest number of people, with those who have approved already, under which the policies
    /// would permit the call; and the permits that would.
    ///
    /// For each number two crowds are imagined: strangers, and everybody who may be asked. The second
    /// finds policies that want a certain person; it counts as so many people, not as all of them.
    fn quorum(
        &self,
        slice: &Slice,
        query: &Query<'_>,
        given: &BTreeSet<&str>,
    ) -> Option<(u32, Vec<usize>)> {
        let target = target(query);
        if !slice.shards(target.as_deref()).any(|shard| shard.reads_approvals) {
            return None;
        }
        let everybody: BTreeSet<&str> = given
            .iter()
            .copied()
            .chain(self.approvers.iter().take(super::APPROVERS_MAX).map(String::as_str))
            .collect();
        for more in 1..=QUORUM_MAX {
            let quorum = count(given.len()).saturating_add(more);
            let strangers = STRANGERS.iter().take(more as usize);
            let crowds = [given.iter().chain(strangers).copied().collect(), everybody.clone()];
            for crowd in crowds {
                if let Ok(answer) = self.answer(slice, query, &crowd, quorum)
                    && answer.errors.is_empty()
                    && answer.allows()
                {
                    return Some((quorum, answer.permits));
                }
            }
        }
        None
    }

    fn answer(
        &self,
        slice: &Slice,
        query: &Query<'_>,
        approvers: &BTreeSet<&str>,
        approvals: u32,
    ) -> Result<Answer, String> {
        let target = target(query);
        let shards = slice.shards(target.as_deref());
        let reads = Reads {
            input: shards.clone().any(|shard| shard.reads_input),
            origins: shards.clone().any(|shard| shard.reads_origins),
        };
        let context = context(query, approvers, approvals, reads)?;
        let request = Request::new(
            self.types.agent(query.role.as_str()),
            self.types.action(query.tool.name().as_str()),
            self.types.server(query.tool.server().as_str()),
            context,
            None,
        );
        let request = request.map_err(|error| error.to_string())?;
        let mut answer = Answer::default();
        for shard in shards {
            let set =
                shard.set(&self.entries).ok_or("the policies of a slice cannot be put together")?;
            let response = self.authorizer.is_authorized(&request, set, &self.entities);
            let reasons = response.diagnostics().reason().filter_map(number);
            match response.decision() {
                Decision::Allow => answer.permits.extend(reasons),
                Decision::Deny => answer.forbids.extend(reasons),
            }
            answer.errors.extend(response.diagnostics().errors().map(|error| self.failure(error)));
        }
        Ok(answer)
    }

    fn failure(&self, error: &AuthorizationError) -> String {
        match error {
            AuthorizationError::PolicyEvaluationError(error) => {
                let entry = number(error.policy_id()).and_then(|number| self.entries.get(number));
                let name = entry.map(|entry| format!("`{}` ({})", entry.at.id, entry.at.place()));
                // Cedar's words may quote an argument.
                let what: String = error
                    .inner()
                    .to_string()
                    .chars()
                    .take(200)
                    .flat_map(char::escape_debug)
                    .collect();
                format!("policy {} failed: {what}", name.unwrap_or_default())
            }
        }
    }

    fn judgement(&self, verdict: Verdict, numbers: &[usize]) -> Judgement {
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        let mut policies: Vec<PolicyRef> = numbers
            .iter()
            .filter_map(|number| self.entries.get(*number))
            .map(|entry| entry.at.clone())
            .collect();
        policies.dedup();
        Judgement { verdict, policies, errors: Vec::new() }
    }
}

/// What the policies of a slice say with so many approvals.
#[derive(Default)]
struct Answer {
    permits: Vec<usize>,
    forbids: Vec<usize>,
    errors: Vec<String>,
}

impl Answer {
    fn allows(&self) -> bool {
        self.forbids.is_empty() && !self.permits.is_empty()
    }
}

fn denied(error: String) -> Judgement {
    Judgement { verdict: Verdict::Deny, policies: Vec::new(), errors: vec![error] }
}

/// What a slice's policies could look at that costs something to build.
#[derive(Clone, Copy)]
struct Reads {
    input: bool,
    origins: bool,
}

/// The context of a request, of the very types that the schema gives the tool.
fn context(
    query: &Query<'_>,
    approvers: &BTreeSet<&str>,
    approvals: u32,
    reads: Reads,
) -> Result<Context, String> {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let flag = RestrictedExpression::new_bool;
    let mut pairs = vec![
        ("agent", text(query.agent.as_str())),
        ("approvals", RestrictedExpression::new_long(approvals.into())),
        ("approvers", RestrictedExpression::new_set(approvers.iter().map(|name| text(name)))),
        ("depth", RestrictedExpression::new_long(query.depth.into())),
    ];
    if reads.origins {
        let Origins { taint, .. } = &query.facts.origins;
        let taint = [
            ("score", RestrictedExpression::new_long(taint.score.into())),
            (
                "sources",
                RestrictedExpression::new_set(taint.sources.iter().map(|source| text(source))),
            ),
            ("tainted", flag(taint.tainted)),
        ];
        pairs.push(("taint", record(taint)?));
        pairs.push(("provenance", provenance(query)?));
    }
    if reads.input {
        pairs.push(("input", query.input.cedar()));
    }
    let missing = |fact: &str| {
        format!("the gate did not work out the {fact} of a call of `{}`", query.tool.name())
    };
    let Facts { path, host, command, .. } = query.facts;
    facts::pairs(query, &mut pairs)?;
    if query.tool.has(Fact::Path) {
        let path = path.as_ref().ok_or_else(|| missing("path"))?;
        pairs.push(("path", text(&path.path)));
        pairs.push(("in_workspace", flag(path.in_workspace)));
        pairs.push(("visible", flag(path.visible)));
        pairs.push(("guarded", flag(path.guarded)));
    }
    if query.tool.has(Fact::Host) {
        let host = host.as_ref().ok_or_else(|| missing("host"))?;
        pairs.push(("host", text(&host.host)));
        pairs.push(("port", RestrictedExpression::new_long(host.port.into())));
        pairs.push(("private", flag(host.private)));
    }
    if query.tool.has(Fact::Command) {
        let command = command.as_ref().ok_or_else(|| missing("command"))?;
        pairs.push(("command", text(&command.command)));
        pairs.push(("credentials", flag(command.credentials)));
    }
    let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

fn provenance(query: &Query<'_>) -> Result<RestrictedExpression, String> {
    let found = &query.facts.origins.provenance;
    let origin = |part: &Part| RestrictedExpression::new_string(found.of(part).as_str().to_owned());
    let mut pairs = vec![
        ("carries", RestrictedExpression::new_bool(found.carries)),
        ("composed", RestrictedExpression::new_bool(found.composed)),
        ("lifted", RestrictedExpression::new_bool(found.is_lifted())),
        ("ordered", RestrictedExpression::new_bool(found.is_ordered())),
        ("worst", RestrictedExpression::new_string(found.worst().as_str().to_owned())),
    ];
    pairs.extend(query.tool.parts().map(|name| {
        let part = match name {
            "command" => Part::Command,
            "host" => Part::Host,
            "path" => Part::Path,
            _ => Part::Url,
        };
        (name, origin(&part))
    }));
    let fields = query.tool.authority();
    if !fields.is_empty() {
        let fields = fields.iter().map(|field| (&**field, origin(&Part::Argument(field.clone()))));
        pairs.push(("argument", record(fields)?));
    }
    record(pairs)
}

fn record<'a>(
    pairs: impl IntoIterator<Item = (&'a str, RestrictedExpression)>,
) -> Result<RestrictedExpression, String> {
    let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
    RestrictedExpression::new_record(pairs).map_err(|error| error.to_string())
}

/// The text that a short form's pattern is compared with.
fn target<'a>(query: &Query<'a>) -> Option<Cow<'a, str>> {
    let facts = query.facts;
    match query.tool.primary()? {
        Fact::Command => facts.command.as_ref().map(|command| command.command.as_str().into()),
        Fact::Host => facts.host.as_ref().map(|host| host.host.as_str().into()),
        Fact::Path => facts.path.as_ref().map(|path| path.path.as_str().into()),
        other => facts::target(query, other).map(Cow::Owned),
    }
}

/// The index of the policy with an internal id.
fn number(id: &PolicyId) -> Option<usize> {
    AsRef::<str>::as_ref(id).strip_prefix('p')?.parse().ok()
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// People nobody knows; no approver's name has a space.
const STRANGERS: [&str; QUORUM_MAX as usize] =
    ["a person", "a second person", "a third person", "a fourth person", "a fifth person"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::RoleName;
    use crate::policy::{Layer, Place, Roles, RuleVerdict, ShortForm, Source};
    use crate::tool::Catalogue;
    use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};
    use proptest::prelude::*;
    use serde_json::json;

    const ALL: Reads = Reads { input: true, origins: true };

    fn role(name: &str) -> RoleName {
        RoleName::parse(name).unwrap()
    }

    fn roles() -> Roles {
        Roles::new([(role("coder"), vec![role("default")]), (role("reader"), vec![])]).unwrap()
    }

    fn facts() -> Facts {
        Facts {
            path: Some(PathFact {
                path: "src/a.rs".into(),
                in_workspace: true,
                visible: true,
                guarded: false,
            }),
            host: Some(HostFact { host: "github.com".into(), port: 443, private: false }),
            command: Some(CommandFact { command: "git push".into(), credentials: false }),
            ..Facts::default()
        }
    }

    /// Arguments that the client was seen to send.
    fn arguments(tool: &ToolDef) -> Checked {
        let seen: Vec<(String, serde_json::Value)> =
            serde_json::from_str(include_str!("../../tests/policy/payloads.json")).unwrap();
        let seen =
            seen.into_iter().find(|(name, _)| name == tool.name().as_str()).map(|(_, input)| input);
        tool.shape().check(&seen.unwrap_or_else(|| json!({}))).unwrap()
    }

    #[test]
    fn every_context_is_what_the_schema_promises() {
        let catalogue = Catalogue::builtin().unwrap();
        let schema = Schema::from_json_value(crate::policy::schema::document(&catalogue)).unwrap();
        let payloads: Vec<(String, serde_json::Value)> =
            serde_json::from_str(include_str!("../../tests/policy/payloads.json")).unwrap();
        for (name, input) in payloads {
            let tool = catalogue.get(&name).unwrap();
            let input = tool.shape().check(&input).unwrap();
            let (role, agent, facts) = (role("coder"), AgentId::main(), facts());
            let query = Query {
                role: &role,
                agent: &agent,
                depth: 1,
                tool,
                input: &input,
                facts: &facts,
                approvers: &[],
            };
            let context = context(&query, &BTreeSet::from(["local:anna"]), 1, ALL).unwrap();
            let action = format!("Action::{}", crate::policy::short::quote(&name)).parse().unwrap();
            context.validate(&schema, &action).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn whatever_a_short_form_becomes_is_strictly_valid() {
        let catalogue = Catalogue::builtin().unwrap();
        let schema = Schema::from_json_value(crate::policy::schema::document(&catalogue)).unwrap();
        let names = catalogue.iter().map(|tool| match tool.primary() {
            None => tool.name().to_string(),
            Some(_) => format!("{}(*.a)", tool.name()),
        });
        let verdicts = [RuleVerdict::Allow, RuleVerdict::Ask { quorum: 2 }, RuleVerdict::Deny];
        let forms: Vec<ShortForm> = names
            .chain(
                ["*", "Task*", "server:net", "effect:write", "net(a.com:443)", "Read(a)"]
                    .map(str::to_owned),
            )
            .flat_map(|pattern| verdicts.map(|verdict| form(verdict, &pattern)))
            .collect();
        let policy =
            Policy::load(&Policy::builtin_sources(), &forms, &roles(), &catalogue, &[]).unwrap();
        let set = PolicySet::from_policies(policy.entries.iter().map(|entry| entry.cedar.clone()))
            .unwrap();
        let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
        assert!(result.validation_passed_without_warnings(), "{result}");
    }

    fn form(verdict: RuleVerdict, pattern: &str) -> ShortForm {
        let place = Place { file: "t.toml".into(), line: 1 };
        ShortForm {
            layer: Layer::User,
            role: Some(role("coder")),
            verdict,
            when: None,
            pattern: pattern.into(),
            place,
        }
    }

    /// Scopes of every kind, for roles, agents, groups and servers.
    fn any_cedar() -> impl Strategy<Value = String> {
        let effect = prop::sample::select(vec!["permit", "forbid"]);
        let principal = prop::sample::select(vec![
            "principal",
            "principal is Agent",
            r#"principal in Role::"default""#,
            r#"principal == Agent::"coder""#,
            r#"principal in Agent::"reader""#,
            r#"principal is Agent in Role::"basic""#,
            r#"principal in Role::"reader""#,
        ]);
        let action = prop::sample::select(vec![
            "action",
            r#"action == Action::"Read""#,
            r#"action in Action::"write""#,
            r#"action in [Action::"Bash", Action::"read"]"#,
            r#"action in [Action::"server:net"]"#,
        ]);
        let resource = prop::sample::select(vec![
            "resource",
            "resource is Server",
            r#"resource == Server::"claude-code""#,
            r#"resource in Server::"net""#,
            r#"resource is Server in Server::"process""#,
        ]);
        let condition = prop::sample::select(vec![
            "",
            "when { context.approvals >= 1 }",
            "when { context.depth > 5 }",
        ]);
        (effect, principal, action, resource, condition).prop_map(
            |(effect, principal, action, resource, condition)| {
                format!("{effect}({principal}, {action}, {resource}) {condition};")
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn a_slice_answers_like_the_whole_set(texts in prop::collection::vec(any_cedar(), 1..6), literal in "(src/a.rs|b.rs)") {
            let catalogue = Catalogue::builtin().unwrap();
            let text = texts.join("\n");
            let source = Source { layer: Layer::User, path: "t.cedar".into(), text };
            let forms = [form(RuleVerdict::Deny, &format!("Read({literal})")), form(RuleVerdict::Allow, "Write(src/a.rs)")];
            // Scopes that can never match are refused, which is another test's matter.
            let policy = Policy::load(&[source], &forms, &roles(), &catalogue, &[]);
            prop_assume!(policy.is_ok());
            let policy = policy.unwrap();
            let whole = PolicySet::from_policies(policy.entries.iter().map(|entry| entry.cedar.clone())).unwrap();
            let (agent, facts) = (AgentId::main(), facts());
            for tool in catalogue.iter().filter(|tool| ["Read", "Write", "Bash", "net.connect", "process.start"].contains(&tool.name().as_str())) {
                for role in [role("coder"), role("reader"), role("basic")] {
                    let input = arguments(tool);
                    let query = Query { role: &role, agent: &agent, depth: 0, tool, input: &input, facts: &facts, approvers: &[] };
                    let request = Request::new(
                        policy.types.agent(role.as_str()),
                        policy.types.action(tool.name().as_str()),
                        policy.types.server(tool.server().as_str()),
                        context(&query, &BTreeSet::new(), 0, ALL).unwrap(),
                        None,
                    ).unwrap();
                    let cedar = policy.authorizer.is_authorized(&request, &whole, &policy.entities);
                    let slice = policy.index.slice(&role, tool.name()).unwrap();
                    let answer = policy.answer(slice, &query, &BTreeSet::new(), 0).unwrap();
                    prop_assert_eq!(answer.allows(), cedar.decision() == Decision::Allow, "{} {}", role, tool.name());
                    if answer.allows() {
                        prop_assert!(policy.could_permit(&role, tool.name()));
                    }
                }
            }
        }
    }
}
