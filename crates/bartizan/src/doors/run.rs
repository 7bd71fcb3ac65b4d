//! What happens while the command runs? The box is started under its warrant, its sockets are served,
//! its streams carried, its end awaited, and what it changed is led through the write-back gate.

pub(crate) mod asks;
mod carried;
pub(crate) mod home;
mod modes;
mod panel;
pub(crate) mod progress;
mod stage;
pub(crate) mod terminal;

use crate::app::Gate;
use crate::client::kept::Kept;
use crate::config::Network;
use crate::doors::calls::{Calls, PutOff, Terms};
use crate::doors::commands::Commands;
use crate::doors::hook;
use crate::doors::net::NetDoor;
use crate::report;
use crate::stop::Stop;
use asks::Asks;
use bartizan_gate::call::Outcome;
use bartizan_gate::effect::{Content, Effector, Warrant};
use bartizan_gate::seat::Caller;
use bartizan_sandbox::writeback::keeper::Keeper;
use bartizan_sandbox::writeback::{self, Applied};
use bartizan_sandbox::{
    Accept, BoxSpec, Capture, Enforcement, Exit, Foothold, Killer, Peak, Reason, Running, SetAside,
    StdioEnds, Strength, Tier,
};
use bartizan_store::Event;
use carried::Carried;
use home::Home;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::SystemTime;
use terminal::Spout;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

/// One boxed run, to be performed under its warrant.
pub(crate) struct BoxRun {
    /// The gate, for what the box will ask.
    pub(crate) gate: Arc<Gate>,
    /// Whose box it is.
    pub(crate) caller: Caller,
    /// Everything about the box but the command.
    pub(crate) spec: BoxSpec,
    /// The tiers that will do.
    pub(crate) accept: Accept,
    /// Serves its connections.
    pub(crate) net: Arc<NetDoor>,
    /// What it may reach.
    pub(crate) network: Network,
    /// How much it may print, in bytes, if limited.
    pub(crate) output: Option<u64>,
    /// Who carries its streams.
    pub(crate) streams: Streams,
    /// Serves its client's hooks, if it has a client.
    pub(crate) hook: Option<UnixListener>,
    /// The session's calls, for its hooks.
    pub(crate) calls: Arc<Calls>,
    /// On what terms its client can put calls off, if it can.
    pub(crate) deferring: Option<Terms>,
    /// Keeps its client's conversations, if it has a client.
    pub(crate) kept: Option<Kept>,
    /// Makes boxes for the commands of narrower subagents, and hears of them.
    pub(crate) commands: Option<(Arc<Commands>, std::os::unix::net::UnixListener)>,
    /// Leads its changes home.
    pub(crate) home: Home,
}

/// Who carries the streams of a box.
pub(crate) enum Streams {
    /// We do, to and from the person's; who is asked there, if anybody.
    Terminal(Option<Arc<Asks>>),
    /// A door that speaks with the program.
    Door(tokio::sync::oneshot::Sender<Held>),
}

/// The streams of a box, for a door.
pub(crate) struct Held {
    /// The box's ends.
    pub(crate) stdio: StdioEnds,
    /// Ends the box.
    pub(crate) killer: Arc<Killer>,
}

/// How the run went.
#[derive(Debug)]
pub(crate) struct RunReport {
    /// The exit code to pass on, or why there is none.
    pub(crate) end: Result<Exit, NotStarted>,
    /// What the kernel enforced.
    pub(crate) enforcement: Option<Enforcement>,
    /// What became of the box's changes.
    pub(crate) changes: Option<Result<Applied, String>>,
    /// Whether it printed more than it may.
    pub(crate) spilt: bool,
    /// What of its output did not reach where ours goes, and why.
    pub(crate) lost: Option<String>,
    /// Which signal ended the run, if we were told to stop.
    pub(crate) interrupted: Option<i32>,
}

/// Why the box did not start, in words for the person.
#[derive(Debug)]
pub(crate) struct NotStarted(pub(crate) String);

/// A report holds paths and figures of ours; the command's output went to the person, not to an agent.
impl Content for RunReport {
    fn scrub(self, _: &dyn Fn(&str) -> String) -> Self {
        self
    }
}

impl Effector for BoxRun {
    type Output = RunReport;

    async fn run(mut self, warrant: &Warrant<'_>) -> (Outcome, RunReport) {
        let since = writeback::session_start();
        let started =
            command(&mut self.spec, warrant).and_then(|()| start(&self.spec, &self.accept));
        match started {
            Ok(running) => self.attend(running, since).await,
            Err(why) => {
                let outcome = Outcome::failed("not-started", json!({ "why": why.0 }));
                let report = RunReport {
                    end: Err(why),
                    enforcement: None,
                    changes: None,
                    interrupted: None,
                    spilt: false,
                    lost: None,
                };
                (outcome, report)
            }
        }
    }
}

/// Takes the command from the warrant: what was judged is what runs.
fn command(spec: &mut BoxSpec, warrant: &Warrant<'_>) -> Result<(), NotStarted> {
    let arguments = warrant.arguments();
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(OsString::from);
    let program = text(arguments.get("program"));
    let argv = arguments.get("argv").and_then(Value::as_array);
    let argv: Option<Vec<OsString>> =
        argv.map(|words| words.iter().filter_map(|word| text(Some(word))).collect());
    match (program, argv) {
        (Some(program), Some(argv)) => {
            spec.program = program.into();
            spec.argv = argv;
            Ok(())
        }
        _ => Err(NotStarted("the warrant names no command".to_owned())),
    }
}

fn start(spec: &BoxSpec, accept: &Accept) -> Result<Running, NotStarted> {
    let running =
        bartizan_sandbox::start(spec, accept).map_err(|error| NotStarted(error.to_string()))?;
    if running.report.tier() == Tier::B {
        report::aloud(&weaker(&running.report));
    }
    Ok(running)
}

/// The first line of a run in a box that is weaker than it could be.
fn weaker(report: &Enforcement) -> String {
    let lost = report.items().iter().filter(|item| item.strength == Strength::Absent);
    let lost: Vec<&str> = lost.map(|item| item.name).filter(|name| *name != "left out").collect();
    let at = report.item("workspace").map_or("", |item| item.detail.as_str());
    format!(
        "warning: this machine refuses user namespaces, so the box is tier B, without: {}\n  \
         workspace: {}\n  \
         hint: `bartizan doctor` says how to get tier A; `--require-tier a` accepts nothing less",
        lost.join(", "),
        report::safe(at)
    )
}

impl BoxRun {
    async fn attend(mut self, running: Running, since: SystemTime) -> (Outcome, RunReport) {
        let Running { stdio, capture, upper, home, workspace, report, mut life, foothold, folder } =
            running;
        // In tier B the box can switch the client's hooks off, and its conversations are not kept.
        if let Some(terms) = self.deferring.filter(|_| report.tier() != Tier::B) {
            self.calls.defers(terms);
        }
        let served = self.serve(capture);
        // In tier B the layer is empty until the box has ended, so there is nothing to keep.
        let keeper = upper
            .as_ref()
            .filter(|_| folder.is_none())
            .and_then(|upper| self.home.keeper(life.host_pid(), since, upper, &workspace));
        let commands = self.box_commands(foothold);
        self.serve_hook(commands.clone());
        let (served, mut signals, killer) = match served
            .and_then(|served| Ok((served, Signals::new()?, Arc::new(life.killer()?))))
        {
            Ok(ready) => ready,
            Err(error) => {
                drop(life);
                close(commands).await;
                return unserved(&error, report);
            }
        };
        let spout = Spout::new(self.output, &killer);
        let (raw, carried) = self.carry(stdio, &spout, &killer);
        let mut ended = tokio::task::spawn_blocking(move || life.wait());
        let mut interrupted = None;
        let exit = loop {
            tokio::select! {
                exit = &mut ended => break exit,
                signal = signals.next() => obey(&signal, &carried, &killer, &mut interrupted),
            }
        };
        carried.finish().await;
        // Before anybody looks at the workspace's changes: nothing may write to it any more.
        close(commands).await;
        drop((raw, served));
        let exit = match exit {
            Ok(Ok(exit)) => Ok(exit),
            Ok(Err(error)) => Err(NotStarted(format!("the box's end cannot be told: {error}"))),
            Err(_) => Err(NotStarted("the thread that waited for the box failed".to_owned())),
        };
        let changes = match upper {
            // Without an end nobody can say that the layer is whole.
            Some(_) if exit.is_err() => Some(Err("the box's end cannot be told".to_owned())),
            Some(upper) => Some(self.bring_home(&upper, &workspace, since, keeper).await),
            None => None,
        };
        let ended_well = exit.is_ok();
        self.keep(home.filter(|_| ended_well));
        drop(folder);
        let outcome = outcome(exit.as_ref().ok(), changes.as_ref(), spout.is_over());
        let (spilt, lost) = (spout.is_over(), spout.lost());
        let enforcement = Some(report);
        (outcome, RunReport { end: exit, enforcement, changes, interrupted, spilt, lost })
    }
}

impl BoxRun {
    /// Keeps the client's conversations. What is put off in one that cannot be kept can never go on.
    fn keep(&self, home: Option<OwnedFd>) {
        let pipeline = self.gate.pipeline();
        let account = self.kept.as_ref().zip(home).map(|(kept, home)| kept.keep(&home));
        let lost = |off: &PutOff| !account.as_ref().is_some_and(|kept| kept.has(&off.conversation));
        if self.calls.put_off().as_ref().is_some_and(lost) {
            drop(pipeline.undefer(&self.caller));
        }
        if let Some(account) = account {
            // Like the records of the changes: without room for this one the outcome has none either.
            drop(pipeline.note(&self.caller, Event::Client, account.about()));
        }
    }

    /// Has the streams carried, by us or by a door.
    fn carry(
        &mut self,
        stdio: StdioEnds,
        spout: &Arc<Spout>,
        killer: &Arc<Killer>,
    ) -> (Option<terminal::Raw>, Carried) {
        match std::mem::replace(&mut self.streams, Streams::Terminal(None)) {
            Streams::Terminal(asks) => {
                let raw = terminal::Raw::enter();
                (Some(raw), Carried::start(stdio, spout, asks.map(|asks| (asks, &*self.gate))))
            }
            Streams::Door(door) => {
                // A door that has gone closes the streams, which the program takes as its end.
                drop(door.send(Held { stdio, killer: Arc::clone(killer) }));
                (None, Carried::default())
            }
        }
    }

    fn serve_hook(&mut self, commands: Option<Arc<Commands>>) {
        if let Some(listener) = self.hook.take() {
            let (gate, calls) = (Arc::clone(&self.gate), Arc::clone(&self.calls));
            let caller = self.caller.clone();
            tokio::spawn(hook::serve(listener, gate, caller, calls, commands));
        }
    }

    /// Commands of narrower subagents get boxes within this one, where it has the namespaces for that.
    fn box_commands(&mut self, foothold: Option<Foothold>) -> Option<Arc<Commands>> {
        let (commands, listener) = self.commands.take()?;
        if let Some(foothold) = foothold {
            // Without somebody to answer, what is asked there is refused.
            drop(commands.open(foothold, listener));
        }
        Some(commands)
    }
}

async fn close(commands: Option<Arc<Commands>>) {
    if let Some(commands) = commands {
        drop(tokio::task::spawn_blocking(move || commands.close()).await);
    }
}

/// Passes on what a signal asks for.
fn obey(signal: &Heard, carried: &Carried, killer: &Killer, interrupted: &mut Option<i32>) {
    match signal {
        Heard::Resize => carried.resize(),
        Heard::Stop(number) => {
            *interrupted = Some(*number);
            // It is gone already when this fails.
            drop(killer.kill());
        }
    }
}

fn unserved(error: &std::io::Error, report: Enforcement) -> (Outcome, RunReport) {
    let end = Err(NotStarted(format!("the box's sockets cannot be served: {error}")));
    let outcome = Outcome::failed("not-served", json!({}));
    let (changes, interrupted, spilt, lost) = (None, None, false, None);
    (outcome, RunReport { end, enforcement: Some(report), changes, interrupted, spilt, lost })
}

impl BoxRun {
    fn serve(&self, capture: Capture) -> std::io::Result<JoinSet<()>> {
        match self.network {
            // The box was made without listeners: whatever it tries, its own kernel refuses it.
            Network::None => Ok(JoinSet::new()),
            Network::Gated | Network::Model => self.net.open(capture),
        }
    }
}

impl BoxRun {
    /// Leads the changes home and tells the log.
    async fn bring_home(
        &self,
        upper: &OwnedFd,
        workspace: &OwnedFd,
        since: SystemTime,
        keeper: Option<Keeper>,
    ) -> Result<Applied, String> {
        let applied = self.home.bring(upper, workspace, since).await?;
        // Where that failed, the keeper stays and lays the changes aside when we are gone.
        if let Some(keeper) = keeper {
            keeper.dismiss();
        }
        for about in home::records(&applied) {
            // Without room for this record the outcome has none either, and the run ends with an error.
            drop(self.gate.pipeline().note(&self.caller, Event::WriteBack, about));
        }
        Ok(applied)
    }
}

fn outcome(exit: Option<&Exit>, changes: Option<&Result<Applied, String>>, spilt: bool) -> Outcome {
    let files = match changes {
        Some(Ok(applied)) => {
            json!({ "landed": applied.landed().len(), "kept": applied.kept().len(), "dropped": applied.dropped().len() })
        }
        Some(Err(error)) => json!({ "error": error }),
        None => json!(null),
    };
    let Some(exit) = exit else { return Outcome::failed("wait-failed", json!({ "files": files })) };
    let mut details = json!({
        "exit": exit.code(),
        "reason": format!("{:?}", exit.reason),
        "files": files,
    });
    if let (Value::Object(details), Value::Object(peak)) = (&mut details, peak(&exit.peak)) {
        details.extend(peak);
    }
    if let (Value::Object(details), false) = (&mut details, exit.set_aside.is_empty()) {
        details.insert("set_aside".to_owned(), planted(&exit.set_aside));
    }
    match exit.reason {
        _ if spilt => Outcome::stopped("output-limit", details),
        Reason::Exited(0) => Outcome::succeeded(details),
        Reason::FileSizeLimit => Outcome::stopped("file-size-limit", details),
        Reason::MemoryLimit => Outcome::stopped("memory-limit", details),
        Reason::ProcessLimit => Outcome::stopped("process-limit", details),
        Reason::DiskLimit => Outcome::stopped("disk-limit", details),
        Reason::WallClock => Outcome::stopped("wall-clock", details),
        _ => Outcome::failed("exit", details),
    }
}

/// What a box used at most, for the log and the summary.
pub(crate) fn peak(peak: &Peak) -> Value {
    json!({
        "peak_memory_bytes": peak.memory_bytes,
        "peak_pids": peak.pids,
        "refused_forks": peak.refused_forks,
        "cpu_ms": peak.cpu.map(|cpu| u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX)),
    })
}

/// What was planted in a directly used workspace, and where it is now.
pub(crate) fn planted(set_aside: &[SetAside]) -> Value {
    let one = |one: &SetAside| {
        let now = one.now.as_ref();
        json!({
            "path": one.name.to_string_lossy(), "now": now.ok().map(|now| now.to_string_lossy()),
            "error": now.err(),
        })
    };
    set_aside.iter().map(one).collect()
}

/// The signals that a supervisor heeds.
struct Signals {
    stop: Stop,
    resize: Signal,
}

enum Heard {
    Resize,
    Stop(i32),
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { stop: Stop::heed()?, resize: signal(SignalKind::window_change())? })
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            number = self.stop.told() => Heard::Stop(number),
            _ = self.resize.recv() => Heard::Resize,
        }
    }
}
