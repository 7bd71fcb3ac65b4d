//! `bartizan mcp`: how does one MCP server get its box, and its client the gate?

use super::{
    Run, configured, facts, finish, gate, narrowed, not_started, placeholders, program, random,
    runtime, seat, secret, session_folder, session_id, state_failure, tidy, words,
};
use crate::app::Gate;
use crate::cli::{ClientChoice, Global, McpArgs, RunArgs, exit};
use crate::cmd::run::model;
use crate::cmd::run::seat::Sitter;
use crate::doors::mcp::tools::{Generation, Maker, Operator, take_in};
use crate::doors::mcp::{Parts, Talk};
use crate::doors::run::{BoxRun, Held, RunReport, Streams};
use crate::report::{self, Failure, Problem, Voice};
use bartizan_gate::call::{Door, Proposed, Released};
use bartizan_gate::name::{ServerName, SessionId};
use bartizan_gate::tool::Catalogue;
use bartizan_mcp::conversation::Conversation as _;
use bartizan_mcp::stdio::{self, Flawed};
use bartizan_mcp::upstream::Upstream;
use bartizan_mcp::wire::{Limits, Message};
use bartizan_sandbox::{Stdio, Stream, WindowSize};
use bartizan_scan::{Redactor, ScanKey, display_line};
use bartizan_store::Store;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Serves one client on our standard input and output until either side ends.
pub(crate) fn run(global: &Global, args: &McpArgs, voice: &mut Voice) -> Result<u8, Failure> {
    let begun = Instant::now();
    let server = ServerName::parse(&args.name).map_err(|error| {
        let hint = "letters, digits, `-`, `_` and `.` make a name";
        Failure::new(exit::USAGE, Problem::new(error.to_string()).hint(hint))
    })?;
    let typed = as_run(args);
    let Stand { runtime, store, program, argv, redactor, mut run } =
        stand(global, args, &typed, &server, voice)?;
    let make = maker(&run, &store, &redactor, &server, args);
    let (held, box_started) = oneshot::channel();
    let (to_server, sent) = mpsc::channel(SENT);
    let talk = Talk::new(Parts {
        server: server.to_string(),
        upstream: Upstream::new(to_server),
        caller: run.caller.clone(),
        gate: Arc::clone(&run.gate),
        make,
        desk: Arc::new(store.clone()),
        redactor: redactor.clone(),
        key: ScanKey::new(random()?),
        framing: !args.no_framing,
        sampling: args.sampling,
        hold: Duration::from_secs(args.wait),
        patience: PATIENCE,
    });
    let front = Front { talk, sent, redactor, server: server.to_string() };
    let report = runtime.block_on(async {
        let (over, box_ended) = oneshot::channel::<()>();
        let boxed = async {
            let report = run.serve(&typed, &program, &argv, held).await;
            drop(over);
            report
        };
        tokio::join!(boxed, front.serve(box_started, box_ended)).0
    });
    let ended = finish(&run.gate, &run.caller, &report, begun);
    run.clean();
    runtime.block_on(secret::take_back(&run.vault, voice))?;
    drop(store);
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended?;
    let report = report?;
    tell(&report);
    match report.end {
        Ok(exit) => Ok(exit.code().clamp(0, 255).try_into().unwrap_or(exit::STATE)),
        Err(why) => Err(not_started(&why.0)),
    }
}

/// What stands before the server does.
struct Stand {
    runtime: tokio::runtime::Runtime,
    store: Store,
    program: PathBuf,
    argv: Vec<String>,
    redactor: Redactor,
    run: Run,
}

/// Gives the session its seat.
fn stand(
    global: &Global,
    args: &McpArgs,
    typed: &RunArgs,
    server: &ServerName,
    voice: &mut Voice,
) -> Result<Stand, Failure> {
    let (places, around, mut config) = configured(global, voice)?;
    let role = config.role(args.agent.as_deref())?;
    let program = program(&around, typed)?;
    let argv = words(typed)?;
    let around = narrowed(around, &mut config, &role)?;
    let runtime = runtime()?;
    let store = Store::open(&places.state).map_err(|error| state_failure(&error.to_string()))?;
    tidy(&store, &places, voice)?;
    let vault = secret::vault(&config, &places, Some(&around.workspace), &store);
    runtime.block_on(secret::recover(&vault, voice))?;
    let session = session_id()?;
    let keep = session_folder(&places, &session)?;
    let catalogue = Catalogue::builtin().map_err(|error| not_started(&error.to_string()))?;
    let policy = config.policy(&catalogue)?;
    let (redactor, conversation) = model::conversation(&config, &around, &places, None)?;
    let gate = Arc::new(gate(&store, catalogue, policy, redactor.clone(), &session, true));
    let seat = seat::take(&Sitter {
        config: &config,
        role: &role,
        around: &around,
        session: &session,
        program: &program,
        boxes_commands: false,
        model: None,
    })?;
    let mut about = facts(&config, &gate, None, typed);
    about.insert("server".to_owned(), json!(server));
    about.insert("allowed_by_flag".to_owned(), json!(args.allow));
    about.insert("read_by_flag".to_owned(), json!(args.read));
    about.insert("framing".to_owned(), json!(!args.no_framing));
    let admitted = gate.pipeline().admit(seat, &argv, about);
    let caller = admitted.map_err(|refused| state_failure(&refused.hint()))?;
    let placeholders = Arc::new(placeholders(&config)?);
    let client = None;
    let run = Run {
        gate,
        caller,
        around,
        config,
        role,
        client,
        keep,
        places,
        conversation,
        placeholders,
        vault,
    };
    Ok(Stand { runtime, store, program, argv, redactor, run })
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
        json: false,
        no_summary: true,
        command: args.command.clone(),
    }
}

/// Makes the gate for the server's tools, each time that its list has changed.
fn maker(
    run: &Run,
    store: &Store,
    redactor: &Redactor,
    server: &ServerName,
    args: &McpArgs,
) -> Maker {
    let operator = Operator {
        allow: args.allow.iter().cloned().collect(),
        read: args.read.iter().cloned().collect(),
    };
    let (config, store, redactor) = (run.config.clone(), store.clone(), redactor.clone());
    let (role, server) = (run.role.clone(), server.to_string());
    let session = run.caller.seat().session.clone();
    Arc::new(move |number, pages| {
        let mut catalogue = Catalogue::builtin().map_err(|error| error.to_string())?;
        let taken = take_in(&mut catalogue, &server, &role, pages, &operator, &config.rules)?;
        for (tool, why) in &taken.held {
            let tool = display_line(tool, 80);
            report::aloud(&format!("bartizan: tool `{tool}` of `{server}` is held back: {why}"));
        }
        let mut config = config.clone();
        config.rules.extend(taken.rules);
        let policy = config.policy(&catalogue).map_err(|failure| {
            let problems = failure.problems.into_iter().map(|problem| problem.into_parts().0);
            problems.collect::<Vec<_>>().join("; ")
        })?;
        let run = SessionId::parse(&format!("{session}.t{number}"));
        let run = run.map_err(|error| error.to_string())?;
        let gate: Gate = gate(&store, catalogue, policy, redactor.clone(), &run, true);
        Ok(Generation { gate: Arc::new(gate), tools: taken.tools })
    })
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

/// The client's side, on our own standard streams.
struct Front {
    talk: Arc<Talk>,
    sent: mpsc::Receiver<Message>,
    redactor: Redactor,
    server: String,
}

impl Front {
    async fn serve(self, box_started: oneshot::Receiver<Held>, box_ended: oneshot::Receiver<()>) {
        // The other half tells why there is no box.
        let Ok(Held { stdio: ends, killer }) = box_started.await else { return };
        let (lines, from_server) = mpsc::channel(SENT);
        let (hear, heard) = mpsc::channel(HEARD);
        let stdin = ends.stdin.and_then(|end| pipe::Sender::from_owned_fd(end).ok());
        let stdout = ends.stdout.and_then(|end| pipe::Receiver::from_owned_fd(end).ok());
        let mut streams = JoinSet::new();
        // Without its streams the server is one that has ended.
        if let (Some(stdin), Some(stdout)) = (stdin, stdout) {
            streams.spawn(stdio::write(stdin, self.sent));
            streams.spawn(stdio::read(stdout, Limits::default(), lines));
        }
        if let Some(stderr) = ends.stderr {
            let (redactor, server) = (self.redactor, self.server);
            std::thread::spawn(move || mutter(stderr, &redactor, &server));
        }
        let upstream = self.talk.upstream();
        let mut server = tokio::spawn(upstream.attend(from_server, hear));
        let news = tokio::spawn(Arc::clone(&self.talk).attend(heard));
        let (to, from) = mpsc::channel(SENT);
        let writer = tokio::spawn(stdio::write(tokio::io::stdout(), from));
        self.talk.listen(to.clone());
        let (lines, mut said) = mpsc::channel(SENT);
        let reader = tokio::spawn(stdio::read(tokio::io::stdin(), Limits::default(), lines));
        let mut tasks = JoinSet::new();
        loop {
            let line = tokio::select! {
                line = said.recv() => line,
                _ = &mut server => break,
            };
            match line {
                None => break,
                Some(Ok(message)) => {
                    tasks.spawn(Arc::clone(&self.talk).take(message, to.clone()));
                    while tasks.try_join_next().is_some() {}
                }
                Some(Err(Flawed::Unread(error) | Flawed::Endless(error))) => {
                    self.talk.unreadable(&error);
                    drop(to.send(Message::refusing(&error)).await);
                }
            }
        }
        // What was asked before the client closed its end is answered, if that is soon.
        drop(
            tokio::time::timeout(LAST_ANSWERS, async {
                while tasks.join_next().await.is_some() {}
            })
            .await,
        );
        tasks.abort_all();
        self.talk.close();
        reader.abort();
        news.abort();
        drop(to);
        drop(tokio::time::timeout(LAST_ANSWERS, writer).await);
        // It reads the end of its input and ends by itself; or it is ended.
        drop(streams);
        drop(tokio::time::timeout(LAST_WORDS, box_ended).await);
        // It is gone already when this fails.
        drop(killer.kill());
    }
}

/// What the server says on its standard error, for the person: scrubbed, a line at a time, and not for ever.
fn mutter(stderr: OwnedFd, redactor: &Redactor, server: &str) {
    let mut from = BufReader::new(File::from(stderr));
    let mut left = STDERR_MAX;
    loop {
        let mut line = Vec::new();
        let read = (&mut from).take(STDERR_LINE).read_until(b'\n', &mut line);
        match read {
            Ok(0) | Err(_) => return,
            Ok(_) if left == 0 => {}
            Ok(count) => {
                left = left.saturating_sub(count);
                let text = redactor.redact(&String::from_utf8_lossy(&line)).text;
                report::aloud(&format!("[{server}] {}", display_line(text.trim_end(), 4096)));
                if left == 0 {
                    report::aloud(&format!("[{server}] it says more than is shown"));
                }
            }
        }
    }
}

/// Messages that wait to be sent.
const SENT: usize = 256;
/// What a server tells of its own accord and nobody has looked at yet.
const HEARD: usize = 64;
/// How long a server may take for one answer.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long the last answers may take once the client has closed its end.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// How long a server may take to end by itself.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Bytes of one line of a server's standard error.
const STDERR_LINE: u64 = 16 * 1024;
/// Bytes of a server's standard error that are shown.
const STDERR_MAX: usize = 1024 * 1024;
