//! Why this verdict, and what would change it? In words for a person, never for an agent.

use super::{BASE, DEFAULT, Judgement, Policy, PolicyRef, Verdict};
use crate::name::RoleName;
use crate::tool::{Fact, ToolDef};

impl Policy {
    /// The verdict, the policies that decided with their places, and what would change it.
    pub fn explain(&self, role: &RoleName, tool: &ToolDef, judgement: &Judgement) -> String {
        let mut lines = vec![format!("verdict: {}", judgement.verdict)];
        let by = match judgement.verdict {
            Verdict::Allow => "permitted by",
            Verdict::Ask { .. } => "asked by",
            Verdict::Deny => "forbidden by",
        };
        lines.extend(
            judgement
                .policies
                .iter()
                .map(|policy| format!("{by}: {} ({})", policy.id, policy.place())),
        );
        lines.extend(judgement.errors.iter().map(|error| format!("error: {error}")));
        if judgement.verdict == Verdict::Deny
            && judgement.policies.is_empty()
            && judgement.errors.is_empty()
        {
            lines
                .push(format!("no policy permits this call of `{}` to role `{role}`", tool.name()));
        }
        lines.push(format!("to change it: {}", self.change(role, tool, judgement)));
        lines.join("\n")
    }

    fn change(&self, role: &RoleName, tool: &ToolDef, judgement: &Judgement) -> String {
        let name = tool.name();
        if !judgement.errors.is_empty() {
            return "mend the policy that failed; until then everything it could speak of is denied".to_owned();
        }
        match judgement.verdict {
            Verdict::Allow => {
                format!("add `deny = [\"{}\"]` or `ask` under `[roles.{role}]`", example(tool))
            }
            Verdict::Ask { quorum } => asked(role, tool, quorum, &judgement.policies),
            Verdict::Deny => match judgement.policies.first() {
                Some(policy) if policy.file == BASE => {
                    format!(
                        "`{}` is built in and holds for every role; do it yourself, outside the box",
                        policy.id
                    )
                }
                Some(policy) if policy.file == DEFAULT => {
                    format!(
                        "`{}` holds for whatever extends role `default`; give the agent a role that does not",
                        policy.id
                    )
                }
                Some(policy) => format!(
                    "a forbid beats every permit: change `{}` at {}",
                    policy.id,
                    policy.place()
                ),
                None if self.could_permit(role, name) => {
                    format!(
                        "role `{role}` may use `{name}`, but not so; widen its `allow` or `ask` with `{}`",
                        example(tool)
                    )
                }
                None => {
                    format!("add `allow = [\"{}\"]` or `ask` under `[roles.{role}]`", example(tool))
                }
            },
        }
    }
}

/// People answer each time; what the built-in rules ask can be allowed for good.
fn asked(role: &RoleName, tool: &ToolDef, quorum: u32, policies: &[PolicyRef]) -> String {
    let people = match quorum {
        1 => "one person says yes".to_owned(),
        _ => format!("{quorum} different people say yes"),
    };
    let each = format!("{people}, each time: `bartizan approvals`");
    if policies.iter().any(|policy| policy.file != DEFAULT) {
        return each;
    }
    format!("{each}; for good: `allow = [\"{}\"]` under `[roles.{role}]`", example(tool))
}

/// A short form for the tool that shows what its pattern would match.
fn example(tool: &ToolDef) -> String {
    let name = tool.name();
    match tool.primary() {
        None | Some(Fact::Amount | Fact::Count) => name.to_string(),
        Some(Fact::Email) => format!("{name}(*@DOMAIN)"),
        Some(Fact::Ip) => format!("{name}(public)"),
        Some(Fact::Name) => format!("{name}(NAME)"),
        Some(Fact::Command) => format!("{name}(COMMAND*)"),
        Some(Fact::Host) => format!("{name}(HOST:443)"),
        Some(Fact::Path) => format!("{name}(DIR/*)"),
    }
}
