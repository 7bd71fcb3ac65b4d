//! Who sits behind this socket? A session's seat is taken once, by the application, and every
//! connection that arrives on the session's own sockets carries it.

use crate::name::{
    CanonicalPath, HostPort, NameError, RoleName, SecretName, ServerName, SessionId, ToolName,
};
use crate::taint::Memory;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// What the gate must know of a session to judge its calls.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The session's id, unique in the log.
    pub session: SessionId,
    /// The role of the session's main agent.
    pub role: RoleName,
    /// The tools that this session is narrowed to, on top of what its role may call; `None` is all of those.
    pub only: Option<BTreeSet<ToolName>>,
    /// The folder it works in.
    pub workspace: CanonicalPath,
    /// The home directory inside the box.
    pub home: PathBuf,
    /// Directories outside the workspace that the box shows, read-only.
    pub visible: Vec<CanonicalPath>,
    /// Which role a subagent of a kind has: `(parent role, kind) → role`; absent = the parent's.
    pub subagents: BTreeMap<(RoleName, String), RoleName>,
    /// Roles whose box is narrower than this session's. Their agents may do nothing in this session's box that they could not do in their own.
    pub confined: BTreeMap<RoleName, Confines>,
    /// Addresses that are not public and may be reached all the same, when policy allows it.
    pub private: Vec<HostPort>,
    /// Where the model route leads; it may be private, for model requests and for nothing else.
    pub model_upstream: Option<HostPort>,
    /// The secret that is added to model requests.
    pub model_secret: Option<SecretName>,
    /// The databases that are logged in to for the box, and the secret that each is logged in to with.
    pub logins: Vec<(HostPort, SecretName)>,
    /// The secrets that are added to other requests, the first that fits.
    pub credentials: Vec<Binding>,
}

/// The one place where a secret may go: https requests to one host and port, of these methods, below this path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The secret.
    pub secret: SecretName,
    /// Where to.
    pub target: HostPort,
    /// By which methods; empty = any.
    pub methods: Vec<String>,
    /// Below which path: a canonical path, of which whole segments count.
    pub below: String,
}

impl Binding {
    /// Whether a request is one that the secret may go with.
    pub fn covers(&self, secure: bool, target: &HostPort, method: &str, path: &str) -> bool {
        let below = self.below.trim_end_matches('/');
        let inside =
            path.strip_prefix(below).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        secure
            && self.target == *target
            && (self.methods.is_empty() || self.methods.iter().any(|known| known == method))
            && inside
    }
}

/// What a role's own box would let its agents do, as far as it is less than what the session's does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confines {
    /// Whether its shell commands run in boxes of its own role.
    pub commands: bool,
    /// Whether anything but the model may be reached.
    pub network: bool,
    /// Where it may read in the workspace; `None` is nowhere.
    pub reads: Option<CanonicalPath>,
    /// Where it may write; `None` is nowhere.
    pub writes: Option<CanonicalPath>,
}

/// Proof that a request came in on a session's own socket. Cheap to clone; made by
/// [`Pipeline::admit`](crate::pipeline::Pipeline::admit) alone.
#[derive(Debug, Clone)]
pub struct Caller {
    seat: Arc<Seat>,
    /// What the session has heard and read.
    memory: Arc<Memory>,
}

impl Caller {
    pub(crate) fn new(seat: Seat) -> Self {
        Self { seat: Arc::new(seat), memory: Arc::new(Memory::new()) }
    }

    /// The same session's, for whoever speaks in it and may use these tools alone. What it was narrowed to before holds on.
    #[must_use = "the caller itself stays as wide as it was"]
    pub fn narrowed(&self, only: BTreeSet<ToolName>) -> Self {
        let only = match &self.seat.only {
            Some(known) => known.intersection(&only).cloned().collect(),
            None => only,
        };
        let seat = Seat { only: Some(only), ..Seat::clone(&self.seat) };
        Self { seat: Arc::new(seat), memory: Arc::clone(&self.memory) }
    }

    /// The seat behind the socket.
    pub fn seat(&self) -> &Seat {
        &self.seat
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }
}

impl Seat {
    /// Resolves a path that an agent named, against its working directory.
    pub(crate) fn path(&self, text: &str) -> Result<CanonicalPath, NameError> {
        CanonicalPath::resolve(text, &self.workspace, &self.home)
    }

    /// Whether the box shows `path` outside the workspace. A home below a folder that is shown is
    /// not shown with it: the box puts an empty one there.
    pub(crate) fn shows(&self, path: &CanonicalPath) -> bool {
        let home = CanonicalPath::absolute(&self.home);
        let at_home = home.as_ref().is_some_and(|home| path.below(home).is_some());
        let over_home =
            |root: &CanonicalPath| home.as_ref().is_some_and(|home| home.below(root).is_some());
        self.visible.iter().any(|root| path.below(root).is_some() && !(at_home && over_home(root)))
    }

    /// The secret with which the database at `target` is logged in to.
    pub fn login(&self, target: &HostPort) -> Option<&SecretName> {
        self.logins.iter().find(|(database, _)| database == target).map(|(_, secret)| secret)
    }

    /// Whether the configuration names this private address for a tool of `server`.
    pub(crate) fn declares(&self, server: &ServerName, target: &HostPort) -> bool {
        let model = server.as_str() == "model" && self.model_upstream.as_ref() == Some(target);
        model || self.private.contains(target)
    }
}
