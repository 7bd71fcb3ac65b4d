//! What was typed? One definition from which the parser, help, man pages and completions all come.

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What the process exits with, apart from `run`, which exits as its command did.
pub(crate) mod exit {
    /// Done.
    pub(crate) const DONE: u8 = 0;
    /// No: refused, broken, or not found. For `doctor`: a run would be refused here.
    pub(crate) const NO: u8 = 1;
    /// The command line was not understood.
    pub(crate) const USAGE: u8 = 2;
    /// `policy explain`: a person would be asked.
    pub(crate) const ASK: u8 = 3;
    /// What was needed cannot be had here, such as any of these commands inside a box.
    pub(crate) const UNAVAILABLE: u8 = 69;
    /// The state directory or another file could not be read or written.
    pub(crate) const STATE: u8 = 74;
    /// The configuration or a policy cannot be used as it stands.
    pub(crate) const CONFIG: u8 = 78;
    /// `run`: Bartizan failed before the command started.
    pub(crate) const NOT_STARTED: u8 = 125;
    /// `run`: the command was refused.
    pub(crate) const REFUSED: u8 = 126;
    /// `run`: there is no such command.
    pub(crate) const NOT_FOUND: u8 = 127;
}

/// The one table of exit codes; `docs/cli.md` carries the same lines.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    no: refused, broken or not found; doctor: a run would be refused here
  2    the command line was not understood
  69   not possible here, such as answering approvals from inside a box
  74   the state directory or another file could not be read or written
  78   the configuration or a policy cannot be used as it stands

  scan --check: 1 when anything was found
  audit verify: 0 whole, 1 broken, 2 truncated, 3 whole but for a tail
  that no signed checkpoint covers yet
  policy explain: 0 allow, 1 deny, 3 ask

  run: the command's own exit code (128+N when signal N ended it); 125 when
  Bartizan failed before the command started, 126 when the command was
  refused, 127 when there is no such command";

/// Stands between an AI agent and everything it can touch: one gate, one box, one log.
#[derive(Debug, Parser)]
#[command(name = "bartizan", version, after_help = EXIT_CODES, propagate_version = true)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Read the user's configuration from DIR instead of ~/.config/bartizan
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) config: Option<PathBuf>,
    /// Keep the log, approvals and sessions in DIR instead of ~/.local/state/bartizan
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
    /// When to use colour; `NO_COLOR` in the environment means never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal only.
    Auto,
    /// Also into files and pipes.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an agent, or any command, in a box behind the gate
    Run(RunArgs),
    /// Put the gate in front of an MCP server, on standard input and output
    Mcp(McpArgs),
    /// Write a commented starter configuration; never overwrites
    Init(InitArgs),
    /// Check, show and explain the policy
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Read and verify the audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// See and answer what agents ask for
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// See what a run changed, and land or discard what did not land
    #[command(subcommand)]
    Changes(ChangesCommand),
    /// Seal secrets for this user, and try those that are configured
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Put the gate in front of an MCP server, for many clients, over HTTP
    Serve(ServeArgs),
    /// Let agents in over the network: their tokens
    #[command(subcommand)]
    Agent(AgentCommand),
    /// See the declared tools, and try one as an agent would call it
    #[command(subcommand)]
    Tool(ToolCommand),
    /// See which irreversible acts are in doubt, and say what came of them
    #[command(subcommand)]
    Effects(EffectsCommand),
    /// See what MCP servers offer, and accept it
    #[command(subcommand)]
    Servers(ServersCommand),
    /// Find secrets in a text, or take them out of it
    Scan(ScanArgs),
    /// Tell what this machine can enforce, and how to make it enforce more
    Doctor(DoctorArgs),
    /// Record that a project's .bartizan directory may narrow the policy
    Trust(TrustArgs),
    /// Answer a client's hook from inside the box
    #[command(subcommand, hide = true)]
    Hook(HookCommand),
    /// Keep a run's changes when the process that runs it is killed
    #[command(hide = true)]
    Keeper(KeeperArgs),
    /// Print a completion script
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them into a directory
    Man(ManArgs),
}

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
    /// Print the summary as JSON, on standard error
    #[arg(long, conflicts_with = "no_summary")]
    pub(crate) json: bool,
    /// Print no summary at the end
    #[arg(long)]
    pub(crate) no_summary: bool,
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
    /// Let the server have the client's model write for it
    #[arg(long)]
    pub(crate) sampling: bool,
    /// Hand results on without the markers that tell a model where they begin and end
    #[arg(long)]
    pub(crate) no_framing: bool,
    /// How many seconds a call waits for a person, when its client listens to progress
    #[arg(long, value_name = "SECONDS", default_value_t = 45)]
    pub(crate) wait: u64,
    /// Let the server write the current folder itself: no overlay, nothing held back at the end
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) direct: bool,
    /// Let the server read the current folder only
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Start in no weaker box than this; without it, tier A where it can be had, else tier B
    #[arg(long, value_name = "TIER")]
    pub(crate) require_tier: Option<RequiredTier>,
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
    /// No client: a plain command.
    None,
}

/// `bartizan init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Print the starter configuration instead of writing it
    #[arg(long)]
    pub(crate) print: bool,
}

/// `bartizan policy …`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Load everything as `run` would, and say what is wrong
    Check(PolicyCheckArgs),
    /// Print all policies as Cedar, with the place each comes from; or the tools they speak of
    Show(PolicyShowArgs),
    /// Tell what the policy says of one call, and why
    Explain(ExplainArgs),
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

/// `bartizan effects …`.
#[derive(Debug, Subcommand)]
pub(crate) enum EffectsCommand {
    /// List the irreversible acts that are under way or in doubt
    List(EffectsListArgs),
    /// Say what came of an act that is in doubt
    Resolve(EffectsResolveArgs),
}

/// `bartizan effects list`.
#[derive(Debug, Args)]
pub(crate) struct EffectsListArgs {
    /// List those too of which it is known what came of them
    #[arg(long)]
    pub(crate) all: bool,
    /// Print them as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan effects resolve`.
#[derive(Debug, Args)]
pub(crate) struct EffectsResolveArgs {
    /// The act's id, or its beginning
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// It has happened
    #[arg(long, required_unless_present = "failed", conflicts_with = "failed")]
    pub(crate) committed: bool,
    /// It has not happened, so it may be tried again
    #[arg(long)]
    pub(crate) failed: bool,
}

/// `bartizan audit …`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List records, oldest first
    List(AuditListArgs),
    /// Show one record in full
    Show(AuditShowArgs),
    /// Show the newest records, and follow as they come
    Tail(AuditTailArgs),
    /// Prove the log whole, or name the first broken record
    Verify(AuditVerifyArgs),
    /// Write the log with its checkpoints, for verifying elsewhere, or as OCSF events
    Export(AuditExportArgs),
    /// Put the newest checkpoint where whoever changes the log cannot change it
    Anchor(AuditAnchorArgs),
    /// Take the oldest records off the log, and say so on it
    Prune(AuditPruneArgs),
}

/// `bartizan audit export`.
#[derive(Debug, Args)]
#[command(
    after_help = "A part that begins later than the log is verified with `bartizan audit verify --file FILE --from SEQ`."
)]
pub(crate) struct AuditExportArgs {
    /// What each line is
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    pub(crate) format: ExportFormat,
    /// Begin with this record, or somewhat before it: at the last checkpoint
    #[arg(long, value_name = "SEQ", conflicts_with = "to")]
    pub(crate) from: Option<u64>,
    /// Go on in this file with what is not in it yet, and sync it; otherwise standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) to: Option<PathBuf>,
}

/// What a line of an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// The record, byte for byte as it was hashed, and the checkpoints.
    Jsonl,
    /// An event of the Open Cybersecurity Schema Framework 1.3, with the record in it.
    Ocsf,
}

/// `bartizan audit anchor`.
#[derive(Debug, Args)]
#[command(after_help = "What an earlier anchor in FILE says is held against the log first.\n\n\
                  Exit codes: 0 done, 1 the log is not the one that was anchored, 2 its end was cut off.")]
pub(crate) struct AuditAnchorArgs {
    /// Write the checkpoint here, on a disk or a mount of another machine's; otherwise standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) to: Option<PathBuf>,
}

/// `bartizan audit prune`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what becomes of it").required(true))]
pub(crate) struct AuditPruneArgs {
    /// Prune records that are older than this: 30d, 400d
    #[arg(long, value_name = "AGE")]
    pub(crate) older_than: String,
    /// Export the log to this file first, going on in it, and note its digest on the log
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, group = "what becomes of it")]
    pub(crate) archive: Option<PathBuf>,
    /// Keep no copy of what is pruned
    #[arg(long, group = "what becomes of it")]
    pub(crate) discard: bool,
    /// Do not ask on the terminal
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

/// Which audit records are meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct AuditFilter {
    /// Only this session
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Only records of this event, such as refusal
    #[arg(long, value_name = "EVENT")]
    pub(crate) event: Option<String>,
    /// Only records that are younger than this: 10m, 2h, 7d
    #[arg(long, value_name = "AGE")]
    pub(crate) since: Option<String>,
    /// Only records whose text contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
}

/// `bartizan audit list`.
#[derive(Debug, Args)]
pub(crate) struct AuditListArgs {
    #[command(flatten)]
    pub(crate) filter: AuditFilter,
    /// At most this many, counted from the newest
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Print each record as it stands in the log: one line of canonical JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan audit show`.
#[derive(Debug, Args)]
pub(crate) struct AuditShowArgs {
    /// The record's number, or a call id to see all of that call's records
    #[arg(value_name = "SEQ|CALL")]
    pub(crate) which: String,
    /// Print each record as it stands in the log: one line of canonical JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan audit tail`.
#[derive(Debug, Args)]
pub(crate) struct AuditTailArgs {
    #[command(flatten)]
    pub(crate) filter: AuditFilter,
    /// How many records to begin with
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub(crate) lines: usize,
    /// Go on as records come, until interrupted
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// Print each record as it stands in the log: one line of canonical JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan audit verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 whole, 1 broken, 2 truncated, 3 whole but for a tail that no signed checkpoint covers yet."
)]
pub(crate) struct AuditVerifyArgs {
    /// Verify this exported log instead of the one in the state directory
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// The log's public key, as `audit verify` printed it where the log is written
    #[arg(long, value_name = "VKEY")]
    pub(crate) key: Option<String>,
    /// The file is known to be a part that begins at this record, or before it
    #[arg(long, value_name = "SEQ", requires = "file")]
    pub(crate) from: Option<u64>,
    /// A checkpoint that was kept elsewhere, so that a missing tail shows (repeatable)
    #[arg(long = "anchor", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) anchors: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan approvals …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// List what waits for an answer
    List(ApprovalsListArgs),
    /// Show exactly what one question asks for
    Show(ApprovalsShowArgs),
    /// Say yes, once, to exactly this call
    Approve(ApproveArgs),
    /// Say no; also to what was approved and not used yet, or stands for a time
    Deny(AnswerArgs),
    /// Show what waits for an answer, and go on as questions come and are settled
    Watch(ApprovalsWatchArgs),
}

/// `bartizan approvals watch`.
#[derive(Debug, Args)]
pub(crate) struct ApprovalsWatchArgs {
    /// Print each question as JSON on a line, again whenever where it stands has changed
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan servers …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ServersCommand {
    /// List the tools that were seen, and where each stands
    Tools(ServersArgs),
    /// Show what nobody has accepted yet, and what changed
    Diff(ServersArgs),
    /// Accept tools exactly as they are shown
    Accept(ServersAcceptArgs),
    /// Take an acceptance back
    Forget(ServersAcceptArgs),
    /// Take down a saved list of tools, to look at it before the server is used
    See(ServersSeeArgs),
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
    /// Its tools, by its own names for them
    #[arg(value_name = "TOOL", conflicts_with = "all")]
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
    /// A file with the result of its `tools/list`, as JSON
    #[arg(value_name = "FILE")]
    pub(crate) list: PathBuf,
}

/// `bartizan approvals list`.
#[derive(Debug, Args)]
pub(crate) struct ApprovalsListArgs {
    /// Also the answered, used and expired ones
    #[arg(long)]
    pub(crate) all: bool,
    /// Print the questions as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan approvals show`.
#[derive(Debug, Args)]
pub(crate) struct ApprovalsShowArgs {
    /// The question's id; a unique prefix is enough
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Print the question as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan approvals approve`.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
    /// Also vouch, for the rest of the session, for the values that nobody had named, or for the text they stand in
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) endorse: Option<Endorse>,
    /// For this long (10m, 8h; at most a day), as often as exactly this call is made in this session
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) life: Option<String>,
}

/// What an approver vouches for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Endorse {
    /// These values, wherever they are used
    Value,
    /// Every value that stands in the same text
    Source,
}

/// `bartizan approvals approve` and `deny`.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// The question's id; a unique prefix is enough
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Why; it goes into the log, and a denial's reason to the agent
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Do not ask on the terminal
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Print the question as JSON afterwards
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan changes …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ChangesCommand {
    /// List the sessions that have changes which did not land
    List(ChangesListArgs),
    /// Show what landed, what did not and why; conflicts with both versions
    Show(ChangesShowArgs),
    /// Land what waits; with --path or --all also what is held
    Apply(ChangesApplyArgs),
    /// Throw away what did not land
    Discard(ChangesDiscardArgs),
}

/// `bartizan changes list`.
#[derive(Debug, Args)]
pub(crate) struct ChangesListArgs {
    /// Print the sessions as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan changes show`.
#[derive(Debug, Args)]
pub(crate) struct ChangesShowArgs {
    /// The session's id; a unique prefix is enough
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// Only this path, or all below it, in full (repeatable)
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Print the changes as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan changes apply`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag, as typed")]
#[command(
    after_help = "Without --path and --all, what only waits for a look lands (`run --review`), and nothing that is held.\n\
                  Exits with 1 when something that was to land did not."
)]
pub(crate) struct ChangesApplyArgs {
    /// The session's id; a unique prefix is enough
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// Land exactly this, or all below it, though it is held (repeatable)
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Land everything that is held, but no conflict
    #[arg(long, conflicts_with = "paths")]
    pub(crate) all: bool,
    /// Settle conflicts at these paths for the session; this machine's version is kept instead
    #[arg(long, requires = "paths")]
    pub(crate) overwrite: bool,
    /// Do not ask on the terminal
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Print what landed and what did not as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan changes discard`.
#[derive(Debug, Args)]
pub(crate) struct ChangesDiscardArgs {
    /// The session's id; a unique prefix is enough
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// Only this path, or all below it (repeatable)
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Do not ask on the terminal
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
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
}

/// `bartizan doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print the `AppArmor` profile that gives this program user namespaces, and nothing else
    #[arg(long, conflicts_with = "json")]
    pub(crate) apparmor_profile: bool,
    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan trust`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag, as typed")]
pub(crate) struct TrustArgs {
    /// The project; without it, the current directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) project: Option<PathBuf>,
    /// Do not ask on the terminal
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Forget the project instead
    #[arg(long, conflicts_with = "list")]
    pub(crate) forget: bool,
    /// List the projects that are trusted, and whether they are still as they were
    #[arg(long, conflicts_with = "project")]
    pub(crate) list: bool,
    /// Print the list as JSON
    #[arg(long, requires = "list")]
    pub(crate) json: bool,
}

/// `bartizan secret …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Seal a value under NAME; it is read from standard input, or typed unseen
    Set(SecretNameArgs),
    /// List the secrets that are configured, and where each is found; never a value
    List(SecretListArgs),
    /// Remove the sealed value NAME
    Rm(SecretNameArgs),
    /// Ask the back end of a secret, or of all, and tell whether it can be had
    Test(SecretTestArgs),
}

/// `bartizan secret set` and `rm`.
#[derive(Debug, Args)]
pub(crate) struct SecretNameArgs {
    /// What it is called: up to 64 letters, digits, `.`, `_` and `-`
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

/// `bartizan serve`.
#[derive(Debug, Args)]
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
    /// Hand results on without the markers that tell a model where they begin and end
    #[arg(long)]
    pub(crate) no_framing: bool,
    /// The server's command and its arguments; without it, all servers of the configuration are served
    #[arg(value_name = "CMD", num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
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

/// `bartizan hook …`.
#[derive(Debug, Subcommand)]
pub(crate) enum HookCommand {
    /// Answer a Claude Code hook: event on standard input, exit 2 is a denial
    ClaudeCode,
    /// Run a subagent's authorised command in the box of its role
    Command {
        /// Stands for the command
        token: String,
    },
}

/// `bartizan scan`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag, as typed")]
pub(crate) struct ScanArgs {
    /// The files to read; without any, standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Write the text without its secrets, byte for byte otherwise, as it comes in
    #[arg(long)]
    pub(crate) redact: bool,
    /// Write one JSON object per file: the redacted text and the spans, in bytes
    #[arg(long)]
    pub(crate) json: bool,
    /// Read one JSON object a line, with `text` and perhaps `id` and `known`, and answer each with one
    #[arg(long, conflicts_with_all = ["json", "redact"])]
    pub(crate) jsonl: bool,
    /// Exit with 1 when anything was found
    #[arg(long)]
    pub(crate) check: bool,
    /// Treat each line of FILE as the value of a secret
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) known: Option<PathBuf>,
}

/// `bartizan completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell to complete for
    pub(crate) shell: Shell,
}

/// `bartizan man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write one page per command into DIR
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_command_belongs_to_it() {
        let cli = Cli::try_parse_from([
            "bartizan", "run", "--agent", "coder", "--", "ls", "--json", "--config", "x",
        ])
        .unwrap();
        let Command::Run(run) = cli.command else { panic!("not a run") };
        assert_eq!(run.command, ["ls", "--json", "--config", "x"]);
        assert!(!run.json && cli.global.config.is_none());
    }

    #[test]
    fn a_command_without_dashes_keeps_its_own_options() {
        let cli = Cli::try_parse_from(["bartizan", "run", "ls", "-la", "--direct"]).unwrap();
        let Command::Run(run) = cli.command else { panic!("not a run") };
        assert_eq!(run.command, ["ls", "-la", "--direct"]);
        assert!(!run.direct);
    }

    #[test]
    fn a_run_without_a_command_is_a_usage_error() {
        assert_eq!(
            Cli::try_parse_from(["bartizan", "run", "--"]).unwrap_err().exit_code(),
            i32::from(exit::USAGE)
        );
    }

    #[test]
    fn direct_and_read_only_exclude_each_other() {
        assert!(
            Cli::try_parse_from(["bartizan", "run", "--direct", "--read-only", "--", "ls"])
                .is_err()
        );
    }
}
