//! What was typed? One definition from which the parser, help, man pages and completions all come.

mod audit;
mod decide;
mod doors;
mod known;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use std::path::PathBuf;

pub(crate) use audit::*;
pub(crate) use decide::*;
pub(crate) use doors::*;
pub(crate) use known::*;

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
    /// `run`: a call of the client is put off until a person has answered.
    pub(crate) const DEFERRED: u8 = 75;
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

  scan --check, detect test --check: 1 when anything was found
  audit verify: 0 whole, 1 broken, 2 truncated, 3 whole but for a tail
  that no signed checkpoint covers yet
  policy explain: 0 allow, 1 deny, 3 ask

  run: the command's own exit code (128+N when signal N ended it); 125 when
  Bartizan failed before the command started, 126 when the command was
  refused, 127 when there is no such command; 74 for a 0 of the command when
  its output could not be written, 75 for one when its client has put a call off
  until a person has answered";

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
    /// See and answer what agents ask for; without a command, on the whole screen
    Approvals(ApprovalsArgs),
    /// See and answer in the browser: questions, runs, the log
    Console(ConsoleArgs),
    /// Tell whoever is configured of the questions and flags that they were not told of yet
    Notify(NotifyArgs),
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
    /// See the rules that flag a run that has turned, and try them on the log
    #[command(subcommand)]
    Detect(DetectCommand),
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

/// `bartizan init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Print the starter configuration instead of writing it
    #[arg(long)]
    pub(crate) print: bool,
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
