//! How does an agent, or its client, come in? `run`, `mcp`, `serve`, and what only those start.

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `bartizan run`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag, as typed")]
#[command(
    after_help = "Exits as the command did; 125, 126 and 127 are Bartizan's own (see `bartizan --help`)."
)]
pub(crate) struct RunArgs {
    /// The role the agent plays; without it, the configuration's default
    #[arg(long, value_name = "ROLE")]
    pub(crate) agent: Option<String>,
    /// Which client the command is; `auto` goes by the program's name
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) client: ClientChoice,
    /// Let the command write the workspace itself: no overlay, nothing held back at the end; `.git` and the settings that
    /// tools obey are read-only where they exist
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) direct: bool,
    /// Let the command read the workspace only
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Land nothing at the end: keep every change until `bartizan changes apply`
    #[arg(long, conflicts_with_all = ["direct", "read_only"])]
    pub(crate) review: bool,
    /// Start in no weaker box than this; without it, tier A where it can be had, else tier B
    #[arg(long, value_name = "TIER")]
    pub(crate) require_tier: Option<RequiredTier>,
    /// Do nothing once the newest anchor of the audit log is older than this, such as 15m
    #[arg(long, value_name = "AGE")]
    pub(crate) require_anchor: Option<String>,
    /// Print the summary as JSON, on standard error
    #[arg(long, conflicts_with = "no_summary")]
    pub(crate) json: bool,
    /// Print no summary at the end
    #[arg(long)]
    pub(crate) no_summary: bool,
    /// Show no question on this terminal: leave all of them to `bartizan approvals`
    #[arg(long)]
    pub(crate) no_tty_approvals: bool,
    /// The only tools that the agent may call in this run, of those that its role may; what its box may do stays as it is
    #[arg(long, value_name = "TOOL", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// How long a call of a client without a person (`claude -p`) waits for an answer before it is put off until the
    /// next run, such as 30s; or `never`
    #[arg(long, value_name = "TIME")]
    pub(crate) defer_after: Option<String>,
    /// Keep nothing of the client's conversations, and show it none that was kept
    #[arg(long)]
    pub(crate) no_keep: bool,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

/// `bartizan mcp`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag, as typed")]
#[command(
    after_help = "Every tool counts as irreversible and waits for `bartizan approvals`, unless a flag here says otherwise. \
                  The server runs in a box of its own, on the current folder."
)]
pub(crate) struct McpArgs {
    /// The role of the agent that calls; without it, the configuration's default
    #[arg(long, value_name = "ROLE")]
    pub(crate) agent: Option<String>,
    /// What the server is called in policies and on the log
    #[arg(long, value_name = "NAME", default_value = "server")]
    pub(crate) name: String,
    /// A tool that may be called without a person; `*` is all of them
    #[arg(long, value_name = "TOOL", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,
    /// A tool that changes nothing, and may be called without a person; `*` is all of them
    #[arg(long, value_name = "TOOL", value_delimiter = ',')]
    pub(crate) read: Vec<String>,
    /// The only tools that this client may use, of those that its role may; nothing but tools is left of the servers
    #[arg(long, value_name = "TOOL", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Let the server have the client's model write for it
    #[arg(long)]
    pub(crate) sampling: bool,
    /// Let the server know which folders the client works in
    #[arg(long)]
    pub(crate) roots: bool,
    /// Hand results on without the markers that tell a model where they begin and end
    #[arg(long)]
    pub(crate) no_framing: bool,
    /// How many seconds a call waits for a person, when its client listens to progress
    #[arg(long, value_name = "SECONDS", default_value_t = 45)]
    pub(crate) wait: u64,
    /// How long nobody may need the server before it is ended, and started anew for who does, such as `10m`
    #[arg(long, value_name = "TIME", default_value = "never")]
    pub(crate) idle_after: String,
    /// Let the server write the current folder itself: no overlay, nothing held back at the end
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) direct: bool,
    /// Let the server read the current folder only
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Start in no weaker box than this; without it, tier A where it can be had, else tier B
    #[arg(long, value_name = "TIER")]
    pub(crate) require_tier: Option<RequiredTier>,
    /// Where the server is, instead of a command: `https://…`, or `http://…` on this machine
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    #[arg(conflicts_with_all = ["command", "direct", "idle_after", "read_only", "require_tier"])]
    pub(crate) url: Option<String>,
    /// Where the bearer token is that the server wants, such as `env://CRM_TOKEN` or `file://crm`
    #[arg(long, value_name = "REFERENCE", requires = "url")]
    pub(crate) bearer: Option<String>,
    /// The server's command and its arguments; without it, all servers of the configuration are served
    #[arg(value_name = "CMD", num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

/// The weakest box that will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RequiredTier {
    /// Namespaces: what is not for the box is not there.
    A,
    /// The host's namespaces, walled off by Landlock and a filter.
    B,
}

/// How a command's client is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientChoice {
    /// By the program's file name.
    Auto,
    /// Claude Code, whatever the program is called.
    ClaudeCode,
    /// Codex, whatever the program is called.
    Codex,
    /// Gemini CLI, whatever the program is called.
    GeminiCli,
    /// No client: a plain command.
    None,
}

/// `bartizan keeper`, which only `run` starts.
#[derive(Debug, Args)]
pub(crate) struct KeeperArgs {
    /// The session
    #[arg(long)]
    pub(crate) session: String,
    /// The box's first process
    #[arg(long)]
    pub(crate) pid: i32,
    /// When the session began, in nanoseconds since 1970
    #[arg(long)]
    pub(crate) since: u64,
    /// Who owns what will land, as `UID:GID`
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// How many bytes stay free of the disk
    #[arg(long)]
    pub(crate) keep_free: Option<u64>,
}

/// `bartizan serve`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag, as typed")]
#[command(
    after_help = "Each session gets a server of its own, in a box of its own, on the current folder.\n\
                  Clients show a token: bartizan agent token create --role ROLE."
)]
pub(crate) struct ServeArgs {
    /// Where to listen; in the clear only at a loopback address
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8484")]
    pub(crate) listen: SocketAddr,
    /// The certificate and its chain, in PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Certificates of the authorities that sign for clients, in PEM; `[serve.mtls]` says who is who
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_cert")]
    #[arg(conflicts_with = "dev_no_auth")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Let everybody in without a token, at a loopback address, for trying out
    #[arg(long)]
    pub(crate) dev_no_auth: bool,
    /// With --dev-no-auth, the role that everybody plays
    #[arg(long, value_name = "ROLE", requires = "dev_no_auth")]
    pub(crate) agent: Option<String>,
    /// What the server is called in policies and on the log
    #[arg(long, value_name = "NAME", default_value = "server")]
    pub(crate) name: String,
    /// A tool that may be called without a person; `*` is all of them
    #[arg(long, value_name = "TOOL", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,
    /// A tool that changes nothing, and may be called without a person; `*` is all of them
    #[arg(long, value_name = "TOOL", value_delimiter = ',')]
    pub(crate) read: Vec<String>,
    /// The only tools that any client may use, of those that its role and its token may; nothing but tools is left of the
    /// servers
    #[arg(long, value_name = "TOOL", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Let the server have the client's model write for it
    #[arg(long)]
    pub(crate) sampling: bool,
    /// Let the server know which folders the client works in
    #[arg(long)]
    pub(crate) roots: bool,
    /// Hand results on without the markers that tell a model where they begin and end
    #[arg(long)]
    pub(crate) no_framing: bool,
    /// How long nobody may need a session's server before it is ended, and started anew for who does, such as `10m`
    #[arg(long, value_name = "TIME", default_value = "never", conflicts_with = "url")]
    pub(crate) idle_after: String,
    /// Where the server is, instead of a command: `https://…`, or `http://…` on this machine
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, conflicts_with = "command")]
    pub(crate) url: Option<String>,
    /// Where the bearer token is that the server wants, such as `file://crm`
    #[arg(long, value_name = "REFERENCE", requires = "url")]
    pub(crate) bearer: Option<String>,
    /// The server's command and its arguments; without it, all servers of the configuration are served
    #[arg(value_name = "CMD", num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

/// `bartizan hook …`.
#[derive(Debug, Subcommand)]
pub(crate) enum HookCommand {
    /// Answer a Claude Code hook: event on standard input, exit 2 is a denial
    ClaudeCode,
    /// Answer a Codex hook: event on standard input, exit 2 is a denial
    Codex,
    /// Answer a Gemini CLI hook: event on standard input, exit 2 is a denial
    GeminiCli,
    /// Carry the client's conversation with an MCP server out of the box
    Server {
        /// The client's name of it
        name: String,
    },
    /// Run a subagent's authorised command in the box of its role
    Command {
        /// Stands for the command
        token: String,
    },
}
