//! `bartizan serve`: how is a gateway put up for many clients?

use super::Desk;
use super::run::mcp::{idle_after, only};
use super::run::surroundings;
use crate::cli::{Global, ServeArgs, exit};
use crate::config::mtls::Demand;
use crate::config::{self, Config, Places, Purpose};
use crate::desk::herald::Heralds;
use crate::doors::serve::crowd::Crowd;
use crate::doors::serve::host::{Behind, Doors};
use crate::doors::serve::serve;
use crate::identity::admits::Admits;
use crate::identity::oauth::Issuer;
use crate::identity::porter::Porter;
use crate::machine::runtime;
use crate::reload::Listed;
use crate::report::{Failure, Problem, aloud, plain};
use crate::stop::Stop;
use bartizan_egress::{Inbound, InboundError};
use bartizan_gate::name::RoleName;
use bartizan_mcp::front::{Caps, Front, Names};
use bartizan_store::{Durability, Entry, Event, Ledger as _, Store, StoreError};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Serves until it is told to stop.
pub(super) fn run(global: &Global, args: &ServeArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    super::outside_a_box("serving clients")?;
    let around = surroundings(&desk.places)?;
    let config = config::load(&desk.places, &around.workspace, Purpose::Run)?;
    for warning in &config.warnings {
        desk.voice.warn(warning)?;
    }
    warn_of_nothing(args, &config, desk)?;
    let inbound = inbound(args, &config)?;
    revoke(&inbound, &config)?;
    let store = Store::open(&desk.places.state)?;
    judges(&config, &store, desk)?;
    let runtime = runtime()?;
    let porter = runtime.block_on(porter(args, &config, &store, desk))?;
    let vault = super::secret::vault(&config, &desk.places, None, &store);
    let _heralds = Heralds::begin(&config.notify, (&store, &vault), runtime.handle())?;
    let behind = behind(global, args)?;
    let told = Told {
        doors: behind.doors.clone(),
        admits: porter.admits(),
        store: store.clone(),
        places: desk.places.clone(),
        workspace: around.workspace.clone(),
        inbound: inbound.clone(),
    };
    let front = Front::new(behind, porter, names(args, &config), Caps::default());
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await;
        let listener = listener.map_err(|error| {
            unavailable(&format!("cannot listen at {}: {}", args.listen, plain(&error)))
        })?;
        let address = listener.local_addr()?;
        let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
        let began = Entry::new(Event::ConfigChange)
            .with("act", "serve")
            .with("listen", address.to_string())
            .with("tls", args.tls_cert.is_some())
            .with("client_certificates", args.tls_client_ca.is_some())
            .with("demands_nothing", args.dev_no_auth);
        let recorded = store.append(began, Durability::Durable);
        let _receipt = recorded.map_err(|error| Failure::from(StoreError::from(error)))?;
        let mut stop = Stop::heed()?;
        let _reloading = heed(told)?;
        let gateway = format!("the gateway at {scheme}://{address}/mcp");
        let _listed = Listed::here(&desk.places.state, &gateway)?;
        desk.voice.say(&format!("serving at {scheme}://{address}/mcp"))?;
        desk.voice.flush()?;
        let until = async move {
            stop.told().await;
        };
        serve(listener, inbound, front, Crowd::default(), until).await;
        Ok::<_, Failure>(())
    })?;
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(exit::DONE)
}

/// The door of each client reads the policies for itself: what none of them could use is told here, before anybody comes.
fn judges(config: &Config, store: &Store, desk: &mut Desk<'_>) -> Result<(), Failure> {
    let (catalogue, problems) = super::servers::catalogue(config, Some(store))?;
    for problem in &problems {
        desk.voice.warn(problem)?;
    }
    config.policy(&catalogue).map(drop)
}

/// Who is to know that the configuration has changed.
#[derive(Clone)]
struct Told {
    doors: Doors,
    admits: Admits,
    store: Store,
    places: Places,
    workspace: PathBuf,
    inbound: Inbound,
}

impl Told {
    /// Reads anew who may come in, and has the doors behind read their policies.
    fn tell(&self) {
        // What is revoked is the last that can fail, since it counts at once.
        let read = self.read().and_then(|config| revoke(&self.inbound, &config).map(|()| config));
        let entry = Entry::new(Event::ConfigChange).with("act", "serve-reload");
        let entry = entry.with("adopted", read.is_ok());
        match read {
            Ok(config) => self.admits.replace(roles(&config), config.serve.mtls),
            Err(_) => aloud(
                "bartizan: who may come in stays as it is: what was read has mistakes\n  hint: see them with: bartizan policy check",
            ),
        }
        // Whoever lost their role is out, recorded or not.
        if self.store.append(entry, Durability::Durable).is_err() {
            aloud("bartizan: the log does not say that the configuration was read anew");
        }
        self.doors.tell();
    }
}

impl Told {
    /// What the doors behind would read: all of it holds, or none.
    fn read(&self) -> Result<Config, Failure> {
        let config = config::load(&self.places, &self.workspace, Purpose::Run)?;
        let (catalogue, _) = super::servers::catalogue(&config, Some(&self.store))?;
        config.policy(&catalogue)?;
        Ok(config)
    }
}

fn roles(config: &Config) -> BTreeSet<String> {
    config.roles.keys().map(RoleName::to_string).collect()
}

/// Heeds the signal to read the configuration anew, until the returned set is dropped.
fn heed(told: Told) -> Result<JoinSet<()>, Failure> {
    let mut asked = signal(SignalKind::user_defined1())?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while asked.recv().await.is_some() {
            let told = told.clone();
            // Files are read, and a door that has only begun is waited for.
            drop(tokio::task::spawn_blocking(move || told.tell()).await);
        }
    });
    Ok(tasks)
}

/// Who signs for clients, and what their certificates are worth, is said together: either without the other would let people in
/// by a token whom the operator wants to show a certificate.
fn clients(args: &ServeArgs, config: &Config) -> Result<(), Failure> {
    let (what, hint) = match (&args.tls_client_ca, &config.serve.mtls) {
        (Some(_), None) => (
            "no certificate of a client gives a role",
            "say which names give which role under [serve.mtls] (docs/serve.md)",
        ),
        (None, Some(_)) => (
            "nobody signs for the clients that [serve.mtls] speaks of",
            "give --tls-client-ca FILE, or leave [serve.mtls] out",
        ),
        (Some(_), Some(_)) | (None, None) => return Ok(()),
    };
    Err(Failure::new(exit::USAGE, Problem::new(what).hint(hint)))
}

/// Has the revocation lists count that the configuration names, or none if it names none.
fn revoke(inbound: &Inbound, config: &Config) -> Result<(), Failure> {
    // Where the table is gone nobody comes in, on a list or not.
    let Some(mtls) = &config.serve.mtls else { return Ok(()) };
    let lists = match &mtls.revoked {
        None => None,
        Some(path) => {
            let read = std::fs::read(path);
            Some((path, read.map_err(|error| Failure::file("read", path, &error))?))
        }
    };
    inbound.revoke(lists.as_ref().map(|(_, text)| text.as_slice())).map_err(|error| {
        let at = lists.map(|(path, _)| format!("`{}`: ", path.display())).unwrap_or_default();
        let hint = "`revoked` under [serve.mtls] names a file of revocation lists in PEM, of the authorities of --tls-client-ca";
        Failure::new(exit::CONFIG, Problem::new(format!("{at}{error}")).hint(hint))
    })
}

/// Clear text is for this machine alone.
fn inbound(args: &ServeArgs, config: &Config) -> Result<Inbound, Failure> {
    let usage = |what: &str, hint: &str| Failure::new(exit::USAGE, Problem::new(what).hint(hint));
    let loopback = args.listen.ip().is_loopback();
    if args.dev_no_auth && !loopback {
        let hint = "make tokens instead: bartizan agent token create --role ROLE";
        return Err(usage("`--dev-no-auth` is for a loopback address", hint));
    }
    clients(args, config)?;
    let (Some(chain), Some(key)) = (&args.tls_cert, &args.tls_key) else {
        if loopback {
            return Ok(Inbound::plain());
        }
        let hint =
            "give --tls-cert and --tls-key, or listen at 127.0.0.1 behind a proxy that ends TLS";
        return Err(usage("tokens would travel in the clear", hint));
    };
    let read =
        |path: &Path| std::fs::read(path).map_err(|error| Failure::file("read", path, &error));
    let (own, secret) = (read(chain)?, read(key)?);
    let inbound = match (&args.tls_client_ca, &config.serve.mtls) {
        (Some(authorities), Some(mtls)) => {
            let demanded = mtls.demand != Demand::Either;
            Inbound::mutual(&own, &secret, (&read(authorities)?, demanded))
        }
        _ => Inbound::tls(&own, &secret),
    };
    inbound.map_err(|error| {
        let files = match (&error, &args.tls_client_ca) {
            (InboundError::Authority, Some(authorities)) => format!("`{}`", authorities.display()),
            _ => format!("`{}` and `{}`", chain.display(), key.display()),
        };
        let hint = "all are PEM; the chain begins with the server's own";
        Failure::new(exit::CONFIG, Problem::new(format!("{files}: {error}")).hint(hint))
    })
}

/// A gateway with nothing behind it is a slip: its clients would find an empty list.
fn warn_of_nothing(args: &ServeArgs, config: &Config, desk: &mut Desk<'_>) -> Result<(), Failure> {
    let named = !args.command.is_empty() || args.url.is_some();
    if named || !config.servers.is_empty() || !config.tools.is_empty() {
        return Ok(());
    }
    let what = "no server and no tool is configured: whoever comes finds nothing";
    let hint = "name one: bartizan serve -- CMD, or write [servers.NAME] or [tools.NAME]";
    Ok(desk.voice.warn(&Problem::new(what).hint(hint))?)
}

async fn porter(
    args: &ServeArgs,
    config: &Config,
    store: &Store,
    desk: &mut Desk<'_>,
) -> Result<Porter, Failure> {
    let issuer = match &config.serve.oauth {
        None => None,
        Some(configured) => {
            for claim in &configured.roles {
                config.role(Some(claim.role.as_str()))?;
            }
            let issuer = Issuer::new(configured.clone());
            if let Err(why) = issuer.begin().await {
                desk.voice.warn(&Problem::new(format!("nobody with a token of `{}` comes in as long as its keys cannot be read: {why}", issuer.name())))?;
            }
            Some(issuer)
        }
    };
    for certified in config.serve.mtls.iter().flat_map(|mtls| &mtls.roles) {
        config.role(Some(certified.role.as_str()))?;
    }
    let porter = Porter::new(store.clone(), roles(config), issuer);
    let porter = porter.certifying(config.serve.mtls.clone());
    if !args.dev_no_auth {
        return Ok(porter);
    }
    let role = config.role(args.agent.as_deref())?;
    let what =
        format!("whoever reaches {} is let in as role `{role}`, without a token", args.listen);
    desk.voice.warn(&Problem::new(what).hint("for trying out alone; it is on the log"))?;
    Ok(porter.demanding_nothing(role.to_string()))
}

/// Under which names we are reached. On an address that is not this machine's own, only those that are configured, and the
/// address itself.
fn names(args: &ServeArgs, config: &Config) -> Names {
    let mut hosts = config.serve.hosts.clone();
    let ip = args.listen.ip();
    if !ip.is_unspecified() {
        hosts.push(if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() });
    }
    let names = Names::new(&hosts, &config.serve.origins);
    if ip.is_loopback() { names.and_loopback() } else { names }
}

/// What each door is told of the only tools.
fn narrowing(args: &ServeArgs) -> impl Iterator<Item = OsString> {
    args.only.iter().map(|tool| format!("--only={tool}").into())
}

/// The door that each conversation gets.
fn behind(global: &Global, args: &ServeArgs) -> Result<Behind, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| unavailable(&format!("cannot tell where bartizan itself is: {error}")))?;
    let mut before: Vec<OsString> = Vec::new();
    for (flag, given) in [("--config", &global.config), ("--state", &global.state)] {
        if let Some(dir) = given {
            before.extend([flag.into(), dir.into()]);
        }
    }
    let flags =
        [("--no-framing", args.no_framing), ("--roots", args.roots), ("--sampling", args.sampling)];
    if args.command.is_empty() && args.url.is_none() {
        let flags = flags.iter().any(|(_, said)| *said) || args.idle_after != "never";
        if !args.allow.is_empty() || !args.read.is_empty() || flags {
            let problem = Problem::new("these flags speak of one server, and no command names it");
            let hint = "put them before `-- CMD`, or say the same under [servers.NAME]";
            return Err(Failure::new(exit::USAGE, problem.hint(hint)));
        }
        only(&args.only, None)?;
        return Ok(Behind::new(program, before, narrowing(args).collect(), None));
    }
    only(&args.only, Some(&args.name))?;
    let mut rest: Vec<OsString> = vec!["--name".into(), args.name.as_str().into()];
    for (flag, tools) in [("--allow", &args.allow), ("--read", &args.read)] {
        for tool in tools {
            rest.push(format!("{flag}={tool}").into());
        }
    }
    rest.extend(narrowing(args));
    for (flag, said) in flags {
        if said {
            rest.push(flag.into());
        }
    }
    idle_after(&args.idle_after)?;
    if args.url.is_none() {
        rest.push(format!("--idle-after={}", args.idle_after).into());
    }
    for (flag, said) in [("--url", &args.url), ("--bearer", &args.bearer)] {
        rest.extend(said.as_ref().map(|said| format!("{flag}={said}").into()));
    }
    if !args.command.is_empty() {
        rest.push("--".into());
        rest.extend(args.command.iter().cloned());
    }
    Ok(Behind::new(program, before, rest, Some(args.name.clone())))
}

fn unavailable(what: &str) -> Failure {
    Failure::new(exit::UNAVAILABLE, Problem::new(what))
}
