//! In which box does a subagent's command run? One of its role, made within the session's, for each command.
//!
//! The hook gives the client another command in the place of the one that was authorised: this program with a token.
//! [`hand_over`] runs in the session's box as that; [`Commands`], in the supervisor, knows which command the token stands
//! for, and runs that one, once. What runs is what was judged, whatever the client wrote. A client that runs the original
//! command instead has the session's box and no more: who asks inside the client is the client's word.

mod wire;

pub(crate) use wire::hand_over;

use crate::app::Gate;
use crate::doors::net::NetDoor;
use bartizan_gate::name::RoleName;
use bartizan_gate::seat::Caller;
use bartizan_sandbox::{
    BoxSpec, Exit, Foothold, HostFacts, Killer, Life, Plan, Reach, spawn_within,
};
use bartizan_scan::display_line;
use bartizan_store::Event;
use rustix::event::{PollFd, PollFlags};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;

/// Where the socket is inside the session's box; no box of a command shows it.
pub(crate) const SOCKET: &str = "/run/bartizan/command.sock";

/// What is needed to make boxes for commands.
pub(crate) struct Setup {
    /// The gate, for the log.
    pub(crate) gate: Arc<Gate>,
    /// The session.
    pub(crate) caller: Caller,
    /// This program, as the box shows it.
    pub(crate) bartizan: PathBuf,
    /// The boxes of the roles that are narrower than the session's.
    pub(crate) profiles: BTreeMap<RoleName, BoxSpec>,
    /// How many processes the session's box may have.
    pub(crate) processes: u64,
    /// The session's way out.
    pub(crate) net: Arc<NetDoor>,
}

/// One session's boxes for commands.
pub(crate) struct Commands {
    setup: Setup,
    runtime: Handle,
    state: Mutex<State>,
    /// A command has ended.
    ended: Condvar,
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commands").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    /// There while the session's box runs.
    foothold: Option<Foothold>,
    tickets: HashMap<String, Ticket>,
    under_way: usize,
    killers: HashMap<u64, Killer>,
    count: u64,
}

/// A command that was authorised and has not run yet.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    /// Whose box it gets.
    pub(crate) role: RoleName,
    /// The command, as it was judged.
    pub(crate) command: String,
    /// The subagent's kind and id.
    pub(crate) agent: (String, String),
    /// The client's id of the call.
    pub(crate) reference: String,
}

impl Commands {
    /// Ready for a session whose box does not run yet. Must be called within the runtime.
    pub(crate) fn new(setup: Setup) -> Arc<Self> {
        let state = Mutex::new(State::default());
        Arc::new(Self { setup, runtime: Handle::current(), state, ended: Condvar::new() })
    }

    /// Whether commands of this role get a box of their own.
    pub(crate) fn boxes(&self, role: &RoleName) -> bool {
        self.setup.profiles.contains_key(role)
    }

    /// The command that the client gets in the place of an authorised one; or why that cannot run.
    pub(crate) fn stand_in(&self, ticket: Ticket) -> Result<String, String> {
        let token = crate::machine::random::<16>().map_err(|_| UNAVAILABLE.to_owned())?;
        let token = token.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            write!(text, "{byte:02x}").unwrap_or_default();
            text
        });
        let program = self.setup.bartizan.to_str().ok_or(UNAVAILABLE)?.replace('\'', r"'\''");
        let mut state = self.lock();
        if state.foothold.is_none() {
            return Err(UNAVAILABLE.to_owned());
        }
        if state.tickets.len() >= TICKETS_MAX {
            return Err("command-flood: too many commands were asked for and never run".to_owned());
        }
        state.tickets.insert(token.clone(), ticket);
        Ok(format!("'{program}' hook command {token}"))
    }

    /// The session's box runs: answers its socket from now on.
    pub(crate) fn open(
        self: &Arc<Self>,
        foothold: Foothold,
        listener: UnixListener,
    ) -> io::Result<()> {
        self.lock().foothold = Some(foothold);
        let desk = Arc::clone(self);
        let serve = move |stream: &UnixStream| {
            wire::serve(stream, |token, cwd, streams| desk.run(token, cwd, streams, stream));
        };
        let answer = move || wire::answer(&listener, &Arc::new(serve));
        std::thread::Builder::new().name("bartizan-commands".into()).spawn(answer).map(drop)
    }

    /// The session's box has ended: ends every command, and returns when the last is gone. After that nothing writes to the
    /// workspace.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.foothold = None;
        state.tickets.clear();
        while state.under_way > 0 {
            for killer in state.killers.values() {
                // It is gone already when this fails.
                drop(killer.kill());
            }
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Runs the command that a token stands for; its exit code, or a sentence.
    fn run(
        &self,
        token: &str,
        cwd: &Path,
        streams: [OwnedFd; 3],
        client: &UnixStream,
    ) -> Result<u8, String> {
        let (ticket, foothold) = self.begin(token)?;
        let ran = self.carry_out(&ticket, cwd, (&foothold, streams), client);
        drop(foothold);
        self.note(&ticket, |about| match &ran {
            Ok(exit) => {
                about.insert("exit".to_owned(), json!(exit.code()));
                about.insert("reason".to_owned(), json!(format!("{:?}", exit.reason)));
                about.insert("peak_memory_bytes".to_owned(), json!(exit.peak.memory_bytes));
            }
            Err(why) => {
                about.insert("error".to_owned(), json!(display_line(why, 500)));
            }
        });
        let mut state = self.lock();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.ended.notify_all();
        ran.map(|exit| u8::try_from(exit.code()).unwrap_or(u8::MAX))
    }

    /// Takes the ticket, once, and a place.
    fn begin(&self, token: &str) -> Result<(Ticket, Foothold), String> {
        let mut state = self.lock();
        let ticket = state.tickets.remove(token).ok_or(UNKNOWN)?;
        if state.under_way >= AT_ONCE {
            return Err(
                "command-busy: too many commands of subagents run at once; try again later"
                    .to_owned(),
            );
        }
        let foothold = state.foothold.as_ref().ok_or(UNAVAILABLE)?;
        let foothold = foothold.try_clone().map_err(|_| UNAVAILABLE.to_owned())?;
        state.under_way += 1;
        Ok((ticket, foothold))
    }

    fn carry_out(
        &self,
        ticket: &Ticket,
        cwd: &Path,
        (foothold, streams): (&Foothold, [OwnedFd; 3]),
        client: &UnixStream,
    ) -> Result<Exit, String> {
        let profile = self.setup.profiles.get(&ticket.role).ok_or(UNAVAILABLE)?;
        let spec = of_command(profile, &ticket.command, cwd);
        let failed = |error: &dyn std::fmt::Display| format!("command-box: {error}");
        let facts = HostFacts::gather(&spec).map_err(|error| failed(&error))?;
        let plan =
            Plan::within(&spec, &facts, self.setup.processes).map_err(|error| failed(&error))?;
        let noted = self.note(ticket, |about| {
            about.insert("begins".to_owned(), json!(true));
        });
        if !noted {
            return Err("no-log: the log does not take this, so it does not happen".to_owned());
        }
        let running = spawn_within(&plan, foothold, streams).map_err(|error| failed(&error))?;
        let served = match spec.network {
            Reach::Loopback => None,
            Reach::Captured => {
                let (kind, id) = &ticket.agent;
                let _runtime = self.runtime.enter();
                Some(
                    self.setup
                        .net
                        .for_subagent(kind, id)
                        .open(running.capture)
                        .map_err(|error| failed(&error))?,
                )
            }
        };
        let exit = self.attend(running.life, client).map_err(|error| failed(&error));
        drop(served);
        exit
    }

    /// Waits for the end of the box, and ends it when the client's side is gone.
    fn attend(&self, mut life: Life, client: &UnixStream) -> io::Result<Exit> {
        let killer = life.killer()?;
        let mut state = self.lock();
        if state.foothold.is_none() {
            killer.kill()?;
        }
        state.count += 1;
        let number = state.count;
        state.killers.insert(number, killer);
        drop(state);
        let mut ready = [
            PollFd::from_borrowed_fd(life.pidfd(), PollFlags::IN),
            PollFd::from_borrowed_fd(client.as_fd(), PollFlags::IN),
        ];
        let polled = rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, None));
        let ended =
            polled.is_ok() && ready.first().is_some_and(|box_end| !box_end.revents().is_empty());
        let exit = if ended { life.wait() } else { life.kill().and_then(|()| life.wait()) };
        self.lock().killers.remove(&number);
        exit
    }

    /// Tells the log; whether it has heard.
    fn note(&self, ticket: &Ticket, tell: impl FnOnce(&mut Map<String, Value>)) -> bool {
        let mut about = Map::new();
        let (kind, id) = &ticket.agent;
        about.insert("box_of_command".to_owned(), json!(ticket.role.as_str()));
        about.insert("reference".to_owned(), json!(display_line(&ticket.reference, 128)));
        about.insert("subagent".to_owned(), json!(display_line(id, 128)));
        about.insert("subagent_kind".to_owned(), json!(display_line(kind, 128)));
        tell(&mut about);
        self.setup.gate.pipeline().note(&self.setup.caller, Event::Client, about).is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The box for one command: it starts where the client stands, if its role's box reaches there.
fn of_command(profile: &BoxSpec, command: &str, cwd: &Path) -> BoxSpec {
    let inside = cwd.starts_with(&profile.workspace)
        && cwd.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    let cwd = if inside { cwd.to_path_buf() } else { profile.workspace.clone() };
    let argv = ["bash", "-c", command].map(OsString::from).to_vec();
    BoxSpec { program: "/bin/bash".into(), argv, cwd, ..profile.clone() }
}

const UNAVAILABLE: &str = "box-narrower: no box of your role can be made for this command here";
const UNKNOWN: &str = "command-unknown: this command was not authorised, or has run already";
/// Boxes of commands at the same time: each has limits of its own beside the session's.
const AT_ONCE: usize = 8;
/// Commands that were authorised and have not run.
const TICKETS_MAX: usize = 1024;
