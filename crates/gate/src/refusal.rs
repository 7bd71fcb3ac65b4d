//! Why not? One variant per reason, each with a stable code and a sentence the agent can act on.

use crate::name::NameError;
use crate::policy::PolicyRef;
use thiserror::Error;

/// Why a proposal does not happen.
///
/// The `Display` form is the one safe sentence that an agent may read: it names neither a path of
/// ours nor a policy's text. [`Refusal::hint`] is for the person.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The agent's own name is malformed.
    #[error("this request does not say which agent makes it")]
    AgentUnknown,
    /// A person said no.
    #[error("a person refused this call: {reason}")]
    ApprovalDenied {
        /// The approver's words.
        reason: String,
    },
    /// A person must say yes first; the question stands.
    #[error(
        "a person must approve `{tool}`{target} first; ask for `bartizan approvals approve {question}`, then make \
         exactly the same call again"
    )]
    ApprovalRequired {
        /// The tool.
        tool: String,
        /// ` on X`, or empty.
        target: String,
        /// The question's short id.
        question: String,
        /// How many different people.
        quorum: u32,
        /// Why it is asked.
        policies: Vec<PolicyRef>,
    },
    /// The arguments are not what the tool takes.
    #[error("the arguments of `{tool}` are not what it takes: {what}")]
    ArgumentsInvalid {
        /// The tool.
        tool: String,
        /// Which argument, and what is wrong with it.
        what: String,
    },
    /// A role has used up what it may in one session.
    #[error(
        "role `{role}` has used up its {limit} {of} of this session; nothing more of them happens in it"
    )]
    BudgetSpent {
        /// The role.
        role: String,
        /// What is used up.
        of: &'static str,
        /// How much there was.
        limit: u64,
    },
    /// The role's own box is narrower than the one its session runs in.
    #[error(
        "`{tool}` would run in a box that is wider than the one of your role; leave it to the agent that started you"
    )]
    BoxNarrower {
        /// The tool.
        tool: String,
        /// The subagent's role.
        role: String,
    },
    /// The desk cannot be reached, so nobody can be asked.
    #[error("nobody can be asked just now, so this does not happen")]
    DeskUnavailable {
        /// The cause, for the person.
        cause: String,
    },
    /// The session has too many open questions.
    #[error("too many questions of this session wait for an answer; wait until some are answered")]
    DeskFull,
    /// The same act was begun before, and nobody knows whether it happened.
    #[error(
        "an earlier call of `{tool}` with these arguments may or may not have happened; a person must find out first (`bartizan effects resolve {effect}`), so it is not made again"
    )]
    EffectUnresolved {
        /// The tool.
        tool: String,
        /// The earlier act's short id.
        effect: String,
    },
    /// A host or port that has more than one reading, or none.
    #[error("{source}; write the plain host name")]
    HostInvalid {
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// An address of this machine, a private network, or a cloud's metadata service.
    #[error("`{host}` is not on the public internet, and no rule declares it")]
    HostPrivate {
        /// The host as it was judged.
        host: String,
    },
    /// The audit log did not take the record: no record, no act.
    #[error("the audit log cannot be written, so nothing may happen until it can")]
    LedgerUnavailable {
        /// The cause, for the person.
        cause: String,
    },
    /// A limit on calls is reached.
    #[error("`{tool}` has reached its limit of {limit}; {frees}")]
    LimitReached {
        /// The tool.
        tool: String,
        /// How many of which calls, in which time.
        limit: String,
        /// When the next one may be made.
        frees: String,
    },
    /// A request to the model that has no single reading, or a part that is not understood.
    #[error("this request to the model cannot be read: {what}")]
    ModelRequestUnread {
        /// What is wrong with it.
        what: String,
    },
    /// A path that is not one.
    #[error("{source}")]
    PathInvalid {
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// A path that is neither in the workspace nor shown in the box.
    #[error("path `{path}` is outside the workspace; work with files inside it")]
    PathOutOfScope {
        /// The path as it was judged.
        path: String,
        /// The policies that decided, if any did.
        policies: Vec<PolicyRef>,
    },
    /// Policy says no, whoever is asked.
    #[error("policy does not allow `{tool}`{target}; do it another way or leave it out")]
    PolicyDenied {
        /// The tool.
        tool: String,
        /// ` on X`, or empty.
        target: String,
        /// The forbids that decided; empty = nothing permits it.
        policies: Vec<PolicyRef>,
        /// Evaluation errors, which deny by themselves.
        errors: Vec<String>,
    },
    /// A request on a box's socket that has no single reading, so nobody knows what was wanted.
    #[error("{what}")]
    RequestUnreadable {
        /// The reader's own code.
        code: String,
        /// What is wrong with it.
        what: String,
    },
    /// A rule flagged the run, and no person has said that it may go on.
    #[error(
        "this run is paused ({says}); nothing but talk goes on until a person has said so: `bartizan approvals approve {question}`"
    )]
    RunPaused {
        /// The rule.
        rule: String,
        /// What it found.
        says: String,
        /// The question's short id.
        question: String,
    },
    /// A tool that the model's vendor would carry out, where no gate stands.
    #[error(
        "a request offers the model the tool `{kind}`, which its vendor's machines would carry out unseen"
    )]
    ServerTool {
        /// The kind of tool.
        kind: String,
    },
    /// The session was stopped, because an act was not seen by the gate.
    #[error(
        "this session is stopped at call `{call}`, which went round the gate; end it and look at its log"
    )]
    SessionStopped {
        /// The client's id of that call.
        call: String,
    },
    /// The tool is not as a person accepted it.
    #[error("`{tool}` is held back until a person has looked at it; use another tool")]
    ToolHeld {
        /// The tool.
        tool: String,
        /// Whose tool it is.
        server: String,
    },
    /// No policy could ever let this role use the tool.
    #[error("`{tool}` is not on the list of role `{role}`; use another tool")]
    ToolNotListed {
        /// The tool.
        tool: String,
        /// The role.
        role: String,
    },
    /// The conversation tells of an act that the gate did not see.
    #[error("call `{call}` of `{tool}` went round the gate ({what}), so this session is stopped")]
    UnseenAct {
        /// The tool.
        tool: String,
        /// The client's id of the call.
        call: String,
        /// How that shows.
        what: String,
    },
    /// No definition of such a tool.
    #[error("there is no tool `{tool}` here; use one that is listed")]
    ToolUnknown {
        /// The name as it was given, made safe.
        tool: String,
    },
}

impl Refusal {
    /// The stable code, the same in logs, messages and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AgentUnknown => "agent-unknown",
            Self::ApprovalDenied { .. } => "approval-denied",
            Self::ApprovalRequired { .. } => "approval-required",
            Self::ArgumentsInvalid { .. } => "arguments-invalid",
            Self::BudgetSpent { .. } => "budget-spent",
            Self::BoxNarrower { .. } => "box-narrower",
            Self::DeskUnavailable { .. } => "desk-unavailable",
            Self::DeskFull => "desk-full",
            Self::EffectUnresolved { .. } => "effect-unresolved",
            Self::HostInvalid { .. } => "host-invalid",
            Self::HostPrivate { .. } => "host-private",
            Self::LedgerUnavailable { .. } => "ledger-unavailable",
            Self::LimitReached { .. } => "limit-reached",
            Self::ModelRequestUnread { .. } => "model-request-unread",
            Self::PathInvalid { .. } => "path-invalid",
            Self::PathOutOfScope { .. } => "path-out-of-scope",
            Self::PolicyDenied { .. } => "policy-denied",
            Self::RequestUnreadable { .. } => "request-unreadable",
            Self::RunPaused { .. } => "run-paused",
            Self::ServerTool { .. } => "server-tool",
            Self::SessionStopped { .. } => "session-stopped",
            Self::ToolHeld { .. } => "tool-held",
            Self::ToolNotListed { .. } => "tool-not-listed",
            Self::ToolUnknown { .. } => "tool-unknown",
            Self::UnseenAct { .. } => "unseen-act",
        }
    }

    /// The policies that decided, for the person and the log.
    pub fn policies(&self) -> &[PolicyRef] {
        match self {
            Self::ApprovalRequired { policies, .. }
            | Self::PathOutOfScope { policies, .. }
            | Self::PolicyDenied { policies, .. } => policies,
            Self::AgentUnknown
            | Self::ApprovalDenied { .. }
            | Self::ArgumentsInvalid { .. }
            | Self::BoxNarrower { .. }
            | Self::DeskUnavailable { .. }
            | Self::DeskFull
            | Self::EffectUnresolved { .. }
            | Self::HostInvalid { .. }
            | Self::HostPrivate { .. }
            | Self::LedgerUnavailable { .. }
            | Self::LimitReached { .. }
            | Self::PathInvalid { .. }
            | Self::RequestUnreadable { .. }
            | Self::BudgetSpent { .. }
            | Self::ModelRequestUnread { .. }
            | Self::RunPaused { .. }
            | Self::ServerTool { .. }
            | Self::SessionStopped { .. }
            | Self::ToolHeld { .. }
            | Self::ToolNotListed { .. }
            | Self::ToolUnknown { .. }
            | Self::UnseenAct { .. } => &[],
        }
    }

    /// What a person can do about it; never shown to an agent.
    pub fn hint(&self) -> String {
        match self {
            Self::AgentUnknown => "the client sent a malformed agent id; see the record".to_owned(),
            Self::ApprovalDenied { .. } => {
                "the same call may be proposed again and is then a new question".to_owned()
            }
            Self::ApprovalRequired { question, .. } | Self::RunPaused { question, .. } => {
                format!("`bartizan approvals show {question}`, then `approve` or `deny`")
            }
            Self::ArgumentsInvalid { tool, .. } => {
                format!("compare with `bartizan policy show --tool {tool}`")
            }
            Self::BoxNarrower { role, .. } => format!(
                "only its shell commands get a box of its own role; give role `{role}` a box as wide as its session's ([roles.{role}.box]), or run it by itself: `bartizan run --agent {role}`"
            ),
            Self::DeskUnavailable { cause } | Self::LedgerUnavailable { cause } => {
                format!("{cause}; `bartizan doctor` says what to mend")
            }
            Self::BudgetSpent { role, .. } => {
                format!("raise it under `[roles.{role}.budget]`, or begin another session")
            }
            Self::LimitReached { .. } => "it stands under [[limits]] in bartizan.toml".to_owned(),
            Self::ModelRequestUnread { .. } => {
                "a newer client may send what this version does not know; see docs/model-door.md"
                    .to_owned()
            }
            Self::ServerTool { .. } => {
                "only a web search passes, while an allowed `WebSearch` call is under way"
                    .to_owned()
            }
            Self::SessionStopped { call } | Self::UnseenAct { call, .. } => {
                format!("look at it: `bartizan audit list`, reference `{call}`")
            }
            Self::EffectUnresolved { effect, .. } => format!(
                "look at the other side whether it happened, then: bartizan effects resolve {effect} --committed, or --failed"
            ),
            Self::DeskFull => "answer some: `bartizan approvals list`".to_owned(),
            Self::RequestUnreadable { code, .. } => {
                format!("the request was malformed ({code}); see the record")
            }
            Self::HostInvalid { .. } | Self::PathInvalid { .. } => {
                "no rule can allow an ambiguous name".to_owned()
            }
            Self::HostPrivate { host } => {
                format!("declare it: `[hosts.\"{host}:PORT\"]` with `private = true`")
            }
            Self::PathOutOfScope { path, .. } => {
                format!("show it in the box: `readable = [\"{path}\"]` under `[roles.NAME.box]`")
            }
            Self::PolicyDenied { policies, errors, .. } => denied_hint(policies, errors),
            Self::ToolHeld { server, .. } => {
                format!("see what is new or changed: bartizan servers diff {server}")
            }
            Self::ToolNotListed { tool, role } => {
                format!("add `allow = [\"{tool}\"]` under `[roles.{role}]`")
            }
            Self::ToolUnknown { .. } => {
                "a tool must be defined before a policy can allow it".to_owned()
            }
        }
    }
}

fn denied_hint(policies: &[PolicyRef], errors: &[String]) -> String {
    if let Some(error) = errors.first() {
        return format!("a policy failed to evaluate, which denies: {error}");
    }
    match policies.first() {
        Some(policy) => format!("policy `{}` ({}) forbids it; change it there", policy.id, policy.place()),
        None => "nothing permits it; add an `allow` or `ask` to the role, and try `bartizan policy explain`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_code_is_documented() {
        let source = include_str!("refusal.rs");
        let (_, codes) = source.split_once("pub fn code(&self)").unwrap();
        let (codes, _) = codes.split_once("/// The policies that decided").unwrap();
        let codes: Vec<&str> = codes.split('"').skip(1).step_by(2).collect();
        assert!(codes.len() >= 15, "{codes:?}");
        let docs = include_str!("../../../docs/errors.md");
        for code in codes {
            assert!(
                docs.contains(&format!("| `{code}` |")),
                "docs/errors.md does not explain `{code}`"
            );
        }
    }
}
