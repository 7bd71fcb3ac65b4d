//! `bartizan mcp`: how does one MCP server get its box, and its client the gate?

mod fares;
mod lives;
pub(super) mod servers;
mod standard;
mod streams;
mod url;

use super::ground::{self, Ground, Newcomer, Session, gate_beside};
use super::reload::Standing;
use super::{Run, configured, facts, finish, not_started, program, secret, state_failure, words};
use crate::cli::{ClientChoice, Global, McpArgs, RunArgs, exit};
use crate::cmd::servers as known_servers;
use crate::config::{self, AT_ONCE_MAX, Asks, Config};
use crate::desk::herald::Heralds;
use crate::doors::mcp::tools::{Generation, Maker, Operator, marks, shaped, take_in, unspoken};
use crate::doors::mcp::{Parts, Talk};
use crate::doors::run::{BoxRun, Held, RunReport, Streams};
use crate::machine::{random, runtime_of};
use crate::report::{self, Failure, Problem, Voice};
use bartizan_gate::call::{Door, Proposed, Released};
use bartizan_gate::name::{RoleName, ServerName, SessionId, ToolName};
use bartizan_mcp::upstream::Upstream;
use bartizan_mcp::wire::{Message, WireError};
use bartizan_sandbox::{Stdio, Stream, WindowSize};
use bartizan_scan::{Frames, Redactor, Sanitiser, ScanKey, display_line};
use bartizan_store::Store;
use fares::Word;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use streams::{Line, SENT};
use tokio::sync::{mpsc, oneshot};

/// Serves one client on our standard input and output until either side ends.
pub(crate) fn run(global: &Global, args: &McpArgs, voice: &mut Voice) -> Result<u8, Failure> {
    if let Some(at) = &args.url {
        return url::run(global, args, at, voice);
    }
    if args.command.is_empty() {
        return servers::run(global, args, voice);
    }
    one(global, args, voice)
}

/// Serves one server, which runs in a box.
fn one(global: &Global, args: &McpArgs, voice: &mut Voice) -> Result<u8, Failure> {
    let begun = Instant::now();
    let server = name_of(args)?;
    let after = idle_after(&args.idle_after)?;
    let typed = as_run(args);
    let Stand { runtime, store, program, argv, redactor, mut run, ground, session, heralds } =
        stand(global, args, &typed, &server, voice)?;
    let standing = run.standing();
    let (to_server, sent) = mpsc::channel(SENT);
    let talk = talk(&run, &standing, (&server, args), (&store, &redactor), to_server)?;
    let what = Started { typed: &typed, program: &program, argv: &argv };
    let word = Word::new(&store, &session, &server);
    let report = runtime.block_on(async {
        let _reloading = standing.heed()?;
        let whose = (redactor, server.to_string());
        let report = match after {
            None => {
                let life = once(&mut run, what, (&talk, sent), whose);
                Box::pin(word.follows(&talk, life)).await
            }
            Some(after) => {
                let (ground, session, server, word) = (&ground, &session, &server, &word);
                let beside = lives::Beside { ground, session, server, word };
                Box::pin(lives::rest((&mut run, beside), what, (&talk, sent, after), whose)).await
            }
        };
        word.no_more().await;
        report
    });
    let ended = finish(&run.gate, &run.caller, &report, begun);
    run.clean();
    runtime.block_on(heralds.finish(super::LAST_WORD));
    runtime.block_on(secret::take_back(&run.vault, voice))?;
    ground::close(runtime, &store);
    ended?;
    let report = report?;
    tell(&report);
    match report.end {
        Ok(exit) => Ok(exit.code().clamp(0, 255).try_into().unwrap_or(exit::STATE)),
        Err(why) => Err(not_started(&why.0)),
    }
}

/// What a server is started as.
#[derive(Clone, Copy)]
struct Started<'a> {
    typed: &'a RunArgs,
    program: &'a Path,
    argv: &'a [String],
}

/// Carries the conversation with a server that lives as long as it.
async fn once(
    run: &mut Run,
    what: Started<'_>,
    (talk, sent): (&Arc<Talk>, mpsc::Receiver<Message>),
    whose: (Redactor, String),
) -> Result<RunReport, Failure> {
    let (held, box_started) = oneshot::channel();
    let served = async |box_ended: oneshot::Receiver<()>| {
        // The other half tells why there is no box.
        let Ok(held) = box_started.await else { return };
        let mut line = Line::lay(talk, sent, whose, held);
        let own = Arc::clone(talk);
        let unreadable = move |error: &WireError| own.unreadable(error);
        let over = async { drop(line.gone().await) };
        streams::client(talk, unreadable, over).await;
        line.take_up(box_ended).await;
    };
    let (over, box_ended) = oneshot::channel::<()>();
    let boxed = async {
        let report = run.serve(what.typed, what.program, what.argv, held).await;
        drop(over);
        report
    };
    tokio::join!(boxed, served(box_ended)).0
}

/// The conversation with a server of which flags say what the configuration says of others. Nothing of it is pinned.
fn talk(
    run: &Run,
    standing: &Standing,
    (server, args): (&ServerName, &McpArgs),
    (store, redactor): (&Store, &Redactor),
    to_server: mpsc::Sender<Message>,
) -> Result<Arc<Talk>, Failure> {
    let whose = (server.clone(), run.role.clone(), run.caller.seat().session.clone());
    let (frames, sanitiser) = showing(&run.config, &run.role)?;
    // The server's box stays what it is; the client alone is narrowed.
    let only = only(&args.only, Some(&args.name))?;
    let caller = only.map_or_else(|| run.caller.clone(), |only| run.caller.narrowed(only));
    Ok(Talk::new(Parts {
        server: server.to_string(),
        upstream: Upstream::new(to_server),
        caller,
        gate: Arc::clone(&run.gate),
        make: maker(standing, (store, redactor), whose, args),
        look: None,
        desk: Arc::new(store.clone()),
        redactor: redactor.clone(),
        frames,
        sanitiser,
        framing: !args.no_framing,
        asks: Asks { elicitation: true, roots: args.roots, sampling: args.sampling },
        hold: Duration::from_secs(args.wait),
        patience: PATIENCE,
        page: AT_ONCE_MAX,
        rests: Arc::default(),
    }))
}

/// How long nobody may need the server, as typed.
pub(crate) fn idle_after(text: &str) -> Result<Option<Duration>, Failure> {
    config::idle_after(text).map_err(|(what, hint)| {
        let problem = Problem::new(format!("--idle-after: {what}"));
        Failure::new(exit::USAGE, hint.into_iter().fold(problem, Problem::hint))
    })
}

/// The tools that the client is narrowed to for this run, as typed: of one server by its own names, of several by those of
/// policies.
pub(crate) fn only(
    names: &[String],
    server: Option<&str>,
) -> Result<Option<BTreeSet<ToolName>>, Failure> {
    if names.is_empty() {
        return Ok(None);
    }
    let whole = |name: &String| match server {
        Some(server) if !name.starts_with("mcp__") && !name.starts_with("mcp.") => {
            format!("mcp__{server}__{name}")
        }
        _ => name.clone(),
    };
    let parsed = names.iter().map(|name| ToolName::parse(&whole(name)));
    parsed.collect::<Result<_, _>>().map(Some).map_err(|error| {
        let hint = "such as --only read_file, or, where no command names the server, --only mcp__files__read_file";
        Failure::new(exit::USAGE, Problem::new(format!("--only: {error}")).hint(hint))
    })
}

fn name_of(args: &McpArgs) -> Result<ServerName, Failure> {
    ServerName::parse(&args.name).map_err(|error| {
        let hint = "letters, digits, `-`, `_` and `.` make a name";
        Failure::new(exit::USAGE, Problem::new(error.to_string()).hint(hint))
    })
}

/// What stands before the server does.
struct Stand {
    runtime: tokio::runtime::Runtime,
    store: Store,
    program: PathBuf,
    argv: Vec<String>,
    redactor: Redactor,
    run: Run,
    /// For servers that are started later.
    ground: Ground,
    session: Session,
    heralds: Heralds,
}

/// Gives the session its seat.
fn stand(
    global: &Global,
    args: &McpArgs,
    typed: &RunArgs,
    server: &ServerName,
    voice: &mut Voice,
) -> Result<Stand, Failure> {
    let (places, around, config) = configured(global, voice)?;
    let role = config.role(args.agent.as_deref())?;
    let program = program(&around, typed)?;
    let argv = words(typed)?;
    let runtime = runtime_of(ONE)?;
    let ground = Ground::lay((places, around, config), role, &runtime, voice)?;
    let heralds = ground.heralds(&runtime)?;
    let mut about = facts(None, typed);
    about.insert("server".to_owned(), json!(server));
    about.insert("allowed_by_flag".to_owned(), json!(args.allow));
    about.insert("read_by_flag".to_owned(), json!(args.read));
    about.insert("framing".to_owned(), json!(!args.no_framing));
    if let Some(only) = only(&args.only, Some(&args.name))? {
        about.insert("only".to_owned(), json!(only));
    }
    let session =
        ground.open(Newcomer::plain(&program, &argv, about), (Vec::new(), true), voice)?;
    let (store, redactor) = (ground.store.clone(), session.redactor.clone());
    let run = ground.clone().run(session.clone(), None)?;
    Ok(Stand { runtime, store, program, argv, redactor, run, ground, session, heralds })
}

/// What is left for the person to know, since nobody reads our output but the client.
fn tell(report: &RunReport) {
    match &report.changes {
        Some(Err(error)) => {
            report::aloud(&format!("bartizan: the server's changes were not landed: {error}"));
        }
        Some(Ok(applied)) if !applied.kept().is_empty() => report::aloud(&format!(
            "bartizan: {} of the server's changes are held back\n  hint: bartizan changes list",
            applied.kept().len()
        )),
        _ => {}
    }
}

fn as_run(args: &McpArgs) -> RunArgs {
    RunArgs {
        agent: args.agent.clone(),
        client: ClientChoice::None,
        direct: args.direct,
        read_only: args.read_only,
        review: false,
        require_tier: args.require_tier,
        require_anchor: None,
        json: false,
        no_summary: true,
        no_tty_approvals: true,
        no_keep: true,
        only: Vec::new(),
        defer_after: None,
        command: args.command.clone(),
    }
}

/// How one conversation shows what comes from outside: markers of its own, and what becomes of what hides.
fn showing(config: &Config, role: &RoleName) -> Result<(Frames, Sanitiser), Failure> {
    let shown = config.way_out_of(role);
    Ok((Frames::new(ScanKey::new(random()?), shown.form()), shown.sanitiser()))
}

/// Makes the gate for the server's tools, each time that its list has changed.
fn maker(
    standing: &Standing,
    (store, redactor): (&Store, &Redactor),
    (server, role, session): (ServerName, RoleName, SessionId),
    args: &McpArgs,
) -> Maker {
    let operator = Operator {
        allow: args.allow.iter().cloned().collect(),
        read: args.read.iter().cloned().collect(),
    };
    let (standing, store, redactor) = (standing.clone(), store.clone(), redactor.clone());
    let server = server.to_string();
    let (unfit, first) = (standing.unfit(&server), standing.clone());
    let made = move |config: &Config, number: u64, pages: &[Message]| {
        let known = known_servers::catalogue(config, Some(&store));
        let (mut catalogue, problems) = known.map_err(told)?;
        first.tell(problems);
        let taken = take_in(&mut catalogue, &server, &role, pages, &operator)?;
        for (tool, why) in &taken.held {
            let tool = display_line(tool, 80);
            report::aloud(&format!("bartizan: tool `{tool}` of `{server}` is held back: {why}"));
        }
        let mut config = config.clone();
        config.rules.extend(unspoken(&taken.rules, &config.rules));
        let policy = config.policy(&catalogue).map_err(|failure| unfit.tell(failure))?;
        let run = SessionId::parse(&format!("{session}.t{number}"));
        let run = run.map_err(|error| error.to_string())?;
        let judged = (catalogue, policy, &config);
        let gate = gate_beside(first.gate(), &store, judged, redactor.clone(), &run);
        let (held, described) = Default::default();
        let (gate, tools) = (Arc::new(gate), taken.tools);
        let (marks, shaped) = (marks(pages), shaped(pages));
        Ok((Generation { gate, tools, held, described, marks, shaped }, taken.rules))
    };
    Arc::new(move |number, pages| standing.make(|config| made(config, number, pages)))
}

fn told(failure: Failure) -> String {
    let problems = failure.problems.into_iter().map(|problem| problem.into_parts().0);
    problems.collect::<Vec<_>>().join("; ")
}

impl Run {
    /// Runs the server in its box, its streams handed to the door.
    async fn serve(
        &mut self,
        typed: &RunArgs,
        program: &Path,
        argv: &[String],
        held: oneshot::Sender<Held>,
    ) -> Result<RunReport, Failure> {
        let arguments = json!({
            "program": program.to_string_lossy(),
            "argv": argv,
            "cwd": self.around.workspace.to_string_lossy(),
        });
        let proposed = Proposed::new(&self.caller, Door::Mcp, "process.start", arguments);
        let mut effector: BoxRun = self.effector(typed, program, None)?;
        effector.streams = Streams::Door(held);
        let (stdin, stdout, stderr) = (Stream::Piped, Stream::Piped, Stream::Piped);
        effector.spec.stdio =
            Stdio { stdin, stdout, stderr, size: WindowSize { rows: 24, cols: 80 } };
        let authorized = self.gate.decide(proposed).map_err(|refused| {
            let problem =
                Problem::new(format!("{refused} [{}]", refused.code())).hint(refused.hint());
            Failure::new(exit::REFUSED, problem)
        })?;
        let executed = self.gate.pipeline().perform(authorized, effector).await;
        let released = self.gate.pipeline().release(executed);
        released.map(Released::into_output).map_err(|refused| state_failure(&refused.hint()))
    }
}

/// Threads on which messages pass. With one, none has to wake another for a message to go on; what takes long (a commit
/// of the log that is waited for, a large result) leaves it.
const ONE: usize = 1;
/// How long a server may take for one answer.
const PATIENCE: Duration = Duration::from_mins(10);
