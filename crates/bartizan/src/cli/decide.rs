//! What is a person asked to decide: calls, changes, and acts in doubt?

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `bartizan detect …`.
#[derive(Debug, Subcommand)]
pub(crate) enum DetectCommand {
    /// List the rules in force, with how often each flags honest runs
    List(DetectListArgs),
    /// Say what the rules would flag in a session, or in a file of records
    Test(DetectTestArgs),
    /// List the runs that were flagged and that nobody has judged since
    Runs(DetectRunsArgs),
    /// Take down what you make of a run
    Judge(DetectJudgeArgs),
}

/// `bartizan detect runs`.
#[derive(Debug, Args)]
pub(crate) struct DetectRunsArgs {
    /// List those too that were judged
    #[arg(long)]
    pub(crate) all: bool,
    /// Print them as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan detect judge`.
#[derive(Debug, Args)]
pub(crate) struct DetectJudgeArgs {
    /// The session's id, or its beginning
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// What it was
    #[arg(value_name = "VERDICT")]
    pub(crate) verdict: Judged,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) note: String,
}

/// What a person makes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Judged {
    /// Somebody steered it
    Attack,
    /// It did what it was meant to
    Harmless,
    /// It cannot be told
    Unsure,
}

/// `bartizan detect list`.
#[derive(Debug, Args)]
pub(crate) struct DetectListArgs {
    /// Print them as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan detect test`.
#[derive(Debug, Args)]
pub(crate) struct DetectTestArgs {
    /// The records, one JSON object a line, as `bartizan audit list --json` prints them; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "session", conflicts_with = "session")]
    pub(crate) file: Option<PathBuf>,
    /// The session whose records are on the log
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Rules to try besides those in force
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// Exit with 1 when anything is flagged
    #[arg(long)]
    pub(crate) check: bool,
    /// Print the flags as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
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

/// `bartizan approvals`.
#[derive(Debug, Args)]
pub(crate) struct ApprovalsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ApprovalsCommand>,
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
    /// Let other users of this machine see and answer, at a socket
    Share(ApprovalsShareArgs),
}

/// `bartizan approvals share`.
#[derive(Debug, Args)]
#[command(
    after_help = "Who is at the other end the kernel says; who may answer stands under [approvers]."
)]
pub(crate) struct ApprovalsShareArgs {
    /// Where the socket shall be: in a folder that is yours, and that nobody else can write to
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) socket: PathBuf,
}

/// At which desk.
#[derive(Debug, Args)]
pub(crate) struct AtDesk {
    /// At this socket of another user's, made by `bartizan approvals share`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
}

/// `bartizan approvals watch`.
#[derive(Debug, Args)]
pub(crate) struct ApprovalsWatchArgs {
    /// Print each question as JSON on a line, again whenever where it stands has changed
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan approvals list`.
#[derive(Debug, Args)]
pub(crate) struct ApprovalsListArgs {
    #[command(flatten)]
    pub(crate) at: AtDesk,
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
    #[command(flatten)]
    pub(crate) at: AtDesk,
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
#[derive(Debug, Clone, Copy, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Endorse {
    /// Every web address of the same host
    Host,
    /// These values, wherever they are used
    Value,
    /// Every value that stands in the same text
    Source,
}

/// `bartizan approvals approve` and `deny`.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    #[command(flatten)]
    pub(crate) at: AtDesk,
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

/// `bartizan notify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Runs tell as well, while they last; exit code 1 when somebody could not be told in time."
)]
pub(crate) struct NotifyArgs {
    /// Go on as they come, until interrupted
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// Try for this long: 30s, 5m
    #[arg(long = "for", value_name = "TIME", default_value = "1m", conflicts_with = "follow")]
    pub(crate) patience: String,
}

/// `bartizan console`.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints a link that lets one browser in, once. Whoever opens it answers as the user who runs this."
)]
pub(crate) struct ConsoleArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ConsoleCommand>,
    /// Where to listen: at a loopback address, or anywhere with `[console]` configured; without it, at any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
}

/// `bartizan console …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConsoleCommand {
    /// Make a link that lets one other person into the console, once
    Invite(InviteArgs),
    /// List the passkeys by which people come in and sign their answers
    Passkeys(PasskeyListArgs),
    /// Make a passkey worthless, at once
    Revoke(PasskeyIdArgs),
}

/// `bartizan console invite`.
#[derive(Debug, Args)]
pub(crate) struct InviteArgs {
    /// Who: `ben` for the approver `web:ben`
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// `bartizan console passkeys`.
#[derive(Debug, Args)]
pub(crate) struct PasskeyListArgs {
    /// The revoked ones too
    #[arg(long)]
    pub(crate) all: bool,
    /// Print them as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bartizan console revoke`.
#[derive(Debug, Args)]
pub(crate) struct PasskeyIdArgs {
    /// The passkey's id; a unique prefix is enough
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}
