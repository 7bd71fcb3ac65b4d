//! What is this run's box? The role's settings, the person's toolchains and the client's outfit, put
//! together into one specification.

use crate::cli::{RequiredTier, RunArgs};
use crate::client::Outfit;
use crate::cmd::run::surroundings::Surroundings;
use crate::config::{BoxSettings, Network, Rest, WorkspaceMode as Configured};
use crate::doors::mcp::entry;
use crate::doors::run::terminal;
use crate::doors::{commands, hook};
use bartizan_sandbox::{
    Accept, Access, BoundSocket, BoxSpec, Limits, Reach, Stdio, Stream, SyntheticFile, WindowSize,
    WorkspaceMode,
};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Everything but the command itself, which the box takes from its warrant.
pub(crate) fn specify(
    around: &Surroundings,
    settings: &BoxSettings,
    args: &RunArgs,
    outfit: Option<Outfit>,
    hidden: Hidden<'_>,
    program: &Path,
) -> BoxSpec {
    let mut env = environment(around, settings, hidden.session);
    let mut synthetic = Vec::new();
    let mut sockets = Vec::new();
    let mut readable = around.readable(program);
    readable.extend(settings.readable.iter().cloned());
    let has_client = outfit.is_some();
    if let Some(outfit) = outfit {
        readable.push(hidden.bartizan.to_path_buf());
        sockets.push(BoundSocket {
            host: hidden.hook_socket.to_path_buf(),
            inside: PathBuf::from(hook::SOCKET),
        });
        if let Some(socket) = hidden.mcp_socket {
            let inside = PathBuf::from(entry::SOCKET);
            sockets.push(BoundSocket { host: socket.to_path_buf(), inside });
        }
        if let Some(socket) = hidden.command_socket {
            let inside = PathBuf::from(commands::SOCKET);
            sockets.push(BoundSocket { host: socket.to_path_buf(), inside });
        }
        synthetic.extend(outfit.files.into_iter().map(|file| SyntheticFile {
            path: file.path,
            contents: file.contents,
            mode: file.mode,
            access: if file.writable { Access::Writable } else { Access::ReadOnly },
        }));
        for (name, value) in outfit.env {
            env.retain(|(own, _)| own != name.as_str());
            env.push((name.into(), value.into()));
        }
    }
    BoxSpec {
        workspace: around.workspace.clone(),
        workspace_mode: mode(settings, args),
        program: PathBuf::new(),
        argv: Vec::new(),
        env,
        cwd: around.workspace.clone(),
        home: around.home.clone(),
        readable,
        synthetic,
        sockets,
        network: match settings.network {
            Network::None => Reach::Loopback,
            Network::Model | Network::Gated => Reach::Captured,
        },
        inner_boxes: hidden.command_socket.is_some(),
        keep_home: has_client,
        never_visible: vec![hidden.state.to_path_buf(), hidden.config.to_path_buf()],
        limits: limits(settings),
        user: USER.to_owned(),
        stdio: stdio(),
    }
}

/// The box of a role within the session's: what both would show, the smaller of each limit.
pub(crate) fn narrower(
    outer: &BoxSpec,
    session: &BoxSettings,
    own: &BoxSettings,
    root: &Path,
) -> BoxSpec {
    let mut spec = outer.clone();
    spec.readable.retain(|path| {
        path != root && (!session.readable.contains(path) || own.readable.contains(path))
    });
    if let Some(folder) = &own.folder {
        spec.workspace = root.join(folder);
        if own.rest == Rest::ReadOnly && outer.workspace == root {
            spec.readable.push(root.to_path_buf());
        }
    }
    if own.workspace == Configured::ReadOnly || outer.workspace_mode == WorkspaceMode::ReadOnly {
        spec.workspace_mode = WorkspaceMode::ReadOnly;
    }
    if own.network != Network::Gated || session.network != Network::Gated {
        spec.network = Reach::Loopback;
    }
    // The client's own files, its key and our sockets are not for its commands.
    spec.sockets.clear();
    spec.synthetic.retain(|file| {
        file.access == Access::ReadOnly && !file.path.starts_with("/etc/claude-code")
    });
    spec.env.retain(|(name, _)| {
        let name = name.to_string_lossy();
        !name.starts_with("ANTHROPIC_") && !name.starts_with("CLAUDE")
    });
    let own = limits(own);
    let least = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
    spec.limits = Limits {
        memory_bytes: own.memory_bytes.min(outer.limits.memory_bytes),
        pids: own.pids.min(outer.limits.pids),
        cpu_percent: least(own.cpu_percent, outer.limits.cpu_percent),
        file_size: own.file_size.min(outer.limits.file_size),
        open_files: own.open_files.min(outer.limits.open_files),
        wall: own.wall.into_iter().chain(outer.limits.wall).min(),
        ..outer.limits
    };
    spec.stdio = Stdio::piped();
    spec.inner_boxes = false;
    spec.keep_home = false;
    spec.cwd = spec.workspace.clone();
    spec
}

/// What belongs to us and is bound into the box only where it must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hidden<'a> {
    /// The state directory.
    pub(crate) state: &'a Path,
    /// The person's configuration directory.
    pub(crate) config: &'a Path,
    /// This session's hook socket.
    pub(crate) hook_socket: &'a Path,
    /// The socket of the gateway to MCP servers, if the client has some.
    pub(crate) mcp_socket: Option<&'a Path>,
    /// The socket of the commands that get a box of their own, if any do.
    pub(crate) command_socket: Option<&'a Path>,
    /// This program, which the client's hooks start.
    pub(crate) bartizan: &'a Path,
    /// The session's id.
    pub(crate) session: &'a str,
}

/// The tiers that will do for this run.
pub(crate) fn accept(args: &RunArgs) -> Accept {
    match args.require_tier {
        Some(RequiredTier::A) => Accept::OnlyA,
        Some(RequiredTier::B) | None => Accept::OrB { folders: FOLDERS.into() },
    }
}

fn mode(settings: &BoxSettings, args: &RunArgs) -> WorkspaceMode {
    let overlay =
        WorkspaceMode::Overlay { size_bytes: settings.overlay_size_bytes, inodes: OVERLAY_INODES };
    match settings.workspace {
        Configured::ReadOnly => WorkspaceMode::ReadOnly,
        _ if args.read_only => WorkspaceMode::ReadOnly,
        Configured::Direct => WorkspaceMode::Direct,
        Configured::Overlay if args.direct => WorkspaceMode::Direct,
        Configured::Overlay => overlay,
    }
}

fn limits(settings: &BoxSettings) -> Limits {
    Limits {
        memory_bytes: settings.memory_bytes,
        pids: settings.pids,
        cpu_percent: settings.cpu_percent,
        file_size: settings.file_size_bytes,
        open_files: settings.open_files,
        wall: Some(settings.wall),
        ..Limits::ordinary()
    }
}

/// A terminal where the person has one, a pipe where she redirected.
fn stdio() -> Stdio {
    let (rows, cols) = terminal::size().unwrap_or((24, 80));
    let [stdin, stdout, stderr] =
        terminal::terminals().map(|terminal| if terminal { Stream::Pty } else { Stream::Piped });
    Stdio { stdin, stdout, stderr, size: WindowSize { rows, cols } }
}

fn environment(
    around: &Surroundings,
    settings: &BoxSettings,
    session: &str,
) -> Vec<(OsString, OsString)> {
    let mut env = around.inherited(&settings.env);
    let mut set = |name: &str, value: OsString| env.push((name.into(), value));
    set("PATH", around.search_path());
    set("HOME", around.home.clone().into());
    set("USER", USER.into());
    set("LOGNAME", USER.into());
    set("SHELL", "/bin/bash".into());
    set("BARTIZAN_BOX", "1".into());
    set("BARTIZAN_SESSION", session.into());
    if settings.network == Network::None {
        return env;
    }
    // Every connection is caught without these; programs that heed them get a refusal in words.
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        set(name, HTTP_PROXY.into());
    }
    for name in ["no_proxy", "NO_PROXY"] {
        set(name, NO_PROXY.into());
    }
    env
}

/// The login name inside, the same for everybody: the box has no use for the person's own.
const USER: &str = "agent";
/// Files and directories that a run may bring about in its workspace layer.
const OVERLAY_INODES: u64 = 200_000;
/// Where the folders of boxes without namespaces are made. Not below the home directory: tools look for settings in every
/// folder above theirs, and those of the person are closed to the box, which they take for a fault.
pub(crate) const FOLDERS: &str = "/var/tmp";
const HTTP_PROXY: &str = "http://127.0.0.1:3128";
/// The box's own servers, and the model door, which is reached by name.
const NO_PROXY: &str = "localhost,127.0.0.1,::1,model.bartizan";
