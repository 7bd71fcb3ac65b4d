//! `bartizan mcp --url`: how is one server that is somewhere else put behind the gate, with no configuration? What the flags
//! say becomes a page of configuration, read as strictly as a file.

use super::fares::Word;
use super::servers::{self, Hall};
use super::streams::{self, HEARD, SENT};
use super::{ONE, PATIENCE, maker, name_of, showing};
use crate::cli::{Global, McpArgs, exit};
use crate::cmd::run::ground::{self, Session};
use crate::cmd::run::state_failure;
use crate::cmd::servers as known_servers;
use crate::config::{AT_ONCE_MAX, Asks, Reach, Source, Upstream};
use crate::doors::mcp::{Parts, Talk};
use crate::machine::runtime_of;
use crate::report::{Failure, Problem, Voice};
use crate::stop::Stop;
use bartizan_gate::name::ServerName;
use bartizan_mcp::stdio::Line;
use bartizan_mcp::upstream::{self, Gone};
use bartizan_mcp::wire::WireError;
use bartizan_scan::json::quoted;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Serves one client on our own standard streams until either side ends.
pub(super) fn run(
    global: &Global,
    args: &McpArgs,
    url: &str,
    voice: &mut Voice,
) -> Result<u8, Failure> {
    let name = name_of(args)?;
    let given = page(&name, url, args.bearer.as_deref())?;
    let runtime = runtime_of(ONE)?;
    let (hall, _heralds) = servers::hall(global, args, Some(&given), (&runtime, voice))?;
    let served = speak(&hall, &name, args, &runtime);
    let ended = hall.close(&runtime, voice);
    let store = hall.ground.store.clone();
    drop(hall);
    ground::close(runtime, &store);
    ended?;
    served.map(|()| exit::DONE)
}

/// The server as `[servers.NAME]` would say it. Whoever types an address of this machine means it.
fn page(name: &ServerName, url: &str, bearer: Option<&str>) -> Result<Source, Failure> {
    let usage = |what: String, hint: Option<String>| {
        let problem = Problem::new(what);
        let problem = match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        };
        Failure::new(exit::USAGE, problem)
    };
    let at = Upstream::parse(url).map_err(|(what, hint)| usage(what, hint))?;
    let target = quoted(&at.target().to_string());
    let (name, url) = (quoted(name.as_str()), quoted(url));
    let mut said = vec![format!("[servers.{name}]\nurl = {url}\n")];
    if at.is_loopback() {
        said.push(format!("[hosts.{target}]\nprivate = true\n"));
    }
    if let Some(bearer) = bearer {
        if !at.is_secure() {
            let hint = "reach it over https, or let it go without";
            return Err(usage("a token goes over TLS alone".to_owned(), Some(hint.to_owned())));
        }
        let (bearer, path) = (quoted(bearer), quoted(at.path()));
        said.push(format!(
            "[secrets.mcp-bearer]\nfrom = {bearer}\n\
             [[inject]]\nsecret = \"mcp-bearer\"\nhost = {target}\nas = \"bearer\"\npath = {path}\n"
        ));
    }
    Ok(Source { path: "(--url)".into(), text: said.concat() })
}

fn speak(
    hall: &Hall,
    name: &ServerName,
    args: &McpArgs,
    runtime: &tokio::runtime::Runtime,
) -> Result<(), Failure> {
    let Some(said) = hall.ground.config.servers.get(name) else { return Ok(()) };
    let Reach::Url(at) = &said.reach else { return Ok(()) };
    if known_servers::known(&hall.ground.store, name.as_str())?.accepted_tools().next().is_some() {
        let problem = Problem::new(format!("`{name}` is a server whose tools were pinned"));
        let hint = "call this one something else: --name NAME";
        return Err(Failure::new(exit::USAGE, problem.hint(hint)));
    }
    let server = hall.enter((name, &said.role), at)?;
    let gone = runtime.block_on(converse(hall, (name, at), &server, args));
    let why = match &gone {
        Ok(gone) => gone.to_string(),
        Err(_) => "it was not begun".to_owned(),
    };
    drop(std::fs::remove_dir(&server.keep));
    let noted = server.gate.pipeline().dismiss(&server.caller, None, json!({ "why": why }));
    gone?;
    noted.map_err(|refused| state_failure(&refused.hint()))
}

/// Carries the conversation; says how it ended.
async fn converse(
    hall: &Hall,
    (name, at): (&ServerName, &Upstream),
    server: &Session,
    args: &McpArgs,
) -> Result<Gone, Failure> {
    let _reloading = hall.standing.heed()?;
    let (to_server, sent) = mpsc::channel(SENT);
    let (lines, from_server) = mpsc::channel::<Line>(SENT);
    let (hear, heard) = mpsc::channel(HEARD);
    let (ground, Session { gate, caller, redactor, .. }) = (&hall.ground, &hall.session);
    let whose = (name.clone(), ground.role.clone(), caller.seat().session.clone());
    let (frames, sanitiser) = showing(&ground.config, &ground.role)?;
    let talk = Talk::new(Parts {
        server: name.to_string(),
        upstream: upstream::Upstream::new(to_server),
        caller: hall.client(),
        gate: Arc::clone(gate),
        make: maker(&hall.standing, (&ground.store, redactor), whose, args),
        look: None,
        desk: Arc::new(ground.store.clone()),
        redactor: redactor.clone(),
        frames,
        sanitiser,
        framing: !args.no_framing,
        asks: Asks { elicitation: true, roots: args.roots, sampling: args.sampling },
        hold: hall.wait,
        patience: PATIENCE,
        page: AT_ONCE_MAX,
        rests: Arc::default(),
    });
    let mut tasks = hall.reach((at, PATIENCE), server, sent, lines)?;
    tasks.spawn(Arc::clone(&talk).attend(heard));
    let mut gone = Gone::Ended;
    let attended = tokio::spawn(talk.upstream().attend(from_server, hear));
    let mut stop = Stop::heed()?;
    let over = async {
        tokio::select! {
            ended = attended => gone = ended.unwrap_or(Gone::Ended),
            _ = stop.told() => {}
        }
    };
    let own = Arc::clone(&talk);
    let unreadable = move |error: &WireError| own.unreadable(error);
    let word = Word::new(&ground.store, &hall.session, name);
    word.follows(&talk, streams::client(&talk, unreadable, over)).await;
    word.no_more().await;
    Ok(gone)
}
