//! `bartizan run`: how does one agent get its gate, its box and its log?

mod deferring;
mod enclosure;
mod gateway;
pub(crate) mod ground;
mod leftovers;
pub(crate) mod mcp;
pub(crate) use enclosure::FOLDERS;
mod model;
mod person;
mod program;
mod reload;
pub(crate) mod seat;
mod stand_ins;
mod summary;
pub(crate) mod surroundings;
mod told;
mod unfit;
pub(crate) mod way_out;
mod worktree;

use crate::app::Gate;
use crate::cli::{Global, RunArgs, exit};
use crate::client::kept::Kept;
use crate::client::{self, Client};
use crate::cmd::secret;
use crate::config::audit::Audit;
use crate::config::{self, Config, Network, Places, Purpose, Rest, Source, units};
use crate::doors::commands::{self, Commands};
use crate::doors::database::DatabaseDoor;
use crate::doors::hook;
use crate::doors::model::{Conversation, ModelDoor};
use crate::doors::net::{MODEL_HOST, NetDoor};
use crate::doors::run::asks::Asks;
use crate::doors::run::home::Home;
use crate::doors::run::{BoxRun, RunReport, Streams};
use crate::machine::{random, runtime};
use crate::report::{Failure, Problem, Voice};
use bartizan_egress::vault::Placeholders;
use bartizan_egress::{Allowances, Vault};
use bartizan_gate::call::{Door, Proposed};
use bartizan_gate::name::{RoleName, ToolName};
use bartizan_gate::seat::Caller;
use bartizan_gate::tool::Catalogue;
use bartizan_sandbox::BoxSpec;
use bartizan_store::Store;
use enclosure::Hidden;
use gateway::Gateway;
use ground::{Ground, Newcomer};
use model::ModelAccess;
use program::program;
use reload::Standing;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener as UnixListenerThread;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use surroundings::Surroundings;
use tokio::net::UnixListener;
use told::Told;
use way_out::WayOut;

/// Runs the command and returns the exit code to pass on.
pub(crate) fn run(global: &Global, args: &RunArgs, voice: &mut Voice) -> Result<u8, Failure> {
    let begun = Instant::now();
    let (places, around, mut config) = configured(global, voice)?;
    config.audit.narrow(anchor_age(args)?);
    deferring::said(args, &mut config.approvals)?;
    let role = config.role(args.agent.as_deref())?;
    let (program, argv) = (program(&around, args)?, words(args)?);
    let client = Client::choose(args.client, &program);
    let only = mcp::only(&args.only, None)?;
    if client.is_some() && config.box_of(&role).network == Network::None {
        return Err(no_model(&role));
    }
    let shown = worktree::warning(&around.root, &config.box_of(&role).readable);
    shown.iter().try_for_each(|problem| voice.warn(problem))?;
    let runtime = runtime()?;
    let ground = Ground::lay((places, around, config), role, &runtime, voice)?;
    let access = model::access(&ground.config, &ground.around, &ground.vault, client);
    let access = runtime.block_on(access)?;
    let who = Newcomer {
        program: &program,
        argv: &argv,
        boxes_commands: client.is_some(),
        model: access.as_ref().map(|access| access.upstream.target()),
        client,
        about: about(client, args, only.as_ref()),
    };
    let known = access.as_ref().map(ModelAccess::known).unwrap_or_default();
    let aloud = !args.no_summary && crate::doors::run::terminal::terminals() == [false; 3];
    let heralds = ground.heralds(&runtime)?;
    let session = ground.open(who, (known, aloud), voice)?.narrowed(only);
    let asks = person::at_the_terminal(args, &ground, voice)?;
    let (stands, store) = ((ground.clone(), session.clone()), ground.store.clone());
    let mut run = Run { asks, ..ground.run(session, client)? };
    let standing = run.standing();
    let gateway = gateway::open(client, stands, (&standing, args), voice)?;
    run.entries = gateway.iter().flat_map(Gateway::names).collect();
    let performed = run.perform(args, (&program, &argv), access, &standing);
    let report = runtime.block_on(gateway::beside(gateway, performed));
    let ended = finish(&run.gate, &run.caller, &report, begun);
    let off = deferring::put_off(args, &run.gate, &run.conversation.calls);
    let told = (&*run.gate, off.as_ref());
    let code = summary::tell(voice, args, told, &run.caller, &report, begun);
    run.clean();
    // What they could not tell in that time stays on the log for the next.
    runtime.block_on(heralds.finish(LAST_WORD));
    let taken_back = runtime.block_on(secret::take_back(&run.vault, voice));
    // Threads that still carry a stream, and connections of a box that is gone, end with the process.
    ground::close(runtime, &store);
    // Only now: one that fails is no reason to leave the others undone.
    taken_back?;
    ended?;
    Ok(code)
}

/// What the log says of a run beside what it says of every session.
fn about(
    client: Option<Client>,
    args: &RunArgs,
    only: Option<&BTreeSet<ToolName>>,
) -> Map<String, Value> {
    let mut about = facts(client, args);
    about.extend(only.map(|only| ("only".to_owned(), json!(only))));
    about
}

/// How long a run that has ended still tries to tell people.
const LAST_WORD: Duration = Duration::from_secs(3);

/// What the command line requires of the log.
fn anchor_age(args: &RunArgs) -> Result<Audit, Failure> {
    let Some(age) = &args.require_anchor else { return Ok(Audit::default()) };
    let age = units::duration(age).map_err(|why| {
        let what = format!("`{age}` is not an age: {why}");
        Failure::new(exit::USAGE, Problem::new(what))
    })?;
    Ok(Audit { anchor_age: Some(age), ..Audit::default() })
}

/// What is configured for a run from here, and what should be known of it.
fn configured(
    global: &Global,
    voice: &mut Voice,
) -> Result<(Places, Surroundings, Config), Failure> {
    configured_with(global, None, voice)
}

/// The same, with what the command line says of the configuration.
fn configured_with(
    global: &Global,
    given: Option<&Source>,
    voice: &mut Voice,
) -> Result<(Places, Surroundings, Config), Failure> {
    let places = Places::find(global)?;
    let around = surroundings(&places)?;
    let config = match given {
        Some(given) => config::load_with_given(&places, &around.workspace, given)?,
        None => config::load(&places, &around.workspace, Purpose::Run)?,
    };
    for warning in &config.warnings {
        voice.warn(warning)?;
    }
    Ok((places, around, config))
}

/// Every tool there is, and what the person is told of those that are not.
fn known_tools(
    config: &Config,
    store: &Store,
    voice: &mut Voice,
) -> Result<(Catalogue, Told), Failure> {
    let (catalogue, problems) = super::servers::catalogue(config, Some(store))?;
    for problem in &problems {
        voice.warn(problem)?;
    }
    Ok((catalogue, Told::of(problems)))
}

/// What one run is made of, once it has its seat.
struct Run {
    gate: Arc<Gate>,
    caller: Caller,
    around: Surroundings,
    config: Config,
    role: RoleName,
    client: Option<Client>,
    keep: PathBuf,
    told: Told,
    store: Store,
    places: Places,
    conversation: Conversation,
    placeholders: Arc<Placeholders>,
    vault: Vault,
    allowances: Arc<Allowances>,
    /// Puts questions before the person at the terminal.
    asks: Option<Arc<Asks>>,
    /// What the client calls the MCP servers that it reaches through us.
    entries: Vec<String>,
}

impl Run {
    async fn perform(
        &mut self,
        args: &RunArgs,
        (program, argv): (&Path, &[String]),
        access: Option<ModelAccess>,
        standing: &Standing,
    ) -> Result<RunReport, Failure> {
        let arguments = json!({
            "program": program.to_string_lossy(),
            "argv": argv,
            "cwd": self.around.workspace.to_string_lossy(),
        });
        let proposed = Proposed::new(&self.caller, Door::Run, "process.start", arguments);
        let effector = self.effector(args, program, access)?;
        let _reloading = standing.heed()?;
        let authorized = self.gate.decide(proposed).map_err(|refused| {
            let problem =
                Problem::new(format!("{refused} [{}]", refused.code())).hint(refused.hint());
            Failure::new(exit::REFUSED, problem)
        })?;
        let executed = self.gate.pipeline().perform(authorized, effector).await;
        let released = self.gate.pipeline().release(executed);
        released
            .map(bartizan_gate::call::Released::into_output)
            .map_err(|refused| state_failure(&refused.hint()))
    }

    /// Its gate, whose policy can change.
    fn standing(&self) -> Standing {
        let places = (self.places.clone(), self.around.workspace.clone(), None);
        let own = (Arc::clone(&self.gate), self.caller.clone(), self.told.clone());
        Standing::new(places, self.config.clone(), own)
    }

    fn effector(
        &self,
        args: &RunArgs,
        program: &Path,
        access: Option<ModelAccess>,
    ) -> Result<BoxRun, Failure> {
        let settings = self.settings()?;
        let bartizan = std::env::current_exe().map_err(|error| {
            not_started(&format!("cannot tell where bartizan itself is: {error}"))
        })?;
        let hook_socket = self.keep.join("hook.sock");
        let mut outfit = self
            .client
            .map(|client| self.outfit((client, access.as_ref()), &bartizan))
            .transpose()?;
        let keeps = self.client.is_some_and(Client::is_kept) && !args.no_keep;
        let kept = outfit.as_mut().filter(|_| keeps).map(|outfit| self.kept(outfit)).transpose()?;
        let hook = outfit.as_ref().map(|_| listen(&hook_socket)).transpose()?;
        let command_socket = self.command_socket();
        let mcp_socket = (!self.entries.is_empty()).then(|| gateway::socket(&self.keep));
        let hidden = Hidden {
            state: &self.places.state,
            config: &self.places.user,
            hook_socket: &hook_socket,
            mcp_socket: mcp_socket.as_deref(),
            command_socket: command_socket.as_deref(),
            bartizan: &bartizan,
            session: self.caller.seat().session.as_str(),
        };
        let mut spec = enclosure::specify(&self.around, settings, args, outfit, hidden, program);
        self.hold_placeholders(&mut spec.env);
        model::lead(&mut spec.env, (access.as_ref(), self.client), settings.network)?;
        self.plant(&mut spec);
        let (vault, placeholders) = (self.vault.clone(), Arc::clone(&self.placeholders));
        let held = (vault, placeholders, Arc::clone(&self.allowances));
        let mut way_out = WayOut::new(&self.config, &self.around, hidden.session, held)?;
        way_out.furnish(&mut spec);
        let door = access.map(|access| {
            let api = access.api(self.client);
            let ModelAccess { route, upstream, .. } = access;
            let (gate, caller) = (Arc::clone(&self.gate), self.caller.clone());
            ModelDoor::new(gate, caller, (route, &upstream, api), self.conversation.clone())
        });
        let (gate, caller) = (Arc::clone(&self.gate), self.caller.clone());
        let databases = DatabaseDoor::new(gate, caller, self.vault.clone());
        let (gate, caller) = (Arc::clone(&self.gate), self.caller.clone());
        let net = NetDoor::new(gate, caller, way_out.ways, door, databases);
        let commands =
            self.commands(command_socket.as_deref(), &spec, (settings, &bartizan), &net)?;
        Ok(BoxRun {
            gate: Arc::clone(&self.gate),
            commands,
            caller: self.caller.clone(),
            spec,
            accept: enclosure::accept(args),
            net,
            network: settings.network,
            output: settings.output_bytes,
            streams: Streams::Terminal(self.asks.clone()),
            hook,
            calls: Arc::clone(&self.conversation.calls),
            deferring: deferring::terms(args, self.client, &self.config.approvals)
                .filter(|_| kept.is_some()),
            kept,
            home: self.home(args, &bartizan),
        })
    }

    /// Where what the box changed comes home to.
    fn home(&self, args: &RunArgs, bartizan: &Path) -> Home {
        Home {
            session: self.caller.seat().session.to_string(),
            keep: self.keep.clone(),
            state: self.places.state.clone(),
            person: self.places.home.clone(),
            bartizan: bartizan.to_path_buf(),
            owner: owner(&self.around.workspace),
            review: args.review,
            store: self.store.clone(),
            bar: !args.json && !args.no_summary,
        }
    }

    /// The socket for commands of subagents, if some of their roles have a narrower box than the session.
    fn command_socket(&self) -> Option<PathBuf> {
        let needed = self.client.is_some() && !self.caller.seat().confined.is_empty();
        needed.then(|| self.keep.join("command.sock"))
    }

    fn commands(
        &self,
        socket: Option<&Path>,
        spec: &BoxSpec,
        (session, bartizan): (&config::BoxSettings, &Path),
        net: &Arc<NetDoor>,
    ) -> Result<Option<(Arc<Commands>, UnixListenerThread)>, Failure> {
        let Some(socket) = socket else { return Ok(None) };
        let listener =
            hook::bind(socket).map_err(|error| Failure::file("listen at", socket, &error))?;
        let narrower = self.caller.seat().confined.keys().filter_map(|name| {
            let own = &self.config.roles.get(name)?.enclosure;
            let profile = enclosure::narrower(spec, session, own, &self.around.root);
            Some((name.clone(), profile))
        });
        let setup = commands::Setup {
            gate: Arc::clone(&self.gate),
            caller: self.caller.clone(),
            bartizan: bartizan.to_path_buf(),
            profiles: narrower.collect(),
            processes: spec.limits.pids,
            net: Arc::clone(net),
        };
        Ok(Some((Commands::new(setup), listener)))
    }

    fn settings(&self) -> Result<&config::BoxSettings, Failure> {
        let role = self.config.roles.get(&self.role);
        role.map(|role| &role.enclosure).ok_or_else(|| not_started("the role is not configured"))
    }

    fn outfit(
        &self,
        (client, access): (Client, Option<&ModelAccess>),
        bartizan: &Path,
    ) -> Result<client::Outfit, Failure> {
        let cloud = access.map(|access| access.cloud.clone()).unwrap_or_default();
        let setup = client::Setup {
            bartizan,
            model_url: &format!("http://{MODEL_HOST}"),
            cloud: &cloud,
            home: &self.around.home,
            workspace: &self.around.workspace,
            servers: &self.entries,
            entropy: random::<36>()?,
        };
        client.outfit(&setup).map_err(|error| not_started(&error.to_string()))
    }

    /// Lays earlier conversations in, and says where this one will be kept.
    fn kept(&self, outfit: &mut client::Outfit) -> Result<Kept, Failure> {
        let kept = Kept::of(&self.places.state, &self.around.workspace, &self.role);
        let earlier = kept.files(&self.around.home);
        let failed = |error| Failure::file("read conversations in", kept.folder(), &error);
        outfit.files.extend(earlier.map_err(failed)?);
        Ok(kept)
    }

    /// Removes the session's folder when it holds nothing that a person may still want.
    fn clean(&self) {
        drop(std::fs::remove_file(self.keep.join("command.sock")));
        drop(std::fs::remove_file(self.keep.join("hook.sock")));
        drop(std::fs::remove_file(gateway::socket(&self.keep)));
        // Fails, as it should, when something is kept in there.
        drop(std::fs::remove_dir(&self.keep));
    }
}

pub(crate) fn surroundings(places: &Places) -> Result<Surroundings, Failure> {
    let here = std::env::current_dir();
    let workspace =
        here.map_err(|error| not_started(&format!("cannot tell the current folder: {error}")))?;
    Ok(Surroundings::new(workspace, places.home.clone(), std::env::vars_os().collect()))
}

/// The surroundings of a role that works on a folder of the workspace alone.
pub(crate) fn narrowed(
    around: Surroundings,
    config: &mut Config,
    role: &RoleName,
) -> Result<Surroundings, Failure> {
    let Some(settings) = config.roles.get_mut(role).map(|role| &mut role.enclosure) else {
        return Ok(around);
    };
    let Some(folder) = settings.folder.clone() else { return Ok(around) };
    if settings.rest == Rest::ReadOnly {
        settings.readable.push(around.root.clone());
    }
    around.within(&folder).map_err(|what| {
        let hint = format!(
            "the box of role `{role}` works on it (`folder` in [roles.{role}.box]); make it, or run where it is"
        );
        Failure::new(exit::CONFIG, Problem::new(what).hint(hint))
    })
}

fn no_model(role: &RoleName) -> Failure {
    let problem = Problem::new(format!(
        "the box of role `{role}` has no network, and a client needs its model API"
    ));
    let hint =
        format!("set network = \"model\" in [roles.{role}.box]: the model API and nothing else");
    Failure::new(exit::CONFIG, problem.hint(hint))
}

/// The command as text: the gate judges text, and two byte strings must not read as one.
fn words(args: &RunArgs) -> Result<Vec<String>, Failure> {
    let word = |word: &OsString| {
        word.to_str().map(str::to_owned).ok_or_else(|| {
            let what = format!("argument `{}` is not UTF-8", word.to_string_lossy());
            Failure::new(
                exit::USAGE,
                Problem::new(what).hint("put it into a file or a script of its own"),
            )
        })
    };
    args.command.iter().map(word).collect()
}

/// What the log says of a run beside what it says of every session.
fn facts(client: Option<Client>, args: &RunArgs) -> Map<String, Value> {
    let mut facts = Map::new();
    let mut add = |key: &str, value: Value| facts.insert(key.to_owned(), value);
    add("client", json!(client.map(|client| format!("{client:?}"))));
    add("direct", json!(args.direct));
    add("read_only", json!(args.read_only));
    add("review", json!(args.review));
    facts
}

fn finish(
    gate: &Gate,
    caller: &Caller,
    report: &Result<RunReport, Failure>,
    begun: Instant,
) -> Result<(), Failure> {
    let (allowed, asked, denied) = gate.tally();
    let exit = report
        .as_ref()
        .ok()
        .and_then(|report| report.end.as_ref().ok())
        .map(bartizan_sandbox::Exit::code);
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let enforced = report.as_ref().ok().and_then(|report| report.enforcement.as_ref()).map(|enforcement| {
        let items = enforcement.items().iter();
        let items: Vec<Value> =
            items.map(|item| json!({ "name": item.name, "by": item.strength.to_string(), "detail": item.detail })).collect();
        json!({ "tier": enforcement.tier().to_string(), "items": items })
    });
    let about = json!({ "allowed": allowed, "asked": asked, "denied": denied, "took_ms": took_ms, "enforcement": enforced });
    gate.pipeline().dismiss(caller, exit, about).map_err(|refused| state_failure(&refused.hint()))
}

/// A socket that only the box reaches: the folder is ours alone, and the socket is bound into the box.
fn listen(socket: &Path) -> Result<UnixListener, Failure> {
    hook::listen(socket).map_err(|error| Failure::file("listen at", socket, &error))
}

/// As root, what write-back creates belongs to whoever owns the workspace.
fn owner(workspace: &Path) -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    std::fs::metadata(workspace).ok().map(|meta| (meta.uid(), meta.gid()))
}

fn not_started(what: &str) -> Failure {
    Failure::new(exit::NOT_STARTED, Problem::from_text(what))
}

pub(crate) fn state_failure(what: &str) -> Failure {
    Failure::new(exit::NOT_STARTED, Problem::from_text(what))
}
