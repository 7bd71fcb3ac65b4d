//! `bartizan mcp` without a command: how does one client get all the configured servers its role may use, each in a box of
//! its own, and how does one that ends come back?

mod away;
mod keeper;
mod pins;

use super::super::ground::{self, Ground, Newcomer, Session};
use super::super::reload::Standing;
use super::super::{configured_with, secret, state_failure};
use super::{ONE, showing, standard, streams};
use crate::app::Gate;
use crate::cli::{Global, McpArgs, RequiredTier, exit};
use crate::cmd::servers as known_servers;
use crate::config::{Config, Source, Tool};
use crate::desk::herald::Heralds;
use crate::doors::mcp::hub::remembered::{Mark, Stamp};
use crate::doors::mcp::hub::{Hub, Parts, Reckon};
use crate::doors::mcp::tools::pseudos;
use crate::doors::tools::{Boxes, ToolsDoor};
use crate::machine::{random, runtime_of};
use crate::report::{Failure, Problem, Voice};
use crate::stop::Stop;
use bartizan_egress::{Clients, Courier, Resolver};
use bartizan_gate::name::{ServerName, ToolName};
use bartizan_gate::seat::Caller;
use bartizan_mcp::wire::WireError;
use bartizan_scan::ScanKey;
use bartizan_store::Store;
use keeper::Keeper;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::LocalSet;

/// What all servers of one client stand on.
pub(in super::super) struct Hall {
    pub(in super::super) ground: Ground,
    /// The client's: the agent whose calls are judged.
    pub(in super::super) session: Session,
    /// Its gate and those of the servers' tools.
    pub(in super::super) standing: Standing,
    pub(in super::super) wait: Duration,
    pub(in super::super) tier: Option<RequiredTier>,
    /// Whether what comes back stands between markers; where the model door makes them, it does not.
    pub(in super::super) framing: bool,
    /// The tools that the client is narrowed to for this run, if it is.
    pub(in super::super) only: Option<BTreeSet<ToolName>>,
}

/// What one client is shown of it.
pub(in super::super) struct Part {
    /// The servers.
    pub(in super::super) servers: Vec<String>,
    /// The declared tools.
    pub(in super::super) tools: BTreeMap<String, Tool>,
    /// Whether it is one server, by whose own words the client knows what it has.
    pub(in super::super) alone: bool,
    /// Counts calls, where they are not counted elsewhere.
    pub(in super::super) reckon: Option<Reckon>,
}

/// Both ends of a client's conversation.
pub(in super::super) type Ends =
    (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

/// Serves one client on our own standard streams.
pub(super) fn run(global: &Global, args: &McpArgs, voice: &mut Voice) -> Result<u8, Failure> {
    alone(args)?;
    let runtime = runtime_of(ONE)?;
    let (hall, _heralds) = hall(global, args, None, (&runtime, voice))?;
    let hall = Rc::new(hall);
    let Ground { config, store, .. } = &hall.ground;
    let servers = usable((config, store), &hall.session.gate, &hall.client())?;
    let tools = config.tools.clone();
    let hub = hub(&hall, Part { servers, tools, alone: false, reckon: None })?;
    let served = runtime.block_on(serve(&hall, &hub));
    let ended = hall.close(&runtime, voice);
    let store = hall.ground.store.clone();
    drop(hall);
    ground::close(runtime, &store);
    ended?;
    served.map(|()| exit::DONE)
}

/// What is said of one server by flags is said of many in the configuration.
fn alone(args: &McpArgs) -> Result<(), Failure> {
    let flags = args.idle_after != "never"
        || args.direct
        || args.read_only
        || args.no_framing
        || args.sampling
        || args.roots;
    if flags || !args.allow.is_empty() || !args.read.is_empty() {
        let problem = Problem::new("these flags speak of one server, and no command names it");
        let hint = "put them before `-- CMD`, or say the same under [servers.NAME]";
        return Err(Failure::new(exit::USAGE, problem.hint(hint)));
    }
    Ok(())
}

/// What stands before any server does. `given` is what the command line says of the configuration.
pub(super) fn hall(
    global: &Global,
    args: &McpArgs,
    given: Option<&Source>,
    (runtime, voice): (&Runtime, &mut Voice),
) -> Result<(Hall, Heralds), Failure> {
    let (places, around, config) = configured_with(global, given, voice)?;
    if config.servers.is_empty() && config.tools.is_empty() {
        let problem = Problem::new("no server and no tool is configured");
        let hint = "name one: bartizan mcp -- CMD, or write [servers.NAME]";
        return Err(Failure::new(exit::CONFIG, problem.hint(hint)));
    }
    let role = config.role(args.agent.as_deref())?;
    let only = super::only(&args.only, given.map(|_| args.name.as_str()))?;
    let ground = Ground::lay((places, around, config), role, runtime, voice)?;
    ground.store.doubt_the_dead()?;
    let servers: Vec<String> = ground.config.servers.keys().map(ToString::to_string).collect();
    let mut about = Map::from_iter([("servers".to_owned(), json!(servers))]);
    if only.is_some() {
        about.insert("only".to_owned(), json!(only));
    }
    let argv = ["bartizan".to_owned(), "mcp".to_owned()];
    let who = Newcomer::plain(Path::new("/bin/sh"), &argv, about);
    let session = ground.open(who, (Vec::new(), true), voice)?;
    let (wait, tier) = (Duration::from_secs(args.wait), args.require_tier);
    let places = (ground.places.clone(), ground.around.workspace.clone(), given.cloned());
    let own = (Arc::clone(&session.gate), session.caller.clone(), session.told.clone());
    let standing = Standing::new(places, ground.config.clone(), own);
    let heralds = ground.heralds(runtime)?;
    Ok((Hall { ground, session, standing, wait, tier, framing: true, only }, heralds))
}

/// The client's side of it.
pub(in super::super) fn hub(hall: &Hall, part: Part) -> Result<Arc<Hub>, Failure> {
    let key = ScanKey::new(random()?);
    let Session { gate, caller, allowances, .. } = &hall.session;
    let Ground { places, around, config, role, store, vault, .. } = &hall.ground;
    let (frames, _) = showing(config, role)?;
    let courier = Courier::new(vault.clone(), Resolver::system(), Clients::system(), key);
    let boxes = Boxes {
        around: around.clone(),
        config: config.clone(),
        places: places.clone(),
        role: role.clone(),
        vault: vault.clone(),
        allowances: Arc::clone(allowances),
    };
    let stands = (courier, boxes, store.clone());
    let door = ToolsDoor::new(Arc::clone(gate), caller.clone(), config.tools.clone(), stands);
    let is_of_part = |name: &ServerName| part.servers.iter().any(|own| own == name.as_str());
    let paged = config.servers.iter().any(|(name, said)| said.page.is_some() && is_of_part(name));
    let (client, door) = (hall.client(), door.called_by(hall.client()));
    Ok(Hub::new(Parts {
        caller: client,
        gate: Arc::clone(gate),
        door: Arc::new(door),
        tools: part.tools,
        desk: Arc::new(store.clone()),
        frames,
        hold: hall.wait,
        servers: part.servers,
        alone: part.alone,
        framing: hall.framing,
        reckon: part.reckon,
        mark: mark(&hall.standing, store),
        paged,
    }))
}

/// What lists of servers are judged by.
fn mark(standing: &Standing, store: &Store) -> Mark {
    let (standing, store) = (standing.clone(), store.clone());
    Arc::new(move || {
        let turns = standing.turns();
        Some(Stamp { turns, pins: store.pins_digest().ok()? })
    })
}

/// The servers of whose tools, or whatever else they do, the role may use one. What nobody has seen yet may hold such a tool.
pub(in super::super) fn usable(
    (config, store): (&Config, &Store),
    gate: &Gate,
    client: &Caller,
) -> Result<Vec<String>, Failure> {
    let mut usable = Vec::new();
    let gate = gate.pipeline();
    for name in config.servers.keys() {
        let known = known_servers::known(store, name.as_str())?;
        let may = |tool: &String| {
            let tool = bartizan_gate::tool::upstream_name(name, tool);
            tool.is_ok_and(|tool| gate.may_ever(client, &tool))
        };
        let mut besides = pseudos(name.as_str());
        let may_besides = besides.any(|act| gate.may_ever(client, &act));
        let unseen = known.accepted_tools().next().is_none();
        if unseen || known.accepted_tools().any(may) || may_besides {
            usable.push(name.to_string());
        }
    }
    Ok(usable)
}

async fn serve(hall: &Rc<Hall>, hub: &Arc<Hub>) -> Result<(), Failure> {
    let _reloading = hall.standing.heed()?;
    let (end, over) = watch::channel(false);
    let mut stop = Stop::heed()?;
    let mut told = over;
    let until = async move {
        tokio::select! {
            _ = stop.told() => {}
            // A box was told to end, and we with it.
            _ = told.wait_for(|over| *over) => {}
        }
    };
    let ends: Ends = (standard::input(), standard::output());
    attend((hall, hub), ends, end, until).await;
    Ok(())
}

/// Keeps the servers for as long as the client speaks, or until `until` resolves.
pub(in super::super) async fn attend(
    (hall, hub): (&Rc<Hall>, &Arc<Hub>),
    ends: Ends,
    end: watch::Sender<bool>,
    until: impl Future<Output = ()>,
) {
    let keepers = LocalSet::new();
    let usable = hall.ground.config.servers.iter().filter(|(name, _)| hub.serves(name.as_str()));
    for (name, server) in usable {
        let keeper = Keeper::new((hall, hub), name.clone(), server.clone());
        keepers.spawn_local(keeper.keep(end.clone(), end.subscribe()));
    }
    let own = Arc::clone(hub);
    let unreadable = move |error: &WireError| own.unreadable(error);
    keepers.run_until(Box::pin(streams::converse(hub, ends, unreadable, until))).await;
    end.send_replace(true);
    // Each waits for its server's last words, and no longer.
    keepers.await;
}

impl Hall {
    /// Whoever speaks to us: the session's agent, narrowed to what the command line says.
    pub(in super::super) fn client(&self) -> Caller {
        let caller = &self.session.caller;
        self.only.clone().map_or_else(|| caller.clone(), |only| caller.narrowed(only))
    }

    /// What the log says of a server's own session.
    fn about(&self, server: &ServerName) -> Map<String, Value> {
        let client = &self.session.caller.seat().session;
        Map::from_iter([
            ("server".to_owned(), json!(server)),
            ("for_session".to_owned(), json!(client)),
        ])
    }

    /// The client has gone: what is left is put on the log and taken back.
    pub(super) fn close(&self, runtime: &Runtime, voice: &mut Voice) -> Result<(), Failure> {
        let Session { gate, caller, keep, .. } = &self.session;
        let (allowed, asked, denied) = gate.tally();
        let about = json!({ "allowed": allowed, "asked": asked, "denied": denied });
        let ended = gate.pipeline().dismiss(caller, Some(0), about);
        drop(std::fs::remove_dir(keep));
        runtime.block_on(secret::take_back(&self.ground.vault, voice))?;
        ended.map_err(|refused| state_failure(&refused.hint()))
    }
}
