//! How does a declared command run? In a box of its own, which holds nothing but what its role's boxes hold.

use super::Done;
use crate::app::Gate;
use crate::cmd::run::FOLDERS;
use crate::cmd::run::surroundings::Surroundings;
use crate::cmd::run::way_out::WayOut;
use crate::config::{BoxSettings, Config, Places, Tool};
use crate::doors::database::DatabaseDoor;
use crate::doors::net::NetDoor;
use bartizan_egress::vault::Placeholders;
use bartizan_egress::{Allowances, Vault};
use bartizan_gate::name::RoleName;
use bartizan_gate::seat::Caller;
use bartizan_mcp::declare::{CommandTool, Network, Workspace};
use bartizan_sandbox::{
    Accept, BoxSpec, Exit, Killer, Limits, Reach, Reason, Running, Stdio, WorkspaceMode,
};
use bartizan_store::EffectEnd;
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What the boxes of declared commands are made from.
pub(crate) struct Boxes {
    /// The person's machine, as a box sees it.
    pub(crate) around: Surroundings,
    /// Everything configured.
    pub(crate) config: Config,
    /// Where configuration and state are.
    pub(crate) places: Places,
    /// The session's role.
    pub(crate) role: RoleName,
    /// The way to secrets, for those that the egress adds.
    pub(crate) vault: Vault,
    /// What the session may still take of the network.
    pub(crate) allowances: Arc<Allowances>,
}

/// What a box did.
struct Ran {
    exit: Exit,
    streams: [Caught; 2],
}

/// One stream, as far as it may go.
struct Caught {
    bytes: Vec<u8>,
    over: bool,
}

impl Boxes {
    pub(super) async fn run(
        &self,
        gate: &Arc<Gate>,
        caller: &Caller,
        tool: &Tool,
        command: &CommandTool,
        argv: Vec<String>,
    ) -> Done {
        let Some(program) = self.around.find_declared(command.program().as_ref()) else {
            return Done::not("not-started", "the program of this tool is not there");
        };
        let settings = self.config.box_of(&self.role);
        let session = caller.seat().session.as_str();
        let mut spec = self.specify(tool, command, &settings, (program, argv));
        let net = match command.network() {
            Network::None => None,
            Network::Gated => {
                let placeholders = Arc::new(Placeholders::default());
                let held = (self.vault.clone(), placeholders, Arc::clone(&self.allowances));
                let Ok(mut way_out) = WayOut::new(&self.config, &self.around, session, held) else {
                    return Done::not("not-started", "the box of this tool has no way out");
                };
                way_out.furnish(&mut spec);
                let databases =
                    DatabaseDoor::new(Arc::clone(gate), caller.clone(), self.vault.clone());
                Some(NetDoor::new(Arc::clone(gate), caller.clone(), way_out.ways, None, databases))
            }
        };
        let accept = Accept::OrB { folders: FOLDERS.into() };
        let started =
            tokio::task::spawn_blocking(move || bartizan_sandbox::start(&spec, &accept)).await;
        let Ok(Ok(running)) = started else {
            return Done::not("not-started", "the box of this tool could not be started");
        };
        if let Some(ran) = attend(running, net.as_ref(), tool.declared.bounds().answer).await {
            return done(tool, &ran);
        }
        let mut lost = Done::not("end-unknown", "the end of this tool's box cannot be told");
        lost.end = EffectEnd::Ambiguous;
        lost
    }

    fn specify(
        &self,
        tool: &Tool,
        command: &CommandTool,
        settings: &BoxSettings,
        (program, argv): (PathBuf, Vec<String>),
    ) -> BoxSpec {
        let mut readable = self.around.readable(&program);
        readable.extend(settings.readable.iter().cloned());
        let time = tool.declared.bounds().time;
        BoxSpec {
            workspace: self.around.workspace.clone(),
            workspace_mode: match command.workspace() {
                Workspace::Direct => WorkspaceMode::Entire,
                Workspace::ReadOnly => WorkspaceMode::ReadOnly,
            },
            program,
            argv: argv.into_iter().map(OsString::from).collect(),
            env: self.environment(settings),
            cwd: self.around.workspace.clone(),
            home: self.around.home.clone(),
            readable,
            synthetic: Vec::new(),
            sockets: Vec::new(),
            inner_boxes: false,
            keep_home: false,
            network: match command.network() {
                Network::Gated => Reach::Captured,
                Network::None => Reach::Loopback,
            },
            never_visible: vec![self.places.state.clone(), self.places.user.clone()],
            limits: Limits {
                memory_bytes: settings.memory_bytes,
                pids: settings.pids,
                cpu_percent: settings.cpu_percent,
                file_size: settings.file_size_bytes,
                open_files: settings.open_files,
                wall: Some(settings.wall.min(time)),
                ..Limits::ordinary()
            },
            user: "agent".to_owned(),
            stdio: Stdio::piped(),
        }
    }

    fn environment(&self, settings: &BoxSettings) -> Vec<(OsString, OsString)> {
        let mut env = self.around.inherited(&settings.env);
        let mut set = |name: &str, value: OsString| env.push((name.into(), value));
        set("PATH", self.around.search_path());
        set("HOME", self.around.home.clone().into());
        set("USER", "agent".into());
        set("LOGNAME", "agent".into());
        set("BARTIZAN_BOX", "1".into());
        // Nobody is there to be asked.
        set("GIT_TERMINAL_PROMPT", "0".into());
        env
    }
}

async fn attend(running: Running, net: Option<&Arc<NetDoor>>, most: usize) -> Option<Ran> {
    let Running { stdio, capture, mut life, folder, upper, .. } = running;
    let served = match net {
        None => {
            drop(capture);
            None
        }
        Some(net) => Some(net.open(capture).ok()?),
    };
    drop(stdio.stdin);
    let killer = Arc::new(life.killer().ok()?);
    let _left = Left(Arc::clone(&killer));
    let streams = [stdio.stdout, stdio.stderr]
        .map(|end| end.map(|end| catch(end, most, Arc::clone(&killer))));
    let ended = tokio::task::spawn_blocking(move || {
        let exit = life.wait().ok();
        // Every writer is dead, so both have ended.
        let streams = streams.map(|stream| {
            let caught = stream.and_then(|stream| stream.join().ok());
            caught.unwrap_or(Caught { bytes: Vec::new(), over: false })
        });
        exit.map(|exit| Ran { exit, streams })
    });
    let ran = ended.await.ok().flatten();
    drop((served, upper, folder));
    ran
}

/// Ends a box that nobody attends any more, because the call was cancelled or its client went away.
struct Left(Arc<Killer>);

impl Drop for Left {
    fn drop(&mut self) {
        // What has ended takes no signal.
        drop(self.0.kill());
    }
}

/// Reads a stream; what goes beyond ends the box.
fn catch(from: OwnedFd, most: usize, killer: Arc<Killer>) -> JoinHandle<Caught> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        // A stream that breaks has ended.
        drop(File::from(from).take(limit).read_to_end(&mut bytes));
        let over = bytes.len() > most;
        if over {
            bytes.clear();
            drop(killer.kill());
        }
        Caught { bytes, over }
    })
}

fn done(tool: &Tool, ran: &Ran) -> Done {
    let Ran { exit, streams: [stdout, stderr] } = ran;
    let mut value = Map::from_iter([("exit".to_owned(), json!(exit.code()))]);
    let over = stdout.over || stderr.over;
    for (name, stream) in [("stdout", stdout), ("stderr", stderr)] {
        if tool.declared.projection().shows(name) && !over {
            value.insert(
                name.to_owned(),
                Value::String(String::from_utf8_lossy(&stream.bytes).into_owned()),
            );
        }
    }
    if over {
        let most = tool.declared.bounds().answer;
        let note =
            format!("it wrote more than {most} bytes, so it was ended and nothing of it is shown");
        value.insert("note".to_owned(), json!(note));
    }
    // An exit code is the program's own word for what it did; an end from outside says nothing.
    let (end, code) = match exit.reason {
        _ if over => (EffectEnd::Ambiguous, Some("answer-too-large")),
        Reason::Exited(0) => (EffectEnd::Committed, None),
        Reason::Exited(_) => (EffectEnd::Failed, Some("exit")),
        _ => (EffectEnd::Ambiguous, Some("ended-from-outside")),
    };
    let details = json!({
        "exit": exit.code(), "reason": format!("{:?}", exit.reason), "stdout": stdout.bytes.len(), "stderr": stderr.bytes.len(),
    });
    Done { end, code, details, value }
}
