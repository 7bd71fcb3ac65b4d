//! What may be asked of the log?

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

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
    /// POST what was not sent there yet to this OTLP collector, such as `https://otel.example:4318/v1/logs`
    #[arg(long, value_name = "URL", conflicts_with_all = ["to", "from"], value_hint = ValueHint::Url)]
    pub(crate) url: Option<String>,
    /// Where the bearer token is that the URL wants, such as `file://otel`
    #[arg(long, value_name = "REFERENCE", requires = "url")]
    pub(crate) bearer: Option<String>,
    /// Go on as records come, until interrupted
    #[arg(long, short = 'f', requires = "url")]
    pub(crate) follow: bool,
}

/// What a line of an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// The record, byte for byte as it was hashed, and the checkpoints.
    Jsonl,
    /// An event of the Open Cybersecurity Schema Framework 1.3, with the record in it.
    Ocsf,
    /// A request of OTLP in JSON, with the attributes of OpenTelemetry's `GenAI` conventions: one record each.
    Otlp,
}

/// `bartizan audit anchor`.
#[derive(Debug, Args)]
#[command(after_help = "What an earlier anchor in FILE says is held against the log first.\n\n\
                  Exit codes: 0 done, 1 the log is not the one that was anchored, 2 its end was cut off.")]
pub(crate) struct AuditAnchorArgs {
    /// Write the checkpoint here, on a disk or a mount of another machine's; otherwise standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) to: Option<PathBuf>,
    /// PUT the checkpoint there instead; only an answer of 200 to 299 counts
    #[arg(long, value_name = "URL", conflicts_with = "to", value_hint = ValueHint::Url)]
    pub(crate) url: Option<String>,
    /// Where the bearer token is that the URL wants, such as `file://anchor`
    #[arg(long, value_name = "REFERENCE", requires = "url")]
    pub(crate) bearer: Option<String>,
    /// Have this C2SP witness cosign it first, which it does only if the log has grown and nothing else
    #[arg(long, value_name = "URL", conflicts_with = "url", requires = "witness_key", value_hint = ValueHint::Url)]
    pub(crate) witness: Option<String>,
    /// The key of the witness, of the form `name+id+base64`
    #[arg(long, value_name = "VKEY", requires = "witness")]
    pub(crate) witness_key: Option<String>,
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
    /// Count each of those only if this witness has cosigned it, and say when it did
    #[arg(long, value_name = "VKEY", requires = "anchors")]
    pub(crate) witness_key: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
