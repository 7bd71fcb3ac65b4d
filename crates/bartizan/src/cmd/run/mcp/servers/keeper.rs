//! How does one configured server live? It is started in a box of its own once the client has begun, and when it ends it
//! is started again, later each time.

use super::super::super::ground::Newcomer;
use super::super::super::{Run, facts, finish, not_started, program, words};
use super::super::fares::Word;
use super::super::streams::{Line, SENT};
use super::super::{showing, told};
use super::Hall;
use super::pins::Pins;
use crate::cli::{ClientChoice, RequiredTier, RunArgs};
use crate::config::{AT_ONCE_MAX, Config, McpServer, Reach};
use crate::doors::mcp::hub::Hub;
use crate::doors::mcp::{Parts, Talk};
use crate::doors::run::{Held, RunReport};
use crate::report::Failure;
use bartizan_gate::name::{ServerName, SessionId};
use bartizan_mcp::upstream::{Gone, Upstream};
use bartizan_mcp::wire::Message;
use bartizan_scan::display_line;
use bartizan_store::Fares;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

/// Keeps one server.
pub(super) struct Keeper {
    pub(super) hall: Rc<Hall>,
    pub(super) hub: Arc<Hub>,
    pub(super) name: ServerName,
    pub(super) said: McpServer,
    word: Word,
}

/// Tells when it is over for all servers.
pub(super) type Over = watch::Receiver<bool>;

/// How a life of a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// By itself, or for something that went wrong.
    Alone,
    /// Nobody needed it.
    Idle,
    /// Its box was told to end.
    Interrupted,
}

/// One life of a server, about to begin.
struct Life {
    run: Run,
    typed: RunArgs,
    program: PathBuf,
    argv: Vec<String>,
}

impl Keeper {
    pub(super) fn new(
        (hall, hub): (&Rc<Hall>, &Arc<Hub>),
        name: ServerName,
        said: McpServer,
    ) -> Self {
        let word = Word::new(&hall.ground.store, &hall.session, &name);
        Self { hall: Rc::clone(hall), hub: Arc::clone(hub), name, said, word }
    }

    /// Keeps the server until it is over for all of them.
    pub(super) async fn keep(self, end: watch::Sender<bool>, over: Over) {
        self.kept(end, over).await;
        self.word.no_more().await;
    }

    async fn kept(&self, end: watch::Sender<bool>, mut over: Over) {
        let hello = tokio::select! {
            hello = self.hub.hello() => hello,
            _ = over.wait_for(|over| *over) => None,
        };
        let Some(hello) = hello else { return };
        let mut short_lives = 0u32;
        loop {
            let begun = Instant::now();
            self.word.says(Fares::Starting).await;
            let (why, how) = self.live(&hello, &mut over).await;
            if how == How::Interrupted {
                end.send_replace(true);
            }
            if *over.borrow() {
                return;
            }
            if how == How::Idle {
                self.word.says(Fares::Resting).await;
                tokio::select! {
                    () = self.hub.wanted(self.name.as_str()) => {}
                    _ = over.wait_for(|over| *over) => return,
                }
                short_lives = 0;
                continue;
            }
            short_lives = if begun.elapsed() >= STEADY { 0 } else { short_lives.saturating_add(1) };
            let pause = (PAUSE * 2u32.pow(short_lives.min(7))).min(PAUSE_MAX);
            let why = display_line(&why, WHY);
            self.hub.leave(self.name.as_str(), &why);
            self.take_down(&why);
            let scrubbed = self.hall.session.redactor.redact(&why).text;
            self.word.says(Fares::Down { why: scrubbed, again_in: pause }).await;
            self.hall.session.gate.say(&format!(
                "bartizan: server `{}` is not there: {why}; it is started again in {} s",
                self.name,
                pause.as_secs()
            ));
            tokio::select! {
                () = sleep(pause) => {}
                _ = over.wait_for(|over| *over) => return,
            }
        }
    }

    /// For who looks at the server later: what its client was told, without what it may have said of secrets.
    fn take_down(&self, why: &str) {
        let why = self.hall.session.redactor.redact(why).text;
        if let Err(error) = self.hall.ground.store.outage(self.name.as_str(), &why) {
            self.hall.session.gate.say(&format!("bartizan: the log does not say so: {error}"));
        }
    }

    /// One life of the server: why and how it ended.
    async fn live(&self, hello: &Message, over: &mut Over) -> (String, How) {
        if let Reach::Url(at) = &self.said.reach {
            return (self.live_away(at, hello, over).await, How::Alone);
        }
        let begun = Instant::now();
        let Life { mut run, typed, program, argv } = match self.prepare() {
            Ok(life) => life,
            Err(failure) => return (told(failure), How::Alone),
        };
        let (held, started) = oneshot::channel();
        let (to_server, sent) = mpsc::channel(SENT);
        let talk = match self.talk(to_server, &run.caller.seat().session) {
            Ok(talk) => talk,
            Err(failure) => return (told(failure), How::Alone),
        };
        let (done, box_ended) = oneshot::channel::<()>();
        let boxed = async {
            let report = run.serve(&typed, &program, &argv, held).await;
            drop(done);
            report
        };
        let led = self.lead(&talk, sent, (started, box_ended), (hello, over));
        let (report, (why, how)) = tokio::join!(boxed, led);
        let noted = finish(&run.gate, &run.caller, &report, begun);
        run.clean();
        let interrupted = report.as_ref().is_ok_and(|report| report.interrupted.is_some());
        let how = if interrupted { How::Interrupted } else { how };
        let why = why.unwrap_or_else(|| ended(report));
        match noted {
            Ok(()) => (why, how),
            // It is not put to rest without a word when the log does not say how it ended.
            Err(failure) if how == How::Idle => (told(failure), How::Alone),
            Err(failure) => (told(failure), how),
        }
    }

    /// Leads the server's side of the conversation; says why it ended, unless the box itself tells, and how.
    async fn lead(
        &self,
        talk: &Arc<Talk>,
        sent: mpsc::Receiver<Message>,
        (started, box_ended): (oneshot::Receiver<Held>, oneshot::Receiver<()>),
        (hello, over): (&Message, &mut Over),
    ) -> (Option<String>, How) {
        let Ok(held) = started.await else { return (None, How::Alone) };
        let (redactor, name) = (self.hall.session.redactor.clone(), self.name.to_string());
        let mut line = Line::lay(talk, sent, (redactor, name), held);
        let why = tokio::select! {
            // Of one that ended by itself, its box tells how.
            gone = line.gone() => (gone != Gone::Ended).then(|| gone.to_string()),
            // So it does of one that ended before it began.
            flaw = self.attend(talk, hello) => {
                (talk.upstream().gone() != Some(Gone::Ended)).then_some(flaw)
            }
            _ = over.wait_for(|over| *over) => None,
            () = self.idle() => {
                line.take_up(box_ended).await;
                return (Some("nobody needed it".to_owned()), How::Idle);
            }
        };
        self.hub.leave(self.name.as_str(), why.as_deref().unwrap_or("it has ended"));
        line.take_up(box_ended).await;
        (why, How::Alone)
    }

    /// Resolves when nobody has needed the server for as long as it is kept for that.
    async fn idle(&self) {
        let Some(after) = self.said.idle_after else { return std::future::pending().await };
        while let Err(left) = self.hub.rest(self.name.as_str(), after) {
            sleep(left.max(Duration::from_millis(100))).await;
        }
    }

    /// Begins with the server, and makes it one of the hub's. Comes back only when that fails.
    pub(super) async fn attend(&self, talk: &Arc<Talk>, hello: &Message) -> String {
        match timeout(BEGIN, talk.greet(hello)).await {
            Ok(Ok(())) => {
                // It is said where the log is written next that it cannot be.
                drop(self.hall.ground.store.no_outage(self.name.as_str()));
                let known = self.hall.ground.store.pinned(self.name.as_str());
                self.hub.join(self.name.as_str(), talk);
                self.word.says(Fares::Up).await;
                if known.is_ok_and(|known| known.is_empty()) {
                    talk.look_around().await;
                }
            }
            Ok(Err(why)) => return why,
            Err(_) => return "it did not answer `initialize` in time".to_owned(),
        }
        std::future::pending().await
    }

    fn prepare(&self) -> Result<Life, Failure> {
        let hall = &self.hall;
        let ground = hall.ground.under(self.own_config(), self.said.role.clone())?;
        let Reach::Command(command) = &self.said.reach else {
            return Err(not_started("it is not started here"));
        };
        let typed = typed(command, hall.tier);
        let (program, argv) = (program(&ground.around, &typed)?, words(&typed)?);
        let mut about = facts(None, &typed);
        about.extend(self.hall.about(&self.name));
        let session = ground.join(Newcomer::plain(&program, &argv, about), &hall.session)?;
        let run = ground.run(session, None)?;
        Ok(Life { run, typed, program, argv })
    }

    /// The configuration as its box needs it.
    fn own_config(&self) -> Config {
        let mut config = self.hall.ground.config.clone();
        // The box holds what stands for its own secrets, and for no others.
        for (name, secret) in &mut config.secrets {
            let own = self.said.secrets.iter().filter(|(_, held)| *held == name);
            secret.placeholder = own.map(|(variable, _)| variable.clone()).collect();
        }
        if let Some(role) = config.roles.get_mut(&self.said.role) {
            role.enclosure.env.extend(self.said.env.iter().cloned());
        }
        config
    }

    pub(super) fn talk(
        &self,
        to_server: mpsc::Sender<Message>,
        session: &SessionId,
    ) -> Result<Arc<Talk>, Failure> {
        let hall = &self.hall;
        let (frames, sanitiser) = showing(&hall.ground.config, &hall.ground.role)?;
        let first = hall.ground.store.pinned(self.name.as_str())?.is_empty();
        let pins = Pins::of(self, first);
        Ok(Talk::new(Parts {
            server: self.name.to_string(),
            upstream: Upstream::new(to_server),
            caller: hall.client(),
            gate: Arc::clone(&hall.session.gate),
            make: pins.clone().maker(self, session),
            look: Some(pins.look()),
            desk: Arc::new(hall.ground.store.clone()),
            redactor: hall.session.redactor.clone(),
            frames,
            sanitiser,
            framing: self.said.framing && hall.framing,
            asks: self.said.asks,
            hold: hall.wait,
            patience: self.said.timeout.unwrap_or(super::super::PATIENCE),
            page: self.said.page.unwrap_or(AT_ONCE_MAX),
            rests: self.hub.rests(self.name.as_str()),
        }))
    }
}

/// What `bartizan run` would have been told.
fn typed(command: &[String], tier: Option<RequiredTier>) -> RunArgs {
    RunArgs {
        agent: None,
        client: ClientChoice::None,
        direct: false,
        read_only: false,
        review: false,
        require_tier: tier,
        require_anchor: None,
        json: false,
        no_summary: true,
        no_tty_approvals: true,
        no_keep: true,
        only: Vec::new(),
        defer_after: None,
        command: command.iter().map(Into::into).collect(),
    }
}

fn ended(report: Result<RunReport, Failure>) -> String {
    match report.map(|report| report.end) {
        Ok(Ok(exit)) => format!("it ended with code {}", exit.code()),
        Ok(Err(why)) => why.0,
        Err(failure) => told(failure),
    }
}

/// How long a server may take to answer `initialize`.
const BEGIN: Duration = Duration::from_mins(1);
/// So many characters of why a server is not there are told.
const WHY: usize = 600;
/// A life of this length is no failure to start.
const STEADY: Duration = Duration::from_mins(1);
/// Half of the first pause before a server is started again; each short life doubles it.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_mins(1);
