//! Which mounts, maps, limits and filters follow from a specification?
use crate::error::PlanError;
use crate::host::{HostFacts, Kind, Obstacle, PathFact};
use crate::linux::cgroup::Place as Group;
use crate::linux::mounts::{self, Place, View};
use crate::linux::{landlock, limits, network, seccomp};
use crate::op::{Bind, Op, Resource, Source};
use crate::spec::{Access, BoxSpec, Limits, Reach, Stdio, SyntheticFile, WorkspaceMode};
use std::ffi::{CString, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Everything the start of a box does, as data. `Display` shows it act by act, without contents and environment.
#[derive(Clone)]
pub struct Plan {
    pub(crate) ops: Vec<Op>,
    pub(crate) workspace: PathBuf,
    pub(crate) workspace_identity: (u64, u64),
    pub(crate) program: PathBuf,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: CString,
    pub(crate) stdio: Stdio,
    pub(crate) limits: Limits,
    pub(crate) cgroup: Group,
    pub(crate) private_uid: Option<u32>,
    pub(crate) landlock_abi: i32,
    pub(crate) ipv6: bool,
    pub(crate) reach: Reach,
    /// Whether it is made within another box.
    pub(crate) inner: bool,
    pub(crate) obstacle: Option<Obstacle>,
    pub(crate) left_out: Vec<PathBuf>,
    /// Parts of a directly used workspace that cannot be changed, if it is one.
    pub(crate) kept: Option<Kept>,
    pub(crate) name: String,
}

/// What of a directly used workspace is not written directly, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) read_only: Vec<PathBuf>,
    /// Whether the repository's changes land in a layer.
    pub(crate) repository: bool,
}

impl Kept {
    fn of(spec: &BoxSpec, facts: &HostFacts, pins: &[PathBuf]) -> Self {
        let layered = |path: &PathBuf| {
            let fact = facts.path(path).filter(|_| !spec.readable.contains(path));
            fact.is_some_and(|fact| is_repository(path, fact, spec))
        };
        let (repository, read_only): (Vec<_>, Vec<_>) =
            pins.iter().cloned().partition(|path| layered(path));
        Self { read_only, repository: !repository.is_empty() }
    }
}

impl Plan {
    /// Plans the box. Pure: the same specification and facts give the same plan.
    pub fn from_spec(spec: &BoxSpec, facts: &HostFacts) -> Result<Self, PlanError> {
        Self::with_pins(spec, facts, &facts.obeyed)
    }

    /// `pins` are the parts of a directly used workspace that stay as they are.
    fn with_pins(spec: &BoxSpec, facts: &HostFacts, pins: &[PathBuf]) -> Result<Self, PlanError> {
        check_paths(spec)?;
        check_user(&spec.user)?;
        let workspace = check_workspace(spec, facts)?;
        let mut view = View::new(facts);
        let left_out = fill(&mut view, spec, facts, workspace)?;
        pin(&mut view, spec, facts, pins)?;
        if !view.is_visible(&spec.program) {
            return Err(PlanError::ProgramNotVisible { program: spec.program.clone() });
        }
        let (uid, gid) = inner_ids(facts);
        let mut ops = identity(facts, uid, gid);
        ops.extend(network::ops(spec.network, facts.ipv6));
        let (mounting, rules) = view.build(spec.limits.scratch(facts.cgroup.counts_memory()))?;
        ops.extend(mounting);
        if spec.stdio.wants_pty() {
            ops.push(Op::Terminal { rows: spec.stdio.size.rows, cols: spec.stdio.size.cols });
        }
        if spec.inner_boxes {
            ops.push(Op::HoldNamespaces);
        }
        if spec.keep_home {
            ops.push(Op::HoldHome { path: mounts::relative(&spec.home) });
        }
        ops.extend([Op::SealRoot, Op::Pivot, Op::SessionKeyring]);
        ops.extend(limits::ops(&spec.limits, facts));
        ops.extend([Op::HandOver, Op::NoNewPrivileges]);
        ops.extend(landlock::wall(facts.landlock_abi, rules));
        ops.extend([
            Op::DropCapabilities,
            Op::Filter(seccomp::program(facts.cgroup.counts_memory())),
        ]);
        Ok(Self {
            ops,
            workspace: spec.workspace.clone(),
            workspace_identity: workspace.identity,
            program: spec.program.clone(),
            argv: spec
                .argv
                .iter()
                .map(|word| c_string("argument", word))
                .collect::<Result<_, _>>()?,
            env: environment(spec)?,
            cwd: c_string("working directory", spec.cwd.as_os_str())?,
            stdio: spec.stdio,
            limits: spec.limits,
            cgroup: facts.cgroup.of_own_user(),
            private_uid: facts.private_uid,
            landlock_abi: facts.landlock_abi,
            ipv6: facts.ipv6,
            reach: spec.network,
            inner: false,
            obstacle: facts.obstacle,
            left_out,
            kept: (spec.workspace_mode == WorkspaceMode::Direct)
                .then(|| Kept::of(spec, facts, pins)),
            name: format!("{:016x}", facts.nonce),
        })
    }
}

impl Plan {
    /// Plans a box within another one's view: every path is looked up there, so it shows nothing that the other does not.
    /// `spec` is the other's, narrowed; its workspace, if it can be written, is the other's own. `around` is how many
    /// processes the other may have: both have one user, whose processes the kernel counts together. Pure.
    pub fn within(spec: &BoxSpec, facts: &HostFacts, around: u64) -> Result<Self, PlanError> {
        let overlay = matches!(spec.workspace_mode, WorkspaceMode::Overlay { .. });
        let workspace_mode = if overlay { WorkspaceMode::Direct } else { spec.workspace_mode };
        let spec = BoxSpec { workspace_mode, inner_boxes: false, keep_home: false, ..spec.clone() };
        // The write-back gate of the box around judges what is written here.
        let mut plan = Self::with_pins(&spec, facts, &[])?;
        let (uid, gid) = inner_ids(facts);
        for op in &mut plan.ops {
            match op {
                Op::MapSelf { .. } | Op::Become { .. } => *op = Op::BecomeMapped { uid, gid },
                // The other's mounts: another device, owned by the box's user already.
                Op::Bind(Bind { source: Source::Host { identity, owner, .. }, .. }) => {
                    (*identity, *owner) = (None, None);
                }
                // Above this none is started in here, while the other still may.
                Op::Limit { resource: Resource::Nproc, value, .. } => *value = around / 4 * 3,
                _ => {}
            }
        }
        plan.cgroup = facts.cgroup.clone();
        plan.private_uid = None;
        plan.kept = None;
        plan.inner = true;
        Ok(plan)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))?;
        writeln!(f, "run {} in {}", self.program.display(), self.cwd.to_string_lossy())
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("program", &self.program)
            .field("acts", &self.ops.len())
            .finish_non_exhaustive()
    }
}

/// Adds what the specification asks for; returns the readable paths that do not exist.
fn fill(
    view: &mut View<'_>,
    spec: &BoxSpec,
    facts: &HostFacts,
    workspace: &PathFact,
) -> Result<Vec<PathBuf>, PlanError> {
    let scratch = spec.limits.scratch(facts.cgroup.counts_memory());
    let mut left_out = Vec::new();
    let (pinned, shown): (Vec<_>, Vec<_>) =
        spec.readable.iter().partition(|path| path.starts_with(&spec.workspace));
    for path in shown {
        check_readable(path, spec, facts)?;
        if spec.workspace.starts_with(path)
            && let Some(fact) = facts.path(path).filter(|fact| fact.canonical == *path)
        {
            // The tree that the workspace is a folder of is its owner's in the same way.
            let (mode, fact) = (WorkspaceMode::ReadOnly, fact.clone());
            view.put(path, Place::Workspace { mode, fact })?;
        } else if !view.show(path) {
            left_out.push(path.clone());
        }
    }
    // Not a link to the other: a workspace may lie below either.
    for temporary in ["/tmp", "/var/tmp"] {
        view.put(Path::new(temporary), Place::Scratch { bytes: scratch, mode: 0o1777 })?;
    }
    view.put(&spec.home, Place::Scratch { bytes: scratch, mode: 0o700 })?;
    let fact = workspace.clone();
    view.put(&spec.workspace, Place::Workspace { mode: spec.workspace_mode, fact })?;
    for path in pinned {
        if path != &spec.workspace && !view.show(path) {
            left_out.push(path.clone());
        }
    }
    for socket in &spec.sockets {
        match facts.path(&socket.host).filter(|fact| *fact.final_kind() == Kind::Socket) {
            Some(fact) => {
                let source = fact.canonical.clone();
                view.put(&socket.inside, Place::Socket { source, fact: fact.clone() })?;
            }
            None => left_out.push(socket.host.clone()),
        }
    }
    for file in accounts(spec, facts).iter().chain(&spec.synthetic) {
        place_file(view, file)?;
    }
    Ok(left_out)
}

/// Keeps what the host's tools obey in a directly used workspace. Each is a mount of its own, which can be neither written nor
/// moved; a repository's own folder is one whose changes land in a layer, so that commits work and the gate judges the rest.
/// To keep parts of it would not do: a file that is absent, such as `.git/commondir`, has no place for a mount.
fn pin(
    view: &mut View<'_>,
    spec: &BoxSpec,
    facts: &HostFacts,
    pins: &[PathBuf],
) -> Result<(), PlanError> {
    let named = |path: &PathBuf| spec.readable.contains(path);
    for path in pins.iter().filter(|path| !named(path)) {
        let Some(fact) = facts.path(path).cloned() else { continue };
        let place = if is_repository(path, &fact, spec) {
            let around = facts.path(&spec.workspace).map_or(0o755, |fact| fact.mode);
            Place::Layered {
                bytes: spec.limits.scratch(facts.cgroup.counts_memory()),
                fact,
                around,
            }
        } else {
            Place::Workspace { mode: WorkspaceMode::ReadOnly, fact }
        };
        view.put(path, place)?;
    }
    Ok(())
}

/// Whether `path` is the workspace's own `.git`, and not a file that says where that is.
fn is_repository(path: &Path, fact: &PathFact, spec: &BoxSpec) -> bool {
    fact.kind == Kind::Directory && *path == spec.workspace.join(".git")
}

fn place_file(view: &mut View<'_>, file: &SyntheticFile) -> Result<(), PlanError> {
    let SyntheticFile { path, contents, mode, access } = file;
    let (contents, mode) = (contents.clone(), mode & 0o777);
    let unplaceable = |reason| Err(PlanError::Unplaceable { path: path.clone(), reason });
    let place = match (view.nearest(path.parent().unwrap_or(path)), access) {
        (Some((_, Place::Workspace { .. })), _) => {
            return unplaceable("the workspace holds only what is on the host");
        }
        (Some((_, Place::Scratch { .. })), Access::Writable) | (None, Access::ReadOnly) => {
            Place::File { contents, mode }
        }
        (_, Access::Writable) => {
            return unplaceable("only the home directory and /tmp can be written");
        }
        (Some(_), Access::ReadOnly) => Place::Pinned { contents, mode },
    };
    view.put(path, place)
}

/// Who the box runs as, and the life it is bound to.
fn identity(facts: &HostFacts, uid: u32, gid: u32) -> Vec<Op> {
    let map = |inner: u32, outer: u32| format!("{inner} {outer} 1\n").into_bytes();
    let user = if facts.private_uid.is_some() {
        Op::Become { uid, gid }
    } else {
        Op::MapSelf { uid_map: map(uid, facts.uid), gid_map: map(gid, facts.gid) }
    };
    // The groups first, so that they count whatever the box makes.
    vec![Op::OfferToOom, Op::EnterGroups, user, Op::BindLife, Op::HostName(HOST_NAME.into())]
}

/// The user and group inside: the caller's own, never 0.
fn inner_ids(facts: &HostFacts) -> (u32, u32) {
    let or_ordinary = |id| if id == 0 { ORDINARY_ID } else { id };
    match facts.private_uid {
        Some(_) => (ORDINARY_ID, ORDINARY_ID),
        None => (or_ordinary(facts.uid), or_ordinary(facts.gid)),
    }
}

/// The files that name users, hosts and where names come from.
fn accounts(spec: &BoxSpec, facts: &HostFacts) -> Vec<SyntheticFile> {
    let (uid, gid) = inner_ids(facts);
    let (user, home) = (&spec.user, spec.home.display());
    let file = |path: &str, contents: String| SyntheticFile {
        path: path.into(),
        contents: contents.into_bytes(),
        mode: 0o644,
        access: Access::ReadOnly,
    };
    let nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin";
    vec![
        file(
            "/etc/passwd",
            format!("root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n{nobody}\n{user}:x:{uid}:{gid}:{user}:{home}:/bin/bash\n"),
        ),
        file("/etc/group", format!("root:x:0:\nnogroup:x:65534:\n{user}:x:{gid}:\n")),
        file("/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 bartizan\n".into()),
        file("/etc/hostname", "bartizan\n".into()),
        file("/etc/resolv.conf", "nameserver 127.0.0.53\noptions timeout:5 attempts:2\n".into()),
        file(
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n".into(),
        ),
    ]
}

pub(crate) fn check_paths(spec: &BoxSpec) -> Result<(), PlanError> {
    let plain = |path: &Path| {
        path.is_absolute()
            && !path.as_os_str().as_bytes().contains(&0)
            && path
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
    };
    let one = |what, path: &Path| {
        if plain(path) { Ok(()) } else { Err(PlanError::BadPath { what, path: path.to_owned() }) }
    };
    one("workspace", &spec.workspace)?;
    one("program", &spec.program)?;
    one("working directory", &spec.cwd)?;
    one("home directory", &spec.home)?;
    spec.readable.iter().try_for_each(|path| one("readable path", path))?;
    spec.never_visible.iter().try_for_each(|path| one("hidden path", path))?;
    spec.synthetic.iter().try_for_each(|file| one("synthetic file", &file.path))?;
    spec.sockets.iter().try_for_each(|socket| {
        one("socket", &socket.host).and_then(|()| one("socket", &socket.inside))
    })?;
    // The home directory is written into `/etc/passwd`, one line of fields.
    if spec.home.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b':' | b'\n')) {
        return Err(PlanError::BadPath { what: "home directory", path: spec.home.clone() });
    }
    if spec.cwd.starts_with(&spec.workspace) {
        Ok(())
    } else {
        Err(PlanError::CwdOutside { cwd: spec.cwd.clone(), workspace: spec.workspace.clone() })
    }
}

pub(crate) fn check_user(name: &str) -> Result<(), PlanError> {
    let fits = (1..=32).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if fits { Ok(()) } else { Err(PlanError::UserName { name: name.to_owned() }) }
}

pub(crate) fn check_workspace<'a>(
    spec: &BoxSpec,
    facts: &'a HostFacts,
) -> Result<&'a PathFact, PlanError> {
    let path = &spec.workspace;
    let refuse =
        |problem: String, remedy| Err(PlanError::Workspace { path: path.clone(), problem, remedy });
    let Some(fact) = facts.path(path) else {
        return refuse(
            "does not exist or cannot be entered".into(),
            "run from an existing directory of your own",
        );
    };
    if path.parent().is_none() {
        return refuse("is the whole file system".into(), "run from a project's directory");
    }
    if fact.canonical != *path {
        let real = fact.canonical.display();
        return refuse(
            format!("leads through a symlink to `{real}`"),
            "run from the directory that the symlink leads to",
        );
    }
    if fact.kind != Kind::Directory {
        return refuse("is not a directory".into(), "run from a directory");
    }
    let homes = [Some(&spec.home), facts.home.as_ref()];
    if homes.into_iter().flatten().any(|home| home.starts_with(path)) {
        return refuse(
            "is a home directory or holds one".into(),
            "run from a project's directory below it",
        );
    }
    let system = [
        "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr",
    ];
    if system.iter().any(|taken| path.starts_with(taken))
        || path == Path::new("/tmp")
        || path == Path::new("/var")
    {
        return refuse("belongs to the system".into(), "run from a project's directory");
    }
    if let Some(private) = overlap(path, spec, facts) {
        let problem =
            format!("and `{}`, which no box may see, hold one another", private.display());
        return refuse(
            problem,
            "run from a directory apart from Bartizan's state and configuration",
        );
    }
    if facts.private_uid.is_none() && fact.uid != facts.uid {
        return refuse("belongs to another user".into(), "run from a directory of your own");
    }
    let overlay = matches!(spec.workspace_mode, WorkspaceMode::Overlay { .. });
    if let Some(mount) = facts.mount_in_workspace.as_ref().filter(|_| overlay) {
        let problem = format!("has something mounted in it at `{}`", mount.display());
        return refuse(problem, "unmount it, or work directly on the directory with `--direct`");
    }
    Ok(fact)
}

pub(crate) fn check_readable(
    path: &Path,
    spec: &BoxSpec,
    facts: &HostFacts,
) -> Result<(), PlanError> {
    let resolved = facts.path(path).map_or(path, |fact| fact.canonical.as_path());
    let wide = [Path::new("/"), Path::new("/etc"), Path::new("/run")];
    let private = wide.into_iter().find(|wide| *wide == resolved).map(Path::to_owned);
    match private.or_else(|| overlap(resolved, spec, facts)) {
        Some(private) => Err(PlanError::ReadableTooWide { path: path.to_owned(), private }),
        None => Ok(()),
    }
}

/// A path that no box may see and that lies in `path`, or in which `path` lies.
fn overlap(path: &Path, spec: &BoxSpec, facts: &HostFacts) -> Option<PathBuf> {
    let resolved = |private: &PathBuf| {
        facts.path(private).map_or(private.clone(), |fact| fact.canonical.clone())
    };
    spec.never_visible
        .iter()
        .find(|private| {
            [(*private).clone(), resolved(private)]
                .iter()
                .any(|private| private.starts_with(path) || path.starts_with(private))
        })
        .cloned()
}

fn environment(spec: &BoxSpec) -> Result<Vec<CString>, PlanError> {
    let pair = |(name, value): &(_, _)| {
        let mut text = std::ffi::OsString::from(name);
        text.push("=");
        text.push(value);
        c_string("environment variable", &text).map_err(|_| PlanError::BadPath {
            // The value may be a credential's placeholder; the name is enough to find it.
            what: "environment variable",
            path: PathBuf::from(name),
        })
    };
    spec.env.iter().map(pair).collect()
}

fn c_string(what: &'static str, text: &OsStr) -> Result<CString, PlanError> {
    CString::new(text.as_bytes())
        .map_err(|_| PlanError::BadPath { what, path: PathBuf::from(text) })
}

const HOST_NAME: &std::ffi::CStr = c"bartizan";
/// The first user of most distributions; what root's boxes see themselves as.
const ORDINARY_ID: u32 = 1000;

#[cfg(test)]
mod tests;
