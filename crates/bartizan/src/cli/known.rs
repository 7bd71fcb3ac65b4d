//! What is configured, and may be looked at, tried or set: policy, tools, servers, secrets, tokens?

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `bartizan policy …`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Load everything as `run` would, and say what is wrong
    Check(PolicyCheckArgs),
    /// Print all policies as Cedar, with the place each comes from; or the tools they speak of
    Show(PolicyShowArgs),
    /// Tell what the policy says of one call, and why
    Explain(ExplainArgs),
    /// Have running sessions read their policy anew
    Reload(PolicyReloadArgs),
}

/// `bartizan policy reload`.
#[derive(Debug, Args)]
pub(crate) struct PolicyReloadArgs {
    /// The session, or how its id begins; without it, every one that runs
    pub(crate) session: Option<String>,
}

/// `bartizan policy check`.
#[derive(Debug, Args)]
pub(crate) struct PolicyCheckArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan policy show`.
#[derive(Debug, Args)]
pub(crate) struct PolicyShowArgs {
    /// Print what policies can say of one tool: its arguments and facts, as a Cedar schema
    #[arg(long, value_name = "TOOL", conflicts_with = "tools")]
    pub(crate) tool: Option<String>,
    /// List the tools that are known, with effect and server
    #[arg(long)]
    pub(crate) tools: bool,
}

/// `bartizan policy explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  bartizan policy explain --role coder Read '{\"file_path\":\"/etc/passwd\"}'\n\n\
                        Exit codes: 0 allow, 1 deny, 3 ask."
)]
pub(crate) struct ExplainArgs {
    /// The role that would make the call; without it, the configuration's default
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<String>,
    /// The kind of subagent that would make the call, such as Explore
    #[arg(long, value_name = "KIND")]
    pub(crate) subagent: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The tool, as its definition spells it: `Read`, `net.connect`, `mcp__github__create_issue`
    #[arg(value_name = "TOOL")]
    pub(crate) tool: String,
    /// The tool's arguments as a JSON object
    #[arg(value_name = "JSON", default_value = "{}")]
    pub(crate) input: String,
}

/// `bartizan tool …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ToolCommand {
    /// List the declared tools
    List(ToolListArgs),
    /// Show what a declared tool takes, as a model is told it
    Show(ToolShowArgs),
    /// Call a declared tool, through the gate, as an agent of a role
    Call(ToolCallArgs),
}

/// `bartizan tool list`.
#[derive(Debug, Args)]
pub(crate) struct ToolListArgs {
    /// Print them as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan tool show`.
#[derive(Debug, Args)]
pub(crate) struct ToolShowArgs {
    /// The tool
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// `bartizan tool call`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  bartizan tool call get_customer --json '{\"id\":\"cus_123\"}'\n\n\
                        Exit codes: 0 done, 1 refused or failed, 3 a person has not said yes."
)]
pub(crate) struct ToolCallArgs {
    /// The role that makes the call; without it, the configuration's default
    #[arg(long, value_name = "ROLE")]
    pub(crate) agent: Option<String>,
    /// Where a person must say yes first, do not wait for it
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// The tool
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The tool's arguments as a JSON object
    #[arg(long, value_name = "ARGS", default_value = "{}")]
    pub(crate) json: String,
}

/// `bartizan servers …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ServersCommand {
    /// List the servers, and how each fares in the gateways that live now
    List(ServersListArgs),
    /// List the tools, prompts and resources that were seen, and where each stands
    Tools(ServersArgs),
    /// Show what nobody has accepted yet, and what changed
    Diff(ServersArgs),
    /// Accept tools, prompts and resources exactly as they are shown
    Accept(ServersAcceptArgs),
    /// Take an acceptance back
    Forget(ServersAcceptArgs),
    /// Take down a saved list, to look at it before the server is used
    See(ServersSeeArgs),
}

/// `bartizan servers list`.
#[derive(Debug, Args)]
pub(crate) struct ServersListArgs {
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan servers tools` and `bartizan servers diff`.
#[derive(Debug, Args)]
pub(crate) struct ServersArgs {
    /// The server
    #[arg(value_name = "SERVER")]
    pub(crate) server: Option<String>,
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan servers accept` and `bartizan servers forget`.
#[derive(Debug, Args)]
pub(crate) struct ServersAcceptArgs {
    /// The server
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
    /// Its tools by its own names for them, others as `prompt:NAME`, `resource:URI`, `template:URI`
    #[arg(value_name = "NAME", conflicts_with = "all")]
    pub(crate) tools: Vec<String>,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
    /// Do not ask again
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `bartizan servers see`.
#[derive(Debug, Args)]
pub(crate) struct ServersSeeArgs {
    /// The server
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
    /// A file with the result of its `tools/list` (`prompts/list`, …), as JSON
    #[arg(value_name = "FILE")]
    pub(crate) list: PathBuf,
}

/// `bartizan secret …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Seal a value under NAME, or put it into the keyring; it is read from standard input, or typed unseen
    Set(SecretNameArgs),
    /// List the secrets that are configured, and where each is found; never a value
    List(SecretListArgs),
    /// Remove the sealed value NAME, or what is in the keyring
    Rm(SecretNameArgs),
    /// Ask the back end of a secret, or of all, and tell whether it can be had
    Test(SecretTestArgs),
}

/// `bartizan secret set` and `rm`.
#[derive(Debug, Args)]
pub(crate) struct SecretNameArgs {
    /// What it is called: up to 64 letters, digits, `.`, `_` and `-`; or `keyring://SERVICE/ACCOUNT`
    pub(crate) name: String,
}

/// `bartizan secret list`.
#[derive(Debug, Args)]
pub(crate) struct SecretListArgs {
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan secret test`.
#[derive(Debug, Args)]
pub(crate) struct SecretTestArgs {
    /// The secret's name in the configuration; without it, every one
    pub(crate) name: Option<String>,
}

/// `bartizan agent …`.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Bearer tokens for `bartizan serve`
    #[command(subcommand)]
    Token(TokenCommand),
}

/// `bartizan agent token …`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, once
    Create(TokenCreateArgs),
    /// List the tokens that are good; never a token itself
    List(TokenListArgs),
    /// Take a token back, at once, from open sessions too
    Revoke(TokenIdArgs),
}

/// `bartizan agent token create`.
#[derive(Debug, Args)]
pub(crate) struct TokenCreateArgs {
    /// The role that whoever shows the token plays
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: String,
    /// Only this tool of the role's, such as `mcp__SERVER__TOOL` (repeatable)
    #[arg(long = "tool", value_name = "TOOL")]
    pub(crate) tools: Vec<String>,
    /// How long it is good: 12h, 30d; at most 366d
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub(crate) expires: String,
    /// What to call it; without it, as its role
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Print the token and what is kept of it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan agent token list`.
#[derive(Debug, Args)]
pub(crate) struct TokenListArgs {
    /// Also those that have expired or were revoked
    #[arg(long)]
    pub(crate) all: bool,
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan agent token revoke`.
#[derive(Debug, Args)]
pub(crate) struct TokenIdArgs {
    /// The token's id, as `list` shows it; a unique prefix is enough
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}
