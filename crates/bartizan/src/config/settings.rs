//! What is an agent of a role, its box and its model, once all that was written about them is read?

use super::budget::Limits;
use super::check::Upstream;
use super::way_out::WayOut;
use bartizan_egress::SecretRef;
use bartizan_gate::name::{RoleName, SecretName};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What agents of one role are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Role {
    /// The roles it extends: it may do what they may, and must not what they must not.
    pub(crate) parents: Vec<RoleName>,
    /// Which role a subagent of a kind has; a kind that is not named keeps its parent's.
    pub(crate) subagents: BTreeMap<String, RoleName>,
    /// Its box.
    pub(crate) enclosure: BoxSettings,
    /// What it may use up.
    pub(crate) budget: Limits,
    /// How it sees what comes from outside.
    pub(crate) way_out: WayOut,
}

/// One box's view and limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoxSettings {
    /// How the workspace appears.
    pub(crate) workspace: WorkspaceMode,
    /// The folder of the workspace that the box works on; `None` is all of it.
    pub(crate) folder: Option<PathBuf>,
    /// What it sees of the rest, when it works on a folder.
    pub(crate) rest: Rest,
    /// What it may reach.
    pub(crate) network: Network,
    /// Paths outside the workspace that are shown, read-only.
    pub(crate) readable: Vec<PathBuf>,
    /// Variables of the launching shell that are passed on.
    pub(crate) env: Vec<String>,
    /// Memory, in bytes.
    pub(crate) memory_bytes: u64,
    /// Processes and threads.
    pub(crate) pids: u64,
    /// CPU time in percent of one core, if limited.
    pub(crate) cpu_percent: Option<u32>,
    /// How long a run may take.
    pub(crate) wall: Duration,
    /// The longest file it may write, in bytes.
    pub(crate) file_size_bytes: u64,
    /// Open files per process.
    pub(crate) open_files: u64,
    /// How much it may write to the workspace before write-back, in bytes.
    pub(crate) overlay_size_bytes: u64,
    /// How much it may print, in bytes, if limited.
    pub(crate) output_bytes: Option<u64>,
}

impl Default for BoxSettings {
    /// Roomy enough for a build of a large project, small enough that a runaway agent is felt and not fatal.
    fn default() -> Self {
        Self {
            workspace: WorkspaceMode::Overlay,
            folder: None,
            rest: Rest::Hidden,
            network: Network::Gated,
            readable: Vec::new(),
            env: Vec::new(),
            memory_bytes: 8 << 30,
            pids: 4096,
            cpu_percent: None,
            wall: Duration::from_hours(24),
            file_size_bytes: 4 << 30,
            open_files: 16_384,
            overlay_size_bytes: 2 << 30,
            output_bytes: None,
        }
    }
}

/// How a workspace appears in its box, the narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WorkspaceMode {
    /// It can be read.
    ReadOnly,
    /// It can be written, into an overlay that passes the write-back gate at the end.
    Overlay,
    /// It can be written, at once and without a gate.
    Direct,
}

/// What a box that works on a folder sees of the rest of the workspace, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rest {
    /// It is not there.
    Hidden,
    /// It can be read.
    ReadOnly,
}

/// What a box may reach, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Network {
    /// Nothing but itself: no listener of ours is in the box.
    None,
    /// The model API alone.
    Model,
    /// Whatever the gate lets through.
    Gated,
}

/// The model API: where its requests go, and what is added to them outside the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    /// Where they go; `None` leaves it to the launching environment, then to the vendor.
    pub(crate) upstream: Option<Upstream>,
    /// Where the credential is found, unless it is a secret with a name.
    pub(crate) credential: SecretRef,
    /// The secret that is the credential.
    pub(crate) secret: Option<SecretName>,
    /// The header it goes in; `None` leaves it to whose API it is.
    pub(crate) header: Option<CredentialHeader>,
    /// Whose API it is.
    pub(crate) provider: Provider,
    /// Where the provider runs the model.
    pub(crate) region: Option<String>,
    /// On whose account with Google.
    pub(crate) project: Option<String>,
}

/// Who serves the model, and in which form of the Messages API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Anthropic, or whoever speaks as they do.
    #[default]
    Anthropic,
    /// Amazon Bedrock.
    Bedrock,
    /// Google Vertex AI.
    Vertex,
}

impl Default for Model {
    /// The vendor's own API, with the key of the launching shell.
    fn default() -> Self {
        Self {
            upstream: None,
            credential: SecretRef::of_variable("ANTHROPIC_API_KEY"),
            secret: None,
            header: None,
            provider: Provider::Anthropic,
            region: None,
            project: None,
        }
    }
}

/// The header that carries the model credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialHeader {
    /// `x-api-key: …`
    XApiKey,
    /// `authorization: Bearer …`
    Bearer,
    /// `x-goog-api-key: …`
    XGoogApiKey,
}
